/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>

#include "basic/log.h"
#include "fuzz-config.h"
#include "nspawn/settings-load.h"

/*
 * The first line has the command line, in words, behind a letter: 't' for a file that is trusted,
 * 'o' for one that wins as well, anything else for neither. The rest is a .nspawn file.
 */

#define PATH "/srv/web.nspawn"

static void check_lines(const struct settings_file *file, const char *bytes, size_t size)
{
        size_t max = 1, known;

        for (size_t i = 0; i < size; i++)
                max += strchr("\r\n", bytes[i]) != NULL; /* finds NUL bytes, too */
        FUZZ_CHECK(file->n <= SETTINGS_LINES_MAX);
        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *line = &file->lines[i];

                FUZZ_CHECK(line->number >= 1 && line->number <= max);
                FUZZ_CHECK(i == 0 || line->number > line[-1].number);
                if (line->kind != LINE_ASSIGNMENT)
                        continue;
                for (known = 0;
                     settings_sections[known] && line->section != settings_sections[known]; known++)
                        ;
                FUZZ_CHECK(settings_sections[known]);
                FUZZ_CHECK(*line->key && !strchr(line->key, '=') && utf8_is_valid(line->key));
                FUZZ_CHECK(utf8_is_valid(line->value) && !strpbrk(line->value, "\r\n"));
        }
}

/* Its assignments, written down and read again, are the same. */
static void parse_again(const struct settings_file *file)
{
        struct settings_file again CLEANUP(settings_file_done) = { .n = 0 };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        size_t n = 0;

        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *line = &file->lines[i];

                /* Blanks keep a mark of byte order and a backslash what they are. */
                if (line->kind == LINE_ASSIGNMENT)
                        strbuf_addf(&text, "[%s]\n %s=%s \n", line->section, line->key,
                                    line->value);
        }
        if (text.length > SETTINGS_FILE_MAX)
                return;
        FUZZ_CHECK(settings_file_parse("again", strbuf_text(&text), text.length, settings_sections,
                                       &again, &failure) == 0);
        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *line = &file->lines[i];

                if (line->kind != LINE_ASSIGNMENT)
                        continue;
                FUZZ_CHECK(n < again.n && again.lines[n].kind == LINE_ASSIGNMENT);
                FUZZ_CHECK(line->section == again.lines[n].section);
                FUZZ_CHECK(streq(line->key, again.lines[n].key));
                FUZZ_CHECK(streq(line->value, again.lines[n].value));
                n++;
        }
        FUZZ_CHECK(n == again.n);
}

/* Nothing that needs trust comes through without it. */
static void check_trust(const struct settings *s, struct settings_rules rules)
{
        for (size_t i = 0; i < s->n; i++)
                FUZZ_CHECK(rules.trusted || !startswith(s->list[i].origin, PATH ":") ||
                           !(s->list[i].row->flags & (OPTION_TRUSTED | OPTION_PLANNED)));
}

static int apply(struct settings *s, const struct settings_file *file, struct settings_rules rules,
                 struct failure *failure)
{
        struct container_config c CLEANUP(config_done);
        int r;

        config_init(&c);
        r = settings_merge(s, PATH, file, rules, failure);
        if (r < 0)
                return r;
        check_trust(s, rules);
        r = settings_apply(s, &c, failure);
        if (r != 0)
                return r;
        fuzz_check_config(&c);
        return config_validate(&c, failure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text CLEANUP_FREE = fuzz_text(data, size), *bytes = fuzz_cut_line(text);
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct settings_rules rules = { .trusted = text[0] == 't' || text[0] == 'o',
                                        .override = text[0] == 'o' };
        struct failure failure = { .error = 0 };
        char **argv CLEANUP_STRV = NULL;
        int r;

        if (!bytes)
                return 0;
        size -= (size_t) (bytes - text);
        log_set_level(LOG_LEVEL_ERROR);
        opterr = 0;
        r = settings_file_parse(PATH, bytes, size, settings_sections, &file, &failure);
        fuzz_check_failure(r, &failure);
        if (r < 0) {
                FUZZ_CHECK(file.n == 0 && !file.text && strstr(failure.text, PATH));
                return 0;
        }
        check_lines(&file, bytes, size);
        parse_again(&file);
        /* Its first character becomes the program's name. */
        FUZZ_CHECK(strv_split(text, " ", &argv) == 0);
        if (argv && settings_add_argv(&s, (int) strv_length(argv), argv, &failure) < 0)
                return 0;
        r = apply(&s, &file, rules, &failure);
        fuzz_check_failure(r, &failure);
        return 0;
}
