/* SPDX-License-Identifier: Apache-2.0 */
#include "xdpfeatures.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <string.h>

/* From linux/netdev.h, which headers of Linux 6.1 lack. */
#define NETDEV_FAMILY "netdev"
#define NETDEV_CMD_DEV_GET 1
#define NETDEV_A_DEV_IFINDEX 1
#define NETDEV_A_DEV_XDP_FEATURES 3

/* One request, one answer: *ret is the value of attribute `type` in it, 0 when it is missing. */
struct question {
	uint16_t type;
	uint64_t value;
};

static int answer_read(const struct nlmsghdr *message, void *arg)
{
	struct question *question = arg;
	const struct nlattr *attr;

	mnl_attr_for_each(attr, message, sizeof(struct genlmsghdr))
	{
		if (mnl_attr_get_type(attr) != question->type)
			continue;
		if (mnl_attr_get_payload_len(attr) == sizeof(uint64_t))
			question->value = mnl_attr_get_u64(attr);
		else if (mnl_attr_get_payload_len(attr) == sizeof(uint16_t))
			question->value = mnl_attr_get_u16(attr);
	}
	return MNL_CB_STOP;
}

static struct nlmsghdr *question_begin(char *bytes, uint16_t family, uint8_t command)
{
	struct nlmsghdr *header = mnl_nlmsg_put_header(bytes);
	struct genlmsghdr *generic;

	header->nlmsg_type = family;
	header->nlmsg_flags = NLM_F_REQUEST;
	header->nlmsg_seq = 1;
	generic = mnl_nlmsg_put_extra_header(header, sizeof(*generic));
	generic->cmd = command;
	generic->version = 1;
	return header;
}

static int ask(struct mnl_socket *socket, const struct nlmsghdr *request, uint16_t type, uint64_t *ret)
{
	char bytes[8192] __attribute__((aligned(8)));
	struct question question = {.type = type};
	ssize_t size;

	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -errno;
	size = mnl_socket_recvfrom(socket, bytes, sizeof(bytes));
	if (size < 0 || mnl_cb_run(bytes, (size_t)size, 1, mnl_socket_get_portid(socket), answer_read, &question) < 0)
		return -errno;
	*ret = question.value;
	return 0;
}

static int features_ask(struct mnl_socket *socket, uint32_t ifindex, uint64_t *ret)
{
	char bytes[512] __attribute__((aligned(8))) = {0};
	struct nlmsghdr *request;
	uint64_t family;
	int err;

	request = question_begin(bytes, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
	mnl_attr_put_strz(request, CTRL_ATTR_FAMILY_NAME, NETDEV_FAMILY);
	err = ask(socket, request, CTRL_ATTR_FAMILY_ID, &family);
	if (err || !family)
		return err == -ENOENT || !err ? -EOPNOTSUPP : err;
	memset(bytes, 0, sizeof(bytes));
	request = question_begin(bytes, (uint16_t)family, NETDEV_CMD_DEV_GET);
	mnl_attr_put_u32(request, NETDEV_A_DEV_IFINDEX, ifindex);
	return ask(socket, request, NETDEV_A_DEV_XDP_FEATURES, ret);
}

int xdp_features_get(uint32_t ifindex, uint64_t *ret)
{
	struct mnl_socket *socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	int err;

	if (!socket)
		return -errno;
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	else
		err = features_ask(socket, ifindex, ret);
	mnl_socket_close(socket);
	return err;
}
