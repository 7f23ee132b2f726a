/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/test-links.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/process.h"
#include "netsetup/ifname.h"

/* Links of a plan: made, used, gone. */

static void loopback_alone(void **state)
{
        struct guest guest;

        (void) state;
        guest_begin(&guest, "a");
        guest_run(&guest);
        assert_int_equal(guest_do(&guest, 'c', "127.0.0.1"), 0);
        guest_end(&guest);
}

static void pair_as_elsewhere(void **state)
{
        struct netlink_link host, inside;
        struct guest guest;
        struct net_link *link;

        (void) state;
        guest_begin(&guest, "a-machine-with-a-long-name");
        link = guest_add(&guest, LINK_VETH, "ve-a-machine-x1", "host0");
        link->altname = (char *) (uintptr_t) "ve-a-machine-with-a-long-name";
        link->mtu = 1400;
        link->has_macs = true;
        assert_int_equal(mac_parse("02:00:00:00:00:01", link->host_mac), 0);
        assert_int_equal(mac_parse("02:00:00:00:00:02", link->guest_mac), 0);
        (void) guest_add(&guest, LINK_EXTRA_VETH, "extra", "extra");
        guest_run(&guest);
        host = look(-1, "ve-a-machine-x1");
        inside = look(guest.netns_fd, "host0");
        assert_string_equal(host.kind, "veth");
        assert_string_equal(host.alias, "stead:a-machine-with-a-long-name");
        assert_int_equal(guest.run.first_ifindex, host.index);
        assert_memory_equal(host.mac, link->host_mac, MAC_SIZE);
        assert_memory_equal(inside.mac, link->guest_mac, MAC_SIZE);
        assert_int_equal(host.mtu, 1400);
        assert_int_equal(inside.mtu, 1400);
        /* Nobody gives addresses: whoever does brings it up. */
        assert_int_equal(host.flags & IFF_UP, 0);
        assert_int_equal(inside.flags & IFF_UP, 0);
        assert_true(is_there("extra"));
        assert_true(look(guest.netns_fd, "extra").index > 0);
        guest_end(&guest);
        wait_until_gone("ve-a-machine-x1");
        wait_until_gone("extra");
}

static void host_network_is_ready(void **state)
{
        struct guest one, two;

        (void) state;
        (void) plan_host_network(&one, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        (void) plan_host_network(&two, "two", "ve-two", "10.77.3.6/18", "fd00:77::306/128");
        guest_run(&one);
        guest_run(&two);
        assert_int_equal(guest_do(&one, 'c', "10.77.0.1"), 0);
        assert_int_equal(guest_do(&one, 'c', "fd00:77::1"), 0);
        assert_int_equal(reach_from_host("10.77.0.5"), 0);
        assert_int_equal(reach_from_host("fd00:77::306"), 0);
        /* The host passes on what siblings send each other, once it may. */
        assert_int_equal(write_file_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "1"), 0);
        assert_int_equal(write_file_at(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/forwarding", "1"), 0);
        assert_int_equal(guest_do(&one, 'c', "10.77.3.6"), 0);
        assert_int_equal(guest_do(&two, 'c', "fd00:77::5"), 0);
        assert_int_equal(write_file_at(AT_FDCWD, "/proc/sys/net/ipv4/ip_forward", "0"), 0);
        guest_end(&one);
        guest_end(&two);
        wait_until_gone("ve-one");
        wait_until_gone("ve-two");
}

static void set_ipv6(bool on)
{
        assert_int_equal(write_file_at(AT_FDCWD, "/proc/sys/net/ipv6/conf/default/disable_ipv6",
                                       on ? "0" : "1"),
                         0);
}

static void host_without_ipv6(void **state)
{
        struct guest one, two;

        (void) state;
        set_ipv6(false);
        (void) plan_host_network(&one, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        (void) plan_zone(&two, "two", "vb-two", "10.78.0.6/22", "fd00:77::6/64");
        guest_run(&one);
        guest_run(&two);
        set_ipv6(true);
        assert_int_equal(guest_do(&one, 'c', "10.77.0.1"), 0);
        assert_int_equal(guest_do(&two, 'c', "10.78.0.1"), 0);
        guest_end(&one);
        guest_end(&two);
        wait_until_gone("ve-one");
        wait_until_gone("vb-two");
}

static void leftover_gives_way(void **state)
{
        struct guest old, new;

        (void) state;
        (void) plan_host_network(&old, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        (void) plan_host_network(&new, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        guest_run(&old);
        /* As if its namespace was still to be taken down. */
        guest_run(&new);
        assert_int_equal(guest_do(&new, 'c', "10.77.0.1"), 0);
        guest_end(&old);
        assert_true(is_there("ve-one"));
        assert_int_equal(guest_do(&new, 'c', "fd00:77::1"), 0);
        guest_end(&new);
        wait_until_gone("ve-one");
}

/* Its supervisor was killed before it could mark it: its namespace takes it away. */
static void link_just_born_is_waited_for(void **state)
{
        static const uint8_t mac[MAC_SIZE] = { 2, 0, 0, 0, 0, 1 };
        struct failure failure = { .error = 0 };
        struct guest guest;
        struct net_link *link;
        struct process_end end;
        int pidfd CLEANUP_FD = -1;

        (void) state;
        link = plan_host_network(&guest, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        link->has_macs = true;
        memcpy(link->host_mac, mac, sizeof(mac));
        memcpy(link->guest_mac, mac, sizeof(mac));
        link->guest_mac[5] = 2;
        guest_run(&guest);
        net_run_done(&guest.run);
        set_alias("ve-one", "");
        if (process_clone(0, -1, &pidfd) == 0) {
                (void) poll(NULL, 0, 100);
                remove_host_link("ve-one");
                _exit(0);
        }
        if (net_run_host(&guest.run, &guest.plan, guest.pid, &failure) < 0)
                fail_msg("%s", failure.text);
        assert_int_equal(process_wait(pidfd, &end), 0);
        assert_true(is_there("ve-one"));
        guest_end(&guest);
        wait_until_gone("ve-one");
}

static void foreign_link_stays(void **state)
{
        struct failure failure;
        struct guest guest;
        int index;

        (void) state;
        make_host_link("bridge", "ve-one");
        index = look(-1, "ve-one").index;
        (void) plan_host_network(&guest, "one", "ve-one", "10.77.0.5/18", "fd00:77::5/128");
        assert_int_equal(guest_make(&guest, &failure), -EEXIST);
        assert_non_null(strstr(failure.text, "'ve-one'"));
        guest_end(&guest);
        assert_int_equal(look(-1, "ve-one").index, index);
        remove_host_link("ve-one");
}

static void zone_comes_and_goes(void **state)
{
        struct netlink_link bridge;
        struct guest one, two;

        (void) state;
        (void) plan_zone(&one, "one", "vb-one", "10.78.0.5/22", "fd00:77::5/64");
        (void) plan_zone(&two, "two", "vb-two", "10.78.0.6/22", "fd00:77::6/64");
        guest_run(&one);
        guest_run(&two);
        bridge = look(-1, "vz-t");
        assert_true(bridge.flags & IFF_UP);
        assert_int_equal(one.run.first_ifindex, bridge.index);
        assert_int_equal(look(-1, "vb-two").master, bridge.index);
        assert_int_equal(guest_do(&one, 'c', "10.78.0.1"), 0);
        assert_int_equal(guest_do(&one, 'c', "fd00:77::1"), 0);
        assert_int_equal(guest_do(&one, 'c', "10.78.0.6"), 0);
        assert_int_equal(guest_do(&two, 'c', "fd00:77::5"), 0);
        assert_int_equal(reach_from_host("10.78.0.6"), 0);
        guest_end(&one);
        assert_int_equal(look(-1, "vz-t").index, bridge.index);
        assert_memory_equal(look(-1, "vz-t").mac, bridge.mac, MAC_SIZE);
        guest_end(&two);
        assert_false(is_there("vz-t"));
        wait_until_gone("vb-two");
}

static void unmanaged_zone_stays_down(void **state)
{
        struct guest guest;
        struct net_link *link;

        (void) state;
        guest_begin(&guest, "one");
        link = guest_add(&guest, LINK_VETH, "vb-one", "host0");
        (void) snprintf(link->master, sizeof(link->master), "vz-t");
        link->master_is_zone = link->host_up = true;
        guest_run(&guest);
        assert_int_equal(look(-1, "vz-t").flags & IFF_UP, 0);
        assert_true(look(-1, "vb-one").flags & IFF_UP);
        guest_end(&guest);
        assert_false(is_there("vz-t"));
        wait_until_gone("vb-one");
}

static void zone_of_the_killed_is_swept(void **state)
{
        struct failure failure = { .error = 0 };
        struct process_end end;
        struct guest one;

        (void) state;
        (void) plan_zone(&one, "one", "vb-one", "10.78.0.5/22", "fd00:77::5/64");
        guest_run(&one);
        assert_int_equal(net_run_sweep("another", &failure), 0);
        process_kill_child(one.pid, one.pidfd);
        assert_int_equal(process_wait(one.pidfd, &end), 0);
        (void) close(one.pidfd);
        (void) close(one.fd);
        (void) close(one.netns_fd);
        free(one.run.indexes);
        /* Its namespace need not be taken down by then. */
        assert_true(is_there("vz-t"));
        assert_int_equal(net_run_sweep("one", &failure), 1);
        wait_until_gone("vb-one");
        assert_false(is_there("vz-t"));
}

/* Of two of that name, one was made by somebody who was killed at once, and has no mark yet. */
static void zone_just_born_is_swept(void **state)
{
        struct failure failure = { .error = 0 };
        struct guest one;

        (void) state;
        make_host_link("bridge", "vz-other");
        (void) plan_zone(&one, "one", "vb-one", "10.78.0.5/22", "fd00:77::5/64");
        guest_run(&one);
        set_alias("vz-t", "");
        set_alias("vb-one", "stead:two");
        guest_end(&one);
        wait_until_gone("vb-one");
        (void) net_run_sweep("one", &failure);
        assert_false(is_there("vz-t"));
        assert_true(is_there("vz-other"));
        remove_host_link("vz-other");
}

static void own_bridge(void **state)
{
        struct failure failure;
        struct guest guest;
        struct net_link *link;

        (void) state;
        guest_begin(&guest, "one");
        link = guest_add(&guest, LINK_VETH, "vb-one", "host0");
        (void) snprintf(link->master, sizeof(link->master), "br7");
        link->host_up = true;
        assert_int_equal(guest_make(&guest, &failure), -ENODEV);
        assert_non_null(strstr(failure.text, "no bridge 'br7'"));
        assert_false(is_there("vb-one"));
        guest_end(&guest);
        make_host_link("bridge", "br7");
        guest_run(&guest);
        assert_int_equal(look(-1, "vb-one").master, look(-1, "br7").index);
        guest_end(&guest);
        wait_until_gone("vb-one");
        assert_true(is_there("br7"));
        remove_host_link("br7");
}

/* The second link cannot be made; the first goes, and so does the zone. */
static void failure_undoes_all(void **state)
{
        struct failure failure;
        struct guest guest;

        (void) state;
        (void) plan_zone(&guest, "one", "vb-one", "10.78.0.5/22", "fd00:77::5/64");
        (void) guest_add(&guest, LINK_EXTRA_VETH, "extra", "extra");
        (void) guest_add(&guest, LINK_EXTRA_VETH, "lo", "extra2");
        assert_int_equal(guest_make(&guest, &failure), -EEXIST);
        assert_non_null(strstr(failure.text, "'lo'"));
        assert_false(is_there("vb-one"));
        assert_false(is_there("extra"));
        assert_false(is_there("vz-t"));
        guest_end(&guest);
}

static void stacked_links(void **state)
{
        struct failure failure;
        struct guest guest;
        struct net_link *link;

        (void) state;
        make_host_link("veth", "up0");
        guest_begin(&guest, "one");
        link = guest_add(&guest, LINK_MACVLAN, "up0", "mv-up0");
        link->has_macs = link->guest_up = true;
        assert_int_equal(mac_parse("02:00:00:00:00:07", link->guest_mac), 0);
        parse("10.79.0.7/24", &link->addresses[0]);
        link->n_addresses = 1;
        guest_run(&guest);
        assert_memory_equal(look(guest.netns_fd, "mv-up0").mac, link->guest_mac, MAC_SIZE);
        assert_true(look(guest.netns_fd, "mv-up0").flags & IFF_UP);
        /* Removed, although somebody keeps the namespace. */
        net_run_done(&guest.run);
        assert_int_equal(look(guest.netns_fd, "mv-up0").index, 0);
        guest_end(&guest);

        guest_begin(&guest, "one");
        (void) guest_add(&guest, LINK_IPVLAN, "nothing", "iv-nothing");
        assert_int_equal(guest_make(&guest, &failure), -ENODEV);
        assert_non_null(strstr(failure.text, "'nothing'"));
        guest_end(&guest);
        remove_host_link("up0");
}

static void namespaces_by_path(void **state)
{
        static const struct {
                const char *path;
                int expected;
        } rows[] = { { "/proc/self/ns/mnt", -EINVAL },
                     { "/proc/self/status", -EINVAL },
                     { "/nowhere", -ENOENT } };
        struct failure failure = { .error = 0 };
        int fd CLEANUP_FD = -1, none = -1;

        (void) state;
        assert_int_equal(net_namespace_open("/proc/self/ns/net", &fd, &failure), 0);
        assert_true(fd >= 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                failure.error = 0;
                assert_int_equal(net_namespace_open(rows[i].path, &none, &failure),
                                 rows[i].expected);
        }
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(loopback_alone),
                cmocka_unit_test(pair_as_elsewhere),
                cmocka_unit_test(host_network_is_ready),
                cmocka_unit_test(host_without_ipv6),
                cmocka_unit_test(leftover_gives_way),
                cmocka_unit_test(link_just_born_is_waited_for),
                cmocka_unit_test(foreign_link_stays),
                cmocka_unit_test(zone_comes_and_goes),
                cmocka_unit_test(unmanaged_zone_stays_down),
                cmocka_unit_test(zone_of_the_killed_is_swept),
                cmocka_unit_test(zone_just_born_is_swept),
                cmocka_unit_test(own_bridge),
                cmocka_unit_test(failure_undoes_all),
                cmocka_unit_test(stacked_links),
                cmocka_unit_test(namespaces_by_path),
        };

        if (!host_begin()) {
                (void) fprintf(stderr, "Namespaces need root.\n");
                return TEST_SKIPPED;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
