/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/id128.h"
#include "netsetup/net-config.h"

/*
 * What /etc/stead/network.conf says, and which subnet a network gets of it. Nothing here opens,
 * asks or prints anything.
 *
 *   [Network]
 *   Pool4=10.128.0.0/10 172.16.0.0/12   ranges that subnets are taken from, in this order. Several
 *                                       lines add up, an empty one forgets those before it
 *   HostPrefixLength4=18                size of the subnet of all -n links together
 *   ZonePrefixLength4=22                size of a zone's
 *   Prefix6=fd12:3456:789a::/48         of it each network gets a /64; "no": no IPv6
 *   Domain=machine                      NAME.machine is the address of machine NAME
 *   Resolvers=192.0.2.53 2001:db8::53   who is asked for other names, instead of the host's
 *                                       resolvers; ADDRESS#PORT for another port than 53
 *   Dnsmasq=/usr/sbin/dnsmasq           the program; "no": none, so no names and no DHCP
 */

struct net_pools {
        struct net_address *pools4;
        size_t n_pools4;
        unsigned host_length4, zone_length4;
        struct net_address prefix6; /* .family 0: no IPv6 */
        char *domain;
        char **resolvers; /* NULL: the host's */
        char *dnsmasq;    /* NULL: it is looked for */
        bool no_dnsmasq;
};

void net_pools_done(struct net_pools *pools);

/*
 * Reads the text of the file; @size 0 gives the defaults, for which @host_id is needed. A bad line
 * counts as if it was not there, and adds a sentence to the list @warnings. Returns 0, or with a
 * sentence: the file cannot be used at all (see basic/settings-file.h), or -ENOMEM.
 */
int net_pools_parse(const char *path, const char *text, size_t size, const struct id128 *host_id,
                    struct net_pools *ret, char ***warnings, struct failure *failure);

/* The network's address alone: "10.0.3.7/24" is "10.0.3.0/24". */
struct net_address net_address_network(const struct net_address *a);

/* Whether one of them is in the other. */
bool net_address_overlaps(const struct net_address *a, const struct net_address *b);

/* Whether the prefix @outer has all of @inner. */
bool net_address_contains(const struct net_address *outer, const struct net_address *inner);

/* The address number @number of the network @prefix, with its length. */
struct net_address net_address_nth(const struct net_address *prefix, uint32_t number);

/* What a subnet must not collide with: routes and addresses of the host, and subnets of ours. */
struct net_busy_item {
        struct net_address prefix;
        bool is_near; /* on a link of the host's, or ours: not only routed to somewhere */
};

struct net_busy {
        struct net_busy_item *items;
        size_t n, size;
};

void net_busy_done(struct net_busy *busy);
int net_busy_add(struct net_busy *busy, const struct net_address *prefix, bool is_near);

/* Routes to more than this, such as the two halves of everything that a tunnel takes, are a way out
 * and no network. */
#define NET_BUSY_SHORTEST4 8
#define NET_BUSY_SHORTEST6 16

/*
 * The first that collides with @prefix, or NULL. A route to a wider network elsewhere only does so if
 * @strict: ours is then a hole in it, which harms nobody but who is in the hole.
 */
const struct net_busy_item *net_busy_find(const struct net_busy *busy,
                                          const struct net_address *prefix, bool strict);

/*
 * The subnets of @network ("host", "zone-NAME"): the first one from where the hash of its name points
 * to in the pools that does not collide. If there is none, since some tunnel claims all private
 * ranges, one that is only a small part of what is routed elsewhere (@ret_shadows: of what).
 * Returns 0 or -ENOSPC. Of IPv6 none at all is no error: @ret6 is then empty.
 */
int net_pools_choose(const struct net_pools *pools, const char *network,
                     const struct net_busy *busy, struct net_address *ret4,
                     struct net_address *ret6, struct net_address *ret_shadows);

/* Whether the subnets are ones that net_pools_choose() could give. */
bool net_pools_offer(const struct net_pools *pools, const char *network,
                     const struct net_address *prefix4, const struct net_address *prefix6);
