"""The clean-up witness: what the host looks like, as far as a launcher can change it.

Two pictures are compared. A thing that is in the second and not in the first was left behind.
"""

import os
import pathlib
import re
import time

import harness

# Folders that are made once and stay; they hold nothing of a machine.
PERMANENT = re.compile(
    # compiled system call filters are kept for the next start
    r"^/run/(stead(/(locks|uid|machines|seccomp(/[0-9a-f]{16})?))?"
    r"|systemd(/(nspawn(/(locks|propagate|unix-export))?|nspawn-uid|machines))?)$")
# The slice of all machines stays; so do the two halves of a unit that was kept.
PERMANENT_CGROUP = re.compile(r"(/machine\.slice|/supervisor|/payload)$")
# What others on this host may do at any time.
FOREIGN_TEMPORARY = re.compile(r"^(pytest-|tmp|ccache|cc[A-Za-z0-9]{6}|bash_jobs|systemd-private-|stead-(bench|plan|staged))")


def mounts():
    found = set()
    for line in harness.read("/proc/self/mountinfo").splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        found.add(f"{fields[4]} {kind[0]} {fields[3]}")
    return found


def links():
    return set(os.listdir("/sys/class/net"))


def addresses():
    """From the kernel's own lists: asking ip(8) before and after each test takes longer than most tests."""
    trie = harness.read("/proc/net/fib_trie")
    found = set(re.findall(r"\|-- (\S+)\n\s+/32 host LOCAL", trie))
    if os.path.exists("/proc/net/if_inet6"):
        for line in harness.read("/proc/net/if_inet6").splitlines():
            address, *_, link = line.split()
            found.add(f"{link} {address}")
    return found


def cgroups():
    found = set()
    roots = [line.split()[4] for line in harness.read("/proc/self/mountinfo").splitlines()
             if re.search(r" - cgroup2? ", line)]
    for root in roots:
        for folder, _, _ in os.walk(root):
            if not PERMANENT_CGROUP.search(folder):
                found.add(folder)
    return found


def processes():
    """Launchers, and whatever runs on a tree of a test."""
    found = set()
    mark = str(harness.STATE / "work" / harness.TAG)
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            os.readlink(f"/proc/{entry}/exe")  # the kernel's own have none
            words = harness.read(f"/proc/{entry}/cmdline").split("\0")
            inside = mark in harness.read(f"/proc/{entry}/mountinfo")
        except OSError:
            continue
        launcher = os.path.basename(words[0]) in ("nspawn", "systemd-nspawn")
        # A process of the host sees the mounts of fixtures too; a payload sees them as its root.
        root = inside and os.stat("/proc/self/ns/mnt").st_ino != namespace_of(entry)
        if launcher or root:
            found.add(f"process {entry}: {' '.join(words).strip()}")
    return found


def namespace_of(pid):
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return os.stat("/proc/self/ns/mnt").st_ino


def loop_devices():
    return {f"loop device for {path.read_text().strip()}"
            for path in pathlib.Path("/sys/block").glob("loop*/loop/backing_file")}


def run_files():
    found = set()
    for top in ("/run/stead", "/run/systemd"):
        for folder, folders, files in os.walk(top):
            if top == "/run/systemd" and folder == top:
                folders[:] = [name for name in folders
                              if name.startswith("nspawn") or name == "machines"]
            found.update(path for name in folders + files
                         if not PERMANENT.match(path := os.path.join(folder, name)))
    return {path for path in found if not path.startswith("/run/systemd/")
            or re.match(r"/run/systemd/(nspawn|machines)", path)}


def temporary_files():
    return {os.path.join(folder, name)
            for folder in ("/tmp", "/var/tmp") for name in os.listdir(folder)
            if not FOREIGN_TEMPORARY.match(name)}


ASPECTS = {
    "mounts": mounts,
    "network links": links,
    "addresses": addresses,
    "control groups": cgroups,
    "processes": processes,
    "loop devices": loop_devices,
    "run-time files": run_files,
    "temporary files": temporary_files,
}


def look():
    return {name: take() for name, take in ASPECTS.items()}


# Somebody's own host is used for other things, too, and they come and go while tests run. There only
# what carries our mark is counted; where nobody else works, everything is.
EVERYTHING = os.environ.get("STEAD_WITNESS", "all" if harness.IN_CI else "own") == "all"


def is_ours(thing):
    return EVERYTHING or harness.TAG in thing or bool(
        re.match(r"(/var)?/tmp/[^/]*(stead|nspawn)", thing))


def left_behind(before):
    now = look()
    left = {name: sorted(filter(is_ours, now[name] - before[name])) for name in ASPECTS}
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
