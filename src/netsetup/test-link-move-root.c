/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/test-links.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/process.h"

/* Interfaces that are moved in and given back, and links that come and go while a machine runs. */

/* A pair with an end that is given away: named, addressed and up. */
static void make_interface(void)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };
        struct net_address a;
        struct nlattr *list;
        int index;

        make_host_link("veth", "card0");
        index = look(-1, "card0").index;
        assert_int_equal(netlink_open(&nl, &failure), 0);
        parse("10.80.0.1/24", &a);
        address_add(&nl, index, &a);
        parse("fd00:80::1/64", &a);
        address_add(&nl, index, &a);
        netlink_request_link(&nl, RTM_SETLINK, 0, index, 0, 0, "set", NULL);
        netlink_put_u32(&nl, IFLA_MTU, 1300);
        netlink_put_text(&nl, IFLA_IFALIAS, "the card");
        netlink_request_link(&nl, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, index, 0, 0, "set",
                             NULL);
        list = netlink_nest(&nl, IFLA_PROP_LIST);
        netlink_put_text(&nl, IFLA_ALT_IFNAME, "thecard");
        netlink_nest_end(&nl, list);
        assert_int_equal(netlink_commit(&nl, &failure), 0);
}

static bool has_altname(const char *altname, int index)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };
        struct netlink_link link;

        assert_int_equal(netlink_open(&nl, &failure), 0);
        netlink_ask_link(&nl, 0, altname, &link);
        assert_int_equal(netlink_commit(&nl, &failure), 0);
        return link.index == index;
}

static void assert_as_before(const uint8_t mac[MAC_SIZE])
{
        struct netlink_link card = look(-1, "card0");
        char *six CLEANUP_FREE = NULL;

        assert_true(card.index > 0);
        assert_true(card.flags & IFF_UP);
        assert_int_equal(card.mtu, 1300);
        assert_string_equal(card.alias, "the card");
        assert_memory_equal(card.mac, mac, MAC_SIZE);
        assert_true(has_altname("thecard", card.index));
        assert_int_equal(reach_from_host("10.80.0.1"), 0);
        assert_int_equal(read_file_at(AT_FDCWD, "/proc/self/net/if_inet6", 65536, &six, NULL), 0);
        assert_non_null(strstr(six, "fd000080000000000000000000000001")); /* has no carrier */
}

/* What a container may do to an interface of the host's. */
static void mistreat(int netns_fd, const char *name)
{
        static const uint8_t mac[MAC_SIZE] = { 2, 0, 0, 0, 0, 0x66 };
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };
        struct nlattr *list;
        int index = look(netns_fd, name).index;

        assert_int_equal(netlink_open_in(&nl, netns_fd, &failure), 0);
        netlink_request_link(&nl, RTM_SETLINK, 0, index, 0, IFF_UP, "mistreat", name);
        netlink_put_text(&nl, IFLA_IFNAME, "br7"); /* which the host has */
        netlink_request_link(&nl, RTM_SETLINK, 0, index, 0, 0, "mistreat", name);
        netlink_put(&nl, IFLA_ADDRESS, mac, sizeof(mac));
        netlink_put_u32(&nl, IFLA_MTU, 700);
        netlink_put_text(&nl, IFLA_IFALIAS, "stead:other");
        netlink_request_link(&nl, RTM_NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL, index, 0, 0,
                             "mistreat", name);
        list = netlink_nest(&nl, IFLA_PROP_LIST);
        netlink_put_text(&nl, IFLA_ALT_IFNAME, "up7"); /* which the host has, too */
        netlink_nest_end(&nl, list);
        if (netlink_commit(&nl, &failure) < 0)
                fail_msg("%s", failure.text);
}

static void plan_moved(struct guest *guest)
{
        struct net_link *link;

        guest_begin(guest, "one");
        link = guest_add(guest, LINK_MOVED, "card0", "inner");
        parse("10.80.0.7/24", &link->addresses[0]);
        link->n_addresses = 1;
        link->guest_up = true;
}

static void interface_is_given_back(void **state)
{
        uint8_t mac[MAC_SIZE];
        struct netlink_link card;
        struct guest guest;

        (void) state;
        make_interface();
        make_host_link("bridge", "br7");
        make_host_link("bridge", "up7");
        card = look(-1, "card0");
        memcpy(mac, card.mac, MAC_SIZE);
        plan_moved(&guest);
        guest_run(&guest);
        assert_false(is_there("card0"));
        assert_true(look(guest.netns_fd, "inner").flags & IFF_UP);
        mistreat(guest.netns_fd, "inner");
        guest_end(&guest);
        assert_as_before(mac);
        remove_host_link("br7");
        remove_host_link("up7");
        remove_host_link("card0");
        assert_int_equal(access("/run/stead/network/moved", F_OK), -1);
}

static void interface_of_the_killed_comes_back(void **state)
{
        struct failure failure = { .error = 0 };
        struct process_end end;
        uint8_t mac[MAC_SIZE];
        struct netlink_link card;
        struct guest guest;

        (void) state;
        make_interface();
        card = look(-1, "card0");
        memcpy(mac, card.mac, MAC_SIZE);
        plan_moved(&guest);
        guest_run(&guest);
        process_kill_child(guest.pid, guest.pidfd);
        assert_int_equal(process_wait(guest.pidfd, &end), 0);
        (void) close(guest.pidfd);
        (void) close(guest.fd);
        (void) close(guest.netns_fd);
        (void) close(guest.run.netns_fd);
        free(guest.run.indexes);
        (void) poll(NULL, 0, 100);
        assert_int_equal(net_run_sweep("another", &failure), 0);
        assert_int_equal(net_run_sweep("one", &failure), 1);
        assert_as_before(mac);
        assert_int_equal(net_run_sweep("one", &failure), 0);
        remove_host_link("card0");
        assert_int_equal(access("/run/stead/network/moved", F_OK), -1);
}

/* A name that the container has already: the move fails in the middle. */
static void interface_stays_after_a_failure(void **state)
{
        struct failure failure;
        uint8_t mac[MAC_SIZE];
        struct netlink_link card;
        struct guest guest;

        (void) state;
        make_interface();
        card = look(-1, "card0");
        memcpy(mac, card.mac, MAC_SIZE);
        plan_moved(&guest);
        (void) snprintf(guest.links[0].guest, LINK_NAME_SIZE, "lo");
        assert_int_equal(guest_make(&guest, &failure), -EEXIST);
        assert_non_null(strstr(failure.text, "'card0'"));
        assert_as_before(mac);
        guest_end(&guest);
        plan_moved(&guest);
        (void) snprintf(guest.links[0].host, LINK_NAME_SIZE, "card1");
        assert_int_equal(guest_make(&guest, &failure), -ENODEV);
        guest_end(&guest);
        remove_host_link("card0");
        assert_int_equal(access("/run/stead/network/moved", F_OK), -1);
}

static void links_come_and_go(void **state)
{
        struct net_link pair = { .kind = LINK_EXTRA_VETH, .guest_up = true, .host_up = true };
        struct net_link card = { .kind = LINK_MOVED, .host = "card0", .guest = "inner" };
        struct net_link stacked = { .kind = LINK_MACVLAN, .lower = "card0", .guest = "mv0" };
        struct failure failure = { .error = 0 };
        struct netlink_link before;
        struct guest guest;

        (void) state;
        make_interface();
        before = look(-1, "card0");
        guest_begin(&guest, "one");
        guest_run(&guest);
        (void) snprintf(pair.host, sizeof(pair.host), "plug");
        (void) snprintf(pair.guest, sizeof(pair.guest), "plugged");
        add_addresses(&pair, "10.81.0.7/24", "fd00:81::7/64", "10.81.0.1", "fd00:81::1");
        if (net_link_attach(&pair, "one", guest.pid, &failure) < 0)
                fail_msg("%s", failure.text);
        assert_int_equal(guest_do(&guest, 'c', "10.81.0.1"), 0);
        assert_int_equal(net_link_attach(&stacked, "one", guest.pid, &failure), 0);
        assert_true(look(guest.netns_fd, "mv0").index > 0);
        assert_int_equal(net_link_detach(&stacked, "one", guest.pid, &failure), 0);
        assert_int_equal(look(guest.netns_fd, "mv0").index, 0);
        assert_int_equal(net_link_attach(&card, "one", guest.pid, &failure), 0);
        assert_true(look(guest.netns_fd, "inner").index > 0);
        assert_int_equal(net_link_detach(&card, "one", guest.pid, &failure), 0);
        assert_as_before(before.mac);
        assert_int_equal(net_link_detach(&pair, "another", guest.pid, &failure), -ENODEV);
        failure.error = 0;
        assert_int_equal(net_link_detach(&pair, "one", guest.pid, &failure), 0);
        assert_false(is_there("plug"));
        assert_int_equal(net_link_detach(&card, "one", guest.pid, &failure), -ENODEV);
        failure.error = 0;
        assert_int_equal(net_link_attach(&pair, "one", getpid(), &failure), -EOPNOTSUPP);
        guest_end(&guest);
        remove_host_link("card0");
        assert_int_equal(access("/run/stead/network/moved", F_OK), -1);
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(interface_is_given_back),
                cmocka_unit_test(interface_of_the_killed_comes_back),
                cmocka_unit_test(interface_stays_after_a_failure),
                cmocka_unit_test(links_come_and_go),
        };

        if (!host_begin()) {
                (void) fprintf(stderr, "Namespaces need root.\n");
                return TEST_SKIPPED;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
