/* SPDX-License-Identifier: Apache-2.0 */
#include "comm.h"

#include <string.h>

void comm_text(const char *comm, char ret[COMM_SIZE])
{
	size_t i;

	for (i = 0; i < COMM_SIZE - 1 && comm[i]; i++)
		ret[i] = comm[i] >= ' ' && comm[i] < 0x7f ? comm[i] : '?';
	memset(ret + i, 0, COMM_SIZE - i);
}
