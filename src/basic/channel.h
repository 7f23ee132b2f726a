/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Typed messages between a parent and its child over SOCK_SEQPACKET. Each message is whole, has a
 * type, may carry descriptors, a number and a text. The end of file means that the peer is gone
 * and is always an error (-EPIPE), never a go-ahead.
 */
#define CHANNEL_MAX_FDS 250 /* the kernel takes 253 in a message (unix(7)) */
#define CHANNEL_MAX_TEXT 1024

struct channel_message {
        uint32_t type;
        int32_t error;  /* a negative errno with error messages, else 0 */
        uint64_t value; /* what the type says */
        char text[CHANNEL_MAX_TEXT];
};

/* Two connected ends, both close-on-exec. */
int channel_pair(int *ret_a, int *ret_b);

/* Sends @message with borrowed descriptors. Returns 0 or a negative errno. Never blocks long: the
 * peer's queue holds more than a whole conversation. */
int channel_send(int fd, const struct channel_message *message, const int *fds, size_t n_fds);

/* Whether the peer has closed its end or died. Does not wait, takes nothing. */
bool channel_peer_is_gone(int fd);

/*
 * Waits up to @timeout_ms (negative: for ever) for a message. Descriptors are stored in @fds,
 * which has room for @max_fds; they are the caller's. More than that are closed and give -EPROTO.
 * Returns 0, -EPIPE (peer gone), -ETIMEDOUT, -EPROTO (not a message) or another negative errno.
 */
int channel_receive(int fd, int timeout_ms, struct channel_message *ret, int *fds, size_t max_fds,
                    size_t *ret_n_fds);
