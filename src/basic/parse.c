/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/parse.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <strings.h>

#include "basic/strbuf.h"

/* Reads digits at *p and advances it. -EINVAL if there is none, -ERANGE on overflow. */
static int read_digits(const char **p, uint64_t *ret)
{
        uint64_t v = 0;

        if (!isdigit((unsigned char) **p))
                return -EINVAL;
        for (; isdigit((unsigned char) **p); (*p)++)
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t) (**p - '0'), &v))
                        return -ERANGE;
        *ret = v;
        return 0;
}

int parse_ulong(const char *text, unsigned long min, unsigned long max, unsigned long *ret)
{
        uint64_t v = 0;
        int r = read_digits(&text, &v);

        if (*text && (r >= 0 || !isdigit((unsigned char) *text)))
                return -EINVAL;
        if (r < 0)
                return r;
        if (v < min || v > max)
                return -ERANGE;
        *ret = v;
        return 0;
}

int parse_long(const char *text, long min, long max, long *ret)
{
        bool negative = *text == '-';
        unsigned long v = 0;
        long value;
        int r = parse_ulong(text + (*text == '-' || *text == '+'), 0,
                            negative ? (unsigned long) LONG_MAX + 1 : LONG_MAX, &v);

        if (r < 0)
                return r;
        value = negative ? (long) (0 - v) : (long) v;
        if (value < min || value > max)
                return -ERANGE;
        *ret = value;
        return 0;
}

int parse_boolean(const char *text, bool *ret)
{
        static const struct {
                const char *word;
                bool value;
        } words[] = {
                { "1", true },  { "yes", true },    { "y", true },  { "true", true },
                { "t", true },  { "on", true },     { "0", false }, { "no", false },
                { "n", false }, { "false", false }, { "f", false }, { "off", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (strcasecmp(text, words[i].word) == 0) {
                        *ret = words[i].value;
                        return 0;
                }
        return -EINVAL;
}

int parse_size(const char *text, uint64_t *ret_bytes)
{
        static const char suffixes[] = "BKMGTPE";
        const char *suffix;
        uint64_t v = 0;
        int r = read_digits(&text, &v);

        if (r < 0)
                return r;
        if (*text) {
                suffix = strchr(suffixes, toupper((unsigned char) *text));
                if (!suffix || text[1])
                        return -EINVAL;
                for (ptrdiff_t i = suffix - suffixes; i > 0; i--)
                        if (__builtin_mul_overflow(v, 1024, &v))
                                return -ERANGE;
        }
        *ret_bytes = v;
        return 0;
}

/* The unit at *p in microseconds, advancing over it; 0 if it is none. */
static uint64_t read_time_unit(const char **p)
{
        static const struct {
                const char *name;
                uint64_t us;
        } units[] = {
                { "us", 1 },         { "ms", 1000 },    { "sec", 1000000 },  { "s", 1000000 },
                { "min", 60000000 }, { "m", 60000000 }, { "h", 3600000000 }, { "d", 86400000000 },
        };
        size_t n = 0;

        while (isalpha((unsigned char) (*p)[n]))
                n++;
        if (n == 0)
                return 1000000;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
                if (strlen(units[i].name) == n && strncmp(*p, units[i].name, n) == 0) {
                        *p += n;
                        return units[i].us;
                }
        return 0;
}

int parse_timespan_us(const char *text, uint64_t *ret_us)
{
        uint64_t total = 0, v = 0, unit;
        int r;

        do {
                r = read_digits(&text, &v);
                if (r < 0)
                        return r;
                unit = read_time_unit(&text);
                if (unit == 0)
                        return -EINVAL;
                if (__builtin_mul_overflow(v, unit, &v) || __builtin_add_overflow(total, v, &total))
                        return -ERANGE;
                text += strspn(text, " ");
        } while (*text);
        *ret_us = total;
        return 0;
}

int parse_percent(const char *text, uint64_t *ret_permyriad)
{
        uint64_t whole = 0, fraction = 0;
        size_t digits = 0;
        int r = read_digits(&text, &whole);

        if (r < 0)
                return r;
        if (*text == '.') {
                for (text++; isdigit((unsigned char) *text); text++, digits++)
                        fraction = fraction * 10 + (uint64_t) (*text - '0');
                if (digits == 0 || digits > 2)
                        return -EINVAL;
                if (digits == 1)
                        fraction *= 10;
        }
        if (!streq(text, "%"))
                return -EINVAL;
        if (whole > UINT32_MAX)
                return -ERANGE;
        *ret_permyriad = whole * 100 + fraction;
        return 0;
}

int parse_uid(const char *text, uint32_t *ret)
{
        unsigned long v = 0;
        int r = parse_ulong(text, 0, UINT32_MAX, &v);

        if (r < 0)
                return r;
        if (v == UINT32_MAX || v == 0xffff)
                return -EINVAL;
        *ret = (uint32_t) v;
        return 0;
}

/* The next number or range of a list of CPUs; moves *@text behind it. */
static int read_cpu_range(const char **text, uint64_t *ret_from, uint64_t *ret_to)
{
        uint64_t from = 0, to = 0;
        int r;

        *text += strspn(*text, ", ");
        r = read_digits(text, &from);
        if (r < 0)
                return r;
        to = from;
        if (**text == '-') {
                (*text)++;
                r = read_digits(text, &to);
                if (r < 0)
                        return r;
        }
        if (**text && !strchr(", ", **text))
                return -EINVAL;
        if (to < from || to >= CPU_NUMBERS)
                return -ERANGE;
        *text += strspn(*text, " ");
        *ret_from = from;
        *ret_to = to;
        return 0;
}

int parse_cpu_list(const char *text, char **ret_list)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

        do {
                uint64_t from = 0, to = 0;
                int r = read_cpu_range(&text, &from, &to);

                if (r < 0)
                        return r;
                strbuf_addf(&out, "%s%llu", out.length ? "," : "", (unsigned long long) from);
                if (to > from)
                        strbuf_addf(&out, "-%llu", (unsigned long long) to);
        } while (*text);
        *ret_list = strbuf_take(&out);
        return *ret_list ? 0 : -ENOMEM;
}

int cpu_mask_from_list(const char *list, struct cpu_mask *ret)
{
        *ret = (struct cpu_mask){ .bits = { 0 } };
        do {
                uint64_t from = 0, to = 0;
                int r = read_cpu_range(&list, &from, &to);

                if (r < 0)
                        return r;
                for (uint64_t i = from; i <= to; i++)
                        ret->bits[i / CPU_WORD_BITS] |= 1UL << i % CPU_WORD_BITS;
        } while (*list);
        return 0;
}

bool cpu_mask_intersects(const struct cpu_mask *a, const struct cpu_mask *b)
{
        for (size_t i = 0; i < ARRAY_SIZE(a->bits); i++)
                if (a->bits[i] & b->bits[i])
                        return true;
        return false;
}

bool env_name_is_valid(const char *name, size_t length)
{
        if (length == 0 || isdigit((unsigned char) name[0]))
                return false;
        for (size_t i = 0; i < length; i++)
                if (!isalnum((unsigned char) name[i]) && name[i] != '_')
                        return false;
        return true;
}

static int parse_realtime_signal(const char *text)
{
        const char *rest;
        unsigned long n = 0;

        rest = startswith(text, "RTMIN");
        if (rest) {
                if (*rest == '\0')
                        return SIGRTMIN;
                if (*rest != '+' ||
                    parse_ulong(rest + 1, 0, (unsigned long) (SIGRTMAX - SIGRTMIN), &n) < 0)
                        return -EINVAL;
                return SIGRTMIN + (int) n;
        }
        rest = startswith(text, "RTMAX");
        if (rest) {
                if (*rest == '\0')
                        return SIGRTMAX;
                if (*rest != '-' ||
                    parse_ulong(rest + 1, 0, (unsigned long) (SIGRTMAX - SIGRTMIN), &n) < 0)
                        return -EINVAL;
                return SIGRTMAX - (int) n;
        }
        return -EINVAL;
}

int parse_signal(const char *text)
{
        const char *name = startswith(text, "SIG");
        unsigned long n = 0;

        if (!name && parse_ulong(text, 1, (unsigned long) SIGRTMAX, &n) >= 0)
                return (int) n;
        if (!name)
                name = text;
        for (int i = 1; i < SIGRTMIN; i++) {
                const char *known = sigabbrev_np(i);

                if (known && streq(known, name))
                        return i;
        }
        return parse_realtime_signal(name);
}

char *signal_to_text(int signo)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        const char *name = sigabbrev_np(signo);

        if (name)
                strbuf_addf(&out, "SIG%s", name);
        else if (signo >= SIGRTMIN && signo <= SIGRTMAX)
                strbuf_addf(&out, "SIGRTMIN+%d", signo - SIGRTMIN);
        else
                strbuf_addf(&out, "%d", signo);
        return strbuf_take(&out);
}
