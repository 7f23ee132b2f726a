/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <systemd/sd-event.h>

#include "basic/failure.h"
#include "netsetup/keeper-message.h"
#include "netsetup/pool.h"

/*
 * One dnsmasq, for one network: names, DHCPv4, DHCPv6 and router advertisements. It runs without root, dies
 * with us, and is started again when it ends. All of it is in the keeper's event loop.
 */
struct names_service;

/* Something that people ought to know, one sentence. */
typedef void (*names_notice)(void *userdata, const char *text);

/*
 * @pools is borrowed. @folder is the network's own; what is in it is made here. That dnsmasq is not
 * installed or the port is in use is no failure: names_service_problem() says so.
 */
int names_service_start(sd_event *event, const char *folder, const char *network,
                        const char *interface, const struct net_subnet *subnet,
                        const struct net_pools *pools, names_notice notice, void *userdata,
                        struct names_service **ret, struct failure *failure);

/* Ends dnsmasq and waits for that; its files stay. Accepts NULL. */
void names_service_stop(struct names_service *service);

/* A machine comes or goes: its addresses can be asked for, or no longer. */
int names_service_add(struct names_service *service, const struct keeper_request *machine,
                      struct failure *failure);
void names_service_remove(struct names_service *service, const char *machine);

/* Whether it is to be expected that it answers questions, now or in a moment. */
bool names_service_has_dns(const struct names_service *service);

/* What it cannot do, a sentence; "" if there is nothing. Borrowed. */
const char *names_service_problem(const struct names_service *service);
