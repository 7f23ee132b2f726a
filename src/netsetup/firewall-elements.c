/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "netsetup/firewall-parts.h"
#include "netsetup/ifname.h"

/* A machine's elements of the sets and maps of firewall-rules.c, as nft writes them. */

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

static void source_element(const struct firewall_member *m, const struct net_address *a,
                           struct firewall_batch *b)
{
        bool is_4 = a->family == AF_INET, in_bridge = m->bridge[0] != '\0';
        char text[NET_ADDRESS_TEXT_SIZE], raw[40], key[96];

        if (a->family == 0)
                return;
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, net_address_text(a, text));
        firewall_batch_add(b,
                           in_bridge ? (is_4 ? FIREWALL_BRIDGE_SOURCES4 : FIREWALL_BRIDGE_SOURCES6)
                                     : (is_4 ? FIREWALL_SOURCES4 : FIREWALL_SOURCES6),
                           key);
        if (is_4 || !in_bridge)
                return;
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, raw_text(&a->in6, raw));
        firewall_batch_add(b, FIREWALL_BRIDGE_TARGETS, key);
}

static void source_elements(const struct firewall_member *m, struct firewall_batch *b)
{
        source_element(m, &m->address4, b);
        source_element(m, &m->address6, b);
        for (size_t i = 0; i < m->n_others; i++)
                source_element(m, &m->others[i], b);
}

static void bridge_elements(const struct firewall_member *m, struct firewall_batch *b)
{
        struct net_address link_local = { .family = AF_INET6, .prefix = 128 };
        char mac[MAC_TEXT_SIZE], raw[40], quoted[24], key[64];

        (void) snprintf(quoted, sizeof(quoted), "\"%s\"", m->link);
        (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->link, mac_text(m->mac, mac));
        firewall_batch_add(b, FIREWALL_BRIDGE_MACS, key);
        if (!firewall_member_is_managed(m))
                firewall_batch_add(b, FIREWALL_BRIDGE_ONLY_MAC, quoted);
        else {
                source_elements(m, b);
                link_local_of(m->mac, &link_local.in6);
                source_element(m, &link_local, b);
                firewall_batch_add(b, FIREWALL_BRIDGE_TAKEN, raw_text(&link_local.in6, raw));
        }
        /* Last, though it is one transaction: it switches the filter on. */
        firewall_batch_add(b, FIREWALL_BRIDGE_FILTERED, quoted);
}

/* Of the interface that the host sees packets from, which guests of a bridge have in common. */
static void hairpin_element(const char *name, struct firewall_batch *b)
{
        char key[48];

        (void) snprintf(key, sizeof(key), "\"%s\" . \"%s\"", name, name);
        firewall_batch_add(b, FIREWALL_HAIRPINS, key);
}

static void interface_elements(const struct firewall_member *m, struct firewall_batch *b)
{
        const char *name = m->bridge[0] ? m->bridge : m->link;
        char quoted[24];

        (void) snprintf(quoted, sizeof(quoted), "\"%s\"", name);
        firewall_batch_add(b, FIREWALL_LINKS, quoted);
        hairpin_element(name, b);
}

static void isolation_element(const struct firewall_member *m, struct firewall_batch *b)
{
        char mac[MAC_TEXT_SIZE], key[64];

        if (m->bridge[0]) {
                (void) snprintf(key, sizeof(key), "\"%s\" . %s", m->bridge, mac_text(m->mac, mac));
                firewall_batch_add(b, FIREWALL_ISOLATED_MACS, key);
        } else {
                (void) snprintf(key, sizeof(key), "\"%s\"", m->link);
                firewall_batch_add(b, FIREWALL_ISOLATED_LINKS, key);
        }
}

/* Not the name, see firewall-rules.c. */
static const char *protocol_number(enum net_protocol protocol)
{
        return protocol == NET_TCP ? "6" : "17";
}

static void own_port_element(const struct net_port *port, const struct net_address *a,
                             struct firewall_batch *b)
{
        char text[NET_ADDRESS_TEXT_SIZE], key[128];

        if (a->family == 0)
                return;
        (void) snprintf(key, sizeof(key), "%s . %s . %u", net_address_text(a, text),
                        protocol_number(port->protocol), port->host);
        firewall_batch_add(b, a->family == AF_INET ? FIREWALL_OWN4 : FIREWALL_OWN6, key);
}

static void published_elements(const struct firewall_member *m, struct firewall_batch *b)
{
        char key[32];

        for (size_t i = 0; i < m->n_ports; i++) {
                (void) snprintf(key, sizeof(key), "%s . %u", protocol_number(m->ports[i].protocol),
                                m->ports[i].host);
                firewall_batch_add(b, FIREWALL_PUBLISHED, key);
                if (!m->bridge[0])
                        continue;
                own_port_element(&m->ports[i], &m->address4, b);
                own_port_element(&m->ports[i], &m->address6, b);
        }
}

void firewall_elements(const struct firewall_member *m, bool bridge_too, struct firewall_batch *b)
{
        char quoted[24];

        if (firewall_member_is_managed(m) && (!m->bridge[0] || bridge_too))
                interface_elements(m, b);
        if (m->only_ports)
                hairpin_element(m->link, b);
        if (m->isolate)
                isolation_element(m, b);
        published_elements(m, b);
        if (firewall_member_uses_bridge_table(m))
                bridge_elements(m, b);
        else if (!m->bridge[0] && firewall_member_is_managed(m)) {
                (void) snprintf(quoted, sizeof(quoted), "\"%s\"", m->link);
                source_elements(m, b);
                firewall_batch_add(b, FIREWALL_FILTERED, quoted);
        }
}

static void port_elements(const struct net_port *port, const struct net_address *a,
                          bool with_arrived, struct firewall_batch *b)
{
        const char *protocol = protocol_number(port->protocol);
        bool is_4 = a->family == AF_INET;
        char text[NET_ADDRESS_TEXT_SIZE], key[128];

        if (a->family == 0)
                return;
        (void) net_address_text(a, text);
        if (b->verb == FIREWALL_ADD)
                (void) snprintf(key, sizeof(key), "%s . %u : %s . %u", protocol, port->host, text,
                                port->guest);
        else
                (void) snprintf(key, sizeof(key), "%s . %u", protocol, port->host);
        firewall_batch_add(b, is_4 ? FIREWALL_PORTS4 : FIREWALL_PORTS6, key);
        if (!with_arrived)
                return;
        (void) snprintf(key, sizeof(key), "%s . %s . %u", protocol, text, port->guest);
        firewall_batch_add(b, is_4 ? FIREWALL_ARRIVED4 : FIREWALL_ARRIVED6, key);
}

void firewall_port_elements(const struct firewall_member *m, struct firewall_batch *b)
{
        struct guest_ports seen = { 0 };

        for (size_t i = 0; i < m->n_ports; i++) {
                bool with_arrived = guest_ports_add(&seen, &m->ports[i]);

                port_elements(&m->ports[i], &m->address4, with_arrived, b);
                port_elements(&m->ports[i], &m->address6, with_arrived, b);
        }
}
