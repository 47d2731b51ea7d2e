/* SPDX-License-Identifier: Apache-2.0 */
#include "ask.h"

#define AGENT_TIMEOUT_MS 10000

int agent_ask(const struct places *places, const struct control_request *request, json_t **ret, char **why)
{
	return control_call(places->run_dir, request, AGENT_TIMEOUT_MS, ret, NULL, why);
}
