/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * Lock files with open-file-description locks (fcntl(2)): the kernel drops them when their holder
 * dies, in whatever way. Compatible with the locks that systemd's tools take on the same files.
 */
enum lock_kind { LOCK_SHARED, LOCK_EXCLUSIVE };

struct lock_file {
        char *path;
        int fd;
        enum lock_kind kind;
};

#define LOCK_FILE_NULL                                                                             \
        {                                                                                          \
                .path = NULL, .fd = -1                                                             \
        }
#define CLEANUP_LOCK_FILE CLEANUP(lock_file_release)

/*
 * Creates and locks @path without waiting. Returns 0, -EBUSY (somebody holds it) or another negative
 * errno. Who wants to know the holder gets a pid in @ret_holder, which else is NULL. If no process can
 * be found that has the lock, it is mostly one that is just dying, and half a second is spent on
 * waiting for that; @ret_holder is 0 if it was not.
 */
int lock_file_acquire(const char *path, enum lock_kind kind, struct lock_file *ret,
                      pid_t *ret_holder);

/*
 * Locks @path alone, waiting a few seconds for others; the file is never removed by us. For files
 * that programs which know nothing of us lock as well: a POSIX lock, as lckpwdf(3) takes it.
 */
int lock_file_acquire_waiting(const char *path, struct lock_file *ret);

/*
 * The same for a file that its last holder removes: waits a few seconds for others, looking often,
 * since they are quick.
 */
int lock_file_acquire_patiently(const char *path, struct lock_file *ret);

/* Releases the lock; the last holder removes the file. Accepts an empty one. */
void lock_file_release(struct lock_file *lock);
