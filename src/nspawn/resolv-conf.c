/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/resolv-conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/path.h"
#include "basic/root.h"
#include "basic/strv.h"

#define BLANKS " \t"
#define RESOLV_CONF_MAX ((size_t) 64 * 1024)

/* Links of links; the kernel follows more, but nobody sets them. */
#define LINKS_MAX 8

/* ---- lines ------------------------------------------------------------------------------- */

bool resolv_conf_is_ours(const char *text)
{
        return startswith(text, RESOLV_CONF_MARK) != NULL;
}

/* What follows the keyword on the line; NULL: it is another line. */
static const char *value_of(const char *line, const char *keyword)
{
        const char *rest = startswith(line, keyword);

        return rest && strchr(BLANKS, *rest) && *rest ? rest + strspn(rest, BLANKS) : NULL;
}

enum server_kind { SERVER_NONE, SERVER_LOOPBACK, SERVER_OF_LINK, SERVER_ELSEWHERE };

/* What the address at @value is good for. */
static enum server_kind server_kind(const char *value)
{
        char text[INET6_ADDRSTRLEN + 1];
        size_t n = strcspn(value, " \t\r\n%#;");
        struct in6_addr six;
        struct in_addr four;

        if (n >= sizeof(text))
                return SERVER_NONE;
        memcpy(text, value, n);
        text[n] = '\0';
        if (inet_pton(AF_INET, text, &four) == 1) {
                uint32_t first = ntohl(four.s_addr) >> 24;

                /* 0.0.0.0 is the host itself to the resolver. */
                return first == 127 || first == 0 ? SERVER_LOOPBACK : SERVER_ELSEWHERE;
        }
        if (inet_pton(AF_INET6, text, &six) != 1)
                return SERVER_NONE;
        if (IN6_IS_ADDR_LOOPBACK(&six) || IN6_IS_ADDR_UNSPECIFIED(&six) ||
            (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127))
                return SERVER_LOOPBACK;
        return IN6_IS_ADDR_LINKLOCAL(&six) || value[n] == '%' ? SERVER_OF_LINK : SERVER_ELSEWHERE;
}

static const char *next_line(const char *line)
{
        line += strcspn(line, "\n");
        return *line ? line + 1 : NULL;
}

bool resolv_conf_names_nobody(const char *text)
{
        for (const char *line = text; line; line = next_line(line)) {
                const char *server = value_of(line, "nameserver");

                if (server && server_kind(server) >= SERVER_OF_LINK)
                        return false;
        }
        return true;
}

size_t resolv_conf_add_upstream(struct strbuf *out, const char *text)
{
        size_t n_servers = 0;

        for (const char *line = text; line; line = next_line(line)) {
                const char *server = value_of(line, "nameserver");
                bool wanted = server ? server_kind(server) == SERVER_ELSEWHERE
                                     : value_of(line, "search") || value_of(line, "domain");

                if (!wanted)
                        continue;
                n_servers += server != NULL;
                strbuf_add_bytes(out, line, strcspn(line, "\r\n"));
                strbuf_add(out, "\n");
        }
        return n_servers;
}

/* ---- the host's -------------------------------------------------------------------------- */

int resolv_conf_read_upstream(char **ret)
{
        static const char *const paths[] = { "/etc/resolv.conf",
                                             "/run/systemd/resolve/resolv.conf" };

        *ret = NULL;
        for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
                struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
                char *text CLEANUP_FREE = NULL;

                if (read_file_at(AT_FDCWD, paths[i], RESOLV_CONF_MAX, &text, NULL) < 0 ||
                    resolv_conf_add_upstream(&out, text) == 0)
                        continue;
                *ret = strbuf_take(&out);
                return *ret ? 0 : -ENOMEM;
        }
        return 0;
}

/* ---- the link ---------------------------------------------------------------------------- */

/* Where @target leads from a link at @path, without looking at anything. The caller frees it; NULL:
 * out of memory. */
static char *join_target(const char *path, const char *target)
{
        char **parts CLEANUP_STRV = NULL, **kept CLEANUP_STRV = NULL;
        struct strbuf all CLEANUP_STRBUF = STRBUF_NULL, out CLEANUP_STRBUF = STRBUF_NULL;
        size_t n = 0;

        if (!path_is_absolute(target)) {
                strbuf_add_bytes(&all, path, (size_t) (path_basename(path) - path));
                strbuf_add(&all, "/");
        }
        strbuf_add(&all, target);
        if (!strbuf_ok(&all) || strv_split(strbuf_text(&all), "/", &parts) < 0)
                return NULL;
        kept = calloc(strv_length(parts) + 1, sizeof(*kept));
        if (!kept)
                return NULL;
        STRV_FOREACH(part, parts)
        {
                if (streq(*part, ".") || (streq(*part, "..") && n == 0))
                        continue;
                if (streq(*part, "..")) {
                        free(kept[--n]);
                        kept[n] = NULL;
                } else if (!(kept[n++] = strdup(*part)))
                        return NULL;
        }
        STRV_FOREACH(part, kept)
        strbuf_addf(&out, "/%s", *part);
        if (out.length == 0)
                strbuf_add(&out, "/");
        return strbuf_take(&out);
}

/* The part of @path below /run that we may make; else NULL. */
static const char *below_run(const char *path)
{
        const char *rest = startswith(path, "/run/");

        /* An old name, which is a link to it. */
        if (!rest)
                rest = startswith(path, "/var/run/");
        if (!rest || *rest == '\0' || strlen(rest) > 200)
                return NULL;
        /* This is what the launcher makes. */
        return startswith(rest, "host/") || streq(rest, "host") ? NULL : rest;
}

int resolv_conf_read_link(int root_fd, char **ret)
{
        char *path CLEANUP_FREE = strdup("/etc/resolv.conf");
        const char *rest;
        bool ends = false;

        *ret = NULL;
        for (int i = 0; path && !ends; i++) {
                char target[PATH_MAX];
                const char *name;
                int parent CLEANUP_FD = root_open_parent(root_fd, path, &name);
                ssize_t n = parent < 0 ? -1 : readlinkat(parent, name, target, sizeof(target) - 1);
                char *next;

                ends = n < 0;
                if (ends)
                        break;
                if (i == LINKS_MAX)
                        return 0;
                target[n] = '\0';
                next = join_target(path, target);
                free(path);
                path = next;
        }
        if (!path)
                return -ENOMEM;
        rest = below_run(path);
        if (!rest)
                return 0;
        *ret = strdup(rest);
        return *ret ? 0 : -ENOMEM;
}
