// SPDX-License-Identifier: BSD-3-Clause
/* Identify. Base specification 2.0, section 5.17; NVM command set 1.0, section 4.1.5. */
#include <string.h>
#include "emulator/internal.h"

#define VENDOR_ID       0x6e76 /* not assigned to anybody */
#define VERSION_2_0     0x00020000
#define WARNING_TEMP_K  343
#define CRITICAL_TEMP_K 353
#define DATA_SIZE       NVME_IDENTIFY_DATA_SIZE
#define SHORT_SIZE      256u       /* of the fault */
#define NSID_LIST_LAST  0xfffffffd /* greatest starting point of a namespace list */
#define CNTID_ALL       0xffff

_Static_assert(sizeof(struct nvme_id_ctrl) == DATA_SIZE, "Identify Controller data structure");
_Static_assert(sizeof(struct nvme_id_ns) == DATA_SIZE, "Identify Namespace data structure");

struct request {
	struct emu_ctrlr *ctrlr;
	uint32_t nsid;
	uint16_t cntid;
	uint8_t csi;
};

/* Text fields are padded with spaces and have no end. */
static void put_text(char *dst, size_t size, const char *text)
{
	memset(dst, ' ', size);
	memcpy(dst, text, MIN(strlen(text), size));
}

static void fill_limits(const struct emu_ctrlr *ctrlr, struct nvme_id_ctrl *id)
{
	id->mdts = ctrlr->config.mdts;
	id->acl = 3;
	id->aerl = EMU_AER_MAX - 1;
	id->elpe = EMU_ERROR_ENTRIES - 1;
	id->sqes = 0x66;
	id->cqes = 0x44;
	id->nn = cpu_to_le32(emu_nn(ctrlr));
	id->rtd3r = cpu_to_le32(100000);
	id->rtd3e = cpu_to_le32(1000000);
	id->wctemp = cpu_to_le16(WARNING_TEMP_K);
	id->cctemp = cpu_to_le16(CRITICAL_TEMP_K);
	id->psd[0].mp = cpu_to_le16(2500); /* 25 W */
}

static void fill_admin(const struct emu_ctrlr *ctrlr, struct nvme_id_ctrl *id)
{
	uint16_t oacs = NVME_CTRL_OACS_SECURITY | NVME_CTRL_OACS_FORMAT | NVME_CTRL_OACS_FW |
			NVME_CTRL_OACS_NS_MGMT | NVME_CTRL_OACS_SELF_TEST |
			NVME_CTRL_OACS_DIRECTIVES;

	if (emu_shadow_offered(ctrlr))
		oacs |= NVME_CTRL_OACS_DBBUF_CFG;
	id->oacs = cpu_to_le16(oacs);
	/* 100 ms, 1 s, 5 s: how long a Command Retry Delay of 1, 2, 3 is */
	id->crdt1 = cpu_to_le16(1);
	id->crdt2 = cpu_to_le16(10);
	id->crdt3 = cpu_to_le16(50);
	id->frmw = NVME_CTRL_FRMW_1ST_RO | EMU_FW_SLOTS << 1 | NVME_CTRL_FRMW_FW_ACT_NO_RESET |
		   NVME_CTRL_FRMW_MP_UP_DETECTION;
	id->fwug = EMU_FW_UNIT / 4096;
	id->edstt = cpu_to_le16(1); /* minutes */
	id->dsto = 1;               /* one self-test at a time in the whole subsystem */
	/* After an overwrite the media may be left as it is, and it isn't modified further. */
	id->sanicap = cpu_to_le32(NVME_CTRL_SANICAP_CES | NVME_CTRL_SANICAP_BES |
				  NVME_CTRL_SANICAP_OWS | 1u << 30);
	id->hmpre = cpu_to_le32((uint32_t)(ctrlr->config.hmb / EMU_PAGE_SIZE));
	if (ctrlr->config.hmb) {
		id->hmmin = cpu_to_le32(
			(uint32_t)(MIN(ctrlr->config.hmb, EMU_HMB_MIN) / EMU_PAGE_SIZE));
		id->hmmaxd = cpu_to_le16(EMU_HMB_DESCRIPTORS);
	}
	emu_put128(id->tnvmcap, emu_ns_capacity(ctrlr));
	emu_put128(id->unvmcap, emu_ns_unallocated(ctrlr));
	id->mnan = cpu_to_le32(emu_nn(ctrlr));
	id->fna = 1u << 2; /* cryptographic erase; format and erase are of single namespaces */
}

static void fill_capabilities(const struct emu_ctrlr *ctrlr, struct nvme_id_ctrl *id)
{
	id->oaes = cpu_to_le32(NVME_CTRL_OAES_NA | NVME_CTRL_OAES_FA |
			       (emu_has_zones(ctrlr) ? NVME_CTRL_OAES_ZD : 0));
	id->ctratt = cpu_to_le32(
		NVME_CTRL_CTRATT_128_ID |
		(ctrlr->config.fdp ? NVME_CTRL_CTRATT_FDPS | NVME_CTRL_CTRATT_ENDURANCE_GROUPS
				   : 0));
	id->endgidmax = cpu_to_le16(ctrlr->config.fdp ? 1 : 0);
	id->lpa = NVME_CTRL_LPA_CMD_EFFECTS | NVME_CTRL_LPA_EXTENDED |
		  NVME_CTRL_LPA_LI0_LI5_LI12_LI13;
	id->oncs = cpu_to_le16(emu_oncs(ctrlr) |
			       (NVME_CTRL_ONCS_SAVE_FEATURES & ~ctrlr->config.oncs_off));
	if (!(ctrlr->config.oncs_off & NVME_CTRL_ONCS_COMPARE)) {
		id->fuses = cpu_to_le16(NVME_CTRL_FUSES_COMPARE_AND_WRITE);
		id->acwu = cpu_to_le16(EMU_ACWU);
	}
	id->ocfs = cpu_to_le16(!(ctrlr->config.oncs_off & NVME_CTRL_ONCS_COPY)); /* format 0 */
	if (ctrlr->config.sgl) /* data may begin anywhere */
		id->sgls = cpu_to_le32(1 | NVME_CTRL_SGLS_BIT_BUCKET |
				       NVME_CTRL_SGLS_MPTR_BYTE_ALIGNED | NVME_CTRL_SGLS_MPTR_SGL);
	id->vwc = NVME_CTRL_VWC_PRESENT | NVME_CTRL_VWC_FLUSH; /* flush of all namespaces too */
}

static uint16_t id_ctrl(const struct request *r, uint8_t *buf)
{
	const struct emu_config *config = &r->ctrlr->config;
	struct nvme_id_ctrl *id = (struct nvme_id_ctrl *)(void *)buf;

	id->vid = cpu_to_le16(VENDOR_ID);
	id->ssvid = cpu_to_le16(VENDOR_ID);
	put_text(id->sn, sizeof(id->sn), config->serial);
	put_text(id->mn, sizeof(id->mn), config->model);
	memcpy(id->fr, r->ctrlr->firmware.revision[r->ctrlr->firmware.active - 1], sizeof(id->fr));
	id->cntlid = cpu_to_le16(EMU_CNTLID);
	id->ver = cpu_to_le32(VERSION_2_0);
	id->cntrltype = 1; /* I/O controller */
	emu_subnqn(config, id->subnqn);
	fill_limits(r->ctrlr, id);
	fill_admin(r->ctrlr, id);
	fill_capabilities(r->ctrlr, id);
	return EMU_SUCCESS;
}

/* What all namespaces that can be created have in common. */
static void fill_formats(struct nvme_id_ns *id)
{
	id->nlbaf = EMU_LBAFS - 1;
	for (uint32_t i = 0; i < EMU_LBAFS; i++) {
		id->lbaf[i].ds = emu_lbafs[i].shift;
		id->lbaf[i].ms = cpu_to_le16(emu_lbafs[i].ms);
	}
	id->mc = NVME_NS_MC_EXTENDED | NVME_NS_MC_SEPARATE;
	id->dpc = NVME_NS_DPC_PI_TYPE1 | NVME_NS_DPC_PI_TYPE2 | NVME_NS_DPC_PI_TYPE3 |
		  NVME_NS_DPC_PI_FIRST | NVME_NS_DPC_PI_LAST;
}

/* What CNS 00h and 08h both have. */
static uint8_t rescap(const struct emu_ctrlr *ctrlr)
{
	return emu_has_resv(ctrlr) ? EMU_RESCAP : 0;
}

static __le16 endgid(const struct emu_ctrlr *ctrlr)
{
	return cpu_to_le16(ctrlr->config.fdp ? 1 : 0);
}

static void fill_ns(const struct emu_ctrlr *ctrlr, const struct emu_ns *ns, struct nvme_id_ns *id)
{
	id->nsze = id->ncap = id->nuse = cpu_to_le64(ns->n_blocks);
	id->noiob = cpu_to_le16(ctrlr->config.noiob);
	id->endgid = endgid(ctrlr);
	fill_formats(id);
	id->flbas = (uint8_t)(ns->lbaf | (ns->mset ? NVME_NS_FLBAS_META_EXT : 0));
	id->dps = (uint8_t)(ns->pi | (ns->pi && ns->pil ? NVME_NS_DPS_PI_FIRST : 0));
	id->rescap = rescap(ctrlr);
	if (!(ctrlr->config.oncs_off & NVME_CTRL_ONCS_COPY)) {
		id->mssrl = cpu_to_le16(EMU_COPY_MSSRL);
		id->mcl = cpu_to_le32(EMU_COPY_MCL);
		id->msrc = EMU_COPY_MSRC;
	}
	/* Deallocated blocks read as zeroes, and Write Zeroes may deallocate. */
	if (ns->data)
		id->dlfeat = NVME_NS_DLFEAT_RB_ALL_0S | NVME_NS_DLFEAT_WRITE_ZEROES;
	memcpy(id->nguid, ns->nguid, sizeof(id->nguid));
}

/* An identifier that is none at all, or not in use: then the data is zeroes. */
static uint16_t check_nsid(const struct request *r)
{
	if (r->nsid == 0 || r->nsid > emu_nn(r->ctrlr))
		return EMU_GENERIC(INVALID_NS);
	return EMU_SUCCESS;
}

static uint16_t id_ns(const struct request *r, uint8_t *buf)
{
	const struct emu_ns *ns = emu_ns_get(r->ctrlr, r->nsid);

	if (r->nsid == NVME_NSID_ALL) {
		fill_formats((struct nvme_id_ns *)(void *)buf);
		return EMU_SUCCESS;
	}
	if (ns)
		fill_ns(r->ctrlr, ns, (struct nvme_id_ns *)(void *)buf);
	return check_nsid(r);
}

typedef struct emu_ns *(*ns_get_fn)(const struct emu_ctrlr *ctrlr, uint32_t nsid);

static uint16_t list_ns(const struct request *r, uint8_t *buf, ns_get_fn get)
{
	struct nvme_ns_list *list = (struct nvme_ns_list *)(void *)buf;
	uint32_t n = 0;

	if (r->nsid > NSID_LIST_LAST)
		return EMU_GENERIC(INVALID_NS);
	for (uint32_t nsid = r->nsid + 1; nsid <= r->ctrlr->n_ns; nsid++) {
		if (get(r->ctrlr, nsid))
			list->ns[n++] = cpu_to_le32(nsid);
	}
	return EMU_SUCCESS;
}

static uint16_t ns_list(const struct request *r, uint8_t *buf)
{
	return list_ns(r, buf, emu_ns_get);
}

static uint16_t allocated_list(const struct request *r, uint8_t *buf)
{
	return list_ns(r, buf, emu_ns_allocated);
}

static uint16_t allocated_ns(const struct request *r, uint8_t *buf)
{
	const struct emu_ns *ns = emu_ns_allocated(r->ctrlr, r->nsid);

	if (ns)
		fill_ns(r->ctrlr, ns, (struct nvme_id_ns *)(void *)buf);
	return check_nsid(r);
}

/* Controllers from @cntid on; of a namespace only if it is attached. There is one in all. */
static uint16_t ctrlr_list(const struct request *r, uint8_t *buf, bool of_ns)
{
	struct nvme_ctrl_list *list = (struct nvme_ctrl_list *)(void *)buf;

	if (of_ns && check_nsid(r))
		return check_nsid(r);
	if (r->cntid <= EMU_CNTLID && (!of_ns || emu_ns_get(r->ctrlr, r->nsid))) {
		list->num = cpu_to_le16(1);
		list->identifier[0] = cpu_to_le16(EMU_CNTLID);
	}
	return EMU_SUCCESS;
}

static uint16_t ns_ctrlr_list(const struct request *r, uint8_t *buf)
{
	return ctrlr_list(r, buf, true);
}

static uint16_t subsystem_ctrlr_list(const struct request *r, uint8_t *buf)
{
	return ctrlr_list(r, buf, false);
}

static uint8_t ns_csi(const struct emu_ns *ns)
{
	return ns->zones ? NVME_CSI_ZNS : NVME_CSI_NVM;
}

static bool has_csi(const struct request *r)
{
	return r->csi == NVME_CSI_NVM || r->csi == NVME_CSI_ZNS;
}

static uint8_t *put_descriptor(uint8_t *p, uint8_t type, const void *value, uint8_t len)
{
	p[0] = type;
	p[1] = len;
	memcpy(p + sizeof(struct nvme_ns_id_desc), value, len);
	return p + sizeof(struct nvme_ns_id_desc) + len;
}

static uint16_t ns_descriptors(const struct request *r, uint8_t *buf)
{
	const struct emu_ns *ns = emu_ns_get(r->ctrlr, r->nsid);
	uint8_t csi;

	if (!ns)
		return EMU_GENERIC(INVALID_NS);
	csi = ns_csi(ns);
	buf = put_descriptor(buf, NVME_NIDT_NGUID, ns->nguid, NVME_NIDT_NGUID_LEN);
	buf = put_descriptor(buf, NVME_NIDT_UUID, ns->uuid, NVME_NIDT_UUID_LEN);
	put_descriptor(buf, NVME_NIDT_CSI, &csi, NVME_NIDT_CSI_LEN);
	return EMU_SUCCESS;
}

/* The NVM command set's own data: a guard of 16 bits and no storage tag, so all of it is zero. */
static uint16_t csi_ns(const struct request *r, uint8_t *buf)
{
	const struct emu_ns *ns = emu_ns_get(r->ctrlr, r->nsid);
	uint16_t status = check_nsid(r);

	if (!status && (!has_csi(r) || (ns && ns_csi(ns) < r->csi)))
		status = EMU_SPECIFIC(INVALID_IOCS);
	if (!status && ns && r->csi == NVME_CSI_ZNS)
		emu_zones_identify(ns, (struct nvme_zns_id_ns *)(void *)buf);
	return status;
}

/* No limits of single commands, but for Zone Append. */
static uint16_t csi_ctrl(const struct request *r, uint8_t *buf)
{
	if (!has_csi(r))
		return EMU_GENERIC(INVALID_FIELD);
	if (r->csi == NVME_CSI_ZNS)
		((struct nvme_zns_id_ctrl *)(void *)buf)->zasl = r->ctrlr->config.zasl;
	return EMU_SUCCESS;
}

static uint16_t csi_ns_list(const struct request *r, uint8_t *buf)
{
	struct nvme_ns_list *list = (struct nvme_ns_list *)(void *)buf;
	uint32_t n = 0;

	if (!has_csi(r))
		return EMU_GENERIC(INVALID_FIELD);
	if (r->nsid > NSID_LIST_LAST)
		return EMU_GENERIC(INVALID_NS);
	for (uint32_t nsid = r->nsid + 1; nsid <= r->ctrlr->n_ns; nsid++) {
		const struct emu_ns *ns = emu_ns_get(r->ctrlr, nsid);

		if (ns && ns_csi(ns) == r->csi)
			list->ns[n++] = cpu_to_le32(nsid);
	}
	return EMU_SUCCESS;
}

static uint16_t independent_ns(const struct request *r, uint8_t *buf)
{
	struct nvme_id_independent_id_ns *id = (struct nvme_id_independent_id_ns *)(void *)buf;

	if (emu_ns_get(r->ctrlr, r->nsid)) {
		id->nstat = 1; /* ready */
		id->rescap = rescap(r->ctrlr);
		id->endgid = endgid(r->ctrlr);
	}
	return check_nsid(r);
}

static uint16_t command_sets(const struct request *r, uint8_t *buf)
{
	uint64_t combination = htole64(1u << NVME_CSI_NVM | 1u << NVME_CSI_ZNS);

	if (r->cntid != CNTID_ALL && r->cntid != EMU_CNTLID)
		return EMU_GENERIC(INVALID_FIELD);
	memcpy(buf, &combination, sizeof(combination));
	return EMU_SUCCESS;
}

typedef uint16_t (*identify_fn)(const struct request *r, uint8_t *buf);

static identify_fn find_cns(uint32_t cns)
{
	switch (cns) {
	case NVME_IDENTIFY_CNS_NS: return id_ns;
	case NVME_IDENTIFY_CNS_CTRL: return id_ctrl;
	case NVME_IDENTIFY_CNS_NS_ACTIVE_LIST: return ns_list;
	case NVME_IDENTIFY_CNS_NS_DESC_LIST: return ns_descriptors;
	case NVME_IDENTIFY_CNS_CSI_NS: return csi_ns;
	case NVME_IDENTIFY_CNS_CSI_CTRL: return csi_ctrl;
	case NVME_IDENTIFY_CNS_CSI_NS_ACTIVE_LIST: return csi_ns_list;
	case NVME_IDENTIFY_CNS_CSI_INDEPENDENT_ID_NS: return independent_ns;
	case NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST: return allocated_list;
	case NVME_IDENTIFY_CNS_ALLOCATED_NS: return allocated_ns;
	case NVME_IDENTIFY_CNS_NS_CTRL_LIST: return ns_ctrlr_list;
	case NVME_IDENTIFY_CNS_CTRL_LIST: return subsystem_ctrlr_list;
	case NVME_IDENTIFY_CNS_COMMAND_SET_STRUCTURE: return command_sets;
	default: return NULL;
	}
}

uint16_t emu_identify(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	const struct request r = {
		.ctrlr = sq->ctrlr,
		.nsid = emu_cdw(cmd->nsid),
		.cntid = (uint16_t)(emu_cdw(cmd->cdw10) >> 16),
		.csi = (uint8_t)(emu_cdw(cmd->cdw11) >> 24),
	};
	_Alignas(8) uint8_t buf[DATA_SIZE] = {0};
	identify_fn fill = find_cns(emu_cdw(cmd->cdw10) & 0xff);
	uint16_t status;

	if (!fill)
		return EMU_GENERIC(INVALID_FIELD);
	status = fill(&r, buf);
	if (status)
		return status;
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf,
			unlikely(sq->short_identify) ? SHORT_SIZE : sizeof(buf));
}
