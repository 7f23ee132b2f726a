/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/id128.h"
#include "netsetup/net-config.h"

/*
 * Which subnet a managed network has, and which address a machine has in it. Both are kept in files
 * below NETWORK_STATE_FOLDER, so that they are the same after a restart of machine or host, and each
 * address is claimed by creating a file (link(2), O_EXCL), so that none is given twice.
 *
 * The networks: "host" for all links of -n together, "zone-NAME" for each zone.
 */

#define NETWORK_STATE_FOLDER "/var/lib/stead/network"
#define NETWORK_CONFIG_FILE "/etc/stead/network.conf"

struct net_subnet {
        struct net_address prefix4; /* the network's address and length */
        struct net_address prefix6; /* a unique-local /64; .family 0: the host has no IPv6 */
        struct net_address gateway4, gateway6; /* the host's */
};

/* What a machine has in a network. */
struct net_lease {
        struct net_subnet subnet;
        struct net_address address4, address6;
};

/*
 * The lease of @machine in @network: the one that it had, or else one that follows from its name. With
 * @dry_run nothing is written. The subnet is chosen with the first lease of a network from the pools
 * of the configuration, such that it does not collide with any address or route of the host; that is
 * looked at again whenever @network_is_new (its first member comes), and for the machine's own address
 * at each start. A collision that came up later gives a new subnet and a warning. Costs the same for
 * the first and the thousandth machine.
 */
int net_lease_take(const char *network, const char *machine, const struct id128 *host_id,
                   bool network_is_new, bool dry_run, struct net_lease *ret,
                   struct failure *failure);

/* Forgets the leases of @machine (an ephemeral one is gone for good). */
void net_lease_forget(const char *network, const char *machine);
