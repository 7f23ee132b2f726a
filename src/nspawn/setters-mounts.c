/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of the options that mount something. */

#include "nspawn/setters.h"

#include <errno.h>

#include "basic/path.h"
#include "basic/strv.h"

/* Takes the strings of @m, also on failure. */
static int add_custom_mount(struct container_config *c, struct custom_mount m,
                            const struct setting *s, struct failure *failure)
{
        struct custom_mount *grown =
                realloc(c->custom_mounts, (c->n_custom_mounts + 1) * sizeof(*grown));

        if (grown)
                c->custom_mounts = grown;
        m.origin = strdup(s->origin);
        if (!grown || !m.origin || !m.destination) {
                free(m.source);
                free(m.destination);
                free(m.options);
                free(m.origin);
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        c->custom_mounts[c->n_custom_mounts++] = m;
        return 0;
}

static int parse_bind_options(const char *text, struct custom_mount *m)
{
        char **words CLEANUP_STRV = NULL;

        if (strv_split(text, ",", &words) < 0)
                return -ENOMEM;
        STRV_FOREACH(word, words)
        {
                if (streq(*word, "rbind"))
                        m->recursive = true;
                else if (streq(*word, "norbind"))
                        m->recursive = false;
                else if (streq(*word, "noidmap"))
                        m->idmap = BIND_IDMAP_NONE;
                else if (streq(*word, "idmap"))
                        m->idmap = BIND_IDMAP_ALL;
                else if (streq(*word, "rootidmap"))
                        m->idmap = BIND_IDMAP_ROOT;
                else if (streq(*word, "owneridmap"))
                        m->idmap = BIND_IDMAP_OWNER;
                else
                        return -EINVAL;
        }
        return 0;
}

int set_bind(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m = { .type = CUSTOM_BIND,
                                  .recursive = true,
                                  .read_only = streq(s->row->name, "bind-ro") };
        char **parts CLEANUP_STRV = NULL;
        size_t n;
        int r = strv_split_escaped(s->value, ':', &parts);

        n = strv_length(parts);
        if (r < 0 || n > 3)
                return setting_refuse(s, failure, -EINVAL, "write SOURCE[:DESTINATION[:OPTIONS]]");
        if (n == 1 && parts[0][0] == '\0')
                return setting_refuse(s, failure, -EINVAL, "give the path of the source");
        if (parts[0][0] == '\0' || parts[0][0] == '+')
                return refuse_planned(c, s, failure);
        if (n == 3 && parse_bind_options(parts[2], &m) < 0)
                return setting_refuse(
                        s, failure, -EINVAL,
                        "the options are rbind, norbind, idmap, noidmap, rootidmap and "
                        "owneridmap");
        if (m.idmap != BIND_IDMAP_NONE && m.idmap != BIND_IDMAP_ALL)
                return refuse_planned(c, s, failure);
        if (n >= 2 && !path_is_absolute(parts[1]))
                return setting_refuse(s, failure, -EINVAL,
                                      "the destination is not an absolute path");
        if (path_make_absolute(parts[0], &m.source) < 0 ||
            path_make_absolute(n >= 2 && *parts[1] ? parts[1] : m.source, &m.destination) < 0) {
                free(m.source);
                return setting_refuse(s, failure, -EINVAL, "the path cannot be used");
        }
        if (!path_is_normalized(m.destination)) {
                free(m.source);
                free(m.destination);
                return setting_refuse(
                        s, failure, -EINVAL,
                        "the destination cannot have '..' in it; give it behind a colon");
        }
        return add_custom_mount(c, m, s, failure);
}

int set_tmpfs(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m = { .type = CUSTOM_TMPFS };
        char **parts CLEANUP_STRV = NULL;
        int r = strv_split_escaped(s->value, ':', &parts);

        if (r < 0 || strv_length(parts) > 2)
                return setting_refuse(s, failure, -EINVAL, "write PATH[:OPTIONS]");
        if (!path_is_absolute(parts[0]))
                return setting_refuse(s, failure, -EINVAL, "the path is not absolute");
        if (path_make_absolute(parts[0], &m.destination) < 0 ||
            !path_is_normalized(m.destination)) {
                free(m.destination);
                return setting_refuse(s, failure, -EINVAL,
                                      "the path cannot be used; it must not have '..' in it");
        }
        if (parts[1])
                m.options = TAKE_PTR(parts[1]);
        return add_custom_mount(c, m, s, failure);
}
