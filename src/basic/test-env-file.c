/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basic/env-file.h"
#include "basic/fd.h"
#include "basic/io.h"

/* ---- env-file.h: reading ----------------------------------------------------------------- */

static void test_os_release(void **state)
{
        static const char text[] = "# a comment\n"
                                   "; another one\n"
                                   "ID=debian\n"
                                   "NAME=\"Debian GNU/Linux\"\n"
                                   "VARIANT='It is $HOME \\n'\n"
                                   "ESCAPED=\"a \\\"b\\\" \\$c \\\\\"\n"
                                   "EMPTY=\n"
                                   "EMPTY_QUOTED=\"\"\n"
                                   "NO_EQUALS\n"
                                   "\n"
                                   "  CRLF=windows \r\n"
                                   "ID=later\n"
                                   "ID_LIKE=last";
        static const struct {
                const char *name, *value;
        } rows[] = {
                { "ID", "later" },
                { "NAME", "Debian GNU/Linux" },
                { "VARIANT", "It is $HOME \\n" },
                { "ESCAPED", "a \"b\" $c \\" },
                { "EMPTY", "" },
                { "EMPTY_QUOTED", "" },
                { "NO_EQUALS", NULL },
                { "CRLF", "windows" },
                { "ID_LIKE", "last" },
                { "I", NULL },
                { "IDS", NULL },
                { "LIKE", NULL },
                { "", NULL },
        };
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };

        (void) state;
        assert_int_equal(env_file_parse(text, strlen(text), &file), 0);
        assert_int_equal(file.n, 9);
        assert_int_equal(file.bad_line, 9);
        assert_string_equal(file.items[0].value, "debian"); /* all of them, in their order */
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                const char *value = env_file_get(&file, rows[i].name);

                if (!value != !rows[i].value)
                        fail_msg("'%s'", rows[i].name);
                if (value)
                        assert_string_equal(value, rows[i].value);
        }
}

/* What one line, or what follows it, means. */
static void test_lines(void **state)
{
        static const struct {
                const char *text;
                const char *a, *b; /* NULL: not there */
                size_t bad_line;
        } rows[] = {
                { "", NULL, NULL, 0 },
                { "\n\n", NULL, NULL, 0 },
                { "A=1\nB=2\n", "1", "2", 0 },
                { "A = 1 \t\n  B\t=\t2", "1", "2", 0 },
                { "A= b c  d \n", "b c  d", NULL, 0 },
                { "A=b\\ \n", "b ", NULL, 0 },
                { "A=' b '\n", " b ", NULL, 0 },
                { "A=\"x\"'y'z\n", "xyz", NULL, 0 },
                { "A=\"x\" y\n", "x y", NULL, 0 },
                { "A=it\\'s\n", "it's", NULL, 0 },
                { "A=\"it's\"\n", "it's", NULL, 0 },
                { "A='\\'\nB=2\n", "\\", "2", 0 },
                { "A=\"\\n \\a \\`\\$\"\n", "\\n \\a `$", NULL, 0 },
                { "A=\\n\\a\n", "na", NULL, 0 },
                { "A=a#b;c\n", "a#b;c", NULL, 0 },
                { "A=b=c\n", "b=c", NULL, 0 },
                { "A=one\\\ntwo\nB=2\n", "onetwo", "2", 0 },
                { "A=\"one\\\ntwo\"\n", "onetwo", NULL, 0 },
                { "A=\"one\ntwo\"\nB=2\n", "one\ntwo", "2", 0 },
                { "A='one\\\ntwo'\n", "one\\\ntwo", NULL, 0 },
                { "A=\\", "\\", NULL, 0 },
                { "A=b\\", "b\\", NULL, 0 },
                { "A=", "", NULL, 0 },
                { "A=1\nA=\n", "", NULL, 0 },
                { "A", NULL, NULL, 1 },
                { "=1\nB=2\n", NULL, "2", 1 },
                { "export A=1\nB=2\n", NULL, "2", 1 },
                { "1A=1\nB=2\n", NULL, "2", 1 },
                { "A-B=1\nB=2\n", NULL, "2", 1 },
                { "\xc3\xa4=1\nB=2\n", NULL, "2", 1 },
                { "A=\xc3\xa4\n", "\xc3\xa4", NULL, 0 },
                { "A=\xff\nB=2\n", NULL, "2", 1 },
                { "A=\xed\xa0\x80\nB=2\n", NULL, "2", 1 },
                { "B=2\n\nA='1\n\n", NULL, "2", 3 },
                { "B=2\nA=\"1", NULL, "2", 2 },
                { "A=\"1\\\"\nB=2", NULL, NULL, 1 },
                { "A='1\n2\n3'\nx\nB=2", "1\n2\n3", "2", 4 },
                { "A=1\\\n2\nx\ny\nB=2", "12", "2", 3 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
                const char *expected[] = { rows[i].a, rows[i].b };
                const char *names[] = { "A", "B" };

                assert_int_equal(env_file_parse(rows[i].text, strlen(rows[i].text), &file), 0);
                for (size_t k = 0; k < 2; k++) {
                        const char *value = env_file_get(&file, names[k]);

                        if (!value != !expected[k] || (value && !streq(value, expected[k])))
                                fail_msg("'%s': %s is '%s'", rows[i].text, names[k],
                                         value ? value : "not there");
                }
                if (file.bad_line != rows[i].bad_line)
                        fail_msg("'%s': line %zu", rows[i].text, file.bad_line);
        }
}

static void test_limits(void **state)
{
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        assert_int_equal(env_file_parse(NULL, 0, &file), 0);
        assert_int_equal(file.n, 0);
        env_file_done(&file);
        assert_int_equal(env_file_parse("A=1\0B=2\n", 8, &file), -EBADMSG);
        assert_null(file.text); /* untouched */

        for (size_t i = 0; i < ENV_FILE_MAX_ITEMS; i++)
                strbuf_add(&b, "A=1\n");
        assert_int_equal(env_file_parse(b.text, b.length, &file), 0);
        assert_int_equal(file.n, ENV_FILE_MAX_ITEMS);
        env_file_done(&file);
        strbuf_add(&b, "A=1\n");
        assert_int_equal(env_file_parse(b.text, b.length, &file), -E2BIG);

        strbuf_done(&b);
        strbuf_add(&b, "A=");
        while (b.length < ENV_FILE_MAX_SIZE)
                strbuf_add(&b, "x");
        assert_int_equal(env_file_parse(b.text, b.length, &file), 0);
        assert_int_equal(strlen(env_file_get(&file, "A")), ENV_FILE_MAX_SIZE - 2);
        strbuf_add(&b, "x");
        assert_int_equal(env_file_parse(b.text, b.length, &file), -EFBIG);
}

/* ---- env-file.h: writing ----------------------------------------------------------------- */

static void test_add(void **state)
{
        static const struct {
                const char *value, *line;
        } rows[] = {
                { "", "A=\n" },
                { "machine-web.scope", "A=machine-web.scope\n" },
                { "/var/lib/machines/web", "A=/var/lib/machines/web\n" },
                { "3 5", "A=\"3 5\"\n" },
                { "machine-a\\x2db.scope", "A=\"machine-a\\\\x2db.scope\"\n" },
                { "a\"b`c$d'e", "A=\"a\\\"b\\`c\\$d'e\"\n" },
                { "#x", "A=\"#x\"\n" },
                { "one\ntwo\r\n", "A=\"one\ntwo\r\n\"\n" },
                { " ", "A=\" \"\n" },
                { "\xc3\xa4", "A=\"\xc3\xa4\"\n" },
                { "\xff", NULL },
                { "cut \xc3", NULL },
        };
        static const char *const bad_names[] = { "", "1", "A B", "A=", "A\n", "\xc3\xa4" };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
                struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
                int r = env_file_add(&out, "A", rows[i].value);

                assert_int_equal(r, rows[i].line ? 0 : -EINVAL);
                assert_string_equal(strbuf_text(&out), rows[i].line ? rows[i].line : "");
                if (r < 0)
                        continue;
                assert_int_equal(env_file_parse(out.text, out.length, &file), 0);
                assert_int_equal(file.n, 1);
                assert_string_equal(env_file_get(&file, "A"), rows[i].value);
        }
        for (size_t i = 0; i < ARRAY_SIZE(bad_names); i++) {
                struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

                assert_int_equal(env_file_add(&out, bad_names[i], "1"), -EINVAL);
                assert_string_equal(strbuf_text(&out), "");
        }
}

/* ---- io.h: replace_file_at() ------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
        DIR *dir = opendir(path);
        size_t n = 0;

        assert_non_null(dir);
        for (const struct dirent *entry; (entry = readdir(dir));)
                n += !streq(entry->d_name, ".") && !streq(entry->d_name, "..");
        (void) closedir(dir);
        return n;
}

static void test_replace_file(void **state)
{
        char path[PATH_MAX], long_name[NAME_MAX + 1], text[32];
        const char *base = getenv("TMPDIR");
        int fd CLEANUP_FD = -1, old_fd CLEANUP_FD = -1;
        struct stat st;
        mode_t mask;

        (void) state;
        (void) snprintf(path, sizeof(path), "%s/test-env-file-XXXXXX", base ? base : "/tmp");
        assert_non_null(mkdtemp(path));
        fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
        assert_true(fd >= 0);

        mask = umask(077);
        assert_int_equal(replace_file_at(fd, "web", 0644, "A=1\n"), 0);
        (void) umask(mask);
        assert_int_equal(fstatat(fd, "web", &st, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        old_fd = openat(fd, "web", O_RDONLY | O_CLOEXEC);

        /* Who has it open keeps the old one; a link is replaced, not followed. */
        assert_int_equal(replace_file_at(fd, "web", 0600, "A=2\n"), 0);
        assert_int_equal(read_text_at(fd, "web", text, sizeof(text)), 0);
        assert_string_equal(text, "A=2\n");
        assert_int_equal(read(old_fd, text, sizeof(text)), 4);
        assert_memory_equal(text, "A=1\n", 4);
        assert_int_equal(symlinkat("web", fd, "link"), 0);
        assert_int_equal(replace_file_at(fd, "link", 0644, ""), 0);
        assert_int_equal(read_text_at(fd, "web", text, sizeof(text)), 0);
        assert_string_equal(text, "A=2\n");
        assert_int_equal(count_entries(path), 2);

        /* What fails leaves nothing. */
        assert_int_equal(mkdirat(fd, "directory", 0755), 0);
        assert_true(replace_file_at(fd, "directory", 0644, "x") < 0);
        memset(long_name, 'x', NAME_MAX);
        long_name[NAME_MAX] = '\0';
        assert_int_equal(replace_file_at(fd, long_name, 0644, "x"), -ENAMETOOLONG);
        assert_int_equal(replace_file_at(fd, "no/such", 0644, "x"), -ENOENT);
        assert_int_equal(count_entries(path), 3);

        assert_int_equal(unlinkat(fd, "web", 0), 0);
        assert_int_equal(unlinkat(fd, "link", 0), 0);
        assert_int_equal(unlinkat(fd, "directory", AT_REMOVEDIR), 0);
        assert_int_equal(rmdir(path), 0);
}

/* ---- strbuf.h: UTF-8 --------------------------------------------------------------------- */

static void test_utf8(void **state)
{
        static const struct {
                const char *text;
                size_t length;
        } rows[] = {
                { "", 1 }, /* the NUL byte is a character */
                { "a", 1 },
                { "\xc3\xa4", 2 },
                { "\xe2\x82\xac", 3 },
                { "\xf0\x9f\x98\x80", 4 },
                { "\xf4\x8f\xbf\xbf", 4 },
                { "\xf4\x90\x80\x80", 0 }, /* behind the last one */
                { "\xc0\x80", 0 },         /* longer than needed */
                { "\xe0\x80\x80", 0 },
                { "\xf0\x80\x80\x80", 0 },
                { "\xed\xa0\x80", 0 }, /* half of a pair */
                { "\x80", 0 },
                { "\xc3", 0 },
                { "\xe2\x82", 0 },
                { "\xff", 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                size_t n = utf8_length((const unsigned char *) rows[i].text);

                if (n != rows[i].length)
                        fail_msg("row %zu: %zu", i, n);
                assert_int_equal(utf8_is_valid(rows[i].text), rows[i].length > 0);
        }
        assert_true(utf8_is_valid("a\xc3\xa4\xe2\x82\xac!"));
        assert_false(utf8_is_valid("a\xc3\xa4\xe2\x82!"));
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_os_release),   cmocka_unit_test(test_lines),
                cmocka_unit_test(test_limits),       cmocka_unit_test(test_add),
                cmocka_unit_test(test_replace_file), cmocka_unit_test(test_utf8),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
