"""One SIGTERM to the supervisor shuts the machine down, whatever runs in it."""

import os
import shutil
import signal
import subprocess
import time

import pytest

import harness
from harness import start

pytestmark = pytest.mark.ours

LOOP = "echo ready; while :; do sleep 0.05; done"


def end(process, timeout=20):
    """Asks once. Returns exit status, what was said, and how long it took."""
    before = time.monotonic()
    process.terminate()
    _, errors = process.communicate(timeout=timeout)
    return process.returncode, errors, time.monotonic() - before


def test_busybox_init(busybox):
    process = start("-b", "-D", busybox, quiet=False)
    try:
        harness.leader_of(process.pid)
        status, errors, seconds = end(process)
        assert status == 0 and seconds < harness.patient(5)
        assert "Asked busybox init to shut down (SIGUSR2)." in errors
        assert "has been shut down" in errors
    finally:
        harness.stop(process)


@pytest.mark.parametrize("kind", ["-b", "-a"])
@pytest.mark.parametrize("delay_ms", [0, 5, 8, 11, 15, 20, 40])
def test_at_any_moment_of_the_start(stub, busybox, kind, delay_ms):
    """A request is not lost because the init has not come so far as to listen."""
    line, expected = {"-b": (["-D", stub], 0), "-a": (["-D", busybox, "sleep", "99"], 1)}[kind]
    for _ in range(10):
        process = start(kind, *line, quiet=False)
        try:
            # Before this line nothing was touched, and the signal just ends the launcher.
            assert "Spawning" in process.stderr.readline()
            time.sleep(delay_ms / 1000)
            status, errors, seconds = end(process)
            assert status == expected, errors
            assert seconds < harness.patient(5)
        finally:
            harness.stop(process)


@pytest.mark.parametrize("users", [[], ["-U"]], ids=["plain", "users"])
def test_slow_init(busybox, users):
    """An init that begins to listen only after a while is asked then."""
    init = busybox / "usr/sbin/slow-init"
    init.write_text("#!/bin/sh\nsleep 3\ntrap 'exit 5' TERM\n" + LOOP)
    init.chmod(0o755)
    process = start("-a", "--kill-signal=SIGRTMIN+4", *users, "-D", busybox, "sh", "-c", LOOP)
    try:
        assert "ready" in process.stdout.readline()
        assert end(process)[0] == 0
    finally:
        harness.stop(process)
    process = start("--kill-signal=SIGTERM", *users, "-D", busybox, "/usr/sbin/slow-init")
    try:
        harness.leader_of(process.pid)
        status, errors, seconds = end(process)
        assert status == 5, errors
        assert 0.3 < seconds < harness.patient(5)
    finally:
        harness.stop(process)


def test_program_with_a_handler(busybox):
    process = start("-D", busybox, "sh", "-c", "trap 'exit 6' TERM; " + LOOP)
    try:
        assert "ready" in process.stdout.readline()
        assert end(process)[0] == 6
    finally:
        harness.stop(process)


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["default", "ignored"])
def test_program_without_a_handler(busybox, trap):
    process = start("-D", busybox, "sh", "-c", trap + LOOP)
    try:
        assert "ready" in process.stdout.readline()
        status, _, seconds = end(process)
        assert status == 1 and seconds < harness.patient(2)
    finally:
        harness.stop(process)


def test_small_init(busybox):
    """The command can tidy up, but did not succeed: a build that is cut off is not a good one."""
    process = start("-a", "-D", busybox, "sh", "-c", "trap '' HUP; trap 'echo asked; exit 3' TERM; " + LOOP)
    try:
        assert "ready" in process.stdout.readline()
        before = time.monotonic()
        process.terminate()
        output, _ = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "asked" in output and time.monotonic() - before < 5
    finally:
        harness.stop(process)


def test_kill_as_the_signal_to_stop(busybox):
    process = start("--kill-signal=SIGKILL", "-D", busybox, "sh", "-c", LOOP)
    try:
        assert "ready" in process.stdout.readline()
        status, errors, seconds = end(process)
        assert status == 1 and "Cannot ask" not in errors and seconds < harness.patient(3)
    finally:
        harness.stop(process)


@pytest.mark.parametrize("unit", [[], ["--keep-unit"]], ids=["scope", "kept"])
def test_reboot_is_no_answer(stub, cgroup, unit):
    """Who stops a machine wants it stopped, also if it reboots at that moment."""
    process = start("-b", "--kill-signal=SIGINT", *unit, "-D", stub, quiet=False, cgroup=cgroup)
    try:
        harness.leader_of(process.pid)
        status, errors, _ = end(process)
        assert status == 0, errors
        assert "has been shut down" in errors and "rebooted" not in errors
    finally:
        harness.stop(process)


@harness.covers("effect", "--stop-timeout")
def test_late_ones_are_named_and_killed(busybox):
    # The name of a process is the guest's; what a terminal would obey does not get through.
    process = start("--stop-timeout=1", "-D", busybox, "sh", "-c",
                    "trap 'echo asked' TERM; "
                    "(echo -ne 'la\\033[2Jte' >/proc/self/comm; while :; do sleep 9; done) & " + LOOP)
    try:
        assert "ready" in process.stdout.readline()
        status, errors, seconds = end(process)
        assert status == 1
        assert 0.9 < seconds < harness.patient(4)
        assert "did not shut down within 1.0 s; still there: " in errors
        assert "'la?[2Jte' (process " in errors and "\033" not in errors
    finally:
        harness.stop(process)


def test_without_a_limit(busybox):
    process = start("--stop-timeout=infinity", "-D", busybox, "sh", "-c",
                    "trap 'echo asked' TERM; " + LOOP)
    try:
        assert "ready" in process.stdout.readline()
        process.terminate()
        assert "asked" in process.stdout.readline()
        time.sleep(1)
        assert process.poll() is None
        assert end(process)[0] == 1
    finally:
        harness.stop(process)


def test_unknown_init_is_killed_when_it_never_listens(busybox):
    """It is called "init", has no FIFO, and no signal would reach it."""
    init = busybox / "usr/sbin/init"
    init.unlink()
    shutil.copy(busybox / "usr/bin/busybox", init)
    (busybox / "etc/inittab").write_text("::sysinit:/bin/true\n")
    process = start("-b", "-D", busybox, quiet=False)
    try:
        harness.leader_of(process.pid)
        status, errors, seconds = end(process)
        assert status == 1 and seconds < harness.patient(15)
        assert "Cannot ask sysvinit to shut down: it does not listen. Killing it." in errors
    finally:
        harness.stop(process)


NEVER_ANSWERS = r"""
import ctypes, os, sys
fd = os.open("/dev/fuse", os.O_RDWR)
libc = ctypes.CDLL(None, use_errno=True)
entered = os.open(f"/proc/{sys.argv[1]}/ns/mnt", os.O_RDONLY)
if libc.setns(entered, 0) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
if libc.mount(b"never", b"/run", b"fuse", 0, options) < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
print("mounted", flush=True)
sys.stdin.read()
"""


def test_file_system_that_never_answers(busybox):
    """The guest serves /run itself, and lets everybody wait who looks into it."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("this host has no FUSE")
    init = busybox / "usr/sbin/init"
    init.unlink()
    shutil.copy(busybox / "usr/bin/busybox", init)
    process = start("-b", "-D", busybox, quiet=False)
    server = None
    try:
        leader = harness.leader_of(process.pid)
        server = subprocess.Popen(["/usr/bin/python3", "-c", NEVER_ANSWERS, str(leader)],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert "mounted" in server.stdout.readline()
        status, errors, seconds = end(process)
        assert status == 1 and seconds < harness.patient(8)
        assert "Cannot ask sysvinit to shut down: Connection timed out. Killing it." in errors
    finally:
        if server:
            server.communicate("")
        harness.stop(process)
