# SPDX-License-Identifier: Apache-2.0
"""Python's own ways out, blocking and asyncio. usage: client.py ADDRESS NAME

NAME must resolve to a dead IPv6 address and to ADDRESS. Prints one JSON object: what each way gave; an OSError as its
errno's name.
"""

import asyncio
import errno
import http.client
import json
import socket
import sys
import urllib.request
from collections import Counter

REQUESTS = 200
WORKERS = 8
PATIENCE = 5


def outcome(function, *arguments):
    try:
        return function(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))


# --- blocking ---

def kept_connection(server):
    """Several requests over one connection."""
    connection = http.client.HTTPConnection(server, timeout=PATIENCE)
    answers = Counter()
    for _ in range(REQUESTS // WORKERS):
        connection.request("GET", "/source")
        answers[connection.getresponse().read().decode()] += 1
    return answers


def by_url(server):
    return urllib.request.urlopen(f"http://{server}/source", timeout=PATIENCE).read().decode()


def from_address(server, source):
    """What `source_address` does: bind() to port 0 before connect()."""
    with socket.create_connection((server, 80), PATIENCE, source_address=(source, 0)) as client:
        return client.getsockname()[0]


def send_unconnected(server):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (server, 7))
    return "sent"


# --- asyncio ---

async def fetch(host):
    reader, writer = await asyncio.open_connection(host, 80)
    writer.write(f"GET /source HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.decode().split("\r\n\r\n")[1]


async def fetch_many(server):
    limit = asyncio.Semaphore(WORKERS)

    async def one():
        async with limit:
            return await fetch(server)
    return Counter(await asyncio.gather(*(one() for _ in range(REQUESTS))))


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.answer = asyncio.get_running_loop().create_future()

    def datagram_received(self, data, _):
        self.settle(data.decode())

    def error_received(self, exc):
        self.settle(errno.errorcode[exc.errno])

    def settle(self, value):
        if not self.answer.done():
            self.answer.set_result(value)


async def echo(server, connected):
    make = asyncio.get_running_loop().create_datagram_endpoint
    if connected:
        transport, protocol = await make(Datagrams, remote_addr=(server, 7))
        transport.sendto(b"hello")
    else:
        transport, protocol = await make(Datagrams, local_addr=("0.0.0.0", 0))
        transport.sendto(b"hello", (server, 7))
    try:
        return await asyncio.wait_for(protocol.answer, PATIENCE)
    finally:
        transport.close()


def main():
    server, name = sys.argv[1:]
    print(json.dumps({
        "kept": kept_connection(server),
        "by_url": by_url(server),
        "from_any": outcome(from_address, server, "0.0.0.0"),
        "unconnected": outcome(send_unconnected, server),
        "async": asyncio.run(fetch_many(server)),
        "async_by_name": asyncio.run(fetch(name)),
        "async_connected": asyncio.run(echo(server, True)),
        "async_unconnected": asyncio.run(echo(server, False)),
    }))


if __name__ == "__main__":
    main()
