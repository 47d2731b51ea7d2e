/* SPDX-License-Identifier: Apache-2.0 */
/* What holds for every packet: nothing read beyond its end, checksums, hops, tables that change, reports. */
#include "forwarder_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>

/* clang-format off */
/* Hop 0 takes 1,540 bytes, so packets of 1,500; 68 bytes of what came are quoted. */
#define REPORT(mtu, ...) \
	PACKET(ETH(ROUTER, SERVER), IP(.src = UNDERLAY, .dst = PEER, .tos = 0xc0, .df = true), \
	       ICMP(.type = 3, .code = 4, .value = (mtu)), QUOTE(68, FROM_ROUTER, __VA_ARGS__))
#define REPORTED(title, mtu, padding, ...) \
	{title, PACKET(FROM_ROUTER, __VA_ARGS__), padding, VERDICT_TOO_BIG, XDP_TX, REPORT(mtu, __VA_ARGS__)}

static const struct golden too_bigs[] = {
	{"too big: 1,500 bytes fit 1,540", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP), BYTES(1460)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP), BYTES(1460))},
	REPORTED("too big: 1,501 bytes do not", 1500, 0, REPLY(.id = 0x1234), TCP(.src = 443, .dst = PORT_HOP),
		BYTES(1461)),
	REPORTED("too big: UDP", 1500, 0, REPLY(), UDP(.src = 53, .dst = PORT_HOP), BYTES(2000)),
	REPORTED("too big: another hop, another MTU", 1460, 0, REPLY(), TCP(.dst = PORT_SITE), BYTES(1421)),
	REPORTED("too big: options", 1500, 0, REPLY(.options = 40), TCP(.dst = PORT_HOP), BYTES(1460)),
	REPORTED("too big: bytes behind the packet", 1500, 4, REPLY(), TCP(.dst = PORT_HOP), BYTES(1461)),
	REPORTED("too big: echo reply", 1500, 0, REPLY(), ICMP(.id = PORT_HOP), BYTES(2000)),
	{"too big: bytes behind the packet do not count", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP),
		BYTES(1460)), 4, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP), BYTES(1460))},
	{"too big: DF clear", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS), TCP(.dst = PORT_HOP),
		BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: ICMP error", PACKET(FROM_ROUTER, REPLY(), ICMP(.type = 3), QUOTED(), UDP(.src = PORT_HOP),
		BYTES(1480)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from loopback", PACKET(FROM_ROUTER, IP(.src = IPV4(127, 0, 0, 1), .dst = EGRESS, .df = true),
		TCP(.dst = PORT_HOP), BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from nowhere", PACKET(FROM_ROUTER, IP(.src = 0, .dst = EGRESS, .df = true), TCP(.dst = PORT_HOP),
		BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from a multicast address", PACKET(FROM_ROUTER,
		IP(.src = IPV4(224, 0, 0, 1), .dst = EGRESS, .df = true), TCP(.dst = PORT_HOP), BYTES(1461)), 0,
		VERDICT_TOO_BIG, XDP_DROP},
};
/* clang-format on */

static const struct layer *const wrapped_local = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
							TCP(.src = 443, .dst = PORT_LOCAL), BYTES(30));
static const struct layer *const wrapped_relay = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_HOP), REPLY(),
							TCP(.src = 443, .dst = PORT_HOP), BYTES(30));
static const struct layer *const wrapped_error = PACKET(
	FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), IP(.src = OTHER_PEER, .dst = EGRESS, .options = 8),
	ICMP(.type = 3, .code = 1), QUOTED(.options = 8), UDP(.src = PORT_LOCAL, .dst = 53), BYTES(8));
static const struct layer *const plain_hop = PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_HOP), BYTES(30));
static const struct layer *const plain_local =
	PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_LOCAL), BYTES(30));
static const struct layer *const plain_error =
	PACKET(FROM_ROUTER, IP(.src = OTHER_PEER, .dst = EGRESS, .options = 8), ICMP(.type = 3, .code = 1),
	       QUOTED(.options = 8), UDP(.src = PORT_HOP, .dst = 53), BYTES(8));

/*
 * Cut anywhere, a packet whose address can be read is dropped with `verdict`; one that ends before is none of ours.
 * known: bytes up to which it cannot be seen that the packet is ours.
 */
static void cut_everywhere(const struct layer *layers, size_t known, enum verdict verdict)
{
	struct program_result result;
	struct packet whole, cut;

	packet_build(layers, &whole);
	for (size_t size = 14; size < whole.size; size++) {
		cut = whole;
		packet_cut(&cut, size);
		forwarder_run(&cut, LOOPBACK, &result);
		assert_int_equal(result.action, size < known ? XDP_PASS : XDP_DROP);
		assert_true(program_counted(&result, size < known ? NO_VERDICT : verdict));
		assert_true(packet_same(&cut, &result.out));
	}
}

static void cut_plain(void **state)
{
	(void)state;
	cut_everywhere(plain_hop, 34, VERDICT_MALFORMED);
	cut_everywhere(plain_local, 34, VERDICT_MALFORMED);
	cut_everywhere(plain_error, 34, VERDICT_MALFORMED);
}

static void cut_tunnel(void **state)
{
	(void)state;
	cut_everywhere(wrapped_local, 42, VERDICT_TUNNEL_MALFORMED);
	cut_everywhere(wrapped_relay, 42, VERDICT_TUNNEL_MALFORMED);
	cut_everywhere(wrapped_error, 42, VERDICT_TUNNEL_MALFORMED);
}

/* Bits of the outer headers that may differ in a packet that is delivered all the same: mask by offset. */
static const uint8_t outer_free[WRAP_INNER_OFFSET] = {
	[0] = 0xff,  [1] = 0xff,  [2] = 0xff, [3] = 0xff, [4] = 0xff,  [5] = 0xff, /* Ethernet: destination */
	[6] = 0xff,  [7] = 0xff,  [8] = 0xff, [9] = 0xff, [10] = 0xff, [11] = 0xff, /* source */
	[15] = 0xfe, /* TOS, but what makes CE of ECT */
	[18] = 0xff, [19] = 0xff, /* identification */
	[20] = 0xc0, /* reserved bit and DF */
	[22] = 0xff, /* TTL */
	[24] = 0xff, [25] = 0xff, /* header checksum: the link's frame check and the last router have seen to it */
	[34] = 0xff, [35] = 0xff, /* UDP source port */
	[46] = 0x0f, /* forwardings */
	[52] = 0x0f, [53] = 0xff, /* entry site */
};

/* With any bit of the wrap turned over a packet is delivered only where the wrap leaves that bit open. */
static void turned_bits(void **state)
{
	struct program_result result;
	struct packet whole, turned;

	(void)state;
	packet_build(wrapped_local, &whole);
	for (size_t bit = 0; bit < WRAP_INNER_OFFSET * 8; bit++) {
		bool open = outer_free[bit / 8] >> bit % 8 & 1 || bit == 15 * 8;

		turned = whole;
		turned.bytes[bit / 8] ^= 1u << bit % 8;
		forwarder_run(&turned, LOOPBACK, &result);
		if ((result.counted[VERDICT_DELIVER_UNWRAP] == 1) != open)
			fail_msg("byte %zu, bit %zu: delivered %s", bit / 8, bit % 8, open ? "not" : "all the same");
		if (bit / 8 != 48 && bit / 8 != 49) /* another steering port may well be another server's */
			assert_int_equal(result.counted[VERDICT_RELAY], 0);
	}
}

/* Every value that the outer checksum's sum can fold to comes right: all lengths that fit, all ECN fields. */
static void checksum_everywhere(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	for (size_t bytes = 0; bytes <= 1460; bytes++) {
		packet_build(PACKET(FROM_ROUTER, REPLY(.tos = bytes & 3), TCP(.dst = PORT_HOP), BYTES(bytes)), &in);
		forwarder_run(&in, LOOPBACK, &result);
		assert_int_equal(result.action, XDP_TX);
		assert_int_equal(packet_sum(result.out.bytes + WRAP_IP_OFFSET, WRAP_IP_LEN), 0xffff);
		assert_int_equal(packet_sum(result.out.bytes + WRAP_INNER_OFFSET, WRAP_IP_LEN), 0xffff);
	}
}

/* The template's sum at both ends: the last addition carries, and the outer checksum is 0. */
static void checksum_extremes(void **state)
{
	static const uint16_t sums[] = {0x0000, 0x0001, 0x7fff, 0xfffe, 0xffff};
	struct program_result result;
	struct packet in;

	(void)state;
	for (size_t i = 0; i < sizeof(sums) / sizeof(*sums); i++)
		for (uint32_t tos = 0; tos < 4; tos++) {
			struct hop_wrap *wrap = &forwarder_skel->data_hops->hops.wrap[0][1];
			uint32_t sum = sums[i] + 80 + tos; /* an outer packet of 80 bytes */

			wrap->check = htons(sums[i]);
			packet_build(PACKET(FROM_ROUTER, REPLY(.tos = tos), TCP(.dst = PORT_HOP)), &in);
			forwarder_run(&in, LOOPBACK, &result);
			assert_int_equal(result.out.bytes[24] << 8 | result.out.bytes[25],
					 (uint16_t) ~(sum > 0xffff ? sum - 0xffff : sum));
		}
}

/* Congestion marked on the way: the inner checksum is mended for every value that it can have. */
static void ecn_checksum(void **state)
{
	struct program_result result;
	struct packet in, expected;

	(void)state;
	for (uint32_t id = 0; id < 65536; id++) {
		packet_build(PACKET(FROM_8, OUTER_IN(.tos = 3), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL),
				    REPLY(.tos = 2, .id = id), TCP(.dst = PORT_LOCAL)),
			     &in);
		packet_build(PACKET(FROM_8, REPLY(.tos = 3, .id = id), TCP(.dst = PORT_LOCAL)), &expected);
		forwarder_run(&in, LOOPBACK, &result);
		assert_true(packet_same(&expected, &result.out));
	}
}

static void no_tables(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	forwarder_skel->data_config->config.layout = 0;
	packet_build(plain_hop, &in);
	forwarder_run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
	packet_build(wrapped_local, &in);
	forwarder_run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
}

/* The two copies of directory and hop: readers use the live one only. */
static void live_copies(void **state)
{
	struct directories *directories = &forwarder_skel->data_directories->directories;
	struct program_result result;
	struct packet in;

	(void)state;
	packet_build(plain_hop, &in);
	directories->live = 0;
	forwarder_run(&in, LOOPBACK, &result);
	directories->live = 1;
	assert_true(program_counted(&result, NO_VERDICT));
	forwarder_skel->data_hops->hops.live[0] = 0;
	forwarder_run(&in, LOOPBACK, &result);
	assert_true(program_counted(&result, VERDICT_HOP_UNRESOLVED));
}

static void hops_counted(const struct layer *layers, uint8_t max_hops, enum verdict expected)
{
	struct program_result result;
	struct packet in;

	forwarder_skel->data_config->config.max_hops = max_hops;
	packet_build(layers, &in);
	forwarder_run(&in, LOOPBACK, &result);
	assert_true(program_counted(&result, expected));
}

static void hop_limits(void **state)
{
	(void)state;
	hops_counted(plain_hop, 0, VERDICT_HOP_LIMIT);
	hops_counted(plain_hop, 1, VERDICT_WRAP);
	hops_counted(wrapped_relay, 1, VERDICT_HOP_LIMIT);
	hops_counted(wrapped_relay, 2, VERDICT_RELAY);
	for (uint32_t hops = 0; hops < 16; hops++) {
		const struct layer *layers = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_HOP, .hops = hops),
						    REPLY(), TCP(.dst = PORT_HOP));

		hops_counted(layers, 15, hops < 14 ? VERDICT_RELAY : VERDICT_HOP_LIMIT);
		hops_counted(layers, 255, hops < 15 ? VERDICT_RELAY : VERDICT_HOP_LIMIT);
	}
}

/* No tunnel address: one of 0.0.0.0 is not it. */
static void no_tunnel_address(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	forwarder_skel->data_config->config.tunnel = 0;
	packet_build(PACKET(FROM_8, IP(.src = UNDERLAY_8, .dst = 0), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
			    TCP(.dst = PORT_LOCAL)),
		     &in);
	forwarder_run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
}

/* XDP_TX is for the device that the packet came from, whichever that is. */
static void other_ingress(void **state)
{
	uint32_t device = if_nametoindex("berth0");
	struct program_result result;
	struct packet in;

	(void)state;
	assert_int_not_equal(device, 0);
	packet_build(plain_hop, &in);
	forwarder_run(&in, device, &result);
	assert_int_equal(result.action, XDP_REDIRECT);
	forwarder_skel->data_hops->hops.wrap[0][1].ifindex = device;
	forwarder_run(&in, device, &result);
	assert_int_equal(result.action, XDP_TX);
}

/* Receives every frame that comes in at a device. */
static int frames_open(uint32_t device)
{
	struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = device};
	struct timeval patience = {.tv_sec = 2};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (void *)&any, sizeof(any)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

/* A real frame, wrapped and redirected, comes out of the hop's device: at the other end of that veth pair. */
static void redirect_arrives(void **state)
{
	uint32_t far = if_nametoindex("berth1");
	struct packet in, expected, got = {0};
	LIBBPF_OPTS(bpf_test_run_opts, live, .data_in = in.bytes, .repeat = 1, .batch_size = 1,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int program = bpf_program__fd(forwarder_skel->progs.forwarder);
	int frames = frames_open(far);

	(void)state;
	packet_build(PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_SITE), BYTES(100)), &in);
	packet_build(PACKET(TO_SITE, OUTER_SITE(), TUNNEL_UDP(), LABEL(PORT_SITE), REPLY(),
			    TCP(.src = 443, .dst = PORT_SITE), BYTES(100)),
		     &expected);
	forwarder_spread_write(&expected);
	live.data_size_in = in.size;
	forwarder_skel->data_hops->hops.wrap[1][1].ifindex = if_nametoindex("berth0");
	/* A veth end takes redirected frames only when XDP runs at the other end; there, they pass. */
	assert_int_equal(bpf_xdp_attach(far, program, 0, NULL), 0);
	assert_int_equal(bpf_prog_test_run_opts(program, &live), 0);
	do
		got.size = recv(frames, got.bytes, sizeof(got.bytes), 0);
	while (got.size <= PACKET_MAX && memcmp(got.bytes + 12, "\x08\x00", 2)); /* IPv6 announces itself there */
	assert_int_equal(bpf_xdp_detach(far, 0, NULL), 0);
	close(frames);
	assert_true(got.size <= PACKET_MAX);
	assert_true(packet_same(&expected, &got));
}

/* A burst is answered, then one packet a millisecond; every one is counted. */
static void report_rate(void **state)
{
	struct timespec begin, end;
	uint32_t answered = 0, most;
	struct program_result result;
	struct packet in;

	(void)state;
	packet_build(PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP), BYTES(1461)), &in);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 2000; i++) {
		forwarder_run(&in, LOOPBACK, &result);
		assert_true(program_counted(&result, VERDICT_TOO_BIG));
		answered += result.action == XDP_TX;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	most = 51 + (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	assert_in_range(answered, 50, most);
	assert_true(answered < 2000);
}

/* What the verifier goes through stays far from its limit of a million. */
static void verified_size(void **state)
{
	(void)state;
	assert_in_range(program_print_size(forwarder_skel->progs.forwarder), 1, 100000);
}

/* clang-format off */
static const struct CMUnitTest others[] = {
	cmocka_unit_test_setup(cut_plain, forwarder_setup),
	cmocka_unit_test_setup(cut_tunnel, forwarder_setup),
	cmocka_unit_test_setup(turned_bits, forwarder_setup),
	cmocka_unit_test_setup(checksum_everywhere, forwarder_setup),
	cmocka_unit_test_setup(checksum_extremes, forwarder_setup),
	cmocka_unit_test_setup(ecn_checksum, forwarder_setup),
	cmocka_unit_test_setup(no_tables, forwarder_setup),
	cmocka_unit_test_setup(live_copies, forwarder_setup),
	cmocka_unit_test_setup(hop_limits, forwarder_setup),
	cmocka_unit_test_setup(no_tunnel_address, forwarder_setup),
	cmocka_unit_test_setup(other_ingress, forwarder_setup),
	cmocka_unit_test_setup(redirect_arrives, forwarder_setup),
	cmocka_unit_test_setup(report_rate, forwarder_setup),
	cmocka_unit_test_setup(verified_size, forwarder_setup),
};
/* clang-format on */

int main(int argc, char **argv)
{
	static const struct golden_list lists[] = {GOLDEN_LIST(too_bigs)};

	return forwarder_main(argc, argv, lists, sizeof(lists) / sizeof(*lists), others,
			      sizeof(others) / sizeof(*others));
}
