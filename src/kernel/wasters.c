/* SPDX-License-Identifier: Apache-2.0 */
#include "wasters.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../core/comm.h"
#include "boottime.h"
#include "pins.h"
#include "policynames.h"

struct reading {
	struct wastes wastes;
	struct policy_names names;
};

static int waster_add(void *arg, const void *key, const void *value)
{
	struct reading *reading = arg;
	struct waste *items = reallocarray(reading->wastes.items, reading->wastes.count + 1, sizeof(*items));
	struct waster_key who;
	struct waster waster;

	if (!items)
		return -ENOMEM;
	reading->wastes.items = items;
	items += reading->wastes.count++;
	memcpy(&who, key, sizeof(who));
	memcpy(&waster, value, sizeof(waster));
	*items = (struct waste){.count = waster.count, .last = boottime_unix(waster.last)};
	comm_text(who.comm, items->name);
	policy_names_text(&reading->names, who.policy, items->policy);
	return 0;
}

static int count_compare(const void *a, const void *b)
{
	const struct waste *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return strcmp(x->name, y->name);
}

int wasters_read(const char *bpffs, struct wastes *ret, char **why)
{
	const struct pin_form form = {"wasters", BPF_MAP_TYPE_LRU_HASH, sizeof(struct waster_key),
				      sizeof(struct waster)};
	struct reading reading = {0};
	int err = policy_names_read(bpffs, &reading.names, why);

	if (!err)
		err = pin_load(bpffs, &form, waster_add, &reading, why);
	policy_names_clear(&reading.names);
	if (err) {
		wasters_clear(&reading.wastes);
		return err;
	}
	if (reading.wastes.items)
		qsort(reading.wastes.items, reading.wastes.count, sizeof(*reading.wastes.items), count_compare);
	*ret = reading.wastes;
	return 0;
}

void wasters_clear(struct wastes *wastes)
{
	free(wastes->items);
	*wastes = (struct wastes){0};
}
