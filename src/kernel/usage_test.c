/* SPDX-License-Identifier: Apache-2.0 */
/* What is told from pinned maps alone, in namespaces of its own: nothing is attached. */
#include "usage.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../core/portuse.h"
#include "boottime.h"
#include "dataplane.h"
#include "holders.h"
#include "policynames.h"
#include "sandbox.h"
#include "sockdiag.h"
#include "teardown.h"
#include "wasters.h"

#define BPFFS SANDBOX_DIR "/bpf"
#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define DEST 0xc6336400u /* 198.51.100.0 */
#define SLICE_FIRST 4096u
#define ROUNDS 5

static struct dataplane *dp;

static int set_up(void **state)
{
	const struct dataplane_options options = {.bpffs = BPFFS, .cgroup_root = "/"};
	char *why = NULL;

	(void)state;
	if (sandbox_enter("ip link set lo up && ip route add local 203.0.113.0/24 dev lo && "
			  "ip route add local 198.51.100.0/24 dev lo"))
		return -1;
	if (sandbox_ready && dataplane_open(&options, &dp, &why)) {
		print_error("%s\n", why);
		free(why);
		return -1;
	}
	return 0;
}

static int tear_down(void **state)
{
	const struct teardown_options down = {.bpffs = BPFFS};

	(void)state;
	if (!sandbox_ready)
		return 0;
	dataplane_close(dp);
	return teardown_run(&down, NULL) ? -1 : 0;
}

static void put(const char *map, const void *key, const void *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/maps/%s", BPFFS, map);
	fd = bpf_obj_get(path);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, key, value, BPF_ANY), 0);
	close(fd);
}

static void policy_put(uint32_t id, const char *name, uint32_t first)
{
	const struct policy policy = {.slice_count = 1,
				      .slices = {{.addr = htonl(EGRESS), .first = first, .count = 2048}}};

	assert_int_equal(dataplane_policy_name(dp, id, name), 0);
	assert_int_equal(dataplane_policy_write(dp, id, &policy), 0);
}

/* Fills the ways of one bucket after the other. */
static void destinations_put(uint32_t count)
{
	char path[] = BPFFS "/maps/port_buckets";
	struct port_bucket bucket;
	int fd = bpf_obj_get(path);

	assert_true(fd >= 0);
	for (uint32_t i = 0; i < count; i++) {
		struct port_way *way = &bucket.ways[i % DESTINATIONS_PER_BUCKET];
		uint32_t index = i / DESTINATIONS_PER_BUCKET;

		if (i % DESTINATIONS_PER_BUCKET == 0)
			memset(&bucket, 0, sizeof(bucket));
		way->key = (struct ports_key){.egress = htonl(EGRESS),
					      .dest = htonl(DEST + i),
					      .dest_port = htons(443),
					      .proto = IPPROTO_TCP,
					      .chunk = SLICE_FIRST >> CHUNK_SHIFT};
		way->used = 1;
		bucket.tags[i % DESTINATIONS_PER_BUCKET] = 1;
		assert_int_equal(bpf_map_update_elem(fd, &index, &bucket, BPF_ANY), 0);
	}
	close(fd);
}

/* CPU time: the machine may be busy. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void a_full_table_is_read_quickly(void **state)
{
	uint64_t best = UINT64_MAX;
	struct use use;
	char *why = NULL;

	NEED_SANDBOX();
	policy_put(7, "crawler", SLICE_FIRST);
	put("policy_fallbacks", &(uint32_t){0}, &(uint64_t){12});
	destinations_put(DESTINATIONS_DEFAULT);
	put("port_table", &(uint32_t){0}, &(struct port_table){.probes = 3});
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t begin = cpu_ns();

		assert_int_equal(usage_read(BPFFS, USE_TOP_DEFAULT, &use, &why), 0);
		best = cpu_ns() - begin < best ? cpu_ns() - begin : best;
		assert_int_equal(use.destinations, DESTINATIONS_DEFAULT);
		assert_int_equal(use.connections, DESTINATIONS_DEFAULT);
		assert_int_equal(use.probed, 3);
		assert_int_equal(use.top_count, USE_TOP_DEFAULT);
		assert_string_equal(use.policies[0].name, "crawler");
		assert_int_equal(use.policies[0].fullest, 1);
		assert_int_equal(use.policies[0].fallbacks, 12);
		use_clear(&use);
	}
	print_message("# %u destinations are read in %llu us of CPU time\n", DESTINATIONS_DEFAULT,
		      (unsigned long long)best / 1000);
	assert_true(best < 200 * 1000000ull); /* many times what it takes, sanitizers included */
}

static void errors_say_where(void **state)
{
	struct wastes wastes;
	struct use use;
	char *why = NULL;

	NEED_SANDBOX();
	assert_int_equal(usage_read(SANDBOX_DIR "/none", 1, &use, &why), -ENOENT);
	assert_non_null(strstr(why, SANDBOX_DIR "/none"));
	free(why);
	assert_int_equal(wasters_read(SANDBOX_DIR "/none", &wastes, &why), -ENOENT);
	free(why);
}

static void wasters_come_most_first(void **state)
{
	const struct waster_key keys[] = {{7, "few"}, {7, "m\nny"}, {8, "some"}};
	const struct waster values[] = {{1, 1}, {100, 2}, {10, 3}};
	struct wastes wastes;
	char *why = NULL;

	NEED_SANDBOX();
	for (size_t i = 0; i < 3; i++)
		put("wasters", &keys[i], &values[i]);
	assert_int_equal(wasters_read(BPFFS, &wastes, &why), 0);
	assert_int_equal(wastes.count, 3);
	assert_string_equal(wastes.items[0].name, "m?ny");
	assert_int_equal(wastes.items[0].count, 100);
	assert_string_equal(wastes.items[0].policy, "crawler");
	assert_string_equal(wastes.items[1].policy, "#8");
	assert_string_equal(wastes.items[2].name, "few");
	wasters_clear(&wastes);
}

/* Names outlive their policies, until there is no room. */
static void names_make_room(void **state)
{
	char name[POLICY_NAME_MAX + 20], text[POLICY_NAME_MAX];
	struct policy_names names;

	NEED_SANDBOX();
	for (uint32_t i = 0; i < 2 * POLICIES_MAX; i++) {
		snprintf(name, sizeof(name), "run:%u", i);
		assert_int_equal(dataplane_policy_name(dp, 1000 + i, name), 0);
	}
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(dataplane_policy_name(dp, 9, name), 0);
	assert_int_equal(policy_names_read(BPFFS, &names, NULL), 0);
	assert_true(names.count <= POLICIES_MAX);
	assert_string_equal(policy_names_text(&names, 7, text), "crawler");
	assert_string_equal(policy_names_text(&names, 1000 + 2 * POLICIES_MAX - 1, text), "run:2047");
	assert_int_equal(strlen(policy_names_text(&names, 9, text)), POLICY_NAME_MAX - 1);
	assert_string_equal(policy_names_text(&names, 6, text), "#6");
	policy_names_clear(&names);
}

static int opened(int family, uint32_t source, uint16_t source_port, uint32_t dest, uint16_t port)
{
	struct sockaddr_in from = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(source), .sin_port = htons(source_port)};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(dest), .sin_port = htons(port)};
	struct sockaddr_in6 from6 = {.sin6_family = AF_INET6, .sin6_port = htons(source_port)};
	struct sockaddr_in6 to6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (family == AF_INET) {
		assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
		assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
		return fd;
	}
	from6.sin6_addr.s6_addr[10] = from6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(to6.sin6_addr.s6_addr, from6.sin6_addr.s6_addr, 16);
	memcpy(from6.sin6_addr.s6_addr + 12, &from.sin_addr, 4);
	memcpy(to6.sin6_addr.s6_addr + 12, &to.sin_addr, 4);
	assert_int_equal(bind(fd, (struct sockaddr *)&from6, sizeof(from6)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to6, sizeof(to6)), 0);
	return fd;
}

/* Only sockets to that very destination count, and of these only those from the policy's slices. */
static void holders_are_found(void **state)
{
	const struct policy policy = {.slice_count = 1,
				      .slices = {{.addr = htonl(EGRESS), .first = SLICE_FIRST, .count = 4}}};
	struct refusal_holder holders[REFUSAL_HOLDERS_MAX];
	struct sockdiag_socket *sockets = NULL;
	size_t count = 0;
	int fds[7];

	NEED_SANDBOX();
	fds[0] = opened(AF_INET, EGRESS, SLICE_FIRST, DEST + 1, 443);
	fds[1] = opened(AF_INET6, EGRESS, SLICE_FIRST + 3, DEST + 1, 443);
	fds[2] = opened(AF_INET, EGRESS, SLICE_FIRST + 1, DEST + 1, 80); /* another port, */
	fds[3] = opened(AF_INET, EGRESS, SLICE_FIRST + 2, DEST + 2, 443); /* another address, */
	fds[4] = opened(AF_INET, EGRESS, SLICE_FIRST + 4, DEST + 1, 443); /* beyond the slice, */
	fds[5] = opened(AF_INET, EGRESS + 1, SLICE_FIRST, DEST + 1, 443); /* another egress address, */
	fds[6] = opened(AF_INET6, EGRESS, SLICE_FIRST + 5, DEST + 1, 80); /* another port */

	if (sockdiag_towards(IPPROTO_UDP, DEST + 1, 443, &sockets, &count) == -ENOENT) {
		print_message("skip: this kernel has no sock_diag for UDP\n");
		skip();
	}
	assert_int_equal(count, 4);
	free(sockets);
	assert_int_equal(holders_find(&policy, IPPROTO_UDP, DEST + 1, 443, holders, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(holders[0].pid, getpid());
	assert_int_equal(holders[0].ports, 2);
	assert_int_equal(holders_find(&policy, IPPROTO_TCP, DEST + 1, 443, holders, &count), 0);
	assert_int_equal(count, 0);
	for (size_t i = 0; i < 7; i++)
		close(fds[i]);
}

static void clocks_agree(void **state)
{
	struct timespec now;

	(void)state;
	clock_gettime(CLOCK_BOOTTIME, &now);
	assert_in_range(boottime_unix((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec), time(NULL) - 1,
			time(NULL) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_table_is_read_quickly),
		cmocka_unit_test(errors_say_where),
		cmocka_unit_test(wasters_come_most_first),
		cmocka_unit_test(names_make_room),
		cmocka_unit_test(holders_are_found),
		cmocka_unit_test(clocks_agree),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
