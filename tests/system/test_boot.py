"""A real Debian guest: it boots, is used through its console, and goes down."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pexpect
import pytest

import harness
from harness import KEY_ESCAPE, spawn

PROMPT = "[guest ready] # "


class Guest:
    """A booted machine on a pseudo terminal."""

    def __init__(self, tree, *args, env=None, **options):
        env = env or harness.environment(TERM="dumb")
        self.console = spawn(*args, "-b", "-D", tree, env=env, **options)

    def log_in(self):
        self.console.expect("login: ")
        self.console.sendline("root")
        self.console.expect("assword: ")
        self.console.sendline("stead")
        self.console.expect("[#$] ")
        self.console.sendline("stty -echo cols 200; PAGER=cat SYSTEMD_PAGER=cat; "
                              "export PAGER SYSTEMD_PAGER; PS1='[guest ''ready] # '")
        self.console.expect_exact(PROMPT)
        return self

    def run(self, command):
        """Types a command, returns what it printed and its exit status."""
        self.console.sendline(f"echo 'begin-''here'; {command}; echo \"end-with $?\"")
        self.console.expect_exact("begin-here\r\n")
        self.console.expect(r"end-with (\d+)\r\n")
        output, status = self.console.before.replace("\r", ""), int(self.console.match.group(1))
        self.console.expect_exact(PROMPT)
        return output, status

    def state(self):
        """Waits until the start is complete; the state and the units that failed."""
        state, _ = self.run("systemctl is-system-running --wait")
        failed, _ = self.run("systemctl --no-legend --plain --failed")
        return state.strip(), failed.strip()

    def wait(self, timeout=60):
        """Waits for the end; the launcher's exit status."""
        self.console.expect(pexpect.EOF, timeout=timeout)
        self.console.close()
        return self.console.exitstatus

    def power_off(self):
        self.console.sendline("poweroff")
        return self.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.console.isalive():
            self.console.kill(signal.SIGTERM)
            for _ in range(100):
                if not self.console.isalive():
                    break
                time.sleep(0.1)
        self.console.close(force=True)


WAYS = [
    pytest.param([], id="plain", marks=pytest.mark.smoke),
    pytest.param(["--private-network"], id="private-network"),
    pytest.param(["--read-only", "--tmpfs=/var"], id="read-only-tmpfs-var"),
    pytest.param(["--read-only", "--tmpfs=/var/log", "--tmpfs=/var/lib/systemd"],
                 id="read-only-tmpfs-two"),
    # The distribution's cannot on a host that mounts version 1 control groups.
    pytest.param(["-U"], id="users", marks=pytest.mark.ours),
    pytest.param(["-U", "--private-network"], id="users-private-network", marks=pytest.mark.ours),
    pytest.param(["--private-users=identity"], id="users-identity", marks=pytest.mark.ours),
]


@pytest.mark.parametrize("args", WAYS)
def test_reaches_running_and_powers_off(guest_tree, args):
    with Guest(guest_tree, *args) as guest:
        guest.log_in()
        assert guest.state() == ("running", "")
        assert guest.power_off() == 0


@pytest.mark.ours
def test_reaches_running_with_chown(debian12):
    with Guest(debian12, "-U", "--private-users-ownership=chown") as guest:
        guest.log_in()
        assert guest.state() == ("running", "")
        assert guest.power_off() == 0


@pytest.mark.ours
def test_reaches_running_with_kept_unit(guest_tree, cgroup):
    with Guest(guest_tree, "--keep-unit", cgroup=cgroup) as guest:
        guest.log_in()
        assert guest.state() == ("running", "")
        assert guest.power_off() == 0


def test_guest_knows_what_it_runs_in(guest_tree):
    with Guest(guest_tree, "-M", "web1") as guest:
        guest.log_in()
        assert guest.run("systemd-detect-virt")[0].strip() == "systemd-nspawn"
        assert guest.run("hostname")[0].strip() == "web1"
        assert guest.run("cat /etc/machine-id | tr -d -")[0] == \
            guest.run("cat /run/host/container-uuid | tr -d -")[0]
        assert guest.power_off() == 0


@pytest.mark.ours
def test_reboot_from_inside_boots_again(guest_tree):
    with Guest(guest_tree) as guest:
        guest.log_in()
        first = guest.run("cat /proc/sys/kernel/random/boot_id")[0]
        supervisor = guest.console.pid
        guest.console.sendline("reboot")
        guest.log_in()
        assert guest.run("cat /proc/sys/kernel/random/boot_id")[0] != first
        assert guest.console.pid == supervisor and guest.console.isalive()
        assert guest.state() == ("running", "")
        assert guest.power_off() == 0


def test_reboot_with_kept_unit_is_133(guest_tree, cgroup):
    if harness.IS_STOCK:
        args = []  # the harness passes it
    else:
        args = ["--keep-unit"]
    with Guest(guest_tree, *args, cgroup=cgroup) as guest:
        guest.log_in()
        guest.console.sendline("reboot")
        assert guest.wait() == 133


def test_sigterm_shuts_the_guest_down(guest_tree):
    with Guest(guest_tree) as guest:
        guest.console.expect("login: ")
        guest.console.kill(signal.SIGTERM)
        guest.console.expect("Reached target .*(Power|Shutdown|Final|Late)", timeout=60)
        assert guest.wait() == 0


def test_second_sigterm_kills(busybox):
    """Busybox init only reads its table again at this signal, so it would stay."""
    with Guest(busybox, "--kill-signal=SIGHUP") as guest:
        guest.console.expect("login: ")
        guest.console.kill(signal.SIGTERM)
        with pytest.raises(pexpect.TIMEOUT):
            guest.console.expect(pexpect.EOF, timeout=1)
        guest.console.kill(signal.SIGTERM)
        assert guest.wait() == 1


def test_three_keys_kill(guest_tree):
    with Guest(guest_tree) as guest:
        guest.console.expect("login: ")
        guest.console.send(KEY_ESCAPE * 3)
        assert guest.wait(10) == 1


def test_slow_or_interrupted_keys_do_not_kill(guest_tree):
    with Guest(guest_tree) as guest:
        guest.console.expect("login: ")
        guest.console.send(KEY_ESCAPE * 2 + "x" + KEY_ESCAPE)
        time.sleep(1.2)
        guest.console.send(KEY_ESCAPE)
        with pytest.raises(pexpect.TIMEOUT):
            guest.console.expect(pexpect.EOF, timeout=1)
        guest.console.send(KEY_ESCAPE * 3)
        assert guest.wait(10) == 1


def test_wrong_password_is_refused(guest_tree):
    with Guest(guest_tree) as guest:
        guest.console.expect("login: ")
        guest.console.sendline("root")
        guest.console.expect("assword: ")
        guest.console.sendline("wrong")
        guest.console.expect("Login incorrect")


def test_no_os_release_is_refused(debian12):
    (debian12 / "etc/os-release").unlink()
    (debian12 / "usr/lib/os-release").unlink()
    result = harness.run("-b", "-D", debian12)
    assert result.returncode == 1
    assert "os-release" in result.stderr or "OS tree" in result.stderr


# Which init is started -------------------------------------------------------------------------

def first_line_of(*args):
    process = harness.start(*args)
    try:
        return process.stdout.readline().strip()
    finally:
        harness.stop(process)


@pytest.mark.parametrize("places, expected", [
    (["usr/lib/systemd/systemd"], "/usr/lib/systemd/systemd"),
    (["usr/sbin/init"], "/sbin/init"),
    (["usr/lib/systemd/systemd", "usr/sbin/init"], "/usr/lib/systemd/systemd"),
])
def test_init_is_found_in_order(stub, places, expected):
    program = stub / "usr/lib/systemd/systemd"
    program.rename(stub / "program")
    for place in places:
        os.link(stub / "program", stub / place)
    line = first_line_of("-b", "-D", stub, "one", "two words")
    assert line == f"stub-init is up: {expected} one two words"


def test_without_init_it_fails(stub):
    (stub / "usr/lib/systemd/systemd").unlink()
    assert harness.run("-b", "-D", stub).returncode == 1


# The stub as init: the life cycle without a guest ----------------------------------------------

def stub_console(tree, *args, **options):
    console = spawn("-b", *args, "-D", tree, **options)
    console.expect("stub-init is up")
    return console


def ended(console, timeout=20):
    console.expect(pexpect.EOF, timeout=timeout)
    console.close()
    return console.exitstatus


@pytest.mark.smoke
@pytest.mark.parametrize("key, status", [("p", 0), ("x", 7)])
def test_end_of_init(stub, key, status):
    console = stub_console(stub)
    console.sendline(key)
    assert ended(console) == status


@pytest.mark.ours
@pytest.mark.smoke
def test_many_reboots(stub):
    console = stub_console(stub)
    for _ in range(5):
        console.sendline("r")
        console.expect("stub-init restarts")
        console.expect("stub-init is up")
    console.sendline("p")
    assert ended(console) == 0


def test_sigterm_powers_off(stub):
    console = stub_console(stub)
    console.kill(signal.SIGTERM)
    assert ended(console) == 0


# The terminal ----------------------------------------------------------------------------------

class Terminal:
    """A terminal with a launcher on it, whose settings can be looked at from outside."""

    def __init__(self, *args, flags=0, size=(24, 80), **options):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        if flags:
            fcntl.fcntl(self.slave, fcntl.F_SETFL, fcntl.fcntl(self.slave, fcntl.F_GETFL) | flags)
        self.before = self.state()
        self.process = subprocess.Popen(
            harness.command("-q", *args), env=harness.environment(), start_new_session=True,
            stdin=self.slave, stdout=self.slave, stderr=self.slave, **options)
        self.text = ""

    def state(self):
        return termios.tcgetattr(self.slave), fcntl.fcntl(self.slave, fcntl.F_GETFL)

    def read_until(self, pattern, timeout=30):
        os.set_blocking(self.master, False)
        def look():
            try:
                self.text += os.read(self.master, 65536).decode(errors="replace")
            except BlockingIOError:
                pass
            return re.search(pattern, self.text)
        return harness.wait_until(look, timeout, f"the output {pattern!r}")

    def send(self, text):
        os.write(self.master, text.encode())

    def end(self, timeout=20):
        status = self.process.wait(timeout)
        assert self.state() == self.before, "the terminal was not restored"
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            for ask in (self.process.terminate, self.process.terminate, self.process.kill):
                ask()
                try:
                    self.process.wait(5)
                    break
                except subprocess.TimeoutExpired:
                    continue
        os.close(self.master)
        os.close(self.slave)


LOOP = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done"


def test_terminal_is_raw_and_then_restored(busybox):
    with Terminal("-D", busybox, "sh", "-c", "echo ready; read line; echo got $line") as terminal:
        terminal.read_until("ready")
        local = terminal.state()[0][3]
        assert not local & termios.ICANON and not local & termios.ECHO
        terminal.send("word\r")
        terminal.read_until("got word")
        assert terminal.end() == 0


@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_terminal_is_restored_after_a_signal(busybox, signo):
    if harness.IS_STOCK and signo == signal.SIGHUP:
        pytest.skip("the distribution's dies of this signal at once and leaves the terminal raw")
    with Terminal("-D", busybox, "sh", "-c", LOOP) as terminal:
        terminal.read_until("ready")
        terminal.process.send_signal(signo)
        # The payload has a handler for SIGTERM; the distribution's does not ask.
        asks = not harness.IS_STOCK and signo != signal.SIGHUP
        assert (terminal.end() == 0) == asks


def test_terminal_is_restored_after_the_keys(busybox):
    with Terminal("-D", busybox, "sh", "-c", LOOP) as terminal:
        terminal.read_until("ready")
        terminal.send(KEY_ESCAPE * 3)
        assert terminal.end() == 1


@pytest.mark.parametrize("flags", [0, os.O_NONBLOCK])
def test_file_flags_stay(busybox, flags):
    """Other programs share the caller's terminal: its flags are not ours to change."""
    if harness.IS_STOCK:
        pytest.skip("the distribution's changes the flags while it runs")
    with Terminal("-D", busybox, "sh", "-c", LOOP, flags=flags) as terminal:
        terminal.read_until("ready")
        assert terminal.state()[1] == terminal.before[1]
        terminal.process.terminate()
        terminal.end()


def test_window_size_passes(busybox):
    # busybox has no "trap WINCH" in a sleep, so the size is asked for
    script = "echo ready; while read line; do stty size; done"
    with Terminal("-D", busybox, "sh", "-c", script, size=(33, 111)) as terminal:
        terminal.read_until("ready")
        terminal.send("\r")
        terminal.read_until("33 111")
        fcntl.ioctl(terminal.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 122, 0, 0))
        terminal.process.send_signal(signal.SIGWINCH)
        def asked():
            terminal.send("\r")
            try:
                return terminal.read_until("44 122", 0.3)
            except AssertionError:
                return None
        harness.wait_until(asked, 10, "the new size")
        terminal.send(KEY_ESCAPE * 3)
        terminal.end()


@pytest.mark.ours  # the distribution's restores the terminal too early, which garbles the end
def test_output_is_complete(busybox):
    """What the payload wrote last is not lost when it ends."""
    with Terminal("-D", busybox, "sh", "-c", "seq 1 20000; echo the-end") as terminal:
        terminal.read_until("the-end")
        terminal.end()
        assert "\r\r" not in terminal.text
        found = set(re.findall(r"^(\d+)\r$", terminal.text, re.M))
        assert [number for number in range(1, 20001) if str(number) not in found] == []


def test_all_bytes_pass(busybox):
    """Control characters reach the guest, one escape key among them."""
    script = "stty raw -echo; echo ready; head -c 6 | od -An -tx1"
    with Terminal("-D", busybox, "sh", "-c", script) as terminal:
        terminal.read_until("ready")
        os.write(terminal.master, b"\x01\x03\x1d\x1a\xff\x04")
        terminal.read_until("01 03 1d 1a ff 04")
        terminal.end()
