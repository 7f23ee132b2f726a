/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <stdio.h>
#include <syslog.h>

#include "netsetup/keeper-server.h"

/* The rules of machines, if the host has a firewall. */

void keeper_open_firewall(struct keeper *k)
{
        struct failure failure = { .error = 0 };

        if (k->firewall || k->firewall_problem[0])
                return;
        if (firewall_open(&k->firewall, &failure) >= 0)
                return;
        k->firewall = NULL;
        (void) snprintf(k->firewall_problem, sizeof(k->firewall_problem), "%s", failure.text);
}

void member_rules(const struct member *m, struct firewall_member *ret)
{
        const struct keeper_request *q = &m->request;

        *ret = (struct firewall_member){ .machine = q->machine,
                                         .address4 = q->address4,
                                         .address6 = q->address6,
                                         .others = q->others,
                                         .n_others = q->n_others,
                                         .isolate = q->isolate,
                                         .ports = q->ports,
                                         .n_ports = q->n_ports };
        memcpy(ret->link, q->link, sizeof(ret->link));
        memcpy(ret->bridge, q->bridge, sizeof(ret->bridge));
        memcpy(ret->mac, q->mac, sizeof(ret->mac));
}

int member_rules_add(struct member *m, struct failure *failure)
{
        struct keeper *k = m->keeper;
        struct firewall_member rules;
        int r;

        if (!m->request.link[0])
                return 0;
        if (!k->firewall && m->request.isolate)
                return failure_set(failure, -EOPNOTSUPP, "%s", k->firewall_problem);
        if (!k->firewall) {
                member_problem(m, k->firewall_problem);
                return 0;
        }
        member_rules(m, &rules);
        r = firewall_add(k->firewall, &rules, failure);
        m->has_rules = r >= 0;
        return r;
}

void member_rules_remove(struct member *m)
{
        struct failure failure = { .error = 0 };
        struct firewall_member rules;

        if (!m->has_rules)
                return;
        member_rules(m, &rules);
        if (firewall_remove(m->keeper->firewall, &rules, &failure) < 0)
                syslog(LOG_WARNING, "%s", failure.text);
        m->has_rules = false;
}
