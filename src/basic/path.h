/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

static inline bool path_is_absolute(const char *path)
{
        return path[0] == '/';
}

/* No empty, "." or ".." component, and not longer than the kernel takes. */
bool path_is_normalized(const char *path);

/* True if @path is @ancestor or below it; both absolute and normalized. */
bool path_is_below(const char *path, const char *ancestor);

/* The last component; "/" for the root. Borrowed from @path. */
const char *path_basename(const char *path);

/*
 * An absolute path without doubled, trailing or "." components; relative paths are taken from
 * the working directory. Symbolic links are not looked at. The caller frees it.
 * Returns 0, -EINVAL (empty), -ENAMETOOLONG, -ENOMEM or what getcwd() gave.
 */
int path_make_absolute(const char *path, char **ret);

/* The path of one of our own programs: in LIBEXECDIR, or in $STEAD_LIBEXECDIR for a build that is not
 * installed. As path_join(). */
char *path_of_program(const char *name);

/* @directory "/" @name without a doubled slash; the caller frees it, NULL when memory runs out. */
char *path_join(const char *directory, const char *name);
