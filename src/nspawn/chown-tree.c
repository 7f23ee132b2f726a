/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/chown-tree.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/process.h"
#include "basic/root.h"
#include "nspawn/explain.h"

#define RANGE 65536U
/* Deeper than any real tree; each level holds a descriptor. */
#define MAX_DEPTH 512
#define ACL_MAX 65536
/* In a user namespace the marker is no id that exists. Then it is the range's last one, which has no
 * user either: -1, for programs that keep ids in 16 bits. */
#define CHOWN_BUSY_ID 0xFFFFU

struct shift {
        uid_t base;
        uint32_t count;
        uint64_t mount_id; /* of the tree: what is mounted in it stays as it is */
        bool resumed;      /* an earlier run was interrupted */
        char failed_name[256];
};

static uid_t shift_id(uid_t base, uint32_t count, uid_t id)
{
        return id - base < count ? id : base | (id & (RANGE - 1));
}

static uid_t shifted(const struct shift *s, uid_t id)
{
        return shift_id(s->base, s->count, id);
}

int acl_shift(void *acl, size_t size, uid_t base, uint32_t count)
{
        struct posix_acl_xattr_header header;
        size_t n;
        bool changed = false;

        if (size < sizeof(header) ||
            (size - sizeof(header)) % sizeof(struct posix_acl_xattr_entry) != 0)
                return -EINVAL;
        memcpy(&header, acl, sizeof(header));
        if (le32toh(header.a_version) != POSIX_ACL_XATTR_VERSION)
                return -EINVAL;
        n = (size - sizeof(header)) / sizeof(struct posix_acl_xattr_entry);
        for (size_t i = 0; i < n; i++) {
                char *place =
                        (char *) acl + sizeof(header) + i * sizeof(struct posix_acl_xattr_entry);
                struct posix_acl_xattr_entry entry;
                uint32_t id;

                memcpy(&entry, place, sizeof(entry));
                if (le16toh(entry.e_tag) != ACL_USER && le16toh(entry.e_tag) != ACL_GROUP)
                        continue;
                id = shift_id(base, count, le32toh(entry.e_id));
                changed = changed || id != le32toh(entry.e_id);
                entry.e_id = htole32(id);
                memcpy(place, &entry, sizeof(entry));
        }
        return changed;
}

/* @path: a magic link to the open file, since there is no way by descriptor alone for O_PATH. */
static int shift_acl(const struct shift *s, const char *path, const char *attribute)
{
        char *acl CLEANUP_FREE = NULL;
        ssize_t size = getxattr(path, attribute, NULL, 0);
        int r;

        if (size < 0)
                return errno == ENODATA || errno == ENOTSUP ? 0 : -errno;
        if (size == 0 || size > ACL_MAX)
                return -EINVAL;
        acl = malloc((size_t) size);
        if (!acl)
                return -ENOMEM;
        size = getxattr(path, attribute, acl, (size_t) size);
        if (size < 0)
                return -errno;
        r = acl_shift(acl, (size_t) size, s->base, s->count);
        if (r > 0 && setxattr(path, attribute, acl, (size_t) size, 0) < 0)
                return -errno;
        return r < 0 ? r : 0;
}

static int shift_acls(const struct shift *s, int fd, bool is_directory)
{
        char path[64];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        r = shift_acl(s, path, "system.posix_acl_access");
        return r >= 0 && is_directory ? shift_acl(s, path, "system.posix_acl_default") : r;
}

/* Until its mode is set again, a file carries here what it had: a run may be interrupted. */
#define MODE_ATTRIBUTE "trusted.stead.mode"

/* Set-id bits do not survive a change of owner (chown(2)). */
static int change_owner(int fd, const char *path, uid_t uid, gid_t gid, mode_t mode)
{
        bool keep_mode = mode & (S_ISUID | S_ISGID) && !S_ISLNK(mode);

        mode &= 07777;
        /* Nobody in a user namespace may set it: then an interruption just here loses the bits. */
        if (keep_mode && setxattr(path, MODE_ATTRIBUTE, &mode, sizeof(mode), 0) < 0 &&
            errno != ENOTSUP && errno != EPERM)
                return -errno;
        if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0)
                return -errno;
        if (!keep_mode)
                return 0;
        if (chmod(path, mode) < 0)
                return -errno;
        (void) removexattr(path, MODE_ATTRIBUTE);
        return 0;
}

/* What an interrupted run left between the two. */
static int restore_mode(const char *path)
{
        mode_t mode = 0;

        if (getxattr(path, MODE_ATTRIBUTE, &mode, sizeof(mode)) != (ssize_t) sizeof(mode))
                return 0;
        if (chmod(path, mode & 07777) < 0)
                return -errno;
        (void) removexattr(path, MODE_ATTRIBUTE);
        return 0;
}

/* @fd: O_PATH, so that nobody can put another file there between our look and our change. */
static int shift_file(const struct shift *s, int fd, const struct stat *st)
{
        char path[64];
        uid_t uid = shifted(s, st->st_uid);
        gid_t gid = shifted(s, st->st_gid);
        int r;

        (void) snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (st->st_uid == uid && st->st_gid == gid)
                return s->resumed && S_ISREG(st->st_mode) ? restore_mode(path) : 0;
        /* The lists first: doing them twice does no harm, and the owner tells what is done. */
        if (!S_ISLNK(st->st_mode)) {
                r = shift_acls(s, fd, S_ISDIR(st->st_mode));
                if (r < 0)
                        return r;
        }
        return change_owner(fd, path, uid, gid, st->st_mode);
}

static int shift_directory(struct shift *s, int take_fd, unsigned depth);

/* Owner and mode, and which mount it is in. */
static int look_at(int fd, struct stat *ret, uint64_t *ret_mount_id)
{
        struct statx sx;

        if (fstat(fd, ret) < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &sx) < 0)
                return -errno;
        *ret_mount_id = sx.stx_mnt_id;
        return 0;
}

static int shift_entry(struct shift *s, int dir_fd, const char *name, unsigned depth)
{
        int fd CLEANUP_FD = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        struct stat st = { .st_mode = 0 };
        uint64_t mount_id = 0;
        int r = fd < 0 ? -errno : look_at(fd, &st, &mount_id);

        if (r < 0)
                return r == -ENOENT ? 0 : r;
        if (mount_id != s->mount_id)
                return 0;
        r = shift_file(s, fd, &st);
        if (r >= 0 && S_ISDIR(st.st_mode)) {
                int inner = fd_open_again(fd, O_RDONLY | O_DIRECTORY);

                r = inner < 0 ? inner : shift_directory(s, inner, depth + 1);
        }
        if (r < 0 && !s->failed_name[0])
                (void) snprintf(s->failed_name, sizeof(s->failed_name), "%s", name);
        return r;
}

static int shift_directory(struct shift *s, int take_fd, unsigned depth)
{
        DIR *d;
        int r = 0;

        if (depth > MAX_DEPTH) {
                (void) fd_close(take_fd);
                return -ELOOP;
        }
        d = fdopendir(take_fd);
        if (!d) {
                r = -errno;
                (void) fd_close(take_fd);
                return r;
        }
        while (r >= 0) {
                const struct dirent *e;

                r = process_is_asked_to_end() ? -EINTR : 0;
                if (r < 0)
                        break;

                errno = 0;
                e = readdir(d);
                if (!e) {
                        r = -errno;
                        break;
                }
                if (!streq(e->d_name, ".") && !streq(e->d_name, ".."))
                        r = shift_entry(s, dirfd(d), e->d_name, depth);
        }
        (void) closedir(d);
        return r;
}

int chown_tree(int root_fd, const char *path, uid_t base, uint32_t count, struct failure *failure)
{
        struct shift s = { .base = base, .count = count };
        struct stat st = { .st_mode = 0 };
        int fd, r;

        if (base % RANGE != 0 || count % RANGE != 0)
                return failure_set(
                        failure, -EINVAL,
                        "The owners of '%s' can only be changed to a range of 65536 ids, "
                        "or some times that, at a multiple of 65536. Give another with "
                        "--private-users=.",
                        path);
        r = look_at(root_fd, &st, &s.mount_id);
        if (r < 0)
                return failure_set(failure, r, "Cannot look at '%s': %s.", path, error_text(r));
        if (st.st_uid == base && st.st_gid == base)
                return 0;
        s.resumed = st.st_uid == CHOWN_BUSY_MARKER || st.st_uid == (base | CHOWN_BUSY_ID);
        if (count > RANGE && !s.resumed && st.st_uid >= RANGE)
                return failure_set(
                        failure, -EBUSY,
                        "The files of '%s' belong to ids from %u on, which are not free, and "
                        "owners of containers inside cannot follow to others. Stop who uses "
                        "them, or leave --nesting out.",
                        path, st.st_uid & ~(RANGE - 1));
        if (fchownat(root_fd, "", CHOWN_BUSY_MARKER, CHOWN_BUSY_MARKER, AT_EMPTY_PATH) < 0 &&
            (errno != EINVAL ||
             fchownat(root_fd, "", base | CHOWN_BUSY_ID, base | CHOWN_BUSY_ID, AT_EMPTY_PATH) < 0))
                return failure_set(failure, -errno,
                                   "Cannot change the owners in '%s': %s.%s Use "
                                   "--private-users-ownership=map.",
                                   path, error_text(errno), storage_hint(-errno));
        r = shift_acls(&s, root_fd, true);
        fd = r < 0 ? r : fd_open_again(root_fd, O_RDONLY | O_DIRECTORY);
        r = fd < 0 ? fd : shift_directory(&s, fd, 0);
        if (r == -EINTR)
                return failure_set(
                        failure, r,
                        "Changing the owners in '%s' was interrupted. The next start with "
                        "the same options goes on with it.",
                        path);
        if (r < 0)
                return failure_set(failure, r, "Cannot change the owner of '%s' in '%s': %s.",
                                   s.failed_name, path, error_text(r));
        if (fchownat(root_fd, "", base, base, AT_EMPTY_PATH) < 0 ||
            fchmodat(root_fd, ".", st.st_mode & 07777, 0) < 0)
                return failure_set(failure, -errno, "Cannot change the owner of '%s': %s.", path,
                                   error_text(errno));
        return 0;
}
