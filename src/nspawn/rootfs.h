/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/lock.h"
#include "nspawn/plan.h"

/*
 * Trees that are made before a start, and taken away after it: the throw-away tree or layer of an
 * ephemeral start, and a tree that is made from a template.
 *
 * Both have a name of their own beside the tree that they belong to,
 *
 *      .#machine.NAME0123456789abcdef         the tree, or a directory with the layer
 *      .#.#machine.NAME0123456789abcdef.lck   its lock
 *
 * The lock is there before the tree, is held as long as its maker lives, and goes after it. So a tree
 * whose lock nobody holds is a leftover, and one without a lock is not ours.
 */

#define EPHEMERAL_SUFFIX_SIZE 17 /* 16 digits and a NUL byte */

/* Digits that nobody has drawn before. Returns 0 or a negative errno. */
int ephemeral_suffix_draw(char suffix[EPHEMERAL_SUFFIX_SIZE]);

/* NAME-SUFFIX, with a shorter NAME if need be; the caller frees it, NULL when memory runs out. */
char *ephemeral_machine_name(const char *name, const char *suffix);

/* Looks at the tree and at the place for what is thrown away. 0, or a negative errno and a sentence. */
int ephemeral_facts_read(const struct container_config *c, const struct tree_facts *tree,
                         struct ephemeral_facts *ret, struct failure *failure);

/* A tree that is being made, or used, under such a name. */
struct passing_tree {
        struct lock_file lock;
        int folder_fd;
        char *name;   /* NULL: there is none */
        char *folder; /* of folder_fd, for messages */
};

#define PASSING_TREE_NULL                                                                          \
        {                                                                                          \
                .lock = LOCK_FILE_NULL, .folder_fd = -1                                            \
        }

/*
 * Makes what @plan says, with @suffix in its name; @tree is that of the original before, and what is
 * to be run afterwards. Leftovers of the same tree go before.
 */
int ephemeral_make(const struct container_config *c, const struct ephemeral_plan *plan,
                   const char *suffix, struct tree_facts *tree, struct passing_tree *ret,
                   struct failure *failure);

/* Removes it, with a warning if that fails. Accepts an empty one. */
void passing_tree_done(struct passing_tree *p);

/* Makes the tree at @path from the template. 0 and a sentence for @info about what was done; it
 * is no failure that the tree is there by now. */
int template_populate(const struct container_config *c, const char *path, struct failure *failure,
                      char *info, size_t info_size);

/* Removes what dead launchers left of the tree @base in @folder_fd, and of machines that were called
 * @machine with the same end. The number of trees; or a negative errno and a sentence. Those that could
 * not be removed, which has been told, are added to @stayed. */
int leftovers_remove(int folder_fd, const char *folder, const char *base, const char *machine,
                     unsigned *stayed, struct failure *failure);

/* Takes the folder away through which mounts get into a machine, and what others left of it.
 * Whether there was any of that. */
bool leftovers_remove_machine(const char *machine);
