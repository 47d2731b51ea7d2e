/* SPDX-License-Identifier: Apache-2.0 */
#include "forwarder_rig.h"

#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "forwarder_model.h"

#define TESTS_MAX 512

/* The server under test: its forwarder, and sockets at its slices. */
struct forwarder *forwarder_skel;

static void config_write(void)
{
	forwarder_skel->data_config->config = (struct forwarder_config){
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
	struct directories *directories = &forwarder_skel->data_directories->directories;
	struct directory *directory = &directories->copy[1];
	uint32_t slot = directory_index(directory->multiplier, addr);

	directories->live = 1;
	directory->slots[slot] = (struct directory_slot){.key = directory_key(addr), .base = base, .shift = shift};
	for (uint32_t i = 0; i < addresses << (16 - shift); i++)
		forwarder_skel->data_slices->slices.entry[base + i] = SLICE_FREE;
}

static void slice_write(uint32_t addr, uint32_t port, uint32_t entry)
{
	const struct directory *directory = &forwarder_skel->data_directories->directories.copy[1];
	const struct directory_slot *slot = &directory->slots[directory_index(directory->multiplier, addr)];

	forwarder_skel->data_slices->slices.entry[directory_slice(slot->base, slot->shift, addr, port)] = entry;
}

static void slices_write(void)
{
	forwarder_skel->data_directories->directories.copy[1].multiplier = 0x9e3779b1;
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

void forwarder_hop_write(uint32_t index, const struct layer *headers, uint32_t ifindex, uint16_t mtu)
{
	struct hop_wrap *wrap = &forwarder_skel->data_hops->hops.wrap[index][1];
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
	forwarder_skel->data_hops->hops.live[index] = 1;
}

static void hops_write(void)
{
	const struct layer *neighbour = PACKET(TO_8, OUTER_8(.protocol = 17), TUNNEL_UDP(), GUE(.server = 7));
	const struct layer *site = PACKET(TO_SITE, OUTER_SITE(.protocol = 17), TUNNEL_UDP(), GUE(.server = 7));

	forwarder_hop_write(0, neighbour, LOOPBACK, 1540);
	forwarder_hop_write(1, site, OTHER_DEVICE, 1500);
	forwarder_hop_write(2, neighbour, 0, 1540);
	forwarder_hop_write(HOPS_MAX - 1, neighbour, LOOPBACK, 1540);
}

static void members_write(void)
{
	__be32 *underlay = forwarder_skel->data_members->members.underlay;

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

void forwarder_reports_refill(void)
{
	uint64_t *values = calloc(libbpf_num_possible_cpus(), sizeof(*values));
	uint32_t key = 0;

	assert_int_equal(bpf_map_update_elem(bpf_map__fd(forwarder_skel->maps.report_full), &key, values, BPF_ANY), 0);
	free(values);
}

static void fragments_forget(void)
{
	int map = bpf_map__fd(forwarder_skel->maps.fragments);
	struct fragment_key key;

	while (!bpf_map_get_next_key(map, NULL, &key))
		if (bpf_map_delete_elem(map, &key))
			err(1, "forgetting a fragment");
	model_forget();
}

int forwarder_setup(void **state)
{
	(void)state;
	config_write();
	fragments_forget();
	hops_write();
	forwarder_reports_refill();
	return 0;
}

void forwarder_run(const struct packet *in, uint32_t ifindex, struct program_result *ret)
{
	program_run_xdp(forwarder_skel->progs.forwarder, forwarder_skel->maps.counters, in, ifindex, ret);
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

void forwarder_spread_write(struct packet *wrapped)
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
		forwarder_spread_write(ret);
}

static void golden_run(void **state)
{
	const struct golden *golden = *state;
	struct program_result result;
	struct model_result model;
	struct packet in, expected;

	packet_build(golden->in, &in);
	packet_pad(&in, golden->pad);
	golden_expected(golden, &expected);
	forwarder_run(&in, LOOPBACK, &result);
	assert_int_equal(result.action, golden->action);
	assert_true(program_counted(&result, golden->verdict));
	assert_true(packet_same(&expected, &result.out));
	model_run(&in, LOOPBACK, &model);
	assert_true(model_agrees(&model, &result));
}

static char verifier_log[16 << 20];

static void skel_load(void)
{
	forwarder_skel = forwarder__open();
	if (!forwarder_skel)
		err(1, "opening the forwarder");
	bpf_program__set_log_level(forwarder_skel->progs.forwarder, 1);
	bpf_program__set_log_buf(forwarder_skel->progs.forwarder, verifier_log, sizeof(verifier_log));
	if (forwarder__load(forwarder_skel))
		errx(1, "loading the forwarder: %s\n%s", strerror(errno), verifier_log);
}

static int group_setup(void **state)
{
	(void)state;
	program_namespace("203.0.113.0/24");
	if (system("ip link add berth0 type veth peer name berth1 && ip link set berth0 up && ip link set berth1 up"))
		errx(1, "no veth");
	skel_load();
	slices_write();
	members_write();
	sockets_open();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	forwarder__destroy(forwarder_skel);
	return 0;
}

int forwarder_main(int argc, char **argv, const struct golden_list *lists, size_t list_count,
		   const struct CMUnitTest *others, size_t other_count)
{
	struct CMUnitTest tests[TESTS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < list_count; i++)
		for (size_t j = 0; j < lists[i].count && count < TESTS_MAX; j++)
			tests[count++] = (struct CMUnitTest){.name = lists[i].cases[j].name,
							     .test_func = golden_run,
							     .setup_func = forwarder_setup,
							     .initial_state = (void *)&lists[i].cases[j]};
	for (size_t i = 0; i < other_count && count < TESTS_MAX; i++)
		tests[count++] = others[i];
	if (count == TESTS_MAX)
		errx(1, "no room for so many tests");
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return _cmocka_run_group_tests("forwarder", tests, count, group_setup, group_teardown);
}
