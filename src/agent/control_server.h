/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the control socket: who may connect and ask. What a connection is stands in connection.h, what a
   verb does in verbs.h. */
#ifndef BERTH_AGENT_CONTROL_SERVER_H
#define BERTH_AGENT_CONTROL_SERVER_H

struct agent;
struct control_server;

/* Listens on RUN_DIR/berthd.sock: mode 0660 for group CONTROL_GROUP, 0600 where there is none. 0 or -errno. */
int control_server_start(struct agent *agent, struct control_server **ret);
/* Closes the socket and all connections. NULL is fine. */
void control_server_stop(struct control_server *server);

#endif
