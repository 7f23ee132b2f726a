"""Frames as an attacker makes them, and sockets in other network namespaces to send and see them with."""

import contextlib
import ctypes
import ipaddress
import os
import socket
import struct
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
ETH_P_ALL, ETH_P_IP, ETH_P_ARP, ETH_P_IPV6, ETH_P_VLAN = 3, 0x0800, 0x0806, 0x86dd, 0x8100
BROADCAST = "ff:ff:ff:ff:ff:ff"
ICMP6_RS, ICMP6_RA, ICMP6_NS, ICMP6_NA, ICMP6_REDIRECT, ICMP6_MLD_QUERY = 133, 134, 135, 136, 137, 130


@contextlib.contextmanager
def inside(pid):
    """This thread is in the network namespace of the process: sockets that are made now stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    other = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.setns(other, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            LIBC.setns(own, CLONE_NEWNET)
    finally:
        os.close(own)
        os.close(other)


def packet_socket(pid, link):
    with inside(pid):
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        made.bind((link, ETH_P_ALL))
    made.settimeout(0)
    return made


def raw_mac(text):
    return bytes.fromhex(text.replace(":", ""))


def packed(address):
    return ipaddress.ip_address(address).packed


def link_local(mac):
    """That follows from the MAC address."""
    data = raw_mac(mac)
    return str(ipaddress.IPv6Address(b"\xfe\x80" + bytes(6) + bytes([data[0] ^ 2]) + data[1:3] + b"\xff\xfe"
                                     + data[3:]))


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ether(source, target, kind, payload):
    return raw_mac(target) + raw_mac(source) + struct.pack("!H", kind) + payload


def vlan(number, kind, payload):
    """What follows the addresses of a frame of type ETH_P_VLAN."""
    return struct.pack("!HH", number, kind) + payload


def arp(operation, sender_mac, sender, target, target_mac="00:00:00:00:00:00", mark=b""):
    return struct.pack("!HHBBH", 1, ETH_P_IP, 6, 4, operation) + raw_mac(sender_mac) + packed(sender) \
        + raw_mac(target_mac) + packed(target) + mark


def ipv4(source, target, protocol, payload, fragment=0):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, fragment, 64, protocol, 0) \
        + packed(source) + packed(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source, target, following, payload):
    return struct.pack("!IHBB", 6 << 28, len(payload), following, 255) + packed(source) + packed(target) + payload


def with_sum(source, target, protocol, payload, at):
    """Puts the sum of pseudo header and payload to its place."""
    pseudo = packed(source) + packed(target) + struct.pack("!IHBB", len(payload), 0, 0, protocol) \
        if ":" in source else packed(source) + packed(target) + struct.pack("!BBH", 0, protocol, len(payload))
    return payload[:at] + struct.pack("!H", checksum(pseudo + payload)) + payload[at + 2:]


def udp(source, target, source_port, target_port, data):
    """With its IP header, of either version."""
    payload = with_sum(source, target, 17, struct.pack("!HHHH", source_port, target_port, 8 + len(data), 0)
                       + data, 6)
    return ipv6(source, target, 17, payload) if ":" in source else ipv4(source, target, 17, payload)


def icmp6(source, target, kind, body, split=False):
    """With its IP header; @split: behind a header that says it is the first piece."""
    message = with_sum(source, target, 58, struct.pack("!BBH", kind, 0, 0) + body, 2)
    if split:
        return ipv6(source, target, 44, struct.pack("!BBHI", 58, 0, 1, 7) + message)
    return ipv6(source, target, 58, message)


def neighbour(source, target, kind, address, mac, mark=b"", split=False):
    """A solicitation or an advertisement (with override) of @address, with the option that names @mac."""
    flags = 0x20000000 if kind == ICMP6_NA else 0
    option = b"" if source == "::" else struct.pack("!BB", 2 if kind == ICMP6_NA else 1, 1) + raw_mac(mac)
    return icmp6(source, target, kind, struct.pack("!I", flags) + packed(address) + option + mark, split)


class Watcher:
    """Whose frames arrive at a link: each has a mark somewhere in it."""

    def __init__(self, pid, link):
        self.socket = packet_socket(pid, link)
        self.seen = b""

    def wait_for(self, mark, timeout=3):
        end = time.monotonic() + timeout
        while mark not in self.seen:
            if time.monotonic() > end:
                raise AssertionError(f"{mark} did not arrive")
            with contextlib.suppress(BlockingIOError):
                self.seen += self.socket.recv(65536)
                continue
            time.sleep(0.002)

    def close(self):
        self.socket.close()
