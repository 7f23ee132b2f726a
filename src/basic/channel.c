/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/channel.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "basic/fd.h"

/* What goes over the wire is the struct up to the end of its text. */
static size_t message_size(const struct channel_message *m)
{
        return offsetof(struct channel_message, text) + strnlen(m->text, CHANNEL_MAX_TEXT - 1) + 1;
}

int channel_pair(int *ret_a, int *ret_b)
{
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return -errno;
        *ret_a = fds[0];
        *ret_b = fds[1];
        return 0;
}

int channel_send(int fd, const struct channel_message *message, const int *fds, size_t n_fds)
{
        char control[CMSG_SPACE(sizeof(int) * CHANNEL_MAX_FDS)] __attribute__((aligned(8))) = { 0 };
        struct iovec iov = { .iov_base = (void *) message, .iov_len = message_size(message) };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };

        if (n_fds > CHANNEL_MAX_FDS)
                return -E2BIG;
        if (n_fds > 0) {
                struct cmsghdr *c;

                header.msg_control = control;
                header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&header);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
        }
        while (sendmsg(fd, &header, MSG_NOSIGNAL) < 0)
                if (errno != EINTR)
                        return -errno;
        return 0;
}

/* Stores what descriptors came along; closes those for which there is no room. */
static int take_fds(struct msghdr *header, int *fds, size_t max_fds, size_t *ret_n)
{
        bool too_many = header->msg_flags & MSG_CTRUNC;
        size_t n = 0;

        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
                        continue;
                for (size_t i = 0; i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
                        int fd;

                        memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
                        if (n < max_fds)
                                fds[n++] = fd;
                        else {
                                (void) fd_close(fd);
                                too_many = true;
                        }
                }
        }
        if (too_many) {
                while (n > 0)
                        (void) fd_close(fds[--n]);
                return -EPROTO;
        }
        *ret_n = n;
        return 0;
}

static int wait_readable(int fd, int timeout_ms)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };
        int r;

        do
                r = poll(&p, 1, timeout_ms);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        return r == 0 ? -ETIMEDOUT : 0;
}

int channel_receive(int fd, int timeout_ms, struct channel_message *ret, int *fds, size_t max_fds,
                    size_t *ret_n_fds)
{
        char control[CMSG_SPACE(sizeof(int) * CHANNEL_MAX_FDS)] __attribute__((aligned(8)));
        struct channel_message m = { .type = 0 };
        struct iovec iov = { .iov_base = &m, .iov_len = sizeof(m) };
        struct msghdr header = { .msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control) };
        size_t n_fds = 0;
        ssize_t n;
        int flags = MSG_CMSG_CLOEXEC | (timeout_ms == 0 ? MSG_DONTWAIT : 0);
        int r = timeout_ms > 0 ? wait_readable(fd, timeout_ms) : 0;

        if (r < 0)
                return r;
        /* A peer that ended without reading our last message is told once, before its own last
         * words are (unix(7)); those count. */
        do
                n = recvmsg(fd, &header, flags);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (n == 0)
                return -EPIPE;
        r = take_fds(&header, fds, max_fds, &n_fds);
        if (r < 0)
                return r;
        if ((size_t) n <= offsetof(struct channel_message, text) || header.msg_flags & MSG_TRUNC ||
            m.text[(size_t) n - offsetof(struct channel_message, text) - 1] != '\0') {
                while (n_fds > 0)
                        (void) fd_close(fds[--n_fds]);
                return -EPROTO;
        }
        *ret = m;
        if (ret_n_fds)
                *ret_n_fds = n_fds;
        return 0;
}

bool channel_peer_is_gone(int fd)
{
        char byte;
        ssize_t n;

        do
                n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        return n == 0;
}
