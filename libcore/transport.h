/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a transport offers to libcore.
 *
 * A transport embeds struct nvmux_ctrlr and struct nvmux_qpair as the first member of its own
 * structures. libcore calls its functions through the wrappers of transport.c, which assert the
 * state and log. All functions run in the control thread except submit() and process(), the I/O
 * path.
 *
 * Asynchronous functions end by calling done(arg, err, value) exactly once, possibly before they
 * return. Both done() and nvmux_ctrlr_lost() may end in ctrlr_free() or qpair_destroy(), and
 * so may nvmux_ctrlr_process_admin_completions(): a transport touches nothing of its own after
 * such a call. libcore sets the deadlines; when one passes, it closes the controller, and a
 * transport ends everything that is under way with -ECANCELED then. A fabrics transport's
 * ctrlr_close() lets go of memory without the help of those who own I/O queue pairs: connections
 * are ended and keys taken back, the rest goes with qpair_destroy().
 */
#ifndef NVMUX_TRANSPORT_H
#define NVMUX_TRANSPORT_H

#include "core.h"

/* A controller that somebody else starts, resets and shuts down: no register is written. */
#define NVMUX_TRANSPORT_MANAGED (1u << 0)
/* A controller made by a connection (Fabrics Connect): a new one after each loss of it. The
 * functions of recovery below are there; submit() keeps each command until it has completed. */
#define NVMUX_TRANSPORT_FABRICS (1u << 1)

typedef void (*nvmux_found_fn)(void *arg, const struct nvmux_trid *trid);

struct nvmux_transport {
	enum nvmux_trtype trtype;
	uint32_t flags;

	/* The context ends, its controllers have gone: end what is under way, free what is kept in
	 * nvmux->transport_data. NULL: nothing is. */
	void (*context_end)(struct nvmux *nvmux);

	/* Call found() for each controller that @trid names, then done(). NULL: a transport id
	 * names exactly one controller. */
	void (*enumerate)(struct nvmux *nvmux, const struct nvmux_trid *trid, nvmux_found_fn found,
			  nvmux_done_fn done, void *arg);

	/* The structure, zeroed but for what the transport needs; trid, opts, nvmux and transport
	 * are set by libcore before open. free() undoes alloc and is called after close. */
	int (*ctrlr_alloc)(struct nvmux *nvmux, const struct nvmux_trid *trid,
			   struct nvmux_ctrlr **ret);
	void (*ctrlr_free)(struct nvmux_ctrlr *ctrlr);

	/* Reach the device, so that registers can be read and memory mapped. */
	void (*ctrlr_open)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
	/* Let go of it. Ends whatever is under way. Afterwards the device can reach no memory. */
	void (*ctrlr_close)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);

	/* Identify Controller has been read (ctrlr->id), at each start: prepare by it what is
	 * needed before there are I/O queues. Admin commands may be sent. An error ends the start.
	 * NULL: nothing is. */
	void (*ctrlr_identified)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);

	/* The NUMA node of what reaches the host's memory: the device, or the network adapter. -1:
	 * unknown (also before it has been opened). NULL: none has one. */
	int (*numa_node)(const struct nvmux_ctrlr *ctrlr);

	/* Registers: @size is 4 or 8 bytes. value of done(): what was read. */
	void (*reg_read)(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			 nvmux_done_fn done, void *arg);
	void (*reg_write)(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
			  nvmux_done_fn done, void *arg);

	/* A region made elsewhere (the daemon). NULL: libcore makes it. value of done(): the
	 * struct nvmux_mem *, mapped for this controller. mem_free() gives it back. */
	void (*mem_alloc)(struct nvmux_ctrlr *ctrlr, size_t size, uint32_t flags,
			  nvmux_done_fn done, void *arg);
	void (*mem_free)(struct nvmux_mem *mem, nvmux_done_fn done, void *arg);
	/* Let the device reach a region; fills maps[ctrlr->index] but for .mapped. */
	void (*mem_map)(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			void *arg);
	void (*mem_unmap)(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			  void *arg);

	/* Queue pairs. create: structure and memory, nvmux_qpair_init() called; value of done():
	 * the struct nvmux_qpair *. Queue 0 is the admin queue; the caller asks for a depth in
	 * entries, and the transport sets qpair->depth to what can be in flight. @group: it is to
	 * be polled with the others of that, or NULL; kept in qpair->group by libcore. destroy:
	 * undo create, after disconnect or after the controller was disabled. */
	void (*qpair_create)(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			     struct nvmux_poll_group *group, nvmux_done_fn done, void *arg);
	void (*qpair_destroy)(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
	/* connect: the controller accepts commands on it afterwards; starts from empty queues, also
	 * when connected a second time after a reset. For the admin queue of a managed or fabrics
	 * transport: connect it; for PCIe: nothing, libcore programs AQA, ASQ and ACQ.
	 * disconnect (I/O queues only): the controller has stopped using it; what it had completed
	 * has been delivered, the rest is still in its slots. */
	void (*qpair_connect)(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
	void (*qpair_disconnect)(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
	/*
	 * Recovery of a lost connection (fabrics; NULL elsewhere).
	 * qpair_end: by the control thread, which needn't own the queue pair: let go of its
	 * connection, in whatever state; a connect that is under way ends with -ECANCELED. The
	 * queue pair is to be quiesced after that.
	 * quiesce: by the queue pair's owner (handed_over says which thread that is), again and
	 * again until it returns 1: nothing of it is with the device any more, and the device
	 * reaches none of its commands' memory. Afterwards process() isn't called, and
	 * qpair_connect() makes a new connection with what was in flight still in the slots.
	 * inflight: the command in a slot, as given to submit().
	 * repost: send the command of a slot once more (nvmux_qpair_renew_cid()).
	 */
	void (*qpair_end)(struct nvmux_qpair *qpair);
	int (*quiesce)(struct nvmux_qpair *qpair);
	const struct nvmux_cmd *(*inflight)(const struct nvmux_qpair *qpair, uint16_t index);
	int (*repost)(struct nvmux_qpair *qpair, uint16_t index);

	/* Poll groups (NULL: the transport shares nothing between queue pairs). The group's
	 * transport_data is the transport's own. A queue pair's process() may deliver completions
	 * of others of its group. reap: deliver what is there of all of them. arm: as
	 * nvmux_poll_group_arm(); what makes it readable has been added to group->epoll_fd by the
	 * transport. end: the group is destroyed, it has no queue pair of the transport. */
	void (*group_reap)(struct nvmux_poll_group *group);
	int (*group_arm)(struct nvmux_poll_group *group);
	void (*group_end)(struct nvmux_poll_group *group);

	/* Values for AQA, ASQ and ACQ. NULL: it has no such registers. */
	void (*adminq_regs)(struct nvmux_ctrlr *ctrlr, uint32_t *ret_aqa, uint64_t *ret_asq,
			    uint64_t *ret_acq);

	/*
	 * The I/O path; for the admin queue in the control thread.
	 * submit: take an identifier (nvmux_qpair_take_cid()), complete the command with identifier
	 * and data pointers, put it into the queue. The caller has checked that a slot is free, the
	 * state is CONNECTED, the segments lie in their regions, and these are mapped.
	 * 0; or -EINVAL when the segments can't be expressed, with nothing taken.
	 * process: ring doorbells for what was submitted, deliver at most @max completions. -ENXIO:
	 * the queue is broken for good.
	 */
	int (*submit)(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
		      const struct nvmux_payload *payload, nvmux_cmd_cb cb, void *arg);
	/* nvmux_ns_cmd_read() and nvmux_ns_cmd_write() by the shortest way, for which mem_map()
	 * fills maps[].base; or nvmux_rw_read() and nvmux_rw_write(), which end in submit(). See
	 * rw.h. */
	int (*read)(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint64_t lba,
		    uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
	int (*write)(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf, uint64_t lba,
		     uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg);
	/* submit() of a command without flags, whose data is in one piece, and without metadata.
	 * NULL: only by submit(). */
	int (*submit_plain)(struct nvmux_qpair *qpair, const struct nvmux_cmd *cmd,
			    const struct nvmux_plain *data, nvmux_cmd_cb cb, void *arg);
	int (*process)(struct nvmux_qpair *qpair, uint32_t max);
	/* Waiting for completions; NULL: polled only. As the public functions of the same names. */
	int (*qpair_get_fd)(const struct nvmux_qpair *qpair);
	int (*qpair_arm)(struct nvmux_qpair *qpair);

	/* Reset the function, harder than by CC.EN: afterwards the device does no DMA, and its
	 * registers are as after power-on. -EOPNOTSUPP: this one can't. NULL: none can. */
	void (*function_reset)(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);

	/* Reset, or NVM subsystem reset, on behalf of a client of a managed controller; NULL
	 * elsewhere. */
	void (*managed_reset)(struct nvmux_ctrlr *ctrlr, bool subsystem, nvmux_done_fn done,
			      void *arg);
};

static inline bool nvmux_ctrlr_is_fabrics(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->flags & NVMUX_TRANSPORT_FABRICS;
}

/* The wrappers (transport.c). */
void transport_open(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void transport_close(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void transport_identified(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg);
void transport_reg_read(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size,
			nvmux_done_fn done, void *arg);
void transport_reg_write(struct nvmux_ctrlr *ctrlr, uint32_t offset, uint32_t size, uint64_t value,
			 nvmux_done_fn done, void *arg);
void transport_qpair_create(struct nvmux_ctrlr *ctrlr, uint16_t qid, uint32_t entries,
			    struct nvmux_poll_group *group, nvmux_done_fn done, void *arg);
void transport_qpair_connect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void transport_qpair_disconnect(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void transport_qpair_destroy(struct nvmux_qpair *qpair, nvmux_done_fn done, void *arg);
void transport_mem_map(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
		       void *arg);
void transport_mem_unmap(struct nvmux_ctrlr *ctrlr, struct nvmux_mem *mem, nvmux_done_fn done,
			 void *arg);

/* A managed transport was told that a namespace has changed, or (FFFFFFFFh) that any may have: they
 * are looked at anew soon. */
void nvmux_ctrlr_ns_changed(struct nvmux_ctrlr *ctrlr, uint32_t nsid);

/* Make a transport known to a context; -EEXIST when its type is taken. */
int nvmux_transport_register(struct nvmux *nvmux, const struct nvmux_transport *transport);

/*
 * enumerate() for a fabrics transport (referrals.c). @trid without an NQN or with that of
 * discovery: each NVM subsystem of the same transport that the discovery service there and those it
 * refers to report, with the host_traddr and host_iface of @trid; with another NQN: @trid itself.
 */
void nvmux_discovery_enumerate(struct nvmux *nvmux, const struct nvmux_trid *trid,
			       nvmux_found_fn found, nvmux_done_fn done, void *arg);

/* The transports of this build, NULL at the end; defined in transports/builtin.c. */
extern const struct nvmux_transport *const nvmux_builtin_transports[];

#endif
