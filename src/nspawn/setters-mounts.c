/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of the options that mount something. */

#include "nspawn/setters.h"

#include <errno.h>

#include "basic/path.h"
#include "basic/strv.h"

#define CLEANUP_CUSTOM_MOUNT CLEANUP(custom_mount_done)

/* Takes what @m owns, on success. */
static int add_custom_mount(struct container_config *c, struct custom_mount *m,
                            const struct setting *s, struct failure *failure)
{
        struct custom_mount *grown =
                realloc(c->custom_mounts, (c->n_custom_mounts + 1) * sizeof(*grown));

        if (grown)
                c->custom_mounts = grown;
        m->origin = strdup(s->origin);
        if (!grown || !m->origin)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        m->first_source = c->n_custom_sources;
        c->n_custom_sources += m->n_sources;
        c->custom_mounts[c->n_custom_mounts++] = *m;
        *m = (struct custom_mount){ .type = CUSTOM_BIND };
        return 0;
}

/* ---- parts of values --------------------------------------------------------------------- */

static int parse_destination(const char *text, struct custom_mount *m, const struct setting *s,
                             struct failure *failure)
{
        if (!path_is_absolute(text))
                return setting_refuse(s, failure, -EINVAL,
                                      "the destination is not an absolute path");
        if (path_make_absolute(text, &m->destination) < 0)
                return setting_refuse(s, failure, -EINVAL, "the path cannot be used");
        if (!path_is_normalized(m->destination))
                return setting_refuse(
                        s, failure, -EINVAL,
                        "the destination cannot have '..' in it; give it behind a colon");
        return 0;
}

/* "PATH", "+PATH" or "", which goes to the end of the sources. */
static int parse_source(const char *text, struct custom_mount *m, const struct setting *s,
                        struct failure *failure)
{
        struct custom_source source = { .place = !*text         ? SOURCE_TEMPORARY
                                                 : *text == '+' ? SOURCE_TREE
                                                                : SOURCE_HOST };
        struct custom_source *grown;

        if (source.place == SOURCE_TREE && !path_is_absolute(text + 1))
                return setting_refuse(s, failure, -EINVAL,
                                      "a path of the container is absolute: '+/PATH'");
        if (*text && path_make_absolute(text + (*text == '+'), &source.path) < 0)
                return setting_refuse(s, failure, -EINVAL, "the path cannot be used");
        grown = realloc(m->sources, (m->n_sources + 1) * sizeof(*grown));
        if (!grown) {
                free(source.path);
                return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        m->sources = grown;
        grown[m->n_sources++] = source;
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

/* ---- setters ----------------------------------------------------------------------------- */

int set_bind(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m CLEANUP_CUSTOM_MOUNT = {
                .type = CUSTOM_BIND, .recursive = true, .read_only = streq(s->row->name, "bind-ro")
        };
        char **parts CLEANUP_STRV = NULL;
        size_t n;
        int r = strv_split_escaped(s->value, ':', &parts);

        n = strv_length(parts);
        if (r < 0 || n > 3)
                return setting_refuse(s, failure, -EINVAL, "write SOURCE[:DESTINATION[:OPTIONS]]");
        if (n == 1 && parts[0][0] == '\0')
                return setting_refuse(s, failure, -EINVAL, "give the path of the source");
        if (n == 3 && parse_bind_options(parts[2], &m) < 0)
                return setting_refuse(
                        s, failure, -EINVAL,
                        "the options are rbind, norbind, idmap, noidmap, rootidmap and "
                        "owneridmap");
        r = parse_source(parts[0], &m, s, failure);
        if (r >= 0)
                r = parse_destination(n >= 2 ? parts[1] : m.sources[0].path, &m, s, failure);
        return r < 0 ? r : add_custom_mount(c, &m, s, failure);
}

int set_overlay(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m CLEANUP_CUSTOM_MOUNT = { .type = CUSTOM_OVERLAY,
                                                       .read_only =
                                                               streq(s->row->name, "overlay-ro") };
        char **parts CLEANUP_STRV = NULL;
        size_t n, n_layers;
        int r = strv_split_escaped(s->value, ':', &parts);

        n = strv_length(parts);
        if (r < 0 || n < 2)
                return setting_refuse(s, failure, -EINVAL,
                                      "write LOWER[:LOWER…]:UPPER:DESTINATION, at least two "
                                      "directories with a colon between them");
        assert(parts);
        n_layers =
                n == 2 ? 2 : n - 1; /* of two the second is the upper layer and the destination */
        for (size_t i = 0; r >= 0 && i < n_layers; i++)
                if (!*parts[i] && (i + 1 < n_layers || n == 2))
                        r = setting_refuse(s, failure, -EINVAL,
                                           "only the upper directory can be left empty, for a "
                                           "temporary one");
                else
                        r = parse_source(parts[i], &m, s, failure);
        if (r < 0)
                return r;
        assert(m.sources && m.n_sources == n_layers);
        r = parse_destination(n == 2 ? m.sources[n_layers - 1].path : parts[n - 1], &m, s, failure);
        return r < 0 ? r : add_custom_mount(c, &m, s, failure);
}

int set_inaccessible(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m CLEANUP_CUSTOM_MOUNT = { .type = CUSTOM_INACCESSIBLE };

        if (!path_is_absolute(s->value))
                return setting_refuse(s, failure, -EINVAL, "the path is not absolute");
        if (path_make_absolute(s->value, &m.destination) < 0 || !path_is_normalized(m.destination))
                return setting_refuse(s, failure, -EINVAL,
                                      "the path cannot be used; it must not have '..' in it");
        return add_custom_mount(c, &m, s, failure);
}

int set_tmpfs(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m CLEANUP_CUSTOM_MOUNT = { .type = CUSTOM_TMPFS };
        char **parts CLEANUP_STRV = NULL;
        int r = strv_split_escaped(s->value, ':', &parts);

        if (r < 0 || strv_length(parts) > 2)
                return setting_refuse(s, failure, -EINVAL, "write PATH[:OPTIONS]");
        if (!path_is_absolute(parts[0]))
                return setting_refuse(s, failure, -EINVAL, "the path is not absolute");
        if (path_make_absolute(parts[0], &m.destination) < 0 || !path_is_normalized(m.destination))
                return setting_refuse(s, failure, -EINVAL,
                                      "the path cannot be used; it must not have '..' in it");
        if (parts[1])
                m.options = TAKE_PTR(parts[1]);
        return add_custom_mount(c, &m, s, failure);
}
