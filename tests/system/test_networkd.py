"""A host where systemd-networkd runs with the files that come with it: there we keep off.

It works on the host's real network, so it needs a host where nobody else works (tests/vm/run).
"""

import contextlib
import ipaddress
import json
import os
import re
import subprocess

import pytest

import harness
import network
import witness

pytestmark = [pytest.mark.ours, pytest.mark.skipif(
    not (witness.EVERYTHING and harness.HOST_HAS_SYSTEMD
         and os.path.exists("/lib/systemd/system/systemd-networkd.service")),
    reason="needs a host of its own with systemd-networkd")]

NAME = f"{harness.TAG}-n"
HAND_MADE = "/run/systemd/network/80-container-ve.network"
# In the guest, as an administrator would have enabled it.
WITH_NETWORKD = "systemd.wants=systemd-networkd.service"
UDHCPC = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/$mask" dev "$interface"
ip route add default via "$router"
"""


def sh(*words):
    return network.check(list(words))


@contextlib.contextmanager
def running_networkd():
    """What it leaves behind is taken away: settings for forwarding, and its tables."""
    before = {path: witness.read_or_nothing(path) for path in witness.SETTINGS}
    sh("systemctl", "start", "systemd-networkd")
    try:
        yield
    finally:
        sh("systemctl", "stop", "systemd-networkd.socket", "systemd-networkd")
        for family in ("ip", "ip6"):
            subprocess.run(["nft", "delete", "table", family, "io.systemd.nat"], check=False,
                           stderr=subprocess.DEVNULL)
        for path, text in before.items():
            if witness.read_or_nothing(path) != text:
                path.write_text(text, encoding="ascii")


@pytest.fixture
def networkd():
    with running_networkd():
        yield


@contextlib.contextmanager
def machine(*args):
    """On the host itself. Its name is NAME."""
    process = harness.start("-M", NAME, *args)
    try:
        try:
            leader = harness.leader_of(process.pid)
        except AssertionError as error:
            process.kill()
            raise AssertionError(f"{error}: {process.communicate()}") from None
        yield network.Machine(None, process, leader)
    finally:
        harness.stop(process)


def manager_of(*args):
    """Who would give addresses."""
    plan = harness.output_of(harness.run("--dry-run", "-M", NAME, *args))
    return re.search("^addresses-from: (.*)$", plan, re.MULTILINE)[1]


def host_addresses(link):
    found = json.loads(sh("ip", "-j", "-4", "addr", "show", "dev", link))
    return [ipaddress.ip_interface(f"{entry['local']}/{entry['prefixlen']}")
            for interface in found for entry in interface.get("addr_info", ())]


def wait_for_address(guest):
    def look():
        return [text for text in guest.addresses() if ":" not in text]
    return ipaddress.ip_interface(harness.wait_until(look, 60, "an address of the guest's")[0])


def is_ours():
    return os.path.exists(f"/run/stead/network/machines/{NAME}")


def require_networkd_serves(guest, link):
    """The guest's address is of the network that the host's link has, and this one is not ours."""
    address = wait_for_address(guest)
    [gateway] = [one for one in host_addresses(link) if address.ip in one.network]
    assert not is_ours()
    assert "address" in sh("networkctl", "status", link).lower()
    assert guest.ask("ping", str(gateway.ip))
    assert guest.gateway() == str(gateway.ip)


@harness.covers("effect", "-n")
def test_guest_gets_its_address_from_networkd(networkd, debian12_source):
    assert manager_of("-n", "-D", debian12_source) == "systemd-networkd"
    with machine("-b", "-n", "--volatile=overlay", "-D", debian12_source, WITH_NETWORKD) as guest:
        require_networkd_serves(guest, f"ve-{NAME}")


@harness.covers("effect", "--network-zone=")
def test_zone_is_served_by_networkd(networkd, busybox):
    """Even the bridge is brought up by it. The guest asks with the simplest of all clients."""
    (busybox / "ask").write_text(UDHCPC, encoding="ascii")
    (busybox / "ask").chmod(0o755)
    with machine("--network-zone=nd", "-D", busybox, "sleep", "999") as guest:
        guest.run("ip", "link", "set", "host0", "up")
        guest.run("udhcpc", "-i", "host0", "-q", "-n", "-t", "20", "-s", "/ask", timeout=60)
        require_networkd_serves(guest, "vz-nd")


@harness.covers("effect", "-n")
def test_without_networkd_it_is_ours(debian12_source):
    """The same guest; its networkd asks, and is told what it has already."""
    assert manager_of("-n", "-D", debian12_source) == "stead"
    with machine("-b", "-n", "--volatile=overlay", "-D", debian12_source, WITH_NETWORKD) as guest:
        address = wait_for_address(guest)
        assert is_ours()
        assert guest.ask("ping", guest.gateway())

        def has_asked():
            text = guest.look("ip", "-d", "-4", "addr", "show", "dev", "host0")
            return "dynamic" in text or "proto dhcp" in text
        harness.wait_until(has_asked, 60, "the answer of our DHCP server")
        assert wait_for_address(guest) == address
        assert [text for text in guest.addresses() if ":" not in text] == [str(address)]


@harness.covers("effect", "--network-setup=")
def test_who_manages(networkd, busybox_source):
    """A file of networkd's that is masked manages nothing, and one may say so for each machine."""
    def managers(*args):
        return [manager_of(*args, kind, "-D", busybox_source) for kind in ("-n", "--network-zone=nd")]
    assert managers() == ["systemd-networkd"] * 2
    assert managers("--network-setup=yes") == ["stead"] * 2
    assert managers("--network-setup=no") == ["nobody"] * 2
    os.makedirs(os.path.dirname(HAND_MADE), exist_ok=True)
    os.symlink("/dev/null", HAND_MADE)
    try:
        assert managers() == ["stead", "systemd-networkd"]
    finally:
        os.unlink(HAND_MADE)


def test_what_networkd_leaves_alone_is_ours(networkd, busybox):
    """It would take away what it did not give, if the link was its."""
    os.makedirs(os.path.dirname(HAND_MADE), exist_ok=True)
    os.symlink("/dev/null", HAND_MADE)
    try:
        sh("networkctl", "reload")
        with machine("-n", "-D", busybox, "sleep", "999") as guest:
            harness.wait_until(lambda: "unmanaged" in sh("networkctl", "list", f"ve-{NAME}"), 20)
            assert is_ours()
            assert guest.ask("ping", guest.gateway())
    finally:
        os.unlink(HAND_MADE)
