/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BERTH_CLI_PERCENT_H
#define BERTH_CLI_PERCENT_H

#include <stdint.h>

/* Whole percents: 0 only for none of it, 100 only for all. */
static inline unsigned percent_of(uint64_t part, uint64_t whole)
{
	if (part == 0 || whole == 0)
		return 0;
	if (part >= whole)
		return 100;
	return part * 100 < whole ? 1 : (unsigned)(part * 100 / whole);
}

#endif
