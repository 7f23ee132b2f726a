"""The engine of the fault tests: starts with one thing gone wrong, and what came of them.

tests/faults/inject.c makes the N-th system call of a process fail, or kills at that moment. Here the
calls of a start are listed, one run is made for each call and error, and each run is judged: what it
printed, how it ended, what it left. test_faults.py has the starts and the list of tolerated calls.
"""

import collections
import contextlib
import dataclasses
import errno
import os
import pathlib
import queue
import re
import shutil
import signal
import stat
import subprocess
import threading
import time

import harness
import network

SOURCES = harness.TOP / "tests" / "faults"

# What each call may come back with: what the kernel says when something is used up or forbidden, and,
# where the launcher has another way for kernels and sandboxes without the call, what those say.
ERRORS = {
    "access": "EACCES", "bind": "EADDRINUSE ENOSPC", "bpf": "EPERM ENOSYS ENOMEM EINVAL",
    "capget": "EPERM", "capset": "EPERM", "chdir": "EACCES", "clock_nanosleep": "EINTR",
    "clone": "EAGAIN ENOMEM", "clone3": "EAGAIN ENOMEM EPERM ENOSYS EINVAL ENOSPC EBUSY",
    "close": "EIO EINTR", "close_range": "ENOSYS EINVAL", "connect": "ECONNREFUSED EINTR",
    "dup2": "EMFILE EBUSY", "execve": "ENOMEM EACCES ENOEXEC E2BIG", "fchdir": "EACCES",
    "fchmod": "EPERM", "fchmodat": "EPERM", "fchown": "EPERM ENOSPC", "fchownat": "EPERM ENOSPC",
    "fcntl": "ENOLCK EINTR", "fgetxattr": "EIO", "flock": "ENOLCK EINTR", "fremovexattr": "EIO",
    "fsconfig": "EINVAL EPERM ENOMEM ENOSYS", "fsetxattr": "ENOSPC EOPNOTSUPP",
    "fsmount": "EMFILE EPERM ENOSYS", "fsopen": "EMFILE EPERM ENOSYS ENODEV", "fstat": "EIO",
    "ftruncate": "EIO", "getcwd": "ENOENT", "getdents64": "EIO", "getrandom": "ENOSYS EAGAIN",
    "getxattr": "EIO", "ioctl": "EIO ENOTTY EPERM", "keyctl": "ENOSYS EDQUOT", "kill": "EPERM",
    "linkat": "ENOSPC EEXIST", "lseek": "ESPIPE", "mkdir": "ENOSPC EACCES", "mkdirat": "ENOSPC EROFS", "mknodat": "ENOSPC EPERM",
    "mount": "EPERM ENOMEM EINVAL ENOSYS", "mount_setattr": "EPERM ENOMEM EINVAL ENOSYS",
    "move_mount": "EPERM ENOMEM EINVAL ENOSYS", "newfstatat": "EIO EACCES",
    "open_tree": "EMFILE EPERM ENOSYS ENOMEM", "openat": "EMFILE EACCES EINTR",
    "openat2": "EMFILE EPERM ENOSYS EAGAIN", "pidfd_open": "EMFILE ENOSYS",
    "pidfd_send_signal": "EPERM", "pipe2": "EMFILE", "pivot_root": "EINVAL EPERM",
    "poll": "EINTR ENOMEM", "prctl": "EINVAL EPERM", "prlimit64": "EPERM EINVAL",
    "read": "EIO EINTR", "readlink": "EACCES EIO", "readlinkat": "EACCES EIO",
    "recvmsg": "EINTR ENOMEM ECONNRESET", "rename": "ENOSPC", "renameat": "ENOSPC",
    "rmdir": "EBUSY", "rt_sigaction": "EINVAL", "rt_sigprocmask": "EINVAL",
    "rt_sigtimedwait": "EINTR", "seccomp": "ENOMEM EINVAL EACCES ENOSYS",
    "sendmsg": "EINTR ENOBUFS EPIPE", "sendto": "EINTR ENOBUFS", "setgroups": "EPERM ENOMEM",
    "sethostname": "EPERM", "setns": "EPERM ENOMEM", "setresgid": "EPERM", "setresuid": "EAGAIN EPERM",
    "setsid": "EPERM", "setsockopt": "ENOMEM", "setxattr": "ENOSPC EOPNOTSUPP",
    "signalfd4": "EMFILE ENOMEM", "socket": "EMFILE EPERM", "socketpair": "EMFILE ENOBUFS",
    "statfs": "EIO", "symlinkat": "ENOSPC EROFS", "umount2": "EPERM EBUSY", "uname": "EFAULT",
    "unlink": "EBUSY", "unlinkat": "EBUSY EROFS", "unshare": "EPERM ENOMEM ENOSPC",
    "waitid": "EINTR ECHILD", "write": "ENOSPC EINTR EIO",
    # Memory: from the chosen call on there is none.
    "brk": "ENOMEM", "mmap": "ENOMEM",
}
STICKY = {"brk", "mmap"}
# They have no errors.
CANNOT_FAIL = {"geteuid", "getegid", "getgid", "getpid", "getppid", "gettid", "getuid", "umask"}


@dataclasses.dataclass(frozen=True)
class Call:
    role: str
    index: int
    name: str
    arguments: str

    def __str__(self):
        return f"{self.role} {self.index} {self.name}({self.arguments})"


@dataclasses.dataclass(frozen=True)
class Fault:
    """A call, and what happens at it: an error, or a kill of a process."""
    call: Call
    error: str = ""
    kill: str = ""
    whole: bool = False  # the call may be one after the start

    def options(self):
        line = [f"--role={self.call.role}", f"--index={self.call.index}"]
        if self.whole:
            line.append("--whole")
        if self.kill:
            return [*line, f"--kill={self.kill}"]
        sticky = ["--from"] if self.call.name in STICKY else []
        return [*line, f"--errno={getattr(errno, self.error)}", *sticky]

    def __str__(self):
        return f"{self.call}: " + (f"SIGKILL of {self.kill}" if self.kill else self.error)


@dataclasses.dataclass
class Result:
    calls: list
    hits: list
    started: bool
    killed: bool
    hangs: list
    end: tuple
    output: str
    messages: list


@dataclasses.dataclass(frozen=True)
class Tolerated:
    """A call whose failure the launcher lives with. All but @reason are patterns for the whole text.

    @says: the sentence that is allowed, with which it goes on, or ends although it does not have the
    words of the error. @differs: lines of the inside view that may differ. @leaves: what may be left.
    @before_main: it may end in any way, since none of our code has run yet. @seldom: the call is made
    only when others use the host at the same moment, or on some hosts.
    """
    role: str
    name: str
    arguments: str
    reason: str
    errors: str = "E.*"  # or SIGKILL
    says: str = ""
    differs: str = ""
    leaves: str = ""
    before_main: bool = False
    seldom: bool = False
    start: str = ".*"

    def covers(self, start, fault, hit):
        return all(re.fullmatch(pattern, text) for pattern, text in (
            (self.start, start), (self.role, hit.role), (self.name, hit.name),
            (self.arguments, hit.arguments), (self.errors, fault.error or "SIGKILL")))


def parse_report(text):
    result = Result([], [], False, False, [], ("none", 0), "", [])
    for line in text.splitlines():
        word, *fields = line.split("\t")
        if word in ("call", "hit"):
            call = Call(fields[0], int(fields[1]), fields[2], fields[3] if len(fields) > 3 else "")
            (result.calls if word == "call" else result.hits).append(call)
        elif word == "started":
            result.started = True
        elif word == "killed":
            result.killed = True
        elif word == "hang":
            result.hangs.append(fields[1])
        elif word == "end":
            result.end = (fields[0], int(fields[1]))
    return result


def build(folder):
    """The injector and the payload, made with the compiler of the host."""
    compiler = os.environ.get("CC", "cc").split()
    for name, options, libraries in (("inject", [], ["-lseccomp"]), ("inside", ["-static"], [])):
        subprocess.run([*compiler, "-O2", "-Wall", "-Wextra", *options, "-o", folder / name,
                        SOURCES / f"{name}.c", *libraries], check=True)


# The look from inside --------------------------------------------------------------------------

STATUS_LINES = re.compile(r"^(Umask|Uid|Gid|Groups|NSpid|Sig(Pnd|Blk|Ign|Cgt)|Shd|Cap|NoNewPrivs|Seccomp:)")


def without_base(text):
    """Ids of the host that were picked, as their place in the range."""
    found = re.search(r"== /proc/self/uid_map\s+0\s+(\d+)", text)
    base = int(found[1]) if found else 0
    if base == 0:
        return text
    return re.sub(r"\b\d{6,10}\b", lambda number: f"BASE+{int(number[0]) - base}"
                  if 0 <= int(number[0]) - base < 65536 else number[0], text)


def picture(text):
    """What the payload printed, without what is different in each start."""
    lines, section = [], ""
    text = without_base(text)
    for line in text.replace("\r", "").splitlines():
        if line.startswith("== "):
            section = line[3:]
        elif section == "/proc/self/mountinfo":
            line = " ".join(line.split()[3:])  # without the numbers of mounts and devices
            line = re.sub(r"( - sysfs sysfs) .*", r"\1", line)  # the whole host has this one
        elif section.endswith("id_map"):
            line = " ".join(line.split())
        elif section == "/proc/self/status" and not STATUS_LINES.match(line):
            continue
        elif section == "/proc/self/cgroup":
            # Hierarchies of version 1 come and go with others, and have a new number each time.
            line = line.partition(":")[2]
            if line.startswith("name=") and not line.startswith("name=systemd:"):
                continue
        elif section == "/proc/net/dev":
            line = line.split(":")[0] if ":" in line else ""
        elif section == "/proc/net/if_inet6":
            # Without flags, which change by themselves, and addresses that the kernel gives when it likes.
            fields = line.split()
            line = f"{fields[0]}/{fields[2]} {fields[5]}" if len(fields) > 5 and fields[3] == "00" else ""
        line = re.sub(r"/stead-temp-[^/]*", "/stead-temp", line)
        line = re.sub(r"(pipe|socket):\[\d+\]", r"\1", line)
        line = re.sub(r"(shared|master):\d+", r"\1", line)
        line = re.sub(r"\b[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}\b", "ID", line)
        if line.strip():
            lines.append(line)
    return lines


def difference(one, other):
    count = collections.Counter(one)
    count.subtract(other)
    return sorted(line for line, n in count.items() if n)


# One place to start in -------------------------------------------------------------------------

class Bench:
    """A tree, a machine name and the looks at what belongs to them."""

    def __init__(self, work, tools, number):
        self.name = f"{harness.TAG}-f{number}"
        self.number = f"{harness.TAG}{number}"
        self.marks = (self.name, self.name.replace("-", "\\x2d"), self.number)
        self.folder = work / f"faults{number}"
        self.folder.mkdir()
        self.tree = self.folder / self.name
        self.tools = tools
        self.source = self.folder / "source"
        self.source.mkdir()
        (self.source / "file").write_text("from the host\n")
        self.host = self.folder / "host"
        self.make_host()
        self.tree.mkdir()
        self.prepared_for = None
        self.entries = {}
        self.lock = self.lock_name()
        self.bases = set()
        self.group = None
        # Each bench has a filter of its own, so that none finds the other's in the cache.
        self.denied = ["acct", "acct swapon"][number % 2]
        self.filters = set()
        self.network = None      # network.Host, for starts with links
        self.network_before = set()
        self.stack = contextlib.ExitStack()

    def lock_name(self):
        status = os.stat(self.tree)
        return f"inode-{status.st_dev}:{status.st_ino}"

    def make_host(self):
        """What the launcher sees of its host with own_host: a user, a zone that is a file, a journal."""
        for folder in ("etc", "log/journal", "home"):
            (self.host / folder).mkdir(parents=True)
        for name in ("passwd", "group", "os-release"):
            shutil.copy(f"/etc/{name}", self.host / "etc")
        for name, text in (("localtime", "TZif2 of the host"), ("resolv.conf", "nameserver 192.0.2.1\n"),
                           ("shadow", "faults:$6$salt$hash:19000::::::\n"),
                           ("machine-id", f"{32 * '7'}\n")):
            (self.host / "etc" / name).write_text(text)
        with open(self.host / "etc/passwd", "a", encoding="ascii") as file:
            file.write(f"faults:x:4711:4711:Faults:{self.host}/home:/bin/sh\n")
        os.chown(self.host / "home", 4711, 4711)

    def on_host(self, start):
        if not start.own_host:
            return []
        script = (f"mount --bind {self.host}/etc /etc && mount --bind {self.host}/log /var/log && "
                  'exec "$@"')
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]

    def enter_network(self, start):
        """A host of the bench's own, for starts with links. It stays from one run to the next."""
        if not start.network:
            return
        # What is left there is looked for by left_behind().
        self.network = self.stack.enter_context(network.Host(clean=False))
        if start.network == "busy":
            # Somebody else's machine keeps alive what serves the network.
            # Its name has nothing of the marks that left_behind() looks for.
            other = self.host / f"{harness.TAG}-b{self.tree.name[-1]}"
            harness.remove_tree(other)
            harness.copy_tree(self.tree, other)
            self.stack.enter_context(self.network.machine(*start.arguments[:-1], "-D", other, "inside", "wait"))
        self.network_before = self.look_at_network()

    def look_at_network(self):
        """What is on the bench's host: as quick as can be, since it is done for each run."""
        root = f"/proc/{self.network.inside.pid}"
        found = {f"link {name}" for name in os.listdir(f"{root}/root/sys/class/net")}
        found |= {f"route {line}" for line in harness.read(f"{root}/net/route").splitlines()}
        found |= {f"route {line.split()[0]} {line.split()[-1]}"
                  for line in harness.read(f"{root}/net/ipv6_route").splitlines()}
        found |= {f"process {line}" for _, line in self.network.processes()}
        found |= {f"rule {line.strip()}" for line in self.network.ruleset().splitlines()}
        for folder, folders, files in os.walk(f"{root}/root/run/stead"):
            found.update(os.path.join(folder, name)[len(root) + 5:] for name in folders + files)
        return {line for line in found if not line.startswith(network.MAY_STAY)
                and not network.is_permanent(line)}

    def left_on_network(self):
        """The keeper and the kernel take a moment to clear away."""
        end = time.monotonic() + 5
        while left := self.look_at_network() - self.network_before:
            if time.monotonic() > end:
                break
            time.sleep(0.03)
        return left

    def enter(self, start):
        """Between fork and exec."""
        if self.network:
            self.network.inside.enter()
        if start.own_group:
            self.enter_group()

    def leave_network(self):
        self.stack.close()
        self.network = self.prepared_for = None

    def make_tree(self, folders):
        for folder in ("etc", "usr/bin", "usr/sbin", "usr/lib", "home/guest", *folders):
            (self.tree / folder).mkdir(parents=True)
        for link in ("bin", "sbin", "lib"):
            (self.tree / link).symlink_to(f"usr/{link}")
        shutil.copy(self.tools / "inside", self.tree / "usr/bin/inside")
        os.link(self.tree / "usr/bin/inside", self.tree / "usr/sbin/init")
        (self.tree / "usr/lib/os-release").write_text("ID=faults\n")
        (self.tree / "etc/machine-id").write_text("")
        (self.tree / "etc/passwd").write_text(
            "root:x:0:0::/root:/bin/sh\nguest:x:1000:1000::/home/guest:/bin/sh\n")
        (self.tree / "etc/group").write_text("root:x:0:\nguest:x:1000:\nmore:x:1001:guest\n")

    def list_tree(self):
        found = {}
        for folder, folders, files in os.walk(self.tree):
            for name in [*folders, *files]:
                path = os.path.join(folder, name)
                status = os.lstat(path)
                found[os.path.relpath(path, self.tree)] = (status.st_mode, status.st_uid,
                                                           status.st_gid)
        status = os.lstat(self.tree)
        found["."] = (status.st_mode, status.st_uid, status.st_gid)
        return found

    def reset(self, start):
        """The tree as it has to be before a start. What was added to it is returned."""
        if self.prepared_for != start.name:
            self.leave_network()
            self.prepared_for = start.name
            harness.remove_tree(self.tree)
            self.make_tree(start.folders)
            self.enter_network(start)
            self.entries = self.list_tree()
            self.lock = self.lock_name()
        now = self.list_tree()
        missing = sorted(self.entries.keys() - now.keys())
        assert not missing, f"gone from the tree: {missing}"
        added = {(path, stat.S_IFMT(now[path][0])) for path in now.keys() - self.entries.keys()}
        for path, _ in sorted(added, reverse=True):
            full = self.tree / path
            (os.rmdir if full.is_dir() and not full.is_symlink() else os.unlink)(full)
        for path, (mode, uid, gid) in self.entries.items():
            if now[path] != (mode, uid, gid):
                full = self.tree / path
                os.chown(full, uid, gid, follow_symlinks=False)
                if not full.is_symlink():
                    os.chmod(full, mode & 0o7777)
                with contextlib.suppress(OSError):
                    for attribute in os.listxattr(full, follow_symlinks=False):
                        os.removexattr(full, attribute, follow_symlinks=False)
        return added

    def command(self, start):
        values = {"tree": str(self.tree), "name": self.name, "source": str(self.source),
                  "number": self.number, "denied": self.denied}
        return [harness.LAUNCHER, "-q", f"--machine={self.name}", f"--directory={self.tree}",
                *(word.format(**values) for word in start.arguments)]

    def enter_group(self):
        (self.group.path / "cgroup.procs").write_text("0")

    def run(self, start, *options, limit=15):
        """One start, below the injector."""
        report = os.memfd_create("report")
        self.before_run(start)
        process = subprocess.Popen(
            [*self.on_host(start), str(self.tools / "inject"), f"--report={report}", f"--limit={limit}", *options, "--",
             *self.command(start)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            pass_fds=[report], env=harness.environment(**start.environment), cwd=self.folder,
            preexec_fn=lambda: self.enter(start))
        output, messages = process.communicate(timeout=limit + 30)
        assert process.returncode == 0, f"inject failed: {messages}"
        result = parse_report(os.pread(report, 1 << 22, 0).decode(errors="replace"))
        os.close(report)
        result.output = output.decode(errors="replace")
        result.messages = messages.decode(errors="replace").splitlines()
        self.after_run(start)
        return result

    def before_run(self, start):
        for path in self.filters:
            with contextlib.suppress(OSError):
                os.unlink(path)
        if start.own_group:
            self.group = harness.Cgroup(self.name)

    def after_run(self, start):
        if start.own_group:
            self.group.remove()

    def plain_start(self, start):
        """A start without anything in its way."""
        self.before_run(start)
        process = subprocess.run([*self.on_host(start), *self.command(start)], stdin=subprocess.DEVNULL, capture_output=True,
                                 env=harness.environment(**start.environment), cwd=self.folder, timeout=60, check=False,
                                 preexec_fn=lambda: self.enter(start))
        self.after_run(start)
        return (process.returncode, process.stdout.decode(errors="replace"),
                process.stderr.decode(errors="replace"))

    def tidy(self):
        """Removes what no start takes away, so that it is found once and not in each later run."""
        for path in self.left_behind():
            with contextlib.suppress(OSError):
                full = self.folder / path
                (os.rmdir if full.is_dir() else os.unlink)(full)

    def left_behind(self):
        """The quick look: all places where something with our name, tree or ids could be."""
        found = {path for path in os.listdir(self.folder) if path not in (self.name, "source", "host")}
        top = harness.cgroup2_mount()
        for folder in (top, top / "machine.slice", *harness.named_hierarchies("stead"), pathlib.Path("/run/systemd/nspawn/propagate"),
                       pathlib.Path("/run/stead")):
            with contextlib.suppress(OSError):
                found.update(str(folder / name) for name in os.listdir(folder)
                             if any(mark in name for mark in self.marks))
        for path in [f"/run/systemd/nspawn/locks/{self.lock}",
                     *(f"/run/systemd/nspawn-uid/{base}" for base in self.bases)]:
            if os.path.exists(path):
                found.add(path)
        found.update(line.split()[4] for line in harness.read("/proc/self/mountinfo").splitlines()
                     if self.name in line)
        return found | (self.left_on_network() if self.network else set())


def cached_filters():
    return {path for path in pathlib.Path("/run/stead/seccomp").rglob("*") if path.is_file()}


@dataclasses.dataclass
class Start:
    """A command line, and what it looks like when nothing goes wrong."""
    name: str
    arguments: tuple
    own_group: bool = False
    alone: bool = False  # waits for locks of others like it
    folders: tuple = ()  # that the tree has to have
    environment: dict = dataclasses.field(default_factory=dict)
    own_host: bool = False  # /etc, /var/log and users of its own
    network: str = ""  # "busy": on a host with another machine on its network; "empty": with none
    calls: list = dataclasses.field(default_factory=list)
    later_calls: list = dataclasses.field(default_factory=list)  # of the supervisor, to its end
    picture: dict = dataclasses.field(default_factory=dict)
    added: set = dataclasses.field(default_factory=set)

    def record(self, benches):
        for bench in benches:
            bench.reset(self)
            # One that is there already would hide which one is the bench's.
            for path in cached_filters():
                path.unlink(missing_ok=True)
            bench.run(self)
            bench.filters |= cached_filters()
            bench.reset(self)
            result = bench.run(self)
            assert result.end == ("exit", 0) and result.started and not result.messages, \
                f"{self.name}: {result.end} {result.messages} {result.output}"
            self.picture[bench.name] = picture(result.output)
            assert "== end" in self.picture[bench.name], result.output
            # What runs on for others is another program's affair, and makes as many calls as it likes.
            self.calls = [call for call in result.calls if not self.network or call.role != "helper"]
            bases = re.search(r"== /proc/self/uid_map\s+0\s+(\d+)", result.output.replace("\r", ""))
            if bases:
                bench.bases.add(int(bases[1]))
            assert not bench.left_behind(), f"{self.name} leaves {bench.left_behind()}"
            self.added = bench.reset(self)
        last = max(call.index for call in self.calls if call.role == "supervisor")
        self.later_calls = [call for call in bench.run(self, "--whole").calls
                            if call.role == "supervisor" and call.index > last]
        bench.reset(self)


# Judging ---------------------------------------------------------------------------------------

# A sentence: what could not be done with which thing, and why.
SENTENCE = re.compile(r"[A-Z']\S* .{12,}: (?P<why>[^:]+)\.( [A-Z].*\.)?$")


def words_of(error):
    return os.strerror(getattr(errno, error))


def judge_sentence(result, error):
    """What is wrong with what was said."""
    if not result.messages:
        return "no message"
    if len(result.messages) > 1:
        return f"{len(result.messages)} messages: {result.messages}"
    if words_of(error) not in result.messages[0]:
        return f"the message does not say '{words_of(error)}': {result.messages[0]}"
    if not SENTENCE.match(result.messages[0]):
        return f"the message names no step and object: {result.messages[0]}"
    return None


class Judge:
    def __init__(self, start, tolerated):
        self.start = start
        self.tolerated = tolerated
        self.used = set()
        self.log = []
        self.injected = self.missed = 0

    def rows_for(self, fault, hit):
        return [row for row in self.tolerated if row.covers(self.start.name, fault, hit)]

    def general(self, result):
        if result.hangs:
            return f"hangs: {result.hangs}"
        if result.end[0] == "none":
            return "did not end"
        return None

    def works(self, bench, text, row=None):
        """Whether a start that says it worked did all of its work."""
        differs = [line for line in difference(self.start.picture[bench.name], picture(text))
                   if not (row and row.differs and re.fullmatch(row.differs, line))]
        return f"works differently: {differs[:6]}" if differs else None

    def error(self, bench, fault, result):
        """Either it ends with a sentence, or one row of the table says that it may be otherwise."""
        if result.end[0] == "exit" and result.end[1] != 0:
            problem = judge_sentence(result, fault.error)
            if not problem:
                return None
        elif result.end[0] == "exit":
            problem = f"went on without a word: {result.messages}"
        else:
            problem = f"crashed with {signal.Signals(result.end[1]).name}: {result.messages}"
        for row in self.rows_for(fault, result.hits[0]):
            problem = self.by_row(bench, result, row)
            if not problem:
                self.used.add(row)
                break
        return problem

    def by_row(self, bench, result, row):
        if row.before_main and result.end != ("exit", 0):
            return None
        if result.end[0] == "signal":
            return f"crashed with {signal.Signals(result.end[1]).name}: {result.messages}"
        rest = [line for line in result.messages if not re.fullmatch(row.says, line)]
        if rest:
            return f"said {rest}"
        if row.says and not result.messages:
            return "went on without the warning"
        if result.end[1] != 0:
            return None if result.messages else "ended without a word"
        return self.works(bench, result.output, row)

    def kill(self, bench, fault, result):
        if fault.kill == "supervisor":
            if result.end != ("signal", signal.SIGKILL):
                return f"ended with {result.end}"
            status, output, messages = bench.plain_start(self.start)
            if status != 0 or messages:
                return f"the next start failed: {status} {messages}"
            row = next(iter(self.rows_for(fault, result.hits[0])), None)
            return self.works(bench, output, row)
        if result.end[0] != "exit" or result.end[1] == 0:
            return f"ended with {result.end}"
        if len(result.messages) != 1:
            return f"{len(result.messages)} messages: {result.messages}"
        return None

    def left_behind(self, bench, rows):
        """What was left, without what the rows allow."""
        left = set()
        for path in bench.left_behind():
            allowing = {row for row in rows if row.leaves and re.fullmatch(row.leaves, path)}
            self.used |= allowing
            if not allowing:
                left.add(path)
        return left

    def one(self, bench, fault):
        bench.reset(self.start)
        result = bench.run(self.start, *fault.options())
        if not result.hits or (fault.kill and not result.killed):
            self.missed += 1
            return None
        self.injected += 1
        problem = self.general(result)
        if not problem:
            problem = (self.kill if fault.kill else self.error)(bench, fault, result)
        left = self.left_behind(bench, self.rows_for(fault, result.hits[0]))
        added = {path for path, _ in bench.reset(self.start) - self.start.added}
        if left or added:
            problem = f"{problem or ''} left behind: {sorted(left | added)}"
        self.log.append({"start": self.start.name, "what": fault.error or f"kill {fault.kill}",
                         **dataclasses.asdict(result.hits[0]), "end": result.end,
                         "messages": result.messages, "problem": problem or ""})
        if bench.left_behind():
            bench.plain_start(self.start)  # what a start takes away does not soil the next run
            bench.tidy()
            bench.reset(self.start)
        if problem and result.hits[0] != fault.call:
            problem += f" (it was {result.hits[0]})"
        return f"{fault}: {problem}" if problem else None

    def all(self, benches, faults):
        """One run for each; the benches share them. Returns what is wrong."""
        waiting, problems, broken = queue.SimpleQueue(), [], []
        for fault in faults:
            waiting.put(fault)

        def work(bench):
            try:
                while not broken:
                    problem = self.one(bench, waiting.get_nowait())
                    if problem:
                        problems.append(problem)
            except queue.Empty:
                pass
            except BaseException as error:  # pylint: disable=broad-except
                broken.append(error)

        threads = [threading.Thread(target=work, args=[bench]) for bench in benches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if broken:
            raise broken[0]
        return problems


def deny(bench, start, name, error, tolerated):
    """A start in which each call of this name fails. What is wrong, and how many failed."""
    bench.reset(start)
    result = bench.run(start, f"--every={name}", f"--errno={getattr(errno, error)}")
    judge = Judge(start, tolerated)
    problem = judge.general(result)
    if result.hits and not problem:
        problem = judge.error(bench, Fault(result.hits[0], error=error), result)
    left = bench.left_behind()
    added = {path for path, _ in bench.reset(start) - start.added}
    if left or added:
        problem = f"{problem or ''} left behind: {sorted(left | added)}"
    bench.tidy()
    return f"{name} {error}: {problem}" if problem else None, len(result.hits)


def error_faults(calls):
    # The first one is the exec of the launcher itself. A close() that fails closes all the same, which
    # an injected one does not; with a pipe somebody would wait for its end.
    return [Fault(call, error=error) for call in calls[1:]
            if call.name not in CANNOT_FAIL
            and not (call.name == "close" and "<pipe:" in call.arguments)
            for error in ERRORS.get(call.name, "EIO").split()]


def kill_faults(calls, later_calls):
    """The supervisor and the first process, each killed at each call of both. While it clears away
    after the machine, only the supervisor is left."""
    # Helper programs are born by the same call; the last one makes the first process.
    born = max(i for i, call in enumerate(calls)
               if call.role == "supervisor" and call.name == "clone3")
    faults = []
    for i, call in enumerate(calls):
        faults.append(Fault(call, kill="supervisor"))
        if call.role in ("first", "payload") or (call.role == "supervisor" and i > born):
            faults.append(Fault(call, kill="first"))
    return faults + [Fault(call, kill="supervisor", whole=True) for call in later_calls]


def kind_of(fault):
    """The fault without numbers: descriptors, processes, names that are drawn."""
    return (fault.call.role, fault.call.name, re.sub(r"\d+", "N", fault.call.arguments),
            fault.error, fault.kill, fault.whole)


def not_known(faults, known, needed, chance):
    """The faults of a kind that no earlier start of this run went through, those that are @needed, and one
    in five of the others: what a start does about them may depend on what it made before."""
    chosen = [fault for fault in faults
              if kind_of(fault) not in known or needed(fault) or chance.random() < 0.2]
    known.update(map(kind_of, faults))
    return chosen
