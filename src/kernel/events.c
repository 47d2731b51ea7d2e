/* SPDX-License-Identifier: Apache-2.0 */
#include "events.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bpflog.h"
#include "dataplane_private.h"

struct events {
	struct ring_buffer *ring;
	events_notify *notify;
	void *arg;
};

static int sample(void *arg, void *data, size_t size)
{
	const struct events *events = arg;
	struct event event;

	if (size < sizeof(event))
		return 0;
	memcpy(&event, data, sizeof(event));
	events->notify(events->arg, &event);
	return 0;
}

int events_open(const struct dataplane *dp, events_notify *notify, void *arg, struct events **ret)
{
	struct events *events = calloc(1, sizeof(*events));
	int fd = dataplane_map(dp, "events"), err = 0;

	if (!events)
		return -ENOMEM;
	*events = (struct events){.notify = notify, .arg = arg};
	if (fd < 0) {
		err = fd;
	} else {
		bpflog_begin();
		events->ring = ring_buffer__new(fd, sample, events, NULL);
		err = events->ring ? 0 : -errno;
		bpflog_end();
	}
	if (err)
		events_close(events);
	else
		*ret = events;
	return err;
}

int events_fd(const struct events *events)
{
	return ring_buffer__epoll_fd(events->ring);
}

int events_read(struct events *events)
{
	int count = ring_buffer__consume(events->ring);

	return count < 0 ? count : 0;
}

void events_close(struct events *events)
{
	if (!events)
		return;
	ring_buffer__free(events->ring);
	free(events);
}
