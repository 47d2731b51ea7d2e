/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl_private.h"

/* Room for the events of a device with thousands of routes going down at once. */
#define RECEIVE_BUFFER (4 << 20)

struct rtnl_monitor {
	struct mnl_socket *socket;
};

static int groups_join(struct mnl_socket *socket)
{
	static const int groups[] = {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV4_ROUTE, RTNLGRP_NEIGH};

	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
		if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i], sizeof(int)) < 0)
			return -errno;
	return 0;
}

int rtnl_monitor_open(struct rtnl_monitor **ret)
{
	struct rtnl_monitor *monitor = calloc(1, sizeof(*monitor));
	int size = RECEIVE_BUFFER, err = 0;

	if (!monitor)
		return -ENOMEM;
	monitor->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (!monitor->socket || mnl_socket_bind(monitor->socket, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	if (!err) {
		/* Without the privilege the buffer stays small, and losses are told all the same. */
		(void)setsockopt(mnl_socket_get_fd(monitor->socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		err = groups_join(monitor->socket);
	}
	if (err) {
		rtnl_monitor_close(monitor);
		return err;
	}
	*ret = monitor;
	return 0;
}

int rtnl_monitor_fd(const struct rtnl_monitor *monitor)
{
	return mnl_socket_get_fd(monitor->socket);
}

void rtnl_monitor_close(struct rtnl_monitor *monitor)
{
	if (!monitor)
		return;
	if (monitor->socket)
		mnl_socket_close(monitor->socket);
	free(monitor);
}

static bool link_event(const struct nlmsghdr *message, struct rtnl_event *event)
{
	struct rtnl_link link;

	if (rtnl_link_parse(message, &link))
		return false;
	event->type = RTNL_EVENT_LINK;
	event->ifindex = link.ifindex;
	memcpy(event->name, link.name, sizeof(event->name));
	memcpy(event->mac, link.mac, sizeof(event->mac));
	event->up = link.up;
	event->mtu = link.mtu;
	return true;
}

static bool address_event(const struct nlmsghdr *message, struct rtnl_event *event)
{
	struct rtnl_address address;

	if (rtnl_address_parse(message, &address))
		return false;
	event->type = RTNL_EVENT_ADDRESS;
	event->ifindex = address.ifindex;
	event->addr = address.addr;
	return true;
}

static bool route_event(const struct nlmsghdr *message, struct rtnl_event *event)
{
	uint8_t type, protocol;

	if (rtnl_route_message_parse(message, &event->prefix, &event->table, &type, &protocol, &event->ifindex))
		return false;
	event->type = RTNL_EVENT_ROUTE;
	event->ours = protocol == RTNL_PROTOCOL;
	return true;
}

static bool neighbour_event(const struct nlmsghdr *message, struct rtnl_event *event)
{
	struct rtnl_neighbour neighbour;

	if (rtnl_neighbour_parse(message, &neighbour))
		return false;
	event->type = RTNL_EVENT_NEIGHBOUR;
	event->ifindex = neighbour.ifindex;
	event->addr = neighbour.addr;
	event->valid = neighbour.valid && !event->gone;
	memcpy(event->mac, neighbour.mac, sizeof(event->mac));
	return true;
}

/* False: not something to tell of. */
static bool event_decode(const struct nlmsghdr *message, struct rtnl_event *event)
{
	memset(event, 0, sizeof(*event));
	switch (message->nlmsg_type) {
	case RTM_DELLINK:
		event->gone = true;
		/* fall through */
	case RTM_NEWLINK:
		return link_event(message, event);
	case RTM_DELADDR:
		event->gone = true;
		/* fall through */
	case RTM_NEWADDR:
		return address_event(message, event);
	case RTM_DELROUTE:
		event->gone = true;
		/* fall through */
	case RTM_NEWROUTE:
		return route_event(message, event);
	case RTM_DELNEIGH:
		event->gone = true;
		/* fall through */
	case RTM_NEWNEIGH:
		return neighbour_event(message, event);
	default:
		return false;
	}
}

int rtnl_monitor_read(struct rtnl_monitor *monitor, rtnl_notify *notify, void *arg)
{
	char bytes[32768] __attribute__((aligned(8)));
	struct rtnl_event event;

	for (;;) {
		const struct nlmsghdr *message = (const struct nlmsghdr *)bytes;
		ssize_t size = mnl_socket_recvfrom(monitor->socket, bytes, sizeof(bytes));
		int left = (int)size;

		if (size < 0 && errno == EAGAIN)
			return 0;
		if (size < 0 && errno == EINTR)
			continue;
		/* ENOSPC: a message longer than our buffer was cut short */
		if (size < 0 && (errno == ENOBUFS || errno == ENOSPC)) {
			event = (struct rtnl_event){.type = RTNL_EVENT_RESYNC};
			notify(arg, &event);
			continue;
		}
		if (size < 0)
			return -errno;
		for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left))
			if (event_decode(message, &event))
				notify(arg, &event);
	}
}
