/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: reading a fleet file
 *
 * The tree is read by tables of keys, one for each kind of mapping; a function per key turns its value into a member
 * of the fleet. Whatever does not fit becomes a fault, and reading goes on with the next key. When a file has no fault
 * of its own in any section, fleet_file_check() holds the sections against each other; it finds the places to point at
 * in the lists of nodes that are kept here beside the fleet's arrays.
 */
#ifndef BERTH_CORE_FLEET_FILE_READER_H
#define BERTH_CORE_FLEET_FILE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fleet_file_fault.h"
#include "fleet_file_tree.h"

struct node_list {
	const struct node **items;
	size_t count;
};

struct reader {
	struct fleet *fleet;
	struct fleet_faults *faults;
	bool no_memory;
	/* Where the elements of the fleet's arrays stand in the file, by the same index. */
	struct node_list pools, ranges, sites, servers, policies;
};

/* A key that a mapping may have; a table of them ends with an entry of zeros. */
struct field {
	const char *key;
	void (*read)(struct reader *reader, const struct node *value, void *object);
	const char *example; /* of a key that must be there; NULL: it may be left out */
};

void reader_fault(struct reader *reader, const struct node *node, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void reader_fault_at(struct reader *reader, size_t line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* True when it makes no sense to go on: no memory, or enough faults. */
bool reader_stopped(const struct reader *reader);

/* what: "a pool", for messages. */
void reader_mapping(struct reader *reader, const struct node *node, const char *what, const struct field *fields,
		    void *object);
/* Calls `read` for each item. True when there is at least one. */
bool reader_list(struct reader *reader, const struct node *node,
		 void (*read)(struct reader *reader, const struct node *item, void *object), void *object);

/* These return false, or NULL, with a fault and leave *ret alone when the node does not hold such a value. */
const char *reader_text(struct reader *reader, const struct node *node);
bool reader_number(struct reader *reader, const struct node *node, unsigned min, unsigned max, unsigned *ret);
bool reader_duration(struct reader *reader, const struct node *node, unsigned min, unsigned max, unsigned *ret);
/* choices: NULL-terminated; *ret is an index into it. */
bool reader_choice(struct reader *reader, const struct node *node, const char *const *choices, unsigned *ret);
bool reader_addr(struct reader *reader, const struct node *node, uint32_t *ret);
bool reader_prefix(struct reader *reader, const struct node *node, struct prefix *ret);
/* A name of a fleet, site, server or policy; the caller frees. */
char *reader_name(struct reader *reader, const struct node *node);
bool reader_tags(struct reader *reader, const struct node *node, struct tags *ret);

/* `array` with room for one more element after `count`, and that one zeroed; NULL: no memory, `array` is untouched. */
void *reader_grow(struct reader *reader, void *array, size_t count, size_t size);
bool node_list_add(struct reader *reader, struct node_list *list, const struct node *node);

/* In 0.0.0.0/8, 127.0.0.0/8 or 224.0.0.0/3: what no host on the internet, and no server of a fleet, can have. */
bool fleet_file_addr_reserved(uint32_t addr);

/* Read one item of a section, and append it to the fleet that `object` points to. */
void fleet_file_pool(struct reader *reader, const struct node *item, void *object);
void fleet_file_addresses(struct reader *reader, const struct node *item, void *object);
void fleet_file_site(struct reader *reader, const struct node *item, void *object);
void fleet_file_policy(struct reader *reader, const struct node *item, void *object);
/* Reads a policy's `allow` into the policy that `object` points to. */
void fleet_file_allow(struct reader *reader, const struct node *node, void *object);
/* Reads every section into reader->fleet. */
void fleet_file_sections(struct reader *reader, const struct node *root);
/* What no section can see alone: names used twice, overlaps, selectors that match nothing, table limits. */
void fleet_file_check(struct reader *reader);
/* Its part about pools and address ranges. Fills in fleet_addresses.pool. */
void fleet_file_check_pools(struct reader *reader);

#endif
