/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/user-lookup.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>

#include "basic/parse.h"
#include "basic/root.h"

#define DATABASE_MAX ((size_t) 4 * 1024 * 1024)

/*
 * The file as a stream; @ret_text has to stay as long as it is read. *@ret is NULL, and that is no
 * error, where the tree has no such file: a link to nowhere or something else in its place is none.
 */
static int open_database(int root_fd, const char *path, char **ret_text, FILE **ret)
{
        size_t size = 0;
        int r = root_read_file(root_fd, path, DATABASE_MAX, ret_text, &size);

        *ret = NULL;
        if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EBADF || r == -EFBIG ||
            (r >= 0 && size == 0))
                return 0;
        if (r < 0)
                return r;
        *ret = fmemopen(*ret_text, size, "r");
        return *ret ? 0 : -ENOMEM;
}

/* To setresuid(2) and its like this number means "leave as it is", which is root. */
static bool id_is_impossible(uint32_t id)
{
        return id == UINT32_MAX;
}

/* Lines that begin so are instructions for NIS; the C library leaves most of their fields empty. */
static bool is_nis(const char *name)
{
        return name[0] == '+' || name[0] == '-';
}

static int take_user(const struct passwd *p, struct user_entry *ret)
{
        if (id_is_impossible(p->pw_uid) || id_is_impossible(p->pw_gid))
                return -EINVAL;
        *ret = (struct user_entry){ .uid = p->pw_uid,
                                    .gid = p->pw_gid,
                                    .name = strdup(p->pw_name),
                                    .home = strdup(p->pw_dir) };
        return ret->name && ret->home ? 0 : -ENOMEM;
}

static int find_user(int root_fd, const char *user, bool is_number, uint32_t number,
                     struct user_entry *ret)
{
        char *text CLEANUP_FREE = NULL;
        FILE *f = NULL;
        const struct passwd *p = NULL;
        int r = open_database(root_fd, "/etc/passwd", &text, &f);

        if (!f)
                return r < 0 ? r : -ESRCH;
        r = -ESRCH;
        while ((p = fgetpwent(f)))
                if (!is_nis(p->pw_name) &&
                    (is_number ? p->pw_uid == number : streq(p->pw_name, user))) {
                        r = take_user(p, ret);
                        break;
                }
        (void) fclose(f);
        return r;
}

static int find_groups(int root_fd, struct user_entry *entry)
{
        char *text CLEANUP_FREE = NULL;
        FILE *f = NULL;
        const struct group *g;
        int r = open_database(root_fd, "/etc/group", &text, &f);

        entry->groups[entry->n_groups++] = entry->gid;
        if (!f)
                return r;
        while (entry->n_groups < USER_MAX_GROUPS && (g = fgetgrent(f)))
                for (size_t i = 0; !is_nis(g->gr_name) && g->gr_mem[i]; i++)
                        if (streq(g->gr_mem[i], entry->name) && g->gr_gid != entry->gid &&
                            !id_is_impossible(g->gr_gid)) {
                                entry->groups[entry->n_groups++] = g->gr_gid;
                                break;
                        }
        (void) fclose(f);
        return 0;
}

int user_lookup(int root_fd, const char *user, struct user_entry *ret)
{
        struct user_entry entry = { .name = NULL };
        uint32_t number = 0;
        bool is_number = parse_uid(user, &number) >= 0;
        int r = find_user(root_fd, user, is_number, number, &entry);

        if (r == -ESRCH && is_number) {
                entry = (struct user_entry){
                        .uid = number, .gid = number, .n_groups = 1, .groups = { number }
                };
                r = 0;
        } else if (r >= 0)
                r = find_groups(root_fd, &entry);
        if (r < 0) {
                user_entry_done(&entry);
                return r;
        }
        *ret = entry;
        return 0;
}

void user_entry_done(struct user_entry *entry)
{
        free(entry->name);
        free(entry->home);
        *entry = (struct user_entry){ .name = NULL };
}
