// SPDX-License-Identifier: BSD-3-Clause
/*
 * Admin commands with a function of their own: identify, features, abort, sanitize, self-test,
 * security, directives. Parameters that the specification rules out are refused here, with a text
 * that names them; what only the controller can know is left to it.
 */
#include <errno.h>

#include "admin_cmds.h"
#include "faults.h"
#include "split.h"
#include "sync.h"

#define SEL_MAX        3u
#define SANICAP_CES    (1u << 0)
#define SANICAP_BES    (1u << 1)
#define SANICAP_OWS    (1u << 2)
#define IDENTIFY_BYTES 4096u

/* ---- what the commands share ---- */

int admin_want_oacs(const struct nvmux_ctrlr *ctrlr, uint16_t bit, const char *what)
{
	if (le16_to_cpu(ctrlr->id.oacs) & bit)
		return 0;
	return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP, "%s: the controller doesn't offer %s (OACS)",
			   ctrlr->trid.traddr, what);
}

int admin_check_data(const struct nvmux_ctrlr *ctrlr, const void *buf, uint32_t len, bool optional)
{
	if (!len && optional)
		return 0;
	if (!len || len % 4)
		return nvmux_error(ctrlr->nvmux, -EINVAL,
				   "len is %u; it must be a multiple of 4 and not 0", len);
	if (len > ctrlr->max_transfer)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "len is %u; the transfer limit is %u",
				   len, ctrlr->max_transfer);
	if (!buf)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "len is %u without a buffer", len);
	return 0;
}

uint32_t admin_piece(const struct nvmux_ctrlr *ctrlr)
{
	return MIN(ctrlr->max_transfer, NVMUX_ADMIN_BOUNCE_MAX);
}

struct waiting {
	struct nvmux_sync sync;
	struct nvmux_cpl cpl;
};

static void answered(void *arg, const struct nvmux_cpl *cpl)
{
	struct waiting *w = arg;

	w->cpl = *cpl;
	nvmux_sync_done(&w->sync, 0, 0);
}

int admin_wait(struct nvmux_ctrlr *ctrlr, const struct nvmux_cmd *cmd, void *buf, uint32_t len,
	       struct nvmux_cpl *ret_cpl)
{
	struct waiting w = {.sync.nvmux = ctrlr->nvmux};
	int err = nvmux_sync_check(ctrlr->nvmux);

	if (!err)
		err = nvmux_ctrlr_admin(ctrlr, cmd, buf, len, answered, &w);
	if (!err)
		err = nvmux_sync_wait(&w.sync);
	if (err)
		return err;
	if (ret_cpl) {
		*ret_cpl = w.cpl;
		return 0;
	}
	if (!nvmux_cpl_is_error(&w.cpl))
		return 0;
	return nvmux_error(ctrlr->nvmux, -EIO, "admin command %02xh: status %03x (%s)", cmd->opc,
			   nvmux_cpl_status(&w.cpl) & NVMUX_STATUS_CODE_MASK,
			   nvmux_status_string(nvmux_cpl_status(&w.cpl)));
}

static void tick(void *arg)
{
	*(bool *)arg = true;
}

void admin_pause(struct nvmux *nvmux)
{
	struct nvmux_timer timer = {0};
	bool over = false;

	nvmux_timer_set(nvmux, &timer, 1, tick, &over);
	nvmux_wait(nvmux, &over);
}

int admin_wait_for_rescan(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux *nvmux = ctrlr->nvmux;
	uint16_t index = ctrlr->index;

	while (nvmux->ctrlrs[index] == ctrlr && ctrlr->rescanning)
		admin_pause(nvmux);
	return nvmux->ctrlrs[index] == ctrlr ? 0 : -ENXIO;
}

int admin_rescan(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_sync sync = {.nvmux = ctrlr->nvmux};
	int err = admin_wait_for_rescan(ctrlr); /* that a notice has begun */

	if (err)
		return err;
	nvmux_ctrlr_rescan_async(ctrlr, nvmux_sync_done, &sync);
	return nvmux_sync_wait(&sync);
}

/* ---- identify, features ---- */

int nvmux_ctrlr_cmd_identify(struct nvmux_ctrlr *ctrlr, uint8_t cns, uint32_t nsid, uint16_t cntid,
			     uint8_t csi, uint16_t cns_specific, void *buf, nvmux_cmd_cb cb,
			     void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32((uint32_t)cntid << 16 | cns),
		.cdw11 = cpu_to_le32((uint32_t)csi << 24 | cns_specific),
	};

	return nvmux_ctrlr_admin(ctrlr, &cmd, buf, IDENTIFY_BYTES, cb, arg);
}

/* Save and Select are one bit of ONCS. */
static int want_saved(const struct nvmux_ctrlr *ctrlr, const char *what)
{
	if (le16_to_cpu(ctrlr->id.oncs) & NVME_CTRL_ONCS_SAVE_FEATURES)
		return 0;
	return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
			   "%s: the controller keeps no features: %s isn't possible (ONCS bit 4)",
			   ctrlr->trid.traddr, what);
}

int nvmux_ctrlr_cmd_get_feature(struct nvmux_ctrlr *ctrlr, uint8_t fid, uint8_t sel, uint32_t nsid,
				uint32_t cdw11, void *buf, uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_features,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32((uint32_t)sel << 8 | fid),
		.cdw11 = cpu_to_le32(cdw11),
	};
	int err = admin_check_data(ctrlr, buf, len, true);

	if (!err && sel > SEL_MAX)
		err = nvmux_error(ctrlr->nvmux, -EINVAL, "sel is %u; it must be 0 to 3", sel);
	if (!err && sel)
		err = want_saved(ctrlr, "sel");
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, buf, len, cb, arg);
}

/* The library would lose track of its queues, events, connection or memory. */
static bool is_reserved_feature(uint8_t fid)
{
	switch (fid) {
	case NVME_FEAT_FID_NUM_QUEUES:
	case NVME_FEAT_FID_IRQ_COALESCE:
	case NVME_FEAT_FID_IRQ_CONFIG:
	case NVME_FEAT_FID_ASYNC_EVENT:
	case NVME_FEAT_FID_HOST_MEM_BUF:
	case NVME_FEAT_FID_KATO:
	case NVME_FEAT_FID_HOST_ID: return true;
	default: return false;
	}
}

int nvmux_ctrlr_cmd_set_feature(struct nvmux_ctrlr *ctrlr, uint8_t fid, bool save, uint32_t nsid,
				uint32_t cdw11, uint32_t cdw12, void *buf, uint32_t len,
				nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32((save ? 1u << 31 : 0) | fid),
		.cdw11 = cpu_to_le32(cdw11),
		.cdw12 = cpu_to_le32(cdw12),
	};
	int err = admin_check_data(ctrlr, buf, len, true);

	if (!err && is_reserved_feature(fid))
		err = nvmux_error(ctrlr->nvmux, -EBUSY, "feature %02xh is the library's own", fid);
	if (!err && save)
		err = want_saved(ctrlr, "save");
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, buf, len, cb, arg);
}

/* ---- abort ---- */

/* Through the daemon neither queue nor identifier are the controller's. */
static int want_own_queues(const struct nvmux_ctrlr *ctrlr)
{
	if (!(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED))
		return 0;
	return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
			   "%s: commands can't be aborted through the daemon", ctrlr->trid.trsvcid);
}

static struct nvmux_cmd abort_cmd(uint16_t sqid, uint16_t cid)
{
	return (struct nvmux_cmd){
		.opc = nvme_admin_abort_cmd,
		.cdw10 = cpu_to_le32((uint32_t)cid << 16 | sqid),
	};
}

int nvmux_ctrlr_cmd_abort(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair, uint16_t cid,
			  nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = abort_cmd(qpair ? qpair->id : 0, cid);
	int err = want_own_queues(ctrlr);

	if (!err && qpair && qpair->ctrlr != ctrlr)
		err = nvmux_error(ctrlr->nvmux, -EINVAL,
				  "the queue pair is another controller's");
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, cb, arg);
}

/* Several aborts for one callback. */
struct aborts {
	uint32_t left;
	struct nvmux_cpl cpl; /* the first error, or: bit 0 of dw0 set, if one wasn't aborted */
	nvmux_cmd_cb cb;
	void *arg;
};

static void abort_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct aborts *aborts = arg;

	if (!nvmux_cpl_is_error(&aborts->cpl)) {
		uint32_t dw0 = le32_to_cpu(aborts->cpl.dw0) | le32_to_cpu(cpl->dw0);

		aborts->cpl = *cpl;
		aborts->cpl.dw0 = cpu_to_le32(dw0);
	}
	if (--aborts->left)
		return;
	aborts->cb(aborts->arg, &aborts->cpl);
	free(aborts);
}

static bool is_sent_with(const struct nvmux_ctrlr *ctrlr, const struct nvmux_qpair *qpair,
			 uint32_t index, const void *cmd_arg)
{
	nvmux_cmd_cb cb = qpair->slots[index].cb;
	void *arg = qpair->slots[index].arg;

	if (qpair == ctrlr->adminq)
		return cmd_arg && ctrlr_admin_arg(ctrlr, index) == cmd_arg;
	/* What the library has put around it, in whatever order. */
	while (replay_unwrap(&cb, &arg) || inject_unwrap(&cb, &arg) || staging_unwrap(&cb, &arg) ||
	       nvmux_split_unwrap(&cb, &arg))
		;
	return cb && arg == cmd_arg;
}

int nvmux_ctrlr_cmd_abort_ext(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
			      const void *cmd_arg, nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_qpair *q = qpair ? qpair : ctrlr->adminq;
	struct aborts *aborts;
	int err = want_own_queues(ctrlr);

	if (err)
		return err;
	if (!q || q->ctrlr != ctrlr)
		return nvmux_error(ctrlr->nvmux, q ? -EINVAL : -ENXIO,
				   "the queue pair isn't this controller's");
	aborts = calloc(1, sizeof(*aborts));
	if (!aborts)
		return -ENOMEM;
	aborts->cb = cb;
	aborts->arg = arg;
	for (uint32_t i = 0; i < q->depth && !err; i++) {
		struct nvmux_cmd cmd = abort_cmd(q->id, nvmux_qpair_cid(q, (uint16_t)i));

		if (!is_sent_with(ctrlr, q, i, cmd_arg))
			continue;
		err = nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, abort_done, aborts);
		if (!err)
			aborts->left++;
	}
	if (aborts->left)
		return 0; /* those that were sent will answer */
	free(aborts);
	if (!err)
		err = nvmux_error(ctrlr->nvmux, -ENOENT,
				  "no command with this argument is in flight");
	return err;
}

/* ---- sanitize, self-test ---- */

static int check_sanitize(const struct nvmux_ctrlr *ctrlr, const struct nvmux_sanitize *s)
{
	uint32_t sanicap = le32_to_cpu(ctrlr->id.sanicap), want = 0;

	switch (s->action) {
	case NVMUX_SANITIZE_EXIT_FAILURE: want = SANICAP_CES | SANICAP_BES | SANICAP_OWS; break;
	case NVMUX_SANITIZE_BLOCK_ERASE: want = SANICAP_BES; break;
	case NVMUX_SANITIZE_OVERWRITE: want = SANICAP_OWS; break;
	case NVMUX_SANITIZE_CRYPTO_ERASE: want = SANICAP_CES; break;
	default:
		return nvmux_error(ctrlr->nvmux, -EINVAL, "action is %d; it must be 1 to 4",
				   (int)s->action);
	}
	if (s->owpass > 15)
		return nvmux_error(ctrlr->nvmux, -EINVAL, "owpass is %u; it must be 0 to 15",
				   s->owpass);
	if (sanicap & want)
		return 0;
	return nvmux_error(ctrlr->nvmux, -EOPNOTSUPP,
			   "%s: the controller doesn't offer this kind of sanitize (SANICAP %#x)",
			   ctrlr->trid.traddr, sanicap);
}

int nvmux_ctrlr_cmd_sanitize(struct nvmux_ctrlr *ctrlr, const struct nvmux_sanitize *sanitize,
			     nvmux_cmd_cb cb, void *arg)
{
	bool overwrite = sanitize->action == NVMUX_SANITIZE_OVERWRITE;
	uint32_t cdw10 = (uint32_t)sanitize->action | (uint32_t)sanitize->ause << 3 |
			 (uint32_t)sanitize->no_dealloc << 9;
	struct nvmux_cmd cmd = {.opc = nvme_admin_sanitize_nvm};
	int err = check_sanitize(ctrlr, sanitize);

	if (err)
		return err;
	if (overwrite)
		cdw10 |= (uint32_t)sanitize->owpass << 4 | (uint32_t)sanitize->oipbp << 8;
	cmd.cdw10 = cpu_to_le32(cdw10);
	cmd.cdw11 = cpu_to_le32(overwrite ? sanitize->pattern : 0);
	return nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, cb, arg);
}

int nvmux_ctrlr_cmd_self_test(struct nvmux_ctrlr *ctrlr, uint32_t nsid, uint8_t stc,
			      nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_dev_self_test,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(stc),
	};
	int err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_SELF_TEST, "device self-tests");

	if (!err && stc != 1 && stc != 2 && stc != 0xe && stc != 0xf)
		err = nvmux_error(ctrlr->nvmux, -EINVAL, "stc is %u; it must be 1, 2, 14 or 15",
				  stc);
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, NULL, 0, cb, arg);
}

/* ---- security, directives ---- */

static int security(struct nvmux_ctrlr *ctrlr, uint8_t opc, uint8_t secp, uint16_t spsp,
		    uint8_t nssf, void *buf, uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.cdw10 = cpu_to_le32((uint32_t)secp << 24 | (uint32_t)spsp << 8 | nssf),
		.cdw11 = cpu_to_le32(len),
	};
	int err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_SECURITY, "security send and receive");

	if (!err)
		err = admin_check_data(ctrlr, buf, len, true);
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, buf, len, cb, arg);
}

int nvmux_ctrlr_cmd_security_receive(struct nvmux_ctrlr *ctrlr, uint8_t secp, uint16_t spsp,
				     uint8_t nssf, void *buf, uint32_t len, nvmux_cmd_cb cb,
				     void *arg)
{
	return security(ctrlr, nvme_admin_security_recv, secp, spsp, nssf, buf, len, cb, arg);
}

int nvmux_ctrlr_cmd_security_send(struct nvmux_ctrlr *ctrlr, uint8_t secp, uint16_t spsp,
				  uint8_t nssf, const void *buf, uint32_t len, nvmux_cmd_cb cb,
				  void *arg)
{
	return security(ctrlr, nvme_admin_security_send, secp, spsp, nssf, (void *)(uintptr_t)buf,
			len, cb, arg);
}

static int directive(struct nvmux_ctrlr *ctrlr, uint8_t opc, uint32_t nsid, uint8_t doper,
		     uint8_t dtype, uint16_t dspec, void *buf, uint32_t len, uint32_t cdw12,
		     nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(len ? len / 4 - 1 : 0),
		.cdw11 = cpu_to_le32((uint32_t)dspec << 16 | (uint32_t)dtype << 8 | doper),
		.cdw12 = cpu_to_le32(cdw12),
	};
	int err = admin_want_oacs(ctrlr, NVME_CTRL_OACS_DIRECTIVES, "directives");

	if (!err)
		err = admin_check_data(ctrlr, buf, len, true);
	return err ? err : nvmux_ctrlr_admin(ctrlr, &cmd, buf, len, cb, arg);
}

int nvmux_ctrlr_cmd_directive_receive(struct nvmux_ctrlr *ctrlr, uint32_t nsid, uint8_t doper,
				      uint8_t dtype, uint16_t dspec, void *buf, uint32_t len,
				      uint32_t cdw12, nvmux_cmd_cb cb, void *arg)
{
	return directive(ctrlr, nvme_admin_directive_recv, nsid, doper, dtype, dspec, buf, len,
			 cdw12, cb, arg);
}

int nvmux_ctrlr_cmd_directive_send(struct nvmux_ctrlr *ctrlr, uint32_t nsid, uint8_t doper,
				   uint8_t dtype, uint16_t dspec, const void *buf, uint32_t len,
				   uint32_t cdw12, nvmux_cmd_cb cb, void *arg)
{
	return directive(ctrlr, nvme_admin_directive_send, nsid, doper, dtype, dspec,
			 (void *)(uintptr_t)buf, len, cdw12, cb, arg);
}
