/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/options.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "basic/caps.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "shared/names.h"

/* ---- general setters, by the row's field ------------------------------------------------- */

static void *field_of(struct container_config *c, const struct option_row *row)
{
        return (char *) c + row->field;
}

static int bad_value(const struct setting *s, struct failure *failure, int error, const char *want)
{
        return failure_set(failure, error, "Cannot use '%s': %s.", s->origin, want);
}

/* In a file, "help" is a word like any other. */
static bool asks_for_help(const struct setting *s)
{
        return !s->from_file && streq(s->value, "help");
}

static int set_true(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) failure;
        *(bool *) field_of(c, s->row) = true;
        return 0;
}

static int set_boolean(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = true;

        if (s->value && parse_boolean(s->value, &value) < 0)
                return bad_value(s, failure, -EINVAL, "write yes or no");
        *(bool *) field_of(c, s->row) = value;
        return 0;
}

static int replace_string(char **field, const char *value, struct failure *failure)
{
        char *copy = strdup(value);

        if (!copy)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        free(*field);
        *field = copy;
        return 0;
}

static int add_string(char ***list, const char *value, struct failure *failure)
{
        return strv_add(list, value) < 0 ? failure_set(failure, -ENOMEM, "Out of memory.") : 0;
}

/* Sets an enum from a list of words; "help" prints them. @numbers runs beside @words. */
static int set_word(const struct setting *s, const char *const *words, const int *numbers, int *ret,
                    struct failure *failure)
{
        struct strbuf known CLEANUP_STRBUF = STRBUF_NULL;

        if (asks_for_help(s)) {
                for (size_t i = 0; words[i]; i++)
                        (void) puts(words[i]);
                return 1;
        }
        for (size_t i = 0; words[i]; i++) {
                if (streq(words[i], s->value)) {
                        *ret = numbers[i];
                        return 0;
                }
                strbuf_addf(&known, "%s%s", i ? ", " : "", words[i]);
        }
        return failure_set(failure, -EINVAL, "Cannot use '%s': it must be one of %s.", s->origin,
                           strbuf_text(&known));
}

static int set_action(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) failure;
        c->action = streq(s->row->name, "help")      ? ACTION_HELP
                    : streq(s->row->name, "version") ? ACTION_VERSION
                                                     : ACTION_DRY_RUN;
        return 0;
}

static int refuse_planned(struct container_config *c, const struct setting *s,
                          struct failure *failure)
{
        bool is_switch = s->row->takes != TAKES_VALUE || streq(s->row->argument, "BOOL");
        bool value = true;

        (void) c;
        /* A file that says no to what cannot be had gets what it wants. */
        if (s->from_file && is_switch && parse_boolean(s->value, &value) >= 0 && !value)
                return 0;
        return failure_set(failure, -EOPNOTSUPP,
                           "Cannot use '%s': this option is known, but not built yet in this "
                           "version. Leave it out.",
                           s->origin);
}

static int ignore_setting(struct container_config *c, const struct setting *s,
                          struct failure *failure)
{
        (void) c;
        (void) s;
        (void) failure;
        return 0;
}

static int set_settings(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        bool value = false;

        if (streq(s->value, "override"))
                c->settings = SETTINGS_OVERRIDE;
        else if (streq(s->value, "trusted"))
                c->settings = SETTINGS_TRUSTED;
        else if (parse_boolean(s->value, &value) >= 0)
                c->settings = value ? SETTINGS_YES : SETTINGS_NO;
        else
                return bad_value(s, failure, -EINVAL, "write yes, no, override or trusted");
        return 0;
}

/* ---- setters of single options ----------------------------------------------------------- */

static int set_directory(struct container_config *c, const struct setting *s,
                         struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;
        int r = path_make_absolute(s->value, &path);

        if (r < 0)
                return bad_value(s, failure, r, "give the path of a directory");
        return replace_string(&c->directory, path, failure);
}

static int set_machine(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (*s->value == '\0') {
                free(c->machine);
                c->machine = NULL;
                return 0;
        }
        if (!machine_name_is_valid(s->value))
                return bad_value(s, failure, -EINVAL,
                                 "a machine's name has at most 64 letters, digits, '-' and single "
                                 "dots, and does not begin or end with '-' or '.'");
        return replace_string(&c->machine, s->value, failure);
}

static int set_start_mode(struct container_config *c, const struct setting *s,
                          struct failure *failure)
{
        enum start_mode mode = s->row->letter == 'b' ? START_BOOT : START_AS_PID2;

        if (!s->from_file && c->start_mode != START_COMMAND && c->start_mode != mode)
                return failure_set(failure, -EINVAL,
                                   "--boot and --as-pid2 cannot be combined. With --boot the "
                                   "system's own init is the first process; leave one out.");
        c->start_mode = mode;
        return 0;
}

static int set_environment(struct container_config *c, const struct setting *s,
                           struct failure *failure)
{
        size_t n = strcspn(s->value, "=");
        char *assignment CLEANUP_FREE = NULL;
        const char *value;

        if (!env_name_is_valid(s->value, n))
                return bad_value(s, failure, -EINVAL,
                                 "the name of a variable has letters, digits and '_', and does "
                                 "not begin with a digit");
        if (s->value[n] == '=')
                return strv_env_set(&c->environment, s->value) < 0
                               ? failure_set(failure, -ENOMEM, "Out of memory.")
                               : 0;
        if (s->from_file)
                return bad_value(s, failure, -EINVAL, "write NAME=VALUE");
        value = getenv(s->value);
        /* A variable that the caller does not have is set, and empty. */
        if (asprintf(&assignment, "%s=%s", s->value, value ? value : "") < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return strv_env_set(&c->environment, assignment) < 0
                       ? failure_set(failure, -ENOMEM, "Out of memory.")
                       : 0;
}

static int set_user(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (*s->value == '\0' || strpbrk(s->value, ":/\n") || s->value[0] == '-')
                return bad_value(s, failure, -EINVAL, "give a user name or a number");
        return replace_string(&c->user, s->value, failure);
}

static int set_working_directory(struct container_config *c, const struct setting *s,
                                 struct failure *failure)
{
        static const char *const api[] = { "/proc", "/sys", "/dev" };

        if (!path_is_absolute(s->value) || !path_is_normalized(s->value))
                return bad_value(s, failure, -EINVAL,
                                 "give an absolute path without '.', '..' or doubled slashes");
        for (size_t i = 0; i < ARRAY_SIZE(api); i++)
                if (path_is_below(s->value, api[i]))
                        return bad_value(s, failure, -EINVAL,
                                         "the working directory cannot be below /proc, /sys or "
                                         "/dev");
        return replace_string(&c->working_directory, s->value, failure);
}

static int set_kill_signal(struct container_config *c, const struct setting *s,
                           struct failure *failure)
{
        int signo;

        if (asks_for_help(s)) {
                for (int i = 1; i <= SIGRTMAX; i++) {
                        char *name CLEANUP_FREE = signal_to_text(i);

                        if (name && (i < 32 || i >= SIGRTMIN))
                                (void) puts(name);
                }
                return 1;
        }
        signo = parse_signal(s->value);
        if (signo < 0)
                return bad_value(s, failure, signo,
                                 "give a signal such as SIGTERM, SIGRTMIN+3 or 15");
        c->kill_signal = signo;
        return 0;
}

static int set_stop_timeout(struct container_config *c, const struct setting *s,
                            struct failure *failure)
{
        uint64_t us;

        if (streq(s->value, "infinity")) {
                c->stop_timeout_us = UINT64_MAX;
                return 0;
        }
        if (parse_timespan_us(s->value, &us) < 0 || us == 0)
                return bad_value(s, failure, -EINVAL,
                                 "give a time such as 30, 1min 30s or infinity");
        c->stop_timeout_us = us;
        return 0;
}

static int set_hostname(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        if (*s->value == '\0') {
                free(c->hostname);
                c->hostname = NULL;
                return 0;
        }
        if (!hostname_is_valid(s->value))
                return bad_value(s, failure, -EINVAL,
                                 "a host name has at most 64 letters, digits, '-' and single dots, "
                                 "and does not begin or end with '-' or '.'");
        return replace_string(&c->hostname, s->value, failure);
}

static int set_uuid(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct id128 id;

        if (id128_parse(s->value, &id) < 0)
                return bad_value(s, failure, -EINVAL, "give 32 hexadecimal digits or a UUID");
        if (id128_is_null(&id))
                return bad_value(s, failure, -EINVAL, "the id cannot be all zeros");
        c->uuid = id;
        c->uuid_set = true;
        return 0;
}

static int set_slice(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char *name CLEANUP_FREE = NULL;
        int r = slice_name_mangle(s->value, &name);

        if (r < 0)
                return bad_value(s, failure, r, "give the name of a slice, such as machine.slice");
        return replace_string(&c->slice, name, failure);
}

static int set_property(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        if (!strchr(s->value, '=') || s->value[0] == '=')
                return bad_value(s, failure, -EINVAL, "write NAME=VALUE, for example MemoryMax=1G");
        return add_string(&c->properties, s->value, failure);
}

static int set_register(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        bool value = false;

        if (streq(s->value, "auto"))
                c->register_mode = REGISTER_AUTO;
        else if (parse_boolean(s->value, &value) >= 0)
                c->register_mode = value ? REGISTER_YES : REGISTER_NO;
        else
                return bad_value(s, failure, -EINVAL, "write yes, no or auto");
        return 0;
}

static int set_private_users(struct container_config *c, const struct setting *s,
                             struct failure *failure)
{
        bool value = false;
        /* On the command line a number is an id; in a file, 0 and 1 are no and yes. */
        bool digits = !s->from_file && s->value && s->value[0] >= '0' && s->value[0] <= '9';
        int r;

        if (s->value && streq(s->value, "managed"))
                return failure_set(failure, -EOPNOTSUPP,
                                   "Cannot use '%s': ranges managed by systemd-nsresourced are not "
                                   "built yet. Use --private-users=pick.",
                                   s->origin);
        if (!s->value)
                c->userns_mode = USERNS_FROM_ROOT;
        else if (streq(s->value, "pick"))
                c->userns_mode = USERNS_PICK;
        else if (streq(s->value, "identity"))
                c->userns_mode = USERNS_IDENTITY;
        else if (!digits && parse_boolean(s->value, &value) >= 0)
                c->userns_mode = value ? USERNS_FROM_ROOT : USERNS_NO;
        else {
                r = idmap_parse(s->value, &c->userns_range);
                if (r == -ERANGE)
                        return bad_value(s, failure, r,
                                         "the range of ids cannot be empty or go beyond "
                                         "4294967295");
                if (r < 0)
                        return bad_value(s, failure, r,
                                         "write yes, no, pick, identity, BASE or BASE:COUNT");
                c->userns_mode = USERNS_FIXED;
        }
        c->userns_if_possible = false;
        return 0;
}

static int set_userns_pick(struct container_config *c, const struct setting *s,
                           struct failure *failure)
{
        (void) s;
        (void) failure;
        c->userns_mode = USERNS_PICK;
        c->ownership = OWNERSHIP_AUTO;
        c->userns_if_possible = true;
        return 0;
}

static int set_ownership(struct container_config *c, const struct setting *s,
                         struct failure *failure)
{
        static const char *const words[] = { "off", "chown", "map", "auto", NULL };
        static const int numbers[] = { OWNERSHIP_OFF, OWNERSHIP_CHOWN, OWNERSHIP_MAP,
                                       OWNERSHIP_AUTO };
        int number = 0, r;

        bool value = false;

        if (streq(s->value, "foreign"))
                return refuse_planned(c, s, failure);
        if (s->from_file && parse_boolean(s->value, &value) >= 0) {
                c->ownership = value ? OWNERSHIP_AUTO : OWNERSHIP_OFF;
                return 0;
        }
        r = set_word(s, words, numbers, &number, failure);
        if (r == 0)
                c->ownership = (enum ownership) number;
        return r;
}

static int set_ownership_chown(struct container_config *c, const struct setting *s,
                               struct failure *failure)
{
        bool value = true;

        if (s->from_file && parse_boolean(s->value, &value) < 0)
                return bad_value(s, failure, -EINVAL, "write yes or no");
        c->ownership = value ? OWNERSHIP_CHOWN : OWNERSHIP_OFF;
        return 0;
}

static int set_capability(struct container_config *c, const struct setting *s,
                          struct failure *failure)
{
        const char *bad = NULL;
        uint64_t set = 0;

        if (asks_for_help(s)) {
                for (unsigned i = 0; cap_name(i); i++)
                        (void) puts(cap_name(i));
                return 1;
        }
        if (s->from_file && strchr(s->value, ','))
                return bad_value(s, failure, -EINVAL, "write the names with spaces between them");
        if (caps_parse(s->value, &set, &bad) < 0)
                return failure_set(failure, -EINVAL,
                                   "Cannot use '%s': '%.*s' is not a capability. See "
                                   "--capability=help.",
                                   s->origin, (int) strcspn(bad, ","), bad);
        if (streq(s->row->name, "capability")) {
                c->capabilities_added |= set;
                /* With --settings=override a file comes on top of the command line. */
                if (s->from_file)
                        c->capabilities_dropped &= ~set;
        } else
                c->capabilities_dropped |= set;
        return 0;
}

static int set_system_call_filter(struct container_config *c, const struct setting *s,
                                  struct failure *failure)
{
        bool deny = s->value[0] == '~';
        char **words CLEANUP_STRV = NULL;

        if (strv_split(s->value + deny, " \t\n", &words) < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        STRV_FOREACH(word, words)
        {
                char term[128];

                if ((size_t) snprintf(term, sizeof(term), "%s%s", deny ? "~" : "", *word) >=
                    sizeof(term))
                        return bad_value(s, failure, -EINVAL, "a name in it is too long");
                if (strv_add(&c->system_call_filter, term) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
        }
        return 0;
}

static int parse_limit_value(const char *text, int resource, rlim_t *ret)
{
        unsigned long number = 0;
        long level = 0;
        uint64_t us = 0;
        int r;

        if (streq(text, "infinity")) {
                *ret = RLIM_INFINITY;
                return 0;
        }
        /* With a sign it is a nice level, from 19 to -20; the limit counts from 1 to 40. */
        if (resource == RLIMIT_NICE && (*text == '+' || *text == '-')) {
                r = parse_long(text, -20, 19, &level);
                if (r >= 0)
                        *ret = (rlim_t) (20 - level);
                return r;
        }
        r = parse_ulong(text, 0, ULONG_MAX - 1, &number);
        if (r >= 0) {
                *ret = number;
                return 0;
        }
        switch (resource) {
        case RLIMIT_CPU:
        case RLIMIT_RTTIME:
                r = parse_timespan_us(text, &us);
                if (r >= 0)
                        *ret = resource == RLIMIT_CPU ? (us + 999999) / 1000000 : us;
                return r;
        case RLIMIT_AS:
        case RLIMIT_CORE:
        case RLIMIT_DATA:
        case RLIMIT_FSIZE:
        case RLIMIT_MEMLOCK:
        case RLIMIT_MSGQUEUE:
        case RLIMIT_RSS:
        case RLIMIT_STACK:
                r = parse_size(text, &us);
                if (r >= 0)
                        *ret = us;
                return r;
        default:
                return r;
        }
}

static int set_limit(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char name[32], soft[32];
        const char *equals = strchr(s->value, '='), *colon;
        struct rlimit value;
        size_t n;
        int resource, r;

        if (asks_for_help(s)) {
                for (int i = 0; i < RLIM_NLIMITS; i++)
                        (void) puts(limit_name(i));
                return 1;
        }
        if (!equals || (size_t) (equals - s->value) >= sizeof(name))
                return bad_value(s, failure, -EINVAL,
                                 "write NAME=SOFT or NAME=SOFT:HARD, for example NOFILE=1024:4096");
        (void) snprintf(name, sizeof(name), "%.*s", (int) (equals - s->value), s->value);
        resource = limit_from_name(name);
        if (resource < 0)
                return bad_value(s, failure, -EINVAL, "there is no such limit; see --rlimit=help");
        colon = strchr(equals + 1, ':');
        n = colon ? (size_t) (colon - equals - 1) : strlen(equals + 1);
        if (n >= sizeof(soft))
                return bad_value(s, failure, -EINVAL, "the limit is not a number");
        (void) snprintf(soft, sizeof(soft), "%.*s", (int) n, equals + 1);
        r = parse_limit_value(soft, resource, &value.rlim_cur);
        if (r >= 0)
                r = parse_limit_value(colon ? colon + 1 : soft, resource, &value.rlim_max);
        if (r < 0)
                return bad_value(s, failure, r, "the limit is not a number or 'infinity'");
        if (value.rlim_cur > value.rlim_max)
                return bad_value(s, failure, -EINVAL,
                                 "the soft limit cannot be above the hard limit");
        c->limits[resource] = (struct limit_setting){ .set = true, .value = value };
        return 0;
}

static int set_console(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "interactive", "read-only", "passive",
                                             "pipe",        "autopipe",  NULL };
        static const int numbers[] = { CONSOLE_INTERACTIVE, CONSOLE_READ_ONLY, CONSOLE_PASSIVE,
                                       CONSOLE_PIPE, CONSOLE_AUTOPIPE };
        int number = 0;
        int r = set_word(s, words, numbers, &number, failure);

        if (r == 0)
                c->console_mode = (enum console_mode) number;
        return r;
}

static int set_pipe(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) s;
        (void) failure;
        c->console_mode = CONSOLE_PIPE;
        return 0;
}

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

static int set_bind(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m = { .type = CUSTOM_BIND,
                                  .recursive = true,
                                  .read_only = streq(s->row->name, "bind-ro") };
        char **parts CLEANUP_STRV = NULL;
        size_t n;
        int r = strv_split_escaped(s->value, ':', &parts);

        n = strv_length(parts);
        if (r < 0 || n > 3)
                return bad_value(s, failure, -EINVAL, "write SOURCE[:DESTINATION[:OPTIONS]]");
        if (n == 1 && parts[0][0] == '\0')
                return bad_value(s, failure, -EINVAL, "give the path of the source");
        if (parts[0][0] == '\0' || parts[0][0] == '+')
                return refuse_planned(c, s, failure);
        if (n == 3 && parse_bind_options(parts[2], &m) < 0)
                return bad_value(s, failure, -EINVAL,
                                 "the options are rbind, norbind, idmap, noidmap, rootidmap and "
                                 "owneridmap");
        if (m.idmap != BIND_IDMAP_NONE && m.idmap != BIND_IDMAP_ALL)
                return refuse_planned(c, s, failure);
        if (n >= 2 && !path_is_absolute(parts[1]))
                return bad_value(s, failure, -EINVAL, "the destination is not an absolute path");
        if (path_make_absolute(parts[0], &m.source) < 0 ||
            path_make_absolute(n >= 2 && *parts[1] ? parts[1] : m.source, &m.destination) < 0) {
                free(m.source);
                return bad_value(s, failure, -EINVAL, "the path cannot be used");
        }
        if (!path_is_normalized(m.destination)) {
                free(m.source);
                free(m.destination);
                return bad_value(s, failure, -EINVAL,
                                 "the destination cannot have '..' in it; give it behind a colon");
        }
        return add_custom_mount(c, m, s, failure);
}

static int set_tmpfs(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct custom_mount m = { .type = CUSTOM_TMPFS };
        char **parts CLEANUP_STRV = NULL;
        int r = strv_split_escaped(s->value, ':', &parts);

        if (r < 0 || strv_length(parts) > 2)
                return bad_value(s, failure, -EINVAL, "write PATH[:OPTIONS]");
        if (!path_is_absolute(parts[0]))
                return bad_value(s, failure, -EINVAL, "the path is not absolute");
        if (path_make_absolute(parts[0], &m.destination) < 0 ||
            !path_is_normalized(m.destination)) {
                free(m.destination);
                return bad_value(s, failure, -EINVAL,
                                 "the path cannot be used; it must not have '..' in it");
        }
        if (parts[1])
                m.options = TAKE_PTR(parts[1]);
        return add_custom_mount(c, m, s, failure);
}

/* ---- the table --------------------------------------------------------------------------- */

#define AT(name) offsetof(struct container_config, name)
#define HEADING(text)                                                                              \
        {                                                                                          \
                .help = (text)                                                                     \
        }
#define REPEAT OPTION_REPEATABLE
#define TRUSTED OPTION_TRUSTED
#define WORDS OPTION_WORDS
#define RESETS OPTION_RESETS
#define EARLY OPTION_EARLY
#define PLANNED OPTION_PLANNED, .apply = refuse_planned

/* clang-format off */
const struct option_row option_rows[] = {
        HEADING("General"),
        { "help", 'h', TAKES_NOTHING, NULL, NULL, NULL, OPTION_ENDS, GROUP_NONE, set_action, 0,
          "Show this text" },
        { "version", 0, TAKES_NOTHING, NULL, NULL, NULL, OPTION_ENDS, GROUP_NONE, set_action, 0,
          "Show the version" },
        { "dry-run", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_action, 0,
          "Show what would be done, and change nothing; needs no privileges" },
        { "json", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(json),
          "Show it as JSON" },
        { "quiet", 'q', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(quiet),
          "No messages besides warnings and errors" },
        { "no-pager", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, ignore_setting, 0,
          "Accepted; no pager is ever used" },
        { "settings", 0, TAKES_VALUE, "MODE", NULL, NULL, EARLY, GROUP_NONE, set_settings, 0,
          "Use of .nspawn files: yes, no, override, trusted" },
        { "cleanup", 0, TAKES_NOTHING, NULL, NULL, NULL, PLANNED, .help =
          "Remove what a dead container left" },
        { "no-ask-password", 0, TAKES_NOTHING, NULL, NULL, NULL, PLANNED, .help =
          "Do not ask for passwords" },
        { "system", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, ignore_setting, 0,
          "Work with the system's registry (the default for root)" },
        { "background", 0, TAKES_VALUE, "COLOR", NULL, NULL, PLANNED, .help =
          "Tint of the terminal" },

        HEADING("Image"),
        { "directory", 'D', TAKES_VALUE, "PATH", NULL, NULL, EARLY, GROUP_DIRECTORY, set_directory,
          0,
          "Root directory of the container" },
        { "template", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Make the root directory from this tree if it is missing" },
        { "ephemeral", 'x', TAKES_NOTHING, NULL, "Exec", "Ephemeral", RESETS | TRUSTED | PLANNED,
          .help = "Run on a throw-away copy" },
        { "image", 'i', TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Disk image with the root file system" },
        { "image-policy", 0, TAKES_VALUE, "POLICY", NULL, NULL, PLANNED, .help =
          "Which partitions may be used" },
        { "oci-bundle", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "OCI runtime bundle" },
        { "mstack", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Stack of layers with the root file system" },
        { "read-only", 0, TAKES_NOTHING, NULL, "Files", "ReadOnly", RESETS, GROUP_READ_ONLY,
          set_boolean, AT(read_only), "Mount the root read-only" },
        { "volatile", 0, TAKES_OPTIONAL, "MODE", "Files", "Volatile", PLANNED, .help =
          "Forget changes: no, yes, state, overlay" },
        { "root-hash", 0, TAKES_VALUE, "HASH", NULL, NULL, PLANNED, .help = "dm-verity root hash" },
        { "root-hash-sig", 0, TAKES_VALUE, "SIG", NULL, NULL, PLANNED, .help =
          "Signature of the root hash" },
        { "verity-data", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "File with verity data" },
        { "pivot-root", 0, TAKES_VALUE, "NEW[:OLD]", "Exec", "PivotRoot", PLANNED, .help =
          "Make a directory of the image the root" },

        HEADING("Execution"),
        { "as-pid2", 'a', TAKES_NOTHING, NULL, "Exec", "ProcessTwo", 0, GROUP_START_MODE,
          set_start_mode, 0, "Run the command under a small init" },
        { "boot", 'b', TAKES_NOTHING, NULL, "Exec", "Boot", 0, GROUP_START_MODE, set_start_mode, 0,
          "Run the system's own init" },
        { "chdir", 0, TAKES_VALUE, "PATH", "Exec", "WorkingDirectory", RESETS,
          GROUP_WORKING_DIRECTORY, set_working_directory, 0, "Working directory of the command" },
        { "setenv", 'E', TAKES_VALUE, "NAME[=VALUE]", "Exec", "Environment",
          REPEAT | WORDS | RESETS, GROUP_ENVIRONMENT, set_environment, 0,
          "Set a variable for the first process" },
        { "uid", 'u', TAKES_VALUE, "USER", "Exec", "User", RESETS, GROUP_USER, set_user, 0,
          "Run the command as this user of the container" },
        { "user", 0, TAKES_VALUE, "USER", NULL, NULL, OPTION_HIDDEN, GROUP_USER, set_user, 0,
          "Another name of --uid=" },
        { "kill-signal", 0, TAKES_VALUE, "SIGNAL", "Exec", "KillSignal", 0, GROUP_KILL_SIGNAL,
          set_kill_signal, 0, "What asks the first process to shut down" },
        { "stop-timeout", 0, TAKES_VALUE, "TIME", "Lifecycle", "StopTimeout", RESETS | TRUSTED, GROUP_NONE,
          set_stop_timeout, 0, "How long a shutdown may take; default 90s with --boot, else 10s" },
        { "notify-ready", 0, TAKES_VALUE, "BOOL", "Exec", "NotifyReady", RESETS, GROUP_NOTIFY_READY,
          set_boolean, AT(notify_ready), "Ready only when the first process says so" },
        { "suppress-sync", 0, TAKES_VALUE, "BOOL", "Exec", "SuppressSync", RESETS | PLANNED, .help =
          "Make sync() and the like do nothing" },

        HEADING("Identity"),
        { "machine", 'M', TAKES_VALUE, "NAME", NULL, NULL, EARLY, GROUP_NONE, set_machine, 0,
          "Name of the machine" },
        { "hostname", 0, TAKES_VALUE, "NAME", "Exec", "Hostname", RESETS, GROUP_HOSTNAME,
          set_hostname, 0, "Host name inside; default is the machine's name" },
        { "uuid", 0, TAKES_VALUE, "ID", "Exec", "MachineID", TRUSTED, GROUP_MACHINE_ID, set_uuid, 0,
          "Machine id, if the tree has none" },

        HEADING("Resources and registration"),
        { "slice", 'S', TAKES_VALUE, "SLICE", NULL, NULL, 0, GROUP_SLICE, set_slice, 0,
          "Slice for the machine's cgroup" },
        { "property", 0, TAKES_VALUE, "NAME=VALUE", NULL, NULL, REPEAT, GROUP_NONE, set_property, 0,
          "Resource property of the machine's cgroup" },
        { "register", 0, TAKES_VALUE, "MODE", NULL, NULL, 0, GROUP_NONE, set_register, 0,
          "Tell the registry: yes, no, auto" },
        { "keep-unit", 0, TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_NONE, set_true, AT(keep_unit),
          "Stay in the caller's cgroup" },

        HEADING("User namespaces"),
        { "private-users", 0, TAKES_OPTIONAL, "MODE", "Exec", "PrivateUsers", TRUSTED, GROUP_USERNS,
          set_private_users, 0, "yes, no, pick, identity, BASE[:COUNT]" },
        { NULL, 'U', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_USERNS, set_userns_pick, 0,
          "Short for --private-users=pick --private-users-ownership=auto" },
        { "private-users-ownership", 0, TAKES_VALUE, "MODE", "Files", "PrivateUsersOwnership",
          TRUSTED, GROUP_USERNS, set_ownership, 0,
          "How files get their owners: off, chown, map, auto" },
        { "private-users-chown", 0, TAKES_OPTIONAL, NULL, "Files", "PrivateUsersChown",
          TRUSTED | OPTION_HIDDEN, GROUP_USERNS, set_ownership_chown, 0,
          "Old name of --private-users-ownership=chown" },
        { "private-users-delegate", 0, TAKES_VALUE, "N", "Exec", "PrivateUsersDelegate",
          TRUSTED | PLANNED, .help = "Further ranges for use inside" },

        HEADING("Network"),
        { "private-network", 0, TAKES_NOTHING, NULL, "Network", "Private", RESETS | TRUSTED,
          GROUP_NETWORK, set_boolean, AT(private_network), "A network with just a loopback" },
        { "network-interface", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "Interface",
          WORDS | RESETS | TRUSTED | PLANNED, .group = GROUP_NETWORK, .help =
          "Move an interface of the host in" },
        { "network-macvlan", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "MACVLAN",
          WORDS | RESETS | TRUSTED | PLANNED, .group = GROUP_NETWORK, .help =
          "Add a macvlan interface" },
        { "network-ipvlan", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "IPVLAN",
          WORDS | RESETS | TRUSTED | PLANNED, .group = GROUP_NETWORK, .help =
          "Add an ipvlan interface" },
        { "network-veth", 'n', TAKES_NOTHING, NULL, "Network", "VirtualEthernet",
          RESETS | TRUSTED | PLANNED, .group = GROUP_NETWORK, .help =
          "A virtual link to the host" },
        { "network-veth-extra", 0, TAKES_VALUE, "HOST[:NAME]", "Network", "VirtualEthernetExtra",
          TRUSTED | PLANNED, .group = GROUP_NETWORK, .help = "One more virtual link" },
        { "network-bridge", 0, TAKES_VALUE, "BRIDGE", "Network", "Bridge", TRUSTED | PLANNED,
          .group = GROUP_NETWORK, .help = "Join an existing bridge" },
        { "network-zone", 0, TAKES_VALUE, "ZONE", "Network", "Zone", TRUSTED | PLANNED,
          .group = GROUP_NETWORK, .help = "Join a bridge made for this zone" },
        { "network-namespace-path", 0, TAKES_VALUE, "PATH", "Network", "NamespacePath",
          TRUSTED | PLANNED, .group = GROUP_NETWORK, .help = "Join an existing network namespace" },
        { "port", 'p', TAKES_VALUE, "[PROTO:]HOST[:PORT]", "Network", "Port", TRUSTED | PLANNED,
          .group = GROUP_EXPOSE_PORTS, .help = "Publish a port" },

        HEADING("Security"),
        { "capability", 0, TAKES_VALUE, "CAP,…", "Exec", "Capability", REPEAT | WORDS | TRUSTED,
          GROUP_CAPABILITY, set_capability, 0, "Capabilities to keep in addition" },
        { "drop-capability", 0, TAKES_VALUE, "CAP,…", "Exec", "DropCapability", REPEAT | WORDS,
          GROUP_CAPABILITY, set_capability, 0, "Capabilities to drop" },
        { "ambient-capability", 0, TAKES_VALUE, "CAP,…", "Exec", "AmbientCapability",
          WORDS | TRUSTED | PLANNED, .help = "Ambient capabilities of the command" },
        { "no-new-privileges", 0, TAKES_VALUE, "BOOL", "Exec", "NoNewPrivileges", RESETS,
          GROUP_NO_NEW_PRIVILEGES, set_boolean, AT(no_new_privileges),
          "Nothing inside may gain privileges" },
        { "system-call-filter", 0, TAKES_VALUE, "LIST", "Exec", "SystemCallFilter", REPEAT,
          GROUP_SYSTEM_CALL_FILTER, set_system_call_filter, 0,
          "System calls to allow, or to deny with ~" },
        { "restrict-address-families", 0, TAKES_VALUE, "LIST", "Exec", "RestrictAddressFamilies",
          TRUSTED | PLANNED, .help = "Kinds of sockets to allow" },
        { "selinux-context", 'Z', TAKES_VALUE, "LABEL", NULL, NULL, PLANNED, .help =
          "SELinux label of processes" },
        { "selinux-apifs-context", 'L', TAKES_VALUE, "LABEL", NULL, NULL, PLANNED, .help =
          "SELinux label of API file systems" },
        { "rlimit", 0, TAKES_VALUE, "NAME=LIMIT", "Exec", "Limit*", REPEAT | TRUSTED, GROUP_LIMIT,
          set_limit, 0, "Set a resource limit" },
        { "oom-score-adjust", 0, TAKES_VALUE, "N", "Exec", "OOMScoreAdjust", TRUSTED | PLANNED,
          .help = "Adjust the score for the out-of-memory killer" },
        { "cpu-affinity", 0, TAKES_VALUE, "CPUS", "Exec", "CPUAffinity", TRUSTED | PLANNED, .help =
          "CPUs to run on" },
        { "personality", 0, TAKES_VALUE, "ARCH", "Exec", "Personality", PLANNED, .help =
          "Architecture that uname shows" },

        HEADING("Integration"),
        { "resolv-conf", 0, TAKES_VALUE, "MODE", "Exec", "ResolvConf", PLANNED, .help =
          "How /etc/resolv.conf is handled" },
        { "timezone", 0, TAKES_VALUE, "MODE", "Exec", "Timezone", PLANNED, .help =
          "How /etc/localtime is handled" },
        { "link-journal", 0, TAKES_VALUE, "MODE", "Exec", "LinkJournal", TRUSTED | PLANNED, .help =
          "Link the journal to the host's" },
        { NULL, 'j', TAKES_NOTHING, NULL, NULL, NULL, PLANNED, .help =
          "Short for --link-journal=try-guest" },
        { "forward-journal", 0, TAKES_VALUE, "PATH", NULL, NULL, PLANNED, .help =
          "Receive the journal" },
        { "forward-journal-max-use", 0, TAKES_VALUE, "BYTES", NULL, NULL, PLANNED, .help =
          "Limit of the received journal" },
        { "forward-journal-keep-free", 0, TAKES_VALUE, "BYTES", NULL, NULL, PLANNED, .help =
          "Space to keep free" },
        { "forward-journal-max-file-size", 0, TAKES_VALUE, "BYTES", NULL, NULL, PLANNED, .help =
          "Limit of one journal file" },
        { "forward-journal-max-files", 0, TAKES_VALUE, "N", NULL, NULL, PLANNED, .help =
          "Number of journal files" },

        HEADING("Mounts and users"),
        { "bind", 0, TAKES_VALUE, "SOURCE[:DEST[:OPTS]]", "Files", "Bind", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_bind, 0, "Show a path of the host inside" },
        { "bind-ro", 0, TAKES_VALUE, "SOURCE[:DEST[:OPTS]]", "Files", "BindReadOnly",
          REPEAT | TRUSTED, GROUP_CUSTOM_MOUNTS, set_bind, 0, "The same, read-only" },
        { "inaccessible", 0, TAKES_VALUE, "PATH", "Files", "Inaccessible", TRUSTED | PLANNED,
          .help = "Hide a path" },
        { "tmpfs", 0, TAKES_VALUE, "PATH[:OPTS]", "Files", "TemporaryFileSystem", REPEAT | TRUSTED,
          GROUP_CUSTOM_MOUNTS, set_tmpfs, 0, "Mount an empty tmpfs" },
        { "overlay", 0, TAKES_VALUE, "LOWER:…:UPPER:DEST", "Files", "Overlay", TRUSTED | PLANNED,
          .help = "Mount an overlay" },
        { "overlay-ro", 0, TAKES_VALUE, "LOWER:…:DEST", "Files", "OverlayReadOnly",
          TRUSTED | PLANNED, .help = "The same, read-only" },
        { "bind-user", 0, TAKES_VALUE, "USER", "Files", "BindUser",
          WORDS | RESETS | TRUSTED | PLANNED, .help =
          "Make a user of the host known inside" },
        { "bind-user-shell", 0, TAKES_VALUE, "SHELL", "Files", "BindUserShell", TRUSTED | PLANNED,
          .help = "Shell of such users" },
        { "bind-user-group", 0, TAKES_VALUE, "GROUP", NULL, NULL, PLANNED, .help =
          "Further group of such users" },

        HEADING("Console and credentials"),
        { "console", 0, TAKES_VALUE, "MODE", NULL, NULL, 0, GROUP_CONSOLE_MODE, set_console, 0,
          "interactive, read-only, passive, pipe, autopipe" },
        { "pipe", 'P', TAKES_NOTHING, NULL, NULL, NULL, 0, GROUP_CONSOLE_MODE, set_pipe, 0,
          "Short for --console=pipe" },
        { "set-credential", 0, TAKES_VALUE, "ID:VALUE", NULL, NULL, PLANNED, .help =
          "Pass a credential" },
        { "load-credential", 0, TAKES_VALUE, "ID:PATH", NULL, NULL, PLANNED, .help =
          "Pass a credential from a file" },
};
/* clang-format on */

const size_t n_option_rows = ARRAY_SIZE(option_rows);

/* ---- reading the command line ------------------------------------------------------------ */

void settings_done(struct settings *s)
{
        for (size_t i = 0; i < s->n; i++) {
                free(s->list[i].value);
                free(s->list[i].origin);
        }
        free(s->list);
        strv_free(s->words);
        *s = (struct settings){ .n = 0 };
}

static char *argv_origin(const struct option_row *row, const char *value)
{
        struct strbuf b CLEANUP_STRBUF = STRBUF_NULL;

        if (row->name)
                strbuf_addf(&b, "--%s%s%s", row->name, value ? "=" : "", value ? value : "");
        else
                strbuf_addf(&b, "-%c", row->letter);
        return strbuf_take(&b);
}

int settings_add(struct settings *s, const struct option_row *row, const char *value,
                 const char *origin, bool from_file)
{
        struct setting item = { .row = row, .from_file = from_file };

        if (s->n == s->size) {
                size_t size = s->size ? 2 * s->size : 16;
                struct setting *grown = realloc(s->list, size * sizeof(*grown));

                if (!grown)
                        return -ENOMEM;
                s->list = grown;
                s->size = size;
        }
        item.origin = strdup(origin);
        item.value = value ? strdup(value) : NULL;
        if (!item.origin || (value && !item.value)) {
                free(item.origin);
                free(item.value);
                return -ENOMEM;
        }
        s->list[s->n++] = item;
        return 0;
}

static int add_argument(struct settings *s, const struct option_row *row, const char *value)
{
        char *origin CLEANUP_FREE = argv_origin(row, value);

        return origin ? settings_add(s, row, value, origin, false) : -ENOMEM;
}

/* What getopt_long wants to have, made from the table. */
struct getopt_tables {
        struct option long_options[ARRAY_SIZE(option_rows) + 1];
        char letters[2 * ARRAY_SIZE(option_rows) + 2];
};

/* Values that getopt gives back: the letter, or this much more than the row's number. */
#define LONG_OPTION_BASE 256

static void make_getopt_tables(struct getopt_tables *t)
{
        size_t n = 0, k = 0;

        t->letters[k++] = '+'; /* stop at the first word: the rest is the payload's */
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];

                if (row->name)
                        t->long_options[n++] = (struct option){
                                .name = row->name,
                                .has_arg = row->takes == TAKES_NOTHING    ? no_argument
                                           : row->takes == TAKES_OPTIONAL ? optional_argument
                                                                          : required_argument,
                                .val = LONG_OPTION_BASE + (int) i,
                        };
                if (row->letter) {
                        t->letters[k++] = row->letter;
                        if (row->takes == TAKES_VALUE)
                                t->letters[k++] = ':';
                }
        }
        t->long_options[n] = (struct option){ .name = NULL };
        t->letters[k] = '\0';
}

static const struct option_row *find_row(int value)
{
        if (value >= LONG_OPTION_BASE)
                return &option_rows[value - LONG_OPTION_BASE];
        for (size_t i = 0; i < n_option_rows; i++)
                if (option_rows[i].letter == value)
                        return &option_rows[i];
        return NULL;
}

int settings_add_argv(struct settings *s, int argc, char **argv, struct failure *failure)
{
        struct getopt_tables tables;
        int value;

        make_getopt_tables(&tables);
        optind = 0;
        while ((value = getopt_long(argc, argv, tables.letters, tables.long_options, NULL)) >= 0) {
                const struct option_row *row = find_row(value);

                if (!row)
                        return -EINVAL; /* getopt has said why */
                if (add_argument(s, row, optarg) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
                if (row->flags & OPTION_ENDS)
                        return 0;
        }
        for (int i = optind; i < argc; i++)
                if (strv_add(&s->words, argv[i]) < 0)
                        return failure_set(failure, -ENOMEM, "Out of memory.");
        return 0;
}

bool settings_end_early(const struct settings *s)
{
        return s->n > 0 && (s->list[s->n - 1].row->flags & OPTION_ENDS);
}

int settings_apply_early(struct settings *s, struct container_config *c, struct failure *failure)
{
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n; i++)
                if (s->list[i].row->flags & OPTION_EARLY)
                        r = s->list[i].row->apply(c, &s->list[i], failure);
        s->early_are_applied = r == 0;
        return r;
}

int settings_apply(const struct settings *s, struct container_config *c, struct failure *failure)
{
        for (size_t i = 0; i < s->n; i++) {
                const struct option_row *row = s->list[i].row;
                int r = 0;

                if (!(row->flags & OPTION_EARLY && s->early_are_applied))
                        r = row->apply(c, &s->list[i], failure);
                if (r != 0)
                        return r;
        }
        if (s->file_gives_network && s->argv_gives_capabilities)
                c->capabilities_dropped |= (UINT64_C(1) << CAP_NET_ADMIN) & ~c->capabilities_added;
        strv_free(c->parameters);
        c->parameters = strv_copy(s->words);
        if (s->words && !c->parameters)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return 0;
}

/* ---- environment ------------------------------------------------------------------------- */

static int environment_boolean(const char *name, bool *value, struct failure *failure)
{
        const char *text = getenv(name);

        if (!text)
                return 0;
        if (parse_boolean(text, value) < 0)
                return failure_set(failure, -EINVAL,
                                   "Cannot use %s='%s' from the environment: write yes or no.",
                                   name, text);
        return 0;
}

/*
 * Descriptors handed to us by who started us are the payload's (sd_listen_fds(3)). Only those that
 * are there: else the next ones that we open would take their numbers, and go along.
 */
static void read_listen_fds(struct container_config *c)
{
        const char *pid_text = getenv("LISTEN_PID"), *n_text = getenv("LISTEN_FDS");
        unsigned long pid = 0, n = 0;

        if (!pid_text || !n_text || parse_ulong(pid_text, 1, INT_MAX, &pid) < 0 ||
            pid != (unsigned long) getpid() || parse_ulong(n_text, 1, 512, &n) < 0)
                return;
        while (c->n_listen_fds < n && fcntl(3 + (int) c->n_listen_fds, F_SETFD, FD_CLOEXEC) >= 0)
                c->n_listen_fds++;
}

int settings_apply_environment(struct container_config *c, struct failure *failure)
{
        const char *api = getenv("SYSTEMD_NSPAWN_API_VFS_WRITABLE");
        const char *service = getenv("SYSTEMD_NSPAWN_CONTAINER_SERVICE");
        bool filter = true, writable = false;
        int r = environment_boolean("SYSTEMD_NSPAWN_TMPFS_TMP", &c->tmpfs_on_tmp, failure);

        if (r >= 0)
                r = environment_boolean("SYSTEMD_NSPAWN_LOCK", &c->lock_tree, failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_NSPAWN_CHECK_OS_RELEASE", &c->check_os_release,
                                        failure);
        if (r >= 0)
                r = environment_boolean("SYSTEMD_SECCOMP", &filter, failure);
        if (r < 0)
                return r;
        c->system_call_filter_off = !filter;
        read_listen_fds(c);
        if (api && streq(api, "network"))
                c->api_vfs = API_VFS_NETWORK;
        else {
                r = environment_boolean("SYSTEMD_NSPAWN_API_VFS_WRITABLE", &writable, failure);
                if (r < 0)
                        return r;
                c->api_vfs = writable ? API_VFS_WRITABLE : API_VFS_PROTECTED;
        }
        if (service && (*service == '\0' || strpbrk(service, "\n/")))
                return failure_set(failure, -EINVAL,
                                   "Cannot use SYSTEMD_NSPAWN_CONTAINER_SERVICE='%s' from the "
                                   "environment: it must be a plain word.",
                                   service);
        return replace_string(&c->service, service ? service : "systemd-nspawn", failure);
}

/* ---- help -------------------------------------------------------------------------------- */

#define HELP_COLUMN 42

static void help_row(struct strbuf *out, const struct option_row *row)
{
        struct strbuf left CLEANUP_STRBUF = STRBUF_NULL;

        if (row->letter)
                strbuf_addf(&left, "  -%c", row->letter);
        else
                strbuf_add(&left, "    ");
        if (row->name)
                strbuf_addf(&left, " --%s", row->name);
        if (row->takes == TAKES_VALUE)
                strbuf_addf(&left, "=%s", row->argument);
        else if (row->takes == TAKES_OPTIONAL && row->argument)
                strbuf_addf(&left, "[=%s]", row->argument);
        strbuf_add(out, strbuf_text(&left));
        if (left.length >= HELP_COLUMN)
                strbuf_add(out, "\n");
        for (size_t i = left.length >= HELP_COLUMN ? 0 : left.length; i < HELP_COLUMN; i++)
                strbuf_add(out, " ");
        strbuf_addf(out, "%s%s\n", row->help,
                    row->flags & OPTION_PLANNED ? " (not built yet)" : "");
}

void options_help(struct strbuf *out)
{
        strbuf_add(out, "nspawn [OPTION…] [COMMAND [ARGUMENT…]]\n\n"
                        "Runs a command, or boots an operating system, in a container.\n");
        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];

                if (!row->name && !row->letter)
                        strbuf_addf(out, "\n%s:\n", row->help);
                else if (!(row->flags & OPTION_HIDDEN))
                        help_row(out, row);
        }
        strbuf_add(out, "\nSee nspawn(1).\n");
}
