// SPDX-License-Identifier: BSD-3-Clause
/*
 * The smaller I/O commands: without data, or with a short structure.
 *
 * What Identify Controller says not to be there (ONCS) is refused, but for verify: there are
 * controllers that have it and don't say so.
 */
#include "io_int.h"
#include "split.h"

#define DSM_TYPES (NVMUX_DSM_INTEGRAL_READ | NVMUX_DSM_INTEGRAL_WRITE | NVMUX_DSM_DEALLOCATE)

NVMUX_STATIC_ASSERT(NVMUX_DSM_RANGES_MAX * sizeof(struct nvmux_dsm_range) <= NVMUX_PAGE_SIZE,
		    "ranges fit into a page of staging memory");
NVMUX_STATIC_ASSERT(NVMUX_COPY_RANGES_MAX * sizeof(struct nvmux_copy_range) <= NVMUX_PAGE_SIZE,
		    "ranges fit into a page of staging memory");

int nvmux_ns_cmd_flush(struct nvmux_ns *ns, struct nvmux_qpair *qpair, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {.opc = nvme_cmd_flush, .nsid = cpu_to_le32(ns->id)};
	int err = io_check(qpair, ns->ctrlr, 0, cb);

	if (!err && !ns->n_lbas)
		err = -EINVAL;
	return err ? err : io_submit_buf(qpair, &cmd, NULL, 0, cb, arg);
}

/*
 * Blocks of one command that moves none. Its own limit (VSL, WZSL, WUSL; NVM command set 1.0,
 * section 4.1.5.4) is a power of two of pages. Without one, the transfer limit, which doesn't hold
 * for such commands: a caution that serves Linux well.
 */
static uint32_t no_data_limit(const struct nvmux_ns *ns, uint8_t limit)
{
	uint64_t block = nvmux_ns_get_extended_sector_size(ns);
	uint64_t bytes = (uint64_t)NVMUX_PAGE_SIZE << MIN(limit, 32u);

	if (!limit)
		return ns->max_lbas;
	return (uint32_t)MAX(MIN(bytes / block, 65536u), 1u);
}

static int run_no_data(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, uint8_t limit,
		       uint64_t lba, uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_io_ext ext = {.size = sizeof(ext), .flags = flags};
	struct nvmux_io io = {
		.ns = ns,
		.lba = lba,
		.left = lba_count,
		.opc = opc,
		.limit = no_data_limit(ns, limit),
	};

	return flags & 0xffff ? -EINVAL : io_run(qpair, &io, &ext, cb, arg);
}

int nvmux_ns_cmd_write_zeroes(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
			      uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_WRITE_ZEROES);

	return err ? err
		   : run_no_data(ns, qpair, nvme_cmd_write_zeroes, ns->ctrlr->nvm.write_zeroes, lba,
				 lba_count, flags, cb, arg);
}

int nvmux_ns_cmd_verify(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
			uint32_t lba_count, uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	return run_no_data(ns, qpair, nvme_cmd_verify, ns->ctrlr->nvm.verify, lba, lba_count, flags,
			   cb, arg);
}

int nvmux_ns_cmd_write_uncorrectable(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t lba,
				     uint32_t lba_count, nvmux_cmd_cb cb, void *arg)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_WRITE_UNCORRECTABLE);
	uint8_t limit = ns->ctrlr->nvm.write_uncorrectable;

	return err ? err
		   : run_no_data(ns, qpair, nvme_cmd_write_uncor, limit, lba, lba_count, 0, cb,
				 arg);
}

static bool is_inside(const struct nvmux_ns *ns, uint64_t lba, uint64_t lba_count)
{
	return lba < ns->n_lbas && lba_count <= ns->n_lbas - lba;
}

/* DMRL, DMRSL, DMSL: the controller would answer with Command Size Limit Exceeded. */
static int check_dsm(const struct nvmux_ns *ns, const struct nvmux_dsm_range *ranges,
		     uint32_t n_ranges)
{
	const struct nvmux_nvm_limits *limits = &ns->ctrlr->nvm;
	bool too_large = limits->dsm_ranges && n_ranges > limits->dsm_ranges;
	uint64_t total = 0;

	for (uint32_t i = 0; i < n_ranges; i++) {
		uint32_t blocks = le32_to_cpu(ranges[i].lba_count);

		if (!is_inside(ns, le64_to_cpu(ranges[i].lba), blocks))
			return io_range_error(ns);
		too_large |= limits->dsm_range_lbas && blocks > limits->dsm_range_lbas;
		total += blocks;
	}
	too_large |= limits->dsm_lbas && total > limits->dsm_lbas;
	return too_large ? -E2BIG : 0;
}

/* NVM command set 1.0, section 3.2.3. */
int nvmux_ns_cmd_dataset_management(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint32_t type,
				    const struct nvmux_dsm_range *ranges, uint32_t n_ranges,
				    nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_dsm,
		.nsid = cpu_to_le32(ns->id),
		.cdw10 = cpu_to_le32(n_ranges - 1),
		.cdw11 = cpu_to_le32(type),
	};
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_DSM);

	if (!err)
		err = io_check(qpair, ns->ctrlr, 0, cb);
	if (err)
		return err;
	if (!ranges || !n_ranges || n_ranges > NVMUX_DSM_RANGES_MAX || type & ~(uint32_t)DSM_TYPES)
		return -EINVAL;
	err = check_dsm(ns, ranges, n_ranges);
	if (err)
		return err;
	return staging_submit(qpair, &cmd, ranges, n_ranges * (uint32_t)sizeof(*ranges), cb, arg);
}

/* MSRC, MSSRL, MCL of the namespace; a controller that copies says all of them. */
static int check_copy(const struct nvmux_ns *ns, const struct nvmux_copy_range *ranges,
		      uint32_t n_ranges, uint64_t dest_lba)
{
	bool limited = ns->max_copy && ns->max_copy_range;
	bool too_large = limited && n_ranges > ns->max_copy_ranges;
	uint64_t total = 0;

	for (uint32_t i = 0; i < n_ranges; i++) {
		uint32_t blocks = le16_to_cpu(ranges[i].lba_count) + 1u;

		if (!is_inside(ns, le64_to_cpu(ranges[i].lba), blocks))
			return io_range_error(ns);
		too_large |= limited && blocks > ns->max_copy_range;
		total += blocks;
	}
	if (!is_inside(ns, dest_lba, total))
		return io_range_error(ns);
	too_large |= limited && total > ns->max_copy;
	return too_large ? -E2BIG : 0;
}

/*
 * NVM command set 1.0, section 3.2.2, descriptor format 0h. What the flags say of protection
 * information holds for reading the source (PRINFOR) as for writing the destination: the two PRACT
 * bits must be the same.
 */
static void copy_cmd(struct nvmux_cmd *cmd, const struct nvmux_ns *ns, uint32_t n_ranges,
		     uint64_t dest_lba, uint32_t flags)
{
	uint32_t prinfo = flags >> 26 & 0xf;

	*cmd = (struct nvmux_cmd){
		.opc = nvme_cmd_copy,
		.nsid = cpu_to_le32(ns->id),
		.cdw12 = cpu_to_le32(flags | prinfo << 12 | (n_ranges - 1)),
	};
	io_set_lba(cmd, dest_lba);
	if (ns->pi_type && ns->pi_type != NVMUX_PI_TYPE3)
		cmd->cdw14 = cpu_to_le32((uint32_t)dest_lba);
}

int nvmux_ns_cmd_copy(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
		      const struct nvmux_copy_range *ranges, uint32_t n_ranges, uint64_t dest_lba,
		      uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd;
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_COPY);

	if (!err)
		err = io_check(qpair, ns->ctrlr, 0, cb);
	if (err)
		return err;
	if (!ranges || !n_ranges || flags & 0xffff)
		return -EINVAL;
	if (n_ranges > NVMUX_COPY_RANGES_MAX)
		return -E2BIG;
	err = check_copy(ns, ranges, n_ranges, dest_lba);
	if (err)
		return err;
	copy_cmd(&cmd, ns, n_ranges, dest_lba, flags);
	return staging_submit(qpair, &cmd, ranges, n_ranges * (uint32_t)sizeof(*ranges), cb, arg);
}

static int describe_one(struct nvmux_io *io, struct nvmux_ns *ns, uint8_t opc, const void *buf,
			uint64_t lba, uint32_t lba_count, uint32_t flags, struct io_cmd *ret)
{
	const struct nvmux_io_ext ext = {.size = sizeof(ext), .flags = flags};
	int err;

	*io = (struct nvmux_io){
		.ns = ns,
		.data = {.kind = PAYLOAD_ONE, .addr = buf},
		.lba = lba,
		.left = lba_count,
		.opc = opc,
	};
	err = io_prepare(io, &ext);
	if (!err)
		err = io_next(io, ret);
	if (!err && io->left)
		err = -E2BIG;
	return err;
}

int nvmux_ns_cmd_compare_and_write(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *cmp,
				   const void *buf, uint64_t lba, uint32_t lba_count,
				   uint32_t flags, nvmux_cmd_cb cb, void *arg)
{
	struct io_cmd compare, write;
	struct nvmux_io io;
	int err = io_check(qpair, ns->ctrlr, NVMUX_IO_FUSE_FIRST, cb);

	if (!err && flags & 0xffff)
		err = -EINVAL;
	if (!err)
		err = describe_one(&io, ns, nvme_cmd_compare, cmp, lba, lba_count,
				   flags | NVMUX_IO_FUSE_FIRST, &compare);
	if (!err)
		err = describe_one(&io, ns, nvme_cmd_write, buf, lba, lba_count,
				   flags | NVMUX_IO_FUSE_SECOND, &write);
	return err ? err : nvmux_split_start_fused(qpair, &compare, &write, cb, arg);
}

/* ---- I/O management. Base specification 2.1, sections 7.3 and 7.4 ---- */

static int io_mgmt(struct nvmux_ns *ns, struct nvmux_qpair *qpair, struct nvmux_cmd *cmd,
		   const void *buf, uint32_t len, uint8_t mo, uint16_t mos, nvmux_cmd_cb cb,
		   void *arg)
{
	int err = io_check(qpair, ns->ctrlr, 0, cb);

	if (!err && (!ns->active || len & 3 || len > ns->ctrlr->max_transfer))
		err = -EINVAL;
	if (err)
		return err;
	cmd->nsid = cpu_to_le32(ns->id);
	cmd->cdw10 = cpu_to_le32((uint32_t)mos << 16 | mo);
	return io_submit_buf(qpair, cmd, buf, len, cb, arg);
}

int nvmux_ns_cmd_io_mgmt_recv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
			      uint32_t len, uint8_t mo, uint16_t mos, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_cmd_io_mgmt_recv,
		.cdw11 = cpu_to_le32(len / 4 - 1), /* NUMD, 0's based */
	};

	return len ? io_mgmt(ns, qpair, &cmd, buf, len, mo, mos, cb, arg) : -EINVAL;
}

int nvmux_ns_cmd_io_mgmt_send(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
			      uint32_t len, uint8_t mo, uint16_t mos, nvmux_cmd_cb cb, void *arg)
{
	struct nvmux_cmd cmd = {.opc = nvme_cmd_io_mgmt_send};

	return io_mgmt(ns, qpair, &cmd, buf, len, mo, mos, cb, arg);
}
