/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Until the parts are there: nothing is managed, and links cannot be made. */

#include <errno.h>
#include <sys/socket.h>

#include "netsetup/net-facts.h"
#include "netsetup/net-run.h"

int net_run_host(struct net_run *run, const struct net_plan *plan, pid_t leader,
                 struct failure *failure)
{
        (void) run, (void) plan, (void) leader;
        return failure_set(failure, -EOPNOTSUPP, "Links are not built yet.");
}

int net_run_guest(const struct net_plan *plan, struct failure *failure)
{
        (void) plan, (void) failure;
        return -EOPNOTSUPP;
}

void net_run_done(struct net_run *run)
{
        (void) run;
}

int net_facts_read(const struct net_config *config, const char *machine, bool dry_run,
                   struct net_facts *ret, struct failure *failure)
{
        (void) config, (void) machine, (void) dry_run, (void) failure;
        *ret = (struct net_facts){ .manager = NET_MANAGER_NONE };
        return 0;
}

void net_lease_forget(const char *network, const char *machine)
{
        (void) network, (void) machine;
}
