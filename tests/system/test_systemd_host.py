"""A host whose PID 1 is systemd: a Debian machine of ours plays it, and starts machines itself."""

import os
import shutil
import stat

import pytest

import harness

pytestmark = [pytest.mark.ours, pytest.mark.slow]

FOLDER = "opt/stead"
SCRIPT = r"""#!/bin/sh
# What the host does; each answer is a line "NAME: TEXT".
exec >/opt/stead/answers 2>&1
export STEAD_LIBEXECDIR=/opt/stead
answer() { echo "$1: $(tr -d '\r' | tr '\n' ' ')"; }
in_machine() { /opt/stead/nspawn -q -D /opt/stead/tree "$@" </dev/null; }
shows() { systemctl show "$1" -p "$2" --value | answer "$3"; }

{ in_machine -M short sh -c 'grep ^0: /proc/self/cgroup; exit 5'; echo $?; } | answer short

/opt/stead/nspawn -q -M "long-name" --property=TasksMax=50 --property=MemoryMax=64M \
        --property=DeviceAllow='/dev/fuse r' --kill-signal=SIGUSR1 -D /opt/stead/tree \
        sh -c 'trap "exit 7" USR1; echo up; while :; do sleep 0.1; done' >/opt/stead/up </dev/null &
launcher=$!
for i in $(seq 100); do grep -q up /opt/stead/up && break; sleep 0.1; done
unit='machine-long\x2dname.scope'
systemctl is-active "$unit" | answer active
for property in Slice Delegate TasksMax MemoryMax DevicePolicy KillMode Description; do
        shows "$unit" $property $property
done
shows "$unit" DeviceAllow devices
cat "/sys/fs/cgroup/machine.slice/$unit/payload/cgroup.procs" | wc -l | answer processes
/opt/stead/nspawn -q -M "long-name" -D /opt/stead/other true 2>&1 | answer again
systemctl stop "$unit"
wait $launcher
echo $? | answer stopped
systemctl is-active "$unit" | answer gone

{ in_machine --keep-unit -M kept sh -c 'grep ^0: /proc/self/cgroup'; echo $?; } | answer kept
{ in_machine --slice=other -M sliced true; echo $?; } | answer sliced
{ in_machine --property=TasksMax=never -M bad true; echo $?; } 2>&1 | answer bad
find /sys/fs/cgroup/machine.slice -name payload | wc -l | answer left
"""

UNIT = """[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/opt/stead/script
ExecStopPost=/usr/bin/systemctl poweroff --no-block
"""


def make_host(tree, busybox):
    folder = tree / FOLDER
    folder.mkdir(parents=True)
    for name in ("nspawn", "host-scope", "seccomp-compile"):
        shutil.copy(os.path.join(os.path.dirname(harness.LAUNCHER), name), folder / name)
    harness.copy_tree(busybox, folder / "tree")
    harness.copy_tree(busybox, folder / "other")
    script = folder / "script"
    script.write_text(SCRIPT)
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    units = tree / "etc/systemd/system"
    (units / "answers.service").write_text(UNIT)
    (units / "multi-user.target.wants").mkdir(exist_ok=True)
    (units / "multi-user.target.wants/answers.service").symlink_to("../answers.service")


@pytest.fixture(scope="module")
def answers(debian12_source, busybox_source, work):
    if harness.WITH_SANITIZERS:
        pytest.skip("the sanitizers' libraries are not in the tree that plays the host")
    tree = work / f"{harness.TAG}-host"
    harness.copy_tree(debian12_source, tree)
    make_host(tree, busybox_source)
    # A host may do what a guest may not: it starts machines of its own.
    result = harness.run("-b", "--capability=all", "--system-call-filter=@known", "-D", tree,
                         timeout=120)
    text = (tree / FOLDER / "answers").read_text()
    harness.remove_tree(tree)
    assert result.returncode == 0, f"{result.stdout}\n{text}"
    return dict(line.split(": ", 1) if ": " in line else (line.rstrip(":"), "")
                for line in text.splitlines())


@pytest.mark.parametrize("name, expected", [
    ("short", "0::/ 5"),
    ("active", "active"),
    ("Slice", "machine.slice"),
    ("Delegate", "yes"),
    ("TasksMax", "50"),
    ("MemoryMax", str(64 << 20)),
    ("DevicePolicy", "closed"),
    ("KillMode", "mixed"),
    ("Description", "Container long-name"),
    ("processes", "1"),
    ("stopped", "7"),
    ("kept", "0::/ 0"),
    ("sliced", "0"),
    ("left", "0"),
])
def test_answer(answers, name, expected):
    got = answers[name].strip()
    assert (got if name != "processes" else str(min(int(got), 1))) == expected


def test_machine_has_its_scope_once(answers):
    assert "long-name" in answers["again"], answers["again"]
    assert answers["gone"].strip() in ("inactive", "unknown")


def test_device_rules_reach_the_scope(answers):
    for rule in ("/dev/char/1:3 rwm", "char-pts rw", "/dev/fuse r"):
        assert rule in answers["devices"], answers["devices"]


def test_bad_property_is_refused(answers):
    assert "TasksMax" in answers["bad"] and answers["bad"].strip().endswith("1")
