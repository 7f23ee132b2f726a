/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/pool.h"

/*
 * What the host's routes and addresses say, so that a network does not get a subnet that is somebody
 * else's. Links of ours, "ve-…", "vb-…" and "vz-…", do not count.
 *
 * With a conversation of its own and not with nl.h's, where each batch is acknowledged and each
 * answer read to its end: the question at each start is one call there and one back, and a dump of
 * very many routes is left in its middle.
 */

/* No host with more routes is read to its end: a dump is paid by the first machine of a network. */
#define HOST_ROUTES_MAX 20000

/* Adds all routes and addresses of the host. Returns 0 or a negative errno. */
int host_routes_read(struct net_busy *busy);

/*
 * Where the host would send a packet to @address: @ret is the route's prefix, or .family 0 if that is
 * no collision, because it goes to a link of ours, or to where all others go, or nowhere. One request.
 * Returns 0 or a negative errno.
 */
int host_route_find(const struct net_address *address, struct net_address *ret);

/* Whether the host sends packets to @address out of @link, and nowhere else. One request. */
bool host_route_leads_to(const struct net_address *address, const char *link);

/* Whether @address is one of the host's own. One request. */
bool host_has_address(const struct net_address *address);
