/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "compile.h"
#include "directory.h"

#define WHY_SERVER "the fleet has no server of that id"
#define WHY_HOPS "the server has more than 4,096 hops: the other sites, the servers of its own, and those in use before"

_Static_assert(HOPS_MAX == 4096, "a sentence above says this limit");

/* What the parts of one compilation share. */
struct compiler {
	const struct fleet *fleet;
	const struct ownership *held;
	const struct tables *loaded; /* or NULL */
	const struct fleet_server *server;
	uint32_t site_id; /* the server's */
	struct directory_blocks blocks;
	uint16_t *site_hop; /* by site id: 1 + index of the hop, 0 for none */
	uint16_t *server_hop; /* by server id */
	struct tables *tables;
	const char *why;
};

/* Underlay addresses by server id. */
static int members_fill(struct compiler *compiler)
{
	struct tables *tables = compiler->tables;
	uint32_t highest = 0;

	for (size_t i = 0; i < compiler->fleet->server_count; i++)
		if (compiler->fleet->servers[i].id > highest)
			highest = compiler->fleet->servers[i].id;
	tables->members = calloc((size_t)highest + 1, sizeof(*tables->members));
	if (!tables->members)
		return -ENOMEM;
	tables->member_count = (size_t)highest + 1;
	for (size_t i = 0; i < compiler->fleet->server_count; i++)
		tables->members[compiler->fleet->servers[i].id] = compiler->fleet->servers[i].underlay;
	return 0;
}

static bool is_member(const struct compiler *compiler, uint32_t id)
{
	return id != 0 && id < compiler->tables->member_count && compiler->tables->members[id] != 0;
}

/* Where it is written which hop a target has. The target is in the fleet. */
static uint16_t *hop_place(struct compiler *compiler, uint32_t target)
{
	return target & HOP_SITE ? &compiler->site_hop[target & HOP_ID_MASK]
				 : &compiler->server_hop[target & HOP_ID_MASK];
}

/* Notes that a target is needed; hops_number() finds its index. */
static void hop_want(struct compiler *compiler, uint32_t target)
{
	*hop_place(compiler, target) = UINT16_MAX;
}

static void hops_want_all(struct compiler *compiler)
{
	const struct fleet *fleet = compiler->fleet;

	for (size_t i = 0; i < fleet->site_count; i++)
		if (i != compiler->server->site)
			hop_want(compiler, HOP_SITE | fleet->sites[i].id);
	for (size_t i = 0; i < fleet->server_count; i++)
		if (fleet->servers[i].site == compiler->server->site && &fleet->servers[i] != compiler->server)
			hop_want(compiler, HOP_SERVER | fleet->servers[i].id);
	/* A server that moved to another site holds slices at home in its old one until they have cooled. */
	for (size_t i = 0; i < compiler->held->count; i++) {
		const struct ownership_row *row = &compiler->held->rows[i];

		if (row->home == compiler->site_id && row->owner != compiler->server->id &&
		    is_member(compiler, row->owner))
			hop_want(compiler, HOP_SERVER | row->owner);
	}
}

/* Keeps the indexes that `loaded` has. */
static void hops_keep(struct compiler *compiler)
{
	for (size_t i = 0; compiler->loaded && i < HOPS_MAX; i++) {
		uint32_t target = compiler->loaded->hop_target[i], id = target & HOP_ID_MASK;
		bool known = target & HOP_SITE ? id <= WRAP_SITE_ID_MAX : id < compiler->tables->member_count;
		uint16_t *place;

		if (target == 0 || !known)
			continue;
		place = hop_place(compiler, target);
		if (*place != UINT16_MAX)
			continue;
		*place = (uint16_t)(i + 1);
		compiler->tables->hop_target[i] = target;
	}
}

/* Gives a target the next index that neither these tables nor the loaded ones use. */
static int hop_number(struct compiler *compiler, uint32_t target, size_t *next)
{
	const struct tables *loaded = compiler->loaded;
	struct tables *tables = compiler->tables;
	uint16_t *place = hop_place(compiler, target);

	if (*place != UINT16_MAX)
		return 0;
	while (*next < HOPS_MAX && (tables->hop_target[*next] != 0 || (loaded && loaded->hop_target[*next] != 0)))
		(*next)++;
	if (*next == HOPS_MAX) {
		compiler->why = WHY_HOPS;
		return -ENOSPC;
	}
	tables->hop_target[*next] = target;
	*place = (uint16_t)(*next + 1);
	return 0;
}

static int hops_fill(struct compiler *compiler)
{
	size_t next = 0;
	int err = 0;

	compiler->site_hop = calloc(WRAP_SITE_ID_MAX + 1, sizeof(*compiler->site_hop));
	compiler->server_hop = calloc(compiler->tables->member_count, sizeof(*compiler->server_hop));
	if (!compiler->site_hop || !compiler->server_hop)
		return -ENOMEM;
	hops_want_all(compiler);
	hops_keep(compiler);
	for (uint32_t id = 1; id <= WRAP_SITE_ID_MAX && !err; id++)
		err = hop_number(compiler, HOP_SITE | id, &next);
	for (uint32_t id = 1; id < compiler->tables->member_count && !err; id++)
		err = hop_number(compiler, HOP_SERVER | id, &next);
	return err;
}

/* Where packets for a slice go, seen from this server. What has nowhere to go is dropped as free. */
static uint32_t entry_of(const struct compiler *compiler, const struct ownership_row *row)
{
	uint16_t hop;

	if (row->state == SLICE_STATE_FREE || row->home == 0 || row->owner == 0)
		return SLICE_FREE;
	if (row->owner == compiler->server->id)
		return SLICE_LOCAL;
	if (row->home != compiler->site_id)
		hop = row->home <= WRAP_SITE_ID_MAX ? compiler->site_hop[row->home] : 0;
	else
		hop = is_member(compiler, row->owner) ? compiler->server_hop[row->owner] : 0;
	return hop ? SLICE_HOP + hop - 1u : SLICE_FREE;
}

/* Every slice of every pool address is ours, and free until a row says more. */
static void entries_clear(struct compiler *compiler)
{
	for (size_t i = 0; i < compiler->fleet->pool_count; i++) {
		const struct fleet_pool *pool = &compiler->fleet->pools[i];
		uint32_t columns = slice_columns(pool->shift), last = prefix_last(pool->prefix);

		for (uint64_t addr = pool->prefix.addr; addr <= last; addr++) {
			const struct directory_block *block = directory_blocks_find(&compiler->blocks, (uint32_t)addr);
			uint32_t first = directory_slice(block->base, block->shift, (uint32_t)addr, 0);

			for (uint32_t column = 0; column < columns; column++)
				compiler->tables->slices[first + column] = SLICE_FREE;
		}
	}
}

static void entries_set(struct compiler *compiler)
{
	const struct directory_block *block = NULL;

	for (size_t i = 0; i < compiler->held->count; i++) {
		const struct ownership_row *row = &compiler->held->rows[i];
		uint32_t *entry;

		if (!block || block->prefix != row->addr >> 8)
			block = directory_blocks_find(&compiler->blocks, row->addr);
		if (!block || row->column < slice_first_column(block->shift) ||
		    row->column >= slice_columns(block->shift))
			continue;
		entry = &compiler->tables->slices[directory_slice(block->base, block->shift, row->addr,
								  row->column << block->shift)];
		if (*entry != SLICE_NOT_OURS)
			*entry = entry_of(compiler, row);
	}
}

static int slices_fill(struct compiler *compiler)
{
	struct tables *tables = compiler->tables;

	for (size_t i = 0; i < compiler->blocks.count; i++) {
		const struct directory_block *block = &compiler->blocks.items[i];
		size_t end = block->base + directory_block_size(block->shift);

		if (end > tables->slice_count)
			tables->slice_count = end;
	}
	if (tables->slice_count == 0)
		return 0;
	tables->slices = calloc(tables->slice_count, sizeof(*tables->slices));
	if (!tables->slices)
		return -ENOMEM;
	entries_clear(compiler);
	entries_set(compiler);
	return 0;
}

static int compiler_run(struct compiler *compiler)
{
	int err = members_fill(compiler);

	if (!err)
		err = hops_fill(compiler);
	if (!err)
		err = directory_blocks_make(compiler->fleet, compiler->loaded, &compiler->blocks, &compiler->why);
	if (!err)
		err = directory_fill(&compiler->blocks, &compiler->tables->directory, &compiler->why);
	if (!err)
		err = slices_fill(compiler);
	return err;
}

int tables_compile(const struct fleet *fleet, const struct ownership *held, uint32_t server_id,
		   const struct tables *loaded, struct tables **ret, const char **why)
{
	struct compiler compiler = {.fleet = fleet, .held = held, .loaded = loaded};
	int err = -ENOMEM;

	compiler.server = fleet_find_server_id(fleet, server_id);
	if (!compiler.server) {
		*why = WHY_SERVER;
		return -ENOENT;
	}
	compiler.site_id = fleet->sites[compiler.server->site].id;
	compiler.tables = calloc(1, sizeof(*compiler.tables));
	if (compiler.tables)
		err = compiler_run(&compiler);
	directory_blocks_free(&compiler.blocks);
	free(compiler.site_hop);
	free(compiler.server_hop);
	if (err) {
		tables_free(compiler.tables);
		if (compiler.why)
			*why = compiler.why;
		return err;
	}
	*ret = compiler.tables;
	return 0;
}

uint32_t tables_lookup(const struct tables *tables, uint32_t addr, uint16_t port)
{
	const struct directory *directory = &tables->directory;
	const struct directory_slot *slot = &directory->slots[directory_index(directory->multiplier, addr)];
	uint32_t index;

	if (slot->key != directory_key(addr))
		return SLICE_NOT_OURS;
	index = directory_slice(slot->base, slot->shift, addr, port);
	return index < tables->slice_count ? tables->slices[index] : SLICE_NOT_OURS;
}

void tables_free(struct tables *tables)
{
	if (!tables)
		return;
	free(tables->slices);
	free(tables->members);
	free(tables);
}
