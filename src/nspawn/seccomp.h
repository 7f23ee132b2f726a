/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/filter.h>

#include "basic/failure.h"
#include "basic/macro.h"
#include "basic/strbuf.h"

/*
 * The system call filter, as the launcher sees it: a program of a few hundred instructions that
 * is ready-made for default settings, else comes from the cache or from a helper program. The
 * launcher itself has no libseccomp.
 */

/* Made at build time from default settings. */
extern const struct sock_filter seccomp_default_program[];
extern const unsigned short seccomp_default_length;

/* And with just SECCOMP_NESTING_TERM in addition. */
extern const struct sock_filter seccomp_nesting_program[];
extern const unsigned short seccomp_nesting_length;

struct seccomp_spec {
        uint64_t retained_caps; /* what the payload may have: the bounding set */
        /* As the options gave them: "WORD…" allows, "~WORD…" denies; NULL: none. */
        char *const *terms;
        bool suppress_sync;    /* fsync() and the like do nothing */
        char *const *families; /* words of families.h; NULL: sockets of every family */
};

/* True if the ready-made program is the right one. */
bool seccomp_spec_is_default(const struct seccomp_spec *spec);

/* Adds one line without a line end, for people who ask what would be done. */
void seccomp_describe(const struct seccomp_spec *spec, struct strbuf *out);

struct seccomp_program {
        const struct sock_filter *filter; /* constant, or .owned */
        unsigned short length;            /* in instructions; 0: no program */
        void *owned;
        char **unknown; /* words of the terms that were ignored: worth a warning each */
};

#define SECCOMP_PROGRAM_NULL                                                                       \
        {                                                                                          \
                .filter = NULL                                                                     \
        }
#define CLEANUP_SECCOMP_PROGRAM CLEANUP(seccomp_program_done)

/*
 * Gets the program for @spec. Returns 0 or a negative errno with its sentence in @failure: the
 * helper is missing (-ENOENT), fails, or gives nonsense (-EPROTO). A cache that cannot be used or
 * written is no failure. @ret is the caller's, for seccomp_program_done().
 */
int seccomp_program_get(const struct seccomp_spec *spec, struct seccomp_program *ret,
                        struct failure *failure);
void seccomp_program_done(struct seccomp_program *p);

/*
 * Puts the calling thread and what it starts under the filter, for ever. The caller still needs
 * CAP_SYS_ADMIN then, or -EACCES. -ENOSYS or -EINVAL: the kernel has no filters.
 */
int seccomp_program_install(const struct seccomp_program *p, bool log);

/* Where seccomp_program_get() looks; tests have other places. */
struct seccomp_places {
        const char *helper;   /* absolute path of seccomp-compile */
        const char *cache;    /* absolute path of the cache folder; NULL: no cache */
        uint32_t cache_owner; /* uid that the cache must belong to */
};
int seccomp_program_get_at(const struct seccomp_places *places, const struct seccomp_spec *spec,
                           struct seccomp_program *ret, struct failure *failure);
