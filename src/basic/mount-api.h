/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * The mount calls of Linux 5.2 and later. A mount is built detached, gets its attributes while
 * nobody can see it, and is then attached to a directory that was opened safely: fd to fd.
 * Nothing else in the project calls these system calls, or mount(2).
 */

/* Attributes of a mount, MOUNT_ATTR_* of <linux/mount.h>, in our own names so that callers need
 * no kernel header. */
enum mount_attributes {
        MOUNT_RDONLY = 0x01,
        MOUNT_NOSUID = 0x02,
        MOUNT_NODEV = 0x04,
        MOUNT_NOEXEC = 0x08,
        MOUNT_STRICTATIME = 0x20,
        MOUNT_NOSYMFOLLOW = 0x200000,
};

enum mount_propagation {
        PROPAGATION_KEEP,
        PROPAGATION_PRIVATE,
        PROPAGATION_SLAVE,
        PROPAGATION_SHARED,
};

enum mount_depth { MOUNT_ONE, MOUNT_RECURSIVE };

/* What a new mount is made of. */
struct mount_description {
        const char *type;
        const char *source;  /* shown as the device; NULL: none */
        const char *options; /* comma-separated KEY=VALUE or KEY; NULL: none */
        const char *label;   /* SELinux's, of all files; without quotes; NULL: none */
        unsigned attributes; /* enum mount_attributes */
};

/*
 * A new detached instance of a file system. Returns its descriptor. @ret_context gets the
 * descriptor that it was configured by, which is not needed any more: the caller closes both, so
 * that many can be closed at once. On failure a negative errno, no descriptor, and @why (may be
 * NULL) gets the kernel's own words about it, or "".
 */
int mount_new(const struct mount_description *d, int *ret_context, char *why, size_t why_size);

/* Attributes that the mount at @fd has, of those that a mount of the same files must have, too:
 * MOUNT_NOSUID, MOUNT_NODEV, MOUNT_NOEXEC. A negative errno on failure. */
int mount_get_restrictions(int fd);

/*
 * Makes a file system that mount_new() made read-only: the mount @fd, and what was configured by
 * @context, so that it stays so wherever it is mounted again.
 */
int mount_seal(int fd, int context);

/*
 * As mount_new(), in one call and mounted on the working directory at once: for a mount namespace
 * that nobody else is in, where there is nothing to be hidden while it is built.
 */
int mount_new_here(const struct mount_description *d);

/* The same at @path, which must be inside a file system that the caller made and attached. */
int mount_new_at(const struct mount_description *d, const char *path);

/*
 * Binds @source onto @target, both inside file systems that the caller made and attached. With
 * @attributes not NULL the new mount gets exactly these, else it keeps those of the source's.
 */
int mount_bind_at(const char *source, const char *target, const unsigned *attributes);

/* A detached copy of the mount tree at @path below @dir_fd (@path "" means @dir_fd itself). */
int mount_copy(int dir_fd, const char *path, enum mount_depth depth);

/*
 * An overlay of directories, each given by a descriptor (O_PATH is enough) and so free of races and
 * of characters that would need an escape.
 */
struct mount_overlay {
        const char *source;   /* shown as the device */
        const int *lower_fds; /* topmost first; at least one, and two without an upper one */
        size_t n_lower;
        int upper_fd, work_fd; /* of one mount; -1: none, and the overlay is read-only */
        /* The detached mounts among the layers, or in which they lie: kernels before 6.15 take layers
         * only where they are attached, for which they get a place in a passing mount namespace.
         * They are good for nothing else afterwards. */
        const int *detached_fds;
        size_t n_detached;
        const char *options; /* further ones, as in struct mount_description; NULL: none */
        unsigned attributes; /* enum mount_attributes */
        /* 0; for tests of what older kernels need: how many newer ways to name layers are left out
         * (up to 2), and whether layers have to be attached. */
        unsigned n_ways_less;
        bool attach_layers;
};

/*
 * The overlay as a detached mount; results as those of mount_new(), but @ret_context may get -1.
 * -E2BIG: more layers than this kernel takes.
 */
int mount_new_overlay(const struct mount_overlay *d, int *ret_context, char *why, size_t why_size);

/* Sets @set, clears @clear and sets the propagation of the mount whose root @fd refers to. */
int mount_set_all(int fd, unsigned set, unsigned clear, enum mount_propagation propagation,
                  enum mount_depth depth);

/* Maps the ids of a detached mount tree by the user namespace @userns_fd. -EINVAL: the file
 * system cannot (mount_setattr(2)). */
int mount_set_idmap(int fd, int userns_fd, enum mount_depth depth);

/* Attaches the detached mount @fd onto @target (an O_PATH descriptor), on top of what is there. */
int mount_attach(int fd, int target_fd);

/* The same by path: only for targets inside file systems that the caller made and attached. */
int mount_attach_path(int fd, const char *path);

/* Makes all mounts of the caller's namespace private, so that nothing of it reaches the host. */
int mount_make_all_private(void);

/*
 * Makes the root of the caller's mount namespace its root and working directory. A caller that was
 * started in a chroot would else leave all that lies outside of it within reach of its children
 * (setns(2): joining a mount namespace does this, also the own one). Needs /proc; leaves a
 * close-on-exec descriptor open.
 */
int mount_enter_namespace_root(void);

/*
 * Makes the mount that is the working directory the root of the caller's mount namespace and
 * detaches all that was there before.
 */
int mount_pivot_to_cwd(void);

/* Unmounts the topmost mount at @path below the working directory, at once or when unused. */
int mount_detach(const char *path);

/* Whether @fd is the root of a mount. Returns 1, 0 or a negative errno. */
int mount_is_root(int fd);
