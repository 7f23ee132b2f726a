"""Settings files: where they are found, who wins, who is trusted, and what each key does."""

import os
import pathlib
import re
import socket

import pytest

import harness
from harness import lines_of, output_of, run, settings_file

ETC = pathlib.Path("/etc/systemd/nspawn")
RUN = pathlib.Path("/run/systemd/nspawn")


@pytest.fixture(autouse=True)
def etc_folder():
    """The folder of the administrator, which goes again if the tests made it."""
    made = [path for path in (ETC, ETC.parent) if not path.exists()]
    yield
    for path in made:
        if path.is_dir() and not os.listdir(path):
            path.rmdir()


def beside(tree):
    return tree.parent / f"{tree.name}.nspawn"


def inside(tree, text, *command, args=(), path=None):
    """The output of a command with a settings file, which is trusted if no path is given."""
    with settings_file(path or RUN / f"{tree.name}.nspawn", text):
        return output_of(run("-D", tree, *args, *command))


# Where files are found -------------------------------------------------------------------------

WHO = ["sh", "-c", "echo $WHO"]


def says(who):
    return f"[Exec]\nEnvironment=WHO={who}\n"


def test_first_file_wins(busybox):
    name = f"{busybox.name}.nspawn"
    with settings_file(beside(busybox), says("beside")):
        assert output_of(run("-D", busybox, *WHO)) == "beside\n"
        with settings_file(RUN / name, says("run")):
            assert output_of(run("-D", busybox, *WHO)) == "run\n"
            with settings_file(ETC / name, says("etc")):
                assert output_of(run("-D", busybox, *WHO)) == "etc\n"
            with settings_file(ETC / name, ""):
                assert output_of(run("-D", busybox, *WHO)) == "\n"


def test_machine_name_decides(busybox):
    name = f"{harness.TAG}-other"
    with settings_file(beside(busybox), says("tree")), \
            settings_file(busybox.parent / f"{name}.nspawn", says("name")):
        assert output_of(run("-M", name, "-D", busybox, *WHO)) == "name\n"
        assert output_of(run("-D", busybox, *WHO)) == "tree\n"


def test_link_to_a_tree_has_its_own_name(busybox):
    link = busybox.parent / f"{harness.TAG}-link"
    link.symlink_to(busybox.name)
    try:
        with settings_file(beside(busybox), says("tree")), settings_file(beside(link), says("link")):
            text = output_of(run("-D", link, "sh", "-c", "echo $WHO; hostname"))
        assert text == f"link\n{link.name}\n"
    finally:
        link.unlink()


def test_null_hides_the_later_ones(busybox):
    link = RUN / f"{busybox.name}.nspawn"
    RUN.mkdir(parents=True, exist_ok=True)
    link.symlink_to("/dev/null")
    try:
        with settings_file(beside(busybox), says("beside")):
            assert output_of(run("-D", busybox, *WHO)) == "\n"
    finally:
        link.unlink()


# What is not a file ----------------------------------------------------------------------------

def put_fifo(path):
    os.mkfifo(path)


def put_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        folder = os.open(path.parent, os.O_PATH)
        try:
            server.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def put_link(path):
    path.symlink_to("/etc/shadow")


def put_loop(path):
    path.symlink_to(path.name)


def put_folder(path):
    path.mkdir()


@pytest.mark.ours
@pytest.mark.parametrize("put", [put_fifo, put_socket, put_link, put_loop, put_folder])
def test_only_files_are_read(busybox, put):
    path = beside(busybox)
    put(path)
    try:
        result = run("-D", busybox, "true", timeout=20)
        assert result.returncode == 1
        assert str(path) in result.stderr and "--settings=no" in result.stderr
        assert "root:" not in result.stderr
        assert run("-D", busybox, "--settings=no", "true").returncode == 0
    finally:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def test_too_large(busybox):
    with settings_file(beside(busybox), "#" * (1 << 20) + "\n[Exec]\n"):
        result = run("-D", busybox, "true")
    assert result.returncode == 1


def test_written_by_everybody(busybox):
    with settings_file(RUN / f"{busybox.name}.nspawn", says("x")) as path:
        path.chmod(0o666)
        result = run("-D", busybox, *WHO)
    assert output_of(result) == "x\n"
    assert str(path) in result.stderr


# Who wins --------------------------------------------------------------------------------------

@harness.covers("effect", "--settings")
@pytest.mark.parametrize("mode, expected", [
    (None, "cli"), ("yes", "cli"), ("on", "cli"), ("trusted", "cli"), ("no", "cli"), ("0", "cli"),
    ("override", "file")])
def test_modes(busybox, mode, expected):
    args = ["--hostname=cli"] + ([f"--settings={mode}"] if mode else [])
    assert inside(busybox, "[Exec]\nHostname=file\n", "hostname", args=args) == f"{expected}\n"


@pytest.mark.parametrize("mode, expected", [
    ("yes", "file"), ("trusted", "file"), ("override", "file"), ("no", None)])
def test_modes_without_an_option(busybox, mode, expected):
    text = inside(busybox, "[Exec]\nHostname=file\n", "hostname", args=[f"--settings={mode}"])
    assert text == f"{expected or busybox.name}\n"


def test_lists_are_replaced(busybox):
    text = inside(busybox, "[Files]\nTemporaryFileSystem=/mnt\n", "grep", "-oE", " /(mnt|srv) ",
                  "/proc/mounts", args=["--tmpfs=/srv", "--settings=override"])
    assert lines_of(text) == [" /mnt "]


# Trust -----------------------------------------------------------------------------------------

HOSTILE = """[Exec]
Capability=all
MachineID=0123456789abcdef0123456789abcdef
PrivateUsers=1572864
Nesting=yes
LimitNOFILE=77:77
SystemCallFilter=~sethostname
SystemCallFilter=@clock @module
Ephemeral=yes
EphemeralMethod=copy
EphemeralDirectory=/etc
AmbientCapability=CAP_SYS_ADMIN
OOMScoreAdjust=-900
CPUAffinity=0
RestrictAddressFamilies=AF_INET AF_UNIX AF_PACKET
LinkJournal=host
[Files]
Bind=/etc:/mnt
BindReadOnly=/root:/srv
TemporaryFileSystem=/opt
Inaccessible=/etc/passwd
Overlay=/etc:/root:/opt
OverlayReadOnly=/etc:/root:/opt
PrivateUsersOwnership=chown
PrivateUsersChown=yes
BindUser=root
[Network]
Private=yes
VirtualEthernet=yes
VirtualEthernetExtra=a:b
Interface=eth0
MACVLAN=eth0
IPVLAN=eth0
Bridge=br0
Zone=z
NamespacePath=/proc/1/ns/net
Port=80
[Resources]
TasksMax=2
DeviceAllow=/dev/mem rw
DevicePolicy=auto
[Lifecycle]
StopTimeout=1
"""

LOOK = """cat /proc/mounts | cut -d' ' -f1-3 | grep -v tmp/nspawn; grep -E '^(Cap|Seccomp)' /proc/self/status
cat /proc/self/uid_map /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; ls /sys/class/net
stat -c '%u %g' / /etc; date -s 2020-01-01 2>&1 | tail -1"""


@pytest.mark.ours
def test_a_file_beside_the_tree_has_no_power(busybox):
    """What a payload sees is the same with the hostile file and without one."""
    command = ["sh", "-c", LOOK]
    plain = run("-D", busybox, *command)
    owners = harness.owners(busybox)
    with settings_file(beside(busybox), HOSTILE):
        hostile = run("-D", busybox, *command)
        override = run("-D", busybox, "--settings=override", *command)
    assert hostile.stdout == override.stdout == plain.stdout
    assert hostile.returncode == override.returncode == plain.returncode
    # Nothing is left out without a word; the lines beyond the twentieth are counted.
    assert hostile.stderr.count("not trusted") == 20
    assert re.search(r"has \d+ further lines", hostile.stderr)
    assert harness.owners(busybox) == owners


def hostile_lines():
    section = None
    for line in HOSTILE.splitlines():
        if line.startswith("["):
            section = line
        elif "=~" not in line:
            yield f"{section}\n{line}\n"


@pytest.mark.ours
@pytest.mark.parametrize("text", hostile_lines(), ids=lambda text: text.split()[1])
def test_each_trusted_key_is_ignored(busybox, text):
    """Alone, so that none is hidden by another one."""
    with settings_file(beside(busybox), text):
        result = run("--dry-run", "-D", busybox, "true")
        without = run("--dry-run", "-D", busybox, "--settings=no", "true")
    assert result.stdout.replace(f"settings: {beside(busybox)}\n", "") == without.stdout
    assert "not trusted" in result.stderr


def test_denials_need_no_trust(busybox):
    text = "[Exec]\nDropCapability=CAP_SYS_CHROOT\nSystemCallFilter=~chown fchownat lchown\n"
    script = "chown 1 /tmp 2>/dev/null || echo refused; grep CapBnd /proc/self/status"
    out = lines_of(inside(busybox, text, "sh", "-c", script, path=beside(busybox)))
    assert out[0] == "refused"
    assert not int(out[1].split()[1], 16) & 1 << 18


def test_trusted_mode_trusts(busybox):
    text = "[Exec]\nLimitNOFILE=77:78\n[Network]\nPrivate=yes\n"
    out = inside(busybox, text, "sh", "-c", "ulimit -n; ls /sys/class/net",
                 args=["--settings=trusted"], path=beside(busybox))
    assert out == "77\nlo\n"


# What each key does ----------------------------------------------------------------------------

STATUS = "grep {} /proc/self/status"
EFFECTS = [
    ("Exec", "Environment=A=1 \"B=2 3\"", "echo $A/$B", "1/2 3"),
    ("Exec", "User=daemon", "id -un", "daemon"),
    ("Exec", "WorkingDirectory=/usr", "pwd", "/usr"),
    ("Exec", "Hostname=front", "hostname", "front"),
    ("Exec", "MachineID=0123456789abcdef0123456789abcdef", "echo $container_uuid",
     "01234567-89ab-cdef-0123-456789abcdef"),
    ("Exec", "PrivateUsers=1572864", "cat /proc/self/uid_map | xargs", "0 1572864 65536"),
    ("Exec", "PrivateUsers=0", "cat /proc/self/uid_map | xargs", "0 0 4294967295"),
    ("Exec", "Capability=CAP_NET_ADMIN", STATUS.format("CapBnd"), r"CapBnd:\s+\w{12}[13579bdf]\w{3}$"),
    ("Exec", "DropCapability=all", STATUS.format("CapBnd"), r"CapBnd:\s+0{16}$"),
    ("Exec", "NoNewPrivileges=yes", STATUS.format("NoNewPrivs"), r"NoNewPrivs:\s+1"),
    ("Exec", "Nesting=yes\nPrivateUsers=1572864", "ls /run/host/nesting | xargs", "proc sys"),
    ("Exec", "SystemCallFilter=~mkdir mkdirat", "mkdir /tmp/x 2>/dev/null || echo no", "no"),
    ("Exec", "LimitNOFILE=77:78", "echo $(ulimit -Sn) $(ulimit -Hn)", "77 78"),
    ("Exec", "LimitCORE=1M", "ulimit -c", "2048"),
    ("Exec", "CPUAffinity=0", "grep Cpus_allowed_list /proc/self/status | cut -f2", "0"),
    ("Exec", "OOMScoreAdjust=321", "cat /proc/self/oom_score_adj", "321"),
    ("Exec", "Personality=x86", "uname -m", "i686"),
    ("Exec", "AmbientCapability=CAP_CHOWN\nUser=daemon", STATUS.format("CapAmb"), r"CapAmb:\s+0{15}1$"),
    ("Exec", "ResolvConf=delete", "ls /etc/resolv.conf 2>&1; true", ".*No such file"),
    ("Exec", "Timezone=delete", "ls /etc/localtime 2>&1; true", ".*No such file"),
    ("Files", "ReadOnly=yes", "touch /x 2>/dev/null || echo no", "no"),
    ("Exec", "Ephemeral=yes", "grep -c ' / overlay ' /proc/mounts", "1"),
    ("Exec", "EphemeralMethod=copy\nEphemeral=yes", "grep ' / overlay ' /proc/mounts || echo no", "no"),
    ("Exec", "EphemeralDirectory=/var/tmp\nEphemeral=yes", "grep -c ' / overlay ' /proc/mounts", "1"),
    ("Files", "Volatile=state", "touch /x 2>/dev/null || echo no", "no"),
    ("Files", "Volatile=overlay", "grep -c ' / overlay ' /proc/mounts", "1"),
    ("Files", "Volatile=yes", "grep -c ' / tmpfs ' /proc/mounts", "1"),
    ("Files", "Bind=/proc/self:/mnt", "ls -d /mnt/status", "/mnt/status"),
    ("Files", "BindReadOnly=/usr/share:/mnt", "touch /mnt/x 2>/dev/null || echo no", "no"),
    ("Files", "Bind=+/etc:/mnt", "ls -d /mnt/passwd", "/mnt/passwd"),
    ("Files", "Overlay=+/etc::/mnt", "echo x >/mnt/passwd; cat /mnt/passwd; grep -c x: /etc/passwd", "x\n[1-9]"),
    ("Files", "OverlayReadOnly=+/etc:+/usr:/mnt", "ls -d /mnt/passwd /mnt/bin | xargs; touch /mnt/x 2>/dev/null || echo no",
     "/mnt/bin /mnt/passwd\nno"),
    ("Files", "Inaccessible=/etc/passwd", "stat -c %a /etc/passwd", "0"),
    ("Files", "TemporaryFileSystem=/mnt:size=1m", "grep -c ' /mnt tmpfs .*size=1024k' /proc/mounts", "1"),
    ("Files", "PrivateUsersOwnership=off\n[Exec]\nPrivateUsers=1572864", "stat -c %u /usr", "65534"),
    ("Files", "PrivateUsersChown=yes\n[Exec]\nPrivateUsers=1572864", "stat -c %u /usr", "0"),
    ("Network", "Private=yes", "ls /sys/class/net", "lo"),
]


@pytest.mark.parametrize("section, line, script, expected",
                         harness.covering("effect", EFFECTS, harness.key_of),
                         ids=lambda value: str(value)[:30])
def test_key(busybox, section, line, script, expected):
    out = inside(busybox, f"[{section}]\n{line}\n", "sh", "-c", script).strip()
    assert out == expected or re.match(expected, out)


# [Resources] ---------------------------------------------------------------------------------

def resources(tree, text, script, *args):
    """The output of a script in a machine with such a section."""
    return inside(tree, f"[Resources]\n{text}\n", "sh", "-c", script, args=args)


# Opened for writing it needs no capability.
OPEN_KMSG = "mknod /dev/kmsg c 1 11 2>/dev/null && (: >/dev/kmsg) 2>/dev/null && echo yes || echo no"
OPEN_NULL = "(: </dev/null) 2>/dev/null && echo yes || echo no"


@pytest.mark.ours
@pytest.mark.limits
@pytest.mark.parametrize("text, script, args, expected", [
    ("DeviceAllow=/dev/kmsg rwm", OPEN_KMSG, [], "yes"),
    ("DeviceAllow=/dev/kmsg rm", OPEN_KMSG, [], "no"),
    ("DeviceAllow=/dev/kmsg rwm\nDeviceAllow=", OPEN_KMSG, [], "no"),
    ("DeviceAllow=/dev/kmsg rwm", OPEN_KMSG, ["--property=DeviceAllow=/dev/null r"], "no"),
    ("DeviceAllow=/dev/kmsg rwm", OPEN_KMSG, ["--property=DevicePolicy=closed"], "yes"),
    ("DevicePolicy=strict", OPEN_NULL, [], "no"),
    ("DevicePolicy=strict", OPEN_NULL, ["--property=DevicePolicy=closed"], "yes"),
    ("DevicePolicy=strict", OPEN_NULL, ["--property=DevicePolicy=closed", "--settings=override"], "no"),
])
def test_devices_of_a_file(busybox, text, script, args, expected):
    if "kmsg" in script and not os.path.exists("/dev/kmsg"):
        pytest.skip("the host has no /dev/kmsg")
    assert lines_of(resources(busybox, text, script, *args))[-1] == expected


GROUP = ("MemoryMax=1G\nMemoryHigh=512M\nTasksMax=77\nCPUWeight=55\nCPUQuota=150%\nTasksMax=\nTasksMax=66",
         {"memory.max": str(1 << 30), "memory.high": str(512 << 20), "pids.max": "66", "cpu.weight": "55",
          "cpu.max": "150000 100000"})


@harness.covers("effect", "[Resources] *")
@pytest.mark.ours
@pytest.mark.limits
def test_limits_of_a_file(busybox):
    """What the file says is in the group's own files, also where systemd makes the group."""
    text, expected = GROUP
    name = f"{harness.TAG}res"
    offered = harness.read(harness.cgroup2_mount() / "cgroup.controllers").split()
    if not {"cpu", "memory", "pids"} <= set(offered):
        pytest.skip("the host's cgroup2 has not all of cpu, memory and pids")
    with settings_file(RUN / f"{name}.nspawn", f"[Resources]\n{text}\n"):
        process = harness.start("-M", name, "--property=MemoryHigh=256M", "-D", busybox, "sh", "-c", "echo up; read x",
                                stdin=harness.subprocess.PIPE)
        try:
            assert process.stdout.readline().strip() == "up"
            group = harness.cgroup2_mount() / "machine.slice" / f"machine-{name}.scope"
            found = {file: harness.read(group / file).strip() for file in expected}
        finally:
            harness.stop(process)
    assert found == {**expected, "memory.high": str(256 << 20)}


@pytest.mark.ours
def test_resources_without_a_group_of_their_own(busybox, cgroup):
    """Each limit that is lost is named, and what is wrong in the file is found all the same."""
    with settings_file(RUN / f"{busybox.name}.nspawn", "[Resources]\nMemoryMax=1G\nTasksMax=5\nIOWeight=0\n"):
        result = run("-D", busybox, "true", keep_unit=True, cgroup=cgroup)
    assert output_of(result) == ""
    assert "MemoryMax=1G, TasksMax=5" in result.stderr and "--keep-unit" in result.stderr
    assert f"{busybox.name}.nspawn:4: IOWeight=0" in result.stderr


@pytest.mark.ours
def test_resources_that_the_host_lacks(busybox):
    """A limit that cannot be kept ends the start, as on the command line."""
    offered = harness.read(harness.cgroup2_mount() / "cgroup.controllers").split()
    if "memory" in offered:
        pytest.skip("the host's cgroup2 has the controller 'memory'")
    with settings_file(RUN / f"{busybox.name}.nspawn", "[Resources]\nMemoryMax=1G\n"):
        result = run("-D", busybox, "true")
    assert result.returncode == 1 and "MemoryMax= needs the cgroup2 controller 'memory'" in result.stderr


BAD = [
    ("Exec", "Boot=maybe"), ("Exec", "ProcessTwo="), ("Exec", "Environment=1x=2"),
    ("Exec", "Parameters='a"), ("Exec", "User=a:b"), ("Exec", "WorkingDirectory=usr"),
    ("Exec", "KillSignal=nosuch"), ("Exec", "NotifyReady=x"), ("Exec", "Hostname=-x"),
    ("Exec", "MachineID=0"), ("Exec", "RestrictAddressFamilies=AF_FOO"), ("Exec", "SuppressSync=x"),
    ("Exec", "PrivateUsers=x"), ("Exec", "PrivateUsers=5:0"),
    ("Exec", "Capability=CAP_NOTHING"), ("Exec", "DropCapability=CAP_NOTHING"),
    ("Exec", "NoNewPrivileges=x"), ("Exec", "Nesting=x"),
    ("Exec", "LimitNOFILE=2:1"), ("Exec", "LimitNOSUCH=1"),
    ("Files", "BindUser=a:b"), ("Files", "BindUser=1000"), ("Files", "BindUserShell=sh"),
    ("Exec", "LinkJournal=try"), ("Exec", "LinkJournal="), ("Exec", "ResolvConf=copy"),
    ("Exec", "ResolvConf="), ("Exec", "Timezone=x"), ("Exec", "Timezone=help"),
    ("Files", "ReadOnly=x"), ("Files", "Volatile=x"), ("Files", "Bind="),
    ("Files", "Bind=/a:b"), ("Files", "BindReadOnly=/a:b"),
    ("Exec", "Ephemeral=x"), ("Exec", "EphemeralMethod=x"), ("Exec", "EphemeralDirectory=x"),
    ("Exec", "PivotRoot=x"),
    ("Files", "Overlay="), ("Files", "Overlay=/a"), ("Files", "OverlayReadOnly=/a:/b:c"), ("Files", "Inaccessible=a"),
    ("Files", "Inaccessible="), ("Files", "TemporaryFileSystem=x"), ("Files", "PrivateUsersOwnership=x"),
    ("Exec", "SystemCallFilter=" + 200 * "x"),
    ("Files", "PrivateUsersChown=x"), ("Network", "Private=x"), ("Exec", "ReadOnly=yes"),
    ("Unknown", "User=a"), ("Resources", "MemoryMax=lots"), ("Resources", "TasksMax=0"),
    ("Resources", "CPUQuota=1"), ("Resources", "DeviceAllow=/etc/passwd r"), ("Resources", "Description=x"),
    ("Resources", "NoSuchThing=1"), ("Lifecycle", "StopTimeout=never"),
    ("Lifecycle", "Time=never"),
]


@pytest.mark.ours
@pytest.mark.parametrize("section, line", harness.covering("bad", BAD, harness.key_of))
def test_bad_value(busybox, section, line):
    """The line is named, ignored, and the others count."""
    path = RUN / f"{busybox.name}.nspawn"
    with settings_file(path, f"[Exec]\nHostname=front\n[{section}]\n{line}\n"):
        result = run("-D", busybox, "hostname")
    assert output_of(result) == "front\n"
    assert re.search(rf"{path}:[34]\b", result.stderr)


PLANNED = [
           ("Exec", "SuppressSync=yes"),
           ("Network", "VirtualEthernet=yes"), ("Network", "Zone=z"), ("Network", "Port=80")]


@pytest.mark.ours
@pytest.mark.parametrize("section, line", PLANNED)
def test_later_keys_say_so(busybox, section, line):
    """A key is built, or refused with its place; in a file that is not trusted, ignored with a word."""
    text = f"[{section}]\n{line}\n"
    with settings_file(RUN / f"{busybox.name}.nspawn", text):
        result = run("-D", busybox, "true")
    if "not built yet" not in result.stderr:
        pytest.skip("this key is built now; it has tests of its own")
    assert result.returncode == 1 and f"{busybox.name}.nspawn:2" in result.stderr
    with settings_file(beside(busybox), text):
        result = run("-D", busybox, "true")
    assert result.returncode == 0
    assert re.search(r"not (built|trusted)", result.stderr)


# How to start ----------------------------------------------------------------------------------

@harness.covers("effect", "[Exec] Boot", "[Exec] ProcessTwo", "[Exec] Parameters")
@pytest.mark.parametrize("text, words, expected", [
    ("Parameters=sh -c 'exit 5'\nBoot=no", [], 5),
    ("Parameters=sh -c 'exit 5'\nProcessTwo=no", [], 5),
    ("Parameters=sh -c 'exit 5'\nBoot=no", ["true"], 0),
    ("Parameters=sh -c 'exit 5'", ["true"], 0),
    ("Parameters=sh -c 'exit 5'\nBoot=no", ["--settings=override", "true"], 5),
    ("Parameters=sh -c 'exit 5'", ["--settings=override", "true"], 0),
    ("Parameters=false\nParameters=\nParameters=sh -c 'exit $$'\nProcessTwo=yes", [], 2),
    ("ProcessTwo=yes\nBoot=yes\nParameters=sh -c 'exit $$'", [], 2),
])
def test_start_mode(busybox, text, words, expected):
    with settings_file(RUN / f"{busybox.name}.nspawn", f"[Exec]\n{text}\n"):
        result = run("-D", busybox, *words)
    assert result.returncode == expected


def test_boot(busybox):
    init = busybox / "usr/sbin/init"
    init.unlink()
    init.write_text("#!/bin/sh\nexit $#\n")
    init.chmod(0o755)
    with settings_file(beside(busybox), "[Exec]\nBoot=yes\nParameters=a b c\nKillSignal=SIGTERM\n"):
        assert run("-D", busybox).returncode == 3


@harness.covers("effect", "[Exec] KillSignal")
def test_kill_signal(busybox):
    text = "[Exec]\nKillSignal=SIGUSR1\n"
    with settings_file(beside(busybox), text):
        process = harness.start("-D", busybox, "sh", "-c",
                                "trap 'exit 7' USR1; echo ready; while :; do sleep 0.1; done")
        try:
            assert process.stdout.readline().strip() == "ready"
            process.terminate()
            assert process.wait(20) == 7
        finally:
            harness.stop(process)


@pytest.mark.ours
@harness.covers("effect", "[Lifecycle] StopTimeout")
def test_stop_timeout(busybox):
    with settings_file(RUN / f"{busybox.name}.nspawn", "[Lifecycle]\nStopTimeout=200ms\n"):
        process = harness.start("-D", busybox, "sh", "-c",
                                "trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done")
        try:
            assert process.stdout.readline().strip() == "ready"
            process.terminate()
            _, errors = process.communicate(timeout=20)
            assert process.returncode == 1 and "0.2 s" in errors
        finally:
            harness.stop(process)


@harness.covers("effect", "[Exec] NotifyReady")
def test_notify_ready(busybox, notify):
    with settings_file(beside(busybox), "[Exec]\nNotifyReady=yes\n"):
        run("-D", busybox, "true", env=harness.environment(NOTIFY_SOCKET=notify.path))
    assert "READY=1" not in notify.drain()


@pytest.mark.ours
def test_plan_shows_where_from(busybox):
    path = RUN / f"{busybox.name}.nspawn"
    with settings_file(path, "[Files]\nTemporaryFileSystem=/mnt\n"):
        text = output_of(run("--dry-run", "-D", busybox, "true"))
    assert f"settings: {path}\n" in text
    assert f"({path}:2: TemporaryFileSystem=/mnt)" in text
