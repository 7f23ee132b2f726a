/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of the network's options. What they say about links is looked at as a whole in
 * config-network.c. */

#include "nspawn/setters.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "netsetup/ifname.h"
#include "netsetup/net-plan.h"

#define WANT_LINK_NAME                                                                             \
        "a network interface has a name of 1 to 15 letters, digits and signs, without '/', ':', "  \
        "'%' and spaces, that is not only a number"

/* ---- links ------------------------------------------------------------------------------- */

static int check_link_name(const char *name, const struct setting *s, struct failure *failure)
{
        if (streq(name, "lo"))
                return setting_refuse(s, failure, -EINVAL,
                                      "'lo' is the loopback interface, of which each network has "
                                      "one already");
        return link_name_is_valid(name) ? 0 : setting_refuse(s, failure, -EINVAL, WANT_LINK_NAME);
}

/* More than any machine has is a mistake of whoever wrote the script. */
#define PAIRS_MAX 256

struct pair_list {
        struct net_pair **list;
        size_t *n;
        bool once; /* the first name is one of a thing that can be had only once */
};

static struct pair_list pairs_of(struct net_config *n, const struct setting *s)
{
        if (streq(s->row->name, "network-interface"))
                return (struct pair_list){ &n->interfaces, &n->n_interfaces, true };
        if (streq(s->row->name, "network-macvlan"))
                return (struct pair_list){ &n->macvlans, &n->n_macvlans, false };
        if (streq(s->row->name, "network-ipvlan"))
                return (struct pair_list){ &n->ipvlans, &n->n_ipvlans, false };
        return (struct pair_list){ &n->extras, &n->n_extras, true };
}

/* "HOST[:NAME]": both are checked, nothing is kept. */
static int split_pair(const struct setting *s, char **ret_host, char **ret_guest,
                      struct failure *failure)
{
        const char *colon = strchr(s->value, ':');
        char *host CLEANUP_FREE = strndup(s->value, strcspn(s->value, ":"));
        char *guest CLEANUP_FREE = colon ? strdup(colon + 1) : NULL;
        int r;

        if (!host || (colon && !guest))
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (guest && strchr(guest, ':'))
                return setting_refuse(s, failure, -EINVAL, "write HOST or HOST:NAME");
        r = check_link_name(host, s, failure);
        if (r >= 0 && guest)
                r = check_link_name(guest, s, failure);
        if (r < 0)
                return r;
        *ret_host = TAKE_PTR(host);
        *ret_guest = TAKE_PTR(guest);
        return 0;
}

int set_network_pair(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct pair_list pairs = pairs_of(&c->network, s);
        char *host CLEANUP_FREE = NULL, *guest CLEANUP_FREE = NULL;
        char *origin CLEANUP_FREE = NULL;
        struct net_pair *grown;
        int r = split_pair(s, &host, &guest, failure);

        if (r < 0 || !host)
                return r;
        for (size_t i = 0; pairs.once && i < *pairs.n; i++)
                if (streq((*pairs.list)[i].host, host))
                        return failure_set(failure, -EEXIST,
                                           "Cannot use '%s': '%s' has named the interface already. "
                                           "Leave one of them out.",
                                           s->origin, (*pairs.list)[i].origin);
        if (*pairs.n >= PAIRS_MAX)
                return failure_set(failure, -E2BIG,
                                   "Cannot use '%s': there are %d interfaces like it already.",
                                   s->origin, PAIRS_MAX);
        origin = strdup(s->origin);
        grown = reallocarray(*pairs.list, *pairs.n + 1, sizeof(*grown));
        if (!grown || !origin) {
                *pairs.list = grown ? grown : *pairs.list;
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        *pairs.list = grown;
        grown[*pairs.n] = (struct net_pair){ TAKE_PTR(host), TAKE_PTR(guest), TAKE_PTR(origin) };
        (*pairs.n)++;
        return 0;
}

int set_network_bridge(struct container_config *c, const struct setting *s, struct failure *failure)
{
        int r = check_link_name(s->value, s, failure);

        return r < 0 ? r : setting_replace_string(&c->network.bridge, s->value, failure);
}

int set_network_zone(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char bridge[LINK_NAME_SIZE];

        /* It becomes the end of an interface's name. */
        if (*s->value == '\0' ||
            (size_t) snprintf(bridge, sizeof(bridge), "vz-%s", s->value) >= sizeof(bridge) ||
            !link_name_is_valid(bridge))
                return setting_refuse(s, failure, -EINVAL,
                                      "a zone has a name of 1 to 12 letters, digits and signs, "
                                      "without '/', ':', '%' and spaces");
        return setting_replace_string(&c->network.zone, s->value, failure);
}

int set_network_namespace_path(struct container_config *c, const struct setting *s,
                               struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;

        if (*s->value == '\0' || (s->from_file && !path_is_absolute(s->value)) ||
            path_make_absolute(s->value, &path) < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "give the absolute path of a network namespace, such as "
                                      "/run/netns/blue");
        return setting_replace_string(&c->network.namespace_path, path, failure);
}

/* ---- ports ------------------------------------------------------------------------------- */

/* What the network's keeper takes from one machine is more. */
#define PORTS_MAX 1024

#define WANT_PORT                                                                                  \
        "write [tcp:|udp:]HOST[:CONTAINER] with ports from 1 to 65535, for example 8080:80, or "   \
        "with ranges of the same length, for example 8000-8009:9000-9009"

struct port_range {
        uint16_t first, last;
};

/* "80" or "8000-8009", of which @length bytes are looked at. */
static int parse_port_range(const char *text, size_t length, struct port_range *ret)
{
        char digits[12], *dash;
        unsigned long first = 0, last = 0;
        int r;

        if (length >= sizeof(digits))
                return -EINVAL;
        memcpy(digits, text, length);
        digits[length] = '\0';
        dash = strchr(digits, '-');
        if (dash)
                *dash = '\0';
        r = parse_ulong(digits, 1, UINT16_MAX, &first);
        if (r >= 0)
                r = parse_ulong(dash ? dash + 1 : digits, first, UINT16_MAX, &last);
        if (r >= 0)
                *ret = (struct port_range){ (uint16_t) first, (uint16_t) last };
        return r;
}

static int parse_ports(const char *value, enum net_protocol *ret_protocol, struct port_range *host,
                       struct port_range *guest)
{
        const char *rest = startswith(value, "tcp:");
        size_t n;
        int r;

        *ret_protocol = NET_TCP;
        if (!rest) {
                rest = startswith(value, "udp:");
                if (rest)
                        *ret_protocol = NET_UDP;
                else
                        rest = value;
        }
        n = strcspn(rest, ":");
        r = parse_port_range(rest, n, host);
        *guest = *host;
        if (r >= 0 && rest[n] != '\0')
                r = parse_port_range(rest + n + 1, strlen(rest + n + 1), guest);
        return r < 0 || guest->last - guest->first == host->last - host->first ? r : -EINVAL;
}

static int add_port(struct net_config *n, const struct setting *s, struct net_port port,
                    struct failure *failure)
{
        struct net_port *grown;

        for (size_t i = 0; i < n->n_ports; i++)
                if (n->ports[i].protocol == port.protocol && n->ports[i].host == port.host)
                        return failure_set(failure, -EEXIST,
                                           "Cannot use '%s': '%s' publishes port %u of the host "
                                           "already. Leave one of them out.",
                                           s->origin, n->ports[i].origin, (unsigned) port.host);
        if (n->n_ports >= PORTS_MAX)
                return failure_set(failure, -E2BIG,
                                   "Cannot use '%s': a machine publishes at most %d ports.",
                                   s->origin, PORTS_MAX);
        grown = reallocarray(n->ports, n->n_ports + 1, sizeof(*grown));
        if (!grown)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        n->ports = grown;
        port.origin = strdup(s->origin);
        if (!port.origin)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        n->ports[n->n_ports++] = port;
        return 0;
}

int set_port(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct port_range host = { 0, 0 }, guest = { 0, 0 };
        struct net_config *n = &c->network;
        enum net_protocol protocol = NET_TCP;
        size_t before = n->n_ports;
        int r = parse_ports(s->value, &protocol, &host, &guest);

        if (r < 0)
                return setting_refuse(s, failure, r, WANT_PORT);
        for (unsigned i = 0; r >= 0 && i <= (unsigned) (host.last - host.first); i++)
                r = add_port(n, s,
                             (struct net_port){ .protocol = protocol,
                                                .host = (uint16_t) (host.first + i),
                                                .guest = (uint16_t) (guest.first + i) },
                             failure);
        while (r < 0 && n->n_ports > before)
                free(n->ports[--n->n_ports].origin);
        return r;
}

/* ---- for those who choose ---------------------------------------------------------------- */

/* Whether one machine can have the address, and be reached at it. */
static bool address_is_usable(const struct net_address *a)
{
        uint32_t four = ntohl(a->in4.s_addr);

        if (a->family == AF_INET6)
                return !IN6_IS_ADDR_UNSPECIFIED(&a->in6) && !IN6_IS_ADDR_LOOPBACK(&a->in6) &&
                       !IN6_IS_ADDR_MULTICAST(&a->in6) && !IN6_IS_ADDR_V4MAPPED(&a->in6);
        return four >> 24 != 0 && four >> 24 != 127 && four >> 28 < 14;
}

/* The first and the last address of an IPv4 network mean the network, and all machines in it. */
static bool address_is_of_a_host(const struct net_address *a)
{
        uint32_t host;

        if (a->family == AF_INET6 || a->prefix >= 31)
                return true;
        host = ntohl(a->in4.s_addr) & (UINT32_MAX >> a->prefix);
        return host != 0 && host != UINT32_MAX >> a->prefix;
}

static int add_address(struct net_config *n, const struct setting *s, const char *text,
                       struct failure *failure)
{
        struct net_address a, *grown;

        if (net_address_parse(text, &a) < 0 || !strchr(text, '/') || a.prefix == 0)
                return failure_set(failure, -EINVAL,
                                   "Cannot use '%s': '%s' is not an address with the length of its "
                                   "network. Write for example 10.0.0.7/24 or fd00::7/64.",
                                   s->origin, text);
        if (!address_is_usable(&a) || !address_is_of_a_host(&a))
                return failure_set(failure, -EINVAL,
                                   "Cannot use '%s': '%s' is not the address of one machine in a "
                                   "network. Choose another one.",
                                   s->origin, text);
        for (size_t i = 0; i < n->n_addresses; i++)
                if (net_address_equals(&n->addresses[i], &a))
                        return failure_set(failure, -EEXIST,
                                           "Cannot use '%s': '%s' is there already. Leave it out.",
                                           s->origin, text);
        if (n->n_addresses >= NET_LINK_MAX_ADDRESSES)
                return failure_set(failure, -E2BIG,
                                   "Cannot use '%s': a link gets at most %d addresses.", s->origin,
                                   NET_LINK_MAX_ADDRESSES);
        grown = reallocarray(n->addresses, n->n_addresses + 1, sizeof(*grown));
        if (!grown)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        n->addresses = grown;
        grown[n->n_addresses] = a;
        n->n_addresses++;
        return 0;
}

/* The parts of a list with commas; none of them is empty. */
static int split_list(const struct setting *s, const char *want, char ***ret,
                      struct failure *failure)
{
        size_t n = strlen(s->value);
        char **parts CLEANUP_STRV = NULL;

        if (n == 0 || s->value[0] == ',' || s->value[n - 1] == ',' || strstr(s->value, ",,"))
                return setting_refuse(s, failure, -EINVAL, want);
        if (strv_split(s->value, ",", &parts) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        *ret = TAKE_PTR(parts);
        return 0;
}

int set_network_address(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        char **parts CLEANUP_STRV = NULL;
        size_t before = c->network.n_addresses;
        int r = split_list(s, "write ADDRESS/LENGTH[,…], for example 10.0.0.7/24,fd00::7/64",
                           &parts, failure);

        STRV_FOREACH(part, parts)
        {
                if (r >= 0)
                        r = add_address(&c->network, s, *part, failure);
        }
        if (r < 0)
                c->network.n_addresses = before;
        return r;
}

int set_network_gateway(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        struct net_address four = { .family = 0 }, six = { .family = 0 };
        char **parts CLEANUP_STRV = NULL;
        int r = split_list(s, "write ADDRESS[,ADDRESS], for example 10.0.0.1,fd00::1", &parts,
                           failure);

        STRV_FOREACH(part, parts)
        {
                struct net_address a, *slot;

                if (strchr(*part, '/') || net_address_parse(*part, &a) < 0 ||
                    !address_is_usable(&a))
                        return failure_set(failure, -EINVAL,
                                           "Cannot use '%s': '%s' is not the address of a machine. "
                                           "Write it without a length, for example 10.0.0.1.",
                                           s->origin, *part);
                slot = a.family == AF_INET ? &four : &six;
                if (slot->family != 0)
                        return setting_refuse(s, failure, -EINVAL,
                                              "there is one gateway for IPv4 and one for IPv6");
                *slot = a;
        }
        if (r < 0)
                return r;
        if (four.family != 0)
                c->network.gateway4 = four;
        if (six.family != 0)
                c->network.gateway6 = six;
        return 0;
}

int set_network_mac(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (mac_parse(s->value, c->network.mac) < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "write six bytes such as 02:00:00:aa:bb:cc, the first of "
                                      "them even");
        c->network.mac_set = true;
        return 0;
}

int set_network_mtu(struct container_config *c, const struct setting *s, struct failure *failure)
{
        unsigned long mtu = 0;

        /* What IPv4 needs (RFC 791), and what an Ethernet link can have. */
        if (parse_ulong(s->value, 68, 65535, &mtu) < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "give the size of the largest packet, from 68 to 65535 "
                                      "bytes");
        c->network.mtu = (unsigned) mtu;
        return 0;
}

int set_network_name(struct container_config *c, const struct setting *s, struct failure *failure)
{
        int r = check_link_name(s->value, s, failure);

        return r < 0 ? r : setting_replace_string(&c->network.name, s->value, failure);
}

int set_network_setup(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = false;

        if (setting_asks_for_help(s))
                return puts("auto\nyes\nno") < 0 ? -EIO : 1;
        if (streq(s->value, "auto"))
                c->network.setup = NET_SETUP_AUTO;
        else if (parse_boolean(s->value, &value) >= 0)
                c->network.setup = value ? NET_SETUP_YES : NET_SETUP_NO;
        else
                return setting_refuse(s, failure, -EINVAL, "write auto, yes or no");
        return 0;
}
