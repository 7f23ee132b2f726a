/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "nspawn/options.h"
#include "nspawn/settings-load.h"

/* ---- help for the tests ------------------------------------------------------------------ */

/* Reads the words of @line, split at '|', as a command line. */
static int scan(const char *line, struct settings *s, struct failure *failure)
{
        char **argv CLEANUP_STRV = NULL;

        assert_int_equal(strv_add(&argv, "nspawn"), 0);
        if (*line) {
                char **words CLEANUP_STRV = NULL;

                assert_int_equal(strv_split(line, "|", &words), 0);
                assert_int_equal(strv_add_all(&argv, words), 0);
        }
        return settings_add_argv(s, (int) strv_length(argv), argv, failure);
}

/* The same, and applies it to a fresh configuration, which the caller empties. */
static int apply(const char *line, struct container_config *c, struct failure *failure)
{
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        int r;

        config_init(c);
        r = scan(line, &s, failure);
        return r < 0 ? r : settings_apply(&s, c, failure);
}

static char *join(char *const *list)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        STRV_FOREACH(item, list)
        strbuf_addf(&b, "%s%s", b.length ? "|" : "", *item);
        return strbuf_take(&b);
}

/* What setters print on request goes away from the test's own output. */
struct silence {
        int saved;
};

static struct silence silence_begin(int number)
{
        struct silence s;
        int null_fd CLEANUP_FD = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void) fflush(NULL);
        s.saved = fcntl(number, F_DUPFD_CLOEXEC, 3);
        assert_true(dup2(null_fd, number) == number);
        return s;
}

static void silence_end(struct silence s, int number)
{
        (void) fflush(NULL);
        (void) dup2(s.saved, number);
        (void) close(s.saved);
}

static bool is_heading(const struct option_row *row)
{
        return !row->name && !row->letter;
}

/* ---- the table --------------------------------------------------------------------------- */

static void test_table(void **state)
{
        (void) state;
        assert_true(n_option_rows > 60);
        assert_true(is_heading(&option_rows[0]));
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];

                assert_non_null(row->help);
                assert_true(row->help[0] != '\0');
                assert_true(row->help[strlen(row->help) - 1] != '.');
                if (is_heading(row))
                        continue;
                if (!row->apply)
                        fail_msg("row %zu (%s) has no setter", i, row->name);
                if (!row->section != !row->key)
                        fail_msg("--%s has only one of section and key", row->name);
                if (row->takes == TAKES_VALUE)
                        assert_non_null(row->argument);
                if (row->takes == TAKES_NOTHING)
                        assert_null(row->argument);
                if (row->field >= sizeof(struct container_config))
                        fail_msg("--%s is set outside of the configuration", row->name);
                if (row->section && !strv_contains((char *const *) settings_sections, row->section))
                        fail_msg("section '%s' of --%s", row->section, row->name);
                if (row->name)
                        assert_int_equal(strspn(row->name, "abcdefghijklmnopqrstuvwxyz0123456789-"),
                                         strlen(row->name));
        }
}

static void test_table_is_unique(void **state)
{
        (void) state;
        for (size_t i = 0; i < n_option_rows; i++)
                for (size_t k = 0; k < i; k++) {
                        const struct option_row *a = &option_rows[i], *b = &option_rows[k];

                        if (a->name && b->name && streq(a->name, b->name))
                                fail_msg("two rows for --%s", a->name);
                        if (a->letter && a->letter == b->letter)
                                fail_msg("two rows for -%c", a->letter);
                        if (a->key && b->key && streq(a->section, b->section) &&
                            streq(a->key, b->key))
                                fail_msg("two rows for [%s] %s=", a->section, a->key);
                }
}

static void test_planned_rows(void **state)
{
        size_t n = 0;

        (void) state;
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];
                struct setting s = { .row = row,
                                     .value = (char *) "x",
                                     .origin = (char *) "--it=x" };
                struct failure failure = { .error = 0 };
                struct container_config c, before;

                if (!(row->flags & OPTION_PLANNED))
                        continue;
                n++;
                config_init(&c);
                memcpy(&before, &c, sizeof(c));
                if (row->apply(&c, &s, &failure) != -EOPNOTSUPP)
                        fail_msg("--%s is not refused", row->name);
                assert_int_equal(failure.error, -EOPNOTSUPP);
                assert_string_equal(failure.text,
                                    "Cannot use '--it=x': this option is known, but not built yet "
                                    "in this version. Leave it out.");
                assert_memory_equal(&c, &before, sizeof(c));
        }
        assert_true(n > 0);
}

/* Every row is found by its name, its letter and in the text of --help. */
static void test_rows_are_reachable(void **state)
{
        struct strbuf help CLEANUP_STRBUF = STRBUF_NULL;

        (void) state;
        options_help(&help);
        assert_true(strbuf_ok(&help));
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];
                char by_name[64], by_letter[64];
                bool shown;

                if (is_heading(row)) {
                        assert_non_null(strstr(strbuf_text(&help), row->help));
                        continue;
                }
                (void) snprintf(by_name, sizeof(by_name), "--%s%s", row->name ? row->name : "",
                                row->takes == TAKES_NOTHING ? "" : "=v");
                (void) snprintf(by_letter, sizeof(by_letter), "-%c%s", row->letter,
                                row->takes == TAKES_VALUE ? "v" : "");
                for (int k = 0; k < 2; k++) {
                        struct settings s CLEANUP(settings_done) = { .n = 0 };
                        struct failure failure = { .error = 0 };

                        if (k == 0 ? !row->name : !row->letter)
                                continue;
                        assert_int_equal(scan(k == 0 ? by_name : by_letter, &s, &failure), 0);
                        assert_int_equal(s.n, 1);
                        assert_ptr_equal(s.list[0].row, row);
                        if (row->takes == TAKES_VALUE)
                                assert_string_equal(s.list[0].value, "v");
                }
                if (row->name) {
                        (void) snprintf(by_name, sizeof(by_name), " --%s%s", row->name,
                                        row->takes == TAKES_VALUE                       ? "="
                                        : row->takes == TAKES_OPTIONAL && row->argument ? "["
                                                                                        : "");
                        shown = strstr(strbuf_text(&help), by_name) != NULL;
                        if (shown == !!(row->flags & OPTION_HIDDEN))
                                fail_msg("%s in --help: %d", by_name, shown);
                }
        }
}

static void test_help_columns(void **state)
{
        struct strbuf help CLEANUP_STRBUF = STRBUF_NULL;
        char **lines CLEANUP_STRV = NULL;

        (void) state;
        options_help(&help);
        assert_int_equal(strv_split(strbuf_text(&help), "\n", &lines), 0);
        assert_true(strv_length(lines) > 60);
        STRV_FOREACH(line, lines)
        {
                size_t columns = 0;

                for (const char *p = *line; *p; p++)
                        columns += (*p & 0xc0) != 0x80;
                if (columns > 130 || endswith(*line, " "))
                        fail_msg("'%s'", *line);
        }
}

/* ---- the command line -------------------------------------------------------------------- */

static void test_scan(void **state)
{
        static const struct {
                const char *line;
                int r;
                size_t n;
                const char *origins, *words;
        } rows[] = {
                { "", 0, 0, "", "" },
                { "-q", 0, 1, "--quiet", "" },
                { "-qb", 0, 2, "--quiet|--boot", "" },
                { "-D|/x", 0, 1, "--directory=/x", "" },
                { "-D/x", 0, 1, "--directory=/x", "" },
                { "--directory|/x", 0, 1, "--directory=/x", "" },
                { "--directory=/x", 0, 1, "--directory=/x", "" },
                { "-U", 0, 1, "-U", "" },
                { "-UqM|web", 0, 3, "-U|--quiet|--machine=web", "" },
                { "-u|root", 0, 1, "--uid=root", "" },
                { "--user=root", 0, 1, "--user=root", "" },
                { "--bind=/a:/b", 0, 1, "--bind=/a:/b", "" },
                { "--private-users", 0, 1, "--private-users", "" },
                { "--private-users|pick", 0, 1, "--private-users", "pick" },
                { "--private-users=pick", 0, 1, "--private-users=pick", "" },
                { "--private-users=", 0, 1, "--private-users=", "" },
                /* The first word ends the options: the rest is the payload's. */
                { "ls", 0, 0, "", "ls" },
                { "ls|-q", 0, 0, "", "ls|-q" },
                { "-q|ls|--boot|-D", 0, 1, "--quiet", "ls|--boot|-D" },
                { "-q|--|-b|ls", 0, 1, "--quiet", "-b|ls" },
                { "-q|--", 0, 1, "--quiet", "" },
                { "-q|-|-b", 0, 1, "--quiet", "-|-b" },
                /* Unambiguous prefixes. */
                { "--dir=/x", 0, 1, "--directory=/x", "" },
                { "--bo", 0, 1, "--boot", "" },
                { "--private-n", 0, 1, "--private-network", "" },
                /* --help and --version: nothing right of them is looked at. */
                { "--help|--no-such-option", 0, 1, "--help", "" },
                { "-h|-D", 0, 1, "--help", "" },
                { "-q|--version|ls", 0, 2, "--quiet|--version", "" },
                { "-hZ", 0, 1, "--help", "" },
                { "ls|--help", 0, 0, "", "ls|--help" },
                /* getopt tells the person. */
                { "--no-such-option", -EINVAL, 0, NULL, NULL },
                { "-?", -EINVAL, 0, NULL, NULL },
                { "-1", -EINVAL, 0, NULL, NULL },
                { "--no-such-option|--help", -EINVAL, 0, NULL, NULL },
                { "-D", -EINVAL, 0, NULL, NULL },
                { "--machine", -EINVAL, 0, NULL, NULL },
                { "--quiet=yes", -EINVAL, 0, NULL, NULL },
                { "--private", -EINVAL, 0, NULL, NULL },
                { "--network", -EINVAL, 0, NULL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct failure failure = { .error = 0 };
                struct strbuf origins CLEANUP_STRBUF = STRBUF_NULL;
                char *words CLEANUP_FREE = NULL;
                struct silence silence = silence_begin(STDERR_FILENO);
                int r = scan(rows[i].line, &s, &failure);

                silence_end(silence, STDERR_FILENO);
                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].line, r);
                assert_string_equal(failure.text, "");
                if (r < 0)
                        continue;
                if (s.n != rows[i].n)
                        fail_msg("'%s' gives %zu settings", rows[i].line, s.n);
                for (size_t k = 0; k < s.n; k++)
                        strbuf_addf(&origins, "%s%s", k ? "|" : "", s.list[k].origin);
                assert_string_equal(strbuf_text(&origins), rows[i].origins);
                words = join(s.words);
                assert_string_equal(words, rows[i].words);
        }
}

/* Words may be empty, or look like anything. */
static void test_words(void **state)
{
        static const char *const argv[] = { "nspawn", "-q", "", "a b", "-x", "--", NULL };
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct failure failure = { .error = 0 };
        struct container_config c CLEANUP(config_done);

        (void) state;
        config_init(&c);
        assert_int_equal(settings_add_argv(&s, 6, (char **) argv, &failure), 0);
        assert_int_equal(settings_apply(&s, &c, &failure), 0);
        assert_int_equal(strv_length(c.parameters), 4);
        assert_string_equal(c.parameters[0], "");
        assert_string_equal(c.parameters[1], "a b");
        assert_string_equal(c.parameters[2], "-x");
        assert_string_equal(c.parameters[3], "--");
}

/* ---- setters ----------------------------------------------------------------------------- */

/* One line with all that options can set, so that a row can say what the result is as text. */
static void describe_custom_mount(const struct custom_mount *m, struct strbuf *b)
{
        static const char *const idmaps[] = { "noidmap", "idmap", "rootidmap", "owneridmap" };
        static const char *const types[] = { "bind", "tmpfs", "overlay", "inaccessible" };

        strbuf_addf(b, "%s ", types[m->type]);
        for (size_t i = 0; i < m->n_sources; i++)
                strbuf_addf(b, "%s%s ", m->sources[i].place == SOURCE_TREE ? "+" : "",
                            m->sources[i].path ? m->sources[i].path : "temporary");
        strbuf_add(b, m->destination);
        if (m->type == CUSTOM_TMPFS)
                strbuf_addf(b, " %s", m->options ? m->options : "-");
        if (m->n_sources > 0)
                strbuf_add(b, m->read_only ? " ro" : " rw");
        if (m->type == CUSTOM_BIND)
                strbuf_addf(b, " %s %s", m->recursive ? "rbind" : "norbind", idmaps[m->idmap]);
        strbuf_add(b, ";");
}

static void describe_limits(const struct container_config *c, struct strbuf *b)
{
        for (int i = 0; i < RLIM_NLIMITS; i++)
                if (c->limits[i].set)
                        strbuf_addf(b, "%s=%lld:%lld;", limit_name(i),
                                    (long long) c->limits[i].value.rlim_cur,
                                    (long long) c->limits[i].value.rlim_max);
}

static char *describe(const struct container_config *c, size_t field)
{
        static const char *const userns[] = { "no", "root", "pick", "identity", "fixed" };
        static const char *const actions[] = { "run", "dry-run", "help", "version", "cleanup" };
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;
        char uuid[ID128_TEXT_SIZE];

        switch (field) {
        case offsetof(struct container_config, action):
                strbuf_add(&b, actions[c->action]);
                break;
        case offsetof(struct container_config, start_mode):
                strbuf_add(&b, start_mode_name(c->start_mode));
                break;
        case offsetof(struct container_config, kill_signal):
                strbuf_addf(&b, "%d", c->kill_signal);
                break;
        case offsetof(struct container_config, time_mode):
                strbuf_addf(&b, "%d", (int) c->time_mode);
                break;
        case offsetof(struct container_config, stop_timeout_us):
                strbuf_addf(&b, "%llu", (unsigned long long) c->stop_timeout_us);
                break;
        case offsetof(struct container_config, uuid):
                id128_to_plain(&c->uuid, uuid);
                strbuf_add(&b, c->uuid_set ? uuid : "none");
                break;
        case offsetof(struct container_config, register_mode):
                strbuf_add(&b, c->register_mode == REGISTER_AUTO  ? "auto"
                               : c->register_mode == REGISTER_YES ? "yes"
                                                                  : "no");
                break;
        case offsetof(struct container_config, userns_mode):
                strbuf_add(&b, userns[c->userns_mode]);
                if (c->userns_mode == USERNS_FIXED)
                        strbuf_addf(&b, " %u:%u", c->userns_range.base, c->userns_range.count);
                strbuf_addf(&b, " %s%s", ownership_name(c->ownership),
                            c->userns_if_possible ? " if possible" : "");
                break;
        case offsetof(struct container_config, capabilities_added):
                strbuf_addf(&b, "+%llx -%llx", (unsigned long long) c->capabilities_added,
                            (unsigned long long) c->capabilities_dropped);
                break;
        case offsetof(struct container_config, ambient_capabilities):
                strbuf_addf(&b, "%llx", (unsigned long long) c->ambient_capabilities);
                break;
        case offsetof(struct container_config, oom_score_adjust):
                if (c->oom_score_adjust_set)
                        strbuf_addf(&b, "%d", c->oom_score_adjust);
                break;
        case offsetof(struct container_config, ephemeral_method):
                strbuf_add(&b, ephemeral_method_name(c->ephemeral_method));
                break;
        case offsetof(struct container_config, volatile_mode):
                strbuf_add(&b, volatile_mode_name(c->volatile_mode));
                break;
        case offsetof(struct container_config, console_mode):
                strbuf_add(&b, console_mode_name(c->console_mode));
                break;
        case offsetof(struct container_config, limits):
                describe_limits(c, &b);
                break;
        case offsetof(struct container_config, custom_mounts):
                for (size_t i = 0; i < c->n_custom_mounts; i++)
                        describe_custom_mount(&c->custom_mounts[i], &b);
                break;
        default:
                fail_msg("no such field");
        }
        return strbuf_take(&b);
}

/* Fields that are a string, a list or a boolean describe themselves. */
enum field_kind { KIND_OTHER, KIND_STRING, KIND_LIST, KIND_BOOLEAN };

static char *describe_field(const struct container_config *c, enum field_kind kind, size_t field)
{
        const char *place = (const char *) c + field;

        switch (kind) {
        case KIND_STRING:
                return strdup(*(char *const *) place ? *(char *const *) place : "none");
        case KIND_LIST:
                return join(*(char **const *) place);
        case KIND_BOOLEAN:
                return strdup(*(const bool *) place ? "yes" : "no");
        case KIND_OTHER:
                break;
        }
        return describe(c, field);
}

#define OTHER(name) KIND_OTHER, offsetof(struct container_config, name)
#define STRING(name) KIND_STRING, offsetof(struct container_config, name)
#define LIST(name) KIND_LIST, offsetof(struct container_config, name)
#define BOOLEAN(name) KIND_BOOLEAN, offsetof(struct container_config, name)

#define X64 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID "0123456789abcdef0123456789abcdef"

static void test_good_values(void **state)
{
        static const struct {
                const char *line;
                enum field_kind kind;
                size_t field;
                const char *result;
        } rows[] = {
                { "", OTHER(action), "run" },
                { "--help", OTHER(action), "help" },
                { "--version", OTHER(action), "version" },
                { "--dry-run", OTHER(action), "dry-run" },
                { "--json", BOOLEAN(json), "yes" },
                { "", BOOLEAN(quiet), "no" },
                { "-q", BOOLEAN(quiet), "yes" },
                { "--no-pager|--system", BOOLEAN(quiet), "no" },

                { "", STRING(directory), "none" },
                { "-D/a//b/./c/", STRING(directory), "/a/b/c" },
                { "-D/", STRING(directory), "/" },
                { "-D/a|-D/b", STRING(directory), "/b" },
                { "--read-only", BOOLEAN(read_only), "yes" },
                { "", BOOLEAN(ephemeral), "no" },
                { "-x", BOOLEAN(ephemeral), "yes" },
                { "-x", BOOLEAN(ephemeral_is_another), "yes" },
                { "--ephemeral-directory=/a//b", STRING(ephemeral_directory), "/a/b" },
                { "", OTHER(ephemeral_method), "auto" },
                { "--ephemeral-method=snapshot", OTHER(ephemeral_method), "snapshot" },
                { "--ephemeral-method=overlay", OTHER(ephemeral_method), "overlay" },
                { "--ephemeral-method=reflink", OTHER(ephemeral_method), "reflink" },
                { "--ephemeral-method=copy", OTHER(ephemeral_method), "copy" },
                { "--template=/a", STRING(template_path), "/a" },
                { "--pivot-root=/a", STRING(pivot_new), "/a" },
                { "--pivot-root=/a", STRING(pivot_old), "none" },
                { "--pivot-root=/a/b:/c", STRING(pivot_new), "/a/b" },
                { "--pivot-root=/a/b:/c", STRING(pivot_old), "/c" },
                { "--pivot-root=/a/b:/c|--pivot-root=/d", STRING(pivot_old), "none" },
                { "--cleanup", OTHER(action), "cleanup" },
                { "", OTHER(volatile_mode), "no" },
                { "--volatile", OTHER(volatile_mode), "yes" },
                { "--volatile=1", OTHER(volatile_mode), "yes" },
                { "--volatile=state", OTHER(volatile_mode), "state" },
                { "--volatile=overlay", OTHER(volatile_mode), "overlay" },
                { "--volatile|--volatile=off", OTHER(volatile_mode), "no" },

                { "-M|web", STRING(machine), "web" },
                { "-M" X64, STRING(machine), X64 },
                { "-Mweb|--machine=", STRING(machine), "none" },
                { "-Ma|-Mb.c", STRING(machine), "b.c" },
                { "--hostname=host.example", STRING(hostname), "host.example" },
                { "--hostname=a|--hostname=", STRING(hostname), "none" },
                { "--uuid=" ID, OTHER(uuid), ID },
                { "--uuid=01234567-89AB-cdef-0123-456789abcdef", OTHER(uuid), ID },
                { "", OTHER(uuid), "none" },

                { "", OTHER(start_mode), "command" },
                { "-b", OTHER(start_mode), "boot" },
                { "-b|--boot", OTHER(start_mode), "boot" },
                { "--as-pid2", OTHER(start_mode), "as-pid2" },
                { "-aa", OTHER(start_mode), "as-pid2" },
                { "-b|x|y", LIST(parameters), "x|y" },
                { "--chdir=/a/b", STRING(working_directory), "/a/b" },
                { "--chdir=/", STRING(working_directory), "/" },
                { "--chdir=/process", STRING(working_directory), "/process" },
                { "-EA=1|--setenv=B=", LIST(environment), "A=1|B=" },
                { "-EA=1|-EB=2|-EA=3", LIST(environment), "A=3|B=2" },
                { "-EA=x=y z", LIST(environment), "A=x=y z" },
                { "-ETEST_OPTIONS_SET", LIST(environment), "TEST_OPTIONS_SET=from outside" },
                { "-ETEST_OPTIONS_UNSET", LIST(environment), "TEST_OPTIONS_UNSET=" },
                { "-u|joe", STRING(user), "joe" },
                { "--uid=1000", STRING(user), "1000" },
                { "--user=joe|--uid=jim", STRING(user), "jim" },
                { "", OTHER(kill_signal), "0" },
                { "--kill-signal=SIGTERM", OTHER(kill_signal), "15" },
                { "--kill-signal=9", OTHER(kill_signal), "9" },
                { "--kill-signal=RTMIN+3", OTHER(kill_signal), "37" },
                { "", OTHER(stop_timeout_us), "0" },
                { "--stop-timeout=5", OTHER(stop_timeout_us), "5000000" },
                { "--time=host", OTHER(time_mode), "1" },
                { "--time=private", OTHER(time_mode), "2" },
                { "--time=private|--time=auto", OTHER(time_mode), "0" },
                { "--stop-timeout=1min 30s", OTHER(stop_timeout_us), "90000000" },
                { "--stop-timeout=infinity", OTHER(stop_timeout_us), "18446744073709551615" },
                { "--notify-ready=yes", BOOLEAN(notify_ready), "yes" },
                { "--notify-ready=yes|--notify-ready=no", BOOLEAN(notify_ready), "no" },

                { "-S|foo", STRING(slice), "foo.slice" },
                { "--slice=a-b.slice", STRING(slice), "a-b.slice" },
                { "--property=MemoryMax=1G|--property=TasksMax=", LIST(properties),
                  "MemoryMax=1G|TasksMax=" },
                { "", OTHER(register_mode), "auto" },
                { "--register=yes", OTHER(register_mode), "yes" },
                { "--register=0", OTHER(register_mode), "no" },
                { "--register=no|--register=auto", OTHER(register_mode), "auto" },
                { "--keep-unit", BOOLEAN(keep_unit), "yes" },

                { "", OTHER(userns_mode), "no default" },
                { "--private-users", OTHER(userns_mode), "root default" },
                { "--private-users=yes", OTHER(userns_mode), "root default" },
                { "--private-users=no", OTHER(userns_mode), "no default" },
                { "--private-users=pick", OTHER(userns_mode), "pick default" },
                { "--private-users=identity", OTHER(userns_mode), "identity default" },
                { "--private-users=0", OTHER(userns_mode), "fixed 0:65536 default" },
                { "--private-users=1", OTHER(userns_mode), "fixed 1:65536 default" },
                { "--private-users=524288", OTHER(userns_mode), "fixed 524288:65536 default" },
                { "--private-users=524288:1000", OTHER(userns_mode), "fixed 524288:1000 default" },
                { "-U", OTHER(userns_mode), "pick auto if possible" },
                { "-U|--private-users=no", OTHER(userns_mode), "no auto" },
                { "--private-users=no|-U", OTHER(userns_mode), "pick auto if possible" },
                { "-U|--private-users-ownership=map", OTHER(userns_mode), "pick map if possible" },
                { "--private-users-ownership=map|-U", OTHER(userns_mode), "pick auto if possible" },
                { "--private-users-ownership=off", OTHER(userns_mode), "no off" },
                { "--private-users-ownership=chown", OTHER(userns_mode), "no chown" },
                { "--private-users-ownership=auto", OTHER(userns_mode), "no auto" },
                { "--private-users-chown", OTHER(userns_mode), "no chown" },
                { "--private-users-chown=whatever", OTHER(userns_mode), "no chown" },
                { "--private-network", BOOLEAN(network.private_network), "yes" },

                { "", OTHER(capabilities_added), "+0 -0" },
                { "--capability=CAP_CHOWN,CAP_KILL", OTHER(capabilities_added), "+21 -0" },
                { "--capability=CAP_CHOWN|--capability=cap_kill", OTHER(capabilities_added),
                  "+21 -0" },
                { "--capability=all", OTHER(capabilities_added), "+ffffffffffffffff -0" },
                { "--drop-capability=CAP_CHOWN|--capability=CAP_CHOWN", OTHER(capabilities_added),
                  "+1 -1" },
                { "--drop-capability=all", OTHER(capabilities_added), "+0 -ffffffffffffffff" },
                { "--no-new-privileges=yes", BOOLEAN(no_new_privileges), "yes" },
                { "--no-new-privileges=1|--no-new-privileges=off", BOOLEAN(no_new_privileges),
                  "no" },
                { "--system-call-filter=@clock ptrace", LIST(system_call_filter), "@clock|ptrace" },
                { "--system-call-filter=~ @clock\tptrace |--system-call-filter=mount",
                  LIST(system_call_filter), "~@clock|~ptrace|mount" },
                { "--system-call-filter=", LIST(system_call_filter), "" },
                { "--rlimit=NOFILE=1024:4096", OTHER(limits), "NOFILE=1024:4096;" },
                { "--rlimit=RLIMIT_NOFILE=5", OTHER(limits), "NOFILE=5:5;" },
                { "--rlimit=CORE=0:infinity", OTHER(limits), "CORE=0:-1;" },
                { "--rlimit=CORE=infinity", OTHER(limits), "CORE=-1:-1;" },
                { "--rlimit=MEMLOCK=8M:1G", OTHER(limits), "MEMLOCK=8388608:1073741824;" },
                { "--rlimit=CPU=1min", OTHER(limits), "CPU=60:60;" },
                { "--rlimit=CPU=1500ms", OTHER(limits), "CPU=2:2;" },
                { "--rlimit=CPU=5", OTHER(limits), "CPU=5:5;" },
                { "--rlimit=RTTIME=1ms", OTHER(limits), "RTTIME=1000:1000;" },
                { "--rlimit=CORE=1|--rlimit=CPU=2|--rlimit=CORE=3", OTHER(limits),
                  "CPU=2:2;CORE=3:3;" },

                { "--ambient-capability=CAP_CHOWN|--ambient-capability=CAP_KILL,cap_kill",
                  OTHER(ambient_capabilities), "21" },
                { "--ambient-capability=", OTHER(ambient_capabilities), "0" },
                { "--ambient-capability=all", OTHER(ambient_capabilities), "ffffffffffffffff" },
                { "--oom-score-adjust=-1000", OTHER(oom_score_adjust), "-1000" },
                { "--oom-score-adjust=5|--oom-score-adjust=+1000", OTHER(oom_score_adjust),
                  "1000" },
                { "", STRING(cpu_affinity), "none" },
                { "--cpu-affinity=0-3, 7 9", STRING(cpu_affinity), "0-3,7,9" },
                { "--cpu-affinity=0|--cpu-affinity=1", STRING(cpu_affinity), "1" },
                { "--cpu-affinity=0|--cpu-affinity=", STRING(cpu_affinity), "none" },
                { "", STRING(personality), "none" },
                { "--no-ask-password", STRING(background), "none" },
                { "--background=48;2;0;0;64|--background=44", STRING(background), "44" },
                { "--background=", STRING(background), "" },
                { "-Zsystem_u:system_r:a_t:s0:c1,c2", STRING(selinux_context),
                  "system_u:system_r:a_t:s0:c1,c2" },
                { "-Lb", STRING(selinux_apifs_context), "b" },
                { "--suppress-sync=yes", BOOLEAN(suppress_sync), "yes" },
                { "--restrict-address-families=AF_INET AF_UNIX", LIST(address_families),
                  "AF_INET|AF_UNIX" },
                { "--restrict-address-families=~AF_INET\tAF_UNIX|--restrict-address-families=AF_"
                  "X25",
                  LIST(address_families), "~AF_INET|~AF_UNIX|AF_X25" },
                { "--restrict-address-families=AF_INET|--restrict-address-families=",
                  LIST(address_families), "" },
                { "--restrict-address-families=~", LIST(address_families), "" },

                { "--bind=/a", OTHER(custom_mounts), "bind /a /a rw rbind noidmap;" },
                { "--bind-ro=/a:/b", OTHER(custom_mounts), "bind /a /b ro rbind noidmap;" },
                { "--bind=/a//x/:/b/./c", OTHER(custom_mounts),
                  "bind /a/x /b/c rw rbind noidmap;" },
                { "--bind=/a:/b:norbind", OTHER(custom_mounts), "bind /a /b rw norbind noidmap;" },
                { "--bind=/a:/b:norbind,idmap,rbind", OTHER(custom_mounts),
                  "bind /a /b rw rbind idmap;" },
                { "--bind=/a:/b:idmap,noidmap", OTHER(custom_mounts),
                  "bind /a /b rw rbind noidmap;" },
                { "--bind=/a\\:b:/c", OTHER(custom_mounts), "bind /a:b /c rw rbind noidmap;" },
                { "--bind=/a|--tmpfs=/t|--bind-ro=/b", OTHER(custom_mounts),
                  "bind /a /a rw rbind noidmap;tmpfs /t -;bind /b /b ro rbind noidmap;" },
                { "--tmpfs=/t:size=1m,mode=0700", OTHER(custom_mounts),
                  "tmpfs /t size=1m,mode=0700;" },
                { "--tmpfs=/t/", OTHER(custom_mounts), "tmpfs /t -;" },
                { "--bind=+/a", OTHER(custom_mounts), "bind +/a /a rw rbind noidmap;" },
                { "--bind=+/:/b", OTHER(custom_mounts), "bind +/ /b rw rbind noidmap;" },
                { "--bind-ro=+/a/../b:/c", OTHER(custom_mounts),
                  "bind +/a/../b /c ro rbind noidmap;" },
                { "--bind=:/a", OTHER(custom_mounts), "bind temporary /a rw rbind noidmap;" },
                { "--bind=/a:/b:", OTHER(custom_mounts), "bind /a /b rw rbind noidmap;" },
                { "--bind=/a:/b:rootidmap", OTHER(custom_mounts),
                  "bind /a /b rw rbind rootidmap;" },
                { "--bind-ro=/a:/b:owneridmap,norbind", OTHER(custom_mounts),
                  "bind /a /b ro norbind owneridmap;" },
                { "--bind=/a:/", OTHER(custom_mounts), "bind /a / rw rbind noidmap;" },
                { "--overlay=/a:/b", OTHER(custom_mounts), "overlay /a /b /b rw;" },
                { "--overlay=/a:/b:/c", OTHER(custom_mounts), "overlay /a /b /c rw;" },
                { "--overlay=/a:/b:/c:/d", OTHER(custom_mounts), "overlay /a /b /c /d rw;" },
                { "--overlay-ro=/a:/b:/c", OTHER(custom_mounts), "overlay /a /b /c ro;" },
                { "--overlay=/a::/c", OTHER(custom_mounts), "overlay /a temporary /c rw;" },
                { "--overlay=+/a:+/b:/c", OTHER(custom_mounts), "overlay +/a +/b /c rw;" },
                { "--overlay=+/a:+/b", OTHER(custom_mounts), "overlay +/a +/b /b rw;" },
                { "--overlay=/a\\:x:/b\\\\:/c", OTHER(custom_mounts), "overlay /a:x /b\\ /c rw;" },
                { "--inaccessible=/a//b/", OTHER(custom_mounts), "inaccessible /a/b;" },

                { "", OTHER(console_mode), "default" },
                { "--console=interactive", OTHER(console_mode), "interactive" },
                { "--console=read-only", OTHER(console_mode), "read-only" },
                { "--console=passive", OTHER(console_mode), "passive" },
                { "--console=pipe", OTHER(console_mode), "pipe" },
                { "--console=autopipe", OTHER(console_mode), "autopipe" },
                { "-P", OTHER(console_mode), "pipe" },
                { "-P|--console=passive", OTHER(console_mode), "passive" },
                { "--console=passive|--pipe", OTHER(console_mode), "pipe" },
        };

        (void) state;
        assert_int_equal(setenv("TEST_OPTIONS_SET", "from outside", 1), 0);
        (void) unsetenv("TEST_OPTIONS_UNSET");
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char *result CLEANUP_FREE = NULL;
                int r = apply(rows[i].line, &c, &failure);

                if (r != 0)
                        fail_msg("'%s': %d, %s", rows[i].line, r, failure.text);
                assert_int_equal(failure.error, 0);
                result = describe_field(&c, rows[i].kind, rows[i].field);
                if (!streq(result, rows[i].result))
                        fail_msg("'%s' gives '%s', not '%s'", rows[i].line, result, rows[i].result);
        }
}

static void test_bad_values(void **state)
{
        static const struct {
                const char *line;
                int r;
                const char *words; /* some of the sentence */
        } rows[] = {
                { "--directory=", -EINVAL, "'--directory='" },
                { "-M|-web", -EINVAL, "64 letters" },
                { "--machine=web_1", -EINVAL, "'--machine=web_1'" },
                { "-Ma/b", -EINVAL, "'--machine=a/b'" },
                { "-M" X64 "a", -EINVAL, "64 letters" },
                { "-M..", -EINVAL, "machine" },
                { "--hostname=a b", -EINVAL, "host name" },
                { "--ambient-capability=CAP_X", -EINVAL, "'CAP_X' is not a capability" },
                { "--oom-score-adjust=", -EINVAL, "1000" },
                { "--oom-score-adjust=1001", -EINVAL, "1000" },
                { "--oom-score-adjust=-1001", -EINVAL, "1000" },
                { "--oom-score-adjust=1x", -EINVAL, "1000" },
                { "--cpu-affinity=x", -EINVAL, "numbers of CPUs" },
                { "--cpu-affinity=3-1", -ERANGE, "numbers of CPUs" },
                { "--cpu-affinity=8192", -ERANGE, "numbers of CPUs" },
                { "--cpu-affinity=1,", -EINVAL, "numbers of CPUs" },
                { "--suppress-sync=x", -EINVAL, "yes or no" },
                { "--restrict-address-families=AF_INET,AF_UNIX", -EINVAL, "'AF_INET,AF_UNIX'" },
                { "--restrict-address-families=AF_INET ~AF_UNIX", -EINVAL, "'~AF_UNIX'" },
                { "--restrict-address-families=inet", -EINVAL, "help" },
                { "--background=a", -EINVAL, "44" },
                { "--background=1m\x1b[", -EINVAL, "colour" },
                { "--background=111111111111111111111111111111111", -EINVAL, "colour" },
                { "--selinux-context=", -EINVAL, "label" },
                { "-Za\"b", -EINVAL, "label" },
                { "--user=-D", -EOPNOTSUPP, "root" },
                { "--personality=", -EINVAL, "one of" },
                { "--personality=pdp11", -EINVAL, "one of" },
                { "--hostname=.a", -EINVAL, "host name" },
                { "--uuid=", -EINVAL, "32 hexadecimal digits" },
                { "--uuid=xyz", -EINVAL, "32 hexadecimal digits" },
                { "--uuid=00000000000000000000000000000000", -EINVAL, "zeros" },
                { "-b|-a", -EINVAL, "cannot be combined" },
                { "-ab", -EINVAL, "cannot be combined" },
                { "--chdir=a", -EINVAL, "absolute path" },
                { "--chdir=", -EINVAL, "absolute path" },
                { "--chdir=/a/../b", -EINVAL, "absolute path" },
                { "--chdir=/a//b", -EINVAL, "absolute path" },
                { "--chdir=/proc", -EINVAL, "/proc" },
                { "--chdir=/sys/fs", -EINVAL, "/sys" },
                { "--chdir=/dev/shm", -EINVAL, "/dev" },
                { "-E1x=3", -EINVAL, "'--setenv=1x=3'" },
                { "-E=3", -EINVAL, "variable" },
                { "--setenv=", -EINVAL, "variable" },
                { "-Ea-b=1", -EINVAL, "variable" },
                { "--uid=", -EINVAL, "user name" },
                { "-ua:b", -EINVAL, "user name" },
                { "-u../x", -EINVAL, "user name" },
                { "-u-1", -EINVAL, "user name" },
                { "-ua\nb", -EINVAL, "user name" },
                { "--kill-signal=", -EINVAL, "SIGTERM" },
                { "--kill-signal=0", -EINVAL, "SIGTERM" },
                { "--kill-signal=65", -EINVAL, "SIGTERM" },
                { "--stop-timeout=", -EINVAL, "1min 30s" },
                { "--time=", -EINVAL, "private" },
                { "--time=yes", -EINVAL, "'--time=yes'" },
                { "--stop-timeout=0", -EINVAL, "1min 30s" },
                { "--stop-timeout=-1", -EINVAL, "1min 30s" },
                { "--stop-timeout=never", -EINVAL, "'--stop-timeout=never'" },
                { "--kill-signal=SIGNONE", -EINVAL, "'--kill-signal=SIGNONE'" },
                { "--notify-ready=", -EINVAL, "yes or no" },
                { "--notify-ready=maybe", -EINVAL, "yes or no" },
                { "--no-new-privileges=2", -EINVAL, "yes or no" },
                { "--slice=", -EINVAL, "slice" },
                { "--slice=-a", -EINVAL, "slice" },
                { "--property=MemoryMax", -EINVAL, "NAME=VALUE" },
                { "--property==1", -EINVAL, "NAME=VALUE" },
                { "--register=maybe", -EINVAL, "yes, no or auto" },
                { "--register=", -EINVAL, "yes, no or auto" },
                { "--private-users=managed", -EOPNOTSUPP, "pick" },
                { "--private-users=", -EINVAL, "identity" },
                { "--private-users=maybe", -EINVAL, "identity" },
                { "--private-users=-1", -EINVAL, "identity" },
                { "--private-users=1:", -EINVAL, "identity" },
                { "--private-users=5:0", -ERANGE, "4294967295" },
                { "--private-users=4294967295", -ERANGE, "4294967295" },
                { "--private-users=4294901760:65536", -ERANGE, "4294967295" },
                { "--private-users-ownership=", -EINVAL, "off, chown, map, auto" },
                { "--private-users-ownership=yes", -EINVAL, "off, chown, map, auto" },
                { "--private-users-ownership=foreign", -EOPNOTSUPP, "not built yet" },
                { "--resolv-conf=", -EINVAL, "auto, off, delete, copy-host" },
                { "--resolv-conf=copy", -EINVAL, "bind-stub" },
                { "--bind-user=", -EINVAL, "user of this host" },
                { "--bind-user=" X64 "x", -EINVAL, "user of this host" },
                { "--bind-user-group=a/b", -EINVAL, "group of the container" },
                { "--bind-user-shell=bash", -EINVAL, "absolute path" },
                { "--bind-user-shell=/", -EINVAL, "absolute path" },
                { "--forward-journal=", -EINVAL, "'.journal'" },
                { "--forward-journal=/a/", -EINVAL, "'.journal'" },
                { "--forward-journal-max-use=", -EINVAL, "size in bytes" },
                { "--forward-journal-keep-free=1X", -EINVAL, "size in bytes" },
                { "--forward-journal-max-file-size=0", -EINVAL, "size in bytes" },
                { "--forward-journal-max-files=0", -EINVAL, "number of files" },
                { "--link-journal=", -EINVAL, "no, host, try-host, guest, try-guest, auto" },
                { "--link-journal=try-auto", -EINVAL, "'--link-journal=try-auto'" },
                { "--timezone=", -EINVAL, "auto, off, copy, bind, symlink, delete" },
                { "--timezone=UTC", -EINVAL, "'--timezone=UTC'" },
                { "--capability=CAP_NOTHING", -EINVAL, "'CAP_NOTHING' is not a capability" },
                { "--capability=CAP_CHOWN,X,Y", -EINVAL, "'X' is not" },
                { "--drop-capability=5x", -EINVAL, "'5x' is not" },
                { "--system-call-filter=" X64 X64, -EINVAL, "too long" },
                { "--rlimit=", -EINVAL, "NAME=SOFT" },
                { "--rlimit=NOFILE", -EINVAL, "NAME=SOFT" },
                { "--rlimit==5", -EINVAL, "no such limit" },
                { "--rlimit=nofile=5", -EINVAL, "no such limit" },
                { "--rlimit=" X64 "=5", -EINVAL, "NAME=SOFT" },
                { "--rlimit=NOFILE=", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=x", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=-1", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=1:2:3", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=1:", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=:1", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=1K", -EINVAL, "not a number" },
                { "--rlimit=NOFILE=99999999999999999999", -ERANGE, "not a number" },
                { "--rlimit=NOFILE=" X64, -EINVAL, "not a number" },
                { "--rlimit=NOFILE=2:1", -EINVAL, "above the hard limit" },
                { "--rlimit=NOFILE=infinity:1", -EINVAL, "above the hard limit" },
                { "--bind=/a:b", -EINVAL, "destination" },
                { "--bind=/a:", -EINVAL, "destination" },
                { "--bind=/a:/b:bad", -EINVAL, "norbind" },
                { "--bind=/a:/b:rbind,bad", -EINVAL, "norbind" },
                { "--bind=/a:/b:rbind:x", -EINVAL, "SOURCE" },
                { "--bind=/a\\", -EINVAL, "SOURCE" },
                { "--bind=+a:/b", -EINVAL, "'+/PATH'" },
                { "--bind=+:/b", -EINVAL, "'+/PATH'" },
                { "--bind=:", -EINVAL, "destination" },
                { "--bind=:a", -EINVAL, "destination" },
                { "--bind=:/a/../b", -EINVAL, "'..'" },
                { "--bind=/a/../b", -EINVAL, "'..'" },
                { "--overlay=", -EINVAL, "two" },
                { "--overlay=/a", -EINVAL, "two" },
                { "--overlay=/a:", -EINVAL, "left empty" },
                { "--overlay=:/a", -EINVAL, "left empty" },
                { "--overlay=:/a:/b", -EINVAL, "left empty" },
                { "--overlay=/a::/b:/c", -EINVAL, "left empty" },
                { "--overlay-ro=/a:/b:", -EINVAL, "destination" },
                { "--overlay=/a:/b:c", -EINVAL, "destination" },
                { "--overlay=+a:/b:/c", -EINVAL, "'+/PATH'" },
                { "--overlay=/a:/b:/c/..", -EINVAL, "'..'" },
                { "--overlay=/a:/b\\", -EINVAL, "LOWER" },
                { "--inaccessible=", -EINVAL, "absolute" },
                { "--inaccessible=a", -EINVAL, "absolute" },
                { "--inaccessible=/a/..", -EINVAL, "'..'" },
                { "--bind=", -EINVAL, "path of the source" },
                { "--settings=", -EINVAL, "override" },
                { "--settings=TRUSTED", -EINVAL, "override" },
                { "--rlimit=NICE=-21", -ERANGE, "not a number" },
                { "--tmpfs=t", -EINVAL, "not absolute" },
                { "--tmpfs=", -EINVAL, "not absolute" },
                { "--tmpfs=/t:a:b", -EINVAL, "PATH" },
                { "--tmpfs=/t\\", -EINVAL, "PATH" },
                { "--volatile=", -EINVAL, "no, yes, state, overlay" },
                { "--ephemeral-method=view", -EINVAL, "auto, snapshot, overlay, reflink, copy" },
                { "--ephemeral-directory=", -EINVAL, "path of a directory" },
                { "--template=", -EINVAL, "path of a directory" },
                { "--pivot-root=", -EINVAL, "absolute" },
                { "--pivot-root=a", -EINVAL, "absolute" },
                { "--pivot-root=/a:", -EINVAL, "absolute" },
                { "--pivot-root=/a:/b:/c", -EINVAL, "NEW or NEW:OLD" },
                { "--pivot-root=/a/../b", -EINVAL, "'..'" },
                { "--pivot-root=/", -EINVAL, "absolute" },
                { "--volatile=tmpfs", -EINVAL, "no, yes, state, overlay" },
                { "--console=", -EINVAL, "interactive, read-only, passive, pipe, autopipe" },
                { "--console=none", -EINVAL, "'--console=none'" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                int r = apply(rows[i].line, &c, &failure);

                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].line, r);
                assert_int_equal(failure.error, rows[i].r);
                if (!strstr(failure.text, rows[i].words) || !endswith(failure.text, "."))
                        fail_msg("'%s': \"%s\"", rows[i].line, failure.text);
        }
}

/* A path that is given without a slash is taken from the working directory. */
static void test_relative_paths(void **state)
{
        struct container_config c CLEANUP(config_done);
        struct failure failure = { .error = 0 };
        char cwd[PATH_MAX];

        (void) state;
        assert_non_null(getcwd(cwd, sizeof(cwd)));
        assert_int_equal(chdir("/usr"), 0);
        assert_int_equal(apply("-D./tree/|--bind=a:/b", &c, &failure), 0);
        assert_int_equal(chdir(cwd), 0);
        assert_string_equal(c.directory, "/usr/tree");
        assert_string_equal(c.custom_mounts[0].sources[0].path, "/usr/a");
        assert_string_equal(c.custom_mounts[0].destination, "/b");
        assert_string_equal(c.custom_mounts[0].origin, "--bind=a:/b");
}

static void test_word_lists(void **state)
{
        static const char *const lines[] = {
                "--kill-signal=help",
                "--capability=help",
                "--drop-capability=help",
                "--rlimit=help",
                "--private-users-ownership=help",
                "--console=help",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                struct silence silence = silence_begin(STDOUT_FILENO);
                int r = apply(lines[i], &c, &failure);

                silence_end(silence, STDOUT_FILENO);
                if (r != 1)
                        fail_msg("'%s': %d", lines[i], r);
                assert_int_equal(failure.error, 0);
        }
}

/* ---- environment, validation ------------------------------------------------------------- */

static const char *const variables[] = {
        "SYSTEMD_NSPAWN_TMPFS_TMP",
        "SYSTEMD_NSPAWN_LOCK",
        "SYSTEMD_NSPAWN_CHECK_OS_RELEASE",
        "SYSTEMD_SECCOMP",
        "SYSTEMD_LOG_SECCOMP",
        "SYSTEMD_NSPAWN_SHARE_NS_IPC",
        "SYSTEMD_NSPAWN_SHARE_NS_PID",
        "SYSTEMD_NSPAWN_SHARE_NS_UTS",
        "SYSTEMD_NSPAWN_SHARE_SYSTEM",
        "SYSTEMD_NSPAWN_USE_CGNS",
        "SYSTEMD_COLORS",
        "NO_COLOR",
        "SYSTEMD_TINT_BACKGROUND",
        "SYSTEMD_ADJUST_TERMINAL_TITLE",
        "SYSTEMD_SUPPRESS_SYNC",
        "SYSTEMD_NSPAWN_API_VFS_WRITABLE",
        "SYSTEMD_NSPAWN_CONTAINER_SERVICE",
        "LISTEN_FDS",
        "LISTEN_PID",
};

static int clear_environment(void **state)
{
        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
                (void) unsetenv(variables[i]);
        return 0;
}

static void test_environment(void **state)
{
        static const struct {
                const char *variable, *value;
                int r;
                const char *result;
        } rows[] = {
                { "SYSTEMD_SECCOMP", NULL, 0, "tmp lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_TMPFS_TMP", "0", 0, "lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_TMPFS_TMP", "yes", 0,
                  "tmp lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_TMPFS_TMP", "x", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_TMPFS_TMP", "", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_LOCK", "no", 0, "tmp check filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_LOCK", "2", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_CHECK_OS_RELEASE", "0", 0,
                  "tmp lock filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_CHECK_OS_RELEASE", "x", -EINVAL, NULL },
                { "SYSTEMD_SECCOMP", "0", 0, "tmp lock check api=0 systemd-nspawn" },
                { "SYSTEMD_SECCOMP", "1", 0, "tmp lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_SECCOMP", "x", -EINVAL, NULL },
                { "SYSTEMD_SUPPRESS_SYNC", "1", 0,
                  "tmp lock check filter sync api=0 systemd-nspawn" },
                { "SYSTEMD_SUPPRESS_SYNC", "no", 0, "tmp lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_SUPPRESS_SYNC", "x", -EINVAL, NULL },
                { "SYSTEMD_LOG_SECCOMP", "yes", 0,
                  "tmp lock check filter log api=0 systemd-nspawn" },
                { "SYSTEMD_LOG_SECCOMP", "", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_API_VFS_WRITABLE", "1", 0,
                  "tmp lock check filter api=1 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_API_VFS_WRITABLE", "no", 0,
                  "tmp lock check filter api=0 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_API_VFS_WRITABLE", "network", 0,
                  "tmp lock check filter api=2 systemd-nspawn" },
                { "SYSTEMD_NSPAWN_API_VFS_WRITABLE", "net", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_CONTAINER_SERVICE", "mine", 0,
                  "tmp lock check filter api=0 mine" },
                { "SYSTEMD_NSPAWN_CONTAINER_SERVICE", "", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_CONTAINER_SERVICE", "a/b", -EINVAL, NULL },
                { "SYSTEMD_NSPAWN_CONTAINER_SERVICE", "a\nb", -EINVAL, NULL },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char result[128];
                int r;

                (void) clear_environment(NULL);
                if (rows[i].value)
                        assert_int_equal(setenv(rows[i].variable, rows[i].value, 1), 0);
                config_init(&c);
                r = settings_apply_environment(&c, &failure);
                if (r != rows[i].r)
                        fail_msg("%s='%s': %d", rows[i].variable, rows[i].value, r);
                if (r < 0) {
                        assert_non_null(strstr(failure.text, rows[i].variable));
                        continue;
                }
                (void) snprintf(result, sizeof(result), "%s%s%s%s%s%sapi=%d %s",
                                c.tmpfs_on_tmp ? "tmp " : "", c.lock_tree ? "lock " : "",
                                c.check_os_release ? "check " : "",
                                c.system_call_filter_off ? "" : "filter ",
                                c.suppress_sync ? "sync " : "", c.log_filter ? "log " : "",
                                (int) c.api_vfs, c.service);
                assert_string_equal(result, rows[i].result);
                assert_int_equal(c.n_listen_fds, 0);
        }
}

static void test_environment_of_terminal_and_namespaces(void **state)
{
        static const struct {
                const char *variable, *value;
                int r;
                uint64_t shared;
                enum colors colors;
                bool tint, title;
        } rows[] = {
                { "SYSTEMD_COLORS", NULL, 0, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_SHARE_NS_IPC", "1", 0, CLONE_NEWIPC, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_SHARE_NS_PID", "yes", 0, CLONE_NEWPID, COLORS_AUTO, false,
                  false },
                { "SYSTEMD_NSPAWN_SHARE_NS_UTS", "on", 0, CLONE_NEWUTS, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_SHARE_SYSTEM", "1", 0, CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWUTS,
                  COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_SHARE_SYSTEM", "0", 0, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_SHARE_SYSTEM", "x", -EINVAL, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_USE_CGNS", "1", 0, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_USE_CGNS", "0", -EOPNOTSUPP, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_NSPAWN_USE_CGNS", "x", -EINVAL, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_COLORS", "0", 0, 0, COLORS_NO, false, false },
                { "SYSTEMD_COLORS", "256", 0, 0, COLORS_YES, false, false },
                { "NO_COLOR", "1", 0, 0, COLORS_NO, false, false },
                { "NO_COLOR", "", 0, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_TINT_BACKGROUND", "yes", 0, 0, COLORS_AUTO, true, false },
                { "SYSTEMD_TINT_BACKGROUND", "x", -EINVAL, 0, COLORS_AUTO, false, false },
                { "SYSTEMD_ADJUST_TERMINAL_TITLE", "1", 0, 0, COLORS_AUTO, false, true },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };

                (void) clear_environment(NULL);
                if (rows[i].value)
                        assert_int_equal(setenv(rows[i].variable, rows[i].value, 1), 0);
                config_init(&c);
                if (settings_apply_environment(&c, &failure) != rows[i].r)
                        fail_msg("%s='%s': %s", rows[i].variable, rows[i].value, failure.text);
                if (rows[i].r < 0)
                        assert_non_null(strstr(failure.text, rows[i].variable));
                else if (c.shared_namespaces != rows[i].shared || c.colors != rows[i].colors ||
                         c.tint_by_default != rows[i].tint || c.adjust_title != rows[i].title)
                        fail_msg("row %zu", i);
        }
}

static void test_listen_fds(void **state)
{
        static const struct {
                const char *pid, *n; /* "self": ours */
                unsigned expected;
        } rows[] = {
                { "self", "1", 1 },   { "self", "2", 2 },  { "self", "0", 0 },
                { "self", "512", 2 }, /* no more than there are: ours come behind them */
                { "self", "513", 0 }, { "self", "-1", 0 }, { "self", " 1", 0 },
                { "self", "", 0 },    { "self", NULL, 0 }, { "1", "1", 0 },
                { "x", "1", 0 },      { NULL, "1", 0 },
        };

        (void) state;
        assert_int_equal(dup2(2, 3), 3);
        assert_int_equal(dup2(2, 4), 4);
        (void) close(5);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char self[16];

                (void) clear_environment(NULL);
                (void) snprintf(self, sizeof(self), "%d", (int) getpid());
                if (rows[i].pid)
                        (void) setenv("LISTEN_PID", streq(rows[i].pid, "self") ? self : rows[i].pid,
                                      1);
                if (rows[i].n)
                        (void) setenv("LISTEN_FDS", rows[i].n, 1);
                config_init(&c);
                assert_int_equal(settings_apply_environment(&c, &failure), 0);
                if (c.n_listen_fds != rows[i].expected)
                        fail_msg("row %zu: %u", i, c.n_listen_fds);
        }
}

static void test_validate(void **state)
{
        static const struct {
                const char *line, *api; /* value of the variable, or NULL */
                int r;
                const char *words;
        } rows[] = {
                { "", NULL, 0, "" },
                { "-U|--read-only", NULL, 0, "" },
                { "--private-users-ownership=chown|--read-only", NULL, -EINVAL, "--read-only" },
                { "--private-users-ownership=map|--read-only", NULL, 0, "" },
                { "--private-users-ownership=chown|--volatile", NULL, -EINVAL, "--volatile" },
                { "--private-users-ownership=chown|--volatile=no", NULL, 0, "" },
                { "-D/|-x", NULL, 0, "" },
                { "-D/|--volatile", NULL, 0, "" },
                { "-D/|--volatile=state", NULL, 0, "" },
                { "-D/|--volatile=overlay", NULL, -EINVAL, "--ephemeral" },
                { "-D/a|-x|--template=/b", NULL, -EINVAL, "--template=" },
                { "--template=/b", NULL, -EINVAL, "--machine=" },
                { "-x|--link-journal=host", NULL, -EINVAL, "--link-journal=" },
                { "-x|--link-journal=try-guest", NULL, 0, "" },
                { "--template=/b|-Ma", NULL, 0, "" },
                { "--template=/b|-D/a", NULL, 0, "" },
                { "--cleanup", NULL, -EINVAL, "--machine=" },
                { "--cleanup|-Ma", NULL, 0, "" },
                { "--cleanup|-D/a|-x", NULL, -EINVAL, "--ephemeral" },
                { "--private-users-ownership=map|--volatile=overlay", NULL, 0, "" },
                { "", "1", 0, "" },
                { "-U", "1", -EINVAL, "API_VFS_WRITABLE=1" },
                { "--private-users=5", "1", -EINVAL, "API_VFS_WRITABLE=1" },
                { "", "network", 0, "" },
                { "-U", "network", -EINVAL, "--private-network" },
                { "-U|--private-network", "network", 0, "" },
                { "-D/", NULL, -EINVAL, "root directory" },
                { "-D/.", NULL, -EINVAL, "root directory" },
                { "-D///", NULL, -EINVAL, "root directory" },
                { "--json", NULL, -EINVAL, "--dry-run" },
                { "--json|--dry-run", NULL, 0, "" },
                { "--tmpfs=/", NULL, 0, "" },
                { "--bind=/a:/", NULL, 0, "" },
                { "--overlay=+/::/|--read-only", NULL, 0, "" },
                { "--tmpfs=/|--private-users=65536", NULL, 0, "" },
                { "--tmpfs=/|--private-users=65536|--private-users-ownership=chown", NULL, -EINVAL,
                  "--private-users-ownership=chown" },
                { "--tmpfs=/|--private-users=yes", NULL, -EINVAL, "--private-users=BASE" },
                { "--tmpfs=/|--private-users=pick|--private-users-ownership=off", NULL, -EINVAL,
                  "--private-users=BASE" },
                { "--inaccessible=/", NULL, -EINVAL, "hides the whole container" },
                { "--overlay=/a:+/b:/c", NULL, 0, "" },
                { "--overlay-ro=/a:+/b:/c|--read-only", NULL, 0, "" },
                { "--overlay=+/a:/b:/c|--read-only", NULL, 0, "" },
                { "--overlay=/a:+/b:/c|--read-only", NULL, -EINVAL, "--read-only forbids" },
                { "--overlay=/a:+/b:/c|--volatile=state", NULL, -EINVAL, "--volatile= forbids" },
                { "--overlay=/a:+/b:/c|--ephemeral", NULL, -EINVAL, "--ephemeral forbids" },
                { "--bind=/a:/|--ephemeral", NULL, -EINVAL, "--ephemeral both make" },
                { "--bind=/a:/|--volatile=yes", NULL, -EINVAL, "--volatile= both make" },
                { "-U|--bind=/a:/", NULL, -EINVAL, "--private-users-ownership=auto" },
                { "--private-users=pick|--bind=/a:/", NULL, -EINVAL, "ownership" },
                { "--bind=/a:/b", NULL, 0, "" },
                { "--ambient-capability=CAP_CHOWN", NULL, 0, "" },
                { "--ambient-capability=CAP_CHOWN|-a", NULL, 0, "" },
                { "--ambient-capability=all", NULL, -EINVAL, "ambient-capability=all" },
                { "--ambient-capability=CAP_CHOWN|-b", NULL, -EINVAL, "--boot" },
                { "--share-system", NULL, 0, "" },
                { "--share-system|-b", NULL, -EINVAL, "--boot" },
                { "--share-system|-a", NULL, -EINVAL, "--as-pid2" },
                { "--share-system|--private-users=5", NULL, -EINVAL, "--private-users=" },
                { "--share-system|-U", NULL, 0, "" },
                { "--share-system|--hostname=a", NULL, -EINVAL, "--hostname=" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                int r;

                (void) clear_environment(NULL);
                if (rows[i].api)
                        (void) setenv("SYSTEMD_NSPAWN_API_VFS_WRITABLE", rows[i].api, 1);
                assert_int_equal(apply(rows[i].line, &c, &failure), 0);
                assert_int_equal(settings_apply_environment(&c, &failure), 0);
                r = config_validate(&c, &failure);
                if (r != rows[i].r)
                        fail_msg("'%s': %d", rows[i].line, r);
                if (!strstr(failure.text, rows[i].words))
                        fail_msg("'%s': \"%s\"", rows[i].line, failure.text);
        }
}

static void test_names(void **state)
{
        static const struct {
                const char *name;
                int resource;
        } limits[] = {
                { "NOFILE", RLIMIT_NOFILE }, { "RLIMIT_CPU", RLIMIT_CPU }, { "", -EINVAL },
                { "RLIMIT_", -EINVAL },      { "nofile", -EINVAL },        { "NOFILES", -EINVAL },
        };

        (void) state;
        for (int i = CONSOLE_DEFAULT; i <= CONSOLE_AUTOPIPE; i++)
                assert_non_null(console_mode_name((enum console_mode) i));
        for (int i = OWNERSHIP_DEFAULT; i <= OWNERSHIP_AUTO; i++)
                assert_non_null(ownership_name((enum ownership) i));
        for (int i = START_COMMAND; i <= START_BOOT; i++)
                assert_non_null(start_mode_name((enum start_mode) i));
        for (int i = 0; i < RLIM_NLIMITS; i++)
                assert_int_equal(limit_from_name(limit_name(i)), i);
        assert_null(limit_name(-1));
        assert_null(limit_name(RLIM_NLIMITS));
        for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
                assert_int_equal(limit_from_name(limits[i].name), limits[i].resource);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_table),
                cmocka_unit_test(test_table_is_unique),
                cmocka_unit_test(test_planned_rows),
                cmocka_unit_test(test_rows_are_reachable),
                cmocka_unit_test(test_help_columns),
                cmocka_unit_test(test_scan),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_good_values),
                cmocka_unit_test(test_bad_values),
                cmocka_unit_test(test_relative_paths),
                cmocka_unit_test(test_word_lists),
                cmocka_unit_test_teardown(test_environment, clear_environment),
                cmocka_unit_test_teardown(test_environment_of_terminal_and_namespaces,
                                          clear_environment),
                cmocka_unit_test_teardown(test_listen_fds, clear_environment),
                cmocka_unit_test_teardown(test_validate, clear_environment),
                cmocka_unit_test(test_names),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
