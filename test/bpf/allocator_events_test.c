/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of refusals: who, where to, how full; and that telling is limited and costs little. */
#include "alloc_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <time.h>

#include <bpf/libbpf.h>
#include <cmocka.h>

#include <allocator.skel.h>

#include "../../src/abi/event.h"

#define EVENTS_MAX 64u
#define FIRST_PORT 8192u
#define SMALL 16u
#define FLOOD 2000u

struct heard {
	struct event events[EVENTS_MAX];
	unsigned count;
	uint64_t held_back;
};

static int hear(void *arg, void *data, size_t size)
{
	struct heard *heard = arg;

	expect_equal(size, sizeof(struct event));
	expect(heard->count < EVENTS_MAX);
	memcpy(&heard->events[heard->count], data, size);
	heard->held_back += heard->events[heard->count++].held_back;
	return 0;
}

/* All that was told since the last call. */
static void listen_to(struct rig *rig, struct heard *ret)
{
	struct ring_buffer *ring;

	*ret = (struct heard){0};
	ring = ring_buffer__new(bpf_map__fd(rig->skel->maps.events), hear, ret, NULL);
	expect(ring);
	expect(ring_buffer__consume(ring) >= 0);
	ring_buffer__free(ring);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	expect(!clock_gettime(clock, &now));
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

static bool is_mapped(const struct event *event, uint32_t addr)
{
	const uint8_t front[12] = {[10] = 0xff, [11] = 0xff};
	uint32_t be = htonl(addr);

	return !memcmp(event->dest, front, sizeof(front)) && !memcmp(event->dest + 12, &be, sizeof(be));
}

/* The one event that was told, by this process, of a destination at ORIGIN:ORIGIN_PORT. */
static struct event expect_one_of(struct rig *rig, enum verdict verdict, uint8_t proto, uint32_t addr, uint16_t port)
{
	struct heard heard;
	struct event event;
	char comm[COMM_SIZE] = "";

	listen_to(rig, &heard);
	expect_equal(heard.count, 1);
	event = heard.events[0];
	expect_equal(event.verdict, verdict);
	expect_equal(event.policy, POLICY_ONE);
	expect_equal(event.pid, getpid());
	expect_equal(event.uid, getuid());
	expect(!prctl(PR_GET_NAME, comm));
	expect(!strcmp(event.comm, comm));
	expect(is_mapped(&event, addr));
	expect_equal(ntohs(event.dest_port), port);
	expect_equal(event.proto, proto);
	expect(event.time <= now_ns(CLOCK_BOOTTIME) && event.time + 5000000000ull > now_ns(CLOCK_BOOTTIME));
	return event;
}

static struct event expect_one(struct rig *rig, enum verdict verdict, uint8_t proto, uint16_t port)
{
	return expect_one_of(rig, verdict, proto, ORIGIN, port);
}

static void fill(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		udp_opened(ORIGIN, ORIGIN_PORT);
}

static void a_full_slice_tells_how_full(struct rig *rig)
{
	struct heard heard;

	rig_begin(rig, FIRST_PORT, SMALL);
	fill(SMALL);
	listen_to(rig, &heard);
	expect_equal(heard.count, 0);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(expect_one(rig, VERDICT_REFUSED_FULL, IPPROTO_UDP, ORIGIN_PORT).used, SMALL);
	expect_equal(rig_counter(rig, VERDICT_EVENT_LOST), 0);
}

/* Two slices, the second over two chunks: all of them were looked at. */
static void use_counts_every_slice(struct rig *rig)
{
	struct policy policy = rig_policy(FIRST_PORT, SMALL);

	policy.slices[1] = (struct policy_slice){
		.addr = htobe32(EGRESS + 1), .first = FIRST_PORT + PORTS_PER_CHUNK - 4, .count = 8};
	policy.slice_count = 2;
	rig_policy_write(rig, POLICY_ONE, &policy);
	rig_enter(rig, "app");
	fill(SMALL + 8);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(expect_one(rig, VERDICT_REFUSED_FULL, IPPROTO_UDP, ORIGIN_PORT).used, SMALL + 8);
}

/* Ports that are free by our table, but held by sockets of others: it says how many are ours, and why it gave up. */
static void ports_of_others_are_told(struct rig *rig)
{
	struct event event;

	for (unsigned i = 0; i < 4; i++)
		udp_bind(EGRESS, FIRST_PORT + PORTS_PER_CHUNK / 2 + i);
	rig_begin(rig, FIRST_PORT + PORTS_PER_CHUNK / 2 - SMALL, SMALL + 4);
	for (unsigned i = 0; i < SMALL;)
		i += inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT) == 0;
	listen_to(rig, &(struct heard){0});
	usleep(2 * EVENT_INTERVAL_NS / 1000);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	event = expect_one(rig, VERDICT_REFUSED_FULL, IPPROTO_UDP, ORIGIN_PORT);
	expect_equal(event.used, SMALL);
	expect_equal(event.busy, 32);
}

static void every_refusal_is_told(struct rig *rig)
{
	struct policy none = rig_policy(FIRST_PORT, SMALL);
	int fd = udp_socket(), v6 = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(ORIGIN_PORT)};
	struct heard heard;

	rig_begin(rig, FIRST_PORT, SMALL);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(expect_one(rig, VERDICT_REFUSED_UNCONNECTED, IPPROTO_UDP, ORIGIN_PORT).used, 0);

	expect(!inet_bind(fd, HOST_ADDR, 0));
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_one(rig, VERDICT_REFUSED_BOUND, IPPROTO_UDP, ORIGIN_PORT);

	expect(v6 >= 0 && inet_pton(AF_INET6, "2001:db8::7", &sin6.sin6_addr) == 1);
	expect(connect(v6, (struct sockaddr *)&sin6, sizeof(sin6)) == -1 && errno == ENETUNREACH);
	listen_to(rig, &heard);
	expect_equal(heard.count, 1);
	expect_equal(heard.events[0].verdict, VERDICT_REFUSED_IPV6);
	expect(!memcmp(heard.events[0].dest, &sin6.sin6_addr, 16));

	none.slice_count = 0;
	rig_policy_write(rig, POLICY_ONE, &none);
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_one(rig, VERDICT_REFUSED_NO_SLICE, IPPROTO_TCP, ORIGIN_PORT);
	expect_equal(inet_bind(tcp_socket(), 0, 0), -EADDRNOTAVAIL);
	expect_one_of(rig, VERDICT_REFUSED_NO_SLICE, IPPROTO_TCP, 0, 0);
	fd = tcp_socket();
	rig_policy_remove(rig, POLICY_ONE);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EPERM);
	expect_one(rig, VERDICT_REFUSED_NO_POLICY, IPPROTO_TCP, ORIGIN_PORT);
	expect_equal(inet_bind(udp_socket(), 0, 0), -EPERM);
	expect_one_of(rig, VERDICT_REFUSED_NO_POLICY, IPPROTO_UDP, 0, 0);
}

/* What is told of a bind() has the address that was asked for in the place of a destination. */
static void a_refused_bind_is_told(struct rig *rig)
{
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST_PORT, 1);
	expect_equal(inet_bind(udp_socket(), EGRESS, FIRST_PORT + 1), -EPERM);
	expect_one_of(rig, VERDICT_REFUSED_FOREIGN, IPPROTO_UDP, EGRESS, FIRST_PORT + 1);
	expect_equal(inet_bind(udp_socket(), 0, 0), 0);
	expect_equal(inet_bind(udp_socket(), 0, 0), -EADDRINUSE);
	expect_one_of(rig, VERDICT_REFUSED_CLAIM, IPPROTO_UDP, 0, 0);
}

/* The packet of a ping socket passes connect() and is stopped on its way out. */
static void a_stopped_packet_is_told(struct rig *rig)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ORIGIN)};
	const unsigned char echo[8] = {8};
	int fd;

	rig_begin(rig, FIRST_PORT, SMALL);
	fd = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	expect(fd >= 0);
	expect(sendto(fd, echo, sizeof(echo), 0, (struct sockaddr *)&sin, sizeof(sin)) == -1 && errno == EPERM);
	expect_one(rig, VERDICT_REFUSED_EGRESS, IPPROTO_ICMP, 0);
}

/* One refusal on each CPU, when all of them have an allowance again. */
static void refuse_everywhere(int fd)
{
	usleep(2 * EVENT_INTERVAL_NS / 1000);
	for (int i = 0; i < get_nprocs_conf(); i++) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(i, &one);
		if (!sched_setaffinity(0, sizeof(one), &one))
			expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	}
}

/* A tight loop has its burst and a trickle; what it loses is counted, and others are still heard. */
static void a_flood_is_held_back(struct rig *rig)
{
	uint64_t begin, end, most, lost;
	struct heard heard;
	int fd;

	rig_begin(rig, FIRST_PORT, SMALL);
	fill(SMALL);
	for (unsigned i = 0; i < SMALL; i++)
		udp_opened(ORIGIN + 1, ORIGIN_PORT);
	fd = udp_socket();
	begin = now_ns(CLOCK_MONOTONIC);
	for (unsigned i = 0; i < FLOOD; i++)
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
	end = now_ns(CLOCK_MONOTONIC);
	most = get_nprocs_conf() * (EVENT_BURST + (end - begin) / EVENT_INTERVAL_NS + 1);
	listen_to(rig, &heard);
	lost = rig_counter(rig, VERDICT_EVENT_LOST);
	expect(heard.count >= EVENT_BURST && heard.count <= most);
	expect_equal(heard.count + lost, FLOOD);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_FULL), FLOOD);

	/* Another destination has an allowance of its own, and so has another verdict. */
	expect_equal(inet_connect(fd, ORIGIN + 1, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	listen_to(rig, &heard);
	expect_equal(heard.count, 2);
	expect(is_mapped(&heard.events[0], ORIGIN + 1));
	expect_equal(heard.events[0].verdict, VERDICT_REFUSED_FULL);
	expect_equal(heard.events[1].verdict, VERDICT_REFUSED_UNCONNECTED);

	/* The next one says how many had none, on its CPU; the one after that doesn't. */
	refuse_everywhere(fd);
	listen_to(rig, &heard);
	expect_equal(heard.held_back, lost);
	refuse_everywhere(fd);
	listen_to(rig, &heard);
	expect(heard.count > 0);
	expect_equal(heard.held_back, 0);
}

/* Nobody reads: the ring fills up, and refusing goes on. */
static void a_full_ring_harms_nobody(struct rig *rig)
{
	const unsigned more = EVENTS_BYTES / sizeof(struct event) + 100;
	int fd;

	rig_begin(rig, FIRST_PORT, SMALL);
	fd = udp_socket();
	for (unsigned i = 0; i < more; i++)
		expect_equal(inet_sendto(fd, ORIGIN, 1 + i), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_UNCONNECTED), more);
	expect(rig_counter(rig, VERDICT_EVENT_LOST) >= 100);
}

/* In ns, the middle one of many: connect() to a destination that every port of a slice is in use towards. */
static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void a_full_slice_answers_quickly(struct rig *rig)
{
	static uint64_t took[FLOOD];
	int fd;

	rig_begin(rig, FIRST_PORT, PORTS_PER_CHUNK);
	fill(PORTS_PER_CHUNK);
	fd = udp_socket();
	for (unsigned i = 0; i < FLOOD; i++) {
		uint64_t begin = now_ns(CLOCK_MONOTONIC);

		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), -EADDRNOTAVAIL);
		took[i] = now_ns(CLOCK_MONOTONIC) - begin;
	}
	qsort(took, FLOOD, sizeof(*took), compare);
	fprintf(stderr, "# a full slice answers in %llu ns, p99 %llu\n", (unsigned long long)took[FLOOD / 2],
		(unsigned long long)took[FLOOD * 99 / 100]);
	/* Many times what it takes, and many times less than a search through sockets: a machine may be busy. */
	expect(took[FLOOD / 2] < 20000);
}

static void wasters_are_counted_by_name(struct rig *rig)
{
	struct waster_key key = {.policy = POLICY_ONE, .comm = "hog"};
	struct waster waster;

	rig_begin(rig, FIRST_PORT, SMALL);
	expect(!prctl(PR_SET_NAME, "hog"));
	for (unsigned i = 0; i < 3; i++) {
		int fd = tcp_socket();

		expect(!inet_bind(fd, i ? 0 : HOST_ADDR, 0));
		expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), i ? -ECONNREFUSED : -EADDRNOTAVAIL);
	}
	udp_opened(ORIGIN, ORIGIN_PORT);
	expect(!bpf_map__lookup_elem(rig->skel->maps.wasters, &key, sizeof(key), &waster, sizeof(waster), 0));
	expect_equal(waster.count, 3);
	expect(waster.last <= now_ns(CLOCK_BOOTTIME));
	snprintf(key.comm, sizeof(key.comm), "other");
	expect(bpf_map__lookup_elem(rig->skel->maps.wasters, &key, sizeof(key), &waster, sizeof(waster), 0));
}

/* A listener on ::ffff:addr. */
static int mapped_listen(uint32_t addr, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	uint32_t be = htonl(addr);
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	sin6.sin6_addr.s6_addr[10] = sin6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(sin6.sin6_addr.s6_addr + 12, &be, sizeof(be));
	expect(fd >= 0);
	expect(!bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
	expect(!listen(fd, 8));
	return fd;
}

static void expect_stray(struct rig *rig, uint32_t policy, uint16_t port)
{
	struct heard heard;

	listen_to(rig, &heard);
	expect_equal(heard.count, 1);
	expect_equal(heard.events[0].verdict, VERDICT_STRAY_LISTENER);
	expect_equal(heard.events[0].policy, policy);
	expect_equal(heard.events[0].pid, getpid());
	expect_equal(heard.events[0].uid, getuid());
	expect(is_mapped(&heard.events[0], EGRESS));
	expect_equal(ntohs(heard.events[0].dest_port), port);
	expect_equal(heard.events[0].proto, IPPROTO_TCP);
	expect(!strcmp(heard.events[0].comm, "stray"));
}

static void a_listener_on_an_egress_address_is_told(struct rig *rig)
{
	int fd = tcp_socket();

	/* Older than its pool: bind() found nothing to say against it. */
	expect_equal(inet_bind(fd, EGRESS, 9000), 0);
	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST_PORT, SMALL);
	expect(!prctl(PR_SET_NAME, "stray"));
	expect(!listen(fd, 8));
	expect_stray(rig, POLICY_NONE, 9000);
	tcp_listen(EGRESS, FIRST_PORT);
	expect_stray(rig, POLICY_ONE, FIRST_PORT);
	mapped_listen(EGRESS, FIRST_PORT + 1);
	expect_stray(rig, POLICY_ONE, FIRST_PORT + 1);
	expect_equal(rig_counter(rig, VERDICT_STRAY_LISTENER), 3);
}

static void other_listeners_are_nobodys_business(struct rig *rig)
{
	struct heard heard;

	rig_pool(rig, EGRESS);
	rig_begin(rig, FIRST_PORT, SMALL);
	tcp_listen(0, 3000);
	tcp_listen(HOST_ADDR, 3001);
	mapped_listen(HOST_ADDR, 3002);
	listen_to(rig, &heard);
	expect_equal(heard.count, 0);
	expect_equal(rig_counter(rig, VERDICT_STRAY_LISTENER), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(a_full_slice_tells_how_full),
		RIG_CASE(use_counts_every_slice),
		RIG_CASE(ports_of_others_are_told),
		RIG_CASE(every_refusal_is_told),
		RIG_CASE(a_stopped_packet_is_told),
		RIG_CASE(a_flood_is_held_back),
		RIG_CASE(a_full_ring_harms_nobody),
		RIG_CASE(a_full_slice_answers_quickly),
		RIG_CASE(wasters_are_counted_by_name),
		RIG_CASE(a_refused_bind_is_told),
		RIG_CASE(a_listener_on_an_egress_address_is_told),
		RIG_CASE(other_listeners_are_nobodys_business),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
