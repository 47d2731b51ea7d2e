/* SPDX-License-Identifier: Apache-2.0 */
/* Pinned maps, read as a whole: works without an agent, and beside one. */
#ifndef BERTH_KERNEL_PINS_H
#define BERTH_KERNEL_PINS_H

#include <stddef.h>
#include <stdint.h>

/* What a map must look like; another version's is refused. */
struct pin_form {
	const char *name;
	uint32_t type; /* BPF_MAP_TYPE_ */
	uint32_t key_size, value_size;
};

/*
 * A descriptor of BPFFS/maps/NAME. -ENOENT: no data plane is pinned there; -EACCES, -EPERM: not allowed to open it;
 * -ENOTSUP: another form. *why is the caller's to free, set on every failure.
 */
int pin_open(const char *bpffs, const struct pin_form *form, char **why);

/* A negative return ends the reading. */
typedef int pin_visit(void *arg, const void *key, const void *value);

/*
 * Hands every entry of a hash map to `visit`, many at a time. What programs change meanwhile is seen or not; a value
 * may be half changed. -errno.
 */
int pin_read(int fd, const struct pin_form *form, pin_visit *visit, void *arg);

/* Both, and closes. */
int pin_load(const char *bpffs, const struct pin_form *form, pin_visit *visit, void *arg, char **why);

#endif
