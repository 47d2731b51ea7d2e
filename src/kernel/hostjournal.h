/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of host settings: RUN-DIR/host-settings, one line a change, written and synced before the change.
 *
 *   set KEY BEFORE AFTER     a setting below /proc/sys, values without spaces
 *   ports FIRST-LAST[,...]   added to net/ipv4/ip_local_reserved_ports
 *   pool PREFIX              a rule for this pool
 *   local                    the rule of the local table moved from 0 to 100
 */
#ifndef BERTH_KERNEL_HOSTJOURNAL_H
#define BERTH_KERNEL_HOSTJOURNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "../core/addr.h"

#define JOURNAL_SETTINGS_MAX 16

struct journal_setting {
	char key[64];
	char before[32];
	char after[32];
};

struct host_journal {
	struct journal_setting settings[JOURNAL_SETTINGS_MAX];
	size_t setting_count;
	char *ports; /* NULL: none */
	struct prefix *pools;
	size_t pool_count;
	bool local_moved;
};

/* No file: an empty journal. -EBADMSG: a line that is none of ours. *ret is the caller's (host_journal_free). */
int host_journal_read(const char *run_dir, struct host_journal *ret);
/* Durable when it returns 0; the older one is there until then. */
int host_journal_write(const char *run_dir, const struct host_journal *journal);
int host_journal_remove(const char *run_dir);
struct journal_setting *host_journal_setting(struct host_journal *journal, const char *key);
int host_journal_add_pool(struct host_journal *journal, struct prefix pool);
void host_journal_free(struct host_journal *journal); /* frees what is inside */

#endif
