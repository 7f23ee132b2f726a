/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "nspawn/config.h"
#include "nspawn/facts.h"

/* What an ephemeral start runs on. Pure: decided from configuration and facts. */

/* Where the throw-away tree or layer is made, and why there. */
enum ephemeral_place {
        EPHEMERAL_BESIDE, /* in the directory that the tree is in */
        EPHEMERAL_INSIDE, /* in the tree: a snapshot has to be in its file system, and "/" has no beside */
        EPHEMERAL_GIVEN, /* --ephemeral-directory= */
};

struct ephemeral_facts {
        bool is_subvolume;     /* the tree is a subvolume of btrfs */
        bool place_has_mount;  /* the tree's and the place's files are in one mount */
        bool place_shares;     /* the place's file system lets files share blocks */
        const char *not_upper; /* why no overlay's layer can be in the place; NULL: it can */
        enum ephemeral_place place;
};

struct ephemeral_plan {
        enum ephemeral_method method; /* EPHEMERAL_NONE: it is no ephemeral start */
        enum ephemeral_place place;
        const char *reason;
};

/* Returns 0, or a negative errno and a sentence. */
int ephemeral_plan_build(const struct container_config *c, const struct tree_facts *tree,
                         const struct ephemeral_facts *facts, struct ephemeral_plan *ret,
                         struct failure *failure);

const char *ephemeral_place_name(enum ephemeral_place place);
