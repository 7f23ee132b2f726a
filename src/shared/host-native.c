/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/fd.h"
#include "basic/io.h"
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
 */

#define SLICE_MARK "user.stead.slice"
#define PAYLOAD "payload"
/* Somebody else may remove an empty slice, or a leftover, between two steps of ours. */
#define ATTEMPTS 16

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

/* Removes slices above @unit that are empty and ours, innermost first. */
static void remove_slices(const char *unit)
{
        char *path CLEANUP_FREE = strdup(unit), mark[8];

        for (char *p = path ? strrchr(path, '/') : NULL; p && p > path; p = strrchr(path, '/')) {
                *p = '\0';
                if (!endswith(path, ".slice") ||
                    getxattr(path, SLICE_MARK, mark, sizeof(mark)) < 0 || rmdir(path) < 0)
                        return;
        }
}

/* What a supervisor that was killed left behind. A machine that runs is not touched: -EBUSY. */
static int remove_leftover(const struct scope *scope)
{
        int lock_fd CLEANUP_FD = payload_open(scope->path);
        int r;

        if (lock_fd < 0 && lock_fd != -ENOENT)
                return lock_fd;
        r = cgroup_is_populated(AT_FDCWD, scope->unit);
        if (r != 0)
                return r == -ENOENT ? 0 : r > 0 ? -EBUSY : r;
        return cgroup_remove(AT_FDCWD, scope->unit);
}

static int fail_running(const struct scope_spec *spec, const struct scope *scope,
                        struct failure *failure)
{
        return failure_set(failure, -EBUSY,
                           "Machine '%s' is already running: there are processes in '%s'. Stop it, "
                           "or start this one under another name (--machine=).",
                           spec->machine, scope->unit);
}

static int make_scope_directory(const struct scope_spec *spec, const struct scope *scope,
                                size_t mount_length, struct failure *failure)
{
        int r = 0;

        assert(scope->unit);
        for (int i = 0; i < ATTEMPTS; i++) {
                if (mkdir(scope->unit, 0755) == 0)
                        return 0;
                r = errno == ENOENT   ? make_slices(scope->unit, mount_length)
                    : errno == EEXIST ? remove_leftover(scope)
                                      : -errno;
                if (r == -EBUSY)
                        return fail_running(spec, scope, failure);
                if (r < 0)
                        break;
        }
        return scope_fail_path(failure, r < 0 ? r : -EAGAIN, "make the control group", scope->unit);
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
        r = cgroup_read_controllers(AT_FDCWD, scope->unit, &here);
        if (r >= 0 && here != offered) {
                hand_down_above(scope, strlen(mount), offered);
                r = cgroup_read_controllers(AT_FDCWD, scope->unit, &here);
        }
        if (r < 0)
                return scope_fail_path(failure, r, "read the controllers of", scope->unit);
        (void) cgroup_hand_down(AT_FDCWD, scope->unit, here);
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
                                   row->file, strerror(-r));
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
        if (r < 0)
                return failure_set(
                        failure, r,
                        "Cannot attach the device policy of machine '%s': %s. The kernel "
                        "needs CONFIG_CGROUP_BPF, and we need the right to load BPF "
                        "programs (CAP_BPF, CAP_NET_ADMIN).",
                        spec->machine, strerror(-r));
        return 0;
}

static int set_up_scope(const struct scope_spec *spec, const struct scope *scope,
                        struct failure *failure)
{
        static const struct property_set no_properties = { .items = NULL };
        const struct property_set *set = spec->properties ? spec->properties : &no_properties;
        struct property_facts facts CLEANUP_PROPERTY_FACTS = { .memory_total = 0 };
        int unit_fd CLEANUP_FD = -1, r = 0;

        if (set->n == 0 && !scope_wants_device_policy(spec))
                return 0;
        unit_fd = open(scope->unit, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (unit_fd < 0)
                return scope_fail_path(failure, -errno, "open the control group", scope->unit);
        if (set->n > 0) {
                r = property_facts_read(set, &facts, failure);
                if (r >= 0)
                        r = write_properties(unit_fd, set, &facts, failure);
        }
        if (r < 0 || !scope_wants_device_policy(spec))
                return r;
        return attach_device_policy(unit_fd, spec, &facts, failure);
}

static int make_payload(struct scope *scope, struct failure *failure)
{
        int r;

        assert(scope->path);
        if (mkdir(scope->path, 0755) < 0)
                return scope_fail_path(failure, -errno, "make the control group", scope->path);
        scope->payload_fd = payload_open(scope->path);
        if (scope->payload_fd < 0)
                return scope_fail_path(failure, scope->payload_fd, "open the control group",
                                       scope->path);
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
        if (!scope->unit || !scope->path)
                return;
        /* Nearly always all have gone with the leader, and the groups just go. */
        if ((rmdir(scope->path) < 0 && errno != ENOENT) ||
            (rmdir(scope->unit) < 0 && errno != ENOENT)) {
                (void) cgroup_kill(AT_FDCWD, scope->unit, SCOPE_KILL_TIMEOUT_MS);
                (void) cgroup_remove(AT_FDCWD, scope->unit);
        }
        remove_slices(scope->unit);
}

static void forget_paths(struct scope *scope)
{
        free(TAKE_PTR(scope->path));
        free(TAKE_PTR(scope->unit));
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
                                   strerror(-r));
        r = find_paths(spec, scope, mount, failure);
        if (r >= 0)
                r = make_scope_directory(spec, scope, strlen(mount), failure);
        if (r < 0) {
                /* The scope is not ours: whoever cleans up must not touch it. */
                if (scope->unit)
                        remove_slices(scope->unit);
                forget_paths(scope);
                return r;
        }
        r = set_up_controllers(spec, scope, mount, failure);
        if (r >= 0)
                r = set_up_scope(spec, scope, failure);
        return r < 0 ? r : make_payload(scope, failure);
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
