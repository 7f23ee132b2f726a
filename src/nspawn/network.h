/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/keeper.h"
#include "netsetup/net-facts.h"

/* A machine's network beyond its links: the lease of its addresses, and its place with the keeper. Both
 * outlive a reboot. */
struct machine_network {
        struct net_facts facts;
        bool has_lease, lease_passes; /* passes: nobody with this name will come back */
        char network[NETWORK_NAME_SIZE];
        struct keeper_member keeper;
};

#define MACHINE_NETWORK_NULL                                                                       \
        {                                                                                          \
                .keeper = KEEPER_MEMBER_NULL                                                       \
        }

/* Reads the facts of a network of its own; writes nothing yet. */
int machine_network_look(struct machine_network *n, const struct net_config *config,
                         const char *machine, struct failure *failure);

/*
 * Takes the lease; the start is certain now. Returns 1 if it is another than the one that was looked at, so
 * that the plan has to be made again, else 0.
 */
int machine_network_take(struct machine_network *n, const struct net_plan *plan,
                         const struct net_config *config, bool passes, struct failure *failure);

/* Has names and rules made, while the rest of the start goes on. */
int machine_network_join(struct machine_network *n, const struct net_plan *plan,
                         struct failure *failure);

/*
 * The container is there, and its payload does not run yet: names resolve and ports are published once this
 * returns. Says what is missing.
 */
int machine_network_wait(struct machine_network *n, const struct net_plan *plan, int leader_pidfd,
                         struct failure *failure);

/* .keeper.fd is readable. @line_end ends a line of the terminal before its '\n'. */
void machine_network_dispatch(struct machine_network *n, const struct net_plan *plan,
                              const char *line_end);

/* Accepts an empty one. */
void machine_network_done(struct machine_network *n, const char *machine);
