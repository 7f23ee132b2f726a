/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/process.h"
#include "basic/sandbox.h"
#include "nspawn/chown-tree.h"

#define PICK_TRIES 100
#define DATABASE_MAX ((size_t) 64 * 1024 * 1024)
#define LOCK_FOLDER "/run/systemd/nspawn-uid"

/* The owner of the root directory names a range if both ids agree on it. */
static int base_from_tree(const struct tree_facts *tree, uint32_t *ret, struct failure *failure)
{
        if ((tree->uid & 0xFFFF0000U) != (tree->gid & 0xFFFF0000U))
                return failure_set(failure, -EINVAL,
                                   "The owner (%u) and group (%u) of '%s' lead to different ranges "
                                   "of ids. Give a range with --private-users=BASE.",
                                   (unsigned) tree->uid, (unsigned) tree->gid, tree->path);
        if (tree->uid == CHOWN_BUSY_MARKER)
                return failure_set(
                        failure, -EINVAL,
                        "An earlier change of the owners in '%s' was interrupted, so they "
                        "do not tell the range of ids. Give it with "
                        "--private-users=BASE.",
                        tree->path);
        if ((tree->uid & 0xFFFF0000U) == 0xFFFF0000U)
                return failure_set(
                        failure, -ERANGE,
                        "The owner (%u) of '%s' leads to a range of ids that goes beyond "
                        "4294967295. Give a range with --private-users=BASE.",
                        (unsigned) tree->uid, tree->path);
        *ret = tree->uid & 0xFFFF0000U;
        return 0;
}

/* Containers inside take their ranges from ours, and want to leave some to others and to those inside
 * of them: so each level gets a quarter of what its host has, if that is a container itself. */
static unsigned count_ranges(const struct container_config *c, const struct host_facts *host)
{
        unsigned have = host->mapped_ids / IDMAP_DEFAULT_COUNT;

        if (!c->nesting)
                return 1;
        return have == 0 || have / 4 >= IDS_RANGES_MAX ? IDS_RANGES_MAX : MAX_OF(have / 4, 1U);
}

static bool first_candidate(const struct idmap_window *window, const struct tree_facts *tree,
                            const char *machine, uint32_t *ret)
{
        uint32_t base = tree->uid & 0xFFFF0000U;

        if (base == (tree->gid & 0xFFFF0000U) && idmap_base_is_pickable(window, base)) {
                *ret = base;
                return true;
        }
        *ret = idmap_base_in_window(window, idmap_base_from_name(machine));
        return false;
}

static int find_window(const struct container_config *c, const struct host_facts *host,
                       struct idmap_window *ret, uint32_t *ret_count, struct failure *failure)
{
        unsigned ranges = count_ranges(c, host);
        char hint[SANDBOX_HINT_SIZE];

        *ret_count = ranges * IDMAP_DEFAULT_COUNT;
        if (idmap_window(host->mapped_ids, ranges, ret))
                return 0;
        return failure_set(failure, -ERANGE,
                           "Cannot pick a range of 65536 ids for the user namespace: the one that "
                           "we are in has just the ids 0 to %u.%s Otherwise use "
                           "--private-users=identity, or none.",
                           host->mapped_ids - 1, sandbox_hint(SANDBOX_IDS, hint));
}

int ids_preview(const struct container_config *c, const struct host_facts *host,
                const struct tree_facts *tree, const char *machine, struct ids *ret,
                struct failure *failure)
{
        struct ids ids = IDS_NULL;
        struct idmap_window window;
        int r = 0;

        /* -U asks for what the kernel can do; the long option insists. */
        if (c->userns_mode == USERNS_NO || (c->userns_if_possible && !host->user_namespaces)) {
                *ret = ids;
                return 0;
        }
        ids.user_namespace = true;
        ids.map.count = IDMAP_DEFAULT_COUNT;
        switch (c->userns_mode) {
        case USERNS_NO:
        case USERNS_IDENTITY:
                break;
        case USERNS_FIXED:
                ids.map = c->userns_range;
                break;
        case USERNS_FROM_ROOT:
                r = base_from_tree(tree, &ids.map.base, failure);
                break;
        case USERNS_PICK:
                r = find_window(c, host, &window, &ids.map.count, failure);
                if (r >= 0)
                        (void) first_candidate(&window, tree, machine, &ids.map.base);
                break;
        }
        if (r >= 0)
                *ret = ids;
        return r;
}

/* 1: the host's user database has one of @n ids from @first on; 0: it has not. @groups: look among
 * groups. */
static int database_has(uint32_t first, uint32_t n, bool groups)
{
        char *text CLEANUP_FREE = NULL;
        bool found = false;
        size_t size = 0;
        FILE *f;
        int r = read_file_at(AT_FDCWD, groups ? "/etc/group" : "/etc/passwd", DATABASE_MAX, &text,
                             &size);

        if (r < 0 || size == 0)
                return r == -ENOENT ? 0 : r;
        /* From memory: libc asks a file for its position at every line. */
        f = fmemopen(text, size, "r");
        if (!f)
                return -ENOMEM;
        while (!found) {
                const struct passwd *user = groups ? NULL : fgetpwent(f);
                const struct group *group = groups ? fgetgrent(f) : NULL;

                if (!user && !group)
                        break;
                found = (user ? user->pw_uid : group->gr_gid) - first < n;
        }
        (void) fclose(f);
        return found;
}

/* Whether users come from elsewhere too (a directory service): then getent has to be asked. */
static bool database_is_local(void)
{
        char *text CLEANUP_FREE = NULL;
        const char *line;

        if (read_file_at(AT_FDCWD, "/etc/nsswitch.conf", 65536, &text, NULL) < 0)
                return true;
        line = strstr(text, "passwd:");
        if (!line)
                return true;
        for (line += strlen("passwd:"); *line && *line != '\n';) {
                static const char *const local[] = { "files", "compat", "systemd", "mymachines" };
                size_t n;
                bool known = false;

                line += strspn(line, " \t");
                n = strcspn(line, " \t\n");
                for (size_t i = 0; i < ARRAY_SIZE(local); i++)
                        known = known || (strlen(local[i]) == n && !strncmp(line, local[i], n));
                if (n > 0 && !known && *line != '[')
                        return false;
                line += n;
        }
        return true;
}

static bool getent_has(const char *database, uint32_t id)
{
        char number[16], *output CLEANUP_FREE = NULL;
        char *argv[] = { (char *) "/usr/bin/getent", (char *) database, number, NULL };

        (void) snprintf(number, sizeof(number), "%u", id);
        return process_capture(argv, 65536, &output, NULL) == 0;
}

static bool range_has_users(uint32_t base, uint32_t count)
{
        const uint32_t probes[] = { base, base + 0xFFFE };
        bool local = database_is_local();

        for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
                if (database_has(probes[i], 1, false) != 0 || database_has(probes[i], 1, true) != 0)
                        return true;
                if (!local && (getent_has("passwd", probes[i]) || getent_has("group", probes[i])))
                        return true;
        }
        count -= IDMAP_DEFAULT_COUNT; /* what goes beyond one range has nobody at all */
        base += IDMAP_DEFAULT_COUNT;
        return count > 0 &&
               (database_has(base, count, false) != 0 || database_has(base, count, true) != 0);
}

static int lock_range(uint32_t base, struct lock_file *ret)
{
        char path[sizeof(LOCK_FOLDER) + 16];

        (void) snprintf(path, sizeof(path), LOCK_FOLDER "/%u", base);
        return lock_file_acquire(path, LOCK_EXCLUSIVE, ret, NULL);
}

static void unlock_ranges(struct ids *ids)
{
        while (ids->n_range_locks > 0)
                lock_file_release(&ids->range_locks[--ids->n_range_locks]);
}

/* Others lock each 65536 ids by themselves, and so do we. */
static int lock_ranges(uint32_t base, struct ids *ids)
{
        for (uint32_t offset = 0; offset < ids->map.count; offset += IDMAP_DEFAULT_COUNT) {
                int r = lock_range(base + offset, &ids->range_locks[ids->n_range_locks]);

                if (r < 0) {
                        unlock_ranges(ids);
                        return r;
                }
                ids->n_range_locks++;
        }
        return 0;
}

static int pick(const struct idmap_window *window, const struct tree_facts *tree,
                const char *machine, struct ids *ids, struct failure *failure)
{
        uint32_t base = 0;
        bool from_tree = first_candidate(window, tree, machine, &base);
        int r = make_directories(LOCK_FOLDER, 0755);

        if (r < 0)
                return failure_set(failure, r, "Cannot create the folder '%s': %s.", LOCK_FOLDER,
                                   error_text(r));
        for (int i = 0; i < PICK_TRIES; i++) {
                r = lock_ranges(base, ids);
                if (r >= 0 && !range_has_users(base, ids->map.count)) {
                        ids->map.base = base;
                        return 0;
                }
                unlock_ranges(ids);
                if (r < 0 && r != -EBUSY)
                        return failure_set(failure, r,
                                           "Cannot lock the range of ids at %u in '%s': %s.", base,
                                           LOCK_FOLDER, error_text(r));
                if (i == 0 && from_tree)
                        base = idmap_base_from_name(machine);
                else if (getrandom(&base, sizeof(base), 0) != (ssize_t) sizeof(base))
                        continue;
                base = idmap_base_in_window(window, base);
        }
        return failure_set(failure, -EBUSY,
                           "Found no free range of ids for the user namespace in %d tries. Give "
                           "one with --private-users=BASE.",
                           PICK_TRIES);
}

int ids_take(const struct container_config *c, const struct host_facts *host,
             const struct tree_facts *tree, const char *machine, struct ids *ret,
             struct failure *failure)
{
        struct ids ids = IDS_NULL;
        struct idmap_window window;
        int r = ids_preview(c, host, tree, machine, &ids, failure);

        if (r >= 0 && ids.user_namespace && c->userns_mode == USERNS_PICK) {
                /* useradd and others that hand ids out take this lock too (lckpwdf(3)). */
                r = lock_file_acquire_waiting("/etc/.pwd.lock", &ids.password_lock);
                if (r < 0)
                        return failure_set(failure, r, "Cannot lock '/etc/.pwd.lock': %s.",
                                           error_text(r));
                r = find_window(c, host, &window, &ids.map.count, failure);
                if (r >= 0)
                        r = pick(&window, tree, machine, &ids, failure);
        }
        if (r < 0) {
                ids_done(&ids);
                return r;
        }
        *ret = ids;
        return 0;
}

void ids_release_password_lock(struct ids *ids)
{
        /* Not lock_file_release(): this file is everybody's and stays. */
        ids->password_lock.fd = fd_close(ids->password_lock.fd);
        free(ids->password_lock.path);
        ids->password_lock = (struct lock_file) LOCK_FILE_NULL;
}

void ids_done(struct ids *ids)
{
        ids_release_password_lock(ids);
        unlock_ranges(ids);
        *ids = (struct ids) IDS_NULL;
}
