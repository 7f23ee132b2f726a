/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "netsetup/net-config.h"

struct address_case {
        const char *text;
        const char *printed, *printed_with_prefix;
        int family;
};

static void test_addresses(void **state)
{
        static const struct address_case cases[] = {
                { "10.0.0.7/24", "10.0.0.7", "10.0.0.7/24", AF_INET },
                { "10.0.0.7", "10.0.0.7", "10.0.0.7/32", AF_INET },
                { "0.0.0.0/0", "0.0.0.0", "0.0.0.0/0", AF_INET },
                { "255.255.255.255/32", "255.255.255.255", "255.255.255.255/32", AF_INET },
                { "fd00::7/64", "fd00::7", "fd00::7/64", AF_INET6 },
                { "FD00:0:0::0007", "fd00::7", "fd00::7/128", AF_INET6 },
                { "::/0", "::", "::/0", AF_INET6 },
                { "::ffff:10.0.0.7/96", "::ffff:10.0.0.7", "::ffff:10.0.0.7/96", AF_INET6 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                struct net_address a = { .family = -1 };
                char text[NET_ADDRESS_TEXT_SIZE];

                assert_int_equal(net_address_parse(cases[i].text, &a), 0);
                assert_int_equal(a.family, cases[i].family);
                assert_string_equal(net_address_text(&a, text), cases[i].printed);
                assert_string_equal(net_address_prefix_text(&a, text),
                                    cases[i].printed_with_prefix);
        }
}

static void test_no_addresses(void **state)
{
        static const char *const bad[] = {
                "",
                "/",
                "/24",
                "10",
                "10.0.0",
                "10.0.0.256",
                "10.0.0.7/",
                "10.0.0.7/33",
                "10.0.0.7/-1",
                "10.0.0.7/+1",
                "10.0.0.7 ",
                " 10.0.0.7",
                "010.0.0.7",
                "10.0.0.7/2x",
                "10.0.0.7/24/24",
                "fd00::/129",
                "fd00:::7/64",
                ":",
                "fe80::1%lo",
                "fd00::7/64 ",
                "host",
                "1.2.3.4.5.6.7.8.9.10.11.12.13.14.15.16.17.18.19.20.21.22.23.24.25",
        };
        struct net_address a = { .family = -1 };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                assert_int_equal(net_address_parse(bad[i], &a), -EINVAL);
                assert_int_equal(a.family, -1);
        }
}

static void test_no_address_has_no_text(void **state)
{
        struct net_address none = { .family = 0 };
        char text[NET_ADDRESS_TEXT_SIZE] = "x";

        (void) state;
        assert_string_equal(net_address_prefix_text(&none, text), "");
}

static struct net_pair *one_pair(void)
{
        struct net_pair *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        p->host = strdup("eth0");
        p->guest = strdup("host0");
        p->origin = strdup("here");
        return p;
}

static void test_private(void **state)
{
        struct net_config c = { .n_ports = 0 };

        (void) state;
        assert_false(net_config_is_private(&c));
        /* A port alone makes no network. */
        c.ports = calloc(1, sizeof(*c.ports));
        assert_non_null(c.ports);
        c.n_ports = 1;
        c.ports[0].origin = strdup("here");
        assert_false(net_config_is_private(&c));
        c.extras = one_pair();
        c.n_extras = 1;
        assert_true(net_config_is_private(&c));
        net_config_done(&c);
        assert_false(net_config_is_private(&c));

        c.zone = strdup("lab");
        assert_true(net_config_is_private(&c));
        net_config_done(&c);
        c.private_network = true;
        assert_true(net_config_is_private(&c));
        net_config_done(&c);
        assert_false(c.private_network);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_addresses),
                cmocka_unit_test(test_no_addresses),
                cmocka_unit_test(test_no_address_has_no_text),
                cmocka_unit_test(test_private),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
