/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/id128.h"
#include "nspawn/config.h"
#include "nspawn/facts.h"

/*
 * How the journal of the container gets into /var/log/journal of the host, where journalctl -m finds
 * it: by a link to the container's folder, or by a folder of the host that is shown inside. Both are
 * called by the container's machine id.
 */

#define JOURNAL_FOLDER "/var/log/journal"
#define JOURNAL_PATH_SIZE (sizeof(JOURNAL_FOLDER) + ID128_TEXT_SIZE)

enum journal_entry { JOURNAL_NOTHING, JOURNAL_LINK, JOURNAL_DIRECTORY, JOURNAL_OTHER };

struct journal_facts {
        bool known;      /* else nothing was looked at, and nothing is to be done */
        bool is_host_id; /* the host has the same machine id */
        bool has_folder; /* the host keeps journals */
        bool is_mounted; /* something is mounted at one of the two places */
        enum journal_entry entry;
};

enum journal_way { JOURNAL_OFF, JOURNAL_OF_GUEST, JOURNAL_OF_HOST };

struct journal_plan {
        enum journal_way way;
        bool try;             /* what cannot be done is left out */
        bool is_covered;      /* the tree's own folder will not be seen */
        const char *left_out; /* why nothing is done, if that is worth a word */
        char path[JOURNAL_PATH_SIZE];
};

/* Looks at the place for @id on the host, if the configuration leaves anything to be decided by it.
 * @id_is_new: it was drawn for this start. */
int journal_facts_read(const struct container_config *c, const struct tree_facts *tree,
                       const struct id128 *id, bool id_is_new, struct journal_facts *ret,
                       struct failure *failure);

/* Pure. Returns 0, or a negative errno and a sentence. */
int journal_plan_build(const struct container_config *c, const struct journal_facts *facts,
                       const struct id128 *id, struct journal_plan *ret, struct failure *failure);

/* Makes folders and link; in the tree only if it is @writable. @owner is the id on disk of the container's root. */
int journal_plan_run(const struct journal_plan *plan, const struct tree_facts *tree, bool writable,
                     uid_t owner, struct failure *failure);

const char *journal_way_name(enum journal_way way);
