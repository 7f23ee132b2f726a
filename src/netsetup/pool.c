/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/settings-file.h"
#include "basic/siphash.h"
#include "basic/strv.h"
#include "shared/names.h"

/* Private ranges (RFC 1918). The upper half of the first is where fewest others look for subnets. */
#define DEFAULT_POOLS4 "10.128.0.0/10 10.192.0.0/10 172.16.0.0/12 192.168.0.0/16"
#define DEFAULT_HOST_LENGTH4 18
#define DEFAULT_ZONE_LENGTH4 22 /* a bridge has 1023 ports at most */
#define DEFAULT_DOMAIN "machine"

/* Two addresses for machines are left beside those of the network, the gateway and everybody. */
#define SHORTEST_LENGTH4 8UL
#define LONGEST_LENGTH4 29UL

static const uint8_t subnet_key[16] = { 0x5b, 0x0e, 0x9d, 0x32, 0x47, 0xc1, 0x4f, 0x6a,
                                        0x8e, 0x70, 0x1f, 0xd3, 0xb9, 0x26, 0x64, 0xf8 };
static const uint8_t prefix6_key[16] = { 0xe2, 0x41, 0x7a, 0xc5, 0x03, 0x96, 0x4b, 0x1d,
                                         0xa7, 0x38, 0xf0, 0x5c, 0x6e, 0xd4, 0x82, 0x19 };

/* ---- prefixes ---------------------------------------------------------------------------- */

static bool same_bits(const struct net_address *a, const struct net_address *b, unsigned n)
{
        const uint8_t *x = net_address_bytes(a), *y = net_address_bytes(b);

        if (memcmp(x, y, n / 8) != 0)
                return false;
        return n % 8 == 0 || ((x[n / 8] ^ y[n / 8]) >> (8 - n % 8)) == 0;
}

struct net_address net_address_network(const struct net_address *a)
{
        struct net_address network = *a;
        uint8_t *bytes =
                network.family == AF_INET6 ? network.in6.s6_addr : (uint8_t *) &network.in4;

        for (unsigned i = 0; i < net_address_size(&network); i++)
                if (8 * i >= network.prefix)
                        bytes[i] = 0;
                else if (8 * (i + 1) > network.prefix)
                        bytes[i] &= (uint8_t) (0xFF << (8 * (i + 1) - network.prefix));
        return network;
}

bool net_address_overlaps(const struct net_address *a, const struct net_address *b)
{
        return a->family == b->family && a->family != 0 &&
               same_bits(a, b, MIN_OF(a->prefix, b->prefix));
}

bool net_address_contains(const struct net_address *outer, const struct net_address *inner)
{
        return outer->prefix <= inner->prefix && net_address_overlaps(outer, inner);
}

struct net_address net_address_nth(const struct net_address *prefix, uint32_t number)
{
        struct net_address a = *prefix;

        if (a.family == AF_INET)
                a.in4.s_addr = htonl(ntohl(a.in4.s_addr) | number);
        else
                for (size_t i = 0; i < 4; i++)
                        a.in6.s6_addr[15 - i] |= (uint8_t) (number >> (8 * i));
        return a;
}

/* ---- the file ---------------------------------------------------------------------------- */

struct reader {
        struct net_pools pools;
        const char *path;
        unsigned line;
        char ***warnings;
};

void net_pools_done(struct net_pools *pools)
{
        free(pools->pools4);
        free(pools->domain);
        strv_free(pools->resolvers);
        free(pools->dnsmasq);
        *pools = (struct net_pools){ .n_pools4 = 0 };
}

static int warn(struct reader *r, const char *text, const char *value)
{
        char *sentence = NULL;

        if (asprintf(&sentence, "%s:%u: %s, not '%.100s'. The line is ignored.", r->path, r->line,
                     text, value) < 0)
                return -ENOMEM;
        return strv_add_take(r->warnings, sentence);
}

static int add_pool(struct net_pools *pools, const struct net_address *pool)
{
        struct net_address *grown =
                reallocarray(pools->pools4, pools->n_pools4 + 1, sizeof(*grown));

        if (!grown)
                return -ENOMEM;
        pools->pools4 = grown;
        grown[pools->n_pools4++] = *pool;
        return 0;
}

static int set_pools(struct reader *r, const char *value)
{
        char **words CLEANUP_STRV = NULL;
        int result = strv_split(value, " \t,", &words);

        if (!*value)
                r->pools.n_pools4 = 0;
        STRV_FOREACH(word, words)
        {
                struct net_address pool;

                if (result < 0)
                        break;
                if (net_address_parse(*word, &pool) < 0 || pool.family != AF_INET ||
                    pool.prefix < SHORTEST_LENGTH4 || pool.prefix > LONGEST_LENGTH4)
                        return warn(r, "Pool4= takes IPv4 prefixes of 8 to 29 bits", *word);
                pool = net_address_network(&pool);
                result = add_pool(&r->pools, &pool);
        }
        return result;
}

static int set_length(struct reader *r, const char *value, unsigned *length)
{
        unsigned long n;

        if (parse_ulong(value, SHORTEST_LENGTH4, LONGEST_LENGTH4, &n) < 0)
                return warn(r, "The length of a subnet's prefix is 8 to 29", value);
        *length = (unsigned) n;
        return 0;
}

static int set_host_length(struct reader *r, const char *value)
{
        return set_length(r, value, &r->pools.host_length4);
}

static int set_zone_length(struct reader *r, const char *value)
{
        return set_length(r, value, &r->pools.zone_length4);
}

static int set_prefix6(struct reader *r, const char *value)
{
        struct net_address prefix = { .family = 0 };
        bool on;

        if (parse_boolean(value, &on) >= 0 && !on) {
                r->pools.prefix6 = prefix;
                return 0;
        }
        if (net_address_parse(value, &prefix) < 0 || prefix.family != AF_INET6 ||
            prefix.prefix < 16 || prefix.prefix > 64)
                return warn(r, "Prefix6= takes an IPv6 prefix of 16 to 64 bits, or 'no'", value);
        r->pools.prefix6 = net_address_network(&prefix);
        return 0;
}

static int replace(char **text, const char *value)
{
        char *copy = strdup(value);

        if (!copy)
                return -ENOMEM;
        free(*text);
        *text = copy;
        return 0;
}

static int set_domain(struct reader *r, const char *value)
{
        return hostname_is_valid(value) ? replace(&r->pools.domain, value)
                                        : warn(r, "Domain= takes the name of a domain", value);
}

static bool resolver_is_valid(const char *word)
{
        char address[INET6_ADDRSTRLEN + 1] = "";
        const char *port = strchr(word, '#');
        size_t n = port ? (size_t) (port - word) : strlen(word);
        unsigned long number;
        struct net_address a;

        if (n >= sizeof(address) || (port && parse_ulong(port + 1, 1, 65535, &number) < 0))
                return false;
        memcpy(address, word, n);
        return !strchr(address, '/') && net_address_parse(address, &a) >= 0;
}

static int set_resolvers(struct reader *r, const char *value)
{
        char **words CLEANUP_STRV = NULL;
        int result = strv_split(value, " \t,", &words);

        if (result < 0)
                return result;
        STRV_FOREACH(word, words)
        if (!resolver_is_valid(*word))
                return warn(r, "Resolvers= takes addresses, or ADDRESS#PORT", *word);
        if (!*value)
                r->pools.resolvers = strv_free(r->pools.resolvers);
        return strv_add_all(&r->pools.resolvers, words);
}

static int set_dnsmasq(struct reader *r, const char *value)
{
        bool on;

        if (parse_boolean(value, &on) >= 0) {
                r->pools.no_dnsmasq = !on;
                return 0;
        }
        if (value[0] != '/')
                return warn(r, "Dnsmasq= takes an absolute path, or 'no'", value);
        r->pools.no_dnsmasq = false;
        return replace(&r->pools.dnsmasq, value);
}

static const struct {
        const char *key;
        int (*set)(struct reader *r, const char *value);
} keys[] = {
        { "Pool4", set_pools },
        { "HostPrefixLength4", set_host_length },
        { "ZonePrefixLength4", set_zone_length },
        { "Prefix6", set_prefix6 },
        { "Domain", set_domain },
        { "Resolvers", set_resolvers },
        { "Dnsmasq", set_dnsmasq },
};

static int read_line(struct reader *r, const struct settings_line *line)
{
        r->line = line->number;
        switch (line->kind) {
        case LINE_ASSIGNMENT:
                for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                        if (streq(keys[i].key, line->key))
                                return keys[i].set(r, line->value);
                return warn(r,
                            "A line sets Pool4=, HostPrefixLength4=, ZonePrefixLength4=, "
                            "Prefix6=, Domain=, Resolvers= or Dnsmasq=",
                            line->key);
        case LINE_UNKNOWN_SECTION:
                return warn(r, "The only section is [Network]", line->key);
        case LINE_NO_SECTION:
                return warn(r, "A line belongs to the section [Network]", "none");
        case LINE_NO_EQUALS:
        case LINE_NO_KEY:
        default:
                return warn(r, "A line is KEY=VALUE", "this");
        }
}

/* A unique-local prefix (RFC 4193), with the host's identity in the place of chance. */
static struct net_address default_prefix6(const struct id128 *host_id)
{
        struct net_address prefix = { .family = AF_INET6, .prefix = 48 };
        uint64_t hash = siphash24(host_id->bytes, sizeof(host_id->bytes), prefix6_key);

        prefix.in6.s6_addr[0] = 0xfd;
        for (size_t i = 1; i < 6; i++, hash >>= 8)
                prefix.in6.s6_addr[i] = (uint8_t) hash;
        return prefix;
}

static int set_defaults(struct reader *r, const struct id128 *host_id)
{
        r->pools.host_length4 = DEFAULT_HOST_LENGTH4;
        r->pools.zone_length4 = DEFAULT_ZONE_LENGTH4;
        r->pools.prefix6 = default_prefix6(host_id);
        return replace(&r->pools.domain, DEFAULT_DOMAIN);
}

int net_pools_parse(const char *path, const char *text, size_t size, const struct id128 *host_id,
                    struct net_pools *ret, char ***warnings, struct failure *failure)
{
        static const char *const sections[] = { "Network", NULL };
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
        struct reader r = { .path = path, .warnings = warnings };
        int result = settings_file_parse(path, text, size, sections, &file, failure);

        if (result < 0)
                return result;
        result = set_defaults(&r, host_id);
        for (size_t i = 0; result >= 0 && i < file.n; i++)
                result = read_line(&r, &file.lines[i]);
        if (result >= 0 && r.pools.n_pools4 == 0)
                result = set_pools(&r, DEFAULT_POOLS4);
        if (result < 0) {
                net_pools_done(&r.pools);
                return failure_set(failure, result, "Out of memory.");
        }
        *ret = r.pools;
        return 0;
}

/* ---- the choice -------------------------------------------------------------------------- */

void net_busy_done(struct net_busy *busy)
{
        free(busy->items);
        *busy = (struct net_busy){ .n = 0 };
}

int net_busy_add(struct net_busy *busy, const struct net_address *prefix, bool is_near)
{
        unsigned shortest = prefix->family == AF_INET6 ? NET_BUSY_SHORTEST6 : NET_BUSY_SHORTEST4;

        if (prefix->prefix < shortest)
                return 0;
        if (!busy->items || busy->n == busy->size) {
                size_t size = busy->size ? 2 * busy->size : 32;
                struct net_busy_item *grown = reallocarray(busy->items, size, sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                busy->items = grown;
                busy->size = size;
        }
        busy->items[busy->n++] = (struct net_busy_item){ *prefix, is_near };
        return 0;
}

const struct net_busy_item *net_busy_find(const struct net_busy *busy,
                                          const struct net_address *prefix, bool strict)
{
        for (size_t i = 0; i < busy->n; i++) {
                const struct net_busy_item *item = &busy->items[i];

                if (net_address_overlaps(&item->prefix, prefix) &&
                    (strict || item->is_near || item->prefix.prefix >= prefix->prefix))
                        return item;
        }
        return NULL;
}

static unsigned length4(const struct net_pools *pools, const char *network)
{
        return streq(network, "host") ? pools->host_length4 : pools->zone_length4;
}

static int choose4(const struct net_pools *pools, const char *network, const struct net_busy *busy,
                   bool strict, struct net_address *ret)
{
        uint64_t hash = siphash24(network, strlen(network), subnet_key);

        for (size_t k = 0; k < pools->n_pools4; k++) {
                const struct net_address *pool = &pools->pools4[k];
                /* A pool that is smaller than a subnet is one. */
                unsigned length = MAX_OF(length4(pools, network), pool->prefix);
                uint32_t n = UINT32_C(1) << (length - pool->prefix);

                for (uint32_t i = 0; i < n; i++) {
                        uint32_t place = (uint32_t) ((hash + i) % n) << (32 - length);
                        struct net_address candidate = net_address_nth(pool, place);

                        candidate.prefix = length;
                        if (net_busy_find(busy, &candidate, strict))
                                continue;
                        *ret = candidate;
                        return 0;
                }
        }
        return -ENOSPC;
}

static void choose6(const struct net_pools *pools, const char *network, const struct net_busy *busy,
                    struct net_address *ret)
{
        uint64_t hash = siphash24(network, strlen(network), subnet_key) >> 32;
        uint32_t n;

        *ret = (struct net_address){ .family = 0 };
        if (pools->prefix6.family == 0)
                return;
        n = UINT32_C(1) << MIN_OF(64 - pools->prefix6.prefix, 16);
        for (uint32_t i = 0; i < n; i++) {
                struct net_address candidate = pools->prefix6;
                uint32_t place = (uint32_t) ((hash + i) % n);

                candidate.prefix = 64;
                candidate.in6.s6_addr[6] |= (uint8_t) (place >> 8);
                candidate.in6.s6_addr[7] |= (uint8_t) place;
                if (net_busy_find(busy, &candidate, false))
                        continue;
                *ret = candidate;
                return;
        }
}

int net_pools_choose(const struct net_pools *pools, const char *network,
                     const struct net_busy *busy, struct net_address *ret4,
                     struct net_address *ret6, struct net_address *ret_shadows)
{
        const struct net_busy_item *shadowed = NULL;
        int r = choose4(pools, network, busy, true, ret4);

        if (r < 0) {
                r = choose4(pools, network, busy, false, ret4);
                if (r < 0)
                        return r;
                shadowed = net_busy_find(busy, ret4, true);
        }
        *ret_shadows = shadowed ? shadowed->prefix : (struct net_address){ .family = 0 };
        choose6(pools, network, busy, ret6);
        return 0;
}

bool net_pools_offer(const struct net_pools *pools, const char *network,
                     const struct net_address *prefix4, const struct net_address *prefix6)
{
        if ((prefix6->family != 0) != (pools->prefix6.family != 0) ||
            (prefix6->family != 0 && !net_address_contains(&pools->prefix6, prefix6)))
                return false;
        for (size_t i = 0; i < pools->n_pools4; i++)
                if (net_address_contains(&pools->pools4[i], prefix4) &&
                    prefix4->prefix == MAX_OF(length4(pools, network), pools->pools4[i].prefix))
                        return true;
        return false;
}
