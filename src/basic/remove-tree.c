/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The walk goes down by descriptors, each directory opened from its parent. Their number is limited
 * whatever the depth of the tree is: what lies too deep is moved up to the top, where the walk comes
 * to it later. Between subvolumes only subvolumes can be moved. So these are always moved up to the
 * top of all, and each is then walked by itself, with its own root as the place to move to.
 */

#include "basic/remove-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/btrfs.h"
#include "basic/fd.h"
#include "basic/root.h"

#define MAX_DEPTH 32
/* Names for what is moved that are taken by the tree's own files. */
#define MOVE_TRIES 64

struct walk {
        int top_fd;             /* the directory that is being removed */
        int base_fd;            /* the root of the subvolume that the walk is in */
        unsigned long *n_moved; /* so far */
        int error;              /* the first one */
};

static void note(struct walk *w, int error)
{
        if (error < 0 && w->error == 0)
                w->error = error;
}

/* Who may have made a file unchangeable is gone. Returns whether it could be changed. */
static bool lift_flags(int fd)
{
        int flags = 0;

        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || !(flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)))
                return false;
        flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
        return ioctl(fd, FS_IOC_SETFLAGS, &flags) >= 0;
}

static bool lift_flags_at(int dir_fd, const char *name)
{
        int place CLEANUP_FD = root_open_below(dir_fd, name, O_PATH), fd CLEANUP_FD = -1;
        struct stat st;
        bool lifted = lift_flags(dir_fd);

        if (place < 0 || fstat(place, &st) < 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
                return lifted;
        fd = fd_open_again(place, O_RDONLY);
        return (fd >= 0 && lift_flags(fd)) || lifted;
}

static int unlink_at(int dir_fd, const char *name, int flags)
{
        if (unlinkat(dir_fd, name, flags) >= 0 || errno == ENOENT)
                return 0;
        if (errno == EPERM && lift_flags_at(dir_fd, name) && unlinkat(dir_fd, name, flags) >= 0)
                return 0;
        return -errno;
}

/* Moves @name to a new name below @to_fd. */
static int move_up(struct walk *w, int dir_fd, const char *name, int to_fd)
{
        for (int i = 0; i < MOVE_TRIES; i++) {
                char moved[48];

                (void) snprintf(moved, sizeof(moved), ".stead-moved-%lu", (*w->n_moved)++);
                if (renameat2(dir_fd, name, to_fd, moved, RENAME_NOREPLACE) >= 0)
                        return 0;
                if (errno == EPERM && lift_flags_at(dir_fd, name))
                        continue;
                if (errno != EEXIST)
                        return -errno;
        }
        return -EEXIST;
}

static void remove_content(struct walk *w, int dir_fd, unsigned depth);

static void remove_subvolume(struct walk *w, int parent_fd, const char *name, int fd)
{
        struct walk inner = *w;
        int r;

        (void) btrfs_make_writable(fd);
        r = btrfs_remove(parent_fd, name);
        if (r >= 0)
                return;
        /* There are others in it; or it is not ours to remove at once. */
        inner.base_fd = fd;
        remove_content(&inner, fd, 0);
        w->error = inner.error;
        if (btrfs_remove(parent_fd, name) < 0)
                note(w, unlink_at(parent_fd, name, AT_REMOVEDIR));
}

static void remove_directory(struct walk *w, int dir_fd, const char *name, unsigned depth)
{
        int fd CLEANUP_FD = root_open_below(dir_fd, name, O_RDONLY | O_DIRECTORY);

        if (fd < 0) {
                note(w, fd == -EXDEV ? -EBUSY : fd == -ENOENT ? 0 : fd);
                return;
        }
        if (btrfs_is_subvolume(fd) > 0) {
                /* At the top it has come to where the walk can take it apart. */
                if (dir_fd == w->top_fd || move_up(w, dir_fd, name, w->top_fd) < 0)
                        remove_subvolume(w, dir_fd, name, fd);
                return;
        }
        if (depth >= MAX_DEPTH && move_up(w, dir_fd, name, w->base_fd) >= 0)
                return;
        if (depth >= 4 * MAX_DEPTH) {
                note(w, -ELOOP);
                return;
        }
        remove_content(w, fd, depth + 1);
        note(w, unlink_at(dir_fd, name, AT_REMOVEDIR));
}

/* Returns whether anything went. */
static bool remove_entries(struct walk *w, DIR *d, unsigned depth)
{
        bool any = false;

        rewinddir(d);
        for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
                int r;

                if (streq(e->d_name, ".") || streq(e->d_name, ".."))
                        continue;
                r = e->d_type == DT_DIR ? -EISDIR : unlink_at(dirfd(d), e->d_name, 0);
                if (r == -EISDIR)
                        remove_directory(w, dirfd(d), e->d_name, depth);
                else
                        note(w, r);
                any = true;
        }
        return any;
}

/* Leaves @dir_fd open. */
static void remove_content(struct walk *w, int dir_fd, unsigned depth)
{
        int again = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);
        DIR *d = again < 0 ? NULL : fdopendir(again);
        struct walk here = *w;
        unsigned long moved;

        if (!d) {
                note(w, -errno);
                (void) fd_close(again);
                return;
        }
        /* What was moved here from below may have come after the look. */
        do {
                moved = *w->n_moved;
                if (dir_fd == w->base_fd)
                        here.base_fd = dirfd(d);
                if (dir_fd == w->top_fd)
                        here.top_fd = dirfd(d);
                (void) remove_entries(&here, d, depth);
        } while (moved != *w->n_moved && (dir_fd == w->base_fd || dir_fd == w->top_fd));
        w->error = here.error;
        (void) closedir(d);
}

int remove_tree(int dir_fd, const char *name)
{
        int parent CLEANUP_FD = root_open_below(dir_fd, ".", O_RDONLY | O_DIRECTORY);
        int fd CLEANUP_FD = parent < 0 ? -1 : root_open_below(parent, name, O_RDONLY | O_DIRECTORY);
        unsigned long n_moved = 0;
        struct walk w = { .top_fd = fd, .base_fd = fd, .n_moved = &n_moved };

        if (parent < 0)
                return parent;
        if (fd == -ENOENT)
                return 0;
        if (fd == -ENOTDIR || fd == -ELOOP)
                return unlink_at(parent, name, 0);
        if (fd < 0)
                return fd == -EXDEV ? -EBUSY : fd;
        if (btrfs_is_subvolume(fd) > 0) {
                remove_subvolume(&w, parent, name, fd);
                return w.error;
        }
        remove_content(&w, fd, 0);
        note(&w, unlink_at(parent, name, AT_REMOVEDIR));
        return w.error;
}
