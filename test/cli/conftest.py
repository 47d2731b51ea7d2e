# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the command's tests: build/berth against a store, a run directory and an agent of the test's own.

    berth    runs `berth WORDS...` with a store and a run directory in a temporary directory
    fleet    writes a fleet file: fleet(servers=["fra-1", "ams-1"]) -> its path

BERTH_BUILD says where the program is (default: build). Nothing here reaches the machine's own agent or store.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / os.environ.get("BERTH_BUILD", "build") / "berth"

SITES = {
    "fra": ("DE", "10.0.1"),
    "ams": ("NL", "10.0.2"),
}


class Berth:
    def __init__(self, directory):
        self.directory = directory
        self.store = directory / "berth.db"
        self.run_dir = directory / "run"
        self.run_dir.mkdir()
        self.environment = dict(os.environ, BERTH_STORE=f"sqlite://{self.store}", LC_ALL="C")

    def argv(self, *words):
        """--run-dir stands in front: what follows "--" is the command's."""
        return [str(PROGRAM), "--run-dir", str(self.run_dir), *map(str, words)]

    def __call__(self, *words, code=0, wrap=(), **more):
        """Runs to the end and checks the exit code; an answer on standard input is nobody."""
        more.setdefault("stdin", subprocess.DEVNULL)
        more.setdefault("stdout", subprocess.PIPE)
        result = subprocess.run([*wrap, *self.argv(*words)], stderr=subprocess.PIPE, text=True, env=self.environment,
                                timeout=60, check=False, **more)
        assert result.returncode == code, (words, result.returncode, result.stdout, result.stderr)
        assert "Sanitizer" not in result.stderr
        return result


@pytest.fixture
def berth(tmp_path):
    return Berth(tmp_path)


@pytest.fixture
def fleet(tmp_path):
    def write(servers=("fra-1", "fra-2", "ams-1"), addresses=3, name="acme", policies=None, path="fleet.yaml"):
        lines = ["version: 1", f"fleet: {name}", "pools:", "  - {prefix: 203.0.113.0/24, slice_ports: 2048}",
                 "addresses:", f"  - {{range: 203.0.113.0 - 203.0.113.{addresses - 1}, tags: {{country: DE}}}}",
                 "  - {range: 203.0.113.100, tags: {country: NL}}", "sites:"]
        for site, (country, network) in SITES.items():
            members = [server for server in servers if server.startswith(site)]
            if not members:
                continue
            lines += [f"  - name: {site}", f"    place: {{country: {country}}}", f"    tunnel: {network}.254",
                      "    servers:"]
            lines += [f"      - {{name: {server}, underlay: {network}.{server.split('-')[1]}}}" for server in members]
        lines += ["policies:"]
        lines += policies or ["  - {name: crawler, cgroup: /system.slice/crawler.service, select: country=DE}"]
        file = tmp_path / path
        file.write_text("\n".join(lines) + "\n")
        return file
    return write
