/* SPDX-License-Identifier: Apache-2.0 */
/* `berth run` for who is not root: the agent puts this process under the policy, then it becomes the command. */
#ifndef BERTH_CLI_ENTER_H
#define BERTH_CLI_ENTER_H

#include "arguments.h"
#include "places.h"

/* Returns only when there is no command: an exit code, and why was said. */
int enter_and_become(const struct places *places, const struct arguments *arguments);

#endif
