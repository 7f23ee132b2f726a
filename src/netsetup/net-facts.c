/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/net-facts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "netsetup/host-routes.h"
#include "netsetup/ifname.h"
#include "netsetup/keeper.h"
#include "netsetup/net-manager.h"

#define FIRST_NEW_SCHEME 245UL

static const char *const program_folders[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
                                               "/usr/bin",        "/sbin",          "/bin" };

enum net_manager net_manager_of(const char *link)
{
        const struct manager_link asked = { link, startswith(link, "vz-") ? "bridge" : "veth" };

        if (networkd_says("", &asked) == MANAGER_TAKES_IT)
                return NET_MANAGER_NETWORKD;
        if (networkmanager_says("", &asked) == MANAGER_TAKES_IT)
                return NET_MANAGER_NETWORKMANAGER;
        return NET_MANAGER_NONE;
}

bool naming_scheme_is_old(const char *scheme)
{
        unsigned long version;

        if (!scheme)
                return false;
        if (*scheme == ':') /* "unless the kernel's command line says another one" */
                scheme++;
        return *scheme == 'v' && parse_ulong(scheme + 1, 0, UINT32_MAX, &version) >= 0 &&
               version < FIRST_NEW_SCHEME;
}

int net_dnsmasq_find(const struct net_pools *pools, char ret[DNSMASQ_PATH_SIZE])
{
        if (pools->no_dnsmasq)
                return -ENOENT;
        for (size_t i = 0; i < ARRAY_SIZE(program_folders); i++) {
                int n = pools->dnsmasq ? snprintf(ret, DNSMASQ_PATH_SIZE, "%s", pools->dnsmasq)
                                       : snprintf(ret, DNSMASQ_PATH_SIZE, "%s/dnsmasq",
                                                  program_folders[i]);

                if (n < DNSMASQ_PATH_SIZE && access(ret, X_OK) >= 0)
                        return 0;
                if (pools->dnsmasq)
                        break;
        }
        return -ENOENT;
}

/* Without one, what follows from it follows from the names alone. */
static int read_host_id(struct id128 *ret, struct failure *failure)
{
        char text[ID128_TEXT_SIZE + 8];
        int r = read_line_at(AT_FDCWD, "/etc/machine-id", text, sizeof(text));

        if (r < 0 && r != -ENOENT)
                return failure_set(failure, r, "Cannot read '/etc/machine-id': %s.", error_text(r));
        if (r < 0 || id128_parse(text, ret) < 0)
                *ret = (struct id128){ { 0 } };
        return 0;
}

static int read_environment(struct net_facts *facts, struct failure *failure)
{
        const char *mac = getenv("SYSTEMD_NSPAWN_NETWORK_MAC");

        facts->old_names = naming_scheme_is_old(getenv("SYSTEMD_NET_NAMING_SCHEME"));
        if (!mac)
                return 0;
        if (mac_parse(mac, facts->mac) < 0)
                return failure_set(failure, -EINVAL,
                                   "The environment variable SYSTEMD_NSPAWN_NETWORK_MAC takes a "
                                   "MAC address such as 02:00:00:aa:bb:cc, not '%s'.",
                                   mac);
        facts->mac_from_environment = true;
        return 0;
}

/* Links of -n, and zones, are ours; another bridge has its addresses from whoever made it. */
static void read_manager(const struct net_config *c, const char *machine, struct net_facts *facts)
{
        char link[LINK_NAME_SIZE];

        if (c->namespace_path || c->setup == NET_SETUP_NO || (!c->zone && (c->bridge || !c->veth)))
                return;
        if (c->setup == NET_SETUP_YES) {
                facts->manager = NET_MANAGER_US;
                return;
        }
        (void) link_name_make(c->zone ? "vz-" : "ve-", c->zone ? c->zone : machine,
                              facts->old_names, link);
        facts->manager = net_manager_of(link);
        if (facts->manager == NET_MANAGER_NONE)
                facts->manager = NET_MANAGER_US;
}

static const struct net_address *wanted_address(const struct net_config *c)
{
        for (size_t i = 0; i < c->n_addresses; i++)
                if (c->addresses[i].family == AF_INET)
                        return &c->addresses[i];
        return NULL;
}

/* The host would keep for itself what is sent to the machine. */
static int check_addresses(const struct net_config *c, struct failure *failure)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        for (size_t i = 0; i < c->n_addresses; i++)
                if (host_has_address(&c->addresses[i]))
                        return failure_set(failure, -EADDRINUSE,
                                           "Address '%s' (--network-address=) is one of the host's "
                                           "own. Choose another one.",
                                           net_address_text(&c->addresses[i], text));
        return 0;
}

static int look_for_dnsmasq(struct net_facts *facts, struct failure *failure)
{
        struct net_pools pools CLEANUP(net_pools_done) = { .n_pools4 = 0 };
        char path[DNSMASQ_PATH_SIZE];
        int r = net_pools_read(&facts->host_id, true, &pools, failure);

        facts->has_dnsmasq = r >= 0 && net_dnsmasq_find(&pools, path) >= 0;
        return r;
}

static int take_lease(const struct net_config *c, const char *machine, bool dry_run,
                      struct net_facts *facts, struct failure *failure)
{
        const struct net_address none = { .family = 0 };
        char network[NETWORK_NAME_SIZE];
        struct net_lease_request request = {
                .network = network,
                .machine = machine,
                .host_id = &facts->host_id,
                .wanted4 = wanted_address(c),
                .dry_run = dry_run,
        };
        int r;

        net_config_network(c, network);
        request.network_is_new = !dry_run && !keeper_has_network(network);
        r = net_lease_take(&request, &facts->lease, failure);
        if (r >= 0 && !facts->has_ipv6) {
                facts->lease.address6 = none;
                facts->lease.subnet.prefix6 = facts->lease.subnet.gateway6 = none;
        }
        return MIN_OF(r, 0);
}

int net_facts_take_lease(const struct net_config *config, const char *machine,
                         struct net_facts *facts, struct failure *failure)
{
        return take_lease(config, machine, false, facts, failure);
}

int net_facts_read(const struct net_config *config, const char *machine, struct net_facts *ret,
                   struct failure *failure)
{
        struct net_facts facts = { .manager = NET_MANAGER_NONE };
        int r = read_environment(&facts, failure);

        if (r < 0)
                return r;
        if (config->veth || config->bridge || config->zone || config->n_extras > 0 ||
            config->n_macvlans > 0)
                r = read_host_id(&facts.host_id, failure); /* MAC addresses are made from it */
        if (r < 0)
                return r;
        read_manager(config, machine, &facts);
        if (facts.manager == NET_MANAGER_US) {
                facts.has_ipv6 = access("/proc/net/if_inet6", F_OK) >= 0 || errno != ENOENT;
                r = look_for_dnsmasq(&facts, failure);
                if (r >= 0)
                        r = take_lease(config, machine, true, &facts, failure);
                if (r >= 0)
                        r = check_addresses(config, failure);
        }
        if (r >= 0)
                *ret = facts;
        return r;
}
