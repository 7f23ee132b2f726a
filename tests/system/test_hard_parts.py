"""What is easy to get wrong, each as it can be seen from outside. The numbers are names."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess

import pytest

import harness
import network
from harness import lines_of, output_of, run, settings_file, start
from test_exec import mount_table, visible

RUN = pathlib.Path("/run/systemd/nspawn")

# How most of them are started: nothing that happens inside stays.
OPTIONS = ["--register=no", "--volatile=overlay"]

DEFAULT_CAPS = 0xfdecafff
NET_ADMIN = 1 << 12
NET_BIND_SERVICE = 1 << 10

X86_64 = pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")


class Starter:
    """Starts on one tree, in one control group."""

    def __init__(self, tree, cgroup):
        self.tree, self.cgroup = tree, cgroup

    def run(self, *words, **options):
        return run(*OPTIONS, "-D", self.tree, *words, keep_unit=True, cgroup=self.cgroup, **options)

    def status(self, *words, **options):
        return self.run(*words, **options).returncode

    def lines(self, *words, **options):
        return lines_of(output_of(self.run(*words, **options)))

    @contextlib.contextmanager
    def running(self, *words, keep_unit=True, options=OPTIONS, **others):
        """A machine that runs already."""
        process = start(*options, "-D", self.tree, *words, keep_unit=keep_unit,
                        cgroup=self.cgroup if keep_unit else None, **others)
        try:
            yield process
        finally:
            harness.stop(process)


@pytest.fixture
def n(shared_busybox, cgroup):
    return Starter(shared_busybox, cgroup)


@pytest.fixture
def n_debian(shared_debian12, cgroup):
    return Starter(shared_debian12, cgroup)


@pytest.fixture
def n_own(busybox, cgroup):
    """On a tree that may be changed."""
    return Starter(busybox, cgroup)


def host_bound():
    return int(re.search(r"CapBnd:\s*(\w+)", harness.read("/proc/self/status"))[1], 16)


def test_01_exit_status(n):
    """133 is reserved; its neighbours are not."""
    assert [n.status("sh", "-c", f"exit {status}") for status in (133, 134, 42)] == [1, 134, 42]


# Reboot and power off --------------------------------------------------------------------------

def stub_of(process):
    """The stub init that waits for its child: both must be there."""
    def find():
        for pid in harness.descendants_of(process.pid):
            if harness.pid_inside(pid) == 2 and "sleep" in harness.read(f"/proc/{pid}/cmdline"):
                return next(other for other in harness.descendants_of(process.pid)
                            if harness.pid_inside(other) == 1)
        return None
    return harness.wait_until(find, what="the start of the stub init's child")


@pytest.mark.parametrize("signo, status, words", [
    (signal.SIGRTMIN + 3, 0, "has been shut down"), (signal.SIGRTMIN + 4, 0, "has been shut down"),
    (signal.SIGRTMIN + 5, 133, "is being rebooted")])
def test_02_reboot_and_power_off(n, signo, status, words):
    with n.running("-a", "sleep", "99", quiet=False) as process:
        os.kill(stub_of(process), signo)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == status
        assert words in errors


@pytest.mark.ours
def test_02_reboot_starts_again(n):
    """The payload of the second start is another process under the same supervisor."""
    with n.running("-a", "sleep", "99", keep_unit=False) as process:
        first = stub_of(process)
        os.kill(first, signal.SIGRTMIN + 5)
        harness.wait_until(lambda: not os.path.exists(f"/proc/{first}"), what="the end of the first")
        second = stub_of(process)
        assert second != first
        os.kill(second, signal.SIGRTMIN + 4)
        process.communicate(timeout=30)
        assert process.returncode == 0


# Signals ---------------------------------------------------------------------------------------

def test_03_death_by_a_signal(n):
    assert n.status("-a", "sh", "-c", "kill -9 $$") == 255
    # The kernel protects the first process of a process namespace from itself.
    assert n.status("sh", "-c", "kill -9 $$") == 0


def test_03_sigterm(n):
    with n.running("sleep", "99", quiet=False) as process:
        harness.leader_of(process.pid)
        process.terminate()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "terminated by signal KILL" in errors


def test_03_kill_signal(n):
    with n.running("--kill-signal=SIGUSR1", "sh", "-c",
                   "trap 'exit 7' USR1; echo ready; while :; do sleep 0.05; done") as process:
        assert "ready" in process.stdout.readline()
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 7


# Privileges ------------------------------------------------------------------------------------

@X86_64
def test_04_three_answers_of_the_filter(n_debian):
    """An unknown call, a known one that is not allowed, and the audit socket."""
    program = ('syscall(999);print $!+0," ";syscall(250,0,0,0,0,0);print $!+0," ";'
               'syscall(41,16,3,9);print $!+0')
    assert n_debian.lines("perl", "-e", program) == ["38 1 97"]


SHIFTED = ["--private-users=1048576", "--private-users-ownership=off"]


@pytest.mark.parametrize("args, expected", [
    ([], DEFAULT_CAPS),
    (["--private-network"], DEFAULT_CAPS | NET_ADMIN),
    (SHIFTED, DEFAULT_CAPS & ~NET_BIND_SERVICE),
    ([*SHIFTED, "--private-network"], DEFAULT_CAPS | NET_ADMIN),
])
def test_05_capabilities(n, args, expected):
    text = "\n".join(n.lines(*args, "cat", "/proc/self/status"))
    caps = {name: int(value, 16) for name, value in re.findall(r"Cap(\w+):\s*(\w+)", text)}
    # A new user namespace starts with all capabilities, whatever the host's bounds are.
    assert caps["Bnd"] == expected & (host_bound() if SHIFTED[0] not in args else (1 << 64) - 1)
    assert caps["Prm"] == caps["Eff"] == caps["Inh"] == caps["Bnd"]
    assert caps["Amb"] == 0


@harness.covers("effect", "-U")
@pytest.mark.parametrize("name, base", [
    ("deb12", 116719616), ("a", 90374144), ("mycontainer", 496107520), ("foobar", 276955136),
    ("test-container-with-a-long-name", 1875574784)])
def test_06_range_of_ids_is_made_from_the_name(busybox, name, base):
    text = output_of(run("-U", "-M", name, "-D", busybox, "cat", "/proc/self/uid_map"))
    assert text.split() == ["0", str(base), "65536"]


# Links of the network --------------------------------------------------------------------------

# The machine's name, and the link's: those that are too long for the kernel end with four characters
# of a hash, and the whole is another name. Fifteen bytes still fit.
LINKS = [("test-container-with-a-long-name", "ve-test-confrsb", True), ("test-linkname", "ve-test-lin3FSZ", True),
         ("test-linknam", "ve-test-linknam", False), ("test-a", "ve-test-a", False)]


@pytest.mark.parametrize("name,link,has_altname", LINKS, ids=[name for name, _, _ in LINKS])
def test_07_names_of_links(busybox, name, link, has_altname):
    """And as nobody gives them addresses, the host's end is down."""
    keep_off = [] if harness.IS_STOCK else ["--network-setup=no"]
    with network.Host() as host:
        with host.machine(*OPTIONS, "-n", *keep_off, "-M", name, "-D", busybox, "sleep", "99") as machine:
            text = host.run("ip", "-d", "link", "show", link)
            assert "state DOWN" in text
            assert re.findall(r"altname (\S+)", text) == ([f"ve-{name}"] if has_altname else [])
            assert "state DOWN" in machine.look("ip", "link", "show", "host0")


def test_08_sys_and_proc_sys_follow_the_network(n):
    script = ("(stat -f -c %T /sys; stat -f -c %T /proc/sys/net; echo 0 >/proc/sys/net/ipv4/ip_forward && "
              "echo net written; echo x >/proc/sys/kernel/domainname || echo kernel refused; "
              "ls /sys | xargs echo) 2>/dev/null; :")
    shared, private = n.lines("sh", "-c", script), n.lines("--private-network", "sh", "-c", script)
    assert shared[0].lower() in ("sysfs", "0x62656572", "unknown") and "net written" not in shared
    assert private[0] == "tmpfs" and private[2] == "net written"
    assert "kernel refused" in shared and "kernel refused" in private
    assert {"block", "bus", "class", "dev", "devices", "kernel", "fs"} >= set(private[-1].split())


# Mounts ----------------------------------------------------------------------------------------

def test_09_propagation(n):
    table = mount_table(n.tree, "--volatile=overlay")
    assert "shared:" in visible(table, "/").propagation
    # Hidden ones are there, too: the folder that it is in is mounted on itself.
    tunnel = visible(table, "/run/host/incoming")
    assert "ro" in tunnel.options and "shared:" not in tunnel.propagation
    assert harness.IS_STOCK or ("master:" in tunnel.propagation) == harness.mounts_below_run_are_shared()


def test_09_host_sees_no_mount_of_a_running_machine(n):
    before = set(lines_of(harness.read("/proc/self/mountinfo")))
    with n.running("sleep", "99") as process:
        harness.leader_of(process.pid)
        new = [line for line in set(lines_of(harness.read("/proc/self/mountinfo"))) - before
               if str(n.tree) in line or "volatile" in line]
        assert new == []


# Settings files --------------------------------------------------------------------------------

def test_10_trust(n_own):
    text = "[Exec]\nDropCapability=CAP_SYS_CHROOT\n[Files]\nBind=/proc:/mnt\n[Network]\nPrivate=yes\n"
    script = "grep CapBnd /proc/self/status; ls /mnt | grep -cx self; ls /sys/class/net | cat"
    with settings_file(n_own.tree.parent / f"{n_own.tree.name}.nspawn", text):
        default = n_own.run("sh", "-c", script)
        trusted = n_own.run("--settings=trusted", "sh", "-c", script)
    bound = DEFAULT_CAPS & ~(1 << 18) & host_bound()
    assert default.stderr.count("not trusted") == 2
    caps, mounted, *links = lines_of(default.stdout)
    assert (int(caps.split()[1], 16), mounted) == (bound, "0")
    assert set(links) == set(os.listdir("/sys/class/net"))
    caps, mounted, *links = lines_of(output_of(trusted))
    assert (int(caps.split()[1], 16), mounted, links) == (bound | NET_ADMIN, "1", ["lo"])


def test_11_parameters(n_own):
    """They count only beside a line that says how to start."""
    path = RUN / f"{n_own.tree.name}.nspawn"
    cli = ["sh", "-c", "echo cli"]
    with settings_file(path, "[Exec]\nParameters=/bin/echo x\n"):
        assert n_own.lines(*cli) == n_own.lines("--settings=override", *cli) == ["cli"]
        assert lines_of(n_own.run("-P", input="echo shell\n").stdout) == ["shell"]
    with settings_file(path, "[Exec]\nBoot=no\nParameters=/bin/echo x\n"):
        assert n_own.lines(*cli) == ["cli"]
        assert n_own.lines() == n_own.lines("--settings=override", *cli) == ["x"]


def test_12_ownership_alone_cancels_users(n_own):
    with settings_file(RUN / f"{n_own.tree.name}.nspawn", "[Files]\nPrivateUsersOwnership=off\n"):
        text = n_own.lines("-U", "--settings=override", "cat", "/proc/self/uid_map")
    assert text[0].split() == ["0", "0", "4294967295"]


# Locks -----------------------------------------------------------------------------------------

def test_13_busy_tree(n_own, work):
    """Also by another path to it."""
    other = work / "another-path"
    other.mkdir()
    subprocess.run(["mount", "--bind", str(n_own.tree), str(other)], check=True)
    try:
        with n_own.running("sleep", "99", options=[]) as process:
            harness.leader_of(process.pid)
            for args in ([], ["--read-only"]):
                for tree in (n_own.tree, other):
                    second = run("-M", "another", *args, "-D", tree, "true")
                    assert second.returncode == 1
                    assert "busy" in second.stderr
    finally:
        subprocess.run(["umount", str(other)], check=True)
        other.rmdir()


def test_13_readers_share_a_tree(n_own):
    with n_own.running("sleep", "99", options=["--read-only"]) as process:
        harness.leader_of(process.pid)
        assert run("-M", "another", "--read-only", "-D", n_own.tree, "true").returncode == 0
        assert run("-M", "another", "-D", n_own.tree, "true").returncode == 1


# Readiness -------------------------------------------------------------------------------------

SEND = ("use Socket; socket(my $s, AF_UNIX, SOCK_DGRAM, 0); "
        "connect($s, sockaddr_un($ENV{NOTIFY_SOCKET})) or die $!; "
        "sub say1 { syswrite($s, $_[0]) } "
        "say1(\"STATUS=hello\\nMAINPID=1\"); say1('READY=1'); "
        "if (!fork) { say1('STATUS=from a child'); exit 0 } wait; sleep 1;")


@pytest.mark.parametrize("args, forwarded", [([], 2), (["--notify-ready=yes"], 1)])
def test_14_readiness(n_debian, notify, args, forwarded):
    n_debian.lines(*args, "perl", "-e", SEND, env=harness.environment(NOTIFY_SOCKET=notify.path))
    text = "\n".join(notify.drain())
    assert re.search(r"^X_NSPAWN_LEADER_PID=\d+$", text, re.M)
    assert len(re.findall(r"^READY=1$", text, re.M)) == forwarded
    assert re.search(r"^STATUS=Container running: hello$", text, re.M)
    assert "from a child" not in text
    assert "MAINPID" not in text
    assert "STOPPING=1" in text
    assert text.index("X_NSPAWN_LEADER_PID") < text.index("READY=1") < text.index("STOPPING=1")
    # The order of the payload's own.
    assert text.index("Container running: hello") < text.rindex("READY=1") < text.index("STOPPING=1")


def test_14_child_of_the_stub_is_never_ready(n_debian, notify):
    n_debian.lines("-a", "--notify-ready=yes", "perl", "-e", SEND,
                   env=harness.environment(NOTIFY_SOCKET=notify.path))
    assert not any(message.startswith("READY=1") for message in notify.drain())


# Files of /etc ---------------------------------------------------------------------------------

def test_15_resolv_conf(n_own):
    """A link is neither followed nor replaced, unless that is asked for; with a network of its own,
    the guest's file is its own affair."""
    file = n_own.tree / "etc/resolv.conf"
    file.unlink(missing_ok=True)
    file.symlink_to("../run/nowhere/resolv.conf")
    tree = ["-D", n_own.tree, "true"]
    output_of(run(*tree))
    assert os.readlink(file) == "../run/nowhere/resolv.conf"
    if os.path.exists("/etc/resolv.conf"):
        output_of(run("--resolv-conf=replace-host", *tree))
        assert not file.is_symlink()
        assert file.read_text() == harness.read("/etc/resolv.conf")
    file.unlink()
    file.write_text("# mine\n")
    output_of(run("--private-network", *tree))
    assert file.read_text() == "# mine\n"


# Near misses -----------------------------------------------------------------------------------

def test_console(n):
    assert n.lines("--pipe", "sh", "-c", "[ ! -e /dev/console ] && echo none; tty; :") == ["none", "not a tty"]
    assert n.lines("sh", "-c", "readlink /dev/console; tty <&1") == ["pts/0", "/dev/pts/0"]


def test_limits_of_the_caller_do_not_count(n):
    def lower():
        n.cgroup.enter()
        __import__("resource").setrlimit(7, (77, 4096))
    text = output_of(run(*OPTIONS, "-D", n.tree, "sh", "-c", "ulimit -c; ulimit -n; ulimit -s",
                         keep_unit=True, preexec_fn=lower))
    assert lines_of(text) == ["0", "1024", "8192"]


def test_credentials(n):
    result = n.run("--set-credential=a:x\\x41\\n", "sh", "-c",
                   "cd /run/host/credentials; stat -c '%a %u %s' . a; cat a; "
                   "grep ' /run/host/credentials ' /proc/mounts | tail -n 1; echo $CREDENTIALS_DIRECTORY")
    folder, file, content, mount, variable = lines_of(output_of(result))
    assert (folder.split()[0], file, content) == ("500", "400 0 3", "xA")
    assert mount.split()[2] == "ramfs" and "ro" in mount.split()[3].split(",")
    assert variable == "/run/host/credentials"


def test_boot_id_and_login_uid(n):
    read = ["cat", "/proc/sys/kernel/random/boot_id", "/proc/self/loginuid"]
    first, second = (n.lines(*read) for _ in range(2))
    host = harness.read("/proc/sys/kernel/random/boot_id").strip()
    assert len({first[0], second[0], host}) == 3
    # Where the kernel has no audit, or a container shows none, it is as it was.
    assert first[1] in ("4294967295", harness.read("/proc/self/loginuid"))


def test_name_of_a_throw_away_copy(n_own):
    """Settings are found by the name without its suffix; the copy is gone afterwards."""
    tree = n_own.tree
    with settings_file(RUN / f"{tree.name}.nspawn", "[Exec]\nEnvironment=FOUND=yes\n"):
        result = run("-x", "-D", tree, "sh", "-c", "hostname; echo $FOUND; touch /here")
    name, found = lines_of(output_of(result))
    assert re.fullmatch(re.escape(tree.name) + "-[0-9a-f]{16}", name) and found == "yes"
    assert os.listdir(tree.parent) == [tree.name] and not (tree / "here").exists()


def test_cgroup_root(n):
    own = [line for line in n.lines("cat", "/proc/1/cgroup") if line.startswith("0::")]
    assert own == ["0::/"]


def test_two_file_systems_on_tmp(n):
    count, free = n.lines("--tmpfs=/tmp:size=1m", "sh", "-c",
                          "grep -c ' /tmp ' /proc/self/mounts; df -k /tmp | tail -1")
    assert count == "2" and free.split()[1] == "1024"


@harness.covers("bad", "--system-call-filter")
def test_unknown_call_is_only_a_warning(n):
    result = n.run("--system-call-filter=nosuchcall", "true")
    assert result.returncode == 0
    assert harness.IS_STOCK or "nosuchcall" in result.stderr


@pytest.mark.ours
def test_environment_of_the_stub_init(n):
    found = n.lines("-a", "sh", "-c", "tr '\\0' '\\n' </proc/1/environ")
    assert [re.sub("=[0-9a-f]{32}$", "=ID", line) for line in found] == [
        "container=systemd-nspawn", "container_uuid=ID"]
