/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters for what makes the container look at home on its host: names, time, logs, users. */

#include <errno.h>

#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strbuf.h"
#include "basic/strv.h"
#include "nspawn/forward-journal.h"
#include "nspawn/setters.h"

/*
 * A word, or a boolean: no is @off, yes is @automatic. @words and @numbers as setting_set_word()
 * takes them.
 */
static int set_word_or_boolean(const struct setting *s, const char *const *words,
                               const int *numbers, int off, int automatic, int *ret,
                               struct failure *failure)
{
        bool value = false;

        if (parse_boolean(s->value, &value) < 0)
                return setting_set_word(s, words, numbers, ret, failure);
        *ret = value ? automatic : off;
        return 0;
}

int set_resolv_conf(struct container_config *c, const struct setting *s, struct failure *failure)
{
        const char *words[RESOLV_CONF_BIND_STUB + 2] = { NULL };
        int numbers[RESOLV_CONF_BIND_STUB + 1], number = 0, r;

        for (int i = 0; i <= RESOLV_CONF_BIND_STUB; i++) {
                words[i] = resolv_conf_mode_name((enum resolv_conf_mode) i);
                numbers[i] = i;
        }
        r = set_word_or_boolean(s, words, numbers, RESOLV_CONF_OFF, RESOLV_CONF_AUTO, &number,
                                failure);
        if (r == 0)
                c->resolv_conf = (enum resolv_conf_mode) number;
        return r;
}

/* Names that need no care in paths, JSON and databases; longer ones no system has. */
static bool name_is_plain(const char *name)
{
        size_t n =
                strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-");

        return n > 0 && n <= 64 && name[n] == '\0' && !strchr("0123456789.-", name[0]);
}

static int add_name_once(char ***list, const struct setting *s, const char *want,
                         struct failure *failure)
{
        if (!name_is_plain(s->value))
                return setting_refuse(s, failure, -EINVAL, want);
        STRV_FOREACH(name, *list)
        if (streq(*name, s->value))
                return 0;
        return setting_add_string(list, s->value, failure);
}

int set_bind_user(struct container_config *c, const struct setting *s, struct failure *failure)
{
        return add_name_once(&c->bind_users, s, "give the name of a user of this host", failure);
}

int set_bind_user_group(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        return add_name_once(&c->bind_user_groups, s, "give the name of a group of the container",
                             failure);
}

int set_bind_user_shell(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        bool value = false;
        int r = 0;

        if (parse_boolean(s->value, &value) >= 0) {
                free(c->bind_user_shell);
                c->bind_user_shell = NULL;
        } else if (path_is_absolute(s->value) && path_is_normalized(s->value) &&
                   !streq(s->value, "/") && utf8_is_valid(s->value) && !strpbrk(s->value, ":\n"))
                r = setting_replace_string(&c->bind_user_shell, s->value, failure);
        else
                return setting_refuse(s, failure, -EINVAL, "write yes, no or an absolute path");
        if (r >= 0)
                c->bind_user_shell_host = value;
        return r;
}

int set_forward_journal(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;

        if (*s->value == '\0' || endswith(s->value, "/") || path_make_absolute(s->value, &path) < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "give the path of a directory, or of a file whose name ends "
                                      "with '.journal'");
        /* Given twice, it is one credential still. */
        if (!c->forward_journal) {
                int r = setting_add_credential(c, s, FORWARD_JOURNAL_CREDENTIAL,
                                               FORWARD_JOURNAL_SOCKET, failure);

                if (r < 0)
                        return r;
        }
        return setting_replace_string(&c->forward_journal, path, failure);
}

int set_forward_limit(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct forward_limit *limit = setting_field(c, s->row);
        unsigned long number = 0;
        uint64_t value = 0;
        bool is_number = streq(s->row->argument, "N");
        int r = is_number ? parse_ulong(s->value, 1, 1000000, &number)
                          : parse_size(s->value, &value);

        if (r < 0 || (!is_number && value == 0))
                return setting_refuse(s, failure, -EINVAL,
                                      is_number ? "give a number of files"
                                                : "give a size in bytes, such as 64M or 2G");
        *limit = (struct forward_limit){ .set = true, .value = is_number ? number : value };
        return 0;
}

int set_link_journal(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "no",        "host", "try-host", "guest",
                                             "try-guest", "auto", NULL };
        /* With 16 for those that try. */
        static const int numbers[] = { LINK_JOURNAL_NO,         LINK_JOURNAL_HOST,
                                       LINK_JOURNAL_HOST | 16,  LINK_JOURNAL_GUEST,
                                       LINK_JOURNAL_GUEST | 16, LINK_JOURNAL_AUTO };
        int number = LINK_JOURNAL_GUEST | 16, r = 0;

        if (s->value)
                r = set_word_or_boolean(s, words, numbers, LINK_JOURNAL_NO, LINK_JOURNAL_AUTO,
                                        &number, failure);
        if (r != 0)
                return r;
        c->link_journal = (enum link_journal_mode)(number & 15);
        c->link_journal_try = (number & 16) != 0;
        return 0;
}

int set_timezone(struct container_config *c, const struct setting *s, struct failure *failure)
{
        const char *words[TIMEZONE_DELETE + 2] = { NULL };
        int numbers[TIMEZONE_DELETE + 1], number = 0, r;

        for (int i = 0; i <= TIMEZONE_DELETE; i++) {
                words[i] = timezone_mode_name((enum timezone_mode) i);
                numbers[i] = i;
        }
        r = set_word_or_boolean(s, words, numbers, TIMEZONE_OFF, TIMEZONE_AUTO, &number, failure);
        if (r == 0)
                c->timezone = (enum timezone_mode) number;
        return r;
}
