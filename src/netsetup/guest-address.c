/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/guest-address.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>

/* ---- which one is the best --------------------------------------------------------------- */

/* Those that mean the host itself, or many, wherever they are used. The scope is of the container's choice. */
static bool is_special4(uint32_t a)
{
        return a >> 24 == 0 || a >> 24 == 127 || a >> 16 == 0xa9fe || a >> 28 >= 14;
}

static bool is_special6(const struct in6_addr *a)
{
        return IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_LOOPBACK(a) || IN6_IS_ADDR_MULTICAST(a) ||
               IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_V4MAPPED(a);
}

bool guest_address_is_usable(const struct guest_address *a)
{
        if (a->address.family != AF_INET && a->address.family != AF_INET6)
                return false;
        if (a->address.family == AF_INET ? is_special4(ntohl(a->address.in4.s_addr))
                                         : is_special6(&a->address.in6))
                return false;
        /* Scopes are the wider the smaller their numbers: universe, site, link, host, nowhere. */
        return a->scope < RT_SCOPE_LINK && !(a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED));
}

/* Small is good. */
static int rank(const struct guest_address *a)
{
        int n = 0;

        if (a->flags & IFA_F_DEPRECATED)
                n += 8;
        /* Addresses for privacy change, and are for going out. For IPv4 the same bit means "one
         * more of the same subnet". */
        if (a->flags & IFA_F_TEMPORARY)
                n += 4;
        if (a->scope != RT_SCOPE_UNIVERSE)
                n += 2;
        return n;
}

bool guest_address_is_better(const struct guest_address *a, const struct guest_address *b)
{
        if (rank(a) != rank(b))
                return rank(a) < rank(b);
        if (a->ifindex != b->ifindex)
                return a->ifindex < b->ifindex;
        if (a->address.family == AF_INET)
                return memcmp(&a->address.in4, &b->address.in4, sizeof(a->address.in4)) < 0;
        return memcmp(&a->address.in6, &b->address.in6, sizeof(a->address.in6)) < 0;
}

/* ---- following them ---------------------------------------------------------------------- */

/* An address that comes or goes leads to a dump; a container that changes them all the time, or has
 * thousands, keeps only itself from being reached: what a dump may say is limited. */
#define MAX_DUMP_MESSAGES 2048

struct guest_watch {
        struct nl_sock *events, *questions; /* both of the namespace that we were in then */
        struct guest_address best4, best6;
};

static int event_message(struct nl_msg *message, void *data)
{
        (void) message;
        *(bool *) data = true;
        return NL_OK;
}

/* libnl's numbers are not errno's. */
static int nl_to_errno(int error)
{
        return error == -NLE_NOMEM ? -ENOMEM : error == -NLE_AGAIN ? -EAGAIN : -EIO;
}

struct dump_state {
        struct guest_address best4, best6;
        unsigned n;
};

static void consider(const struct guest_address *a, struct guest_address *best)
{
        if (best->address.family == AF_UNSPEC || guest_address_is_better(a, best))
                *best = *a;
}

/* Reads one RTM_NEWADDR (rtnetlink(7)). */
static bool read_address(struct nlmsghdr *header, struct guest_address *ret)
{
        struct nlattr *attributes[IFA_MAX + 1], *local;
        struct ifaddrmsg *body = nlmsg_data(header);

        if (header->nlmsg_type != RTM_NEWADDR ||
            nlmsg_parse(header, sizeof(*body), attributes, IFA_MAX, NULL) < 0)
                return false;
        *ret = (struct guest_address){ .scope = body->ifa_scope,
                                       .flags = body->ifa_flags,
                                       .ifindex = (int) body->ifa_index };
        if (attributes[IFA_FLAGS] && nla_len(attributes[IFA_FLAGS]) >= (int) sizeof(uint32_t))
                ret->flags = nla_get_u32(attributes[IFA_FLAGS]);
        /* With a peer's address, IFA_ADDRESS is the peer's. */
        local = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
        if (!local)
                return false;
        if (body->ifa_family == AF_INET && nla_len(local) == sizeof(struct in_addr)) {
                ret->address.family = AF_INET;
                ret->address.prefix = 32;
                memcpy(&ret->address.in4, nla_data(local), sizeof(struct in_addr));
                return true;
        }
        if (body->ifa_family == AF_INET6 && nla_len(local) == sizeof(struct in6_addr)) {
                ret->address.family = AF_INET6;
                ret->address.prefix = 128;
                memcpy(&ret->address.in6, nla_data(local), sizeof(struct in6_addr));
                return true;
        }
        return false;
}

static int dump_message(struct nl_msg *message, void *data)
{
        struct dump_state *state = data;
        struct guest_address a;

        /* To the end, or else the rest would be the next answer. */
        if (state->n++ >= MAX_DUMP_MESSAGES)
                return NL_SKIP;
        if (read_address(nlmsg_hdr(message), &a) && guest_address_is_usable(&a))
                consider(&a, a.address.family == AF_INET ? &state->best4 : &state->best6);
        return NL_OK;
}

/* Asks for all addresses. The kernel has the whole answer ready: this does not wait for the container. */
static int look(struct guest_watch *watch)
{
        struct rtgenmsg body = { .rtgen_family = AF_UNSPEC };
        struct dump_state state = { .n = 0 };
        int r = nl_socket_modify_cb(watch->questions, NL_CB_VALID, NL_CB_CUSTOM, dump_message,
                                    &state);

        if (r >= 0)
                r = nl_send_simple(watch->questions, RTM_GETADDR, NLM_F_DUMP, &body, sizeof(body));
        if (r >= 0)
                r = nl_recvmsgs_default(watch->questions);
        if (r < 0)
                return nl_to_errno(r);
        watch->best4 = state.best4;
        watch->best6 = state.best6;
        return 0;
}

static int open_sockets(struct guest_watch *watch)
{
        int r;

        watch->events = nl_socket_alloc();
        watch->questions = nl_socket_alloc();
        if (!watch->events || !watch->questions)
                return -ENOMEM;
        nl_socket_disable_seq_check(watch->events);
        r = nl_connect(watch->questions, NETLINK_ROUTE);
        if (r >= 0)
                r = nl_connect(watch->events, NETLINK_ROUTE);
        if (r >= 0)
                r = nl_socket_set_nonblocking(watch->events);
        if (r >= 0)
                r = nl_socket_add_memberships(watch->events, RTNLGRP_IPV4_IFADDR,
                                              RTNLGRP_IPV6_IFADDR, RTNLGRP_NONE);
        return r < 0 ? nl_to_errno(r) : 0;
}

int guest_watch_open(struct guest_watch **ret)
{
        struct guest_watch *watch = calloc(1, sizeof(*watch));
        int r;

        if (!watch)
                return -ENOMEM;
        r = open_sockets(watch);
        if (r >= 0)
                r = look(watch);
        if (r < 0) {
                guest_watch_close(watch);
                return r;
        }
        *ret = watch;
        return 0;
}

void guest_watch_close(struct guest_watch *watch)
{
        if (!watch)
                return;
        nl_socket_free(watch->questions);
        nl_socket_free(watch->events);
        free(watch);
}

int guest_watch_fd(const struct guest_watch *watch)
{
        return nl_socket_get_fd(watch->events);
}

int guest_watch_dispatch(struct guest_watch *watch)
{
        bool changed = false;
        int r;

        r = nl_socket_modify_cb(watch->events, NL_CB_VALID, NL_CB_CUSTOM, event_message, &changed);
        for (int i = 0; i < 64 && r >= 0; i++)
                r = nl_recvmsgs_default(watch->events);
        /* Anything else than "no more" is that events were lost: looking is right, too. */
        if (r < 0 && r != -NLE_AGAIN)
                changed = true;
        if (!changed)
                return 0;
        r = look(watch);
        return r < 0 ? r : 1;
}

void guest_watch_best(const struct guest_watch *watch, struct net_address *ret4,
                      struct net_address *ret6)
{
        *ret4 = watch->best4.address;
        *ret6 = watch->best6.address;
}
