/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the rig of the forwarder's tests
 *
 * Golden packets: packet in, action, the one counter that grows, and every byte that comes out, which the written model
 * must say as well. Each case is a test of its own; `forwarder_NAME_test PATTERN` runs those whose name matches.
 *
 * The server under test is server 7 of site 3. Server 8 stands beside it, site 4 is reached through a tunnel address
 * and another device.
 */
#ifndef BERTH_TEST_FORWARDER_RIG_H
#define BERTH_TEST_FORWARDER_RIG_H

#include <linux/bpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/abi/forwarder.h"
#include "../../src/abi/fragment.h"
#include "../../src/abi/verdict.h"
#include "packet.h"
#include "program.h"

#include "forwarder.skel.h"

/* Devices: packets enter by loopback; no device of OTHER_DEVICE's number needs to be there for a redirect's verdict. */
#define LOOPBACK 1
#define OTHER_DEVICE 77

#define ROUTER 0x0a0000000001 /* Ethernet addresses */
#define SERVER 0x0a0000000007
#define NEIGHBOUR 0x0a0000000008
#define ROUTER_B 0x0a00000000fe
#define SERVER_B 0x0a0000000107

#define PEER IPV4(192, 0, 2, 7)
#define OTHER_PEER IPV4(192, 0, 2, 8)
#define EGRESS IPV4(203, 0, 113, 5) /* slices of 2,048 ports */
#define EGRESS_WIDE IPV4(198, 51, 100, 1) /* slices of 32,768 ports, in 198.51.100.0/28 */
#define NOT_EGRESS IPV4(198, 51, 100, 16)

#define UNDERLAY IPV4(10, 0, 1, 7)
#define TUNNEL IPV4(10, 0, 1, 254)
#define UNDERLAY_8 IPV4(10, 0, 1, 8)
#define UNDERLAY_9 IPV4(10, 0, 2, 9)
#define UNDERLAY_LAST IPV4(10, 0, 9, 9)
#define TUNNEL_4 IPV4(10, 0, 2, 254)

#define LAST_SERVER ((1u << 20) - 1)
#define LAST_SITE ((1u << 12) - 1)

/* First ports of the slices of EGRESS, by what stands in the table. */
#define PORT_LOCAL 2048
#define PORT_HOP 4096 /* to server 8, 1,540 bytes */
#define PORT_SITE 6144 /* to site 4, 1,500 bytes */
#define PORT_FREE 8192
#define PORT_LOCAL_IN 10240 /* marked inbound */
#define PORT_HOP_IN 12288 /* to server 8, marked inbound */
#define PORT_NO_WAY 14336 /* hop without a way */
#define PORT_LAST_HOP 16384 /* highest hop number, to server 8 */
#define PORT_BAD_HOP 18432 /* one above */
#define PORT_BAD_WHERE 20480 /* a number that means nothing */
#define PORT_END 63488 /* last slice, to server 8 */

/* Sockets at EGRESS, in the local slice. */
#define PORT_CONNECTED 2100 /* to PEER:53 */
#define PORT_BOUND 2101 /* bound to EGRESS */
#define PORT_ANY 2102 /* bound to any address */
#define PORT_ANY_V6 2103 /* bound to any IPv6 address, and so to any IPv4 address */
#define PORT_CONNECTED_V6 2104 /* an IPv6 socket bound to EGRESS, connected to PEER:53 */

#define NO_VERDICT VERDICT_COUNT

struct golden {
	const char *name;
	const struct layer *in;
	size_t pad; /* bytes behind the packet, in */
	enum verdict verdict; /* NO_VERDICT: nothing is counted */
	uint32_t action;
	const struct layer *out; /* NULL: as it came in */
	size_t out_pad;
};

/* Headers that come again and again. */
#define FROM_ROUTER ETH(SERVER, ROUTER)
#define FROM_8 ETH(SERVER, NEIGHBOUR)
#define TO_8 ETH(NEIGHBOUR, SERVER)
#define TO_SITE ETH(ROUTER_B, SERVER_B)
#define REPLY(...) IP(.src = PEER, .dst = EGRESS, .ttl = 57, .df = true, __VA_ARGS__)
#define OUTER_8(...) IP(.src = UNDERLAY, .dst = UNDERLAY_8, .df = true, __VA_ARGS__)
#define OUTER_SITE(...) IP(.src = UNDERLAY, .dst = TUNNEL_4, .df = true, __VA_ARGS__)
#define OUTER_IN(...) IP(.src = UNDERLAY_8, .dst = UNDERLAY, .ttl = 63, .df = true, __VA_ARGS__)
#define TUNNEL_UDP(...) UDP(.dst = 6080, .no_check = true, __VA_ARGS__)
#define LABEL(port, ...) GUE(.steering = (port), .server = 7, .site = 3, __VA_ARGS__)
#define LABEL_IN(port, ...) GUE(.steering = (port), .server = 8, .site = 9, __VA_ARGS__)
/* What a router says about the packet EGRESS:port -> PEER:443, of which it quotes 8 bytes. */
#define QUOTED(...) IP(.src = EGRESS, .dst = PEER, .length_error = 1400, __VA_ARGS__)

/* A row may end early: what is left out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* Of the server under test. */
extern struct forwarder *forwarder_skel;

/* Anew for each test, so that a test may change what it likes. */
int forwarder_setup(void **state);
/* headers: what the hop's packets begin with, the fields that vary left out. */
void forwarder_hop_write(uint32_t index, const struct layer *headers, uint32_t ifindex, uint16_t mtu);
/* The UDP source port of a whole wrapped frame, as docs/wire.md has it. */
void forwarder_spread_write(struct packet *wrapped);
/* Reports of "too big" may be sent at once, as many as a burst has. */
void forwarder_reports_refill(void);
void forwarder_run(const struct packet *in, uint32_t ifindex, struct program_result *ret);

struct golden_list {
	const struct golden *cases;
	size_t count;
};

#define GOLDEN_LIST(cases) \
	{ \
		cases, sizeof(cases) / sizeof(*(cases)) \
	}

/* The whole of main(): golden packets, then other tests. */
int forwarder_main(int argc, char **argv, const struct golden_list *lists, size_t list_count,
		   const struct CMUnitTest *others, size_t other_count);

#endif
