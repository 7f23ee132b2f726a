/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/time-namespace.h"
#include "nspawn/mount-run.h"
#include "nspawn/plan.h"

/* What the first process inherits from the supervisor. */
struct child_inputs {
        const struct container_plan *plan;
        struct mount_run *mounts;
        const struct seccomp_program *filter;
        int channel_fd;
        struct clock_readings begin; /* with a time of its own: before it was born */
        bool wait_for_namespaces;    /* MSG_NAMESPACES will come */
        int console_fd;              /* becomes the standard streams; -1: the caller's are kept */
        char **host_argv, **host_environment; /* ours, as the kernel placed them */
};

/* Sets the container up from inside and becomes the payload. Does not return. */
_Noreturn void child_run(const struct child_inputs *in);
