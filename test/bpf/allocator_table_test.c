/* SPDX-License-Identifier: Apache-2.0 */
/* The table of ports in use: entries that grow, overflow and find no room, and how a port is chosen. */
#include "alloc_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#define FIRST 8192u

/* Ways of the rig's small table. */
#define SMALL_WAYS (RIG_SMALL_TABLE / DESTINATIONS_PER_BUCKET * WAYS)

static unsigned udp_fill(uint32_t addr, uint16_t port, int *fds, unsigned most)
{
	unsigned opened = 0;

	for (; opened < most; opened++) {
		fds[opened] = udp_socket();
		if (inet_connect(fds[opened], addr, port)) {
			close(fds[opened]);
			break;
		}
	}
	return opened;
}

/* All of the range, each port once. */
static void expect_all_different(const int *fds, unsigned count, uint32_t first, uint32_t ports)
{
	unsigned char seen[2048] = {0};

	for (unsigned i = 0; i < count; i++) {
		uint32_t port = local_port(fds[i]);

		expect(port >= first && port - first < ports);
		expect(!seen[port - first]);
		seen[port - first] = 1;
	}
}

static void the_ninth_connection_needs_a_bitmap(struct rig *rig)
{
	int fds[2][9] = {0};

	rig_begin(rig, FIRST, 2048);
	expect_equal(udp_fill(ORIGIN, 53, fds[0], 8), 8);
	expect_equal(rig_table(rig).fresh, 0);
	fds[0][8] = udp_opened(ORIGIN, 53);
	expect_equal(rig_table(rig).fresh, 1);
	expect_equal(rig_ports_used(rig), 9);
	expect_all_different(fds[0], 9, FIRST, 2048);
	/* It comes back with the fifth that goes, and the next one that needs one gets it. */
	for (int i = 0; i < 4; i++)
		close(fds[0][i]);
	expect_equal(udp_fill(ORIGIN + 1, 53, fds[1], 9), 9);
	expect_equal(rig_table(rig).fresh, 2);
	for (int i = 0; i < 5; i++)
		close(fds[1][i]);
	expect_equal(rig_ports_used(rig), 5 + 4);
	expect_equal(udp_fill(ORIGIN + 2, 53, fds[1], 9), 9);
	expect_equal(rig_table(rig).fresh, 2);
	expect_equal(rig_ports_used(rig), 5 + 4 + 9);
	expect_all_different(fds[1], 9, FIRST, 2048);
}

/* What an entry holds survives going into the bitmap and back, in any order. */
static void growing_and_shrinking_keep_the_ports(struct rig *rig)
{
	int fds[32] = {0};
	unsigned open = 0;

	rig_begin(rig, FIRST, 32);
	for (unsigned round = 0; round < 40; round++) {
		unsigned want = round * 7 % 33;

		while (open < want)
			fds[open++] = udp_opened(ORIGIN, 53);
		while (open > want)
			close(fds[--open]);
		expect_all_different(fds, open, FIRST, 32);
		expect_equal(rig_ports_used(rig), open);
		expect_equal(rig_ports_entries(rig), open ? 1 : 0);
	}
}

/* Every port of a slice, and not one more, whatever its size and where it lies in its 2,048. */
static void expect_filled(struct rig *rig, uint32_t first, uint32_t count)
{
	struct policy policy = rig_policy(first, count);
	int fds[2048] = {0}, refused = udp_socket();

	rig_policy_write(rig, POLICY_ONE, &policy);
	expect_equal(udp_fill(ORIGIN, 53, fds, count), count);
	expect_equal(inet_connect(refused, ORIGIN, 53), -EADDRNOTAVAIL);
	expect_all_different(fds, count, first, count);
	for (unsigned i = 0; i < count; i++)
		close(fds[i]);
	close(refused);
	rig_ports_expect(rig, 0);
}

static void slices_of_all_sizes_are_filled(struct rig *rig)
{
	static const uint32_t counts[] = {1, 2, 7, 8, 9, 10, 17, 64, 65};

	rig_begin(rig, FIRST, 1);
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
		expect_filled(rig, FIRST, counts[i]);
		expect_filled(rig, FIRST + 61, counts[i]);
		expect_filled(rig, FIRST + 2048 - counts[i], counts[i]);
	}
	expect_equal(rig_counter(rig, VERDICT_PORT_PROBED), 0);
}

/* Half of the ways: some buckets get more than they have room for, and what is in another bucket is found again. */
static void entries_overflow_into_a_second_bucket(struct rig *rig)
{
	unsigned overflows;

	rig_begin(rig, FIRST, 2);
	for (unsigned i = 0; i < SMALL_WAYS * 3 / 4; i++)
		udp_opened(ORIGIN, 1000 + i);
	overflows = rig_overflows(rig);
	expect(overflows > 0);
	for (unsigned i = 0; i < SMALL_WAYS * 3 / 4; i++) {
		udp_opened(ORIGIN, 1000 + i);
		expect_equal(inet_connect(udp_socket(), ORIGIN, 1000 + i), -EADDRNOTAVAIL);
	}
	expect_equal(rig_overflows(rig), overflows);
	expect_equal(rig_ports_used(rig), SMALL_WAYS * 3 / 2);
}

/* The table is full: connections get their ports beside it, as exactly as in it. */
static void beyond_the_table_ports_are_probed(struct rig *rig)
{
	int fds[16] = {0};

	rig_begin(rig, FIRST, 16);
	for (unsigned i = 0; i < SMALL_WAYS * 2; i++)
		udp_opened(ORIGIN, 1000 + i);
	expect(rig_ports_entries(rig) <= SMALL_WAYS);
	expect(rig_counter(rig, VERDICT_PORT_PROBED) >= SMALL_WAYS);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_TABLE_FULL), 0);
	expect_equal(rig_ports_used(rig), SMALL_WAYS * 2);
	/* One more destination: every port of the slice, and each once. */
	expect_equal(udp_fill(ORIGIN + 1, 53, fds, 16), 16);
	expect_all_different(fds, 16, FIRST, 16);
	expect_equal(inet_connect(udp_socket(), ORIGIN + 1, 53), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FULL), 1);
}

/* A destination whose connections are partly probed, partly in the table, in both orders. */
static void probed_and_tabled_share_a_slice(struct rig *rig)
{
	int others[SMALL_WAYS * 2], fds[16] = {0};

	rig_begin(rig, FIRST, 16);
	for (unsigned i = 0; i < SMALL_WAYS * 2; i++)
		others[i] = udp_opened(ORIGIN, 1000 + i);
	expect_equal(udp_fill(ORIGIN + 1, 53, fds, 5), 5);
	for (unsigned i = 0; i < SMALL_WAYS * 2; i++)
		close(others[i]);
	expect_equal(rig_table(rig).probes, 5);
	expect_equal(udp_fill(ORIGIN + 1, 53, fds + 5, 11), 11);
	expect(rig_ports_entries(rig) == 1 && rig_table(rig).probes >= 5);
	expect_all_different(fds, 16, FIRST, 16);
	expect_equal(inet_connect(udp_socket(), ORIGIN + 1, 53), -EADDRNOTAVAIL);
}

/* A policy that may have few destinations gets no more entries than those, and is never refused for it. */
static void a_policy_has_its_share_of_the_table(struct rig *rig)
{
	struct policy policy = rig_policy(FIRST, 16);
	int first;

	rig_begin(rig, FIRST, 16);
	policy.slot = 7;
	policy.destinations = 4;
	rig_policy_write(rig, POLICY_ONE, &policy);
	first = udp_opened(ORIGIN, 1000);
	for (unsigned i = 1; i < 10; i++)
		udp_opened(ORIGIN, 1000 + i);
	expect_equal(rig_policy_entries(rig, 7), 4);
	expect_equal(rig_ports_entries(rig), 4);
	expect_equal(rig_counter(rig, VERDICT_PORT_PROBED), 6);
	udp_opened(ORIGIN, 1001); /* has its entry already */
	expect_equal(rig_counter(rig, VERDICT_PORT_PROBED), 6);
	close(first);
	expect_equal(rig_policy_entries(rig, 7), 3);
	udp_opened(ORIGIN, 2000);
	expect_equal(rig_policy_entries(rig, 7), 4);
	expect_equal(rig_counter(rig, VERDICT_PORT_PROBED), 6);
}

/*
 * RFC 6056: a fresh random start for each choice. Over 2,048 equally likely ports chi-square has mean 2,047 and a
 * standard deviation of 64; ten of those never happen by chance. A walk would hit each port equally often, and give 0.
 */
static void ports_are_chosen_at_random(struct rig *rig)
{
	static unsigned hits[2048];
	double chi = 0, expected = 10;
	unsigned neighbours = 0;
	int before = 0;

	rig_begin(rig, FIRST, 2048);
	for (unsigned i = 0; i < 2048 * (unsigned)expected; i++) {
		int fd = udp_opened(ORIGIN, 53), port = local_port(fd);

		close(fd);
		hits[port - FIRST]++;
		neighbours += abs(port - before) <= 1;
		before = port;
	}
	for (unsigned i = 0; i < 2048; i++)
		chi += (hits[i] - expected) * (hits[i] - expected) / expected;
	print_message("# chi-square %.0f, %u neighbours\n", chi, neighbours);
	expect(chi > 2047 - 640 && chi < 2047 + 640);
	expect(neighbours < 100); /* 30 are to be expected */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(the_ninth_connection_needs_a_bitmap),
		RIG_CASE(growing_and_shrinking_keep_the_ports),
		RIG_CASE(slices_of_all_sizes_are_filled),
		RIG_CASE_SMALL(entries_overflow_into_a_second_bucket),
		RIG_CASE_SMALL(beyond_the_table_ports_are_probed),
		RIG_CASE_SMALL(probed_and_tabled_share_a_slice),
		RIG_CASE(a_policy_has_its_share_of_the_table),
		RIG_CASE(ports_are_chosen_at_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
