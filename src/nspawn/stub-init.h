/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * The first process of --as-pid2: reaps, and turns the signals that ask an init to shut down or
 * reboot into an end of its one child. Does not return. @child is the payload.
 * The caller has closed what the payload does not need and blocked all signals.
 */
_Noreturn void stub_init_run(pid_t child);

/* Leaves only what /proc/1/environ may show: the container's name and id. Best effort. */
void stub_init_hide_environment(char **environment, const char *service, const char *plain_uuid);
