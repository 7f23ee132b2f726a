/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <syslog.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/remove-tree.h"
#include "netsetup/keeper-server.h"
#include "netsetup/keeper-sweep.h"
#include "netsetup/keeper.h"
#include "netsetup/subnet-file.h"

/* A managed network: from its first member to its last. */

static void on_notice(void *userdata, const char *text)
{
        const struct network *n = userdata;

        keeper_tell(n->keeper, n, text);
}

static struct network *find(struct keeper *k, const char *name)
{
        struct network *n = k->networks;

        while (n && !streq(n->name, name))
                n = n->next;
        return n;
}

static bool same_prefix(const struct net_address *a, const struct net_address *b)
{
        return a->prefix == b->prefix && net_address_equals(a, b);
}

/* With the subnet in it, so that who sweeps after us knows the routes. */
static int make_folder(const char *folder, const struct network *n, struct failure *failure)
{
        int r = make_directories(folder, 0755);

        if (r >= 0)
                r = subnet_file_write(NETWORK_RUN_NETWORKS, n->name, &n->subnet.prefix4,
                                      &n->subnet.prefix6);
        if (r < 0)
                return failure_set(failure, r, "Cannot make '%s': %s.", folder, error_text(r));
        return 0;
}

static void folder_of(const char *network, char *ret, size_t size)
{
        (void) snprintf(ret, size, NETWORK_RUN_NETWORKS "/%s", network);
}

/* NULL: it failed. */
static struct network *make_network(struct keeper *k, const struct keeper_request *q,
                                    struct failure *failure)
{
        char folder[sizeof(NETWORK_RUN_NETWORKS) + KEEPER_NETWORK_MAX + 2];
        struct network *n = calloc(1, sizeof(*n));
        int r;

        if (!n) {
                (void) failure_set(failure, -ENOMEM, "Out of memory.");
                return NULL;
        }
        *n = (struct network){ .keeper = k, .subnet = q->subnet, .next = k->networks };
        memcpy(n->name, q->network, sizeof(n->name));
        k->networks = n;
        folder_of(n->name, folder, sizeof(folder));
        r = make_folder(folder, n, failure);
        if (r >= 0)
                r = names_service_start(k->event, folder, n->name,
                                        q->bridge[0] ? q->bridge : "ve-*", &n->subnet, &k->pools,
                                        on_notice, n, &n->names, failure);
        if (r < 0) {
                network_leave(n, "");
                return NULL;
        }
        return n;
}

int network_enter(struct keeper *k, const struct keeper_request *q, struct network **ret,
                  struct failure *failure)
{
        struct network *n = find(k, q->network);

        if (!n)
                n = make_network(k, q, failure);
        if (!n)
                return failure->error;
        if (!same_prefix(&n->subnet.prefix4, &q->subnet.prefix4) ||
            !same_prefix(&n->subnet.prefix6, &q->subnet.prefix6))
                return failure_set(
                        failure, -ESTALE,
                        "Network '%s' has other addresses than machine '%s' was given; they were "
                        "chosen anew meanwhile. Start it again.",
                        n->name, q->machine);
        n->n_members++;
        *ret = n;
        return 0;
}

/* ---- ways in and out --------------------------------------------------------------------- */

static void add_routes(struct network *n)
{
        struct failure failure = { .error = 0 };

        n->has_route = true;
        if (keeper_route_add(&n->subnet.prefix4, &failure) < 0 ||
            (n->subnet.prefix6.family && keeper_route_add(&n->subnet.prefix6, &failure) < 0))
                syslog(LOG_WARNING, "%s", failure.text);
}

static void remove_routes(struct network *n)
{
        struct failure failure = { .error = 0 };

        if (!n->has_route)
                return;
        (void) keeper_route_remove(&n->subnet.prefix4, &failure);
        if (n->subnet.prefix6.family)
                (void) keeper_route_remove(&n->subnet.prefix6, &failure);
        if (failure.error < 0)
                syslog(LOG_WARNING, "%s", failure.text);
}

/* A host that did not forward before does so only for us: first the limit, then the switch. */
static int open_forwarding(struct keeper *k, struct failure *failure)
{
        struct forwarding now;
        int r = 0;

        forwarding_read(&now);
        if (!now.ipv4_was_off && !now.ipv6_was_off)
                return 0;
        if (!k->firewall)
                return failure_set(
                        failure, -EOPNOTSUPP,
                        "Machines do not reach the outside: without a firewall of ours the host "
                        "would forward for everybody. %s",
                        k->firewall_problem);
        r = firewall_limit_forwarding(k->firewall, now.ipv4_was_off, now.ipv6_was_off, failure);
        return r < 0 ? r : forwarding_enable(k->run_fd, failure);
}

void network_open_ways(struct network *n)
{
        struct keeper *k = n->keeper;
        struct failure failure = { .error = 0 };

        if (!n->has_route)
                add_routes(n);
        if (k->has_forwarding)
                return;
        k->has_forwarding = true;
        if (open_forwarding(k, &failure) < 0)
                (void) snprintf(k->forwarding_problem, sizeof(k->forwarding_problem), "%s",
                                failure.text);
}

void network_leave(struct network *n, const char *bridge)
{
        struct keeper *k = n->keeper;
        struct network **link = &k->networks;
        char name[KEEPER_NETWORK_MAX + 1];
        int fd CLEANUP_FD = -1;

        if (n->n_members > 1) {
                n->n_members--;
                return;
        }
        names_service_stop(n->names);
        remove_routes(n);
        if (bridge[0])
                keeper_sweep_later(k, bridge);
        while (*link != n)
                link = &(*link)->next;
        *link = n->next;
        memcpy(name, n->name, sizeof(name));
        free(n);
        fd = open(NETWORK_RUN_NETWORKS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
                (void) remove_tree(fd, name);
}
