/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/address.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/settings-file.h"
#include "basic/strv.h"
#include "netsetup/host-routes.h"
#include "netsetup/ifname.h"
#include "netsetup/keeper.h"
#include "netsetup/lease.h"
#include "netsetup/subnet-file.h"

/* So many addresses of a machine may collide with what the host has in its subnet. */
#define MAX_AVOIDED 8

/* ---- configuration ----------------------------------------------------------------------- */

int net_pools_read(const struct id128 *host_id, bool quiet, struct net_pools *ret,
                   struct failure *failure)
{
        char *text CLEANUP_FREE = NULL;
        char **warnings CLEANUP_STRV = NULL;
        size_t size = 0;
        int r = read_file_at(AT_FDCWD, NETWORK_CONFIG_FILE, SETTINGS_FILE_MAX, &text, &size);

        if (r < 0 && r != -ENOENT && r != -ENOTDIR)
                return failure_set(failure, r, "Cannot read '%s': %s.", NETWORK_CONFIG_FILE,
                                   error_text(r));
        r = net_pools_parse(NETWORK_CONFIG_FILE, text ? text : "", size, host_id, ret, &warnings,
                            failure);
        if (r >= 0 && !quiet)
                STRV_FOREACH(warning, warnings)
        log_warning("%s", *warning);
        return r;
}

/* ---- the subnet -------------------------------------------------------------------------- */

static void set_gateways(struct net_subnet *subnet)
{
        subnet->gateway4 = net_address_nth(&subnet->prefix4, 1);
        subnet->gateway6 = subnet->prefix6;
        if (subnet->prefix6.family)
                subnet->gateway6 = net_address_nth(&subnet->prefix6, 1);
}

bool net_subnet_read(const char *network, struct net_subnet *ret)
{
        *ret = (struct net_subnet){ .prefix4 = { .family = 0 } };
        if (!subnet_file_read(NETWORK_SPARE_FOLDER, network, &ret->prefix4, &ret->prefix6) &&
            !subnet_file_read(NETWORK_STATE_FOLDER, network, &ret->prefix4, &ret->prefix6))
                return false;
        set_gateways(ret);
        return true;
}

static int read_host(struct net_busy *busy, struct failure *failure)
{
        int r = host_routes_read(busy);

        return r < 0 ? failure_set(failure, r, "Cannot read the host's routes: %s.", error_text(r))
                     : 0;
}

/* Other networks have to be known only to choose: none has taken what this one had. */
static int read_others(const char *network, struct net_busy *busy, struct failure *failure)
{
        int r = subnet_file_read_others(NETWORK_STATE_FOLDER, network, busy);

        if (r >= 0)
                r = subnet_file_read_others(NETWORK_SPARE_FOLDER, network, busy);
        return r < 0 ? failure_set(failure, r, "Cannot read the subnets in '%s': %s.",
                                   NETWORK_STATE_FOLDER, error_text(r))
                     : 0;
}

/* Whether the network can keep the subnet that it has. */
static bool can_keep(const struct net_pools *pools, const char *network,
                     const struct net_busy *busy, const struct net_subnet *subnet)
{
        return net_pools_offer(pools, network, &subnet->prefix4, &subnet->prefix6) &&
               !net_busy_find(busy, &subnet->prefix4, false) &&
               !net_busy_find(busy, &subnet->prefix6, false);
}

static void warn_of_move(const char *network, const struct net_busy *busy,
                         const struct net_subnet *old, const struct net_subnet *new)
{
        const struct net_busy_item *item = net_busy_find(busy, &old->prefix4, false);
        char from[NET_ADDRESS_TEXT_SIZE], to[NET_ADDRESS_TEXT_SIZE], of[NET_ADDRESS_TEXT_SIZE];

        if (!item)
                item = net_busy_find(busy, &old->prefix6, false);
        if (item)
                log_warning("The network '%s' moves from %s to %s: the host has %s elsewhere by "
                            "now.",
                            network, net_address_prefix_text(&old->prefix4, from),
                            net_address_prefix_text(&new->prefix4, to),
                            net_address_prefix_text(&item->prefix, of));
}

static int choose_subnet(const struct net_lease_request *q, const struct net_pools *pools,
                         const struct net_busy *busy, struct net_subnet *ret,
                         struct failure *failure)
{
        struct net_subnet subnet = { .prefix4 = { .family = 0 } };
        struct net_address shadows;
        char text[NET_ADDRESS_TEXT_SIZE], of[NET_ADDRESS_TEXT_SIZE];
        int r = net_pools_choose(pools, q->network, busy, &subnet.prefix4, &subnet.prefix6,
                                 &shadows);

        if (r < 0)
                return failure_set(failure, r,
                                   "There is no subnet left for the network '%s' that the host "
                                   "does not use already. Say in %s which range can be used: "
                                   "[Network] Pool4=ADDRESS/LENGTH.",
                                   q->network, NETWORK_CONFIG_FILE);
        if (shadows.family && !q->dry_run)
                log_warning("The network '%s' gets %s, although the host has a route to %s: no "
                            "subnet was free. Say in %s which range can be used.",
                            q->network, net_address_prefix_text(&subnet.prefix4, text),
                            net_address_prefix_text(&shadows, of), NETWORK_CONFIG_FILE);
        set_gateways(&subnet);
        *ret = subnet;
        return 0;
}

/* Chooses a subnet and writes it down, while nobody else does so. */
static int settle_locked(const struct net_lease_request *q, const struct net_pools *pools,
                         const char *folder, struct net_subnet *ret, struct failure *failure)
{
        struct lock_file lock CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };
        struct net_subnet old;
        int r = subnet_file_lock(folder, q->network, &lock);
        bool was_there = net_subnet_read(q->network, &old);

        if (r < 0)
                return r;
        r = read_host(&busy, failure);
        if (r >= 0)
                r = read_others(q->network, &busy, failure);
        if (r < 0)
                return r;
        if (was_there && can_keep(pools, q->network, &busy, &old)) {
                *ret = old; /* another one has been here since we looked */
                return 0;
        }
        r = choose_subnet(q, pools, &busy, ret, failure);
        if (r < 0)
                return r;
        r = subnet_file_write(folder, q->network, &ret->prefix4, &ret->prefix6);
        if (r >= 0 && was_there)
                warn_of_move(q->network, &busy, &old, ret);
        return r;
}

static int settle(const struct net_lease_request *q, const struct net_pools *pools,
                  struct net_subnet *ret, struct failure *failure)
{
        int r = settle_locked(q, pools, NETWORK_STATE_FOLDER, ret, failure);

        if (lease_is_unwritable(r) && failure->error == 0)
                r = settle_locked(q, pools, NETWORK_SPARE_FOLDER, ret, failure);
        return r < 0 ? failure_set(failure, r, "Cannot write the subnet of '%s' into '%s': %s.",
                                   q->network, NETWORK_SPARE_FOLDER, error_text(r))
                     : 0;
}

static int find_subnet(const struct net_lease_request *q, struct net_subnet *ret,
                       struct failure *failure)
{
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };
        struct net_pools pools CLEANUP(net_pools_done) = { .n_pools4 = 0 };
        bool is_there = net_subnet_read(q->network, ret);
        int r;

        if (is_there && !q->network_is_new)
                return 0;
        r = net_pools_read(q->host_id, q->dry_run, &pools, failure);
        if (r >= 0)
                r = read_host(&busy, failure);
        if (r < 0 || (is_there && can_keep(&pools, q->network, &busy, ret)))
                return r;
        if (!q->dry_run)
                return settle(q, &pools, ret, failure);
        r = read_others(q->network, &busy, failure);
        return r < 0 ? r : choose_subnet(q, &pools, &busy, ret, failure);
}

/* ---- the address ------------------------------------------------------------------------- */

/* A machine that the keeper knows runs; so does one whose link the host has, keeper or not. */
static bool machine_runs(const char *machine)
{
        char path[256], link[LINK_NAME_SIZE];

        (void) snprintf(path, sizeof(path), "%s/%s", NETWORK_RUN_MACHINES, machine);
        if (access(path, F_OK) >= 0)
                return true;
        (void) link_name_make("ve-", machine, false, link);
        if (if_nametoindex(link) > 0)
                return true;
        (void) link_name_make("vb-", machine, false, link);
        return if_nametoindex(link) > 0;
}

static const struct lease_folders folders = { NETWORK_STATE_FOLDER, NETWORK_SPARE_FOLDER,
                                              machine_runs };

static void fill_lease(const struct net_lease_request *q, uint32_t number, struct net_lease *lease)
{
        lease->address4 = net_address_nth(&lease->subnet.prefix4, number);
        lease->address6 = lease->subnet.prefix6;
        if (lease->address6.family == 0)
                return;
        lease->address6 = net_address_nth(&lease->subnet.prefix6, number);
        if (streq(q->network, "host"))
                lease->address6.prefix = 128;
}

/* The number of the address that was chosen for the machine; 0 if it is not of the subnet. */
static uint32_t wanted_number(const struct net_lease_request *q, const struct net_subnet *subnet)
{
        if (!q->wanted4 || !net_address_overlaps(&subnet->prefix4, q->wanted4))
                return 0;
        return ntohl(q->wanted4->in4.s_addr) - ntohl(subnet->prefix4.in4.s_addr);
}

/* Whether the host has the machine's address, or a part of the subnet with it, elsewhere. */
static bool is_elsewhere(const struct net_lease_request *q, const struct net_lease *lease)
{
        char text[NET_ADDRESS_TEXT_SIZE], of[NET_ADDRESS_TEXT_SIZE];
        struct net_address route;

        if (host_route_find(&lease->address4, &route) < 0 || route.family == 0 ||
            route.prefix < lease->subnet.prefix4.prefix)
                return false;
        log_warning("Machine '%s' cannot have the address %s: the host has %s elsewhere by now.",
                    q->machine, net_address_text(&lease->address4, text),
                    net_address_prefix_text(&route, of));
        return true;
}

static int find_address(const struct net_lease_request *q, struct net_lease *lease,
                        struct failure *failure)
{
        uint32_t avoid[MAX_AVOIDED], number = 0;
        struct lease_request request = {
                .network = q->network,
                .machine = q->machine,
                .count = UINT32_C(1) << (32 - lease->subnet.prefix4.prefix),
                .wanted = wanted_number(q, &lease->subnet),
                .avoid = avoid,
                .dry_run = q->dry_run,
        };

        for (;;) {
                int r = lease_number(&folders, &request, &number, failure);

                if (r < 0)
                        return r;
                fill_lease(q, number, lease);
                /* Of a new network all of it has been looked at. */
                if (q->dry_run || q->network_is_new || request.wanted ||
                    request.n_avoid == MAX_AVOIDED || !is_elsewhere(q, lease))
                        return 0;
                avoid[request.n_avoid++] = number;
        }
}

int net_lease_take(const struct net_lease_request *request, struct net_lease *ret,
                   struct failure *failure)
{
        struct net_lease lease = { .address4 = { .family = 0 } };
        int r = find_subnet(request, &lease.subnet, failure);

        if (r >= 0)
                r = find_address(request, &lease, failure);
        if (r >= 0)
                *ret = lease;
        return r;
}

void net_lease_forget(const char *network, const char *machine)
{
        lease_drop(&folders, network, machine);
}
