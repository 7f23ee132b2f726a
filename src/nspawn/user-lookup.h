/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

#define USER_MAX_GROUPS 256

/* A user of the container, by its own files. */
struct user_entry {
        uid_t uid;
        gid_t gid;
        char *name; /* NULL for a number that no user has */
        char *home;
        gid_t groups[USER_MAX_GROUPS];
        size_t n_groups;
};

/*
 * Looks @user (a name or a number) up in /etc/passwd and /etc/group below @root_fd, which are
 * the guest's and read with limits. Returns 0, -ESRCH (no such user), -EINVAL (its ids
 * are none that a process can have) or another negative errno.
 */
int user_lookup(int root_fd, const char *user, struct user_entry *ret);
void user_entry_done(struct user_entry *entry);
