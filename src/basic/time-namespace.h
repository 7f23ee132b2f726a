/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>
#include <time.h>

#include "basic/macro.h"

/* Older C libraries do not have it. */
#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

/*
 * A time namespace of one's own (time_namespaces(7)): its CLOCK_MONOTONIC and CLOCK_BOOTTIME, and so
 * /proc/uptime and btime in /proc/stat, are the host's with an offset. The wall clock is the host's.
 */

/* What the two clocks showed at a moment. */
struct clock_readings {
        struct timespec monotonic, boottime;
};

/* The moment is now. Returns 0 or a negative errno. No system call where the kernel has a vDSO. */
int clock_readings_take(struct clock_readings *ret);

/*
 * Makes the text of /proc/PID/timens_offsets, which has the offsets that are inherited, into the one
 * that makes both clocks have begun at zero at @begin. Offsets count from the machine's own clocks,
 * also where the caller has a time namespace around it. Returns 0, or -EBADMSG. Pure.
 */
#define TIME_OFFSETS_TEXT_SIZE 256
int time_namespace_offsets(const struct clock_readings *begin, char text[TIME_OFFSETS_TEXT_SIZE]);

/*
 * Moves the calling process, which must have one thread, into a new time namespace whose clocks began
 * at zero at @begin: a moment before the process was born, or its own start would be before the
 * beginning, and the kernel would show it as far in the future. It belongs to the caller's user
 * namespace, over which the caller needs CAP_SYS_ADMIN and CAP_SYS_TIME. Needs /proc, and that the
 * files there are the caller's own, which they no longer are once it has changed its ids. Returns 0
 * or a negative errno; @ret_what then is what could not be done, to stand behind "Cannot".
 */
int time_namespace_enter_new(const struct clock_readings *begin, const char **ret_what);
