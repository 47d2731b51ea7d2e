/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything of ours that a kernel must take, on the kernel that runs: opens the data plane, attaches every program,
 * sends one connection through the allocator and one packet through the forwarder, adopts what is pinned, and takes
 * it all down. Prints TAP. Works in namespaces and a cgroup of its own; needs root.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <string.h>
#include <sys/utsname.h>

#include "../../src/kernel/cgroup.h"
#include "../../src/kernel/counters.h"
#include "../../src/kernel/dataplane.h"
#include "../../src/kernel/features.h"
#include "../../src/kernel/hop.h"
#include "../../src/kernel/rtnl.h"
#include "../../src/kernel/sandbox.h"
#include "../../src/kernel/teardown.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define HERE 0xc0000200u /* 192.0.2.0 */
#define PEER 0xc6336401u /* 198.51.100.1 */
#define SHIFT 11
#define OWN_FIRST 4096
#define THEIR_PORT 6200 /* in the next slice, which leads to hop 0 */

static unsigned tests, failures;

static bool __attribute__((format(printf, 2, 3))) report(bool ok, const char *format, ...)
{
	va_list args;

	printf("%sok %u - ", ok ? "" : "not ", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
	failures += !ok;
	return ok;
}

/* For calls that leave a sentence behind. */
static bool report_call(int err, char *why, const char *what)
{
	bool ok = report(!err, "%s%s%s", what, err ? ": " : "", !err ? "" : why ? why : strerror(-err));

	free(why);
	return ok;
}

#define CALL(what, call) \
	({ \
		char *why = NULL; \
		int err_ = (call); \
		report_call(err_, why, what); \
	})

static bool network_make(void)
{
	const struct rtnl_route any = {RTNL_ROUTE_LOCAL, {EGRESS & ~0xffu, 24}, RT_TABLE_LOCAL};
	struct rtnl *rtnl;
	int err;

	if (sandbox_run("ip link add net0 type veth peer name peer && "
			"ip addr add 192.0.2.0/31 dev net0 && ip link set net0 up && ip link set peer up && "
			"ip addr add 198.51.100.1/32 dev lo"))
		return false;
	if (rtnl_open(&rtnl))
		return false;
	err = rtnl_route_add(rtnl, &any);
	rtnl_close(rtnl);
	return !err;
}

static bool tables_make(struct dataplane *dp, uint32_t ifindex)
{
	const struct forwarder_config config = {.server_id = 7,
						.site_id = 1,
						.underlay = htonl(HERE),
						.wrap_port = htons(WRAP_PORT),
						.max_hops = WRAP_HOPS_DEFAULT};
	const struct hop_way way = {.src_mac = {2, 0, 0, 0, 0, 1},
				    .dst_mac = {2, 0, 0, 0, 0, 2},
				    .src = HERE,
				    .dst = HERE + 1,
				    .wrap_port = WRAP_PORT,
				    .server_id = 7,
				    .ifindex = ifindex,
				    .mtu = 1500};
	static uint32_t slices[8192], members[9];
	static struct tables tables = {.slices = slices, .slice_count = 8192, .members = members, .member_count = 9};
	struct hop_wrap wrap;

	tables.directory.multiplier = 1;
	tables.directory.slots[directory_index(1, EGRESS)] =
		(struct directory_slot){.key = directory_key(EGRESS), .base = 0, .shift = SHIFT};
	for (unsigned i = 0; i < tables.slice_count; i++)
		slices[i] = SLICE_FREE;
	slices[directory_slice(0, SHIFT, EGRESS, OWN_FIRST)] = SLICE_LOCAL;
	slices[directory_slice(0, SHIFT, EGRESS, THEIR_PORT)] = SLICE_HOP;
	tables.hop_target[0] = HOP_SERVER | 8;
	members[7] = HERE;
	members[8] = HERE + 1;
	hop_wrap_build(&way, &wrap);
	if (dataplane_tables_write(dp, &tables) || dataplane_hop_write(dp, 0, &wrap))
		return false;
	dataplane_config_write(dp, &config);
	return true;
}

static bool policy_make(struct dataplane *dp, const char *cgroup)
{
	const struct policy policy = {.slice_count = 1,
				      .mss = 1420,
				      .slices = {{.addr = htonl(EGRESS), .first = OWN_FIRST, .count = 1u << SHIFT}}};
	uint64_t id;

	return !cgroup_id(cgroup, &id) && !dataplane_policy_write(dp, 1, &policy) && !dataplane_cgroup_write(dp, id, 1);
}

static uint64_t counter(enum verdict verdict)
{
	uint64_t all[VERDICT_COUNT] = {0};

	(void)counters_read(BPFFS, all, NULL);
	return all[verdict];
}

static void connection_check(const char *cgroup, const char *when)
{
	uint64_t before = counter(VERDICT_ALLOCATED);
	struct sockaddr_in from = {0};
	int err = sandbox_connect(cgroup, PEER, &from);
	uint32_t port = ntohs(from.sin_port);

	report(!err && from.sin_addr.s_addr == htonl(EGRESS) && slice_column(port, SHIFT) == OWN_FIRST >> SHIFT &&
		       counter(VERDICT_ALLOCATED) == before + 1,
	       "TCP connection %s leaves from an own slice: port %u%s%s", when, port, err ? ", " : "",
	       err > 0 ? strerror(err) : "");
}

/* A SYN-ACK to the other server's port, 40 bytes of IPv4. */
static void packet_build(uint8_t frame[54])
{
	uint32_t saddr = htonl(PEER), daddr = htonl(EGRESS);
	uint16_t dport = htons(THEIR_PORT);
	static const uint8_t start[54] = {0x02, 0,   0, 0,    0, 1,  0x02, 0, 0, 0, 0, 2, 0x08, 0,    0x45, 0,   0,
					  40,   0,   0, 0x40, 0, 64, 6,    0, 0, 0, 0, 0, 0,    0,    0,    0,   0,
					  1,    187, 0, 0,    0, 0,  0,    1, 0, 0, 0, 2, 0x50, 0x12, 0xff, 0xff};

	memcpy(frame, start, sizeof(start));
	memcpy(frame + 26, &saddr, 4);
	memcpy(frame + 30, &daddr, 4);
	memcpy(frame + 36, &dport, 2);
}

static int forwarder_fd(uint32_t ifindex)
{
	uint32_t id = 0;

	return bpf_xdp_query_id((int)ifindex, 0, &id) ? -1 : bpf_prog_get_fd_by_id(id);
}

static void packet_check(uint32_t ifindex)
{
	uint8_t frame[54], out[256] = {0};
	struct xdp_md at = {.data_end = sizeof(frame), .ingress_ifindex = ifindex};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame, .data_size_in = sizeof(frame), .data_out = out,
		    .data_size_out = sizeof(out), .ctx_in = &at, .ctx_size_in = sizeof(at));
	uint64_t before = counter(VERDICT_WRAP);
	uint32_t to = htonl(HERE + 1);
	int fd = forwarder_fd(ifindex), err;

	packet_build(frame);
	err = bpf_prog_test_run_opts(fd, &run);
	report(!err && run.retval == XDP_TX && run.data_size_out == sizeof(frame) + WRAP_OVERHEAD &&
		       !memcmp(out + WRAP_IP_OFFSET + 16, &to, 4) &&
		       !memcmp(out + WRAP_INNER_OFFSET, frame + WRAP_ETH_LEN, sizeof(frame) - WRAP_ETH_LEN) &&
		       counter(VERDICT_WRAP) == before + 1,
	       "packet for another server is wrapped and sent on: %s, verdict %u, %u bytes",
	       err ? strerror(-err) : "ran", run.retval, run.data_size_out);
	close(fd);
}

static bool attach_all(struct dataplane *dp, uint32_t ifindex, const char *when)
{
	bool ok = true;

	printf("# %s\n", when);
	ok &= CALL("guard attaches to egress", dataplane_guard_attach(dp, ifindex, &why));
	ok &= CALL("forwarder attaches, native XDP", dataplane_forwarder_attach(dp, ifindex, false, &why));
	ok &= CALL("allocator attaches to cgroup and tracepoints", dataplane_allocator_attach(dp, &why));
	return ok;
}

/* Between open and teardown; dp is closed here. */
static void live(struct dataplane *dp, const struct dataplane_options *options, uint32_t ifindex)
{
	bool ok = report(tables_make(dp, ifindex), "tables are written") &
		  report(policy_make(dp, options->cgroup_root), "policy is written");

	if (!ok || !attach_all(dp, ifindex, "first agent")) {
		dataplane_close(dp);
		return;
	}
	connection_check(options->cgroup_root, "under an agent");
	packet_check(ifindex);
	dataplane_close(dp);
	connection_check(options->cgroup_root, "without an agent");
	packet_check(ifindex);
	if (!CALL("second agent opens", dataplane_open(options, &dp, &why)))
		return;
	report(dataplane_adopted(dp), "and adopts what is pinned");
	if (attach_all(dp, ifindex, "second agent")) {
		connection_check(options->cgroup_root, "under the second agent");
		packet_check(ifindex);
	}
	dataplane_close(dp);
}

static void features_check(const char *cgroup)
{
	const struct features_options options = {.bpffs = BPFFS, .cgroup_root = cgroup, .device = "net0"};
	struct features features;

	if (!report(!features_probe(&options, &features), "features are probed"))
		return;
	for (size_t i = 0; i < features.count; i++)
		printf("# %s: %s: %s\n", features.items[i].name, feature_state_name(features.items[i].state),
		       features.items[i].detail);
	report(features_worst(&features) != FEATURE_FAIL, "no feature is missing");
	features_free(&features);
}

static void run(const char *cgroup)
{
	const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = cgroup, .destinations = 1024};
	const struct teardown_options down = {.bpffs = BPFFS, .run_dir = SANDBOX_DIR};
	struct dataplane *dp = NULL;
	uint32_t ifindex;

	if (!report(network_make(), "a veth pair and the pool's local route"))
		return;
	ifindex = if_nametoindex("net0");
	features_check(cgroup);
	if (CALL("the kernel takes forwarder, guard and allocator", dataplane_open(&options, &dp, &why)))
		live(dp, &options, ifindex);
	CALL("teardown", teardown_run(&down, &why));
	report(forwarder_fd(ifindex) < 0 && access(BPFFS, F_OK) < 0, "nothing is left");
}

int main(void)
{
	char *mount_point, cgroup[256];
	struct utsname system_name;

	uname(&system_name);
	printf("# Linux %s\n", system_name.release);
	if (!report(!sandbox_enter("ip link set lo up") && sandbox_ready, "namespaces") ||
	    !report(!cgroup_mount_point(&mount_point), "cgroup2 is mounted"))
		goto out;
	snprintf(cgroup, sizeof(cgroup), "%s/berth-kernels-%d", mount_point, (int)getpid());
	free(mount_point);
	if (report(!cgroup_make(cgroup), "a cgroup of its own")) {
		run(cgroup);
		report(!cgroup_remove(cgroup), "the cgroup goes");
	}
out:
	printf("1..%u\n", tests);
	return failures ? 1 : 0;
}
