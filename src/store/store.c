/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends.h"
#include "key.h"
#include "store.h"
#include "watch.h"

static const struct store_backend *const backends[] = {
	&sqlite_backend,
	&memory_backend,
};

int store_open(uv_loop_t *loop, const char *url, struct store **ret, const char **why)
{
	const char *colon = strstr(url, "://");

	if (!colon) {
		*why = "a store is given as a URL, for instance sqlite:///var/lib/berth/berth.db";
		return -EINVAL;
	}
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++) {
		const char *scheme = backends[i]->scheme;

		if (strlen(scheme) == (size_t)(colon - url) && memcmp(scheme, url, strlen(scheme)) == 0)
			return backends[i]->open(loop, colon + 3, ret, why);
	}
	*why = "this program has no store of that kind: a store URL begins with sqlite:// or memory://";
	return -ENOTSUP;
}

int store_read(struct store *store, const char *prefix, store_done *done, void *arg)
{
	if (!key_prefix_valid(prefix))
		return -EINVAL;
	return store->backend->read(store, prefix, done, arg);
}

static int key_compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* 0; -EINVAL: a key is written twice; -ENOMEM. */
static int writes_check_twice(const struct store_txn *txn)
{
	const char **keys = reallocarray(NULL, txn->write_count + 1, sizeof(*keys));
	int err = 0;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < txn->write_count; i++)
		keys[i] = txn->writes[i].key;
	qsort(keys, txn->write_count, sizeof(*keys), key_compare);
	for (size_t i = 1; i < txn->write_count; i++)
		if (strcmp(keys[i - 1], keys[i]) == 0)
			err = -EINVAL;
	free(keys);
	return err;
}

static int txn_check(const struct store_txn *txn)
{
	for (size_t i = 0; i < txn->compare_count; i++)
		if (!key_valid(txn->compares[i].key))
			return -EINVAL;
	for (size_t i = 0; i < txn->write_count; i++) {
		const struct store_write *write = &txn->writes[i];

		if (!key_valid(write->key) || (write->value && write->size > STORE_VALUE_MAX))
			return -EINVAL;
	}
	return writes_check_twice(txn);
}

int store_commit(struct store *store, const struct store_txn *txn, store_done *done, void *arg)
{
	int err = txn_check(txn);

	if (err)
		return err;
	return store->backend->commit(store, txn, done, arg);
}

int store_watch(struct store *store, const char *prefix, uint64_t after, store_changed *changed, void *arg,
		struct store_watch **ret)
{
	if (!key_prefix_valid(prefix))
		return -EINVAL;
	return store->backend->watch(store, prefix, after, changed, arg, ret);
}

void store_unwatch(struct store_watch *watch)
{
	if (watch)
		watch->store->backend->unwatch(watch);
}

void store_close(struct store *store)
{
	if (store)
		store->backend->close(store);
}
