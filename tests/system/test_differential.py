"""The distribution's launcher and ours, with the same options on the same tree.

What a payload can see is turned into named facts and compared. Differences are allowed only when
docs/COMPATIBILITY.md lists them; a listed one that no longer happens is an error too. The first
column of its tables is a pattern over the names that this test gives to facts.
"""

import collections
import fnmatch
import json
import os
import re
import subprocess

import pytest

import harness
import network
from harness import lines_of, run

# Settings files of the host are named after it, so it is ours alone.
NAME = f"differs-{harness.TAG}"
UUID = "0123456789abcdef0123456789abcdef"
TABLES = harness.TOP / "docs/COMPATIBILITY.md"

pytestmark = [
    pytest.mark.skipif(not os.path.exists(harness.STOCK),
                       reason="Debian's systemd-container is not installed"),
]


# What is known ---------------------------------------------------------------------------------

def has_version_1():
    return any(" - cgroup " in line for line in harness.read("/proc/self/mountinfo").splitlines())


def lacks_resource_capability():
    bound = int(re.search(r"CapBnd:\s*(\w+)", harness.read("/proc/self/status"))[1], 16)
    return not bound & 1 << 24


def has_fuse():
    return os.path.exists("/dev/fuse")


def without_systemd():
    return not os.path.isdir("/run/systemd/system")


def version():
    """The release of the distribution's launcher, as a number."""
    if not os.path.exists(harness.STOCK):
        return 0
    text = subprocess.run([harness.STOCK, "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return int(re.search(r"\d+", text)[0])


VERSION = version()


def without_shared_run():
    return not harness.mounts_below_run_are_shared()


# Headings of the document that say when the rows below them apply.
CONDITIONS = {
    "Everywhere": lambda: True,
    "On hosts that mount version 1 control groups": has_version_1,
    "On hosts without CAP_SYS_RESOURCE": lacks_resource_capability,
    "Before 257": lambda: VERSION < 257,
    "Before 257, on hosts with /dev/fuse": lambda: VERSION < 257 and has_fuse(),
    "From 257 on": lambda: VERSION >= 257,
    "On hosts whose PID 1 is not systemd": without_systemd,
    "On hosts that do not share the mounts of /run": without_shared_run,
}


def tolerated():
    """The patterns of all rows that apply on this host, with their reasons."""
    patterns, applies = {}, False
    for line in TABLES.read_text().splitlines():
        if line.startswith("### "):
            applies = line[4:].strip() in CONDITIONS and CONDITIONS[line[4:].strip()]()
        elif line.startswith("## "):
            applies = False
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if applies and line.startswith("| `") and len(cells) == 4:
            patterns.update((pattern, cells[3]) for pattern in re.findall(r"`([^`]+)`", cells[0]))
    return patterns


PATTERNS = tolerated() if TABLES.exists() else {}
seen = collections.Counter()  # differences, by the pattern that allows them
compared = collections.Counter()
views_done = set()


@pytest.fixture(scope="module", autouse=True)
def summary(record_count):
    yield
    record_count(f"compared with systemd-nspawn {VERSION}: {compared['cases']} cases, {compared['facts']} facts, "
                 f"{compared['differences']} differences, all of {len(seen)} known kinds:")
    for pattern, number in sorted(seen.items()):
        record_count(f"  {number:5} {pattern}: {PATTERNS[pattern] or 'see the document'}")


def matches(pattern, name):
    # Brackets are common in names and never meant as sets.
    return fnmatch.fnmatchcase(name, pattern.replace("[", "[[]"))


def compare(stock, ours):
    """Requires that all differences are listed, and remembers which rows were needed."""
    unlisted = []
    compared["cases"] += 1
    for name in sorted(set(stock) | set(ours)):
        compared["facts"] += 1
        if stock.get(name) == ours.get(name):
            continue
        compared["differences"] += 1
        hits = [pattern for pattern in PATTERNS if matches(pattern, name)]
        seen.update(hits)
        if not hits:
            unlisted.append(f"{name}: {stock.get(name)!r} there, {ours.get(name)!r} here")
    assert not unlisted, "differences that are not listed:\n" + "\n".join(unlisted)


# Facts -----------------------------------------------------------------------------------------

LOOK = r"""
say() { echo "%% $1"; }
list() { find "$1" | sort | while read -r path; do
    if [ -L "$path" ]; then echo "$path link $(readlink "$path")"
    else stat -c '%n %F %a %u:%g %t:%T' "$path"; fi; done; }
say mounts; cat /proc/self/mountinfo
say dev; list /dev
say run-host; list /run/host
say environment; tr '\0' '\n' </proc/1/environ
say status; grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp|Umask|Threads|Cpus_allowed_list)' /proc/1/status
say limits; cat /proc/1/limits
say cgroup; cat /proc/1/cgroup
say users; cat /proc/1/uid_map /proc/1/gid_map /proc/1/setgroups
say other
echo "hostname $(hostname)"
echo "command $(tr '\0\n' '  ' </proc/1/cmdline | cut -c 1-60)"
echo "name $(cat /proc/1/comm)"
echo "folder $(readlink /proc/self/cwd)"
echo "root $(stat -c '%a %u:%g' /)"
set -- /proc/self/fd/*
echo "files ${*##*/}"
echo "loginuid $(cat /proc/self/loginuid)"
echo "oom $(cat /proc/1/oom_score_adj)"
echo "terminal $(tty <&1)"
echo "session $(awk '{print $6, ($7 != 0)}' /proc/1/stat)"
echo "resolv $(ls -l /etc/resolv.conf 2>&1 | awk '{print $1, $3, $4}') $(md5sum </etc/resolv.conf)"
echo "localtime $(stat -c '%F %a %u:%g' /etc/localtime 2>&1) $(readlink /etc/localtime)"
echo "links $(ls /sys/class/net | xargs echo)"
echo "interfaces-up $(ip -o link show up | wc -l)"
echo "sys $(ls /sys | xargs echo)"
ls /run/host/credentials >/dev/null 2>&1 && for f in /run/host/credentials/*; do
    echo "credential-${f##*/} $(md5sum <$f)"; done
echo "personality $(cat /proc/1/personality 2>&1)"
echo "manager $(cat /run/host/container-manager)"
echo "uuid $(cat /run/host/container-uuid)"
echo "top $(ls / | xargs echo)"
echo "umask $(umask)"
echo "signals $(grep -E '^Sig(Blk|Ign|Cgt)' /proc/1/status | awk '{print $2}' | xargs echo)"
for f in kcore keys sysrq-trigger timer_list kallsyms kmsg; do
    [ ! -e /proc/$f ] || echo "proc-$f $(stat -c '%F %a %s' /proc/$f)"; done
echo "write-sys $( (echo x >/sys/class/net/lo/ifalias) 2>/dev/null && echo yes || echo no)"
echo "write-proc-sys $( (echo x >/proc/sys/kernel/domainname) 2>/dev/null && echo yes || echo no)"
echo "write-proc-net $( (cat /proc/sys/net/ipv4/ip_forward >/proc/sys/net/ipv4/ip_forward) 2>/dev/null && echo yes || echo no)"
say end
"""


def sections(text):
    found = {}
    for line in lines_of(text):
        if line.startswith("%% "):
            current = found.setdefault(line[3:], [])
        elif found:
            current.append(line)
    assert "end" in found, f"the look was cut short:\n{text}"
    return found


def mount_facts(lines):
    """Facts of the visible mounts. Ids, devices and names of temporary files are left out."""
    mounts = []
    for line in lines:
        left, _, right = line.partition(" - ")
        fields, kind = left.split(), right.split(" ")
        mounts.append({"id": fields[0], "parent": fields[1], "point": fields[4],
                       "options": ",".join(sorted(fields[5].split(","))),
                       "propagation": " ".join(sorted(re.sub(":.*", "", tag) for tag in fields[6:])),
                       "type": kind[0], "super": superblock(kind[0], kind[2])})
    facts = {}
    for mount in mounts:
        if visible(mounts, mount):
            for field in ("type", "options", "propagation", "super"):
                facts[f"mount {mount['point']} {field}"] = mount[field]
    # Only the visible ones are ordered: what is below what.
    return facts


def superblock(kind, options):
    if kind in ("tmpfs", "devpts", "cgroup2"):
        return ",".join(sorted(option for option in options.split(",")
                               if not option.startswith("inode")))
    return ""


def visible(mounts, wanted):
    ids = {mount["id"] for mount in mounts}
    current = next(mount for mount in mounts if mount["parent"] not in ids)
    parts = wanted["point"].strip("/").split("/")
    for prefix in ["/", *("/" + "/".join(parts[:n + 1]) for n in range(len(parts)))]:
        while above := [mount for mount in mounts
                        if mount["parent"] == current["id"] and mount["point"] == prefix]:
            current = above[-1]
    return current is wanted


def file_facts(kind, lines):
    facts = {}
    for line in lines:
        path, rest = line.split(" ", 1)
        facts[f"{kind} {path}"] = rest
    return facts


def pair_facts(kind, lines, separator=None):
    facts = {}
    for line in lines:
        name, *value = line.split(separator, 1)
        facts[f"{kind} {name.rstrip(':')}"] = value[0].strip() if value else ""
    return facts


def limit_facts(lines):
    return {f"limit {match[1]}": f"{match[2]} {match[3]}" for line in lines
            if (match := re.match(r"(Max .+?)\s{2,}(\S+)\s+(\S+)", line))}


# Facts about the first process, which is the stub in that view.
OF_PID_1 = ("environment ", "status ", "limit ", "other command", "other name", "other signals",
            "other oom", "other personality", "other session")


def facts_of(text, stub, boot):
    facts = all_facts(sections(text))
    if boot:
        facts["boot session"] = facts.pop("other session")
    return {f"stub {name}" if stub and name.startswith(OF_PID_1) else name: value
            for name, value in facts.items()}


def all_facts(found):
    facts = mount_facts(found["mounts"])
    facts.update(file_facts("file", found["dev"]))
    facts.update(file_facts("file", found["run-host"]))
    facts.update(pair_facts("environment", found["environment"], "="))
    facts.update(pair_facts("status", found["status"]))
    facts.update(limit_facts(found["limits"]))
    facts.update({f"cgroup {line.split(':')[1] or 'version 2'}": line.split(":")[2]
                  for line in found["cgroup"]})
    facts["users"] = " / ".join(" ".join(line.split()) for line in found["users"])
    facts.update(pair_facts("other", found["other"], " "))
    return facts


def look(launcher, tree, args, group):
    stock = launcher == harness.STOCK
    if "-b" in args:
        init = tree / "usr/sbin/init"
        init.unlink(missing_ok=True)
        init.write_text(f"#!/bin/sh\n{LOOK}\nexec poweroff -f\n")
        init.chmod(0o755)
        command = []
    else:
        command = ["sh", "-c", LOOK]
    result = run(*([] if stock else ["--register=no"]), "-M", NAME, f"--uuid={UUID}", *args, "-D",
                 tree, *command, launcher=launcher, keep_unit=True, cgroup=group,
                 env=harness.environment(SECRET="x"))
    assert result.returncode == 0, result.stderr
    facts = facts_of(result.stdout, "-a" in args, "-b" in args)
    if "-x" in args:
        facts["copy mount / type"] = facts.pop("mount / type")
    if "--private-users=identity" in args:
        facts = {f"identity {name}" if name.startswith("status Cap") else name: value
                 for name, value in facts.items()}
    return facts


VIEWS = {
    "plain": [],
    "private network": ["--private-network"],
    "read-only": ["--read-only"],
    "volatile": ["--volatile"],
    "volatile state": ["--volatile=state"],
    "volatile overlay": ["--volatile=overlay"],
    "volatile users": ["--volatile=overlay", "-U"],
    "users by name": ["-U"],
    "users fixed": ["--private-users=1572864", "--private-users-ownership=off"],
    "users and network": ["-U", "--private-network"],
    "users identity": ["--private-users=identity"],
    "stub": ["-a"],
    "boot": ["-b"],
    "boot with users": ["-b", "-U"],
    "no new privileges": ["--no-new-privileges=yes"],
    "mounts": ["--tmpfs=/mnt:size=1m", "--bind=/usr/share:/srv/a", "--bind-ro=/usr/lib:/srv/b",
               "--tmpfs=/tmp:mode=1777", "--bind-ro=/etc/passwd:/srv/file"],
    "mounts with users": ["-U", "--tmpfs=/mnt:size=1m", "--bind=/usr/share:/srv/a:idmap",
                          "--bind-ro=/etc/passwd:/srv/file"],
    "mounts of the tree": ["--bind=+/usr/lib:/srv/a", "--bind-ro=+/etc/passwd:/srv/file", "--bind=:/mnt",
                           "--bind=/usr/share:/srv/b:rootidmap"],
    "overlays": ["--overlay=+/usr/lib::/mnt", "--overlay-ro=/usr/share:/usr/lib:/srv"],
    "capabilities": ["--capability=CAP_SYS_TIME,CAP_SYSLOG", "--drop-capability=CAP_MKNOD"],
    "limits": ["--rlimit=NOFILE=123:456", "--rlimit=CORE=infinity", "--rlimit=NICE=3"],
    "words": ["-E", "A=b", "--hostname=front", "--chdir=/usr"],
    "pipe": ["--console=pipe"],
    "filter": ["--system-call-filter=@keyring ~@chown"],
    "credentials": ["--set-credential=a:x\\x41\\n", "--load-credential=b:/etc/hostname"],
    "credentials of users": ["-U", "--set-credential=a:1"],
    "suppressed sync": ["--suppress-sync=yes"],
    "score, cpus, personality": ["--oom-score-adjust=321", "--cpu-affinity=0", "--personality=x86"],
    "payload": ["--ambient-capability=CAP_NET_RAW", "--oom-score-adjust=50", "--cpu-affinity=0"],
    "files of /etc replaced": ["--resolv-conf=replace-host", "--timezone=copy"],
    "files of /etc bound": ["--resolv-conf=bind-static", "--timezone=bind", "--private-network"],
    "files of /etc deleted": ["--resolv-conf=delete", "--timezone=delete"],
    "files of /etc kept": ["--resolv-conf=off", "--timezone=off"],
    "throw-away copy": ["-x"],
    "mounts of the tree": ["--bind=+/usr/lib:/srv/x", "--bind=:/srv/fresh"],
    "throw-away copy with users": ["-x", "-U", "--read-only"],
}


@pytest.mark.parametrize("view", VIEWS)
def test_view(busybox, new_cgroup, view):
    args = VIEWS[view]
    stock = look(harness.STOCK, busybox, args, new_cgroup())
    ours = look(harness.LAUNCHER, busybox, args, new_cgroup())
    views_done.add(view)
    compare(stock, ours)


# The same from a settings file: its text, and what the command line says besides.
SETTINGS_VIEWS = {
    "private network": ("[Network]\nPrivate=yes\n", []),
    "read-only": ("[Files]\nReadOnly=yes\n", []),
    "users fixed": ("[Exec]\nPrivateUsers=1572864\n[Files]\nPrivateUsersOwnership=off\n", []),
    "users identity": ("[Exec]\nPrivateUsers=identity\n", []),
    "users of the root": ("[Exec]\nPrivateUsers=1\n", []),
    "ownership alone": ("[Files]\nPrivateUsersOwnership=off\n", ["-U", "--settings=override"]),
    "no new privileges": ("[Exec]\nNoNewPrivileges=yes\n", []),
    "mounts": ("[Files]\nTemporaryFileSystem=/mnt:size=1m\nBind=/usr/share:/srv/a\n"
               "BindReadOnly=/usr/lib:/srv/b\n", []),
    "mounts, masked": ("[Files]\nTemporaryFileSystem=/mnt:size=1m\n", ["--tmpfs=/srv"]),
    "mounts, overridden": ("[Files]\nTemporaryFileSystem=/mnt:size=1m\n",
                           ["--tmpfs=/srv", "--settings=override"]),
    "capabilities": ("[Exec]\nCapability=CAP_SYS_TIME CAP_SYSLOG\nDropCapability=CAP_MKNOD\n", []),
    "capabilities on top": ("[Exec]\nCapability=CAP_CHOWN\nDropCapability=CAP_KILL\n",
                            ["--drop-capability=CAP_CHOWN,CAP_MKNOD", "--settings=override"]),
    "network beside capabilities": ("[Network]\nPrivate=yes\n", ["--drop-capability=CAP_KILL"]),
    "network taken back": ("[Network]\nPrivate=no\n", ["--private-network", "--settings=override"]),
    "limits": ("[Exec]\nLimitNOFILE=123:456\nLimitCORE=infinity\nLimitAS=1G\nLimitCPU=2min\n", []),
    "limits, masked": ("[Exec]\nLimitNOFILE=123:456\nLimitCORE=1M\n", ["--rlimit=NOFILE=50"]),
    "words": ("[Exec]\nEnvironment=A=b \"C=d e\" F=g\"h i\"\nHostname=front\n"
              "WorkingDirectory=/usr\nMachineID=fedcba98765432100123456789abcdef\n", []),
    "words, overridden": ("[Exec]\nEnvironment=A=b\nHostname=front\nMachineID=" + UUID[::-1],
                          ["-E", "C=d", "--hostname=mine", "--settings=override"]),
    "taken back": ("[Exec]\nEnvironment=A=b\nEnvironment=\nHostname=x\nHostname=\n"
                   "NoNewPrivileges=yes\nNoNewPrivileges=\n[Files]\nReadOnly=yes\nReadOnly=\n", []),
    "suppressed sync": ("[Exec]\nSuppressSync=yes\n", []),
    "payload": ("[Exec]\nAmbientCapability=CAP_NET_RAW CAP_CHOWN\nOOMScoreAdjust=50\n", []),
    "filter": ("[Exec]\nSystemCallFilter=@keyring\nSystemCallFilter=~@chown\n", []),
    "volatile overlay": ("[Files]\nVolatile=overlay\n", []),
    "volatile, masked": ("[Files]\nVolatile=yes\n", ["--volatile=no"]),
    "score and cpus": ("[Exec]\nOOMScoreAdjust=321\nCPUAffinity=0\nPersonality=x86\n", []),
    "ambient capabilities": ("[Exec]\nAmbientCapability=CAP_CHOWN CAP_KILL\n", []),
    "files of /etc": ("[Exec]\nResolvConf=off\nTimezone=delete\n", []),
    "continued": ("[Exec]\nEnvironment=A=1 \\\n# no \\\n  B=2\n\nEnvironment=C=3", []),
}


@pytest.mark.parametrize("view", SETTINGS_VIEWS)
def test_settings_view(busybox, new_cgroup, view):
    text, args = SETTINGS_VIEWS[view]
    with harness.settings_file(f"/run/systemd/nspawn/{NAME}.nspawn", text):
        stock = look(harness.STOCK, busybox, args, new_cgroup())
        ours = look(harness.LAUNCHER, busybox, args, new_cgroup())
    compare(stock, ours)


# Exit status -----------------------------------------------------------------------------------

SH = ["sh", "-c"]
CASES = [
    [*SH, "exit 0"], [*SH, "exit 1"], [*SH, "exit 42"], [*SH, "exit 127"], [*SH, "exit 132"],
    [*SH, "exit 133"], [*SH, "exit 134"], [*SH, "exit 255"], [*SH, "kill -9 $$"],
    ["-a", *SH, "exit 0"], ["-a", *SH, "exit 42"], ["-a", *SH, "exit 133"], ["-a", *SH, "exit 255"],
    ["-a", *SH, "kill -9 $$"], ["-a", *SH, "kill -TERM $$; sleep 1"], ["-a", *SH, "kill -ABRT $$"],
    ["/no/such/program"], ["no-such-program"], ["/etc/passwd"], ["/"], ["-a", "/no/such/program"],
    ["--chdir=/no/such", "true"], ["--chdir=/etc/passwd", "true"], ["--chdir=/root", "true"],
    ["--chdir=rel", "true"],
    ["poweroff", "-f"], ["reboot", "-f"], ["halt", "-f"], ["-a", "poweroff", "-f"],
    ["--bind=/no/such:/x", "true"], ["--bind=/etc/passwd:/usr", "true"], ["--bind=rel", "true"],
    ["--tmpfs=/etc/passwd", "true"], ["--tmpfs=/mnt:nosuchoption=1", "true"],
    ["--tmpfs=/mnt:size=64k", *SH, "head -c 100000 /dev/zero >/mnt/x"],
    ["--read-only", *SH, "touch /x"], ["--read-only", *SH, "touch /tmp/x"],
    ["--volatile", *SH, "touch /x /etc/x"], ["--volatile", *SH, "touch /usr/x"],
    ["--volatile=state", *SH, "touch /x"], ["--volatile=state", *SH, "touch /var/x"],
    ["--volatile=overlay", *SH, "touch /x /usr/x"], ["--volatile=nosuch", "true"],
    ["--volatile=", "true"], ["--volatile=help"], ["--volatile=no", *SH, "touch /x"],
    ["--volatile=overlay", "--read-only", *SH, "touch /x"],
    ["--volatile=overlay", "--private-users=1572864", "--private-users-ownership=chown", "true"],
    ["--ephemeral", *SH, "exit 4"], ["--ephemeral", "--read-only", *SH, "touch /x"],
    ["--ephemeral", *SH, "touch /x"], ["--ephemeral", "--template=/x", "true"],
    ["--pivot-root=rel", "true"], ["--pivot-root=/no/such", "true"],
    ["--drop-capability=all", "true"], ["--drop-capability=CAP_NOSUCH", "true"],
    ["--capability=all", "true"], ["--no-new-privileges=yes", "true"],
    ["--no-new-privileges=perhaps", "true"], ["--rlimit=NOFILE=3", "true"],
    ["--rlimit=NOFILE=2:1", "true"], ["--rlimit=NOSUCH=1", "true"],
    ["--system-call-filter=nosuch", "true"], ["--system-call-filter=~chmod", "chmod", "700", "/root"],
    ["--kill-signal=nosuch", "true"], ["--kill-signal=SIGUSR1", "true"],
    ["--private-network", "ping", "-c1", "-W1", "127.0.0.1"], ["--private-users=1:0", "true"],
    ["--private-users=4294967295:2", "true"], ["--private-users=identity", "true"], ["-U", "true"],
    ["-U", "--read-only", "true"], ["-U", *SH, "exit 9"],
    ["--private-users-ownership=chown", "--private-users=1572864", "--read-only", "true"],
    ["--uuid=0", "true"], ["--hostname=-x", "true"], ["--console=nosuch", "true"],
    ["--console=pipe", *SH, "exit 3"], ["--console=passive", *SH, "exit 3"], ["-b", "-a"],
    ["--boot", "extra", "words"], ["--no-such-option"], ["--help"], ["--version"],
    ["--notify-ready=x", "true"], ["-M", "-x-", "true"], ["--setenv=1x=3", "true"], ["-E", "A=1", "true"],
    ["--user=nosuchuser", "true"],
    ["--volatile=x", "true"], ["--volatile", *SH, "touch /x /usr/x"], ["--volatile=state", *SH, "touch /x"],
    ["--volatile=overlay", "--private-users=1572864", "--private-users-ownership=chown", "true"],
    ["--resolv-conf=x", "true"], ["--timezone=x", "true"], ["--link-journal=x", "true"],
    ["-x", "--link-journal=host", "true"], ["-x", "--template=/etc", "true"], ["--template=/etc", "true"],
    ["-x", *SH, "touch /x; exit 4"], ["-x", "--read-only", *SH, "touch /x"],
    ["--pivot-root=rel", "true"], ["--pivot-root=/a:/b:/c", "true"], ["--pivot-root=/no/such", "true"],
    ["--inaccessible=rel", "true"], ["--inaccessible=/no/such", "true"], ["--overlay=/etc", "true"],
    ["--overlay=/no/such:/etc:/mnt", "true"], ["--overlay-ro=rel:/etc:/mnt", "true"],
    ["--bind=+/no/such:/mnt", "true"], ["--bind-user=-x", "-U", "true"], ["--bind-user=nosuchuser", "-U", "true"], ["--bind-user=root", "-U", "true"],
    ["--set-credential=a", "true"], ["--set-credential=a:\\q", "true"], ["--set-credential=:1", "true"],
    ["--set-credential=a:1", "--set-credential=a:2", "true"], ["--load-credential=a:/no/such", "true"],
    ["--load-credential=a:b", "true"], ["--load-credential=a:/etc", "true"], ["--suppress-sync=x", "true"],
    ["--oom-score-adjust=1001", "true"], ["--cpu-affinity=99999", "true"], ["--cpu-affinity=", "true"],
    ["--personality=vax", "true"], ["--personality=", "true"], ["--ambient-capability=all", "true"],
    ["--ambient-capability=CAP_SYS_TIME", "true"], ["--ambient-capability=CAP_CHOWN", "-b"],
    ["--suppress-sync=yes", *SH, "dd if=/dev/zero of=/tmp/x count=1 oflag=sync"],
    ["--suppress-sync=yes", *SH, "dd if=/dev/zero of=/tmp/x count=1 conv=fsync"],
    ["--resolv-conf=help"], ["--timezone=help"], ["--resolv-conf=yes", "true"],
    ["--timezone=on", "true"], ["--resolv-conf=nosuch", "true"], ["--timezone=nosuch", "true"],
    ["--read-only", "--resolv-conf=copy-host", "--timezone=copy", "true"],
    ["--link-journal=nosuch", "true"], ["--link-journal=try-auto", "true"],
    ["--link-journal=no", "true"], ["--link-journal=off", "true"],
    ["-U", "--bind-user=root", "true"], ["-U", "--bind-user=nosuchuser", "true"],
    ["-U", "--bind-user=a:b", "true"],
    ["--resolv-conf=copy-uplink", "true"], ["--resolv-conf=bind-uplink", "true"],
]


def case_name(args):
    return "exit " + " ".join(args).replace("|", "/")


@pytest.mark.parametrize("args", CASES, ids=case_name)
def test_exit_status(busybox, new_cgroup, args):
    if "--boot" in args:
        (busybox / "usr/sbin/init").unlink()
        (busybox / "usr/sbin/init").write_text("#!/bin/sh\nexit $#\n")
        (busybox / "usr/sbin/init").chmod(0o755)
    status = {}
    for launcher in (harness.STOCK, harness.LAUNCHER):
        own = [] if launcher == harness.STOCK else ["--register=no"]
        result = run(*own, "-D", busybox, *args, launcher=launcher, keep_unit=True, cgroup=new_cgroup())
        status[launcher] = str(result.returncode)
    compare({case_name(args): status[harness.STOCK]}, {case_name(args): status[harness.LAUNCHER]})


# Lines of a settings file, and words of the command line behind "--".
SETTINGS_CASES = [
    "[Exec", "[Exec]x", "[Foo]|User=nosuchuser", "[X-Foo]|User=nosuchuser", "User=nosuchuser",
    "[Exec]|User", "[Exec]|=x", "[Exec]|Unknown=1", "[Exec]|X-User=1", "[Exec]|A=\udcff",
    "[Exec]|User=nosuchuser", "[Exec]|User=nosuchuser|User=", "[Exec]|User=nosuchuser|User=root",
    "[Exec]|Boot=maybe", "[Exec]|Boot=", "[Exec]|Boot=no|Parameters=sh -c 'exit 5'",
    "[Exec]|ProcessTwo=yes|Boot=yes|Parameters=sh -c 'exit $$'",
    "[Exec]|Boot=no|Parameters=sh -c 'exit 5'|-- true",
    "[Exec]|Boot=no|Parameters=sh -c 'exit 5'|-- --settings=override true",
    "[Exec]|Parameters=sh -c 'exit 5'|-- --settings=override true",
    "[Exec]|Boot=no|Parameters=sh -c|Parameters='exit 6'", "[Exec]|Boot=no|Parameters=true 'x",
    "[Exec]|KillSignal=nosuch", "[Exec]|KillSignal=", "[Exec]|KillSignal=help",
    "[Exec]|WorkingDirectory=/no/such", "[Exec]|WorkingDirectory=rel", "[Exec]|Hostname=-x",
    "[Exec]|MachineID=0", "[Exec]|NotifyReady=x", "[Exec]|NoNewPrivileges=x",
    "[Exec]|PrivateUsers=x", "[Exec]|PrivateUsers=5:0", "[Exec]|Capability=CAP_X",
    "[Exec]|DropCapability=CAP_CHOWN,CAP_KILL", "[Exec]|LimitNOFILE=2:1", "[Exec]|LimitNOFILE=",
    "[Exec]|LimitNOSUCH=1", "[Exec]|SystemCallFilter=nosuch", "[Exec]|Environment='a",
    "[Files]|ReadOnly=x", "[Files]|Bind=", "[Files]|Bind=/etc:b", "[Files]|Bind=/no/such",
    "[Files]|Volatile=x", "[Files]|Volatile=", "[Files]|Volatile=state|-- sh -c 'touch /x'",
    "[Files]|Volatile=state|-- --volatile=no sh -c true", "[Files]|TemporaryFileSystem=x", "[Files]|PrivateUsersOwnership=x",
    "[Files]|PrivateUsersOwnership=yes", "[Files]|PrivateUsersChown=x", "[Network]|Private=x",
    "[Network]|Private=yes|-- --settings=no true", "-- --settings=maybe true", "-- --settings= true",
]


@pytest.mark.parametrize("case", SETTINGS_CASES, ids=lambda case: case.encode(errors="replace").decode())
def test_settings_status(busybox, new_cgroup, case):
    lines, _, words = case.partition("-- ")
    runs_by_itself = "Parameters=" in lines and not words
    args = words.split() if words else [] if runs_by_itself else ["true"]
    status = {}
    path = f"/run/systemd/nspawn/{NAME}.nspawn"
    for launcher in (harness.STOCK, harness.LAUNCHER):
        own = [] if launcher == harness.STOCK else ["--register=no"]
        with harness.settings_file(path, "") as file:
            file.write_bytes(lines.replace("|", "\n").encode(errors="surrogateescape") + b"\n")
            result = run(*own, "-M", NAME, "-D", busybox, *args, launcher=launcher, keep_unit=True,
                         cgroup=new_cgroup())
        status[launcher] = str(result.returncode)
    name = "exit settings " + case
    compare({name: status[harness.STOCK]}, {name: status[harness.LAUNCHER]})


# Networks --------------------------------------------------------------------------------------

LONG = f"differs-{harness.TAG}-with-a-long-name"
KEEP_OFF = {"--network-veth", "--network-zone=d"}  # else ours have addresses

NETWORKS = {
    "veth": ["--network-veth"],
    "veth with a long name": ["--network-veth", "-M", LONG],
    "zone": ["--network-zone=d"],
    "zone with a long name": ["--network-zone=d", "-M", LONG],
    "bridge": ["--network-bridge=br-d"],
    "further links": ["--network-veth-extra=xa:in0", "--network-veth-extra=xb"],
    "bridge and a further link": ["--network-bridge=br-d", "--network-veth-extra=xa"],
    "given namespace": ["--network-namespace-path={path}"],
    "given namespace as one's own": ["--private-network", "--network-namespace-path={path}"],
    "veth and users": ["--network-veth", "-U"],
    "veth without a capability": ["--network-veth", "--drop-capability=CAP_NET_ADMIN"],
}

SEE_NETWORK = r"""
ls /sys/class/net /sys | xargs echo names
stat -f -c '%T' /sys /proc/sys/net | xargs echo types
for name in ipv4/ip_forward ipv4/conf/all/forwarding ipv4/conf/default/rp_filter ipv6/conf/all/disable_ipv6; do
    echo sysctl $name $(cat /proc/sys/net/$name 2>&1); done
(echo 1 >/proc/sys/net/ipv4/conf/all/log_martians) 2>/dev/null; echo writable $?
grep -E '^Cap' /proc/self/status | xargs echo
[ -e /etc/resolv.conf ]; echo resolv.conf $?
"""


def facts_of_links(text, where):
    facts = {}
    for link in json.loads(text):
        if link["ifname"] in ("lo", "up0", "br-d") and where == "host":
            continue
        name = f"network {where} {link['ifname']}"
        for key in ("address", "mtu", "txqlen", "master", "altnames", "group"):
            facts[f"{name} {key}"] = str(link.get(key))
        if link["ifname"].startswith("vz-"):
            facts[f"{name} address"] = "one of its members', or a random one"
        facts[f"{name} up"] = str("UP" in link["flags"])
        facts[f"{name} kind"] = str(link.get("linkinfo", {}).get("info_kind"))
        facts[f"{name} mode"] = str(link.get("linkinfo", {}).get("info_data", {}).get("mode"))
        facts[f"{name} addresses"] = str(sorted(a["local"] for a in link["addr_info"] if a["scope"] != "link"))
    return facts


def see_network(host, launcher, tree, args):
    own = [] if launcher == harness.STOCK else ["--register=no", *["--network-setup=no"] * bool(KEEP_OFF & set(args))]
    line = [*own, "-M", NAME, *args, "-D", tree]
    facts = {f"network inside {words.split(' ')[0]}{' ' + words.split(' ')[1] if words.startswith('sysctl') else ''}":
             words for words in lines_of(host.launch(*line, "sh", "-c", SEE_NETWORK, launcher=launcher,
                                                     keep_unit=True).stdout)}
    process = host.start(*line, "sleep", "99", launcher=launcher, keep_unit=True)
    try:
        leader = harness.wait_until(lambda: [pid for pid in harness.descendants_of(process.pid)
                                             if harness.read(f"/proc/{pid}/comm") == "sleep\n"], 20, "the payload")
        look_at = ["ip", "-j", "-d", "addr"]
        facts.update(facts_of_links(host.run(*look_at), "host"))
        facts.update(facts_of_links(subprocess.run(["nsenter", "-t", str(leader[0]), "-n", *look_at], check=True,
                                                   stdout=subprocess.PIPE, text=True).stdout, "inside"))
    finally:
        harness.stop(process)
    # What comes back, and what goes.
    harness.wait_until(lambda: not [name for name in host.links() if name.startswith(("v", "x"))], 10,
                       "the end of the links")
    for name in host.links():
        facts[f"network after {name}"] = "there"
    return facts


@pytest.mark.parametrize("view", NETWORKS)
def test_network_view(busybox, view):
    with network.Host(clean=False) as host:
        host.run("ip", "link", "add", "br-d", "type", "bridge")
        host.run("ip", "link", "add", "low0", "type", "veth", "peer", "name", "low1")
        host.run("ip", "link", "set", "low1", "up")
        args = [word.format(path=f"/proc/{host.outside.pid}/ns/net") for word in NETWORKS[view]]
        stock = see_network(host, harness.STOCK, busybox, args)
        assert stock, "nothing was seen"
        compare(stock, see_network(host, harness.LAUNCHER, busybox, args))


@pytest.mark.ours
def test_no_listed_difference_is_outdated(request):
    """Runs last, and means something only when all of the above ran."""
    if views_done != set(VIEWS) or len(request.session.items) < len(VIEWS) + len(CASES):
        pytest.skip("not all of the views were compared in this run")
    assert sorted(set(PATTERNS) - set(seen)) == []
