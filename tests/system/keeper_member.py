"""A member of the network's keeper, as a supervisor is one: "python3 keeper_member.py KEY=value …".

It starts the keeper if there is none, sends the lines, and prints what comes back, one line of JSON for
each message. It ends with its standard input; what is in $KEEPER is the program to start.
"""

import contextlib
import fcntl
import json
import os
import select
import socket
import struct
import sys
import time

FOLDER = "/run/stead/network"
SOCKET = f"{FOLDER}/keeper"
PART, JOIN, READY, FAILED, NOTICE = 1, 2, 3, 4, 5
NAMES = {READY: "ready", FAILED: "failed", NOTICE: "notice"}
TEXT_MAX = 1023


def message(kind, text, version=1):
    return struct.pack("=IiQ", kind, 0, version) + text + b"\0"


def lock():
    """As the launcher does it (fcntl(2), F_OFD_SETLKW); one whose name was removed meanwhile is none."""
    while True:
        os.makedirs(FOLDER, mode=0o755, exist_ok=True)
        fd = os.open(f"{FOLDER}/keeper.lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.fcntl(fd, 38, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0))
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)


def start():
    fd = lock()
    try:
        return connect()
    except OSError:
        spawn()
        return connect()
    finally:
        os.unlink(f"{FOLDER}/keeper.lock")
        os.close(fd)


def spawn():
    """With the listening socket as descriptor 3, and detached."""
    with contextlib.suppress(OSError):
        os.unlink(SOCKET)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(SOCKET)
    os.chmod(SOCKET, 0o600)
    listener.listen(128)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.dup2(listener.fileno(), 3)
            null = os.open("/dev/null", os.O_RDWR)
            for number in (0, 1) + (() if os.environ.get("KEEPER_DEBUG") else (2,)):
                os.dup2(null, number)
            os.execv(os.environ["KEEPER"], ["network-keeper"])
        os._exit(0)
    os.wait()
    listener.close()


def connect():
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect(SOCKET)
    return connection


def join(text):
    try:
        connection = connect()
    except OSError:
        connection = start()
    data = text.encode()
    while len(data) > TEXT_MAX:
        connection.send(message(PART, data[:TEXT_MAX]))
        data = data[TEXT_MAX:]
    connection.send(message(JOIN, data, int(os.environ.get("KEEPER_VERSION", "1"))))
    return connection


def main():
    text = "".join(f"{word}\n" for word in sys.argv[1:])
    begun = time.monotonic()
    connection = join(text)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    poll.register(0, select.POLLIN)
    was_ready = False
    while True:
        for fd, _ in poll.poll():
            if fd == 0:
                return
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                answer = connection.recv(4096)
            if not answer:
                print(json.dumps({"kind": "end"}), flush=True)
                if not was_ready:
                    return
                connection = join(text)
                poll.register(connection, select.POLLIN)
                poll.unregister(fd) if fd != connection.fileno() else None
                continue
            kind, error, _ = struct.unpack("=IiQ", answer[:16])
            was_ready |= kind == READY
            print(json.dumps({"kind": NAMES.get(kind, kind), "error": error,
                              "text": answer[16:-1].decode(), "ms": (time.monotonic() - begun) * 1000}),
                  flush=True)


if __name__ == "__main__":
    main()
