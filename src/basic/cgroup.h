/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Control groups, version 2 (cgroups(7)). A hierarchy of version 1 is never written to (but see
 * shared/host-named.h); on a host
 * that has both (hybrid), the cgroup2 mount may offer few controllers or none.
 * A group is named by the descriptor of its directory, or by an absolute path.
 */

/* The controllers that are handed down to a machine, as far as the host offers them. */
enum cgroup_controller {
        CGROUP_CPUSET = 1 << 0,
        CGROUP_CPU = 1 << 1,
        CGROUP_IO = 1 << 2,
        CGROUP_MEMORY = 1 << 3,
        CGROUP_PIDS = 1 << 4,
};
#define CGROUP_CONTROLLERS_ALL 31U

/* "memory" for CGROUP_MEMORY and so on; NULL for anything else. A constant string. */
const char *cgroup_controller_name(unsigned controller);

/* The controllers of ours in @text, words as in cgroup.controllers. Pure. */
unsigned cgroup_controllers_parse(const char *text);

/* Where cgroup2 is mounted, without a final slash; the caller frees it. -ENOENT: nowhere. */
int cgroup_find_mount(char **ret);

/* The path of our own group below the mount, "/" or "/a/b"; the caller frees it.
 * -ENODATA: the kernel has no cgroup2. */
int cgroup_own_path(char **ret);

/* Like that, from the text of /proc/PID/cgroup. Pure. */
int cgroup_path_parse(const char *text, char **ret);

/* What the group at @path below @dir_fd ("." for itself) can hand down. */
int cgroup_read_controllers(int dir_fd, const char *path, unsigned *ret);

/*
 * Hands @controllers down to the groups below @path, and returns those that were: one that the
 * kernel refuses does not keep the others from it. A group that has processes of its own hands
 * nothing down, but for the root of all (cgroup-v2.rst, "No Internal Process Constraint").
 */
unsigned cgroup_hand_down(int dir_fd, const char *path, unsigned controllers);

/* Whether @controller is bound to a hierarchy of version 1. */
bool cgroup_controller_is_v1(unsigned controller);

/* Whether there is a live process in the group or below it: 1, 0 or a negative errno. */
int cgroup_is_populated(int dir_fd, const char *path);

/*
 * Kills all that is in the group at @path and below it, also what is forking or frozen, and waits
 * until it is gone. Returns 0, -ETIMEDOUT or another negative errno.
 */
int cgroup_kill(int dir_fd, const char *path, int timeout_ms);

/*
 * Removes the group @name below @dir_fd with all groups in it; deep, wide and strangely named
 * trees are fine. 0 also if it does not exist. -EBUSY: something lives in it.
 */
int cgroup_remove(int dir_fd, const char *name);
