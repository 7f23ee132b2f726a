/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"
#include "basic/macro.h"

/*
 * A group for a machine in the hierarchy "name=systemd" of version 1, which an old systemd wants to
 * have for itself. It has no controllers: it names groups of processes, and limits are elsewhere. It is
 * mounted where nobody sees it, made by the kernel with the first machine that wants it (if the
 * host does not have one), and gone with the last.
 *
 *      HIERARCHY/stead             root's alone, so that no machine can look at another one's
 *      HIERARCHY/stead/NAME        locked while its supervisor lives
 *      HIERARCHY/stead/NAME/payload   what the machine sees as the root of the hierarchy
 */
struct named_group {
        const char *hierarchy; /* its name: "systemd", or another one in tests */
        int mount_fd;
        int lock_fd; /* stead/NAME, locked; -1: none */
        char *path;  /* "stead/NAME" */
};

#define NAMED_GROUP_NULL                                                                           \
        {                                                                                          \
                .mount_fd = -1, .lock_fd = -1                                                      \
        }

/*
 * Makes the group for @machine, a valid name, in @hierarchy, a constant string, and gives it to @owner. What a supervisor that was
 * killed has left is removed before. On failure nothing is left, and @failure has a sentence; -EBUSY:
 * a machine of this name runs.
 */
int named_group_create(const char *hierarchy, const char *machine, uid_t owner,
                       struct named_group *ret, struct failure *failure);

/* Moves the first process there, before it has a cgroup namespace. */
int named_group_adopt(const struct named_group *group, pid_t leader, struct failure *failure);

/* Removes the group, whose processes must have ended, and leftovers of others. Accepts an empty one. */
void named_group_remove(struct named_group *group);
