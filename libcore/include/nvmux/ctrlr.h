/* SPDX-License-Identifier: BSD-3-Clause */
/* Controllers: probe, attach, detach, reset, what they say of themselves, their admin queue. */
#ifndef NVMUX_CTRLR_H
#define NVMUX_CTRLR_H

#include <stdbool.h>
#include <nvmux/context.h>
#include <nvmux/trid.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvmux_ctrlr;
struct nvmux_ns;
struct nvmux_probe_ctx;
struct nvme_id_ctrl; /* <nvme/types.h> */

/**
 * struct nvmux_ctrlr_opts - options of one controller; fill with nvmux_ctrlr_opts_init().
 * @size: sizeof(struct nvmux_ctrlr_opts) of the caller.
 * @num_io_queues: I/O queue pairs to ask for (Set Features, Number of Queues); 1 to 65535;
 *	default 64. The controller may grant fewer.
 * @io_queue_depth: entries of an I/O queue by default; 2 to 65536, cut to CAP.MQES + 1; default
 *256.
 * @admin_queue_depth: entries of the admin queue; 16 to 4096; default 32.
 * @admin_timeout_ms: deadline of an admin command during start and of helpers; default 10 000.
 *	When it passes the controller is reset, where io_timeout_ms is set, else it fails.
 * @keep_alive_timeout_ms: KATO for transports that use it, 0: none; default 10 000.
 * @use_shutdown_notification: set CC.SHN when detaching; default true.
 * @hostnqn: NQN of this host for fabrics; empty: the context's.
 * @hostid: identifier of this host, for fabrics and reservations; all zero: the context's.
 * @reconnect_delay_sec: fabrics: time between two attempts to connect again after a loss of the
 *	connection (the first is made at once); 1 to 3600; default 2.
 * @fast_io_fail_timeout_sec: fabrics: this long after the loss, commands end with a path error
 *	(Host Pathing Error) while attempts go on; 0 or -1: they wait; default 0.
 * @ctrlr_loss_timeout_sec: fabrics: this long after the loss the controller is given up; -1: never;
 *	0: at once, without any attempt; default 600. Where given, the three must be in the order
 *	reconnect_delay_sec, fast_io_fail_timeout_sec, ctrlr_loss_timeout_sec.
 * @command_quiesce_time_ms: fabrics: how long a controller may go on with commands after its
 *	keep-alive timer has expired, where Identify Controller doesn't say (CQT); default 1000.
 *	What isn't a read is repeated only after keep_alive_timeout_ms and this time.
 * @path_retry_timeout_ms: how long a command that ends with a path related status (status code
 *	type 3h) is repeated before that status is passed on; default 30 000.
 * @io_timeout_ms: an I/O command that isn't answered for so long is aborted; after as long again
 *	its queue pair is deleted and made anew, then the controller is reset, then its function,
 *	then its subsystem, then it fails: docs/faults.md, with what bounds it all. 0: never;
 *	default 0 in a program, 30 000 in the daemon. Checked to a quarter of it; time in which
 *	the queue pair isn't polled doesn't count.
 * @retry_count: how often a command that ended with a status that allows it (DNR clear, and one
 *	that may go away by itself) is repeated, after the time that CRD asks for (more than 60 s:
 *	it isn't repeated); default 4.
 * @arbitration: 0 round robin; 1 weighted round robin with urgent class, for which the controller
 *	must offer it (CAP.AMS), else attaching fails with -EOPNOTSUPP. Default 0.
 * @arbitration_burst: 2^n commands, 7: no limit; default 7.
 * @low_weight, @medium_weight, @high_weight: 1 to 256 with weighted round robin; default 1.
 * @removal_timeout_ms: a device that is wanted back (hot plug, its driver is to be taken away) is
 *	let go of by its owner within so many milliseconds after NVMUX_CTRLR_REMOVING; then it is
 *	taken from him. 0: at once, without that event. At most 600 000; default 0 in a program,
 *	10 000 in the daemon.
 * @transport_ack_timeout: RDMA: local ACK time-out of the connection, 4.096 us * 2^n; 0: the
 *	connection manager's own; at most 31; default 0.
 */
struct nvmux_ctrlr_opts {
	size_t size;
	uint32_t num_io_queues;
	uint32_t io_queue_depth;
	uint32_t admin_queue_depth;
	uint32_t admin_timeout_ms;
	uint32_t keep_alive_timeout_ms;
	bool use_shutdown_notification;
	char hostnqn[NVMUX_NQN_MAX];
	uint8_t hostid[16];
	int32_t reconnect_delay_sec;
	int32_t fast_io_fail_timeout_sec;
	int32_t ctrlr_loss_timeout_sec;
	uint32_t command_quiesce_time_ms;
	uint32_t path_retry_timeout_ms;
	uint32_t transport_ack_timeout;
	uint32_t io_timeout_ms;
	uint32_t retry_count;
	uint32_t arbitration;
	uint32_t arbitration_burst;
	uint32_t low_weight;
	uint32_t medium_weight;
	uint32_t high_weight;
	uint32_t removal_timeout_ms;
};

/** nvmux_ctrlr_opts_init() - the defaults; @size is sizeof(*opts). Thread: any. */
NVMUX_API void nvmux_ctrlr_opts_init(struct nvmux_ctrlr_opts *opts, size_t size);

/**
 * typedef nvmux_probe_cb - asks whether to attach what was found.
 * @arg: of nvmux_probe().
 * @trid: what was found.
 * @opts: the options it would get; may be changed.
 *
 * Return: true to attach it.
 */
typedef bool (*nvmux_probe_cb)(void *arg, const struct nvmux_trid *trid,
			       struct nvmux_ctrlr_opts *opts);

/**
 * typedef nvmux_attach_cb - one controller is ready, or could not be attached.
 * @arg: of nvmux_probe().
 * @trid: which one.
 * @ctrlr: the controller, owned by the caller from now on (nvmux_detach()); NULL on failure.
 * @err: 0, or the reason as a negative errno value; nvmux_error_text() has it in words.
 */
typedef void (*nvmux_attach_cb)(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr,
				int err);

/**
 * typedef nvmux_remove_cb - a controller has failed for good or is gone.
 *
 * Its queue pairs complete everything with an error. The caller still detaches it. Of a device that
 * was removed, in order or by surprise, commands in flight end with NVMUX_SC_CTRLR_GONE, and calls
 * fail with -ENODEV from then on; one that appears at the same place is another controller. Called
 * once.
 */
typedef void (*nvmux_remove_cb)(void *arg, struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_probe() - enumerate what a transport id names, and attach what the caller wants of it.
 * @nvmux: the context.
 * @trid: NULL or PCIe without address: all local NVMe functions that are bound to vfio-pci;
 *	with an address: that controller; daemon without a name: every controller that it owns;
 *	RDMA without an NQN, or with that of discovery: what the discovery service at that address
 *	and those that it refers to report; RDMA with another NQN: that subsystem.
 * @probe_cb: asked for each, or NULL: attach all.
 * @attach_cb: told of each that was wanted.
 * @remove_cb: told when one is lost later, or NULL.
 * @arg: passed to the three.
 *
 * All start-ups advance together. Returns when each has ended one way or the other.
 *
 * Return: 0 when the enumeration itself worked (failures of single controllers go to attach_cb),
 * else a negative errno value.
 */
NVMUX_API int nvmux_probe(struct nvmux *nvmux, const struct nvmux_trid *trid,
			  nvmux_probe_cb probe_cb, nvmux_attach_cb attach_cb,
			  nvmux_remove_cb remove_cb, void *arg);

/**
 * typedef nvmux_hotplug_filter_cb - whether a local device is looked at.
 * @arg: of nvmux_pcie_set_hotplug_filter().
 * @trid: its address.
 */
typedef bool (*nvmux_hotplug_filter_cb)(void *arg, const struct nvmux_trid *trid);

/**
 * nvmux_pcie_set_hotplug_filter() - which local devices probes without an address pass over.
 * @nvmux: the context.
 * @filter: asked for each that isn't attached yet, before probe_cb; NULL: none is passed over.
 * @arg: passed to it.
 *
 * To follow devices that come, probe again every now and then: those that this context has attached
 * are passed over, a device that was removed and came back is found once its old controller has
 * been detached. Thread: that of the context.
 */
NVMUX_API void nvmux_pcie_set_hotplug_filter(struct nvmux *nvmux, nvmux_hotplug_filter_cb filter,
					     void *arg);

/**
 * nvmux_probe_async() - the same without waiting.
 * @ret: a handle for nvmux_probe_poll_async(), which also frees it.
 */
NVMUX_API int nvmux_probe_async(struct nvmux *nvmux, const struct nvmux_trid *trid,
				nvmux_probe_cb probe_cb, nvmux_attach_cb attach_cb,
				nvmux_remove_cb remove_cb, void *arg, struct nvmux_probe_ctx **ret);

/**
 * nvmux_probe_poll_async() - advance a probe (calls nvmux_process()).
 *
 * Return: -EAGAIN while it goes on; otherwise its result, and @probe is freed.
 */
NVMUX_API int nvmux_probe_poll_async(struct nvmux_probe_ctx *probe);

/**
 * nvmux_connect() - attach exactly one controller and wait for it.
 * @opts: options, or NULL for the defaults.
 * @ret: the controller, owned by the caller; ends with nvmux_detach().
 *
 * Return: 0 or a negative errno value: -ENODEV (no such device), -EBUSY (in use), -ETIMEDOUT,
 * -EPROTO (it isn't a conforming controller), -EACCES, …
 */
NVMUX_API int nvmux_connect(struct nvmux *nvmux, const struct nvmux_trid *trid,
			    const struct nvmux_ctrlr_opts *opts, struct nvmux_ctrlr **ret);

/** nvmux_connect_async() - the same; @cb is called once, from nvmux_process() or from here. */
NVMUX_API int nvmux_connect_async(struct nvmux *nvmux, const struct nvmux_trid *trid,
				  const struct nvmux_ctrlr_opts *opts, nvmux_attach_cb cb,
				  void *arg);

/**
 * nvmux_detach() - shut a controller down, free its queue pairs and give it back.
 *
 * Its queue pairs are freed with it: no other thread may use them any more. Commands in flight
 * complete with Command Aborted due to SQ Deletion. -EDEADLK within a callback. Through the daemon
 * only the caller's reference is dropped: its queue pairs go, the controller runs on. Always ends;
 * the return value says whether the controller's own shutdown ended in time (-ETIMEDOUT).
 */
NVMUX_API int nvmux_detach(struct nvmux_ctrlr *ctrlr);

typedef void (*nvmux_ctrlr_cb)(void *arg, int err);

/** nvmux_detach_async() - the same; @cb is called once, after which @ctrlr is gone. */
NVMUX_API void nvmux_detach_async(struct nvmux_ctrlr *ctrlr, nvmux_ctrlr_cb cb, void *arg);

/**
 * nvmux_ctrlr_reset() - disable and enable the controller, then connect its queue pairs again.
 *
 * Commands in flight are repeated where that has the same effect, else they complete with "outcome
 * unknown"; callbacks may be called from here. No other thread may use the queue pairs meanwhile.
 * Through the daemon it needs the admin right (-EACCES).
 *
 * A fabrics controller is disabled and connected anew; commands in flight are repeated as after a
 * loss of the connection. When the first attempt fails its error is returned, and others follow.
 */
NVMUX_API int nvmux_ctrlr_reset(struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_ctrlr_reset_subsystem() - NVM Subsystem Reset (NSSR); every controller of the subsystem
 * loses its queues. -EOPNOTSUPP where CAP.NSSRS is 0. Through the daemon it needs the admin right.
 */
NVMUX_API int nvmux_ctrlr_reset_subsystem(struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_ctrlr_disconnect() - disable the controller and keep it: queue pairs take no commands,
 * those in flight end. nvmux_ctrlr_reconnect_start() and nvmux_ctrlr_reconnect_poll_async()
 * (-EAGAIN while it goes on) start it again, and connect its queue pairs but those that their owner
 * has disconnected himself. In-process only: -EACCES through the daemon.
 */
NVMUX_API int nvmux_ctrlr_disconnect(struct nvmux_ctrlr *ctrlr);
NVMUX_API int nvmux_ctrlr_reconnect_start(struct nvmux_ctrlr *ctrlr);
NVMUX_API int nvmux_ctrlr_reconnect_poll_async(struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_ctrlr_fail() - mark the controller as failed: nothing more is sent to it.
 *
 * In-process only: -EACCES through the daemon.
 */
NVMUX_API int nvmux_ctrlr_fail(struct nvmux_ctrlr *ctrlr);
NVMUX_API bool nvmux_ctrlr_is_failed(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_set_remove_cb() - who to tell when the controller is lost. */
NVMUX_API void nvmux_ctrlr_set_remove_cb(struct nvmux_ctrlr *ctrlr, nvmux_remove_cb cb, void *arg);

enum nvmux_connection_state {
	NVMUX_CONNECTION_NONE,         /* not connected: starting, closed, failed */
	NVMUX_CONNECTION_UP,           /* also: always, where there is no connection to lose */
	NVMUX_CONNECTION_RECONNECTING, /* lost; commands wait */
	NVMUX_CONNECTION_FAILING,      /* lost; commands end with a path error */
	NVMUX_CONNECTION_HOLDING,      /* up again; what may not be repeated yet waits */
};

/**
 * struct nvmux_connection_info - the life of a fabrics controller's connection.
 * @state: where it is.
 * @lost: times that it was lost.
 * @attempts: attempts to connect again since the last loss.
 * @lost_for_ms: time since the loss; 0 while it is up.
 * @next_attempt_ms: time until the next attempt, 0: under way or not waited for.
 * @fast_io_fail_ms: time until commands are failed; -1: never, or past.
 * @ctrlr_loss_ms: time until the controller is given up; -1: never.
 * @hold_ms: time until commands that aren't reads are repeated; 0: nothing waits for it.
 * @keep_alive_ms: KATO in effect, 0: none.
 * @reason: why it was lost, or why the last attempt failed; without a connection that can be lost:
 *	why it was reset the last time (NVMUX_CTRLR_RESET); empty: never was.
 */
struct nvmux_connection_info {
	enum nvmux_connection_state state;
	uint32_t lost;
	uint32_t attempts;
	uint64_t lost_for_ms;
	uint64_t next_attempt_ms;
	int64_t fast_io_fail_ms;
	int64_t ctrlr_loss_ms;
	uint64_t hold_ms;
	uint32_t keep_alive_ms;
	char reason[256];
};

/** nvmux_ctrlr_get_connection() - a snapshot of it. Control thread. */
NVMUX_API void nvmux_ctrlr_get_connection(const struct nvmux_ctrlr *ctrlr,
					  struct nvmux_connection_info *ret);
/** nvmux_connection_state_string() - "none", "up", "reconnecting", "failing", "holding". */
NVMUX_API const char *nvmux_connection_state_string(enum nvmux_connection_state state);

enum nvmux_ctrlr_event {
	NVMUX_CTRLR_CONNECTION_LOST,  /* attempts to reconnect begin */
	NVMUX_CTRLR_RECONNECT_FAILED, /* one attempt */
	NVMUX_CTRLR_FAST_IO_FAIL,     /* commands are failed from now on */
	NVMUX_CTRLR_RECONNECTED,      /* reads have been repeated, new commands are taken */
	NVMUX_CTRLR_REPLAYED,         /* the rest has been repeated or ended */
	NVMUX_CTRLR_NS_CHANGED,       /* namespaces were looked at anew: some may have changed */
	NVMUX_CTRLR_ANA_CHANGED,      /* asymmetric namespace access states were read anew */
	NVMUX_CTRLR_REMOVING,         /* wanted back: let go of it within removal_timeout_ms */
	/* reset, and not because the caller asked for it: commands weren't answered, or it reported
	 * a fatal status; of a daemon's controller: by anybody */
	NVMUX_CTRLR_RESET,
};

/** typedef nvmux_ctrlr_event_cb - called in the control thread; must not free @ctrlr. */
typedef void (*nvmux_ctrlr_event_cb)(void *arg, struct nvmux_ctrlr *ctrlr,
				     enum nvmux_ctrlr_event event);

/** nvmux_ctrlr_set_event_cb() - who to tell of these. */
NVMUX_API void nvmux_ctrlr_set_event_cb(struct nvmux_ctrlr *ctrlr, nvmux_ctrlr_event_cb cb,
					void *arg);

/** nvmux_ctrlr_is_discovery() - whether it is a discovery controller: no I/O, no namespaces. */
NVMUX_API bool nvmux_ctrlr_is_discovery(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_data() - Identify Controller data; valid until the controller is detached. */
NVMUX_API const struct nvme_id_ctrl *nvmux_ctrlr_get_data(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_opts() - the options in effect, with the controller's own limits applied. */
NVMUX_API const struct nvmux_ctrlr_opts *nvmux_ctrlr_get_opts(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_trid() - the transport id that it was attached by. */
NVMUX_API const struct nvmux_trid *nvmux_ctrlr_get_trid(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_regs_cap() - CAP as read at start. Base specification 2.0, section 3.1.3.1. */
NVMUX_API uint64_t nvmux_ctrlr_get_regs_cap(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_regs_vs() - VS as read at start. Section 3.1.3.2. */
NVMUX_API uint32_t nvmux_ctrlr_get_regs_vs(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_regs_cc() - CC as last written. Section 3.1.3.5. */
NVMUX_API uint32_t nvmux_ctrlr_get_regs_cc(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_regs_csts() - CSTS as last read. Section 3.1.3.6. */
NVMUX_API uint32_t nvmux_ctrlr_get_regs_csts(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_regs_cmbsz(), _pmrcap(), _bpinfo() - as read at start; 0 where there is none.
 * Sections 3.1.3.12, 3.1.3.21, 3.1.3.13. */
NVMUX_API uint32_t nvmux_ctrlr_get_regs_cmbsz(const struct nvmux_ctrlr *ctrlr);
NVMUX_API uint32_t nvmux_ctrlr_get_regs_pmrcap(const struct nvmux_ctrlr *ctrlr);
NVMUX_API uint32_t nvmux_ctrlr_get_regs_bpinfo(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_numa_id() - the node of the device or of its network adapter, -1: unknown. */
NVMUX_API int nvmux_ctrlr_get_numa_id(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_id() - CNTLID. */
NVMUX_API uint16_t nvmux_ctrlr_get_id(const struct nvmux_ctrlr *ctrlr);
/** nvmux_ctrlr_get_max_sges() - pieces of memory that one command can name. */
NVMUX_API uint32_t nvmux_ctrlr_get_max_sges(const struct nvmux_ctrlr *ctrlr);

enum nvmux_ctrlr_flags {
	NVMUX_CTRLR_SGL_SUPPORTED = 1 << 0,
	NVMUX_CTRLR_SECURITY_SEND_RECV_SUPPORTED = 1 << 1,
	NVMUX_CTRLR_WRR_SUPPORTED = 1 << 2,
	NVMUX_CTRLR_COMPARE_AND_WRITE_SUPPORTED = 1 << 3,
	NVMUX_CTRLR_SGL_DWORD_ALIGNED = 1 << 4, /* SGLS 10b: dword alignment is required */
	NVMUX_CTRLR_ZONE_APPEND_SUPPORTED = 1 << 5,
	NVMUX_CTRLR_DIRECTIVES_SUPPORTED = 1 << 6,
	NVMUX_CTRLR_MD_SGL_SUPPORTED = 1 << 7,
};
/** nvmux_ctrlr_get_flags() - enum nvmux_ctrlr_flags, or'ed; from Identify Controller and CAP. Base
 * specification 2.0, section 5.17.2.1. */
NVMUX_API uint32_t nvmux_ctrlr_get_flags(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_max_xfer_size() - bytes that one command can move (MDTS and own limits). */
NVMUX_API uint32_t nvmux_ctrlr_get_max_xfer_size(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_max_io_qpairs() - I/O queue pairs that the controller granted. */
NVMUX_API uint32_t nvmux_ctrlr_get_max_io_qpairs(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_state_string() - the state of its life cycle, for people. */
NVMUX_API const char *nvmux_ctrlr_get_state_string(const struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_ctrlr_cmd_admin_raw() - send any admin command.
 * @cmd: opcode, NSID and command dwords; copied during the call.
 * @buf: data, or NULL. Any memory: what isn't I/O memory is bounced through the library's own
 *	(at most 128 KiB). The direction follows from the opcode's low two bits.
 * @len: bytes at @buf.
 * @cb: called once, from nvmux_process() or nvmux_ctrlr_process_admin_completions().
 *
 * Return: 0, -EINVAL (@len beyond the transfer limit), -EBUSY (an opcode that the library keeps to
 * itself: queue creation and deletion, AER, keep-alive, Fabrics), -ENOMEM, -ENXIO (failed).
 */
NVMUX_API int nvmux_ctrlr_cmd_admin_raw(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd,
					void *buf, uint32_t len, nvmux_cmd_cb cb, void *arg);

/**
 * nvmux_ctrlr_process_admin_completions() - reap this controller's admin queue.
 *
 * nvmux_process() does it for all of the context. Return: completions, or a negative errno value.
 */
NVMUX_API int nvmux_ctrlr_process_admin_completions(struct nvmux_ctrlr *ctrlr);

/**
 * typedef nvmux_aer_cb - an asynchronous event arrived.
 * @cpl: its completion; dw0 has type, information and log page (base specification 2.0, section
 *	5.2). The library has already read the log page that clears the event, if the controller
 *	let it; but not the Reservation Notification log (80h), where each read takes a notice
 *	away: reading it until it is empty is left to whom the event is told.
 */
typedef void (*nvmux_aer_cb)(void *arg, const struct nvmux_cpl *cpl);

/**
 * nvmux_ctrlr_register_aer_callback() - have a function called for each asynchronous event.
 * @cb: or NULL: for none any more.
 *
 * The first 16 events that arrive before the first callback is registered, such as those of the
 * controller's start, are kept: @cb is called with them before this function returns, and must not
 * detach the controller then. Control thread.
 */
NVMUX_API void nvmux_ctrlr_register_aer_callback(struct nvmux_ctrlr *ctrlr, nvmux_aer_cb cb,
						 void *arg);

/**
 * typedef nvmux_ns_attr_cb - a namespace came, went, was resized or formatted, and has been looked
 * at anew. Control thread.
 *
 * Another format isn't taken over while an in-process PCIe controller has I/O queue pairs, as other
 * threads may be making commands by the old one: the namespace is NVMUX_NS_STALE then, and its
 * reads, writes and whatever else names blocks are refused with -ESTALE. Stop its I/O and call
 * nvmux_ctrlr_rescan(). What was submitted before the notice came had the old format; whoever
 * formats a namespace that others use has to see to it that they don't.
 */
typedef void (*nvmux_ns_attr_cb)(void *arg, struct nvmux_ctrlr *ctrlr, uint32_t nsid);
NVMUX_API void nvmux_ctrlr_register_ns_attr_changed_callback(struct nvmux_ctrlr *ctrlr,
							     nvmux_ns_attr_cb cb, void *arg);

/**
 * nvmux_ctrlr_rescan() - look at the namespaces anew and take over what they are now; blocks.
 * Meanwhile no thread submits I/O to a namespace that may have been formatted otherwise. Not
 * within a callback (-EDEADLK). A reset looks at them, too.
 * Return: 0; -EBUSY: the controller isn't ready; a failure of one of its commands.
 */
NVMUX_API int nvmux_ctrlr_rescan(struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_ns() - an active namespace by id, or NULL. */
NVMUX_API struct nvmux_ns *nvmux_ctrlr_get_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid);

/** nvmux_ctrlr_get_num_ns() - active namespaces. */
NVMUX_API uint32_t nvmux_ctrlr_get_num_ns(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_is_active_ns() - whether @nsid is an active namespace. */
NVMUX_API bool nvmux_ctrlr_is_active_ns(const struct nvmux_ctrlr *ctrlr, uint32_t nsid);

/** nvmux_ctrlr_get_first_active_ns() - the lowest active namespace id, 0 if there is none. */
NVMUX_API uint32_t nvmux_ctrlr_get_first_active_ns(const struct nvmux_ctrlr *ctrlr);

/** nvmux_ctrlr_get_next_active_ns() - the next one after @prev, 0 at the end. */
NVMUX_API uint32_t nvmux_ctrlr_get_next_active_ns(const struct nvmux_ctrlr *ctrlr, uint32_t prev);

#ifdef __cplusplus
}
#endif
#endif
