/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Interfaces of the host that are moved into a container and given back at its end. What the container made
 * of one in between (another name, alternative names, addresses) does not count: it is told by its number,
 * its kind and the address that its hardware has, and gets what it had before.
 */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/log.h"
#include "basic/strv.h"
#include "netsetup/link.h"
#include "netsetup/moved-record.h"

#define RESTORE_TRIES 3
#define NAMES_AT_ONCE 64

/* ---- what it is like --------------------------------------------------------------------- */

static int take_address(struct nlmsghdr *message, void *userdata)
{
        struct moved_record *record = userdata;
        const struct ifaddrmsg *header = nlmsg_data(message);
        struct nlattr *parts[IFA_MAX + 1], *from;
        struct net_address a = { .family = header->ifa_family, .prefix = header->ifa_prefixlen };
        size_t size = a.family == AF_INET ? sizeof(a.in4) : sizeof(a.in6);

        if (message->nlmsg_type != RTM_NEWADDR || (int) header->ifa_index != record->index ||
            (a.family != AF_INET && a.family != AF_INET6) ||
            nlmsg_parse(message, sizeof(*header), parts, IFA_MAX, NULL) < 0)
                return 0;
        /* Those that end by themselves, or that the kernel makes, come again by themselves. */
        if (!(header->ifa_flags & IFA_F_PERMANENT) || header->ifa_scope == RT_SCOPE_LINK)
                return 0;
        from = parts[IFA_LOCAL] ? parts[IFA_LOCAL] : parts[IFA_ADDRESS];
        if (!from || nla_len(from) != (int) size)
                return 0;
        if (record->n_addresses == MOVED_MAX_ADDRESSES)
                return -E2BIG;
        memcpy(a.family == AF_INET ? (void *) &a.in4 : (void *) &a.in6, nla_data(from), size);
        record->has_broadcast[record->n_addresses] = parts[IFA_BROADCAST] != NULL;
        record->addresses[record->n_addresses++] = a;
        return 0;
}

static int take_altnames(struct nlmsghdr *message, void *userdata)
{
        char ***altnames = userdata;
        struct nlattr *list = nlmsg_find_attr(message, sizeof(struct ifinfomsg), IFLA_PROP_LIST);
        struct nlattr *name;
        int left, r = 0;

        if (!list)
                return 0;
        nla_for_each_nested(name, list, left)
        {
                if (nla_type(name) == IFLA_ALT_IFNAME)
                        r = strv_add(altnames, nla_get_string(name));
                if (r < 0)
                        break;
        }
        return r;
}

static void ask_altnames(struct netlink *nl, int index, char ***ret)
{
        netlink_request_link(nl, RTM_GETLINK, 0, index, 0, 0, "look at the interface", NULL);
        netlink_on_answer(nl, take_altnames, ret);
}

static void ask_addresses(struct netlink *nl, struct moved_record *record)
{
        const struct ifaddrmsg header = { .ifa_index = (uint32_t) record->index };
        int on = 1;

        /* The kernel shall leave out others' addresses, not we. */
        (void) setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
        netlink_request(nl, RTM_GETADDR, NLM_F_DUMP, &header, sizeof(header),
                        "list the addresses of the interface", record->name);
        netlink_on_answer(nl, take_address, record);
}

/* A name that nobody else has, for the way back, so that it is found again; it gets its own when it
 * is there. */
static int choose_passing_name(char ret[LINK_NAME_SIZE])
{
        char text[ID128_TEXT_SIZE];
        struct id128 random;
        int r = id128_random(&random);

        if (r < 0)
                return r;
        id128_to_plain(&random, text);
        (void) snprintf(ret, LINK_NAME_SIZE, "back%.10s", text);
        return 0;
}

/* One that can be given again. */
static bool is_address(bool has_mac, const uint8_t mac[MAC_SIZE])
{
        static const uint8_t none[MAC_SIZE];

        return has_mac && !(mac[0] & 1) && memcmp(mac, none, MAC_SIZE) != 0;
}

static int describe(const struct link_work *work, const struct netlink_link *link,
                    struct moved_record *ret)
{
        int r;

        *ret = (struct moved_record){ .index = link->index,
                                      .mtu = link->mtu,
                                      .up = link->flags & IFF_UP,
                                      .flags = link->flags & MOVED_FLAGS,
                                      .has_flags = true,
                                      .has_mac = is_address(link->has_mac, link->mac),
                                      .has_permanent_mac = is_address(link->has_permanent_mac,
                                                                      link->permanent_mac) };
        (void) snprintf(ret->machine, sizeof(ret->machine), "%s", work->machine);
        (void) snprintf(ret->name, sizeof(ret->name), "%s", link->name);
        (void) snprintf(ret->kind, sizeof(ret->kind), "%s", link->kind);
        (void) snprintf(ret->alias, sizeof(ret->alias), "%s", link->alias);
        memcpy(ret->mac, link->mac, MAC_SIZE);
        memcpy(ret->permanent_mac, link->permanent_mac, MAC_SIZE);
        r = choose_passing_name(ret->passing);
        if (r < 0)
                return failure_set(work->failure, r, "No random number for the name of '%s': %s.",
                                   link->name, error_text(r));
        ask_altnames(work->nl, link->index, &ret->altnames);
        ask_addresses(work->nl, ret);
        return netlink_commit(work->nl, work->failure);
}

/* ---- there ------------------------------------------------------------------------------- */

/* udev renames interfaces when it first sees them; one that is gone by then is not renamed back. */
static bool udev_is_not_done(int index)
{
        char path[64];

        (void) snprintf(path, sizeof(path), "/run/udev/data/n%d", index);
        return access("/run/udev/control", F_OK) == 0 && access("/sys", W_OK) == 0 &&
               access(path, F_OK) < 0;
}

static int find_on_host(const struct link_work *work, struct netlink_link *ret)
{
        const struct net_link *link = work->link;
        int r = netlink_find(work->nl, 0, link->host, ret, work->failure);

        if (r < 0)
                return r;
        if (ret->index == 0)
                return failure_set(work->failure, -ENODEV,
                                   "There is no interface '%s' on the host (%s).", link->host,
                                   link->origin ? link->origin : "--network-interface=");
        if (udev_is_not_done(ret->index))
                return failure_set(
                        work->failure, -EBUSY,
                        "Interface '%s' is so new that udev is not yet done with it. Try "
                        "again in a moment.",
                        link->host);
        return 0;
}

static int move(const struct link_work *work, int index)
{
        const struct net_link *link = work->link;

        netlink_request_link(work->nl, RTM_SETLINK, 0, index, 0, 0,
                             "move into the container the interface", link->host);
        link_put_namespace(work);
        netlink_put_text(work->nl, IFLA_IFNAME, link->guest);
        if (link->has_macs)
                netlink_put(work->nl, IFLA_ADDRESS, link->guest_mac, MAC_SIZE);
        if (link->mtu)
                netlink_put_u32(work->nl, IFLA_MTU, link->mtu);
        return netlink_commit(work->nl, work->failure);
}

/* Its number may be another in there, if that one was taken. */
static void note_number(const struct link_work *work, struct moved_record *record)
{
        struct netlink inside CLEANUP_NETLINK = NETLINK_NULL;
        struct failure unheard = { .error = 0 };
        struct netlink_link found;

        if (netlink_open_in(&inside, work->netns_fd, &unheard) < 0 ||
            netlink_find(&inside, 0, work->link->guest, &found, NULL) < 0 || found.index == 0)
                return;
        record->inside = found.index;
        (void) moved_record_store(record, &unheard);
}

/* Half of a move may have been done: there, but not renamed. */
static void undo_move(const struct link_work *work, const struct moved_record *record)
{
        struct netlink_link found;
        bool moved = netlink_find(work->nl, record->index, record->name, &found, NULL) < 0 ||
                     !streq(found.name, record->name);

        if (!moved)
                (void) moved_record_forget(record);
        (void) moved_give_back(work->nl, work->machine, moved ? record->name : "", work->netns_fd);
}

int moved_make(const struct link_work *work)
{
        struct moved_record record CLEANUP_MOVED_RECORD = { .index = 0 };
        struct netlink_link link;
        int r = find_on_host(work, &link);

        if (r >= 0)
                r = describe(work, &link, &record);
        if (r >= 0)
                r = moved_record_store(&record, work->failure);
        if (r < 0)
                return r;
        if (record.kind[0]) {
                r = moved_namespace_keep(work->machine, work->netns_fd);
                if (r < 0)
                        (void) failure_set(work->failure, r,
                                           "Cannot keep the network namespace of machine '%s' for "
                                           "interface '%s': %s.",
                                           work->machine, link.name, error_text(r));
        }
        if (r >= 0)
                r = move(work, link.index);
        if (r < 0) {
                undo_move(work, &record);
                return r;
        }
        note_number(work, &record);
        return 0;
}

/* ---- and back ---------------------------------------------------------------------------- */

struct search {
        const struct moved_record *record;
        bool at_home;
        int index;
};

/* Numbers change, and a container can choose them; but the address of hardware stays. */
static bool is_same_hardware(const struct moved_record *record, const struct netlink_link *link)
{
        if (record->has_permanent_mac)
                return link->has_permanent_mac &&
                       memcmp(link->permanent_mac, record->permanent_mac, MAC_SIZE) == 0;
        return link->index == record->index && record->has_mac && link->has_mac &&
               memcmp(link->mac, record->mac, MAC_SIZE) == 0;
}

/* As long as its number in there was not noted down, nothing of the container's has run. */
static bool is_same_virtual(const struct moved_record *record, const struct netlink_link *link)
{
        if (record->inside)
                return link->index == record->inside;
        return link->index == record->index || streq(link->name, record->name) ||
               (record->has_mac && link->has_mac && memcmp(link->mac, record->mac, MAC_SIZE) == 0);
}

static int compare(struct nlmsghdr *message, void *userdata)
{
        struct search *search = userdata;
        const struct moved_record *record = search->record;
        struct netlink_link link;

        if (netlink_read_link(message, &link) < 0 || !streq(link.kind, record->kind) ||
            link.flags & IFF_LOOPBACK)
                return 0;
        if (record->kind[0] || (!search->at_home && !record->has_permanent_mac)
                    ? is_same_virtual(record, &link)
                    : is_same_hardware(record, &link))
                search->index = link.index;
        return 0;
}

static int find_moved(struct netlink *nl, const struct moved_record *record, bool at_home)
{
        struct search search = { .record = record, .at_home = at_home };
        struct netlink_link found;
        int r;

        /* Somebody was killed while giving it back. */
        r = at_home ? netlink_find(nl, 0, record->passing, &found, NULL) : 0;
        if (r < 0 || (at_home && found.index > 0))
                return r < 0 ? r : found.index;
        /* The kernel removes virtual ones together with their namespace; what has the number of one by
         * now is another. */
        if (at_home && record->kind[0])
                return 0;
        r = netlink_for_each(nl, record->kind[0] ? record->kind : NULL, 0, compare, &search, NULL);
        return r < 0 ? r : search.index;
}

/* An alternative name of the container's choice could be a name on the host, and would keep the interface
 * where it is. */
static void remove_altnames(struct netlink *nl, int index)
{
        char **names CLEANUP_STRV = NULL;

        ask_altnames(nl, index, &names);
        if (netlink_commit(nl, NULL) < 0)
                return;
        STRV_FOREACH(name, names)
        {
                struct nlattr *list;

                /* There may be thousands, which are too much for one message to the kernel. */
                if ((size_t) (name - names) % NAMES_AT_ONCE == NAMES_AT_ONCE - 1)
                        (void) netlink_commit(nl, NULL);
                netlink_request_link(nl, RTM_DELLINKPROP, 0, index, 0, 0, "remove a name", *name);
                list = netlink_nest(nl, IFLA_PROP_LIST);
                netlink_put_text(nl, IFLA_ALT_IFNAME, *name);
                netlink_nest_end(nl, list);
        }
        (void) netlink_commit(nl, NULL);
}

/* Out of the namespace that @netns_fd is. Returns its number on the host; 0 if it is not in there. */
static int take_home(struct netlink *nl, const struct moved_record *record, int netns_fd)
{
        struct netlink inside CLEANUP_NETLINK = NETLINK_NULL;
        int home CLEANUP_FD = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), index, r;
        struct failure unheard = { .error = 0 };
        struct netlink_link found;

        if (home < 0)
                return -errno;
        r = netlink_open_in(&inside, netns_fd, &unheard);
        if (r < 0)
                return r == -EINVAL ? 0 : r; /* a namespace was never put there */
        index = find_moved(&inside, record, false);
        if (index <= 0)
                return index;
        remove_altnames(&inside, index);
        /* What IPv6 does on the interface is decided when it comes home. */
        if (record->has_flags) {
                netlink_request_link(&inside, RTM_SETLINK, 0, index, record->flags, MOVED_FLAGS,
                                     "set up", record->name);
                (void) netlink_commit(&inside, NULL);
        }
        netlink_request_link(&inside, RTM_SETLINK, 0, index, 0, IFF_UP, "give back", record->name);
        netlink_put_u32(&inside, IFLA_NET_NS_FD, (uint32_t) home);
        netlink_put_text(&inside, IFLA_IFNAME, record->passing);
        r = netlink_commit(&inside, NULL);
        if (r < 0)
                return r;
        r = netlink_find(nl, 0, record->passing, &found, NULL);
        return r < 0 ? r : found.index;
}

static void ask_for_names(struct netlink *nl, const struct moved_record *record, int index)
{
        /* If somebody took it meanwhile, it keeps the passing one. */
        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, IFF_UP, "rename", record->name);
        netlink_put_text(nl, IFLA_IFNAME, record->name);
        STRV_FOREACH(name, record->altnames)
        {
                struct nlattr *list;

                netlink_request_link(nl, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, index, 0, 0,
                                     "give a name", *name);
                list = netlink_nest(nl, IFLA_PROP_LIST);
                netlink_put_text(nl, IFLA_ALT_IFNAME, *name);
                netlink_nest_end(nl, list);
        }
}

/* Programs that see each packet, which the container may have left on it. */
static void ask_for_no_program(struct netlink *nl, int index)
{
        const int32_t none = -1;
        struct nlattr *program;

        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "clean", NULL);
        program = netlink_nest(nl, IFLA_XDP);
        netlink_put(nl, IFLA_XDP_FD, &none, sizeof(none));
        netlink_nest_end(nl, program);
}

/* It is on the host, under any name and with settings of the container's. The kernel does each of the
 * requests, also behind one that fails. */
static void restore(struct netlink *nl, const struct moved_record *record, int index)
{
        remove_altnames(nl, index);
        ask_for_names(nl, record, index);
        ask_for_no_program(nl, index);
        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "set up", record->name);
        netlink_put_text(nl, IFLA_IFALIAS, record->alias);
        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "set up", record->name);
        netlink_put_u32(nl, IFLA_MTU, record->mtu);
        if (record->has_mac) {
                netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "set up", record->name);
                netlink_put(nl, IFLA_ADDRESS, record->mac, MAC_SIZE);
        }
        if (record->has_flags)
                netlink_request_link(nl, RTM_SETLINK, 0, index, record->flags, MOVED_FLAGS,
                                     "set up", record->name);
        for (size_t i = 0; i < record->n_addresses; i++)
                (record->has_broadcast[i] ? address_add : address_add_bare)(nl, index,
                                                                            &record->addresses[i]);
        if (record->up)
                netlink_request_link(nl, RTM_SETLINK, 0, index, IFF_UP, IFF_UP, "bring up",
                                     record->name);
        (void) netlink_commit(nl, NULL);
}

static bool is_as_before(struct netlink *nl, const struct moved_record *record, int index)
{
        struct netlink_link found;

        return netlink_find(nl, index, record->name, &found, NULL) >= 0 &&
               streq(found.name, record->name) && streq(found.kind, record->kind) &&
               found.mtu == record->mtu && streq(found.alias, record->alias) &&
               record->up == !!(found.flags & IFF_UP) &&
               (!record->has_flags || record->flags == (found.flags & MOVED_FLAGS));
}

/* 1: given back; 0: there is nothing to be given back; negative: later, maybe. */
static int give_back(struct netlink *nl, const struct moved_record *record, int netns_fd)
{
        int index = netns_fd >= 0 ? take_home(nl, record, netns_fd) : 0, r;

        /* The kernel may have been faster. */
        if (index == 0)
                index = find_moved(nl, record, true);
        if (index < 0)
                return index;
        /* It is from the beginning if it was never moved. Else some of it may
         * fail once, as when there is no memory. */
        for (int i = 0; index > 0 && i < RESTORE_TRIES && !is_as_before(nl, record, index); i++)
                restore(nl, record, index);
        /* One that is nowhere was removed by the container, or ended with a namespace inside of that. */
        r = moved_record_forget(record);
        return r < 0 ? r : index > 0;
}

int moved_give_back(struct netlink *nl, const char *machine, const char *name, int netns_fd)
{
        int kept CLEANUP_FD = -1, given = 0, error = 0, r;
        struct moved_record *records;
        bool others = false;
        size_t n;

        r = moved_records_load(machine, &records, &n);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (n > 0 && netns_fd < 0)
                kept = moved_namespace_open(machine);
        for (size_t i = 0; i < n; i++) {
                if (name && !streq(records[i].name, name)) {
                        others = true;
                        continue;
                }
                r = give_back(nl, &records[i], netns_fd < 0 ? kept : netns_fd);
                given += r > 0;
                error = MIN_OF(error, MIN_OF(r, 0));
        }
        moved_records_free(records, n);
        if (!others && error == 0)
                error = moved_namespace_forget(machine);
        return error < 0 ? error : given;
}
