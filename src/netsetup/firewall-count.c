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
 * Counters of single elements. libnftables would read all sets and maps of the host for each look, and anybody
 * may read, so this is asked on a socket of its own.
 */

/* As the kernel keeps a key of several parts: each is padded to 4 bytes. */
struct element_key {
        uint8_t bytes[24];
        int length;
};

static void key_add(struct element_key *key, const void *part, int length)
{
        memcpy(key->bytes + key->length, part, (size_t) length);
        key->length += (length + 3) & ~3;
}

static void key_fill(struct element_key *key, const struct net_port *port,
                     const struct net_address *a, enum firewall_counter which)
{
        uint8_t protocol = port->protocol == NET_TCP ? IPPROTO_TCP : IPPROTO_UDP;
        uint16_t number = htons(which == FIREWALL_FORWARDED ? port->guest : port->host);

        *key = (struct element_key){ 0 };
        key_add(key, &protocol, sizeof(protocol));
        if (which == FIREWALL_FORWARDED && a->family == AF_INET)
                key_add(key, &a->in4, sizeof(a->in4));
        else if (which == FIREWALL_FORWARDED)
                key_add(key, &a->in6, sizeof(a->in6));
        key_add(key, &number, sizeof(number));
}

static int put_element(struct nl_msg *message, const struct element_key *key)
{
        struct nlattr *element, *value;

        element = nla_nest_start(message, NFTA_LIST_ELEM);
        value = element ? nla_nest_start(message, NFTA_SET_ELEM_KEY) : NULL;
        if (!value || nla_put(message, NFTA_DATA_VALUE, key->length, key->bytes) < 0)
                return -ENOMEM;
        nla_nest_end(message, value);
        nla_nest_end(message, element);
        return 0;
}

/* Asks for one element of the set. */
static struct nl_msg *make_question(const char *set, const struct element_key *key)
{
        const struct nfgenmsg header = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };
        struct nl_msg *message =
                nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM, NLM_F_REQUEST);
        struct nlattr *list = NULL;

        if (message &&
            nlmsg_append(message, (void *) &header, sizeof(header), NLMSG_ALIGNTO) == 0 &&
            nla_put_string(message, NFTA_SET_ELEM_LIST_TABLE, "stead") == 0 &&
            nla_put_string(message, NFTA_SET_ELEM_LIST_SET, set) == 0)
                list = nla_nest_start(message, NFTA_SET_ELEM_LIST_ELEMENTS);
        if (!list || put_element(message, key) < 0) {
                nlmsg_free(message);
                return NULL;
        }
        nla_nest_end(message, list);
        return message;
}

static const struct nlattr *find_nested(const struct nlattr *in, int type)
{
        return in ? nla_find(nla_data(in), nla_len(in), type) : NULL;
}

static int take_answer(struct nl_msg *message, void *sum)
{
        const struct nlattr *a = nlmsg_find_attr(nlmsg_hdr(message), sizeof(struct nfgenmsg),
                                                 NFTA_SET_ELEM_LIST_ELEMENTS);

        a = find_nested(find_nested(a, NFTA_LIST_ELEM), NFTA_SET_ELEM_EXPR);
        a = find_nested(find_nested(a, NFTA_EXPR_DATA), NFTA_COUNTER_PACKETS);
        if (a && nla_len(a) == sizeof(uint64_t)) {
                uint64_t packets;

                memcpy(&packets, nla_data(a), sizeof(packets));
                *(uint64_t *) sum += be64toh(packets);
        }
        return NL_OK;
}

static int ask(struct nl_sock *socket, const char *set, const struct element_key *key)
{
        struct nl_msg *message = make_question(set, key);
        int r;

        if (!message)
                return -ENOMEM;
        r = nl_send_auto(socket, message);
        nlmsg_free(message);
        if (r >= 0)
                r = nl_recvmsgs_default(socket);
        if (r >= 0)
                return 0;
        return r == -NLE_OBJ_NOTFOUND ? -ENOENT : -EIO;
}

static int ask_port(struct nl_sock *socket, const struct net_port *port,
                    const struct net_address *a, enum firewall_counter which)
{
        static const char *const sets[2][2] = { { "ports4", "ports6" },
                                                { "arrived4", "arrived6" } };
        struct element_key key;

        if (a->family == 0)
                return 0;
        key_fill(&key, port, a, which);
        return ask(socket, sets[which == FIREWALL_FORWARDED][a->family == AF_INET6], &key);
}

static int ask_all(struct nl_sock *socket, const struct firewall_member *m,
                   enum firewall_counter which)
{
        struct guest_ports seen = { 0 };
        int r = 0;

        for (size_t i = 0; i < m->n_ports && r == 0; i++) {
                bool is_new = guest_ports_add(&seen, &m->ports[i]);

                if (which == FIREWALL_FORWARDED && !is_new)
                        continue;
                r = ask_port(socket, &m->ports[i], &m->address4, which);
                if (r == 0)
                        r = ask_port(socket, &m->ports[i], &m->address6, which);
        }
        return r;
}

int firewall_read_counters(const struct firewall_member *m, enum firewall_counter which,
                           uint64_t *ret)
{
        struct nl_sock *socket = nl_socket_alloc();
        int r = -ENOMEM;

        if (!socket)
                return r;
        *ret = 0;
        /* One answer to one question: the element, or why not. */
        nl_socket_disable_auto_ack(socket);
        r = nl_connect(socket, NETLINK_NETFILTER) < 0 ? -EIO : 0;
        if (r == 0 && nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, take_answer, ret) < 0)
                r = -EIO;
        if (r == 0)
                r = ask_all(socket, m, which);
        nl_socket_free(socket);
        return r;
}
