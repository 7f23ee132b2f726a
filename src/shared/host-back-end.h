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

/* The payload's group as an open, locked directory; -EBUSY: another launcher has it. */
int payload_open(const char *path);

/* Gives the payload's group to the owner: that it can be moved in and divided further. */
int payload_give_away(int payload_fd, uid_t owner);

/* Whether there is a device policy: asked for, or by the properties. Pure, as is the other. */
bool scope_wants_device_policy(const struct scope_spec *spec);
void scope_describe_devices(const struct scope_spec *spec, struct strbuf *out);

/* Sentences that are the same everywhere. */
int scope_fail_no_memory(struct failure *failure);
int scope_fail_path(struct failure *failure, int error, const char *what, const char *path);
