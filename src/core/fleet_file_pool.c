/* SPDX-License-Identifier: Apache-2.0 */
/* Pools, and the egress addresses in them. */
#include <errno.h>

#include "../abi/slice.h"
#include "fleet_file_reader.h"

static void read_pool_prefix(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_pool *pool = object;
	struct prefix prefix;

	if (!reader_prefix(reader, node, &prefix))
		return;
	if (prefix.len < 8)
		reader_fault(reader, node, "prefix %s is too large for a pool: use /8 to /32", node->text);
	else if (fleet_file_addr_reserved(prefix.addr))
		reader_fault(reader, node,
			     "prefix %s is reserved: no pool lies in 0.0.0.0/8, 127.0.0.0/8 or 224.0.0.0/3",
			     node->text);
	else
		pool->prefix = prefix;
}

static void read_slice_ports(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_pool *pool = object;
	unsigned ports;

	if (!reader_number(reader, node, 1u << BERTH_SLICE_SHIFT_MIN, 1u << BERTH_SLICE_SHIFT_MAX, &ports))
		return;
	if (ports & (ports - 1)) {
		reader_fault(reader, node,
			     "slice_ports %u is no power of two: use 256, 512, 1024, 2048, 4096, 8192, 16384 or 32768",
			     ports);
		return;
	}
	pool->shift = (unsigned)__builtin_ctz(ports);
}

void fleet_file_pool(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"prefix", read_pool_prefix, "203.0.113.0/24"}, {"slice_ports", read_slice_ports, NULL}, {0}};
	struct fleet *fleet = object;
	struct fleet_pool *pools;

	if (!node_list_add(reader, &reader->pools, node))
		return;
	pools = reader_grow(reader, fleet->pools, fleet->pool_count, sizeof(*pools));
	if (!pools)
		return;
	fleet->pools = pools;
	pools[fleet->pool_count].shift = FLEET_SLICE_SHIFT_DEFAULT;
	reader_mapping(reader, node, "a pool", fields, &pools[fleet->pool_count++]);
}

static void read_range(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_addresses *addresses = object;
	const char *text = reader_text(reader, node);
	struct shown shown;
	int err;

	if (!text)
		return;
	err = addr_range_parse(text, &addresses->range);
	if (err == -ERANGE)
		reader_fault(reader, node, "range %s ends before it begins: swap its ends", text);
	else if (err)
		reader_fault(reader, node, "range %s is no range of addresses: write it like 203.0.113.0 - 203.0.113.7",
			     shown_quote(text, &shown));
}

static void read_address_tags(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_addresses *addresses = object;

	reader_tags(reader, node, &addresses->tags);
}

void fleet_file_addresses(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {
		{"range", read_range, "203.0.113.0 - 203.0.113.7"}, {"tags", read_address_tags, NULL}, {0}};
	struct fleet *fleet = object;
	struct fleet_addresses *addresses;

	if (!node_list_add(reader, &reader->ranges, node))
		return;
	addresses = reader_grow(reader, fleet->addresses, fleet->addresses_count, sizeof(*addresses));
	if (!addresses)
		return;
	fleet->addresses = addresses;
	reader_mapping(reader, node, "an entry of addresses", fields, &addresses[fleet->addresses_count++]);
}
