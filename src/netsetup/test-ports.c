/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "netsetup/guest-address.h"
#include "netsetup/port-health.h"
#include "netsetup/port-holder.h"
#include "netsetup/port-proxy.h"

/* ---- port-health.h ----------------------------------------------------------------------- */

/* Calls it whenever it is due, with the same counters, for @ms. Returns the first action. */
static enum port_action wait_for(struct port_health *h, uint64_t *now, uint64_t ms,
                                 uint64_t redirected, uint64_t forwarded)
{
        uint64_t end = *now + ms;

        while (h->next_ms <= end) {
                enum port_action action;

                *now = h->next_ms;
                action = port_health_step(h, *now, redirected, forwarded);
                if (action != PORT_ACTION_NONE)
                        return action;
                assert_true(h->next_ms > *now);
        }
        *now = end;
        return PORT_ACTION_NONE;
}

static void test_health_fine(void **state)
{
        struct port_health h;
        uint64_t now = 1000;

        (void) state;
        port_health_init(&h, true, now);
        assert_true(h.by_kernel);
        assert_int_equal(wait_for(&h, &now, 60000, 0, 0), PORT_ACTION_NONE);
        assert_int_equal(wait_for(&h, &now, 60000, 10, 10), PORT_ACTION_NONE);
        /* Datagrams may be counted more often behind the chains than before them. */
        assert_int_equal(wait_for(&h, &now, 60000, 11, 15), PORT_ACTION_NONE);
        assert_true(h.by_kernel);
}

static void test_health_drop(void **state)
{
        struct port_health h;
        uint64_t now = 1000, before;

        (void) state;
        port_health_init(&h, true, now);
        assert_int_equal(wait_for(&h, &now, 5000, 7, 7), PORT_ACTION_NONE);
        before = now;
        assert_int_equal(wait_for(&h, &now, 5000, 8, 7), PORT_ACTION_TO_PROXY);
        assert_false(h.by_kernel);
        /* Before the client sends its first packet again. */
        assert_true(now - before < 900);
        /* One that comes to the very first look is seen, too. */
        port_health_init(&h, true, now);
        before = now;
        assert_int_equal(wait_for(&h, &now, 5000, 1, 0), PORT_ACTION_TO_PROXY);
        assert_true(now - before < 900);
}

/* A packet between the two counters is no loss, however often that happens. */
static void test_health_busy(void **state)
{
        struct port_health h;
        uint64_t now = 1000, n = 0;

        (void) state;
        port_health_init(&h, true, now);
        for (int i = 0; i < 1000; i++) {
                n += 100;
                now = h.next_ms;
                assert_int_equal(port_health_step(&h, now, n, n - 1 - (uint64_t) (i % 2)),
                                 PORT_ACTION_NONE);
        }
        /* Counted late by a single look. */
        port_health_init(&h, true, now);
        assert_int_equal(port_health_step(&h, now + 400, 1, 0), PORT_ACTION_NONE);
        assert_int_equal(port_health_step(&h, now + 430, 1, 1), PORT_ACTION_NONE);
        now += 430;
        assert_int_equal(wait_for(&h, &now, 5000, 1, 1), PORT_ACTION_NONE);
}

static void test_health_tries(void **state)
{
        struct port_health h;
        uint64_t now = 0, before;

        (void) state;
        port_health_init(&h, true, now);
        assert_int_equal(wait_for(&h, &now, 1000, 1, 0), PORT_ACTION_TO_PROXY);
        before = now;
        assert_int_equal(wait_for(&h, &now, 100000, 1, 0), PORT_ACTION_TO_KERNEL);
        assert_int_equal(now - before, PORT_HEALTH_FIRST_TRY_MS);
        assert_true(h.by_kernel);
        /* What was lost before is not lost again. */
        assert_int_equal(wait_for(&h, &now, 5000, 1, 0), PORT_ACTION_NONE);
        assert_int_equal(wait_for(&h, &now, 5000, 2, 0), PORT_ACTION_TO_PROXY);
        before = now;
        assert_int_equal(wait_for(&h, &now, 100000, 2, 0), PORT_ACTION_TO_KERNEL);
        assert_int_equal(now - before, 2 * PORT_HEALTH_FIRST_TRY_MS);
        /* A try that is proved is as good as no loss. */
        assert_int_equal(wait_for(&h, &now, 5000, 3, 1), PORT_ACTION_NONE);
        assert_int_equal(h.try_after_ms, PORT_HEALTH_FIRST_TRY_MS);
        for (uint64_t i = 4; i < 40; i++) {
                assert_int_equal(wait_for(&h, &now, 5000, i, 1), PORT_ACTION_TO_PROXY);
                assert_int_equal(wait_for(&h, &now, 10 * PORT_HEALTH_LAST_TRY_MS, i, 1),
                                 PORT_ACTION_TO_KERNEL);
        }
        assert_int_equal(h.try_after_ms, PORT_HEALTH_LAST_TRY_MS);
        /* The counters are new. */
        assert_int_equal(wait_for(&h, &now, 5000, 0, 0), PORT_ACTION_NONE);
        assert_int_equal(wait_for(&h, &now, 5000, 1, 0), PORT_ACTION_TO_PROXY);
}

static void test_health_rules_changed(void **state)
{
        struct port_health h;
        uint64_t now = 0, before;

        (void) state;
        port_health_init(&h, true, now);
        port_health_rules_changed(&h, now);
        assert_int_equal(h.next_ms, PORT_HEALTH_LOOK_MS);
        assert_int_equal(wait_for(&h, &now, 1000, 1, 0), PORT_ACTION_TO_PROXY);
        before = now;
        port_health_rules_changed(&h, now + 10);
        assert_int_equal(wait_for(&h, &now, 100000, 1, 0), PORT_ACTION_TO_KERNEL);
        assert_int_equal(now - before, PORT_HEALTH_MIN_PROXY_MS);
        /* One that begins with the proxy. */
        port_health_init(&h, false, now);
        now += 10000;
        port_health_rules_changed(&h, now);
        before = now;
        assert_int_equal(wait_for(&h, &now, 100000, 1, 0), PORT_ACTION_TO_KERNEL);
        assert_int_equal(now - before, PORT_HEALTH_SETTLE_MS);
}

/* ---- guest-address.h --------------------------------------------------------------------- */

static struct guest_address address(const char *text, unsigned char scope, uint32_t flags,
                                    int ifindex)
{
        struct guest_address a = { .scope = scope, .flags = flags, .ifindex = ifindex };

        assert_int_equal(net_address_parse(text, &a.address), 0);
        return a;
}

static void test_address_usable(void **state)
{
        static const struct {
                const char *text;
                unsigned char scope;
                uint32_t flags;
                bool usable;
        } rows[] = {
                { "10.0.0.2", RT_SCOPE_UNIVERSE, IFA_F_PERMANENT, true },
                { "fd00::2", RT_SCOPE_UNIVERSE, 0, true },
                { "fec0::2", RT_SCOPE_SITE, 0, true },
                { "169.254.1.1", RT_SCOPE_LINK, 0, false },
                { "fe80::1", RT_SCOPE_LINK, IFA_F_PERMANENT, false },
                { "127.0.0.1", RT_SCOPE_HOST, IFA_F_PERMANENT, false },
                { "127.0.0.1", RT_SCOPE_UNIVERSE, IFA_F_PERMANENT, false },
                { "127.9.9.9", RT_SCOPE_UNIVERSE, 0, false },
                { "0.0.0.0", RT_SCOPE_UNIVERSE, 0, false },
                { "169.254.169.254", RT_SCOPE_UNIVERSE, 0, false },
                { "224.0.0.1", RT_SCOPE_UNIVERSE, 0, false },
                { "255.255.255.255", RT_SCOPE_UNIVERSE, 0, false },
                { "::1", RT_SCOPE_UNIVERSE, 0, false },
                { "fe80::1", RT_SCOPE_UNIVERSE, 0, false },
                { "::ffff:127.0.0.1", RT_SCOPE_UNIVERSE, 0, false },
                { "fd00::2", RT_SCOPE_UNIVERSE, IFA_F_TENTATIVE, false },
                { "fd00::2", RT_SCOPE_UNIVERSE, IFA_F_DADFAILED, false },
                { "fd00::2", RT_SCOPE_UNIVERSE, IFA_F_DEPRECATED, true },
        };
        struct guest_address none = { .scope = RT_SCOPE_UNIVERSE };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct guest_address a = address(rows[i].text, rows[i].scope, rows[i].flags, 2);

                assert_int_equal(guest_address_is_usable(&a), rows[i].usable);
        }
        assert_false(guest_address_is_usable(&none));
}

/* Each is better than all that come after it. */
static void test_address_rank(void **state)
{
        struct guest_address rows[] = {
                address("fd00::2", RT_SCOPE_UNIVERSE, IFA_F_PERMANENT, 2),
                address("fd00::3", RT_SCOPE_UNIVERSE, 0, 2),
                address("fd00::1", RT_SCOPE_UNIVERSE, 0, 3),
                address("fec0::1", RT_SCOPE_SITE, 0, 1),
                address("fd00::1", RT_SCOPE_UNIVERSE, IFA_F_TEMPORARY, 2),
                address("fd00::1", RT_SCOPE_UNIVERSE, IFA_F_DEPRECATED, 2),
                address("fd00::1", RT_SCOPE_UNIVERSE, IFA_F_DEPRECATED | IFA_F_TEMPORARY, 2),
        };
        struct guest_address a = address("10.0.0.2", RT_SCOPE_UNIVERSE, 0, 2),
                             b = address("10.0.0.10", RT_SCOPE_UNIVERSE, 0, 2);

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                for (size_t j = 0; j < ARRAY_SIZE(rows); j++)
                        assert_int_equal(guest_address_is_better(&rows[i], &rows[j]), i < j);
        assert_true(guest_address_is_better(&a, &b));
        assert_false(guest_address_is_better(&b, &a));
}

static void test_address_watch(void **state)
{
        struct guest_watch *watch = NULL;
        struct net_address best4, best6;

        (void) state;
        assert_int_equal(guest_watch_open(&watch), 0);
        assert_true(guest_watch_fd(watch) >= 0);
        assert_int_equal(guest_watch_dispatch(watch), 0);
        guest_watch_best(watch, &best4, &best6);
        assert_true(best4.family == AF_UNSPEC || best4.family == AF_INET);
        assert_true(best6.family == AF_UNSPEC || best6.family == AF_INET6);
        guest_watch_close(watch);
        guest_watch_close(NULL);
}

/* ---- port-holder.h ----------------------------------------------------------------------- */

/* A socket of ours at 127.0.0.1 or 0.0.0.0, and its port. */
static int bound_socket(int type, in_addr_t where, uint16_t *ret_port)
{
        struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_addr.s_addr = where };
        socklen_t size = sizeof(in4);
        int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

        assert_true(fd >= 0);
        assert_int_equal(bind(fd, (const struct sockaddr *) &in4, size), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &in4, &size), 0);
        if (type == SOCK_STREAM)
                assert_int_equal(listen(fd, 1), 0);
        *ret_port = ntohs(in4.sin_port);
        return fd;
}

static void test_holder(void **state)
{
        struct port_holder holder;
        uint16_t port = 0;
        int fd;

        (void) state;
        fd = bound_socket(SOCK_STREAM, htonl(INADDR_LOOPBACK), &port);
        port_holder_find(NET_TCP, port, &holder);
        assert_true(holder.is_known);
        assert_false(holder.has_all);
        assert_non_null(strstr(holder.text, "test-ports"));
        fd_close(fd);
        port_holder_find(NET_TCP, port, &holder);
        assert_false(holder.is_known);
        assert_string_equal(holder.text, "another process");
        fd = bound_socket(SOCK_DGRAM, htonl(INADDR_ANY), &port);
        port_holder_find(NET_UDP, port, &holder);
        assert_true(holder.is_known && holder.has_all);
        fd_close(fd);
}

/* ---- port-proxy.h ------------------------------------------------------------------------ */

static void test_proxy_lines(void **state)
{
        struct port_proxy_reader reader = { .length = 0 };
        struct port_proxy_event event;
        char text[NET_ADDRESS_TEXT_SIZE];
        int ends[2];

        (void) state;
        assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_NOTHING);
        assert_int_equal(write_all(ends[1], "ready\naddress4 10.0.0.7\nadd", 27), 0);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_READY);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_ADDRESS);
        assert_string_equal(net_address_text(&event.address, text), "10.0.0.7");
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_NOTHING);
        assert_int_equal(write_all(ends[1], "ress6 -\nfailed No way.\nwhat\n", 28), 0);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_LOST);
        assert_int_equal(event.family, AF_INET6);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_FAILED);
        assert_string_equal(event.text, "No way.");
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), -EPROTO);
        fd_close(ends[1]);
        assert_int_equal(port_proxy_read(&reader, ends[0], &event), 0);
        assert_int_equal(event.kind, PORT_PROXY_ENDED);
        fd_close(ends[0]);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_health_fine),
                cmocka_unit_test(test_health_drop),
                cmocka_unit_test(test_health_busy),
                cmocka_unit_test(test_health_tries),
                cmocka_unit_test(test_health_rules_changed),
                cmocka_unit_test(test_address_usable),
                cmocka_unit_test(test_address_rank),
                cmocka_unit_test(test_address_watch),
                cmocka_unit_test(test_holder),
                cmocka_unit_test(test_proxy_lines),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
