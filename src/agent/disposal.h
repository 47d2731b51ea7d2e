/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closes descriptors that others passed. To close one may take as long as whoever passed it likes: a file of a FUSE
 * file system asks its server, a TCP socket with SO_LINGER waits for its peer. So each is closed in a thread of its
 * own, and a user has a few of these at most.
 */
#ifndef BERTH_AGENT_DISPOSAL_H
#define BERTH_AGENT_DISPOSAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define DISPOSALS_MAX 64u /* under way */
#define DISPOSALS_USER_MAX 4u /* of one user; root has no limit of its own */

/* True: one more of that user may be taken. */
bool disposal_has_room(uid_t user);
void disposal_close(int fd, uid_t user);

#endif
