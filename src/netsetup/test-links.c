/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/test-links.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/process.h"
#include "netsetup/netsetup.h"

bool host_begin(void)
{
        return geteuid() == 0 && unshare(CLONE_NEWNET | CLONE_NEWNS) >= 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0 &&
               mount("tmpfs", "/run", "tmpfs", 0, NULL) >= 0 && loopback_up() >= 0;
}

/* ---- guests ------------------------------------------------------------------------------ */

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

void guest_begin(struct guest *guest, const char *machine)
{
        *guest = (struct guest){ .pid = 0, .run = NET_RUN_NULL };
        guest->plan.machine = machine;
        guest->plan.links = guest->links;
}

struct net_link *guest_add(struct guest *guest, enum net_link_kind kind, const char *host,
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

int guest_make(struct guest *guest, struct failure *failure)
{
        *failure = (struct failure){ .error = 0 };
        guest_start(guest);
        return net_run_host(&guest->run, &guest->plan, guest->pid, failure);
}

int guest_do(const struct guest *guest, char what, const char *address)
{
        struct order order = { .what = what };
        int r = -EPIPE;

        if (address)
                assert_int_equal(net_address_parse(address, &order.address), 0);
        assert_true(send(guest->fd, &order, sizeof(order), 0) > 0);
        assert_true(recv(guest->fd, &r, sizeof(r), 0) == (ssize_t) sizeof(r));
        return r;
}

void guest_end(struct guest *guest)
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
void guest_run(struct guest *guest)
{
        struct failure failure;
        int r = guest_make(guest, &failure);

        if (r < 0)
                fail_msg("%s", failure.text);
        assert_int_equal(guest_do(guest, 'g', NULL), 0);
}

/* ---- looking ----------------------------------------------------------------------------- */

struct netlink_link look(int netns_fd, const char *name)
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

bool is_there(const char *name)
{
        return look(-1, name).index > 0;
}

/* A link goes with its namespace, some time after that has lost its last process. */
void wait_until_gone(const char *name)
{
        for (int i = 0; i < 500 && is_there(name); i++)
                (void) poll(NULL, 0, 10);
        assert_false(is_there(name));
}

int reach_from_host(const char *address)
{
        struct net_address a;

        assert_int_equal(net_address_parse(address, &a), 0);
        return reach(&a);
}

void make_host_link(const char *kind, const char *name)
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

void set_alias(const char *name, const char *alias)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };

        assert_int_equal(netlink_open(&nl, &failure), 0);
        netlink_request_link(&nl, RTM_SETLINK, 0, look(-1, name).index, 0, 0, "mark", name);
        netlink_put_text(&nl, IFLA_IFALIAS, alias);
        assert_int_equal(netlink_commit(&nl, &failure), 0);
}

void remove_host_link(const char *name)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure failure = { .error = 0 };

        assert_int_equal(netlink_open(&nl, &failure), 0);
        link_remove(&nl, look(-1, name).index);
}

/* ---- plans ------------------------------------------------------------------------------- */

void parse(const char *text, struct net_address *ret)
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

void add_addresses(struct net_link *link, const char *four, const char *six, const char *gateway4,
                   const char *gateway6)
{
        parse(four, &link->addresses[0]);
        parse(six, &link->addresses[1]);
        link->n_addresses = 2;
        parse(gateway4, &link->gateway4);
        parse(gateway6, &link->gateway6);
        link->host_addresses = link->host_up = link->guest_up = true;
}

struct net_link *plan_host_network(struct guest *guest, const char *machine, const char *host,
                                   const char *four, const char *six)
{
        struct net_link *link;

        guest_begin(guest, machine);
        manage(guest, "10.77.0.0/18", "10.77.0.1/18", "fd00:77::1/64");
        link = guest_add(guest, LINK_VETH, host, "host0");
        add_addresses(link, four, six, "10.77.0.1", "fe80::1");
        return link;
}

struct net_link *plan_zone(struct guest *guest, const char *machine, const char *host,
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
