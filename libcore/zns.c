// SPDX-License-Identifier: BSD-3-Clause
/* Zoned namespaces: what they are and their commands. Zoned namespace command set 1.1. */
#include <nvmux/zns.h>

#include "io_int.h"

#define SELECT_ALL    (1u << 8)
#define PARTIAL       (1u << 16)
#define PIREMAP       (1u << 25)
#define OPTIONS_SHIFT 8

const struct nvme_zns_id_ns *nvmux_zns_ns_get_data(const struct nvmux_ns *ns)
{
	return ns->zns;
}

const struct nvme_zns_id_ctrl *nvmux_zns_ctrlr_get_data(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->zns_id;
}

uint64_t nvmux_zns_ns_get_zone_size_sectors(const struct nvmux_ns *ns)
{
	return ns->zone_lbas;
}

uint64_t nvmux_zns_ns_get_zone_size(const struct nvmux_ns *ns)
{
	return ns->zone_lbas << ns->lba_shift;
}

uint64_t nvmux_zns_ns_get_num_zones(const struct nvmux_ns *ns)
{
	return ns->zone_lbas ? ns->n_zones : 0;
}

/* 0's based; all ones: no limit. Section 4.1.5.1. */
static uint32_t resources(uint32_t value)
{
	return value == UINT32_MAX ? UINT32_MAX : value + 1;
}

uint32_t nvmux_zns_ns_get_max_open_zones(const struct nvmux_ns *ns)
{
	return ns->zns ? resources(le32_to_cpu(ns->zns->mor)) : 0;
}

uint32_t nvmux_zns_ns_get_max_active_zones(const struct nvmux_ns *ns)
{
	return ns->zns ? resources(le32_to_cpu(ns->zns->mar)) : 0;
}

uint32_t nvmux_zns_ctrlr_get_max_zone_append_size(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->max_append;
}

/* ---- append ---- */

/*
 * Where there are reference tags that count blocks, those of the data are made for the zone's first
 * block, and the controller moves them to where it writes (PIREMAP, section 3.4.1); type 3 has
 * none.
 */
static int append(struct nvmux_qpair *qpair, struct nvmux_io *io, const struct nvmux_io_ext *ext,
		  nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_ns *ns = io->ns;
	uint64_t block = 1ull << ns->lba_shift;

	if (!ns->zone_lbas)
		return -EOPNOTSUPP;
	if (ext && ext->size >= offsetof(struct nvmux_io_ext, md) && ext->flags & 0xffff)
		return -EINVAL; /* nothing is fused with it */
	if (ns->md_interleaved)
		block += ns->md_size;
	if (io->left * block > ns->ctrlr->max_append)
		return -E2BIG;
	if (ns->pi_type && ns->pi_type != NVMUX_PI_TYPE3)
		io->cdw12 |= PIREMAP;
	io->opc = nvme_zns_cmd_append;
	io->whole = true;
	return io_run(qpair, io, ext, cb, arg);
}

int nvmux_zns_zone_append(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
			  uint64_t zslba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb,
			  void *arg)
{
	return nvmux_zns_zone_append_with_md(ns, qpair, buf, NULL, zslba, lba_count, flags, 0, 0,
					     cb, arg);
}

int nvmux_zns_zone_append_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				  const void *md, uint64_t zslba, uint32_t lba_count,
				  uint32_t flags, uint16_t apptag_mask, uint16_t apptag,
				  nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_io_ext ext = {
		.size = sizeof(ext),
		.flags = flags,
		.md = (void *)(uintptr_t)md,
		.apptag_mask = apptag_mask,
		.apptag = apptag,
	};
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_ONE, .addr = buf},
		.lba = zslba,
		.left = lba_count,
	};

	return append(qpair, &io, &ext, cb, arg);
}

int nvmux_zns_zone_appendv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t zslba,
			   uint32_t lba_count, const struct nvmux_io_ext *ext,
			   nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge, void *sgl_arg,
			   nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_CALLS,
			 .reset = reset_sgl,
			 .next = next_sge,
			 .arg = sgl_arg},
		.lba = zslba,
		.left = lba_count,
	};

	return reset_sgl && next_sge ? append(qpair, &io, ext, cb, arg) : -EINVAL;
}

int nvmux_zns_zone_appendv_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
			       const struct iovec *iov, uint32_t iovcnt, uint64_t zslba,
			       uint32_t lba_count, const struct nvmux_io_ext *ext, nvmux_cmd_cb cb,
			       void *arg)
{
	struct nvmux_io io = {
		.ns = ns,
		.data = {.kind = PAYLOAD_IOV, .iovcnt = iovcnt, .iov = iov},
		.lba = zslba,
		.left = lba_count,
	};

	return append(qpair, &io, ext, cb, arg);
}

/* ---- Zone Management Send ---- */

static int check_zone(const struct nvmux_ns *ns, const struct nvmux_qpair *qpair, uint64_t slba,
		      nvmux_cmd_cb cb)
{
	int err = ns->zone_lbas ? io_check(qpair, ns->ctrlr, 0, cb) : -EOPNOTSUPP;

	return !err && slba >= ns->n_lbas ? -EINVAL : err;
}

static int mgmt_send(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba, uint32_t cdw13,
		     const void *buf, uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_zns_cmd_mgmt_send,
		.nsid = cpu_to_le32(ns->id),
		.cdw13 = cpu_to_le32(cdw13),
	};
	int err = check_zone(ns, qpair, slba, cb);

	if (err)
		return err;
	io_set_lba(&cmd, slba);
	return io_submit_buf(qpair, &cmd, buf, len, cb, arg);
}

static int zone_action(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
		       bool select_all, enum nvme_zns_send_action action, nvmux_cmd_cb cb,
		       void *arg)
{
	uint32_t cdw13 = (uint32_t)action | (select_all ? SELECT_ALL : 0);

	return mgmt_send(ns, qpair, select_all ? 0 : slba, cdw13, NULL, 0, cb, arg);
}

int nvmux_zns_close_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
			 bool select_all, nvmux_cmd_cb cb, void *arg)
{
	return zone_action(ns, qpair, slba, select_all, NVME_ZNS_ZSA_CLOSE, cb, arg);
}

int nvmux_zns_finish_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
			  bool select_all, nvmux_cmd_cb cb, void *arg)
{
	return zone_action(ns, qpair, slba, select_all, NVME_ZNS_ZSA_FINISH, cb, arg);
}

int nvmux_zns_open_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
			bool select_all, nvmux_cmd_cb cb, void *arg)
{
	return zone_action(ns, qpair, slba, select_all, NVME_ZNS_ZSA_OPEN, cb, arg);
}

int nvmux_zns_reset_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
			 bool select_all, nvmux_cmd_cb cb, void *arg)
{
	return zone_action(ns, qpair, slba, select_all, NVME_ZNS_ZSA_RESET, cb, arg);
}

int nvmux_zns_offline_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
			   bool select_all, nvmux_cmd_cb cb, void *arg)
{
	return zone_action(ns, qpair, slba, select_all, NVME_ZNS_ZSA_OFFLINE, cb, arg);
}

/* ZDES of its format, in units of 64 bytes; 0: it has none. */
static uint32_t desc_ext_size(const struct nvmux_ns *ns)
{
	return ns->zns ? ns->zns->lbafe[nvmux_ns_get_format_index(ns)].zdes * 64u : 0;
}

int nvmux_zns_set_zone_desc_ext(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				const void *buf, uint32_t len, nvmux_cmd_cb cb, void *arg)
{
	uint32_t size = desc_ext_size(ns);

	if (!size)
		return -EOPNOTSUPP;
	if (len != size || len > ns->ctrlr->max_transfer)
		return -EINVAL;
	return mgmt_send(ns, qpair, slba, NVME_ZNS_ZSA_SET_DESC_EXT, buf, len, cb, arg);
}

/* ---- Zone Management Receive ---- */

static int report(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint32_t len,
		  uint64_t slba, uint32_t cdw13, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_zns_cmd_mgmt_recv,
		.nsid = cpu_to_le32(ns->id),
		.cdw12 = cpu_to_le32(len / 4 - 1), /* NUMD, 0's based */
		.cdw13 = cpu_to_le32(cdw13),
	};
	int err = check_zone(ns, qpair, slba, cb);

	if (!err && (!len || len & 3 || len > ns->ctrlr->max_transfer))
		err = -EINVAL;
	if (err)
		return err;
	io_set_lba(&cmd, slba);
	return io_submit_buf(qpair, &cmd, buf, len, cb, arg);
}

static uint32_t report_dword(enum nvme_zns_recv_action action, uint8_t options, bool partial)
{
	return (uint32_t)action | (uint32_t)options << OPTIONS_SHIFT | (partial ? PARTIAL : 0);
}

int nvmux_zns_report_zones(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf, uint32_t len,
			   uint64_t slba, uint8_t options, bool partial, nvmux_cmd_cb cb, void *arg)
{
	return report(ns, qpair, buf, len, slba,
		      report_dword(NVME_ZNS_ZRA_REPORT_ZONES, options, partial), cb, arg);
}

int nvmux_zns_ext_report_zones(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
			       uint32_t len, uint64_t slba, uint8_t options, bool partial,
			       nvmux_cmd_cb cb, void *arg)
{
	return report(ns, qpair, buf, len, slba,
		      report_dword(NVME_ZNS_ZRA_EXTENDED_REPORT_ZONES, options, partial), cb, arg);
}
