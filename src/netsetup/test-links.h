/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "netsetup/link.h"
#include "netsetup/net-run.h"

/*
 * Links as they are made, between network namespaces of the test's own: the test's is the host's, and each
 * guest is a process in another one, which does what it is told. Needs root.
 */

#define TEST_SKIPPED 77
#define LINKS_OF_A_GUEST 4

struct guest {
        pid_t pid;
        int pidfd, fd, netns_fd;
        struct net_plan plan;
        struct net_link links[LINKS_OF_A_GUEST];
        struct net_run run;
};

/* A host of our own: its network, and its files below /run. False: that takes root. */
bool host_begin(void);

/* A guest with a plan without links; links that are added to it; and the run of both sides. */
void guest_begin(struct guest *guest, const char *machine);
struct net_link *guest_add(struct guest *guest, enum net_link_kind kind, const char *host,
                           const char *inside);
int guest_make(struct guest *guest, struct failure *failure);
int guest_do(const struct guest *guest, char what, const char *address);
void guest_end(struct guest *guest);
void guest_run(struct guest *guest);

/* What there is in a namespace; negative: on the host. */
struct netlink_link look(int netns_fd, const char *name);
bool is_there(const char *name);
void wait_until_gone(const char *name);
int reach_from_host(const char *address);

/* Links of others on the host. */
void make_host_link(const char *kind, const char *name);
void set_alias(const char *name, const char *alias);
void remove_host_link(const char *name);

void parse(const char *text, struct net_address *ret);
void add_addresses(struct net_link *link, const char *four, const char *six, const char *gateway4,
                   const char *gateway6);
struct net_link *plan_host_network(struct guest *guest, const char *machine, const char *host,
                                   const char *four, const char *six);
struct net_link *plan_zone(struct guest *guest, const char *machine, const char *host,
                           const char *four, const char *six);
