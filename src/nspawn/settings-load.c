/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Where the settings of a machine are, in this order; the first file that exists is the only one:
 *
 *   /etc/systemd/nspawn/NAME.nspawn   the administrator's
 *   /run/systemd/nspawn/NAME.nspawn   that of a program of the administrator's
 *   NAME.nspawn beside the tree       came with the tree, from whoever made it
 *
 * The last one is not inside the tree, where the payload could change it; but whoever may write to
 * the folder that the tree is in may have put anything there. So its words are trusted only as far
 * as they cannot harm the host (see settings-merge.c), and neither is its name: a symbolic link at
 * the end of the path is not followed, as it would make us read, and quote in warnings, a file that
 * only root may read. The folder itself is reached by the path of the tree, as the tree is. In the
 * first two folders links are the administrator's, and followed; /dev/null stands for an empty
 * file, which hides the later ones.
 *
 * Nothing but a regular file is read, and opening never waits for anybody: not for the other end of
 * a pipe, nor for a lease to be given up. A file that is there and cannot be read ends the start:
 * what was asked for in it would else be left out without a word.
 */

#include "nspawn/settings-load.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "nspawn/plan.h"

/* Where a machine is made that is known by its name alone. */
#define MACHINES_FOLDER "/var/lib/machines"

const char *const settings_sections[] = {
        "Exec", "Files", "Network", "Lifecycle", "Resources", NULL
};

/* ---- the tree and its name --------------------------------------------------------------- */

/* The directories in which machines are looked for by name. */
static int find_machine_directory(const char *machine, char **ret, struct failure *failure)
{
        static const char *const folders[] = { "/etc/machines",           "/run/machines",
                                               "/var/lib/machines",       "/var/lib/container",
                                               "/usr/local/lib/machines", "/usr/lib/machines" };

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                char *path CLEANUP_FREE = path_join(folders[i], machine);

                if (!path)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                if (access(path, F_OK) == 0) {
                        *ret = TAKE_PTR(path);
                        return 0;
                }
        }
        return failure_set(failure, -ENOENT,
                           "There is no machine '%s' in /var/lib/machines or the other image "
                           "folders. Give its tree with --directory=.",
                           machine);
}

static int decide_tree(struct container_config *c, struct failure *failure)
{
        char *given CLEANUP_FREE = NULL;

        if (!c->directory && c->machine) {
                int r = find_machine_directory(c->machine, &c->tree, failure);

                if (r != -ENOENT || (!c->template_path && c->action != ACTION_CLEANUP))
                        return r;
                /* Where it will be; or would be, had it not been removed. */
                failure->error = 0;
                c->tree = path_join(MACHINES_FOLDER, c->machine);
                return c->tree ? 0 : failure_set(failure, -ENOMEM, "Out of memory.");
        }
        /* "An ephemeral machine from this template" is one of the tree itself. */
        if (!c->directory && c->ephemeral && c->template_path)
                c->directory = TAKE_PTR(c->template_path);
        if (path_make_absolute(c->directory ? c->directory : ".", &given) < 0)
                return failure_set(failure, -ENOENT,
                                   "The working directory is gone. Give the "
                                   "root directory with --directory=.");
        /* Where ".." leads to, and so what name is before it, only the kernel knows. */
        if (!path_is_normalized(given) && !streq(given, "/"))
                c->tree = realpath(given, NULL);
        if (!c->tree)
                c->tree = TAKE_PTR(given);
        if (!streq(c->tree, "/"))
                return 0;
        c->host_name = calloc(1, HOST_NAME_MAX + 1);
        if (!c->host_name || gethostname(c->host_name, HOST_NAME_MAX + 1) < 0)
                return failure_set(failure, -errno, "Cannot get the name of the host: %s.",
                                   error_text(errno));
        return 0;
}

/* ---- the file ---------------------------------------------------------------------------- */

enum place { PLACE_TRUSTED, PLACE_BESIDE };

static int cannot_use(const char *path, int error, const char *why, struct failure *failure)
{
        return failure_set(failure, error,
                           "Cannot use the settings file '%s': %s. Repair or remove it, or use "
                           "--settings=no.",
                           path, why);
}

static int check_file(int fd, const char *path, enum place place, struct failure *failure)
{
        struct stat st;

        if (fstat(fd, &st) < 0)
                return cannot_use(path, -errno, error_text(errno), failure);
        if (place == PLACE_TRUSTED && S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return 0;
        if (!S_ISREG(st.st_mode))
                return cannot_use(path, -EINVAL, "it is not a regular file", failure);
        if (st.st_mode & S_IWOTH)
                log_warning("The settings file '%s' can be written by everybody.", path);
        return 0;
}

/* Returns 1 and the bytes, 0 if there is no such file. */
static int read_settings(const char *path, enum place place, char **ret, size_t *ret_size,
                         struct failure *failure)
{
        int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK |
                                               (place == PLACE_BESIDE ? O_NOFOLLOW : 0));
        int r;

        if (fd < 0 && (errno == ENOENT || (errno == ENOTDIR && place == PLACE_BESIDE)))
                return 0;
        if (fd < 0 && errno == ELOOP && place == PLACE_BESIDE)
                return cannot_use(path, -ELOOP,
                                  "it is a symbolic link, which is followed only in "
                                  "/etc/systemd/nspawn and /run/systemd/nspawn",
                                  failure);
        if (fd < 0)
                return cannot_use(path, -errno, error_text(errno), failure);
        r = check_file(fd, path, place, failure);
        if (r < 0)
                return r;
        r = read_all(fd, SETTINGS_FILE_MAX, ret, ret_size);
        return r < 0 ? cannot_use(path, r, error_text(r), failure) : 1;
}

static int read_and_merge(struct settings *s, struct container_config *c, const char *path,
                          enum place place, struct failure *failure)
{
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
        struct settings_rules rules = {
                .trusted = place == PLACE_TRUSTED || c->settings == SETTINGS_TRUSTED,
                .override = c->settings == SETTINGS_OVERRIDE,
        };
        char *bytes CLEANUP_FREE = NULL;
        size_t size = 0;
        int r = read_settings(path, place, &bytes, &size, failure);

        if (r <= 0)
                return r;
        r = settings_file_parse(path, bytes, size, settings_sections, &file, failure);
        if (r >= 0)
                r = settings_merge(s, path, &file, rules, failure);
        if (r < 0)
                return r;
        c->settings_path = strdup(path);
        return c->settings_path ? 1 : failure_set(failure, -ENOMEM, "Out of memory.");
}

static int look_for_file(struct settings *s, struct container_config *c, struct failure *failure)
{
        static const char *const folders[] = { "/etc/systemd/nspawn/", "/run/systemd/nspawn/" };
        char *machine CLEANUP_FREE = NULL, *beside CLEANUP_FREE = NULL;
        int r = machine_name_decide(c, c->host_name ? c->host_name : c->tree, &machine, failure);

        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                char *path CLEANUP_FREE = NULL;

                if (asprintf(&path, "%s%s.nspawn", folders[i], machine) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                r = read_and_merge(s, c, path, PLACE_TRUSTED, failure);
                if (r != 0)
                        return MIN_OF(r, 0);
        }
        if (streq(c->tree, "/"))
                return 0; /* there is no place beside it */
        if (asprintf(&beside, "%.*s%s.nspawn", (int) (path_basename(c->tree) - c->tree), c->tree,
                     machine) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = read_and_merge(s, c, beside, PLACE_BESIDE, failure);
        return MIN_OF(r, 0);
}

int settings_load(struct settings *s, struct container_config *c, struct failure *failure)
{
        int r;

        if (settings_end_early(s))
                return 0;
        r = settings_apply_early(s, c, failure);
        if (r >= 0)
                r = decide_tree(c, failure);
        if (r < 0 || c->settings == SETTINGS_NO || c->action == ACTION_CLEANUP)
                return r;
        return look_for_file(s, c, failure);
}
