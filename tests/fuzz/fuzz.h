/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/failure.h"
#include "basic/macro.h"

/*
 * What the fuzzers share. Each one is a function that takes any bytes, gives them to the code that
 * ships, and stops the program when the answer is not what its header promises.
 */

/* Called by the engine, or by replay.c where there is none. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_MAX_FDS 253 /* the kernel takes no more in a message (unix(7)) */

/* As assert(), but always there. */
#define FUZZ_CHECK(condition)                                                                      \
        do {                                                                                       \
                if (!(condition)) {                                                                \
                        (void) fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__,        \
                                       #condition);                                                \
                        abort();                                                                   \
                }                                                                                  \
        } while (0)

/* The bytes as text, with a NUL byte behind them; the caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
        char *text = malloc(size + 1);

        FUZZ_CHECK(text);
        if (size > 0)
                memcpy(text, data, size);
        text[size] = '\0';
        return text;
}

/* Ends the line at @text and returns what is behind it, or NULL if that was the last one. */
static inline char *fuzz_cut_line(char *text)
{
        char *end = strchr(text, '\n');

        if (!end)
                return NULL;
        *end = '\0';
        return end + 1;
}

static inline bool fuzz_is_one_line(const char *text)
{
        for (const char *p = text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        return false;
        return true;
}

/* What failed has a number and one line for people; nothing else has. */
static inline void fuzz_check_failure(int r, const struct failure *failure)
{
        FUZZ_CHECK((r < 0) == (failure->error != 0));
        if (r >= 0)
                return;
        FUZZ_CHECK(r > -4096 && failure->error == r);
        FUZZ_CHECK(failure->text[0] && fuzz_is_one_line(failure->text));
}

/* The lowest number that is free: it grows when a descriptor is forgotten. */
static inline int fuzz_next_fd(void)
{
        int fd = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);

        FUZZ_CHECK(fd >= 0 && close(fd) == 0);
        return fd;
}

/* What a peer can send at most: any bytes, with @n_fds copies of standard error. */
static inline void fuzz_send(int fd, const uint8_t *data, size_t size, size_t n_fds)
{
        char control[CMSG_SPACE(sizeof(int) * FUZZ_MAX_FDS)] __attribute__((aligned(8))) = { 0 };
        struct iovec iov = { .iov_base = (void *) data, .iov_len = size };
        struct msghdr header = { .msg_iov = &iov, .msg_iovlen = 1 };
        const int copy = STDERR_FILENO;

        if (n_fds > 0) {
                struct cmsghdr *c;

                header.msg_control = control;
                header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
                c = CMSG_FIRSTHDR(&header);
                c->cmsg_level = SOL_SOCKET;
                c->cmsg_type = SCM_RIGHTS;
                c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
                for (size_t i = 0; i < n_fds; i++)
                        memcpy(CMSG_DATA(c) + i * sizeof(int), &copy, sizeof(int));
        }
        FUZZ_CHECK(sendmsg(fd, &header, MSG_NOSIGNAL) == (ssize_t) size);
}
