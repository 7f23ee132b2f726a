"""What the tests share: starting the launcher, reading what it made, seeing what it left behind."""

import contextlib
import os
import pathlib
import re
import socket
import subprocess
import time
import uuid

import pexpect
import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
STATE = pathlib.Path(os.environ.get("STEAD_STATE", TOP / ".stead"))

LAUNCHER = os.environ.get("STEAD_NSPAWN", str(STATE / "check" / "nspawn"))
STOCK = os.environ.get("STEAD_STOCK_NSPAWN", "/usr/bin/systemd-nspawn")
# Whether the launcher under test is the distribution's: then the tests are what is tested.
IS_STOCK = os.path.realpath(LAUNCHER) == os.path.realpath(STOCK)
# Whether PID 1 of the host is systemd, so that control groups are made by it.
HOST_HAS_SYSTEMD = os.path.isdir("/run/systemd/system")
IN_CI = os.environ.get("STEAD_CI") == "1" or os.environ.get("CI") == "true"
WITH_SANITIZERS = os.environ.get("STEAD_SANITIZERS") == "1"

# Part of every name that a test gives to something on the host.
TAG = f"st{uuid.uuid4().hex[:6]}"

# How many times longer than usual things may take: an emulated host is slow. Only how long a test
# waits before it gives up depends on it.
PATIENCE = float(os.environ.get("STEAD_PATIENCE", "1"))

KEY_ESCAPE = "\x1d"


def patient(timeout):
    return timeout * PATIENCE if timeout and timeout > 0 else timeout


class Process(subprocess.Popen):
    def communicate(self, input=None, timeout=None):
        return super().communicate(input, patient(timeout))


class Console(pexpect.spawn):
    """-1 stands for the time that was given at the start."""

    def expect(self, pattern, timeout=-1, *args, **options):
        return super().expect(pattern, patient(timeout), *args, **options)

    def expect_exact(self, pattern, timeout=-1, *args, **options):
        return super().expect_exact(pattern, patient(timeout), *args, **options)


def environment(**changes):
    """A small known environment, so that nothing of the caller's can help a test to pass."""
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C",
        "TERM": "xterm",
        "STEAD_LIBEXECDIR": os.environ.get("STEAD_LIBEXECDIR", os.path.dirname(LAUNCHER)),
    }
    for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS"):
        if name in os.environ:
            env[name] = os.environ[name]
    env.update(changes)
    return {name: value for name, value in env.items() if value is not None}


def command(*args, launcher=None, keep_unit=None):
    """The command line. The distribution's launcher needs its registry and PID 1 switched off."""
    launcher = launcher or LAUNCHER
    stock = os.path.realpath(launcher) == os.path.realpath(STOCK)
    line = [launcher]
    if stock:
        line += ["--register=no", "--keep-unit"]
    elif keep_unit:
        line += ["--keep-unit"]
    return line + [str(arg) for arg in args]


def run(*args, launcher=None, input=None, timeout=60, env=None, keep_unit=None, cgroup=None,
        quiet=True, **options):
    """Runs the launcher to its end and returns what it printed, as text."""
    line = command(*(["-q"] if quiet else []), *args, launcher=launcher, keep_unit=keep_unit)
    if input is None:
        options.setdefault("stdin", subprocess.DEVNULL)
    if cgroup is not None:
        options["preexec_fn"] = cgroup.enter
    return subprocess.run(line, input=input, timeout=patient(timeout), env=env or environment(),
                          text=True, errors="replace", stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False, **options)


def start(*args, env=None, quiet=True, cgroup=None, keep_unit=None, launcher=None, **options):
    """Starts the launcher and returns its process; the caller ends it."""
    line = command(*(["-q"] if quiet else []), *args, keep_unit=keep_unit, launcher=launcher)
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    if cgroup is not None:
        options["preexec_fn"] = cgroup.enter
    return Process(line, env=env or environment(), text=True, errors="replace", **options)


def spawn(*args, env=None, timeout=60, dimensions=(40, 132), quiet=True, echo=True, cgroup=None):
    """Starts the launcher on a pseudo terminal."""
    line = command(*(["-q"] if quiet else []), *args)
    options = {} if cgroup is None else {"preexec_fn": cgroup.enter}
    return Console(line[0], line[1:], env=env or environment(), timeout=patient(timeout),
                   encoding="utf-8", codec_errors="replace", dimensions=dimensions, echo=echo,
                   **options)


def output_of(result):
    """The payload's output without the carriage returns of its terminal; it must have succeeded."""
    if "not built yet" in result.stderr:
        pytest.skip(result.stderr.strip().splitlines()[-1])
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout.replace("\r\n", "\n")


def lines_of(text):
    return [line for line in text.replace("\r", "").split("\n") if line]


def wait_until(condition, timeout=20, what="the condition"):
    """Polls; there is no event to wait for from outside."""
    end = time.monotonic() + patient(timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {timeout} s")
        time.sleep(0.02)


TUNNELS = "/run/systemd/nspawn/propagate/"


def mount_fields(path):
    """The line of mountinfo, before its dash, of the file system that @path is on."""
    best = []
    for line in read("/proc/self/mountinfo").splitlines():
        fields = line.split(" - ")[0].split()
        if path.startswith(fields[4].rstrip("/") + "/") and (
                not best or len(fields[4]) >= len(best[4])):
            best = fields
    return best


def mounts_below_run_are_shared():
    """Whether what is mounted below /run on the host reaches those that follow it."""
    return any(field.startswith("shared:") for field in mount_fields(TUNNELS)[6:])


# What tests are about --------------------------------------------------------------------------

LETTERS = {"-h": "--help", "-q": "--quiet", "-D": "--directory", "-x": "--ephemeral", "-i": "--image",
           "-a": "--as-pid2", "-b": "--boot", "-E": "--setenv", "-u": "--uid", "-M": "--machine",
           "-S": "--slice", "-n": "--network-veth", "-p": "--port", "-Z": "--selinux-context",
           "-L": "--selinux-apifs-context", "-P": "--pipe"}


def covers(kind, *names):
    """Marks a test as one that shows the effect of options or keys inside a guest ("effect"), or what
    happens with a bad value of theirs ("bad"). Names are "--bind", "-U", "[Files] Bind"; what follows
    a "=" is left out, so whole options and lines can be given. test_walk.py counts them."""
    assert kind in ("effect", "bad"), kind
    plain = [name.split("=", 1)[0] for name in names]
    return pytest.mark.covers(kind, *(LETTERS.get(name.split(" ")[0], name) for name in plain))


def covering(kind, values, name=str):
    """Parameters for parametrize(), each with the mark; @name tells what a value is about."""
    return [pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=covers(kind, name(value)))
            for value in values]


def key_of(values):
    """The name of a key from a tuple that begins with its section and its line."""
    return f"[{values[0]}] {values[1]}"


# Processes -------------------------------------------------------------------------------------

def children_of(pid):
    with contextlib.suppress(OSError):
        return [int(child)
                for task in os.listdir(f"/proc/{pid}/task")
                for child in read(f"/proc/{pid}/task/{task}/children").split()]
    return []


def descendants_of(pid):
    found = []
    for child in children_of(pid):
        found += [child, *descendants_of(child)]
    return found


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def pid_inside(pid):
    """The number of a process in its own pid namespace, or None."""
    with contextlib.suppress(OSError):
        for line in read(f"/proc/{pid}/status").splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return int(numbers[-1]) if len(numbers) > 1 else None
    return None


def leader_of(supervisor_pid, timeout=20):
    """The machine's first process, once its program runs (not the launcher's own image)."""
    def find():
        for pid in descendants_of(supervisor_pid):
            if pid_inside(pid) == 1:
                # One that has ended already, since the start failed, has no program.
                with contextlib.suppress(OSError):
                    if os.path.realpath(os.readlink(f"/proc/{pid}/exe")) != os.path.realpath(LAUNCHER):
                        return pid
        return None
    return wait_until(find, timeout, "the start of the machine's first process")


# Control groups --------------------------------------------------------------------------------

def cgroup2_mount():
    for line in read("/proc/self/mountinfo").splitlines():
        fields, _, rest = line.partition(" - ")
        if rest.split()[0] == "cgroup2" and fields.split()[3] == "/":
            return pathlib.Path(fields.split()[4])
    return None


def cgroup2_path(pid):
    for line in read(f"/proc/{pid}/cgroup").splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            return path
    return None


def named_hierarchies(folder="."):
    """This folder in each place where the host shows the hierarchy name=systemd of version 1."""
    return [pathlib.Path(line.split()[4]) / folder for line in read("/proc/self/mountinfo").splitlines()
            if re.search(r" - cgroup .*\bname=systemd\b", line)]


class Cgroup:
    """A control group that a launch may call its own, removed with all below it."""

    def __init__(self, name):
        mount = cgroup2_mount()
        if mount is None:
            raise RuntimeError("no cgroup2 file system is mounted")
        self.path = mount / name
        self.path.mkdir()
        # Where version 1 exists too, the distribution's launcher looks there.
        self.legacy = []
        for line in read("/proc/self/mountinfo").splitlines():
            fields, _, rest = line.partition(" - ")
            if rest.split()[0] == "cgroup" and "name=systemd" in rest:
                self.legacy.append(pathlib.Path(fields.split()[4]) / name)
                self.legacy[-1].mkdir(exist_ok=True)

    def enter(self):
        for path in [self.path, *self.legacy]:
            (path / "cgroup.procs").write_text("0")

    def remove(self):
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        for top in [self.path, *self.legacy]:
            for folder, _, _ in os.walk(top, topdown=False):
                with contextlib.suppress(OSError):
                    wait_until(lambda: remove_folder(folder), 5, f"removal of {folder}")


def remove_folder(path):
    with contextlib.suppress(OSError):
        os.rmdir(path)
    return not os.path.exists(path)


# Notifications ---------------------------------------------------------------------------------

class NotifySocket:
    """Plays the service manager that started the launcher."""

    def __init__(self, folder):
        self.path = str(folder / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self.socket.bind(self.path)

    def receive(self, timeout=20):
        self.socket.settimeout(patient(timeout))
        try:
            return self.socket.recv(4096).decode(errors="replace")
        except (TimeoutError, socket.timeout):
            return None

    def drain(self):
        messages = []
        while (message := self.receive(0.2)) is not None:
            messages.append(message)
        return messages

    def close(self):
        self.socket.close()
        os.unlink(self.path)


# Settings files --------------------------------------------------------------------------------

@contextlib.contextmanager
def settings_file(path, text):
    """A settings file; folders that it needs stay, as the host's own programs would leave them."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


# Trees -----------------------------------------------------------------------------------------

def copy_tree(source, target):
    subprocess.run(["cp", "-a", "--reflink=auto", str(source), str(target)], check=True)


def remove_tree(path):
    subprocess.run(["rm", "-rf", "--one-file-system", str(path)], check=True)


def owners(tree):
    """Who owns what on disk: the state that an id-mapped start must not change."""
    state = {}
    for folder, folders, files in os.walk(tree):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            state[os.path.relpath(path, tree)] = (status.st_uid, status.st_gid)
    return state


def stop(process):
    """Ends a launcher that a test started: asks first, so that it can clean up."""
    for ask in (process.terminate, process.terminate, process.kill):
        if process.poll() is None:
            ask()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)
            return
