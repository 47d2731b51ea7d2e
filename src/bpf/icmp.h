/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ICMP as RFC 792 has it. <linux/icmp.h> would bring headers of the C library, which there are none of for BPF. */
#ifndef BERTH_BPF_ICMP_H
#define BERTH_BPF_ICMP_H

#include <linux/types.h>

#define ICMP_ECHO_REPLY 0
#define ICMP_UNREACHABLE 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12

#define ICMP_FRAGMENTATION_NEEDED 4 /* code of ICMP_UNREACHABLE */

struct icmp {
	__u8 type;
	__u8 code;
	__u16 checksum;
	__be16 id; /* echo; else unused */
	__be16 value; /* echo: sequence number; fragmentation needed: MTU of the next hop */
};

#endif
