/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"

/*
 * The host forwards packets while there are managed networks. Which sysctls were changed for that, and what
 * they were, is in a file before anything is changed, so that they can be put back by whoever finds it.
 */
#define FORWARDING_RECORD "sysctls"

/* What of it was off. */
struct forwarding {
        bool ipv4_was_off, ipv6_was_off;
};

/*
 * Looks what has to be changed; changes nothing. With ".ipv4_was_off" or the other the caller first sees to
 * it that nothing but its own is forwarded, and then calls forwarding_enable().
 */
void forwarding_read(struct forwarding *ret);

/*
 * Switches forwarding on, for IPv6 if the host has it. Interfaces that listen to router advertisements go on
 * doing so (accept_ra=2), but never links of ours: a guest is no router. @run_folder_fd is where the record is.
 */
int forwarding_enable(int run_folder_fd, struct failure *failure);

/*
 * Puts back what the record says, unless somebody else has changed it since, and removes the record. Returns
 * the number of sysctls, 0 if there is no record, or a negative errno with a sentence.
 */
int forwarding_put_back(int run_folder_fd, struct failure *failure);
