/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "basic/failure.h"
#include "nspawn/config.h"

/*
 * What the payload finds in $CREDENTIALS_DIRECTORY (systemd.exec(5)): passwords, keys and the like.
 * Their bytes are in no plan that is printed and in no message; here they are read, once, before
 * anything is touched.
 */

/* Those who read credentials take no more than this of one. All are kept in memory that is never
 * swapped, so there is a limit for them together, too. */
#define CREDENTIAL_SIZE_MAX ((size_t) 1 << 20)
#define CREDENTIALS_SIZE_MAX ((size_t) 16 << 20)
#define CREDENTIALS_MAX 1024

/* The first @n characters of @id, which becomes the name of a file. */
bool credential_id_is_valid(const char *id, size_t n);

struct credential_bytes {
        const char *bytes; /* of the configuration, or .owned */
        size_t size;
        char *owned;
};

struct credentials {
        struct credential_bytes *list; /* one for each of the configuration, in its order */
        size_t n;
};

void credentials_done(struct credentials *credentials);

/*
 * Reads the credentials that are in files, sockets and pipes. With @look_only nothing is read: only
 * what is not there is a failure, and the sizes are those of the configuration, or 0.
 */
int credentials_load(const struct container_config *c, bool look_only, struct credentials *ret,
                     struct failure *failure);
