/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* The one mutable variable outside a function: every program has exactly one log level. */
static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
        max_level = level;
}

void log_message_v(enum log_level level, const char *format, va_list ap)
{
        char line[2048];
        int saved = errno;
        size_t n;
        int r;

        if (level > max_level)
                return;
        r = vsnprintf(line, sizeof(line) - 1, format, ap);
        if (r < 0)
                return;
        n = MIN_OF((size_t) r, sizeof(line) - 2);
        /* As in failures: names from elsewhere may be in it, and no terminal obeys them. */
        /* cppcheck-suppress knownConditionTrueFalse ; it does not see what vsnprintf() returns */
        for (size_t i = 0; i < n; i++)
                if ((unsigned char) line[i] < ' ' || line[i] == 0x7f)
                        line[i] = '?';
        line[n++] = '\n';
        /* A message that cannot be written has nobody to be reported to. */
        (void) !write(STDERR_FILENO, line, n);
        errno = saved;
}

void log_message(enum log_level level, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        log_message_v(level, format, ap);
        va_end(ap);
}

int log_error(int error, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        log_message_v(LOG_LEVEL_ERROR, format, ap);
        va_end(ap);
        return error;
}

const char *error_text(int error)
{
        const char *text = strerrordesc_np(error < 0 ? -error : error);

        return text ? text : "Unknown error";
}
