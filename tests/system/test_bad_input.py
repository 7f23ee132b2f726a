"""What is refused: one sentence, exit status 1, and nothing was touched."""

import os
import subprocess

import pytest

import harness
from harness import lines_of, run

# Each value is refused by the parser of its option.
BAD_VALUES = [
    "--bind=relative", "--bind=/tmp:relative", "--bind=/tmp:/x:nosuchoption", "--bind=",
    "--bind=/a:/b:rbind:more", "--bind-ro=relative/path", "--bind-ro=/tmp:rel",
    "--bind=+relative:/x", "--bind=:", "--bind=:relative", "--bind=/tmp:/a/../b",
    "--overlay=", "--overlay=/tmp", "--overlay=:/tmp:/x", "--overlay=/tmp:", "--overlay=/tmp:/tmp:rel",
    "--overlay=/tmp::/tmp:/x", "--overlay=+rel:/tmp:/x", "--overlay-ro=/tmp", "--overlay-ro=/tmp:/tmp:",
    "--inaccessible=", "--inaccessible=relative",
    "--tmpfs=relative", "--tmpfs=",
    "--setenv=1x=3", "--setenv==x", "-E=", "-E 1", "--setenv=",
    "--kill-signal=NOSUCH", "--kill-signal=9999", "--kill-signal=0", "--kill-signal=-1",
    "--time=never", "--time=",
    "--notify-ready=maybe", "--notify-ready=2",
    "--uuid=xyz", "--uuid=00000000000000000000000000000000", "--uuid=123",
    "--hostname=-bad-", "--hostname=a..b", "--hostname=under_score!", "--hostname=" + 65 * "x",
    "-M -bad", "--machine=a/b", "--machine=.", "--machine=" + 70 * "m", "-M a b",
    "--chdir=relative", "--chdir=/a/../b",
    "--private-users=x", "--private-users=-1", "--private-users=1:", "--private-users=1:0",
    "--private-users=4294967295:2", "--private-users=99999999999", "--private-users=1:2:3",
    "--private-users-ownership=never", "--private-users-ownership=",
    "--capability=CAP_NOSUCH", "--capability=NOSUCH,CAP_CHOWN", "--drop-capability=CAP_NOSUCH",
    "--capability=99", "--no-new-privileges=maybe", "--nesting=maybe",
    "--rlimit=NOFILE", "--rlimit=NOSUCH=1", "--rlimit=NOFILE=2:1", "--rlimit=NOFILE=x",
    "--rlimit=NOFILE=", "--rlimit=RLIMIT_NOFILE=-1", "--rlimit=NOFILE=1:2:3",
    "--console=nosuch", "--console=",
    "--register=perhaps", "--settings=maybe", "--settings=",
    "--slice=", "--stop-timeout=soon", "--stop-timeout=-1",
    "--directory=", "--user=", "--uid=a:b",
    "--background=red", "--background=1m", "-Z a\"b",
    "--suppress-sync=x", "--set-credential=a", "--set-credential=:x", "--set-credential=a/b:x",
    "--set-credential=a:\\q", "--load-credential=a", "--load-credential=a:", "--load-credential=a:b",
    "--load-credential=a:/no/such", "--load-credential=a:/usr", "--load-credential=..:/etc/passwd",
    "--oom-score-adjust=1001", "--oom-score-adjust=", "--cpu-affinity=x", "--cpu-affinity=3-1",
    "--cpu-affinity=99999", "--personality=", "--personality=vax", "--ambient-capability=CAP_NOSUCH",
    "--volatile=sometimes", "--volatile=",
    "--ephemeral-method=quick", "--ephemeral-directory=", "--template=",
    "--pivot-root=", "--pivot-root=a", "--pivot-root=/a:b", "--pivot-root=/a:/b:/c", "--pivot-root=/a/../b",
    "--property=novalue",
    "--resolv-conf=", "--resolv-conf=copy", "--resolv-conf=copy-", "--resolv-conf=bind_host",
    "--link-journal=", "--link-journal=try", "--link-journal=try-auto", "--link-journal=try-no",
    "--bind-user=", "--bind-user=root", "--bind-user=nobody", "--bind-user=a:b", "--bind-user=../x",
    "--bind-user=-a", "--bind-user=1000", "--bind-user-shell=sh", "--bind-user-shell=",
    "--bind-user-shell=/bin/../sh", "--bind-user-group=", "--bind-user-group=a b",
    "--forward-journal=", "--forward-journal=/", "--forward-journal-max-use=x",
    "--forward-journal-keep-free=0", "--forward-journal-max-file-size=-1",
    "--forward-journal-max-files=0", "--forward-journal-max-files=1M",
    "--timezone=", "--timezone=link", "--timezone=Europe/Berlin",
    "--no-such-option", "--bind", "-D", "--mach", "-k",
]
# The distribution's goes on with these, to fail later or not at all.
LENIENT_IN_STOCK = {"--property=novalue", "--setenv=", "-E=",
                    "--chdir=/a/../b", "--hostname=under_score!", "-M -bad", "--mach"}

BAD_COMBINATIONS = [
    ["--forward-journal-max-use=1G"], ["--forward-journal-max-files=3"],
    ["--bind-user-shell=yes"], ["--bind-user-shell=/bin/sh"], ["--bind-user-group=wheel"],
    ["--boot", "--as-pid2"],
    ["-a", "-b"],
    ["--private-users=1048576", "--private-users-ownership=chown", "--read-only"],
    ["-U", "--private-users-ownership=chown", "--read-only"],
    ["--volatile=state", "--private-users=1048576", "--private-users-ownership=chown"],
    ["--template=/nonexistent", "--ephemeral"],
    ["--ephemeral", "--cleanup"],
    ["--pivot-root=/nonexistent"],
    ["--ephemeral", "--ephemeral-method=snapshot"],
    ["--ephemeral", "--ephemeral-directory=/nonexistent"],
    ["-U", "--bind=/tmp:/"],
    ["--set-credential=a:1", "--set-credential=a:2"],
    ["--set-credential=a:1", "--load-credential=a:/etc/passwd"],
    ["--ambient-capability=CAP_CHOWN", "--boot"], ["--ambient-capability=CAP_SYS_TIME"],
    ["--nesting"],
    ["--nesting", "--private-users=no"],
    ["--nesting", "--private-users=identity"],
    ["--nesting", "--private-users=0:65536"],
    ["--private-users=1048576", "--private-users-ownership=map", "--tmpfs=/"],
    ["--private-users=yes", "--overlay=+/::/"],
    ["--volatile=overlay", "--tmpfs=/"],
    ["--read-only", "--overlay=/tmp:+/var:/mnt"],
    ["--inaccessible=/"],
]


def snapshot(tree):
    """Everything about the files that a start could change."""
    state = {}
    for folder, folders, files in os.walk(tree):
        for name in [".", *folders, *files]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            state[path] = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns,
                           status.st_ctime_ns, status.st_size)
    return state


def is_refused(result, tree=None, before=None, text=None):
    assert result.returncode == 1, f"exit {result.returncode}: {result.stdout} {result.stderr}"
    assert result.stdout == ""
    errors = lines_of(result.stderr)
    if not harness.IS_STOCK:
        # getopt's own line, if any, comes with the name of the program.
        ours = [line for line in errors if "option" not in line or "nspawn: " not in line]
        assert len(ours) <= 1 and errors, result.stderr
    assert errors, "refused without a word"
    if text:
        assert text.lower() in result.stderr.lower()
    if before is not None:
        assert snapshot(tree) == before, "the tree was touched"


@pytest.mark.parametrize("value", harness.covering("bad", BAD_VALUES))
def test_bad_value(busybox, value):
    if harness.IS_STOCK and value in LENIENT_IN_STOCK:
        pytest.skip("the distribution's accepts this")
    before = snapshot(busybox)
    args = value.split(" ", 1) if value.startswith(("-M ", "-E ")) else [value]
    is_refused(run("-D", busybox, *args, "true") if value not in ("-D", "--bind", "--mach")
               else run("-D", busybox, *args), busybox, before)


@pytest.mark.parametrize("args", BAD_COMBINATIONS, ids=" ".join)
def test_bad_combination(busybox, args):
    before = snapshot(busybox)
    is_refused(run(*args, "-D", busybox, "true"), busybox, before)


@pytest.mark.parametrize("args", [
    ["--register=yes", "--keep-unit", "--console=pipe", "--uuid=bad"], ["-q", "--uuid=bad"]])
def test_first_mistake_is_named(busybox, args):
    is_refused(run(*args, "-D", busybox, "true"), text="uuid")


# The tree --------------------------------------------------------------------------------------

@harness.covers("bad", "-D")
def test_missing_tree(work):
    is_refused(run("-D", work / "no-such-tree", "true"), text="no-such-tree")


def test_not_a_tree(work):
    folder = work / "no-os"
    folder.mkdir()
    try:
        is_refused(run("-D", folder, "true"), folder, snapshot(folder), text="no-os")
    finally:
        folder.rmdir()


def test_file_instead_of_a_tree(work):
    file = work / "file"
    file.write_text("")
    try:
        is_refused(run("-D", file, "true"))
    finally:
        file.unlink()


def test_root_of_the_host():
    is_refused(run("-D", "/", "true"), text="root")


def test_boot_without_os_release(busybox):
    (busybox / "etc/os-release").unlink()
    (busybox / "usr/lib/os-release").unlink()
    is_refused(run("-b", "-D", busybox), busybox, snapshot(busybox))


def test_unknown_machine():
    is_refused(run("-M", "no-such-machine-here", "true"), text="no-such-machine-here")


def test_missing_bind_source(busybox):
    result = run("-D", busybox, "--bind=/no/such/source:/mnt", "true")
    assert result.returncode == 1
    assert "/no/such/source" in result.stderr


@harness.covers("bad", "--uid", "--user")
def test_unknown_user(shared_debian12):
    result = run("--read-only", "-D", shared_debian12, "-u", "nosuchuser", "true")
    assert result.returncode == 1
    assert "nosuchuser" in result.stderr


@pytest.mark.ours
@harness.covers("bad", "--property")
@pytest.mark.parametrize("value", [
    "--property=NoSuchProperty=1", "--property=MemoryMax=lots", "--property=TasksMax=-3",
    "--property=CPUQuota=half"])
def test_bad_property(busybox, value):
    before = snapshot(busybox)
    is_refused(run("-D", busybox, value, "true"), busybox, before)


# Options that come later -----------------------------------------------------------------------

NOT_BUILT = [
    "--image=/x", "-i /x",
    "--oci-bundle=/x", "--root-hash=" + 32 * "0", "--private-users=managed",
]


@pytest.mark.ours
@pytest.mark.parametrize("value", NOT_BUILT)
def test_later_options_say_so(busybox, value):
    """An option is either built, or answered with a sentence; it is never silently ignored."""
    before = snapshot(busybox)
    result = run("-D", busybox, *value.split(" "), "true")
    if result.returncode == 0 or "not built yet" not in result.stderr:
        pytest.skip("this option is built now; it has tests of its own")
    is_refused(result, busybox, before, text="not built yet")


# Without privileges ----------------------------------------------------------------------------

NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


def reachable_by_nobody(path):
    return subprocess.run(["test", "-x", str(path)], check=False, **NOBODY).returncode == 0


def test_without_privileges(busybox):
    if not reachable_by_nobody(harness.LAUNCHER):
        pytest.skip("the launcher lies where an ordinary user cannot reach it")
    is_refused(run("-D", busybox, "true", **NOBODY), busybox, snapshot(busybox))


@pytest.mark.ours
def test_dry_run_needs_none(busybox):
    if not reachable_by_nobody(harness.LAUNCHER) or not reachable_by_nobody(busybox / "usr"):
        pytest.skip("the launcher or the tree lies where an ordinary user cannot reach it")
    before = snapshot(busybox)
    result = run("--dry-run", "-D", busybox, "true", **NOBODY)
    assert result.returncode == 0, result.stderr
    assert "/proc" in result.stdout
    assert snapshot(busybox) == before


# Help ------------------------------------------------------------------------------------------

@harness.covers("effect", "--help")
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help(option):
    result = run(option)
    assert result.returncode == 0
    assert "--directory" in result.stdout


@harness.covers("effect", "--version")
def test_version():
    result = run("--version")
    assert result.returncode == 0
    name, level = result.stdout.split()[:2]
    assert name.isalpha() and level.isdigit()


@pytest.mark.parametrize("option", [
    "--kill-signal=help", "--capability=help", "--drop-capability=help", "--rlimit=help",
    "--console=help", "--private-users-ownership=help"])
def test_lists_of_words(option):
    if harness.IS_STOCK and "ownership" in option:
        pytest.skip("the distribution's of this release has no such list")
    result = run(option)
    assert result.returncode == 0
    assert len(lines_of(result.stdout)) > 2


def test_option_after_the_command_is_the_commands(busybox):
    result = run("-D", busybox, "echo", "--no-such-option", "-b")
    assert harness.output_of(result).strip() == "--no-such-option -b"


def test_prefix_of_a_long_option(busybox):
    result = run(f"--direc={busybox}", "--mach=web7", "hostname")
    assert harness.output_of(result).strip() == "web7"
