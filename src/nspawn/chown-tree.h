/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"

/* The owner of the root directory while its tree is being changed: no range has it. */
#define CHOWN_BUSY_MARKER ((uid_t) 0xFFFE0000U)

/*
 * Shifts the owners of everything in the tree at @root_fd to the 64K range at @base, keeping the
 * lower 16 bits, in access control lists too. Those in further 64K ranges behind it, up to @count
 * ids, are the container's already, as owners of the containers inside; they stay. Other file systems mounted in the tree stay as they
 * are. Does nothing if the root directory has its owner already. The root directory is marked
 * while this runs, so that an interrupted run is done again by the next start.
 */
int chown_tree(int root_fd, const char *path, uid_t base, uint32_t count, struct failure *failure);

/* Shifts the ids in a POSIX access control list as stored in an extended attribute. Pure. Returns
 * 1 if it changed, 0 if not, -EINVAL if it is none. */
int acl_shift(void *acl, size_t size, uid_t base, uint32_t count);
