/* SPDX-License-Identifier: Apache-2.0 */
/* What the rtnetlink files share among themselves. */
#ifndef BERTH_KERNEL_RTNL_PRIVATE_H
#define BERTH_KERNEL_RTNL_PRIVATE_H

#include <libmnl/libmnl.h>

#include "rtnl.h"

/* A request under construction. */
struct rtnl_request {
	struct nlmsghdr *header;
	char bytes[1024] __attribute__((aligned(8)));
};

/* Begins a request with an extra header of `size` zero bytes, which is returned. */
void *rtnl_request_begin(struct rtnl_request *request, uint16_t type, uint16_t flags, size_t size);

/* Called for every answer; a negative return ends the request with that error. */
typedef int rtnl_answer(void *arg, const struct nlmsghdr *message);

/*
 * Sends it and reads its answers to their end: of a dump, the end mark; of one with NLM_F_ACK, the acknowledgement;
 * else the first answer. answer may be NULL. -EINTR: what was dumped changed meanwhile, do it again.
 */
int rtnl_talk(struct rtnl *rtnl, struct rtnl_request *request, rtnl_answer *answer, void *arg);

/* A growing array that a dump fills. */
struct rtnl_list {
	char *items;
	size_t count;
};

int rtnl_list_add(struct rtnl_list *list, const void *item, size_t size);

/* Repeats a dump that was interrupted, on an emptied list; on failure the list is empty. */
int rtnl_dump(struct rtnl *rtnl, struct rtnl_request *request, rtnl_answer *answer, struct rtnl_list *list);

/* Sorts a message's attributes by type into table[0..max]; those above max are left out. */
void rtnl_attributes(const struct nlmsghdr *message, size_t header_size, const struct nlattr **table, unsigned max);

/* Attribute readers that don't trust lengths: 0 when the attribute is missing or too short. */
uint32_t rtnl_attr_u32(const struct nlattr *attr);
uint32_t rtnl_attr_ipv4(const struct nlattr *attr);

/* -EINVAL: not for an Ethernet-like link, or not told in full. */
int rtnl_link_parse(const struct nlmsghdr *message, struct rtnl_link *ret);

/* A neighbour as the kernel tells it. */
struct rtnl_neighbour {
	uint32_t ifindex;
	uint32_t addr;
	uint16_t state;
	bool managed;
	bool ours; /* with RTNL_PROTOCOL */
	bool valid;
	uint8_t mac[6];
};

/* -EINVAL: not IPv4. */
int rtnl_neighbour_parse(const struct nlmsghdr *message, struct rtnl_neighbour *ret);

/* -EINVAL: not IPv4, or another address family's next hop. */
int rtnl_route_message_parse(const struct nlmsghdr *message, struct prefix *prefix, uint32_t *table, uint8_t *type,
			     uint8_t *protocol, uint32_t *ifindex);
int rtnl_address_parse(const struct nlmsghdr *message, struct rtnl_address *ret);

#endif
