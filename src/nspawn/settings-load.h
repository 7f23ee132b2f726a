/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/settings-file.h"
#include "nspawn/config.h"
#include "nspawn/options.h"

/*
 * The .nspawn file of a machine: where it is looked for, what its lines mean, and how they are put
 * together with the command line. What is wrong with a line is told at once, as a warning; what
 * spoils the start is the caller's sentence.
 */

/*
 * Finds the tree and the machine's name, looks for the machine's settings file and joins its
 * settings with @s, which is the command line. @c gets the tree's path and the file's. Returns 0,
 * or a negative errno and a sentence.
 */
int settings_load(struct settings *s, struct container_config *c, struct failure *failure);

/* The sections that mean something, ended by NULL. */
extern const char *const settings_sections[];

/* How far a file is trusted, and who wins. */
struct settings_rules {
        bool trusted;  /* may say everything; else, only what cannot harm the host */
        bool override; /* wins over the command line */
};

/*
 * Joins the lines of @file with the settings of the command line in @s: within each group of
 * options one of the two counts. @path is for messages and origins.
 */
int settings_merge(struct settings *s, const char *path, const struct settings_file *file,
                   struct settings_rules rules, struct failure *failure);

/*
 * The words of a line in a file: separated by white space, which quotes ("" or '') keep. A
 * backslash has no meaning. -EINVAL: a quote is not closed; @ret has the words before it. -E2BIG: too many.
 */
int settings_split_words(const char *text, char ***ret);
