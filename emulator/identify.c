// SPDX-License-Identifier: BSD-3-Clause
/* Identify. Base specification 2.0, section 5.17; NVM command set 1.0, section 4.1.5. */
#include <string.h>
#include "emulator/internal.h"

#define VENDOR_ID       0x6e76 /* not assigned to anybody */
#define VERSION_2_0     0x00020000
#define CNTLID          1
#define WARNING_TEMP_K  343
#define CRITICAL_TEMP_K 353
#define DATA_SIZE       NVME_IDENTIFY_DATA_SIZE
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
	id->nn = cpu_to_le32(MAX(ctrlr->n_ns, 1u));
	id->rtd3r = cpu_to_le32(100000);
	id->rtd3e = cpu_to_le32(1000000);
	id->wctemp = cpu_to_le16(WARNING_TEMP_K);
	id->cctemp = cpu_to_le16(CRITICAL_TEMP_K);
	id->psd[0].mp = cpu_to_le16(2500); /* 25 W */
}

static void fill_capabilities(struct nvme_id_ctrl *id)
{
	id->oaes = cpu_to_le32(NVME_CTRL_OAES_NA);
	id->ctratt = cpu_to_le32(NVME_CTRL_CTRATT_128_ID);
	id->frmw = NVME_CTRL_FRMW_1ST_RO | 1 << 1; /* one slot, read-only */
	id->lpa = NVME_CTRL_LPA_CMD_EFFECTS | NVME_CTRL_LPA_EXTENDED |
		  NVME_CTRL_LPA_LI0_LI5_LI12_LI13;
	id->oncs = cpu_to_le16(NVME_CTRL_ONCS_COMPARE | NVME_CTRL_ONCS_DSM |
			       NVME_CTRL_ONCS_WRITE_ZEROES | NVME_CTRL_ONCS_SAVE_FEATURES |
			       NVME_CTRL_ONCS_VERIFY);
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
	put_text(id->fr, sizeof(id->fr), NVMUX_VERSION);
	id->cntlid = cpu_to_le16(CNTLID);
	id->ver = cpu_to_le32(VERSION_2_0);
	id->cntrltype = 1; /* I/O controller */
	emu_subnqn(config, id->subnqn);
	fill_limits(r->ctrlr, id);
	fill_capabilities(id);
	return EMU_SUCCESS;
}

static void fill_ns(const struct emu_ctrlr *ctrlr, const struct emu_ns *ns, struct nvme_id_ns *id)
{
	id->nsze = id->ncap = id->nuse = cpu_to_le64(ns->n_blocks);
	id->noiob = cpu_to_le16(ctrlr->config.noiob);
	id->lbaf[0].ds = ns->shift;
	/* Deallocated blocks read as zeroes, and Write Zeroes may deallocate. */
	if (ns->data)
		id->dlfeat = NVME_NS_DLFEAT_RB_ALL_0S | NVME_NS_DLFEAT_WRITE_ZEROES;
	memcpy(id->nguid, ns->nguid, sizeof(id->nguid));
}

/* An identifier that is none at all, or not in use: then the data is zeroes. */
static uint16_t check_nsid(const struct request *r)
{
	if (r->nsid == 0 || r->nsid > MAX(r->ctrlr->n_ns, 1u))
		return EMU_GENERIC(INVALID_NS);
	return EMU_SUCCESS;
}

static uint16_t id_ns(const struct request *r, uint8_t *buf)
{
	const struct emu_ns *ns = emu_ns_get(r->ctrlr, r->nsid);

	if (ns)
		fill_ns(r->ctrlr, ns, (struct nvme_id_ns *)(void *)buf);
	return check_nsid(r);
}

/* Active and allocated namespaces are the same. */
static uint16_t ns_list(const struct request *r, uint8_t *buf)
{
	struct nvme_ns_list *list = (struct nvme_ns_list *)(void *)buf;

	if (r->nsid > NSID_LIST_LAST)
		return EMU_GENERIC(INVALID_NS);
	for (uint32_t i = 0, nsid = r->nsid + 1; nsid <= r->ctrlr->n_ns; i++, nsid++)
		list->ns[i] = cpu_to_le32(nsid);
	return EMU_SUCCESS;
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
	const uint8_t csi = NVME_CSI_NVM;

	if (!ns)
		return EMU_GENERIC(INVALID_NS);
	buf = put_descriptor(buf, NVME_NIDT_NGUID, ns->nguid, NVME_NIDT_NGUID_LEN);
	buf = put_descriptor(buf, NVME_NIDT_UUID, ns->uuid, NVME_NIDT_UUID_LEN);
	put_descriptor(buf, NVME_NIDT_CSI, &csi, NVME_NIDT_CSI_LEN);
	return EMU_SUCCESS;
}

/* The NVM command set's own data: no protection information, so all of it is zero. */
static uint16_t csi_ns(const struct request *r, uint8_t *buf)
{
	uint16_t status = check_nsid(r);

	if (!status && r->csi != NVME_CSI_NVM)
		status = EMU_SPECIFIC(INVALID_IOCS);
	return status;
}

/* No limits of single commands. */
static uint16_t csi_ctrl(const struct request *r, uint8_t *buf)
{
	return r->csi == NVME_CSI_NVM ? EMU_SUCCESS : EMU_GENERIC(INVALID_FIELD);
}

static uint16_t csi_ns_list(const struct request *r, uint8_t *buf)
{
	return r->csi == NVME_CSI_NVM ? ns_list(r, buf) : EMU_GENERIC(INVALID_FIELD);
}

static uint16_t independent_ns(const struct request *r, uint8_t *buf)
{
	struct nvme_id_independent_id_ns *id = (struct nvme_id_independent_id_ns *)(void *)buf;

	if (emu_ns_get(r->ctrlr, r->nsid))
		id->nstat = 1; /* ready */
	return check_nsid(r);
}

static uint16_t command_sets(const struct request *r, uint8_t *buf)
{
	uint64_t combination = htole64(1u << NVME_CSI_NVM);

	if (r->cntid != CNTID_ALL && r->cntid != CNTLID)
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
	case NVME_IDENTIFY_CNS_ALLOCATED_NS_LIST: return ns_list;
	case NVME_IDENTIFY_CNS_ALLOCATED_NS: return id_ns;
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
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, sizeof(buf));
}
