/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/parse.h"
#include "basic/sandbox.h"
#include "shared/host-back-end.h"
#include "shared/names.h"

/*
 * --keep-unit: the machine stays in the unit that started us, on every kind of host. Its payload
 * is a group below the unit's. Controllers can only be handed down to it by a group that has no
 * processes of its own, so if the unit has any to give and we are alone in it, we move to
 * UNIT/supervisor first. Many launchers may share one unit: what another one has locked, or what
 * lives, is left alone.
 */

#define PAYLOAD "payload"
#define SUPERVISOR "/supervisor"
#define ATTEMPTS 8

/* Whether the group @unit has one process, and that is us. */
static bool alone_in(const char *unit)
{
        char path[PATH_MAX], text[64];
        int fd CLEANUP_FD = -1;
        unsigned long pid = 0;
        ssize_t n;

        if ((size_t) snprintf(path, sizeof(path), "%s/cgroup.procs", unit) >= sizeof(path))
                return false;
        fd = open(path, O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        /* One line: a second process would make a second one, and no number. */
        if (text[n - 1] == '\n')
                text[n - 1] = '\0';
        return parse_ulong(text, 1, INT_MAX, &pid) == 0 && pid == (unsigned long) getpid();
}

/* Moves us out of the way. Not essential: without it the payload has no controllers. */
static bool move_to_supervisor(const char *unit)
{
        char path[PATH_MAX];

        if ((size_t) snprintf(path, sizeof(path), "%s" SUPERVISOR "/cgroup.procs", unit) >=
            sizeof(path))
                return false;
        path[strlen(unit) + strlen(SUPERVISOR)] = '\0';
        if (mkdir(path, 0755) < 0 && errno != EEXIST)
                return false;
        path[strlen(unit) + strlen(SUPERVISOR)] = '/';
        return write_file_at(AT_FDCWD, path, "0") == 0;
}

/* The unit's directory, and its controllers handed down as far as that can be. */
static int find_unit(const char *mount, const char *own, char **ret)
{
        const char *end = endswith(own, SUPERVISOR);
        unsigned controllers = 0;
        char *unit = NULL;
        int n = end ? (int) (end - own) : (int) strlen(own);

        if (n == 1 && own[0] == '/')
                n = 0;
        if (asprintf(&unit, "%s%.*s", mount, n, own) < 0)
                return -ENOMEM;
        if (cgroup_read_controllers(AT_FDCWD, unit, &controllers) >= 0 && controllers &&
            (end || (alone_in(unit) && move_to_supervisor(unit))))
                (void) cgroup_hand_down(AT_FDCWD, unit, controllers);
        *ret = unit;
        return 0;
}

/* Makes the group and takes it; a leftover is replaced. -EBUSY: it is another launcher's. */
static int take_payload(const char *path)
{
        for (int i = 0; i < ATTEMPTS; i++) {
                int fd CLEANUP_FD = -1;
                bool made = mkdir(path, 0755) == 0;
                int r;

                if (!made && errno != EEXIST)
                        return -errno;
                fd = payload_open(path);
                if (fd == -ENOENT)
                        continue;
                if (fd < 0)
                        return fd;
                /* Before we had the lock, another launcher may have removed it as a leftover. */
                if (made && faccessat(fd, "cgroup.procs", F_OK, 0) == 0)
                        return TAKE_FD(fd);
                r = cgroup_is_populated(fd, ".");
                if (r > 0)
                        return -EBUSY;
                if (r == 0)
                        r = cgroup_remove(AT_FDCWD, path);
                if (r < 0 && r != -ENOENT && r != -ENODEV)
                        return r;
        }
        return -EBUSY;
}

static int try_payload(struct scope *scope, const char *name)
{
        char *path CLEANUP_FREE = NULL;
        int fd;

        if (asprintf(&path, "%s/%s", scope->unit, name) < 0) {
                path = NULL;
                return -ENOMEM;
        }
        fd = take_payload(path);
        if (fd < 0)
                return fd;
        scope->payload_fd = fd;
        scope->path = TAKE_PTR(path);
        return 0;
}

static char *second_name(const char *machine)
{
        char *name = NULL;

        return asprintf(&name, PAYLOAD "-%s", machine) < 0 ? NULL : name;
}

/* Sandboxes show control groups without the right to change them. */
static bool is_refused(int error)
{
        return error == -EROFS || error == -EACCES || error == -EPERM;
}

static int make_payload(const struct scope_spec *spec, struct scope *scope, struct failure *failure)
{
        char *name CLEANUP_FREE = NULL, hint[SANDBOX_HINT_SIZE];
        int r = try_payload(scope, PAYLOAD);

        if (r == -EBUSY) {
                name = second_name(spec->machine);
                r = name ? try_payload(scope, name) : -ENOMEM;
        }
        if (r == -EBUSY)
                return failure_set(failure, r,
                                   "Machine '%s' is already running: there are processes in "
                                   "'%s/%s'. Stop it, or start this one "
                                   "under another name (--machine=).",
                                   spec->machine, scope->unit, name);
        if (is_refused(r)) {
                if (!spec->tried_before)
                        log_warning("Cannot make a control group in '%s' (--keep-unit): %s. The "
                                    "machine stays "
                                    "in that of its launcher, and can only look at it.%s",
                                    scope->unit, error_text(r),
                                    sandbox_hint(SANDBOX_CGROUPS, hint));
                scope->shares_group = true;
                return 0;
        }
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot make the payload's control group in '%s' (--keep-unit): "
                                   "%s.",
                                   scope->unit, error_text(r));
        r = payload_give_away(scope->payload_fd, scope->owner);
        return r < 0 ? scope_fail_path(failure, r, "change the owner of", scope->path) : 0;
}

static int keep_create(const struct scope_spec *spec, struct scope *scope, struct failure *failure)
{
        char *mount CLEANUP_FREE = NULL, *own CLEANUP_FREE = NULL;
        int r = cgroup_find_mount(&mount);

        if (r >= 0)
                r = cgroup_own_path(&own);
        /* No cgroup2: nothing to make, and with --keep-unit nothing was asked for. */
        if (r == -ENOENT || r == -ENODATA)
                return 0;
        /* "/../x": we are outside of our cgroup namespace, and the path says nothing below the mount. */
        if (r >= 0)
                r = startswith(own, "/..") ? -EXDEV : find_unit(mount, own, &scope->unit);
        if (r < 0)
                return failure_set(failure, r, "Cannot find the control group that we are in: %s.",
                                   error_text(r));
        return make_payload(spec, scope, failure);
}

static void keep_remove(struct scope *scope)
{
        if (!scope->path || rmdir(scope->path) == 0 || errno == ENOENT)
                return;
        (void) cgroup_kill(scope->payload_fd, ".", SCOPE_KILL_TIMEOUT_MS);
        (void) cgroup_remove(AT_FDCWD, scope->path);
}

static void keep_describe(const struct scope_spec *spec, struct strbuf *out)
{
        strbuf_add(out, "scope: none (--keep-unit)\n");
        strbuf_addf(out,
                    "  payload: OWN-UNIT/" PAYLOAD ", or OWN-UNIT/" PAYLOAD
                    "-%s if that is taken\n",
                    spec->machine);
        if (spec->owner != 0)
                strbuf_addf(out, "  owner of the payload's group: %u\n", (unsigned) spec->owner);
}

const struct scope_operations scope_kept_unit = {
        .create = keep_create,
        .remove = keep_remove,
        .describe = keep_describe,
};
