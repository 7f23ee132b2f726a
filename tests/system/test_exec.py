"""What a command inside sees and how its end is reported."""

import os
import re
import signal
import subprocess

import pytest

import harness
from harness import lines_of, output_of, run, start

# Read-only, so that all tests of a module can share one tree.
SHARED = ["--read-only", "-D"]


def inside(tree, *command, args=(), **options):
    return output_of(run(*args, *SHARED, tree, *command, **options))


# Exit status -----------------------------------------------------------------------------------

@harness.covers("effect", "--directory")
@pytest.mark.smoke
@pytest.mark.parametrize("payload, expected", [
    ("exit 0", 0), ("exit 1", 1), ("exit 42", 42), ("exit 132", 132), ("exit 133", 1),
    ("exit 134", 134), ("exit 255", 255), ("kill -9 $$", 0), ("kill -TERM $$; exit 3", 3),
])
def test_exit_status(busybox, payload, expected):
    assert run("-D", busybox, "sh", "-c", payload).returncode == expected


@pytest.mark.parametrize("payload, expected", [
    ("exit 0", 0), ("exit 42", 42), ("exit 133", 1), ("exit 134", 134),
    ("kill -9 $$", 255), ("kill -SEGV $$", 255), ("kill -TERM $$; sleep 1", 255),
])
def test_exit_status_as_pid2(busybox, payload, expected):
    assert run("-a", "-D", busybox, "sh", "-c", payload).returncode == expected


def test_missing_program_is_an_error(busybox):
    result = run("-D", busybox, "/no/such/program")
    assert result.returncode == 1
    assert "/no/such/program" in result.stderr + result.stdout


def test_missing_folder_to_change_to_is_an_error(busybox):
    assert run("-D", busybox, "--chdir=/no/such/folder", "true").returncode == 1


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_kills(busybox, signo):
    process = start("--kill-signal=SIGUSR1", "-D", busybox, "sh", "-c",
                    "trap 'echo once' USR1; echo ready; while :; do sleep 0.05; done")
    try:
        assert "ready" in process.stdout.readline()
        process.send_signal(signo)
        assert "once" in process.stdout.readline()
        process.send_signal(signo)
        process.communicate(timeout=30)
        assert process.returncode == 1
    finally:
        harness.stop(process)


# Filters and capabilities ----------------------------------------------------------------------


DEFAULT_CAPS = 0xfdecafff


def host_bound():
    return int(re.search(r"CapBnd:\s*(\w+)", harness.read("/proc/self/status"))[1], 16)


def capabilities(tree, *args):
    text = inside(tree, "cat", "/proc/self/status", args=args)
    return {name: int(value, 16) for name, value in re.findall(r"Cap(\w+):\s*(\w+)", text)}


def test_user_has_no_capabilities(shared_debian12):
    caps = capabilities(shared_debian12, "-u", "guest")
    assert caps["Bnd"] == DEFAULT_CAPS & host_bound()
    assert caps["Prm"] == caps["Eff"] == caps["Inh"] == caps["Amb"] == 0


def test_filter_without_no_new_privileges(shared_busybox):
    status = inside(shared_busybox, "cat", "/proc/self/status")
    assert re.search(r"^Seccomp:\s*2$", status, re.M)
    assert re.search(r"^NoNewPrivs:\s*0$", status, re.M)


# Environment -----------------------------------------------------------------------------------

def environment_of(tree, *args, **options):
    text = inside(tree, "env", args=args, **options)
    return dict(line.split("=", 1) for line in lines_of(text))


def host_release():
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        if os.path.exists(path):
            pairs = (line.split("=", 1) for line in lines_of(harness.read(path)) if "=" in line)
            return {key: value.strip("\"'") for key, value in pairs}
    return {}


def expected_environment():
    expected = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container": "systemd-nspawn", "TERM": "xterm", "HOME": "/root", "USER": "root",
        "LOGNAME": "root", "NOTIFY_SOCKET": "/run/host/notify", "LANG": "C.UTF-8",
    }
    for key in ("ID", "VERSION_ID", "BUILD_ID", "VARIANT_ID"):
        if key in host_release():
            expected[f"container_host_{key.lower()}"] = host_release()[key]
    return expected


def test_environment_is_exactly_this(shared_busybox):
    found = environment_of(shared_busybox, env=harness.environment(SECRET="of the caller", XDG_SEAT="s0"))
    uuid = found.pop("container_uuid")
    for volatile in ("PWD", "SHLVL", "_", "OLDPWD"):
        found.pop(volatile, None)
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", uuid)
    assert found == expected_environment()


def test_environment_of_a_user(shared_debian12):
    found = environment_of(shared_debian12, "-u", "guest")
    assert (found["USER"], found["LOGNAME"], found["HOME"]) == ("guest", "guest", "/home/guest")


def test_no_term_when_the_caller_has_none(shared_busybox):
    found = environment_of(shared_busybox, env=harness.environment(TERM=None))
    assert found.get("TERM") in (None, "dumb")


@harness.covers("effect", "--setenv")
def test_setenv_beats_all(shared_busybox):
    found = environment_of(shared_busybox, "-E", "HOME=/x", "--setenv=LANG=C", "-E", "A=1", "-E", "A=2",
                           "-E", "EMPTY=", "-E", "FROM_CALLER",
                           env=harness.environment(FROM_CALLER="yes"))
    assert (found["HOME"], found["LANG"], found["A"], found["EMPTY"], found["FROM_CALLER"]) == (
        "/x", "C", "2", "", "yes")


@harness.covers("effect", "--boot")
def test_environment_of_init(stub):
    """No LANG with --boot."""
    process = start("-b", "-D", stub, stdin=subprocess.PIPE)
    try:
        assert "stub-init is up" in process.stdout.readline()
        text = harness.read(f"/proc/{harness.leader_of(process.pid)}/environ")
        names = {entry.split("=", 1)[0] for entry in text.split("\0") if entry}
        assert "LANG" not in names
        assert names - {"container_uuid"} == set(expected_environment()) - {"LANG"}
    finally:
        harness.stop(process)


# Devices ---------------------------------------------------------------------------------------

def test_device_nodes(shared_busybox):
    text = inside(shared_busybox, "sh", "-c",
                  "cd /dev; for n in null zero full random urandom tty net/tun fuse; do "
                  "[ ! -e $n ] || stat -c '%n %F %a %u:%g %t:%T' $n; done")
    found = {line.split()[0]: line.split(" ", 1)[1] for line in lines_of(text)}
    for name, numbers in (("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"),
                          ("urandom", "1:9"), ("tty", "5:0")):
        mode = os.stat(f"/dev/{name}").st_mode & 0o7777
        assert found[name] == f"character special file {mode:o} 0:0 {numbers}"
    if os.path.exists("/dev/net/tun"):
        assert found["net/tun"].endswith(" a:c8")
    if not harness.IS_STOCK:
        assert ("fuse" in found) == os.path.exists("/dev/fuse")


def test_device_folder_holds_nothing_else(shared_busybox):
    found = set(inside(shared_busybox, "sh", "-c", "ls /dev").split())
    allowed = {"null", "zero", "full", "random", "urandom", "tty", "net", "fuse", "char", "fd",
               "stdin", "stdout", "stderr", "core", "ptmx", "console", "shm", "mqueue", "pts"}
    assert found <= allowed, found - allowed
    assert allowed - found <= {"net", "fuse", "core"}


@pytest.mark.parametrize("name, target", [
    ("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"), ("console", "pts/0"),
    ("char/1:3", "../null"), ("char/5:0", "../tty"),
])
def test_device_links(shared_busybox, name, target):
    assert inside(shared_busybox, "readlink", f"/dev/{name}").strip() == target


def test_console_terminal(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "stat -L -c '%u:%g' /dev/console; tty <&1")
    assert lines_of(text) == ["0:5", "/dev/pts/0"] or lines_of(text) == ["0:5", "/dev/console"]


def test_devices_can_be_used_and_not_made(shared_busybox):
    text = inside(shared_busybox, "sh", "-c",
                  "head -c 4 /dev/zero | wc -c; echo x >/dev/null && echo written; ls -d /dev/kmsg 2>&1; :")
    assert lines_of(text)[:2] == ["4", "written"]
    assert "No such file" in lines_of(text)[2]


@pytest.mark.ours
def test_device_policy(busybox):
    """A node for a disk can be made, as the capability allows, but not opened."""
    result = run("-P", *SHARED, busybox, "sh", "-c",
                 "mount -t tmpfs -o dev none /mnt; "
                 "mknod /mnt/loop b 7 0; head -c 1 /mnt/loop; mknod /mnt/null c 1 3; "
                 "head -c 1 /mnt/null && echo fine")
    assert "not permitted" in result.stderr
    assert "fine" in result.stdout


# Mounts ----------------------------------------------------------------------------------------

class Mount:
    def __init__(self, line):
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        self.id, self.parent, _, _, self.point, options = fields[:6]
        self.options = set(options.split(",")) - {"relatime", "noatime", "nodiratime"}
        self.propagation = " ".join(fields[6:])
        self.kind = kind[0]


def mount_table(tree, *args):
    text = inside(tree, "cat", "/proc/self/mountinfo", args=args)
    return [Mount(line) for line in lines_of(text)]


def visible(table, path):
    """The mount that a look-up of @path ends on; others on the same path may be hidden."""
    ids = {mount.id for mount in table}
    current = next(mount for mount in table if mount.parent not in ids)
    parts = path.strip("/").split("/")
    for prefix in ["/", *("/" + "/".join(parts[:n + 1]) for n in range(len(parts)))]:
        while above := [mount for mount in table
                        if mount.parent == current.id and mount.point == prefix]:
            current = above[-1]
    assert current.point == path, f"{path} is no mount point"
    return current


@pytest.mark.parametrize("point, kind, options", [
    ("/tmp", "tmpfs", {"rw", "nosuid", "nodev"}),
    ("/sys", "sysfs", {"ro", "nosuid", "nodev", "noexec"}),
    ("/dev", "tmpfs", {"rw", "nosuid"}),
    ("/dev/shm", "tmpfs", {"rw", "nosuid", "nodev"}),
    ("/dev/pts", "devpts", {"rw", "nosuid", "noexec"}),
    ("/dev/mqueue", "mqueue", {"rw", "nosuid", "nodev", "noexec"}),
    ("/run", "tmpfs", {"rw", "nosuid", "nodev"}),
    ("/run/host", "tmpfs", {"ro", "nosuid", "nodev", "noexec"}),
    ("/run/host/incoming", None, {"ro"}),
    ("/proc", "proc", {"rw", "nosuid", "nodev", "noexec"}),
    ("/proc/sys", "proc", {"ro", "nosuid", "nodev", "noexec"}),
    ("/proc/sys/kernel/random/boot_id", "tmpfs", {"ro", "nosuid", "nodev", "noexec"}),
    ("/proc/kmsg", "tmpfs", {"rw", "nosuid", "nodev"}),
    ("/run/host/os-release", None, {"ro", "nosuid", "nodev", "noexec"}),
])
def test_mount(shared_busybox, point, kind, options):
    mount = visible(mount_table(shared_busybox), point)
    assert kind in (None, mount.kind)
    if point == "/run/host/incoming":
        # A part of the host's /run, which most hosts mount with restrictions.
        options = options | {"nosuid", "nodev", "noexec"} & set(
            harness.mount_fields(harness.TUNNELS)[5].split(","))
    assert mount.options == options


@pytest.mark.ours
def test_cgroup_mount(shared_busybox):
    mounts = [mount for mount in mount_table(shared_busybox) if mount.point.startswith("/sys/fs/cgroup")]
    assert [(mount.point, mount.kind) for mount in mounts] == [("/sys/fs/cgroup", "cgroup2")]
    assert mounts[0].options == {"rw", "nosuid", "nodev", "noexec"}


@pytest.mark.ours  # the distribution's binds a file that only its own PID 1 makes
def test_masked_parts_of_proc(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "for f in kcore keys sysrq-trigger timer_list kallsyms; do "
                  "[ ! -e /proc/$f ] || stat -c '%a %s %n' /proc/$f; done")
    for line in lines_of(text):
        assert line.startswith("0 0 "), line


@harness.covers("effect", "--private-network")
def test_private_network_has_only_a_loopback(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "ls /sys/class/net; ip -o addr show lo",
                  args=["--private-network"])
    assert lines_of(text)[0] == "lo"
    assert "127.0.0.1/8" in text


def test_shared_network_is_the_hosts(shared_busybox):
    assert set(inside(shared_busybox, "ls", "/sys/class/net").split()) == set(os.listdir("/sys/class/net"))


# /run/host and identity ------------------------------------------------------------------------

def test_run_host(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "cd /run/host; cat container-manager; cat container-uuid; "
                  "env | grep ^container_uuid; cat os-release; ls -1d notify incoming inaccessible")
    lines = lines_of(text)
    assert lines[0] == "systemd-nspawn"
    assert f"container_uuid={lines[1]}" == lines[2]
    assert lines_of(harness.read("/etc/os-release"))[0] in lines
    assert lines[-3:] == ["inaccessible", "incoming", "notify"]


def test_inaccessible_nodes(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "cd /run/host/inaccessible; stat -c '%n %a %F' *")
    kinds = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines_of(text)}
    assert kinds["reg"] == "0 regular empty file"
    assert kinds["dir"] == "0 directory"
    assert kinds["fifo"] == "0 fifo"
    assert kinds["sock"] == "0 socket"


@pytest.mark.ours
def test_run_host_as_newest(shared_busybox):
    text = inside(shared_busybox, "sh", "-c", "cd /run/host; stat -c '%n %a' container-manager "
                  "container-uuid; ls -1d proc-kmsg proc-sys-kernel-random-boot-id")
    assert lines_of(text) == ["container-manager 444", "container-uuid 444", "proc-kmsg",
                              "proc-sys-kernel-random-boot-id"]


@harness.covers("effect", "--machine")
def test_machine_name_is_the_host_name(busybox):
    assert inside(busybox, "hostname").strip() == busybox.name
    assert inside(busybox, "hostname", args=["-M", "web1"]).strip() == "web1"


def test_machine_id_of_the_tree_wins(busybox):
    given = "0123456789abcdef0123456789abcdef"
    dashed = "01234567-89ab-cdef-0123-456789abcdef"
    wish = "--uuid=fedcba9876543210fedcba9876543210"
    assert inside(busybox, "cat", "/run/host/container-uuid", args=[wish]).strip() == \
        "fedcba98-7654-3210-fedc-ba9876543210"
    (busybox / "etc/machine-id").write_text(given + "\n")
    assert inside(busybox, "cat", "/run/host/container-uuid", args=[wish]).strip() == dashed
    (busybox / "etc/machine-id").write_text("uninitialized\n")
    assert inside(busybox, "cat", "/run/host/container-uuid", args=[wish]).strip() != dashed


def test_session_keyring_and_files(shared_busybox):
    """Nothing of the caller's files is passed on."""
    read_end, write_end = os.pipe()
    try:
        os.set_inheritable(write_end, True)
        text = inside(shared_busybox, "sh", "-c", "ls /proc/self/fd", pass_fds=[write_end])
        assert set(text.split()) <= {"0", "1", "2", "3"}
    finally:
        os.close(read_end)
        os.close(write_end)


# Limits ----------------------------------------------------------------------------------------

def limits_of(text):
    rows = re.findall(r"^(Max .+?)\s{2,}(\S+)\s+(\S+)", text, re.M)
    return {name: (soft, hard) for name, soft, hard in rows}


def test_limits_are_the_kernels_not_the_callers(shared_busybox):
    text = inside(shared_busybox, "cat", "/proc/self/limits",
                  preexec_fn=lambda: __import__("resource").setrlimit(7, (77, 77)))
    limits = limits_of(text)
    first = limits_of(harness.read("/proc/1/limits"))
    unlimited = ("unlimited", "unlimited")
    files = str(min(int(harness.read("/proc/sys/fs/nr_open")), 524288))
    expected = {
        "Max address space": unlimited, "Max core file size": ("0", "unlimited"),
        "Max cpu time": unlimited, "Max data size": unlimited, "Max file size": unlimited,
        "Max file locks": unlimited, "Max locked memory": ("8388608", "8388608"),
        "Max msgqueue size": ("819200", "819200"), "Max nice priority": ("0", "0"),
        "Max realtime priority": ("0", "0"), "Max realtime timeout": unlimited,
        "Max resident set": unlimited, "Max stack size": ("8388608", "unlimited"),
        "Max processes": first["Max processes"],
        "Max pending signals": first["Max pending signals"],
        "Max open files": ("1024", files),
    }
    if not host_bound() & (1 << 24):
        pytest.skip("raising a limit needs CAP_SYS_RESOURCE, which this host does not have")
    assert limits == expected


# Files of /etc ---------------------------------------------------------------------------------

def test_resolv_conf_is_copied(busybox):
    if not os.path.exists("/etc/resolv.conf"):
        pytest.skip("this host has no /etc/resolv.conf")
    output_of(run("-D", busybox, "true"))
    assert (busybox / "etc/resolv.conf").read_text() == harness.read("/etc/resolv.conf")


@harness.covers("effect", "--read-only")
def test_tree_is_not_written_with_read_only(busybox):
    before = sorted(path.as_posix() for path in busybox.rglob("*"))
    result = run(*SHARED, busybox, "sh", "-c", "touch /new; touch /tmp/fine /run/fine && echo fine")
    assert "fine" in output_of(result)
    assert sorted(path.as_posix() for path in busybox.rglob("*")) == before
