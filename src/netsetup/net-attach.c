/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links that come to a running container, or leave it. */

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/link.h"
#include "netsetup/net-run.h"

static bool is_own_namespace(int fd)
{
        struct stat own, other;

        return stat("/proc/self/ns/net", &own) == 0 && fstat(fd, &other) == 0 &&
               own.st_ino == other.st_ino && own.st_dev == other.st_dev;
}

/* The number of a process that lives is its own: so what was opened between two looks is the leader's. */
static int open_namespace(const char *machine, pid_t leader, int *ret, struct failure *failure)
{
        int pidfd CLEANUP_FD = (int) syscall(SYS_pidfd_open, leader, 0), fd CLEANUP_FD = -1, r = 0;
        struct pollfd ended = { .fd = pidfd, .events = POLLIN };
        char path[64];

        (void) snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) leader);
        if (pidfd >= 0)
                fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                r = -errno;
        else if (poll(&ended, 1, 0) != 0)
                r = -ESRCH;
        if (r < 0)
                return failure_set(failure, r, "Cannot open the network namespace of '%s': %s.",
                                   machine, error_text(r));
        if (is_own_namespace(fd))
                return failure_set(failure, -EOPNOTSUPP,
                                   "Machine '%s' has the host's network; it needs one of its own "
                                   "(--private-network) to be given interfaces.",
                                   machine);
        *ret = TAKE_FD(fd);
        return 0;
}

/* What there is to know of the network is in the link: its first addresses tell the prefixes. */
static struct net_subnet subnet_of(const struct net_link *link)
{
        struct net_subnet subnet = { .gateway4 = link->gateway4 };

        if (link->gateway6.family && !IN6_IS_ADDR_LINKLOCAL(&link->gateway6.in6))
                subnet.gateway6 = link->gateway6;
        for (size_t i = link->n_addresses; i-- > 0;)
                if (link->addresses[i].family == AF_INET)
                        subnet.prefix4 = link->addresses[i];
                else
                        subnet.prefix6 = link->addresses[i];
        return subnet;
}

/* The number of the link inside. That of a pair's other end is told by the end on the host; the container
 * may rename others as soon as they are there, and then it is not found. */
static int find_inside(const struct link_work *work, struct netlink *inside, int index)
{
        const struct net_link *link = work->link;
        struct netlink_link found;
        int r = index > 0 ? netlink_find(work->nl, index, link->host, &found, work->failure)
                          : netlink_find(inside, 0, link->guest, &found, work->failure);

        if (r < 0)
                return r;
        if (found.index > 0 && (index == 0 || found.lower_elsewhere))
                return index > 0 ? found.lower : found.index;
        return failure_set(work->failure, -ENODEV,
                           "The container took the new interface '%s' away at once.", link->guest);
}

static int set_up_inside(const struct link_work *work, int index)
{
        struct netlink inside CLEANUP_NETLINK = NETLINK_NULL;
        int r, number;

        if (!work->link->guest_up && work->link->n_addresses == 0)
                return 0;
        r = netlink_open_in(&inside, work->netns_fd, work->failure);
        if (r < 0)
                return r;
        number = find_inside(work, &inside, index);
        if (number < 0)
                return number;
        guest_end_set_up(&inside, number, work->link);
        return netlink_commit(&inside, work->failure);
}

/* ---- away -------------------------------------------------------------------------------- */

static int detach_pair(const struct link_work *work)
{
        const struct net_link *link = work->link;
        struct netlink_link found;
        int r = netlink_find(work->nl, 0, link->host, &found, work->failure);

        if (r < 0)
                return r;
        if (found.index == 0 || !streq(found.kind, "veth") || !link_is_of(&found, work->machine))
                return failure_set(work->failure, -ENODEV,
                                   "Machine '%s' has no interface '%s' on the host.", work->machine,
                                   link->host);
        link_remove(work->nl, found.index);
        if (link->master_is_zone)
                (void) zone_leave(work->nl, link->master, 0, "");
        return 0;
}

static int detach_stacked(const struct link_work *work, const char *kind)
{
        struct netlink inside CLEANUP_NETLINK = NETLINK_NULL;
        const struct net_link *link = work->link;
        struct netlink_link lower;
        int r = netlink_find(work->nl, 0, link->lower, &lower, work->failure);

        if (r >= 0)
                r = netlink_open_in(&inside, work->netns_fd, work->failure);
        if (r < 0)
                return r;
        if (lower.index == 0 ||
            !stacked_remove_on(&inside, kind, lower.index, link->has_macs ? link->guest_mac : NULL))
                return failure_set(work->failure, -ENODEV,
                                   "Machine '%s' has no such link on top of '%s'.", work->machine,
                                   link->lower);
        return 0;
}

static int detach(const struct link_work *work)
{
        switch (work->link->kind) {
        case LINK_VETH:
        case LINK_EXTRA_VETH:
                return detach_pair(work);
        case LINK_MACVLAN:
                return detach_stacked(work, "macvlan");
        case LINK_IPVLAN:
                return detach_stacked(work, "ipvlan");
        case LINK_MOVED:
                if (moved_give_back(work->nl, work->machine, work->link->host, work->netns_fd) > 0)
                        return 0;
                return failure_set(work->failure, -ENODEV,
                                   "Machine '%s' does not have interface '%s' of the host.",
                                   work->machine, work->link->host);
        }
        return -EINVAL;
}

/* ---- both -------------------------------------------------------------------------------- */

static int attach(const struct link_work *work)
{
        struct failure unheard = { .error = 0 };
        struct link_work undo = *work;
        int shown, index = link_make(work, &shown), r;

        if (index < 0)
                return index;
        r = set_up_inside(work, index);
        if (r < 0) {
                undo.failure = &unheard;
                (void) detach(&undo);
        }
        return r;
}

static int with_namespace(const struct net_link *link, const char *machine, pid_t leader,
                          int (*function)(const struct link_work *work), struct failure *failure)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        const struct net_subnet subnet = subnet_of(link);
        int netns_fd CLEANUP_FD = -1, r = open_namespace(machine, leader, &netns_fd, failure);
        const struct link_work work = { .nl = &nl,
                                        .link = link,
                                        .subnet = &subnet,
                                        .machine = machine,
                                        .leader = leader,
                                        .netns_fd = netns_fd,
                                        .failure = failure };

        if (r >= 0)
                r = netlink_open(&nl, failure);
        return r < 0 ? r : function(&work);
}

int net_link_attach(const struct net_link *link, const char *machine, pid_t leader,
                    struct failure *failure)
{
        return with_namespace(link, machine, leader, attach, failure);
}

int net_link_detach(const struct net_link *link, const char *machine, pid_t leader,
                    struct failure *failure)
{
        return with_namespace(link, machine, leader, detach, failure);
}
