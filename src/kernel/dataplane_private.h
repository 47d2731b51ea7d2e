/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the data plane share among themselves. */
#ifndef BERTH_KERNEL_DATAPLANE_PRIVATE_H
#define BERTH_KERNEL_DATAPLANE_PRIVATE_H

#include <bpf/libbpf.h>
#include <limits.h>

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

/* The map's descriptor, -ENOENT when no program has such a map. */
int dataplane_map(const struct dataplane *dp, const char *name);
/* The descriptor of a program of the allocator, -ENOENT when there is none of that name. */
int dataplane_program(const struct dataplane *dp, const char *name);
/* Finds how much of the mapped tables is in use. */
void dataplane_tables_measure(struct dataplane *dp);

#endif
