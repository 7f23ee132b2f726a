/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/net-plan.h"

/*
 * Reads what the plan has to know. Nothing is changed, the lease is the one that the machine would get now,
 * and it is not looked whether a network has to move to another subnet. What is not needed is not read.
 */
int net_facts_read(const struct net_config *config, const char *machine, struct net_facts *ret,
                   struct failure *failure);

/* Takes the lease, of facts with NET_MANAGER_US. It may be another than the one that was read. */
int net_facts_take_lease(const struct net_config *config, const char *machine,
                         struct net_facts *facts, struct failure *failure);

/*
 * Who manages a link of this name of ours (a veth end "ve-…", a zone's bridge "vz-…"), before it is
 * there: NET_MANAGER_NETWORKD where systemd-networkd runs and has a .network file for it,
 * NET_MANAGER_NETWORKMANAGER where NetworkManager runs and a profile of its names it, else
 * NET_MANAGER_NONE.
 */
enum net_manager net_manager_of(const char *link);

/* The program that gives names and addresses: that of the configuration (pool.h), or the first in root's usual
 * path. -ENOENT: none is there, or it is switched off. */
#define DNSMASQ_PATH_SIZE 4096
int net_dnsmasq_find(const struct net_pools *pools, char ret[DNSMASQ_PATH_SIZE]);

/* Whether $SYSTEMD_NET_NAMING_SCHEME (NULL: it is not set) is older than v245, which brought the shortened
 * names. Pure. */
bool naming_scheme_is_old(const char *scheme);
