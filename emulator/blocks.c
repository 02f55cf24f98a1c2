// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reads and writes of namespaces that aren't ordinary, and the rarer commands of all namespaces:
 * metadata, protection information, zones, reservations, uncorrectable blocks.
 *
 * The blocks of a command stay in memory of its own for a moment, between the host and the media:
 * there they are checked, and get their protection information. A write changes nothing unless
 * all of it came and passed. In zoned namespaces the zones' lock is held all the while.
 */
#include <string.h>
#include "emulator/internal.h"

#define CDW12_FUA     (1u << 30)
#define CDW12_DEAC    (1u << 25) /* Write Zeroes */
#define CDW12_PIREMAP (1u << 25) /* Zone Append */

/* A command with a range of blocks. */
struct request {
	struct emu_sq *sq;
	struct emu_ns *ns;
	const struct nvmux_cmd *cmd;
	uint64_t slba;
	uint64_t n;
	struct emu_protect protect;
	bool host_md; /* metadata comes from the host, or goes there */
	uint64_t host_data_len;
	uint64_t host_md_len; /* of its own buffer */
	struct emu_view view;
	uint8_t *memory;
};

static bool is_write(uint8_t opc)
{
	return opc == nvme_cmd_write || opc == nvme_cmd_write_zeroes ||
	       opc == nvme_cmd_write_uncor || opc == nvme_zns_cmd_append;
}

static bool has_data(uint8_t opc)
{
	return opc == nvme_cmd_read || opc == nvme_cmd_write || opc == nvme_cmd_compare ||
	       opc == nvme_zns_cmd_append;
}

static struct request make_request(struct emu_sq *sq, struct emu_ns *ns,
				   const struct nvmux_cmd *cmd)
{
	uint32_t cdw12 = emu_cdw(cmd->cdw12), cdw15 = emu_cdw(cmd->cdw15);
	bool pract = ns->pi && (cdw12 >> 29 & 1);
	struct request r = {
		.sq = sq,
		.ns = ns,
		.cmd = cmd,
		.slba = emu_slba(cmd),
		.n = (cdw12 & 0xffff) + 1,
		.protect =
			{
				.pract = pract,
				.prchk = ns->pi ? cdw12 >> 26 & 7 : 0,
				.apptag = (uint16_t)cdw15,
				.appmask = (uint16_t)(cdw15 >> 16),
				.reftag = emu_cdw(cmd->cdw14),
			},
		/* Metadata that is protection information only is inserted and stripped. */
		.host_md = ns->ms && !(pract && ns->ms == EMU_PI_SIZE),
	};

	r.host_data_len = r.n << ns->shift;
	if (r.host_md && ns->mset)
		r.host_data_len += r.n * ns->ms;
	else if (r.host_md)
		r.host_md_len = r.n * ns->ms;
	return r;
}

/* Memory for all blocks, laid out so that it moves to or from the host in one go. */
static uint16_t make_view(struct request *r)
{
	uint32_t block = 1u << r->ns->shift, ms = r->ns->ms;
	struct emu_view *v = &r->view;

	r->memory = malloc(r->n * (block + ms));
	if (!r->memory)
		return EMU_GENERIC(INTERNAL);
	v->data = r->memory;
	if (r->host_md && r->ns->mset) {
		v->md = r->memory + block;
		v->data_stride = v->md_stride = block + ms;
	} else {
		v->md = r->memory + r->n * block;
		v->data_stride = block;
		v->md_stride = ms;
	}
	return EMU_SUCCESS;
}

static uint16_t host_xfer(struct request *r, enum emu_xfer xfer)
{
	bool check = xfer == EMU_XFER_CHECK_IN || xfer == EMU_XFER_CHECK_OUT;
	uint16_t status;

	status = emu_xfer(r->sq, r->cmd, xfer, check ? NULL : r->view.data, r->host_data_len);
	if (!status && r->host_md_len)
		status = emu_xfer_md(r->sq, r->cmd, xfer, check ? NULL : r->view.md,
				     r->host_md_len);
	return status;
}

/* ---- the media ---- */

static void copy_md(const struct emu_ns *ns, uint8_t *to, const uint8_t *from)
{
	memcpy(to, from, ns->ms);
	for (uint32_t i = 0; ns->pi && i < EMU_PI_SIZE; i++)
		to[emu_pi_offset(ns) + i] ^= 0xff;
}

void emu_blocks_load(const struct emu_ns *ns, uint64_t slba, uint64_t n, const struct emu_view *v)
{
	uint64_t block = 1ull << ns->shift;

	for (uint64_t i = 0; i < n; i++) {
		memcpy(v->data + i * v->data_stride, ns->data + (slba + i) * block, block);
		if (ns->md)
			copy_md(ns, v->md + i * v->md_stride, ns->md + (slba + i) * ns->ms);
	}
}

void emu_blocks_store(struct emu_ns *ns, uint64_t slba, uint64_t n, const struct emu_view *v)
{
	uint64_t block = 1ull << ns->shift;

	for (uint64_t i = 0; ns->data && i < n; i++) {
		memcpy(ns->data + (slba + i) * block, v->data + i * v->data_stride, block);
		if (ns->md)
			copy_md(ns, ns->md + (slba + i) * ns->ms, v->md + i * v->md_stride);
	}
	emu_ns_clear_bad(ns, slba, n);
}

static uint16_t make_durable(const struct request *r)
{
	const struct emu_ns *ns = r->ns;
	bool cached = __atomic_load_n(&r->sq->ctrlr->features.volatile_wc, __ATOMIC_RELAXED);
	uint16_t status;

	if (ns->fd < 0 || (cached && !(emu_cdw(r->cmd->cdw12) & CDW12_FUA)))
		return EMU_SUCCESS;
	status = emu_ns_sync(ns, r->slba << ns->shift, r->n << ns->shift);
	return status ? status : emu_ns_sync_md(ns, r->slba, r->n);
}

/* ---- commands ---- */

static uint16_t load_checked(struct request *r)
{
	uint16_t status;

	if (emu_ns_is_bad(r->ns, r->slba, r->n))
		return EMU_MEDIA(READ_ERROR);
	if (!r->ns->data)
		return EMU_SUCCESS;
	status = make_view(r);
	if (status)
		return status;
	emu_blocks_load(r->ns, r->slba, r->n, &r->view);
	return emu_pi_check(r->ns, &r->protect, &r->view, r->n);
}

static uint16_t do_read(struct request *r)
{
	uint16_t status = load_checked(r);

	if (!status)
		status = host_xfer(r, r->ns->data ? EMU_XFER_TO_HOST : EMU_XFER_CHECK_IN);
	return status;
}

/* Protection information is checked, not compared. */
static uint16_t compare_md(const struct request *r, const struct emu_view *theirs)
{
	uint32_t ms = r->ns->ms, skip = r->ns->pi ? EMU_PI_SIZE : 0;
	uint32_t from = r->ns->pi && r->ns->pil ? EMU_PI_SIZE : 0;

	for (uint64_t i = 0; i < r->n; i++) {
		if (memcmp(r->view.md + i * r->view.md_stride + from,
			   theirs->md + i * theirs->md_stride + from, ms - skip) != 0)
			return EMU_MEDIA(COMPARE_FAILED);
	}
	return EMU_SUCCESS;
}

static uint16_t do_compare(struct request *r)
{
	uint64_t block = 1ull << r->ns->shift;
	uint16_t status = load_checked(r);
	struct request theirs = *r;

	if (status)
		return status;
	if (!r->ns->data)
		return host_xfer(r, EMU_XFER_CHECK_OUT);
	status = make_view(&theirs);
	if (!status)
		status = host_xfer(&theirs, EMU_XFER_FROM_HOST);
	for (uint64_t i = 0; i < r->n && !status; i++) {
		if (memcmp(r->view.data + i * r->view.data_stride,
			   theirs.view.data + i * theirs.view.data_stride, block) != 0)
			status = EMU_MEDIA(COMPARE_FAILED);
	}
	if (!status && r->host_md)
		status = compare_md(r, &theirs.view);
	free(theirs.memory);
	return status;
}

/* Verify reads as well, but nothing goes to the host. */
static uint16_t do_verify(struct request *r)
{
	return r->protect.pract ? EMU_SPECIFIC(INVALID_PI) : load_checked(r);
}

static uint16_t do_write(struct request *r, uint32_t remap)
{
	uint16_t status = make_view(r);

	if (!status)
		status = host_xfer(r, EMU_XFER_FROM_HOST);
	if (!status && r->protect.pract)
		emu_pi_generate(r->ns, &r->protect, &r->view, r->n);
	else if (!status)
		status = emu_pi_check(r->ns, &r->protect, &r->view, r->n);
	if (status)
		return status;
	if (remap)
		emu_pi_remap(r->ns, &r->view, r->n, remap);
	emu_blocks_store(r->ns, r->slba, r->n, &r->view);
	return make_durable(r);
}

/* Deallocated or not, the blocks are zeroes, and not protected unless the command says so. */
static uint16_t do_write_zeroes(struct request *r)
{
	bool deallocate = emu_cdw(r->cmd->cdw12) & CDW12_DEAC;
	uint8_t zeroes[4096 + 64] = {0}, md[64];
	struct emu_view v = {zeroes, zeroes + 4096, 0, 0};
	uint16_t status;

	if (r->protect.prchk)
		return EMU_SPECIFIC(INVALID_PI);
	status = emu_ns_deallocate(r->ns, r->slba, r->n);
	if (status)
		return status;
	if (r->protect.pract && !deallocate && r->ns->md) {
		struct emu_protect p = r->protect;

		for (uint64_t i = 0; i < r->n; i++) {
			p.reftag = r->protect.reftag + (r->ns->pi == 3 ? 0 : (uint32_t)i);
			emu_pi_generate(r->ns, &p, &v, 1);
			copy_md(r->ns, md, v.md);
			memcpy(r->ns->md + (r->slba + i) * r->ns->ms, md, r->ns->ms);
		}
	}
	return make_durable(r);
}

static uint16_t run(struct request *r, uint32_t remap)
{
	switch (r->cmd->opc) {
	case nvme_cmd_read: return do_read(r);
	case nvme_cmd_compare: return do_compare(r);
	case nvme_cmd_verify: return do_verify(r);
	case nvme_cmd_write_zeroes: return do_write_zeroes(r);
	case nvme_cmd_write_uncor:
		return emu_ns_mark_bad(r->ns, r->slba, r->n) ? EMU_GENERIC(INTERNAL) : EMU_SUCCESS;
	default: return do_write(r, remap);
	}
}

static void count_command(const struct request *r)
{
	struct emu_counters *c = &r->sq->counters;
	uint64_t bytes = has_data(r->cmd->opc) ? r->n << r->ns->shift : 0;

	if (is_write(r->cmd->opc)) {
		emu_count(&c->writes, r->cmd->opc != nvme_cmd_write_uncor);
		emu_count(&c->written_bytes, bytes);
	} else {
		emu_count(&c->reads, 1);
		emu_count(&c->read_bytes, bytes);
	}
}

/* Zone Append: the zone's start stands for its write pointer. */
static uint16_t place_append(struct request *r, uint32_t *ret_remap)
{
	uint64_t zslba = r->slba, limit = r->sq->ctrlr->config.zasl;
	bool remap = emu_cdw(r->cmd->cdw12) & CDW12_PIREMAP;
	uint16_t status;

	if (limit && r->host_data_len > (uint64_t)EMU_PAGE_SIZE << limit)
		return EMU_GENERIC(INVALID_FIELD);
	if ((r->ns->pi == 1 && !remap) || (r->ns->pi == 3 && remap))
		return EMU_SPECIFIC(INVALID_PI);
	status = emu_zones_append_at(r->ns, zslba, &r->slba);
	if (status)
		return status;
	if (r->ns->pi && remap)
		*ret_remap = (uint32_t)(r->slba - zslba);
	return EMU_SUCCESS;
}

static uint16_t run_in_zone(struct request *r)
{
	bool append = r->cmd->opc == nvme_zns_cmd_append;
	uint32_t remap = 0;
	uint16_t status = append ? place_append(r, &remap) : EMU_SUCCESS;

	if (status)
		return status;
	status = is_write(r->cmd->opc) ? emu_zones_check_write(r->ns, r->slba, r->n)
				       : emu_zones_check_read(r->ns, r->slba, r->n);
	if (!status)
		status = run(r, remap);
	if (!status && is_write(r->cmd->opc))
		emu_zones_written(r->ns, r->slba, r->n);
	if (!status && append)
		r->sq->result = r->slba;
	return status;
}

uint16_t emu_blocks_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	struct request r = make_request(sq, ns, cmd);
	uint16_t status;

	if (!emu_in_range(ns, r.slba, r.n))
		return EMU_GENERIC(LBA_RANGE);
	if (has_data(cmd->opc) && r.host_data_len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (cmd->opc != nvme_cmd_write_uncor) {
		status = emu_pi_valid(ns, &r.protect, r.slba);
		if (status)
			return status;
	}
	if (ns->zones) {
		emu_zones_lock(ns);
		status = run_in_zone(&r);
		emu_zones_unlock(ns);
	} else {
		status = run(&r, 0);
	}
	free(r.memory);
	if (!status)
		count_command(&r);
	return status;
}
