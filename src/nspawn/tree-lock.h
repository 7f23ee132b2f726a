/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/lock.h"
#include "nspawn/facts.h"

/*
 * What keeps two containers from changing one tree: a lock by name beside the tree, and one by inode
 * for the same tree under another name. The kernel gives both up when their holder dies.
 */
struct tree_lock {
        struct lock_file by_name, by_inode;
};

#define TREE_LOCK_NULL                                                                             \
        {                                                                                          \
                .by_name = LOCK_FILE_NULL, .by_inode = LOCK_FILE_NULL                              \
        }
#define CLEANUP_TREE_LOCK CLEANUP(tree_lock_release)

/* Does not wait. -EBUSY: somebody has it, and the sentence says who. The host's own root directory
 * is everybody's, and has none. */
int tree_lock_take(const struct tree_facts *tree, enum lock_kind kind, struct tree_lock *ret,
                   struct failure *failure);

/* Accepts an empty one. */
void tree_lock_release(struct tree_lock *lock);
