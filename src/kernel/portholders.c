/* SPDX-License-Identifier: Apache-2.0 */
#include "portholders.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WALKS_QUIET 3
#define WALKS_MAX 16

static int holder_compare(const void *a, const void *b)
{
	return memcmp(a, b, PORT_HOLDER_ID_SIZE);
}

int port_holders_add(struct port_holders *list, const struct port_holder *holder)
{
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		struct port_holder *more = reallocarray(list->items, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->items = more;
		list->room = room;
	}
	list->items[list->count++] = *holder;
	return 0;
}

void port_holders_sort(struct port_holders *list)
{
	if (list->count)
		qsort(list->items, list->count, sizeof(*list->items), holder_compare);
}

bool port_holders_have(const struct port_holders *list, const struct port_holder *holder)
{
	return list->count && bsearch(holder, list->items, list->count, sizeof(*list->items), holder_compare);
}

void port_holders_clear(struct port_holders *list)
{
	free(list->items);
	*list = (struct port_holders){0};
}

/* Whole records, however the kernel cuts them up. */
static int receive(int fd, struct port_holders *ret)
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
		err = port_holders_add(ret, &holder);
		have = 0;
	}
	return err;
}

static int sockets_visit(int sockets, int lister, struct port_holders *ret)
{
	union bpf_iter_link_info info = {.map.map_fd = (uint32_t)sockets};
	LIBBPF_OPTS(bpf_link_create_opts, options, .iter_info = &info, .iter_info_len = sizeof(info));
	int link = bpf_link_create(lister, 0, BPF_TRACE_ITER, &options), iterator, err;

	if (link < 0)
		return -errno;
	iterator = bpf_iter_create(link);
	err = iterator < 0 ? -errno : receive(iterator, ret);
	if (iterator >= 0)
		close(iterator);
	close(link);
	return err;
}

/* Adds to the sorted list what it does not have yet. How much that was, or -ENOMEM. */
static int merge(struct port_holders *list, const struct port_holders *more)
{
	size_t known = list->count, fresh = 0;

	for (size_t i = 0; i < more->count; i++) {
		const struct port_holders sorted = {.items = list->items, .count = known};

		if (port_holders_have(&sorted, &more->items[i]))
			continue;
		if (port_holders_add(list, &more->items[i]))
			return -ENOMEM;
		fresh++;
	}
	port_holders_sort(list);
	return fresh != 0;
}

/*
 * The kernel's iterator walks chains of storage without a lock. When the one that it stands on is freed, and made again
 * for another socket, it goes on in that one's chain, and what was left of its own is not told of (seen on 6.18, about
 * once in twenty walks beside two programs that open and close sockets as fast as they can). So the walk is repeated
 * until it tells nothing new several times.
 */
int port_holders_of_sockets(int sockets, int lister, struct port_holders *ret)
{
	unsigned quiet = 0;
	int err = 0;

	for (unsigned walk = 0; err >= 0 && walk < WALKS_MAX && quiet < WALKS_QUIET; walk++) {
		struct port_holders more = {0};

		err = sockets_visit(sockets, lister, &more);
		if (!err)
			err = merge(ret, &more);
		quiet = err ? 0 : quiet + 1;
		port_holders_clear(&more);
	}
	return err < 0 ? err : 0;
}

int port_holder_run(int program, const struct port_holder *holder)
{
	struct {
		char ethernet[ETH_HLEN];
		struct port_holder holder;
	} __attribute__((packed)) packet = {.holder = *holder};
	LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = &packet, .data_size_in = sizeof(packet));

	return bpf_prog_test_run_opts(program, &run) < 0 ? -errno : (int)run.retval;
}
