/* SPDX-License-Identifier: Apache-2.0 */
#include "scrub.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane_private.h"
#include "porttable.h"

/* Sorted, once it is whole. */
struct holders {
	struct port_holder *items;
	size_t count, room;
};

enum { FD_BUCKETS, FD_BITMAPS, FD_SOCKETS, FD_LIST, FD_GIVE, FD_COUNT };

struct scrub {
	int fds[FD_COUNT];
	struct holders suspects; /* of the last pass */
};

static int holder_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct port_holder));
}

static int holders_add(struct holders *holders, const struct port_holder *holder)
{
	if (holders->count == holders->room) {
		size_t room = holders->room ? holders->room * 2 : 256;
		struct port_holder *more = reallocarray(holders->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		holders->items = more;
		holders->room = room;
	}
	holders->items[holders->count++] = *holder;
	return 0;
}

static void holders_sort(struct holders *holders)
{
	if (holders->count)
		qsort(holders->items, holders->count, sizeof(*holders->items), holder_compare);
}

static bool holders_have(const struct holders *holders, const struct port_holder *holder)
{
	return holders->count &&
	       bsearch(holder, holders->items, holders->count, sizeof(*holders->items), holder_compare);
}

static void holders_clear(struct holders *holders)
{
	free(holders->items);
	*holders = (struct holders){0};
}

static int entry_add(void *arg, const struct port_entry *entry)
{
	struct port_holder holder = {.key = entry->key};
	struct holders *holders = arg;
	int err = 0;

	for (uint32_t bit = 0; !err && bit < PORTS_PER_CHUNK; bit++) {
		if (!(entry->bits[bit / 64] >> bit % 64 & 1))
			continue;
		holder.port = ((uint32_t)entry->key.chunk << CHUNK_SHIFT) + bit;
		err = holders_add(holders, &holder);
	}
	return err;
}

/* Whole records, however the kernel cuts them up. */
static int holders_receive(int fd, struct holders *ret)
{
	struct port_holder holder;
	size_t have = 0;
	ssize_t size;
	int err = 0;

	while (!err && (size = read(fd, (char *)&holder + have, sizeof(holder) - have)) != 0) {
		if (size < 0) {
			err = errno == EINTR || errno == EAGAIN ? 0 : -errno;
			continue;
		}
		have += (size_t)size;
		if (have < sizeof(holder))
			continue;
		err = holders_add(ret, &holder);
		have = 0;
	}
	return err;
}

/* What the kernel's iterator says of every socket. */
static int sockets_list(const struct scrub *scrub, struct holders *ret)
{
	union bpf_iter_link_info info = {.map.map_fd = (uint32_t)scrub->fds[FD_SOCKETS]};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &info, .iter_info_len = sizeof(info));
	int link = bpf_link_create(scrub->fds[FD_LIST], 0, BPF_TRACE_ITER, &options), iterator, err;

	if (link < 0)
		return -errno;
	iterator = bpf_iter_create(link);
	err = iterator < 0 ? -errno : holders_receive(iterator, ret);
	if (iterator >= 0)
		close(iterator);
	close(link);
	return err;
}

/* Ports in use without a socket. */
static int suspects_find(const struct scrub *scrub, struct holders *ret)
{
	struct holders table = {0}, sockets = {0};
	int err = port_table_visit(scrub->fds[FD_BUCKETS], scrub->fds[FD_BITMAPS], entry_add, &table);

	if (!err)
		err = sockets_list(scrub, &sockets);
	holders_sort(&sockets);
	for (size_t i = 0; !err && i < table.count; i++)
		if (!holders_have(&sockets, &table.items[i]))
			err = holders_add(ret, &table.items[i]);
	holders_clear(&table);
	holders_clear(&sockets);
	holders_sort(ret);
	return err;
}

/* 0: given back; 1: it was not in use any more; -errno. */
static int give_back(const struct scrub *scrub, const struct port_holder *holder)
{
	struct {
		char ethernet[ETH_HLEN];
		struct port_holder holder;
	} __attribute__((packed)) packet = {.holder = *holder};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(scrub->fds[FD_GIVE], &run) < 0 ? -errno : (int)run.retval;
}

int scrub_pass(struct scrub *scrub, size_t *mended)
{
	struct holders suspects = {0};
	int err = suspects_find(scrub, &suspects);
	size_t count = 0;

	for (size_t i = 0; !err && i < suspects.count; i++) {
		int answer =
			holders_have(&scrub->suspects, &suspects.items[i]) ? give_back(scrub, &suspects.items[i]) : 1;

		count += answer == 0;
		err = answer < 0 ? answer : 0;
	}
	holders_clear(&scrub->suspects);
	if (err) {
		holders_clear(&suspects);
		return err;
	}
	scrub->suspects = suspects;
	*mended = count;
	return 0;
}

int scrub_open(const struct dataplane *dp, struct scrub **ret)
{
	const int fds[FD_COUNT] = {dataplane_map(dp, "port_buckets"), dataplane_map(dp, "port_bitmaps"),
				   dataplane_map(dp, "sockets"), dataplane_program(dp, "list_holders"),
				   dataplane_program(dp, "give_back")};
	struct scrub *scrub = calloc(1, sizeof(*scrub));
	int err = scrub ? 0 : -ENOMEM;

	for (unsigned i = 0; scrub && i < FD_COUNT; i++) {
		scrub->fds[i] = fds[i] < 0 ? fds[i] : fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
		if (scrub->fds[i] < 0 && !err)
			err = fds[i] < 0 ? fds[i] : -errno;
	}
	if (err) {
		scrub_close(scrub);
		return err;
	}
	*ret = scrub;
	return 0;
}

void scrub_close(struct scrub *scrub)
{
	if (!scrub)
		return;
	for (unsigned i = 0; i < FD_COUNT; i++)
		if (scrub->fds[i] >= 0)
			close(scrub->fds[i]);
	holders_clear(&scrub->suspects);
	free(scrub);
}
