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
#define STATES (~(1u << TCP_TIME_WAIT | 1u << TCP_CLOSE | 1u << TCP_LISTEN))

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

static int list_add(struct list *list, const struct inet_diag_msg *message)
{
	const __be32 *src = message->id.idiag_src;

	if (list->count == list->room) {
		size_t room = list->room ? list->room * 2 : 256;
		struct sockdiag_socket *more = reallocarray(list->sockets, room, sizeof(*more));

		if (!more)
			return -ENOMEM;
		list->sockets = more;
		list->room = room;
	}
	list->sockets[list->count++] = (struct sockdiag_socket){
		.src = ntohl(message->idiag_family == AF_INET6 ? src[3] : src[0]),
		.sport = ntohs(message->id.idiag_sport),
		.uid = message->idiag_uid,
		.inode = message->idiag_inode,
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

static int request_send(struct mnl_socket *socket, uint8_t family, uint8_t proto, const struct filter *filter)
{
	char bytes[256] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
	struct inet_diag_req_v2 *request;

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	header->nlmsg_seq = family;
	request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	request->sdiag_family = family;
	request->sdiag_protocol = proto;
	request->idiag_states = STATES;
	mnl_attr_put(header, INET_DIAG_REQ_BYTECODE, sizeof(*filter), filter);
	return mnl_socket_sendto(socket, header, header->nlmsg_len) < 0 ? -errno : 0;
}

static int family_dump(struct mnl_socket *socket, uint8_t family, uint8_t proto, const struct filter *filter,
		       struct list *list)
{
	/* As large as the kernel's own dump buffers. */
	char bytes[32768] __attribute__((aligned(8)));
	int err = request_send(socket, family, proto, filter), more = err ? 0 : 1;

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

int sockdiag_towards(uint8_t proto, uint32_t dest, uint16_t port, struct sockdiag_socket **ret, size_t *count)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	struct list list = {0};
	struct filter filter;
	int err = 0;

	if (!socket)
		return -errno;
	filter_to(dest, port, &filter);
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	if (!err)
		err = family_dump(socket, AF_INET, proto, &filter, &list);
	if (!err)
		err = family_dump(socket, AF_INET6, proto, &filter, &list);
	mnl_socket_close(socket);
	if (err) {
		free(list.sockets);
		return err;
	}
	*ret = list.sockets;
	*count = list.count;
	return 0;
}
