/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/port-rules.h"

#include <errno.h>
#include <netinet/in.h>

/* After the C library's, or else the kernel's headers define the same things. */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#define OUR_TABLE "stead"
#define READS_EACH_TURN 64

struct port_rules {
        struct nl_sock *socket;
};

/* The attribute with the table's name; 0: not of interest, such as elements of sets. */
static int table_attribute(int message)
{
        switch (message) {
        case NFT_MSG_NEWTABLE:
        case NFT_MSG_DELTABLE:
                return NFTA_TABLE_NAME;
        case NFT_MSG_NEWCHAIN:
        case NFT_MSG_DELCHAIN:
                return NFTA_CHAIN_TABLE;
        case NFT_MSG_NEWRULE:
        case NFT_MSG_DELRULE:
                return NFTA_RULE_TABLE;
        default:
                return 0;
        }
}

static int read_message(struct nl_msg *message, void *data)
{
        struct nlmsghdr *header = nlmsg_hdr(message);
        int type = table_attribute(header->nlmsg_type & 0xff);
        struct nlattr *table;

        if (header->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES || type == 0)
                return NL_OK;
        table = nlmsg_find_attr(header, sizeof(struct nfgenmsg), type);
        if (!table || nla_strcmp(table, OUR_TABLE) != 0)
                *(bool *) data = true;
        return NL_OK;
}

int port_rules_open(struct port_rules **ret)
{
        struct port_rules *rules = calloc(1, sizeof(*rules));
        int r = -NLE_NOMEM;

        if (!rules)
                return -ENOMEM;
        rules->socket = nl_socket_alloc();
        if (rules->socket) {
                nl_socket_disable_seq_check(rules->socket);
                r = nl_connect(rules->socket, NETLINK_NETFILTER);
        }
        if (r >= 0)
                r = nl_socket_set_nonblocking(rules->socket);
        if (r >= 0)
                r = nl_socket_add_membership(rules->socket, NFNLGRP_NFTABLES);
        if (r < 0) {
                port_rules_close(rules);
                return -EIO;
        }
        *ret = rules;
        return 0;
}

void port_rules_close(struct port_rules *rules)
{
        if (!rules)
                return;
        nl_socket_free(rules->socket);
        free(rules);
}

int port_rules_fd(const struct port_rules *rules)
{
        return nl_socket_get_fd(rules->socket);
}

bool port_rules_dispatch(struct port_rules *rules)
{
        bool changed = false;
        int r = nl_socket_modify_cb(rules->socket, NL_CB_VALID, NL_CB_CUSTOM, read_message,
                                    &changed);

        for (int i = 0; i < READS_EACH_TURN && r >= 0; i++)
                r = nl_recvmsgs_default(rules->socket);
        /* What got lost may have been anything. */
        return changed || (r < 0 && r != -NLE_AGAIN);
}
