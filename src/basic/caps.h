/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Sets of capabilities as bit masks: bit N is capability number N of capabilities(7). */
#define CAPS_ALL UINT64_MAX

/* "CAP_CHOWN,CAP_KILL" or "all". Returns 0 or -EINVAL; @ret_bad (may be NULL) points at the first
 * unknown name in @text. */
int caps_parse(const char *text, uint64_t *ret, const char **ret_bad);

/* "CAP_CHOWN" for 0 and so on, NULL for numbers without a name. A constant string. */
const char *cap_name(unsigned number);

/* The caller's effective capabilities; none if they cannot be read. */
uint64_t caps_effective(void);

/* Drops all that is not in @keep from the bounding set. */
int caps_limit_bounding(uint64_t keep);

/* Adds @set to the ambient set; each has to be permitted and inheritable. */
int caps_raise_ambient(uint64_t set);

/* Sets effective, permitted and inheritable; bits that the caller does not have are left out. */
int caps_set(uint64_t effective, uint64_t permitted, uint64_t inheritable);
