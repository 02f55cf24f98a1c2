// SPDX-License-Identifier: BSD-3-Clause
/*
 * The steps from ready to closed.
 *
 * Happy path: I/O queue pairs are deleted one after the other, the controller is told to shut down
 * (base specification 2.0, section 3.6.1) and waited for, the transport lets go of the device, and
 * only then is memory that it could reach given up.
 *
 * Failure modes: from any earlier state CLOSE comes first; I/O queue pairs, which may belong to
 * other threads, are marked as failed and end their commands themselves.
 */
#include <errno.h>

#include "faults.h"
#include "recover.h"

static void look_again(void *arg)
{
	ctrlr_step_done(arg, 0, 0);
}

static void qpair_freed(void *arg, int err)
{
	struct nvmux_ctrlr *ctrlr = arg;

	if (err) /* no memory for it: not at once again */
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->poll_timer, 1, look_again, ctrlr);
	else
		look_again(ctrlr);
}

void ctrlr_enter_free_qpairs(struct nvmux_ctrlr *ctrlr)
{
	/* Those that are being made or freed on their own end first. */
	if (ctrlr->n_qpair_ops)
		nvmux_timer_set(ctrlr->nvmux, &ctrlr->poll_timer, 1, look_again, ctrlr);
	else if (!TAILQ_EMPTY(&ctrlr->qpairs))
		nvmux_qpair_free_async(TAILQ_FIRST(&ctrlr->qpairs), qpair_freed, ctrlr);
	else
		ctrlr_step_done(ctrlr, 0, 0);
}

/* Shut it down, unless that isn't ours to do. */
int ctrlr_finish_hmb_off(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED ||
	    !ctrlr->opts.use_shutdown_notification)
		return CTRLR_FREE_POOL;
	return CTRLR_SHUTDOWN;
}

int ctrlr_finish_free_qpairs(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->n_qpair_ops || !TAILQ_EMPTY(&ctrlr->qpairs))
		return CTRLR_FREE_QPAIRS;
	if (!ctrlr->device_open)
		return CTRLR_CLOSED;
	return ctrlr->hmb_mapped ? CTRLR_HMB_OFF : ctrlr_finish_hmb_off(ctrlr);
}

/*
 * The keep-alive timer isn't active any more once CC.SHN is set (base specification 2.0, section
 * 3.9), and a target may refuse the command then, while the end of shutdown is still waited for.
 */
void ctrlr_enter_shutdown(struct nvmux_ctrlr *ctrlr)
{
	recover_stop_keep_alive(ctrlr);
	ctrlr->cc |= NVME_CC_SHN_NORMAL << NVME_CC_SHN_SHIFT;
	transport_reg_write(ctrlr, NVME_REG_CC, 4, ctrlr->cc, ctrlr_step_done, ctrlr);
}

int ctrlr_finish_wait_shutdown(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->csts = (uint32_t)ctrlr->step_value;
	if (ctrlr->csts == 0xffffffffu)
		return nvmux_error(ctrlr->nvmux, -ENODEV, "%s: gone while it was shut down",
				   ctrlr->trid.traddr);
	if (NVME_CSTS_SHST(ctrlr->csts) == NVME_CSTS_SHST_CMPLT)
		return CTRLR_FREE_POOL;
	return CTRLR_WAIT_SHUTDOWN;
}

/* A pool that a daemon made goes back to it while it can still be told. */
void ctrlr_enter_free_pool(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_mem *pool = ctrlr->admin_pool;

	if (!pool || !pool->provider) {
		ctrlr_step_done(ctrlr, 0, 0);
		return;
	}
	ctrlr_admin_abort_all(ctrlr, NVME_SC_ABORT_QUEUE);
	ctrlr->admin_pool = NULL;
	ctrlr->transport->mem_free(pool, ctrlr_step_done, ctrlr);
}

void ctrlr_enter_close(struct nvmux_ctrlr *ctrlr)
{
	recover_stop(ctrlr);
	timeout_stop(ctrlr);
	if (ctrlr->adminq)
		nvmux_qpair_set_state(ctrlr->adminq, NVMUX_QPAIR_FAILED);
	transport_close(ctrlr, ctrlr_close_step_done, ctrlr);
}

/* The device reaches no memory any more. */
int ctrlr_finish_close(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_qpair *qpair;

	ctrlr->device_open = false;
	ctrlr_admin_abort_all(ctrlr, NVMUX_SC_CTRLR_GONE);
	nvmux_mem_forget_ctrlr(ctrlr->nvmux, ctrlr->index);
	TAILQ_FOREACH (qpair, &ctrlr->qpairs, link) {
		qpair->live = false;
		nvmux_qpair_set_state(qpair, NVMUX_QPAIR_FAILED);
	}
	return CTRLR_DESTROY_ADMINQ;
}

void ctrlr_enter_destroy_adminq(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->adminq)
		transport_qpair_destroy(ctrlr->adminq, ctrlr_close_step_done, ctrlr);
	else
		ctrlr_close_step_done(ctrlr, 0, 0);
}

int ctrlr_finish_destroy_adminq(struct nvmux_ctrlr *ctrlr)
{
	ctrlr->adminq = NULL;
	if (ctrlr->admin_pool)
		nvmux_mem_release(ctrlr->admin_pool);
	ctrlr->admin_pool = NULL;
	ctrlr_free_hmb(ctrlr);
	return CTRLR_CLOSED;
}
