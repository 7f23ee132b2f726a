/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "netsetup/address.h"
#include "netsetup/netsetup.h"

/*
 * Leases on a host whose routes and files are the test's own. Needs root: the network namespace and the
 * mount namespace are new, with nothing in /etc, /run and /var/lib.
 */

#define SKIPPED 77
#define N_PROCESSES 6
#define N_EACH 50

static const struct id128 host_id = { { 1, 2, 3 } };

static int set_up(void **state)
{
        (void) state;
        if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0)
                return -1;
        for (size_t i = 0; i < 3; i++) {
                static const char *const folders[] = { "/etc", "/run", "/var/lib" };

                if (mount("tmpfs", folders[i], "tmpfs", 0, "mode=0755") < 0)
                        return -1;
        }
        return 0;
}

static int tear_down(void **state)
{
        (void) state;
        return umount("/etc") < 0 || umount("/run") < 0 || umount("/var/lib") < 0 ? -1 : 0;
}

static int ask(const char *network, const char *machine, bool is_new, struct net_lease *ret)
{
        struct failure failure = { .error = 0 };
        const struct net_lease_request q = { .network = network,
                                             .machine = machine,
                                             .host_id = &host_id,
                                             .network_is_new = is_new };
        int r = net_lease_take(&q, ret, &failure);

        assert_int_equal(r, failure.error);
        return r;
}

static struct net_lease take(const char *network, const char *machine, bool is_new)
{
        struct net_lease lease;

        assert_int_equal(ask(network, machine, is_new, &lease), 0);
        assert_true(net_address_contains(&lease.subnet.prefix4, &lease.address4));
        assert_true(net_address_contains(&lease.subnet.prefix6, &lease.address6));
        assert_int_equal(lease.address4.prefix, lease.subnet.prefix4.prefix);
        assert_int_equal(lease.address6.prefix, streq(network, "host") ? 128 : 64);
        return lease;
}

static uint32_t number(const struct net_lease *lease)
{
        return ntohl(lease->address4.in4.s_addr) - ntohl(lease->subnet.prefix4.in4.s_addr);
}

static bool same_subnet(const struct net_lease *a, const struct net_lease *b)
{
        return a->subnet.prefix4.prefix == b->subnet.prefix4.prefix &&
               net_address_overlaps(&a->subnet.prefix4, &b->subnet.prefix4);
}

static void configure(const char *text)
{
        assert_int_equal(make_directories("/etc/stead", 0755), 0);
        (void) unlink(NETWORK_CONFIG_FILE);
        assert_int_equal(create_file_at(AT_FDCWD, NETWORK_CONFIG_FILE, 0644, text), 0);
}

/* ---- what the host has ------------------------------------------------------------------- */

static struct sockaddr socket_address(struct in_addr address)
{
        struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = address };
        struct sockaddr result;

        memcpy(&result, &in, sizeof(result));
        return result;
}

static struct in_addr mask_of(unsigned prefix)
{
        return (struct in_addr){ htonl((uint32_t) (UINT64_C(0xFFFFFFFF) << (32 - prefix))) };
}

/* An address of the host's; number 0 of those that it has. */
static void add_address(const struct net_address *a)
{
        int fd CLEANUP_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        struct ifreq request = { .ifr_name = "lo:1" };

        request.ifr_addr = socket_address(a->in4);
        assert_int_equal(ioctl(fd, SIOCSIFADDR, &request), 0);
        request.ifr_netmask = socket_address(mask_of(a->prefix));
        assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &request), 0);
}

/* A route to @a by a gateway that there is not. */
static void add_route(const char *text, bool has_gateway)
{
        int fd CLEANUP_FD = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        char device[] = "lo";
        struct rtentry route = { .rt_flags = RTF_UP, .rt_dev = device };
        struct net_address a;

        assert_int_equal(net_address_parse(text, &a), 0);
        route.rt_dst = socket_address(a.in4);
        route.rt_genmask = socket_address(mask_of(a.prefix));
        if (has_gateway) {
                struct net_address gateway;

                assert_int_equal(net_address_parse("192.0.2.77/24", &gateway), 0);
                add_address(&gateway);
                gateway.in4.s_addr ^= htonl(3);
                route.rt_gateway = socket_address(gateway.in4);
                route.rt_flags |= RTF_GATEWAY;
        }
        assert_int_equal(ioctl(fd, SIOCADDRT, &route), 0);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void test_kept(void **state)
{
        struct net_lease web = take("host", "web", true), again, db, lab;
        struct net_subnet subnet;

        (void) state;
        db = take("host", "db", false);
        lab = take("zone-lab", "web", true);
        assert_int_equal(web.subnet.prefix4.prefix, 18);
        assert_int_equal(lab.subnet.prefix4.prefix, 22);
        assert_true(same_subnet(&web, &db));
        assert_false(net_address_overlaps(&web.subnet.prefix4, &lab.subnet.prefix4));
        assert_int_not_equal(number(&web), number(&db));
        for (int is_new = 0; is_new < 2; is_new++) {
                again = take("host", "web", is_new);
                assert_true(same_subnet(&again, &web));
                assert_int_equal(number(&again), number(&web));
        }
        assert_true(net_subnet_read("host", &subnet));
        assert_true(net_address_overlaps(&subnet.prefix4, &web.address4));
        assert_int_equal(ntohl(subnet.gateway4.in4.s_addr), ntohl(subnet.prefix4.in4.s_addr) + 1);
        assert_false(net_subnet_read("zone-other", &subnet));
        net_lease_forget("host", "web");
        net_lease_forget("host", "nobody");
        again = take("host", "web", false);
        assert_int_equal(number(&again), number(&web));
}

static void test_collision(void **state)
{
        struct net_lease web = take("host", "web", true), db = take("host", "db", false), other;
        struct net_address foreign = net_address_nth(&web.subnet.prefix4, 77);

        (void) state;
        foreign.prefix = 28;
        add_address(&foreign);
        /* While others are in it, it stays. */
        other = take("host", "third", false);
        assert_true(same_subnet(&other, &web));
        other = take("host", "web", true);
        assert_false(net_address_overlaps(&other.subnet.prefix4, &foreign));
        assert_int_equal(number(&other), number(&web));
        web = take("host", "db", false);
        assert_true(same_subnet(&other, &web));
        assert_int_equal(number(&web), number(&db));
}

static void test_own_address_collides(void **state)
{
        struct net_lease web = take("host", "web", true), other;
        struct net_address foreign = web.address4;

        (void) state;
        foreign.prefix = 32;
        add_address(&foreign);
        other = take("host", "web", false);
        assert_true(same_subnet(&other, &web));
        assert_int_not_equal(number(&other), number(&web));
        web = take("host", "web", false);
        assert_int_equal(number(&other), number(&web));
}

static void test_routes(void **state)
{
        struct net_lease web;
        struct net_address ten, second;

        (void) state;
        assert_int_equal(net_address_parse("10.0.0.0/8", &ten), 0);
        assert_int_equal(net_address_parse("172.16.0.0/12", &second), 0);
        add_route("0.0.0.0/1", true);
        web = take("host", "web", true);
        assert_true(net_address_contains(&ten, &web.subnet.prefix4));
        add_route("10.0.0.0/8", true);
        /* A route to all of it came later: nothing of ours is in the way. */
        web = take("host", "web", true);
        assert_true(net_address_contains(&ten, &web.subnet.prefix4));
        web = take("zone-lab", "web", true);
        assert_true(net_address_contains(&second, &web.subnet.prefix4));
        add_route("172.16.0.0/12", false);
        web = take("zone-lab", "web", true);
        assert_false(net_address_overlaps(&second, &web.subnet.prefix4));
}

static void test_links_of_ours(void **state)
{
        struct net_lease web = take("host", "web", true), again;
        char command[256], text[NET_ADDRESS_TEXT_SIZE];

        (void) state;
        (void) snprintf(command, sizeof(command),
                        "ip link add ve-web type veth peer name p && ip link set ve-web up && "
                        "ip link set p up && ip route add %s/32 dev ve-web && "
                        "ip route add unreachable %s metric 4278190080",
                        net_address_text(&web.address4, text), "10.128.0.0/10");
        if (system(command) != 0)
                skip();
        for (int is_new = 0; is_new < 2; is_new++) {
                again = take("host", "web", is_new);
                assert_true(same_subnet(&again, &web));
                assert_int_equal(number(&again), number(&web));
        }
        assert_int_equal(system("ip link del ve-web"), 0);
        /* Nothing but the route to nowhere is left. */
        again = take("host", "web", false);
        assert_int_equal(number(&again), number(&web));
}

static void test_configuration(void **state)
{
        struct net_lease web = take("zone-lab", "web", true), a, b;
        char text[256], prefix[NET_ADDRESS_TEXT_SIZE];
        struct net_address pool;

        (void) state;
        configure("[Network]\nPool4=192.168.7.0/24\nZonePrefixLength4=28\nnonsense\n");
        assert_int_equal(net_address_parse("192.168.7.0/24", &pool), 0);
        a = take("zone-lab", "web", false); /* it runs: nothing changes */
        assert_true(same_subnet(&a, &web));
        a = take("zone-lab", "web", true);
        b = take("zone-test", "web", true);
        assert_true(net_address_contains(&pool, &a.subnet.prefix4));
        assert_int_equal(a.subnet.prefix4.prefix, 28);
        assert_false(net_address_overlaps(&a.subnet.prefix4, &b.subnet.prefix4));
        assert_in_range(number(&a), 2, 14);

        /* The only subnet is that of another network. */
        (void) snprintf(text, sizeof(text), "[Network]\nPrefix6=no\nPool4=%s\n",
                        net_address_prefix_text(&b.subnet.prefix4, prefix));
        configure(text);
        assert_int_equal(ask("host", "web", true, &a), -ENOSPC);
        assert_int_equal(ask("zone-lab", "web", true, &a), -ENOSPC);
        assert_int_equal(ask("zone-test", "web", true, &a), 0);
        assert_int_equal(a.address6.family, 0);
        configure("[Network\n");
        assert_int_equal(ask("host", "web", true, &a), -EBADMSG);
}

static void test_wanted(void **state)
{
        struct net_lease web = take("host", "web", true), lease;
        struct failure failure = { .error = 0 };
        struct net_address wanted = net_address_nth(&web.subnet.prefix4, 256);
        struct net_lease_request q = {
                .network = "host", .machine = "db", .host_id = &host_id, .wanted4 = &wanted
        };

        (void) state;
        assert_int_equal(net_lease_take(&q, &lease, &failure), 0);
        assert_int_equal(number(&lease), 256);
        q.machine = "third";
        assert_int_equal(net_lease_take(&q, &lease, &failure), -EADDRINUSE);
        assert_non_null(strstr(failure.text, "'db'"));
        failure.error = 0;
        wanted = web.subnet.gateway4;
        assert_int_equal(net_lease_take(&q, &lease, &failure), -EADDRINUSE);
        failure.error = 0;
        assert_int_equal(net_address_parse("192.0.2.9/24", &wanted), 0);
        assert_int_equal(net_lease_take(&q, &lease, &failure), 0);
}

static void test_dry_run(void **state)
{
        struct net_lease lease, real;
        struct failure failure = { .error = 0 };
        const struct net_lease_request q = {
                .network = "host", .machine = "web", .host_id = &host_id, .dry_run = true
        };

        (void) state;
        assert_int_equal(net_lease_take(&q, &lease, &failure), 0);
        assert_int_equal(access("/var/lib/stead", F_OK), -1);
        assert_int_equal(access("/run/stead", F_OK), -1);
        real = take("host", "web", true);
        assert_true(same_subnet(&lease, &real));
        assert_int_equal(number(&lease), number(&real));
}

/* The host's file system is read-only, for now. */
static void test_read_only_host(void **state)
{
        struct net_lease web = take("host", "web", true), db, lab, again;

        (void) state;
        assert_int_equal(mount(NULL, "/var/lib", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
        again = take("host", "web", true);
        assert_int_equal(number(&again), number(&web));
        db = take("host", "db", false);
        assert_true(same_subnet(&db, &web));
        assert_int_not_equal(number(&db), number(&web));
        lab = take("zone-lab", "web", true);
        assert_int_equal(access(NETWORK_SPARE_FOLDER "/zone-lab/subnet", F_OK), 0);

        assert_int_equal(mount(NULL, "/var/lib", NULL, MS_REMOUNT, NULL), 0);
        again = take("host", "db", true);
        assert_int_equal(number(&again), number(&db));
        again = take("zone-lab", "web", true);
        assert_true(same_subnet(&again, &lab));
        assert_int_equal(number(&again), number(&lab));
}

/* ---- many at once ------------------------------------------------------------------------ */

/* All of them come first to both networks. */
static _Noreturn void take_many(int process, int out)
{
        for (int i = 0; i < N_EACH; i++) {
                struct net_lease lease;
                char name[32];

                (void) snprintf(name, sizeof(name), "m-%d-%d", process, i);
                if (ask(i % 2 ? "zone-a" : "zone-b", name, true, &lease) < 0 ||
                    write(out, &lease.address4.in4, 4) != 4)
                        _exit(1);
        }
        _exit(0);
}

static int compare(const void *a, const void *b)
{
        return memcmp(a, b, 4);
}

static void test_three_hundred_at_once(void **state)
{
        struct in_addr addresses[N_PROCESSES * N_EACH];
        size_t n = 0;
        int fds[2];

        (void) state;
        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        for (int i = 0; i < N_PROCESSES; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        take_many(i, fds[1]);
        }
        (void) close(fds[1]);
        while (n < ARRAY_SIZE(addresses) && read(fds[0], &addresses[n], 4) == 4)
                n++;
        (void) close(fds[0]);
        for (int i = 0; i < N_PROCESSES; i++) {
                int status = -1;

                assert_true(wait(&status) > 0);
                assert_int_equal(status, 0);
        }
        assert_int_equal(n, ARRAY_SIZE(addresses));
        qsort(addresses, n, sizeof(addresses[0]), compare);
        for (size_t i = 1; i < n; i++)
                assert_true(addresses[i].s_addr != addresses[i - 1].s_addr);
}

int main(void)
{
#define CASE(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
        static const struct CMUnitTest tests[] = {
                CASE(test_kept),
                CASE(test_collision),
                CASE(test_own_address_collides),
                CASE(test_routes),
                CASE(test_links_of_ours),
                CASE(test_configuration),
                CASE(test_wanted),
                CASE(test_dry_run),
                CASE(test_read_only_host),
                CASE(test_three_hundred_at_once),
        };

        if (geteuid() != 0 || unshare(CLONE_NEWNS | CLONE_NEWNET) < 0 ||
            mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
                (void) puts("it needs root, and namespaces of its own");
                return SKIPPED;
        }
        log_set_level(LOG_LEVEL_ERROR);
        return cmocka_run_group_tests(tests, NULL, NULL);
}
