/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The program libexec/stead/port-proxy; what it does is in port-proxy.h. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/strv.h"
#include "netsetup/port-proxy-loop.h"
#include "netsetup/port-proxy.h"

#define NOBODY 65534
#define MAX_CONNECTIONS 4096
#define MAX_SESSIONS 2048
/* Descriptors for other things than connections, and the fewest that are left for those. */
#define OTHER_DESCRIPTORS 64
#define FDS_EACH_CONNECTION 6
#define SESSIONS_SHARE 4 /* a quarter of the descriptors */

struct settings {
        struct net_address target4, target6;
        bool follow, inside;
        const char *link;
        char *const *ports;
        size_t n_ports;
};

/* ---- the command line -------------------------------------------------------------------- */

static int parse_target(int family, const char *text, struct net_address *ret)
{
        struct net_address a;
        int r = net_address_parse(text, &a);

        if (r < 0 || a.family != family || strchr(text, '/'))
                return -EINVAL;
        *ret = a;
        return 0;
}

static int parse_arguments(int argc, char **argv, struct settings *ret, struct failure *failure)
{
        int i = 1, r = 0;

        for (; i < argc && startswith(argv[i], "--") && r >= 0; i++) {
                const char *value = NULL;

                if (streq(argv[i], "--follow"))
                        ret->follow = true;
                else if (streq(argv[i], "--inside"))
                        ret->follow = ret->inside = true;
                else if ((value = startswith(argv[i], "--target4=")))
                        r = parse_target(AF_INET, value, &ret->target4);
                else if ((value = startswith(argv[i], "--target6=")))
                        r = parse_target(AF_INET6, value, &ret->target6);
                else if ((value = startswith(argv[i], "--link=")))
                        ret->link = value;
                else if (!startswith(argv[i], "--machine="))
                        r = -EINVAL;
        }
        if (r < 0)
                return failure_set(failure, r, "The port proxy does not know '%s'.", argv[i - 1]);
        ret->ports = argv + i;
        ret->n_ports = (size_t) (argc - i);
        return 0;
}

/* "tcp:8080:80" */
static int listen_port(struct proxy *proxy, const char *text, struct failure *failure)
{
        char **parts CLEANUP_STRV = NULL;
        unsigned long host = 0, guest = 0;
        enum net_protocol protocol = NET_TCP;
        int r = strv_split(text, ":", &parts);

        if (r < 0)
                return failure_set(failure, r, "%s.", error_text(r));
        if (strv_length(parts) != 3 || (!streq(parts[0], "tcp") && !streq(parts[0], "udp")) ||
            parse_ulong(parts[1], 1, UINT16_MAX, &host) < 0 ||
            parse_ulong(parts[2], 1, UINT16_MAX, &guest) < 0)
                return failure_set(failure, -EINVAL, "The port proxy does not know '%s'.", text);
        if (streq(parts[0], "udp"))
                protocol = NET_UDP;
        return proxy_listen(proxy, protocol, (uint16_t) host, (uint16_t) guest, failure);
}

/* ---- what is said to the keeper ---------------------------------------------------------- */

static void say(struct proxy *proxy, const char *line)
{
        if (write_all(STDOUT_FILENO, line, strlen(line)) < 0)
                proxy->over = true;
}

static void say_address(struct proxy *proxy, const char *word, const struct net_address *a)
{
        char text[NET_ADDRESS_TEXT_SIZE], line[NET_ADDRESS_TEXT_SIZE + 16];

        (void) snprintf(line, sizeof(line), "%s %s\n", word,
                        a->family == AF_UNSPEC ? "-" : net_address_text(a, text));
        say(proxy, line);
}

/* Events that are not asked for, error and hang-up, come when the reader has gone. */
static void output_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        (void) source;
        if (events & (EPOLLERR | EPOLLHUP))
                proxy->over = true;
}

static void watch_ready(struct proxy *proxy, struct source *source, uint32_t events)
{
        (void) source;
        (void) events;
        proxy->watch_changed = true;
}

void proxy_follow(struct proxy *proxy)
{
        struct net_address best4, best6;

        guest_watch_best(proxy->watch, &best4, &best6);
        if (!net_address_equals(&best4, &proxy->target4)) {
                proxy->target4 = best4;
                say_address(proxy, "address4", &best4);
                udp_forget_all(proxy);
        }
        if (!net_address_equals(&best6, &proxy->target6)) {
                proxy->target6 = best6;
                say_address(proxy, "address6", &best6);
                udp_forget_all(proxy);
        }
}

/* ---- set-up ------------------------------------------------------------------------------ */

static void limit_by_descriptors(struct proxy *proxy, size_t limit)
{
        size_t n = limit - MIN_OF(limit, (size_t) OTHER_DESCRIPTORS + proxy->n_listeners);

        proxy->max_sessions = MAX_OF(MIN_OF(n / SESSIONS_SHARE, (size_t) MAX_SESSIONS), (size_t) 1);
        n -= MIN_OF(n, proxy->max_sessions);
        proxy->max_connections =
                MAX_OF(MIN_OF(n / FDS_EACH_CONNECTION, (size_t) MAX_CONNECTIONS), (size_t) 1);
}

/*
 * Sockets stay in the namespace that they were made in: the ones that listen are the host's, the
 * one that tells of addresses is the machine's, and those that connect are of where we are in the
 * end.
 */
static int follow(struct proxy *proxy, bool inside)
{
        int host_fd CLEANUP_FD = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r;

        if (host_fd < 0 || setns(STDIN_FILENO, CLONE_NEWNET) < 0)
                return -errno;
        r = guest_watch_open(&proxy->watch);
        if (r >= 0 && !inside && setns(host_fd, CLONE_NEWNET) < 0)
                return -errno;
        return r;
}

/* Ports are bound and namespaces joined: nothing below needs a privilege. */
static int drop_root(struct failure *failure)
{
        int r = 0;

        if (geteuid() == 0) {
                if (setgroups(0, NULL) < 0 || setresgid(NOBODY, NOBODY, NOBODY) < 0 ||
                    setresuid(NOBODY, NOBODY, NOBODY) < 0)
                        r = -errno;
                /* In a user namespace that has no such number, root without capabilities is the
                 * least. */
                if (r == -EINVAL || r == -EPERM)
                        r = caps_set(0, 0, 0);
        }
        if (r >= 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = -errno;
        if (r < 0)
                return failure_set(failure, r, "The port proxy cannot drop its privileges: %s.",
                                   error_text(r));
        (void) prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
        return 0;
}

static int start_watching(struct proxy *proxy, struct source *output, struct failure *failure)
{
        int r = 0;

        for (size_t i = 0; i < proxy->n_listeners && r >= 0; i++) {
                struct listener *l = &proxy->listeners[i];

                l->source.owner = l;
                r = proxy_watch(proxy, &l->source, EPOLLIN);
        }
        if (r >= 0 && proxy->watch) {
                proxy->watch_source =
                        (struct source){ .ready = watch_ready, .fd = guest_watch_fd(proxy->watch) };
                r = proxy_watch(proxy, &proxy->watch_source, EPOLLIN | EPOLLET);
        }
        /* What is no pipe, such as a file in a test, has no end. */
        if (r >= 0 && proxy_watch(proxy, output, 0) == -EPERM)
                return 0;
        if (r < 0)
                return failure_set(failure, r, "The port proxy cannot start: %s.", error_text(r));
        return 0;
}

static int start(struct proxy *proxy, const struct settings *settings, struct source *output,
                 struct failure *failure)
{
        /* Each port takes one for each family. */
        size_t limit = fd_raise_limit();
        int r = 0;

        for (size_t i = 0; i < settings->n_ports && r >= 0; i++)
                r = listen_port(proxy, settings->ports[i], failure);
        if (r < 0)
                return r;
        r = settings->follow ? follow(proxy, settings->inside) : 0;
        if (r < 0)
                return failure_set(failure, r,
                                   "The port proxy cannot follow the machine's addresses: %s.",
                                   error_text(r));
        proxy->target4 = settings->target4;
        proxy->target6 = settings->target6;
        proxy->link = settings->link;
        limit_by_descriptors(proxy, limit);
        proxy->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (proxy->epoll_fd < 0 || tcp_table_new(&proxy->tcp) < 0 || udp_table_new(&proxy->udp) < 0)
                return failure_set(failure, -ENOMEM, "The port proxy cannot start: %s.",
                                   error_text(-ENOMEM));
        r = drop_root(failure);
        return r < 0 ? r : start_watching(proxy, output, failure);
}

#ifdef WITH_SANITIZERS
/* Leaks are looked for by attaching to the process at its end, which who has no capability left may not:
 * then it would end with a failure. */
int __lsan_is_turned_off(
        void); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
int __lsan_is_turned_off(
        void) /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
{
        return 1;
}
#endif

int main(int argc, char **argv)
{
        struct sigaction ignore = { .sa_handler = SIG_IGN };
        struct failure failure = { .error = 0 };
        struct settings settings = { .follow = false };
        struct proxy proxy = { .epoll_fd = -1 };
        struct source output = { .ready = output_ready, .fd = STDOUT_FILENO };
        int r;

        (void) sigaction(SIGPIPE, &ignore, NULL);
        r = parse_arguments(argc, argv, &settings, &failure);
        if (r >= 0)
                r = start(&proxy, &settings, &output, &failure);
        if (r < 0) {
                (void) printf("failed %s\n", failure.text);
                (void) fflush(stdout);
                return EXIT_FAILURE;
        }
        say(&proxy, "ready\n");
        if (proxy.watch)
                proxy_follow(&proxy);
        return proxy_run(&proxy) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
