/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "shared/names.h"

#define X10 "xxxxxxxxxx"
#define X60 X10 X10 X10 X10 X10 X10

static void test_hostnames(void **state)
{
        static const struct {
                const char *name;
                bool valid;
        } rows[] = {
                { "a", true },        { "web1", true },       { "a-b.c-d", true },
                { "A.B", true },      { "0", true },          { "a--b", true },
                { X60 "abcd", true }, { X60 "abcde", false }, { "", false },
                { "-a", false },      { "a-", false },        { ".a", false },
                { ".host", false },   { "a.", false },        { "a..b", false },
                { "a.-b", false },    { "a-.b", false },      { "my_image", false },
                { "a b", false },     { "a/b", false },       { "\xc3\xa4", false },
                { "a\n", false },     { "..", false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                if (hostname_is_valid(rows[i].name) != rows[i].valid)
                        fail_msg("'%s'", rows[i].name);
                assert_int_equal(machine_name_is_valid(rows[i].name), rows[i].valid);
        }
}

static void test_clean_up(void **state)
{
        static const struct {
                const char *text, *name;
        } rows[] = {
                { "web", "web" },
                { "my_image", "myimage" },
                { "sp ace", "space" },
                { "..a..b..", "a.b" },
                { "-a-", "a" },
                { "a.-b", "a.b" },
                { "a-.b", "a-b" },
                { "___", "" },
                { "", "" },
                { "a/../b", "a.b" },
                { X60 "abcdef", X60 "abcd" },
                { X60 "abc-f", X60 "abc" },
                { "\xc3\xa4rger", "rger" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char name[MACHINE_NAME_MAX + 1];

                machine_name_clean_up(rows[i].text, name);
                assert_string_equal(name, rows[i].name);
                assert_true(name[0] == '\0' || machine_name_is_valid(name));
        }
}

static void test_escape(void **state)
{
        static const struct {
                const char *text, *escaped;
        } rows[] = {
                { "web", "web" },
                { "zz-fact-t1", "zz\\x2dfact\\x2dt1" },
                { "a/b", "a-b" },
                { ".a.b", "\\x2ea.b" },
                { "a_b:c", "a_b:c" },
                { "a b\\", "a\\x20b\\x5c" },
                { "\xc3\xa4", "\\xc3\\xa4" },
                { "", "" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *escaped CLEANUP_FREE = unit_name_escape(rows[i].text);

                assert_string_equal(escaped, rows[i].escaped);
        }
}

static void test_scope_name(void **state)
{
        char *name CLEANUP_FREE = NULL;
        char dashes[MACHINE_NAME_MAX + 1];

        (void) state;
        assert_int_equal(machine_scope_name("zz-fact-t1", &name), 0);
        assert_string_equal(name, "machine-zz\\x2dfact\\x2dt1.scope");
        memset(dashes, '-', MACHINE_NAME_MAX);
        dashes[0] = dashes[MACHINE_NAME_MAX - 1] = 'a';
        dashes[MACHINE_NAME_MAX] = '\0';
        assert_true(machine_name_is_valid(dashes));
        assert_int_equal(machine_scope_name(dashes, &name), -ENAMETOOLONG);
}

static void test_slices(void **state)
{
        static const struct {
                const char *text;
                int r;
                const char *slice, *path;
        } rows[] = {
                { "foo", 0, "foo.slice", "foo.slice" },
                { "machine.slice", 0, "machine.slice", "machine.slice" },
                { "a-b", 0, "a-b.slice", "a.slice/a-b.slice" },
                { "a-b-c.slice", 0, "a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice" },
                { "-.slice", 0, "-.slice", "" },
                { "a b", 0, "a\\x20b.slice", "a\\x20b.slice" },
                { "a/b", 0, "a-b.slice", "a.slice/a-b.slice" },
                { "memory", 0, "memory.slice", "_memory.slice" },
                { "cpu-x", 0, "cpu-x.slice", "_cpu.slice/cpu-x.slice" },
                { ".a.slice", 0, ".a.slice", "_.a.slice" }, /* it is one already */
                { "", -EINVAL, NULL, NULL },
                { "-a", -EINVAL, NULL, NULL },
                { "a-", -EINVAL, NULL, NULL },
                { "a--b", -EINVAL, NULL, NULL },
                { "/", 0, "-.slice", "" },
                { "../x", 0, "\\x2e.-x.slice", "\\x2e..slice/\\x2e.-x.slice" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *slice CLEANUP_FREE = NULL, *path CLEANUP_FREE = NULL;

                if (slice_name_mangle(rows[i].text, &slice) != rows[i].r)
                        fail_msg("'%s'", rows[i].text);
                if (rows[i].r < 0)
                        continue;
                assert_string_equal(slice, rows[i].slice);
                assert_int_equal(slice_path(slice, &path), 0);
                assert_string_equal(path, rows[i].path);
        }
        assert_false(slice_name_is_valid("a.scope"));
        assert_false(slice_name_is_valid(".slice"));
        assert_false(slice_name_is_valid("a/b.slice"));
}

static void test_cgroup_names(void **state)
{
        static const struct {
                const char *name, *escaped;
        } rows[] = {
                { "a.slice", "a.slice" },     { "_a", "__a" },       { ".a", "_.a" },
                { "cgroup.x", "_cgroup.x" },  { "tasks", "_tasks" }, { "io.slice", "_io.slice" },
                { "iox.slice", "iox.slice" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *escaped CLEANUP_FREE = cgroup_name_escape(rows[i].name);

                assert_string_equal(escaped, rows[i].escaped);
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hostnames), cmocka_unit_test(test_clean_up),
                cmocka_unit_test(test_escape),    cmocka_unit_test(test_scope_name),
                cmocka_unit_test(test_slices),    cmocka_unit_test(test_cgroup_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
