/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "rtnl_private.h"

/* States in which the kernel itself would send to the address it has. */
#define STATES_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

int rtnl_neighbour_parse(const struct nlmsghdr *message, struct rtnl_neighbour *ret)
{
	const struct ndmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attrs[NDA_FLAGS_EXT + 1];
	const struct nlattr *mac;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info) || info->ndm_family != AF_INET)
		return -EINVAL;
	rtnl_attributes(message, sizeof(*info), attrs, NDA_FLAGS_EXT);
	mac = attrs[NDA_LLADDR];
	memset(ret, 0, sizeof(*ret));
	ret->ifindex = (uint32_t)info->ndm_ifindex;
	ret->addr = rtnl_attr_ipv4(attrs[NDA_DST]);
	ret->state = info->ndm_state;
	ret->managed = rtnl_attr_u32(attrs[NDA_FLAGS_EXT]) & NTF_EXT_MANAGED;
	ret->ours = attrs[NDA_PROTOCOL] && mnl_attr_get_payload_len(attrs[NDA_PROTOCOL]) == sizeof(uint8_t) &&
		    mnl_attr_get_u8(attrs[NDA_PROTOCOL]) == RTNL_PROTOCOL;
	if (mac && mnl_attr_get_payload_len(mac) == sizeof(ret->mac)) {
		memcpy(ret->mac, mnl_attr_get_payload(mac), sizeof(ret->mac));
		ret->valid = info->ndm_state & STATES_VALID;
	}
	return 0;
}

static int neighbour_answer(void *arg, const struct nlmsghdr *message)
{
	return rtnl_neighbour_parse(message, arg);
}

static struct ndmsg *neighbour_begin(struct rtnl_request *request, uint16_t type, uint16_t flags, uint32_t ifindex,
				     uint32_t addr)
{
	struct ndmsg *info = rtnl_request_begin(request, type, flags, sizeof(*info));

	info->ndm_family = AF_INET;
	info->ndm_ifindex = (int)ifindex;
	mnl_attr_put_u32(request->header, NDA_DST, htonl(addr));
	return info;
}

static int neighbour_find(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr, struct rtnl_neighbour *ret)
{
	struct rtnl_request request;

	neighbour_begin(&request, RTM_GETNEIGH, 0, ifindex, addr);
	return rtnl_talk(rtnl, &request, neighbour_answer, ret);
}

int rtnl_neighbour_get(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr, uint8_t ret[6])
{
	struct rtnl_neighbour found;
	int err = neighbour_find(rtnl, ifindex, addr, &found);

	if (err)
		return err;
	if (!found.valid)
		return -ENOENT;
	memcpy(ret, found.mac, sizeof(found.mac));
	return 0;
}

int rtnl_neighbour_keep(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr, bool *managed)
{
	struct rtnl_neighbour found;
	struct rtnl_request request;
	bool kept = true;
	int err;

	/* Telling the kernel to manage a permanent entry takes its permanence away. */
	err = neighbour_find(rtnl, ifindex, addr, &found);
	if (!err && ((found.state & NUD_PERMANENT) || (found.managed && !found.ours)))
		goto out;
	neighbour_begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, ifindex, addr);
	mnl_attr_put_u32(request.header, NDA_FLAGS_EXT, NTF_EXT_MANAGED);
	mnl_attr_put_u8(request.header, NDA_PROTOCOL, RTNL_PROTOCOL);
	err = rtnl_talk(rtnl, &request, NULL, NULL);
	if (err == -EINVAL || err == -EOPNOTSUPP) {
		kept = false;
		neighbour_begin(&request, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, ifindex, addr)
			->ndm_flags = NTF_USE;
		err = rtnl_talk(rtnl, &request, NULL, NULL);
	}
	if (err)
		return err;
out:
	if (managed)
		*managed = kept;
	return 0;
}

int rtnl_neighbour_release(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr)
{
	struct rtnl_neighbour found;
	struct rtnl_request request;
	int err = neighbour_find(rtnl, ifindex, addr, &found);

	if (!err && found.managed && found.ours) {
		neighbour_begin(&request, RTM_DELNEIGH, NLM_F_ACK, ifindex, addr);
		err = rtnl_talk(rtnl, &request, NULL, NULL);
	}
	return err == -ENOENT || err == -ENODEV || err == -ENXIO ? 0 : err;
}

static int kept_answer(void *arg, const struct nlmsghdr *message)
{
	struct rtnl_neighbour found;
	struct rtnl_kept kept;

	if (rtnl_neighbour_parse(message, &found) || !found.managed || !found.ours)
		return 0;
	kept = (struct rtnl_kept){.ifindex = found.ifindex, .addr = found.addr};
	return rtnl_list_add(arg, &kept, sizeof(kept));
}

int rtnl_neighbours_kept(struct rtnl *rtnl, struct rtnl_kept **ret, size_t *count)
{
	struct rtnl_list list = {0};
	struct rtnl_request request;
	struct ndmsg *info = rtnl_request_begin(&request, RTM_GETNEIGH, NLM_F_DUMP, sizeof(*info));
	int err;

	info->ndm_family = AF_INET;
	err = rtnl_dump(rtnl, &request, kept_answer, &list);
	if (err)
		return err;
	*ret = (struct rtnl_kept *)list.items;
	*count = list.count;
	return 0;
}
