/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs while building: writes the filter of a container with default settings as C source to
 * standard output, so that such a container starts without libseccomp.
 */

#include <stdio.h>
#include <stdlib.h>

#include "basic/strv.h"
#include "nspawn/seccomp-build.h"
#include "nspawn/seccomp-groups.h"

int main(void)
{
        const struct seccomp_build_input input = { .retained_caps = SECCOMP_DEFAULT_CAPS };
        struct sock_filter *filter CLEANUP_FREE = NULL;
        char **unknown CLEANUP_STRV = NULL;
        unsigned short length = 0;
        int r = seccomp_build(&input, &filter, &length, &unknown);

        if (r < 0) {
                fprintf(stderr, "Cannot build the default system call filter: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        printf("/* Made by seccomp-generate. */\n"
               "#include \"nspawn/seccomp.h\"\n\n"
               "const struct sock_filter seccomp_default_program[] = {\n");
        for (unsigned i = 0; i < length; i++)
                printf("        { 0x%02x, %u, %u, 0x%x },\n", filter[i].code, filter[i].jt,
                       filter[i].jf, filter[i].k);
        printf("};\nconst unsigned short seccomp_default_length = %u;\n", length);
        return ferror(stdout) || fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
