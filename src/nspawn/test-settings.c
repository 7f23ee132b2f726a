/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "nspawn/settings-load.h"

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
        return settings_file_parse("a.nspawn", copy, size, settings_sections, file, failure);
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

/* ---- words ------------------------------------------------------------------------------- */

static void test_words(void **state)
{
        static const struct {
                const char *text;
                int r;
                const char *words; /* in brackets */
        } rows[] = {
                { "", 0, "" },
                { " \t ", 0, "" },
                { "a", 0, "[a]" },
                { " a  b\tc ", 0, "[a][b][c]" },
                { "\"a b\" 'c d'", 0, "[a b][c d]" },
                { "a\"b c\"d'e f'", 0, "[ab cde f]" },
                { "\"a'b\" 'c\"d'", 0, "[a'b][c\"d]" },
                { "\"\" a", 0, "[][a]" },
                { "a\\ b\\\"c d\"", 0, "[a\\][b\\c d]" },
                { "a\\n", 0, "[a\\n]" },
                { "a 'b c", -EINVAL, "[a]" },
                { "\"", -EINVAL, "" },
                { "a b\"'\"'", -EINVAL, "[a]" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct strbuf found CLEANUP_STRBUF = STRBUF_NULL;
                char **words CLEANUP_STRV = NULL;

                assert_int_equal(settings_split_words(rows[i].text, &words), rows[i].r);
                STRV_FOREACH(word, words)
                strbuf_addf(&found, "[%s]", *word);
                assert_string_equal(strbuf_text(&found), rows[i].words);
        }
}

/* ---- joining file and command line ------------------------------------------------------- */

/* What is said about lines goes to a file, as it would go to the screen. */
struct screen {
        int saved, fd;
};

static struct screen screen_begin(void)
{
        struct screen s = { .saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
                            .fd = memfd_create("screen", MFD_CLOEXEC) };

        assert_true(s.saved >= 0 && s.fd >= 0);
        assert_int_equal(dup2(s.fd, STDERR_FILENO), STDERR_FILENO);
        return s;
}

static void screen_end(struct screen s, char *text, size_t size)
{
        ssize_t n = pread(s.fd, text, size - 1, 0);

        (void) dup2(s.saved, STDERR_FILENO);
        (void) fd_close(s.saved);
        (void) fd_close(s.fd);
        assert_true(n >= 0);
        text[n] = '\0';
}

enum how { YES = 0, TRUSTED = 1, OVERRIDE = 2, BESIDE = 4 };

/* Reads the words of @argv, split at '|', and joins the file @text with them. */
static int merge(const char *argv, const char *text, unsigned how, struct settings *s,
                 struct failure *failure)
{
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
        struct settings_rules rules = { .trusted = !(how & BESIDE) || how & TRUSTED,
                                        .override = how & OVERRIDE };
        char **words CLEANUP_STRV = NULL, **rest CLEANUP_STRV = NULL;

        assert_int_equal(strv_add(&words, "nspawn"), 0);
        assert_int_equal(strv_split(argv, "|", &rest), 0);
        assert_int_equal(strv_add_all(&words, rest), 0);
        assert_int_equal(settings_add_argv(s, (int) strv_length(words), words, failure), 0);
        assert_int_equal(parse(text, strlen(text), &file, failure), 0);
        return settings_merge(s, "a.nspawn", &file, rules, failure);
}

/* "--quiet *Exec User=a" and the words after "--"; a star for what the file says. */
static char *describe_settings(const struct settings *s)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < s->n; i++) {
                const struct setting *item = &s->list[i];

                if (item->from_file)
                        strbuf_addf(&b, "%s*%s=%s", i ? " " : "", item->row->key, item->value);
                else
                        strbuf_addf(&b, "%s%s", i ? " " : "", item->origin);
        }
        STRV_FOREACH(word, s->words)
        strbuf_addf(&b, "%s%s", word == s->words ? " -- " : "|", *word);
        return b.length ? strbuf_take(&b) : strdup("");
}

struct merge_row {
        const char *argv, *text;
        unsigned how;
        const char *expected;
        const char *warning; /* words of what is said; NULL: nothing */
};

static const struct merge_row merge_rows[] = {
        /* Who wins, by group. */
        { "", "[Exec]\nUser=a\n", YES, "*User=a", NULL },
        { "-ub", "[Exec]\nUser=a\n", YES, "--uid=b", NULL },
        { "-ub", "[Exec]\nUser=a\n", OVERRIDE, "*User=a", NULL },
        { "--user=b", "[Exec]\nUser=a\n", YES, "--user=b", NULL },
        { "-ub", "[Exec]\nHostname=a\n", OVERRIDE, "--uid=b *Hostname=a", NULL },
        { "-EA=1", "[Exec]\nEnvironment=B=2\n", YES, "--setenv=A=1", NULL },
        { "-EA=1", "[Exec]\nEnvironment=B=2\n", OVERRIDE, "*Environment=B=2", NULL },
        { "--bind=/a", "[Files]\nTemporaryFileSystem=/t\n", YES, "--bind=/a", NULL },
        { "--bind=/a|--tmpfs=/b", "[Files]\nTemporaryFileSystem=/t\n", OVERRIDE,
          "*TemporaryFileSystem=/t", NULL },
        { "--rlimit=NOFILE=5", "[Exec]\nLimitNOFILE=6\nLimitCORE=7\n", YES,
          "--rlimit=NOFILE=5 *Limit*=CORE=7", NULL },
        { "--rlimit=RLIMIT_NOFILE=5|--rlimit=CPU=1", "[Exec]\nLimitNOFILE=6\n", OVERRIDE,
          "--rlimit=CPU=1 *Limit*=NOFILE=6", NULL },
        { "-U", "[Files]\nPrivateUsersOwnership=off\n", YES, "-U", NULL },
        { "-U", "[Files]\nPrivateUsersOwnership=off\n", OVERRIDE, "*PrivateUsersOwnership=off",
          NULL },
        { "--private-network", "[Network]\nVirtualEthernet=no\n", OVERRIDE, "*VirtualEthernet=no",
          NULL },
        { "--drop-capability=CAP_KILL", "[Exec]\nDropCapability=CAP_CHOWN\n", YES,
          "--drop-capability=CAP_KILL", NULL },
        { "--drop-capability=CAP_KILL", "[Exec]\nDropCapability=CAP_CHOWN\nCapability=CAP_BPF\n",
          OVERRIDE, "--drop-capability=CAP_KILL *Capability=CAP_BPF *DropCapability=CAP_CHOWN",
          NULL },
        { "-ub", "[Exec]\nUser=a:b\n", OVERRIDE, "--uid=b", "a.nspawn:2: User=a:b" },
        { "--resolv-conf=off", "[Exec]\nResolvConf=delete\nTimezone=off\n", YES,
          "--resolv-conf=off *Timezone=off", NULL },
        { "--resolv-conf=off", "[Exec]\nResolvConf=delete\nTimezone=off\n", OVERRIDE,
          "*ResolvConf=delete *Timezone=off", NULL },
        { "", "[Exec]\nResolvConf=bind-host\nTimezone=copy\n", BESIDE,
          "*ResolvConf=bind-host *Timezone=copy", NULL },
        { "", "[Files]\nBindUser=a b\nBindUser=c\n", YES, "*BindUser=a *BindUser=b *BindUser=c",
          NULL },
        { "", "[Files]\nBindUser=a b\nBindUser=\nBindUser=c\n", YES, "*BindUser=c", NULL },
        { "", "[Files]\nBindUser=a b:c\n", YES, "*BindUser=a", "user of this host" },
        { "", "[Files]\nBindUser=a\nBindUserShell=/bin/sh\n", BESIDE, "", "not trusted" },
        { "--bind-user=b", "[Files]\nBindUser=a\nBindUserShell=yes\n", YES,
          "--bind-user=b *BindUserShell=yes", NULL },
        { "--bind-user=b", "[Files]\nBindUser=a\n", OVERRIDE, "*BindUser=a", NULL },
        { "", "[Files]\nBindUserShell=sh\n", YES, "", "absolute path" },
        { "-j", "[Exec]\nLinkJournal=host\n", YES, "-j", NULL },
        { "-j", "[Exec]\nLinkJournal=host\n", OVERRIDE, "*LinkJournal=host", NULL },
        { "--link-journal=no|-j", "[Exec]\nLinkJournal=try-host\n", YES, "--link-journal=no -j",
          NULL },
        { "", "[Exec]\nLinkJournal=host\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nLinkJournal=x\nLinkJournal=auto\n", YES, "*LinkJournal=auto",
          "one of no, host" },
        { "", "[Exec]\nTimezone=copy\nTimezone=\n", YES, "*Timezone=copy", "one of auto" },
        { "", "[Exec]\nResolvConf=help\n", YES, "", "one of auto" },
        /* Lists, and what takes them back. */
        { "", "[Exec]\nEnvironment=A=1 \"B=2 3\"\nEnvironment=C=4\n", YES,
          "*Environment=A=1 *Environment=B=2 3 *Environment=C=4", NULL },
        { "", "[Exec]\nEnvironment=A=1\nEnvironment=\nEnvironment=C=4\n", YES, "*Environment=C=4",
          NULL },
        { "", "[Exec]\nEnvironment=1x=3 A=1 B\n", YES, "*Environment=A=1", "'a.nspawn:2" },
        { "", "[Exec]\nEnvironment=A=1 'B\n", YES, "*Environment=A=1", "quote" },
        { "", "[Exec]\nUser=a\nUser=\n", YES, "", NULL },
        { "", "[Files]\nReadOnly=yes\nReadOnly=\n", YES, "", NULL },
        { "", "[Files]\nVolatile=yes\nVolatile=\n", YES, "", NULL },
        { "--volatile=no", "[Files]\nVolatile=yes\n", YES, "--volatile=no", NULL },
        { "", "[Files]\nVolatile=state\n", BESIDE, "*Volatile=state", NULL },
        { "", "[Exec]\nCapability=CAP_KILL CAP_BPF\nCapability=\n", YES,
          "*Capability=CAP_KILL *Capability=CAP_BPF", NULL },
        { "", "[Exec]\nCapability=CAP_KILL,CAP_BPF CAP_CHOWN\n", YES, "*Capability=CAP_CHOWN",
          "spaces" },
        { "", "[Exec]\nKillSignal=SIGTERM\nKillSignal=\n", YES, "*KillSignal=SIGTERM", "SIGTERM" },
        { "", "[Exec]\nKillSignal=help\n", YES, "", "give a signal" },
        { "", "[Files]\nBind=\nBind=/a\n", YES, "*Bind=/a", "a.nspawn:2" },
        { "", "[Files]\nOverlay=\nOverlay=/a:/b\n", YES, "*Overlay=/a:/b", "a.nspawn:2" },
        { "", "[Files]\nOverlayReadOnly=/a\nOverlayReadOnly=+/a:/b:/c\n", YES,
          "*OverlayReadOnly=+/a:/b:/c", "a.nspawn:2" },
        { "", "[Files]\nInaccessible=\nInaccessible=/a\n", YES, "*Inaccessible=/a", "a.nspawn:2" },
        { "", "[Files]\nOverlay=/a:/b\n", BESIDE, "", "not trusted" },
        { "", "[Files]\nOverlayReadOnly=/a:/b\n", BESIDE, "", "not trusted" },
        { "", "[Files]\nInaccessible=/a\n", BESIDE, "", "not trusted" },
        { "--inaccessible=/b", "[Files]\nOverlay=/a:/b\n", YES, "--inaccessible=/b", NULL },
        { "--overlay=/b:/c", "[Files]\nInaccessible=/a\nBind=/x\n", OVERRIDE,
          "*Inaccessible=/a *Bind=/x", NULL },
        /* Keys. */
        { "", "[Exec]\nuser=a\nReadOnly=yes\n", YES, "", "no such key" },
        { "", "[Exec]\nLimit*=5\nLimitRLIMIT_CPU=1\nLimit=1\nLimitX=1\n", YES, "", "no such key" },
        { "", "[Exec]\nLimitNOFILE=1:2\nLimitNICE=-5\n", YES, "*Limit*=NOFILE=1:2 *Limit*=NICE=-5",
          NULL },
        { "", "[Files]\nPrivateUsersChown=x\nPrivateUsersChown=no\n", YES, "*PrivateUsersChown=no",
          "yes or no" },
        /* Properties: each is one for itself, as limits are. */
        { "", "[Resources]\nMemoryMax=1G\nTasksMax=5\nMemoryMax=2G\n", YES,
          "**=MemoryMax=1G **=TasksMax=5 **=MemoryMax=2G", NULL },
        { "--property=MemoryMax=3G", "[Resources]\nMemoryMax=1G\nTasksMax=5\n", YES,
          "--property=MemoryMax=3G **=TasksMax=5", NULL },
        { "--property=MemoryMax=3G|--property=CPUWeight=7", "[Resources]\nMemoryMax=1G\n", OVERRIDE,
          "--property=CPUWeight=7 **=MemoryMax=1G", NULL },
        { "--property=DeviceAllow=/dev/a r|--property=DeviceAllow=/dev/b r",
          "[Resources]\nDeviceAllow=/dev/c rw\nDeviceAllow=char-input r\n", OVERRIDE,
          "**=DeviceAllow=/dev/c rw **=DeviceAllow=char-input r", NULL },
        { "--property=NoSuchThing=1", "[Resources]\nIOWeight=5\n", YES,
          "--property=NoSuchThing=1 **=IOWeight=5", NULL },
        { "", "[Resources]\nTasksMax=5\nMemoryMax=1G\nMemoryMax=\n", YES, "**=TasksMax=5", NULL },
        { "", "[Resources]\nMemory=\nCPUWeight=5\nCPU=\n", YES, "**=CPUWeight=5", "no such key" },
        { "", "[Resources]\nMemoryMax=1X\nTasksMax=0\nCPUQuota=20%\n", YES, "**=CPUQuota=20%",
          "a.nspawn:2: MemoryMax=1X" },
        { "", "[Resources]\nDescription=x\n*=1\nPropertyX=1\n", YES, "", "no such key" },
        { "", "[Exec]\nMemoryMax=1G\n", YES, "", "no such key" },
        { "", "[Resources]\nMemoryMax=1G\n", BESIDE, "", "not trusted" },
        { "", "[Resources]\nMemoryMax=1G\n", BESIDE | TRUSTED, "**=MemoryMax=1G", NULL },
        { "--stop-timeout=5", "[Lifecycle]\nStopTimeout=7\n", OVERRIDE, "*StopTimeout=7", NULL },
        { "", "[Lifecycle]\nStopTimeout=7\n", BESIDE, "", "not trusted" },
        { "", "[Lifecycle]\nTime=host\n", BESIDE, "*Time=host", NULL },
        { "--time=private", "[Lifecycle]\nTime=host\n", YES, "--time=private", NULL },
        { "--time=private", "[Lifecycle]\nTime=host\n", OVERRIDE, "*Time=host", NULL },
        { "", "[Lifecycle]\nTime=host\nTime=\n", YES, "", NULL },
        { "", "[Lifecycle]\nTime=mine\n", YES, "", "a.nspawn:2: Time=mine" },
        /* How to start. */
        { "", "[Exec]\nBoot=yes\n", YES, "*Boot=yes", NULL },
        { "", "[Exec]\nBoot=maybe\n", YES, "", "yes or no" },
        { "", "[Exec]\nParameters=a b\n", YES, "", NULL },
        { "", "[Exec]\nParameters=a 'b c'\nBoot=no\n", YES, " -- a|b c", NULL },
        { "", "[Exec]\nParameters=a\nParameters=b\nProcessTwo=no\n", YES, " -- a|b", NULL },
        { "", "[Exec]\nParameters=a\nParameters=\nBoot=no\n", YES, "", NULL },
        { "x", "[Exec]\nParameters=a\nBoot=no\n", YES, " -- x", NULL },
        { "-a", "[Exec]\nParameters=a\nBoot=no\n", YES, "--as-pid2", NULL },
        { "x", "[Exec]\nParameters=a\nBoot=no\n", OVERRIDE, " -- a", NULL },
        { "x", "[Exec]\nBoot=yes\n", OVERRIDE, "*Boot=yes", NULL },
        { "-a|x", "[Exec]\nParameters=a\n", OVERRIDE, "--as-pid2 -- x", NULL },
        { "-a|x", "[Exec]\nBoot=no\n", OVERRIDE, "", NULL },
        { "", "[Exec]\nProcessTwo=yes\nBoot=yes\n", YES, "*ProcessTwo=yes", "contradicts line 2" },
        { "", "[Exec]\nProcessTwo=yes\nProcessTwo=no\n", YES, "*ProcessTwo=yes", "contradicts" },
        { "", "[Exec]\nProcessTwo=yes\nBoot=no\n", YES, "*ProcessTwo=yes", NULL },
        { "", "[Exec]\nBoot=no\nBoot=yes\n", YES, "*Boot=yes", NULL },
        { "", "[Exec]\nCPUAffinity=0\nCPUAffinity=1-2\n", YES, "*CPUAffinity=0 *CPUAffinity=1-2",
          NULL },
        { "", "[Exec]\nCPUAffinity=0\nCPUAffinity=\nOOMScoreAdjust=1\nOOMScoreAdjust=\n", YES, "",
          NULL },
        { "", "[Exec]\nCPUAffinity=x\nOOMScoreAdjust=2000\nPersonality=vax\n", YES, "",
          "a.nspawn:4" },
        { "--cpu-affinity=1|--oom-score-adjust=1", "[Exec]\nCPUAffinity=0\nOOMScoreAdjust=2\n", YES,
          "--cpu-affinity=1 --oom-score-adjust=1", NULL },
        { "--cpu-affinity=1", "[Exec]\nOOMScoreAdjust=2\n", YES,
          "--cpu-affinity=1 *OOMScoreAdjust=2", NULL },
        { "--cpu-affinity=1", "[Exec]\nCPUAffinity=0\n", OVERRIDE, "*CPUAffinity=0", NULL },
        { "", "[Exec]\nAmbientCapability=CAP_KILL CAP_CHOWN\nAmbientCapability=\n", YES,
          "*AmbientCapability=CAP_KILL *AmbientCapability=CAP_CHOWN", NULL },
        { "--drop-capability=CAP_KILL", "[Exec]\nAmbientCapability=CAP_CHOWN\n", YES,
          "--drop-capability=CAP_KILL", NULL },
        { "--ambient-capability=CAP_KILL", "[Exec]\nDropCapability=CAP_CHOWN\n", YES,
          "--ambient-capability=CAP_KILL", NULL },
        { "", "[Exec]\nRestrictAddressFamilies=AF_INET AF_UNIX\nRestrictAddressFamilies=\n", YES,
          "", NULL },
        { "", "[Exec]\nRestrictAddressFamilies=AF_INET\nRestrictAddressFamilies=~AF_X25\n", YES,
          "*RestrictAddressFamilies=AF_INET *RestrictAddressFamilies=~AF_X25", NULL },
        { "", "[Exec]\nRestrictAddressFamilies=AF_FOO\nSuppressSync=x\n", YES, "", "'AF_FOO'" },
        { "--restrict-address-families=", "[Exec]\nRestrictAddressFamilies=AF_UNIX\n", YES,
          "--restrict-address-families=", NULL },
        { "--suppress-sync=no", "[Exec]\nSuppressSync=yes\n", YES, "--suppress-sync=no", NULL },
        { "--suppress-sync=no", "[Exec]\nSuppressSync=yes\n", OVERRIDE, "*SuppressSync=yes", NULL },
        { "", "[Exec]\nSuppressSync=yes\nSuppressSync=\n", YES, "", NULL },
        /* Trust. */
        { "", "[Exec]\nSuppressSync=yes\n", BESIDE, "*SuppressSync=yes", NULL },
        { "", "[Exec]\nRestrictAddressFamilies=~AF_UNIX\n", BESIDE,
          "*RestrictAddressFamilies=~AF_UNIX", NULL },
        { "", "[Exec]\nRestrictAddressFamilies=~AF_UNIX\nRestrictAddressFamilies=AF_INET\n", BESIDE,
          "", "not trusted" },
        { "", "[Exec]\nRestrictAddressFamilies=AF_INET\nSystemCallFilter=~mount\n", BESIDE,
          "*SystemCallFilter=~mount", "RestrictAddressFamilies=AF_INET" },
        { "", "[Exec]\nCPUAffinity=0\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nOOMScoreAdjust=0\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nAmbientCapability=CAP_KILL\n", BESIDE, "", "not trusted" },
        { "", "[Files]\nBind=/a\nReadOnly=yes\n", BESIDE, "*ReadOnly=yes", "not trusted" },
        { "", "[Files]\nBind=/a\n", BESIDE | TRUSTED, "*Bind=/a", NULL },
        { "", "[Files]\nBind=/a\n", BESIDE | OVERRIDE, "", "not trusted" },
        { "--bind=/b", "[Files]\nBind=/a\n", BESIDE | OVERRIDE, "--bind=/b", "not trusted" },
        { "--bind=/b", "[Files]\nBind=/a\n", BESIDE, "--bind=/b", NULL },
        { "", "[Exec]\nCapability=CAP_BPF\nDropCapability=CAP_KILL\n", BESIDE,
          "*DropCapability=CAP_KILL", "Capability=CAP_BPF" },
        { "", "[Exec]\nSystemCallFilter=~a b\n", BESIDE, "*SystemCallFilter=~a b", NULL },
        { "", "[Exec]\nSystemCallFilter=~a\nSystemCallFilter=b\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nSystemCallFilter=~a\nSystemCallFilter=b\n", YES,
          "*SystemCallFilter=~a *SystemCallFilter=b", NULL },
        { "", "[Exec]\nEnvironment=A=\033[2J\n", BESIDE, "", "A=?[2J" },
        { "", "[Exec]\nEnvironment=A=\xc2\x9b\n", BESIDE, "", "control characters" },
        { "", "[Exec]\n\033[2J=\033\n", YES, "", "?[2J=?" },
        /* Not built. */
        { "", "[Files]\nInaccessible=/a\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nNesting=yes\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nNesting=yes\n", BESIDE | TRUSTED, "*Nesting=yes", NULL },
        { "", "[Exec]\nNesting=yes\nNesting=\n", YES, "", NULL },
        { "--nesting", "[Exec]\nNesting=no\n", YES, "--nesting", NULL },
        { "--nesting", "[Exec]\nNesting=no\n", OVERRIDE, "*Nesting=no", NULL },
        { "", "[Exec]\nEphemeralMethod=copy\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nEphemeralDirectory=/a\n", BESIDE, "", "not trusted" },
        { "", "[Exec]\nEphemeralDirectory=a\n", YES, "", "absolute" },
        { "", "[Exec]\nEphemeral=yes\nEphemeral=\n", YES, "", NULL },
        { "-x", "[Exec]\nEphemeral=no\n", YES, "--ephemeral", NULL },
        { "-x", "[Exec]\nEphemeral=no\n", OVERRIDE, "*Ephemeral=no", NULL },
        { "", "[Exec]\nPivotRoot=/a:/b\n", BESIDE, "*PivotRoot=/a:/b", NULL },
        { "", "[Exec]\nPivotRoot=/a:/b\nPivotRoot=\n", YES, "", NULL },
        { "--pivot-root=/c", "[Exec]\nPivotRoot=/a\n", YES, "--pivot-root=/c", NULL },
        { "", "[Exec]\nEphemeral=no\nSuppressSync=no\n", YES, "*Ephemeral=no *SuppressSync=no",
          NULL },
        { "", "[Network]\nPort=80\n", YES, "*Port=80", NULL },
};

static void test_merge(void **state)
{
        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(merge_rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct failure failure = { .error = 0 };
                const struct merge_row *row = &merge_rows[i];
                char said[8192], *found CLEANUP_FREE = NULL;
                struct screen screen = screen_begin();
                int r = merge(row->argv, row->text, row->how, &s, &failure);

                screen_end(screen, said, sizeof(said));
                if (r != 0)
                        fail_msg("row %zu: %d %s", i, r, failure.text);
                found = describe_settings(&s);
                if (!streq(found, row->expected))
                        fail_msg("'%s' and '%s': \"%s\"", row->argv, row->text, found);
                if (row->warning ? !strstr(said, row->warning) : *said != '\0')
                        fail_msg("'%s' and '%s' says \"%s\"", row->argv, row->text, said);
        }
}

/* What is said by the file is applied as if it was said by the command line. */
static void test_effects(void **state)
{
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct container_config c CLEANUP(config_done);
        struct failure failure = { .error = 0 };

        (void) state;
        config_init(&c);
        assert_int_equal(merge("--drop-capability=CAP_KILL|--capability=CAP_BPF",
                               "[Exec]\nBoot=yes\nPrivateUsers=1\nUser=a\nNotifyReady=yes\n"
                               "Capability=CAP_KILL\nLimitNICE=-5:infinity\n"
                               "CPUAffinity=0\nCPUAffinity=2-3\nOOMScoreAdjust=-7\n"
                               "[Files]\nReadOnly=yes\nBind=/a:/b\nPrivateUsersOwnership=yes\n"
                               "[Network]\nPrivate=yes\n[Resources]\nMemoryMax=1G\n"
                               "IOReadBandwidthMax=/dev/sda 5M\nMemoryMax=20%\n",
                               OVERRIDE, &s, &failure),
                         0);
        assert_int_equal(settings_apply(&s, &c, &failure), 0);
        assert_int_equal(c.start_mode, START_BOOT);
        assert_int_equal(c.userns_mode, USERNS_FROM_ROOT);
        assert_int_equal(c.ownership, OWNERSHIP_AUTO);
        assert_string_equal(c.user, "a");
        assert_true(c.notify_ready && c.read_only && c.network.private_network);
        assert_int_equal(c.capabilities_added, UINT64_C(1) << 5 | UINT64_C(1) << 39);
        assert_int_equal(c.capabilities_dropped, 0);
        assert_int_equal(c.limits[RLIMIT_NICE].value.rlim_cur, 25);
        assert_string_equal(c.cpu_affinity, "0,2-3");
        assert_true(c.oom_score_adjust_set && c.oom_score_adjust == -7);
        assert_string_equal(c.custom_mounts[0].origin, "a.nspawn:13: Bind=/a:/b");
        assert_int_equal(strv_length(c.properties), 3);
        assert_string_equal(c.properties[1], "IOReadBandwidthMax=/dev/sda 5M");
        assert_string_equal(c.properties[2], "MemoryMax=20%");
}

/* The file's network does not bring CAP_NET_ADMIN where the command line chose capabilities. */
static void test_network_capability(void **state)
{
        static const struct {
                const char *argv;
                unsigned how;
                bool dropped;
        } rows[] = {
                { "", YES, false },
                { "--drop-capability=CAP_KILL", YES, true },
                { "--drop-capability=CAP_KILL", OVERRIDE, false },
                { "--drop-capability=CAP_KILL|--private-network", YES, false },
                { "--capability=CAP_NET_ADMIN", YES, false },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };

                config_init(&c);
                assert_int_equal(
                        merge(rows[i].argv, "[Network]\nPrivate=yes\n", rows[i].how, &s, &failure),
                        0);
                assert_int_equal(settings_apply(&s, &c, &failure), 0);
                if (((c.capabilities_dropped >> 12 & 1) != 0) != rows[i].dropped)
                        fail_msg("row %zu: %llx", i, (unsigned long long) c.capabilities_dropped);
        }
}

/* In a file that is trusted, what cannot be done is refused as on the command line. */
static void test_planned(void **state)
{
        static const char *const texts[] = {
                "[Exec]\nPrivateUsersDelegate=1\n",
                "[Exec]\nPrivateUsers=managed\n",
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };

                config_init(&c);
                assert_int_equal(merge("", texts[i], YES, &s, &failure), 0);
                assert_int_equal(settings_apply(&s, &c, &failure), -EOPNOTSUPP);
                assert_non_null(strstr(failure.text, "a.nspawn:2: "));
        }
}

static void test_limits(void **state)
{
        static const struct {
                const char *head, *body;
                size_t times;
                int r;
        } rows[] = {
                { "[Exec]\nEnvironment=", "A=1 ", SETTINGS_LINES_MAX, 0 },
                { "[Exec]\nEnvironment=", "A=1 ", SETTINGS_LINES_MAX + 1, -EFBIG },
                { "[Exec]\n", "Environment=A=1 B=2\n", SETTINGS_LINES_MAX / 2 + 1, -EFBIG },
                { "[Exec]\nParameters=", "a ", SETTINGS_LINES_MAX + 1, -EFBIG },
                { "[Exec]\n", "Parameters=a b c\n", SETTINGS_LINES_MAX / 3 + 1, -EFBIG },
                { "[Exec]\n", "Parameters=a\nParameters=\n", SETTINGS_LINES_MAX / 2, 0 },
                { "[Exec]\n", "Environment=A=1\nEnvironment=\n", SETTINGS_LINES_MAX / 2, 0 },
                { "[Files]\n", "Bind=/a\n", SETTINGS_LINES_MAX, 0 },
                { "[Exec]\n", "Foo=1\n", SETTINGS_LINES_MAX, 0 },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct failure failure = { .error = 0 };
                size_t size = 0;
                char *text CLEANUP_FREE = repeat(rows[i].head, rows[i].body, rows[i].times, &size);
                char said[8192];
                struct screen screen = screen_begin();
                int r = merge("", text, YES, &s, &failure);

                screen_end(screen, said, sizeof(said));
                if (r != rows[i].r)
                        fail_msg("row %zu: %d %s", i, r, failure.text);
                /* Not a screen for each of thousands of lines. */
                assert_true(strlen(said) < 4000);
        }
}

/* ---- finding the file -------------------------------------------------------------------- */

static char *make_folder(void)
{
        char *folder = strdup("/tmp/stead-test-settings.XXXXXX");

        assert_non_null(mkdtemp(folder));
        return folder;
}

static void put(const char *path, const char *text)
{
        int fd CLEANUP_FD = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t) strlen(text));
}

/* Looks for the file of FOLDER/tree with this mode. */
static int load(const char *folder, const char *mode, struct settings *s,
                struct container_config *c, struct failure *failure)
{
        char *directory CLEANUP_FREE = NULL;
        char *argv[] = { (char *) "nspawn", NULL, (char *) mode, NULL };

        assert_true(asprintf(&directory, "-D%s/tree", folder) > 0);
        argv[1] = directory;
        config_init(c);
        assert_int_equal(settings_add_argv(s, mode ? 3 : 2, argv, failure), 0);
        return settings_load(s, c, failure);
}

enum { ABSENT, REGULAR, LINK, FIFO, FOLDER, BROKEN };

static void test_beside(void **state)
{
        static const struct {
                int what;
                const char *mode;
                int r;
                size_t n; /* settings of the file */
                const char *words;
        } rows[] = {
                { ABSENT, NULL, 0, 0, "" },
                { REGULAR, NULL, 0, 1, "" },
                { REGULAR, "--settings=no", 0, 0, "" },
                { REGULAR, "--settings=trusted", 0, 2, "" },
                { REGULAR, "--settings=override", 0, 1, "" },
                { LINK, NULL, -ELOOP, 0, "symbolic link" },
                { LINK, "--settings=no", 0, 0, "" },
                { FIFO, NULL, -EINVAL, 0, "not a regular file" },
                { FOLDER, NULL, -EINVAL, 0, "not a regular file" },
                { BROKEN, NULL, -EBADMSG, 0, "tree.nspawn:1" },
        };

        (void) state;
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char *folder CLEANUP_FREE = make_folder(), *path CLEANUP_FREE = NULL;
                char said[4096];
                struct screen screen;
                size_t n = 0;
                int r;

                assert_true(asprintf(&path, "%s/tree.nspawn", folder) > 0);
                if (rows[i].what == REGULAR)
                        put(path, "[Exec]\nUser=a\nMachineID=0123456789abcdef0123456789abcdef\n");
                else if (rows[i].what == BROKEN)
                        put(path, "[Exec\n");
                else if (rows[i].what == LINK)
                        assert_int_equal(symlink("/etc/shadow", path), 0);
                else if (rows[i].what == FIFO)
                        assert_int_equal(mkfifo(path, 0600), 0);
                else if (rows[i].what == FOLDER)
                        assert_int_equal(mkdir(path, 0700), 0);
                screen = screen_begin();
                r = load(folder, rows[i].mode, &s, &c, &failure);
                screen_end(screen, said, sizeof(said));
                if (r != rows[i].r)
                        fail_msg("row %zu: %d %s", i, r, failure.text);
                assert_non_null(strstr(failure.text, rows[i].words));
                for (size_t k = 0; k < s.n; k++)
                        n += s.list[k].from_file;
                assert_int_equal(n, rows[i].n);
                if (n)
                        assert_string_equal(c.settings_path, path);
                (void) remove(path);
                assert_int_equal(rmdir(folder), 0);
        }
}

/* The name before "..", and behind it, is the kernel's word; a link has the name of the link. */
static void test_tree(void **state)
{
        static const struct {
                const char *given, *tree;
        } rows[] = {
                { "a", "/a" },      { "a/../a", "/a" }, { "link", "/link" },   { "link/..", "/a" },
                { "a/b/..", "/a" }, { "no", "/no" },    { "no/..", "/no/.." },
        };
        char *folder CLEANUP_FREE = make_folder();

        (void) state;
        assert_int_equal(chdir(folder), 0);
        assert_int_equal(mkdir("a", 0700), 0);
        assert_int_equal(mkdir("a/b", 0700), 0);
        assert_int_equal(symlink("a/b", "link"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
                struct settings s CLEANUP(settings_done) = { .n = 0 };
                struct container_config c CLEANUP(config_done);
                struct failure failure = { .error = 0 };
                char *argv[] = { (char *) "nspawn", (char *) "-D", (char *) rows[i].given,
                                 (char *) "--settings=no", NULL };

                config_init(&c);
                assert_int_equal(settings_add_argv(&s, 4, argv, &failure), 0);
                assert_int_equal(settings_load(&s, &c, &failure), 0);
                assert_non_null(startswith(c.tree, folder));
                assert_string_equal(c.tree + strlen(folder), rows[i].tree);
        }
        assert_int_equal(unlink("link"), 0);
        assert_int_equal(rmdir("a/b"), 0);
        assert_int_equal(rmdir("a"), 0);
        assert_int_equal(chdir("/"), 0);
        assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_syntax),
                cmocka_unit_test(test_every_prefix),
                cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_words),
                cmocka_unit_test(test_merge),
                cmocka_unit_test(test_effects),
                cmocka_unit_test(test_network_capability),
                cmocka_unit_test(test_planned),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_beside),
                cmocka_unit_test(test_tree),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
