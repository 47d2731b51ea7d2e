/* SPDX-License-Identifier: Apache-2.0 */
/* Later fragments follow their first, and nothing else. */
#include "forwarder_rig.h"

#include <arpa/inet.h>
#include <err.h>
#include <time.h>

#include <bpf/bpf.h>

#define FIRST(...) IP(.src = PEER, .dst = EGRESS, .id = 5, .mf = true, __VA_ARGS__)
#define LATER_OF(...) IP(.offset = 100, __VA_ARGS__)
#define LATER(...) LATER_OF(.src = PEER, .dst = EGRESS, .id = 5, .protocol = 17, __VA_ARGS__)

static void packet_goes(const struct layer *layers, enum verdict verdict, uint32_t action, struct program_result *ret)
{
	struct packet in;

	packet_build(layers, &in);
	forwarder_run(&in, LOOPBACK, ret);
	assert_true(program_counted(ret, verdict));
	assert_int_equal(ret->action, action);
}

/* layers, as they came and as they are expected; NULL: unchanged. */
static void packet_comes_out(const struct layer *layers, enum verdict verdict, uint32_t action, const struct layer *out,
			     uint16_t spread)
{
	struct program_result result;
	struct packet expected;

	packet_goes(layers, verdict, action, &result);
	packet_build(out ? out : layers, &expected);
	if (out) {
		expected.bytes[34] = spread >> 8;
		expected.bytes[35] = spread & 255;
	}
	assert_true(packet_same(&expected, &result.out));
}

static void packet_dropped(const struct layer *layers, enum verdict verdict)
{
	struct program_result result;

	packet_goes(layers, verdict, XDP_DROP, &result);
}

/* To the port, as one whose first fragment is on its way to another server. Returns the UDP source port of its wrap. */
static uint16_t first_wrapped(uint16_t port)
{
	const struct layer *first =
		PACKET(FROM_ROUTER, FIRST(), UDP(.src = 53, .dst = port, .length_error = 900), BYTES(792));
	struct program_result result;

	packet_goes(first, VERDICT_WRAP, XDP_TX, &result);
	return result.out.bytes[34] << 8 | result.out.bytes[35];
}

static void same_way(void **state)
{
	uint16_t spread = first_wrapped(PORT_HOP);

	(void)state;
	packet_comes_out(PACKET(FROM_ROUTER, LATER(.mf = true), BYTES(800)), VERDICT_WRAP, XDP_TX,
			 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), LATER(.mf = true), BYTES(800)), spread);
	packet_comes_out(PACKET(FROM_ROUTER, LATER(.ttl = 9), BYTES(5)), VERDICT_WRAP, XDP_TX,
			 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), LATER(.ttl = 9), BYTES(5)), spread);
}

static void to_the_owner(void **state)
{
	struct program_result result;

	(void)state;
	packet_goes(PACKET(FROM_ROUTER, FIRST(), UDP(.src = 53, .dst = PORT_CONNECTED), BYTES(792)),
		    VERDICT_DELIVER_DIRECT, XDP_PASS, &result);
	packet_comes_out(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_DELIVER_DIRECT, XDP_PASS, NULL, 0);
}

/* A datagram is known by addresses, protocol and identification, and by all of them (RFC 791). */
static void of_another_datagram(void **state)
{
	(void)state;
	first_wrapped(PORT_HOP);
	packet_dropped(PACKET(FROM_ROUTER, LATER_OF(.src = PEER, .dst = EGRESS, .id = 6, .protocol = 17), BYTES(80)),
		       VERDICT_FRAGMENT_UNKNOWN);
	packet_dropped(
		PACKET(FROM_ROUTER, LATER_OF(.src = OTHER_PEER, .dst = EGRESS, .id = 5, .protocol = 17), BYTES(80)),
		VERDICT_FRAGMENT_UNKNOWN);
	packet_dropped(
		PACKET(FROM_ROUTER, LATER_OF(.src = PEER, .dst = EGRESS + 1, .id = 5, .protocol = 17), BYTES(80)),
		VERDICT_FRAGMENT_UNKNOWN);
	packet_dropped(PACKET(FROM_ROUTER, LATER_OF(.src = PEER, .dst = EGRESS, .id = 5, .protocol = 6), BYTES(80)),
		       VERDICT_FRAGMENT_UNKNOWN);
}

static void before_the_first(void **state)
{
	struct program_result result;

	(void)state;
	packet_dropped(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_FRAGMENT_UNKNOWN);
	first_wrapped(PORT_HOP);
	packet_goes(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_WRAP, XDP_TX, &result);
}

/* What its first fragment was refused for holds for the rest. */
static void of_a_dropped_first(void **state)
{
	const struct layer *later = PACKET(FROM_ROUTER, LATER(), BYTES(80));
	const struct layer *later_tcp =
		PACKET(FROM_ROUTER, LATER_OF(.src = PEER, .dst = EGRESS, .id = 5, .protocol = 6), BYTES(80));

	(void)state;
	packet_dropped(PACKET(FROM_ROUTER, FIRST(), UDP(.src = 53, .dst = PORT_FREE), BYTES(792)),
		       VERDICT_SLICE_UNOWNED);
	packet_dropped(later, VERDICT_FRAGMENT_UNKNOWN);
	packet_dropped(PACKET(FROM_ROUTER, FIRST(), UDP(.src = 53, .dst = PORT_LOCAL), BYTES(792)), VERDICT_NO_SOCKET);
	packet_dropped(later, VERDICT_FRAGMENT_UNKNOWN);
	packet_dropped(PACKET(FROM_ROUTER, FIRST(), TCP(.dst = PORT_HOP, .flags = TCP_SYN), BYTES(780)),
		       VERDICT_UNSOLICITED);
	packet_dropped(later_tcp, VERDICT_FRAGMENT_UNKNOWN);
}

/* Identifications come round again: the newest first fragment counts. */
static void of_the_newest_first(void **state)
{
	uint16_t spread;

	(void)state;
	first_wrapped(PORT_HOP);
	spread = first_wrapped(PORT_END);
	packet_comes_out(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_WRAP, XDP_TX,
			 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_END), LATER(), BYTES(80)), spread);
}

/* The port is remembered, not where it led to. */
static void slice_moved_meanwhile(void **state)
{
	uint32_t *entry = &forwarder_skel->data_slices->slices.entry[(5 << 5) + (PORT_HOP >> 11)], was = *entry;
	struct program_result result;

	(void)state;
	first_wrapped(PORT_HOP);
	*entry = SLICE_LOCAL;
	packet_goes(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_DELIVER_DIRECT, XDP_PASS, &result);
	*entry = SLICE_FREE;
	packet_dropped(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_SLICE_UNOWNED);
	*entry = was;
}

/* The only one remembered gets older. */
static void age(uint64_t by)
{
	int map = bpf_map__fd(forwarder_skel->maps.fragments);
	struct fragment_key key;
	struct fragment value;

	assert_int_equal(bpf_map_get_next_key(map, NULL, &key), 0);
	assert_int_equal(bpf_map_lookup_elem(map, &key, &value), 0);
	value.seen -= by;
	assert_int_equal(bpf_map_update_elem(map, &key, &value, BPF_EXIST), 0);
}

static void time_limit(void **state)
{
	const struct layer *later = PACKET(FROM_ROUTER, LATER(), BYTES(80));
	struct program_result result;

	(void)state;
	first_wrapped(PORT_HOP);
	age(FRAGMENT_LIFE - 10000000000ull);
	packet_goes(later, VERDICT_WRAP, XDP_TX, &result);
	age(10000000000ull);
	packet_dropped(later, VERDICT_FRAGMENT_UNKNOWN);
	first_wrapped(PORT_HOP);
	packet_goes(later, VERDICT_WRAP, XDP_TX, &result);
}

/* RFC 1122, 3.2.2: no ICMP error about a later fragment. */
static void too_big(void **state)
{
	struct program_result result;

	(void)state;
	packet_goes(PACKET(FROM_ROUTER, FIRST(.df = true), UDP(.src = 53, .dst = PORT_HOP), BYTES(1472)), VERDICT_WRAP,
		    XDP_TX, &result);
	packet_dropped(PACKET(FROM_ROUTER, LATER(.df = true), BYTES(1481)), VERDICT_TOO_BIG);
	packet_goes(PACKET(FROM_ROUTER, FIRST(.df = true), UDP(.src = 53, .dst = PORT_HOP), BYTES(1480)),
		    VERDICT_TOO_BIG, XDP_TX, &result);
}

static size_t remembered(void)
{
	int map = bpf_map__fd(forwarder_skel->maps.fragments);
	struct fragment_key key, *at = NULL;
	size_t count = 0;

	while (!bpf_map_get_next_key(map, at, &key)) {
		at = &key;
		count++;
	}
	return count;
}

/* More datagrams than there is room for: the oldest go, the newest stay. */
static void bounded(void **state)
{
	LIBBPF_OPTS(bpf_test_run_opts, run, .repeat = 1);
	int program = bpf_program__fd(forwarder_skel->progs.forwarder);
	struct program_result result;
	struct packet in;

	(void)state;
	packet_build(PACKET(FROM_ROUTER, FIRST(), UDP(.src = 53, .dst = PORT_HOP), BYTES(792)), &in);
	run.data_in = in.bytes;
	run.data_size_in = in.size;
	for (uint32_t i = 0; i < 3 * FRAGMENTS_MAX; i++) {
		in.bytes[26] = 100 + (i >> 16);
		in.bytes[18] = i >> 8;
		in.bytes[19] = i;
		assert_int_equal(bpf_prog_test_run_opts(program, &run), 0);
	}
	assert_in_range(remembered(), FRAGMENTS_MAX / 2, FRAGMENTS_MAX);
	first_wrapped(PORT_HOP);
	packet_goes(PACKET(FROM_ROUTER, LATER(), BYTES(80)), VERDICT_WRAP, XDP_TX, &result);
	packet_dropped(
		PACKET(FROM_ROUTER, LATER_OF(.src = IPV4(100, 0, 2, 7), .dst = EGRESS, .protocol = 17), BYTES(80)),
		VERDICT_FRAGMENT_UNKNOWN);
}

/* clang-format off */
static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(same_way, forwarder_setup),
	cmocka_unit_test_setup(to_the_owner, forwarder_setup),
	cmocka_unit_test_setup(of_another_datagram, forwarder_setup),
	cmocka_unit_test_setup(before_the_first, forwarder_setup),
	cmocka_unit_test_setup(of_a_dropped_first, forwarder_setup),
	cmocka_unit_test_setup(of_the_newest_first, forwarder_setup),
	cmocka_unit_test_setup(slice_moved_meanwhile, forwarder_setup),
	cmocka_unit_test_setup(time_limit, forwarder_setup),
	cmocka_unit_test_setup(too_big, forwarder_setup),
	cmocka_unit_test_setup(bounded, forwarder_setup),
};
/* clang-format on */

int main(int argc, char **argv)
{
	return forwarder_main(argc, argv, NULL, 0, tests, sizeof(tests) / sizeof(*tests));
}
