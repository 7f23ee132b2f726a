/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/settings-file.h"

#include <errno.h>

#include "basic/strbuf.h"

#define BLANKS " \t\n\r"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* One walk over the bytes. What is kept of them is copied to .out, which never gets longer than
 * what was read: a line end always makes room for the final NUL or the space in its place. */
struct reader {
        const char *path;
        const char *const *sections;
        const char *next, *end; /* what was not read yet */
        unsigned number;        /* of the line read last */
        char *line, *out;       /* the line under construction is [line, out) */
        const char *section;    /* the current one, NULL if it is unknown */
        bool in_section;        /* there was a section at all */
        size_t size;            /* of the list, in elements */
};

void settings_file_done(struct settings_file *file)
{
        free(file->lines);
        free(file->text);
        *file = (struct settings_file){ .n = 0 };
}

static bool is_line_end(char c)
{
        return c == '\n' || c == '\r' || c == '\0';
}

/* Behind the line end at @s: each of the three bytes can be in it once. */
static const char *skip_line_end(const char *s, const char *end)
{
        bool lf = false, cr = false, nul = false;

        for (; s < end && is_line_end(*s); s++) {
                bool *seen = *s == '\n' ? &lf : *s == '\r' ? &cr : &nul;

                if (*seen)
                        break;
                *seen = true;
        }
        return s;
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t';
}

static bool is_comment(const char *s, const char *end)
{
        while (s < end && is_blank(*s))
                s++;
        return s < end && (*s == '#' || *s == ';');
}

/*
 * Adds the next line of the file to the one under construction. Returns whether it goes on; a
 * comment in the midst of a continued line does not end it.
 */
static bool read_part(struct reader *r, bool continued)
{
        const char *begin = r->next, *end = begin;
        size_t backslashes = 0;

        while (end < r->end && !is_line_end(*end))
                end++;
        r->next = skip_line_end(end, r->end);
        r->number++;
        if ((size_t) (end - begin) >= strlen(BYTE_ORDER_MARK) &&
            memcmp(begin, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK)) == 0)
                begin += strlen(BYTE_ORDER_MARK);
        if (is_comment(begin, end))
                return continued;
        while (end - begin > (ptrdiff_t) backslashes && end[-1 - (ptrdiff_t) backslashes] == '\\')
                backslashes++;
        memcpy(r->out, begin, (size_t) (end - begin));
        r->out += end - begin;
        if (backslashes % 2 == 0)
                return false;
        r->out[-1] = ' ';
        return true;
}

/* Length of a character that may stand in text, 0 if there is none: neither those that do not
 * exist nor those that Unicode keeps for nobody ("noncharacters"). */
static size_t character_length(const unsigned char *s)
{
        size_t n = utf8_length(s);
        unsigned long code = 0;

        if (n < 3)
                return n;
        code = n == 3 ? s[0] & 0x0FU : s[0] & 0x07U;
        for (size_t i = 1; i < n; i++)
                code = code << 6 | (s[i] & 0x3FU);
        return (code & 0xFFFE) == 0xFFFE || (code >= 0xFDD0 && code <= 0xFDEF) ? 0 : n;
}

static bool text_is_valid(const char *text)
{
        const unsigned char *s = (const unsigned char *) text;

        while (*s) {
                size_t n = character_length(s);

                if (n == 0)
                        return false;
                s += n;
        }
        return true;
}

/* Cuts white space off both ends of [@begin, @end), whose end gets a NUL. */
static char *strip(char *begin, char *end)
{
        while (begin < end && strchr(BLANKS, *begin))
                begin++;
        while (end > begin && strchr(BLANKS, end[-1]))
                end--;
        *end = '\0';
        return begin;
}

static int add_line(struct reader *r, struct settings_file *file, struct settings_line line,
                    struct failure *failure)
{
        if (file->n >= SETTINGS_LINES_MAX)
                return failure_set(failure, -EFBIG,
                                   "The settings file '%s' has more than %d lines that mean "
                                   "something. Shorten it.",
                                   r->path, SETTINGS_LINES_MAX);
        if (!file->lines || file->n == r->size) {
                size_t size = r->size ? 2 * r->size : 32;
                struct settings_line *grown = realloc(file->lines, size * sizeof(*grown));

                if (!grown)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                file->lines = grown;
                r->size = size;
        }
        line.number = r->number;
        file->lines[file->n++] = line;
        return 0;
}

static int add_section(struct reader *r, char *line, struct settings_file *file,
                       struct failure *failure)
{
        size_t n = strlen(line);

        if (n < 2 || line[n - 1] != ']')
                return failure_set(failure, -EBADMSG,
                                   "%s:%u: a section's name is written alone in a line, in "
                                   "brackets. The settings file cannot be used.",
                                   r->path, r->number);
        line[n - 1] = '\0';
        line++;
        r->in_section = true;
        r->section = NULL;
        for (size_t i = 0; r->sections[i]; i++)
                if (streq(r->sections[i], line))
                        r->section = r->sections[i];
        if (r->section || startswith(line, "X-"))
                return 0;
        return add_line(r, file, (struct settings_line){ LINE_UNKNOWN_SECTION, .key = line },
                        failure);
}

static int add_assignment(struct reader *r, char *line, struct settings_file *file,
                          struct failure *failure)
{
        struct settings_line item = { .kind = LINE_ASSIGNMENT, .section = r->section };
        char *equals = strchr(line, '=');

        if (!r->in_section)
                item.kind = LINE_NO_SECTION;
        else if (!r->section)
                return 0;
        else if (!equals)
                item.kind = LINE_NO_EQUALS;
        else {
                item.value = strip(equals + 1, equals + 1 + strlen(equals + 1));
                item.key = strip(line, equals);
                if (*item.key == '\0')
                        item = (struct settings_line){ .kind = LINE_NO_KEY };
                else if (startswith(item.key, "X-"))
                        return 0;
        }
        return add_line(r, file, item, failure);
}

static int add_text(struct reader *r, struct settings_file *file, struct failure *failure)
{
        char *line = strip(r->line, r->out);

        if (*line == '\0')
                return 0;
        if (!text_is_valid(line))
                return failure_set(failure, -EILSEQ,
                                   "%s:%u: this is not UTF-8. The settings file cannot be used.",
                                   r->path, r->number);
        return line[0] == '[' ? add_section(r, line, file, failure)
                              : add_assignment(r, line, file, failure);
}

int settings_file_parse(const char *path, const char *bytes, size_t size,
                        const char *const *sections, struct settings_file *ret,
                        struct failure *failure)
{
        struct settings_file file = { .n = 0 };
        struct reader r = { .path = path, .sections = sections, .next = bytes };
        int result = 0;

        if (size > SETTINGS_FILE_MAX)
                return failure_set(failure, -EFBIG,
                                   "The settings file '%s' is larger than %zu bytes. Shorten it.",
                                   path, SETTINGS_FILE_MAX);
        file.text = malloc(size + 1);
        if (!file.text)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r.end = bytes + size;
        r.out = file.text;
        while (result >= 0 && r.next < r.end) {
                bool goes_on = false;

                r.line = r.out;
                do
                        goes_on = read_part(&r, goes_on);
                while (goes_on && r.next < r.end);
                result = add_text(&r, &file, failure);
                r.out++; /* its NUL; the line end made room for it */
        }
        if (result < 0)
                settings_file_done(&file);
        else
                *ret = file;
        return result;
}
