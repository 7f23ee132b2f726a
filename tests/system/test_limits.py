"""Limits and device policy are enforced, by the kernel, on whoever runs inside.

These need the controllers of control groups version 2. Where a host keeps them in version 1, as many a
developer's does, they skip; tests/vm/run has hosts that offer all of them.
"""

import contextlib
import itertools
import os
import pathlib
import stat
import subprocess
import time

import pytest

import harness
from harness import lines_of, output_of, read, run

pytestmark = [pytest.mark.ours, pytest.mark.limits]

counter = itertools.count(1)


needs = pytest.mark.controllers


@pytest.fixture(autouse=True)
def controllers_are_there(request, preconditions):
    offered = read(harness.cgroup2_mount() / "cgroup.controllers").split()
    for mark in request.node.iter_markers("controllers"):
        for name in mark.args:
            if name not in offered:
                pytest.skip(f"the host's cgroup2 has no controller '{name}'")


class Machine:
    """A script in a machine with properties, until its end or until it is stopped."""

    def __init__(self, tree, script, *properties, args=()):
        self.name = f"{harness.TAG}l{next(counter)}"
        self.unit = f"machine-{self.name}.scope"
        self.scope = harness.cgroup2_mount() / "machine.slice" / self.unit
        self.process = harness.start(
            "-M", self.name, *(f"--property={text}" for text in properties), *args, "-D", tree,
            "sh", "-c", f"echo is up; {script}")
        if self.line() != "is up":
            _, errors = self.process.communicate(timeout=20)
            raise AssertionError(f"no start: {errors}")

    def line(self):
        return self.process.stdout.readline().strip()

    def file(self, name):
        return read(self.scope / name).strip()

    def value(self, file, key):
        return int(dict(line.split() for line in lines_of(self.file(file)))[key])

    def unit_shows(self, name):
        return subprocess.run(["systemctl", "show", self.unit, "-p", name, "--value"], text=True,
                              stdout=subprocess.PIPE, check=True).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        harness.stop(self.process)


def disk_of(path):
    """The whole disk that a file is on, as /dev has it."""
    number = os.stat(path).st_dev
    folder = pathlib.Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    if not folder.exists():
        pytest.skip(f"{path} is on no disk of its own")
    folder = folder.resolve()
    if (folder / "partition").exists():
        folder = folder.parent
    return pathlib.Path("/dev") / folder.name


# Memory ----------------------------------------------------------------------------------------

# A buffer of that size, all of it written to.
ALLOCATE = "dd if=/dev/zero of=/dev/null bs={}M count=1 2>/dev/null; echo status $?"


@needs("memory")
@pytest.mark.parametrize("args", [[], ["-U"]], ids=["plain", "users"])
def test_memory_max_kills_who_takes_more(busybox, args):
    script = f"{ALLOCATE.format(100)}; {ALLOCATE.format(300)}; read line"
    with Machine(busybox, script, "MemoryMax=256M", args=args) as machine:
        assert machine.line() == "status 0"
        assert machine.line() == "status 137"
        assert machine.value("memory.events", "oom_kill") >= 1


@needs("memory")
def test_limit_is_out_of_reach(busybox):
    """The limit is above the group that root inside sees, and what it sees may be refused, too."""
    script = ("(for file in $(find /sys/fs/cgroup -name memory.max); do echo max >$file; done) 2>/dev/null; "
              f"{ALLOCATE.format(300)}; read line")
    with Machine(busybox, script, "MemoryMax=256M") as machine:
        assert machine.line() == "status 137"
        assert machine.file("memory.max") == str(256 << 20)


@needs("memory")
def test_memory_without_a_limit(busybox):
    with Machine(busybox, ALLOCATE.format(300)) as machine:
        assert machine.line() == "status 0"


# Processes -------------------------------------------------------------------------------------

@needs("pids")
@pytest.mark.parametrize("args", [[], ["-U"]], ids=["plain", "users"])
def test_tasks_max_stops_a_fork_bomb(busybox, args):
    bomb = "n=0; while [ $n -lt 200 ]; do sleep 99 & n=$((n+1)); done"
    with Machine(busybox, f"( {bomb} ) 2>&1 | grep -c fork; echo tried; read line", "TasksMax=50",
                 args=args) as machine:
        # Up to Linux 6.10 the group whose process wanted to fork counts, not the one with the limit.
        harness.wait_until(lambda: any(machine.value(f"{group}pids.events", "max")
                                       for group in ("", "payload/")), what="the limit's effect")
        assert 40 <= int(machine.file("pids.current")) <= 50


# Processors ------------------------------------------------------------------------------------

def share_of_cpu(machine, seconds):
    before, used = time.monotonic(), machine.value("cpu.stat", "usage_usec")
    time.sleep(seconds)
    used = machine.value("cpu.stat", "usage_usec") - used
    return used / 1e6 / (time.monotonic() - before)


@needs("cpu")
def test_cpu_quota_holds_busy_loops(busybox):
    script = "(while :; do :; done) & while :; do :; done"
    with Machine(busybox, script, "CPUQuota=20%") as machine:
        time.sleep(0.5)
        assert 0.02 < share_of_cpu(machine, 5) < 0.3
        assert machine.value("cpu.stat", "nr_throttled") > 0


@needs("cpu")
def test_cpu_without_a_quota(busybox):
    with Machine(busybox, "while :; do :; done") as machine:
        time.sleep(0.5)
        assert share_of_cpu(machine, 3) > 0.3


@needs("cpuset")
def test_allowed_cpus(busybox):
    with Machine(busybox, "grep Cpus_allowed_list /proc/self/status", "AllowedCPUs=0") as machine:
        assert machine.line().split() == ["Cpus_allowed_list:", "0"]


# Disks -----------------------------------------------------------------------------------------

COUNT = 4  # megabytes


@needs("io")
@pytest.mark.parametrize("direction", ["Read", "Write"])
def test_bandwidth_of_a_disk(busybox, direction):
    disk = disk_of(busybox)
    seconds = {}
    for limit in (None, "1M"):
        script = {
            "Write": f"dd if=/dev/zero of=/big bs=64k count={COUNT * 16} oflag=direct 2>/dev/null",
            "Read": "dd if=/big of=/dev/null bs=64k iflag=direct 2>/dev/null",
        }[direction]
        with open(busybox / "big", "wb") as file:
            file.write(os.urandom(COUNT << 20))
            os.fsync(file.fileno())
        properties = [f"IO{direction}BandwidthMax={disk} {limit}"] if limit else []
        with Machine(busybox, f"{script}; echo status $?; read line", *properties) as machine:
            before = time.monotonic()
            assert machine.line() == "status 0"
            seconds[limit] = time.monotonic() - before
            if limit:
                key = {"Read": "rbps", "Write": "wbps"}[direction]
                assert f"{key}=1000000" in machine.file("io.max")
    # A little is let through at once.
    assert seconds["1M"] > max(COUNT - 1.5, seconds[None]), seconds


# Devices ---------------------------------------------------------------------------------------

# A block device that every host has, with nothing in it, and that no machine gets unasked.
UNLISTED = "/dev/loop0"


@pytest.mark.parametrize("allowed, opened, made", [
    (None, False, False), ("w", False, False), ("m", False, True), ("r", True, False),
    ("rwm", True, True),
])
def test_device_that_is_not_on_the_list(busybox, allowed, opened, made):
    """A node came with the tree, and root inside has the capability to make another one."""
    if not os.path.exists(UNLISTED):
        pytest.skip(f"there is no {UNLISTED}; the module 'loop' makes it")
    number = os.stat(UNLISTED).st_rdev
    os.mknod(busybox / "node", stat.S_IFBLK | 0o600, number)
    script = ("cat </node && echo opened; "
              f"mknod /another b {os.major(number)} {os.minor(number)} && echo made; :")
    args = [f"--property=DeviceAllow={UNLISTED} {allowed}"] if allowed else []
    text = output_of(run(*args, "--console=pipe", "-D", busybox, "sh", "-c", f"({script}) 2>&1"))
    assert ("opened" in text, "made" in text) == (opened, made)
    assert text.count("not permitted") == 2 - opened - made


def test_standard_devices_work(busybox):
    result = run("-D", busybox, "sh", "-c", "echo x >/dev/null && head -c 3 /dev/urandom | wc -c")
    assert result.stdout.split() == ["3"]


def test_strict_policy_has_only_what_is_asked_for(busybox):
    script = "for name in null zero full; do (: </dev/$name) 2>&1 && echo $name; done; :"
    result = run("--property=DevicePolicy=strict", "--property=DeviceAllow=/dev/zero r", "-D",
                 busybox, "sh", "-c", script)
    assert result.stdout.count("not permitted") == 2 and "zero" in result.stdout.split()


# What the host sees ----------------------------------------------------------------------------

SETTINGS = [
    pytest.param("MemoryMax=64M", "memory.max", str(64 << 20), id="MemoryMax", marks=needs("memory")),
    pytest.param("MemoryHigh=32M", "memory.high", str(32 << 20), id="MemoryHigh", marks=needs("memory")),
    pytest.param("MemoryLow=8M", "memory.low", str(8 << 20), id="MemoryLow", marks=needs("memory")),
    pytest.param("MemoryMin=4M", "memory.min", str(4 << 20), id="MemoryMin", marks=needs("memory")),
    pytest.param("MemorySwapMax=0", "memory.swap.max", "0", id="MemorySwapMax", marks=needs("memory")),
    pytest.param("TasksMax=40", "pids.max", "40", id="TasksMax", marks=needs("pids")),
    pytest.param("TasksMax=infinity", "pids.max", "max", id="TasksMax-infinity", marks=needs("pids")),
    pytest.param("CPUQuota=150%", "cpu.max", "150000 100000", id="CPUQuota", marks=needs("cpu")),
    pytest.param("CPUWeight=20", "cpu.weight", "20", id="CPUWeight", marks=needs("cpu")),
    pytest.param("CPUWeight=idle", "cpu.idle", "1", id="CPUWeight-idle", marks=needs("cpu")),
    pytest.param("AllowedCPUs=0", "cpuset.cpus", "0", id="AllowedCPUs", marks=needs("cpuset")),
    pytest.param("AllowedMemoryNodes=0", "cpuset.mems", "0", id="AllowedMemoryNodes",
                 marks=needs("cpuset")),
]


@pytest.mark.parametrize("setting, file, expected", SETTINGS)
def test_setting_is_in_the_group(busybox, setting, file, expected):
    with Machine(busybox, "read line", setting) as machine:
        assert machine.file(file) == expected


@pytest.mark.skipif(not harness.HOST_HAS_SYSTEMD, reason="PID 1 of this host is not systemd")
@pytest.mark.parametrize("setting, name, expected", [
    ("MemoryMax=64M", "MemoryMax", str(64 << 20)),
    ("TasksMax=40", "TasksMax", "40"),
    ("CPUQuota=20%", "CPUQuotaPerSecUSec", "200ms"),
    ("CPUWeight=20", "CPUWeight", "20"),
    ("DevicePolicy=strict", "DevicePolicy", "strict"),
])
def test_unit_shows_the_setting(busybox, setting, name, expected):
    with Machine(busybox, "read line", setting) as machine:
        assert machine.unit_shows("ActiveState") == "active"
        assert machine.unit_shows("Slice") == "machine.slice"
        assert machine.unit_shows(name) == expected


def test_group_of_a_machine(busybox):
    """The scope has no process of its own; the machine is in the group below, its own root."""
    with Machine(busybox, "grep ^0: /proc/self/cgroup; read line") as machine:
        assert machine.line() == "0::/"
        assert machine.file("cgroup.procs") == ""
        leader = harness.leader_of(machine.process.pid)
        assert str(leader) in machine.file("payload/cgroup.procs").split()
        assert harness.cgroup2_path(leader) == f"/machine.slice/{machine.unit}/payload"
    harness.wait_until(lambda: not machine.scope.exists(), what="the removal of the scope")


@needs("memory", "pids", "cpu")
@pytest.mark.parametrize("args", [[], ["-U"]], ids=["plain", "users"])
def test_machine_hands_controllers_down(busybox, args):
    """As an init inside does: moves away from its root and divides what it has."""
    script = ("cd /sys/fs/cgroup && mkdir init sub && echo 1 >init/cgroup.procs && "
              "echo '+memory +pids +cpu' >cgroup.subtree_control && "
              "echo 7 >sub/pids.max && cat sub/pids.max; read line")
    with Machine(busybox, script, "TasksMax=30", args=args) as machine:
        assert machine.line() == "7"
        for name in ("memory", "pids", "cpu"):
            assert name in machine.file("payload/sub/cgroup.controllers").split()


@needs("pids")
@pytest.mark.skipif(harness.HOST_HAS_SYSTEMD, reason="the groups of this host belong to systemd")
def test_limit_of_a_slice_holds(busybox):
    """An administrator's slice is used as it is, and stays."""
    name = f"{harness.TAG}slice.slice"
    group = harness.Cgroup(name)
    try:
        with contextlib.suppress(OSError):
            (harness.cgroup2_mount() / "cgroup.subtree_control").write_text("+pids")
        (group.path / "pids.max").write_text("30")
        result = run(f"--slice={name}", "-D", busybox, "sh", "-c",
                     "n=0; while [ $n -lt 100 ]; do sleep 99 & n=$((n+1)); done")
        assert "fork" in result.stdout + result.stderr
        assert (group.path / "pids.max").read_text().strip() == "30"
    finally:
        group.remove()
