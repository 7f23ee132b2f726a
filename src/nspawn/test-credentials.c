/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/strv.h"
#include "basic/unescape.h"
#include "nspawn/credentials.h"
#include "nspawn/options.h"
#include "nspawn/plan.h"

static void test_unescape(void **state)
{
        static const struct {
                const char *text;
                const char *bytes; /* NULL: refused */
                size_t n;
        } rows[] = {
                { "", "", 0 },
                { "abc", "abc", 3 },
                { "\\a\\b\\f\\n\\r\\t\\v\\\\\\\"\\'\\s", "\a\b\f\n\r\t\v\\\"' ", 11 },
                { "a\\x41\\xfF\\000b", "aA\xff\0b", 5 },
                { "\\101\\3777",
                  "A\377"
                  "7",
                  3 },
                { "\\u00e4\\u0000\\u20ac", "\xc3\xa4\0\xe2\x82\xac", 6 },
                { "\\U0001f600\\U00000041",
                  "\xf0\x9f\x98\x80"
                  "A",
                  5 },
                { "\xc3\xa4", "\xc3\xa4", 2 },
                { "\\", NULL, 0 },
                { "a\\", NULL, 0 },
                { "\\q", NULL, 0 },
                { "\\x", NULL, 0 },
                { "\\x4", NULL, 0 },
                { "\\x4g", NULL, 0 },
                { "\\1", NULL, 0 },
                { "\\12", NULL, 0 },
                { "\\400", NULL, 0 },
                { "\\128", NULL, 0 },
                { "\\u123", NULL, 0 },
                { "\\ud800", NULL, 0 },
                { "\\U00110000", NULL, 0 },
                { "\\Uffffffff", NULL, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                char *bytes CLEANUP_FREE = NULL;
                size_t n = 99;
                int r = unescape_c(rows[i].text, &bytes, &n);

                if (r != (rows[i].bytes ? 0 : -EINVAL))
                        fail_msg("'%s': %d", rows[i].text, r);
                if (r < 0) {
                        assert_null(bytes);
                        continue;
                }
                assert_int_equal(n, rows[i].n);
                assert_memory_equal(bytes, rows[i].bytes, n + 1);
        }
}

static void test_ids(void **state)
{
        static const char *const good[] = {
                "a", "a.b", ".a", "...", "a b", "~", "passwd.hashed-password.root"
        };
        static const char *const bad[] = { "", ".", "..", "a/b", "a:b", "a\n", "\x7f", "\xc3\xa4" };
        char longest[257];

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(credential_id_is_valid(good[i], strlen(good[i])));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(credential_id_is_valid(bad[i], strlen(bad[i])));
        memset(longest, 'x', sizeof(longest));
        assert_true(credential_id_is_valid(longest, 255));
        assert_false(credential_id_is_valid(longest, 256));
        assert_true(credential_id_is_valid("a:b", 1));
}

/* ---- options ----------------------------------------------------------------------------- */

/* Reads the words of @line, split at '|', which get the program's name before them. */
static int apply(const char *line, struct container_config *c, char ***ret_argv,
                 struct failure *failure)
{
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        char **words CLEANUP_STRV = NULL;
        int r;

        assert_int_equal(strv_add(ret_argv, "nspawn"), 0);
        assert_int_equal(strv_split(line, "|", &words), 0);
        assert_int_equal(strv_add_all(ret_argv, words), 0);
        config_init(c);
        r = settings_add_argv(&s, (int) strv_length(*ret_argv), *ret_argv, failure);
        assert_int_equal(r, 0);
        return settings_apply(&s, c, failure);
}

static void test_options(void **state)
{
        static const struct {
                const char *line;
                int r;
                const char *words; /* some of the sentence */
        } rows[] = {
                { "--set-credential=a:SECRET|--load-credential=b:/c", 0, NULL },
                { "--set-credential|a:b:c", 0, NULL },
                { "--set-credential=a:", 0, NULL },
                { "--set-credential=a", -EINVAL, "a colon" },
                { "--set-credential=:SECRET", -EINVAL, "file name" },
                { "--set-credential=a/b:SECRET", -EINVAL, "'--set-credential=a/b:…'" },
                { "--set-credential=a:SECRET\\q", -EINVAL, "escapes" },
                { "--set-credential=a:1|--set-credential=a:SECRET", -EEXIST,
                  "Duplicate credential 'a'" },
                { "--set-credential=a:SECRET|--load-credential=a:/b", -EEXIST,
                  "'--load-credential=a:/b'" },
                { "--load-credential=a", -EINVAL, "a colon" },
                { "--load-credential=a:", -EINVAL, "absolute path" },
                { "--load-credential=a:b/c", -EINVAL, "absolute path" },
                { "--load-credential=a:..", -EINVAL, "absolute path" },
                { "--load-credential=a:b", 0, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                char **argv CLEANUP_STRV = NULL;
                struct failure failure = { .error = 0 };
                int r = apply(rows[i].line, &c, &argv, &failure);

                if (r != rows[i].r)
                        fail_msg("'%s': %d, %s", rows[i].line, r, failure.text);
                if (rows[i].words && !strstr(failure.text, rows[i].words))
                        fail_msg("'%s': %s", rows[i].line, failure.text);
                /* Neither messages nor the command line, which all may look at, have it. */
                assert_null(strstr(failure.text, "SECRET"));
                STRV_FOREACH(word, argv)
                assert_null(strstr(*word, "SECRET"));
        }
}

/* ---- reading ----------------------------------------------------------------------------- */

struct place {
        char folder[32], path[64];
};

static int set_up(void **state)
{
        struct place *p = calloc(1, sizeof(*p));

        assert_non_null(p);
        (void) snprintf(p->folder, sizeof(p->folder), "/tmp/test-credentials-XXXXXX");
        assert_non_null(mkdtemp(p->folder));
        (void) snprintf(p->path, sizeof(p->path), "%s/file", p->folder);
        *state = p;
        return 0;
}

static int tear_down(void **state)
{
        struct place *p = *state;

        (void) unlink(p->path);
        (void) rmdir(p->folder);
        free(p);
        (void) unsetenv("CREDENTIALS_DIRECTORY");
        return 0;
}

static int load(const char *path, bool look_only, struct credentials *ret, struct failure *failure)
{
        struct credential one = { .id = (char *) "a", .path = (char *) path };
        struct container_config c = { .credentials = &one, .n_credentials = 1 };

        failure->error = 0;
        return credentials_load(&c, look_only, ret, failure);
}

static void assert_loads(const char *path, const char *bytes, size_t n)
{
        struct credentials all CLEANUP(credentials_done) = { .n = 0 };
        struct failure failure;

        if (load(path, false, &all, &failure) != 0)
                fail_msg("%s", failure.text);
        assert_int_equal(all.list[0].size, n);
        assert_memory_equal(all.list[0].bytes, bytes, n);
}

static void assert_fails(const char *path, int error, const char *words)
{
        struct credentials all = { .n = 0 };
        struct failure failure;

        assert_int_equal(load(path, false, &all, &failure), error);
        if (!strstr(failure.text, words))
                fail_msg("%s", failure.text);
        assert_int_equal(all.n, 0);
}

static void test_files(void **state)
{
        struct place *p = *state;
        struct credentials all CLEANUP(credentials_done) = { .n = 0 };
        struct failure failure;
        char *large CLEANUP_FREE = calloc(1, CREDENTIAL_SIZE_MAX + 1);

        assert_non_null(large);
        assert_fails(p->path, -ENOENT, p->path);
        assert_int_equal(load(p->path, true, &all, &failure), -ENOENT);
        assert_fails(p->folder, -EISDIR, "directory");
        assert_fails("/dev/zero", -EFBIG, "1 MiB");
        assert_loads("/dev/null", "", 0);
        assert_int_equal(create_file_bytes_at(AT_FDCWD, p->path, 0600, large, CREDENTIAL_SIZE_MAX),
                         0);
        assert_loads(p->path, large, CREDENTIAL_SIZE_MAX);
        assert_int_equal(truncate(p->path, CREDENTIAL_SIZE_MAX + 1), 0);
        assert_fails(p->path, -EFBIG, "1 MiB");
        (void) unlink(p->path);
        assert_int_equal(create_file_bytes_at(AT_FDCWD, p->path, 0600, "a\0b", 3), 0);
        assert_loads(p->path, "a\0b", 3);
        /* Only looked at. */
        assert_int_equal(load(p->path, true, &all, &failure), 0);
        assert_int_equal(all.list[0].size, 0);
        /* By name. */
        (void) unsetenv("CREDENTIALS_DIRECTORY");
        assert_fails("file", -ENOENT, "$CREDENTIALS_DIRECTORY");
        (void) setenv("CREDENTIALS_DIRECTORY", "relative", 1);
        assert_fails("file", -ENOENT, "$CREDENTIALS_DIRECTORY");
        (void) setenv("CREDENTIALS_DIRECTORY", p->folder, 1);
        assert_loads("file", "a\0b", 3);
        assert_fails("other", -ENOENT, "/other'");
}

/* A writer that takes its time, in a process of its own. */
static pid_t write_slowly(int fd, const char *path)
{
        pid_t pid = fork();

        if (pid != 0)
                return pid;
        if (path)
                fd = open(path, O_WRONLY | O_CLOEXEC);
        else if (fd >= 0) {
                int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
                char byte;

                /* The other end has nothing to say, and says so. */
                if (connection >= 0 && read(connection, &byte, 1) != 0)
                        _exit(1);
                if (connection >= 0)
                        fd = connection;
        }
        for (int i = 0; i < 3; i++) {
                (void) usleep(20000);
                if (write(fd, "abc", 3) != 3)
                        _exit(1);
        }
        _exit(0);
}

static void assert_ends_well(pid_t pid)
{
        int status = -1;

        assert_true(pid > 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

static void test_fifo(void **state)
{
        struct place *p = *state;
        pid_t pid;

        assert_int_equal(mkfifo(p->path, 0600), 0);
        pid = write_slowly(-1, p->path);
        assert_loads(p->path, "abcabcabc", 9);
        assert_ends_well(pid);
}

static void test_socket(void **state)
{
        struct place *p = *state;
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        assert_true(fd >= 0);
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", p->path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_fails(p->path, -ECONNREFUSED, "refused");
        assert_int_equal(listen(fd, 1), 0);
        pid = write_slowly(fd, NULL);
        assert_loads(p->path, "abcabcabc", 9);
        assert_ends_well(pid);
}

static void test_together(void **state)
{
        struct credential list[17];
        struct container_config c = { .credentials = list, .n_credentials = ARRAY_SIZE(list) };
        struct credentials all = { .n = 0 };
        struct failure failure = { .error = 0 };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(list); i++)
                list[i] = (struct credential){ .id = (char *) "a",
                                               .bytes = (char *) "",
                                               .size = CREDENTIAL_SIZE_MAX };
        assert_int_equal(credentials_load(&c, false, &all, &failure), -EFBIG);
        assert_non_null(strstr(failure.text, "16 MiB"));
        c.n_credentials = 16;
        assert_int_equal(credentials_load(&c, false, &all, &failure), 0);
        credentials_done(&all);
}

/* ---- the plan ---------------------------------------------------------------------------- */

static void test_plan(void **state)
{
        static const struct {
                const char *line;
                mode_t folder, file;
        } rows[] = {
                { "--set-credential=a:1|--load-credential=b:/c", 0500, 0400 },
                { "--set-credential=a:1|--no-new-privileges=yes", 0500, 0400 },
                { "--set-credential=a:1|--uid=joe", 0500, 0400 },
                { "--set-credential=a:1|--uid=root|--no-new-privileges=yes", 0500, 0400 },
                { "--set-credential=a:1|--uid=joe|--no-new-privileges=yes|-a", 0500, 0400 },
                { "--set-credential=a:1|--uid=joe|--no-new-privileges=yes|-b", 0500, 0400 },
                { "--set-credential=a:1|--uid=joe|--no-new-privileges=yes", 0555, 0444 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                char **argv CLEANUP_STRV = NULL;
                struct host_facts host = { .host = HOST_NATIVE };
                struct tree_facts tree = {
                        .path = (char *) "/t", .fd = -1, .has_usr = true, .has_os_release = true
                };
                struct ids ids = IDS_NULL;
                struct credential_bytes bytes[2] = { { .bytes = "1", .size = 1 } };
                struct plan_inputs in = { .config = &c,
                                          .host = &host,
                                          .tree = &tree,
                                          .ids = &ids,
                                          .credentials = bytes,
                                          .machine = "web" };
                struct container_plan plan CLEANUP(plan_done) = { .machine = NULL };
                struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
                struct failure failure = { .error = 0 };
                const struct mount_op *op;
                int at;

                assert_int_equal(apply(rows[i].line, &c, &argv, &failure), 0);
                c.service = strdup("systemd-nspawn");
                assert_int_equal(plan_build(&in, &plan, &failure), 0);
                assert_true(strv_contains(plan.environment,
                                          "CREDENTIALS_DIRECTORY=/run/host/credentials"));
                at = mount_plan_find(&plan.mounts, "/run/host/credentials");
                assert_true(at > mount_plan_find(&plan.mounts, "/run/host"));
                op = &plan.mounts.ops[at];
                assert_string_equal(op->type, "ramfs");
                assert_int_equal(op->attributes,
                                 MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV | MOUNT_NOEXEC);
                assert_true(op->flags & MOUNT_SEALED);
                if (op->root_mode != rows[i].folder)
                        fail_msg("row %zu: %o", i, op->root_mode);
                assert_int_equal(op->n_entries, c.n_credentials);
                assert_int_equal(op->entries[0].mode, rows[i].file);
                assert_ptr_equal(op->entries[0].bytes, bytes);
                plan_print(&plan, &text);
                assert_non_null(strstr(strbuf_text(&text), "credentials: \n  a\n"));
        }
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_unescape),
                cmocka_unit_test(test_ids),
                cmocka_unit_test(test_options),
                cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_fifo, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_socket, set_up, tear_down),
                cmocka_unit_test(test_together),
                cmocka_unit_test(test_plan),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
