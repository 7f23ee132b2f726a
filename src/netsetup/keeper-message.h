/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/strbuf.h"
#include "netsetup/net-plan.h"

/*
 * What supervisors and the network's keeper say to each other, in messages of basic/channel.h. Pure.
 *
 *      supervisor -> keeper    KEEPER_PART…, KEEPER_JOIN   one text in pieces, usually one; the last one
 *                                                          comes with the pidfd of the machine's leader
 *      keeper -> supervisor    KEEPER_READY                with a notice, or without
 *                              KEEPER_FAILED               number and sentence
 *                              KEEPER_NOTICE               at any time later: a sentence
 *
 * .value of each message is KEEPER_VERSION. The text is lines of KEY=value, which are also the file
 * NETWORK_RUN_MACHINES "/NAME" (basic/env-file.h reads both):
 *
 *      MACHINE=web NETWORK=host LINK=ve-web BRIDGE= MAC=02:00:00:aa:bb:cc
 *      ADDRESS4=10.0.0.2/18 ADDRESS6=fd00::2/128 PREFIX4= PREFIX6= GATEWAY4= GATEWAY6=
 *      OTHERS="10.0.0.77/18 …" ISOLATE=yes PORTS="tcp:8080:80 udp:53:53"
 *
 * What a machine does not have is left out.
 */
#define KEEPER_VERSION 1U

enum keeper_message { KEEPER_PART = 1, KEEPER_JOIN, KEEPER_READY, KEEPER_FAILED, KEEPER_NOTICE };

#define KEEPER_MACHINE_MAX 64
#define KEEPER_NETWORK_MAX (NETWORK_NAME_SIZE - 1)
#define KEEPER_TEXT_MAX ((size_t) 64 * 1024)
#define KEEPER_PORTS_MAX 4096

/* What the keeper has to know of a machine. */
struct keeper_request {
        char machine[KEEPER_MACHINE_MAX + 1];
        char network[KEEPER_NETWORK_MAX + 1]; /* "": not managed, only its ports */
        char link[LINK_NAME_SIZE];            /* the host's end; "": none */
        char bridge[LINK_NAME_SIZE];          /* that it is in, if it is a zone's; "": none */
        bool has_mac;
        uint8_t mac[MAC_SIZE]; /* the guest's */
        struct net_address address4, address6;
        struct net_address others[NET_LINK_MAX_ADDRESSES]; /* more of the guest's */
        size_t n_others;
        struct net_subnet subnet;
        bool isolate;
        struct net_port *ports;
        size_t n_ports;
};

#define CLEANUP_KEEPER_REQUEST CLEANUP(keeper_request_done)
void keeper_request_done(struct keeper_request *request);

/* Names of machines and networks become names of files and in the DNS: letters, digits, '-', '_' and
 * '.', none of those in front, and single dots. */
bool keeper_name_is_plain(const char *name, size_t max);

/* As text. Returns 0, -EINVAL (a name that is none) or -ENOMEM. */
int keeper_request_print(const struct keeper_request *request, struct strbuf *out);

/* The same for what @plan says of its first virtual link. */
int keeper_request_print_plan(const struct net_plan *plan, struct strbuf *out);

/* Reads the text back; keys that are not known are left alone. A sentence on failure. */
int keeper_request_parse(const char *text, size_t size, struct keeper_request *ret,
                         struct failure *failure);
