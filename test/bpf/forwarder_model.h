/* SPDX-License-Identifier: Apache-2.0 */
/* What the written model (src/core/decide.h) says that the forwarder under test does. */
#ifndef BERTH_TEST_FORWARDER_MODEL_H
#define BERTH_TEST_FORWARDER_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "../../src/abi/verdict.h"
#include "packet.h"
#include "program.h"

struct model_result {
	uint32_t action; /* XDP_* */
	enum verdict verdict; /* NO_VERDICT: nothing is counted */
	bool report; /* sent only if the rate of reports allows it */
	struct packet out;
};

/* From the tables of the server under test as they are. */
void model_run(const struct packet *in, uint32_t ifindex, struct model_result *ret);
/* No fragment has come yet. */
void model_forget(void);
/* False, with what differs on stderr. */
bool model_agrees(const struct model_result *model, const struct program_result *program);

#endif
