"""One test or more for the effect of each option."""

import os
import re
import stat
import subprocess

import pytest

import harness
from harness import lines_of, output_of, run


def inside(tree, *command, args=(), **options):
    return output_of(run(*args, "-D", tree, *command, **options))


@pytest.fixture
def folder(work):
    """A folder of the host with a file in it, as a source of bind mounts."""
    path = work / "source"
    path.mkdir()
    (path / "file").write_text("from the host\n")
    yield path
    harness.remove_tree(path)


# Bind mounts -----------------------------------------------------------------------------------

@harness.covers("effect", "--bind")
def test_bind(busybox, folder):
    script = "cat /mnt/file; echo written >/mnt/new"
    text = inside(busybox, "sh", "-c", script, args=[f"--bind={folder}:/mnt"])
    assert text == "from the host\n"
    assert (folder / "new").read_text() == "written\n"


def test_bind_to_the_same_path(busybox, folder):
    text = inside(busybox, "cat", folder / "file", args=[f"--bind={folder}"])
    assert text == "from the host\n"


@harness.covers("effect", "--bind-ro")
def test_bind_read_only(busybox, folder):
    script = "cat /mnt/file; touch /mnt/new 2>/dev/null || echo refused"
    text = inside(busybox, "sh", "-c", script, args=[f"--bind-ro={folder}:/mnt"])
    assert lines_of(text) == ["from the host", "refused"]
    assert os.listdir(folder) == ["file"]


def test_bind_of_a_file_makes_its_target(busybox, folder):
    text = inside(busybox, "cat", "/new/deep/file", args=[f"--bind={folder}/file:/new/deep/file"])
    assert text == "from the host\n"


def test_bind_with_a_colon_in_its_name(busybox, folder):
    odd = folder / "a:b"
    odd.mkdir()
    (odd / "file").write_text("odd\n")
    source = str(odd).replace(":", "\\:")
    assert inside(busybox, "cat", "/mnt/x:y/file", args=[f"--bind={source}:/mnt/x\\:y"]) == "odd\n"


def test_bind_from_the_tree(busybox):
    (busybox / "srv").mkdir(exist_ok=True)
    (busybox / "srv/file").write_text("of the tree\n")
    assert inside(busybox, "cat", "/mnt/file", args=["--bind=+/srv:/mnt"]) == "of the tree\n"


def test_bind_of_a_fresh_folder(busybox):
    text = inside(busybox, "sh", "-c", "ls -A /mnt; echo x >/mnt/x; stat -c %a /mnt",
                  args=["--bind=:/mnt"])
    assert lines_of(text) == ["755"]


@pytest.mark.parametrize("option, seen", [("rbind", True), ("norbind", False)])
def test_bind_with_what_is_mounted_below(busybox, folder, option, seen):
    below = folder / "below"
    below.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(below)], check=True)
    try:
        (below / "file").write_text("below\n")
        text = inside(busybox, "ls", "/mnt/below", args=[f"--bind={folder}:/mnt:{option}"])
        assert ("file" in text) == seen
    finally:
        subprocess.run(["umount", str(below)], check=True)


@pytest.mark.parametrize("option, owner", [
    ("noidmap", "65534:65534"), ("idmap", "1000:1000"), ("rootidmap", "0:0")])
def test_bind_with_owners(busybox, folder, option, owner):
    os.chown(folder / "file", 1000, 1000)
    os.chown(folder, 1000, 1000)
    text = inside(busybox, "stat", "-c", "%u:%g", "/mnt/file",
                  args=["-U", f"--bind={folder}:/mnt:{option}"])
    assert text.strip() == owner


def test_bind_through_a_link_of_the_tree(busybox, folder):
    """A link in the tree points into the tree, never to the host."""
    outside = folder / "outside"
    outside.mkdir()
    (busybox / "link").symlink_to(outside)
    run("-D", busybox, f"--bind={folder}/file:/link/file", "true")
    assert os.listdir(outside) == []


def test_later_binds_stack(busybox, folder):
    other = folder / "other"
    other.mkdir()
    text = inside(busybox, "ls", "/mnt", args=[f"--bind={folder}:/mnt", f"--bind={other}:/mnt"])
    assert text == ""


# Temporary file systems ------------------------------------------------------------------------

@harness.covers("effect", "--tmpfs")
@pytest.mark.parametrize("value, mode, size", [
    ("/mnt", "755", None), ("/mnt:mode=0711,size=64k", "711", "64k"),
    ("/made/here:size=1m", "755", "1024k"),
])
def test_tmpfs(busybox, value, mode, size):
    point = value.split(":")[0]
    text = inside(busybox, "sh", "-c", f"stat -c %a {point}; grep ' {point} ' /proc/self/mounts",
                  args=[f"--tmpfs={value}"])
    found_mode, mount = lines_of(text)
    # Given options replace the default mode.
    assert found_mode in (mode, "1777" if "mode" not in value else mode)
    assert " tmpfs " in mount and "nodev" in mount
    assert size is None or f"size={size}" in mount


# Execution -------------------------------------------------------------------------------------

@harness.covers("effect", "--chdir")
def test_working_folder(busybox):
    assert inside(busybox, "pwd", args=["--chdir=/usr/bin"]).strip() == "/usr/bin"
    assert inside(busybox, "pwd").strip() == "/"


def test_shell_is_the_default(busybox):
    result = run("-P", "-D", busybox, input="echo $0; pwd; exit 5\n")
    assert lines_of(result.stdout) == ["-sh", "/root"]
    assert result.returncode == 5


@harness.covers("effect", "--uid")
def test_user(shared_debian12):
    text = inside(shared_debian12, "sh", "-c", "id -un; id -gn; id -Gn; pwd; touch /root/x || echo no",
                  args=["--read-only", "--user=guest", "--console=pipe"])
    user, group, groups, folder, refused = lines_of(text)[:5]
    assert (user, group, refused) == ("guest", "guest", "no")
    assert set(groups.split()) == {"guest", "audio"}
    assert folder in ("/", "/home/guest")


@harness.covers("effect", "--user")
@pytest.mark.parametrize("option", ["-u", "--user"])
def test_user_by_number(shared_debian12, option):
    text = inside(shared_debian12, "id", "-u", args=["--read-only", option, "1000"])
    assert text.strip() == "1000"


@harness.covers("effect", "--as-pid2")
def test_as_pid2(busybox):
    text = inside(busybox, "sh", "-c", "echo $$; cat /proc/1/comm; tty", args=["-a"])
    pid, name, terminal = lines_of(text)
    assert pid == "2" and name.startswith("(sd-stubinit")
    assert terminal in ("/dev/console", "/dev/pts/0")


def test_pid1_without_it(busybox):
    assert inside(busybox, "sh", "-c", "echo $$").strip() == "1"


def test_stub_reaps(busybox):
    script = "(sleep 0.1 &) ; sleep 0.5; ps -o stat,comm | grep -c ^Z"
    result = run("-a", "-D", busybox, "sh", "-c", script)
    assert result.stdout.strip() == "0"


def test_own_namespaces(busybox):
    text = inside(busybox, "sh", "-c", "for n in mnt pid uts ipc net cgroup user; "
                  "do readlink /proc/self/ns/$n; done")
    own = {name: os.readlink(f"/proc/self/ns/{name}")
           for name in ("mnt", "pid", "uts", "ipc", "net", "cgroup", "user")}
    for link in lines_of(text):
        name = link.split(":")[0]
        assert (link == own[name]) == (name in ("net", "user")), name


# Identity --------------------------------------------------------------------------------------

@harness.covers("effect", "--hostname")
def test_host_name(busybox):
    host = os.uname().nodename
    text = inside(busybox, "hostname", args=["-M", "web1", "--hostname=front.example.org"])
    assert text.strip() == "front.example.org"
    assert os.uname().nodename == host


@harness.covers("effect", "--uuid")
@pytest.mark.parametrize("given", ["0123456789abcdef0123456789abcdef",
                                   "01234567-89ab-cdef-0123-456789abcdef"])
def test_uuid(busybox, given):
    text = inside(busybox, "sh", "-c", "echo $container_uuid", args=[f"--uuid={given}"])
    assert text.strip() == "01234567-89ab-cdef-0123-456789abcdef"


# Limits, capabilities, filters -----------------------------------------------------------------

@harness.covers("effect", "--rlimit")
@pytest.mark.parametrize("value, expected", [
    ("NOFILE=100:200", r"Max open files\s+100\s+200"),
    ("RLIMIT_NOFILE=64", r"Max open files\s+64\s+64"),
    ("CORE=infinity", r"Max core file size\s+unlimited\s+unlimited"),
    ("NPROC=50:infinity", r"Max processes\s+50\s+"),
    ("STACK=1M:2M", r"Max stack size\s+1048576\s+2097152"),
])
def test_limit(busybox, value, expected):
    assert re.search(expected, inside(busybox, "cat", "/proc/self/limits", args=[f"--rlimit={value}"]))


def bounding_set(tree, *args):
    text = inside(tree, "cat", "/proc/self/status", args=args)
    return int(re.search(r"CapBnd:\s*(\w+)", text)[1], 16)


@harness.covers("effect", "--capability", "--drop-capability")
def test_capabilities_are_added_and_dropped(busybox):
    default = bounding_set(busybox)
    clock, chown, module = 1 << 25, 1 << 0, 1 << 16
    assert bounding_set(busybox, "--capability=CAP_SYS_TIME") == default | clock
    assert bounding_set(busybox, "--capability=CAP_SYS_TIME,CAP_SYS_MODULE") == default | clock | module
    assert bounding_set(busybox, "--drop-capability=CAP_CHOWN") == default & ~chown
    assert bounding_set(busybox, "--capability=CAP_SYS_TIME",
                        "--drop-capability=CAP_SYS_TIME") == default
    assert bounding_set(busybox, "--drop-capability=all") == 0
    own = int(re.search(r"CapBnd:\s*(\w+)", harness.read("/proc/self/status"))[1], 16)
    assert bounding_set(busybox, "--capability=all") == own


def test_dropped_capability_is_gone(busybox):
    text = inside(busybox, "sh", "-c", "chown 1 /tmp 2>/dev/null || echo refused",
                  args=["--drop-capability=CAP_CHOWN"])
    assert text.strip() == "refused"


@harness.covers("effect", "--no-new-privileges")
@pytest.mark.parametrize("value, expected", [("yes", "1"), ("true", "1"), ("1", "1"), ("no", "0")])
def test_no_new_privileges(busybox, value, expected):
    text = inside(busybox, "cat", "/proc/self/status", args=[f"--no-new-privileges={value}"])
    assert re.search(r"NoNewPrivs:\s*(\d)", text)[1] == expected


ADD_KEY = "syscall(248,0,0,0,0,0);print $!+0"  # add_key of x86-64: not allowed by default
CHROOT = "my $p='/nowhere';syscall(161,$p);print $!+0"  # chroot: allowed by default, so ENOENT


@harness.covers("effect", "--system-call-filter")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("values, program, expected", [
    ([], ADD_KEY, "1"), (["add_key"], ADD_KEY, "14"), (["@keyring"], ADD_KEY, "14"),
    ([], CHROOT, "2"), (["~chroot"], CHROOT, "1"), (["~@mount"], CHROOT, "1"),
    (["chroot", "~chroot"], CHROOT, "1"), (["~chroot", "chroot"], CHROOT, "1"),
    (["~chroot acct", "@keyring"], CHROOT, "1"), (["nosuchcall"], CHROOT, "2"),
])
def test_filter(shared_debian12, values, program, expected):
    args = [f"--system-call-filter={value}" for value in values]
    text = inside(shared_debian12, "perl", "-e", program, args=["--read-only", *args])
    # A null pointer given to a call that is allowed is EFAULT or EINVAL.
    assert text.strip() in ((expected,) if expected != "14" else ("14", "22"))


# Console ---------------------------------------------------------------------------------------

@harness.covers("effect", "--pipe")
def test_pipe(busybox):
    script = "ls /dev/console 2>&1; tty; echo to-stderr >&2; cat"
    result = run("-P", "-D", busybox, "sh", "-c", script, input="through\nthe pipe\n")
    assert lines_of(result.stdout)[1:] == ["not a tty", "through", "the pipe"]
    assert "to-stderr" in result.stderr
    assert "\r" not in result.stdout


def test_pipe_keeps_bytes(busybox):
    data = bytes(range(256)) * 64
    result = subprocess.run(harness.command("-q", "--console=pipe", "-D", busybox, "cat"), input=data,
                            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True,
                            env=harness.environment(), timeout=30)
    assert result.stdout == data


@harness.covers("effect", "--console")
def test_autopipe_without_a_terminal_is_a_pipe(busybox):
    result = run("--console=autopipe", "-D", busybox, "sh", "-c", "tty; cat", input="x\n")
    assert lines_of(result.stdout) == ["not a tty", "x"]


def test_read_only_console_ignores_input(busybox):
    result = run("--console=read-only", "-D", busybox, "sh", "-c",
                 "tty <&1; read -t 1 line; echo got=$line", input="secret\n")
    assert "secret" not in result.stdout and "got=" in result.stdout


@pytest.mark.ours  # the distribution's connects the output all the same
def test_passive_console_shows_nothing(busybox):
    result = run("--console=passive", "-D", busybox, "sh", "-c", "echo hidden; tty; exit 3")
    assert result.returncode == 3
    assert "hidden" not in result.stdout


def test_interactive_console_without_a_terminal(busybox):
    """Both directions work, and the end of the input ends the machine."""
    process = harness.start("--console=interactive", "-D", busybox, "sh", "-c",
                            "read line; echo got=$line; sleep 99", stdin=subprocess.PIPE)
    try:
        process.stdin.write("word\n")
        process.stdin.flush()
        seen = ""
        while "got=word" not in seen:
            seen += process.stdout.readline()
        process.stdin.close()
        process.stdin = None
        assert process.wait(20) == 1
    finally:
        harness.stop(process)


@harness.covers("effect", "--quiet")
def test_quiet(busybox):
    loud = run("-D", busybox, "true", quiet=False)
    assert str(busybox) in loud.stderr and "exited successfully" in loud.stderr
    if not harness.IS_STOCK:
        assert run("-D", busybox, "true").stderr == ""


@harness.covers("effect", "--no-pager", "--system")
def test_accepted_without_effect(busybox):
    """The first two are what happens anyway."""
    args = ["--no-pager"] if harness.IS_STOCK else ["--no-pager", "--system"]
    assert inside(busybox, "echo", "words", args=args) == "words\n"


# Signals and notifications ---------------------------------------------------------------------

@harness.covers("effect", "--kill-signal")
@pytest.mark.parametrize("name, number", [
    ("SIGUSR1", 10), ("USR1", 10), ("10", 10), ("SIGRTMIN+3", 37), ("RTMIN+4", 38)])
def test_kill_signal(busybox, name, number):
    process = harness.start(f"--kill-signal={name}", "-D", busybox, "sh", "-c",
                            f"trap 'exit 9' {number}; echo ready; while :; do sleep 0.05; done")
    try:
        assert "ready" in process.stdout.readline()
        process.terminate()
        process.communicate(timeout=20)
        assert process.returncode == 9
    finally:
        harness.stop(process)


def test_ready_at_once(busybox, notify):
    process = harness.start("-D", busybox, "sleep", "99",
                            env=harness.environment(NOTIFY_SOCKET=notify.path))
    try:
        text = ""
        while "READY=1" not in text:
            text += notify.receive() + "\n"
        leader = harness.leader_of(process.pid)
        assert f"X_NSPAWN_LEADER_PID={leader}\n" in text
    finally:
        harness.stop(process)


@harness.covers("effect", "--notify-ready")
def test_ready_only_when_the_payload_says_so(busybox, notify):
    process = harness.start("--notify-ready=yes", "-D", busybox, "sleep", "99",
                            env=harness.environment(NOTIFY_SOCKET=notify.path))
    try:
        harness.leader_of(process.pid)
        assert not any(line == "READY=1" for message in notify.drain()
                       for line in message.split("\n"))
    finally:
        harness.stop(process)


def test_real_init_becomes_ready(debian12, notify):
    process = harness.start("-b", "--notify-ready=yes", "-D", debian12,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                            env=harness.environment(NOTIFY_SOCKET=notify.path))
    try:
        harness.wait_until(lambda: "READY=1" in (notify.receive(1) or "").split("\n"), 60,
                           "readiness of the guest")
        process.terminate()
        assert process.wait(60) == 0
    finally:
        harness.stop(process)


# Control groups --------------------------------------------------------------------------------

def group_of_leader(process):
    leader = harness.leader_of(process.pid)
    return harness.cgroup2_path(leader), harness.cgroup2_path(process.pid)


@harness.covers("effect", "--slice")
@pytest.mark.ours
@pytest.mark.parametrize("args, slice_path", [
    ([], "/machine.slice"),
    (["--slice=stead-test.slice"], "/stead.slice/stead-test.slice"),
    (["-S", "stead-test"], "/stead.slice/stead-test.slice"),
])
def test_scope(busybox, args, slice_path):
    own = harness.cgroup2_path(os.getpid())
    process = harness.start(*args, "-M", f"{harness.TAG}-web", "-D", busybox, "sleep", "99")
    try:
        leader, supervisor = group_of_leader(process)
        name = f"{harness.TAG}-web".replace("-", "\\x2d")
        assert leader.startswith(slice_path + "/machine-")
        assert leader.endswith(f"{name}.scope/payload")
        assert supervisor == own
    finally:
        harness.stop(process)
        if args and harness.HOST_HAS_SYSTEMD:
            # PID 1 made the slices on the way, and keeps what it has made.
            subprocess.run(["systemctl", "stop", "stead.slice"], check=True)


@harness.covers("effect", "--keep-unit")
def test_kept_unit(busybox, cgroup):
    process = harness.start("-D", busybox, "sleep", "99", keep_unit=True, cgroup=cgroup)
    try:
        leader, supervisor = group_of_leader(process)
        if harness.IS_STOCK:
            pytest.skip("the distribution's uses another hierarchy on a host with version 1")
        own = "/" + cgroup.path.name
        # The unit's own group is left only where it has something to hand down.
        offered = set(harness.read(cgroup.path / "cgroup.controllers").split())
        moved = "/supervisor" if offered & {"cpuset", "cpu", "io", "memory", "pids"} else ""
        assert (leader, supervisor) == (f"{own}/payload", own + moved)
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_payload_group_is_handed_over(busybox):
    process = harness.start("-U", "-M", "deb12", "-D", busybox, "sleep", "99")
    try:
        path = harness.cgroup2_mount() / group_of_leader(process)[0].lstrip("/")
        for name in ("", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"):
            assert (path / name).stat().st_uid == 116719616, name
        assert (path / "cgroup.max.descendants").stat().st_uid == 0
    finally:
        harness.stop(process)


def controllers():
    return set(harness.read(harness.cgroup2_mount() / "cgroup.controllers").split())


PROPERTIES = [
    ("TasksMax=33", "pids", "pids.max", "33"),
    ("MemoryMax=64M", "memory", "memory.max", str(64 << 20)),
    ("MemoryHigh=32M", "memory", "memory.high", str(32 << 20)),
    ("MemoryMax=infinity", "memory", "memory.max", "max"),
    ("CPUQuota=50%", "cpu", "cpu.max", "50000 100000"),
    ("CPUWeight=20", "cpu", "cpu.weight", "20"),
    ("IOWeight=30", "io", "io.weight", "default 30"),
    ("AllowedCPUs=0", "cpuset", "cpuset.cpus", "0"),
]


@harness.covers("effect", "--property")
@pytest.mark.ours
@pytest.mark.parametrize("value, controller, file, expected", PROPERTIES)
def test_property(busybox, value, controller, file, expected):
    """Where the controller is missing, the sentence names it."""
    if controller not in controllers():
        result = run(f"--property={value}", "-D", busybox, "true")
        assert result.returncode == 1
        assert controller in result.stderr
        return
    process = harness.start(f"--property={value}", "-D", busybox, "sleep", "99")
    try:
        path = group_of_leader(process)[0]
        scope = harness.cgroup2_mount() / os.path.dirname(path).lstrip("/")
        assert harness.read(scope / file).strip() == expected
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_processes_of_the_machine_end_with_it(busybox):
    """Also those that left the payload's session."""
    process = harness.start("-a", "-D", busybox, "sh", "-c",
                            "setsid sleep 4242 & echo ready; sleep 0.3", stdin=subprocess.DEVNULL)
    try:
        process.communicate(timeout=20)
        listing = subprocess.run(["ps", "-eo", "args"], stdout=subprocess.PIPE, text=True, check=True)
        assert "sleep 4242" not in listing.stdout
    finally:
        harness.stop(process)


@pytest.mark.ours
@pytest.mark.skipif(not os.path.exists("/sys/block/loop0"), reason="no loop device to bind")
def test_bind_of_a_device_allows_it(busybox, folder):
    """The policy opens for a device that was bound, as far as the bind allows."""
    for name in ("read", "both"):
        os.mknod(folder / name, 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    script = ("[ -b /dev/disk ] || mknod /dev/disk b 7 0 || exit; "
              "(exec 3</dev/disk) && echo readable; (exec 3<>/dev/disk) && echo writable")
    seen = [run("-P", *args, "-D", busybox, "sh", "-c", script).stdout.split() for args in (
        ["--tmpfs=/mnt"], [f"--bind-ro={folder}/read:/dev/disk"], [f"--bind={folder}/both:/dev/disk"])]
    assert seen == [[], ["readable"], ["readable", "writable"]]


# Dry run ---------------------------------------------------------------------------------------

@harness.covers("effect", "--dry-run")
@pytest.mark.ours
def test_dry_run_touches_nothing(busybox):
    before = sorted((path.as_posix(), path.lstat().st_ctime_ns) for path in busybox.rglob("*"))
    text = output_of(run("--dry-run", "-U", "-b", "--bind=/srv", "-D", busybox))
    assert str(busybox) in text and "/srv" in text
    after = sorted((path.as_posix(), path.lstat().st_ctime_ns) for path in busybox.rglob("*"))
    assert before == after


@harness.covers("effect", "--json")
@pytest.mark.ours
def test_dry_run_as_json(busybox):
    import json
    plan = json.loads(output_of(run("--dry-run", "--json", "-U", "-M", "deb12", "-D", busybox, "true")))
    assert "116719616" in json.dumps(plan)


@pytest.mark.ours
def test_register_yes_without_a_registry(busybox):
    if os.path.exists("/run/dbus/system_bus_socket"):
        pytest.skip("this host has a bus, where a registry may answer")
    result = run("--register=yes", "-D", busybox, "true")
    assert result.returncode == 1
    assert "regist" in result.stderr.lower()


@harness.covers("effect", "--register")
@pytest.mark.parametrize("value", ["no", "auto"])
def test_register_not_or_if_possible(busybox, value):
    if harness.IS_STOCK:
        pytest.skip("always off in these tests")
    assert run(f"--register={value}", "-D", busybox, "true").returncode == 0
