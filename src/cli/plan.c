/* SPDX-License-Identifier: Apache-2.0 */
/* `berth plan FILE`: apply, without writing. */
#include "verb.h"

int verb_plan(const struct arguments *arguments)
{
	struct arguments dry = *arguments;

	dry.dry_run = true;
	return verb_apply(&dry);
}
