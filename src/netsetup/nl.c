/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/nl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"

/* Of one message; the largest of ours, with two nested descriptions of links, has half of that. */
#define REQUEST_SIZE 1024
/* How often the way back from another namespace is tried: the kernel may be out of memory. */
#define WAYS_HOME 5
/* What the kernel fills at once: mostly 16 KiB; but whoever has an interface can give it alternative names
 * of 64 KiB together, which are in one message with the rest. */
#define ANSWER_SIZE (128 * 1024)

struct netlink_request {
        struct nl_msg *message;
        const char *step, *object;
        int tolerated;
        netlink_answer answer;
        void *userdata;
};

/* ---- the socket -------------------------------------------------------------------------- */

int netlink_open(struct netlink *nl, struct failure *failure)
{
        int fd CLEANUP_FD = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE), on = 1;

        if (fd < 0)
                return failure_set(failure, -errno, "Cannot talk to the kernel about links: %s.",
                                   error_text(-errno));
        /* Without it errors have no words; nothing else depends on it. */
        (void) setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
        *nl = (struct netlink){ .fd = TAKE_FD(fd), .sequence = 1 };
        return 0;
}

int netlink_open_in(struct netlink *nl, int netns_fd, struct failure *failure)
{
        int home CLEANUP_FD = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), r;

        if (home < 0)
                return failure_set(failure, -errno, "Cannot open '/proc/self/ns/net': %s.",
                                   error_text(-errno));
        if (setns(netns_fd, CLONE_NEWNET) < 0)
                return failure_set(failure, -errno,
                                   "Cannot enter the container's network namespace: %s.",
                                   error_text(-errno));
        r = netlink_open(nl, failure);
        for (int i = 0; i < WAYS_HOME; i++)
                if (setns(home, CLONE_NEWNET) == 0)
                        return r;
        /* Nothing of the host's may be done in there by mistake. */
        abort();
}

static void forget_requests(struct netlink *nl)
{
        for (size_t i = 0; i < nl->n; i++)
                nlmsg_free(nl->requests[i].message);
        nl->sequence += (uint32_t) nl->n;
        nl->n = 0;
        nl->failed = false;
}

void netlink_done(struct netlink *nl)
{
        forget_requests(nl);
        free(nl->requests);
        nl->requests = NULL;
        nl->size = 0;
        nl->fd = fd_close(nl->fd);
}

/* ---- requests ---------------------------------------------------------------------------- */

static struct nl_msg *last_message(const struct netlink *nl)
{
        return nl->failed ? NULL : nl->requests[nl->n - 1].message;
}

static void note(struct netlink *nl, int r)
{
        if (r < 0)
                nl->failed = true;
}

static bool grow(struct netlink *nl)
{
        struct netlink_request *grown;
        size_t size = MAX_OF(nl->size * 2, (size_t) 8);

        if (nl->n < nl->size)
                return true;
        grown = reallocarray(nl->requests, size, sizeof(*grown));
        if (!grown)
                return false;
        nl->requests = grown;
        nl->size = size;
        return true;
}

void netlink_request(struct netlink *nl, int type, int flags, const void *header, size_t size,
                     const char *step, const char *object)
{
        struct nl_msg *message = nl->failed || !grow(nl) ? NULL : nlmsg_alloc_size(REQUEST_SIZE);

        if (!message) {
                nl->failed = true;
                return;
        }
        nl->requests[nl->n++] =
                (struct netlink_request){ .message = message, .step = step, .object = object };
        if (!nlmsg_put(message, 0, nl->sequence + (uint32_t) nl->n - 1, type, 0,
                       NLM_F_REQUEST | flags))
                nl->failed = true;
        netlink_put_raw(nl, header, size);
}

void netlink_request_link(struct netlink *nl, int type, int flags, int index, unsigned if_flags,
                          unsigned if_change, const char *step, const char *object)
{
        const struct ifinfomsg header = { .ifi_family = AF_UNSPEC,
                                          .ifi_index = index,
                                          .ifi_flags = if_flags,
                                          .ifi_change = if_change };

        netlink_request(nl, type, flags, &header, sizeof(header), step, object);
}

void netlink_put_raw(struct netlink *nl, const void *data, size_t size)
{
        struct nl_msg *message = last_message(nl);
        void *room = message ? nlmsg_reserve(message, size, NLMSG_ALIGNTO) : NULL;

        if (room)
                memcpy(room, data, size);
        else
                nl->failed = true;
}

void netlink_put(struct netlink *nl, int type, const void *data, size_t size)
{
        struct nl_msg *message = last_message(nl);

        if (message)
                note(nl, nla_put(message, type, (int) size, data));
}

void netlink_put_u8(struct netlink *nl, int type, uint8_t value)
{
        netlink_put(nl, type, &value, sizeof(value));
}

void netlink_put_u32(struct netlink *nl, int type, uint32_t value)
{
        netlink_put(nl, type, &value, sizeof(value));
}

void netlink_put_text(struct netlink *nl, int type, const char *text)
{
        netlink_put(nl, type, text, strlen(text) + 1);
}

struct nlattr *netlink_nest(struct netlink *nl, int type)
{
        struct nl_msg *message = last_message(nl);
        struct nlattr *nest = message ? nla_nest_start(message, type) : NULL;

        if (!nest)
                nl->failed = true;
        return nest;
}

void netlink_nest_end(struct netlink *nl, struct nlattr *nest)
{
        struct nl_msg *message = last_message(nl);

        if (message)
                note(nl, nla_nest_end_keep_empty(message, nest));
}

void netlink_tolerate(struct netlink *nl, int error)
{
        if (!nl->failed)
                nl->requests[nl->n - 1].tolerated = error;
}

void netlink_on_answer(struct netlink *nl, netlink_answer answer, void *userdata)
{
        if (nl->failed)
                return;
        nl->requests[nl->n - 1].answer = answer;
        nl->requests[nl->n - 1].userdata = userdata;
}

/* ---- the conversation -------------------------------------------------------------------- */

static int send_all(struct netlink *nl)
{
        size_t size = 0, at = 0;
        char *bytes CLEANUP_FREE = NULL;
        ssize_t n;

        for (size_t i = 0; i < nl->n; i++)
                size += NLMSG_ALIGN(nlmsg_hdr(nl->requests[i].message)->nlmsg_len);
        bytes = calloc(1, size);
        if (!bytes)
                return -ENOMEM;
        for (size_t i = 0; i < nl->n; i++) {
                struct nlmsghdr *header = nlmsg_hdr(nl->requests[i].message);

                /* A dump is ended by a message of its own. */
                if (i + 1 == nl->n && (header->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
                        header->nlmsg_flags |= NLM_F_ACK;
                memcpy(bytes + at, header, header->nlmsg_len);
                at += NLMSG_ALIGN(header->nlmsg_len);
        }
        do
                n = send(nl->fd, bytes, size, 0);
        while (n < 0 && errno == EINTR);
        return n < 0 ? -errno : 0;
}

/* One datagram of the kernel's: others cannot be told apart but by their sender. */
static ssize_t receive(const struct netlink *nl, void *buffer, size_t size)
{
        for (;;) {
                struct sockaddr_nl from = { .nl_pid = 0 };
                socklen_t length = sizeof(from);
                ssize_t n = recvfrom(nl->fd, buffer, size, MSG_DONTWAIT | MSG_TRUNC,
                                     (struct sockaddr *) &from, &length);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0) /* the kernel has answered when send(2) returns */
                        return errno == EAGAIN ? -EPROTO : -errno;
                if (from.nl_pid != 0)
                        continue;
                return (size_t) n > size ? -EMSGSIZE : n;
        }
}

/* The kernel's own words, as they are behind the request that an error quotes. */
static const char *words_of(struct nlmsghdr *message)
{
        const struct nlmsgerr *error = nlmsg_data(message);
        int offset = (int) sizeof(*error);
        const struct nlattr *text;

        if (!(message->nlmsg_flags & NLM_F_ACK_TLVS))
                return NULL;
        if (!(message->nlmsg_flags & NLM_F_CAPPED))
                offset += (int) NLMSG_ALIGN(error->msg.nlmsg_len - NLMSG_HDRLEN);
        if (nlmsg_datalen(message) < offset)
                return NULL;
        text = nlmsg_find_attr(message, offset, NLMSGERR_ATTR_MSG);
        return text && strnlen(nla_data(text), (size_t) nla_len(text)) < (size_t) nla_len(text)
                       ? nla_get_string(text)
                       : NULL;
}

static int tell(struct failure *failure, const struct netlink_request *request, int error,
                const char *words)
{
        bool named = request->object && request->object[0];

        if (!failure)
                return error;
        return failure_set(failure, error, "Cannot %s%s%s%s: %s%s%s%s.", request->step,
                           named ? " '" : "", named ? request->object : "", named ? "'" : "",
                           error_text(error), words ? " (" : "", words ? words : "",
                           words ? ")" : "");
}

struct outcome {
        int error; /* the first one */
        bool ended;
};

static void take_message(const struct netlink *nl, struct nlmsghdr *message, struct outcome *out,
                         struct failure *failure)
{
        size_t i = message->nlmsg_seq - nl->sequence;
        const struct netlink_request *request;
        const char *words = NULL;
        int r = 0;

        if (i >= nl->n) /* of an earlier batch that was given up */
                return;
        request = &nl->requests[i];
        if (message->nlmsg_type == NLMSG_ERROR && nlmsg_datalen(message) >= (int) sizeof(int)) {
                r = *(const int *) nlmsg_data(message);
                words = words_of(message);
                out->ended |= i + 1 == nl->n;
        } else if (message->nlmsg_type == NLMSG_DONE) {
                if (nlmsg_datalen(message) >= (int) sizeof(int))
                        r = *(const int *) nlmsg_data(message);
                out->ended |= i + 1 == nl->n;
        } else if (request->answer && out->error <= 0)
                r = request->answer(message, request->userdata);
        if (r != 0 && r != request->tolerated && out->error == 0)
                out->error = r < 0 ? tell(failure, request, r, words) : r;
}

int netlink_commit(struct netlink *nl, struct failure *failure)
{
        static const struct netlink_request whole = { .step = "talk to the kernel about links" };
        _Alignas(struct nlmsghdr) char buffer[ANSWER_SIZE];
        struct outcome out = { .error = 0 };
        ssize_t n = 0;
        int r = nl->failed ? -ENOMEM : nl->n > 0 ? send_all(nl) : 0;

        if (nl->n == 0)
                out.ended = true;
        while (r >= 0 && !out.ended) {
                struct nlmsghdr *message = (void *) buffer;
                int left;

                n = receive(nl, buffer, sizeof(buffer));
                r = (int) n;
                for (left = (int) n; left > 0 && nlmsg_ok(message, left);
                     message = nlmsg_next(message, &left))
                        take_message(nl, message, &out, failure);
        }
        forget_requests(nl);
        return r < 0 ? tell(failure, &whole, r, NULL) : out.error;
}

/* ---- links ------------------------------------------------------------------------------- */

static void read_kind(struct nlattr *info, char *ret, size_t size)
{
        struct nlattr *parts[IFLA_INFO_MAX + 1];

        if (info && nla_parse_nested(parts, IFLA_INFO_MAX, info, NULL) >= 0 &&
            parts[IFLA_INFO_KIND])
                (void) nla_strlcpy(ret, parts[IFLA_INFO_KIND], size);
}

static bool read_mac(const struct nlattr *from, uint8_t ret[MAC_SIZE])
{
        if (!from || nla_len(from) != MAC_SIZE)
                return false;
        memcpy(ret, nla_data(from), MAC_SIZE);
        return true;
}

int netlink_read_link(struct nlmsghdr *message, struct netlink_link *ret)
{
        struct nlattr *parts[IFLA_MAX + 1];
        const struct ifinfomsg *header = nlmsg_data(message);

        *ret = (struct netlink_link){ .index = 0 };
        if (message->nlmsg_type != RTM_NEWLINK ||
            nlmsg_parse(message, sizeof(*header), parts, IFLA_MAX, NULL) < 0 || !parts[IFLA_IFNAME])
                return -EPROTO;
        ret->index = header->ifi_index;
        ret->flags = header->ifi_flags;
        (void) nla_strlcpy(ret->name, parts[IFLA_IFNAME], sizeof(ret->name));
        if (parts[IFLA_IFALIAS])
                (void) nla_strlcpy(ret->alias, parts[IFLA_IFALIAS], sizeof(ret->alias));
        if (parts[IFLA_MASTER])
                ret->master = (int) nla_get_u32(parts[IFLA_MASTER]);
        if (parts[IFLA_LINK])
                ret->lower = (int) nla_get_u32(parts[IFLA_LINK]);
        ret->lower_elsewhere = parts[IFLA_LINK_NETNSID] != NULL;
        if (parts[IFLA_MTU])
                ret->mtu = nla_get_u32(parts[IFLA_MTU]);
        ret->has_mac = read_mac(parts[IFLA_ADDRESS], ret->mac);
        ret->has_permanent_mac = read_mac(parts[IFLA_PERM_ADDRESS], ret->permanent_mac);
        read_kind(parts[IFLA_LINKINFO], ret->kind, sizeof(ret->kind));
        return 0;
}

static int keep_link(struct nlmsghdr *message, void *userdata)
{
        return netlink_read_link(message, userdata);
}

void netlink_ask_link(struct netlink *nl, int index, const char *name, struct netlink_link *ret)
{
        *ret = (struct netlink_link){ .index = 0 };
        netlink_request_link(nl, RTM_GETLINK, 0, index, 0, 0, "look for the interface", name);
        netlink_put_u32(nl, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        if (index == 0)
                netlink_put_text(nl, IFLA_IFNAME, name);
        netlink_on_answer(nl, keep_link, ret);
        netlink_tolerate(nl, -ENODEV);
}

int netlink_find(struct netlink *nl, int index, const char *name, struct netlink_link *ret,
                 struct failure *failure)
{
        int r;

        netlink_ask_link(nl, index, name, ret);
        r = netlink_commit(nl, failure);
        /* The kernel also takes an alternative name, which may be another's. */
        if (r >= 0 && index == 0 && !streq(ret->name, name))
                ret->index = 0;
        return r;
}

int netlink_for_each(struct netlink *nl, const char *kind, int master, netlink_answer answer,
                     void *userdata, struct failure *failure)
{
        netlink_request_link(nl, RTM_GETLINK, NLM_F_DUMP, 0, 0, 0, "list interfaces", NULL);
        netlink_put_u32(nl, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        if (master)
                netlink_put_u32(nl, IFLA_MASTER, (uint32_t) master);
        if (kind) {
                struct nlattr *info = netlink_nest(nl, IFLA_LINKINFO);

                netlink_put_text(nl, IFLA_INFO_KIND, kind);
                netlink_nest_end(nl, info);
        }
        netlink_on_answer(nl, answer, userdata);
        return netlink_commit(nl, failure);
}
