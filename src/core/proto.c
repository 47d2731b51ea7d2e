/* SPDX-License-Identifier: Apache-2.0 */
#include "proto.h"

#include <netinet/in.h>
#include <stdio.h>

static const char *proto_name(uint8_t proto)
{
	switch (proto) {
	case IPPROTO_ICMP:
		return "icmp";
	case IPPROTO_TCP:
		return "tcp";
	case IPPROTO_UDP:
		return "udp";
	case IPPROTO_SCTP:
		return "sctp";
	default:
		return NULL;
	}
}

const char *proto_text(uint8_t proto, char text[REPORT_WORD_MAX])
{
	const char *name = proto_name(proto);

	if (name)
		snprintf(text, REPORT_WORD_MAX, "%s", name);
	else
		snprintf(text, REPORT_WORD_MAX, "%u", proto);
	return text;
}
