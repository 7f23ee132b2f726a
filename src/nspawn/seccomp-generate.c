/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs while building: writes the filters of containers with default settings, and with those of
 * --nesting, as C source to standard output, so that such a container starts without libseccomp.
 */

#include <stdio.h>
#include <stdlib.h>

#include "basic/strv.h"
#include "nspawn/seccomp-build.h"
#include "nspawn/seccomp-groups.h"

static int generate(const char *name, char *const *terms)
{
        const struct seccomp_build_input input = { .retained_caps = SECCOMP_DEFAULT_CAPS,
                                                   .terms = terms };
        struct sock_filter *filter CLEANUP_FREE = NULL;
        char **unknown CLEANUP_STRV = NULL;
        unsigned short length = 0;
        int r = seccomp_build(&input, &filter, &length, &unknown);

        if (r < 0)
                return r;
        printf("const struct sock_filter seccomp_%s_program[] = {\n", name);
        for (unsigned i = 0; i < length; i++)
                printf("        { 0x%02x, %u, %u, 0x%x },\n", filter[i].code, filter[i].jt,
                       filter[i].jf, filter[i].k);
        printf("};\nconst unsigned short seccomp_%s_length = %u;\n", name, length);
        return 0;
}

int main(void)
{
        static char *const nesting[] = { (char *) SECCOMP_NESTING_TERM, NULL };
        int r;

        printf("/* Made by seccomp-generate. */\n"
               "#include \"nspawn/seccomp.h\"\n\n");
        r = generate("default", NULL);
        if (r >= 0)
                r = generate("nesting", nesting);
        if (r < 0) {
                fprintf(stderr, "Cannot build a system call filter: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        return ferror(stdout) || fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
