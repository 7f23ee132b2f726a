/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "basic/strv.h"
#include "fuzz.h"
#include "netsetup/net-manager.h"
#include "netsetup/pool.h"
#include "netsetup/subnet-file.h"
#include "shared/names.h"

/*
 * The text of network.conf, and whatever it says, subnets come of it. The same bytes as files of other
 * managers of networks, which are as foreign.
 */

#define PATH "/etc/stead/network.conf"

static const struct id128 host_id = { { 1, 2, 3 } };

static void check_network(const struct net_address *a)
{
        struct net_address network = net_address_network(a);
        char text[NET_ADDRESS_TEXT_SIZE], again[NET_ADDRESS_TEXT_SIZE];

        FUZZ_CHECK(
                streq(net_address_prefix_text(a, text), net_address_prefix_text(&network, again)));
        FUZZ_CHECK(net_address_parse(text, &network) == 0 && network.prefix == a->prefix);
}

static void check_pools(const struct net_pools *p)
{
        FUZZ_CHECK(p->n_pools4 > 0);
        for (size_t i = 0; i < p->n_pools4; i++) {
                FUZZ_CHECK(p->pools4[i].family == AF_INET);
                FUZZ_CHECK(p->pools4[i].prefix >= 8 && p->pools4[i].prefix <= 29);
                check_network(&p->pools4[i]);
        }
        FUZZ_CHECK(p->host_length4 >= 8 && p->host_length4 <= 29);
        FUZZ_CHECK(p->zone_length4 >= 8 && p->zone_length4 <= 29);
        FUZZ_CHECK(p->prefix6.family == 0 || p->prefix6.family == AF_INET6);
        if (p->prefix6.family) {
                FUZZ_CHECK(p->prefix6.prefix >= 16 && p->prefix6.prefix <= 64);
                check_network(&p->prefix6);
        }
        FUZZ_CHECK(hostname_is_valid(p->domain));
        FUZZ_CHECK(!p->dnsmasq || p->dnsmasq[0] == '/');
        /* They become lines of another program's file. */
        STRV_FOREACH(resolver, p->resolvers)
        FUZZ_CHECK(fuzz_is_one_line(*resolver) && !strpbrk(*resolver, " \t/,\"\\"));
}

/* Some networks, each of which is in the way of the next. */
static void choose(const struct net_pools *p)
{
        static const char *const networks[] = { "host", "zone-a", "zone-b", "zone-c" };
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };

        for (size_t i = 0; i < ARRAY_SIZE(networks); i++) {
                struct net_address four, six, shadows;

                if (net_pools_choose(p, networks[i], &busy, &four, &six, &shadows) < 0)
                        continue;
                check_network(&four);
                FUZZ_CHECK(four.prefix >= 8 && four.prefix <= 29 && shadows.family == 0);
                FUZZ_CHECK(!net_busy_find(&busy, &four, true));
                FUZZ_CHECK(!six.family || (six.prefix == 64 && !net_busy_find(&busy, &six, true)));
                if (six.family || !p->prefix6.family)
                        FUZZ_CHECK(net_pools_offer(p, networks[i], &four, &six));
                FUZZ_CHECK(net_busy_add(&busy, &four, true) == 0);
                if (six.family)
                        FUZZ_CHECK(net_busy_add(&busy, &six, true) == 0);
        }
}

static void ask_others(const char *bytes, size_t size)
{
        static const struct manager_link link = { "ve-web", "veth" };
        enum manager_answer answer = networkd_file_says("x", bytes, size, &link);
        int unmanaged = networkd_file_unmanaged("x", bytes, size);
        struct net_address four, six;

        FUZZ_CHECK((answer != MANAGER_LEAVES_IT || unmanaged == 1) &&
                   (answer != MANAGER_TAKES_IT || unmanaged != 1));
        (void) networkd_state_says(bytes, size);
        FUZZ_CHECK(networkmanager_profile_says("x", bytes, size, "vz-lab") != MANAGER_LEAVES_IT);
        if (!subnet_file_parse(bytes, size, &four, &six))
                return;
        check_network(&four);
        FUZZ_CHECK(four.family == AF_INET && four.prefix >= 8 && four.prefix <= 29);
        FUZZ_CHECK(!six.family || (six.family == AF_INET6 && six.prefix == 64));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct net_pools pools CLEANUP(net_pools_done) = { .n_pools4 = 0 };
        char *text CLEANUP_FREE = fuzz_text(data, size);
        struct failure failure = { .error = 0 };
        char **warnings CLEANUP_STRV = NULL;
        int r = net_pools_parse(PATH, text, size, &host_id, &pools, &warnings, &failure);

        fuzz_check_failure(r, &failure);
        STRV_FOREACH(warning, warnings)
        FUZZ_CHECK(startswith(*warning, PATH ":"));
        if (r >= 0) {
                check_pools(&pools);
                choose(&pools);
        }
        ask_others(text, size);
        return 0;
}
