/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DOC: taking over another version's data plane
 *
 * Our maps are filled, the other version's programs act. Then:
 *
 *   1. The gate is closed, and everybody waited for who went through it before: nobody is given a port any more.
 *   2. What sockets hold stands in their storage, which both versions have. It is written down in our table.
 *   3. Our programs take the others' places, link by link. Sockets that end meanwhile give back by one version or the
 *      other, once, since their storage says so with an exchange.
 *   4. What our table has and no socket holds any more is given back: it ended by the other version's hand.
 *   5. Our maps and the others' change names in one step. The others go, the gate is opened.
 *
 * A process that is killed up to 5 leaves the other version's maps as those that count, and the gate open (before 1) or
 * closed. Whichever version's agent comes next puts its own programs everywhere, by adoption or by a takeover, and
 * opens the gate: nothing was given out in between, so both tables are right but for ports that were given back in the
 * other, which the scrub finds.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bpffs.h"
#include "dataplane_private.h"
#include "portholders.h"
#include "portuses.h"
#include "scrub.h"
#include "why.h"

static void gate_set(struct dataplane *dp, bool closed)
{
	__atomic_store_n(&dp->gate->closed, closed, __ATOMIC_SEQ_CST);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t dataplane_takeover_ns(const struct dataplane *dp)
{
	return dp->gate_closed_ns;
}

void dataplane_close_gate(struct dataplane *dp)
{
	gate_set(dp, true);
}

/* Ports that have no room are no loss: nobody is given one that a living socket has. */
static int holder_keep(struct dataplane *dp, int program, const struct port_holder *holder)
{
	const struct uses_key chunk = {
		.egress = holder->key.egress, .proto = holder->key.proto, .chunk = holder->key.chunk};
	int err = port_uses_make_chunk(dataplane_map(dp, "port_uses"), &chunk);

	if (!err)
		err = port_holder_run(program, holder);
	return err < 0 ? err : 0;
}

static int holders_keep(struct dataplane *dp)
{
	int program = dataplane_program(dp, "hold_again"), lister = dataplane_program(dp, "list_holders");
	struct port_holders list = {0};
	int err = program < 0 ? program : lister < 0 ? lister : 0;

	if (!err)
		err = port_holders_of_sockets(dataplane_map(dp, "sockets"), lister, &list);
	for (size_t i = 0; !err && i < list.count; i++)
		err = holder_keep(dp, program, &list.items[i]);
	port_holders_clear(&list);
	return err;
}

int takeover_begin(struct dataplane *dp, char **why)
{
	int err;

	if (!dp->taking_over)
		return 0;
	dp->gate_closed_at = now_ns();
	gate_set(dp, true);
	grace_period(dp);
	err = holders_keep(dp);
	if (!err)
		return 0;
	gate_set(dp, false);
	return why_say(why, err, "cannot take over what sockets hold: %s", strerror(-err));
}

/* Two passes at once: while the gate is closed, what the first one finds cannot be a port that was just taken. */
static int leftovers_give_back(struct dataplane *dp)
{
	struct scrub *scrub = NULL;
	size_t count;
	int err = scrub_open(dp, &scrub);

	for (unsigned i = 0; !err && i < 2; i++)
		err = scrub_pass(scrub, &count);
	scrub_close(scrub);
	return err;
}

static int maps_exchange(struct dataplane *dp)
{
	char aside[PATH_MAX], path[PATH_MAX];
	int err = bpffs_path(aside, sizeof(aside), dp->bpffs, DIR_MAPS_ASIDE, "");

	if (!err)
		err = bpffs_path(path, sizeof(path), dp->bpffs, "maps", "");
	if (!err && renameat2(AT_FDCWD, aside, AT_FDCWD, path, RENAME_EXCHANGE) < 0)
		err = -errno;
	return err ? err : bpffs_remove_all(dp->bpffs, DIR_MAPS_ASIDE);
}

int takeover_end(struct dataplane *dp, char **why)
{
	int err = 0;

	if (dp->taking_over) {
		grace_period(dp);
		err = leftovers_give_back(dp);
		if (!err)
			err = maps_exchange(dp);
	}
	if (err)
		return why_say(why, err, "cannot end the takeover: %s", strerror(-err));
	gate_set(dp, false);
	if (dp->taking_over)
		dp->gate_closed_ns = now_ns() - dp->gate_closed_at;
	dp->taking_over = false;
	dp->adopted = true;
	return 0;
}

int takeover_recover(struct dataplane *dp, char **why)
{
	if (!dp->adopted || !dp->gate->closed)
		return 0;
	return dataplane_allocator_attach(dp, why);
}
