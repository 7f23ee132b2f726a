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
    """The launcher, and its libraries if it has any, as with sanitizers."""
    shutil.copy(harness.LAUNCHER, f"{tree}{INSIDE}")
    libraries = subprocess.run(["ldd", harness.LAUNCHER], stdout=subprocess.PIPE, check=False,
                               stderr=subprocess.DEVNULL, text=True)
    for library in re.findall(r"(/\S+) \(0x", libraries.stdout):
        target = tree / library.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, target)
    if run("-D", tree, INSIDE, "--version").returncode != 0:
        pytest.skip("the launcher under test does not run in other trees")


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


@pytest.mark.parametrize("nesting", [[], ["--nesting"]], ids=["without", "nesting"])
def test_ids_can_be_the_same(fresh_nest, nesting):
    """Identity asks for no more ids, and has no power over the host inside of another range."""
    text = output_of(run("-U", *nesting, "-D", fresh_nest,
                         *inner("two", "--private-users=identity", *nesting),
                         *inner("three", "--private-users=identity"), "cat", "/proc/self/uid_map"))
    assert numbers(text) == [(0, 0, SPAN)]


def test_mounts_from_outside_take_no_number(fresh_nest):
    """A process of the supervisor mounts /proc there, and the payload is still the second one."""
    text = output_of(run("-U", "-D", fresh_nest, *inner("two", "--private-users=identity", "-a"),
                         "sh", "-c", "echo $$"))
    assert text.strip() == "2"


REFUSED_INSIDE = [
    (["-U"], ["-U"], r"just the ids 0 to 65535\. .* nspawn's, with --nesting"),
    (["-U"], ["--property=DeviceAllow=/dev/null rw"], r"device policy .* Operation not permitted"),
    (["-U", "--private-network"], ["--private-users=identity", "--private-network"],
     r"'/sys/full' .* with --nesting"),
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


# Others' in ours -------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def podman_tree(tree_source, private_tree, work):
    """Debian with podman, crun and bubblewrap, and the launcher with a tree in /two."""
    source = tree_source("podman")
    for tree in private_tree(source, work, "podman"):
        yield tree


def in_podman_tree(podman_tree, script, *args):
    result = run("-U", "--nesting", "--private-network", *args, "-D", podman_tree,
                 "sh", "-e", "-c", script, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return lines_of(result.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("user", ["root", "guest"])
def test_bubblewrap(podman_tree, user):
    lines = in_podman_tree(podman_tree, "bwrap --ro-bind / / --proc /proc --dev /dev --unshare-all "
                           "sh -c 'id -un; echo $$; echo >/dev/null'", f"--user={user}")
    assert lines[0] == user and int(lines[1]) <= 3


IMAGE = """
    tar -C /srv/image -c . | podman import - page >/dev/null 2>&1
    podman run --rm --network=none page /bin/sh -c '/bin/busybox id -u; echo new >/www/new'
    podman run --rm --network=none --uidmap 0:200000:1000 page /bin/busybox cat /proc/self/uid_map
    podman run --rm --network=none --privileged page /bin/busybox unshare -m \\
            /bin/busybox mount -t tmpfs tmpfs /www && echo mounted
    podman run -d --name web --network=none page /bin/busybox httpd -f -p 8080 -h /www >/dev/null
    podman exec web /bin/busybox wget -q -O - http://127.0.0.1:8080/index.html
    podman rm -f -t 0 web >/dev/null
    podman rmi page >/dev/null 2>&1
"""


@pytest.mark.slow
def test_podman_of_root(podman_tree):
    """An image, its layers by overlayfs, a service, a user namespace and a privileged container."""
    lines = [line for line in in_podman_tree(podman_tree, IMAGE) if "WARN" not in line]
    assert lines[:1] + lines[1].split() + lines[2:] == [
        "0", "0", "200000", "1000", "mounted", "stead guest"]


@pytest.mark.slow
def test_podman_of_a_user(podman_tree):
    """Without root, which wants ids from /etc/subuid and a program that may map them."""
    script = ("cp -r /srv/image /tmp/image; podman --cgroup-manager=cgroupfs --log-level=fatal run --rm "
              "--network=none --rootfs /tmp/image /bin/busybox cat /proc/self/uid_map")
    lines = in_podman_tree(podman_tree, script, "--user=guest")
    assert [line.split() for line in lines] == [["0", "1000", "1"], ["1", "131072", str(SPAN)]]


# Ours in others' -------------------------------------------------------------------------------

# Programs of a tree with all that the host's root may do. The host itself need not have them, and
# where its control groups have two versions, which crun does not like, they see one.
AS_HOST = """
    set -e
    tree=$1
    shift
    mount --make-rprivate /
    mount --bind "$tree" "$tree"
    cd "$tree"
    mount --rbind /dev dev
    mount -t proc proc proc
    mount -t sysfs sysfs sys
    mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount -t tmpfs tmpfs run
    mount -t tmpfs tmpfs tmp
    pivot_root . mnt
    umount -l mnt
    exec chroot . "$@"
"""


def podman(tree, options, *command):
    """Debian's podman on this host, with /srv/outer of its tree as the container's root."""
    # Podman may lose the last words of what ends at once, so they go into a file.
    words = tree / "srv" / "outer" / "words"
    words.unlink(missing_ok=True)
    command = ["sh", "-c", '"$@" >/words 2>&1', "sh", *command]
    line = ["unshare", "--mount", "sh", "-c", AS_HOST, "sh", str(tree), "podman", "--log-level=error",
            "run", "--rm", "--network=none", "--cgroups=disabled", "--ulimit=nofile=1024:1024",
            "--ulimit=nproc=4096:4096", *options, "--rootfs", "/srv/outer", *command]
    result = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False,
                            stderr=subprocess.STDOUT, text=True, timeout=harness.patient(60),
                            env=harness.environment())
    if words.exists():
        result.stdout += words.read_text(encoding="utf-8")
    return result


@pytest.fixture(scope="module")
def outer(podman_tree, busybox_source):
    """The podman tree with a container's tree that has the launcher and a tree in /two."""
    tree = podman_tree / "srv" / "outer"
    harness.copy_tree(busybox_source, tree)
    add_launcher(tree)
    harness.copy_tree(busybox_source, tree / "two")
    return podman_tree


@pytest.fixture(scope="module")
def outer_with_users(outer):
    """The same, of another range of ids. It is the last one: nobody changes the owners back."""
    subprocess.run(["chown", "-R", f"{BASE}:{BASE}", str(outer / "srv" / "outer")], check=True)
    return outer


BASE = 0x00280000
READ_ONLY = r"Cannot make a control group .* Read-only file system\. The machine stays in that of its " \
            r"launcher.* with --security-opt unmask=/sys/fs/cgroup\."
ONE_CAP = ["--cap-add=SYS_ADMIN"]
GROUPS = ["--security-opt", "unmask=/sys/fs/cgroup"]
START = ["--register=no", "--keep-unit"]
WORKS = [
    (ONE_CAP + GROUPS, [], ""),
    (ONE_CAP + GROUPS, ["-U"], ""),
    (ONE_CAP + GROUPS, ["-U", "--private-network"], ""),
    (ONE_CAP + GROUPS, ["-U", "--nesting"], ""),
    (ONE_CAP, [], READ_ONLY),
    (ONE_CAP, ["--private-users=identity"], READ_ONLY),
    (["--privileged"], ["-U"], ""),
]


def check_start(result, said):
    text = result.stdout.replace("\r", "")
    assert result.returncode == 0, text
    lines = [line for line in lines_of(text) if "Cannot" in line]
    assert len(lines) == bool(said) and re.search(said, "".join(lines)), text
    assert "uid=0" in text


@pytest.mark.slow
@pytest.mark.parametrize("options, args, said", WORKS)
def test_in_podman(outer, options, args, said):
    """Podman's own filter and hidden parts of /proc stay as they are, and so do the capabilities."""
    check_start(podman(outer, options, INSIDE, "-q", *START, *args, "-D", "/two", "id"), said)


def forbid(folder, calls, errno):
    path = folder / "srv" / "forbid.json"
    names = ", ".join(f'"{name}"' for name in calls)
    path.write_text('{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [%s], "action": '
                    '"SCMP_ACT_ERRNO", "errnoRet": %d}]}' % (names, errno))
    return ["--security-opt", "seccomp=/srv/forbid.json"]


NAMED = [
    ([], START, None, r"with --cap-add=SYS_ADMIN\."),
    (ONE_CAP, ["--register=no"], None, r"control group .* Or start without one \(--keep-unit\)\."),
    (ONE_CAP + GROUPS, START, (["open_tree"], 1), r"with --security-opt seccomp=unconfined\."),
    (ONE_CAP + GROUPS, START, (["fsopen"], 38), r"with --security-opt seccomp=unconfined\."),
    (ONE_CAP + GROUPS, START, (["clone3"], 38), r"namespaces: .* seccomp=unconfined\."),
    (ONE_CAP + GROUPS, START, (["openat2"], 1), r"openat2.* seccomp=unconfined\."),
]


@pytest.mark.slow
@pytest.mark.parametrize("options, args, forbidden, words", NAMED)
def test_what_podman_keeps_is_named(outer, options, args, forbidden, words):
    if forbidden:
        options = options + forbid(outer, *forbidden)
    result = podman(outer, options, INSIDE, "-q", *args, "-D", "/two", "true")
    assert result.returncode == 1, result.stdout
    assert re.search(words, lines_of(result.stdout)[-1]), result.stdout


@pytest.mark.slow
@pytest.mark.parametrize("args, said", [([], ""), (["--private-users=identity"], ""),
                                        (["--private-users=identity", "--private-network"], "")])
def test_in_podman_with_users(outer_with_users, args, said):
    """A container of podman with 65536 ids: enough for all but a range of our own."""
    options = [*ONE_CAP, *GROUPS, f"--uidmap=0:{BASE}:{SPAN}"]
    result = podman(outer_with_users, options, INSIDE, "-q", *START, *args, "-D", "/two", "id")
    if "cgroup" in result.stdout and result.returncode == 0:
        said = "Cannot make a control group"
    check_start(result, said)


@pytest.mark.slow
def test_ids_that_podman_keeps_are_named(outer_with_users):
    options = [*ONE_CAP, f"--uidmap=0:{BASE}:{SPAN}"]
    result = podman(outer_with_users, options, INSIDE, "-q", *START, "-U", "-D", "/two", "true")
    assert result.returncode == 1
    assert re.search(r"just the ids 0 to 65535\. .* larger range of ids", result.stdout)


@pytest.mark.skipif(not os.access(harness.STOCK, os.X_OK), reason="no systemd-nspawn here")
@pytest.mark.parametrize("outer_args, args", [
    ([], []), ([], ["-U"]), (["-U"], []), (["-U", "--private-network"], ["--private-users=identity"]),
    ([f"--private-users={BASE}:1048576", "--private-users-ownership=map"], ["-U"]),
])
def test_in_the_distributions(fresh_nest, cgroup, outer_args, args):
    result = run(*outer_args, "-D", fresh_nest, INSIDE, "-q", *START, *args, "-D", "/two", "id",
                 launcher=harness.STOCK, cgroup=cgroup)
    assert result.returncode == 0 and "uid=0" in result.stdout, result.stdout + result.stderr


def test_plain_in_plain(fresh_nest):
    """Without any user namespace, where the kernel makes no difference between the two roots."""
    text = output_of(run("-D", fresh_nest, *inner("two", "--keep-unit"), "id", "-u"))
    assert text.strip() == "0"
