/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/time-namespace.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"

#define NS_PER_S 1000000000L

/* The kernel wants whole seconds of any sign, and a fraction that is not negative. */
static struct timespec negated(struct timespec t)
{
        return t.tv_nsec == 0 ? (struct timespec){ .tv_sec = -t.tv_sec }
                              : (struct timespec){ .tv_sec = -t.tv_sec - 1,
                                                   .tv_nsec = NS_PER_S - t.tv_nsec };
}

int clock_readings_take(struct clock_readings *ret)
{
        return clock_gettime(CLOCK_MONOTONIC, &ret->monotonic) < 0 ||
                               clock_gettime(CLOCK_BOOTTIME, &ret->boottime) < 0
                       ? -errno
                       : 0;
}

void time_namespace_offsets(const struct clock_readings *begin, char text[TIME_OFFSETS_TEXT_SIZE])
{
        struct timespec m = negated(begin->monotonic), b = negated(begin->boottime);

        (void) snprintf(text, TIME_OFFSETS_TEXT_SIZE, "monotonic %lld %ld\nboottime %lld %ld\n",
                        (long long) m.tv_sec, m.tv_nsec, (long long) b.tv_sec, b.tv_nsec);
}

/*
 * unshare(2) makes a namespace for children only, whose offsets can be set until somebody is in it.
 * Then we go there as well: a program that we become by exec would follow by itself only from Linux
 * 6.1 on, and before that be in another time than its children.
 */
int time_namespace_enter_new(const struct clock_readings *begin, const char **ret_what)
{
        char text[TIME_OFFSETS_TEXT_SIZE];
        int fd CLEANUP_FD = -1;
        int r;

        *ret_what = "make a time namespace";
        if (unshare(CLONE_NEWTIME) < 0)
                return -errno;
        *ret_what = "set the clocks of the time namespace";
        time_namespace_offsets(begin, text);
        r = write_file_at(AT_FDCWD, "/proc/self/timens_offsets", text);
        if (r < 0)
                return r;
        *ret_what = "enter the time namespace";
        fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
        return fd < 0 || setns(fd, CLONE_NEWTIME) < 0 ? -errno : 0;
}
