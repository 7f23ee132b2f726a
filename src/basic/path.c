/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "basic/path.h"

#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "basic/strbuf.h"

bool path_is_normalized(const char *path)
{
        if (strlen(path) >= PATH_MAX)
                return false;
        if (streq(path, "/"))
                return true;
        if (*path == '/')
                path++;
        for (;;) {
                size_t n = strcspn(path, "/");

                if (n == 0 || (n == 1 && path[0] == '.') || (n == 2 && strncmp(path, "..", 2) == 0))
                        return false;
                if (path[n] == '\0')
                        return true;
                path += n + 1;
        }
}

bool path_is_below(const char *path, const char *ancestor)
{
        size_t n = strlen(ancestor);

        if (streq(ancestor, "/"))
                return path[0] == '/';
        return strncmp(path, ancestor, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

const char *path_basename(const char *path)
{
        const char *slash = strrchr(path, '/');

        return slash && slash[1] ? slash + 1 : path;
}

static void add_components(struct strbuf *out, const char *path)
{
        while (*path) {
                size_t n = strcspn(path, "/");

                if (n > 0 && !(n == 1 && path[0] == '.')) {
                        strbuf_add(out, "/");
                        strbuf_add_bytes(out, path, n);
                }
                path += n + (path[n] == '/');
        }
}

int path_make_absolute(const char *path, char **ret)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        char cwd[PATH_MAX];

        if (*path == '\0')
                return -EINVAL;
        if (!path_is_absolute(path)) {
                if (!getcwd(cwd, sizeof(cwd)))
                        return -errno;
                add_components(&out, cwd);
        }
        add_components(&out, path);
        if (out.length == 0)
                strbuf_add(&out, "/");
        if (out.length >= PATH_MAX)
                return -ENAMETOOLONG;
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}

char *path_join(const char *directory, const char *name)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_add(&out, directory);
        if (!endswith(directory, "/"))
                strbuf_add(&out, "/");
        strbuf_add(&out, name + strspn(name, "/"));
        return strbuf_take(&out);
}

char *path_of_program(const char *name)
{
        const char *directory = secure_getenv("STEAD_LIBEXECDIR");

        return path_join(directory ? directory : LIBEXECDIR, name);
}
