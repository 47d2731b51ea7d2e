/* SPDX-License-Identifier: BSD-2-Clause */
/* The replies to `refusals`, `usage` and `wasters`. */
#include <errno.h>

#include "control.h"
#include "fault.h"
#include "shape.h"

#define PLAIN(type, member, kind) \
	{ \
#member, kind, offsetof(struct type, member), 0, NULL \
	}
#define CHARS(type, member) \
	{ \
#member, FIELD_CHARS, offsetof(struct type, member), sizeof(((struct type *)NULL)->member), NULL \
	}
#define LIST(type, key, items, count, shape) \
	{ \
		key, FIELD_LIST, offsetof(struct type, items), offsetof(struct type, count), shape \
	}

static const struct field use_slice_fields[] = {
	{"address", FIELD_IPV4, offsetof(struct use_slice, addr), 0, NULL},
	PLAIN(use_slice, first, FIELD_U32),
	PLAIN(use_slice, count, FIELD_U32),
	PLAIN(use_slice, destinations, FIELD_U32),
	PLAIN(use_slice, fullest, FIELD_U32),
	PLAIN(use_slice, connections, FIELD_U64),
};
static const struct shape use_slice_shape = SHAPE(use_slice, use_slice_fields);

static const struct field use_policy_fields[] = {
	CHARS(use_policy, name),
	PLAIN(use_policy, id, FIELD_U32),
	PLAIN(use_policy, slices, FIELD_U32),
	PLAIN(use_policy, ports, FIELD_U32),
	PLAIN(use_policy, destinations, FIELD_U32),
	PLAIN(use_policy, fullest, FIELD_U32),
	PLAIN(use_policy, connections, FIELD_U64),
	PLAIN(use_policy, fallbacks, FIELD_U64),
};
static const struct shape use_policy_shape = SHAPE(use_policy, use_policy_fields);

static const struct field use_destination_fields[] = {
	{"address", FIELD_IPV4, offsetof(struct use_destination, addr), 0, NULL},
	PLAIN(use_destination, port, FIELD_U32),
	CHARS(use_destination, proto),
	PLAIN(use_destination, used, FIELD_U32),
	CHARS(use_destination, policy),
	PLAIN(use_destination, policy_used, FIELD_U32),
	PLAIN(use_destination, policy_ports, FIELD_U32),
};
static const struct shape use_destination_shape = SHAPE(use_destination, use_destination_fields);

static const struct field use_fields[] = {
	PLAIN(use, ports, FIELD_U32),
	PLAIN(use, destinations, FIELD_U32),
	PLAIN(use, connections, FIELD_U64),
	PLAIN(use, left_over, FIELD_U64),
	PLAIN(use, probed, FIELD_U64),
	LIST(use, "slices", slices, slice_count, &use_slice_shape),
	LIST(use, "policies", policies, policy_count, &use_policy_shape),
	LIST(use, "top", top, top_count, &use_destination_shape),
};
static const struct shape use_shape = SHAPE(use, use_fields);

static const struct field waste_fields[] = {
	CHARS(waste, policy),
	CHARS(waste, name),
	PLAIN(waste, count, FIELD_U64),
	PLAIN(waste, last, FIELD_I64),
};
static const struct shape waste_shape = SHAPE(waste, waste_fields);

static const struct field wastes_fields[] = {LIST(wastes, "wasters", items, count, &waste_shape)};
static const struct shape wastes_shape = SHAPE(wastes, wastes_fields);

static const struct field refusal_slice_fields[] = {
	{"address", FIELD_IPV4, offsetof(struct refusal_slice, addr), 0, NULL},
	PLAIN(refusal_slice, first, FIELD_U32),
	PLAIN(refusal_slice, count, FIELD_U32),
};
static const struct shape refusal_slice_shape = SHAPE(refusal_slice, refusal_slice_fields);

static const struct field refusal_holder_fields[] = {
	CHARS(refusal_holder, name),
	PLAIN(refusal_holder, pid, FIELD_U32),
	PLAIN(refusal_holder, ports, FIELD_U32),
};
static const struct shape refusal_holder_shape = SHAPE(refusal_holder, refusal_holder_fields);

static const struct field refusal_fields[] = {
	CHARS(refusal, policy),
	CHARS(refusal, verdict),
	{"address", FIELD_CHARS, offsetof(struct refusal, dest), REPORT_ADDR_MAX, NULL},
	PLAIN(refusal, port, FIELD_U32),
	CHARS(refusal, proto),
	PLAIN(refusal, count, FIELD_U64),
	PLAIN(refusal, first, FIELD_I64),
	PLAIN(refusal, last, FIELD_I64),
	PLAIN(refusal, used, FIELD_U32),
	PLAIN(refusal, busy, FIELD_U32),
	PLAIN(refusal, ports, FIELD_U32),
	PLAIN(refusal, pid, FIELD_U32),
	PLAIN(refusal, uid, FIELD_U32),
	CHARS(refusal, name),
	LIST(refusal, "slices", slices, slice_count, &refusal_slice_shape),
	LIST(refusal, "holders", holders, holder_count, &refusal_holder_shape),
};
static const struct shape refusal_shape = SHAPE(refusal, refusal_fields);

static const struct field refusals_fields[] = {LIST(refusals, "refusals", items, count, &refusal_shape)};
static const struct shape refusals_shape = SHAPE(refusals, refusals_fields);

/* Of a failure nothing is left in `report`. */
static int decode(const struct shape *shape, const json_t *reply, void *report, char **why)
{
	const char *at = NULL;
	int err = shape_decode(shape, reply, report, &at);

	if (!err)
		return 0;
	shape_clear(shape, report);
	if (err == -EBADMSG)
		err = fault_say(err, why, "the agent's answer lacks \"%s\" or gives it in a wrong form", at);
	return err;
}

json_t *control_reply_refusals(const struct refusals *refusals)
{
	return shape_reply(&refusals_shape, refusals);
}

int control_refusals_decode(const json_t *reply, struct refusals *ret, char **why)
{
	struct refusals refusals = {0};
	int err = decode(&refusals_shape, reply, &refusals, why);

	if (!err)
		*ret = refusals;
	return err;
}

void control_refusals_clear(struct refusals *refusals)
{
	shape_clear(&refusals_shape, refusals);
	*refusals = (struct refusals){0};
}

void control_usage_clear(struct use *use)
{
	shape_clear(&use_shape, use);
	*use = (struct use){0};
}

json_t *control_reply_usage(const struct use *use)
{
	return shape_reply(&use_shape, use);
}

int control_usage_decode(const json_t *reply, struct use *ret, char **why)
{
	struct use use = {0};
	int err = decode(&use_shape, reply, &use, why);

	if (!err)
		*ret = use;
	return err;
}

json_t *control_reply_wasters(const struct wastes *wastes)
{
	return shape_reply(&wastes_shape, wastes);
}

int control_wasters_decode(const json_t *reply, struct wastes *ret, char **why)
{
	struct wastes wastes = {0};
	int err = decode(&wastes_shape, reply, &wastes, why);

	if (!err)
		*ret = wastes;
	return err;
}
