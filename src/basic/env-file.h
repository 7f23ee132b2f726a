/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"
#include "basic/strbuf.h"

/*
 * Files of NAME=VALUE lines with the quoting of a shell, and nothing else of a shell: os-release(5),
 * which may be a guest's, and the state files of machines.
 *
 * A value may be in '…', where nothing is special, or in "…", where a backslash in front of
 * " \ ` $ takes their meaning away; elsewhere a backslash does so for any character. A backslash at
 * the end of a line joins it with the next one. White space around name and value is left out.
 * Lines that are empty or begin with '#' or ';' are comments.
 */
#define ENV_FILE_MAX_SIZE ((size_t) 64 * 1024)
#define ENV_FILE_MAX_ITEMS ((size_t) 1024)

struct env_assignment {
        const char *name, *value; /* well-formed UTF-8; control characters are possible */
};

struct env_file {
        struct env_assignment *items; /* in the order of the file, names may come again */
        size_t n;
        size_t bad_line; /* the first line that was no assignment and left out; 0: none */
        char *text;      /* owns the strings */
};

#define CLEANUP_ENV_FILE CLEANUP(env_file_done)
void env_file_done(struct env_file *file);

/*
 * Reads @size bytes of @text. Lines that are no assignment, or are not UTF-8, are left out; a quote
 * that is never closed takes the rest of the file with it. Returns 0, -EFBIG, -E2BIG (more than
 * ENV_FILE_MAX_ITEMS assignments), -EBADMSG (a NUL byte: no text) or -ENOMEM. Pure.
 */
int env_file_parse(const char *text, size_t size, struct env_file *ret);

/* The value of @name: of several the last one, as in a shell. NULL if there is none. Borrowed. */
const char *env_file_get(const struct env_file *file, const char *name);

/*
 * Adds "NAME=VALUE\n", quoted where needed, to a file that is being made; replace_file_at() writes
 * it. Returns 0, or -EINVAL for what no reader would take: a bad name, or text that is not UTF-8.
 */
int env_file_add(struct strbuf *out, const char *name, const char *value);
