/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/* Tells when somebody else changes the host's packet filter, by nft or by iptables on top of it.
 * Old iptables tells nobody. */
struct port_rules;

int port_rules_open(struct port_rules **ret);
void port_rules_close(struct port_rules *rules);
int port_rules_fd(const struct port_rules *rules);

/* Whether chains or rules of tables that are not ours came, went or changed. Never waits. */
bool port_rules_dispatch(struct port_rules *rules);
