"""What the root directory is made of: volatile roots."""

import os
import subprocess

import pytest

import harness
from harness import lines_of, output_of, run

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


@harness.covers("effect", "--volatile")
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
