/* SPDX-License-Identifier: Apache-2.0 */
#include "portuses.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

int port_uses_make_chunk(int uses, const struct uses_key *key)
{
	static const struct port_uses fresh;

	return bpf_map_update_elem(uses, key, &fresh, BPF_NOEXIST) < 0 && errno != EEXIST ? -errno : 0;
}

static int uses_make(int uses, const struct policy_slice *slice, uint8_t proto)
{
	int err = 0;
	uint32_t last = (slice->first + slice->count - 1) >> CHUNK_SHIFT;

	for (uint32_t chunk = slice->first >> CHUNK_SHIFT; !err && slice->count && chunk <= last; chunk++) {
		const struct uses_key key = {.egress = slice->addr, .proto = proto, .chunk = (uint8_t)chunk};

		err = port_uses_make_chunk(uses, &key);
	}
	return err;
}

int port_uses_make(int uses, const struct policy *policy)
{
	int err = 0;

	for (size_t i = 0; !err && i < POLICY_SLICES_MAX && i < policy->slice_count; i++) {
		err = uses_make(uses, &policy->slices[i], IPPROTO_TCP);
		if (!err)
			err = uses_make(uses, &policy->slices[i], IPPROTO_UDP);
	}
	return err;
}

static bool slice_in(const struct policy_slice *slice, const struct uses_key *key)
{
	return slice->addr == key->egress && slice->count && slice->first >> CHUNK_SHIFT <= key->chunk &&
	       (slice->first + slice->count - 1) >> CHUNK_SHIFT >= key->chunk;
}

static bool uses_wanted(const struct uses_key *key, const struct policy *policies, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t s = 0; s < POLICY_SLICES_MAX && s < policies[i].slice_count; s++)
			if (slice_in(&policies[i].slices[s], key))
				return true;
	return false;
}

/* Nobody takes a port of a slice that no policy has: what is unused stays unused. */
static int uses_remove(int uses, const struct uses_key *key)
{
	static const struct port_uses unused;
	struct port_uses now;

	if (bpf_map_lookup_elem(uses, key, &now) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (memcmp(&now, &unused, sizeof(now)))
		return 0;
	return bpf_map_delete_elem(uses, key) < 0 && errno != ENOENT ? -errno : 0;
}

int port_uses_sweep(int uses, const struct policy *policies, size_t count)
{
	struct uses_key key, next, *at = NULL;
	int err = 0;

	while (!err && bpf_map_get_next_key(uses, at, &next) == 0) {
		if (at && !uses_wanted(at, policies, count))
			err = uses_remove(uses, at);
		key = next;
		at = &key;
	}
	return !err && at && !uses_wanted(at, policies, count) ? uses_remove(uses, at) : err;
}

static int chunk_claims(const struct uses_key *key, const struct port_uses *chunk, port_claim_visit *visit, void *arg)
{
	int err = 0;

	for (uint32_t i = 0; err >= 0 && i < PORTS_PER_CHUNK; i++)
		if (chunk->users[i] == USERS_CLAIMED)
			err = visit(arg, key, ((uint32_t)key->chunk << CHUNK_SHIFT) + i);
	return err;
}

int port_claims_visit(int uses, port_claim_visit *visit, void *arg)
{
	struct uses_key key, *at = NULL;
	struct port_uses chunk;
	int err = 0;

	while (err >= 0 && bpf_map_get_next_key(uses, at, &key) == 0) {
		at = &key;
		if (bpf_map_lookup_elem(uses, &key, &chunk) == 0)
			err = chunk_claims(&key, &chunk, visit, arg);
		else if (errno != ENOENT)
			err = -errno;
	}
	return err;
}
