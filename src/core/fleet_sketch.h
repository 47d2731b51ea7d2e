/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For tests only: small fleets that are easy to write down, to draw at random and to edit. A sketch is a plain value;
 * sketch_fleet() makes a real fleet of it.
 */
#ifndef BERTH_CORE_FLEET_SKETCH_H
#define BERTH_CORE_FLEET_SKETCH_H

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleet.h"

#define SKETCH_SERVERS 64
#define SKETCH_SITES 4
#define SKETCH_RUNS 12
#define SKETCH_POOLS 3
#define SKETCH_POLICIES 5

struct sketch {
	struct {
		uint32_t id;
		uint32_t site; /* id */
	} servers[SKETCH_SERVERS];
	size_t server_count;
	struct {
		uint32_t id;
		const char *city; /* NULL: the place has none */
	} sites[SKETCH_SITES];
	size_t site_count;
	struct {
		uint32_t first; /* in ascending order */
		uint32_t count;
		const char *city;
		const char *product; /* NULL: no such tag */
	} runs[SKETCH_RUNS];
	size_t run_count;
	struct {
		struct prefix prefix;
		unsigned shift;
	} pools[SKETCH_POOLS];
	size_t pool_count;
	struct {
		const char *select;
		const char *fallback; /* NULL: none */
		unsigned slices;
	} policies[SKETCH_POLICIES];
	size_t policy_count;
	unsigned cooling;
};

/* Deterministic random numbers (splitmix64). */
struct dice {
	uint64_t state;
};

static inline uint64_t dice_next(struct dice *dice)
{
	uint64_t z = dice->state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

/* 0 to sides - 1. */
static inline uint32_t dice_roll(struct dice *dice, uint32_t sides)
{
	return (uint32_t)(dice_next(dice) % sides);
}

static inline void *sketch_array(size_t count, size_t size)
{
	void *array = calloc(count + 1, size);

	assert(array);
	return array;
}

static inline char *sketch_name(const char *kind, uint32_t id)
{
	char *name;

	if (asprintf(&name, "%s-%u", kind, id) < 0)
		abort();
	return name;
}

static inline void sketch_tag(struct tags *tags, const char *key, const char *value)
{
	if (value && tags_add(tags, key, value))
		abort();
}

static inline void sketch_sites(const struct sketch *sketch, struct fleet *fleet)
{
	fleet->sites = sketch_array(sketch->site_count, sizeof(*fleet->sites));
	fleet->servers = sketch_array(sketch->server_count, sizeof(*fleet->servers));
	fleet->site_count = sketch->site_count;
	for (size_t s = 0; s < sketch->site_count; s++) {
		struct fleet_site *site = &fleet->sites[s];

		site->name = sketch_name("site", sketch->sites[s].id);
		site->id = sketch->sites[s].id;
		site->first_server = fleet->server_count;
		sketch_tag(&site->place, "city", sketch->sites[s].city);
		for (size_t i = 0; i < sketch->server_count; i++) {
			if (sketch->servers[i].site != site->id)
				continue;
			fleet->servers[fleet->server_count++] =
				(struct fleet_server){.name = sketch_name("server", sketch->servers[i].id),
						      .id = sketch->servers[i].id,
						      .underlay = 0x0a000000 + sketch->servers[i].id,
						      .site = s};
			site->server_count++;
		}
	}
}

static inline void sketch_addresses(const struct sketch *sketch, struct fleet *fleet)
{
	fleet->pools = sketch_array(sketch->pool_count, sizeof(*fleet->pools));
	fleet->pool_count = sketch->pool_count;
	for (size_t p = 0; p < sketch->pool_count; p++)
		fleet->pools[p] =
			(struct fleet_pool){.prefix = sketch->pools[p].prefix, .shift = sketch->pools[p].shift};
	fleet->addresses = sketch_array(sketch->run_count, sizeof(*fleet->addresses));
	fleet->addresses_count = sketch->run_count;
	for (size_t r = 0; r < sketch->run_count; r++) {
		struct fleet_addresses *addresses = &fleet->addresses[r];

		addresses->range.first = sketch->runs[r].first;
		addresses->range.last = sketch->runs[r].first + sketch->runs[r].count - 1;
		while (!prefix_contains(fleet->pools[addresses->pool].prefix, addresses->range.first))
			addresses->pool++;
		sketch_tag(&addresses->tags, "city", sketch->runs[r].city);
		sketch_tag(&addresses->tags, "product", sketch->runs[r].product);
	}
}

static inline void sketch_fallback(const char *text, struct fleet_policy *policy)
{
	if (!text)
		return;
	policy->fallback = sketch_array(1, sizeof(*policy->fallback));
	policy->fallback_count = 1;
	if (selector_parse(text, policy->fallback, NULL, NULL))
		abort();
}

/* The caller's to fleet_free(). */
static inline struct fleet *sketch_fleet(const struct sketch *sketch)
{
	struct fleet *fleet = sketch_array(1, sizeof(*fleet));

	fleet->name = sketch_name("fleet", 1);
	fleet->cooling = sketch->cooling;
	sketch_sites(sketch, fleet);
	sketch_addresses(sketch, fleet);
	fleet->policies = sketch_array(sketch->policy_count, sizeof(*fleet->policies));
	fleet->policy_count = sketch->policy_count;
	for (size_t p = 0; p < sketch->policy_count; p++) {
		struct fleet_policy *policy = &fleet->policies[p];

		policy->name = sketch_name("policy", (uint32_t)p);
		policy->cgroup = sketch_name("/policy", (uint32_t)p);
		policy->slices = sketch->policies[p].slices;
		if (selector_parse(sketch->policies[p].select, &policy->select, NULL, NULL))
			abort();
		sketch_fallback(sketch->policies[p].fallback, policy);
	}
	return fleet;
}

/* Servers 1 to `servers` dealt out to sites 1 to `sites`, a policy for every address, `addresses` of 203.0.113.0/24. */
static inline struct sketch sketch_plain(size_t sites, size_t servers, uint32_t addresses)
{
	static const char *const cities[SKETCH_SITES] = {"Amsterdam", "Berlin", "Calais", "Dublin"};
	struct sketch sketch = {.server_count = servers, .site_count = sites, .run_count = 1, .pool_count = 1};

	assert(servers <= SKETCH_SERVERS && sites <= SKETCH_SITES);
	for (size_t s = 0; s < sites; s++) {
		sketch.sites[s].id = (uint32_t)s + 1;
		sketch.sites[s].city = cities[s];
	}
	for (size_t i = 0; i < servers; i++) {
		sketch.servers[i].id = (uint32_t)i + 1;
		sketch.servers[i].site = (uint32_t)(i * sites / servers) + 1;
	}
	sketch.pools[0].prefix = (struct prefix){.addr = 0xcb007100, .len = 24};
	sketch.pools[0].shift = 11;
	sketch.runs[0].first = 0xcb007100;
	sketch.runs[0].count = addresses;
	sketch.policies[0].select = "*";
	sketch.policies[0].slices = 1;
	sketch.policy_count = 1;
	sketch.cooling = 240;
	return sketch;
}

#endif
