/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/unescape.h"

#include <errno.h>
#include <string.h>

/* Exactly @n digits; moves *@text behind them. */
static int read_digits(const char **text, unsigned n, unsigned base, uint32_t *ret)
{
        static const char digits[] = "0123456789abcdef";
        uint32_t value = 0;

        for (; n > 0; n--, (*text)++) {
                int c = **text >= 'A' && **text <= 'F' ? **text - 'A' + 'a' : **text;
                const char *digit = c ? strchr(digits, c) : NULL;

                if (!digit || digit - digits >= (ptrdiff_t) base)
                        return -EINVAL;
                value = value * base + (uint32_t) (digit - digits);
        }
        *ret = value;
        return 0;
}

/* Writes @c to @out, which has room for four bytes. Returns how many; 0: there is no such one. */
static size_t put_character(uint32_t c, char *out)
{
        unsigned char *o = (unsigned char *) out;

        if (c < 0x80) {
                o[0] = (unsigned char) c;
                return 1;
        }
        if (c < 0x800) {
                o[0] = (unsigned char) (0xc0 | c >> 6);
                o[1] = (unsigned char) (0x80 | (c & 0x3f));
                return 2;
        }
        if (c < 0x10000 && (c < 0xd800 || c > 0xdfff)) {
                o[0] = (unsigned char) (0xe0 | c >> 12);
                o[1] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
                o[2] = (unsigned char) (0x80 | (c & 0x3f));
                return 3;
        }
        if (c >= 0x10000 && c < 0x110000) {
                o[0] = (unsigned char) (0xf0 | c >> 18);
                o[1] = (unsigned char) (0x80 | (c >> 12 & 0x3f));
                o[2] = (unsigned char) (0x80 | (c >> 6 & 0x3f));
                o[3] = (unsigned char) (0x80 | (c & 0x3f));
                return 4;
        }
        return 0;
}

/* What follows a backslash. The shortest escape has as many bytes as the longest result. */
static int read_escape(const char **text, char *out, size_t *ret_n)
{
        static const char letters[] = "abfnrtv\\\"'s", meanings[] = "\a\b\f\n\r\t\v\\\"' ";
        const char *letter = **text ? strchr(letters, **text) : NULL;
        uint32_t value = 0;
        int r;

        *ret_n = 1;
        if (letter) {
                *out = meanings[letter - letters];
                (*text)++;
                return 0;
        }
        if (**text == 'u' || **text == 'U') {
                unsigned n = **text == 'u' ? 4 : 8;

                (*text)++;
                r = read_digits(text, n, 16, &value);
                if (r < 0)
                        return r;
                *ret_n = put_character(value, out);
                return *ret_n > 0 ? 0 : -EINVAL;
        }
        if (**text == 'x') {
                (*text)++;
                r = read_digits(text, 2, 16, &value);
        } else
                r = read_digits(text, 3, 8, &value);
        if (r < 0 || value > UINT8_MAX)
                return -EINVAL;
        *out = (char) (unsigned char) value;
        return 0;
}

int unescape_c(const char *text, char **ret, size_t *ret_size)
{
        char *out CLEANUP_FREE = malloc(strlen(text) + 1);
        size_t n = 0;

        if (!out)
                return -ENOMEM;
        while (*text) {
                size_t added = 1;

                if (*text == '\\') {
                        int r;

                        text++;
                        r = read_escape(&text, out + n, &added);
                        if (r < 0)
                                return r;
                } else
                        out[n] = *text++;
                n += added;
        }
        out[n] = '\0';
        *ret = TAKE_PTR(out);
        *ret_size = n;
        return 0;
}
