/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "basic/fd.h"
#include "basic/parse.h"
#include "basic/siphash.h"
#include "netsetup/lease-store.h"

static const uint8_t number_key[16] = { 0xc4, 0x6d, 0x21, 0x9f, 0x58, 0xea, 0x40, 0x77,
                                        0x93, 0xbc, 0x0d, 0xe5, 0x1a, 0x82, 0xf6, 0x35 };

/* ---- look-up ----------------------------------------------------------------------------- */

/* The number that the machine has in folder @i of the store, 0 for none. */
static int find_number(const struct store *s, size_t i, const char *machine, uint32_t *ret)
{
        char text[LEASE_NAME_SIZE], owner[LEASE_NAME_SIZE];
        unsigned long number = 0;
        int r = read_link(s->fd[i], BY_NAME, machine, text);

        *ret = 0;
        if (r < 0 || !text[0] || parse_ulong(text, LEASE_FIRST_NUMBER, UINT32_MAX, &number) < 0)
                return r;
        r = read_owner(s->fd[i], (uint32_t) number, owner);
        if (r >= 0 && streq(owner, machine))
                *ret = (uint32_t) number;
        return r;
}

static void touch_number(int fd, uint32_t number)
{
        char path[32];

        /* Where nothing can be written nothing is taken away from anybody, either. */
        (void) snprintf(path, sizeof(path), BY_NUMBER "/%u", number);
        (void) utimensat(fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

void lease_owner(const struct lease_folders *folders, const char *network, uint32_t number,
                 char ret[LEASE_NAME_SIZE])
{
        const char *const path[N_FOLDERS] = { folders->state, folders->spare };

        ret[0] = '\0';
        for (size_t i = 0; i < N_FOLDERS && !ret[0]; i++) {
                int fd CLEANUP_FD = open_network_folder(path[i], network);

                (void) read_owner(fd, number, ret);
        }
}

/* Finds what the machine has. Returns whether it can keep it. */
static int keep_number(struct store *s, uint32_t *ret)
{
        const struct lease_request *q = s->request;

        for (size_t i = 0; i < N_FOLDERS; i++) {
                uint32_t number;
                int r = find_number(s, i, q->machine, &number);

                if (r < 0)
                        return store_fail(s, r, "look up an address");
                if (number == 0)
                        continue;
                if (number_is_possible(q, number) && (q->wanted == 0 || q->wanted == number)) {
                        if (!q->dry_run)
                                touch_number(s->fd[i], number);
                        *ret = number;
                        return 1;
                }
                s->old_home = i;
                s->old_number = number;
        }
        return 0;
}

/* ---- claims ------------------------------------------------------------------------------ */

/* Whether another one than the machine has the number in one of the folders that are not its home. It
 * may have come into being since we looked. */
static bool is_taken_elsewhere(const struct store *s, uint32_t number)
{
        for (size_t i = 0; i < N_FOLDERS; i++) {
                char owner[LEASE_NAME_SIZE];
                int opened CLEANUP_FD = -1;

                if (i == s->home)
                        continue;
                if (s->fd[i] < 0)
                        opened = open_network_folder(s->path[i], s->request->network);
                if (read_owner(s->fd[i] < 0 ? opened : s->fd[i], number, owner) >= 0 && owner[0] &&
                    !streq(owner, s->request->machine))
                        return true;
        }
        return false;
}

/* Claims one number. Returns 1 if it is ours now, 0 if it is another's. */
static int claim(struct store *s, uint32_t number)
{
        char name[16], owner[LEASE_NAME_SIZE];
        int r;

        (void) snprintf(name, sizeof(name), "%u", number);
        if (s->request->dry_run) {
                r = read_link(s->fd[s->home], BY_NUMBER, name, owner);
                return r < 0 ? r : !owner[0] && !is_taken_elsewhere(s, number);
        }
        r = make_link(s->fd[s->home], BY_NUMBER, name, s->request->machine);
        if (lease_is_unwritable(r) && s->home + 1 < N_FOLDERS) {
                s->home++;
                r = store_prepare(s);
                return r < 0 ? r : claim(s, number);
        }
        if (r == -EEXIST) {
                r = read_owner(s->fd[s->home], number, owner);
                return r < 0 ? r : streq(owner, s->request->machine);
        }
        if (r < 0)
                return r;
        /* Whoever claims in the other folder at this moment looks here afterwards, too: at least
         * one of us sees the other. */
        if (!is_taken_elsewhere(s, number))
                return 1;
        drop_number(s->fd[s->home], number);
        return 0;
}

/* There is software that takes an address that ends with 0 or 255 for none of a machine. */
static bool is_offered(const struct lease_request *q, uint32_t number)
{
        return number_is_possible(q, number) && number % 256 != 0 && number % 256 != 255;
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
        while (b != 0) {
                uint32_t rest = a % b;

                a = b;
                b = rest;
        }
        return a;
}

/* Goes through the numbers in an order that follows from the name; all are in it. One that is free
 * comes soon, as long as there are some: of nine tenths taken after ten steps. */
static int claim_any(struct store *s, uint32_t *ret)
{
        uint64_t hash = siphash24(s->request->machine, strlen(s->request->machine), number_key);
        uint32_t n = s->request->count - LEASE_FIRST_NUMBER - 1, place = (uint32_t) (hash % n);
        uint32_t step = n > 1 ? 1 + (uint32_t) ((hash >> 32) % (n - 1)) : 1;

        while (common_divisor(step, n) != 1)
                step++;
        for (uint32_t i = 0; i < n; i++, place = (place + step) % n) {
                uint32_t number = LEASE_FIRST_NUMBER + place;
                int r = is_offered(s->request, number) ? claim(s, number) : 0;

                if (r > 0)
                        *ret = number;
                if (r != 0)
                        return r;
        }
        return 0;
}

static int claim_wanted(struct store *s)
{
        const struct lease_request *q = s->request;
        char owner[LEASE_NAME_SIZE];
        int r = number_is_possible(q, q->wanted) ? claim(s, q->wanted) : 0;

        if (r != 0)
                return r;
        lease_owner(s->folders, q->network, q->wanted, owner);
        return failure_set(s->failure, -EADDRINUSE,
                           "The address that was chosen for machine '%s' is %s%s%s. Choose "
                           "another one.",
                           q->machine, owner[0] ? "that of machine '" : "not one for a machine",
                           owner, owner[0] ? "'" : "");
}

/* The claim gets its entry by name; what the machine had before is given back. */
static int add_name(const struct store *s, uint32_t number)
{
        char text[16];
        int r;

        (void) snprintf(text, sizeof(text), "%u", number);
        r = make_link(s->fd[s->home], BY_NAME, s->request->machine, text);
        if (r == -EEXIST)
                r = replace_link(s->fd[s->home], BY_NAME, s->request->machine, text);
        if (r < 0) {
                drop_number(s->fd[s->home], number);
                return store_fail(s, r, "write an address down");
        }
        if (s->old_number && (s->old_number != number || s->old_home != s->home))
                drop_number(s->fd[s->old_home], s->old_number);
        return 0;
}

/* ---- the whole --------------------------------------------------------------------------- */

static int fail_full(const struct store *s)
{
        const struct lease_request *q = s->request;

        return failure_set(s->failure, -EADDRNOTAVAIL,
                           "There is no address left for machine '%s' in the network '%s': all "
                           "are given to others that run or did so in the last %ld days. Let its "
                           "subnet be larger (network.conf), or remove those that are no more "
                           "from '%s/%s/" BY_NUMBER "'.",
                           q->machine, q->network, LEASE_REST_SECONDS / (24L * 3600),
                           s->path[s->home], q->network);
}

static int take_from_others(const struct lease_folders *folders,
                            const struct lease_request *request, uint32_t *ret,
                            struct failure *failure)
{
        struct store s CLEANUP_STORE = STORE(folders, request, failure);
        int r = store_open(&s, LOCK_EX);

        if (r < 0)
                return r;
        s.home = s.fd[0] < 0;
        r = lease_reclaim(&s, ret);
        if (r < 0)
                return store_fail(&s, r, "free an address");
        return r == 0 ? fail_full(&s) : 0;
}

/* Returns 1, 0 if there is none left, or a negative errno. */
static int find_or_claim(struct store *s, uint32_t *ret)
{
        int r = store_open(s, LOCK_SH);

        if (r >= 0)
                r = keep_number(s, ret);
        if (r != 0)
                return r;
        if (!s->request->dry_run)
                r = store_prepare(s);
        if (r < 0)
                return r;
        *ret = s->request->wanted;
        r = s->request->wanted ? claim_wanted(s) : claim_any(s, ret);
        if (r < 0 && s->failure->error == 0)
                return store_fail(s, r, "take an address");
        if (r > 0 && !s->request->dry_run)
                return add_name(s, *ret) < 0 ? s->failure->error : 1;
        return r;
}

int lease_number(const struct lease_folders *folders, const struct lease_request *request,
                 uint32_t *ret, struct failure *failure)
{
        int r;

        {
                struct store s CLEANUP_STORE = STORE(folders, request, failure);

                r = find_or_claim(&s, ret);
        }
        /* The lock is given back first: all the others may want it alone, too. */
        if (r == 0)
                r = take_from_others(folders, request, ret, failure);
        return r < 0 ? r : 0;
}

void lease_drop(const struct lease_folders *folders, const char *network, const char *machine)
{
        struct failure ignored = { .error = 0 };
        struct lease_request request = { .network = network, .machine = machine };
        struct store s CLEANUP_STORE = STORE(folders, &request, &ignored);

        if (store_open(&s, LOCK_SH) < 0)
                return;
        for (size_t i = 0; i < N_FOLDERS; i++) {
                uint32_t number = 0;

                if (s.fd[i] < 0 || find_number(&s, i, machine, &number) < 0)
                        continue;
                /* In this order: a name without its claim is nothing, a claim without its name would
                 * stay. */
                if (number != 0)
                        drop_number(s.fd[i], number);
                remove_link(s.fd[i], BY_NAME, machine);
        }
}
