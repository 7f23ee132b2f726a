"""The firewall alone: what guests may send, how they reach others, and how published ports lead to them.

Guests are namespaces here, and src/netsetup/try-firewall.c is all of the keeper that runs.
"""

import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys

import pytest

import frames
import harness
import network

PROGRAM = os.path.join(os.path.dirname(harness.LAUNCHER), "src", "netsetup", "try-firewall")
OUTSIDE = str(network.HERE / "outside.py")
marks = itertools.count(1)

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not os.access(PROGRAM, os.X_OK),
                                                   reason="try-firewall is only where it was built")]


class Firewall:
    def __init__(self, host):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=host.inside.enter)
        first = self.process.stdout.readline()
        assert first == "open\n", first

    def tell(self, *words):
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def do(self, *words):
        answer = self.tell(*words)
        assert answer.endswith("ok"), answer
        return answer[:-2].strip()

    def count(self, link):
        return tuple(map(int, self.do("count", link).split()))

    def end(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


class Guest:
    """A namespace with an echo on port 7, and on port 80 one who tells who asks."""

    def __init__(self, name, number, zone=None):
        self.name, self.zone = name, zone
        self.mac = f"02:00:00:00:aa:{number:02x}"
        net = 78 if zone else 77
        self.gateway4, self.gateway6 = f"10.{net}.0.1", f"fd{net}::1"
        self.address4, self.address6 = f"10.{net}.0.{number}", f"fd{net}::{number}"
        self.link = f"{'vb' if zone else 've'}-{name}"
        self.link_local = frames.link_local(self.mac)
        self.namespaces = network.Namespaces("unshare", "--net", sys.executable, "-I", OUTSIDE, str(os.getpid()))
        self.pid = self.namespaces.pid

    def connect(self, host):
        """As the links' part of the network does it."""
        run = host.run
        run("ip", "link", "add", self.link, "type", "veth", "peer", "host0", "netns", self.pid, "address", self.mac)
        where = f"vz-{self.zone}" if self.zone else self.link
        if self.zone:
            run("ip", "link", "set", self.link, "master", where)
        else:
            run("ip", "addr", "add", f"{self.gateway4}/32", "dev", where)
            run("ip", "addr", "add", f"{self.gateway6}/128", "dev", where, "nodad")
            run("ip", "addr", "add", "fe80::1/64", "dev", where, "nodad")
        run("ip", "link", "set", self.link, "up")
        if not self.zone:
            run("ip", "route", "add", f"{self.address4}/32", "dev", where)
            run("ip", "route", "add", f"{self.address6}/128", "dev", where)
            host.write(f"/proc/sys/net/ipv4/conf/{where}/proxy_arp", "1")
        batch = [f"addr add {self.address4}/24 dev host0",
                 f"addr add {self.address6}/{64 if self.zone else 128} dev host0 nodad", "link set host0 up",
                 "link set lo up", f"route add default via {self.gateway4}",
                 f"route add default via {self.gateway6 if self.zone else 'fe80::1'} dev host0"]
        network.check(["sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/host0/accept_dad; ip -batch -"],
                      input="\n".join(batch) + "\n", preexec_fn=self.namespaces.enter)

    def add_words(self, *more):
        return ("add", self.name, self.link, f"vz-{self.zone}" if self.zone else "-", self.mac, self.address4,
                self.address6, *more)


class Setting:
    """A host with guests, of which the first one is the attacker."""

    def __init__(self, host, firewall):
        self.host, self.firewall, self.guests, self.stack = host, firewall, [], contextlib.ExitStack()

    def guest(self, name, *words, zone=None, add=True):
        guest = Guest(name, len(self.guests) + 2, zone)
        self.stack.callback(guest.namespaces.end)
        self.guests.append(guest)
        if zone and f"vz-{zone}" not in self.host.links():
            self.host.run("ip", "link", "add", f"vz-{zone}", "type", "bridge")
            self.host.write(f"/proc/sys/net/ipv6/conf/vz-{zone}/accept_dad", "0")
            for line in (f"addr add {guest.gateway4}/24 dev vz-{zone}",
                         f"addr add {guest.gateway6}/64 dev vz-{zone} nodad", f"link set vz-{zone} up"):
                self.host.run("ip", *line.split())
        guest.connect(self.host)
        harness.wait_until(lambda: self.host.read(f"/sys/class/net/{guest.link}/operstate") == "up\n", 10, "a link")
        if zone:
            state = f"/sys/class/net/{guest.link}/brport/state"
            harness.wait_until(lambda: self.host.read(state) == "3\n", 10, "a port that forwards")
        if add:
            self.firewall.do(*guest.add_words(*words))
        return guest

    def ask(self, guest, *words, **options):
        return self.host.ask(*words, where=guest.namespaces, **options)

    def fails(self, where, *words):
        with pytest.raises(AssertionError):
            self.host.ask(*words, where=getattr(where, "namespaces", where), timeout=0.5)


@pytest.fixture
def setting():
    with network.Host(clean=False) as host:
        host.write("/proc/sys/net/ipv4/ip_forward", "1")
        host.write("/proc/sys/net/ipv6/conf/all/forwarding", "1")
        firewall = Firewall(host)
        made = Setting(host, firewall)
        with made.stack:
            made.stack.callback(firewall.end)
            yield made


class Attack:
    """Sends frames of one guest, and knows which of them arrived at another."""

    def __init__(self, setting, attacker, victim):
        self.attacker, self.victim = attacker, victim
        self.sender = frames.packet_socket(attacker.pid, "host0")
        self.watcher = frames.Watcher(victim.pid, "host0")
        setting.stack.callback(self.sender.close)
        setting.stack.callback(self.watcher.close)

    def passes(self, make, sender=None):
        """@make gets a mark and returns the frame. Frames do not overtake each other on the way, so once an
        allowed one that was sent later is there, the first will not come any more."""
        mark, fence = (f"[{next(marks):08}]".encode() for _ in range(2))
        (sender or self.sender).send(make(mark))
        own = frames.udp(self.attacker.address4, self.victim.address4, 9, 9, fence)
        self.sender.send(frames.ether(self.attacker.mac, self.victim.mac, frames.ETH_P_IP, own))
        self.watcher.wait_for(fence)
        return mark in self.watcher.seen


def zone_frames(a, v, gateway_link_local):
    """(what it is, whether it may pass, the kind of frame, a function from the mark to its content,
    its sender's MAC address)"""
    def e4(source, target=None, ports=(9, 9)):
        return lambda mark: frames.udp(source, target or v.address4, *ports, mark)

    def e6(source, target=None, ports=(9, 9)):
        return lambda mark: frames.udp(source, target or v.address6, *ports, mark)

    def said(operation, mac, sender, target):
        return lambda mark: frames.arp(operation, mac, sender, target, v.mac, mark)

    def nd(source, kind, address, split=False):
        return lambda mark: frames.neighbour(source, v.address6, kind, address, a.mac, mark, split)

    def icmp(source, kind):
        return lambda mark: frames.icmp6(source, "ff02::1", kind, bytes(28) + mark)

    ip, ip6, arp = frames.ETH_P_IP, frames.ETH_P_IPV6, frames.ETH_P_ARP
    na, ns = frames.ICMP6_NA, frames.ICMP6_NS
    forged_arp = frames.arp(2, a.mac, a.gateway4, v.address4, v.mac)
    return [
        ("own IPv4", True, ip, e4(a.address4), a.mac),
        ("own IPv4 to all", True, ip, e4(a.address4, "255.255.255.255"), a.mac),
        ("sibling's IPv4", False, ip, e4(v.address4), a.mac),
        ("gateway's IPv4", False, ip, e4(a.gateway4), a.mac),
        ("the outside's IPv4", False, ip, e4("203.0.113.80"), a.mac),
        ("own IPv4, sibling's MAC", False, ip, e4(a.address4), v.mac),
        ("own IPv4, some MAC", False, ip, e4(a.address4), "02:00:00:00:bb:01"),
        ("no IPv4", False, ip, e4("0.0.0.0"), a.mac),
        ("DHCP request without address", True, ip, e4("0.0.0.0", "255.255.255.255", (68, 67)), a.mac),
        ("DHCP offer", False, ip, e4(a.address4, "255.255.255.255", (67, 68)), a.mac),
        ("DHCP offer as the gateway", False, ip, e4(a.gateway4, "255.255.255.255", (67, 68)), a.mac),
        ("DHCP offer from nobody", False, ip, e4("0.0.0.0", "255.255.255.255", (67, 68)), a.mac),
        ("ICMP redirect", False, ip, lambda mark: frames.ipv4(
            a.address4, v.address4, 1, b"\5\1\0\0" + frames.packed(a.address4) + mark), a.mac),
        ("IGMP query", False, ip, lambda mark: frames.ipv4(
            a.address4, "224.0.0.1", 2, b"\x11\1\0\0\0\0\0\0" + mark), a.mac),
        ("ARP request", True, arp, said(1, a.mac, a.address4, v.address4), a.mac),
        ("ARP answer", True, arp, said(2, a.mac, a.address4, v.address4), a.mac),
        ("ARP as sibling", False, arp, said(1, a.mac, v.address4, v.address4), a.mac),
        ("ARP answer as gateway", False, arp, said(2, a.mac, a.gateway4, v.address4), a.mac),
        ("ARP with sibling's MAC", False, arp, said(2, v.mac, a.address4, v.address4), a.mac),
        ("ARP probe for own", True, arp, said(1, a.mac, "0.0.0.0", a.address4), a.mac),
        ("ARP probe for sibling's", False, arp, said(1, a.mac, "0.0.0.0", v.address4), a.mac),
        ("reverse ARP", False, arp, said(3, a.mac, a.address4, v.address4), a.mac),
        ("own IPv6", True, ip6, e6(a.address6), a.mac),
        ("own link-local", True, ip6, e6(a.link_local), a.mac),
        ("sibling's IPv6", False, ip6, e6(v.address6), a.mac),
        ("sibling's link-local", False, ip6, e6(v.link_local), a.mac),
        ("gateway's IPv6", False, ip6, e6(a.gateway6), a.mac),
        ("gateway's link-local", False, ip6, e6(gateway_link_local), a.mac),
        ("fe80::1", False, ip6, e6("fe80::1"), a.mac),
        ("the outside's IPv6", False, ip6, e6("2001:db8:113::80"), a.mac),
        ("no IPv6", False, ip6, e6("::"), a.mac),
        ("own IPv6, some MAC", False, ip6, e6(a.address6), "02:00:00:00:bb:01"),
        ("DHCPv6 request", True, ip6, e6(a.link_local, "ff02::1:2", (546, 547)), a.mac),
        ("DHCPv6 answer", False, ip6, e6(a.link_local, None, (547, 546)), a.mac),
        ("router solicitation", True, ip6, icmp(a.link_local, frames.ICMP6_RS), a.mac),
        ("router solicitation from nobody", True, ip6, icmp("::", frames.ICMP6_RS), a.mac),
        ("router advertisement", False, ip6, icmp(a.link_local, frames.ICMP6_RA), a.mac),
        ("router advertisement, own IPv6", False, ip6, icmp(a.address6, frames.ICMP6_RA), a.mac),
        ("IPv6 redirect", False, ip6, icmp(a.link_local, frames.ICMP6_REDIRECT), a.mac),
        ("MLD query", False, ip6, icmp(a.link_local, frames.ICMP6_MLD_QUERY), a.mac),
        ("router advertisement in pieces", False, ip6, lambda mark: frames.icmp6(
            a.link_local, "ff02::1", frames.ICMP6_RA, bytes(28) + mark, True), a.mac),
        ("pieces from own link-local", False, ip6, nd(a.link_local, na, a.address6, True), a.mac),
        ("advertisement of own", True, ip6, nd(a.address6, na, a.address6), a.mac),
        ("advertisement of own, link-local", True, ip6, nd(a.link_local, na, a.address6), a.mac),
        ("advertisement of own link-local", True, ip6, nd(a.link_local, na, a.link_local), a.mac),
        ("advertisement of sibling's", False, ip6, nd(a.address6, na, v.address6), a.mac),
        ("advertisement of sibling's, link-local", False, ip6, nd(a.link_local, na, v.address6), a.mac),
        ("advertisement of sibling's link-local", False, ip6, nd(a.link_local, na, v.link_local), a.mac),
        ("advertisement of gateway's", False, ip6, nd(a.address6, na, a.gateway6), a.mac),
        ("advertisement of gateway's link-local", False, ip6, nd(a.address6, na, gateway_link_local), a.mac),
        ("solicitation of sibling's", True, ip6, nd(a.address6, ns, v.address6), a.mac),
        ("solicitation as sibling", False, ip6, nd(v.address6, ns, a.address6), a.mac),
        ("test whether own is free", True, ip6, nd("::", ns, a.address6), a.mac),
        ("test whether sibling's is free", False, ip6, nd("::", ns, v.address6), a.mac),
        ("test whether gateway's is free", False, ip6, nd("::", ns, a.gateway6), a.mac),
        ("another protocol", False, 0x88b5, lambda mark: mark + bytes(60), a.mac),
        ("spanning tree", False, 60, lambda mark: b"\x42\x42\x03" + mark + bytes(60), a.mac),
        ("own IPv4 with a tag", False, frames.ETH_P_VLAN, lambda mark: frames.vlan(
            5, ip, frames.udp(a.address4, v.address4, 9, 9, mark)), a.mac),
        ("ARP as gateway with tag 0", False, frames.ETH_P_VLAN,
         lambda mark: frames.vlan(0, arp, forged_arp + mark), a.mac),
        ("ARP as gateway with two tags", False, 0x88a8, lambda mark: frames.vlan(
            0, frames.ETH_P_VLAN, frames.vlan(0, arp, forged_arp + mark)), a.mac),
    ]


def test_guests_of_a_zone_send_as_themselves(setting):
    attacker, victim = (setting.guest(name, zone="t") for name in ("att", "vic"))
    attack = Attack(setting, attacker, victim)
    shown = setting.host.run("ip", "addr", "show", "vz-t")
    gateway_link_local = re.search(r"inet6 (fe80[^/]*)", shown).group(1)
    with frames.inside(setting.host.inside.pid), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as speaker:
        # The host asks for a neighbour, and so it is known what is its own.
        speaker.sendto(b"x", (victim.link_local, 9, 0, socket.if_nametoindex("vz-t")))
    wrong = []
    table = zone_frames(attacker, victim, gateway_link_local)
    for what, allowed, kind, content, mac in table:
        def make(mark, kind=kind, content=content, mac=mac):
            return frames.ether(mac, victim.mac, kind, content(mark))
        if attack.passes(make) != allowed:
            wrong.append(f"{what} {'is dropped' if allowed else 'passes'}")
    assert not wrong, "; ".join(wrong)
    # Without the filter everything passes: it is not the frames that are wrong. With the victim's MAC address
    # its frames would no more get to it, which is why the filter is there.
    setting.firewall.do("remove", attacker.link)
    for what, allowed, kind, content, mac in table:
        def make(mark, kind=kind, content=content, mac=mac):
            return frames.ether(mac, victim.mac, kind, content(mark))
        if mac != victim.mac and not attack.passes(make):
            wrong.append(f"{what} does not even pass without the filter")
    assert not wrong, "; ".join(wrong)


def test_link_local_addresses_belong_to_who_was_first(setting):
    """Those that do not follow from a MAC address; and nobody may have all of them."""
    first, second, watcher = (setting.guest(name, zone="t") for name in ("one", "two", "see"))
    attack = Attack(setting, first, watcher)
    other = frames.packet_socket(second.pid, "host0")
    setting.stack.callback(other.close)

    def says(guest, source):
        return lambda mark: frames.ether(guest.mac, watcher.mac, frames.ETH_P_IPV6,
                                         frames.udp(source, watcher.address6, 9, 9, mark))

    def answers_for(guest, address):
        return lambda mark: frames.ether(guest.mac, watcher.mac, frames.ETH_P_IPV6, frames.neighbour(
            guest.address6, watcher.address6, frames.ICMP6_NA, address, guest.mac, mark))

    assert attack.passes(says(first, "fe80::1234"))
    assert attack.passes(answers_for(first, "fe80::1234"))
    assert attack.passes(answers_for(second, "fe80::5678"), other)
    # The fence of Attack comes from the first, the frame of the second has to be there before.
    assert attack.passes(says(second, "fe80::5678"), other)
    for _ in range(3):
        assert not attack.passes(says(first, "fe80::5678"))
        assert not attack.passes(answers_for(first, "fe80::5678"))
    had = sum(attack.passes(says(first, f"fe80::a:{number}")) for number in range(60))
    assert 20 <= had <= 34, f"{had} addresses for one guest"
    assert attack.passes(says(first, first.link_local))
    assert attack.passes(says(second, "fe80::9abc"), other)


def test_guests_of_own_links_send_as_themselves(setting):
    """What arrives at the host's own sockets."""
    attacker, victim = setting.guest("att"), setting.guest("vic")
    sender = frames.packet_socket(attacker.pid, "host0")
    setting.stack.callback(sender.close)
    host_mac = setting.host.read(f"/sys/class/net/{attacker.link}/address").strip()
    with frames.inside(setting.host.inside.pid):
        sockets = {port: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for port in (9, 67, 68, 546, 547)}
        for port, made in sockets.items():
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            made.bind(("::", port))
        sockets["icmp6"] = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    for made in sockets.values():
        made.settimeout(3)
        setting.stack.callback(made.close)

    def passes(kind, content, at, mac=attacker.mac):
        mark, fence = (f"[{next(marks):08}]".encode() for _ in range(2))
        sender.send(frames.ether(mac, host_mac, kind, content(mark)))
        own = frames.icmp6(attacker.address6, attacker.gateway6, 200, fence) if at == "icmp6" else frames.udp(
            attacker.address4, attacker.gateway4, 9, at, fence)
        sender.send(frames.ether(attacker.mac, host_mac, frames.ETH_P_IPV6 if at == "icmp6" else frames.ETH_P_IP,
                                 own))
        seen = b""
        while fence not in seen:
            seen += sockets[at].recv(4096)
        return mark in seen

    def datagram(source, target, ports=(9, 9)):
        return lambda mark: frames.udp(source, target, *ports, mark)

    def advertises(kind):
        return lambda mark: frames.icmp6(attacker.link_local, "fe80::1", kind, bytes(28) + mark)

    ip, ip6 = frames.ETH_P_IP, frames.ETH_P_IPV6
    host4, host6 = attacker.gateway4, attacker.gateway6
    setting.host.run("sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 >$f; done")
    table = [
        ("own IPv4", True, ip, datagram(attacker.address4, host4), 9),
        ("sibling's IPv4", False, ip, datagram(victim.address4, host4), 9),
        ("the outside's IPv4", False, ip, datagram("203.0.113.80", host4), 9),
        ("own IPv6", True, ip6, datagram(attacker.address6, host6), 9),
        ("own link-local", True, ip6, datagram(attacker.link_local, "fe80::1"), 9),
        ("sibling's IPv6", False, ip6, datagram(victim.address6, host6), 9),
        ("the outside's IPv6", False, ip6, datagram("2001:db8:113::80", host6), 9),
        ("DHCP request", True, ip, datagram("0.0.0.0", "255.255.255.255", (68, 67)), 67),
        ("DHCP answer", False, ip, datagram(attacker.address4, host4, (67, 68)), 68),
        ("DHCPv6 request", True, ip6, datagram(attacker.link_local, "fe80::1", (546, 547)), 547),
        ("DHCPv6 answer", False, ip6, datagram(attacker.link_local, "fe80::1", (547, 546)), 546),
        ("router solicitation", True, ip6, advertises(frames.ICMP6_RS), "icmp6"),
        ("router advertisement", False, ip6, advertises(frames.ICMP6_RA), "icmp6"),
        ("redirect", False, ip6, advertises(frames.ICMP6_REDIRECT), "icmp6"),
    ]
    wrong = [what for what, allowed, *rest in table if passes(*rest) != allowed]
    assert not wrong, "; ".join(wrong)
    setting.firewall.do("remove", attacker.link)
    wrong = [what for what, _, *rest in table if not passes(*rest)]
    assert not wrong, "does not even pass without the filter: " + "; ".join(wrong)


@pytest.mark.parametrize("zone", [None, "t"])
def test_the_outside_sees_the_host(setting, zone):
    host, guest = setting.host, setting.guest("web", zone=zone)
    sibling = setting.guest("sib", zone=zone)
    assert setting.ask(guest, "who", host.OUTSIDE4) == host.UPLINK4
    assert setting.ask(guest, "who", host.OUTSIDE6) == host.UPLINK6
    assert setting.ask(guest, "udp", host.OUTSIDE4, 7, "abc") == "abc"
    # Not where it is not needed.
    assert setting.ask(guest, "who", sibling.address4) == guest.address4
    assert setting.ask(guest, "who", sibling.address6) == guest.address6
    assert host.ask("who", guest.address4) == guest.gateway4
    # A zone's bridge has translation until its last one is gone.
    setting.firewall.do("remove", guest.link)
    assert setting.ask(sibling, "who", host.OUTSIDE4) == host.UPLINK4
    setting.firewall.do("remove", sibling.link)
    setting.fails(guest, "who", host.OUTSIDE4)
    setting.fails(sibling, "who", host.OUTSIDE4)


PORTS = ("tcp:7:7", "udp:7:7", "tcp:8007:7", "udp:8007:7", "tcp:8080:80", "tcp:8081:80")


@pytest.mark.parametrize("zone", [None, "t"])
def test_published_ports(setting, zone):
    host = setting.host
    guest, sibling = setting.guest("web", *PORTS, zone=zone), setting.guest("sib", zone=zone)
    origins = {"outside": host.outside, "host": host.inside, "sibling": sibling.namespaces,
               "itself": guest.namespaces}
    for name, where in origins.items():
        if zone and name == "itself":
            # The proxy's turn, too, for which an echo stands here.
            proxy = subprocess.Popen([sys.executable, "-I", OUTSIDE, str(os.getpid())], stdout=subprocess.PIPE,
                                     text=True, preexec_fn=host.inside.enter)
            setting.stack.callback(proxy.communicate)
            setting.stack.callback(proxy.kill)
            assert proxy.stdout.readline() == "ready\n"
        for address in (host.UPLINK4, host.UPLINK6, *((guest.gateway4,) if name != "outside" else ())):
            for protocol in ("tcp", "udp"):
                port = 7 if zone and name == "itself" else 8007
                assert host.ask(protocol, address, port, name, where=where) == name, (name, address)
    assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4
    assert host.ask_outside("who", host.UPLINK6, 8081) == host.NEXT6
    if not zone:
        assert setting.ask(guest, "who", host.UPLINK4, 8080) == guest.gateway4
        assert setting.ask(guest, "who", host.UPLINK6, 8080) == guest.gateway6
    # Without the host's address the answer would not come back over it, unless the bridge does the translation.
    assert setting.ask(sibling, "who", host.UPLINK6, 8080) in ((guest.gateway6, sibling.address6) if zone
                                                               else (sibling.address6,))
    # Loopback addresses are the proxy's, and so is everything else that is not ours.
    setting.fails(host.inside, "tcp", "127.0.0.1", 8007)
    setting.fails(host.inside, "tcp", "::1", 8007)
    setting.fails(host.outside, "tcp", host.UPLINK4, 8008)


def test_ports_are_counted_and_left_to_the_proxy(setting):
    host, guest = setting.host, setting.guest("web", *PORTS)
    assert setting.firewall.count(guest.link) == (0, 0)
    for address, port in ((host.UPLINK4, 8080), (host.UPLINK6, 8080), (host.UPLINK4, 8081)):
        host.ask_outside("who", address, port)
    assert setting.firewall.count(guest.link) == (3, 3)
    host.ask_outside("udp", host.UPLINK4, 8007)
    assert setting.firewall.count(guest.link) == (4, 4)
    # As Docker and ufw leave it.
    host.run("nft", "add table ip other; add chain ip other forward "
             "{ type filter hook forward priority 0; policy drop; }")
    setting.fails(host.outside, "who", host.UPLINK4, 8080)
    redirected, forwarded = setting.firewall.count(guest.link)
    assert redirected > 4 and forwarded == 4
    assert host.ask_outside("who", host.UPLINK6, 8080)
    # The proxy's turn, for which an echo stands here.
    with subprocess.Popen([sys.executable, "-I", "-c", "import socket\n"
                           "s = socket.create_server(('', 8007))\nprint('ready', flush=True)\n"
                           "c = s.accept()[0]\nc.sendall(b'proxy')\n"],
                          stdout=subprocess.PIPE, text=True, preexec_fn=host.inside.enter) as proxy:
        assert proxy.stdout.readline() == "ready\n"
        setting.firewall.do("ports", guest.link, "proxy")
        assert host.ask_outside("tcp", host.UPLINK4, 8007) == "proxy"
    setting.firewall.do("ports", guest.link, "proxy")
    assert setting.firewall.count(guest.link) == (0, 0)
    host.run("nft", "delete table ip other")
    setting.firewall.do("ports", guest.link, "kernel")
    assert host.ask_outside("tcp", host.UPLINK4, 8007, "kernel") == "kernel"
    assert setting.firewall.count(guest.link) == (1, 1)


@pytest.mark.parametrize("version", [4, 6])
def test_a_client_that_goes_on_sending(setting, version):
    """Datagrams from one port; the kernel would redirect them for ever."""
    host, guest = setting.host, setting.guest("web", "udp:8007:7")
    family, address = (socket.AF_INET, host.UPLINK4) if version == 4 else (socket.AF_INET6, host.UPLINK6)
    with frames.inside(host.outside.pid):
        client = socket.socket(family, socket.SOCK_DGRAM)
    with frames.inside(host.inside.pid):
        proxy = socket.socket(family, socket.SOCK_DGRAM)
    with client, proxy:
        proxy.bind((address, 8007))
        for each in (client, proxy):
            each.settimeout(3)
        client.connect((address, 8007))
        client.send(b"1")
        assert client.recv(9) == b"1"
        setting.firewall.do("ports", guest.link, "proxy")
        client.send(b"2")
        assert proxy.recv(9) == b"2"
        client.close()


def test_one_port_has_one_machine(setting):
    guest = setting.guest("web", *PORTS)
    other = setting.guest("other", add=False)
    assert setting.firewall.tell(*other.add_words("tcp:80:80", "udp:8007:1")) == \
        "Port 8007 of the host (udp) is published by machine 'web' already. Choose another port, or stop that machine."
    assert "other" not in setting.host.ruleset()
    setting.firewall.do(*other.add_words("tcp:8008:7"))
    # What is said again counts, and what is removed is free.
    setting.firewall.do(*guest.add_words("tcp:9000:7"))
    assert setting.host.ask_outside("tcp", setting.host.UPLINK4, 9000, "x") == "x"
    setting.firewall.do(*other.add_words(*PORTS))
    assert setting.host.ask_outside("who", setting.host.UPLINK4, 8080)
    for made in (guest, other, guest):
        setting.firewall.do("remove", made.link)
    assert "elements" not in setting.host.ruleset()


@pytest.mark.parametrize("zone", [None, "t"])
def test_isolated_guests_do_not_reach_the_host(setting, zone):
    host = setting.host
    guest, sibling = setting.guest("iso", "isolate", zone=zone), setting.guest("sib", "tcp:8080:80", zone=zone)
    script = ("import socket, selectors\n"
              "chooser = selectors.DefaultSelector()\n"
              "for port in (22, 53, 67, 547, 8080):\n"
              "  for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
              "    s = socket.socket(socket.AF_INET6, kind); s.bind(('::', port))\n"
              "    if kind == socket.SOCK_STREAM: s.listen()\n"
              "    chooser.register(s, 1)\n"
              "print('ready', flush=True)\n"
              "while True:\n"
              "  for key, _ in chooser.select():\n"
              "    s = key.fileobj\n"
              "    if s.type == socket.SOCK_DGRAM: data, who = s.recvfrom(99); s.sendto(data, who)\n"
              "    else: s.accept()[0].sendall(b'host')\n")
    with subprocess.Popen([sys.executable, "-I", "-c", script], stdout=subprocess.PIPE, text=True,
                          preexec_fn=host.inside.enter) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            for address in (guest.gateway4, guest.gateway6, host.UPLINK4, host.UPLINK6):
                setting.fails(guest, "tcp", address, 22)
                assert setting.ask(guest, "tcp", address, 53)
                assert setting.ask(guest, "ping", address)
                assert setting.ask(sibling, "tcp", address, 22) == "host"
            for address in (guest.gateway4, guest.gateway6):
                setting.fails(guest, "udp", address, 22)
                for port in (53, 67, 547):
                    assert setting.ask(guest, "udp", address, port)
                assert setting.ask(sibling, "udp", address, 22)
            # The port proxy's turn: it is not a service of the host.
            assert setting.ask(guest, "who", host.UPLINK4, 8080)
            setting.firewall.do("ports", sibling.link, "proxy")
            assert setting.ask(guest, "tcp", host.UPLINK4, 8080) == "host"
            # Others, and what the host begins, are as without it.
            assert setting.ask(guest, "who", sibling.address4) == guest.address4
            assert setting.ask(guest, "who", host.OUTSIDE6) == host.UPLINK6
            assert host.ask("tcp", guest.address4, 7, "x") == host.ask("udp", guest.address6, 7, "x") == "x"
        finally:
            process.kill()


def test_forwarding_only_for_guests(setting):
    host, guest = setting.host, setting.guest("web", "tcp:8080:80")
    stranger = setting.guest("oth", add=False)
    network.check(["ip", "route", "add", "10.77.0.0/24", "via", host.UPLINK4], preexec_fn=host.outside.enter)
    assert host.ask_outside("ping", stranger.address4)
    setting.firewall.do("limit", "on")
    setting.firewall.do("limit", "on")
    setting.fails(host.outside, "ping", stranger.address4)
    assert host.ask_outside("ping", guest.address4)
    assert host.ask_outside("who", host.UPLINK4, 8080)
    assert setting.ask(guest, "who", host.OUTSIDE4) == host.UPLINK4
    # Who makes a bridge later, finding that the host forwards, is not our business.
    other = setting.guest("new", add=False)
    assert host.ask_outside("ping", other.address4)
    setting.firewall.do("limit", "off")
    assert host.ask_outside("ping", stranger.address4)


def test_nobody_else_takes_the_rules_away(setting):
    host, guest = setting.host, setting.guest("web", *PORTS)
    setting.guest("zon", zone="t")
    before = host.ruleset()
    host.run("nft", "add table inet theirs")
    host.run("nft", "flush", "ruleset")
    assert host.ruleset() == before
    assert host.run("nft", "flush", "table", "inet", "stead", check=False).returncode != 0
    assert host.run("nft", "delete", "table", "inet", "stead", check=False).returncode != 0
    assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4
    # A second one says whose they are, and does no harm.
    second = host.run(PROGRAM, input="", check=False)
    assert second.returncode == 1 and "owns a table of this name" in second.stdout
    assert host.ruleset() == before
    setting.firewall.process.kill()
    setting.firewall.process.wait()
    harness.wait_until(lambda: host.ruleset() == "", 5, "an empty ruleset")
    # One that is nobody's, left by a kernel that knows no owners.
    host.run("nft", "add table inet stead; add chain inet stead old { type filter hook forward priority 0; "
             "policy drop; }")
    with contextlib.closing(contextlib.ExitStack()) as stack:
        third = Firewall(host)
        stack.callback(third.end)
        third.do(*guest.add_words(*PORTS))
        assert "chain old" not in host.ruleset()
        assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4
    assert host.ruleset() == ""


def test_more_addresses_and_links_of_others(setting):
    guest = setting.guest("web", "other=10.77.0.99", "other=fd77::99")
    for address in ("10.77.0.99/32", "10.77.0.98/32"):
        network.check(["ip", "addr", "add", address, "dev", "host0"], preexec_fn=guest.namespaces.enter)
    for number, answered in ((99, True), (98, False)):
        setting.host.run("ip", "route", "add", f"10.77.0.{number}/32", "dev", guest.link)
        (setting.ask if answered else setting.fails)(guest, "ping", "10.77.0.1", f"10.77.0.{number}")
    # Somebody else manages these: no translation, no filter.
    before = setting.host.ruleset()
    setting.firewall.do("add", "nil", "vb-nil", "br-their", "02:00:00:00:00:09", "-", "-")
    assert setting.host.ruleset() == before
    setting.firewall.do("remove", "vb-nil")
    for name in ("ve-a*", 've-"a', "ve-a\\"):
        answer = setting.firewall.tell("add", "nil", name, "-", "02:00:00:00:00:09", "10.77.0.50", "-")
        assert answer == f"The firewall cannot have rules for the interface '{name}'."


def test_cost_does_not_grow(setting, record_count):
    answer = setting.firewall.do("many", "400")
    record_count(f"a machine's rules, in milliseconds: {answer}")
    first, last = (float(re.search(rf"{which} ([\d.]+) ms", answer).group(1)) for which in ("first 100", "last 100"))
    # Half a millisecond on an idle machine, which this one need not be.
    assert last < max(2 * first, 1.5 * harness.PATIENCE)
