/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * DOC: arithmetic of slices
 *
 * An egress address has 65,536 source ports. A pool cuts them into columns of `1 << shift` ports; column c of an
 * address is the run [c << shift, (c + 1) << shift), half-open, so all arithmetic is done in 32 bits and the end of
 * the last column is 65536, not 0. One column of one address is a slice. Ports below BERTH_PORT_FLOOR are never
 * handed out: a column that lies wholly below is masked, one that straddles the floor starts at it.
 *
 * Ports are in host byte order everywhere in this header.
 */
#ifndef BERTH_ABI_SLICE_H
#define BERTH_ABI_SLICE_H

#include <linux/types.h>
#include <stdbool.h>

#define BERTH_PORT_SPACE 65536u
#define BERTH_PORT_FLOOR 2048u

/* A slice has 256 to 32,768 ports: shift is the base-2 logarithm. */
#define BERTH_SLICE_SHIFT_MIN 8u
#define BERTH_SLICE_SHIFT_MAX 15u

/* Columns of an address, the masked ones counted: 2 to 256. */
static inline __u32 slice_columns(__u32 shift)
{
	return BERTH_PORT_SPACE >> shift;
}

/* The column that a port lies in. */
static inline __u32 slice_column(__u32 port, __u32 shift)
{
	return port >> shift;
}

/* The lowest column with a usable port; columns below are masked. */
static inline __u32 slice_first_column(__u32 shift)
{
	return BERTH_PORT_FLOOR >> shift;
}

/* First usable port of a column; for a masked column this is its end, so its port count is 0. */
static inline __u32 slice_first_port(__u32 column, __u32 shift)
{
	__u32 first = column << shift;
	__u32 end = (column + 1) << shift;

	if (first >= BERTH_PORT_FLOOR)
		return first;
	return end < BERTH_PORT_FLOOR ? end : BERTH_PORT_FLOOR;
}

/* One past the last port of a column: 256 to 65,536. */
static inline __u32 slice_end_port(__u32 column, __u32 shift)
{
	return (column + 1) << shift;
}

/* Usable ports of a column: 0 for a masked one. */
static inline __u32 slice_port_count(__u32 column, __u32 shift)
{
	return slice_end_port(column, shift) - slice_first_port(column, shift);
}

/* How many servers can own a slice of one address: 31 for 2,048-port slices. */
static inline __u32 slice_owners(__u32 shift)
{
	return slice_columns(shift) - slice_first_column(shift);
}

/* True when a port is handed out at all. */
static inline bool slice_port_usable(__u32 port)
{
	return port >= BERTH_PORT_FLOOR && port < BERTH_PORT_SPACE;
}

#endif
