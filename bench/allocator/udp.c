/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: many destinations over few ports
 *
 * 10,000 connected UDP sockets to as many destinations, all open at once, over one slice of 2,048 ports. Ours then
 * opens as many more to the first destination as it has ports left: there a 4-tuple handed out twice would show.
 */
#include "allocator.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/kernel/why.h"

#define DESTINATIONS 10000u
#define PER_ADDRESS 100u
#define SOCKETS (DESTINATIONS + SLICE_PORTS - 1)

struct crowd {
	struct rig rig;
	opener *open;
	int fds[SOCKETS];
	uint64_t tuples[SOCKETS]; /* address, port and source port: the source address is the same */
	unsigned count;
	unsigned failed, outside;
};

static int socket_add(struct crowd *crowd, unsigned destination)
{
	struct aim aim = {.addr = ORIGIN_NET + 1 + destination / PER_ADDRESS,
			  .port = (uint16_t)(ORIGIN_PORT_FIRST + destination % PER_ADDRESS)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint16_t source;
	uint32_t addr;

	if (fd < 0)
		return -errno;
	if (crowd->open(fd, &aim) || source_of(fd, &addr, &source)) {
		crowd->failed++;
		close(fd);
		return 0;
	}
	if (!source_is_own(&crowd->rig, addr, source))
		crowd->outside++;
	crowd->tuples[crowd->count] = (uint64_t)aim.addr << 32 | (uint32_t)aim.port << 16 | source;
	crowd->fds[crowd->count++] = fd;
	return 0;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static unsigned duplicates(struct crowd *crowd)
{
	unsigned found = 0;

	qsort(crowd->tuples, crowd->count, sizeof(crowd->tuples[0]), compare);
	for (unsigned i = 1; i < crowd->count; i++)
		found += crowd->tuples[i] == crowd->tuples[i - 1];
	return found;
}

static void crowd_close(struct crowd *crowd)
{
	for (unsigned i = 0; i < crowd->count; i++)
		close(crowd->fds[i]);
	crowd->count = crowd->failed = crowd->outside = 0;
}

static int crowd_run(struct crowd *crowd, struct result *result, enum side side, char **why)
{
	int err = rig_take_side(&crowd->rig, side, why);

	if (err)
		return err;
	crowd->open = side == OURS ? open_plain : open_range;
	for (unsigned i = 0; !err && i < DESTINATIONS; i++)
		err = socket_add(crowd, i);
	result_set(result, side, crowd->count);
	for (unsigned i = 1; !err && side == OURS && i < SLICE_PORTS; i++)
		err = socket_add(crowd, 0);
	if (err)
		why_say(why, err, "no socket: %s", strerror(-err));
	if (side == OURS) {
		result_extra(result, "failed", crowd->failed);
		result_extra(result, "duplicates", duplicates(crowd));
		result_extra(result, "outside", crowd->outside);
	}
	crowd_close(crowd);
	if (side == OURS)
		result_extra(result, "leaked", rig_ports_leaked(&crowd->rig));
	return err;
}

int part_udp(struct bench *bench, char **why)
{
	struct result *result =
		report_add(bench->report, "udp/10000-destinations", "sockets", BETTER_HIGHER, RANGE_NAME);
	struct crowd *crowd = calloc(1, sizeof(*crowd));
	int err = -ENOMEM;

	if (!result || !crowd)
		goto out;
	err = rig_up(&crowd->rig, bench, (struct rig_size){.slice_ports = SLICE_PORTS}, why);
	if (!err)
		err = crowd_run(crowd, result, OURS, why);
	if (!err)
		err = crowd_run(crowd, result, REFERENCE, why);
	rig_down(&crowd->rig);
out:
	free(crowd);
	return err;
}
