/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "netsetup/net-config.h"

/* What a keeper leaves behind, and how that goes. For keepers; others call keeper_sweep(). */

/* Puts back the sysctls, takes away the routes, and removes the files. The caller knows that no other
 * keeper runs. Returns the number of things that were put right; goes on after a failure, and returns the
 * first one. */
int keeper_clear(struct failure *failure);

/* Removes the folders of NETWORK_RUN_FOLDER with all that is in them. Returns how many there were. */
int keeper_remove_files(void);

/* Removes bridges of zones that are empty, and from @zones the names of those that are gone. True: none is
 * left. */
bool keeper_sweep_zones(char ***zones);

/* The route to nowhere of a network: addresses that no machine has do not leave the host. Adding one that
 * is there is fine, removing one that is not, too. */
int keeper_route_add(const struct net_address *prefix, struct failure *failure);
int keeper_route_remove(const struct net_address *prefix, struct failure *failure);

/* Has the kernel tell everybody of an address that the link has already. */
void keeper_address_announce(const char *link, const struct net_address *a);
