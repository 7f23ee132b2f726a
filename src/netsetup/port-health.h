/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/macro.h"

/*
 * Whether the kernel's way of published ports works, for one machine: a state machine without
 * system calls.
 *
 * The evidence is the firewall's counters (firewall_count_ports()): connections that were
 * redirected, and those of them that got past everybody's forward chains. If some got lost in
 * between, another firewall drops them (policy drop of Docker's or ufw's), and the port proxy takes
 * over. A client notices nothing but that its first packet is sent again, after a second: the loss
 * is seen within PORT_HEALTH_LOOK_MS, confirmed by three more looks, and is acted upon well before
 * that. Real connections are the only probe: made-up ones would be seen by the machine's services,
 * and by whatever else counts or logs connections, and would prove nothing about packets with other
 * addresses.
 *
 * When the drop is gone cannot be seen while the proxy works; so from time to time, and soon after
 * somebody changed the host's rules, the kernel gets another try. If that fails, one client's first
 * packet was lost, and the next try is twice as far away. Who sends packets from outside that the
 * kernel drops for reasons of their own (a hop limit of 1) can bring a machine's ports to the
 * proxy, but no further.
 */

#define PORT_HEALTH_LOOK_MS 400
#define PORT_HEALTH_CONFIRM_MS 30
#define PORT_HEALTH_CONFIRMATIONS 3
#define PORT_HEALTH_FIRST_TRY_MS UINT64_C(30000)
#define PORT_HEALTH_LAST_TRY_MS UINT64_C(1800000)
/* Rules are changed in bursts. */
#define PORT_HEALTH_SETTLE_MS 1000
#define PORT_HEALTH_MIN_PROXY_MS 5000

enum port_action {
        PORT_ACTION_NONE,
        PORT_ACTION_TO_PROXY,  /* firewall_set_ports(false) */
        PORT_ACTION_TO_KERNEL, /* firewall_set_ports(true) */
};

struct port_health {
        bool by_kernel;
        uint64_t redirected, forwarded; /* the counters where the present look began */
        unsigned confirmed;
        uint64_t next_ms; /* when port_health_step() is due */
        uint64_t since_ms, try_after_ms;
};

/* @by_kernel: whether to begin with the kernel's way; false where other machines of the host were
 * seen to lose connections, which spares this one's first client the second. */
void port_health_init(struct port_health *h, bool by_kernel, uint64_t now_ms);

/* To be called when .next_ms is reached, with the counters: they begin with 0 when the machine
 * comes, and do not count while the proxy works. The caller carries out what is returned;
 * .by_kernel already says it. */
enum port_action port_health_step(struct port_health *h, uint64_t now_ms, uint64_t redirected,
                                  uint64_t forwarded);

/* The host's rules were changed, by whomever. May move .next_ms. */
void port_health_rules_changed(struct port_health *h, uint64_t now_ms);
