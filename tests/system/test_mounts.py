"""Mounts that are asked for: where sources come from, overlays, hidden paths, another root."""

import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

import harness
from harness import lines_of, output_of, run, start

SCRATCH = Path("/var/tmp")


def inside(tree, script, *args, **options):
    return lines_of(output_of(run(*args, "-D", tree, "sh", "-c", script, **options)))


def refusal(tree, *args):
    """The one sentence of a start that fails."""
    result = run("-q", *args, "-D", tree, "true")
    assert result.returncode == 1 and result.stdout == ""
    lines = [line for line in lines_of(result.stderr) if line]
    assert len(lines) == 1 and lines[0].endswith("."), lines
    return lines[0]


@pytest.fixture
def layers(work, request):
    """Folders of the host: "a", "b" and "c" with a file "name" and one of their own."""
    folder = work / f"layers{os.getpid()}{abs(hash(request.node.name)) % 100000}"
    for name in ("a", "b", "c"):
        (folder / name).mkdir(parents=True)
        (folder / name / "name").write_text(name + "\n")
        (folder / name / f"of-{name}").write_text("")
    yield folder
    left = [path for path in folder.rglob(".#*")]
    harness.remove_tree(folder)
    assert not left, f"left beside an upper layer: {left}"


def scratch_of(name):
    return [path for path in SCRATCH.iterdir() if path.name.startswith(f"stead-temp-{name}-")]


# Sources ---------------------------------------------------------------------------------------

@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"], ["-U", "--private-users-ownership=chown"]])
def test_sources_in_the_tree(busybox, users):
    """What is shown there has the owners that it has in the tree; links do not lead out of it."""
    (busybox / "srv/inner").mkdir(parents=True)
    (busybox / "srv/inner/file").write_text("inner\n")
    os.chown(busybox / "srv/inner/file", 33, 34)
    (busybox / "absolute").symlink_to("/srv/inner")
    (busybox / "upwards").symlink_to("../../../../srv/inner")
    script = "cd /mnt; for d in a b c; do cat $d/file; stat -c %u:%g $d/file; done; echo new >a/new"
    text = inside(busybox, script, *users, "--bind=+/srv/inner:/mnt/a", "--bind=+/absolute:/mnt/b",
                  "--bind-ro=+/../upwards:/mnt/c")
    assert text == ["inner", "33:34"] * 3
    assert (busybox / "srv/inner/new").read_text() == "new\n"


@pytest.mark.ours
def test_source_in_the_tree_is_missing(busybox, layers):
    (busybox / "link").symlink_to(layers)
    for source in ("/nothing", "/link/a"):
        sentence = refusal(busybox, f"--bind=+{source}:/mnt")
        assert f"'{source}'" in sentence and "does not exist in the container's tree" in sentence


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"]])
def test_temporary_source(busybox, users):
    """It is the container's own, and gone afterwards, whatever was made of it."""
    script = ("stat -c %u:%g:%a /mnt /srv; echo x >/mnt/x; mkdir -p /mnt/d/e; ln -s /etc /mnt/d/e/l; "
              "mkfifo /mnt/f; chmod 0 /mnt/d; touch /srv/y 2>/dev/null || echo ro; ls -1A /srv")
    text = inside(busybox, script, *users, "--bind=:/mnt", "--bind-ro=:/srv")
    assert text == ["0:0:755", "0:0:755", "ro"]
    assert not scratch_of(busybox.name)


@pytest.mark.ours
def test_temporary_source_that_is_nested_deeply(busybox):
    script = ("cd /mnt; i=0; while [ $i -lt 200 ]; do mkdir d .#deep-$i; cd d; i=$((i+1)); done; "
              "touch x; echo made")
    assert inside(busybox, script, "--bind=:/mnt") == ["made"]
    assert not scratch_of(busybox.name)


@pytest.mark.ours
def test_leftovers_of_a_killed_supervisor(busybox, layers):
    """The next start that makes such folders removes them; those of a running one stay."""
    kept = start("--read-only", "--bind=:/mnt", "-M", f"{busybox.name}-kept", "-D", busybox,
                 "sleep", "99")
    killed = start("--read-only", "--bind=:/mnt", f"--overlay={layers}/a:{layers}/b:/srv",
                   "-M", f"{busybox.name}-killed", "-D", busybox, "sleep", "99")
    try:
        leader = harness.leader_of(kept.pid)
        harness.leader_of(killed.pid)
        killed.send_signal(signal.SIGKILL)
        killed.communicate(timeout=20)
        assert len(scratch_of(f"{busybox.name}-killed")) == 1
        assert (layers / ".#b.work").is_dir()
        for name in ("other", "killed"):
            text = inside(busybox, "cat /srv/name; ls -1A /mnt", "--read-only", "--bind=:/mnt",
                          "-M", f"{busybox.name}-{name}", f"--overlay={layers}/a:{layers}/b:/srv")
            assert text == ["b"]
            assert not scratch_of(f"{busybox.name}-killed")
        assert len(scratch_of(f"{busybox.name}-kept")) == 1
        assert os.listdir(f"/proc/{leader}/root/mnt") == []
    finally:
        harness.stop(kept)
        harness.stop(killed)


@pytest.mark.ours
def test_folders_that_only_look_like_leftovers(busybox):
    """Anybody may write to /var/tmp."""
    folder = SCRATCH / f"stead-temp-{busybox.name}-bait"
    folder.mkdir(mode=0o700)
    os.chown(folder, 1234, 1234)
    link = SCRATCH / f"stead-temp-{busybox.name}-link"
    link.symlink_to(busybox)
    try:
        inside(busybox, "true", "--bind=:/mnt")
        assert folder.is_dir() and link.is_symlink() and (busybox / "usr").is_dir()
    finally:
        folder.rmdir()
        link.unlink()


# Owners ----------------------------------------------------------------------------------------

@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"]])
def test_owner_is_root_inside(busybox, layers, users):
    """The owner's user and group, and nobody else; what root makes belongs to the owner."""
    os.chown(layers / "a", 1000, 100)
    os.chown(layers / "a/name", 1000, 7)
    script = ("stat -c %u:%g /mnt /mnt/name /mnt/of-a; touch /mnt/new; stat -c %u:%g /mnt/new; "
              "touch /srv/new; stat -c %u:%g /srv /srv/new")
    text = inside(busybox, script, *users, f"--bind={layers}/a:/mnt:rootidmap",
                  f"--bind={layers}/a:/srv:norbind,rootidmap")
    assert text == ["0:0", "0:65534", "65534:65534", "0:0", "0:0", "0:0"]
    status = (layers / "a/new").stat()
    assert (status.st_uid, status.st_gid) == (1000, 100)


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"], ["-U", "--private-users-ownership=chown"]])
def test_owner_is_the_destinations_owner(busybox, layers, users):
    os.chown(layers / "a", 1000, 100)
    (busybox / "srv/data").mkdir(parents=True)
    os.chown(busybox / "srv/data", 33, 34)
    text = inside(busybox, "stat -c %u:%g /srv/data /mnt/new", *users,
                  f"--bind={layers}/a:/srv/data:owneridmap", f"--bind={layers}/a:/mnt/new:owneridmap")
    assert text == ["33:34", "0:0"]


@pytest.mark.ours
@pytest.mark.parametrize("option", ["rootidmap", "owneridmap", "idmap"])
def test_file_system_that_cannot_be_mapped(busybox, option):
    sentence = refusal(busybox, "-U", f"--bind=/proc/sys:/mnt:norbind,{option}")
    assert "'/proc/sys'" in sentence and "'proc'" in sentence and "noidmap" in sentence


# Files, links and places -----------------------------------------------------------------------

@pytest.mark.ours
def test_sources_that_are_links_and_files(busybox, layers):
    (layers / "link").symlink_to("a")
    (layers / "b/node").symlink_to("/dev/zero")
    text = inside(busybox, "cat /mnt/name /srv/file; head -c 3 /srv/node | wc -c",
                  f"--bind={layers}/link:/mnt", f"--bind-ro={layers}/b/name:/srv/file",
                  f"--bind={layers}/b/node:/srv/node")
    assert text == ["a", "b", "3"]


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"]])
def test_destinations_in_proc_and_sys(busybox, layers, users):
    text = inside(busybox, "cat /proc/version /sys/kernel/name; ls -1A /proc/fs", *users,
                  f"--bind={layers}/a/name:/proc/version", f"--bind={layers}/b:/sys/kernel",
                  "--tmpfs=/proc/fs")
    assert text == ["a", "b"]


@pytest.mark.ours
def test_read_only_goes_all_the_way(busybox, layers):
    below = layers / "a/below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        text = inside(busybox, "touch /mnt/x /mnt/below/x 2>/dev/null; ls -1A /mnt/below; "
                      "grep -c ' ro,.* tmpfs none' /proc/self/mountinfo", f"--bind-ro={layers}/a:/mnt")
        assert text == ["1"]
    finally:
        subprocess.run(["umount", str(below)], check=True)


@pytest.mark.ours
@pytest.mark.limits
def test_device_nodes_of_the_tree_are_not_believed(busybox, layers):
    """The maker of a tree does not choose which devices of the host it may use; who starts it does."""
    found = [path for path in map(Path, ("/dev/cpu_dma_latency", "/dev/loop-control", "/dev/vda", "/dev/sda"))
             if path.exists()]
    if not found:
        pytest.skip("this host has no device that may be opened for nothing")
    device = found[0].stat()
    for node in (busybox / "node", layers / "node"):
        os.mknod(node, stat.S_IFMT(device.st_mode) | 0o666, device.st_rdev)
    script = "dd if=$0 of=/dev/null bs=1 count=0 2>&1 && echo opened"
    denied = run("-q", "--bind=+/node:/mnt/node", "-D", busybox, "sh", "-c", script, "/mnt/node")
    assert "opened" not in denied.stdout
    allowed = run("-q", f"--bind-ro={layers}/node:/mnt/node", "-D", busybox, "sh", "-c", script,
                  "/mnt/node")
    assert "opened" in allowed.stdout, allowed


# Overlays --------------------------------------------------------------------------------------

@pytest.mark.ours
@harness.covers("effect", "--overlay")
def test_overlay(busybox, layers):
    """Writes go to the upper layer, and the work directory is gone at the end."""
    text = inside(busybox, "cat /mnt/name; ls -1 /mnt; echo new >/mnt/name; rm /mnt/of-a; echo >/mnt/new",
                  f"--overlay={layers}/a:{layers}/b:{layers}/c:/mnt")
    assert text == ["c", "name", "of-a", "of-b", "of-c"]
    assert sorted(os.listdir(layers / "c")) == ["name", "new", "of-a", "of-c"]
    assert (layers / "c/name").read_text() == "new\n"
    assert stat.S_ISCHR((layers / "c/of-a").lstat().st_mode)
    assert (layers / "a/name").read_text() == "a\n" and sorted(os.listdir(layers)) == ["a", "b", "c"]


@pytest.mark.ours
def test_overlay_of_two_parts_and_of_one_that_is_missing(busybox, layers):
    text = inside(busybox, f"cat {layers}/b/name; cat /mnt/name; echo >/mnt/x",
                  f"--overlay={layers}/a:{layers}/b", f"--overlay={layers}/a:{layers}/new/upper:/mnt")
    assert text == ["b", "a"]
    assert os.listdir(layers / "new/upper") == ["x"]


@pytest.mark.ours
@harness.covers("effect", "--overlay-ro")
def test_overlay_read_only(busybox, layers):
    text = inside(busybox, "cat /mnt/name; touch /mnt/x 2>/dev/null || echo refused; cat /srv/name",
                  f"--overlay-ro={layers}/a:{layers}/b:{layers}/c:/mnt",
                  f"--overlay-ro={layers}/a:{layers}/c:/srv")
    assert text == ["c", "refused", "c"]
    assert sorted(os.listdir(layers / "c")) == ["name", "of-c"]


@pytest.mark.ours
def test_overlay_with_odd_names(busybox, layers):
    odd = ["x:y", "q,z", "b\\s", " =", "+plus"]
    for name in odd:
        (layers / name).mkdir()
        (layers / name / "at").write_text(name + "\n")
        (layers / name / f"of {name}").write_text("")
    escaped = [str(layers / name).replace("\\", "\\\\").replace(":", "\\:") for name in odd]
    text = inside(busybox, "cat /mnt/at; ls -1 /mnt | wc -l; touch /mnt/new",
                  "--overlay=" + ":".join([*escaped, "/mnt"]))
    assert text == ["+plus", "6"]
    assert (layers / "+plus/new").exists()


@pytest.mark.ours
def test_overlay_of_many_layers(busybox, layers):
    folders = [layers / f"l{number}" for number in range(40)]
    for number, folder in enumerate(folders):
        folder.mkdir()
        (folder / "top").write_text(f"{number}\n")
        (folder / f"f{number}").write_text("")
    text = inside(busybox, "cat /mnt/top; ls -1 /mnt | wc -l",
                  "--overlay=" + ":".join([*map(str, folders), "", "/mnt"]))
    assert text == ["39", "41"]


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"], ["-U", "--private-users-ownership=chown"]])
def test_overlay_in_the_tree(busybox, users):
    """Owners are those of the tree, on both sides; a temporary upper layer looks like the lower one."""
    for name in ("low", "up"):
        (busybox / "srv" / name).mkdir(parents=True)
    (busybox / "srv/low/file").write_text("file\n")
    os.chown(busybox / "srv/low/file", 33, 34)
    os.chmod(busybox / "srv/low", 0o1770)
    os.chown(busybox / "srv/low", 5, 6)
    script = ("stat -c %u:%g:%a /mnt /mnt/file /home; cd /home; echo >>file; chown 1:2 file; touch new; "
              "mkdir dir; mv dir dir2; stat -c %u:%g new file; touch /mnt/new; stat -c %u:%g /mnt/new")
    text = inside(busybox, script, *users, "--overlay=+/srv/low::/mnt",
                  "--overlay=+/srv/low:+/srv/up:/home")
    assert text == ["5:6:1770", "33:34:644", "0:0:755", "0:0", "1:2", "0:0"]
    assert sorted(os.listdir(busybox / "srv/low")) == ["file"]
    assert sorted(os.listdir(busybox / "srv/up")) == ["dir2", "file", "new"]
    assert not list((busybox / "srv").glob(".#*"))
    base = (busybox / "srv/low").stat().st_uid - 5
    owner = (busybox / "srv/up/file").stat()
    assert (owner.st_uid - base, owner.st_gid - base) == (1, 2)
    assert (base != 0) == ("--private-users-ownership=chown" in users)


@pytest.mark.ours
def test_overlay_of_what_cannot_be_mapped(busybox):
    """Just for a layer on another file system the tree does not change its owners."""
    subprocess.run(["mount", "-t", "ramfs", "none", str(busybox / "srv")], check=True)
    try:
        sentence = refusal(busybox, "-U", "--overlay=+/srv::/mnt")
        assert "'+/srv'" in sentence and "'ramfs'" in sentence
        assert (busybox / "etc").stat().st_uid == 0
    finally:
        subprocess.run(["umount", str(busybox / "srv")], check=True)


@pytest.mark.ours
def test_overlay_through_links_of_the_tree(busybox, layers):
    """They lead to other places of the tree."""
    (busybox / str(layers)[1:] / "a").mkdir(parents=True)
    (busybox / str(layers)[1:] / "a/mine").write_text("")
    (busybox / "low").symlink_to(layers / "a")
    text = inside(busybox, "ls -1 /mnt; touch /mnt/new", "--overlay=+/etc:+/low:/mnt")
    assert "mine" in text and "of-a" not in text
    assert not (layers / "a/new").exists()
    assert sorted(os.listdir(busybox / str(layers)[1:])) == ["a"]


@pytest.mark.ours
def test_overlay_over_what_it_shows(busybox):
    """What people use it for: a part of the tree that may be changed, for one run."""
    text = inside(busybox, "echo changed >/etc/passwd; cat /etc/passwd", "--overlay=+/etc::/etc")
    assert text == ["changed"]
    assert "changed" not in (busybox / "etc/passwd").read_text()


@pytest.mark.ours
def test_overlay_in_the_tree_leaves_nothing_beside_it(busybox):
    """Where a link of the tree makes the upper directory the root, which has nothing of it beside it."""
    (busybox / "low").mkdir()
    (busybox / "up").symlink_to("/")
    before = sorted(os.listdir(busybox.parent))
    result = run("--overlay=+/low:+/up:/m", "-D", busybox, "true")
    assert result.returncode == 1 and "tree's root directory" in result.stderr, result.stderr
    assert sorted(os.listdir(busybox.parent)) == before


@pytest.mark.ours
def test_overlay_upper_layer_is_used_once(busybox, layers):
    value = f"--overlay={layers}/a:{layers}/b:/mnt"
    first = start("--read-only", value, "-M", f"{busybox.name}-1", "-D", busybox, "sleep", "99")
    try:
        harness.leader_of(first.pid)
        sentence = refusal(busybox, "--read-only", "-M", f"{busybox.name}-2", value)
        assert f"'{layers}/b'" in sentence and "in use" in sentence
    finally:
        harness.stop(first)
    assert inside(busybox, "cat /mnt/name", value) == ["b"]


@pytest.mark.ours
@pytest.mark.parametrize("value, words", [
    ("{f}/none:{f}/a:/mnt", "none' .*does not exist"), ("+/none:{f}/a:/mnt", "in the container's tree"),
    ("{f}/a/name:{f}/b:/mnt", "is not a directory"), ("{f}/a:{f}/b/name:/mnt", "is not a directory"),
    ("{f}/a:/proc:/mnt", "mount point"), ("{f}/a:/sys/kernel:/mnt", "/sys/kernel"),
    ("{f}/a:{f}:/mnt", "inside of another"), ("{f}/a:{f}/b:/etc/passwd", "/etc/passwd"),
])
def test_overlay_that_cannot_be(busybox, layers, value, words):
    sentence = refusal(busybox, "--overlay=" + value.format(f=layers))
    assert re.search(words, sentence), sentence
    assert sorted(os.listdir(layers)) == ["a", "b", "c"]


@pytest.mark.ours
def test_overlay_keeps_restrictions_of_its_layers(busybox, layers):
    below = layers / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "nosuid,nodev,noexec", "none", str(below)], check=True)
    try:
        text = inside(busybox, "grep -E ' /(mnt|srv|home) overlay ' /proc/mounts | cut -d' ' -f2,4 | cut -d, -f1-4",
                      f"--overlay={below}:{layers}/a:/mnt", f"--overlay-ro={layers}/a:{layers}/b:/srv",
                      f"--overlay={below}::/home")
        assert sorted(text)[:2] == ["/home rw,nosuid,nodev,noexec", "/mnt rw,nosuid,nodev,noexec"]
        assert "nosuid" not in sorted(text)[2]
    finally:
        subprocess.run(["umount", str(below)], check=True)


@pytest.mark.ours
def test_overlay_on_an_overlay(busybox, layers):
    """The file system of the upper layer is named when it cannot be one."""
    top = layers / "top"
    top.mkdir()
    subprocess.run(["mount", "-t", "overlay", "none", "-o",
                    f"lowerdir={layers}/a,upperdir={layers}/b,workdir={layers}/c", str(top)], check=True)
    try:
        (top / "upper").mkdir()
        sentence = refusal(busybox, f"--overlay={layers}/a:{top}/upper:/mnt")
        assert "'overlay'" in sentence and "ext4" in sentence
        assert not list(top.glob(".#*"))
    finally:
        subprocess.run(["umount", str(top)], check=True)


# Hidden paths ----------------------------------------------------------------------------------

@pytest.mark.ours
@harness.covers("effect", "--inaccessible")
@pytest.mark.parametrize("users", [[], ["-U"]])
def test_inaccessible(busybox, layers, users):
    os.mkfifo(busybox / "fifo")
    (busybox / "link").symlink_to("etc/group")
    paths = ["/etc/passwd", "/home", "/dev/full", "/fifo", "/link", "/proc/version", "/mnt/name"]
    script = ("for p in /etc/passwd /home /dev/full /fifo /link /proc/version /mnt/name; do "
              "stat -L -c '%a %F' $p; done; ls -L /link | wc -l; cat /etc/group /mnt/name; ls -1A /home; "
              "touch /home/x 2>/dev/null; echo a >>/etc/passwd || echo refused")
    text = inside(busybox, script, *users, f"--bind={layers}/a:/mnt",
                  *(f"--inaccessible={path}" for path in paths))
    assert text[:7] == ["0 regular empty file", "0 directory", "0 character special file", "0 fifo",
                        "0 regular empty file", "0 regular empty file", "0 regular empty file"]
    assert text[7] == "1" and text[8] == "refused" or "Read-only" in text[8], text
    assert (layers / "a/name").read_text() == "a\n"


@pytest.mark.ours
def test_inaccessible_that_is_missing(busybox):
    sentence = refusal(busybox, "--inaccessible=/no/such/path")
    assert "'/no/such/path'" in sentence and "Only what is there" in sentence
    assert "whole container" in refusal(busybox, "--inaccessible=/")


# Another root ----------------------------------------------------------------------------------

@pytest.fixture
def other_root(busybox, work):
    folder = work / f"{harness.TAG}-root{os.getpid()}"
    harness.copy_tree(busybox, folder)
    (folder / "mark").write_text("other\n")
    yield folder
    harness.remove_tree(folder)


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["--private-users=1048576"]])
def test_root_from_elsewhere(busybox, other_root, users):
    text = inside(busybox, "cat /mark; ls -1 /mnt; touch /new 2>/dev/null; ls -1 /proc/self/status /dev/null",
                  *users, f"--bind={other_root}:/", "--tmpfs=/mnt/made")
    assert text == ["other", "made", "/dev/null", "/proc/self/status"]
    assert (other_root / "new").exists() == (not users)
    assert not (busybox / "mnt/made").exists()
    text = inside(busybox, "cat /mark; touch /x 2>/dev/null || echo refused", *users,
                  f"--bind-ro={other_root}:/")
    assert text == ["other", "refused"]


@pytest.mark.ours
def test_root_as_an_overlay_of_a_read_only_tree(busybox):
    """The tree may be shared, and every container can write to its own root."""
    args = ["--read-only", "--overlay=+/::/"]
    first = start(*args, "-M", f"{busybox.name}-1", "-D", busybox, "sh", "-c", "touch /a; sleep 99")
    try:
        leader = harness.leader_of(first.pid)
        harness.wait_until(lambda: os.path.exists(f"/proc/{leader}/root/a"), what="the file")
        assert inside(busybox, "touch /b; ls -1 / | grep -x '[ab]'", *args) == ["b"]
    finally:
        harness.stop(first)
    assert not (busybox / "a").exists() and not (busybox / "b").exists()


@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["--private-users=1048576"]])
def test_empty_root(busybox, users):
    """Nothing but the tree's /usr."""
    before = sorted(os.listdir(busybox))
    text = inside(busybox, "readlink /bin; ls -1 /etc; touch /x; stat -c %u:%a / /root /x", *users,
                  "--tmpfs=/", "--bind-ro=+/usr:/usr")
    assert text[0] == "usr/bin" and "passwd" not in text
    assert text[-3:] == ["0:755", "0:750", "0:644"]
    assert sorted(os.listdir(busybox)) == before


@pytest.mark.ours
@pytest.mark.parametrize("args, words", [
    (["-U"], "--private-users-ownership=off"),
    (["--private-users=yes"], "--private-users=BASE"),
    (["--private-users=1048576", "--private-users-ownership=map"], "--private-users-ownership=off"),
])
def test_root_and_owners(busybox, args, words):
    assert words in refusal(busybox, *args, "--tmpfs=/")


@pytest.mark.ours
def test_read_only_tree_stays_so_at_other_places(busybox):
    for option in ("--read-only", "--volatile=overlay"):
        text = inside(busybox, "touch /mnt/x 2>/dev/null || echo refused", option, "--bind=+/etc:/mnt")
        assert text == ["refused"]
    assert "--read-only forbids" in refusal(busybox, "--read-only", "--overlay=/tmp:+/var:/mnt")
