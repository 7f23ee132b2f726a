"""Which subnet a network has and which address a machine: kept, chosen, given back, and never given twice."""

import concurrent.futures
import contextlib
import ipaddress

import pytest

import harness
import network

pytestmark = pytest.mark.ours

STATE = "/var/lib/stead/network"
numbers = iter(range(1, 10000))


@pytest.fixture
def host():
    with network.Host() as made:
        yield made


def machine_name(what="lease"):
    return f"{harness.TAG}-{what}{next(numbers)}"


def subnet_of(machine):
    return ipaddress.ip_interface([text for text in machine.addresses() if ":" not in text][0]).network


def configure(host, text):
    host.write("/etc/stead/network.conf", text)
    host.before.add("/etc/stead/network.conf")


def test_a_machine_keeps_its_address(host, busybox):
    name, other = machine_name(), machine_name()
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as first:
        before = first.addresses()
        with host.machine("-n", "-M", other, "-x", "-D", busybox, "sleep", "99") as second:
            assert not set(second.addresses()) & set(before)
            assert subnet_of(first) == subnet_of(second)
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as again:
        assert again.addresses() == before
    number = host.run("readlink", f"{STATE}/host/by-name/{name}").strip()
    assert host.run("readlink", f"{STATE}/host/by-number/{number}").strip() == name


def test_an_ephemeral_machine_gives_its_address_back(host, busybox):
    with host.machine("-n", "-x", "-D", busybox, "sleep", "99") as machine:
        assert machine.addresses()
        assert len(host.run("ls", f"{STATE}/host/by-number").split()) == 1
        machine.stop()
    assert host.run("find", f"{STATE}/host", "-type", "l") == ""


def test_a_chosen_address_belongs_to_one_machine(host, busybox):
    name = machine_name()
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as machine:
        address = machine.address()
        refused = host.launch("-n", "-M", machine_name(), f"--network-address={address}/18", "-x", "-D", busybox, "true")
        assert refused.returncode == 1
        assert f"'{name}'" in refused.stderr and len(refused.stderr.splitlines()) == 1
        free = str(subnet_of(machine)[256])
        with host.machine("-n", "-M", machine_name(), f"--network-address={free}/18", "-x", "-D", busybox, "sleep", "99") as other:
            assert other.address() == free


def test_a_full_network_says_so(host, busybox):
    configure(host, "[Network]\nPool4=10.77.7.0/29\nHostPrefixLength4=29\n")
    with contextlib.ExitStack() as stack:
        machines = [stack.enter_context(host.machine("-n", "-x", "-M", machine_name(), "-D", busybox, "sleep", "99"))
                    for _ in range(5)]
        assert {machine.address() for machine in machines} == {f"10.77.7.{i}" for i in range(2, 7)}
        refused = host.launch("-n", "-x", "-M", machine_name(), "-D", busybox, "true")
        assert refused.returncode == 1
        assert "no address left" in refused.stderr and len(refused.stderr.splitlines()) == 1


def test_what_is_wrong_in_the_configuration_is_named(host, busybox):
    configure(host, "[Network]\nPool4=10.77.0.0/16\nPool4=10.78.0.0/33\n")
    done = host.launch("-n", "-x", "-M", machine_name(), "-D", busybox, "ip", "addr", "show", "host0")
    assert done.returncode == 0 and "/etc/stead/network.conf:3: " in done.stderr
    assert " 10.77." in done.stdout
    configure(host, "[Network\n")
    refused = host.launch("-n", "-x", "-M", machine_name(), "--network-zone=other", "-D", busybox, "true")
    assert refused.returncode == 1 and "/etc/stead/network.conf:1: " in refused.stderr


def wait_for_the_end(host):
    """Of the network, which comes a moment after that of its last machine."""
    harness.wait_until(lambda: not host.read("/run/stead/network/networks/host/subnet")
                       and not host.processes("network-keeper"), 10, "the end of the network")


def test_a_network_makes_room_for_another(host, busybox):
    name = machine_name()
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as machine:
        before, subnet = machine.address(), subnet_of(machine)
    wait_for_the_end(host)
    route = str(next(subnet.subnets(new_prefix=26)))
    host.run("ip", "route", "add", route, "via", host.NEXT4)
    done = host.launch("-n", "-M", name, "-D", busybox, "ip", "addr", "show", "host0")
    assert f"'host' moves from {subnet} to " in done.stderr and route in done.stderr
    assert f" {before}/" not in done.stdout
    wait_for_the_end(host)
    host.run("ip", "route", "del", route)
    done = host.launch("-n", "-M", name, "-D", busybox, "ip", "addr", "show", "host0")
    assert "moves" not in done.stderr


def test_a_read_only_host(host, busybox):
    name = machine_name()
    host.run("mount", "-o", "remount,ro", "/var/lib/stead")
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as machine:
        before = machine.addresses()
    with host.machine("-n", "-M", name, "-D", busybox, "sleep", "99") as machine:
        assert machine.addresses() == before
    host.before |= {line for line in host.picture() if line.startswith("/run/stead/network/leases")}


def test_many_come_first(host, busybox):
    """To a network that is not there yet, all at once."""
    def addresses(name):
        done = host.launch("--network-zone=first", "-x", "-M", name, "-D", busybox, "ip", "-4", "addr", "show", "host0",
                           timeout=60)
        assert done.returncode == 0, done.stderr
        return [word for word in done.stdout.split() if "/" in word and word[0].isdigit()][0]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        found = list(pool.map(addresses, [machine_name() for _ in range(6)]))
    assert len(set(found)) == 6
    assert len({ipaddress.ip_interface(text).network for text in found}) == 1
