/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/net-manager.h"

#include <fnmatch.h>

#include "basic/env-file.h"
#include "basic/parse.h"
#include "basic/settings-file.h"
#include "basic/strv.h"

/* What a key of [Match] says so far; several lines add up, an empty one forgets those before it. */
struct rule {
        const char *key;
        const char *value; /* the link's; NULL: a virtual link has none, so nothing matches */
        bool is_there, has_positive, matched, excluded;
};

#define MAX_RULES 32

static void rule_add_word(struct rule *rule, const char *word, bool inverted)
{
        bool hit = rule->value && fnmatch(word, rule->value, 0) == 0;

        rule->has_positive |= !inverted;
        rule->excluded |= inverted && hit;
        rule->matched |= !inverted && hit;
}

/* A list of globs; one that begins with '!' says what must not match. */
static void rule_add(struct rule *rule, const char *value)
{
        bool inverted = value[0] == '!';
        char **words CLEANUP_STRV = NULL;

        if (!*value) {
                *rule = (struct rule){ .key = rule->key, .value = rule->value };
                return;
        }
        rule->is_there = true;
        if (strv_split(value + inverted, " \t", &words) < 0)
                return;
        STRV_FOREACH(word, words)
        rule_add_word(rule, *word, inverted);
}

static bool rule_matches(const struct rule *rule)
{
        return !rule->is_there || (!rule->excluded && (rule->matched || !rule->has_positive));
}

/* What a file of its own decides about the host, and not about the link. */
static bool is_about_the_host(const char *key)
{
        static const char *const keys[] = { "Host",          "Virtualization", "KernelCommandLine",
                                            "KernelVersion", "Version",        "Credential",
                                            "Architecture",  "Firmware" };

        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (streq(keys[i], key))
                        return true;
        return false;
}

static struct rule *find_rule(struct rule *rules, size_t *n, const char *key)
{
        for (size_t i = 0; i < *n; i++)
                if (streq(rules[i].key, key))
                        return &rules[i];
        if (*n == MAX_RULES)
                return &rules[MAX_RULES - 1];
        rules[*n] = (struct rule){ .key = key };
        return &rules[(*n)++];
}

static bool match_section_matches(const struct settings_file *file, const struct manager_link *link)
{
        struct rule rules[MAX_RULES] = {
                { .key = "Name", .value = link->name },
                { .key = "Kind", .value = link->kind },
                { .key = "Driver", .value = link->kind },
                { .key = "Type", .value = streq(link->kind, "bridge") ? "bridge" : "ether" },
        };
        bool is_there = false;
        size_t n = 4;

        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *line = &file->lines[i];

                if (line->kind == LINE_ASSIGNMENT && streq(line->section, "Match")) {
                        is_there |= *line->value != '\0';
                        if (!is_about_the_host(line->key))
                                rule_add(find_rule(rules, &n, line->key), line->value);
                }
        }
        for (size_t i = 0; i < n; i++)
                if (!rule_matches(&rules[i]))
                        return false;
        /* One that says nothing is ignored by its owner, too. */
        return is_there;
}

static int parse(const char *path, const char *text, size_t size, struct settings_file *ret)
{
        static const char *const sections[] = { "Match", "Link", "connection", "match", NULL };
        struct failure ignored = { .error = 0 };

        return settings_file_parse(path, text, size, sections, ret, &ignored);
}

static int find_unmanaged(const struct settings_file *file)
{
        int result = -1;
        bool on;

        for (size_t i = 0; i < file->n; i++) {
                const struct settings_line *line = &file->lines[i];

                if (line->kind == LINE_ASSIGNMENT && streq(line->section, "Link") &&
                    streq(line->key, "Unmanaged") && parse_boolean(line->value, &on) >= 0)
                        result = on;
        }
        return result;
}

int networkd_file_unmanaged(const char *path, const char *text, size_t size)
{
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };

        return parse(path, text, size, &file) < 0 ? -1 : find_unmanaged(&file);
}

enum manager_answer networkd_file_says(const char *path, const char *text, size_t size,
                                       const struct manager_link *link)
{
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };

        if (parse(path, text, size, &file) < 0 || !match_section_matches(&file, link))
                return MANAGER_DOES_NOT_SAY;
        return find_unmanaged(&file) > 0 ? MANAGER_LEAVES_IT : MANAGER_TAKES_IT;
}

enum manager_answer networkd_state_says(const char *text, size_t size)
{
        struct env_file file CLEANUP_ENV_FILE = { .n = 0 };
        const char *state;

        if (env_file_parse(text, size, &file) < 0)
                return MANAGER_DOES_NOT_SAY;
        state = env_file_get(&file, "ADMIN_STATE");
        if (!state)
                return MANAGER_DOES_NOT_SAY;
        if (streq(state, "unmanaged"))
                return MANAGER_LEAVES_IT;
        return streq(state, "configuring") || streq(state, "configured") ? MANAGER_TAKES_IT
                                                                         : MANAGER_DOES_NOT_SAY;
}

enum manager_answer networkmanager_profile_says(const char *path, const char *text, size_t size,
                                                const char *link)
{
        struct settings_file file CLEANUP(settings_file_done) = { .n = 0 };
        bool named = false, on = true;

        if (parse(path, text, size, &file) < 0)
                return MANAGER_DOES_NOT_SAY;
        for (size_t i = 0; i < file.n; i++) {
                const struct settings_line *line = &file.lines[i];

                if (line->kind != LINE_ASSIGNMENT || !streq(line->section, "connection"))
                        continue;
                if (streq(line->key, "interface-name"))
                        named = streq(line->value, link);
                else if (streq(line->key, "autoconnect"))
                        (void) parse_boolean(line->value, &on);
        }
        return named && on ? MANAGER_TAKES_IT : MANAGER_DOES_NOT_SAY;
}
