/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agents that are killed while they start, at any system call that changes something, or in the midst of their writes
 * to the tables. The next one must come up, and everything must work, whatever they left. In namespaces and a cgroup
 * of its own.
 */
#include "dataplane.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <time.h>

#include <cmocka.h>

#include "cgroup.h"
#include "sandbox.h"
#include "teardown.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105 /* 203.0.113.5 */
#define PEER 0xc6336401 /* 198.51.100.1 */
#define SLICE_FIRST 4096
/* Where they begin is random, so more runs see more. A round takes seconds: all programs are loaded again and again. */
#ifdef __SANITIZE_ADDRESS__
#define ROUNDS 6
#define TAKEOVER_ROUNDS 3
#else
#define ROUNDS 10
#define TAKEOVER_ROUNDS 6
#endif
#define TABLE_ROUNDS 20

static char cgroup_dir[256];
static uint32_t net0;
static const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = cgroup_dir, .destinations = 256};

static int set_up(void **state)
{
	char *mount_point;

	(void)state;
	if (sandbox_enter("ip link set lo up && ip link add net0 type veth peer name peer && ip link set net0 up && "
			  "ip link set peer up && ip addr add 198.51.100.1/32 dev lo && "
			  "ip route add local 203.0.113.0/24 dev lo"))
		return -1;
	if (!sandbox_ready)
		return 0;
	if (cgroup_mount_point(&mount_point))
		return -1;
	snprintf(cgroup_dir, sizeof(cgroup_dir), "%s/berth-crash-%d", mount_point, (int)getpid());
	free(mount_point);
	net0 = if_nametoindex("net0");
	return cgroup_make(cgroup_dir);
}

static int tear_down(void **state)
{
	(void)state;
	return sandbox_ready ? cgroup_remove(cgroup_dir) : 0;
}

static void take_down(void)
{
	const struct teardown_options down = {.bpffs = BPFFS};
	char *why = NULL;

	if (teardown_run(&down, &why))
		fail_msg("%s", why);
	assert_int_not_equal(access(BPFFS, F_OK), 0);
	assert_int_equal(sandbox_run("tc qdisc show dev net0 | grep -q clsact"), 1);
}

/* The /24 of EGRESS in `columns` of 1 << shift ports from `base` on; all free but the one of SLICE_FIRST. */
static struct tables *tables_make(uint32_t base, uint32_t shift)
{
	struct tables *tables = calloc(1, sizeof(*tables));
	size_t count = 256u * slice_columns(shift);

	if (!tables)
		return NULL;
	tables->slice_count = base + count;
	tables->slices = calloc(tables->slice_count, sizeof(*tables->slices));
	tables->member_count = 9;
	tables->members = calloc(tables->member_count, sizeof(*tables->members));
	tables->directory.multiplier = shift;
	tables->directory.slots[directory_index(shift, EGRESS)] =
		(struct directory_slot){.key = directory_key(EGRESS), .base = base, .shift = shift};
	for (size_t i = base; i < tables->slice_count; i++)
		tables->slices[i] = SLICE_FREE;
	tables->slices[directory_slice(base, shift, EGRESS, SLICE_FIRST)] = SLICE_LOCAL;
	tables->hop_target[3] = HOP_SERVER | 8;
	tables->members[7] = 0xc0000200;
	tables->members[8] = 0xc0000201;
	return tables;
}

static void config_make(struct dataplane *dp)
{
	const struct forwarder_config config = {.server_id = 7,
						.site_id = 1,
						.underlay = htonl(0xc0000200),
						.wrap_port = htons(WRAP_PORT),
						.max_hops = WRAP_HOPS_DEFAULT};

	dataplane_config_write(dp, &config);
}

/* What an agent does when it starts, in its order. 0 or -errno with *why. */
static int agent_start(struct dataplane **ret, char **why)
{
	const struct policy policy = {.slice_count = 1,
				      .mss = 1420,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 2048}}};
	struct tables *tables = tables_make(0, 11);
	struct dataplane *dp = NULL;
	uint64_t cgroup = 0;
	int err = tables ? dataplane_open(&options, &dp, why) : -ENOMEM;

	if (!err)
		err = dataplane_tables_write(dp, tables);
	if (!err) {
		config_make(dp);
		err = dataplane_guard_attach(dp, net0, why);
	}
	if (!err)
		err = dataplane_forwarder_attach(dp, net0, false, why);
	if (!err)
		err = dataplane_policy_write(dp, 1, &policy);
	if (!err)
		err = cgroup_id(cgroup_dir, &cgroup);
	if (!err)
		err = dataplane_cgroup_write(dp, cgroup, 1);
	if (!err)
		err = dataplane_allocator_attach(dp, why);
	tables_free(tables);
	if (err)
		dataplane_close(dp);
	else
		*ret = dp;
	return err;
}

static bool changes_something(uint64_t number)
{
	static const uint64_t numbers[] = {SYS_bpf,        SYS_rename,     SYS_mkdir,    SYS_rmdir,   SYS_unlink,
					   SYS_move_mount, SYS_flock,      SYS_sendto,   SYS_sendmsg, SYS_mmap,
					   SYS_close,      SYS_membarrier, SYS_renameat2};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (numbers[i] == number)
			return true;
	return false;
}

/* True: the child stands before such a call. False: it goes on. */
static bool child_changes(pid_t child)
{
	struct __ptrace_syscall_info info;

	return ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof(info), &info) > 0 &&
	       info.op == PTRACE_SYSCALL_INFO_ENTRY && changes_something(info.entry.nr);
}

/* Starts an agent, and kills it before its call `at` of those that change something. How many it had made. */
static unsigned agent_start_killed(unsigned at)
{
	unsigned calls = 0;
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		struct dataplane *dp;

		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(2);
		raise(SIGSTOP);
		_exit(agent_start(&dp, NULL) ? 1 : 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL), 0);
	while (WIFSTOPPED(status)) {
		if (WSTOPSIG(status) == (SIGTRAP | 0x80) && child_changes(child) && calls++ == at)
			kill(child, SIGKILL);
		ptrace(PTRACE_SYSCALL, child, NULL, NULL);
		assert_int_equal(waitpid(child, &status, 0), child);
	}
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	return calls;
}

/* One of each: a second program on a hook would bind what the first has bound, and be refused. */
static void assert_one_of_each(void)
{
	static const enum bpf_attach_type hooks[] = {BPF_CGROUP_INET4_CONNECT, BPF_CGROUP_INET_SOCK_RELEASE,
						     BPF_CGROUP_INET_EGRESS};
	int fd = open(cgroup_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t program = 0;

	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++) {
		uint32_t programs[8], count = 8;

		assert_int_equal(bpf_prog_query(fd, hooks[i], 0, NULL, programs, &count), 0);
		assert_int_equal(count, 1);
	}
	close(fd);
	assert_int_equal(bpf_xdp_query_id((int)net0, 0, &program), 0);
	assert_int_not_equal(program, 0);
	assert_int_equal(sandbox_run("test $(tc filter show dev net0 egress | grep -c 'handle 0xbe47') = 1"), 0);
}

static void assert_works(void)
{
	struct sockaddr_in from = {0};
	struct dataplane *dp = NULL;
	char *why = NULL;
	int err = agent_start(&dp, &why);

	if (err)
		fail_msg("%d: %s", err, why ? why : strerror(-err));
	assert_one_of_each();
	assert_int_equal(sandbox_connect(cgroup_dir, PEER, &from), 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr), EGRESS);
	assert_in_range(ntohs(from.sin_port), SLICE_FIRST, SLICE_FIRST + 2047);
	dataplane_close(dp);
}

/*
 * Every other agent begins with nothing, every other one with what a whole one left. BERTH_CRASH_STEP=1 in the
 * environment: at every call, not at some.
 */
static void a_start_that_was_cut_short(void **state)
{
	const char *text = getenv("BERTH_CRASH_STEP");
	unsigned calls[2], step, at, round = 0;

	NEED_SANDBOX();
	calls[0] = agent_start_killed(UINT_MAX);
	calls[1] = agent_start_killed(UINT_MAX);
	assert_true(calls[0] > ROUNDS && calls[1] > ROUNDS);
	take_down();
	step = text ? (unsigned)strtoul(text, NULL, 10) : (calls[0] + calls[1]) / ROUNDS;
	srandom((unsigned)time(NULL));
	for (at = text ? 0 : (unsigned)random() % step; at < calls[0] + calls[1]; at += step, round++) {
		bool adopts = at >= calls[0];

		if (adopts)
			assert_works();
		print_message("killed at call %u%s\n", adopts ? at - calls[0] : at, adopts ? ", adopting" : "");
		agent_start_killed(adopts ? at - calls[0] : at);
		assert_works();
		take_down();
	}
	assert_true(round >= ROUNDS - 1);
}

/* From now on the pins are another version's; or this one's again. */
static void layout_set(uint32_t layout)
{
	struct forwarder_config config;
	const uint32_t key = 0;
	int fd = bpf_obj_get(BPFFS "/maps/config");

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &config), 0);
	config.layout = layout;
	assert_int_equal(bpf_map_update_elem(fd, &key, &config, BPF_ANY), 0);
	close(fd);
}

/* A takeover that is killed is finished by the next agent, or undone by one of the version before. */
static void a_takeover_that_was_cut_short(void **state)
{
	const char *text = getenv("BERTH_CRASH_STEP");
	unsigned calls, step, at, round = 0;

	NEED_SANDBOX();
	assert_works();
	layout_set(BERTH_LAYOUT_VERSION + 1);
	calls = agent_start_killed(UINT_MAX);
	assert_true(calls > TAKEOVER_ROUNDS);
	step = text ? (unsigned)strtoul(text, NULL, 10) : calls / TAKEOVER_ROUNDS;
	srandom((unsigned)time(NULL));
	for (at = text ? 0 : (unsigned)random() % step; at < calls; at += step, round++) {
		bool back = round % 2;

		layout_set(BERTH_LAYOUT_VERSION + 1);
		print_message("taking over, killed at call %u%s\n", at, back ? ", and back" : "");
		agent_start_killed(at);
		if (back)
			layout_set(BERTH_LAYOUT_VERSION);
		assert_works();
		assert_int_not_equal(access(BPFFS "/maps-new", F_OK), 0);
	}
	assert_true(round >= TAKEOVER_ROUNDS - 1);
	take_down();
}

/* Writes one set of tables and the other in turn, until it is killed. */
static void tables_write_for_ever(void)
{
	struct tables *tables[] = {tables_make(0, 11), tables_make(16384, 10)};
	struct dataplane *dp;

	if (!tables[0] || !tables[1] || dataplane_open(&options, &dp, NULL))
		_exit(1);
	for (unsigned i = 0;; i++)
		if (dataplane_tables_write(dp, tables[i % 2]))
			_exit(1);
}

/* What the kernel has leads to the right slice, and to no other. */
static void assert_leads_right(const struct tables *tables)
{
	assert_int_equal(tables_lookup(tables, EGRESS, SLICE_FIRST), SLICE_LOCAL);
	assert_int_equal(tables_lookup(tables, EGRESS, SLICE_FIRST + 2048), SLICE_FREE);
	assert_int_equal(tables_lookup(tables, EGRESS - 1, SLICE_FIRST), SLICE_FREE);
	assert_int_equal(tables_lookup(tables, EGRESS + 256, SLICE_FIRST), SLICE_NOT_OURS);
}

static void a_write_that_was_cut_short(void **state)
{
	struct tables *now;
	struct dataplane *dp = NULL;
	char *why = NULL;

	NEED_SANDBOX();
	assert_works();
	srandom((unsigned)time(NULL));
	for (unsigned round = 0; round < TABLE_ROUNDS; round++) {
		const struct timespec wait = {.tv_nsec = 150000000 + random() % 50000000};
		pid_t child = fork();
		int status;

		assert_true(child >= 0);
		if (!child)
			tables_write_for_ever();
		nanosleep(&wait, NULL);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		if (dataplane_open(&options, &dp, &why))
			fail_msg("%s", why);
		assert_int_equal(dataplane_tables_read(dp, &now), 0);
		assert_leads_right(now);
		tables_free(now);
		dataplane_close(dp);
	}
	assert_works();
	take_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_start_that_was_cut_short),
		cmocka_unit_test(a_write_that_was_cut_short),
		cmocka_unit_test(a_takeover_that_was_cut_short),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
