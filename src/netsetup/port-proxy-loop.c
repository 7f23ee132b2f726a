/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-proxy-loop.h"

#include <errno.h>
#include <sys/epoll.h>

#include "basic/clock.h"

#define EVENTS_EACH_TURN 64
/* How long new connections wait when descriptors or memory ran out. */
#define PAUSE_MS 500
/* How often the machine's addresses are looked at, at most. */
#define WATCH_MS 100
/* A look takes the longer the more addresses the machine has; this part of the time is for looks. */
#define WATCH_SHARE 20

int proxy_watch(struct proxy *proxy, struct source *source, uint32_t events)
{
        struct epoll_event event = { .events = events, .data.ptr = source };

        return epoll_ctl(proxy->epoll_fd, EPOLL_CTL_ADD, source->fd, &event) < 0 ? -errno : 0;
}

bool proxy_target(const struct proxy *proxy, int family, uint16_t port,
                  struct sockaddr_storage *ret, socklen_t *ret_size)
{
        bool has4 = proxy->target4.family == AF_INET, has6 = proxy->target6.family == AF_INET6;

        memset(ret, 0, sizeof(*ret));
        if (has4 && (family == AF_INET || !has6)) {
                struct sockaddr_in in4 = { .sin_family = AF_INET,
                                           .sin_port = htons(port),
                                           .sin_addr = proxy->target4.in4 };

                memcpy(ret, &in4, sizeof(in4));
                *ret_size = sizeof(in4);
                return true;
        }
        if (has6) {
                struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                            .sin6_port = htons(port),
                                            .sin6_addr = proxy->target6.in6 };

                memcpy(ret, &in6, sizeof(in6));
                *ret_size = sizeof(in6);
                return true;
        }
        return false;
}

int proxy_connect(const struct proxy *proxy, int fd, const struct sockaddr_storage *address,
                  socklen_t size)
{
        if (proxy->link && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, proxy->link,
                                      (socklen_t) strlen(proxy->link)) < 0)
                return -errno;
        return connect(fd, (const struct sockaddr *) address, size) < 0 && errno != EINPROGRESS
                       ? -errno
                       : 0;
}

static int earlier(int a_ms, int b_ms)
{
        if (a_ms < 0 || b_ms < 0)
                return MAX_OF(a_ms, b_ms);
        return MIN_OF(a_ms, b_ms);
}

/* Looks at the machine's addresses if that is due. Returns in how many milliseconds it is, -1:
 * never. */
static int watch_again(struct proxy *proxy, uint64_t now)
{
        uint64_t end;
        int r;

        if (!proxy->watch_changed)
                return -1;
        if (now < proxy->watch_next)
                return (int) (proxy->watch_next - now);
        r = guest_watch_dispatch(proxy->watch);
        end = clock_now_ms();
        proxy->watch_next = end + MAX_OF((uint64_t) WATCH_MS, (end - now) * WATCH_SHARE);
        /* After a failure, or while there is more to read, once more. */
        proxy->watch_changed = r != 0;
        if (r > 0)
                proxy_follow(proxy);
        return proxy->watch_changed ? (int) (proxy->watch_next - end) : -1;
}

static int turn(struct proxy *proxy, int timeout_ms)
{
        struct epoll_event events[EVENTS_EACH_TURN];
        int n = epoll_wait(proxy->epoll_fd, events, EVENTS_EACH_TURN, timeout_ms);

        if (n < 0)
                return errno == EINTR ? 0 : -errno;
        for (int i = 0; i < n; i++) {
                struct source *source = events[i].data.ptr;

                source->ready(proxy, source, events[i].events);
        }
        return 0;
}

int proxy_run(struct proxy *proxy)
{
        int r = 0, timeout_ms = -1;

        while (r >= 0 && !proxy->over) {
                bool more = false;

                r = turn(proxy, timeout_ms);
                more = tcp_continue(proxy);
                tcp_bury(proxy);
                udp_bury(proxy);
                timeout_ms = udp_expire(proxy, clock_now_ms());
                if (tcp_is_paused(proxy)) {
                        tcp_resume(proxy);
                        timeout_ms = earlier(timeout_ms, PAUSE_MS);
                }
                timeout_ms = earlier(timeout_ms, watch_again(proxy, clock_now_ms()));
                if (more)
                        timeout_ms = 0;
        }
        return r;
}
