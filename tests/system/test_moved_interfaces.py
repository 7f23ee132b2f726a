"""Interfaces of the host that a machine has for a time: they come back as they were, whatever the machine
did with them and however it ended."""

import json
import os
import signal
import subprocess

import pytest

import harness
import network

pytestmark = [pytest.mark.ours, harness.covers("effect", "--network-interface=")]

ADDRESSES = ["192.0.2.7/24", "2001:db8:7::7/64"]


def card(host):
    """What there is to see of it."""
    found = json.loads(host.run("ip", "-j", "addr", "show", "dev", "card0"))[0]
    return {"mac": found["address"], "mtu": found["mtu"], "flags": sorted(set(found["flags"]) & {"UP", "NOARP", "PROMISC", "ALLMULTI", "MULTICAST"}),
            "names": sorted(found.get("altnames", ())), "alias": found.get("ifalias"),
            "addresses": [f"{entry['local']}/{entry['prefixlen']}" for entry in found["addr_info"]
                          if entry["scope"] == "global"]}


@pytest.fixture
def host():
    """With a card that has all that one can have."""
    with network.Host() as made:
        made.run("ip", "-batch", "-", input="\n".join([
            "link add card0 type veth peer name wire0", "link set wire0 up",
            "link set card0 mtu 1400 alias thecard", "link property add dev card0 altname enp0s7",
            *(f"addr add {address} dev card0" + (" nodad" if ":" in address else "")
              for address in ADDRESSES), "link set card0 up", ""]))
        harness.wait_until(lambda: "tentative" not in made.run("ip", "addr"), 10, "the kernel's addresses")
        made.card = card(made)
        assert made.card["addresses"] == ADDRESSES and made.card["names"] == ["enp0s7"]
        made.before = made.picture()
        yield made


def mistreat(machine):
    """As its root can: names that the host has, among others."""
    machine.run("ip", "link", "set", "lan0", "down")
    for change in (["address", "02:00:00:00:00:66"], ["mtu", "1000"], ["alias", "stead:another"],
                   ["name", "up0"]):
        machine.look("ip", "link", "set", "lan0", *change)
    machine.look("ip", "link", "set", "up0", "arp", "off", "promisc", "on", "allmulticast", "on", "multicast", "off")
    machine.look("ip", "link", "property", "add", "dev", "up0", "altname", "wire0")
    machine.look("ip", "addr", "add", "192.0.2.99/24", "dev", "up0")


def start(host, tree, *args):
    return host.machine("--network-interface=card0:lan0", *args, "-M", "mover", "-D", tree, "sleep", "99")


@pytest.mark.parametrize("users", [[], ["-U"]], ids=["", "own-ids"])
@pytest.mark.parametrize("end", ["stop", "crash"])
def test_given_back_as_it_was(host, busybox, end, users):
    with start(host, busybox, *users) as machine:
        assert "card0" not in host.links()
        mistreat(machine)
        if end == "crash":
            os.kill(machine.leader, signal.SIGKILL)
        machine.stop()
    assert card(host) == host.card
    host.check_clean()


def test_of_a_killed_supervisor(host, busybox):
    """Nobody is there to give it back, until somebody starts the machine again or cleans up."""
    with start(host, busybox) as machine:
        mistreat(machine)
        machine.process.kill()
        machine.process.communicate()
        harness.wait_until(lambda: not os.path.exists(f"/proc/{machine.leader}"), 10, "the end of the machine")
    assert "card0" not in host.links()
    with start(host, busybox) as machine:
        assert "card0" not in host.links()
        machine.look("ip", "link", "show", "dev", "lan0")
        machine.stop()
    assert card(host) == host.card
    host.check_clean()


def test_of_a_machine_that_gave_it_thousands_of_names(host, busybox):
    """As many as the kernel takes, one of them the host's: more than fits into an ordinary answer of it."""
    with start(host, busybox) as machine:
        names = "".join(f"link property add dev lan0 altname a{i}\n" for i in range(6000))
        done = subprocess.run([*machine.enter_command(False), "ip", "-force", "-batch", "-"], input=names, text=True,
                              stderr=subprocess.PIPE, check=False)
        assert "too long" in done.stderr
        machine.look("ip", "link", "property", "del", "dev", "lan0", "altname", "a1")
        machine.look("ip", "link", "property", "add", "dev", "lan0", "altname", "up0")
        machine.stop()
    assert card(host) == host.card
    host.check_clean()


def test_another_has_the_name(host, busybox):
    """It comes back all the same, under a name that is free."""
    with start(host, busybox) as machine:
        host.run("ip", "link", "add", "card0", "type", "bridge")
        machine.stop()
    (name,) = [link for link in host.links() if link not in ("card0", "wire0", "up0", "lo")]
    assert host.card["mac"] in host.run("ip", "addr", "show", "dev", name)
    host.run("ip", "link", "delete", "card0")
    host.run("ip", "link", "delete", name)
    host.clean = False


def test_one_that_is_not_there(host, busybox):
    done = host.launch("-q", "--network-interface=card7", "-D", busybox, "true")
    assert done.returncode == 1 and "'card7'" in done.stderr
    host.check_clean()


def test_a_name_that_is_taken_inside(host, busybox):
    """The start fails, and the host keeps its interface."""
    done = host.launch("-q", "--network-interface=card0:lo", "-D", busybox, "true")
    assert done.returncode == 1, done.stderr
    assert card(host) == host.card
    host.check_clean()
