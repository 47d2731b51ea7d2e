/* SPDX-License-Identifier: Apache-2.0 */
/* Ways to open a connection: ours, which is a plain connect(), and what programs do without Berth. */
#include "allocator.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/in.h>
#include <sys/socket.h>

static struct sockaddr_in inet_address(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
}

static int inet_bind(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = inet_address(addr, port);

	return bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ? -errno : 0;
}

int open_plain(int fd, const struct aim *aim)
{
	struct sockaddr_in sin = inet_address(aim->addr, aim->port);

	if (!connect(fd, (struct sockaddr *)&sin, sizeof(sin)) || errno == EINPROGRESS)
		return 0;
	return -errno;
}

/* The port is left to connect(), so that it may serve many destinations. */
int open_range(int fd, const struct aim *aim)
{
	uint32_t range = SLICE_FIRST | (SLICE_FIRST + SLICE_PORTS - 1) << 16;
	int one = 1, err;

	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) ||
	    setsockopt(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, &range, sizeof(range)))
		return -errno;
	err = inet_bind(fd, EGRESS, 0);
	return err ? err : open_plain(fd, aim);
}

int open_explicit(int fd, const struct aim *aim)
{
	int one = 1, err;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)))
		return -errno;
	err = inet_bind(fd, EGRESS, aim->source);
	return err ? err : open_plain(fd, aim);
}

int source_of(int fd, uint32_t *addr, uint16_t *port)
{
	struct sockaddr_in sin;
	socklen_t size = sizeof(sin);

	if (getsockname(fd, (struct sockaddr *)&sin, &size))
		return -errno;
	*addr = ntohl(sin.sin_addr.s_addr);
	*port = ntohs(sin.sin_port);
	return 0;
}

bool source_is_own(const struct rig *rig, uint32_t addr, uint16_t port)
{
	return addr == EGRESS && port >= SLICE_FIRST && port < SLICE_FIRST + rig->size.slice_ports;
}
