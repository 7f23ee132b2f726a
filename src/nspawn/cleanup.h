/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "nspawn/config.h"

/*
 * --cleanup: removes what a machine left that is not there any more: its folder for mounts, a dead
 * control group, throw-away trees of its tree, locks that nobody holds. Nothing is left to do when it
 * is done a second time. A machine that runs is not touched. Returns the exit status.
 */
int container_cleanup(const struct container_config *config);
