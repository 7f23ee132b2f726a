/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Which families of addresses sockets may have (address_families(7)), as
 * --restrict-address-families= says it: words "AF_X" allow, and "~AF_X" deny. Pure.
 */

#define FAMILIES_MAX 64 /* the kernel has not as many */

struct family_set {
        bool restricts;           /* there was a word */
        bool only_listed;         /* a word allows: others are denied */
        uint64_t allowed, denied; /* by number; denied ones are denied, whatever allows them */
};

/* The number of "AF_X", or -EINVAL. */
int family_from_name(const char *name);

/* Name number @i, in the order of the numbers; NULL behind the last one. */
const char *family_name(size_t i);

/* Adds @word. 0, or -EINVAL: there is no such family; @set is unchanged then. */
int family_set_add(struct family_set *set, const char *word);
bool family_set_allows(const struct family_set *set, unsigned family);
