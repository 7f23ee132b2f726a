"""The network's keeper without the launcher: its members and guests are made by hand."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import harness
import network

HERE = pathlib.Path(__file__).resolve().parent
KEEPER = os.path.join(harness.environment()["STEAD_LIBEXECDIR"], "network-keeper")
FOLDER = "/run/stead/network"
SUBNET4, SUBNET6 = "10.97.64.0/18", "fd97:1:2:3::/64"
GATEWAY4, GATEWAY6 = "10.97.64.1", "fd97:1:2:3::1"

pytestmark = [pytest.mark.ours, pytest.mark.skipif(not os.access(KEEPER, os.X_OK), reason="no network-keeper")]


class Guest:
    """A network namespace at the other end of a link, as the launcher makes it for -n."""

    def __init__(self, host, number, zone=None):
        self.host, self.name = host, f"guest{number}"
        self.mac = f"02:00:00:97:{number >> 8:02x}:{number & 255:02x}"
        self.address4, self.address6 = f"10.97.64.{number + 10}", f"fd97:1:2:3::{number + 10:x}"
        self.link = f"{'vb' if zone else 've'}-{self.name}"
        self.bridge = f"vz-{zone}" if zone else None
        self.network = f"zone-{zone}" if zone else "host"
        self.namespaces = network.Namespaces("unshare", "--net", "sh", "-c", "echo ready; exec sleep infinity")

    def batch(self):
        yield f"link add {self.link} type veth peer name host0 address {self.mac} netns {self.namespaces.pid}"
        if self.bridge:
            yield f"link set {self.link} master {self.bridge} up"
            return
        yield f"link set {self.link} addrgenmode none"
        yield f"addr add {GATEWAY4}/32 dev {self.link}"
        yield f"addr add {GATEWAY6}/64 dev {self.link} nodad noprefixroute"
        yield f"addr add fe80::1/64 dev {self.link} nodad"
        yield f"link set {self.link} up"
        yield f"route add {self.address4}/32 dev {self.link}"
        yield f"route add {self.address6}/128 dev {self.link}"

    def make_links(self):
        if not self.bridge:
            self.host.run("sh", "-c", f"""set -e
                ip link add {self.link} type veth peer name host0 address {self.mac} netns {self.namespaces.pid}
                echo 1 >/proc/sys/net/ipv4/conf/{self.link}/proxy_arp
                echo 0 >/proc/sys/net/ipv6/conf/{self.link}/accept_ra""")
        batch = list(self.batch())[0 if self.bridge else 1:]
        self.host.run("ip", "-batch", "-", input="\n".join(batch) + "\n")
        self.look("sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/host0/accept_dad; ip link set lo up; "
                  "ip link set host0 up")
        harness.wait_until(lambda: "fe80" in self.look("ip", "-6", "addr", "show", "dev", "host0"), 10,
                           "the guest's own IPv6 address")

    def set_addresses(self):
        router = GATEWAY6 if self.bridge else "fe80::1"
        self.look("ip", "-batch", "-", input=f"addr add {self.address4}/18 dev host0\n"
                  f"addr add {self.address6}/{64 if self.bridge else 128} dev host0 nodad\n"
                  f"route replace default via {GATEWAY4}\nroute replace default via {router} dev host0\n")

    def look(self, *command, **options):
        return network.check(list(map(str, command)), preexec_fn=self.namespaces.enter, **options)

    def ask(self, *words):
        return self.host.ask(*words, where=self.namespaces)

    def lines(self, *more):
        return [f"MACHINE={self.name}", f"NETWORK={self.network}", f"LINK={self.link}",
                *([f"BRIDGE={self.bridge}"] if self.bridge else []), f"MAC={self.mac}",
                f"ADDRESS4={self.address4}/18", f"ADDRESS6={self.address6}/128", f"PREFIX4={SUBNET4}",
                f"PREFIX6={SUBNET6}", f"GATEWAY4={GATEWAY4}/18", f"GATEWAY6={GATEWAY6}/64", *more]

    def end(self):
        self.namespaces.end()


class Member:
    """A supervisor, as far as the keeper can tell."""

    def __init__(self, host, *lines, version=1):
        self.process = subprocess.Popen(
            [sys.executable, "-I", str(HERE / "keeper_member.py"), *lines], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, preexec_fn=host._enter_inside,
            env=harness.environment(KEEPER=KEEPER, KEEPER_VERSION=str(version)))

    def hear(self, kind=None):
        """The next message, or the next one of @kind."""
        while True:
            line = self.process.stdout.readline()
            assert line, "the member has ended"
            message = json.loads(line)
            if kind in (None, message["kind"]):
                return message

    def ready(self):
        answer = self.hear()
        assert answer["kind"] == "ready", answer
        return answer

    def leave(self):
        self.process.stdin.close()
        self.process.wait(harness.patient(10))

    def kill(self):
        self.process.kill()
        self.process.wait(harness.patient(10))


@pytest.fixture
def host():
    with network.Host() as made:
        made._enter_inside = made.inside.enter
        yield made


@contextlib.contextmanager
def guests(host, count, zone=None, addresses=True):
    with contextlib.ExitStack() as stack:
        if zone:
            host.run("sh", "-c", f"""set -e; ip link add vz-{zone} type bridge
                ip link set vz-{zone} alias stead-zone
                echo 0 >/proc/sys/net/ipv6/conf/vz-{zone}/accept_ra
                ip addr add {GATEWAY4}/18 dev vz-{zone}; ip addr add {GATEWAY6}/64 dev vz-{zone} nodad
                ip addr add fe80::1/64 dev vz-{zone} nodad; ip link set vz-{zone} up""")
        made = []
        for number in range(1, count + 1):
            guest = Guest(host, number, zone)
            stack.callback(guest.end)
            guest.make_links()
            if addresses:
                guest.set_addresses()
            made.append(guest)
        yield made


@contextlib.contextmanager
def members(host, found):
    with contextlib.ExitStack() as stack:
        made = []
        for guest in found:
            member = Member(host, *guest.lines())
            stack.callback(member.leave)
            member.ready()
            made.append(member)
        yield made


def pid_of(host, name):
    found = [pid for pid, line in host.processes(name) if not line.startswith("dnsmasq")]
    return found[0] if found else None


def wait_gone(host, limit=5):
    harness.wait_until(lambda: not host.processes("network-keeper", "dnsmasq"), limit, "the end of the keeper")


def test_names(host):
    with guests(host, 2) as (one, two), members(host, (one, two)):
        for asker in (one, two):
            for name in ("guest1", "guest1.machine"):
                assert asker.ask("resolve", name, GATEWAY4).split() == [one.address4, one.address6]
        assert one.ask("resolve", "guest2", GATEWAY6).split() == [two.address4, two.address6]
        assert one.ask("reverse", two.address4, GATEWAY4) == "guest2.machine"
        assert one.ask("reverse", two.address6, GATEWAY4) == "guest2.machine"
        # Through the host's own resolver.
        assert one.ask("resolve", "outside.test", GATEWAY4).split() == [host.OUTSIDE4, host.OUTSIDE6]
        assert host.ask("resolve", "guest2.machine", GATEWAY4).split() == [two.address4, two.address6]
        assert "guest1" in host.read(f"{FOLDER}/machines/guest1")
    wait_gone(host)


def test_ways_out_and_to_siblings(host):
    with guests(host, 2) as (one, two), members(host, (one, two)):
        for address in (two.address4, two.address6, host.OUTSIDE4, host.OUTSIDE6, GATEWAY4, GATEWAY6):
            assert one.ask("ping", address), address
        assert one.ask("who", host.OUTSIDE4) == host.UPLINK4
        # Addresses that nobody has do not leave the host.
        assert "unreachable" in host.run("ip", "route", "get", "10.97.64.99", check=False).stderr \
            or "unreachable" in host.run("ip", "route", "show", "type", "unreachable")


UDHCPC_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
echo "$ip $subnet $router $dns $domain $lease"
"""


def ask_dhcp4(guest, folder, *options):
    script = folder / "udhcpc.sh"
    script.write_text(UDHCPC_SCRIPT, encoding="ascii")
    script.chmod(0o755)
    return guest.look("busybox", "udhcpc", "-f", "-q", "-n", "-t", "8", "-T", "1", "-i", "host0", "-s", script, *options,
                      stdin=subprocess.DEVNULL).split()


@pytest.mark.parametrize("zone", [None, "lab"])
def test_dhcp4(host, zone, tmp_path):
    with guests(host, 2, zone, addresses=False) as (one, two), members(host, (one, two)):
        for guest in (two, one, two):
            ip, subnet, router, dns, domain, lease = ask_dhcp4(guest, tmp_path, "-x", "hostname:guest1")
            assert [ip, subnet, router, dns, domain, lease] == \
                [guest.address4, "255.255.192.0", GATEWAY4, GATEWAY4, "machine", "43200"]
        # Nobody takes a sibling's name.
        one.set_addresses()
        assert one.ask("resolve", "guest1", GATEWAY4).split()[0] == one.address4


def test_dhcp4_is_only_for_members(host, tmp_path):
    with guests(host, 2, addresses=False) as (one, two), members(host, (one,)):
        assert ask_dhcp4(one, tmp_path)[0] == one.address4
        with pytest.raises(AssertionError):
            ask_dhcp4(two, tmp_path, "-t", "2")
        with members(host, (two,)):
            assert ask_dhcp4(two, tmp_path)[0] == two.address4


@pytest.mark.parametrize("zone", [None, "lab"])
def test_dhcp6_and_routers(host, zone):
    with guests(host, 2, zone, addresses=False) as (one, two), members(host, (one, two)):
        for guest in (one, two):
            text = guest.look(sys.executable, "-I", str(HERE / "dhcp6.py"), "host0",
                              env=harness.environment(PROBE_TIMEOUT=str(harness.patient(5))))
            found = json.loads(text)
            assert found["lease"] == {"addresses": [guest.address6], "dns": [GATEWAY6]}
            assert found["router"]["router"] == "fe80::1" and found["router"]["managed"]
            assert found["router"]["prefixes"] == [
                {"prefix": SUBNET6, "on_link": bool(zone), "autonomous": False}]


def test_dnsmasq_is_started_again(host):
    with guests(host, 1) as (one,), members(host, (one,)) as (member,):
        os.kill(pid_of(host, "dnsmasq"), signal.SIGKILL)
        assert "dnsmasq" in member.hear("notice")["text"]
        harness.wait_until(lambda: pid_of(host, "dnsmasq"), 5, "another dnsmasq")
        harness.wait_until(lambda: contextlib.suppress(AssertionError) and _resolves(one, "guest1"), 5, "a name")


def _resolves(guest, name):
    with contextlib.suppress(AssertionError):
        return guest.ask("resolve", name, GATEWAY4)
    return None


def test_keeper_is_killed(host):
    with guests(host, 2) as (one, two), members(host, (one, two)) as made:
        dnsmasq = pid_of(host, "dnsmasq")
        os.kill(pid_of(host, "network-keeper"), signal.SIGKILL)
        harness.wait_until(lambda: not os.path.exists(f"/proc/{dnsmasq}"), 5, "the end of dnsmasq")
        for member in made:
            member.hear("end")
            assert member.hear("ready")["text"] == ""
        assert one.ask("resolve", "guest2", GATEWAY4).split() == [two.address4, two.address6]
        assert one.ask("ping", host.OUTSIDE4) and one.ask("ping", two.address4)
    wait_gone(host)


def test_all_are_killed(host):
    """The next keeper puts back what was left."""
    with guests(host, 1) as (one,):
        member = Member(host, *one.lines())
        member.ready()
        os.kill(member.process.pid, signal.SIGSTOP)
        os.kill(pid_of(host, "network-keeper"), signal.SIGKILL)
        member.kill()
        wait_gone(host)  # one that is just dying would still take the connection
        assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
        assert host.read(f"{FOLDER}/sysctls")
        with members(host, (one,)):
            pass
        wait_gone(host)
        assert host.read("/proc/sys/net/ipv4/ip_forward") == "0\n"


def test_members_are_killed(host):
    with guests(host, 2) as both:
        made = [Member(host, *guest.lines()) for guest in both]
        for member in made:
            member.ready()
        for member in made:
            member.kill()
        wait_gone(host)


def test_zone_of_killed_supervisors_goes(host):
    with guests(host, 1, "lab") as (one,):
        member = Member(host, *one.lines())
        member.ready()
        member.kill()
        one.look("ip", "link", "del", "host0")
        harness.wait_until(lambda: "vz-lab" not in host.links(), 5, "the end of the bridge")
        wait_gone(host)


def test_sysctls(host):
    """The host goes on listening to its routers, and forwards only for machines."""
    host.write("/proc/sys/net/ipv6/conf/up0/accept_ra", "1")
    with guests(host, 1) as (one,):
        before = host.picture()
        with members(host, (one,)):
            assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
            assert host.read("/proc/sys/net/ipv6/conf/up0/accept_ra") == "2\n"
            assert host.read(f"/proc/sys/net/ipv6/conf/{one.link}/accept_ra") == "0\n"
        wait_gone(host)
        assert host.picture() == before


def test_interfaces_that_forwarded_before_still_do(host):
    host.write("/proc/sys/net/ipv4/conf/up0/forwarding", "1")
    host.write("/proc/sys/net/ipv6/conf/up0/forwarding", "1")
    with guests(host, 1) as (one,):
        before = host.picture()
        with members(host, (one,)):
            pass
        wait_gone(host)
        assert host.picture() == before
    host.write("/proc/sys/net/ipv4/conf/up0/forwarding", "0")
    host.write("/proc/sys/net/ipv6/conf/up0/forwarding", "0")


def test_host_that_forwards_already(host):
    host.write("/proc/sys/net/ipv4/ip_forward", "1")
    with guests(host, 1) as (one,):
        with members(host, (one,)):
            assert "ip_forward" not in host.read(f"{FOLDER}/sysctls")
            assert "nfproto ipv4 iifname" not in host.ruleset()
            assert "nfproto ipv6 iifname" in host.ruleset()
        wait_gone(host)
        assert host.read("/proc/sys/net/ipv4/ip_forward") == "1\n"
    host.write("/proc/sys/net/ipv4/ip_forward", "0")


def test_other_name_server_on_all_addresses(host):
    other = subprocess.Popen(["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-hosts",
                              "--pid-file=", "--no-resolv"], preexec_fn=host.inside.enter,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        harness.wait_until(lambda: ":53 " in host.run("ss", "-lnu"), 5, "the other name server")
        with guests(host, 1) as (one,):
            member = Member(host, *one.lines())
            text = member.ready()["text"]
            assert "port 53" in text and GATEWAY4 in text
            member.leave()
            harness.wait_until(lambda: not host.processes("network-keeper"), 5, "the end of the keeper")
    finally:
        other.kill()
        other.communicate()


def test_two_machines_want_one_port(host):
    with guests(host, 2) as (one, two):
        first = Member(host, *one.lines("PORTS=tcp:8097:80"))
        first.ready()
        second = Member(host, *two.lines("PORTS=udp:53:53 tcp:8097:8080"))
        answer = second.hear()
        assert answer["kind"] == "failed" and "guest1" in answer["text"] and "8097" in answer["text"]
        assert one.ask("resolve", "guest1", GATEWAY4)
        second.kill()
        again = Member(host, *one.lines())
        answer = again.hear()
        assert answer["kind"] == "failed" and "guest1" in answer["text"]
        again.kill()
        assert one.ask("resolve", "guest1", GATEWAY4)
        first.leave()
        # A name is free as soon as its machine is gone.
        third = Member(host, *two.lines("PORTS=tcp:8097:80"))
        third.ready()
        third.leave()
        wait_gone(host)


def test_other_version(host):
    member = Member(host, "MACHINE=later", version=2)
    answer = member.hear()
    assert answer["kind"] == "failed" and "another version" in answer["text"]
    member.kill()
    wait_gone(host)


@pytest.mark.parametrize("lines", [
    [], ["MACHINE=../x"], ["MACHINE=a", "PORTS=tcp:0:1"], ["MACHINE=a", "NETWORK=host"],
    ["MACHINE=a", "LINK=ve-a/b"], ["MACHINE=a", "ADDRESS4=::1"], ["MACHINE=a", f"JUNK={'x' * 70000}"],
])
def test_bad_requests(host, lines):
    member = Member(host, *lines)
    assert member.hear()["kind"] in ("failed", "end")
    member.kill()
    wait_gone(host)


def test_configuration(host):
    host.run("mkdir", "-p", "/etc/stead")
    host.write("/etc/stead/network.conf", f"[Network]\nDomain=guests.example\nResolvers={host.DNS}#53\n")
    with guests(host, 1) as (one,), members(host, (one,)):
        assert one.ask("resolve", "guest1.guests.example", GATEWAY4).split() == [one.address4, one.address6]
        assert one.ask("reverse", one.address4, GATEWAY4) == "guest1.guests.example"
        assert one.ask("resolve", "outside.test", GATEWAY4)
        assert f"server={host.DNS}#53" in host.read(f"{FOLDER}/networks/host/dnsmasq.conf")
    wait_gone(host)
    host.write("/etc/stead/network.conf", "[Network]\nDnsmasq=/nowhere/dnsmasq\n")
    with guests(host, 1) as (one,):
        member = Member(host, *one.lines())
        assert "/nowhere/dnsmasq is not installed" in member.ready()["text"]
        assert one.ask("ping", host.OUTSIDE4)
        member.leave()
    wait_gone(host)
    # One that ends at once is told of once, and nobody waits for it.
    host.write("/etc/stead/network.conf", "[Network]\nDnsmasq=/bin/false\n")
    with guests(host, 1) as (one,):
        member = Member(host, *one.lines())
        answer = member.ready()
        assert "dnsmasq ended" in answer["text"] and answer["ms"] < 1000 * harness.patient(1)
        assert one.ask("ping", host.OUTSIDE4)
        member.leave()
    wait_gone(host)
    host.run("rm", "/etc/stead/network.conf")


@pytest.mark.slow
def test_many_members(host, record_count):
    count = 200
    with guests(host, 1) as (one,), members(host, (one,)) as (first,):
        with contextlib.ExitStack() as stack:
            times = []
            for number in range(2, count + 1):
                lines = [line.replace("guest1", f"guest{number}").replace("10.97.64.11/", f"10.97.65.{number}/")
                         .replace("::b/128", f"::{number + 100:x}/128").replace(":00:01", f":01:{number:02x}")
                         for line in one.lines()]
                member = Member(host, *lines)
                stack.callback(member.kill)
                times.append(member.ready()["ms"])
            assert len(host.processes("dnsmasq")) == 1
            assert one.ask("resolve", f"guest{count}", GATEWAY4).split()[0] == f"10.97.65.{count}"
            memory = {}
            for pid, line in host.processes("network-keeper", "dnsmasq"):
                status = harness.read(f"/proc/{pid}/status")
                memory[os.path.basename(line.split()[0])] = int(status.split("VmRSS:")[1].split()[0])
            early, late = sorted(times[:50])[25], sorted(times[-50:])[25]
            record_count(f"keeper: {count} members, joining takes {early:.1f} ms at first, {late:.1f} ms at last; "
                         f"resident memory in kB: {memory}")
            assert late < early * 3 + 5
        begun = time.monotonic()
        harness.wait_until(lambda: len(host.run("ls", f"{FOLDER}/machines").split()) == 1, 10, "the end of the others")
        assert time.monotonic() - begun < harness.patient(10)
        harness.wait_until(lambda: not _resolves(one, f"guest{count}"), 5, "the end of the names")
        assert first.process.poll() is None
    wait_gone(host)
