"""Starts that are cut off at any moment leave nothing that the next one does not clean up."""

import os
import random
import signal
import time

import pytest

import harness
import witness
from harness import run, start

SEED = int(os.environ.get("STEAD_SEED", "2"))


def kill_at(delay, *args):
    """Kills the supervisor some milliseconds after its start, and waits for its children."""
    process = start(*args)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    # The payload is told by the kernel; its pipes close when it is gone.
    try:
        process.communicate(timeout=20)
    finally:
        for stream in (process.stdout, process.stderr):
            stream.close()


def one_start_takes(*args):
    before = time.monotonic()
    assert run(*args).returncode == 0
    return time.monotonic() - before


@pytest.mark.slow
@pytest.mark.parametrize("extra", [[], ["-U"], ["--private-network"]], ids=["plain", "users", "network"])
def test_200_starts_of_which_50_are_killed(busybox, extra):
    if extra and harness.WITH_SANITIZERS:
        pytest.skip("one of the three is enough under the sanitizers")
    args = [*extra, "-M", f"{harness.TAG}-crash", "-D", busybox, "sh", "-c", "exit 0"]
    before = witness.look()
    chance = random.Random(SEED)
    whole = max(one_start_takes(*args) for _ in range(3))
    killed = set(chance.sample(range(200), 50))
    for turn in range(200):
        if turn in killed:
            kill_at(chance.uniform(0, whole * 1.2), *args)
        else:
            result = run(*args)
            assert result.returncode == 0, f"start {turn} failed: {result.stderr}"
    # One more, ordinary start of the same name cleans up what was left.
    assert run(*args).returncode == 0
    witness.check(before)
    assert os.listdir(busybox.parent) == [busybox.name]


@pytest.mark.ours
def test_leftovers_of_a_killed_one_do_not_hinder_another_name(busybox):
    args = ["-U", "-D", busybox]
    kill_at(0.3, *args, "-M", f"{harness.TAG}-one", "sleep", "99")
    assert run(*args, "-M", f"{harness.TAG}-two", "true").returncode == 0
    assert run(*args, "-M", f"{harness.TAG}-one", "true").returncode == 0


@pytest.mark.ours
def test_payload_dies_with_its_supervisor(busybox):
    process = start("-D", busybox, "sleep", "99")
    leader = harness.leader_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=20)
    harness.wait_until(lambda: not os.path.exists(f"/proc/{leader}"), 10, "the payload's end")
    assert run("-D", busybox, "true").returncode == 0


@pytest.mark.ours
def test_killed_leader_ends_the_supervisor(busybox):
    process = start("-D", busybox, "sleep", "99")
    os.kill(harness.leader_of(process.pid), signal.SIGKILL)
    process.communicate(timeout=20)
    assert process.returncode == 1


@pytest.mark.ours
def test_failed_starts_leave_nothing(busybox):
    """The host is looked at after this test, as after every other."""
    for args in (["--bind=/no/such/source:/mnt"], ["--chdir=/no/such/folder"], ["-u", "nobodyhere"],
                 ["--private-network", "--bind=/no/such/source:/mnt"],
                 ["-U", "--tmpfs=/proc/nothing"]):
        for _ in range(3):
            assert run(*args, "-M", f"{harness.TAG}-fail", "-D", busybox, "true").returncode == 1
    assert run("-D", busybox, "/no/such/program").returncode == 1


@pytest.mark.slow
@pytest.mark.ours
def test_many_at_once(busybox):
    """Twenty machines share one read-only tree; each ends with its own status."""
    machines = [start("--read-only", "-M", f"{harness.TAG}-{number}", "-D", busybox, "sh", "-c",
                      f"sleep 0.5; exit {number}") for number in range(20)]
    try:
        for number, process in enumerate(machines):
            process.communicate(timeout=60)
            assert process.returncode == number
    finally:
        for process in machines:
            harness.stop(process)
