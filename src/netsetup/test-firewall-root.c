/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "netsetup/firewall.h"
#include "netsetup/ifname.h"

/* Real tables, in a network namespace of our own. What they do with packets is in
 * tests/system/test_firewall.py. */

#define SKIPPED 77

static struct firewall_member member(const char *machine, unsigned number, const char *bridge,
                                     const struct net_port *ports, size_t n_ports)
{
        struct firewall_member m = { .machine = machine, .ports = ports, .n_ports = n_ports };
        char text[32];

        (void) snprintf(m.link, sizeof(m.link), "%s-%s", bridge ? "vb" : "ve", machine);
        (void) snprintf(m.bridge, sizeof(m.bridge), "%s", bridge ? bridge : "");
        m.mac[0] = 2;
        m.mac[5] = (uint8_t) number;
        (void) snprintf(text, sizeof(text), "10.1.0.%u/18", number);
        assert_int_equal(net_address_parse(text, &m.address4), 0);
        (void) snprintf(text, sizeof(text), "fd00::%u/128", number);
        assert_int_equal(net_address_parse(text, &m.address6), 0);
        return m;
}

static const struct net_port web_ports[] = {
        { .protocol = NET_TCP, .host = 8080, .guest = 80 },
        { .protocol = NET_UDP, .host = 8080, .guest = 80 },
};

static struct firewall *open_firewall(void)
{
        struct failure failure = { 0 };
        struct firewall *fw = NULL;

        if (firewall_open(&fw, &failure) < 0)
                fail_msg("%s", failure.text);
        return fw;
}

static void test_members(void **state)
{
        struct firewall *fw = open_firewall();
        struct firewall_member web = member("web", 2, NULL, web_ports, 2);
        struct firewall_member red = member("red", 3, "vz-lab", web_ports, 1);
        struct failure failure = { 0 };
        uint64_t redirected = 1, forwarded = 1;

        (void) state;
        assert_int_equal(firewall_add(fw, &web, &failure), 0);
        assert_int_equal(firewall_look(fw), 0);
        firewall_count_ports(fw, &web, &redirected, &forwarded);
        assert_int_equal(redirected, 0);
        assert_int_equal(forwarded, 0);
        assert_int_equal(firewall_add(fw, &red, &failure), -EADDRINUSE);
        assert_non_null(strstr(failure.text, "machine 'web'"));
        failure = (struct failure){ 0 };
        /* Said once more it replaces what was said before, its own ports are no obstacle. */
        assert_int_equal(firewall_add(fw, &web, &failure), 0);
        web.n_ports = 0;
        assert_int_equal(firewall_add(fw, &web, &failure), 0);
        assert_int_equal(firewall_add(fw, &red, &failure), 0);
        assert_int_equal(firewall_set_ports(fw, &red, false, &failure), 0);
        assert_int_equal(firewall_set_ports(fw, &red, false, &failure), 0);
        assert_int_equal(firewall_limit_forwarding(fw, true, false, &failure), 0);
        assert_int_equal(firewall_limit_forwarding(fw, false, false, &failure), 0);
        assert_int_equal(firewall_remove(fw, &red, &failure), 0);
        assert_int_equal(firewall_remove(fw, &red, &failure), 0);
        assert_int_equal(firewall_remove(fw, &web, &failure), 0);
        firewall_close(fw);
}

static void test_owner(void **state)
{
        struct firewall *fw = open_firewall(), *second = NULL;
        struct failure failure = { 0 };

        (void) state;
        assert_true(firewall_open(&second, &failure) < 0);
        assert_non_null(strstr(failure.text, "owns a table of this name"));
        firewall_close(fw);
        firewall_close(open_firewall());
}

static void test_bad_names(void **state)
{
        struct firewall *fw = open_firewall();
        static const char *const names[] = { "", "ve-a*", "ve-\"a", "ve-a\\", "ve a", "ve:a" };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                struct firewall_member m = member("web", 2, NULL, NULL, 0);
                struct failure failure = { 0 };

                (void) snprintf(m.link, sizeof(m.link), "%s", names[i]);
                assert_int_equal(firewall_add(fw, &m, &failure), -EINVAL);
        }
        firewall_close(fw);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_members),
                cmocka_unit_test(test_owner),
                cmocka_unit_test(test_bad_names),
        };

        if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
                printf("needs root, and a network namespace\n");
                return SKIPPED;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
