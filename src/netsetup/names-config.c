/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/names-config.h"

#include "basic/strv.h"
#include "netsetup/ifname.h"

/* How long a guest may keep an address without asking again. It never gets another one, so that short
 * times would only cost packets. */
#define LEASE_TIME "12h"
#define CACHE_SIZE 1000
/* That wait for an answer: as many as some guests may ask while a server does not answer. */
#define QUESTIONS_MAX 10000

static void print_netmask(unsigned prefix, struct strbuf *out)
{
        uint32_t mask = prefix == 0 ? 0 : UINT32_MAX << (32 - prefix);

        strbuf_addf(out, "%u.%u.%u.%u", mask >> 24, mask >> 16 & 255, mask >> 8 & 255, mask & 255);
}

static void print_dns(const struct names_config *c, struct strbuf *out)
{
        if (c->no_dns) {
                strbuf_add(out, "port=0\n");
                return;
        }
        /* The host's own names are the host's; other names go to its resolvers, which dnsmasq reads
         * again whenever resolv.conf(5) changes. */
        strbuf_addf(out,
                    "no-hosts\n"
                    "hostsdir=%s\n"
                    "local=/%s/\n"
                    "cache-size=%d\n"
                    "dns-forward-max=%d\n",
                    c->hosts_folder, c->pools->domain, CACHE_SIZE, QUESTIONS_MAX);
        if (c->pools->resolvers)
                strbuf_add(out, "no-resolv\n");
        STRV_FOREACH(resolver, c->pools->resolvers)
        strbuf_addf(out, "server=%s\n", *resolver);
}

static void print_dhcp(const struct names_config *c, struct strbuf *out)
{
        const struct net_subnet *s = c->subnet;
        char text[NET_ADDRESS_TEXT_SIZE];

        if (c->no_dhcp)
                return;
        /* Only those that are known, and none of the names that guests ask for. The mask is said, because
         * on links of -n the host's own is that of one address. */
        strbuf_addf(out,
                    "dhcp-hostsdir=%s\n"
                    "dhcp-authoritative\n"
                    "leasefile-ro\n"
                    "dhcp-ignore-names\n"
                    "dhcp-ignore=tag:!known\n"
                    "no-ping\n"
                    "quiet-dhcp\nquiet-dhcp6\nquiet-ra\n",
                    c->dhcp_folder);
        strbuf_addf(out, "dhcp-range=%s,static,", net_address_text(&s->prefix4, text));
        print_netmask(s->prefix4.prefix, out);
        strbuf_add(out, "," LEASE_TIME "\n");
        strbuf_addf(out, "dhcp-option=option:router,%s\n", net_address_text(&s->gateway4, text));
        strbuf_addf(out, "dhcp-option=option:dns-server,%s\n",
                    net_address_text(&s->gateway4, text));
        if (!s->prefix6.family)
                return;
        /* On links of -n no other guest is on the link. */
        strbuf_addf(out, "enable-ra\ndhcp-range=%s,static%s,%u," LEASE_TIME "\n",
                    net_address_text(&s->prefix6, text),
                    strchr(c->interface, '*') ? ",off-link" : "", s->prefix6.prefix);
        strbuf_addf(out, "dhcp-option=option6:dns-server,[%s]\n",
                    net_address_text(&s->gateway6, text));
}

void names_config_print(const struct names_config *c, struct strbuf *out)
{
        strbuf_addf(out,
                    "# Of the network '%s'; made by network-keeper, and again at each start.\n"
                    "bind-dynamic\n"
                    "interface=%s\n"
                    "except-interface=lo\n"
                    "domain=%s\n",
                    c->network, c->interface, c->pools->domain);
        print_dns(c, out);
        print_dhcp(c, out);
}

void names_hosts_print(const char *machine, const char *domain, const struct net_address *address4,
                       const struct net_address *address6, struct strbuf *out)
{
        const struct net_address *addresses[] = { address4, address6 };

        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
                char text[NET_ADDRESS_TEXT_SIZE];

                /* The first name is the one of the reverse look-up. */
                if (addresses[i]->family)
                        strbuf_addf(out, "%s %s.%s %s\n", net_address_text(addresses[i], text),
                                    machine, domain, machine);
        }
}

void names_dhcp_print(const char *machine, const uint8_t mac[MAC_SIZE],
                      const struct net_address *address4, const struct net_address *address6,
                      struct strbuf *out)
{
        char text[NET_ADDRESS_TEXT_SIZE], hardware[MAC_TEXT_SIZE];

        strbuf_add(out, mac_text(mac, hardware));
        if (address4->family)
                strbuf_addf(out, ",%s", net_address_text(address4, text));
        if (address6->family)
                strbuf_addf(out, ",[%s]", net_address_text(address6, text));
        strbuf_addf(out, ",%s\n", machine);
}

/* ---- the question whether it serves ------------------------------------------------------ */

#define HEADER_SIZE 12
#define RECORD_SIZE 10 /* type, class, time, length */
#define LABEL_MAX 63

static size_t add_labels(const char *name, uint8_t *p, size_t left)
{
        size_t n = 0;

        while (*name) {
                size_t length = strcspn(name, ".");

                if (length == 0 || length > LABEL_MAX || n + length + 1 > left)
                        return 0;
                p[n++] = (uint8_t) length;
                memcpy(p + n, name, length);
                n += length;
                name += length;
                name += *name == '.';
        }
        return n;
}

size_t names_question(const char *machine, const char *domain, uint16_t id, uint8_t *ret,
                      size_t size)
{
        static const uint8_t tail[] = { 0, 0, 1, 0, 1 }; /* the root, type A, class IN */
        const char *const names[] = { machine, domain };
        size_t n = HEADER_SIZE;

        if (size < HEADER_SIZE + sizeof(tail))
                return 0;
        memset(ret, 0, HEADER_SIZE);
        ret[0] = (uint8_t) (id >> 8);
        ret[1] = (uint8_t) id;
        ret[5] = 1; /* one question */
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                size_t added = add_labels(names[i], ret + n, size - sizeof(tail) - n);

                if (added == 0)
                        return 0;
                n += added;
        }
        memcpy(ret + n, tail, sizeof(tail));
        return n + sizeof(tail);
}

/* Behind the name at @at; 0 if it does not end. */
static size_t skip_name(const uint8_t *answer, size_t size, size_t at)
{
        while (at < size) {
                if (answer[at] == 0)
                        return at + 1;
                if (answer[at] >= 0xc0) /* a pointer ends it */
                        return at + 2;
                at += answer[at] + 1U;
        }
        return 0;
}

bool names_is_answer(const uint8_t *answer, size_t size, uint16_t id,
                     const struct net_address *address)
{
        size_t at;

        if (size < HEADER_SIZE || answer[0] != id >> 8 || answer[1] != (id & 255) ||
            !(answer[2] & 0x80) || (answer[3] & 15) != 0 || answer[4] != 0 || answer[5] != 1)
                return false;
        at = skip_name(answer, size, HEADER_SIZE);
        if (at == 0)
                return false;
        at = skip_name(answer, size, at + 4);
        if (at == 0 || at + RECORD_SIZE + sizeof(address->in4) > size)
                return false;
        return answer[at + 1] == 1 && answer[at + 9] == sizeof(address->in4) &&
               memcmp(answer + at + RECORD_SIZE, &address->in4, sizeof(address->in4)) == 0;
}
