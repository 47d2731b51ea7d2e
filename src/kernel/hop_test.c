/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <arpa/inet.h>
#include <string.h>

/* cmocka wants these before its own header */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct hop_way way = {
	.src_mac = {0x02, 0, 0, 0, 0, 0x01},
	.dst_mac = {0x02, 0, 0, 0, 0, 0x02},
	.src = 0x0a000101, /* 10.0.1.1 */
	.dst = 0x0a0002fe, /* 10.0.2.254 */
	.wrap_port = 6080,
	.server_id = 0xabcde,
	.ifindex = 7,
	.mtu = 1540,
};

/* clang-format off */
static const uint8_t expected[WRAP_INNER_OFFSET] = {
	0x02, 0, 0, 0, 0, 0x02,  0x02, 0, 0, 0, 0, 0x01,  0x08, 0x00,
	0x45, 0, 0, 0,  0, 0, 0x40, 0,  64, 17, 0, 0,  10, 0, 1, 1,  10, 0, 2, 254,
	0, 0, 0x17, 0xc0,  0, 0, 0, 0,
	0x02, 0x04, 0, 0,  0x10, 0, 0, 0,  0xab, 0xcd, 0xe0, 0x00,
};
/* clang-format on */

static void builds_exact_bytes(void **state)
{
	struct hop_wrap wrap;

	(void)state;
	memset(&wrap, 0xff, sizeof(wrap));
	hop_wrap_build(&way, &wrap);
	assert_memory_equal(wrap.header, expected, sizeof(expected));
	assert_int_equal(wrap.ifindex, 7);
	assert_int_equal(wrap.mtu, 1540);
	assert_int_equal(wrap.reserved, 0);
}

/* Finishing the sum the way the forwarder does must give a header that sums to all ones. */
static void check_completes_to_a_valid_header(void **state)
{
	struct hop_wrap wrap;
	uint8_t ip[WRAP_IP_LEN];
	uint16_t length = htons(1540), tos = htons(0x00b9), word;
	uint32_t sum;

	(void)state;
	hop_wrap_build(&way, &wrap);
	memcpy(ip, wrap.header + WRAP_IP_OFFSET, sizeof(ip));
	sum = (uint32_t)wrap.check + length + tos;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	ip[1] = 0xb9;
	memcpy(ip + 2, &length, sizeof(length));
	word = (uint16_t)~sum;
	memcpy(ip + 10, &word, sizeof(word));

	sum = 0;
	for (unsigned i = 0; i < sizeof(ip); i += 2) {
		memcpy(&word, ip + i, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(sum, 0xffff);
}

static void bounds(void **state)
{
	struct hop_way wide = way;
	struct hop_wrap wrap;

	(void)state;
	wide.mtu = 65536; /* the loopback device's */
	wide.server_id = WRAP_SERVER_ID_MAX;
	hop_wrap_build(&wide, &wrap);
	assert_int_equal(wrap.mtu, 65535);
	assert_memory_equal(wrap.header + WRAP_GUE_OFFSET + 8, ((uint8_t[]){0xff, 0xff, 0xf0, 0}), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(builds_exact_bytes),
		cmocka_unit_test(check_completes_to_a_valid_header),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
