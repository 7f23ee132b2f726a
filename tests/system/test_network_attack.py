"""Guests whose root, with CAP_NET_ADMIN over their own network, is against their siblings and the host."""

import contextlib
import json
import socket
import subprocess
import sys
import time

import pytest

import frames
import harness
import network
from test_firewall import Attack, zone_frames

pytestmark = pytest.mark.ours
WAYS = {"own link": ["-n"], "zone": ["--network-zone=att"]}


class Seat:
    """What a machine has, as test_firewall.py calls it."""

    def __init__(self, machine):
        link = json.loads(machine.look("ip", "-j", "link", "show", "dev", "host0"))[0]
        self.machine, self.pid, self.mac = machine, machine.leader, link["address"]
        self.address4, self.address6 = machine.address(4), machine.address(6)
        self.gateway4, self.gateway6 = machine.gateway(4), machine.gateway(6)
        self.link_local = frames.link_local(self.mac)


class Place:
    def __init__(self, host, stack, tree, *options):
        self.host, self.stack = host, stack
        self.attacker, self.victim, self.third = (
            stack.enter_context(host.machine(*options, "-x", "-D", tree, "-M", name, "sleep", "999"))
            for name in ("att", "vic", "third"))

    def victim_is_reached(self):
        """By everybody, and from there outwards."""
        for address in (self.victim.address(4), self.victim.address(6)):
            assert self.host.ask("tcp", address, 7) == "victim"
            assert self.third.ask("tcp", address, 7) == "victim"
        assert self.victim.ask("who", self.host.OUTSIDE4) == self.host.UPLINK4
        assert self.victim.ask("who", self.host.OUTSIDE6) == self.host.UPLINK6


@pytest.fixture(params=WAYS)
def place(request, busybox):
    with network.Host() as host, contextlib.ExitStack() as stack:
        yield Place(host, stack, busybox, *WAYS[request.param])


@pytest.fixture
def served(place):
    """In the victim, and with another word in the attacker, somebody listens on all addresses."""
    script = ("import socket, sys\ns = socket.create_server(('', 7), family=socket.AF_INET6, dualstack_ipv6=True, "
              "backlog=50)\nprint('ready', flush=True)\n"
              "while True:\n  c = s.accept()[0]\n  c.recv(99)\n  c.sendall(sys.argv[1].encode())\n  c.close()\n")
    for machine, word in ((place.victim, "victim"), (place.attacker, "attacker")):
        process = subprocess.Popen([*machine.enter_command(False), sys.executable, "-I", "-c", script, word],
                                   stdout=subprocess.PIPE, text=True)
        place.stack.callback(process.communicate)
        place.stack.callback(process.kill)
        assert process.stdout.readline() == "ready\n"
    place.victim_is_reached()
    return place


@contextlib.contextmanager
def shouting(machine, *words):
    """Tells everybody again and again that an address is its own."""
    with subprocess.Popen([*machine.enter_command(), "arping", *words, "-I", "host0"],
                          stdout=subprocess.DEVNULL) as process:
        yield
        assert process.poll() is None, "arping has ended by itself"
        process.kill()


def test_a_siblings_address_cannot_be_taken(served):
    attacker, victim = served.attacker, served.victim
    for version, length in ((4, 32), (6, 128)):
        attacker.run("ip", "addr", "add", f"{victim.address(version)}/{length}", "dev", "host0")
    with shouting(attacker, "-U", victim.address(4)):
        for _ in range(3):
            served.host.run("ip", "neigh", "flush", "all")
            served.third.look("ip", "neigh", "flush", "all")
            time.sleep(0.4)
            served.victim_is_reached()
    # Neither as its source: the answer would not come back, and nobody hears it.
    with pytest.raises(AssertionError):
        attacker.ask("ping", served.third.address(4), victim.address(4), timeout=0.5)
    assert attacker.ask("ping", served.third.address(4), attacker.address(4))


def test_the_gateways_address_cannot_be_taken(served):
    attacker = served.attacker
    attacker.run("ip", "addr", "add", f"{attacker.gateway(4)}/32", "dev", "host0")
    with shouting(attacker, "-A", attacker.gateway(4)):
        for _ in range(3):
            served.victim.look("ip", "neigh", "flush", "all")
            time.sleep(0.4)
            served.victim_is_reached()


def test_a_siblings_mac_address_cannot_be_taken(served):
    attacker, victim = served.attacker, served.victim
    mac = Seat(victim).mac
    attacker.run("ip", "link", "set", "host0", "down")
    attacker.run("ip", "link", "set", "host0", "address", mac)
    attacker.run("ip", "link", "set", "host0", "up")
    attacker.run("ip", "route", "replace", "default", "via", "192.0.2.1", "dev", "host0", "onlink")
    for _ in range(3):
        with contextlib.suppress(AssertionError):
            attacker.ask("ping", victim.address(4), timeout=0.3)
        served.victim_is_reached()


@pytest.mark.parametrize("place", ["zone"], indirect=True)
def test_no_forged_frame_gets_to_a_sibling(place):
    attacker, victim = Seat(place.attacker), Seat(place.victim)
    host = place.host
    bridge = json.loads(host.run("ip", "-j", "addr", "show", "dev", "vz-att"))[0]
    own = next(entry["local"] for entry in bridge["addr_info"] if entry["local"].startswith("fe80"))
    harness.wait_until(lambda: "tentative" not in host.run("ip", "addr", "show", "dev", "vz-att"), 10,
                       "the bridge's own address")
    with frames.inside(host.inside.pid), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(b"x", (victim.link_local, 9, 0, socket.if_nametoindex("vz-att")))
    attack = Attack(place, attacker, victim)
    wrong = []
    for what, allowed, kind, content, mac in zone_frames(attacker, victim, own):
        def make(mark, kind=kind, content=content, mac=mac):
            return frames.ether(mac, victim.mac, kind, content(mark))
        if attack.passes(make) != allowed:
            wrong.append(f"{what} {'is dropped' if allowed else 'passes'}")
    assert not wrong, "; ".join(wrong)


@pytest.mark.parametrize("place", ["zone"], indirect=True)
def test_the_bridge_learns_no_forged_mac_address(place):
    attacker, victim = Seat(place.attacker), Seat(place.victim)
    attack = Attack(place, attacker, victim)
    for number in range(500):
        attack.sender.send(frames.ether(f"02:00:00:ee:{number // 256:02x}:{number % 256:02x}", victim.mac,
                                        frames.ETH_P_IP, frames.udp(attacker.address4, victim.address4, 9, 9, b"x")))
    assert attack.passes(lambda mark: frames.ether(attacker.mac, victim.mac, frames.ETH_P_IP, frames.udp(
        attacker.address4, victim.address4, 9, 9, mark)))
    known = place.host.run("bridge", "fdb", "show", "br", "vz-att")
    assert attacker.mac in known and "02:00:00:ee" not in known


@pytest.mark.parametrize("way", WAYS)
@harness.covers("effect", "--network-isolate")
def test_isolated(busybox, way):
    with network.Host() as host:
        with host.machine(*WAYS[way], "--network-isolate", "-x", "-D", busybox, "-M", "iso", "sleep", "99") as isolated, \
                host.machine(*WAYS[way], "-x", "-D", busybox, "-M", "free", "sleep", "99") as free:
            script = ("import socket\ns = socket.create_server(('', 2222), family=socket.AF_INET6, "
                      "dualstack_ipv6=True)\nprint('ready', flush=True)\n"
                      "while True:\n  c = s.accept()[0]\n  c.sendall(b'host')\n  c.close()\n")
            with subprocess.Popen([sys.executable, "-I", "-c", script], stdout=subprocess.PIPE, text=True,
                                  preexec_fn=host.inside.enter) as process:
                assert process.stdout.readline() == "ready\n"
                for address in (isolated.gateway(4), host.UPLINK4, host.UPLINK6):
                    assert free.ask("tcp", address, 2222) == "host"
                    assert isolated.fails("tcp", address, 2222)
                process.kill()
            assert isolated.ask("ping", isolated.gateway(4))
            assert isolated.resolve("free") and isolated.resolve("outside.test")
            assert isolated.ask("ping", free.address(4))
            assert isolated.ask("who", host.OUTSIDE6) == host.UPLINK6


def test_names_are_resolved_while_a_sibling_asks_all_the_time(place):
    script = ("import itertools, socket, sys\nprint('ready', flush=True)\n"
              "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.setblocking(False)\n"
              "for i in itertools.count():\n"
              "  label = b'n%d' % i\n"
              "  name = bytes([len(label)]) + label + b'\\x07outside\\x04test\\0'\n"
              "  try:\n    s.sendto(b'\\0\\1\\1\\0\\0\\1' + bytes(6) + name + b'\\0\\1\\0\\1', (sys.argv[1], 53))\n"
              "  except OSError:\n    pass\n")
    with subprocess.Popen([*place.attacker.enter_command(False), sys.executable, "-I", "-c", script,
                           place.attacker.gateway(4)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        for _ in range(10):
            assert place.victim.resolve("outside.test") and place.victim.resolve("att.machine")
        assert process.poll() is None
        process.kill()


def answering(host, address):
    """A service of the host's at one of its addresses."""
    return subprocess.Popen([sys.executable, "-I", "-c", "import socket, sys\n"
                             "s = socket.create_server((sys.argv[1], 80))\nprint('ready', flush=True)\n"
                             "while True:\n  c = s.accept()[0]\n  c.sendall(b'secret')\n  c.close()\n", address],
                            stdout=subprocess.PIPE, text=True, preexec_fn=host.inside.enter)


@pytest.mark.parametrize("claimed", ["127.0.0.1", "198.51.100.2", "203.0.113.80"])
def test_a_published_port_leads_to_the_machine_only(busybox, claimed):
    """Where the machine gives itself its address, that may be one of the host's, or of the host's neighbours."""
    with network.Host() as host, contextlib.ExitStack() as stack:
        if claimed != "203.0.113.80":
            service = stack.enter_context(answering(host, claimed))
            stack.callback(service.kill)
            assert service.stdout.readline() == "ready\n"
        machine = stack.enter_context(host.machine("-n", "--network-setup=no", "-p", "8080:80", "-p", "7007:7", "-x",
                                                   "-D", busybox, "-M", "liar", "sleep", "99"))
        link, = (name for name in host.links() if name.startswith("ve-"))
        host.run("sh", "-ec", f"ip link set {link} up; ip addr add 10.66.0.1/24 dev {link}; "
                 "echo 1 >/proc/sys/net/ipv4/ip_forward")
        machine.look("sh", "-ec", "ip link set host0 up; ip addr del 127.0.0.1/8 dev lo; "
                     f"ip addr add {claimed}/32 dev host0 scope global; ip route add default dev host0")
        time.sleep(1)
        for ask, place in ((host.ask, "127.0.0.1"), (host.ask, host.UPLINK4), (host.ask_outside, host.UPLINK4)):
            for words in (("tcp", place, 8080), ("tcp", place, 7007, "abc"), ("who", place, 8080)):
                with pytest.raises(AssertionError):
                    print(words, ask(*words, timeout=1))
        host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")
        machine.stop()
