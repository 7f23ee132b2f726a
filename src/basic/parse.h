/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Values from people and files, read whole and with their range. Nothing here skips white space,
 * accepts a sign that it does not expect, or changes the output on failure. -EINVAL: not a value
 * of this kind; -ERANGE: a value, but out of range.
 */

/* Decimal digits only, within [min, max]. */
int parse_ulong(const char *text, unsigned long min, unsigned long max, unsigned long *ret);

/* Decimal digits with an optional leading '-' or '+', within [min, max]. */
int parse_long(const char *text, long min, long max, long *ret);

/* yes, y, true, t, on, 1 and their opposites, in any case. Returns 0 or -EINVAL. */
int parse_boolean(const char *text, bool *ret);

/* Bytes with an optional suffix B, K, M, G, T, P or E (powers of 1024). */
int parse_size(const char *text, uint64_t *ret_bytes);

/*
 * A time span such as "100ms", "2s" or "1min 30s"; a bare number is seconds.
 * Units: us, ms, s/sec, m/min, h, d.
 */
int parse_timespan_us(const char *text, uint64_t *ret_us);

/* A percentage "20%" or "12.5%" in permyriads (hundredths of a percent). */
int parse_percent(const char *text, uint64_t *ret_permyriad);

/* A uid or gid: decimal, not 65535 and not 4294967295, which mean "none" to the kernel. */
int parse_uid(const char *text, uint32_t *ret);

/*
 * A set of CPUs or memory nodes, "0-3,7" or "0-3 7", as a list in the kernel's form ("0-3,7").
 * The caller frees it.
 */
int parse_cpu_list(const char *text, char **ret_list);

/* The same as bits, as sched_setaffinity(2) takes them; no list has a larger number. */
#define CPU_NUMBERS 8192
#define CPU_WORD_BITS (8 * sizeof(unsigned long))
struct cpu_mask {
        unsigned long bits[CPU_NUMBERS / CPU_WORD_BITS];
};

/* Fills @ret with what parse_cpu_list() accepts. -EINVAL, -ERANGE: it would not; @ret is then of
 * no use. */
int cpu_mask_from_list(const char *list, struct cpu_mask *ret);
bool cpu_mask_intersects(const struct cpu_mask *a, const struct cpu_mask *b);

/* NAME of an environment variable: letters, digits and '_', not beginning with a digit. */
bool env_name_is_valid(const char *name, size_t length);

/* A signal: "SIGTERM", "TERM", "15", "RTMIN+3", "SIGRTMIN+3". Returns its number or -EINVAL. */
int parse_signal(const char *text);

/* "SIGTERM", "SIGRTMIN+3", …; the caller frees it. NULL when memory runs out. */
char *signal_to_text(int signo);

/* The value of a hexadecimal digit, or -1. */
static inline int parse_hex_digit(char c)
{
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}
