/* SPDX-License-Identifier: Apache-2.0 */
#include "rtnl.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl_private.h"

#define DUMP_TRIES 8

struct rtnl {
	struct mnl_socket *socket;
	uint32_t seq;
	unsigned port;
};

int rtnl_open(struct rtnl **ret)
{
	struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
	int on = 1, err;

	if (!rtnl)
		return -ENOMEM;
	rtnl->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!rtnl->socket || mnl_socket_bind(rtnl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = -errno;
		rtnl_close(rtnl);
		return err;
	}
	/* Lets the kernel filter dumps, by table and protocol for routes: a host may hold a full BGP table. */
	(void)mnl_socket_setsockopt(rtnl->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	rtnl->port = mnl_socket_get_portid(rtnl->socket);
	*ret = rtnl;
	return 0;
}

void rtnl_close(struct rtnl *rtnl)
{
	if (!rtnl)
		return;
	if (rtnl->socket)
		mnl_socket_close(rtnl->socket);
	free(rtnl);
}

void *rtnl_request_begin(struct rtnl_request *request, uint16_t type, uint16_t flags, size_t size)
{
	memset(request, 0, sizeof(*request));
	request->header = mnl_nlmsg_put_header(request->bytes);
	request->header->nlmsg_type = type;
	request->header->nlmsg_flags = NLM_F_REQUEST | flags;
	return mnl_nlmsg_put_extra_header(request->header, size);
}

/* What the loop that reads answers knows. */
struct conversation {
	const struct nlmsghdr *request;
	rtnl_answer *answer;
	void *arg;
	bool interrupted;
};

static int message_error(const struct nlmsghdr *message)
{
	const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

	return mnl_nlmsg_get_payload_len(message) < sizeof(*error) ? -EBADMSG : error->error;
}

/* 1: more to come; 0 or -errno: the end. */
static int message_handle(struct conversation *talk, const struct nlmsghdr *message)
{
	int err = 0;

	if (message->nlmsg_flags & NLM_F_DUMP_INTR)
		talk->interrupted = true;
	switch (message->nlmsg_type) {
	case NLMSG_ERROR:
		return message_error(message);
	case NLMSG_DONE:
		return talk->interrupted ? -EINTR : 0;
	case NLMSG_NOOP:
		return 1;
	default:
		break;
	}
	if (talk->answer)
		err = talk->answer(talk->arg, message);
	if (err)
		return err;
	return (message->nlmsg_flags & NLM_F_MULTI) || (talk->request->nlmsg_flags & NLM_F_ACK) ? 1 : 0;
}

int rtnl_talk(struct rtnl *rtnl, struct rtnl_request *request, rtnl_answer *answer, void *arg)
{
	struct conversation talk = {.request = request->header, .answer = answer, .arg = arg};
	/* As large as the kernel's own dump buffers: a message that does not fit is cut short. */
	char bytes[32768] __attribute__((aligned(8)));
	int more = 1;

	request->header->nlmsg_seq = ++rtnl->seq;
	if (mnl_socket_sendto(rtnl->socket, request->header, request->header->nlmsg_len) < 0)
		return -errno;
	while (more > 0) {
		ssize_t size = mnl_socket_recvfrom(rtnl->socket, bytes, sizeof(bytes));
		const struct nlmsghdr *message = (const struct nlmsghdr *)bytes;
		int left = (int)size;

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0)
			return -errno;
		for (; more > 0 && mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			if (message->nlmsg_seq == rtnl->seq && message->nlmsg_pid == rtnl->port)
				more = message_handle(&talk, message);
	}
	return more;
}

int rtnl_list_add(struct rtnl_list *list, const void *item, size_t size)
{
	char *more = reallocarray(list->items, list->count + 1, size);

	if (!more)
		return -ENOMEM;
	memcpy(more + list->count * size, item, size);
	list->items = more;
	list->count++;
	return 0;
}

int rtnl_dump(struct rtnl *rtnl, struct rtnl_request *request, rtnl_answer *answer, struct rtnl_list *list)
{
	int err = -EINTR;

	for (unsigned i = 0; err == -EINTR && i < DUMP_TRIES; i++) {
		free(list->items);
		*list = (struct rtnl_list){0};
		err = rtnl_talk(rtnl, request, answer, list);
	}
	if (err) {
		free(list->items);
		*list = (struct rtnl_list){0};
	}
	return err;
}

void rtnl_attributes(const struct nlmsghdr *message, size_t header_size, const struct nlattr **table, unsigned max)
{
	const struct nlattr *attr;

	memset(table, 0, (max + 1) * sizeof(*table));
	mnl_attr_for_each(attr, message, header_size) if (mnl_attr_get_type(attr) <= max)
		table[mnl_attr_get_type(attr)] = attr;
}

uint32_t rtnl_attr_u32(const struct nlattr *attr)
{
	return attr && mnl_attr_get_payload_len(attr) >= sizeof(uint32_t) ? mnl_attr_get_u32(attr) : 0;
}

uint32_t rtnl_attr_ipv4(const struct nlattr *attr)
{
	return ntohl(rtnl_attr_u32(attr));
}
