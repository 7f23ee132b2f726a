/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Bytes written as in a C string: \a \b \f \n \r \t \v \\ \" \' and \s (a space); \xHH and
 * \OOO are bytes, also NUL; \uHHHH and \UHHHHHHHH are characters, in UTF-8. All else stands for
 * itself. Returns 0, -ENOMEM or -EINVAL (another escape, or one without its end). @ret has a NUL
 * byte behind its @ret_size bytes; the caller frees it.
 */
int unescape_c(const char *text, char **ret, size_t *ret_size);
