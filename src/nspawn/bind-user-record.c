/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/bind-user.h"

/* Who vouches for the record. Programs of the container know containers' users by this name. */
#define SERVICE "io.systemd.NSpawn"

static void add_member(struct strbuf *out, const char *key, const char *value)
{
        if (!value)
                return;
        strbuf_addf(out, "\"%s\":", key);
        strbuf_add_json(out, value);
        strbuf_add(out, ",");
}

static void add_groups(struct strbuf *out, char *const *groups)
{
        if (!groups)
                return;
        strbuf_add(out, "\"memberOf\":[");
        for (char *const *group = groups; *group; group++) {
                strbuf_add(out, group == groups ? "" : ",");
                strbuf_add_json(out, *group);
        }
        strbuf_add(out, "],");
}

void bound_user_record(const struct bound_user *user, const struct container_config *c,
                       struct strbuf *out)
{
        const char *shell = c->bind_user_shell        ? c->bind_user_shell
                            : c->bind_user_shell_host ? user->shell
                                                      : NULL;

        strbuf_add(out, "{");
        add_member(out, "userName", user->name);
        add_member(out, "realName", user->real_name);
        strbuf_addf(out, "\"uid\":%u,\"gid\":%u,", (unsigned) user->inside,
                    (unsigned) user->inside);
        add_groups(out, c->bind_user_groups);
        strbuf_add(out, "\"homeDirectory\":\"/run/host/home/");
        strbuf_addf(out, "%s\",", user->name); /* its characters need no escape */
        add_member(out, "shell", shell);
        strbuf_add(out, "\"service\":\"" SERVICE "\"}\n");
}

void bound_user_privileged_record(const struct bound_user *user, struct strbuf *out)
{
        strbuf_add(out, "{\"privileged\":{\"hashedPassword\":[");
        strbuf_add_json(out, user->password);
        strbuf_add(out, "]}}\n");
}

void bound_user_group_record(const struct bound_user *user, struct strbuf *out)
{
        strbuf_add(out, "{");
        add_member(out, "groupName", user->name);
        strbuf_addf(out, "\"gid\":%u,\"service\":\"" SERVICE "\"}\n", (unsigned) user->inside);
}
