/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/path.h"

/* The kernel gives -EAGAIN when a rename happened during the look-up (openat2(2)). */
#define OPEN_TRIES 32

static int open_resolved(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
        struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .mode = (flags & (O_CREAT | __O_TMPFILE)) ? mode : 0,
                .resolve = RESOLVE_NO_MAGICLINKS | resolve,
        };
        long fd = -1;

        for (int i = 0; i < OPEN_TRIES; i++) {
                fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        break;
        }
        return fd < 0 ? -errno : (int) fd;
}

int root_open(int root_fd, const char *path, int flags, mode_t mode)
{
        return open_resolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT);
}

int root_open_path_same_mount(int root_fd, const char *path)
{
        return open_resolved(root_fd, path, O_PATH, 0, RESOLVE_IN_ROOT | RESOLVE_NO_XDEV);
}

int root_open_below(int dir_fd, const char *path, int flags)
{
        return open_resolved(dir_fd, path, flags | O_NOFOLLOW, 0,
                             RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

int fd_open_again(int fd, int flags)
{
        char link[64];
        int again;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        again = open(link, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK); /* no wait for a lease */
        return again < 0 ? -errno : again;
}

int root_open_path(int root_fd, const char *path, enum root_follow follow)
{
        return root_open(root_fd, path, O_PATH | (follow == ROOT_NOFOLLOW ? O_NOFOLLOW : 0), 0);
}

int root_open_parent(int root_fd, const char *path, const char **ret_name)
{
        char parent[PATH_MAX];
        const char *name = path_basename(path);
        size_t n = (size_t) (name - path);
        int fd;

        if (strchr(name, '/') || streq(name, ".") || streq(name, "..") || *name == '\0')
                return -EINVAL;
        if (n >= sizeof(parent))
                return -ENAMETOOLONG;
        memcpy(parent, path, n);
        parent[n] = '\0';
        fd = root_open(root_fd, n ? parent : "/", O_PATH | O_DIRECTORY, 0);
        if (fd >= 0)
                *ret_name = name;
        return fd;
}

/* Creates the one directory @path, whose parent exists. */
static int make_one_directory(int root_fd, const char *path, mode_t mode, uid_t uid)
{
        const char *name;
        int parent CLEANUP_FD = root_open_parent(root_fd, path, &name);

        if (parent < 0)
                return parent;
        if (mkdirat(parent, name, mode) < 0)
                return errno == EEXIST ? 0 : -errno;
        if (uid != 0 && fchownat(parent, name, uid, uid, AT_SYMLINK_NOFOLLOW) < 0)
                return -errno;
        return 0;
}

static int make_parents(int root_fd, const char *path, uid_t uid)
{
        char copy[PATH_MAX];

        size_t n = strlen(path);

        if (n >= sizeof(copy))
                return -ENAMETOOLONG;
        memcpy(copy, path, n + 1);
        for (char *p = copy + 1; *p; p++) {
                int fd CLEANUP_FD = -1;

                if (*p != '/' || p[-1] == '/')
                        continue;
                *p = '\0';
                fd = root_open(root_fd, copy, O_PATH | O_DIRECTORY, 0);
                if (fd == -ENOENT) {
                        int r = make_one_directory(root_fd, copy, 0755, uid);

                        if (r < 0)
                                return r;
                } else if (fd < 0)
                        return fd;
                *p = '/';
        }
        return 0;
}

int root_make_directory(int root_fd, const char *path, mode_t mode, uid_t uid)
{
        int fd = root_open(root_fd, path, O_PATH | O_DIRECTORY, 0), r;

        if (fd != -ENOENT)
                return fd;
        r = make_parents(root_fd, path, uid);
        if (r >= 0)
                r = make_one_directory(root_fd, path, mode, uid);
        return r < 0 ? r : root_open(root_fd, path, O_PATH | O_DIRECTORY, 0);
}

int root_make_file(int root_fd, const char *path, uid_t uid)
{
        int made CLEANUP_FD = -1;
        int fd = root_open_path(root_fd, path, ROOT_FOLLOW), r;

        if (fd != -ENOENT)
                return fd;
        r = make_parents(root_fd, path, uid);
        if (r < 0)
                return r;
        /* Not O_EXCL: the name may be a link to a file that does not exist yet, and following it
         * is harmless, since it cannot lead out of the tree. */
        made = root_open(root_fd, path, O_WRONLY | O_CREAT | O_NOCTTY | O_NONBLOCK, 0644);
        if (made < 0)
                return made;
        if (uid != 0 && fchown(made, uid, uid) < 0)
                return -errno;
        return root_open_path(root_fd, path, ROOT_FOLLOW);
}

int root_open_regular(int root_fd, const char *path, int flags, enum root_follow follow)
{
        int place CLEANUP_FD = root_open_path(root_fd, path, follow);
        struct stat st;

        if (place < 0)
                return place;
        if (fstat(place, &st) < 0)
                return -errno;
        if (S_ISLNK(st.st_mode))
                return -ELOOP;
        if (!S_ISREG(st.st_mode))
                return -EBADF;
        return fd_open_again(place, flags);
}

int root_read_file(int root_fd, const char *path, size_t max, char **ret, size_t *ret_size)
{
        int fd CLEANUP_FD = root_open_regular(root_fd, path, O_RDONLY, ROOT_FOLLOW);

        return fd < 0 ? fd : read_all(fd, max, ret, ret_size);
}
