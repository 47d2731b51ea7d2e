/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the agent of this server. */
#ifndef BERTH_CLI_ASK_H
#define BERTH_CLI_ASK_H

#include "../control/control.h"
#include "places.h"

/* Errors and *why (the caller frees) as control_call() has them. */
int agent_ask(const struct places *places, const struct control_request *request, json_t **ret, char **why);

#endif
