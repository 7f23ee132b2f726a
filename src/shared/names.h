/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Names that several programs must agree on. All of this is pure. */

#define MACHINE_NAME_MAX 64
#define UNIT_NAME_LENGTH_MAX 255

/*
 * A host name: labels of letters, digits and '-' between dots; no empty label, none that begins
 * or ends with '-', at most 64 bytes. Machine names are host names.
 */
bool hostname_is_valid(const char *name);
bool machine_name_is_valid(const char *name);

/*
 * Makes a machine name of any text, such as the name of a directory: what is not allowed is left
 * out, the rest is cut off at 64 bytes. The result may be empty.
 */
void machine_name_clean_up(const char *text, char ret[MACHINE_NAME_MAX + 1]);

/* @text as a part of a unit name: "a-b/c" is "a\x2db-c". The caller frees it; NULL: no memory. */
char *unit_name_escape(const char *text);

/*
 * "machine-ESCAPED.scope"; the caller frees it. Returns 0, -ENAMETOOLONG (a long name with many
 * characters that need escaping) or -ENOMEM.
 */
int machine_scope_name(const char *machine, char **ret);

/* "a-b.slice": no empty part between dashes; "-.slice" is the root. */
bool slice_name_is_valid(const char *name);

/* What --slice= takes: "foo" is "foo.slice", other characters are escaped. The caller frees it.
 * Returns 0, -EINVAL or -ENOMEM. */
int slice_name_mangle(const char *text, char **ret);

/*
 * Where a slice's group is: "a-b.slice" is "a.slice/a-b.slice", "-.slice" is "". The caller frees
 * it. Returns 0, -EINVAL or -ENOMEM.
 */
int slice_path(const char *slice, char **ret);

/* The name of a group for @name; those that the kernel could use itself ("memory.slice" looks
 * like a file of the controller) get a '_' in front. The caller frees it; NULL: no memory. */
char *cgroup_name_escape(const char *name);
