/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of the options that decide what the root directory is made of. */

#include "nspawn/setters.h"

#include <errno.h>

#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"

int set_volatile(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "no", "yes", "state", "overlay", NULL };
        static const int modes[] = { VOLATILE_NO, VOLATILE_YES, VOLATILE_STATE, VOLATILE_OVERLAY };
        bool value = true;
        int mode = VOLATILE_NO, r = 0;

        if (!s->value || parse_boolean(s->value, &value) >= 0)
                mode = value ? VOLATILE_YES : VOLATILE_NO;
        else
                r = setting_set_word(s, words, modes, &mode, failure);
        if (r == 0)
                c->volatile_mode = (enum volatile_mode) mode;
        return r;
}

int set_ephemeral(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = true;

        if (s->value && parse_boolean(s->value, &value) < 0)
                return setting_refuse(s, failure, -EINVAL, "write yes or no");
        c->ephemeral = value;
        /* A file belongs to one machine, whose name stays as it is. */
        c->ephemeral_is_another = value && !s->from_file;
        return 0;
}

int set_ephemeral_method(struct container_config *c, const struct setting *s,
                         struct failure *failure)
{
        static const char *const words[] = {
                "auto", "snapshot", "overlay", "reflink", "copy", NULL
        };
        static const int methods[] = { EPHEMERAL_AUTO, EPHEMERAL_SNAPSHOT, EPHEMERAL_OVERLAY,
                                       EPHEMERAL_REFLINK, EPHEMERAL_COPY };
        int method = EPHEMERAL_AUTO;
        int r = setting_set_word(s, words, methods, &method, failure);

        if (r == 0)
                c->ephemeral_method = (enum ephemeral_method) method;
        return r;
}

int set_ephemeral_directory(struct container_config *c, const struct setting *s,
                            struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;

        if (*s->value == '\0' || (s->from_file && !path_is_absolute(s->value)))
                return setting_refuse(s, failure, -EINVAL, "give the absolute path of a directory");
        if (path_make_absolute(s->value, &path) < 0)
                return setting_refuse(s, failure, -EINVAL, "give the path of a directory");
        return setting_replace_string(&c->ephemeral_directory, path, failure);
}

int set_template(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;

        if (*s->value == '\0' || path_make_absolute(s->value, &path) < 0)
                return setting_refuse(s, failure, -EINVAL, "give the path of a directory");
        return setting_replace_string(&c->template_path, path, failure);
}

int set_pivot_root(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char **parts CLEANUP_STRV = NULL;
        int r = strv_split_escaped(s->value, ':', &parts);
        size_t n = strv_length(parts);

        if (r < 0 || n < 1 || n > 2)
                return setting_refuse(s, failure, -EINVAL, "write NEW or NEW:OLD");
        STRV_FOREACH(part, parts)
        if (!path_is_absolute(*part) || !path_is_normalized(*part) || streq(*part, "/"))
                return setting_refuse(s, failure, -EINVAL,
                                      "write absolute paths of directories in the tree, without "
                                      "'.' or '..'");
        free(c->pivot_old);
        c->pivot_old = NULL;
        r = setting_replace_string(&c->pivot_new, parts[0], failure);
        return r < 0 || n == 1 ? r : setting_replace_string(&c->pivot_old, parts[1], failure);
}
