"""Containers inside of containers: ours in ours, others' in ours, and ours in others'."""

import os
import re
import shutil
import subprocess

import pytest

import harness
from harness import lines_of, output_of, run

pytestmark = pytest.mark.ours

SPAN = 65536
INSIDE = "/usr/bin/nspawn"
NETWORKS = pytest.mark.parametrize("network", [[], ["--private-network"]], ids=["shared", "private"])


def add_launcher(tree):
    shutil.copy(harness.LAUNCHER, f"{tree}{INSIDE}")
    works = subprocess.run(["chroot", str(tree), INSIDE, "--version"], stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, check=False)
    if works.returncode != 0:
        pytest.skip("the launcher under test is not static, so it does not run in other trees")


def nested_trees(source, private_tree, work):
    for tree in private_tree(source, work, "nest"):
        add_launcher(tree)
        harness.copy_tree(source, tree / "two")
        add_launcher(tree / "two")
        harness.copy_tree(source, tree / "two" / "three")
        yield tree


@pytest.fixture(scope="module")
def nest(busybox_source, private_tree, work):
    """A tree with the launcher and a tree in /two, which has the same with a tree in /three."""
    yield from nested_trees(busybox_source, private_tree, work)


@pytest.fixture(scope="module")
def fresh_nest(busybox_source, private_tree, work):
    """The same, for tests in which the owners in it are not changed."""
    yield from nested_trees(busybox_source, private_tree, work)


def inner(folder, *args):
    return [INSIDE, "-q", "-M", f"{harness.TAG}-{folder}", "-D", f"/{folder}", *args]


def shell(nest, args, script):
    return run(*args, "-D", nest, "sh", "-c", script)


def numbers(text):
    return [tuple(map(int, line.split())) for line in lines_of(text)]


# Ours in ours ----------------------------------------------------------------------------------

LOOK = ("id -u; cat /proc/self/uid_map; grep -c ' /proc/sys proc ro' /proc/mounts; "
        "echo x >/dev/null && head -c 3 /dev/zero | wc -c; cat /proc/1/cgroup | grep '^0:'; "
        "mknod /tmp/x c 1 3 2>/dev/null || echo no")


@harness.covers("effect", "--nesting")
@pytest.mark.smoke
@NETWORKS
def test_three_levels_without_more(nest, network):
    """What a container with a user namespace can do anyway is enough for plain ones inside."""
    text = output_of(run("-U", *network, "-D", nest, *inner("two"), *inner("three"),
                         "sh", "-c", LOOK))
    user, id_map, read_only, zeros, group, refused = lines_of(text)
    assert user == "0" and numbers(id_map)[0][2] == SPAN
    assert (read_only, zeros, group, refused) == ("1", "3", "0::/", "no")


@NETWORKS
def test_three_levels_with_users(nest, network):
    """Each level has ids of its own, taken from those of the one above."""
    show = "cat /proc/self/uid_map; "
    args = ["-U", "--nesting", *network]
    two = inner("two", *args, "sh", "-c",
                show + " ".join(inner("three", "-U", *network, "cat", "/proc/self/uid_map")))
    text = output_of(run(*args, "-D", nest, "sh", "-c", f"{show} exec \"$@\"", "sh", *two))
    (_, base, count), (_, second, n_second), (_, third, n_third) = numbers(text)
    assert count == 16 * SPAN and base % SPAN == 0
    assert n_second == 4 * SPAN and SPAN <= second <= count - n_second
    assert n_third == SPAN and SPAN <= third <= n_second - SPAN


def test_third_level_boots(nest, tree_copy):
    """An init in the third level, and its way to power off."""
    inittab = nest / "two" / "three" / "etc" / "inittab"
    with tree_copy(inittab):
        inittab.write_text("::sysinit:/bin/echo up as $(id -u)\n::once:/sbin/poweroff\n"
                           "::shutdown:/bin/echo down\n")
        result = run("-U", "--nesting", "-D", nest, *inner("two", "-U", "--nesting"),
                     *inner("three", "-U", "-b"))
    text = output_of(result)
    assert re.search(r"(?s)up as 0.*down", text)


@pytest.fixture
def tree_copy():
    """Keeps a file's content over a test."""
    class Keep:
        def __init__(self, path):
            self.path = path

        def __enter__(self):
            self.text = self.path.read_bytes()

        def __exit__(self, *_):
            self.path.write_bytes(self.text)
    return Keep


def test_ids_can_be_the_same(fresh_nest):
    """Identity asks for no more ids, and has no power over the host inside of another range."""
    text = output_of(run("-U", "--nesting", "-D", fresh_nest,
                         *inner("two", "--private-users=identity", "--nesting"),
                         *inner("three", "--private-users=identity"), "cat", "/proc/self/uid_map"))
    assert numbers(text) == [(0, 0, SPAN)]


REFUSED_INSIDE = [
    (["-U"], ["-U"], r"just the ids 0 to 65535\. .* nspawn's, with --nesting"),
    (["-U"], ["--property=DeviceAllow=/dev/null rw"], r"device policy .* Operation not permitted"),
    (["-U"], ["--private-users=identity"], r"'/proc' .* with --nesting"),
    ([], [], r"device policy .* nspawn's, with --nesting"),
]


@pytest.mark.parametrize("outer, args, words", REFUSED_INSIDE)
def test_what_is_missing_is_named(fresh_nest, outer, args, words):
    result = run(*outer, "-D", fresh_nest, *inner("two", *args), "true")
    assert result.returncode == 1
    text = result.stdout.strip()
    assert re.search(words, text) and "\n" not in text, text


def test_locks_of_all_ranges(nest):
    """Who picks a range of 65536 ids must not get one from the middle of ours."""
    folder = "/run/systemd/nspawn-uid"
    process = harness.start("--nesting", "-U", "-D", nest, "sleep", "99")
    try:
        leader = harness.leader_of(process.pid)
        (_, base, count), = numbers(harness.read(f"/proc/{leader}/uid_map"))
        locks = {str(base + i) for i in range(0, count, SPAN)}
        assert len(locks) == 16 and locks <= set(os.listdir(folder))
    finally:
        harness.stop(process)
    assert not locks & set(os.listdir(folder))


# What it allows, and what it does not --------------------------------------------------------

UNSHARED = {
    "users and processes": "unshare -Urpf --mount-proc sh -c 'echo $(id -u) $$'",
    "network": "unshare -Urnm sh -c 'ip link set lo up && mount -t sysfs sysfs /sys && ls /sys/class/net'",
    "without users": "unshare -npfm sh -c 'ip link set lo up && mount -t proc proc /proc && echo $$'",
}


@NETWORKS
@pytest.mark.parametrize("what", UNSHARED)
def test_unshare(nest, what, network):
    text = output_of(shell(nest, ["-U", "--nesting", *network], UNSHARED[what]))
    assert text.strip() in ("0 1", "lo", "1")


def test_unshare_needs_the_option(nest):
    """Else the tests above would prove nothing."""
    result = shell(nest, ["-U"], UNSHARED["users and processes"] + " 2>&1")
    assert result.returncode != 0 and "Operation not permitted" in result.stdout


# Those that the kernel keeps for each network, IPC or user namespace.
OWN = re.compile(r"net/|user/|fs/mqueue/|kernel/(auto_msgmni|domainname|hostname|msg|sem|shm|ns_last_pid|pid_max|"
                 r"random/(boot_id|uuid))")


@NETWORKS
def test_nothing_towards_the_host(nest, network):
    script = """
        cd /run/host/nesting
        {
                find proc -maxdepth 1 -type f
                find proc/sys proc/bus proc/irq proc/fs -type f
                find sys/kernel sys/power sys/module sys/fs sys/devices/system -type f
        } 2>/dev/null | while read -r f; do true >>"$f" && echo "$f"; done 2>/dev/null
        for f in sys/kernel/core_pattern sys/vm/drop_caches sysrq-trigger; do
                (echo >proc/$f) 2>/dev/null && echo "wrote $f"
        done
        (head -c 1 proc/kcore | grep -q .) 2>/dev/null && echo read kcore
        mknod /tmp/mem c 1 1 2>/dev/null && echo made a node
        mount -t tmpfs tmpfs /mnt && mknod /mnt/mem c 1 1 2>/dev/null && echo made a node
        mount -o remount,rw /proc/sys 2>/dev/null && (echo >/proc/sys/kernel/core_pattern) 2>/dev/null && echo wrote
        ip link set lo down 2>/dev/null && ip link set lo up 2>/dev/null || echo no network
        true"""
    lines = lines_of(output_of(shell(nest, ["-U", "--nesting", *network], script)))
    if not network:
        assert lines.pop() == "no network"
    others = [line for line in lines if not OWN.match(line.removeprefix("proc/sys/"))]
    assert others == []


def test_system_calls(nest):
    """Keys and processes of its own, but nothing that makes the host run a program."""
    status = output_of(run("-U", "--nesting", "-D", nest, "cat", "/proc/self/status"))
    caps = int(re.search(r"CapBnd:\s+(\w+)", status).group(1), 16)
    assert caps & ~0xfdecbfff == 0
    plan = output_of(run("--dry-run", "-U", "--nesting", "-D", nest, "true"))
    assert "system-call-filter: custom" in plan and "add_key keyctl pidfd_getfd" in plan
    assert "request_key" not in plan and "bpf" not in plan
