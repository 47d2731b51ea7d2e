/* SPDX-License-Identifier: BSD-2-Clause */
#include "verdictname.h"

static const struct {
	const char *name, *meaning;
} verdicts[] = {
#define X(number, symbol, name, meaning) [number] = {name, meaning},
	VERDICTS(X)
#undef X
};

_Static_assert(sizeof(verdicts) / sizeof(verdicts[0]) == VERDICT_COUNT, "verdicts are numbered without gaps");

const char *verdict_name(unsigned verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].name : "unknown";
}

const char *verdict_meaning(unsigned verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].meaning : "";
}
