#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A plain program that opens many connections, to be run on a lab's node; knows nothing of Berth.

usage: opener.py [--tcp N] [--udp N] [--hold] ADDRESS:PORT...

Opens N TCP and N UDP connections to each target (ports of an origin's recorder), all of them open at once, asks each
from where it was seen, and prints one JSON object a connection: proto, dest, dest_port, source and source_port as the
program sees them, seen and seen_port as the origin does, error (null or the errno's name). With --hold it then prints
"holding" and keeps all open until its standard input ends, and asks each once more: a second list, for those whose
answer had changed or did not come.
"""

import argparse
import errno
import json
import resource
import socket
import sys

TIMEOUT_SECONDS = 10


class Connection:
    def __init__(self, proto, target):
        self.proto, self.target = proto, target
        self.socket = None
        self.report = {"proto": proto, "dest": target[0], "dest_port": target[1], "source": None, "source_port": None,
                       "seen": None, "seen_port": None, "error": None}

    def open(self):
        kind = socket.SOCK_STREAM if self.proto == "tcp" else socket.SOCK_DGRAM
        try:
            self.socket = socket.socket(socket.AF_INET, kind)
            self.socket.settimeout(TIMEOUT_SECONDS)
            self.socket.connect(self.target)
            self.report["source"], self.report["source_port"] = self.socket.getsockname()
        except OSError as error:
            self.fail(error)

    def fail(self, error):
        self.report["error"] = "TIMEOUT" if isinstance(error, TimeoutError) and error.errno is None else \
            errno.errorcode.get(error.errno, str(error))

    def ask(self):
        """The origin tells a TCP client without being asked, and a UDP client for each datagram."""
        if self.report["error"]:
            return
        try:
            if self.proto == "udp":
                self.socket.send(b"?")
            address, port = self.socket.recv(100).decode().split()
            self.report["seen"], self.report["seen_port"] = address, int(port)
        except (OSError, ValueError) as error:
            self.fail(error if isinstance(error, OSError) else OSError(errno.EBADMSG, "cut answer"))

    def still_there(self):
        """True when the connection still carries bytes both ways."""
        if self.report["error"]:
            return False
        try:
            self.socket.send(b"again")
            answer = self.socket.recv(100)
            return answer == (b"again" if self.proto == "tcp" else
                              f"{self.report['seen']} {self.report['seen_port']}\n".encode())
        except OSError:
            return False


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--tcp", type=int, default=0)
    parser.add_argument("--udp", type=int, default=0)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("targets", nargs="+")
    arguments = parser.parse_args()
    targets = [(address, int(port)) for address, port in (target.split(":") for target in arguments.targets)]
    return arguments, targets


def main():
    arguments, targets = parse()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    connections = []
    for proto, count in (("tcp", arguments.tcp), ("udp", arguments.udp)):
        for _ in range(count):
            for target in targets:
                connection = Connection(proto, target)
                connection.open()
                connection.ask()
                connections.append(connection)
    for connection in connections:
        print(json.dumps(connection.report))
    if not arguments.hold:
        return
    print("holding", flush=True)
    sys.stdin.read()
    for connection in connections:
        if not connection.still_there():
            print(json.dumps(connection.report))


if __name__ == "__main__":
    main()
