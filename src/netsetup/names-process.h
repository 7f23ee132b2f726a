/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"

/*
 * Starts @argv as a user without privileges ("dnsmasq", else "nobody") that may bind low ports, see raw
 * packets and change the neighbours' table, and that dies with us. @ret_stderr_fd, not blocking, is what it
 * says on standard error. Both descriptors are the caller's.
 */
int names_process_start(char *const *argv, int *ret_pidfd, int *ret_stderr_fd,
                        struct failure *failure);
