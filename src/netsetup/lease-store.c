/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/lease-store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"

#define LOCK_STEP_MS 5
#define LOCK_STEPS 1000

bool lease_is_unwritable(int error)
{
        return error == -EROFS || error == -EACCES || error == -EPERM || error == -ENOSPC ||
               error == -EDQUOT;
}

/* ---- folders ----------------------------------------------------------------------------- */

/* All others have it only for the time of some calls. */
static int lock_folder(int fd, int kind)
{
        const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000L };

        for (int i = 0; i < LOCK_STEPS; i++) {
                if (flock(fd, kind | LOCK_NB) >= 0)
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return -errno;
                (void) nanosleep(&step, NULL);
        }
        return -EBUSY;
}

int open_network_folder(const char *path, const char *network)
{
        char name[512];
        int fd;

        if (snprintf(name, sizeof(name), "%s/%s", path, network) >= (int) sizeof(name))
                return -ENAMETOOLONG;
        fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

int store_fail(const struct store *s, int error, const char *what)
{
        return failure_set(s->failure, error, "Cannot %s in '%s/%s': %s.", what, s->path[s->home],
                           s->request->network, error_text(error));
}

void store_close(const struct store *s)
{
        for (size_t i = 0; i < N_FOLDERS; i++)
                (void) fd_close(s->fd[i]);
}

int store_open(struct store *s, int kind)
{
        for (size_t i = 0; i < N_FOLDERS; i++) {
                int r = open_network_folder(s->path[i], s->request->network);

                /* Anybody may ask what would be. */
                if (r == -ENOENT || (r == -EACCES && s->request->dry_run))
                        continue;
                s->fd[i] = r;
                if (r >= 0 && !s->request->dry_run)
                        r = lock_folder(s->fd[i], kind);
                if (r < 0) {
                        s->home = i;
                        return store_fail(s, r, "look up addresses");
                }
        }
        return 0;
}

static int make_folders(const char *path, const char *network)
{
        static const char *const folders[] = { BY_NUMBER, BY_NAME };
        char name[512];
        int r = make_directories(path, 0755);

        for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(folders); i++) {
                if (snprintf(name, sizeof(name), "%s/%s/%s", path, network, folders[i]) >=
                    (int) sizeof(name))
                        return -ENAMETOOLONG;
                /* Whoever can open them can lock them. */
                r = make_directories(name, 0700);
        }
        return r;
}

int store_prepare(struct store *s)
{
        int r = -EROFS;

        for (; s->home < N_FOLDERS; s->home++) {
                int *fd = &s->fd[s->home];

                r = make_folders(s->path[s->home], s->request->network);
                if (r >= 0 && *fd < 0) {
                        r = open_network_folder(s->path[s->home], s->request->network);
                        *fd = r;
                        if (r >= 0)
                                r = lock_folder(*fd, LOCK_SH);
                }
                if (!lease_is_unwritable(r) || s->home + 1 == N_FOLDERS)
                        break;
        }
        return r < 0 ? store_fail(s, r, "make the folders of addresses") : 0;
}

/* ---- links ------------------------------------------------------------------------------- */

/* The content of a link; "" if it is not there. */
int read_link(int fd, const char *folder, const char *name, char ret[LEASE_NAME_SIZE])
{
        char path[LEASE_NAME_SIZE + 16];
        ssize_t n;

        ret[0] = '\0';
        if (fd < 0)
                return 0;
        (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
        n = readlinkat(fd, path, ret, LEASE_NAME_SIZE);
        if (n < 0 && (errno == ENOENT || errno == EINVAL))
                return 0;
        if (n < 0)
                return -errno;
        ret[n < LEASE_NAME_SIZE ? n : 0] = '\0'; /* what is longer is not ours */
        return 0;
}

int read_owner(int fd, uint32_t number, char ret[LEASE_NAME_SIZE])
{
        char name[16];

        (void) snprintf(name, sizeof(name), "%u", number);
        return read_link(fd, BY_NUMBER, name, ret);
}

int make_link(int fd, const char *folder, const char *name, const char *content)
{
        char path[LEASE_NAME_SIZE + 16];

        (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
        return symlinkat(content, fd, path) < 0 ? -errno : 0;
}

/* Puts a link in the place of another one, at once. */
int replace_link(int fd, const char *folder, const char *name, const char *content)
{
        char temporary[LEASE_NAME_SIZE + 32], from[LEASE_NAME_SIZE + 64], to[LEASE_NAME_SIZE + 16];
        int r;

        (void) snprintf(temporary, sizeof(temporary), ".#%s.%d", name, (int) getpid());
        (void) snprintf(from, sizeof(from), "%s/%s", folder, temporary);
        (void) snprintf(to, sizeof(to), "%s/%s", folder, name);
        (void) unlinkat(fd, from, 0); /* that of a dead process with our number */
        if (symlinkat(content, fd, from) < 0)
                return -errno;
        if (renameat(fd, from, fd, to) >= 0)
                return 0;
        r = -errno;
        (void) unlinkat(fd, from, 0);
        return r;
}

void remove_link(int fd, const char *folder, const char *name)
{
        char path[LEASE_NAME_SIZE + 16];

        (void) snprintf(path, sizeof(path), "%s/%s", folder, name);
        (void) unlinkat(fd, path, 0);
}

void drop_number(int fd, uint32_t number)
{
        char name[16];

        (void) snprintf(name, sizeof(name), "%u", number);
        remove_link(fd, BY_NUMBER, name);
}

bool number_is_possible(const struct lease_request *q, uint32_t number)
{
        if (number < LEASE_FIRST_NUMBER || number > q->count - 2)
                return false;
        for (size_t i = 0; i < q->n_avoid; i++)
                if (q->avoid[i] == number)
                        return false;
        return true;
}
