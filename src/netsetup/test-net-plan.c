/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "netsetup/ifname.h"
#include "netsetup/net-plan.h"

/* What is planned for which configuration. */

struct fixture {
        struct net_config config;
        struct net_facts facts;
        struct net_plan plan;
        struct failure failure;
};

static struct net_address address(const char *text)
{
        struct net_address a;

        assert_int_equal(net_address_parse(text, &a), 0);
        return a;
}

static struct net_lease lease(void)
{
        return (struct net_lease){ .subnet = { .prefix4 = address("10.128.64.0/18"),
                                               .prefix6 = address("fd00:1:2:3::/64"),
                                               .gateway4 = address("10.128.64.1/18"),
                                               .gateway6 = address("fd00:1:2:3::1/64") },
                                   .address4 = address("10.128.64.7/18"),
                                   .address6 = address("fd00:1:2:3::7/128") };
}

static int set_up(void **state)
{
        struct fixture *f = calloc(1, sizeof(*f));

        assert_non_null(f);
        assert_int_equal(id128_parse("0123456789abcdef0123456789abcdef", &f->facts.host_id), 0);
        f->facts.lease = lease();
        f->facts.manager = NET_MANAGER_US;
        f->facts.has_dnsmasq = true;
        *state = f;
        return 0;
}

static int tear_down(void **state)
{
        struct fixture *f = *state;

        net_plan_done(&f->plan);
        free(f);
        return 0;
}

static const struct net_link *only_link(struct fixture *f, const char *machine)
{
        assert_int_equal(net_plan_build(&f->config, &f->facts, machine, &f->plan, &f->failure), 0);
        assert_int_equal(f->plan.n_links, 1);
        return &f->plan.links[0];
}

static void assert_address(const struct net_address *a, const char *expected)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        assert_string_equal(net_address_prefix_text(a, text), expected);
}

static void nothing_is_made_for_the_loopback(void **state)
{
        struct fixture *f = *state;

        f->config.private_network = true;
        f->facts.manager = NET_MANAGER_NONE;
        assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &f->failure), 0);
        assert_true(f->plan.private_network);
        assert_false(net_plan_has_work(&f->plan));
}

static void virtual_link_has_the_lease(void **state)
{
        struct fixture *f = *state;
        const struct net_link *link;
        char text[NET_RESOLV_CONF_SIZE], mac[MAC_TEXT_SIZE];

        f->config.veth = true;
        link = only_link(f, "deb12");
        assert_int_equal(link->kind, LINK_VETH);
        assert_string_equal(link->host, "ve-deb12");
        assert_string_equal(link->guest, "host0");
        assert_string_equal(mac_text(link->host_mac, mac), "c2:45:7b:a3:77:e9");
        assert_string_equal(mac_text(link->guest_mac, mac), "0a:29:18:01:e9:6e");
        assert_true(link->host_up && link->guest_up && link->host_addresses);
        assert_int_equal(link->n_addresses, 2);
        assert_address(&link->addresses[0], "10.128.64.7/18");
        assert_address(&link->addresses[1], "fd00:1:2:3::7/128");
        assert_address(&link->gateway4, "10.128.64.1/18");
        assert_address(&link->gateway6, "fe80::1/64");
        assert_string_equal(f->plan.network, "host");
        assert_string_equal(net_plan_resolv_conf(&f->plan, text), "nameserver 10.128.64.1\n");
}

static void others_manage_the_link(void **state)
{
        struct fixture *f = *state;
        const struct net_link *link;
        char text[NET_RESOLV_CONF_SIZE];

        f->config.veth = true;
        f->facts.manager = NET_MANAGER_NETWORKD;
        link = only_link(f, "web");
        assert_false(link->host_up || link->guest_up || link->host_addresses);
        assert_int_equal(link->n_addresses, 0);
        assert_int_equal(link->gateway4.family, 0);
        assert_string_equal(f->plan.network, "");
        assert_string_equal(net_plan_resolv_conf(&f->plan, text), "");
}

static void zone_has_a_bridge(void **state)
{
        struct fixture *f = *state;
        char zone[] = "lab";
        const struct net_link *link;

        f->config.zone = zone;
        link = only_link(f, "test-container-with-a-long-name");
        assert_string_equal(link->host, "vb-test-con1EmW");
        assert_string_equal(link->altname, "vb-test-container-with-a-long-name");
        assert_string_equal(link->master, "vz-lab");
        assert_true(link->master_is_zone && link->host_up);
        assert_address(&link->gateway6, "fd00:1:2:3::1/64");
        assert_string_equal(f->plan.network, "zone-lab");
}

static void old_names_are_cut(void **state)
{
        struct fixture *f = *state;
        const struct net_link *link;

        f->config.veth = true;
        f->facts.old_names = true;
        link = only_link(f, "test-container-with-a-long-name");
        assert_string_equal(link->host, "ve-test-contain");
        assert_null(link->altname);
}

static void choices_take_the_place_of_the_lease(void **state)
{
        struct fixture *f = *state;
        struct net_address chosen = address("10.9.0.5/24");
        char name[] = "eth0";
        const struct net_link *link;

        f->config.veth = true;
        f->config.addresses = &chosen;
        f->config.n_addresses = 1;
        f->config.mtu = 1400;
        f->config.name = name;
        f->config.mac_set = true;
        f->config.mac[0] = 2;
        f->config.mac[5] = 9;
        link = only_link(f, "web");
        assert_string_equal(link->guest, "eth0");
        assert_int_equal(link->mtu, 1400);
        assert_int_equal(link->guest_mac[5], 9);
        assert_int_equal(link->n_addresses, 2);
        assert_address(&link->addresses[0], "10.9.0.5/24");
        assert_address(&link->addresses[1], "fd00:1:2:3::7/128");
        assert_address(&f->plan.lease.address4, "10.9.0.5/24");
}

static void small_packets_are_without_ipv6(void **state)
{
        struct fixture *f = *state;
        struct failure failure = { .error = 0 };

        f->config.veth = true;
        f->config.mtu = 1279;
        assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &failure), -EINVAL);
        assert_non_null(strstr(failure.text, "1280"));
        f->facts.lease.address6.family = 0;
        assert_int_equal(only_link(f, "web")->mtu, 1279);
}

static void zone_of_ours_is_a_folder(void **state)
{
        struct fixture *f = *state;
        char plain[] = "a.b-1", dot[] = ".", sign[] = "a+b";
        char *const bad[] = { dot, sign };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct failure failure = { .error = 0 };

                f->config.zone = bad[i];
                assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &failure),
                                 -EINVAL);
                assert_non_null(strstr(failure.text, bad[i]));
        }
        f->config.zone = plain;
        assert_string_equal(only_link(f, "web")->master, "vz-a.b-1");
}

static void chosen_address_without_a_manager(void **state)
{
        struct fixture *f = *state;
        struct net_address chosen = address("192.168.7.5/24");
        struct net_pair pair = { .host = (char[]){ "eth9" }, .origin = (char[]){ "--x" } };
        const struct net_link *link;

        f->facts.manager = NET_MANAGER_NONE;
        f->config.macvlans = &pair;
        f->config.n_macvlans = 1;
        f->config.addresses = &chosen;
        f->config.n_addresses = 1;
        f->config.gateway4 = address("192.168.7.1");
        link = only_link(f, "web");
        assert_string_equal(link->lower, "eth9");
        assert_string_equal(link->guest, "mv-eth9");
        assert_true(link->guest_up && !link->host_addresses);
        assert_address(&link->gateway4, "192.168.7.1/32");
}

static void names_inside_are_different(void **state)
{
        struct fixture *f = *state;
        struct net_pair pair = { .host = (char[]){ "host0" }, .origin = (char[]){ "--x=host0" } };

        f->config.veth = true;
        f->config.interfaces = &pair;
        f->config.n_interfaces = 1;
        assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &f->failure),
                         -EEXIST);
        assert_non_null(strstr(f->failure.text, "'host0'"));
}

static void plan_is_printed(void **state)
{
        struct fixture *f = *state;
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct net_port port = { NET_UDP, 53, 5353, (char[]){ "-p udp:53:5353" } };

        f->config.veth = true;
        f->config.ports = &port;
        f->config.n_ports = 1;
        (void) only_link(f, "deb12");
        net_plan_print(&f->plan, &text);
        assert_string_equal(strbuf_text(&text),
                            "veth ve-deb12 -> host0 host-mac=c2:45:7b:a3:77:e9 "
                            "mac=0a:29:18:01:e9:6e host-up up 10.128.64.7/18 fd00:1:2:3::7/128 "
                            "via 10.128.64.1 via fe80::1 (--network-veth)\n"
                            "port udp 53 -> 5353 (-p udp:53:5353)\n");
}

static void what_cannot_be_isolated_is_refused(void **state)
{
        struct fixture *f = *state;

        f->config.veth = true;
        f->config.isolate = true;
        assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &f->failure), 0);
        net_plan_done(&f->plan);
        f->facts.manager = NET_MANAGER_NETWORKD;
        assert_int_equal(net_plan_build(&f->config, &f->facts, "web", &f->plan, &f->failure),
                         -EOPNOTSUPP);
        assert_non_null(strstr(f->failure.text, "systemd-networkd"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                T(nothing_is_made_for_the_loopback),
                T(virtual_link_has_the_lease),
                T(others_manage_the_link),
                T(zone_has_a_bridge),
                T(old_names_are_cut),
                T(choices_take_the_place_of_the_lease),
                T(small_packets_are_without_ipv6),
                T(zone_of_ours_is_a_folder),
                T(chosen_address_without_a_manager),
                T(names_inside_are_different),
                T(plan_is_printed),
                T(what_cannot_be_isolated_is_refused),
        };
#undef T

        return cmocka_run_group_tests(tests, NULL, NULL);
}
