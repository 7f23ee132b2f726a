/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/lease-store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/parse.h"

/* What happens when there is no number left. Everybody else is kept out by the lock meanwhile, so
 * that nobody begins to use a number that is just being taken away. */

struct candidate {
        size_t folder;
        uint32_t number; /* 0: none */
        time_t used;
        char owner[LEASE_NAME_SIZE];
};

/* Whether the owner's entry by name leads here: else the one who claimed it did not live to use it. */
static bool is_known_by_name(int fd, uint32_t number, const char *owner)
{
        char text[LEASE_NAME_SIZE];
        unsigned long found;

        return read_link(fd, BY_NAME, owner, text) >= 0 &&
               parse_ulong(text, LEASE_FIRST_NUMBER, UINT32_MAX, &found) >= 0 && found == number;
}

/* Looks at one claim; @best becomes it if it can be taken away, and was used earlier than @best. */
static void consider(const struct store *s, size_t folder, const char *name, struct candidate *best)
{
        struct candidate c = { .folder = folder };
        char path[32];
        unsigned long number;
        struct stat st;

        if (parse_ulong(name, LEASE_FIRST_NUMBER, UINT32_MAX, &number) < 0 ||
            !number_is_possible(s->request, (uint32_t) number))
                return;
        c.number = (uint32_t) number;
        (void) snprintf(path, sizeof(path), BY_NUMBER "/%u", c.number);
        if (fstatat(s->fd[folder], path, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
            read_owner(s->fd[folder], c.number, c.owner) < 0)
                return;
        c.used = st.st_mtim.tv_sec;
        if (!is_known_by_name(s->fd[folder], c.number, c.owner))
                c.used = 0;
        if (c.used > time(NULL) - LEASE_REST_SECONDS || (best->number && best->used <= c.used) ||
            (s->folders->is_used && s->folders->is_used(c.owner)))
                return;
        *best = c;
}

static int consider_all(const struct store *s, size_t folder, struct candidate *best)
{
        int fd = openat(s->fd[folder], BY_NUMBER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *dir = fd < 0 ? NULL : fdopendir(fd);

        if (!dir) {
                int r = errno == ENOENT ? 0 : -errno;

                if (fd >= 0)
                        (void) close(fd);
                return r;
        }
        for (const struct dirent *e = readdir(dir); e; e = readdir(dir))
                if (startswith(e->d_name, ".#") && !s->request->dry_run)
                        remove_link(s->fd[folder], BY_NUMBER, e->d_name); /* of a dead process */
                else
                        consider(s, folder, e->d_name, best);
        (void) closedir(dir);
        return 0;
}

int lease_reclaim(struct store *s, uint32_t *ret)
{
        struct candidate best = { .number = 0 };
        char name[16];
        int fd, r = 0;

        for (size_t i = 0; r >= 0 && i < N_FOLDERS; i++)
                if (s->fd[i] >= 0)
                        r = consider_all(s, i, &best);
        if (r < 0 || best.number == 0)
                return r;
        *ret = best.number;
        if (s->request->dry_run)
                return 1;
        fd = s->fd[best.folder];
        (void) snprintf(name, sizeof(name), "%u", best.number);
        /* The claim changes hands at once. The old owner's entry by name is nothing without it. */
        r = replace_link(fd, BY_NUMBER, name, s->request->machine);
        if (r >= 0)
                r = replace_link(fd, BY_NAME, s->request->machine, name);
        if (r >= 0 && !streq(best.owner, s->request->machine))
                remove_link(fd, BY_NAME, best.owner);
        return r < 0 ? r : 1;
}
