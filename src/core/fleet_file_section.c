/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the fleet file itself: sections are read in files of their own. */
#include <stdlib.h>
#include <string.h>

#include "../abi/slice.h"
#include "../abi/wrap.h"
#include "fleet_file_reader.h"

#define DAY 86400u

static void read_nonempty(struct reader *reader, const struct node *node,
			  void (*read)(struct reader *reader, const struct node *item, void *object), void *object)
{
	if (!reader_list(reader, node, read, object) && node->kind == NODE_LIST)
		reader_fault(reader, node, "%s is empty: a fleet has at least one entry there", node->name);
}

static void read_pools(struct reader *reader, const struct node *node, void *object)
{
	read_nonempty(reader, node, fleet_file_pool, object);
}

static void read_address_list(struct reader *reader, const struct node *node, void *object)
{
	read_nonempty(reader, node, fleet_file_addresses, object);
}

static void read_sites(struct reader *reader, const struct node *node, void *object)
{
	read_nonempty(reader, node, fleet_file_site, object);
}

static void read_policies(struct reader *reader, const struct node *node, void *object)
{
	reader_list(reader, node, fleet_file_policy, object);
}

static void read_fleet_name(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	fleet->name = reader_name(reader, node);
}

static void read_drain(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	reader_duration(reader, node, 0, DAY, &fleet->drain);
}

static void read_cooling(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	reader_duration(reader, node, 1, DAY, &fleet->cooling);
}

static void read_timers(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {{"drain", read_drain, NULL}, {"cooling", read_cooling, NULL}, {0}};

	reader_mapping(reader, node, "timers", fields, object);
}

static void read_evict(struct reader *reader, const struct node *node, void *object)
{
	const char *text = reader_text(reader, node);
	struct shown shown;

	(void)object;
	if (text && strcmp(text, "manual") != 0)
		reader_fault(reader, node, "evict %s is not supported by this version of berth: use manual",
			     shown_quote(text, &shown));
}

static void read_underlay_mtu(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	reader_number(reader, node, FLEET_MTU_MIN, FLEET_MTU_MAX, &fleet->underlay_mtu);
}

static void read_max_hops(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	reader_number(reader, node, 1, WRAP_HOPS_MAX, &fleet->max_hops);
}

static void read_avoided(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;
	unsigned port;
	uint16_t *avoid;

	if (!reader_number(reader, node, BERTH_PORT_FLOOR, 65535, &port))
		return;
	avoid = reader_grow(reader, fleet->avoid, fleet->avoid_count, sizeof(*avoid));
	if (!avoid)
		return;
	avoid[fleet->avoid_count++] = (uint16_t)port;
	fleet->avoid = avoid;
}

static void read_avoid_ports(struct reader *reader, const struct node *node, void *object)
{
	struct fleet *fleet = object;

	fleet->avoid_given = true;
	reader_list(reader, node, read_avoided, object);
}

/* What the file does not say otherwise. */
static void avoid_usual_ports(struct reader *reader, struct fleet *fleet)
{
	size_t count;
	const uint16_t *ports = fleet_avoid_default(&count);

	fleet->avoid = malloc(count * sizeof(*ports));
	if (!fleet->avoid) {
		reader->no_memory = true;
		return;
	}
	memcpy(fleet->avoid, ports, count * sizeof(*ports));
	fleet->avoid_count = count;
}

/* fleet_file_read() has looked at it before anything else. */
static void read_version(struct reader *reader, const struct node *node, void *object)
{
	(void)reader;
	(void)node;
	(void)object;
}

void fleet_file_sections(struct reader *reader, const struct node *root)
{
	static const struct field fields[] = {
		{"version", read_version, NULL},
		{"fleet", read_fleet_name, "acme"},
		{"pools", read_pools, "[{prefix: 203.0.113.0/24}]"},
		{"addresses", read_address_list, "[{range: 203.0.113.0 - 203.0.113.7}]"},
		{"sites", read_sites, "[{name: fra, servers: [{name: fra-1, underlay: 10.0.1.1}]}]"},
		{"policies", read_policies, NULL},
		{"timers", read_timers, NULL},
		{"evict", read_evict, NULL},
		{"underlay_mtu", read_underlay_mtu, NULL},
		{"max_hops", read_max_hops, NULL},
		{"avoid_ports", read_avoid_ports, NULL},
		{0}};
	struct fleet *fleet = reader->fleet;

	fleet->underlay_mtu = FLEET_MTU_DEFAULT;
	fleet->max_hops = WRAP_HOPS_DEFAULT;
	fleet->drain = FLEET_DRAIN_DEFAULT;
	fleet->cooling = FLEET_COOLING_DEFAULT;
	reader_mapping(reader, root, "a fleet file", fields, fleet);
	if (!fleet->avoid_given)
		avoid_usual_ports(reader, fleet);
}
