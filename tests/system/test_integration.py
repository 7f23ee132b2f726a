"""How a machine looks at home on its host: name resolution, time, the journal, users."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import harness
from harness import lines_of, output_of, run


@contextlib.contextmanager
def host_file(path, text):
    """A file of the host that a test needs; one that is there is used as it is."""
    path = pathlib.Path(path)
    made = [folder for folder in path.parents if not folder.exists()]
    own = not path.exists()
    if own:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    try:
        yield path.read_bytes()
    finally:
        if own:
            path.unlink()
        for folder in made:
            folder.rmdir()


# /etc/resolv.conf ------------------------------------------------------------------------------

STATIC = "/usr/lib/systemd/resolv.conf"
UPLINK = "/run/systemd/resolve/resolv.conf"
STUB = "/run/systemd/resolve/stub-resolv.conf"
SOURCES = [("host", "/etc/resolv.conf"), ("static", STATIC), ("uplink", UPLINK), ("stub", STUB)]


@harness.covers("effect", "--resolv-conf")
@pytest.mark.parametrize("way", ["copy", "replace", "bind"])
@pytest.mark.parametrize("source, path", SOURCES)
def test_resolv_conf_sources(busybox, way, source, path):
    """Also with a network of its own, where the default leaves the file alone."""
    inside = busybox / "etc/resolv.conf"
    inside.write_text("# mine\n")
    with host_file(path, f"# {source}\nnameserver 192.0.2.1\n") as expected:
        out = output_of(run("--private-network", f"--resolv-conf={way}-{source}", "-D", busybox,
                            "sh", "-c", "cat /etc/resolv.conf; grep /etc/resolv /proc/self/mountinfo"
                            " | cut -d' ' -f5,6; echo x 2>/dev/null >>/etc/resolv.conf || echo ro"))
    assert out.startswith(expected.decode())
    if way == "bind":
        assert re.search("^/etc/resolv.conf ro,nosuid,nodev", out, re.MULTILINE) and "\nro\n" in out
        assert inside.read_text() == "# mine\n"
    else:
        assert out == expected.decode()
        assert inside.read_bytes() == expected + b"x\n"
        assert not inside.is_symlink()


@pytest.mark.parametrize("way, expected", [("copy-host", "link"), ("bind-host", "link"),
                                           ("replace-host", "file"), ("delete", "gone"),
                                           ("off", "link"), ("no", "link")])
def test_resolv_conf_that_is_a_link(busybox, way, expected):
    inside = busybox / "etc/resolv.conf"
    inside.unlink(missing_ok=True)
    inside.symlink_to("../run/nowhere")
    with host_file("/etc/resolv.conf", "# host\n") as text:
        output_of(run(f"--resolv-conf={way}", "-D", busybox, "true"))
    if expected == "gone":
        assert not os.path.lexists(inside)
    elif expected == "link":
        assert os.readlink(inside) == "../run/nowhere"
    else:
        assert inside.read_bytes() == text and not inside.is_symlink()
        assert inside.stat().st_mode & 0o7777 == 0o644
        # The same once more changes nothing.
        before = inside.stat()
        with host_file("/etc/resolv.conf", "# host\n"):
            output_of(run(f"--resolv-conf={way}", "-D", busybox, "true"))
        assert (inside.stat().st_ino, inside.stat().st_mtime_ns) == (before.st_ino,
                                                                     before.st_mtime_ns)


def test_resolv_conf_has_the_owner_of_the_tree(busybox):
    inside = busybox / "etc/resolv.conf"
    inside.unlink(missing_ok=True)
    inside.symlink_to("nowhere")
    with host_file("/etc/resolv.conf", "# host\n"):
        out = output_of(run("--private-users=1572864", "--private-users-ownership=chown",
                            "--resolv-conf=replace-host", "--timezone=copy", "-D", busybox, "stat",
                            "-c", "%u:%g %F", "/etc/resolv.conf", "/etc/localtime"))
    assert out == "0:0 regular file\n" * 2
    assert inside.stat().st_uid == 1572864


@pytest.mark.ours
def test_leftover_of_a_killed_start_is_taken_away(busybox):
    (busybox / "etc/.#resolv.conf.stead").write_text("half of a fi")
    (busybox / "etc/.#localtime.stead").symlink_to("nowhere")
    (busybox / "etc/resolv.conf").write_text("# other\n")
    with host_file("/etc/resolv.conf", "# host\n"):
        output_of(run("--resolv-conf=replace-host", "--timezone=copy", "-D", busybox, "true"))
    assert not [name for name in os.listdir(busybox / "etc") if name.startswith(".#")]


@pytest.mark.ours
@pytest.mark.parametrize("args, words", [
    (["--resolv-conf=copy-uplink"], "resolv.conf.*No such file"),
    (["--resolv-conf=replace-uplink"], "resolv.conf.*No such file"),
    (["--resolv-conf=bind-uplink"], "resolv.conf.*No such file"),
    (["--read-only", "--resolv-conf=copy-static"], "resolv.conf.*Read-only"),
    (["--read-only", "--resolv-conf=delete"], "resolv.conf.*Read-only"),
    (["--read-only", "--timezone=copy"], "localtime.*Read-only"),
    (["--read-only", "--timezone=delete"], "localtime.*Read-only"),
])
def test_what_cannot_be_done_is_told(busybox, args, words):
    """The machine runs, and the tree is as before."""
    if os.path.exists(UPLINK):
        pytest.skip("this host has the file that has to be missing")
    (busybox / "etc/resolv.conf").write_text("# mine\n")
    result = run(*args, "-D", busybox, "cat", "/etc/resolv.conf")
    assert output_of(result) in ("# mine\n", harness.read("/etc/resolv.conf"))
    assert re.search(words, result.stderr) and "ignoring" in result.stderr
    assert (busybox / "etc/resolv.conf").read_text() in ("# mine\n",
                                                         harness.read("/etc/resolv.conf"))


# /etc/localtime --------------------------------------------------------------------------------

def host_zone():
    target = os.readlink("/etc/localtime") if os.path.islink("/etc/localtime") else ""
    if "usr/share/zoneinfo/" not in target or not os.path.exists("/etc/localtime"):
        pytest.skip("this host's /etc/localtime is no link to a time zone")
    return target.split("usr/share/zoneinfo/", 1)[1]


def give_zone(tree, zone):
    path = tree / "usr/share/zoneinfo" / zone
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"TZif2 of the tree")


LOOK = ("readlink /etc/localtime; cmp -s /etc/localtime /srv/zone && echo same; "
        "cut -d' ' -f5,6 /proc/self/mountinfo | grep '^/etc/localtime\\|^/usr/share/zone'"
        " | cut -d' ' -f2")


@harness.covers("effect", "--timezone")
@pytest.mark.parametrize("mode, zone_in_tree, expected", [
    ("symlink", True, ["link"]), ("auto", True, ["link"]), ("yes", True, ["link"]),
    ("symlink", False, ["same", "ro"]), ("auto", False, ["same", "ro"]),
    ("bind", True, ["same", "ro"]), ("copy", True, ["same"]), ("copy", False, ["same"]),
    ("off", True, ["mine"]), ("no", False, ["mine"]), ("delete", True, []),
])
def test_timezone(busybox, mode, zone_in_tree, expected):
    zone = host_zone()
    inside = busybox / "etc/localtime"
    inside.unlink(missing_ok=True)
    inside.write_text("mine")
    if zone_in_tree:
        give_zone(busybox, zone)
    out = lines_of(output_of(run(f"--timezone={mode}", "--bind-ro=/etc/localtime:/srv/zone", "-D",
                                 busybox, "sh", "-c", f"({LOOK}) 2>/dev/null; true")))
    found = [line.split(",")[0] for line in out]
    if expected == ["link"]:
        assert out == [f"../usr/share/zoneinfo/{zone}"]
        assert os.readlink(inside) == f"../usr/share/zoneinfo/{zone}"
    elif expected == ["mine"]:
        assert found == [] and inside.read_text() == "mine"
    else:
        assert found == expected
        if mode == "delete":
            assert not os.path.lexists(inside)
        elif mode == "copy":
            assert inside.read_bytes() == pathlib.Path("/etc/localtime").read_bytes()
        else:
            assert inside.read_text() == "mine"


def test_timezone_copy_replaces_a_link(busybox):
    inside = busybox / "etc/localtime"
    inside.unlink(missing_ok=True)
    inside.symlink_to("../usr/share/zoneinfo/Some/Where")
    output_of(run("--timezone=copy", "-D", busybox, "true"))
    assert not inside.is_symlink()


@pytest.mark.ours
def test_timezone_link_of_a_host_without_one(busybox):
    """Seen by nobody else, the host's file is no link."""
    folder = busybox.parent / "etc"
    folder.mkdir()
    (folder / "localtime").write_text("zone")
    script = (f"cp /etc/passwd /etc/group /etc/os-release {folder} && mount --bind {folder} /etc && "
              'exec "$@"')
    try:
        line = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                *harness.command("-q", "--timezone=symlink", "-D", busybox, "true")]
        result = subprocess.run(line, env=harness.environment(), text=True, check=False,
                                        stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        assert result.returncode == 0 and "--timezone=copy" in result.stderr
    finally:
        harness.remove_tree(folder)


# The journal -----------------------------------------------------------------------------------

ID = "0123456789abcdef0123456789abcdef"
JOURNAL = f"/var/log/journal/{ID}"


class Log:
    """A /var/log for the launcher alone, so that nothing is left in the host's."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "journal").mkdir(parents=True)
        self.entry = folder / "journal" / ID

    def run(self, *args, id=ID):
        line = ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                f'mount --bind {self.folder} /var/log && exec "$@"', "sh",
                *harness.command("-q", f"--uuid={id}", *args)]
        return subprocess.run(line, env=harness.environment(), text=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)


@pytest.fixture
def log(busybox):
    machine_id = busybox / "etc/machine-id"
    machine_id.unlink(missing_ok=True)
    log = Log(busybox.parent / "log")
    yield log
    harness.remove_tree(log.folder)


@harness.covers("effect", "-j")
@pytest.mark.parametrize("option", ["--link-journal=guest", "--link-journal=try-guest", "-j"])
def test_journal_of_the_guest(busybox, log, option):
    for _ in range(2):
        output_of(log.run(option, "-D", busybox, "true"))
        assert os.readlink(log.entry) == f"{busybox}{JOURNAL}"
        assert (busybox / JOURNAL[1:]).is_dir()
    # What is in the way and has nothing in it gives way.
    log.entry.unlink()
    log.entry.mkdir()
    output_of(log.run(option, "-D", busybox, "true"))
    assert log.entry.is_symlink()
    log.entry.unlink()
    log.entry.symlink_to("/somewhere/else")
    output_of(log.run(option, "-D", busybox, "true"))
    assert os.readlink(log.entry) == f"{busybox}{JOURNAL}"


@harness.covers("effect", "--link-journal", "[Exec] LinkJournal")
@pytest.mark.parametrize("users", [[], ["-U"], ["--private-users=1572864",
                                                "--private-users-ownership=chown"]],
                         ids=["root", "map", "chown"])
def test_journal_of_the_host(busybox, log, users):
    """The files belong to root on both sides."""
    out = output_of(log.run("--link-journal=host", *users, "-D", busybox, "sh", "-c",
                            f"echo x >{JOURNAL}/file; stat -c %u:%g {JOURNAL} {JOURNAL}/file;"
                            f"stat -c %u /var/log/journal"))
    assert out == "0:0\n0:0\n0\n"
    status = (log.entry / "file").stat()
    assert (status.st_uid, status.st_gid) == (0, 0)
    # From now on it is found.
    out = output_of(log.run("--link-journal=auto", *users, "-D", busybox, "ls", JOURNAL))
    assert out == "file\n"
    output_of(log.run("--link-journal=no", "-D", busybox, "sh", "-c", f"echo y >{JOURNAL}/hidden"))
    result = log.run("--link-journal=host", *users, "-D", busybox, "ls", JOURNAL)
    assert output_of(result) == "file\n"
    if not harness.IS_STOCK:
        assert "is not empty" in result.stderr
    with harness.settings_file(f"/run/systemd/nspawn/{busybox.name}.nspawn", "[Exec]\nLinkJournal=host\n"):
        assert output_of(log.run(*users, "-D", busybox, "ls", JOURNAL)) == "file\n"


@pytest.mark.parametrize("mode", ["yes", "state", "overlay"])
def test_journal_of_a_volatile_machine(busybox, log, mode):
    out = output_of(log.run("--link-journal=host", f"--volatile={mode}", "-D", busybox, "sh", "-c",
                            f"echo x >{JOURNAL}/file; ls {JOURNAL}"))
    assert out == "file\n"
    assert (log.entry / "file").exists()
    assert not (busybox / JOURNAL[1:]).exists()


@pytest.mark.ours
def test_journal_that_is_forgotten_is_not_linked(busybox, log):
    result = log.run("--link-journal=guest", "--volatile=state", "-D", busybox, "true")
    assert result.returncode == 1 and "--volatile" in result.stderr
    output_of(log.run("-j", "--volatile=state", "-D", busybox, "true"))
    assert os.listdir(log.folder / "journal") == []


def test_journal_is_linked_by_itself(busybox, log):
    """Where an earlier start made a folder, and only there."""
    init = busybox / "usr/sbin/init"
    init.unlink()
    init.write_text(f"#!/bin/sh\nls {JOURNAL}/host-file >/dev/null 2>&1 && exit 3\nexit 4\n")
    init.chmod(0o755)
    (busybox / "etc/machine-id").write_text(f"{ID}\n")
    assert log.run("-b", "-D", busybox).returncode == 4
    assert not log.entry.exists()
    log.entry.mkdir()
    (log.entry / "host-file").touch()
    assert log.run("-b", "-D", busybox).returncode == 3
    assert log.run("-b", "--link-journal=no", "-D", busybox).returncode == 4


@pytest.mark.parametrize("mode", ["guest", "host"])
def test_journal_of_the_same_machine(busybox, log, mode):
    if not os.path.exists("/etc/machine-id"):
        pytest.skip("this host has no machine id")
    own = harness.read("/etc/machine-id").strip()
    result = log.run(f"--link-journal={mode}", "-D", busybox, "true", id=own)
    assert result.returncode == 1
    result = log.run(f"--link-journal=try-{mode}", "-D", busybox, "echo", "ran", id=own)
    assert output_of(result) == "ran\n"
    assert own in result.stderr
    assert os.listdir(log.folder / "journal") == []


@pytest.mark.ours
@pytest.mark.parametrize("mode", ["guest", "host"])
@pytest.mark.parametrize("problem", ["no folder", "file", "not empty", "read-only"])
def test_journal_that_cannot_be_linked(busybox, log, mode, problem):
    args = ["-D", busybox, "echo", "ran"]
    if problem == "no folder":
        (log.folder / "journal").rmdir()
    elif problem == "file":
        log.entry.write_text("x")
    elif problem == "not empty":
        (log.entry / "x").mkdir(parents=True)
        if mode == "host":
            pytest.skip("that is where it is to be found")
    elif problem == "read-only":
        args = ["--read-only", *args]
    before = sorted(str(path) for path in log.folder.rglob("*"))
    result = log.run(f"--link-journal={mode}", *args)
    assert result.returncode == 1 and len(lines_of(result.stderr)) == 1
    assert "--link-journal=" in result.stderr and JOURNAL[:16] in result.stderr
    result = log.run(f"--link-journal=try-{mode}", *args)
    assert output_of(result) == "ran\n"
    assert bool(result.stderr) == (problem != "no folder")
    after = sorted(str(path) for path in log.folder.rglob("*"))
    assert after == before or (mode, problem) == ("host", "read-only")


@pytest.mark.ours
@pytest.mark.parametrize("place", ["var", "var/log", "var/log/journal", JOURNAL[1:]])
@pytest.mark.parametrize("target", ["/etc", "../../../../../../../../etc", "/proc/self/fd/3", "/no/such"])
def test_journal_link_never_leads_through_a_link_of_the_guest(busybox, log, place, target):
    path = busybox / place
    if path.is_dir():
        harness.remove_tree(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)
    before = sorted(os.listdir("/etc"))
    result = log.run("--link-journal=guest", "-D", busybox, "true")
    assert result.returncode == 1 and "--link-journal=" in result.stderr
    assert os.listdir(log.folder / "journal") == []
    log.run("--link-journal=host", "-D", busybox, "true")
    assert sorted(os.listdir("/etc")) == before


@pytest.mark.ours
def test_journal_in_the_plan(busybox, log):
    out = output_of(log.run("--dry-run", "--link-journal=host", "-D", busybox, "true"))
    assert "journal: host\n" in out and f"{JOURNAL} from {JOURNAL} rw,nosuid,nodev,noexec" in out
    out = output_of(log.run("--dry-run", "--link-journal=guest", "-D", busybox, "true"))
    assert "journal: guest\n" in out and "(--link-journal=" not in out
    out = output_of(log.run("--dry-run", "--link-journal=auto", "-D", busybox, "true"))
    assert "journal: off\n" in out
    assert os.listdir(log.folder / "journal") == []
    assert not (busybox / JOURNAL[1:]).exists()


# Users of the host -----------------------------------------------------------------------------

class Host:
    """Databases of users for the launcher alone, with one user, whose home is in a folder here."""

    UID, GID = 4711, 4712

    def __init__(self, folder):
        self.folder = folder
        self.etc, self.home = folder / "etc", folder / "home"
        for path in (self.etc, self.home):
            path.mkdir(parents=True)
        for name in ("passwd", "group", "os-release"):
            (self.etc / name).write_text(harness.read(f"/etc/{name}"))
        (self.etc / "shadow").write_text("")
        (self.home / "file").write_text("of dora\n")
        for path in (self.home, self.home / "file"):
            os.chown(path, self.UID, self.GID)
        self.getent = None

    def add(self, name="dora", uid=UID, gid=GID, gecos="", home=None, shell="/bin/ash", password="!"):
        with open(self.etc / "passwd", "a", encoding="utf-8") as file:
            file.write(f"{name}:x:{uid}:{gid}:{gecos}:{home or self.home}:{shell}\n")
        with open(self.etc / "shadow", "a", encoding="utf-8") as file:
            file.write(f"{name}:{password}:19000:0:99999:7:::\n")
        os.chmod(self.etc / "shadow", 0o600)

    def run(self, *args):
        script = f"mount --bind {self.etc} /etc"
        if self.getent:
            script += f" && mount --bind {self.getent} /usr/bin/getent"
        line = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script + ' && exec "$@"',
                "sh", *harness.command("-q", *args)]
        return subprocess.run(line, env=harness.environment(), text=True, check=False, timeout=60,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)


@pytest.fixture
def host(busybox):
    host = Host(busybox.parent / "host")
    yield host
    harness.remove_tree(host.folder)


USERS = [[], ["-U"], ["--private-users=1572864", "--private-users-ownership=chown"],
         ["--private-users=identity"]]
USERDB = "/run/host/userdb"
SHOW = f"""cd {USERDB}; for f in $(ls); do [ -L $f ] && echo "$f -> $(readlink $f)" ||
echo "$f $(stat -c '%a %u:%g' $f) $(cat $f)"; done"""


def records(text):
    return dict(line.split(" ", 1) for line in lines_of(text))


@pytest.mark.ours
@pytest.mark.parametrize("users", USERS, ids=["root", "map", "chown", "identity"])
def test_records_of_a_user(busybox, host, users):
    host.add(gecos='Dora "D" \\\\ Übung,Room 5', password="$6$salt$hash/.")
    out = records(output_of(host.run("--bind-user=dora", *users, "-D", busybox, "sh", "-c", SHOW)))
    assert out == {
        "60514.group": "-> dora.group", "60514.user": "-> dora.user",
        "60514.user-privileged": "-> dora.user-privileged",
        "dora.group": '644 0:0 {"groupName":"dora","gid":60514,"service":"io.systemd.NSpawn"}',
        "dora.user": '644 0:0 {"userName":"dora","realName":"Dora \\"D\\" \\\\\\\\ Übung",'
                     '"uid":60514,"gid":60514,"homeDirectory":"/run/host/home/dora",'
                     '"service":"io.systemd.NSpawn"}',
        "dora.user-privileged": '600 0:0 {"privileged":{"hashedPassword":["$6$salt$hash/."]}}'}


@pytest.mark.ours
@pytest.mark.parametrize("password", ["!", "*", "", "!$6$a$b", "x"])
def test_no_password_that_fits_is_no_password(busybox, host, password):
    host.add(password=password)
    out = output_of(host.run("--bind-user=dora", "-D", busybox, "ls", USERDB))
    assert "privileged" not in out


MEMORY = """while read range mode rest; do case $mode in rw*)
from=$((0x${range%-*} / 4096)) to=$((0x${range#*-} / 4096))
dd if=/proc/1/mem bs=4096 skip=$from count=$((to - from)) 2>/dev/null ;; esac; done </proc/1/maps |
grep -a -o 'HASH-of-[a-z][a-z]*' | sort -u"""


@pytest.mark.ours
def test_passwords_of_others_are_not_in_the_small_init(busybox, host):
    """Without a user namespace the container's root may read the memory of its process 1."""
    if harness.WITH_SANITIZERS:
        pytest.skip("a sanitizer keeps what was freed, in terabytes of memory")
    for name in ("before", "dora", "after"):
        host.add(name=name, password=f"$6$salt$HASH-of-{name}")
    out = output_of(host.run("--as-pid2", "--bind-user=dora", "-D", busybox, "sh", "-c", MEMORY))
    assert lines_of(out) == ["HASH-of-dora"], out


@harness.covers("effect", "--bind-user", "--bind-user-shell", "--bind-user-group")
@pytest.mark.ours
@pytest.mark.parametrize("shell, expected", [("no", None), ("yes", "/bin/ash"), ("1", "/bin/ash"),
                                             ("/bin/sh", "/bin/sh")])
def test_shell_and_groups_of_a_user(busybox, host, shell, expected):
    host.add()
    out = records(output_of(host.run(
        "--bind-user=dora", f"--bind-user-shell={shell}", "--bind-user-group=wheel",
        "--bind-user-group=video", "--bind-user-group=wheel", "-D", busybox, "sh", "-c", SHOW)))
    assert '"memberOf":["wheel","video"]' in out["dora.user"]
    assert out["dora:wheel.membership"] == out["dora:video.membership"] == "644 0:0 {}"
    found = re.search('"shell":"([^"]*)"', out["dora.user"])
    assert (found[1] if found else None) == expected


@pytest.mark.ours
@pytest.mark.parametrize("users", USERS, ids=["root", "map", "chown", "identity"])
def test_home_of_a_user(busybox, host, users):
    """Files have the right owner on both sides; nobody else can make any, not even root."""
    host.add()
    script = ("id -u; id -g; cd; pwd; cat file; echo made >made && stat -c '%u:%g %n' . file made;"
              "touch /root/x 2>/dev/null || echo no")
    out = lines_of(output_of(host.run("--bind-user=dora", *users, "--user=dora", "-D", busybox, "sh",
                                      "-c", script)))
    assert out == ["60514", "60514", "/run/host/home/dora", "of dora", "60514:60514 .",
                   "60514:60514 file", "60514:60514 made", "no"]
    status = (host.home / "made").stat()
    assert (status.st_uid, status.st_gid) == (host.UID, host.GID)
    script = "cd /run/host/home/dora; touch root 2>/dev/null || echo no; cp /bin/busybox . 2>/dev/null || echo no"
    out = output_of(host.run("--bind-user=dora", *users, "-D", busybox, "sh", "-c", script))
    assert out == "no\nno\n"
    assert sorted(os.listdir(host.home)) == ["file", "made"]


@pytest.mark.ours
def test_users_by_number_and_several(busybox, host):
    """Ids that the container has already, as those of users or groups, are not taken."""
    host.add()
    other = host.folder / "other"
    other.mkdir()
    os.chown(other, 4800, 4800)
    host.add("erna", 4800, 4800, home=other)
    with open(busybox / "etc/passwd", "a", encoding="ascii") as file:
        file.write("taken:x:60514:1::/:/bin/sh\n+nis::60515:0:::\n")
    with open(busybox / "etc/group", "a", encoding="ascii") as file:
        file.write("taken:x:60516:\n")
    out = output_of(host.run("--bind-user=dora", "--bind-user=erna", "--bind-user=dora",
                             "--user=60517", "-D", busybox, "sh", "-c",
                             "id -u; stat -c '%u %n' /run/host/home/*"))
    assert lines_of(out) == ["60517", "60515 /run/host/home/dora", "60517 /run/host/home/erna"]


@pytest.mark.ours
def test_user_of_another_database(busybox, host):
    """getent(1) is asked, and only if the files do not tell."""
    host.getent = host.folder / "getent"
    host.getent.write_text(f"""#!/bin/sh
case "$1 $2" in
"passwd dora") echo "dora:*:{host.UID}:{host.GID}:From elsewhere:{host.home}:/bin/zsh" ;;
"shadow dora") echo 'dora:$y$elsewhere:::::::' ;;
*) exit 2 ;;
esac
""")
    host.getent.chmod(0o755)
    args = ["--bind-user-shell=yes", "-D", busybox, "sh", "-c", SHOW]
    out = records(output_of(host.run("--bind-user=dora", *args)))
    assert '"realName":"From elsewhere"' in out["dora.user"] and "/bin/zsh" in out["dora.user"]
    assert '["$y$elsewhere"]' in out["dora.user-privileged"]
    assert host.run("--bind-user=nosuch", *args).returncode == 1
    host.add()
    out = records(output_of(host.run("--bind-user=dora", *args)))
    assert "/bin/ash" in out["dora.user"]


def append(path, text):
    with open(path, "a", encoding="utf-8") as file:
        file.write(text)


REFUSED = {
    "nosuch": ("--bind-user=nosuch", lambda tree, host: None, "no user 'nosuch'"),
    "root by another name": ("--bind-user=toor", lambda tree, host: host.add("toor", 0, 0), "root"),
    "root's group": ("--bind-user=dora", lambda tree, host: host.add(gid=0), "root"),
    "no home": ("--bind-user=dora", lambda tree, host: host.add(home="/no/such"), "/no/such"),
    "home is /": ("--bind-user=dora", lambda tree, host: host.add(home="/"), "another user"),
    "home of another": ("--bind-user=dora", lambda tree, host: host.add(uid=4999), "another user"),
    "home is a file": ("--bind-user=dora", lambda tree, host: host.add(home=host.home / "file"),
                       "home directory"),
    "name taken": ("--bind-user=dora", lambda tree, host: (host.add(), append(
        tree / "etc/passwd", "dora:x:1:1::/:/bin/sh\n")), "/etc/passwd"),
    "group taken": ("--bind-user=dora", lambda tree, host: (host.add(), append(
        tree / "etc/group", "dora:x:1:\n")), "/etc/group"),
    "all ids taken": ("--bind-user=dora", lambda tree, host: (host.add(), append(
        tree / "etc/passwd", "".join(f"t{n}:x:{n}:1::/:/bin/sh\n" for n in range(60514, 60578)))),
        "60577"),
    "small range": ("--bind-user=dora --private-users=1572864:1000", lambda tree, host: host.add(),
                    "65536"),
}


@pytest.mark.ours
@pytest.mark.parametrize("case", REFUSED)
def test_user_that_is_refused(busybox, host, case):
    options, prepare, words = REFUSED[case]
    prepare(busybox, host)
    before = sorted(os.listdir(busybox.parent))
    result = host.run(*options.split(), "-D", busybox, "echo", "ran")
    assert result.returncode == 1 and "ran" not in result.stdout
    assert len(lines_of(result.stderr)) == 1 and words in result.stderr
    assert "--bind-user=" in result.stderr and result.stderr.endswith(".\n")
    assert sorted(os.listdir(busybox.parent)) == before


@pytest.mark.ours
def test_user_in_the_plan(busybox, host):
    host.add(password="$6$secret$secret")
    out = output_of(host.run("--dry-run", "--bind-user=dora", "-U", "-D", busybox))
    assert "dora: 60514 inside, 4711 on the host; with a password" in out
    assert f"bind /run/host/home/dora from {host.home} rw,nosuid,nodev private owner 4711:4712 to" in out
    out += output_of(host.run("--dry-run", "--json", "--bind-user=dora", "-U", "-D", busybox))
    assert "secret" not in out


@harness.covers("effect", "[Files] BindUser", "[Files] BindUserShell")
@pytest.mark.ours
def test_user_of_a_settings_file(busybox, host):
    host.add()
    text = ("[Files]\nBindUser=nosuch\nBindUser=\nBindUser=dora dora\nBindUserShell=yes\n")
    with harness.settings_file(f"/run/systemd/nspawn/{busybox.name}.nspawn", text):
        out = records(output_of(host.run("-D", busybox, "sh", "-c", SHOW)))
    assert "/bin/ash" in out["dora.user"]


@pytest.mark.ours
def test_guest_knows_the_user(debian12, host):
    """With nss-systemd, which reads the records; Debian has it in a package of its own."""
    modules = list(pathlib.Path("/usr/lib").glob("*/libnss_systemd.so.2"))
    folders = list((debian12 / "usr/lib").glob("*-linux-gnu"))
    if not modules or not folders or "bookworm" not in harness.read("/etc/os-release"):
        pytest.skip("this host has no nss-systemd that fits the guest")
    shutil.copy(modules[0], folders[0])
    (debian12 / "etc/nsswitch.conf").write_text(
        "passwd: files systemd\ngroup: files [SUCCESS=merge] systemd\nshadow: files systemd\n")
    host.add(gecos="Dora", password="$6$salt$hash")
    script = ("getent passwd dora; getent group 60514; getent shadow dora | cut -d: -f1,2;"
              "id -nG dora; ls -l /run/host/home | tail -1; su dora -c 'id -un; cd; pwd' </dev/null")
    out = lines_of(output_of(host.run("-U", "--bind-user=dora", "--bind-user-shell=/bin/sh",
                                      "--bind-user-group=video", "-D", debian12, "sh", "-c", script)))
    assert out[0] == "dora:x:60514:60514:Dora:/run/host/home/dora:/bin/sh"
    assert out[1].startswith("dora:x:60514:")
    assert out[2] == "dora:$6$salt$hash"
    assert out[3] == "dora video"
    assert out[4].split()[2:4] == ["dora", "dora"]
    assert out[5:] == ["dora", "/run/host/home/dora"]


# A journal that is sent ------------------------------------------------------------------------

RECEIVER = "/usr/lib/systemd/systemd-journal-remote"
ENTRY = ("__REALTIME_TIMESTAMP=1700000000000000\n__MONOTONIC_TIMESTAMP=100000\n"
         f"_BOOT_ID={ID}\n_MACHINE_ID={ID}\n_HOSTNAME=guest\nMESSAGE=hello from inside\nPRIORITY=6\n\n")
SEND = ('use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new("/run/host/journal/socket") or die $!;'
        f'print $s "{ENTRY}";'.replace("\n", "\\n"))

# Stands for the program of systemd: takes the same, and tells what it was given.
FAKE_RECEIVER = """#!/usr/bin/python3 -B
import json, os, signal, socket, sys
if "--version" in sys.argv:
    print("systemd {version} (fake)")
    sys.exit()
path = next(word.split("=", 1)[1] for word in sys.argv if word.startswith("--output="))
if os.path.isdir(path):
    path += "/remote.journal"
folder = "/run/systemd/journal-remote.conf.d"
look = dict(
    words=sys.argv[1:], environment=dict(os.environ), ids=[os.getresuid(), os.getresgid(), os.getgroups()],
    status=[line for line in open("/proc/self/status").read().splitlines()
            if line.startswith(("Cap", "NoNew", "SigBlk"))],
    files=[os.readlink(f"/proc/self/fd/{{n}}").split(":")[0] for n in os.listdir("/proc/self/fd")
           if os.path.exists(f"/proc/self/fd/{{n}}")],
    links=[line.split(":")[0].strip() for line in open("/proc/self/net/dev") if ":" in line], mine=int(os.environ["LISTEN_PID"]) == os.getpid(),
    settings={{name: open(f"{{folder}}/{{name}}").read() for name in os.listdir(folder)}}
        if os.path.isdir(folder) else {{}})
output = open(path, "a")
output.write(json.dumps(look) + "\\n")
output.flush()
def end(*_):
    output.write("ended\\n")
    output.flush()
    {at_end}
signal.signal(signal.SIGTERM, end)
listener = socket.socket(fileno=3)
while True:
    peer, _ = listener.accept()
    while data := peer.recv(4096):
        output.write(data.decode())
        output.flush()
"""


class Receiver:
    """A host for the launcher alone, on which the receiver is installed."""

    def __init__(self, folder, version=260, at_end="os._exit(0)"):
        self.folder = folder
        (folder / "lib").mkdir(parents=True)
        self.output = folder / "received"
        self.output.mkdir()
        program = folder / "lib" / os.path.basename(RECEIVER)
        program.write_text(FAKE_RECEIVER.format(version=version, at_end=at_end))
        program.chmod(0o755)

    def command(self, *args):
        script = (f"mount -t overlay overlay -o lowerdir={self.folder}/lib:/usr/lib/systemd "
                  '/usr/lib/systemd && exec "$@"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                *harness.command("-q", *args)]

    def run(self, *args):
        return subprocess.run(self.command(*args), env=harness.environment(SECRET="x"), text=True,
                              check=False, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def receiver(work):
    if not os.path.isdir("/usr/lib/systemd"):
        pytest.skip("this host has no /usr/lib/systemd to put a receiver in")
    made = Receiver(work / "receiver")
    yield made
    harness.remove_tree(made.folder)


def received(path):
    lines = path.read_text().splitlines()
    return json.loads(lines[0]), lines[1:]


@harness.covers("effect", "--forward-journal")
@pytest.mark.ours
@pytest.mark.parametrize("users", [[], ["-U"]], ids=["root", "users"])
def test_journal_is_received(shared_debian12, receiver, users):
    path = receiver.output / "guest.journal"
    result = receiver.run(f"--forward-journal={path}", "--read-only", *users, "-D", shared_debian12,
                          "sh", "-c", "stat -c '%a %u %F' /run/host/journal/socket;"
                          f"cat $CREDENTIALS_DIRECTORY/journal.forward_to_socket; perl -e '{SEND}'")
    assert output_of(result) == "600 0 socket\n/run/host/journal/socket"
    look, lines = received(path)
    assert "MESSAGE=hello from inside" in lines and lines[-1] == "ended"
    assert look["words"] == [f"--output={path}", "--split-mode=none"]
    assert look["mine"] and look["links"] == ["lo"] and look["settings"] == {}
    assert {name for name in look["environment"] if name != "LC_CTYPE"} == {
        "LISTEN_FDS", "LISTEN_PID", "SYSTEMD_LOG_LEVEL"}
    assert look["ids"] == [[0, 0, 0], [0, 0, 0], []]
    status = {line.split(":")[0]: int(line.split()[1], 16) for line in look["status"]}
    assert status.pop("NoNewPrivs") == 1
    assert set(status) >= {"CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb", "SigBlk"}
    assert not any(status.values())
    assert sorted(look["files"])[-1].startswith("socket") and look["files"].count("socket") == 1


@harness.covers("effect", "--forward-journal-max-use", "--forward-journal-keep-free", "--forward-journal-max-file-size", "--forward-journal-max-files")
@pytest.mark.ours
def test_journal_in_a_folder_of_another_user(shared_debian12, receiver):
    os.chown(receiver.output, 4711, 4712)
    if subprocess.run(["test", "-w", receiver.output], user=4711, group=4712, extra_groups=[],
                      check=False).returncode != 0:
        pytest.skip("the folder lies where another user cannot reach it")
    result = receiver.run(f"--forward-journal={receiver.output}", "--forward-journal-max-use=5M",
                          "--forward-journal-keep-free=1G", "--forward-journal-max-file-size=1024",
                          "--forward-journal-max-files=7", "--read-only", "-D", shared_debian12,
                          "perl", "-e", SEND)
    output_of(result)
    path = receiver.output / "remote.journal"
    look, lines = received(path)
    assert "MESSAGE=hello from inside" in lines
    assert look["words"] == [f"--output={receiver.output}", "--split-mode=host"]
    assert look["ids"] == [[4711] * 3, [4712] * 3, []]
    assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (4711, 0o640)
    assert look["settings"] == {"50-nspawn.conf": "[Remote]\nMaxUse=5242880\nKeepFree=1073741824\n"
                                                  "MaxFileSize=1024\nMaxFiles=7\n"}


@pytest.mark.ours
@pytest.mark.parametrize("at_end", [pytest.param("pass", marks=pytest.mark.slow), "os._exit(0)"])
def test_receiver_is_ended(shared_debian12, work, at_end):
    """Also one that does not want to; and when the launcher is killed, it goes along."""
    if not os.path.isdir("/usr/lib/systemd"):
        pytest.skip("this host has no /usr/lib/systemd to put a receiver in")
    receiver = Receiver(work / "ending", at_end=at_end)
    try:
        args = [f"--forward-journal={receiver.output}", "--read-only", "-D", shared_debian12]
        result = receiver.run(*args, "true")
        assert result.returncode == 0 and ("is killed" in result.stderr) == (at_end == "pass")
        process = subprocess.Popen(receiver.command(*args, "sleep", "99"), text=True,
                                   env=harness.environment(), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.leader_of(process.pid)
        left = harness.descendants_of(process.pid)
        process.kill()
        process.wait(20)
        harness.wait_until(lambda: not [pid for pid in left if os.path.exists(f"/proc/{pid}")], 20,
                           "the end of all that the launcher had started")
        assert receiver.run(*args, "true").returncode == 0  # takes away what was left
    finally:
        harness.remove_tree(receiver.folder)


@pytest.mark.ours
@pytest.mark.parametrize("args, words", [
    (["--forward-journal=/no/such/x.journal"], "does not exist"),
    (["--forward-journal={output}/x"], "'.journal'"),
    (["--forward-journal={output}", "--set-credential=journal.forward_to_socket:x"],
     "journal.forward_to_socket"),
])
def test_journal_that_cannot_be_received(busybox, receiver, args, words):
    result = receiver.run(*(arg.format(output=receiver.output) for arg in args), "-D", busybox, "true")
    assert result.returncode == 1 and words in result.stderr
    assert len(lines_of(result.stderr)) == 1 and os.listdir(receiver.output) == []


@pytest.mark.ours
def test_receiver_that_is_too_old_for_limits(busybox, work):
    if not os.path.isdir("/usr/lib/systemd"):
        pytest.skip("this host has no /usr/lib/systemd to put a receiver in")
    receiver = Receiver(work / "oldreceiver", 252)
    try:
        args = [f"--forward-journal={receiver.output}", "-D", busybox, "true"]
        assert receiver.run(*args).returncode == 0
        result = receiver.run("--forward-journal-max-files=3", *args)
        assert result.returncode == 1 and "252" in result.stderr
    finally:
        harness.remove_tree(receiver.folder)


@pytest.mark.ours
def test_no_receiver(busybox):
    if os.path.exists(RECEIVER):
        pytest.skip("systemd-journal-remote is installed on this host")
    result = run(f"--forward-journal={busybox.parent}", "-D", busybox, "true")
    assert result.returncode == 1 and "systemd-journal-remote is not installed" in result.stderr


@pytest.mark.ours
def test_journal_is_received_by_the_real_program(shared_debian12, work):
    if not os.path.exists(RECEIVER) or not shutil.which("journalctl"):
        pytest.skip("systemd-journal-remote is not installed on this host")
    folder = work / "real"
    folder.mkdir()
    output_of(run(f"--forward-journal={folder}/x.journal", "--read-only", "-D", shared_debian12, "perl",
                  "-e", SEND))
    text = subprocess.run(["journalctl", "--no-pager", f"--file={folder}/x.journal"], text=True,
                          stdout=subprocess.PIPE, check=False).stdout
    assert "hello from inside" in text
    harness.remove_tree(folder)
