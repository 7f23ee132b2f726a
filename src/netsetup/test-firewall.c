/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "netsetup/firewall-parts.h"
#include "netsetup/ifname.h"

/* What goes into the tables for a machine. */

static struct firewall_member member(const char *link, const char *bridge, const char *address4,
                                     const char *address6)
{
        struct firewall_member m = { 0 };

        (void) snprintf(m.link, sizeof(m.link), "%s", link);
        (void) snprintf(m.bridge, sizeof(m.bridge), "%s", bridge);
        assert_int_equal(mac_parse("02:00:00:12:34:56", m.mac), 0);
        if (address4)
                assert_int_equal(net_address_parse(address4, &m.address4), 0);
        if (address6)
                assert_int_equal(net_address_parse(address6, &m.address6), 0);
        return m;
}

static void assert_elements(const struct firewall_member *m, bool bridge_too, const char *expected)
{
        struct firewall_batch batch CLEANUP_BATCH = { .verb = FIREWALL_DELETE };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        firewall_elements(m, bridge_too, &batch);
        firewall_port_elements(m, &batch);
        assert_true(firewall_batch_ok(&batch));
        firewall_batch_text(&batch, true, &text);
        assert_string_equal(strbuf_text(&text), expected);
}

static void test_own_link(void **state)
{
        struct firewall_member m = member("ve-web", "", "10.1.0.5/18", "fd00::5/128");

        (void) state;
        m.isolate = true;
        assert_elements(&m, false,
                        "delete element inet stead links { \"ve-web\" }\n"
                        "delete element inet stead hairpins { \"ve-web\" . \"ve-web\" }\n"
                        "delete element inet stead isolated_links { \"ve-web\" }\n"
                        "delete element inet stead sources4 { \"ve-web\" . 10.1.0.5 }\n"
                        "delete element inet stead sources6 { \"ve-web\" . fd00::5 }\n"
                        "delete element inet stead filtered { \"ve-web\" }\n");
}

static void test_zone(void **state)
{
        struct firewall_member m = member("vb-red", "vz-lab", "10.1.0.5/22", "fd00::5/64");
        struct net_address other;

        (void) state;
        assert_int_equal(net_address_parse("10.1.0.6", &other), 0);
        m.others = &other;
        m.n_others = 1;
        assert_elements(&m, true,
                        "delete element inet stead links { \"vz-lab\" }\n"
                        "delete element inet stead hairpins { \"vz-lab\" . \"vz-lab\" }\n"
                        "delete element bridge stead macs { \"vb-red\" . 02:00:00:12:34:56 }\n"
                        "delete element bridge stead sources4 { \"vb-red\" . 10.1.0.5 }\n"
                        "delete element bridge stead sources4 { \"vb-red\" . 10.1.0.6 }\n"
                        "delete element bridge stead sources6 { \"vb-red\" . fd00::5 }\n"
                        "delete element bridge stead sources6 { \"vb-red\" . fe80::ff:fe12:3456 }\n"
                        "delete element bridge stead targets { \"vb-red\" . "
                        "0xfd000000000000000000000000000005 }\n"
                        "delete element bridge stead targets { \"vb-red\" . "
                        "0xfe80000000000000000000fffe123456 }\n"
                        "delete element bridge stead taken { "
                        "0xfe80000000000000000000fffe123456 }\n"
                        "delete element bridge stead filtered { \"vb-red\" }\n");
}

static void test_others_manage_it(void **state)
{
        struct firewall_member m = member("vb-red", "br0", NULL, NULL);

        (void) state;
        assert_elements(&m, true, "");
        m.isolate = true;
        assert_elements(&m, true,
                        "delete element inet stead isolated_macs { \"br0\" . 02:00:00:12:34:56 }\n"
                        "delete element bridge stead macs { \"vb-red\" . 02:00:00:12:34:56 }\n"
                        "delete element bridge stead only_mac { \"vb-red\" }\n"
                        "delete element bridge stead filtered { \"vb-red\" }\n");
}

static void test_ports(void **state)
{
        const struct net_port ports[] = {
                { .protocol = NET_TCP, .host = 8080, .guest = 80 },
                { .protocol = NET_TCP, .host = 8081, .guest = 80 }, /* leads to the same */
                { .protocol = NET_UDP, .host = 8080, .guest = 80 },
        };
        struct firewall_member m = member("ve-web", "", "10.1.0.5", NULL);
        struct firewall_batch add CLEANUP_BATCH = { .verb = FIREWALL_ADD };
        struct firewall_batch remove CLEANUP_BATCH = { .verb = FIREWALL_DELETE };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        m.ports = ports;
        m.n_ports = ARRAY_SIZE(ports);
        firewall_port_elements(&m, &add);
        firewall_batch_text(&add, false, &text);
        assert_string_equal(strbuf_text(&text),
                            "table inet stead {\nflags owner\nmap ports4 {\n"
                            "type inet_proto . inet_service : ipv4_addr . inet_service; counter;\n"
                            "elements = { 6 . 8080 : 10.1.0.5 . 80, 6 . 8081 : 10.1.0.5 . 80, "
                            "17 . 8080 : 10.1.0.5 . 80, }\n}\nset arrived4 {\n"
                            "type inet_proto . ipv4_addr . inet_service; counter;\n"
                            "elements = { 6 . 10.1.0.5 . 80, 17 . 10.1.0.5 . 80, }\n}\n}\n");
        strbuf_done(&text);
        text = (struct strbuf) STRBUF_NULL;
        firewall_port_elements(&m, &remove);
        firewall_batch_text(&remove, false, &text);
        assert_string_equal(strbuf_text(&text),
                            "delete element inet stead ports4 { 6 . 8080, 6 . 8081, "
                            "17 . 8080, }\n"
                            "delete element inet stead arrived4 { 6 . 10.1.0.5 . 80, "
                            "17 . 10.1.0.5 . 80, }\n");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_own_link),
                cmocka_unit_test(test_zone),
                cmocka_unit_test(test_others_manage_it),
                cmocka_unit_test(test_ports),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
