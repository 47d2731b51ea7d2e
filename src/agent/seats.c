/* SPDX-License-Identifier: Apache-2.0 */
#include "seats.h"

#include <stdbool.h>

static size_t oldest(const uid_t *users, size_t count, bool (*wanted)(uid_t user, uid_t newest))
{
	for (size_t i = count; i-- > 0;)
		if (wanted(users[i], users[0]))
			return i;
	return count;
}

static bool same(uid_t user, uid_t newest)
{
	return user == newest;
}

static bool no_root(uid_t user, uid_t newest)
{
	(void)newest;
	return user != 0;
}

size_t seats_to_clear(const uid_t *users, size_t count)
{
	size_t own = 0, clear;

	for (size_t i = 0; i < count; i++)
		own += users[i] == users[0];
	if (count > 0 && users[0] != 0 && own > SEATS_USER_MAX)
		return oldest(users, count, same);
	if (count <= SEATS_MAX)
		return count;
	clear = oldest(users, count, no_root);
	return clear < count ? clear : count - 1;
}
