/* SPDX-License-Identifier: Apache-2.0 */
#include "scrub.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane_private.h"
#include "portholders.h"
#include "porttable.h"
#include "portuses.h"

enum { FD_BUCKETS, FD_BITMAPS, FD_USES, FD_PROBES, FD_SOCKETS, FD_LIST, FD_GIVE, FD_COUNT };

struct scrub {
	int fds[FD_COUNT];
	struct port_holders suspects; /* of the last pass, sorted */
};

static int entry_add(void *arg, const struct port_entry *entry)
{
	struct port_holder holder = {.key = entry->key, .holding = HOLDS_ENTRY};
	struct port_holders *list = arg;
	int err = 0;

	for (uint32_t bit = 0; !err && bit < PORTS_PER_CHUNK; bit++) {
		if (!(entry->bits[bit / 64] >> bit % 64 & 1))
			continue;
		holder.port = (__u16)(((uint32_t)entry->key.chunk << CHUNK_SHIFT) + bit);
		err = port_holders_add(list, &holder);
	}
	return err;
}

static int claim_add(void *arg, const struct uses_key *key, uint32_t port)
{
	const struct port_holder holder = {.key = {.egress = key->egress, .proto = key->proto, .chunk = key->chunk},
					   .port = (__u16)port,
					   .holding = HOLDS_CLAIM};

	return port_holders_add(arg, &holder);
}

/* A bit of the set tells nothing but its place. */
static struct port_holder probe_at(uint32_t place)
{
	return (struct port_holder){.key.dest = place, .holding = HOLDS_PROBE, .probe = place};
}

static int probes_add(int probes, struct port_holders *list)
{
	struct port_probes *set = malloc(sizeof(*set));
	const uint32_t key = 0;
	int err = !set ? -ENOMEM : bpf_map_lookup_elem(probes, &key, set) < 0 ? -errno : 0;

	for (uint32_t place = 0; !err && place < PROBE_WORDS * 64; place++) {
		const struct port_holder holder = probe_at(place);

		if (set->words[place / 64] >> place % 64 & 1)
			err = port_holders_add(list, &holder);
	}
	free(set);
	return err;
}

/* As the set's bits are listed: two sockets may share one. */
static void probes_of_sockets(struct port_holders *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].holding == HOLDS_PROBE)
			list->items[i] = probe_at(list->items[i].probe);
	port_holders_sort(list);
}

/* What is held without a socket. */
static int suspects_find(const struct scrub *scrub, struct port_holders *ret)
{
	struct port_holders table = {0}, sockets = {0};
	int err = port_table_visit(scrub->fds[FD_BUCKETS], scrub->fds[FD_BITMAPS], entry_add, &table);

	if (!err)
		err = port_claims_visit(scrub->fds[FD_USES], claim_add, &table);
	if (!err)
		err = probes_add(scrub->fds[FD_PROBES], &table);
	if (!err)
		err = port_holders_of_sockets(scrub->fds[FD_SOCKETS], scrub->fds[FD_LIST], &sockets);
	probes_of_sockets(&sockets);
	for (size_t i = 0; !err && i < table.count; i++)
		if (!port_holders_have(&sockets, &table.items[i]))
			err = port_holders_add(ret, &table.items[i]);
	port_holders_clear(&table);
	port_holders_clear(&sockets);
	port_holders_sort(ret);
	return err;
}

int scrub_pass(struct scrub *scrub, size_t *mended)
{
	struct port_holders suspects = {0};
	int err = suspects_find(scrub, &suspects);
	size_t count = 0;

	for (size_t i = 0; !err && i < suspects.count; i++) {
		const struct port_holder *suspect = &suspects.items[i];
		bool again = port_holders_have(&scrub->suspects, suspect);
		int answer = again ? port_holder_run(scrub->fds[FD_GIVE], suspect) : 1;

		count += answer == 0;
		err = answer < 0 ? answer : 0;
	}
	port_holders_clear(&scrub->suspects);
	if (err) {
		port_holders_clear(&suspects);
		return err;
	}
	scrub->suspects = suspects;
	*mended = count;
	return 0;
}

int scrub_open(const struct dataplane *dp, struct scrub **ret)
{
	const int fds[FD_COUNT] = {dataplane_map(dp, "port_buckets"), dataplane_map(dp, "port_bitmaps"),
				   dataplane_map(dp, "port_uses"),    dataplane_map(dp, "port_probes"),
				   dataplane_map(dp, "sockets"),      dataplane_program(dp, "list_holders"),
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
	port_holders_clear(&scrub->suspects);
	free(scrub);
}
