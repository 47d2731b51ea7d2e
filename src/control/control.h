/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * DOC: the control socket
 *
 * How programs on a server talk to its agent: over the Unix stream socket RUN_DIR/berthd.sock. A message is a frame: a
 * 32-bit length in network byte order, then that many bytes of JSON, one object. The client sends a request, the agent
 * answers with one reply; a connection may carry any number of these, one after another.
 *
 *   request   {"version": 1, "verb": "status"}
 *             {"version": 1, "verb": "run", "cgroup": "/user.slice/berth-run-77", "select": "country=DE"}
 *             {"version": 1, "verb": "run", "cgroup": "/user.slice/berth-run-77", "policy": "crawler"}
 *             {"version": 1, "verb": "enter", "policy": "crawler"}
 *             {"version": 1, "verb": "enter", "select": "country=DE"}
 *             {"version": 1, "verb": "choose", "policy": "crawler"}       with a socket passed beside it (SCM_RIGHTS)
 *             {"version": 1, "verb": "choose", "select": "country=DE"}    likewise
 *             {"version": 1, "verb": "run-end", "cgroup": "/user.slice/berth-run-77"}
 *             {"version": 1, "verb": "detach"}
 *             {"version": 1, "verb": "refusals"}
 *             {"version": 1, "verb": "usage", "top": 10}
 *             {"version": 1, "verb": "wasters"}
 *   reply     {"version": 1, "ok": true, ...}
 *             {"version": 1, "error": {"code": "ENOENT", "text": "no policy here selects country=DE"}}
 *
 * Both sides may be hostile. Frames have a limit, JSON nests to CONTROL_DEPTH_MAX, a key given twice, a value of the
 * wrong type and a field that the verb does not have are refused (an agent that ignored a field of a newer client
 * would do less than it was asked). Clients ignore fields of a reply that they don't know.
 *
 * The agent lets everybody who may open the socket ask for `status`, `refusals`, `usage` and `wasters`. `enter` moves
 * the process that opened the connection into a cgroup of its own under a policy, and `choose` puts the socket that is
 * passed under one; a policy's `allow` says whose. The other verbs need a peer with user id 0 (SO_PEERCRED), see
 * control_verb_needs_root(). A connection passes one descriptor at a time, with the bytes of the request that it is
 * for.
 */
#ifndef BERTH_CONTROL_CONTROL_H
#define BERTH_CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../abi/report.h"

#define CONTROL_VERSION 1
#define CONTROL_SOCKET "berthd.sock" /* below the agent's run directory */
#define CONTROL_GROUP "berth" /* whose members may open it, beside root */
#define CONTROL_FRAME_MAX (1u << 20) /* bytes of JSON */
#define CONTROL_REQUEST_MAX (1u << 16) /* the same, of a request */
#define CONTROL_FRAME_HEADER 4u
#define CONTROL_DEPTH_MAX 8u
#define CONTROL_TEXT_MAX 4096u /* bytes of a string in a request */

/*
 * Frames. The decoder takes bytes as they come and hands out one message at a time.
 */
struct control_decoder {
	size_t limit; /* bytes of JSON: the agent sets CONTROL_REQUEST_MAX; 0: CONTROL_FRAME_MAX */
	unsigned char header[CONTROL_FRAME_HEADER];
	size_t header_fill;
	char *body;
	size_t body_size; /* from the header */
	size_t body_fill;
	size_t body_room; /* allocated: grows with what came, not with what was promised */
};

/*
 * Takes bytes up to the end of one message, and says in *taken how many. *ret is the message, the caller's to
 * json_decref(), or NULL when more bytes are needed (then all were taken). Call again with the rest. 0, or: -EMSGSIZE:
 * frame of no bytes or over the limit; -EBADMSG: not one JSON object within the limits; -ENOMEM. *why, which may be
 * NULL, is a static sentence. After an error the stream has no frames any more: close it.
 */
int control_decoder_feed(struct control_decoder *decoder, const void *data, size_t size, size_t *taken, json_t **ret,
			 const char **why);
/* Frees what is inside, ready for a new stream; the limit stays. A decoder of zeros is a fresh one. */
void control_decoder_clear(struct control_decoder *decoder);

/* The frame of a message: *ret is the caller's to free(). -EMSGSIZE: over the limit; -ENOMEM. */
int control_frame(const json_t *message, void **ret, size_t *size);

/*
 * Requests.
 */
enum control_verb {
	CONTROL_STATUS,
	CONTROL_RUN,
	CONTROL_RUN_END,
	CONTROL_DETACH,
	CONTROL_REFUSALS,
	CONTROL_USAGE,
	CONTROL_WASTERS,
	CONTROL_ENTER,
	CONTROL_CHOOSE,
};

struct control_request {
	enum control_verb verb;
	const char *cgroup; /* run, run-end: path below the agent's cgroup root, starts with '/', no "." or ".." */
	const char *selector; /* run, enter, choose: text, as a policy's `select`; NULL: `policy` */
	const char *policy; /* run, enter, choose: name of one of the fleet file's; NULL: `selector` */
	int socket; /* choose: a descriptor, which stays its owner's; passed beside the frame. -1: none came */
	uint32_t top; /* usage: how many destinations, 1 to USE_TOP_MAX */
};

bool control_verb_needs_root(enum control_verb verb);
bool control_verb_takes_socket(enum control_verb verb);
/* NULL: no memory, or text that is not UTF-8. The caller json_decref()s. */
json_t *control_request_encode(const struct control_request *request);
/*
 * Strings of *ret belong to `message`. 0; -EPROTO: another version; -ENOSYS: unknown verb; -EINVAL: field missing,
 * unknown, of the wrong type or form; -ENOMEM. *why, the caller's to free, is a sentence for the reply.
 */
int control_request_decode(const json_t *message, struct control_request *ret, char **why);

/*
 * Replies, agent's side: each gives a message for control_frame(), NULL: no memory (or text that is not UTF-8).
 */
struct control_uplink {
	const char *name;
	const char *mode; /* "native" or "generic" */
};

struct control_hop {
	const char *target; /* name of the site or server */
	const char *kind; /* "site" or "server" */
	const char *address; /* dotted */
	const char *device; /* "" without a route */
	const char *mac; /* "02:00:00:00:00:01"; "" when it is not known */
	uint32_t mtu; /* largest outer packet, bytes */
	const char *state; /* "ready" or why not, in a word: "no_route", "no_mac" */
};

struct control_slice {
	const char *address;
	uint32_t first; /* first usable port */
	uint32_t count;
	const char *state; /* as slice_state_name() */
};

struct control_policy {
	const char *name;
	uint32_t id;
	const struct control_slice *slices;
	size_t slice_count;
};

/* What `status` tells. */
struct control_status {
	const char *server, *site;
	const char *instance; /* of this run of the agent */
	int64_t pid;
	const char *version; /* of the agent's program; "agent" in the message */
	uint64_t applied; /* revision of the store whose tables are loaded; 0: none yet */
	int64_t since; /* Unix time at which this run of the agent began, seconds */
	bool adopted; /* took over pinned tables of an earlier run */
	const struct control_uplink *uplinks;
	size_t uplink_count;
	const struct control_hop *hops;
	size_t hop_count;
	const struct control_slice *slices;
	size_t slice_count;
	const struct control_policy *policies;
	size_t policy_count;
	const char *const *degraded; /* sentences: what does not work now */
	size_t degraded_count;
	json_t *reply; /* of a decoded status: what its texts belong to; else NULL */
};

json_t *control_reply_ok(void);
json_t *control_reply_status(const struct control_status *status);
json_t *control_reply_run(uint32_t policy);
json_t *control_reply_refusals(const struct refusals *refusals);
json_t *control_reply_usage(const struct use *use);
json_t *control_reply_wasters(const struct wastes *wastes);
/* err: negative errno; one that has no name in the protocol goes out as EIO. */
json_t *control_reply_error(int err, const char *text);

/*
 * Replies, client's side.
 */
/*
 * 0: an "ok" reply. -EREMOTEIO: an error: *code is its negative errno (-EIO for a code that is not known) and *text
 * belongs to `reply`. -EPROTO: neither, or another version.
 */
int control_reply_check(const json_t *reply, int *code, const char **text);
/* Lists and texts of *ret live until control_status_clear(). -EBADMSG with *why (the caller frees); -ENOMEM. */
int control_status_decode(json_t *reply, struct control_status *ret, char **why);
void control_status_clear(struct control_status *status); /* only for decoded ones, or zeros */
/* Errors as with control_status_decode(). What is decoded is the caller's: control_refusals_clear(),
   control_usage_clear(), wasters_clear(). */
int control_refusals_decode(const json_t *reply, struct refusals *ret, char **why);
void control_refusals_clear(struct refusals *refusals);
int control_usage_decode(const json_t *reply, struct use *ret, char **why);
void control_usage_clear(struct use *use);
int control_wasters_decode(const json_t *reply, struct wastes *ret, char **why);

/*
 * The client: one request, one reply, blocking for timeout_ms in all. 0: *ret is the agent's "ok" reply, the caller's
 * to json_decref(). Otherwise *why is a sentence, the caller's to free, and:
 * -ECONNREFUSED: no agent listens there; -EREMOTEIO: the agent answered with an error, *code is its negative errno;
 * -ETIMEDOUT; -EPROTO: nonsense; -ECONNRESET: a cut connection; -EACCES: may not open the socket; others as the kernel
 * gave them. code may be NULL.
 */
int control_call(const char *run_dir, const struct control_request *request, int timeout_ms, json_t **ret, int *code,
		 char **why);
/*
 * The same, again and again for up to patience_ms while the agent says -EAGAIN (it has just begun, or meets names that
 * it has to look up first) or hangs up on a user with very many connections. The last answer counts.
 */
int control_call_patiently(const char *run_dir, const struct control_request *request, int timeout_ms, int patience_ms,
			   json_t **ret, int *code, char **why);

#endif
