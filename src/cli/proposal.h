/* SPDX-License-Identifier: Apache-2.0 */
/* A fleet file, the store as it is, and the plan that leads from one to the other. */
#ifndef BERTH_CLI_PROPOSAL_H
#define BERTH_CLI_PROPOSAL_H

#include <stdbool.h>

#include "session.h"

struct proposal {
	char *text; /* of the file, `size` bytes */
	size_t size;
	struct fleet *fleet; /* with ids once made */
	struct state *before; /* the store as it was read */
	struct plan plan;
};

/* Reads and checks a file. Returns an exit code: what is wrong is said, faults as FILE:LINE:COLUMN. */
int proposal_load(const char *path, struct proposal *ret);
/* Reads the store and plans; may be done again. Returns an exit code. */
int proposal_make(struct proposal *proposal, struct session *session);
/* Nothing to write. */
bool proposal_empty(const struct proposal *proposal);
/* Slices in use that a server would lose. */
size_t proposal_losses(const struct proposal *proposal);
void proposal_clear(struct proposal *proposal);

#endif
