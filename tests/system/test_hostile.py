"""Trees, racing processes and payloads that want to reach out of their container.

Beside each hostile tree lies a canary: files that nobody may touch. Whoever opens, reads, writes,
changes or makes anything there is seen, since inotify watches it and times and owners are compared.
"""

import contextlib
import ctypes
import itertools
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import harness
from harness import lines_of, run

pytestmark = pytest.mark.ours

HERE = pathlib.Path(__file__).resolve().parent
BASE = 0x00190000  # inside the window of ranges, and of nobody else here
SPAN = 65536
SECRET = "the canary sings"
LIMIT = 20  # seconds for one start; it takes some milliseconds


# What may not be touched -----------------------------------------------------------------------

LIBC = ctypes.CDLL(None, use_errno=True)
SEEN = {0x1: "read", 0x2: "written", 0x4: "given other attributes", 0x8: "closed after writing",
        0x20: "opened", 0x40: "moved away", 0x80: "moved here", 0x100: "made", 0x200: "removed",
        0x400: "removed", 0x2000: "unmounted"}


class Canary:
    """A folder with names that a launcher looks for, and who is to be caught with it."""

    FILES = ["secret", "new/x", "resolv.conf", "localtime", "machine-id", "os-release", "passwd",
             "group", "hostname", "init", "systemd", "busybox", "target", "prog", "loginuid",
             "lib/os-release", "lib/systemd/systemd", "bin/sh", "sbin/init", "etc/resolv.conf",
             "zoneinfo/Etc/UTC", "nspawn/x", "host/x", "guest/x", "a/b/x", "null", "self/limits"]

    def __init__(self, folder):
        self.top = folder
        for name in self.FILES:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{SECRET}\n", encoding="ascii")
            os.utime(path, (1, 2))  # read later, so a reading changes it
        os.chmod(folder / "prog", 0o755)
        self.watches = {}
        self.inotify = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = sum(SEEN) & 0xfff
        for path, _, files in os.walk(folder):
            for name in [path, *(os.path.join(path, name) for name in files)]:
                self.watches[LIBC.inotify_add_watch(self.inotify, name.encode(), mask)] = name
        self.before = self.state()
        self.events()  # of our own look

    def state(self):
        found = {}
        for path, _, files in os.walk(self.top):
            for name in [path, *(os.path.join(path, name) for name in files)]:
                status = os.lstat(name)
                found[name] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns,
                               status.st_ctime_ns, status.st_size, status.st_ino, status.st_nlink,
                               stat.S_ISDIR(status.st_mode) or status.st_atime_ns)
        return found

    def events(self):
        found = []
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.inotify, 65536):
                while data:
                    watch, mask, _, size = struct.unpack("iIII", data[:16])
                    name = data[16:16 + size].rstrip(b"\0").decode(errors="replace")
                    data = data[16 + size:]
                    if mask & 0x8000:
                        continue
                    words = [word for bit, word in SEEN.items() if mask & bit]
                    found.append(f"{self.watches.get(watch, '?')} {name} was {' and '.join(words)}")
        return found

    def assert_unharmed(self, what):
        events, state, before = self.events(), self.state(), self.before
        if what.startswith("hard link"):
            # The tree's own file has the other name, and may be read and lose that name.
            events = [event for event in events if "written" in event or "made" in event]
            state, before = ({name: (*entry[:4], entry[5]) for name, entry in each.items()}
                             for each in (state, before))
        self.events()
        assert not events, f"{what}: {events}"
        assert state == before, f"{what}: {set(state.items()) ^ set(before.items())}"

    def close(self):
        os.close(self.inotify)


def state_of_host():
    """What a launcher looks at, and what lies where a path that gets out of its tree would go."""
    found = {}
    for top in ("/", "/etc", "/usr", "/usr/lib", "/var", "/var/lib", "/home", "/root", "/mnt"):
        with contextlib.suppress(OSError):
            for name in os.listdir(top):
                path = os.path.join(top, name)
                with contextlib.suppress(OSError):
                    status = os.lstat(path)
                    times = () if stat.S_ISDIR(status.st_mode) else (status.st_mtime_ns,
                                                                     status.st_ctime_ns)
                    found[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_ino, *times)
    for name in ("null", "zero", "full", "random", "urandom", "tty", "console", "ptmx"):
        with contextlib.suppress(OSError):
            status = os.stat(f"/dev/{name}")
            found[f"/dev/{name}"] = (status.st_mode, status.st_rdev, status.st_ino)
    return {path: value for path, value in found.items() if not path.endswith(("passwd-", ".pwd.lock"))}


@pytest.fixture(autouse=True)
def unharmed_host():
    before = state_of_host()
    yield
    after = state_of_host()
    assert after == before, {path for path, value in before.items() ^ after.items()}


# Trees -----------------------------------------------------------------------------------------

FOLDERS = ["usr/bin", "usr/sbin", "usr/lib/systemd", "usr/share/zoneinfo/Etc", "etc", "var/tmp",
           "dev", "proc", "sys", "run", "tmp", "root", "home/guest", "mnt/a/b"]
BUSYBOX = shutil.which("busybox")

# What the payload tells: its mounts, and whether it gets at the secret.
PROBE = ("/busybox cat /proc/self/mountinfo; up=../../../../../../../../../../../../../..;"
         "for place in $up{canary} {canary} /proc/self/cwd/$up{canary} /proc/1/cwd/$up{canary};"
         "do /busybox cat $place/secret; done; echo started")


def make_tree(tree, canary):
    probe = PROBE.replace("{canary}", str(canary))
    for name in FOLDERS:
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib"):
        (tree / name).symlink_to(f"usr/{name}")
    # All trees share one copy: it is megabytes, and only its owner changes.
    shared = canary.parent.parent / "busybox"
    if not shared.exists():
        with contextlib.suppress(FileExistsError):
            shutil.copy2(BUSYBOX, f"{shared}.{tree.name}")
            os.rename(f"{shared}.{tree.name}", shared)
    for name in ("busybox", "usr/bin/busybox"):
        os.link(shared, tree / name)
    (tree / "usr/bin/sh").symlink_to("/busybox")
    for name in ("usr/lib/systemd/systemd", "usr/sbin/init"):
        (tree / name).write_text(f"#!/busybox sh\n{probe}\n", encoding="ascii")
        (tree / name).chmod(0o755)
    for name, text in {
            "usr/lib/os-release": "ID=hostile\n", "etc/machine-id": "",
            "etc/hostname": "hostile\n", "etc/resolv.conf": "# none\n", "etc/target": "",
            "usr/share/zoneinfo/Etc/UTC": "TZif2", "etc/group": "root:x:0:\n",
            "etc/passwd": "root:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/home/guest:/bin/sh\n",
    }.items():
        (tree / name).write_text(text, encoding="ascii")
    (tree / "etc/os-release").symlink_to("../usr/lib/os-release")
    (tree / "etc/localtime").symlink_to("../usr/share/zoneinfo/Etc/UTC")


def clear(path):
    if path.is_symlink() or not path.is_dir():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path)


def link_to(target):
    return lambda path, canary, name: path.symlink_to(target.format(canary=canary, name=name))


def make_socket(path, _canary, _name):
    # By a short name, since the address of a socket is short.
    with socket.socket(socket.AF_UNIX) as s:
        folder = os.open(path.parent, os.O_PATH)
        s.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)


def device(kind, number):
    return lambda path, _canary, _name: os.mknod(path, kind | 0o666, number)


# The machine's, where a journal is linked.
ID = "0123456789abcdef0123456789abcdef"

# How a place is made hostile: (path, canary, name that the canary has for such a place).
KINDS = {
    "nothing": lambda path, canary, name: None,
    "absolute link": link_to("{canary}/{name}"),
    "relative link": link_to(14 * "../" + "..{canary}/{name}"),
    "link to what could be made": link_to("{canary}/new/made"),
    "link to nothing": link_to("/no/such/place"),
    "loop": lambda path, canary, name: path.symlink_to(path.name),
    "link to an open file": link_to("/proc/self/fd/3"),
    "link beside an open file": link_to("/proc/self/fd/3/..{canary}/../{name}"),
    "link to the first process": link_to("/proc/1/root/{canary}/{name}"),
    "link to its folder": link_to("/proc/self/cwd/../{name}"),
    "link to the launcher": link_to("/proc/self/exe"),
    "link to the root": link_to("/"),
    "link to the API": link_to("/dev/../proc/../sys/../run"),
    "fifo": lambda path, canary, name: os.mkfifo(path),
    "socket": make_socket,
    "character device": device(stat.S_IFCHR, os.makedev(1, 8)),
    "terminal": device(stat.S_IFCHR, os.makedev(5, 0)),
    "block device": device(stat.S_IFBLK, os.makedev(7, 200)),
    "file": lambda path, canary, name: path.write_text("\xff\0{}\n" * 9, encoding="latin-1"),
    "folder": lambda path, canary, name: (path / "x").mkdir(parents=True),
    "closed folder": lambda path, canary, name: path.mkdir(0),
    "hard link": lambda path, canary, name: os.link(canary / "secret", path),
}

# Where, and the canary's name for it. Parents of what is asked for are places, too.
PLACES = {
    "/etc": "", "/dev": "", "/proc": "", "/sys": "", "/run": "", "/tmp": "", "/var": "", "/usr": "",
    "/root": "", "/home": "", "/home/guest": "guest", "/bin": "bin", "/lib": "lib", "/usr/lib": "lib",
    "/usr/lib/systemd": "lib/systemd", "/usr/share/zoneinfo": "zoneinfo", "/mnt": "", "/mnt/a": "a",
    "/mnt/a/b": "a/b", "/run/host": "host", "/dev/pts": "", "/dev/shm": "", "/dev/null": "null",
    "/proc/self": "self", "/sys/fs": "", "/etc/resolv.conf": "resolv.conf",
    "/etc/localtime": "localtime", "/etc/machine-id": "machine-id", "/etc/os-release": "os-release",
    "/usr/lib/os-release": "os-release", "/etc/passwd": "passwd", "/etc/group": "group",
    "/var/log": "", "/var/log/journal": "", f"/var/log/journal/{ID}": "",
    "/etc/hostname": "hostname", "/etc/target": "target", "/usr/lib/systemd/systemd": "systemd",
    "/sbin/init": "init", "/usr/bin/busybox": "prog", "/usr/bin/sh": "busybox", "/busybox": "busybox",
}

COMMAND = ["/usr/bin/busybox", "sh", "-c"]


def host_with(script):
    """The launcher on a host whose /etc is another one, seen by nobody else."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            "mkdir {folder}/etc && cp /etc/passwd /etc/group /etc/os-release {folder}/etc && " + script +
            ' && mount --bind {folder}/etc /etc && exec "$@"', "sh"]


def host_with_journals():
    """The launcher on a host with a journal of its own."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c",
            'mkdir -p {folder}/log/journal && mount --bind {folder}/log /var/log && exec "$@"', "sh"]


# Options before the command; the command, or None for the probe; input; what the launcher is run by.
MODES = {
    "plain": ([], "probe", []),
    "boot": (["-b"], None, []),
    "map": (["-U", "--private-users-ownership=map"], "probe", []),
    "chown": ([f"--private-users={BASE}", "--private-users-ownership=chown"], "probe", []),
    "read-only": (["--read-only"], "probe", []),
    "read-only map": (["--read-only", "-U"], "probe", []),
    "boot map": (["-b", "-U", "--private-network"], None, []),
    "bind": (["--bind={folder}/gift:{place}"], "probe", []),
    "bind of a file": (["--bind-ro={folder}/gift/file:{place}"], "probe", []),
    "bind below": (["-U", "--bind={folder}/gift:{place}/x/y"], "probe", []),
    "overlay": (["--overlay={folder}/gift::{place}"], "probe", []),
    "overlay below": (["-U", "--overlay={folder}/gift::{place}/x/y"], "probe", []),
    "source": (["--bind=+{place}:/mnt/source"], "probe", []),
    "source map": (["-U", "--bind-ro=+{place}:/mnt/source"], "probe", []),
    "layer": (["-U", "--overlay=+{place}::/mnt/layer"], "probe", []),
    "upper": (["--overlay={folder}/gift:+{place}:/mnt/layer"], "probe", []),
    "upper map": (["-U", "--overlay=+/usr:+{place}/x:/mnt/layer"], "probe", []),
    "hidden": (["--inaccessible={place}"], "probe", []),
    "owner": (["--bind={folder}/gift:{place}:owneridmap"], "probe", []),
    "tmpfs": (["--tmpfs={place}"], "probe", []),
    "tmpfs map": (["-U", "--tmpfs={place}/x"], "probe", []),
    "folder": (["-U", "--chdir={place}"], "probe", []),
    "folder of the stub": (["-a", "--chdir={place}"], "probe", []),
    "user": (["--user=guest"], "probe", []),
    "home": (["-U", "--user=guest"], "shell", []),
    "host with files": ([], "probe", host_with(
        "echo a >{folder}/etc/localtime && echo a >{folder}/etc/resolv.conf")),
    "host with files, read-only": (["--read-only"], "probe", host_with(
        "echo a >{folder}/etc/localtime && echo a >{folder}/etc/resolv.conf")),
    "journal of the guest": ([f"--uuid={ID}", "--link-journal=guest"], "probe", host_with_journals()),
    "journal of the host": (["-U", f"--uuid={ID}", "--link-journal=host"], "probe",
                            host_with_journals()),
    "journal, if possible": ([f"--uuid={ID}", "-j", "--read-only"], "probe", host_with_journals()),
    "host, replacing": (["--resolv-conf=replace-host", "--timezone=copy"], "probe", host_with(
        "echo a >{folder}/etc/localtime && echo a >{folder}/etc/resolv.conf")),
    "host, binding": (["--resolv-conf=bind-host", "--timezone=bind"], "probe", host_with(
        "echo a >{folder}/etc/localtime && echo a >{folder}/etc/resolv.conf")),
    "host, deleting": (["-U", "--resolv-conf=delete", "--timezone=delete"], "probe", host_with("true")),
    "host, user": (["-U", "--bind-user=dora", "--user=dora"], "probe", host_with(
        "chown 4711 {folder}/gift && echo dora:x:4711:4711::{folder}/gift:/bin/sh >>{folder}/etc/passwd")),
    "host without files": ([], "probe", host_with("true")),
}
# These differ in what is done about files of /etc only.
ETC_MODES = {name for name in MODES if name.startswith("host")}


class Case:
    """One hostile tree with its canary."""

    def __init__(self, folder):
        self.folder = folder
        self.tree = folder / f"{harness.TAG}-{folder.name}"
        (folder / "canary").mkdir(parents=True)
        (folder / "gift").mkdir()
        (folder / "gift/file").write_text("a gift\n", encoding="ascii")
        self.canary = Canary(folder / "canary")
        make_tree(self.tree, self.canary.top)

    def spoil(self, place, kind):
        path = self.tree / place[1:]
        if not path.parent.is_dir():
            path.parent.mkdir(parents=True)
        # Inside of the tree whatever its own links say.
        path = path.parent.resolve() / path.name
        assert path.is_relative_to(self.tree)
        clear(path)
        KINDS[kind](path, self.canary.top, PLACES[place])
        if kind == "hard link":  # made by us just now
            self.canary.before = self.canary.state()
            self.canary.events()

    def start(self, mode, place, limit=LIMIT):
        options, command, wrapper = MODES[mode]
        probe = PROBE.replace("{canary}", str(self.canary.top))
        words = {"folder": self.folder, "place": place}
        line = [word.format(**words) for word in wrapper]
        line += harness.command("-q", "--pipe", "-D", self.tree, *(o.format(**words) for o in options))
        line += {"probe": [*COMMAND, probe], "shell": [], None: []}[command]
        return subprocess.run(line, input=probe if command == "shell" else "", text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=harness.environment(), timeout=limit, check=False)

    def remove(self):
        self.canary.close()
        shutil.rmtree(self.folder)


def is_named(place, line):
    """The object, or something on the way to it, or what was to be run."""
    parts = [part for part in place.split("/") if part]
    return "Cannot start" in line or any(part in line for part in parts)


# They are another place of the tree, and that one is in the way then.
PROGRAMS = ("/usr/bin/sh", "/usr/bin/busybox", "/busybox", "/bin", "/usr", "/usr/lib/systemd/systemd",
            "/sbin/init")
MISDIRECTED = ("link to the root", "link to the API")


def judge(case, result, what, place):
    # Our messages are sentences; those of busybox are not.
    errors = [line for line in lines_of(result.stderr)
              if line.endswith(".") and ", ignoring" not in line and ", going on without" not in line]
    assert SECRET not in result.stdout + result.stderr, what
    # The fourth field is what of its file system is mounted.
    for line in result.stdout.splitlines():
        fields = line.split()
        assert len(fields) < 10 or str(case.canary.top) not in fields[3], f"{what}: {line}"
    if "started" in result.stdout:
        assert not errors, f"{what}: {result.stderr}"
        return "started"
    if not errors:
        # A program of the tree that is another one may fail by itself, without a word of ours.
        assert place in PROGRAMS or what.startswith(MISDIRECTED), f"{what}: {result}"
        return "payload failed"
    assert result.returncode == 1 and len(errors) == 1, f"{what}: {result.returncode} {result.stderr}"
    assert is_named(place, errors[0]) or (
        what.startswith(MISDIRECTED) and "'/" in errors[0]), f"{what}: {errors[0]}"
    return "refused"


# Tried at every place also where time is short; of the others two each, in turn.
ALWAYS = ("absolute link", "link beside an open file", "fifo")


def combinations(place, everything):
    """Each kind, or a few of them, in the mode whose turn it is: another one at each place."""
    turn = list(PLACES).index(place)
    modes = [mode for mode in MODES if mode not in ETC_MODES or place.startswith("/etc")]
    for number, kind in enumerate(KINDS):
        if kind == "hard link" and not is_file(place):
            continue
        if not everything and kind not in ALWAYS and (turn + number) % 9:
            continue
        other = modes[(turn + number) % len(modes)]
        if kind == "hard link" and other == "chown":
            other = "map"  # a hard link in a tree is the tree's own file, and owners are changed
        yield kind, other


def is_file(place):
    return place.startswith(("/etc/", "/usr/lib/os-release", "/usr/lib/systemd/systemd", "/sbin/init",
                             "/usr/bin/", "/busybox", "/dev/null"))


numbers = itertools.count()


def try_tree(work, place, kind, mode):
    case = Case(work / f"c{next(numbers)}")
    what = f"{kind} at {place}, {mode}"
    try:
        case.spoil(place, kind)
        result = case.start(mode, place)
        answer = judge(case, result, what, place)
        case.canary.assert_unharmed(what)
        beside = sorted(set(os.listdir(case.folder)) - {"canary", "gift", "etc", "log", case.tree.name})
        assert not beside, f"{what}: {beside}"
        assert os.listdir(case.folder / "gift") == ["file"], what
        return answer
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"{what}: it did not end") from error
    finally:
        case.remove()


def try_all(work, place, everything):
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda pair: try_tree(work, place, *pair),
                                combinations(place, everything)))
    counts = {answer: answers.count(answer) for answer in sorted(set(answers))}
    print(f"{place}: {len(answers)} starts, {counts}")
    assert answers


@pytest.fixture(autouse=True)
def needs_busybox():
    if not BUSYBOX:
        pytest.skip("a static busybox is needed for the trees")


@pytest.mark.parametrize("place", PLACES)
def test_hostile_tree(work, place):
    try_all(work, place, False)


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_hostile_tree_in_every_way(work, place):
    if harness.WITH_SANITIZERS:
        pytest.skip("the shorter list is enough under the sanitizers")
    try_all(work, place, True)


# Names that change while a machine starts ----------------------------------------------------------

@pytest.fixture(scope="session")
def guest_program(work):
    """A static program that does what a payload of bad will does, and some chores of these tests."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        pytest.skip("no compiler: the hostile payload cannot be made")
    program = work / "hostile-guest"
    made = subprocess.run([compiler, "-static", "-O2", "-o", str(program),
                           str(HERE / "hostile-guest.c")], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no static program can be made: {made.stdout.strip().splitlines()[-1]}")
    yield program
    program.unlink()


@contextlib.contextmanager
def swapping(program, a, b, count_path):
    """Two names change places all the time; gives a function that tells how often they did."""
    with subprocess.Popen([str(program), "swap", str(a), str(b), str(count_path)]) as racer:
        def count():
            with contextlib.suppress(OSError, struct.error):
                return struct.unpack("L", count_path.read_bytes())[0]
            return 0
        try:
            harness.wait_until(lambda: count() > 100, 10, "the racer")
            yield count
        finally:
            racer.kill()
    count_path.unlink()


# What is swapped for what, and the mode of the starts. "{tree}" is the tree's own name.
RACES = {
    "/etc": ("", "plain"), "/etc/": ("", "chown"), "/dev": ("", "map"), "/run": ("", "plain"),
    "/var": ("", "chown"), "/mnt/a/b": ("a/b", "bind"), "/mnt": ("", "bind below"),
    "/proc": ("", "plain"), "/sys": ("", "plain"), "/home": ("", "home"), "/usr": ("", "chown"),
    "/etc/resolv.conf": ("resolv.conf", "plain"), "/etc/machine-id": ("machine-id", "plain"),
    "/etc/localtime": ("localtime", "plain"), "/mnt/a": ("a", "folder"), "/root": ("", "boot"),
    "/mnt/": ("", "upper"), "/mnt/a/": ("a", "source map"), "/home/": ("", "upper map"),
    "/etc//": ("", "layer"), "/home//": ("", "hidden"),
}


def race(case, mode, place, count, seconds):
    """Starts one after the other for some time. Gives how many there were, and how they ended."""
    ends, begin = {}, time.monotonic()
    while time.monotonic() - begin < seconds:
        if mode == "chown":  # each time to other owners, so that each time there is something to do
            MODES["chown"][0][0] = f"--private-users={BASE + SPAN * (sum(ends.values()) % 2)}"
        result = case.start(mode, place)
        assert result.returncode in (0, 1, 126, 127, 255), result
        assert SECRET not in result.stdout + result.stderr
        end = "started" if "started" in result.stdout else "failed"
        ends[end] = ends.get(end, 0) + 1
        case.canary.assert_unharmed(f"race at {place}, {mode}, {ends}, {count()} swaps")
    print(f"race at {place}, {mode}: {ends}, while the names were swapped {count()} times")


def race_inside(work, guest_program, place, seconds):
    """A folder or file of the tree is now itself, now a link to the canary."""
    name, mode = RACES[place]
    place = "/" + place.strip("/")
    case = Case(work / f"c{next(numbers)}")
    saved = list(MODES["chown"][0])
    try:
        if mode == "chown":  # enough to do that it is met at work
            for number in range(60):
                (case.tree / place[1:] / f"d{number}/e/f").mkdir(parents=True)
        original = (case.tree / place[1:]).parent.resolve() / os.path.basename(place)
        other = original.parent / "swapped"
        other.symlink_to(case.canary.top / name)
        with swapping(guest_program, original, other, case.folder / "swaps") as count:
            race(case, mode, place, count, seconds)
    finally:
        MODES["chown"][0][:] = saved
        case.remove()


@pytest.mark.parametrize("place", ["/etc/", "/dev", "/mnt", "/etc/resolv.conf", "/mnt/", "/home/"])
def test_race(work, guest_program, place):
    race_inside(work, guest_program, place, 0.7)


@pytest.mark.slow
@pytest.mark.parametrize("place", RACES)
def test_race_for_longer(work, guest_program, place):
    race_inside(work, guest_program, place, 2.5)


@pytest.mark.parametrize("mode", ["plain", pytest.param("chown", marks=pytest.mark.slow),
                                  pytest.param("map", marks=pytest.mark.slow)])
def test_race_of_the_folder_above_the_tree(work, guest_program, mode):
    """The tree's lock is beside the tree; clean-up takes away that one and no other."""
    outer = work / f"c{next(numbers)}"
    case = Case(outer / "inner")
    saved = list(MODES["chown"][0])
    try:
        # The canary must not be where the swapped name leads through.
        aside = Canary(outer / "aside")
        (outer / "swapped").symlink_to(aside.top)
        aside.before = aside.state()
        aside.events()
        with swapping(guest_program, outer / "inner", outer / "swapped", outer / "swaps") as count:
            ends, begin = {}, time.monotonic()
            while time.monotonic() - begin < (0.7 if mode == "plain" else 2):
                result = case.start(mode, "/mnt")
                end = "started" if "started" in result.stdout else "failed"
                ends[end] = ends.get(end, 0) + 1
                aside.assert_unharmed(f"race above the tree, {mode}, {ends}, {count()} swaps")
            print(f"race above the tree, {mode}: {ends}, while swapped {count()} times")
        if (outer / "inner").is_symlink():
            (outer / "inner").unlink()
            os.rename(outer / "swapped", outer / "inner")
        left = sorted(name for name in os.listdir(outer / "inner") if name.startswith(".#"))
        assert not left
        aside.close()
    finally:
        MODES["chown"][0][:] = saved
        case.canary.close()
        shutil.rmtree(outer)


def test_lease_on_a_file_of_the_tree(work):
    """Who has a lease on a file could hold everybody up who opens it, for three quarters of a minute."""
    case = Case(work / f"c{next(numbers)}")
    lease = os.open(case.tree / "etc/machine-id", os.O_RDONLY)
    try:
        f_setlease = 1024
        old = signal.signal(signal.SIGIO, signal.SIG_IGN)
        if LIBC.fcntl(lease, f_setlease, 1) < 0:  # F_WRLCK: broken by every open
            pytest.skip("this file system has no leases")
        begin = time.monotonic()
        result = case.start("plain", "/mnt", 100)
        # The machine's id cannot be read, so this is the end, with one sentence.
        assert result.returncode == 1
        assert "Cannot look at the root directory" in result.stderr
        assert time.monotonic() - begin < 10
    finally:
        os.close(lease)
        signal.signal(signal.SIGIO, old)
        case.remove()


# Open descriptors as a way out ---------------------------------------------------------------------

# Each is followed by the kernel alone, as the container's first process, before the payload runs.
WAYS = {
    "--chdir=": ["--chdir=/way"],
    "--chdir= of the stub": ["-a", "--chdir=/way"],
    "home": ["--user=guest"],
    "init": ["-b"],
    "program": [],
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("users", [[], ["-U"]], ids=["root", "users"])
def test_no_link_leads_out_through_an_open_file(work, way, users):
    """What the launcher has open when it follows a name of the tree must not be the host's.

    Among it are, or were, the tree itself, above which is the host, and the machine's control groups.
    """
    case = Case(work / f"c{next(numbers)}")
    up = "/.." * 12
    place = case.tree / {"home": "home/guest", "init": "usr/lib/systemd/systemd",
                         "program": "usr/bin/busybox"}.get(way, "way")
    mode = {"home": "shell", "init": None}.get(way, "probe")
    MODES["way"] = ([*users, *WAYS[way]], mode, [])
    if way == "init":
        (case.tree / "usr/sbin/init").unlink()
    highest = 40 if users and way == "--chdir=" else 14
    try:
        for process, number in itertools.product(("self", "1"), range(3, highest)):
            clear(place)
            tail = f"{case.canary.top}/prog" if way in ("init", "program") else ""
            place.symlink_to(f"/proc/{process}/fd/{number}{up}{tail}")
            result = case.start("way", "/way")
            what = f"{way} by /proc/{process}/fd/{number}: {result}"
            assert result.returncode == 1 or way == "home", what
            assert SECRET not in result.stdout, what
            case.canary.assert_unharmed(what)
            if process == "1" and not way.endswith("stub"):
                break
    finally:
        del MODES["way"]
        case.remove()


def listed(text):
    """"NUMBER TARGET" lines of hostile-guest, of which the standard three are of no interest."""
    found = dict(line.split(" ", 1) for line in lines_of(text) if re.match(r"\d+ ", line))
    assert {"0", "1", "2"} <= set(found), text
    return {int(number): target for number, target in found.items() if int(number) > 2}


@contextlib.contextmanager
def many_descriptors(number=200):
    """Open in the caller and inherited by all it starts, as those of a careless one are."""
    fds = []
    try:
        for _ in range(number):
            fds.append(os.open("/", os.O_RDONLY | os.O_DIRECTORY))
            os.set_inheritable(fds[-1], True)
        yield fds
    finally:
        for fd in fds:
            os.close(fd)


CONSOLES = ["interactive", "read-only", "passive", "pipe", "autopipe"]


@pytest.fixture(scope="module")
def armed(busybox_source, work, guest_program):
    """A tree with the hostile program as a command and as its init. Nobody here changes it."""
    folder = work / f"armed{next(numbers)}"
    folder.mkdir()
    tree = folder / f"{harness.TAG}-armed"
    harness.copy_tree(busybox_source, tree)
    for name in ("usr/bin/guest", "usr/lib/systemd/systemd"):
        (tree / name).parent.mkdir(exist_ok=True)
        shutil.copy2(guest_program, tree / name)
    yield tree
    assert os.listdir(folder) == [tree.name]
    harness.remove_tree(folder)


@pytest.mark.parametrize("args", [[], ["-a"], ["-b"], ["-U"], ["-a", "-U", "--private-network"],
                                  ["-u", "guest"]], ids=" ".join)
@pytest.mark.parametrize("console", CONSOLES)
def test_descriptors_of_the_payload(armed, console, args):
    """It has the standard three and no other, whatever its caller had open."""
    out = armed / "tmp-out"
    out.write_text("", encoding="ascii")
    out.chmod(0o666)
    command = ["fds", "/tmp-out"] if "-b" in args else ["/usr/bin/guest", "fds", "/tmp-out"]
    line = harness.command("-q", f"--console={console}", *args, "-D", armed, *command)
    with many_descriptors():
        master, slave = pty.openpty()
        try:
            process = subprocess.Popen(line, stdin=slave, stdout=slave, stderr=subprocess.PIPE,
                                       env=harness.environment(), close_fds=False)
            os.close(slave)
            with contextlib.suppress(OSError):  # the end of a terminal is an error
                while process.poll() is None:
                    if select.select([master], [], [], 0.05)[0]:
                        os.read(master, 4096)
            process.wait(20)
            errors = process.stderr.read()
            process.stderr.close()
        finally:
            os.close(master)
    assert process.returncode == 0, errors
    assert listed(out.read_text(encoding="ascii")) == {}


@pytest.mark.parametrize("args", [[], ["-a"], ["-b"], ["-U"]], ids=" ".join)
def test_descriptors_that_are_passed_on(armed, args):
    """sd_listen_fds(3): those that were announced, and of 200 others none."""
    command = ["fds"] if "-b" in args else ["/usr/bin/guest", "fds"]
    line = harness.command("-q", "--pipe", *args, "-D", armed, *command)
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two, \
            many_descriptors():
        shell = ["bash", "-c", f"exec 3<&{one.fileno()} 4<&{two.fileno()}; "
                 'LISTEN_PID=$$ LISTEN_FDS=2 exec "$@"', "bash", *line]
        for s in (one, two):
            s.set_inheritable(True)
            # The shell must find them where it does not write over them.
            assert s.fileno() > 4
        result = subprocess.run(shell, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, env=harness.environment(),
                                close_fds=False, check=False)
    assert result.returncode == 0, result.stderr
    found = listed(result.stdout)
    assert set(found) == {3, 4} and all(target.startswith("socket:") for target in found.values())


@pytest.mark.parametrize("helper", ["seccomp-compile", "host-scope"])
def test_descriptors_of_helpers(armed, work, guest_program, helper):
    """A helper gets its channel and nothing else: neither of ours nor of our caller's."""
    folder = work / f"helpers{next(numbers)}"
    folder.mkdir()
    for name in ("seccomp-compile", "host-scope"):
        (folder / name).symlink_to(os.path.join(os.path.dirname(harness.LAUNCHER), name))
    (folder / f"{helper}.real").symlink_to(os.path.join(os.path.dirname(harness.LAUNCHER), helper))
    (folder / helper).unlink()
    shutil.copy2(guest_program, folder / helper)
    # A filter that no start had before is made by its helper; a scope is asked for where systemd is.
    line = harness.command("-q", "--pipe", f"--system-call-filter=@{harness.TAG}", "-D", armed, "true")
    script = "mount -t tmpfs none /run || exit 1; "  # nothing of this is seen on the host
    if helper == "host-scope":
        script += "mkdir -p /run/systemd/system; "
    script += 'exec "$@"'
    with many_descriptors():
        subprocess.run(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
                        *line], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, close_fds=False, timeout=60, check=False,
                       env=harness.environment(STEAD_LIBEXECDIR=str(folder)))
    try:
        found = listed((folder / f"{helper}.fds").read_text(encoding="ascii"))
    finally:
        shutil.rmtree(folder)
    if helper == "host-scope":
        assert len(found) == 1 and found.pop(3).startswith("socket:")
    else:
        assert found == {}


# What a supervisor has open while its machine runs.
HELD = [
    r"/dev/null", r"pipe:\[\d+\]", r"pipe:\[\d+\]",             # the three of its caller
    r"{tree}", r"{folder}/\.#[^/]+\.lck", r"/run/systemd/nspawn/locks/inode-\d+:\d+",
    r"anon_inode:\[signalfd\]", r"anon_inode:\[pidfd\]",        # signals; the first process
    r"/.*/machine-[^/]*\.scope", r"/.*/machine-[^/]*\.scope/payload",
    r"socket:\[\d+\]", r"/run/host/proc-kmsg",                  # notifications; no kernel log
]
HELD_FOR = {
    "pipe": [],
    "read-only": [r"/dev/pts/ptmx", r"/dev/pts/0", r"pipe:\[\d+\]"],  # with its own of the output
    "passive": [r"/dev/pts/ptmx", r"/dev/pts/0"],
}


@pytest.mark.parametrize("users", [[], ["-U"]], ids=["root", "users"])
@pytest.mark.parametrize("console", HELD_FOR)
def test_descriptors_of_the_supervisor(armed, console, users):
    if harness.WITH_SANITIZERS:
        pytest.skip("a sanitizer may have descriptors of its own")
    process = harness.start(f"--console={console}", *users, "-D", armed, "sleep", "99")
    try:
        harness.leader_of(process.pid)
        expected = HELD + HELD_FOR[console]
        if users:
            expected = [*expected, r"/run/systemd/nspawn-uid/\d+"]
        places = {"tree": re.escape(str(armed)), "folder": re.escape(str(armed.parent))}
        patterns = [re.sub(r"\{(tree|folder)\}", lambda m: places[m[1]], each) for each in expected]

        def is_as_expected():
            held = [os.readlink(f"/proc/{process.pid}/fd/{fd}")
                    for fd in os.listdir(f"/proc/{process.pid}/fd")]
            rest = list(held)
            for pattern in patterns:
                fits = next((each for each in rest if re.fullmatch(pattern, each)), None)
                if fits is None:
                    return f"nothing is {pattern}: {held}"
                rest.remove(fits)
            return f"too many: {rest}" if rest else ""
        # The channel goes when the payload runs.
        with contextlib.suppress(AssertionError):
            harness.wait_until(lambda: not is_as_expected(), 5)
        assert not is_as_expected()
    finally:
        harness.stop(process)


# Payloads of bad will ------------------------------------------------------------------------------

def guest_run(tree, *args, timeout=60, **options):
    begin = time.monotonic()
    result = run("--pipe", *options.pop("options", []), "-D", tree, "/usr/bin/guest", *args,
                 timeout=timeout, **options)
    return result, time.monotonic() - begin


@pytest.mark.parametrize("options", [[], ["-U"], ["-a"]], ids=" ".join)
@pytest.mark.parametrize("what", ["kill", "mounts", "names", "console", "linger"])
@pytest.mark.parametrize("how", ["exits", "poweroff"])
def test_nuisance(armed, what, how, options):
    """It ends, with what it does counted as its end, and the host is as before (see clean_host)."""
    result, seconds = guest_run(armed, what, *(["poweroff"] if how == "poweroff" else []),
                                options=options)
    # As a child of the stub it can neither end the machine nor, of all things, be spared by itself.
    assert result.returncode in (0, 1, 255), result
    assert seconds < 20
    assert run("-D", armed, "true").returncode == 0


@pytest.mark.parametrize("what", ["kill", "mounts", "names", "console", "linger"])
def test_nuisance_is_stopped(armed, what):
    """Whatever it has done to itself, a supervisor that is asked ends it and leaves nothing."""
    process = harness.start("-U", "-D", armed, "/usr/bin/guest", what, "wait")
    harness.leader_of(process.pid)
    time.sleep(0.2)
    begin = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("console", ["read-only", "interactive"])
def test_seized_console(armed, console):
    """It fills its terminal, hides it and closes it; what it said arrives, and the end, too."""
    result = run(f"--console={console}", "-D", armed, "/usr/bin/guest", "console", timeout=30)
    assert result.returncode == 0 or console == "interactive"


@pytest.mark.parametrize("options", [[], ["-a"]], ids=" ".join)
def test_flood_of_notifications(armed, notify, options):
    """Only who we are, and words about it, is passed on; descriptors that come along are closed."""
    process = harness.start("--pipe", *options, "-D", armed, "/usr/bin/guest", "notify",
                            env=harness.environment(NOTIFY_SOCKET=notify.path))
    messages, held = [], set()
    while process.poll() is None:
        with contextlib.suppress(OSError):
            held.add(len(os.listdir(f"/proc/{process.pid}/fd")))
        if message := notify.receive(0.05):
            messages.append(message)
    out, errors = process.communicate(timeout=20)
    messages += notify.drain()
    assert process.returncode == 0 and int(out.split()[1]) > 4000, errors
    assert max(held) < 40, "descriptors of messages are taken"
    allowed = re.compile(r"(STATUS=Container running(\.|: (forged\?\[2J|the last word)?)?|READY=1"
                         r"|STATUS=Terminating\.\.\.|STOPPING=1|X_NSPAWN_LEADER_PID=(?!1$)\d+)")
    lines = {line for message in messages for line in message.split("\n")}
    assert all(allowed.fullmatch(line) for line in lines), lines
    if options:
        assert not any("forged" in line for line in lines), "it is not the first process"


def test_notifications_from_outside_do_not_keep_a_machine(armed):
    """A descriptor of its notification socket got out, and somebody there goes on writing."""
    process = harness.start("--pipe", "-D", armed, "sleep", "99")
    flooders = []
    try:
        leader = harness.leader_of(process.pid)
        # As if it had been handed over: the socket is reached through the payload's own root.
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        s.connect(f"/proc/{leader}/root/run/host/notify")
        for _ in range(8):  # more than the socket has places: one always waits for room
            flooders.append(os.fork())
            if flooders[-1] == 0:
                try:
                    while True:
                        s.send(b"READY=1\nSTATUS=again")
                finally:
                    os._exit(0)
        s.close()
        time.sleep(0.2)
        begin = time.monotonic()
        process.terminate()
        process.communicate(timeout=20)
        assert time.monotonic() - begin < 10
    finally:
        for flooder in flooders:
            os.kill(flooder, signal.SIGKILL)
            os.waitpid(flooder, 0)
        harness.stop(process)


@pytest.mark.parametrize("options", [[], ["-U"], ["--keep-unit"]], ids=" ".join)
def test_control_groups_of_a_nuisance(armed, cgroup, options):
    """Wide, deep, frozen, with names that are not text, and with processes in them: all of it goes."""
    kept = {"cgroup": cgroup} if "--keep-unit" in options else {}
    result, seconds = guest_run(armed, "groups", "300", "100", options=options, **kept)
    assert result.returncode == 0, result
    assert int(result.stdout.split()[1]) > 400
    assert seconds < 30


@pytest.mark.slow
def test_a_thousand_control_groups(armed):
    result, seconds = guest_run(armed, "groups", "1000", "600", options=["-U"], timeout=120)
    assert result.returncode == 0, result
    assert int(result.stdout.split()[1]) > 1100
    print(f"1000 groups beside each other, and a nest of them, took {seconds:.1f} s")
