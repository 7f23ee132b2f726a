"""The witness sees what it is there to see: for each kind of thing, one is left on purpose.

What nobody can be named for is counted only where nobody else works, so all are looked for here as
if that were so; `own` tells that a leftover is found on a host that others use, too.
"""

import contextlib
import ctypes
import fcntl
import mmap
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import time

import pytest

import harness
import witness

LIBC = ctypes.CDLL(None, use_errno=True)
TAG = harness.TAG

CASES = {}


def case(aspect, own=True):
    """Registers a way to leave something: a context manager that gives a part of its line."""
    def register(make):
        CASES[make.__name__] = (aspect, own, contextlib.contextmanager(make))
        return make
    return register


def sh(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.PIPE)


def need(program):
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed on this host")


def try_or_skip(*words):
    need(words[0])
    result = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                            check=False)
    if result.returncode != 0:
        pytest.skip(f"{' '.join(words)}: {result.stderr.strip()}")


@contextlib.contextmanager
def folder(path, mode=0o755):
    path = pathlib.Path(path)
    path.mkdir(mode)
    try:
        yield path
    finally:
        path.rmdir()


@contextlib.contextmanager
def running(words, **options):
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def waiting_program(name, script):
    """A program of that name, which says when it is ready and then waits for its input."""
    with subprocess.Popen(["bash", "-c", f"exec -a {name} bash -c '{script}' {TAG}"],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


@case("mounts")
def mount(work):
    with folder(work / "point") as point:
        sh("mount", "-t", "tmpfs", "none", point)
        yield str(point)
        sh("umount", point)


@case("named hierarchies")
def hierarchy_that_is_mounted_nowhere(work):
    with folder(work / "point") as point:
        words = ["mount", "-t", "cgroup", "-o", f"none,name={TAG}", "cgroup", str(point)]
        try_or_skip(*words)
        (point / "group").mkdir()
        sh("umount", point)
        yield f"name={TAG}"
        sh(*words)
        (point / "group").rmdir()
        sh("umount", point)
        # A group that was removed keeps the hierarchy for a moment, and then nobody takes it away.
        while f"name={TAG}" in harness.read("/proc/self/cgroup"):
            time.sleep(0.05)
            sh(*words)
            sh("umount", point)
            time.sleep(0.05)


@case("mounts")
def second_mount_on_the_same_place(work):
    with folder(work / "point") as point:
        sh("mount", "-t", "tmpfs", "none", point)
        before = witness.look()
        sh("mount", "-t", "tmpfs", "none", point)
        assert witness.left_behind(before)["mounts"], "one that hides another is one more"
        yield str(point)
        sh("umount", point)
        sh("umount", point)


@case("mounts")
def mount_in_the_namespace_of_a_helper(work):
    """Seen by nobody but one of our own programs, whose name this one has."""
    point = work / "hidden-point"
    with folder(point):
        script = f"mount -t tmpfs none {point} && exec -a host-scope sleep 99"
        with running(["unshare", "--mount", "--propagation", "private", "bash", "-c", script]):
            def is_seen():
                return any(str(point) in line for line in witness.look()["mounts"])
            harness.wait_until(is_seen, 5, "the mount in the other namespace")
            yield str(point)


def add_link():
    """Of a kind that this kernel has."""
    need("ip")
    for kind in ("dummy", "bridge", "veth"):
        made = subprocess.run(["ip", "link", "add", TAG, "type", kind], check=False,
                              stderr=subprocess.DEVNULL)
        if made.returncode == 0:
            return
    pytest.skip("this kernel has no kind of link that could be made")


@case("network links")
def link(_work):
    add_link()
    yield TAG
    sh("ip", "link", "del", TAG)


@case("addresses")
def address(_work):
    add_link()
    sh("ip", "addr", "add", "192.0.2.77/32", "dev", TAG)
    yield "192.0.2.77"
    sh("ip", "link", "del", TAG)


@case("routes")
def route(_work):
    add_link()
    sh("ip", "link", "set", TAG, "up")
    sh("ip", "route", "add", "192.0.2.78/32", "dev", TAG, "table", "77")
    yield f"route to 192.0.2.78/32 on {TAG} in table 77"
    sh("ip", "link", "del", TAG)


@case("routes", own=False)
def route_to_nowhere(_work):
    """Which no link takes with it."""
    try_or_skip("ip", "route", "add", "unreachable", "192.0.2.79/32", "table", "77")
    yield "route to 192.0.2.79/32 in table 77"
    sh("ip", "route", "del", "unreachable", "192.0.2.79/32", "table", "77")


@case("packet rules")
def table(_work):
    try_or_skip("nft", "add", "table", "ip", TAG)
    yield f"table ip {TAG}"
    sh("nft", "delete", "table", "ip", TAG)


@case("packet rules")
def rule_in_a_table_that_was_there(_work):
    try_or_skip("nft", "add", "table", "ip", TAG)
    sh("nft", "add", "chain", "ip", TAG, "c")
    before = witness.look()
    sh("nft", "add", "rule", "ip", TAG, "c", "tcp", "dport", "7777", "accept")
    assert "dport 7777" in str(witness.left_behind(before)["packet rules"])
    yield "dport 7777"
    sh("nft", "delete", "table", "ip", TAG)


@case("network namespaces")
def network_namespace(_work):
    made = not os.path.exists("/run/netns")
    try_or_skip("ip", "netns", "add", TAG)
    yield TAG
    sh("ip", "netns", "del", TAG)
    if made:
        # It was made a mount of its own for the first one. Somebody else may use it by now.
        subprocess.run(["umount", "/run/netns"], check=False, stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            os.rmdir("/run/netns")


@case("control groups")
def control_group(_work):
    with folder(harness.cgroup2_mount() / TAG) as path:
        yield str(path)


@case("control groups")
def control_group_of_version_1(_work):
    roots = [line.split()[4] for line in harness.read("/proc/self/mountinfo").splitlines()
             if " - cgroup " in line]
    if not roots:
        pytest.skip("this host has no control groups of version 1")
    with folder(pathlib.Path(roots[0]) / TAG) as path:
        yield str(path)


@case("processes")
def process_of_ours(_work):
    with waiting_program("nspawn", "echo; read -r _") as process:
        yield f"process {process.pid} "


@case("processes")
def daemon_with_a_file_of_ours(_work):
    """Such as a name server, which is somebody else's program."""
    words = ["tail", "-f", "/dev/null", f"/run/stead/network/{TAG}"]
    with running(words, stderr=subprocess.DEVNULL) as process:
        yield f"process {process.pid} "


@case("processes")
def process_on_a_tree(work):
    """A payload that outlived its machine."""
    with folder(work / "tree") as tree:
        script = f"mount --bind {tree} {tree} && exec sleep 99"
        with running(["unshare", "--mount", "--propagation", "private", "sh", "-c", script]) as process:
            # In the middle of an exec a process has no command line, and no tree to be seen on.
            harness.wait_until(lambda: harness.read(f"/proc/{process.pid}/cmdline").startswith("sleep"), 5)
            yield f"process {process.pid} "


@case("descriptors")
def descriptor_of_our_own(_work):
    fd = os.open("/dev/zero", os.O_RDONLY)
    yield "/dev/zero"
    os.close(fd)


@case("descriptors")
def descriptor_of_a_daemon(_work):
    """Of one that ran before, too, and only has one more than then."""
    script = "exec 5</dev/zero; echo; read -r _; exec 6</dev/zero; echo; read -r _"
    with waiting_program("machined", script) as process:
        before = witness.look()
        process.stdin.write(b"\n")
        process.stdout.readline()
        left = witness.left_behind(before)["descriptors"]
        assert len(left) == 1 and "/dev/zero #1" in left[0], left
        yield "/dev/zero #1"


@case("locks")
def lock_file(work):
    with folder(work / "locked"):
        path = work / "locked" / f".#{TAG}.lck"
        with open(path, "w", encoding="utf-8") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            yield str(path)
        path.unlink()


@case("locks")
def lock_of_a_control_group(_work):
    with folder(harness.cgroup2_mount() / TAG) as path:
        fd = os.open(path, os.O_RDONLY)
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield str(path)
        os.close(fd)


@case("block devices")
def loop_device(work):
    need("losetup")
    image = work / "image"
    image.write_bytes(bytes(65536))
    result = subprocess.run(["losetup", "--find", "--show", str(image)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        image.unlink()
        pytest.skip(f"no loop device: {result.stderr.strip()}")
    yield str(image)
    sh("losetup", "--detach", result.stdout.strip())
    image.unlink()


@case("run-time files")
def run_time_file(_work):
    os.makedirs("/run/systemd/nspawn/propagate", exist_ok=True)  # no machine has run yet
    with folder(f"/run/systemd/nspawn/propagate/{TAG}"):
        yield f"propagate/{TAG}"


@case("run-time files")
def lock_that_nobody_holds(_work):
    path = pathlib.Path(f"/run/systemd/nspawn/locks/inode-{TAG}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    yield str(path)
    path.unlink()


@case("run-time files")
def file_of_ours(_work):
    pathlib.Path("/run/stead").mkdir(exist_ok=True)
    path = pathlib.Path(f"/run/stead/{TAG}")
    path.touch()
    yield str(path)
    path.unlink()


@case("temporary files")
def temporary_file(_work):
    path = pathlib.Path(f"/var/tmp/x-{TAG}")
    path.touch()
    yield str(path)
    path.unlink()


@case("temporary files")
def shared_memory_by_name(_work):
    path = pathlib.Path(f"/dev/shm/{TAG}")
    path.touch()
    yield str(path)
    path.unlink()


@case("kernel settings", own=False)
def kernel_setting(_work):
    """One that nothing on the host depends on: it is for networks that do not exist yet."""
    path = pathlib.Path("/proc/sys/net/ipv4/conf/default/forwarding")
    before = path.read_text(encoding="ascii").strip()
    path.write_text("1" if before == "0" else "0", encoding="ascii")
    yield str(path)
    path.write_text(before, encoding="ascii")


@case("message queues")
def message_queue(_work):
    name = f"/{TAG}".encode()
    rt = ctypes.CDLL("librt.so.1", use_errno=True)
    queue = rt.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
    if queue < 0 or witness.mqueue_folder() is None:
        pytest.skip("this kernel has no message queues")
    yield name.decode()
    os.close(queue)
    rt.mq_unlink(name)


@case("shared memory, semaphores", own=False)
def shared_memory(_work):
    ident = LIBC.shmget(0x57EAD, mmap.PAGESIZE, 0o600 | 0o1000)
    if ident < 0:
        pytest.skip("this kernel has no System V shared memory")
    yield "shm key"
    LIBC.shmctl(ident, 0, None)


@case("shared memory, semaphores", own=False)
def semaphore(_work):
    ident = LIBC.semget(0x57EAD, 1, 0o600 | 0o1000)
    if ident < 0:
        pytest.skip("this kernel has no System V semaphores")
    yield "sem key"
    LIBC.semctl(ident, 0, 0)


@pytest.mark.parametrize("name", CASES)
def test_leftover_is_seen(work, name):
    aspect, own, leave = CASES[name]
    before = witness.look()
    with leave(work) as part:
        for everything in (True, False) if own else (True,):
            left = witness.left_behind(before, everything).get(aspect, [])
            assert any(part in line for line in left), f"{part} is not in {left}"
        if own:
            with pytest.raises(AssertionError, match="left behind"):
                witness.check(before, patience=0)
    witness.check(before)


def test_every_aspect_is_tried():
    assert {aspect for aspect, _, _ in CASES.values()} == set(witness.ASPECTS)


def test_what_others_leave_is_theirs(monkeypatch):
    """On a host that others use, too, and only there."""
    path = pathlib.Path("/var/tmp/somebody-elses")
    before = witness.look()
    path.touch()
    try:
        assert not witness.left_behind(before, everything=False)
        assert str(path) in witness.left_behind(before, everything=True)["temporary files"]
        monkeypatch.setattr(witness, "EVERYTHING", True)
        assert witness.left_behind(before)
    finally:
        path.unlink()


def test_a_look_is_quick():
    """It is done twice for each of some hundred tests. The best of a few: others work here, too."""
    witness.look()
    times = []
    for _ in range(7):
        start = time.process_time()
        witness.look()
        times.append(time.process_time() - start)
    print(f"a look takes {min(times) * 1000:.1f} ms", file=sys.stderr)
    assert min(times) < 0.06


def test_socket_of_a_test_that_forgot_it():
    before = witness.look()
    forgotten = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        assert "socket" in str(witness.left_behind(before)["descriptors"])
    finally:
        forgotten.close()
