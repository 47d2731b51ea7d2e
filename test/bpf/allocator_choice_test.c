/* SPDX-License-Identifier: Apache-2.0 */
/* A policy that was chosen for one socket. */
#include "alloc_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define CHOSEN 2u
#define MARKED 3u
#define MARK 7u
#define CHOSEN_FIRST 16384u
#define MARKED_FIRST 24576u
#define COUNT 16u

static void policies_write(struct rig *rig)
{
	const struct policy chosen = rig_policy(CHOSEN_FIRST, COUNT), marked = rig_policy(MARKED_FIRST, COUNT);

	rig_policy_write(rig, CHOSEN, &chosen);
	rig_policy_write(rig, MARKED, &marked);
	rig_mark(rig, MARK, MARKED);
	rig_begin(rig, 8192, COUNT);
}

static void expect_source(int fd, uint32_t first)
{
	expect_equal(local_addr(fd), EGRESS);
	expect(local_port(fd) >= first && local_port(fd) < first + COUNT);
}

static void it_counts_for_more_than_cgroup_and_mark(struct rig *rig)
{
	int fd;

	policies_write(rig);
	for (int under = 0; under < 2; under++) {
		rig_enter(rig, under ? "app" : "");
		tcp_listen(ORIGIN, (uint16_t)(1000 + under));
		fd = tcp_socket();
		rig_choose(rig, fd, CHOSEN);
		expect_equal(inet_connect(fd, ORIGIN, (uint16_t)(1000 + under)), 0);
		expect_source(fd, CHOSEN_FIRST);
		fd = udp_socket();
		socket_mark(fd, MARK);
		rig_choose(rig, fd, CHOSEN);
		expect_equal(inet_connect(fd, ORIGIN, (uint16_t)(2000 + under)), 0);
		expect_source(fd, CHOSEN_FIRST);
	}
}

static void it_is_that_socket_s_alone(struct rig *rig)
{
	int fd;

	policies_write(rig);
	fd = udp_socket();
	rig_choose(rig, fd, CHOSEN);
	expect_source(udp_opened(ORIGIN, ORIGIN_PORT), 8192);
	fd = udp_socket();
	socket_mark(fd, MARK);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT + 1), 0);
	expect_source(fd, MARKED_FIRST);
}

static void the_last_one_counts(struct rig *rig)
{
	int fd;

	policies_write(rig);
	fd = udp_socket();
	rig_choose(rig, fd, MARKED);
	rig_choose(rig, fd, CHOSEN);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_source(fd, CHOSEN_FIRST);
}

/* A socket that has a port keeps it, or is refused: it never goes on with one policy's port under another. */
static void one_that_comes_late_does_not_move_a_port(struct rig *rig)
{
	int fd;

	policies_write(rig);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	rig_choose(rig, fd, CHOSEN);
	expect_source(fd, 8192);
	expect(send(fd, "x", 1, 0) == 1 || errno == ECONNREFUSED);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT + 1), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 1);
	expect_equal(rig_ports_used(rig), 1);
}

/* bind() and sendto() ask as connect() does. */
static void of_unconnected_udp(struct rig *rig)
{
	int fd;

	udp_bind(ORIGIN, ORIGIN_PORT);
	policies_write(rig);
	rig_enter(rig, "");
	fd = udp_socket();
	rig_choose(rig, fd, CHOSEN);
	expect_equal(inet_bind(fd, 0, 0), 0);
	expect_source(fd, CHOSEN_FIRST);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
	fd = udp_socket();
	rig_choose(rig, fd, CHOSEN);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_UNCONNECTED), 1);
}

/* Not from the host's address, and not by the cgroup's policy either. */
static void of_a_policy_that_is_gone(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	policies_write(rig);
	rig_policy_remove(rig, CHOSEN);
	for (int under = 0; under < 2; under++) {
		rig_enter(rig, under ? "app" : "");
		fd = tcp_socket();
		rig_choose(rig, fd, CHOSEN);
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EPERM);
		expect_equal(local_port(fd), 0);
	}
	expect_equal(rig_counter(rig, VERDICT_REFUSED_NO_POLICY), 2);
}

/* Whoever holds the descriptor has the policy with it. */
static void it_goes_with_the_descriptor(struct rig *rig)
{
	int fd, status;
	pid_t child;

	policies_write(rig);
	fd = udp_socket();
	rig_choose(rig, fd, CHOSEN);
	child = rig_child();
	if (!child) {
		rig_enter(rig, "");
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
		_exit(0);
	}
	expect_equal(waitpid(child, &status, 0), child);
	expect_equal(status, 0);
	expect_source(fd, CHOSEN_FIRST);
}

/* What it accepts is no connection that it opens. */
static void a_listener_s_connections_are_left_alone(struct rig *rig)
{
	int listener, client, accepted;

	policies_write(rig);
	rig_enter(rig, "");
	listener = tcp_socket();
	rig_choose(rig, listener, CHOSEN);
	expect_equal(inet_bind(listener, HOST_ADDR, 8080), 0);
	expect_equal(listen(listener, 1), 0);
	client = tcp_opened(HOST_ADDR, 8080);
	accepted = accept(listener, NULL, NULL);
	expect(accepted >= 0);
	expect_equal(send(accepted, "x", 1, 0), 1);
	expect_equal(recv(client, &(char){0}, 1, 0), 1);
	expect_equal(local_addr(accepted), HOST_ADDR);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(it_counts_for_more_than_cgroup_and_mark),
		RIG_CASE(it_is_that_socket_s_alone),
		RIG_CASE(the_last_one_counts),
		RIG_CASE(one_that_comes_late_does_not_move_a_port),
		RIG_CASE(of_unconnected_udp),
		RIG_CASE(of_a_policy_that_is_gone),
		RIG_CASE(it_goes_with_the_descriptor),
		RIG_CASE(a_listener_s_connections_are_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
