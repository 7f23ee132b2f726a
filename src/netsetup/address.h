/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/id128.h"
#include "netsetup/net-config.h"
#include "netsetup/pool.h"

/*
 * Which subnet a managed network has, and which address a machine has in it. Both are kept in files
 * below NETWORK_STATE_FOLDER, so that they are the same after a restart of machine or host: the
 * subnet in NETWORK/subnet, the rest as lease.h says.
 *
 * The networks: "host" for all links of -n together, "zone-NAME" for each zone.
 */

#define NETWORK_STATE_FOLDER "/var/lib/stead/network"
#define NETWORK_SPARE_FOLDER "/run/stead/network/leases" /* where that one cannot be written */
#define NETWORK_CONFIG_FILE "/etc/stead/network.conf"

struct net_subnet {
        struct net_address prefix4;            /* the network's address and length */
        struct net_address prefix6;            /* a unique-local /64; .family 0: there is no IPv6 */
        struct net_address gateway4, gateway6; /* the host's, with the length of the prefix */
};

/* What a machine has in a network. */
struct net_lease {
        struct net_subnet subnet;
        /* With the length of the subnet's prefix; that of IPv6 is 128 in "host", where each machine
         * is alone on its link. */
        struct net_address address4, address6;
};

struct net_lease_request {
        const char *network, *machine;
        const struct id128 *host_id;
        const struct net_address *wanted4; /* NULL: any. What is not of the subnet is not claimed */
        bool network_is_new;               /* its first member comes */
        bool dry_run;                      /* nothing is written or warned about */
};

/*
 * The lease of a machine: the one that it had, or else one that follows from its name. The subnet is chosen
 * with the first lease of a network from the pools of the configuration, such that it does not collide with
 * any address or route of the host; that is looked at again whenever the network is new, and for the
 * machine's own address at each start. A collision that came up later gives a new subnet, or where others
 * are in it already a new address, and a warning. Costs the same for the first and the thousandth machine.
 */
int net_lease_take(const struct net_lease_request *request, struct net_lease *ret,
                   struct failure *failure);

/* Forgets the lease of @machine (an ephemeral one is gone for good). */
void net_lease_forget(const char *network, const char *machine);

/* The subnet that the network has had last. Returns whether there is one. */
bool net_subnet_read(const char *network, struct net_subnet *ret);

/* The host's configuration, or the defaults if there is none. What is wrong in it is warned about, unless
 * @quiet. */
int net_pools_read(const struct id128 *host_id, bool quiet, struct net_pools *ret,
                   struct failure *failure);
