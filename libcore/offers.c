// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a controller says that it supports: log pages (LID 0h), commands and their effects (LID 5h,
 * per command set), features (LID 12h).
 *
 * Happy path: at the end of each start, resets included, each log that Identify Controller
 * announces is read, one after the other: other firmware may have become active.
 *
 * Failure modes: a log that isn't there or is refused leaves the question to what the
 * specification says of the command, log page or feature.
 */
#include <errno.h>
#include <string.h>

#include <nvmux/admin.h>
#include "ctrlr_state.h"

/* Log Page Attributes. Base specification 2.0, figure 275. */
#define LPA_SMART_NS      (1u << 0)
#define LPA_EFFECTS       (1u << 1)
#define LPA_TELEMETRY     (1u << 3)
#define LPA_PERSISTENT    (1u << 4)
#define LPA_SUPPORTED     (1u << 5) /* LID 0h and 12h */
#define LSUPP             1u        /* of a log page, FSUPP of a feature */
#define EFFECTS_KNOWN     0x0007001fu /* the bits of enum nvmux_effects, CSE included */
#define OPC_VENDOR        0xc0 /* and above, of admin commands */
#define CSE(n)            ((uint32_t)(n) << NVMUX_EFFECT_CSE_SHIFT)

enum offer {
	OFFER_LOGS,
	OFFER_EFFECTS,
	OFFER_ZNS_EFFECTS,
	OFFER_FEATURES,
	OFFER_COUNT,
};

struct nvmux_offers {
	uint32_t known; /* bits by enum offer: read */
	uint32_t asked; /* whatever the answer was */
	uint8_t logs[32];
	uint8_t features[32];
	uint32_t admin[256];
	uint32_t io[256]; /* of all command sets that it has namespaces of */
	__le32 log[1024]; /* being read */
};

static bool bit(const uint8_t *bits, uint8_t n)
{
	return bits[n / 8] >> n % 8 & 1;
}

static bool is_announced(const struct nvmux_ctrlr *ctrlr, enum offer offer)
{
	switch (offer) {
	case OFFER_LOGS: return ctrlr->id.lpa & LPA_SUPPORTED;
	case OFFER_EFFECTS: return ctrlr->id.lpa & LPA_EFFECTS;
	case OFFER_ZNS_EFFECTS: return ctrlr->id.lpa & LPA_EFFECTS && ctrlr->zns_id;
	case OFFER_FEATURES:
		return ctrlr->offers->known & 1u << OFFER_LOGS &&
		       bit(ctrlr->offers->logs, NVME_LOG_LID_FID_SUPPORTED_EFFECTS);
	default: return false;
	}
}

static enum offer next_offer(const struct nvmux_ctrlr *ctrlr)
{
	for (unsigned offer = 0; offer < OFFER_COUNT; offer++) {
		if (!(ctrlr->offers->asked >> offer & 1) && is_announced(ctrlr, offer))
			return (enum offer)offer;
	}
	return OFFER_COUNT;
}

void ctrlr_forget_offers(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->offers)
		memset(ctrlr->offers, 0, sizeof(*ctrlr->offers));
}

int ctrlr_next_offer(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->discovery)
		return CTRLR_ANA_LOG;
	if (!ctrlr->offers)
		ctrlr->offers = calloc(1, sizeof(*ctrlr->offers));
	if (!ctrlr->offers)
		return -ENOMEM;
	return next_offer(ctrlr) == OFFER_COUNT ? CTRLR_ANA_LOG : CTRLR_OFFERS;
}

void ctrlr_enter_offers(struct nvmux_ctrlr *ctrlr)
{
	static const struct {
		uint8_t lid;
		uint8_t csi;
		uint16_t size;
	} pages[OFFER_COUNT] = {
		[OFFER_LOGS] = {NVME_LOG_LID_SUPPORTED_LOG_PAGES, 0, 1024},
		[OFFER_EFFECTS] = {NVME_LOG_LID_CMD_EFFECTS, NVME_CSI_NVM, 4096},
		[OFFER_ZNS_EFFECTS] = {NVME_LOG_LID_CMD_EFFECTS, NVME_CSI_ZNS, 4096},
		[OFFER_FEATURES] = {NVME_LOG_LID_FID_SUPPORTED_EFFECTS, 0, 1024},
	};
	enum offer offer = next_offer(ctrlr);
	uint32_t size = pages[offer].size;
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_get_log_page,
		.nsid = cpu_to_le32(NVME_NSID_ALL),
		.cdw10 = cpu_to_le32((size / 4 - 1) << 16 | pages[offer].lid),
		.cdw14 = cpu_to_le32((uint32_t)pages[offer].csi << 24),
	};
	int err;

	memset(ctrlr->offers->log, 0, sizeof(ctrlr->offers->log));
	err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->offers->log, size, ctrlr_step_cpl_any, ctrlr);
	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

static void take_bits(uint8_t bits[32], const __le32 *log)
{
	for (unsigned i = 0; i < 256; i++) {
		if (le32_to_cpu(log[i]) & LSUPP)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
	}
}

static void take_effects(struct nvmux_offers *offers)
{
	for (unsigned i = 0; i < 256; i++) {
		offers->admin[i] |= le32_to_cpu(offers->log[i]) & EFFECTS_KNOWN;
		offers->io[i] |= le32_to_cpu(offers->log[256 + i]) & EFFECTS_KNOWN;
	}
}

int ctrlr_finish_offers(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_offers *offers = ctrlr->offers;
	enum offer offer = next_offer(ctrlr);

	offers->asked |= 1u << offer;
	if (ctrlr->step_status)
		return ctrlr_next_offer(ctrlr);
	offers->known |= 1u << offer;
	switch (offer) {
	case OFFER_LOGS: take_bits(offers->logs, offers->log); break;
	case OFFER_FEATURES: take_bits(offers->features, offers->log); break;
	default: take_effects(offers); break;
	}
	return ctrlr_next_offer(ctrlr);
}

static bool is_known(const struct nvmux_ctrlr *ctrlr, enum offer offer)
{
	return ctrlr->offers && ctrlr->offers->known >> offer & 1;
}

/* ---- log pages ---- */

bool nvmux_ctrlr_is_log_page_supported(const struct nvmux_ctrlr *ctrlr, uint8_t lid)
{
	const struct nvme_id_ctrl *id = &ctrlr->id;
	uint16_t oacs = le16_to_cpu(id->oacs);

	if (ctrlr->discovery)
		return lid == NVME_LOG_LID_DISCOVER;
	if (is_known(ctrlr, OFFER_LOGS))
		return bit(ctrlr->offers->logs, lid);
	switch (lid) {
	case NVME_LOG_LID_ERROR:
	case NVME_LOG_LID_SMART:
	case NVME_LOG_LID_FW_SLOT: return true;
	case NVME_LOG_LID_SUPPORTED_LOG_PAGES:
	case NVME_LOG_LID_FID_SUPPORTED_EFFECTS: return id->lpa & LPA_SUPPORTED;
	case NVME_LOG_LID_CHANGED_NS: return le32_to_cpu(id->oaes) & NVME_CTRL_OAES_NA;
	case NVME_LOG_LID_CMD_EFFECTS: return id->lpa & LPA_EFFECTS;
	case NVME_LOG_LID_DEVICE_SELF_TEST: return oacs & NVME_CTRL_OACS_SELF_TEST;
	case NVME_LOG_LID_TELEMETRY_HOST:
	case NVME_LOG_LID_TELEMETRY_CTRL: return id->lpa & LPA_TELEMETRY;
	case NVME_LOG_LID_ENDURANCE_GROUP:
		return le32_to_cpu(id->ctratt) & NVME_CTRL_CTRATT_ENDURANCE_GROUPS;
	case NVME_LOG_LID_ANA: return nvmux_ana_supported(ctrlr);
	case NVME_LOG_LID_PERSISTENT_EVENT: return id->lpa & LPA_PERSISTENT;
	case NVME_LOG_LID_LBA_STATUS: return oacs & NVME_CTRL_OACS_LBA_STATUS;
	case NVME_LOG_LID_RESERVATION:
		return le16_to_cpu(id->oncs) & NVME_CTRL_ONCS_RESERVATIONS;
	case NVME_LOG_LID_SANITIZE: return id->sanicap != 0;
	case NVME_LOG_LID_ZNS_CHANGED_ZONES:
		return ctrlr->zns_id && le32_to_cpu(id->oaes) & NVME_CTRL_OAES_ZD;
	default: return false;
	}
}

/* ---- features ---- */

bool nvmux_ctrlr_is_feature_supported(const struct nvmux_ctrlr *ctrlr, uint8_t fid)
{
	const struct nvme_id_ctrl *id = &ctrlr->id;
	uint16_t oncs = le16_to_cpu(id->oncs);

	if (is_known(ctrlr, OFFER_FEATURES))
		return bit(ctrlr->offers->features, fid);
	switch (fid) {
	case NVME_FEAT_FID_ARBITRATION:
	case NVME_FEAT_FID_POWER_MGMT:
	case NVME_FEAT_FID_TEMP_THRESH:
	case NVME_FEAT_FID_ERR_RECOVERY:
	case NVME_FEAT_FID_NUM_QUEUES:
	case NVME_FEAT_FID_WRITE_ATOMIC:
	case NVME_FEAT_FID_ASYNC_EVENT: return !ctrlr->discovery;
	case NVME_FEAT_FID_IRQ_COALESCE:
	case NVME_FEAT_FID_IRQ_CONFIG: return !nvmux_ctrlr_is_fabrics(ctrlr);
	case NVME_FEAT_FID_VOLATILE_WC: return id->vwc & 1;
	case NVME_FEAT_FID_AUTO_PST: return id->apsta & 1;
	case NVME_FEAT_FID_HOST_MEM_BUF: return id->hmpre != 0;
	case NVME_FEAT_FID_TIMESTAMP: return oncs & NVME_CTRL_ONCS_TIMESTAMP;
	case NVME_FEAT_FID_KATO: return id->kas != 0;
	case NVME_FEAT_FID_HCTM: return le16_to_cpu(id->hctma) & 1;
	case NVME_FEAT_FID_RRL:
		return le32_to_cpu(id->ctratt) & NVME_CTRL_CTRATT_READ_RECV_LVLS;
	case NVME_FEAT_FID_LBA_STS_INTERVAL:
		return le16_to_cpu(id->oacs) & NVME_CTRL_OACS_LBA_STATUS;
	case NVME_FEAT_FID_SANITIZE: return id->sanicap != 0;
	case NVME_FEAT_FID_HOST_ID:
	case NVME_FEAT_FID_RESV_MASK:
	case NVME_FEAT_FID_RESV_PERSIST: return oncs & NVME_CTRL_ONCS_RESERVATIONS;
	case NVME_FEAT_FID_WRITE_PROTECT: return id->nwpc & 1;
	default: return false;
	}
}

/* ---- effects, where the controller has no log of them ---- */

static uint32_t admin_effects(const struct nvmux_ctrlr *ctrlr, uint8_t opc)
{
	uint16_t oacs = le16_to_cpu(ctrlr->id.oacs);
	uint32_t yes = NVMUX_EFFECT_SUPPORTED;

	switch (opc) {
	case nvme_admin_delete_sq:
	case nvme_admin_create_sq:
	case nvme_admin_delete_cq:
	case nvme_admin_create_cq: return nvmux_ctrlr_is_fabrics(ctrlr) ? 0 : yes;
	case nvme_admin_get_log_page:
	case nvme_admin_identify:
	case nvme_admin_abort_cmd:
	case nvme_admin_set_features:
	case nvme_admin_get_features:
	case nvme_admin_async_event: return yes;
	case nvme_admin_keep_alive: return ctrlr->id.kas ? yes : 0;
	case nvme_admin_fabrics: return nvmux_ctrlr_is_fabrics(ctrlr) ? yes : 0;
	case nvme_admin_ns_mgmt:
	case nvme_admin_ns_attach:
		return oacs & NVME_CTRL_OACS_NS_MGMT ? yes | NVMUX_EFFECT_NS_INVENTORY | CSE(1)
						     : 0;
	case nvme_admin_fw_commit:
		return oacs & NVME_CTRL_OACS_FW ? yes | NVMUX_EFFECT_CTRLR | CSE(2) : 0;
	case nvme_admin_fw_download: return oacs & NVME_CTRL_OACS_FW ? yes : 0;
	case nvme_admin_dev_self_test: return oacs & NVME_CTRL_OACS_SELF_TEST ? yes : 0;
	case nvme_admin_directive_send:
	case nvme_admin_directive_recv: return oacs & NVME_CTRL_OACS_DIRECTIVES ? yes : 0;
	case nvme_admin_virtual_mgmt:
		return oacs & NVME_CTRL_OACS_VIRT_MGMT ? yes | NVMUX_EFFECT_CTRLR | CSE(2) : 0;
	case nvme_admin_nvme_mi_send:
	case nvme_admin_nvme_mi_recv: return oacs & NVME_CTRL_OACS_NVME_MI ? yes : 0;
	case nvme_admin_dbbuf: return oacs & NVME_CTRL_OACS_DBBUF_CFG ? yes : 0;
	case nvme_admin_get_lba_status: return oacs & NVME_CTRL_OACS_LBA_STATUS ? yes : 0;
	case nvme_admin_lockdown: return oacs & NVME_CTRL_OACS_CMD_FEAT_LD ? yes : 0;
	case nvme_admin_format_nvm:
		return oacs & NVME_CTRL_OACS_FORMAT ? yes | NVMUX_EFFECT_LBA_CONTENT |
							      NVMUX_EFFECT_NS_CAPABILITY | CSE(2)
						    : 0;
	case nvme_admin_security_send:
		return oacs & NVME_CTRL_OACS_SECURITY ? yes | NVMUX_EFFECT_LBA_CONTENT | CSE(2)
						      : 0;
	case nvme_admin_security_recv: return oacs & NVME_CTRL_OACS_SECURITY ? yes : 0;
	case nvme_admin_sanitize_nvm:
		return ctrlr->id.sanicap ? yes | NVMUX_EFFECT_LBA_CONTENT | CSE(2) : 0;
	default:
		/* the vendor's own: they may do anything */
		return opc >= OPC_VENDOR ? NVMUX_EFFECT_NS_CAPABILITY | NVMUX_EFFECT_NS_INVENTORY |
						   CSE(2)
					 : 0;
	}
}

static uint32_t io_effects(const struct nvmux_ctrlr *ctrlr, uint8_t opc)
{
	uint16_t oncs = le16_to_cpu(ctrlr->id.oncs);
	uint32_t yes = NVMUX_EFFECT_SUPPORTED, changes = yes | NVMUX_EFFECT_LBA_CONTENT;
	bool resv = oncs & NVME_CTRL_ONCS_RESERVATIONS;

	switch (opc) {
	case nvme_cmd_flush:
	case nvme_cmd_read: return yes;
	case nvme_cmd_write: return changes;
	case nvme_cmd_write_uncor: return oncs & NVME_CTRL_ONCS_WRITE_UNCORRECTABLE ? changes : 0;
	case nvme_cmd_compare: return oncs & NVME_CTRL_ONCS_COMPARE ? yes : 0;
	case nvme_cmd_write_zeroes: return oncs & NVME_CTRL_ONCS_WRITE_ZEROES ? changes : 0;
	case nvme_cmd_dsm: return oncs & NVME_CTRL_ONCS_DSM ? changes : 0;
	case nvme_cmd_verify: return oncs & NVME_CTRL_ONCS_VERIFY ? yes : 0;
	case nvme_cmd_resv_register:
	case nvme_cmd_resv_report:
	case nvme_cmd_resv_acquire:
	case nvme_cmd_resv_release: return resv ? yes : 0;
	case nvme_cmd_copy: return oncs & NVME_CTRL_ONCS_COPY ? changes : 0;
	case nvme_zns_cmd_mgmt_send:
	case nvme_zns_cmd_append: return ctrlr->zns_id ? changes : 0;
	case nvme_zns_cmd_mgmt_recv: return ctrlr->zns_id ? yes : 0;
	default: return 0;
	}
}

uint32_t nvmux_ctrlr_get_effects(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc)
{
	if (is_known(ctrlr, OFFER_EFFECTS))
		return io ? ctrlr->offers->io[opc] : ctrlr->offers->admin[opc];
	return io ? io_effects(ctrlr, opc) : admin_effects(ctrlr, opc);
}
