"""The network as a whole: guests of all kinds on each kind of link, speed and scale."""

import contextlib
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import time

import pytest

import harness
import network

pytestmark = pytest.mark.ours

# Trees with the word that their init takes, and what they have.
TREES = ("debian12", "debian13", "sysvinit", "openrc", "runit", "finit", "s6", "busybox", "stub")
WITH_NETWORKD = ("debian12", "debian13")
BRIDGE4, BRIDGE6 = "10.77.0", "fd77::"
SEED = int(os.environ.get("STEAD_SEED", "3"))
numbers = iter(range(1, 10000))


@pytest.fixture
def host():
    with network.Host() as made:
        yield made


def machine_name(what):
    return f"{harness.TAG}-{what}{next(numbers)}"


@pytest.mark.smoke
def test_the_host_of_these_tests(host, busybox):
    """What the others rely on: there is an outside, and the host is told from its neighbours."""
    assert host.links() == ["lo", "up0"]
    assert host.ask("who", host.OUTSIDE4) == host.UPLINK4
    assert host.ask("who", host.OUTSIDE6) == host.UPLINK6
    assert host.ask("resolve", "outside.test", host.DNS) == f"{host.OUTSIDE4} {host.OUTSIDE6}"
    assert host.ask("tcp", host.OUTSIDE4, 7, "abc") == host.ask("udp", host.OUTSIDE6, 7, "abc") == "abc"
    assert float(host.ask("ping", host.OUTSIDE6)) < 1000
    assert host.run("ls", "/sys/class/net").split() == ["lo", "up0"]
    with host.machine("--private-network", "-D", busybox, "sleep", "99") as machine:
        assert machine.run("hostname").strip() == busybox.name
        assert machine.fails("ping", host.OUTSIDE4)
    assert host.processes() == []


# Kinds of networks -----------------------------------------------------------------------------

class Kind:
    """A way to be on a network: prepares the host, gives the options of a machine."""
    link = "host0"
    managed = True  # by us: there are names, DHCP, masquerade
    isolated_from_host = False

    def prepare(self, host):
        pass

    def tidy(self, host):
        pass

    def seen_as(self, host, _machine, version):
        """As whom the outside sees a machine."""
        return host.UPLINK4 if version == 4 else host.UPLINK6


class Veth(Kind):
    def options(self, _number):
        return ["-n"]


class Zone(Kind):
    def options(self, _number):
        return ["--network-zone=lab"]


class Bridge(Kind):
    """One of the administrator's, who also forwards and masquerades."""
    managed = False

    def prepare(self, host):
        host.run("ip", "-batch", "-", input="\n".join([
            "link add br0 type bridge", "link set br0 up", f"addr add {BRIDGE4}.1/24 dev br0",
            f"addr add {BRIDGE6}1/64 dev br0 nodad"]) + "\n")
        host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; "
                 "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
        host.run("nft", "-f", "-", input="table inet administrator { chain out { type nat hook postrouting "
                 "priority srcnat; oifname up0 masquerade; }; }\n")

    def tidy(self, host):
        host.run("nft", "delete table inet administrator")
        host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward; "
                 "echo 0 >/proc/sys/net/ipv6/conf/all/forwarding")
        host.run("ip", "link", "del", "br0")

    def options(self, number):
        return ["--network-bridge=br0", f"--network-address={BRIDGE4}.{number}/24,{BRIDGE6}{number}/64",
                f"--network-gateway={BRIDGE4}.1,{BRIDGE6}1"]


class Macvlan(Kind):
    """On the link to the outside, as a neighbour of the host; the two do not hear each other."""
    managed = False
    isolated_from_host = True
    link = "mv-up0"

    def prepare(self, host):
        made = host.run("ip", "link", "add", "link", "up0", "name", "try0", "type", "macvlan", check=False)
        if made.returncode != 0:
            pytest.skip("this kernel has no macvlan")
        host.run("ip", "link", "del", "try0")

    def options(self, number):
        prefix4, prefix6 = (text.rsplit(mark, 1)[0] for text, mark in ((network.Host.NEXT4, "."),
                                                                     (network.Host.NEXT6, "::")))
        return ["--network-macvlan=up0",
                f"--network-address={prefix4}.{number}/24,{prefix6}::{number}/64",
                f"--network-gateway={network.Host.NEXT4},{network.Host.NEXT6}"]

    def seen_as(self, host, machine, version):
        return machine.address(version, self.link)


KINDS = {"veth": Veth(), "zone": Zone(), "bridge": Bridge(), "macvlan": Macvlan()}


@harness.covers("effect", "-n")
def test_host_without_names_of_protocols(host, busybox):
    """Small ones have no /etc/protocols."""
    if os.path.exists("/etc/protocols"):
        host.run("mount", "--bind", "/dev/null", "/etc/protocols")
    with host.machine("-n", "-p", "udp:8080", "--network-isolate", "-D", busybox, "sleep", "99") as machine:
        assert machine.ask("who", host.OUTSIDE4) == host.UPLINK4


@contextlib.contextmanager
def prepared(host, kind):
    kind.prepare(host)
    yield
    kind.tidy(host)


def end_at_once(machine):
    """The guest's own shutdown is not what these tests are about, and takes seconds."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(machine.leader, signal.SIGKILL)


def check_network(host, kind, machine, sibling):
    """All of what a machine has to have from its first instruction on."""
    for version in (4, 6):
        machine.ask("ping", machine.gateway(version))
        machine.ask("ping", sibling.address(version, kind.link))
        outside = host.OUTSIDE4 if version == 4 else host.OUTSIDE6
        assert machine.ask("who", outside) == kind.seen_as(host, machine, version)
        if not kind.isolated_from_host:
            host.ask("ping", machine.address(version, kind.link))
    assert machine.ask("who", sibling.address(4, kind.link), 8080) == "stead guest"
    if kind.managed:
        check_names(host, machine, sibling)


def check_names(host, machine, sibling):
    everything = sorted(sibling.address(version) for version in (4, 6))
    for name in (sibling.name, f"{sibling.name}.machine"):
        assert sorted(machine.resolve(name)) == everything
    for address in everything:
        assert machine.reverse(address) in (sibling.name, f"{sibling.name}.machine")
    assert sorted(machine.resolve("outside.test")) == sorted([host.OUTSIDE4, host.OUTSIDE6])


@contextlib.contextmanager
def sibling_on(host, kind, tree):
    """A machine that serves a page, named "sibling", on the same network."""
    name = machine_name("sib")
    with host.machine("-M", name, "--volatile=overlay", *kind.options(11), "-D", tree, "busybox", "httpd",
                      "-f", "-p", "8080", "-h", "/srv/www") as machine:
        machine.name = name
        yield machine
        end_at_once(machine)


def cases():
    for tree in TREES:
        for name in KINDS:
            marks = [] if tree in ("busybox", "stub") else [pytest.mark.slow]
            if (tree, name) == ("busybox", "veth"):
                marks.append(pytest.mark.smoke)
            yield pytest.param(tree, KINDS[name], id=f"{tree}-{name}", marks=marks)


@pytest.mark.parametrize("tree,kind", cases())
@harness.covers("effect", "-n", "--network-zone", "--network-bridge", "--network-macvlan", "--network-address",
                "--network-gateway")
def test_guests_on_networks(host, tree, kind, tree_source, busybox_source):
    """A booted guest without any configuration has its network before its first instruction, and after it
    has started everything still has it, with the same address."""
    with prepared(host, kind), sibling_on(host, kind, busybox_source) as sibling:
        client = tree in WITH_NETWORKD and kind.managed
        with host.machine("-b", "--volatile=overlay", *kind.options(12), "-M", machine_name(tree), "-D", tree_source(tree),
                          *(["systemd.wants=systemd-networkd.service"] if client else [])) as machine:
            before = machine.addresses(kind.link)
            assert len(before) == 2, before
            if not client:  # which takes everything away for a moment
                check_network(host, kind, machine, sibling)
            if tree != "stub":
                harness.wait_until(lambda: serves(machine), 60, f"the service of the {tree} guest")
                if client:
                    harness.wait_until(lambda: settled(machine, before), 30, "networkd's lease")
                check_network(host, kind, machine, sibling)
                if kind.managed and tree != "busybox":
                    found = machine.run("getent", "ahosts", sibling.name)
                    assert {line.split()[0] for line in found.splitlines()} == {
                        sibling.address(4), sibling.address(6)}
            assert plain(machine.addresses(kind.link)) == plain(before)
            end_at_once(machine)


def plain(addresses):
    """DHCPv6 gives no length of a prefix."""
    return sorted(text.split("/")[0] for text in addresses)


def serves(machine):
    with contextlib.suppress(AssertionError):
        return machine.ask("who", "127.0.0.1", 8080) == "stead guest"
    return False


def settled(machine, before):
    """Whether networkd, which begins by taking away what it did not set, has got everything anew."""
    leases = machine.run("sh", "-c", "cat /run/systemd/netif/leases/*", check=False).stdout
    return (f"ADDRESS={before[0].split('/')[0]}\n" in leases and plain(machine.addresses()) == plain(before)
            and "default" in machine.look("ip", "-6", "route")
            and "tentative" not in machine.look("ip", "addr"))


# Clients that ask for an address ----------------------------------------------------------------

DHCP_SCRIPT = """#!/bin/sh
[ "$1" = bound ] && echo "$ip/$mask via $router dns $dns"
exit 0
"""


@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in ("veth", "zone")])
def test_udhcpc_gets_the_address_that_is_there(host, kind, busybox, work):
    script = work / f"dhcp-{next(numbers)}"
    script.write_text(DHCP_SCRIPT, encoding="ascii")
    script.chmod(0o755)
    with host.machine(*kind.options(12), f"--bind-ro={script}:/etc/dhcp", "-D", busybox, "sleep", "999") as machine:
        found = machine.run("udhcpc", "-i", "host0", "-n", "-q", "-f", "-t", "5", "-T", "1", "-s", "/etc/dhcp")
        answer = [line for line in found.splitlines() if " via " in line][-1]
        address, prefix = [text for text in machine.addresses() if ":" not in text][0].split("/")
        assert answer == f"{address}/{prefix} via {machine.gateway(4)} dns {machine.gateway(4)}"
        assert [machine.gateway(4)] == machine.nameservers()[:1]
    script.unlink()


# At once ---------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def first_packets(work):
    """The static program that uses the network first of all."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        pytest.skip("no compiler: the payload that measures cannot be made")
    program = work / "first-packets"
    made = subprocess.run([compiler, "-static", "-O2", "-o", str(program), str(network.HERE / "first-packets.c")],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no static program can be made: {made.stdout.strip().splitlines()[-1]}")
    yield program
    program.unlink()


@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in ("veth", "zone")])
def test_busybox_uses_the_network_first_of_all(host, kind, busybox, busybox_source):
    """No init, no waiting, no second try."""
    with sibling_on(host, kind, busybox_source) as sibling:
        result = host.launch(*kind.options(12), "-D", busybox, "sh", "-c",
                             f"ping -c 1 -W 1 {sibling.gateway(4)} && nslookup {sibling.name}")
        output = harness.output_of(result)
        assert "1 packets received" in output and sibling.address(4) in output, output


@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in ("veth", "zone")])
def test_time_until_the_first_answer(host, kind, busybox, busybox_source, first_packets, record_count):
    """From the payload's first instruction on; the machine may be busy, so the best of some counts."""
    pings, names = [], []
    with sibling_on(host, kind, busybox_source) as sibling:
        for _ in range(5):
            output = harness.output_of(host.launch(*kind.options(12), f"--bind-ro={first_packets}:/etc/first",
                                                   "-D", busybox, "/etc/first", sibling.name))
            gateway, name = re.findall(r"(\S+) after ([0-9.]+) ms", output)
            assert gateway[0] == sibling.gateway(4) and name[0] == sibling.address(4)
            pings.append(float(gateway[1]))
            names.append(float(name[1]))
    record_count(f"first answer ({type(kind).__name__.lower()}): ping after {min(pings):.2f} ms "
                 f"(median {statistics.median(pings):.2f}), name after {min(names):.2f} "
                 f"({statistics.median(names):.2f})")
    assert min(names) < 20 * harness.PATIENCE


# Killed ----------------------------------------------------------------------------------------

def other_than(host, name, pid):
    found = host.processes(name)
    return found if found and pid not in [number for number, _ in found] else None


@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in ("veth", "zone")])
def test_who_is_killed_comes_back(host, kind, busybox, busybox_source):
    """The keeper, dnsmasq and a neighbour's supervisor: the machine has its network all the time, names and
    the way out after a moment, and in the end nothing is left."""
    with sibling_on(host, kind, busybox_source) as sibling:
        with host.machine(*kind.options(12), "-D", busybox, "sleep", "999") as machine:
            for name in ("network-keeper", "dnsmasq", "network-keeper"):
                pid = host.processes(name)[0][0]
                os.kill(pid, signal.SIGKILL)
                machine.ask("ping", sibling.address(4))
                harness.wait_until(lambda name=name, pid=pid: other_than(host, name, pid), 15, f"another {name}")
                harness.wait_until(lambda: has_all(host, kind, machine, sibling), 15, f"what {name} does")
            sibling.process.kill()
            sibling.process.communicate()
            machine.ask("ping", machine.gateway(4))
            assert machine.ask("who", host.OUTSIDE4) == host.UPLINK4
            harness.wait_until(lambda: machine.fails("resolve", sibling.name, machine.gateway(4)), 10, "its name's end")
            assert machine.resolve("outside.test")
    # What a killed supervisor leaves besides, its next start takes away.
    assert host.launch("-M", sibling.name, "--volatile=overlay", "-D", busybox_source, "true").returncode == 0


def has_all(host, kind, machine, sibling):
    with contextlib.suppress(AssertionError):
        check_network(host, kind, machine, sibling)
        return True
    return False


# One start after the other with the supervisor killed at any moment.
@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in ("veth", "zone")])
def test_60_starts_of_which_30_are_killed(host, kind, busybox):
    chance = random.Random(SEED)
    args = [*kind.options(12), "-M", machine_name("crash"), "-D", busybox, "sh", "-c", "exit 0"]
    before = time.monotonic()
    assert host.launch(*args).returncode == 0
    whole = time.monotonic() - before
    for turn in range(60):
        if turn % 2:
            result = host.launch(*args)
            assert result.returncode == 0, f"start {turn}: {result.stderr}"
            continue
        process = host.start(*args)
        time.sleep(chance.uniform(0, whole * 1.2))
        process.kill()
        process.communicate(timeout=20)
    assert host.launch(*args).returncode == 0
    host.check_clean()


# Many ------------------------------------------------------------------------------------------

MANY = 200


def pss_of(pids):
    """What processes have in memory, shared parts divided, in KiB."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError, TypeError):
            total += int(re.search(r"^Pss:\s+(\d+)", harness.read(f"/proc/{pid}/smaps_rollup"), re.M)[1])
    return total


def start_measured(host, name, kind, tree):
    before = time.monotonic()
    process = host.start("-M", name, "--read-only", *kind.options(12), "-D", tree, "sh", "-c",
                         "echo up; exec sleep 9999")
    line = process.stdout.readline()
    took = time.monotonic() - before
    assert line.strip() == "up", process.communicate()
    return process, took


@pytest.mark.slow
@pytest.mark.parametrize("kind,growth", [
    pytest.param(KINDS["zone"], 1.25, id="zone"),
    # Here dnsmasq looks at all links again before it serves the new one.
    pytest.param(KINDS["veth"], 2, id="veth")])
def test_many_on_one_network(host, kind, growth, busybox, record_count):
    """The last one starts as fast as the first, one dnsmasq serves all, and all go without a trace.

    Others use the processors, too: the best of twenty counts, and each has a moment to itself, since
    what a start leads to on the other links of a zone goes on behind it.
    """
    processes, times = [], []
    tag = machine_name("many")
    try:
        for number in range(MANY):
            if not 20 < number < MANY - 20:
                time.sleep(0.1)
            process, took = start_measured(host, f"{tag}-{number}", kind, busybox)
            processes.append(process)
            times.append(took * 1000)
        assert len(host.processes("dnsmasq")) == 1
        assert len(host.processes("network-keeper")) == 1
        leaders = [harness.leader_of(processes[number].pid) for number in (0, MANY - 1)]
        first, last = (network.Machine(host, process, leader)
                       for process, leader in zip((processes[0], processes[-1]), leaders))
        first.ask("ping", last.address(4))
        # The tree is read-only, and has no resolv.conf that could be written.
        assert first.address(4) in last.ask("resolve", f"{tag}-0", last.gateway(4)).split()
        supervisors = pss_of(process.pid for process in processes)
        keeper = pss_of(pid for pid, _ in host.processes("network-keeper"))
        dnsmasq = pss_of(pid for pid, _ in host.processes("dnsmasq"))
    finally:
        before = time.monotonic()
        for process in processes:
            process.terminate()
        for process in processes:
            harness.stop(process)
    host.check_clean(patience=20)
    gone = time.monotonic() - before
    early, late = (min(part) for part in (times[1:21], times[-20:]))
    medians = [statistics.median(part) for part in (times[1:21], times[-20:])]
    record_count(f"{MANY} machines ({type(kind).__name__.lower()}): first {times[0]:.1f} ms, best of the next 20 "
                 f"{early:.1f} (median {medians[0]:.1f}), of the last 20 {late:.1f} ({medians[1]:.1f}); memory: supervisors {supervisors // MANY} KiB each, keeper {keeper}, "
                 f"dnsmasq {dnsmasq} KiB; all gone after {gone:.1f} s")
    assert late < early * growth + 1
