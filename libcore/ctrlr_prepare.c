// SPDX-License-Identifier: BSD-3-Clause
/*
 * Between Identify Controller and the namespaces: what Identify must say for us to go on, what the
 * transport prepares by it, who we are (Host Identifier), and the limits of the NVM command set.
 *
 * Happy path: the fields that everything else is computed from are checked; the transport sets up
 * what it needs (doorbell buffers, for one); a controller with reservations is told the host's
 * identifier, at each start, since a reset ends it (base specification 2.0, section 5.27.1.25);
 * Identify CNS 06h says which commands without data are too large.
 *
 * Failure modes: identify data that can't be right (-EPROTO) or can't be served (-EOPNOTSUPP), with
 * the field, its value and the rule; an identifier that is refused: reservations will fail with the
 * controller's status, all else works; no such identify data: there are no such limits.
 */
#include <errno.h>
#include <string.h>

#include "ctrlr_state.h"

#define SQES_WANTED        6u  /* entries of 2^6 bytes, */
#define CQES_WANTED        4u  /* and of 2^4 */
#define MDTS_MAX           51u /* 2^(12 + 51) bytes still fit into 64 bits */
#define EXHID              1u
#define HOST_ID_BYTES      8u
#define HOST_ID_LONG_BYTES 16u

/* ---- Identify Controller ---- */

/* An entry's sizes, powers of two: the required one in bits 3:0, the largest in bits 7:4. */
static int check_entry_size(struct nvmux_ctrlr *ctrlr, const char *field, uint8_t value,
			    uint32_t wanted)
{
	uint32_t min = value & 0xf, max = value >> 4;

	if (min <= wanted && max >= wanted && min)
		return 0;
	return nvmux_error(ctrlr->nvmux, min > wanted ? -EOPNOTSUPP : -EPROTO,
			   "%s: Identify Controller: %s is %02xh; bits 3:0 must be 1 to %u and "
			   "bits 7:4 at least %u, for entries of %u bytes",
			   ctrlr->trid.traddr, field, value, wanted, wanted, 1u << wanted);
}

int ctrlr_check_identify(struct nvmux_ctrlr *ctrlr)
{
	const struct nvme_id_ctrl *id = &ctrlr->id;
	static const struct nvme_id_ctrl zero;
	uint32_t nn = le32_to_cpu(id->nn);
	int err;

	if (!memcmp(id, &zero, sizeof(zero)))
		return nvmux_error(ctrlr->nvmux, -EPROTO,
				   "%s: Identify Controller: all of it is 0; the controller must "
				   "describe itself",
				   ctrlr->trid.traddr);
	if (id->mdts > MDTS_MAX)
		return nvmux_error(ctrlr->nvmux, -EPROTO,
				   "%s: Identify Controller: MDTS is %u; it must be 0 to %u, since "
				   "2^(12 + MDTS) is a number of bytes",
				   ctrlr->trid.traddr, id->mdts, MDTS_MAX);
	if (ctrlr->discovery)
		return 0;
	err = check_entry_size(ctrlr, "SQES", id->sqes, SQES_WANTED);
	if (!err)
		err = check_entry_size(ctrlr, "CQES", id->cqes, CQES_WANTED);
	if (!err && (!nn || nn == NVME_NSID_ALL))
		err = nvmux_error(ctrlr->nvmux, -EPROTO,
				  "%s: Identify Controller: NN is %#x; it must be 1 to fffffffeh, "
				  "the largest namespace identifier",
				  ctrlr->trid.traddr, nn);
	return err;
}

/* ---- the transport ---- */

/* It comes first: what follows are commands that a controller may refuse. */
int ctrlr_prepare_or_next(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->transport->ctrlr_identified ? CTRLR_PREPARE : ctrlr_host_id_or_next(ctrlr);
}

void ctrlr_enter_prepare(struct nvmux_ctrlr *ctrlr)
{
	transport_identified(ctrlr, ctrlr_step_done, ctrlr);
}

int ctrlr_finish_prepare(struct nvmux_ctrlr *ctrlr)
{
	return ctrlr_host_id_or_next(ctrlr);
}

/* ---- Host Identifier ---- */

static bool has_limits(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->vs >= CTRLR_VERSION(1, 4);
}

int ctrlr_limits_or_next(const struct nvmux_ctrlr *ctrlr)
{
	return has_limits(ctrlr) ? CTRLR_LIMITS : CTRLR_ACTIVE_NS;
}

/* Over fabrics Connect has told it, and somebody else's controller is somebody else's host's. */
int ctrlr_host_id_or_next(const struct nvmux_ctrlr *ctrlr)
{
	if (le16_to_cpu(ctrlr->id.oncs) & NVME_CTRL_ONCS_RESERVATIONS &&
	    !nvmux_ctrlr_is_fabrics(ctrlr) && !(ctrlr->transport->flags & NVMUX_TRANSPORT_MANAGED))
		return CTRLR_HOST_ID;
	return ctrlr_limits_or_next(ctrlr);
}

static void unknown_host(struct nvmux_ctrlr *ctrlr, const char *why)
{
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: it doesn't know this host, reservations won't work: %s", ctrlr->trid.traddr,
		  why);
}

void ctrlr_enter_host_id(struct nvmux_ctrlr *ctrlr)
{
	bool is_long = le32_to_cpu(ctrlr->id.ctratt) & NVME_CTRL_CTRATT_128_ID;
	uint32_t len = is_long ? HOST_ID_LONG_BYTES : HOST_ID_BYTES;
	const struct nvmux_cmd cmd = {
		.opc = nvme_admin_set_features,
		.cdw10 = cpu_to_le32(NVME_FEAT_FID_HOST_ID),
		.cdw11 = cpu_to_le32(is_long ? EXHID : 0),
	};
	int err = nvmux_host_identity(ctrlr->nvmux, &ctrlr->opts);

	ctrlr->step_status = 0;
	if (!err)
		err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->opts.hostid, len, ctrlr_step_cpl_any,
					ctrlr);
	if (err) {
		unknown_host(ctrlr, ctrlr->nvmux->error);
		ctrlr_step_done(ctrlr, 0, 0);
	}
}

int ctrlr_finish_host_id(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->step_status)
		unknown_host(ctrlr, nvmux_status_string(ctrlr->step_status));
	return ctrlr_limits_or_next(ctrlr);
}

/* ---- limits of the NVM command set ---- */

void ctrlr_enter_limits(struct nvmux_ctrlr *ctrlr)
{
	const struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.cdw10 = cpu_to_le32(NVME_IDENTIFY_CNS_CSI_CTRL),
		.cdw11 = cpu_to_le32((uint32_t)NVME_CSI_NVM << 24),
	};
	int err = -ENOMEM;

	if (!ctrlr->nvm_id)
		ctrlr->nvm_id = calloc(1, sizeof(*ctrlr->nvm_id));
	if (ctrlr->nvm_id)
		err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->nvm_id, sizeof(*ctrlr->nvm_id),
					ctrlr_step_cpl_any, ctrlr);
	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

/* NVM command set 1.0, section 4.1.5.4. Older controllers refuse: nothing is limited then. */
int ctrlr_finish_limits(struct nvmux_ctrlr *ctrlr)
{
	const struct nvme_id_ctrl_nvm *id = ctrlr->nvm_id;
	bool known = !ctrlr->step_status;

	ctrlr->nvm = (struct nvmux_nvm_limits){
		.verify = known ? id->vsl : 0,
		.write_zeroes = known ? id->wzsl : 0,
		.write_uncorrectable = known ? id->wusl : 0,
		.dsm_ranges = known ? id->dmrl : 0,
		.dsm_range_lbas = known ? le32_to_cpu((NVMUX_FORCE __le32)id->dmrsl) : 0,
		.dsm_lbas = known ? le64_to_cpu((NVMUX_FORCE __le64)id->dmsl) : 0,
	};
	free(ctrlr->nvm_id);
	ctrlr->nvm_id = NULL;
	return CTRLR_ACTIVE_NS;
}
