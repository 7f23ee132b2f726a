/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/host.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/sandbox.h"
#include "shared/host-back-end.h"
#include "shared/host-scope.h"

/*
 * Chooses the back end, once, and has what they share. Who owns a group is told by a lock on its
 * directory, which the kernel drops when the supervisor dies: so a group that nobody has locked and
 * nobody lives in is a leftover, however its maker ended. Only who has the lock removes anything.
 */

enum host_kind host_detect(void)
{
        return access("/run/systemd/system", F_OK) == 0 ? HOST_SYSTEMD : HOST_NATIVE;
}

static const struct scope_operations *operations_for(enum host_kind kind,
                                                     const struct scope_spec *spec)
{
        if (spec->keep_unit)
                return &scope_kept_unit;
        return kind == HOST_SYSTEMD ? &scope_systemd : &scope_native;
}

int scope_create(enum host_kind kind, const struct scope_spec *spec, struct scope *ret,
                 struct failure *failure)
{
        struct scope scope = SCOPE_NULL;
        int r;

        scope.operations = operations_for(kind, spec);
        scope.owner = spec->owner;
        scope.spec = spec;
        r = scope.operations->create(spec, &scope, failure);
        if (r < 0) {
                scope_remove(&scope);
                return r;
        }
        *ret = scope;
        return 0;
}

int scope_adopt(struct scope *scope, pid_t leader, int leader_pidfd, struct failure *failure)
{
        return scope->operations->adopt
                       ? scope->operations->adopt(scope, leader, leader_pidfd, failure)
                       : 0;
}

int scope_kill(struct scope *scope)
{
        int r;

        if (scope->payload_fd < 0)
                return 0;
        r = cgroup_kill(scope->payload_fd, ".", SCOPE_KILL_TIMEOUT_MS);
        return r == -ENOENT || r == -ENODEV ? 0 : r;
}

int scope_dispatch(struct scope *scope)
{
        struct channel_message m = { .type = 0 };
        int r = channel_receive(scope->helper_fd, 0, &m, NULL, 0, NULL);

        if (r == -ETIMEDOUT)
                return 0;
        if (r < 0) {
                scope->helper_fd = fd_close(scope->helper_fd);
                return -EPIPE;
        }
        return m.type == SCOPE_STOP_REQUESTED;
}

void scope_remove(struct scope *scope)
{
        if (scope->operations)
                scope->operations->remove(scope);
        scope_forget(scope);
}

void scope_forget(struct scope *scope)
{
        (void) fd_close(scope->lock_fd);
        (void) fd_close(scope->payload_fd);
        (void) fd_close(scope->helper_fd);
        (void) fd_close(scope->helper_pidfd);
        free(scope->unit);
        free(scope->path);
        free(scope->name);
        *scope = (struct scope) SCOPE_NULL;
}

void scope_describe(enum host_kind kind, const struct scope_spec *spec, struct strbuf *out)
{
        operations_for(kind, spec)->describe(spec, out);
}

int group_lock_at(int dir_fd, const char *name)
{
        int fd CLEANUP_FD = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

        if (fd < 0)
                return -errno;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0)
                return errno == EWOULDBLOCK ? -EBUSY : -errno;
        return TAKE_FD(fd);
}

int payload_open(const char *path)
{
        return group_lock_at(AT_FDCWD, path);
}

int payload_give_away(int payload_fd, uid_t owner)
{
        static const char *const files[] = {
                "cgroup.controllers",     "cgroup.events",  "cgroup.procs",     "cgroup.stat",
                "cgroup.subtree_control", "cgroup.threads", "memory.oom.group", "memory.reclaim",
        };

        if (owner == 0)
                return 0;
        if (fchown(payload_fd, owner, (gid_t) owner) < 0)
                return -errno;
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (fchownat(payload_fd, files[i], owner, (gid_t) owner, AT_SYMLINK_NOFOLLOW) < 0 &&
                    errno != ENOENT)
                        return -errno;
        return 0;
}

bool scope_asks_for_device_policy(const struct scope_spec *spec)
{
        const struct property *policy = property_set_find(spec->properties, PROPERTY_DEVICE_POLICY);

        return (policy && policy->number != DEVICE_POLICY_AUTO) ||
               property_set_find(spec->properties, PROPERTY_DEVICE_ALLOW);
}

bool scope_wants_device_policy(const struct scope_spec *spec)
{
        return spec->device_policy || scope_asks_for_device_policy(spec);
}

void scope_describe_devices(const struct scope_spec *spec, struct strbuf *out)
{
        if (!scope_wants_device_policy(spec))
                return;
        strbuf_add(out, "  device policy: closed, except\n");
        for (size_t i = 0; i < spec->n_devices; i++) {
                const struct device_rule *d = &spec->devices[i];
                char access[4], major[16] = "*", minor[16] = "*";

                device_access_to_text(d->access, access);
                if (d->major >= 0)
                        (void) snprintf(major, sizeof(major), "%d", d->major);
                if (d->minor >= 0)
                        (void) snprintf(minor, sizeof(minor), "%d", d->minor);
                strbuf_addf(out, "    %c %s:%s %s\n", d->type, major, minor, access);
        }
}

int scope_fail_no_memory(struct failure *failure)
{
        return failure_set(failure, -ENOMEM, "Out of memory.");
}

int scope_fail_path(struct failure *failure, int error, const char *what, const char *path)
{
        char hint[SANDBOX_HINT_SIZE] = "";

        if (error == -EROFS || error == -EACCES || error == -EPERM)
                (void) sandbox_hint(SANDBOX_CGROUPS, hint);
        return failure_set(failure, error, "Cannot %s '%s': %s.%s", what, path, error_text(error),
                           hint);
}
