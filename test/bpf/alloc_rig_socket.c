/* SPDX-License-Identifier: Apache-2.0 */
/* The rig's sockets. */
#include "alloc_rig.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static struct sockaddr_in inet_address(uint32_t addr, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(addr)};
}

int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	expect(fd >= 0);
	return fd;
}

int udp_socket(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	expect(fd >= 0);
	return fd;
}

void socket_mark(int fd, uint32_t mark)
{
	expect(!setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)));
}

int inet_bind(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = inet_address(addr, port);

	return bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ? -errno : 0;
}

int tcp_listen(uint32_t addr, uint16_t port)
{
	int fd = tcp_socket(), one = 1;

	expect(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
	expect(!inet_bind(fd, addr, port));
	expect(!listen(fd, 65535));
	return fd;
}

int udp_bind(uint32_t addr, uint16_t port)
{
	int fd = udp_socket();

	expect(!inet_bind(fd, addr, port));
	return fd;
}

int inet_connect(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = inet_address(addr, port);

	return connect(fd, (struct sockaddr *)&sin, sizeof(sin)) ? -errno : 0;
}

int mapped_connect(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in6 sin6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	uint32_t be = htonl(addr);

	sin6.sin6_addr.s6_addr[10] = sin6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(sin6.sin6_addr.s6_addr + 12, &be, sizeof(be));
	return connect(fd, (struct sockaddr *)&sin6, sizeof(sin6)) ? -errno : 0;
}

int inet_sendto(int fd, uint32_t addr, uint16_t port)
{
	struct sockaddr_in sin = inet_address(addr, port);

	return sendto(fd, "x", 1, 0, (struct sockaddr *)&sin, sizeof(sin)) < 0 ? -errno : 0;
}

static struct sockaddr_in6 local_address(int fd)
{
	struct sockaddr_in6 sin6 = {0};
	socklen_t len = sizeof(sin6);

	expect(!getsockname(fd, (struct sockaddr *)&sin6, &len));
	return sin6;
}

uint16_t local_port(int fd)
{
	return ntohs(local_address(fd).sin6_port); /* at the same place in sockaddr_in */
}

uint32_t local_addr(int fd)
{
	struct sockaddr_in6 sin6 = local_address(fd);
	struct sockaddr_in sin;
	uint32_t be;

	if (sin6.sin6_family == AF_INET6) {
		memcpy(&be, sin6.sin6_addr.s6_addr + 12, sizeof(be));
		return ntohl(be);
	}
	memcpy(&sin, &sin6, sizeof(sin));
	return ntohl(sin.sin_addr.s_addr);
}

int tcp_opened(uint32_t addr, uint16_t port)
{
	int fd = tcp_socket();

	expect_equal(inet_connect(fd, addr, port), 0);
	return fd;
}

int udp_opened(uint32_t addr, uint16_t port)
{
	int fd = udp_socket();

	expect_equal(inet_connect(fd, addr, port), 0);
	return fd;
}

void hang_up(int fd)
{
	struct linger linger = {.l_onoff = 1};

	(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)); /* no other socket minds */
	close(fd);
}
