/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* 128-bit identifiers: machine ids, boot ids, container uuids (machine-id(5), RFC 9562). */
struct id128 {
        uint8_t bytes[16];
};

#define ID128_TEXT_SIZE 37 /* dashed form and NUL */

/* 32 hexadecimal digits, or the dashed form of 36 characters. Returns 0 or -EINVAL. */
int id128_parse(const char *text, struct id128 *ret);

bool id128_is_null(const struct id128 *id);

/* "01234567-89ab-cdef-0123-456789abcdef" */
void id128_to_uuid(const struct id128 *id, char text[ID128_TEXT_SIZE]);

/* 32 digits without dashes */
void id128_to_plain(const struct id128 *id, char text[ID128_TEXT_SIZE]);

/* A random (version 4) UUID. Returns 0 or a negative errno. */
int id128_random(struct id128 *ret);
