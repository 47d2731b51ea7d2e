/* SPDX-License-Identifier: Apache-2.0 */
#include "sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

/* Every state but those in which nobody holds a connection. */
#define CONNECTED (~(1u << TCP_TIME_WAIT | 1u << TCP_CLOSE | 1u << TCP_LISTEN))
#define LISTENING (1u << TCP_LISTEN)

/* What is asked for, of both families. */
struct query {
	uint8_t proto;
	uint32_t states;
	const struct filter *filter; /* NULL: all of them */
};

struct list {
	struct sockdiag_socket *sockets;
	size_t count, room;
};

/* A program of one instruction for the kernel's filter: the destination, of IPv6 sockets ::ffff:addr, else out. */
struct filter {
	struct inet_diag_bc_op op;
	struct inet_diag_hostcond cond;
	__be32 addr;
};

static void filter_to(uint32_t dest, uint16_t port, struct filter *ret)
{
	*ret = (struct filter){
		.op = {.code = INET_DIAG_BC_D_COND,
		       .yes = sizeof(struct filter), /* to the end: taken */
		       .no = sizeof(struct filter) + 4}, /* past it: left out */
		.cond = {.family = AF_INET, .prefix_len = 32, .port = port},
		.addr = htonl(dest),
	};
}

static bool is_mapped(const __be32 addr[4])
{
	return !addr[0] && !addr[1] && addr[2] == htonl(0xffff);
}

static int list_add(struct list *list, const struct inet_diag_msg *message)
{
	const __be32 *src = message->id.idiag_src;
	bool ipv6 = message->idiag_family == AF_INET6;

	if (ipv6 && !is_mapped(src))
		return 0;
	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		struct sockdiag_socket *more = reallocarray(list->sockets, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->sockets = more;
		list->room = room;
	}
	list->sockets[list->count++] = (struct sockdiag_socket){
		.src = ntohl(ipv6 ? src[3] : src[0]),
		.sport = ntohs(message->id.idiag_sport),
		.uid = message->idiag_uid,
		.inode = message->idiag_inode,
		.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0],
		.ifindex = message->id.idiag_if,
		.ipv6 = ipv6,
	};
	return 0;
}

static int message_taken(const struct nlmsghdr *message, void *arg)
{
	if (mnl_nlmsg_get_payload_len(message) < sizeof(struct inet_diag_msg))
		return MNL_CB_OK;
	if (!list_add(arg, mnl_nlmsg_get_payload(message)))
		return MNL_CB_OK;
	errno = ENOMEM;
	return MNL_CB_ERROR;
}

static int request_send(struct mnl_socket *socket, uint8_t family, const struct query *query)
{
	char bytes[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
	struct inet_diag_req_v2 *request;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = family;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = query->proto;
	request->idiag_states = query->states;
	if (query->filter)
		mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, sizeof(*query->filter), query->filter);
	return mnl_socket_sendto(socket, header, header->nlmsg_len) < 0 ? -errno : 0;
}

static int family_dump(struct mnl_socket *socket, uint8_t family, const struct query *query, struct list *list)
{
	/* As large as the kernel's own dump buffers. */
	char bytes[32768] __attribute__((aligned(8)));
	int err = request_send(socket, family, query), more = err ? 0 : 1;

	while (more > 0) {
		ssize_t size = mnl_socket_recvfrom(socket, bytes, sizeof(bytes));

		more = size < 0 ? -1
				: mnl_cb_run(bytes, (size_t)size, family, mnl_socket_get_portid(socket), message_taken,
					     list);
		if (more < 0)
			err = -errno;
	}
	return err;
}

/* NULL with errno. */
static struct mnl_socket *diag_open(void)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);

	if (socket && mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = errno;

		mnl_socket_close(socket);
		errno = err;
		return NULL;
	}
	return socket;
}

static int query_run(const struct query *query, struct sockdiag_socket **ret, size_t *count)
{
	struct mnl_socket *socket = diag_open();
	struct list list = {0};
	int err;

	if (!socket)
		return -errno;
	err = family_dump(socket, AF_INET, query, &list);
	if (!err)
		err = family_dump(socket, AF_INET6, query, &list);
	mnl_socket_close(socket);
	if (err) {
		free(list.sockets);
		return err;
	}
	*ret = list.sockets;
	*count = list.count;
	return 0;
}

int sockdiag_towards(uint8_t proto, uint32_t dest, uint16_t port, struct sockdiag_socket **ret, size_t *count)
{
	struct filter filter;

	filter_to(dest, port, &filter);
	return query_run(&(struct query){.proto = proto, .states = CONNECTED, .filter = &filter}, ret, count);
}

int sockdiag_listeners(struct sockdiag_socket **ret, size_t *count)
{
	return query_run(&(struct query){.proto = IPPROTO_TCP, .states = LISTENING}, ret, count);
}

/* An IPv6 socket is looked for by IPv6 addresses, also where they are IPv4 ones in disguise. */
static void id_of(const struct sockdiag_socket *socket, struct inet_diag_sockid *ret)
{
	ret->idiag_sport = htons(socket->sport);
	ret->idiag_if = socket->ifindex;
	ret->idiag_cookie[0] = (uint32_t)socket->cookie;
	ret->idiag_cookie[1] = (uint32_t)(socket->cookie >> 32);
	ret->idiag_src[socket->ipv6 ? 3 : 0] = htonl(socket->src);
	if (socket->ipv6)
		ret->idiag_src[2] = ret->idiag_dst[2] = htonl(0xffff);
}

int sockdiag_close(const struct sockdiag_socket *listener)
{
	char bytes[1024] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
	struct mnl_socket *socket = diag_open();
	struct inet_diag_req_v2 *request;
	ssize_t size;
	int err = 0;

	if (!socket)
		return -errno;
	header->nlmsg_type = SOCK_DESTROY;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = listener->ipv6 ? AF_INET6 : AF_INET;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = LISTENING;
	id_of(listener, &request->id);
	if (mnl_socket_sendto(socket, header, header->nlmsg_len) < 0)
		err = -errno;
	size = err ? 0 : mnl_socket_recvfrom(socket, bytes, sizeof(bytes));
	if (size < 0 || (size > 0 && mnl_cb_run(bytes, (size_t)size, 0, mnl_socket_get_portid(socket), NULL, NULL) < 0))
		err = -errno;
	mnl_socket_close(socket);
	return err;
}
