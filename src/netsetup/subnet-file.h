/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/lock.h"
#include "netsetup/pool.h"

/*
 * The file FOLDER/NETWORK/subnet, which says the subnet that a network has: PREFIX4= and PREFIX6=. It is
 * in the folders of leases, and in the keeper's of networks that have members.
 */

/* Returns whether there is one that makes sense. */
bool subnet_file_read(const char *folder, const char *network, struct net_address *ret4,
                      struct net_address *ret6);

/* Adds those of all networks but @network. Returns 0 or a negative errno. */
int subnet_file_read_others(const char *folder, const char *network, struct net_busy *busy);

/* Makes the folder of the network, and keeps others from choosing a subnet until the lock is gone. */
int subnet_file_lock(const char *folder, const char *network, struct lock_file *ret);

/* Writes it, at once. */
int subnet_file_write(const char *folder, const char *network, const struct net_address *prefix4,
                      const struct net_address *prefix6);

/* The text of the file; pure. Returns whether it makes sense. */
bool subnet_file_parse(const char *text, size_t size, struct net_address *ret4,
                       struct net_address *ret6);
