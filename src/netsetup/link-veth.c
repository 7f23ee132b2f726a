/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pairs of virtual links, one end on the host, the other in the container. */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <stdio.h>
#include <time.h>

#include "basic/log.h"
#include "netsetup/address.h"
#include "netsetup/link.h"

/* How often, and how long each time, the end of a namespace is waited for that takes a link with it. */
#define DYING_TRIES 100
#define DYING_STEP_MS 10

void link_put_namespace(const struct link_work *work)
{
        if (work->netns_fd >= 0)
                netlink_put_u32(work->nl, IFLA_NET_NS_FD, (uint32_t) work->netns_fd);
        else
                netlink_put_u32(work->nl, IFLA_NET_NS_PID, (uint32_t) work->leader);
}

const char *link_alias(const char *mark, const char *machine, char text[IFALIASZ])
{
        (void) snprintf(text, IFALIASZ, "%s%s", mark, machine);
        return text;
}

bool link_is_of(const struct netlink_link *link, const char *machine)
{
        const char *name = startswith(link->alias, LINK_ALIVE);

        if (!name)
                name = startswith(link->alias, LINK_LEAVING);
        return name && streq(name, machine);
}

void link_remove(struct netlink *nl, int index)
{
        netlink_request_link(nl, RTM_DELLINK, 0, index, 0, 0, "remove the interface", NULL);
        (void) netlink_commit(nl, NULL);
}

/* Both ends in one request, the guest's in its namespace from the beginning. */
static void ask_for_pair(const struct link_work *work, int master)
{
        const struct net_link *link = work->link;
        const struct ifinfomsg guest = { .ifi_family = AF_UNSPEC };
        struct netlink *nl = work->nl;
        /* One on a network of ours comes up when it has its addresses, or when it will get none. */
        unsigned up = link->host_up && !link->host_addresses ? IFF_UP : 0;
        struct nlattr *info, *data, *peer;

        netlink_request_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, up, up,
                             "make the interface", link->host);
        netlink_put_text(nl, IFLA_IFNAME, link->host);
        if (link->has_macs)
                netlink_put(nl, IFLA_ADDRESS, link->host_mac, MAC_SIZE);
        if (link->mtu)
                netlink_put_u32(nl, IFLA_MTU, link->mtu);
        if (master)
                netlink_put_u32(nl, IFLA_MASTER, (uint32_t) master);
        info = netlink_nest(nl, IFLA_LINKINFO);
        netlink_put_text(nl, IFLA_INFO_KIND, "veth");
        data = netlink_nest(nl, IFLA_INFO_DATA);
        peer = netlink_nest(nl, VETH_INFO_PEER);
        netlink_put_raw(nl, &guest, sizeof(guest));
        netlink_put_text(nl, IFLA_IFNAME, link->guest);
        if (link->has_macs)
                netlink_put(nl, IFLA_ADDRESS, link->guest_mac, MAC_SIZE);
        if (link->mtu)
                netlink_put_u32(nl, IFLA_MTU, link->mtu);
        link_put_namespace(work);
        netlink_nest_end(nl, peer);
        netlink_nest_end(nl, data);
        netlink_nest_end(nl, info);
}

/*
 * What has the name already: a link of a machine of this name that ended, whose namespace has not yet
 * been taken down, has our mark, and can go. One that was just born when its supervisor was killed has
 * only our address; it goes by itself. Everything else is somebody else's.
 */
static int make_room(const struct link_work *work, const struct netlink_link *found)
{
        const struct timespec step = { .tv_nsec = DYING_STEP_MS * 1000000L };
        const struct net_link *link = work->link;

        if (streq(found->kind, "veth") && streq(found->name, link->host)) {
                if (link_is_of(found, work->machine)) {
                        link_remove(work->nl, found->index);
                        return 0;
                }
                if (!found->alias[0] && link->has_macs && found->has_mac &&
                    memcmp(found->mac, link->host_mac, MAC_SIZE) == 0) {
                        (void) nanosleep(&step, NULL);
                        return 0;
                }
        }
        return failure_set(work->failure, -EEXIST,
                           "There is an interface '%s' already, and it was not made for machine "
                           "'%s'. Remove it (ip link delete %s), or choose another name.",
                           link->host, work->machine, found->name);
}

/* It is not known whether the kernel did what it was asked for: its answer was lost. */
static void remove_half_made(const struct link_work *work)
{
        const struct net_link *link = work->link;
        struct netlink_link found;

        if (link->has_macs && netlink_find(work->nl, 0, link->host, &found, NULL) >= 0 &&
            found.index > 0 && streq(found.kind, "veth") && !found.alias[0] && found.has_mac &&
            memcmp(found.mac, link->host_mac, MAC_SIZE) == 0)
                link_remove(work->nl, found.index);
}

static int make_pair(const struct link_work *work, int master)
{
        for (int i = 0;; i++) {
                struct netlink_link found = { .index = 0 };
                struct failure failure = { .error = 0 };
                int r;

                ask_for_pair(work, master);
                netlink_ask_link(work->nl, 0, work->link->host, &found);
                r = netlink_commit(work->nl, &failure);
                if (r >= 0 && found.index > 0)
                        return found.index;
                if (r == -EEXIST && found.index == 0 && i < DYING_TRIES)
                        continue; /* what had the name has gone between the two requests */
                if (r != -EEXIST || i == DYING_TRIES) {
                        if (r != -EEXIST)
                                remove_half_made(work);
                        if (r == -EOPNOTSUPP && master)
                                return failure_set(work->failure, r,
                                                   "'%s' is no bridge that links can join (%s). "
                                                   "Name one (ip link show type bridge), or take "
                                                   "--network-zone=, whose bridge is made.",
                                                   work->link->master, work->link->origin);
                        return failure_set(work->failure, r < 0 ? r : -ENODEV, "%s",
                                           r < 0 ? failure.text : "A new interface is gone.");
                }
                r = make_room(work, &found);
                if (r < 0)
                        return r;
        }
}

/* The host's end of a link of -n: the gateway lives there, and knows the way to this guest. */
static void add_host_addresses(const struct link_work *work, int index)
{
        const struct net_link *link = work->link;
        const struct net_subnet *subnet = work->subnet;
        struct net_address four = subnet->gateway4, six = subnet->gateway6, local;

        host_end_protect(work->nl, index, true);
        four.prefix = 32;
        /* dnsmasq advertises a router only where the prefix is the interface's own. */
        six.prefix = subnet->prefix6.prefix;
        if (four.family)
                address_add(work->nl, index, &four);
        if (six.family) {
                address_add_without_route(work->nl, index, &six);
                (void) net_address_parse("fe80::1/64", &local);
                address_add(work->nl, index, &local);
        }
        netlink_request_link(work->nl, RTM_SETLINK, 0, index, IFF_UP, IFF_UP,
                             "bring up the interface", link->host);
        for (size_t i = 0; i < link->n_addresses; i++)
                route_add_host(work->nl, index, &link->addresses[i],
                               link->addresses[i].family == AF_INET ? &four : &six);
}

/* A port of a zone's bridge. An address of its own would serve nobody, and costs: dnsmasq looks at all
 * addresses of the host again with each one that comes. */
static void bring_up_port(const struct link_work *work, int index)
{
        host_end_make_no_address(work->nl, index);
        netlink_request_link(work->nl, RTM_SETLINK, 0, index, IFF_UP, IFF_UP,
                             "bring up the interface", work->link->host);
}

int veth_make(const struct link_work *work, int master)
{
        const struct net_link *link = work->link;
        bool gateway = link->host_addresses && !master;
        int index = make_pair(work, master), r = 0;
        char alias[IFALIASZ];

        if (index < 0)
                return index;
        netlink_request_link(work->nl, RTM_SETLINK, 0, index, 0, 0, "mark the interface",
                             link->host);
        netlink_put_text(work->nl, IFLA_IFALIAS, link_alias(LINK_ALIVE, work->machine, alias));
        if (link->altname) {
                struct nlattr *list;

                netlink_request_link(work->nl, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, index, 0,
                                     0, "give an alternative name to the interface", link->host);
                list = netlink_nest(work->nl, IFLA_PROP_LIST);
                netlink_put_text(work->nl, IFLA_ALT_IFNAME, link->altname);
                netlink_nest_end(work->nl, list);
                netlink_tolerate(work->nl, -EEXIST);
        }
        if (gateway) {
                r = host_end_ignore_routers(link->host);
                if (r < 0)
                        (void) failure_set(work->failure, r, "Cannot make '%s' ignore routers: %s.",
                                           link->host, error_text(r));
                add_host_addresses(work, index);
        } else if (link->host_up && link->host_addresses)
                bring_up_port(work, index);
        if (r >= 0)
                r = netlink_commit(work->nl, work->failure);
        if (r < 0) {
                (void) netlink_commit(work->nl, NULL);
                link_remove(work->nl, index);
        }
        return r < 0 ? r : index;
}
