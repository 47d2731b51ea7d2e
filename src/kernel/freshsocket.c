/* SPDX-License-Identifier: Apache-2.0 */
#include "freshsocket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "netns.h"
#include "why.h"

/* Younger than the headers of Debian 12's C library. */
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static int number_get(int fd, int level, int option, int *ret)
{
	socklen_t size = sizeof(*ret);

	return getsockopt(fd, level, option, ret, &size) < 0 ? -errno : 0;
}

static int check_kind(int fd, char **why)
{
	int family, proto, err = number_get(fd, SOL_SOCKET, SO_DOMAIN, &family);

	if (err == -ENOTSOCK)
		return why_say(why, -EINVAL, "the descriptor that was passed is no socket");
	if (!err)
		err = number_get(fd, SOL_SOCKET, SO_PROTOCOL, &proto);
	if (err)
		return why_say(why, err, "the socket that was passed: %s", strerror(-err));
	if (family != AF_INET && family != AF_INET6)
		return why_say(why, -EINVAL, "the socket is of address family %d, not IPv4 or IPv6", family);
	/* The kernel connects the subflows, which are sockets of their own. */
	if (proto == IPPROTO_MPTCP)
		return why_say(why, -EINVAL, "the socket is MPTCP, which goes by its cgroup's policy alone");
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP)
		return why_say(why, -EINVAL, "the socket is of protocol %d, not TCP or UDP", proto);
	return 0;
}

static int check_netns(int fd, char **why)
{
	uint64_t own, its;
	int err = netns_cookie(&own);

	if (!err)
		err = netns_cookie_of(fd, &its);
	if (err)
		return why_say(why, err, "the network namespace of the socket: %s", strerror(-err));
	if (own != its)
		return why_say(why, -EINVAL,
			       "the socket is of another network namespace than the agent's, where the slices' "
			       "addresses are not");
	return 0;
}

static bool is_bound(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)addr;
	const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)addr;

	if (addr->ss_family == AF_INET)
		return ipv4->sin_port || ipv4->sin_addr.s_addr;
	return ipv6->sin6_port || !IN6_IS_ADDR_UNSPECIFIED(&ipv6->sin6_addr);
}

/* TCP that is connecting has a port, too; what listens as well. */
static int check_unused(int fd, char **why)
{
	struct sockaddr_storage addr = {0};
	socklen_t size = sizeof(addr);

	if (getpeername(fd, (struct sockaddr *)&addr, &size) == 0)
		return why_say(why, -EINVAL, "the socket is connected already: choose before connect()");
	size = sizeof(addr);
	if (getsockname(fd, (struct sockaddr *)&addr, &size) < 0)
		return why_say(why, -errno, "the socket's address: %m");
	if (is_bound(&addr))
		return why_say(why, -EINVAL, "the socket has an address already: choose before bind() and connect()");
	return 0;
}

int fresh_socket_check(int fd, char **why)
{
	int err = check_kind(fd, why);

	if (!err)
		err = check_netns(fd, why);
	return err ? err : check_unused(fd, why);
}
