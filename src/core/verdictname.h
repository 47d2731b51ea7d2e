/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CORE_VERDICTNAME_H
#define BERTH_CORE_VERDICTNAME_H

#include "../abi/verdict.h"

/* "refused_full"; "unknown" for a number of another version. */
const char *verdict_name(unsigned verdict);
/* "every port towards the destination is in use (EADDRNOTAVAIL)"; likewise "". */
const char *verdict_meaning(unsigned verdict);

#endif
