/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <termios.h>

#include "basic/macro.h"

/*
 * A second open file description of the terminal, pipe or file behind @fd, so that O_NONBLOCK on
 * it does not touch the caller's. Opened with @flags. -ENXIO and the like where that cannot be
 * (sockets); the caller then works with @fd itself and does not set flags.
 */
int terminal_reopen(int fd, int flags);

/* Raw mode on @fd; @ret_saved gets what terminal_restore() needs. */
int terminal_set_raw(int fd, struct termios *ret_saved);
void terminal_restore(int fd, const struct termios *saved);

/* Copies the window size of @from to @to; terminals without one are left alone. */
int terminal_copy_size(int from, int to);
