/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "fuzz.h"

/*
 * What a fuzzer has instead of an engine: feeds it with files, and with every file of the folders
 * that are given. Without arguments that is the fuzzer's folder of seeds below $srcdir.
 */

#define SEED_MAX ((size_t) 1 << 20)

static int feed_file(int dir_fd, const char *name)
{
        char *text CLEANUP_FREE = NULL;
        uint8_t *data CLEANUP_FREE = NULL;
        size_t size = 0;
        int r = read_file_at(dir_fd, name, SEED_MAX, &text, &size);

        if (r < 0)
                return log_error(r, "Cannot read '%s': %s.", name, error_text(r));
        /* Without the NUL byte behind it, so that a sanitizer sees who reads too far. */
        data = malloc(size ? size : 1);
        FUZZ_CHECK(data);
        memcpy(data, text, size);
        (void) printf("%s\n", name);
        (void) fflush(stdout);
        (void) LLVMFuzzerTestOneInput(data, size);
        return 1;
}

/* How many were fed, or a negative errno. */
static int feed(const char *path)
{
        DIR *dir = opendir(path);
        int n = 0, r = 0;

        if (!dir)
                return errno == ENOTDIR ? feed_file(AT_FDCWD, path)
                                        : log_error(-errno, "Cannot read '%s': %m.", path);
        for (struct dirent *entry; r >= 0 && (entry = readdir(dir));)
                if (entry->d_name[0] != '.') {
                        r = feed_file(dirfd(dir), entry->d_name);
                        n++;
                }
        (void) closedir(dir);
        return r < 0 ? r : n;
}

int main(int argc, char **argv)
{
        const char *top = getenv("srcdir"), *name = strstr(argv[0], "fuzz-");
        char seeds[4096];
        int n = 0, r;

        for (int i = 1; i < argc; i++) {
                r = feed(argv[i]);
                if (r < 0)
                        return EXIT_FAILURE;
                n += r;
        }
        if (argc <= 1) {
                for (const char *p = name; p && (p = strstr(p + 1, "fuzz-"));)
                        name = p;
                (void) snprintf(seeds, sizeof(seeds), "%s/tests/fuzz/seeds/%s", top ? top : ".",
                                name ? name + strlen("fuzz-") : "");
                n = feed(seeds);
        }
        if (n == 0)
                (void) log_error(0, "There is nothing to feed '%s' with.", argv[0]);
        return n > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
