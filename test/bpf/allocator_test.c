/* SPDX-License-Identifier: Apache-2.0 */
/* Which address and port connect() is given. */
#include "alloc_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

static bool in_slice(int fd, uint32_t first, uint32_t count)
{
	return local_addr(fd) == EGRESS && local_port(fd) >= first && local_port(fd) < first + count;
}

static void tcp_gets_a_port_of_the_slice(struct rig *rig)
{
	int listener = tcp_listen(ORIGIN, ORIGIN_PORT), fd;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);

	rig_begin(rig, 4096, 2048);
	fd = tcp_opened(ORIGIN, ORIGIN_PORT);
	expect(in_slice(fd, 4096, 2048));
	expect(accept(listener, (struct sockaddr *)&peer, &len) >= 0);
	expect_equal(ntohl(peer.sin_addr.s_addr), EGRESS);
	expect_equal(ntohs(peer.sin_port), local_port(fd));
	expect_equal(rig_ports_used(rig), 1);
	expect_equal(rig_counter(rig, VERDICT_ALLOCATED), 1);
	hang_up(fd);
	rig_ports_expect(rig, 0);
}

static void udp_gets_a_port_of_the_slice(struct rig *rig)
{
	int server = udp_bind(ORIGIN, ORIGIN_PORT), fd;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	char byte;

	rig_begin(rig, 4096, 2048);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	expect(in_slice(fd, 4096, 2048));
	expect(send(fd, "x", 1, 0) == 1);
	expect(recvfrom(server, &byte, 1, 0, (struct sockaddr *)&peer, &len) == 1);
	expect_equal(ntohl(peer.sin_addr.s_addr), EGRESS);
	expect_equal(ntohs(peer.sin_port), local_port(fd));
	expect(sendto(server, "y", 1, 0, (struct sockaddr *)&peer, len) == 1);
	expect(recv(fd, &byte, 1, 0) == 1 && byte == 'y');
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(rig_ports_used(rig), 1);
	close(fd);
	expect_equal(rig_ports_used(rig), 0);
}

/* Opens `count` connections, and notes each port; none may come twice. */
static void fill(int (*opened)(uint32_t, uint16_t), int *fds, unsigned count, uint32_t first, uint32_t ports)
{
	bool *seen = calloc(BERTH_PORT_SPACE, 1);

	expect(seen);
	for (unsigned i = 0; i < count; i++) {
		fds[i] = opened(ORIGIN, ORIGIN_PORT);
		expect(in_slice(fds[i], first, ports));
		expect(!seen[local_port(fds[i])]);
		seen[local_port(fds[i])] = true;
	}
	free(seen);
}

static void fills_exactly(struct rig *rig, int (*opened)(uint32_t, uint16_t), int (*fresh)(void), uint32_t first,
			  uint32_t ports)
{
	int *fds = calloc(ports, sizeof(*fds)), fd, late;
	uint16_t port;

	expect(fds);
	fill(opened, fds, ports, first, ports);
	expect_equal(rig_ports_used(rig), ports);
	late = fresh();
	expect_equal(inet_connect(late, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FULL), 1);

	port = local_port(fds[ports / 2]);
	hang_up(fds[ports / 2]);
	rig_ports_expect(rig, ports - 1);
	fd = opened(ORIGIN, ORIGIN_PORT);
	expect_equal(local_port(fd), port);
	expect_equal(inet_connect(late, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	/* Full towards one destination says nothing about another. */
	expect_equal(inet_connect(late, ORIGIN + 1, ORIGIN_PORT), 0);
	free(fds);
}

static void tcp_fills_the_slice_exactly(struct rig *rig)
{
	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_listen(ORIGIN + 1, ORIGIN_PORT);
	rig_begin(rig, 4096, 2048);
	fills_exactly(rig, tcp_opened, tcp_socket, 4096, 2048);
}

static void udp_fills_the_slice_exactly(struct rig *rig)
{
	rig_begin(rig, 63488, 2048);
	fills_exactly(rig, udp_opened, udp_socket, 63488, 2048);
}

static void udp_fills_256_ports_exactly(struct rig *rig)
{
	rig_begin(rig, 4096 + 768, 256);
	fills_exactly(rig, udp_opened, udp_socket, 4096 + 768, 256);
}

static void udp_fills_one_port_exactly(struct rig *rig)
{
	rig_begin(rig, 65535, 1);
	fills_exactly(rig, udp_opened, udp_socket, 65535, 1);
}

static void udp_fills_an_odd_run_exactly(struct rig *rig)
{
	rig_begin(rig, 6100, 131); /* over the border of two chunks, off every word's */
	fills_exactly(rig, udp_opened, udp_socket, 6100, 131);
}

/* More sockets than one process may have: a child opens the first ones, and waits. */
static void fills_with_a_child(struct rig *rig, uint32_t first, uint32_t ports)
{
	int *fds = calloc(ports, sizeof(*fds)), told[2], status;
	bool *seen = calloc(BERTH_PORT_SPACE, 1);
	uint16_t list[16384];
	ssize_t got = 0;
	pid_t child;

	expect(fds && seen && ports - 16384 < 19000);
	expect(!pipe(told));
	rig_begin(rig, first, ports);
	child = rig_child();
	if (!child) {
		fill(udp_opened, fds, 16384, first, ports);
		for (unsigned i = 0; i < 16384; i++)
			list[i] = local_port(fds[i]);
		expect(write(told[1], list, sizeof(list)) == sizeof(list));
		pause();
	}
	close(told[1]);
	while (got < (ssize_t)sizeof(list)) {
		ssize_t more = read(told[0], (char *)list + got, sizeof(list) - got);

		expect(more > 0);
		got += more;
	}
	for (unsigned i = 0; i < 16384; i++)
		seen[list[i]] = true;
	fill(udp_opened, fds, ports - 16384, first, ports);
	for (unsigned i = 0; i < ports - 16384; i++)
		expect(!seen[local_port(fds[i])]);
	expect_equal(rig_ports_used(rig), ports);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_PORT_BUSY), 0);
	kill(child, SIGKILL);
	expect(waitpid(child, &status, 0) == child);
	rig_ports_expect(rig, ports - 16384);
	free(fds);
	free(seen);
}

static void udp_fills_32768_ports_exactly(struct rig *rig)
{
	fills_with_a_child(rig, 32768, 32768);
}

static void udp_fills_the_slice_at_the_floor_exactly(struct rig *rig)
{
	fills_with_a_child(rig, slice_first_port(0, 15), slice_port_count(0, 15));
}

static void a_port_serves_many_destinations(struct rig *rig)
{
	rig_begin(rig, 8192, 1);
	for (int i = 0; i < 100; i++) {
		expect_equal(local_port(udp_opened(ORIGIN + i, ORIGIN_PORT)), 8192);
		expect_equal(local_port(udp_opened(ORIGIN, 1000 + i)), 8192);
	}
	expect_equal(rig_ports_used(rig), 200);
}

static void tcp_and_udp_keep_apart(struct rig *rig)
{
	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 1);
	expect_equal(local_port(udp_opened(ORIGIN, ORIGIN_PORT)), 8192);
	expect_equal(local_port(tcp_opened(ORIGIN, ORIGIN_PORT)), 8192);
}

static void mapped_sockets_are_the_same(struct rig *rig)
{
	int tcp, udp;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 1);
	tcp = socket(AF_INET6, SOCK_STREAM, 0);
	udp = socket(AF_INET6, SOCK_DGRAM, 0);
	expect_equal(mapped_connect(tcp, ORIGIN, ORIGIN_PORT), 0);
	expect(in_slice(tcp, 8192, 1));
	expect_equal(mapped_connect(udp, ORIGIN, ORIGIN_PORT), 0);
	expect(in_slice(udp, 8192, 1));
	expect(send(udp, "x", 1, 0) == 1);
	expect_equal(rig_ports_used(rig), 2);
	/* The same bits as an IPv4 socket's. */
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	/* A reconnect of the UDP socket moves its bit. */
	expect_equal(mapped_connect(udp, ORIGIN + 1, ORIGIN_PORT), 0);
	expect_equal(rig_ports_used(rig), 2);
}

static void a_source_without_port_is_overridden(struct rig *rig)
{
	int fd, one = 1;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = tcp_socket();
	expect(!setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)));
	expect_equal(inet_bind(fd, HOST_ADDR, 0), 0);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect(in_slice(fd, 8192, 16));
}

static void nonblocking_connect(struct rig *rig)
{
	struct pollfd poll_for = {.events = POLLOUT};
	int fd, err;
	socklen_t len = sizeof(err);

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	err = inet_connect(fd, ORIGIN, ORIGIN_PORT);
	expect(err == 0 || err == -EINPROGRESS);
	expect(in_slice(fd, 8192, 16));
	poll_for.fd = fd;
	expect(poll(&poll_for, 1, 1000) == 1);
	expect(!getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) && err == 0);
	expect_equal(rig_ports_used(rig), 1);
}

/* Nobody answers: the port is held while the kernel tries, and given back at close(). */
static void close_while_connecting(struct rig *rig)
{
	int fd;

	rig_shell("ip link add hole type veth peer name far");
	rig_shell("ip link set hole up; ip link set far up");
	rig_shell("ip route add 198.51.100.128/32 dev hole");
	rig_shell("ip neigh add 198.51.100.128 lladdr 02:00:00:00:00:01 dev hole");
	rig_begin(rig, 8192, 16);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	expect_equal(inet_connect(fd, 0xc6336480, ORIGIN_PORT), -EINPROGRESS);
	expect_equal(rig_ports_used(rig), 1);
	close(fd);
	rig_ports_expect(rig, 0);
}

static void retry_after_refusal_takes_the_same_port(struct rig *rig)
{
	int fd;
	uint16_t port;

	rig_begin(rig, 4096, 2048);
	fd = tcp_socket();
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -ECONNREFUSED);
	port = local_port(fd);
	expect_equal(rig_ports_used(rig), 0);
	rig_enter(rig, "");
	tcp_listen(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_port(fd), port);
	expect_equal(rig_ports_used(rig), 1);
}

/* Meanwhile another socket took the port that the retry would need. */
static void retry_of_a_port_in_use_is_refused(struct rig *rig)
{
	int fd;

	rig_begin(rig, 8192, 1);
	fd = tcp_socket();
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -ECONNREFUSED);
	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_ports_used(rig), 1);
}

static void no_route_gives_the_port_back(struct rig *rig)
{
	int fd;

	rig_begin(rig, 8192, 16);
	fd = tcp_socket();
	expect_equal(inet_connect(fd, 0xc0000363, ORIGIN_PORT), -ENETUNREACH); /* 192.0.3.99 */
	close(fd);
	rig_ports_expect(rig, 0);
	fd = udp_socket();
	expect_equal(inet_connect(fd, 0xc0000363, ORIGIN_PORT), -ENETUNREACH);
	close(fd);
	rig_ports_expect(rig, 0);
	expect_equal(rig_counter(rig, VERDICT_ALLOCATED), 2);
}

static void mptcp_gives_the_port_back(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	expect(fd >= 0);
	expect_equal(inet_connect(fd, 0xc0000363, ORIGIN_PORT), -ENETUNREACH);
	close(fd);
	rig_ports_expect(rig, 0);
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect(in_slice(fd, 8192, 16));
	expect_equal(rig_ports_used(rig), 1);
	close(fd);
}

static void udp_reconnect_moves_the_bit(struct rig *rig)
{
	int fd, other;
	uint16_t port;

	udp_bind(0, ORIGIN_PORT);
	rig_begin(rig, 4096, 2048);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	port = local_port(fd);
	for (int i = 1; i < 10; i++) {
		expect_equal(inet_connect(fd, ORIGIN + i, ORIGIN_PORT), 0);
		expect_equal(local_port(fd), port);
		expect_equal(rig_ports_used(rig), 1);
		expect(send(fd, "x", 1, 0) == 1);
	}
	expect_equal(inet_connect(fd, ORIGIN + 9, ORIGIN_PORT), 0);
	expect_equal(rig_ports_used(rig), 1);
	/* The old destinations are free again on that port. */
	other = udp_socket();
	expect_equal(inet_connect(other, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(rig_ports_used(rig), 2);
}

/* Where the port is in use towards the new destination, the socket keeps the old one, and its bit. */
static void udp_reconnect_refused_changes_nothing(struct rig *rig)
{
	int fd, server = udp_bind(ORIGIN, ORIGIN_PORT);
	char byte;

	rig_begin(rig, 8192, 1);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	udp_opened(ORIGIN + 1, ORIGIN_PORT);
	expect_equal(inet_connect(fd, ORIGIN + 1, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect(send(fd, "x", 1, 0) == 1);
	expect(recv(server, &byte, 1, 0) == 1);
	expect_equal(rig_ports_used(rig), 2);
}

static int disconnect(int fd)
{
	struct sockaddr sa = {.sa_family = AF_UNSPEC};

	return connect(fd, &sa, sizeof(sa)) ? -errno : 0;
}

static void disconnect_and_connect_again(struct rig *rig)
{
	int udp, tcp;
	uint16_t port;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_listen(ORIGIN + 1, ORIGIN_PORT);
	rig_begin(rig, 4096, 2048);
	udp = udp_opened(ORIGIN, ORIGIN_PORT);
	port = local_port(udp);
	expect_equal(disconnect(udp), 0);
	expect_equal(inet_connect(udp, ORIGIN + 1, ORIGIN_PORT), 0);
	expect_equal(local_port(udp), port);
	expect_equal(rig_ports_used(rig), 1);

	tcp = tcp_opened(ORIGIN, ORIGIN_PORT);
	port = local_port(tcp);
	expect_equal(rig_ports_used(rig), 2);
	expect_equal(disconnect(tcp), 0);
	rig_ports_expect(rig, 1);
	expect_equal(inet_connect(tcp, ORIGIN + 1, ORIGIN_PORT), 0);
	expect_equal(local_port(tcp), port);
	expect_equal(rig_ports_used(rig), 2);
}

static void a_port_held_by_others_is_skipped(struct rig *rig)
{
	/* A listener, one on all addresses, and a datagram socket that would share. */
	int sharer = udp_socket(), one = 1;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_listen(EGRESS, 8192);
	tcp_listen(0, 8193);
	expect(!setsockopt(sharer, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect_equal(inet_bind(sharer, 0, 8192), 0);
	udp_bind(EGRESS, 8193);
	rig_begin(rig, 8192, 4);
	for (int i = 0; i < 2; i++) {
		expect(local_port(tcp_opened(ORIGIN, ORIGIN_PORT)) >= 8194);
		expect(local_port(udp_opened(ORIGIN, ORIGIN_PORT)) >= 8194);
	}
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect(rig_counter(rig, VERDICT_PORT_BUSY) >= 2 * 16);
	expect_equal(rig_ports_used(rig), 4);
}

/* Connects and closes, the client first, so that TIME_WAIT is the client's. */
static int visit(int listener)
{
	int fd = tcp_socket(), err = inet_connect(fd, ORIGIN, ORIGIN_PORT), peer;
	char byte;

	if (err) {
		close(fd);
		return err;
	}
	peer = accept(listener, NULL, NULL);
	expect(peer >= 0);
	expect(!shutdown(fd, SHUT_WR));
	expect(read(peer, &byte, 1) == 0);
	close(peer);
	expect(read(fd, &byte, 1) == 0);
	close(fd);
	return 0;
}

static void time_wait_is_followed_with_timestamps(struct rig *rig)
{
	int listener = tcp_listen(ORIGIN, ORIGIN_PORT);

	rig_begin(rig, 8192, 4);
	for (int i = 0; i < 40; i++)
		expect_equal(visit(listener), 0);
	expect_equal(rig_counter(rig, VERDICT_PORT_BUSY), 0);
}

static void time_wait_is_skipped_without_timestamps(struct rig *rig)
{
	int listener = tcp_listen(ORIGIN, ORIGIN_PORT);

	rig_shell("echo 0 > /proc/sys/net/ipv4/tcp_timestamps");
	rig_begin(rig, 8192, 1);
	expect_equal(visit(listener), 0);
	expect_equal(visit(listener), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_PORT_BUSY), 32);
	/* Towards another destination it is as good as new. */
	tcp_listen(ORIGIN + 1, ORIGIN_PORT);
	tcp_opened(ORIGIN + 1, ORIGIN_PORT);
}

static struct policy three_addresses(uint32_t flags)
{
	return (struct policy){
		.flags = flags,
		.slice_count = 3,
		.slices =
			{
				{.addr = htobe32(EGRESS), .first = 8192, .count = 64},
				{.addr = htobe32(EGRESS + 1), .first = 8192, .count = 64},
				{.addr = htobe32(EGRESS + 2), .first = 8192, .count = 64},
			},
	};
}

static void sticky_keeps_an_address_and_overflows(struct rig *rig)
{
	struct policy policy = three_addresses(0), two = policy;
	unsigned per_addr[3] = {0}, moved = 0;
	uint32_t first;

	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	first = local_addr(udp_opened(ORIGIN, ORIGIN_PORT));
	for (int i = 1; i < 64; i++)
		expect_equal(local_addr(udp_opened(ORIGIN, ORIGIN_PORT)), first);
	for (int i = 0; i < 64; i++)
		expect(local_addr(udp_opened(ORIGIN, ORIGIN_PORT)) != first);
	for (int i = 0; i < 64; i++)
		expect(local_addr(udp_opened(ORIGIN, ORIGIN_PORT)) != first);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_ports_used(rig), 192);

	/* Destinations spread over the addresses; one address less moves only its own. */
	two.slice_count = 2;
	for (int i = 0; i < 240; i++) {
		uint32_t before = local_addr(udp_opened(ORIGIN - 7 + i, 1)), after;

		per_addr[before - EGRESS]++;
		rig_policy_write(rig, POLICY_ONE, &two);
		after = local_addr(udp_opened(ORIGIN - 7 + i, 2));
		rig_policy_write(rig, POLICY_ONE, &policy);
		moved += before != after;
		expect(before == after || before == EGRESS + 2);
	}
	expect(per_addr[0] > 40 && per_addr[1] > 40 && per_addr[2] > 40);
	expect_equal(moved, per_addr[2]);
}

/* Opened towards one destination until all are in use: each tier only when the one before it is full. */
static void tiers_are_filled_in_order(struct rig *rig, uint32_t flags)
{
	struct policy policy = three_addresses(flags);
	uint32_t addr;

	policy.slices[1].tier = policy.slices[2].tier = 3;
	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	for (int i = 0; i < 64; i++)
		expect_equal(local_addr(udp_opened(ORIGIN, ORIGIN_PORT)), EGRESS);
	expect_equal(rig_counter(rig, VERDICT_FALLBACK), 0);
	for (int i = 0; i < 128; i++) {
		addr = local_addr(udp_opened(ORIGIN, ORIGIN_PORT));
		expect(addr == EGRESS + 1 || addr == EGRESS + 2);
	}
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FULL), 1);
	expect_equal(rig_counter(rig, VERDICT_FALLBACK), 128);
	expect_equal(rig_policy_fallbacks(rig, 0), 128);
	/* Towards elsewhere the first tier is free. */
	for (int i = 1; i < 60; i++)
		expect_equal(local_addr(udp_opened(ORIGIN + i, ORIGIN_PORT)), EGRESS);
}

static void fallbacks_are_sticky_among_themselves(struct rig *rig)
{
	struct policy policy = three_addresses(0);
	unsigned per_addr[3] = {0};
	uint32_t addr;

	tiers_are_filled_in_order(rig, 0);
	/* A policy that holds nothing but its fallbacks' slices uses them, and says so. */
	policy.slices[0].tier = policy.slices[1].tier = policy.slices[2].tier = 1;
	rig_policy_write(rig, POLICY_ONE, &policy);
	for (int i = 0; i < 120; i++) {
		addr = local_addr(udp_opened(ORIGIN - 7 + i, 1));
		per_addr[addr - EGRESS]++;
		expect_equal(local_addr(udp_opened(ORIGIN - 7 + i, 1)), addr);
	}
	expect(per_addr[0] > 20 && per_addr[1] > 20 && per_addr[2] > 20);
	expect_equal(rig_policy_fallbacks(rig, 0), 128 + 240);
}

static void fallbacks_are_spread(struct rig *rig)
{
	tiers_are_filled_in_order(rig, POLICY_SPREAD);
}

/* A bind() that wants a port of its own goes the same way. */
static void claims_fall_back(struct rig *rig)
{
	struct policy policy = three_addresses(0);
	int fd;

	policy.slices[1].tier = 1;
	policy.slices[2].tier = 2;
	for (int i = 0; i < 3; i++)
		policy.slices[i].count = 4;
	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	for (int i = 0; i < 12; i++) {
		fd = udp_socket();
		expect_equal(inet_bind(fd, INADDR_ANY, 0), 0);
		expect_equal(local_addr(fd), EGRESS + (uint32_t)i / 4);
	}
	expect_equal(inet_bind(udp_socket(), INADDR_ANY, 0), -EADDRINUSE);
	expect_equal(rig_policy_fallbacks(rig, 0), 8);
	/* One of a given address: of whichever tier. */
	close(fd);
	fd = udp_socket();
	expect_equal(inet_bind(fd, EGRESS + 2, 0), 0);
}

static void spread_uses_all_addresses(struct rig *rig)
{
	struct policy policy = three_addresses(POLICY_SPREAD);
	unsigned per_addr[3] = {0};

	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	for (int i = 0; i < 60; i++)
		per_addr[local_addr(udp_opened(ORIGIN, ORIGIN_PORT)) - EGRESS]++;
	expect(per_addr[0] > 4 && per_addr[1] > 4 && per_addr[2] > 4);
	for (int i = 60; i < 192; i++)
		udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_ports_used(rig), 192);
}

static void a_slice_that_cannot_be_bound_is_passed_over(struct rig *rig)
{
	struct policy policy = three_addresses(0);

	policy.slices[0].addr = policy.slices[1].addr = htobe32(0xc0000263); /* 192.0.2.99, not local */
	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	for (int i = 0; i < 20; i++)
		expect_equal(local_addr(udp_opened(ORIGIN + i, ORIGIN_PORT)), EGRESS + 2);
	policy.slice_count = 2;
	rig_policy_write(rig, POLICY_ONE, &policy);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BIND), 1);
	policy.slice_count = 0;
	rig_policy_write(rig, POLICY_ONE, &policy);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_NO_SLICE), 1);
	expect_equal(rig_ports_used(rig), 20);
}

/* What the peer learned from the SYN: its segments are no larger. */
static int peer_mss(int listener)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int fd = accept(listener, NULL, NULL);

	expect(fd >= 0);
	expect(!getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_snd_mss;
}

static void the_peer_gets_the_mss(struct rig *rig)
{
	int listener = tcp_listen(ORIGIN, ORIGIN_PORT), fd, mss = 900;

	rig_shell("echo 0 > /proc/sys/net/ipv4/tcp_timestamps"); /* they would take 12 bytes off */
	rig_begin(rig, 8192, 16);
	tcp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(peer_mss(listener), RIG_MSS);
	/* Smaller is the program's own business, larger is not. */
	fd = tcp_socket();
	expect(!setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(peer_mss(listener), 900);
	fd = tcp_socket();
	mss = 1460;
	expect(!setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &mss, sizeof(mss)));
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(peer_mss(listener), RIG_MSS);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	expect_equal(mapped_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(peer_mss(listener), RIG_MSS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(tcp_gets_a_port_of_the_slice),
		RIG_CASE(udp_gets_a_port_of_the_slice),
		RIG_CASE(tcp_fills_the_slice_exactly),
		RIG_CASE(udp_fills_the_slice_exactly),
		RIG_CASE(udp_fills_256_ports_exactly),
		RIG_CASE(udp_fills_one_port_exactly),
		RIG_CASE(udp_fills_an_odd_run_exactly),
		RIG_CASE(udp_fills_32768_ports_exactly),
		RIG_CASE(udp_fills_the_slice_at_the_floor_exactly),
		RIG_CASE(a_port_serves_many_destinations),
		RIG_CASE(tcp_and_udp_keep_apart),
		RIG_CASE(mapped_sockets_are_the_same),
		RIG_CASE(a_source_without_port_is_overridden),
		RIG_CASE(nonblocking_connect),
		RIG_CASE(close_while_connecting),
		RIG_CASE(retry_after_refusal_takes_the_same_port),
		RIG_CASE(retry_of_a_port_in_use_is_refused),
		RIG_CASE(no_route_gives_the_port_back),
		RIG_CASE(mptcp_gives_the_port_back),
		RIG_CASE(udp_reconnect_moves_the_bit),
		RIG_CASE(udp_reconnect_refused_changes_nothing),
		RIG_CASE(disconnect_and_connect_again),
		RIG_CASE(a_port_held_by_others_is_skipped),
		RIG_CASE(time_wait_is_followed_with_timestamps),
		RIG_CASE(time_wait_is_skipped_without_timestamps),
		RIG_CASE(sticky_keeps_an_address_and_overflows),
		RIG_CASE(spread_uses_all_addresses),
		RIG_CASE(fallbacks_are_sticky_among_themselves),
		RIG_CASE(fallbacks_are_spread),
		RIG_CASE(claims_fall_back),
		RIG_CASE(a_slice_that_cannot_be_bound_is_passed_over),
		RIG_CASE(the_peer_gets_the_mss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
