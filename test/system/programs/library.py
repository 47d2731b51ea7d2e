# SPDX-License-Identifier: Apache-2.0
"""Drives libberth by its binary interface: library.py LIBRARY RUN_DIR ADDRESS PORT, and on standard input a list of
[FUNCTION, ARGUMENT...] in JSON. Writes a list of what came of each."""

import ctypes
import json
import os
import socket
import sys
import tempfile

MPTCP = 262
WEB_MARK = 77  # lab.fleet


class Slice(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint32) for name in ("address", "first", "count", "destinations", "fullest", "reserved32")
                ] + [("connections", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 4)]


class Policy(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 128)] + [
        (name, ctypes.c_uint32) for name in ("slices", "ports", "destinations", "fullest")] + [
        ("connections", ctypes.c_uint64), ("fallbacks", ctypes.c_uint64), ("reserved", ctypes.c_uint64 * 4)]


class Holder(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char * 16), ("pid", ctypes.c_uint32), ("ports", ctypes.c_uint32)]


class Refusal(ctypes.Structure):
    _fields_ = [("policy", ctypes.c_char * 128), ("reason", ctypes.c_char * 32), ("meaning", ctypes.c_char * 160),
                ("count", ctypes.c_uint64), ("first", ctypes.c_int64), ("last", ctypes.c_int64),
                ("ports", ctypes.c_uint32), ("used", ctypes.c_uint32), ("pid", ctypes.c_uint32),
                ("holder_count", ctypes.c_uint32), ("holders", Holder * 5), ("reserved", ctypes.c_uint64 * 4)]


def plain(value):
    if isinstance(value, ctypes.Structure):
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if isinstance(value, ctypes.Array):
        return [plain(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value


class Sockaddr(ctypes.Structure):
    _fields_ = [("family", ctypes.c_uint16), ("port", ctypes.c_uint8 * 2), ("address", ctypes.c_uint8 * 4),
                ("zero", ctypes.c_uint8 * 8)]


def bound(kind=socket.SOCK_STREAM):
    made = socket.socket(socket.AF_INET, kind)
    made.bind(("127.0.0.1", 0))
    return made


def marked():
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, WEB_MARK)
    return made


def listening():
    made = bound()
    made.listen()
    return made


def connected(dest, kind=socket.SOCK_DGRAM):
    made = socket.socket(socket.AF_INET, kind)
    made.connect(dest)
    return made


SOCKETS = {
    "tcp": lambda dest: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "udp": lambda dest: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "tcp6": lambda dest: socket.socket(socket.AF_INET6, socket.SOCK_STREAM),
    "bound": lambda dest: bound(),
    "listening": lambda dest: listening(),
    "connected tcp": lambda dest: connected(dest, socket.SOCK_STREAM),
    "connected udp": connected,
    "unix": lambda dest: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
    "raw": lambda dest: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
    "mptcp": lambda dest: socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP),
    "file": lambda dest: tempfile.TemporaryFile(),
    "marked": lambda dest: marked(),
    "closed": lambda dest: None,
}


class Library:
    def __init__(self, path, run_dir, dest):
        self.lib, self.dest, self.kept = ctypes.CDLL(path), dest, []
        self.lib.berth_error.restype = ctypes.c_char_p
        self.handle = ctypes.c_void_p()
        err = self.lib.berth_open(run_dir.encode(), ctypes.byref(self.handle))
        assert err == 0, err

    def settle(self, err, **more):
        return {"err": os.strerror(-err) if err else None,
                "error": self.lib.berth_error(self.handle).decode() if err else "", **more}

    def source(self, made):
        """Connects, and says from where: to the IPv4 address in disguise, if need be."""
        address, port = self.dest
        try:
            made.connect((f"::ffff:{address}" if made.family == socket.AF_INET6 else address, port))
        except OSError as error:
            return {"connect": os.strerror(error.errno)}
        return {"source": [made.getsockname()[0].removeprefix("::ffff:"), made.getsockname()[1]]}

    def choose(self, kind, how, text, wait=False):
        """how: "selector" or "policy". With `wait` connects when there is another line on standard input."""
        made = SOCKETS[kind](self.dest)
        function = self.lib.berth_choose if how == "selector" else self.lib.berth_choose_policy
        err = function(self.handle, 1000 if made is None else made.fileno(), text.encode())
        if wait:
            print("chosen", flush=True)
            sys.stdin.readline()
        return self.settle(err, **({} if err else self.source(made)))

    def connect(self, kind):
        return self.source(SOCKETS[kind](self.dest))

    def fill(self, text, count):
        """As many connections by one choice each, all kept; how many there were when one was refused."""
        for number in range(count):
            made = SOCKETS["udp"](self.dest)
            assert self.lib.berth_choose(self.handle, made.fileno(), text.encode()) == 0
            self.kept.append(made)
            if "connect" in self.source(made):
                return number
        return count

    def listed(self, function, kind):
        items, count = ctypes.POINTER(kind)(), ctypes.c_size_t()
        err = function(self.handle, ctypes.byref(items), ctypes.byref(count))
        return self.settle(err, items=[plain(items[i]) for i in range(count.value)])

    def slices(self):
        return self.listed(self.lib.berth_slices, Slice)

    def policies(self):
        return self.listed(self.lib.berth_policies, Policy)

    def why(self, address, port):
        to = Sockaddr(socket.AF_INET, (ctypes.c_uint8 * 2)(*port.to_bytes(2, "big")),
                      (ctypes.c_uint8 * 4)(*socket.inet_aton(address)))
        refusal = Refusal()
        err = self.lib.berth_why(self.handle, ctypes.byref(to), ctypes.sizeof(to), ctypes.byref(refusal))
        return self.settle(err, refusal=plain(refusal))


def main():
    path, run_dir, address, port = sys.argv[1:]
    library = Library(path, run_dir, (address, int(port)))
    calls = json.loads(sys.stdin.readline())
    print(json.dumps([getattr(library, function)(*arguments) for function, *arguments in calls]))


if __name__ == "__main__":
    main()
