/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The forwarder against golden packets: packet in, action, the one counter that grows, and every byte that comes out.
 * Each case is a test of its own; `forwarder_test PATTERN` runs those whose name matches.
 *
 * The server under test is server 7 of site 3. Server 8 stands beside it, site 4 is reached through a tunnel address
 * and another device.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <bpf/bpf.h>

#include "../../src/abi/forwarder.h"
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

/* A row may end early: what is left out is 0. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* clang-format off */
static const struct golden passes[] = {
	{"pass: TCP to an address that is none of ours",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = IPV4(203, 0, 114, 5)), TCP(.src = 443, .dst = 4100)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: SYN to the server itself",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY), TCP(.src = 443, .dst = 22, .flags = TCP_SYN)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: UDP to the server itself",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY), UDP(.src = 53, .dst = 6081), BYTES(80)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: address of the /24 outside the pool",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = NOT_EGRESS), TCP(.src = 443, .dst = 4100)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: the same, low port", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = NOT_EGRESS),
		TCP(.src = 443, .dst = 80)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: ICMP to an address that is none of ours",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = NOT_EGRESS), ICMP(.type = 8, .id = 4100)), 0, NO_VERDICT,
		XDP_PASS},
	{"pass: fragment to an address that is none of ours",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY, .offset = 100, .protocol = 17), BYTES(80)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: lengths that lie, none of ours",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY, .length_error = 4), TCP(.src = 443, .dst = 4100)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: ARP", PACKET(ETH(0xffffffffffff, ROUTER, .type = 0x0806), BYTES(46)), 0, NO_VERDICT, XDP_PASS},
	{"pass: IPv6", PACKET(ETH(SERVER, ROUTER, .type = 0x86dd), BYTES(100)), 0, NO_VERDICT, XDP_PASS},
	{"pass: VLAN, though the same bytes follow",
	 PACKET(ETH(SERVER, ROUTER, .type = 0x8100), REPLY(), TCP(.src = 443, .dst = PORT_HOP)), 0, NO_VERDICT,
		XDP_PASS},
	{"pass: Ethernet header alone", PACKET(FROM_ROUTER), 0, NO_VERDICT, XDP_PASS},
	{"pass: wrap port of an address that is no tunnel address",
	 PACKET(FROM_8, IP(.src = UNDERLAY_8, .dst = UNDERLAY_9), TUNNEL_UDP(), LABEL_IN(PORT_HOP), REPLY(),
		TCP(.dst = PORT_HOP)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: options, to another port of the server itself",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY, .options = 4), UDP(.src = 53, .dst = 6081), BYTES(40)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: first fragment, to another port of the server itself",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY, .mf = true), UDP(.src = 53, .dst = 6081), BYTES(40)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: a TCP port of the wrap port's number, options",
	 PACKET(FROM_ROUTER, IP(.src = PEER, .dst = UNDERLAY, .options = 4), TCP(.src = 53, .dst = 6080), BYTES(40)),
	 0, NO_VERDICT, XDP_PASS},
	{"pass: later fragment to the server's own address",
	 PACKET(FROM_8, OUTER_IN(.offset = 8, .protocol = 17), BYTES(100)), 0, NO_VERDICT, XDP_PASS},
};

static const struct golden wraps[] = {
	{"wrap: TCP to a server", PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_HOP), BYTES(100)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.src = 443, .dst = PORT_HOP),
		BYTES(100))},
	{"wrap: the UDP source port is docs/wire.md's",
	 PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = 4100), BYTES(100)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(.src = 0xc276), LABEL(4100), REPLY(), TCP(.src = 443, .dst = 4100),
		BYTES(100))},
	{"wrap: TCP to a site, by another device", PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_SITE),
		BYTES(100)),
	 0, VERDICT_WRAP, XDP_REDIRECT,
	 PACKET(TO_SITE, OUTER_SITE(), TUNNEL_UDP(), LABEL(PORT_SITE), REPLY(), TCP(.src = 443, .dst = PORT_SITE),
		BYTES(100))},
	{"wrap: UDP", PACKET(FROM_ROUTER, REPLY(.id = 77), UDP(.src = 53, .dst = PORT_HOP), BYTES(100)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.id = 77), UDP(.src = 53, .dst = PORT_HOP),
		BYTES(100))},
	{"wrap: UDP without payload", PACKET(FROM_ROUTER, REPLY(), UDP(.src = 53, .dst = PORT_HOP)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), UDP(.src = 53, .dst = PORT_HOP))},
	{"wrap: SYN with ACK", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP, .flags = TCP_SYN | TCP_ACK)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(),
		TCP(.dst = PORT_HOP, .flags = TCP_SYN | TCP_ACK))},
	{"wrap: RST", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP, .flags = TCP_RST)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP, .flags = TCP_RST))},
	{"wrap: SYN to an inbound slice", PACKET(FROM_ROUTER, REPLY(),
		TCP(.dst = PORT_HOP_IN, .flags = TCP_SYN)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP_IN), REPLY(),
		TCP(.dst = PORT_HOP_IN, .flags = TCP_SYN))},
	{"wrap: last port of a slice", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = 6143)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(6143), REPLY(), TCP(.dst = 6143))},
	{"wrap: port 65535", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = 65535)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(65535), REPLY(), TCP(.dst = 65535))},
	{"wrap: slice of 32,768 ports, first port", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS_WIDE),
		TCP(.dst = 32768)),
	 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(32768), IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 32768))},
	{"wrap: slice of 32,768 ports, port 65535", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS_WIDE),
		TCP(.dst = 65535)),
	 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(65535), IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 65535))},
	{"wrap: highest hop", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_LAST_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_LAST_HOP), REPLY(), TCP(.dst = PORT_LAST_HOP))},
	{"wrap: DF is the outer header's own", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS, .id = 9),
		TCP(.dst = PORT_HOP)),
	 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), IP(.src = PEER, .dst = EGRESS, .id = 9),
		TCP(.dst = PORT_HOP))},
	{"wrap: inner TTL 1 stays", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS, .ttl = 1),
		TCP(.dst = PORT_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), IP(.src = PEER, .dst = EGRESS, .ttl = 1),
		TCP(.dst = PORT_HOP))},
	{"wrap: a wrong inner checksum is the owner's to find",
	 PACKET(FROM_ROUTER, REPLY(.check = 1, .fixed_check = true), TCP(.dst = PORT_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.check = 1, .fixed_check = true),
		TCP(.dst = PORT_HOP))},
	{"wrap: ECT(1)", PACKET(FROM_ROUTER, REPLY(.tos = 0xb9), TCP(.dst = PORT_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(.tos = 1), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.tos = 0xb9), TCP(.dst = PORT_HOP))},
	{"wrap: ECT(0)", PACKET(FROM_ROUTER, REPLY(.tos = 2), TCP(.dst = PORT_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(.tos = 2), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.tos = 2), TCP(.dst = PORT_HOP))},
	{"wrap: CE", PACKET(FROM_ROUTER, REPLY(.tos = 0xff), TCP(.dst = PORT_HOP)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(.tos = 3), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.tos = 0xff), TCP(.dst = PORT_HOP))},
	{"wrap: padding of a short frame is cut off, plain", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP)), 6,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP))},
	{"wrap: padding of a short frame is cut off, UDP", PACKET(FROM_ROUTER, REPLY(), UDP(.dst = PORT_HOP)), 18,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), UDP(.dst = PORT_HOP))},
	{"wrap: padding of a short frame is cut off, echo reply", PACKET(FROM_ROUTER, REPLY(),
		ICMP(.id = PORT_HOP)), 18, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), ICMP(.id = PORT_HOP))},
	{"wrap: options, TCP", PACKET(FROM_ROUTER, REPLY(.options = 4), TCP(.dst = PORT_HOP), BYTES(9)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.options = 4), TCP(.dst = PORT_HOP), BYTES(9))},
	{"wrap: 40 bytes of options, UDP", PACKET(FROM_ROUTER, REPLY(.options = 40), UDP(.dst = PORT_HOP),
		BYTES(9)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(.options = 40), UDP(.dst = PORT_HOP),
		BYTES(9))},
	{"wrap: first fragment, UDP", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS, .mf = true, .id = 0x1234),
		UDP(.src = 53, .dst = PORT_HOP), BYTES(800)),
	 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP),
		IP(.src = PEER, .dst = EGRESS, .mf = true, .id = 0x1234), UDP(.src = 53, .dst = PORT_HOP),
		BYTES(800))},
	{"wrap: first fragment, TCP", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS, .mf = true, .id = 2),
		TCP(.dst = PORT_HOP), BYTES(20)),
	 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), IP(.src = PEER, .dst = EGRESS, .mf = true, .id = 2),
		TCP(.dst = PORT_HOP), BYTES(20))},
	{"wrap: echo reply by identifier", PACKET(FROM_ROUTER, REPLY(), ICMP(.id = PORT_HOP, .value = 5),
		BYTES(56)), 0, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), ICMP(.id = PORT_HOP, .value = 5),
		BYTES(56))},
};

/* What a router says about the packet EGRESS:port -> PEER:443, of which it quotes 8 bytes. */
#define QUOTED(...) IP(.src = EGRESS, .dst = PEER, .length_error = 1400, __VA_ARGS__)
#define ERROR_WRAPPED(...) \
	PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), IP(.src = OTHER_PEER, .dst = EGRESS), __VA_ARGS__)
#define ERROR_IN(...) PACKET(FROM_ROUTER, IP(.src = OTHER_PEER, .dst = EGRESS), __VA_ARGS__)

static const struct golden errors[] = {
#define ERROR_CASE(title, icmp, quoted, ports) \
	{title, ERROR_IN(icmp, quoted, ports), 0, VERDICT_WRAP, XDP_TX, ERROR_WRAPPED(icmp, quoted, ports)}
	ERROR_CASE("error: unreachable, TCP quoted", ICMP(.type = 3, .code = 1), QUOTED(.protocol = 6),
		UDP(.src = PORT_HOP, .dst = 443)),
	ERROR_CASE("error: unreachable, UDP quoted", ICMP(.type = 3, .code = 3), QUOTED(),
		UDP(.src = PORT_HOP, .dst = 53)),
	ERROR_CASE("error: fragmentation needed", ICMP(.type = 3, .code = 4, .value = 1400),
		QUOTED(.df = true, .protocol = 6), UDP(.src = PORT_HOP, .dst = 443)),
	ERROR_CASE("error: source quench", ICMP(.type = 4), QUOTED(), UDP(.src = PORT_HOP, .dst = 53)),
	ERROR_CASE("error: time exceeded", ICMP(.type = 11), QUOTED(), UDP(.src = PORT_HOP, .dst = 53)),
	ERROR_CASE("error: parameter problem", ICMP(.type = 12), QUOTED(), UDP(.src = PORT_HOP, .dst = 53)),
	ERROR_CASE("error: own echo request quoted", ICMP(.type = 11), QUOTED(), ICMP(.type = 8, .id = PORT_HOP)),
	ERROR_CASE("error: quoted header with options", ICMP(.type = 3), QUOTED(.options = 40),
		UDP(.src = PORT_HOP, .dst = 53)),
	ERROR_CASE("error: quoted first fragment", ICMP(.type = 3), QUOTED(.mf = true, .id = 6),
		UDP(.src = PORT_HOP, .dst = 53)),
	{"error: for a local slice", ERROR_IN(ICMP(.type = 3, .code = 1), QUOTED(.protocol = 6),
		UDP(.src = PORT_LOCAL, .dst = 443)), 0,
	 VERDICT_DELIVER_DIRECT, XDP_PASS},
	{"error: quoted source is another address", ERROR_IN(ICMP(.type = 3),
		IP(.src = IPV4(203, 0, 113, 6), .dst = PEER), UDP(.src = PORT_HOP)),
	 0, VERDICT_MALFORMED, XDP_DROP},
	{"error: quoted header says IPv6", ERROR_IN(ICMP(.type = 3), QUOTED(.version = 6), UDP(.src = PORT_HOP)), 0,
		VERDICT_MALFORMED, XDP_DROP},
	{"error: quoted header of 16 bytes", ERROR_IN(ICMP(.type = 3), QUOTED(.words = 4), UDP(.src = PORT_HOP)), 0,
		VERDICT_MALFORMED, XDP_DROP},
	{"error: 7 bytes quoted", ERROR_IN(ICMP(.type = 3), QUOTED(.protocol = 6), BYTES(7)), 0, VERDICT_MALFORMED,
		XDP_DROP},
	{"error: 7 bytes quoted, padding behind", ERROR_IN(ICMP(.type = 3), QUOTED(.protocol = 6), BYTES(7)), 20,
		VERDICT_MALFORMED, XDP_DROP},
	{"error: quoted options run over the end", ERROR_IN(ICMP(.type = 3), QUOTED(.words = 6),
		UDP(.src = PORT_HOP)), 0, VERDICT_MALFORMED, XDP_DROP},
	{"error: nothing quoted", ERROR_IN(ICMP(.type = 3)), 0, VERDICT_MALFORMED, XDP_DROP},
	{"error: quoted later fragment", ERROR_IN(ICMP(.type = 3), QUOTED(.offset = 1), UDP(.src = PORT_HOP)), 0,
		VERDICT_NO_PORT, XDP_DROP},
	{"error: quoted echo reply", ERROR_IN(ICMP(.type = 3), QUOTED(), ICMP(.type = 0, .id = PORT_HOP)), 0,
		VERDICT_NO_PORT, XDP_DROP},
	{"error: quoted GRE", ERROR_IN(ICMP(.type = 3), QUOTED(.protocol = 47), BYTES(8)), 0, VERDICT_NO_PORT,
		XDP_DROP},
	{"error: redirect", ERROR_IN(ICMP(.type = 5), QUOTED(), UDP(.src = PORT_HOP)), 0, VERDICT_NO_PORT, XDP_DROP},
	{"error: router advertisement", ERROR_IN(ICMP(.type = 9), BYTES(20)), 0, VERDICT_NO_PORT, XDP_DROP},
	{"error: timestamp request", ERROR_IN(ICMP(.type = 13), BYTES(20)), 0, VERDICT_NO_PORT, XDP_DROP},
};

#define DROPPED(title, verdict, ...) {title, PACKET(FROM_ROUTER, __VA_ARGS__), 0, verdict, XDP_DROP}

static const struct golden drops[] = {
	DROPPED("drop: SYN to a hop", VERDICT_UNSOLICITED, REPLY(), TCP(.dst = PORT_HOP, .flags = TCP_SYN)),
	DROPPED("drop: SYN to a local slice", VERDICT_UNSOLICITED, REPLY(), TCP(.dst = PORT_LOCAL, .flags = TCP_SYN)),
	DROPPED("drop: SYN with FIN", VERDICT_UNSOLICITED, REPLY(), TCP(.dst = PORT_HOP, .flags = TCP_SYN | TCP_FIN)),
	DROPPED("drop: SYN to a free slice", VERDICT_UNSOLICITED, REPLY(), TCP(.dst = PORT_FREE, .flags = TCP_SYN)),
	DROPPED("drop: SYN with options", VERDICT_UNSOLICITED, REPLY(.options = 8),
		TCP(.dst = PORT_HOP, .flags = TCP_SYN)),
	DROPPED("drop: SYN in a first fragment", VERDICT_UNSOLICITED, REPLY(.mf = true),
		TCP(.dst = PORT_HOP, .flags = TCP_SYN), BYTES(4)),
	DROPPED("drop: SYN, port 80", VERDICT_UNSOLICITED, REPLY(), TCP(.dst = 80, .flags = TCP_SYN)),
	DROPPED("drop: echo request", VERDICT_UNSOLICITED, REPLY(), ICMP(.type = 8, .id = PORT_HOP), BYTES(56)),
	DROPPED("drop: echo request by an inbound slice's number", VERDICT_UNSOLICITED, REPLY(),
		ICMP(.type = 8, .id = PORT_HOP_IN), BYTES(56)),
	DROPPED("drop: free slice", VERDICT_SLICE_UNOWNED, REPLY(), TCP(.dst = PORT_FREE)),
	DROPPED("drop: free slice, UDP", VERDICT_SLICE_UNOWNED, REPLY(), UDP(.dst = PORT_FREE), BYTES(20)),
	DROPPED("drop: free slice, echo reply", VERDICT_SLICE_UNOWNED, REPLY(), ICMP(.id = PORT_FREE)),
	DROPPED("drop: port 0", VERDICT_SLICE_UNOWNED, REPLY(), TCP(.dst = 0)),
	DROPPED("drop: port 1", VERDICT_SLICE_UNOWNED, REPLY(), TCP(.dst = 1)),
	DROPPED("drop: port 2047", VERDICT_SLICE_UNOWNED, REPLY(), TCP(.dst = 2047)),
	DROPPED("drop: port 0 of a local slice that straddles the floor", VERDICT_SLICE_UNOWNED,
		IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 0)),
	DROPPED("drop: port 2047 of a local slice that straddles the floor", VERDICT_SLICE_UNOWNED,
		IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 2047)),
	DROPPED("drop: SYN-ACK to port 22 of a local slice that straddles the floor", VERDICT_SLICE_UNOWNED,
		IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 22, .flags = TCP_SYN | TCP_ACK)),
	DROPPED("drop: hop without a way", VERDICT_HOP_UNRESOLVED, REPLY(), TCP(.dst = PORT_NO_WAY)),
	DROPPED("drop: hop number beyond the table", VERDICT_HOP_UNRESOLVED, REPLY(), TCP(.dst = PORT_BAD_HOP)),
	DROPPED("drop: slice entry that means nothing", VERDICT_HOP_UNRESOLVED, REPLY(), TCP(.dst = PORT_BAD_WHERE)),
	DROPPED("drop: later fragment", VERDICT_FRAGMENT_UNKNOWN, REPLY(.offset = 100, .protocol = 17), BYTES(80)),
	DROPPED("drop: later fragment, more to come", VERDICT_FRAGMENT_UNKNOWN,
		REPLY(.offset = 100, .mf = true, .protocol = 6), BYTES(80)),
	DROPPED("drop: later fragment, 8 bytes in", VERDICT_FRAGMENT_UNKNOWN, REPLY(.offset = 1, .protocol = 6),
		BYTES(80)),
	DROPPED("drop: last possible fragment", VERDICT_FRAGMENT_UNKNOWN, REPLY(.offset = 8191, .protocol = 17),
		BYTES(1)),
	DROPPED("drop: SCTP", VERDICT_NO_PORT, REPLY(.protocol = 132), BYTES(40)),
	DROPPED("drop: GRE", VERDICT_NO_PORT, REPLY(.protocol = 47), BYTES(40)),
	DROPPED("drop: protocol without payload", VERDICT_NO_PORT, REPLY(.protocol = 59), BYTES(0)),
	DROPPED("drop: total length over the frame", VERDICT_MALFORMED, REPLY(.length_error = 1),
		TCP(.dst = PORT_HOP)),
	DROPPED("drop: total length over the frame, local", VERDICT_MALFORMED, REPLY(.length_error = 1),
		TCP(.dst = PORT_LOCAL)),
	DROPPED("drop: total length 0", VERDICT_MALFORMED, REPLY(.length_error = -40), TCP(.dst = PORT_HOP)),
	DROPPED("drop: total length within the header", VERDICT_MALFORMED, REPLY(.length_error = -21),
		TCP(.dst = PORT_HOP)),
	DROPPED("drop: total length within the options", VERDICT_MALFORMED,
		REPLY(.options = 8, .length_error = -21), TCP(.dst = PORT_HOP)),
	DROPPED("drop: total length cuts the TCP header", VERDICT_MALFORMED, REPLY(.length_error = -1),
		TCP(.dst = PORT_HOP)),
	DROPPED("drop: total length cuts the UDP header", VERDICT_MALFORMED, REPLY(.length_error = -21),
		UDP(.dst = PORT_HOP), BYTES(20)),
	DROPPED("drop: header of 16 bytes", VERDICT_MALFORMED, REPLY(.words = 4), TCP(.dst = PORT_HOP)),
	DROPPED("drop: header over the packet", VERDICT_MALFORMED, REPLY(.words = 15), TCP(.dst = PORT_HOP)),
	DROPPED("drop: version 5", VERDICT_MALFORMED, REPLY(.version = 5), TCP(.dst = PORT_HOP)),
	DROPPED("drop: TCP of 19 bytes", VERDICT_MALFORMED, REPLY(.protocol = 6), BYTES(19)),
	DROPPED("drop: first fragment that hides the TCP flags", VERDICT_MALFORMED,
		REPLY(.protocol = 6, .mf = true), UDP(.dst = PORT_HOP)),
	DROPPED("drop: UDP of 7 bytes", VERDICT_MALFORMED, REPLY(.protocol = 17), BYTES(7)),
	DROPPED("drop: ICMP of 7 bytes", VERDICT_MALFORMED, REPLY(.protocol = 1), BYTES(7)),
	DROPPED("drop: no payload", VERDICT_MALFORMED, REPLY(.protocol = 6), BYTES(0)),
	DROPPED("drop: UDP without a socket", VERDICT_NO_SOCKET, REPLY(), UDP(.src = 53, .dst = 2050), BYTES(40)),
	DROPPED("drop: UDP without a socket, no payload", VERDICT_NO_SOCKET, REPLY(), UDP(.src = 53, .dst = 2050)),
	DROPPED("drop: UDP, first fragment without a socket", VERDICT_NO_SOCKET, REPLY(.mf = true),
		UDP(.src = 53, .dst = 2050), BYTES(40)),
	DROPPED("drop: UDP, socket on any address", VERDICT_NO_SOCKET, REPLY(), UDP(.src = 53, .dst = PORT_ANY),
		BYTES(40)),
	DROPPED("drop: UDP, IPv6 socket on any address", VERDICT_NO_SOCKET, REPLY(),
		UDP(.src = 53, .dst = PORT_ANY_V6), BYTES(40)),
	DROPPED("drop: UDP, connected to another port of the peer", VERDICT_NO_SOCKET, REPLY(),
		UDP(.src = 54, .dst = PORT_CONNECTED), BYTES(40)),
	DROPPED("drop: UDP, connected to another peer", VERDICT_NO_SOCKET, IP(.src = OTHER_PEER, .dst = EGRESS),
		UDP(.src = 53, .dst = PORT_CONNECTED), BYTES(40)),
	DROPPED("drop: UDP, socket at another egress address", VERDICT_NO_SOCKET,
		IP(.src = PEER, .dst = EGRESS_WIDE), UDP(.src = 53, .dst = PORT_BOUND), BYTES(40)),
};

#define DELIVERED(title, ...) {title, PACKET(FROM_ROUTER, __VA_ARGS__), 0, VERDICT_DELIVER_DIRECT, XDP_PASS}

static const struct golden delivers[] = {
	DELIVERED("direct: TCP", REPLY(), TCP(.src = 443, .dst = PORT_LOCAL), BYTES(100)),
	DELIVERED("direct: last port", REPLY(), TCP(.src = 443, .dst = 4095)),
	DELIVERED("direct: first port of a slice that straddles the floor", IP(.src = PEER, .dst = EGRESS_WIDE),
		TCP(.dst = 2048)),
	DELIVERED("direct: last port of a slice that straddles the floor", IP(.src = PEER, .dst = EGRESS_WIDE),
		TCP(.dst = 32767)),
	DELIVERED("direct: SYN to an inbound slice", REPLY(), TCP(.dst = PORT_LOCAL_IN, .flags = TCP_SYN)),
	DELIVERED("direct: CE stays", REPLY(.tos = 3), TCP(.dst = PORT_LOCAL)),
	DELIVERED("direct: UDP, connected", REPLY(), UDP(.src = 53, .dst = PORT_CONNECTED), BYTES(40)),
	DELIVERED("direct: UDP, connected, options", REPLY(.options = 4), UDP(.src = 53, .dst = PORT_CONNECTED),
		BYTES(40)),
	DELIVERED("direct: UDP, connected, first fragment", REPLY(.mf = true),
		UDP(.src = 53, .dst = PORT_CONNECTED), BYTES(40)),
	DELIVERED("direct: UDP, bound to the address, any peer", IP(.src = OTHER_PEER, .dst = EGRESS),
		UDP(.src = 9, .dst = PORT_BOUND), BYTES(40)),
	DELIVERED("direct: UDP, IPv6 socket connected", REPLY(), UDP(.src = 53, .dst = PORT_CONNECTED_V6), BYTES(40)),
	DELIVERED("direct: echo reply", REPLY(), ICMP(.id = PORT_LOCAL), BYTES(56)),
	{"direct: padding is the stack's to cut", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_LOCAL)), 6,
		VERDICT_DELIVER_DIRECT, XDP_PASS, NULL, 6},
};

/* in: from server 8, entered at site 9, with these outer TOS and forwardings. */
#define RELAYED(title, outer_tos, hops_in, ...) \
	{title, PACKET(FROM_8, OUTER_IN(.tos = (outer_tos)), TUNNEL_UDP(.src = 0xc321), \
		LABEL_IN(PORT_SITE, .hops = (hops_in)), __VA_ARGS__), \
	 0, VERDICT_RELAY, XDP_REDIRECT, \
	 PACKET(TO_SITE, OUTER_SITE(.tos = (outer_tos) & 3), TUNNEL_UDP(.src = 0xc321), \
		GUE(.steering = PORT_SITE, .server = 7, .site = 9, .hops = (hops_in) + 1), __VA_ARGS__)}

static const struct golden relays[] = {
	RELAYED("relay: TCP", 0, 0, REPLY(), TCP(.dst = PORT_SITE), BYTES(100)),
	RELAYED("relay: UDP", 0, 1, REPLY(), UDP(.dst = PORT_SITE), BYTES(100)),
	RELAYED("relay: last forwarding that is allowed", 0, 2, REPLY(), TCP(.dst = PORT_SITE)),
	RELAYED("relay: ECN of the way stays, DSCP does not", 0xb9 | 3, 0, REPLY(.tos = 2), TCP(.dst = PORT_SITE)),
	RELAYED("relay: ECT(0)", 2, 0, REPLY(.tos = 2), TCP(.dst = PORT_SITE)),
	RELAYED("relay: the steering port of the wrap counts, not the packet's", 0, 0,
		REPLY(.offset = 9, .protocol = 17), BYTES(64)),
	RELAYED("relay: options", 0, 0, REPLY(.options = 12), TCP(.dst = PORT_SITE)),
	RELAYED("relay: outer packet of the hop's MTU", 0, 0, REPLY(), TCP(.dst = PORT_SITE), BYTES(1420)),
	{"relay: back out of the device it came from", PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(.src = 0xffff),
		LABEL_IN(65535), REPLY(), TCP(.dst = 65535)),
	 0, VERDICT_RELAY, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(.src = 0xffff),
		GUE(.steering = 65535, .server = 7, .site = 9, .hops = 1), REPLY(), TCP(.dst = 65535))},
	{"relay: came by the tunnel address",
	 PACKET(FROM_8, IP(.src = UNDERLAY_9, .dst = TUNNEL, .df = true), TUNNEL_UDP(.src = 0xc000),
		GUE(.steering = PORT_HOP, .server = 9, .site = 4), REPLY(), TCP(.dst = PORT_HOP)),
	 0, VERDICT_RELAY, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(.src = 0xc000),
		GUE(.steering = PORT_HOP, .server = 7, .site = 4, .hops = 1), REPLY(), TCP(.dst = PORT_HOP))},
	{"relay: highest ids", PACKET(FROM_8, IP(.src = UNDERLAY_LAST, .dst = TUNNEL, .df = true),
		TUNNEL_UDP(.src = 0xc000),
	 GUE(.steering = PORT_HOP, .server = LAST_SERVER, .site = LAST_SITE), REPLY(), TCP(.dst = PORT_HOP)), 0,
		VERDICT_RELAY, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(.src = 0xc000),
		GUE(.steering = PORT_HOP, .server = 7, .site = LAST_SITE, .hops = 1), REPLY(), TCP(.dst = PORT_HOP))},
	{"relay: bytes behind the packet are cut off", PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_HOP),
		REPLY(), TCP(.dst = PORT_HOP)),
	 12, VERDICT_RELAY, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), GUE(.steering = PORT_HOP, .server = 7, .site = 9, .hops = 1),
		REPLY(), TCP(.dst = PORT_HOP))},
};

#define TUNNELLED(title, verdict, ...) {title, PACKET(FROM_8, __VA_ARGS__), 0, verdict, XDP_DROP}

static const struct golden tunnel_drops[] = {
	TUNNELLED("tunnel: forwarded max_hops times", VERDICT_HOP_LIMIT, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_HOP, .hops = 3), REPLY(), TCP(.dst = PORT_HOP)),
	TUNNELLED("tunnel: forwarded 16 times", VERDICT_HOP_LIMIT, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_HOP, .hops = 15), REPLY(), TCP(.dst = PORT_HOP)),
	TUNNELLED("tunnel: hop without a way", VERDICT_HOP_UNRESOLVED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_NO_WAY), REPLY(), TCP(.dst = PORT_NO_WAY)),
	TUNNELLED("tunnel: hop beyond the table", VERDICT_HOP_UNRESOLVED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_BAD_HOP), REPLY(), TCP(.dst = PORT_BAD_HOP)),
	TUNNELLED("tunnel: too big to relay, DF", VERDICT_TOO_BIG, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_SITE),
		REPLY(), TCP(.dst = PORT_SITE), BYTES(1421)),
	TUNNELLED("tunnel: free slice", VERDICT_SLICE_UNOWNED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_FREE),
		REPLY(), TCP(.dst = PORT_FREE)),
	TUNNELLED("tunnel: port below the floor", VERDICT_SLICE_UNOWNED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(22),
		IP(.src = PEER, .dst = EGRESS_WIDE), TCP(.dst = 22)),
	TUNNELLED("tunnel: sender unknown", VERDICT_TUNNEL_STRANGER, OUTER_IN(), TUNNEL_UDP(),
		GUE(.steering = PORT_LOCAL, .server = 10), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: sender has another address", VERDICT_TUNNEL_STRANGER, OUTER_IN(), TUNNEL_UDP(),
		GUE(.steering = PORT_LOCAL, .server = 9), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: sender 0.0.0.0 with an unused id", VERDICT_TUNNEL_STRANGER,
		IP(.src = 0, .dst = UNDERLAY), TUNNEL_UDP(), GUE(.steering = PORT_LOCAL, .server = 10), REPLY(),
		TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: sender is the tunnel address", VERDICT_TUNNEL_STRANGER,
		IP(.src = TUNNEL, .dst = UNDERLAY), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
		TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: sender of the internet", VERDICT_TUNNEL_STRANGER, IP(.src = PEER, .dst = UNDERLAY),
		TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: inner packet for nobody's address", VERDICT_INNER_STRANGER, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), IP(.src = PEER, .dst = UNDERLAY), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: inner packet for an address of the /24 outside the pool", VERDICT_INNER_STRANGER,
		OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), IP(.src = PEER, .dst = NOT_EGRESS),
		TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: wrap within a wrap", VERDICT_INNER_STRANGER, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
		TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: GUE version 1", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .first = 0x42), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: GUE control message", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .first = 0x22), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: GUE of another length", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .first = 0x03), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: GUE with IPv6 inside", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .protocol = 41), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: GUE flags", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .flags = 1), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: format 2", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .format = 2), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: private flags", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .private_flags = 0x80), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: UDP checksum", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), UDP(.dst = 6080),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: IP options outside", VERDICT_TUNNEL_MALFORMED, OUTER_IN(.options = 4), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: first fragment", VERDICT_TUNNEL_MALFORMED, OUTER_IN(.mf = true), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: outer length over the frame", VERDICT_TUNNEL_MALFORMED, OUTER_IN(.length_error = 1),
		TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: outer length short of UDP's", VERDICT_TUNNEL_MALFORMED, OUTER_IN(.length_error = -1),
		TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: UDP length over", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(.length_error = 1),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: UDP length under", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(.length_error = -1),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: inner length over", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(.length_error = 1), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: inner length under", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(.length_error = -1), TCP(.dst = PORT_LOCAL), BYTES(10)),
	TUNNELLED("tunnel: inner version 6", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(.version = 6), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: nothing inside", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL)),
	TUNNELLED("tunnel: nothing at all", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP()),
	TUNNELLED("tunnel: steering port is not the packet's", VERDICT_TUNNEL_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = 22)),
	TUNNELLED("tunnel: steering port is not the packet's, options", VERDICT_TUNNEL_MALFORMED, OUTER_IN(),
		TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(.options = 4), TCP(.dst = 22)),
	TUNNELLED("tunnel: inner header of 16 bytes", VERDICT_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(.words = 4), TCP(.dst = PORT_LOCAL)),
	TUNNELLED("tunnel: inner TCP of 19 bytes", VERDICT_MALFORMED, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(.protocol = 6), BYTES(19)),
	TUNNELLED("tunnel: inner SCTP", VERDICT_NO_PORT, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL),
		REPLY(.protocol = 132), BYTES(40)),
	TUNNELLED("tunnel: inner echo request", VERDICT_UNSOLICITED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL),
		REPLY(), ICMP(.type = 8, .id = PORT_LOCAL)),
	TUNNELLED("tunnel: inner SYN", VERDICT_UNSOLICITED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
		TCP(.dst = PORT_LOCAL, .flags = TCP_SYN)),
	TUNNELLED("tunnel: inner SYN, options", VERDICT_UNSOLICITED, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL),
		REPLY(.options = 4), TCP(.dst = PORT_LOCAL, .flags = TCP_SYN)),
	TUNNELLED("tunnel: inner UDP without a socket", VERDICT_NO_SOCKET, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(2050),
		REPLY(), UDP(.src = 53, .dst = 2050), BYTES(40)),
	TUNNELLED("tunnel: inner UDP, socket on any address", VERDICT_NO_SOCKET, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_ANY), REPLY(), UDP(.src = 53, .dst = PORT_ANY), BYTES(40)),
	TUNNELLED("tunnel: CE on Not-ECT", VERDICT_ECN_MISMATCH, OUTER_IN(.tos = 3), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)),
};

#define UNWRAPPED(title, port, ...) \
	{title, PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(port), __VA_ARGS__), \
	 0, VERDICT_DELIVER_UNWRAP, XDP_PASS, PACKET(FROM_8, __VA_ARGS__)}
#define ECN_CASE(title, inner, outer, result) \
	{title, PACKET(FROM_8, OUTER_IN(.tos = (outer)), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), \
		REPLY(.tos = 0xb8 | (inner)), TCP(.dst = PORT_LOCAL)), \
	 0, VERDICT_DELIVER_UNWRAP, XDP_PASS, PACKET(FROM_8, REPLY(.tos = 0xb8 | (result)), TCP(.dst = PORT_LOCAL))}

static const struct golden unwraps[] = {
	UNWRAPPED("unwrap: TCP", PORT_LOCAL, REPLY(), TCP(.src = 443, .dst = PORT_LOCAL), BYTES(100)),
	UNWRAPPED("unwrap: smallest packet", PORT_LOCAL, REPLY(), TCP(.src = 443, .dst = PORT_LOCAL)),
	UNWRAPPED("unwrap: last port", 4095, REPLY(), TCP(.src = 443, .dst = 4095)),
	UNWRAPPED("unwrap: SYN to an inbound slice", PORT_LOCAL_IN, REPLY(),
		TCP(.dst = PORT_LOCAL_IN, .flags = TCP_SYN)),
	UNWRAPPED("unwrap: options", PORT_LOCAL, REPLY(.options = 24), TCP(.dst = PORT_LOCAL), BYTES(10)),
	UNWRAPPED("unwrap: UDP, connected", PORT_CONNECTED, REPLY(), UDP(.src = 53, .dst = PORT_CONNECTED),
		BYTES(40)),
	UNWRAPPED("unwrap: UDP, connected, no payload", PORT_CONNECTED, REPLY(),
		UDP(.src = 53, .dst = PORT_CONNECTED)),
	UNWRAPPED("unwrap: UDP, bound to the address", PORT_BOUND, REPLY(), UDP(.src = 9, .dst = PORT_BOUND),
		BYTES(40)),
	UNWRAPPED("unwrap: first fragment, UDP", PORT_CONNECTED, REPLY(.mf = true),
		UDP(.src = 53, .dst = PORT_CONNECTED), BYTES(40)),
	UNWRAPPED("unwrap: later fragment, by the wrap's port", PORT_LOCAL, REPLY(.offset = 7, .protocol = 17),
		BYTES(40)),
	UNWRAPPED("unwrap: echo reply", PORT_LOCAL, REPLY(), ICMP(.id = PORT_LOCAL), BYTES(56)),
	UNWRAPPED("unwrap: ICMP error", PORT_LOCAL, IP(.src = OTHER_PEER, .dst = EGRESS),
		ICMP(.type = 3, .code = 1), QUOTED(.protocol = 6), UDP(.src = PORT_LOCAL)),
	{"unwrap: forwarded 15 times before is no matter here", PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL, .hops = 15), REPLY(), TCP(.dst = PORT_LOCAL)),
	 0, VERDICT_DELIVER_UNWRAP, XDP_PASS, PACKET(FROM_8, REPLY(), TCP(.dst = PORT_LOCAL))},
	{"unwrap: by the tunnel address", PACKET(FROM_8, IP(.src = UNDERLAY_9, .dst = TUNNEL, .df = true),
		TUNNEL_UDP(), GUE(.steering = PORT_LOCAL, .server = 9, .site = 4), REPLY(), TCP(.dst = PORT_LOCAL)),
	 0, VERDICT_DELIVER_UNWRAP, XDP_PASS, PACKET(FROM_8, REPLY(), TCP(.dst = PORT_LOCAL))},
	{"unwrap: bytes behind the packet are the stack's to cut", PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(),
		LABEL_IN(PORT_LOCAL), REPLY(), TCP(.dst = PORT_LOCAL)), 9,
	 VERDICT_DELIVER_UNWRAP, XDP_PASS, PACKET(FROM_8, REPLY(), TCP(.dst = PORT_LOCAL)), 9},
	ECN_CASE("unwrap: ECN, Not-ECT in Not-ECT", 0, 0, 0),
	ECN_CASE("unwrap: ECN, Not-ECT in ECT(1)", 0, 1, 0),
	ECN_CASE("unwrap: ECN, Not-ECT in ECT(0)", 0, 2, 0),
	ECN_CASE("unwrap: ECN, ECT(1) in Not-ECT", 1, 0, 1),
	ECN_CASE("unwrap: ECN, ECT(1) in ECT(1)", 1, 1, 1),
	ECN_CASE("unwrap: ECN, ECT(1) in ECT(0)", 1, 2, 1),
	ECN_CASE("unwrap: ECN, ECT(1) in CE", 1, 3, 3),
	ECN_CASE("unwrap: ECN, ECT(0) in Not-ECT", 2, 0, 2),
	ECN_CASE("unwrap: ECN, ECT(0) in ECT(1)", 2, 1, 1),
	ECN_CASE("unwrap: ECN, ECT(0) in ECT(0)", 2, 2, 2),
	ECN_CASE("unwrap: ECN, ECT(0) in CE", 2, 3, 3),
	ECN_CASE("unwrap: ECN, CE in Not-ECT", 3, 0, 3),
	ECN_CASE("unwrap: ECN, CE in ECT(1)", 3, 1, 3),
	ECN_CASE("unwrap: ECN, CE in ECT(0)", 3, 2, 3),
	ECN_CASE("unwrap: ECN, CE in CE", 3, 3, 3),
};

/* Hop 0 takes 1,540 bytes, so packets of 1,500; 68 bytes of what came are quoted. */
#define REPORT(mtu, ...) \
	PACKET(ETH(ROUTER, SERVER), IP(.src = UNDERLAY, .dst = PEER, .tos = 0xc0, .df = true), \
	       ICMP(.type = 3, .code = 4, .value = (mtu)), QUOTE(68, FROM_ROUTER, __VA_ARGS__))
#define REPORTED(title, mtu, padding, ...) \
	{title, PACKET(FROM_ROUTER, __VA_ARGS__), padding, VERDICT_TOO_BIG, XDP_TX, REPORT(mtu, __VA_ARGS__)}

static const struct golden too_bigs[] = {
	{"too big: 1,500 bytes fit 1,540", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP), BYTES(1460)), 0,
		VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP), BYTES(1460))},
	REPORTED("too big: 1,501 bytes do not", 1500, 0, REPLY(.id = 0x1234), TCP(.src = 443, .dst = PORT_HOP),
		BYTES(1461)),
	REPORTED("too big: UDP", 1500, 0, REPLY(), UDP(.src = 53, .dst = PORT_HOP), BYTES(2000)),
	REPORTED("too big: another hop, another MTU", 1460, 0, REPLY(), TCP(.dst = PORT_SITE), BYTES(1421)),
	REPORTED("too big: options", 1500, 0, REPLY(.options = 40), TCP(.dst = PORT_HOP), BYTES(1460)),
	REPORTED("too big: bytes behind the packet", 1500, 4, REPLY(), TCP(.dst = PORT_HOP), BYTES(1461)),
	REPORTED("too big: echo reply", 1500, 0, REPLY(), ICMP(.id = PORT_HOP), BYTES(2000)),
	{"too big: bytes behind the packet do not count", PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP),
		BYTES(1460)), 4, VERDICT_WRAP, XDP_TX,
	 PACKET(TO_8, OUTER_8(), TUNNEL_UDP(), LABEL(PORT_HOP), REPLY(), TCP(.dst = PORT_HOP), BYTES(1460))},
	{"too big: DF clear", PACKET(FROM_ROUTER, IP(.src = PEER, .dst = EGRESS), TCP(.dst = PORT_HOP),
		BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: ICMP error", PACKET(FROM_ROUTER, REPLY(), ICMP(.type = 3), QUOTED(), UDP(.src = PORT_HOP),
		BYTES(1480)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from loopback", PACKET(FROM_ROUTER, IP(.src = IPV4(127, 0, 0, 1), .dst = EGRESS, .df = true),
		TCP(.dst = PORT_HOP), BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from nowhere", PACKET(FROM_ROUTER, IP(.src = 0, .dst = EGRESS, .df = true), TCP(.dst = PORT_HOP),
		BYTES(1461)), 0, VERDICT_TOO_BIG, XDP_DROP},
	{"too big: from a multicast address", PACKET(FROM_ROUTER,
		IP(.src = IPV4(224, 0, 0, 1), .dst = EGRESS, .df = true), TCP(.dst = PORT_HOP), BYTES(1461)), 0,
		VERDICT_TOO_BIG, XDP_DROP},
};
/* clang-format on */

/* The server under test: its forwarder, and sockets at its slices. */
static struct forwarder *skeleton;

/* Anew for each test, so that a test may change what it likes. */
static void config_write(void)
{
	skeleton->data_config->config = (struct forwarder_config){
		.layout = BERTH_LAYOUT_VERSION,
		.server_id = 7,
		.site_id = 3,
		.underlay = htonl(UNDERLAY),
		.tunnel = htonl(TUNNEL),
		.wrap_port = htons(6080),
		.max_hops = 4,
	};
}

/* base: of the first address's first slice. */
static void pool_write(uint32_t addr, uint32_t shift, uint32_t base, uint32_t addresses)
{
	struct directories *directories = &skeleton->data_directories->directories;
	struct directory *directory = &directories->copy[1];
	uint32_t slot = directory_index(directory->multiplier, addr);

	directories->live = 1;
	directory->slots[slot] = (struct directory_slot){.key = directory_key(addr), .base = base, .shift = shift};
	for (uint32_t i = 0; i < addresses << (16 - shift); i++)
		skeleton->data_slices->slices.entry[base + i] = SLICE_FREE;
}

static void slice_write(uint32_t addr, uint32_t port, uint32_t entry)
{
	const struct directory *directory = &skeleton->data_directories->directories.copy[1];
	const struct directory_slot *slot = &directory->slots[directory_index(directory->multiplier, addr)];

	skeleton->data_slices->slices.entry[directory_slice(slot->base, slot->shift, addr, port)] = entry;
}

static void slices_write(void)
{
	skeleton->data_directories->directories.copy[1].multiplier = 0x9e3779b1;
	pool_write(EGRESS, 11, 0, 256);
	pool_write(EGRESS_WIDE, 15, SLICES_MAX - 512, 16); /* the last that fit */
	slice_write(EGRESS, PORT_LOCAL, SLICE_LOCAL);
	slice_write(EGRESS, PORT_HOP, SLICE_HOP);
	slice_write(EGRESS, PORT_SITE, SLICE_HOP + 1);
	slice_write(EGRESS, PORT_LOCAL_IN, SLICE_LOCAL | SLICE_INBOUND);
	slice_write(EGRESS, PORT_HOP_IN, SLICE_HOP | SLICE_INBOUND);
	slice_write(EGRESS, PORT_NO_WAY, SLICE_HOP + 2);
	slice_write(EGRESS, PORT_LAST_HOP, SLICE_HOP + HOPS_MAX - 1);
	slice_write(EGRESS, PORT_BAD_HOP, SLICE_HOP + HOPS_MAX);
	slice_write(EGRESS, PORT_BAD_WHERE, 3);
	slice_write(EGRESS, PORT_END, SLICE_HOP);
	slice_write(EGRESS_WIDE, 2048, SLICE_LOCAL);
	slice_write(EGRESS_WIDE, 32768, SLICE_HOP);
}

/* headers: what the hop's packets begin with, the fields that vary left out. */
static void hop_write(uint32_t index, const struct layer *headers, uint32_t ifindex, uint16_t mtu)
{
	struct hop_wrap *wrap = &skeleton->data_hops->hops.wrap[index][1];
	struct packet packet;

	packet_build(headers, &packet);
	assert_int_equal(packet.size, WRAP_INNER_OFFSET);
	memset(packet.bytes + 16, 0, 2); /* total length */
	memset(packet.bytes + 24, 0, 2); /* checksum */
	memset(packet.bytes + 38, 0, 2); /* UDP length */
	memcpy(wrap->header, packet.bytes, WRAP_INNER_OFFSET);
	wrap->check = htons(packet_sum(packet.bytes + 14, 20));
	wrap->ifindex = ifindex;
	wrap->mtu = mtu;
	skeleton->data_hops->hops.live[index] = 1;
}

static void hops_write(void)
{
	const struct layer *neighbour = PACKET(TO_8, OUTER_8(.protocol = 17), TUNNEL_UDP(), GUE(.server = 7));
	const struct layer *site = PACKET(TO_SITE, OUTER_SITE(.protocol = 17), TUNNEL_UDP(), GUE(.server = 7));

	hop_write(0, neighbour, LOOPBACK, 1540);
	hop_write(1, site, OTHER_DEVICE, 1500);
	hop_write(2, neighbour, 0, 1540);
	hop_write(HOPS_MAX - 1, neighbour, LOOPBACK, 1540);
}

static void members_write(void)
{
	__be32 *underlay = skeleton->data_members->members.underlay;

	underlay[7] = htonl(UNDERLAY);
	underlay[8] = htonl(UNDERLAY_8);
	underlay[9] = htonl(UNDERLAY_9);
	underlay[LAST_SERVER] = htonl(UNDERLAY_LAST);
}

static void socket_open_v4(uint32_t addr, uint16_t port, bool connected)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
	struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(PEER)};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (void *)&local, sizeof(local)))
		err(1, "socket at port %u", port);
	if (connected && connect(fd, (void *)&peer, sizeof(peer)))
		err(1, "connect from port %u", port);
}

static void socket_open_v6(const char *addr, uint16_t port, bool connected)
{
	struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in6 peer = {.sin6_family = AF_INET6, .sin6_port = htons(53)};
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	inet_pton(AF_INET6, addr, &local.sin6_addr);
	inet_pton(AF_INET6, "::ffff:192.0.2.7", &peer.sin6_addr);
	if (fd < 0 || bind(fd, (void *)&local, sizeof(local)))
		err(1, "IPv6 socket at port %u", port);
	if (connected && connect(fd, (void *)&peer, sizeof(peer)))
		err(1, "connect from port %u", port);
}

/* They stay open as long as the process. */
static void sockets_open(void)
{
	socket_open_v4(EGRESS, PORT_CONNECTED, true);
	socket_open_v4(EGRESS, PORT_BOUND, false);
	socket_open_v4(INADDR_ANY, PORT_ANY, false);
	socket_open_v6("::", PORT_ANY_V6, false);
	socket_open_v6("::ffff:203.0.113.5", PORT_CONNECTED_V6, true);
}

static void reports_refill(void)
{
	uint64_t *values = calloc(libbpf_num_possible_cpus(), sizeof(*values));
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(skeleton->maps.report_full), &key, values, BPF_ANY), 0);
	free(values);
}

static int test_setup(void **state)
{
	(void)state;
	config_write();
	hops_write();
	reports_refill();
	return 0;
}

static void run(const struct packet *in, uint32_t ifindex, struct program_result *ret)
{
	program_run_xdp(skeleton->progs.forwarder, skeleton->maps.counters, in, ifindex, ret);
}

/* The UDP source port of a wrap as docs/wire.md has it; `wrapped` is the whole frame. */
static uint16_t wire_spread(const struct packet *wrapped)
{
	const uint8_t *inner = wrapped->bytes + WRAP_INNER_OFFSET;
	const uint8_t *payload = inner + (inner[0] & 15) * 4;
	uint32_t words[3]; /* ports, destination, source */
	uint32_t hash = 0;

	memcpy(&words[0], payload, 4);
	memcpy(&words[1], inner + 16, 4);
	memcpy(&words[2], inner + 12, 4);
	if (inner[6] & 0x20)
		words[0] = (uint32_t)inner[9] << 16 | inner[4] << 8 | inner[5];
	else if (inner[9] == 1)
		words[0] = wrapped->bytes[48] << 8 | wrapped->bytes[49];
	for (size_t i = 0; i < 3; i++) {
		hash ^= words[i];
		hash = (hash ^ hash >> 16) * 0x85ebca6b;
		hash = (hash ^ hash >> 13) * 0xc2b2ae35;
		hash ^= hash >> 16;
	}
	return 0xc000 + hash % 0x4000;
}

static void spread_write(struct packet *wrapped)
{
	uint16_t spread = wire_spread(wrapped);

	wrapped->bytes[34] = spread >> 8;
	wrapped->bytes[35] = spread;
}

static void golden_expected(const struct golden *golden, struct packet *ret)
{
	packet_build(golden->out ? golden->out : golden->in, ret);
	packet_pad(ret, golden->out ? golden->out_pad : golden->pad);
	if (golden->verdict == VERDICT_WRAP && !ret->bytes[34] && !ret->bytes[35])
		spread_write(ret);
}

static void golden_run(void **state)
{
	const struct golden *golden = *state;
	struct program_result result;
	struct packet in, expected;

	packet_build(golden->in, &in);
	packet_pad(&in, golden->pad);
	golden_expected(golden, &expected);
	run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, golden->action);
	assert_true(program_counted(&result, golden->verdict));
	assert_true(packet_same(&expected, &result.out));
}

static const struct layer *const wrapped_local = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
							TCP(.src = 443, .dst = PORT_LOCAL), BYTES(30));
static const struct layer *const wrapped_relay = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_HOP), REPLY(),
							TCP(.src = 443, .dst = PORT_HOP), BYTES(30));
static const struct layer *const wrapped_error = PACKET(
	FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), IP(.src = OTHER_PEER, .dst = EGRESS, .options = 8),
	ICMP(.type = 3, .code = 1), QUOTED(.options = 8), UDP(.src = PORT_LOCAL, .dst = 53), BYTES(8));
static const struct layer *const plain_hop = PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_HOP), BYTES(30));
static const struct layer *const plain_local =
	PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_LOCAL), BYTES(30));
static const struct layer *const plain_error =
	PACKET(FROM_ROUTER, IP(.src = OTHER_PEER, .dst = EGRESS, .options = 8), ICMP(.type = 3, .code = 1),
	       QUOTED(.options = 8), UDP(.src = PORT_HOP, .dst = 53), BYTES(8));

/*
 * Cut anywhere, a packet whose address can be read is dropped with `verdict`; one that ends before is none of ours.
 * known: bytes up to which it cannot be seen that the packet is ours.
 */
static void cut_everywhere(const struct layer *layers, size_t known, enum verdict verdict)
{
	struct program_result result;
	struct packet whole, cut;

	packet_build(layers, &whole);
	for (size_t size = 14; size < whole.size; size++) {
		cut = whole;
		packet_cut(&cut, size);
		run(&cut, LOOPBACK, &result);
		assert_int_equal(result.action, size < known ? XDP_PASS : XDP_DROP);
		assert_true(program_counted(&result, size < known ? NO_VERDICT : verdict));
		assert_true(packet_same(&cut, &result.out));
	}
}

static void cut_plain(void **state)
{
	(void)state;
	cut_everywhere(plain_hop, 34, VERDICT_MALFORMED);
	cut_everywhere(plain_local, 34, VERDICT_MALFORMED);
	cut_everywhere(plain_error, 34, VERDICT_MALFORMED);
}

static void cut_tunnel(void **state)
{
	(void)state;
	cut_everywhere(wrapped_local, 42, VERDICT_TUNNEL_MALFORMED);
	cut_everywhere(wrapped_relay, 42, VERDICT_TUNNEL_MALFORMED);
	cut_everywhere(wrapped_error, 42, VERDICT_TUNNEL_MALFORMED);
}

/* Bits of the outer headers that may differ in a packet that is delivered all the same: mask by offset. */
static const uint8_t outer_free[WRAP_INNER_OFFSET] = {
	[0] = 0xff,  [1] = 0xff,  [2] = 0xff, [3] = 0xff, [4] = 0xff,  [5] = 0xff, /* Ethernet: destination */
	[6] = 0xff,  [7] = 0xff,  [8] = 0xff, [9] = 0xff, [10] = 0xff, [11] = 0xff, /* source */
	[15] = 0xfe, /* TOS, but what makes CE of ECT */
	[18] = 0xff, [19] = 0xff, /* identification */
	[20] = 0xc0, /* reserved bit and DF */
	[22] = 0xff, /* TTL */
	[24] = 0xff, [25] = 0xff, /* header checksum: the link's frame check and the last router have seen to it */
	[34] = 0xff, [35] = 0xff, /* UDP source port */
	[46] = 0x0f, /* forwardings */
	[52] = 0x0f, [53] = 0xff, /* entry site */
};

/* With any bit of the wrap turned over a packet is delivered only where the wrap leaves that bit open. */
static void turned_bits(void **state)
{
	struct program_result result;
	struct packet whole, turned;

	(void)state;
	packet_build(wrapped_local, &whole);
	for (size_t bit = 0; bit < WRAP_INNER_OFFSET * 8; bit++) {
		bool open = outer_free[bit / 8] >> bit % 8 & 1 || bit == 15 * 8;

		turned = whole;
		turned.bytes[bit / 8] ^= 1u << bit % 8;
		run(&turned, LOOPBACK, &result);
		if ((result.counted[VERDICT_DELIVER_UNWRAP] == 1) != open)
			fail_msg("byte %zu, bit %zu: delivered %s", bit / 8, bit % 8, open ? "not" : "all the same");
		if (bit / 8 != 48 && bit / 8 != 49) /* another steering port may well be another server's */
			assert_int_equal(result.counted[VERDICT_RELAY], 0);
	}
}

/* Every value that the outer checksum's sum can fold to comes right: all lengths that fit, all ECN fields. */
static void checksum_everywhere(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	for (size_t bytes = 0; bytes <= 1460; bytes++) {
		packet_build(PACKET(FROM_ROUTER, REPLY(.tos = bytes & 3), TCP(.dst = PORT_HOP), BYTES(bytes)), &in);
		run(&in, LOOPBACK, &result);
		assert_int_equal(result.action, XDP_TX);
		assert_int_equal(packet_sum(result.out.bytes + WRAP_IP_OFFSET, WRAP_IP_LEN), 0xffff);
		assert_int_equal(packet_sum(result.out.bytes + WRAP_INNER_OFFSET, WRAP_IP_LEN), 0xffff);
	}
}

/* The template's sum at both ends: the last addition carries, and the outer checksum is 0. */
static void checksum_extremes(void **state)
{
	static const uint16_t sums[] = {0x0000, 0x0001, 0x7fff, 0xfffe, 0xffff};
	struct program_result result;
	struct packet in;

	(void)state;
	for (size_t i = 0; i < sizeof(sums) / sizeof(*sums); i++)
		for (uint32_t tos = 0; tos < 4; tos++) {
			struct hop_wrap *wrap = &skeleton->data_hops->hops.wrap[0][1];
			uint32_t sum = sums[i] + 80 + tos; /* an outer packet of 80 bytes */

			wrap->check = htons(sums[i]);
			packet_build(PACKET(FROM_ROUTER, REPLY(.tos = tos), TCP(.dst = PORT_HOP)), &in);
			run(&in, LOOPBACK, &result);
			assert_int_equal(result.out.bytes[24] << 8 | result.out.bytes[25],
					 (uint16_t) ~(sum > 0xffff ? sum - 0xffff : sum));
		}
}

/* Congestion marked on the way: the inner checksum is mended for every value that it can have. */
static void ecn_checksum(void **state)
{
	struct program_result result;
	struct packet in, expected;

	(void)state;
	for (uint32_t id = 0; id < 65536; id++) {
		packet_build(PACKET(FROM_8, OUTER_IN(.tos = 3), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL),
				    REPLY(.tos = 2, .id = id), TCP(.dst = PORT_LOCAL)),
			     &in);
		packet_build(PACKET(FROM_8, REPLY(.tos = 3, .id = id), TCP(.dst = PORT_LOCAL)), &expected);
		run(&in, LOOPBACK, &result);
		assert_true(packet_same(&expected, &result.out));
	}
}

static void no_tables(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	skeleton->data_config->config.layout = 0;
	packet_build(plain_hop, &in);
	run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
	packet_build(wrapped_local, &in);
	run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
}

/* The two copies of directory and hop: readers use the live one only. */
static void live_copies(void **state)
{
	struct directories *directories = &skeleton->data_directories->directories;
	struct program_result result;
	struct packet in;

	(void)state;
	packet_build(plain_hop, &in);
	directories->live = 0;
	run(&in, LOOPBACK, &result);
	directories->live = 1;
	assert_true(program_counted(&result, NO_VERDICT));
	skeleton->data_hops->hops.live[0] = 0;
	run(&in, LOOPBACK, &result);
	assert_true(program_counted(&result, VERDICT_HOP_UNRESOLVED));
}

static void hops_counted(const struct layer *layers, uint8_t max_hops, enum verdict expected)
{
	struct program_result result;
	struct packet in;

	skeleton->data_config->config.max_hops = max_hops;
	packet_build(layers, &in);
	run(&in, LOOPBACK, &result);
	assert_true(program_counted(&result, expected));
}

static void hop_limits(void **state)
{
	(void)state;
	hops_counted(plain_hop, 0, VERDICT_HOP_LIMIT);
	hops_counted(plain_hop, 1, VERDICT_WRAP);
	hops_counted(wrapped_relay, 1, VERDICT_HOP_LIMIT);
	hops_counted(wrapped_relay, 2, VERDICT_RELAY);
	for (uint32_t hops = 0; hops < 16; hops++) {
		const struct layer *layers = PACKET(FROM_8, OUTER_IN(), TUNNEL_UDP(), LABEL_IN(PORT_HOP, .hops = hops),
						    REPLY(), TCP(.dst = PORT_HOP));

		hops_counted(layers, 15, hops < 14 ? VERDICT_RELAY : VERDICT_HOP_LIMIT);
		hops_counted(layers, 255, hops < 15 ? VERDICT_RELAY : VERDICT_HOP_LIMIT);
	}
}

/* No tunnel address: one of 0.0.0.0 is not it. */
static void no_tunnel_address(void **state)
{
	struct program_result result;
	struct packet in;

	(void)state;
	skeleton->data_config->config.tunnel = 0;
	packet_build(PACKET(FROM_8, IP(.src = UNDERLAY_8, .dst = 0), TUNNEL_UDP(), LABEL_IN(PORT_LOCAL), REPLY(),
			    TCP(.dst = PORT_LOCAL)),
		     &in);
	run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, XDP_PASS);
	assert_true(program_counted(&result, NO_VERDICT));
}

/* XDP_TX is for the device that the packet came from, whichever that is. */
static void other_ingress(void **state)
{
	uint32_t device = if_nametoindex("berth0");
	struct program_result result;
	struct packet in;

	(void)state;
	assert_int_not_equal(device, 0);
	packet_build(plain_hop, &in);
	run(&in, device, &result);
	assert_int_equal(result.action, XDP_REDIRECT);
	skeleton->data_hops->hops.wrap[0][1].ifindex = device;
	run(&in, device, &result);
	assert_int_equal(result.action, XDP_TX);
}

/* Receives every frame that comes in at a device. */
static int frames_open(uint32_t device)
{
	struct sockaddr_ll any = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = device};
	struct timeval patience = {.tv_sec = 2};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (void *)&any, sizeof(any)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	return fd;
}

/* A real frame, wrapped and redirected, comes out of the hop's device: at the other end of that veth pair. */
static void redirect_arrives(void **state)
{
	uint32_t far = if_nametoindex("berth1");
	struct packet in, expected, got = {0};
	LIBBPF_OPTS(bpf_test_run_opts, live, .data_in = in.bytes, .repeat = 1, .batch_size = 1,
		    .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
	int program = bpf_program__fd(skeleton->progs.forwarder);
	int frames = frames_open(far);

	(void)state;
	packet_build(PACKET(FROM_ROUTER, REPLY(), TCP(.src = 443, .dst = PORT_SITE), BYTES(100)), &in);
	packet_build(PACKET(TO_SITE, OUTER_SITE(), TUNNEL_UDP(), LABEL(PORT_SITE), REPLY(),
			    TCP(.src = 443, .dst = PORT_SITE), BYTES(100)),
		     &expected);
	spread_write(&expected);
	live.data_size_in = in.size;
	skeleton->data_hops->hops.wrap[1][1].ifindex = if_nametoindex("berth0");
	/* A veth end takes redirected frames only when XDP runs at the other end; there, they pass. */
	assert_int_equal(bpf_xdp_attach(far, program, 0, NULL), 0);
	assert_int_equal(bpf_prog_test_run_opts(program, &live), 0);
	do
		got.size = recv(frames, got.bytes, sizeof(got.bytes), 0);
	while (got.size <= PACKET_MAX && memcmp(got.bytes + 12, "\x08\x00", 2)); /* IPv6 announces itself there */
	assert_int_equal(bpf_xdp_detach(far, 0, NULL), 0);
	close(frames);
	assert_true(got.size <= PACKET_MAX);
	assert_true(packet_same(&expected, &got));
}

/* A burst is answered, then one packet a millisecond; every one is counted. */
static void report_rate(void **state)
{
	struct timespec begin, end;
	uint32_t answered = 0, most;
	struct program_result result;
	struct packet in;

	(void)state;
	packet_build(PACKET(FROM_ROUTER, REPLY(), TCP(.dst = PORT_HOP), BYTES(1461)), &in);
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (int i = 0; i < 2000; i++) {
		run(&in, LOOPBACK, &result);
		assert_true(program_counted(&result, VERDICT_TOO_BIG));
		answered += result.action == XDP_TX;
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	most = 51 + (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	assert_in_range(answered, 50, most);
	assert_true(answered < 2000);
}

/* What the verifier goes through stays far from its limit of a million. */
static void verified_size(void **state)
{
	(void)state;
	assert_in_range(program_print_size(skeleton->progs.forwarder), 1, 100000);
}

/* clang-format off */
static const struct CMUnitTest others[] = {
	cmocka_unit_test_setup(cut_plain, test_setup),
	cmocka_unit_test_setup(cut_tunnel, test_setup),
	cmocka_unit_test_setup(turned_bits, test_setup),
	cmocka_unit_test_setup(checksum_everywhere, test_setup),
	cmocka_unit_test_setup(checksum_extremes, test_setup),
	cmocka_unit_test_setup(ecn_checksum, test_setup),
	cmocka_unit_test_setup(no_tables, test_setup),
	cmocka_unit_test_setup(live_copies, test_setup),
	cmocka_unit_test_setup(hop_limits, test_setup),
	cmocka_unit_test_setup(no_tunnel_address, test_setup),
	cmocka_unit_test_setup(other_ingress, test_setup),
	cmocka_unit_test_setup(redirect_arrives, test_setup),
	cmocka_unit_test_setup(report_rate, test_setup),
	cmocka_unit_test_setup(verified_size, test_setup),
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const struct golden *cases;
	size_t count;
} goldens[] = {
	{passes, COUNT(passes)},
	{wraps, COUNT(wraps)},
	{errors, COUNT(errors)},
	{drops, COUNT(drops)},
	{delivers, COUNT(delivers)},
	{relays, COUNT(relays)},
	{tunnel_drops, COUNT(tunnel_drops)},
	{unwraps, COUNT(unwraps)},
	{too_bigs, COUNT(too_bigs)},
};

static char verifier_log[16 << 20];

static void skeleton_load(void)
{
	skeleton = forwarder__open();
	if (!skeleton)
		err(1, "opening the forwarder");
	bpf_program__set_log_level(skeleton->progs.forwarder, 1);
	bpf_program__set_log_buf(skeleton->progs.forwarder, verifier_log, sizeof(verifier_log));
	if (forwarder__load(skeleton))
		errx(1, "loading the forwarder: %s\n%s", strerror(errno), verifier_log);
}

static int group_setup(void **state)
{
	(void)state;
	program_namespace("203.0.113.0/24");
	if (system("ip link add berth0 type veth peer name berth1 && ip link set berth0 up && ip link set berth1 up"))
		errx(1, "no veth");
	skeleton_load();
	slices_write();
	members_write();
	sockets_open();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	forwarder__destroy(skeleton);
	return 0;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[512];
	size_t count = 0;

	for (size_t i = 0; i < COUNT(goldens); i++)
		for (size_t j = 0; j < goldens[i].count; j++)
			tests[count++] = (struct CMUnitTest){.name = goldens[i].cases[j].name,
							     .test_func = golden_run,
							     .setup_func = test_setup,
							     .initial_state = (void *)&goldens[i].cases[j]};
	for (size_t i = 0; i < COUNT(others); i++)
		tests[count++] = others[i];
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("forwarder", tests, count, group_setup, group_teardown);
}
