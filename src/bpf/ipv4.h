/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The word with flags and fragment offset in the IPv4 header, host byte order (RFC 791). */
#ifndef BERTH_BPF_IPV4_H
#define BERTH_BPF_IPV4_H

#define IPV4_DF 0x4000
#define IPV4_MF 0x2000
#define IPV4_OFFSET 0x1fff

#endif
