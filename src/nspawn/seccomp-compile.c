/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * seccomp-compile CAPABILITIES-IN-HEX SUPPRESS-SYNC FAMILIES [TERM…]
 *
 * Writes the filter for these settings to standard output as the kernel's instructions, closes
 * it, and then writes words that it does not know to standard error, one a line. The launcher
 * SUPPRESS-SYNC is 0 or 1, FAMILIES are words of families.h with commas between them. The launcher
 * runs this where its ready-made filter does not fit. Exits with 1 on failure.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "basic/io.h"
#include "basic/strv.h"
#include "nspawn/seccomp-build.h"

/* Exactly what the launcher writes: up to 16 hexadecimal digits, nothing else. */
static int parse_caps(const char *text, uint64_t *ret)
{
        static const char digits[] = "0123456789abcdef";
        uint64_t caps = 0;

        if (!text[0] || strlen(text) > 16)
                return -EINVAL;
        for (; *text; text++) {
                const char *digit = strchr(digits, *text);

                if (!digit)
                        return -EINVAL;
                caps = caps << 4 | (uint64_t) (digit - digits);
        }
        *ret = caps;
        return 0;
}

static int run(const struct seccomp_build_input *input)
{
        struct sock_filter *filter CLEANUP_FREE = NULL;
        char **unknown CLEANUP_STRV = NULL;
        unsigned short length = 0;
        int r = seccomp_build(input, &filter, &length, &unknown);

        if (r >= 0)
                r = write_all(STDOUT_FILENO, filter, length * sizeof(*filter));
        if (r >= 0 && close(STDOUT_FILENO) < 0)
                r = -errno;
        if (r < 0)
                return r;
        STRV_FOREACH(word, unknown)
        fprintf(stderr, "%s\n", *word);
        return 0;
}

static int parse_families(const char *text, struct family_set *ret)
{
        char **words CLEANUP_STRV = NULL;
        int r = strv_split(text, ",", &words);

        STRV_FOREACH(word, words)
        {
                if (r >= 0)
                        r = family_set_add(ret, *word);
        }
        return r;
}

int main(int argc, char **argv)
{
        struct seccomp_build_input input = { .terms = argc > 4 ? argv + 4 : NULL };
        int r;

        if (argc < 4 || parse_caps(argv[1], &input.retained_caps) < 0 ||
            (!streq(argv[2], "0") && !streq(argv[2], "1")) ||
            parse_families(argv[3], &input.families) < 0) {
                fprintf(stderr, "Usage: seccomp-compile CAPABILITIES-IN-HEX SUPPRESS-SYNC FAMILIES "
                                "[TERM…]\n");
                return EXIT_FAILURE;
        }
        input.suppress_sync = streq(argv[2], "1");
        r = run(&input);
        if (r < 0)
                fprintf(stderr, "%s\n", strerror(-r));
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
