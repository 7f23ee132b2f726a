/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * The readiness protocol (sd_notify(3)) on both sides: to whoever supervises us, and from the
 * container's first process.
 */

/* A socket for messages from the container; it still has to be bound. Or a negative errno. */
int notify_socket_new(void);

/* Sends @text to $NOTIFY_SOCKET. Nothing happens if that is not set. 0 or a negative errno. */
int notify_send(const char *text);

/*
 * Receives one datagram. Only those of @leader count; others are dropped, and descriptors that come
 * along are closed. Adds to @forward what may go on to our supervisor, a text for each datagram:
 * READY=1, and the first STATUS= with a prefix. Returns 1 if @forward got something, 0 if not, or a
 * negative errno.
 */
int notify_receive(int fd, pid_t leader, char ***forward);

/* Whether a datagram is waiting. */
bool notify_receive_pending(int fd);

/* What of the message @text may go on. Pure. Returns 1 if anything was added. */
int notify_filter(const char *text, char ***forward);
