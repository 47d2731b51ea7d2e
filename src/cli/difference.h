/* SPDX-License-Identifier: Apache-2.0 */
/* What a proposal would change, for programs and for people. */
#ifndef BERTH_CLI_DIFFERENCE_H
#define BERTH_CLI_DIFFERENCE_H

#include <jansson.h>
#include <stdio.h>

#include "proposal.h"

/* NULL: no memory. The caller json_decref()s. */
json_t *difference_json(const struct proposal *proposal);
/* The same in words, without shortages. -ENOMEM. */
int difference_print(const struct proposal *proposal, FILE *out);
/* A warning to standard error for each thing that the plan cannot satisfy. */
void difference_warn(const struct proposal *proposal);

#endif
