/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"

/*
 * The numbers that machines have in one network, from 2 on: 0 is the network, 1 the gateway. They
 * are kept in files, as numbers and not as addresses, so that a network that has to move to
 * another subnet takes its machines along. In the folder of the network:
 *
 *   by-number/775 -> web     the claim: a symbolic link to the name, which is made with its content in
 *                            one call, and by one only
 *   by-name/web -> 775       where to look; only believed if the claim says the same
 *
 * Whoever is killed between the two leaves a claim that the same name finds again. The time of the
 * claim is when it was last used. An entry ".#…" is one that was being replaced.
 *
 * There are two such folders: where the first cannot be written, since the file system is read-only or
 * full, claims are made in the second, in /run. What either has is taken. Everybody who looks into a
 * folder has a shared lock on it; whoever takes a claim away from its owner has it alone.
 */

#define LEASE_FIRST_NUMBER 2U

/* A claim that is free for others if there is no other number left: unused for so long, and its
 * machine does not run. */
#define LEASE_REST_SECONDS (7L * 24 * 3600)

struct lease_folders {
        const char *state; /* "/var/lib/stead/network", borrowed */
        const char *spare; /* "/run/stead/network/leases", borrowed */
        /* Whether the machine runs; only asked when there is no number left. */
        bool (*is_used)(const char *machine);
};

struct lease_request {
        const char *network, *machine;
        uint32_t count;        /* numbers of the subnet: 16384; the last one is everybody's */
        uint32_t wanted;       /* this one and no other; 0: any */
        const uint32_t *avoid; /* not these */
        size_t n_avoid;
        bool dry_run; /* only say what it would be */
};

/*
 * The number that the machine has, or a new one. Costs the same, however many there are, until the
 * network is full. Returns 0, or with a sentence: -EADDRINUSE (the wanted one is another machine's),
 * -EADDRNOTAVAIL (there is none left), or what the file system said.
 */
int lease_number(const struct lease_folders *folders, const struct lease_request *request,
                 uint32_t *ret, struct failure *failure);

/* Gives the number of @machine back. */
void lease_drop(const struct lease_folders *folders, const char *network, const char *machine);

/* Whose number @number is, in @ret; "" for nobody's. Nothing is locked: for those who print. */
#define LEASE_NAME_SIZE 80
void lease_owner(const struct lease_folders *folders, const char *network, uint32_t number,
                 char ret[LEASE_NAME_SIZE]);

/* An error that says that nothing can be written there, now or ever. */
bool lease_is_unwritable(int error);
