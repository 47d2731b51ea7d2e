/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: what a destination costs
 *
 * One connected UDP socket to each of up to 1,000,000 destinations, all open at once, in as many processes as their
 * descriptors need. The figure is what all the allocator's maps take then, less what they take with room for as
 * few as there can be, by the kernel's own count, for each destination. Socket storage is not in it.
 */
#include "allocator.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/kernel/why.h"
#include "../place.h"

#define DESTINATIONS 1000000u
/* Descriptors of a process that are none of its crowd. */
#define SPARE 64u
#define PROCESSES_MAX 256u
/* A socket, its file, storage and entry take about 3 KB; at most half of what is free is used. */
#define BYTES_EACH 4096u
/* Enough that few sockets share a port: the kernel's bind walks through them. */
#define SLICES POLICY_SLICES_MAX
/* Destinations are on so many addresses, and on as many ports as it takes. */
#define ADDRESSES 120u
#define PORT_FIRST 10000u

struct crowds {
	struct rig rig;
	unsigned wanted, opened;
	unsigned per_process;
	pid_t processes[PROCESSES_MAX];
	unsigned count;
	int hold[2]; /* a process ends when the writing end is closed */
};

/* How many this machine has room for. */
static unsigned destinations_possible(unsigned per_process)
{
	uint64_t most = (uint64_t)per_process * PROCESSES_MAX;
	struct sysinfo info;

	if (sysinfo(&info) == 0) {
		uint64_t fit = (uint64_t)info.freeram * info.mem_unit / 2 / BYTES_EACH;

		most = fit < most ? fit : most;
	}
	return most < DESTINATIONS ? (unsigned)most : DESTINATIONS;
}

static bool destination_open(unsigned index)
{
	struct aim aim = {.addr = ORIGIN_NET + 1 + index % ADDRESSES,
			  .port = (uint16_t)(PORT_FIRST + index / ADDRESSES)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && open_plain(fd, &aim) == 0;
}

/* A process: tells how many it could open, and holds them. */
static void crowd_hold(const struct crowds *crowds, int answer)
{
	unsigned opened = 0;
	char byte;

	close(crowds->hold[1]);
	for (unsigned i = 0; i < crowds->per_process && crowds->opened + i < crowds->wanted; i++)
		opened += destination_open(crowds->opened + i);
	if (write(answer, &opened, sizeof(opened)) == sizeof(opened))
		while (read(crowds->hold[0], &byte, 1) < 0)
			;
	_exit(EXIT_SUCCESS);
}

static int crowd_start(struct crowds *crowds)
{
	unsigned opened = 0;
	int answer[2], err = 0;
	pid_t child;

	if (pipe2(answer, O_CLOEXEC) < 0)
		return -errno;
	child = child_fork();
	if (child == 0)
		crowd_hold(crowds, answer[1]);
	if (child > 0)
		crowds->processes[crowds->count++] = child;
	else
		err = -errno;
	close(answer[1]);
	if (!err && read(answer[0], &opened, sizeof(opened)) != sizeof(opened))
		err = -EIO;
	close(answer[0]);
	crowds->opened += opened;
	return err ? err : opened ? 0 : -ENOBUFS;
}

static void crowds_end(struct crowds *crowds)
{
	close(crowds->hold[1]);
	for (unsigned i = 0; i < crowds->count; i++)
		waitpid(crowds->processes[i], NULL, 0);
	close(crowds->hold[0]);
}

static int crowds_run(struct crowds *crowds, char **why)
{
	int err = pipe2(crowds->hold, O_CLOEXEC) < 0 ? -errno : rig_take_side(&crowds->rig, OURS, why);

	while (!err && crowds->opened < crowds->wanted && crowds->count < PROCESSES_MAX) {
		err = crowd_start(crowds);
		if (err)
			why_say(why, err, "after %u destinations: %s", crowds->opened, strerror(-err));
	}
	return err;
}

/* Gives namespaces made from here on the largest table of UDP sockets there is; kernels before 6.2 have none to give.
 */
static int udp_table_widen(char **why)
{
	int err = netns_enter_new(why);

	if (!err && system("sysctl -qew net.ipv4.udp_child_hash_entries=65536") != 0)
		err = why_say(why, -EIO, "sysctl failed");
	return err;
}

/* Bytes of the maps with room for as few destinations as there can be. */
static int memory_floor(struct bench *bench, uint64_t *ret, char **why)
{
	struct rig rig = {0};
	int err = rig_up(&rig, bench, (struct rig_size){.table = DESTINATIONS_MIN, .slice_ports = SLICE_PORTS}, why);

	if (!err)
		*ret = rig_memory(&rig);
	rig_down(&rig);
	return err;
}

static int memory_measure(struct bench *bench, struct crowds *crowds, struct result *result, uint64_t least, char **why)
{
	struct rig_size size = {.table = crowds->wanted, .slice_ports = SLICE_PORTS, .slices = SLICES};
	int err = rig_up(&crowds->rig, bench, size, why);

	if (!err)
		err = crowds_run(crowds, why);
	if (!err) {
		result_set(result, OURS, (rig_memory(&crowds->rig) - least) / crowds->opened);
		result_extra(result, "destinations", crowds->opened);
		result_extra(result, "probed", rig_probes(&crowds->rig));
	}
	crowds_end(crowds);
	if (!err)
		result_extra(result, "leaked", rig_ports_leaked(&crowds->rig));
	rig_down(&crowds->rig);
	return err;
}

int part_memory(struct bench *bench, char **why)
{
	struct result *result = report_add(bench->report, "destination-bytes", "bytes", BETTER_LOWER, NULL);
	struct crowds crowds = {.hold = {-1, -1}};
	struct rlimit files;
	uint64_t least = 0;
	int err;

	if (!result)
		return -ENOMEM;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur < 2 * SPARE)
		return why_say(why, -EMFILE, "the limit of open files is too low");
	crowds.per_process = files.rlim_cur > DESTINATIONS ? DESTINATIONS : (unsigned)files.rlim_cur - SPARE;
	crowds.wanted = destinations_possible(crowds.per_process);
	err = memory_floor(bench, &least, why);
	if (!err)
		err = udp_table_widen(why);
	return err ? err : memory_measure(bench, &crowds, result, least, why);
}
