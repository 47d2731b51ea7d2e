/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a million connections
 *
 * Two threads hold 8,000 TCP connections each. Over and over each closes one of them at random, half of the time with
 * a reset, and opens another to one of 100 destinations at random, until 1,000,000 were opened. The slice has the
 * smallest size, 256 ports, so that most of it is in use towards every destination at any time.
 */
#include "allocator.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/kernel/why.h"

#define CONNECTIONS 1000000u
#define THREADS 2u
#define HELD 8000u
#define ADDRESSES 10u
#define DESTINATIONS (ADDRESSES * ORIGIN_PORTS)
#define PORTS 256u

struct soak;

struct held {
	int fd; /* -1: none */
	unsigned destination;
	uint16_t port;
};

struct hand {
	struct soak *soak;
	uint64_t random;
	struct held held[HELD];
	unsigned succeeded, failed, outside, duplicates;
	int err;
};

struct soak {
	struct rig rig;
	struct origin origin;
	atomic_bool open[DESTINATIONS][PORTS]; /* by this process's own count */
	struct hand hands[THREADS];
};

/* What was its port is free again only once close() is under way, so it is struck off before. */
static void held_close(struct hand *hand, struct held *held)
{
	struct linger reset = {.l_onoff = 1};

	if (held->fd < 0)
		return;
	if (source_is_own(&hand->soak->rig, EGRESS, held->port))
		atomic_store(&hand->soak->open[held->destination][held->port - SLICE_FIRST], false);
	if (random_next(&hand->random) & 1)
		setsockopt(held->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(held->fd);
	held->fd = -1;
}

static void held_note(struct hand *hand, struct held *held)
{
	uint32_t addr;

	hand->succeeded++;
	if (source_of(held->fd, &addr, &held->port) || !source_is_own(&hand->soak->rig, addr, held->port))
		hand->outside++;
	else if (atomic_exchange(&hand->soak->open[held->destination][held->port - SLICE_FIRST], true))
		hand->duplicates++;
}

static int held_open(struct hand *hand, struct held *held)
{
	struct aim aim;

	*held = (struct held){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
			      .destination = (unsigned)(random_next(&hand->random) % DESTINATIONS)};
	if (held->fd < 0)
		return -errno;
	aim = (struct aim){.addr = ORIGIN_NET + 1 + held->destination / ORIGIN_PORTS,
			   .port = (uint16_t)(ORIGIN_PORT_FIRST + held->destination % ORIGIN_PORTS)};
	if (open_plain(held->fd, &aim)) {
		hand->failed++;
		close(held->fd);
		held->fd = -1;
		return 0;
	}
	held_note(hand, held);
	return 0;
}

static void *hand_run(void *argument)
{
	struct hand *hand = argument;

	for (unsigned i = 0; i < HELD; i++)
		hand->held[i].fd = -1;
	for (unsigned i = 0; !hand->err && i < CONNECTIONS / THREADS; i++) {
		struct held *held = &hand->held[random_next(&hand->random) % HELD];

		held_close(hand, held);
		hand->err = held_open(hand, held);
	}
	for (unsigned i = 0; i < HELD; i++)
		held_close(hand, &hand->held[i]);
	return NULL;
}

static int hands_run(struct soak *soak, char **why)
{
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++) {
		soak->hands[i].soak = soak;
		soak->hands[i].random = i;
		if (pthread_create(&threads[i], NULL, hand_run, &soak->hands[i]))
			abort();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (unsigned i = 0; i < THREADS; i++)
		if (soak->hands[i].err)
			return why_say(why, soak->hands[i].err, "no socket: %s", strerror(-soak->hands[i].err));
	return 0;
}

static void soak_report(struct soak *soak, struct result *result)
{
	struct hand sum = {0};

	for (unsigned i = 0; i < THREADS; i++) {
		sum.succeeded += soak->hands[i].succeeded;
		sum.failed += soak->hands[i].failed;
		sum.duplicates += soak->hands[i].duplicates;
		sum.outside += soak->hands[i].outside;
	}
	result_set(result, OURS, sum.succeeded);
	result_extra(result, "failed", sum.failed);
	result_extra(result, "duplicates", sum.duplicates);
	result_extra(result, "outside", sum.outside);
	result_extra(result, "leaked", rig_ports_leaked(&soak->rig));
}

int part_soak(struct bench *bench, char **why)
{
	struct result *result = report_add(bench->report, "soak/1000000", "connections", BETTER_HIGHER, NULL);
	struct soak *soak = calloc(1, sizeof(*soak));
	int err = -ENOMEM;

	if (!result || !soak)
		goto out;
	err = rig_up(&soak->rig, bench, (struct rig_size){.slice_ports = PORTS}, why);
	if (!err)
		err = origin_up(&soak->origin, why);
	if (!err)
		err = rig_take_side(&soak->rig, OURS, why);
	if (!err)
		err = hands_run(soak, why);
	if (!err)
		soak_report(soak, result);
	origin_down(&soak->origin);
	rig_down(&soak->rig);
out:
	free(soak);
	return err;
}
