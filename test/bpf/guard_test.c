/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard against golden packets: packet in, action, the one counter that grows, and every byte that comes out. Each
 * case is a test of its own; `guard_test PATTERN` runs those whose name matches.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/pkt_cls.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/abi/forwarder.h"
#include "packet.h"
#include "program.h"

#include "guard.skel.h"

#define ROUTER 0x0a0000000001 /* Ethernet addresses */
#define SERVER 0x0a0000000007

#define HOST IPV4(10, 0, 1, 7)
#define PEER IPV4(10, 8, 8, 8)
#define EGRESS IPV4(203, 0, 113, 5) /* slices of 2,048 ports: columns 3 and 5 are this server's */
#define EGRESS_NONE IPV4(203, 0, 113, 6) /* an egress address without a slice of this server */
#define EGRESS_FLOOR IPV4(198, 51, 100, 1) /* slices of 32,768 ports: column 0, which straddles the floor */
#define EGRESS_UPPER IPV4(198, 51, 100, 2) /* the same: column 1 */
#define EGRESS_NARROW IPV4(192, 0, 2, 255) /* slices of 256 ports: the last of the 256 columns */
#define NOT_EGRESS IPV4(198, 51, 100, 16) /* in the /24, but not in the pool */

#define PORT_OWN 6144
#define PORT_OWN_TOO 10240
#define PORT_FOREIGN 8192 /* a hop's */
#define PORT_FREE 4096
#define PORT_TRAP 51200 /* own as well: 203.0, the address read as a port, lies in it */
#define NARROW_COLUMN 255

/* What the program returns when it lets a packet go on. */
#define ON ((uint32_t)TC_ACT_UNSPEC)

struct golden {
	const char *name;
	const struct layer *in;
	enum verdict verdict; /* VERDICT_COUNT: nothing is counted */
	uint32_t action;
	const struct layer *out; /* NULL: as it came in */
	uint32_t segments; /* what the device will cut it into */
};

#define OUT ETH(ROUTER, SERVER)
#define FROM(addr, ...) IP(.src = (addr), .dst = PEER, __VA_ARGS__)

/* A row may end early: what is left out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off */
#define LEAVES(title, ...) {title, PACKET(__VA_ARGS__), VERDICT_COUNT, ON}
#define STOPPED(title, ...) {title, PACKET(OUT, __VA_ARGS__), VERDICT_FOREIGN_SOURCE, TC_ACT_SHOT}

static const struct golden judged[] = {
	LEAVES("leaves: TCP of the host's own address", OUT, FROM(HOST, .id = 1), TCP(.src = 4096)),
	LEAVES("leaves: address of the /24 outside the pool", OUT, FROM(NOT_EGRESS, .id = 1), TCP(.src = 4096)),
	LEAVES("leaves: ARP", ETH(0xffffffffffff, SERVER, .type = 0x0806), BYTES(46)),
	LEAVES("leaves: IPv6", ETH(ROUTER, SERVER, .type = 0x86dd), BYTES(60)),
	LEAVES("leaves: TCP of an own slice", OUT, FROM(EGRESS, .df = true, .id = 1), TCP(.src = PORT_OWN)),
	LEAVES("leaves: SYN of an own slice", OUT, FROM(EGRESS, .df = true), TCP(.src = PORT_OWN, .flags = TCP_SYN)),
	LEAVES("leaves: last port of an own slice", OUT, FROM(EGRESS, .df = true), TCP(.src = PORT_OWN + 2047)),
	LEAVES("leaves: another own slice", OUT, FROM(EGRESS, .df = true), TCP(.src = PORT_OWN_TOO)),
	LEAVES("leaves: UDP", OUT, FROM(EGRESS, .df = true), UDP(.src = PORT_OWN), BYTES(20)),
	LEAVES("leaves: options", OUT, FROM(EGRESS, .df = true, .options = 40), UDP(.src = PORT_OWN), BYTES(20)),
	LEAVES("leaves: first fragment with DF", OUT, FROM(EGRESS, .df = true, .mf = true), UDP(.src = PORT_OWN),
		BYTES(20)),
	LEAVES("leaves: later fragment with DF, by address", OUT,
		FROM(EGRESS, .df = true, .offset = 9, .protocol = 17), BYTES(20)),
	LEAVES("leaves: echo request, by address", OUT, FROM(EGRESS, .df = true),
		ICMP(.type = 8, .id = PORT_FOREIGN)),
	LEAVES("leaves: ICMP error of the stack, by address", OUT, FROM(EGRESS, .df = true, .tos = 0xc0),
		ICMP(.type = 3, .code = 3), BYTES(28)),
	LEAVES("leaves: another protocol, by address", OUT, FROM(EGRESS, .df = true, .protocol = 132), BYTES(20)),
	LEAVES("leaves: lowest port of a slice that straddles the floor", OUT, FROM(EGRESS_FLOOR, .df = true),
		TCP(.src = 2048)),
	LEAVES("leaves: port 65535", OUT, FROM(EGRESS_UPPER, .df = true), TCP(.src = 65535)),
	LEAVES("leaves: the last of 256 columns", OUT, FROM(EGRESS_NARROW, .df = true), TCP(.src = 65280)),
	STOPPED("stopped: port of another server", FROM(EGRESS, .df = true), TCP(.src = PORT_FOREIGN)),
	STOPPED("stopped: port of another server, DF clear", FROM(EGRESS), TCP(.src = PORT_FOREIGN)),
	STOPPED("stopped: free port", FROM(EGRESS, .df = true), TCP(.src = PORT_FREE)),
	STOPPED("stopped: one port below an own slice", FROM(EGRESS, .df = true), TCP(.src = PORT_OWN - 1)),
	STOPPED("stopped: one port above an own slice", FROM(EGRESS, .df = true), TCP(.src = PORT_OWN + 2048)),
	STOPPED("stopped: port 0", FROM(EGRESS, .df = true), TCP(.src = 0)),
	STOPPED("stopped: port 65535 of another", FROM(EGRESS, .df = true), TCP(.src = 65535)),
	STOPPED("stopped: below the floor of an own slice", FROM(EGRESS_FLOOR, .df = true), TCP(.src = 2047)),
	STOPPED("stopped: port 22 of an own slice's column", FROM(EGRESS_FLOOR, .df = true), TCP(.src = 22)),
	STOPPED("stopped: UDP of another", FROM(EGRESS, .df = true), UDP(.src = PORT_FOREIGN), BYTES(20)),
	STOPPED("stopped: options", FROM(EGRESS, .df = true, .options = 8), UDP(.src = PORT_FOREIGN), BYTES(20)),
	STOPPED("stopped: first fragment, by port", FROM(EGRESS, .mf = true), UDP(.src = PORT_FOREIGN), BYTES(20)),
	STOPPED("stopped: no slice on the address", FROM(EGRESS_NONE, .df = true), TCP(.src = PORT_OWN)),
	STOPPED("stopped: no slice on the address, later fragment", FROM(EGRESS_NONE, .offset = 9, .protocol = 17),
		BYTES(20)),
	STOPPED("stopped: no slice on the address, ICMP", FROM(EGRESS_NONE, .df = true), ICMP(.type = 8)),
	STOPPED("stopped: no slice on the address, another protocol",
		FROM(EGRESS_NONE, .df = true, .protocol = 132), BYTES(20)),
	STOPPED("stopped: no port to read", FROM(EGRESS, .protocol = 17), BYTES(1)),
	STOPPED("stopped: header of 12 bytes", FROM(EGRESS, .df = true, .words = 3), TCP(.src = PORT_OWN)),
	STOPPED("stopped: header of 16 bytes", FROM(EGRESS, .df = true, .words = 4), TCP(.src = PORT_OWN)),
};

#define MOVED(title, addr, sport, from, to) \
	{title, PACKET(OUT, FROM(addr, .id = (from)), UDP(.src = (sport)), BYTES(64)), VERDICT_COUNT, ON, \
	 PACKET(OUT, FROM(addr, .id = (to)), UDP(.src = (sport)), BYTES(64))}
#define SEGMENTED(title, addr, sport, count, from, to) \
	{title, PACKET(OUT, FROM(addr, .id = (from)), TCP(.src = (sport)), BYTES(64)), VERDICT_COUNT, ON, \
	 PACKET(OUT, FROM(addr, .id = (to)), TCP(.src = (sport)), BYTES(64)), count}

static const struct golden moved[] = {
	MOVED("identification: 0", EGRESS, PORT_OWN, 0, 6144),
	MOVED("identification: 1", EGRESS, PORT_OWN, 1, 6145),
	MOVED("identification: 2047", EGRESS, PORT_OWN, 2047, 8191),
	MOVED("identification: 2048", EGRESS, PORT_OWN, 2048, 6144),
	MOVED("identification: 65535", EGRESS, PORT_OWN, 65535, 8191),
	MOVED("identification: within the part already", EGRESS, PORT_OWN, 7000, 7000),
	MOVED("identification: a higher slice uses the same part", EGRESS, PORT_OWN_TOO, 5, 6149),
	MOVED("identification: the column straddles the floor", EGRESS_FLOOR, 4096, 0xffff, 0x7fff),
	MOVED("identification: the column straddles the floor, 0", EGRESS_FLOOR, 4096, 0x8000, 0),
	MOVED("identification: upper half", EGRESS_UPPER, 65535, 0, 0x8000),
	MOVED("identification: part of 256", EGRESS_NARROW, 65535, 0x1234, 0xff34),
	{"identification: DF keeps it", PACKET(OUT, FROM(EGRESS, .df = true, .id = 5), UDP(.src = PORT_OWN)),
		VERDICT_COUNT, ON},
	{"identification: the host's own packet keeps it", PACKET(OUT, FROM(HOST, .id = 5), UDP(.src = PORT_OWN)),
		VERDICT_COUNT, ON},
	{"identification: first fragment", PACKET(OUT, FROM(EGRESS, .id = 0xabcd, .mf = true),
		UDP(.src = PORT_OWN_TOO), BYTES(64)), VERDICT_COUNT, ON,
	 PACKET(OUT, FROM(EGRESS, .id = 0x1bcd, .mf = true), UDP(.src = PORT_OWN_TOO), BYTES(64))},
	{"identification: its later fragment agrees", PACKET(OUT,
		FROM(EGRESS, .id = 0xabcd, .offset = 9, .protocol = 17), BYTES(64)), VERDICT_COUNT, ON,
	 PACKET(OUT, FROM(EGRESS, .id = 0x1bcd, .offset = 9, .protocol = 17), BYTES(64))},
	{"identification: options", PACKET(OUT, FROM(EGRESS, .id = 0xabcd, .options = 8), UDP(.src = PORT_OWN)),
		VERDICT_COUNT, ON,
	 PACKET(OUT, FROM(EGRESS, .id = 0x1bcd, .options = 8), UDP(.src = PORT_OWN))},
	{"identification: ICMP", PACKET(OUT, FROM(EGRESS, .id = 0xabcd), ICMP(.type = 8)), VERDICT_COUNT, ON,
	 PACKET(OUT, FROM(EGRESS, .id = 0x1bcd), ICMP(.type = 8))},
	SEGMENTED("segments: the last one is the part's last", EGRESS, PORT_OWN, 40, 2008, 6144 + 2008),
	SEGMENTED("segments: none leaves the part", EGRESS, PORT_OWN, 40, 2009, 6144 + 2008),
	SEGMENTED("segments: none leaves the part, last identification", EGRESS, PORT_OWN, 40, 2047, 6144 + 2008),
	SEGMENTED("segments: as many as the part", EGRESS_NARROW, 65535, 256, 77, 0xff00),
	SEGMENTED("segments: more than the part", EGRESS_NARROW, 65535, 300, 77, 0xff00),
};
/* clang-format on */

static struct guard *skeleton;

static struct directory *directory_live(void)
{
	return &skeleton->data_directories->directories.copy[0];
}

/* base: of the first address's first slice. */
static void pool_write(uint32_t addr, uint32_t shift, uint32_t base, uint32_t addresses)
{
	struct directory *directory = directory_live();

	directory->slots[directory_index(directory->multiplier, addr)] =
		(struct directory_slot){.key = directory_key(addr), .base = base, .shift = shift};
	for (uint32_t i = 0; i < addresses << (16 - shift); i++)
		skeleton->data_slices->slices.entry[base + i] = SLICE_FREE;
}

static void slice_write(uint32_t addr, uint32_t port, uint32_t entry)
{
	const struct directory *directory = directory_live();
	const struct directory_slot *slot = &directory->slots[directory_index(directory->multiplier, addr)];

	skeleton->data_slices->slices.entry[directory_slice(slot->base, slot->shift, addr, port)] = entry;
}

static void tables_write(void)
{
	directory_live()->multiplier = 0x9e3779b1;
	pool_write(EGRESS, 11, 0, 256);
	pool_write(EGRESS_FLOOR, 15, 8192, 16);
	pool_write(EGRESS_NARROW, 8, SLICES_MAX - 65536, 256); /* the last that fit */
	slice_write(EGRESS, PORT_OWN, SLICE_LOCAL);
	slice_write(EGRESS, PORT_OWN_TOO, SLICE_LOCAL | SLICE_INBOUND);
	slice_write(EGRESS, PORT_TRAP, SLICE_LOCAL);
	slice_write(EGRESS, PORT_FOREIGN, SLICE_HOP);
	slice_write(EGRESS_NONE, PORT_OWN, SLICE_HOP + 5);
	slice_write(EGRESS_FLOOR, 2048, SLICE_LOCAL);
	slice_write(EGRESS_UPPER, 32768, SLICE_LOCAL | SLICE_INBOUND);
	slice_write(EGRESS_NARROW, NARROW_COLUMN << 8, SLICE_LOCAL);
}

/* Anew for each test, so that a test may change it. */
static int test_setup(void **state)
{
	(void)state;
	skeleton->data_config->config.layout = BERTH_LAYOUT_VERSION;
	return 0;
}

static void run(const struct packet *in, uint32_t segments, struct program_result *ret)
{
	program_run_tc(skeleton->progs.guard, skeleton->maps.counters, in, segments, ret);
}

static void golden_run(void **state)
{
	const struct golden *golden = *state;
	struct program_result result;
	struct packet in, expected;

	packet_build(golden->in, &in);
	packet_build(golden->out ? golden->out : golden->in, &expected);
	run(&in, golden->segments, &result);
	assert_int_equal(result.action, golden->action);
	assert_true(program_counted(&result, golden->verdict));
	assert_true(packet_same(&expected, &result.out));
}

/* Every identification lands in the part, with the checksum mended. */
static void every_identification(void **state)
{
	struct program_result result;
	struct packet in, expected;

	(void)state;
	for (uint32_t id = 0; id < 65536; id++) {
		packet_build(PACKET(OUT, FROM(EGRESS, .id = id), UDP(.src = PORT_OWN)), &in);
		packet_build(PACKET(OUT, FROM(EGRESS, .id = 6144 + id % 2048), UDP(.src = PORT_OWN)), &expected);
		run(&in, 0, &result);
		assert_true(packet_same(&expected, &result.out));
	}
}

/* A foreign source does not get out by being cut short; what is too short for an IPv4 header has no source. */
static void cut_everywhere(void **state)
{
	struct program_result result;
	struct packet whole, cut;

	(void)state;
	packet_build(PACKET(OUT, FROM(EGRESS, .df = true), TCP(.src = PORT_FOREIGN), BYTES(10)), &whole);
	for (size_t size = 34; size < whole.size; size++) {
		cut = whole;
		packet_cut(&cut, size);
		run(&cut, 0, &result);
		assert_int_equal(result.action, TC_ACT_SHOT);
		assert_true(program_counted(&result, VERDICT_FOREIGN_SOURCE));
	}
}

static void no_tables(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	skeleton->data_config->config.layout = 0;
	packet_build(PACKET(OUT, FROM(EGRESS), TCP(.src = PORT_FOREIGN)), &in);
	run(&in, 0, &result);
	assert_int_equal(result.action, ON);
	assert_true(program_counted(&result, VERDICT_COUNT));
	assert_true(packet_same(&in, &result.out));
}

/* What the verifier goes through stays far from its limit of a million. */
static void verified_size(void **state)
{
	(void)state;
	assert_in_range(program_print_size(skeleton->progs.guard), 1, 100000);
}

static const struct CMUnitTest others[] = {
	cmocka_unit_test_setup(every_identification, test_setup),
	cmocka_unit_test_setup(cut_everywhere, test_setup),
	cmocka_unit_test_setup(no_tables, test_setup),
	cmocka_unit_test_setup(verified_size, test_setup),
};

static char verifier_log[16 << 20];

static int group_setup(void **state)
{
	(void)state;
	program_namespace("203.0.113.0/24");
	skeleton = guard__open();
	if (!skeleton)
		err(1, "opening the guard");
	bpf_program__set_log_level(skeleton->progs.guard, 1);
	bpf_program__set_log_buf(skeleton->progs.guard, verifier_log, sizeof(verifier_log));
	if (guard__load(skeleton))
		errx(1, "loading the guard: %s\n%s", strerror(errno), verifier_log);
	tables_write();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	guard__destroy(skeleton);
	return 0;
}

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static struct CMUnitTest golden_test(const struct golden *golden)
{
	return (struct CMUnitTest){.name = golden->name,
				   .test_func = golden_run,
				   .setup_func = test_setup,
				   .initial_state = (void *)golden};
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[COUNT(judged) + COUNT(moved) + COUNT(others)];
	size_t count = 0;

	for (size_t i = 0; i < COUNT(judged); i++)
		tests[count++] = golden_test(&judged[i]);
	for (size_t i = 0; i < COUNT(moved); i++)
		tests[count++] = golden_test(&moved[i]);
	for (size_t i = 0; i < COUNT(others); i++)
		tests[count++] = others[i];
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("guard", tests, count, group_setup, group_teardown);
}
