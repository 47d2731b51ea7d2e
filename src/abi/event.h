/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: events and wasters
 *
 * What the allocator tells of a call or packet that it refused, or of a listener, through the ring buffer `events`, and
 * which programs hold ports badly, in the map `wasters`. Both are pinned: they go on without an agent.
 *
 * A program that is refused in a tight loop must neither cost much nor drown what others have to tell. So refusals
 * that are alike (policy, verdict, destination) share one of EVENT_BUCKETS allowances of their CPU: a burst of
 * EVENT_BURST, then one each EVENT_INTERVAL_NS. Those beyond it are counted, as `event_lost` and in the next event of
 * the same allowance. Two kinds that hash alike share one.
 */
#ifndef BERTH_ABI_EVENT_H
#define BERTH_ABI_EVENT_H

#include <linux/types.h>

#define EVENTS_BYTES (256u << 10) /* of the ring: a power of two, whole pages */
#define EVENT_BUCKETS 256u /* a power of two */
#define EVENT_BURST 8u
#define EVENT_INTERVAL_NS 100000000ull

/* A process's name as the kernel keeps it: any bytes, ends in 0. */
#define COMM_SIZE 16u

struct event {
	__u64 time; /* CLOCK_BOOTTIME, ns */
	__u64 held_back; /* refusals before this one that had no event of their own */
	__u32 verdict; /* enum verdict */
	__u32 policy;
	__u32 pid; /* the process, as the initial pid namespace numbers it. Of a packet: who ran when it was sent */
	__u32 uid; /* of that process; of a packet the socket's, in the initial user namespace */
	__u8 dest[16]; /* network byte order; IPv4 as ::ffff:a.b.c.d. Of a listener its own address and port */
	__be16 dest_port; /* 0: a protocol without ports, or not known */
	__u8 proto; /* IPPROTO_ */
	__u8 reserved;
	__u32 used; /* ports in use towards the destination in the slices looked at; 0: none was looked at */
	__u32 busy; /* how often a free port was tried that a socket of others holds */
	__u32 reserved2;
	char comm[COMM_SIZE];
};

_Static_assert(sizeof(struct event) == 80, "the same for every compiler");

/* One allowance, per CPU. */
struct event_bucket {
	__u64 next; /* when it is full again, CLOCK_BOOTTIME, ns */
	__u64 held_back; /* refusals without an event since the last one that had one */
};

/* Programs that hold ports badly; when there are more, the one that was quiet longest goes. */
#define WASTERS_MAX 256u

struct waster_key {
	__u32 policy;
	char comm[COMM_SIZE];
};

struct waster {
	__u64 count; /* sockets that had bind() choose a port, or came to connect() with one that is not the policy's */
	__u64 last; /* CLOCK_BOOTTIME, ns */
};

#endif
