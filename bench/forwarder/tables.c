/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <forwarder_bench.skel.h>

#include "../random.h"

#define SHIFT 11u
#define COLUMNS (1u << (16 - SHIFT))
/* In a test run packets come in by the namespace's lo. */
#define LOOPBACK 1u
#define MTU 1600u

/* Whether no two of these /24s fall into one slot. */
static bool multiplier_fits(uint32_t multiplier, uint32_t prefixes)
{
	static bool taken[DIRECTORY_SLOTS];

	memset(taken, 0, sizeof(taken));
	for (uint32_t i = 0; i < prefixes; i++) {
		uint32_t index = directory_index(multiplier, BENCH_POOL + (i << 8));

		if (taken[index])
			return false;
		taken[index] = true;
	}
	return true;
}

static void directory_write(struct forwarder_bench *skel, uint32_t prefixes)
{
	struct directories *directories = &skel->data_directories->directories;
	struct directory *directory = &directories->copy[0];
	uint32_t multiplier = 0x9e3779b1;

	while (!multiplier_fits(multiplier, prefixes))
		multiplier += 2;
	memset(directory, 0, sizeof(*directory));
	directory->multiplier = multiplier;
	for (uint32_t i = 0; i < prefixes; i++) {
		uint32_t addr = BENCH_POOL + (i << 8);

		directory->slots[directory_index(multiplier, addr)] =
			(struct directory_slot){.key = directory_key(addr), .base = i * 256 * COLUMNS, .shift = SHIFT};
	}
	directories->live = 0;
}

static uint16_t sum_of(const uint8_t *header)
{
	uint32_t sum = 0;
	uint16_t word;

	for (size_t i = 0; i < WRAP_IP_LEN; i += 2) {
		memcpy(&word, header + i, sizeof(word));
		sum += word;
	}
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

/* A tunnel frame's front from here to there, with what varies left 0 (abi/forwarder.h). */
static void hop_write(struct hop_wrap *wrap, uint32_t to)
{
	const uint32_t from = htonl(BENCH_UNDERLAY), id = htonl(BENCH_SERVER << WRAP_SITE_ID_BITS);
	struct frame frame;
	uint8_t *ip = frame.bytes + WRAP_IP_OFFSET;

	frame_tunnel(6, 0, &frame);
	to = htonl(to);
	memcpy(ip + 12, &from, sizeof(from));
	memcpy(ip + 16, &to, sizeof(to));
	memset(ip + 2, 0, 2); /* total length */
	memset(frame.bytes + WRAP_UDP_OFFSET, 0, 2); /* source port */
	memset(frame.bytes + WRAP_UDP_OFFSET + 4, 0, 2); /* length */
	memcpy(frame.bytes + WRAP_INNER_OFFSET - sizeof(id), &id, sizeof(id));
	memcpy(wrap->header, frame.bytes, WRAP_INNER_OFFSET);
	wrap->check = sum_of(ip);
	wrap->ifindex = LOOPBACK;
	wrap->mtu = MTU;
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

int tables_write(struct forwarder_bench *skel, uint32_t addresses, uint32_t hops)
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
	directory_write(skel, addresses / 256);
	err = hops_write(skel, hops);
	return err ? err : slices_write(skel, addresses * COLUMNS, hops);
}
