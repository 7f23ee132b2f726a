"""Published ports: the proxy by itself, and machines that publish ports."""

import contextlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

import pytest

import harness
import network

GUEST4, GUEST6, NEAR4, NEAR6 = "10.77.0.2", "fd77::2", "10.77.0.1", "fd77::1"
SECONDS = 3


@pytest.fixture
def host():
    with network.Host() as made:
        yield made


# The proxy by itself ---------------------------------------------------------------------------

class Guest:
    """A namespace with a link to the host, that answers as the outside does: echo at 7, who at 80."""

    def __init__(self, host, number=0):
        self.host, self.near, far = host, f"near{number}", f"far{number}"
        self.inside = network.Namespaces("unshare", "--net", sys.executable, "-I",
                                         str(network.HERE / "outside.py"), str(os.getpid()))
        near4, near6, guest4, guest6 = (text.replace("77", str(77 + number)) for text in (NEAR4, NEAR6, GUEST4, GUEST6))
        host.run("sh", "-ec", f"ip link add {self.near} type veth peer name {far} netns {self.inside.pid}; "
                 f"echo 0 >/proc/sys/net/ipv6/conf/{self.near}/accept_dad; ip link set {self.near} up; "
                 f"ip addr add {near4}/24 dev {self.near}; ip addr add {near6}/64 dev {self.near} nodad")
        network.check(["sh", "-ec", f"echo 0 >/proc/sys/net/ipv6/conf/{far}/accept_dad; "
                       f"ip link set lo up; ip link set {far} up; "
                       f"ip addr add {guest4}/24 dev {far}; ip addr add {guest6}/64 dev {far} nodad; "
                       f"ip route add default via {near4}; ip route add default via {near6}"],
                      preexec_fn=self.inside.enter)

    def end(self):
        self.inside.end()
        self.host.run("sh", "-c", f"ip link del {self.near}; while ip link show {self.near}; do sleep 0.05; done")

    def ask(self, *words, **options):
        return self.host.ask(*words, where=self.inside, **options)

    def run(self, *command):
        return network.check(command, preexec_fn=self.inside.enter)

    @contextlib.contextmanager
    def handle(self):
        handle = os.pidfd_open(self.inside.pid)
        try:
            yield handle
        finally:
            os.close(handle)


class Proxy:
    def __init__(self, host, *arguments, before=(), **options):
        program = os.path.join(harness.environment()["STEAD_LIBEXECDIR"], "port-proxy")
        self.process = subprocess.Popen([*before, program, *arguments], stdout=subprocess.PIPE, text=True,
                                        preexec_fn=host.inside.enter, **options)
        self.says = self.process.stdout.readline().strip()

    def end(self):
        """By the end of whom it talks to."""
        self.process.stdout.close()
        assert self.process.wait(timeout=harness.patient(5)) == 0


@contextlib.contextmanager
def proxy_of(host, *arguments, **options):
    proxy = Proxy(host, *arguments, **options)
    try:
        assert proxy.says == "ready"
        yield proxy
        proxy.end()
    finally:
        proxy.process.kill()
        proxy.process.wait()
        proxy.process.stdout.close()


@pytest.fixture
def guest(host):
    made = Guest(host)
    yield made
    made.end()


@pytest.fixture
def sibling(host):
    made = Guest(host, 1)
    yield made
    made.end()


PORTS = ("tcp:8080:80", "tcp:7007:7", "udp:7007:7")
TARGETS = (f"--target4={GUEST4}", f"--target6={GUEST6}")


def test_proxy_of_many_ports(host):
    """A machine may publish more of them than the descriptors of a usual soft limit are."""
    ports = [f"tcp:{port}:80" for port in range(20000, 20600)]
    with proxy_of(host, *TARGETS, *ports, before=("prlimit", "--nofile=1024:")):
        pass


def test_proxy_from_everywhere(host, guest):
    with proxy_of(host, *TARGETS, *PORTS) as proxy:
        for address in ("127.0.0.1", "127.0.0.7", "::1", host.UPLINK4, host.UPLINK6, NEAR4, NEAR6):
            assert host.ask("tcp", address, 7007, "abc") == "abc"
            assert host.ask("udp", address, 7007, "abc") == "abc"
            assert host.ask("who", address, 8080) == (NEAR6 if ":" in address else NEAR4)
        for address in (host.UPLINK4, host.UPLINK6):
            assert host.ask_outside("tcp", address, 7007, "abc") == "abc"
            assert host.ask_outside("udp", address, 7007, "abc") == "abc"
        status = harness.read(f"/proc/{proxy.process.pid}/status")
        assert "Uid:\t65534\t65534\t65534\t65534" in status and "Groups:\t \n" in status
        assert "CapEff:\t0000000000000000" in status and "NoNewPrivs:\t1" in status


def test_proxy_from_inside(host, guest):
    """It connects in the machine's own namespace, to the address that it finds there, and follows it."""
    with open(f"/proc/{guest.inside.pid}/ns/net", "rb") as namespace, \
            proxy_of(host, "--inside", *PORTS, stdin=namespace) as proxy:
        read = proxy.process.stdout.readline
        assert read() + read() == f"address4 {GUEST4}\naddress6 {GUEST6}\n"
        host.run("ip", "link", "set", "near0", "down")
        assert host.ask("who", "127.0.0.1", 8080) == GUEST4
        assert host.ask_outside("udp", host.UPLINK4, 7007, "abc") == "abc"
        guest.run("ip", "addr", "add", "10.77.0.9/32", "dev", "lo")
        guest.run("ip", "addr", "del", f"{GUEST4}/24", "dev", "far0")
        assert read() == "address4 10.77.0.9\n"
        assert host.ask("who", "127.0.0.1", 8080) == "10.77.0.9"
        guest.run("ip", "addr", "del", "10.77.0.9/32", "dev", "lo")
        assert read() == "address4 -\n"
        # The other family is better than nothing.
        assert host.ask("who", "127.0.0.1", 8080) == GUEST6
        assert host.ask("udp", "127.0.0.1", 7007, "abc") == "abc"


def test_proxy_follows_addresses(host, guest):
    """The same, but it connects from the host."""
    with guest.handle() as handle, proxy_of(host, "--follow", *PORTS, stdin=handle) as proxy:
        read = proxy.process.stdout.readline
        assert read() + read() == f"address4 {GUEST4}\naddress6 {GUEST6}\n"
        assert host.ask("who", "127.0.0.1", 8080) == NEAR4
        guest.run("ip", "addr", "del", f"{GUEST4}/24", "dev", "far0")
        assert read() == "address4 -\n"
        assert host.ask("who", "127.0.0.1", 8080) == NEAR6
        guest.run("ip", "addr", "add", "10.77.0.9/24", "dev", "far0")
        assert read() == "address4 10.77.0.9\n"
        assert host.ask("who", "127.0.0.1", 8080) == NEAR4


def test_proxy_refusals(host, guest):
    with proxy_of(host, "--machine=first", *TARGETS, *PORTS):
        second = Proxy(host, "--machine=second", *TARGETS, "tcp:7007:9")
        assert second.says == ("failed Cannot publish the host's TCP port 7007: it is in use by machine 'first'. "
                               "Publish another port, or end what uses this one.")
        assert second.process.wait() == 1
        second = Proxy(host, "--machine=second", *TARGETS, "tcp:99:9", "udp:7007:9")
        assert "UDP port 7007: it is in use by machine 'first'" in second.says
        second.process.wait()


def test_proxy_of_a_silent_port(host, guest):
    """Nobody listens in the machine: the client is told, and does not wait."""
    with proxy_of(host, *TARGETS, "tcp:7007:70"):
        with pytest.raises(AssertionError, match="reset"):
            host.ask("tcp", "127.0.0.1", 7007)


def test_proxy_beside_single_addresses(host, guest):
    """A name server at one address leaves the others."""
    holder = subprocess.Popen([sys.executable, "-c", "import socket, time\n"
                               "for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):\n"
                               "  s = socket.socket(socket.AF_INET, kind); s.bind(('127.0.0.53', 7007))\n"
                               "  kind == socket.SOCK_STREAM and s.listen(1); globals()[str(kind)] = s\n"
                               "print('ready', flush=True); time.sleep(99)"],
                              stdout=subprocess.PIPE, preexec_fn=host.inside.enter)
    try:
        assert holder.stdout.readline() == b"ready\n"
        with proxy_of(host, *TARGETS, *PORTS):
            for address in ("127.0.0.1", "::1", host.UPLINK4, host.UPLINK6, NEAR4):
                assert host.ask("tcp", address, 7007, "abc") == "abc"
                assert host.ask("udp", address, 7007, "abc") == "abc"
    finally:
        holder.kill()
        holder.communicate()


STREAM = """
import hashlib, socket, sys, threading
link = socket.create_connection(("127.0.0.1", 7007), 10)
part = bytes(range(256)) * 1000
sent, got = hashlib.sha256(), hashlib.sha256()
def send():
    for _ in range(200):
        sent.update(part); link.sendall(part)
    link.shutdown(socket.SHUT_WR)
thread = threading.Thread(target=send); thread.start()
n = 0
while data := link.recv(65536):
    n += len(data); got.update(data)
thread.join()
assert n == 200 * len(part), n
assert sent.digest() == got.digest()
print("same")
"""


def test_proxy_streams(host, guest):
    """Fifty megabytes there and back, with an end of one direction before the other; many at once."""
    with proxy_of(host, *TARGETS, *PORTS) as proxy:
        assert host.run(sys.executable, "-c", STREAM) == "same\n"
        script = ("import os, socket, sys\nlinks = [socket.create_connection(('::1', 7007), 10) for _ in range(300)]\n"
                  "for n, l in enumerate(links): l.sendall(b'%d' % n)\n"
                  "for n, l in enumerate(links): assert l.recv(99) == b'%d' % n\n"
                  "print(len(os.listdir(f'/proc/{sys.argv[1]}/fd')))")
        n_fds = int(host.run(sys.executable, "-c", script, proxy.process.pid))
        assert 600 < n_fds < 700, "idle connections hold no pipes"
        harness.wait_until(lambda: len(os.listdir(f"/proc/{proxy.process.pid}/fd")) < 80, 5, "all closed")


LIMITED = """
import socket, sys
links = [socket.create_connection(("127.0.0.1", 7007), 10) for _ in range(10)]
for link in links:
    link.sendall(b"here")
answered = 0
for number, link in enumerate(links):
    link.settimeout(0.3 if number == 3 else 5)
    try:
        assert link.recv(4) == b"here"
        answered += 1
    except TimeoutError:
        break
assert answered == 3, answered
for number, link in enumerate(links[3:]):
    links[number].close()
    link.settimeout(5)
    assert link.recv(4) == b"here", number
datagrams = []
for number in range(50):
    link = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    link.settimeout(5)
    link.connect(("127.0.0.1", 7007))
    link.send(b"%d" % number)
    assert link.recv(99) == b"%d" % number
    datagrams.append(link)
print("fine")
"""


def test_proxy_limits(host, guest):
    """More connections than descriptors wait for their turn; sessions of datagrams take the oldest one's place."""
    program = ("prlimit", "--nofile=100:100", "--")
    with proxy_of(host, *TARGETS, *PORTS, before=program):
        assert host.run(sys.executable, "-c", LIMITED) == "fine\n"


# With the kernel's way, and what comes in between ----------------------------------------------

MAC = "02:00:00:00:77:02"
DROPS = {
    "nft": ["nft add table inet other",
            "nft add chain inet other forward '{ type filter hook forward priority 0; policy drop; }'"],
    "iptables": ["iptables -P FORWARD DROP", "ip6tables -P FORWARD DROP"],
}
GOES = {"nft": ["nft delete table inet other"],
        "iptables": ["iptables -P FORWARD ACCEPT", "ip6tables -P FORWARD ACCEPT"]}


class Service(Proxy):
    """The keeper's part, without a keeper."""

    def __init__(self, host, *arguments, **options):
        program = os.path.join(harness.environment()["STEAD_LIBEXECDIR"], "src/netsetup/try-ports")
        if not os.path.exists(program):
            pytest.skip("this needs the folder that it was built in")
        host.run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; "
                 f"ip route replace default via {host.NEXT6} dev up0")
        self.process = subprocess.Popen([program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, preexec_fn=host.inside.enter, env=harness.environment(), **options)
        self.says = self.process.stdout.readline().strip()
        self.messages = ""

    def end(self):
        self.process.stdout.close()
        assert self.process.wait(timeout=harness.patient(5)) == 0
        self.messages = self.process.stderr.read()
        self.process.stderr.close()


@contextlib.contextmanager
def service_of(host, *arguments, **options):
    service = Service(host, *arguments, **options)
    try:
        assert service.says == "ready"
        yield service
        service.end()
    finally:
        service.process.kill()
        service.process.communicate()


def datagram(ask, address, port):
    """A client that asks again, as those of UDP do."""
    end = time.monotonic() + harness.patient(SECONDS)
    while time.monotonic() < end:
        with contextlib.suppress(AssertionError):
            return ask("udp", address, port, "abc", timeout=0.4)
    raise AssertionError(f"no datagram came back from {address}")


def ask_all(host, *guests, port=7007):
    """The table: everybody who may ask, and each address that he may ask for. Prints the slowest."""
    rows = [("the host", host.ask, address) for address in ("127.0.0.1", "::1", host.UPLINK4, host.UPLINK6)]
    rows += [("the outside", host.ask_outside, address) for address in (host.UPLINK4, host.UPLINK6)]
    rows += [(f"guest {n}", guest.ask, address) for n, guest in enumerate(guests)
             for address in (host.UPLINK4, host.UPLINK6)]
    slowest = (0, "")
    for who, ask, address in rows:
        for protocol in ("tcp", "udp"):
            begin = time.monotonic()
            what = f"{protocol} from {who} to {address}"
            if protocol == "tcp":
                assert ask("tcp", address, port, "abc", timeout=SECONDS) == "abc", what
            else:
                assert datagram(ask, address, port) == "abc", what
            took = time.monotonic() - begin
            assert took < harness.patient(SECONDS), f"{what} took {took:.1f} s"
            slowest = max(slowest, (took, what))
    return f"{len(rows) * 2} ways, the slowest {slowest[1]}: {slowest[0]:.2f} s"


def drop(host, by):
    for line in DROPS[by]:
        host.run("sh", "-c", line)


def stop_dropping(host, by):
    for line in GOES[by]:
        host.run("sh", "-c", line)


@pytest.mark.parametrize("by", DROPS)
def test_another_firewall_drops(host, guest, sibling, by):
    """The kernel's way, then the proxy, then the kernel's way again; nobody waits for long."""
    with service_of(host, "web", "near0", MAC, GUEST4, GUEST6, *PORTS) as service:
        print("as it is:", ask_all(host, guest, sibling))
        assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4, "the kernel's way shows the client"
        drop(host, by)
        print("dropped:", ask_all(host, guest, sibling))
        assert host.ask_outside("who", host.UPLINK4, 8080) == NEAR4
        stop_dropping(host, by)
        harness.wait_until(lambda: host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4, 10, "the kernel's way")
        host.run("nft", "flush", "ruleset")
        print("flushed:", ask_all(host, guest, sibling))
        assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4
    assert "because another firewall of the host drops" in service.messages
    forget_iptables(host)


def forget_iptables(host):
    """What iptables leaves in nft's tables when its policies are as before."""
    host.run("sh", "-c", "nft flush ruleset; echo 0 >/proc/sys/net/ipv4/ip_forward; "
             f"echo 0 >/proc/sys/net/ipv6/conf/all/forwarding; ip route replace default via {host.NEXT6} dev up0")


def test_a_proxy_that_dies(host, guest):
    with service_of(host, "web", "near0", MAC, GUEST4, GUEST6, *PORTS):
        (first, _), = host.processes("port-proxy")
        os.kill(first, signal.SIGKILL)
        harness.wait_until(lambda: [p for p, _ in host.processes("port-proxy") if p != first], 5, "another proxy")
        harness.wait_until(lambda: not_refused(host), 5, "its ports")
        ask_all(host, guest)
    harness.wait_until(lambda: not host.processes("port-proxy"), 5, "the end of the proxy")
    forget_iptables(host)


def not_refused(host):
    with contextlib.suppress(AssertionError):
        return host.ask("tcp", "127.0.0.1", 7007)
    return None


def test_addresses_of_others(host, guest, sibling):
    """A machine whose address somebody else gives: without a link of the host's, with a port of a bridge, and
    with one that the kernel may redirect to."""
    for link, bridged, seen4, seen6 in (("-", False, GUEST4, GUEST6), ("near0", False, host.NEXT4, host.NEXT6),
                                        ("near0", True, NEAR4, NEAR6)):
        if bridged:
            host.run("sh", "-ec", "ip link add br0 type bridge; ip addr flush dev near0; ip link set near0 master br0; "
                     f"ip link set br0 up; ip addr add {NEAR4}/24 dev br0; ip addr add {NEAR6}/64 dev br0 nodad")
        with guest.handle() as handle, service_of(host, "web", link, MAC, "-", "-", *PORTS, stdin=handle):
            ask_all(host, guest, sibling)
            assert host.ask_outside("who", host.UPLINK4, 8080) == seen4
            assert host.ask_outside("who", host.UPLINK6, 8080) == seen6
            drop(host, "nft")
            ask_all(host, guest, sibling)
            stop_dropping(host, "nft")
    host.run("ip", "link", "del", "br0")
    forget_iptables(host)


def test_another_address(host, guest):
    """The kernel's way follows, too."""
    with guest.handle() as handle, service_of(host, "web", "near0", MAC, "-", "-", *PORTS, stdin=handle):
        harness.wait_until(lambda: host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4, 5, "rules")
        guest.run("ip", "addr", "add", "10.77.0.9/24", "dev", "far0")
        guest.run("ip", "addr", "del", f"{GUEST4}/24", "dev", "far0")
        guest.run("ip", "addr", "replace", "10.77.0.9/24", "dev", "far0")
        guest.run("ip", "route", "replace", "default", "via", NEAR4)
        harness.wait_until(lambda: "10.77.0.9 . 80" in host.run("nft", "list", "map", "inet", "stead", "ports4"),
                           5, "another address")
        ask_all(host, guest)
    forget_iptables(host)


# Machines --------------------------------------------------------------------------------------

@contextlib.contextmanager
def serving(machine):
    """Answers in the machine, as the outside does."""
    server = subprocess.Popen([*machine.enter_command(False), sys.executable, "-I", str(network.HERE / "outside.py"),
                               str(os.getpid())], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.communicate()


def arguments(tree, name, *options):
    return (*options, "-D", tree, "--volatile=yes", "-M", f"{harness.TAG}-{name}")


PUBLISH = ("-p", "8080:80", "--port=tcp:7007:7", "-p", "udp:7007:7")


@harness.covers("effect", "-p")
@pytest.mark.parametrize("option", ["-n", "--network-zone=lab"])
@pytest.mark.parametrize("by", DROPS)
def test_published(host, busybox, option, by):
    """The table for machines: as it is, while another firewall drops, after all rules were flushed."""
    with host.machine(*arguments(busybox, "web", option, *PUBLISH), "sleep", "999") as web, \
            host.machine(*arguments(busybox, "other", option), "sleep", "999") as other, serving(web):
        print("as it is:", ask_all(host, web, other))
        assert host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4
        host.run("nft", "flush", "ruleset")
        print("flushed:", ask_all(host, web, other))
        drop(host, by)
        print("dropped:", ask_all(host, web, other))
        assert host.ask_outside("who", host.UPLINK4, 8080) == web.gateway()
        stop_dropping(host, by)
        harness.wait_until(lambda: host.ask_outside("who", host.UPLINK4, 8080) == host.NEXT4, 10, "the kernel's way")
        host.run("nft", "flush", "ruleset")
        print("flushed again:", ask_all(host, web, other))


def test_published_while_it_changes(host, busybox):
    """A client that comes every moment is never without an answer for longer than a second or so."""
    with host.machine(*arguments(busybox, "web", "-n", *PUBLISH), "sleep", "999") as web, serving(web):
        longest = 0
        for step in (lambda: None, lambda: host.run("nft", "flush", "ruleset"), lambda: drop(host, "nft"),
                     lambda: stop_dropping(host, "nft"), lambda: drop(host, "nft"),
                     lambda: host.run("nft", "flush", "ruleset")):
            step()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                begin = time.monotonic()
                assert host.ask_outside("tcp", host.UPLINK4, 7007, "abc") == "abc"
                longest = max(longest, time.monotonic() - begin)
        print(f"the longest connection took {longest:.2f} s")
        assert longest < harness.patient(1.5)


def test_published_name_server(host, busybox):
    """The gateway's own still answers guests and the host; everybody else reaches the machine's."""
    with host.machine(*arguments(busybox, "web", "-n", "-p", "53:7", "-p", "udp:53:7"), "sleep", "999") as web, \
            host.machine(*arguments(busybox, "other", "-n"), "sleep", "999") as other, serving(web):
        answer = f"{host.OUTSIDE4} {host.OUTSIDE6}".split()
        assert web.resolve("outside.test") == other.resolve("outside.test") == answer
        assert host.ask("resolve", "outside.test", web.gateway()).split() == answer
        ask_all(host, web, other, port=53)


def test_published_by_a_killed_keeper(host, busybox):
    """Ports are back as soon as the machine has started another one."""
    with host.machine(*arguments(busybox, "web", "-n", "-U", *PUBLISH), "sleep", "999") as web, serving(web):
        ask_all(host, web)
        (keeper, _), = host.processes("network-keeper")
        begin = time.monotonic()
        os.kill(keeper, signal.SIGKILL)
        harness.wait_until(lambda: not_refused(host), 10, "another keeper's proxy")
        print(f"back after {time.monotonic() - begin:.2f} s;", ask_all(host, web))


@harness.covers("effect", "-p")
def test_published_without_addresses_of_ours(host, busybox):
    """Its own addresses are found out, by rules of the kernel where the link is the host's; from inside of the
    machine where the host has no way to it."""
    places = [(host.ask, "127.0.0.1"), (host.ask, "::1"), (host.ask, host.UPLINK4), (host.ask_outside, host.UPLINK4),
              (host.ask_outside, host.UPLINK6)]
    for option, seen in (("-n", host.NEXT4), ("--network-macvlan=up0", "198.51.100.9")):
        with host.machine(*arguments(busybox, "web", option, "--network-setup=no", *PUBLISH), "sleep", "999") as web, \
                serving(web):
            if option == "-n":
                link, = (name for name in host.links() if name.startswith("ve-"))
                host.run("sh", "-ec", f"ip link set {link} up; ip addr add 10.66.0.1/24 dev {link}; "
                         "echo 1 >/proc/sys/net/ipv4/ip_forward")
                web.look("sh", "-ec", "ip link set host0 up; ip addr add 10.66.0.2/24 dev host0; "
                         "ip route add default via 10.66.0.1")
            else:
                web.look("sh", "-ec", "ip link set mv-up0 up; ip addr add 198.51.100.9/24 dev mv-up0; "
                         f"ip route add default via {host.NEXT4}")
            harness.wait_until(lambda: sees(host, seen), 5, f"the outside as {seen}")
            for ask, address in places:
                assert ask("tcp", address, 7007, "abc") == "abc"
                assert datagram(ask, address, 7007) == "abc"
        host.run("sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward")


@pytest.mark.parametrize("option", ["-n", "--network-macvlan=up0"])
def test_published_again_after_a_reboot(host, busybox, work, option):
    """Without addresses of ours the machine joins anew with each boot."""
    shared = work / f"reboots{option}"
    shared.mkdir()
    script = "echo >>/run/shared/boots; [ $(wc -l </run/shared/boots) -ge 3 ] || reboot -f; sleep 0.2; exit 7"
    done = host.launch(*arguments(busybox, "web", option, "--network-setup=no", *PUBLISH),
                       f"--bind={shared}:/run/shared", "sh", "-c", script)
    assert done.returncode == 7, done.stderr
    assert (shared / "boots").read_text(encoding="ascii") == "\n" * 3


def sees(host, client):
    with contextlib.suppress(AssertionError):
        return host.ask_outside("who", host.UPLINK4, 8080) == client
    return False


@harness.covers("bad", "-p")
def test_a_port_of_somebody_else(host, busybox):
    """The second is refused, before its payload runs, and told who has it."""
    with host.machine(*arguments(busybox, "web", "-n", *PUBLISH), "sleep", "999") as web:
        done = host.launch(*arguments(busybox, "second", "-n", "-p", "7007"), "echo", "here")
        assert done.returncode == 1 and "here" not in done.stdout
        assert f"'{harness.TAG}-web'" in done.stderr and "7007" in done.stderr
        with serving(web):
            ask_all(host, web)
    holder = subprocess.Popen([sys.executable, "-c", "import socket, time\ns = socket.create_server(('', 7007))\n"
                               "print('ready', flush=True); time.sleep(99)"], stdout=subprocess.PIPE,
                              preexec_fn=host.inside.enter)
    try:
        assert holder.stdout.readline() == b"ready\n"
        done = host.launch(*arguments(busybox, "third", "-n", "-p", "7007"), "echo", "here")
        assert done.returncode == 1 and "here" not in done.stdout
        assert f"TCP port 7007: it is in use by 'python3' (process {holder.pid})" in done.stderr
    finally:
        holder.kill()
        holder.communicate()


# Speed -----------------------------------------------------------------------------------------

def speed(host, address, port):
    """Gigabits in a second, from the outside."""
    text = host.run_outside("iperf3", "-J", "-n", "400M", "-c", address, "-p", str(port))
    return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e9


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("iperf3"), reason="iperf3 is not installed")
def test_throughput(host, guest):
    """The kernel's way beside the way without any redirection, in turns, until it is clear: others use the
    processors, too."""
    server = subprocess.Popen(["iperf3", "-s", "-p", "5201"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=guest.inside.enter)
    network.check(["ip", "route", "add", f"{GUEST4}/32", "via", host.UPLINK4], preexec_fn=host.outside.enter)
    ways = {"plain": (GUEST4, 5201), "kernel": (host.UPLINK4, 5202), "proxy": (host.UPLINK4, 5203)}
    found = {way: [] for way in ways}
    ratio = 0
    try:
        with service_of(host, "web", "near0", MAC, GUEST4, GUEST6, "tcp:5202:5201"), \
                proxy_of(host, *TARGETS, "tcp:5203:5201"):
            for number in range(40):
                for way in sorted(ways, reverse=number % 2):
                    if way != "proxy" or number < 5:
                        found[way].append(speed(host, *ways[way]))
                ratio = max(of(found["kernel"]) / of(found["plain"]) for of in (max, statistics.median))
                if number >= 5 and ratio > 0.95:
                    break
    finally:
        server.kill()
        server.wait()
        forget_iptables(host)
    print("Gbit/s, median and best:", ", ".join(f"{way} {statistics.median(figures):.1f} {max(figures):.1f}"
                                                for way, figures in found.items()), f"in {number + 1} rounds")
    assert ratio > 0.95
