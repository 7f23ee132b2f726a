"""Guests with each init system that Debian has: they boot, serve, reboot and stop."""

import contextlib
import subprocess
import time

import pytest

import harness
from test_boot import Guest


class Kind:
    """How a tree of tests/trees differs from the others."""

    def __init__(self, name, reboot="reboot", limit=5):
        self.name = name
        self.reboot = reboot    # typed as root
        self.limit = limit      # seconds that an orderly stop may take

    def __repr__(self):
        return self.name


# Debian's init scripts take a while in shell; openrc-init also waits three seconds before it kills.
KINDS = [
    Kind("debian12"),
    Kind("debian13"),
    Kind("sysvinit", limit=10),
    Kind("openrc", "openrc-shutdown -r now", limit=10),
    Kind("runit"),
    Kind("finit"),
    Kind("s6"),
    Kind("busybox"),
]
PARAMETERS = [pytest.param(kind, id=kind.name,
                           marks=[] if kind.name == "busybox" else pytest.mark.slow)
              for kind in KINDS]


@pytest.fixture(scope="module", params=PARAMETERS)
def guest(request, tree_source, work, private_tree):
    """A tree that all tests of this module boot one after the other, and its kind."""
    with contextlib.contextmanager(private_tree)(tree_source(request.param.name), work, "guest") as tree:
        yield request.param, tree


def boot(tree, *args):
    return Guest(tree, *args, timeout=60)


def supervised(machine):
    return harness.leader_of(machine.console.pid)


def ask(leader):
    """What the machine serves, from inside of its network; the guest needs no tools for that."""
    client = ("import sys, urllib.request as u; "
              "sys.stdout.write(u.urlopen('http://127.0.0.1:8080/', timeout=5).read().decode())")
    result = subprocess.run(["nsenter", "-t", str(leader), "-n", "/usr/bin/python3", "-c", client],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=20,
                            env=harness.environment(), check=False)
    return result.stdout


def stop(machine, timeout=40):
    """One SIGTERM to the supervisor. Returns its exit status and how long the machine took."""
    before = time.monotonic()
    machine.console.kill(15)
    status = machine.wait(timeout)
    return status, time.monotonic() - before


def test_login_and_service(guest):
    kind, tree = guest
    with boot(tree, "--private-network") as machine:
        machine.log_in()
        assert machine.run("echo $((6 * 7)); id -u") == ("42\n0\n", 0)
        harness.wait_until(lambda: ask(supervised(machine)) == "stead guest\n", 20,
                           f"an answer of the service in the {kind} guest")


def test_reboots_from_inside(guest):
    kind, tree = guest
    with boot(tree, "--private-network") as machine:
        machine.log_in()
        supervisor, first = machine.console.pid, supervised(machine)
        machine.run("touch /root/before; touch /run/before")
        machine.console.sendline(kind.reboot)
        machine.log_in()
        assert machine.console.isalive() and machine.console.pid == supervisor
        assert supervised(machine) != first
        assert machine.run("rm /root/before; ls /run/before 2>&1 | grep -c 'No such'")[0] == "1\n"


@pytest.mark.ours
@pytest.mark.parametrize("args", [[], ["-U"]], ids=["plain", "users"])
def test_one_sigterm(guest, args, record_property):
    """It is over soon and well, and the tree is fit to be booted again."""
    kind, tree = guest
    with boot(tree, "--private-network", *args) as machine:
        machine.console.expect("login: ")
        status, seconds = stop(machine)
    record_property("stop_seconds", round(seconds, 2))
    print(f"{kind}: stopped in {seconds:.2f} s")
    assert status == 0
    assert seconds < kind.limit
    with boot(tree, "--private-network", *args) as machine:
        machine.log_in()
        assert machine.run("true") == ("", 0)


@pytest.mark.ours
def test_one_sigterm_while_somebody_is_logged_in(guest, record_property):
    kind, tree = guest
    with boot(tree, "--private-network") as machine:
        machine.log_in()
        status, seconds = stop(machine)
    record_property("stop_seconds", round(seconds, 2))
    print(f"{kind}: stopped in {seconds:.2f} s with a shell at its console")
    assert status == 0
    # System V's script gives a shell that does not mind SIGTERM ten seconds.
    assert seconds < kind.limit + (10 if kind.name in ("sysvinit", "openrc", "runit") else 0)


@pytest.mark.ours
def test_stub(stub, record_property):
    """The same life in milliseconds, for an init without a login."""
    with boot(stub, "--private-network") as machine:
        machine.console.expect("stub-init is up")
        first = supervised(machine)
        machine.console.sendline("r")
        machine.console.expect("stub-init restarts")
        machine.console.expect("stub-init is up")
        assert supervised(machine) != first
        status, seconds = stop(machine)
    record_property("stop_seconds", round(seconds, 2))
    assert status == 0 and seconds < 5


@pytest.mark.ours
@pytest.mark.parametrize("args", [[], ["--private-network"], ["-U", "--private-network"]],
                         ids=["plain", "network", "users"])
def test_named_hierarchy_for_old_systemd(oldcgroup, args):
    """systemd before version 230 needs /sys/fs/cgroup/systemd of version 1 and does not start without."""
    with boot(oldcgroup, *args) as machine:
        machine.console.expect(r"oldcgroup: (.*)\r\n")
        assert machine.console.match.group(1) == "has name=systemd"
