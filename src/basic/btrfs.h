/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Subvolumes of btrfs, by the kernel's own calls. Directories are given by descriptors that are
 * open for reading, not by O_PATH.
 */

/* Whether the directory at @fd (also O_PATH) is a subvolume's root. 1, 0 or a negative errno. */
int btrfs_is_subvolume(int fd);

enum btrfs_access { BTRFS_WRITABLE, BTRFS_READ_ONLY };

/*
 * Makes a snapshot of the subvolume at @source_fd, and of those in it, as @name below @parent_fd.
 * On failure a part of it may be there.
 */
int btrfs_snapshot(int source_fd, int parent_fd, const char *name, enum btrfs_access access);

/* Lets the subvolume at @fd be written to again. */
int btrfs_make_writable(int fd);

/* Removes the subvolume @name below @parent_fd with all files in it. -ENOTEMPTY: there are other
 * subvolumes in it. */
int btrfs_remove(int parent_fd, const char *name);
