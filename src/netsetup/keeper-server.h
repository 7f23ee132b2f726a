/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/stat.h>
#include <systemd/sd-event.h>

#include "netsetup/firewall.h"
#include "netsetup/forwarding.h"
#include "netsetup/keeper-message.h"
#include "netsetup/names-service.h"

/* The inside of the network's keeper (keeper.h). One thread, one event loop, nothing that waits. */

#define KEEPER_SENTENCE_SIZE 960

struct keeper {
        sd_event *event;
        struct net_pools pools;            /* the configuration, as it was when we began */
        int listen_fd;                     /* -1: it is ending */
        int run_fd, machines_fd, hosts_fd; /* folders below NETWORK_RUN_FOLDER */
        struct stat namespace;             /* of the network that we are in */
        struct firewall *firewall;         /* NULL: the host has none */
        sd_event_source *ports_source;
        struct port_service *ports; /* NULL: there were none yet */
        char firewall_problem[KEEPER_SENTENCE_SIZE];
        bool has_forwarding;
        char forwarding_problem[KEEPER_SENTENCE_SIZE];
        struct network *networks;
        struct member *members; /* all connections, the newest first */
        sd_event_source *listener, *idle, *sweep;
        bool asked_for_scope;
        int scope_pidfd; /* who asks systemd for a scope of our own; -1: nobody, any more */
        sd_event_source *scope_source;
        char **zones; /* bridges of zones that nobody may have removed */
        unsigned n_sweeps;
};

/* A managed network that has members. */
struct network {
        struct network *next;
        struct keeper *keeper;
        char name[KEEPER_NETWORK_MAX + 1];
        struct net_subnet subnet;
        struct names_service *names;
        size_t n_members;
        bool has_route;
};

enum member_state { MEMBER_CONNECTED, MEMBER_JOINED, MEMBER_READY };

/* A supervisor's connection, and what its machine has. */
struct member {
        struct member *previous, *next;
        struct keeper *keeper;
        enum member_state state;
        int fd, leader_pidfd;
        sd_event_source *input;
        struct strbuf text; /* of the request, while it comes */
        struct keeper_request request;
        struct network *network; /* NULL: not managed */
        bool has_files, has_rules, has_ports, waits_for_ports, is_elsewhere;
        bool ports_are_late;                /* until the network's own name server has its port */
        struct member_names *asking;        /* whether its name is served yet */
        struct failure failure;             /* told with KEEPER_FAILED, and then it is gone */
        char problem[KEEPER_SENTENCE_SIZE]; /* the first one; told with KEEPER_READY */
};

/* keeper-server.c */
int keeper_run(int listen_fd, struct failure *failure);
/* There may be nothing to do any more. */
void keeper_check_idle(struct keeper *k);
/* A notice for all members of @network; NULL: all. */
void keeper_tell(struct keeper *k, const struct network *network, const char *text);

/* A zone has lost its last member: its bridge goes, also if that one was killed. */
void keeper_sweep_later(struct keeper *k, const char *bridge);

/* keeper-scope.c: on a host with systemd, away from the unit of the machine that started us; once, when
 * the first machine is served. */
void keeper_enter_scope(struct keeper *k);
void keeper_leave_scope(struct keeper *k);

/* keeper-member.c */
int member_accept(struct keeper *k, int take_fd);
void member_remove(struct member *m);
/* Something that it waited for is there. */
void member_check_ready(struct member *m);
/* What it has to do without; the first one is kept. */
void member_problem(struct member *m, const char *text);
/* What it asked for cannot be; member_check_ready() says so. */
void member_fail(struct member *m, int error, const char *text);

/* keeper-network.c: the network of @m, which is made if it is new. */
int network_enter(struct keeper *k, const struct keeper_request *request, struct network **ret,
                  struct failure *failure);
/* A zone's @bridge goes with its last member. */
void network_leave(struct network *n, const char *bridge);
/* What the first member needs and can be done while dnsmasq begins: route, forwarding. */
void network_open_ways(struct network *n);

/* keeper-ask.c: asks the network's name server for the machine's name until it answers. */
int member_names_ask(struct member *m, struct failure *failure);
void member_names_stop(struct member *m);

/* keeper-rules.c: the firewall. */
void keeper_open_firewall(struct keeper *k);
/* All of it is borrowed from @m. */
void member_rules(const struct member *m, struct firewall_member *ret);
int member_rules_add(struct member *m, struct failure *failure);
void member_rules_remove(struct member *m);

/* keeper-ports.c: its published ports. */
void keeper_close_ports(struct keeper *k);
int member_ports_start(struct member *m, struct failure *failure);
void member_ports_stop(struct member *m);
