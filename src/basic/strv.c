/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/strv.h"

#include <errno.h>

char **strv_free(char **list)
{
        for (size_t i = 0; list && list[i]; i++)
                free(list[i]);
        free(list);
        return NULL;
}

void cleanup_strv(char ***list)
{
        *list = strv_free(*list);
}

size_t strv_length(char *const *list)
{
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

int strv_add_take(char ***list, char *text)
{
        size_t n = strv_length(*list);
        char **grown;

        if (!text)
                return -ENOMEM;
        grown = realloc(*list, (n + 2) * sizeof(char *));
        if (!grown) {
                free(text);
                return -ENOMEM;
        }
        grown[n] = text;
        grown[n + 1] = NULL;
        *list = grown;
        return 0;
}

int strv_add(char ***list, const char *text)
{
        return strv_add_take(list, strdup(text));
}

int strv_add_all(char ***list, char *const *other)
{
        STRV_FOREACH(item, other)
        {
                int r = strv_add(list, *item);

                if (r < 0)
                        return r;
        }
        return 0;
}

char **strv_copy(char *const *list)
{
        char **copy = NULL;

        if (strv_add_all(&copy, list) < 0)
                return strv_free(copy);
        return copy;
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *) a, *(char *const *) b);
}

void strv_sort(char **list)
{
        if (list)
                qsort(list, strv_length(list), sizeof(*list), compare);
}

bool strv_contains(char *const *list, const char *text)
{
        STRV_FOREACH(item, list)
        if (streq(*item, text))
                return true;
        return false;
}

int strv_env_set(char ***list, const char *assignment)
{
        const char *equals = strchr(assignment, '=');
        char *copy;

        if (!equals)
                return -EINVAL;
        for (size_t i = 0; *list && (*list)[i]; i++) {
                if (strncmp((*list)[i], assignment, (size_t) (equals - assignment) + 1) != 0)
                        continue;
                copy = strdup(assignment);
                if (!copy)
                        return -ENOMEM;
                free((*list)[i]);
                (*list)[i] = copy;
                return 0;
        }
        return strv_add(list, assignment);
}

const char *strv_env_get(char *const *list, const char *name)
{
        size_t n = strlen(name);

        STRV_FOREACH(item, list)
        if (strncmp(*item, name, n) == 0 && (*item)[n] == '=')
                return *item + n + 1;
        return NULL;
}

int strv_split(const char *text, const char *separators, char ***ret_list)
{
        char **list CLEANUP_STRV = NULL;

        while (*text) {
                size_t n = strcspn(text, separators);
                int r = n > 0 ? strv_add_take(&list, strndup(text, n)) : 0;

                if (r < 0)
                        return r;
                text += n;
                if (*text)
                        text++;
        }
        *ret_list = TAKE_PTR(list);
        return 0;
}

int strv_split_escaped(const char *text, char separator, char ***ret_list)
{
        char **list CLEANUP_STRV = NULL;
        char *part CLEANUP_FREE = malloc(strlen(text) + 1);
        size_t n = 0;

        if (!part)
                return -ENOMEM;
        for (const char *p = text;; p++) {
                if (*p == '\\' && (p[1] == separator || p[1] == '\\')) {
                        part[n++] = *++p;
                        continue;
                }
                if (*p == '\\' && p[1] == '\0')
                        return -EINVAL;
                if (*p && *p != separator) {
                        part[n++] = *p;
                        continue;
                }
                if (strv_add_take(&list, strndup(part, n)) < 0)
                        return -ENOMEM;
                n = 0;
                if (!*p)
                        break;
        }
        *ret_list = TAKE_PTR(list);
        return 0;
}
