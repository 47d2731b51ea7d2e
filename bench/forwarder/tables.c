/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#include <forwarder_bench.skel.h>

#include "../../src/core/compile.h"
#include "../../src/kernel/hop.h"
#include "../../src/kernel/why.h"
#include "../place.h"
#include "../random.h"

/* In a test run packets come in by the namespace's lo. */
#define LOOPBACK 1u
#define MTU 1600u

int pool_directory(struct directory *directory, uint32_t count)
{
	uint32_t prefixes[DIRECTORY_SLOTS] = {0};
	int err;

	for (uint32_t i = 0; i < count; i++)
		prefixes[i] = (BENCH_POOL >> 8) + i;
	memset(directory, 0, sizeof(*directory));
	err = directory_multiplier(prefixes, count, &directory->multiplier);
	for (uint32_t i = 0; !err && i < count; i++) {
		uint32_t addr = BENCH_POOL + (i << 8);

		directory->slots[directory_index(directory->multiplier, addr)] = (struct directory_slot){
			.key = directory_key(addr), .base = i * 256 * BENCH_COLUMNS, .shift = BENCH_SHIFT};
	}
	return err;
}

static void hop_write(struct hop_wrap *wrap, uint32_t to)
{
	const struct hop_way way = {.src_mac = {2, 0, 0, 0, 0, 7},
				    .dst_mac = {2, 0, 0, 0, 0, 8},
				    .src = BENCH_UNDERLAY,
				    .dst = to,
				    .wrap_port = WRAP_PORT,
				    .server_id = BENCH_SERVER,
				    .ifindex = LOOPBACK,
				    .mtu = MTU};

	hop_wrap_build(&way, wrap);
}

static int hops_write(struct forwarder_bench *skel, uint32_t hops)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < hops; i++) {
		struct l2_hop hop = {.macs = {2, 0, 0, 0, 0, 8, 2, 0, 0, 0, 0, 7}, .to = htonl(NEIGHBOUR_UNDERLAY + i)};

		hop_write(&skel->data_hops->hops.wrap[i][0], NEIGHBOUR_UNDERLAY + i);
		skel->data_hops->hops.live[i] = 0;
		if (bpf_map_update_elem(bpf_map__fd(skel->maps.l2_hops), &i, &hop, BPF_ANY) < 0)
			err = -errno;
	}
	return err;
}

/* Of the forwarder, and of the references: L2's are where to, L2two's are hops. */
static int slices_write(struct forwarder_bench *skel, uint32_t count, uint32_t hops)
{
	uint64_t state = 1;
	int err = 0;

	for (uint32_t i = 0; !err && i < count; i++) {
		uint32_t hop = hops ? (uint32_t)(random_next(&state) % hops) : 0;
		uint32_t value = hops > 1 ? hop : htonl(NEIGHBOUR_UNDERLAY);

		skel->data_slices->slices.entry[i] = hops ? SLICE_HOP + hop : SLICE_LOCAL;
		if (bpf_map_update_elem(bpf_map__fd(skel->maps.l2_slices), &i, &value, BPF_ANY) < 0)
			err = -errno;
	}
	return err;
}

static int tables_write(struct forwarder_bench *skel, uint32_t addresses, uint32_t hops)
{
	int err;

	skel->data_config->config = (struct forwarder_config){
		.layout = BERTH_LAYOUT_VERSION,
		.server_id = BENCH_SERVER,
		.site_id = BENCH_SITE,
		.underlay = htonl(BENCH_UNDERLAY),
		.wrap_port = htons(WRAP_PORT),
		.max_hops = WRAP_HOPS_DEFAULT,
	};
	skel->data_members->members.underlay[NEIGHBOUR] = htonl(NEIGHBOUR_UNDERLAY);
	skel->data_directories->directories.live = 0;
	err = pool_directory(&skel->data_directories->directories.copy[0], addresses / 256);
	if (!err)
		err = hops_write(skel, hops);
	return err ? err : slices_write(skel, addresses * BENCH_COLUMNS, hops);
}

int programs_load(uint32_t addresses, uint32_t hops, struct forwarder_bench **ret, char **why)
{
	int err = netns_enter_new(why);

	if (err)
		return err;
	*ret = forwarder_bench__open_and_load();
	if (!*ret)
		return why_say(why, -errno, "the programs cannot be loaded: %m");
	err = tables_write(*ret, addresses, hops);
	return err ? why_say(why, err, "the tables cannot be written: %s", strerror(-err)) : 0;
}
