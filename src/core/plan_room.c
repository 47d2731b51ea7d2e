/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "../abi/slice.h"
#include "plan_room.h"

struct plan_room_address {
	uint32_t addr;
	uint64_t taken[BERTH_PORT_SPACE >> BERTH_SLICE_SHIFT_MIN >> 6]; /* a bit for each column */
};

static bool is_taken(const struct plan_room_address *address, uint32_t column)
{
	return address->taken[column / 64] >> (column % 64) & 1;
}

static const struct addr_range *room_range(const struct plan_room *room, size_t entry)
{
	return &room->fleet->addresses[room->kind->entries[entry]].range;
}

int plan_room_init(struct plan_room *room, const struct fleet *fleet, const struct plan_kind *kind)
{
	*room = (struct plan_room){.fleet = fleet, .kind = kind};
	room->free_at = calloc(slice_columns(kind->shift), sizeof(*room->free_at));
	room->from = calloc(slice_columns(kind->shift), sizeof(*room->from));
	if (!room->free_at || !room->from)
		return -ENOMEM;
	for (size_t i = 0; i < kind->entry_count; i++)
		room->unused += (uint64_t)room_range(room, i)->last - room_range(room, i)->first + 1;
	room->free = room->unused * slice_owners(kind->shift);
	room->next_addr = room_range(room, 0)->first;
	return 0;
}

/* Puts an unused address into use. */
static int room_use(struct plan_room *room, uint32_t addr)
{
	if (room->used_count == room->used_size) {
		size_t size = room->used_size ? 2 * room->used_size : 4;
		struct plan_room_address *used = reallocarray(room->used, size, sizeof(*used));

		if (!used)
			return -ENOMEM;
		room->used = used;
		room->used_size = size;
	}
	room->used[room->used_count++] = (struct plan_room_address){.addr = addr};
	room->unused--;
	for (uint32_t c = slice_first_column(room->kind->shift); c < slice_columns(room->kind->shift); c++)
		room->free_at[c]++;
	return 0;
}

static void room_take(struct plan_room *room, struct plan_room_address *address, uint32_t column)
{
	address->taken[column / 64] |= 1ull << (column % 64);
	room->free_at[column]--;
	room->free--;
}

int plan_room_hold(struct plan_room *room, uint32_t addr, uint32_t column)
{
	if (room->used_count == 0 || room->used[room->used_count - 1].addr != addr) {
		int err = room_use(room, addr);

		if (err)
			return err;
		room->held_count = room->used_count;
	}
	room_take(room, &room->used[room->used_count - 1], column);
	return 0;
}

int plan_room_fit(const struct plan_room *room, uint32_t column)
{
	if (room->free_at[column] > 0)
		return 2;
	return room->unused > 0 ? 1 : 0;
}

/* The lowest address that is not in use; there is one. */
static uint32_t room_next_unused(struct plan_room *room)
{
	for (;; room->next_addr++) {
		if (room->next_addr > room_range(room, room->next_entry)->last)
			room->next_addr = room_range(room, ++room->next_entry)->first;
		while (room->next_held < room->held_count && room->used[room->next_held].addr < room->next_addr)
			room->next_held++;
		if (room->next_held == room->held_count || room->used[room->next_held].addr != room->next_addr)
			return (uint32_t)room->next_addr++;
	}
}

/* An address with that column free, in use or put into use. */
static int room_find(struct plan_room *room, uint32_t column, struct plan_room_address **ret)
{
	size_t *at = &room->from[column];

	if (room->free_at[column] > 0) {
		while (is_taken(&room->used[*at], column))
			(*at)++;
		*ret = &room->used[*at];
		return 0;
	}
	if (room_use(room, room_next_unused(room)))
		return -ENOMEM;
	*ret = &room->used[room->used_count - 1];
	return 0;
}

static uint32_t room_lowest_column(const struct plan_room *room)
{
	uint32_t first = slice_first_column(room->kind->shift);

	for (uint32_t column = first; column < slice_columns(room->kind->shift); column++)
		if (room->free_at[column] > 0)
			return column;
	return first;
}

int plan_room_grant(struct plan_room *room, uint32_t column, struct plan_room_slice *ret)
{
	struct plan_room_address *address;
	int err;

	if (column == PLAN_NO_COLUMN || plan_room_fit(room, column) == 0)
		column = room_lowest_column(room);
	err = room_find(room, column, &address);
	if (err)
		return err;
	room_take(room, address, column);
	*ret = (struct plan_room_slice){.addr = address->addr, .column = column};
	return 0;
}

void plan_room_free(struct plan_room *room)
{
	free(room->used);
	free(room->free_at);
	free(room->from);
	*room = (struct plan_room){0};
}
