/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/parse.h"

/* A file may be removed by its last holder between our open and our lock: then the lock is on a
 * file without a name, and we begin again. */
#define LOCK_TRIES 64
/* A holder that was killed lets go at its end, which may take a moment; each wait is longer. */
#define DYING_WAITS 16

static int set_lock(int fd, short type)
{
        struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

        while (fcntl(fd, F_OFD_SETLK, &lock) < 0)
                if (errno != EINTR) /* file systems of other hosts wait for those */
                        return -errno;
        return 0;
}

static bool has_inode(const char *line, const struct stat *st)
{
        char inode[64];

        (void) snprintf(inode, sizeof(inode), "%02x:%02x:%llu ", major(st->st_dev),
                        minor(st->st_dev), (unsigned long long) st->st_ino);
        return strstr(line, inode) != NULL;
}

/* Whether process @pid has the file open as the lock's holder: /proc/locks has no pid for locks of
 * open file descriptions, but /proc/PID/fdinfo/N tells "lock:" lines (proc(5)). */
static bool holds_lock(const char *pid, const struct stat *st)
{
        char path[512];

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
        DIR *proc = opendir("/proc");
        pid_t holder = 0;
        struct stat st;

        if (!proc)
                return 0;
        if (fstat(fd, &st) >= 0)
                for (const struct dirent *e = readdir(proc); e && !holder; e = readdir(proc)) {
                        unsigned long pid = 0;

                        if (parse_ulong(e->d_name, 1, INT_MAX, &pid) >= 0 &&
                            holds_lock(e->d_name, &st))
                                holder = (pid_t) pid;
                }
        (void) closedir(proc);
        return holder;
}

static bool still_has_name(int fd)
{
        struct stat st;

        return fstat(fd, &st) == 0 && st.st_nlink > 0;
}

int lock_file_acquire(const char *path, enum lock_kind kind, struct lock_file *ret,
                      pid_t *ret_holder)
{
        char *copy CLEANUP_FREE = strdup(path);
        int waits = 0;

        if (!copy)
                return -ENOMEM;
        for (int i = 0; i < LOCK_TRIES; i++) {
                int fd CLEANUP_FD =
                        open(path, O_RDWR | O_CREAT | O_NOCTTY | O_NOFOLLOW | O_CLOEXEC, 0600);
                int r;

                if (fd < 0)
                        return -errno;
                r = set_lock(fd, kind == LOCK_SHARED ? F_RDLCK : F_WRLCK);
                if (r == -EAGAIN || r == -EACCES) {
                        if (!ret_holder)
                                return -EBUSY;
                        *ret_holder = find_holder(fd);
                        if (*ret_holder || waits == DYING_WAITS)
                                return -EBUSY;
                        (void) poll(NULL, 0, 4 * waits++);
                        continue;
                }
                if (r < 0)
                        return r;
                if (!still_has_name(fd))
                        continue;
                *ret = (struct lock_file){ .path = TAKE_PTR(copy),
                                           .fd = TAKE_FD(fd),
                                           .kind = kind };
                return 0;
        }
        return -EBUSY;
}

#define WAIT_STEP_MS 20
#define WAIT_STEPS 750

int lock_file_acquire_waiting(const char *path, struct lock_file *ret)
{
        int fd CLEANUP_FD = open(path, O_WRONLY | O_CREAT | O_NOCTTY | O_CLOEXEC, 0600);

        if (fd < 0)
                return -errno;
        /* Open-file-description locks conflict with the POSIX locks of other programs, and unlike
         * those do not vanish when any other descriptor of the file is closed. */
        for (int i = 0; i < WAIT_STEPS; i++) {
                const struct timespec step = { .tv_nsec = WAIT_STEP_MS * 1000000L };
                int r = set_lock(fd, F_WRLCK);

                if (r >= 0) {
                        *ret = (struct lock_file){ .path = NULL, .fd = TAKE_FD(fd) };
                        return 0;
                }
                if (r != -EAGAIN && r != -EACCES)
                        return r;
                (void) nanosleep(&step, NULL);
        }
        return -EBUSY;
}

#define PATIENCE_STEP_US 500
#define PATIENCE_STEPS 30000

int lock_file_acquire_patiently(const char *path, struct lock_file *ret)
{
        const struct timespec step = { .tv_nsec = PATIENCE_STEP_US * 1000L };

        for (int i = 0; i < PATIENCE_STEPS; i++) {
                int r = lock_file_acquire(path, LOCK_EXCLUSIVE, ret, NULL);

                if (r != -EBUSY)
                        return r;
                (void) nanosleep(&step, NULL);
        }
        return -EBUSY;
}

void lock_file_release(struct lock_file *lock)
{
        /* Only who can have it alone may remove the name; other holders still rely on it. */
        if (lock->fd >= 0 && lock->path &&
            (lock->kind == LOCK_EXCLUSIVE || set_lock(lock->fd, F_WRLCK) >= 0))
                (void) unlink(lock->path);
        lock->fd = fd_close(lock->fd);
        free(lock->path);
        lock->path = NULL;
}
