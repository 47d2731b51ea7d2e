/* SPDX-License-Identifier: Apache-2.0 */
/* Who may run a command under which policy: root under all, others as the policies' `allow` says. Decides, does
 * nothing. */
#ifndef BERTH_AGENT_ADMISSION_H
#define BERTH_AGENT_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "accounts.h"

/* Who asks. */
struct asker {
	uid_t uid;
	const gid_t *gids; /* of all groups, primary and supplementary */
	size_t gid_count;
};

/* Names without a number in `accounts` allow nobody. */
bool admission_allows(const struct fleet_policy *policy, const struct accounts *accounts, const struct asker *asker);
/*
 * Finds the policy that is asked for: by name, or (name NULL) the first that allows the asker and selects exactly what
 * `selector` does. 0 with *ret, which belongs to the fleet; -EPERM: that policy does not allow the asker; -ENOENT:
 * there is none such; -EINVAL: no selector; -ENOMEM. *why, the caller's to free, is a sentence that names the policies
 * that the asker may use.
 */
int admission_judge(const struct fleet *fleet, const struct accounts *accounts, const struct asker *asker,
		    const char *name, const char *selector, const struct fleet_policy **ret, char **why);

#endif
