/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <getopt.h>

#include "basic/strv.h"
#include "fuzz-config.h"
#include "nspawn/options.h"
#include "nspawn/plan.h"

/*
 * Each line is a word of a command line (a NUL byte in it is a line end), which goes the way of a
 * real one: setters, the look across options, the plan, its two printed forms.
 */

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
                                 .password_lock = LOCK_FILE_NULL };
        const struct ephemeral_facts ephemeral = { .place_has_mount = true };
        struct source_fact *sources CLEANUP_FREE =
                calloc(c->n_custom_sources + 1, sizeof(*sources));
        const struct plan_inputs in = { .config = c,
                                        .host = &host,
                                        .tree = &tree,
                                        .ids = &ids,
                                        .sources = sources,
                                        .ephemeral = &ephemeral,
                                        .machine = c->machine ? c->machine : "web" };
        struct container_plan plan CLEANUP(plan_done) = { .machine = NULL };
        struct strbuf text CLEANUP_STRBUF = STRBUF_NULL, json CLEANUP_STRBUF = STRBUF_NULL;
        struct failure failure = { .error = 0 };
        int r;

        FUZZ_CHECK(sources);
        for (size_t i = 0; i < c->n_custom_sources; i++)
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
                fuzz_check_config(&c);
                r = config_validate(&c, &failure);
        }
        fuzz_check_failure(r, &failure);
        if (r == 0)
                try_plan(&c);
        return 0;
}
