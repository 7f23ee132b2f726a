/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"
#include "netsetup/net-config.h"

/*
 * Published ports by a process instead of by the kernel: libexec/stead/port-proxy, one for each
 * machine with published ports. It listens on all of the host's addresses, IPv4 and IPv6, the
 * loopback ones too. Where the kernel redirects a connection (firewall.h), that comes first and the
 * proxy never sees it; what it gets is the rest: 127.0.0.1 and ::1, which no rule can redirect
 * without route_localnet, and everything while firewall_set_ports() is off. The machine sees the
 * host's end of the link as the client.
 *
 *   port-proxy [--machine=NAME] [--target4=ADDRESS] [--target6=ADDRESS] [--follow|--inside]
 *              [--link=NAME] PORT…
 *
 * PORT is "tcp:8080:80", host's and machine's. A client of either family reaches the machine's
 * address of that family, or if there is none, of the other.
 *
 * With --follow standard input is the machine's network namespace or a pidfd of its leader, and
 * the proxy finds the machine's best addresses there (guest-address.h), and follows them. With
 * --inside it also connects from there: for machines that the host cannot reach itself (macvlan,
 * ipvlan, interfaces that were moved in). They see a client with their own address then.
 *
 * With --link it connects out of this interface of the host only. A machine can give itself any
 * address; without that, one of the host's own, 127.0.0.1 too, or of a neighbour of the host would
 * have whoever may reach the published port reach that instead.
 *
 * The ports are bound before it drops root. A port that others hold at single addresses only (a
 * name server on the gateway's address; it has to be there first) is bound at each other address
 * that the host has then.
 *
 * Standard output takes lines: first "ready" or "failed SENTENCE"; then, when it follows the
 * machine's address, "address4 A" and "address6 A" whenever that changes, with "-" for none. When
 * nobody reads them any more the proxy ends, so that it never outlives its keeper.
 */
struct port_proxy_config {
        const char *machine;
        struct net_address target4, target6; /* .family 0: none; not with .netns_fd */
        int netns_fd;                        /* or a pidfd; negative: the targets are fixed */
        bool inside;                         /* connect from there */
        const char *link;                    /* its link on the host, when not .inside; or NULL */
        const struct net_port *ports;
        size_t n_ports;
};

/*
 * Starts the proxy. @ret_pidfd is for process_wait(), @ret_status_fd is the read end of its lines,
 * not blocking; both are the caller's to close, and closing the second ends it.
 */
int port_proxy_spawn(const struct port_proxy_config *config, int *ret_pidfd, int *ret_status_fd,
                     struct failure *failure);

enum port_proxy_event_kind {
        PORT_PROXY_NOTHING, /* not a whole line yet */
        PORT_PROXY_READY,
        PORT_PROXY_FAILED,  /* .text says why */
        PORT_PROXY_ADDRESS, /* .address is the machine's; its prefix is the whole address */
        PORT_PROXY_LOST,    /* .family has no address any more */
        PORT_PROXY_ENDED,   /* the proxy is gone */
};

struct port_proxy_event {
        enum port_proxy_event_kind kind;
        int family;
        struct net_address address;
        char text[960];
};

/* What was read and is not a whole line yet. */
struct port_proxy_reader {
        char buffer[1024];
        size_t length;
};

/* The next event from @status_fd; never waits. PORT_PROXY_NOTHING: call again when it is readable.
 * Returns 0 or a negative errno (-EPROTO: not a line of the proxy's). */
int port_proxy_read(struct port_proxy_reader *reader, int status_fd, struct port_proxy_event *ret);
