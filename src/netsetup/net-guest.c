/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The executor on the guest's side, in its network namespace. */

#include <errno.h>
#include <linux/rtnetlink.h>

#include "basic/log.h"
#include "netsetup/link.h"
#include "netsetup/net-run.h"
#include "netsetup/netsetup.h"

/* The first interface of every network namespace. */
#define LOOPBACK_INDEX 1

static bool needs_set_up(const struct net_link *link)
{
        return link->guest_up || link->n_addresses > 0;
}

static int set_up(struct netlink *nl, const struct net_plan *plan, struct netlink_link *found,
                  struct failure *failure)
{
        int r;

        netlink_request_link(nl, RTM_SETLINK, 0, LOOPBACK_INDEX, IFF_UP, IFF_UP,
                             "bring the loopback interface up", NULL);
        for (size_t i = 0; i < plan->n_links; i++)
                if (needs_set_up(&plan->links[i]))
                        netlink_ask_link(nl, 0, plan->links[i].guest, &found[i]);
        r = netlink_commit(nl, failure);
        for (size_t i = 0; r >= 0 && i < plan->n_links; i++) {
                const struct net_link *link = &plan->links[i];

                if (!needs_set_up(link))
                        continue;
                if (found[i].index == 0)
                        return failure_set(failure, -ENODEV,
                                           "The container's interface '%s' is not there.",
                                           link->guest);
                guest_end_set_up(nl, found[i].index, link);
        }
        return r < 0 ? r : netlink_commit(nl, failure);
}

int net_run_guest(const struct net_plan *plan, struct failure *failure)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct netlink_link *found CLEANUP_FREE = NULL;
        bool any = false;
        int r;

        for (size_t i = 0; i < plan->n_links; i++)
                any |= needs_set_up(&plan->links[i]);
        if (!any) {
                /* Two system calls less than a conversation, paid by each start with just a loopback. */
                r = loopback_up();
                return r < 0 ? failure_set(failure, r,
                                           "Cannot bring the loopback interface up: %s.",
                                           error_text(r))
                             : 0;
        }
        found = calloc(plan->n_links, sizeof(*found));
        if (!found)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        r = netlink_open(&nl, failure);
        return r < 0 ? r : set_up(&nl, plan, found, failure);
}
