/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/clock.h"
#include "basic/fd.h"
#include "basic/log.h"
#include "basic/path.h"

/* A service or command that makes a credential may think about it, but not for ever. */
#define PATIENCE_MS 30000

bool credential_id_is_valid(const char *id, size_t n)
{
        if (n == 0 || n > NAME_MAX || (id[0] == '.' && (n == 1 || (n == 2 && id[1] == '.'))))
                return false;
        for (size_t i = 0; i < n; i++)
                if (id[i] < ' ' || id[i] > '~' || id[i] == '/' || id[i] == ':')
                        return false;
        return true;
}

void credentials_done(struct credentials *credentials)
{
        for (size_t i = 0; i < credentials->n; i++) {
                struct credential_bytes *b = &credentials->list[i];

                if (b->owned)
                        explicit_bzero(b->owned, b->size);
                free(b->owned);
        }
        free(credentials->list);
        *credentials = (struct credentials){ .n = 0 };
}

/* @path_fd is an O_PATH descriptor of the socket, whose path may be longer than an address takes. */
static int connect_to(int path_fd)
{
        const struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", path_fd);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return errno == EAGAIN ? -ETIMEDOUT : -errno;
        /* We have nothing to say. */
        if (shutdown(fd, SHUT_WR) < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
                return -errno;
        return TAKE_FD(fd);
}

static int open_source(const char *path)
{
        int path_fd CLEANUP_FD = open(path, O_PATH | O_CLOEXEC);
        struct stat st;
        int fd;

        if (path_fd < 0 || fstat(path_fd, &st) < 0)
                return -errno;
        if (S_ISSOCK(st.st_mode))
                return connect_to(path_fd);
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        /* By its path again: a name in /dev/fd stands for the pipe that is open there. */
        fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* Makes room for more; what was there is left nowhere else. */
static int grow(struct credential_bytes *b, size_t *size)
{
        size_t larger = MIN_OF(*size ? 2 * *size : 4096, CREDENTIAL_SIZE_MAX + 1);
        char *grown = malloc(larger);

        if (!grown)
                return -ENOMEM;
        if (b->owned) {
                memcpy(grown, b->owned, b->size);
                explicit_bzero(b->owned, b->size);
                free(b->owned);
        }
        b->bytes = b->owned = grown;
        *size = larger;
        return 0;
}

/* Reads to the end of @fd, which does not block. On failure @ret has what was read until then. */
static int read_source(int fd, struct credential_bytes *ret)
{
        int64_t end = (int64_t) clock_now_ms() + PATIENCE_MS;
        size_t room = 0;

        for (;;) {
                struct pollfd readable = { .fd = fd, .events = POLLIN };
                int64_t left = end - (int64_t) clock_now_ms();
                int r = left <= 0 ? 0 : poll(&readable, 1, (int) left);
                ssize_t got;

                if (r == 0)
                        return -ETIMEDOUT;
                if (r < 0 && errno != EINTR)
                        return -errno;
                if (ret->size == room && (r = grow(ret, &room)) < 0)
                        return r;
                got = read(fd, ret->owned + ret->size, room - ret->size);
                if (got < 0 && errno != EAGAIN && errno != EINTR)
                        return -errno;
                if (got == 0)
                        return 0;
                ret->size += got > 0 ? (size_t) got : 0;
                if (ret->size > CREDENTIAL_SIZE_MAX)
                        return -EFBIG;
        }
}

static int load_path(const char *path, bool look_only, struct credential_bytes *ret)
{
        int fd CLEANUP_FD = -1;

        if (look_only)
                return access(path, F_OK) < 0 && errno == ENOENT ? -errno : 0;
        fd = open_source(path);
        return fd < 0 ? fd : read_source(fd, ret);
}

/* Where it is: what has no slash is in the directory of our own credentials. */
static int find_path(const struct credential *c, char **ret, struct failure *failure)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");

        if (path_is_absolute(c->path))
                *ret = strdup(c->path);
        else if (directory && path_is_absolute(directory))
                *ret = path_join(directory, c->path);
        else
                return failure_set(failure, -ENOENT,
                                   "Cannot load the credential '%s' from '%s': nspawn was given no "
                                   "credentials itself ($CREDENTIALS_DIRECTORY). Use an absolute "
                                   "path.",
                                   c->id, c->path);
        return *ret ? 0 : failure_set(failure, -ENOMEM, "Out of memory.");
}

static int load_one(const struct credential *c, bool look_only, struct credential_bytes *ret,
                    struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;
        int r;

        if (c->bytes) {
                *ret = (struct credential_bytes){ .bytes = c->bytes, .size = c->size };
                return 0;
        }
        r = find_path(c, &path, failure);
        if (r < 0)
                return r;
        assert(path);
        r = load_path(path, look_only, ret);
        if (r == -EFBIG)
                return failure_set(failure, r,
                                   "Cannot load the credential '%s' from '%s': it has more than 1 "
                                   "MiB, which nobody would read. Bind the file instead.",
                                   c->id, path);
        return r < 0 ? failure_set(failure, r, "Cannot load the credential '%s' from '%s': %s.",
                                   c->id, path, error_text(r))
                     : 0;
}

int credentials_load(const struct container_config *c, bool look_only, struct credentials *ret,
                     struct failure *failure)
{
        struct credentials all = { .list = calloc(c->n_credentials + 1, sizeof(*all.list)),
                                   .n = c->n_credentials };
        size_t total = 0;
        int r = 0;

        if (!all.list)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        for (size_t i = 0; r >= 0 && i < all.n; i++) {
                r = load_one(&c->credentials[i], look_only, &all.list[i], failure);
                total += all.list[i].size;
        }
        if (r >= 0 && total > CREDENTIALS_SIZE_MAX)
                r = failure_set(failure, -EFBIG,
                                "The credentials have %zu MiB together; at most 16 MiB are passed. "
                                "Bind large files instead.",
                                total >> 20);
        if (r < 0) {
                credentials_done(&all);
                return r;
        }
        *ret = all;
        return 0;
}
