/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: a server on the lab's internet
 *
 * Says from where it was asked, to whom asks and in a file: a JSON line for every connection and datagram, written
 * before the answer leaves, so that a client with an answer finds its line there.
 *
 *   UDP 7                  sends the datagram back
 *   UDP 53                 answers any query with one A record, 192.0.2.53
 *   UDP 9000 to 9007       answers "ADDRESS PORT\n", what the source was seen to be
 *   TCP 9000 to 9007       says the same first, then sends back what comes, until the other side closes;
 *                        takes data with the SYN (TCP Fast Open) where the kernel's settings do
 *
 * One process, one thread, epoll. It answers from the address that was asked (the lab gives it whole prefixes), over
 * IPv4 and IPv6. The first process exits when all ports are open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RECORDER_PORT 9000
#define RECORDER_PORTS 8
#define BACKLOG 16384
#define FAST_OPENS 256 /* that wait for their handshake's end, at once */
#define RECEIVE_BUFFER (8 << 20)
#define DATAGRAM_MAX 65536
#define ECHO_BUFFER 4096
#define DNS_HEADER 12
#define DNS_QUERY_MAX 512

enum role { ROLE_ECHO, ROLE_DNS, ROLE_SOURCE, ROLE_LISTENER, ROLE_CONNECTION };

/* A socket in the epoll set. */
struct endpoint {
	int fd;
	enum role role;
	uint16_t port; /* its own */
	size_t first; /* connection: unsent bytes are held[first] to held[end - 1] */
	size_t end;
	char held[]; /* connection: ECHO_BUFFER bytes */
};

struct origin {
	int epoll;
	int records;
};

struct datagram {
	struct sockaddr_in6 from;
	struct in6_pktinfo to;
	char *data;
	size_t size;
};

/* An address as a person writes it: IPv4 without the ::ffff: that a dual-stack socket puts before it. */
static const char *address_text(const struct in6_addr *addr, char text[INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(addr))
		inet_ntop(AF_INET, &addr->s6_addr[12], text, INET6_ADDRSTRLEN);
	else
		inet_ntop(AF_INET6, addr, text, INET6_ADDRSTRLEN);
	return text;
}

static void record(const struct origin *origin, const char *proto, const struct sockaddr_in6 *from,
		   const struct in6_addr *to, uint16_t port, size_t size)
{
	char line[256], source[INET6_ADDRSTRLEN], own[INET6_ADDRSTRLEN];
	struct timespec now;
	int length;

	clock_gettime(CLOCK_MONOTONIC, &now);
	length = snprintf(line, sizeof(line),
			  "{\"time\": %lld.%06ld, \"proto\": \"%s\", \"src\": \"%s\", \"src_port\": %u, "
			  "\"dst\": \"%s\", \"dst_port\": %u, \"size\": %zu}\n",
			  (long long)now.tv_sec, now.tv_nsec / 1000, proto, address_text(&from->sin6_addr, source),
			  ntohs(from->sin6_port), address_text(to, own), port, size);
	if (write(origin->records, line, (size_t)length) != length) {
		perror("origin: records");
		exit(1);
	}
}

static int source_line(const struct sockaddr_in6 *from, char *line, size_t room)
{
	char source[INET6_ADDRSTRLEN];

	return snprintf(line, room, "%s %u\n", address_text(&from->sin6_addr, source), ntohs(from->sin6_port));
}

/* Turns a query of `size` bytes, with room for the answer behind, into the answer; 0: it is none. */
static size_t dns_answer(uint8_t *query, size_t size)
{
	/* A pointer to the name at offset 12, type A, class IN, 60 s, 4 bytes: 192.0.2.53. */
	static const uint8_t record_a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 53};
	size_t end = DNS_HEADER;

	if (size <= DNS_HEADER || size > DNS_QUERY_MAX || query[2] & 0x80)
		return 0;
	while (end < size && query[end])
		end += query[end] + 1u;
	end += 5; /* the root label, type and class */
	if (end > size)
		return 0;
	query[2] |= 0x84; /* an answer, authoritative */
	query[3] = 0;
	memcpy(query + 4, (const uint8_t[]){0, 1, 0, 1, 0, 0, 0, 0}, 8); /* one question, one answer */
	memcpy(query + end, record_a, sizeof(record_a));
	return end + sizeof(record_a);
}

static bool datagram_receive(int fd, struct datagram *ret)
{
	struct iovec iov = {.iov_base = ret->data, .iov_len = DATAGRAM_MAX};
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
	struct msghdr msg = {.msg_name = &ret->from,
			     .msg_namelen = sizeof(ret->from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(fd, &msg, 0);
	const struct cmsghdr *cmsg;

	if (size < 0)
		return false;
	ret->size = (size_t)size;
	memset(&ret->to, 0, sizeof(ret->to));
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == IPPROTO_IPV6 && cmsg->cmsg_type == IPV6_PKTINFO)
		memcpy(&ret->to, CMSG_DATA(cmsg), sizeof(ret->to));
	return true;
}

/* Sends from the address that the datagram came to. */
static void datagram_answer(int fd, struct datagram *datagram)
{
	struct iovec iov = {.iov_base = datagram->data, .iov_len = datagram->size};
	char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct msghdr msg = {.msg_name = &datagram->from,
			     .msg_namelen = sizeof(datagram->from),
			     .msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = IPPROTO_IPV6;
	cmsg->cmsg_type = IPV6_PKTINFO;
	cmsg->cmsg_len = CMSG_LEN(sizeof(struct in6_pktinfo));
	datagram->to.ipi6_ifindex = 0; /* by the routing table */
	memcpy(CMSG_DATA(cmsg), &datagram->to, sizeof(datagram->to));
	(void)sendmsg(fd, &msg, 0); /* lost, as on any network */
}

static void serve_datagrams(const struct origin *origin, const struct endpoint *endpoint)
{
	static char buffer[DATAGRAM_MAX + 64];
	struct datagram datagram = {.data = buffer};

	while (datagram_receive(endpoint->fd, &datagram)) {
		record(origin, "udp", &datagram.from, &datagram.to.ipi6_addr, endpoint->port, datagram.size);
		if (endpoint->role == ROLE_SOURCE)
			datagram.size = (size_t)source_line(&datagram.from, buffer, sizeof(buffer));
		else if (endpoint->role == ROLE_DNS)
			datagram.size = dns_answer((uint8_t *)buffer, datagram.size);
		if (datagram.size || endpoint->role == ROLE_ECHO)
			datagram_answer(endpoint->fd, &datagram);
	}
}

static int endpoint_watch(const struct origin *origin, struct endpoint *endpoint, int operation)
{
	struct epoll_event event = {.events = endpoint->first < endpoint->end ? EPOLLOUT : EPOLLIN,
				    .data.ptr = endpoint};

	return epoll_ctl(origin->epoll, operation, endpoint->fd, &event);
}

static void connection_close(struct endpoint *connection)
{
	close(connection->fd);
	free(connection);
}

/* Sends what is held. false: the connection is broken. */
static bool connection_flush(struct endpoint *connection)
{
	while (connection->first < connection->end) {
		ssize_t sent = send(connection->fd, connection->held + connection->first,
				    connection->end - connection->first, MSG_NOSIGNAL);

		if (sent < 0)
			return errno == EAGAIN || errno == EINTR;
		connection->first += (size_t)sent;
	}
	return true;
}

/* Nothing is read while something is held, so a peer that does not read is not read from. */
static void serve_connection(const struct origin *origin, struct endpoint *connection)
{
	if (connection->first == connection->end) {
		ssize_t size = recv(connection->fd, connection->held, ECHO_BUFFER, 0);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size <= 0) {
			connection_close(connection);
			return;
		}
		connection->first = 0;
		connection->end = (size_t)size;
	}
	if (!connection_flush(connection) || endpoint_watch(origin, connection, EPOLL_CTL_MOD) < 0)
		connection_close(connection);
}

static void accept_connections(const struct origin *origin, const struct endpoint *listener)
{
	struct sockaddr_in6 from, to;
	socklen_t from_size = sizeof(from), to_size = sizeof(to);
	struct endpoint *connection;
	int fd;

	while ((fd = accept4(listener->fd, (struct sockaddr *)&from, &from_size, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		connection = calloc(1, sizeof(*connection) + ECHO_BUFFER);
		if (!connection || getsockname(fd, (struct sockaddr *)&to, &to_size) < 0) {
			free(connection);
			close(fd);
			continue;
		}
		connection->fd = fd;
		connection->role = ROLE_CONNECTION;
		record(origin, "tcp", &from, &to.sin6_addr, listener->port, 0);
		connection->end = (size_t)source_line(&from, connection->held, ECHO_BUFFER);
		if (!connection_flush(connection) || endpoint_watch(origin, connection, EPOLL_CTL_ADD) < 0)
			connection_close(connection);
	}
}

static void serve(const struct origin *origin)
{
	struct epoll_event events[256];

	for (;;) {
		int count = epoll_wait(origin->epoll, events, 256, -1);

		for (int i = 0; i < count; i++) {
			struct endpoint *endpoint = events[i].data.ptr;

			if (endpoint->role == ROLE_LISTENER)
				accept_connections(origin, endpoint);
			else if (endpoint->role == ROLE_CONNECTION)
				serve_connection(origin, endpoint);
			else
				serve_datagrams(origin, endpoint);
		}
	}
}

/* A bound socket for IPv4 and IPv6, in the epoll set. 0 or -errno. */
static int endpoint_open(const struct origin *origin, enum role role, uint16_t port)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	const int on = 1, off = 0, receive_buffer = RECEIVE_BUFFER, fast_opens = FAST_OPENS;
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));
	int type = role == ROLE_LISTENER ? SOCK_STREAM : SOCK_DGRAM;
	int fd = socket(AF_INET6, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int err;

	if (!endpoint || fd < 0)
		goto fail;
	*endpoint = (struct endpoint){.fd = fd, .role = role, .port = port};
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on)) < 0)
		goto fail;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &receive_buffer, sizeof(receive_buffer));
	if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &fast_opens, sizeof(fast_opens)) < 0)
		goto fail;
	if (bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0) || endpoint_watch(origin, endpoint, EPOLL_CTL_ADD) < 0)
		goto fail;
	return 0;
fail:
	err = -errno;
	if (fd >= 0)
		close(fd);
	free(endpoint);
	return err;
}

static int open_all(const struct origin *origin)
{
	int err = endpoint_open(origin, ROLE_ECHO, 7);

	if (!err)
		err = endpoint_open(origin, ROLE_DNS, 53);
	for (uint16_t port = RECORDER_PORT; !err && port < RECORDER_PORT + RECORDER_PORTS; port++) {
		err = endpoint_open(origin, ROLE_SOURCE, port);
		if (!err)
			err = endpoint_open(origin, ROLE_LISTENER, port);
	}
	return err;
}

/* Goes on in a child; the parent writes the child's id down and exits. */
static int daemonize(const char *pid_file)
{
	pid_t child = fork();
	FILE *file;

	if (child < 0)
		return -errno;
	if (child == 0)
		return setsid() < 0 ? -errno : 0;
	file = fopen(pid_file, "we");
	if (!file || fprintf(file, "%d\n", child) < 0 || fclose(file) != 0) {
		perror(pid_file);
		_exit(1);
	}
	_exit(0);
}

static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"records", required_argument, NULL, 'r'},
						{"pid-file", required_argument, NULL, 'p'},
						{NULL, 0, NULL, 0}};
	const char *records = NULL, *pid_file = NULL;
	struct origin origin;
	int option, err;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == 'r')
			records = optarg;
		else if (option == 'p')
			pid_file = optarg;
		else
			return 2;
	}
	if (!records || !pid_file || optind != argc) {
		fprintf(stderr, "usage: origin --records FILE --pid-file FILE\n");
		return 2;
	}
	raise_descriptor_limit();
	origin.epoll = epoll_create1(EPOLL_CLOEXEC);
	origin.records = open(records, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	err = origin.epoll < 0 || origin.records < 0 ? -errno : open_all(&origin);
	if (!err)
		err = daemonize(pid_file);
	if (err) {
		fprintf(stderr, "origin: %s\n", strerror(-err));
		return 1;
	}
	serve(&origin);
}
