/* SPDX-License-Identifier: Apache-2.0 */
#include "porttable.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "pins.h"
#include "why.h"

static const struct pin_form bucket_form = {"port_buckets", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t),
					    sizeof(struct port_bucket)};
static const struct pin_form bitmap_form = {"port_bitmaps", BPF_MAP_TYPE_ARRAY, sizeof(uint32_t),
					    sizeof(struct port_bitmap)};

static int map_resize(const struct bpf_object *object, const char *name, uint32_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__set_max_entries(map, entries) : -ENOENT;
}

int port_table_size(struct bpf_object *object, uint32_t destinations)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, ".data.port_table");
	struct port_table table = {
		.buckets = (destinations + DESTINATIONS_PER_BUCKET - 1) / DESTINATIONS_PER_BUCKET,
		.bitmaps = (destinations + DESTINATIONS_PER_BITMAP - 1) / DESTINATIONS_PER_BITMAP,
	};
	int err;

	if (!map)
		return 0;
	if (destinations < DESTINATIONS_MIN || destinations > DESTINATIONS_MAX)
		return -ERANGE;
	if (getrandom(&table.seed, sizeof(table.seed), 0) != sizeof(table.seed))
		return -EIO;
	err = bpf_map__set_initial_value(map, &table, sizeof(table));
	if (!err)
		err = map_resize(object, bucket_form.name, table.buckets);
	if (!err)
		err = map_resize(object, bitmap_form.name, table.bitmaps);
	return err ? err : map_resize(object, "free_bitmaps", table.bitmaps);
}

struct reading {
	int bitmaps;
	port_entry_visit *visit;
	void *arg;
};

/* The ports of a way. One that went meanwhile has none. */
static int way_ports(const struct reading *reading, const struct port_bucket *bucket, unsigned index,
		     struct port_bitmap *ret)
{
	const struct port_way *way = &bucket->ways[index];
	uint32_t bitmap = way->bitmap - 1;

	memset(ret, 0, sizeof(*ret));
	if (bucket->has_bitmap >> index & 1) {
		if (bpf_map_lookup_elem(reading->bitmaps, &bitmap, ret) < 0)
			return errno == ENOENT ? 0 : -errno;
		return 0;
	}
	for (unsigned i = 0; i < WAY_PORTS && i < way->used; i++)
		ret->bits[way->ports[i] / 64 % CHUNK_WORDS] |= UINT64_C(1) << way->ports[i] % 64;
	return 0;
}

static int way_visit(const struct reading *reading, const struct port_bucket *bucket, unsigned index)
{
	struct port_entry entry = {.key = bucket->ways[index].key};
	struct port_bitmap ports;
	int err = way_ports(reading, bucket, index, &ports);

	if (err)
		return err;
	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		entry.used += (uint32_t)__builtin_popcountll(ports.bits[i]);
	memcpy(entry.bits, ports.bits, sizeof(entry.bits));
	return reading->visit(reading->arg, &entry);
}

static int bucket_visit(void *arg, const void *key, const void *value)
{
	struct port_bucket bucket;
	int err = 0;

	(void)key;
	memcpy(&bucket, value, sizeof(bucket));
	for (unsigned i = 0; err >= 0 && i < WAYS; i++)
		if (bucket.tags[i])
			err = way_visit(arg, &bucket, i);
	return err;
}

int port_table_visit(int buckets, int bitmaps, port_entry_visit *visit, void *arg)
{
	struct reading reading = {.bitmaps = bitmaps, .visit = visit, .arg = arg};

	return pin_read(buckets, &bucket_form, bucket_visit, &reading);
}

int port_table_read(const char *bpffs, port_entry_visit *visit, void *arg, char **why)
{
	struct reading reading = {.bitmaps = pin_open(bpffs, &bitmap_form, why), .visit = visit, .arg = arg};
	int err;

	if (reading.bitmaps < 0)
		return reading.bitmaps;
	err = pin_load(bpffs, &bucket_form, bucket_visit, &reading, why);
	close(reading.bitmaps);
	return err;
}
