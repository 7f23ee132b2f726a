/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/firewall.h"

/*
 * The published ports of all of the host's machines, in the keeper: a proxy for each machine,
 * started again when it dies; the decision whether the kernel or the proxy takes connections from
 * other hosts, made anew all the time (port-health.h); the addresses of machines that get theirs
 * from elsewhere.
 *
 * It has one descriptor, which any loop can wait for. Nothing here waits itself, except for the end
 * of a process that was killed. What people ought to know goes to the system log.
 */
struct port_service;

/* @fw is borrowed; NULL: there is no firewall, all ports are the proxies'. */
int port_service_open(struct firewall *fw, struct port_service **ret, struct failure *failure);
void port_service_close(struct port_service *service);

/* Readable: call port_service_dispatch(). */
int port_service_fd(const struct port_service *service);
void port_service_dispatch(struct port_service *service);

/*
 * Publishes the ports of machine @m, whose rules firewall_add() has made if it has an address of
 * ours. @m is copied. @leader_fd is a pidfd of the machine's first process; it is needed, and then
 * copied, where @m has no address or no link. Without an address its own is found out and followed,
 * and rules for its ports are made here, if the link is no port of a bridge: then only that bridge's
 * owner knows how the machine comes back to itself. Without a link only the proxy can reach it.
 *
 * @ready is called once, from port_service_dispatch(): the ports are bound, with failure NULL, or
 * they are not, with a sentence that names the port and who has it; then the machine was forgotten
 * already. It may add and remove machines. Not called for a machine that was removed before.
 */
int port_service_add(struct port_service *service, const struct firewall_member *m, int leader_fd,
                     void (*ready)(void *data, const struct failure *failure), void *data,
                     struct failure *failure);

/* The machine is named by .machine; one that is not known is fine. */
void port_service_remove(struct port_service *service, const char *machine);

/* For the status of a machine: whether the kernel redirects its ports now. */
bool port_service_is_by_kernel(const struct port_service *service, const char *machine);
