/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/net-plan.h"

/*
 * The network's keeper: one process on a host, libexec/stead/network-keeper, while there are machines on
 * managed networks or with published ports. It owns the firewall's tables, the dnsmasq of each network, the
 * names of machines, the port proxies and the sysctls that were changed. Each machine is a connection:
 * when that closes, for whatever reason, everything of the machine goes; with the last one all of the rest.
 * The first machine starts it; when it is killed, supervisors notice and one of them starts it again.
 */

#define NETWORK_RUN_FOLDER "/run/stead/network"

struct keeper_member {
        int fd;     /* the connection; readable: the keeper is gone, or has a notice */
        bool ready; /* it has answered */
};

#define KEEPER_MEMBER_NULL                                                                         \
        {                                                                                          \
                .fd = -1                                                                           \
        }

/* Whether a keeper runs that has members in @network: else the network is new. */
bool keeper_has_network(const char *network);

/* Connects, starts the keeper if there is none, and sends what the machine needs. Does not wait for it. */
int keeper_join(const struct net_plan *plan, struct keeper_member *ret, struct failure *failure);

/*
 * Waits, some seconds at most, until the keeper has done all of it: names, addresses to be asked for, rules,
 * ports. What it could not do and the machine can live without (no dnsmasq) is in @notice, at most
 * @size bytes, one sentence; "" if there is nothing.
 */
int keeper_wait(struct keeper_member *member, char *notice, size_t size, struct failure *failure);

/* The connection is readable: joins again if the keeper was lost. For the supervisor's loop. */
int keeper_dispatch(struct keeper_member *member, const struct net_plan *plan);

void keeper_leave(struct keeper_member *member);
