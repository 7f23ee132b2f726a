/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <limits.h>

#include "basic/strbuf.h"
#include "netsetup/firewall.h"

/* What the files of the firewall say to each other. */

/* The text of the tables (firewall-rules.c). */
extern const char firewall_rules_inet[];
extern const char firewall_rules_bridge[];
/* The rule of firewall_limit_forwarding(), and how it goes. */
/* Of a family, "ipv4" or "ipv6". */
#define FIREWALL_RULE_LIMIT                                                                        \
        "add rule inet stead forward meta nfproto %s iifname != @links oifname != @links drop\n"
extern const char firewall_rules_no_limit[];

/* Of a member, what goes into the tables (firewall-elements.c, pure). */
enum firewall_verb { FIREWALL_ADD, FIREWALL_DELETE };

/* Whether the member's packets are looked at in the table "bridge stead". */
bool firewall_member_uses_bridge_table(const struct firewall_member *m);

/* Addresses of ours, and with them translation and filter. */
bool firewall_member_is_managed(const struct firewall_member *m);

/* One command per line. @bridge_too: it is the first member of its bridge, or the last one. */
void firewall_elements(const struct firewall_member *m, enum firewall_verb verb, bool bridge_too,
                       struct strbuf *out);
void firewall_port_elements(const struct firewall_member *m, enum firewall_verb verb,
                            struct strbuf *out);

/* Several ports may lead to the same one of the guest, which has one element only. */
struct guest_ports {
        uint8_t bits[2][(UINT16_MAX + 1) / CHAR_BIT];
};

/* Returns false if it was there already. */
static inline bool guest_ports_add(struct guest_ports *seen, const struct net_port *port)
{
        uint8_t *byte = &seen->bits[port->protocol == NET_UDP][port->guest / CHAR_BIT];
        uint8_t bit = (uint8_t) (1U << (port->guest % CHAR_BIT));
        bool is_new = (*byte & bit) == 0;

        *byte |= bit;
        return is_new;
}

/* The counter of one element of the ports' maps and sets: connections to @port of the host that were redirected
 * (@a is .family 0), or that arrived at @port of address @a. */
enum firewall_counter { FIREWALL_REDIRECTED, FIREWALL_FORWARDED, N_FIREWALL_COUNTERS };
struct firewall_count {
        enum firewall_counter which;
        enum net_protocol protocol;
        uint16_t port;
        struct net_address a;
        uint64_t packets;
};

/* Calls @take for all of them (firewall-count.c). Returns a negative errno, -EAGAIN if they changed meanwhile. */
int firewall_read_counters(void (*take)(void *data, const struct firewall_count *count),
                           void *data);

/* Makes the kernel forget the datagrams that it redirects to ports of @m (firewall-connections.c), as well as it
 * goes: those that are not forgotten find out by themselves, when their sender pauses. */
void firewall_forget_datagrams(const struct firewall_member *m);
