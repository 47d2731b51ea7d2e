/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: rtnetlink
 *
 * What Berth asks the kernel about links, addresses, routes and neighbours, the few routes and rules it adds, and a
 * monitor that says when something of it changed. IPv4 only. Addresses are in host byte order. Functions return 0 or
 * -errno: the kernel's own where it answered.
 *
 * Routes and rules that Berth adds carry RTNL_PROTOCOL, so that they can be found again by anybody.
 */
#ifndef BERTH_KERNEL_RTNL_H
#define BERTH_KERNEL_RTNL_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../core/addr.h"

/* Protocol number of our routes and rules. */
#define RTNL_PROTOCOL 60
/* The table that BIRD or FRR announces from. */
#define RTNL_TABLE_ANNOUNCE 6080

struct rtnl;

/* A socket for requests, in the network namespace of the caller. */
int rtnl_open(struct rtnl **ret);
void rtnl_close(struct rtnl *rtnl); /* NULL is fine */

struct rtnl_link {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	uint8_t mac[6];
	bool has_mac; /* Ethernet address, not all zeros */
	bool up; /* administratively up and with carrier */
	bool noarp;
	uint32_t mtu;
};

struct rtnl_address {
	uint32_t ifindex;
	uint32_t addr;
	unsigned prefix_len;
};

/* -ENODEV: no such device. */
int rtnl_link_by_index(struct rtnl *rtnl, uint32_t ifindex, struct rtnl_link *ret);
int rtnl_link_by_name(struct rtnl *rtnl, const char *name, struct rtnl_link *ret);
/* All; the caller frees. */
int rtnl_links(struct rtnl *rtnl, struct rtnl_link **ret, size_t *count);
int rtnl_addresses(struct rtnl *rtnl, struct rtnl_address **ret, size_t *count);
/* The device that an address is configured on. -EADDRNOTAVAIL: none. */
int rtnl_address_link(struct rtnl *rtnl, uint32_t addr, struct rtnl_link *ret);

/* How a packet to an address leaves. */
struct rtnl_way {
	uint32_t ifindex;
	uint32_t gateway; /* 0: the address is on the link itself */
	uint32_t prefsrc; /* 0: none */
	uint32_t mtu; /* of the route when it says one, else of the device */
	bool local; /* the address is this host's own */
};

/* -ENETUNREACH, -EHOSTUNREACH: no route, or one that forbids. */
int rtnl_way_get(struct rtnl *rtnl, uint32_t dest, struct rtnl_way *ret);

/* MAC address of a neighbour. -ENOENT: the kernel has none that is valid (yet). */
int rtnl_neighbour_get(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr, uint8_t ret[6]);
/*
 * Asks the kernel to resolve a neighbour and to keep it fresh by itself ("managed"), where it can; an older kernel is
 * asked to resolve it once, and *managed is false: ask again when it goes stale. One that is permanent, or that
 * somebody else has managed, is left alone. managed may be NULL. Ours carry RTNL_PROTOCOL.
 */
int rtnl_neighbour_keep(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr, bool *managed);
/* Ends the keeping; what is gone, or not ours, is fine. */
int rtnl_neighbour_release(struct rtnl *rtnl, uint32_t ifindex, uint32_t addr);

struct rtnl_kept {
	uint32_t ifindex;
	uint32_t addr;
};

/* Those that are kept fresh for us, by whatever process it was asked; the caller frees. */
int rtnl_neighbours_kept(struct rtnl *rtnl, struct rtnl_kept **ret, size_t *count);

enum rtnl_route_type { RTNL_ROUTE_LOCAL, RTNL_ROUTE_BLACKHOLE };

/* A route of ours: a local one (AnyIP; in the local table, on the loopback device), or a blackhole that is only there
   to be announced. */
struct rtnl_route {
	enum rtnl_route_type type;
	struct prefix prefix;
	uint32_t table; /* RT_TABLE_LOCAL (255), RTNL_TABLE_ANNOUNCE */
};

/* Adding what is there and removing what is not are fine. Removal takes only routes with RTNL_PROTOCOL. */
int rtnl_route_add(struct rtnl *rtnl, const struct rtnl_route *route);
int rtnl_route_remove(struct rtnl *rtnl, const struct rtnl_route *route);
/* Those with RTNL_PROTOCOL in a table; the caller frees. */
int rtnl_routes(struct rtnl *rtnl, uint32_t table, struct rtnl_route **ret, size_t *count);

struct rtnl_rule {
	uint32_t pref;
	bool from_here; /* "iif lo": packets that this host sends */
	struct prefix to; /* len 0: any */
	uint32_t table;
	uint8_t protocol; /* who made it; RTNL_PROTOCOL is ours, filled in when adding 0 */
};

/* Adding what is there and removing what is not are fine; `protocol` counts for neither. */
int rtnl_rule_add(struct rtnl *rtnl, const struct rtnl_rule *rule);
int rtnl_rule_remove(struct rtnl *rtnl, const struct rtnl_rule *rule);
/* Whether there is such a rule, whoever made it. */
int rtnl_rule_find(struct rtnl *rtnl, const struct rtnl_rule *rule, bool *ret);
/* Those that can be told in full by struct rtnl_rule; the caller frees. */
int rtnl_rules(struct rtnl *rtnl, struct rtnl_rule **ret, size_t *count);

/* How many filters, of anybody's, a device's clsact qdisc has; 0 without one. */
int rtnl_clsact_filters(struct rtnl *rtnl, uint32_t ifindex, size_t *ret);

enum rtnl_event_type {
	RTNL_EVENT_LINK, /* ifindex, name; gone: deleted */
	RTNL_EVENT_ADDRESS, /* ifindex, addr; gone: removed */
	RTNL_EVENT_ROUTE, /* prefix, table, ours; gone: removed */
	RTNL_EVENT_NEIGHBOUR, /* ifindex, addr, valid and mac */
	RTNL_EVENT_RESYNC, /* the kernel dropped events: look at everything again */
};

struct rtnl_event {
	enum rtnl_event_type type;
	bool gone;
	uint32_t ifindex;
	char name[IFNAMSIZ];
	uint32_t addr;
	struct prefix prefix;
	uint32_t table;
	bool ours; /* a route with RTNL_PROTOCOL */
	bool up; /* of a link, as in struct rtnl_link */
	uint32_t mtu; /* of a link */
	bool valid; /* `mac` may be sent to */
	uint8_t mac[6];
};

typedef void rtnl_notify(void *arg, const struct rtnl_event *event);

struct rtnl_monitor;

/* Hears of every change to links, IPv4 addresses, routes and neighbours from now on. */
int rtnl_monitor_open(struct rtnl_monitor **ret);
/* Non-blocking; wait for it to be readable, then call rtnl_monitor_read(). */
int rtnl_monitor_fd(const struct rtnl_monitor *monitor);
/* Calls `notify` for everything that is there to read. */
int rtnl_monitor_read(struct rtnl_monitor *monitor, rtnl_notify *notify, void *arg);
void rtnl_monitor_close(struct rtnl_monitor *monitor); /* NULL is fine */

#endif
