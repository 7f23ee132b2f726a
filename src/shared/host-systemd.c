/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/cgroup.h"
#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/process.h"
#include "shared/host-back-end.h"
#include "shared/host-scope.h"
#include "shared/names.h"

/*
 * A host with systemd: PID 1 makes the scope unit around the leader, which must exist by then.
 * The talking is done by a helper program (host-scope.c), because D-Bus needs a library that does
 * not belong into the launcher. It is started with the scope's data before there is a leader, so
 * that it is connected when the leader's pidfd comes; and it stays, because systemd asks the
 * scope's controller to stop it and the controller is a connection to the bus.
 */

#define PAYLOAD "payload"
#define JOB_TIMEOUT_MS 90000
#define HELPER_EXIT_TIMEOUT_MS 5000

static _Noreturn void exec_helper(const char *path, int channel_fd)
{
        char name[] = "host-scope";
        char *argv[] = { name, NULL };
        int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

        /* dup2() onto itself would keep close-on-exec. */
        if (channel_fd == SCOPE_CHANNEL_FD ? fcntl(channel_fd, F_SETFD, 0) < 0
                                           : dup2(channel_fd, SCOPE_CHANNEL_FD) < 0)
                _exit(126);
        if (process_reset_signals() < 0 || null_fd < 0 || dup2(null_fd, 0) < 0 ||
            dup2(null_fd, 1) < 0 || fd_cloexec_from(SCOPE_CHANNEL_FD + 1) < 0)
                _exit(126);
        execve(path, argv, environ);
        _exit(127);
}

static int start_helper(struct scope *scope, struct failure *failure)
{
        char *path CLEANUP_FREE = path_of_program("host-scope");
        int ours CLEANUP_FD = -1, theirs CLEANUP_FD = -1;
        pid_t pid;
        int r;

        if (!path)
                return scope_fail_no_memory(failure);
        if (access(path, X_OK) < 0)
                return failure_set(failure, -errno,
                                   "Cannot run '%s', which asks systemd for the machine's scope: "
                                   "%m. Is stead installed completely? Without it there is "
                                   "--keep-unit.",
                                   path);
        r = channel_pair(&ours, &theirs);
        if (r < 0)
                return scope_fail_path(failure, r, "make a channel to", path);
        /* The child's /dev/null must not land on the number that the channel gets. */
        r = fd_above_stdio_take_fd(TAKE_FD(theirs));
        if (r < 0)
                return scope_fail_path(failure, r, "make a channel to", path);
        theirs = r;
        pid = process_clone(0, -1, &scope->helper_pidfd);
        if (pid == 0)
                exec_helper(path, theirs);
        if (pid < 0)
                return scope_fail_path(failure, (int) pid, "start", path);
        scope->helper_fd = TAKE_FD(ours);
        return 0;
}

static int send_item(const struct scope *scope, enum scope_message type, uint64_t value,
                     const char *text)
{
        struct channel_message m = { .type = type, .value = value };

        if (text && strlen(text) >= sizeof(m.text))
                return -E2BIG;
        (void) snprintf(m.text, sizeof(m.text), "%s", text ? text : "");
        return channel_send(scope->helper_fd, &m, NULL, 0);
}

static int send_property(const struct scope *scope, const struct property *p)
{
        char text[CHANNEL_MAX_TEXT];
        int n = snprintf(text, sizeof(text), "%s=%s", property_name(p->id), p->value);

        return (size_t) n >= sizeof(text) ? -E2BIG : send_item(scope, SCOPE_PROPERTY, 0, text);
}

static int send_spec(const struct scope *scope, const struct scope_spec *spec)
{
        int r = send_item(scope, SCOPE_MACHINE, 0, spec->machine);

        if (r >= 0)
                r = send_item(scope, SCOPE_SLICE, 0, spec->slice ? spec->slice : "machine.slice");
        for (size_t i = 0; spec->properties && i < spec->properties->n && r >= 0; i++)
                r = send_property(scope, &spec->properties->items[i]);
        for (size_t i = 0; i < spec->n_devices && r >= 0; i++)
                r = send_item(scope, SCOPE_DEVICE, scope_device_pack(&spec->devices[i]), NULL);
        if (r >= 0 && spec->device_policy)
                r = send_item(scope, SCOPE_CLOSED_DEVICES, 0, NULL);
        if (r >= 0 && spec->kill_signal > 0)
                r = send_item(scope, SCOPE_KILL, (uint64_t) spec->kill_signal, NULL);
        return r;
}

static int fail_helper(struct failure *failure, int error)
{
        return failure_set(failure, error,
                           "The helper 'host-scope', which asks systemd for the machine's scope, "
                           "failed: %s.",
                           error == -EPIPE ? "it ended" : error_text(error));
}

static int systemd_create(const struct scope_spec *spec, struct scope *scope,
                          struct failure *failure)
{
        int r = machine_scope_name(spec->machine, &scope->name);

        if (r < 0)
                return failure_set(failure, r, "Cannot make a scope name of machine '%s': %s.",
                                   spec->machine, error_text(r));
        r = start_helper(scope, failure);
        if (r < 0)
                return r;
        r = send_spec(scope, spec);
        return r < 0 ? fail_helper(failure, r) : 0;
}

/* Sends the leader and waits until systemd has put it into the scope. */
static int start_unit(const struct scope *scope, pid_t leader, int leader_pidfd, char **ret_path,
                      struct failure *failure)
{
        struct channel_message m = { .type = SCOPE_START, .value = (uint64_t) leader };
        int r = channel_send(scope->helper_fd, &m, &leader_pidfd, 1);

        if (r >= 0)
                r = channel_receive(scope->helper_fd, JOB_TIMEOUT_MS, &m, NULL, 0, NULL);
        if (r < 0)
                return fail_helper(failure, r);
        if (m.type == SCOPE_FAILED)
                return failure_set(failure, m.error < 0 ? m.error : -EIO, "%s", m.text);
        if (m.type != SCOPE_READY || m.text[0] != '/')
                return fail_helper(failure, -EPROTO);
        *ret_path = strdup(m.text);
        return *ret_path ? 0 : scope_fail_no_memory(failure);
}

/* SCOPE/payload, with the leader in it. Only then can the scope hand controllers down. */
static int move_to_payload(struct scope *scope, pid_t leader, struct failure *failure)
{
        unsigned controllers = 0;
        char text[16];
        int r;

        if (mkdir(scope->path, 0755) < 0 && errno != EEXIST)
                return scope_fail_path(failure, -errno, "make the control group", scope->path);
        scope->payload_fd = payload_open(scope->path);
        if (scope->payload_fd < 0)
                return scope_fail_path(failure, scope->payload_fd, "open the control group",
                                       scope->path);
        (void) snprintf(text, sizeof(text), "%d", (int) leader);
        r = write_file_at(scope->payload_fd, "cgroup.procs", text);
        if (r < 0)
                return scope_fail_path(failure, r, "move the leader into", scope->path);
        if (cgroup_read_controllers(AT_FDCWD, scope->unit, &controllers) >= 0)
                (void) cgroup_hand_down(AT_FDCWD, scope->unit, controllers);
        r = payload_give_away(scope->payload_fd, scope->owner);
        return r < 0 ? scope_fail_path(failure, r, "change the owner of", scope->path) : 0;
}

static int systemd_adopt(struct scope *scope, pid_t leader, int leader_pidfd,
                         struct failure *failure)
{
        char *mount CLEANUP_FREE = NULL, *below CLEANUP_FREE = NULL;
        int r = start_unit(scope, leader, leader_pidfd, &below, failure);

        if (r < 0)
                return r;
        r = cgroup_find_mount(&mount);
        if (r < 0)
                return failure_set(failure, r, "Cannot find a cgroup2 mount: %s.", error_text(r));
        if (asprintf(&scope->unit, "%s%s", mount, below) < 0) {
                scope->unit = NULL;
                return scope_fail_no_memory(failure);
        }
        if (asprintf(&scope->path, "%s/" PAYLOAD, scope->unit) < 0) {
                scope->path = NULL;
                return scope_fail_no_memory(failure);
        }
        return move_to_payload(scope, leader, failure);
}

/* The end of its channel tells it to go; it gives the unit up then. */
static void stop_helper(struct scope *scope)
{
        struct pollfd p = { .fd = scope->helper_pidfd, .events = POLLIN };
        struct process_end end;

        scope->helper_fd = fd_close(scope->helper_fd);
        if (scope->helper_pidfd < 0)
                return;
        if (poll(&p, 1, HELPER_EXIT_TIMEOUT_MS) != 1)
                (void) process_signal(scope->helper_pidfd, SIGKILL);
        (void) process_wait(scope->helper_pidfd, &end);
}

/* systemd removes the scope itself when its unit is given up and empty. */
static void systemd_remove(struct scope *scope)
{
        if (scope->path && rmdir(scope->path) < 0 && errno != ENOENT && scope->payload_fd >= 0) {
                (void) cgroup_kill(scope->payload_fd, ".", SCOPE_KILL_TIMEOUT_MS);
                (void) cgroup_remove(AT_FDCWD, scope->path);
        }
        stop_helper(scope);
}

static void systemd_describe(const struct scope_spec *spec, struct strbuf *out)
{
        char *name CLEANUP_FREE = NULL;

        (void) machine_scope_name(spec->machine, &name);
        strbuf_addf(out, "scope: systemd unit %s in %s\n", name ? name : "(name too long)",
                    spec->slice ? spec->slice : "machine.slice");
        strbuf_add(out, "  payload: SCOPE/" PAYLOAD "\n");
        if (spec->owner != 0)
                strbuf_addf(out, "  owner of the payload's group: %u\n", (unsigned) spec->owner);
        property_set_describe(spec->properties, "  property: ", out);
        scope_describe_devices(spec, out);
}

const struct scope_operations scope_systemd = {
        .create = systemd_create,
        .adopt = systemd_adopt,
        .remove = systemd_remove,
        .describe = systemd_describe,
};
