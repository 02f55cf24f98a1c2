/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control plane of nvmuxd: its objects and who owns them.
 *
 * Everything here belongs to the control thread. The daemon owns controllers and sessions. A
 * session (one per RPC connection) owns regions, queue pairs, and a hold on each controller that it
 * has opened. A controller owns hardware queues; several queue pairs may share one.
 *
 * Multi-step work is done by operations (ops.h). A session has a queue of them and so has a
 * controller; an operation of a session may wait for one of a controller, never the other way.
 */
#ifndef NVMUXD_DAEMON_H
#define NVMUXD_DAEMON_H

#include <string.h>
#include <sys/queue.h>
#include <event2/event.h>
#include <jansson.h>
#include "conf/conf.h"
#include "daemon/log.h"
#include "daemon/ops.h"
#include "daemon/reactor.h"
#include "rpc/server.h"

struct session;
struct controller;
struct hold;
struct change_op;
struct attach_op;
struct discovery;
struct link_wait;
struct hotplug;
struct user_cmd;
struct deferred;

TAILQ_HEAD(session_list, session);
TAILQ_HEAD(controller_list, controller);
TAILQ_HEAD(discovery_list, discovery);
TAILQ_HEAD(hw_queue_list, hw_queue);
TAILQ_HEAD(hold_list, hold);
TAILQ_HEAD(client_qpair_list, client_qpair);
TAILQ_HEAD(deferred_list, deferred);
TAILQ_HEAD(user_cmd_list, user_cmd);

/* ---- the daemon (daemon.c) ---- */

struct daemon_reactor {
	struct reactor *reactor;
	struct nvmux_poll_group *group; /* of its hardware queues */
	struct event *event;
	int core; /* -1: not pinned */
	int node; /* of the core; -1: unknown */
	bool busy;
	uint32_t n_qpairs; /* client queue pairs bound to it */
};

enum daemon_state {
	DAEMON_STARTING,
	DAEMON_RUNNING,  /* the socket listens; controllers may still be attaching */
	DAEMON_STOPPING, /* clients leave, then controllers are detached */
	DAEMON_STOPPED,
};

struct nvmuxd {
	struct nvmuxd_config config;
	const char *config_file;
	bool config_must_exist;
	bool verbose; /* -v: the configuration's level doesn't count */
	struct log log;
	enum daemon_state state;
	bool hurry; /* asked to end a second time */
	uint64_t started_ms;

	struct event_base *base;
	struct op_sched sched;
	struct nvmux *nvmux;
	struct event *nvmux_event;
	struct event *signals[4];
	struct event *watchdog;
	struct hotplug *hotplug; /* NULL: devices that come aren't looked for */
	struct rpc_server *server;
	struct rpc_method *methods; /* all tables in one */

	uint32_t n_reactors;
	struct daemon_reactor reactors[CONF_REACTORS_MAX];

	struct controller_list controllers;
	uint32_t n_controllers;
	struct discovery_list discoveries;
	uint32_t n_discoveries;
	uint32_t n_lookups;         /* probe and discover that are under way */
	struct event *lookup_timer; /* while we end and some are */
	struct session_list sessions;
	uint32_t n_sessions;
	uint32_t next_client;
};

/* Build it from its configuration: the socket listens, and the controllers begin to attach, which
 * takes its time and may fail for each on its own. */
int daemon_create(struct nvmuxd *d, char *why, size_t why_size);
/* Run until it has been stopped in an orderly way. */
int daemon_run(struct nvmuxd *d);
void daemon_destroy(struct nvmuxd *d);
/* Begin to stop; a second call makes it faster. */
void daemon_stop(struct nvmuxd *d, const char *reason);
/* Something ended: if the daemon is stopping, go on with that. */
void daemon_progress(struct nvmuxd *d);
void daemon_reload(struct nvmuxd *d);
/* Before a call whose failure is to be explained by daemon_error_text(). */
static inline void daemon_clear_error(struct nvmuxd *d)
{
	d->nvmux->error[0] = '\0';
}
/* What the library says about @err, or else its meaning: not every failure has a text, and an older
 * one may be there that belongs to somebody else. */
static inline const char *daemon_error_text(const struct nvmuxd *d, int err)
{
	return d->nvmux->error[0] ? d->nvmux->error : strerror(-err);
}
/* Put the tables of all subjects together; the end has a NULL name. */
struct rpc_method *daemon_methods(void);

/* ---- controllers (controllers.c, attach.c, detach.c, reset.c, renew.c, hw_queues.c) ---- */

enum controller_state {
	CONTROLLER_ATTACHING, /* also: between two attempts */
	CONTROLLER_READY,
	CONTROLLER_RESETTING,
	CONTROLLER_FAILED, /* lost, or a reset failed: it can only be detached */
	CONTROLLER_DETACHING,
};

struct controller {
	TAILQ_ENTRY(controller) link;
	struct nvmuxd *d;
	char name[CONF_NAME_MAX];
	enum controller_state state;
	struct nvmux_trid trid;
	struct nvmux_ctrlr_opts opts;
	struct nvmux_ctrlr *ctrlr; /* NULL while attaching and after detaching */
	struct ctrlr_view *view;   /* for commands by RPC; channels get copies */
	uint32_t view_generation;  /* of @view */
	struct nvmux_timer revive_timer; /* while libnvmux has stopped queue pairs */
	struct op *revive_waiter;        /* held until it is through with that */
	struct op_queue ops;
	struct attach_op *attaching; /* the attempt that is under way */
	struct event *retry;         /* the next attempt; NULL: none, or it is attached */
	uint64_t retry_at_ms;        /* when that is; 0: no attempt is waited for */
	uint32_t attempts;           /* that failed */
	char reason[256];            /* of the last one */
	char found_by[CONF_NAME_MAX]; /* the discovery service that reported it, or empty */
	bool lost; /* the library said so, or a reset failed */
	bool lost_handled;
	bool detaching; /* nobody may open it any more */
	bool disabled;  /* when it is lost */
	unsigned n_resets_queued;
	struct change_op *change; /* what is known of it changes: that is under way */
	bool changing;            /* commands of clients wait for that */
	bool look_queued;
	struct controller *held_for; /* another one of its subsystem that is changed; or NULL */
	uint32_t n_admin; /* clients' admin commands in flight, that of the change not counted */
	struct deferred_list deferred;
	struct user_cmd_list repeated; /* when that has ended */
	struct op *close_waiter;  /* held until libnvmux has let go of the device */
	struct link_wait *link_wait; /* an operation waits for a connection */
	bool renewing;               /* a fabrics controller is being reset */
	struct hw_queue_list hw_queues;
	uint32_t n_hw_queues; /* those being made included */
	uint64_t far_told; /* a bit per reactor: that it is on another NUMA node was logged */
	int queues_err;       /* the first failure to make a base queue; 0: none */
	char queues_why[256];
	struct hold_list holds;
	uint64_t resets;
	bool ns_changed; /* while it was being reset: once more afterwards */
	bool removing;   /* its device is wanted back; nobody may open it any more */
	bool removed;    /* its device has gone: it goes by itself when nobody holds it */
	bool came_back;  /* a device has appeared at its place meanwhile */
	struct nvmux_mem *staging; /* staging.c; NULL: none */
	uint32_t staging_used;     /* a bit per page */
	bool reading_health; /* its log page is being read, for an event */
};

/* A hardware queue pair. */
struct hw_queue {
	TAILQ_ENTRY(hw_queue) link;
	struct controller *controller;
	struct daemon_reactor *reactor;
	struct nvmux_qpair *qpair;
	struct hwq *hwq;
	bool base;  /* the reactor's own; stays as long as the controller */
	bool taken; /* taken back: not served */
	bool held;  /* for a change: nothing is taken from its channels */
	bool closing;
	uint32_t users; /* client queue pairs bound to it */
	uint32_t generation; /* of the controller's view, when it last went on */
};

/* What whoever uses a failed controller is told; its name is the argument. */
#define CONTROLLER_FAILED_TEXT \
	"controller '%s' has failed; detach it, then it can be attached again"
const char *controller_state_name(enum controller_state state);
struct controller *controller_find(struct nvmuxd *d, const char *name);
/* The one that this transport id names, or NULL. */
struct controller *controller_find_trid(struct nvmuxd *d, const struct nvmux_trid *trid);
/* Find it and answer the request with an error if there is none or it isn't usable. */
struct controller *controller_for_request(struct nvmuxd *d, struct rpc_request *req,
					  const char *name);
struct controller *controller_new(struct nvmuxd *d, const char *name,
				  const struct nvmux_trid *trid);
void controller_free(struct controller *c);
struct ctrlr_view *controller_make_view(const struct controller *c, bool admin);
/* The same for a channel, which doesn't get to send what others have to stop for. */
struct ctrlr_view *controller_make_channel_view(const struct controller *c, bool admin);
/* Look whether namespaces have changed, and tell the channels. */
void controller_refresh_views(struct controller *c);
/* No DMA comes from it: it is disabled, or libnvmux has let go of the device. */
bool controller_is_quiet(const struct controller *c);
/* If it is lost: end what clients have in flight, tell them. */
void controller_check_lost(struct controller *c);

/* removal.c: its device is wanted back: let go of it, whoever holds it. */
void controller_remove(struct controller *c);
/* Whether its device goes or has gone. */
bool controller_is_removed(const struct controller *c);
/* If that is so and nobody holds it any more: forget it. */
void controller_check_removed(struct controller *c);
/* It has been: tell. */
void controller_say_removed(struct controller *c);
/* What commands end with then. */
uint16_t controller_gone_status(const struct controller *c);
/* It has a connection that can be lost and restored. */
bool controller_is_fabrics(const struct controller *c);
/* A reactor says that a queue pair broke. */
void controller_queue_failed(void *arg, struct hwq *hwq);

/* The one that is reached at this place, whatever way out of this host it takes, or NULL. */
struct controller *controller_find_target(struct nvmuxd *d, const struct nvmux_trid *trid);
/* @req NULL: nobody waits for the answer, and one for fabrics is tried again and again; it is of
 * the configuration, or the discovery service @found_by reported it (else NULL). 0 or -ENOMEM. */
int controller_attach(struct nvmuxd *d, const char *name, const struct nvmux_trid *trid,
		      const struct nvmux_ctrlr_opts *opts, const char *found_by,
		      struct rpc_request *req);
/* It is ATTACHING: give that up, and forget it. */
void controller_cancel_attach(struct controller *c, struct rpc_request *req);
/* The daemon ends: those that only wait for their next attempt go. */
void controllers_cancel_retries(struct nvmuxd *d);
void controller_detach(struct controller *c, struct rpc_request *req);
/* Look at them again (change.c). */
void controller_namespaces_changed(struct controller *c);
/* The reactors' answers take a moment even when nothing is in flight. */
#define DRAIN_MIN_MS 50
/* Without @req a reset that is already waiting for its turn will do. False: there is no memory. */
bool controller_reset(struct controller *c, struct rpc_request *req, const char *reason);
/* The same for one that can't go on otherwise: without memory it is lost. */
void controller_must_reset(struct controller *c, const char *reason);
/* libnvmux stops queue pairs: clients' commands by the control plane wait until it is through. */
void controller_stopped(struct controller *c);
/* So it is, until the end of that goes on with what waits. */
static inline bool controller_is_stopped(const struct controller *c)
{
	return c->revive_timer.deadline_ms;
}
/* The same by an NVM subsystem reset. */
void controller_reset_subsystem(struct controller *c, struct rpc_request *req, const char *reason);
/* The same when @cmd has completed with @cpl, which is what it is answered afterwards. */
void controller_reset_after(struct controller *c, struct user_cmd *cmd, const struct nvmux_cpl *cpl,
			    const char *reason);

/* The same for a fabrics controller, without a word to its channels: by a new connection. */
bool controller_renew(struct controller *c, struct rpc_request *req, const char *reason);
/* Admin commands can be sent: no connection, or one that isn't being restored. */
bool controller_has_path(const struct controller *c);
/* It is to be detached: operations don't wait for its connection any more. */
void controller_stop_waiting(struct controller *c);
/* A hold's commands don't end in time: a reset, or they aren't repeated. */
void controller_abandon(struct hold *hold, const char *reason);

/* Hold @op until libnvmux has answered what @begin begins; @op fails as that does. */
void controller_wait_link(struct controller *c, struct op *op,
			  void (*begin)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg));

/* ---- changes of what is known of a controller, without a reset (change.c) ---- */

struct effects_plan;
/* Send a command as @plan says. */
void controller_change(struct controller *c, struct user_cmd *cmd, const struct effects_plan *plan);
/* A change is under way: keep the request, which is handled anew after that. */
bool controller_defer(struct controller *c, struct rpc_request *req);
/* It goes: answer those that are kept. */
void controller_refuse_deferred(struct controller *c);
/* A client's admin command has ended. */
void controller_admin_ended(struct controller *c);
/* A command that changes something is in flight, and not for so long that a reset is due. */
bool controller_change_is_patient(const struct controller *c);
/* Let go of a change that waits, so that the reset that was just submitted can begin. */
void controller_skip_change(struct controller *c);
/* What a change held up goes on: that, or the reset for which it was let go, has ended. */
void controller_go_on(struct controller *c);

/* ---- others of its NVM subsystem, which have the same namespaces (siblings.c) ---- */

bool controllers_are_siblings(const struct controller *a, const struct controller *b);
/* One of them is in a change. */
bool siblings_are_busy(const struct controller *c);
/* Hold their queue pairs, for a change of @c. */
void siblings_hold(struct controller *c, struct op *op);
void siblings_stop_holding(struct controller *c);
/* Those that aren't held look at their namespaces. */
void siblings_look(struct controller *c);
/* Those that are held do, and go on. */
void siblings_go_on(struct controller *c);

/* Whether a reactor's core is on another NUMA node than @node. */
bool reactor_is_far(const struct daemon_reactor *reactor, int node);
/* The one that serves the fewest clients of those on @node; of all, if none is there. */
struct daemon_reactor *reactor_for(struct daemon_reactor *reactors, uint32_t n, int node);
/* For struct nvmux_ctrlr's attention: let the reactor of this queue pair look at it; @arg: the
 * struct controller. */
void hw_queues_attention(void *arg, struct nvmux_qpair *qpair);
/* Steps that several operations share. */
void hw_queues_take_back(struct controller *c, struct op *op);
/* Let what is in flight end, and take nothing more from channels. */
void hw_queues_hold(struct controller *c, struct op *op);
/* Don't wait for that any longer. */
void hw_queues_stop_holding(struct controller *c);
/* Go on with those that are held. */
void hw_queues_release(struct controller *c);
void hw_queues_abort(struct controller *c, uint16_t status, struct op *op);
void hw_queues_free(struct controller *c, struct op *op);
/* One base queue for each reactor. */
void hw_queues_make_base(struct controller *c, struct op *op);

/* Find a hardware queue for a client: a new one while the controller grants them, else the least
 * loaded. @parent is held until *@ret_queue is set or @parent has failed. */
void hw_queue_acquire(struct controller *c, struct op *parent, struct hw_queue **ret_queue);
/* Give it back; @parent is held until that has been done. */
void hw_queue_release(struct hw_queue *queue, struct op *parent);

/* ---- devices that come (hotplug.c) ---- */

/* Watch for them; a daemon that can't says so in its log, and works without. */
void hotplug_start(struct nvmuxd *d);
void hotplug_stop(struct nvmuxd *d);
/* A controller of this name and place has been forgotten, and a device is there again. */
void hotplug_again(struct nvmuxd *d, const struct nvmux_trid *trid);

/* ---- discovery services to which a connection is kept (discovery.c) ---- */

struct discovery *discovery_find(struct nvmuxd *d, const char *name);
/* Connect to the service that @conf names, with its name and options, and stay connected. @req
 * NULL: it is of the configuration, and the first attempt may fail. 0 or -ENOMEM. */
int discovery_start(struct nvmuxd *d, const struct conf_controller *conf, struct rpc_request *req);
/* Disconnect and forget it; @req may be NULL. */
void discovery_stop(struct discovery *disc, struct rpc_request *req);
/* Append all of them, as get_discovery shows them, with *@room records at most. */
void discoveries_to_json(const struct nvmuxd *d, json_t *list, uint32_t *room);
void discoveries_stop_all(struct nvmuxd *d);

/* ---- sessions (session.c, holds.c, regions.c, qpairs.c, teardown.c) ---- */

#define REGION_NONE UINT32_MAX

struct region {
	struct nvmux_mem *mem;
	uint64_t size;
	bool ready;        /* its number may be used */
	bool closing;      /* no new command may use it */
	uint32_t users;    /* commands of the control plane in flight on it */
	struct op *waiter; /* held until users is 0 */
};

/* A client queue pair's channel goes through these states; it never goes back. */
enum channel_state {
	CHANNEL_NONE,
	CHANNEL_STARTED,
	CHANNEL_STOPPING,
	CHANNEL_STOPPED,
};

struct client_qpair {
	TAILQ_ENTRY(client_qpair) link; /* of the session */
	struct hold *hold;
	uint32_t id; /* the session's own number */
	uint32_t depth;
	struct hw_queue *queue;
	struct channel *channel;
	bool abandoned;
	enum channel_state state;
	struct op *stop_waiters[2]; /* of the session, of the controller */
};

/* A session's hold on a controller that it has opened. */
struct hold {
	TAILQ_ENTRY(hold) link;       /* of the session */
	TAILQ_ENTRY(hold) ctrlr_link; /* of the controller */
	struct session *session;
	struct controller *controller;
	uint32_t id; /* the session's own number, for operations that find it gone */
	struct admin_ring *ring;
	uint32_t depth;      /* of the ring */
	struct event *event; /* the ring's descriptor; NULL: the client has closed its end */
	struct event *later; /* look at the ring after everybody else has had a turn */
	bool ready;          /* commands may be sent */
	bool closing;
	bool abandoned;     /* its commands are, in the base queues */
	uint32_t in_flight; /* commands of the control plane */
	struct op *waiter;  /* held until in_flight is 0 */
};

/* Ends all of a session, one hold, or one queue pair. Ids, because it may be gone by the time. */
struct teardown_op {
	struct op op;
	struct session *session;
	struct rpc_request *req; /* NULL: nobody waits for an answer */
	uint32_t hold_id;        /* 0: not only one hold */
	uint32_t qpair_id;       /* 0: not only one queue pair */
};

/* A controller that the session had open until its device went. */
struct gone {
	SLIST_ENTRY(gone) link;
	char name[CONF_NAME_MAX];
};
SLIST_HEAD(gone_list, gone);

struct session {
	TAILQ_ENTRY(session) link;
	struct nvmuxd *d;
	struct rpc_conn *conn; /* NULL: the client has gone */
	uint32_t id;
	struct rpc_cred cred;
	char command[32];
	bool admin;
	bool subscribed;
	bool closing;
	uint64_t connected_ms;
	uint32_t n_identify;       /* in flight, of the method */
	struct conf_limits limits; /* as of when it came */
	struct op_queue ops;
	struct teardown_op end; /* here so that it needs no memory when it has to be */
	struct event *drain_timer;

	struct region *regions; /* limits.max_regions entries */
	uint32_t n_regions;
	uint64_t bytes;
	struct hold_list holds;
	struct gone_list gone;
	struct client_qpair_list qpairs;
	uint32_t n_qpairs;
	uint32_t next_qpair_id;
	uint32_t next_hold_id;
};

/* Of the RPC server. */
void session_opened(void *user, struct rpc_conn *conn);
void session_closed(void *user, struct rpc_conn *conn);
bool session_may(void *user, struct rpc_conn *conn, enum rpc_right right);

/* The session of a request; NULL: its connection has gone (the request has been answered). */
struct session *session_of(struct rpc_request *req);
struct hold *session_hold(struct session *s, const char *controller);
/* The same, answering the request with an error if it isn't open. */
struct hold *session_hold_for_request(struct session *s, struct rpc_request *req,
				      const char *controller);
struct client_qpair *session_qpair(struct session *s, uint32_t id);
/* removal.c: until it opens another of that name, it hears ENODEV. @name NULL: all. */
void session_remember_gone(struct session *s, const struct controller *c);
bool session_is_gone(const struct session *s, const char *name);
void session_forget_gone(struct session *s, const char *name);
void session_free(struct session *s);
/* Over a limit: answer so. */
void session_reply_limit(struct rpc_request *req, const char *limit, uint64_t max,
			 const char *what);

void session_open_controller(struct session *s, const char *name, struct rpc_request *req);
/* Of a hold, by its number; NULL: it has been closed meanwhile. */
struct hold *session_hold_by_id(struct session *s, uint32_t id);
void hold_free(struct hold *hold);
/* Look at the admin ring. */
void hold_serve_ring(struct hold *hold);
/* The same with the next turn of the event loop: a command has completed. */
void hold_serve_ring_later(struct hold *hold);
/* Those of a controller. */
void holds_serve_rings_later(struct controller *c);

void session_alloc_memory(struct session *s, uint64_t size, bool huge, struct rpc_request *req);
void session_free_memory(struct session *s, uint32_t number, struct rpc_request *req);
/* The regions as a channel or a check of this hold sees them: limits.max_regions entries, freed by
 * the caller. NULL: no memory. */
struct region_view *session_region_views(const struct session *s, const struct hold *hold);
/* Step: unmap all of the session's regions from the hold's controller. */
void session_unmap_regions(struct session *s, const struct hold *hold, struct op *op);
/* Free them all; they are mapped nowhere any more. */
void session_release_regions(struct session *s);
/* A command of the control plane begins or has ended to use a region. */
void region_get(struct session *s, uint32_t number);
void region_put(struct session *s, uint32_t number);

void session_alloc_qpair(struct session *s, const struct hold *hold, uint32_t depth,
			 struct rpc_request *req);
/* Ask the channel to stop, if it hasn't been asked yet. */
void qpair_stop(struct client_qpair *q);
/* Hold @op until the channel has stopped; @slot: 0 the session's operation, 1 the controller's. */
void qpair_wait_stopped(struct client_qpair *q, struct op *op, unsigned slot);
/* Stopped: free the channel, give the hardware queue back (holds @op), forget the queue pair. */
void qpair_destroy(struct client_qpair *q, struct op *op);
bool qpair_shared(const struct client_qpair *q);

void session_end(struct session *s);
void session_close_hold(struct session *s, const struct hold *hold, struct rpc_request *req);
void session_free_qpair(struct session *s, uint32_t id, struct rpc_request *req);
/* What is asked to stop must have stopped when this time has passed, counted from now, else
 * controllers are reset. */
void session_arm_drain(struct session *s);
void session_drain_expired(evutil_socket_t fd, short what, void *session);

/* ---- memory of the daemon's own (staging.c) ---- */

/* Step of attaching: without it the controller works, but ctl_staging_take() doesn't. */
void ctl_staging_make(struct controller *c, struct op *op);
void ctl_staging_drop(struct controller *c);
/* A page with @data in it, by its number; -ENOMEM: there is none, -EAGAIN: all are in use. */
int ctl_staging_take(struct controller *c, const void *data, size_t len);
void ctl_staging_give(struct controller *c, int page);

/* ---- commands of the control plane (user_cmd.c) ---- */

#define USER_CMD_REGIONS (NVMUX_RING_LIST_PER_CMD + 1) /* pieces and metadata */

/* A command of a client that the control thread sends: from an admin ring, or by RPC. */
struct user_cmd {
	TAILQ_ENTRY(user_cmd) link; /* of those that are to be repeated */
	struct hold *hold;
	struct rpc_request *req; /* NULL: from the admin ring */
	uint16_t cid;            /* of the client, in the admin ring */
	bool io;
	bool admin; /* counted as an admin command in flight */
	bool repeated;    /* once is enough */
	uint64_t sent_ms; /* to the admin queue */
	int staged; /* page of staging memory, -1: none */
	uint32_t n_regions; /* in use by it */
	uint16_t regions[USER_CMD_REGIONS];
	struct user_cmd *fused; /* the other one of two that are one */
	bool ended;             /* waits for that one */
	struct nvmux_cpl cpl;
	struct checked_cmd checked;
	struct checked_list list; /* of an I/O command: its pieces */
	struct nvmux_payload payload;
};

/* What a method wants to be sent. */
struct user_request {
	struct nvmux_ring_cmd copy;
	bool io;
	uint32_t n_list; /* with NVMUX_RING_F_LIST in copy.flags */
	struct nvmux_ring_seg list[NVMUX_RING_LIST_PER_CMD];
	const void *staged; /* its data is this, of the daemon's own; NULL: as the copy says */
	uint32_t staged_len;
	const struct nvmux_ring_cmd *second; /* fused with it, or NULL */
};

/* Check and send; the answer goes to @req, or, NULL, to the admin ring. */
void user_cmd_send(struct hold *hold, const struct user_request *request, struct rpc_request *req);
/* It has completed; @cmd is freed. */
void user_cmd_complete(struct user_cmd *cmd, uint32_t dw0, uint32_t dw1, uint16_t status);
void user_cmd_cpl(void *arg, const struct nvmux_cpl *cpl);
/* Send an I/O command for change.c, which gets its completion. -ENXIO: there is no queue. */
int user_cmd_submit_io(struct user_cmd *cmd, nvmux_cmd_cb cb, void *arg);
/* Send those again that a reset has ended and that only read. */
void user_cmds_repeat(struct controller *c);
/* Whether an admin command wasn't answered in its time, so that a reset for it won't help. */
bool user_cmd_is_overdue(const struct controller *c, uint64_t sent_ms);
/* Why nothing can be sent now, 0: it can. */
uint16_t user_cmd_unavailable(const struct controller *c);
/* RPC_NVME_STATUS in words. */
void reply_nvme_status(struct rpc_request *req, uint16_t status, const char *what);

/* ---- events (events.c) ---- */

/* Tell the subscribers; @params is stolen and gets "type". */
void events_emit(struct nvmuxd *d, const char *type, json_t *params);
void events_controller(struct controller *c, const char *type);
void events_client(struct session *s, const char *type);
/* Its device is wanted back. */
void events_removing(struct controller *c);
/* It has been reset, by the daemon or by libnvmux. */
void events_reset(struct controller *c, const char *reason);
/* For its session only: the daemon has closed it. */
void events_closed(const struct hold *hold);
/* An attempt to attach it, which nobody waits for, failed. */
void events_attach_failed(struct controller *c);
/* A discovery service's connection is lost, or restored. */
void events_discovery(struct nvmuxd *d, const char *name, enum nvmux_ctrlr_event event,
		      const struct nvmux_connection_info *info);
/* What libnvmux says of a controller's connection and namespaces: log and tell. */
void events_ctrlr(struct controller *c, enum nvmux_ctrlr_event event);

/* An asynchronous event of a controller: log, tell, and do what it asks for (aer.c). */
void controller_aer(struct controller *c, const struct nvmux_cpl *event);
/* Namespaces that came, went or changed between two views (aer.c). */
void events_namespaces(const struct controller *c, const struct ctrlr_view *before,
		       const struct ctrlr_view *after);

/* ---- method tables, by subject ---- */

extern const struct rpc_method controller_methods[];
extern const struct rpc_method discovery_methods[];
extern const struct rpc_method memory_methods[];
extern const struct rpc_method nvm_methods[];
extern const struct rpc_method zns_methods[];
extern const struct rpc_method resv_methods[];
extern const struct rpc_method io_methods[];
extern const struct rpc_method admin_methods[];
extern const struct rpc_method info_methods[];
json_t *json_qpairs(const struct nvmuxd *d, const struct controller *only);
/* The daemon ends: so do looks at transport ids (methods_discovery.c). */
void lookups_cancel(struct nvmuxd *d);

/* ---- JSON of controllers (controller_json.c) ---- */

json_t *json_namespaces(const struct controller *c);
json_t *json_controller(const struct controller *c);
json_t *json_connection(const struct nvmux_connection_info *info);
void json_put_trid(json_t *object, const struct nvmux_trid *trid);

#endif
