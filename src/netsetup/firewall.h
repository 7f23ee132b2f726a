/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/net-plan.h"

/*
 * The firewall's tables of ours, "inet stead" and "bridge stead", through libnftables; only in the keeper.
 * They are owned by its connection (nft's "flags owner"): nobody else's "flush ruleset" takes them away,
 * and they are gone when the keeper is. Link libfirewall.a and $(NFT_LIBS) $(NL_LIBS).
 *
 * What the tables do is in firewall-rules.c. They never let through what another firewall of the host
 * drops: with nftables a packet has to be accepted by every table. Where Docker, ufw or firewalld drop
 * what is forwarded, published ports are left to the port proxy; see firewall_count_ports().
 */
struct firewall;

/* What the rules have to know of a machine. */
struct firewall_member {
        const char *machine;         /* for sentences; NULL: the link is named instead */
        char link[LINK_NAME_SIZE];   /* the host's end */
        char bridge[LINK_NAME_SIZE]; /* that it is a port of; "": packets come from .link itself */
        uint8_t mac[MAC_SIZE];       /* the guest's */

        /* The only ones that it may use, and where its ports lead; .family 0: none. With neither, somebody
         * else manages the link: there is no address translation and no filter of sources. */
        struct net_address address4, address6;
        const struct net_address *others; /* more that it may use */
        size_t n_others;

        /* Somebody else manages the link, which is no port of a bridge: the addresses are only where its
         * ports lead to. */
        bool only_ports;

        /* Of the host itself, whatever its address, the guest reaches only DHCP, DNS, ICMP, published
         * ports, and what the host began. Siblings and the outside are no business of this. */
        bool isolate;
        const struct net_port *ports;
        size_t n_ports;
};

int firewall_open(struct firewall **ret, struct failure *failure);
void firewall_close(struct firewall *fw);

/* The host did not forward before us, @ipv4 or @ipv6, so what neither comes from nor goes to links of ours is
 * still not forwarded. */
int firewall_limit_forwarding(struct firewall *fw, bool ipv4, bool ipv6, struct failure *failure);

/* All rules of a machine, in one transaction: the link is its name, and what was said of it before is
 * forgotten. @m is copied. -EADDRINUSE: another machine has one of its ports, and is named. */
int firewall_add(struct firewall *fw, const struct firewall_member *m, struct failure *failure);

/* Only @m's link is looked at; a link that is not known is fine. */
int firewall_remove(struct firewall *fw, const struct firewall_member *m, struct failure *failure);

/* Whether connections to the published ports are redirected by the kernel; firewall_add() begins with true.
 * Without it they reach the port proxy, which listens on the same ports. Those from and to loopback addresses
 * always do. */
int firewall_set_ports(struct firewall *fw, const struct firewall_member *m, bool by_kernel,
                       struct failure *failure);

/* Reads the counters of all machines' published ports at once: it costs the same for one machine and for
 * some. */
int firewall_look(struct firewall *fw);

/* Connections that were redirected since the kernel began to, and those of them that got past everybody's
 * forward chains, when firewall_look() was called: if the first grows and the second does not, another
 * firewall drops them. */
void firewall_count_ports(struct firewall *fw, const struct firewall_member *m,
                          uint64_t *ret_redirected, uint64_t *ret_forwarded);
