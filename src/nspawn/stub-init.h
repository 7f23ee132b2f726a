/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/* What the process is called; the caller sets it before it has a child. */
#define STUB_INIT_NAME "(sd-stubinit)"

/*
 * The first process of --as-pid2: reaps, and turns the signals that ask an init to shut down or
 * reboot into an end of its one child. Does not return. @child is the payload.
 * The caller has closed what the payload does not need and blocked all signals.
 */
_Noreturn void stub_init_run(pid_t child);

/*
 * Makes /proc/1/cmdline say "(sd-stubinit)" and leaves in /proc/1/environ only the container's name
 * and id: the caller's command line and environment may hold secrets. @argv and @environment are
 * main()'s, where the kernel placed them.
 */
void stub_init_hide_caller(char **argv, char **environment, const char *service,
                           const char *plain_uuid);
