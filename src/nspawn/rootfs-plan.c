/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Which way an ephemeral start goes. What counts is the time until the first process runs, and the
 * space that is taken until the end: a snapshot and a layer take none of both, whatever the size of
 * the tree. Copies that share their blocks take time for each file, and a full copy takes both, so
 * nobody gets it who has not asked for it.
 */

#include "nspawn/rootfs-plan.h"

#include <errno.h>

#include "basic/idmap.h"

const char *ephemeral_place_name(enum ephemeral_place place)
{
        static const char *const names[] = { [EPHEMERAL_BESIDE] = "beside the tree",
                                             [EPHEMERAL_INSIDE] = "inside the tree",
                                             [EPHEMERAL_GIVEN] = "--ephemeral-directory=" };

        static_assert(ARRAY_SIZE(names) == EPHEMERAL_GIVEN + 1, "every place has a name");
        return names[place];
}

/* Why the tree cannot be shown below a layer; NULL: it can. */
static const char *why_no_overlay(const struct container_config *c,
                                  const struct ephemeral_facts *facts)
{
        if (c->ownership == OWNERSHIP_CHOWN)
                return "--private-users-ownership=chown would copy all files into the layer";
        if (c->pivot_old)
                return "--pivot-root= shows the tree a second time, without the layer";
        return facts->not_upper;
}

static const char *why_no_snapshot(const struct ephemeral_facts *facts)
{
        if (!facts->is_subvolume)
                return "the tree is not a subvolume of btrfs";
        return facts->place_has_mount ? NULL
                                      : "--ephemeral-directory= is not in the tree's file system";
}

static int decide_automatically(const struct container_config *c, const struct tree_facts *tree,
                                const struct ephemeral_facts *facts, struct ephemeral_plan *ret,
                                struct failure *failure)
{
        const char *no_overlay = why_no_overlay(c, facts);

        if (!why_no_snapshot(facts)) {
                ret->method = EPHEMERAL_SNAPSHOT;
                ret->reason = "the tree is a subvolume of btrfs";
        } else if (config_tree_is_read_only(c)) {
                ret->method = EPHEMERAL_VIEW;
                ret->reason = "nothing of the tree can be changed";
        } else if (!no_overlay) {
                ret->method = EPHEMERAL_OVERLAY;
                ret->reason = why_no_snapshot(facts);
        } else if (facts->place_shares) {
                ret->method = EPHEMERAL_REFLINK;
                ret->reason = no_overlay;
        } else
                return failure_set(
                        failure, -EOPNOTSUPP,
                        "Cannot start '%s' without changing it (--ephemeral): %s, and %s. "
                        "Use --ephemeral-directory= with a directory elsewhere, "
                        "--ephemeral-method=copy for a full copy, or "
                        "--volatile=overlay.",
                        tree->path, why_no_snapshot(facts), no_overlay);
        return 0;
}

int ephemeral_plan_build(const struct container_config *c, const struct tree_facts *tree,
                         const struct ephemeral_facts *facts, struct ephemeral_plan *ret,
                         struct failure *failure)
{
        const char *why_not = NULL;

        *ret = (struct ephemeral_plan){ .method = EPHEMERAL_NONE };
        if (!c->ephemeral)
                return 0;
        ret->method = c->ephemeral_method;
        ret->place = facts->place;
        ret->reason = "--ephemeral-method=";
        if (ret->method == EPHEMERAL_AUTO)
                return decide_automatically(c, tree, facts, ret, failure);
        if (ret->method == EPHEMERAL_SNAPSHOT)
                why_not = why_no_snapshot(facts);
        else if (ret->method == EPHEMERAL_OVERLAY)
                why_not = why_no_overlay(c, facts);
        return why_not ? failure_set(failure, -EOPNOTSUPP,
                                     "Cannot use --ephemeral-method=%s for '%s': %s. Use another "
                                     "method.",
                                     ephemeral_method_name(ret->method), tree->path, why_not)
                       : 0;
}
