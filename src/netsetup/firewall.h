/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/net-plan.h"

/*
 * The firewall's tables of ours, "inet stead" and "bridge stead", through libnftables; only in the keeper.
 * They are owned by its connection (nft's "flags owner"): nobody else's "flush ruleset" takes them away,
 * and they are gone when the keeper is. Link libfirewall.a and $(NFT_LIBS).
 */
struct firewall;

/* What the rules have to know of a machine. */
struct firewall_member {
        char link[LINK_NAME_SIZE];             /* the host's end */
        char bridge[LINK_NAME_SIZE];           /* of the zone; "": packets come from .link itself */
        uint8_t mac[MAC_SIZE];                 /* the guest's */
        struct net_address address4, address6; /* the only ones that it may use; .family 0: none */
        bool isolate;
        const struct net_port *ports;
        size_t n_ports;
};

int firewall_open(struct firewall **ret, struct failure *failure);
void firewall_close(struct firewall *fw);

/* A network comes or goes: its guests' packets to the outside are masqueraded. @limit_forwarding: the host
 * did not forward before us, so that what is neither from nor to links of ours is still not forwarded. */
int firewall_limit_forwarding(struct firewall *fw, bool on, struct failure *failure);

/* All rules of a machine, in one transaction. */
int firewall_add(struct firewall *fw, const struct firewall_member *m, struct failure *failure);
int firewall_remove(struct firewall *fw, const struct firewall_member *m, struct failure *failure);

/* Whether connections to the published ports are redirected by the kernel; firewall_add() begins with true.
 * Without it they reach the port proxy, which listens on the same ports. */
int firewall_set_ports(struct firewall *fw, const struct firewall_member *m, bool by_kernel,
                       struct failure *failure);

/* Connections that were redirected, and those of them that got past everybody's forward chains: if the first
 * grows and the second does not, another firewall drops them. */
int firewall_count_ports(struct firewall *fw, const struct firewall_member *m,
                         uint64_t *ret_redirected, uint64_t *ret_forwarded);
