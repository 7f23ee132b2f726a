/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/lock.h"
#include "netsetup/net-plan.h"
#include "netsetup/nl.h"

/* What the parts of the executor share; net-run.h is for everybody else. */

/* One link that is made. */
struct link_work {
        struct netlink *nl; /* in the host's namespace */
        const struct net_link *link;
        const struct net_subnet *subnet; /* of the managed network; NULL: nobody needs it */
        const char *machine;
        pid_t leader; /* the guest's end is born in the network namespace of this child of ours, */
        int netns_fd; /* or, if not negative, in this one */
        struct failure *failure;
};

/* Adds the attributes that say where the guest's end lives. */
void link_put_namespace(const struct link_work *work);

/* Our marks on links of a machine, which nobody else gives them: whose guest lives, or has ended. */
#define LINK_ALIVE "stead:"
#define LINK_LEAVING "stead-leaving:"
const char *link_alias(const char *mark, const char *machine, char text[IFALIASZ]);
bool link_is_of(const struct netlink_link *link, const char *machine);
/* Removes it; waits for that, 20 milliseconds and more. */
void link_remove(struct netlink *nl, int index);

/* ---- addresses and routes (link-address.c) ---- */

/* Add requests to the batch; addresses are usable at once, without a look for duplicates. */
void address_add(struct netlink *nl, int index, const struct net_address *a);
/* The same without a broadcast address. */
void address_add_bare(struct netlink *nl, int index, const struct net_address *a);
/* The same, but the others of its prefix are elsewhere. */
void address_add_without_route(struct netlink *nl, int index, const struct net_address *a);
/* A route to one address, over the link, with our source address @from (.family 0: none). */
void route_add_host(struct netlink *nl, int index, const struct net_address *to,
                    const struct net_address *from);
void route_add_default(struct netlink *nl, int index, const struct net_address *gateway);

/* What the guest's end is given: addresses, state, default routes. */
void guest_end_set_up(struct netlink *nl, int index, const struct net_link *link);

/* The kernel need not make a link-local address, and look whether it is taken. */
void host_end_make_no_address(struct netlink *nl, int index);
/* Settings of a link of the host's that guests are behind and that has addresses; @per_guest: just one
 * guest, whose siblings are behind other links. Not yet up. */
void host_end_protect(struct netlink *nl, int index, bool per_guest);
/* What netlink cannot say: guests do not tell the host its routes. */
int host_end_ignore_routers(const char *name);

/* ---- kinds of links ---- */

/* The index of the host's end; a negative errno and nothing made on failure. @master: 0 or an index. */
int veth_make(const struct link_work *work, int master);

/* Links on top of one of the host's. Nothing of them is on the host. */
int macvlan_make(const struct link_work *work);
int ipvlan_make(const struct link_work *work);
/* Removes all of them from the namespace that @inside speaks with, if it is still there. */
void stacked_remove(struct netlink *inside);
/* Removes one of @kind on the host's interface @lower, and with the MAC address @mac if that is not NULL. */
bool stacked_remove_on(struct netlink *inside, const char *kind, int lower, const uint8_t *mac);

/* An existing bridge's index. */
int bridge_find(const struct link_work *work);

/* The index of the zone's bridge, which is made and given its addresses if need be. It does not go away
 * while @ret_lock is held. */
int zone_enter(const struct link_work *work, struct lock_file *ret_lock);
/* Port @port of @machine, which has ended (or "": one that lives has lost a port), leaves the zone @bridge (a
 * name); the bridge goes if there is no other. */
int zone_leave(struct netlink *nl, const char *bridge, int port, const char *machine);
/* Removes zones' bridges that killed supervisors, and that of @machine, left without others. Returns their
 * number. */
int zone_sweep(struct netlink *nl, const char *machine);

/* Moves an interface of the host's into the namespace @work->netns_fd. */
int moved_make(const struct link_work *work);
/* Gives those of @machine back, or just the one that was called @name, out of @netns_fd; negative: out of
 * what was kept of that namespace. Returns how many, or a negative errno if there is one that could not be
 * given back now. */
int moved_give_back(struct netlink *nl, const char *machine, const char *name, int netns_fd);

/* ---- any kind ---- */

/* The index of what is on the host, 0 if nothing is; @ret_shown: what the registry hears of, or 0. */
int link_make(const struct link_work *work, int *ret_shown);
