/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>

/* After the C library's, or else the kernel's headers define the same things. */
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "netsetup/firewall-parts.h"

/*
 * Datagrams have no end: as long as a client goes on to send from the same port, the kernel redirects as it
 * did with the first one, whatever the rules say now. So when a redirection ends, it has to forget those.
 */

/* nf_internals.h of the kernel, CTA_FILTER_F_CTA_IP_SRC */
#define FILTER_BY_SOURCE 1U

struct forget {
        const struct firewall_member *m;
        const struct net_address *guest;
        /* For the requests to delete: the other one is in the middle of a dump. */
        struct nl_sock *socket;
};

static struct nl_msg *new_message(unsigned kind, int flags, uint8_t family)
{
        const struct nfgenmsg header = { .nfgen_family = family, .version = NFNETLINK_V0 };
        struct nl_msg *message = nlmsg_alloc_simple((NFNL_SUBSYS_CTNETLINK << 8) | (int) kind,
                                                    NLM_F_REQUEST | flags);

        if (message && nlmsg_append(message, (void *) &header, sizeof(header), NLMSG_ALIGNTO) == 0)
                return message;
        nlmsg_free(message);
        return NULL;
}

static int put_filter(struct nl_msg *message, const struct net_address *guest)
{
        struct nlattr *tuple = nla_nest_start(message, CTA_TUPLE_REPLY);
        struct nlattr *ip = tuple ? nla_nest_start(message, CTA_TUPLE_IP) : NULL, *filter;

        if (!ip || nla_put(message, CTA_IP_V4_SRC, sizeof(guest->in4), &guest->in4) < 0)
                return -ENOMEM;
        nla_nest_end(message, ip);
        nla_nest_end(message, tuple);
        filter = nla_nest_start(message, CTA_FILTER);
        if (!filter || nla_put_u32(message, CTA_FILTER_ORIG_FLAGS, 0) < 0 ||
            nla_put_u32(message, CTA_FILTER_REPLY_FLAGS, FILTER_BY_SOURCE) < 0)
                return -ENOMEM;
        nla_nest_end(message, filter);
        return 0;
}

/* All whose answers come from the guest. There are kernels that compare IPv6 addresses the wrong way round, and
 * leave out just those: of IPv6 all are asked for. */
static struct nl_msg *make_question(const struct net_address *guest)
{
        struct nl_msg *message =
                new_message(IPCTNL_MSG_CT_GET, NLM_F_DUMP, (uint8_t) guest->family);

        if (message && guest->family == AF_INET && put_filter(message, guest) < 0) {
                nlmsg_free(message);
                return NULL;
        }
        return message;
}

/* Whether it began at one of the ports that the machine has published. */
static bool is_redirected(const struct nlattr *original, const struct firewall_member *m)
{
        const struct nlattr *protocol = firewall_find_nested(original, CTA_TUPLE_PROTO);
        const struct nlattr *number = firewall_find_nested(protocol, CTA_PROTO_NUM);
        const struct nlattr *port = firewall_find_nested(protocol, CTA_PROTO_DST_PORT);

        if (!number || nla_get_u8(number) != IPPROTO_UDP || !port)
                return false;
        for (size_t i = 0; i < m->n_ports; i++)
                if (m->ports[i].protocol == NET_UDP && m->ports[i].host == ntohs(nla_get_u16(port)))
                        return true;
        return false;
}

static bool is_answered_by(const struct nlattr *reply, const struct net_address *guest)
{
        bool is_4 = guest->family == AF_INET;
        const struct nlattr *source = firewall_find_nested(
                firewall_find_nested(reply, CTA_TUPLE_IP), is_4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);

        return source && (size_t) nla_len(source) == net_address_size(guest) &&
               memcmp(nla_data(source), net_address_bytes(guest), net_address_size(guest)) == 0;
}

static int take_connection(struct nl_msg *message, void *data)
{
        struct forget *forget = data;
        struct nlmsghdr *header = nlmsg_hdr(message);
        const int size = sizeof(struct nfgenmsg);
        const struct nlattr *original = nlmsg_find_attr(header, size, CTA_TUPLE_ORIG);
        struct nl_msg *request;

        if (!original || !is_redirected(original, forget->m) ||
            !is_answered_by(nlmsg_find_attr(header, size, CTA_TUPLE_REPLY), forget->guest))
                return NL_OK;
        request = new_message(IPCTNL_MSG_CT_DELETE, 0, (uint8_t) forget->guest->family);
        if (request && nla_put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, nla_len(original),
                               nla_data(original)) == 0)
                (void) nl_send_auto(forget->socket, request);
        nlmsg_free(request);
        return NL_OK;
}

static struct nl_sock *open_socket(void)
{
        struct nl_sock *socket = nl_socket_alloc();

        if (!socket)
                return NULL;
        nl_socket_disable_auto_ack(socket);
        if (nl_connect(socket, NETLINK_NETFILTER) == 0)
                return socket;
        nl_socket_free(socket);
        return NULL;
}

static void forget_to(struct nl_sock *socket, struct forget *forget,
                      const struct net_address *guest)
{
        struct nl_msg *question;

        if (guest->family == 0)
                return;
        forget->guest = guest;
        question = make_question(guest);
        if (question && nl_send_auto(socket, question) >= 0)
                (void) nl_recvmsgs_default(socket);
        nlmsg_free(question);
}

void firewall_forget_datagrams(const struct firewall_member *m)
{
        struct forget forget = { .m = m };
        struct nl_sock *socket = NULL;
        bool any = false;

        for (size_t i = 0; i < m->n_ports; i++)
                any = any || m->ports[i].protocol == NET_UDP;
        if (!any)
                return;
        socket = open_socket();
        forget.socket = open_socket();
        if (socket && forget.socket &&
            nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_connection, &forget) == 0) {
                forget_to(socket, &forget, &m->address4);
                forget_to(socket, &forget, &m->address6);
        }
        nl_socket_free(forget.socket);
        nl_socket_free(socket);
}
