"""Guests with a systemd before version 230: a hierarchy of version 1 of their own, and limits in version 2."""

import os
import re
import shutil
import signal
import subprocess

import pytest

import harness
from harness import output_of, run
from test_boot import Guest

pytestmark = pytest.mark.ours

LEGACY = {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "0"}
SYSTEMD = "/sys/fs/cgroup/systemd"


def legacy(tree, script, *args, **options):
    """The output of a script that sees what an old systemd would."""
    return output_of(run(*args, "-D", tree, "sh", "-c", script, env=harness.environment(**LEGACY), **options))


def named_path(pid):
    """Where a process is in the hierarchy."""
    for line in harness.read(f"/proc/{pid}/cgroup").splitlines():
        if line.split(":", 2)[1] == "name=systemd":
            return line.split(":", 2)[2]
    return None


def start(tree, name, *args):
    process = harness.start("-M", name, "-P", *args, "-D", tree, "sh", "-c",
                            f"mkdir {SYSTEMD}/of-{name}; echo up; read x; ls -R {SYSTEMD}; cat /proc/1/cgroup; read x",
                            stdin=subprocess.PIPE, env=harness.environment(**LEGACY))
    assert process.stdout.readline() == "up\n"
    return process


@pytest.mark.parametrize("args", [[], ["--private-network"], ["-U"]], ids=["plain", "network", "users"])
def test_what_is_seen(busybox, args):
    """Its own group as the root of the hierarchy, in which it can make and use groups; nothing of cgroup2."""
    script = (f"grep cgroup /proc/mounts; grep systemd: /proc/self/cgroup; cd {SYSTEMD} && mkdir a.slice && "
              "echo $$ >a.slice/cgroup.procs && grep systemd: /proc/self/cgroup; touch ../x && rm ../x && echo open; "
              "ls release_agent 2>&1 | grep -c 'No such'")
    lines = legacy(busybox, script, *args).splitlines()
    mounts = {tuple(line.split()[1:3]) for line in lines[:2]}
    assert mounts == {("/sys/fs/cgroup", "tmpfs"), (SYSTEMD, "cgroup")}
    # Mounts, the group before and after, the folder that can be written to, no agent of the host's to set.
    assert [line.split(":", 1)[1] for line in lines[2:4]] == ["name=systemd:/", "name=systemd:/a.slice"]
    assert lines[4:] == ["open", "1"]


def test_two_do_not_see_each_other(busybox):
    names = [f"{harness.TAG}old{i}" for i in range(2)]
    trees = [busybox, busybox.parent / names[1]]
    harness.copy_tree(*trees)
    processes = []
    try:
        processes = [start(tree, name) for tree, name in zip(trees, names)]
        leaders = [harness.leader_of(process.pid) for process in processes]
        assert {named_path(pid) for pid in leaders} == {f"/stead/{name}/payload" for name in names}
        # Limits and device policy are where they always are.
        for pid, name in zip(leaders, names):
            assert harness.cgroup2_path(pid).endswith(f"machine-{name}.scope/payload")
        for process, name, other in zip(processes, names, reversed(names)):
            process.stdin.write("\n")
            process.stdin.flush()
            text = "".join(iter(process.stdout.readline, "0::/\n"))
            assert f"of-{name}" in text and other not in text
    finally:
        for process in processes:
            harness.stop(process)
        harness.remove_tree(trees[1])


def test_others_cannot_look(busybox):
    """Who mounts the hierarchy inside of a user namespace sees that there is a folder, and not what is in it."""
    name = f"{harness.TAG}old"
    other = busybox.parent / f"{name}tree"
    harness.copy_tree(busybox, other)
    process = None
    try:
        process = start(busybox, name)
        script = ("mkdir /tmp/m && mount -t cgroup -o none,name=systemd cgroup /tmp/m || echo refused; "
                  "find /tmp/m 2>&1; echo 1 >/tmp/m/stead/cgroup.procs; mkdir /tmp/m/x")
        result = run("-U", "-D", other, "sh", "-c", f"({script}) 2>&1")
        assert name not in result.stdout and "release_agent" not in re.sub(r"/tmp/m/release_agent", "", result.stdout)
        assert "denied" in result.stdout or "refused" in result.stdout
    finally:
        if process:
            harness.stop(process)
        harness.remove_tree(other)


def test_killed_supervisor(busybox):
    """What it leaves is taken away by the next start of that name, and by the end of another machine."""
    name = f"{harness.TAG}old"
    for later in name, f"{name}b":
        process = start(busybox, name)
        leader = harness.leader_of(process.pid)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        harness.wait_until(lambda pid=leader: not os.path.exists(f"/proc/{pid}"), 20, "the end of the first process")
        assert legacy(busybox, "echo well", "-M", later) == "well\n"
        assert not [path for path in harness.named_hierarchies("stead") if path.exists()]
    # Without systemd its group in version 2 is taken away in the same manner.
    assert output_of(run("-M", name, "-D", busybox, "true")) == ""


def test_same_name_twice(busybox, cgroup):
    """Kept units may have two machines of a name; this hierarchy may not."""
    name = f"{harness.TAG}old"
    other = busybox.parent / f"{name}tree"
    harness.copy_tree(busybox, other)
    process = None
    try:
        process = start(busybox, name, "--keep-unit", "--register=no")
        result = run("-M", name, "-D", other, "true", keep_unit=True, cgroup=cgroup,
                     env=harness.environment(**LEGACY))
        assert result.returncode == 1
        assert re.fullmatch(rf"There is a machine '{name}' in .*: Device or resource busy\. Stop it.*\n", result.stderr)
    finally:
        if process:
            harness.stop(process)
        harness.remove_tree(other)


def test_boot_is_recognised(oldcgroup, busybox):
    """The program that is booted decides; a new one, also one that speaks of both, gets version 2."""
    init = busybox / "usr/lib/systemd/systemd"
    init.parent.mkdir(parents=True, exist_ok=True)
    init.unlink(missing_ok=True)
    shutil.copy(oldcgroup / "usr/lib/systemd/systemd", init)
    assert "cgroup-version-1: name=systemd\n" in output_of(run("--dry-run", "-b", "-D", busybox))
    assert "cgroup-version-1" not in output_of(run("--dry-run", "-D", busybox, "true"))
    with init.open("ab") as file:
        file.write(b"cgroup2")
    assert "cgroup-version-1" not in output_of(run("--dry-run", "-b", "-D", busybox))
    assert "cgroup-version-1" in output_of(run("--dry-run", "-b", "-D", busybox, env=harness.environment(**LEGACY)))


def test_reboot_and_override(oldcgroup):
    """It can be told to go without; then such a guest says what it misses."""
    with Guest(oldcgroup, env=harness.environment(TERM="dumb", SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1")) as machine:
        machine.console.expect(r"oldcgroup: (.*)\r\n")
        assert machine.console.match.group(1) == "no /sys/fs/cgroup/systemd"


def test_bad_override(busybox):
    for name in LEGACY, {"UNIFIED_CGROUP_HIERARCHY": ""}:
        variable = list(name)[0]
        result = run("-D", busybox, "true", env=harness.environment(**{variable: "maybe"}))
        assert result.returncode == 1 and f"{variable}='maybe'" in result.stderr


@pytest.mark.skipif(bool(harness.named_hierarchies()), reason="the host has the hierarchy already")
def test_where_it_cannot_be_made(busybox):
    """A hierarchy is made only in the host's own namespace of control groups."""
    result = subprocess.run(["unshare", "-C", *harness.command("-q", "-D", busybox, "true")], text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
                            env=harness.environment(**LEGACY))
    assert result.returncode == 1
    assert "name=systemd" in result.stderr and "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1" in result.stderr
