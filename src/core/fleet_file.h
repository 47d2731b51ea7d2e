/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads a fleet file (YAML, version 1): text in, a checked fleet out, or every fault found, each with line and column,
 * the value at fault and what would be right.
 */
#ifndef BERTH_CORE_FLEET_FILE_H
#define BERTH_CORE_FLEET_FILE_H

#include <stddef.h>

#include "fleet.h"

#define FLEET_FILE_MAX (4u << 20) /* bytes */
#define FLEET_FAULTS_MAX 20 /* reading stops after that many */

struct fleet_fault {
	size_t line; /* from 1 */
	size_t column; /* from 1, in characters */
	char *text; /* one sentence, no newline */
};

struct fleet_faults {
	struct fleet_fault items[FLEET_FAULTS_MAX];
	size_t count;
};

/*
 * `text` need not end in 0. 0: *ret is the caller's (fleet_free). -EINVAL: at least one fault. -ENOMEM. Ids that the
 * file does not give are 0. `faults` starts empty and is the caller's to free, whatever is returned.
 */
int fleet_file_read(const char *text, size_t size, struct fleet **ret, struct fleet_faults *faults);
void fleet_faults_free(struct fleet_faults *faults);

#endif
