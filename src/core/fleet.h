/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the fleet
 *
 * The desired state as people wrote it, checked and resolved: what fleet_file_read() makes of a fleet file. One tree,
 * freed as a whole. Arrays keep the file's order. Addresses are in host byte order, times in seconds.
 */
#ifndef BERTH_CORE_FLEET_H
#define BERTH_CORE_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr.h"
#include "selector.h"
#include "tags.h"

#define FLEET_NAME_MAX 63

/* What a fleet has that does not say otherwise. */
#define FLEET_SLICE_SHIFT_DEFAULT 11 /* 2,048 ports */
#define FLEET_MTU_DEFAULT 1500
#define FLEET_DRAIN_DEFAULT 1800 /* seconds */
#define FLEET_COOLING_DEFAULT 240

#define FLEET_FALLBACKS_MAX 7u /* of a policy */
#define FLEET_ALLOWED_MAX 128u /* users and groups that all policies together allow */
#define FLEET_ACCOUNT_MAX 63u /* characters of the name of a user or group */

#define FLEET_MTU_MIN 1280
#define FLEET_MTU_MAX 9000

struct fleet_pool {
	struct prefix prefix; /* /8 to /32 */
	unsigned shift; /* base-2 logarithm of slice_ports */
};

/* A run of egress addresses with the same tags; lies within one pool. */
struct fleet_addresses {
	struct addr_range range;
	struct tags tags;
	size_t pool; /* index into fleet.pools */
};

struct fleet_server {
	char *name;
	uint32_t id; /* 1 to WRAP_SERVER_ID_MAX; 0: not given one yet */
	uint32_t underlay;
	size_t site; /* index into fleet.sites */
};

struct fleet_site {
	char *name;
	uint32_t id; /* 1 to WRAP_SITE_ID_MAX; 0: not given one yet */
	struct tags place;
	uint32_t tunnel; /* 0: none given */
	size_t first_server; /* a site's servers are consecutive in fleet.servers */
	size_t server_count;
};

/* Names of users or of groups, or their numbers as decimal text; none stands twice. */
struct fleet_accounts {
	char **items;
	size_t count;
};

enum unconnected_udp { UNCONNECTED_DENY, UNCONNECTED_OWN_ADDRESS };
enum address_choice { ADDRESS_STICKY, ADDRESS_SPREAD };
enum other_netns { OTHER_NETNS_DENY, OTHER_NETNS_HOST_ADDRESS };

struct fleet_policy {
	char *name;
	char *cgroup; /* path below the agent's cgroup root, starts with '/'; NULL: none, the mark alone counts */
	uint32_t mark; /* sockets with this SO_MARK follow the policy, in whatever cgroup; 0: none do */
	struct selector select;
	struct selector *fallback; /* in this order, when the slices before are full or not to be had */
	size_t fallback_count; /* below POLICY_TIERS_MAX */
	enum address_choice address;
	enum unconnected_udp unconnected_udp;
	enum other_netns other_netns; /* what becomes of sockets in other network namespaces than the agent's */
	unsigned slices; /* slices a server holds for it; 1 unless the file says more; of each fallback it holds one */
	unsigned destinations; /* that it may have in a server's table of ports; 0: no limit */
	struct prefix *except; /* beside the built-in ones */
	size_t except_count;
	uint16_t *serve; /* UDP ports that serve */
	size_t serve_count;
	struct fleet_accounts users, groups; /* beside root, who may run commands under it */
};

struct fleet {
	char *name;
	struct fleet_pool *pools;
	size_t pool_count;
	struct fleet_addresses *addresses; /* sorted by range.first, disjoint */
	size_t addresses_count;
	struct fleet_site *sites;
	size_t site_count;
	struct fleet_server *servers;
	size_t server_count;
	struct fleet_policy *policies;
	size_t policy_count;
	unsigned underlay_mtu; /* smallest IPv4 packet size that every way between servers takes; 1500 unless given */
	unsigned max_hops; /* 1 to 15, 4 unless given */
	uint16_t *avoid; /* source ports that are not given out for UDP; fleet_avoid_default() unless given */
	size_t avoid_count;
	bool avoid_given;
	unsigned drain; /* seconds */
	unsigned cooling; /* seconds */
};

/* NULL where there is none. */
struct fleet_site *fleet_find_site(const struct fleet *fleet, const char *name);
struct fleet_server *fleet_find_server(const struct fleet *fleet, const char *name);
struct fleet_server *fleet_find_server_id(const struct fleet *fleet, uint32_t id);
struct fleet_site *fleet_find_site_id(const struct fleet *fleet, uint32_t id);
const struct fleet_pool *fleet_find_pool(const struct fleet *fleet, uint32_t addr);
/* The entry that an egress address belongs to: by binary search. */
const struct fleet_addresses *fleet_find_address(const struct fleet *fleet, uint32_t addr);

/* Source ports of UDP that networks filter, because answers of protocols that are abused to flood others come from
   them: fleet-file.md says which is what. */
const uint16_t *fleet_avoid_default(size_t *count);

/* Whether `text` is the number of a user or group, not a name; *ret may be NULL. The number that no account has (2^32 -
   1) is none. */
bool fleet_account_number(const char *text, uint32_t *ret);

void fleet_free(struct fleet *fleet); /* NULL is fine */

#endif
