/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One version takes over from another: what sockets hold is carried over, whatever happens meanwhile. The other version
 * is this one, with another layout's number in its tables. In namespaces and a cgroup of its own.
 */
#include "dataplane.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/in.h>
#include <poll.h>
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
#include "dataplane_private.h"
#include "sandbox.h"
#include "teardown.h"
#include "usage.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define DEST 0xc6336407u /* 198.51.100.7 */
#define SLICE_FIRST 4096u
#define FEW 3u
#define MANY 40u
#define CLAIMS 5u
#define OTHER_LAYOUT (BERTH_LAYOUT_VERSION + 1)

static struct dataplane *dp;
static char *mount_point;
static char top[256], app[300];
static const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = top, .destinations = 256};

/* What an agent does before it attaches; layout: as which version's. */
static void furnish(uint32_t layout)
{
	const struct policy policy = {.slice_count = 1,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 2048}}};
	const struct forwarder_config config = {.server_id = 1};
	const uint32_t key = 0;
	uint64_t cgroup;
	char *why = NULL;
	int fd;

	if (dataplane_open(&options, &dp, &why))
		fail_msg("%s", why);
	assert_int_equal(cgroup_id(app, &cgroup), 0);
	assert_int_equal(dataplane_policy_write(dp, 1, &policy), 0);
	assert_int_equal(dataplane_cgroup_write(dp, cgroup, 1), 0);
	dataplane_config_write(dp, &config);
	fd = bpf_obj_get(dataplane_taking_over(dp) ? BPFFS "/maps-new/config" : BPFFS "/maps/config");
	assert_true(fd >= 0);
	{
		struct forwarder_config written;

		assert_int_equal(bpf_map_lookup_elem(fd, &key, &written), 0);
		written.layout = layout;
		assert_int_equal(bpf_map_update_elem(fd, &key, &written, BPF_ANY), 0);
	}
	close(fd);
}

static void attach(void)
{
	char *why = NULL;

	if (dataplane_allocator_attach(dp, &why))
		fail_msg("%s", why);
}

static int set_up(void **state)
{
	(void)state;
	if (sandbox_enter("ip link set lo up && ip route add local 203.0.113.0/24 dev lo && "
			  "ip route add local 198.51.100.0/24 dev lo"))
		return -1;
	if (!sandbox_ready)
		return 0;
	if (cgroup_mount_point(&mount_point))
		return -1;
	snprintf(top, sizeof(top), "%s/berth-takeover-%d", mount_point, getpid());
	snprintf(app, sizeof(app), "%s/app", top);
	return mkdir(top, 0755) || mkdir(app, 0755) ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(mount_point);
	return sandbox_ready && (rmdir(app) || rmdir(top)) ? -1 : 0;
}

static void take_down(void)
{
	const struct teardown_options down = {.bpffs = BPFFS};
	char *why = NULL;

	dataplane_close(dp);
	if (teardown_run(&down, &why))
		fail_msg("%s", why);
}

/* The descriptor, or -1, and then there is none. */
static int keep_if(int fd, bool right)
{
	int err = errno;

	if (fd < 0 || right)
		return fd;
	close(fd);
	errno = err;
	return -1;
}

static int udp_open(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(DEST)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return keep_if(fd, fd >= 0 && !connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

static int udp_claim(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return keep_if(fd, fd >= 0 && !bind(fd, (struct sockaddr *)&any, sizeof(any)));
}

/* A child under the policy, which does what it is asked for until it is killed. */
static pid_t child_begin(void (*work)(int ready))
{
	int ready[2];
	pid_t child;
	char byte;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) || cgroup_move(app, 0))
			_exit(1);
		work(ready[1]);
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	return child;
}

static void child_end(pid_t child)
{
	int status;

	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void tell(int ready)
{
	if (write(ready, "x", 1) != 1)
		_exit(1);
}

/* Few to one destination, many to another, claims; holds them. */
static void hold_some(int ready)
{
	for (unsigned i = 0; i < MANY + FEW; i++)
		if (udp_open(i < FEW ? 53 : 54) < 0)
			_exit(2);
	for (unsigned i = 0; i < CLAIMS; i++)
		if (udp_claim() < 0)
			_exit(3);
	tell(ready);
	pause();
}

/* Opens and closes for ever; the only failure it takes is that ports are closed. */
static void come_and_go(int ready)
{
	int open[16];

	memset(open, -1, sizeof(open));
	for (unsigned i = 0;; i++) {
		int *fd = &open[i % 16];

		if (*fd >= 0)
			close(*fd);
		*fd = i % 4 ? udp_open((uint16_t)(60 + i % 3)) : udp_claim();
		if (*fd < 0 && errno != EADDRNOTAVAIL && errno != EADDRINUSE) {
			fprintf(stderr, "# %s\n", strerror(errno));
			_exit(2);
		}
		if (i == 100)
			tell(ready);
	}
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

static void ports_count(uint64_t *users, uint64_t *claims)
{
	int fd = bpf_obj_get(BPFFS "/maps/port_uses");
	struct uses_key key, *at = NULL;
	struct port_uses uses;

	*users = *claims = 0;
	assert_true(fd >= 0);
	while (bpf_map_get_next_key(fd, at, &key) == 0) {
		at = &key;
		assert_int_equal(bpf_map_lookup_elem(fd, &key, &uses), 0);
		for (unsigned i = 0; i < PORTS_PER_CHUNK; i++) {
			bool claimed = uses.users[i] == USERS_CLAIMED;

			assert_int_equal(uses.claimed[i / 64] >> i % 64 & 1, claimed);
			*claims += claimed;
			*users += claimed ? 0 : uses.users[i];
		}
	}
	close(fd);
}

static void assert_held(uint64_t open, uint64_t claimed)
{
	uint64_t users = 0, claims = 0;

	/* The kernel ends a socket a while after its last descriptor is closed. */
	for (int i = 0; i < 400 && (connections() != open || claims != claimed); i++) {
		usleep(5000);
		ports_count(&users, &claims);
	}
	ports_count(&users, &claims);
	assert_int_equal(connections(), open);
	assert_int_equal(users, open);
	assert_int_equal(claims, claimed);
}

static uint64_t counter(enum verdict verdict)
{
	uint64_t counters[VERDICT_COUNT];

	assert_int_equal(counters_read(BPFFS, counters, NULL), 0);
	return counters[verdict];
}

static uint32_t pinned_layout(void)
{
	const uint32_t key = 0;
	struct forwarder_config config;
	int fd = bpf_obj_get(BPFFS "/maps/config");

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &config), 0);
	close(fd);
	return config.layout;
}

/* The other version is up, and a child holds ports by it. */
static pid_t begin_with_another(void)
{
	pid_t child;

	furnish(OTHER_LAYOUT);
	assert_false(dataplane_taking_over(dp));
	attach();
	dataplane_close(dp);
	child = child_begin(hold_some);
	assert_held(FEW + MANY, CLAIMS);
	return child;
}

static void what_sockets_hold_is_carried_over(void **state)
{
	pid_t before, after;

	NEED_SANDBOX();
	before = begin_with_another();
	furnish(BERTH_LAYOUT_VERSION);
	assert_true(dataplane_taking_over(dp));
	assert_false(dataplane_adopted(dp));
	/* Until then the other one acts, and counts. */
	after = child_begin(hold_some);
	assert_held(2 * (FEW + MANY), 2 * CLAIMS);
	assert_int_equal(pinned_layout(), OTHER_LAYOUT);
	attach();
	assert_false(dataplane_taking_over(dp));
	assert_int_equal(pinned_layout(), BERTH_LAYOUT_VERSION);
	assert_int_not_equal(access(BPFFS "/maps-new", F_OK), 0);
	assert_held(2 * (FEW + MANY), 2 * CLAIMS);
	assert_int_equal(counter(VERDICT_MENDED), 0);
	/* Opened by one version, closed under the other. */
	child_end(after);
	assert_held(FEW + MANY, CLAIMS);
	child_end(before);
	assert_held(0, 0);
	/* And opened and closed under this one. */
	child_end(child_begin(hold_some));
	assert_held(0, 0);
	take_down();
}

/* There and back, with sockets that come and go all the time. */
static void nothing_is_lost_meanwhile(void **state)
{
	pid_t holding, passing[2];
	char *why = NULL;

	NEED_SANDBOX();
	holding = begin_with_another();
	passing[0] = child_begin(come_and_go);
	passing[1] = child_begin(come_and_go);
	for (unsigned i = 0; i < 5; i++) {
		furnish(i % 2 ? OTHER_LAYOUT : BERTH_LAYOUT_VERSION);
		/* Back: this one's number has become the other's in the pins. */
		if (i % 2) {
			dataplane_close(dp);
			continue;
		}
		assert_int_equal(dataplane_allocator_attach(dp, &why), 0);
		dataplane_close(dp);
		usleep(50000);
		assert_int_equal(waitpid(passing[0], NULL, WNOHANG), 0);
		assert_int_equal(waitpid(passing[1], NULL, WNOHANG), 0);
	}
	child_end(passing[0]);
	child_end(passing[1]);
	assert_held(FEW + MANY, CLAIMS);
	child_end(holding);
	assert_held(0, 0);
	assert_int_equal(dataplane_open(&options, &dp, NULL), 0);
	take_down();
}

/* Its ports stand in our table already, and are given back in the other version's. */
static void what_ends_in_between_is_given_back(void **state)
{
	pid_t living, ending;

	NEED_SANDBOX();
	living = begin_with_another();
	ending = child_begin(hold_some);
	furnish(BERTH_LAYOUT_VERSION);
	assert_int_equal(takeover_begin(dp, NULL), 0);
	child_end(ending);
	assert_held(FEW + MANY, CLAIMS); /* of the other version's maps, which count until the end */
	attach();
	assert_held(FEW + MANY, CLAIMS);
	assert_int_equal(counter(VERDICT_MENDED), FEW + MANY + CLAIMS);
	child_end(living);
	assert_held(0, 0);
	take_down();
}

/* Where the programs are attached, and no policy is. */
static int socket_of_top(void)
{
	int fd;

	assert_int_equal(cgroup_move(top, 0), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(cgroup_move(mount_point, 0), 0);
	assert_true(fd >= 0);
	return fd;
}

static void assert_leaves_as_chosen(int fd)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(DEST)}, from;
	socklen_t size = sizeof(from);

	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&from, &size), 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr), EGRESS);
	close(fd);
}

/* Of a socket that holds nothing yet. */
static void what_was_chosen_is_carried_over(void **state)
{
	int fd;

	NEED_SANDBOX();
	furnish(OTHER_LAYOUT);
	attach();
	fd = socket_of_top();
	assert_int_equal(dataplane_choice_write(dp, fd, 1), 0);
	assert_int_equal(dataplane_choice_write(dp, dp->lock_fd, 1), -ENOTSOCK);
	dataplane_close(dp);
	furnish(BERTH_LAYOUT_VERSION);
	attach();
	assert_leaves_as_chosen(fd);
	take_down();
}

/* Versions before had no choices: with their layout or ours. */
static void a_version_that_knows_no_choice(void **state)
{
	NEED_SANDBOX();
	for (unsigned i = 0; i < 2; i++) {
		int fd = socket_of_top();

		furnish(i ? OTHER_LAYOUT : BERTH_LAYOUT_VERSION);
		attach();
		dataplane_close(dp);
		assert_int_equal(unlink(BPFFS "/maps/choices"), 0);
		furnish(BERTH_LAYOUT_VERSION);
		attach();
		assert_int_equal(dataplane_choice_write(dp, fd, 1), 0);
		assert_int_equal(access(BPFFS "/maps/choices", F_OK), 0);
		assert_leaves_as_chosen(fd);
		take_down();
	}
}

static void a_closed_gate_gives_no_port(void **state)
{
	struct sockaddr_in from;

	NEED_SANDBOX();
	furnish(BERTH_LAYOUT_VERSION);
	attach();
	dataplane_close_gate(dp);
	assert_int_equal(sandbox_connect(app, DEST, &from), EADDRNOTAVAIL);
	assert_int_equal(counter(VERDICT_REFUSED_TAKEOVER), 1);
	dataplane_close(dp);
	/* The next agent opens it, before it has heard of a store. */
	assert_int_equal(dataplane_open(&options, &dp, NULL), 0);
	assert_int_equal(sandbox_connect(app, DEST, &from), 0);
	take_down();
}

static void a_takeover_that_does_not_come_leaves_all_as_it_was(void **state)
{
	pid_t child;

	NEED_SANDBOX();
	child = begin_with_another();
	furnish(BERTH_LAYOUT_VERSION);
	dataplane_close(dp);
	assert_int_equal(pinned_layout(), OTHER_LAYOUT);
	child_end(child_begin(hold_some));
	assert_held(FEW + MANY, CLAIMS);
	child_end(child);
	assert_held(0, 0);
	furnish(BERTH_LAYOUT_VERSION);
	attach();
	take_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_sockets_hold_is_carried_over),
		cmocka_unit_test(nothing_is_lost_meanwhile),
		cmocka_unit_test(what_ends_in_between_is_given_back),
		cmocka_unit_test(what_was_chosen_is_carried_over),
		cmocka_unit_test(a_version_that_knows_no_choice),
		cmocka_unit_test(a_closed_gate_gives_no_port),
		cmocka_unit_test(a_takeover_that_does_not_come_leaves_all_as_it_was),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
