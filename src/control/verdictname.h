/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef BERTH_CONTROL_VERDICTNAME_H
#define BERTH_CONTROL_VERDICTNAME_H

#include "../abi/verdict.h"

/* "refused_full"; "unknown" for a number of another version. */
const char *verdict_name(unsigned verdict);
/* "every port towards the destination is in use (EADDRNOTAVAIL)"; likewise "". */
const char *verdict_meaning(unsigned verdict);

#endif
