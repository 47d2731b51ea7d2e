/* SPDX-License-Identifier: Apache-2.0 */
/* Programs that bind before they connect, and those that must not. */
#include "alloc_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define FIRST 8192u

static int bound(int fd, uint32_t addr, uint16_t port)
{
	expect_equal(inet_bind(fd, addr, port), 0);
	return fd;
}

static int mapped_bind(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	uint32_t be = htonl(addr);

	sin6.sin6_addr.s6_addr[10] = sin6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&sin6.sin6_addr.s6_addr[12], &be, sizeof(be));
	return bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) ? -errno : 0;
}

static bool is_ours(int fd, uint32_t count)
{
	return local_addr(fd) == EGRESS && local_port(fd) >= FIRST && local_port(fd) < FIRST + count;
}

static void a_bound_program_gets_a_port_of_the_slice(struct rig *rig)
{
	int tcp, udp, port;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, FIRST, 2048);
	tcp = bound(tcp_socket(), 0, 0);
	udp = bound(udp_socket(), 0, 0);
	expect(is_ours(tcp, 2048) && is_ours(udp, 2048));
	expect_equal(rig_counter(rig, VERDICT_CLAIMED), 2);
	expect_equal(rig_uses(rig).claimed, 2);
	port = local_port(tcp);
	expect_equal(inet_connect(tcp, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_port(tcp), port);
	expect_equal(inet_connect(udp, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(send(udp, "x", 1, 0), 1);
	expect_equal(rig_uses(rig).claimed, 1); /* UDP's stays, for it may go elsewhere any time */
	expect_equal(rig_uses(rig).users, 1);
	expect_equal(rig_ports_used(rig), 1);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 0);
}

/* Neither by connect(), to wherever, nor by another bind(). */
static void a_claimed_port_is_nobody_elses(struct rig *rig)
{
	int claims[2], others[2];

	rig_begin(rig, FIRST, 4);
	for (int i = 0; i < 2; i++)
		claims[i] = bound(udp_socket(), 0, 0);
	for (int i = 0; i < 2; i++) {
		others[i] = udp_opened(ORIGIN, ORIGIN_PORT);
		udp_opened(ORIGIN + 1, ORIGIN_PORT);
		for (int j = 0; j < 2; j++)
			expect(local_port(others[i]) != local_port(claims[j]));
	}
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_bind(udp_socket(), 0, 0), -EADDRINUSE);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_CLAIM), 1);
	expect_equal(inet_bind(udp_socket(), EGRESS, local_port(others[0])), -EADDRINUSE);
	expect_equal(inet_bind(udp_socket(), EGRESS, local_port(claims[0])), -EADDRINUSE);
	for (int i = 0; i < 2; i++)
		close(claims[i]);
	udp_opened(ORIGIN, ORIGIN_PORT);
	udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
}

static void claims_fill_the_slice_exactly(struct rig *rig)
{
	unsigned char seen[100] = {0};

	rig_begin(rig, FIRST + 30, 100);
	for (int i = 0; i < 100; i++) {
		uint32_t at = local_port(bound(udp_socket(), 0, 0)) - FIRST - 30;

		expect(at < 100 && !seen[at]);
		seen[at] = 1;
	}
	expect_equal(inet_bind(udp_socket(), 0, 0), -EADDRINUSE);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
}

/* A destination with a bitmap of its own passes over claimed ports as well, and finds what is left. */
static void connections_find_what_claims_leave(struct rig *rig)
{
	rig_begin(rig, FIRST, 2048);
	for (int i = 0; i < 20; i++)
		udp_opened(ORIGIN, ORIGIN_PORT);
	for (int i = 0; i < 1900; i++)
		bound(udp_socket(), 0, 0);
	for (int i = 0; i < 128; i++) {
		udp_opened(ORIGIN, ORIGIN_PORT);
		udp_opened(ORIGIN + 1, ORIGIN_PORT);
	}
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FULL), 0);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
}

/* IP_BIND_ADDRESS_NO_PORT says that the port is connect()'s to choose, and so it is. */
static void without_a_port_connect_chooses(struct rig *rig)
{
	static const uint32_t addrs[] = {0, EGRESS, HOST_ADDR};
	int one = 1;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, FIRST, 16);
	for (size_t i = 0; i < sizeof(addrs) / sizeof(*addrs); i++) {
		int fds[] = {tcp_socket(), udp_socket()};

		for (int n = 0; n < 2; n++) {
			expect(!setsockopt(fds[n], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)));
			bound(fds[n], addrs[i], 0);
			expect_equal(local_port(fds[n]), 0);
			expect_equal(inet_connect(fds[n], ORIGIN, ORIGIN_PORT), 0);
			expect(is_ours(fds[n], 16));
		}
	}
	expect_equal(rig_counter(rig, VERDICT_CLAIMED), 0);
	expect_equal(rig_ports_used(rig), 6);
}

static void an_egress_address_can_be_named(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST, 16);
	expect(is_ours(bound(udp_socket(), EGRESS, 0), 16));
	fd = bound(tcp_socket(), EGRESS, FIRST + 3);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_port(fd), FIRST + 3);
	/* The slice is the policy's; what lies beside it on the address, and other addresses, are not. */
	expect_equal(inet_bind(udp_socket(), EGRESS, FIRST + 16), -EPERM);
	expect_equal(inet_bind(udp_socket(), EGRESS, FIRST - 1), -EPERM);
	expect_equal(inet_bind(udp_socket(), EGRESS, 53), -EPERM);
	expect_equal(inet_bind(tcp_socket(), EGRESS + 1, 0), -EPERM);
	expect_equal(inet_bind(tcp_socket(), EGRESS + 1, FIRST), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FOREIGN), 5);
	expect_equal(inet_bind(tcp_socket(), HOST_ADDR, 0), 0);
}

/* Nor does another user steal the answers of a socket by binding beside it. */
static void without_a_policy_no_egress_address_is_bound(struct rig *rig)
{
	int fd = udp_socket(), one = 1;

	rig_pool(rig, EGRESS);
	expect(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)));
	expect_equal(inet_bind(fd, EGRESS, FIRST), -EPERM);
	expect_equal(inet_bind(fd, EGRESS, 0), -EPERM);
	expect_equal(inet_bind(tcp_socket(), EGRESS, FIRST), -EPERM);
	expect_equal(mapped_bind(socket(AF_INET6, SOCK_DGRAM, 0), EGRESS, FIRST), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FOREIGN), 4);
	expect_equal(inet_bind(fd, HOST_ADDR, FIRST), 0);
	expect_equal(inet_bind(tcp_socket(), 0, 0), 0);
}

static void a_claimed_socket_sends_to_anybody(struct rig *rig)
{
	int origins[] = {udp_bind(ORIGIN, ORIGIN_PORT), udp_bind(ORIGIN + 1, ORIGIN_PORT)}, fd;

	rig_begin(rig, FIRST, 16);
	rig_except(rig, POLICY_ONE, HOST_ADDR, 32, true);
	fd = bound(udp_socket(), 0, 0);
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);
		char byte;

		expect_equal(inet_sendto(fd, ORIGIN + i, ORIGIN_PORT), 0);
		expect_equal(recvfrom(origins[i], &byte, 1, 0, (struct sockaddr *)&from, &size), 1);
		expect_equal(ntohl(from.sin_addr.s_addr), EGRESS);
		expect_equal(ntohs(from.sin_port), local_port(fd));
	}
	/* From an egress address no answer would come back from there. */
	expect_equal(inet_sendto(fd, HOST_ADDR, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_connect(fd, HOST_ADDR, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 2);
	/* A socket that claims nothing may not. */
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
}

/* Once it is connected, a TCP socket shares its port with connections to elsewhere. */
static void a_connected_socket_shares_its_port(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_listen(ORIGIN + 1, ORIGIN_PORT);
	rig_begin(rig, FIRST, 1);
	fd = bound(tcp_socket(), 0, 0);
	expect_equal(inet_connect(tcp_socket(), ORIGIN + 1, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_port(tcp_opened(ORIGIN + 1, ORIGIN_PORT)), FIRST);
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_bind(tcp_socket(), 0, 0), -EADDRINUSE);
}

/* Where the table of destinations has no room, who has claimed a port connects from it all the same. */
static void a_claim_needs_no_room_in_the_table(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, FIRST, 16);
	for (unsigned i = 0; i < 4 * RIG_SMALL_TABLE; i++)
		udp_opened(ORIGIN, 1000 + i);
	for (int i = 0; i < 4; i++) {
		fd = bound(tcp_socket(), 0, 0);
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	}
	expect(rig_ports_entries(rig) <= 2 * RIG_SMALL_TABLE);
	expect_equal(rig_uses(rig).claimed, 0);
}

/* The second call fails, and changes nothing. */
static void a_socket_is_bound_once(struct rig *rig)
{
	int origin = udp_bind(ORIGIN, ORIGIN_PORT), fd, port;
	char byte;

	rig_begin(rig, FIRST, 16);
	fd = bound(udp_socket(), 0, 0);
	port = local_port(fd);
	expect_equal(inet_bind(fd, 0, 0), -EINVAL);
	expect_equal(inet_bind(fd, EGRESS, port == FIRST ? FIRST + 1 : FIRST), -EINVAL);
	expect_equal(local_port(fd), port);
	expect_equal(rig_uses(rig).claimed, 1);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(recv(origin, &byte, 1, 0), 1);
}

static void a_refused_connection_is_tried_again(struct rig *rig)
{
	int fd, port;

	rig_begin(rig, FIRST, 16);
	fd = bound(tcp_socket(), 0, 0);
	port = local_port(fd);
	for (int i = 0; i < 3; i++)
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -ECONNREFUSED);
	expect_equal(local_port(fd), port);
	rig_ports_expect(rig, 0);
}

static void a_claim_ends_with_its_last_descriptor(struct rig *rig)
{
	int status, copy;
	pid_t child;

	rig_begin(rig, FIRST, 16);
	copy = dup(bound(udp_socket(), 0, 0));
	child = rig_child();
	if (!child) {
		bound(udp_socket(), 0, 0);
		bound(tcp_socket(), 0, 0);
		pause();
	}
	for (int i = 0; i < 1000 && rig_uses(rig).claimed != 3; i++)
		usleep(5000);
	expect_equal(rig_uses(rig).claimed, 3);
	kill(child, SIGKILL);
	expect(waitpid(child, &status, 0) == child);
	for (int i = 0; i < 1000 && rig_uses(rig).claimed != 1; i++)
		usleep(5000);
	expect_equal(rig_uses(rig).claimed, 1);
	close(copy);
	expect_equal(rig_uses(rig).claimed, 1); /* the first descriptor is open */
}

static void a_mapped_address_is_the_same(struct rig *rig)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST, 16);
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	expect_equal(mapped_bind(fd, EGRESS, 0), 0);
	expect_equal(mapped_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(rig_ports_used(rig), 1);
	expect_equal(mapped_bind(socket(AF_INET6, SOCK_DGRAM, 0), EGRESS + 1, 0), -EPERM);
}

/* For UDP; nobody filters TCP by source port. */
static int any6_bind(int type, uint16_t port, int v6only)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0);

	expect(fd >= 0);
	expect(!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only)));
	expect(!bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
	return fd;
}

static bool in_slice(int fd)
{
	return local_addr(fd) == EGRESS && local_port(fd) >= FIRST && local_port(fd) < FIRST + 16;
}

static void any_address_of_both_families_is_ipv4(struct rig *rig)
{
	int fd;

	udp_bind(ORIGIN, ORIGIN_PORT);
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST, 16);
	fd = any6_bind(SOCK_DGRAM, 0, 0);
	expect(in_slice(fd));
	expect_equal(rig_uses(rig).claimed, 1);
	expect_equal(mapped_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect(send(fd, "x", 1, 0) == 1);
	/* For IPv6 alone, for a server, or for a listener. */
	expect(!in_slice(any6_bind(SOCK_DGRAM, 0, 1)));
	expect(!in_slice(any6_bind(SOCK_DGRAM, 5000, 0)));
	fd = any6_bind(SOCK_STREAM, 0, 0);
	expect(!in_slice(fd));
	expect(!listen(fd, 8));
	expect_equal(rig_uses(rig).claimed, 1);
	/* Nobody's business outside of a policy. */
	rig_enter(rig, "");
	expect(!in_slice(any6_bind(SOCK_DGRAM, 0, 0)));
}

static void avoided_ports_are_not_given_out(struct rig *rig)
{
	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, FIRST, 8);
	rig_avoid(rig, FIRST + 1);
	rig_avoid(rig, FIRST + 6);
	for (int i = 0; i < 6; i++) {
		uint16_t port = local_port(udp_opened(ORIGIN, ORIGIN_PORT));

		expect(port != FIRST + 1 && port != FIRST + 6);
	}
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_bind(udp_socket(), 0, 0), -EADDRINUSE);
	for (int i = 0; i < 8; i++)
		tcp_opened(ORIGIN, ORIGIN_PORT);
}

/* An entry without bitmap offers what it has not itself. Half of 128 offers are avoided; of four in a row, 1 in 16. */
static void an_avoided_offer_is_followed_by_another(struct rig *rig)
{
	rig_begin(rig, FIRST, 1024);
	for (uint16_t port = FIRST; port < FIRST + 1024; port += 2)
		rig_avoid(rig, port);
	for (unsigned i = 0; i < 128; i++)
		expect(local_port(udp_opened(ORIGIN, 1000 + i / WAY_PORTS)) % 2 != FIRST % 2);
	expect(rig_counter(rig, VERDICT_PORT_PROBED) < 32);
}

static void servers_are_left_alone(struct rig *rig)
{
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST, 16);
	rig_serve(rig, POLICY_ONE, 5000);
	bound(udp_socket(), 0, 53);
	bound(udp_socket(), 0, 5000);
	bound(tcp_socket(), 0, 8080);
	bound(udp_socket(), HOST_ADDR, 0);
	expect_equal(rig_counter(rig, VERDICT_CLAIMED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_bound_program_gets_a_port_of_the_slice),
		RIG_CASE(a_claimed_port_is_nobody_elses),
		RIG_CASE(claims_fill_the_slice_exactly),
		RIG_CASE(connections_find_what_claims_leave),
		RIG_CASE(without_a_port_connect_chooses),
		RIG_CASE(an_egress_address_can_be_named),
		RIG_CASE(without_a_policy_no_egress_address_is_bound),
		RIG_CASE(a_claimed_socket_sends_to_anybody),
		RIG_CASE(a_connected_socket_shares_its_port),
		RIG_CASE_SMALL(a_claim_needs_no_room_in_the_table),
		RIG_CASE(a_socket_is_bound_once),
		RIG_CASE(a_refused_connection_is_tried_again),
		RIG_CASE(a_claim_ends_with_its_last_descriptor),
		RIG_CASE(a_mapped_address_is_the_same),
		RIG_CASE(any_address_of_both_families_is_ipv4),
		RIG_CASE(avoided_ports_are_not_given_out),
		RIG_CASE(an_avoided_offer_is_followed_by_another),
		RIG_CASE(servers_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
