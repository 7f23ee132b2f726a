/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz.h"
#include "nspawn/tint.h"

/*
 * What a guest writes to a terminal that has a background. However it comes in pieces, the same
 * goes out; nothing of it is lost; and what is added is the sequence that sets the colour.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct tint whole, pieces;
        char *out CLEANUP_FREE = malloc(size * TINT_GROWTH + 1);
        size_t n, at = 0, length;

        FUZZ_CHECK(out);
        tint_init(&whole, "48;5;17");
        tint_init(&pieces, "48;5;17");
        length = strlen(whole.sequence);
        n = tint_apply(&whole, (const char *) data, size, out);
        for (size_t i = 0; i < size; i++) {
                char piece[TINT_GROWTH];
                size_t k = tint_apply(&pieces, (const char *) data + i, 1, piece);

                FUZZ_CHECK(piece[0] == (char) data[i]);
                FUZZ_CHECK(k == 1 ||
                           (k == 1 + length && memcmp(piece + 1, whole.sequence, length) == 0));
                FUZZ_CHECK(at + k <= n && memcmp(out + at, piece, k) == 0);
                at += k;
        }
        FUZZ_CHECK(at == n);
        return 0;
}
