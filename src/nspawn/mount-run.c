/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/mount-run.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/idmap.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/root.h"
#include "basic/sandbox.h"
#include "nspawn/explain.h"
#include "nspawn/mount-layers.h"

/* What the process that mounts proc and sysfs says. */
enum api_message { API_MOUNTED = 1, API_FAILED };

void mount_run_init(struct mount_run *run, const struct mount_plan *plan)
{
        run->plan = plan;
        run->n_nodes = 0;
        for (size_t i = 0; i < MOUNT_RUN_MAX; i++)
                run->fds[i] = run->contexts[i] = -1;
}

/* They lie side by side: runs of neighbours go with one call each. */
void mount_run_done(struct mount_run *run)
{
        int fds[2 * MOUNT_RUN_MAX + N_STANDARD_NODES];
        size_t n = 0;

        for (size_t i = 0; run->plan && i < MIN_OF(run->plan->n_ops, (size_t) MOUNT_RUN_MAX); i++) {
                if (run->fds[i] >= 0)
                        fds[n++] = TAKE_FD(run->fds[i]);
                if (run->contexts[i] >= 0)
                        fds[n++] = TAKE_FD(run->contexts[i]);
        }
        for (size_t i = 0; i < run->n_nodes; i++)
                fds[n++] = TAKE_FD(run->nodes[i].fd);
        run->n_nodes = 0;
        fd_close_many(fds, n);
}

int mount_run_new_root(const struct mount_run *run)
{
        return mount_plan_has_new_root(run->plan) ? run->fds[0] : -1;
}

int mount_run_fd(const struct mount_run *run, const char *target)
{
        int i = mount_plan_find(run->plan, target);

        return i < 0 ? -1 : run->fds[i];
}

/* ---- content of new file systems --------------------------------------------------------- */

/* A socket is bound by path only; the magic link names the file system before it is attached. */
static int bind_socket(int fs_fd, const char *path, int socket_fd, mode_t mode)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };

        if (socket_fd < 0)
                return 0;
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", fs_fd,
                        path);
        if (bind(socket_fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return -errno;
        return fchmodat(fs_fd, path, mode, 0) < 0 ? -errno : 0;
}

static int make_entry(int fs_fd, const struct tree_entry *e, const struct mount_run_options *o)
{
        switch (e->kind) {
        case ENTRY_DIRECTORY:
                return mkdirat(fs_fd, e->path, e->mode) < 0 ? -errno : 0;
        case ENTRY_FILE:
                if (!e->text) /* one call instead of three */
                        return mknodat(fs_fd, e->path, S_IFREG | e->mode, 0) < 0 ? -errno : 0;
                return create_file_at(fs_fd, e->path, e->mode, e->text);
        case ENTRY_BYTES:
                return create_file_bytes_at(fs_fd, e->path, e->mode, e->bytes->bytes,
                                            e->bytes->size);
        case ENTRY_LINK:
                return symlinkat(e->text, fs_fd, e->path) < 0 ? -errno : 0;
        case ENTRY_FIFO:
                return mkfifoat(fs_fd, e->path, e->mode) < 0 ? -errno : 0;
        case ENTRY_SOCKET:
                return bind_socket(fs_fd, e->path, o->notify_fd, e->mode);
        case ENTRY_JOURNAL_SOCKET:
                return bind_socket(fs_fd, e->path, o->journal_fd, e->mode);
        case ENTRY_DEVICE:
                if (mknodat(fs_fd, e->path, e->mode, e->device) >= 0)
                        return 0;
                /* Over-mount sources of device type are a nicety; sandboxes forbid making them. */
                return e->device == 0 && errno == EPERM ? 0 : -errno;
        }
        return -EINVAL;
}

/*
 * In a user namespace the kernel lets nobody make device nodes, and other sandboxes forbid it, too.
 * Then the one that we have under the same name is shown in its place: a file, until everything is
 * attached. Only the standard ones come here, and of each plan there is one of each.
 */
static int stand_in_for_node(struct mount_run *run, int fs_fd, size_t op,
                             const struct tree_entry *e)
{
        char path[64];
        struct stat st;
        int ours CLEANUP_FD = -1, fd, r;

        if (run->n_nodes == ARRAY_SIZE(run->nodes) ||
            (size_t) snprintf(path, sizeof(path), "/dev/%s", e->path) >= sizeof(path))
                return -EPERM;
        ours = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (ours < 0 || fstat(ours, &st) < 0)
                return -errno;
        if (!S_ISCHR(st.st_mode) || st.st_rdev != e->device)
                return -ENODEV;
        if (mknodat(fs_fd, e->path, S_IFREG | (e->mode & 07777), 0) < 0)
                return -errno;
        fd = mount_copy(ours, "", MOUNT_ONE);
        if (fd < 0)
                return fd;
        /* Read-only: writing to the device goes on, but its owner and mode are those of the host. */
        r = mount_set_all(fd, MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NOEXEC, 0, PROPAGATION_PRIVATE,
                          MOUNT_ONE);
        if (r < 0) {
                (void) fd_close(fd);
                return r;
        }
        run->nodes[run->n_nodes++] = (struct bound_node){ .op = op, .path = e->path, .fd = fd };
        return 0;
}

static int fill(struct mount_run *run, int fs_fd, size_t index, struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[index];
        const struct mount_run_options *o = &run->options;

        if (op->flags & MOUNT_GIVE_TERMINALS && o->owner != 0 &&
            (fchownat(fs_fd, "", o->owner, o->owner, AT_EMPTY_PATH) < 0 ||
             fchownat(fs_fd, "ptmx", o->owner, o->owner, AT_SYMLINK_NOFOLLOW) < 0))
                return failure_set(failure, -errno, "Cannot give '%s' to the container: %s.",
                                   op->target, error_text(errno));
        for (size_t i = 0; i < op->n_entries; i++) {
                const struct tree_entry *e = &op->entries[i];
                int r = make_entry(fs_fd, e, o);

                if (r == -EPERM && e->kind == ENTRY_DEVICE)
                        r = stand_in_for_node(run, fs_fd, index, e);
                if (r >= 0 && o->owner != 0 &&
                    fchownat(fs_fd, e->path, o->owner, o->owner, AT_SYMLINK_NOFOLLOW) < 0 &&
                    errno != ENOENT)
                        r = -errno;
                if (r < 0)
                        return failure_set(failure, r, "Cannot make '%s/%s' for the container: %s.",
                                           op->target, e->path, error_text(r));
        }
        return 0;
}

/* ---- building ---------------------------------------------------------------------------- */

/* File systems that a user namespace gets only where all of one can be seen already. */
static bool is_api(const struct mount_op *op)
{
        return op->kind == MOUNT_NEW && (streq(op->type, "proc") || streq(op->type, "sysfs"));
}

static int mount_failed(const struct mount_op *op, int error, const char *words,
                        struct failure *failure)
{
        const char *hint = "";
        char text[EXPLAIN_MAX];

        if (error == -ENOENT && op->kind == MOUNT_BIND)
                hint = " Create the source, or leave the option out.";
        else if (error == -EPERM || error == -EACCES || error == -ENOSYS)
                hint = sandbox_hint(
                        error == -EPERM && is_api(op) ? SANDBOX_FULL_PROC : SANDBOX_MOUNTS, text);
        else if (error == -ENOSPC) {
                /* A detached mount is in a namespace of its own. */
                explain_namespaces(CLONE_NEWNS, error, text);
                hint = text;
        }
        return failure_set(failure, error, "Cannot mount '%s' on '%s' (%s): %s%s%s.%s",
                           op->place == SOURCE_TEMPORARY ? "a temporary directory"
                           : op->source                  ? op->source
                                                         : op->type,
                           op->target, op->why, error_text(error), words && *words ? ": " : "",
                           words ? words : "", hint);
}

/*
 * Whether the start goes on without this mount. That there is nothing to mount, or no place for it
 * in a tree that is not to be written, is as good as mounted; anything else is worth a word, because
 * somebody may rely on it.
 */
static bool is_tolerated(const struct mount_op *op, int error)
{
        if (error == -ENOENT && op->flags & MOUNT_OPTIONAL)
                return true;
        if (!(op->flags & MOUNT_TOLERATED))
                return false;
        if (error != -ENOENT && error != -ENOTDIR && error != -ELOOP && error != -EROFS &&
            error != -ENODEV)
                log_warning("Cannot mount '%s' on '%s' (%s), going on without: %s.",
                            op->source ? op->source : op->type, op->target, op->why,
                            error_text(error));
        return true;
}

/* After this nothing can be made there: by nobody, and wherever it is mounted again. */
static int seal(int fs_fd, int context, const struct mount_op *op,
                const struct mount_run_options *o, struct failure *failure)
{
        int r = 0;

        if (!(op->flags & MOUNT_SEALED))
                return 0;
        if (fchmodat(fs_fd, ".", op->root_mode, 0) < 0 ||
            (o->owner != 0 && fchownat(fs_fd, "", o->owner, o->owner, AT_EMPTY_PATH) < 0))
                r = -errno;
        if (r >= 0)
                r = mount_seal(fs_fd, context);
        return r < 0 ? failure_set(failure, r, "Cannot make '%s' read-only (%s): %s.", op->target,
                                   op->why, error_text(r))
                     : 0;
}

static struct mount_description describe(const struct mount_op *op)
{
        return (struct mount_description){ .type = op->type,
                                           .source = op->source,
                                           .options = op->options,
                                           .label = op->label,
                                           .attributes = op->flags & MOUNT_SEALED
                                                                 ? op->attributes &
                                                                           ~(unsigned) MOUNT_RDONLY
                                                                 : op->attributes };
}

static int build_new(const struct mount_op *op, int *ret_context, struct failure *failure)
{
        const struct mount_description d = describe(op);
        char words[256];
        int fd = mount_new(&d, ret_context, words, sizeof(words));

        if (fd == -ENODEV)
                return failure_set(failure, fd,
                                   "Cannot mount '%s' (%s): this kernel has no file system '%s'. "
                                   "Load its module, or use another kernel.",
                                   op->target, op->why, op->type);
        return fd < 0 ? mount_failed(op, fd, words, failure) : fd;
}

static int set_up_copy(int fd, const struct mount_op *op)
{
        if (op->attributes == 0 && op->propagation == PROPAGATION_KEEP)
                return 0;
        return mount_set_all(fd, op->attributes, 0, op->propagation, op->depth);
}

/* @dir_fd and @path name the source; an empty path is @dir_fd itself. */
static int build_copy(const struct mount_op *op, int dir_fd, const char *path,
                      struct failure *failure)
{
        int fd CLEANUP_FD = mount_copy(dir_fd, path, op->depth);
        int r = fd < 0 ? fd : set_up_copy(fd, op);

        if (r < 0) {
                return is_tolerated(op, r) ? -ENOENT : mount_failed(op, r, NULL, failure);
        }
        return TAKE_FD(fd);
}

/* A path in the tree, which may be the guest's. */
static int build_tree_part(const struct mount_run *run, const struct mount_op *op,
                           struct failure *failure)
{
        int source CLEANUP_FD = root_open_path(run->options.root_fd, op->source, ROOT_FOLLOW);

        return source < 0 ? mount_failed(op, source, NULL, failure)
                          : build_copy(op, source, "", failure);
}

/*
 * The upper directory is the root directory of the overlay: it looks as that of the tree does. One
 * that is there already has seen an earlier boot.
 */
static int fill_layer(int layer_fd, int lower_fd)
{
        struct stat st;

        if (mkdirat(layer_fd, "work", 0700) < 0 && errno != EEXIST)
                return -errno;
        if (mkdirat(layer_fd, "upper", 0700) < 0)
                return errno == EEXIST ? 0 : -errno;
        if (fstat(lower_fd, &st) < 0 ||
            fchownat(layer_fd, "upper", st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
            fchmodat(layer_fd, "upper", st.st_mode & 07777, 0) < 0)
                return -errno;
        return 0;
}

/* Where the changes go, as a detached mount. */
static int build_layer(const struct mount_run *run, const struct mount_op *op, int lower_fd,
                       struct failure *failure)
{
        const struct mount_description d = { .type = "tmpfs",
                                             .source = "tmpfs",
                                             .options = op->options };
        int context CLEANUP_FD = -1;
        char words[256] = "";
        int fd CLEANUP_FD = op->options ? mount_new(&d, &context, words, sizeof(words))
                                        : mount_copy(run->options.layer_fd, "", MOUNT_ONE);
        int r = fd < 0 ? fd : fill_layer(fd, lower_fd);

        return r < 0 ? mount_failed(op, r, words, failure) : TAKE_FD(fd);
}

/* @lower_fd: a detached mount of the tree, as it is to be seen. */
static int build_overlay(const struct mount_run *run, const struct mount_op *op, int lower_fd,
                         struct failure *failure)
{
        int restrictions = mount_get_restrictions(lower_fd);
        int layer_fd CLEANUP_FD = build_layer(run, op, lower_fd, failure);
        int upper_fd CLEANUP_FD =
                openat(layer_fd, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int work_fd CLEANUP_FD =
                openat(layer_fd, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        const int detached[] = { lower_fd, layer_fd };
        const struct mount_overlay d = {
                .source = "overlay",
                .lower_fds = &lower_fd,
                .n_lower = 1,
                .upper_fd = upper_fd,
                .work_fd = work_fd,
                .detached_fds = detached,
                .n_detached = ARRAY_SIZE(detached),
                .options = "redirect_dir=on", /* else directories of the tree cannot be renamed */
                .attributes = op->attributes | (unsigned) MAX_OF(restrictions, 0),
        };
        int context CLEANUP_FD = -1;
        char words[256] = "";
        int fd;

        if (layer_fd < 0)
                return layer_fd;
        if (restrictions < 0 || upper_fd < 0 || work_fd < 0)
                return mount_failed(op, -errno, NULL, failure);
        fd = mount_new_overlay(&d, &context, words, sizeof(words));
        if (fd == -ENODEV)
                return failure_set(failure, fd,
                                   "Cannot put a layer over '%s' (%s): %s. This kernel has no "
                                   "overlay file system (CONFIG_OVERLAY_FS). Load its module, or "
                                   "use another way to keep the tree as it is.",
                                   op->source, op->why, error_text(fd));
        return fd < 0 ? mount_failed(op, fd, words, failure) : fd;
}

static int build_overlay_of_tree(const struct mount_run *run, const struct mount_op *op,
                                 struct failure *failure)
{
        int lower CLEANUP_FD = mount_copy(run->options.root_fd, "", MOUNT_ONE);

        return lower < 0 ? mount_failed(op, lower, NULL, failure)
                         : build_overlay(run, op, lower, failure);
}

/* Where a new file system is refused, in a sandbox: a copy of what we have at the same place, with
 * all that is mounted in it. A failure stays the earlier one, which tells what is missing. */
static int build_from_ours(const struct mount_op *op, struct failure *failure)
{
        int fd CLEANUP_FD = mount_copy(AT_FDCWD, op->target, MOUNT_RECURSIVE);

        if (fd < 0 || mount_set_all(fd, op->attributes, 0, op->propagation, MOUNT_RECURSIVE) < 0)
                return -EPERM;
        *failure = (struct failure){ .error = 0 };
        return TAKE_FD(fd);
}

/* What kind of thing is going to be mounted. */
static int look_at_source(const struct mount_run *run, size_t index, struct stat *st)
{
        const struct mount_op *op = &run->plan->ops[index];
        int source CLEANUP_FD = -1;
        int fd = run->fds[index];

        if (op->flags & MOUNT_OF_FILE) {
                st->st_mode = S_IFREG;
                return 0;
        }
        /* What waits for the id map is not open yet. */
        if (fd < 0 && op->kind == MOUNT_BIND)
                source = source_open(op->place, op->source, &run->options);
        else if (fd < 0)
                return 0;
        if (fd < 0)
                fd = source;
        return fd < 0 ? fd : fstat(fd, st) < 0 ? -errno : 0;
}

/* Missing mount points are made from outside where the container's root may not write. */
static int make_target(const struct mount_run *run, size_t index, int root_fd,
                       struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[index];
        uid_t owner = run->options.root_owner;
        struct stat st = { .st_mode = S_IFDIR };
        int fd CLEANUP_FD = -1;
        int r;

        for (size_t i = 1; i < index; i++)
                if (path_is_below(op->target, run->plan->ops[i].target))
                        return 0; /* lies in another mount, which is the container's own */
        r = look_at_source(run, index, &st);
        if (r < 0)
                return mount_failed(op, r, NULL, failure);
        fd = S_ISDIR(st.st_mode) ? root_make_directory(root_fd, op->target, 0755, owner)
                                 : root_make_file(root_fd, op->target, owner);
        if (fd < 0 && !is_tolerated(op, fd))
                return failure_set(failure, fd, "Cannot make the mount point '%s' (%s): %s.%s",
                                   op->target, op->why, error_text(fd), storage_hint(fd));
        return 0;
}

static int make_targets(const struct mount_run *run, struct failure *failure)
{
        int root_fd = mount_plan_has_new_root(run->plan) ? run->fds[0] : run->options.root_fd;

        for (size_t i = 0; i < run->plan->n_ops; i++) {
                const struct mount_op *op = &run->plan->ops[i];
                int r = 0;

                /* What is not there needs no place. */
                if (op->flags & MOUNT_MAKE_TARGET &&
                    !(op->phase == PHASE_PREPARE && run->fds[i] < 0))
                        r = make_target(run, i, root_fd, failure);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int build_from_source(const struct mount_run *run, const struct mount_op *op,
                             struct failure *failure)
{
        if (op->kind == MOUNT_ROOT)
                return build_copy(op, run->options.root_fd, "", failure);
        if (op->kind == MOUNT_OLD_ROOT)
                return build_copy(op, run->options.tree_fd, "", failure);
        if (op->kind == MOUNT_TREE || op->place == SOURCE_TREE)
                return build_tree_part(run, op, failure);
        if (op->place == SOURCE_TEMPORARY)
                return build_copy(op, run->options.scratch->fd, op->source, failure);
        return build_copy(op, AT_FDCWD, op->source, failure);
}

static int prepare_one(struct mount_run *run, size_t i, struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[i];
        int fd, r;

        if (op->kind == MOUNT_NEW) {
                fd = build_new(op, &run->contexts[i], failure);
                if (fd == -EPERM && op->flags & MOUNT_OR_OURS)
                        fd = build_from_ours(op, failure);
        } else if (op->kind == MOUNT_OVERLAY)
                fd = build_overlay_of_tree(run, op, failure);
        else if (op->kind == MOUNT_LAYERS) {
                fd = layers_build(op, &run->options, &run->contexts[i], failure);
                if (fd < 0)
                        return fd;
        } else
                fd = build_from_source(run, op, failure);
        if (fd < 0)
                return failure->error != 0 ? fd : 0; /* optional, and not there */
        run->fds[i] = fd;
        if (op->owner.is_set && source_map_owner(fd, op, &run->options, failure) < 0)
                return failure->error;
        r = fill(run, fd, i, failure);
        return r < 0 ? r : seal(fd, run->contexts[i], op, &run->options, failure);
}

int mount_run_prepare(struct mount_run *run, const struct mount_run_options *options,
                      struct failure *failure)
{
        size_t n_mapped = 0;

        if (run->plan->n_ops > MOUNT_RUN_MAX)
                return failure_set(failure, -E2BIG,
                                   "Too many mounts: %zu are planned, %d are possible.",
                                   run->plan->n_ops, MOUNT_RUN_MAX);
        for (size_t i = 0; i < run->plan->n_ops; i++)
                n_mapped += run->plan->ops[i].phase == PHASE_MAPPED;
        if (n_mapped > CHANNEL_MAX_FDS)
                return failure_set(failure, -E2BIG,
                                   "Too many id-mapped mounts: %zu are planned, %d are possible.",
                                   n_mapped, CHANNEL_MAX_FDS);
        run->options = *options;
        for (size_t i = 0; i < run->plan->n_ops; i++) {
                int r = run->plan->ops[i].phase == PHASE_PREPARE ? prepare_one(run, i, failure) : 0;

                if (r < 0)
                        return r;
        }
        /* A new root that waits for the id map gets its mount points when it is there. */
        if (!options->make_targets ||
            (mount_plan_has_new_root(run->plan) && run->plan->ops[0].phase == PHASE_MAPPED))
                return 0;
        return make_targets(run, failure);
}

/*
 * Which it is that cannot be mapped: the tree's own file system (-EINVAL, without a sentence: there
 * may be another way), or one that is mounted in it, for which there is none.
 */
static int root_not_mapped(const struct mount_op *op, int tree_fd, int userns_fd, int error,
                           struct failure *failure)
{
        int fd CLEANUP_FD = mount_copy(tree_fd, "", MOUNT_ONE);

        if (fd < 0 || mount_set_idmap(fd, userns_fd, MOUNT_ONE) < 0)
                return -EINVAL;
        return failure_set(
                failure, error,
                "A file system that is mounted in '%s' does not support id-mapped mounts: "
                "%s. Unmount it, or use --private-users-ownership=off.",
                op->source, error_text(error));
}

/* The layer takes ids as they are; what is below it is seen through the map. */
static int map_overlay(struct mount_run *run, size_t i, int userns_fd, struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[i];
        int lower CLEANUP_FD = mount_copy(run->options.root_fd, "", MOUNT_ONE);
        int r;

        if (lower < 0)
                return mount_failed(op, lower, NULL, failure);
        r = mount_set_idmap(lower, userns_fd, MOUNT_ONE);
        if (r == -EINVAL)
                return r;
        if (r < 0)
                return mount_failed(op, r, "its ids cannot be mapped", failure);
        run->fds[i] = build_overlay(run, op, lower, failure);
        return run->fds[i] < 0 ? run->fds[i] : 0;
}

static int map_one(struct mount_run *run, size_t i, int userns_fd, struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[i];
        int fd CLEANUP_FD = build_from_source(run, op, failure);
        int r;

        if (fd < 0)
                return failure->error != 0 ? fd : 0;
        r = mount_set_idmap(fd, userns_fd, op->depth);
        if (r < 0 &&
            (op->kind == MOUNT_ROOT || op->kind == MOUNT_TREE || op->kind == MOUNT_OLD_ROOT))
                return root_not_mapped(op, run->options.root_fd, userns_fd, r, failure);
        if (r < 0 && op->flags & MOUNT_TOLERATED) {
                log_warning("Cannot map the ids of '%s' (%s), so that it belongs to nobody in the "
                            "container: %s.",
                            op->source, op->why, error_text(r));
                r = 0;
        }
        if (r < 0)
                return source_map_failed(op, &run->options, r, failure);
        run->fds[i] = TAKE_FD(fd);
        return 0;
}

int mount_run_map(struct mount_run *run, int userns_fd, struct failure *failure)
{
        for (size_t i = 0; i < run->plan->n_ops; i++) {
                const struct mount_op *op = &run->plan->ops[i];
                int r = 0;

                if (op->phase == PHASE_MAPPED && !is_api(op))
                        r = op->kind == MOUNT_OVERLAY ? map_overlay(run, i, userns_fd, failure)
                                                      : map_one(run, i, userns_fd, failure);
                if (r < 0)
                        return r;
        }
        if (run->options.make_targets && mount_plan_has_new_root(run->plan) &&
            run->plan->ops[0].phase == PHASE_MAPPED)
                return make_targets(run, failure);
        return 0;
}

/* In a process of its own, which is in the namespaces already: a proc shows the pid namespace of
 * who mounts it. */
static int send_api(struct mount_run *run, int channel_fd, struct failure *failure)
{
        struct channel_message message = { .type = API_MOUNTED };
        int fds[CHANNEL_MAX_FDS];
        size_t n = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < run->plan->n_ops; i++) {
                const struct mount_op *op = &run->plan->ops[i];

                if (op->phase != PHASE_MAPPED || !is_api(op))
                        continue;
                r = build_new(op, &run->contexts[i], failure);
                if (r >= 0)
                        fds[n++] = r;
        }
        if (r >= 0)
                return channel_send(channel_fd, &message, fds, n);
        message = (struct channel_message){ .type = API_FAILED, .error = r };
        (void) strncpy(message.text, failure->text, sizeof(message.text) - 1);
        return channel_send(channel_fd, &message, NULL, 0);
}

/* A process enters a pid namespace only with its children. */
static _Noreturn void enter_and_send_api(struct mount_run *run, int leader_pidfd, int namespaces,
                                         int channel_fd, struct failure *failure)
{
        struct process_end end = { .exited = false };
        int pidfd = -1;
        pid_t pid;

        if (setns(leader_pidfd, namespaces) < 0)
                _exit(errno);
        /* The number that comes next anyway: the payload of --as-pid2 wants it, too. */
        pid = process_clone_as(2, &pidfd);
        if (pid == 0)
                _exit(send_api(run, channel_fd, failure) < 0 ? EIO : 0);
        if (pid < 0 || process_wait(pidfd, &end) < 0 || !end.exited)
                _exit(EIO);
        _exit(end.status);
}

static int take_api(struct mount_run *run, const int *fds, size_t n)
{
        size_t k = 0;

        for (size_t i = 0; i < run->plan->n_ops; i++)
                if (run->plan->ops[i].phase == PHASE_MAPPED && is_api(&run->plan->ops[i])) {
                        if (k == n)
                                return -EPROTO;
                        run->fds[i] = fds[k++];
                }
        return k == n ? 0 : -EPROTO;
}

static int receive_api(struct mount_run *run, int channel_fd, int pidfd, struct failure *failure)
{
        struct channel_message message = { .type = 0 };
        struct process_end end = { .exited = false };
        int fds[CHANNEL_MAX_FDS];
        size_t n = 0;
        int r = process_wait(pidfd, &end);

        if (r >= 0 && (!end.exited || end.status != 0))
                r = end.exited ? -end.status : -EIO;
        if (r >= 0)
                r = channel_receive(channel_fd, 0, &message, fds, CHANNEL_MAX_FDS, &n);
        if (r >= 0 && message.type == API_FAILED)
                return failure_set(failure, message.error, "%s", message.text);
        if (r >= 0)
                r = take_api(run, fds, n);
        return r < 0 ? failure_set(failure, r,
                                   "Cannot mount proc and sysfs of the container from outside: %s.",
                                   error_text(r))
                     : 0;
}

/* Where to go for what is mounted from outside; 0: there is nothing. A network that is not the
 * container's own may not even be entered, though we are there. */
static int api_namespaces(const struct mount_run *run)
{
        int flags = 0;

        for (size_t i = 0; i < run->plan->n_ops; i++) {
                const struct mount_op *op = &run->plan->ops[i];

                if (op->phase == PHASE_MAPPED && is_api(op))
                        flags |= streq(op->type, "sysfs") ? CLONE_NEWNET | CLONE_NEWPID
                                                          : CLONE_NEWPID;
        }
        return flags;
}

int mount_run_map_api(struct mount_run *run, int leader_pidfd, struct failure *failure)
{
        int ours CLEANUP_FD = -1, theirs CLEANUP_FD = -1, pidfd CLEANUP_FD = -1;
        int namespaces = api_namespaces(run), r;
        pid_t pid;

        if (namespaces == 0)
                return 0;
        r = channel_pair(&ours, &theirs);
        if (r < 0)
                return failure_set(failure, r, "Cannot make a channel: %s.", error_text(r));
        pid = process_clone(0, -1, &pidfd);
        if (pid == 0)
                enter_and_send_api(run, leader_pidfd, namespaces, theirs, failure);
        if (pid < 0)
                return failure_set(failure, (int) pid, "Cannot start a process: %s.",
                                   error_text((int) pid));
        theirs = fd_close(theirs);
        return receive_api(run, ours, pidfd, failure);
}

size_t mount_run_get_mapped(const struct mount_run *run, int *fds, size_t max)
{
        size_t n = 0;

        for (size_t i = 0; i < run->plan->n_ops && n < max; i++)
                if (run->plan->ops[i].phase == PHASE_MAPPED && run->fds[i] >= 0)
                        fds[n++] = run->fds[i];
        return n;
}

int mount_run_take_mapped(struct mount_run *run, const int *fds, size_t n)
{
        size_t k = 0;

        for (size_t i = 0; i < run->plan->n_ops; i++)
                if (run->plan->ops[i].phase == PHASE_MAPPED) {
                        if (k == n)
                                return -EPROTO;
                        run->fds[i] = fds[k++];
                }
        return k == n ? 0 : -EPROTO;
}

/* ---- attaching --------------------------------------------------------------------------- */

/*
 * The root goes on top of the host's root and becomes the only one. From then on every path is
 * the container's, and a link in the tree cannot lead anywhere else.
 */
static int attach_root(int fd, const struct mount_op *op, struct failure *failure)
{
        int r = mount_enter_namespace_root();

        if (r >= 0)
                r = mount_make_all_private();
        if (r >= 0)
                r = mount_attach_path(fd, "/");
        if (r >= 0 && fchdir(fd) < 0)
                r = -errno;
        if (r >= 0)
                r = mount_pivot_to_cwd();
        return r < 0 ? failure_set(failure, r, "Cannot make '%s' the root directory: %s.",
                                   op->source, error_text(r))
                     : 0;
}

/* A mount point that is none yet, in one call where that is so. -EEXIST: something is mounted. */
static int open_bare_target(const struct mount_op *op)
{
        int target = root_open_path_same_mount(AT_FDCWD, op->target);
        int r;

        if (target != -EXDEV)
                return target;
        /* Mounted; or the way there leads over a mount, and its end is what counts. */
        target = root_open_path(AT_FDCWD, op->target, ROOT_FOLLOW);
        r = target < 0 ? target : mount_is_root(target);
        if (r == 0)
                return target;
        (void) fd_close(target);
        return r > 0 ? -EEXIST : r;
}

static int open_target(const struct mount_op *op, int fd)
{
        int target =
                op->flags & MOUNT_UNLESS_MOUNTED
                        ? open_bare_target(op)
                        : root_open_path(AT_FDCWD, op->target,
                                         op->flags & MOUNT_NOFOLLOW ? ROOT_NOFOLLOW : ROOT_FOLLOW);
        struct stat st;

        if (target != -ENOENT || !(op->flags & MOUNT_MAKE_TARGET))
                return target;
        if (fd >= 0 && fstat(fd, &st) < 0)
                return -errno;
        if (fd >= 0 && !S_ISDIR(st.st_mode))
                return root_make_file(AT_FDCWD, op->target, 0);
        return root_make_directory(AT_FDCWD, op->target, 0755, 0);
}

/*
 * What the first process opens here it leaves open: before it follows names of the tree, everything
 * is closed at once. 1: attached; 0: it is not needed.
 */
static int attach(int fd, const struct mount_op *op, bool *tree_has_mounts, struct failure *failure)
{
        int target, r;

        /* Inside a file system that we just made nothing is mounted, and nobody set a link. */
        if (op->flags & MOUNT_OWN_TARGET && !*tree_has_mounts) {
                r = mount_attach_path(fd, op->target);
                if (r >= 0)
                        return 1;
                return is_tolerated(op, r) ? 0 : mount_failed(op, r, NULL, failure);
        }
        target = open_target(op, fd);
        r = target;
        if (r == -EEXIST) {
                *tree_has_mounts = true;
                return 0;
        }
        if (r >= 0)
                r = mount_attach(fd, target);
        if (r >= 0)
                return 1;
        if (is_tolerated(op, r))
                return 0;
        if (target < 0)
                return failure_set(
                        failure, r, "Cannot open the mount point '%s' for '%s' (%s): %s.%s",
                        op->target, op->source ? op->source : op->type, op->why, error_text(r),
                        r == -EROFS ? " Create it in the tree before." : "");
        return mount_failed(op, r, NULL, failure);
}

/* With a copy of our own /sys its control groups came along (MOUNT_OR_OURS), and the kernel mounts no
 * file system on itself. */
static int mount_new_on_ours(const struct mount_description *d, const char *target)
{
        int r = mount_new_at(d, target);

        if (r == -EBUSY && mount_detach(target) >= 0)
                r = mount_new_at(d, target);
        return r;
}

/* What needs no look at the host is mounted without detour, where only we have been. */
static int mount_at_once(const struct mount_run *run, const struct mount_op *op,
                         bool *tree_has_mounts, struct failure *failure)
{
        struct mount_description d = describe(op);
        int target, r;

        if (run->options.shares_cgroup && streq(op->type, "cgroup2"))
                d.attributes |= MOUNT_RDONLY;
        if (op->flags & MOUNT_OWN_TARGET && !*tree_has_mounts)
                r = mount_new_on_ours(&d, op->target);
        else {
                target = open_target(op, -1);
                if (target == -EEXIST) {
                        *tree_has_mounts = true;
                        return 0;
                }
                r = target < 0 ? target : fchdir(target) < 0 ? -errno : mount_new_here(&d);
                if (chdir("/") < 0)
                        return mount_failed(op, -errno, NULL, failure);
        }
        return r >= 0 || is_tolerated(op, r) ? 0 : mount_failed(op, r, NULL, failure);
}

/* On a target of the tree, that may be a link or be missing. */
static int bind_on_tree(const struct mount_op *op)
{
        int fd CLEANUP_FD = mount_copy(AT_FDCWD, op->source, MOUNT_ONE);
        int target CLEANUP_FD = -1;
        int r = fd < 0 ? fd : set_up_copy(fd, op);

        if (r < 0)
                return r;
        target = open_target(op, fd);
        return target < 0 ? target : mount_attach(fd, target);
}

static int bind_inside(const struct mount_op *op, struct failure *failure)
{
        int r = op->flags & MOUNT_NOFOLLOW
                        ? bind_on_tree(op)
                        : mount_bind_at(op->source, op->target,
                                        op->flags & MOUNT_INHERITS ? NULL : &op->attributes);

        return r >= 0 || is_tolerated(op, r) ? 0 : mount_failed(op, r, NULL, failure);
}

static int change(const struct mount_op *op, struct failure *failure)
{
        int target = root_open_path(AT_FDCWD, op->target, ROOT_NOFOLLOW);
        int r = target < 0 ? target : set_up_copy(target, op);

        return r < 0 ? failure_set(failure, r, "Cannot change the mount on '%s' (%s): %s.",
                                   op->target, op->why, error_text(r))
                     : 0;
}

/* The node for a target of this kind. Those of devices cannot be made everywhere. */
static int copy_hidden_node(mode_t mode)
{
        static const struct {
                mode_t type;
                const char *path;
        } nodes[] = { { S_IFREG, "/run/host/inaccessible/reg" },
                      { S_IFDIR, "/run/host/inaccessible/dir" },
                      { S_IFIFO, "/run/host/inaccessible/fifo" },
                      { S_IFCHR, "/run/host/inaccessible/chr" },
                      { S_IFBLK, "/run/host/inaccessible/blk" },
                      { S_IFSOCK, "/run/host/inaccessible/sock" } };
        int fd = -ENOENT;

        for (size_t i = 0; i < ARRAY_SIZE(nodes); i++)
                if ((mode & S_IFMT) == nodes[i].type)
                        fd = mount_copy(AT_FDCWD, nodes[i].path, MOUNT_ONE);
        return fd == -ENOENT && !S_ISDIR(mode)
                       ? mount_copy(AT_FDCWD, "/run/host/inaccessible/sock", MOUNT_ONE)
                       : fd;
}

/* What it opens it leaves open, as attach() does. */
static int hide(const struct mount_op *op, struct failure *failure)
{
        int target = root_open_path(AT_FDCWD, op->target, ROOT_FOLLOW), fd, r;
        struct stat st;

        if (target < 0 || fstat(target, &st) < 0) {
                r = target < 0 ? target : -errno;
                return failure_set(failure, r, "Cannot hide '%s' (%s): %s.%s", op->target, op->why,
                                   error_text(r),
                                   r == -ENOENT ? " Only what is there can be hidden; leave the "
                                                  "option out."
                                                : "");
        }
        fd = copy_hidden_node(st.st_mode);
        r = fd < 0 ? fd : set_up_copy(fd, op);
        if (r >= 0)
                r = mount_attach(fd, target);
        return r < 0 ? failure_set(failure, r, "Cannot hide '%s' (%s): %s.", op->target, op->why,
                                   error_text(r))
                     : 0;
}

/* The target is below a file system that only we can write to. */
static int detach(const struct mount_op *op, struct failure *failure)
{
        int r = mount_detach(op->target);

        if (r < 0)
                return failure_set(failure, r, "Cannot unmount '%s' (%s): %s.", op->target, op->why,
                                   error_text(r));
        (void) rmdir(op->target);
        return 0;
}

/* The device nodes that could not be made in the file system that has just been attached. */
static int attach_nodes(struct mount_run *run, size_t index, struct failure *failure)
{
        for (size_t i = 0; i < run->n_nodes; i++) {
                struct bound_node *node = &run->nodes[i];
                char target[64];
                int r;

                if (node->op != index)
                        continue;
                (void) snprintf(target, sizeof(target), "%s/%s", run->plan->ops[index].target,
                                node->path);
                r = mount_attach_path(TAKE_FD(node->fd), target);
                if (r < 0)
                        return failure_set(failure, r,
                                           "Cannot show the device node '%s' of the host inside: "
                                           "%s.",
                                           target, error_text(r));
        }
        return 0;
}

static int attach_op(struct mount_run *run, size_t i, bool *tree_has_mounts,
                     struct failure *failure)
{
        const struct mount_op *op = &run->plan->ops[i];
        int fd = TAKE_FD(run->fds[i]), r;

        if (i == 0)
                return attach_root(fd, op, failure);
        switch (op->kind) {
        case MOUNT_CHANGE:
                return change(op, failure);
        case MOUNT_DETACH:
                return detach(op, failure);
        case MOUNT_HIDE:
                return hide(op, failure);
        case MOUNT_NEW:
                if (op->flags & MOUNT_AT_ONCE)
                        return mount_at_once(run, op, tree_has_mounts, failure);
                break;
        case MOUNT_ROOT:
        case MOUNT_OVERLAY:
        case MOUNT_TREE:
        case MOUNT_OLD_ROOT:
        case MOUNT_LAYERS:
        case MOUNT_BIND:
                break;
        case MOUNT_BIND_INSIDE:
                return bind_inside(op, failure);
        }
        if (fd < 0)
                return failure->error != 0 ? fd : 0;
        r = attach(fd, op, tree_has_mounts, failure);
        return r > 0 ? attach_nodes(run, i, failure) : r;
}

/*
 * In a user namespace the kernel lets proc and sysfs be mounted only while an unobscured one can
 * be seen. The host's is, until the root is attached: so these are built before that.
 */
static int build_inside(struct mount_run *run, struct failure *failure)
{
        for (size_t i = 0; i < run->plan->n_ops; i++) {
                const struct mount_op *op = &run->plan->ops[i];

                if (op->kind != MOUNT_NEW || op->phase != PHASE_INSIDE || op->flags & MOUNT_AT_ONCE)
                        continue;
                run->fds[i] = build_new(op, &run->contexts[i], failure);
                if (run->fds[i] == -EPERM && is_api(op))
                        return MOUNT_API_REFUSED;
                if (run->fds[i] < 0)
                        return run->fds[i];
        }
        return 0;
}

int mount_run_attach(struct mount_run *run, struct failure *failure)
{
        bool tree_has_mounts = false; /* the tree came with one of the API mounts in place */
        int inside = build_inside(run, failure);

        if (inside != 0)
                return inside;
        for (size_t i = 0; i < run->plan->n_ops; i++) {
                int r = attach_op(run, i, &tree_has_mounts, failure);

                if (r < 0)
                        return r;
        }
        return 0;
}
