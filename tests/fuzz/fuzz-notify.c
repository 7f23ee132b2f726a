/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/fd.h"
#include "basic/strv.h"
#include "fuzz.h"
#include "nspawn/notify.h"

/*
 * A datagram of the payload: the first byte says how many descriptors come along, and with 255
 * that it is from somebody else. Only two kinds of lines go on, and no descriptor stays.
 */

static void check_forwarded(char *const *forward)
{
        static const char prefix[] = "STATUS=Container running: ";

        FUZZ_CHECK(strv_length(forward) <= 2);
        STRV_FOREACH(text, forward)
        FUZZ_CHECK(streq(*text, "READY=1") ||
                   (startswith(*text, prefix) && fuzz_is_one_line(*text) &&
                    strlen(*text) < sizeof(prefix) + 512));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char **forward CLEANUP_STRV = NULL, **filtered CLEANUP_STRV = NULL;
        char *text CLEANUP_FREE = NULL;
        int fds[2], yes = 1, next = fuzz_next_fd(), r;
        bool stranger;

        if (size < 1)
                return 0;
        stranger = data[0] == 255;
        FUZZ_CHECK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds) == 0);
        FUZZ_CHECK(setsockopt(fds[1], SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) == 0);
        fuzz_send(fds[0], data + 1, size - 1, MIN_OF(data[0], FUZZ_MAX_FDS));
        FUZZ_CHECK(notify_receive_pending(fds[1]));
        r = notify_receive(fds[1], stranger ? 1 : getpid(), &forward);
        FUZZ_CHECK(!notify_receive_pending(fds[1]));
        FUZZ_CHECK(r == (forward != NULL) && !(stranger && r != 0));
        check_forwarded(forward);
        (void) fd_close(fds[0]);
        (void) fd_close(fds[1]);
        FUZZ_CHECK(fuzz_next_fd() == next);

        text = fuzz_text(data + 1, size - 1);
        r = notify_filter(text, &filtered);
        FUZZ_CHECK(r == (filtered != NULL));
        check_forwarded(filtered);
        FUZZ_CHECK(!forward || strv_length(forward) == strv_length(filtered));
        return 0;
}
