/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/sandbox.h"
#include "shared/host-back-end.h"
#include "shared/names.h"

/*
 * A host without systemd: the group is ours to make,
 *
 *      CGROUP2/machine.slice/machine-NAME.scope/payload
 *
 * with limits and device policy on the scope, out of the guest's reach, and the guest in payload.
 * Slices that we make are marked, because an administrator may have made one with limits in it
 * that has to stay.
 *
 * A scope belongs to who has the lock on its directory, and nobody else sets, kills or removes
 * anything in it. Between making a directory and locking it somebody else may take it for a
 * leftover and remove it. That is noticed without asking: a group cannot be renamed, and in one
 * that was removed nothing can be opened or made. So the first thing made with the lock is payload.
 */

#define SLICE_MARK "user.stead.slice"
#define PAYLOAD "payload"
/* Somebody else may remove an empty slice, or a leftover, between two steps of ours. */
#define ATTEMPTS 16
/* What a killed supervisor leaves dies by itself, but not at once. Then a start waits, for half a second
 * in all; each wait is longer than the one before. */
#define WAITS 16
/* The end of a machine looks at no more of the other scopes than this. */
#define SWEEP_MAX 64

/* Makes the slice directories in @path that do not exist; @start: length of the mount's part. */
static int make_slices(const char *path, size_t start)
{
        char *copy CLEANUP_FREE = strdup(path);

        if (!copy)
                return -ENOMEM;
        for (char *p = copy + start; (p = strchr(p + 1, '/'));) {
                *p = '\0';
                if (mkdir(copy, 0755) == 0)
                        (void) setxattr(copy, SLICE_MARK, "1", 1, 0);
                else if (errno != EEXIST)
                        return -errno;
                *p = '/';
        }
        return 0;
}

/* Removes slices above @unit that are empty and ours, innermost first. Whether that one went. */
static bool remove_slices(const char *unit)
{
        char *path CLEANUP_FREE = strdup(unit), mark[8];
        bool removed = false;

        for (char *p = path ? strrchr(path, '/') : NULL; p && p > path; p = strrchr(path, '/')) {
                *p = '\0';
                if (!endswith(path, ".slice") ||
                    getxattr(path, SLICE_MARK, mark, sizeof(mark)) < 0 || rmdir(path) < 0)
                        break;
                removed = true;
        }
        return removed;
}

/* What a supervisor that was killed left behind. A machine that runs is not touched: -EBUSY. */
static int remove_leftover(int dir_fd, const char *name)
{
        int lock_fd CLEANUP_FD = group_lock_at(dir_fd, name);
        int r;

        if (lock_fd < 0)
                return lock_fd;
        /* Fails if what we have locked was removed, so that @name may be another one by now. */
        r = cgroup_is_populated(lock_fd, ".");
        if (r != 0)
                return r > 0 ? -EBUSY : r;
        return cgroup_remove(dir_fd, name);
}

/* A directory that we have just made. 1: it is ours; else as make_step(). */
static int take_directory(struct scope *scope)
{
        int fd CLEANUP_FD = group_lock_at(AT_FDCWD, scope->unit);
        int r;

        if (fd < 0) {
                /* Nobody else may ever come by. Whoever has just taken it over makes it anew. */
                if (fd != -EBUSY)
                        (void) rmdir(scope->unit);
                return fd;
        }
        if (mkdirat(fd, PAYLOAD, 0755) < 0) {
                r = -errno;
                if (r == -EEXIST) /* somebody else's, who made it anew and was killed */
                        return 0;
                if (cgroup_is_populated(fd, ".") == 0)
                        (void) rmdir(scope->unit);
                return r;
        }
        scope->lock_fd = TAKE_FD(fd);
        return 1;
}

/* 1: the directory is ours; 0, -ENOENT, -ENODEV: things have changed, again; -EBUSY: locked. */
static int make_step(struct scope *scope, size_t mount_length)
{
        if (mkdir(scope->unit, 0755) == 0)
                return take_directory(scope);
        if (errno == ENOENT)
                return make_slices(scope->unit, mount_length);
        return errno == EEXIST ? remove_leftover(AT_FDCWD, scope->unit) : -errno;
}

static int make_scope_directory(const struct scope_spec *spec, struct scope *scope,
                                size_t mount_length, struct failure *failure)
{
        char hint[SANDBOX_HINT_SIZE];
        int attempts = 0, waits = 0;
        int r = 0;

        assert(scope->unit);
        while (attempts < ATTEMPTS && waits < WAITS) {
                r = make_step(scope, mount_length);
                if (r > 0)
                        return 0;
                if (r < 0 && r != -EBUSY && r != -ENOENT && r != -ENODEV)
                        break;
                /* It runs; or it is being started, cleared away, or killed. */
                if (r == -EBUSY)
                        (void) poll(NULL, 0, 4 * waits++);
                else
                        attempts++;
        }
        if (r == -EBUSY)
                return failure_set(failure, r,
                                   "Machine '%s' is already running, or being started, in '%s'. "
                                   "Stop it, or start this one under another name (--machine=).",
                                   spec->machine, scope->unit);
        if (r == -EROFS || r == -EACCES || r == -EPERM)
                return failure_set(failure, r,
                                   "Cannot make the control group '%s': %s.%s Or start without one "
                                   "(--keep-unit).",
                                   scope->unit, error_text(r), sandbox_hint(SANDBOX_CGROUPS, hint));
        return scope_fail_path(failure, r < 0 ? r : -EAGAIN, "make the control group", scope->unit);
}

static bool is_machine_scope(const struct dirent *e)
{
        return e->d_type == DT_DIR && startswith(e->d_name, "machine-") &&
               endswith(e->d_name, ".scope");
}

/*
 * Looks without the lock, so that no start is disturbed: the scope of one that has not come to its
 * lock has no payload either, and neither has a scope that somebody else's program made.
 */
static bool looks_left_over(int slice_fd, const char *name)
{
        char payload[NAME_MAX + sizeof("/" PAYLOAD)];

        (void) snprintf(payload, sizeof(payload), "%s/" PAYLOAD, name);
        return cgroup_is_populated(slice_fd, payload) == 0;
}

/* How many to pass over: if there are too many to look at, it is not always the same ones. */
static size_t sweep_offset(int slice_fd)
{
        struct timespec t = { .tv_sec = 0 };
        struct stat st;
        size_t n;

        if (fstat(slice_fd, &st) < 0 || st.st_nlink <= SWEEP_MAX + 2)
                return 0;
        n = (size_t) st.st_nlink - 2 - SWEEP_MAX;
        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (size_t) t.tv_nsec % (n + 1);
}

/* Removes leftovers beside @unit. Whether there were any. */
static bool sweep_slice(const char *unit)
{
        char *path CLEANUP_FREE = strdup(unit), *end = path ? strrchr(path, '/') : NULL;
        bool removed = false;
        size_t skip, looks = 0;
        DIR *slice;

        if (!end)
                return false;
        *end = '\0';
        slice = opendir(path);
        if (!slice)
                return false;
        skip = sweep_offset(dirfd(slice));
        for (const struct dirent *e = readdir(slice); e && looks < skip + SWEEP_MAX;
             e = readdir(slice)) {
                if (!is_machine_scope(e) || looks++ < skip)
                        continue;
                if (looks_left_over(dirfd(slice), e->d_name) &&
                    remove_leftover(dirfd(slice), e->d_name) >= 0)
                        removed = true;
        }
        (void) closedir(slice);
        return removed;
}

static int fail_controller(const struct property *p, unsigned controller, struct failure *failure)
{
        const char *name = cgroup_controller_name(controller);

        return failure_set(failure, -EOPNOTSUPP,
                           "%s= needs the cgroup2 controller '%s', which this host %s. %s",
                           property_name(p->id), name,
                           cgroup_controller_is_v1(controller)
                                   ? "has bound to a hierarchy of cgroup version 1"
                                   : "does not offer",
                           "Boot it with cgroup2 only, or leave the property out.");
}

static int check_controllers(const struct property_set *set, unsigned offered,
                             struct failure *failure)
{
        for (size_t i = 0; set && i < set->n; i++) {
                unsigned needed = property_controller(set->items[i].id);

                if (needed & ~offered)
                        return fail_controller(&set->items[i], needed, failure);
        }
        return 0;
}

/* From the mount down to the scope's parent: what each level offers is what the next one has. */
static void hand_down_above(const struct scope *scope, size_t mount_length, unsigned controllers)
{
        char *path CLEANUP_FREE = strdup(scope->unit);

        for (char *p = path ? path + mount_length : NULL; p; p = strchr(p + 1, '/')) {
                *p = '\0';
                (void) cgroup_hand_down(AT_FDCWD, path, controllers);
                *p = '/';
        }
}

/*
 * Best effort, as upstream has it: a machine without a controller runs, and a property that needs
 * it says so. On a host that is busy with machines all levels above are as they must be already.
 */
static int set_up_controllers(const struct scope_spec *spec, const struct scope *scope,
                              const char *mount, struct failure *failure)
{
        unsigned offered = 0, here = 0;
        int r = cgroup_read_controllers(AT_FDCWD, mount, &offered);

        if (r < 0)
                return scope_fail_path(failure, r, "read the controllers of", mount);
        if (offered == 0)
                return check_controllers(spec->properties, 0, failure);
        r = cgroup_read_controllers(scope->lock_fd, ".", &here);
        if (r >= 0 && here != offered) {
                hand_down_above(scope, strlen(mount), offered);
                r = cgroup_read_controllers(scope->lock_fd, ".", &here);
        }
        if (r < 0)
                return scope_fail_path(failure, r, "read the controllers of", scope->unit);
        (void) cgroup_hand_down(scope->lock_fd, ".", here);
        return check_controllers(spec->properties, here, failure);
}

static int write_row(int unit_fd, const struct property_row *row, struct failure *failure)
{
        const char *text = row->long_text ? row->long_text : row->text;
        char is[sizeof(row->expected)] = "";
        int r = write_file_at(unit_fd, row->file, text);

        if (r >= 0 && row->expected[0])
                r = read_line_at(unit_fd, row->file, is, sizeof(is));
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot apply property %s=%s: writing '%s' to '%s' "
                                   "failed: %s.",
                                   property_name(row->property->id), row->property->value, text,
                                   row->file, error_text(r));
        if (row->expected[0] && !streq(is, row->expected))
                return failure_set(failure, -EIO,
                                   "Property %s=%s did not take effect: the kernel made '%s' of "
                                   "'%s' in '%s'.",
                                   property_name(row->property->id), row->property->value, is, text,
                                   row->file);
        return 0;
}

static int write_properties(int unit_fd, const struct property_set *set,
                            const struct property_facts *facts, struct failure *failure)
{
        struct property_row *rows = NULL;
        size_t n = 0;
        int r = property_rows(set, facts, &rows, &n, failure);

        for (size_t i = 0; i < n && r >= 0; i++)
                r = write_row(unit_fd, &rows[i], failure);
        property_rows_free(rows, n);
        return r;
}

/*
 * The closed list, unless properties say otherwise: DeviceAllow= adds to it, also where there was
 * no policy; DevicePolicy=auto with no list at all means every device.
 */
static int attach_device_policy(int unit_fd, const struct scope_spec *spec,
                                const struct property_facts *facts, struct failure *failure)
{
        struct device_rule *rules CLEANUP_FREE = NULL;
        size_t n = 0;
        int r = property_device_rules(spec->properties, facts, spec->devices, spec->n_devices,
                                      &rules, &n, failure);

        if (r < 0)
                return r;
        r = device_program_attach(unit_fd, rules, n);
        /* Where the kernel lets nobody make a device node there is nothing for it to forbid. What
         * was asked for has to be, though. */
        if (r == -EPERM && !scope_asks_for_device_policy(spec) && sandbox_is_user_namespace())
                return 0;
        if (r < 0) {
                char hint[SANDBOX_HINT_SIZE];

                return failure_set(
                        failure, r,
                        "Cannot attach the device policy of machine '%s': %s. The kernel "
                        "needs CONFIG_CGROUP_BPF, and we need the right to load BPF "
                        "programs (CAP_BPF, CAP_NET_ADMIN).%s",
                        spec->machine, error_text(r), sandbox_hint(SANDBOX_DEVICE_POLICY, hint));
        }
        return 0;
}

static int set_up_scope(const struct scope_spec *spec, const struct scope *scope,
                        struct failure *failure)
{
        static const struct property_set no_properties = { .items = NULL };
        const struct property_set *set = spec->properties ? spec->properties : &no_properties;
        struct property_facts facts CLEANUP_PROPERTY_FACTS = { .memory_total = 0 };
        int r = 0;

        if (set->n > 0) {
                r = property_facts_read(set, &facts, failure);
                if (r >= 0)
                        r = write_properties(scope->lock_fd, set, &facts, failure);
        }
        if (r < 0 || !scope_wants_device_policy(spec))
                return r;
        return attach_device_policy(scope->lock_fd, spec, &facts, failure);
}

/* Last: the files that the owner gets are there once the controllers are. */
static int hand_over_payload(struct scope *scope, struct failure *failure)
{
        int r;

        scope->payload_fd =
                openat(scope->lock_fd, PAYLOAD, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (scope->payload_fd < 0)
                return scope_fail_path(failure, -errno, "open the control group", scope->path);
        r = payload_give_away(scope->payload_fd, scope->owner);
        return r < 0 ? scope_fail_path(failure, r, "change the owner of", scope->path) : 0;
}

/* "a.slice/machine-x.scope", below the mount. */
static int scope_sub_path(const struct scope_spec *spec, char **ret_name, char **ret_path,
                          struct failure *failure)
{
        char *slice CLEANUP_FREE = NULL, *name CLEANUP_FREE = NULL;
        int r = slice_path(spec->slice ? spec->slice : "machine.slice", &slice);

        if (r == -EINVAL)
                return failure_set(failure, r, "'%s' is not the name of a slice.", spec->slice);
        if (r >= 0)
                r = machine_scope_name(spec->machine, &name);
        if (r == -ENAMETOOLONG)
                return failure_set(failure, r,
                                   "The machine name '%s' makes a scope name of more than %d "
                                   "characters. Choose one with fewer dashes.",
                                   spec->machine, UNIT_NAME_LENGTH_MAX);
        if (r < 0 || asprintf(ret_path, "%s%s%s", slice, slice[0] ? "/" : "", name) < 0)
                return scope_fail_no_memory(failure);
        *ret_name = TAKE_PTR(name);
        return 0;
}

static int find_paths(const struct scope_spec *spec, struct scope *scope, const char *mount,
                      struct failure *failure)
{
        char *below CLEANUP_FREE = NULL;
        int r = scope_sub_path(spec, &scope->name, &below, failure);

        if (r < 0)
                return r;
        if (asprintf(&scope->unit, "%s/%s", mount, below) < 0) {
                scope->unit = NULL;
                return scope_fail_no_memory(failure);
        }
        if (asprintf(&scope->path, "%s/" PAYLOAD, scope->unit) < 0) {
                scope->path = NULL;
                return scope_fail_no_memory(failure);
        }
        return 0;
}

static void native_remove(struct scope *scope)
{
        if (!scope->unit)
                return;
        if (scope->lock_fd < 0) { /* the scope is not ours, but slices may be */
                (void) remove_slices(scope->unit);
                return;
        }
        /* Nearly always all have gone with the leader, and the groups just go. */
        if ((unlinkat(scope->lock_fd, PAYLOAD, AT_REMOVEDIR) < 0 && errno != ENOENT) ||
            (rmdir(scope->unit) < 0 && errno != ENOENT)) {
                (void) cgroup_kill(scope->lock_fd, ".", SCOPE_KILL_TIMEOUT_MS);
                (void) cgroup_remove(AT_FDCWD, scope->unit);
        }
        if (!remove_slices(scope->unit) && sweep_slice(scope->unit))
                (void) remove_slices(scope->unit);
}

static int native_create(const struct scope_spec *spec, struct scope *scope,
                         struct failure *failure)
{
        char *mount CLEANUP_FREE = NULL;
        int r = cgroup_find_mount(&mount);

        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot find a cgroup2 mount: %s. Mount one (mount -t cgroup2 "
                                   "cgroup2 /sys/fs/cgroup, or .../unified beside version 1), or "
                                   "start without a scope (--keep-unit).",
                                   error_text(r));
        r = find_paths(spec, scope, mount, failure);
        if (r >= 0)
                r = make_scope_directory(spec, scope, strlen(mount), failure);
        if (r >= 0)
                r = set_up_controllers(spec, scope, mount, failure);
        if (r >= 0)
                r = set_up_scope(spec, scope, failure);
        return r < 0 ? r : hand_over_payload(scope, failure);
}

int scope_remove_leftover(enum host_kind kind, const struct scope_spec *spec,
                          struct failure *failure)
{
        char *mount CLEANUP_FREE = NULL;
        struct scope scope CLEANUP(scope_forget) = SCOPE_NULL;
        int r = cgroup_find_mount(&mount);

        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return failure_set(failure, r, "Cannot find a cgroup2 mount: %s.", error_text(r));
        r = find_paths(spec, &scope, mount, failure);
        if (r < 0)
                return r;
        assert(scope.unit);
        if (access(scope.unit, F_OK) < 0)
                return 0;
        r = kind == HOST_NATIVE ? remove_leftover(AT_FDCWD, scope.unit)
                                : cgroup_is_populated(AT_FDCWD, scope.unit);
        if (kind == HOST_NATIVE ? r == -EBUSY : r > 0)
                return failure_set(failure, -EBUSY,
                                   "Machine '%s' is running, in '%s'. Stop it before what it left "
                                   "is removed.",
                                   spec->machine, scope.unit);
        if (r == -ENOENT || kind != HOST_NATIVE)
                return 0;
        if (r < 0)
                return scope_fail_path(failure, r, "remove the control group", scope.unit);
        (void) remove_slices(scope.unit);
        return 1;
}

static void native_describe(const struct scope_spec *spec, struct strbuf *out)
{
        struct failure ignored = { .error = 0 };
        char *name CLEANUP_FREE = NULL, *below CLEANUP_FREE = NULL;

        if (scope_sub_path(spec, &name, &below, &ignored) < 0) {
                strbuf_addf(out, "scope: %s\n", ignored.text);
                return;
        }
        strbuf_addf(out, "scope: CGROUP2/%s\n", below);
        strbuf_addf(out, "  payload: CGROUP2/%s/" PAYLOAD "\n", below);
        if (spec->owner != 0)
                strbuf_addf(out, "  owner of the payload's group: %u\n", (unsigned) spec->owner);
        strbuf_add(out, "  controllers: cpuset cpu io memory pids, as far as offered\n");
        property_set_describe(spec->properties, "  property: ", out);
        scope_describe_devices(spec, out);
}

const struct scope_operations scope_native = {
        .create = native_create,
        .remove = native_remove,
        .describe = native_describe,
};
