/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * From lines to settings. The rows of the option table say which keys there are. Each line becomes
 * settings of its row, as if given on the command line, in these steps:
 *
 * 1. collect: lines to settings; empty values take back, lists become one setting for each word.
 * 2. check: each value is tried on an empty configuration. What does not fit is left out with a
 *    warning that names file and line.
 * 3. mask: groups that the command line speaks about are left out, unless the file overrides.
 * 4. trust: what a file from an untrusted place may not say is left out with a warning.
 * 5. join: where the file overrides, it takes the place of the command line's settings in the same
 *    groups; and the list is complete.
 *
 * What is known but not built is refused before anything is touched, as on the command line; but a
 * file that is not trusted must not decide about that: there it is a warning.
 */

#include <errno.h>
#include <stdio.h>

#include "basic/log.h"
#include "basic/parse.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "nspawn/settings-load.h"
#include "shared/property.h"

/* A file with errors in each line is to be repaired, not to fill the screen. */
#define WARNINGS_MAX 20

/* The words of the payload; there is no option that they belong to. */
static const struct option_row parameters_row = {
        .section = "Exec",
        .key = "Parameters",
        .group = GROUP_START_MODE,
};

/* What the lines of a file come to. */
struct merge {
        const char *path;
        struct settings_rules rules;
        struct settings settings; /* of the file */
        bool *unsupported;        /* by index: what the launcher cannot do yet */
        bool has_start_mode;      /* a line says how to start: only then .words mean something */
        const struct option_row *start_row; /* NULL: a plain command */
        unsigned start_line;
        unsigned n_warnings;
        struct failure *failure;
};

static void merge_done(struct merge *m)
{
        settings_done(&m->settings);
        free(m->unsupported);
}

static int out_of_memory(struct merge *m)
{
        return failure_set(m->failure, -ENOMEM, "Out of memory.");
}

/* Text of a file in a message: nothing of it may steer the terminal, and it has an end. */
static void add_safe(struct strbuf *b, const char *text, size_t max)
{
        const unsigned char *s = (const unsigned char *) text;

        for (size_t used = 0; *s; used++) {
                size_t n = MAX_OF(utf8_length(s), (size_t) 1);

                if (used == max) {
                        strbuf_add(b, "…");
                        return;
                }
                /* The controls of ASCII, and those of Latin-1, which some terminals obey, too. */
                if (*s < 0x20 || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0))
                        strbuf_add(b, "?");
                else
                        strbuf_add_bytes(b, s, n);
                s += n;
        }
}

static void warn(struct merge *m, const char *format, ...) PRINTF_LIKE(2, 3);
static void warn(struct merge *m, const char *format, ...)
{
        va_list ap;

        if (m->n_warnings++ >= WARNINGS_MAX)
                return;
        va_start(ap, format);
        log_message_v(LOG_LEVEL_WARNING, format, ap);
        va_end(ap);
}

/* ---- 1. collect -------------------------------------------------------------------------- */

/* Whether the star at the end of a row's key can stand for @name. */
static bool star_is(const struct option_row *row, const char *name)
{
        if (row->group == GROUP_PROPERTY)
                return property_from_key(name) >= 0;
        return limit_from_name(name) >= 0 && !startswith(name, "RLIMIT_");
}

/* The row that a line belongs to. @ret_prefix is what stands before its value on the command line:
 * LimitNOFILE=1 is --rlimit=NOFILE=1, and MemoryMax=1G is --property=MemoryMax=1G. */
static const struct option_row *find_key(const struct settings_line *line, const char **ret_prefix)
{
        *ret_prefix = NULL;
        if (streq(line->section, parameters_row.section) && streq(line->key, parameters_row.key))
                return &parameters_row;
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];
                size_t n;

                if (!row->key || !streq(row->section, line->section))
                        continue;
                n = strlen(row->key);
                if (row->key[n - 1] != '*') {
                        if (streq(row->key, line->key))
                                return row;
                } else if (strncmp(row->key, line->key, n - 1) == 0 &&
                           star_is(row, line->key + n - 1)) {
                        *ret_prefix = line->key + n - 1;
                        return row;
                }
        }
        return NULL;
}

static char *make_origin(const struct merge *m, unsigned number, const char *key, const char *value)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_addf(&b, "%s:%u: ", m->path, number);
        add_safe(&b, key, 64);
        strbuf_add(&b, "=");
        add_safe(&b, value, 200);
        return strbuf_take(&b);
}

static int add(struct merge *m, const struct option_row *row, const char *value, const char *origin)
{
        if (m->settings.n >= SETTINGS_LINES_MAX)
                return failure_set(m->failure, -EFBIG,
                                   "The settings file '%s' has more than %d values. Shorten it.",
                                   m->path, SETTINGS_LINES_MAX);
        return settings_add(&m->settings, row, value, origin, true) < 0 ? out_of_memory(m) : 0;
}

/* Takes back what the file has said in this row so far; with @prefix, under this name of it. */
static void reset(struct merge *m, const struct option_row *row, const char *prefix)
{
        struct settings *s = &m->settings;
        size_t kept = 0, n = prefix ? strlen(prefix) : 0;

        for (size_t i = 0; i < s->n; i++) {
                const char *value = s->list[i].value;

                if (s->list[i].row == row &&
                    (!prefix || (strncmp(value, prefix, n) == 0 && value[n] == '='))) {
                        free(s->list[i].value);
                        free(s->list[i].origin);
                } else
                        s->list[kept++] = s->list[i];
        }
        s->n = kept;
}

/* Warns when the text ends in the midst of a quote; the words before that count. */
static int split(struct merge *m, const struct settings_line *line, const char *origin,
                 char ***ret_words)
{
        int r = settings_split_words(line->value, ret_words);

        if (r == -EINVAL)
                warn(m, "Ignoring the end of '%s': a quote is not closed.", origin);
        if (r == -E2BIG)
                return failure_set(m->failure, -EFBIG,
                                   "The line '%s' has more than %d words. Shorten it.", origin,
                                   SETTINGS_LINES_MAX);
        return r == -ENOMEM ? out_of_memory(m) : 0;
}

static int collect_parameters(struct merge *m, const struct settings_line *line, const char *origin)
{
        char **words CLEANUP_STRV = NULL;
        int r;

        if (*line->value == '\0') {
                m->settings.words = strv_free(m->settings.words);
                return 0;
        }
        r = split(m, line, origin, &words);
        if (r < 0)
                return r;
        if (strv_length(m->settings.words) + strv_length(words) > SETTINGS_LINES_MAX)
                return failure_set(m->failure, -EFBIG,
                                   "The command in '%s' has more than %d words. Shorten it.",
                                   m->path, SETTINGS_LINES_MAX);
        return strv_add_all(&m->settings.words, words) < 0 ? out_of_memory(m) : 0;
}

static int collect_words(struct merge *m, const struct option_row *row,
                         const struct settings_line *line, const char *origin)
{
        char **words CLEANUP_STRV = NULL;
        int r = split(m, line, origin, &words);

        STRV_FOREACH(word, words)
        {
                if (r >= 0)
                        r = add(m, row, *word, origin);
        }
        return r;
}

/*
 * Boot= and ProcessTwo= are two switches for one thing with three positions. What contradicts an
 * earlier line is ignored: yes after the other one's yes, and no after one's own.
 */
static void collect_start_mode(struct merge *m, const struct option_row *row,
                               const struct settings_line *line, const char *origin)
{
        bool value = false;

        if (parse_boolean(line->value, &value) < 0)
                warn(m, "Ignoring '%s': write yes or no.", origin);
        else if (m->start_row && value == (m->start_row != row))
                warn(m, "Ignoring '%s': it contradicts line %u.", origin, m->start_line);
        else {
                if (value)
                        m->start_row = row;
                m->has_start_mode = true;
                m->start_line = line->number;
        }
}

static int collect_value(struct merge *m, const struct option_row *row, const char *prefix,
                         const struct settings_line *line, const char *origin)
{
        char *value CLEANUP_FREE = NULL;

        if (*line->value == '\0' && row->flags & OPTION_RESETS) {
                reset(m, row, prefix);
                return 0;
        }
        if (row->flags & OPTION_WORDS)
                return collect_words(m, row, line, origin);
        if (!prefix)
                return add(m, row, line->value, origin);
        if (asprintf(&value, "%s=%s", prefix, line->value) < 0)
                return out_of_memory(m);
        return add(m, row, value, origin);
}

/* Whether other messages, which show values as they are, could be made to steer a terminal. */
static bool has_controls(const char *text)
{
        for (const unsigned char *s = (const unsigned char *) text; *s; s++)
                if ((*s < 0x20 && *s != '\t') || *s == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0))
                        return true;
        return false;
}

static int collect_assignment(struct merge *m, const struct settings_line *line)
{
        const char *prefix;
        const struct option_row *row = find_key(line, &prefix);
        char *origin CLEANUP_FREE = make_origin(m, line->number, line->key, line->value);

        if (!origin)
                return out_of_memory(m);
        if (!row)
                warn(m, "Ignoring '%s': the section [%s] has no such key.", origin, line->section);
        else if (!m->rules.trusted && has_controls(line->value))
                warn(m, "Ignoring '%s': it has control characters, and the file is not trusted.",
                     origin);
        else if (row == &parameters_row)
                return collect_parameters(m, line, origin);
        else if (row->group == GROUP_START_MODE)
                collect_start_mode(m, row, line, origin);
        else
                return collect_value(m, row, prefix, line, origin);
        return 0;
}

static int collect_line(struct merge *m, const struct settings_line *line)
{
        struct strbuf name CLEANUP_STRBUF = STRBUF_NULL;

        switch (line->kind) {
        case LINE_ASSIGNMENT:
                return collect_assignment(m, line);
        case LINE_UNKNOWN_SECTION:
                add_safe(&name, line->key, 64);
                warn(m, "%s:%u: Unknown section '%s', ignoring.", m->path, line->number,
                     strbuf_text(&name));
                break;
        case LINE_NO_SECTION:
                warn(m, "%s:%u: Assignment outside of section, ignoring.", m->path, line->number);
                break;
        case LINE_NO_EQUALS:
                warn(m, "%s:%u: Missing '=', ignoring line.", m->path, line->number);
                break;
        case LINE_NO_KEY:
                warn(m, "%s:%u: Missing key before '=', ignoring line.", m->path, line->number);
                break;
        }
        return 0;
}

static int collect(struct merge *m, const struct settings_file *file)
{
        char *origin CLEANUP_FREE = NULL;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < file->n; i++)
                r = collect_line(m, &file->lines[i]);
        if (r < 0 || !m->start_row)
                return r;
        origin = make_origin(m, m->start_line, m->start_row->key, "yes");
        return origin ? add(m, m->start_row, "yes", origin) : out_of_memory(m);
}

/* ---- 2. to 5. ---------------------------------------------------------------------------- */

/* Where the numbers of these begin; those of groups come first. */
#define UNIT_LIMITS ((size_t) N_OPTION_GROUPS)
#define UNIT_PROPERTIES (UNIT_LIMITS + RLIM_NLIMITS)
#define UNIT_ROWS (UNIT_PROPERTIES + N_PROPERTIES)

/*
 * Settings with the same number are masked, and replaced, together: those of a group, each limit
 * and each property for itself, and what has no group by its row.
 */
static size_t unit_of(const struct setting *s)
{
        enum option_group group = s->row->group;
        char name[32];
        size_t n;
        int number;

        if (group == GROUP_NONE || group == GROUP_OTHER)
                return UNIT_ROWS + (size_t) (s->row - option_rows);
        if (group != GROUP_LIMIT && group != GROUP_PROPERTY)
                return (size_t) group;
        n = strcspn(s->value, "=");
        if (n >= sizeof(name))
                return (size_t) group;
        memcpy(name, s->value, n);
        name[n] = '\0';
        number = group == GROUP_LIMIT ? limit_from_name(name) : property_from_key(name);
        if (number < 0)
                return (size_t) group;
        return (group == GROUP_LIMIT ? UNIT_LIMITS : UNIT_PROPERTIES) + (size_t) number;
}

static size_t n_units(void)
{
        return UNIT_ROWS + n_option_rows;
}

static void drop(struct merge *m, size_t i)
{
        free(m->settings.list[i].value);
        free(m->settings.list[i].origin);
        m->settings.list[i] = (struct setting){ .row = NULL };
}

static int check(struct merge *m)
{
        struct container_config trial CLEANUP(config_done);

        config_init(&trial);
        m->unsupported = calloc(m->settings.n + 1, sizeof(bool));
        if (!m->unsupported)
                return out_of_memory(m);
        for (size_t i = 0; i < m->settings.n; i++) {
                const struct setting *s = &m->settings.list[i];
                struct failure failure = { .error = 0 };
                int r = s->row->apply(&trial, s, &failure);

                if (r == -ENOMEM)
                        return out_of_memory(m);
                m->unsupported[i] = r == -EOPNOTSUPP;
                /* Without this link the machine would be another one. */
                if (r < 0 && s->row->flags & OPTION_STRICT && m->rules.trusted)
                        return failure_set(m->failure, r, "%s", failure.text);
                if (r < 0 && r != -EOPNOTSUPP) {
                        warn(m, "%s This is ignored.", failure.text);
                        drop(m, i);
                }
        }
        return 0;
}

/* Whether the command line asks for a network, and for no link in it. */
static bool denies_links(const struct settings *s)
{
        bool asks = false;

        for (size_t i = 0; i < s->n; i++) {
                const struct option_row *row = s->list[i].row;

                if (row->group != GROUP_NETWORK)
                        continue;
                if (!streq(row->name, "private-network") &&
                    !streq(row->name, "network-namespace-path"))
                        return false;
                asks = true;
        }
        return asks;
}

/* What is chosen about a link goes with the link, whoever asks for that. */
static void mask(struct merge *m, const struct settings *argv, const bool *on_argv)
{
        bool no_links = denies_links(argv);

        for (size_t i = 0; i < m->settings.n; i++) {
                const struct setting *s = &m->settings.list[i];

                if (s->row && (on_argv[unit_of(s)] || (no_links && s->row->flags & OPTION_CHOICE)))
                        drop(m, i);
        }
        if (on_argv[GROUP_START_MODE])
                m->has_start_mode = false;
}

/* To allow system calls or families of addresses takes trust, to deny them does not; a list with both
 * is one list. */
static bool allows_in(const struct merge *m, enum option_group group)
{
        for (size_t i = 0; i < m->settings.n; i++) {
                const struct setting *s = &m->settings.list[i];

                if (s->row && s->row->group == group && s->value[0] != '~' && s->value[0] != '\0')
                        return true;
        }
        return false;
}

static void distrust(struct merge *m)
{
        bool calls = allows_in(m, GROUP_SYSTEM_CALL_FILTER);
        bool families = allows_in(m, GROUP_ADDRESS_FAMILIES);

        for (size_t i = 0; i < m->settings.n; i++) {
                const struct setting *s = &m->settings.list[i];

                if (!s->row)
                        continue;
                if (s->row->flags & OPTION_TRUSTED ||
                    (calls && s->row->group == GROUP_SYSTEM_CALL_FILTER) ||
                    (families && s->row->group == GROUP_ADDRESS_FAMILIES))
                        warn(m,
                             "Ignoring '%s': the file is not trusted. Put it into "
                             "/etc/systemd/nspawn, or use --settings=trusted.",
                             s->origin);
                else if (m->unsupported[i])
                        warn(m, "Ignoring '%s': this is known, but not built yet in this version.",
                             s->origin);
                else
                        continue;
                drop(m, i);
        }
}

static void mark(bool *units, const struct settings *s)
{
        for (size_t i = 0; i < s->n; i++)
                if (s->list[i].row)
                        units[unit_of(&s->list[i])] = true;
}

/* Takes out of the command line what the file says. What the file says about capabilities comes
 * on top. */
static void make_room(struct settings *s, const bool *in_file)
{
        size_t kept = 0;

        for (size_t i = 0; i < s->n; i++) {
                size_t unit = unit_of(&s->list[i]);

                if (in_file[unit] && unit != GROUP_CAPABILITY) {
                        free(s->list[i].value);
                        free(s->list[i].origin);
                } else
                        s->list[kept++] = s->list[i];
        }
        s->n = kept;
}

/* Appends the file's settings: those that add capabilities first, as dropping wins. */
static int join(struct merge *m, struct settings *s)
{
        for (int pass = 0; pass < 2; pass++) {
                for (size_t i = 0; i < m->settings.n; i++) {
                        const struct setting *item = &m->settings.list[i];
                        bool adds = item->row && item->row->group == GROUP_CAPABILITY &&
                                    item->row->flags & OPTION_TRUSTED;

                        if (item->row && adds == (pass == 0) &&
                            settings_add(s, item->row, item->value, item->origin, true) < 0)
                                return out_of_memory(m);
                }
        }
        if (m->has_start_mode) {
                strv_free(s->words);
                s->words = TAKE_PTR(m->settings.words);
        }
        return 0;
}

int settings_merge(struct settings *s, const char *path, const struct settings_file *file,
                   struct settings_rules rules, struct failure *failure)
{
        struct merge m CLEANUP(merge_done) = { .path = path, .rules = rules, .failure = failure };
        bool *on_argv CLEANUP_FREE = calloc(n_units(), sizeof(bool));
        bool *in_file CLEANUP_FREE = calloc(n_units(), sizeof(bool));
        int r;

        if (!on_argv || !in_file)
                return out_of_memory(&m);
        r = collect(&m, file);
        if (r >= 0)
                r = check(&m);
        if (r < 0)
                return r;
        mark(on_argv, s);
        on_argv[GROUP_START_MODE] |= s->words != NULL;
        if (!rules.override)
                mask(&m, s, on_argv);
        if (!rules.trusted)
                distrust(&m);
        if (m.n_warnings > WARNINGS_MAX)
                log_warning("'%s' has %u further lines like these.", path,
                            m.n_warnings - WARNINGS_MAX);
        mark(in_file, &m.settings);
        in_file[GROUP_START_MODE] |= m.has_start_mode;
        if (rules.override)
                make_room(s, in_file);
        s->file_gives_network = in_file[GROUP_NETWORK];
        s->argv_gives_capabilities = on_argv[GROUP_CAPABILITY] && !rules.override;
        return join(&m, s);
}

/* ---- words ------------------------------------------------------------------------------- */

#define BLANKS " \t\n\r"

/* Reads one word at @text into @out, which is large enough. Returns where it ends; NULL: a quote
 * is not closed. */
static const char *read_word(const char *text, char *out)
{
        char quote = '\0';

        for (; *text && (quote || !strchr(BLANKS, *text)); text++) {
                if (quote ? *text == quote : *text == '"' || *text == '\'')
                        quote = (char) (quote ? '\0' : *text);
                else
                        *out++ = *text;
        }
        *out = '\0';
        return quote ? NULL : text;
}

int settings_split_words(const char *text, char ***ret)
{
        char *word CLEANUP_FREE = malloc(strlen(text) + 1);
        char **words CLEANUP_STRV = NULL;
        size_t n = 0;

        if (!word)
                return -ENOMEM;
        for (text += strspn(text, BLANKS); text && *text; text += strspn(text, BLANKS)) {
                text = read_word(text, word);
                if (!text)
                        break;
                if (++n > SETTINGS_LINES_MAX)
                        return -E2BIG;
                if (strv_add(&words, word) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE_PTR(words);
        return text ? 0 : -EINVAL;
}
