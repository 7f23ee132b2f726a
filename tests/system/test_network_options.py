"""One test or more for the effect, and for bad input, of each option and key of the network.

What the parts do together is for test_network.py.
"""

import contextlib
import json
import re
import subprocess
import sys

import pytest

import harness
import network
from harness import covering, covers, key_of

MAC = "02:00:00:aa:bb:cc"


@pytest.fixture(scope="module")
def shared_host():
    with network.Host() as made:
        yield made


@pytest.fixture
def host(shared_host):
    """The same for all tests of this file; each leaves it as it was."""
    yield shared_host
    shared_host.check_clean()


@pytest.fixture
def bridge(host):
    host.run("ip", "link", "add", "br-test", "type", "bridge")
    host.run("ip", "link", "set", "br-test", "up")
    yield "br-test"
    host.run("ip", "link", "del", "br-test")


@pytest.fixture
def spare(host):
    """An interface of the host, with an address."""
    host.run("ip", "link", "add", "dm0", "address", MAC, "type", "veth", "peer", "name", "dm1")
    host.run("ip", "link", "set", "dm1", "up")
    host.run("ip", "link", "set", "dm0", "mtu", "1400", "up")
    host.run("ip", "addr", "add", "192.0.2.9/24", "dev", "dm0")
    yield "dm0"
    host.run("ip", "link", "del", "dm1")


@pytest.fixture
def elsewhere():
    """A network namespace that somebody else made: its path."""
    with subprocess.Popen(["unshare", "-n", "sh", "-c",
                           "ip link add mark0 type veth peer name mark1 && echo; exec sleep infinity"],
                          stdout=subprocess.PIPE, preexec_fn=network.die_with_parent) as process:
        process.stdout.readline()
        yield f"/proc/{process.pid}/ns/net"
        process.kill()


@pytest.fixture
def lower(host):
    """An interface that macvlan and ipvlan can be put on, where the kernel has them."""
    host.run("ip", "link", "add", "low0", "type", "veth", "peer", "name", "low1")
    host.run("ip", "link", "set", "low0", "up")
    host.run("ip", "link", "set", "low1", "up")
    yield "low0"
    host.run("ip", "link", "del", "low0")


def need_kind(host, lower, kind):
    made = host.run("ip", "link", "add", "try0", "link", lower, "type", kind, check=False)
    if made.returncode != 0:
        pytest.skip(f"the kernel has no {kind}: {made.stderr.strip()}")
    host.run("ip", "link", "del", "try0")


def links(text):
    """{name: what "ip -j -d addr" says of it}"""
    return {link["ifname"]: link for link in json.loads(text)}


def inside(machine):
    return links(machine.look("ip", "-j", "-d", "addr"))


def outside(host):
    return links(host.run("ip", "-j", "-d", "addr"))


def has_net_admin(machine):
    status = harness.read(f"/proc/{machine.leader}/status")
    return bool(int(re.search(r"CapBnd:\s*(\w+)", status)[1], 16) >> 12 & 1)


def is_up(link):
    return "UP" in link["flags"]


def addresses(link, scope="global"):
    return [f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == scope]


def file_of(tree, text):
    """Settings of the machine, beside its tree."""
    return harness.settings_file(tree.parent / f"{tree.name}.nspawn", text)


@contextlib.contextmanager
def start(host, tree, *args, settings=None, command=("sleep", "99")):
    """A machine that waits; with settings as a file that is trusted."""
    with contextlib.ExitStack() as stack:
        if settings is not None:
            stack.enter_context(file_of(tree, f"[Network]\n{settings}\n"))
            args = ["--settings=trusted", *args]
        yield stack.enter_context(host.machine(*args, "-D", tree, *command))


def ways(option, key):
    """A test of both: as an option, and as a line of a settings file."""
    return pytest.mark.parametrize("way", [
        pytest.param("option", marks=covers("effect", option)),
        pytest.param("key", marks=covers("effect", f"[Network] {key}"))])


def asked(way, options, lines):
    """The arguments of start()."""
    return (options, {}) if way == "option" else ([], {"settings": lines})


# Links -----------------------------------------------------------------------------------------

@ways("--network-veth", "VirtualEthernet")
def test_link_to_the_host(host, busybox, way):
    args, more = asked(way, ["-n", "--network-setup=no"], "VirtualEthernet=yes\nSetup=no")
    with start(host, busybox, *args, **more) as machine:
        theirs, ours = inside(machine), outside(host)
        assert set(theirs) == {"lo", "host0"}
        name, = set(ours) - {"lo", "up0"}
        assert name.startswith("ve-")
        # Nobody has said what is to become of it, so nothing has.
        assert not is_up(ours[name]) and not is_up(theirs["host0"]) and is_up(theirs["lo"])
        assert ours[name]["addr_info"] == theirs["host0"]["addr_info"] == []
        assert ours[name]["address"] != theirs["host0"]["address"]
        # It is the container's own to configure.
        machine.run("ip", "link", "set", "host0", "up")
        machine.run("ip", "addr", "add", "192.0.2.1/24", "dev", "host0")


def test_a_long_name_is_shortened_and_stays_as_another(host, busybox):
    name = f"{harness.TAG}-with-a-long-name"
    with start(host, busybox, "-n", "--network-setup=no", "-M", name):
        link, = [link for link in outside(host).values() if link["ifname"].startswith("ve-")]
        assert len(link["ifname"]) == 15 and link["ifname"][:11] == f"ve-{name}"[:11]
        assert link["altnames"] == [f"ve-{name}"]


@ways("--network-setup", "Setup")
def test_set_up_by_us(host, busybox, way):
    """Ready at once, with the same addresses at each start."""
    args, more = asked(way, ["-n", "--network-setup=yes"], "VirtualEthernet=yes\nSetup=yes")
    found = []
    for _ in range(2):
        with start(host, busybox, *args, **more) as machine:
            found.append(machine.addresses())
            assert is_up(inside(machine)["host0"])
            assert machine.ask("ping", machine.gateway(4)) and machine.ask("ping", machine.gateway(6))
    assert found[0] == found[1] and len(found[0]) == 2


@ways("--network-bridge", "Bridge")
def test_bridge(host, busybox, bridge, way):
    args, more = asked(way, [f"--network-bridge={bridge}"], f"Bridge={bridge}")
    with start(host, busybox, *args, **more) as machine:
        name, = set(outside(host)) - {"lo", "up0", bridge}
        link = outside(host)[name]
        assert name.startswith("vb-") and link["master"] == bridge and is_up(link)
        assert set(inside(machine)) == {"lo", "host0"} and addresses(inside(machine)["host0"]) == []
    assert bridge in host.links()


@ways("--network-zone", "Zone")
def test_zone(host, busybox, way):
    """Made with the first, gone with the last."""
    args, more = asked(way, ["--network-zone=t", "--network-setup=no"], "Zone=t\nSetup=no")
    with start(host, busybox, "-x", *args, **more) as first:
        assert "vz-t" in host.links() and set(inside(first)) == {"lo", "host0"}
        ports = [link for link in outside(host).values() if link.get("master") == "vz-t"]
        assert len(ports) == 1 and is_up(ports[0]) and ports[0]["ifname"].startswith("vb-")
        with start(host, busybox, "-x", "-M", f"{harness.TAG}-b", "--network-zone=t",
                   "--network-setup=no") as second:
            assert len([1 for link in outside(host).values() if link.get("master") == "vz-t"]) == 2
            second.stop()
        assert "vz-t" in host.links()
    harness.wait_until(lambda: "vz-t" not in host.links(), 5, "the end of the zone's bridge")


@ways("--network-veth-extra", "VirtualEthernetExtra")
def test_further_links(host, busybox, way):
    args, more = asked(way, ["--network-veth-extra=xa:in0", "--network-veth-extra=xb"],
                       "VirtualEthernetExtra=xa:in0\nVirtualEthernetExtra=xb")
    with start(host, busybox, *args, **more) as machine:
        theirs, ours = inside(machine), outside(host)
        assert set(theirs) == {"lo", "in0", "xb"} and set(ours) == {"lo", "up0", "xa", "xb"}
        assert not any(map(is_up, (theirs["in0"], theirs["xb"], ours["xa"], ours["xb"])))
        assert len({theirs["in0"]["address"], theirs["xb"]["address"], ours["xa"]["address"],
                    ours["xb"]["address"]}) == 4


@ways("--network-interface", "Interface")
def test_moved_interface(host, busybox, spare, way):
    args, more = asked(way, [f"--network-interface={spare}:lan0"], f"Interface={spare}:lan0")
    with start(host, busybox, *args, **more) as machine:
        assert spare not in host.links()
        link = inside(machine)["lan0"]
        assert link["address"] == MAC and link["mtu"] == 1400
        machine.run("ip", "link", "set", "lan0", "name", "other")
        machine.stop()
    harness.wait_until(lambda: spare in host.links(), 5, "the interface's return")
    back = outside(host)[spare]
    assert is_up(back) and back["address"] == MAC and back["mtu"] == 1400
    assert addresses(back) == ["192.0.2.9/24"]


@ways("--network-macvlan", "MACVLAN")
def test_macvlan(host, busybox, lower, way):
    need_kind(host, lower, "macvlan")
    args, more = asked(way, [f"--network-macvlan={lower}", f"--network-macvlan={lower}:two"],
                       f"MACVLAN={lower} {lower}:two")
    with start(host, busybox, *args, **more) as machine:
        found = inside(machine)
        assert set(found) == {"lo", f"mv-{lower}", "two"}
        assert found["two"]["linkinfo"]["info_data"]["mode"] == "bridge"
        assert found["two"]["address"] != found[f"mv-{lower}"]["address"]


@ways("--network-ipvlan", "IPVLAN")
def test_ipvlan(host, busybox, lower, way):
    need_kind(host, lower, "ipvlan")
    args, more = asked(way, [f"--network-ipvlan={lower}", f"--network-ipvlan={lower}:two"],
                       f"IPVLAN={lower} {lower}:two")
    with start(host, busybox, *args, **more) as machine:
        found = inside(machine)
        assert set(found) == {"lo", f"iv-{lower}", "two"}
        assert found["two"]["linkinfo"]["info_data"]["mode"] == "l2"
        assert found["two"]["address"] == outside(host)[lower]["address"]


@ways("--network-namespace-path", "NamespacePath")
@pytest.mark.parametrize("users", [[], ["-U"]], ids=["plain", "users"])
def test_given_namespace(host, busybox, elsewhere, way, users):
    args, more = asked(way, [f"--network-namespace-path={elsewhere}"], f"NamespacePath={elsewhere}")
    with start(host, busybox, *users, *args, **more) as machine:
        found = inside(machine)
        # Not even the loopback is touched, and it is not the container's to rule.
        assert set(found) == {"lo", "mark0", "mark1"} and not is_up(found["lo"])
        assert not has_net_admin(machine)


@covers("effect", "--network-namespace-path", "--private-network")
def test_given_namespace_as_ones_own(host, busybox, elsewhere):
    with start(host, busybox, "--private-network", f"--network-namespace-path={elsewhere}") as machine:
        assert machine.run("ls", "/sys/class/net").split() == ["lo", "mark0", "mark1"]
        assert has_net_admin(machine)


@covers("effect", "[Network] Private")
def test_private_is_implied_and_can_be_said(host, busybox):
    with start(host, busybox, settings="Private=yes") as machine:
        assert set(inside(machine)) == {"lo"}
    with start(host, busybox, settings="Private=no\nVirtualEthernet=yes\nSetup=no") as machine:
        assert set(inside(machine)) == {"lo", "host0"}


@pytest.mark.parametrize("args", [
    ["-n", "--network-setup=no"], ["--network-veth-extra=xa"], ["--network-zone=c", "--network-setup=no"]])
def test_each_brings_the_capability_and_the_views(host, busybox, args):
    with start(host, busybox, *args) as machine:
        assert has_net_admin(machine)
        machine.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        names = machine.run("ls", "/sys/class/net").split()
        assert set(names) == set(inside(machine))


# Those who choose ------------------------------------------------------------------------------

CHOICES = [
    ("--network-address", "Address", "10.77.0.7/24,fd77::7/64",
     lambda link: sorted(addresses(link)) == ["10.77.0.7/24", "fd77::7/64"] and is_up(link)),
    ("--network-mac", "MACAddress", MAC, lambda link: link["address"] == MAC),
    ("--network-mtu", "MTU", "1280", lambda link: link["mtu"] == 1280),
    ("--network-name", "Name", "eth0", lambda link: link["ifname"] == "eth0"),
]


@pytest.mark.parametrize("how", ["option", "key"])
@pytest.mark.parametrize("option, key, value, holds", [
    pytest.param(*row, marks=covers("effect", row[0], f"[Network] {row[1]}")) for row in CHOICES],
    ids=[row[1] for row in CHOICES])
def test_choice(host, busybox, bridge, how, option, key, value, holds):
    args, more = asked(how, [f"--network-bridge={bridge}", f"{option}={value}"],
                       f"Bridge={bridge}\n{key}={value}")
    with start(host, busybox, *args, **more) as machine:
        link, = [link for link in inside(machine).values() if link["ifname"] != "lo"]
        assert holds(link), link


@ways("--network-gateway", "Gateway")
def test_gateway(host, busybox, bridge, way):
    """On a bridge of somebody else's, where the host has the other address."""
    args, more = asked(way, [f"--network-bridge={bridge}", "--network-address=10.77.0.7/24,fd77::7/64",
                             "--network-gateway=10.77.0.1,fd77::1"],
                       f"Bridge={bridge}\nAddress=10.77.0.7/24 fd77::7/64\nGateway=10.77.0.1,fd77::1")
    host.run("ip", "addr", "add", "10.77.0.1/24", "dev", bridge)
    host.run("ip", "addr", "add", "fd77::1/64", "dev", bridge, "nodad")
    with start(host, busybox, *args, **more) as machine:
        assert machine.gateway(4) == "10.77.0.1" and machine.gateway(6) == "fd77::1"
        assert machine.ask("ping", host.UPLINK4) and machine.ask("ping", "fd77::1")


def test_address_of_ones_own_in_our_network(host, busybox):
    with start(host, busybox, "-n") as machine:
        parts = machine.addresses()[0].split("/")
    other = ".".join([*parts[0].split(".")[:3], "77"]) + "/" + parts[1]
    with start(host, busybox, "-n", f"--network-address={other}") as machine:
        assert other in machine.addresses() and machine.ask("ping", machine.gateway(4))


def test_choices_of_a_file_go_with_the_link_of_an_option(host, busybox):
    with start(host, busybox, "-n", "--network-setup=no", settings="Name=eth7\nMTU=1300") as machine:
        assert inside(machine)["eth7"]["mtu"] == 1300
    with start(host, busybox, "--private-network", settings="Zone=z\nMTU=1300") as machine:
        assert set(inside(machine)) == {"lo"}


SERVER = """
import socket
server = socket.create_server(("", 2222))
print(flush=True)
while True:
    peer = server.accept()[0]
    peer.sendall(peer.recv(99))
    peer.close()
"""


@pytest.fixture
def service(host):
    """Of the host, at port 2222: sends back what it is sent."""
    def enter():
        network.die_with_parent()
        host.inside.enter()

    with subprocess.Popen([sys.executable, "-I", "-c", SERVER], stdout=subprocess.PIPE,
                          preexec_fn=enter) as process:
        process.stdout.readline()
        yield 2222
        process.kill()


@ways("--network-isolate", "Isolate")
def test_isolation(host, busybox, service, way):
    """A service of the host's is there for others, and not for this machine."""
    args, more = asked(way, ["-n", "--network-isolate"], "VirtualEthernet=yes\nIsolate=yes")
    with start(host, busybox, *args, **more) as machine:
        gateway = machine.gateway(4)
        assert machine.ask("ping", gateway)
        assert machine.fails("tcp", gateway, service, "abc")
        assert machine.fails("tcp", host.UPLINK4, service, "abc")
        assert machine.ask("tcp", host.OUTSIDE4, 7, "abc") == "abc"
        assert machine.resolve("outside.test")
    with start(host, busybox, "-n") as machine:
        assert machine.ask("tcp", machine.gateway(4), service, "abc") == "abc"


@ways("--port", "Port")
def test_published_ports(host, busybox, way):
    args, more = asked(way, ["-n", "-p", "8081:80", "-p", "8082-8083:92-93"],
                       "VirtualEthernet=yes\nPort=8081:80\nPort=8082-8083:92-93")
    script = "for port in 80 92 93; do nc -ll -p $port -e echo from $port & done; exec sleep 99"

    def answers(port, text):
        with contextlib.suppress(AssertionError):
            return text in host.ask_outside("tcp", host.UPLINK4, port, "")

    with start(host, busybox, *args, command=["sh", "-c", script], **more):
        for port, text in ((8081, "from 80"), (8082, "from 92"), (8083, "from 93")):
            harness.wait_until(lambda p=port, w=text: answers(p, w), 10, f"an answer at port {port}")


# The environment -------------------------------------------------------------------------------

def test_mac_from_the_environment(host, busybox):
    env = harness.environment(SYSTEMD_NSPAWN_NETWORK_MAC=MAC)
    with host.machine("-n", "--network-setup=no", "-D", busybox, "sleep", "99", env=env) as machine:
        assert inside(machine)["host0"]["address"] == MAC
    other = "02:00:00:00:00:01"
    with host.machine("-n", "--network-setup=no", f"--network-mac={other}", "-D", busybox, "sleep", "99",
                      env=env) as machine:
        assert inside(machine)["host0"]["address"] == other
    result = host.launch("-n", "-D", busybox, "true",
                         env=harness.environment(SYSTEMD_NSPAWN_NETWORK_MAC="x"))
    assert result.returncode == 1 and "SYSTEMD_NSPAWN_NETWORK_MAC" in result.stderr


def test_old_naming_scheme(host, busybox):
    name = f"{harness.TAG}-with-a-long-name"
    with host.machine("-n", "--network-setup=no", "-M", name, "-D", busybox, "sleep", "99",
                      env=harness.environment(SYSTEMD_NET_NAMING_SCHEME="v240")):
        link, = [link for link in outside(host).values() if link["ifname"].startswith("ve-")]
        assert link["ifname"] == f"ve-{name}"[:15] and "altnames" not in link


# resolv.conf -----------------------------------------------------------------------------------

def test_resolv_conf_names_our_server(host, busybox):
    with start(host, busybox, "-n") as machine:
        assert machine.nameservers() == [machine.gateway(4)]
    # It is told from others, so it does not stay for a network that is none of ours.
    assert "nspawn" in (busybox / "etc/resolv.conf").read_text().splitlines()[0]
    with start(host, busybox, "--private-network"):
        assert not (busybox / "etc/resolv.conf").exists()


@pytest.mark.parametrize("text, stays", [
    ("", False), ("nameserver 127.0.0.53\n", False), (f"nameserver {network.Host.DNS}\n", False),
    ("nameserver 192.0.2.99\n", True)], ids=["empty", "loopback", "the-hosts", "chosen"])
def test_resolv_conf_that_is_there(host, busybox, text, stays):
    path = busybox / "etc/resolv.conf"
    path.write_text(text)
    with start(host, busybox, "-n") as machine:
        assert machine.nameservers() == (["192.0.2.99"] if stays else [machine.gateway(4)])


@pytest.mark.parametrize("args", [[], ["--read-only"], ["-U"]], ids=["plain", "read-only", "users"])
def test_resolv_conf_that_is_a_link_into_run(host, busybox, args):
    target = "/run/systemd/resolve/stub-resolv.conf"
    (busybox / "etc/resolv.conf").symlink_to(f"..{target}")
    with start(host, busybox, "-n", *args) as machine:
        assert machine.nameservers() == [machine.gateway(4)]
        # The guest's own service takes over.
        machine.run("sh", "-c", f"echo nameserver 192.0.2.7 >{target}.new && mv {target}.new {target}")
        assert machine.nameservers() == ["192.0.2.7"]
    assert (busybox / "etc/resolv.conf").is_symlink()


@pytest.mark.parametrize("args", [["--read-only"], ["--read-only", "-U"], ["--volatile=state"], ["--volatile=yes"],
                                  ["--volatile=overlay"], ["-x"]], ids=" ".join)
def test_resolv_conf_where_the_tree_stays_as_it_is(host, busybox, args):
    (busybox / "etc/resolv.conf").write_text("")
    with start(host, busybox, "-n", *args) as machine:
        assert machine.nameservers() == [machine.gateway(4)]
    assert (busybox / "etc/resolv.conf").read_text() == ""


@pytest.mark.parametrize("mode", ["off", "copy-host"])
def test_resolv_conf_by_ones_own_choice(host, busybox, mode):
    with start(host, busybox, "-n", f"--resolv-conf={mode}") as machine:
        assert machine.nameservers() == ([] if mode == "off" else [host.DNS])


@pytest.mark.parametrize("target", ["/etc/resolv.conf", "/run/host/os-release", "/run/../etc/passwd", "/run",
                                    "/run/systemd/../../etc/passwd"])
def test_resolv_conf_that_is_a_hostile_link(host, busybox, target):
    """It starts, and nothing outside of the tree's own /run is written."""
    (busybox / "etc/resolv.conf").symlink_to(target)
    before = (busybox / "etc/passwd").read_text()
    with start(host, busybox, "-n") as machine:
        machine.run("true")
    assert (busybox / "etc/passwd").read_text() == before


# Bad input -------------------------------------------------------------------------------------

def is_refused(host, result, *words):
    """With one sentence, before anything is touched."""
    assert result.returncode == 1, result
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].endswith("."), result.stderr
    for word in words:
        assert word in lines[0], lines[0]
    assert not [name for name in host.links() if name.startswith(("ve-", "vb-", "vz-"))]


BAD = [
    ("--network-veth-extra=a:b:c", "HOST:NAME"), ("--network-veth-extra=a/b", "1 to 15"),
    ("--network-veth-extra=up0", "up0"),
    ("--network-interface=", "1 to 15"), ("--network-interface=nonesuch", "nonesuch"),
    ("--network-interface=a:b:c", "HOST:NAME"), ("--network-interface=lo", "loopback"),
    ("--network-macvlan=nonesuch", "nonesuch"), ("--network-macvlan=a:", "1 to 15"),
    ("--network-ipvlan=nonesuch", "nonesuch"), ("--network-ipvlan=a:12", "1 to 15"),
    ("--network-bridge=nonesuch", "nonesuch"), ("--network-bridge=up0", "up0"),
    ("--network-bridge=a-name-too-long-x", "1 to 15"),
    ("--network-zone=a-zone-too-long", "1 to 12"), ("--network-zone=", "1 to 12"),
    ("--network-namespace-path=/nonesuch", "/nonesuch"), ("--network-namespace-path=/etc/passwd", "/etc/passwd"),
    ("--network-namespace-path=/proc/self/ns/mnt", "/proc/self/ns/mnt"),
    ("--port=80", "container's own"), ("--port=0", "1 to 65535"), ("--port=1:2:3", "1 to 65535"),
    ("--port=sctp:80", "tcp:"), ("--port=80-90:80", "same length"),
    ("--network-address=10.0.0.7", "length"), ("--network-address=10.0.0.0/24", "one machine"),
    ("--network-address=10.0.0.7/24", "there is none"),
    ("--network-gateway=10.0.0.1/24", "without a length"), ("--network-gateway=x", "'x'"),
    ("--network-mac=01:00:00:00:00:01", "six bytes"), ("--network-mtu=67", "68"),
    ("--network-name=a/b", "1 to 15"), ("--network-setup=dhcp", "auto, yes or no"),
    ("--network-isolate=x", "yes or no"), ("--network-isolate", "there is none"),
]


@pytest.mark.parametrize("option, word", covering("bad", BAD, lambda row: row[0]))
def test_bad_value(host, busybox, option, word):
    is_refused(host, host.launch("-D", busybox, option, "true"), word)


COMBINATIONS = [
    (["--network-bridge=a", "--network-zone=b"], "one bridge"),
    (["--network-namespace-path=/proc/self/ns/net", "-n"], "options that add links"),
    (["-n", "-p80", "-p80:81"], "already"),
    (["-n", "--network-veth-extra=x:host0"], "host0"),
    (["--network-interface=a", "--network-interface=a:b"], "already"),
    (["--network-ipvlan=up0", f"--network-mac={MAC}"], "--network-macvlan="),
    (["-n", "--network-setup=no", "--network-gateway=10.0.0.1"], "--network-address="),
    (["--network-bridge=a", "--network-isolate"], "--network-isolate"),
]


@pytest.mark.parametrize("args, word", COMBINATIONS, ids=lambda value: " ".join(value) if value else None)
def test_bad_combination(host, busybox, args, word):
    is_refused(host, host.launch("-D", busybox, *args, "true"), word)


def test_a_link_of_this_name_is_there(host, busybox):
    name = f"ve-{harness.TAG}-t"[:15]
    host.run("ip", "link", "add", name, "type", "bridge")
    try:
        result = host.launch("-n", "-M", name[3:], "-D", busybox, "true")
        assert result.returncode == 1 and name in result.stderr and len(result.stderr.splitlines()) == 1
    finally:
        host.run("ip", "link", "del", name)


IGNORED = [
    ("Network", "Private=maybe"), ("Network", "VirtualEthernet=maybe"), ("Network", "VirtualEthernetExtra=a:b:c"),
    ("Network", "Bridge=a/b"), ("Network", "Zone=a-zone-too-long"), ("Network", "NamespacePath=relative"),
    ("Network", "Port=0"), ("Network", "Address=10.0.0.7"), ("Network", "Gateway=10.0.0.1/24"),
    ("Network", "MACAddress=x"), ("Network", "MTU=1"), ("Network", "Name=a/b"), ("Network", "Setup=dhcp"),
    ("Network", "Isolate=x"),
]


@pytest.mark.parametrize("section, line", covering("bad", IGNORED, key_of))
def test_bad_key_is_ignored_with_a_warning(host, busybox, section, line):
    with file_of(busybox, f"[{section}]\n{line}\n") as path:
        result = host.launch("--settings=trusted", "-D", busybox, "echo", "runs")
    assert result.returncode == 0 and "runs" in result.stdout
    assert f"{path}:2: {line}" in result.stderr and "ignored" in result.stderr


FATAL = [("Network", f"{key}=a:b:c") for key in ("Interface", "MACVLAN", "IPVLAN")]


@pytest.mark.parametrize("section, line", covering("bad", FATAL, key_of))
def test_bad_interface_ends_the_start(host, busybox, section, line):
    with file_of(busybox, f"[{section}]\n{line}\n") as path:
        is_refused(host, host.launch("--settings=trusted", "-D", busybox, "true"), f"{path}:2: {line}")
        # Who made the tree does not decide about that.
        result = host.launch("-D", busybox, "echo", "runs")
    assert result.returncode == 0 and "ignored" in result.stderr


def test_all_of_it_takes_trust(host, busybox):
    lines = ["Private=yes", "VirtualEthernet=yes", "VirtualEthernetExtra=a", "Interface=up0", "MACVLAN=up0",
             "IPVLAN=up0", "Bridge=a", "Zone=a", "NamespacePath=/proc/1/ns/net", "Port=80", "Address=10.0.0.7/24",
             "Gateway=10.0.0.1", f"MACAddress={MAC}", "MTU=1400", "Name=a", "Setup=no", "Isolate=yes"]
    with file_of(busybox, "[Network]\n" + "\n".join(lines) + "\n"):
        result = host.launch("-D", busybox, "ls", "/sys/class/net")
    assert result.stdout.split() == ["lo", "up0"] and result.stderr.count("not trusted") == len(lines)


@pytest.mark.parametrize("network_of", ["-n", "--network-zone=own"])
@covers("bad", "--network-address=")
def test_an_address_of_the_hosts_own(host, busybox, network_of):
    """It would never be reached."""
    for address in (f"{host.UPLINK4}/24", f"{host.UPLINK6}/64"):
        done = host.launch(network_of, f"--network-address={address}", "-D", busybox, "--volatile=yes", "true")
        assert done.returncode == 1 and f"'{address.split('/')[0]}'" in done.stderr
        host.check_clean()
