/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/firewall-parts.h"

/*
 * The sets and maps, and how elements come into them. An element that is added by its own command makes
 * libnftables read all elements of all sets of ranges on the host, for instance the ten thousand lines of
 * somebody's list of bad addresses. In the form in which a table is declared it does not.
 */

static const struct {
        const char *family, *name, *definition;
} sets[N_FIREWALL_SETS] = {
        [FIREWALL_FILTERED] = { "inet", "set filtered", "type ifname;" },
        [FIREWALL_SOURCES4] = { "inet", "set sources4", "type ifname . ipv4_addr;" },
        [FIREWALL_SOURCES6] = { "inet", "set sources6", "type ifname . ipv6_addr;" },
        [FIREWALL_LINKS] = { "inet", "set links", "type ifname;" },
        [FIREWALL_HAIRPINS] = { "inet", "set hairpins", "type ifname . ifname;" },
        [FIREWALL_ISOLATED_LINKS] = { "inet", "set isolated_links", "type ifname;" },
        [FIREWALL_ISOLATED_MACS] = { "inet", "set isolated_macs", "type ifname . ether_addr;" },
        [FIREWALL_PUBLISHED] = { "inet", "set published", "type inet_proto . inet_service;" },
        [FIREWALL_OWN4] = { "inet", "set own4", "type ipv4_addr . inet_proto . inet_service;" },
        [FIREWALL_OWN6] = { "inet", "set own6", "type ipv6_addr . inet_proto . inet_service;" },
        [FIREWALL_PORTS4] = { "inet", "map ports4",
                              "type inet_proto . inet_service : ipv4_addr . inet_service; "
                              "counter;" },
        [FIREWALL_PORTS6] = { "inet", "map ports6",
                              "type inet_proto . inet_service : ipv6_addr . inet_service; "
                              "counter;" },
        [FIREWALL_ARRIVED4] = { "inet", "set arrived4",
                                "type inet_proto . ipv4_addr . inet_service; counter;" },
        [FIREWALL_ARRIVED6] = { "inet", "set arrived6",
                                "type inet_proto . ipv6_addr . inet_service; counter;" },
        [FIREWALL_BRIDGE_MACS] = { "bridge", "set macs", "type ifname . ether_addr;" },
        [FIREWALL_BRIDGE_ONLY_MAC] = { "bridge", "set only_mac", "type ifname;" },
        [FIREWALL_BRIDGE_SOURCES4] = { "bridge", "set sources4", "type ifname . ipv4_addr;" },
        [FIREWALL_BRIDGE_SOURCES6] = { "bridge", "set sources6", "type ifname . ipv6_addr;" },
        [FIREWALL_BRIDGE_TARGETS] = { "bridge", "set targets", "typeof iifname . @nh,64,128;" },
        [FIREWALL_BRIDGE_TAKEN] = { "bridge", "set taken", "typeof @nh,64,128;" },
        [FIREWALL_BRIDGE_FILTERED] = { "bridge", "set filtered", "type ifname;" },
};

void firewall_batch_done(struct firewall_batch *b)
{
        for (size_t i = 0; i < N_FIREWALL_SETS; i++)
                strbuf_done(&b->keys[i]);
}

void firewall_batch_add(struct firewall_batch *b, enum firewall_set set, const char *key)
{
        strbuf_addf(&b->keys[set], "%s\n", key);
}

bool firewall_batch_ok(const struct firewall_batch *b)
{
        for (size_t i = 0; i < N_FIREWALL_SETS; i++)
                if (!strbuf_ok(&b->keys[i]))
                        return false;
        return true;
}

/* Each line of @keys with @before and @after it. */
static void add_each(const char *keys, const char *before, const char *after, struct strbuf *out)
{
        for (const char *end; (end = strchr(keys, '\n')); keys = end + 1) {
                strbuf_add(out, before);
                strbuf_add_bytes(out, keys, (size_t) (end - keys));
                strbuf_add(out, after);
        }
}

static void declare(const struct firewall_batch *b, const char *family, struct strbuf *out)
{
        bool any = false;

        for (size_t i = 0; i < N_FIREWALL_SETS; i++) {
                const char *keys = strbuf_text(&b->keys[i]);

                if (keys[0] == '\0' || !streq(sets[i].family, family))
                        continue;
                if (!any)
                        strbuf_addf(out, "table %s stead {\nflags owner\n", family);
                any = true;
                strbuf_addf(out, "%s {\n%s\nelements = {", sets[i].name, sets[i].definition);
                add_each(keys, " ", ",", out);
                strbuf_add(out, " }\n}\n");
        }
        if (any)
                strbuf_add(out, "}\n");
}

static void delete_from(size_t set, const char *keys, bool one_by_one, struct strbuf *out)
{
        struct strbuf command CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_addf(&command, "delete element %s stead %s {", sets[set].family,
                    strchr(sets[set].name, ' ') + 1);
        if (one_by_one) {
                strbuf_add(&command, " ");
                add_each(keys, strbuf_text(&command), " }\n", out);
        } else {
                strbuf_add(out, strbuf_text(&command));
                add_each(keys, " ", ",", out);
                strbuf_add(out, " }\n");
        }
}

void firewall_batch_text(const struct firewall_batch *b, bool one_by_one, struct strbuf *out)
{
        if (b->verb == FIREWALL_ADD) {
                declare(b, "inet", out);
                declare(b, "bridge", out);
                return;
        }
        for (size_t i = 0; i < N_FIREWALL_SETS; i++)
                if (strbuf_text(&b->keys[i])[0])
                        delete_from(i, strbuf_text(&b->keys[i]), one_by_one, out);
}

void firewall_table_text(const char *family, struct strbuf *out)
{
        strbuf_addf(out, "table %s stead {\nflags owner\n", family);
        for (size_t i = 0; i < N_FIREWALL_SETS; i++)
                if (streq(sets[i].family, family))
                        strbuf_addf(out, "%s { %s }\n", sets[i].name, sets[i].definition);
        strbuf_addf(out, "%s}\n",
                    streq(family, "inet") ? firewall_rules_inet : firewall_rules_bridge);
}
