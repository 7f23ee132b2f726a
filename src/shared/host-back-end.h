/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "shared/host.h"

/*
 * The inside of host.h: what differs between a host with systemd, one without, and a machine that
 * stays in its caller's unit. Only host*.c includes this.
 */
struct scope_operations {
        int (*create)(const struct scope_spec *spec, struct scope *scope, struct failure *failure);
        int (*adopt)(struct scope *scope, pid_t leader, int leader_pidfd, struct failure *failure);
        void (*remove)(struct scope *scope);
        void (*describe)(const struct scope_spec *spec, struct strbuf *out);
};

extern const struct scope_operations scope_native, scope_kept_unit, scope_systemd;

#define SCOPE_KILL_TIMEOUT_MS 10000

/*
 * The group @name below @dir_fd (or a path) as an open directory with our lock on it. -EBUSY:
 * another launcher has the lock; -ENOENT: there is no such group. Whoever was slower may get a
 * lock on a group that has been removed meanwhile: nothing in it can be opened or made.
 */
int group_lock_at(int dir_fd, const char *name);

/* The payload's group, likewise. */
int payload_open(const char *path);

/* Gives the payload's group to the owner: that it can be moved in and divided further. */
int payload_give_away(int payload_fd, uid_t owner);

/* Whether there is a device policy: by default, or by the properties; and whether by these. Pure, as
 * is the other. */
bool scope_wants_device_policy(const struct scope_spec *spec);
bool scope_asks_for_device_policy(const struct scope_spec *spec);
void scope_describe_devices(const struct scope_spec *spec, struct strbuf *out);

/* Sentences that are the same everywhere. */
int scope_fail_no_memory(struct failure *failure);
int scope_fail_path(struct failure *failure, int error, const char *what, const char *path);
