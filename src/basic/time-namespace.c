/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/time-namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"

#define NS_PER_S 1000000000L

/* @a minus @b. The kernel wants whole seconds of any sign, and a fraction that is not negative. */
static struct timespec difference(struct timespec a, struct timespec b)
{
        bool borrow = a.tv_nsec < b.tv_nsec;

        return (struct timespec){ .tv_sec = a.tv_sec - b.tv_sec - borrow,
                                  .tv_nsec = a.tv_nsec - b.tv_nsec + (borrow ? NS_PER_S : 0) };
}

/* Far beyond what the kernel takes, and sums of two fit. */
#define SECONDS_MAX ((long long) 1 << 40)

static int read_offset(const char *text, const char *clock, struct timespec *ret)
{
        const char *line = strstr(text, clock);
        long long seconds = 0;
        long nanoseconds = 0;

        if (!line || sscanf(line + strlen(clock), " %lld %ld", /* NOLINT(cert-err34-c): procfs */
                            &seconds, &nanoseconds) != 2)
                return -EBADMSG;
        if (seconds < -SECONDS_MAX || seconds > SECONDS_MAX || nanoseconds < 0 ||
            nanoseconds >= NS_PER_S)
                return -EBADMSG;
        *ret = (struct timespec){ .tv_sec = seconds, .tv_nsec = nanoseconds };
        return 0;
}

int clock_readings_take(struct clock_readings *ret)
{
        return clock_gettime(CLOCK_MONOTONIC, &ret->monotonic) < 0 ||
                               clock_gettime(CLOCK_BOOTTIME, &ret->boottime) < 0
                       ? -errno
                       : 0;
}

int time_namespace_offsets(const struct clock_readings *begin, char text[TIME_OFFSETS_TEXT_SIZE])
{
        struct timespec m, b;
        int r = read_offset(text, "monotonic", &m);

        if (r >= 0)
                r = read_offset(text, "boottime", &b);
        if (r < 0)
                return r;
        m = difference(m, begin->monotonic);
        b = difference(b, begin->boottime);
        (void) snprintf(text, TIME_OFFSETS_TEXT_SIZE, "monotonic %lld %ld\nboottime %lld %ld\n",
                        (long long) m.tv_sec, m.tv_nsec, (long long) b.tv_sec, b.tv_nsec);
        return 0;
}

/* Reads what was inherited and writes what is wanted, each in one call, at the beginning of the file. */
static int set_offsets(const struct clock_readings *begin)
{
        char text[TIME_OFFSETS_TEXT_SIZE];
        int fd CLEANUP_FD = open("/proc/self/timens_offsets", O_RDWR | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : pread(fd, text, sizeof(text) - 1, 0);
        int r;

        if (n < 0)
                return -errno;
        text[n] = '\0';
        r = time_namespace_offsets(begin, text);
        if (r < 0)
                return r;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/*
 * unshare(2) makes a namespace for children only, whose offsets can be set until somebody is in it.
 * Then we go there as well: a program that we become by exec would follow by itself only from Linux
 * 6.1 on, and before that be in another time than its children.
 */
int time_namespace_enter_new(const struct clock_readings *begin, const char **ret_what)
{
        int fd CLEANUP_FD = -1;
        int r;

        *ret_what = "make a time namespace";
        if (unshare(CLONE_NEWTIME) < 0)
                return -errno;
        *ret_what = "set the clocks of the time namespace";
        r = set_offsets(begin);
        if (r < 0)
                return r;
        *ret_what = "enter the time namespace";
        fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
        return fd < 0 || setns(fd, CLONE_NEWTIME) < 0 ? -errno : 0;
}
