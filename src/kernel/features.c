/* SPDX-License-Identifier: Apache-2.0 */
#include "features.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bpffs.h"
#include "bpflog.h"
#include "cgroup.h"
#include "portset.h"
#include "programs.h"
#include "sysctl.h"
#include "xdpfeatures.h"

#define KERNEL_MAJOR 6
#define KERNEL_MINOR 1

/* Ports left to the host's own connections below which they begin to fail, and below which it is time to look. */
#define EPHEMERAL_FAIL 1024
#define EPHEMERAL_WARN 8192

struct probe {
	const struct features_options *options;
	struct features *features;
	int err;
};

/* Both texts are taken over; NULL for one that could not be made. */
static void add(struct probe *probe, const char *name, enum feature_state state, char *detail, char *remedy)
{
	struct feature *more = NULL;

	if (detail && !probe->err)
		more = reallocarray(probe->features->items, probe->features->count + 1, sizeof(*more));
	if (!more) {
		probe->err = -ENOMEM;
		free(detail);
		free(remedy);
		return;
	}
	probe->features->items = more;
	more[probe->features->count++] =
		(struct feature){.name = name, .state = state, .detail = detail, .remedy = remedy};
}

static char *__attribute__((format(printf, 1, 2))) text(const char *format, ...)
{
	char *made;
	va_list args;

	va_start(args, format);
	if (vasprintf(&made, format, args) < 0)
		made = NULL;
	va_end(args);
	return made;
}

static void probe_kernel_version(struct probe *probe)
{
	unsigned major = 0, minor = 0;
	struct utsname name;
	bool ok;

	uname(&name);
	ok = sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
	     (major > KERNEL_MAJOR || (major == KERNEL_MAJOR && minor >= KERNEL_MINOR));
	add(probe, "kernel_version", ok ? FEATURE_OK : FEATURE_FAIL,
	    text("Linux %s%s", name.release, ok ? "" : ", 6.1 or later is needed"),
	    ok ? NULL : text("apt-get install linux-image-amd64"));
}

static void probe_capabilities(struct probe *probe)
{
	static const struct {
		unsigned number;
		const char *name;
	} needed[] = {{CAP_BPF, "CAP_BPF"},
		      {CAP_NET_ADMIN, "CAP_NET_ADMIN"},
		      {CAP_PERFMON, "CAP_PERFMON"},
		      {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};
	FILE *file = fopen("/proc/self/status", "re");
	uint64_t have = 0;
	char line[256], missing[128] = "";

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "CapEff: %" SCNx64, &have) == 1)
			break;
	if (file)
		fclose(file);
	for (size_t i = 0; i < sizeof(needed) / sizeof(*needed); i++)
		if (!(have >> needed[i].number & 1))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing), " %s", needed[i].name);
	add(probe, "capabilities", *missing ? FEATURE_FAIL : FEATURE_OK,
	    *missing ? text("missing:%s", missing) : text("all that are needed"),
	    *missing ? text("run it as root, outside of an unprivileged container") : NULL);
}

static void probe_btf(struct probe *probe)
{
	bool ok = access("/sys/kernel/btf/vmlinux", R_OK) == 0;

	add(probe, "kernel_btf", ok ? FEATURE_OK : FEATURE_FAIL,
	    text(ok ? "the kernel describes its types" : "there is no /sys/kernel/btf/vmlinux"),
	    ok ? NULL : text("boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as Debian's are"));
}

static bool is_bpffs(const char *path)
{
	struct statfs fs;

	return statfs(path, &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

static void probe_bpffs(struct probe *probe)
{
	const char *dir = probe->options->bpffs;

	if (is_bpffs(dir) || is_bpffs(BPFFS_USUAL))
		add(probe, "bpffs", FEATURE_OK, text("mounted on %s", is_bpffs(dir) ? dir : BPFFS_USUAL), NULL);
	else
		add(probe, "bpffs", FEATURE_WARN, text("no bpf file system on " BPFFS_USUAL ", berthd mounts one"),
		    text("mount -t bpf bpf " BPFFS_USUAL));
}

static void probe_cgroup2(struct probe *probe)
{
	const char *root = probe->options->cgroup_root;
	char *mount_point = NULL;
	uint64_t id;

	if (cgroup_mount_point(&mount_point)) {
		add(probe, "cgroup2", FEATURE_FAIL, text("cgroup2 is mounted nowhere"),
		    text("mkdir -p /sys/fs/cgroup/unified && mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"));
		return;
	}
	if (root && cgroup_id(root, &id))
		add(probe, "cgroup2", FEATURE_FAIL, text("%s is no directory of cgroup2", root),
		    text("berthd --cgroup-root %s", mount_point));
	else
		add(probe, "cgroup2", FEATURE_OK, text("mounted on %s", mount_point), NULL);
	free(mount_point);
}

static void probe_program(struct probe *probe, enum program_object which, const char *feature)
{
	struct bpf_object *object = NULL;
	char *why = NULL;
	int err = program_object_open(which, &object);

	if (!err)
		err = program_object_load(which, object, &why);
	bpf_object__close(object);
	if (!err)
		add(probe, feature, FEATURE_OK, text("the kernel takes it"), NULL);
	else
		add(probe, feature, FEATURE_FAIL, why ? why : text("%s", strerror(-err)),
		    text("boot Linux 6.1 or later, with BTF, and be root"));
}

/* In a network namespace that ends with the process: makes clsact on its loopback device, and a filter. */
static void clsact_child(void)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = 1, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, filter, .handle = 1, .priority = 1);
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int err;

	bpflog_begin();
	if (unshare(CLONE_NEWNET) < 0)
		_exit(errno);
	filter.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "probe", "GPL", pass, 2, NULL);
	if (filter.prog_fd < 0)
		_exit(errno);
	err = bpf_tc_hook_create(&hook);
	_exit(-(err ? err : bpf_tc_attach(&hook, &filter)));
}

static void probe_clsact(struct probe *probe)
{
	pid_t child = fork();
	int status, err;

	if (child == 0)
		clsact_child();
	if (child < 0 || waitpid(child, &status, 0) != child)
		err = errno;
	else
		err = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	add(probe, "clsact", err ? FEATURE_FAIL : FEATURE_OK,
	    err ? text("no clsact qdisc or no cls_bpf filter: %s", strerror(err)) : text("qdisc and BPF filter work"),
	    err ? text("modprobe -a sch_ingress cls_bpf") : NULL);
}

static void probe_xdp(struct probe *probe, const char *device, uint32_t ifindex)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, query);
	uint64_t features = 0;
	int err;

	if (bpf_xdp_query((int)ifindex, 0, &query) == 0 && query.attach_mode == XDP_ATTACHED_DRV) {
		add(probe, "xdp_native", FEATURE_OK, text("%s runs XDP in its driver", device), NULL);
		return;
	}
	err = xdp_features_get(ifindex, &features);
	if (!err && (features & XDP_FEATURE_BASIC))
		add(probe, "xdp_native", FEATURE_OK, text("%s's driver has native XDP", device), NULL);
	else if (!err)
		add(probe, "xdp_native", FEATURE_FAIL, text("%s's driver has no native XDP", device),
		    text("berthd --generic (slower), or a device whose driver has it"));
	else
		add(probe, "xdp_native", err == -EOPNOTSUPP ? FEATURE_OK : FEATURE_WARN,
		    text("%s: %s", device,
			 err == -EOPNOTSUPP ? "kernels before 6.3 don't say, berthd will when it attaches"
					    : strerror(-err)),
		    NULL);
}

/* What the kernel goes by: the larger one of all devices' and the device's own. */
static void probe_rp_filter(struct probe *probe, const char *device)
{
	char key[128];
	long all = 0, own = 0;

	snprintf(key, sizeof(key), "net/ipv4/conf/%s/rp_filter", device);
	if (sysctl_read_number("net/ipv4/conf/all/rp_filter", &all) || sysctl_read_number(key, &own))
		add(probe, "rp_filter", FEATURE_WARN, text("%s: cannot be read", device), NULL);
	else if (all == 1 || own == 1)
		add(probe, "rp_filter", all == 2 || own == 2 ? FEATURE_OK : FEATURE_FAIL,
		    text("%s: strict for %s, %s", device, all == 1 ? "all devices" : "this one",
			 all == 2 || own == 2 ? "but loose overrides it"
					      : "replies that come through other servers may be dropped"),
		    all == 2 || own == 2
			    ? NULL
			    : text("sysctl -w net.ipv4.conf.all.rp_filter=2 net.ipv4.conf.%s.rp_filter=2", device));
	else
		add(probe, "rp_filter", FEATURE_OK, text("%s: %s", device, all || own ? "loose" : "off"), NULL);
}

static void probe_device(struct probe *probe)
{
	const char *device = probe->options->device;
	uint32_t ifindex;

	if (!device)
		return;
	ifindex = if_nametoindex(device);
	if (!ifindex) {
		add(probe, "device", FEATURE_FAIL, text("there is no device %s", device), text("ip link show"));
		return;
	}
	probe_xdp(probe, device, ifindex);
	probe_rp_filter(probe, device);
}

static void probe_timestamps(struct probe *probe)
{
	long value = 0;

	if (sysctl_read_number("net/ipv4/tcp_timestamps", &value) || !value)
		add(probe, "tcp_timestamps", FEATURE_WARN, text("off: a port rests for a minute after each connection"),
		    text("sysctl -w net.ipv4.tcp_timestamps=1"));
	else
		add(probe, "tcp_timestamps", FEATURE_OK, text("on"), NULL);
}

static void probe_forwarding(struct probe *probe)
{
	long value = 0;

	if (sysctl_read_number("net/ipv4/ip_forward", &value) == 0 && value)
		add(probe, "ip_forward", FEATURE_WARN,
		    text("on: without the forwarder, packets to the pools bounce between this host and its router"),
		    text("sysctl -w net.ipv4.ip_forward=0, unless this host is a router"));
	else
		add(probe, "ip_forward", FEATURE_OK, text("off"), NULL);
}

static int port_range_read(uint32_t *first, uint32_t *count)
{
	uint32_t low, high;
	char *value;
	int err = sysctl_read("net/ipv4/ip_local_port_range", &value);

	if (err)
		return err;
	if (sscanf(value, "%" SCNu32 " %" SCNu32, &low, &high) != 2 || low > high || high >= BERTH_PORT_SPACE)
		err = -EBADMSG;
	free(value);
	if (err)
		return err;
	*first = low;
	*count = high - low + 1;
	return 0;
}

/* Ports that the kernel may choose for connections of its own host: the range without what is or will be reserved. */
static int ephemeral_count(const struct features_options *options, uint32_t *left, uint32_t *range)
{
	struct port_set reserved;
	uint32_t first, count;
	char *value;
	int err;

	err = sysctl_read("net/ipv4/ip_local_reserved_ports", &value);
	if (err)
		return err;
	err = port_set_parse(value, &reserved);
	free(value);
	if (!err)
		err = port_range_read(&first, &count);
	if (err)
		return err;
	for (size_t i = 0; i < options->own_count; i++)
		port_set_add(&reserved, options->own[i].first, options->own[i].count);
	*range = count;
	*left = count - port_set_count(&reserved, first, count);
	return 0;
}

static void probe_ephemeral(struct probe *probe)
{
	uint32_t left, range;
	enum feature_state state;
	int err = ephemeral_count(probe->options, &left, &range);

	if (err) {
		add(probe, "ephemeral_ports", FEATURE_WARN, text("cannot be told: %s", strerror(-err)), NULL);
		return;
	}
	state = left < EPHEMERAL_FAIL ? FEATURE_FAIL : left < EPHEMERAL_WARN ? FEATURE_WARN : FEATURE_OK;
	add(probe, "ephemeral_ports", state, text("%u of %u left for the host's own connections", left, range),
	    state == FEATURE_OK ? NULL : text("sysctl -w net.ipv4.ip_local_port_range='10240 65535', or fewer slices"));
}

int features_probe(const struct features_options *options, struct features *ret)
{
	struct features features = {0};
	struct probe probe = {.options = options, .features = &features};

	probe_kernel_version(&probe);
	probe_capabilities(&probe);
	probe_btf(&probe);
	probe_bpffs(&probe);
	probe_cgroup2(&probe);
	probe_program(&probe, OBJECT_FORWARDER, "forwarder_loads");
	probe_program(&probe, OBJECT_GUARD, "guard_loads");
	probe_program(&probe, OBJECT_ALLOCATOR, "allocator_loads");
	probe_clsact(&probe);
	probe_device(&probe);
	probe_timestamps(&probe);
	probe_forwarding(&probe);
	probe_ephemeral(&probe);
	if (probe.err)
		features_free(&features);
	else
		*ret = features;
	return probe.err;
}

const char *feature_state_name(enum feature_state state)
{
	static const char *const names[] = {"ok", "warn", "fail"};

	return names[state];
}

enum feature_state features_worst(const struct features *features)
{
	enum feature_state worst = FEATURE_OK;

	for (size_t i = 0; i < features->count; i++)
		if (features->items[i].state > worst)
			worst = features->items[i].state;
	return worst;
}

void features_free(struct features *features)
{
	for (size_t i = 0; i < features->count; i++) {
		free(features->items[i].detail);
		free(features->items[i].remedy);
	}
	free(features->items);
	*features = (struct features){0};
}
