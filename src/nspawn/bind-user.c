/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/bind-user.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/process.h"
#include "basic/root.h"
#include "basic/strv.h"

#define DATABASE_MAX ((size_t) 64 * 1024 * 1024)
#define GUEST_DATABASE_MAX ((size_t) 4 * 1024 * 1024)
#define NOBODY 65534U

static void secret_free(char *secret)
{
        if (secret)
                explicit_bzero(secret, strlen(secret));
        free(secret);
}

static void bound_user_done(struct bound_user *user)
{
        free(user->name);
        free(user->real_name);
        free(user->home);
        free(user->shell);
        secret_free(user->password);
}

void bound_users_done(struct bound_users *users)
{
        for (size_t i = 0; i < users->n; i++)
                bound_user_done(&users->list[i]);
        free(users->list);
        *users = (struct bound_users){ .n = 0 };
}

/* ---- the host's databases ---------------------------------------------------------------- */

/* Lines that begin so are instructions for NIS. */
static bool is_nis(const char *name)
{
        return name[0] == '+' || name[0] == '-';
}

/* The name of a person is the first part of that field. What a record may not have is left out. */
static char *real_name_of(const char *gecos)
{
        char *name = strndup(gecos ? gecos : "", strcspn(gecos ? gecos : "", ","));
        bool is_fine = name && *name && utf8_is_valid(name);

        for (const char *p = name; is_fine && *p; p++)
                is_fine = (unsigned char) *p >= ' ' && *p != 0x7f;
        if (is_fine)
                return name;
        free(name);
        return NULL;
}

static int take_user(const struct passwd *p, struct bound_user *ret)
{
        *ret = (struct bound_user){ .name = strdup(p->pw_name),
                                    .real_name = real_name_of(p->pw_gecos),
                                    .home = strdup(p->pw_dir),
                                    .shell = p->pw_shell[0] == '/' ? strdup(p->pw_shell) : NULL,
                                    .uid = p->pw_uid,
                                    .gid = p->pw_gid };
        if (ret->name && ret->home)
                return 0;
        bound_user_done(ret);
        return -ENOMEM;
}

int bound_user_parse(const char *text, size_t size, const char *name, struct bound_user *ret)
{
        FILE *f = size > 0 ? fmemopen((void *) text, size, "r") : NULL;
        const struct passwd *p;
        int r = -ESRCH;

        if (!f)
                return size > 0 ? -ENOMEM : -ESRCH;
        while (r == -ESRCH && (p = fgetpwent(f)))
                if (!is_nis(p->pw_name) && streq(p->pw_name, name))
                        r = take_user(p, ret);
        (void) fclose(f);
        return r;
}

/* What getent(1) says, which knows all databases that /etc/nsswitch.conf names. */
static int ask_getent(const char *database, const char *name, char **ret, size_t *ret_size)
{
        char *argv[] = { (char *) "/usr/bin/getent", (char *) database, (char *) name, NULL };
        int r = process_capture(argv, 65536, ret, ret_size);

        if (r > 0) {
                secret_free(*ret);
                *ret = NULL;
        }
        return r < 0 ? r : r > 0 ? -ESRCH : 0;
}

static int find_user(const char *name, struct bound_user *ret)
{
        char *text CLEANUP_FREE = NULL, *answer CLEANUP_FREE = NULL;
        size_t size = 0;
        int r = read_file_at(AT_FDCWD, "/etc/passwd", DATABASE_MAX, &text, &size);

        if (r < 0 && r != -ENOENT)
                return r;
        r = r < 0 ? -ESRCH : bound_user_parse(text, size, name, ret);
        if (r != -ESRCH)
                return r;
        r = ask_getent("passwd", name, &answer, &size);
        /* Where there is no such program, there are no other databases either. */
        if (r < 0)
                return r == -ENOENT ? -ESRCH : r;
        return bound_user_parse(answer, size, name, ret);
}

/* "!" and "*" stand for passwords that nothing fits; an empty one would open everything. */
static bool is_hash(const char *password)
{
        return password && password[0] != '\0' && !strpbrk(password, "!*:\n") &&
               !streq(password, "x") && utf8_is_valid(password);
}

/*
 * All by hand: the stream and the buffers of fgetspent(3) would leave everybody's passwords behind in
 * our memory, of which the small init (--as-pid2) has a copy that the container's root can read.
 */
static int take_password(const char *text, struct bound_user *user)
{
        size_t n = strlen(user->name);

        for (const char *line = text; line; line = strchr(line, '\n')) {
                char *password;

                line += *line == '\n';
                if (strncmp(line, user->name, n) != 0 || line[n] != ':')
                        continue;
                line += n + 1;
                password = strndup(line, strcspn(line, ":\n"));
                if (!password)
                        return -ENOMEM;
                if (is_hash(password))
                        user->password = password;
                else
                        secret_free(password);
                return 0;
        }
        return -ESRCH;
}

/* In one buffer that never grows, for the same reason. secret_free() the result. */
static int read_secrets(const char *path, char **ret)
{
        int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;
        char *text;
        size_t n = 0;
        ssize_t got = 1;

        if (fd < 0 || fstat(fd, &st) < 0)
                return -errno;
        if (st.st_size < 0 || st.st_size > (off_t) DATABASE_MAX)
                return -EFBIG;
        text = calloc(1, (size_t) st.st_size + 1);
        if (!text)
                return -ENOMEM;
        while (got != 0 && n < (size_t) st.st_size) {
                got = read(fd, text + n, (size_t) st.st_size - n);
                if (got < 0 && errno != EINTR) {
                        int r = -errno;

                        secret_free(text);
                        return r;
                }
                n += got > 0 ? (size_t) got : 0;
        }
        *ret = text;
        return 0;
}

/* Who may not read it, and has no container started either, does without. */
static int find_password(struct bound_user *user)
{
        char *text = NULL;
        int r = read_secrets("/etc/shadow", &text);

        if (r >= 0)
                r = take_password(text, user);
        secret_free(text);
        text = NULL;
        if (r == -ESRCH || r == -ENOENT) {
                r = ask_getent("shadow", user->name, &text, NULL);
                if (r >= 0)
                        r = take_password(text, user);
                secret_free(text);
        }
        return r == -ESRCH || r == -ENOENT || (r == -EACCES && geteuid() != 0) ? 0 : r;
}

static int check_home(const struct bound_user *user, struct failure *failure)
{
        struct stat st;

        bool is_there = user->home[0] == '/' && stat(user->home, &st) >= 0;

        if (!is_there && user->home[0] == '/' && errno != ENOENT && errno != ENOTDIR)
                return failure_set(failure, -errno,
                                   "Cannot look at the home directory '%s' of the user '%s' "
                                   "(--bind-user=): %s.",
                                   user->home, user->name, error_text(errno));
        if (!is_there || !S_ISDIR(st.st_mode))
                return failure_set(failure, -ENOENT,
                                   "Cannot bind the user '%s' (--bind-user=): its home directory "
                                   "'%s' is not there. Create it, or leave the option out.",
                                   user->name, user->home);
        if (st.st_uid != user->uid)
                return failure_set(failure, -EPERM,
                                   "Cannot bind the user '%s' (--bind-user=): its home directory "
                                   "'%s' belongs to another user. Change its owner, or leave the "
                                   "option out.",
                                   user->name, user->home);
        return 0;
}

static int read_user(const char *name, struct bound_user *ret, struct failure *failure)
{
        int r = find_user(name, ret);

        if (r == -ESRCH)
                return failure_set(failure, r,
                                   "There is no user '%s' on this host (--bind-user=%s). Check the "
                                   "name.",
                                   name, name);
        if (r < 0)
                return failure_set(failure, r, "Cannot look the user '%s' up (--bind-user=): %s.",
                                   name, error_text(r));
        if (ret->uid == 0 || ret->uid == NOBODY || ret->gid == 0 || ret->gid == NOBODY ||
            ret->uid == UINT32_MAX || ret->gid == UINT32_MAX)
                r = failure_set(
                        failure, -EPERM,
                        "Cannot bind the user '%s' (--bind-user=): neither its user id (%u) "
                        "nor its group id (%u) may be that of root or nobody. Name an "
                        "ordinary user.",
                        name, (unsigned) ret->uid, (unsigned) ret->gid);
        if (r >= 0)
                r = check_home(ret, failure);
        if (r >= 0) {
                r = find_password(ret);
                if (r < 0)
                        (void) failure_set(failure, r,
                                           "Cannot read the password of the user '%s' "
                                           "(--bind-user=): %s.",
                                           name, error_text(r));
        }
        if (r < 0)
                bound_user_done(ret);
        return r;
}

/* ---- the container's databases ----------------------------------------------------------- */

/* What the container says about names and ids. */
struct guest {
        const struct container_config *config;
        bool taken[BIND_USER_MAX];
        const char *conflict; /* a name of the configuration; NULL: none */
        const char *file;
};

static void note(struct guest *g, const char *file, const char *name, uint32_t id)
{
        if (is_nis(name))
                return;
        if (id >= BIND_USER_FIRST && id <= BIND_USER_LAST)
                g->taken[id - BIND_USER_FIRST] = true;
        STRV_FOREACH(user, g->config->bind_users)
        if (streq(*user, name)) {
                g->conflict = *user;
                g->file = file;
        }
}

static int read_guest_database(const struct tree_facts *tree, const char *path, struct guest *g)
{
        bool groups = streq(path, "/etc/group");
        char *text CLEANUP_FREE = NULL;
        const struct passwd *user = NULL;
        const struct group *group = NULL;
        size_t size = 0;
        FILE *f;
        int r = root_read_file(tree->root_fd, path, GUEST_DATABASE_MAX, &text, &size);

        /* A tree without, or with something else in its place, has no users that are in the way. */
        if (r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -EBADF || (r >= 0 && size == 0))
                return 0;
        if (r < 0)
                return r;
        f = fmemopen(text, size, "r");
        if (!f)
                return -ENOMEM;
        while (groups ? (group = fgetgrent(f)) != NULL : (user = fgetpwent(f)) != NULL)
                note(g, path, groups ? group->gr_name : user->pw_name,
                     groups ? group->gr_gid : user->pw_uid);
        (void) fclose(f);
        return 0;
}

static int read_guest(const struct tree_facts *tree, struct guest *g, struct failure *failure)
{
        static const char *const files[] = { "/etc/passwd", "/etc/group" };

        for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
                int r = read_guest_database(tree, files[i], g);

                if (r < 0)
                        return failure_set(failure, r,
                                           "Cannot read '%s' of the container (--bind-user=): %s.",
                                           files[i], error_text(r));
        }
        if (g->conflict)
                return failure_set(
                        failure, -EEXIST,
                        "Cannot bind the user '%s' (--bind-user=): the name is in '%s' of "
                        "the container already. Remove it there, or leave the option out.",
                        g->conflict, g->file);
        return 0;
}

static int choose_ids(struct bound_users *users, const struct guest *g, struct failure *failure)
{
        size_t next = 0;

        for (size_t i = 0; i < users->n; i++) {
                while (next < BIND_USER_MAX && g->taken[next])
                        next++;
                if (next == BIND_USER_MAX)
                        return failure_set(failure, -EBUSY,
                                           "Cannot bind the user '%s' (--bind-user=): all user ids "
                                           "from %u to %u are in use in the container. Bind fewer "
                                           "users.",
                                           users->list[i].name, BIND_USER_FIRST, BIND_USER_LAST);
                users->list[i].inside = BIND_USER_FIRST + (uid_t) next++;
        }
        return 0;
}

int bound_users_read(const struct container_config *c, const struct tree_facts *tree,
                     struct bound_users *ret, struct failure *failure)
{
        struct bound_users users = { .n = 0 };
        struct guest guest = { .config = c };
        size_t n = strv_length(c->bind_users);
        int r = 0;

        *ret = users;
        if (n == 0)
                return 0;
        users.list = calloc(n, sizeof(*users.list));
        if (!users.list)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        while (r >= 0 && users.n < n) {
                r = read_user(c->bind_users[users.n], &users.list[users.n], failure);
                if (r >= 0)
                        users.n++;
        }
        if (r >= 0)
                r = read_guest(tree, &guest, failure);
        if (r >= 0)
                r = choose_ids(&users, &guest, failure);
        if (r < 0) {
                bound_users_done(&users);
                return r;
        }
        *ret = users;
        return 0;
}
