// SPDX-License-Identifier: BSD-3-Clause
/*
 * Controllers as their owners see them: attach, detach, reset, loss, and what they say of
 * themselves. The life cycle behind it is in ctrlr_state.c.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include <nvmux/admin.h>
#include "faults.h"
#include "admin_cmds.h"
#include "recover.h"
#include "sync.h"

void nvmux_ctrlr_opts_init(struct nvmux_ctrlr_opts *opts, size_t size)
{
	struct nvmux_ctrlr_opts defaults = {
		.size = size,
		.num_io_queues = 64,
		.io_queue_depth = 256,
		.admin_queue_depth = 32,
		.admin_timeout_ms = 10000,
		.keep_alive_timeout_ms = 10000,
		.use_shutdown_notification = true,
		.reconnect_delay_sec = 2,
		.ctrlr_loss_timeout_sec = 600,
		.command_quiesce_time_ms = 1000,
		.path_retry_timeout_ms = 30000,
		.retry_count = 4,
		.arbitration_burst = 7,
		.low_weight = 1,
		.medium_weight = 1,
		.high_weight = 1,
	};

	memset(opts, 0, size);
	memcpy(opts, &defaults, MIN(size, sizeof(defaults)));
}

static int check_range(struct nvmux *nvmux, const char *name, uint32_t value, uint32_t min,
		       uint32_t max)
{
	if (value >= min && value <= max)
		return 0;
	return nvmux_error(nvmux, -EINVAL, "%s is %u; it must be %u to %u", name, value, min, max);
}

static int take_opts(struct nvmux *nvmux, const struct nvmux_ctrlr_opts *opts,
		     struct nvmux_ctrlr_opts *ret)
{
	nvmux_ctrlr_opts_init(ret, sizeof(*ret));
	if (!opts)
		return 0;
	if (opts->size < sizeof(opts->size) || opts->size > 4096)
		return nvmux_error(nvmux, -EINVAL,
				   "size of the controller options is %zu; fill them with "
				   "nvmux_ctrlr_opts_init()",
				   opts->size);
	memcpy(ret, opts, MIN(opts->size, sizeof(*ret)));
	ret->size = sizeof(*ret);
	if (check_range(nvmux, "num_io_queues", ret->num_io_queues, 1, 65535) ||
	    check_range(nvmux, "io_queue_depth", ret->io_queue_depth, 2, 65536) ||
	    check_range(nvmux, "admin_queue_depth", ret->admin_queue_depth, 16, 4096) ||
	    check_range(nvmux, "admin_timeout_ms", ret->admin_timeout_ms, 1, 3600000) ||
	    check_range(nvmux, "keep_alive_timeout_ms", ret->keep_alive_timeout_ms, 0, 3600000) ||
	    check_range(nvmux, "command_quiesce_time_ms", ret->command_quiesce_time_ms, 0,
			3600000) ||
	    check_range(nvmux, "path_retry_timeout_ms", ret->path_retry_timeout_ms, 0, 3600000) ||
	    check_range(nvmux, "transport_ack_timeout", ret->transport_ack_timeout, 0, 31) ||
	    check_range(nvmux, "io_timeout_ms", ret->io_timeout_ms, 0, 3600000) ||
	    check_range(nvmux, "retry_count", ret->retry_count, 0, 255) ||
	    check_range(nvmux, "arbitration", ret->arbitration, 0, 1) ||
	    check_range(nvmux, "arbitration_burst", ret->arbitration_burst, 0, 7) ||
	    check_range(nvmux, "low_weight", ret->low_weight, 1, 256) ||
	    check_range(nvmux, "medium_weight", ret->medium_weight, 1, 256) ||
	    check_range(nvmux, "high_weight", ret->high_weight, 1, 256) ||
	    check_range(nvmux, "removal_timeout_ms", ret->removal_timeout_ms, 0, 600000))
		return -EINVAL;
	ret->hostnqn[sizeof(ret->hostnqn) - 1] = '\0';
	return reconnect_check_opts(nvmux, ret);
}

/* Only one owner for a device; a daemon's controllers may be opened many times, and a discovery
 * service asked by several at once. */
static int check_unused(struct nvmux *nvmux, const struct nvmux_transport *transport,
			const struct nvmux_trid *trid, uint16_t *ret_index)
{
	int index = -1;

	for (int i = NVMUX_CTRLRS_MAX - 1; i >= 0; i--) {
		const struct nvmux_ctrlr *other = nvmux->ctrlrs[i];

		if (!other) {
			index = i;
			continue;
		}
		if (!(transport->flags & NVMUX_TRANSPORT_MANAGED) &&
		    transport->trtype != NVMUX_TRTYPE_LOOPBACK &&
		    strcmp(trid->subnqn, NVMUX_DISCOVERY_NQN) != 0 &&
		    !nvmux_trid_compare(&other->trid, trid))
			return nvmux_error(nvmux, -EEXIST, "%s is attached already", trid->traddr);
	}
	if (index < 0)
		return nvmux_error(nvmux, -ENOSPC,
				   "%d controllers are attached; more aren't possible",
				   NVMUX_CTRLRS_MAX);
	*ret_index = (uint16_t)index;
	return 0;
}

static int ctrlr_new(struct nvmux *nvmux, const struct nvmux_trid *trid,
		     const struct nvmux_ctrlr_opts *opts, struct nvmux_ctrlr **ret)
{
	const struct nvmux_transport *transport;
	struct nvmux_ctrlr_opts checked;
	struct nvmux_ctrlr *ctrlr;
	uint16_t index = 0;
	int err;

	if (nvmux->ending)
		return nvmux_error(nvmux, -ECANCELED, "the context ends");
	transport = trid->trtype < NVMUX_TRTYPE_COUNT ? nvmux->transports[trid->trtype] : NULL;
	if (!transport)
		return nvmux_error(nvmux, -EPROTONOSUPPORT, "this build has no transport %s",
				   nvmux_trtype_string(trid->trtype) ?: "of that type");
	err = take_opts(nvmux, opts, &checked);
	if (!err && transport->flags & NVMUX_TRANSPORT_FABRICS)
		err = nvmux_host_identity(nvmux, &checked);
	if (!err)
		err = check_unused(nvmux, transport, trid, &index);
	if (!err)
		err = transport->ctrlr_alloc(nvmux, trid, &ctrlr);
	if (err)
		return err;
	ctrlr->nvmux = nvmux;
	ctrlr->transport = transport;
	ctrlr->trid = *trid;
	ctrlr->opts = checked;
	ctrlr->index = index;
	TAILQ_INIT(&ctrlr->admin_waiting);
	TAILQ_INIT(&ctrlr->admin_sent);
	TAILQ_INIT(&ctrlr->qpairs);
	ctrlr->reach = nvmux_table_new(nvmux->n_slots, sizeof(*ctrlr->reach));
	err = ctrlr->reach ? timeout_init(ctrlr) : -ENOMEM;
	if (err) {
		nvmux_table_free(ctrlr->reach, nvmux->n_slots, sizeof(*ctrlr->reach));
		transport->ctrlr_free(ctrlr);
		return err;
	}
	ctrlr->discovery = strcmp(trid->subnqn, NVMUX_DISCOVERY_NQN) == 0;
	if (transport->flags & NVMUX_TRANSPORT_FABRICS && recover_init(ctrlr)) {
		timeout_fini(ctrlr);
		nvmux_table_free(ctrlr->reach, nvmux->n_slots, sizeof(*ctrlr->reach));
		transport->ctrlr_free(ctrlr);
		return -ENOMEM;
	}
	nvmux->ctrlrs[index] = ctrlr;
	*ret = ctrlr;
	return 0;
}

static void ctrlr_free(struct nvmux_ctrlr *ctrlr)
{
	NVMUX_ASSERT(TAILQ_EMPTY(&ctrlr->qpairs) && !ctrlr->adminq && !ctrlr->device_open);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->step_timer);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->poll_timer);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->admin_timer);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->admin_kick);
	nvmux_timer_cancel(ctrlr->nvmux, &ctrlr->removal_timer);
	revive_cancel(ctrlr);
	timeout_fini(ctrlr);
	recover_fini(ctrlr);
	ctrlr_free_namespaces(ctrlr);
	ctrlr_ns_notice_free(ctrlr);
	free(ctrlr->nvm_id);
	free(ctrlr->offers);
	free(ctrlr->ana_log);
	free(ctrlr->qids_used);
	free(ctrlr->aers);
	nvmux_table_free(ctrlr->reach, ctrlr->nvmux->n_slots, sizeof(*ctrlr->reach));
	ctrlr->nvmux->ctrlrs[ctrlr->index] = NULL;
	ctrlr->transport->ctrlr_free(ctrlr);
}

/* ---- attach ---- */

struct connect_op {
	struct nvmux_ctrlr *ctrlr;
	nvmux_attach_cb cb;
	void *arg;
};

static void connected(void *arg, int err, uint64_t value)
{
	struct connect_op op = *(struct connect_op *)arg;
	struct nvmux_trid trid = op.ctrlr->trid;

	free(arg);
	if (err) {
		ctrlr_free(op.ctrlr);
		op.ctrlr = NULL;
	} else {
		op.ctrlr->attached = true;
	}
	op.cb(op.arg, &trid, op.ctrlr, err);
}

int nvmux_connect_async(struct nvmux *nvmux, const struct nvmux_trid *trid,
			const struct nvmux_ctrlr_opts *opts, nvmux_attach_cb cb, void *arg)
{
	struct connect_op *op = calloc(1, sizeof(*op));
	int err;

	if (!op)
		return -ENOMEM;
	err = ctrlr_new(nvmux, trid, opts, &op->ctrlr);
	if (err) {
		free(op);
		return err;
	}
	op->cb = cb;
	op->arg = arg;
	ctrlr_go(op->ctrlr, CTRLR_OPEN, connected, op);
	return 0;
}

void nvmux_connect_cancel(struct nvmux *nvmux, const void *arg, int err)
{
	struct nvmux_ctrlr *ctrlr;

	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++) {
		ctrlr = nvmux->ctrlrs[i];
		if (!ctrlr || ctrlr->goal_cb != connected)
			continue;
		if (((struct connect_op *)ctrlr->goal_arg)->arg == arg) {
			nvmux_ctrlr_lost(ctrlr, err);
			return;
		}
	}
}

static void connect_sync_done(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr,
			      int err)
{
	nvmux_sync_done(arg, err, (uintptr_t)ctrlr);
}

int nvmux_connect(struct nvmux *nvmux, const struct nvmux_trid *trid,
		  const struct nvmux_ctrlr_opts *opts, struct nvmux_ctrlr **ret)
{
	struct nvmux_sync sync = {.nvmux = nvmux};
	int err = nvmux_sync_check(nvmux);

	if (!err)
		err = nvmux_connect_async(nvmux, trid, opts, connect_sync_done, &sync);
	if (!err)
		err = nvmux_sync_wait(&sync);
	if (!err)
		*ret = (struct nvmux_ctrlr *)(uintptr_t)sync.value;
	return err;
}

/* ---- detach ---- */

void ctrlr_detach_step(struct nvmux_ctrlr *ctrlr)
{
	nvmux_ctrlr_cb cb = ctrlr->detach_cb;
	void *arg = ctrlr->detach_arg;
	int err = ctrlr->result;

	switch (ctrlr->state) {
	case CTRLR_READY: ctrlr_go(ctrlr, CTRLR_FREE_QPAIRS, NULL, NULL); return;
	case CTRLR_DISABLED: ctrlr_go(ctrlr, CTRLR_CLOSE, NULL, NULL); return;
	default: NVMUX_ASSERT(ctrlr->state == CTRLR_CLOSED);
	}
	if (!TAILQ_EMPTY(&ctrlr->qpairs) || ctrlr->n_qpair_ops) {
		ctrlr_go(ctrlr, CTRLR_FREE_QPAIRS, NULL, NULL);
		return;
	}
	ctrlr_free(ctrlr);
	if (cb)
		cb(arg, err);
}

void nvmux_detach_async(struct nvmux_ctrlr *ctrlr, nvmux_ctrlr_cb cb, void *arg)
{
	NVMUX_ASSERT(!ctrlr->detaching);
	ctrlr->detaching = true;
	ctrlr->detach_cb = cb;
	ctrlr->detach_arg = arg;
	if (ctrlr_is_resting(ctrlr)) {
		ctrlr->result = 0;
		ctrlr_detach_step(ctrlr);
	} else if (!ctrlr->rescanning || ctrlr->recovery) {
		ctrlr_give_up(ctrlr, -ECANCELED);
	} /* else: the look at the namespaces ends first, and soon */
}

static void detach_sync_done(void *arg, int err)
{
	nvmux_sync_done(arg, err, 0);
}

/* May this thread of control wait for the controller? Not within a callback of a queue pair. */
static int check_blocking(const struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_qpair *qpair;

	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (qpair->processing)
			return nvmux_error(ctrlr->nvmux, -EDEADLK,
					   "a blocking function was called from within a "
					   "completion callback");
	}
	return nvmux_sync_check(ctrlr->nvmux);
}

int nvmux_detach(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	int err = check_blocking(ctrlr);

	if (err)
		return err;
	nvmux_detach_async(ctrlr, detach_sync_done, &sync);
	return nvmux_sync_wait(&sync);
}

void nvmux_ctrlr_end(struct nvmux *nvmux, unsigned index)
{
	struct nvmux_ctrlr *ctrlr = nvmux->ctrlrs[index];

	if (!ctrlr)
		return;
	if (ctrlr->attached && !ctrlr->detaching) {
		nvmux_detach(ctrlr);
		return;
	}
	/* On its way up or down: whoever waits for it is told, and it frees itself. */
	if (!ctrlr->attached)
		ctrlr_give_up(ctrlr, nvmux_error(nvmux, -ECANCELED, "the context ends"));
	while (nvmux->ctrlrs[index]) {
		struct pollfd pfd = {.fd = nvmux->epoll_fd, .events = POLLIN};

		poll(&pfd, 1, -1);
		nvmux_process(nvmux);
	}
}

/* ---- loss ---- */

void nvmux_ctrlr_lost(struct nvmux_ctrlr *ctrlr, int err)
{
	ctrlr->failed = true;
	if (err == -ENODEV)
		__atomic_store_n(&ctrlr->gone, true, __ATOMIC_RELAXED);
	ctrlr_give_up(ctrlr, err);
}

int nvmux_ctrlr_fail(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED)
		return nvmux_error(ctrlr->nvmux, -EACCES,
				   "a controller of the daemon can't be failed by one client");
	nvmux_ctrlr_lost(ctrlr, nvmux_error(ctrlr->nvmux, -EIO, "%s: failed by its owner",
					    ctrlr->trid.traddr));
	return 0;
}

/* ---- reset ---- */

/* Look at namespaces and access states again, without a reset. */
void nvmux_ctrlr_rescan_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	if (ctrlr->discovery || ctrlr->state != CTRLR_READY || !ctrlr_is_resting(ctrlr)) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, -EBUSY, "%s can't be looked at: it is %s",
				 ctrlr->trid.traddr, nvmux_ctrlr_get_state_string(ctrlr)),
		     0);
		return;
	}
	ctrlr->rescanning = true;
	ctrlr_go(ctrlr, CTRLR_ACTIVE_NS, done, arg);
}

int nvmux_ctrlr_rescan(struct nvmux_ctrlr *ctrlr)
{
	int err = check_blocking(ctrlr);

	return err ? err : admin_rescan(ctrlr);
}

void nvmux_ctrlr_disconnect_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	struct nvmux_qpair *qpair;

	/* On its way to CLOSED: told when it is there, since the device may do DMA until then. */
	if (ctrlr->failed && !ctrlr->goal_cb && ctrlr->state >= CTRLR_CLOSE &&
	    ctrlr->state < CTRLR_CLOSED) {
		ctrlr->goal_cb = done;
		ctrlr->goal_arg = arg;
		return;
	}
	if (revive_then_disconnect(ctrlr, done, arg))
		return;
	if (nvmux_ctrlr_is_fabrics(ctrlr) || ctrlr->state != CTRLR_READY ||
	    !ctrlr_is_resting(ctrlr) || revive_active(ctrlr)) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, ctrlr->failed ? -ENXIO : -EBUSY,
				 "%s can't be reset: it is %s", ctrlr->trid.traddr,
				 ctrlr_state_name(ctrlr->state)),
		     0);
		return;
	}
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link)
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_DISCONNECTED);
	ctrlr->disconnecting = true;
	ctrlr->resets_left = ctrlr_reset_kinds(ctrlr);
	ctrlr_go(ctrlr, CTRLR_DISABLE, done, arg);
}

void nvmux_ctrlr_reconnect_async(struct nvmux_ctrlr *ctrlr, nvmux_done_fn done, void *arg)
{
	if (ctrlr->state != CTRLR_DISABLED || !ctrlr_is_resting(ctrlr)) {
		done(arg,
		     nvmux_error(ctrlr->nvmux, -EBUSY, "%s can't be started again: it is %s",
				 ctrlr->trid.traddr, ctrlr_state_name(ctrlr->state)),
		     0);
		return;
	}
	ctrlr->disconnecting = false;
	ctrlr_go(ctrlr, CTRLR_CONNECT_ADMINQ, done, arg);
}

static int reset_step(struct nvmux_ctrlr *ctrlr,
		      void (*step)(struct nvmux_ctrlr *, nvmux_done_fn, void *))
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};

	step(ctrlr, nvmux_sync_done, &sync);
	return nvmux_sync_wait(&sync);
}

/* Its queue pairs have a part in it, and their owner is whoever calls us. It may go meanwhile. */
static int wait_with_qpairs(struct nvmux_sync *sync, struct nvmux_ctrlr *ctrlr, uint16_t index)
{
	struct nvmux *nvmux = sync->nvmux;

	while (!sync->done) {
		struct pollfd pfd = {.fd = nvmux->epoll_fd, .events = POLLIN};

		poll(&pfd, 1, 1);
		nvmux_process(nvmux);
		if (nvmux->ctrlrs[index] == ctrlr)
			recover_process_qpairs(ctrlr);
	}
	return sync->err;
}

static int renew(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	uint16_t index = ctrlr->index;

	nvmux_ctrlr_renew_async(ctrlr, nvmux_sync_done, &sync);
	return wait_with_qpairs(&sync, ctrlr, index);
}

/* The same for a controller that stays. */
static int revive(struct nvmux_ctrlr *ctrlr, bool nssr)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	uint16_t index = ctrlr->index;

	revive_async(ctrlr, nssr ? REVIVE_SUBSYSTEM : REVIVE_CTRLR, NULL, nvmux_sync_done, &sync);
	return wait_with_qpairs(&sync, ctrlr, index);
}

/* By whoever manages it. */
static int managed_reset(struct nvmux_ctrlr *ctrlr, bool subsystem)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};

	ctrlr->transport->managed_reset(ctrlr, subsystem, nvmux_sync_done, &sync);
	return nvmux_sync_wait(&sync);
}

int nvmux_ctrlr_reset_subsystem(struct nvmux_ctrlr *ctrlr)
{
	int err = check_blocking(ctrlr);

	if (err)
		return err;
	if (ctrlr->transport->managed_reset)
		return managed_reset(ctrlr, true);
	if (!NVME_CAP_NSSRC(ctrlr->cap) || !revive_possible(ctrlr))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: no NVM subsystem reset (CAP.NSSRS is 0)",
				   ctrlr->trid.traddr);
	return revive(ctrlr, true);
}

/* ---- disconnect and reconnect, by the owner of it all ---- */

int nvmux_ctrlr_disconnect(struct nvmux_ctrlr *ctrlr)
{
	int err = check_blocking(ctrlr);

	if (err)
		return err;
	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED)
		return nvmux_error(ctrlr->nvmux, -EACCES,
				   "a controller of the daemon can't be disconnected by one "
				   "client");
	if (nvmux_ctrlr_is_fabrics(ctrlr))
		return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
				   "%s: a fabrics controller is detached instead",
				   ctrlr->trid.traddr);
	err = reset_step(ctrlr, nvmux_ctrlr_disconnect_async);
	if (!err)
		nvmux_qpairs_abort(ctrlr, NVME_SC_ABORT_QUEUE);
	return err;
}

static void reconnect_next(void *arg, int err, uint64_t value)
{
	struct nvmux_ctrlr *ctrlr = arg;
	struct nvmux_qpair *qpair;

	(void)value;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		if (!qpair->live && !qpair->freeing && !qpair->parked &&
		    nvmux_qpair_get_state(qpair) == NVMUX_QPAIR_DISCONNECTED)
			break;
	}
	if (!err && qpair)
		nvmux_qpair_connect_async(qpair, reconnect_next, ctrlr);
	else
		ctrlr->reconnect_result = err;
}

int nvmux_ctrlr_reconnect_start(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->reconnect_result == -EAGAIN || ctrlr->state != CTRLR_DISABLED)
		return nvmux_error(ctrlr->nvmux, -EBUSY, "%s isn't disconnected: it is %s",
				   ctrlr->trid.traddr, nvmux_ctrlr_get_state_string(ctrlr));
	ctrlr->reconnect_result = -EAGAIN;
	nvmux_ctrlr_reconnect_async(ctrlr, reconnect_next, ctrlr);
	return 0;
}

int nvmux_ctrlr_reconnect_poll_async(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->reconnect_result == -EAGAIN && !ctrlr->nvmux->processing)
		nvmux_process(ctrlr->nvmux);
	return ctrlr->reconnect_result;
}

int nvmux_ctrlr_reset(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;
	int err = check_blocking(ctrlr);

	if (err)
		return err;
	if (nvmux_ctrlr_is_fabrics(ctrlr))
		return renew(ctrlr);
	err = admin_wait_for_rescan(ctrlr);
	if (err)
		return err;
	if (revive_possible(ctrlr))
		return revive(ctrlr, false);
	if (ctrlr->transport->managed_reset)
		return managed_reset(ctrlr, false);
	err = reset_step(ctrlr, nvmux_ctrlr_disconnect_async);
	if (err)
		return err;
	nvmux_qpairs_abort(ctrlr, NVME_SC_ABORT_QUEUE);
	err = reset_step(ctrlr, nvmux_ctrlr_reconnect_async);
	if (err)
		return err;
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};

		nvmux_qpair_connect_async(qpair, nvmux_sync_done, &sync);
		err = nvmux_sync_wait(&sync);
		if (err)
			return err;
	}
	return 0;
}

/* ---- what it says of itself ---- */

void nvmux_ctrlr_set_event_cb(struct nvmux_ctrlr *ctrlr, nvmux_ctrlr_event_cb cb, void *arg)
{
	ctrlr->event_cb = cb;
	ctrlr->event_arg = arg;
}

bool nvmux_ctrlr_is_discovery(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->discovery;
}

bool nvmux_ctrlr_is_failed(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->failed;
}

void nvmux_ctrlr_set_remove_cb(struct nvmux_ctrlr *ctrlr, nvmux_remove_cb cb, void *arg)
{
	ctrlr->remove_cb = cb;
	ctrlr->remove_arg = arg;
}

const struct nvme_id_ctrl *nvmux_ctrlr_get_data(const struct nvmux_ctrlr *ctrlr)
{
	return &ctrlr->id;
}

const struct nvmux_ctrlr_opts *nvmux_ctrlr_get_opts(const struct nvmux_ctrlr *ctrlr)
{
	return &ctrlr->opts;
}

const struct nvmux_trid *nvmux_ctrlr_get_trid(const struct nvmux_ctrlr *ctrlr)
{
	return &ctrlr->trid;
}

uint64_t nvmux_ctrlr_get_regs_cap(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->cap;
}

uint32_t nvmux_ctrlr_get_regs_vs(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->vs;
}

uint32_t nvmux_ctrlr_get_regs_cc(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->cc;
}

uint32_t nvmux_ctrlr_get_regs_csts(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->csts;
}

uint32_t nvmux_ctrlr_get_max_xfer_size(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->max_transfer;
}

uint32_t nvmux_ctrlr_get_max_io_qpairs(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->max_io_qpairs;
}

const char *nvmux_ctrlr_get_state_string(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->failed ? "failed" : ctrlr_state_name(ctrlr->state);
}

uint32_t nvmux_ctrlr_get_regs_cmbsz(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->cmbsz;
}

uint32_t nvmux_ctrlr_get_regs_pmrcap(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->pmrcap;
}

uint32_t nvmux_ctrlr_get_regs_bpinfo(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->bpinfo;
}

int nvmux_ctrlr_get_numa_id(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->numa_node ? ctrlr->transport->numa_node(ctrlr) : -1;
}

uint16_t nvmux_ctrlr_get_id(const struct nvmux_ctrlr *ctrlr)
{
	return le16_to_cpu(ctrlr->id.cntlid);
}

uint32_t nvmux_ctrlr_get_max_sges(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->max_segs;
}

/* SGLS, base specification 2.0, figure 275: bits 1:0 support, 19 metadata by an SGL segment. */
#define SGLS_SUPPORT    3u
#define SGLS_DWORD      2u
#define SGLS_MD_SEGMENT (1u << 19)

uint32_t nvmux_ctrlr_get_flags(const struct nvmux_ctrlr *ctrlr)
{
	uint32_t sgls = le32_to_cpu(ctrlr->id.sgls), flags = 0;
	uint16_t oacs = le16_to_cpu(ctrlr->id.oacs);

	if (sgls & SGLS_SUPPORT)
		flags |= NVMUX_CTRLR_SGL_SUPPORTED;
	if ((sgls & SGLS_SUPPORT) == SGLS_DWORD)
		flags |= NVMUX_CTRLR_SGL_DWORD_ALIGNED;
	if (sgls & SGLS_MD_SEGMENT)
		flags |= NVMUX_CTRLR_MD_SGL_SUPPORTED;
	if (oacs & NVME_CTRL_OACS_SECURITY)
		flags |= NVMUX_CTRLR_SECURITY_SEND_RECV_SUPPORTED;
	if (oacs & NVME_CTRL_OACS_DIRECTIVES)
		flags |= NVMUX_CTRLR_DIRECTIVES_SUPPORTED;
	if (NVME_CAP_AMS(ctrlr->cap) & NVME_CAP_AMS_WRR)
		flags |= NVMUX_CTRLR_WRR_SUPPORTED;
	if (le16_to_cpu(ctrlr->id.fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE)
		flags |= NVMUX_CTRLR_COMPARE_AND_WRITE_SUPPORTED;
	if (nvmux_ctrlr_get_effects(ctrlr, true, nvme_zns_cmd_append) & NVMUX_EFFECT_SUPPORTED)
		flags |= NVMUX_CTRLR_ZONE_APPEND_SUPPORTED;
	return flags;
}
