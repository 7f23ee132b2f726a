/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the network's options say together. What depends on names and on the host is the plan's. */

#include <errno.h>

#include "nspawn/config.h"

static bool has_first_link(const struct net_config *n)
{
        return n->veth || n->bridge || n->zone;
}

static bool has_links(const struct net_config *n)
{
        return has_first_link(n) || n->n_extras > 0 || n->n_interfaces > 0 || n->n_macvlans > 0 ||
               n->n_ipvlans > 0;
}

bool config_network_is_own(const struct net_config *n)
{
        return n->private_network || (net_config_is_private(n) && !n->namespace_path);
}

bool config_network_is_ours(const struct net_config *n)
{
        return has_first_link(n) && !n->bridge && n->setup != NET_SETUP_NO;
}

/* The first thing that was chosen about a link; NULL: nothing. */
static const char *choice_of(const struct net_config *n)
{
        return n->n_addresses > 0                              ? "--network-address="
               : n->gateway4.family != 0 || n->gateway6.family ? "--network-gateway="
               : n->mac_set                                    ? "--network-mac="
               : n->mtu > 0                                    ? "--network-mtu="
               : n->name                                       ? "--network-name="
               : n->setup != NET_SETUP_AUTO                    ? "--network-setup="
               : n->isolate                                    ? "--network-isolate"
                                                               : NULL;
}

static int validate_links(const struct net_config *n, struct failure *failure)
{
        const char *choice = choice_of(n);

        if (n->bridge && n->zone)
                return failure_set(failure, -EINVAL,
                                   "--network-bridge= and --network-zone= cannot be combined: the "
                                   "link joins one bridge. Leave one of them out.");
        if (n->namespace_path && (has_links(n) || choice))
                return failure_set(
                        failure, -EINVAL,
                        "--network-namespace-path= cannot be combined with %s: what is "
                        "in that network is the matter of who made it. Leave one of them "
                        "out.",
                        choice ? choice : "options that add links");
        if (choice && !has_links(n))
                return failure_set(failure, -EINVAL,
                                   "%s is about a link, and there is none. Add --network-veth, "
                                   "--network-zone=, --network-bridge= or another option that adds "
                                   "one.",
                                   choice);
        if (n->n_ports > 0 && !config_network_is_own(n))
                return failure_set(failure, -EINVAL,
                                   "--port= needs a network of the container's own: in "
                                   "another one its ports are there for all already. Add "
                                   "--network-veth or another network option, or leave it out.");
        return 0;
}

/* What was chosen is about the first of these; NULL: about a link that nspawn names itself. */
static const struct net_pair *chosen_pair(const struct net_config *n)
{
        return has_first_link(n)     ? NULL
               : n->n_macvlans > 0   ? n->macvlans
               : n->n_ipvlans > 0    ? n->ipvlans
               : n->n_interfaces > 0 ? n->interfaces
               : n->n_extras > 0     ? n->extras
                                     : NULL;
}

static bool has_family(const struct net_config *n, int family)
{
        for (size_t i = 0; i < n->n_addresses; i++)
                if (n->addresses[i].family == family)
                        return true;
        return false;
}

static int validate_gateway(const struct net_config *n, const struct net_address *gateway,
                            struct failure *failure)
{
        char text[NET_ADDRESS_TEXT_SIZE];

        /* On a link between us and the container the other address may be ours to choose. */
        if (gateway->family == 0 || has_family(n, gateway->family) || config_network_is_ours(n))
                return 0;
        return failure_set(failure, -EINVAL,
                           "--network-gateway=%s cannot be reached without an address of the same "
                           "kind. Add one with --network-address=.",
                           net_address_text(gateway, text));
}

static int validate_choices(const struct net_config *n, struct failure *failure)
{
        const struct net_pair *pair = chosen_pair(n);
        int r;

        if (n->name && pair && pair->guest)
                return failure_set(failure, -EINVAL,
                                   "--network-name=%s and '%s' give the same link two names. Leave "
                                   "one of them out.",
                                   n->name, pair->origin);
        if (n->mac_set && pair && pair == n->ipvlans)
                return failure_set(failure, -EINVAL,
                                   "--network-mac= cannot be used with '%s': an ipvlan interface "
                                   "has the MAC address of the host's. Leave it out, or use "
                                   "--network-macvlan=.",
                                   pair->origin);
        if (n->isolate && !config_network_is_ours(n))
                return failure_set(failure, -EINVAL,
                                   "--network-isolate needs a network that nspawn makes. Add "
                                   "--network-veth or --network-zone=, without --network-setup=no, "
                                   "or leave it out.");
        if (n->setup == NET_SETUP_YES && !config_network_is_ours(n))
                return failure_set(failure, -EINVAL,
                                   "--network-setup=yes needs a network that nspawn makes: "
                                   "--network-veth or --network-zone=. Use --network-address= to "
                                   "give other links an address.");
        r = validate_gateway(n, &n->gateway4, failure);
        return r < 0 ? r : validate_gateway(n, &n->gateway6, failure);
}

int config_validate_network(const struct net_config *n, struct failure *failure)
{
        int r = validate_links(n, failure);

        return r < 0 ? r : validate_choices(n, failure);
}
