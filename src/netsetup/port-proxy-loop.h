/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include "basic/failure.h"
#include "netsetup/guest-address.h"
#include "netsetup/net-config.h"

/*
 * The inside of the port proxy (port-proxy.h is what others see). One process, one epoll loop,
 * nothing that blocks. Everything that can be readable is a struct source with a function; .owner
 * is what it belongs to.
 */

struct proxy;

struct source {
        void (*ready)(struct proxy *proxy, struct source *source, uint32_t events);
        void *owner;
        int fd;
};

/* A published port at one address of the host. */
struct listener {
        struct source source;
        enum net_protocol protocol;
        int family;
        uint16_t host_port, guest_port;
};

struct proxy {
        int epoll_fd;
        struct net_address target4, target6; /* .family 0: none */
        const char *link;                    /* that they have to be behind of; NULL: any */
        struct listener *listeners;
        size_t n_listeners;
        size_t max_connections, max_sessions;
        struct tcp_table *tcp;
        struct udp_table *udp;
        struct guest_watch *watch; /* NULL: the targets are fixed */
        struct source watch_source;
        bool watch_changed;
        uint64_t
                watch_next; /* a container that changes addresses all the time does not keep us busy */
        bool over;          /* nobody needs us any more */
};

/* Has @source looked at for @events of epoll_ctl(2). */
int proxy_watch(struct proxy *proxy, struct source *source, uint32_t events);

/* The machine's address and port for a client of @family; false if it has none. */
bool proxy_target(const struct proxy *proxy, int family, uint16_t port,
                  struct sockaddr_storage *ret, socklen_t *ret_size);

/* Connects @fd, or begins to, to what proxy_target() said. Returns 0 or a negative errno. */
int proxy_connect(const struct proxy *proxy, int fd, const struct sockaddr_storage *address,
                  socklen_t size);

/* Runs until .over. */
int proxy_run(struct proxy *proxy);

/* Takes over what .watch knows, and tells the keeper (port-proxy-main.c). */
void proxy_follow(struct proxy *proxy);

/* port-proxy-listen.c: binds one port at all addresses of the host; the sockets are added to
 * proxy->listeners. */
int proxy_listen(struct proxy *proxy, enum net_protocol protocol, uint16_t host_port,
                 uint16_t guest_port, struct failure *failure);

/* port-proxy-tcp.c */
int tcp_table_new(struct tcp_table **ret);
void tcp_listener_ready(struct proxy *proxy, struct source *source, uint32_t events);
/* Goes on with connections that had their share of a turn. True: there is more to do, do not
 * sleep. */
bool tcp_continue(struct proxy *proxy);
/* Frees what was closed; when no event of the turn can point to it any more. */
void tcp_bury(struct proxy *proxy);
/* Whether new connections wait for something that only time brings. */
bool tcp_is_paused(const struct proxy *proxy);
void tcp_resume(struct proxy *proxy);

/* port-proxy-udp.c */
int udp_table_new(struct udp_table **ret);
void udp_listener_ready(struct proxy *proxy, struct source *source, uint32_t events);
/* Ends sessions that nobody used for a while. Returns in how many milliseconds there is more, -1:
 * never. */
int udp_expire(struct proxy *proxy, uint64_t now);
/* The target changed: sessions of the old one end. */
void udp_forget_all(struct proxy *proxy);
void udp_bury(struct proxy *proxy);
