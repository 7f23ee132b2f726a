/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * Everything below a container's root is reached through these functions and openat2(2), so that
 * no symbolic link, ".." or magic link in the tree leads out of it, also while somebody changes
 * the tree. @path may be absolute: it is taken from @root_fd; it has no slash at its end. -EAGAIN races are retried here.
 */

/* openat2() with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS. O_CLOEXEC is added. */
int root_open(int root_fd, const char *path, int flags, mode_t mode);

/* An O_PATH descriptor of @path; with @nofollow a link at its end is not followed. */
enum root_follow { ROOT_FOLLOW, ROOT_NOFOLLOW };
int root_open_path(int root_fd, const char *path, enum root_follow follow);

/* The same, following links, but -EXDEV if anything on the way is on another mount. */
int root_open_path_same_mount(int root_fd, const char *path);

/*
 * @path below @dir_fd, without following any link, and without leaving the mount (-EXDEV): for walks
 * through trees, where a name is what readdir() said. "." is @dir_fd itself, opened again.
 */
int root_open_below(int dir_fd, const char *path, int flags);

/* What @fd (O_PATH) refers to, opened for more, whatever its name leads to by now. Only for regular
 * files and directories: opening others can do things. */
int fd_open_again(int fd, int flags);

/*
 * Makes @path a directory, creating missing parents with mode 0755 and owner @uid; an existing
 * directory is left as it is. Returns an O_PATH descriptor of it, or a negative errno.
 */
int root_make_directory(int root_fd, const char *path, mode_t mode, uid_t uid);

/* The same for an empty regular file as a mount point (mode 0644); existing things stay. */
int root_make_file(int root_fd, const char *path, uid_t uid);

/*
 * Opens the parent directory of @path (O_PATH) and gives its last component, borrowed from @path.
 * -EINVAL for the root itself or a last component of "." or "..".
 */
int root_open_parent(int root_fd, const char *path, const char **ret_name);

/*
 * Opens a regular file for reading or writing (@flags). What is not one is not opened at all, since
 * already the opening of a device or FIFO can do things: -EBADF. @follow is for a link at the end.
 */
int root_open_regular(int root_fd, const char *path, int flags, enum root_follow follow);

/* Whole content of a file of the guest, at most @max bytes (else -EFBIG), with a NUL byte behind;
 * the caller frees it. @ret_size may be NULL. */
int root_read_file(int root_fd, const char *path, size_t max, char **ret, size_t *ret_size);
