"""Uptime: the machine's own, from its start and from each reboot on; the host's where that is asked for."""

import os
import re
import time

import pytest

import harness
from harness import output_of, run, settings_file
from test_boot import Guest

pytestmark = pytest.mark.ours

LOOK = "cat /proc/uptime; grep btime /proc/stat; date +%s; cut -d' ' -f22 /proc/self/stat"


@pytest.fixture(autouse=True)
def kernel_has_time_namespaces():
    if not os.path.exists("/proc/self/timens_offsets"):
        pytest.skip("the kernel has no time namespaces")


def look(text):
    """Uptime, time of the boot, time of day, and start of a process since the boot; all in seconds."""
    uptime, boot, now, ticks = text.replace("\r", "").splitlines()[-4:]
    return (float(uptime.split()[0]), int(boot.split()[1]), int(now),
            int(ticks) / os.sysconf("SC_CLK_TCK"))


def host_uptime():
    return float(harness.read("/proc/uptime").split()[0])


@harness.covers("effect", "--time")
@pytest.mark.parametrize("args", [[], ["-U"], ["--as-pid2"], ["--private-users=identity", "--uid=daemon"]],
                         ids=["plain", "users", "as-pid2", "uid"])
def test_private(busybox, args):
    before = time.time()
    uptime, boot, now, started = look(output_of(run("--time=private", *args, "-D", busybox, "sh", "-c", LOOK)))
    took = time.time() - before
    assert 0 <= started <= uptime + 0.02 and uptime <= took
    # The boot was when we started it; the time of day is the host's.
    assert before - 1.1 <= boot <= now <= before + took


def test_default_of_commands_is_the_hosts(busybox):
    for args in [], ["--time=auto"], ["--time=host"]:
        before = host_uptime()
        uptime = look(output_of(run(*args, "-D", busybox, "sh", "-c", LOOK)))[0]
        assert before - 0.02 <= uptime <= host_uptime() + 0.02


@harness.covers("effect", "[Lifecycle] Time")
def test_key(busybox):
    """It reaches nothing but the machine's own clock, so it needs no trust; the command line wins."""
    with settings_file(busybox.parent / f"{busybox.name}.nspawn", "[Lifecycle]\nTime=private\n"):
        assert look(output_of(run("-D", busybox, "sh", "-c", LOOK)))[0] < harness.patient(10)
        before = host_uptime()
        assert look(output_of(run("--time=host", "-D", busybox, "sh", "-c", LOOK)))[0] >= before - 0.02


def test_inside_of_another_one(busybox):
    """Offsets count from the machine's own clocks, whatever time it is around the launcher."""
    words = ["unshare", "--time", "--boottime=100000", "--monotonic=200000", "--fork"]
    if harness.subprocess.run([*words, "true"], stderr=harness.subprocess.DEVNULL, check=False).returncode != 0:
        pytest.skip("unshare(1) of this host cannot make time namespaces")
    text = harness.subprocess.run([*words, *harness.command("-q", "--time=private", "-D", busybox, "sh", "-c", LOOK)],
                                  stdin=harness.subprocess.DEVNULL, stdout=harness.subprocess.PIPE, text=True,
                                  env=harness.environment(), check=True).stdout
    assert look(text)[0] < harness.patient(10)


def namespace(pid):
    return os.readlink(f"/proc/{pid}/ns/time"), os.readlink(f"/proc/{pid}/ns/time_for_children")


def test_who_is_in_it(busybox):
    """Its processes, also those that it starts; not the supervisor, and not another machine."""
    script = "readlink /proc/self/ns/time; (readlink /proc/self/ns/time_for_children); read x"
    seen = set()
    for _ in range(2):
        process = harness.start("--time=private", "-P", "-D", busybox, "sh", "-c", script,
                                stdin=harness.subprocess.PIPE)
        try:
            own = process.stdout.readline().strip()
            assert process.stdout.readline().strip() == own
            assert namespace(harness.leader_of(process.pid)) == (own, own)
            assert namespace(process.pid) == namespace(os.getpid()) and own not in namespace(os.getpid())
        finally:
            harness.stop(process)
        seen.add(own)


def test_boot_and_reboot(busybox):
    before = time.monotonic()
    with Guest(busybox, "--private-network", timeout=60) as machine:
        machine.log_in()
        first = look(machine.run(LOOK)[0])[0]
        assert first <= time.monotonic() - before
        asked = time.monotonic()
        machine.console.sendline("reboot")
        machine.log_in()
        second = look(machine.run(LOOK)[0])[0]
        assert second <= time.monotonic() - asked
        # The host's clock went on meanwhile; the supervisor still has it.
        assert namespace(machine.console.pid) == namespace(os.getpid())


def test_boot_with_the_hosts(stub):
    with Guest(stub, "--time=host", timeout=60) as machine:
        machine.console.expect("stub-init is up")
        assert namespace(harness.leader_of(machine.console.pid)) == namespace(os.getpid())


@pytest.mark.slow
@pytest.mark.parametrize("args", [[], ["-U"]], ids=["plain", "users"])
def test_systemd_lives_by_it(debian12, args):
    """Its timers count from the boot of the machine, the journal has it as the current one, and it knows how long
    it took to boot."""
    with Guest(debian12, "--private-network", *args, timeout=90) as machine:
        machine.log_in()
        assert machine.state()[0] in ("running", "degraded")
        text = machine.run("systemd-analyze time")[0]
        assert re.search(r"Startup finished in [\d.]+m?s", text), text
        assert "min" not in text.split("\n")[0]
        # Timers may be a minute late to share a wake-up, unless they say otherwise.
        assert machine.run("systemd-run --quiet --on-boot=2s --timer-property=AccuracySec=100ms "
                           "touch /run/fired")[1] == 0
        machine.run("for i in $(seq 50); do [ -e /run/fired ] && break; sleep 0.1; done; test -e /run/fired")
        assert machine.run("test -e /run/fired")[1] == 0
        assert machine.run("journalctl -b -n 1 -o short-monotonic --no-pager")[1] == 0
        stamp = float(machine.run("journalctl -b -n 1 -q -o short-monotonic --no-pager | tr -d '[]' | xargs | cut -d' ' -f1")[0])
        assert 0 <= stamp < harness.patient(90)
        assert machine.power_off() == 0
