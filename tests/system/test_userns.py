"""User namespaces: which range is taken, who owns what inside and on disk."""

import os
import re
import subprocess

import pytest

import harness
from harness import lines_of, output_of, owners, run

BASE = 0x00180000  # inside the window of ranges, and of nobody else here
SPAN = 65536


def uid_map(tree, *args):
    return [tuple(map(int, line.split()))
            for line in lines_of(output_of(run(*args, "-D", tree, "cat", "/proc/self/uid_map")))]


def idmaps_work(tree):
    """Whether the file system of the tree can be mounted with other owners."""
    result = subprocess.run(
        ["unshare", "--mount", "mount", "--bind", "-o", f"X-mount.idmap=0:{BASE}:{SPAN}",
         str(tree), str(tree)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=False)
    return result.returncode == 0


@pytest.fixture
def mapped(busybox):
    """A tree whose file system can be id-mapped."""
    # mount(8) of Debian 12 has no such option, so the launcher itself is asked.
    result = run("--private-users=%d" % BASE, "--private-users-ownership=map", "-D", busybox, "true")
    if result.returncode != 0 and not idmaps_work(busybox):
        pytest.skip("this file system cannot be mounted with other owners")
    return busybox


# Ranges ----------------------------------------------------------------------------------------


@harness.covers("effect", "--private-users")
@pytest.mark.parametrize("arg, expected", [
    (f"--private-users={BASE}", (0, BASE, SPAN)),
    (f"--private-users={BASE}:131072", (0, BASE, 131072)),
    ("--private-users=identity", (0, 0, SPAN)),
    ("--private-users=no", (0, 0, 0xFFFFFFFF)),
])
def test_range_is_as_asked(busybox, arg, expected):
    assert uid_map(busybox, arg) == [expected]


@pytest.mark.parametrize("arg", ["--private-users", "--private-users=yes", "--private-users=true"])
def test_range_is_the_owner_of_the_tree(busybox, arg):
    subprocess.run(["chown", "-R", f"{BASE}:{BASE}", str(busybox)], check=True)
    assert uid_map(busybox, arg) == [(0, BASE, SPAN)]


def test_group_map_is_the_same(busybox):
    text = output_of(run("-U", "-M", "deb12", "-D", busybox, "cat", "/proc/self/gid_map"))
    assert text.split() == ["0", "116719616", str(SPAN)]


def test_setgroups_is_allowed(busybox):
    text = output_of(run("-U", "-D", busybox, "cat", "/proc/self/setgroups"))
    assert text.strip() == "allow"


def test_owner_beats_name(busybox):
    """A tree that was shifted once keeps its range, whatever it is called."""
    subprocess.run(["chown", "-R", f"{BASE}:{BASE}", str(busybox)], check=True)
    assert uid_map(busybox, "-U", "-M", "deb12") == [(0, BASE, SPAN)]


def test_taken_range_is_not_taken_again(busybox, busybox_source, work):
    """Two trees of the same owner would lead to the same range."""
    second = work / "second-tree"
    harness.copy_tree(busybox_source, second)
    for tree in (busybox, second):
        subprocess.run(["chown", "-R", f"{BASE}:{BASE}", str(tree)], check=True)
    process = harness.start("-U", "-D", busybox, "sleep", "99")
    try:
        harness.leader_of(process.pid)
        (_, base, count), = uid_map(second, "-U", "-M", f"{harness.TAG}-second")
        assert base != BASE and count == SPAN
        assert 0x80000 <= base <= 0x6FFF0000 and base % SPAN == 0
    finally:
        harness.stop(process)
        harness.remove_tree(second)


# Ownership -------------------------------------------------------------------------------------

@pytest.mark.smoke
def test_nothing_is_chowned(mapped):
    before = owners(mapped)
    output_of(run("-U", "-D", mapped, "true"))
    after = owners(mapped)
    assert {path: owner for path, owner in after.items() if path in before} == before
    assert set(after.values()) <= set(before.values())


def test_nothing_is_chowned_in_debian(debian12, mapped):
    before = owners(debian12)
    output_of(run("-U", "-D", debian12, "true"))
    after = owners(debian12)
    assert {path: after.get(path) for path in before} == before


def test_files_made_inside(mapped):
    script = "touch /root/new /etc/new; chown 1000:1000 /etc/new; stat -c %u:%g /root/new /etc/new /"
    text = output_of(run("-U", "-D", mapped, "sh", "-c", script))
    assert lines_of(text) == ["0:0", "1000:1000", "0:0"]
    for path, owner in (("root/new", (0, 0)), ("etc/new", (1000, 1000))):
        status = os.stat(mapped / path)
        assert (status.st_uid, status.st_gid) == owner


def test_processes_belong_to_the_range(mapped):
    process = harness.start("-U", "-M", "deb12", "-D", mapped, "sleep", "99")
    try:
        leader = harness.leader_of(process.pid)
        assert re.search(r"^Uid:\s+116719616\s", harness.read(f"/proc/{leader}/status"), re.M)
    finally:
        harness.stop(process)


def users_on_disk(tree):
    state = owners(tree)
    if harness.IS_STOCK:
        state.pop("etc/localtime", None)  # made after its chown, as the host's root
    return {uid for uid, _ in state.values()}


@harness.covers("effect", "--private-users-ownership")
def test_chown(busybox):
    args = [f"--private-users={BASE}", "--private-users-ownership=chown"]
    script = "stat -c %u:%g / /home/guest /etc/passwd"
    text = output_of(run(*args, "-D", busybox, "sh", "-c", script))
    assert lines_of(text) == ["0:0", "1000:1000", "0:0"]
    assert {BASE, BASE + 1000} == users_on_disk(busybox)
    # Once more changes nothing; another range moves all of it.
    before = owners(busybox)
    output_of(run(*args, "-D", busybox, "true"))
    assert {path: owners(busybox)[path] for path in before} == before
    moved = BASE + SPAN
    output_of(run(f"--private-users={moved}", "--private-users-ownership=chown", "-D", busybox,
                  "true"))
    assert {moved, moved + 1000} == users_on_disk(busybox)


def test_chown_resumes(busybox):
    """A run that was cut off left the busy mark on the top folder."""
    args = [f"--private-users={BASE}", "--private-users-ownership=chown"]
    os.lchown(busybox, 0xFFFE0000, 0xFFFE0000)
    output_of(run(*args, "-D", busybox, "true"))
    assert {BASE, BASE + 1000} == users_on_disk(busybox)


@harness.covers("effect", "--private-users-chown")
def test_old_option_is_chown(busybox):
    output_of(run(f"--private-users={BASE}", "--private-users-chown", "-D", busybox, "true"))
    assert BASE in users_on_disk(busybox)


def test_off_leaves_strangers(busybox):
    args = [f"--private-users={BASE}", "--private-users-ownership=off"]
    text = output_of(run(*args, "--read-only", "-D", busybox, "stat", "-c", "%u:%g", "/usr"))
    assert text.strip() == "65534:65534"


@pytest.mark.ours  # an error since 257
def test_map_of_a_shifted_tree_is_refused(busybox):
    subprocess.run(["chown", "-R", f"{BASE}:{BASE}", str(busybox)], check=True)
    result = run(f"--private-users={BASE}", "--private-users-ownership=map", "-D", busybox, "true")
    assert result.returncode == 1


# What else changes with the namespace ----------------------------------------------------------

@pytest.mark.parametrize("path", ["/dev", "/dev/null", "/dev/shm", "/dev/pts", "/run", "/tmp",
                                  "/run/host", "/dev/pts/0"])
def test_owner_of_built_in_files(mapped, path):
    text = output_of(run("-U", "-D", mapped, "stat", "-L", "-c", "%u", path))
    assert text.strip() == "0"


def test_full_proc_and_sys_are_not_visible(mapped):
    text = output_of(run("-U", "-D", mapped, "ls", "/run/host"))
    assert not {"proc", "sys"} & set(text.split())


def test_inside_root_may_mount(mapped):
    text = output_of(run("-U", "-D", mapped, "sh", "-c",
                         "mount -t tmpfs none /mnt && echo mounted; id -u"))
    assert lines_of(text) == ["mounted", "0"]


def test_nested_user_namespace(mapped):
    text = output_of(run("-U", "-D", mapped, "unshare", "-U", "-r", "id", "-u"))
    assert text.strip() == "0"


@pytest.mark.ours
def test_idmapped_file_gets_a_file_as_its_place(mapped):
    (mapped.parent / "source").write_text("words\n")
    try:
        shown = output_of(run("-U", f"--bind={mapped.parent}/source:/mnt/new:idmap", "-D", mapped,
                              "cat", "/mnt/new"))
    finally:
        (mapped.parent / "source").unlink()
    assert shown == "words\n"
    assert (mapped / "mnt/new").is_file()
