# SPDX-License-Identifier: Apache-2.0
"""What a host lacks is named, by `berth doctor` and by an agent that can't start, with what mends it."""

import json

from lab.paths import BUILD

# A process that may do less: as in an unprivileged container, or on a kernel that has it locked.
WITHOUT_BPF = ["setpriv", "--bounding-set=-bpf,-sys_admin"]


def doctor(server, *before):
    result = server.run([*before, BUILD / "berth", "doctor", "--json", *server.pin_flags], check=False)
    return result.returncode, {row["name"]: row for row in json.loads(result.stdout)["findings"]}


def test_healthy_server(lab):
    status, findings = doctor(lab.servers[0])
    assert {row["state"] for row in findings.values()} == {"ok"}, findings
    assert status == 0
    assert {"agent", "store", "forwarder", "allocator", "kernel_version", "kernel_btf", "cgroup2", "allocator_loads", "clsact",
            "xdp_native", "rp_filter"} <= set(findings)


def test_missing_rights_are_named(lab):
    status, findings = doctor(lab.servers[0], *WITHOUT_BPF)
    assert status == 3
    assert findings["capabilities"]["state"] == "fail"
    assert "CAP_BPF" in findings["capabilities"]["detail"]
    assert findings["forwarder_loads"]["state"] == "fail"


def test_wrong_host_setting_is_named_with_its_remedy(lab):
    server = lab.servers[0]
    server.run(["sysctl", "-qw", "net.ipv4.conf.net0.rp_filter=1"])
    try:
        status, findings = doctor(server)
        assert status == 3
        assert findings["rp_filter"]["state"] != "ok"
        assert "net0" in findings["rp_filter"]["detail"]
        # The remedy is a command that mends it.
        server.run(["/bin/sh", "-c", findings["rp_filter"]["remedy"]])
        assert doctor(server)[0] == 0
    finally:
        server.run(["sysctl", "-qw", "net.ipv4.conf.net0.rp_filter=0"])


def test_dead_agent_is_named(lab):
    server = lab.servers[0]
    server.kill_agent()
    try:
        status, findings = doctor(server)
        assert (status, findings["agent"]["state"]) == (3, "fail")
        assert [findings[name]["state"] for name in ("forwarder", "allocator")] == ["ok", "ok"], "they work without it"
    finally:
        server.start_agent()
        server.wait_loaded()


def test_agent_that_cannot_start_says_what_is_missing(lab, tmp_path):
    server = lab.servers[0]
    words = [*WITHOUT_BPF, BUILD / "berthd", "--server", server.name, "--store", lab.paths.store_url, "--cgroup-root",
             server.cgroup, "--bpffs", f"{server.bpffs}-other", "--run-dir", tmp_path / "run"]
    result = server.run(words, check=False)
    assert result.returncode == 1
    assert "capabilities: missing: CAP_BPF" in result.stderr
    assert "try: " in result.stderr
