/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl_private.h"

/* The loopback device has this index in every network namespace. */
#define LOOPBACK_IFINDEX 1

static uint32_t metric_mtu(const struct nlattr *metrics)
{
	const struct nlattr *attr;

	if (metrics)
		mnl_attr_for_each_nested(attr,
					 metrics) if (mnl_attr_get_type(attr) == RTAX_MTU) return rtnl_attr_u32(attr);
	return 0;
}

static int way_answer(void *arg, const struct nlmsghdr *message)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_VIA + 1];
	struct rtnl_way *way = arg;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->rtm_family != AF_INET)
		return -EBADMSG;
	rtnl_attributes(message, sizeof(*info), attrs, RTA_VIA);
	if (attrs[RTA_VIA])
		return -EAFNOSUPPORT; /* an IPv4 route over an IPv6 gateway */
	*way = (struct rtnl_way){
		.ifindex = rtnl_attr_u32(attrs[RTA_OIF]),
		.gateway = rtnl_attr_ipv4(attrs[RTA_GATEWAY]),
		.prefsrc = rtnl_attr_ipv4(attrs[RTA_PREFSRC]),
		.mtu = metric_mtu(attrs[RTA_METRICS]),
		.local = info->rtm_type == RTN_LOCAL,
	};
	return way->local || info->rtm_type == RTN_UNICAST ? 0 : -EHOSTUNREACH;
}

int rtnl_way_get(struct rtnl *rtnl, uint32_t dest, struct rtnl_way *ret)
{
	struct rtnl_request request;
	struct rtmsg *info = rtnl_request_begin(&request, RTM_GETROUTE, 0, sizeof(*info));
	struct rtnl_link link;
	struct rtnl_way way;
	int err;

	info->rtm_family = AF_INET;
	info->rtm_dst_len = 32;
	mnl_attr_put_u32(request.header, RTA_DST, htonl(dest));
	err = rtnl_talk(rtnl, &request, way_answer, &way);
	/* The kernel's answers for blackhole and prohibit. */
	if (err == -EINVAL || err == -EACCES)
		return -EHOSTUNREACH;
	if (!err)
		err = rtnl_link_by_index(rtnl, way.ifindex, &link);
	if (err)
		return err;
	if (!way.mtu || way.mtu > link.mtu)
		way.mtu = link.mtu;
	*ret = way;
	return 0;
}

static uint8_t kernel_type(enum rtnl_route_type type)
{
	return type == RTNL_ROUTE_LOCAL ? RTN_LOCAL : RTN_BLACKHOLE;
}

static void route_put(struct rtnl_request *request, struct rtmsg *info, const struct rtnl_route *route)
{
	info->rtm_family = AF_INET;
	info->rtm_dst_len = (uint8_t)route->prefix.len;
	info->rtm_table = RT_TABLE_UNSPEC; /* told in RTA_TABLE, which has room for it */
	info->rtm_protocol = RTNL_PROTOCOL;
	info->rtm_type = kernel_type(route->type);
	mnl_attr_put_u32(request->header, RTA_DST, htonl(route->prefix.addr));
	mnl_attr_put_u32(request->header, RTA_TABLE, route->table);
	if (route->type == RTNL_ROUTE_LOCAL)
		mnl_attr_put_u32(request->header, RTA_OIF, LOOPBACK_IFINDEX);
}

int rtnl_route_add(struct rtnl *rtnl, const struct rtnl_route *route)
{
	struct rtnl_request request;
	struct rtmsg *info;
	int err;

	info = rtnl_request_begin(&request, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, sizeof(*info));
	info->rtm_scope = route->type == RTNL_ROUTE_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	route_put(&request, info, route);
	err = rtnl_talk(rtnl, &request, NULL, NULL);
	return err == -EEXIST ? 0 : err;
}

int rtnl_route_remove(struct rtnl *rtnl, const struct rtnl_route *route)
{
	struct rtnl_request request;
	struct rtmsg *info = rtnl_request_begin(&request, RTM_DELROUTE, NLM_F_ACK, sizeof(*info));
	int err;

	info->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	route_put(&request, info, route);
	err = rtnl_talk(rtnl, &request, NULL, NULL);
	return err == -ESRCH ? 0 : err;
}

int rtnl_route_message_parse(const struct nlmsghdr *message, struct prefix *prefix, uint32_t *table, uint8_t *type,
			     uint8_t *protocol, uint32_t *ifindex)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[RTA_TABLE + 1];

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->rtm_family != AF_INET ||
	    info->rtm_dst_len > 32 || (info->rtm_flags & RTM_F_CLONED))
		return -EINVAL;
	rtnl_attributes(message, sizeof(*info), attrs, RTA_TABLE);
	*prefix = (struct prefix){.addr = rtnl_attr_ipv4(attrs[RTA_DST]), .len = info->rtm_dst_len};
	*table = attrs[RTA_TABLE] ? rtnl_attr_u32(attrs[RTA_TABLE]) : info->rtm_table;
	*type = info->rtm_type;
	*protocol = info->rtm_protocol;
	*ifindex = rtnl_attr_u32(attrs[RTA_OIF]);
	return 0;
}

/* The list first, so that it is what rtnl_dump() takes. */
struct route_search {
	struct rtnl_list list;
	uint32_t table;
};

static int routes_answer(void *arg, const struct nlmsghdr *message)
{
	const struct route_search *search = arg;
	struct rtnl_route route;
	uint8_t type, protocol;
	uint32_t ifindex;

	if (rtnl_route_message_parse(message, &route.prefix, &route.table, &type, &protocol, &ifindex) ||
	    protocol != RTNL_PROTOCOL || route.table != search->table)
		return 0;
	if (type == RTN_LOCAL)
		route.type = RTNL_ROUTE_LOCAL;
	else if (type == RTN_BLACKHOLE)
		route.type = RTNL_ROUTE_BLACKHOLE;
	else
		return 0;
	return rtnl_list_add(arg, &route, sizeof(route));
}

int rtnl_routes(struct rtnl *rtnl, uint32_t table, struct rtnl_route **ret, size_t *count)
{
	struct route_search search = {.table = table};
	struct rtnl_request request;
	struct rtmsg *info = rtnl_request_begin(&request, RTM_GETROUTE, NLM_F_DUMP, sizeof(*info));
	int err;

	info->rtm_family = AF_INET;
	info->rtm_protocol = RTNL_PROTOCOL;
	mnl_attr_put_u32(request.header, RTA_TABLE, table);
	err = rtnl_dump(rtnl, &request, routes_answer, &search.list);
	if (err == -ENOENT) /* nobody ever made that table */
		err = 0;
	if (err)
		return err;
	*ret = (struct rtnl_route *)search.list.items;
	*count = search.list.count;
	return 0;
}
