/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The network's plan as text and JSON. */

#include "netsetup/ifname.h"
#include "netsetup/net-plan.h"

const char *net_manager_name(enum net_manager manager)
{
        static const char *const names[] = {
                [NET_MANAGER_NONE] = "nobody",
                [NET_MANAGER_US] = "stead",
                [NET_MANAGER_NETWORKD] = "systemd-networkd",
                [NET_MANAGER_NETWORKMANAGER] = "NetworkManager",
        };

        return names[manager];
}

static const char *kind_name(enum net_link_kind kind)
{
        static const char *const names[] = {
                [LINK_VETH] = "veth",     [LINK_EXTRA_VETH] = "veth", [LINK_MACVLAN] = "macvlan",
                [LINK_IPVLAN] = "ipvlan", [LINK_MOVED] = "moved",
        };

        return names[kind];
}

static void add_flag(struct strbuf *out, bool is, const char *word)
{
        if (is)
                strbuf_addf(out, " %s", word);
}

/* "veth ve-web (bridge vz-lab) -> host0 mac=… 10.0.0.7/24 via 10.0.0.1 up (--network-veth)" */
static void add_link(struct strbuf *out, const struct net_link *link)
{
        char text[NET_ADDRESS_TEXT_SIZE], mac[MAC_TEXT_SIZE];

        strbuf_addf(out, "%s %s -> %s", kind_name(link->kind),
                    link->lower[0] ? link->lower : link->host, link->guest);
        if (link->altname)
                strbuf_addf(out, " altname=%s", link->altname);
        if (link->master[0])
                strbuf_addf(out, " %s=%s", link->master_is_zone ? "zone" : "bridge", link->master);
        if (link->has_macs && link->host[0])
                strbuf_addf(out, " host-mac=%s", mac_text(link->host_mac, mac));
        if (link->has_macs)
                strbuf_addf(out, " mac=%s", mac_text(link->guest_mac, mac));
        if (link->mtu)
                strbuf_addf(out, " mtu=%u", link->mtu);
        add_flag(out, link->host_up, "host-up");
        add_flag(out, link->guest_up, "up");
        for (size_t i = 0; i < link->n_addresses; i++)
                strbuf_addf(out, " %s", net_address_prefix_text(&link->addresses[i], text));
        if (link->gateway4.family)
                strbuf_addf(out, " via %s", net_address_text(&link->gateway4, text));
        if (link->gateway6.family)
                strbuf_addf(out, " via %s", net_address_text(&link->gateway6, text));
        strbuf_addf(out, " (%s)", link->origin);
}

void net_plan_print(const struct net_plan *plan, struct strbuf *out)
{
        for (size_t i = 0; i < plan->n_links; i++) {
                add_link(out, &plan->links[i]);
                strbuf_add(out, "\n");
        }
        for (size_t i = 0; i < plan->n_ports; i++)
                strbuf_addf(out, "port %s %u -> %u (%s)\n",
                            net_protocol_name(plan->ports[i].protocol), plan->ports[i].host,
                            plan->ports[i].guest, plan->ports[i].origin);
}
