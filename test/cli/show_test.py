# SPDX-License-Identifier: Apache-2.0
"""`berth show`, `berth whoowns`, and what all verbs have in common."""

import json
import re
import subprocess

import pytest
from conftest import PROGRAM, ROOT

SUBJECTS = ["fleet", "servers", "addresses", "slices", "policies", "counters", "usage", "refusals", "wasters"]
VERBS = ["apply", "plan", "show", "run", "whoowns", "doctor", "detach", "version"]


@pytest.fixture
def applied(berth, fleet):
    berth("apply", fleet())
    return berth


def answer(berth, *words, code=0):
    found = json.loads(berth(*words, "--json", code=code).stdout)
    assert found.pop("schema") == 1
    return found


def test_show_lists_its_subjects(berth):
    lines = berth("show").stdout.splitlines()
    assert [line.split()[2] for line in lines] == SUBJECTS
    assert answer(berth, "show") == {"show": SUBJECTS}


def test_fleet(applied):
    found = answer(applied, "show", "fleet")
    assert (found["fleet"], found["revision"], found["underlay_mtu"], found["max_hops"]) == ("acme", 1, 1500, 4)
    assert found["pools"] == [{"prefix": "203.0.113.0/24", "slice_ports": 2048, "owned": 3, "cooling": 0,
                               "free": 4 * 31 - 3}]
    assert [(site["name"], site["tunnel"], site["servers"], site["owned"]) for site in found["sites"]] == [
        ("fra", "10.0.1.254", 2, 2), ("ams", "10.0.2.254", 1, 1)]


def test_servers(applied):
    found = answer(applied, "show", "servers")
    assert found["revision"] == 1
    assert [(row["name"], row["id"], row["site"], row["underlay"], row["owned"], row["applied"], row["behind"])
            for row in found["servers"]] == [
        ("fra-1", 1, "fra", "10.0.1.1", 1, None, True), ("fra-2", 2, "fra", "10.0.1.2", 1, None, True),
        ("ams-1", 3, "ams", "10.0.2.1", 1, None, True)]


def test_addresses(applied):
    rows = answer(applied, "show", "addresses")["addresses"]
    assert [row["address"] for row in rows] == ["203.0.113.0", "203.0.113.1", "203.0.113.2", "203.0.113.100"]
    assert all(row["owned"] + row["free"] == 31 and row["cooling"] == 0 for row in rows)
    assert rows[0]["owned"] == 3
    assert rows[3]["tags"] == {"country": "NL"}


def test_slices(applied):
    rows = answer(applied, "show", "slices")["slices"]
    assert [(row["address"], row["column"], row["first"], row["count"], row["home"], row["owner"], row["state"])
            for row in rows] == [("203.0.113.0", column, column * 2048, 2048, server[:3], server, "owned")
                                 for column, server in enumerate(["fra-1", "fra-2", "ams-1"], 1)]
    assert all(1.7e9 < row["since"] < 1e10 for row in rows)


def test_policies(applied):
    assert answer(applied, "show", "policies") == {"policies": [{
        "name": "crawler", "cgroup": "/system.slice/crawler.service", "mark": 0, "select": "country=DE", "fallback": [],
        "address": "sticky", "unconnected_udp": "deny", "other_netns": "deny", "slices": 1, "destinations": 0,
        "except": [], "serve": [], "allow": {"users": [], "groups": []}}]}


def test_a_policy_of_a_mark_alone_is_shown_and_compared(berth, fleet):
    def written(*more):
        return fleet(policies=["  - {%s}" % ", ".join(("name: marked", "select: country=DE") + more)])

    berth("apply", written("mark: 7"))
    [policy] = answer(berth, "show", "policies")["policies"]
    assert (policy["mark"], policy["cgroup"], policy["other_netns"]) == (7, None, "deny")
    assert "marked" not in berth("plan", written("mark: 7")).stdout
    for other in (["mark: 8"], ["cgroup: /c"], ["mark: 7", "cgroup: /c"], ["mark: 7", "other_netns: host_address"]):
        assert "marked" in berth("plan", written(*other)).stdout, other


def test_fallbacks_are_shown_in_order_and_compared(berth, fleet):
    """The order is the one they are used in; another order is another policy."""
    def written(*order):
        return fleet(policies=["  - {name: crawler, cgroup: /c, select: country=DE, fallback: [%s]}" % ", ".join(order)])

    berth("apply", written('"*"', "country=NL"))
    assert answer(berth, "show", "policies")["policies"][0]["fallback"] == ["*", "country=NL"]
    assert "country=DE, else *, else country=NL" in berth("show", "policies").stdout
    assert "crawler" not in berth("plan", written('"*"', "country=NL")).stdout
    assert "crawler" in berth("plan", written("country=NL", '"*"')).stdout


def test_who_is_allowed_is_shown_and_compared(berth, fleet):
    def written(allow):
        return fleet(policies=["  - {name: crawler, cgroup: /c, select: country=DE%s}" % allow])

    berth("apply", written(", allow: {users: [jan, 1000], groups: [crew]}"))
    assert answer(berth, "show", "policies")["policies"][0]["allow"] == {"users": ["jan", "1000"], "groups": ["crew"]}
    assert "jan, 1000, group crew" in berth("show", "policies").stdout
    assert "crawler" not in berth("plan", written(", allow: {users: [jan, 1000], groups: [crew]}")).stdout
    for other in ("", ", allow: {users: [jan, 1000]}", ", allow: {users: [jan, 1001], groups: [crew]}"):
        assert "crawler" in berth("plan", written(other)).stdout
    berth("apply", written(""))
    assert [line.split()[-2:] for line in berth("show", "policies").stdout.splitlines()[1:]] == [["-", "/c"]]


@pytest.mark.parametrize("subject", SUBJECTS[:5])
def test_tables_are_aligned(applied, subject):
    text = applied("show", subject).stdout
    assert not re.search(r"[ \t]$", text, re.M)
    for block in text.split("\n\n"):
        lines = block.splitlines()
        if len(lines) < 2:
            continue
        starts = [match.start() for match in re.finditer(r"(?<=  )\S|^\S", lines[0])]
        assert all(start == 0 or line[start - 1:start] in (" ", "") or line[start - 2:start] != "  "
                   for line in lines[1:] for start in starts)
        assert len({len(re.split(r" {2,}", line.strip())) for line in lines}) == 1, block


@pytest.mark.parametrize("subject", ["counters", "usage", "wasters"])
def test_pins_without_a_data_plane(berth, subject):
    directory = berth.directory / "no-pins"
    assert str(directory) in berth("show", subject, "--bpffs", directory, code=1).stderr


def test_refusals_without_an_agent(berth):
    assert "no agent" in berth("show", "refusals", code=1).stderr


@pytest.mark.parametrize("top", ["0", "1001", "-1", "1x", "+1", "99999999999999999999"])
def test_top_is_a_number(berth, top):
    assert "1 to 1000" in berth("show", "usage", "--top", top, code=2).stderr


def test_nothing_applied(berth):
    for subject in SUBJECTS[:5]:
        result = berth("show", subject, "--json", code=1)
        assert result.stdout == "" and "berth apply FILE" in result.stderr
    assert "berth apply FILE" in berth("whoowns", "203.0.113.0:4096", code=1).stderr


@pytest.mark.parametrize("port, server", [(2048, "fra-1"), (4095, "fra-1"), (4096, "fra-2"), (6143, "fra-2"),
                                          (6144, "ams-1"), (8191, "ams-1")])
def test_whoowns(applied, port, server):
    text = applied("whoowns", f"203.0.113.0:{port}").stdout
    assert text.startswith(f"{server} in site {server[:3]}: slice 203.0.113.0:")
    found = answer(applied, "whoowns", f"203.0.113.0:{port}")
    assert (found["server"], found["site"], found["state"], found["port"]) == (server, server[:3], "owned", port)
    assert found["first"] <= port < found["first"] + found["count"]


@pytest.mark.parametrize("place, part", [("203.0.113.0:0", "never handed out"), ("203.0.113.0:2047", "never handed out"),
                                         ("203.0.113.0:8192", "free"), ("203.0.113.0:65535", "63488-65535 is free"),
                                         ("203.0.113.50:4096", "not among the addresses")])
def test_nobody_owns(applied, place, part):
    assert part in applied("whoowns", place, code=3).stdout
    found = answer(applied, "whoowns", place, code=3)
    assert (found["server"], found["site"], found["state"]) == (None, None, "free")


@pytest.mark.parametrize("place", ["192.0.2.1:4096", "203.0.113.0", "203.0.113.0:", "203.0.113.0:65536",
                                   "203.0.113.0:-1", "203.0.113.0:+1", "203.0.113.0: 1", "203.0.113.0:1x",
                                   "203.0.113.0:000001", "203.0.113:1", "203.0.113.00:1", ":1", "[::1]:1", ""])
def test_whoowns_what(applied, place):
    result = applied("whoowns", place, code=2)
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1


def test_cooling_slice_names_its_old_owner(applied, fleet):
    """Who left the fleet is still known by name."""
    applied("apply", "--yes", fleet(servers=["fra-1", "ams-1"]))
    found = answer(applied, "whoowns", "203.0.113.0:4096")
    assert (found["server"], found["state"]) == ("fra-2", "cooling")


def test_help(berth):
    text = berth("--help").stdout
    for verb in VERBS:
        assert re.search(rf"^  {verb} ", text, re.M)
        assert f"berth {verb}" in berth(verb, "--help").stdout
        assert berth("--help", verb).stdout == berth(verb, "-h").stdout
    assert berth(code=2).stderr.startswith("usage: berth VERB")


@pytest.mark.parametrize("words, part", [
    (["shwo"], "did you mean show?"), (["aply", "x"], "did you mean apply?"), (["frobnicate"], "berth --help"),
    (["sho"], "did you mean show?"), (["show", "slises"], "did you mean berth show slices?"),
    (["show", "nonsense"], "berth show lists"), (["show", "fleet", "servers"], "takes one argument"),
    (["version", "x"], "takes no argument"), (["plan"], "needs an argument"), (["plan", "--yes", "f"], "no --yes"),
    (["show", "--jsn"], "did you mean --json?"), (["whoowns"], "needs an argument"),
    (["detach", "--json"], "no --json"), (["show", "--version"], "no --version"), (["version", "--", "ls"], "takes no command"),
    (["run", "--select", "a=b", "ls"], "-- before the command"), (["run", "--select", "a=b"], "needs a command"),
    (["run", "--", "ls"], "needs --select"), (["run", "--select", "a=", "--", "ls"], "character"),
])
def test_wrong_usage(berth, words, part):
    result = berth(*words, code=2)
    assert part in result.stderr and result.stdout == ""


def test_version(berth):
    text = berth("version").stdout
    assert berth("--version").stdout == text
    found = answer(berth, "version")
    assert text.startswith(f"berth {found['version']} ")
    assert (found["control"], found["layout"]) == (1, 5)


def test_answer_that_gets_lost(applied):
    with open("/dev/full", "w", encoding="ascii") as full:
        for words in (["show", "slices"], ["show", "slices", "--json"], ["version"]):
            assert applied(*words, code=1, stdout=full).stderr


def test_paths_file(berth, fleet):
    """What the agent leaves behind says where the store is; options and BERTH_STORE come before it."""
    file = fleet()
    paths = berth.run_dir / "paths.json"
    paths.write_text(json.dumps({"server": "fra-1", "store": f"sqlite://{berth.directory}/theirs.db",
                                 "bpffs": f"{berth.directory}/theirs", "cgroup_root": "/"}))
    assert f"{berth.directory}/theirs" in berth("show", "counters", code=1).stderr
    assert f"{berth.directory}/mine" in berth("show", "counters", "--bpffs", berth.directory / "mine", code=1).stderr
    berth("apply", file)
    assert berth.store.exists() and not (berth.directory / "theirs.db").exists()
    del berth.environment["BERTH_STORE"]
    berth("apply", file)
    assert (berth.directory / "theirs.db").exists()
    berth("apply", file, "--store", f"sqlite://{berth.directory}/third.db")
    assert (berth.directory / "third.db").exists()
    for text in ("", "[]", "{", '{"store": "a", "store": "b"}'):
        paths.write_text(text)
        assert str(paths) in berth("show", "fleet", code=1).stderr


def test_man_pages_name_every_verb_and_option(berth):
    page = (ROOT / "docs/man/berth.1.scd").read_text()
    for verb in VERBS:
        assert re.search(rf"^\*{verb}\*", page, re.M), verb
        for option in re.findall(r"^  (--[a-z-]+)", berth(verb, "--help").stdout, re.M):
            assert f"*{option}*" in page, option
    page = (ROOT / "docs/man/berthd.8.scd").read_text()
    usage = subprocess.run([PROGRAM.with_name("berthd"), "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
    options = re.findall(r"^  (--[a-z-]+)", usage, re.M)
    assert len(options) > 5
    for option in options:
        assert f"*{option}*" in page, option
