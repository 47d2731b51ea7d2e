/* SPDX-License-Identifier: Apache-2.0 */
/* Who must give up a connection of the control socket, so that those who only hold theirs lock nobody out. */
#ifndef BERTH_AGENT_SEATS_H
#define BERTH_AGENT_SEATS_H

#include <stddef.h>
#include <sys/types.h>

#define SEATS_MAX 64u
#define SEATS_USER_MAX 16u /* of one user; root has no limit of its own */

/*
 * users: whose each connection is, newest first; the newest came just now. Index of the one to close: the oldest of a
 * user with too many, or, when all together are too many, the oldest that is not root's, or root's oldest. `count`:
 * none.
 */
size_t seats_to_clear(const uid_t *users, size_t count);

#endif
