/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "basic/log.h"
#include "netsetup/keeper-server.h"
#include "netsetup/port-service.h"

/* Published ports: port-service.h in the keeper's loop. */

static int on_event(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
        struct keeper *k = userdata;

        (void) source;
        (void) fd;
        (void) events;
        port_service_dispatch(k->ports);
        return 0;
}

static int open_service(struct keeper *k, struct failure *failure)
{
        int r;

        if (k->ports)
                return 0;
        r = port_service_open(k->firewall, &k->ports, failure);
        if (r < 0) {
                k->ports = NULL;
                return r;
        }
        r = sd_event_add_io(k->event, &k->ports_source, port_service_fd(k->ports), EPOLLIN,
                            on_event, k);
        return r < 0 ? failure_set(failure, r, "Cannot watch the port proxies: %s.", error_text(r))
                     : 0;
}

void keeper_close_ports(struct keeper *k)
{
        k->ports_source = sd_event_source_disable_unref(k->ports_source);
        if (k->ports)
                port_service_close(k->ports);
        k->ports = NULL;
}

static void on_ready(void *data, const struct failure *failure)
{
        struct member *m = data;

        m->waits_for_ports = false;
        if (failure) {
                m->has_ports = false;
                member_fail(m, failure->error, failure->text);
        }
        member_check_ready(m);
}

int member_ports_start(struct member *m, struct failure *failure)
{
        struct keeper *k = m->keeper;
        struct firewall_member rules;
        int r = open_service(k, failure);

        if (r < 0)
                return r;
        member_rules(m, &rules);
        r = port_service_add(k->ports, &rules, m->leader_pidfd, on_ready, m, failure);
        m->has_ports = m->waits_for_ports = r >= 0;
        return r;
}

void member_ports_stop(struct member *m)
{
        if (m->has_ports)
                port_service_remove(m->keeper->ports, m->request.machine);
        m->has_ports = m->waits_for_ports = false;
}
