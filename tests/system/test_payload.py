"""What the payload is started with: where it runs, what it is given, what it may not do."""

import hashlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pexpect
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
@pytest.mark.ours
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
    assert run("--personality=arm64", *SHARED, shared_busybox, "true").returncode == 1


@pytest.mark.ours
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
@pytest.mark.ours
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


# Credentials -----------------------------------------------------------------------------------

LIST = """cd $CREDENTIALS_DIRECTORY && stat -c '%n %a %u:%g %s' . * && md5sum * && touch x 2>&1
mount -o remount,rw,bind . 2>&1; touch x 2>&1; grep " $CREDENTIALS_DIRECTORY " /proc/self/mountinfo"""


@harness.covers("effect", "--set-credential", "--load-credential")
@pytest.mark.parametrize("args", [[], ["-a"], ["-U"], ["--private-network"]], ids=str)
def test_credentials(shared_busybox, tmp_path, args):
    file = tmp_path / "key"
    file.write_bytes(b"\0\xff\n")
    result = run(*args, *SHARED, shared_busybox, "--set-credential=a.b:x\\x41\\000\\n",
                 "--set-credential=empty:", f"--load-credential=key:{file}", "sh", "-c", LIST)
    out = result.stdout.replace("\r", "")
    assert lines_of(out)[:4] == [". 500 0:0 0", "a.b 400 0:0 4", "empty 400 0:0 0", "key 400 0:0 3"]
    for content in (b"xA\0\n", b"", b"\0\xff\n"):
        assert hashlib.md5(content).hexdigest() in out
    assert out.count("Read-only file system") == 2
    fields, _, rest = lines_of(out)[-1].partition(" - ")
    assert set(fields.split()[5].split(",")) >= {"nosuid", "nodev", "noexec"}
    if not harness.IS_STOCK:
        assert rest == "ramfs ramfs ro,mode=700"


@pytest.mark.ours
def test_credentials_of_a_user_without_privileges(shared_busybox):
    args = ["--no-new-privileges=yes", "-u", "daemon", "--set-credential=a:1"]
    script = "cat /run/host/credentials/a; stat -c %a /run/host/credentials /run/host/credentials/a"
    assert lines_of(inside(shared_busybox, "sh", "-c", script, args=args)) == ["1555", "444"]
    result = run("-u", "daemon", "--set-credential=a:1", *SHARED, shared_busybox, "sh", "-c", script)
    assert "1555" not in result.stdout and result.returncode == 1


def test_credentials_of_our_own(shared_busybox, tmp_path):
    (tmp_path / "mine").write_text("own")
    env = harness.environment(CREDENTIALS_DIRECTORY=str(tmp_path))
    assert inside(shared_busybox, "cat", "/run/host/credentials/a", args=["--load-credential=a:mine"],
                  env=env) == "own"


def test_credential_from_a_socket(shared_busybox, tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen(1)

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"from a ")
                time.sleep(0.05)
                connection.sendall(b"socket")
        thread = threading.Thread(target=serve)
        thread.start()
        out = inside(shared_busybox, "cat", "/run/host/credentials/a",
                     args=[f"--load-credential=a:{tmp_path}/socket"])
        thread.join()
    assert out == "from a socket"


def test_credential_from_a_pipe(shared_busybox):
    reader, writer = os.pipe()
    os.write(writer, b"from a pipe")
    os.close(writer)
    out = inside(shared_busybox, "cat", "/run/host/credentials/a", pass_fds=[reader],
                 args=[f"--load-credential=a:/dev/fd/{reader}"])
    os.close(reader)
    assert out == "from a pipe"


@pytest.mark.ours
@pytest.mark.parametrize("args", [[], ["-U"]], ids=str)
def test_systemd_takes_credentials(shared_debian12, args):
    """The guest's own systemd finds them, thinks that they are kept well, and acts on them."""
    process = harness.start("-b", "--volatile=overlay", *args, "-D", shared_debian12,
                            "--set-credential=tmpfiles.extra:f /run/made 0644 root root - yes")
    try:
        leader = harness.leader_of(process.pid)
        harness.wait_until(lambda: os.path.exists(f"/proc/{leader}/root/run/made"),
                           what="the file that the credential asks for")
        listed = subprocess.run(["nsenter", "-t", str(leader), "-a", "systemd-creds", "--system", "list"],
                                text=True, capture_output=True, check=True).stdout
        assert re.search(r"^tmpfiles.extra +secure +32B", listed, re.M)
    finally:
        harness.stop(process)


@pytest.mark.ours
def test_nobody_shows_a_secret(shared_busybox, tmp_path):
    """Neither the plan, nor messages, nor the list of processes."""
    plan = run("--dry-run", "--json", "--set-credential=a:GEHEIM", "--load-credential=b:/etc/shadow",
               *SHARED, shared_busybox, "true")
    assert '"a","b from /etc/shadow"' in plan.stdout and "GEHEIM" not in plan.stdout + plan.stderr
    for bad in ("--set-credential=a/b:GEHEIM", "--set-credential=a:GEHEIM\\q"):
        result = run(bad, *SHARED, shared_busybox, "true")
        assert result.returncode == 1 and "GEHEIM" not in result.stderr
    process = harness.start("--set-credential=a:GEHEIM", *SHARED, shared_busybox, "sleep", "99")
    try:
        leader = harness.leader_of(process.pid)
        for pid in (process.pid, leader):
            assert "GEHEIM" not in harness.read(f"/proc/{pid}/cmdline")
            assert "GEHEIM" not in harness.read(f"/proc/{pid}/environ")
        assert "a:xxxxxx" in harness.read(f"/proc/{process.pid}/cmdline")
    finally:
        harness.stop(process)


# Filters ---------------------------------------------------------------------------------------

SYNC = ('$!=0;syscall(74,99);print $!+0," ";$!=0;syscall(162);print $!+0," ";$!=0;'
        'for $f (010000,04010000,0){sysopen(F,"/tmp/x",0101|$f) and $!=0;print $!+0," ";$!=0}')
SOCKETS = ('for $f (1,2,16,17){$!=0;socket(S,$f,$f==16?3:1,0) and $!=0;print $!+0," "}'
           '$!=0;syscall(425,1,0);print $!+0')


@harness.covers("effect", "--suppress-sync", "[Exec] SuppressSync")
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
def test_suppressed_sync(shared_debian12):
    def see(*args, **options):
        return inside(shared_debian12, "perl", "-e", SYNC, args=args, **options).split()
    assert see("--suppress-sync=yes") == ["0", "0", "22", "22", "0"]
    assert see() == see("--suppress-sync=no") == ["9", "0", "0", "0", "0"]
    assert see(env=harness.environment(SYSTEMD_SUPPRESS_SYNC="1")) == ["0", "0", "22", "22", "0"]
    with settings_file(f"{RUN}/{shared_debian12.name}.nspawn", "[Exec]\nSuppressSync=yes\n"):
        assert see() == ["0", "0", "22", "22", "0"]


@harness.covers("effect", "--restrict-address-families", "[Exec] RestrictAddressFamilies")
@pytest.mark.ours
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize("words, expected", [
    (["AF_UNIX AF_INET"], "0 0 97 97 1"), (["AF_NETLINK"], "97 97 0 97 1"),
    (["~AF_INET AF_PACKET"], "0 97 0 97 1"), (["AF_UNIX AF_INET", "~AF_UNIX"], "97 0 97 97 1"),
    (["AF_UNIX", ""], "0 0 0 94 14"), ([""], "0 0 0 94 14"),
])
def test_families(shared_debian12, words, expected):
    args = [f"--restrict-address-families={word}" for word in words]
    out = inside(shared_debian12, "perl", "-e", SOCKETS, args=args)
    assert out == expected
    lines = "".join(f"RestrictAddressFamilies={word}\n" for word in words)
    with settings_file(f"{RUN}/{shared_debian12.name}.nspawn", f"[Exec]\n{lines}"):
        assert inside(shared_debian12, "perl", "-e", SOCKETS) == expected


@harness.covers("bad", "--restrict-address-families")
@pytest.mark.ours
def test_families_that_are_not(shared_busybox):
    refused(shared_busybox, "--restrict-address-families=AF_FOO", text="'AF_FOO'")
    refused(shared_busybox, "--restrict-address-families=AF_UNIX,AF_INET", text="help")


# SELinux ---------------------------------------------------------------------------------------

@harness.covers("bad", "--selinux-context", "--selinux-apifs-context")
@pytest.mark.ours
@pytest.mark.parametrize("option", ["-Z", "--selinux-context=", "-L", "--selinux-apifs-context="])
def test_labels_need_selinux(shared_busybox, option):
    if "selinuxfs" in harness.read("/proc/filesystems"):
        pytest.skip("this kernel has SELinux")
    refused(shared_busybox, f"{option}system_u:object_r:tmp_t:s0", text="no SELinux")


# Namespaces of the host ------------------------------------------------------------------------

def shared(**variables):
    return harness.environment(**{f"SYSTEMD_NSPAWN_SHARE_{name}": "1" for name in variables})


NAMESPACES = "for n in ipc pid uts mnt; do readlink /proc/self/ns/$n; done; hostname"


@harness.covers("effect", "--share-system")
@pytest.mark.parametrize("name, expected", [
    ("NS_IPC", {"ipc"}), ("NS_UTS", {"uts"}), ("NS_PID", {"pid"}), ("SYSTEM", {"ipc", "uts", "pid"})])
def test_shared_namespaces(busybox, name, expected):
    out = lines_of(output_of(run("-D", busybox, "sh", "-c", NAMESPACES, env=shared(**{name: 1}))))
    ours = {os.readlink(f"/proc/self/ns/{kind}") for kind in ("ipc", "uts", "pid", "mnt")}
    assert {link.split(":")[0] for link in out[:4] if link in ours} == expected
    assert out[4] == (os.uname().nodename if "uts" in expected else busybox.name)
    if name == "SYSTEM":
        option = lines_of(output_of(run("--share-system", "-D", busybox, "sh", "-c", NAMESPACES)))
        assert option[:3] + option[4:] == out[:3] + out[4:]


@pytest.mark.ours
def test_shared_process_numbers(busybox):
    """Signals mean what they mean on the host, and nothing is left when the command has ended."""
    env = shared(NS_PID=1)
    for name in ("HUP", "INT", "TERM"):
        result = run("-D", busybox, "sh", "-c", f"kill -{name} $$; sleep 9", env=env)
        assert result.returncode == 1 and f"terminated by signal {name}" in result.stderr
    out = output_of(run("-D", busybox, "sh", "-c", "sleep 999 >/dev/null & echo $!; "
                        "grep CapBnd /proc/self/status", env=env))
    pid, status = lines_of(out)
    # It is dead; the host's init takes it away.
    harness.wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="the end of the command's child")
    assert not int(status.split()[1], 16) & 1 << 22
    assert run("-q", "-D", busybox, "sh", "-c", "exit 42", env=env).returncode == 42


@pytest.mark.ours
@pytest.mark.parametrize("args, name, text", [
    (["-b"], "SYSTEM", "--boot"), (["-a"], "NS_UTS", "--as-pid2"), (["-U"], "NS_PID", "-U"),
    (["--private-users=1572864"], "NS_PID", "--private-users="), (["--hostname=x"], "NS_UTS", "--hostname="),
    (["--share-system", "-b"], "NS_IPC", "--boot")])
def test_what_cannot_be_shared(shared_busybox, args, name, text):
    refused(shared_busybox, *args, text=text, env=shared(**{name: 1}))
    refused(shared_busybox, text="USE_CGNS", env=harness.environment(SYSTEMD_NSPAWN_USE_CGNS="no"))


# Messages and the terminal ---------------------------------------------------------------------

@pytest.mark.ours
def test_log_level(shared_busybox):
    def messages(level, **options):
        result = run(*SHARED, shared_busybox, "true", **options,
                     env=harness.environment(SYSTEMD_LOG_LEVEL=level))
        assert result.returncode == 0
        return result.stderr
    assert "Spawning" in messages("info", quiet=False) and "Spawning" in messages("7", quiet=False)
    assert messages("notice", quiet=False) == messages("err", quiet=False) == ""
    assert messages("debug") == ""
    assert "SYSTEMD_LOG_LEVEL" in messages("loud", quiet=False)


COLOURS = ["sh", "-c", r"printf 'a\033[0mb\033[1;31mc\033[0;41md\033[me\n'"]


@harness.covers("effect", "--background")
@pytest.mark.ours
@pytest.mark.parametrize("args, changes, expected", [
    ([], {}, "a\x1b[0mb\x1b[1;31mc\x1b[0;41md\x1b[me\r\n"),
    (["--background=44"], {}, "\x1b[44m\x1b[Ja\x1b[0m\x1b[44mb\x1b[1;31mc\x1b[0;41md\x1b[m\x1b[44me\r\n"
     "\x1b\\\x1b[0m\x1b[J"),
    (["--background="], {"SYSTEMD_TINT_BACKGROUND": "1"}, None),
    (["--background=44"], {"NO_COLOR": "1"}, None), (["--background=44"], {"SYSTEMD_COLORS": "0"}, None),
    (["--background=44"], {"TERM": "dumb"}, None), (["--background=44", "--pipe"], {}, None),
    ([], {"SYSTEMD_ADJUST_TERMINAL_TITLE": "1"}, "\x1b[22;0t\x1b]0;Container NAME\x1b\\"
     "a\x1b[0mb\x1b[1;31mc\x1b[0;41md\x1b[me\r\n\x1b\\\x1b[23;0t"),
], ids=str)
def test_background(shared_busybox, args, changes, expected):
    plain = "a\x1b[0mb\x1b[1;31mc\x1b[0;41md\x1b[me\r\n"
    console = harness.spawn(*args, *SHARED, shared_busybox, *COLOURS, env=harness.environment(**changes))
    console.expect(pexpect.EOF)
    console.close()
    assert console.exitstatus == 0
    assert console.before == (expected or plain).replace("NAME", shared_busybox.name)


@pytest.mark.ours
@pytest.mark.parametrize("signo", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_background_is_taken_back(shared_busybox, signo):
    console = harness.spawn("--background=44", *SHARED, shared_busybox, "sh", "-c",
                            "echo ready; exec sleep 99")
    console.expect("ready")
    console.kill(signo)
    console.expect_exact("\x1b\\\x1b[0m\x1b[J")
    console.expect(pexpect.EOF)
    console.close()


@harness.covers("effect", "--no-ask-password", "--system")
@pytest.mark.ours
def test_scope_of_a_user(shared_busybox):
    """The words of newer releases get an answer."""
    result = run("--user", "-D", shared_busybox, "true")
    assert result.returncode == 1 and "service manager" in result.stderr
    assert inside(shared_busybox, "id", "-un", args=["--user", "daemon", "--system"]) == "daemon\n"
    assert run("--no-ask-password", *SHARED, shared_busybox, "true").returncode == 0


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

@harness.covers("effect", "[Exec] OOMScoreAdjust", "[Exec] CPUAffinity", "[Exec] AmbientCapability", "[Exec] Personality")
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


@harness.covers("bad", "[Exec] OOMScoreAdjust", "[Exec] CPUAffinity", "[Exec] AmbientCapability", "[Exec] Personality")
@pytest.mark.ours
@pytest.mark.parametrize("line", ["OOMScoreAdjust=1001", "CPUAffinity=x", "Personality=vax",
                                  "AmbientCapability=CAP_X"])
def test_bad_key(shared_busybox, line):
    path = f"{RUN}/{shared_busybox.name}.nspawn"
    with settings_file(path, f"[Exec]\n{line}\n"):
        result = run(*SHARED, shared_busybox, "true")
    assert result.returncode == 0 and f"{path}:2" in result.stderr
