/* SPDX-License-Identifier: Apache-2.0 */
#include "alloc_rig.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include <allocator.skel.h>

#include "../../src/kernel/netns.h"
#include "../../src/kernel/porttable.h"
#include "../../src/kernel/portuses.h"

#define CASE_SECONDS 30
#define SETTLE_TRIES 200
#define SETTLE_MS 10

void rig_expect(bool holds, const char *what, const char *file, int line)
{
	if (holds)
		return;
	fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n", file, line, what, errno, strerror(errno));
	exit(EXIT_FAILURE);
}

void rig_expect_equal(long a, long b, const char *what, const char *file, int line)
{
	if (a == b)
		return;
	fprintf(stderr, "%s:%d: not so: %s (%ld, %ld)\n", file, line, what, a, b);
	exit(EXIT_FAILURE);
}

void rig_shell(const char *format, ...)
{
	char command[512];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	rig_expect(system(command) == 0, command, __FILE__, __LINE__);
}

/* Where cgroup2 is mounted: field 5 of the line whose type, after " - ", is cgroup2. */
static void cgroup_mount(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "r");
	char line[1024];

	expect(file);
	path[0] = 0;
	while (!path[0] && fgets(line, sizeof(line), file)) {
		char *save, *field = strtok_r(line, " ", &save), *point = NULL;

		for (int i = 1; field && strcmp(field, "-"); i++) {
			if (i == 5)
				point = field;
			field = strtok_r(NULL, " ", &save);
		}
		field = strtok_r(NULL, " ", &save);
		if (field && point && !strcmp(field, "cgroup2"))
			snprintf(path, size, "%s", point);
	}
	fclose(file);
	expect(path[0]);
}

static void cgroup_dir(const struct rig *rig, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s%s%s", rig->top, name[0] ? "/" : "", name);
}

void rig_cgroup_make(struct rig *rig, const char *name)
{
	char path[512];

	cgroup_dir(rig, name, path, sizeof(path));
	expect(mkdir(path, 0755) == 0);
}

void rig_cgroup_remove(struct rig *rig, const char *name)
{
	char path[512];

	cgroup_dir(rig, name, path, sizeof(path));
	expect(rmdir(path) == 0);
}

uint64_t rig_cgroup_id(struct rig *rig, const char *name)
{
	char path[512];
	struct stat st;

	cgroup_dir(rig, name, path, sizeof(path));
	expect(stat(path, &st) == 0);
	return st.st_ino;
}

void rig_cgroup_policy(struct rig *rig, const char *name, uint32_t policy)
{
	uint64_t id = rig_cgroup_id(rig, name);

	expect(!bpf_map__update_elem(rig->skel->maps.cgroup_policies, &id, sizeof(id), &policy, sizeof(policy), 0));
}

long rig_cgroup_policy_of(struct rig *rig, uint64_t cgroup)
{
	uint32_t policy;

	if (bpf_map__lookup_elem(rig->skel->maps.cgroup_policies, &cgroup, sizeof(cgroup), &policy, sizeof(policy), 0))
		return -1;
	return policy;
}

void rig_cgroup_path(struct rig *rig, const char *name, uint32_t policy)
{
	struct cgroup_path key = {0};
	char mount[256], path[512];

	cgroup_mount(mount, sizeof(mount));
	cgroup_dir(rig, name, path, sizeof(path));
	snprintf(key.path, sizeof(key.path), "%s", path + strlen(mount));
	expect(!bpf_map__update_elem(rig->skel->maps.cgroup_paths, &key, sizeof(key), &policy, sizeof(policy), 0));
}

static void cgroup_enter(const char *dir)
{
	char path[600];
	FILE *file;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	file = fopen(path, "w");
	expect(file);
	fprintf(file, "0\n");
	expect(fclose(file) == 0);
}

void rig_enter(struct rig *rig, const char *name)
{
	char path[512];

	cgroup_dir(rig, name, path, sizeof(path));
	cgroup_enter(path);
}

/* The directory and what is under it, without looking at errors: another one's leftovers are none of ours. */
static void cgroup_remove_tree(const char *dir)
{
	DIR *stream = opendir(dir);
	struct dirent *entry;
	char path[600];

	while (stream && (entry = readdir(stream))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		cgroup_remove_tree(path);
	}
	if (stream)
		closedir(stream);
	for (int i = 0; i < SETTLE_TRIES && rmdir(dir) && errno == EBUSY; i++)
		usleep(SETTLE_MS * 1000);
}

struct policy rig_policy(uint32_t first, uint32_t count)
{
	return (struct policy){
		.slice_count = 1,
		.mss = RIG_MSS,
		.slices = {{.addr = htobe32(EGRESS), .first = first, .count = count}},
	};
}

void rig_policy_write(struct rig *rig, uint32_t id, const struct policy *policy)
{
	expect(!port_uses_make(bpf_map__fd(rig->skel->maps.port_uses), policy));
	expect(!bpf_map__update_elem(rig->skel->maps.policies, &id, sizeof(id), policy, sizeof(*policy), 0));
}

void rig_policy_remove(struct rig *rig, uint32_t id)
{
	expect(!bpf_map__delete_elem(rig->skel->maps.policies, &id, sizeof(id), 0));
}

void rig_begin(struct rig *rig, uint32_t first, uint32_t count)
{
	struct policy policy = rig_policy(first, count);

	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
}

static void except_write(struct rig *rig, const struct except_key *key, bool leave)
{
	uint32_t value = leave;

	expect(!bpf_map__update_elem(rig->skel->maps.excepts, key, sizeof(*key), &value, sizeof(value), 0));
}

void rig_except(struct rig *rig, uint32_t policy, uint32_t addr, unsigned len, bool leave)
{
	struct except_key key = {.prefix_len = 32 + 96 + len, .policy = policy, .addr = {[10] = 0xff, [11] = 0xff}};
	uint32_t be = htobe32(addr);

	memcpy(key.addr + 12, &be, sizeof(be));
	except_write(rig, &key, leave);
}

void rig_except6(struct rig *rig, uint32_t policy, const char *addr, unsigned len)
{
	struct except_key key = {.prefix_len = 32 + len, .policy = policy};

	expect(inet_pton(AF_INET6, addr, key.addr) == 1);
	except_write(rig, &key, true);
}

void rig_mark(struct rig *rig, uint32_t mark, uint32_t policy)
{
	expect(!bpf_map__update_elem(rig->skel->maps.mark_policies, &mark, sizeof(mark), &policy, sizeof(policy), 0));
}

void rig_choose(struct rig *rig, int fd, uint32_t policy)
{
	const struct socket_choice choice = {.policy = policy};

	expect(!bpf_map__update_elem(rig->skel->maps.choices, &fd, sizeof(fd), &choice, sizeof(choice), 0));
}

void rig_serve(struct rig *rig, uint32_t policy, uint16_t port)
{
	struct serve_key key = {.policy = policy, .port = port};
	uint32_t value = 1;

	expect(!bpf_map__update_elem(rig->skel->maps.serves, &key, sizeof(key), &value, sizeof(value), 0));
}

uint64_t rig_counter(struct rig *rig, enum verdict verdict)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *values, sum = 0;
	uint32_t key = verdict;

	expect(cpus > 0);
	values = calloc(cpus, sizeof(*values));
	expect(values);
	expect(!bpf_map__lookup_elem(rig->skel->maps.counters, &key, sizeof(key), values, cpus * sizeof(*values), 0));
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	free(values);
	return sum;
}

struct ports_sum {
	unsigned entries, used;
};

static int ports_add(void *arg, const struct port_entry *entry)
{
	struct ports_sum *sum = arg;

	sum->entries++;
	sum->used += entry->used;
	return 0;
}

static struct ports_sum ports_sum(struct rig *rig)
{
	struct ports_sum sum = {0};

	expect(!port_table_visit(bpf_map__fd(rig->skel->maps.port_buckets), bpf_map__fd(rig->skel->maps.port_bitmaps),
				 ports_add, &sum));
	return sum;
}

struct port_table rig_table(struct rig *rig)
{
	struct port_table table;
	uint32_t key = 0;

	expect(!bpf_map__lookup_elem(rig->skel->maps.data_port_table, &key, sizeof(key), &table, sizeof(table), 0));
	return table;
}

/* Bits of connections that the table has no room for. */
static unsigned probes_used(struct rig *rig)
{
	static struct port_probes probes;
	uint32_t key = 0;
	unsigned used = 0;

	expect(!bpf_map__lookup_elem(rig->skel->maps.data_port_probes, &key, sizeof(key), &probes, sizeof(probes), 0));
	for (unsigned i = 0; i < PROBE_WORDS; i++)
		used += (unsigned)__builtin_popcountll(probes.words[i]);
	expect_equal(rig_table(rig).probes, used);
	return used;
}

unsigned rig_overflows(struct rig *rig)
{
	int fd = bpf_map__fd(rig->skel->maps.port_buckets);
	struct port_bucket bucket;
	unsigned sum = 0;

	for (uint32_t i = 0; i < rig_table(rig).buckets; i++) {
		expect(!bpf_map_lookup_elem(fd, &i, &bucket));
		sum += bucket.overflow;
	}
	return sum;
}

/* The first /24 of a directory of which one slot is in use; a multiplier of 0 puts every address there. */
void rig_pool(struct rig *rig, uint32_t addr)
{
	struct directory *directory = &rig->skel->data_directories->directories.copy[0];

	directory->slots[0] = (struct directory_slot){.key = directory_key(addr), .shift = 11};
	for (uint32_t i = 0; i < 256 * 32; i++)
		rig->skel->data_slices->slices.entry[i] = SLICE_FREE;
}

struct rig_uses rig_uses(struct rig *rig)
{
	int fd = bpf_map__fd(rig->skel->maps.port_uses);
	struct uses_key key, *at = NULL;
	struct rig_uses sum = {0};
	struct port_uses uses;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		expect(!bpf_map_lookup_elem(fd, &key, &uses));
		for (unsigned i = 0; i < PORTS_PER_CHUNK; i++) {
			bool claimed = uses.claimed[i / 64] >> i % 64 & 1;

			expect_equal(uses.users[i] >> 31, claimed);
			sum.claimed += claimed;
			sum.users += uses.users[i] & ~USERS_CLAIMED;
		}
	}
	return sum;
}

void rig_avoid(struct rig *rig, uint16_t port)
{
	rig->skel->data_avoid_ports->avoid_ports.words[port / 64] |= 1ull << port % 64;
}

unsigned rig_policy_entries(struct rig *rig, uint32_t slot)
{
	uint32_t entries;

	expect(!bpf_map_lookup_elem(bpf_map__fd(rig->skel->maps.policy_entries), &slot, &entries));
	return entries;
}

uint64_t rig_policy_fallbacks(struct rig *rig, uint32_t slot)
{
	uint64_t uses;

	expect(!bpf_map_lookup_elem(bpf_map__fd(rig->skel->maps.policy_fallbacks), &slot, &uses));
	return uses;
}

unsigned rig_ports_used(struct rig *rig)
{
	return ports_sum(rig).used + probes_used(rig);
}

unsigned rig_ports_entries(struct rig *rig)
{
	return ports_sum(rig).entries;
}

void rig_ports_expect(struct rig *rig, unsigned used)
{
	for (int i = 0; i < SETTLE_TRIES && rig_ports_used(rig) != used; i++)
		usleep(SETTLE_MS * 1000);
	expect_equal(rig_ports_used(rig), used);
}

/* Every socket that the case left open. */
static void sockets_close(void)
{
	DIR *stream = opendir("/proc/self/fd");
	struct dirent *entry;

	expect(stream);
	while ((entry = readdir(stream))) {
		int fd = (int)strtol(entry->d_name, NULL, 10);
		struct stat st;

		if (fd > 2 && !fstat(fd, &st) && S_ISSOCK(st.st_mode))
			hang_up(fd);
	}
	closedir(stream);
}

static void rig_attach(struct rig *rig)
{
	int fd = open(rig->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct bpf_program *program;

	expect(fd >= 0);
	bpf_object__for_each_program(program, rig->skel->obj)
	{
		struct bpf_link *link;

		if (bpf_program__type(program) == BPF_PROG_TYPE_SCHED_CLS || program == rig->skel->progs.list_holders)
			continue;
		link = bpf_program__type(program) == BPF_PROG_TYPE_TRACING ? bpf_program__attach(program)
									   : bpf_program__attach_cgroup(program, fd);

		expect(link && rig->link_count < RIG_LINKS_MAX);
		rig->links[rig->link_count++] = link;
	}
	close(fd);
}

static void rig_down(struct rig *rig)
{
	while (rig->link_count > 0)
		expect(!bpf_link__destroy(rig->links[--rig->link_count]));
	allocator__destroy(rig->skel);
}

static uint64_t own_netns(void)
{
	uint64_t cookie;

	expect(!netns_cookie(&cookie));
	return cookie;
}

static void rig_up(struct rig *rig, uint32_t table)
{
	expect(unshare(CLONE_NEWNET) == 0);
	rig_shell("ip link set lo up");
	rig_shell("ip address add 192.0.2.1/32 dev lo");
	rig_shell("ip address add 2001:db8::7/128 dev lo nodad");
	rig_shell("ip route add local 203.0.113.0/24 dev lo");
	rig_shell("ip route add local 198.51.100.0/24 dev lo src 192.0.2.1");
	rig_shell("echo 65535 > /proc/sys/net/core/somaxconn");
	rig_shell("echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range");
	rig_shell("echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start");

	cgroup_enter(rig->top);
	rig->skel = allocator__open();
	expect(rig->skel);
	expect(!port_table_size(rig->skel->obj, table ? table : RIG_TABLE));
	expect(!allocator__load(rig->skel));
	rig->skel->data_home_netns->home_netns = own_netns();
	rig_attach(rig);
	rig_cgroup_make(rig, "app");
	rig_cgroup_policy(rig, "app", POLICY_ONE);
}

static void rig_run(struct rig *rig, rig_case *run, uint32_t table)
{
	alarm(CASE_SECONDS);
	rig_up(rig, table);
	run(rig);
	sockets_close();
	rig_ports_expect(rig, 0);
	expect_equal(rig_uses(rig).claimed, 0);
	expect_equal(rig_uses(rig).users, 0);
	rig_down(rig);
	exit(EXIT_SUCCESS);
}

static void rig_fork(rig_case *run, uint32_t table)
{
	struct rig rig = {0};
	char mount[200];
	int status = 0;
	pid_t child;

	cgroup_mount(mount, sizeof(mount));
	snprintf(rig.top, sizeof(rig.top), "%s/berth-test-%d", mount, getpid());
	assert_int_equal(mkdir(rig.top, 0755), 0);
	child = rig_child();
	if (!child)
		rig_run(&rig, run, table);
	waitpid(child, &status, 0);
	cgroup_remove_tree(rig.top);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

pid_t rig_child(void)
{
	pid_t parent = getpid(), child = fork();

	expect(child >= 0);
	if (!child) {
		expect(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		expect(getppid() == parent);
	}
	return child;
}

void rig_test(void **state)
{
	rig_fork((rig_case *)*state, 0);
}

void rig_test_small(void **state)
{
	rig_fork((rig_case *)*state, RIG_SMALL_TABLE);
}
