/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/idmap.h"
#include "basic/lock.h"
#include "nspawn/config.h"
#include "nspawn/facts.h"

/* How many times 65536 ids a container with others inside gets where there are enough. */
#define IDS_RANGES_MAX 16

/* The range of ids of a start, and what keeps it ours. */
struct ids {
        bool user_namespace;
        struct idmap map;
        struct lock_file range_locks[IDS_RANGES_MAX]; /* held while the container runs */
        size_t n_range_locks;
        struct lock_file password_lock; /* /etc/.pwd.lock, held until the container exists */
};

#define IDS_NULL                                                                                   \
        {                                                                                          \
                .password_lock = LOCK_FILE_NULL                                                    \
        }

/*
 * What can be said about the range without taking it: the base that would be tried first.
 * Returns 0 or a negative errno with a sentence.
 */
int ids_preview(const struct container_config *c, const struct host_facts *host,
                const struct tree_facts *tree, const char *machine, struct ids *ret,
                struct failure *failure);

/*
 * Decides the range and takes its locks. With pick: the tree owner's range, then the one that the
 * name hashes to, then random ones, until one is neither locked nor used by a user of the host.
 */
int ids_take(const struct container_config *c, const struct host_facts *host,
             const struct tree_facts *tree, const char *machine, struct ids *ret,
             struct failure *failure);

/* The container exists: nobody can pick the same range any more, so others may pick again. */
void ids_release_password_lock(struct ids *ids);
void ids_done(struct ids *ids);
