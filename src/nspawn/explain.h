/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/macro.h"

/*
 * What to do about an error: the last sentences of a message, which name the cause that the error's
 * number alone does not tell, and the cure. They begin with a space, so that they can stand behind
 * the full stop, and are empty where nothing is known. Nothing here is looked at before something has
 * failed. Facts are read by one function, and told by another, which is pure.
 */

#define EXPLAIN_MAX 384
#define PROGRAM_HEAD_MAX 4096
#define PROGRAM_NAME_MAX 128

enum program_kind {
        PROGRAM_MISSING,
        PROGRAM_DIRECTORY,
        PROGRAM_SPECIAL, /* a device, a FIFO, … */
        PROGRAM_SECRET,  /* it is there, but we may not read it */
        PROGRAM_EMPTY,
        PROGRAM_ELF,
        PROGRAM_SCRIPT,
        PROGRAM_OTHER, /* text without "#!", or anything else */
};

/* What a program is, and what it needs to be started. */
struct program {
        enum program_kind kind;
        bool may_execute; /* somebody may, by its mode */
        bool noexec;      /* its file system is mounted so */
        unsigned machine; /* ELF: e_machine */
        bool is_64, is_big_endian;
        char needs
                [PROGRAM_NAME_MAX]; /* the dynamic loader, or the interpreter of a script; or "" */
        bool has_needs;             /* that is there */
};

/* Finds .kind and what follows from the first bytes of a regular file. Pure. */
void program_read_head(const unsigned char *head, size_t size, struct program *p);

/* Why starting @path failed with @error. @other, for a script, is its interpreter; else NULL. Pure. */
void program_explain(const char *path, const struct program *p, const struct program *other,
                     int error, char text[EXPLAIN_MAX]);

/* The same, of the program at @path as the caller sees it. */
void explain_program(const char *path, int error, char text[EXPLAIN_MAX]);

/* Whose machine code an ELF file has, "aarch64"; NULL: one that we have no name for. Pure. */
const char *machine_name_of(unsigned machine, bool is_64, bool is_big_endian);

/* What there is of namespaces, as CLONE_NEW*. */
struct namespace_kinds {
        uint64_t missing;   /* the kernel does not have them */
        uint64_t forbidden; /* none may be made: their limit is 0 */
};

/* Why @namespaces could not be made, if it is not the sandbox that we are in. Pure. */
void namespaces_explain(const struct namespace_kinds *kinds, uint64_t namespaces, int error,
                        char text[EXPLAIN_MAX]);

/* The same with what is found out now, also about the sandbox. */
void explain_namespaces(uint64_t namespaces, int error, char text[EXPLAIN_MAX]);

/* For what is written to a file system: it is full, or read-only, or a quota is. Pure; a constant. */
const char *storage_hint(int error);

/*
 * The machine whose supervisor is process @pid, by the group of its first process. "" if it has none
 * that is named after its machine. @text has the contents of /proc/PID/cgroup of that process. Pure.
 */
void machine_of_cgroup(const char *text, char machine[PROGRAM_NAME_MAX]);
void machine_of_supervisor(pid_t pid, char machine[PROGRAM_NAME_MAX]);
