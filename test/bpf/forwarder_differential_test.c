/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: random packets, through the program and through the model
 *
 * Packets that are nearly right: headers of the kinds that matter, with addresses, ports and numbers near the edges of
 * the tables, now and then a field that lies, then a few bytes turned, cut off or added. Program and model must agree
 * on action, counter and every byte. A seed names a whole run.
 */
#include "forwarder_rig.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "forwarder_model.h"

#define PACKETS_DEFAULT 200000
/* So many are enough to have met every verdict, hundreds of times the rarest. */
#define PACKETS_ENOUGH 100000
#define PACKETS_A_CONFIG 500
#define LAYERS_MAX 12

static uint64_t seed, packets = PACKETS_DEFAULT;
static unsigned seconds;

/* xorshift64*, which never leaves a state of 0. */
static uint64_t random_state;

static uint32_t random_below(uint32_t end)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32) % end;
}

static uint32_t random_between(uint32_t first, uint32_t last)
{
	return first + random_below(last - first + 1);
}

static bool once_in(uint32_t times)
{
	return !random_below(times);
}

#define ONE_OF(list) ((list)[random_below(sizeof(list) / sizeof(*(list)))])

static uint32_t random_source(void)
{
	static const uint32_t sources[] = {
		PEER, PEER, PEER, PEER, OTHER_PEER, 0, IPV4(127, 0, 0, 1), IPV4(224, 0, 0, 1), EGRESS};

	return once_in(16) ? random_below(UINT32_MAX) : ONE_OF(sources);
}

static uint32_t random_destination(void)
{
	static const uint32_t destinations[] = {EGRESS, EGRESS,      EGRESS,     EGRESS,   EGRESS,
						EGRESS, EGRESS_WIDE, NOT_EGRESS, UNDERLAY, IPV4(203, 0, 113, 255)};

	return once_in(32) ? random_below(UINT32_MAX) : ONE_OF(destinations);
}

static uint16_t random_port(void)
{
	static const uint16_t slices[] = {PORT_LOCAL,    PORT_LOCAL,   PORT_HOP,       PORT_HOP,    PORT_SITE,
					  PORT_SITE,     PORT_FREE,    PORT_LOCAL_IN,  PORT_HOP_IN, PORT_NO_WAY,
					  PORT_LAST_HOP, PORT_BAD_HOP, PORT_BAD_WHERE, PORT_END,    0};
	static const uint16_t sockets[] = {PORT_CONNECTED, PORT_CONNECTED, PORT_BOUND,
					   PORT_ANY,       PORT_ANY_V6,    PORT_CONNECTED_V6};

	if (once_in(4))
		return ONE_OF(sockets);
	return once_in(32) ? random_below(65536) : ONE_OF(slices) + (once_in(2) ? 2047 : random_below(2048));
}

static uint32_t random_payload(void)
{
	if (once_in(8))
		return random_between(1380, 1480); /* around what the hops take */
	return once_in(32) ? 2000 : random_below(80);
}

/* Each field that may lie does so now and then. */
static struct layer_ip random_ip(void)
{
	static const uint8_t protocols[] = {1, 6, 17, 4, 50, 132};
	struct layer_ip ip = {
		.src = random_source(),
		.dst = random_destination(),
		.ttl = random_below(256),
		.tos = random_below(256),
		.df = once_in(2),
		.id = random_below(65536),
		.mf = once_in(10),
		.offset = once_in(10) ? random_between(1, 8191) : 0,
		.options = once_in(8) ? 4 * random_below(11) : 0,
		.protocol = once_in(64) ? ONE_OF(protocols) : 0,
		.version = once_in(64) ? random_below(16) : 0,
		.words = once_in(64) ? random_below(16) : 0,
		.length_error = once_in(32) ? (int)random_below(41) - 20 : 0,
		.fixed_check = once_in(16),
		.check = random_below(65536),
	};

	/* Of few datagrams, so that a later fragment has had its first. */
	if (ip.mf || ip.offset)
		ip.id = random_below(4);
	return ip;
}

static struct layer random_tcp(uint16_t src, uint16_t dst)
{
	static const uint8_t flags[] = {TCP_ACK, TCP_SYN, TCP_SYN | TCP_ACK, TCP_RST, TCP_FIN | TCP_ACK};

	return (struct layer)TCP(.src = src, .dst = dst, .flags = ONE_OF(flags));
}

static struct layer random_udp(uint16_t src, uint16_t dst)
{
	return (struct layer)UDP(.src = src, .dst = dst, .length_error = once_in(32) ? 4 : 0, .no_check = once_in(8));
}

/* The packet that an ICMP error is about, seldom the whole of it. Returns its steering port. */
static uint16_t layers_quote(struct layer *layers, size_t *count)
{
	static const uint8_t echoes[] = {8, 8, 0, 13};
	struct layer_ip ip = random_ip();
	uint16_t port = random_port();

	ip.src = once_in(16) ? random_source() : EGRESS;
	ip.dst = PEER;
	ip.length_error = random_below(1400);
	layers[(*count)++] = (struct layer){.kind = LAYER_IP, .ip = ip};
	if (once_in(4))
		layers[(*count)++] = (struct layer)ICMP(.type = ONE_OF(echoes), .id = port);
	else
		layers[(*count)++] = once_in(2) ? random_tcp(port, 443) : random_udp(port, 53);
	return port;
}

static uint16_t layers_icmp(struct layer *layers, size_t *count)
{
	static const uint8_t types[] = {0, 3, 3, 3, 4, 5, 8, 11, 12, 13};
	uint8_t type = ONE_OF(types);
	uint16_t id = random_port();

	layers[(*count)++] = (struct layer)ICMP(.type = type, .code = random_below(16), .id = id);
	return type == 3 || type == 4 || type == 11 || type == 12 ? layers_quote(layers, count) : id;
}

/* A packet as it comes from outside, its Ethernet header left out. Returns its steering port. */
static uint16_t layers_inner(struct layer *layers, size_t *count)
{
	static const uint16_t sources[] = {53, 53, 443, 6080};
	uint16_t port = random_port(), source = ONE_OF(sources);

	layers[(*count)++] = (struct layer){.kind = LAYER_IP, .ip = random_ip()};
	switch (random_below(5)) {
	case 0:
		port = layers_icmp(layers, count);
		break;
	case 1:
	case 2:
		layers[(*count)++] = random_udp(source, port);
		break;
	default:
		layers[(*count)++] = random_tcp(source, port);
	}
	return port;
}

static void layers_wrap(struct layer *layers, size_t *count)
{
	static const struct {
		uint32_t server, underlay;
	} members[] = {{8, UNDERLAY_8}, {8, UNDERLAY_8}, {8, UNDERLAY_8},
		       {7, UNDERLAY},   {9, UNDERLAY_9}, {LAST_SERVER, UNDERLAY_LAST},
		       {8, UNDERLAY_9}, {10, 0}};
	static const uint32_t addresses[] = {UNDERLAY, UNDERLAY, UNDERLAY, TUNNEL, TUNNEL, UNDERLAY_8};
	struct layer *label = &layers[2];
	size_t member = random_below(sizeof(members) / sizeof(*members));
	struct layer_ip ip = {.src = members[member].underlay, .dst = ONE_OF(addresses), .tos = random_below(256)};
	uint16_t steering;

	if (once_in(16))
		ip = random_ip();
	layers[0] = (struct layer){.kind = LAYER_IP, .ip = ip};
	layers[1] = random_udp(random_below(65536), once_in(32) ? random_below(65536) : WRAP_PORT);
	layers[1].udp.no_check = !once_in(32);
	*count = 3;
	steering = layers_inner(layers, count);
	*label = (struct layer)GUE(.steering = once_in(16) ? random_port() : steering, .server = members[member].server,
				   .site = random_below(1 << 12),
				   .hops = once_in(8) ? random_below(16) : random_below(4));
	if (once_in(32))
		label->gue.format = random_below(16);
	if (once_in(32))
		label->gue.first = random_below(256);
	if (once_in(32))
		label->gue.private_flags = random_below(256);
}

static void packet_damage(struct packet *packet)
{
	if (once_in(4))
		for (uint32_t i = random_between(1, 3); i; i--)
			packet->bytes[random_below(packet->size < 120 ? packet->size : 120)] = random_below(256);
	if (once_in(8))
		packet_cut(packet, random_between(14, packet->size));
	if (once_in(8))
		packet_pad(packet, random_between(1, 64));
}

static void packet_make(struct packet *packet)
{
	struct layer layers[LAYERS_MAX] = {FROM_ROUTER};
	static const uint16_t types[] = {0x0800, 0x86dd, 0x8100, 0x0806};
	size_t count = 0;

	if (once_in(64))
		layers[0].eth.type = ONE_OF(types);
	if (once_in(2))
		layers_wrap(layers + 1, &count);
	else
		layers_inner(layers + 1, &count);
	layers[1 + count++] = (struct layer)BYTES(random_payload());
	layers[1 + count] = (struct layer){.kind = LAYER_END};
	packet_build(layers, packet);
	packet_damage(packet);
}

/* What a fleet file, or an agent in the middle of a change, may have put there. */
static void config_vary(void)
{
	static const uint8_t limits[] = {4, 4, 4, 4, 0, 1, 2, 15, 255};
	struct forwarder_config *config = &forwarder_skel->data_config->config;

	forwarder_setup(NULL);
	config->max_hops = ONE_OF(limits);
	if (once_in(8))
		config->tunnel = 0;
	if (once_in(16))
		config->layout = 0;
}

/* True when it came out as the model says. */
static bool packet_try(enum verdict *verdict)
{
	struct program_result program;
	struct model_result model;
	struct packet in;

	packet_make(&in);
	model_run(&in, LOOPBACK, &model);
	if (model.report)
		forwarder_reports_refill();
	forwarder_run(&in, LOOPBACK, &program);
	*verdict = model.verdict;
	if (model_agrees(&model, &program))
		return true;
	fprintf(stderr, "of these %zu bytes:", in.size);
	for (size_t i = 0; i < in.size; i++)
		fprintf(stderr, "%s%02x", i % 32 ? " " : "\n\t", in.bytes[i]);
	fprintf(stderr, "\n");
	return false;
}

static bool time_is_up(time_t begin, uint64_t done)
{
	return seconds ? time(NULL) - begin >= (time_t)seconds : done >= packets;
}

/* A verdict that never came up would have been compared with nothing. */
static void all_met(const uint64_t met[VERDICT_COUNT + 1])
{
	static const enum verdict wanted[] = {VERDICT_WRAP,           VERDICT_RELAY,           VERDICT_DELIVER_DIRECT,
					      VERDICT_DELIVER_UNWRAP, VERDICT_TUNNEL_STRANGER, VERDICT_TUNNEL_MALFORMED,
					      VERDICT_INNER_STRANGER, VERDICT_MALFORMED,       VERDICT_FRAGMENT_UNKNOWN,
					      VERDICT_NO_PORT,        VERDICT_UNSOLICITED,     VERDICT_SLICE_UNOWNED,
					      VERDICT_HOP_LIMIT,      VERDICT_HOP_UNRESOLVED,  VERDICT_TOO_BIG,
					      VERDICT_NO_SOCKET,      VERDICT_ECN_MISMATCH,    NO_VERDICT};

	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		if (met[wanted[i]] < 20)
			fail_msg("verdict %d came up %" PRIu64 " times", (int)wanted[i], met[wanted[i]]);
}

static void program_and_model(void **state)
{
	uint64_t met[VERDICT_COUNT + 1] = {0}, done = 0;
	time_t begin = time(NULL);
	enum verdict verdict;

	(void)state;
	random_state = seed ? seed : 1;
	while (!time_is_up(begin, done)) {
		if (done % PACKETS_A_CONFIG == 0)
			config_vary();
		done++;
		if (!packet_try(&verdict))
			fail_msg("packet %" PRIu64 ": again with --seed %" PRIu64 " --packets %" PRIu64, done, seed,
				 done);
		met[verdict]++;
	}
	printf("# %" PRIu64 " packets, seed %" PRIu64 "\n", done, seed);
	if (done >= PACKETS_ENOUGH)
		all_met(met);
}

static uint64_t number_read(const char *option, const char *word)
{
	char *end = NULL;
	uint64_t value = word ? strtoull(word, &end, 10) : 0;

	if (!word || !*word || *end)
		errx(2, "%s wants a number", option);
	return value;
}

static void options_read(char **words)
{
	for (; *words; words += 2) {
		if (!strcmp(words[0], "--seed"))
			seed = number_read(words[0], words[1]);
		else if (!strcmp(words[0], "--packets"))
			packets = number_read(words[0], words[1]);
		else if (!strcmp(words[0], "--seconds"))
			seconds = (unsigned)number_read(words[0], words[1]);
		else
			errx(2, "usage: forwarder_differential_test [--seed N] [--packets N | --seconds N]");
	}
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {cmocka_unit_test(program_and_model)};

	(void)argc;
	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		err(1, "getrandom");
	options_read(argv + 1);
	return forwarder_main(1, argv, NULL, 0, tests, 1);
}
