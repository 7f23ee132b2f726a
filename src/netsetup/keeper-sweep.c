/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/keeper-sweep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "basic/fd.h"
#include "basic/io.h"
#include "basic/log.h"
#include "basic/remove-tree.h"
#include "basic/strv.h"
#include "netsetup/forwarding.h"
#include "netsetup/keeper.h"
#include "netsetup/link.h"
#include "netsetup/nl.h"
#include "netsetup/subnet-file.h"

/* ---- routes ------------------------------------------------------------------------------ */

static int change_route(const struct net_address *prefix, int type, int flags, int tolerated,
                        const char *step, struct failure *failure)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        const struct rtmsg header = { .rtm_family = (unsigned char) prefix->family,
                                      .rtm_dst_len = (unsigned char) prefix->prefix,
                                      .rtm_table = RT_TABLE_MAIN,
                                      .rtm_protocol = NETWORK_ROUTE_PROTOCOL,
                                      .rtm_scope = RT_SCOPE_UNIVERSE,
                                      .rtm_type = RTN_UNREACHABLE };
        char text[NET_ADDRESS_TEXT_SIZE];
        int r = netlink_open(&nl, failure);

        if (r < 0)
                return r;
        netlink_request(&nl, type, flags, &header, sizeof(header), step,
                        net_address_prefix_text(prefix, text));
        netlink_put(&nl, RTA_DST, net_address_bytes(prefix), net_address_size(prefix));
        netlink_put_u32(&nl, RTA_PRIORITY, NETWORK_ROUTE_METRIC);
        netlink_tolerate(&nl, tolerated);
        return netlink_commit(&nl, failure);
}

int keeper_route_add(const struct net_address *prefix, struct failure *failure)
{
        return change_route(prefix, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, -EEXIST,
                            "keep at home what goes to", failure);
}

int keeper_route_remove(const struct net_address *prefix, struct failure *failure)
{
        return change_route(prefix, RTM_DELROUTE, 0, -ESRCH, "remove the unreachable route to",
                            failure);
}

void keeper_address_announce(const char *link, const struct net_address *a)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure unheard = { .error = 0 };
        unsigned index = if_nametoindex(link);

        if (index == 0 || netlink_open(&nl, &unheard) < 0)
                return;
        address_add(&nl, (int) index, a); /* takes the place of itself */
        (void) netlink_commit(&nl, NULL);
}

/* The routes of one network. Returns how many were told. */
static int remove_routes_of(const char *network, struct failure *failure)
{
        struct net_address prefixes[2];
        int n = 0;

        if (!subnet_file_read(NETWORK_RUN_NETWORKS, network, &prefixes[0], &prefixes[1]))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (prefixes[i].family && keeper_route_remove(&prefixes[i], failure) >= 0)
                        n++;
        return n;
}

static int remove_routes(struct failure *failure)
{
        DIR *d = opendir(NETWORK_RUN_NETWORKS);
        int n = 0;

        if (!d)
                return 0;
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                if (e->d_name[0] != '.')
                        n += remove_routes_of(e->d_name, failure);
        (void) closedir(d);
        return n;
}

/* ---- bridges ----------------------------------------------------------------------------- */

bool keeper_sweep_zones(char ***zones)
{
        struct netlink nl CLEANUP_NETLINK = NETLINK_NULL;
        struct failure unheard = { .error = 0 };
        char **left CLEANUP_STRV = NULL;

        if (netlink_open(&nl, &unheard) < 0)
                return true;
        (void) zone_sweep(&nl, "");
        STRV_FOREACH(zone, *zones)
        if (if_nametoindex(*zone) > 0 && strv_add(&left, *zone) < 0)
                return true;
        (void) strv_free(*zones);
        *zones = TAKE_PTR(left);
        return *zones == NULL;
}

/* ---- files ------------------------------------------------------------------------------- */

int keeper_remove_files(void)
{
        static const char *const folders[] = { "machines", "hosts", "networks" };
        int fd CLEANUP_FD =
                open(NETWORK_RUN_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int n = 0;

        if (fd < 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
                if (faccessat(fd, folders[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
                    remove_tree(fd, folders[i]) >= 0)
                        n++;
        return n;
}

int keeper_clear(struct failure *failure)
{
        int fd CLEANUP_FD =
                open(NETWORK_RUN_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int n, r;

        if (fd < 0)
                return errno == ENOENT ? 0
                                       : failure_set(failure, -errno, "Cannot open '%s': %s.",
                                                     NETWORK_RUN_FOLDER, error_text(-errno));
        n = remove_routes(failure);
        r = forwarding_put_back(fd, failure);
        n += MAX_OF(r, 0) + keeper_remove_files();
        return failure->error < 0 ? failure->error : n;
}
