/* SPDX-License-Identifier: Apache-2.0 */
/* Sites and their servers. */
#include "../abi/wrap.h"
#include "fleet_file_reader.h"

/* An address of a server or site, that tunnel packets are sent to. */
static void read_underlay_addr(struct reader *reader, const struct node *node, uint32_t *ret)
{
	uint32_t addr;

	if (!reader_addr(reader, node, &addr))
		return;
	if (fleet_file_addr_reserved(addr))
		reader_fault(reader, node, "%s %s is reserved: other servers cannot send to it", node->name,
			     node->text);
	else
		*ret = addr;
}

static void read_server_name(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_server *server = object;

	server->name = reader_name(reader, node);
}

static void read_server_id(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_server *server = object;

	reader_number(reader, node, 1, WRAP_SERVER_ID_MAX, &server->id);
}

static void read_underlay(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_server *server = object;

	read_underlay_addr(reader, node, &server->underlay);
}

static void read_server(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {{"name", read_server_name, "fra-1"},
					      {"id", read_server_id, NULL},
					      {"underlay", read_underlay, "10.0.1.1"},
					      {0}};
	struct fleet_site *site = object;
	struct fleet *fleet = reader->fleet;
	struct fleet_server *servers;

	if (!node_list_add(reader, &reader->servers, node))
		return;
	servers = reader_grow(reader, fleet->servers, fleet->server_count, sizeof(*servers));
	if (!servers)
		return;
	fleet->servers = servers;
	servers[fleet->server_count].site = (size_t)(site - fleet->sites);
	site->server_count++;
	reader_mapping(reader, node, "a server", fields, &servers[fleet->server_count++]);
}

static void read_site_name(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_site *site = object;

	site->name = reader_name(reader, node);
}

static void read_site_id(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_site *site = object;

	reader_number(reader, node, 1, WRAP_SITE_ID_MAX, &site->id);
}

static void read_place(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_site *site = object;

	reader_tags(reader, node, &site->place);
}

static void read_tunnel(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_site *site = object;

	read_underlay_addr(reader, node, &site->tunnel);
}

static void read_servers(struct reader *reader, const struct node *node, void *object)
{
	struct fleet_site *site = object;

	site->first_server = reader->fleet->server_count;
	if (!reader_list(reader, node, read_server, site) && node->kind == NODE_LIST)
		reader_fault(reader, node, "servers is empty: a site has at least one server");
}

void fleet_file_site(struct reader *reader, const struct node *node, void *object)
{
	static const struct field fields[] = {{"name", read_site_name, "fra"},
					      {"id", read_site_id, NULL},
					      {"place", read_place, NULL},
					      {"tunnel", read_tunnel, NULL},
					      {"servers", read_servers, "[{name: fra-1, underlay: 10.0.1.1}]"},
					      {0}};
	struct fleet *fleet = object;
	struct fleet_site *sites;

	if (!node_list_add(reader, &reader->sites, node))
		return;
	sites = reader_grow(reader, fleet->sites, fleet->site_count, sizeof(*sites));
	if (!sites)
		return;
	fleet->sites = sites;
	reader_mapping(reader, node, "a site", fields, &sites[fleet->site_count++]);
}
