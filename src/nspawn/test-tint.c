/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "nspawn/tint.h"

#define E "\x1b["
#define T "\x1b[44m"

/* What a guest writes, and what the terminal gets. */
static void test_tint(void **state)
{
        static const struct {
                const char *in, *out;
        } rows[] = {
                { "", "" },
                { "plain\r\n", "plain\r\n" },
                { E "mx", E "m" T "x" },
                { E "0mx", E "0m" T "x" },
                { E "00;01mx", E "00;01m" T "x" },
                { E "49mx", E "49m" T "x" },
                { E "1;31mx", E "1;31mx" },
                { E ";1m", E ";1m" T },
                { E "41m", E "41m" },
                { E "0;41m", E "0;41m" },
                { E "0;104m", E "0;104m" },
                { E "41;0m", E "41;0m" T },
                { E "0;48;5;0m", E "0;48;5;0m" },
                { E "38;5;0m", E "38;5;0m" },
                { E "38;2;0;0;49m", E "38;2;0;0;49m" },
                { E "38;2;0;0;49;0m", E "38;2;0;0;49;0m" T },
                { E "38m" E "38;5m", E "38m" E "38;5m" },
                { E "4:0m", E "4:0m" },
                { E "4:0;0m", E "4:0;0m" T },
                { "\x1b"
                  "c",
                  "\x1b"
                  "c" T },
                { E "!p", E "!p" T },
                { E "p" E "?p" E "$p", E "p" E "?p" E "$p" },
                { E "?0m" E ">0m" E "0 m", E "?0m" E ">0m" E "0 m" },
                { E "0J" E "0K" E "H", E "0J" E "0K" E "H" },
                { E "0" E "m", E "0" E "m" T },
                { E "0\nm", E "0\nm" T },
                { "\x1b\x1b[m", "\x1b\x1b[m" T },
                { E "99999999999999999999m", E "99999999999999999999m" },
                { "m0;0m[m", "m0;0m[m" },
                { E "1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;0m",
                  E "1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;1;0m" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct tint whole, pieces;
                char out[512], again[512];
                size_t n = strlen(rows[i].in), m = 0, k;

                tint_init(&whole, "44");
                tint_init(&pieces, "44");
                k = tint_apply(&whole, rows[i].in, n, out);
                for (size_t at = 0; at < n; at++)
                        m += tint_apply(&pieces, rows[i].in + at, 1, again + m);
                out[k] = again[m] = '\0';
                if (strcmp(out, rows[i].out) != 0)
                        fail_msg("row %zu: '%s'", i, out + 1);
                assert_string_equal(out, again);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = { cmocka_unit_test(test_tint) };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
