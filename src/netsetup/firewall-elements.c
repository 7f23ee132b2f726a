/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "netsetup/firewall-parts.h"
#include "netsetup/ifname.h"

/* A machine's elements of the sets and maps of firewall-rules.c, as nft's commands. */

static void element(struct strbuf *out, enum firewall_verb verb, const char *family,
                    const char *set, const char *key)
{
        strbuf_addf(out, "%s element %s stead %s { %s }\n", verb == FIREWALL_ADD ? "add" : "delete",
                    family, set, key);
}

/* The address that follows from a MAC address (RFC 4291 2.5.1, appendix A). */
static void link_local_of(const uint8_t mac[MAC_SIZE], struct in6_addr *ret)
{
        const uint8_t bytes[16] = {
                0xfe,       0x80,   0,      0,    0,    0,      0,      0,
                mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]
        };

        memcpy(ret->s6_addr, bytes, sizeof(bytes));
}

/* As keys of raw bytes of a packet are written. */
static const char *raw_text(const struct in6_addr *a, char text[40])
{
        char *p = text;

        p += snprintf(p, 3, "0x");
        for (size_t i = 0; i < 16; i++)
                p += snprintf(p, 3, "%02x", a->s6_addr[i]);
        return text;
}

bool firewall_member_is_managed(const struct firewall_member *m)
{
        return !m->only_ports && (m->address4.family != 0 || m->address6.family != 0);
}

bool firewall_member_uses_bridge_table(const struct firewall_member *m)
{
        return m->bridge[0] && (firewall_member_is_managed(m) || m->isolate);
}

static void source_element(const struct firewall_member *m, enum firewall_verb verb,
                           const struct net_address *a, struct strbuf *out)
{
        const char *family = m->bridge[0] ? "bridge" : "inet";
        char text[NET_ADDRESS_TEXT_SIZE], raw[40], key[96];

        if (a->family == 0)
                return;
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, net_address_text(a, text));
        element(out, verb, family, a->family == AF_INET ? "sources4" : "sources6", key);
        if (a->family == AF_INET || !m->bridge[0])
                return;
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, raw_text(&a->in6, raw));
        element(out, verb, family, "targets", key);
}

static void source_elements(const struct firewall_member *m, enum firewall_verb verb,
                            struct strbuf *out)
{
        source_element(m, verb, &m->address4, out);
        source_element(m, verb, &m->address6, out);
        for (size_t i = 0; i < m->n_others; i++)
                source_element(m, verb, &m->others[i], out);
}

static void bridge_elements(const struct firewall_member *m, enum firewall_verb verb,
                            struct strbuf *out)
{
        struct net_address link_local = { .family = AF_INET6, .prefix = 128 };
        char mac[MAC_TEXT_SIZE], raw[40], quoted[24], key[64];

        (void) snprintf(quoted, sizeof(quoted), "\"%s\"", m->link);
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, mac_text(m->mac, mac));
        element(out, verb, "bridge", "macs", key);
        if (!firewall_member_is_managed(m))
                element(out, verb, "bridge", "only_mac", quoted);
        else {
                source_elements(m, verb, out);
                link_local_of(m->mac, &link_local.in6);
                source_element(m, verb, &link_local, out);
                element(out, verb, "bridge", "taken", raw_text(&link_local.in6, raw));
        }
        /* Last, though it is one transaction: it switches the filter on. */
        element(out, verb, "bridge", "filtered", quoted);
}

/* Of the interface that the host sees packets from, which guests of a bridge have in common. */
static void hairpin_element(const char *name, enum firewall_verb verb, struct strbuf *out)
{
        char key[48];

        (void) snprintf(key, sizeof(key), "\"%s\" . \"%s\"", name, name);
        element(out, verb, "inet", "hairpins", key);
}

static void interface_elements(const struct firewall_member *m, enum firewall_verb verb,
                               struct strbuf *out)
{
        const char *name = m->bridge[0] ? m->bridge : m->link;
        char quoted[24];

        (void) snprintf(quoted, sizeof(quoted), "\"%s\"", name);
        element(out, verb, "inet", "links", quoted);
        hairpin_element(name, verb, out);
}

static void isolation_element(const struct firewall_member *m, enum firewall_verb verb,
                              struct strbuf *out)
{
        char mac[MAC_TEXT_SIZE], key[64];

        if (m->bridge[0]) {
                (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->bridge, mac_text(m->mac, mac));
                element(out, verb, "inet", "isolated_macs", key);
        } else {
                (void) snprintf(key, sizeof(key), "\"%s\"", m->link);
                element(out, verb, "inet", "isolated_links", key);
        }
}

static void own_port_element(const struct net_port *port, const struct net_address *a,
                             enum firewall_verb verb, struct strbuf *out)
{
        char text[NET_ADDRESS_TEXT_SIZE], key[128];

        if (a->family == 0)
                return;
        (void) snprintf(key, sizeof(key), "%s . %s . %u", net_address_text(a, text),
                        port->protocol == NET_TCP ? "tcp" : "udp", port->host);
        element(out, verb, "inet", a->family == AF_INET ? "own4" : "own6", key);
}

static void published_elements(const struct firewall_member *m, enum firewall_verb verb,
                               struct strbuf *out)
{
        char key[32];

        for (size_t i = 0; i < m->n_ports; i++) {
                (void) snprintf(key, sizeof(key), "%s . %u",
                                m->ports[i].protocol == NET_TCP ? "tcp" : "udp", m->ports[i].host);
                element(out, verb, "inet", "published", key);
                if (!m->bridge[0])
                        continue;
                own_port_element(&m->ports[i], &m->address4, verb, out);
                own_port_element(&m->ports[i], &m->address6, verb, out);
        }
}

void firewall_elements(const struct firewall_member *m, enum firewall_verb verb, bool bridge_too,
                       struct strbuf *out)
{
        char quoted[24];

        if (firewall_member_is_managed(m) && (!m->bridge[0] || bridge_too))
                interface_elements(m, verb, out);
        if (m->only_ports)
                hairpin_element(m->link, verb, out);
        if (m->isolate)
                isolation_element(m, verb, out);
        published_elements(m, verb, out);
        if (firewall_member_uses_bridge_table(m))
                bridge_elements(m, verb, out);
        else if (!m->bridge[0] && firewall_member_is_managed(m)) {
                (void) snprintf(quoted, sizeof(quoted), "\"%s\"", m->link);
                source_elements(m, verb, out);
                element(out, verb, "inet", "filtered", quoted);
        }
}

static void port_elements(const struct net_port *port, const struct net_address *a,
                          enum firewall_verb verb, bool with_arrived, struct strbuf *out)
{
        const char *protocol = port->protocol == NET_TCP ? "tcp" : "udp";
        bool is_4 = a->family == AF_INET;
        char text[NET_ADDRESS_TEXT_SIZE], key[128];

        if (a->family == 0)
                return;
        (void) net_address_text(a, text);
        if (verb == FIREWALL_ADD)
                (void) snprintf(key, sizeof(key), "%s . %u : %s . %u", protocol, port->host, text,
                                port->guest);
        else
                (void) snprintf(key, sizeof(key), "%s . %u", protocol, port->host);
        element(out, verb, "inet", is_4 ? "ports4" : "ports6", key);
        if (!with_arrived)
                return;
        (void) snprintf(key, sizeof(key), "%s . %s . %u", protocol, text, port->guest);
        element(out, verb, "inet", is_4 ? "arrived4" : "arrived6", key);
}

void firewall_port_elements(const struct firewall_member *m, enum firewall_verb verb,
                            struct strbuf *out)
{
        struct guest_ports seen = { 0 };

        for (size_t i = 0; i < m->n_ports; i++) {
                bool with_arrived = guest_ports_add(&seen, &m->ports[i]);

                port_elements(&m->ports[i], &m->address4, verb, with_arrived, out);
                port_elements(&m->ports[i], &m->address6, verb, with_arrived, out);
        }
}
