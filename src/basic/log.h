/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Messages for people, on standard error. Libraries do not log above debug: the one who knows the
 * object's name logs, once. A message says what failed, on what, why, and what to do.
 */

#include <stdarg.h>

#include "basic/macro.h"

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARNING,
        LOG_LEVEL_NOTICE,
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG
};

/* The level up to which messages are written; notice and info are what --quiet hides. */
void log_set_level(enum log_level level);

/* Writes one message in one write(2). The text needs no line end. */
void log_message(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);
void log_message_v(enum log_level level, const char *format, va_list ap) PRINTF_LIKE(2, 0);

/* Writes an error and returns @error (a negative errno), for `return log_error(r, …)`. */
int log_error(int error, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_warning(...) log_message(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_message(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_message(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_message(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* errno in words for a negative errno. Points to a constant string. */
const char *error_text(int error);
