/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/filter.h>

#include "basic/macro.h"
#include "nspawn/families.h"

/*
 * Makes the filter program of a container. Linked by the generator (at build time) and by the
 * helper program, never by the launcher: it needs libseccomp for the names of the calls.
 *
 * One program serves all architectures that the host runs. In order:
 *   another architecture       allowed
 *   a call libseccomp does not know   ENOSYS, so that C libraries try their fall-back
 *   known, but not allowed     EPERM
 *   socket(AF_NETLINK, *, NETLINK_AUDIT)   EAFNOSUPPORT, so that audit clients think that the
 *                              kernel has no audit; only where socket is a call of its own
 */
struct seccomp_build_input {
        uint32_t native; /* SCMP_ARCH_*: the host's; 0 means that of this build */
        uint64_t retained_caps;
        /* Each one is "WORD…" to allow, or "~WORD…" to deny; a word is a call, a "@group" or
         * "@known". Denied calls are denied, whatever allows them elsewhere. NULL: none. */
        char *const *terms;
        /* fsync() and the like do nothing, and succeed; opens with O_SYNC or O_DSYNC get EINVAL, and
         * openat2() ENOSYS. */
        bool suppress_sync;
        /* What socket() may be called for; others get EAFNOSUPPORT. With a restriction the ways around
         * it are closed, too: socketcall() for a socket, and io_uring_setup(). */
        struct family_set families;
};

/*
 * Returns 0, -ENOMEM, -E2BIG (longer than the kernel takes) or -EDOM (libseccomp does not know
 * the architecture). Words that are neither a call nor a group are ignored and listed in
 * @ret_unknown. The caller frees @ret_filter, and @ret_unknown with strv_free().
 */
int seccomp_build(const struct seccomp_build_input *input, struct sock_filter **ret_filter,
                  unsigned short *ret_length, char ***ret_unknown);
