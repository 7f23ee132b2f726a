/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Whether the systemd of a tree knows nothing of control groups of version 2, as before its version
 * 230: such a one does not boot without the hierarchy "name=systemd" of version 1. Its program tells:
 * it has that name in it, and not that of cgroup2. In newer ones the one is in a library
 * (libsystemd-shared, from 231 on) or the other one is there, too.
 */

/* 1, 0 (also if there is no systemd that could be booted), or a negative errno. */
int tree_has_old_systemd(int tree_fd);

/* The same of an open program, read from where it stands. */
int is_old_systemd(int program_fd);
