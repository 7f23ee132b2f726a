/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "basic/macro.h"

/*
 * clone3() with these CLONE_NEW* flags and, if @cgroup_fd is not negative, directly into that
 * cgroup (CLONE_INTO_CGROUP: a later move would wait for an RCU grace period).
 * In the child it returns 0; in the parent the pid, and @ret_pidfd is the parent's to close.
 * The child must leave with _exit(). A negative errno on failure.
 */
pid_t process_clone(uint64_t namespaces, int cgroup_fd, int *ret_pidfd);

/* The same without new namespaces, as number @number of the pid namespace that children are born in:
 * this takes no number from those that come later. */
pid_t process_clone_as(pid_t number, int *ret_pidfd);

/* How a process ended. */
struct process_end {
        bool exited; /* exited by itself with .status; else ended by signal .status */
        int status;
};

/* Whether one of the signals that ask to end (SIGTERM, SIGINT, SIGHUP), which the caller blocks, is
 * waiting: for work that takes minutes. */
bool process_is_asked_to_end(void);

/* Waits for a child by its pidfd and reaps it. Returns 0 or a negative errno. */
int process_wait(int pidfd, struct process_end *ret);

int process_signal(int pidfd, int signo);

/*
 * The signals that @pid has a handler for, blocks or waits for; bit 0 is signal 1. All others do
 * nothing to the first process of a pid namespace. Returns 0, -ESRCH or another negative errno.
 */
int process_signals_heard(pid_t pid, uint64_t *ret);

/* SIGKILL to a child of ours that has not been reaped, so that waiting for it comes to an end. */
void process_kill_child(pid_t pid, int pidfd);

/* Unblocks all signals and ends the ignoring of those that our caller ignored; for a child before
 * its exec. process_clone() has reset the handlers. Needs /proc. */
int process_reset_signals(void);

/* Starts a program with standard streams as given (negative: /dev/null) and no other descriptor.
 * @argv[0] is its path. Returns 0 and the pidfd, which the caller closes after process_wait(). */
int process_spawn(char *const *argv, char *const *environment, int stdin_fd, int stdout_fd,
                  int *ret_pidfd);

/* Runs a program and collects what it writes, at most @max bytes. The exit status is returned
 * (0…255), or a negative errno. The caller frees @ret_output. */
int process_capture(char *const *argv, size_t max, char **ret_output, size_t *ret_size);
