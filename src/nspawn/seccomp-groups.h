/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * The names that the system call filter is made of: constant tables, no library. A list is one
 * string of words with single spaces; a word is a call or, with '@', another group. Names that a
 * kernel, an architecture or libseccomp does not have are meant to be skipped.
 */

/* What a container keeps unless it is told otherwise; the ready-made filter is for these. */
#define SECCOMP_DEFAULT_CAPS UINT64_C(0xfdecafff)

/* The capabilities that have an entry in the table below; other bits do not change the filter.
 * A macro, so that the launcher does not carry the tables; the unit test compares the two. */
#define SECCOMP_CONDITIONAL_CAPS UINT64_C(0x84065b4000)

/*
 * What a container with others inside may call as well: all of it acts on processes and keys of its
 * own ids. request_key() is not in it, because it has the host run a program; nor is bpf(), in which
 * the kernel refuses anyway what a user namespace asks for.
 */
#define SECCOMP_NESTING_TERM "add_key keyctl pidfd_getfd"

/* Long enough for every word of the tables. */
#define SECCOMP_WORD_MAX 64

/* The members of @name, which begins with '@'. A constant string, or NULL if there is no such
 * group. "@known", which is all that libseccomp knows, is not a table and not found here. */
const char *seccomp_group_members(const char *name);

/* The name of group number @i, NULL behind the last one. */
const char *seccomp_group_name(size_t i);

/* What every container may call. */
const char *seccomp_default_members(void);

/* What @capability allows in addition, or NULL. */
const char *seccomp_capability_members(unsigned capability);

/*
 * Copies the next word of *@list to @word, cut to its size, and moves *@list behind it. Returns
 * false at the end. Words are separated by spaces, tabs or line ends.
 */
bool seccomp_next_word(const char **list, char word[SECCOMP_WORD_MAX]);
