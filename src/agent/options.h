/* SPDX-License-Identifier: Apache-2.0 */
/* berthd's command line. */
#ifndef BERTH_AGENT_OPTIONS_H
#define BERTH_AGENT_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_DIR_DEFAULT "/run/berth"
#define BPFFS_DEFAULT "/sys/fs/bpf/berth"
#define STORE_DEFAULT "sqlite:///var/lib/berth/berth.db"

struct options {
	const char *server;
	const char *store;
	const char *cgroup_root; /* NULL: where cgroup2 is mounted */
	const char *bpffs;
	const char *run_dir;
	uint32_t destinations; /* room in the allocator's table */
	bool generic; /* XDP in generic mode where the driver has none of its own */
};

/*
 * Strings of *ret belong to argv and the environment. 0: go on. 1: *status is what to exit with (help was asked for
 * and printed, or the line was wrong and that was said).
 */
int options_parse(int argc, char **argv, struct options *ret, int *status);

#endif
