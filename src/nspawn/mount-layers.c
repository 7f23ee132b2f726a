/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/mount-layers.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/root.h"

/* ---- sources ----------------------------------------------------------------------------- */

int source_open(enum source_place place, const char *path, const struct mount_run_options *o)
{
        int fd;

        if (place == SOURCE_TREE)
                return root_open_path(o->root_fd, path, ROOT_FOLLOW);
        fd = place == SOURCE_HOST
                     ? open(path, O_PATH | O_CLOEXEC)
                     : openat(o->scratch->fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? -errno : fd;
}

/* The type of the file system that @fd is on, as mountinfo has it; "" if that cannot be told. */
static void file_system_of(int fd, char *type, size_t size)
{
        char *table CLEANUP_FREE = NULL, wanted[32];
        struct statx sx;

        type[0] = '\0';
        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &sx) < 0 ||
            read_file_at(AT_FDCWD, "/proc/self/mountinfo", (size_t) 16 * 1024 * 1024, &table,
                         NULL) < 0)
                return;
        (void) snprintf(wanted, sizeof(wanted), "%llu ", (unsigned long long) sx.stx_mnt_id);
        for (char *line = table, *next; line && *line; line = next) {
                const char *found;

                next = strchr(line, '\n');
                if (next)
                        *next++ = '\0';
                found = startswith(line, wanted) ? strstr(line, " - ") : NULL;
                if (found)
                        (void) snprintf(type, size, "%.*s", (int) strcspn(found + 3, " "),
                                        found + 3);
        }
}

int source_map_failed(const struct mount_op *op, const struct mount_run_options *o, int error,
                      struct failure *failure)
{
        char type[64] = "";
        int fd CLEANUP_FD =
                op->place == SOURCE_TEMPORARY ? -1 : source_open(op->place, op->source, o);

        if (error != -EINVAL)
                return failure_set(failure, error, "Cannot map the ids of '%s' (%s): %s.",
                                   op->source, op->why, error_text(error));
        if (fd >= 0)
                file_system_of(fd, type, sizeof(type));
        return failure_set(failure, error,
                           "Cannot map the ids of '%s' (%s): %s. The file system '%s'%s does not "
                           "support id-mapped mounts. %s%s.",
                           op->source, op->why, error_text(error), *type ? type : "?",
                           op->depth == MOUNT_RECURSIVE ? ", or one that is mounted in it," : "",
                           startswith(op->target, "/run/host/") ? "Leave the option out"
                                                                : "Use the option 'noidmap'",
                           op->depth == MOUNT_RECURSIVE ? " or 'norbind'" : "");
}

/* One line of a map, in the order of /proc/PID/uid_map. */
static void map_line(char *text, size_t size, uint32_t on_disk, uint32_t shown, uint32_t count)
{
        (void) snprintf(text, size, "%u %u %u\n", on_disk, shown, count);
}

int source_map_owner(int fd, const struct mount_op *op, const struct mount_run_options *o,
                     struct failure *failure)
{
        int namespace_fd CLEANUP_FD = idmap_open_one(op->owner.uid, op->owner.gid,
                                                     op->owner.shown_uid, op->owner.shown_gid);
        int r;

        if (namespace_fd < 0)
                return failure_set(failure, namespace_fd,
                                   "Cannot make a user namespace to map the owner of '%s' (%s): "
                                   "%s.",
                                   op->source, op->why, error_text(namespace_fd));
        r = mount_set_idmap(fd, namespace_fd, op->depth);
        return r < 0 ? source_map_failed(op, o, r, failure) : 0;
}

/* ---- layers ------------------------------------------------------------------------------ */

/* An overlay while it is put together. */
struct assembly {
        const struct mount_op *op;
        const struct mount_run_options *o;
        int *lower; /* topmost first */
        size_t n_lower;
        int *detached; /* id-mapped copies, one for each layer at most */
        size_t n_detached;
        int upper_fd, work_fd;
        int namespace_fd;      /* the container's id map; -1: nothing is mapped */
        unsigned restrictions; /* of what the layers are mounted with: they hold for the overlay */
};

static void assembly_done(struct assembly *a)
{
        for (size_t i = 0; i < a->n_lower; i++)
                (void) fd_close(a->lower[i]);
        for (size_t i = 0; i < a->n_detached; i++)
                (void) fd_close(a->detached[i]);
        free(a->lower);
        free(a->detached);
        (void) fd_close(a->upper_fd);
        (void) fd_close(a->work_fd);
        (void) fd_close(a->namespace_fd);
}

static int layer_failed(const struct assembly *a, const struct mount_layer *layer, int error,
                        const char *what, struct failure *failure)
{
        return failure_set(failure, error, "Cannot %s '%s%s' (%s): %s.", what,
                           layer->place == SOURCE_TREE ? "+" : "",
                           layer->place == SOURCE_TEMPORARY ? "temporary directory" : layer->path,
                           a->op->why, error_text(error));
}

/* A file system that is not to run programs with other rights does not by a detour, either. */
static int add_restrictions(struct assembly *a, const struct mount_layer *layer, int fd)
{
        int restrictions = layer->place == SOURCE_TEMPORARY ? 0 : mount_get_restrictions(fd);

        if (restrictions < 0)
                return restrictions;
        a->restrictions |= (unsigned) restrictions;
        return 0;
}

static bool is_mapped(const struct assembly *a, const struct mount_layer *layer)
{
        return layer->place == SOURCE_TREE && a->op->flags & MOUNT_MAP_TREE;
}

/* With a mapped layer among them all are copies: an older kernel takes those only in a mount namespace
 * in which they are attached, and there it takes no others. */
static bool is_copied(const struct assembly *a)
{
        for (size_t i = 0; i < a->op->n_layers; i++)
                if (is_mapped(a, &a->op->layers[i]))
                        return true;
        return false;
}

/* The container's id map. The host's root is mapped, too: the kernel acts as whoever mounted the
 * overlay when it works on its layers. */
static int make_namespace(struct assembly *a)
{
        char text[128], root[64];

        if (a->namespace_fd >= 0)
                return 0;
        map_line(text, sizeof(text), 0, a->o->idmap.base, a->o->idmap.count);
        map_line(root, sizeof(root), INT32_MAX - 1, 0, 1);
        (void) strncat(text, root, sizeof(text) - strlen(text) - 1);
        a->namespace_fd = idmap_namespace_new(text, text);
        return MIN_OF(a->namespace_fd, 0);
}

/*
 * Which it is that cannot be mapped: the tree's own file system (-EINVAL, without a sentence: there
 * is another way, which changes all of the tree), or just the one that the layer is on.
 */
static int layer_not_mapped(const struct assembly *a, const struct mount_layer *layer, int fd,
                            struct failure *failure)
{
        int tree CLEANUP_FD = mount_copy(a->o->root_fd, "", MOUNT_ONE);
        char type[64];

        if (tree < 0 || mount_set_idmap(tree, a->namespace_fd, MOUNT_ONE) < 0)
                return -EINVAL;
        file_system_of(fd, type, sizeof(type));
        return failure_set(failure, -EINVAL,
                           "Cannot map the ids of the layer '+%s' (%s): %s. Its file system '%s' "
                           "does not support id-mapped mounts. Leave it out, or use "
                           "--private-users-ownership=chown.",
                           layer->path, a->op->why, error_text(-EINVAL), *type ? type : "?");
}

/* A copy of the mount at @fd, with that map if the layer has one, remembered and borrowed. */
static int copy_layer(struct assembly *a, const struct mount_layer *layer, int fd,
                      struct failure *failure)
{
        int copy CLEANUP_FD = -1;
        int r = is_mapped(a, layer) ? make_namespace(a) : 0;

        if (r >= 0)
                r = copy = mount_copy(fd, "", MOUNT_ONE);
        if (r < 0)
                return layer_failed(a, layer, r, "map the ids of the layer", failure);
        if (is_mapped(a, layer))
                r = mount_set_idmap(copy, a->namespace_fd, MOUNT_ONE);
        if (r < 0 && r != -EINVAL)
                return layer_failed(a, layer, r, "map the ids of the layer", failure);
        if (r < 0)
                return layer_not_mapped(a, layer, fd, failure);
        a->detached[a->n_detached] = TAKE_FD(copy);
        return a->detached[a->n_detached++];
}

static int add_lower(struct assembly *a, const struct mount_layer *layer, struct failure *failure)
{
        int fd CLEANUP_FD = source_open(layer->place, layer->path, a->o);
        int r;

        r = fd < 0 ? fd : add_restrictions(a, layer, fd);
        if (r < 0)
                return layer_failed(a, layer, r, "open the layer", failure);
        if (is_copied(a)) {
                r = copy_layer(a, layer, fd, failure);
                if (r < 0)
                        return r;
                (void) fd_close(fd);
                fd = fd_copy(r);
                if (fd < 0)
                        return layer_failed(a, layer, fd, "open the layer", failure);
        }
        a->lower[a->n_lower++] = TAKE_FD(fd);
        return 0;
}

/* What the topmost lower layer has, as far as the container can have it: its root directory is
 * seen in the upper one. */
static int dress_upper(const struct assembly *a, int fd)
{
        uint32_t base = a->o->idmap.base, count = a->o->idmap.count;
        struct stat st;

        if (fstat(a->lower[0], &st) < 0)
                return -errno;
        if (base != 0 && (st.st_uid < base || st.st_uid - base >= count))
                st.st_uid = base;
        if (base != 0 && (st.st_gid < base || st.st_gid - base >= count))
                st.st_gid = base;
        if (fchownat(fd, "", st.st_uid, st.st_gid, AT_EMPTY_PATH) < 0)
                return -errno;
        return fchmodat(fd, ".", st.st_mode & 07777, 0) < 0 ? -errno : 0;
}

static int open_upper(const struct assembly *a, const struct mount_layer *layer)
{
        int fd = source_open(layer->place, layer->path, a->o), r;

        if (fd != -ENOENT)
                return fd;
        if (layer->place == SOURCE_TREE)
                return root_make_directory(a->o->root_fd, layer->path, 0755,
                                           a->op->flags & MOUNT_MAP_TREE ? 0 : a->o->root_owner);
        r = make_directories(layer->path, 0755);
        return r < 0 ? r : source_open(layer->place, layer->path, a->o);
}

/* The name of an open directory, in its parent. */
static int name_of(int fd, char path[PATH_MAX], const char **ret)
{
        char link[64];
        ssize_t n;

        (void) snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
        n = readlink(link, path, PATH_MAX - 1);
        if (n < 0)
                return -errno;
        path[n] = '\0';
        *ret = path_basename(path);
        return 0;
}

static int open_below(int fd, const char *name)
{
        int below = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

        return below < 0 ? -errno : below;
}

static int work_failed(const struct assembly *a, const struct mount_layer *layer, int error,
                       struct failure *failure)
{
        if (error == -EBUSY)
                return failure_set(failure, error,
                                   "The upper directory '%s' (%s) is in use by another overlay. "
                                   "Stop the container that uses it, or use another directory.",
                                   layer->path, a->op->why);
        return layer_failed(a, layer, error, "make a work directory beside", failure);
}

/* The work directory is beside the upper one, in the same mount. */
static int add_work(struct assembly *a, const struct mount_layer *layer, int upper,
                    struct failure *failure)
{
        int parent CLEANUP_FD = open_below(upper, "..");
        char path[PATH_MAX];
        const char *upper_name = NULL, *name = NULL;
        int from = parent, r = parent;

        if (r >= 0)
                r = name_of(upper, path, &upper_name);
        if (r >= 0)
                r = scratch_add_work(a->o->scratch, parent, upper_name, &name);
        if (r < 0)
                return work_failed(a, layer, r, failure);
        if (is_copied(a)) {
                from = copy_layer(a, layer, parent, failure);
                if (from < 0)
                        return from;
        }
        assert(upper_name && name);
        a->upper_fd = open_below(from, upper_name);
        a->work_fd = open_below(from, name);
        r = MIN_OF(a->upper_fd, a->work_fd);
        return r < 0 ? layer_failed(a, layer, r, "open the layer", failure) : 0;
}

/* By a link of the tree, too: what is beside it is the host's. */
static bool is_tree_root(const struct assembly *a, int fd)
{
        struct stat st, root;

        return fstat(fd, &st) == 0 && fstat(a->o->root_fd, &root) == 0 &&
               st.st_dev == root.st_dev && st.st_ino == root.st_ino;
}

static int add_upper(struct assembly *a, const struct mount_layer *layer, struct failure *failure)
{
        int fd CLEANUP_FD = open_upper(a, layer);
        int r = fd;

        if (r >= 0 && layer->place == SOURCE_TREE && is_tree_root(a, fd))
                return failure_set(failure, -EXDEV,
                                   "The upper directory '+%s' (%s) is the tree's root directory, "
                                   "and the overlay's work directory would be outside of the tree. "
                                   "Use a directory in it.",
                                   layer->path, a->op->why);
        if (r >= 0)
                r = mount_is_root(fd);
        if (r > 0)
                return failure_set(failure, -EXDEV,
                                   "The upper directory '%s' (%s) is a mount point, so that there "
                                   "is no place beside it for the overlay's work directory. Use a "
                                   "directory in it.",
                                   layer->path, a->op->why);
        if (r >= 0)
                r = add_restrictions(a, layer, fd);
        if (r >= 0 && layer->place == SOURCE_TEMPORARY)
                r = dress_upper(a, fd);
        return r < 0 ? layer_failed(a, layer, r, "use the upper directory", failure)
                     : add_work(a, layer, fd, failure);
}

static int add_layers(struct assembly *a, struct failure *failure)
{
        size_t n = a->op->n_layers;
        bool upper = mount_op_has_upper(a->op);
        int r = 0;

        a->lower = calloc(n, sizeof(int));
        a->detached = calloc(n, sizeof(int));
        if (!a->lower || !a->detached)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        for (size_t i = upper ? n - 1 : n; r >= 0 && i > 0; i--)
                r = add_lower(a, &a->op->layers[i - 1], failure);
        return r < 0 || !upper ? r : add_upper(a, &a->op->layers[n - 1], failure);
}

/* Why the kernel does not like the layers: it only says so in its log, if at all. */
static int overlay_failed(const struct assembly *a, int error, const char *words,
                          struct failure *failure)
{
        const struct mount_layer *top = &a->op->layers[a->op->n_layers - 1];
        char type[64] = "";

        if (error == -ENODEV)
                return failure_set(failure, error,
                                   "Cannot mount '%s' (%s): this kernel has no file system "
                                   "'overlay'. Load its module, or use another kernel.",
                                   a->op->target, a->op->why);
        if (error == -ELOOP)
                return failure_set(failure, error,
                                   "Cannot mount an overlay on '%s' (%s): one of its directories "
                                   "is inside of another. Use separate ones.",
                                   a->op->target, a->op->why);
        if (error == -E2BIG)
                return failure_set(failure, error,
                                   "Cannot mount an overlay on '%s' (%s): this kernel does not "
                                   "take %zu layers. Use fewer.",
                                   a->op->target, a->op->why, a->op->n_layers);
        if (a->upper_fd >= 0)
                file_system_of(a->upper_fd, type, sizeof(type));
        if (error == -EINVAL && *type)
                return failure_set(
                        failure, error,
                        "Cannot mount an overlay on '%s' (%s): %s%s%s. The file system '%s' of the "
                        "upper directory '%s' may not be able to hold one; ext4, xfs, btrfs and "
                        "tmpfs are.",
                        a->op->target, a->op->why, error_text(error), *words ? ": " : "", words,
                        type, top->place == SOURCE_TEMPORARY ? SCRATCH_PLACE : top->path);
        return failure_set(failure, error, "Cannot mount an overlay on '%s' (%s): %s%s%s.%s",
                           a->op->target, a->op->why, error_text(error), *words ? ": " : "", words,
                           error == -EPERM ? " A sandbox or security module forbids it." : "");
}

static int mount_layers(const struct assembly *a, int *ret_context, struct failure *failure)
{
        const struct mount_overlay d = {
                .source = a->op->source,
                .lower_fds = a->lower,
                .n_lower = a->n_lower,
                .upper_fd = a->upper_fd,
                .work_fd = a->work_fd,
                .detached_fds = a->detached,
                .n_detached = a->n_detached,
                .options = a->op->options,
                .attributes = a->op->attributes | a->restrictions,
        };
        char words[256];
        int fd = mount_new_overlay(&d, ret_context, words, sizeof(words));

        return fd < 0 ? overlay_failed(a, fd, words, failure) : fd;
}

int layers_build(const struct mount_op *op, const struct mount_run_options *o, int *ret_context,
                 struct failure *failure)
{
        struct assembly a CLEANUP(assembly_done) = {
                .op = op, .o = o, .upper_fd = -1, .work_fd = -1, .namespace_fd = -1
        };
        int r = add_layers(&a, failure);

        return r < 0 ? r : mount_layers(&a, ret_context, failure);
}
