/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: what all layouts have in common
 *
 * A version of Berth may lay its maps out as it likes, and takes over what another one left pinned, older or newer: it
 * makes maps of its own beside, fills them, and puts its programs in the place of the others
 * (kernel/dataplane_takeover.c). What it finds there is this, which therefore stays as it is for ever:
 *
 * - maps/config: its first 32-bit word is the layout; 0: the tables were never written
 * - maps/sockets: what each socket holds, in its storage: struct socket_state, SOCKET_STATE_SIZE bytes. Fields stay
 *   where they are and mean what they mean; new ones take the place of reserved bytes, and 0 there is fine
 * - maps/choices: what was chosen for a socket, in its storage: struct socket_choice. May be missing
 * - maps/gate: struct gate
 * - links/NAME: cgroup_PROGRAM, trace_PROGRAM, xdp_IFINDEX
 */
#ifndef BERTH_ABI_TAKEOVER_H
#define BERTH_ABI_TAKEOVER_H

#include <linux/types.h>

/* The first layout that has all of it. */
#define BERTH_LAYOUT_TAKEOVER 4

#define SOCKET_STATE_SIZE 64

struct gate {
	__u32 closed; /* not 0: nobody is given a port, whichever version's program is asked */
	__u32 reserved[15];
};

#endif
