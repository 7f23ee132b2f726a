/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "netsetup/firewall-parts.h"

/*
 * The chains of the two tables. All that depends on machines is in sets and maps (firewall-sets.c),
 * so that a packet passes the same few rules however many machines there are, and a machine comes
 * and goes with elements only.
 *
 * Nothing here accepts for others: "accept" ends only the chain that says it, and chains of other
 * tables at the same hook, such as those of Docker, ufw or firewalld, still decide for themselves.
 * What we drop is gone.
 *
 * Sets of names, not of numbers of interfaces: elements can be there before the interface is.
 *
 * Protocols are numbers (1 ICMP, 2 IGMP, 6 TCP, 17 UDP, 58 ICMPv6): the library looks names up in
 * /etc/protocols, which small hosts do not have.
 */

/* "sources" runs before connection tracking: what is forged leaves no trace there. The guests of zones are
 * looked at in the other table, where their ports of the bridge can be told apart. */
#define INET_SOURCES                                                                               \
        "chain sources {\n"                                                                        \
        "  type filter hook prerouting priority raw; policy accept;\n"                             \
        "  iifname @filtered jump guest\n"                                                         \
        "}\n"                                                                                      \
        "chain guest {\n"                                                                          \
        "  icmp type redirect drop\n"                                                              \
        "  icmpv6 type { nd-router-advert, nd-redirect, mld-listener-query } drop\n"               \
        "  udp sport 67 udp dport 68 drop\n"                                                       \
        "  udp sport 547 udp dport 546 drop\n"                                                     \
        "  iifname . ip saddr @sources4 return\n"                                                  \
        "  iifname . ip6 saddr @sources6 return\n"                                                 \
        "  ip saddr 0.0.0.0 udp sport 68 udp dport 67 return\n"                                    \
        "  ip6 saddr fe80::/10 ip6 saddr != fe80::1 return\n"                                      \
        "  ip6 saddr :: icmpv6 type { nd-router-solicit, nd-neighbor-solicit, "                    \
        "mld-listener-report, mld-listener-done, mld2-listener-report } return\n"                  \
        "  drop\n"                                                                                 \
        "}\n"

/*
 * Published ports. Elements count: the first packet of each connection passes these chains, and no
 * other.
 *
 * Two kinds of clients are left to the proxy. Local ones of loopback addresses: the kernel does not
 * send packets from 127.0.0.1 out of an interface. And on bridges the machine itself: where
 * br_netfilter is loaded, as by Docker, the bridge does the translation and then will not send the
 * frame out of the port that it came from.
 *
 * Port 53 of the gateways, which are addresses of the host, is the name server's, whoever publishes
 * his own: what guests and the host itself ask there is not redirected. At other addresses the
 * proxy takes it.
 */
#define TO_GUEST                                                                                   \
        "  meta nfproto ipv4 fib daddr type local dnat ip to meta l4proto . th dport map "         \
        "@ports4\n"                                                                                \
        "  meta nfproto ipv6 fib daddr type local dnat ip6 to meta l4proto . th dport map "        \
        "@ports6\n"

#define INET_PORTS                                                                                 \
        "chain prerouting {\n"                                                                     \
        "  type nat hook prerouting priority dstnat; policy accept;\n"                             \
        "  ip saddr . meta l4proto . th dport @own4 return\n"                                      \
        "  ip6 saddr . meta l4proto . th dport @own6 return\n"                                     \
        "  iifname @links meta l4proto { 6, 17 } th dport 53 return\n" TO_GUEST "}\n"              \
        "chain output {\n"                                                                         \
        "  type nat hook output priority -100; policy accept;\n"                                   \
        "  meta l4proto { 6, 17 } th dport 53 return\n"                                            \
        "  ip daddr 127.0.0.0/8 return\n"                                                          \
        "  ip saddr 127.0.0.0/8 return\n"                                                          \
        "  ip6 daddr ::1 return\n" TO_GUEST "}\n"

/*
 * On the way out. Before everybody else's source translation, because a connection that is translated passes
 * no further chain of this type; and after everybody's forward chains, so that what arrives here got past them.
 *
 * "hairpins": a guest that comes back to itself, or to a sibling on the same bridge, by the host's published
 * port. Without the host's address as source the answer would not come back through the host.
 */
#define INET_OUT                                                                                   \
        "chain postrouting {\n"                                                                    \
        "  type nat hook postrouting priority srcnat - 10; policy accept;\n"                       \
        "  ct status dnat meta l4proto . ip daddr . th dport @arrived4\n"                          \
        "  ct status dnat meta l4proto . ip6 daddr . th dport @arrived6\n"                         \
        "  ct status dnat iifname . oifname @hairpins masquerade\n"                                \
        "  iifname @links oifname != @links jump outside\n"                                        \
        "}\n"                                                                                      \
        "chain outside {\n"                                                                        \
        "  ip daddr 224.0.0.0/4 return\n"                                                          \
        "  ip6 daddr ff00::/8 return\n"                                                            \
        "  ip daddr 255.255.255.255 return\n"                                                      \
        "  masquerade\n"                                                                           \
        "}\n"

/*
 * Isolation, --network-isolate, is about the host's own services. Guests of bridges are told apart by their
 * MAC address, which the other table makes sure of; that also covers link-local addresses. Published ports
 * are other machines' services, which siblings reach anyway.
 *
 * "asked4", "asked6": all machines of a network have one name server, which waits for those of the outside for
 * a limited number of questions at once. Nobody may use all of them up; the sources are true, see above.
 */
#define INET_ISOLATION                                                                             \
        "set asked4 { type ifname . ipv4_addr; flags dynamic,timeout; size 65536; timeout 1m; }\n" \
        "set asked6 { type ifname . ipv6_addr; flags dynamic,timeout; size 65536; timeout 1m; }\n" \
        "chain input {\n"                                                                          \
        "  type filter hook input priority filter; policy accept;\n"                               \
        "  iifname @links udp dport 53 update @asked4 { iifname . ip saddr "                       \
        "limit rate over 1000/second burst 2000 packets } drop\n"                                  \
        "  iifname @links udp dport 53 update @asked6 { iifname . ip6 saddr "                      \
        "limit rate over 1000/second burst 2000 packets } drop\n"                                  \
        "  iifname @isolated_links jump isolated\n"                                                \
        "  iifname . ether saddr @isolated_macs jump isolated\n"                                   \
        "}\n"                                                                                      \
        "chain isolated {\n"                                                                       \
        "  ct state established,related return\n"                                                  \
        "  meta l4proto { 1, 58 } return\n"                                                        \
        "  meta l4proto { 6, 17 } th dport 53 return\n"                                            \
        "  udp dport { 67, 547 } return\n"                                                         \
        "  meta l4proto . th dport @published return\n"                                            \
        "  drop\n"                                                                                 \
        "}\n"

/*
 * Who did not forward before us still does not, but for guests: not between the interfaces that were there,
 * nor for a tunnel that comes up later. Bridges and virtual links made after us are those of other programs
 * for containers or machines, which find that the host forwards already, and rely on it.
 */
#define INET_STRANGERS                                                                             \
        "set before { type ifname; }\n"                                                            \
        "chain strangers {\n"                                                                      \
        "  iifname @before oifname @before drop\n"                                                 \
        "  meta iifkind { \"bridge\", \"veth\" } return\n"                                         \
        "  meta oifkind { \"bridge\", \"veth\" } return\n"                                         \
        "  drop\n"                                                                                 \
        "}\n"

const char firewall_rules_inet[] = INET_SOURCES INET_PORTS INET_OUT INET_ISOLATION INET_STRANGERS
        "chain forward {\n"
        "  type filter hook forward priority filter; policy accept;\n"
        "}\n";

const char firewall_rules_no_limit[] = "flush chain inet stead forward\n"
                                       "flush set inet stead before\n";

/*
 * Bridges. A guest has its MAC address, its addresses, and nobody else's, in headers as well as in what ARP
 * and neighbour discovery say of them. Only these protocols: frames with a VLAN tag would hide what is in them
 * from the rules, but not from a kernel that takes the tag off.
 *
 * ARP (RFC 826, RFC 5227): the sender's address is what others remember. One without a sender asks whether an
 * address is free, and only for its own may a guest do so, or else nobody would find an address free.
 */
#define BRIDGE_SOURCES                                                                             \
        "chain sources {\n"                                                                        \
        "  type filter hook prerouting priority dstnat; policy accept;\n"                          \
        "  iifname @filtered jump guest\n"                                                         \
        "}\n"                                                                                      \
        "chain guest {\n"                                                                          \
        "  iifname . ether saddr != @macs drop\n"                                                  \
        "  iifname @only_mac return\n"                                                             \
        "  ether type arp goto guest_arp\n"                                                        \
        "  ether type ip goto guest_ip\n"                                                          \
        "  ether type ip6 goto guest_ip6\n"                                                        \
        "  drop\n"                                                                                 \
        "}\n"                                                                                      \
        "chain guest_arp {\n"                                                                      \
        "  arp operation != { request, reply } drop\n"                                             \
        "  iifname . arp saddr ether != @macs drop\n"                                              \
        "  iifname . arp saddr ip @sources4 return\n"                                              \
        "  arp operation request arp saddr ip 0.0.0.0 iifname . arp daddr ip @sources4 return\n"   \
        "  drop\n"                                                                                 \
        "}\n"                                                                                      \
        "chain guest_ip {\n"                                                                       \
        "  icmp type redirect drop\n"                                                              \
        "  ip protocol 2 igmp type membership-query drop\n"                                        \
        "  udp sport 67 udp dport 68 drop\n"                                                       \
        "  iifname . ip saddr @sources4 return\n"                                                  \
        "  ip saddr 0.0.0.0 udp sport 68 udp dport 67 return\n"                                    \
        "  drop\n"                                                                                 \
        "}\n"

/*
 * IPv6. What speaks from a link-local address in pieces is dropped: RFC 6980 forbids that for neighbour
 * discovery, and the first piece need not show what it is.
 *
 * "@nh,64,128" is the source in the IPv6 header, "@th,64,128" the target of a neighbour solicitation or
 * advertisement (RFC 4861 4.3, 4.4), and "@th,64,10 0x3fa" says that this is link-local. Every target that a
 * guest answers for, or asks to have, must be its own.
 *
 * Link-local addresses need not follow from the MAC address (RFC 7217). Those of guests that do are "taken",
 * and so is whatever the host itself speaks from; another one belongs to the guest that uses it first, until
 * it was not used for an hour. So that no guest claims all, there is a limit for each.
 */
#define CLAIM(key)                                                                                 \
        "  " key " @taken drop\n"                                                                  \
        "  " key " @of_host drop\n"                                                                \
        "  iifname . " key " @claims update @claims { iifname . " key " } "                        \
        "update @claimed { " key " } return\n"                                                     \
        "  " key " @claimed drop\n"                                                                \
        "  update @claim_rate { iifname limit rate over 60/hour burst 32 packets } drop\n"         \
        "  add @claims { iifname . " key " } add @claimed { " key " } return\n"                    \
        "  drop\n"

#define BRIDGE_IPV6                                                                                \
        "set of_host { typeof @nh,64,128; flags dynamic; size 65536; }\n"                          \
        "set claims { typeof iifname . @nh,64,128; flags dynamic,timeout; size 65536; "            \
        "timeout 1h; }\n"                                                                          \
        "set claimed { typeof @nh,64,128; flags dynamic,timeout; size 65536; timeout 1h; }\n"      \
        "set claim_rate { type ifname; flags dynamic,timeout; size 65536; timeout 1h; }\n"         \
        "chain host {\n"                                                                           \
        "  type filter hook output priority filter; policy accept;\n"                              \
        "  ip6 saddr fe80::/10 icmpv6 type { nd-router-advert, nd-neighbor-solicit, "              \
        "nd-neighbor-advert } add @of_host { @nh,64,128 }\n"                                       \
        "}\n"                                                                                      \
        "chain guest_ip6 {\n"                                                                      \
        "  ip6 saddr fe80::1 drop\n"                                                               \
        "  ip6 saddr fe80::/10 exthdr frag exists drop\n"                                          \
        "  icmpv6 type { nd-router-advert, nd-redirect, mld-listener-query } drop\n"               \
        "  udp sport 547 udp dport 546 drop\n"                                                     \
        "  icmpv6 type nd-neighbor-advert jump target\n"                                           \
        "  iifname . ip6 saddr @sources6 return\n"                                                 \
        "  ip6 saddr fe80::/10 goto link_local\n"                                                  \
        "  ip6 saddr :: icmpv6 type nd-neighbor-solicit goto target\n"                             \
        "  ip6 saddr :: icmpv6 type { nd-router-solicit, mld-listener-report, "                    \
        "mld-listener-done, mld2-listener-report } return\n"                                       \
        "  drop\n"                                                                                 \
        "}\n"                                                                                      \
        "chain target {\n"                                                                         \
        "  iifname . @th,64,128 @targets return\n"                                                 \
        "  @th,64,10 != 0x3fa drop\n"                                                              \
        "  @th,64,128 0xfe800000000000000000000000000001 drop\n" CLAIM(                            \
                "@th,64,128") "}\n"                                                                \
                              "chain link_local {\n" CLAIM("@nh,64,128") "}\n"

const char firewall_rules_bridge[] = BRIDGE_SOURCES BRIDGE_IPV6;
