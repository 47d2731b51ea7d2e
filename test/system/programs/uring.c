/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks a recorder from where it is seen, by io_uring alone: socket, connect and receive are requests of a ring.
 *
 *   uring plain|async|sqpoll ADDRESS PORT
 *
 * plain: the kernel does them as they are handed in, or when they are ready; async: in a worker thread; sqpoll: in the
 * ring's own kernel thread. Prints what the recorder says, or the errno's number behind "refused". Exit status 77: this
 * kernel has no io_uring, or not these requests.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENTRIES 4
#define UNAVAILABLE 77
#define THREAD_IDLE_MS 1000

struct ring {
	int fd;
	uint8_t sqe_flags;
	struct io_uring_params params;
	uint8_t *map;
	struct io_uring_sqe *sqes;
};

static uint32_t *ring_word(const struct ring *ring, uint32_t offset)
{
	return (uint32_t *)(void *)(ring->map + offset);
}

static void fail(const char *what)
{
	perror(what);
	exit(errno == ENOSYS || errno == EPERM ? UNAVAILABLE : 1);
}

static void ring_open(struct ring *ring, const char *way)
{
	const struct io_sqring_offsets *sq = &ring->params.sq_off;
	const struct io_cqring_offsets *cq = &ring->params.cq_off;
	size_t size;

	*ring = (struct ring){.sqe_flags = strcmp(way, "async") == 0 ? IOSQE_ASYNC : 0};
	if (strcmp(way, "sqpoll") == 0)
		ring->params = (struct io_uring_params){.flags = IORING_SETUP_SQPOLL, .sq_thread_idle = THREAD_IDLE_MS};
	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &ring->params);
	if (ring->fd < 0)
		fail("io_uring_setup");
	/* One mapping holds both queues (IORING_FEAT_SINGLE_MMAP, since Linux 5.4). */
	size = sq->array + ring->params.sq_entries * sizeof(uint32_t);
	if (size < cq->cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe))
		size = cq->cqes + ring->params.cq_entries * sizeof(struct io_uring_cqe);
	ring->map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, ring->fd, IORING_OFF_SQ_RING);
	ring->sqes = mmap(NULL, ring->params.sq_entries * sizeof(*ring->sqes), PROT_READ | PROT_WRITE, MAP_SHARED,
			  ring->fd, IORING_OFF_SQES);
	if (ring->map == MAP_FAILED || ring->sqes == MAP_FAILED)
		fail("mmap");
}

/* Hands one request in, waits for it, and returns its result: -errno where it failed. */
static int ring_do(struct ring *ring, struct io_uring_sqe request)
{
	uint32_t *tail = ring_word(ring, ring->params.sq_off.tail), *head = ring_word(ring, ring->params.cq_off.head);
	uint32_t index = *tail & (ring->params.sq_entries - 1);
	uint32_t flags = IORING_ENTER_GETEVENTS, submit = 1;
	const struct io_uring_cqe *cqes;
	int result;

	request.flags = ring->sqe_flags;
	ring->sqes[index] = request;
	ring_word(ring, ring->params.sq_off.array)[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_SEQ_CST);
	if (ring->params.flags & IORING_SETUP_SQPOLL) {
		flags |= IORING_ENTER_SQ_WAKEUP;
		submit = 0;
	}
	if (syscall(SYS_io_uring_enter, ring->fd, submit, 1, flags, NULL, 0) < 0)
		fail("io_uring_enter");
	cqes = (const struct io_uring_cqe *)(const void *)(ring->map + ring->params.cq_off.cqes);
	result = cqes[*head & (ring->params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}

static int ask(struct ring *ring, const struct sockaddr_in *dest, char *answer, size_t room)
{
	int fd = ring_do(ring, (struct io_uring_sqe){.opcode = IORING_OP_SOCKET, .fd = AF_INET, .off = SOCK_STREAM});
	int err;

	if (fd == -EINVAL)
		exit(UNAVAILABLE); /* IORING_OP_SOCKET came with Linux 5.19 */
	if (fd < 0)
		return fd;
	err = ring_do(ring,
		      (struct io_uring_sqe){
			      .opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uintptr_t)dest, .off = sizeof(*dest)});
	if (err)
		return err;
	return ring_do(ring,
		       (struct io_uring_sqe){
			       .opcode = IORING_OP_RECV, .fd = fd, .addr = (uintptr_t)answer, .len = (uint32_t)room});
}

int main(int argc, char **argv)
{
	struct sockaddr_in dest = {.sin_family = AF_INET};
	char answer[100];
	struct ring ring;
	int size;

	if (argc != 4 || inet_pton(AF_INET, argv[2], &dest.sin_addr) != 1)
		return 2;
	dest.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
	ring_open(&ring, argv[1]);
	size = ask(&ring, &dest, answer, sizeof(answer));
	if (size < 0)
		printf("refused %d\n", -size);
	else
		printf("%.*s", size, answer);
	return 0;
}
