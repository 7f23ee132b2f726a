/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <sys/types.h>

#include "basic/failure.h"
#include "nspawn/config.h"

/*
 * A journal that the container sends, and systemd-journal-remote receives. The program is the host's,
 * runs as long as the container, as the owner of what it writes to, and has nothing but the socket that
 * the container finds in /run/host/journal.
 */

#define FORWARD_JOURNAL_CREDENTIAL "journal.forward_to_socket"
#define FORWARD_JOURNAL_SOCKET "/run/host/journal/socket"

/* What is known of the host before a start. */
struct journal_receiver_facts {
        const char *program; /* NULL: nothing is to be received */
        bool is_directory;   /* a file for each sender, in that directory; else one file */
        uid_t uid;           /* of what is written to, or where it will be */
        gid_t gid;
};

/* Looks for the program and for the place. Nothing is done if the configuration asks for nothing. */
int journal_receiver_look(const struct container_config *c, struct journal_receiver_facts *ret,
                          struct failure *failure);

/* A receiver that runs. */
struct journal_receiver {
        int socket_fd; /* unbound at first; the caller binds it where the container finds it */
        pid_t pid;
        int pidfd;
};

#define JOURNAL_RECEIVER_NULL                                                                      \
        {                                                                                          \
                .socket_fd = -1, .pidfd = -1                                                       \
        }

/* The socket, or a negative errno. */
int journal_receiver_socket_new(void);

/* Listens on the socket, which is bound, and starts the program. */
int journal_receiver_start(struct journal_receiver *r, const struct container_config *c,
                           const struct journal_receiver_facts *facts, struct failure *failure);

/* Ends it, when nothing sends any more. */
void journal_receiver_stop(struct journal_receiver *r);

/* The program's configuration, "[Remote]\n…", by the limits; for it and for tests. */
struct strbuf;
void journal_receiver_settings(const struct container_config *c, struct strbuf *out);
