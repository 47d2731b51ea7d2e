/* SPDX-License-Identifier: Apache-2.0 */
#include "policynames.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pins.h"

static int name_add(void *arg, const void *key, const void *value)
{
	struct policy_names *names = arg;
	struct policy_names_row *rows = reallocarray(names->rows, names->count + 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	names->rows = rows;
	rows += names->count++;
	memcpy(&rows->id, key, sizeof(rows->id));
	memcpy(rows->text, value, sizeof(rows->text));
	rows->text[sizeof(rows->text) - 1] = 0;
	for (char *c = rows->text; *c; c++)
		if (*c < ' ' || *c == 0x7f)
			*c = '?';
	return 0;
}

static int id_compare(const void *a, const void *b)
{
	uint32_t x = ((const struct policy_names_row *)a)->id, y = ((const struct policy_names_row *)b)->id;

	return x < y ? -1 : x > y;
}

int policy_names_read(const char *bpffs, struct policy_names *ret, char **why)
{
	const struct pin_form form = {"policy_names", BPF_MAP_TYPE_HASH, sizeof(uint32_t), sizeof(struct policy_name)};
	struct policy_names names = {0};
	int err = pin_load(bpffs, &form, name_add, &names, why);

	if (err) {
		policy_names_clear(&names);
		return err;
	}
	if (names.rows)
		qsort(names.rows, names.count, sizeof(*names.rows), id_compare);
	*ret = names;
	return 0;
}

const char *policy_names_text(const struct policy_names *names, uint32_t id, char text[POLICY_NAME_MAX])
{
	const struct policy_names_row wanted = {.id = id}, *row = NULL;

	if (names->rows)
		row = bsearch(&wanted, names->rows, names->count, sizeof(*row), id_compare);
	if (row && row->text[0])
		snprintf(text, POLICY_NAME_MAX, "%s", row->text);
	else if (id == POLICY_NONE)
		snprintf(text, POLICY_NAME_MAX, "none");
	else
		snprintf(text, POLICY_NAME_MAX, "#%u", id);
	return text;
}

void policy_names_clear(struct policy_names *names)
{
	free(names->rows);
	*names = (struct policy_names){0};
}
