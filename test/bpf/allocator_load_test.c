/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads that open and close connections as fast as they can: no failure, no duplicate, no leak. */
#include "alloc_rig.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include <cmocka.h>

#define THREADS 2
#define ROUNDS 10000u /* of each thread */
#define OPEN_FEW 16u /* at a time, of each thread */
#define OPEN_MANY 128u
#define FIRST_PORT 8192u
#define PORT_COUNT 64u
#define MANY_DESTINATIONS 256u
/*
 * The kernel tells that a TCP socket closes (BPF_SOCK_OPS_STATE_CB) a moment before it takes it off its own table
 * (tcp_set_state in net/ipv4/tcp.c), and a machine may be halted by its host in between: the other thread would
 * then find the port taken, and try another. One connection in a hundred is far beyond what that gives.
 */
#define BUSY_MAX (THREADS * ROUNDS / 100)

/*
 * 1: a socket has that port towards that destination. For UDP alone: a TCP connection that its peer resets gives its
 * port back before its owner knows, but there the kernel itself refuses a duplicate.
 */
static atomic_uchar claims[MANY_DESTINATIONS][PORT_COUNT];

struct worker {
	int (*open)(void);
	unsigned destinations;
	unsigned at_a_time; /* connections open, OPEN_MANY at most */
	unsigned seed;
	pthread_t thread;
};

struct connection {
	int fd;
	atomic_uchar *claim;
};

static void connection_open(const struct worker *worker, unsigned round, struct connection *ret)
{
	unsigned destination = (round * 7 + worker->seed) % worker->destinations;

	ret->fd = worker->open();
	expect_equal(inet_connect(ret->fd, ORIGIN, 1000 + destination), 0);
	expect_equal(local_addr(ret->fd), EGRESS);
	expect(local_port(ret->fd) >= FIRST_PORT && local_port(ret->fd) < FIRST_PORT + PORT_COUNT);
	ret->claim = &claims[destination][local_port(ret->fd) - FIRST_PORT];
	expect(atomic_exchange(ret->claim, 1) == 0 || worker->open == tcp_socket);
	(void)send(ret->fd, "x", 1, MSG_NOSIGNAL); /* tells TCP's origin that connect() has returned */
}

/* TCP's origin closes first: a reset from here could cross its FIN, and then answer the port's next connection. */
static void connection_close(const struct worker *worker, const struct connection *connection)
{
	char byte;

	if (worker->open == tcp_socket)
		(void)recv(connection->fd, &byte, 1, 0);
	atomic_store(connection->claim, 0);
	close(connection->fd);
}

static void *worker_run(void *arg)
{
	const struct worker *worker = arg;
	struct connection open[OPEN_MANY];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct connection *place = &open[i % worker->at_a_time];

		if (i >= worker->at_a_time)
			connection_close(worker, place);
		connection_open(worker, i, place);
	}
	for (unsigned i = 0; i < worker->at_a_time; i++)
		connection_close(worker, &open[i]);
	return NULL;
}

static void workers_run(struct rig *rig, int (*open)(void), unsigned destinations, unsigned at_a_time)
{
	struct worker workers[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = (struct worker){
			.open = open, .destinations = destinations, .at_a_time = at_a_time, .seed = i * 3};
		expect(!pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]));
	}
	for (unsigned i = 0; i < THREADS; i++)
		expect(!pthread_join(workers[i].thread, NULL));
	expect_equal(rig_counter(rig, VERDICT_ALLOCATED), THREADS * ROUNDS);
	rig_ports_expect(rig, 0);
}

/* Closes every connection once it is in use, half of them with a reset. Ends when the listener is shut down. */
static void *origin_run(void *arg)
{
	int listener = *(int *)arg;

	for (unsigned i = 0;; i++) {
		int fd = accept(listener, NULL, NULL);
		char byte;

		if (fd < 0) {
			expect_equal(errno, EINVAL);
			return NULL;
		}
		if (recv(fd, &byte, 1, 0) == 1 && i % 2)
			hang_up(fd);
		else
			close(fd);
	}
	return NULL;
}

static void tcp_to_a_few_destinations(struct rig *rig)
{
	static int listeners[4];
	pthread_t threads[4];

	for (unsigned i = 0; i < 4; i++) {
		listeners[i] = tcp_listen(ORIGIN, 1000 + i);
		expect(!pthread_create(&threads[i], NULL, origin_run, &listeners[i]));
	}
	rig_begin(rig, FIRST_PORT, PORT_COUNT);
	workers_run(rig, tcp_socket, 4, OPEN_FEW);
	for (unsigned i = 0; i < 4; i++) {
		expect(!shutdown(listeners[i], SHUT_RDWR));
		expect(!pthread_join(threads[i], NULL));
	}
	expect(rig_counter(rig, VERDICT_PORT_BUSY) < BUSY_MAX);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
}

static void udp_to_a_few_destinations(struct rig *rig)
{
	rig_begin(rig, FIRST_PORT, PORT_COUNT);
	workers_run(rig, udp_socket, 4, OPEN_FEW);
}

static atomic_bool rewriting;

static void *policy_rewrite(void *arg)
{
	const struct policy policy = rig_policy(FIRST_PORT, PORT_COUNT);

	while (atomic_load(&rewriting))
		rig_policy_write(arg, POLICY_ONE, &policy);
	return NULL;
}

/* Each time its memory is another one, and what was looked up before is somebody else's. */
static void under_a_policy_that_is_rewritten(struct rig *rig)
{
	pthread_t thread;

	rig_begin(rig, FIRST_PORT, PORT_COUNT);
	atomic_store(&rewriting, true);
	expect(!pthread_create(&thread, NULL, policy_rewrite, rig));
	workers_run(rig, udp_socket, 4, OPEN_FEW);
	atomic_store(&rewriting, false);
	expect(!pthread_join(thread, NULL));
}

/* Up to twice as many destinations at a time as the table has room for: entries come, overflow and go, some are probed.
 */
static void udp_through_a_small_table(struct rig *rig)
{
	rig_begin(rig, FIRST_PORT, PORT_COUNT);
	workers_run(rig, udp_socket, MANY_DESTINATIONS, OPEN_MANY);
	expect(rig_counter(rig, VERDICT_PORT_PROBED) > 0);
	expect_equal(rig_ports_entries(rig), 0);
	expect_equal(rig_overflows(rig), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(tcp_to_a_few_destinations),
		RIG_CASE(udp_to_a_few_destinations),
		RIG_CASE(under_a_policy_that_is_rewritten),
		RIG_CASE_SMALL(udp_through_a_small_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
