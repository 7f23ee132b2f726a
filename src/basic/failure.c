/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/failure.h"

#include <stdio.h>

int failure_set(struct failure *failure, int error, const char *format, ...)
{
        va_list ap;

        if (failure->error != 0)
                return error;
        failure->error = error;
        va_start(ap, format);
        (void) vsnprintf(failure->text, sizeof(failure->text), format, ap);
        va_end(ap);
        return error;
}
