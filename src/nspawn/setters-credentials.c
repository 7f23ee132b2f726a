/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Setters of credentials. No message here has a word of a credential's value. */

#include <errno.h>

#include "basic/path.h"
#include "basic/unescape.h"
#include "nspawn/credentials.h"
#include "nspawn/setters.h"

/* The part of the value before its first colon. The caller frees it; NULL: there is no such ID. */
static int read_id(const struct setting *s, char **ret, struct failure *failure)
{
        size_t n = strcspn(s->value, ":");

        if (s->value[n] != ':')
                return setting_refuse(s, failure, -EINVAL,
                                      "write ID, a colon, and what the credential is");
        if (!credential_id_is_valid(s->value, n))
                return setting_refuse(s, failure, -EINVAL,
                                      "the ID of a credential is a file name of at most 255 "
                                      "printable ASCII characters");
        *ret = strndup(s->value, n);
        return *ret ? 0 : failure_set(failure, -ENOMEM, "Out of memory.");
}

/* Takes @credential, also on failure. */
static int add_credential(struct container_config *c, const struct setting *s,
                          struct credential *credential, struct failure *failure)
{
        struct credential *grown;
        int r = 0;

        assert(credential->id);
        for (size_t i = 0; r == 0 && i < c->n_credentials; i++)
                if (streq(c->credentials[i].id, credential->id))
                        r = failure_set(failure, -EEXIST,
                                        "Duplicate credential '%s', refusing. Leave '%s' out, or "
                                        "give it another ID.",
                                        credential->id, s->origin);
        if (r == 0 && c->n_credentials >= CREDENTIALS_MAX)
                r = setting_refuse(s, failure, -E2BIG, "there are too many credentials");
        if (r == 0) {
                grown = realloc(c->credentials, (c->n_credentials + 1) * sizeof(*grown));
                if (grown) {
                        c->credentials = grown;
                        grown[c->n_credentials++] = *credential;
                        return 0;
                }
                r = failure_set(failure, -ENOMEM, "Out of memory.");
        }
        credential_done(credential);
        return r;
}

int setting_add_credential(struct container_config *c, const struct setting *s, const char *id,
                           const char *text, struct failure *failure)
{
        struct credential credential = { .id = strdup(id),
                                         .bytes = strdup(text),
                                         .size = strlen(text) };

        if (credential.id && credential.bytes)
                return add_credential(c, s, &credential, failure);
        credential_done(&credential);
        return failure_set(failure, -ENOMEM, "Out of memory.");
}

int set_credential(struct container_config *c, const struct setting *s, struct failure *failure)
{
        struct credential credential = { .id = NULL };
        int r = read_id(s, &credential.id, failure);

        if (r < 0)
                return r;
        r = unescape_c(strchr(s->value, ':') + 1, &credential.bytes, &credential.size);
        if (r == -ENOMEM)
                (void) failure_set(failure, r, "Out of memory.");
        else if (r < 0)
                (void) setting_refuse(s, failure, r,
                                      "a backslash in it begins none of the escapes of C; write "
                                      "'\\\\' for a backslash");
        else if (credential.size > CREDENTIAL_SIZE_MAX)
                r = setting_refuse(s, failure, -EFBIG, "a credential has at most 1 MiB");
        if (r < 0) {
                credential_done(&credential);
                return r;
        }
        return add_credential(c, s, &credential, failure);
}

int set_load_credential(struct container_config *c, const struct setting *s,
                        struct failure *failure)
{
        struct credential credential = { .id = NULL };
        const char *path;
        int r = read_id(s, &credential.id, failure);

        if (r < 0)
                return r;
        path = strchr(s->value, ':') + 1;
        if (!path_is_absolute(path) && !credential_id_is_valid(path, strlen(path)))
                r = setting_refuse(s, failure, -EINVAL,
                                   "give an absolute path, or the name of a file in "
                                   "$CREDENTIALS_DIRECTORY");
        else
                r = setting_replace_string(&credential.path, path, failure);
        if (r < 0) {
                credential_done(&credential);
                return r;
        }
        return add_credential(c, s, &credential, failure);
}
