/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rtnl_private.h"

static bool all_zero(const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (bytes[i])
			return false;
	return true;
}

int rtnl_link_parse(const struct nlmsghdr *message, struct rtnl_link *ret)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFLA_MTU + 1];

	/* Bridges tell of their ports in their own family: not of the devices themselves. */
	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ifi_family != AF_UNSPEC)
		return -EINVAL;
	rtnl_attributes(message, sizeof(*info), attrs, IFLA_MTU);
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)info->ifi_index;
	ret->up = (info->ifi_flags & IFF_UP) && (info->ifi_flags & IFF_RUNNING);
	ret->noarp = info->ifi_flags & IFF_NOARP;
	ret->mtu = rtnl_attr_u32(attrs[IFLA_MTU]);
	if (attrs[IFLA_IFNAME])
		snprintf(ret->name, sizeof(ret->name), "%.*s", (int)mnl_attr_get_payload_len(attrs[IFLA_IFNAME]),
			 mnl_attr_get_str(attrs[IFLA_IFNAME]));
	if (info->ifi_type == ARPHRD_ETHER && attrs[IFLA_ADDRESS] &&
	    mnl_attr_get_payload_len(attrs[IFLA_ADDRESS]) == sizeof(ret->mac)) {
		memcpy(ret->mac, mnl_attr_get_payload(attrs[IFLA_ADDRESS]), sizeof(ret->mac));
		ret->has_mac = !all_zero(ret->mac, sizeof(ret->mac));
	}
	return 0;
}

static int link_answer(void *arg, const struct nlmsghdr *message)
{
	return rtnl_link_parse(message, arg);
}

int rtnl_link_by_index(struct rtnl *rtnl, uint32_t ifindex, struct rtnl_link *ret)
{
	struct rtnl_request request;
	struct ifinfomsg *info = rtnl_request_begin(&request, RTM_GETLINK, 0, sizeof(*info));

	if (!ifindex || ifindex > INT32_MAX)
		return -ENODEV;
	info->ifi_index = (int)ifindex;
	return rtnl_talk(rtnl, &request, link_answer, ret);
}

int rtnl_link_by_name(struct rtnl *rtnl, const char *name, struct rtnl_link *ret)
{
	struct rtnl_request request;

	rtnl_request_begin(&request, RTM_GETLINK, 0, sizeof(struct ifinfomsg));
	if (!*name || strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	mnl_attr_put_strz(request.header, IFLA_IFNAME, name);
	return rtnl_talk(rtnl, &request, link_answer, ret);
}

static int links_answer(void *arg, const struct nlmsghdr *message)
{
	struct rtnl_link link;

	return rtnl_link_parse(message, &link) ? 0 : rtnl_list_add(arg, &link, sizeof(link));
}

int rtnl_links(struct rtnl *rtnl, struct rtnl_link **ret, size_t *count)
{
	struct rtnl_list list = {0};
	struct rtnl_request request;
	int err;

	rtnl_request_begin(&request, RTM_GETLINK, NLM_F_DUMP, sizeof(struct ifinfomsg));
	err = rtnl_dump(rtnl, &request, links_answer, &list);
	if (err)
		return err;
	*ret = (struct rtnl_link *)list.items;
	*count = list.count;
	return 0;
}

int rtnl_address_parse(const struct nlmsghdr *message, struct rtnl_address *ret)
{
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[IFA_LOCAL + 1];

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ifa_family != AF_INET)
		return -EINVAL;
	rtnl_attributes(message, sizeof(*info), attrs, IFA_LOCAL);
	ret->ifindex = info->ifa_index;
	/* With a peer, IFA_ADDRESS is the peer's. */
	ret->addr = rtnl_attr_ipv4(attrs[attrs[IFA_LOCAL] ? IFA_LOCAL : IFA_ADDRESS]);
	ret->prefix_len = info->ifa_prefixlen;
	return 0;
}

static int addresses_answer(void *arg, const struct nlmsghdr *message)
{
	struct rtnl_address address;

	return rtnl_address_parse(message, &address) ? 0 : rtnl_list_add(arg, &address, sizeof(address));
}

int rtnl_addresses(struct rtnl *rtnl, struct rtnl_address **ret, size_t *count)
{
	struct rtnl_list list = {0};
	struct rtnl_request request;
	struct ifaddrmsg *info = rtnl_request_begin(&request, RTM_GETADDR, NLM_F_DUMP, sizeof(*info));
	int err;

	info->ifa_family = AF_INET;
	err = rtnl_dump(rtnl, &request, addresses_answer, &list);
	if (err)
		return err;
	*ret = (struct rtnl_address *)list.items;
	*count = list.count;
	return 0;
}

int rtnl_address_link(struct rtnl *rtnl, uint32_t addr, struct rtnl_link *ret)
{
	struct rtnl_address *addresses;
	uint32_t ifindex = 0;
	size_t count;
	int err = rtnl_addresses(rtnl, &addresses, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count && !ifindex; i++)
		if (addresses[i].addr == addr)
			ifindex = addresses[i].ifindex;
	free(addresses);
	return ifindex ? rtnl_link_by_index(rtnl, ifindex, ret) : -EADDRNOTAVAIL;
}
