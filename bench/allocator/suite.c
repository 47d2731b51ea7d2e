/* SPDX-License-Identifier: Apache-2.0 */
#include "allocator.h"

static const struct part parts[] = {
	{"connect/1t", part_connect_1t},
	{"connect/2t", part_connect_2t},
	{"connect/1t/explicit", part_connect_explicit},
	{"connect/no-policy", part_connect_no_policy},
	{"connect/empty-hooks", part_connect_empty_hooks},
	{"life", part_life},
	{"udp", part_udp},
	{"churn", part_churn},
	{"soak", part_soak},
	{"destination-bytes", part_memory},
	{0},
};

const struct suite suite_allocator = {
	.name = "allocator",
	.about = "source ports: what connect() costs, and whether every port of a slice is to be had",
	.parts = parts,
};
