/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"
#include "netsetup/net-plan.h"

/* The executor of the network's plan. */

/* What was made on the host, and has to be undone or given back. */
struct net_run {
        const struct net_plan *plan; /* borrowed */
        int netns_fd;      /* the container's; only where links have to be taken out of it */
        size_t n_done;     /* links of the plan that are made */
        int *indexes;      /* of their ends on the host; 0: none there */
        int first_ifindex; /* of the host's end of the first veth, or of its bridge; 0: none */
};

#define NET_RUN_NULL                                                                               \
        {                                                                                          \
                .netns_fd = -1                                                                     \
        }

/*
 * Makes all links of the plan, with the guest's ends in the network namespace of process @leader,
 * a child of ours that was not reaped. On failure all of it is undone, and the sentence says which link.
 */
int net_run_host(struct net_run *run, const struct net_plan *plan, pid_t leader,
                 struct failure *failure);

/*
 * In the guest's namespace, as its root and before the payload's first instruction: loopback up, the
 * addresses, routes and states of the links' inner ends. One socket, one conversation.
 */
int net_run_guest(const struct net_plan *plan, struct failure *failure);

/* Gives moved interfaces back and takes the rest away; also when the leader has ended. Does not wait for
 * links that go with their namespace. Accepts an empty one. */
void net_run_done(struct net_run *run);

/* For --cleanup and the next start: what a killed supervisor left of @machine (moved interfaces under
 * other names, empty zone bridges). Returns the number of things that were put right. */
int net_run_sweep(const char *machine, struct failure *failure);

/* Opens the network namespace at @path. The caller closes @ret_fd. */
int net_namespace_open(const char *path, int *ret_fd, struct failure *failure);

/*
 * Puts a link into the running container with first process @leader, or takes one away: for the registry.
 * Nothing that the container did to it counts. With addresses of the host's (.host_addresses) the gateways
 * are those of the link; the keeper has to hear of it from the caller.
 */
int net_link_attach(const struct net_link *link, const char *machine, pid_t leader,
                    struct failure *failure);
int net_link_detach(const struct net_link *link, const char *machine, pid_t leader,
                    struct failure *failure);
