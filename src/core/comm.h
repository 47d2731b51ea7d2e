/* SPDX-License-Identifier: Apache-2.0 */
/* A process's name may hold any bytes: what is told of it is printable ASCII. */
#ifndef BERTH_CORE_COMM_H
#define BERTH_CORE_COMM_H

#include "../abi/event.h"

/* comm: COMM_SIZE bytes, with or without a 0 among them. Other bytes become '?'. */
void comm_text(const char *comm, char ret[COMM_SIZE]);

#endif
