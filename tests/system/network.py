"""A host for a test of the network: namespaces in which the launcher is alone, and an outside.

    with network.Host() as host:
        with host.machine("-n", "-D", tree, "sleep", "99") as web:
            assert web.ask("ping", web.gateway4())
            assert web.ask("who", host.OUTSIDE4) == host.UPLINK4

The host has a network namespace and a mount namespace of its own with an empty /run/stead,
/var/lib/stead and /etc/stead, one link "up0" to the outside, default routes, and a resolv.conf that
names the outside's DNS server. Nothing of it is seen by the machine that runs the test, and other
tests may do the same at the same time. When the block ends, the host has to be as it was before the
machines (Host.check_clean()), and everything of it is gone, whatever happened.
"""

import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import harness

HERE = pathlib.Path(__file__).resolve().parent
LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG = 1
numbers = itertools.count(1)

# Where there could be something of another host's. What is not there is made, empty, and stays.
OWN_FOLDERS = ("/run/stead", "/var/lib/stead", "/etc/stead")
# Only where they are there: who asks whether networkd or NetworkManager runs is told no.
HIDDEN_FOLDERS = ("/run/systemd/nspawn", "/run/systemd/netif", "/run/NetworkManager")

# What may stay after the last machine: locks and leases, which are for ever.
MAY_STAY = ("/run/stead/locks", "/run/stead/uid", "/run/stead/seccomp", "/var/lib/stead/network",
            "/run/stead/machines")


def is_permanent(line):
    """Folders that are made once."""
    return line in ("/run/systemd/nspawn/locks", "/run/systemd/nspawn/propagate",
                    "/run/systemd/nspawn/unix-export", "/run/stead/network")


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def check(command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=harness.patient(30), check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stderr.strip()}"
    return done.stdout


class Namespaces:
    """A process that does nothing but have namespaces."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"{command}: {self.process.communicate()[1].strip()}")
        self.pid = self.process.pid
        self.handles = [os.open(f"/proc/{self.pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
                        for kind in ("mnt", "net")]
        self.marks = {os.fstat(handle).st_ino for handle in self.handles} - {
            os.stat(f"/proc/self/ns/{kind}").st_ino for kind in ("mnt", "net")}

    def enter(self):
        """Between fork and exec."""
        for handle in self.handles:
            if LIBC.setns(handle, 0) != 0:
                raise OSError(ctypes.get_errno(), "setns")

    def members(self):
        """The other processes in them."""
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != self.pid:
                with contextlib.suppress(OSError):
                    if {os.stat(f"/proc/{name}/ns/{kind}").st_ino for kind in ("mnt", "net")} & self.marks:
                        found.append(int(name))
        return found

    def end(self):
        """The members first; they may have children, which are found in the next round."""
        for _ in range(100):
            members = self.members()
            for pid in members:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not members:
                break
            time.sleep(0.02)
        self.process.kill()
        self.process.communicate()
        for handle in self.handles:
            os.close(handle)


class Machine:
    """A machine on such a host, whose first process runs its own program."""

    def __init__(self, host, process, leader):
        self.host, self.process, self.leader = host, process, leader

    def enter_command(self, everything=True):
        words = ["nsenter", "-t", str(self.leader), "-n"]
        if not everything:
            return words
        # Its own user namespace cannot be entered once more.
        users = [os.readlink(f"/proc/{pid}/ns/user") for pid in ("self", self.leader)]
        return [*words, "-m", "-u", "-i", "-p", "-r", "-w", *(["-U"] if users[0] != users[1] else [])]

    def run(self, *command, timeout=20, check=True, input=None):
        """Runs a program of the guest's in it, as its root."""
        done = subprocess.run([*self.enter_command(), *map(str, command)], input=input, text=True,
                              errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=harness.patient(timeout), env=harness.environment(), check=False)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done

    def look(self, *command):
        """Runs a program of the host's, such as ip(8), in the guest's network."""
        return check([*self.enter_command(False), *map(str, command)])

    def ask(self, *words, timeout=3):
        """One of probe.py; needs nothing of the guest's. Returns what came back."""
        return check([*self.enter_command(False), sys.executable, "-I", str(HERE / "probe.py"), *map(str, words)],
                     env=harness.environment(PROBE_TIMEOUT=str(harness.patient(timeout))))[:-1]

    def fails(self, *words, timeout=1):
        """The same; it must not work. Returns the reason."""
        with contextlib.suppress(AssertionError):
            answer = self.ask(*words, timeout=timeout)
            raise RuntimeError(f"{words} was answered: {answer}")
        return True

    def file(self, path):
        """What the guest reads there; "" if it is not there."""
        root = f"/proc/{self.leader}/root"
        for _ in range(8):
            if not os.path.islink(root + path):
                break
            # An absolute one begins at the guest's root, too.
            path = os.path.normpath(os.path.join(os.path.dirname(path), os.readlink(root + path)))
        with contextlib.suppress(OSError):
            return harness.read(root + path)
        return ""

    def nameservers(self):
        return [line.split()[1] for line in self.file("/etc/resolv.conf").splitlines()
                if line.startswith("nameserver ")]

    def resolve(self, name):
        """As a resolver in the guest does it, by its resolv.conf."""
        servers = self.nameservers()
        assert servers, f"no name server in resolv.conf: {self.file('/etc/resolv.conf')!r}"
        return self.ask("resolve", name, servers[0]).split()

    def reverse(self, address):
        return self.ask("reverse", address, self.nameservers()[0])

    def addresses(self, link="host0"):
        """"10.1.2.3/18" and so on, without those that are for the link only."""
        found = json.loads(self.look("ip", "-j", "addr", "show", "dev", link) or "[]")
        return [f"{entry['local']}/{entry['prefixlen']}" for interface in found
                for entry in interface.get("addr_info", ()) if entry.get("scope") == "global"]

    def address(self, version=4, link="host0"):
        """The first one, without the length of its prefix."""
        for text in self.addresses(link):
            if (":" in text) == (version == 6):
                return text.split("/")[0]
        raise AssertionError(f"no IPv{version} address on {link}: {self.look('ip', 'addr')}")

    def gateway(self, version=4):
        """Of its default route; "fe80::1%host0" for one that is for the link only."""
        for route in json.loads(self.look("ip", "-j", f"-{version}", "route") or "[]"):
            if route["dst"] == "default":
                # What was set and what a router told are one route with two ways, if they weigh the same.
                way = route.get("nexthops", [route])[0]
                return f"{way['gateway']}%{way['dev']}" if way["gateway"].startswith("fe80") else way["gateway"]
        raise AssertionError(f"no default route for IPv{version}: "
                             f"{self.look('ip', f'-{version}', 'route')}")

    def stop(self):
        """The supervisor is asked to end, which it does in order. What it printed."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.communicate(timeout=30)


class Host:
    UPLINK4, UPLINK6 = "198.51.100.2", "2001:db8:51::2"      # the host's
    NEXT4, NEXT6 = "198.51.100.1", "2001:db8:51::1"          # the other end of its link
    OUTSIDE4, OUTSIDE6 = "203.0.113.80", "2001:db8:113::80"  # behind it; knows no way to guests
    DNS = "203.0.113.53"                                     # knows outside.test

    def __init__(self, ipv6=True, resolver=True, clean=True):
        """@clean: what is left at the end is a failure. Without @ipv6 and @resolver the host has none."""
        self.ipv6, self.resolver, self.clean = ipv6, resolver, clean
        self.folder = harness.STATE / "work" / f"{harness.TAG}-host{next(numbers)}"
        self.stack = contextlib.ExitStack()
        self.before = None

    def __enter__(self):
        with self.stack:
            self.folder.mkdir(parents=True)
            self.stack.callback(harness.remove_tree, self.folder)
            self._make_outside()
            self._make_inside()
            self.before = self.picture()
            self.stack = self.stack.pop_all()
        return self

    def __exit__(self, kind, *_):
        with self.stack:
            if kind is None and self.clean:
                self.check_clean()

    # Making it ---------------------------------------------------------------------------------

    def _make_outside(self):
        self.outside = Namespaces("unshare", "--net", sys.executable, "-I", str(HERE / "outside.py"),
                                  str(os.getpid()))
        self.stack.callback(self.outside.end)
        (self.folder / "hosts").write_text(f"{self.OUTSIDE4} outside.test\n{self.OUTSIDE6} outside.test\n",
                                           encoding="ascii")

    def _make_inside(self):
        resolv_conf = self.folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {self.DNS}\n" if self.resolver else "", encoding="ascii")
        for folder in OWN_FOLDERS:
            os.makedirs(folder, exist_ok=True)
        folders = [*OWN_FOLDERS, *filter(os.path.isdir, HIDDEN_FOLDERS)]
        script = "\n".join([
            "set -e",
            *(f"mount -t tmpfs -o mode=755 stead-host {folder}" for folder in folders),
            f"mount --bind {resolv_conf} /etc/resolv.conf",
            # sysfs shows the network namespace of who mounts it.
            "mkdir /run/stead/old && mount --rbind /sys /run/stead/old && mount -t sysfs sysfs /sys",
            "mount --rbind /run/stead/old/fs/cgroup /sys/fs/cgroup",
            "umount -l /run/stead/old && rmdir /run/stead/old",
            "echo ready; exec sleep infinity"])
        self.inside = Namespaces("unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script)
        self.stack.callback(self.inside.end)
        self._make_link()
        self.dnsmasq = subprocess.Popen(
            ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--no-hosts",
             "--no-resolv", "--pid-file=", "--local=/#/", f"--addn-hosts={self.folder}/hosts",
             f"--listen-address={self.DNS}", "--bind-interfaces"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=self._enter_outside)
        self.stack.callback(self.dnsmasq.communicate)
        self.stack.callback(self.dnsmasq.kill)
        harness.wait_until(self._dns_answers, 10, "an answer of the outside's DNS server")

    def _make_link(self):
        """Without waiting for duplicates of addresses, which takes seconds."""
        lines = {self.outside: [
            f"link add down0 type veth peer name up0 netns {self.inside.pid}", "link set lo up",
            "link set down0 up", f"addr add {self.NEXT4}/24 dev down0", f"addr add {self.OUTSIDE4}/32 dev lo",
            f"addr add {self.DNS}/32 dev lo", f"addr add {self.NEXT6}/64 dev down0 nodad",
            f"addr add {self.OUTSIDE6}/128 dev lo nodad"]}
        lines[self.inside] = [
            "link set lo up", "link set up0 up", f"addr add {self.UPLINK4}/24 dev up0",
            f"route add default via {self.NEXT4}"]
        if self.ipv6:
            lines[self.inside] += [f"addr add {self.UPLINK6}/64 dev up0 nodad",
                                   f"route add default via {self.NEXT6} dev up0"]
        else:
            self.write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1")
        first = f"{lines[self.outside][0]}\n"
        check(["ip", "-batch", "-"], input=first, preexec_fn=self.outside.enter)
        lines[self.outside].pop(0)
        for namespaces, batch in lines.items():
            check(["sh", "-c", "for link in down0 up0; do file=/proc/sys/net/ipv6/conf/$link/accept_dad; "
                   "[ ! -e $file ] || echo 0 >$file; done; ip -batch -"],
                  input="\n".join(batch) + "\n", preexec_fn=namespaces.enter)
        harness.wait_until(self._link_is_up, 10, "the link to the outside")

    def _link_is_up(self):
        """With its own address, which the kernel gives it a moment later."""
        text = self.run("ip", "addr", "show", "up0")
        return "state UP" in text and ("inet6 fe80" in text or not self.ipv6) and "tentative" not in text

    def _enter_outside(self):
        die_with_parent()
        self.outside.enter()

    def _dns_answers(self):
        assert self.dnsmasq.poll() is None, "the outside's dnsmasq does not run"
        with contextlib.suppress(AssertionError):
            return self.ask_outside("resolve", "outside.test", self.DNS)
        return None

    # Using it ----------------------------------------------------------------------------------

    def run(self, *command, input=None, check=True, timeout=30):
        """A program on the host, such as ip(8), nft(8)."""
        done = subprocess.run(list(map(str, command)), input=input, text=True, errors="replace",
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=self.inside.enter,
                              stdin=subprocess.DEVNULL if input is None else None,
                              timeout=harness.patient(timeout), env=harness.environment(), check=False)
        if check:
            assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if check else done

    def run_outside(self, *command):
        return check(list(map(str, command)), preexec_fn=self.outside.enter)

    def ask(self, *words, timeout=3, where=None):
        """One of probe.py, from the host itself."""
        return check([sys.executable, "-I", str(HERE / "probe.py"), *map(str, words)],
                     preexec_fn=(where or self.inside).enter,
                     env=harness.environment(PROBE_TIMEOUT=str(harness.patient(timeout))))[:-1]

    def ask_outside(self, *words, **options):
        return self.ask(*words, where=self.outside, **options)

    def read(self, path):
        """A file as the host sees it, "" if it is not there."""
        return self.run("cat", path, check=False).stdout

    def write(self, path, text):
        self.run("sh", "-c", 'cat >"$0"', path, input=text)

    def launch(self, *args, **options):
        """Runs the launcher to its end; see harness.run()."""
        return harness.run(*args, preexec_fn=self.inside.enter, **options)

    def start(self, *args, **options):
        """Starts the launcher; the caller ends it, or the host's end does."""
        return harness.start(*args, preexec_fn=self.inside.enter, **options)

    def spawn(self, *args, **options):
        """On a pseudo terminal."""
        line = harness.command(*(["-q"] if options.pop("quiet", True) else []), *args)
        options = {"env": harness.environment(), "timeout": harness.patient(60), "encoding": "utf-8",
                   "codec_errors": "replace", "dimensions": (40, 132), **options}
        return harness.Console(line[0], line[1:], preexec_fn=self.inside.enter, **options)

    @contextlib.contextmanager
    def machine(self, *args, timeout=20, **options):
        """A machine, once its payload's own program runs."""
        process = self.start(*args, **options)
        try:
            try:
                leader = self._leader_of(process, timeout)
            except AssertionError as error:
                process.kill()
                output, messages = process.communicate()
                raise AssertionError(f"{error}: {output}{messages}") from None
            yield Machine(self, process, leader)
        finally:
            harness.stop(process)

    @staticmethod
    def _leader_of(process, timeout):
        """As harness.leader_of(), but does not wait for one that has ended."""
        end = time.monotonic() + harness.patient(timeout)
        while True:
            with contextlib.suppress(AssertionError):
                return harness.leader_of(process.pid, 0.05)
            assert process.poll() is None, f"the launcher ended with {process.returncode}"
            assert time.monotonic() < end, f"no first process within {timeout} s"

    # Seeing it ---------------------------------------------------------------------------------

    def processes(self, *names):
        """Who lives on the host, with these program names or all: [(pid, command line)]."""
        found = []
        for pid in self.inside.members():
            with contextlib.suppress(OSError):
                line = harness.read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
                program = harness.read(f"/proc/{pid}/comm").strip()
                if line and (not names or program in names or os.path.basename(line.split()[0]) in names):
                    found.append((pid, line))
        return found

    def links(self):
        return sorted(link["ifname"] for link in json.loads(self.run("ip", "-j", "link")))

    def ruleset(self):
        return self.run("nft", "--stateless", "list", "ruleset")

    def picture(self):
        """All that a launcher could have left, as lines of text."""
        script = ("ip -o -d link | sed 's/^[0-9]*: /link /; s/ qlen .*//'; ip -o addr | sed 's/^[0-9]*: /address /';"
                  "for v in 4 6; do ip -$v route show table all | sed \"s/^/route /; s/ expires [0-9]*sec//\"; "
                  "ip -$v rule | sed \"s/^/rule /\"; done;"
                  "nft --stateless list ruleset | sed 's/^/ruleset /';"
                  "grep -s . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/*/* /proc/sys/net/ipv6/conf/*/* "
                  "/proc/sys/net/ipv4/neigh/default/* /proc/sys/net/ipv6/neigh/default/* /proc/sys/net/bridge/*;"
                  "find /run/stead /var/lib/stead /etc/stead /run/systemd/nspawn -mindepth 1 2>/dev/null; :")
        lines = set(self.run("sh", "-c", script).splitlines())
        lines |= {f"process {line}" for _, line in self.processes()}
        return {line for line in lines if not line.startswith(MAY_STAY) and not is_permanent(line)}

    @staticmethod
    def _is_permanent(line):
        return line in ("/run/systemd/nspawn/locks", "/run/systemd/nspawn/propagate",
                        "/run/systemd/nspawn/unix-export", "/run/stead/network",
                        "/run/stead/network/moved")

    def check_clean(self, patience=5):
        """Requires that the host is as before the first machine."""
        end = time.monotonic() + harness.patient(patience)
        while (now := self.picture()) != self.before:
            if time.monotonic() > end:
                raise AssertionError("on the host is left: " + "; ".join(sorted(now - self.before))
                                     + "; is gone: " + "; ".join(sorted(self.before - now)))
            time.sleep(0.05)
