"""The network as a whole: guests of all kinds, on each kind of link."""

import pytest

import harness
import network


@pytest.fixture
def host():
    with network.Host() as made:
        yield made


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
