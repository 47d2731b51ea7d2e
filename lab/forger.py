# SPDX-License-Identifier: Apache-2.0
"""Tries to leave from a source that need not be the host's own: forger.py ACT SOURCE PORT DESTINATION DESTINATION-PORT.

    bind    a UDP socket's bind() to the source
    raw     a UDP datagram through a raw socket, which no hook of bind() and connect() sees

Says "done" or "refused"."""

import socket
import struct
import sys


def bind(source, _dest):
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).bind(source)


def raw(source, dest):
    datagram = struct.pack("!HHHH", source[1], dest[1], 9, 0) + b"x"
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(datagram), 1, 0, 64, socket.IPPROTO_UDP, 0,
                         socket.inet_aton(source[0]), socket.inet_aton(dest[0]))
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW).sendto(header + datagram, (dest[0], 0))


def main():
    act, source, port, dest, dest_port = sys.argv[1:]
    try:
        {"bind": bind, "raw": raw}[act]((source, int(port)), (dest, int(dest_port)))
        print("done")
    except PermissionError:
        print("refused")


if __name__ == "__main__":
    main()
