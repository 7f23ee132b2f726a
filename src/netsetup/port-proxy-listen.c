/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/port-holder.h"
#include "netsetup/port-proxy-loop.h"

/* Not in every C library's <netinet/in.h>; ipv6(7). */
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

static int set_option(int fd, int level, int name, int value)
{
        return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

/* What the answers to datagrams need: the address that was asked. Groups that somebody else on the
 * host has joined are not meant for us. */
static int set_datagram_options(int fd, int family)
{
        int r;

        if (family == AF_INET) {
                (void) set_option(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0);
                r = set_option(fd, IPPROTO_IP, IP_PKTINFO, 1);
        } else {
                (void) set_option(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
                r = set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        }
        return r;
}

/* A socket that is bound to @address and listens, or a negative errno. */
static int bind_socket(enum net_protocol protocol, const struct sockaddr *address, socklen_t size)
{
        int family = address->sa_family, r = 0;
        int type = protocol == NET_TCP ? SOCK_STREAM : SOCK_DGRAM;
        int fd CLEANUP_FD = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (family == AF_INET6)
                r = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
        /* For datagrams it would mean that two may have the same port. */
        if (r >= 0 && protocol == NET_TCP)
                r = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (r >= 0 && protocol == NET_UDP)
                r = set_datagram_options(fd, family);
        if (r < 0)
                return r;
        if (bind(fd, address, size) < 0 || (protocol == NET_TCP && listen(fd, SOMAXCONN) < 0))
                return -errno;
        return TAKE_FD(fd);
}

/* Takes @fd. */
static int add_listener(struct proxy *proxy, const struct listener *like, int fd)
{
        size_t n = proxy->n_listeners;
        struct listener *list = realloc(proxy->listeners, (n + 1) * sizeof(*list));

        if (!list) {
                fd_close(fd);
                return -ENOMEM;
        }
        list[n] = *like;
        list[n].source.fd = fd;
        proxy->listeners = list;
        proxy->n_listeners++;
        return 0;
}

static int listen_at(struct proxy *proxy, const struct listener *like,
                     const struct sockaddr *address, socklen_t size)
{
        int fd = bind_socket(like->protocol, address, size);

        return fd < 0 ? fd : add_listener(proxy, like, fd);
}

/* At each of the host's addresses that nobody has this port at, but those that are for a link only.
 * Returns how many those are, or a negative errno. */
static int listen_at_each(struct proxy *proxy, const struct listener *like)
{
        struct ifaddrs *list = NULL;
        int n = 0, r = 0;

        if (getifaddrs(&list) < 0)
                return -errno;
        for (const struct ifaddrs *i = list; i && r >= 0; i = i->ifa_next) {
                struct sockaddr_in in4;
                struct sockaddr_in6 in6;

                if (!i->ifa_addr || i->ifa_addr->sa_family != like->family)
                        continue;
                if (like->family == AF_INET) {
                        memcpy(&in4, i->ifa_addr, sizeof(in4));
                        in4.sin_port = htons(like->host_port);
                        r = listen_at(proxy, like, (const struct sockaddr *) &in4, sizeof(in4));
                } else {
                        memcpy(&in6, i->ifa_addr, sizeof(in6));
                        /* It may be that of a link which the other is about to listen at. */
                        if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr))
                                continue;
                        in6.sin6_port = htons(like->host_port);
                        r = listen_at(proxy, like, (const struct sockaddr *) &in6, sizeof(in6));
                }
                n += r >= 0;
                if (r == -EADDRINUSE || r == -EADDRNOTAVAIL)
                        r = 0;
        }
        freeifaddrs(list);
        return r < 0 ? r : n;
}

static int listen_at_all(struct proxy *proxy, const struct listener *like)
{
        struct sockaddr_in in4 = { .sin_family = AF_INET, .sin_port = htons(like->host_port) };
        struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
                                    .sin6_port = htons(like->host_port),
                                    .sin6_addr = IN6ADDR_ANY_INIT };

        if (like->family == AF_INET)
                return listen_at(proxy, like, (const struct sockaddr *) &in4, sizeof(in4));
        return listen_at(proxy, like, (const struct sockaddr *) &in6, sizeof(in6));
}

static int listen_family(struct proxy *proxy, const struct listener *like, struct failure *failure)
{
        const char *protocol = like->protocol == NET_TCP ? "TCP" : "UDP";
        struct port_holder holder;
        int r = listen_at_all(proxy, like), n = 0;

        if (r >= 0 || (r == -EAFNOSUPPORT && like->family == AF_INET6))
                return 0;
        if (r != -EADDRINUSE)
                return failure_set(failure, r, "Cannot publish the host's %s port %u: %s.",
                                   protocol, like->host_port, error_text(r));
        port_holder_find(like->protocol, like->host_port, &holder);
        /* A name server at the address of one link, and the like, leave the other addresses to
         * us. */
        if (holder.is_known && !holder.has_all)
                n = listen_at_each(proxy, like);
        if (n > 0)
                return 0;
        return failure_set(
                failure, r,
                "Cannot publish the host's %s port %u: it is in use by %s. Publish another "
                "port, or end what uses this one.",
                protocol, like->host_port, holder.text);
}

int proxy_listen(struct proxy *proxy, enum net_protocol protocol, uint16_t host_port,
                 uint16_t guest_port, struct failure *failure)
{
        struct listener like = {
                .source = { .ready =
                                    protocol == NET_TCP ? tcp_listener_ready : udp_listener_ready },
                .protocol = protocol,
                .family = AF_INET,
                .host_port = host_port,
                .guest_port = guest_port,
        };
        int r = listen_family(proxy, &like, failure);

        if (r < 0)
                return r;
        like.family = AF_INET6;
        return listen_family(proxy, &like, failure);
}
