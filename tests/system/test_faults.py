"""Faults at every step of a start: each ends with one sentence and a clean host."""

import json
import os
import random

import pytest

import faults
import harness
from faults import Start, Tolerated

pytestmark = pytest.mark.ours

SEED = int(os.environ.get("STEAD_SEED", "5"))

STARTS = {start.name: start for start in (
    Start("plain", ("inside",)),
    Start("users", ("-U", "inside"), alone=True),
    Start("chown", ("--private-users=1000341504", "--private-users-ownership=chown", "inside"),
          environment={"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"}),
    Start("boot", ("-b",)),
    Start("options", ("--private-network", "--read-only", "--property=DevicePolicy=closed",
                      "--property=DeviceAllow=/dev/fuse rw", "--property=Description=faults",
                      "--time=private", "--slice=faults{number}.slice", "--bind={source}:/mnt/bind", "--bind-ro={source}/file:/etc/group",
                      "--tmpfs=/var", "--setenv=A=B", "--hostname=faults", "--rlimit=CORE=0",
                      "--capability=CAP_NET_ADMIN", "--drop-capability=CAP_CHOWN",
                      "--set-credential=a:b", "--load-credential=b:{source}/file", "--oom-score-adjust=5",
                      "--cpu-affinity=0", "--personality=x86-64", "--ambient-capability=CAP_KILL", "inside"),
          folders=("dev", "mnt/bind", "proc", "root", "run", "sys", "tmp", "var")),
    Start("user", ("-U", "--nesting", "--as-pid2", "--uid=guest", "--pipe", "--chdir=/home/guest",
                   "--no-new-privileges=yes", "--bind={source}:/mnt:idmap", "inside"), alone=True),
    Start("filter", ("--system-call-filter=~{denied}", "inside")),
    Start("kept", ("--keep-unit", "inside"), own_group=True),
    Start("mounts", ("-U", "--overlay=+/etc::/mnt", "--bind=:/srv", "--bind={source}:/home:rootidmap",
                     "--inaccessible=/dev/shm", "inside"), alone=True),
    Start("ephemeral", ("--ephemeral", "-U", "inside"), alone=True),
    Start("volatile", ("--volatile=yes", "inside")),
    Start("host", ("--resolv-conf=replace-host", "--timezone=copy", "--link-journal=host",
                   "--uuid=0123456789abcdef0123456789abcdef", "--bind-user=faults",
                   "--bind-user-shell=yes", "--bind-user-group=users", "inside"), own_host=True),
    Start("veth", ("-n", "inside"), network="busy"),
    Start("zone", ("--network-zone=faults", "-p", "8080:80", "inside"), network="empty"),
)}

ANY = ".*"

# The calls whose failure a start lives with, and why that is right.
TOLERATED = (
    Tolerated("supervisor", "close", ".*</[ab]>", "a file that stays open for writing cannot be "
              "made read-only", says="Cannot make '/run/host/credentials' read-only \\(credentials\\): "
              "Device or resource busy\\."),
    # Without our code
    Tolerated("supervisor", "arch_prctl|set_tid_address|set_robust_list|rseq|mprotect|brk|mmap", ANY,
              "libc's own beginning, before main()", before_main=True),
    Tolerated("supervisor", "prlimit64", "0 3", "libc asks for the size of the stack"),
    Tolerated("supervisor", "readlink", '"/proc/self/exe"', "libc asks for $ORIGIN, which is not used"),
    Tolerated("supervisor", "getrandom", " ?8 0x1", "libc's own random number"),
    # In general
    Tolerated(ANY, "close", ANY, "the descriptor is gone, whatever close() says"),
    Tolerated(ANY, "read|write|recvmsg|sendmsg|poll|fcntl|waitid|openat2", ANY, "it is tried again",
              errors="EINTR|EAGAIN"),
    Tolerated("supervisor", "close_range", ANY, "they are closed one by one"),
    # Facts of the host that are not needed
    Tolerated("supervisor", "uname", ANY, "a kernel that hides its version is tried out"),
    Tolerated("supervisor", "prlimit64", "0 7", "the caller's limit of open files is as good as ours"),
    Tolerated("supervisor", "prlimit64", "1 (6|11)", "limits of PID 1 that cannot be read are infinite",
              differs="Max (processes|pending signals).*"),
    Tolerated("supervisor", "access", '"/run/systemd/system"', "a host without systemd"),
    Tolerated("supervisor", "access", '"/proc/kcore"', "hidden if it is there"),
    Tolerated("supervisor", "access", '"/proc/self/(ns/user|timens_offsets)"', "the clone, or the first process, will tell"),
    Tolerated("supervisor", "access", '"(/etc|/run/systemd/resolve)/(stub-)?resolv.conf"',
              "what cannot be looked at is not copied", differs=".*resolv.conf.*|nameserver.*"),
    Tolerated("supervisor", "ioctl", "[01]<.*", "what gives no answer as a terminal is none"),
    Tolerated("supervisor", "newfstatat", 'cwd "/dev/(net/tun|fuse)"', "the host has no such device",
              differs="(10:[0-9]+|fuse|tun) .*"),
    Tolerated("supervisor", "openat|read", '.*/os-release.*', "a courtesy of the host",
              differs=".*os-release.*|container_host_.*"),
    Tolerated("supervisor", "readlink", '"/etc/localtime"', "no time zone to hand on",
              differs=".*localtime.*"),
    Tolerated("supervisor", "openat|read", '.*/cpu/online.*', "the kernel will tell what CPUs there are"),
    Tolerated("supervisor", "statfs", ANY, "found in the table of mounts then"),
    # The network
    Tolerated("supervisor", "openat|read", '.*systemd-networkd.*|.*/netif/.*', "what cannot be seen does not run",
              start="veth|zone"),
    Tolerated("supervisor", "access", '".*/dnsmasq"', "the next folder of PATH", start="veth|zone"),
    Tolerated("supervisor", "ioctl", ".*socket.*0x8910", "a link that has no name is somebody else's",
              start="veth|zone"),
    Tolerated("supervisor", "openat|flock|read|utimensat", '.*/stead/network.*|', "addresses follow from names: "
              "without what was kept they are found again", start="veth|zone"),
    Tolerated("supervisor", "access", '"(/run/systemd/netif|/run/NetworkManager|/run/stead/network/networks/.*)"',
              "what cannot be seen is not there", start="veth|zone"),
    Tolerated("supervisor", "access", '"/proc/net/if_inet6"', "a host without IPv6", start="veth|zone",
              differs=".*"),
    Tolerated("supervisor", "socket|connect|setsockopt", "16? 5242.. 0|.*socket.*", "whether the network has other members is "
              "not known, so it is looked at as a new one is", start="veth|zone"),
    Tolerated("supervisor", "sendto|recvfrom", ".*", "the host's routes are asked for again, or not known",
              start="veth|zone"),
    Tolerated(ANY, "sendto", ANY, "it is tried again", errors="EINTR", start="veth|zone"),
    Tolerated("supervisor", "clone3", ANY, "it is tried again", errors="EBUSY", start="zone"),
    Tolerated("supervisor", "sendmsg", ANY, "a keeper that is gone does not answer", errors="EPIPE",
              says="The network's keeper did not answer within .* s\\.", start="veth|zone"),
    Tolerated("supervisor", "socket|connect|setsockopt|sendmsg|poll|recvmsg", ANY, "a machine lives without the keeper",
              says="Cannot (reach|talk to|hear) the network's keeper.*", start="veth|zone"),
    Tolerated(ANY, "setsockopt", ".* 270 11", "the kernel's own words are not heard", start="veth|zone"),
    Tolerated("supervisor", "unlink", '"/run/(stead/network/keeper.*|systemd/nspawn-network-zone)"', "what nobody "
              "holds hinders nobody", start="veth|zone", leaves=".*/keeper(.lock)?"),
    Tolerated("supervisor", "fcntl|newfstatat", ".*(keeper.lock|nspawn-network-zone)> .*", "an empty file is left, or the lock is taken again",
              start="veth|zone", leaves=".*keeper.lock"),
    Tolerated("supervisor", "openat2|readlinkat|openat", '.*"/?etc/"|.*resolv.conf".*', "what cannot be looked at is left alone",
              start="veth|zone", differs=".*resolv.conf.*|nameserver.*|# Written by nspawn.*"),
    Tolerated("supervisor", "openat2", '.*"etc/"', "a machine without name resolution runs",
              says="Cannot write '/etc/resolv.conf' in the container, ignoring: .*\\.", start="veth|zone",
              differs=".*resolv.conf.*|nameserver.*|# Written by nspawn.*"),
    # Locks and ids
    Tolerated("supervisor", "newfstatat", '.*/(\\.#.*lck|inode-.*|nspawn-uid/.*)> ""',
              "the lock is taken again, in case its file is gone"),
    Tolerated("supervisor", "fcntl", ".*/(\\.#.*lck|inode-.*|nspawn-uid/.*)> 37",
              "an empty file is left: without the lock nobody knows whether another has it",
              errors="ENOLCK", leaves=".*"),
    Tolerated("supervisor", "clock_nanosleep", ANY, "the lock is asked for again",
              seldom=True),
    Tolerated("supervisor", "openat|read|lseek|newfstatat", '.*/etc/(nsswitch.conf|passwd|group).*',
              "a range that cannot be looked up is taken for used", start="users?|ephemeral|mounts"),
    Tolerated("supervisor", "fsconfig", ".*", "an older way to name the layers is tried", errors="EINVAL|EBADF",
              start="ephemeral|mounts", differs="/ /(mnt)? .* overlay .*"),
    Tolerated("supervisor", "newfstatat", '.*"/proc/self/ns/user"', "not to be seen is taken for the host's",
              start="mounts", differs="/ /mnt .* overlay .*"),
    # Folders for mounts without a source
    Tolerated("supervisor", "fcntl|newfstatat|getdents64", ".*</var/tmp>.*", "leftovers take space, no more",
              start="mounts", says="Cannot look for leftovers in '/var/tmp': .*\\."),
    Tolerated("supervisor", "newfstatat", '.*stead-temp-.*', "left for the next start",
              start="mounts", seldom=True),
    Tolerated("supervisor", "openat|flock|newfstatat|openat2|getdents64|unlinkat", ".*stead-temp-.*|.*</var/tmp.*",
              "one that others use or remove at this moment", start="mounts", seldom=True,
              says="Cannot remove '/var/tmp/stead-temp-.*', which an earlier start left behind: .*\\."),
    # The control group of a kept unit
    Tolerated("supervisor", "openat|read|faccessat2", ".*/cgroup/.*", "it stays as it is",
              start="kept"),
    # Changes of the tree
    Tolerated("supervisor", "mkdirat", ANY, "a tree on a read-only file system", errors="EROFS",
              differs=".*"),
    Tolerated("supervisor", "newfstatat", '.* "(bin|sbin|lib|lib64|usr/lib64)"',
              "what cannot be looked at is left alone", differs="(lib|lib64|bin|sbin) .*"),
    Tolerated("supervisor", ANY, ANY, "the owners are changed further by the next start",
              errors="EINTR", start="chown",
              says="Changing the owners in .* was interrupted. The next start .* goes on with it."),
    Tolerated("supervisor", "rt_sigpending", ANY, "no request to stop is seen"),
    Tolerated("supervisor", ANY, ".*resolv.conf.*", "a machine without name resolution runs",
              says="Cannot (write|copy the host's file to) '/etc/resolv.conf' in the container, "
              "ignoring: .*\\.", differs=".*resolv.conf.*|nameserver.*|# Written by nspawn.*"),
    Tolerated("supervisor", "read", ".*resolv.conf.*", "the tree's own is written anew", errors="EIO"),
    Tolerated("supervisor", "openat2|newfstatat|openat|read|lseek",
              '.*"etc/(localtime|resolv.conf)"|.*/faults[0-9]/.*/etc/(localtime|resolv.conf)>.*',
              "what cannot be compared is written anew", start="host"),
    Tolerated("supervisor", ANY, '.*localtime.*|.*"etc/"', "a machine without a time zone runs",
              says="Cannot (write|copy the host's file to) '/etc/(localtime|resolv.conf)' in the "
              "container, ignoring: .*\\.", differs=".*(localtime|resolv.conf).*|nameserver.*",
              start="host"),
    Tolerated("helper", "read", ANY, "it has nothing to do but to end", start="host|mounts"),
    Tolerated("supervisor", "openat|newfstatat|fcntl|getdents64", ".*/var/log/journal/[0-9a-f]+>.*",
              "whether something will be hidden there is not told", start="host"),
    Tolerated("supervisor", "mkdir", '"/run/systemd/nspawn/propagate/.*"', "tried with its parents"),
    Tolerated("supervisor", "setxattr", '.*"user.stead.slice"', "the empty slice stays, as one of "
              "the administrator's would", leaves=".*/faults.*slice"),
    # Killed between two calls that cannot be one
    Tolerated("supervisor", "mkdir|setxattr", ".*/faults.*slice\".*", "a slice that has no mark yet "
              "is taken for the administrator's, and stays", errors="SIGKILL",
              leaves=".*/faults.*slice", seldom=True),
    Tolerated("supervisor", "mkdirat|fchownat", ".*", "a directory was made and has the host's owner",
              errors="SIGKILL", start="chown", differs="(root|var|etc|proc|sys|dev|run) 40.*",
              seldom=True),
    # The cache of filters is a help, and may be missing
    Tolerated("supervisor", "mkdir|openat|newfstatat|unlinkat|write|linkat", ".*(/run/stead|/proc/self/fd/).*",
              "the filter is made by the helper each time", start="filter"),
    # What a sandbox around us forbids, and what is as good
    Tolerated("supervisor", "fsopen|fsconfig|fsmount", '"sysfs"|.*anon_inode:\\[fscontext\\].*',
              "the host's own is shown in its place", errors="EPERM", differs=".*"),
    Tolerated("supervisor", "mknodat", '.*"(null|zero|full|random|urandom|tty|net/tun|fuse)" .*',
              "the host's node is shown in its place", errors="EPERM",
              differs=".* /dev/.*|(null|zero|full|random|urandom|tty|tun|fuse) .*"),
    Tolerated("supervisor", "openat|read", ".*/uid_map.*", "the write of our own map will tell"),
    Tolerated("supervisor", "newfstatat", '.*"/proc/version"', "not to be seen is taken for the host's"),
    Tolerated("first", "fsopen|fsconfig|fsmount", '"(proc|sysfs)"|.*anon_inode:\\[fscontext\\].*',
              "the next try has it mounted from outside, and a layer with an id from the first",
              errors="EPERM", differs="/ / .* overlay .*"),
    Tolerated("supervisor", "mkdir|openat|flock|faccessat2", ".*payload.*", "there is no group for the "
              "machine alone", errors="EROFS|EACCES|EPERM", start="kept", differs=".*",
              says="Cannot make a control group in '.*' \\(--keep-unit\\): .* The machine stays in "
              "that of its launcher, and can only look at it\\..*"),
    Tolerated(ANY, "prctl", "24 (4[1-9]|[5-6][0-9])", "there is no such capability", errors="EPERM"),
    # Mounts that a machine can be without; what may matter is said
    Tolerated("supervisor|first", "open_tree|mount_setattr|openat2|fchown|newfstatat|move_mount|mount",
              ANY, "a default that a machine runs without",
              says="Cannot mount '.*' on '/(etc/localtime|dev/mqueue|proc/.*)' "
              "\\(.*\\), going on without: .*\\.", differs=".*(localtime|mqueue|/proc/).*"),
    Tolerated("supervisor|first", "fsopen", ANY, "it says what it needs", errors="ENODEV",
              says="Cannot mount '.*' \\(.*\\): this kernel has no file system '.*'. Load its module, or use "
              "another kernel."),
    Tolerated("supervisor", "mknodat", '.*"host/inaccessible/(sock|chr|blk)".*',
              "a nicety that sandboxes forbid", errors="EPERM", differs="(sock|chr|blk) .*"),
    # The console
    Tolerated("supervisor", "newfstatat", "1<.*", "written to with care"),
    Tolerated("supervisor", "openat", '.*"/proc/self/fd/1".*', "written to with care"),
    # The first process
    Tolerated("first", "recvmsg", ANY, "the reset comes before what was sent", errors="ECONNRESET"),
    Tolerated("supervisor", "recvmsg", ANY, "the reset comes before what was sent",
              errors="ECONNRESET"),
    Tolerated("first", "keyctl", ANY, "a kernel without keys", errors="ENOSYS"),
    Tolerated("first", "openat|write", ".*loginuid.*", "a kernel without audit, or that keeps it",
              differs="[0-9]+"),
    Tolerated("first", "openat|read", ".*/limits.*", "all limits are set then"),
    Tolerated("first", "rmdir", '"/sys/full"', "an empty folder", errors="EBUSY",
              differs=".*"),
    Tolerated("first", "openat|read", ".*/nr_open.*", "as many as the caller has",
              differs="Max open files.*", seldom=True),
    Tolerated("first", "prlimit64", "0 .*", "as much as we may give", errors="EPERM",
              differs="Max .*"),
    Tolerated("first|payload", "openat|read", ".*/status.*", "all signals are reset then"),
    Tolerated("first|payload", "prctl", "24 .*", "the kernel's way to say that there is no such "
              "capability", errors="EINVAL", differs="Cap.*"),
    Tolerated("first|payload", "execve", ANY, "the next folder of PATH", errors="EACCES",
              differs=".*inside"),
    # The helper that makes filters: a program of its own, with a dynamic loader
    Tolerated("helper", ANY, ANY, "what it does not need", start="filter"),
    Tolerated("helper", ANY, ANY, "how it ended is told, and in its own words why", start="filter",
              says="Cannot (make the system call filter|run '.*' to make the system call filter): .*"),
    # The small init of --as-pid2
    Tolerated("first", "prctl", "(15|35) .*", "how it looks in ps"),
    Tolerated("first", "wait4|rt_sigtimedwait", ANY, "asked again"),
    Tolerated("first", "rt_sigprocmask", ANY, "blocked again by its loop"),
    Tolerated("payload", "set_robust_list", ANY, "libc's fork; there is no thread"),
    Tolerated("payload", "recvfrom", ANY, "the death signal stays"),
)


# Without these calls there is no start: a host that denies them is told so.
NEEDED = ("bpf", "clone3", "close_range", "fsconfig", "fsmount", "fsopen", "mount", "mount_setattr",
          "move_mount", "open_tree", "openat2", "pivot_root", "setns", "unshare")


@pytest.fixture(scope="module")
def benches(work):
    if harness.WITH_SANITIZERS:
        pytest.skip("the sanitizers' own calls are not what is tested")
    tools = work / "tools"
    tools.mkdir()
    faults.build(tools)
    made = [faults.Bench(work, tools, number) for number in range(2)]
    yield made
    for bench in made:
        harness.remove_tree(bench.folder)


@pytest.fixture(autouse=True)
def networks_end(benches):
    """With each test: they are what the witness looks for, too."""
    yield
    for bench in benches:
        bench.leave_network()


@pytest.fixture(scope="module")
def total(request):
    """How many faults there were, for the end of the run."""
    counts = {}
    yield counts
    text = ", ".join(f"{name} {n}" for name, n in counts.items())
    plugins = request.config.pluginmanager
    terminal = plugins.get_plugin("terminalreporter")
    with plugins.get_plugin("capturemanager").global_and_fixture_disabled():
        terminal.ensure_newline()
        terminal.write_line(f"{sum(counts.values())} faults injected: {text}")


def carry_out(start, benches, total, label, chosen):
    judge = faults.Judge(start, TOLERATED)
    problems = judge.all(benches[:1] if start.alone else benches, chosen)
    total[label] = total.get(label, 0) + judge.injected
    log = os.environ.get("STEAD_FAULTS_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in judge.log)
    assert not problems, f"{len(problems)} of {judge.injected}:\n" + "\n".join(sorted(problems))
    return judge.used


@pytest.fixture(scope="module")
def used_rows():
    return {}


@pytest.fixture(scope="module")
def known():
    """The kinds of faults that this run went through; with STEAD_ALL_FAULTS=1 none is ever known."""
    return set()


def choose(start, candidates, known, used):
    if os.environ.get("STEAD_ALL_FAULTS") == "1":
        return candidates

    def needed(fault):
        return any(row.start != ANY or row not in used for row in TOLERATED
                   if row.covers(start.name, fault, fault.call))

    return faults.not_known(candidates, known, needed, random.Random(f"{SEED} {start.name}"))


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_every_error(name, benches, total, known, used_rows):
    start = STARTS[name]
    start.record(benches)
    used = set().union(*used_rows.values())
    used_rows[name] = carry_out(start, benches, total, f"{name} errors",
                                choose(start, faults.error_faults(start.calls), known, used))


@pytest.mark.slow
@pytest.mark.parametrize("name", STARTS)
def test_every_kill(name, benches, total, known):
    start = STARTS[name]
    start.record(benches)
    candidates = faults.kill_faults(start.calls, start.later_calls)
    carry_out(start, benches, total, f"{name} kills",
              choose(start, candidates, known, set(TOLERATED)))


@pytest.mark.slow
def test_no_row_of_the_table_is_stale(used_rows):
    """A call that is no longer made, or no longer tolerated, has no business in the table."""
    if used_rows.keys() != STARTS.keys():
        pytest.skip("not all starts were tested, or some failed")
    stale = {row for row in TOLERATED if not row.seldom} - set().union(*used_rows.values())
    assert not stale, "\n".join(map(str, stale))


@pytest.mark.parametrize("name", STARTS)
def test_some_faults(name, benches, total):
    """A part of the above, the same one in each run with the same STEAD_SEED."""
    start = STARTS[name]
    start.record(benches)
    chance = random.Random(f"{SEED} {name}")
    everything = faults.error_faults(start.calls) + faults.kill_faults(start.calls,
                                                                       start.later_calls)
    carry_out(start, benches, total, f"{name} sample", chance.sample(everything, 60))


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize("name", ["plain", "users", "boot"])
def test_denied_calls(name, error, benches, total):
    """Each needed call is denied as a whole, as by an old kernel or a sandbox."""
    start = STARTS[name]
    start.record(benches)
    problems = []
    for call in NEEDED:
        problem, injected = faults.deny(benches[0], start, call, error, TOLERATED)
        problems += [problem] if problem else []
        total["denied"] = total.get("denied", 0) + injected
    assert not problems, "\n".join(problems)
