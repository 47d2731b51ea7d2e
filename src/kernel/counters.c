/* SPDX-License-Identifier: Apache-2.0 */
#include "counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "why.h"

/* Sums one counter; one that the pinned map does not have (an older agent made it) counts 0. */
static int counter_read(int fd, uint32_t number, uint64_t *values, int cpus, uint64_t *ret)
{
	uint64_t sum = 0;

	if (bpf_map_lookup_elem(fd, &number, values) < 0) {
		if (errno != ENOENT)
			return -errno;
		memset(values, 0, (size_t)cpus * sizeof(*values));
	}
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	*ret = sum;
	return 0;
}

static int counters_open(const char *bpffs, char **why)
{
	struct bpf_map_info info = {0};
	uint32_t size = sizeof(info);
	char path[PATH_MAX];
	int fd;

	if (snprintf(path, sizeof(path), "%s/maps/counters", bpffs) >= (int)sizeof(path))
		return why_say(why, -ENAMETOOLONG, "%s: too long", bpffs);
	fd = bpf_obj_get(path);
	if (fd < 0 && errno == ENOENT)
		return why_say(why, -ENOENT, "no data plane is pinned in %s", bpffs);
	if (fd < 0)
		return why_say(why, -errno, "cannot open %s: %s", path, strerror(errno));
	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0 || info.type != BPF_MAP_TYPE_PERCPU_ARRAY ||
	    info.value_size != sizeof(uint64_t)) {
		close(fd);
		return why_say(why, -ENOTSUP, "%s is not the counters of this version", path);
	}
	return fd;
}

int counters_read(const char *bpffs, uint64_t ret[VERDICT_COUNT], char **why)
{
	int cpus = libbpf_num_possible_cpus(), fd, err = 0;
	uint64_t *values, sums[VERDICT_COUNT];

	if (cpus < 0)
		return why_say(why, cpus, "cannot tell the number of CPUs: %s", strerror(-cpus));
	fd = counters_open(bpffs, why);
	if (fd < 0)
		return fd;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!values)
		err = why_say(why, -ENOMEM, "no memory");
	for (uint32_t i = 0; !err && i < VERDICT_COUNT; i++) {
		err = counter_read(fd, i, values, cpus, &sums[i]);
		if (err)
			why_say(why, err, "cannot read the counters: %s", strerror(-err));
	}
	if (!err)
		memcpy(ret, sums, sizeof(sums));
	free(values);
	close(fd);
	return err;
}
