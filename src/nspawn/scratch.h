/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"

/*
 * Directories that live as long as a start of a container: temporary ones for mounts that were
 * asked for without a source, all in one folder, and the work directories of overlays, beside
 * their upper layers. Locks tell that somebody lives who needs them: what is left by a supervisor
 * that was killed is found without one, by the next start that makes such a folder, or that uses
 * the same upper layer.
 */

#define SCRATCH_PLACE "/var/tmp"
#define SCRATCH_PREFIX "stead-temp-"

struct scratch_work {
        int parent_fd; /* where it is in */
        int fd;        /* itself, locked */
        char *name;
};

struct scratch {
        char *name; /* of the folder in SCRATCH_PLACE */
        int place_fd;
        int fd; /* the folder, locked; -1: none */
        struct scratch_work *works;
        size_t n_works;
};

#define SCRATCH_NULL                                                                               \
        {                                                                                          \
                .place_fd = -1, .fd = -1                                                           \
        }

/* Removes what others left behind, and makes the folder with @n directories that are called "0"
 * and so on, of mode 0755 and owned by @owner. */
int scratch_make(struct scratch *s, const char *machine, size_t n, uid_t owner,
                 struct failure *failure);

/*
 * The work directory for the upper layer @name below @parent_fd, which is copied. Returns its name,
 * borrowed, in @ret_name. -EBUSY: somebody else uses the same upper layer.
 */
int scratch_add_work(struct scratch *s, int parent_fd, const char *name, const char **ret_name);

/* Removes everything; says so when something cannot be removed. Accepts an empty one. */
void scratch_done(struct scratch *s);
