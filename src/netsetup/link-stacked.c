/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links of a container on top of an interface of the host: macvlan and ipvlan. */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "basic/log.h"
#include "netsetup/link.h"

/* The link is born in the container's namespace; only its lower end is named in the host's. */
static int make(const struct link_work *work, const char *kind, int mode_type, const void *mode,
                size_t mode_size)
{
        const struct net_link *link = work->link;
        struct netlink *nl = work->nl;
        struct netlink_link lower;
        struct nlattr *info, *data;
        int r = netlink_find(nl, 0, link->lower, &lower, work->failure);

        if (r < 0)
                return r;
        if (lower.index == 0)
                return failure_set(work->failure, -ENODEV,
                                   "There is no interface '%s' on the host (%s).", link->lower,
                                   link->origin ? link->origin : kind);
        netlink_request_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0,
                             "make a link on top of the interface", link->lower);
        netlink_put_text(nl, IFLA_IFNAME, link->guest);
        netlink_put_u32(nl, IFLA_LINK, (uint32_t) lower.index);
        link_put_namespace(work);
        if (link->has_macs)
                netlink_put(nl, IFLA_ADDRESS, link->guest_mac, MAC_SIZE);
        if (link->mtu)
                netlink_put_u32(nl, IFLA_MTU, link->mtu);
        info = netlink_nest(nl, IFLA_LINKINFO);
        netlink_put_text(nl, IFLA_INFO_KIND, kind);
        data = netlink_nest(nl, IFLA_INFO_DATA);
        netlink_put(nl, mode_type, mode, mode_size);
        netlink_nest_end(nl, data);
        netlink_nest_end(nl, info);
        r = netlink_commit(nl, work->failure);
        return r < 0 ? r : 0;
}

int macvlan_make(const struct link_work *work)
{
        static const uint32_t mode = MACVLAN_MODE_BRIDGE;

        return make(work, "macvlan", IFLA_MACVLAN_MODE, &mode, sizeof(mode));
}

int ipvlan_make(const struct link_work *work)
{
        static const uint16_t mode = IPVLAN_MODE_L2;

        return make(work, "ipvlan", IFLA_IPVLAN_MODE, &mode, sizeof(mode));
}

struct search {
        int lower; /* 0: any */
        const uint8_t *mac;
        int index;
};

/* A container can stack links on links of its own, too; only ours have their lower end elsewhere. */
static int compare(struct nlmsghdr *message, void *userdata)
{
        struct search *search = userdata;
        struct netlink_link link;

        if (netlink_read_link(message, &link) < 0 || !link.lower_elsewhere ||
            (search->lower && link.lower != search->lower) ||
            (search->mac && (!link.has_mac || memcmp(link.mac, search->mac, MAC_SIZE) != 0)))
                return 0;
        search->index = link.index;
        return 0;
}

bool stacked_remove_on(struct netlink *inside, const char *kind, int lower, const uint8_t *mac)
{
        struct search search = { .lower = lower, .mac = mac };

        if (netlink_for_each(inside, kind, 0, compare, &search, NULL) < 0 || search.index == 0)
                return false;
        link_remove(inside, search.index);
        return true;
}

void stacked_remove(struct netlink *inside)
{
        static const char *const kinds[] = { "macvlan", "ipvlan" };

        for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
                for (int i = 0; i < 64 && stacked_remove_on(inside, kinds[k], 0, NULL);)
                        i++;
}
