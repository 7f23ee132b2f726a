/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/net-plan.h"

/* Reads what the plan has to know; with @dry_run nothing is changed, not even a lease. */
int net_facts_read(const struct net_config *config, const char *machine, bool dry_run,
                   struct net_facts *ret, struct failure *failure);

/*
 * Who manages a link of this name of ours (a veth end "ve-…", a zone's bridge "vz-…"), before it is
 * there: NET_MANAGER_NETWORKD where systemd-networkd runs and has a .network file for it,
 * NET_MANAGER_NETWORKMANAGER where NetworkManager runs and a profile of its names it, else
 * NET_MANAGER_NONE.
 */
enum net_manager net_manager_of(const char *link);
