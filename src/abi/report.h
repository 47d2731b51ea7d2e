/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: reports
 *
 * What is told about the use of ports: the same structs where it is summed up, on the control socket and in the
 * command. Addresses and ports are in host byte order, times in seconds of Unix time. Texts end in 0, and are
 * printable ASCII where they come from a program.
 */
#ifndef BERTH_ABI_REPORT_H
#define BERTH_ABI_REPORT_H

#include <stddef.h>
#include <stdint.h>

#include "allocator.h"
#include "event.h"

#define REPORT_ADDR_MAX 46 /* an IPv6 address as text */
#define REPORT_WORD_MAX 32 /* a verdict or protocol */

/* Ports in use towards one destination, of one egress address and chunk. */
struct port_entry {
	struct ports_key key;
	uint32_t used; /* bits set */
	uint64_t bits[CHUNK_WORDS]; /* bit n % 64 of word n / 64: port (chunk << CHUNK_SHIFT) + n is in use */
};

/*
 * Use. A port is in use towards a destination (address, port, protocol), so each destination has the whole slice for
 * itself: a slice is as full as it is towards the destination that it is fullest towards.
 */
struct use_slice {
	uint32_t addr, first, count;
	uint32_t destinations;
	uint32_t fullest; /* ports in use towards the destination that has most of them */
	uint64_t connections; /* ports in use, summed over destinations */
};

/* Policies that share slices share their use: what is in use of a policy's slices, whoever's it is. */
struct use_policy {
	char name[POLICY_NAME_MAX];
	uint32_t id;
	uint32_t slices, ports;
	uint32_t destinations, fullest;
	uint64_t connections;
	uint64_t fallbacks; /* ports given out so far of the slices of its fallbacks */
};

struct use_destination {
	uint32_t addr, port;
	char proto[REPORT_WORD_MAX];
	uint32_t used; /* of all ports that this server has (struct use) */
	char policy[POLICY_NAME_MAX]; /* the one whose slices are fullest towards it; "" without */
	uint32_t policy_used, policy_ports;
};

struct use {
	uint32_t ports; /* of all policies' slices, each counted once */
	uint32_t destinations;
	uint64_t connections;
	uint64_t left_over; /* of those: on ports that no policy has any more */
	uint64_t probed; /* connections more, which the table has no room for: not in any of the numbers here */
	struct use_slice *slices; /* by address and port */
	size_t slice_count;
	struct use_policy *policies; /* by number */
	size_t policy_count;
	struct use_destination *top; /* those with most ports in use, most first */
	size_t top_count;
};

#define USE_TOP_DEFAULT 10u
#define USE_TOP_MAX 1000u

/* Programs that hold ports badly. */
struct waste {
	char policy[POLICY_NAME_MAX];
	char name[COMM_SIZE];
	uint64_t count;
	int64_t last;
};

struct wastes {
	struct waste *items; /* most first */
	size_t count;
};

/* Refusals that are alike, summed up. */
struct refusal_slice {
	uint32_t addr, first, count;
};

struct refusal_holder {
	char name[COMM_SIZE];
	uint32_t pid; /* 0: closed by its program, not over yet */
	uint32_t ports; /* towards the destination, from the policy's slices */
};

#define REFUSAL_HOLDERS_MAX 5u

struct refusal {
	char policy[POLICY_NAME_MAX];
	char verdict[REPORT_WORD_MAX];
	char dest[REPORT_ADDR_MAX]; /* IPv4 or IPv6 */
	uint32_t port; /* 0: none */
	char proto[REPORT_WORD_MAX];
	uint64_t count;
	int64_t first, last;
	uint32_t used; /* ports in use towards it, of the slices looked at, at the last one; 0: not looked at */
	uint32_t busy; /* how often, at the last one, a free port was tried that a socket of others holds */
	uint32_t ports; /* of the policy's slices */
	uint32_t pid, uid; /* of the last one */
	char name[COMM_SIZE];
	struct refusal_slice *slices; /* of the policy */
	size_t slice_count;
	struct refusal_holder *holders; /* processes with most ports towards it, when that was last looked up */
	size_t holder_count;
};

struct refusals {
	struct refusal *items; /* newest first */
	size_t count;
};

#endif
