/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "basic/macro.h"

/*
 * Which init a machine runs, and how that one is asked to shut down or to restart. Each has a
 * protocol of its own, and a signal that PID 1 has no handler for is lost without a word, so that
 * one protocol for all would mean machines that do not stop.
 *
 * The guest can lie about all that is looked at here. What it gains is another of the requests
 * below, to itself: signals go to its own first process, and files are opened below its own root,
 * as its own root user, by a process that may be kept waiting without keeping us.
 */
enum init_kind {
        INIT_OTHER, /* a program of which nothing is known */
        INIT_BUSYBOX,
        INIT_DINIT,
        INIT_FINIT,
        INIT_OPENRC,
        INIT_RUNIT,
        INIT_S6,
        INIT_SYSTEMD,
        INIT_SYSVINIT,
        N_INIT_KINDS
};

enum init_request {
        INIT_REQUEST_STOP, /* as a supervisor asks: systemd halts, all others power off */
        INIT_REQUEST_POWEROFF,
        INIT_REQUEST_REBOOT,
};

/* "sysvinit" and so on, for people. A constant string. */
const char *init_kind_name(enum init_kind kind);

/*
 * The kind by the path of the program's file and the name of the process. The name tells what a
 * program with many names was called as; else it counts for nothing, since any process can change
 * its own. Pure.
 */
enum init_kind init_kind_from_program(const char *exe, const char *comm);

/* The same for a live process that has executed its program. Does not wait for anything of the
 * guest's. Returns 0, -ESRCH or another negative errno. */
int init_kind_detect(pid_t leader, enum init_kind *ret);

/* What was done, in words: "SIGUSR2", "/run/initctl". */
struct init_answer {
        char by[32];
};

/*
 * Asks @leader, which is of @kind. @leader_pidfd is of the same process, which must not be reaped
 * before the end of the call (else @leader could be another one by then). INIT_OTHER has no
 * protocol: it gets @other_signal (0: nothing) for whatever is asked; so does what is called "init"
 * and is not sysvinit.
 *
 * Returns 0 and what was done; -EAGAIN: it does not listen, or not yet; -EOPNOTSUPP: there is no way
 * to ask this kind for that; -ESRCH: it is gone; -ETIMEDOUT: a file system of the guest's did not
 * answer within two seconds; another negative errno from the guest's files.
 */
int init_ask(enum init_kind kind, enum init_request request, int other_signal, pid_t leader,
             int leader_pidfd, struct init_answer *ret);

/* The part of init_ask() that works on files, without a process: below the init's root directory, or
 * for s6 below its working directory. For tests. */
int init_ask_by_files(enum init_kind kind, enum init_request request, int root_fd);

/*
 * The number of SIGRTMIN + @offset for a process with this mask of signals that it handles or
 * blocks (bit 0 is signal 1). C libraries keep different numbers for themselves: glibc's first is
 * 34, musl's is 35. A process that shows neither is taken for one with glibc. Pure.
 */
int init_realtime_signal(uint64_t heard, int offset);
