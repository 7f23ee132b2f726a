/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <limits.h>

#include "basic/strbuf.h"
#include "netsetup/firewall.h"

/* What the files of the firewall say to each other. */

/* The chains of the tables, and the rule of firewall_limit_forwarding() (firewall-rules.c). */
extern const char firewall_rules_inet[];
extern const char firewall_rules_bridge[];
extern const char firewall_rules_no_limit[];
/* Of a family, "ipv4" or "ipv6". */
#define FIREWALL_RULE_LIMIT                                                                        \
        "add rule inet stead forward meta nfproto %s iifname != @links oifname != @links "         \
        "jump strangers\n"

/* The sets and maps of the tables (firewall-sets.c). */
enum firewall_set {
        FIREWALL_LINKS,
        FIREWALL_HAIRPINS,
        FIREWALL_ISOLATED_LINKS,
        FIREWALL_ISOLATED_MACS,
        FIREWALL_PUBLISHED,
        FIREWALL_OWN4,
        FIREWALL_OWN6,
        FIREWALL_PORTS4,
        FIREWALL_PORTS6,
        FIREWALL_ARRIVED4,
        FIREWALL_ARRIVED6,
        FIREWALL_SOURCES4,
        FIREWALL_SOURCES6,
        FIREWALL_FILTERED,
        FIREWALL_BRIDGE_MACS,
        FIREWALL_BRIDGE_ONLY_MAC,
        FIREWALL_BRIDGE_SOURCES4,
        FIREWALL_BRIDGE_SOURCES6,
        FIREWALL_BRIDGE_TARGETS,
        FIREWALL_BRIDGE_TAKEN,
        FIREWALL_BRIDGE_FILTERED,
        N_FIREWALL_SETS,
};

/* Elements that come or go in one transaction. */
enum firewall_verb { FIREWALL_ADD, FIREWALL_DELETE };

struct firewall_batch {
        enum firewall_verb verb;
        struct strbuf keys[N_FIREWALL_SETS]; /* a line for each */
};
#define CLEANUP_BATCH CLEANUP(firewall_batch_done)

void firewall_batch_done(struct firewall_batch *b);
void firewall_batch_add(struct firewall_batch *b, enum firewall_set set, const char *key);
bool firewall_batch_ok(const struct firewall_batch *b);

/* nft's commands; for elements that are deleted, @one_by_one makes a command, and a line, for each. */
void firewall_batch_text(const struct firewall_batch *b, bool one_by_one, struct strbuf *out);

/* nft's command for a new table. */
void firewall_table_text(const char *family, struct strbuf *out);

/* Of a member, what goes into the tables (firewall-elements.c, pure). @bridge_too: it is the first
 * member of its bridge, or the last one. */
void firewall_elements(const struct firewall_member *m, bool bridge_too, struct firewall_batch *b);
void firewall_port_elements(const struct firewall_member *m, struct firewall_batch *b);

/* Whether the member's packets are looked at in the table "bridge stead". */
bool firewall_member_uses_bridge_table(const struct firewall_member *m);

/* Addresses of ours, and with them translation and filter. */
bool firewall_member_is_managed(const struct firewall_member *m);

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

/* Calls @take for all of them (firewall-count.c). Returns a negative errno, -EAGAIN if they changed
 * meanwhile. */
int firewall_read_counters(void (*take)(void *data, const struct firewall_count *count),
                           void *data);

/* The attribute @type inside of @in; NULL if there is none, or if @in is NULL. */
struct nlattr;
const struct nlattr *firewall_find_nested(const struct nlattr *in, int type);

/* Makes the kernel forget the datagrams that it redirects to ports of @m (firewall-connections.c),
 * as well as it goes: those that are not forgotten find out by themselves, when their sender
 * pauses. */
void firewall_forget_datagrams(const struct firewall_member *m);
