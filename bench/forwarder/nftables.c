/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What nftables can do of the job: a map by address and port range at the device's ingress, and `fwd`, without a wrap.
 * Frames come out of one veth end and in at the other, where the forwarder or nftables sends them back.
 */
#include "live.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#include <forwarder_bench.skel.h>

#include "../../src/kernel/why.h"

#define DEVICE "in0"
#define ADDRESSES 256u

static void elements_write(FILE *nft)
{
	for (uint32_t i = 0; i < ADDRESSES; i++) {
		struct in_addr addr = {htonl(BENCH_POOL + i)};
		char text[INET_ADDRSTRLEN];

		(void)inet_ntop(AF_INET, &addr, text, sizeof(text));
		for (uint32_t column = 1; column < BENCH_COLUMNS; column++)
			fprintf(nft, "add element netdev bench to { %s . %u-%u : " DEVICE " }\n", text,
				column << BENCH_SHIFT, ((column + 1) << BENCH_SHIFT) - 1);
	}
}

/* The same slices as the forwarder's table has. */
static int rules_write(char **why)
{
	FILE *nft;

	/* Without XDP a veth takes frames from it only when it does GRO. */
	if (system("ethtool -K " DEVICE " gro on") != 0)
		return why_say(why, -EIO, "ethtool failed");
	nft = popen("nft -f -", "w");
	if (!nft)
		return why_say(why, -errno, "nft: %m");
	fputs("add map netdev bench to { type ipv4_addr . inet_service : iface_index; flags interval; }\n"
	      "add chain netdev bench in { type filter hook ingress device " DEVICE " priority 0; }\n"
	      "add rule netdev bench in meta l4proto udp fwd to ip daddr . udp dport map @to\n",
	      nft);
	elements_write(nft);
	return pclose(nft) ? why_say(why, -EIO, "nft did not take the rules") : 0;
}

/* The forwarder at the device, or nothing, so that packets come to nftables. */
static int side_prepare(struct forwarder_bench *skel, enum side side, char **why)
{
	const int device = (int)if_nametoindex(DEVICE);
	const int err = side == OURS ? bpf_xdp_attach(device, bpf_program__fd(skel->progs.live_forward), 0, NULL)
				     : bpf_xdp_detach(device, 0, NULL);

	return err ? why_say(why, err, "XDP at " DEVICE ": %s", strerror(-err)) : 0;
}

int part_nftables(struct bench *bench, char **why)
{
	static const struct live_plan plan = {
		.name = "nftables",
		.reference = "nftables: a map at ingress, fwd only",
		.cores = 1,
		.proto = IPPROTO_UDP,
		.from = "out",
		.programs = {"live_send", "live_send"},
		.growth = {WRAP_OVERHEAD, 0},
		.lossy = true,
		.set_up = rules_write,
		.prepare = side_prepare,
	};

	return live_measure(bench, &plan, why);
}
