// SPDX-License-Identifier: Apache-2.0

// HTTP with an agent that keeps connections, DNS by c-ares, UDP with connect() (bound to SOURCE and PORT, and to
// nothing) and without. usage: client.js ADDRESS SOURCE PORT. Prints one JSON object: what each way of going out gave.
"use strict";

const dgram = require("dgram");
const dns = require("dns");
const http = require("http");

const REQUESTS = 200;
const WORKERS = 8;
const PATIENCE = 5000;
const [server, source, port] = process.argv.slice(2);

function get(agent, url) {
	return new Promise((resolve, reject) => {
		const request = http.get(url, { agent, timeout: PATIENCE }, (response) => {
			let body = "";
			response.on("data", (data) => { body += data; });
			response.on("end", () => resolve(body));
		});
		request.on("timeout", () => request.destroy(new Error("timeout")));
		request.on("error", reject);
	});
}

async function getMany(url) {
	const agent = new http.Agent({ keepAlive: true, maxSockets: WORKERS });
	const answers = {};
	await Promise.all(Array.from({ length: REQUESTS }, async () => {
		const body = await get(agent, url);
		answers[body] = (answers[body] || 0) + 1;
	}));
	agent.destroy();
	return answers;
}

async function resolve() {
	const resolver = new dns.promises.Resolver({ timeout: 1000, tries: 2 });
	resolver.setServers([server]);
	return resolver.resolve4("www.example.com");
}

// What came back, or the error's code. prepare(socket, ready) calls ready() when it may send.
function echo(prepare, ...to) {
	return new Promise((done) => {
		const socket = dgram.createSocket("udp4");
		const timer = setTimeout(() => end("TIMEOUT"), PATIENCE);
		const end = (value) => { clearTimeout(timer); socket.close(); done(value); };
		const failed = (error) => { if (error) end(error.code); };
		socket.on("message", (message) => end(message.toString()));
		socket.on("error", failed);
		prepare(socket, () => socket.send("hello", ...to, failed));
	});
}

function connect(socket, ready) {
	socket.on("connect", ready);
	socket.connect(7, server);
}

function bindAndConnect(socket, ready) {
	socket.bind(Number(port), source, () => connect(socket, ready));
}

function nothing(socket, ready) {
	ready();
}

async function main() {
	console.log(JSON.stringify({
		answers: await getMany(`http://${server}/source`),
		resolved: await resolve().catch((error) => error.code),
		bound: await echo(bindAndConnect),
		connected: await echo(connect),
		unconnected: await echo(nothing, 7, server),
	}));
}

main().catch((error) => { console.error(error); process.exit(1); });
