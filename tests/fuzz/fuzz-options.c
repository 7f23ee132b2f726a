/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>
#include <signal.h>

#include "basic/caps.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "fuzz.h"
#include "nspawn/options.h"
#include "nspawn/plan.h"
#include "shared/names.h"

/*
 * Each line is a word of a command line (a NUL byte in it is a line end), which goes the way of a
 * real one: setters, the look across options, the plan, its two printed forms.
 */

static void check_limits(const struct container_config *c)
{
        for (int i = 0; i < RLIM_NLIMITS; i++)
                FUZZ_CHECK(!c->limits[i].set ||
                           c->limits[i].value.rlim_cur <= c->limits[i].value.rlim_max);
}

static void check_names(const struct container_config *c)
{
        FUZZ_CHECK(!c->machine || machine_name_is_valid(c->machine));
        FUZZ_CHECK(!c->hostname || hostname_is_valid(c->hostname));
        FUZZ_CHECK(!c->slice || slice_name_is_valid(c->slice));
        FUZZ_CHECK(!c->user || (*c->user && !strpbrk(c->user, ":/\n")));
        STRV_FOREACH(assignment, c->environment)
        {
                size_t n = strcspn(*assignment, "=");

                FUZZ_CHECK((*assignment)[n] == '=' && env_name_is_valid(*assignment, n));
        }
        STRV_FOREACH(assignment, c->properties)
        FUZZ_CHECK(strchr(*assignment, '=') > *assignment);
        STRV_FOREACH(word, c->system_call_filter)
        FUZZ_CHECK(**word && !strpbrk(*word, " \t\n"));
}

static bool is_clean(const char *path)
{
        return path_is_absolute(path) && path_is_normalized(path);
}

static void check_paths(const struct container_config *c)
{
        FUZZ_CHECK(!c->directory || path_is_absolute(c->directory));
        FUZZ_CHECK(!c->working_directory || is_clean(c->working_directory));
        for (size_t i = 0; i < c->n_custom_mounts; i++) {
                const struct custom_mount *m = &c->custom_mounts[i];

                FUZZ_CHECK(m->origin && is_clean(m->destination));
                FUZZ_CHECK((m->type == CUSTOM_BIND) == (m->source != NULL));
                FUZZ_CHECK(!m->source || path_is_absolute(m->source));
        }
}

static void check_numbers(const struct container_config *c)
{
        FUZZ_CHECK(c->kill_signal >= 0 && c->kill_signal <= SIGRTMAX);
        FUZZ_CHECK(c->userns_mode != USERNS_FIXED ||
                   (c->userns_range.count > 0 &&
                    (uint64_t) c->userns_range.base + c->userns_range.count <= UINT32_MAX));
}

/* Strings are without control characters, and brackets outside of them belong together. */
static void check_json(const char *text)
{
        bool inside = false;
        int depth = 0;

        for (const char *p = text; *p; p++) {
                if (inside && *p == '\\')
                        p++;
                else if (*p == '"')
                        inside = !inside;
                else if (!inside && strchr("{[", *p))
                        depth++;
                else if (!inside && strchr("}]", *p))
                        depth--;
                FUZZ_CHECK(depth >= 0 && ((unsigned char) *p >= ' ' || streq(p, "\n")));
        }
        FUZZ_CHECK(!inside && depth == 0);
}

static void try_plan(const struct container_config *c)
{
        const struct host_facts host = { .user_namespaces = true, .stdin_is_terminal = true };
        const struct tree_facts tree = {
                .path = (char *) "/srv/tree", .fd = -1, .has_usr = true, .has_os_release = true
        };
        const struct ids ids = { .user_namespace = c->userns_mode != USERNS_NO,
                                 .map = { 524288, 65536 },
                                 .range_lock = LOCK_FILE_NULL,
                                 .password_lock = LOCK_FILE_NULL };
        struct source_fact *sources CLEANUP_FREE = calloc(c->n_custom_mounts + 1, sizeof(*sources));
        const struct plan_inputs in = { .config = c,
                                        .host = &host,
                                        .tree = &tree,
                                        .ids = &ids,
                                        .sources = sources,
                                        .machine = c->machine ? c->machine : "web" };
        struct container_plan plan CLEANUP(plan_done) = { .machine = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL, json CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        int r;

        FUZZ_CHECK(sources);
        for (size_t i = 0; i < c->n_custom_mounts; i++)
                sources[i] = (struct source_fact){ .exists = i % 4 != 3,
                                                   .mode = i % 2 ? S_IFDIR : S_IFCHR };
        r = plan_build(&in, &plan, &failure);
        fuzz_check_failure(r, &failure);
        if (r < 0)
                return;
        plan_print(&plan, &text);
        plan_print_json(&plan, &json);
        FUZZ_CHECK(strbuf_ok(&text) && strbuf_ok(&json));
        check_json(json.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char *text CLEANUP_FREE = fuzz_text(data, size), *next;
        char **argv CLEANUP_STRV = NULL;
        struct settings s CLEANUP(settings_done) = { .n = 0 };
        struct container_config c CLEANUP(config_done);
        struct failure failure = { .error = 0 };
        int r;

        config_init(&c);
        opterr = 0;
        FUZZ_CHECK(strv_add(&argv, "nspawn") == 0);
        for (char *line = text; line; line = next) {
                char *end = memchr(line, '\n', (size_t) (text + size - line));

                next = end ? end + 1 : NULL;
                end = end ? end : text + size;
                *end = '\0';
                for (char *p = line; p < end; p++)
                        *p = (char) (*p ? *p : '\n');
                FUZZ_CHECK(strv_add(&argv, line) == 0);
        }
        r = settings_add_argv(&s, (int) strv_length(argv), argv, &failure);
        if (r == -EINVAL && failure.error == 0)
                return 0; /* getopt has told */
        if (r >= 0)
                r = settings_apply(&s, &c, &failure);
        if (r == 0) {
                check_limits(&c);
                check_names(&c);
                check_paths(&c);
                check_numbers(&c);
                r = config_validate(&c, &failure);
        }
        fuzz_check_failure(r, &failure);
        if (r == 0)
                try_plan(&c);
        return 0;
}
