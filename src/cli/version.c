/* SPDX-License-Identifier: Apache-2.0 */
/* `berth version` */
#include "version.h"

#include <stdio.h>

#include "../abi/forwarder.h"
#include "../control/control.h"
#include "answer.h"
#include "verb.h"

int verb_version(const struct arguments *arguments)
{
	if (arguments->json)
		return answer_print(json_pack("{s:s, s:i, s:i}", "version", BERTH_VERSION, "layout",
					      BERTH_LAYOUT_VERSION, "control", CONTROL_VERSION));
	printf("berth %s (map layout %d, control protocol %d)\n", BERTH_VERSION, BERTH_LAYOUT_VERSION, CONTROL_VERSION);
	return VERB_DONE;
}
