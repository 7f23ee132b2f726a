/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/io.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/path.h"

int write_all(int fd, const void *data, size_t n)
{
        const char *p = data;

        while (n > 0) {
                ssize_t w = write(fd, p, n);

                if (w < 0 && errno == EINTR)
                        continue;
                if (w < 0)
                        return -errno;
                p += w;
                n -= (size_t) w;
        }
        return 0;
}

int read_all(int fd, size_t max, char **ret, size_t *ret_size)
{
        char *text CLEANUP_FREE = NULL;
        size_t n = 0, size = 0;

        for (;;) {
                ssize_t k;

                if (n + 1 >= size) {
                        char *grown = realloc(text, size = MAX_OF(size * 2, (size_t) 4096));

                        if (!grown)
                                return -ENOMEM;
                        text = grown;
                }
                k = read(fd, text + n, size - n - 1);
                if (k < 0 && errno == EINTR)
                        continue;
                if (k < 0)
                        return -errno;
                if (k == 0)
                        break;
                n += (size_t) k;
                if (n > max)
                        return -EFBIG;
        }
        text[n] = '\0';
        *ret = TAKE_PTR(text);
        if (ret_size)
                *ret_size = n;
        return 0;
}

int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size)
{
        int fd CLEANUP_FD = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

        return fd < 0 ? -errno : read_all(fd, max, ret, ret_size);
}

int read_text_at(int dir_fd, const char *path, char *buffer, size_t size)
{
        int fd CLEANUP_FD = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        ssize_t n;

        if (fd < 0)
                return -errno;
        n = read(fd, buffer, size - 1);
        if (n < 0)
                return -errno;
        buffer[n] = '\0';
        return 0;
}

int read_line_at(int dir_fd, const char *path, char *buffer, size_t size)
{
        int r = read_text_at(dir_fd, path, buffer, size);

        if (r >= 0)
                buffer[strcspn(buffer, "\n")] = '\0';
        return r;
}

int write_file_at(int dir_fd, const char *path, const char *text)
{
        int fd CLEANUP_FD = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);

        if (fd < 0)
                return -errno;
        return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

int create_file_bytes_at(int dir_fd, const char *path, mode_t mode, const void *data, size_t n)
{
        int fd CLEANUP_FD =
                openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);

        if (fd < 0)
                return -errno;
        return n > 0 ? write_all(fd, data, n) : 0;
}

int create_file_at(int dir_fd, const char *path, mode_t mode, const char *text)
{
        return create_file_bytes_at(dir_fd, path, mode, text, strlen(text));
}

int replace_file_at(int dir_fd, const char *name, mode_t mode, const char *text)
{
        char temporary[NAME_MAX + 1], random[ID128_TEXT_SIZE];
        int fd CLEANUP_FD = -1;
        struct id128 id;
        int r = id128_random(&id);

        if (r < 0)
                return r;
        id128_to_plain(&id, random);
        if ((size_t) snprintf(temporary, sizeof(temporary), ".#%s%.16s", name, random) >=
            sizeof(temporary))
                return -ENAMETOOLONG;
        fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0)
                return -errno;
        r = write_all(fd, text, strlen(text));
        if (r >= 0 && (fchmod(fd, mode) < 0 || renameat(dir_fd, temporary, dir_fd, name) < 0))
                r = -errno;
        if (r < 0)
                (void) unlinkat(dir_fd, temporary, 0);
        return r;
}

int make_directories(const char *path, mode_t mode)
{
        char *copy CLEANUP_FREE = strdup(path);

        if (!copy)
                return -ENOMEM;
        /* Nearly always only the last one is missing, or none. */
        if (mkdir(path, mode) == 0 || errno == EEXIST)
                return 0;
        if (errno != ENOENT)
                return -errno;
        for (char *p = copy + 1;; p++) {
                char c = *p;

                if (c != '/' && c != '\0')
                        continue;
                *p = '\0';
                if (mkdir(copy, mode) < 0 && errno != EEXIST)
                        return -errno;
                if (c == '\0')
                        return 0;
                *p = c;
        }
}
