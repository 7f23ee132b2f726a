/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/strbuf.h"
#include "netsetup/keeper-message.h"

/*
 * What running machines have of the network, for those who show it. The keeper writes a file for each
 * machine with addresses of ours, or with published ports; nobody has to be asked. @folder is
 * NETWORK_RUN_MACHINES.
 */

/* Returns 0, or with a sentence: -ENOENT (the machine has nothing of that kind, or does not run),
 * -EINVAL (that is no name of a machine) or what went wrong. The caller calls
 * keeper_request_done(). */
int net_machine_read(const char *folder, const char *machine, struct keeper_request *ret,
                     struct failure *failure);

/* Names of all that have a file, sorted; none is no failure. The caller frees the list. 0 or a
 * negative errno. */
int net_machine_list(const char *folder, char ***ret);

/* In lines for people, "Address: 10.0.0.2/18". */
void net_machine_print(const struct keeper_request *machine, struct strbuf *out);
