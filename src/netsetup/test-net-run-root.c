/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/process.h"
#include "netsetup/ifname.h"
#include "netsetup/link.h"
#include "netsetup/net-run.h"
#include "netsetup/netsetup.h"

/*
 * Links as they are made, between network namespaces of the test's own: the test's is the host's, and each
 * guest is a process in another one, which does what it is told. Needs root.
 */

#define SKIPPED 77
#define LINKS_OF_A_GUEST 4

/* ---- guests ------------------------------------------------------------------------------ */

struct guest {
        pid_t pid;
        int pidfd, fd, netns_fd;
        struct net_plan plan;
        struct net_link links[LINKS_OF_A_GUEST];
        struct net_run run;
};

/* What a guest is told: to carry out its side of the plan, or to connect to an address. */
struct order {
        char what; /* 'g', 'c' */
        struct net_address address;
};

/* Nobody listens there; whoever is reached says so at once. 0: refused, as it has to be. */
static int reach(const struct net_address *a)
{
        struct sockaddr_in four = { .sin_family = AF_INET, .sin_port = htons(9) };
        struct sockaddr_in6 six = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
        bool is_four = a->family == AF_INET;
        int fd CLEANUP_FD = socket(a->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct pollfd wait = { .fd = fd, .events = POLLOUT };
        int error = 0;
        socklen_t size = sizeof(error);

        four.sin_addr = a->in4;
        six.sin6_addr = a->in6;
        if (fd < 0)
                return -errno;
        if (connect(fd, is_four ? (struct sockaddr *) &four : (struct sockaddr *) &six,
                    is_four ? sizeof(four) : sizeof(six)) == 0)
                return -EISCONN;
        if (errno == EINPROGRESS && poll(&wait, 1, 2000) <= 0)
                return -ETIMEDOUT;
        if (errno != ECONNREFUSED && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
                return -errno;
        return error == ECONNREFUSED || error == 0 ? 0 : -error;
}

static _Noreturn void guest_main(const struct guest *guest, int fd)
{
        struct order order;

        while (recv(fd, &order, sizeof(order), 0) == (ssize_t) sizeof(order)) {
                struct failure failure = { .error = 0 };
                struct net_plan plan = guest->plan;
                int r;

                plan.links = (struct net_link *) (uintptr_t) guest->links;
                r = order.what == 'g' ? net_run_guest(&plan, &failure) : reach(&order.address);
                if (failure.error)
                        (void) fprintf(stderr, "%s\n", failure.text);
                if (send(fd, &r, sizeof(r), 0) < 0)
                        break;
        }
        _exit(0);
}

static void guest_begin(struct guest *guest, const char *machine)
{
        *guest = (struct guest){ .pid = 0, .run = NET_RUN_NULL };
        guest->plan.machine = machine;
        guest->plan.links = guest->links;
}

static struct net_link *guest_add(struct guest *guest, enum net_link_kind kind, const char *host,
                                  const char *inside)
{
        struct net_link *link = &guest->links[guest->plan.n_links++];

        link->kind = kind;
        (void) snprintf(kind == LINK_MACVLAN || kind == LINK_IPVLAN ? link->lower : link->host,
                        LINK_NAME_SIZE, "%s", host);
        (void) snprintf(link->guest, LINK_NAME_SIZE, "%s", inside);
        return link;
}

static void guest_start(struct guest *guest)
{
        char path[64];
        int pair[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        guest->pid = process_clone(CLONE_NEWNET, -1, &guest->pidfd);
        if (guest->pid == 0) {
                (void) close(pair[0]);
                guest_main(guest, pair[1]);
        }
        assert_true(guest->pid > 0);
        (void) close(pair[1]);
        guest->fd = pair[0];
        (void) snprintf(path, sizeof(path), "/proc/%d/ns/net", (int) guest->pid);
        guest->netns_fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(guest->netns_fd >= 0);
}

static int guest_make(struct guest *guest, struct failure *failure)
{
        *failure = (struct failure){ .error = 0 };
        guest_start(guest);
        return net_run_host(&guest->run, &guest->plan, guest->pid, failure);
}

static int guest_do(const struct guest *guest, char what, const char *address)
{
        struct order order = { .what = what };
        int r = -EPIPE;

        if (address)
                assert_int_equal(net_address_parse(address, &order.address), 0);
        assert_true(send(guest->fd, &order, sizeof(order), 0) > 0);
        assert_true(recv(guest->fd, &r, sizeof(r), 0) == (ssize_t) sizeof(r));
        return r;
}

static void guest_end(struct guest *guest)
{
        struct process_end end;

        process_kill_child(guest->pid, guest->pidfd);
        assert_int_equal(process_wait(guest->pidfd, &end), 0);
        (void) close(guest->pidfd);
        (void) close(guest->fd);
        (void) close(guest->netns_fd);
        net_run_done(&guest->run);
}

/* Both sides, without a failure. */
static void guest_run(struct guest *guest)
{
        struct failure failure;
        int r = guest_make(guest, &failure);

        if (r < 0)
                fail_msg("%s", failure.text);
        assert_int_equal(guest_do(guest, 'g', NULL), 0);
}

/* ---- looking ----------------------------------------------------------------------------- */

static struct netlink_link look(int netns_fd, const char *name)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };
        struct netlink_link link;

        assert_int_equal(netns_fd < 0 ? netlink_open(&nl, &failure)
                                      : netlink_open_in(&nl, netns_fd, &failure),
                         0);
        assert_int_equal(netlink_find(&nl, 0, name, &link, &failure), 0);
        return link;
}

static bool is_there(const char *name)
{
        return look(-1, name).index > 0;
}

/* A link goes with its namespace, some time after that has lost its last process. */
static void wait_until_gone(const char *name)
{
        for (int i = 0; i < 500 && is_there(name); i++)
                (void) poll(NULL, 0, 10);
        assert_false(is_there(name));
}

static int reach_from_host(const char *address)
{
        struct net_address a;

        assert_int_equal(net_address_parse(address, &a), 0);
        return reach(&a);
}

static void make_host_link(const char *kind, const char *name)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };
        struct nlattr *info;

        assert_int_equal(netlink_open(&nl, &failure), 0);
        netlink_request_link(&nl, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0, IFF_UP, IFF_UP, "make",
                             name);
        netlink_put_text(&nl, IFLA_IFNAME, name);
        info = netlink_nest(&nl, IFLA_LINKINFO);
        netlink_put_text(&nl, IFLA_INFO_KIND, kind);
        netlink_nest_end(&nl, info);
        if (netlink_commit(&nl, &failure) < 0)
                fail_msg("%s", failure.text);
}

static void remove_host_link(const char *name)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };

        assert_int_equal(netlink_open(&nl, &failure), 0);
        link_remove(&nl, look(-1, name).index);
}

/* ---- plans ------------------------------------------------------------------------------- */

static void parse(const char *text, struct net_address *ret)
{
        assert_int_equal(net_address_parse(text, ret), 0);
}

static void manage(struct guest *guest, const char *prefix4, const char *gateway4,
                   const char *gateway6)
{
        struct net_subnet *subnet = &guest->plan.lease.subnet;

        guest->plan.manager = NET_MANAGER_US;
        parse(prefix4, &subnet->prefix4);
        parse(gateway4, &subnet->gateway4);
        parse("fd00:77::/64", &subnet->prefix6);
        parse(gateway6, &subnet->gateway6);
}

static void add_addresses(struct net_link *link, const char *four, const char *six,
                          const char *gateway4, const char *gateway6)
{
        parse(four, &link->addresses[0]);
        parse(six, &link->addresses[1]);
        link->n_addresses = 2;
        parse(gateway4, &link->gateway4);
        parse(gateway6, &link->gateway6);
        link->host_addresses = link->host_up = link->guest_up = true;
}

static struct net_link *plan_host_network(struct guest *guest, const char *machine,
                                          const char *host, const char *four, const char *six)
{
        struct net_link *link;

        guest_begin(guest, machine);
        manage(guest, "10.77.0.0/18", "10.77.0.1/18", "fd00:77::1/64");
        link = guest_add(guest, LINK_VETH, host, "host0");
        add_addresses(link, four, six, "10.77.0.1", "fe80::1");
        return link;
}

static struct net_link *plan_zone(struct guest *guest, const char *machine, const char *host,
                                  const char *four, const char *six)
{
        struct net_link *link;

        guest_begin(guest, machine);
        manage(guest, "10.78.0.0/22", "10.78.0.1/22", "fd00:77::1/64");
        link = guest_add(guest, LINK_VETH, host, "host0");
        add_addresses(link, four, six, "10.78.0.1", "fd00:77::1");
        (void) snprintf(link->master, sizeof(link->master), "vz-t");
        link->master_is_zone = true;
        return link;
}

/* ---- tests ------------------------------------------------------------------------------- */

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
        assert_int_equal(net_run_sweep("one", &failure), 0);
        process_kill_child(one.pid, one.pidfd);
        assert_int_equal(process_wait(one.pidfd, &end), 0);
        (void) close(one.pidfd);
        (void) close(one.fd);
        (void) close(one.netns_fd);
        free(one.run.indexes);
        wait_until_gone("vb-one");
        assert_true(is_there("vz-t"));
        assert_int_equal(net_run_sweep("one", &failure), 1);
        assert_false(is_there("vz-t"));
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
        assert_int_equal(rmdir("/run/stead/network/moved"), 0);
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
        assert_int_equal(rmdir("/run/stead/network/moved"), 0);
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
        assert_int_equal(rmdir("/run/stead/network/moved"), 0);
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
        assert_int_equal(rmdir("/run/stead/network/moved"), 0);
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
                cmocka_unit_test(leftover_gives_way),
                cmocka_unit_test(foreign_link_stays),
                cmocka_unit_test(zone_comes_and_goes),
                cmocka_unit_test(unmanaged_zone_stays_down),
                cmocka_unit_test(zone_of_the_killed_is_swept),
                cmocka_unit_test(own_bridge),
                cmocka_unit_test(failure_undoes_all),
                cmocka_unit_test(stacked_links),
                cmocka_unit_test(interface_is_given_back),
                cmocka_unit_test(interface_of_the_killed_comes_back),
                cmocka_unit_test(interface_stays_after_a_failure),
                cmocka_unit_test(links_come_and_go),
                cmocka_unit_test(namespaces_by_path),
        };

        /* A host of our own: its network, and its files below /run. */
        if (geteuid() != 0 || unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
            mount("tmpfs", "/run", "tmpfs", 0, NULL) < 0 || loopback_up() < 0) {
                (void) fprintf(stderr, "Namespaces need root.\n");
                return SKIPPED;
        }
        return cmocka_run_group_tests(tests, NULL, NULL);
}
