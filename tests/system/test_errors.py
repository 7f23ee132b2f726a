"""Errors name the cause and the cure: what fails here fails on purpose, and the sentence is looked at."""

import contextlib
import os
import pathlib
import struct
import subprocess

import pytest

import harness
from harness import run

pytestmark = pytest.mark.ours


def fails(*args, status=1, env=None, prefix=(), **options):
    """The one sentence of a start that fails."""
    line = [*prefix, *harness.command("-q", *args)]
    result = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, check=False, timeout=harness.patient(60), env=env or harness.environment(),
                            **options)
    assert result.returncode == status and result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    return lines[0]


def elf(machine, interpreter=""):
    """An ELF program of 64 bits with nothing but a name of a loader."""
    name = interpreter.encode() + b"\0"
    return (b"\x7fELF\x02\x01\x01" + bytes(9)
            + struct.pack("<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
            + struct.pack("<IIQQQQQQ", 3, 4, 120, 0, 0, len(name), len(name), 1) + name)


def put(tree, path, content, mode=0o755):
    file = pathlib.Path(tree) / path
    file.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    file.write_bytes(content)
    file.chmod(mode)


# Programs --------------------------------------------------------------------------------------

OTHER = 258 if os.uname().machine != "loongarch64" else 243
OTHER_NAME = "loongarch64" if OTHER == 258 else "riscv64"

PROGRAMS = [
    (elf(OTHER), 0o755, ["Exec format error", f"made for {OTHER_NAME}", os.uname().machine, "qemu-user", "binfmt_misc"]),
    (elf(62, "/lib64/ld-nosuch.so.2"), 0o755, ["No such file", "is there", "loader '/lib64/ld-nosuch.so.2'"]),
    (b"#!/usr/bin/nosuch -x\n", 0o755, ["No such file", "script for '/usr/bin/nosuch'"]),
    (b"", 0o755, ["Exec format error", "is empty"]),
    (b"echo hello\n", 0o755, ["Exec format error", "'#!'"]),
    (b"#!/bin/sh\n", 0o644, ["Permission denied", "chmod +x"]),
]


@pytest.mark.parametrize("content, mode, words", PROGRAMS, ids=["foreign", "loader", "script", "empty", "text", "mode"])
def test_program(busybox, content, mode, words):
    """The same for a command with its path, one that is looked up, one under the small init, and an init."""
    if content[18:20] == b"\x3e\0" and os.uname().machine != "x86_64":
        pytest.skip("the program is for x86_64")
    if os.path.exists(f"/proc/sys/fs/binfmt_misc/qemu-{OTHER_NAME}"):
        pytest.skip("the host has an emulator")
    put(busybox, "usr/bin/program", content, mode)
    put(busybox, "usr/lib/systemd/systemd", content, mode)
    (busybox / "sbin/init").unlink()
    for args in (["/usr/bin/program"], ["program"], ["-a", "program"], ["-U", "--private-users-ownership=map", "program"],
                 ["-b"]):
        message = fails("-D", busybox, *args)
        assert message.startswith("Cannot start ")
        for word in words:
            assert word in message, (args, message)


def test_missing_programs(busybox):
    assert "None of the folders of PATH (/usr/local/sbin:" in fails("-D", busybox, "nosuch")
    assert fails("-D", busybox, "/nosuch") == "Cannot start '/nosuch' in the container: No such file or directory."
    assert "it is a directory" in fails("-D", busybox, "/usr")
    for name in "sbin/init", "bin/sh", "bin/bash":
        with contextlib.suppress(FileNotFoundError):
            (busybox / name).unlink()
    assert "Install an init in the tree" in fails("-b", "-D", busybox)
    assert "say which command to run" in fails("-D", busybox)


def test_directory_of_path_is_no_program(busybox):
    (busybox / "usr/local/sbin/true").mkdir(parents=True)
    assert run("-D", busybox, "true").returncode == 0


def test_noexec(busybox):
    """The file system that the tree is on."""
    script = f"mount --bind {busybox} {busybox} && mount -o remount,bind,noexec {busybox} && exec \"$@\""
    message = fails("-D", busybox, "true", prefix=["unshare", "-m", "sh", "-ec", script, "sh"])
    assert "mounted with 'noexec'. Mount it with 'exec'." in message


def test_os_release(busybox):
    for name in "etc/os-release", "usr/lib/os-release":
        with contextlib.suppress(FileNotFoundError):
            (busybox / name).unlink()
    message = fails("-b", "-D", busybox)
    assert "'/etc/os-release'" in message and "without --boot" in message


# File systems ----------------------------------------------------------------------------------

def in_tmpfs(busybox, options, change):
    """A shell that has a small copy of the tree on a tmpfs of its own, and makes @change before it goes on."""
    place = busybox.parent
    return ["unshare", "-m", "sh", "-ec",
            f"mkdir -p {place}/m; mount -t tmpfs -o {options} tmpfs {place}/m; mkdir -p {place}/m/t/usr/bin {place}/m/t/etc; "
            f"cp {busybox}/bin/busybox {place}/m/t/usr/bin; {change}; exec \"$@\"", "sh"]


def test_full_file_system(busybox):
    tree = busybox.parent / "m/t"
    message = fails("-D", tree, "true", prefix=in_tmpfs(busybox, "nr_inodes=8", "true"),
                    cwd=busybox.parent)
    assert "No space left on device. The file system is full" in message
    (busybox.parent / "m").rmdir()


def test_read_only_file_system(busybox):
    """A missing mount point cannot be made there."""
    tree = busybox.parent / "m/t"
    message = fails("-U", "-D", tree, "true", cwd=busybox.parent,
                    prefix=in_tmpfs(busybox, "mode=755", f"mount -o remount,ro {busybox.parent}/m"))
    assert "Read-only file system" in message
    (busybox.parent / "m").rmdir()


# Sandboxes -------------------------------------------------------------------------------------

def test_without_capability(busybox):
    message = fails("-D", busybox, "true", prefix=["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
    assert "SYS_ADMIN" in message


@pytest.mark.parametrize("limit, step", [("max_mnt_namespaces", "Cannot mount"), ("max_pid_namespaces", "namespaces")])
def test_namespace_limit(busybox, cgroup, limit, step):
    """A limit of a user namespace that is made for the test, so that nobody else meets it."""
    # With ids the second shell has capabilities, which the first one has lost.
    second = f"echo 0 >/proc/sys/user/{limit}; exec \"$@\" </dev/null"
    script = f"echo up; read x; exec sh -ec '{second}' sh \"$@\""
    process = subprocess.Popen(["unshare", "-Um", "sh", "-ec", script, "sh",
                                *harness.command("-q", "-D", busybox, "true", keep_unit=True)],
                               text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=harness.environment(), preexec_fn=cgroup.enter)
    try:
        assert process.stdout.readline() == "up\n"
        for name in "uid_map", "gid_map":
            pathlib.Path(f"/proc/{process.pid}/{name}").write_text("0 0 65536", encoding="utf-8")
        _, message = process.communicate("\n", timeout=harness.patient(60))
    finally:
        harness.stop(process)
    assert process.returncode == 1
    assert step in message and f"No space left on device. The limit /proc/sys/user/{limit} is 0. Raise it." in message


# A busy tree -----------------------------------------------------------------------------------

def test_busy_tree_names_the_machine(busybox):
    name = f"{harness.TAG}-busy.a"
    process = harness.start("-M", name, "-D", busybox, "sh", "-c", "echo up; read x", stdin=subprocess.PIPE)
    try:
        assert process.stdout.readline().strip() == "up"
        message = fails("-M", f"{harness.TAG}-other", "-D", busybox, "true")
        assert f"currently busy: process {process.pid}, machine '{name}', uses it." in message
    finally:
        harness.stop(process)
