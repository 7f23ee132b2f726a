"""The network outside of a host: who asks is told which address was seen, or gets an echo.

network.py starts it in a namespace of its own. It needs nothing but the standard library.
"""

import ctypes
import os
import selectors
import signal
import socket
import sys

WHO_PORT, ECHO_PORT = 80, 7
PR_SET_PDEATHSIG = 1


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def listen(kind, port):
    """IPv4 as well as IPv6."""
    server = socket.socket(socket.AF_INET6, kind)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    server.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        server.listen(100)
    else:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
    return server


def plain(address):
    """Without what an IPv6 socket puts before an IPv4 address."""
    return address.removeprefix("::ffff:")


def tell_who(connection, address):
    """HTTP, so that a guest's wget can ask, too."""
    body = f"you are {plain(address)}\n"
    connection.settimeout(5)
    connection.recv(4096)
    connection.sendall(f"HTTP/1.0 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
    connection.close()


def echo_datagram(server):
    """From the address that was asked, not from that of the link."""
    data, told, _, sender = server.recvmsg(65536, 256)
    told = [(level, kind, address[:16] + bytes(4)) for level, kind, address in told
            if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO)]
    server.sendmsg([data], told, 0, sender)


def serve():
    chooser = selectors.DefaultSelector()
    who, echo = (listen(socket.SOCK_STREAM, port) for port in (WHO_PORT, ECHO_PORT))
    datagrams = listen(socket.SOCK_DGRAM, ECHO_PORT)
    for server in (who, echo, datagrams):
        chooser.register(server, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in chooser.select():
            try:
                if key.fileobj is who:
                    connection, (address, *_) = who.accept()
                    tell_who(connection, address)
                elif key.fileobj is echo:
                    chooser.register(echo.accept()[0], selectors.EVENT_READ)
                elif key.fileobj is datagrams:
                    echo_datagram(datagrams)
                elif data := key.fileobj.recv(65536):
                    key.fileobj.sendall(data)
                else:
                    raise ConnectionResetError
            except OSError:
                if key.fileobj not in (who, echo, datagrams):
                    chooser.unregister(key.fileobj)
                    key.fileobj.close()


if __name__ == "__main__":
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the test is gone")
    serve()
