/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/config.h"

/*
 * Runs a container to its end, through all its reboots, and cleans up. All messages were printed
 * when it returns. Returns the exit status of the program (0…255).
 */
int container_run(const struct container_config *config, char **host_argv, char **host_environment);

/* Prints what container_run() would do. Returns 0 or 1, the exit status. */
int container_dry_run(const struct container_config *config);

/* With --keep-unit: the service that we are in shall start us again (RestartForceExitStatus=). */
#define EXIT_REBOOT 133
