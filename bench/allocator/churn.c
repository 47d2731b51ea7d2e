/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: connect and close, over and over
 *
 * 20,000 TCP connections to one destination that answers, one after the other, each closed by this side when HELD more
 * were opened: all of them leave a socket in TIME_WAIT on one of 2,048 ports.
 */
#include "allocator.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/kernel/why.h"

#define CONNECTIONS 20000u
/* Open at any time; a port that two of them have would be a duplicate. */
#define HELD 16u

struct held {
	int fd; /* 0: none */
	uint16_t port;
};

struct churn {
	struct rig rig;
	struct origin origin;
	struct held held[HELD];
	unsigned succeeded, failed, outside, duplicates;
};

static void held_close(struct held *held)
{
	if (held->fd)
		close(held->fd);
	*held = (struct held){0};
}

static void churn_note(struct churn *churn, struct held *held)
{
	uint32_t addr = 0;

	churn->succeeded++;
	if (source_of(held->fd, &addr, &held->port) || !source_is_own(&churn->rig, addr, held->port))
		churn->outside++;
	for (unsigned i = 0; i < HELD; i++)
		churn->duplicates += &churn->held[i] != held && churn->held[i].fd && churn->held[i].port == held->port;
}

static int churn_one(struct churn *churn, struct held *held, opener *open)
{
	struct aim aim = {.addr = ORIGIN_NET + 7, .port = ORIGIN_PORT_FIRST};

	held_close(held);
	held->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (held->fd < 0)
		return -errno;
	if (!open(held->fd, &aim)) {
		churn_note(churn, held);
	} else {
		churn->failed++;
		held_close(held);
	}
	return 0;
}

static int churn_run(struct bench *bench, struct churn *churn, struct result *result, enum side side, char **why)
{
	int err = rig_up(&churn->rig, bench, (struct rig_size){.slice_ports = SLICE_PORTS}, why);

	*churn = (struct churn){.rig = churn->rig};
	if (!err)
		err = origin_up(&churn->origin, why);
	if (!err)
		err = rig_take_side(&churn->rig, side, why);
	for (unsigned i = 0; !err && i < CONNECTIONS; i++) {
		err = churn_one(churn, &churn->held[i % HELD], side == OURS ? open_plain : open_range);
		if (err)
			why_say(why, err, "connection %u: %s", i, strerror(-err));
	}
	for (unsigned i = 0; i < HELD; i++)
		held_close(&churn->held[i]);
	result_set(result, side, churn->succeeded);
	if (!err && side == OURS) {
		result_extra(result, "failed", churn->failed);
		result_extra(result, "duplicates", churn->duplicates);
		result_extra(result, "outside", churn->outside);
		result_extra(result, "leaked", rig_ports_leaked(&churn->rig));
	}
	origin_down(&churn->origin);
	rig_down(&churn->rig);
	return err;
}

int part_churn(struct bench *bench, char **why)
{
	struct result *result = report_add(bench->report, "churn/20000", "connections", BETTER_HIGHER, RANGE_NAME);
	struct churn churn = {0};
	int err;

	if (!result)
		return -ENOMEM;
	err = churn_run(bench, &churn, result, OURS, why);
	return err ? err : churn_run(bench, &churn, result, REFERENCE, why);
}
