/* SPDX-License-Identifier: Apache-2.0 */
#include "portuse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm.h"
#include "proto.h"

#define EGRESS 0xcb007105u /* 203.0.113.5 */
#define DEST 0xc6336407u /* 198.51.100.7 */

static struct policy policy_of(size_t count, const struct policy_slice *slices)
{
	struct policy policy = {.slice_count = (uint32_t)count};

	memcpy(policy.slices, slices, count * sizeof(*slices));
	return policy;
}

/* An entry with `count` ports from `first` on. */
static void entry(struct portuse *portuse, uint32_t egress, uint32_t dest, uint16_t port, uint32_t first,
		  uint32_t count)
{
	const struct ports_key key = {.egress = htonl(egress),
				      .dest = htonl(dest),
				      .dest_port = htons(port),
				      .proto = IPPROTO_TCP,
				      .chunk = (uint8_t)(first >> CHUNK_SHIFT)};
	struct port_entry ports = {.key = key, .used = count};

	for (uint32_t at = first % PORTS_PER_CHUNK; at < first % PORTS_PER_CHUNK + count; at++)
		ports.bits[at / 64] |= UINT64_C(1) << at % 64;
	assert_int_equal(portuse_entry(portuse, &ports), 0);
}

static struct use sum(struct portuse *portuse, size_t top)
{
	struct use use = {0};

	assert_int_equal(portuse_sum(portuse, top, &use), 0);
	portuse_free(portuse);
	return use;
}

static struct portuse *with_policy(size_t count, const struct policy_slice *slices)
{
	struct portuse *portuse = portuse_new();
	const struct policy policy = policy_of(count, slices);

	assert_non_null(portuse);
	assert_int_equal(portuse_policy(portuse, 7, "crawler", &policy, 5), 0);
	return portuse;
}

static void test_one_slice(void **state)
{
	const struct policy_slice slice = {.addr = htonl(EGRESS), .first = 4096, .count = 2048};
	struct portuse *portuse = with_policy(1, &slice);
	struct use use;

	(void)state;
	entry(portuse, EGRESS, DEST, 443, 4096, 2048);
	entry(portuse, EGRESS, DEST, 80, 4096, 100);
	entry(portuse, EGRESS, DEST + 1, 443, 6143, 1);
	entry(portuse, EGRESS, DEST + 2, 443, 4096, 0);
	use = sum(portuse, 2);
	assert_int_equal(use.ports, 2048);
	assert_int_equal(use.destinations, 3);
	assert_int_equal(use.connections, 2149);
	assert_int_equal(use.left_over, 0);
	assert_int_equal(use.slice_count, 1);
	assert_int_equal(use.slices[0].addr, EGRESS);
	assert_int_equal(use.slices[0].fullest, 2048);
	assert_int_equal(use.slices[0].connections, 2149);
	assert_int_equal(use.slices[0].destinations, 3);
	assert_int_equal(use.policy_count, 1);
	assert_string_equal(use.policies[0].name, "crawler");
	assert_int_equal(use.policies[0].id, 7);
	assert_int_equal(use.policies[0].fullest, 2048);
	assert_int_equal(use.policies[0].ports, 2048);
	assert_int_equal(use.top_count, 2);
	assert_int_equal(use.top[0].addr, DEST);
	assert_int_equal(use.top[0].port, 443);
	assert_string_equal(use.top[0].proto, "tcp");
	assert_int_equal(use.top[0].used, 2048);
	assert_string_equal(use.top[0].policy, "crawler");
	assert_int_equal(use.top[1].port, 80);
	use_clear(&use);
}

/* A destination's ports lie in several slices, and in several entries of one slice. */
static void test_slices_of_other_sizes(void **state)
{
	const struct policy_slice slices[] = {
		{.addr = htonl(EGRESS), .first = 2048, .count = 256},
		{.addr = htonl(EGRESS), .first = 2304, .count = 256},
		{.addr = htonl(EGRESS + 1), .first = 4096, .count = 4096},
	};
	struct portuse *portuse = with_policy(3, slices);
	struct use use;

	(void)state;
	entry(portuse, EGRESS, DEST, 443, 2048 + 200, 100); /* 56 and 44 */
	entry(portuse, EGRESS + 1, DEST, 443, 6144, 5);
	entry(portuse, EGRESS + 1, DEST, 443, 4096, 7);
	use = sum(portuse, 10);
	assert_int_equal(use.ports, 256 + 256 + 4096);
	assert_int_equal(use.destinations, 1);
	assert_int_equal(use.slices[0].fullest, 56);
	assert_int_equal(use.slices[1].fullest, 44);
	assert_int_equal(use.slices[2].fullest, 12);
	assert_int_equal(use.slices[2].destinations, 1);
	assert_int_equal(use.policies[0].slices, 3);
	assert_int_equal(use.policies[0].fullest, 112);
	assert_int_equal(use.policies[0].destinations, 1);
	assert_int_equal(use.top[0].used, 112);
	assert_int_equal(use.top[0].policy_ports, 256 + 256 + 4096);
	use_clear(&use);
}

/* Two policies, one slice of each and one of both; the top names the one that is nearer to its end. */
static void test_shared_slices(void **state)
{
	const struct policy_slice first[] = {{.addr = htonl(EGRESS), .first = 4096, .count = 2048},
					     {.addr = htonl(EGRESS + 1), .first = 4096, .count = 2048}};
	const struct policy_slice second[] = {{.addr = htonl(EGRESS + 1), .first = 4096, .count = 2048}};
	const struct policy other = policy_of(1, second);
	struct portuse *portuse = with_policy(2, first);
	struct use use;

	(void)state;
	assert_int_equal(portuse_policy(portuse, 3, "dns", &other, 0), 0);
	entry(portuse, EGRESS, DEST, 443, 4096, 10);
	entry(portuse, EGRESS + 1, DEST, 443, 4096, 100);
	use = sum(portuse, 10);
	assert_int_equal(use.ports, 4096);
	assert_int_equal(use.slice_count, 2);
	assert_int_equal(use.connections, 110);
	assert_int_equal(use.policies[0].id, 3);
	assert_int_equal(use.policies[0].connections, 100);
	assert_int_equal(use.policies[0].fallbacks, 0);
	assert_int_equal(use.policies[1].fallbacks, 5);
	assert_int_equal(use.policies[1].connections, 110);
	assert_string_equal(use.top[0].policy, "dns");
	assert_int_equal(use.top[0].policy_used, 100);
	assert_int_equal(use.top[0].policy_ports, 2048);
	use_clear(&use);
}

static void test_left_over(void **state)
{
	const struct policy_slice slice = {.addr = htonl(EGRESS), .first = 4096, .count = 256};
	struct portuse *portuse = with_policy(1, &slice);
	struct use use;

	(void)state;
	entry(portuse, EGRESS, DEST, 443, 4096 + 250, 10); /* 4 beyond the slice */
	entry(portuse, EGRESS + 9, DEST + 1, 443, 4096, 3); /* of no policy */
	use = sum(portuse, 10);
	assert_int_equal(use.connections, 13);
	assert_int_equal(use.left_over, 7);
	assert_int_equal(use.slices[0].connections, 6);
	assert_int_equal(use.top_count, 1);
	assert_int_equal(use.top[0].used, 6);
	use_clear(&use);
}

/* Bounds of a slice may lie within a word of bits. */
static void test_odd_bounds(void **state)
{
	const struct policy_slice slice = {.addr = htonl(EGRESS), .first = 4100, .count = 100};
	struct portuse *portuse = with_policy(1, &slice);
	struct use use;

	(void)state;
	entry(portuse, EGRESS, DEST, 443, 4096, 200);
	use = sum(portuse, 1);
	assert_int_equal(use.slices[0].connections, 100);
	assert_int_equal(use.left_over, 100);
	use_clear(&use);
}

static void test_top(void **state)
{
	const struct policy_slice slice = {.addr = htonl(EGRESS), .first = 4096, .count = 2048};
	struct portuse *portuse = with_policy(1, &slice);
	struct use use;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++)
		entry(portuse, EGRESS, DEST + i, 443, 4096, i * 7919 % 1000 + 1);
	use = sum(portuse, 5);
	assert_int_equal(use.destinations, 1000);
	assert_int_equal(use.top_count, 5);
	for (uint32_t i = 0; i < 5; i++)
		assert_int_equal(use.top[i].used, 1000 - i);
	use_clear(&use);
}

static void test_nothing(void **state)
{
	struct use use = sum(portuse_new(), 0);

	(void)state;
	assert_int_equal(use.ports, 0);
	assert_int_equal(use.slice_count, 0);
	assert_int_equal(use.top_count, 0);
	use_clear(&use);
}

static void test_texts(void **state)
{
	char text[REPORT_WORD_MAX], name[COMM_SIZE];

	(void)state;
	assert_string_equal(proto_text(IPPROTO_UDP, text), "udp");
	assert_string_equal(proto_text(200, text), "200");
	comm_text("a\033[31m\xffz", name);
	assert_string_equal(name, "a?[31m?z");
	comm_text("0123456789abcdef", name);
	assert_string_equal(name, "0123456789abcde");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_slice),     cmocka_unit_test(test_slices_of_other_sizes),
		cmocka_unit_test(test_shared_slices), cmocka_unit_test(test_left_over),
		cmocka_unit_test(test_top),           cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_texts),         cmocka_unit_test(test_odd_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
