/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that were lost are found again, and no others, in namespaces of its own. */
#include "scrub.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "../abi/verdict.h"
#include "../core/portuse.h"
#include "counters.h"
#include "sandbox.h"
#include "teardown.h"
#include "usage.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define DEST 0xc6336407u /* 198.51.100.7 */
#define SLICE_FIRST 4096u
#define MANY 40u

static struct dataplane *dp;
static char *mount_point;
static char top[256], app[300];

/* destinations: as many have an entry in the table, those of further ones are probed; 0: all have. */
static int policy_make(uint32_t destinations)
{
	const struct policy policy = {.slice_count = 1,
				      .destinations = destinations,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 2048}}};

	return dataplane_policy_write(dp, 1, &policy);
}

static int furnish(void)
{
	const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = top};
	uint64_t cgroup;

	if (cgroup_mount_point(&mount_point))
		return -1;
	snprintf(top, sizeof(top), "%s/berth-scrub-%d", mount_point, getpid());
	snprintf(app, sizeof(app), "%s/app", top);
	if (mkdir(top, 0755) || mkdir(app, 0755) || cgroup_id(app, &cgroup) || dataplane_open(&options, &dp, NULL))
		return -1;
	return policy_make(0) || dataplane_cgroup_write(dp, cgroup, 1) || dataplane_allocator_attach(dp, NULL) ? -1 : 0;
}

static int set_up(void **state)
{
	(void)state;
	if (sandbox_enter("ip link set lo up && ip route add local 203.0.113.0/24 dev lo && "
			  "ip route add local 198.51.100.0/24 dev lo"))
		return -1;
	return sandbox_ready ? furnish() : 0;
}

static int tear_down(void **state)
{
	const struct teardown_options down = {.bpffs = BPFFS};

	(void)state;
	if (!sandbox_ready)
		return 0;
	dataplane_close(dp);
	free(mount_point);
	return teardown_run(&down, NULL) || rmdir(app) || rmdir(top) ? -1 : 0;
}

/* A child under the policy with so many connected UDP sockets to one port; it ends when it is told to. */
static pid_t crowd(unsigned count, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(DEST)};
	int ready[2];
	pid_t child;
	char byte = 0;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		/* Nor does it outlive a test that fails. */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || cgroup_move(app, 0))
			_exit(1);
		for (unsigned i = 0; i < count; i++)
			if (connect(socket(AF_INET, SOCK_DGRAM, 0), (struct sockaddr *)&to, sizeof(to)))
				_exit(1);
		if (write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void crowd_end(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
}

static uint64_t connections(void)
{
	struct use use;
	uint64_t count;

	assert_int_equal(usage_read(BPFFS, 1, &use, NULL), 0);
	count = use.connections;
	use_clear(&use);
	return count;
}

/* What the ports' own counters say. */
static uint64_t users(void)
{
	int fd = bpf_obj_get(BPFFS "/maps/port_uses");
	struct uses_key key, *at = NULL;
	struct port_uses uses;
	uint64_t sum = 0;

	assert_true(fd >= 0);
	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &uses), 0);
		for (unsigned i = 0; i < PORTS_PER_CHUNK; i++)
			sum += uses.users[i];
	}
	close(fd);
	return sum;
}

static uint64_t mended_counter(void)
{
	uint64_t counters[VERDICT_COUNT];

	assert_int_equal(counters_read(BPFFS, counters, NULL), 0);
	return counters[VERDICT_MENDED];
}

static size_t pass(struct scrub *scrub)
{
	size_t mended = SIZE_MAX;

	assert_int_equal(scrub_pass(scrub, &mended), 0);
	return mended;
}

/* Detached, the programs do not see sockets end: their ports are lost, those of sockets that live are not. */
static void lost_ports_are_given_back(void **state)
{
	size_t mended = 0;
	pid_t lost, few, living;
	struct scrub *scrub;

	NEED_SANDBOX();
	assert_int_equal(scrub_open(dp, &scrub), 0);
	lost = crowd(MANY, 53);
	few = crowd(3, 54);
	living = crowd(MANY / 2, 53);
	assert_int_equal(dataplane_allocator_detach(dp, NULL), 0);
	crowd_end(lost);
	crowd_end(few);
	assert_int_equal(dataplane_allocator_attach(dp, NULL), 0);
	assert_int_equal(connections(), MANY + 3 + MANY / 2);
	assert_int_equal(pass(scrub), 0); /* what a pass finds, a second one has to find again */
	assert_int_equal(connections(), MANY + 3 + MANY / 2);
	/* The kernel frees a socket's storage a while after the socket is closed: until then it counts as living. */
	for (int i = 0; i < 1000 && mended < MANY + 3; i++) {
		mended += pass(scrub);
		usleep(5000);
	}
	assert_int_equal(mended, MANY + 3);
	assert_int_equal(connections(), MANY / 2);
	assert_int_equal(users(), MANY / 2);
	assert_int_equal(mended_counter(), MANY + 3);
	assert_int_equal(pass(scrub), 0);
	crowd_end(living);
	for (int i = 0; i < 1000 && connections(); i++)
		usleep(5000);
	assert_int_equal(connections(), 0);
	scrub_close(scrub);
}

static uint64_t probed(void)
{
	struct use use;
	uint64_t count;

	assert_int_equal(usage_read(BPFFS, 1, &use, NULL), 0);
	count = use.probed;
	use_clear(&use);
	return count;
}

/* So are those beside the table. */
static void lost_probes_are_given_back(void **state)
{
	pid_t lost, living;
	size_t mended = 0;
	uint64_t before;
	struct scrub *scrub;

	NEED_SANDBOX();
	before = mended_counter();
	assert_int_equal(policy_make(1), 0);
	assert_int_equal(scrub_open(dp, &scrub), 0);
	living = crowd(3, 53);
	lost = crowd(MANY, 54);
	assert_int_equal(probed(), MANY);
	crowd_end(living);
	living = crowd(5, 55);
	assert_int_equal(pass(scrub), 0);
	assert_int_equal(pass(scrub), 0);
	assert_int_equal(dataplane_allocator_detach(dp, NULL), 0);
	crowd_end(lost);
	assert_int_equal(dataplane_allocator_attach(dp, NULL), 0);
	for (int i = 0; i < 1000 && mended < MANY; i++) {
		mended += pass(scrub);
		usleep(5000);
	}
	assert_int_equal(mended, MANY);
	assert_int_equal(mended_counter(), before + MANY);
	assert_int_equal(probed() + connections(), 5);
	assert_int_equal(pass(scrub), 0);
	crowd_end(living);
	for (int i = 0; i < 1000 && probed() + connections(); i++)
		usleep(5000);
	assert_int_equal(probed() + connections(), 0);
	assert_int_equal(policy_make(0), 0);
	scrub_close(scrub);
}

/* Sockets that come and go, are connected or bound, lose nothing. */
static void living_sockets_lose_nothing(void **state)
{
	uint64_t before;
	struct scrub *scrub;
	pid_t living;

	NEED_SANDBOX();
	before = mended_counter();
	assert_int_equal(scrub_open(dp, &scrub), 0);
	living = crowd(MANY, 53);
	for (int i = 0; i < 20; i++) {
		pid_t passing = crowd(MANY, (uint16_t)(60 + i));

		assert_int_equal(pass(scrub), 0);
		crowd_end(passing);
	}
	assert_int_equal(pass(scrub), 0);
	assert_int_equal(mended_counter(), before);
	for (int i = 0; i < 1000 && connections() != MANY; i++)
		usleep(5000);
	assert_int_equal(connections(), MANY);
	crowd_end(living);
	scrub_close(scrub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lost_ports_are_given_back),
		cmocka_unit_test(lost_probes_are_given_back),
		cmocka_unit_test(living_sockets_lose_nothing),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
