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
        /* Names and values from elsewhere are in it: it stays one line, and no terminal obeys it. */
        for (char *p = failure->text; *p; p++)
                if ((unsigned char) *p < ' ' || *p == 0x7f)
                        *p = '?';
        return error;
}
