/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/strbuf.h"
#include "nspawn/config.h"

/*
 * One row is the only description of an option: its names, its section and key in settings files,
 * who may say it, how it is set, its help. Reading the command line only collects settings; they
 * are applied when all sources are known, so that a message can say where a value came from.
 */

enum option_takes { TAKES_NOTHING, TAKES_VALUE, TAKES_OPTIONAL };

enum option_flags {
        OPTION_REPEATABLE = 1 << 0,
        OPTION_TRUSTED = 1 << 1, /* in files: honoured only from trusted directories */
        OPTION_PLANNED = 1 << 2, /* known, but answered with "not built yet" */
        OPTION_ENDS = 1 << 3,    /* --help, --version: nothing right of it is looked at */
        OPTION_HIDDEN = 1 << 4,  /* another spelling; not in --help */
        OPTION_WORDS = 1 << 5,   /* in files: each word of a line is a value of its own */
        OPTION_RESETS = 1 << 6,  /* in files: an empty value takes back what the file said before */
        OPTION_EARLY = 1 << 7,   /* has to be known before a settings file can be looked for */
        OPTION_SECRET = 1 << 8,  /* what is behind the first ':' of the value is not shown */
        OPTION_STRICT = 1 << 9,  /* in trusted files: what cannot be used ends the start */
        OPTION_CHOICE = 1 << 10, /* says more about a link that another option makes */
};

/* Settings on the command line hide those of a settings file in the same group. */
enum option_group {
        GROUP_NONE,
        GROUP_START_MODE,
        GROUP_ENVIRONMENT,
        GROUP_USER,
        GROUP_WORKING_DIRECTORY,
        GROUP_KILL_SIGNAL,
        GROUP_NOTIFY_READY,
        GROUP_HOSTNAME,
        GROUP_MACHINE_ID,
        GROUP_SLICE,
        GROUP_DIRECTORY,
        GROUP_LINK_JOURNAL,
        GROUP_READ_ONLY,
        GROUP_VOLATILE,
        GROUP_EPHEMERAL,
        GROUP_PIVOT_ROOT,
        GROUP_USERNS,
        GROUP_NETWORK,
        GROUP_EXPOSE_PORTS,
        GROUP_CAPABILITY,
        GROUP_NO_NEW_PRIVILEGES,
        GROUP_NESTING,
        GROUP_SYSTEM_CALL_FILTER,
        GROUP_ADDRESS_FAMILIES,
        GROUP_LIMIT,    /* each limit is one for itself */
        GROUP_PROPERTY, /* and so is each property */
        GROUP_CUSTOM_MOUNTS,
        GROUP_CONSOLE_MODE,
        GROUP_OTHER, /* a group of its own, by key; so are rows of GROUP_NONE */
        N_OPTION_GROUPS,
};

struct setting;

/* Applies @setting to @c. 0, 1 (words were printed as asked for: the program is done) or a
 * negative errno and a sentence. */
typedef int setting_apply_fn(struct container_config *c, const struct setting *setting,
                             struct failure *failure);

struct option_row {
        const char *name; /* without dashes; NULL for an option that has just a letter */
        char letter;      /* or 0 */
        enum option_takes takes;
        const char *argument;      /* as --help shows it */
        const char *section, *key; /* in .nspawn files; NULL: command line only */
        unsigned flags;
        enum option_group group;
        setting_apply_fn *apply;
        size_t field; /* offset in struct container_config, for the general setters */
        const char *help;
};

/* A value as it was given. */
struct setting {
        const struct option_row *row;
        char *value;  /* NULL if none was given */
        char *origin; /* "--bind=/a:/b", "-u root", "/etc/…/web.nspawn:12: Bind=/a:/b" */
        bool from_file;
};

struct settings {
        struct setting *list;
        size_t n, size;
        char **words; /* the payload's command line */
        bool early_are_applied;
        bool file_gives_network, argv_gives_capabilities; /* see settings_apply() */
};

/* All rows; a row whose name and letter are empty is a heading of --help. */
extern const struct option_row option_rows[];
extern const size_t n_option_rows;

void settings_done(struct settings *s);

/* Adds one setting. Copies @value, which may be NULL, and @origin. Returns 0 or -ENOMEM. */
int settings_add(struct settings *s, const struct option_row *row, const char *value,
                 const char *origin, bool from_file);

/*
 * Collects the command line, in which secrets are overwritten. getopt has already told the person about an unknown option when
 * -EINVAL is returned without a sentence.
 */
int settings_add_argv(struct settings *s, int argc, char **argv, struct failure *failure);

/* Whether there is nothing to be run, as for --help. */
bool settings_end_early(const struct settings *s);

/* Applies those that have to be known before a settings file can be looked for; only once. */
int settings_apply_early(struct settings *s, struct container_config *c, struct failure *failure);

/*
 * Applies all settings in order. Returns as setting_apply_fn. A network of its own brings
 * CAP_NET_ADMIN; but not where a file asks for the one, and the command line is about the other.
 */
int settings_apply(const struct settings *s, struct container_config *c, struct failure *failure);

/* The launcher's own environment variables that are settings. */
int settings_apply_environment(struct container_config *c, struct failure *failure);

/* The text of --help. */
void options_help(struct strbuf *out);
