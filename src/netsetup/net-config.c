/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/net-config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "basic/parse.h"

static void pairs_done(struct net_pair *pairs, size_t n)
{
        for (size_t i = 0; i < n; i++) {
                free(pairs[i].host);
                free(pairs[i].guest);
                free(pairs[i].origin);
        }
        free(pairs);
}

void net_config_done(struct net_config *c)
{
        free(c->bridge);
        free(c->zone);
        free(c->namespace_path);
        free(c->name);
        free(c->addresses);
        pairs_done(c->interfaces, c->n_interfaces);
        pairs_done(c->macvlans, c->n_macvlans);
        pairs_done(c->ipvlans, c->n_ipvlans);
        pairs_done(c->extras, c->n_extras);
        for (size_t i = 0; i < c->n_ports; i++)
                free(c->ports[i].origin);
        free(c->ports);
        *c = (struct net_config){ .bridge = NULL };
}

const char *net_protocol_name(enum net_protocol protocol)
{
        return protocol == NET_UDP ? "udp" : "tcp";
}

bool net_config_is_private(const struct net_config *c)
{
        return c->private_network || c->veth || c->bridge || c->zone || c->namespace_path ||
               c->n_interfaces > 0 || c->n_macvlans > 0 || c->n_ipvlans > 0 || c->n_extras > 0;
}

void net_config_network(const struct net_config *c, char ret[NETWORK_NAME_SIZE])
{
        (void) snprintf(ret, NETWORK_NAME_SIZE, "%s%s", c->zone ? "zone-" : "host",
                        c->zone ? c->zone : "");
}

int net_address_parse(const char *text, struct net_address *ret)
{
        struct net_address a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
        unsigned long longest = a.family == AF_INET6 ? 128 : 32, prefix = longest;
        char host[INET6_ADDRSTRLEN] = "";
        const char *slash = strchr(text, '/');
        size_t n = slash ? (size_t) (slash - text) : strlen(text);

        if (n >= sizeof(host))
                return -EINVAL;
        (void) snprintf(host, sizeof(host), "%.*s", (int) n, text);
        if (inet_pton(a.family, host, a.family == AF_INET6 ? (void *) &a.in6 : &a.in4) != 1)
                return -EINVAL;
        if (slash && parse_ulong(slash + 1, 0, longest, &prefix) < 0)
                return -EINVAL;
        a.prefix = (unsigned) prefix;
        *ret = a;
        return 0;
}

size_t net_address_size(const struct net_address *a)
{
        return a->family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in4);
}

const void *net_address_bytes(const struct net_address *a)
{
        return a->family == AF_INET6 ? (const void *) &a->in6 : (const void *) &a->in4;
}

bool net_address_equals(const struct net_address *a, const struct net_address *b)
{
        if (a->family != b->family)
                return false;
        return a->family == 0 ||
               memcmp(net_address_bytes(a), net_address_bytes(b), net_address_size(a)) == 0;
}

const char *net_address_text(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE])
{
        if (a->family == 0 ||
            !inet_ntop(a->family, net_address_bytes(a), text, NET_ADDRESS_TEXT_SIZE))
                text[0] = '\0';
        return text;
}

const char *net_address_prefix_text(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE])
{
        size_t n = strlen(net_address_text(a, text));

        if (n > 0)
                (void) snprintf(text + n, NET_ADDRESS_TEXT_SIZE - n, "/%u", a->prefix);
        return text;
}
