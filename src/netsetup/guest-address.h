/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/net-config.h"

/*
 * Which of a container's addresses published ports lead to, where we did not give it one: the best
 * of any of its interfaces, with a scope wider than link. What a container says of itself is only
 * believed about itself.
 */
struct guest_address {
        struct net_address address;
        unsigned char scope; /* RT_SCOPE_… */
        uint32_t flags;      /* IFA_F_… */
        int ifindex;
};

/* Whether @a can be reached from outside of its link, and is not on its way in or out. Pure. */
bool guest_address_is_usable(const struct guest_address *a);

/* Whether usable @a is a better target than usable @b: permanent ones before those that will be
 * gone, lower interface numbers and addresses first, so that the choice does not depend on an
 * order. Pure. */
bool guest_address_is_better(const struct guest_address *a, const struct guest_address *b);

/* Follows the addresses of the network namespace that it was opened in. */
struct guest_watch;

int guest_watch_open(struct guest_watch **ret);
void guest_watch_close(struct guest_watch *watch);
int guest_watch_fd(const struct guest_watch *watch);

/* Reads what there is; never waits. Returns 1 if it is known anew which addresses are the best,
 * else 0 or a negative errno. */
int guest_watch_dispatch(struct guest_watch *watch);

/* .family 0: none. */
void guest_watch_best(const struct guest_watch *watch, struct net_address *ret4,
                      struct net_address *ret6);
