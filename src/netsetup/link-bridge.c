/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Bridges that links join: existing ones, and zones, whose bridge is made by the first member and goes
 * with the last one. All of that happens under one lock, which systemd-nspawn takes as well.
 */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "basic/id128.h"
#include "basic/io.h"
#include "basic/log.h"
#include "netsetup/address.h"
#include "netsetup/link.h"

#define ZONE_LOCK_FOLDER "/run/systemd"
#define ZONE_LOCK_FILE ZONE_LOCK_FOLDER "/nspawn-network-zone"

/* The mark on a bridge that we made; and how its address begins, of the kind that nobody owns, which it
 * has from the beginning. */
#define ZONE_ALIAS "stead-zone"
static const uint8_t zone_mac[] = { 0x5e, 0xad, 0x7a };

int bridge_find(const struct link_work *work)
{
        const char *name = work->link->master;
        struct netlink_link found;
        int r = netlink_find(work->nl, 0, name, &found, work->failure);

        if (r < 0)
                return r;
        if (found.index == 0)
                return failure_set(
                        work->failure, -ENODEV,
                        "There is no bridge '%s' (%s). Make it first (ip link add %s type "
                        "bridge), or take --network-zone=, whose bridge is made.",
                        name, work->link->origin ? work->link->origin : "network", name);
        /* Others switch, too: ovs, team. A bond would take it, but is not meant. */
        return found.index;
}

static int take_zone_lock(struct lock_file *ret, struct failure *failure)
{
        int r = lock_file_acquire_patiently(ZONE_LOCK_FILE, ret);

        /* A host without systemd. */
        if (r == -ENOENT) {
                r = make_directories(ZONE_LOCK_FOLDER, 0755);
                if (r >= 0)
                        r = lock_file_acquire_patiently(ZONE_LOCK_FILE, ret);
        }
        if (r < 0)
                return failure_set(failure, r, "Cannot take the lock of zones, '%s': %s.",
                                   ZONE_LOCK_FILE, error_text(r));
        return 0;
}

/* An address of its own: else the bridge has that of one of its members, and changes it when members
 * come and go, which guests would notice. */
static int choose_mac(uint8_t ret[MAC_SIZE])
{
        struct id128 random;
        int r = id128_random(&random);

        if (r < 0)
                return r;
        memcpy(ret, random.bytes, MAC_SIZE);
        memcpy(ret, zone_mac, sizeof(zone_mac));
        return 0;
}

static int make_bridge(const struct link_work *work, struct netlink_link *ret)
{
        const char *name = work->link->master;
        struct netlink *nl = work->nl;
        struct nlattr *info;
        uint8_t mac[MAC_SIZE];
        int r = choose_mac(mac);

        if (r < 0)
                return failure_set(work->failure, r, "No random number for a MAC address: %s.",
                                   error_text(r));
        netlink_request_link(nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, 0, 0,
                             "make the zone's bridge", name);
        netlink_put_text(nl, IFLA_IFNAME, name);
        netlink_put(nl, IFLA_ADDRESS, mac, MAC_SIZE);
        info = netlink_nest(nl, IFLA_LINKINFO);
        netlink_put_text(nl, IFLA_INFO_KIND, "bridge");
        netlink_nest_end(nl, info);
        netlink_ask_link(nl, 0, name, ret);
        r = netlink_commit(nl, work->failure);
        if (r < 0)
                return r;
        netlink_request_link(nl, RTM_SETLINK, 0, ret->index, 0, 0, "mark the zone's bridge", name);
        netlink_put_text(nl, IFLA_IFALIAS, ZONE_ALIAS);
        (void) netlink_commit(nl, NULL); /* only a sweep would miss it */
        return 0;
}

/* A bridge that we manage: the gateway lives there. Also one that was there, since its first member may
 * have been a machine that nobody gives addresses. */
static int set_up_bridge(const struct link_work *work, const struct netlink_link *bridge)
{
        const struct net_subnet *subnet = work->subnet;
        struct net_address four = subnet->gateway4, six = subnet->gateway6, local;
        int r = host_end_ignore_routers(bridge->name);

        if (r < 0)
                return failure_set(work->failure, r, "Cannot make '%s' ignore routers: %s.",
                                   bridge->name, error_text(r));
        if (!(bridge->flags & IFF_UP))
                host_end_protect(work->nl, bridge->index, false);
        four.prefix = subnet->prefix4.prefix;
        six.prefix = subnet->prefix6.prefix;
        if (four.family)
                address_add(work->nl, bridge->index, &four);
        if (six.family) {
                address_add(work->nl, bridge->index, &six);
                (void) net_address_parse("fe80::1/64", &local);
                address_add(work->nl, bridge->index, &local);
        }
        if (!(bridge->flags & IFF_UP))
                netlink_request_link(work->nl, RTM_SETLINK, 0, bridge->index, IFF_UP, IFF_UP,
                                     "bring up the zone's bridge", work->link->master);
        return netlink_commit(work->nl, work->failure);
}

struct port_count {
        const char *machine;
        size_t n;
};

static int count_port(struct nlmsghdr *message, void *userdata)
{
        struct port_count *count = userdata;
        struct netlink_link port;

        if (netlink_read_link(message, &port) < 0 || link_is_of(&port, count->machine) ||
            startswith(port.alias, LINK_LEAVING))
                return 0;
        count->n++;
        return 0;
}

/* Under the lock. Ports of @machine, which has ended, do not count. Of two members that end at
 * once, each sees the other's link until its namespace has been taken down; so those that leave are
 * marked. */
static int remove_if_empty(struct netlink *nl, const struct netlink_link *bridge,
                           const char *machine)
{
        struct port_count count = { .machine = machine };
        int r = 0;

        if (streq(bridge->kind, "bridge"))
                r = netlink_for_each(nl, NULL, bridge->index, count_port, &count, NULL);
        if (r < 0 || count.n > 0 || !streq(bridge->kind, "bridge"))
                return r;
        netlink_request_link(nl, RTM_DELLINK, 0, bridge->index, 0, 0, "remove the zone's bridge",
                             bridge->name);
        r = netlink_commit(nl, NULL);
        return r < 0 ? r : 1;
}

int zone_enter(const struct link_work *work, struct lock_file *ret_lock)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        struct netlink_link bridge = { .index = 0 };
        bool is_new = false;
        int r = take_zone_lock(&lock, work->failure);

        if (r >= 0)
                r = netlink_find(work->nl, 0, work->link->master, &bridge, work->failure);
        if (r >= 0 && bridge.index == 0) {
                r = make_bridge(work, &bridge);
                is_new = r != -EEXIST;
        } else if (r >= 0 && !streq(bridge.kind, "bridge"))
                r = failure_set(work->failure, -EEXIST,
                                "'%s', the bridge of the zone, is an interface of another kind. "
                                "Choose another zone.",
                                bridge.name);
        if (r >= 0 && work->link->host_addresses && work->subnet)
                r = set_up_bridge(work, &bridge);
        if (r < 0) {
                /* The answer may have been lost. */
                if (is_new && netlink_find(work->nl, 0, work->link->master, &bridge, NULL) >= 0 &&
                    bridge.index > 0)
                        (void) remove_if_empty(work->nl, &bridge, "");
                return r;
        }
        *ret_lock = lock;
        lock = (struct lock_file) LOCK_FILE_NULL;
        return bridge.index;
}

int zone_leave(struct netlink *nl, const char *name, int port, const char *machine)
{
        struct failure unheard = { .error = 0 };
        char alias[IFALIASZ];
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        struct netlink_link bridge;
        int r = take_zone_lock(&lock, &unheard);

        if (r < 0)
                return r;
        if (port > 0) {
                netlink_request_link(nl, RTM_SETLINK, 0, port, 0, 0, "mark the interface", NULL);
                netlink_put_text(nl, IFLA_IFALIAS, link_alias(LINK_LEAVING, machine, alias));
                netlink_tolerate(nl, -ENODEV);
        }
        netlink_ask_link(nl, 0, name, &bridge);
        r = netlink_commit(nl, NULL);
        if (r >= 0 && bridge.index > 0 && streq(bridge.name, name))
                r = remove_if_empty(nl, &bridge, machine);
        return MIN_OF(r, 0);
}

struct zone_list {
        struct netlink_link *bridges;
        size_t n;
};

static bool is_our_zone(const struct netlink_link *bridge)
{
        return streq(bridge->alias, ZONE_ALIAS) ||
               (!bridge->alias[0] && startswith(bridge->name, "vz-") && bridge->has_mac &&
                memcmp(bridge->mac, zone_mac, sizeof(zone_mac)) == 0);
}

static int collect_zone(struct nlmsghdr *message, void *userdata)
{
        struct zone_list *list = userdata;
        struct netlink_link bridge, *grown;

        if (netlink_read_link(message, &bridge) < 0 || !is_our_zone(&bridge))
                return 0;
        grown = reallocarray(list->bridges, list->n + 1, sizeof(*grown));
        if (!grown)
                return -ENOMEM;
        list->bridges = grown;
        list->bridges[list->n++] = bridge;
        return 0;
}

int zone_sweep(struct netlink *nl, const char *machine)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        struct failure unheard = { .error = 0 };
        struct zone_list list = { .n = 0 };
        int removed = 0;

        if (netlink_for_each(nl, "bridge", 0, collect_zone, &list, NULL) >= 0 && list.n > 0 &&
            take_zone_lock(&lock, &unheard) >= 0)
                for (size_t i = 0; i < list.n; i++)
                        removed += remove_if_empty(nl, &list.bridges[i], machine) > 0;
        free(list.bridges);
        return removed;
}
