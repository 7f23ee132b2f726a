/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/log.h"
#include "basic/remove-tree.h"

/* An open and locked directory that still has its name. -EBUSY: locked by somebody; -ESTALE: gone. */
static int open_locked(int dir_fd, const char *name)
{
        int fd CLEANUP_FD = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat st, now;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        /* Between our opening and locking somebody may have removed it. */
        if (fstatat(dir_fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -ESTALE : -errno;
        if (now.st_ino != st.st_ino || now.st_dev != st.st_dev)
                return -ESTALE;
        return TAKE_FD(fd);
}

/* ---- the folder -------------------------------------------------------------------------- */

/* Anybody may make a name like ours; only root a directory that is closed and root's. */
static bool is_ours(int dir_fd, const char *name)
{
        struct stat st;

        return startswith(name, SCRATCH_PREFIX) &&
               fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode) &&
               st.st_uid == 0 && (st.st_mode & 07777) == 0700;
}

static void remove_leftover(int place_fd, const char *name)
{
        int fd CLEANUP_FD = open_locked(place_fd, name);
        int r = fd < 0 ? fd : remove_tree(place_fd, name);

        if (r < 0 && r != -EBUSY && r != -ENOENT && r != -ESTALE)
                log_warning("Cannot remove '" SCRATCH_PLACE "/%s', which an earlier start left "
                            "behind: %s.",
                            name, error_text(r));
}

/* What cannot be looked at does no harm, but takes space. */
static void remove_leftovers(int place_fd)
{
        int copy = fd_copy(place_fd);
        DIR *dir = copy < 0 ? NULL : fdopendir(copy);
        const struct dirent *entry;

        if (!dir) {
                log_warning("Cannot look for leftovers in '" SCRATCH_PLACE "': %s.",
                            error_text(copy < 0 ? copy : -errno));
                (void) fd_close(copy);
                return;
        }
        while (errno = 0, (entry = readdir(dir)))
                if (is_ours(place_fd, entry->d_name))
                        remove_leftover(place_fd, entry->d_name);
        if (errno != 0)
                log_warning("Cannot look for leftovers in '" SCRATCH_PLACE "': %s.",
                            error_text(-errno));
        (void) closedir(dir);
}

static int make_one_folder(struct scratch *s, const char *machine)
{
        char text[ID128_TEXT_SIZE];
        struct id128 id;
        int r = id128_random(&id);

        if (r < 0)
                return r;
        id128_to_plain(&id, text);
        if (asprintf(&s->name, SCRATCH_PREFIX "%s-%.12s", machine, text) < 0) {
                s->name = NULL;
                return -ENOMEM;
        }
        if (mkdirat(s->place_fd, s->name, 0700) < 0) {
                r = -errno;
                free(s->name);
                s->name = NULL;
                return r;
        }
        s->fd = open_locked(s->place_fd, s->name);
        if (s->fd >= 0)
                return 0;
        if (s->fd != -EBUSY) /* who has locked it removes it */
                (void) unlinkat(s->place_fd, s->name, AT_REMOVEDIR);
        free(s->name);
        s->name = NULL;
        return s->fd;
}

static int make_folder(struct scratch *s, const char *machine)
{
        int r = -EBUSY;

        /* Before it is locked, another start may take it for a leftover. */
        for (int i = 0; i < 8 && (r == -EBUSY || r == -ESTALE || r == -ENOENT); i++)
                r = make_one_folder(s, machine);
        return r;
}

static int make_directories_in(const struct scratch *s, size_t n, uid_t owner)
{
        for (size_t i = 0; i < n; i++) {
                char name[32];

                (void) snprintf(name, sizeof(name), "%zu", i);
                if (mkdirat(s->fd, name, 0755) < 0 ||
                    (owner != 0 && fchownat(s->fd, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0))
                        return -errno;
        }
        return 0;
}

int scratch_make(struct scratch *s, const char *machine, size_t n, uid_t owner,
                 struct failure *failure)
{
        int r = 0;

        s->place_fd = open(SCRATCH_PLACE, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (s->place_fd < 0)
                r = -errno;
        else
                remove_leftovers(s->place_fd);
        if (r >= 0)
                r = make_folder(s, machine);
        if (r >= 0)
                r = make_directories_in(s, n, owner);
        return r < 0 ? failure_set(failure, r,
                                   "Cannot make a temporary directory in '" SCRATCH_PLACE "': %s.",
                                   error_text(r))
                     : 0;
}

/* ---- work directories -------------------------------------------------------------------- */

/* The same name each time, so that a leftover is used again. */
static char *work_name(const char *upper)
{
        char *name = NULL;

        return asprintf(&name, ".#%.*s.work", NAME_MAX - 16, upper) < 0 ? NULL : name;
}

static int make_work(struct scratch_work *work)
{
        if (mkdirat(work->parent_fd, work->name, 0700) < 0 && errno != EEXIST)
                return -errno;
        work->fd = open_locked(work->parent_fd, work->name);
        return work->fd < 0 ? work->fd : 0;
}

int scratch_add_work(struct scratch *s, int parent_fd, const char *name, const char **ret_name)
{
        struct scratch_work *grown = realloc(s->works, (s->n_works + 1) * sizeof(*grown));
        struct scratch_work work = { .parent_fd = -1, .fd = -1 };
        int r = -ENOMEM;

        if (!grown)
                return -ENOMEM;
        s->works = grown;
        work.name = work_name(name);
        if (work.name)
                r = work.parent_fd = fd_copy(parent_fd);
        if (r >= 0)
                r = make_work(&work);
        if (r == -ESTALE) /* who had it before has just ended */
                r = make_work(&work);
        if (r < 0) {
                (void) fd_close(work.parent_fd);
                free(work.name);
                return r;
        }
        *ret_name = work.name;
        s->works[s->n_works++] = work;
        return 0;
}

/* ---- the end ----------------------------------------------------------------------------- */

static void scratch_work_done(struct scratch_work *work)
{
        int r = remove_tree(work->parent_fd, work->name);

        if (r < 0)
                log_warning("Cannot remove the overlay's work directory '%s': %s.", work->name,
                            error_text(r));
        (void) fd_close(work->fd);
        (void) fd_close(work->parent_fd);
        free(work->name);
}

void scratch_done(struct scratch *s)
{
        for (size_t i = 0; i < s->n_works; i++)
                scratch_work_done(&s->works[i]);
        free(s->works);
        if (s->name) {
                int r = remove_tree(s->place_fd, s->name);

                if (r < 0)
                        log_warning("Cannot remove the temporary directory '" SCRATCH_PLACE
                                    "/%s': %s.",
                                    s->name, error_text(r));
        }
        free(s->name);
        (void) fd_close(s->fd);
        (void) fd_close(s->place_fd);
        *s = (struct scratch) SCRATCH_NULL;
}
