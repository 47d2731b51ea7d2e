/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the control socket: connections, peer credentials, frames. What a verb does is in verbs.h. */
#ifndef BERTH_AGENT_CONTROL_SERVER_H
#define BERTH_AGENT_CONTROL_SERVER_H

struct agent;
struct control_server;

/* Listens on RUN_DIR/berthd.sock: mode 0660 for group CONTROL_GROUP, 0600 where there is none. 0 or -errno. */
int control_server_start(struct agent *agent, struct control_server **ret);
/* Closes the socket and all connections, after what is being sent. NULL is fine. */
void control_server_stop(struct control_server *server);

#endif
