/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/env-file.h"

#include <errno.h>

#include "basic/parse.h"

/*
 * The strings stay where they are in one copy of the text: without its quotes a value is never
 * longer than with them, and the NUL bytes take the places of '=' and of the line's end. So the
 * whole never needs more memory than the limits of its size allow.
 */

#define BLANK " \t\r"

struct reader {
        char *at;
        size_t line;
};

void env_file_done(struct env_file *file)
{
        free(file->items);
        free(file->text);
        *file = (struct env_file){ .n = 0 };
}

static void skip_line(struct reader *r)
{
        r->at += strcspn(r->at, "\n");
        r->at += *r->at == '\n';
        r->line++;
}

/* How many characters at @p stand for the one in @ret; NUL: for nothing. */
static size_t read_escape(const char *p, char quote, char *ret)
{
        *ret = *p;
        if (*p != '\\' || quote == '\'' || p[1] == '\0')
                return 1;
        if (quote && !strchr("\"\\`$\n", p[1]))
                return 1;
        *ret = (char) (p[1] == '\n' ? '\0' : p[1]);
        return 2;
}

/* Takes quotes and escapes away, up to the end of the line. False: a quote has no end. */
static bool read_value(struct reader *r, const char **ret)
{
        char *p = r->at + strspn(r->at, BLANK), *out = r->at, *end = out;
        char quote = '\0', c;

        *ret = out;
        while (*p && (quote || *p != '\n')) {
                size_t n = read_escape(p, quote, &c);

                r->line += p[n - 1] == '\n';
                if (n == 1 && (quote ? c == quote : c == '"' || c == '\'')) {
                        quote = (char) (quote ? '\0' : c);
                        end = out;
                } else if (c) {
                        *out++ = c;
                        /* Blanks count when something comes behind them, or when they are meant. */
                        if (n == 2 || quote || !strchr(BLANK, c))
                                end = out;
                }
                p += n;
        }
        r->at = p;
        if (quote)
                return false;
        skip_line(r);
        *end = '\0';
        return true;
}

static bool read_assignment(struct reader *r, struct env_assignment *ret)
{
        size_t equals = strcspn(r->at, "=\n"), n = equals;

        while (n > 0 && strchr(BLANK, r->at[n - 1]))
                n--;
        if (r->at[equals] != '=' || !env_name_is_valid(r->at, n)) {
                skip_line(r);
                return false;
        }
        ret->name = r->at;
        r->at[n] = '\0';
        r->at += equals + 1;
        return read_value(r, &ret->value) && utf8_is_valid(ret->value);
}

static int add_item(struct env_file *file, const struct env_assignment *item)
{
        struct env_assignment *grown;

        if (file->n == ENV_FILE_MAX_ITEMS)
                return -E2BIG;
        /* The sizes are powers of two. */
        if ((file->n & (file->n - 1)) == 0) {
                grown = reallocarray(file->items, MAX_OF(file->n * 2, (size_t) 1), sizeof(*grown));
                if (!grown)
                        return -ENOMEM;
                file->items = grown;
        }
        file->items[file->n++] = *item;
        return 0;
}

int env_file_parse(const char *text, size_t size, struct env_file *ret)
{
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        struct reader r = { .line = 1 };
        struct env_assignment item;

        if (size > ENV_FILE_MAX_SIZE)
                return -EFBIG;
        if (size > 0 && memchr(text, '\0', size))
                return -EBADMSG;
        r.at = file.text = malloc(size + 1);
        if (!file.text)
                return -ENOMEM;
        if (size > 0)
                memcpy(file.text, text, size);
        file.text[size] = '\0';
        while (*(r.at += strspn(r.at, BLANK))) {
                size_t line = r.line;
                int k = 0;

                if (strchr("#;\n", *r.at))
                        skip_line(&r);
                else if (read_assignment(&r, &item))
                        k = add_item(&file, &item);
                else if (file.bad_line == 0)
                        file.bad_line = line;
                if (k < 0)
                        return k;
        }
        *ret = file;
        file = (struct env_file){ .n = 0 };
        return 0;
}

const char *env_file_get(const struct env_file *file, const char *name)
{
        for (size_t i = file->n; i-- > 0;)
                if (streq(file->items[i].name, name))
                        return file->items[i].value;
        return NULL;
}

static bool is_plain(const char *value)
{
        for (const char *p = value; *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                      (*p >= '0' && *p <= '9') || strchr("-_./:@%+,", *p)))
                        return false;
        return true;
}

int env_file_add(struct strbuf *out, const char *name, const char *value)
{
        bool plain = is_plain(value);

        if (!env_name_is_valid(name, strlen(name)) || !utf8_is_valid(value))
                return -EINVAL;
        strbuf_addf(out, "%s=%s", name, plain ? "" : "\"");
        for (const char *p = value; *p; p++) {
                if (strchr("\"\\`$", *p))
                        strbuf_add(out, "\\");
                strbuf_add_bytes(out, p, 1);
        }
        strbuf_add(out, plain ? "\n" : "\"\n");
        return 0;
}
