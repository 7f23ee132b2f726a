/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A snapshot has the files of one subvolume; where another one is in it, it has an empty directory.
 * So those are looked up, and a snapshot of each takes the place of the empty directory.
 */

#include "basic/btrfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/root.h"

/* The number that the root directory of each subvolume has (BTRFS_FIRST_FREE_OBJECTID). */
#define SUBVOLUME_INODE 256
/* Subvolumes in subvolumes, deeper than anybody has them. */
#define MAX_DEPTH 64

int btrfs_is_subvolume(int fd)
{
        struct stat st;
        struct statfs fs;

        if (fstat(fd, &st) < 0)
                return -errno;
        if (st.st_ino != SUBVOLUME_INODE || !S_ISDIR(st.st_mode))
                return 0;
        return fstatfs(fd, &fs) < 0 ? -errno : fs.f_type == BTRFS_SUPER_MAGIC;
}

static int snapshot_one(int source_fd, int parent_fd, const char *name)
{
        struct btrfs_ioctl_vol_args_v2 args = { .fd = source_fd };

        if (strlen(name) >= sizeof(args.name))
                return -ENAMETOOLONG;
        memcpy(args.name, name, strlen(name) + 1);
        return ioctl(parent_fd, BTRFS_IOC_SNAP_CREATE_V2, &args) < 0 ? -errno : 0;
}

static int set_access(int fd, enum btrfs_access access)
{
        uint64_t flags = 0;

        if (ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &flags) < 0)
                return -errno;
        if (access == BTRFS_READ_ONLY)
                flags |= BTRFS_SUBVOL_RDONLY;
        else
                flags &= ~BTRFS_SUBVOL_RDONLY;
        return ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags) < 0 ? -errno : 0;
}

int btrfs_make_writable(int fd)
{
        return set_access(fd, BTRFS_WRITABLE);
}

static int snapshot_at_depth(int source_fd, int parent_fd, const char *name,
                             enum btrfs_access access, unsigned depth);

/* @source_fd and @target_fd: a subvolume and its new snapshot; @reference: one that is in it. */
static int snapshot_inner(int source_fd, int target_fd,
                          const struct btrfs_ioctl_get_subvol_rootref_args *all, size_t i,
                          enum btrfs_access access, unsigned depth)
{
        struct btrfs_ioctl_ino_lookup_user_args where = { .treeid = all->rootref[i].treeid,
                                                          .dirid = all->rootref[i].dirid };
        int from CLEANUP_FD = -1, inner CLEANUP_FD = -1, to CLEANUP_FD = -1;
        size_t n;

        /* One that was removed just now needs no snapshot. */
        if (ioctl(source_fd, BTRFS_IOC_INO_LOOKUP_USER, &where) < 0)
                return errno == ENOENT ? 0 : -errno;
        /* "a/b/", or "" for the root of the subvolume. */
        n = strlen(where.path);
        if (n > 0 && where.path[n - 1] == '/')
                where.path[n - 1] = '\0';
        from = root_open_below(source_fd, n > 0 ? where.path : ".", O_RDONLY | O_DIRECTORY);
        if (from < 0)
                return from == -ENOENT ? 0 : from;
        inner = root_open_below(from, where.name, O_RDONLY | O_DIRECTORY);
        /* Something else is mounted there: its files are not the subvolume's. */
        if (inner < 0)
                return inner == -ENOENT || inner == -EXDEV ? 0 : inner;
        to = root_open_below(target_fd, n > 0 ? where.path : ".", O_RDONLY | O_DIRECTORY);
        if (to < 0)
                return to == -ENOENT ? 0 : to;
        if (unlinkat(to, where.name, AT_REMOVEDIR) < 0 && errno != ENOENT)
                return -errno;
        return snapshot_at_depth(inner, to, where.name, access, depth + 1);
}

static int snapshot_all_inner(int source_fd, int target_fd, enum btrfs_access access,
                              unsigned depth)
{
        struct btrfs_ioctl_get_subvol_rootref_args all = { .min_treeid = 0 };
        bool more = true;
        int r = 0;

        while (more && r >= 0) {
                more = false;
                if (ioctl(source_fd, BTRFS_IOC_GET_SUBVOL_ROOTREF, &all) < 0) {
                        if (errno != EOVERFLOW)
                                return -errno;
                        more = all.num_items > 0;
                }
                for (size_t i = 0; r >= 0 && i < all.num_items; i++)
                        r = snapshot_inner(source_fd, target_fd, &all, i, access, depth);
                if (more)
                        all.min_treeid = all.rootref[all.num_items - 1].treeid + 1;
        }
        return r;
}

static int snapshot_at_depth(int source_fd, int parent_fd, const char *name,
                             enum btrfs_access access, unsigned depth)
{
        int target CLEANUP_FD = -1;
        int r = depth > MAX_DEPTH ? -ELOOP : snapshot_one(source_fd, parent_fd, name);

        if (r < 0)
                return r;
        target = root_open_below(parent_fd, name, O_RDONLY | O_DIRECTORY);
        if (target < 0)
                return target;
        r = snapshot_all_inner(source_fd, target, access, depth);
        return r >= 0 && access == BTRFS_READ_ONLY ? set_access(target, access) : r;
}

int btrfs_snapshot(int source_fd, int parent_fd, const char *name, enum btrfs_access access)
{
        return snapshot_at_depth(source_fd, parent_fd, name, access, 0);
}

int btrfs_remove(int parent_fd, const char *name)
{
        struct btrfs_ioctl_vol_args args = { .fd = 0 };

        if (strlen(name) >= sizeof(args.name))
                return -ENAMETOOLONG;
        memcpy(args.name, name, strlen(name) + 1);
        return ioctl(parent_fd, BTRFS_IOC_SNAP_DESTROY, &args) < 0 ? -errno : 0;
}
