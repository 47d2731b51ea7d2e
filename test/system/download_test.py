# SPDX-License-Identifier: Apache-2.0
"""A large download comes back through the forwarded path, whole, on both underlays."""

import hashlib

import pytest

from lab.fleet import CRAWLER_ADDRESS
from lab.origin import BIG_FILE, BIG_FILE_SHA256, BIG_FILE_SIZE


def download(server, origin, policy, path):
    """Bytes per second."""
    words = ["curl", "-sS", "-m", "100", "-o", path, "-w", "%{speed_download} %{local_ip} %{size_download}",
             f"http://{origin.address}/{BIG_FILE}"]
    speed, source, size = server.run(words, policy=policy, timeout=110).stdout.split()
    assert int(size) == BIG_FILE_SIZE
    assert source == (CRAWLER_ADDRESS if policy else server.underlay)
    return float(speed)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


@pytest.mark.deadline(300)
@pytest.mark.parametrize("topology", ["lab", "lab_1500"])
def test_download_comes_whole(topology, request, tmp_path, capsys):
    lab = request.getfixturevalue(topology)
    server = lab.servers_of("fra")[1]
    far, path = lab.origins_near("ams")[0], tmp_path / "big"  # enters in ams, crosses the backbone
    before = server.verdicts()
    plain = download(server, far, None, path)
    assert server.verdicts()["deliver_unwrap"] == before["deliver_unwrap"], "the reference must not use Berth"
    rate = download(server, far, "crawler", path)
    assert sha256(path) == BIG_FILE_SHA256
    path.unlink()
    after = server.verdicts()
    # Replies of 1,500 bytes at most: so many packets came through the tunnel and no fewer.
    assert after["deliver_unwrap"] - before["deliver_unwrap"] >= BIG_FILE_SIZE // 1460
    assert sum(each.verdicts()["too_big"] for each in lab.servers) == 0
    with capsys.disabled():
        print(f"\n  {lab.topology.name}: 200 MB at {rate / 1e6:.0f} MB/s through the forwarded return path, "
              f"{plain / 1e6:.0f} MB/s without Berth: {rate / plain:.2f}")


@pytest.mark.parametrize("topology, mss", [("lab", 1460), ("lab_1500", 1420)])
def test_mss_fits_the_tunnel(topology, mss, request):
    """What the origin may send fits the underlay with its wrap."""
    lab = request.getfixturevalue(topology)
    server, origin = lab.servers[0], lab.origins[0]
    script = ("import socket, sys\n"
              "s = socket.create_connection((sys.argv[1], 9000))\n"
              "print(s.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG))\n"
              "s.recv(100); sys.stdin.read()\n")
    child = server.popen(["/usr/bin/python3", "-c", script, origin.address], policy="crawler", stdin=-1)
    own = int(child.stdout.readline())
    [line] = [line for line in origin.run(["ss", "-Htni", "sport", "=", ":9000"]).stdout.splitlines()
              if "mss:" in line]
    child.communicate(timeout=10)
    seen = next(int(word.partition(":")[2]) for word in line.split() if word.startswith("mss:"))
    # 12 bytes of each segment are timestamps.
    assert (seen, own) == (mss - 12, mss - 12)
