/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/* Writes all of it, retrying short and interrupted writes. Returns 0 or a negative errno. */
int write_all(int fd, const void *data, size_t n);

/*
 * Reads from @fd until its end. More than @max bytes are -EFBIG. The result has a NUL byte behind
 * its @ret_size bytes; the caller frees it. @ret_size may be NULL.
 */
int read_all(int fd, size_t max, char **ret, size_t *ret_size);

/* As read_all(), for a regular file, kernel file or the like at @path below @dir_fd or AT_FDCWD. */
int read_file_at(int dir_fd, const char *path, size_t max, char **ret, size_t *ret_size);

/* Reads what one read(2) gives of a kernel file into @buffer, with a NUL byte. No allocation. */
int read_text_at(int dir_fd, const char *path, char *buffer, size_t size);

/* Reads a small file into @buffer, with a NUL byte and without a final line end. No allocation. */
int read_line_at(int dir_fd, const char *path, char *buffer, size_t size);

/*
 * Writes @text to the existing file @path in one write(2), as kernel files want it.
 * Returns 0 or a negative errno (of open or write).
 */
int write_file_at(int dir_fd, const char *path, const char *text);

/* Creates the new file @path with exactly @mode and @text. -EEXIST if it exists. */
int create_file_at(int dir_fd, const char *path, mode_t mode, const char *text);

/* The same with @n bytes. */
int create_file_bytes_at(int dir_fd, const char *path, mode_t mode, const void *data, size_t n);

/*
 * Puts a file with exactly @mode and @text in the place of @name below @dir_fd: whoever opens it
 * gets the old one or the new one, whole. Who is killed meanwhile may leave a file behind whose
 * name begins with ".#" and @name; the owner of the directory removes such. @name has no slash.
 */
int replace_file_at(int dir_fd, const char *name, mode_t mode, const char *text);

/* Creates a directory and any missing parents (mode @mode); existing ones are fine. */
int make_directories(const char *path, mode_t mode);
