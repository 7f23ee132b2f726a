/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include "basic/macro.h"

/*
 * A failure with its sentence: which step, on which object, why, what to do. The function that
 * knows the object fills it in, once; everybody above passes the error number on, and the program
 * prints the text. It also is what a child sends to its parent.
 */
struct failure {
        int error; /* a negative errno; 0: nothing failed */
        char text[960];
};

/* Keeps the first sentence: a later one is a consequence. Control characters in what is quoted
 * become '?'. Returns @error. */
int failure_set(struct failure *failure, int error, const char *format, ...) PRINTF_LIKE(3, 4);
