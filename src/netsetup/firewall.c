/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/firewall.h"

#include <errno.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <nftables/libnftables.h>
#include <stdio.h>
#include <sys/socket.h>

#include "basic/fd.h"
#include "basic/log.h"
#include "netsetup/firewall-parts.h"
#include "netsetup/ifname.h"

/* A machine that has rules. Its copy is what is taken away, whatever the caller says then. */
struct entry {
        struct firewall_member m; /* its pointers lead into this entry */
        char *machine;
        struct net_port *ports;
        struct net_address *others;
        bool by_kernel;
        uint64_t counts[N_FIREWALL_COUNTERS]; /* of the last look */
        struct entry *next;
};

struct firewall {
        /* With one socket for all of its life, to which the kernel ties the ownership of the tables. */
        struct nft_ctx *nft;
        bool has_bridge_table;
        struct entry *entries;
        struct entry *ports[2][UINT16_MAX + 1]; /* [udp][of the host]: who has it */
};

static void entry_free(struct entry *e)
{
        if (!e)
                return;
        free(e->machine);
        free(e->ports);
        free(e->others);
        free(e);
}

static void cleanup_entry(struct entry **e)
{
        entry_free(*e);
}

static void *copy_of(const void *what, size_t n, size_t size)
{
        void *copy = calloc(n ? n : 1, size);

        if (copy && n)
                memcpy(copy, what, n * size);
        return copy;
}

static struct entry *entry_new(const struct firewall_member *m)
{
        struct entry *e = calloc(1, sizeof(*e));

        if (!e)
                return NULL;
        e->m = *m;
        e->m.machine = e->machine = strdup(m->machine ? m->machine : m->link);
        e->m.ports = e->ports = copy_of(m->ports, m->n_ports, sizeof(*m->ports));
        e->m.others = e->others = copy_of(m->others, m->n_others, sizeof(*m->others));
        if (!e->machine || !e->ports || !e->others) {
                entry_free(e);
                return NULL;
        }
        return e;
}

static struct entry **entry_find(struct firewall *fw, const char *link)
{
        struct entry **e = &fw->entries;

        while (*e && !streq((*e)->m.link, link))
                e = &(*e)->next;
        return e;
}

/* What nft says is "Error: Could not process rule: WHY", and more lines that show where. */
static int run(struct firewall *fw, const char *commands, char why[128])
{
        const char *text;

        if (commands[0] == '\0')
                return 0;
        if (nft_run_cmd_from_buffer(fw->nft, commands) == 0)
                return 0;
        text = nft_ctx_get_error_buffer(fw->nft);
        if (text && startswith(text, "Error: "))
                text += strlen("Error: ");
        if (text && startswith(text, "Could not process rule: "))
                text += strlen("Could not process rule: ");
        (void) snprintf(why, 128, "%.*s", text ? (int) strcspn(text, "\n") : 0, text ? text : "");
        return -EIO;
}

static int make_table(struct firewall *fw, const char *family, struct failure *failure)
{
        struct strbuf commands CLEANUP_STRBUF = STRBUF_NULL;
        char why[128];

        /* One of that name, which nobody owns, is taken for our own, from a kernel or a time in which it had no
         * owner. In the same transaction, so that there is no moment without rules. */
        strbuf_addf(&commands, "add table %s stead\ndelete table %s stead\n", family, family);
        firewall_table_text(family, &commands);
        if (!strbuf_ok(&commands))
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (run(fw, strbuf_text(&commands), why) == 0)
                return 0;
        return failure_set(failure, -EIO,
                           "Cannot make the firewall's table '%s stead': %s. Does the kernel have "
                           "nf_tables with address translation, and is there no other program "
                           "that owns a table of this name ('nft list tables')?",
                           family, why);
}

int firewall_open(struct firewall **ret, struct failure *failure)
{
        struct firewall *fw;
        int r, fd;

        /* libnftables ends the process if the kernel has no such socket. */
        fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
        if (fd < 0)
                return failure_set(failure, -errno,
                                   "Cannot reach the kernel's firewall: %s. Without nf_tables in "
                                   "the kernel there is no address translation.",
                                   error_text(-errno));
        fd_close(fd);
        fw = calloc(1, sizeof(*fw));
        if (fw)
                fw->nft = nft_ctx_new(NFT_CTX_DEFAULT);
        if (!fw || !fw->nft || nft_ctx_buffer_error(fw->nft) != 0 ||
            nft_ctx_buffer_output(fw->nft) != 0) {
                firewall_close(fw);
                return failure_set(failure, -ENOMEM, "Cannot open libnftables.");
        }
        r = make_table(fw, "inet", failure);
        if (r < 0) {
                firewall_close(fw);
                return r;
        }
        *ret = fw;
        return 0;
}

void firewall_close(struct firewall *fw)
{
        if (!fw)
                return;
        while (fw->entries) {
                struct entry *e = fw->entries;

                fw->entries = e->next;
                entry_free(e);
        }
        if (fw->nft)
                nft_ctx_free(fw->nft);
        free(fw);
}

/* As nft reads names of interfaces: it has no escapes, and '*' at the end means many. */
static bool name_can_be_written(const char *name)
{
        return name[0] == '\0' || (link_name_is_valid(name) && !strpbrk(name, "\"*\\"));
}

/* The interfaces that are there now. */
static void add_interfaces(struct strbuf *rules)
{
        struct if_nameindex *list = if_nameindex();

        for (size_t i = 0; list && list[i].if_index; i++)
                if (name_can_be_written(list[i].if_name))
                        strbuf_addf(rules, "add element inet stead before { \"%s\" }\n",
                                    list[i].if_name);
        if (list)
                if_freenameindex(list);
}

int firewall_limit_forwarding(struct firewall *fw, bool ipv4, bool ipv6, struct failure *failure)
{
        struct strbuf rules CLEANUP_STRBUF = STRBUF_NULL;
        char why[128] = "out of memory";

        strbuf_add(&rules, firewall_rules_no_limit);
        if (ipv4 || ipv6)
                add_interfaces(&rules);
        if (ipv4)
                strbuf_addf(&rules, FIREWALL_RULE_LIMIT, "ipv4");
        if (ipv6)
                strbuf_addf(&rules, FIREWALL_RULE_LIMIT, "ipv6");
        if (strbuf_ok(&rules) && run(fw, strbuf_text(&rules), why) == 0)
                return 0;
        return failure_set(failure, -EIO, "Cannot %s the limit of forwarding in the firewall: %s.",
                           ipv4 || ipv6 ? "set" : "lift", why);
}

static int check_member(struct firewall *fw, const struct firewall_member *m,
                        struct failure *failure)
{
        if (m->link[0] == '\0' || !name_can_be_written(m->link) || !name_can_be_written(m->bridge))
                return failure_set(failure, -EINVAL,
                                   "The firewall cannot have rules for the interface '%s%s%s'.",
                                   m->bridge, m->bridge[0] ? "' or '" : "", m->link);
        for (size_t i = 0; i < m->n_ports; i++) {
                const struct net_port *p = &m->ports[i];
                const struct entry *other = fw->ports[p->protocol == NET_UDP][p->host];

                if (!other || streq(other->m.link, m->link))
                        continue;
                return failure_set(failure, -EADDRINUSE,
                                   "Port %u of the host (%s) is published by machine '%s' already. "
                                   "Choose another port, or stop that machine.",
                                   p->host, net_protocol_name(p->protocol), other->machine);
        }
        return 0;
}

/* Another managed member of the same bridge. */
static bool has_sibling(struct firewall *fw, const struct entry *of)
{
        for (const struct entry *e = fw->entries; e; e = e->next)
                if (e != of && streq(e->m.bridge, of->m.bridge) &&
                    firewall_member_is_managed(&e->m))
                        return true;
        return false;
}

static void set_owner_of_ports(struct firewall *fw, const struct entry *e, struct entry *owner)
{
        for (size_t i = 0; i < e->m.n_ports; i++)
                fw->ports[e->ports[i].protocol == NET_UDP][e->ports[i].host] = owner;
}

static void elements_of(struct firewall *fw, const struct entry *e, struct firewall_batch *b)
{
        firewall_elements(&e->m, !has_sibling(fw, e), b);
        if (e->by_kernel)
                firewall_port_elements(&e->m, b);
}

static int run_batch(struct firewall *fw, const struct firewall_batch *b, char why[128])
{
        struct strbuf commands CLEANUP_STRBUF = STRBUF_NULL;

        firewall_batch_text(b, false, &commands);
        if (firewall_batch_ok(b) && strbuf_ok(&commands))
                return run(fw, strbuf_text(&commands), why);
        (void) snprintf(why, 128, "out of memory");
        return -ENOMEM;
}

int firewall_add(struct firewall *fw, const struct firewall_member *m, struct failure *failure)
{
        struct firewall_batch batch CLEANUP_BATCH = { .verb = FIREWALL_ADD };
        struct entry *e CLEANUP(cleanup_entry) = NULL;
        char why[128];
        int r;

        r = check_member(fw, m, failure);
        if (r < 0)
                return r;
        r = firewall_remove(fw, m, failure);
        if (r < 0)
                return r;
        e = entry_new(m);
        if (!e)
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (firewall_member_uses_bridge_table(m) && !fw->has_bridge_table) {
                r = make_table(fw, "bridge", failure);
                if (r < 0)
                        return r;
                fw->has_bridge_table = true;
        }
        e->by_kernel = true;
        elements_of(fw, e, &batch);
        r = run_batch(fw, &batch, why);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot write the firewall's rules of machine '%s': %s.",
                                   e->machine, why);
        set_owner_of_ports(fw, e, e);
        e->next = fw->entries;
        fw->entries = TAKE_PTR(e);
        return 0;
}

/* What is not there cannot be deleted, and fails all of the transaction: then one by one. */
static void delete_each(struct firewall *fw, const struct firewall_batch *b)
{
        struct strbuf commands CLEANUP_STRBUF = STRBUF_NULL;
        char *text CLEANUP_FREE = NULL;
        char why[128];

        firewall_batch_text(b, true, &commands);
        text = strbuf_take(&commands);
        for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
                *end = '\0';
                (void) run(fw, line, why);
        }
}

int firewall_remove(struct firewall *fw, const struct firewall_member *m, struct failure *failure)
{
        struct firewall_batch batch CLEANUP_BATCH = { .verb = FIREWALL_DELETE };
        struct entry **place = entry_find(fw, m->link), *e = *place;
        char why[128];

        if (!e)
                return 0;
        elements_of(fw, e, &batch);
        if (!firewall_batch_ok(&batch))
                return failure_set(failure, -ENOMEM, "Out of memory.");
        if (run_batch(fw, &batch, why) < 0)
                delete_each(fw, &batch);
        if (e->by_kernel)
                firewall_forget_datagrams(&e->m);
        set_owner_of_ports(fw, e, NULL);
        *place = e->next;
        entry_free(e);
        return 0;
}

int firewall_set_ports(struct firewall *fw, const struct firewall_member *m, bool by_kernel,
                       struct failure *failure)
{
        struct firewall_batch batch CLEANUP_BATCH = { .verb = by_kernel ? FIREWALL_ADD
                                                                        : FIREWALL_DELETE };
        struct entry *e = *entry_find(fw, m->link);
        char why[128];
        int r;

        if (!e || e->by_kernel == by_kernel)
                return 0;
        firewall_port_elements(&e->m, &batch);
        r = run_batch(fw, &batch, why);
        if (r < 0)
                return failure_set(failure, r,
                                   "Cannot %s the redirection of published ports of machine '%s' "
                                   "in the firewall: %s.",
                                   by_kernel ? "begin" : "end", e->machine, why);
        e->by_kernel = by_kernel;
        if (!by_kernel)
                firewall_forget_datagrams(&e->m);
        return 0;
}

static bool has_address(const struct entry *e, const struct net_address *a)
{
        return net_address_equals(a->family == AF_INET ? &e->m.address4 : &e->m.address6, a);
}

static void take_count(void *data, const struct firewall_count *count)
{
        struct firewall *fw = data;
        struct entry *e = fw->entries;

        if (count->which == FIREWALL_REDIRECTED)
                e = fw->ports[count->protocol == NET_UDP][count->port];
        else
                while (e && !has_address(e, &count->a))
                        e = e->next;
        if (e)
                e->counts[count->which] += count->packets;
}

int firewall_look(struct firewall *fw)
{
        int r = -EAGAIN;

        for (int tries = 0; tries < 3 && r == -EAGAIN; tries++) {
                for (struct entry *e = fw->entries; e; e = e->next)
                        memset(e->counts, 0, sizeof(e->counts));
                r = firewall_read_counters(take_count, fw);
        }
        return r;
}

void firewall_count_ports(struct firewall *fw, const struct firewall_member *m,
                          uint64_t *ret_redirected, uint64_t *ret_forwarded)
{
        const struct entry *e = *entry_find(fw, m->link);

        *ret_redirected = e ? e->counts[FIREWALL_REDIRECTED] : 0;
        *ret_forwarded = e ? e->counts[FIREWALL_FORWARDED] : 0;
}
