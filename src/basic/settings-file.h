/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/macro.h"

/*
 * The text of a .nspawn file, taken apart into lines. Bytes in, a list out: nothing is opened,
 * printed or remembered, and what the keys mean is not known here.
 *
 * The syntax, as systemd's files have it:
 * - A line ends with LF, CR or NUL, or with several of them in a row as long as they differ: CRLF
 *   is one line end.
 * - A line that begins with '#' or ';' is a comment. So is one in the midst of a continued line:
 *   it is left out, and the line goes on behind it. A comment itself is never continued.
 * - A backslash at the end of a line makes the next one a part of it; in its place comes a space.
 *   An even number of backslashes is that many backslashes. An empty line ends what was continued.
 * - White space (blank, tab) around lines, keys and values does not count. A byte order mark
 *   at the beginning of a line does not count either.
 * - [Section] begins a section; KEY=VALUE belongs to it.
 * - What begins with "X-", a section or a key, is for other programs: ignored without a word.
 */

/* What a line is. All but the first are ignored, and the person has to be told. */
enum settings_line_kind {
        LINE_ASSIGNMENT,
        LINE_UNKNOWN_SECTION, /* .key is its name; what is in it is left out without a word */
        LINE_NO_SECTION,      /* an assignment before the first section */
        LINE_NO_EQUALS,
        LINE_NO_KEY,
};

struct settings_line {
        enum settings_line_kind kind;
        unsigned number;     /* from 1; of a continued line, that of its last part */
        const char *section; /* one of those that the caller gave; NULL if there is none */
        const char *key;     /* of an assignment: not empty */
        const char *value;   /* of an assignment: may be empty */
};

/* Far more than anybody writes by hand; a file beyond that is there to cost time. */
#define SETTINGS_FILE_MAX ((size_t) 1024 * 1024)
#define SETTINGS_LINES_MAX 8192

struct settings_file {
        struct settings_line *lines;
        size_t n;
        char *text; /* the strings of the lines are in it */
};

void settings_file_done(struct settings_file *file);

/*
 * Takes @bytes apart. @sections is a NULL-terminated list of those that are known; the lines refer
 * to its strings. @path is for messages only. Time and memory grow with @size, not faster.
 *
 * Returns 0, or with a sentence: -EBADMSG (a section's name without its bracket), -EILSEQ (not
 * UTF-8), -EFBIG (too long, or too many lines), -ENOMEM. A file with one such line is not used at
 * all, since nobody knows what the rest was meant for.
 */
int settings_file_parse(const char *path, const char *bytes, size_t size,
                        const char *const *sections, struct settings_file *ret,
                        struct failure *failure);
