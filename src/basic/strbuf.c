/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/strbuf.h"

#include <stdio.h>

void strbuf_done(struct strbuf *b)
{
        free(b->text);
        *b = (struct strbuf) STRBUF_NULL;
}

static bool strbuf_reserve(struct strbuf *b, size_t extra)
{
        size_t need = b->length + extra + 1;
        char *grown;

        if (b->failed)
                return false;
        if (need <= b->size)
                return true;
        need = MAX_OF(need, b->size * 2);
        grown = realloc(b->text, need);
        if (!grown) {
                b->failed = true;
                return false;
        }
        b->text = grown;
        b->size = need;
        return true;
}

void strbuf_add_bytes(struct strbuf *b, const void *bytes, size_t n)
{
        if (!strbuf_reserve(b, n))
                return;
        memcpy(b->text + b->length, bytes, n);
        b->length += n;
        b->text[b->length] = '\0';
}

void strbuf_add(struct strbuf *b, const char *text)
{
        strbuf_add_bytes(b, text, strlen(text));
}

void strbuf_addv(struct strbuf *b, const char *format, va_list ap)
{
        va_list again;
        int n;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, format, again);
        va_end(again);
        if (n < 0) {
                b->failed = true;
                return;
        }
        if (!strbuf_reserve(b, (size_t) n))
                return;
        (void) vsnprintf(b->text + b->length, (size_t) n + 1, format, ap);
        b->length += (size_t) n;
}

void strbuf_addf(struct strbuf *b, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        strbuf_addv(b, format, ap);
        va_end(ap);
}

const char *strbuf_text(const struct strbuf *b)
{
        return b->text && !b->failed ? b->text : "";
}

char *strbuf_take(struct strbuf *b)
{
        char *text;

        if (!strbuf_reserve(b, 0)) {
                strbuf_done(b);
                return NULL;
        }
        if (b->length == 0)
                b->text[0] = '\0';
        text = b->text;
        *b = (struct strbuf) STRBUF_NULL;
        return text;
}

size_t utf8_length(const unsigned char *s)
{
        static const struct {
                size_t n;
                uint32_t min;
                unsigned char mask, lead;
        } forms[] = { { 1, 0, 0x80, 0x00 },
                      { 2, 0x80, 0xe0, 0xc0 },
                      { 3, 0x800, 0xf0, 0xe0 },
                      { 4, 0x10000, 0xf8, 0xf0 } };

        for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
                uint32_t c = s[0] & (unsigned char) ~forms[f].mask;

                if ((s[0] & forms[f].mask) != forms[f].lead)
                        continue;
                for (size_t i = 1; i < forms[f].n; i++) {
                        if ((s[i] & 0xc0) != 0x80)
                                return 0;
                        c = c << 6 | (s[i] & 0x3fU);
                }
                if (c < forms[f].min || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
                        return 0;
                return forms[f].n;
        }
        return 0;
}

bool utf8_is_valid(const char *text)
{
        const unsigned char *s = (const unsigned char *) text;

        while (*s) {
                size_t n = utf8_length(s);

                if (n == 0)
                        return false;
                s += n;
        }
        return true;
}

void strbuf_add_json(struct strbuf *b, const char *text)
{
        const unsigned char *s = (const unsigned char *) text;

        strbuf_add(b, "\"");
        while (*s) {
                size_t n = utf8_length(s);

                if (*s == '"' || *s == '\\')
                        strbuf_addf(b, "\\%c", *s);
                else if (*s < 0x20 || *s == 0x7f)
                        strbuf_addf(b, "\\u%04x", *s);
                else if (n == 0)
                        strbuf_add(b, "\xef\xbf\xbd");
                else
                        strbuf_add_bytes(b, s, n);
                s += MAX_OF(n, (size_t) 1);
        }
        strbuf_add(b, "\"");
}
