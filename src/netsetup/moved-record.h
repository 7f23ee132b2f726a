/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <linux/if.h>

#include "basic/failure.h"
#include "netsetup/net-config.h"

/*
 * What an interface was like before it was moved into a container, in a file, so that it can also be given
 * back by those who come after a supervisor that was killed.
 */

#define MOVED_FOLDER "/run/stead/network/moved"
#define MOVED_MAX_ADDRESSES 32

/* Whether it does ARP, and what it listens to. */
#define MOVED_FLAGS (IFF_NOARP | IFF_PROMISC | IFF_ALLMULTI | IFF_MULTICAST)

struct moved_record {
        char machine[65];
        char name[LINK_NAME_SIZE];    /* on the host */
        char passing[LINK_NAME_SIZE]; /* on its way back */
        char kind[32];      /* "": hardware, which the kernel gives back itself, in its way */
        unsigned long host; /* the host's network namespace, by the number of its file */
        int index;          /* on the host */
        int inside;         /* in the container; 0: not yet there */
        unsigned mtu;
        unsigned flags; /* those of MOVED_FLAGS */
        bool up, has_flags, has_mac, has_permanent_mac;
        uint8_t mac[MAC_SIZE], permanent_mac[MAC_SIZE];
        char alias[IFALIASZ];
        struct net_address addresses[MOVED_MAX_ADDRESSES];
        bool has_broadcast[MOVED_MAX_ADDRESSES]; /* the usual one of its prefix */
        size_t n_addresses;
        char **altnames;
};

#define CLEANUP_MOVED_RECORD CLEANUP(moved_record_done)
void moved_record_done(struct moved_record *record);

/* The text of the file, and back; the reader takes nothing that the writer would not write. Pure. */
int moved_record_to_text(const struct moved_record *record, char **ret);
int moved_record_parse(const char *text, size_t size, struct moved_record *ret);

int moved_record_store(struct moved_record *record, struct failure *failure);
int moved_record_forget(const struct moved_record *record);

/* All records of @machine that are of the caller's network namespace; -ENOENT: nobody has any. The caller
 * gives them to moved_records_free(). */
int moved_records_load(const char *machine, struct moved_record **ret, size_t *ret_n);
void moved_records_free(struct moved_record *records, size_t n);

/*
 * Keeps the network namespace @netns_fd of @machine alive without a process in it: virtual interfaces that
 * are in it when it ends are lost. moved_namespace_open() opens a kept one (-ENOENT: there is none),
 * moved_namespace_forget() lets it go.
 */
int moved_namespace_keep(const char *machine, int netns_fd);
int moved_namespace_open(const char *machine);
int moved_namespace_forget(const char *machine);
