/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "shared/names.h"

#include <errno.h>
#include <stdio.h>

#include "basic/strbuf.h"

/* Not isalnum(): names are the same in every locale. */
static bool is_alnum(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool hostname_is_valid(const char *name)
{
        char before = '.'; /* the beginning of the name is the beginning of a label */
        size_t n = 0;

        for (const char *p = name; *p; before = *p++, n++) {
                if (!is_alnum(*p) && *p != '-' && *p != '.')
                        return false;
                if (*p == '-' && before == '.')
                        return false;
                if (*p == '.' && (before == '.' || before == '-'))
                        return false;
        }
        return n > 0 && n <= MACHINE_NAME_MAX && before != '.' && before != '-';
}

bool machine_name_is_valid(const char *name)
{
        return hostname_is_valid(name);
}

void machine_name_clean_up(const char *text, char ret[MACHINE_NAME_MAX + 1])
{
        size_t n = 0;

        for (const char *p = text; *p && n < MACHINE_NAME_MAX; p++) {
                const char before = (char) (n > 0 ? ret[n - 1] : '.');

                if (is_alnum(*p) || (*p == '-' && before != '.') ||
                    (*p == '.' && before != '.' && before != '-'))
                        ret[n++] = *p;
        }
        while (n > 0 && (ret[n - 1] == '-' || ret[n - 1] == '.'))
                n--;
        ret[n] = '\0';
}

static void add_escaped(struct strbuf *out, const char *text, const char *also_plain)
{
        for (const char *p = text; *p; p++)
                if (*p == '/')
                        strbuf_add(out, "-");
                else if ((*p != '.' || p > text) && (is_alnum(*p) || strchr(also_plain, *p)))
                        strbuf_add_bytes(out, p, 1);
                else
                        strbuf_addf(out, "\\x%02x", (unsigned char) *p);
}

char *unit_name_escape(const char *text)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

        add_escaped(&out, text, ":_.");
        return strbuf_take(&out);
}

int machine_scope_name(const char *machine, char **ret)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

        strbuf_add(&out, "machine-");
        add_escaped(&out, machine, ":_.");
        strbuf_add(&out, ".scope");
        if (strbuf_ok(&out) && out.length > UNIT_NAME_LENGTH_MAX)
                return -ENAMETOOLONG;
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}

static bool unit_characters_are_valid(const char *name)
{
        for (const char *p = name; *p; p++)
                if (!is_alnum(*p) && !strchr(":-_.\\", *p))
                        return false;
        return true;
}

bool slice_name_is_valid(const char *name)
{
        const char *end = endswith(name, ".slice");

        if (!end || end == name || strlen(name) > UNIT_NAME_LENGTH_MAX ||
            !unit_characters_are_valid(name))
                return false;
        if (streq(name, "-.slice"))
                return true;
        return name[0] != '-' && end[-1] != '-' && !strstr(name, "--");
}

int slice_name_mangle(const char *text, char **ret)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        char *name CLEANUP_FREE = NULL;

        /* What is one already may begin with a dot. */
        if (slice_name_is_valid(text))
                strbuf_add(&out, text);
        else
                add_escaped(&out, text, ":_.-\\");
        if (!endswith(text, ".slice"))
                strbuf_add(&out, ".slice");
        name = strbuf_take(&out);
        if (!name)
                return -ENOMEM;
        if (!slice_name_is_valid(name))
                return -EINVAL;
        *ret = TAKE_PTR(name);
        return 0;
}

int slice_path(const char *slice, char **ret)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;
        const char *end = endswith(slice, ".slice");

        if (!slice_name_is_valid(slice))
                return -EINVAL;
        for (const char *p = slice; p < end && !streq(slice, "-.slice");) {
                char *level CLEANUP_FREE = NULL, *escaped CLEANUP_FREE = NULL;

                p += strcspn(p, "-");
                p = p < end ? p : end;
                if (asprintf(&level, "%.*s.slice", (int) (p - slice), slice) < 0) {
                        level = NULL;
                        return -ENOMEM;
                }
                escaped = cgroup_name_escape(level);
                if (!escaped)
                        return -ENOMEM;
                strbuf_addf(&out, "%s%s", out.length ? "/" : "", escaped);
                p++;
        }
        *ret = strbuf_take(&out);
        return *ret ? 0 : -ENOMEM;
}

char *cgroup_name_escape(const char *name)
{
        /* With and without v1: these may be files of the kernel's in any group. */
        static const char *const prefixes[] = {
                "cgroup.",  "cpuset.",  "cpu.",      "cpuacct.",    "io.",
                "blkio.",   "memory.",  "pids.",     "devices.",    "freezer.",
                "hugetlb.", "net_cls.", "net_prio.", "perf_event.", "rdma.",
                "misc.",    "dmem.",    "irq.",      "debug.",
        };
        static const char *const words[] = { "notify_on_release", "release_agent", "tasks" };
        bool taken = name[0] == '_' || name[0] == '.';
        char *escaped;

        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                taken = taken || startswith(name, prefixes[i]);
        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                taken = taken || streq(name, words[i]);
        return asprintf(&escaped, "%s%s", taken ? "_" : "", name) < 0 ? NULL : escaped;
}
