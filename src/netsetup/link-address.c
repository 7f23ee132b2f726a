/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses, routes and settings of links, as requests of a batch (rtnetlink(7)). */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#include "basic/io.h"
#include "netsetup/link.h"

/* What the kernel says where an administrator switched IPv6 off (net.ipv6.conf.*.disable_ipv6): the machine
 * shall have what is left. */
#define IPV6_IS_OFF (-EACCES)

static void put_address(struct netlink *nl, int type, const struct net_address *a)
{
        netlink_put(nl, type, net_address_bytes(a), net_address_size(a));
}

static void add(struct netlink *nl, int index, const struct net_address *a, uint32_t flags,
                bool broadcast)
{
        const struct ifaddrmsg header = { .ifa_family = (uint8_t) a->family,
                                          .ifa_prefixlen = (uint8_t) a->prefix,
                                          .ifa_index = (uint32_t) index };

        netlink_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &header, sizeof(header),
                        a->family == AF_INET ? "add an IPv4 address" : "add an IPv6 address", NULL);
        if (a->family == AF_INET6)
                netlink_tolerate(nl, IPV6_IS_OFF);
        put_address(nl, IFA_LOCAL, a);
        put_address(nl, IFA_ADDRESS, a);
        if (a->family == AF_INET6)
                flags |= IFA_F_NODAD;
        if (flags)
                netlink_put_u32(nl, IFA_FLAGS, flags);
        if (broadcast && a->family == AF_INET && a->prefix > 0 && a->prefix < 31)
                netlink_put_u32(nl, IFA_BROADCAST, a->in4.s_addr | htonl(UINT32_MAX >> a->prefix));
}

void address_add(struct netlink *nl, int index, const struct net_address *a)
{
        add(nl, index, a, 0, true);
}

void address_add_bare(struct netlink *nl, int index, const struct net_address *a)
{
        add(nl, index, a, 0, false);
}

void address_add_without_route(struct netlink *nl, int index, const struct net_address *a)
{
        add(nl, index, a, IFA_F_NOPREFIXROUTE, true);
}

static void begin_route(struct netlink *nl, const struct net_address *a, unsigned prefix,
                        unsigned char scope, unsigned flags, const char *step)
{
        const struct rtmsg header = { .rtm_family = (uint8_t) a->family,
                                      .rtm_dst_len = (uint8_t) prefix,
                                      .rtm_table = RT_TABLE_MAIN,
                                      .rtm_protocol = RTPROT_STATIC,
                                      .rtm_scope = scope,
                                      .rtm_type = RTN_UNICAST,
                                      .rtm_flags = flags };

        netlink_request(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &header, sizeof(header), step,
                        NULL);
        if (a->family == AF_INET6)
                netlink_tolerate(nl, IPV6_IS_OFF);
}

void route_add_host(struct netlink *nl, int index, const struct net_address *to,
                    const struct net_address *from)
{
        begin_route(nl, to, 8 * (unsigned) net_address_size(to), RT_SCOPE_LINK, 0,
                    "add a route to the container's address");
        put_address(nl, RTA_DST, to);
        netlink_put_u32(nl, RTA_OIF, (uint32_t) index);
        if (from->family == to->family)
                put_address(nl, RTA_PREFSRC, from);
}

void route_add_default(struct netlink *nl, int index, const struct net_address *gateway)
{
        /* The gateway is a neighbour on the link, whatever the length of the prefix says. */
        begin_route(nl, gateway, 0, RT_SCOPE_UNIVERSE, RTNH_F_ONLINK,
                    gateway->family == AF_INET ? "add the default route for IPv4"
                                               : "add the default route for IPv6");
        put_address(nl, RTA_GATEWAY, gateway);
        netlink_put_u32(nl, RTA_OIF, (uint32_t) index);
}

void guest_end_set_up(struct netlink *nl, int index, const struct net_link *link)
{
        for (size_t i = 0; i < link->n_addresses; i++)
                address_add(nl, index, &link->addresses[i]);
        if (link->guest_up)
                netlink_request_link(nl, RTM_SETLINK, 0, index, IFF_UP, IFF_UP,
                                     "bring up the container's interface", link->guest);
        if (link->guest_up && link->gateway4.family)
                route_add_default(nl, index, &link->gateway4);
        if (link->guest_up && link->gateway6.family)
                route_add_default(nl, index, &link->gateway6);
}

static void set_ipv4(struct netlink *nl, int index, bool per_guest)
{
        struct nlattr *families, *family, *settings;

        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "set how the host treats IPv4 of",
                             "a link of the container");
        families = netlink_nest(nl, IFLA_AF_SPEC);
        family = netlink_nest(nl, AF_INET);
        settings = netlink_nest(nl, IFLA_INET_CONF);
        netlink_put_u32(nl, IPV4_DEVCONF_ACCEPT_REDIRECTS, 0);
        if (per_guest) {
                /* Others of the subnet are behind other links: the host answers for them. */
                netlink_put_u32(nl, IPV4_DEVCONF_PROXY_ARP, 1);
                netlink_put_u32(nl, IPV4_DEVCONF_SEND_REDIRECTS, 0);
                /* Only the guest's own address comes from there. */
                netlink_put_u32(nl, IPV4_DEVCONF_RP_FILTER, 1);
        }
        netlink_nest_end(nl, settings);
        netlink_nest_end(nl, family);
        netlink_nest_end(nl, families);
}

/* The host is asked by broadcast, and would wait up to 0.8 seconds with an answer for others. */
static void answer_at_once(struct netlink *nl, int index)
{
        const struct ndtmsg header = { .ndtm_family = AF_INET };
        const uint64_t delay = 0;
        struct nlattr *settings;

        netlink_request(nl, RTM_SETNEIGHTBL, 0, &header, sizeof(header),
                        "set how fast the host answers for other containers", NULL);
        netlink_put_text(nl, NDTA_NAME, "arp_cache");
        settings = netlink_nest(nl, NDTA_PARMS);
        netlink_put_u32(nl, NDTPA_IFINDEX, (uint32_t) index);
        netlink_put(nl, NDTPA_PROXY_DELAY, &delay, sizeof(delay));
        netlink_nest_end(nl, settings);
}

void host_end_make_no_address(struct netlink *nl, int index)
{
        struct nlattr *families, *family;

        netlink_request_link(nl, RTM_SETLINK, 0, index, 0, 0, "set how the host treats IPv6 of",
                             "a link of the container");
        families = netlink_nest(nl, IFLA_AF_SPEC);
        family = netlink_nest(nl, AF_INET6);
        netlink_put_u8(nl, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        netlink_nest_end(nl, family);
        netlink_nest_end(nl, families);
        netlink_tolerate(nl, -EAFNOSUPPORT); /* a host without IPv6 */
}

void host_end_protect(struct netlink *nl, int index, bool per_guest)
{
        set_ipv4(nl, index, per_guest);
        if (per_guest)
                answer_at_once(nl, index);
        /* The link-local address is fe80::1. */
        host_end_make_no_address(nl, index);
}

int host_end_ignore_routers(const char *name)
{
        char path[64 + LINK_NAME_SIZE];
        int r;

        (void) snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/accept_ra", name);
        r = write_file_at(AT_FDCWD, path, "0");
        /* No IPv6; or we are in somebody's container ourselves, where such things are not ours. */
        return r == -ENOENT || r == -EROFS ? 0 : r;
}
