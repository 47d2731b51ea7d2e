/* SPDX-License-Identifier: Apache-2.0 */
/* What `berth doctor` found, and how it says so. */
#ifndef BERTH_CLI_FINDINGS_H
#define BERTH_CLI_FINDINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "../kernel/features.h"

struct finding {
	enum feature_state state;
	char *name, *detail;
	char *remedy; /* NULL: nothing is to be mended */
};

struct findings {
	struct finding *items;
	size_t count;
	bool failed; /* one was lost for want of memory */
};

/* remedy: NULL, or copied. */
void findings_add(struct findings *findings, enum feature_state state, const char *name, const char *remedy,
		  const char *format, ...) __attribute__((format(printf, 5, 6)));
/* Prints them. Returns an exit code: VERB_NO when one is FEATURE_FAIL. */
int findings_report(const struct findings *findings, bool json);
void findings_clear(struct findings *findings);

#endif
