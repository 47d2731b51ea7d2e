/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether this host can do what Berth needs, one answer a question, for `berth doctor` and the agent's start. Changes
 * nothing that stays: programs are loaded to see that they load, and let go.
 */
#ifndef BERTH_KERNEL_FEATURES_H
#define BERTH_KERNEL_FEATURES_H

#include <stddef.h>
#include <stdint.h>

#include "../core/addr.h"
#include "hostsettings.h"

enum feature_state { FEATURE_OK, FEATURE_WARN, FEATURE_FAIL };

struct feature {
	const char *name; /* stable: "kernel_version", "xdp_native" */
	enum feature_state state;
	char *detail; /* one sentence: what was found */
	char *remedy; /* the command that mends it, NULL when nothing is to be mended */
};

struct features {
	struct feature *items;
	size_t count;
};

struct features_options {
	const char *bpffs; /* the agent's directory */
	const char *cgroup_root; /* NULL: where cgroup2 is mounted */
	const char *device; /* uplink, by name; NULL: what is per device is left out */
	const struct prefix *pools;
	size_t pool_count;
	const struct port_run *own; /* ports of own slices */
	size_t own_count;
};

/* 0 or -ENOMEM; *ret is the caller's (features_free). */
int features_probe(const struct features_options *options, struct features *ret);
/* "ok", "warn", "fail". */
const char *feature_state_name(enum feature_state state);
/* The worst state of all. */
enum feature_state features_worst(const struct features *features);
void features_free(struct features *features); /* frees what is inside */

#endif
