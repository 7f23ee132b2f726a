/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Each file is looked at by an O_PATH descriptor, which has the last word about what it is, and then
 * opened again by that. What it becomes is made with a new name, for root alone, and gets its owner,
 * attributes, mode and times when its content is complete; a directory after all that is in it.
 */

#include "basic/copy-tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/process.h"
#include "basic/root.h"

/* Deeper than any real tree; each level holds some descriptors. */
#define MAX_DEPTH 200
/* What is copied before the next look at whether to go on. */
#define CHUNK ((size_t) 16 << 20)
#define XATTR_MAX ((size_t) 65536)
#define TELL_EVERY 64

/* The first name of a file that has several. */
struct link_entry {
        dev_t device;
        ino_t inode;
        char *path; /* below the copy's root */
};

struct copy {
        const struct copy_options *options;
        struct failure *failure;
        int root_fd;       /* of the copy */
        dev_t root_device; /* a copy inside of its source is not copied itself */
        ino_t root_inode;
        uint64_t mount_id; /* of the source */
        bool cannot_share; /* found out; the next file need not be tried */
        struct copy_progress progress;
        struct link_entry *links;
        size_t n_links, links_size;
        char path[PATH_MAX]; /* of what is being copied, below the root */
        size_t path_length;
};

static int copy_failed(struct copy *c, int error, const char *what)
{
        if (error == -EINTR)
                return failure_set(c->failure, error, "Copying '%s' was interrupted.",
                                   c->options->path);
        return failure_set(c->failure, error, "Cannot %s '%s/%s': %s.", what, c->options->path,
                           c->path, error_text(error));
}

/* ---- content of files -------------------------------------------------------------------- */

static bool is_not_possible(int error)
{
        return error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == EINVAL ||
               error == ENOSYS;
}

static int copy_by_hand(int from, int to, off_t offset, size_t n)
{
        char buffer[65536];

        while (n > 0) {
                ssize_t got = pread(from, buffer, MIN_OF(n, sizeof(buffer)), offset);

                if (got < 0)
                        return -errno;
                if (got == 0)
                        return 0; /* it has become shorter */
                for (ssize_t done = 0; done < got;) {
                        ssize_t put =
                                pwrite(to, buffer + done, (size_t) (got - done), offset + done);

                        if (put < 0)
                                return -errno;
                        done += put;
                }
                offset += got;
                n -= (size_t) got;
        }
        return 0;
}

/* Copies @n bytes of data at @offset. */
static int copy_extent(struct copy *c, int from, int to, off_t offset, off_t end)
{
        while (offset < end) {
                size_t n = (size_t) MIN_OF(end - offset, (off_t) CHUNK);
                loff_t in = offset, out = offset;
                ssize_t got = copy_file_range(from, &in, to, &out, n, 0);
                int r = 0;

                if (got < 0 && !is_not_possible(errno))
                        return -errno;
                if (got <= 0) { /* also what a kernel of files without a size says */
                        r = copy_by_hand(from, to, offset, n);
                        got = (ssize_t) n;
                }
                if (r < 0)
                        return r;
                offset += got;
                c->progress.n_bytes += (uint64_t) got;
                if (process_is_asked_to_end())
                        return -EINTR;
        }
        return 0;
}

/* All but the holes. */
static int copy_bytes(struct copy *c, int from, int to, off_t size)
{
        off_t offset = 0;

        while (offset < size) {
                off_t data = lseek(from, offset, SEEK_DATA), end;
                int r;

                if (data < 0 && errno == ENXIO)
                        break; /* a hole up to the end */
                if (data < 0)
                        data = offset; /* a file system that knows nothing of holes */
                end = lseek(from, data, SEEK_HOLE);
                if (end < 0)
                        end = size;
                r = copy_extent(c, from, to, data, MIN_OF(end, size));
                if (r < 0)
                        return r;
                offset = end;
        }
        return ftruncate(to, size) < 0 ? -errno : 0;
}

static int copy_content(struct copy *c, int from, int to, off_t size)
{
        if (size == 0)
                return 0;
        if (!c->cannot_share) {
                if (ioctl(to, FICLONE, from) >= 0)
                        return 0;
                if (!is_not_possible(errno))
                        return -errno;
                if (c->options->content == COPY_SHARED)
                        return -EOPNOTSUPP;
                c->cannot_share = true;
        }
        return copy_bytes(c, from, to, size);
}

static int copy_regular(struct copy *c, int place, int to_dir, const char *name,
                        const struct stat *st)
{
        int from CLEANUP_FD = fd_open_again(place, O_RDONLY | O_NOATIME);
        int to CLEANUP_FD = -1;

        if (from < 0)
                return from;
        to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        return to < 0 ? -errno : copy_content(c, from, to, st->st_size);
}

/* ---- all but the content ----------------------------------------------------------------- */

static int copy_attribute(const char *from, const char *to, const char *name)
{
        char *value CLEANUP_FREE = malloc(XATTR_MAX);
        ssize_t n;

        if (!value)
                return -ENOMEM;
        n = getxattr(from, name, value, XATTR_MAX);
        if (n < 0)
                return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
        if (setxattr(to, name, value, (size_t) n, 0) >= 0)
                return 0;
        /* Labels are given by the host's policy, and other file systems know other names. */
        return errno == EOPNOTSUPP || startswith(name, "security.selinux") ? 0 : -errno;
}

/* Both by a magic link, since there is no way by descriptor alone for O_PATH. */
static int copy_attributes(const char *from, const char *to)
{
        ssize_t n = listxattr(from, NULL, 0);
        char *names CLEANUP_FREE = NULL;

        if (n <= 0)
                return n == 0 || errno == EOPNOTSUPP ? 0 : -errno;
        names = malloc((size_t) n);
        if (!names)
                return -ENOMEM;
        n = listxattr(from, names, (size_t) n);
        if (n < 0)
                return errno == ERANGE ? 0 : -errno; /* somebody adds some meanwhile */
        for (const char *name = names; name < names + n; name += strlen(name) + 1) {
                int r = copy_attribute(from, to, name);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* Owner first, which takes file capabilities and the set-id bits away; times last. */
static int copy_metadata(int place, int to, const struct stat *st)
{
        const struct timespec times[2] = { st->st_atim, st->st_mtim };
        char from_path[64], to_path[64];
        int r;

        (void) snprintf(from_path, sizeof(from_path), "/proc/self/fd/%d", place);
        (void) snprintf(to_path, sizeof(to_path), "/proc/self/fd/%d", to);
        if (fchownat(to, "", st->st_uid, st->st_gid, AT_EMPTY_PATH) < 0)
                return -errno;
        r = copy_attributes(from_path, to_path);
        /* Links have no attributes of users, and some file systems give them none at all. */
        if (r < 0 && !S_ISLNK(st->st_mode))
                return r;
        if (!S_ISLNK(st->st_mode) && chmod(to_path, st->st_mode & 07777) < 0)
                return -errno;
        return utimensat(to, "", times, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

static int copy_link(int place, int to_dir, const char *name)
{
        char target[PATH_MAX + 1];
        ssize_t n = readlinkat(place, "", target, sizeof(target) - 1);

        if (n < 0)
                return -errno;
        target[n] = '\0';
        return symlinkat(target, to_dir, name) < 0 ? -errno : 0;
}

/* ---- hard links -------------------------------------------------------------------------- */

static size_t link_slot(const struct copy *c, const struct stat *st)
{
        size_t i = (size_t) (st->st_ino * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (c->links_size - 1);

        while (c->links[i].path &&
               (c->links[i].inode != st->st_ino || c->links[i].device != st->st_dev))
                i = (i + 1) & (c->links_size - 1);
        return i;
}

static int links_grow(struct copy *c)
{
        struct link_entry *old = c->links;
        size_t old_size = c->links_size;

        c->links_size = old_size ? 2 * old_size : 256;
        c->links = calloc(c->links_size, sizeof(*c->links));
        if (!c->links) {
                c->links = old;
                c->links_size = old_size;
                return -ENOMEM;
        }
        for (size_t i = 0; i < old_size; i++)
                if (old[i].path) {
                        const struct stat st = { .st_dev = old[i].device, .st_ino = old[i].inode };

                        c->links[link_slot(c, &st)] = old[i];
                }
        free(old);
        return 0;
}

/* Returns 1 if the file is there under another name, and has this one now. */
static int link_to_earlier(struct copy *c, int to_dir, const char *name, const struct stat *st)
{
        size_t i;

        if (st->st_nlink < 2 || S_ISDIR(st->st_mode) || c->path_length >= sizeof(c->path))
                return 0;
        if (2 * (c->n_links + 1) > c->links_size && links_grow(c) < 0)
                return -ENOMEM;
        i = link_slot(c, st);
        if (c->links[i].path)
                return linkat(c->root_fd, c->links[i].path, to_dir, name, 0) < 0 ? -errno : 1;
        c->links[i] = (struct link_entry){ .device = st->st_dev,
                                           .inode = st->st_ino,
                                           .path = strdup(c->path) };
        c->n_links++;
        return c->links[i].path ? 0 : -ENOMEM;
}

static void links_done(struct copy *c)
{
        for (size_t i = 0; i < c->links_size; i++)
                free(c->links[i].path);
        free(c->links);
}

/* ---- the walk ---------------------------------------------------------------------------- */

static int look_at(int fd, struct stat *ret, uint64_t *ret_mount_id)
{
        struct statx sx;

        if (fstat(fd, ret) < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0)
                return -errno;
        *ret_mount_id = sx.stx_mnt_id;
        return 0;
}

static int copy_directory(struct copy *c, int place, int to_dir, const char *name, unsigned depth);

/* Makes the file, with its content. 1: there is nothing more to be done. */
static int make_file(struct copy *c, int place, int to_dir, const char *name, const struct stat *st,
                     unsigned depth)
{
        int r = link_to_earlier(c, to_dir, name, st);

        if (r != 0)
                return r;
        switch (st->st_mode & S_IFMT) {
        case S_IFDIR:
                return copy_directory(c, place, to_dir, name, depth);
        case S_IFREG:
                return copy_regular(c, place, to_dir, name, st);
        case S_IFLNK:
                return copy_link(place, to_dir, name);
        case S_IFCHR:
        case S_IFBLK:
        case S_IFIFO:
                return mknodat(to_dir, name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0
                               ? -errno
                               : 0;
        default:
                return 1;
        }
}

static int make_mount_point(int to_dir, const char *name, bool is_directory)
{
        if (is_directory)
                return mkdirat(to_dir, name, 0755) < 0 ? -errno : 1;
        return mknodat(to_dir, name, S_IFREG | 0644, 0) < 0 ? -errno : 1;
}

static int copy_entry_here(struct copy *c, int from_dir, int to_dir, const char *name,
                           unsigned depth)
{
        int place CLEANUP_FD = openat(from_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        int to CLEANUP_FD = -1;
        struct stat st = { .st_mode = 0 };
        uint64_t mount_id = 0;
        int r = place < 0 ? -errno : look_at(place, &st, &mount_id);

        if (r < 0)
                return r == -ENOENT ? 0 : r; /* it is gone meanwhile */
        if (st.st_dev == c->root_device && st.st_ino == c->root_inode)
                return 0;
        r = mount_id != c->mount_id ? make_mount_point(to_dir, name, S_ISDIR(st.st_mode))
                                    : make_file(c, place, to_dir, name, &st, depth);
        if (r != 0)
                return MIN_OF(r, 0);
        to = openat(to_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        r = to < 0 ? -errno : copy_metadata(place, to, &st);
        c->progress.n_files++;
        if (c->options->tell && c->progress.n_files % TELL_EVERY == 0)
                c->options->tell(&c->progress, c->options->userdata);
        return r;
}

/* Keeps the path, for links and messages. */
static int copy_entry(struct copy *c, int from_dir, int to_dir, const char *name, unsigned depth)
{
        size_t before = c->path_length, room = sizeof(c->path);
        int r;

        if (before < room)
                c->path_length += (size_t) snprintf(c->path + before, room - before, "%s%s",
                                                    before ? "/" : "", name);
        r = process_is_asked_to_end() ? -EINTR : copy_entry_here(c, from_dir, to_dir, name, depth);
        if (r < 0)
                (void) copy_failed(c, r, "copy");
        c->path_length = before;
        if (before < room)
                c->path[before] = '\0';
        return r;
}

static int copy_entries(struct copy *c, int from_dir, int to, unsigned depth)
{
        int from = fd_open_again(from_dir, O_RDONLY | O_DIRECTORY | O_NOATIME);
        DIR *d = from < 0 ? NULL : fdopendir(from);
        int r = 0;

        if (!d) {
                r = from < 0 ? from : -errno;
                (void) fd_close(from);
                return r;
        }
        while (r >= 0) {
                const struct dirent *e;

                errno = 0;
                e = readdir(d);
                if (!e) {
                        r = -errno;
                        break;
                }
                if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
                        r = copy_entry(c, dirfd(d), to, e->d_name, depth + 1);
        }
        (void) closedir(d);
        return r;
}

/* Until all is in it, nobody else may look into the copy, or put something else in a file's place. */
static int check_is_ours(int fd, struct stat *ret)
{
        if (fstat(fd, ret) < 0)
                return -errno;
        return ret->st_uid == geteuid() && (ret->st_mode & 077) == 0 ? 0 : -EEXIST;
}

static int begin_root(struct copy *c, int fd)
{
        struct stat st;
        int r = check_is_ours(fd, &st);

        if (r < 0)
                return r;
        /* What the folder gives to all that is made in it is not the source's. */
        (void) fremovexattr(fd, "system.posix_acl_default");
        (void) fremovexattr(fd, "system.posix_acl_access");
        c->root_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        c->root_device = st.st_dev;
        c->root_inode = st.st_ino;
        return c->root_fd < 0 ? -errno : 0;
}

static int copy_directory(struct copy *c, int place, int to_dir, const char *name, unsigned depth)
{
        int to CLEANUP_FD = -1;
        int r = 0;

        if (depth > MAX_DEPTH)
                return -ELOOP;
        if (mkdirat(to_dir, name, 0700) < 0)
                return -errno;
        to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (to < 0)
                return -errno;
        if (depth == 0)
                r = begin_root(c, to);
        return r < 0 ? r : copy_entries(c, place, to, depth);
}

int copy_tree(int source_fd, int parent_fd, const char *name, const struct copy_options *options,
              struct failure *failure)
{
        struct copy c = { .options = options, .failure = failure, .root_fd = -1 };
        struct stat st = { .st_mode = 0 };
        int r = look_at(source_fd, &st, &c.mount_id);

        if (r >= 0)
                r = copy_directory(&c, source_fd, parent_fd, name, 0);
        if (r >= 0)
                r = copy_metadata(source_fd, c.root_fd, &st);
        links_done(&c);
        (void) fd_close(c.root_fd);
        return r < 0 ? copy_failed(&c, r, "copy") : 0;
}
