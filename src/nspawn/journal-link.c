/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/journal-link.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/mount-api.h"
#include "basic/root.h"

const char *journal_way_name(enum journal_way way)
{
        static const char *const names[] = {
                [JOURNAL_OFF] = "off", [JOURNAL_OF_GUEST] = "guest", [JOURNAL_OF_HOST] = "host"
        };

        static_assert(ARRAY_SIZE(names) == JOURNAL_OF_HOST + 1, "every way has a name");
        return names[way];
}

static void make_path(const struct id128 *id, char path[JOURNAL_PATH_SIZE])
{
        char text[ID128_TEXT_SIZE];

        id128_to_plain(id, text);
        (void) snprintf(path, JOURNAL_PATH_SIZE, JOURNAL_FOLDER "/%s", text);
}

/* ---- facts ------------------------------------------------------------------------------- */

static bool is_not_there(int error)
{
        return error == -ENOENT || error == -ENOTDIR || error == -ELOOP;
}

/* 1: the host has this id; 0: it has another one, or none. */
static int host_has_id(const struct id128 *id)
{
        char text[ID128_TEXT_SIZE + 1];
        struct id128 host;
        int r = read_line_at(AT_FDCWD, "/etc/machine-id", text, sizeof(text));

        if (r < 0)
                return is_not_there(r) ? 0 : r;
        return id128_parse(text, &host) >= 0 && memcmp(&host, id, sizeof(host)) == 0;
}

static int host_has_folder(void)
{
        struct stat st;

        if (stat(JOURNAL_FOLDER, &st) < 0)
                return is_not_there(-errno) ? 0 : -errno;
        return S_ISDIR(st.st_mode);
}

/* Takes @fd, which may be an error. 1: something is mounted there. */
static int is_mount_take_fd(int fd)
{
        int place CLEANUP_FD = fd;

        return fd < 0 ? (is_not_there(fd) ? 0 : fd) : mount_is_root(place);
}

static int look_at_entry(const char *path, struct journal_facts *facts)
{
        int fd CLEANUP_FD = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0)
                return is_not_there(-errno) ? 0 : -errno;
        if (fstat(fd, &st) < 0)
                return -errno;
        facts->entry = S_ISLNK(st.st_mode)   ? JOURNAL_LINK
                       : S_ISDIR(st.st_mode) ? JOURNAL_DIRECTORY
                                             : JOURNAL_OTHER;
        r = mount_is_root(fd);
        facts->is_mounted = r > 0;
        return MIN_OF(r, 0);
}

static int look(const char *path, const struct tree_facts *tree, const struct id128 *id,
                struct journal_facts *facts)
{
        int r = host_has_id(id);

        facts->is_host_id = r > 0;
        if (r >= 0) {
                r = host_has_folder();
                facts->has_folder = r > 0;
        }
        if (r >= 0)
                r = look_at_entry(path, facts);
        if (r >= 0) {
                r = is_mount_take_fd(root_open_path(tree->root_fd, path, ROOT_NOFOLLOW));
                facts->is_mounted = facts->is_mounted || r > 0;
        }
        return MIN_OF(r, 0);
}

int journal_facts_read(const struct container_config *c, const struct tree_facts *tree,
                       const struct id128 *id, bool id_is_new, struct journal_facts *ret,
                       struct failure *failure)
{
        struct journal_facts facts = { .known = true };
        char path[JOURNAL_PATH_SIZE];
        int r;

        *ret = (struct journal_facts){ .known = false };
        /* A throw-away container has another journal each time, which nobody would look for. */
        if (c->link_journal == LINK_JOURNAL_NO || c->ephemeral)
                return 0;
        make_path(id, path);
        /* Nobody asked, and there is no journal of this container: the way of nearly every start.
         * What runs without an init writes no journal. */
        if (c->link_journal == LINK_JOURNAL_DEFAULT &&
            (c->start_mode != START_BOOT || id_is_new || access(path, F_OK) < 0))
                return 0;
        r = look(path, tree, id, &facts);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot look at the place '%s' for the journal "
                                   "(--link-journal=): %s. Use --link-journal=no.",
                                   path, error_text(r));
        *ret = facts;
        return 0;
}

/* ---- plan -------------------------------------------------------------------------------- */

/* Why the journal cannot be linked, as a sentence's first part; NULL if it can. */
static const char *find_obstacle(const struct journal_facts *facts)
{
        if (facts->is_host_id)
                return "the container has the machine id of the host, whose own journal is there";
        if (facts->is_mounted)
                return "something is mounted there already";
        if (facts->entry == JOURNAL_OTHER)
                return "what is there is no directory";
        return NULL;
}

static int give_up(struct journal_plan *plan, const char *why, const char *advice,
                   struct failure *failure)
{
        if (plan->try) {
                plan->left_out = why;
                return 0;
        }
        return failure_set(failure, -EEXIST,
                           "Cannot link the journal at '%s' (--link-journal=): %s. %s", plan->path,
                           why, advice);
}

int journal_plan_build(const struct container_config *c, const struct journal_facts *facts,
                       const struct id128 *id, struct journal_plan *ret, struct failure *failure)
{
        bool is_automatic =
                c->link_journal == LINK_JOURNAL_DEFAULT || c->link_journal == LINK_JOURNAL_AUTO;
        struct journal_plan plan = { .try = is_automatic || c->link_journal_try,
                                     .is_covered = c->volatile_mode != VOLATILE_NO };
        const char *obstacle;
        int r = 0;

        if (!facts || !facts->known) {
                *ret = plan;
                return 0;
        }
        make_path(id, plan.path);
        obstacle = find_obstacle(facts);
        if (is_automatic && facts->entry != JOURNAL_DIRECTORY)
                ; /* only what is there already is used */
        else if (obstacle)
                r = give_up(&plan, obstacle, "Use --link-journal=no.", failure);
        else if (plan.is_covered && c->link_journal == LINK_JOURNAL_GUEST)
                r = give_up(&plan, "the container's own journal is forgotten (--volatile)",
                            "Use --link-journal=host.", failure);
        else if (!facts->has_folder && !plan.try)
                r = failure_set(failure, -ENOENT,
                                "Cannot link the journal (--link-journal=): this host keeps none "
                                "in '%s'. Create that directory, or use --link-journal=no.",
                                JOURNAL_FOLDER);
        else if (facts->has_folder)
                plan.way =
                        c->link_journal == LINK_JOURNAL_GUEST ? JOURNAL_OF_GUEST : JOURNAL_OF_HOST;
        if (r >= 0)
                *ret = plan;
        return r;
}

/* ---- execution --------------------------------------------------------------------------- */

/* The folder in the tree, made if it is missing and may be made. Returns an O_PATH descriptor. */
static int open_inside(const struct journal_plan *plan, const struct tree_facts *tree,
                       bool writable, uid_t owner)
{
        int fd;

        if (writable)
                return root_make_directory(tree->root_fd, plan->path, 0755, owner);
        fd = root_open(tree->root_fd, plan->path, O_PATH | O_DIRECTORY, 0);
        return fd == -ENOENT ? -EROFS : fd;
}

/* Where an open folder of the tree is for the host. -ELOOP if it is not where it should be: the
 * link would lead through one of the guest's, and so wherever the guest wants. */
static int check_place(int fd, const char *target)
{
        char link[64], place[PATH_MAX];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, place, sizeof(place) - 1);
        if (n < 0)
                return -errno;
        place[n] = '\0';
        return streq(place, target) ? 0 : -ELOOP;
}

/* Takes a link, or an empty directory, out of the way. */
static int clear_place(const char *path)
{
        if (unlink(path) == 0 || errno == ENOENT)
                return 0;
        return rmdir(path) < 0 ? -errno : 0;
}

static int make_link(const struct journal_plan *plan, const struct tree_facts *tree, int inside)
{
        char *target CLEANUP_FREE = NULL, current[PATH_MAX];
        ssize_t n;
        int r;

        if (asprintf(&target, "%s%s", tree->path, plan->path) < 0)
                return -ENOMEM;
        r = check_place(inside, target);
        if (r < 0)
                return r;
        n = readlink(plan->path, current, sizeof(current) - 1);
        if (n >= 0) {
                current[n] = '\0';
                if (streq(current, target))
                        return 0;
        }
        r = clear_place(plan->path);
        return r < 0 ? r : symlink(target, plan->path) < 0 ? -errno : 0;
}

static int make_folder(const struct journal_plan *plan)
{
        struct stat st;

        if (lstat(plan->path, &st) < 0) {
                if (errno != ENOENT)
                        return -errno;
        } else if (S_ISLNK(st.st_mode) && unlink(plan->path) < 0)
                return -errno;
        /* Not its parent: who has no persistent journal does not get one by this. */
        return mkdir(plan->path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static void warn_if_hidden(const struct journal_plan *plan, int inside)
{
        int fd = openat(inside, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        const struct dirent *entry;

        if (!d) {
                if (fd >= 0)
                        (void) fd_close(fd);
                return;
        }
        do
                entry = readdir(d);
        while (entry && (streq(entry->d_name, ".") || streq(entry->d_name, "..")));
        if (entry)
                log_warning("'%s' in the container is not empty, ignoring: the host's folder hides "
                            "what is in it.",
                            plan->path);
        (void) closedir(d);
}

static int link_to_guest(const struct journal_plan *plan, const struct tree_facts *tree,
                         bool writable, uid_t owner)
{
        int inside CLEANUP_FD = open_inside(plan, tree, writable, owner);

        return inside < 0 ? inside : make_link(plan, tree, inside);
}

static int prepare_host(const struct journal_plan *plan, const struct tree_facts *tree,
                        bool writable, uid_t owner)
{
        int inside CLEANUP_FD = -1;

        /* Where it is covered, the first process makes a place for the mount. */
        if (!plan->is_covered) {
                inside = open_inside(plan, tree, writable, owner);
                if (inside < 0)
                        return inside;
                warn_if_hidden(plan, inside);
        }
        return make_folder(plan);
}

int journal_plan_run(const struct journal_plan *plan, const struct tree_facts *tree, bool writable,
                     uid_t owner, struct failure *failure)
{
        const char *why;
        int r;

        if (plan->left_out)
                log_warning("Cannot link the journal at '%s', ignoring: %s.", plan->path,
                            plan->left_out);
        if (plan->way == JOURNAL_OFF)
                return 0;
        r = plan->way == JOURNAL_OF_GUEST ? link_to_guest(plan, tree, writable, owner)
                                          : prepare_host(plan, tree, writable, owner);
        if (r >= 0)
                return 0;
        why = r == -ELOOP ? "the container has a symbolic link on the way there" : error_text(r);
        if (!plan->try)
                return failure_set(failure, r,
                                   "Cannot link the journal at '%s' (--link-journal=): %s. Use "
                                   "--link-journal=no.",
                                   plan->path, why);
        log_warning("Cannot link the journal at '%s', ignoring: %s.", plan->path, why);
        return 0;
}
