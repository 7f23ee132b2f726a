/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/mount-api.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/channel.h"
#include "basic/fd.h"
#include "basic/process.h"

/* glibc 2.36 has the new calls in <sys/mount.h>; the wrappers set errno. */

static_assert(MOUNT_ATTR_RDONLY == MOUNT_RDONLY && MOUNT_ATTR_NOSUID == MOUNT_NOSUID &&
                      MOUNT_ATTR_NODEV == MOUNT_NODEV && MOUNT_ATTR_NOEXEC == MOUNT_NOEXEC &&
                      MOUNT_ATTR_STRICTATIME == MOUNT_STRICTATIME &&
                      MOUNT_ATTR_NOSYMFOLLOW == MOUNT_NOSYMFOLLOW,
              "our names have the kernel's values");

/* The kernel's last message about @fs_fd, without its level prefix ("e tmpfs: …"). */
static void read_kernel_words(int fs_fd, char *why, size_t size)
{
        ssize_t n;

        if (!why || size == 0)
                return;
        n = read(fs_fd, why, size - 1);
        if (n < 2) {
                why[0] = '\0';
                return;
        }
        why[n] = '\0';
        why[strcspn(why, "\n")] = '\0';
        memmove(why, why + 2, strlen(why + 2) + 1);
}

static int set_option(int fs_fd, char *option)
{
        char *equals = strchr(option, '=');

        if (!equals)
                return fsconfig(fs_fd, FSCONFIG_SET_FLAG, option, NULL, 0);
        *equals = '\0';
        return fsconfig(fs_fd, FSCONFIG_SET_STRING, option, equals + 1, 0);
}

static int set_options(int fs_fd, const char *options)
{
        char copy[4096], *rest = copy, *option;

        if (!options)
                return 0;
        if (strlen(options) >= sizeof(copy)) {
                errno = E2BIG;
                return -1;
        }
        memcpy(copy, options, strlen(options) + 1);
        while ((option = strsep(&rest, ",")))
                if (*option && set_option(fs_fd, option) < 0)
                        return -1;
        return 0;
}

int mount_new(const struct mount_description *d, int *ret_context, char *why, size_t why_size)
{
        int fs_fd CLEANUP_FD = fsopen(d->type, FSOPEN_CLOEXEC);
        int fd;

        if (why && why_size)
                why[0] = '\0';
        if (fs_fd < 0)
                return -errno;
        if ((d->source && fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", d->source, 0) < 0) ||
            set_options(fs_fd, d->options) < 0 ||
            (d->label && fsconfig(fs_fd, FSCONFIG_SET_STRING, "context", d->label, 0) < 0) ||
            fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
                int error = -errno;

                read_kernel_words(fs_fd, why, why_size);
                return error;
        }
        fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, d->attributes);
        if (fd < 0)
                return -errno;
        *ret_context = TAKE_FD(fs_fd);
        return fd;
}

int mount_seal(int fd, int context)
{
        if (fsconfig(context, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
            fsconfig(context, FSCONFIG_CMD_RECONFIGURE, NULL, NULL, 0) < 0)
                return -errno;
        return mount_set_all(fd, MOUNT_RDONLY, 0, PROPAGATION_KEEP, MOUNT_ONE);
}

/* ---- overlays ---------------------------------------------------------------------------- */

/* How kernels take the layers of an overlay, the newest way first. */
enum overlay_form {
        OVERLAY_BY_FD,   /* Linux 6.13: descriptors */
        OVERLAY_BY_PATH, /* Linux 6.7: one option for each layer */
        OVERLAY_BY_LIST, /* all lower layers in one option */
        N_OVERLAY_FORMS,
};

/* Without the new interface a value has at most 255 characters (fsconfig(2)). */
#define OVERLAY_LIST_MAX 256

/* Names of descriptors, relative to /proc/self/fd: the shortest that there are. */
static int overlay_lower_list(const struct mount_overlay *d, int fs_fd)
{
        char list[OVERLAY_LIST_MAX];
        size_t n = 0;

        for (size_t i = 0; i < d->n_lower; i++) {
                int added =
                        snprintf(list + n, sizeof(list) - n, "%s%d", i ? ":" : "", d->lower_fds[i]);

                if ((size_t) added >= sizeof(list) - n) {
                        errno = E2BIG;
                        return -1;
                }
                n += (size_t) added;
        }
        return fsconfig(fs_fd, FSCONFIG_SET_STRING, "lowerdir", list, 0);
}

static int overlay_layer(int fs_fd, enum overlay_form form, const char *key, int fd)
{
        char name[32];

        if (form == OVERLAY_BY_FD)
                return fsconfig(fs_fd, FSCONFIG_SET_FD, key, NULL, fd);
        (void) snprintf(name, sizeof(name), form == OVERLAY_BY_PATH ? "/proc/self/fd/%d" : "%d",
                        fd);
        return fsconfig(fs_fd, FSCONFIG_SET_STRING, key, name, 0);
}

static int overlay_layers(const struct mount_overlay *d, int fs_fd, enum overlay_form form)
{
        if (form == OVERLAY_BY_LIST && overlay_lower_list(d, fs_fd) < 0)
                return -1;
        for (size_t i = 0; form != OVERLAY_BY_LIST && i < d->n_lower; i++)
                if (overlay_layer(fs_fd, form, "lowerdir+", d->lower_fds[i]) < 0)
                        return -1;
        if (d->upper_fd < 0)
                return 0;
        if (overlay_layer(fs_fd, form, "upperdir", d->upper_fd) < 0)
                return -1;
        return overlay_layer(fs_fd, form, "workdir", d->work_fd);
}

/* 0, or a negative errno with the kernel's words in @why. */
static int overlay_configure(const struct mount_overlay *d, int fs_fd, enum overlay_form form,
                             char *why, size_t why_size)
{
        int error;

        if (overlay_layers(d, fs_fd, form) >= 0 && set_options(fs_fd, d->options) >= 0 &&
            (!d->source || fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", d->source, 0) >= 0) &&
            fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) >= 0)
                return 0;
        error = -errno;
        read_kernel_words(fs_fd, why, why_size);
        return error;
}

/* The list is looked up from the working directory, which is lent for that. */
static int overlay_configure_by_list(const struct mount_overlay *d, int fs_fd, char *why,
                                     size_t why_size)
{
        int cwd CLEANUP_FD = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        int r;

        if (cwd < 0 || chdir("/proc/self/fd") < 0)
                return -errno;
        r = overlay_configure(d, fs_fd, OVERLAY_BY_LIST, why, why_size);
        return fchdir(cwd) < 0 ? -errno : r;
}

static int overlay_build(const struct mount_overlay *d, int *ret_context, char *why,
                         size_t why_size)
{
        int r = -EINVAL;

        for (unsigned form = d->n_ways_less; form < N_OVERLAY_FORMS; form++) {
                int fs_fd CLEANUP_FD = fsopen("overlay", FSOPEN_CLOEXEC);
                int fd;

                if (fs_fd < 0)
                        return -errno;
                r = form == OVERLAY_BY_LIST ? overlay_configure_by_list(d, fs_fd, why, why_size)
                                            : overlay_configure(d, fs_fd, form, why, why_size);
                /* An older way may do; else the last one says what is wrong. Before Linux 6.5 overlays
                 * did not know fsconfig(2) with descriptors at all: that is EOPNOTSUPP. */
                if (r == -EINVAL || r == -EBADF || r == -EOPNOTSUPP)
                        continue;
                if (r < 0)
                        return r;
                fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, d->attributes);
                if (fd < 0)
                        return -errno;
                *ret_context = TAKE_FD(fs_fd);
                return fd;
        }
        return r;
}

/* In a process and mount namespace that are only for this. */
static _Noreturn void overlay_build_apart(const struct mount_overlay *d, int channel_fd)
{
        struct channel_message message = { .type = 0 };
        int context = -1, fd = -1;
        int r = mount_make_all_private();

        /* Where to is all the same: they are used by their descriptors. But the next one lies on the
         * one before, and a copy of a mount that the host shares would pass it on to the host. */
        for (size_t i = 0; r >= 0 && i < d->n_detached; i++) {
                r = mount_set_all(d->detached_fds[i], 0, 0, PROPAGATION_PRIVATE, MOUNT_RECURSIVE);
                if (r >= 0)
                        r = mount_attach_path(d->detached_fds[i], "/");
        }
        if (r >= 0)
                r = fd = overlay_build(d, &context, message.text, sizeof(message.text));
        message.error = MIN_OF(r, 0);
        r = channel_send(channel_fd, &message, &fd, fd >= 0 ? 1 : 0);
        _exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
}

static int overlay_build_in_namespace(const struct mount_overlay *d, char *why, size_t why_size)
{
        int ours CLEANUP_FD = -1, theirs CLEANUP_FD = -1, pidfd CLEANUP_FD = -1;
        struct channel_message message;
        struct process_end end;
        size_t n = 0;
        int fd = -1, r = channel_pair(&ours, &theirs);
        pid_t pid;

        if (r < 0)
                return r;
        pid = process_clone(CLONE_NEWNS, -1, &pidfd);
        if (pid == 0)
                overlay_build_apart(d, theirs);
        if (pid < 0)
                return (int) pid;
        theirs = fd_close(theirs);
        r = channel_receive(ours, -1, &message, &fd, 1, &n);
        if (r < 0)
                process_kill_child(pid, pidfd);
        (void) process_wait(pidfd, &end);
        if (r < 0)
                return r;
        if (n == 0 && why && why_size > 0)
                (void) snprintf(why, why_size, "%s", message.text);
        if (n > 0 && message.error == 0)
                return fd;
        (void) fd_close(fd);
        return message.error < 0 ? message.error : -EPROTO;
}

int mount_new_overlay(const struct mount_overlay *d, int *ret_context, char *why, size_t why_size)
{
        int fd;

        if (why && why_size)
                why[0] = '\0';
        *ret_context = -1;
        fd = d->attach_layers ? -EINVAL : overlay_build(d, ret_context, why, why_size);
        return fd == -EINVAL && d->n_detached > 0 ? overlay_build_in_namespace(d, why, why_size)
                                                  : fd;
}

int mount_get_restrictions(int fd)
{
        struct statvfs st;

        if (fstatvfs(fd, &st) < 0)
                return -errno;
        return ((st.f_flag & ST_NOSUID) ? MOUNT_NOSUID : 0) |
               ((st.f_flag & ST_NODEV) ? MOUNT_NODEV : 0) |
               ((st.f_flag & ST_NOEXEC) ? MOUNT_NOEXEC : 0);
}

/* ---- what is mounted by path ------------------------------------------------------------- */

/* Attributes as mount(2) takes them. */
static unsigned long mount_flags(unsigned attributes)
{
        static const struct {
                unsigned attribute;
                unsigned long flag;
        } flags[] = { { MOUNT_RDONLY, MS_RDONLY },
                      { MOUNT_NOSUID, MS_NOSUID },
                      { MOUNT_NODEV, MS_NODEV },
                      { MOUNT_NOEXEC, MS_NOEXEC },
                      { MOUNT_STRICTATIME, MS_STRICTATIME },
                      { MOUNT_NOSYMFOLLOW, MS_NOSYMFOLLOW } };
        unsigned long set = 0;

        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (attributes & flags[i].attribute)
                        set |= flags[i].flag;
        return set;
}

int mount_new_at(const struct mount_description *d, const char *path)
{
        char *labelled CLEANUP_FREE = NULL;

        /* A label may have commas, which quotes keep from separating options. */
        if (d->label && asprintf(&labelled, "%s%scontext=\"%s\"", d->options ? d->options : "",
                                 d->options ? "," : "", d->label) < 0)
                return -ENOMEM;
        return mount(d->source, path, d->type, mount_flags(d->attributes),
                     d->label ? labelled : d->options) < 0
                       ? -errno
                       : 0;
}

int mount_new_here(const struct mount_description *d)
{
        return mount_new_at(d, ".");
}

int mount_bind_at(const char *source, const char *target, const unsigned *attributes)
{
        if (mount(source, target, NULL, MS_BIND, NULL) < 0)
                return -errno;
        if (attributes &&
            mount(NULL, target, NULL, MS_REMOUNT | MS_BIND | mount_flags(*attributes), NULL) < 0)
                return -errno;
        return 0;
}

int mount_copy(int dir_fd, const char *path, enum mount_depth depth)
{
        int fd = open_tree(dir_fd, path,
                           OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
                                   (*path ? 0U : (unsigned) AT_EMPTY_PATH) |
                                   (depth == MOUNT_RECURSIVE ? (unsigned) AT_RECURSIVE : 0U));

        return fd < 0 ? -errno : fd;
}

static int set_attr(int fd, struct mount_attr *attr, enum mount_depth depth)
{
        int flags = AT_EMPTY_PATH | (depth == MOUNT_RECURSIVE ? AT_RECURSIVE : 0);

        return mount_setattr(fd, "", flags, attr, sizeof(*attr)) < 0 ? -errno : 0;
}

int mount_set_all(int fd, unsigned set, unsigned clear, enum mount_propagation propagation,
                  enum mount_depth depth)
{
        static const uint64_t kernel_values[] = {
                [PROPAGATION_KEEP] = 0,
                [PROPAGATION_PRIVATE] = MS_PRIVATE,
                [PROPAGATION_SLAVE] = MS_SLAVE,
                [PROPAGATION_SHARED] = MS_SHARED,
        };
        struct mount_attr attr = { .attr_set = set,
                                   .attr_clr = clear,
                                   .propagation = kernel_values[propagation] };

        /* The access time modes are one field: to set one, the field is cleared as a whole. */
        if (set & MOUNT_STRICTATIME)
                attr.attr_clr |= MOUNT_ATTR__ATIME;
        return set_attr(fd, &attr, depth);
}

int mount_set_idmap(int fd, int userns_fd, enum mount_depth depth)
{
        struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP,
                                   .userns_fd = (uint64_t) userns_fd };

        return set_attr(fd, &attr, depth);
}

int mount_attach(int fd, int target_fd)
{
        if (move_mount(fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
            0)
                return -errno;
        return 0;
}

int mount_attach_path(int fd, const char *path)
{
        return move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0 ? -errno : 0;
}

int mount_make_all_private(void)
{
        return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ? -errno : 0;
}

int mount_enter_namespace_root(void)
{
        /* Left open for the exec to close, with all that the caller has open. */
        int fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);

        return fd < 0 || setns(fd, CLONE_NEWNS) < 0 ? -errno : 0;
}

int mount_pivot_to_cwd(void)
{
        /* With "." twice the old root ends up on top of the new one, at the same place, and the
         * working directory is the old one: the next unmount takes just that (pivot_root(2)). */
        if (syscall(SYS_pivot_root, ".", ".") < 0)
                return -errno;
        if (umount2(".", MNT_DETACH) < 0)
                return -errno;
        return chdir("/") < 0 ? -errno : 0;
}

int mount_detach(const char *path)
{
        return umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 ? -errno : 0;
}

int mount_is_root(int fd)
{
        struct statx sx;

        if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, 0, &sx) < 0)
                return -errno;
        return !!(sx.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}
