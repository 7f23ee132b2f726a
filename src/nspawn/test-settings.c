/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <time.h>

#include "basic/strbuf.h"
#include "nspawn/settings-file.h"

static const char *const sections[] = { "Exec", "Files", "Network", NULL };

/* ---- the parser -------------------------------------------------------------------------- */

/* A file as text: "2 Exec User=a|4 no-equals", one part for each line that means something. */
static char *describe(const struct settings_file *file)
{
        static const char *const names[] = {
                [LINE_ASSIGNMENT] = "",           [LINE_UNKNOWN_SECTION] = "unknown-section ",
                [LINE_NO_SECTION] = "no-section", [LINE_NO_EQUALS] = "no-equals",
                [LINE_NO_KEY] = "no-key",
        };
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *l = &file->lines[i];

                strbuf_addf(&b, "%s%u %s", i ? "|" : "", l->number, names[l->kind]);
                if (l->kind == LINE_ASSIGNMENT)
                        strbuf_addf(&b, "%s %s=%s", l->section, l->key, l->value);
                else if (l->kind == LINE_UNKNOWN_SECTION)
                        strbuf_add(&b, l->key);
        }
        return b.length ? strbuf_take(&b) : strdup("");
}

struct text_row {
        const char *text;
        size_t size; /* with NUL bytes in it */
        int r;
        const char *expected; /* lines; of a failure, words of the sentence */
};

#define TEXT(t) (t), sizeof(t) - 1

static const struct text_row text_rows[] = {
        { TEXT(""), 0, "" },
        { TEXT("\n\n"), 0, "" },
        { TEXT("[Exec]\nUser=a\n"), 0, "2 Exec User=a" },
        { TEXT("[Exec]\nUser=a"), 0, "2 Exec User=a" },
        { TEXT("[Exec]\nA=1\n[Files]\nA=2\n[Exec]\nA=3"), 0, "2 Exec A=1|4 Files A=2|6 Exec A=3" },
        /* Line ends. */
        { TEXT("[Exec]\r\nA=1\r\nA=2\r\n"), 0, "2 Exec A=1|3 Exec A=2" },
        { TEXT("[Exec]\rA=1\rA=2\r"), 0, "2 Exec A=1|3 Exec A=2" },
        { TEXT("[Exec]\nA=1\0A=2\n"), 0, "2 Exec A=1|3 Exec A=2" },
        { TEXT("[Exec]\nA=1\n\rA=2\r\rA=3\n\nA=4\r\n\rA=5\0\0A=6\n\0A=7\r\n\0A=8"), 0,
          "2 Exec A=1|3 Exec A=2|5 Exec A=3|7 Exec A=4|9 Exec A=5|11 Exec A=6|12 Exec A=7|13 Exec "
          "A=8" },
        /* White space. */
        { TEXT("  [Exec]  \n\tA =\t 1 2 \t\n"), 0, "2 Exec A=1 2" },
        { TEXT("[Exec]\n\fA=1\f\n"), 0, "2 Exec \fA=1\f" },
        { TEXT("[Exec]\nA=\nB= \n"), 0, "2 Exec A=|3 Exec B=" },
        { TEXT("[Exec]\nA==b=\n"), 0, "2 Exec A==b=" },
        { TEXT("\xef\xbb\xbf[Exec]\n\xef\xbb\xbf\x41=1\n\xef\xbb\xbf# c\n\xef\xbb\xbf"), 0,
          "2 Exec A=1" },
        /* Comments. */
        { TEXT("# a\n;b\n \t# c\n[Exec]\n#d \\\nA=1 # e\n"), 0, "6 Exec A=1 # e" },
        { TEXT("#\xff\n[Exec]\nA=1"), 0, "3 Exec A=1" },
        /* Continued lines. */
        { TEXT("[Exec]\nA=1\\\n2\nB=3"), 0, "3 Exec A=1 2|4 Exec B=3" },
        { TEXT("[Exec]\nA=1 \\\n  2\n"), 0, "3 Exec A=1    2" },
        { TEXT("[Exec]\nA=1\\\\\nB=2"), 0, "2 Exec A=1\\\\|3 Exec B=2" },
        { TEXT("[Exec]\nA=1\\\\\\\nB=2"), 0, "3 Exec A=1\\\\ B=2" },
        { TEXT("[Exec]\nA=1\\\n# c \\\n; d\n2\n"), 0, "5 Exec A=1 2" },
        { TEXT("[Exec]\nA=1\\\n\nB=2\n"), 0, "3 Exec A=1|4 Exec B=2" },
        { TEXT("[Exec]\nA=1\\"), 0, "2 Exec A=1" },
        { TEXT("[Exec]\nA=1\\\n#"), 0, "3 Exec A=1" },
        { TEXT("[Exec]\n\\\nA=1"), 0, "3 Exec A=1" },
        { TEXT("[Exec]\nA=1\\\n\xef\xbb\xbf\x32"), 0, "3 Exec A=1 2" },
        { TEXT("\\\n\\\n\\\n\\"), 0, "" },
        { TEXT("[Exec]\nA=1\\\r\n2\\\0003"), 0, "4 Exec A=1 2 3" },
        /* What is ignored with a word, and without one. */
        { TEXT("[Foo]\nA=1\nx\n=\n[Exec]\nB=2"), 0, "1 unknown-section Foo|6 Exec B=2" },
        { TEXT("[X-Foo]\nA=1\nx\n[Exec]\nX-A=1\nX-=2"), 0, "" },
        { TEXT("[]\n[ Exec ]\n[exec]\nA=1"), 0,
          "1 unknown-section |2 unknown-section  Exec |3 unknown-section exec" },
        { TEXT("[Exec]\n[Foo\\\nbar]"), 0, "3 unknown-section Foo bar" },
        { TEXT("A=1\nx\n[Exec]"), 0, "1 no-section|2 no-section" },
        { TEXT("[Exec]\nx\n=1\n = \nA=1"), 0, "2 no-equals|3 no-key|4 no-key|5 Exec A=1" },
        /* What spoils the whole file. */
        { TEXT("[Exec]\nA=1\n[Files\n"), -EBADMSG, "a.nspawn:3" },
        { TEXT("[Exec] # c\n"), -EBADMSG, "a.nspawn:1" },
        { TEXT("[Exec]x"), -EBADMSG, "a.nspawn:1" },
        { TEXT("["), -EBADMSG, "a.nspawn:1" },
        { TEXT("[X-"), -EBADMSG, "a.nspawn:1" },
        { TEXT("[Exec]\nA=\xff\n"), -EILSEQ, "a.nspawn:2" },
        { TEXT("[Foo]\n\xff=1\n"), -EILSEQ, "a.nspawn:2" },
        { TEXT("[Exec]\nA=\xc0\x80"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xed\xa0\x80"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xf4\x90\x80\x80"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xef\xbf\xbe"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xef\xb7\x90"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xf0\x9f\xbf\xbf"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xe2\x82"), -EILSEQ, "UTF-8" },
        { TEXT("[Exec]\nA=\xe2\x82\xac\xf0\x9f\x98\x80"), 0,
          "2 Exec A=\xe2\x82\xac\xf0\x9f\x98\x80" },
};

static int parse(const char *text, size_t size, struct settings_file *file, struct failure *failure)
{
        /* Exactly as long as it says, so that a read beyond it is seen by the sanitizers. */
        char *copy CLEANUP_FREE = malloc(size ? size : 1);

        assert_non_null(copy);
        memcpy(copy, text, size);
        return settings_file_parse("a.nspawn", copy, size, sections, file, failure);
}

static void test_syntax(void **state)
{
        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(text_rows); i++) {
                struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
                struct failure failure = { .error = 0 };
                const struct text_row *row = &text_rows[i];
                int r = parse(row->text, row->size, &file, &failure);

                if (r != row->r)
                        fail_msg("%s: %d", row->text, r);
                if (r < 0) {
                        assert_int_equal(failure.error, r);
                        assert_non_null(strstr(failure.text, row->expected));
                } else {
                        char *found CLEANUP_FREE = describe(&file);

                        assert_string_equal(found, row->expected);
                }
        }
}

/* Every prefix of every text is a text: nothing depends on how a file ends. */
static void test_every_prefix(void **state)
{
        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(text_rows); i++) {
                for (size_t size = 0; size <= text_rows[i].size; size++) {
                        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
                        struct failure failure = { .error = 0 };
                        int r = parse(text_rows[i].text, size, &file, &failure);

                        assert_true((r < 0) == (failure.error != 0));
                        if (r < 0)
                                assert_null(file.text);
                }
        }
}

static char *repeat(const char *head, const char *body, size_t times, size_t *ret_size)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_add(&b, head);
        for (size_t i = 0; i < times; i++)
                strbuf_add(&b, body);
        *ret_size = b.length;
        return strbuf_take(&b);
}

/* Large files of one kind each: they are read to their end in a moment, or refused. */
static void test_sizes(void **state)
{
        static const struct {
                const char *head, *body;
                size_t times;
                int r;
                size_t n;
        } rows[] = {
                { "[Exec]\n", "A=1\n", SETTINGS_LINES_MAX, 0, SETTINGS_LINES_MAX },
                { "[Exec]\n", "A=1\n", SETTINGS_LINES_MAX + 1, -EFBIG, 0 },
                { "", "[a]\n", SETTINGS_LINES_MAX + 1, -EFBIG, 0 },
                { "[Exec]\n", "=\n", SETTINGS_LINES_MAX + 1, -EFBIG, 0 },
                { "[Exec]\n", "\n", SETTINGS_FILE_MAX - 7, 0, 0 },
                { "[Exec]\n", "\n", SETTINGS_FILE_MAX - 6, -EFBIG, 0 },
                { "[Exec]\nA=", "\\\n", SETTINGS_FILE_MAX / 2 - 10, 0, 1 },
                { "[Exec]\nA=", "\\", SETTINGS_FILE_MAX - 10, 0, 1 },
                { "[Exec]\nA=x\\\n", "#\n", SETTINGS_FILE_MAX / 2 - 10, 0, 1 },
                { "[Exec]\nA=", "x", SETTINGS_FILE_MAX - 10, 0, 1 },
                { "[Exec]\n", "X-A=1\n", SETTINGS_FILE_MAX / 6 - 2, 0, 0 },
                { "", "\xef\xbb\xbf", SETTINGS_FILE_MAX / 3, 0, 1 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
                struct failure failure = { .error = 0 };
                size_t size = 0;
                char *text CLEANUP_FREE = repeat(rows[i].head, rows[i].body, rows[i].times, &size);
                clock_t before = clock();
                int r = parse(text, size, &file, &failure);

                if (r != rows[i].r)
                        fail_msg("row %zu: %d %s", i, r, failure.text);
                assert_int_equal(file.n, rows[i].n);
                /* A square of a million would be minutes. */
                assert_true(clock() - before < 5 * CLOCKS_PER_SEC);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_syntax),
                cmocka_unit_test(test_every_prefix),
                cmocka_unit_test(test_sizes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
