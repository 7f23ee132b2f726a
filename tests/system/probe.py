"""Asks something of a network from inside of it: "nsenter -n … python3 probe.py WHAT WHOM …".

It needs no tool of the guest's, and no configuration of its own. Each exits with 0 and prints what
came back, or exits with 1 and says why not.
"""

import os
import socket
import struct
import sys
import time

TIMEOUT = float(os.environ.get("PROBE_TIMEOUT", "3"))
A, AAAA, PTR = 1, 28, 12


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def sum_of(data):
    """RFC 1071."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ping(address, source=None):
    """Prints the milliseconds until the answer. One packet is sent after the other: the first may be
    lost while the neighbour is asked for."""
    six = family_of(address) == socket.AF_INET6
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    link = socket.socket(family_of(address), socket.SOCK_RAW, protocol)
    if source:
        link.bind((source, 0))
    mark = os.getpid() & 0xffff
    asked = time.monotonic()
    link.settimeout(0.2)
    number = 0
    while time.monotonic() - asked < TIMEOUT:
        number += 1
        message = struct.pack("!BBHHH", 128 if six else 8, 0, 0, mark, number) + b"stead-probe!"
        if not six:  # the kernel sums that of IPv6
            message = message[:2] + struct.pack("!H", sum_of(message)) + message[4:]
        link.sendto(message, (address, 0))
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            try:
                answer, (sender, *_) = link.recvfrom(2048)
            except socket.timeout:
                break
            if not six:
                answer = answer[(answer[0] & 15) * 4:]
            kind, _, _, its_mark, _ = struct.unpack("!BBHHH", answer[:8])
            if kind == (129 if six else 0) and its_mark == mark:
                return f"{(time.monotonic() - asked) * 1000:.2f}"
            if kind in ((1, 3) if six else (3, 11)):
                raise OSError(f"{sender} says that {address} cannot be reached")
    raise OSError(f"no answer from {address}")


def who(address, port="80"):
    """As whom the outside sees us."""
    with socket.create_connection((address, int(port)), TIMEOUT) as link:
        link.sendall(b"GET / HTTP/1.0\r\n\r\n")
        text = b""
        while part := link.recv(4096):
            text += part
    return text.decode(errors="replace").partition("\r\n\r\n")[2].strip().removeprefix("you are ")


def tcp(address, port, text="hello"):
    with socket.create_connection((address, int(port)), TIMEOUT) as link:
        link.sendall(text.encode())
        return link.recv(65536).decode(errors="replace")


def udp(address, port, text="hello"):
    with socket.socket(family_of(address), socket.SOCK_DGRAM) as link:
        link.settimeout(TIMEOUT)
        link.connect((address, int(port)))
        link.send(text.encode())
        return link.recv(65536).decode(errors="replace")


# Names -----------------------------------------------------------------------------------------

def labels(name):
    return b"".join(bytes([len(part)]) + part.encode() for part in name.split(".") if part) + b"\0"


def read_name(data, at):
    parts, end = [], None
    while data[at]:
        if data[at] >= 0xc0:
            end = end or at + 2
            at = struct.unpack("!H", data[at:at + 2])[0] & 0x3fff
        else:
            parts.append(data[at + 1:at + 1 + data[at]].decode(errors="replace"))
            at += 1 + data[at]
    return ".".join(parts), end or at + 1


def ask(server, name, kind):
    """The answers of one server, as text."""
    with socket.socket(family_of(server), socket.SOCK_DGRAM) as link:
        link.settimeout(TIMEOUT)
        link.connect((server, 53))
        mark = os.getpid() & 0xffff
        link.send(struct.pack("!HHHHHH", mark, 0x0100, 1, 0, 0, 0) + labels(name)
                  + struct.pack("!HH", kind, 1))
        data = link.recv(4096)
    its_mark, flags, questions, answers, _, _ = struct.unpack("!HHHHHH", data[:12])
    if its_mark != mark or flags & 15 not in (0, 3):
        raise OSError(f"{server} answers with code {flags & 15} to {name}")
    at, found = 12, []
    for _ in range(questions):
        at = read_name(data, at)[1] + 4
    for _ in range(answers):
        at = read_name(data, at)[1]
        its_kind, _, _, length = struct.unpack("!HHIH", data[at:at + 10])
        at += 10
        if its_kind == kind:
            found.append(read_name(data, at)[0] if kind == PTR else socket.inet_ntop(
                socket.AF_INET if kind == A else socket.AF_INET6, data[at:at + length]))
        at += length
    return sorted(found)


def resolve(name, server):
    """All addresses of a name."""
    found = ask(server, name, A) + ask(server, name, AAAA)
    if not found:
        raise OSError(f"{server} does not know {name}")
    return " ".join(found)


def reverse(address, server):
    data = socket.inet_pton(family_of(address), address)
    if len(data) == 4:
        name = ".".join(str(byte) for byte in reversed(data)) + ".in-addr.arpa"
    else:
        name = ".".join(reversed(data.hex())) + ".ip6.arpa"
    found = ask(server, name, PTR)
    if not found:
        raise OSError(f"{server} does not know who {address} is")
    return " ".join(found)


if __name__ == "__main__":
    try:
        print({"ping": ping, "who": who, "tcp": tcp, "udp": udp, "resolve": resolve,
               "reverse": reverse}[sys.argv[1]](*sys.argv[2:]))
    except OSError as error:
        sys.exit(f"{' '.join(sys.argv[1:])}: {error}")
