/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what a connection costs in all
 *
 * connect() is not the only call with hooks: socket() finds the policy, close() gives the port back. Here all three are
 * timed as one, with the SYN dropped as in the connect entries.
 */
#include "allocator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/kernel/why.h"

#define ROUNDS 60
#define LIVES 512

struct life {
	struct rig rig;
	struct result *result;
	opener *openers[SIDES];
	bool no_policy; /* our side's rounds too are in "host" */
	uint64_t random;
};

/* Nanoseconds, or -errno. */
static int64_t live(opener *open, const struct aim *aim)
{
	uint64_t start = clock_now();
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	err = open(fd, aim);
	close(fd);
	return err ? err : (int64_t)(clock_now() - start);
}

static int life_round(void *context, enum side side, char **why)
{
	struct life *life = context;
	int err = rig_take_side(&life->rig, side, why);

	if (!err && life->no_policy)
		err = rig_enter(life->rig.host, why);
	for (unsigned i = 0; !err && i < LIVES; i++) {
		uint16_t source = (uint16_t)(SLICE_FIRST + random_next(&life->random) % SLICE_PORTS);
		struct aim aim = {.addr = ORIGIN_DROPPED, .port = ORIGIN_PORT, .source = source};
		int64_t ns = live(life->openers[side], &aim);

		if (ns < 0)
			err = why_say(why, (int)ns, "connection %u: %s", i, strerror((int)-ns));
		else
			series_add(&life->result->sides[side], (uint64_t)ns);
	}
	return err;
}

static int life_run(struct bench *bench, struct life *life, const char *name, const char *reference, char **why)
{
	int err;

	life->result = report_add(bench->report, name, "ns", BETTER_LOWER, reference);
	if (!life->result)
		return -ENOMEM;
	err = rig_up(&life->rig, bench, (struct rig_size){.slice_ports = SLICE_PORTS}, why);
	if (!err)
		err = measure_rounds(&life->result, 1, ROUNDS, life_round, life, why);
	rig_down(&life->rig);
	return err;
}

int part_life(struct bench *bench, char **why)
{
	struct life policy = {.openers = {open_plain, open_explicit}};
	struct life none = {.openers = {open_plain, open_plain}, .no_policy = true};
	int err = life_run(bench, &policy, "life/explicit", "socket + " EXPLICIT_NAME " + close", why);

	return err ? err : life_run(bench, &none, "life/no-policy", NO_HOOKS_NAME, why);
}
