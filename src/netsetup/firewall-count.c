/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <netinet/in.h>

/* After the C library's, or else the kernel's headers define the same things. */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "netsetup/firewall-parts.h"

/*
 * The counters of published ports. libnftables would read all sets and maps of the host for each look, and
 * anybody may read, so this is asked on a socket of its own: one request for each of our four.
 */

struct reader {
        void (*take)(void *data, const struct firewall_count *count);
        void *data;
        enum firewall_counter which;
        int family;
};

static const struct {
        const char *name;
        enum firewall_counter which;
        int family;
} sets[] = {
        { "ports4", FIREWALL_REDIRECTED, AF_INET },
        { "ports6", FIREWALL_REDIRECTED, AF_INET6 },
        { "arrived4", FIREWALL_FORWARDED, AF_INET },
        { "arrived6", FIREWALL_FORWARDED, AF_INET6 },
};

/* As the kernel keeps a key of several parts: each is padded to 4 bytes. */
static bool read_key(const struct nlattr *value, const struct reader *reader,
                     struct firewall_count *ret)
{
        const uint8_t *bytes = nla_data(value);
        int size = reader->family == AF_INET ? 4 : 16;
        uint16_t port;

        if (reader->which == FIREWALL_REDIRECTED)
                size = 0;
        if (nla_len(value) < 4 + size + 4)
                return false;
        *ret = (struct firewall_count){ .which = reader->which,
                                        .protocol = bytes[0] == IPPROTO_UDP ? NET_UDP : NET_TCP };
        if (size > 0) {
                ret->a.family = reader->family;
                memcpy(reader->family == AF_INET ? (void *) &ret->a.in4 : (void *) &ret->a.in6,
                       bytes + 4, (size_t) size);
        }
        memcpy(&port, bytes + 4 + size, sizeof(port));
        ret->port = ntohs(port);
        return true;
}

const struct nlattr *firewall_find_nested(const struct nlattr *in, int type)
{
        return in ? nla_find(nla_data(in), nla_len(in), type) : NULL;
}

static void take_element(const struct nlattr *element, const struct reader *reader)
{
        const struct nlattr *key, *packets;
        struct firewall_count count;
        uint64_t n;

        key = firewall_find_nested(firewall_find_nested(element, NFTA_SET_ELEM_KEY),
                                   NFTA_DATA_VALUE);
        packets = firewall_find_nested(firewall_find_nested(element, NFTA_SET_ELEM_EXPR),
                                       NFTA_EXPR_DATA);
        packets = firewall_find_nested(packets, NFTA_COUNTER_PACKETS);
        if (!key || !packets || nla_len(packets) != sizeof(n) || !read_key(key, reader, &count))
                return;
        memcpy(&n, nla_data(packets), sizeof(n));
        count.packets = be64toh(n);
        reader->take(reader->data, &count);
}

static int take_answer(struct nl_msg *message, void *reader)
{
        struct nlattr *list = nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct nfgenmsg),
                                              NFTA_SET_ELEM_LIST_ELEMENTS);
        struct nlattr *element = list ? nla_data(list) : NULL;
        int rest = list ? nla_len(list) : 0;

        for (; element && nla_ok(element, rest); element = nla_next(element, &rest))
                take_element(element, reader);
        return NL_OK;
}

static int ask(struct nl_sock *socket, const char *set)
{
        const struct nfgenmsg header = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
        struct nl_msg *message =
                nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM, NLM_F_DUMP);
        int r = -NLE_NOMEM;

        if (message &&
            nlmsg_append(message, (void *) &header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
            nla_put_string(message, NFTA_SET_ELEM_LIST_TABLE, "stead") == 0 &&
            nla_put_string(message, NFTA_SET_ELEM_LIST_SET, set) == 0)
                r = nl_send_auto(socket, message);
        nlmsg_free(message);
        if (r >= 0)
                r = nl_recvmsgs_default(socket);
        if (r >= 0)
                return 0;
        return r == -NLE_DUMP_INTR ? -EAGAIN : -EIO;
}

int firewall_read_counters(void (*take)(void *data, const struct firewall_count *count), void *data)
{
        struct reader reader = { .take = take, .data = data };
        struct nl_sock *socket = nl_socket_alloc();
        int r = -ENOMEM;

        if (!socket)
                return r;
        r = nl_connect(socket, NETLINK_NETFILTER) < 0 ? -EIO : 0;
        if (r == 0 &&
            nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_answer, &reader) < 0)
                r = -EIO;
        for (size_t i = 0; i < ARRAY_SIZE(sets) && r == 0; i++) {
                reader.which = sets[i].which;
                reader.family = sets[i].family;
                r = ask(socket, sets[i].name);
        }
        nl_socket_free(socket);
        return r;
}
