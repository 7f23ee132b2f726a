/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ownership by declaration. A variable that owns something says so where it is declared and is
 * released when it goes out of scope; TAKE_PTR and TAKE_FD hand the thing over and leave the
 * variable empty. NULL and negative file descriptors are the empty values.
 */

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN_OF(a, b) ((a) < (b) ? (a) : (b))
#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

#define CLEANUP(function) __attribute__((cleanup(function)))
#define CLEANUP_FREE CLEANUP(cleanup_free)
#define PRINTF_LIKE(format_index, first) __attribute__((format(printf, format_index, first)))

#define TAKE_PTR(pointer)                                                                          \
        ({                                                                                         \
                __typeof__(pointer) *taken_from_ = &(pointer);                                     \
                __typeof__(pointer) taken_ = *taken_from_;                                         \
                *taken_from_ = NULL;                                                               \
                taken_;                                                                            \
        })

#define TAKE_FD(fd)                                                                                \
        ({                                                                                         \
                int *taken_from_ = &(fd);                                                          \
                int taken_ = *taken_from_;                                                         \
                *taken_from_ = -1;                                                                 \
                taken_;                                                                            \
        })

static inline void cleanup_free(void *pointer)
{
        free(*(void **) pointer);
}

static inline bool streq(const char *a, const char *b)
{
        return strcmp(a, b) == 0;
}

/* The rest of @s after @prefix, or NULL if @s does not begin with it. Borrowed from @s. */
static inline const char *startswith(const char *s, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* Where @suffix begins in @s, or NULL if @s does not end with it. Borrowed from @s. */
static inline const char *endswith(const char *s, const char *suffix)
{
        size_t n = strlen(s), m = strlen(suffix);

        return n >= m && streq(s + n - m, suffix) ? s + n - m : NULL;
}
