/* SPDX-License-Identifier: Apache-2.0 */
#include "findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "message.h"
#include "table.h"
#include "verb.h"

static void finding_clear(struct finding *finding)
{
	free(finding->name);
	free(finding->detail);
	free(finding->remedy);
}

static bool finding_put(struct findings *findings, const struct finding *finding)
{
	struct finding *items = reallocarray(findings->items, findings->count + 1, sizeof(*items));

	if (!items)
		return false;
	findings->items = items;
	items[findings->count++] = *finding;
	return true;
}

void findings_add(struct findings *findings, enum feature_state state, const char *name, const char *remedy,
		  const char *format, ...)
{
	struct finding finding = {.state = state, .name = strdup(name), .remedy = remedy ? strdup(remedy) : NULL};
	va_list args;

	va_start(args, format);
	if (vasprintf(&finding.detail, format, args) < 0)
		finding.detail = NULL;
	va_end(args);
	if (!finding.name || !finding.detail || (remedy && !finding.remedy) || !finding_put(findings, &finding)) {
		finding_clear(&finding);
		findings->failed = true;
	}
}

static enum feature_state worst_of(const struct findings *findings)
{
	enum feature_state worst = FEATURE_OK;

	for (size_t i = 0; i < findings->count; i++)
		if (findings->items[i].state > worst)
			worst = findings->items[i].state;
	return worst;
}

static int print_json(const struct findings *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		if (json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s?}", "name", finding->name, "state",
							  feature_state_name(finding->state), "detail", finding->detail,
							  "remedy", finding->remedy))) {
			json_decref(list);
			return answer_print(NULL);
		}
	}
	return answer_print(json_pack("{s:s, s:o}", "state", feature_state_name(worst_of(findings)), "findings", list));
}

static int print_table(const struct findings *findings)
{
	static const struct table_column columns[] = {{"STATE", false}, {"WHAT", false}, {"FOUND", false}};
	struct table *table = table_new(columns, 3);

	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->items[i];

		table_cell(table, "%s", feature_state_name(finding->state));
		table_cell(table, "%s", finding->name);
		table_cell(table, "%s", finding->detail);
		if (!finding->remedy)
			continue;
		table_cell(table, " ");
		table_cell(table, " ");
		table_cell(table, "  mend: %s", finding->remedy);
	}
	return table_print(table, stdout) ? VERB_FAILED : VERB_DONE;
}

int findings_report(const struct findings *findings, bool json)
{
	int exit_code = json ? print_json(findings) : print_table(findings);

	if (findings->failed) {
		message("no memory for all that was found");
		return VERB_FAILED;
	}
	if (exit_code != VERB_DONE)
		return exit_code;
	return worst_of(findings) == FEATURE_FAIL ? VERB_NO : VERB_DONE;
}

void findings_clear(struct findings *findings)
{
	for (size_t i = 0; i < findings->count; i++)
		finding_clear(&findings->items[i]);
	free(findings->items);
	*findings = (struct findings){0};
}
