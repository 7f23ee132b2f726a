/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/strbuf.h"
#include "netsetup/address.h"
#include "netsetup/pool.h"

/* What dnsmasq is told, as text. Pure. */

struct names_config {
        const char *network;      /* "host", "zone-lab" */
        const char *interface;    /* "ve-*", or the zone's bridge */
        const char *hosts_folder; /* names of all machines */
        const char *dhcp_folder;  /* machines of this network, by their MAC addresses */
        const struct net_subnet *subnet;
        const struct net_pools *pools; /* the domain, and other resolvers than the host's */
        bool no_dns;                   /* somebody else has the port */
        bool no_dhcp;                  /* the same */
};

/* Its configuration file. */
void names_config_print(const struct names_config *config, struct strbuf *out);

/* A machine's file in .hosts_folder: a line for each address, with "MACHINE.DOMAIN" and "MACHINE". */
void names_hosts_print(const char *machine, const char *domain, const struct net_address *address4,
                       const struct net_address *address6, struct strbuf *out);

/* A machine's file in .dhcp_folder. */
void names_dhcp_print(const char *machine, const uint8_t mac[MAC_SIZE],
                      const struct net_address *address4, const struct net_address *address6,
                      struct strbuf *out);

/*
 * A question of the DNS (RFC 1035) for the IPv4 address of "@machine.@domain", at most @size bytes. Returns
 * its length; 0: the name does not fit.
 */
size_t names_question(const char *machine, const char *domain, uint16_t id, uint8_t *ret,
                      size_t size);

/* Whether @answer is one to question @id and says @address. */
bool names_is_answer(const uint8_t *answer, size_t size, uint16_t id,
                     const struct net_address *address);
