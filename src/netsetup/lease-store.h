/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "netsetup/lease.h"

/* The folders of lease.h and the links in them; for lease.c and lease-reclaim.c only. */

#define BY_NUMBER "by-number"
#define BY_NAME "by-name"
#define N_FOLDERS 2

struct store {
        const struct lease_folders *folders;
        const struct lease_request *request;
        const char *path[N_FOLDERS]; /* without the network's name */
        int fd[N_FOLDERS];           /* of the network; -1: it is not there */
        size_t home;                 /* where claims are made */
        size_t old_home;             /* where it had a number that it cannot keep */
        uint32_t old_number;         /* 0: it had none */
        struct failure *failure;
};

#define STORE(the_folders, the_request, the_failure)                                               \
        {                                                                                          \
                .folders = (the_folders), .request = (the_request), .failure = (the_failure),      \
                .path = { (the_folders)->state, (the_folders)->spare },                            \
                .fd = { -1,                                                                        \
                        -1 }                                                                       \
        }

/* Opens and locks what is there of the network. @kind is LOCK_SH or LOCK_EX. */
int store_open(struct store *s, int kind);
void store_close(const struct store *s);
#define CLEANUP_STORE CLEANUP(store_close)

/* Makes the folder that claims are made in: the first that can be written. */
int store_prepare(struct store *s);

/* A sentence: "Cannot @what in …". */
int store_fail(const struct store *s, int error, const char *what);

/* Opens the folder of @network below @path: its descriptor, or a negative errno. */
int open_network_folder(const char *path, const char *network);

/* The content of the link @folder/@name, "" if there is none, or if @fd is -1. */
int read_link(int fd, const char *folder, const char *name, char ret[LEASE_NAME_SIZE]);
int read_owner(int fd, uint32_t number, char ret[LEASE_NAME_SIZE]);

/* Makes a link. -EEXIST: there is one. */
int make_link(int fd, const char *folder, const char *name, const char *content);

/* Puts a link in the place of another one, at once. */
int replace_link(int fd, const char *folder, const char *name, const char *content);

void remove_link(int fd, const char *folder, const char *name);
void drop_number(int fd, uint32_t number);

/* Whether the number can be a machine's, and is not to be avoided. */
bool number_is_possible(const struct lease_request *q, uint32_t number);

/*
 * When there is no number left: takes the one that was not used for the longest time, and makes it the
 * machine's. Returns 1, 0 (there is none that could be taken), or a negative errno.
 */
int lease_reclaim(struct store *s, uint32_t *ret);
