/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/setters.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>

#include "basic/caps.h"
#include "basic/parse.h"
#include "basic/path.h"
#include "basic/strv.h"
#include "shared/names.h"
#include "shared/property.h"

/* ---- general setters, by the row's field ------------------------------------------------- */

void *setting_field(struct container_config *c, const struct option_row *row)
{
        return (char *) c + row->field;
}

int setting_refuse(const struct setting *s, struct failure *failure, int error, const char *want)
{
        return failure_set(failure, error, "Cannot use '%s': %s.", s->origin, want);
}

/* In a file, "help" is a word like any other. */
bool setting_asks_for_help(const struct setting *s)
{
        return !s->from_file && streq(s->value, "help");
}

int set_true(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) failure;
        *(bool *) setting_field(c, s->row) = true;
        return 0;
}

int set_boolean(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = true;

        if (s->value && parse_boolean(s->value, &value) < 0)
                return setting_refuse(s, failure, -EINVAL, "write yes or no");
        *(bool *) setting_field(c, s->row) = value;
        return 0;
}

int setting_replace_string(char **field, const char *value, struct failure *failure)
{
        char *copy = strdup(value);

        if (!copy)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        free(*field);
        *field = copy;
        return 0;
}

int setting_add_string(char ***list, const char *value, struct failure *failure)
{
        return strv_add(list, value) < 0 ? failure_set(failure, -ENOMEM, "Out of memory.") : 0;
}

/* Sets an enum from a list of words; "help" prints them. @numbers runs beside @words. */
int setting_set_word(const struct setting *s, const char *const *words, const int *numbers,
                     int *ret, struct failure *failure)
{
        struct strbuf known CLEANUP_STRBUF = STRBUF_NULL;

        if (setting_asks_for_help(s)) {
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

int set_action(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) failure;
        c->action = streq(s->row->name, "help")      ? ACTION_HELP
                    : streq(s->row->name, "version") ? ACTION_VERSION
                    : streq(s->row->name, "cleanup") ? ACTION_CLEANUP
                                                     : ACTION_DRY_RUN;
        return 0;
}

int refuse_planned(struct container_config *c, const struct setting *s, struct failure *failure)
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

int ignore_setting(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) c;
        (void) s;
        (void) failure;
        return 0;
}

int set_settings(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = false;

        if (streq(s->value, "override"))
                c->settings = SETTINGS_OVERRIDE;
        else if (streq(s->value, "trusted"))
                c->settings = SETTINGS_TRUSTED;
        else if (parse_boolean(s->value, &value) >= 0)
                c->settings = value ? SETTINGS_YES : SETTINGS_NO;
        else
                return setting_refuse(s, failure, -EINVAL, "write yes, no, override or trusted");
        return 0;
}

/* ---- setters of single options ----------------------------------------------------------- */

int set_directory(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char *path CLEANUP_FREE = NULL;
        int r = path_make_absolute(s->value, &path);

        if (r < 0)
                return setting_refuse(s, failure, r, "give the path of a directory");
        return setting_replace_string(&c->directory, path, failure);
}

int set_machine(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (*s->value == '\0') {
                free(c->machine);
                c->machine = NULL;
                return 0;
        }
        if (!machine_name_is_valid(s->value))
                return setting_refuse(
                        s, failure, -EINVAL,
                        "a machine's name has at most 64 letters, digits, '-' and single "
                        "dots, and does not begin or end with '-' or '.'");
        return setting_replace_string(&c->machine, s->value, failure);
}

int set_start_mode(struct container_config *c, const struct setting *s, struct failure *failure)
{
        enum start_mode mode = s->row->letter == 'b' ? START_BOOT : START_AS_PID2;

        if (!s->from_file && c->start_mode != START_COMMAND && c->start_mode != mode)
                return failure_set(failure, -EINVAL,
                                   "--boot and --as-pid2 cannot be combined. With --boot the "
                                   "system's own init is the first process; leave one out.");
        c->start_mode = mode;
        return 0;
}

int set_environment(struct container_config *c, const struct setting *s, struct failure *failure)
{
        size_t n = strcspn(s->value, "=");
        char *assignment CLEANUP_FREE = NULL;
        const char *value;

        if (!env_name_is_valid(s->value, n))
                return setting_refuse(
                        s, failure, -EINVAL,
                        "the name of a variable has letters, digits and '_', and does "
                        "not begin with a digit");
        if (s->value[n] == '=')
                return strv_env_set(&c->environment, s->value) < 0
                               ? failure_set(failure, -ENOMEM, "Out of memory.")
                               : 0;
        if (s->from_file)
                return setting_refuse(s, failure, -EINVAL, "write NAME=VALUE");
        value = getenv(s->value);
        /* A variable that the caller does not have is set, and empty. */
        if (asprintf(&assignment, "%s=%s", s->value, value ? value : "") < 0)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        return strv_env_set(&c->environment, assignment) < 0
                       ? failure_set(failure, -ENOMEM, "Out of memory.")
                       : 0;
}

int set_user(struct container_config *c, const struct setting *s, struct failure *failure)
{
        /* Newer releases know it without a value, too, so that what follows is another option. */
        if (!s->from_file && streq(s->row->name, "user") && s->value[0] == '-')
                return failure_set(failure, -EOPNOTSUPP,
                                   "Cannot use '--user' without the name of a user: containers of "
                                   "a user's own service manager are not built. Start it as root, "
                                   "or write --uid=NAME for a user inside.");
        if (*s->value == '\0' || strpbrk(s->value, ":/\n") || s->value[0] == '-')
                return setting_refuse(s, failure, -EINVAL, "give a user name or a number");
        return setting_replace_string(&c->user, s->value, failure);
}

int set_working_directory(struct container_config *c, const struct setting *s,
                          struct failure *failure)
{
        static const char *const api[] = { "/proc", "/sys", "/dev" };

        if (!path_is_absolute(s->value) || !path_is_normalized(s->value))
                return setting_refuse(s, failure, -EINVAL,
                                      "give an absolute path without '.', '..' or doubled slashes");
        for (size_t i = 0; i < ARRAY_SIZE(api); i++)
                if (path_is_below(s->value, api[i]))
                        return setting_refuse(
                                s, failure, -EINVAL,
                                "the working directory cannot be below /proc, /sys or "
                                "/dev");
        return setting_replace_string(&c->working_directory, s->value, failure);
}

int set_kill_signal(struct container_config *c, const struct setting *s, struct failure *failure)
{
        int signo;

        if (setting_asks_for_help(s)) {
                for (int i = 1; i <= SIGRTMAX; i++) {
                        char *name CLEANUP_FREE = signal_to_text(i);

                        if (name && (i < 32 || i >= SIGRTMIN))
                                (void) puts(name);
                }
                return 1;
        }
        signo = parse_signal(s->value);
        if (signo < 0)
                return setting_refuse(s, failure, signo,
                                      "give a signal such as SIGTERM, SIGRTMIN+3 or 15");
        c->kill_signal = signo;
        return 0;
}

int set_stop_timeout(struct container_config *c, const struct setting *s, struct failure *failure)
{
        uint64_t us;

        if (streq(s->value, "infinity")) {
                c->stop_timeout_us = UINT64_MAX;
                return 0;
        }
        if (parse_timespan_us(s->value, &us) < 0 || us == 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "give a time such as 30, 1min 30s or infinity");
        c->stop_timeout_us = us;
        return 0;
}

int set_hostname(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (*s->value == '\0') {
                free(c->hostname);
                c->hostname = NULL;
                return 0;
        }
        if (!hostname_is_valid(s->value))
                return setting_refuse(
                        s, failure, -EINVAL,
                        "a host name has at most 64 letters, digits, '-' and single dots, "
                        "and does not begin or end with '-' or '.'");
        return setting_replace_string(&c->hostname, s->value, failure);
}

int set_uuid(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct id128 id;

        if (id128_parse(s->value, &id) < 0)
                return setting_refuse(s, failure, -EINVAL, "give 32 hexadecimal digits or a UUID");
        if (id128_is_null(&id))
                return setting_refuse(s, failure, -EINVAL, "the id cannot be all zeros");
        c->uuid = id;
        c->uuid_set = true;
        return 0;
}

int set_slice(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char *name CLEANUP_FREE = NULL;
        int r = slice_name_mangle(s->value, &name);

        if (r < 0)
                return setting_refuse(s, failure, r,
                                      "give the name of a slice, such as machine.slice");
        return setting_replace_string(&c->slice, name, failure);
}

int set_property(struct container_config *c, const struct setting *s, struct failure *failure)
{
        if (!strchr(s->value, '=') || s->value[0] == '=')
                return setting_refuse(s, failure, -EINVAL,
                                      "write NAME=VALUE, for example MemoryMax=1G");
        /* The plan reads the command line's; a line of a file that does not fit is left out now. */
        if (s->from_file) {
                struct property_set set CLEANUP_PROPERTY_SET = { .n = 0 };
                struct failure why = { .error = 0 };
                int r = property_set_add(&set, s->value, &why);

                if (r < 0)
                        return failure_set(failure, r, "Cannot use '%s': %s", s->origin, why.text);
        }
        return setting_add_string(&c->properties, s->value, failure);
}

int set_register(struct container_config *c, const struct setting *s, struct failure *failure)
{
        bool value = false;

        if (streq(s->value, "auto"))
                c->register_mode = REGISTER_AUTO;
        else if (parse_boolean(s->value, &value) >= 0)
                c->register_mode = value ? REGISTER_YES : REGISTER_NO;
        else
                return setting_refuse(s, failure, -EINVAL, "write yes, no or auto");
        return 0;
}

int set_private_users(struct container_config *c, const struct setting *s, struct failure *failure)
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
                        return setting_refuse(s, failure, r,
                                              "the range of ids cannot be empty or go beyond "
                                              "4294967295");
                if (r < 0)
                        return setting_refuse(s, failure, r,
                                              "write yes, no, pick, identity, BASE or BASE:COUNT");
                c->userns_mode = USERNS_FIXED;
        }
        c->userns_if_possible = false;
        return 0;
}

int set_userns_pick(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) s;
        (void) failure;
        c->userns_mode = USERNS_PICK;
        c->ownership = OWNERSHIP_AUTO;
        c->userns_if_possible = true;
        return 0;
}

int set_ownership(struct container_config *c, const struct setting *s, struct failure *failure)
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
        r = setting_set_word(s, words, numbers, &number, failure);
        if (r == 0)
                c->ownership = (enum ownership) number;
        return r;
}

int set_ownership_chown(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        bool value = true;

        if (s->from_file && parse_boolean(s->value, &value) < 0)
                return setting_refuse(s, failure, -EINVAL, "write yes or no");
        c->ownership = value ? OWNERSHIP_CHOWN : OWNERSHIP_OFF;
        return 0;
}

int setting_capabilities(const struct setting *s, uint64_t *ret, struct failure *failure)
{
        const char *bad = NULL;

        if (setting_asks_for_help(s)) {
                for (unsigned i = 0; cap_name(i); i++)
                        (void) puts(cap_name(i));
                return 1;
        }
        if (s->from_file && strchr(s->value, ','))
                return setting_refuse(s, failure, -EINVAL,
                                      "write the names with spaces between them");
        if (caps_parse(s->value, ret, &bad) < 0)
                return failure_set(failure, -EINVAL,
                                   "Cannot use '%s': '%.*s' is not a capability. See "
                                   "--capability=help.",
                                   s->origin, (int) strcspn(bad, ","), bad);
        return 0;
}

int set_capability(struct container_config *c, const struct setting *s, struct failure *failure)
{
        uint64_t set = 0;
        int r = setting_capabilities(s, &set, failure);

        if (r != 0)
                return r;
        if (streq(s->row->name, "capability")) {
                c->capabilities_added |= set;
                /* With --settings=override a file comes on top of the command line. */
                if (s->from_file)
                        c->capabilities_dropped &= ~set;
        } else
                c->capabilities_dropped |= set;
        return 0;
}

int set_system_call_filter(struct container_config *c, const struct setting *s,
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
                        return setting_refuse(s, failure, -EINVAL, "a name in it is too long");
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

int set_limit(struct container_config *c, const struct setting *s, struct failure *failure)
{
        char name[32], soft[32];
        const char *equals = strchr(s->value, '='), *colon;
        struct rlimit value;
        size_t n;
        int resource, r;

        if (setting_asks_for_help(s)) {
                for (int i = 0; i < RLIM_NLIMITS; i++)
                        (void) puts(limit_name(i));
                return 1;
        }
        if (!equals || (size_t) (equals - s->value) >= sizeof(name))
                return setting_refuse(
                        s, failure, -EINVAL,
                        "write NAME=SOFT or NAME=SOFT:HARD, for example NOFILE=1024:4096");
        (void) snprintf(name, sizeof(name), "%.*s", (int) (equals - s->value), s->value);
        resource = limit_from_name(name);
        if (resource < 0)
                return setting_refuse(s, failure, -EINVAL,
                                      "there is no such limit; see --rlimit=help");
        colon = strchr(equals + 1, ':');
        n = colon ? (size_t) (colon - equals - 1) : strlen(equals + 1);
        if (n >= sizeof(soft))
                return setting_refuse(s, failure, -EINVAL, "the limit is not a number");
        (void) snprintf(soft, sizeof(soft), "%.*s", (int) n, equals + 1);
        r = parse_limit_value(soft, resource, &value.rlim_cur);
        if (r >= 0)
                r = parse_limit_value(colon ? colon + 1 : soft, resource, &value.rlim_max);
        if (r < 0)
                return setting_refuse(s, failure, r, "the limit is not a number or 'infinity'");
        if (value.rlim_cur > value.rlim_max)
                return setting_refuse(s, failure, -EINVAL,
                                      "the soft limit cannot be above the hard limit");
        c->limits[resource] = (struct limit_setting){ .set = true, .value = value };
        return 0;
}

int set_console(struct container_config *c, const struct setting *s, struct failure *failure)
{
        static const char *const words[] = { "interactive", "read-only", "passive",
                                             "pipe",        "autopipe",  NULL };
        static const int numbers[] = { CONSOLE_INTERACTIVE, CONSOLE_READ_ONLY, CONSOLE_PASSIVE,
                                       CONSOLE_PIPE, CONSOLE_AUTOPIPE };
        int number = 0;
        int r = setting_set_word(s, words, numbers, &number, failure);

        if (r == 0)
                c->console_mode = (enum console_mode) number;
        return r;
}

int set_pipe(struct container_config *c, const struct setting *s, struct failure *failure)
{
        (void) s;
        (void) failure;
        c->console_mode = CONSOLE_PIPE;
        return 0;
}
