/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Lists of strings: a NULL-terminated array that owns its strings; NULL is the empty list. */

#define CLEANUP_STRV CLEANUP(cleanup_strv)
#define STRV_FOREACH(item, list) for (char *const *item = (list); item && *item; item++)

char **strv_free(char **list); /* returns NULL */
void cleanup_strv(char ***list);
size_t strv_length(char *const *list);

/* Appends a copy of @text. Returns 0 or -ENOMEM; the list is unchanged on failure. */
int strv_add(char ***list, const char *text);

/* Appends @text itself; takes it, also on failure. */
int strv_add_take(char ***list, char *text);

/* Appends copies of all strings of @other. */
int strv_add_all(char ***list, char *const *other);

/* A copy of the list; NULL if memory ran out or the list is empty. */
char **strv_copy(char *const *list);
/* In the order of strcmp(3). */
void strv_sort(char **list);
bool strv_contains(char *const *list, const char *text);

/*
 * Sets NAME=VALUE in an environment list: an entry of the same name is replaced in place.
 * Returns 0, -EINVAL (@assignment has no '=') or -ENOMEM.
 */
int strv_env_set(char ***list, const char *assignment);

/* The value of @name in an environment list, or NULL. Borrowed. */
const char *strv_env_get(char *const *list, const char *name);

/*
 * Splits @text at any of @separators; empty parts are dropped. Returns 0 or -ENOMEM, and the
 * new list (NULL if there are no parts), which the caller frees.
 */
int strv_split(const char *text, const char *separators, char ***ret_list);

/*
 * Splits @text at @separator, keeping empty parts; "\:" (for separator ':') gives a literal
 * separator and "\\" a backslash. Returns 0, -EINVAL (ends in a lone backslash) or -ENOMEM.
 */
int strv_split_escaped(const char *text, char separator, char ***ret_list);
