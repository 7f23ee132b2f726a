/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * What we run in ourselves, if that is a container or another sandbox. All of it is looked at only
 * once something has been refused to us: on a host nothing of this costs anything.
 */

/* Whether we are in a user namespace other than the machine's own: no capability of ours reaches
 * beyond it, and the kernel lets nobody in it make device nodes. One system call. */
bool sandbox_is_user_namespace(void);

/* What a sandbox may keep from us. */
enum sandbox_feature {
        SANDBOX_MOUNTS,        /* namespaces and mounts: CAP_SYS_ADMIN, and their system calls */
        SANDBOX_FULL_PROC,     /* a view of proc and sysfs without parts hidden */
        SANDBOX_CGROUPS,       /* a control group that we can write to */
        SANDBOX_DEVICE_POLICY, /* BPF programs */
        SANDBOX_IDS,           /* ids for a user namespace of our own */
};

#define SANDBOX_HINT_SIZE 320

/*
 * Writes what can be done about @feature being refused, as a sentence with a space before it, that
 * names the option of the container manager around us. Empty if nothing is around us that we know.
 * Returns @text.
 */
const char *sandbox_hint(enum sandbox_feature feature, char text[SANDBOX_HINT_SIZE]);
