/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the agent of this server has its things. The running agent leaves them in RUN_DIR/paths.json
 * ({"server", "bpffs", "cgroup_root", "store"}), so that --run-dir alone finds them, with the agent dead as well.
 */
#ifndef BERTH_CLI_PLACES_H
#define BERTH_CLI_PLACES_H

#include <jansson.h>

#include "arguments.h"

struct places {
	const char *run_dir;
	const char *bpffs;
	const char *cgroup_root; /* NULL: where cgroup2 is mounted */
	const char *store;
	const char *server; /* NULL: no agent ran here yet */
	json_t *file; /* what the texts may belong to */
};

/*
 * Option, then for the store $BERTH_STORE, then paths.json, then default. Returns an exit code: paths.json may be there
 * and of no use, which is said. *ret is the caller's (places_clear).
 */
int places_find(const struct arguments *arguments, struct places *ret);
void places_clear(struct places *places);

#endif
