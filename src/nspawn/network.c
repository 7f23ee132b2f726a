/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "nspawn/network.h"

#include <stdio.h>
#include <string.h>

#include "basic/channel.h"
#include "basic/log.h"

int machine_network_look(struct machine_network *n, const struct net_config *config,
                         const char *machine, struct failure *failure)
{
        return net_config_is_private(config) ? net_facts_read(config, machine, &n->facts, failure)
                                             : 0;
}

static bool same_address(const struct net_address *a, const struct net_address *b)
{
        return a->prefix == b->prefix && net_address_equals(a, b);
}

static bool same_lease(const struct net_lease *a, const struct net_lease *b)
{
        return same_address(&a->address4, &b->address4) &&
               same_address(&a->address6, &b->address6) &&
               same_address(&a->subnet.gateway4, &b->subnet.gateway4) &&
               same_address(&a->subnet.gateway6, &b->subnet.gateway6);
}

int machine_network_take(struct machine_network *n, const struct net_plan *plan,
                         const struct net_config *config, bool passes, struct failure *failure)
{
        const struct net_lease seen = n->facts.lease;
        int r;

        if (plan->manager != NET_MANAGER_US)
                return 0;
        r = net_facts_take_lease(config, plan->machine, &n->facts, failure);
        if (r < 0)
                return r;
        n->has_lease = true;
        n->lease_passes = passes;
        (void) snprintf(n->network, sizeof(n->network), "%s", plan->network);
        return !same_lease(&seen, &n->facts.lease);
}

/* Without the keeper a machine has its addresses, but neither names nor a way out. What was asked for in
 * particular has to be there. */
static bool can_do_without(const struct net_plan *plan)
{
        return plan->n_ports == 0 && !plan->isolate;
}

static int join(struct machine_network *n, const struct net_plan *plan, int leader_pidfd,
                struct failure *failure)
{
        struct failure why = { .error = 0 };

        if (keeper_join(plan, leader_pidfd, &n->keeper, &why) >= 0)
                return 0;
        if (!can_do_without(plan))
                return failure_set(failure, why.error, "%s", why.text);
        log_warning("%s", why.text); /* also with --quiet: it has no way out */
        return 0;
}

int machine_network_join(struct machine_network *n, const struct net_plan *plan,
                         struct failure *failure)
{
        return plan->manager == NET_MANAGER_US ? join(n, plan, -1, failure) : 0;
}

int machine_network_wait(struct machine_network *n, const struct net_plan *plan, int leader_pidfd,
                         struct failure *failure)
{
        char notice[CHANNEL_MAX_TEXT] = "";
        struct failure why = { .error = 0 };
        int r = 0;

        /* An address that others give is looked for inside, anew for each boot. */
        if (plan->manager != NET_MANAGER_US && plan->n_ports > 0) {
                keeper_leave(&n->keeper);
                r = join(n, plan, leader_pidfd, failure);
        }
        if (r < 0 || n->keeper.fd < 0 || n->keeper.ready)
                return r;
        r = keeper_wait(&n->keeper, plan, notice, sizeof(notice), &why);
        if (r < 0 && !can_do_without(plan))
                return failure_set(failure, r, "%s", why.text);
        if (r < 0)
                log_warning("%s", why.text);
        else if (notice[0])
                log_message(LOG_LEVEL_NOTICE, "%s", notice);
        return 0;
}

void machine_network_dispatch(struct machine_network *n, const struct net_plan *plan,
                              const char *line_end)
{
        char notice[CHANNEL_MAX_TEXT] = "";

        (void) keeper_dispatch(&n->keeper, plan, notice, sizeof(notice));
        if (notice[0])
                log_message(LOG_LEVEL_NOTICE, "%s%s", notice, line_end);
}

void machine_network_done(struct machine_network *n, const char *machine)
{
        keeper_leave(&n->keeper);
        if (n->has_lease && n->lease_passes)
                net_lease_forget(n->network, machine);
        n->has_lease = false;
}
