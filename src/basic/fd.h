/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* An fd that is closed when its variable goes out of scope; negative means none. */
#define CLEANUP_FD CLEANUP(cleanup_fd)

/* Closes @fd if it is one, keeps errno. Returns -1, so that `x = fd_close(x)` leaves x empty. */
int fd_close(int fd);

void cleanup_fd(const int *fd);

/* Closes the @n descriptors of @fds, whose order may change, with few system calls. */
void fd_close_many(int *fds, size_t n);

/* A close-on-exec copy of @fd, numbered 3 or higher. Returns it or a negative errno. */
int fd_copy(int fd);

/* Moves @fd above the standard three if it is one of them; takes it, also on failure. */
int fd_above_stdio_take_fd(int fd);

/* Opens /dev/null for each of 0, 1, 2 that is closed, so that no later open becomes stdin. */
int fd_fill_stdio(void);

/*
 * Marks all descriptors from @first on close-on-exec, whoever opened them.
 * Returns 0 or a negative errno. Needs Linux 5.11 (CLOSE_RANGE_CLOEXEC).
 */
int fd_cloexec_from(int first);

/* Lets this process have as many descriptors as it may ask for. Returns how many that are. */
size_t fd_raise_limit(void);

/* Closes all descriptors from @first on but @keep, whoever opened them. 0 or a negative errno. */
int fd_close_others(int first, int keep);
