/* SPDX-License-Identifier: Apache-2.0 */
/* What good files become. Run from the root of the repository. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../abi/wrap.h"
#include "fleet_file.h"
#include "fleet_file_example.h"

static struct fleet *fleet_read(const char *text, size_t size)
{
	struct fleet_faults faults = {0};
	struct fleet *fleet = NULL;
	int err = fleet_file_read(text, size, &fleet, &faults);

	if (faults.count > 0)
		fail_msg("%zu:%zu: %s", faults.items[0].line, faults.items[0].column, faults.items[0].text);
	assert_int_equal(err, 0);
	return fleet;
}

static struct fleet *fleet_of(const char *name)
{
	char path[256];
	struct fleet *fleet;
	size_t size;
	char *text;

	snprintf(path, sizeof(path), "test/fleet/good/%s", name);
	text = example_read(path, &size);
	fleet = fleet_read(text, size);
	free(text);
	return fleet;
}

static uint32_t addr(const char *text)
{
	uint32_t number;

	assert_int_equal(addr_parse(text, &number), 0);
	return number;
}

static void assert_tags(const struct tags *tags, const char *expected)
{
	char *text = tags_format(tags);

	assert_string_equal(text, expected);
	free(text);
}

static void assert_selector(const struct selector *selector, const char *expected)
{
	char *text = selector_format(selector);

	assert_string_equal(text, expected);
	free(text);
}

static void assert_select(const struct fleet_policy *policy, const char *expected)
{
	assert_selector(&policy->select, expected);
}

static void the_design_example_is_read(void **state)
{
	struct fleet *fleet = fleet_of("design.yaml");

	(void)state;
	assert_string_equal(fleet->name, "acme");
	assert_int_equal(fleet->pool_count, 1);
	assert_int_equal(fleet->pools[0].prefix.addr, addr("203.0.113.0"));
	assert_int_equal(fleet->pools[0].prefix.len, 24);
	assert_int_equal(fleet->pools[0].shift, 11);
	assert_int_equal(fleet->addresses_count, 2);
	assert_int_equal(fleet->addresses[1].range.last, addr("203.0.113.15"));
	assert_tags(&fleet->addresses[0].tags, "city=Frankfurt,country=DE,product=crawler");
	assert_int_equal(fleet->site_count, 2);
	assert_int_equal(fleet->server_count, 3);
	assert_int_equal(fleet->sites[0].tunnel, addr("10.0.1.254"));
	assert_int_equal(fleet->sites[1].first_server, 2);
	assert_int_equal(fleet->sites[1].server_count, 1);
	assert_string_equal(fleet->servers[2].name, "ams-1");
	assert_int_equal(fleet->servers[2].site, 1);
	assert_int_equal(fleet->servers[2].underlay, addr("10.0.2.1"));
	assert_int_equal(fleet->policy_count, 2);
	assert_string_equal(fleet->policies[0].cgroup, "/system.slice/crawler.service");
	assert_select(&fleet->policies[1], "country=$site.country");
	assert_int_equal(fleet->drain, 1800);
	assert_int_equal(fleet->cooling, 240);
	fleet_free(fleet);
}

static void what_is_left_out_has_its_default(void **state)
{
	struct fleet *fleet = fleet_of("small.yaml");

	(void)state;
	assert_int_equal(fleet->underlay_mtu, 1500);
	assert_int_equal(fleet->max_hops, WRAP_HOPS_DEFAULT);
	assert_int_equal(fleet->avoid_count, 12);
	assert_int_equal(fleet->avoid[8], 11211);
	assert_int_equal(fleet->drain, 1800);
	assert_int_equal(fleet->cooling, 240);
	assert_int_equal(fleet->pools[0].shift, 11);
	assert_int_equal(fleet->policy_count, 0);
	assert_int_equal(fleet->sites[0].id, 0);
	assert_int_equal(fleet->sites[0].tunnel, 0);
	assert_int_equal(fleet->sites[0].place.count, 0);
	assert_int_equal(fleet->servers[0].id, 0);
	assert_int_equal(fleet->addresses[0].range.first, addr("198.51.100.35"));
	assert_int_equal(fleet->addresses[0].range.last, addr("198.51.100.35"));
	fleet_free(fleet);
}

static void every_key_is_read(void **state)
{
	struct fleet *fleet = fleet_of("full.yaml");
	const struct fleet_policy *all = &fleet->policies[0];
	const struct fleet_policy *most = &fleet->policies[1];
	const struct fleet_policy *marked = &fleet->policies[2];

	(void)state;
	assert_string_equal(fleet->name, "full_Fleet-1.example");
	assert_int_equal(fleet->underlay_mtu, 9000);
	assert_int_equal(fleet->max_hops, 15);
	assert_int_equal(fleet->avoid_count, 2);
	assert_int_equal(fleet->avoid[0], 5353);
	assert_int_equal(fleet->pools[0].shift, 8);
	assert_int_equal(fleet->pools[2].shift, 15);
	assert_int_equal(fleet->sites[0].id, 4095);
	assert_int_equal(fleet->sites[1].id, 0);
	assert_int_equal(fleet->servers[0].id, 1048575);
	assert_int_equal(fleet->servers[1].id, 0);
	assert_string_equal(all->cgroup, "/");
	assert_select(all, "*");
	assert_int_equal(all->slices, 1);
	assert_int_equal(all->destinations, 0);
	assert_int_equal(all->address, ADDRESS_STICKY);
	assert_int_equal(all->unconnected_udp, UNCONNECTED_DENY);
	assert_int_equal(all->except_count, 0);
	assert_string_equal(most->cgroup, "/system.slice/a b.service");
	assert_select(most, "country=$site.country,trust=*");
	assert_int_equal(all->fallback_count, 0);
	assert_int_equal(most->fallback_count, 2);
	assert_selector(&most->fallback[0], "country=$site.country");
	assert_selector(&most->fallback[1], "*");
	assert_int_equal(most->slices, 32);
	assert_int_equal(most->destinations, 1000);
	assert_int_equal(most->address, ADDRESS_SPREAD);
	assert_int_equal(most->unconnected_udp, UNCONNECTED_OWN_ADDRESS);
	assert_int_equal(all->other_netns, OTHER_NETNS_DENY);
	assert_int_equal(most->other_netns, OTHER_NETNS_HOST_ADDRESS);
	assert_int_equal(all->mark, 0);
	assert_int_equal(most->mark, UINT32_MAX);
	assert_null(marked->cgroup);
	assert_int_equal(marked->mark, 1);
	assert_int_equal(most->except_count, 3);
	assert_int_equal(most->except[1].addr, addr("198.51.100.1"));
	assert_int_equal(most->except[1].len, 32);
	assert_int_equal(most->serve_count, 3);
	assert_int_equal(most->serve[1], 65535);
	assert_int_equal(all->users.count + all->groups.count, 0);
	assert_int_equal(most->users.count, 3);
	assert_string_equal(most->users.items[1], "4294967294");
	assert_string_equal(most->users.items[2], "_a.b-c@example.com");
	assert_int_equal(most->groups.count, 1);
	assert_string_equal(most->groups.items[0], "0");
	assert_int_equal(fleet->drain, 0);
	assert_int_equal(fleet->cooling, 86400);
	fleet_free(fleet);
}

static void addresses_are_sorted_and_found(void **state)
{
	struct fleet *fleet = fleet_of("full.yaml");
	const struct fleet_addresses *found;

	(void)state;
	for (size_t i = 1; i < fleet->addresses_count; i++)
		assert_true(fleet->addresses[i - 1].range.last < fleet->addresses[i].range.first);
	found = fleet_find_address(fleet, addr("203.0.113.255"));
	assert_tags(&found->tags, "city=Mo i Rana,country=NO,trust=1");
	assert_int_equal(found->pool, 1);
	assert_ptr_equal(fleet_find_address(fleet, addr("203.0.113.192")), found);
	assert_null(fleet_find_address(fleet, addr("203.0.113.191")));
	assert_null(fleet_find_address(fleet, addr("203.0.113.128")));
	assert_int_equal(fleet_find_address(fleet, addr("203.0.113.127"))->pool, 0);
	assert_int_equal(fleet_find_address(fleet, addr("192.0.2.7"))->pool, 2);
	assert_null(fleet_find_address(fleet, 0));
	assert_null(fleet_find_address(fleet, UINT32_MAX));
	assert_ptr_equal(fleet_find_pool(fleet, addr("203.0.113.200")), &fleet->pools[1]);
	assert_null(fleet_find_pool(fleet, addr("203.0.113.150")));
	fleet_free(fleet);
}

static void names_and_ids_are_found(void **state)
{
	struct fleet *fleet = fleet_of("full.yaml");

	(void)state;
	assert_ptr_equal(fleet_find_site(fleet, "2nd"), &fleet->sites[1]);
	assert_null(fleet_find_site(fleet, "osl-1"));
	assert_ptr_equal(fleet_find_server(fleet, "osl-2"), &fleet->servers[1]);
	assert_null(fleet_find_server(fleet, "osl"));
	assert_ptr_equal(fleet_find_server_id(fleet, 1048575), &fleet->servers[0]);
	assert_ptr_equal(fleet_find_site_id(fleet, 4095), &fleet->sites[0]);
	assert_null(fleet_find_server_id(fleet, 0));
	assert_null(fleet_find_site_id(fleet, 0));
	fleet_free(fleet);
}

static void a_byte_order_mark_and_cr_lf_do_no_harm(void **state)
{
	struct fleet *fleet = fleet_of("dos.yaml");

	(void)state;
	assert_string_equal(fleet->name, "dos");
	assert_tags(&fleet->addresses[0].tags, "country=DE");
	fleet_free(fleet);
}

static void the_manual_example_is_good(void **state)
{
	static const char fence[] = "```yaml\n";
	struct fleet *fleet;
	size_t size;
	char *page = example_read("docs/fleet-file.md", &size);
	const char *example = strstr(page, fence);

	(void)state;
	assert_non_null(example);
	example += strlen(fence);
	fleet = fleet_read(example, (size_t)(strstr(example, "```") - example));
	assert_int_equal(fleet->server_count, 3);
	fleet_free(fleet);
	free(page);
}

static void nothing_is_freed_twice(void **state)
{
	(void)state;
	fleet_free(NULL);
	fleet_free(calloc(1, sizeof(struct fleet)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_design_example_is_read), cmocka_unit_test(what_is_left_out_has_its_default),
		cmocka_unit_test(every_key_is_read),          cmocka_unit_test(addresses_are_sorted_and_found),
		cmocka_unit_test(names_and_ids_are_found),    cmocka_unit_test(a_byte_order_mark_and_cr_lf_do_no_harm),
		cmocka_unit_test(the_manual_example_is_good), cmocka_unit_test(nothing_is_freed_twice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
