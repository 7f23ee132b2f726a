/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/tree-lock.h"

#include <errno.h>
#include <stdio.h>

#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "nspawn/explain.h"

#define LOCK_FOLDER "/run/systemd/nspawn/locks"

static int acquire(const struct tree_facts *tree, enum lock_kind kind, const char *path,
                   bool is_by_name, struct lock_file *lock, struct failure *failure)
{
        char machine[PROGRAM_NAME_MAX];
        pid_t holder = 0;
        int r = lock_file_acquire(path, kind, lock, &holder);

        if (r >= 0)
                return 0;
        if (r == -EROFS && is_by_name)
                return 0; /* a tree on a read-only file system has the lock by inode only */
        if (r != -EBUSY && is_by_name)
                return failure_set(failure, r, "Cannot make the lock '.#%s.lck' beside '%s': %s.%s",
                                   path_basename(tree->path), tree->path, error_text(r),
                                   storage_hint(r));
        if (r != -EBUSY)
                return failure_set(failure, r, "Cannot lock '%s': %s.", path, error_text(r));
        if (holder > 0) {
                machine_of_supervisor(holder, machine);
                return failure_set(failure, r,
                                   "Directory tree %s is currently busy: process %d%s%s%s uses it. "
                                   "Stop that container, or use --read-only for both.",
                                   tree->path, (int) holder, machine[0] ? ", machine '" : "",
                                   machine, machine[0] ? "'," : "");
        }
        return failure_set(failure, r,
                           "Directory tree %s is currently busy. Stop the container that uses it, "
                           "or use --read-only for both.",
                           tree->path);
}

static int acquire_by_inode(const struct tree_facts *tree, enum lock_kind kind,
                            struct lock_file *lock, struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;
        int r;

        if (asprintf(&path, LOCK_FOLDER "/inode-%llu:%llu", (unsigned long long) tree->device,
                     (unsigned long long) tree->inode) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = acquire(tree, kind, path, false, lock, failure);
        if (r != -ENOENT)
                return r;
        failure->error = 0; /* the first container since the host was booted */
        r = make_directories("/run/systemd/nspawn", 0755);
        if (r >= 0)
                r = make_directories(LOCK_FOLDER, 0700);
        if (r < 0)
                return failure_set(failure, r, "Cannot create the directory '%s': %s.", LOCK_FOLDER,
                                   error_text(r));
        return acquire(tree, kind, path, false, lock, failure);
}

int tree_lock_take(const struct tree_facts *tree, enum lock_kind kind, struct tree_lock *ret,
                   struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;
        int r;

        if (streq(tree->path, "/"))
                return 0;
        /* Where the tree is by now, whatever its path leads to: a folder above it may be another's. */
        if (asprintf(&path, "/proc/self/fd/%d/../.#%s.lck", tree->fd, path_basename(tree->path)) <
            0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = acquire(tree, kind, path, true, &ret->by_name, failure);
        if (r >= 0)
                r = acquire_by_inode(tree, kind, &ret->by_inode, failure);
        if (r < 0)
                tree_lock_release(ret);
        return r;
}

void tree_lock_release(struct tree_lock *lock)
{
        lock_file_release(&lock->by_inode);
        lock_file_release(&lock->by_name);
}
