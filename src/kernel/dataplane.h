/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: the data plane from user space
 *
 * Loads forwarder, guard and allocator, keeps their maps and links pinned, and writes their tables. What is pinned
 * outlives the process; the next one adopts it, so that traffic and new connections go on in between.
 *
 *   BPFFS/maps/NAME       every map, by its name; of a global section .data.NAME just NAME
 *   BPFFS/links/NAME      cgroup_PROGRAM and trace_PROGRAM of the allocator, xdp_IFINDEX of the forwarder
 *   BPFFS/made/clsact_IFINDEX   an empty directory: the clsact qdisc of that device was made by us
 *
 * One process at a time: it holds a flock on BPFFS. Everything here may be done again without harm. Functions return
 * 0 or -errno; where they take `char **why`, a failure leaves a sentence there that the caller frees. `why` may be
 * NULL. Nothing here prints. Not for use by several threads at once.
 *
 * Addresses are in host byte order unless the type says __be.
 */
#ifndef BERTH_KERNEL_DATAPLANE_H
#define BERTH_KERNEL_DATAPLANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/allocator.h"
#include "../abi/forwarder.h"
#include "../core/addr.h"
#include "../core/compile.h"

struct dataplane;

struct dataplane_options {
	const char *bpffs; /* "/sys/fs/bpf/berth"; a bpf file system is mounted at its parent when there is none */
	const char *cgroup_root; /* directory of the cgroup2 tree that the allocator's programs are attached to */
	uint32_t destinations; /* (egress address, 2,048 ports, destination) that the table has room for;
				  0: DESTINATIONS_DEFAULT. Counts when the maps are made, not when they are adopted */
};

/*
 * Loads the programs onto pinned maps, which are made when there are none: aside, then renamed in as a whole.
 * Attaches nothing. -EBUSY: another process holds this directory; -ENOTSUP: pinned maps of a layout before
 * BERTH_LAYOUT_TAKEOVER, take them down with `berth detach` first; -EPERM; what the kernel said to a program.
 *
 * Pinned maps of another layout are taken over: new ones are made beside them, and written like any. The other
 * version's programs go on with their own until dataplane_allocator_attach(), before which tables, hops and policies
 * have to be complete, and forwarder and guard attached.
 */
int dataplane_open(const struct dataplane_options *options, struct dataplane **ret, char **why);
/* Leaves everything that is pinned or attached as it is. NULL is fine. */
void dataplane_close(struct dataplane *dp);
/* True when the maps were there before dataplane_open(). */
bool dataplane_adopted(const struct dataplane *dp);
/* True while another version's programs act on maps that are not ours. */
bool dataplane_taking_over(const struct dataplane *dp);
/* How long nobody was given a port, ns; 0: this process has taken nothing over. */
uint64_t dataplane_takeover_ns(const struct dataplane *dp);
/* While taking over: the other version's programs give out no port any more. For good, unless the takeover ends. */
void dataplane_close_gate(struct dataplane *dp);

/*
 * Tables of the forwarder. tables_read gives what the kernel has now, for tables_compile's `loaded` (free with
 * tables_free). tables_write brings the kernel's to `tables` while packets flow: members and hop targets first, then
 * slice entries, then the directory, removals last. A hop index that leads somewhere else than before loses its wrap
 * at once; the caller writes a new one. -E2BIG: more slices, hops or members than the tables hold.
 */
int dataplane_tables_read(const struct dataplane *dp, struct tables **ret);
int dataplane_tables_write(struct dataplane *dp, const struct tables *tables);
/* The wrap of a hop (hop.h); one of all zeros: no way there. -ERANGE: no such index. */
int dataplane_hop_write(struct dataplane *dp, uint32_t index, const struct hop_wrap *wrap);
int dataplane_hop_read(const struct dataplane *dp, uint32_t index, struct hop_wrap *ret);
/* `layout` is filled in here. Written last: before, the forwarder passes everything. */
void dataplane_config_write(struct dataplane *dp, const struct forwarder_config *config);
void dataplane_config_read(const struct dataplane *dp, struct forwarder_config *ret);

/*
 * Attaching replaces an older program in place, so that no packet and no connect() goes unjudged between the two.
 * Detaching what is not attached is fine; so is a device that is gone.
 */
int dataplane_guard_attach(struct dataplane *dp, uint32_t ifindex, char **why);
int dataplane_guard_detach(struct dataplane *dp, uint32_t ifindex, char **why);
/* generic: the slow mode that any device has; else the driver must know XDP (-EOPNOTSUPP). */
int dataplane_forwarder_attach(struct dataplane *dp, uint32_t ifindex, bool generic, char **why);
/* Whether the forwarder was put on the device in generic mode, by this process or one before. */
bool dataplane_forwarder_generic(const struct dataplane *dp, uint32_t ifindex);
int dataplane_forwarder_detach(struct dataplane *dp, uint32_t ifindex, char **why);
int dataplane_allocator_attach(struct dataplane *dp, char **why);
int dataplane_allocator_detach(struct dataplane *dp, char **why);
/* Devices with a pinned forwarder link; the caller frees. */
int dataplane_forwarder_devices(const struct dataplane *dp, uint32_t **ret, size_t *count);

/* Policies of the allocator, by number: 1 to UINT32_MAX. */
struct dataplane_policy {
	uint32_t id;
	struct policy policy;
};

/* `slot` is filled in here, and stays what it was. -E2BIG: POLICIES_MAX are there. */
int dataplane_policy_write(struct dataplane *dp, uint32_t id, const struct policy *policy);
int dataplane_policy_remove(struct dataplane *dp, uint32_t id);
/* -ENOENT: there is none. */
int dataplane_policy_read(const struct dataplane *dp, uint32_t id, struct policy *ret);
/* What people call it (policynames.h). The name outlives the policy: what is refused for want of it can still be told
   by name. Cut short when it is too long. */
int dataplane_policy_name(struct dataplane *dp, uint32_t id, const char *name);
int dataplane_policy_list(const struct dataplane *dp, struct dataplane_policy **ret, size_t *count);

/* Which policy a cgroup (by id) is under; POLICY_NONE is one. */
struct dataplane_cgroup {
	uint64_t cgroup;
	uint32_t policy;
};

int dataplane_cgroup_write(struct dataplane *dp, uint64_t cgroup, uint32_t policy);
int dataplane_cgroup_remove(struct dataplane *dp, uint64_t cgroup);
int dataplane_cgroup_list(const struct dataplane *dp, struct dataplane_cgroup **ret, size_t *count);

/* Which policy a cgroup gets when it is made: path within the hierarchy (cgroup_hierarchy_path), no '/' at its end.
   -ENAMETOOLONG: CGROUP_PATH_MAX - 1 bytes are the limit. */
struct dataplane_path {
	struct cgroup_path path;
	uint32_t policy;
};

int dataplane_path_write(struct dataplane *dp, const char *path, uint32_t policy);
int dataplane_path_remove(struct dataplane *dp, const char *path);
int dataplane_path_list(const struct dataplane *dp, struct dataplane_path **ret, size_t *count);

/* Which policy a mark (SO_MARK) asks for, of all policies; marks that are not listed ask for none. */
struct dataplane_mark {
	uint32_t mark; /* not 0 */
	uint32_t policy;
};

int dataplane_marks_replace(struct dataplane *dp, const struct dataplane_mark *marks, size_t count);
int dataplane_mark_list(const struct dataplane *dp, struct dataplane_mark **ret, size_t *count);

/* Puts the socket behind a descriptor under the policy, whatever its cgroup and mark, when it is next bound, connected
   or sent from; until it is gone. -ENOTSOCK. */
int dataplane_choice_write(struct dataplane *dp, int socket, uint32_t policy);

/* Excepted destinations of a policy, all of them: what is missing is added before what is too much goes. */
struct except_key dataplane_except_ipv4(uint32_t policy, struct prefix prefix);
/* addr: network byte order; len 0 to 128. */
struct except_key dataplane_except_ipv6(uint32_t policy, const uint8_t addr[16], unsigned len);
int dataplane_excepts_replace(struct dataplane *dp, uint32_t policy, const struct except_key *keys, size_t count);
/* Source ports that are not given out for UDP, all of them. */
int dataplane_avoid_write(struct dataplane *dp, const uint16_t *ports, size_t count);
/* UDP ports of a policy that serve, likewise. */
int dataplane_serves_replace(struct dataplane *dp, uint32_t policy, const uint16_t *ports, size_t count);

#endif
