// SPDX-License-Identifier: BSD-3-Clause
/*
 * Flexible data placement: one endurance group with one reclaim group, and as many reclaim unit
 * handles as the configuration says (fdp=), each of which every namespace may name by a placement
 * handle of the same number. Base specification 2.1, sections 3.2.4, 5.1.12.1.28 to 31, 7.3, 7.4
 * and 8.1.10; what writes say of directives (section 8.1.8).
 *
 * Where data lies makes no difference here: a handle counts what may still be written to its
 * reclaim unit, and has another one when that is full or the host asks for it. An identifier that
 * is none counts as handle 0.
 */
#include <string.h>
#include "emulator/internal.h"

#define UNIT_BYTES    (16u << 20)
#define GROUP         1u
#define MO_NONE       0u
#define MO_STATUS     1u /* of a receive */
#define MO_UPDATE     1u /* of a send */
#define CONFIG_VALID  (1u << 7)
#define HANDLE_USED   1u /* by a host that names it */
#define FDP_ENABLED   1u
#define STATUS_HEAD   16u
#define STATUS_BYTES  32u
/* base specification 2.1, figure 101: Flexible Data Placement Disabled */
#define SC_FDP_DISABLED (EMU_STATUS(0, 0x29) | NVMUX_STATUS_DNR)

void emu_placement_init(struct emu_ctrlr *ctrlr)
{
	struct emu_placement *p = &ctrlr->placement;

	pthread_mutex_init(&p->lock, NULL);
	pthread_mutex_init(&ctrlr->streams_lock, NULL);
	p->enabled = ctrlr->config.fdp > 0;
	for (uint32_t i = 0; i < EMU_FDP_MAX; i++)
		p->left[i] = UNIT_BYTES;
}

void emu_placement_destroy(struct emu_ctrlr *ctrlr)
{
	pthread_mutex_destroy(&ctrlr->placement.lock);
	pthread_mutex_destroy(&ctrlr->streams_lock);
}

bool emu_placement_enabled(const struct emu_ctrlr *ctrlr)
{
	return __atomic_load_n(&ctrlr->placement.enabled, __ATOMIC_RELAXED);
}

/* ---- writes ---- */

uint16_t emu_placement_check(const struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t dtype = emu_cdw(cmd->cdw12) >> 20 & 0xf, nsid = emu_cdw(cmd->nsid);

	if (dtype == EMU_DTYPE_STREAMS && emu_streams_enabled(ctrlr, nsid))
		return EMU_SUCCESS;
	if (dtype == EMU_DTYPE_PLACE && emu_placement_enabled(ctrlr))
		return EMU_SUCCESS;
	return dtype ? EMU_GENERIC(INVALID_FIELD) : EMU_SUCCESS;
}

void emu_placement_written(struct emu_ctrlr *ctrlr, const struct emu_ns *ns,
			   const struct nvmux_cmd *cmd)
{
	uint32_t dtype = emu_cdw(cmd->cdw12) >> 20 & 0xf, id = emu_cdw(cmd->cdw13) >> 16;
	uint64_t bytes = ((uint64_t)(emu_cdw(cmd->cdw12) & 0xffff) + 1) << ns->shift;
	struct emu_placement *p = &ctrlr->placement;

	if (dtype == EMU_DTYPE_STREAMS)
		emu_stream_use(ctrlr, ns->id, (uint16_t)id);
	if (!emu_placement_enabled(ctrlr))
		return;
	pthread_mutex_lock(&p->lock);
	if (dtype == EMU_DTYPE_PLACE && id < ctrlr->config.fdp)
		p->named[id] = true;
	else
		id = 0;
	p->written += bytes;
	bytes += UNIT_BYTES - p->left[id];
	p->left[id] = UNIT_BYTES - bytes % UNIT_BYTES;
	pthread_mutex_unlock(&p->lock);
}

/* ---- I/O management ---- */

static void put16(uint8_t *to, uint16_t value)
{
	value = htole16(value);
	memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value)
{
	value = htole64(value);
	memcpy(to, &value, sizeof(value));
}

static uint16_t unit_status(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint64_t len = ((uint64_t)emu_cdw(cmd->cdw11) + 1) * 4;
	struct emu_placement *p = &sq->ctrlr->placement;
	uint8_t buf[STATUS_HEAD + EMU_FDP_MAX * STATUS_BYTES] = {0};
	uint32_t n = sq->ctrlr->config.fdp;

	if (len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	put16(buf + 14, (uint16_t)n);
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < n; i++) {
		uint8_t *d = buf + STATUS_HEAD + (size_t)i * STATUS_BYTES;

		put16(d, (uint16_t)i);     /* placement identifier */
		put16(d + 2, (uint16_t)i); /* reclaim unit handle */
		put64(d + 8, p->left[i] >> ns->shift);
	}
	pthread_mutex_unlock(&p->lock);
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf,
			MIN(len, STATUS_HEAD + (uint64_t)n * STATUS_BYTES));
}

static uint16_t unit_update(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t n = (emu_cdw(cmd->cdw10) >> 16) + 1;
	struct emu_placement *p = &sq->ctrlr->placement;
	uint16_t ids[EMU_FDP_MAX], status;

	if (n > sq->ctrlr->config.fdp)
		return EMU_GENERIC(INVALID_FIELD);
	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)ids, n * sizeof(ids[0]));
	for (uint32_t i = 0; i < n && !status; i++) {
		if (le16toh(ids[i]) >= sq->ctrlr->config.fdp)
			status = EMU_GENERIC(INVALID_FIELD);
	}
	if (status)
		return status;
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < n; i++)
		p->left[le16toh(ids[i])] = UNIT_BYTES;
	pthread_mutex_unlock(&p->lock);
	return EMU_SUCCESS;
}

uint16_t emu_io_mgmt(struct emu_sq *sq, const struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t mo = emu_cdw(cmd->cdw10) & 0xff;

	if (mo == MO_NONE)
		return EMU_SUCCESS;
	if (!emu_placement_enabled(sq->ctrlr))
		return SC_FDP_DISABLED;
	if (cmd->opc == nvme_cmd_io_mgmt_recv && mo == MO_STATUS)
		return unit_status(sq, ns, cmd);
	if (cmd->opc == nvme_cmd_io_mgmt_send && mo == MO_UPDATE)
		return unit_update(sq, cmd);
	return EMU_GENERIC(INVALID_FIELD);
}

/* ---- the feature ---- */

uint16_t emu_set_placement(struct emu_ctrlr *ctrlr, const struct nvmux_cmd *cmd)
{
	uint32_t v = emu_cdw(cmd->cdw12);

	if ((emu_cdw(cmd->cdw11) & 0xffff) != GROUP || v >> 8 & 0xff) /* one configuration */
		return EMU_GENERIC(INVALID_FIELD);
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].id)
			return EMU_GENERIC(CMD_SEQ_ERROR);
	}
	__atomic_store_n(&ctrlr->placement.enabled, v & FDP_ENABLED, __ATOMIC_RELAXED);
	return EMU_SUCCESS;
}

uint16_t emu_get_placement(const struct emu_ctrlr *ctrlr, uint32_t cdw11, uint32_t *ret)
{
	if ((cdw11 & 0xffff) != GROUP)
		return EMU_GENERIC(INVALID_FIELD);
	*ret = emu_placement_enabled(ctrlr) ? FDP_ENABLED : 0;
	return EMU_SUCCESS;
}

/* ---- log pages ---- */

uint32_t emu_placement_configs(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_fdp_config_log *log = (struct nvme_fdp_config_log *)(void *)buf;
	struct nvme_fdp_config_desc *d = log->configs;
	uint32_t n = ctrlr->config.fdp;
	uint32_t size = (uint32_t)(sizeof(*d) + n * sizeof(d->ruhs[0]));

	/* Number of configurations is 0's based, the others aren't. */
	log->size = htole32((uint32_t)sizeof(*log) + size);
	d->size = htole16((uint16_t)size);
	d->fdpa = CONFIG_VALID;
	d->nrg = htole32(1);
	d->nruh = htole16((uint16_t)n);
	d->maxpids = htole16((uint16_t)(n - 1));
	d->nnss = htole32(emu_nn(ctrlr));
	d->runs = htole64(UNIT_BYTES);
	for (uint32_t i = 0; i < n; i++)
		d->ruhs[i].ruht = NVME_FDP_RUHT_INITIALLY_ISOLATED;
	return (uint32_t)sizeof(*log) + size;
}

uint32_t emu_placement_usage(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_fdp_ruhu_log *log = (struct nvme_fdp_ruhu_log *)(void *)buf;
	struct emu_placement *p = &ctrlr->placement;
	uint32_t n = ctrlr->config.fdp;

	log->nruh = htole16((uint16_t)n);
	pthread_mutex_lock(&p->lock);
	for (uint32_t i = 0; i < n; i++)
		log->ruhus[i].ruha = p->named[i] ? HANDLE_USED : 0;
	pthread_mutex_unlock(&p->lock);
	return (uint32_t)(sizeof(*log) + n * sizeof(log->ruhus[0]));
}

/* Nothing is moved: as many bytes are written to the media as the host has written. */
uint32_t emu_placement_stats(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	struct nvme_fdp_stats_log *log = (struct nvme_fdp_stats_log *)(void *)buf;
	struct emu_placement *p = &ctrlr->placement;

	pthread_mutex_lock(&p->lock);
	put64(log->hbmw, p->written);
	put64(log->mbmw, p->written);
	pthread_mutex_unlock(&p->lock);
	return sizeof(*log);
}

/* No event is ever recorded. */
uint32_t emu_placement_events(struct emu_ctrlr *ctrlr, uint8_t *buf)
{
	(void)ctrlr;
	(void)buf;
	return sizeof(struct nvme_fdp_events_log);
}
