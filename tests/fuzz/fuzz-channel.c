/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/channel.h"
#include "basic/fd.h"
#include "fuzz.h"

/*
 * A peer that sends anything: the first two bytes say how many descriptors come along and for how
 * many there is room, the rest is the message. No descriptor may be left behind.
 */

static void try_receive(int fd, size_t room)
{
        int fds[CHANNEL_MAX_FDS];
        struct channel_message m = { .type = 0 };
        size_t n = 0;
        int r = channel_receive(fd, 0, &m, fds, room, &n);

        FUZZ_CHECK(r == 0 || ((r == -EPROTO || r == -EPIPE) && n == 0));
        FUZZ_CHECK(n <= room && memchr(m.text, '\0', sizeof(m.text)));
        for (size_t i = 0; i < n; i++)
                FUZZ_CHECK(fcntl(fds[i], F_GETFD) == FD_CLOEXEC);
        fd_close_many(fds, n);
}

/* What we send ourselves arrives as it was. */
static void try_send(int from, int to, const uint8_t *data, size_t size)
{
        struct channel_message out = { .type = 1, .error = -EBUSY, .value = size }, in;

        memcpy(out.text, data, MIN_OF(size, sizeof(out.text) - 1));
        FUZZ_CHECK(channel_send(from, &out, NULL, 0) == 0);
        FUZZ_CHECK(channel_receive(to, 0, &in, NULL, 0, NULL) == 0);
        FUZZ_CHECK(in.type == out.type && in.error == out.error && in.value == out.value);
        FUZZ_CHECK(streq(in.text, out.text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        int a = -1, b = -1, next = fuzz_next_fd();
        size_t n_fds, room;

        if (size < 2)
                return 0;
        n_fds = MIN_OF(data[0], FUZZ_MAX_FDS);
        room = MIN_OF(data[1], CHANNEL_MAX_FDS);
        FUZZ_CHECK(channel_pair(&a, &b) == 0);
        fuzz_send(a, data + 2, size - 2, n_fds);
        try_receive(b, room);
        try_send(b, a, data + 2, size - 2);
        FUZZ_CHECK(!channel_peer_is_gone(b));
        a = fd_close(a);
        FUZZ_CHECK(channel_peer_is_gone(b));
        b = fd_close(b);
        FUZZ_CHECK(fuzz_next_fd() == next);
        return a < 0 && b < 0 ? 0 : -1;
}
