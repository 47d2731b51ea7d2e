/* SPDX-License-Identifier: BSD-2-Clause */
/* Why something was refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "../abi/report.h"
#include "../control/verdictname.h"
#include "handle.h"

_Static_assert(sizeof(((struct berth_holder *)NULL)->name) == COMM_SIZE, "the header repeats it");
_Static_assert(BERTH_HOLDERS_MAX == REFUSAL_HOLDERS_MAX, "the header repeats it");

/* A destination as reports have it: an IPv4 address in IPv6's form is IPv4. */
struct place {
	char address[REPORT_ADDR_MAX];
	uint32_t port;
};

static int place_of(const struct sockaddr *addr, socklen_t size, struct place *ret)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)addr;

	if (!addr || size < sizeof(addr->sa_family))
		return -EINVAL;
	if (addr->sa_family == AF_INET && size >= sizeof(*ipv4)) {
		ret->port = ntohs(ipv4->sin_port);
		(void)inet_ntop(AF_INET, &ipv4->sin_addr, ret->address, sizeof(ret->address));
		return 0;
	}
	if (addr->sa_family != AF_INET6 || size < sizeof(*ipv6))
		return -EINVAL;
	ret->port = ntohs(ipv6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(&ipv6->sin6_addr))
		(void)inet_ntop(AF_INET, &ipv6->sin6_addr.s6_addr[12], ret->address, sizeof(ret->address));
	else
		(void)inet_ntop(AF_INET6, &ipv6->sin6_addr, ret->address, sizeof(ret->address));
	return 0;
}

/* NULL: there is none. They come newest first. */
static const struct refusal *refusal_find(const struct refusals *refusals, const struct place *place)
{
	for (size_t i = 0; i < refusals->count; i++)
		if (refusals->items[i].port == place->port && !strcmp(refusals->items[i].dest, place->address))
			return &refusals->items[i];
	return NULL;
}

static const char *meaning_of(const char *verdict)
{
	for (unsigned i = 0; i < VERDICT_COUNT; i++)
		if (!strcmp(verdict_name(i), verdict))
			return verdict_meaning(i);
	return ""; /* of a newer agent */
}

static void refusal_tell(const struct refusal *refusal, struct berth_refusal *ret)
{
	*ret = (struct berth_refusal){
		.count = refusal->count,
		.first = refusal->first,
		.last = refusal->last,
		.ports = refusal->ports,
		.used = refusal->used,
		.pid = refusal->pid,
	};
	memcpy(ret->policy, refusal->policy, sizeof(ret->policy));
	memcpy(ret->reason, refusal->verdict, sizeof(ret->reason));
	snprintf(ret->meaning, sizeof(ret->meaning), "%s", meaning_of(refusal->verdict));
	for (size_t i = 0; i < refusal->holder_count && i < BERTH_HOLDERS_MAX; i++) {
		const struct refusal_holder *holder = &refusal->holders[i];

		ret->holders[i] = (struct berth_holder){.pid = holder->pid, .ports = holder->ports};
		memcpy(ret->holders[i].name, holder->name, sizeof(ret->holders[i].name));
		ret->holder_count++;
	}
}

static int refusals_get(const struct berth *berth, struct refusals *ret, char **why)
{
	const struct control_request request = {.verb = CONTROL_REFUSALS};
	json_t *reply = NULL;
	int err = handle_call(berth, &request, &reply, why);

	if (!err)
		err = control_refusals_decode(reply, ret, why);
	json_decref(reply);
	return err;
}

int berth_why(struct berth *berth, const struct sockaddr *destination, socklen_t size, struct berth_refusal *ret)
{
	const struct refusal *found;
	struct refusals refusals;
	struct place place;
	char *why = NULL;
	int err = place_of(destination, size, &place);

	if (!err)
		err = refusals_get(berth, &refusals, &why);
	if (err)
		return handle_settle(berth, err, why);
	found = refusal_find(&refusals, &place);
	if (found)
		refusal_tell(found, ret);
	else if (asprintf(&why, "Berth has refused nothing to %s port %u", place.address, place.port) < 0)
		why = NULL;
	control_refusals_clear(&refusals);
	return handle_settle(berth, found ? 0 : -ENOENT, why);
}
