/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "basic/strbuf.h"
#include "nspawn/config.h"
#include "nspawn/facts.h"

/*
 * Users of the host that are known in the container, each with a user and group id of its own there.
 * Records in /run/host/userdb tell the container about them (nss-systemd(8), USER_RECORD of
 * systemd.io), and their home directories are in /run/host/home, mapped so that the one owner on the
 * host is the one owner inside. No other id is mapped: nobody else's files can be made there.
 */

#define BIND_USER_FIRST 60514U /* the range that is kept for this */
#define BIND_USER_LAST 60577U
#define BIND_USER_MAX (BIND_USER_LAST - BIND_USER_FIRST + 1)

struct bound_user {
        char *name;
        char *real_name; /* NULL: none */
        char *home;      /* on the host */
        char *shell;     /* NULL: none */
        char *password;  /* its hash; NULL: none that opens anything */
        uid_t uid;       /* on the host */
        gid_t gid;
        uid_t inside; /* both ids in the container */
};

struct bound_users {
        struct bound_user *list;
        size_t n;
};

void bound_users_done(struct bound_users *users);

/*
 * Looks the users of the configuration up, in the host's files and then by getent(1), checks that
 * the container has no others of their names, and chooses ids that it does not use.
 */
int bound_users_read(const struct container_config *c, const struct tree_facts *tree,
                     struct bound_users *ret, struct failure *failure);

/* What can be told from the text of a database; for tests and fuzzing. -ESRCH: @name is not in it. */
int bound_user_parse(const char *text, size_t size, const char *name, struct bound_user *ret);

/* The records, as text; pure. */
void bound_user_record(const struct bound_user *user, const struct container_config *c,
                       struct strbuf *out);
void bound_user_privileged_record(const struct bound_user *user, struct strbuf *out);
void bound_user_group_record(const struct bound_user *user, struct strbuf *out);
