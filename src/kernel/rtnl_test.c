/* SPDX-License-Identifier: Apache-2.0 */
/* In a network namespace of its own: a veth pair net0-peer with 192.0.2.0/31. */
#include "rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sandbox.h"

#define HERE 0xc0000200 /* 192.0.2.0 */
#define THERE 0xc0000201 /* 192.0.2.1 */

static struct rtnl *rtnl;

static int set_up(void **state)
{
	(void)state;
	return sandbox_enter(
		       "ip link set lo up && ip link add net0 address 02:00:00:00:00:01 type veth peer name peer "
		       "address 02:00:00:00:00:02 && ip addr add 192.0.2.0/31 dev net0 && ip link set net0 up mtu "
		       "1600 && "
		       "ip link set peer up && ip route add 198.51.100.0/24 via 192.0.2.1 mtu 1540 && "
		       "ip route add blackhole 10.9.0.0/25 && ip route add unreachable 10.9.0.128/25") ||
	       (sandbox_ready && rtnl_open(&rtnl));
}

static int tear_down(void **state)
{
	(void)state;
	rtnl_close(rtnl);
	return 0;
}

static void links(void **state)
{
	struct rtnl_link link, *all;
	size_t count;

	NEED_SANDBOX();
	assert_int_equal(rtnl_link_by_name(rtnl, "net0", &link), 0);
	assert_string_equal(link.name, "net0");
	assert_int_equal(link.mtu, 1600);
	assert_true(link.up && link.has_mac && !link.noarp);
	assert_memory_equal(link.mac, ((uint8_t[]){2, 0, 0, 0, 0, 1}), 6);
	assert_int_equal(rtnl_link_by_index(rtnl, link.ifindex, &link), 0);
	assert_string_equal(link.name, "net0");
	assert_int_equal(rtnl_link_by_index(rtnl, 1, &link), 0);
	assert_false(link.has_mac);
	assert_int_equal(rtnl_link_by_name(rtnl, "none", &link), -ENODEV);
	assert_int_equal(rtnl_link_by_index(rtnl, 9999, &link), -ENODEV);
	assert_int_equal(rtnl_links(rtnl, &all, &count), 0);
	assert_int_equal(count, 3);
	free(all);
}

static void addresses(void **state)
{
	struct rtnl_address *all;
	struct rtnl_link link;
	size_t count;

	NEED_SANDBOX();
	assert_int_equal(rtnl_address_link(rtnl, HERE, &link), 0);
	assert_string_equal(link.name, "net0");
	assert_int_equal(rtnl_address_link(rtnl, THERE, &link), -EADDRNOTAVAIL);
	assert_int_equal(rtnl_addresses(rtnl, &all, &count), 0);
	assert_int_equal(count, 2);
	free(all);
}

static void ways(void **state)
{
	struct rtnl_link link;
	struct rtnl_way way;

	NEED_SANDBOX();
	assert_int_equal(rtnl_link_by_name(rtnl, "net0", &link), 0);
	assert_int_equal(rtnl_way_get(rtnl, THERE, &way), 0);
	assert_int_equal(way.ifindex, link.ifindex);
	assert_int_equal(way.gateway, 0);
	assert_int_equal(way.mtu, 1600);
	assert_int_equal(way.prefsrc, HERE);
	assert_int_equal(rtnl_way_get(rtnl, 0xc6336407, &way), 0);
	assert_int_equal(way.gateway, THERE);
	assert_int_equal(way.mtu, 1540);
	assert_false(way.local);
	assert_int_equal(rtnl_way_get(rtnl, HERE, &way), 0);
	assert_true(way.local);
	assert_int_equal(rtnl_way_get(rtnl, 0x0a000001, &way), -ENETUNREACH);
	assert_int_equal(rtnl_way_get(rtnl, 0x0a090001, &way), -EHOSTUNREACH);
	assert_int_equal(rtnl_way_get(rtnl, 0x0a090081, &way), -EHOSTUNREACH);
}

static void neighbours(void **state)
{
	struct rtnl_link link;
	bool managed = false;
	uint8_t mac[6];

	NEED_SANDBOX();
	assert_int_equal(rtnl_link_by_name(rtnl, "net0", &link), 0);
	assert_int_equal(rtnl_neighbour_get(rtnl, link.ifindex, THERE, mac), -ENOENT);
	assert_int_equal(rtnl_neighbour_keep(rtnl, link.ifindex, THERE, &managed), 0);
	assert_true(managed);
	assert_int_equal(sandbox_run("ip -d neigh show dev net0 | grep -q '192.0.2.1 .*managed'"), 0);
	assert_int_equal(rtnl_neighbour_release(rtnl, link.ifindex, THERE), 0);
	assert_int_not_equal(sandbox_run("ip -d neigh show dev net0 | grep -q managed"), 0);
	assert_int_equal(rtnl_neighbour_release(rtnl, link.ifindex, THERE), 0);
}

/* Keeping a permanent entry must not make it a learned one. */
static void permanent_neighbour_stays(void **state)
{
	struct rtnl_link link;
	uint8_t mac[6] = {0};

	NEED_SANDBOX();
	assert_int_equal(rtnl_link_by_name(rtnl, "net0", &link), 0);
	assert_int_equal(sandbox_run("ip neigh replace 192.0.2.1 lladdr 02:00:00:00:00:02 nud permanent dev net0"), 0);
	assert_int_equal(rtnl_neighbour_keep(rtnl, link.ifindex, THERE, NULL), 0);
	assert_int_equal(sandbox_run("ip neigh show dev net0 | grep -q PERMANENT"), 0);
	assert_int_equal(rtnl_neighbour_get(rtnl, link.ifindex, THERE, mac), 0);
	assert_memory_equal(mac, ((uint8_t[]){2, 0, 0, 0, 0, 2}), 6);
	assert_int_equal(rtnl_neighbour_release(rtnl, link.ifindex, THERE), 0);
	assert_int_equal(sandbox_run("ip neigh show dev net0 | grep -q PERMANENT"), 0);
	sandbox_run("ip neigh del 192.0.2.1 dev net0");
}

static size_t routes_in(uint32_t table)
{
	struct rtnl_route *all = NULL;
	size_t count = 0;

	assert_int_equal(rtnl_routes(rtnl, table, &all, &count), 0);
	free(all);
	return count;
}

static void routes(void **state)
{
	const struct prefix pool = {0xcb007100, 24};
	const struct rtnl_route any = {RTNL_ROUTE_LOCAL, pool, RT_TABLE_LOCAL};
	const struct rtnl_route told = {RTNL_ROUTE_BLACKHOLE, pool, RTNL_TABLE_ANNOUNCE};
	struct rtnl_way way;

	NEED_SANDBOX();
	assert_int_equal(routes_in(RTNL_TABLE_ANNOUNCE), 0);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(rtnl_route_add(rtnl, &any), 0);
		assert_int_equal(rtnl_route_add(rtnl, &told), 0);
		assert_int_equal(routes_in(RT_TABLE_LOCAL), 1);
		assert_int_equal(routes_in(RTNL_TABLE_ANNOUNCE), 1);
	}
	assert_int_equal(rtnl_way_get(rtnl, pool.addr + 77, &way), 0);
	assert_true(way.local);
	assert_int_equal(sandbox_run("ip route show table 6080 | grep -q 'blackhole 203.0.113.0/24 proto 60'"), 0);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(rtnl_route_remove(rtnl, &any), 0);
		assert_int_equal(rtnl_route_remove(rtnl, &told), 0);
		assert_int_equal(routes_in(RT_TABLE_LOCAL), 0);
		assert_int_equal(routes_in(RTNL_TABLE_ANNOUNCE), 0);
	}
	/* Somebody else's route of the same prefix is not ours to take. */
	assert_int_equal(sandbox_run("ip route add blackhole 203.0.113.0/24 table 6080"), 0);
	assert_int_equal(rtnl_route_remove(rtnl, &told), 0);
	assert_int_equal(sandbox_run("ip route show table 6080 | grep -q blackhole"), 0);
}

static void rules(void **state)
{
	const struct rtnl_rule rule = {.pref = 50, .from_here = true, .to = {0xcb007100, 24}, .table = RT_TABLE_MAIN};
	struct rtnl_rule *all;
	size_t count, found = 0;

	NEED_SANDBOX();
	assert_int_equal(rtnl_rule_add(rtnl, &rule), 0);
	assert_int_equal(rtnl_rule_add(rtnl, &rule), 0);
	assert_int_equal(sandbox_run("test $(ip rule show | grep -c '^50:') = 1"), 0);
	assert_int_equal(sandbox_run("ip rule add pref 60 fwmark 1 lookup main"), 0);
	assert_int_equal(rtnl_rules(rtnl, &all, &count), 0);
	assert_int_equal(count, 4); /* ours, local, main, default; not the one with a mark */
	for (size_t i = 0; i < count; i++)
		found += all[i].pref == 50 && all[i].from_here && all[i].to.addr == rule.to.addr &&
			 all[i].to.len == 24 && all[i].table == RT_TABLE_MAIN && all[i].protocol == RTNL_PROTOCOL;
	assert_int_equal(found, 1);
	free(all);
	assert_int_equal(rtnl_rule_remove(rtnl, &rule), 0);
	assert_int_equal(rtnl_rule_remove(rtnl, &rule), 0);
	assert_int_equal(sandbox_run("ip rule show | grep -q '^50:'"), 1);
}

struct seen {
	unsigned link, address, route, neighbour, resync;
	struct rtnl_event last_route, last_link;
};

static void see(void *arg, const struct rtnl_event *event)
{
	struct seen *seen = arg;

	seen->link += event->type == RTNL_EVENT_LINK;
	seen->address += event->type == RTNL_EVENT_ADDRESS;
	seen->neighbour += event->type == RTNL_EVENT_NEIGHBOUR;
	seen->resync += event->type == RTNL_EVENT_RESYNC;
	if (event->type == RTNL_EVENT_ROUTE) {
		seen->route++;
		seen->last_route = *event;
	}
	if (event->type == RTNL_EVENT_LINK && strcmp(event->name, "net0") == 0)
		seen->last_link = *event;
}

static void monitor(void **state)
{
	const struct rtnl_route told = {RTNL_ROUTE_BLACKHOLE, {0xcb007180, 25}, RTNL_TABLE_ANNOUNCE};
	struct rtnl_monitor *watch;
	struct seen seen = {0};

	NEED_SANDBOX();
	assert_int_equal(rtnl_monitor_open(&watch), 0);
	assert_int_equal(rtnl_monitor_read(watch, see, &seen), 0);
	assert_int_equal(seen.link + seen.address + seen.route + seen.neighbour, 0);
	assert_int_equal(rtnl_route_add(rtnl, &told), 0);
	assert_int_equal(rtnl_route_remove(rtnl, &told), 0);
	assert_int_equal(sandbox_run("ip addr add 192.0.2.9/32 dev net0 && ip neigh replace 192.0.2.1 lladdr "
				     "02:00:00:00:00:02 dev net0 && ip link set net0 down"),
			 0);
	assert_int_equal(poll(&(struct pollfd){.fd = rtnl_monitor_fd(watch), .events = POLLIN}, 1, 2000), 1);
	assert_int_equal(rtnl_monitor_read(watch, see, &seen), 0);
	assert_true(seen.link && seen.address && seen.route >= 2 && seen.neighbour);
	assert_int_equal(seen.resync, 0);
	assert_false(seen.last_link.up);
	rtnl_monitor_close(watch);
}

/* More events than the socket holds: told as such, and the monitor goes on. */
static void monitor_overrun(void **state)
{
	struct rtnl_monitor *watch;
	struct seen seen = {0};

	NEED_SANDBOX();
	assert_int_equal(rtnl_monitor_open(&watch), 0);
	assert_int_equal(setsockopt(rtnl_monitor_fd(watch), SOL_SOCKET, SO_RCVBUF, &(int){1}, sizeof(int)), 0);
	for (unsigned i = 0; i < 200; i++) {
		const struct rtnl_route told = {RTNL_ROUTE_BLACKHOLE, {0xcb007100 + i, 32}, RTNL_TABLE_ANNOUNCE};

		rtnl_route_add(rtnl, &told);
		rtnl_route_remove(rtnl, &told);
	}
	assert_int_equal(rtnl_monitor_read(watch, see, &seen), 0);
	assert_int_not_equal(seen.resync, 0);
	rtnl_monitor_close(watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links),
		cmocka_unit_test(addresses),
		cmocka_unit_test(ways),
		cmocka_unit_test(neighbours),
		cmocka_unit_test(permanent_neighbour_stays),
		cmocka_unit_test(routes),
		cmocka_unit_test(rules),
		cmocka_unit_test(monitor),
		cmocka_unit_test(monitor_overrun),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
