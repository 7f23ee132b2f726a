/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <limits.h>

#include "basic/cgroup.h"
#include "basic/idmap.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "fuzz.h"
#include "shared/names.h"

/* Names and paths: what one function makes or accepts, the others accept, and a second time
 * changes nothing. */

static void try_machine(const char *text)
{
        char clean[MACHINE_NAME_MAX + 1], again[MACHINE_NAME_MAX + 1];
        char *scope CLEANUP_FREE = NULL;
        struct idmap_window window;
        int r;

        machine_name_clean_up(text, clean);
        FUZZ_CHECK(clean[0] == '\0' || machine_name_is_valid(clean));
        machine_name_clean_up(clean, again);
        FUZZ_CHECK(streq(clean, again));
        if (!machine_name_is_valid(text))
                return;
        FUZZ_CHECK(hostname_is_valid(text) && streq(text, clean));
        r = machine_scope_name(text, &scope);
        /* A dash takes four characters there, so that many of them do not fit. */
        FUZZ_CHECK(r == 0 || (r == -ENAMETOOLONG && strchr(text, '-')));
        FUZZ_CHECK(r < 0 || (strlen(scope) <= UNIT_NAME_LENGTH_MAX && !strchr(scope, '/')));
        FUZZ_CHECK(idmap_window(0, 1, &window) &&
                   idmap_base_is_pickable(&window, idmap_base_from_name(text)));
}

static void try_slice(const char *text)
{
        char *slice CLEANUP_FREE = NULL, *again CLEANUP_FREE = NULL, *path CLEANUP_FREE = NULL;
        int r = slice_name_mangle(text, &slice);

        FUZZ_CHECK(r == 0 || (r == -EINVAL && !slice));
        if (slice_name_is_valid(text))
                FUZZ_CHECK(r == 0 && streq(slice, text));
        if (r < 0)
                return;
        FUZZ_CHECK(slice_name_is_valid(slice) && !strchr(slice, '/'));
        FUZZ_CHECK(slice_name_mangle(slice, &again) == 0 && streq(slice, again));
        FUZZ_CHECK(slice_path(slice, &path) == 0 && !path_is_absolute(path));
        /* Many dashes make a longer path than the kernel takes, which is for it to say. */
        FUZZ_CHECK(*path == '\0' || strlen(path) >= PATH_MAX || path_is_normalized(path));
}

static void try_escapes(const char *text)
{
        char *unit CLEANUP_FREE = unit_name_escape(text);
        char *group CLEANUP_FREE = cgroup_name_escape(text);
        char *path CLEANUP_FREE = NULL;

        FUZZ_CHECK(unit && !strchr(unit, '/') && unit[0] != '.' && fuzz_is_one_line(unit));
        FUZZ_CHECK(group && group[0] != '.' && endswith(group, text));
        if (cgroup_path_parse(text, &path) == 0)
                FUZZ_CHECK(path_is_absolute(path) && !strchr(path, '\n'));
        FUZZ_CHECK((cgroup_controllers_parse(text) & ~CGROUP_CONTROLLERS_ALL) == 0);
}

static void try_path(const char *text)
{
        char *path CLEANUP_FREE = NULL, *again CLEANUP_FREE = NULL, *joined CLEANUP_FREE = NULL;

        FUZZ_CHECK(strstr(text, path_basename(text)) != NULL);
        if (path_make_absolute(text, &path) < 0)
                return;
        FUZZ_CHECK(path_is_absolute(path) && strlen(path) < PATH_MAX && !strstr(path, "//"));
        FUZZ_CHECK(path_make_absolute(path, &again) == 0 && streq(path, again));
        FUZZ_CHECK(path_is_below(path, "/") && path_is_below(path, path));
        /* Only ".." is left for others to refuse. */
        if (!strstr(path, ".."))
                FUZZ_CHECK(path_is_normalized(path));
        joined = path_join(path, text);
        FUZZ_CHECK(joined && startswith(joined, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text CLEANUP_FREE = fuzz_text(data, size);
        size_t n = strcspn(text, "=");

        try_machine(text);
        try_slice(text);
        try_escapes(text);
        try_path(text);
        if (env_name_is_valid(text, n))
                FUZZ_CHECK(n > 0 && fuzz_is_one_line(text) == fuzz_is_one_line(text + n));
        return 0;
}
