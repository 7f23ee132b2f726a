"""Asks as a guest does that has nothing but IPv6's own ways: "python3 dhcp6.py LINK".

Prints JSON: what the router advertisement says, and the addresses of the DHCPv6 server's reply.
"""

import fcntl
import json
import os
import socket
import struct
import sys
import time

TIMEOUT = float(os.environ.get("PROBE_TIMEOUT", "3"))
SIOCGIFHWADDR = 0x8927
SOLICIT, ADVERTISE, REQUEST, REPLY = 1, 2, 3, 7
CLIENT_ID, SERVER_ID, IA_NA, IA_ADDRESS, ORO, ELAPSED, DNS = 1, 2, 3, 5, 6, 8, 23


def router(link):
    index = socket.if_nametoindex(link)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.getprotobyname("ipv6-icmp"))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    sock.settimeout(0.3)
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        sock.sendto(struct.pack("!BBHI", 133, 0, 0, 0), ("ff02::2", 0, 0, index))
        try:
            while True:
                data, (sender, *_) = sock.recvfrom(2048)
                if data[0] == 134:
                    return read_advertisement(data, sender)
        except socket.timeout:
            pass
    raise OSError("no router advertisement")


def read_advertisement(data, sender):
    found = {"router": sender.split("%")[0], "managed": bool(data[5] & 0x80), "prefixes": [], "dns": []}
    at = 16
    while at + 2 <= len(data) and data[at + 1]:
        option = data[at:at + 8 * data[at + 1]]
        if option[0] == 3:
            found["prefixes"].append({"prefix": f"{socket.inet_ntop(socket.AF_INET6, option[16:32])}/{option[2]}",
                                      "on_link": bool(option[3] & 0x80), "autonomous": bool(option[3] & 0x40)})
        if option[0] == 25:
            found["dns"] += [socket.inet_ntop(socket.AF_INET6, option[i:i + 16])
                             for i in range(8, len(option), 16)]
        at += len(option)
    return found


def option(kind, data):
    return struct.pack("!HH", kind, len(data)) + data


def options(data):
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack("!HH", data[at:at + 4])
        yield kind, data[at + 4:at + 4 + size]
        at += 4 + size


def ask(sock, index, kind, body, wanted):
    end = time.monotonic() + TIMEOUT
    while time.monotonic() < end:
        sock.sendto(bytes([kind]) + b"std" + body, ("ff02::1:2", 547, 0, index))
        try:
            while True:
                data = sock.recv(2048)
                if data[0] == wanted and data[1:4] == b"std":
                    return dict(options(data[4:]))
        except socket.timeout:
            pass
    raise OSError(f"no answer to message {kind} of DHCPv6")


def lease(link):
    index = socket.if_nametoindex(link)
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    mac = fcntl.ioctl(sock, SIOCGIFHWADDR, struct.pack("256s", link.encode()))[18:24]
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, link.encode())
    sock.bind(("::", 546))
    sock.settimeout(0.5)
    body = (option(CLIENT_ID, struct.pack("!HH", 3, 1) + mac) + option(ELAPSED, b"\0\0")
            + option(ORO, struct.pack("!H", DNS)))
    identity = struct.pack("!III", 1, 0, 0)
    offer = ask(sock, index, SOLICIT, body + option(IA_NA, identity), ADVERTISE)
    reply = ask(sock, index, REQUEST, body + option(SERVER_ID, offer[SERVER_ID]) + option(IA_NA, offer[IA_NA]), REPLY)
    return {"addresses": [socket.inet_ntop(socket.AF_INET6, data[:16])
                          for kind, data in options(reply[IA_NA][12:]) if kind == IA_ADDRESS],
            "dns": [socket.inet_ntop(socket.AF_INET6, reply[DNS][i:i + 16])
                    for i in range(0, len(reply.get(DNS, b"")), 16)]}


if __name__ == "__main__":
    print(json.dumps({"router": router(sys.argv[1]), "lease": lease(sys.argv[1])}))
