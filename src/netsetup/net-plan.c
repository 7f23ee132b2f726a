/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is made of what was asked for: names, MAC addresses, addresses and states of all links. */

#include "netsetup/net-plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "netsetup/ifname.h"
#include "netsetup/keeper-message.h"

struct builder {
        const struct net_config *config;
        const struct net_facts *facts;
        struct net_plan *plan;
        struct failure *failure;
};

/* ---- one link ---------------------------------------------------------------------------- */

static struct net_link *add_link(struct builder *b, enum net_link_kind kind, const char *origin)
{
        struct net_link *link = &b->plan->links[b->plan->n_links++];

        *link = (struct net_link){ .kind = kind };
        link->origin = strdup(origin);
        return link->origin ? link : NULL;
}

/* Lengths were checked with the option. */
static void set_name(char field[LINK_NAME_SIZE], const char *name)
{
        (void) snprintf(field, LINK_NAME_SIZE, "%s", name);
}

/* The full name of a link whose name was shortened. */
static int set_altname(struct net_link *link, const char *prefix, const char *name)
{
        return asprintf(&link->altname, "%s%s", prefix, name) < 0 ? -ENOMEM : 0;
}

static int add_veth(struct builder *b)
{
        const struct net_config *c = b->config;
        const char *machine = b->plan->machine;
        const char *prefix = c->bridge || c->zone ? "vb-" : "ve-";
        struct net_link *link;

        if (!c->veth && !c->bridge && !c->zone)
                return 0;
        link = add_link(b, LINK_VETH,
                        c->zone     ? "--network-zone="
                        : c->bridge ? "--network-bridge="
                                    : "--network-veth");
        if (!link)
                return -ENOMEM;
        set_name(link->guest, "host0");
        link->has_macs = true;
        mac_make(MAC_HOST_END, &b->facts->host_id, machine, 0, link->host_mac);
        mac_make(MAC_GUEST_END, &b->facts->host_id, machine, 0, link->guest_mac);
        if (b->facts->mac_from_environment)
                memcpy(link->guest_mac, b->facts->mac, MAC_SIZE);
        /* A port of a bridge is of no use down; a link between two waits for who gives it addresses. */
        link->host_up = c->bridge || c->zone || b->plan->manager == NET_MANAGER_US;
        if (c->zone) {
                (void) link_name_make("vz-", c->zone, false, link->master);
                link->master_is_zone = true;
        } else if (c->bridge)
                set_name(link->master, c->bridge);
        return link_name_make(prefix, machine, b->facts->old_names, link->host) &&
                               !b->facts->old_names
                       ? set_altname(link, prefix, machine)
                       : 0;
}

static int add_extras(struct builder *b)
{
        for (size_t i = 0; i < b->config->n_extras; i++) {
                const struct net_pair *pair = &b->config->extras[i];
                struct net_link *link = add_link(b, LINK_EXTRA_VETH, pair->origin);

                if (!link)
                        return -ENOMEM;
                set_name(link->host, pair->host);
                set_name(link->guest, pair->guest ? pair->guest : pair->host);
                link->has_macs = true;
                mac_make(MAC_EXTRA_HOST, &b->facts->host_id, b->plan->machine, i, link->host_mac);
                mac_make(MAC_EXTRA_GUEST, &b->facts->host_id, b->plan->machine, i, link->guest_mac);
        }
        return 0;
}

static int add_moved(struct builder *b)
{
        for (size_t i = 0; i < b->config->n_interfaces; i++) {
                const struct net_pair *pair = &b->config->interfaces[i];
                struct net_link *link = add_link(b, LINK_MOVED, pair->origin);

                if (!link)
                        return -ENOMEM;
                set_name(link->host, pair->host);
                set_name(link->guest, pair->guest ? pair->guest : pair->host);
        }
        return 0;
}

/* Links on top of an interface of the host. */
static int add_stacked(struct builder *b, enum net_link_kind kind, const struct net_pair *pairs,
                       size_t n, const char *prefix)
{
        for (size_t i = 0; i < n; i++) {
                struct net_link *link = add_link(b, kind, pairs[i].origin);

                if (!link)
                        return -ENOMEM;
                set_name(link->lower, pairs[i].host);
                if (pairs[i].guest)
                        set_name(link->guest, pairs[i].guest);
                else
                        (void) link_name_make(prefix, pairs[i].host, b->facts->old_names,
                                              link->guest);
                if (kind == LINK_MACVLAN) { /* one of ipvlan has the address of its interface */
                        link->has_macs = true;
                        mac_make(MAC_MACVLAN, &b->facts->host_id, b->plan->machine, i,
                                 link->guest_mac);
                }
        }
        return 0;
}

/* ---- addresses --------------------------------------------------------------------------- */

static int add_address(struct builder *b, struct net_link *link, const struct net_address *a)
{
        if (a->family == 0)
                return 0;
        if (link->n_addresses == NET_LINK_MAX_ADDRESSES)
                return failure_set(b->failure, -E2BIG,
                                   "More than %d addresses for one link (--network-address=).",
                                   NET_LINK_MAX_ADDRESSES);
        link->addresses[link->n_addresses++] = *a;
        return 0;
}

static const struct net_address *asked_for(const struct net_config *c, int family)
{
        for (size_t i = 0; i < c->n_addresses; i++)
                if (c->addresses[i].family == family)
                        return &c->addresses[i];
        return NULL;
}

/* Addresses of one's own choice take the place of those that would follow from the name. */
static void choose_lease(struct builder *b)
{
        struct net_lease *lease = &b->plan->lease;
        const struct net_address *four = asked_for(b->config, AF_INET);
        const struct net_address *six = asked_for(b->config, AF_INET6);

        *lease = b->facts->lease;
        if (four)
                lease->address4 = *four;
        if (six)
                lease->address6 = *six;
        if (b->config->gateway4.family)
                lease->subnet.gateway4 = b->config->gateway4;
        if (b->config->gateway6.family)
                lease->subnet.gateway6 = b->config->gateway6;
}

static int set_addresses(struct builder *b, struct net_link *link)
{
        const struct net_config *c = b->config;
        const struct net_lease *lease = &b->plan->lease;
        bool ours = b->plan->manager == NET_MANAGER_US;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < c->n_addresses; i++)
                r = add_address(b, link, &c->addresses[i]);
        if (r >= 0 && ours && !asked_for(c, AF_INET))
                r = add_address(b, link, &lease->address4);
        if (r >= 0 && ours && !asked_for(c, AF_INET6))
                r = add_address(b, link, &lease->address6);
        if (r < 0)
                return r;
        link->host_addresses = ours;
        link->gateway4 = ours ? lease->subnet.gateway4 : c->gateway4;
        link->gateway6 = ours ? lease->subnet.gateway6 : c->gateway6;
        link->guest_up = ours || link->n_addresses > 0;
        link->host_up |= link->n_addresses > 0;
        /* On a link between two there is one neighbour, and this is its address on every one. */
        if (ours && !link->master[0] && lease->address6.family && !c->gateway6.family)
                (void) net_address_parse("fe80::1/64", &link->gateway6);
        return 0;
}

/* What one chooses is about the first virtual link, or else the first other one. */
static struct net_link *first_link(const struct net_plan *plan)
{
        static const enum net_link_kind order[] = { LINK_VETH, LINK_MACVLAN, LINK_IPVLAN,
                                                    LINK_MOVED, LINK_EXTRA_VETH };

        for (size_t k = 0; k < ARRAY_SIZE(order); k++)
                for (size_t i = 0; i < plan->n_links; i++)
                        if (plan->links[i].kind == order[k])
                                return &plan->links[i];
        return NULL;
}

/* The kernel takes IPv6 away from links with less (RFC 8200 5). */
#define SMALLEST_MTU6 1280

static int check_mtu(const struct builder *b, const struct net_link *link)
{
        if (link->mtu == 0 || link->mtu >= SMALLEST_MTU6)
                return 0;
        for (size_t i = 0; i < link->n_addresses; i++)
                if (link->addresses[i].family == AF_INET6)
                        return failure_set(b->failure, -EINVAL,
                                           "--network-mtu=%u is too small for the link's IPv6 "
                                           "address: give %d or more, or use --network-setup=no.",
                                           link->mtu, SMALLEST_MTU6);
        return 0;
}

static int apply_choices(struct builder *b)
{
        const struct net_config *c = b->config;
        struct net_link *link = first_link(b->plan);
        int r;

        if (!link)
                return 0;
        if (c->mac_set) {
                memcpy(link->guest_mac, c->mac, MAC_SIZE);
                link->has_macs = true;
        }
        if (c->mtu)
                link->mtu = c->mtu;
        if (c->name)
                set_name(link->guest, c->name);
        r = set_addresses(b, link);
        return r < 0 ? r : check_mtu(b, link);
}

/* ---- the whole --------------------------------------------------------------------------- */

/* Inside each name exists once; the kernel would say so, but not which two options it was. */
static int check_names(const struct builder *b)
{
        const struct net_plan *plan = b->plan;

        for (size_t i = 0; i < plan->n_links; i++)
                for (size_t k = 0; k < i; k++)
                        if (streq(plan->links[i].guest, plan->links[k].guest))
                                return failure_set(b->failure, -EEXIST,
                                                   "Two links would be named '%s' in the "
                                                   "container: of '%s' and of '%s'.",
                                                   plan->links[i].guest, plan->links[k].origin,
                                                   plan->links[i].origin);
        return 0;
}

/* The keeper's rules isolate, and they are for machines whose addresses come from us. */
static int check_isolation(const struct builder *b)
{
        if (!b->plan->isolate || b->plan->manager == NET_MANAGER_US)
                return 0;
        return failure_set(b->failure, -EOPNOTSUPP,
                           "Cannot isolate the machine (--network-isolate): %s of the host gives "
                           "the addresses of its link. Add --network-setup=yes, or leave it out.",
                           net_manager_name(b->plan->manager));
}

static int decide_manager(struct builder *b)
{
        struct net_plan *plan = b->plan;

        plan->manager = b->facts->manager;
        if (plan->manager != NET_MANAGER_US)
                return 0;
        net_config_network(b->config, plan->network);
        if (!keeper_name_is_plain(plan->network, KEEPER_NETWORK_MAX))
                return failure_set(b->failure, -EINVAL,
                                   "Zone '%s' would have a folder and a name server: use letters, "
                                   "digits, '-', '_' and single dots between them, or take "
                                   "--network-setup=no.",
                                   b->config->zone);
        choose_lease(b);
        return 0;
}

int net_plan_build(const struct net_config *config, const struct net_facts *facts,
                   const char *machine, struct net_plan *ret, struct failure *failure)
{
        struct net_plan plan = {
                .private_network = net_config_is_private(config),
                .namespace_path = config->namespace_path,
                .isolate = config->isolate,
                .ports = config->ports,
                .n_ports = config->n_ports,
                .machine = machine,
                .has_resolver = facts->has_dnsmasq,
        };
        struct builder b = { config, facts, &plan, failure };
        size_t most = 1 + config->n_extras + config->n_interfaces + config->n_macvlans +
                      config->n_ipvlans;
        int r = 0;

        plan.links = calloc(most, sizeof(*plan.links));
        if (!plan.links)
                return -ENOMEM;
        r = decide_manager(&b);
        if (r >= 0)
                r = add_moved(&b);
        if (r >= 0)
                r = add_veth(&b);
        if (r >= 0)
                r = add_extras(&b);
        if (r >= 0)
                r = add_stacked(&b, LINK_MACVLAN, config->macvlans, config->n_macvlans, "mv-");
        if (r >= 0)
                r = add_stacked(&b, LINK_IPVLAN, config->ipvlans, config->n_ipvlans, "iv-");
        if (r >= 0)
                r = apply_choices(&b);
        if (r >= 0)
                r = check_names(&b);
        if (r >= 0)
                r = check_isolation(&b);
        if (r < 0) {
                net_plan_done(&plan);
                return r;
        }
        *ret = plan;
        return 0;
}

void net_plan_done(struct net_plan *plan)
{
        for (size_t i = 0; i < plan->n_links; i++) {
                free(plan->links[i].altname);
                free(plan->links[i].origin);
        }
        free(plan->links);
        *plan = (struct net_plan){ .links = NULL };
}

bool net_plan_has_work(const struct net_plan *plan)
{
        return plan->n_links > 0;
}

const char *net_plan_resolv_conf(const struct net_plan *plan, char text[NET_RESOLV_CONF_SIZE])
{
        char four[NET_ADDRESS_TEXT_SIZE];

        text[0] = '\0';
        if (plan->manager == NET_MANAGER_US && plan->has_resolver)
                (void) snprintf(text, NET_RESOLV_CONF_SIZE, "nameserver %s\n",
                                net_address_text(&plan->lease.subnet.gateway4, four));
        return text;
}
