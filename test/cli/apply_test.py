# SPDX-License-Identifier: Apache-2.0
"""`berth plan` and `berth apply`."""

import json
import os
import pty
import re
import select
import subprocess
import time

import pytest
from conftest import ROOT

BAD = sorted((ROOT / "test/fleet/bad").iterdir())
GOOD = sorted((ROOT / "test/fleet/good").iterdir())


def store_bytes(berth):
    return {path.name: path.read_bytes() for path in berth.directory.glob("berth.db*")}


@pytest.mark.parametrize("file", BAD, ids=lambda file: file.stem)
@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_faults(berth, file, verb):
    expected = re.match(rb"# expect (\d+:\d+: [^\n]*)", file.read_bytes()).group(1).decode()
    result = berth(verb, file, code=2)
    assert result.stderr.startswith(f"{file}:{expected}"), result.stderr
    assert result.stdout == ""
    assert store_bytes(berth) == {}


def test_faults_leave_a_store_as_it_is(berth, fleet):
    berth("apply", fleet())
    before = store_bytes(berth)
    for file in BAD[:20]:
        berth("apply", "--yes", file, code=2)
    assert store_bytes(berth) == before


@pytest.mark.parametrize("file", GOOD, ids=lambda file: file.stem)
def test_good_files(berth, file):
    berth("apply", file)
    assert "nothing to change" in berth("apply", file).stdout


def test_plan_writes_nothing(berth, fleet):
    file = fleet()
    assert "10.0" not in berth("plan", file).stdout
    assert json.loads(berth("plan", file, "--json").stdout)["applied"] is None
    assert json.loads(berth("apply", file, "--dry-run", "--json").stdout)["applied"] is None
    assert "does not exist" in berth("show", "fleet", code=1).stderr
    assert store_bytes(berth) == {}


def test_apply_twice(berth, fleet):
    file = fleet()
    first = json.loads(berth("apply", file, "--json").stdout)
    assert (first["schema"], first["changed"], first["applied"]) == (1, True, 1)
    assert first["counts"]["granted"] == len(first["moves"]) == 3
    assert first["changes"]["servers"] == {"added": ["fra-1", "fra-2", "ams-1"], "removed": [], "changed": []}
    slices = berth("show", "slices").stdout
    second = json.loads(berth("apply", file, "--json").stdout)
    assert (second["changed"], second["applied"], second["moves"]) == (False, None, [])
    assert second["revision"] == 1
    assert berth("apply", file).stdout == "nothing to change (revision 1)\n"
    assert berth("show", "slices").stdout == slices


def test_changes_by_name(berth, fleet):
    berth("apply", fleet(addresses=3))
    file = fleet(servers=["fra-1", "fra-3", "ams-1"], addresses=4, policies=[
        "  - {name: crawler, cgroup: /system.slice/crawler.service, select: country=DE, address: spread}",
        "  - {name: dns, cgroup: /system.slice/unbound.service, select: country=NL}"])
    changes = json.loads(berth("plan", file, "--json").stdout)["changes"]
    assert changes["servers"] == {"added": ["fra-3"], "removed": ["fra-2"], "changed": []}
    assert changes["policies"] == {"added": ["dns"], "removed": [], "changed": ["crawler"]}
    assert changes["addresses"]["added"] == ["203.0.113.0 - 203.0.113.3"]
    assert changes["addresses"]["removed"] == ["203.0.113.0 - 203.0.113.2"]
    assert changes["pools"] == changes["sites"] == {"added": [], "removed": [], "changed": []}
    words = berth("plan", file).stdout
    assert re.search(r"^  servers +\+ fra-3  - fra-2$", words, re.M)
    assert re.search(r"^  policies +\+ dns  ~ crawler$", words, re.M)
    assert re.search(r"^203\.0\.113\.0:4096-6143 +owned of fra-2, fra +cooling of fra-2, fra +its server left", words,
                     re.M), words


def test_losses_need_a_word(berth, fleet):
    berth("apply", fleet())
    fewer = fleet(servers=["fra-1", "ams-1"])
    before = store_bytes(berth)
    result = berth("apply", fewer, code=1)
    assert "1 slice in use would be taken" in result.stderr and "--yes" in result.stderr
    assert store_bytes(berth) == before
    assert json.loads(berth("plan", fewer, "--json").stdout)["losses"] == 1
    berth("apply", fewer, "--yes")
    assert "cooling" in berth("show", "slices").stdout


def at_terminal(berth, argv, talk):
    """Runs berth on a terminal of its own; talk(fd) speaks to it. Returns exit code and all that was shown."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(argv[0], argv, berth.environment)
    shown = talk(fd)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            data = os.read(fd, 4096) if select.select([fd], [], [], 1)[0] else None
        except OSError:  # the other end has gone
            break
        if data == b"":
            break
        shown += (data or b"").decode()
    _, status = os.waitpid(pid, 0)
    os.close(fd)
    return os.waitstatus_to_exitcode(status), shown


def read_until(fd, text):
    shown, deadline = "", time.monotonic() + 30
    while text not in shown and time.monotonic() < deadline:
        if select.select([fd], [], [], 1)[0]:
            shown += os.read(fd, 4096).decode()
    assert text in shown
    return shown


@pytest.mark.parametrize("answer, code", [(b"y\n", 0), (b"yes\n", 0), (b"n\n", 1), (b"\n", 1), (b"\x04", 1)])
def test_losses_are_asked_for_on_a_terminal(berth, fleet, answer, code):
    berth("apply", fleet())
    fewer = fleet(servers=["fra-1", "ams-1"])
    before = store_bytes(berth)

    def talk(fd):
        shown = read_until(fd, "[y/N]")
        os.write(fd, answer)
        return shown
    got, shown = at_terminal(berth, berth.argv("apply", fewer), talk)
    assert got == code, shown
    assert (store_bytes(berth) == before) == (code != 0)


def test_conflict(berth, fleet):
    """Somebody else applies while the question stands: nothing of it is overwritten, the question is put again."""
    berth("apply", fleet())
    other = fleet(servers=["fra-1", "fra-2", "ams-1", "ams-2"], path="other.yaml")
    fewer = fleet(servers=["fra-1", "ams-1"])

    def talk(fd):
        shown = read_until(fd, "[y/N]")
        assert "ams-2" not in shown
        berth("apply", other)
        os.write(fd, b"y\n")
        shown = read_until(fd, "[y/N]")
        assert "meanwhile" in shown and "ams-2" in shown
        os.write(fd, b"n\n")
        return shown
    code, shown = at_terminal(berth, berth.argv("apply", fewer), talk)
    assert code == 1, shown
    names = [row["name"] for row in json.loads(berth("show", "servers", "--json").stdout)["servers"]]
    assert sorted(names) == ["ams-1", "ams-2", "fra-1", "fra-2"]


def test_appliers_at_once(berth, fleet):
    """All of them end well: each sees what the others wrote before it writes."""
    berth("apply", fleet())
    files = [fleet(servers=["fra-1", "fra-2", "ams-1", f"ams-{n}"], path=f"{n}.yaml") for n in range(2, 6)]
    running = [subprocess.Popen(berth.argv("apply", "--yes", file), env=berth.environment, stdout=subprocess.DEVNULL,
                                stderr=subprocess.PIPE, text=True) for file in files]
    for each in running:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors
    answer = json.loads(berth("show", "fleet", "--json").stdout)
    assert answer["revision"] == 5


def test_shortage(berth, fleet):
    file = fleet(policies=["  - {name: nl, cgroup: /nl, select: country=NL, slices: 12}"])
    result = berth("plan", file)
    assert re.search(r"berth: warning: .*country=NL", result.stderr)
    shortages = json.loads(berth("plan", file, "--json").stdout)["shortages"]
    assert sum(row["lacking"] for row in shortages) == 3 * 12 - 31


@pytest.mark.parametrize("path, part", [("missing.yaml", "No such file"), (".", "directory")])
def test_no_file(berth, path, part):
    assert part in berth("apply", berth.directory / path, code=2).stderr
    assert store_bytes(berth) == {}


def test_file_too_large(berth):
    file = berth.directory / "large.yaml"
    file.write_bytes(b"#" * ((4 << 20) + 1))
    assert "at most 4194304 bytes" in berth("apply", file, code=2).stderr


def test_id_of_another(berth, fleet):
    berth("apply", fleet())
    file = fleet()
    file.write_text(file.read_text().replace("{name: fra-1,", "{name: fra-1, id: 77,"))
    assert "fra-1" in berth("apply", file, code=2).stderr


def test_fresh_ids_below_the_highest(berth):
    """full.yaml gives a site and a server the highest ids there are, and none to others."""
    berth("apply", ROOT / "test/fleet/good/full.yaml")
    ids = {site["name"]: site["id"] for site in json.loads(berth("show", "fleet", "--json").stdout)["sites"]}
    assert ids == {"osl": 4095, "2nd": 1}
    ids = {server["name"]: server["id"] for server in json.loads(berth("show", "servers", "--json").stdout)["servers"]}
    assert ids == {"osl-1": 1048575, "2nd-1": 1, "osl-2": 2}


def test_no_store(berth, fleet):
    result = berth("apply", fleet(), "--store", f"sqlite://{berth.directory}/nowhere/berth.db", code=1)
    assert f"mkdir -p {berth.directory}/nowhere" in result.stderr
    assert "odd://x" in berth("apply", fleet(), "--store", "odd://x", code=1).stderr


def test_store_that_is_none(berth, fleet):
    berth.store.write_bytes(b"not a database" * 100)
    assert str(berth.store) in berth("apply", fleet(), code=1).stderr
    assert berth.store.read_bytes() == b"not a database" * 100
