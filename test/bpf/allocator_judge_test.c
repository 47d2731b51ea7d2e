/* SPDX-License-Identifier: Apache-2.0 */
/* Who is under which policy, what is left alone, and what is refused or stopped. */
#include "alloc_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <cmocka.h>

#define V6_ORIGIN "2001:db8::7"

static struct sockaddr_in6 v6_address(const char *addr, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	expect(inet_pton(AF_INET6, addr, &sin6.sin6_addr) == 1);
	return sin6;
}

static int v6_connect(int type, const char *addr)
{
	struct sockaddr_in6 sin6 = v6_address(addr, ORIGIN_PORT);
	int fd = socket(AF_INET6, type, 0), err;

	expect(fd >= 0);
	err = connect(fd, (struct sockaddr *)&sin6, sizeof(sin6)) ? -errno : 0;
	close(fd);
	return err;
}

static int v6_sendto(const char *addr)
{
	struct sockaddr_in6 sin6 = v6_address(addr, ORIGIN_PORT);
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), err;

	expect(fd >= 0);
	err = sendto(fd, "x", 1, 0, (struct sockaddr *)&sin6, sizeof(sin6)) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static void v6_listen(void)
{
	struct sockaddr_in6 sin6 = v6_address("::", ORIGIN_PORT);
	int fd = socket(AF_INET6, SOCK_STREAM, 0), one = 1;

	expect(!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)));
	expect(!bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)));
	expect(!listen(fd, 8));
}

static void excepted_destinations_are_left_alone(struct rig *rig)
{
	int fd;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	tcp_listen(ORIGIN + 1, ORIGIN_PORT);
	rig_except(rig, POLICY_ONE, ORIGIN & ~0xffu, 24, true);
	rig_except(rig, POLICY_ONE, ORIGIN + 1, 32, false);
	rig_except(rig, POLICY_ONE + 1, ORIGIN + 1, 32, true); /* another policy's */
	rig_begin(rig, 8192, 16);
	fd = tcp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(local_addr(fd), HOST_ADDR);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(local_addr(fd), HOST_ADDR);
	expect(send(fd, "x", 1, 0) == 1);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), 0);
	expect_equal(rig_counter(rig, VERDICT_EXCEPTED), 3);
	expect_equal(rig_ports_used(rig), 0);
	/* A hole in the exception. */
	expect_equal(local_addr(tcp_opened(ORIGIN + 1, ORIGIN_PORT)), EGRESS);
	expect_equal(inet_sendto(udp_socket(), ORIGIN + 1, ORIGIN_PORT), -EPERM);
}

static void any_is_judged_as_loopback(struct rig *rig)
{
	int listener = tcp_listen(0, ORIGIN_PORT);

	v6_listen();
	rig_except(rig, POLICY_ONE, 0x7f000000, 8, true);
	rig_except6(rig, POLICY_ONE, "::1", 128);
	rig_begin(rig, 8192, 16);
	expect_equal(local_addr(tcp_opened(0, ORIGIN_PORT)), 0x7f000001);
	expect(accept(listener, NULL, NULL) >= 0);
	expect_equal(v6_connect(SOCK_STREAM, "::"), 0);
	expect_equal(rig_counter(rig, VERDICT_EXCEPTED), 2);
}

/* From an egress address the exception's answer would not come back. */
static void an_egress_address_does_not_go_to_an_exception(struct rig *rig)
{
	int fd;

	rig_except(rig, POLICY_ONE, ORIGIN + 1, 32, true);
	rig_begin(rig, 8192, 16);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_connect(fd, ORIGIN + 1, ORIGIN_PORT), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 1);
}

static void ipv6_is_refused(struct rig *rig)
{
	v6_listen();
	rig_begin(rig, 8192, 16);
	expect_equal(v6_connect(SOCK_STREAM, V6_ORIGIN), -ENETUNREACH);
	expect_equal(v6_connect(SOCK_DGRAM, V6_ORIGIN), -ENETUNREACH);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_IPV6), 2);
	expect_equal(v6_sendto(V6_ORIGIN), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_UNCONNECTED), 1);
	rig_except6(rig, POLICY_ONE, "2001:db8::", 32);
	expect_equal(v6_connect(SOCK_STREAM, V6_ORIGIN), 0);
	expect_equal(v6_connect(SOCK_DGRAM, V6_ORIGIN), 0);
	expect_equal(v6_sendto(V6_ORIGIN), 0);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
}

static void unconnected_udp_is_refused(struct rig *rig)
{
	struct policy policy = rig_policy(8192, 16);
	int fd;

	rig_begin(rig, 8192, 16);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	/* To elsewhere than where it is connected to, too; to there by name is fine. */
	udp_bind(0, ORIGIN_PORT);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(inet_sendto(fd, ORIGIN + 1, ORIGIN_PORT), -EPERM);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT + 1), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_UNCONNECTED), 3);

	policy.flags = POLICY_UNCONNECTED_OWN;
	rig_policy_write(rig, POLICY_ONE, &policy);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), 0);
	expect_equal(v6_sendto(V6_ORIGIN), 0);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
	/* The host's own address it is, not an egress one without a reservation. */
	expect_equal(inet_sendto(fd, ORIGIN + 1, ORIGIN_PORT), -EPERM);
}

static void serving_sockets_are_left_alone(struct rig *rig)
{
	int client = udp_bind(HOST_ADDR, 50000), low, listed, other;
	char byte;

	rig_serve(rig, POLICY_ONE, 5353);
	rig_begin(rig, 8192, 16);
	low = udp_bind(HOST_ADDR, 2047);
	listed = udp_bind(HOST_ADDR, 5353);
	other = udp_bind(HOST_ADDR, 5354);
	expect_equal(inet_sendto(low, HOST_ADDR, 50000), 0);
	expect(recv(client, &byte, 1, 0) == 1);
	expect_equal(inet_sendto(listed, HOST_ADDR, 50000), 0);
	expect(recv(client, &byte, 1, 0) == 1);
	expect_equal(inet_connect(listed, HOST_ADDR, 50000), 0);
	expect_equal(local_addr(listed), HOST_ADDR);
	expect(send(listed, "x", 1, 0) == 1);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
	expect_equal(inet_sendto(other, HOST_ADDR, 50000), -EPERM);
	expect_equal(inet_connect(other, HOST_ADDR, 50000), -EADDRNOTAVAIL);
	expect_equal(rig_ports_used(rig), 0);
}

static void udp_to_port_0_takes_nothing(struct rig *rig)
{
	int fd;

	rig_begin(rig, 8192, 16);
	fd = udp_opened(ORIGIN, 0);
	expect_equal(local_addr(fd), HOST_ADDR);
	expect_equal(rig_ports_used(rig), 0);
	expect(send(fd, "x", 1, 0) < 0);
}

static void bound_sockets_are_refused(struct rig *rig)
{
	static const struct {
		uint32_t addr;
		uint16_t port;
		int err;
	} cases[] = {
		{HOST_ADDR, 0, -EADDRNOTAVAIL},
		{HOST_ADDR, 8192, -EADDRNOTAVAIL},
		{EGRESS, 8191, -EADDRNOTAVAIL},
		{EGRESS, 8208, -EADDRNOTAVAIL},
		{EGRESS + 1, 8200, -EADDRNOTAVAIL},
		{EGRESS, 8192, 0},
		{EGRESS, 8207, 0},
		{0, 0, 0}, /* any of those that are left */
	};

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		int tcp = tcp_socket(), udp = udp_socket();

		expect_equal(inet_bind(tcp, cases[i].addr, cases[i].port), 0);
		expect_equal(inet_connect(tcp, ORIGIN, ORIGIN_PORT), cases[i].err);
		expect_equal(inet_bind(udp, cases[i].addr, cases[i].port), 0);
		expect_equal(inet_connect(udp, ORIGIN, ORIGIN_PORT), cases[i].err);
	}
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 10);
	expect_equal(rig_ports_used(rig), 3); /* UDP's are claimed */
}

/* Another policy's slice is no policy of this one's. */
static void the_nearest_cgroup_counts(struct rig *rig)
{
	struct policy two = rig_policy(16384, 16);

	rig_cgroup_make(rig, "app/inner");
	rig_cgroup_make(rig, "app/inner/deep");
	rig_cgroup_make(rig, "app/free");
	rig_policy_write(rig, 2, &two);
	rig_begin(rig, 8192, 16);
	rig_enter(rig, "app/inner/deep");
	expect_equal(local_port(udp_opened(ORIGIN, 1)) & ~15, 8192);
	rig_cgroup_policy(rig, "app/inner", 2);
	expect_equal(local_port(udp_opened(ORIGIN, 2)) & ~15, 16384);
	rig_cgroup_policy(rig, "app/inner/deep", POLICY_ONE);
	expect_equal(local_port(udp_opened(ORIGIN, 3)) & ~15, 8192);
	/* "none" ends the search. */
	rig_cgroup_policy(rig, "app/free", POLICY_NONE);
	rig_enter(rig, "app/free");
	expect_equal(local_addr(udp_opened(ORIGIN, 4)), HOST_ADDR);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, 5), 0);
	rig_enter(rig, "");
	expect_equal(local_addr(udp_opened(ORIGIN, 6)), HOST_ADDR);
	expect_equal(rig_counter(rig, VERDICT_ALLOCATED), 3);
}

static void the_cgroup_at_creation_counts(struct rig *rig)
{
	int before = udp_socket(), under;

	rig_begin(rig, 8192, 16);
	under = udp_socket();
	rig_enter(rig, "");
	expect_equal(inet_connect(under, ORIGIN, 1), 0);
	expect_equal(local_addr(under), EGRESS);
	/* Older than the policy, as far as is known: whoever connects it. */
	rig_enter(rig, "app");
	expect_equal(inet_connect(before, ORIGIN, 1), 0);
	expect_equal(local_addr(before), EGRESS);
	expect_equal(rig_ports_used(rig), 2);
}

static void a_new_cgroup_has_its_policy_at_once(struct rig *rig)
{
	uint64_t id;

	rig_cgroup_path(rig, "unit", POLICY_ONE);
	rig_begin(rig, 8192, 16);
	for (int i = 0; i < 3; i++) {
		rig_cgroup_make(rig, "unit");
		id = rig_cgroup_id(rig, "unit");
		expect_equal(rig_cgroup_policy_of(rig, id), POLICY_ONE);
		rig_enter(rig, "unit");
		expect_equal(local_addr(udp_opened(ORIGIN, 100 + i)), EGRESS);
		rig_enter(rig, "app");
		rig_cgroup_remove(rig, "unit");
	}
	rig_cgroup_make(rig, "uni");
	expect_equal(rig_cgroup_policy_of(rig, rig_cgroup_id(rig, "uni")), -1);
}

/* Its entry stays while sockets made in it are there, and goes then. */
static void a_cgroup_is_forgotten_with_its_last_socket(struct rig *rig)
{
	uint64_t id;
	int fd;

	rig_cgroup_path(rig, "unit", POLICY_ONE);
	rig_begin(rig, 8192, 16);
	rig_cgroup_make(rig, "unit");
	id = rig_cgroup_id(rig, "unit");
	rig_enter(rig, "unit");
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	rig_enter(rig, "app");
	rig_cgroup_remove(rig, "unit");
	usleep(100000);
	expect_equal(rig_cgroup_policy_of(rig, id), POLICY_ONE);
	close(fd);
	for (int i = 0; i < 200 && rig_cgroup_policy_of(rig, id) >= 0; i++)
		usleep(10000);
	expect_equal(rig_cgroup_policy_of(rig, id), -1);
}

static void a_policy_that_is_gone_refuses(struct rig *rig)
{
	int fd, udp;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	udp_bind(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = tcp_opened(ORIGIN, ORIGIN_PORT);
	udp = udp_opened(ORIGIN, ORIGIN_PORT);
	rig_policy_remove(rig, POLICY_ONE);
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_NO_POLICY), 3);
	/* What is open goes on. */
	expect(send(fd, "x", 1, 0) == 1);
	expect(send(udp, "x", 1, 0) == 1);
}

static void connections_that_are_accepted_are_left_alone(struct rig *rig)
{
	int listener, client = tcp_socket(), peer;
	char byte;

	rig_begin(rig, 8192, 16);
	listener = tcp_listen(HOST_ADDR, 3000);
	rig_enter(rig, "");
	client = tcp_opened(HOST_ADDR, 3000);
	rig_enter(rig, "app");
	peer = accept(listener, NULL, NULL);
	expect(peer >= 0);
	expect(send(peer, "x", 1, 0) == 1);
	expect(recv(client, &byte, 1, 0) == 1);
	expect_equal(local_addr(peer), HOST_ADDR);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
}

/* Sends one byte with this source address beside it. */
static int send_from(int fd, uint32_t source, const struct sockaddr_in *dest)
{
	struct iovec data = {.iov_base = "x", .iov_len = 1};
	char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
	struct msghdr message = {
		.msg_name = (void *)dest,
		.msg_namelen = dest ? sizeof(*dest) : 0,
		.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(source)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = IPPROTO_IP;
	header->cmsg_type = IP_PKTINFO;
	header->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(header), &info, sizeof(info));
	return sendmsg(fd, &message, 0) < 0 ? -errno : 0;
}

static void a_source_given_with_the_datagram_is_stopped(struct rig *rig)
{
	struct sockaddr_in dest = {
		.sin_family = AF_INET, .sin_port = htons(ORIGIN_PORT), .sin_addr.s_addr = htonl(ORIGIN)};
	int fd;

	udp_bind(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(send_from(fd, EGRESS, NULL), 0);
	expect_equal(send_from(fd, HOST_ADDR, NULL), -EPERM);
	expect_equal(send_from(fd, EGRESS + 1, NULL), -EPERM);
	expect_equal(send_from(fd, EGRESS, &dest), 0);
	expect_equal(send_from(fd, HOST_ADDR, &dest), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 3);
}

static void raw_sockets_are_stopped(struct rig *rig)
{
	struct {
		struct iphdr ip;
		struct tcphdr tcp;
	} syn = {
		.ip = {.version = 4,
		       .ihl = 5,
		       .ttl = 64,
		       .protocol = IPPROTO_TCP,
		       .saddr = htonl(HOST_ADDR),
		       .daddr = htonl(ORIGIN)},
		.tcp = {.th_sport = htons(8192), .th_dport = htons(ORIGIN_PORT), .th_off = 5, .th_flags = TH_SYN},
	};
	struct sockaddr_in dest = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ORIGIN)};
	struct icmphdr echo = {.type = ICMP_ECHO};
	int raw, built, ping;

	rig_begin(rig, 8192, 16);
	raw = socket(AF_INET, SOCK_RAW, 253);
	built = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	expect(raw >= 0 && built >= 0 && ping >= 0);
	expect(sendto(raw, "x", 1, 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
	expect(sendto(built, &syn, sizeof(syn), 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
	/* From an egress address neither: it holds no port. */
	syn.ip.saddr = htonl(EGRESS);
	expect(sendto(built, &syn, sizeof(syn), 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
	expect(sendto(ping, &echo, sizeof(echo), 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
	expect_equal(inet_connect(ping, ORIGIN, 0), 0);
	expect(send(ping, &echo, sizeof(echo), 0) < 0 && errno == EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 5);
	/* An exception is one for these, too. */
	rig_except(rig, POLICY_ONE, ORIGIN, 32, true);
	expect(send(ping, &echo, sizeof(echo), 0) == sizeof(echo));
	expect(sendto(raw, "x", 1, 0, (struct sockaddr *)&dest, sizeof(dest)) == 1);
}

static void a_raw_tcp_socket_is_stopped(struct rig *rig)
{
	struct sockaddr_in dest = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ORIGIN)};
	struct tcphdr tcp = {.th_sport = htons(8192), .th_dport = htons(ORIGIN_PORT), .th_off = 5, .th_flags = TH_SYN};
	int raw;

	rig_begin(rig, 8192, 16);
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	expect(raw >= 0);
	expect(sendto(raw, &tcp, sizeof(tcp), 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
}

/* The kernel opens the second subflow by itself, from the address that it was told of. */
static void further_subflows_of_mptcp_are_stopped(struct rig *rig)
{
	int listener = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP), one = 1, fd, peer;
	char byte;

	expect(listener >= 0);
	expect(!setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect_equal(inet_bind(listener, ORIGIN, ORIGIN_PORT), 0);
	expect(!listen(listener, 8));
	rig_shell("ip mptcp limits set subflow 2 add_addr_accepted 2");
	rig_shell("ip mptcp endpoint add 192.0.2.1 dev lo subflow");
	rig_begin(rig, 8192, 16);
	fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_addr(fd), EGRESS);
	peer = accept(listener, NULL, NULL);
	expect(peer >= 0);
	expect(send(fd, "x", 1, 0) == 1 && recv(peer, &byte, 1, 0) == 1);
	expect(send(peer, "x", 1, 0) == 1 && recv(fd, &byte, 1, 0) == 1);
	for (int i = 0; i < 200 && !rig_counter(rig, VERDICT_REFUSED_EGRESS); i++)
		usleep(10000);
	expect(rig_counter(rig, VERDICT_REFUSED_EGRESS) > 0);
	expect(send(fd, "x", 1, 0) == 1 && recv(peer, &byte, 1, 0) == 1);
	expect_equal(rig_ports_used(rig), 1);
}

/* A namespace as a container has it: with an address of its own, and the origin in reach. */
static void other_netns_enter(void)
{
	expect(!unshare(CLONE_NEWNET));
	rig_shell("ip link set lo up; ip address add 192.0.2.9/32 dev lo");
	rig_shell("ip route add local 198.51.100.0/24 dev lo src 192.0.2.9");
	rig_shell("echo '0 2147483647' > /proc/sys/net/ipv4/ping_group_range");
}

static void another_network_namespace_is_refused(struct rig *rig)
{
	struct icmphdr echo = {.type = ICMP_ECHO};
	int ours, ping;

	rig_begin(rig, 8192, 16);
	ours = udp_socket();
	other_netns_enter();
	tcp_listen(HOST_ADDR + 8, 3000);
	expect_equal(inet_connect(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(inet_connect(tcp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(inet_sendto(udp_socket(), ORIGIN, ORIGIN_PORT), -EPERM);
	expect_equal(v6_connect(SOCK_STREAM, V6_ORIGIN), -EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_NETNS), 4);
	ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	expect_equal(inet_connect(ping, ORIGIN, 0), 0);
	expect(send(ping, &echo, sizeof(echo), 0) < 0 && errno == EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 1);
	/* Exceptions hold there, too. */
	rig_except(rig, POLICY_ONE, HOST_ADDR + 8, 32, true);
	tcp_opened(HOST_ADDR + 8, 3000);
	/* The socket's namespace counts, not its caller's. */
	expect_equal(inet_connect(ours, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_addr(ours), EGRESS);
}

static void another_network_namespace_keeps_its_address(struct rig *rig)
{
	struct policy policy = rig_policy(8192, 16);
	struct icmphdr echo = {.type = ICMP_ECHO};
	int fd, ping, ours;

	policy.flags = POLICY_NETNS_HOST;
	rig_begin(rig, 8192, 16);
	rig_policy_write(rig, POLICY_ONE, &policy);
	ours = udp_socket();
	other_netns_enter();
	tcp_listen(ORIGIN, ORIGIN_PORT);
	udp_bind(ORIGIN, ORIGIN_PORT);
	fd = tcp_opened(ORIGIN, ORIGIN_PORT);
	expect_equal(local_addr(fd), HOST_ADDR + 8);
	fd = udp_socket();
	expect_equal(inet_bind(fd, 0, 0), 0);
	expect(local_port(fd) < 8192 || local_port(fd) >= 8208);
	expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT), 0);
	expect(send(fd, "x", 1, 0) == 1);
	ping = socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
	expect_equal(inet_connect(ping, ORIGIN, 0), 0);
	expect(send(ping, &echo, sizeof(echo), 0) == sizeof(echo));
	expect_equal(rig_ports_used(rig), 0);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 0);
	expect_equal(inet_connect(ours, ORIGIN, ORIGIN_PORT), 0);
	expect_equal(local_addr(ours), EGRESS);
}

#define MARK 7u

/* In whatever cgroup, by whatever call. */
static void a_mark_chooses_the_policy(struct rig *rig)
{
	struct policy marked = rig_policy(16384, 16);
	int fd;

	udp_bind(ORIGIN, ORIGIN_PORT);
	rig_policy_write(rig, 2, &marked);
	rig_mark(rig, MARK, 2);
	rig_begin(rig, 8192, 16);
	for (int under = 0; under < 2; under++) {
		rig_enter(rig, under ? "app" : "");
		fd = tcp_socket();
		socket_mark(fd, MARK);
		tcp_listen(ORIGIN, (uint16_t)(1000 + under));
		expect_equal(inet_connect(fd, ORIGIN, (uint16_t)(1000 + under)), 0);
		expect_equal(local_addr(fd), EGRESS);
		expect_equal(local_port(fd) & ~15, 16384);
		fd = udp_socket();
		socket_mark(fd, MARK);
		expect_equal(inet_bind(fd, 0, 0), 0);
		expect_equal(local_port(fd) & ~15, 16384);
		expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), 0);
		fd = udp_socket();
		socket_mark(fd, MARK);
		expect_equal(inet_sendto(fd, ORIGIN, ORIGIN_PORT), -EPERM);
		/* A mark of nobody's changes nothing. */
		fd = udp_socket();
		socket_mark(fd, MARK + 1);
		expect_equal(inet_connect(fd, ORIGIN, (uint16_t)(2000 + under)), 0);
		expect_equal(local_addr(fd), under ? EGRESS : HOST_ADDR);
	}
	expect_equal(rig_counter(rig, VERDICT_REFUSED_UNCONNECTED), 2);
}

/* A socket that has a port keeps it, or is refused: it never goes on with one policy's port under another. */
static void a_mark_that_comes_late_does_not_move_a_port(struct rig *rig)
{
	struct policy marked = rig_policy(16384, 16);
	int fd;

	rig_policy_write(rig, 2, &marked);
	rig_mark(rig, MARK, 2);
	rig_begin(rig, 8192, 16);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	socket_mark(fd, MARK);
	expect(send(fd, "x", 1, 0) == 1 || errno == ECONNREFUSED);
	expect_equal(inet_connect(fd, ORIGIN, ORIGIN_PORT + 1), -EADDRNOTAVAIL);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_BOUND), 1);
	expect_equal(rig_ports_used(rig), 1);
}

/* What is under no policy but for its mark, and takes a way past connect(). */
static void packets_with_a_mark_are_stopped(struct rig *rig)
{
	struct sockaddr_in dest = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(ORIGIN)};
	int raw = socket(AF_INET, SOCK_RAW, 253);

	expect(raw >= 0);
	rig_mark(rig, MARK, POLICY_ONE);
	rig_begin(rig, 8192, 16);
	rig_enter(rig, "");
	expect(sendto(raw, "x", 1, 0, (struct sockaddr *)&dest, sizeof(dest)) == 1);
	socket_mark(raw, MARK);
	expect(sendto(raw, "x", 1, 0, (struct sockaddr *)&dest, sizeof(dest)) < 0 && errno == EPERM);
	expect_equal(rig_counter(rig, VERDICT_REFUSED_EGRESS), 1);
}

static void a_port_lives_as_long_as_the_socket(struct rig *rig)
{
	int fd, status;
	pid_t child;

	tcp_listen(ORIGIN, ORIGIN_PORT);
	rig_begin(rig, 8192, 16);
	fd = udp_opened(ORIGIN, ORIGIN_PORT);
	child = rig_child();
	if (!child) {
		tcp_opened(ORIGIN, ORIGIN_PORT);
		udp_opened(ORIGIN, ORIGIN_PORT);
		pause();
	}
	rig_ports_expect(rig, 3);
	close(fd); /* the child has it, too */
	usleep(20000);
	expect_equal(rig_ports_used(rig), 3);
	kill(child, SIGKILL);
	expect(waitpid(child, &status, 0) == child);
	rig_ports_expect(rig, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_CASE(excepted_destinations_are_left_alone),
		RIG_CASE(any_is_judged_as_loopback),
		RIG_CASE(an_egress_address_does_not_go_to_an_exception),
		RIG_CASE(ipv6_is_refused),
		RIG_CASE(unconnected_udp_is_refused),
		RIG_CASE(serving_sockets_are_left_alone),
		RIG_CASE(udp_to_port_0_takes_nothing),
		RIG_CASE(bound_sockets_are_refused),
		RIG_CASE(the_nearest_cgroup_counts),
		RIG_CASE(the_cgroup_at_creation_counts),
		RIG_CASE(a_new_cgroup_has_its_policy_at_once),
		RIG_CASE(a_cgroup_is_forgotten_with_its_last_socket),
		RIG_CASE(a_policy_that_is_gone_refuses),
		RIG_CASE(connections_that_are_accepted_are_left_alone),
		RIG_CASE(a_source_given_with_the_datagram_is_stopped),
		RIG_CASE(raw_sockets_are_stopped),
		RIG_CASE(a_raw_tcp_socket_is_stopped),
		RIG_CASE(further_subflows_of_mptcp_are_stopped),
		RIG_CASE(another_network_namespace_is_refused),
		RIG_CASE(another_network_namespace_keeps_its_address),
		RIG_CASE(a_mark_chooses_the_policy),
		RIG_CASE(a_mark_that_comes_late_does_not_move_a_port),
		RIG_CASE(packets_with_a_mark_are_stopped),
		RIG_CASE(a_port_lives_as_long_as_the_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
