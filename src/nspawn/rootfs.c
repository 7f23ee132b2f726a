/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "basic/btrfs.h"
#include "basic/copy-tree.h"
#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/remove-tree.h"
#include "basic/root.h"
#include "nspawn/start.h"
#include "shared/names.h"

#define PREFIX ".#machine."
#define SUFFIX_LENGTH ((size_t) (EPHEMERAL_SUFFIX_SIZE - 1))
#define NAME_TRIES 16
/* What a name has of a tree's, so that its lock has room for the rest. */
#define BASE_MAX (NAME_MAX - 64)

int ephemeral_suffix_draw(char suffix[EPHEMERAL_SUFFIX_SIZE])
{
        uint64_t number = 0;

        if (getrandom(&number, sizeof(number), 0) != (ssize_t) sizeof(number))
                return -errno;
        (void) snprintf(suffix, EPHEMERAL_SUFFIX_SIZE, "%016llx", (unsigned long long) number);
        return 0;
}

char *ephemeral_machine_name(const char *name, const char *suffix)
{
        int room = (int) (MACHINE_NAME_MAX - 1 - SUFFIX_LENGTH);
        char *text = NULL;

        return asprintf(&text, "%.*s-%s", room, name, suffix) < 0 ? NULL : text;
}

/* ---- facts ------------------------------------------------------------------------------- */

/* File systems that an overlay cannot keep its layer in (the kernel's filesystems/overlayfs). */
static const char *why_not_upper(const struct statfs *fs)
{
        static const struct {
                unsigned magic;
                const char *why;
        } rows[] = {
                { OVERLAYFS_SUPER_MAGIC, "a layer cannot be kept on another overlay" },
                { NFS_SUPER_MAGIC, "a layer cannot be kept on NFS" },
                { SMB_SUPER_MAGIC, "a layer cannot be kept on SMB" },
                { CIFS_SUPER_MAGIC, "a layer cannot be kept on SMB" },
                { SMB2_SUPER_MAGIC, "a layer cannot be kept on SMB" },
                { V9FS_MAGIC, "a layer cannot be kept on 9p" },
                { FUSE_SUPER_MAGIC, "a layer cannot be kept on FUSE" },
                { MSDOS_SUPER_MAGIC, "a layer cannot be kept on FAT" },
                { EXFAT_SUPER_MAGIC, "a layer cannot be kept on FAT" },
                { ECRYPTFS_SUPER_MAGIC, "a layer cannot be kept on ecryptfs" },
        };
        if ((unsigned long) fs->f_flags & ST_RDONLY)
                return "the place for a layer is read-only";
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if ((unsigned) fs->f_type == rows[i].magic)
                        return rows[i].why;
        return NULL;
}

static bool can_share_blocks(const struct statfs *fs)
{
        return (unsigned) fs->f_type == BTRFS_SUPER_MAGIC ||
               (unsigned) fs->f_type == XFS_SUPER_MAGIC ||
               (unsigned) fs->f_type == 0xca451a4eU; /* bcachefs */
}

/* Whether two directories are in one mount: 1, 0 or a negative errno. */
static int in_one_mount(int a, int b)
{
        struct statx x, y;

        if (statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) < 0 ||
            statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &y) < 0)
                return -errno;
        return x.stx_mnt_id == y.stx_mnt_id;
}

/* Open for reading, as the calls of btrfs want it. */
static int open_place(const struct container_config *c, const struct tree_facts *tree,
                      enum ephemeral_place place, struct failure *failure)
{
        int fd = place == EPHEMERAL_GIVEN
                         ? open(c->ephemeral_directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                 : place == EPHEMERAL_INSIDE
                         ? openat(tree->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                         : openat(tree->fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd >= 0)
                return fd;
        if (place == EPHEMERAL_GIVEN)
                return failure_set(failure, -errno,
                                   "Cannot open the directory '%s' (--ephemeral-directory=): %s.",
                                   c->ephemeral_directory, error_text(errno));
        return failure_set(failure, -errno, "Cannot open the directory %s '%s': %s.",
                           place == EPHEMERAL_INSIDE ? "of" : "beside", tree->path,
                           error_text(errno));
}

static enum ephemeral_place choose_place(const struct container_config *c,
                                         const struct tree_facts *tree, bool is_subvolume)
{
        bool snapshot = is_subvolume && (c->ephemeral_method == EPHEMERAL_AUTO ||
                                         c->ephemeral_method == EPHEMERAL_SNAPSHOT);

        if (c->ephemeral_directory)
                return EPHEMERAL_GIVEN;
        if (streq(tree->path, "/") || (snapshot && mount_is_root(tree->fd) > 0))
                return EPHEMERAL_INSIDE;
        return EPHEMERAL_BESIDE;
}

int ephemeral_facts_read(const struct container_config *c, const struct tree_facts *tree,
                         struct ephemeral_facts *ret, struct failure *failure)
{
        int is_subvolume = btrfs_is_subvolume(tree->fd), in_mount = 0;
        enum ephemeral_place place = choose_place(c, tree, is_subvolume > 0);
        int folder_fd CLEANUP_FD = open_place(c, tree, place, failure);
        struct statfs fs = { .f_type = 0 };
        int r = is_subvolume;

        if (folder_fd < 0)
                return folder_fd;
        if (r >= 0)
                r = in_mount = in_one_mount(tree->fd, folder_fd);
        if (r >= 0 && fstatfs(folder_fd, &fs) < 0)
                r = -errno;
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot look at the place for a throw-away version of '%s': %s.",
                                   tree->path, error_text(r));
        *ret = (struct ephemeral_facts){
                .is_subvolume = is_subvolume > 0,
                .place_has_mount = in_mount > 0,
                .place_shares = can_share_blocks(&fs),
                .not_upper = why_not_upper(&fs),
                .place = place,
        };
        return 0;
}

/* ---- names and locks --------------------------------------------------------------------- */

static int lock_name(int folder_fd, const char *name, struct lock_file *ret)
{
        char *path CLEANUP_FREE = NULL;

        if (asprintf(&path, "/proc/self/fd/%d/.#%s.lck", folder_fd, name) < 0)
                return -ENOMEM;
        return lock_file_acquire(path, LOCK_EXCLUSIVE, ret, NULL);
}

/* Takes a name, and the lock of it. @suffix is changed if somebody else has it. Takes @take_fd. */
static int passing_tree_begin(struct passing_tree *p, int take_fd, const char *folder,
                              const char *base, char suffix[EPHEMERAL_SUFFIX_SIZE],
                              struct failure *failure)
{
        int r = -EBUSY;

        p->folder_fd = take_fd;
        p->folder = strdup(folder);
        for (int i = 0; p->folder && i < NAME_TRIES; i++) {
                struct stat st;

                free(p->name);
                p->name = NULL;
                if (asprintf(&p->name, PREFIX "%.*s%s", (int) BASE_MAX, base, suffix) < 0) {
                        p->name = NULL;
                        break;
                }
                r = lock_name(p->folder_fd, p->name, &p->lock);
                if (r >= 0) {
                        /* What is there is somebody's, without a lock of ours. */
                        r = fstatat(p->folder_fd, p->name, &st, AT_SYMLINK_NOFOLLOW) >= 0 ? -EBUSY
                            : errno == ENOENT                                             ? 0
                                                                                          : -errno;
                        if (r < 0)
                                lock_file_release(&p->lock);
                }
                if (r != -EBUSY)
                        break;
                r = ephemeral_suffix_draw(suffix);
                if (r < 0)
                        break;
                r = -EBUSY;
        }
        if (!p->folder || !p->name)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (r >= 0)
                return 0;
        (void) failure_set(failure, r, "Cannot make the lock '.#%s.lck' in '%s': %s.", p->name,
                           folder, error_text(r));
        /* Without the lock the name is not ours, and nor is what may be there. */
        free(p->name);
        p->name = NULL;
        return r;
}

/* Returns what kept it from going, which has been told. */
static int passing_tree_end(struct passing_tree *p)
{
        int r = p->name ? remove_tree(p->folder_fd, p->name) : 0;

        if (r < 0) {
                log_warning("Cannot remove '%s' in '%s': %s. The next start of the same tree with "
                            "--ephemeral, and --cleanup, try it again.",
                            p->name, p->folder, error_text(r));
                /* With its lock it is known as a leftover. */
                free(p->lock.path);
                p->lock.path = NULL;
        }
        lock_file_release(&p->lock);
        p->folder_fd = fd_close(p->folder_fd);
        free(p->name);
        free(p->folder);
        p->name = p->folder = NULL;
        return r;
}

void passing_tree_done(struct passing_tree *p)
{
        (void) passing_tree_end(p);
}

/* ---- making a tree ----------------------------------------------------------------------- */

/* Tells how far it is, where somebody is looking, about twice in a second. */
struct teller {
        const char *what;
        time_t last;
        bool is_terminal, told;
};

static void tell(const struct copy_progress *progress, void *userdata)
{
        struct teller *t = userdata;
        struct timespec now = { .tv_sec = 0 };

        if (!t->is_terminal || clock_gettime(CLOCK_MONOTONIC, &now) < 0)
                return;
        if (t->last == 0)
                t->last = now.tv_sec;
        if (now.tv_sec == t->last)
                return;
        t->last = now.tv_sec;
        t->told = true;
        (void) fprintf(stderr, "\r%s: %llu files, %llu MiB\033[K", t->what,
                       (unsigned long long) progress->n_files,
                       (unsigned long long) (progress->n_bytes >> 20));
        (void) fflush(stderr);
}

static int copy_whole_tree(const struct container_config *c, int source_fd, const char *path,
                           enum copy_content content, struct passing_tree *p,
                           struct failure *failure)
{
        struct teller teller = { .what = "Copying",
                                 .is_terminal = !c->quiet && isatty(STDERR_FILENO) };
        const struct copy_options options = {
                .path = path, .content = content, .tell = tell, .userdata = &teller
        };
        int r = copy_tree(source_fd, p->folder_fd, p->name, &options, failure);

        if (teller.told)
                (void) fputs("\r\033[K", stderr);
        if (r != -EOPNOTSUPP || content != COPY_SHARED)
                return r;
        failure->error = 0;
        return failure_set(failure, r,
                           "Cannot make a copy of '%s' in '%s' that shares its blocks: the file "
                           "system cannot do that. Use --ephemeral-method=copy or another.",
                           path, p->folder);
}

static int snapshot_tree(const struct container_config *c, int source_fd, const char *path,
                         struct passing_tree *p, struct failure *failure)
{
        int fd CLEANUP_FD = fd_open_again(source_fd, O_RDONLY | O_DIRECTORY);
        int r = fd < 0 ? fd
                       : btrfs_snapshot(fd, p->folder_fd, p->name,
                                        c->read_only ? BTRFS_READ_ONLY : BTRFS_WRITABLE);

        return r < 0 ? failure_set(failure, r, "Cannot make a snapshot of '%s' in '%s': %s.", path,
                                   p->folder, error_text(r))
                     : 0;
}

static int make_layer(struct tree_facts *tree, struct passing_tree *p, struct failure *failure)
{
        if (mkdirat(p->folder_fd, p->name, 0700) >= 0)
                tree->layer_fd = root_open_below(p->folder_fd, p->name, O_RDONLY | O_DIRECTORY);
        return tree->layer_fd < 0
                       ? failure_set(failure, -errno, "Cannot make the directory '%s' in '%s': %s.",
                                     p->name, p->folder, error_text(errno))
                       : 0;
}

static int use_copy(const struct container_config *c, struct tree_facts *tree,
                    const struct passing_tree *p, struct failure *failure)
{
        int fd = root_open_below(p->folder_fd, p->name, O_PATH | O_DIRECTORY);

        if (fd < 0)
                return failure_set(failure, fd, "Cannot open '%s' in '%s': %s.", p->name, p->folder,
                                   error_text(fd));
        return tree_facts_move(c, tree, fd, failure);
}

static int make_tree(const struct container_config *c, const struct ephemeral_plan *plan,
                     struct tree_facts *tree, struct passing_tree *p, struct failure *failure)
{
        int r = 0;

        switch (plan->method) {
        case EPHEMERAL_NONE:
        case EPHEMERAL_AUTO:
        case EPHEMERAL_VIEW:
                return 0;
        case EPHEMERAL_OVERLAY:
                return make_layer(tree, p, failure);
        case EPHEMERAL_SNAPSHOT:
                r = snapshot_tree(c, tree->fd, tree->path, p, failure);
                break;
        case EPHEMERAL_REFLINK:
                r = copy_whole_tree(c, tree->fd, tree->path, COPY_SHARED, p, failure);
                break;
        case EPHEMERAL_COPY:
                r = copy_whole_tree(c, tree->fd, tree->path, COPY_SHARED_OR_BYTES, p, failure);
                break;
        }
        return r < 0 ? r : use_copy(c, tree, p, failure);
}

/* The name that those of throw-away trees have in them: the tree's own. */
static const char *base_of(const struct container_config *c, const struct tree_facts *tree)
{
        return streq(tree->path, "/") ? c->host_name ? c->host_name : "root"
                                      : path_basename(tree->path);
}

int ephemeral_make(const struct container_config *c, const struct ephemeral_plan *plan,
                   const char *suffix, struct tree_facts *tree, struct passing_tree *ret,
                   struct failure *failure)
{
        char own_suffix[EPHEMERAL_SUFFIX_SIZE];
        char *folder CLEANUP_FREE = NULL, *machine CLEANUP_FREE = NULL;
        const char *base = base_of(c, tree);
        unsigned stayed = 0;
        int fd = open_place(c, tree, plan->place, failure);
        int r = fd;

        if (fd < 0)
                return fd;
        memcpy(own_suffix, suffix, EPHEMERAL_SUFFIX_SIZE);
        folder = c->ephemeral_directory
                         ? strdup(c->ephemeral_directory)
                         : strndup(tree->path, (size_t) (path_basename(tree->path) - tree->path));
        if (!folder)
                r = failure_set(failure, -ENOMEM, "Out of memory.");
        if (r >= 0)
                r = machine_name_decide(c, c->host_name ? c->host_name : c->tree, &machine,
                                        failure);
        if (r >= 0)
                r = leftovers_remove(fd, folder, base, machine, &stayed, failure);
        if (r < 0) {
                (void) fd_close(fd);
                return r;
        }
        r = passing_tree_begin(ret, fd, folder, base, own_suffix, failure);
        if (r == -EROFS && plan->method == EPHEMERAL_VIEW) {
                failure->error = 0; /* nothing is made there, so nothing can be left */
                return 0;
        }
        return r < 0 ? r : make_tree(c, plan, tree, ret, failure);
}

/* ---- templates --------------------------------------------------------------------------- */

/* As a read-only snapshot is: nothing can be made or removed at its top. Not all file systems can. */
static void make_immutable(const struct passing_tree *p)
{
        int fd CLEANUP_FD = root_open_below(p->folder_fd, p->name, O_RDONLY | O_DIRECTORY);
        int flags = 0;

        if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
                return;
        flags |= FS_IMMUTABLE_FL;
        (void) ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* Snapshots need one file system; copies share what they can. */
static int populate(const struct container_config *c, int source_fd, struct passing_tree *p,
                    struct failure *failure)
{
        int r;

        if (btrfs_is_subvolume(source_fd) > 0) {
                r = snapshot_tree(c, source_fd, c->template_path, p, failure);
                if (r >= 0)
                        return 0;
                if (r != -EXDEV && r != -EINVAL && r != -ENOTTY)
                        return r;
                failure->error = 0;
        }
        return copy_whole_tree(c, source_fd, c->template_path, COPY_SHARED_OR_BYTES, p, failure);
}

/* Gives the complete tree its name. The lock goes with the temporary one. 1: it is there already. */
static int give_name(const struct container_config *c, struct passing_tree *p, const char *name,
                     struct failure *failure)
{
        if (renameat2(p->folder_fd, p->name, p->folder_fd, name, RENAME_NOREPLACE) < 0) {
                if (errno == EEXIST)
                        return 1;
                return failure_set(failure, -errno, "Cannot give '%s' in '%s' the name '%s': %s.",
                                   p->name, p->folder, name, error_text(errno));
        }
        free(p->name);
        p->name = strdup(name);
        if (c->read_only && p->name)
                make_immutable(p);
        free(p->name);
        p->name = NULL; /* it stays */
        return 0;
}

static int open_folder(const char *path, char **ret_folder, struct failure *failure)
{
        size_t n = (size_t) (path_basename(path) - path);
        char *folder CLEANUP_FREE = strndup(path, MAX_OF(n, (size_t) 1));
        int fd;

        if (!folder)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && startswith(path, "/var/lib/machines/")) {
                int r = make_directories("/var/lib/machines", 0700);

                if (r < 0)
                        return failure_set(failure, r, "Cannot create '/var/lib/machines': %s.",
                                           error_text(r));
                fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        }
        if (fd < 0)
                return failure_set(failure, -errno, "Cannot open the directory '%s': %s.", folder,
                                   error_text(errno));
        *ret_folder = TAKE_PTR(folder);
        return fd;
}

int template_populate(const struct container_config *c, const char *path, struct failure *failure,
                      char *info, size_t info_size)
{
        struct passing_tree p CLEANUP(passing_tree_done) = PASSING_TREE_NULL;
        int source CLEANUP_FD = open(c->template_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        char suffix[EPHEMERAL_SUFFIX_SIZE];
        char *folder CLEANUP_FREE = NULL;
        const char *name = path_basename(path);
        unsigned stayed = 0;
        int fd, r;

        if (source < 0)
                return failure_set(failure, -errno,
                                   "Cannot open the template '%s' (--template=): %s.",
                                   c->template_path, error_text(errno));
        r = ephemeral_suffix_draw(suffix);
        if (r < 0)
                return failure_set(failure, r, "Cannot get random numbers: %s.", error_text(r));
        fd = open_folder(path, &folder, failure);
        if (fd < 0 || !folder)
                return fd;
        assert(folder);
        r = leftovers_remove(fd, folder, name, NULL, &stayed, failure);
        if (r < 0) {
                (void) fd_close(fd);
                return r;
        }
        r = passing_tree_begin(&p, fd, folder, name, suffix, failure);
        if (r >= 0)
                r = populate(c, source, &p, failure);
        if (r >= 0)
                r = give_name(c, &p, name, failure);
        if (r < 0)
                return r;
        (void) snprintf(info, info_size,
                        r > 0 ? "Directory %s already exists, not populating from template %s."
                              : "Populated %s from template %s.",
                        path, c->template_path);
        return 0;
}

/* ---- leftovers --------------------------------------------------------------------------- */

bool leftovers_remove_machine(const char *machine)
{
        static const char *const folders[] = { PROPAGATE_FOLDER,
                                               "/run/systemd/nspawn/unix-export" };
        bool any = false;

        for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
                char *path CLEANUP_FREE = path_join(folders[i], machine);

                if (!path)
                        continue;
                if (i > 0)
                        (void) mount_detach(path);
                any |= rmdir(path) >= 0;
        }
        return any;
}

/* ".#.#machine.BASE0123456789abcdef.lck": where the digits begin; NULL: it is something else. */
static const char *leftover_suffix(const char *lock, const char *base)
{
        const char *rest = startswith(lock, ".#" PREFIX);
        const char *end = rest ? endswith(rest, ".lck") : NULL;
        size_t n = strnlen(base, BASE_MAX);

        if (!end || (size_t) (end - rest) != n + SUFFIX_LENGTH || memcmp(rest, base, n) != 0 ||
            strspn(rest + n, "0123456789abcdef") != SUFFIX_LENGTH)
                return NULL;
        return rest + n;
}

/* 1: it was one, and is gone; 0: somebody has it, or it could not be removed and counts in @stayed. */
static int remove_leftover(int folder_fd, const char *folder, const char *base, const char *digits,
                           const char *machine, unsigned *stayed, struct failure *failure)
{
        struct passing_tree p = PASSING_TREE_NULL;
        char *other CLEANUP_FREE = NULL, suffix[EPHEMERAL_SUFFIX_SIZE];
        int r;

        if (asprintf(&p.name, PREFIX "%.*s%.*s", (int) BASE_MAX, base, (int) SUFFIX_LENGTH,
                     digits) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = lock_name(folder_fd, p.name, &p.lock);
        if (r < 0) {
                free(p.name);
                /* What cannot be looked after is not in the way of a start. */
                return 0;
        }
        p.folder_fd = fcntl(folder_fd, F_DUPFD_CLOEXEC, 3);
        p.folder = strdup(folder);
        if (passing_tree_end(&p) < 0) {
                (*stayed)++;
                return 0;
        }
        memcpy(suffix, digits, SUFFIX_LENGTH);
        suffix[SUFFIX_LENGTH] = '\0';
        other = machine ? ephemeral_machine_name(machine, suffix) : NULL;
        if (other)
                (void) leftovers_remove_machine(other);
        return 1;
}

int leftovers_remove(int folder_fd, const char *folder, const char *base, const char *machine,
                     unsigned *stayed, struct failure *failure)
{
        int fd = root_open_below(folder_fd, ".", O_RDONLY | O_DIRECTORY);
        DIR *d = fd < 0 ? NULL : fdopendir(fd);
        int n = 0, r = 0;

        if (!d) {
                r = fd < 0 ? fd : -errno;
                (void) fd_close(fd);
                return failure_set(failure, r, "Cannot look into the directory '%s': %s.", folder,
                                   error_text(r));
        }
        while (r >= 0) {
                const struct dirent *e;
                const char *digits;

                errno = 0;
                e = readdir(d);
                if (!e) {
                        r = -errno;
                        break;
                }
                digits = leftover_suffix(e->d_name, base);
                r = digits ? remove_leftover(folder_fd, folder, base, digits, machine, stayed,
                                             failure)
                           : 0;
                n += r > 0;
        }
        (void) closedir(d);
        return r < 0 ? failure_set(failure, r, "Cannot look into the directory '%s': %s.", folder,
                                   error_text(r))
                     : n;
}
