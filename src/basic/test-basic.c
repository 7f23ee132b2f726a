/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/channel.h"
#include "basic/failure.h"
#include "basic/fd.h"
#include "basic/id128.h"
#include "basic/idmap.h"
#include "basic/io.h"
#include "basic/lock.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/process.h"
#include "basic/root.h"
#include "basic/siphash.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "basic/time-namespace.h"

/* ---- help for the tests ------------------------------------------------------------------ */

#define DIRECTORY_NULL                                                                             \
        {                                                                                          \
                .fd = -1                                                                           \
        }

struct directory {
        char path[PATH_MAX];
        int fd;
};

static void directory_make(struct directory *d)
{
        const char *base = getenv("TMPDIR");

        (void) snprintf(d->path, sizeof(d->path), "%s/test-basic-XXXXXX", base ? base : "/tmp");
        assert_non_null(mkdtemp(d->path));
        d->fd = open(d->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(d->fd >= 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
        (void) st;
        (void) type;
        (void) where;
        (void) remove(path);
        return 0;
}

static void directory_remove(struct directory *d)
{
        d->fd = fd_close(d->fd);
        (void) nftw(d->path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* How many descriptors are open: to see that nothing leaks. */
static size_t count_fds(void)
{
        DIR *dir = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(dir);
        while (readdir(dir))
                n++;
        (void) closedir(dir);
        return n;
}

/* ---- parse.h ----------------------------------------------------------------------------- */

static void test_ulong(void **state)
{
        static const struct {
                const char *text;
                unsigned long min, max;
                int r;
                unsigned long value;
        } rows[] = {
                { "0", 0, 10, 0, 0 },
                { "1", 1, 65535, 0, 1 },
                { "65535", 1, 65535, 0, 65535 },
                { "0", 1, 65535, -ERANGE, 0 },
                { "65536", 1, 65535, -ERANGE, 0 },
                { "007", 0, 10, 0, 7 },
                { "18446744073709551615", 0, ULONG_MAX, 0, ULONG_MAX },
                { "18446744073709551616", 0, ULONG_MAX, -ERANGE, 0 },
                { "99999999999999999999999", 0, ULONG_MAX, -ERANGE, 0 },
                { "", 0, 10, -EINVAL, 0 },
                { " 7", 0, 10, -EINVAL, 0 },
                { "7 ", 0, 10, -EINVAL, 0 },
                { "-1", 0, ULONG_MAX, -EINVAL, 0 },
                { "+1", 0, 10, -EINVAL, 0 },
                { "7x", 0, 10, -EINVAL, 0 },
                { "0x7", 0, 10, -EINVAL, 0 },
                { "7\n", 0, 10, -EINVAL, 0 },
                { "1e1", 0, 100, -EINVAL, 0 },
                { "\xd9\xa3", 0, 10, -EINVAL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                unsigned long value = 42;

                if (parse_ulong(rows[i].text, rows[i].min, rows[i].max, &value) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_true(value == (rows[i].r < 0 ? 42 : rows[i].value));
        }
}

static void test_long(void **state)
{
        static const struct {
                const char *text;
                long min, max;
                int r;
                long value;
        } rows[] = {
                { "5", -10, 10, 0, 5 },
                { "-5", -10, 10, 0, -5 },
                { "+5", -10, 10, 0, 5 },
                { "-0", -10, 10, 0, 0 },
                { "-11", -10, 10, -ERANGE, 0 },
                { "11", -10, 10, -ERANGE, 0 },
                { "9223372036854775807", LONG_MIN, LONG_MAX, 0, LONG_MAX },
                { "9223372036854775808", LONG_MIN, LONG_MAX, -ERANGE, 0 },
                { "-9223372036854775808", LONG_MIN, LONG_MAX, 0, LONG_MIN },
                { "-9223372036854775809", LONG_MIN, LONG_MAX, -ERANGE, 0 },
                { "--5", -10, 10, -EINVAL, 0 },
                { "+-5", -10, 10, -EINVAL, 0 },
                { "-", -10, 10, -EINVAL, 0 },
                { "- 5", -10, 10, -EINVAL, 0 },
                { "", -10, 10, -EINVAL, 0 },
                { " 7", -10, 10, -EINVAL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                long value = 42;

                if (parse_long(rows[i].text, rows[i].min, rows[i].max, &value) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_true(value == (rows[i].r < 0 ? 42 : rows[i].value));
        }
}

static void test_boolean(void **state)
{
        static const struct {
                const char *text;
                int r;
                bool value;
        } rows[] = {
                { "yes", 0, true },         { "y", 0, true },          { "true", 0, true },
                { "t", 0, true },           { "on", 0, true },         { "1", 0, true },
                { "YES", 0, true },         { "True", 0, true },       { "no", 0, false },
                { "n", 0, false },          { "false", 0, false },     { "f", 0, false },
                { "off", 0, false },        { "0", 0, false },         { "OFF", 0, false },
                { "", -EINVAL, false },     { "2", -EINVAL, false },   { "maybe", -EINVAL, false },
                { "yes ", -EINVAL, false }, { " no", -EINVAL, false }, { "01", -EINVAL, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                bool value = !rows[i].value;

                if (parse_boolean(rows[i].text, &value) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                if (rows[i].r == 0)
                        assert_int_equal(value, rows[i].value);
        }
}

/* The functions that give an unsigned number of 64 bits. */
static void test_amounts(void **state)
{
        static const struct {
                int (*parse)(const char *text, uint64_t *ret);
                const char *text;
                int r;
                uint64_t value;
        } rows[] = {
                { parse_size, "0", 0, 0 },
                { parse_size, "1024", 0, 1024 },
                { parse_size, "1B", 0, 1 },
                { parse_size, "1K", 0, 1024 },
                { parse_size, "1k", 0, 1024 },
                { parse_size, "512M", 0, UINT64_C(512) << 20 },
                { parse_size, "3G", 0, UINT64_C(3) << 30 },
                { parse_size, "2T", 0, UINT64_C(2) << 40 },
                { parse_size, "1P", 0, UINT64_C(1) << 50 },
                { parse_size, "15E", 0, UINT64_C(15) << 60 },
                { parse_size, "16E", -ERANGE, 0 },
                { parse_size, "18446744073709551615", 0, UINT64_MAX },
                { parse_size, "18446744073709551616", -ERANGE, 0 },
                { parse_size, "18446744073709551615K", -ERANGE, 0 },
                { parse_size, "", -EINVAL, 0 },
                { parse_size, "K", -EINVAL, 0 },
                { parse_size, "1KB", -EINVAL, 0 },
                { parse_size, "1 K", -EINVAL, 0 },
                { parse_size, " 7", -EINVAL, 0 },
                { parse_size, "-1", -EINVAL, 0 },
                { parse_size, "1.5G", -EINVAL, 0 },
                { parse_size, "1Z", -EINVAL, 0 },

                { parse_timespan_us, "0", 0, 0 },
                { parse_timespan_us, "5", 0, 5000000 },
                { parse_timespan_us, "7us", 0, 7 },
                { parse_timespan_us, "100ms", 0, 100000 },
                { parse_timespan_us, "2s", 0, 2000000 },
                { parse_timespan_us, "2sec", 0, 2000000 },
                { parse_timespan_us, "3m", 0, 180000000 },
                { parse_timespan_us, "1min 30s", 0, 90000000 },
                { parse_timespan_us, "1min30s", 0, 90000000 },
                { parse_timespan_us, "1h", 0, UINT64_C(3600000000) },
                { parse_timespan_us, "1d 1us", 0, UINT64_C(86400000001) },
                { parse_timespan_us, "18446744073709551615us", 0, UINT64_MAX },
                { parse_timespan_us, "18446744073709551615us 1us", -ERANGE, 0 },
                { parse_timespan_us, "18446744073709551615", -ERANGE, 0 },
                { parse_timespan_us, "213503983d", -ERANGE, 0 },
                { parse_timespan_us, "", -EINVAL, 0 },
                { parse_timespan_us, "ms", -EINVAL, 0 },
                { parse_timespan_us, "5x", -EINVAL, 0 },
                { parse_timespan_us, " 7", -EINVAL, 0 },
                { parse_timespan_us, "-1", -EINVAL, 0 },
                { parse_timespan_us, "1.5s", -EINVAL, 0 },
                { parse_timespan_us, "1s,2s", -EINVAL, 0 },

                { parse_percent, "0%", 0, 0 },
                { parse_percent, "20%", 0, 2000 },
                { parse_percent, "12.5%", 0, 1250 },
                { parse_percent, "12.05%", 0, 1205 },
                { parse_percent, "400%", 0, 40000 },
                { parse_percent, "4294967295%", 0, UINT64_C(429496729500) },
                { parse_percent, "4294967296%", -ERANGE, 0 },
                { parse_percent, "99999999999999999999%", -ERANGE, 0 },
                { parse_percent, "20", -EINVAL, 0 },
                { parse_percent, "%", -EINVAL, 0 },
                { parse_percent, "", -EINVAL, 0 },
                { parse_percent, "12.%", -EINVAL, 0 },
                { parse_percent, ".5%", -EINVAL, 0 },
                { parse_percent, "12.345%", -EINVAL, 0 },
                { parse_percent, "12.00000000000000000000000000%", -EINVAL, 0 },
                { parse_percent, "20%%", -EINVAL, 0 },
                { parse_percent, " 7%", -EINVAL, 0 },
                { parse_percent, "-1%", -EINVAL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint64_t value = 42;

                if (rows[i].parse(rows[i].text, &value) != rows[i].r)
                        fail_msg("row %zu: '%s'", i, rows[i].text);
                if (value != (rows[i].r < 0 ? 42 : rows[i].value))
                        fail_msg("row %zu: '%s' is %llu", i, rows[i].text,
                                 (unsigned long long) value);
        }
}

static void test_uid(void **state)
{
        static const struct {
                const char *text;
                int r;
                uint32_t value;
        } rows[] = {
                { "0", 0, 0 },
                { "1000", 0, 1000 },
                { "65534", 0, 65534 },
                { "65536", 0, 65536 },
                { "4294967294", 0, UINT32_MAX - 1 },
                { "65535", -EINVAL, 0 },
                { "4294967295", -EINVAL, 0 },
                { "4294967296", -ERANGE, 0 },
                { "-1", -EINVAL, 0 },
                { "", -EINVAL, 0 },
                { " 7", -EINVAL, 0 },
                { "root", -EINVAL, 0 },
                { "0x0", -EINVAL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                uint32_t value = 42;

                if (parse_uid(rows[i].text, &value) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_int_equal(value, rows[i].r < 0 ? 42 : rows[i].value);
        }
}

static void test_cpu_list(void **state)
{
        static const struct {
                const char *text;
                int r;
                const char *list;
        } rows[] = {
                { "0", 0, "0" },
                { "0-3,7", 0, "0-3,7" },
                { "0-3 7", 0, "0-3,7" },
                { "0-3, 7", 0, "0-3,7" },
                { " 1", 0, "1" },
                { "2-2", 0, "2" },
                { "8191", 0, "8191" },
                { "8192", -ERANGE, NULL },
                { "0-8192", -ERANGE, NULL },
                { "3-1", -ERANGE, NULL },
                { "99999999999999999999", -ERANGE, NULL },
                { "", -EINVAL, NULL },
                { ",", -EINVAL, NULL },
                { "1-", -EINVAL, NULL },
                { "-1", -EINVAL, NULL },
                { "1,", -EINVAL, NULL },
                { "1-2-3", -EINVAL, NULL },
                { "1;2", -EINVAL, NULL },
                { "all", -EINVAL, NULL },
                { "1\n", -EINVAL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *list CLEANUP_FREE = NULL;
                struct cpu_mask mask;

                if (parse_cpu_list(rows[i].text, &list) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                if (rows[i].list)
                        assert_string_equal(list, rows[i].list);
                else
                        assert_null(list);
                assert_int_equal(cpu_mask_from_list(rows[i].text, &mask), rows[i].r);
        }
}

static void test_cpu_mask(void **state)
{
        struct cpu_mask a, b;

        (void) state;
        assert_int_equal(cpu_mask_from_list("0,2-3,64,8191", &a), 0);
        assert_true(a.bits[0] == 0xd);
        assert_true(a.bits[64 / CPU_WORD_BITS] & 1UL << 64 % CPU_WORD_BITS);
        assert_true(a.bits[ARRAY_SIZE(a.bits) - 1] == 1UL << (CPU_WORD_BITS - 1));
        assert_int_equal(cpu_mask_from_list("1,4-63,8190", &b), 0);
        assert_false(cpu_mask_intersects(&a, &b));
        assert_int_equal(cpu_mask_from_list("8000-8191", &b), 0);
        assert_true(cpu_mask_intersects(&a, &b));
}

static void test_env_names(void **state)
{
        static const struct {
                const char *name;
                bool valid;
        } rows[] = {
                { "A", true },   { "_", true },    { "a1_B", true },      { "", false },
                { "1a", false }, { "a-b", false }, { "a b", false },      { "a.b", false },
                { "a=", false }, { "a\n", false }, { "\xc3\xa4", false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                if (env_name_is_valid(rows[i].name, strlen(rows[i].name)) != rows[i].valid)
                        fail_msg("'%s'", rows[i].name);
        assert_true(env_name_is_valid("A=1", 1));
}

static void test_signals(void **state)
{
        const struct {
                const char *text;
                int signo;
                const char *name; /* NULL: as @text */
        } rows[] = {
                { "SIGTERM", SIGTERM, NULL },
                { "TERM", SIGTERM, "SIGTERM" },
                { "15", SIGTERM, "SIGTERM" },
                { "1", SIGHUP, "SIGHUP" },
                { "SIGKILL", SIGKILL, NULL },
                { "RTMIN", SIGRTMIN, "SIGRTMIN+0" },
                { "RTMIN+3", SIGRTMIN + 3, "SIGRTMIN+3" },
                { "SIGRTMIN+3", SIGRTMIN + 3, NULL },
                { "SIGRTMIN+30", SIGRTMIN + 30, NULL },
                { "RTMAX", SIGRTMAX, "SIGRTMIN+30" },
                { "SIGRTMAX-1", SIGRTMAX - 1, "SIGRTMIN+29" },
                { "64", SIGRTMAX, "SIGRTMIN+30" },
                { "0", -EINVAL, NULL },
                { "65", -EINVAL, NULL },
                { "-1", -EINVAL, NULL },
                { " 7", -EINVAL, NULL },
                { "", -EINVAL, NULL },
                { "SIG", -EINVAL, NULL },
                { "SIG15", -EINVAL, NULL },
                { "SIGSIGTERM", -EINVAL, NULL },
                { "NOTHING", -EINVAL, NULL },
                { "RTMIN+", -EINVAL, NULL },
                { "RTMIN+31", -EINVAL, NULL },
                { "RTMIN-1", -EINVAL, NULL },
                { "RTMAX+1", -EINVAL, NULL },
                { "RTMIN+ 3", -EINVAL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *name CLEANUP_FREE = NULL;

                if (parse_signal(rows[i].text) != rows[i].signo)
                        fail_msg("'%s'", rows[i].text);
                if (rows[i].signo < 0)
                        continue;
                name = signal_to_text(rows[i].signo);
                assert_string_equal(name, rows[i].name ? rows[i].name : rows[i].text);
        }
}

/* ---- strv.h, strbuf.h -------------------------------------------------------------------- */

static char *join(char *const *list)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        STRV_FOREACH(item, list)
        strbuf_addf(&b, "<%s>", *item);
        return strbuf_take(&b);
}

static void test_strv(void **state)
{
        char **list CLEANUP_STRV = NULL, **copy CLEANUP_STRV = NULL, **other CLEANUP_STRV = NULL;
        char *text CLEANUP_FREE = NULL;

        (void) state;
        assert_int_equal(strv_length(NULL), 0);
        assert_null(strv_copy(NULL));
        assert_false(strv_contains(NULL, "a"));
        assert_null(strv_env_get(NULL, "A"));
        assert_int_equal(strv_add(&list, "a"), 0);
        assert_int_equal(strv_add(&list, ""), 0);
        assert_int_equal(strv_add_take(&list, strdup("c")), 0);
        assert_int_equal(strv_add_take(&list, NULL), -ENOMEM);
        assert_int_equal(strv_length(list), 3);
        assert_true(strv_contains(list, ""));
        assert_false(strv_contains(list, "b"));
        copy = strv_copy(list);
        assert_non_null(copy);
        assert_ptr_not_equal(copy[0], list[0]);
        assert_int_equal(strv_add_all(&other, list), 0);
        assert_int_equal(strv_add_all(&other, NULL), 0);
        assert_int_equal(strv_add_all(&other, copy), 0);
        text = join(other);
        assert_string_equal(text, "<a><><c><a><><c>");
}

static void test_strv_environment(void **state)
{
        char **list CLEANUP_STRV = NULL;
        char *text CLEANUP_FREE = NULL;

        (void) state;
        assert_int_equal(strv_env_set(&list, "A=1"), 0);
        assert_int_equal(strv_env_set(&list, "AB=2"), 0);
        assert_int_equal(strv_env_set(&list, "A="), 0);
        assert_int_equal(strv_env_set(&list, "C=x=y"), 0);
        assert_int_equal(strv_env_set(&list, "AB=3"), 0);
        assert_int_equal(strv_env_set(&list, "D"), -EINVAL);
        text = join(list);
        assert_string_equal(text, "<A=><AB=3><C=x=y>");
        assert_string_equal(strv_env_get(list, "A"), "");
        assert_string_equal(strv_env_get(list, "C"), "x=y");
        assert_null(strv_env_get(list, "B"));
        assert_null(strv_env_get(list, "AB="));
}

static void test_strv_split(void **state)
{
        static const struct {
                const char *text, *separators; /* one: with escapes */
                bool escaped;
                int r;
                const char *parts;
        } rows[] = {
                { "a b", " ", false, 0, "<a><b>" },
                { "  a,,b ", " ,", false, 0, "<a><b>" },
                { "", " ", false, 0, "" },
                { "   ", " ", false, 0, "" },
                { "a\\ b", " ", false, 0, "<a\\><b>" },
                { "/a:/b", ":", true, 0, "</a></b>" },
                { "/a", ":", true, 0, "</a>" },
                { "", ":", true, 0, "<>" },
                { ":", ":", true, 0, "<><>" },
                { "a::b", ":", true, 0, "<a><><b>" },
                { "a\\:b:c", ":", true, 0, "<a:b><c>" },
                { "a\\\\:b", ":", true, 0, "<a\\><b>" },
                { "a\\\\\\:b", ":", true, 0, "<a\\:b>" },
                { "a\\xb", ":", true, 0, "<a\\xb>" },
                { "a:b\\", ":", true, -EINVAL, NULL },
                { "\\", ":", true, -EINVAL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char **list CLEANUP_STRV = NULL;
                char *text CLEANUP_FREE = NULL;
                int r = rows[i].escaped
                                ? strv_split_escaped(rows[i].text, rows[i].separators[0], &list)
                                : strv_split(rows[i].text, rows[i].separators, &list);

                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].text, r);
                if (r < 0) {
                        assert_null(list);
                        continue;
                }
                text = join(list);
                assert_string_equal(text, rows[i].parts);
        }
}

static void test_strbuf(void **state)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;
        char *text CLEANUP_FREE = NULL;

        (void) state;
        assert_string_equal(strbuf_text(&b), "");
        text = strbuf_take(&b);
        assert_string_equal(text, "");
        for (unsigned i = 0; i < 1000; i++)
                strbuf_addf(&b, "%u,", i % 10);
        strbuf_add_bytes(&b, "abc", 2);
        strbuf_add(&b, "");
        assert_true(strbuf_ok(&b));
        assert_int_equal(b.length, 2002);
        assert_string_equal(strbuf_text(&b) + 1994, "7,8,9,ab");
        b.failed = true; /* as after a failed allocation: no half of a text is ever given */
        strbuf_add(&b, "x");
        assert_string_equal(strbuf_text(&b), "");
        assert_null(strbuf_take(&b));
        assert_true(strbuf_ok(&b));
}

#define REPLACED "\xef\xbf\xbd"

static void test_json(void **state)
{
        static const struct {
                const char *text, *json;
        } rows[] = {
                { "", "\"\"" },
                { "a b", "\"a b\"" },
                { "a\"b\\c", "\"a\\\"b\\\\c\"" },
                { "\n\t\x01\x1f", "\"\\u000a\\u0009\\u0001\\u001f\"" },
                { "\x7f", "\"\\u007f\"" },
                { "\xc3\xa4", "\"\xc3\xa4\"" },
                { "\xe2\x82\xac", "\"\xe2\x82\xac\"" },
                { "\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"" },
                { "\xff", "\"" REPLACED "\"" },
                { "a\x80z", "\"a" REPLACED "z\"" },
                { "\xc3", "\"" REPLACED "\"" },
                { "\xc3z", "\"" REPLACED "z\"" },
                { "\xc0\x80", "\"" REPLACED REPLACED "\"" },
                { "\xe0\x80\x80", "\"" REPLACED REPLACED REPLACED "\"" },
                { "\xed\xa0\x80", "\"" REPLACED REPLACED REPLACED "\"" },
                { "\xf4\x90\x80\x80", "\"" REPLACED REPLACED REPLACED REPLACED "\"" },
                { "\xe2\x82", "\"" REPLACED REPLACED "\"" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

                strbuf_add_json(&b, rows[i].text);
                assert_string_equal(strbuf_text(&b), rows[i].json);
        }
}

/* ---- path.h ------------------------------------------------------------------------------ */

static void test_paths(void **state)
{
        static const struct {
                const char *path;
                bool normalized;
                const char *absolute, *name; /* NULL: not looked at */
        } rows[] = {
                { "/", true, "/", "/" },          { "/a", true, "/a", "a" },
                { "/a/b", true, "/a/b", "b" },    { "/a/b/", false, "/a/b", NULL },
                { "//a", false, "/a", "a" },      { "/a//b", false, "/a/b", "b" },
                { "/a/./b", false, "/a/b", "b" }, { "/./", false, "/", NULL },
                { "///", false, "/", NULL },      { "/a/../b", false, "/a/../b", "b" },
                { "/..", false, "/..", ".." },    { "/.", false, "/", "." },
                { "/...", true, "/...", "..." },  { "/.a", true, "/.a", ".a" },
                { "a/b", true, NULL, "b" },       { "a", true, NULL, "a" },
                { "..", false, NULL, ".." },      { "", false, NULL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *absolute CLEANUP_FREE = NULL;

                if (path_is_normalized(rows[i].path) != rows[i].normalized)
                        fail_msg("'%s'", rows[i].path);
                if (rows[i].absolute) {
                        assert_int_equal(path_make_absolute(rows[i].path, &absolute), 0);
                        assert_string_equal(absolute, rows[i].absolute);
                }
                if (rows[i].name)
                        assert_string_equal(path_basename(rows[i].path), rows[i].name);
        }
}

static void test_path_relations(void **state)
{
        static const struct {
                const char *path, *ancestor;
                bool below;
        } below[] = {
                { "/", "/", true },
                { "/a", "/", true },
                { "/proc", "/proc", true },
                { "/proc/a", "/proc", true },
                { "/process", "/proc", false },
                { "/", "/proc", false },
                { "/a/proc", "/proc", false },
        };
        static const struct {
                const char *directory, *name, *joined;
        } joins[] = {
                { "/a", "b", "/a/b" },  { "/a/", "b", "/a/b" },   { "/", "b", "/b" },
                { "/a", "/b", "/a/b" }, { "/a/", "//b", "/a/b" }, { "a", "b/c", "a/b/c" },
        };
        static char long_path[PATH_MAX + 2];
        char cwd[PATH_MAX], expected[PATH_MAX + 16];
        char *absolute CLEANUP_FREE = NULL;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(below); i++)
                if (path_is_below(below[i].path, below[i].ancestor) != below[i].below)
                        fail_msg("'%s' and '%s'", below[i].path, below[i].ancestor);
        for (size_t i = 0; i < ARRAY_SIZE(joins); i++) {
                char *joined CLEANUP_FREE = path_join(joins[i].directory, joins[i].name);

                assert_string_equal(joined, joins[i].joined);
        }
        memset(long_path, 'a', sizeof(long_path) - 1);
        long_path[0] = '/';
        assert_false(path_is_normalized(long_path));
        assert_int_equal(path_make_absolute(long_path, &absolute), -ENAMETOOLONG);
        assert_int_equal(path_make_absolute("", &absolute), -EINVAL);
        assert_null(absolute);
        assert_non_null(getcwd(cwd, sizeof(cwd)));
        (void) snprintf(expected, sizeof(expected), "%s/x/y", streq(cwd, "/") ? "" : cwd);
        assert_int_equal(path_make_absolute("./x//y/", &absolute), 0);
        assert_string_equal(absolute, expected);
}

/* ---- id128.h, siphash.h, idmap.h, caps.h ------------------------------------------------- */

static void test_id128(void **state)
{
        static const struct {
                const char *text;
                int r;
        } rows[] = {
                { "0123456789abcdef0123456789abcdef", 0 },
                { "01234567-89ab-cdef-0123-456789abcdef", 0 },
                { "0123456789ABCDEF0123456789ABCDEF", 0 },
                { "01234567-89AB-cdef-0123-456789ABCDEF", 0 },
                { "", -EINVAL },
                { "0123456789abcdef0123456789abcde", -EINVAL },
                { "0123456789abcdef0123456789abcdef0", -EINVAL },
                { "0123456789abcdef0123456789abcdeg", -EINVAL },
                { "0123456-789ab-cdef-0123-456789abcdef", -EINVAL },
                { "01234567-89ab-cdef-0123456789abcdef-", -EINVAL },
                { "0123456789abcdef0123456789abcdef\n", -EINVAL },
                { " 123456789abcdef0123456789abcdef", -EINVAL },
                { "0x23456789abcdef0123456789abcdef", -EINVAL },
                { "{1234567-89ab-cdef-0123-456789abcde}", -EINVAL },
        };
        struct id128 a, b, zero = { .bytes = { 0 } };
        char text[ID128_TEXT_SIZE];

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct id128 id = zero;

                if (id128_parse(rows[i].text, &id) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_int_equal(id128_is_null(&id), rows[i].r < 0);
                if (rows[i].r < 0)
                        continue;
                id128_to_uuid(&id, text);
                assert_string_equal(text, "01234567-89ab-cdef-0123-456789abcdef");
                id128_to_plain(&id, text);
                assert_string_equal(text, "0123456789abcdef0123456789abcdef");
        }
        assert_int_equal(id128_random(&a), 0);
        assert_int_equal(id128_random(&b), 0);
        assert_memory_not_equal(&a, &b, sizeof(a));
        id128_to_uuid(&a, text);
        assert_int_equal(text[14], '4');
        assert_non_null(strchr("89ab", text[19]));
}

static void test_siphash(void **state)
{
        uint8_t key[16], data[15];

        (void) state;
        for (uint8_t i = 0; i < 16; i++)
                key[i] = i;
        for (uint8_t i = 0; i < 15; i++)
                data[i] = i;
        /* Of the paper's appendix, and the first, second and ninth of its reference program. */
        assert_true(siphash24(data, 15, key) == UINT64_C(0xa129ca6149be45e5));
        assert_true(siphash24(data, 0, key) == UINT64_C(0x726fdb47dd0e0e31));
        assert_true(siphash24(data, 1, key) == UINT64_C(0x74f839c593dc67fd));
        assert_true(siphash24(data, 8, key) == UINT64_C(0x93f5f5799a932462));
}

static void test_idmap(void **state)
{
        static const struct {
                const char *name;
                uint32_t base;
        } names[] = {
                { "deb12", 116719616 },
                { "a", 90374144 },
                { "mycontainer", 496107520 },
                { "foobar", 276955136 },
                { "test-container-with-a-long-name", 1875574784 },
        };
        static const struct {
                const char *text;
                int r;
                uint32_t base, count;
        } rows[] = {
                { "0", 0, 0, 65536 },
                { "524288", 0, 524288, 65536 },
                { "524288:1000", 0, 524288, 1000 },
                { "0:1", 0, 0, 1 },
                { "4294901759:65536", 0, 4294901759, 65536 },
                { "4294901760:65536", -ERANGE, 0, 0 },
                { "4294967294", -ERANGE, 0, 0 },
                { "4294967295", -ERANGE, 0, 0 },
                { "4294967296:1", -ERANGE, 0, 0 },
                { "1:4294967295", -ERANGE, 0, 0 },
                { "1:99999999999999999999", -ERANGE, 0, 0 },
                { "1000:0", -ERANGE, 0, 0 },
                { "", -EINVAL, 0, 0 },
                { ":", -EINVAL, 0, 0 },
                { ":5", -EINVAL, 0, 0 },
                { "5:", -EINVAL, 0, 0 },
                { "5:6:7", -EINVAL, 0, 0 },
                { "-1", -EINVAL, 0, 0 },
                { "1:-1", -EINVAL, 0, 0 },
                { " 7", -EINVAL, 0, 0 },
                { "7: 7", -EINVAL, 0, 0 },
                { "0x10", -EINVAL, 0, 0 },
                { "pick", -EINVAL, 0, 0 },
        };
        static const struct {
                uint32_t base;
                bool pickable;
        } bases[] = {
                { IDMAP_PICK_MIN, true },
                { IDMAP_PICK_MAX, true },
                { 116719616, true },
                { IDMAP_PICK_MIN - 65536, false },
                { IDMAP_PICK_MAX + 65536, false },
                { IDMAP_PICK_MIN + 1, false },
                { 0, false },
                { UINT32_MAX, false },
        };
        struct idmap_window window = { 0, 0 };
        char text[64];

        (void) state;
        assert_true(idmap_window(0, 1, &window));
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                assert_int_equal(idmap_base_from_name(names[i].name), names[i].base);
                assert_true(idmap_base_is_pickable(&window, names[i].base));
                assert_int_equal(idmap_base_in_window(&window, names[i].base), names[i].base);
        }
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct idmap map = { 42, 43 };

                if (idmap_parse(rows[i].text, &map) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_int_equal(map.base, rows[i].r < 0 ? 42 : rows[i].base);
                assert_int_equal(map.count, rows[i].r < 0 ? 43 : rows[i].count);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
                assert_int_equal(idmap_base_is_pickable(&window, bases[i].base), bases[i].pickable);
        idmap_to_text(&(struct idmap){ 4294901759, 65536 }, text);
        assert_string_equal(text, "0 4294901759 65536\n");
}

static void test_idmap_window(void **state)
{
        static const struct {
                uint32_t mapped;
                unsigned ranges;
                bool exists;
                uint32_t min, max;
        } rows[] = {
                { 0, 1, true, IDMAP_PICK_MIN, IDMAP_PICK_MAX },
                { UINT32_MAX, 1, true, IDMAP_PICK_MIN, IDMAP_PICK_MAX },
                { UINT32_MAX, 16, true, IDMAP_PICK_MIN, IDMAP_PICK_MAX - 15 * 65536 },
                { 65536, 1, false, 0, 0 },
                { 2 * 65536 - 1, 1, false, 0, 0 },
                { 2 * 65536, 1, true, 65536, 65536 },
                { 16 * 65536 + 9, 4, true, 65536, 12 * 65536 },
                { 4 * 65536, 4, false, 0, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct idmap_window window = { 0, 0 };

                assert_int_equal(idmap_window(rows[i].mapped, rows[i].ranges, &window),
                                 rows[i].exists);
                assert_int_equal(window.min, rows[i].min);
                assert_int_equal(window.max, rows[i].max);
                for (uint32_t any = 0; rows[i].exists && any < UINT32_MAX - 99999999;
                     any += 99999999)
                        assert_true(idmap_base_is_pickable(&window,
                                                           idmap_base_in_window(&window, any)));
        }
}

static void test_idmap_count(void **state)
{
        static const struct {
                const char *text;
                uint32_t count;
        } rows[] = {
                { "         0          0 4294967295\n", UINT32_MAX },
                { "0 116719616 65536\n", 65536 },
                { "0 1000 1\n1 100000 65536\n", 65537 },
                { "1 100000 65536\n0 1000 1\n", 65537 },
                { "0 1000 1\n2 100000 65536\n", 1 },
                { "1000 1000 1\n", 0 },
                { "", 0 },
                { "\n", 0 },
                { "0 0 99999999999999999999\n", 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(idmap_count_mapped(rows[i].text), rows[i].count);
}

static void test_caps(void **state)
{
        static const struct {
                const char *text;
                int r;
                uint64_t set;
                const char *bad;
        } rows[] = {
                { "CAP_CHOWN", 0, 1, NULL },
                { "cap_chown", 0, 1, NULL },
                { "CAP_CHOWN,CAP_KILL", 0, 1 | 1 << 5, NULL },
                { "CAP_CHOWN,,CAP_CHOWN,", 0, 1, NULL },
                { "CAP_CHECKPOINT_RESTORE", 0, UINT64_C(1) << 40, NULL },
                { "all", 0, CAPS_ALL, NULL },
                { "CAP_KILL,all", 0, CAPS_ALL, NULL },
                { "", 0, 0, NULL },
                { "CHOWN", -EINVAL, 0, "CHOWN" },
                { "CAP_KILL,CAP_NOTHING,CAP_CHOWN", -EINVAL, 0, "CAP_NOTHING,CAP_CHOWN" },
                { "CAP_CHOWN CAP_KILL", -EINVAL, 0, "CAP_CHOWN CAP_KILL" },
                { " CAP_CHOWN", -EINVAL, 0, " CAP_CHOWN" },
                { "CAP_CHOW", -EINVAL, 0, "CAP_CHOW" },
                { "CAP_CHOWNX", -EINVAL, 0, "CAP_CHOWNX" },
        };
        unsigned n = 0;

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *bad = NULL;
                uint64_t set = 42;

                if (caps_parse(rows[i].text, &set, &bad) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                assert_true(set == (rows[i].r < 0 ? 42 : rows[i].set));
                if (rows[i].bad)
                        assert_string_equal(bad, rows[i].bad);
        }
        assert_int_equal(caps_parse("x", &(uint64_t){ 0 }, NULL), -EINVAL);
        for (; cap_name(n); n++) {
                uint64_t set = 0;

                assert_int_equal(caps_parse(cap_name(n), &set, NULL), 0);
                assert_true(set == UINT64_C(1) << n);
        }
        assert_true(n > 40);
        assert_null(cap_name(n + 1));
        assert_null(cap_name(UINT_MAX));
}

/* ---- failure.h --------------------------------------------------------------------------- */

static void test_failure(void **state)
{
        struct failure failure = { .error = 0 };
        char text[2 * sizeof(failure.text)];

        (void) state;
        assert_int_equal(
                failure_set(&failure, -EINVAL, "Cannot use '%s'.", "a\nb\033[m\x7f\xc3\xa4"),
                -EINVAL);
        assert_int_equal(failure_set(&failure, -ENOENT, "A consequence."), -ENOENT);
        assert_int_equal(failure.error, -EINVAL);
        assert_string_equal(failure.text, "Cannot use 'a?b?[m?\xc3\xa4'.");

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        failure.error = 0;
        assert_int_equal(failure_set(&failure, -EINVAL, "%s", text), -EINVAL);
        assert_int_equal(strlen(failure.text), sizeof(failure.text) - 1);
}

/* ---- channel.h --------------------------------------------------------------------------- */

static void test_channel(void **state)
{
        struct channel_message out = { .type = 7, .error = -EBUSY, .value = UINT64_MAX }, in;
        int a CLEANUP_FD = -1, b CLEANUP_FD = -1, fds[CHANNEL_MAX_FDS], received[CHANNEL_MAX_FDS];
        size_t n = 99;

        (void) state;
        assert_int_equal(channel_pair(&a, &b), 0);
        assert_true(fcntl(a, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(b, F_GETFD) & FD_CLOEXEC);

        (void) strcpy(out.text, "words"); /* both are in order, and whole */
        assert_int_equal(channel_send(a, &out, NULL, 0), 0);
        out.text[0] = '\0';
        out.error = 0;
        assert_int_equal(channel_send(a, &out, NULL, 0), 0);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), 0);
        assert_int_equal(in.type, 7);
        assert_int_equal(in.error, -EBUSY);
        assert_true(in.value == UINT64_MAX);
        assert_string_equal(in.text, "words");
        assert_int_equal(n, 0);
        assert_int_equal(channel_receive(b, 0, &in, NULL, 0, NULL), 0);
        assert_string_equal(in.text, "");

        memset(out.text, 'x', sizeof(out.text) - 1);
        assert_int_equal(channel_send(b, &out, NULL, 0), 0);
        assert_int_equal(channel_receive(a, -1, &in, NULL, 0, NULL), 0);
        assert_string_equal(in.text, out.text);

        for (size_t i = 0; i < CHANNEL_MAX_FDS; i++)
                fds[i] = i % 2 ? a : b;
        assert_int_equal(channel_send(a, &out, fds, CHANNEL_MAX_FDS), 0);
        assert_int_equal(channel_receive(b, 1000, &in, received, CHANNEL_MAX_FDS, &n), 0);
        assert_int_equal(n, CHANNEL_MAX_FDS);
        for (size_t i = 0; i < n; i++) {
                struct stat want, have;

                assert_true(fcntl(received[i], F_GETFD) & FD_CLOEXEC);
                assert_int_equal(fstat(fds[i], &want), 0);
                assert_int_equal(fstat(received[i], &have), 0);
                assert_true(want.st_ino == have.st_ino);
        }
        fd_close_many(received, n);
}

/* What the first process says when it fails while "go" is on its way to it. */
static void test_channel_last_words(void **state)
{
        struct channel_message out = { .type = 1 }, in = { .type = 42 };
        int a CLEANUP_FD = -1, b CLEANUP_FD = -1;

        (void) state;
        assert_int_equal(channel_pair(&a, &b), 0);
        assert_int_equal(channel_send(a, &out, NULL, 0), 0);
        (void) strcpy(out.text, "last words");
        assert_int_equal(channel_send(b, &out, NULL, 0), 0);
        b = fd_close(b);
        assert_int_equal(channel_receive(a, 0, &in, NULL, 0, NULL), 0);
        assert_string_equal(in.text, "last words");
        assert_int_equal(channel_receive(a, 0, &in, NULL, 0, NULL), -EPIPE);

        a = fd_close(a);
        assert_int_equal(channel_pair(&a, &b), 0);
        assert_int_equal(channel_send(a, &out, NULL, 0), 0);
        assert_false(channel_peer_is_gone(a));
        b = fd_close(b);
        assert_true(channel_peer_is_gone(a));
}

static void test_channel_failures(void **state)
{
        struct channel_message out = { .type = 1 }, in = { .type = 42 };
        int a CLEANUP_FD = -1, b CLEANUP_FD = -1, fds[CHANNEL_MAX_FDS + 1], received[2] = { -7 };
        char garbage[sizeof(struct channel_message) + 100];
        size_t n = 99, before;

        (void) state;
        assert_int_equal(channel_pair(&a, &b), 0);
        before = count_fds();
        assert_int_equal(channel_receive(b, 0, &in, NULL, 0, &n), -ETIMEDOUT);
        assert_int_equal(channel_receive(b, 5, &in, NULL, 0, &n), -ETIMEDOUT);

        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                fds[i] = a;
        assert_int_equal(channel_send(a, &out, fds, CHANNEL_MAX_FDS + 1), -E2BIG);
        assert_int_equal(channel_receive(b, 0, &in, NULL, 0, &n), -ETIMEDOUT);
        assert_int_equal(channel_send(a, &out, fds, 3), 0);
        assert_int_equal(channel_receive(b, 1000, &in, received, 2, &n), -EPROTO);
        assert_int_equal(channel_send(a, &out, fds, 1), 0);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        assert_int_equal(channel_send(a, &out, &(int){ -1 }, 1), -EBADF);

        /* Too short, without the end of its text, too long. */
        memset(garbage, 'x', sizeof(garbage));
        assert_int_equal(send(a, garbage, 1, 0), 1);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        assert_int_equal(send(a, garbage, offsetof(struct channel_message, text), 0),
                         offsetof(struct channel_message, text));
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        assert_int_equal(send(a, garbage, 100, 0), 100);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        assert_int_equal(send(a, garbage, sizeof(struct channel_message), 0),
                         sizeof(struct channel_message));
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        memset(garbage, 0, sizeof(garbage));
        assert_int_equal(send(a, garbage, sizeof(garbage), 0), sizeof(garbage));
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPROTO);
        assert_true(send(a, garbage, 0, 0) == 0); /* looks like the end: an error in any case */
        assert_true(channel_receive(b, 1000, &in, NULL, 0, &n) < 0);

        assert_int_equal(in.type, 42);
        assert_int_equal(n, 99);
        assert_int_equal(count_fds(), before);

        /* What was said before the end still counts. */
        assert_int_equal(channel_send(a, &out, NULL, 0), 0);
        a = fd_close(a);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), 0);
        assert_int_equal(channel_receive(b, 1000, &in, NULL, 0, &n), -EPIPE);
        assert_int_equal(channel_receive(b, 0, &in, NULL, 0, &n), -EPIPE);
        assert_int_equal(channel_receive(b, -1, &in, NULL, 0, &n), -EPIPE);
        assert_int_equal(channel_send(b, &out, NULL, 0), -EPIPE);
}

/* ---- lock.h ------------------------------------------------------------------------------ */

static void test_lock(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        struct lock_file first CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        struct lock_file second CLEANUP_LOCK_FILE = LOCK_FILE_NULL;
        char *path CLEANUP_FREE = NULL, *link CLEANUP_FREE = NULL;
        pid_t holder = -1;

        (void) state;
        directory_make(&d);
        path = path_join(d.path, "lock");
        link = path_join(d.path, "link");
        lock_file_release(&first); /* an empty one */

        assert_int_equal(lock_file_acquire(path, LOCK_EXCLUSIVE, &first, NULL), 0);
        assert_true(fcntl(first.fd, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(lock_file_acquire(path, LOCK_EXCLUSIVE, &second, &holder), -EBUSY);
        assert_true(holder == getpid() || holder == 0);
        assert_int_equal(lock_file_acquire(path, LOCK_SHARED, &second, NULL), -EBUSY);
        assert_null(second.path);
        assert_int_equal(second.fd, -1);
        assert_int_equal(access(path, F_OK), 0); /* those who failed did not remove it */
        lock_file_release(&first);
        assert_int_equal(first.fd, -1);
        assert_int_equal(access(path, F_OK), -1);

        assert_int_equal(lock_file_acquire(path, LOCK_SHARED, &first, NULL), 0);
        assert_int_equal(lock_file_acquire(path, LOCK_SHARED, &second, NULL), 0);
        lock_file_release(&first);
        assert_int_equal(access(path, F_OK), 0);
        assert_int_equal(lock_file_acquire(path, LOCK_EXCLUSIVE, &first, NULL), -EBUSY);
        lock_file_release(&second);
        assert_int_equal(access(path, F_OK), -1);

        /* A file that lies there locks nobody out; a link is not followed. */
        assert_int_equal(create_file_at(AT_FDCWD, path, 0600, ""), 0);
        assert_int_equal(symlink(path, link), 0);
        assert_int_equal(lock_file_acquire(link, LOCK_EXCLUSIVE, &first, NULL), -ELOOP);
        assert_int_equal(lock_file_acquire(path, LOCK_EXCLUSIVE, &first, NULL), 0);
        lock_file_release(&first);

        assert_int_equal(lock_file_acquire_waiting(path, &first), 0);
        lock_file_release(&first);
        assert_int_equal(access(path, F_OK), 0); /* not ours to remove */
        assert_int_equal(lock_file_acquire("/proc/nowhere/lock", LOCK_SHARED, &first, NULL),
                         -ENOENT);
}

/* ---- root.h ------------------------------------------------------------------------------ */

/* A tree with every kind of way out, beside a file that nobody may reach. */
static void make_hostile_tree(const struct directory *d, char *outside, size_t size)
{
        static const struct {
                const char *path, *target; /* NULL: a directory */
        } rows[] = {
                { "root", NULL },
                { "root/etc", NULL },
                { "root/dir", NULL },
                { "root/absolute", "/etc" },
                { "root/up", "../../../../../../../../../../etc" },
                { "root/dir/up", "../../../../../etc" },
                { "root/loop", "loop" },
                { "root/dangling", "/nowhere" },
                { "root/dir/deep", "/absolute" },
                { "root/proc-root", "/proc/self/root/etc" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
                assert_int_equal(rows[i].target ? symlinkat(rows[i].target, d->fd, rows[i].path)
                                                : mkdirat(d->fd, rows[i].path, 0755),
                                 0);
        assert_int_equal(create_file_at(d->fd, "root/etc/passwd", 0644, "inside"), 0);
        assert_int_equal(create_file_at(d->fd, "secret", 0600, "outside"), 0);
        assert_true((size_t) snprintf(outside, size, "%s/secret", d->path) < size);
        assert_int_equal(symlinkat(outside, d->fd, "root/secret"), 0);
        assert_int_equal(symlinkat("../secret", d->fd, "root/up-secret"), 0);
        assert_int_equal(symlinkat(d->path, d->fd, "root/parent"), 0);
        assert_int_equal(mkfifoat(d->fd, "root/fifo", 0600), 0);
}

static void test_root_open(void **state)
{
        static const struct {
                const char *path;
                int r; /* 0: it is the passwd of the tree */
        } rows[] = {
                { "/etc/passwd", 0 },
                { "etc/passwd", 0 },
                { "absolute/passwd", 0 },
                { "up/passwd", 0 },
                { "dir/up/passwd", 0 },
                { "dir/deep/passwd", 0 },
                { "../../../../etc/passwd", 0 },
                { "/dir/../../../etc/passwd", 0 },
                { "secret", -ENOENT },
                { "up-secret", -ENOENT },
                { "../secret", -ENOENT },
                { "parent/secret", -ENOENT },
                { "dangling", -ENOENT },
                { "proc-root/passwd", -ENOENT },
                { "loop", -ELOOP },
                { "loop/passwd", -ELOOP },
                { "etc/passwd/x", -ENOTDIR },
                { "", -ENOENT },
                { "fifo", -EBADF },
                { "dir", -EBADF },
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        char outside[PATH_MAX];
        int root CLEANUP_FD = -1, link CLEANUP_FD = -1;
        struct stat st;

        (void) state;
        directory_make(&d);
        make_hostile_tree(&d, outside, sizeof(outside));
        root = openat(d.fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *text CLEANUP_FREE = NULL;
                size_t size = 0;
                int r = root_read_file(root, rows[i].path, 6, &text, &size);

                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].path, r);
                if (r < 0)
                        continue;
                assert_int_equal(size, 6);
                assert_string_equal(text, "inside");
        }
        assert_int_equal(root_read_file(root, "/etc/passwd", 5, NULL, NULL), -EFBIG);
        link = root_open_path(root, "secret", ROOT_NOFOLLOW);
        assert_true(link >= 0);
        assert_int_equal(fstat(link, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(root_open_path(root, "secret", ROOT_FOLLOW), -ENOENT);
}

/* A magic link leads out although it has no path: descriptors of the host. */
static void test_root_magic_links(void **state)
{
        int root CLEANUP_FD = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        char path[64];

        (void) state;
        (void) snprintf(path, sizeof(path), "/proc/%d/root/etc", (int) getpid());
        assert_int_equal(root_open(root, path, O_RDONLY, 0), -ELOOP);
        (void) snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int) getpid(), root);
        assert_int_equal(root_open(root, path, O_RDONLY, 0), -ELOOP);
}

static void test_root_parent(void **state)
{
        static const struct {
                const char *path;
                int r;
                const char *name;
        } rows[] = {
                { "/etc/passwd", 0, "passwd" },
                { "/etc/new", 0, "new" },
                { "new", 0, "new" },
                { "/new", 0, "new" },
                { "absolute/x", 0, "x" },
                { "up/x", 0, "x" },
                { "/", -EINVAL, NULL },
                { "", -EINVAL, NULL },
                { "..", -EINVAL, NULL },
                { "/etc/..", -EINVAL, NULL },
                { "/etc/.", -EINVAL, NULL },
                { "/no/new", -ENOENT, NULL },
                { "loop/x", -ELOOP, NULL },
                { "etc/passwd/x", -ENOTDIR, NULL },
                { "parent/secret", -ENOENT, NULL },
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        char outside[PATH_MAX];
        int root CLEANUP_FD = -1;

        (void) state;
        directory_make(&d);
        make_hostile_tree(&d, outside, sizeof(outside));
        root = openat(d.fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *name = NULL;
                int fd CLEANUP_FD = root_open_parent(root, rows[i].path, &name);

                if (rows[i].r < 0 ? fd != rows[i].r : fd < 0)
                        fail_msg("'%s': %d", rows[i].path, fd);
                if (rows[i].name)
                        assert_string_equal(name, rows[i].name);
        }
}

static void test_root_make(void **state)
{
        static const struct {
                bool directory;
                const char *path;
                int r;
                const char *made; /* where it must be, in the tree */
        } rows[] = {
                { true, "/new/a/b", 0, "root/new/a/b" },
                { true, "/new/a/b", 0, "root/new/a/b" },
                { true, "absolute/x", 0, "root/etc/x" },
                { true, "up/y/z", 0, "root/etc/y/z" },
                { true, "../../w", 0, "root/w" },
                { true, "/", 0, "root" },
                { true, "etc/passwd", -ENOTDIR, NULL },
                { true, "etc/passwd/x", -ENOTDIR, NULL },
                { true, "loop/x", -ELOOP, NULL },
                { false, "/file/a/b", 0, "root/file/a/b" },
                { false, "/file/a/b", 0, "root/file/a/b" },
                { false, "dir/deep/f", 0, "root/etc/f" },
                { false, "dangling", 0, "root/nowhere" },
                { false, "etc/passwd", 0, "root/etc/passwd" },
                { false, "fifo", 0, "root/fifo" }, /* existing things stay, and nobody blocks */
                { false, "etc/passwd/x", -ENOTDIR, NULL },
                { false, "loop", -ELOOP, NULL },
        };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        char outside[PATH_MAX];
        char *text CLEANUP_FREE = NULL;
        int root CLEANUP_FD = -1, fd CLEANUP_FD = -1;
        struct stat st, want;

        (void) state;
        directory_make(&d);
        make_hostile_tree(&d, outside, sizeof(outside));
        root = openat(d.fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        (void) umask(022);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                int made CLEANUP_FD = rows[i].directory
                                              ? root_make_directory(root, rows[i].path, 0755, 0)
                                              : root_make_file(root, rows[i].path, 0);

                if (rows[i].r < 0 ? made != rows[i].r : made < 0)
                        fail_msg("'%s': %d", rows[i].path, made);
                if (rows[i].r < 0)
                        continue;
                assert_int_equal(fcntl(made, F_GETFL) & O_PATH, O_PATH);
                assert_int_equal(fstat(made, &st), 0);
                assert_int_equal(fstatat(d.fd, rows[i].made, &want, AT_SYMLINK_NOFOLLOW), 0);
                assert_true(st.st_ino == want.st_ino && st.st_dev == want.st_dev);
        }
        /* Links to what does not exist: not made outside, whatever the answer is. */
        fd = root_make_directory(root, "dangling/x", 0755, 0);
        fd = fd_close(fd);
        fd = root_make_file(root, "secret", 0);
        assert_int_equal(fstatat(d.fd, "secret", &st, 0), 0);
        assert_int_equal(read_file_at(d.fd, "secret", 100, &text, NULL), 0);
        assert_string_equal(text, "outside");
        assert_int_equal(access("/nowhere", F_OK), -1);
        assert_int_equal(fstatat(d.fd, "root/etc/passwd", &st, 0), 0);
        assert_int_equal(st.st_size, 6);
        assert_int_equal(fstatat(d.fd, "root/new/a", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0755);
        assert_int_equal(fstatat(d.fd, "root/file/a/b", &st, 0), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
}

/* Owners are the container's root also on the parents; needs the right to give files away. */
static void test_root_owners(void **state)
{
        static const char *const made[] = { "a", "a/b", "a/b/c", "f", "f/file" };
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        int directory CLEANUP_FD = -1, file CLEANUP_FD = -1;

        (void) state;
        if (geteuid() != 0)
                skip();
        directory_make(&d);
        directory = root_make_directory(d.fd, "/a/b/c", 0700, 524288);
        if (directory == -EPERM || directory == -EINVAL)
                skip(); /* root, but of a small user namespace */
        file = root_make_file(d.fd, "/f/file", 524288);
        assert_true(directory >= 0 && file >= 0);
        for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
                struct stat st;

                assert_int_equal(fstatat(d.fd, made[i], &st, AT_SYMLINK_NOFOLLOW), 0);
                assert_int_equal(st.st_uid, 524288);
                assert_int_equal(st.st_gid, 524288);
        }
}

/* ---- fd.h, io.h, process.h --------------------------------------------------------------- */

static void test_close_others(void **state)
{
        enum { FIRST = 900 };
        static const struct {
                int first, keep;
                bool open[4];
        } rows[] = {
                { FIRST, FIRST + 2, { false, false, true, false } },
                { FIRST, FIRST, { true, false, false, false } },
                { FIRST + 1, FIRST + 1, { true, true, false, false } },
                { FIRST + 2, 0, { true, true, false, false } }, /* it is below, and stays anyway */
                { FIRST, -1, { false, false, false, false } },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                for (int k = 0; k < 4; k++) {
                        (void) close(FIRST + k);
                        assert_int_equal(dup2(1, FIRST + k), FIRST + k);
                }
                assert_int_equal(fd_close_others(rows[i].first, rows[i].keep), 0);
                for (int k = 0; k < 4; k++)
                        assert_int_equal(fcntl(FIRST + k, F_GETFD) >= 0, rows[i].open[k]);
        }
        (void) syscall(SYS_close_range, (unsigned) FIRST, ~0U, 0);
}

static void test_fds(void **state)
{
        int fds[7], n_open = 0, copy CLEANUP_FD = -1, above CLEANUP_FD = -1;
        size_t before = count_fds();

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
                fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
                assert_true(fds[i] >= 0);
        }
        /* Neither in order nor without holes, and only what was given. */
        int some[] = { fds[5], fds[0], fds[3], fds[1], fds[6] };

        errno = 4711;
        fd_close_many(some, ARRAY_SIZE(some));
        fd_close_many(some, 0);
        assert_int_equal(errno, 4711);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                n_open += fcntl(fds[i], F_GETFD) >= 0;
        assert_int_equal(n_open, 2);
        assert_true(fcntl(fds[2], F_GETFD) >= 0);
        assert_true(fcntl(fds[4], F_GETFD) >= 0);
        assert_int_equal(fd_close(fds[2]), -1);
        assert_int_equal(fd_close(fds[4]), -1);
        assert_int_equal(fd_close(-1), -1);
        assert_int_equal(fd_close(-EINVAL), -1);
        assert_int_equal(count_fds(), before);

        copy = fd_copy(0);
        assert_true(copy >= 3);
        assert_true(fcntl(copy, F_GETFD) & FD_CLOEXEC);
        assert_int_equal(fd_copy(-1), -EBADF);
        above = fd_above_stdio_take_fd(copy);
        assert_int_equal(above, copy);
        copy = -1;
}

static void test_files(void **state)
{
        struct directory d CLEANUP(directory_remove) = DIRECTORY_NULL;
        char *text CLEANUP_FREE = NULL, *deep CLEANUP_FREE = NULL;
        char buffer[4];
        size_t size = 0;
        struct stat st;

        (void) state;
        directory_make(&d);
        assert_int_equal(create_file_at(d.fd, "f", 0640, "one\ntwo"), 0);
        assert_int_equal(create_file_at(d.fd, "f", 0640, "x"), -EEXIST);
        assert_int_equal(fstatat(d.fd, "f", &st, 0), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(symlinkat("nowhere", d.fd, "link"), 0);
        assert_int_equal(create_file_at(d.fd, "link", 0640, "x"), -EEXIST);
        assert_int_equal(read_file_at(d.fd, "f", 7, &text, &size), 0);
        assert_int_equal(size, 7);
        assert_string_equal(text, "one\ntwo");
        assert_int_equal(read_file_at(d.fd, "f", 6, &deep, &size), -EFBIG);
        assert_null(deep);
        assert_int_equal(read_file_at(d.fd, "g", 6, &deep, &size), -ENOENT);
        assert_int_equal(read_text_at(d.fd, "f", buffer, sizeof(buffer)), 0);
        assert_string_equal(buffer, "one");
        assert_int_equal(read_line_at(d.fd, "f", buffer, sizeof(buffer)), 0);
        assert_string_equal(buffer, "one");
        assert_int_equal(write_file_at(d.fd, "g", "x"), -ENOENT);
        assert_int_equal(write_file_at(d.fd, "f", "ONE"), 0);

        deep = path_join(d.path, "a/b/c");
        assert_int_equal(make_directories(deep, 0755), 0);
        assert_int_equal(make_directories(deep, 0755), 0);
        assert_int_equal(fstatat(d.fd, "a/b/c", &st, 0), 0);
        assert_true(S_ISDIR(st.st_mode));
}

static void test_capture(void **state)
{
        static const struct {
                const char *script;
                size_t max;
                int r;
                const char *output;
        } rows[] = {
                { "printf hello", 100, 0, "hello" },
                { "printf hello", 5, 0, "hello" },
                { "printf hello", 4, -EFBIG, NULL },
                { "exit 3", 100, 3, "" },
                { "printf x; exit 255", 100, 255, "x" },
                { "kill -9 $$", 100, -ECHILD, NULL },
                { "while :; do echo y; done", 100000, -EFBIG, NULL },
                { "cat; ls /proc/self/fd | wc -l", 100, 0, "4\n" }, /* 0, 1, 2 and ls' own */
                { "printf %s \"$HOME\"", 100, 0, "" },
        };
        size_t before = count_fds();

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *argv[] = { (char *) "/bin/sh", (char *) "-c", (char *) rows[i].script, NULL };
                char *output CLEANUP_FREE = NULL;
                size_t size = 0;
                int r = process_capture(argv, rows[i].max, &output, &size);

                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].script, r);
                if (r < 0) {
                        assert_null(output);
                        continue;
                }
                assert_string_equal(output, rows[i].output);
                assert_int_equal(size, strlen(rows[i].output));
        }
        char *nowhere[] = { (char *) "/no/such/program", NULL };
        char *output CLEANUP_FREE = NULL;

        assert_int_equal(process_capture(nowhere, 100, &output, NULL), 127);
        assert_int_equal(count_fds(), before);
}

static void test_time_offsets(void **state)
{
        static const struct {
                const char *inherited;
                struct clock_readings begin;
                const char *text; /* NULL: no such text */
        } rows[] = {
                { "monotonic           0         0\nboottime            0         0\n",
                  { { 0, 0 }, { 0, 0 } },
                  "monotonic 0 0\nboottime 0 0\n" },
                { "monotonic 0 0\nboottime 0 0\n",
                  { { 5, 0 }, { 7, 0 } },
                  "monotonic -5 0\nboottime -7 0\n" },
                { "monotonic 0 0\nboottime 0 0\n",
                  { { 0, 1 }, { 1, 999999999 } },
                  "monotonic -1 999999999\nboottime -2 1\n" },
                { "monotonic 0 0\nboottime 0 0\n",
                  { { 99, 250000000 }, { 100, 500000000 } },
                  "monotonic -100 750000000\nboottime -101 500000000\n" },
                /* In a time namespace whose clocks are behind, and before. */
                { "monotonic -1000 500000000\nboottime -2000 0\n",
                  { { 3, 750000000 }, { 4, 0 } },
                  "monotonic -1004 750000000\nboottime -2004 0\n" },
                { "monotonic 100000 0\nboottime 100000 1\n",
                  { { 100050, 0 }, { 100060, 1 } },
                  "monotonic -50 0\nboottime -60 0\n" },
                { "", { { 0, 0 }, { 0, 0 } }, NULL },
                { "monotonic 0 0\n", { { 0, 0 }, { 0, 0 } }, NULL },
                { "monotonic 0\nboottime x\n", { { 0, 0 }, { 0, 0 } }, NULL },
                { "monotonic 9223372036854775807 0\nboottime 0 0\n", { { 0, 0 }, { 0, 0 } }, NULL },
                { "monotonic 0 1000000000\nboottime 0 0\n", { { 0, 0 }, { 0, 0 } }, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char text[TIME_OFFSETS_TEXT_SIZE];
                int r;

                (void) snprintf(text, sizeof(text), "%s", rows[i].inherited);
                r = time_namespace_offsets(&rows[i].begin, text);
                assert_int_equal(r, rows[i].text ? 0 : -EBADMSG);
                if (rows[i].text)
                        assert_string_equal(text, rows[i].text);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_time_offsets),
                cmocka_unit_test(test_ulong),
                cmocka_unit_test(test_long),
                cmocka_unit_test(test_boolean),
                cmocka_unit_test(test_amounts),
                cmocka_unit_test(test_uid),
                cmocka_unit_test(test_cpu_list),
                cmocka_unit_test(test_cpu_mask),
                cmocka_unit_test(test_env_names),
                cmocka_unit_test(test_signals),
                cmocka_unit_test(test_strv),
                cmocka_unit_test(test_strv_environment),
                cmocka_unit_test(test_strv_split),
                cmocka_unit_test(test_strbuf),
                cmocka_unit_test(test_json),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_path_relations),
                cmocka_unit_test(test_id128),
                cmocka_unit_test(test_siphash),
                cmocka_unit_test(test_idmap),
                cmocka_unit_test(test_idmap_window),
                cmocka_unit_test(test_idmap_count),
                cmocka_unit_test(test_caps),
                cmocka_unit_test(test_failure),
                cmocka_unit_test(test_channel),
                cmocka_unit_test(test_channel_last_words),
                cmocka_unit_test(test_channel_failures),
                cmocka_unit_test(test_lock),
                cmocka_unit_test(test_root_open),
                cmocka_unit_test(test_root_magic_links),
                cmocka_unit_test(test_root_parent),
                cmocka_unit_test(test_root_make),
                cmocka_unit_test(test_root_owners),
                cmocka_unit_test(test_fds),
                cmocka_unit_test(test_close_others),
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_capture),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
