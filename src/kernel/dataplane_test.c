/* SPDX-License-Identifier: Apache-2.0 */
/* In namespaces and a cgroup of its own: the real programs on a veth pair net0-peer. */
#include "dataplane.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cgroup.h"
#include "counters.h"
#include "dataplane_private.h"
#include "rtnl.h"
#include "sandbox.h"
#include "teardown.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105 /* 203.0.113.5 */
#define SLICE_FIRST 4096

static char cgroup_dir[256];
static uint32_t net0;

static int set_up(void **state)
{
	char *mount_point;

	(void)state;
	if (sandbox_enter("ip link set lo up && ip link add net0 type veth peer name peer && "
			  "ip addr add 192.0.2.0/31 dev net0 && ip link set net0 up && ip link set peer up && "
			  "ip addr add 198.51.100.1/32 dev lo"))
		return -1;
	if (!sandbox_ready)
		return 0;
	if (cgroup_mount_point(&mount_point))
		return -1;
	snprintf(cgroup_dir, sizeof(cgroup_dir), "%s/berth-test-%d", mount_point, (int)getpid());
	free(mount_point);
	net0 = if_nametoindex("net0");
	return cgroup_make(cgroup_dir);
}

static int tear_down(void **state)
{
	(void)state;
	return sandbox_ready ? cgroup_remove(cgroup_dir) : 0;
}

static const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = cgroup_dir, .destinations = 256};

static struct dataplane *open_one(void)
{
	struct dataplane *dp = NULL;
	char *why = NULL;
	int err = dataplane_open(&options, &dp, &why);

	if (err)
		fail_msg("%d: %s", err, why);
	return dp;
}

static void done(int err, char *why)
{
	if (err)
		fail_msg("%d: %s", err, why ? why : strerror(-err));
}

#define DONE(call) \
	do { \
		char *why = NULL; \
		int err = (call); \
		done(err, why); \
	} while (0)

/* Every test begins and ends without a data plane. */
static int clear(void **state)
{
	const struct teardown_options down = {.bpffs = BPFFS};
	char *why = NULL;

	(void)state;
	if (!sandbox_ready)
		return 0;
	if (teardown_run(&down, &why)) {
		print_error("%s\n", why);
		free(why);
		return -1;
	}
	/* What we mounted is unmounted, and its mount point gone. */
	return access(BPFFS, F_OK) == 0 ? -1 : 0;
}

static int pinned(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), BPFFS "/%s", name);
	return access(path, F_OK) == 0;
}

static void make_config(struct dataplane *dp)
{
	const struct forwarder_config config = {.server_id = 7,
						.site_id = 1,
						.underlay = htonl(0xc0000200),
						.wrap_port = htons(WRAP_PORT),
						.max_hops = WRAP_HOPS_DEFAULT};

	dataplane_config_write(dp, &config);
}

static void makes_and_pins(void **state)
{
	static const char *const maps[] = {
		"config",     "directories",     "slices",       "hops",        "members",  "counters",
		"port_table", "cgroup_policies", "cgroup_paths", "policies",    "excepts",  "serves",
		"sockets",    "port_buckets",    "port_bitmaps", "port_probes", "fragments"};
	struct dataplane *dp, *second = NULL;
	char *why = NULL;

	NEED_SANDBOX();
	dp = open_one();
	assert_false(dataplane_adopted(dp));
	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		char name[64];

		snprintf(name, sizeof(name), "maps/%s", maps[i]);
		if (!pinned(name))
			fail_msg("%s is not pinned", name);
	}
	assert_false(pinned("maps-new"));
	assert_int_equal(dataplane_open(&options, &second, &why), -EBUSY);
	assert_null(second);
	assert_non_null(strstr(why, "another agent"));
	free(why);
	dataplane_close(dp);
}

/* An agent that ended before it wrote the tables leaves nothing worth adopting. */
static void replaces_unwritten_maps(void **state)
{
	struct dataplane *dp;

	NEED_SANDBOX();
	dataplane_close(open_one());
	assert_int_equal(mkdir(BPFFS "/maps-new", 0700), 0); /* nor does one that ended while it made them */
	dp = open_one();
	assert_false(dataplane_adopted(dp));
	dataplane_close(dp);
}

static void refuses_another_layout(void **state)
{
	struct dataplane *dp = NULL;
	struct forwarder_config config;
	char *why = NULL;
	uint32_t key = 0;
	int fd;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	dataplane_close(dp);
	fd = bpf_obj_get(BPFFS "/maps/config");
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &config), 0);
	assert_int_equal(config.layout, BERTH_LAYOUT_VERSION);
	config.layout = BERTH_LAYOUT_TAKEOVER - 1;
	assert_int_equal(bpf_map_update_elem(fd, &key, &config, BPF_ANY), 0);
	close(fd);
	dp = NULL;
	assert_int_equal(dataplane_open(&options, &dp, &why), -ENOTSUP);
	assert_null(dp);
	assert_non_null(strstr(why, "layout"));
	free(why);
	assert_true(pinned("maps/config"));
}

static struct tables *make_tables(void)
{
	struct tables *tables = calloc(1, sizeof(*tables));

	assert_non_null(tables);
	tables->slice_count = 8192;
	tables->slices = calloc(tables->slice_count, sizeof(*tables->slices));
	tables->member_count = 9;
	tables->members = calloc(tables->member_count, sizeof(*tables->members));
	tables->directory.multiplier = 1;
	tables->directory.slots[directory_index(1, EGRESS)] =
		(struct directory_slot){.key = directory_key(EGRESS), .base = 0, .shift = 11};
	for (uint32_t i = 0; i < tables->slice_count; i++)
		tables->slices[i] = SLICE_FREE;
	tables->slices[directory_slice(0, 11, EGRESS, SLICE_FIRST)] = SLICE_LOCAL;
	tables->slices[8191] = SLICE_HOP + 3;
	tables->hop_target[3] = HOP_SERVER | 8;
	tables->members[7] = 0xc0000200;
	tables->members[8] = 0xc0000201;
	return tables;
}

static void assert_tables(struct dataplane *dp, const struct tables *expected)
{
	struct tables *now;

	assert_int_equal(dataplane_tables_read(dp, &now), 0);
	assert_memory_equal(&now->directory, &expected->directory, sizeof(now->directory));
	assert_memory_equal(now->hop_target, expected->hop_target, sizeof(now->hop_target));
	assert_int_equal(now->slice_count, expected->slice_count);
	assert_memory_equal(now->slices, expected->slices, now->slice_count * sizeof(*now->slices));
	assert_int_equal(now->member_count, expected->member_count);
	assert_memory_equal(now->members, expected->members, now->member_count * sizeof(*now->members));
	tables_free(now);
}

static void tables_outlive_their_agent(void **state)
{
	struct tables *tables;
	struct dataplane *dp;

	NEED_SANDBOX();
	tables = make_tables();
	dp = open_one();
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	make_config(dp);
	assert_tables(dp, tables);
	dataplane_close(dp);
	dp = open_one();
	assert_true(dataplane_adopted(dp));
	assert_tables(dp, tables);

	/* here and there one that comes or goes */
	tables->slices[0] = tables->slices[5000] = SLICE_NOT_OURS;
	tables->slices[1023] = tables->slices[1024] = SLICE_HOP + 3;
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	assert_tables(dp, tables);

	/* fewer of everything */
	tables->slices[8191] = SLICE_NOT_OURS;
	tables->slice_count = 8191;
	tables->hop_target[3] = 0;
	tables->member_count = 8;
	memset(&tables->directory, 0, sizeof(tables->directory));
	tables->directory.multiplier = 3;
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	dataplane_close(dp);
	dp = open_one();
	assert_tables(dp, tables);
	dataplane_close(dp);
	tables_free(tables);
}

/* The whole value of a table, as the programs see it; the caller frees. */
static void *table_read(const char *name, size_t size)
{
	void *value = malloc(size);
	char path[256];
	uint32_t key = 0;
	int fd;

	snprintf(path, sizeof(path), BPFFS "/maps/%s", name);
	fd = bpf_obj_get(path);
	assert_true(value && fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, value), 0);
	close(fd);
	return value;
}

/* A reader that began before a change goes on with the copy that it found: only the other one was written. */
static void a_change_leaves_the_old_copy(void **state)
{
	struct directories *before, *after;
	struct hop_wrap first, second;
	struct tables *tables;
	struct dataplane *dp;
	struct hops *hops;

	NEED_SANDBOX();
	tables = make_tables();
	dp = open_one();
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	before = table_read("directories", sizeof(*before));
	tables->directory.multiplier = 5;
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	after = table_read("directories", sizeof(*after));
	assert_int_equal(after->live, !before->live);
	assert_int_equal(after->copy[after->live].multiplier, 5);
	assert_memory_equal(&after->copy[before->live], &before->copy[before->live], sizeof(struct directory));
	/* Slice entries were removed behind it: nobody may have been reading the old copy then. */
	assert_false(dp->directory_flipped);

	memset(&first, 1, sizeof(first));
	memset(&second, 2, sizeof(second));
	assert_int_equal(dataplane_hop_write(dp, 3, &first), 0);
	assert_int_equal(dataplane_hop_write(dp, 3, &second), 0);
	hops = table_read("hops", sizeof(*hops));
	assert_memory_equal(&hops->wrap[3][hops->live[3]], &second, sizeof(second));
	assert_memory_equal(&hops->wrap[3][!hops->live[3]], &first, sizeof(first));
	free(hops);
	free(before);
	free(after);
	dataplane_close(dp);
	tables_free(tables);
}

static void a_hop_keeps_its_wrap_with_its_target(void **state)
{
	struct hop_wrap wrap, now, none = {0};
	struct tables *tables;
	struct dataplane *dp;

	NEED_SANDBOX();
	tables = make_tables();
	dp = open_one();
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	for (uint32_t i = 1; i < 5; i++) {
		memset(&wrap, (int)i, sizeof(wrap));
		assert_int_equal(dataplane_hop_write(dp, 3, &wrap), 0);
		assert_int_equal(dataplane_hop_read(dp, 3, &now), 0);
		assert_memory_equal(&now, &wrap, sizeof(now));
	}
	assert_int_equal(dataplane_hop_write(dp, HOPS_MAX, &wrap), -ERANGE);
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	assert_int_equal(dataplane_hop_read(dp, 3, &now), 0);
	assert_memory_equal(&now, &wrap, sizeof(now)); /* the same target keeps its wrap */
	tables->hop_target[3] = HOP_SERVER | 7;
	assert_int_equal(dataplane_tables_write(dp, tables), 0);
	assert_int_equal(dataplane_hop_read(dp, 3, &now), 0);
	assert_memory_equal(&now, &none, sizeof(now)); /* another one must not get packets by the old way */
	dataplane_close(dp);
	tables_free(tables);
}

static uint32_t link_id(const char *name)
{
	struct bpf_link_info info = {0};
	uint32_t size = sizeof(info);
	char path[256];
	int fd;

	snprintf(path, sizeof(path), BPFFS "/links/%s", name);
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		fail_msg("%s: %s", path, strerror(errno));
	close(fd);
	return info.id;
}

static uint32_t xdp_program(uint32_t *mode)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);

	assert_int_equal(bpf_xdp_query((int)net0, 0, &query), 0);
	*mode = query.attach_mode;
	return query.prog_id;
}

static void forwarder_attaches_in_place(void **state)
{
	struct dataplane *dp;
	char name[32], path[64];
	uint32_t link, program, mode, *devices;
	size_t count;

	NEED_SANDBOX();
	snprintf(name, sizeof(name), "xdp_%u", net0);
	dp = open_one();
	make_config(dp);
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	link = link_id(name);
	program = xdp_program(&mode);
	assert_int_equal(mode, XDP_ATTACHED_DRV);
	dataplane_close(dp);
	assert_int_equal(xdp_program(&mode), program);

	dp = open_one();
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	assert_int_equal(link_id(name), link);
	assert_int_not_equal(xdp_program(&mode), program);
	assert_int_equal(dataplane_forwarder_devices(dp, &devices, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(devices[0], net0);
	free(devices);

	DONE(dataplane_forwarder_attach(dp, net0, true, &why));
	xdp_program(&mode);
	assert_int_equal(mode, XDP_ATTACHED_SKB);
	for (int twice = 0; twice < 2; twice++) {
		DONE(dataplane_forwarder_detach(dp, net0, &why));
		assert_int_equal(xdp_program(&mode), 0);
		snprintf(path, sizeof(path), "links/xdp_%u", net0);
		assert_false(pinned(path));
	}
	dataplane_close(dp);
}

static void forwarder_says_what_is_in_the_way(void **state)
{
	struct dataplane *dp;
	char *why = NULL;

	NEED_SANDBOX();
	dp = open_one();
	/* A bridge's driver has no XDP. */
	assert_int_equal(sandbox_run("ip link add br0 type bridge"), 0);
	assert_int_equal(dataplane_forwarder_attach(dp, if_nametoindex("br0"), false, &why), -EOPNOTSUPP);
	assert_non_null(strstr(why, "br0: its driver has no native XDP"));
	free(why);
	why = NULL;
	assert_int_not_equal(dataplane_forwarder_attach(dp, 9999, false, &why), 0);
	assert_non_null(strstr(why, "9999"));
	free(why);
	sandbox_run("ip link del br0");
	dataplane_close(dp);
}

/* The agent ended between pinning a link and naming the pin: a second link would be refused, or run beside it. */
static void links_without_their_name_are_taken_over(void **state)
{
	char named[64], fresh[80], name[32];
	uint32_t forwarder, connect4;
	struct dataplane *dp;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	DONE(dataplane_allocator_attach(dp, &why));
	snprintf(name, sizeof(name), "xdp_%u", net0);
	forwarder = link_id(name);
	connect4 = link_id("cgroup_connect4");
	dataplane_close(dp);
	snprintf(named, sizeof(named), BPFFS "/links/%s", name);
	snprintf(fresh, sizeof(fresh), "%s-new", named);
	assert_int_equal(rename(named, fresh), 0);
	assert_int_equal(rename(BPFFS "/links/cgroup_connect4", BPFFS "/links/cgroup_connect4-new"), 0);

	dp = open_one();
	assert_true(dataplane_adopted(dp));
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	DONE(dataplane_allocator_attach(dp, &why));
	assert_int_equal(link_id(name), forwarder);
	assert_int_equal(link_id("cgroup_connect4"), connect4);
	assert_false(pinned("links/cgroup_connect4-new"));
	dataplane_close(dp);
}

/* The device went, and another one may get its pin's name. */
static void forwarder_comes_back_after_its_device(void **state)
{
	struct dataplane *dp;
	uint32_t index;

	NEED_SANDBOX();
	dp = open_one();
	assert_int_equal(sandbox_run("ip link add index 77 name gone0 type veth peer name gone1"), 0);
	index = if_nametoindex("gone0");
	assert_int_equal(index, 77);
	DONE(dataplane_forwarder_attach(dp, 77, false, &why));
	DONE(dataplane_guard_attach(dp, 77, &why));
	assert_int_equal(sandbox_run("ip link del gone0"), 0);
	assert_int_equal(sandbox_run("ip link add index 77 name gone0 type veth peer name gone1"), 0);
	DONE(dataplane_forwarder_attach(dp, 77, false, &why));
	assert_int_equal(sandbox_run("ip link del gone0"), 0);
	DONE(dataplane_forwarder_detach(dp, 77, &why));
	DONE(dataplane_guard_detach(dp, 77, &why));
	dataplane_close(dp);
}

static void guard_replaces_itself(void **state)
{
	struct dataplane *dp;

	NEED_SANDBOX();
	dp = open_one();
	for (int twice = 0; twice < 2; twice++) {
		DONE(dataplane_guard_attach(dp, net0, &why));
		assert_int_equal(sandbox_run("test $(tc filter show dev net0 egress | grep -c 'handle 0xbe47') = 1"),
				 0);
	}
	for (int twice = 0; twice < 2; twice++) {
		DONE(dataplane_guard_detach(dp, net0, &why));
		assert_int_equal(sandbox_run("tc qdisc show dev net0 | grep -q clsact"), 1);
	}
	dataplane_close(dp);
}

/* Somebody else's filter on the ingress side: one that lets everything go on. */
static void strangers_filter_add(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = (int)net0, .attach_point = BPF_TC_INGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 1, .priority = 7);
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	filter.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "stranger", "GPL", pass, 2, NULL);
	assert_true(filter.prog_fd >= 0);
	assert_int_equal(bpf_tc_attach(&hook, &filter), 0);
	close(filter.prog_fd);
}

static void guard_leaves_others_alone(void **state)
{
	struct dataplane *dp;

	NEED_SANDBOX();
	dp = open_one();
	/* a qdisc that is not ours stays */
	assert_int_equal(sandbox_run("tc qdisc add dev net0 clsact"), 0);
	DONE(dataplane_guard_attach(dp, net0, &why));
	DONE(dataplane_guard_detach(dp, net0, &why));
	assert_int_equal(sandbox_run("tc qdisc show dev net0 | grep -q clsact && tc qdisc del dev net0 clsact"), 0);
	/* and one that is ours, when somebody else came to use it */
	DONE(dataplane_guard_attach(dp, net0, &why));
	strangers_filter_add();
	DONE(dataplane_guard_detach(dp, net0, &why));
	assert_int_equal(sandbox_run("tc filter show dev net0 ingress | grep -q stranger && "
				     "! tc filter show dev net0 egress | grep -q be47 && tc qdisc del dev net0 clsact"),
			 0);
	dataplane_close(dp);
}

/* The slots of policies that are alike but for these. */
static uint64_t slots_of(const struct dataplane_policy *policies, size_t count, const struct policy *alike)
{
	uint64_t slots = 0;

	for (size_t i = 0; i < count; i++) {
		struct policy policy = policies[i].policy;

		assert_true(policy.slot < 64 && !(slots >> policy.slot & 1));
		slots |= 1ull << policy.slot;
		policy.slot = alike->slot;
		assert_memory_equal(&policy, alike, sizeof(policy));
	}
	return slots;
}

static uint64_t fallbacks_of(const struct dataplane *dp, uint32_t slot)
{
	uint64_t uses;

	assert_int_equal(bpf_map_lookup_elem(dataplane_map(dp, "policy_fallbacks"), &slot, &uses), 0);
	return uses;
}

/* A policy that is written again goes on counting; one that takes over a slot begins anew. */
static void fallbacks_are_counted_by_policy(void **state)
{
	const struct policy policy = {.slice_count = 1};
	const uint64_t some = 7;
	struct dataplane *dp;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	assert_int_equal(dataplane_policy_write(dp, 10, &policy), 0);
	assert_int_equal(bpf_map_update_elem(dataplane_map(dp, "policy_fallbacks"), &(uint32_t){0}, &some, BPF_ANY), 0);
	assert_int_equal(dataplane_policy_write(dp, 10, &policy), 0);
	assert_int_equal(fallbacks_of(dp, 0), 7);
	assert_int_equal(dataplane_policy_remove(dp, 10), 0);
	assert_int_equal(dataplane_policy_write(dp, 11, &policy), 0);
	assert_int_equal(fallbacks_of(dp, 0), 0);
	dataplane_close(dp);
}

/* A policy keeps its slot, and what one leaves another may have. */
static void policies_have_slots(void **state)
{
	const struct policy fresh = {.slice_count = 1, .slot = 9};
	struct policy policy;
	struct dataplane *dp;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	for (uint32_t id = 10; id < 13; id++)
		assert_int_equal(dataplane_policy_write(dp, id, &fresh), 0);
	assert_int_equal(dataplane_policy_write(dp, 11, &fresh), 0);
	assert_int_equal(dataplane_policy_read(dp, 11, &policy), 0);
	assert_int_equal(policy.slot, 1);
	assert_int_equal(dataplane_policy_remove(dp, 10), 0);
	assert_int_equal(dataplane_policy_write(dp, 12, &fresh), 0);
	assert_int_equal(dataplane_policy_read(dp, 12, &policy), 0);
	assert_int_equal(policy.slot, 2);
	assert_int_equal(dataplane_policy_write(dp, 13, &fresh), 0);
	assert_int_equal(dataplane_policy_read(dp, 13, &policy), 0);
	assert_int_equal(policy.slot, 0);
	dataplane_close(dp);
}

static void policies_and_their_sets(void **state)
{
	static const uint16_t ports[] = {5000, 6000};
	const struct policy policy = {.slice_count = 1,
				      .mss = 1420,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 2048}}};
	struct except_key excepts[2];
	struct dataplane_policy *policies;
	struct dataplane_cgroup *cgroups;
	struct dataplane_path *paths;
	struct dataplane *dp;
	char longest[CGROUP_PATH_MAX + 1];
	uint32_t value;
	size_t count;
	int fd;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	assert_int_equal(dataplane_policy_write(dp, POLICY_NONE, &policy), -EINVAL);
	for (uint32_t id = 1; id <= 40; id++)
		assert_int_equal(dataplane_policy_write(dp, id, &policy), 0);
	assert_int_equal(dataplane_policy_list(dp, &policies, &count), 0);
	assert_int_equal(count, 40);
	assert_int_equal(slots_of(policies, count, &policy), (1ull << 40) - 1);
	free(policies);
	assert_int_equal(dataplane_policy_remove(dp, 5), 0);
	assert_int_equal(dataplane_policy_remove(dp, 5), 0);

	assert_int_equal(dataplane_cgroup_write(dp, 1ull << 40, 3), 0);
	assert_int_equal(dataplane_cgroup_list(dp, &cgroups, &count), 0);
	assert_int_equal(count, 1);
	assert_true(cgroups[0].cgroup == 1ull << 40 && cgroups[0].policy == 3);
	free(cgroups);
	assert_int_equal(dataplane_cgroup_remove(dp, 1ull << 40), 0);

	assert_int_equal(dataplane_path_write(dp, "/system.slice/x.service", 3), 0);
	assert_int_equal(dataplane_path_list(dp, &paths, &count), 0);
	assert_int_equal(count, 1);
	assert_string_equal(paths[0].path.path, "/system.slice/x.service");
	free(paths);
	assert_int_equal(dataplane_path_remove(dp, "/system.slice/x.service"), 0);
	memset(longest, 'x', CGROUP_PATH_MAX);
	longest[CGROUP_PATH_MAX] = '\0';
	assert_int_equal(dataplane_path_write(dp, longest, 1), -ENAMETOOLONG);

	excepts[0] = dataplane_except_ipv4(1, (struct prefix){0x0a000000, 8});
	excepts[1] = dataplane_except_ipv4(1, (struct prefix){0xc0000200, 24});
	assert_int_equal(excepts[0].prefix_len, 32 + 96 + 8);
	assert_int_equal(dataplane_excepts_replace(dp, 2, excepts, 1), -EINVAL);
	assert_int_equal(dataplane_excepts_replace(dp, 1, excepts, 2), 0);
	excepts[0].policy = 2;
	assert_int_equal(dataplane_excepts_replace(dp, 2, excepts, 1), 0);
	excepts[0].policy = 1;
	assert_int_equal(dataplane_excepts_replace(dp, 1, excepts, 1), 0);
	fd = bpf_obj_get(BPFFS "/maps/excepts");
	assert_true(fd >= 0);
	excepts[1].prefix_len = 160;
	assert_int_not_equal(bpf_map_lookup_elem(fd, &excepts[1], &value), 0);
	excepts[0].prefix_len = 160;
	assert_int_equal(bpf_map_lookup_elem(fd, &excepts[0], &value), 0);
	assert_int_equal(value, 1);
	excepts[0].policy = 2;
	assert_int_equal(bpf_map_lookup_elem(fd, &excepts[0], &value), 0);
	close(fd);

	assert_int_equal(dataplane_serves_replace(dp, 1, ports, 2), 0);
	assert_int_equal(dataplane_serves_replace(dp, 1, ports + 1, 1), 0);
	fd = bpf_obj_get(BPFFS "/maps/serves");
	assert_int_not_equal(bpf_map_lookup_elem(fd, &(struct serve_key){1, 5000}, &value), 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &(struct serve_key){1, 6000}, &value), 0);
	close(fd);
	dataplane_close(dp);
}

/* 0 or errno of connect(). */
static int connect_under_policy(struct sockaddr_in *from)
{
	int err = sandbox_connect(cgroup_dir, 0xc6336401, from);

	assert_true(err >= 0);
	return err;
}

static void allocator_outlives_its_agent(void **state)
{
	const struct policy policy = {.slice_count = 1,
				      .mss = 1420,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 2048}}};
	const struct rtnl_route any = {RTNL_ROUTE_LOCAL, {EGRESS & ~0xffu, 24}, RT_TABLE_LOCAL};
	uint64_t before[VERDICT_COUNT], after[VERDICT_COUNT], cgroup;
	uint32_t connect4, destroy;
	struct sockaddr_in from;
	struct dataplane *dp;
	struct rtnl *rtnl;

	NEED_SANDBOX();
	assert_int_equal(rtnl_open(&rtnl), 0);
	assert_int_equal(rtnl_route_add(rtnl, &any), 0);
	rtnl_close(rtnl);
	dp = open_one();
	make_config(dp);
	assert_int_equal(cgroup_id(cgroup_dir, &cgroup), 0);
	assert_int_equal(dataplane_policy_write(dp, 1, &policy), 0);
	assert_int_equal(dataplane_cgroup_write(dp, cgroup, 1), 0);
	DONE(dataplane_allocator_attach(dp, &why));
	connect4 = link_id("cgroup_connect4");
	destroy = link_id("trace_sock_destroy");

	for (int life = 0; life < 2; life++) {
		DONE(counters_read(BPFFS, before, &why));
		assert_int_equal(connect_under_policy(&from), 0);
		assert_int_equal(ntohl(from.sin_addr.s_addr), EGRESS);
		assert_in_range(ntohs(from.sin_port), SLICE_FIRST, SLICE_FIRST + 2047);
		DONE(counters_read(BPFFS, after, &why));
		assert_int_equal(after[VERDICT_ALLOCATED] - before[VERDICT_ALLOCATED], 1);
		if (!life)
			dataplane_close(dp); /* the agent dies; the second connection comes without it */
	}
	dp = open_one();
	assert_true(dataplane_adopted(dp));
	DONE(dataplane_allocator_attach(dp, &why));
	assert_int_equal(link_id("cgroup_connect4"), connect4); /* updated in place */
	assert_int_not_equal(link_id("trace_sock_destroy"), destroy); /* a new one took over */
	assert_int_equal(connect_under_policy(&from), 0);
	assert_int_equal(ntohl(from.sin_addr.s_addr), EGRESS);

	assert_int_equal(dataplane_policy_remove(dp, 1), 0);
	assert_int_not_equal(connect_under_policy(&from), 0); /* fails closed */
	DONE(dataplane_allocator_detach(dp, &why));
	assert_int_equal(connect_under_policy(&from), 0);
	assert_int_not_equal(ntohl(from.sin_addr.s_addr), EGRESS);
	dataplane_close(dp);
}

static void teardown_takes_all_away(void **state)
{
	const struct teardown_options down = {.bpffs = BPFFS, .run_dir = SANDBOX_DIR, .wait_ms = 1};
	const struct rtnl_route any = {RTNL_ROUTE_LOCAL, {EGRESS & ~0xffu, 24}, RT_TABLE_LOCAL};
	const struct rtnl_route told = {RTNL_ROUTE_BLACKHOLE, {EGRESS & ~0xffu, 24}, RTNL_TABLE_ANNOUNCE};
	uint64_t counters[VERDICT_COUNT];
	struct dataplane *dp;
	struct rtnl *rtnl;
	uint32_t mode, attached[8], count = 8;
	char *gone = NULL;
	int fd;

	NEED_SANDBOX();
	dp = open_one();
	make_config(dp);
	assert_int_equal(rtnl_open(&rtnl), 0);
	assert_int_equal(rtnl_route_add(rtnl, &any), 0);
	assert_int_equal(rtnl_route_add(rtnl, &told), 0);
	rtnl_close(rtnl);
	DONE(dataplane_guard_attach(dp, net0, &why));
	DONE(dataplane_forwarder_attach(dp, net0, false, &why));
	DONE(dataplane_allocator_attach(dp, &why));
	/* With the agent alive and with nothing left. */
	for (int twice = 0; twice < 2; twice++)
		DONE(teardown_run(&down, &why));
	dataplane_close(dp);
	assert_int_equal(xdp_program(&mode), 0);
	assert_int_equal(sandbox_run("tc qdisc show dev net0 | grep -q clsact"), 1);
	assert_int_equal(sandbox_run("ip route show table all | grep -q 203.0.113"), 1);
	fd = open(cgroup_dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(bpf_prog_query(fd, BPF_CGROUP_INET4_CONNECT, 0, NULL, attached, &count), 0);
	assert_int_equal(count, 0);
	close(fd);
	assert_int_equal(counters_read(BPFFS, counters, &gone), -ENOENT);
	free(gone);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, clear)
	const struct CMUnitTest tests[] = {
		TEST(makes_and_pins),
		TEST(replaces_unwritten_maps),
		TEST(refuses_another_layout),
		TEST(tables_outlive_their_agent),
		TEST(a_change_leaves_the_old_copy),
		TEST(a_hop_keeps_its_wrap_with_its_target),
		TEST(forwarder_attaches_in_place),
		TEST(forwarder_says_what_is_in_the_way),
		TEST(links_without_their_name_are_taken_over),
		TEST(forwarder_comes_back_after_its_device),
		TEST(guard_replaces_itself),
		TEST(guard_leaves_others_alone),
		TEST(policies_and_their_sets),
		TEST(policies_have_slots),
		TEST(fallbacks_are_counted_by_policy),
		TEST(allocator_outlives_its_agent),
		TEST(teardown_takes_all_away),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
