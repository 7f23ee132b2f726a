/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/bpf-device.h"
#include "basic/failure.h"
#include "basic/strbuf.h"
#include "shared/property.h"

/*
 * The machine's control group, which on a host with systemd is PID 1's to make (a scope unit) and
 * elsewhere ours. Nobody else asks which host it is.
 *
 *      scope_create()  →  process_clone(…, scope.payload_fd, …)  →  scope_adopt()  →  the leader
 *      may go on  →  …  →  scope_remove()
 *
 * In all cases the payload is in a group of its own ("payload") below the unit's, which has no
 * processes beside it. What a supervisor that was killed leaves is cleaned up by the next start of
 * a machine of the same name, or by the end of another one in the same slice.
 */
enum host_kind { HOST_NATIVE, HOST_SYSTEMD };

/* HOST_SYSTEMD if systemd is PID 1 (sd_booted(3)). One system call. */
enum host_kind host_detect(void);

struct scope_spec {
        const char *machine; /* a valid machine name */
        const char *slice;   /* a valid slice name; NULL: "machine.slice" */
        bool keep_unit;      /* no scope: the payload's group is made below our own group */
        bool tried_before;   /* what there is to say about the host has been said */
        bool device_policy;  /* allow only .devices; not with .keep_unit */
        uid_t owner;         /* uid and gid that get the payload's group; 0: it stays root's */
        int kill_signal;     /* systemd only: what stops the leader cleanly; 0: none */
        const struct property_set *properties; /* may be NULL; ignored with .keep_unit */
        const struct device_rule *devices;     /* with the standard nodes (null, zero, …) */
        size_t n_devices;
};

struct scope_operations;

struct scope {
        const struct scope_operations *operations; /* NULL: empty */
        char *unit;  /* directory of the scope, or of the unit that we are in with keep_unit */
        char *path;  /* directory of the payload's group; NULL: not there (yet) */
        char *name;  /* of the scope unit, "machine-a.scope"; NULL with keep_unit */
        int lock_fd; /* .unit, locked by flock(2) while we live; -1: not ours to make or remove */
        int payload_fd; /* to be born in; locked instead where .unit is not; -1: none (yet) */
        int helper_fd;  /* readable: the host wants the machine to stop (or went away); -1: none */
        int helper_pidfd;
        bool shares_group; /* with keep_unit: there is no group for the payload alone */
        uid_t owner;
        const struct scope_spec *spec; /* borrowed from scope_create() until scope_adopt() */
};

#define SCOPE_NULL                                                                                 \
        {                                                                                          \
                .lock_fd = -1, .payload_fd = -1, .helper_fd = -1, .helper_pidfd = -1               \
        }
#define CLEANUP_SCOPE CLEANUP(scope_remove)

/*
 * Makes the group, with its limits and device policy. @spec must stay until scope_adopt() is done.
 * On failure nothing is left, and @failure has the sentence. -EBUSY: the machine is running, or
 * being started by somebody else.
 * Afterwards @ret->payload_fd is where the leader must be born; -1 if scope_adopt() will move it.
 */
int scope_create(enum host_kind kind, const struct scope_spec *spec, struct scope *ret,
                 struct failure *failure);

/*
 * Before the leader does anything of its own (a cgroup namespace, children): hands it to the host.
 * On a host with systemd the leader is in .path afterwards; else this does nothing.
 */
int scope_adopt(struct scope *scope, pid_t leader, int leader_pidfd, struct failure *failure);

/* Kills all that is in the payload's group and waits until it is gone. */
int scope_kill(struct scope *scope);

/* A message is waiting on .helper_fd: reads it. 1: the host asks us to stop the machine; 0: nothing
 * of interest; -EPIPE: the helper is gone, .helper_fd is closed and -1 now. */
int scope_dispatch(struct scope *scope);

/*
 * Kills what is left and removes the groups that scope_create() made: payload, scope, and slices of
 * ours that are empty now. Empties @scope; accepts an empty one.
 */
void scope_remove(struct scope *scope);

/*
 * Removes the scope of a machine that is not there any more. 1: there was one; 0: there was none, or
 * it is the host's to remove; -EBUSY: the machine is running. A sentence on failure.
 */
int scope_remove_leftover(enum host_kind kind, const struct scope_spec *spec,
                          struct failure *failure);

/* Gives up the groups without touching them: for a child that inherited @scope. Closes and frees. */
void scope_forget(struct scope *scope);

/* For --dry-run: what scope_create() would do, a line each. Pure. */
void scope_describe(enum host_kind kind, const struct scope_spec *spec, struct strbuf *out);
