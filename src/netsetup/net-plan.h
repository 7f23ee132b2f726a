/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/id128.h"
#include "basic/strbuf.h"
#include "netsetup/address.h"
#include "netsetup/net-config.h"

/*
 * What will be made: a pure function of the configuration and of the facts. It is printed by
 * --dry-run, and carried out by net-run.h.
 */

/* Who gives addresses to the first link. */
enum net_manager {
        NET_MANAGER_NONE, /* nobody: it has none, as with systemd-nspawn */
        NET_MANAGER_US,
        NET_MANAGER_NETWORKD,
        NET_MANAGER_NETWORKMANAGER,
};

/* Read before the plan, by net_facts_read(). */
struct net_facts {
        struct id128 host_id; /* the host's machine id */
        bool old_names;       /* $SYSTEMD_NET_NAMING_SCHEME is older than v245 */
        bool mac_from_environment;
        uint8_t mac[MAC_SIZE]; /* $SYSTEMD_NSPAWN_NETWORK_MAC */
        enum net_manager manager;
        struct net_lease lease; /* with NET_MANAGER_US */
        bool has_dnsmasq;       /* looked for with NET_MANAGER_US */
        bool has_ipv6;
};

enum net_link_kind { LINK_VETH, LINK_EXTRA_VETH, LINK_MACVLAN, LINK_IPVLAN, LINK_MOVED };

#define NET_LINK_MAX_ADDRESSES 8

/* One link of the container. */
struct net_link {
        enum net_link_kind kind;
        char host[LINK_NAME_SIZE]; /* veth: the host's end; moved: its name on the host; else "" */
        char *altname;             /* of the host's end; NULL: none */
        char guest[LINK_NAME_SIZE];
        char lower[LINK_NAME_SIZE]; /* macvlan, ipvlan: the host's interface */
        bool has_macs;
        uint8_t host_mac[MAC_SIZE], guest_mac[MAC_SIZE];
        unsigned mtu;
        char master[LINK_NAME_SIZE]; /* the bridge that the host's end joins; "": none */
        bool master_is_zone; /* it is made if it is not there, and goes with its last member */
        bool host_up, guest_up;
        /* The host's end gets the gateway's addresses and routes to the guest's (links of -n); for a zone
         * the bridge gets the gateway's addresses. */
        bool host_addresses;
        struct net_address addresses[NET_LINK_MAX_ADDRESSES]; /* of the guest's end */
        size_t n_addresses;
        struct net_address gateway4, gateway6; /* default routes of the guest; .family 0: none */
        char *origin;
};

struct net_plan {
        bool private_network;
        const char *namespace_path; /* borrowed; joined instead of made */
        struct net_link *links;
        size_t n_links;
        enum net_manager manager;
        char network[NETWORK_NAME_SIZE]; /* "host", "zone-lab": with NET_MANAGER_US; "" else */
        struct net_lease lease;          /* the same */
        bool has_resolver;               /* dnsmasq is there */
        bool isolate;
        const struct net_port *ports; /* borrowed */
        size_t n_ports;
        const char *machine; /* borrowed */
};

/* Whether there is anything for the supervisor to do after the first process was born. */
bool net_plan_has_work(const struct net_plan *plan);

int net_plan_build(const struct net_config *config, const struct net_facts *facts,
                   const char *machine, struct net_plan *ret, struct failure *failure);
void net_plan_done(struct net_plan *plan);

/* The text of resolv.conf in the guest, if we are the manager and have a resolver; "" else. */
#define NET_RESOLV_CONF_SIZE 256
const char *net_plan_resolv_conf(const struct net_plan *plan, char text[NET_RESOLV_CONF_SIZE]);

/* One line for each link and port, for --dry-run: "veth ve-web -> host0 …". */
void net_plan_print(const struct net_plan *plan, struct strbuf *out);

const char *net_manager_name(enum net_manager manager);
