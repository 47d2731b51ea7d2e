/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the data plane share among themselves. */
#ifndef BERTH_KERNEL_DATAPLANE_PRIVATE_H
#define BERTH_KERNEL_DATAPLANE_PRIVATE_H

#include <bpf/libbpf.h>
#include <limits.h>

#include "../abi/takeover.h"

#include "dataplane.h"
#include "programs.h"

#define DATAPLANE_MAPS_MAX 32

/* A map that is pinned, and shared by every object that names it. */
struct shared_map {
	char name[64]; /* as it is pinned */
	int fd;
	void *memory; /* mapped tables only */
	size_t size;
};

struct dataplane {
	char *bpffs;
	char *cgroup_root;
	int lock_fd;
	bool adopted;
	bool taking_over; /* another layout's programs act until takeover_end() */
	struct gate *gate; /* mapped */
	uint64_t gate_closed_at; /* CLOCK_MONOTONIC, ns; by takeover_begin() */
	uint64_t gate_closed_ns; /* how long it was; 0: nothing was taken over */
	struct bpf_object *objects[PROGRAM_OBJECTS];
	struct shared_map maps[DATAPLANE_MAPS_MAX];
	size_t map_count;

	/* the forwarder's tables, mapped */
	struct forwarder_config *config;
	struct directories *directories;
	struct slices *slices;
	struct hops *hops;
	struct members *members;
	/* how far the tables are in use, so that not all of them is looked through at every change */
	size_t slice_count;
	size_t member_count;
	/* copies that a program may still be reading: flipped away from since the last grace period */
	bool directory_flipped;
	bool hop_flipped[HOPS_MAX];
};

/* Where maps are pinned until they are what counts; and those of the version before, until they are gone. */
#define DIR_MAPS_ASIDE "maps-new"

/* Until every program that runs now has ended. */
void grace_period(struct dataplane *dp);

/*
 * Around the attaching of all programs while another version's are attached (abi/takeover.h). After takeover_begin()
 * nobody is given a port, and what sockets hold stands in our maps; takeover_end() makes these the ones that count. A
 * failure to begin leaves the other version as it was. Without a takeover they do nothing, but that takeover_end()
 * opens a gate that was left closed.
 */
int takeover_begin(struct dataplane *dp, char **why);
int takeover_end(struct dataplane *dp, char **why);
/* After a takeover that was cut short: our maps count, but who is attached is not known, and nobody is given a port. */
int takeover_recover(struct dataplane *dp, char **why);

/* The map's descriptor, -ENOENT when no program has such a map. */
int dataplane_map(const struct dataplane *dp, const char *name);
/* The descriptor of a program of the allocator, -ENOENT when there is none of that name. */
int dataplane_program(const struct dataplane *dp, const char *name);
/* Finds how much of the mapped tables is in use. */
void dataplane_tables_measure(struct dataplane *dp);

#endif
