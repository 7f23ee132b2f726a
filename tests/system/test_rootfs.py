"""What the root directory is made of: volatile roots, throw-away trees, templates, another root."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

import harness
from harness import covers, lines_of, output_of, run

BASE = 0x00180000

USERS = {
    "host": [],
    "picked": ["-U"],
    "off": [f"--private-users={BASE}", "--private-users-ownership=off"],
}


def state_of(tree):
    """All of a tree that a start could change: owners, modes, times, content."""
    state = {}
    for folder, folders, files in os.walk(tree):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = open(path, "rb").read() if name in files and os.path.isfile(path) \
                and not os.path.islink(path) else None
            state[os.path.relpath(path, tree)] = (status.st_mode, status.st_uid, status.st_gid,
                                                  status.st_mtime_ns, status.st_size, content)
    return state


# Volatile roots ----------------------------------------------------------------------------------

WRITES = """for path in / /etc /usr /var /root; do
if touch $path/new 2>/dev/null; then echo $path yes; else echo $path no; fi; done"""
WRITABLE = {
    "yes": {"/": "yes", "/etc": "yes", "/usr": "no", "/var": "yes", "/root": "yes"},
    "state": {"/": "no", "/etc": "no", "/usr": "no", "/var": "yes", "/root": "no"},
    "overlay": {"/": "yes", "/etc": "yes", "/usr": "yes", "/var": "yes", "/root": "yes"},
}


@covers("effect", "--volatile")
@pytest.mark.parametrize("mode", WRITABLE)
@pytest.mark.parametrize("users", ["host", "picked"])
def test_volatile_takes_changes_and_forgets_them(busybox, mode, users):
    before = state_of(busybox)
    out = output_of(run(f"--volatile={mode}", *USERS[users], "-D", busybox, "sh", "-c", WRITES))
    assert dict(line.split() for line in lines_of(out)) == WRITABLE[mode]
    assert state_of(busybox) == before


@pytest.mark.parametrize("mode", WRITABLE)
@pytest.mark.parametrize("users", USERS)
def test_volatile_owners(busybox, mode, users):
    """What is made in memory is the container's; what the tree has keeps its owner, or is mapped."""
    paths = {"yes": "/ /etc /var", "state": "/var", "overlay": "/usr/bin"}[mode]
    out = output_of(run(f"--volatile={mode}", *USERS[users], "-D", busybox, "stat", "-c", "%u:%g",
                        *paths.split()))
    nobody = mode == "overlay" and users == "off"
    assert set(lines_of(out)) == {"65534:65534" if nobody else "0:0"}


def test_volatile_yes_shows_only_usr(busybox):
    """With all that a system needs when it starts for the first time."""
    (busybox / "srv" / "data").mkdir(parents=True)
    out = output_of(run("--volatile", "-D", busybox, "sh", "-c",
                        "ls /; echo; ls /etc /var /root; readlink /bin; stat -c %a /root /usr"))
    top, _, rest = out.partition("\n\n")
    assert "srv" not in top.split() and {"usr", "etc", "var", "bin", "tmp"} <= set(top.split())
    assert "passwd" not in rest.split()
    assert lines_of(rest)[-3:] == ["usr/bin", "750", "755"]


@pytest.mark.ours
def test_volatile_yes_wants_merged_usr(busybox):
    (busybox / "bin").unlink()
    (busybox / "bin").mkdir()
    result = run("--volatile", "-D", busybox, "true")
    assert result.returncode == 1 and "'/bin'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_volatile_yes_has_no_machine_id(busybox):
    """That of the tree is in its /etc, which is not shown."""
    (busybox / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    show = ["sh", "-c", "echo $container_uuid"]
    assert "01234567" in output_of(run("--volatile=overlay", "-D", busybox, *show))
    assert "01234567" not in output_of(run("--volatile", "-D", busybox, *show))


def test_volatile_overlay_can_do_everything(busybox):
    """Directories of the tree can be renamed, files removed and linked."""
    (busybox / "srv/a/b").mkdir(parents=True)
    (busybox / "srv/a/b/file").write_text("x")
    before = state_of(busybox)
    script = """cd /srv && mv a z && cat z/b/file && rm z/b/file && mv z/b . && rmdir z && ls -A
ln /etc/passwd /etc/link && chown 5 /etc/group && rm -r /home; ls -d /home"""
    out = run("--volatile=overlay", "-U", "-D", busybox, "sh", "-c", script)
    assert out.stdout.split()[0] == "xb" and "/home" not in out.stdout.split()
    assert state_of(busybox) == before


def test_volatile_overlay_keeps_what_the_mount_forbids(busybox, work):
    """A tree on a file system without devices does not get some by being shown in another way."""
    place = work / f"{harness.TAG}-nodev"
    place.mkdir()
    subprocess.run(["mount", "--bind", str(busybox.parent), str(place)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,nosuid,nodev", str(place)], check=True)
        for mode in ("overlay", "state"):
            out = output_of(run(f"--volatile={mode}", "-D", place / busybox.name, "sh", "-c",
                                "grep ' / ' /proc/mounts"))
            assert "nosuid" in out and "nodev" in out
    finally:
        subprocess.run(["umount", str(place)], check=True)
        place.rmdir()


def test_volatile_shares_the_tree(busybox):
    """Several containers use one tree, as it is not changed; one that changes it is refused."""
    process = harness.start("--volatile=overlay", "-M", f"{harness.TAG}-a", "-D", busybox, "sh", "-c",
                            "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        assert output_of(run("--volatile=state", "-M", f"{harness.TAG}-b", "-D", busybox, "echo",
                             "x")) == "x\n"
        assert run("-M", f"{harness.TAG}-c", "-D", busybox, "true").returncode == 1
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_volatile_root_is_new_after_a_reboot(busybox):
    """One file is made at each boot; with a layer that was kept the second would find it."""
    script = """if [ -e /made ]; then echo kept; fi; touch /made
read n </count/n; echo $((n+1)) >/count/n; if [ $n = 0 ]; then reboot -f; fi"""
    folder = busybox.parent / "count"
    folder.mkdir()
    (folder / "n").write_text("0\n")
    result = run("--volatile=overlay", f"--bind={folder}:/count", "-D", busybox, "sh", "-c", script)
    count = (folder / "n").read_text()
    (folder / "n").unlink()
    folder.rmdir()
    assert count == "2\n" and "kept" not in result.stdout


@pytest.mark.ours
def test_volatile_leaves_no_mount_on_the_host(busybox):
    """Also not while it runs: all of it is the container's alone."""
    before = harness.read("/proc/self/mountinfo")
    process = harness.start("--volatile=overlay", "-U", "-D", busybox, "sh", "-c", "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        assert harness.read("/proc/self/mountinfo") == before
        assert os.readlink(f"/proc/{process.pid}/ns/mnt") == os.readlink("/proc/self/ns/mnt")
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_volatile_from_a_folder(busybox):
    """The launcher comes back to where it was started from: relative paths go on meaning the same."""
    text = output_of(run("--volatile=overlay", f"--bind-ro={busybox}/etc:/mnt", "-D", busybox.name,
                         "ls", "/mnt", cwd=busybox.parent))
    assert "passwd" in text.split()


# Throw-away trees --------------------------------------------------------------------------------

def beside(tree):
    return sorted(set(os.listdir(tree.parent)) - {tree.name})


def used(path):
    """Bytes on the file system of a path."""
    status = os.statvfs(path)
    return (status.f_blocks - status.f_bfree) * status.f_frsize


@pytest.fixture(scope="module")
def btrfs_disk(work):
    """A btrfs file system of our own."""
    if not shutil.which("mkfs.btrfs") or "btrfs" not in harness.read("/proc/filesystems"):
        pytest.skip("no mkfs.btrfs, or the kernel has no btrfs")
    image, place = work / "btrfs.img", work / f"{harness.TAG}-btrfs"
    place.mkdir()
    with open(image, "wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True, stdout=subprocess.DEVNULL)
    if subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False).returncode != 0:
        pytest.skip("cannot mount btrfs by a loop device")
    yield place
    subprocess.run(["umount", str(place)], check=True)
    place.rmdir()
    image.unlink()


@pytest.fixture
def btrfs(btrfs_disk):
    """The same, empty before and after."""
    yield btrfs_disk
    for name in sorted(subvolumes(btrfs_disk), reverse=True):
        subprocess.run(["btrfs", "-q", "subvolume", "delete", str(btrfs_disk / name)], check=True,
                       stdout=subprocess.DEVNULL)


def subvolume(source, place, name):
    tree = place / f"{harness.TAG}-{name}"
    subprocess.run(["btrfs", "-q", "subvolume", "create", str(tree)], check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cp", "-a", f"{source}/.", str(tree)], check=True)
    return tree


def subvolumes(place):
    text = subprocess.run(["btrfs", "subvolume", "list", str(place)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    return sorted(line.split(" path ")[1] for line in text.splitlines())


CHANGES = """hostname; touch /new /etc/new; rm /etc/passwd; mv /srv /srv2; chown 5 /etc/group
mkdir -p /a/b/c/d; ln /etc/hosts /etc/hosts2; grep ' / ' /proc/mounts | head -1"""


@pytest.mark.parametrize("args", [
    [], ["-U"], ["-a"], [f"--private-users={BASE}", "--private-users-ownership=map"],
    ["--ephemeral-method=copy"], ["--ephemeral-method=copy", "-U"],
    ["--ephemeral-method=copy", f"--private-users={BASE}", "--private-users-ownership=chown"],
], ids=lambda args: " ".join(args) or "auto")
@covers("effect", "-x", "--ephemeral-method")
def test_ephemeral(busybox, args):
    """The tree is as before, nothing is left beside it, and the machine has a name of its own."""
    before = state_of(busybox)
    out = lines_of(output_of(run("-x", *args, "-D", busybox, "sh", "-c", CHANGES)))
    assert re.fullmatch(re.escape(busybox.name) + "-[0-9a-f]{16}", out[0])
    assert ("overlay" in out[-1]) == ("--ephemeral-method=copy" not in args)
    assert state_of(busybox) == before
    assert beside(busybox) == []


def test_ephemeral_keeps_a_name_that_was_given(busybox):
    name = f"{harness.TAG}-given"
    assert output_of(run("-x", "-M", name, "-D", busybox, "hostname")) == f"{name}\n"


@pytest.mark.ours
def test_ephemeral_of_a_running_tree(busybox):
    """Neither waits for the other; two throw-away machines do not either."""
    machines = [harness.start(*args, "-D", busybox, "sh", "-c", "echo up; sleep 99")
                for args in ([], ["-x"], ["-x"])]
    try:
        for machine in machines:
            assert machine.stdout.readline().strip() == "up"
        assert len([name for name in beside(busybox) if not name.endswith(".lck")]) == 2
    finally:
        for machine in machines:
            harness.stop(machine)
    assert beside(busybox) == []


@pytest.mark.ours
def test_ephemeral_is_kept_across_reboots(busybox, work):
    folder = work / f"{harness.TAG}-count"
    folder.mkdir()
    (folder / "n").write_text("0\n")
    script = """[ -e /made ] && echo kept; touch /made; read n </mnt/n; echo $((n+1)) >/mnt/n
[ $n -lt 2 ] && reboot -f; true"""
    out = output_of(run("-x", f"--bind={folder}:/mnt", "-D", busybox, "sh", "-c", script))
    assert (folder / "n").read_text() == "3\n" and out.count("kept") == 2
    harness.remove_tree(folder)


@pytest.mark.ours
@covers("effect", "--ephemeral-directory")
def test_ephemeral_directory(busybox, work):
    place = work / f"{harness.TAG}-elsewhere"
    place.mkdir()
    process = harness.start("-x", f"--ephemeral-directory={place}", "-D", busybox, "sh", "-c",
                            "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        assert beside(busybox) == [] and len(os.listdir(place)) == 2
    finally:
        harness.stop(process)
    assert os.listdir(place) == []
    place.rmdir()


@pytest.mark.ours
@pytest.mark.parametrize("args", [["--read-only"], ["--volatile=overlay"], ["--volatile"]],
                         ids=lambda args: args[0])
def test_ephemeral_without_anything_to_change(busybox, args):
    before = state_of(busybox)
    process = harness.start("-x", *args, "-D", busybox, "sh", "-c", "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        assert all(name.endswith(".lck") for name in beside(busybox))
    finally:
        harness.stop(process)
    assert state_of(busybox) == before and beside(busybox) == []


@pytest.mark.ours
def test_ephemeral_is_quick_and_small(debian12):
    """A throw-away Debian takes the time of another start, and no space."""
    def seconds(*args):
        best = 99
        for _ in range(3):
            begin = time.monotonic()
            output_of(run(*args, "-D", debian12, "true"))
            best = min(best, time.monotonic() - begin)
        return best
    before = used(debian12)
    process = harness.start("-x", "-D", debian12, "sh", "-c", "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        layer, = [name for name in beside(debian12) if not name.endswith(".lck")]
        size = sum(os.lstat(os.path.join(folder, name)).st_blocks * 512
                   for folder, folders, files in os.walk(debian12.parent / layer)
                   for name in [*folders, *files])
        assert size < 1 << 20 and used(debian12) - before < 64 << 20
    finally:
        harness.stop(process)
    if not harness.WITH_SANITIZERS:
        assert seconds("-x") < 3 * seconds() + 0.05


HOSTILE_REMAINS = """mkdir /d; cd /d; i=0; while [ $i -lt 300 ]; do mkdir dddddddddddddddddddd
cd dddddddddddddddddddd; i=$((i+1)); done; touch end; cd /; mkfifo /fifo; mknod /null c 1 3
ln -s / /d/link; touch "$(printf '/bad\\nname')"; mkdir /locked; touch /locked/file
chattr +i /locked/file /locked 2>/dev/null; chmod 0 /etc; true"""


@pytest.mark.ours
@pytest.mark.parametrize("method", ["overlay", "copy"])
def test_hostile_remains_are_removed(busybox, method):
    """Deep, unchangeable, linked out: all of it goes, and nothing else."""
    witness_file = busybox.parent / "outside"
    witness_file.write_text("x")
    output_of(run("-x", f"--ephemeral-method={method}", "-D", busybox, "sh", "-c", HOSTILE_REMAINS))
    assert beside(busybox) == ["outside"] and witness_file.read_text() == "x"
    witness_file.unlink()


@pytest.mark.ours
@covers("effect", "--cleanup")
@pytest.mark.parametrize("who", ["next start", "cleanup", "cleanup by name"])
def test_what_a_killed_launcher_left(busybox, who):
    """Goes with the next throw-away start of the tree, and on request; a living one's stays."""
    alive = harness.start("-x", "-D", busybox, "sh", "-c", "echo up; sleep 99")
    dead = harness.start("-x", "-D", busybox, "sh", "-c", "echo up; touch /new; sleep 99")
    name = harness.TAG
    try:
        for process in (alive, dead):
            assert process.stdout.readline().strip() == "up"
        leader = harness.leader_of(dead.pid)
        dead.kill()
        dead.communicate(timeout=10)
        harness.wait_until(lambda: not os.path.exists(f"/proc/{leader}"), what="the guest's end")
        assert len(beside(busybox)) == 4
        if who == "next start":
            output_of(run("-x", "-D", busybox, "true"))
        else:
            more = ["-M", f"{name}-other"] if who == "cleanup by name" else []
            for left in (True, False):
                result = run("--cleanup", *more, "-D", busybox, quiet=False)
                assert result.returncode == 0, result.stderr
                assert ("throw-away tree" in result.stderr) == left
        assert len(beside(busybox)) == 2
        tunnels = [entry for entry in os.listdir(harness.TUNNELS) if entry.startswith(busybox.name)]
        assert len(tunnels) == (2 if who == "cleanup by name" else 1)
        for entry in tunnels:
            if who == "cleanup by name" and not os.path.exists(f"/proc/{leader}"):
                with contextlib.suppress(OSError):
                    os.rmdir(harness.TUNNELS + entry)
        assert alive.poll() is None
    finally:
        for process in (alive, dead):
            harness.stop(process)
    assert beside(busybox) == []


@pytest.mark.ours
def test_cleanup_refuses_a_running_machine(busybox):
    process = harness.start("-D", busybox, "sh", "-c", "echo up; sleep 99")
    try:
        assert process.stdout.readline().strip() == "up"
        for args in (["-D", busybox], ["-M", busybox.name]):
            result = run("--cleanup", *args)
            assert result.returncode == 1 and result.stderr.count("\n") == 1
        assert os.path.isdir(harness.TUNNELS + busybox.name)
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_cleanup_needs_to_know_whom():
    for args in ([], ["-x", "-M", "a"]):
        result = run("--cleanup", *args)
        assert result.returncode == 1 and result.stderr.count("\n") == 1
    assert run("--cleanup", "-M", f"{harness.TAG}-nobody").returncode == 0


@pytest.mark.ours
def test_leftovers_of_a_tree_with_an_odd_name(busybox):
    """One so long that names of throw-away trees have a part of it; and no terminal obeys it."""
    tree = busybox.parent / ("\x1b]0;" + 196 * "n")
    left = f".#machine.{tree.name[:191]}0123456789abcdef"
    (busybox.parent / left).mkdir()
    (busybox.parent / f".#{left}.lck").touch()
    busybox.rename(tree)
    try:
        result = run("-x", "-M", f"{harness.TAG}-odd", "-D", tree, "true", quiet=False)
    finally:
        tree.rename(busybox)
    assert result.returncode == 0 and "\x1b" not in result.stderr, result.stderr
    assert f"?]0;{196 * 'n'}" in result.stderr and beside(busybox) == []


@pytest.mark.ours
def test_cleanup_says_what_it_cannot_remove(busybox):
    left = f".#machine.{busybox.name}0123456789abcdef"
    (busybox.parent / left / "in").mkdir(parents=True)
    (busybox.parent / f".#{left}.lck").touch()
    subprocess.run(["mount", "--bind", "/proc/self/fdinfo", busybox.parent / left / "in"], check=True)
    try:
        result = run("--cleanup", "-D", busybox, quiet=False)
    finally:
        subprocess.run(["umount", busybox.parent / left / "in"], check=True)
    assert result.returncode == 1 and result.stderr.count("\n") == 1, result.stderr
    assert f"Cannot remove '{left}'" in result.stderr and len(beside(busybox)) == 2
    result = run("--cleanup", "-D", busybox, quiet=False)
    assert result.returncode == 0 and "Removed a throw-away tree" in result.stderr
    assert beside(busybox) == []
    result = run("--cleanup", "-D", busybox, f"--ephemeral-directory={busybox}/etc/passwd")
    assert result.returncode == 1 and "Not a directory" in result.stderr, result.stderr


@pytest.mark.ours
def test_what_is_not_ours_stays(busybox):
    """Only what has a lock that nobody holds is a leftover; also if the name looks like one."""
    digits = "0123456789abcdef"
    others = [f".#machine.{busybox.name}{digits}", f".#machine.{busybox.name}x{digits}",
              f".#.#machine.{busybox.name}{digits[1:]}.lck", f".#machine.{digits}"]
    for other in others:
        (busybox.parent / other).mkdir()
    run("-x", "-D", busybox, "true")
    run("--cleanup", "-D", busybox)
    assert beside(busybox) == sorted(others)
    for other in others:
        (busybox.parent / other).rmdir()


# On btrfs -----------------------------------------------------------------------------------------

@pytest.mark.ours
@pytest.mark.parametrize("args", [[], ["-U"], ["--read-only"]], ids=lambda args: " ".join(args) or "plain")
def test_ephemeral_snapshot(btrfs, busybox_source, args):
    """Of the tree and of the subvolumes in it; also those that the guest makes go."""
    tree = subvolume(busybox_source, btrfs, "snap")
    for inner in ("srv/inner", "srv/inner/deep"):
        subprocess.run(["btrfs", "-q", "subvolume", "create", str(tree / inner)], check=True,
                       stdout=subprocess.DEVNULL)
        (tree / inner / "file").write_text("x")
    before, volumes = state_of(tree), subvolumes(btrfs)
    script = "ls -1 /srv/inner/file /srv/inner/deep/file; touch /new; grep -c '.#machine' /proc/self/mountinfo"
    out = lines_of(output_of(run("-x", *args, "-D", tree, "sh", "-c", script)))
    assert out[:2] == ["/srv/inner/deep/file", "/srv/inner/file"] and int(out[-1]) > 0
    assert ("Read-only" in " ".join(out)) == ("--read-only" in args)
    assert state_of(tree) == before and subvolumes(btrfs) == volumes
    assert sorted(os.listdir(btrfs)) == [tree.name]


@pytest.mark.ours
def test_ephemeral_reflink(btrfs, busybox_source):
    tree = btrfs / f"{harness.TAG}-plain"
    harness.copy_tree(busybox_source, tree)
    before = state_of(tree)
    for method in ("auto", "reflink"):
        output_of(run("-x", f"--ephemeral-method={method}", "-D", tree, "touch", "/new"))
    assert state_of(tree) == before and os.listdir(btrfs) == [tree.name]
    harness.remove_tree(tree)


@pytest.mark.ours
def test_template_snapshot(btrfs, busybox_source):
    source, tree = subvolume(busybox_source, btrfs, "template"), btrfs / f"{harness.TAG}-made"
    output_of(run(f"--template={source}", "-D", tree, "touch", "/new"))
    assert subvolumes(btrfs) == sorted([source.name, tree.name])
    assert (tree / "new").exists() and not (source / "new").exists()


# Templates ----------------------------------------------------------------------------------------

def rich_tree(busybox):
    """With one of each that a copy can lose."""
    place = busybox / "srv/rich"
    place.mkdir(parents=True)
    (place / "file").write_text("content")
    os.link(place / "file", place / "hard")
    os.symlink("file", place / "soft")
    os.mkfifo(place / "fifo")
    os.mknod(place / "node", 0o20600, os.makedev(1, 3))
    with open(place / "sparse", "wb") as file:
        file.seek(64 << 20)
        file.write(b"x")
    os.setxattr(place / "file", "user.test", b"value")
    os.setxattr(place / "file", "trusted.test", b"value")
    os.chown(place / "file", 5, 6)
    os.chmod(place / "file", 0o4751)
    for path in ("file", "soft", "fifo", "."):
        os.utime(place / path, ns=(10**18, 10**18 + 5), follow_symlinks=False)
    listener = socket.socket(socket.AF_UNIX)
    folder = os.open(place, os.O_PATH)
    listener.bind(f"/proc/self/fd/{folder}/socket")
    os.close(folder)
    listener.close()
    os.utime(place, ns=(10**18, 10**18 + 5))
    return place


@covers("effect", "--template")
def test_template(busybox, work):
    place = rich_tree(busybox)
    folder = work / f"{harness.TAG}-made"
    folder.mkdir()
    tree = folder / f"{harness.TAG}-new"
    # The launcher's own changes are not what is compared.
    result = run(f"--template={busybox}", "-D", tree, "cat", "/srv/rich/file", quiet=False)
    assert "content" in result.stdout and "from template" in result.stderr
    copy, original = state_of(tree / "srv"), state_of(busybox / "srv")
    original = {path: value for path, value in original.items() if not path.endswith("socket")}
    assert copy == original
    new = tree / "srv/rich"
    assert os.lstat(new / "file").st_ino == os.lstat(new / "hard").st_ino
    assert os.lstat(new / "node").st_rdev == os.makedev(1, 3)
    assert os.lstat(new / "sparse").st_blocks * 512 < 1 << 20
    for name in ("user.test", "trusted.test"):
        assert os.getxattr(new / "file", name) == b"value"
    result = run(f"--template={busybox}", "-D", tree, "true", quiet=False)
    assert result.returncode == 0 and "already exists" in result.stderr
    assert os.listdir(folder) == [tree.name]
    harness.remove_tree(folder)
    assert place.exists()


@pytest.mark.ours
def test_template_that_is_interrupted_leaves_nothing(debian12, work):
    folder = work / f"{harness.TAG}-half"
    folder.mkdir()
    tree = folder / f"{harness.TAG}-tree"
    process = harness.start(f"--template={debian12}", "-D", tree, "true")
    harness.wait_until(lambda: any("machine" in name and not name.endswith(".lck")
                                   for name in os.listdir(folder)), what="the copy")
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 1 and "interrupted" in errors
    assert os.listdir(folder) == []
    process = harness.start(f"--template={debian12}", "-D", tree, "true")
    harness.wait_until(lambda: any("machine" in name and not name.endswith(".lck")
                                   for name in os.listdir(folder)), what="the copy")
    process.kill()
    process.communicate(timeout=30)
    assert len(os.listdir(folder)) == 2 and not tree.exists()
    assert run("--cleanup", "-D", tree).returncode == 0
    assert os.listdir(folder) == []
    folder.rmdir()


def test_template_with_ephemeral_is_the_tree_itself(busybox):
    before = state_of(busybox)
    assert output_of(run("-x", f"--template={busybox}", "touch", "/new")) == ""
    assert state_of(busybox) == before


# Another root ------------------------------------------------------------------------------------

PIVOTS = {
    "plain": [], "users": ["-U"], "read-only": ["--read-only"], "state": ["--volatile=state"],
    "overlay": ["--volatile=overlay"], "copy": ["-x", "--ephemeral-method=copy"],
}


@covers("effect", "--pivot-root")
@pytest.mark.parametrize("how", PIVOTS)
def test_pivot_root(busybox, busybox_source, how):
    slot = busybox / "slot"
    harness.copy_tree(busybox_source, slot)
    (slot / "here").touch()
    script = "ls /here /mnt/slot/here; touch /new; ls -d /slot"
    out = run(*PIVOTS[how], "--pivot-root=/slot:/mnt", "-D", busybox, "sh", "-c", script).stdout
    assert lines_of(out)[0].split() == ["/here", "/mnt/slot/here"] or \
        lines_of(out)[:2] == ["/here", "/mnt/slot/here"]
    assert "/slot\n" not in out.replace("\r", "")
    assert (slot / "new").exists() == (how in ("plain", "users"))
    assert "/here" in output_of(run(*PIVOTS[how], "--pivot-root=/slot", "-D", busybox, "ls", "/here"))


@covers("effect", "[Exec] PivotRoot")
def test_pivot_root_of_a_settings_file(busybox, busybox_source):
    harness.copy_tree(busybox_source, busybox / "slot")
    with harness.settings_file(f"{busybox}.nspawn", "[Exec]\nPivotRoot=/slot:/mnt\n"):
        assert output_of(run("-D", busybox, "ls", "-d", "/mnt/slot")) == "/mnt/slot\n"
        assert run("--pivot-root=/slot", "-D", busybox, "ls", "/mnt/slot").returncode == 1


@pytest.mark.ours
def test_pivot_root_looks_for_a_system_there(busybox):
    (busybox / "empty").mkdir()
    os.symlink("/../../..", busybox / "out")
    for new, words in (("/empty", "'/usr'"), ("/missing", "--pivot-root="), ("/etc/passwd", "--pivot-root=")):
        result = run(f"--pivot-root={new}", "-D", busybox, "true")
        assert result.returncode == 1 and words in result.stderr and result.stderr.count("\n") == 1
    # A link out of the tree leads to its root.
    assert output_of(run("--pivot-root=/out", "-D", busybox, "echo", "x")) == "x\n"


# The host's own root directory -------------------------------------------------------------------

@pytest.mark.ours
@pytest.mark.parametrize("args", [["-x"], ["--volatile=yes"], ["--volatile=state"]], ids=lambda args: args[0])
def test_root_of_the_host(args):
    before = set(os.listdir("/"))
    result = run(*args, "-D", "/", "sh", "-c", "touch /zz-made; hostname")
    if result.returncode != 0 and ("'/bin'" in result.stderr or "cannot be kept" in result.stderr
                                   or "is read-only" in result.stderr):
        pytest.skip(result.stderr)
    assert lines_of(result.stdout)[-1].startswith(socket.gethostname()[:40])
    assert set(os.listdir("/")) == before


@pytest.mark.ours
@pytest.mark.parametrize("args", [[], ["--volatile=overlay"], ["--read-only"]], ids=str)
def test_root_of_the_host_is_not_changed(args):
    result = run(*args, "-D", "/", "true")
    assert result.returncode == 1 and "--ephemeral" in result.stderr
