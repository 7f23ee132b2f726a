/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "basic/failure.h"
#include "netsetup/net-config.h"

/*
 * A conversation with the kernel about links, addresses and routes (rtnetlink(7)). Messages are made and
 * read with libnl-3; the socket is our own, since libnl's makes six system calls before its first message.
 *
 * Requests are collected and sent in one go, and only the last one is acknowledged: a conversation without
 * a failure is one send and one receive, however many requests it has. The kernel goes on after a request
 * that failed; so what is about a link that may turn out not to be ours does not belong into its batch.
 */
struct netlink {
        int fd;
        uint32_t sequence; /* of the first request in the batch */
        struct netlink_request *requests;
        size_t n, size;
        bool failed; /* no memory; netlink_commit() says so */
};

#define NETLINK_NULL                                                                               \
        {                                                                                          \
                .fd = -1                                                                           \
        }
#define CLEANUP_NETLINK CLEANUP(netlink_done)

/* In the caller's network namespace. */
int netlink_open(struct netlink *nl, struct failure *failure);
/* In the namespace @netns_fd; the caller is back in its own one when this returns. */
int netlink_open_in(struct netlink *nl, int netns_fd, struct failure *failure);
void netlink_done(struct netlink *nl);

/*
 * Begins a request of @type with its fixed header; the functions below add to it. If it fails, the
 * sentence is "Cannot STEP 'OBJECT': REASON."; both are borrowed until the batch was sent.
 */
void netlink_request(struct netlink *nl, int type, int flags, const void *header, size_t size,
                     const char *step, const char *object);
/* The same for the link @index (0: one that is new, or is told by its name), whose @if_change flags
 * become as in @if_flags (IFF_UP). */
void netlink_request_link(struct netlink *nl, int type, int flags, int index, unsigned if_flags,
                          unsigned if_change, const char *step, const char *object);

void netlink_put(struct netlink *nl, int type, const void *data, size_t size);
void netlink_put_u8(struct netlink *nl, int type, uint8_t value);
void netlink_put_u32(struct netlink *nl, int type, uint32_t value);
void netlink_put_text(struct netlink *nl, int type, const char *text);
/* Bytes without a header of their own. */
void netlink_put_raw(struct netlink *nl, const void *data, size_t size);
/* What is put between the two is inside of the attribute @type. */
struct nlattr *netlink_nest(struct netlink *nl, int type);
void netlink_nest_end(struct netlink *nl, struct nlattr *nest);

/* It is no failure if the last request fails with @error, a negative errno. */
void netlink_tolerate(struct netlink *nl, int error);

/* Each message that answers the last request goes to @answer; a result other than 0 ends that and becomes
 * the request's error. */
typedef int (*netlink_answer)(struct nlmsghdr *message, void *userdata);
void netlink_on_answer(struct netlink *nl, netlink_answer answer, void *userdata);

/*
 * Sends what was collected. Returns 0, or the error of the first request that failed, with the kernel's
 * own words in the sentence; without @failure there is none.
 */
int netlink_commit(struct netlink *nl, struct failure *failure);

/* What is known of a link. */
struct netlink_link {
        int index; /* 0: there is no such link */
        int master, lower;
        bool lower_elsewhere; /* .lower is a number of another network namespace */
        unsigned flags, mtu;
        char name[LINK_NAME_SIZE];
        char kind[32]; /* "veth"; "": hardware, and the like */
        char alias[IFALIASZ];
        uint8_t mac[MAC_SIZE], permanent_mac[MAC_SIZE];
        bool has_mac, has_permanent_mac;
};

/* Adds a request for the link @index or, if that is 0, @name (not an alternative name), to the batch. */
void netlink_ask_link(struct netlink *nl, int index, const char *name, struct netlink_link *ret);

/* Asks for one link, without a look at the others; .index of @ret is 0 if there is none. */
int netlink_find(struct netlink *nl, int index, const char *name, struct netlink_link *ret,
                 struct failure *failure);

int netlink_read_link(struct nlmsghdr *message, struct netlink_link *ret);

/* Asks for all links of @kind (NULL: any) that have the master @master (0: any); the kernel leaves out the
 * others. Not for the launch path. */
int netlink_for_each(struct netlink *nl, const char *kind, int master, netlink_answer answer,
                     void *userdata, struct failure *failure);
