"""Links on top of an interface of the host: macvlan and ipvlan. Many kernels lack the second; the hosts in
virtual machines have both."""

import json

import pytest

import harness
import network

pytestmark = pytest.mark.ours

KINDS = {"macvlan": ("mv-up0", "bridge"), "ipvlan": ("iv-up0", "l2")}
FIRST, SECOND = "198.51.100.11", "198.51.100.12"
FIRST6 = "2001:db8:51::11"


@pytest.fixture(params=[pytest.param(kind, marks=harness.covers("effect", f"--network-{kind}="))
                        for kind in KINDS])
def kind(request):
    return request.param


@pytest.fixture
def host(kind):
    with network.Host() as made:
        if made.run("ip", "link", "add", "link", "up0", "name", "try0", "type", kind, check=False).returncode:
            made.clean = False
            pytest.skip(f"this kernel has no {kind}")
        made.run("ip", "link", "delete", "try0")
        yield made


def facts(machine, link):
    """What the kernel says of a link in a machine."""
    return json.loads(machine.look("ip", "-d", "-j", "link", "show", "dev", link))[0]


def test_two_on_one_interface(host, kind, busybox):
    """They are in the network of the host's interface, with each other and with what is behind it."""
    name, mode = KINDS[kind]
    with host.machine(f"--network-{kind}=up0", f"--network-address={FIRST}/24,{FIRST6}/64",
                      f"--network-gateway={host.NEXT4},{host.NEXT6}",
                      "-x", "-M", "first", "-D", busybox, "sleep", "99") as first, \
            host.machine(f"--network-{kind}=up0", f"--network-address={SECOND}/24",
                         "-x", "-M", "second", "-D", busybox, "sleep", "99") as second:
        link = facts(first, name)
        assert link["linkinfo"]["info_kind"] == kind
        assert link["linkinfo"]["info_data"]["mode"] == mode
        assert link["operstate"] in ("UP", "UNKNOWN")
        assert first.addresses(name) == [f"{FIRST}/24", f"{FIRST6}/64"]
        macs = {facts(machine, name)["address"] for machine in (first, second)}
        assert len(macs) == (1 if kind == "ipvlan" else 2)
        assert first.ask("ping", SECOND) and second.ask("ping", FIRST)
        assert first.ask("ping", host.NEXT4) and second.ask("ping", host.NEXT4)
        assert first.ask("ping", host.NEXT6)
        assert first.ask("who", host.OUTSIDE4) == FIRST
        # The host's interface is as it was, and of no use to the two.
        assert host.links() == ["lo", "up0"]
        assert first.fails("ping", host.UPLINK4)


def test_as_systemd_nspawn_does(host, kind, busybox):
    """With the name that was asked for, down, without addresses: the guest does the rest."""
    with host.machine(f"--network-{kind}=up0:lan0", "-D", busybox, "sleep", "99") as machine:
        link = facts(machine, "lan0")
        assert link["linkinfo"]["info_kind"] == kind
        assert "UP" not in link["flags"] and not machine.addresses("lan0")
        machine.run("ip", "addr", "add", f"{FIRST}/24", "dev", "lan0")
        machine.run("ip", "link", "set", "lan0", "up")
        assert machine.ask("ping", host.NEXT4)
