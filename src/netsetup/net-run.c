/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The executor on the host's side: makes the plan's links, and takes away what is left of them. */

#include "netsetup/net-run.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/link.h"
#include "netsetup/moved-record.h"

#define LAST_TRIES 3

/* Whether something of the plan has to be taken out of the container's namespace at the end. */
static bool needs_namespace(const struct net_plan *plan)
{
        for (size_t i = 0; i < plan->n_links; i++)
                if (plan->links[i].kind != LINK_VETH && plan->links[i].kind != LINK_EXTRA_VETH)
                        return true;
        return false;
}

static int open_namespace_of(pid_t leader, struct failure *failure)
{
        char path[64];
        int fd;

        (void) snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) leader);
        fd = open(path, O_RDONLY | O_CLOEXEC);
        return fd >= 0 ? fd
                       : failure_set(failure, -errno,
                                     "Cannot open the container's network namespace: %s.",
                                     error_text(-errno));
}

static int make_all(struct net_run *run, struct netlink *nl, pid_t leader, struct failure *failure)
{
        const struct net_plan *plan = run->plan;

        /* What one of this name that was killed had: it may be what is asked for again. */
        (void) moved_give_back(nl, plan->machine, NULL, -1);
        for (size_t i = 0; i < plan->n_links; i++) {
                const struct link_work work = { .nl = nl,
                                                .link = &plan->links[i],
                                                .subnet = plan->manager == NET_MANAGER_US
                                                                  ? &plan->lease.subnet
                                                                  : NULL,
                                                .machine = plan->machine,
                                                .leader = leader,
                                                .netns_fd = run->netns_fd,
                                                .failure = failure };
                int shown, index = link_make(&work, &shown);

                if (index < 0)
                        return index;
                run->indexes[run->n_done++] = index;
                if (run->first_ifindex == 0)
                        run->first_ifindex = shown;
        }
        return 0;
}

int net_run_host(struct net_run *run, const struct net_plan *plan, pid_t leader,
                 struct failure *failure)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        int r;

        *run = (struct net_run) NET_RUN_NULL;
        if (plan->n_links == 0)
                return 0;
        run->plan = plan;
        run->indexes = calloc(plan->n_links, sizeof(*run->indexes));
        if (!run->indexes)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = netlink_open(&nl, failure);
        if (r >= 0 && needs_namespace(plan))
                r = run->netns_fd = open_namespace_of(leader, failure);
        if (r >= 0)
                r = make_all(run, &nl, leader, failure);
        if (r < 0) {
                /* The namespace lives on until its process is ended; its links shall not. */
                for (size_t i = run->n_done; i-- > 0;)
                        if (run->indexes[i] > 0)
                                link_remove(&nl, run->indexes[i]);
                net_run_done(run);
        }
        return r;
}

/* What lives in the namespace as long as anybody holds that. Also of links that came while it ran. */
static int take_out(const struct net_run *run)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL, inside CLEANUP_NETLINK = NETLINK_NULL;
        struct failure unheard = { .error = 0 };
        int r = 0;

        if (run->plan)
                r = netlink_open(&nl, &unheard);
        if (r >= 0 && run->plan)
                r = moved_give_back(&nl, run->plan->machine, NULL, run->netns_fd);
        if (r >= 0 && run->netns_fd >= 0)
                r = netlink_open_in(&inside, run->netns_fd, &unheard);
        if (r >= 0 && run->netns_fd >= 0)
                stacked_remove(&inside);
        return r;
}

static int leave_zones(const struct net_run *run)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure unheard = { .error = 0 };
        int r = 0;

        for (size_t i = 0; r >= 0 && i < run->n_done; i++) {
                const struct net_link *link = &run->plan->links[i];

                if (!link->master_is_zone)
                        continue;
                r = nl.fd >= 0 ? 0 : netlink_open(&nl, &unheard);
                if (r >= 0)
                        r = zone_leave(&nl, link->master, run->indexes[i], run->plan->machine);
        }
        return r;
}

void net_run_done(struct net_run *run)
{
        /* Nobody comes after us but --cleanup: what fails once may not fail again. */
        for (int i = 0; i < LAST_TRIES && take_out(run) < 0; i++)
                ;
        for (int i = 0; i < LAST_TRIES && leave_zones(run) < 0; i++)
                ;
        run->netns_fd = fd_close(run->netns_fd);
        free(run->indexes);
        *run = (struct net_run) NET_RUN_NULL;
}

int net_run_sweep(const char *machine, struct failure *failure)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        int r = netlink_open(&nl, failure);

        if (r < 0)
                return r;
        r = moved_give_back(&nl, machine, NULL, -1);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot give back the interfaces of machine '%s' ('%s'): %s.",
                                   machine, MOVED_FOLDER, error_text(r));
        return r + zone_sweep(&nl, machine);
}
