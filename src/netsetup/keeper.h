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
 *
 * Below NETWORK_RUN_FOLDER, all of it root's:
 *      keeper, keeper.lock     its socket (SOCK_SEQPACKET), and the lock for starting and ending it
 *      machines/NAME           what each machine has, in the form of keeper-message.h
 *      hosts/NAME              the names of each machine, as dnsmasq reads them
 *      networks/NETWORK/       a network that has members: dnsmasq.conf, dhcp/NAME, subnet
 *      sysctls                 those that were changed, with their values before
 *      moved/                  not the keeper's: interfaces that machines have (moved-record.h)
 *      leases/                 nor this: leases that cannot be written elsewhere (address.h)
 */

#define NETWORK_RUN_FOLDER "/run/stead/network"
#define KEEPER_SOCKET NETWORK_RUN_FOLDER "/keeper"
#define KEEPER_LOCK NETWORK_RUN_FOLDER "/keeper.lock"
/* The listening socket, in the keeper. */
#define KEEPER_LISTEN_FD 3
#define NETWORK_RUN_MACHINES NETWORK_RUN_FOLDER "/machines"
#define NETWORK_RUN_HOSTS NETWORK_RUN_FOLDER "/hosts"
#define NETWORK_RUN_NETWORKS NETWORK_RUN_FOLDER "/networks"

/* What the keeper's routes to nowhere are marked with (rtm_protocol), and their metric: that of any
 * route to somewhere is better. */
#define NETWORK_ROUTE_PROTOCOL 83
#define NETWORK_ROUTE_METRIC 0xff000000U

struct keeper_member {
        int fd; /* the connection; readable: the keeper is gone, or has a notice; -1: none */
        int leader_pidfd;   /* borrowed */
        bool ready;         /* it has answered */
        unsigned n_losses;  /* how often it was lost in a row, */
        uint64_t joined_us; /* and when it was joined last (CLOCK_MONOTONIC) */
};

#define KEEPER_MEMBER_NULL                                                                         \
        {                                                                                          \
                .fd = -1, .leader_pidfd = -1                                                       \
        }

/* Whether a keeper runs that has members in @network: else the network is new. */
bool keeper_has_network(const char *network);

/*
 * Connects, starts the keeper if there is none, and sends what the machine needs. Does not wait for it:
 * it may be called before the links are there. @leader_pidfd (-1: none) is borrowed until keeper_leave();
 * port proxies find the machine's network namespace through it. On failure there is a sentence, @ret is
 * empty, and the machine can live without all that the keeper does.
 */
int keeper_join(const struct net_plan *plan, int leader_pidfd, struct keeper_member *ret,
                struct failure *failure);

/*
 * Waits, KEEPER_WAIT_MS at most, until the keeper has done all of it: names, addresses to be asked for,
 * rules, ports. What it could not do and the machine can live without (no dnsmasq) is in @notice, at most
 * @size bytes, one sentence; "" if there is nothing. A failure is something that was asked for and is not
 * there, such as a port that another machine has (-EADDRINUSE).
 */
#define KEEPER_WAIT_MS 5000
int keeper_wait(struct keeper_member *member, const struct net_plan *plan, char *notice,
                size_t size, struct failure *failure);

/*
 * The connection is readable: joins again if the keeper was lost, without waiting. For the supervisor's
 * loop. What there is to say is in @notice, "" if nothing. Returns 0, or a negative errno and .fd of -1
 * when it is given up: it is lost again and again.
 */
int keeper_dispatch(struct keeper_member *member, const struct net_plan *plan, char *notice,
                    size_t size);

/* Closes the connection, and everything of the machine goes. Accepts an empty one. */
void keeper_leave(struct keeper_member *member);

/*
 * For --cleanup and the beginning of a new keeper: puts back the sysctls, routes and files that a killed
 * one left. Returns the number of things that were put right; 0 also if a keeper runs. A sentence on failure.
 */
int keeper_sweep(struct failure *failure);
