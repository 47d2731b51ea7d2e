/* SPDX-License-Identifier: Apache-2.0 */
/* What needs no kernel: which slices a policy gets, and which it must give up. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/slice.h"
#include "agent.h"
#include "policies.h"

#define DE_1 0xcb007100u /* 203.0.113.0 */
#define DE_2 0xcb007101u
#define NL 0xcb007108u

static const char fleet_text[] = "version: 1\n"
				 "fleet: test\n"
				 "underlay_mtu: %s\n"
				 "pools:\n"
				 "  - {prefix: 203.0.113.0/24, slice_ports: 2048}\n"
				 "addresses:\n"
				 "  - {range: 203.0.113.0 - 203.0.113.7, tags: {country: DE}}\n"
				 "  - {range: 203.0.113.8, tags: {country: NL}}\n"
				 "sites:\n"
				 "  - name: fra\n"
				 "    id: 1\n"
				 "    tunnel: 10.0.1.254\n"
				 "    servers:\n"
				 "      - {name: fra-1, id: 1, underlay: 10.0.1.1}\n"
				 "      - {name: fra-2, id: 2, underlay: 10.0.1.2}\n"
				 "policies:\n"
				 "  - {name: all, cgroup: /all, select: \"*\"}\n";

struct fixture {
	struct agent agent;
	struct state state;
};

static void hold(struct fixture *f, uint32_t addr, uint32_t column, uint32_t owner, enum slice_state state)
{
	struct ownership_row row = {.addr = addr, .column = column, .home = 1, .owner = owner, .state = state};

	assert_int_equal(ownership_set(&f->state.held, &row), 0);
}

static void start(struct fixture *f, const char *mtu)
{
	struct fleet_faults faults = {0};
	char text[sizeof(fleet_text) + 8];

	*f = (struct fixture){.agent = {.options = {.server = "fra-1"}}};
	snprintf(text, sizeof(text), fleet_text, mtu);
	if (fleet_file_read(text, strlen(text), &f->state.fleet, &faults))
		fail_msg("line %zu: %s", faults.items[0].line, faults.items[0].text);
	fleet_faults_free(&faults);
	f->agent.state = &f->state;
}

static void stop(struct fixture *f)
{
	fleet_free(f->state.fleet);
	ownership_free(&f->state.held);
}

static void fill(struct fixture *f, const char *text, struct policy *ret)
{
	struct selector selector;

	assert_int_equal(selector_parse(text, &selector, NULL, NULL), 0);
	policy_fill(&f->agent, &selector, 1, ret);
	selector_free(&selector);
}

static void assert_slice(const struct policy *policy, uint32_t index, uint32_t addr, uint32_t first, uint32_t count)
{
	assert_int_equal(ntohl(policy->slices[index].addr), addr);
	assert_int_equal(policy->slices[index].first, first);
	assert_int_equal(policy->slices[index].count, count);
}

static void test_id(void **state)
{
	(void)state;
	/* Pinned maps carry it: it must never change. FNV-1a's own test vectors. */
	assert_int_equal(policy_id("a"), 0xe40c292cu);
	assert_int_equal(policy_id("foobar"), 0xbf9cf968u);
	assert_int_not_equal(policy_id("crawler"), policy_id("run:crawler"));
	assert_int_not_equal(policy_id(""), POLICY_NONE);
}

static void test_fill(void **state)
{
	struct policy policy = {.flags = POLICY_SPREAD};
	struct fixture f;

	(void)state;
	start(&f, "1500");
	hold(&f, DE_1, 1, 1, SLICE_STATE_OWNED);
	hold(&f, DE_1, 2, 2, SLICE_STATE_OWNED); /* another server's */
	hold(&f, DE_2, 31, 1, SLICE_STATE_OWNED);
	hold(&f, DE_2, 3, 1, SLICE_STATE_COOLING); /* opens nothing any more */
	hold(&f, DE_2, 4, 0, SLICE_STATE_FREE);
	hold(&f, NL, 1, 1, SLICE_STATE_OWNED);
	fill(&f, "country=DE", &policy);
	assert_int_equal(policy.slice_count, 2);
	assert_slice(&policy, 0, DE_1, 2048, 2048);
	assert_slice(&policy, 1, DE_2, 63488, 2048);
	assert_int_equal(policy.flags, POLICY_SPREAD);
	fill(&f, "country=NL", &policy);
	assert_int_equal(policy.slice_count, 1);
	assert_slice(&policy, 0, NL, 2048, 2048);
	fill(&f, "*", &policy);
	assert_int_equal(policy.slice_count, 3);
	fill(&f, "country=FR", &policy);
	assert_int_equal(policy.slice_count, 0);
	stop(&f);
}

/* The tiers of a policy: a slice is in the first one whose selector matches it. */
static void test_fill_tiers(void **state)
{
	struct selector selectors[3];
	struct policy policy = {0};
	struct fixture f;

	(void)state;
	start(&f, "1500");
	hold(&f, DE_1, 1, 1, SLICE_STATE_OWNED);
	hold(&f, DE_2, 1, 1, SLICE_STATE_OWNED);
	hold(&f, NL, 1, 1, SLICE_STATE_OWNED);
	assert_int_equal(selector_parse("country=NL", &selectors[0], NULL, NULL), 0);
	assert_int_equal(selector_parse("country=FR", &selectors[1], NULL, NULL), 0);
	assert_int_equal(selector_parse("*", &selectors[2], NULL, NULL), 0);
	policy_fill(&f.agent, selectors, 3, &policy);
	assert_int_equal(policy.slice_count, 3);
	assert_slice(&policy, 0, NL, 2048, 2048);
	assert_slice(&policy, 1, DE_1, 2048, 2048);
	assert_slice(&policy, 2, DE_2, 2048, 2048);
	assert_int_equal(policy.slices[0].tier, 0);
	assert_int_equal(policy.slices[1].tier, 2);
	assert_int_equal(policy.slices[2].tier, 2);
	/* What is left when some go keeps its tier. */
	hold(&f, NL, 1, 2, SLICE_STATE_OWNED);
	assert_true(policy_trim(&f.agent, &policy));
	assert_int_equal(policy.slice_count, 2);
	assert_int_equal(policy.slices[0].tier, 2);
	for (size_t i = 0; i < 3; i++)
		selector_free(&selectors[i]);
	stop(&f);
}

static void test_fill_no_more_than_fit(void **state)
{
	struct policy *policy = calloc(1, sizeof(*policy));
	struct fixture f;

	(void)state;
	assert_non_null(policy);
	start(&f, "1500");
	for (uint32_t i = 0; i < 8 * 31; i++)
		hold(&f, DE_1 + i / 31, 1 + i % 31, 1, SLICE_STATE_OWNED);
	fill(&f, "country=DE", policy);
	assert_int_equal(policy->slice_count, POLICY_SLICES_MAX);
	assert_slice(policy, 0, DE_1, 2048, 2048);
	free(policy);
	stop(&f);
}

/* Wrapped, a packet of a reply fits the underlay; and no packet is larger than the internet takes. */
static void test_mss(void **state)
{
	static const struct {
		const char *underlay;
		unsigned mss;
	} cases[] = {{"1500", 1420}, {"1280", 1200}, {"1539", 1459}, {"1540", 1460}, {"9000", 1460}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct policy policy = {0};
		struct fixture f;

		start(&f, cases[i].underlay);
		fill(&f, "*", &policy);
		assert_int_equal(policy.mss, cases[i].mss);
		stop(&f);
	}
}

static void test_trim(void **state)
{
	struct policy policy = {0};
	struct fixture f;

	(void)state;
	start(&f, "1500");
	hold(&f, DE_1, 1, 1, SLICE_STATE_OWNED);
	hold(&f, DE_1, 5, 1, SLICE_STATE_OWNED);
	hold(&f, DE_2, 2, 1, SLICE_STATE_OWNED);
	hold(&f, NL, 3, 1, SLICE_STATE_OWNED);
	fill(&f, "*", &policy);
	assert_int_equal(policy.slice_count, 4);
	assert_false(policy_trim(&f.agent, &policy));
	hold(&f, DE_1, 1, 2, SLICE_STATE_OWNED);
	hold(&f, DE_2, 2, 1, SLICE_STATE_COOLING);
	assert_true(policy_trim(&f.agent, &policy));
	assert_int_equal(policy.slice_count, 2);
	assert_slice(&policy, 0, DE_1, slice_first_port(5, 11), 2048);
	assert_slice(&policy, 1, NL, slice_first_port(3, 11), 2048);
	/* A slice of another size is another slice. */
	policy.slices[0].count = 1024;
	assert_true(policy_trim(&f.agent, &policy));
	assert_int_equal(policy.slice_count, 1);
	/* What is in no pool any more, and everything once the server has left the fleet. */
	policy.slices[0].addr = htonl(0xc6336401u);
	assert_true(policy_trim(&f.agent, &policy));
	fill(&f, "*", &policy);
	f.agent.options.server = "gone";
	assert_true(policy_trim(&f.agent, &policy));
	assert_int_equal(policy.slice_count, 0);
	assert_false(policy_trim(&f.agent, &policy));
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_fill),
		cmocka_unit_test(test_fill_no_more_than_fit),
		cmocka_unit_test(test_fill_tiers),
		cmocka_unit_test(test_mss),
		cmocka_unit_test(test_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
