"""The clean-up witness: what the host looks like, as far as a launcher can change it.

Two pictures are compared. A thing that is in the second and not in the first was left behind. Every
thing is a line of text, so that the one that is left can be named in the failure of the test.

A new kind of thing is a function that gives the lines, a row in ASPECTS, and a leftover made on
purpose in test_witness.py. All together should stay below 60 ms: it is done twice for each test.
"""

import contextlib
import ctypes
import functools
import os
import pathlib
import re
import socket
import struct
import subprocess
import time

import harness

# Folders that are made once and stay; they hold nothing of a machine.
PERMANENT = re.compile(
    # compiled system call filters are kept for the next start
    r"^/run/(stead(/(locks|uid|machines|seccomp(/[0-9a-f]{16})?))?"
    r"|systemd(/(nspawn(/(locks|propagate|unix-export))?|nspawn-uid|machines))?)$"
    # addresses are a machine's for ever
    r"|^/run/stead/network$|^/var/lib/stead/network(/|$)")
# The slice of all machines stays; so do the two halves of a unit that was kept.
PERMANENT_CGROUP = re.compile(r"(/machine\.slice|/supervisor|/payload)$")
# What others on this host may do at any time.
FOREIGN_TEMPORARY = re.compile(r"^(pytest-|tmp|ccache|cc[A-Za-z0-9]{6}|bash_jobs|systemd-private-|stead-(bench|plan|staged|trees))")
# Our programs on the host's side: the supervisor, what it runs, and daemons.
OUR_PROGRAMS = {"nspawn", "systemd-nspawn", "host-scope", "seccomp-compile", "machined",
                "stead-machined", "systemd-machined", "network-keeper"}
BUILD = os.path.dirname(os.path.realpath(harness.LAUNCHER)) + "/"
TREES = str(harness.STATE / "work" / harness.TAG)
# Where our lock files are.
LOCK_FOLDERS = ("/run/systemd/nspawn/locks", "/run/systemd/nspawn-uid", "/run/stead/locks",
                "/run/stead/uid", "/run/stead/seccomp")
# Settings of the kernel that a network with its own addresses, or a machine's limits, may need.
SETTINGS = [pathlib.Path("/proc/sys", name) for name in (
    "net/ipv4/ip_forward", "net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/forwarding",
    "net/ipv4/conf/all/route_localnet", "net/ipv4/conf/all/rp_filter",
    "net/ipv6/conf/all/forwarding", "net/ipv6/conf/default/forwarding",
    "net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/all/accept_ra", "net/ipv6/conf/default/accept_ra",
    "net/ipv4/conf/all/proxy_arp", "net/ipv4/conf/default/proxy_arp", "net/ipv6/conf/all/proxy_ndp",
    "net/bridge/bridge-nf-call-iptables",
    "kernel/hostname", "kernel/domainname", "kernel/core_pattern", "kernel/dmesg_restrict",
    "kernel/printk", "kernel/unprivileged_userns_clone", "user/max_user_namespaces",
    "fs/nr_open", "fs/mqueue/queues_max", "fs/inotify/max_user_instances")]


def read_or_nothing(path):
    with contextlib.suppress(OSError):
        return harness.read(path)
    return ""


def link_of(path):
    with contextlib.suppress(OSError):
        return os.readlink(path)
    return ""


def list_folder(folder):
    with contextlib.suppress(OSError):
        return os.listdir(folder)
    return []


# Processes -------------------------------------------------------------------------------------

class Process:
    """One process of the host, of which only what is asked for is read."""

    def __init__(self, pid):
        self.pid = pid
        self.folder = f"/proc/{pid}"

    @functools.cached_property
    def words(self):
        return read_or_nothing(f"{self.folder}/cmdline").split("\0")

    @functools.cached_property
    def program(self):
        return link_of(f"{self.folder}/exe")

    @functools.cached_property
    def namespace(self):
        return link_of(f"{self.folder}/ns/mnt")

    @functools.cached_property
    def born(self):
        """With the number it names a process for all times."""
        fields = read_or_nothing(f"{self.folder}/stat").rpartition(")")[2].split()
        return fields[19] if len(fields) > 19 else "?"

    @property
    def text(self):
        return f"process {self.pid} ({self.born}): {' '.join(self.words).strip()}"

    def is_program_of_ours(self):
        return bool(self.words[0]) and (os.path.basename(self.words[0]) in OUR_PROGRAMS
                                        or self.program.startswith(BUILD)
                                        or any("/run/stead/" in word for word in self.words))

    def descriptors(self):
        """What it has open: how often which kind of thing."""
        count = {}
        for name in list_folder(f"{self.folder}/fd"):
            if target := re.sub(r":\[\d+\]$", "", link_of(f"{self.folder}/fd/{name}")):
                count[target] = count.get(target, 0) + 1
        return count


class Picture:
    """What several aspects need is read once."""

    def __init__(self):
        self.here = link_of("/proc/self/ns/mnt")
        self.processes = [Process(int(name)) for name in os.listdir("/proc")
                          if name.isdigit() and int(name) != os.getpid()]
        self.ours = [process for process in self.processes if process.is_program_of_ours()]

    def mount_tables(self):
        """Of each mount namespace that ours and this process are in; a payload's is its own affair."""
        tables = {self.here: "/proc/self/mountinfo"}
        for process in self.ours:
            tables.setdefault(process.namespace, f"{process.folder}/mountinfo")
        tables.pop("", None)
        return {namespace: read_or_nothing(path) for namespace, path in tables.items()}


def mount_lines(table):
    for line in table.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        yield f"{fields[4]} {kind[0]} {fields[3]} from {kind[1]}"


def mounts(picture):
    found = set()
    for namespace, table in picture.mount_tables().items():
        where = "" if namespace == picture.here else f" in {namespace}"
        lines = list(mount_lines(table))
        # Several on one place hide each other.
        found.update(f"{line}{where} #{lines[:index].count(line)}"
                     for index, line in enumerate(lines))
    return found


def processes(picture):
    """Our programs, and whatever runs on a tree of a test."""
    found = {process.text for process in picture.ours}
    tables = {"": "", picture.here: ""}
    for process in picture.processes:
        # A process of the host sees the mounts of fixtures too; a payload sees them as its root.
        if process.namespace not in tables:
            tables[process.namespace] = read_or_nothing(f"{process.folder}/mountinfo")
        if TREES in tables[process.namespace]:
            found.add(f"{process.text} on a tree in {TREES}")
    return found


def descriptors(picture):
    """Of processes that go on running, such as daemons, and of this one: they must not get more.

    A process that is new has new ones; that is one line more about something that is left anyway.
    """
    found = set()
    for process in [*picture.ours, Process(os.getpid())]:
        for target, count in process.descriptors().items():
            found.update(f"{target} #{number} open in {process.text}" for number in range(count))
    return found


def locks(_picture):
    """On files of ours. Who has a lock of an open file is not told, but on which file."""
    places = {}
    tops = [*LOCK_FOLDERS, *(os.path.join(TREES, name) for name in list_folder(TREES)),
            *cgroup_folders(harness.TAG)]
    for top in tops:
        for path in [top, *(os.path.join(top, name) for name in list_folder(top))]:
            with contextlib.suppress(OSError):
                status = os.lstat(path)
                places[f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}"
                       f":{status.st_ino}"] = path
    found = set()
    for line in harness.read("/proc/locks").splitlines():
        _, kind, _, mode, _, inode, *_ = line.replace("-> ", "").split()
        if inode in places:
            found.add(f"{kind} lock ({mode}) on {places[inode]}")
    return found


# The network -----------------------------------------------------------------------------------

def output_of(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              check=False).stdout
    except FileNotFoundError:
        return ""


def links(_picture):
    return set(list_folder("/sys/class/net"))


RTM_GETADDR, RTM_GETROUTE, NLMSG_DONE, NLM_F_REQUEST_DUMP = 22, 26, 3, 0x301


def dump(kind):
    """Asks the kernel (rtnetlink(7)): to start ip(8) twice for each test takes longer than most tests."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.send(struct.pack("=IHHII", 28, kind, NLM_F_REQUEST_DUMP, 1, 0) + bytes(12))
        while True:
            data = netlink.recv(65536)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == NLMSG_DONE:
                    return
                yield data[16:length]
                data = data[(length + 3) & ~3:]


def attributes_of(data):
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        yield kind, data[4:length]
        data = data[(length + 3) & ~3:]


def link_name(index):
    with contextlib.suppress(OSError):
        return socket.if_indextoname(index)
    return f"link {index}"


def addresses(_picture):
    found = set()
    for message in dump(RTM_GETADDR):
        # struct ifaddrmsg
        family, prefix, _, _, index = struct.unpack_from("=BBBBI", message)
        found.update(f"{link_name(index)}: {socket.inet_ntop(family, value)}/{prefix}"
                     for kind, value in attributes_of(message[8:]) if kind == 1)  # IFA_ADDRESS
    return found


def routes(_picture):
    """Of all tables."""
    found = set()
    for message in dump(RTM_GETROUTE):
        # struct rtmsg
        family, prefix, _, _, table = struct.unpack_from("=BBBBB", message)
        if family not in (socket.AF_INET, socket.AF_INET6):
            continue
        values = dict(attributes_of(message[12:]))
        # RTA_DST, RTA_TABLE, RTA_OIF, RTA_GATEWAY
        to = socket.inet_ntop(family, values[1]) if 1 in values else "default"
        table = struct.unpack("=I", values[15])[0] if 15 in values else table
        via = f" via {socket.inet_ntop(family, values[5])}" if 5 in values else ""
        link = f" on {link_name(struct.unpack('=I', values[4])[0])}" if 4 in values else ""
        found.add(f"route to {to}/{prefix}{via}{link} in table {table}")
    return found


def packet_rules(_picture):
    """Each rule with the table and chain that it is in."""
    if not os.path.exists("/proc/sys/net/netfilter"):
        return set()
    found, table, block = set(), "", ""
    # Counters and time limits run on by themselves.
    for line in output_of("nft", "--stateless", "list", "ruleset").splitlines():
        words = line.strip()
        if words.startswith("table "):
            table, block = words.rstrip(" {"), ""
        elif words.endswith("{"):
            block = words.rstrip(" {")
        found.add(f"{table}: {block}: {words}" if block else f"{table}: {words}")
    return {line for line in found if not line.endswith(("}", ": "))}


def network_namespaces(_picture):
    return {f"/run/netns/{name}" for name in list_folder("/run/netns")}


# Control groups, devices, files ----------------------------------------------------------------

def cgroup_folders(mark=""):
    roots = [line.split()[4] for line in harness.read("/proc/self/mountinfo").splitlines()
             if re.search(r" - cgroup2? ", line)]
    for root in roots:
        for folder, _, _ in os.walk(root):
            if mark in folder:
                yield folder


def cgroups(_picture):
    return {folder for folder in cgroup_folders() if not PERMANENT_CGROUP.search(folder)}


def hierarchies(_picture):
    """Of version 1, with a name; also those that are mounted nowhere, which a group in them keeps."""
    names = [line.split(":", 2)[1] for line in harness.read("/proc/self/cgroup").splitlines()]
    return {name for name in names if name.startswith("name=")}


def block_devices(_picture):
    found = {f"loop device for {read_or_nothing(path).strip()}"
             for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")}
    return found | {f"mapped device {read_or_nothing(path).strip()}"
                    for path in pathlib.Path("/sys/block").glob("dm-*/dm/name")}


def run_files(_picture):
    found = set()
    for top in ("/run/stead", "/run/systemd", "/var/lib/stead"):
        for folder, folders, files in os.walk(top):
            if top == "/run/systemd" and folder == top:
                folders[:] = [name for name in folders
                              if name.startswith("nspawn") or name == "machines"]
            found.update(path for name in folders + files
                         if not PERMANENT.match(path := os.path.join(folder, name)))
    return {path for path in found if not path.startswith("/run/systemd/")
            or re.match(r"/run/systemd/(nspawn|machines)", path)}


def temporary_files(_picture):
    return {os.path.join(folder, name)
            for folder in ("/tmp", "/var/tmp", "/dev/shm", "/var/lib/machines", "/run/machines")
            for name in list_folder(folder) if not FOREIGN_TEMPORARY.match(name)}


def settings(_picture):
    return {f"{path} is {read_or_nothing(path).strip()}" for path in SETTINGS if path.exists()}


# Communication ---------------------------------------------------------------------------------

# Numbers that are the same on all architectures (kernel's syscall.tbl).
FSOPEN, FSCONFIG, FSMOUNT = 430, 431, 432
CLOSE_ON_EXEC, CMD_CREATE = 1, 6


@functools.cache
def mqueue_folder():
    """The message queues' file system, mounted nowhere; most hosts have it at /dev/mqueue, not all."""
    libc = ctypes.CDLL(None, use_errno=True)
    context = libc.syscall(FSOPEN, b"mqueue", CLOSE_ON_EXEC)
    if context < 0:
        return None
    try:
        if libc.syscall(FSCONFIG, context, CMD_CREATE, None, None, 0) < 0:
            return None
        fd = libc.syscall(FSMOUNT, context, CLOSE_ON_EXEC, 0)
    finally:
        os.close(context)
    return None if fd < 0 else os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_DIRECTORY)


def message_queues(_picture):
    folder = mqueue_folder()
    return set() if folder is None else {f"message queue /{name}" for name in os.listdir(folder)}


def sysv_objects(_picture):
    found = set()
    for kind in ("shm", "sem", "msg"):
        for line in read_or_nothing(f"/proc/sysvipc/{kind}").splitlines()[1:]:
            found.add(f"{kind} key {line.split()[0]} id {line.split()[1]}")
    return found


ASPECTS = {
    "mounts": mounts,
    "network links": links,
    "addresses": addresses,
    "routes": routes,
    "packet rules": packet_rules,
    "network namespaces": network_namespaces,
    "control groups": cgroups,
    "named hierarchies": hierarchies,
    "processes": processes,
    "descriptors": descriptors,
    "locks": locks,
    "block devices": block_devices,
    "run-time files": run_files,
    "temporary files": temporary_files,
    "kernel settings": settings,
    "message queues": message_queues,
    "shared memory, semaphores": sysv_objects,
}


def look():
    message_queues(None)  # its own descriptor is not to be counted
    picture = Picture()
    return {name: take(picture) for name, take in ASPECTS.items()}


# Somebody's own host is used for other things, too, and they come and go while tests run. There only
# what carries our mark is counted; where nobody else works, everything is.
EVERYTHING = os.environ.get("STEAD_WITNESS", "all" if harness.IN_CI else "own") == "all"


def is_ours(thing, everything=None):
    if everything is None:
        everything = EVERYTHING
    return everything or harness.TAG in thing or BUILD in thing or f"process {os.getpid()} " in thing \
        or bool(re.match(r"(/var)?/tmp/[^/]*(stead|nspawn)", thing))


def left_behind(before, everything=None):
    now = look()
    left = {name: sorted(thing for thing in now[name] - before[name] if is_ours(thing, everything))
            for name in ASPECTS}
    if harness.IS_STOCK:
        # Known: it leaves its tunnel folder where /run is no tmpfs, and its v1 groups.
        del left["run-time files"], left["control groups"]
    return {name: things for name, things in left.items() if things}


def check(before, patience=5):
    """Requires that nothing was left. The kernel takes a moment to end namespaces and groups."""
    end = time.monotonic() + patience
    while left := left_behind(before):
        if time.monotonic() > end:
            raise AssertionError("left behind: " + "; ".join(
                f"{name}: {', '.join(things)}" for name, things in left.items()))
        time.sleep(0.05)
