# SPDX-License-Identifier: Apache-2.0
"""What runs on an origin: nginx on port 80, and lab/origin.c: UDP echo on 7, DNS on 53, and the recorder on TCP and
UDP 9000 to 9007. All of them answer on every address of the origin's prefix, and on IPv6."""

import hashlib

from lab.paths import BUILD
from lab.process import Daemon

PROGRAM = BUILD / "lab" / "origin"

BIG_FILE = "big"
BIG_FILE_SIZE = 200_000_000
# Of make_big_file()'s result, so that a download can be checked without the file.
BIG_FILE_SHA256 = "d81eafbb4506b2d04fe1875d308f86121c373d955ea500033d337cb4d1f05d3d"
_STAMP_EVERY = 1 << 16


def make_big_file(path):
    """200 MB that cost little to make and to keep: zeros, with 4 KB of their own every 64 KB."""
    with open(path, "wb") as file:
        file.truncate(BIG_FILE_SIZE)
        for offset in range(0, BIG_FILE_SIZE - 4096, _STAMP_EVERY):
            file.seek(offset)
            file.write(hashlib.sha256(str(offset).encode()).digest() * 128)


def _nginx_config(run_dir, www):
    return f"""daemon on;
user root;
worker_processes 1;
worker_rlimit_nofile 16384;
pid {run_dir}/nginx.pid;
error_log {run_dir}/nginx-error.log warn;
events {{ worker_connections 8192; multi_accept on; }}
http {{
	log_format sources '$remote_addr:$remote_port $server_addr $request_method $request_uri $status $body_bytes_sent';
	access_log {run_dir}/access.log sources;
	client_body_temp_path {run_dir}/nginx-body;
	proxy_temp_path {run_dir}/nginx-proxy;
	fastcgi_temp_path {run_dir}/nginx-fastcgi;
	uwsgi_temp_path {run_dir}/nginx-uwsgi;
	scgi_temp_path {run_dir}/nginx-scgi;
	sendfile on;
	tcp_nopush on;
	keepalive_requests 1000000;
	default_type text/plain;
	server {{
		listen 80 backlog=8192 reuseport;
		listen [::]:80 backlog=8192 reuseport ipv6only=on;
		root {www};
		location = /source {{ return 200 "$remote_addr $remote_port\\n"; }}
	}}
}}
"""


def daemons(node, www):
    run_dir = node.run_dir
    config, records = run_dir / "nginx.conf", run_dir / "sources.jsonl"
    config.write_text(_nginx_config(run_dir, www))
    nginx = ["nginx", "-e", run_dir / "nginx-error.log", "-p", run_dir, "-c", config]
    recorder = [PROGRAM, "--records", records, "--pid-file", run_dir / "origin.pid"]
    return [Daemon(node, "nginx", nginx, node.cgroup / "system", run_dir / "nginx.pid"),
            Daemon(node, "origin", recorder, node.cgroup / "system", run_dir / "origin.pid")]
