/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <netinet/in.h>

#include "basic/macro.h"

/*
 * What was asked of the network: options and keys, each checked and in its type. The setters fill
 * it; after config_validate() it is const.
 */

#define LINK_NAME_SIZE 16 /* with the NUL: IFNAMSIZ of netdevice(7) */
#define MAC_SIZE 6

/* An IPv4 or IPv6 address with the length of its prefix. */
struct net_address {
        int family; /* AF_INET, AF_INET6; 0: none */
        union {
                struct in_addr in4;
                struct in6_addr in6;
        };
        unsigned prefix;
};

/* "HOST[:CONTAINER]", or "INTERFACE[:NAME]" */
struct net_pair {
        char *host;
        char *guest; /* NULL: by the rules of its kind */
        char *origin;
};

enum net_protocol { NET_TCP, NET_UDP };

struct net_port {
        enum net_protocol protocol;
        uint16_t host, guest;
        char *origin;
};

/* Who gives the links their addresses. */
enum net_setup {
        NET_SETUP_AUTO, /* we, where nobody else does */
        NET_SETUP_NO,   /* not we */
        NET_SETUP_YES,  /* we, whoever else is there */
};

struct net_config {
        bool private_network;
        bool veth; /* also implied by bridge and zone */
        char *bridge;
        char *zone; /* without "vz-" */
        char *namespace_path;
        struct net_pair *interfaces, *macvlans, *ipvlans, *extras;
        size_t n_interfaces, n_macvlans, n_ipvlans, n_extras;
        struct net_port *ports;
        size_t n_ports;

        /* For those who choose. All of it is about the first virtual link, or if there is none, about
         * the first macvlan, ipvlan or moved interface. */
        enum net_setup setup;
        struct net_address *addresses;
        size_t n_addresses;
        struct net_address gateway4, gateway6; /* .family 0: ours, or none */
        uint8_t mac[MAC_SIZE];                 /* of the container's end */
        bool mac_set;
        unsigned mtu; /* 0: the kernel's */
        char *name;   /* of the container's end; NULL: host0 and the like */
        bool isolate; /* of the host only DHCP, DNS and ICMP can be reached */
};

void net_config_done(struct net_config *c);

/* "tcp", "udp" */
const char *net_protocol_name(enum net_protocol protocol);

/* Whether the network namespace is another than the host's. */
bool net_config_is_private(const struct net_config *c);

/* The name of the managed network that the first virtual link is in: "host", "zone-lab". */
#define NETWORK_NAME_SIZE 80
void net_config_network(const struct net_config *c, char ret[NETWORK_NAME_SIZE]);

/* "10.0.0.7/24", "fd00::7/64"; without "/LEN" the prefix is the whole address. Returns 0 or -EINVAL. */
int net_address_parse(const char *text, struct net_address *ret);

/* The address alone: 4 or 16 bytes. */
size_t net_address_size(const struct net_address *a);
const void *net_address_bytes(const struct net_address *a);

/* The same address, whatever the prefixes; none is the same as none. */
bool net_address_equals(const struct net_address *a, const struct net_address *b);

#define NET_ADDRESS_TEXT_SIZE 64
/* Without or with "/LEN". */
const char *net_address_text(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE]);
const char *net_address_prefix_text(const struct net_address *a, char text[NET_ADDRESS_TEXT_SIZE]);
