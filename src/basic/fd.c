/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

int fd_close(int fd)
{
        int saved = errno;

        if (fd >= 0)
                (void) close(fd);
        errno = saved;
        return -1;
}

void cleanup_fd(const int *fd)
{
        (void) fd_close(*fd);
}

static int compare_ints(const void *a, const void *b)
{
        return (*(const int *) a > *(const int *) b) - (*(const int *) a < *(const int *) b);
}

void fd_close_many(int *fds, size_t n)
{
        int saved = errno;

        qsort(fds, n, sizeof(int), compare_ints);
        for (size_t i = 0; i < n;) {
                size_t k = i + 1;

                while (k < n && fds[k] == fds[k - 1] + 1)
                        k++;
                if (syscall(SYS_close_range, (unsigned) fds[i], (unsigned) fds[k - 1], 0) < 0)
                        for (size_t j = i; j < k; j++)
                                (void) close(fds[j]); /* a sandbox without the call */
                i = k;
        }
        errno = saved;
}

int fd_copy(int fd)
{
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        return copy < 0 ? -errno : copy;
}

int fd_above_stdio_take_fd(int fd)
{
        int owned CLEANUP_FD = fd;

        return fd > 2 ? TAKE_FD(owned) : fd_copy(owned);
}

int fd_fill_stdio(void)
{
        struct pollfd fds[] = { { .fd = 0 }, { .fd = 1 }, { .fd = 2 } };
        int r;

        /* One call asks for all three: what is not open is not valid to poll(2). */
        do
                r = poll(fds, ARRAY_SIZE(fds), 0);
        while (r < 0 && errno == EINTR);
        if (r < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                if (!(fds[i].revents & POLLNVAL))
                        continue;
                /* The lowest free number is i, since all below it are open. No close-on-exec:
                 * a standard descriptor is there to be inherited. */
                if (open("/dev/null", O_RDWR | O_NOCTTY) < 0) /* NOLINT(android-cloexec-open) */
                        return -errno;
        }
        return 0;
}

int fd_cloexec_from(int first)
{
        if (syscall(SYS_close_range, (unsigned) first, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
                return -errno;
        return 0;
}

int fd_close_others(int first, int keep)
{
        if (keep > first && syscall(SYS_close_range, (unsigned) first, (unsigned) keep - 1, 0) < 0)
                return -errno;
        if (syscall(SYS_close_range, (unsigned) MAX_OF(first, keep + 1), ~0U, 0) < 0)
                return -errno;
        return 0;
}

size_t fd_raise_limit(void)
{
        struct rlimit limit = { .rlim_cur = 1024, .rlim_max = 1024 };

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                rlim_t before = limit.rlim_cur;

                limit.rlim_cur = limit.rlim_max;
                if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
                        return (size_t) before;
        }
        return (size_t) limit.rlim_cur;
}
