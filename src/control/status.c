/* SPDX-License-Identifier: BSD-2-Clause */
/* The reply to `status`. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"
#include "fault.h"
#include "shape.h"

static const struct field uplink_fields[] = {
	{"name", FIELD_TEXT, offsetof(struct control_uplink, name), 0, NULL},
	{"mode", FIELD_TEXT, offsetof(struct control_uplink, mode), 0, NULL},
};
static const struct shape uplink_shape = SHAPE(control_uplink, uplink_fields);

static const struct field hop_fields[] = {
	{"target", FIELD_TEXT, offsetof(struct control_hop, target), 0, NULL},
	{"kind", FIELD_TEXT, offsetof(struct control_hop, kind), 0, NULL},
	{"address", FIELD_TEXT, offsetof(struct control_hop, address), 0, NULL},
	{"device", FIELD_TEXT, offsetof(struct control_hop, device), 0, NULL},
	{"mac", FIELD_TEXT, offsetof(struct control_hop, mac), 0, NULL},
	{"mtu", FIELD_U32, offsetof(struct control_hop, mtu), 0, NULL},
	{"state", FIELD_TEXT, offsetof(struct control_hop, state), 0, NULL},
};
static const struct shape hop_shape = SHAPE(control_hop, hop_fields);

static const struct field slice_fields[] = {
	{"address", FIELD_TEXT, offsetof(struct control_slice, address), 0, NULL},
	{"first", FIELD_U32, offsetof(struct control_slice, first), 0, NULL},
	{"count", FIELD_U32, offsetof(struct control_slice, count), 0, NULL},
	{"state", FIELD_TEXT, offsetof(struct control_slice, state), 0, NULL},
};
static const struct shape slice_shape = SHAPE(control_slice, slice_fields);

static const struct field policy_fields[] = {
	{"name", FIELD_TEXT, offsetof(struct control_policy, name), 0, NULL},
	{"id", FIELD_U32, offsetof(struct control_policy, id), 0, NULL},
	{"slices", FIELD_LIST, offsetof(struct control_policy, slices), offsetof(struct control_policy, slice_count),
	 &slice_shape},
};
static const struct shape policy_shape = SHAPE(control_policy, policy_fields);

static const struct field status_fields[] = {
	{"server", FIELD_TEXT, offsetof(struct control_status, server), 0, NULL},
	{"site", FIELD_TEXT, offsetof(struct control_status, site), 0, NULL},
	{"instance", FIELD_TEXT, offsetof(struct control_status, instance), 0, NULL},
	{"pid", FIELD_I64, offsetof(struct control_status, pid), 0, NULL},
	{"agent", FIELD_TEXT, offsetof(struct control_status, version), 0, NULL},
	{"applied", FIELD_U64, offsetof(struct control_status, applied), 0, NULL},
	{"since", FIELD_I64, offsetof(struct control_status, since), 0, NULL},
	{"adopted", FIELD_BOOL, offsetof(struct control_status, adopted), 0, NULL},
	{"uplinks", FIELD_LIST, offsetof(struct control_status, uplinks), offsetof(struct control_status, uplink_count),
	 &uplink_shape},
	{"hops", FIELD_LIST, offsetof(struct control_status, hops), offsetof(struct control_status, hop_count),
	 &hop_shape},
	{"slices", FIELD_LIST, offsetof(struct control_status, slices), offsetof(struct control_status, slice_count),
	 &slice_shape},
	{"policies", FIELD_LIST, offsetof(struct control_status, policies),
	 offsetof(struct control_status, policy_count), &policy_shape},
	{"degraded", FIELD_LIST, offsetof(struct control_status, degraded),
	 offsetof(struct control_status, degraded_count), NULL},
};
static const struct shape status_shape = SHAPE(control_status, status_fields);

json_t *control_reply_status(const struct control_status *status)
{
	return shape_reply(&status_shape, status);
}

int control_status_decode(json_t *reply, struct control_status *ret, char **why)
{
	struct control_status status = {0};
	const char *at = NULL;
	int err = shape_decode(&status_shape, reply, &status, &at);

	if (!err) {
		status.reply = json_incref(reply);
		*ret = status;
		return 0;
	}
	shape_clear(&status_shape, &status);
	if (err == -EBADMSG)
		err = fault_say(err, why, "the agent's status lacks \"%s\" or gives it in a wrong form", at);
	return err;
}

void control_status_clear(struct control_status *status)
{
	shape_clear(&status_shape, status);
	json_decref(status->reply);
	*status = (struct control_status){0};
}
