"""What the payload is started with: where it runs, what it is given, what it may not do."""

import os
import re

import pytest

import harness
from harness import lines_of, output_of, run, settings_file

RUN = "/run/systemd/nspawn"

# Read-only, so that all tests of a module can share one tree.
SHARED = ["--read-only", "-D"]


def inside(tree, *command, args=(), **options):
    return output_of(run(*args, *SHARED, tree, *command, **options))


def refused(tree, *args, text, **options):
    """One sentence, before anything is touched."""
    result = run(*args, *SHARED, tree, "true", **options)
    assert result.returncode == 1 and result.stdout == ""
    assert len(lines_of(result.stderr)) == 1, result.stderr
    assert text in result.stderr


def may_lower_scores():
    bound = int(re.search(r"CapEff:\s*(\w+)", harness.read("/proc/self/status"))[1], 16)
    return bool(bound & 1 << 24)


# How the kernel treats it ----------------------------------------------------------------------

STATE = """cat /proc/self/oom_score_adj /proc/1/oom_score_adj /proc/self/personality
grep Cpus_allowed_list /proc/self/status | cut -f2; uname -m"""


@harness.covers("effect", "--oom-score-adjust", "--cpu-affinity")
@pytest.mark.parametrize("args", [[], ["-a"], ["-U"], ["-u", "daemon"]], ids=str)
def test_score_cpus_and_personality(shared_busybox, args):
    cpu = min(os.sched_getaffinity(0))
    plain = lines_of(inside(shared_busybox, "sh", "-c", STATE, args=args))
    assert plain[:2] == [harness.read("/proc/self/oom_score_adj").strip()] * 2
    changed = lines_of(inside(shared_busybox, "sh", "-c", STATE, args=[
        *args, "--oom-score-adjust=321", f"--cpu-affinity={cpu}"]))
    assert changed == ["321", "321", plain[2], str(cpu), plain[4]]


@harness.covers("effect", "--personality")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the words are those of x86-64")
def test_personality(shared_busybox):
    def see(*args):
        return lines_of(inside(shared_busybox, "sh", "-c", STATE, args=args))[2::2]
    assert see("--personality=x86") == see("-a", "--personality=x86") == ["00000008", "i686"]
    assert see("--personality=x86-64") == ["00000000", "x86_64"]
    refused(shared_busybox, "--personality=arm64", text="x86-64, x86")


def test_lower_score(shared_busybox):
    """Also in a user namespace, where a process itself may not."""
    score = int(harness.read("/proc/self/oom_score_adj")) - 100
    if not may_lower_scores():
        result = run(f"--oom-score-adjust={score}", *SHARED, shared_busybox, "true")
        assert result.returncode == 1 and "CAP_SYS_RESOURCE" in result.stderr
        return
    for args in ([], ["-U"]):
        text = inside(shared_busybox, "cat", "/proc/self/oom_score_adj",
                      args=[*args, f"--oom-score-adjust={score}"])
        assert int(text) == score


@pytest.mark.ours
def test_cpus_that_are_not_there(shared_busybox):
    refused(shared_busybox, "--cpu-affinity=8000-8191", text="8000-8191")


# Ambient capabilities --------------------------------------------------------------------------

NET_RAW, CHOWN = 1 << 13, 1 << 0


def capabilities(tree, *args):
    text = inside(tree, "cat", "/proc/self/status", args=args)
    return {name: int(value, 16) for name, value in re.findall(r"Cap(\w+):\s*(\w+)", text)}


@harness.covers("effect", "--ambient-capability")
@pytest.mark.parametrize("args", [[], ["-a"], ["-U"], ["--no-new-privileges=yes"]], ids=str)
def test_ambient(shared_busybox, args):
    wanted = ["--ambient-capability=CAP_NET_RAW", "--ambient-capability=CAP_CHOWN"]
    user = capabilities(shared_busybox, *args, "-u", "daemon", *wanted)
    assert user.pop("Bnd") & (NET_RAW | CHOWN) == NET_RAW | CHOWN
    assert set(user.values()) == {NET_RAW | CHOWN}
    root = capabilities(shared_busybox, *args, *wanted)
    assert root["Amb"] == NET_RAW | CHOWN
    assert root["Inh"] == root["Prm"] == root["Eff"] == root["Bnd"] != root["Amb"]


@harness.covers("bad", "[Exec] AmbientCapability")
@pytest.mark.ours
@pytest.mark.parametrize("args, text", [
    (["--ambient-capability=all"], "name the capabilities"),
    (["--ambient-capability=CAP_SYS_TIME"], "--capability=CAP_SYS_TIME"),
    (["--ambient-capability=CAP_CHOWN", "--drop-capability=CAP_CHOWN"], "CAP_CHOWN"),
    (["--ambient-capability=CAP_CHOWN", "-b"], "--boot"),
])
def test_bad_ambient(shared_busybox, args, text):
    refused(shared_busybox, *args, text=text)
    with settings_file(f"{RUN}/{shared_busybox.name}.nspawn", "[Exec]\nAmbientCapability=all\n"):
        refused(shared_busybox, text="name the capabilities")


# Words of a boot -------------------------------------------------------------------------------

@pytest.mark.ours
def test_boot_words(busybox):
    init = busybox / "usr/sbin/init"
    init.unlink()
    init.write_text("#!/bin/sh\necho \"$foo_bar,$C,$*\"\n")
    init.chmod(0o755)
    words = ["foo-bar=1 2", "systemd.unit=x", "C=3", "single", "--log-level=debug"]
    out = output_of(run("-b", "-D", busybox, "-E", "C=4", *words))
    assert out == "1 2,4,systemd.unit=x single --log-level=debug\n"


# Limits ----------------------------------------------------------------------------------------

LIMITS = ["CPU=2min:1h", "FSIZE=1M:2G", "DATA=1G", "STACK=1M:infinity", "CORE=0:1K", "RSS=5M",
          "NPROC=500:600", "NOFILE=50:60", "MEMLOCK=1M", "AS=1T", "LOCKS=7:8", "SIGPENDING=99",
          "MSGQUEUE=1000", "NICE=-5", "RTPRIO=3:4", "RTTIME=1s:2s"]


@pytest.mark.parametrize("how", ["options", "keys"])
def test_every_limit(shared_busybox, how):
    if how == "options":
        args, text = [f"--rlimit={limit}" for limit in LIMITS], ""
    else:
        args, text = [], "[Exec]\n" + "".join(f"Limit{limit}\n" for limit in LIMITS)
    with settings_file(f"{RUN}/{shared_busybox.name}.nspawn", text):
        table = inside(shared_busybox, "cat", "/proc/self/limits", args=args)
    found = [line[26:].split()[:2] for line in lines_of(table)[1:]]
    known = host_limits()
    for (soft, hard), (want_soft, want_hard), (_, most) in zip(found, [
            ("120", "3600"), ("1048576", "2147483648"), ("1073741824",) * 2,
            ("1048576", "unlimited"), ("0", "1024"), ("5242880",) * 2, ("500", "600"), ("50", "60"),
            ("1048576",) * 2, ("1099511627776",) * 2, ("7", "8"), ("99", "99"), ("1000", "1000"),
            ("25", "25"), ("3", "4"), ("1000000", "2000000")], known):
        # A host without CAP_SYS_RESOURCE gives no more than it has.
        if may_lower_scores() or most == "unlimited" or (
                want_hard != "unlimited" and int(want_hard) <= int(most)):
            assert (soft, hard) == (want_soft, want_hard)


def host_limits():
    return [line[26:].split()[:2] for line in lines_of(harness.read("/proc/self/limits"))[1:]]


# Keys of settings files ------------------------------------------------------------------------

@pytest.mark.parametrize("line, script, expected", [
    ("OOMScoreAdjust=77", "cat /proc/self/oom_score_adj", "77"),
    ("OOMScoreAdjust=77\nOOMScoreAdjust=", "cat /proc/self/oom_score_adj", None),
    ("CPUAffinity=0", "grep Cpus_allowed_list /proc/self/status | cut -f2", "0"),
    ("CPUAffinity=0\nCPUAffinity=", "grep Cpus_allowed_list /proc/self/status | cut -f2", None),
    ("AmbientCapability=CAP_CHOWN CAP_KILL", "grep CapAmb /proc/self/status | cut -f2", "0000000000000021"),
    ("Personality=x86", "cat /proc/self/personality", "00000008"),
    ("Personality=x86\nPersonality=", "cat /proc/self/personality", "00000000"),
], ids=str)
def test_key(shared_busybox, line, script, expected):
    if "=x86" in line and os.uname().machine != "x86_64":
        pytest.skip("the words are those of x86-64")
    plain = inside(shared_busybox, "sh", "-c", script).strip()
    with settings_file(f"{RUN}/{shared_busybox.name}.nspawn", f"[Exec]\n{line}\n"):
        found = inside(shared_busybox, "sh", "-c", script).strip()
    assert found == (plain if expected is None else expected)


@pytest.mark.ours
@pytest.mark.parametrize("line", ["OOMScoreAdjust=1001", "CPUAffinity=x", "Personality=vax",
                                  "AmbientCapability=CAP_X"])
def test_bad_key(shared_busybox, line):
    path = f"{RUN}/{shared_busybox.name}.nspawn"
    with settings_file(path, f"[Exec]\n{line}\n"):
        result = run(*SHARED, shared_busybox, "true")
    assert result.returncode == 0 and f"{path}:2" in result.stderr
