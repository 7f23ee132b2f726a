/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs while building: writes the option table as text, one option per line, for what is made from
 * it (completion of shells) and for tests that compare it with documents. The columns are separated
 * by tabs, and "-" stands for nothing:
 *
 *   letter, name, takes (nothing, value, optional), argument, section, key, flags, values, help
 *
 * The values are words separated by spaces, or the kind of thing that is meant in angle brackets.
 */

#include <stdio.h>
#include <stdlib.h>

#include "basic/strbuf.h"
#include "nspawn/options.h"
#include "shared/property.h"

/* What an argument of this name stands for. */
static const struct {
        const char *argument, *values;
} by_argument[] = {
        { "BOOL", "yes no" },
        { "BRIDGE", "<interface>" },
        { "CAP,…", "<help>" },
        { "GROUP", "<group>" },
        { "HOST[:NAME]", "<interface>" },
        { "LIST", "<text>" },
        { "PATH", "<path>" },
        { "SIGNAL", "<help>" },
        { "TIME", "<text>" },
        { "USER", "<user>" },
        { "BYTES", "<text>" },
        { "LABEL", "<text>" },
        { "N", "<text>" },
        { "ID", "<text>" },
        { "NAME", "<text>" },
        { "COLOR", "<text>" },
        { "SLICE", "<text>" },
        { "ZONE", "<text>" },
        { "CPUS", "<text>" },
        { "ADDR,…", "<text>" },
        { "ADDR/LEN,…", "<text>" },
        { "MAC", "<text>" },
        { "HASH", "<text>" },
        { "POLICY", "<text>" },
        { "ID:VALUE", "<text>" },
        { "ID:PATH", "<text>" },
        { "NEW[:OLD]", "<text>" },
};

/* The other options, and where an argument's name does not say enough. */
static const struct {
        const char *name, *values;
} by_name[] = {
        { "settings", "yes no override trusted" },
        { "directory", "<directory>" },
        { "template", "<directory>" },
        { "oci-bundle", "<directory>" },
        { "mstack", "<directory>" },
        { "volatile", "no yes state overlay" },
        { "ephemeral-method", "auto snapshot overlay reflink copy" },
        { "ephemeral-directory", "<directory>" },
        { "root-hash-sig", "<path>" },
        { "chdir", "<text>" },
        { "setenv", "<variable>" },
        { "machine", "<machine>" },
        { "property", "<property>" },
        { "register", "yes no auto" },
        { "time", "auto host private" },
        { "private-users", "no yes pick identity" },
        { "private-users-ownership", "off chown map auto" },
        { "network-interface", "<interface>" },
        { "network-macvlan", "<interface>" },
        { "network-ipvlan", "<interface>" },
        { "network-veth-extra", "<text>" },
        { "network-setup", "auto yes no" },
        { "port", "tcp: udp:" },
        { "rlimit", "<help=>" },
        { "personality", "<help>" },
        { "restrict-address-families", "<help>" },
        { "resolv-conf", "off copy-host copy-static copy-uplink copy-stub replace-host "
                         "replace-static replace-uplink replace-stub bind-host bind-static "
                         "bind-uplink bind-stub delete auto" },
        { "timezone", "off copy bind symlink delete auto" },
        { "link-journal", "no host try-host guest try-guest auto" },
        { "bind", "<path>" },
        { "bind-ro", "<path>" },
        { "inaccessible", "<text>" },
        { "tmpfs", "<text>" },
        { "overlay", "<path>" },
        { "overlay-ro", "<path>" },
        { "bind-user-shell", "yes no" },
        { "console", "interactive read-only passive pipe autopipe" },
};

static const struct {
        enum option_flags flag;
        const char *name;
} flags[] = {
        { OPTION_REPEATABLE, "repeatable" }, { OPTION_TRUSTED, "trusted" },
        { OPTION_PLANNED, "planned" },       { OPTION_ENDS, "ends" },
        { OPTION_HIDDEN, "hidden" },         { OPTION_WORDS, "words" },
        { OPTION_RESETS, "resets" },         { OPTION_EARLY, "early" },
        { OPTION_SECRET, "secret" },         { OPTION_STRICT, "strict" },
};

static const char *values_of(const struct option_row *row)
{
        for (size_t i = 0; row->name && i < ARRAY_SIZE(by_name); i++)
                if (streq(by_name[i].name, row->name))
                        return by_name[i].values;
        for (size_t i = 0; row->argument && i < ARRAY_SIZE(by_argument); i++)
                if (streq(by_argument[i].argument, row->argument))
                        return by_argument[i].values;
        return row->argument ? NULL : "-";
}

static void add_properties(struct strbuf *out)
{
        for (int id = 0; id < N_PROPERTIES; id++)
                strbuf_addf(out, "%s%s=", id > 0 ? " " : "", property_name(id));
}

static void add_flags(struct strbuf *out, const struct option_row *row)
{
        const char *separator = "";

        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (row->flags & flags[i].flag) {
                        strbuf_addf(out, "%s%s", separator, flags[i].name);
                        separator = ",";
                }
        if (*separator == '\0')
                strbuf_add(out, "-");
}

static void add_row(struct strbuf *out, const struct option_row *row, const char *values)
{
        static const char *const takes[] = {
                [TAKES_NOTHING] = "nothing",
                [TAKES_VALUE] = "value",
                [TAKES_OPTIONAL] = "optional",
        };

        strbuf_addf(out, "%c\t%s\t%s\t%s\t%s\t%s\t", row->letter ? row->letter : '-',
                    row->name ? row->name : "-", takes[row->takes],
                    row->argument ? row->argument : "-", row->section ? row->section : "-",
                    row->key ? row->key : "-");
        add_flags(out, row);
        strbuf_add(out, "\t");
        if (streq(values, "<property>"))
                add_properties(out);
        else
                strbuf_add(out, values);
        strbuf_addf(out, "\t%s\n", row->help);
}

int main(void)
{
        struct strbuf out CLEANUP_STRBUF = STRBUF_NULL;

        for (size_t i = 0; i < n_option_rows; i++) {
                const struct option_row *row = &option_rows[i];
                const char *values = values_of(row);

                if (!row->name && !row->letter)
                        continue; /* a heading */
                if (!values) {
                        fprintf(stderr, "The values of --%s=%s are not in print-options.c.\n",
                                row->name, row->argument);
                        return EXIT_FAILURE;
                }
                add_row(&out, row, values);
        }
        fputs(strbuf_text(&out), stdout);
        return ferror(stdout) || fflush(stdout) == EOF ? EXIT_FAILURE : EXIT_SUCCESS;
}
