/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"
#include "basic/strv.h"

/* A file may be removed by its last holder between our open and our lock: then the lock is on a
 * file without a name, and we begin again. */
#define LOCK_TRIES 64

static int set_lock(int fd, short type)
{
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

        return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static bool has_inode(const char *line, const struct stat *st)
{
        char inode[64];

        (void) snprintf(inode, sizeof(inode), "%02x:%02x:%llu", major(st->st_dev),
                        minor(st->st_dev), (unsigned long long) st->st_ino);
        return strstr(line, inode) != NULL;
}

/* Whether process @pid has the file open as the lock's holder: /proc/locks has no pid for locks of
 * open file descriptions, but /proc/PID/fdinfo/N tells "lock:" lines (proc(5)). */
static bool holds_lock(const char *pid, const struct stat *st)
{
        char path[64];

        for (int fd = 3; fd < 64; fd++) {
                char *info CLEANUP_FREE = NULL;
                const char *line;

                (void) snprintf(path, sizeof(path), "/proc/%s/fdinfo/%d", pid, fd);
                if (read_file_at(AT_FDCWD, path, 65536, &info, NULL) < 0)
                        continue;
                line = strstr(info, "lock:");
                if (line && has_inode(line, st))
                        return true;
        }
        return false;
}

/* Looked for only when a start has failed already; so its cost does not matter. */
static pid_t find_holder(int fd)
{
        char children[64];
        char *list CLEANUP_FREE = NULL;
        struct stat st;

        if (fstat(fd, &st) < 0)
                return 0;
        (void) snprintf(children, sizeof(children), "/proc/sys/kernel/pid_max");
        if (read_file_at(AT_FDCWD, children, 64, &list, NULL) < 0)
                return 0;
        for (long pid = 1, max = strtol(list, NULL, 10); pid < max; pid++) { /* NOLINT */
                char name[32];

                (void) snprintf(name, sizeof(name), "/proc/%ld", pid);
                if (access(name, F_OK) < 0)
                        continue;
                (void) snprintf(name, sizeof(name), "%ld", pid);
                if (holds_lock(name, &st))
                        return (pid_t) pid;
        }
        return 0;
}

static bool still_has_name(int fd, const char *path)
{
        struct stat a, b;

        return fstat(fd, &a) == 0 && lstat(path, &b) == 0 && a.st_dev == b.st_dev &&
               a.st_ino == b.st_ino;
}

int lock_file_acquire(const char *path, enum lock_kind kind, struct lock_file *ret,
                      pid_t *ret_holder)
{
        char *copy CLEANUP_FREE = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (int i = 0; i < LOCK_TRIES; i++) {
                int fd CLEANUP_FD = open(path,
                                         O_RDWR | O_CREAT | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC,
                                         0600);
                int r;

                if (fd < 0)
                        return -errno;
                r = set_lock(fd, kind == LOCK_SHARED ? F_RDLCK : F_WRLCK);
                if (r == -EAGAIN || r == -EACCES) {
                        if (ret_holder)
                                *ret_holder = find_holder(fd);
                        return -EBUSY;
                }
                if (r < 0)
                        return r;
                if (!still_has_name(fd, path))
                        continue;
                *ret = (struct lock_file) { .path = TAKE_PTR(copy), .fd = TAKE_FD(fd) };
                return 0;
        }
        return -EBUSY;
}

void lock_file_release(struct lock_file *lock)
{
        /* Only who can have it alone may remove the name; other holders still rely on it. */
        if (lock->fd >= 0 && set_lock(lock->fd, F_WRLCK) >= 0)
                (void) unlink(lock->path);
        lock->fd = fd_close(lock->fd);
        free(lock->path);
        lock->path = NULL;
}
