/* SPDX-License-Identifier: Apache-2.0 */
#include "teardown.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "bpffs.h"
#include "guardfilter.h"
#include "hostsettings.h"
#include "link.h"
#include "rtnl.h"
#include "why.h"

/* What has gone wrong so far: the first error, and a sentence with all of them. */
struct faults {
	int first;
	char *text;
};

static void fault_add(struct faults *faults, int err, const char *what, const char *why)
{
	if (!err)
		return;
	if (!faults->first)
		faults->first = err;
	why_add(&faults->text, "%s: %s", what, why ? why : strerror(-err));
}

/* Removes our routes of a table. *count: how many there were. */
static int routes_remove(struct rtnl *rtnl, uint32_t table, size_t *count)
{
	struct rtnl_route *routes = NULL;
	int err = rtnl_routes(rtnl, table, &routes, count);

	for (size_t i = 0; !err && i < *count; i++)
		err = rtnl_route_remove(rtnl, &routes[i]);
	free(routes);
	return err;
}

static void withdraw(struct rtnl *rtnl, unsigned wait_ms, struct faults *faults)
{
	const struct timespec wait = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000L};
	size_t count = 0;

	fault_add(faults, routes_remove(rtnl, RTNL_TABLE_ANNOUNCE, &count), "cannot withdraw the announcement", NULL);
	if (count)
		nanosleep(&wait, NULL);
}

static void neighbours_release(struct rtnl *rtnl, struct faults *faults)
{
	struct rtnl_kept *kept = NULL;
	size_t count = 0;
	int err = rtnl_neighbours_kept(rtnl, &kept, &count);

	for (size_t i = 0; !err && i < count; i++)
		err = rtnl_neighbour_release(rtnl, kept[i].ifindex, kept[i].addr);
	fault_add(faults, err, "cannot let go of the neighbours", NULL);
	free(kept);
}

static void guards_detach(struct rtnl *rtnl, const char *bpffs, struct faults *faults)
{
	struct rtnl_link *links = NULL;
	size_t count = 0;
	int err = rtnl_links(rtnl, &links, &count);

	fault_add(faults, err, "cannot list the devices", NULL);
	for (size_t i = 0; i < count; i++) {
		char *why = NULL;

		err = guard_filter_detach(bpffs, links[i].ifindex, &why);
		fault_add(faults, err, links[i].name, why);
		free(why);
	}
	free(links);
}

static void links_step(int (*step)(const char *bpffs, char **why), const char *bpffs, struct faults *faults)
{
	char *why = NULL;
	int err = step(bpffs, &why);

	fault_add(faults, err, "cannot detach", why);
	free(why);
}

static void pins_remove(const char *bpffs, struct faults *faults)
{
	static const char *const subs[] = {"links", "maps-new", "maps"};
	bool mounted = bpffs_marked(bpffs, BPFFS_MARK_MOUNT);

	for (size_t i = 0; i < sizeof(subs) / sizeof(*subs); i++)
		fault_add(faults, bpffs_remove_all(bpffs, subs[i]), bpffs, NULL);
	if (faults->first)
		return; /* the marks are needed once more */
	fault_add(faults, bpffs_remove_all(bpffs, "made"), bpffs, NULL);
	if (mounted && umount2(bpffs, MNT_DETACH) < 0)
		fault_add(faults, -errno, "cannot unmount", NULL);
	else if (rmdir(bpffs) < 0 && errno != ENOENT && errno != EBUSY && errno != ENOTEMPTY)
		fault_add(faults, -errno, bpffs, NULL);
}

int teardown_run(const struct teardown_options *options, char **why)
{
	struct faults faults = {0};
	struct rtnl *rtnl;
	char *what = NULL;
	size_t count = 0;
	int err = rtnl_open(&rtnl);

	if (err)
		return why_say(why, err, "cannot open netlink: %s", strerror(-err));
	withdraw(rtnl, options->wait_ms, &faults);
	links_step(allocator_links_remove, options->bpffs, &faults);
	fault_add(&faults, routes_remove(rtnl, RT_TABLE_LOCAL, &count), "cannot remove the pools' local routes", NULL);
	links_step(forwarder_links_remove, options->bpffs, &faults);
	guards_detach(rtnl, options->bpffs, &faults);
	neighbours_release(rtnl, &faults);
	if (options->run_dir) {
		err = host_settings_restore(options->run_dir, &what);
		fault_add(&faults, err, "host settings", what);
		free(what);
	}
	pins_remove(options->bpffs, &faults);
	rtnl_close(rtnl);
	if (faults.first)
		why_say(why, faults.first, "%s", faults.text ? faults.text : strerror(-faults.first));
	free(faults.text);
	return faults.first;
}
