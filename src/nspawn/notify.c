/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/notify.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "basic/fd.h"
#include "basic/strv.h"

#define MESSAGE_MAX 4096
#define STATUS_MAX 512

int notify_socket_new(void)
{
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int yes = 1;

        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0)
                return -errno;
        return TAKE_FD(fd);
}

int notify_send(const char *text)
{
        const char *path = getenv("NOTIFY_SOCKET");
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd CLEANUP_FD = -1;
        size_t n;

        if (!path)
                return 0;
        n = strlen(path);
        if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(address.sun_path))
                return -EINVAL;
        memcpy(address.sun_path, path, n);
        if (path[0] == '@')
                address.sun_path[0] = '\0'; /* the abstract name space (unix(7)) */
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *) &address,
                   (socklen_t) (offsetof(struct sockaddr_un, sun_path) + n)) < 0)
                return -errno;
        return 0;
}

int notify_filter(const char *text, char ***forward)
{
        char **lines CLEANUP_STRV = NULL;
        const char *status = NULL;
        char *line_out = NULL;
        bool ready = false;

        if (strv_split(text, "\n", &lines) < 0)
                return -ENOMEM;
        STRV_FOREACH(line, lines)
        {
                const char *value = startswith(*line, "STATUS=");

                ready = ready || streq(*line, "READY=1");
                if (value && !status && strlen(value) <= STATUS_MAX)
                        status = value;
        }
        if (ready && strv_add(forward, "READY=1") < 0)
                return -ENOMEM;
        if (status) {
                if (asprintf(&line_out, "STATUS=Container running: %s", status) < 0)
                        return -ENOMEM;
                /* It will be shown on terminals of the host, which obey control characters. */
                for (char *p = line_out; *p; p++)
                        if ((unsigned char) *p < ' ' || *p == 0x7f)
                                *p = '?';
                if (strv_add_take(forward, line_out) < 0)
                        return -ENOMEM;
        }
        return ready || status;
}

/* Who sent it, by the kernel's word. */
static pid_t sender_of(struct msghdr *header)
{
        for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
                struct ucred credentials;

                if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
                        continue;
                memcpy(&credentials, CMSG_DATA(c), sizeof(credentials));
                return credentials.pid;
        }
        return 0;
}

int notify_receive(int fd, pid_t leader, char ***forward)
{
        char text[MESSAGE_MAX + 1];
        /* With no room for descriptors the kernel does not give us those that a sender attached. */
        char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
        struct iovec iov = { .iov_base = text, .iov_len = MESSAGE_MAX };
        struct msghdr header = { .msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control) };
        ssize_t n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        if (sender_of(&header) != leader || header.msg_flags & MSG_TRUNC)
                return 0;
        text[n] = '\0';
        if (strlen(text) != (size_t) n)
                return 0; /* NUL bytes are no part of the protocol */
        return notify_filter(text, forward);
}

bool notify_receive_pending(int fd)
{
        struct pollfd p = { .fd = fd, .events = POLLIN };

        return fd >= 0 && poll(&p, 1, 0) > 0 && p.revents & POLLIN;
}
