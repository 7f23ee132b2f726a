/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <stdarg.h>

#include "basic/macro.h"

/*
 * A growing string. After a failed allocation it stays failed and ignores further appends, so
 * that a long text is checked once, at the end, by strbuf_take() or strbuf_ok().
 */
struct strbuf {
        char *text;
        size_t length, size;
        bool failed;
};

#define STRBUF_NULL                                                                                \
        {                                                                                          \
                .text = NULL                                                                       \
        }
#define CLEANUP_STRBUF CLEANUP(strbuf_done)

void strbuf_done(struct strbuf *b);
void strbuf_add(struct strbuf *b, const char *text);
void strbuf_add_bytes(struct strbuf *b, const void *bytes, size_t n);
void strbuf_addf(struct strbuf *b, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_addv(struct strbuf *b, const char *format, va_list ap) PRINTF_LIKE(2, 0);

static inline bool strbuf_ok(const struct strbuf *b)
{
        return !b->failed;
}

/* The text, never NULL: "" when empty or failed. Borrowed. */
const char *strbuf_text(const struct strbuf *b);

/* Whether all of @text is well-formed UTF-8. */
bool utf8_is_valid(const char *text);

/* Hands the text over (the caller frees it) and empties the buffer; NULL if memory ran out. */
char *strbuf_take(struct strbuf *b);

/* Adds @text as a JSON string with quotes (RFC 8259); bytes that are not UTF-8 become U+FFFD. */
void strbuf_add_json(struct strbuf *b, const char *text);

/* Length of the well-formed UTF-8 sequence at @s (RFC 3629), which ends with a NUL byte; 0 if there
 * is none. */
size_t utf8_length(const unsigned char *s);
