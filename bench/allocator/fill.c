/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what connect() costs
 *
 * A round opens non-blocking TCP connections to one destination, where the SYN is dropped at the device: what is left
 * is the choice of a port and the kernel's own part of connect(). What is timed of ours is connect() under all hooks;
 * of a reference every call that it takes beside socket(). How full the slice is counts at the start of the call.
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

#define ROUNDS 60
/* Of these one is the calling thread. */
#define THREADS_MAX 2
/* Calls a round on a slice that is full. */
#define FULL_CALLS 64
/* Connections a round where the slice is to stay half empty. */
#define HALF (SLICE_PORTS / 2)

struct sample {
	uint32_t level; /* connections open when it began */
	uint64_t ns;
};

struct fill;

struct worker {
	struct fill *fill;
	opener *open;
	int fds[SLICE_PORTS];
	struct sample samples[SLICE_PORTS];
	size_t count;
	int err;
};

/* An entry by how full the slice is, in thousandths: [from, to). */
struct level {
	const char *name;
	unsigned from, to;
};

#define LEVELS_MAX 3

/* What a part asks for. */
struct plan {
	unsigned threads;
	unsigned limit; /* connections a round */
	opener *openers[SIDES];
	const char *reference;
	bool no_policy; /* our side's rounds too are in "host" */
	bool empty; /* and have empty programs attached, not the allocator */
	struct level levels[LEVELS_MAX]; /* ends with one without a name */
	const char *full; /* entry of the full slice; NULL: not asked for */
};

struct fill {
	const struct plan *plan;
	struct rig rig;
	struct empty empty;
	struct result *results[LEVELS_MAX + 1]; /* in the order of the levels, the full slice last */
	size_t result_count;
	uint16_t ports[SLICE_PORTS]; /* of the slice, shuffled */
	atomic_uint opened;
	pthread_barrier_t start;
	struct worker workers[THREADS_MAX];
};

static int open_one(struct worker *worker, unsigned level)
{
	struct fill *fill = worker->fill;
	struct aim aim = {.addr = ORIGIN_DROPPED, .port = ORIGIN_PORT, .source = fill->ports[level]};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
	uint64_t start;

	if (fd < 0)
		return -errno;
	start = clock_now();
	err = worker->open(fd, &aim);
	if (err) {
		close(fd);
		return err;
	}
	worker->samples[worker->count] = (struct sample){.level = level, .ns = clock_now() - start};
	worker->fds[worker->count++] = fd;
	return 0;
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	struct fill *fill = worker->fill;

	worker->count = 0;
	pthread_barrier_wait(&fill->start);
	for (;;) {
		unsigned level = atomic_load(&fill->opened);

		worker->err = level < fill->plan->limit ? open_one(worker, level) : 0;
		if (worker->err || level >= fill->plan->limit)
			return NULL;
		atomic_fetch_add(&fill->opened, 1);
	}
}

/* Opens as many as the plan says, or until none is to be had; one thread is the caller. */
static int workers_run(struct fill *fill, enum side side)
{
	unsigned count = fill->plan->threads;
	pthread_t threads[THREADS_MAX];
	int err = 0;

	pthread_barrier_init(&fill->start, NULL, count);
	atomic_store(&fill->opened, 0);
	for (unsigned i = 0; i < count; i++) {
		fill->workers[i].fill = fill;
		fill->workers[i].open = fill->plan->openers[side];
	}
	for (unsigned i = 1; i < count; i++)
		if (pthread_create(&threads[i], NULL, worker_run, &fill->workers[i]))
			abort(); /* the others would wait forever */
	worker_run(&fill->workers[0]);
	for (unsigned i = 1; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&fill->start);
	for (unsigned i = 0; i < count; i++)
		if (fill->workers[i].err && fill->workers[i].err != -EADDRNOTAVAIL)
			err = fill->workers[i].err;
	return err;
}

static void sample_sort(struct fill *fill, enum side side, const struct sample *sample)
{
	const struct level *levels = fill->plan->levels;
	unsigned share = sample->level * 1000 / SLICE_PORTS;

	for (size_t i = 0; i < LEVELS_MAX && levels[i].name; i++)
		if (share >= levels[i].from && share < levels[i].to)
			series_add(&fill->results[i]->sides[side], sample->ns);
}

static int full_measure(struct fill *fill, enum side side, char **why)
{
	struct aim aim = {.addr = ORIGIN_DROPPED, .port = ORIGIN_PORT};
	struct result *result = fill->results[fill->result_count - 1];

	for (unsigned i = 0; i < FULL_CALLS; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;
		uint64_t start = clock_now(), ns;

		err = fd < 0 ? -errno : fill->plan->openers[side](fd, &aim);
		ns = clock_now() - start;
		if (fd >= 0)
			close(fd);
		if (err != -EADDRNOTAVAIL)
			return why_say(why, err ? err : -EPROTO, "a full slice answered: %s", strerror(-err));
		series_add(&result->sides[side], ns);
	}
	return 0;
}

/* Sorts the samples in, and closes the connections. */
static void workers_empty(struct fill *fill, enum side side)
{
	for (unsigned i = 0; i < fill->plan->threads; i++) {
		struct worker *worker = &fill->workers[i];

		for (size_t s = 0; s < worker->count; s++) {
			sample_sort(fill, side, &worker->samples[s]);
			close(worker->fds[s]);
		}
		worker->count = 0;
	}
}

static int side_take(struct fill *fill, enum side side, char **why)
{
	int err;

	empty_detach(&fill->empty);
	err = rig_take_side(&fill->rig, fill->plan->empty ? REFERENCE : side, why);
	if (!err && fill->plan->empty && side == OURS)
		err = empty_attach(&fill->empty, &fill->rig, why);
	return err || !fill->plan->no_policy ? err : rig_enter(fill->rig.host, why);
}

static int fill_round(void *context, enum side side, char **why)
{
	struct fill *fill = context;
	int err = side_take(fill, side, why);
	unsigned opened;

	if (err)
		return err;
	err = workers_run(fill, side);
	opened = atomic_load(&fill->opened);
	if (err)
		why_say(why, err, "connection %u: %s", opened, strerror(-err));
	else if (opened != fill->plan->limit)
		err = why_say(why, -EADDRNOTAVAIL, "%s got no port after %u of %u connections",
			      side == OURS ? "the allocator" : "the reference", opened, fill->plan->limit);
	if (!err && fill->plan->full)
		err = full_measure(fill, side, why);
	workers_empty(fill, side);
	return err;
}

static void ports_shuffle(struct fill *fill)
{
	uint64_t state = 1;

	for (unsigned i = 0; i < SLICE_PORTS; i++) {
		unsigned other = (unsigned)(random_next(&state) % (i + 1));

		fill->ports[i] = fill->ports[other];
		fill->ports[other] = (uint16_t)(SLICE_FIRST + i);
	}
}

static int entry_add(struct fill *fill, struct bench *bench, const char *name)
{
	struct result *result = report_add(bench->report, name, "ns", BETTER_LOWER, fill->plan->reference);

	if (!result)
		return -ENOMEM;
	fill->results[fill->result_count++] = result;
	return 0;
}

static int entries_add(struct fill *fill, struct bench *bench)
{
	const struct plan *plan = fill->plan;
	int err = 0;

	for (size_t i = 0; !err && i < LEVELS_MAX && plan->levels[i].name; i++)
		err = entry_add(fill, bench, plan->levels[i].name);
	return err || !plan->full ? err : entry_add(fill, bench, plan->full);
}

static int fill_run(struct bench *bench, const struct plan *plan, char **why)
{
	struct fill *fill = calloc(1, sizeof(*fill));
	int err;

	if (!fill)
		return -ENOMEM;
	fill->plan = plan;
	ports_shuffle(fill);
	err = entries_add(fill, bench);
	if (!err)
		err = rig_up(&fill->rig, bench, (struct rig_size){.slice_ports = SLICE_PORTS}, why);
	if (!err)
		err = measure_rounds(fill->results, fill->result_count, ROUNDS, fill_round, fill, why);
	empty_detach(&fill->empty);
	rig_down(&fill->rig);
	free(fill);
	return err;
}

int part_connect_1t(struct bench *bench, char **why)
{
	static const struct plan plan = {
		.threads = 1,
		.limit = SLICE_PORTS,
		.openers = {open_plain, open_range},
		.reference = RANGE_NAME,
		.levels = {{"connect/1t/0-50", 0, 500},
			   {"connect/1t/90-99", 900, 990},
			   {"connect/1t/99-100", 990, 1000}},
		.full = "connect/full",
	};

	return fill_run(bench, &plan, why);
}

int part_connect_2t(struct bench *bench, char **why)
{
	static const struct plan plan = {
		.threads = 2,
		.limit = SLICE_PORTS,
		.openers = {open_plain, open_range},
		.reference = RANGE_NAME,
		.levels = {{"connect/2t/0-50", 0, 500},
			   {"connect/2t/90-99", 900, 990},
			   {"connect/2t/99-100", 990, 1000}},
	};

	return fill_run(bench, &plan, why);
}

int part_connect_explicit(struct bench *bench, char **why)
{
	static const struct plan plan = {
		.threads = 1,
		.limit = HALF,
		.openers = {open_plain, open_explicit},
		.reference = EXPLICIT_NAME,
		.levels = {{"connect/1t/explicit", 0, 1000}},
	};

	return fill_run(bench, &plan, why);
}

int part_connect_no_policy(struct bench *bench, char **why)
{
	static const struct plan plan = {
		.threads = 1,
		.limit = HALF,
		.openers = {open_plain, open_plain},
		.reference = NO_HOOKS_NAME,
		.no_policy = true,
		.levels = {{"connect/no-policy", 0, 1000}},
	};

	return fill_run(bench, &plan, why);
}

/* What is left of "no-policy" when the programs do nothing. */
int part_connect_empty_hooks(struct bench *bench, char **why)
{
	static const struct plan plan = {
		.threads = 1,
		.limit = HALF,
		.openers = {open_plain, open_plain},
		.reference = NO_HOOKS_NAME,
		.no_policy = true,
		.empty = true,
		.levels = {{"connect/empty-hooks", 0, 1000}},
	};

	return fill_run(bench, &plan, why);
}
