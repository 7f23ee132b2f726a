/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "basic/strv.h"
#include "netsetup/pool.h"
#include "netsetup/subnet-file.h"

static const struct id128 host_id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

static struct net_address address(const char *text)
{
        struct net_address a;

        assert_int_equal(net_address_parse(text, &a), 0);
        return a;
}

static void assert_address(const struct net_address *a, const char *text)
{
        char buffer[NET_ADDRESS_TEXT_SIZE];

        assert_string_equal(net_address_prefix_text(a, buffer), text);
}

static struct net_pools parse(const char *text, char ***warnings)
{
        struct failure failure = { .error = 0 };
        struct net_pools pools;

        *warnings = NULL;
        assert_int_equal(net_pools_parse("network.conf", text, strlen(text), &host_id, &pools,
                                         warnings, &failure),
                         0);
        return pools;
}

static struct net_pools parse_good(const char *text)
{
        char **warnings;
        struct net_pools pools = parse(text, &warnings);

        assert_null(warnings);
        return pools;
}

static void test_prefixes(void **state)
{
        struct net_address a = address("10.0.3.7/22"), b = address("10.0.0.0/8");
        struct net_address c = address("fd00:0:0:17::9/63"), d = address("fd00:0:0:16::/64");

        (void) state;
        a = net_address_network(&a);
        assert_address(&a, "10.0.0.0/22");
        c = net_address_network(&c);
        assert_address(&c, "fd00:0:0:16::/63");
        assert_true(net_address_overlaps(&a, &b) && net_address_overlaps(&b, &a));
        assert_true(net_address_contains(&b, &a) && !net_address_contains(&a, &b));
        assert_true(net_address_overlaps(&c, &d) && !net_address_overlaps(&a, &c));
        a = net_address_nth(&a, 775);
        assert_address(&a, "10.0.3.7/22");
        d = net_address_nth(&d, 775);
        assert_address(&d, "fd00:0:0:16::307/64");
        b = address("0.0.0.0/0");
        assert_true(net_address_contains(&b, &a));
}

static void test_defaults(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) = parse_good("");
        struct net_pools again CLEANUP(net_pools_done) = parse_good("[Network]\n");

        (void) state;
        assert_int_equal(pools.n_pools4, 4);
        assert_address(&pools.pools4[0], "10.128.0.0/10");
        assert_address(&pools.pools4[3], "192.168.0.0/16");
        assert_int_equal(pools.host_length4, 18);
        assert_int_equal(pools.zone_length4, 22);
        assert_int_equal(pools.prefix6.prefix, 48);
        assert_int_equal(pools.prefix6.in6.s6_addr[0], 0xfd);
        assert_memory_equal(&pools.prefix6.in6, &again.prefix6.in6, 16);
        assert_string_equal(pools.domain, "machine");
        assert_null(pools.resolvers);
        assert_null(pools.dnsmasq);
        assert_false(pools.no_dnsmasq);
}

static void test_file(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) =
                parse_good("# of the house\n[Network]\nPool4=10.1.2.3/16 10.2.0.0/16\n"
                           "Pool4=10.3.0.0/24\nHostPrefixLength4=20\nZonePrefixLength4=28\n"
                           "Prefix6=2001:db8:1:2:3::/56\nDomain=guests.example.org\n"
                           "Resolvers=192.0.2.53 2001:db8::53#5353\nResolvers=192.0.2.54\n"
                           "Dnsmasq=/opt/dnsmasq\nX-Other=1\n");

        (void) state;
        assert_int_equal(pools.n_pools4, 3);
        assert_address(&pools.pools4[0], "10.1.0.0/16");
        assert_address(&pools.pools4[2], "10.3.0.0/24");
        assert_int_equal(pools.host_length4, 20);
        assert_int_equal(pools.zone_length4, 28);
        assert_address(&pools.prefix6, "2001:db8:1::/56");
        assert_string_equal(pools.domain, "guests.example.org");
        assert_int_equal(strv_length(pools.resolvers), 3);
        assert_string_equal(pools.resolvers[1], "2001:db8::53#5353");
        assert_string_equal(pools.dnsmasq, "/opt/dnsmasq");
}

static void test_resets(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) =
                parse_good("[Network]\nPool4=10.1.0.0/16\nPool4=\nPool4=10.2.0.0/16\n"
                           "Resolvers=192.0.2.53\nResolvers=\nPrefix6=no\nDnsmasq=no\n");

        (void) state;
        assert_int_equal(pools.n_pools4, 1);
        assert_address(&pools.pools4[0], "10.2.0.0/16");
        assert_null(pools.resolvers);
        assert_int_equal(pools.prefix6.family, 0);
        assert_true(pools.no_dnsmasq);
}

static void test_bad_lines(void **state)
{
        static const char *const lines[] = {
                "Pool4=10.0.0.0/33",    "Pool4=10.0.0.0/7",
                "Pool4=fd00::/64",      "Pool4=lots",
                "HostPrefixLength4=30", "HostPrefixLength4=7",
                "ZonePrefixLength4=x",  "ZonePrefixLength4=",
                "Prefix6=10.0.0.0/8",   "Prefix6=fd00::/65",
                "Prefix6=fd00::/8",     "Prefix6=yes",
                "Domain=a..b",          "Domain=",
                "Resolvers=name",       "Resolvers=10.0.0.1/24",
                "Resolvers=10.0.0.1#0", "Resolvers=10.0.0.1#",
                "Dnsmasq=dnsmasq",      "Dnsmasq=",
                "Pool=10.0.0.0/8",      "nothing",
                "=10.0.0.0/8",          "[Other]",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                char text[128];
                char **warnings CLEANUP_STRV = NULL;
                struct net_pools pools CLEANUP(net_pools_done) = { .n_pools4 = 0 };

                (void) snprintf(text, sizeof(text), "[Network]\n\n%s\n", lines[i]);
                pools = parse(text, &warnings);
                assert_int_equal(strv_length(warnings), 1);
                assert_non_null(startswith(warnings[0], "network.conf:3: "));
                assert_int_equal(pools.n_pools4, 4);
                assert_string_equal(pools.domain, "machine");
                assert_int_equal(pools.host_length4, 18);
                assert_null(pools.resolvers);
        }
}

static void test_file_of_no_use(void **state)
{
        struct failure failure = { .error = 0 };
        struct net_pools pools = { .n_pools4 = 99 };
        char **warnings = NULL;

        (void) state;
        assert_int_equal(net_pools_parse("network.conf", "[Network\n", 9, &host_id, &pools,
                                         &warnings, &failure),
                         -EBADMSG);
        assert_non_null(strstr(failure.text, "network.conf:1"));
        assert_int_equal(pools.n_pools4, 99);
}

static void choose(const struct net_pools *pools, const char *network, const struct net_busy *busy,
                   struct net_address *four, struct net_address *six, struct net_address *shadows)
{
        assert_int_equal(net_pools_choose(pools, network, busy, four, six, shadows), 0);
        assert_true(net_pools_offer(pools, network, four, six));
        assert_null(net_busy_find(busy, four, false));
}

static void test_choice_follows_from_the_name(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) = parse_good("");
        struct net_busy none = { .n = 0 };
        struct net_address a, a6, b, b6, again, again6, shadows;

        (void) state;
        choose(&pools, "host", &none, &a, &a6, &shadows);
        assert_int_equal(a.prefix, 18);
        assert_true(net_address_contains(&pools.pools4[0], &a));
        assert_true(net_address_contains(&pools.prefix6, &a6));
        assert_int_equal(a6.prefix, 64);
        assert_int_equal(shadows.family, 0);
        choose(&pools, "host", &none, &again, &again6, &shadows);
        assert_true(net_address_contains(&a, &again) && net_address_contains(&a6, &again6));
        choose(&pools, "zone-lab", &none, &b, &b6, &shadows);
        assert_int_equal(b.prefix, 22);
        assert_false(net_address_overlaps(&a, &b));
        assert_false(net_address_overlaps(&a6, &b6));
        assert_false(net_pools_offer(&pools, "zone-lab", &a, &a6));
}

/* Two hundred networks, each of which is in the way of the next ones. */
static void test_choices_do_not_collide(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) =
                parse_good("[Network]\nPool4=10.0.0.0/16\nZonePrefixLength4=24\n"
                           "Prefix6=fd00:1:2:300::/56\n");
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };

        (void) state;
        for (size_t i = 0; i < 256; i++) {
                struct net_address four, six, shadows;
                char network[32];

                (void) snprintf(network, sizeof(network), "zone-%zu", i);
                choose(&pools, network, &busy, &four, &six, &shadows);
                assert_null(net_busy_find(&busy, &six, true));
                assert_int_equal(net_busy_add(&busy, &four, true), 0);
                assert_int_equal(net_busy_add(&busy, &six, true), 0);
        }
        {
                struct net_address four, six, shadows;

                assert_int_equal(
                        net_pools_choose(&pools, "zone-more", &busy, &four, &six, &shadows),
                        -ENOSPC);
        }
}

static void add_busy(struct net_busy *busy, const char *text, bool is_near)
{
        struct net_address a = address(text);

        assert_int_equal(net_busy_add(busy, &a, is_near), 0);
}

static void test_what_collides(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) = parse_good("");
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };
        struct net_address four, six, shadows;

        (void) state;
        /* The ways out, and the halves of everything, are no networks. */
        add_busy(&busy, "0.0.0.0/0", false);
        add_busy(&busy, "0.0.0.0/1", true);
        add_busy(&busy, "::/0", false);
        assert_int_equal(busy.n, 0);
        /* A company's network behind a tunnel. */
        add_busy(&busy, "10.0.0.0/8", false);
        choose(&pools, "host", &busy, &four, &six, &shadows);
        assert_true(net_address_contains(&pools.pools4[2], &four));
        assert_int_equal(shadows.family, 0);
        add_busy(&busy, "172.16.0.0/12", false);
        add_busy(&busy, "192.168.0.0/18", true);
        add_busy(&busy, "192.168.65.3/32", true);
        add_busy(&busy, "192.168.200.0/24", false);
        choose(&pools, "host", &busy, &four, &six, &shadows);
        assert_address(&four, "192.168.128.0/18");
        /* All of it: a hole in what is routed elsewhere is better than no network. */
        add_busy(&busy, "192.168.0.0/16", false);
        choose(&pools, "host", &busy, &four, &six, &shadows);
        assert_true(net_address_contains(&pools.pools4[0], &four));
        assert_address(&shadows, "10.0.0.0/8");
        /* But not in a network that the host is in. */
        add_busy(&busy, "10.0.0.0/8", true);
        choose(&pools, "host", &busy, &four, &six, &shadows);
        assert_address(&shadows, "172.16.0.0/12");
}

static void test_small_pool(void **state)
{
        struct net_pools pools CLEANUP(net_pools_done) =
                parse_good("[Network]\nPool4=10.9.9.0/29\nPrefix6=fd00:1:2:3::/64\n");
        struct net_busy busy CLEANUP(net_busy_done) = { .n = 0 };
        struct net_address four, six, shadows;

        (void) state;
        choose(&pools, "host", &busy, &four, &six, &shadows);
        assert_address(&four, "10.9.9.0/29");
        assert_address(&six, "fd00:1:2:3::/64");
        /* Without a free prefix a network has IPv4 only. */
        add_busy(&busy, "fd00:1:2:3::1/128", true);
        assert_int_equal(net_pools_choose(&pools, "host", &busy, &four, &six, &shadows), 0);
        assert_int_equal(six.family, 0);
}

static void test_subnet_file(void **state)
{
        static const char *const bad[] = {
                "",
                "PREFIX4=\n",
                "PREFIX4=10.0.0.0/30\n",
                "PREFIX4=10.0.0.0/7\n",
                "PREFIX4=fd00::/64\n",
                "PREFIX6=fd00::/64\n",
                "PREFIX4=10.0.0.0/18\nPREFIX6=fd00::/63\n",
                "PREFIX4=10.0.0.0/18\nPREFIX6=10.0.0.0/18\n",
                "PREFIX4='10.0.0.0/18\n",
        };
        static const char four_only[] = "PREFIX4=10.0.0.9/18\nPREFIX6=\n";
        static const char both[] = "PREFIX4=10.0.0.0/18\nPREFIX6=fd00::/64\n";
        struct net_address four, six;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(subnet_file_parse(bad[i], strlen(bad[i]), &four, &six));
        assert_true(subnet_file_parse(four_only, strlen(four_only), &four, &six));
        assert_address(&four, "10.0.0.0/18");
        assert_int_equal(six.family, 0);
        assert_true(subnet_file_parse(both, strlen(both), &four, &six));
        assert_address(&six, "fd00::/64");
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_prefixes),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_file),
                cmocka_unit_test(test_resets),
                cmocka_unit_test(test_bad_lines),
                cmocka_unit_test(test_file_of_no_use),
                cmocka_unit_test(test_choice_follows_from_the_name),
                cmocka_unit_test(test_choices_do_not_collide),
                cmocka_unit_test(test_what_collides),
                cmocka_unit_test(test_small_pool),
                cmocka_unit_test(test_subnet_file),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
