/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/old-systemd.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/root.h"

/* The largest that there were have 2 MiB; a tree's maker must not make us read for ever. */
#define PROGRAM_MAX ((size_t) 16 << 20)
#define CHUNK ((size_t) 64 << 10)

static const char *const words[] = { "libsystemd-shared-", "cgroup2", "name=systemd" };
enum { SAYS_NEW = 1 << 0 | 1 << 1, SAYS_OLD = 1 << 2 };
#define LONGEST_WORD (sizeof("libsystemd-shared-") - 1)

static unsigned words_in(const char *buffer, size_t size)
{
        unsigned found = 0;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (memmem(buffer, size, words[i], strlen(words[i])))
                        found |= 1U << i;
        return found;
}

int is_old_systemd(int program_fd)
{
        char *buffer CLEANUP_FREE = malloc(LONGEST_WORD + CHUNK);
        size_t kept = 0, total = 0;
        unsigned found = 0;

        if (!buffer)
                return -ENOMEM;
        while (total < PROGRAM_MAX && !(found & SAYS_NEW)) {
                ssize_t n = read(program_fd, buffer + kept, CHUNK);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                total += (size_t) n;
                found |= words_in(buffer, kept + (size_t) n);
                /* A word may go across: the end of this chunk is the beginning of the next. */
                n += (ssize_t) kept;
                kept = MIN_OF((size_t) n, LONGEST_WORD);
                memmove(buffer, buffer + n - kept, kept);
        }
        return found == SAYS_OLD;
}

int tree_has_old_systemd(int tree_fd)
{
        /* Where the first process looks for it. */
        static const char *const paths[] = { "usr/lib/systemd/systemd", "lib/systemd/systemd" };

        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                int fd CLEANUP_FD = root_open_regular(tree_fd, paths[i], O_RDONLY, ROOT_FOLLOW);

                if (fd >= 0)
                        return is_old_systemd(fd);
                /* What is not there, or no program, will not be booted either. */
                if (fd == -ENOMEM || fd == -EMFILE || fd == -ENFILE || fd == -EPERM ||
                    fd == -ENOSYS || fd == -EIO)
                        return fd;
        }
        return 0;
}
