/* SPDX-License-Identifier: Apache-2.0 */
/* What a protocol is called. */
#ifndef BERTH_CORE_PROTO_H
#define BERTH_CORE_PROTO_H

#include "../abi/report.h"

/* "tcp", "udp", "icmp", "sctp", or the number. Returns `text`. */
const char *proto_text(uint8_t proto, char text[REPORT_WORD_MAX]);

#endif
