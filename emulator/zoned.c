// SPDX-License-Identifier: BSD-3-Clause
/*
 * Zoned namespaces: states, write pointers, management. Zoned Namespace command set 1.1.
 *
 * A zone is written from its write pointer on. Writing opens it implicitly, the host opens it
 * explicitly; when too many are open, one that is so only implicitly is closed for the new one.
 * Open and closed zones are active. Zones become read only or offline when told so from outside
 * (emu_zone_set()), which the Changed Zone List has then.
 *
 * One lock for each namespace. A command that reads or writes holds it from its check to its end.
 */
#include <errno.h>
#include <string.h>
#include "emulator/internal.h"

#define NO_LIMIT        0xffffffffu
#define SEND_ALL        (1u << 8)
#define RECEIVE_PARTIAL (1u << 16)
#define ZT_SEQ_REQUIRED 2
#define ZDE_BYTES       (64u * EMU_ZDES)
#define WP_INVALID      UINT64_MAX
#define AER_NOTICE_ZONE 0xef /* Zone Descriptor Changed */

struct zone {
	uint64_t wp;
	uint8_t state;
	uint8_t attrs;
	bool changed; /* by itself, since the host has read the list of these */
};

struct emu_zones {
	pthread_mutex_t lock;
	uint64_t n;
	uint64_t size; /* blocks */
	uint64_t cap;
	uint32_t max_open; /* 0: no limit */
	uint32_t max_active;
	uint32_t n_open;
	uint32_t n_active;
	struct zone *zone;
	uint8_t (*ext)[ZDE_BYTES];
};

static uint64_t index_of(const struct emu_zones *z, const struct zone *zone)
{
	return (uint64_t)(zone - z->zone);
}

static uint64_t start_of(const struct emu_zones *z, const struct zone *zone)
{
	return index_of(z, zone) * z->size;
}

static struct zone *zone_at(const struct emu_zones *z, uint64_t lba)
{
	return &z->zone[lba / z->size];
}

static bool is_open(const struct zone *zone)
{
	return zone->state == NVME_ZNS_ZS_IMPL_OPEN || zone->state == NVME_ZNS_ZS_EXPL_OPEN;
}

static bool is_active(const struct zone *zone)
{
	return is_open(zone) || zone->state == NVME_ZNS_ZS_CLOSED;
}

void emu_zones_reset(struct emu_ns *ns)
{
	struct emu_zones *z = ns->zones;

	z->n_open = z->n_active = 0;
	for (uint64_t i = 0; i < z->n; i++)
		z->zone[i] = (struct zone){.wp = i * z->size, .state = NVME_ZNS_ZS_EMPTY};
}

int emu_zones_create(struct emu_ns *ns, const struct emu_ns_config *config)
{
	struct emu_zones *z = calloc(1, sizeof(*z));

	if (!z)
		return -ENOMEM;
	pthread_mutex_init(&z->lock, NULL);
	ns->zones = z;
	z->n = ns->size / config->zone;
	z->size = config->zone >> ns->shift;
	z->cap = config->zcap ? config->zcap >> ns->shift : z->size;
	z->max_open = config->maxopen;
	z->max_active = config->maxactive;
	z->zone = calloc(z->n, sizeof(*z->zone));
	z->ext = calloc(z->n, sizeof(*z->ext));
	if (!z->zone || !z->ext)
		return -ENOMEM;
	emu_zones_reset(ns);
	return 0;
}

void emu_zones_destroy(struct emu_ns *ns)
{
	struct emu_zones *z = ns->zones;

	if (!z)
		return;
	pthread_mutex_destroy(&z->lock);
	free(z->zone);
	free(z->ext);
	free(z);
	ns->zones = NULL;
}

bool emu_has_zones(const struct emu_ctrlr *ctrlr)
{
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].zones)
			return true;
	}
	return false;
}

void emu_zones_lock(struct emu_ns *ns)
{
	pthread_mutex_lock(&ns->zones->lock);
}

void emu_zones_unlock(struct emu_ns *ns)
{
	pthread_mutex_unlock(&ns->zones->lock);
}

/* ---- transitions, under the lock ---- */

static void set_state(struct emu_zones *z, struct zone *zone, uint8_t state)
{
	z->n_open -= is_open(zone);
	z->n_active -= is_active(zone);
	zone->state = state;
	z->n_open += is_open(zone);
	z->n_active += is_active(zone);
}

/* Zones that may be closed to make room, @but not. */
static struct zone *find_implicit(struct emu_zones *z, const struct zone *but)
{
	for (uint64_t i = 0; i < z->n; i++) {
		if (&z->zone[i] != but && z->zone[i].state == NVME_ZNS_ZS_IMPL_OPEN)
			return &z->zone[i];
	}
	return NULL;
}

/* Closed, or open in either way; what is Empty or Closed takes resources first. */
static uint16_t activate(struct emu_zones *z, struct zone *zone, uint8_t state)
{
	bool opens = state != NVME_ZNS_ZS_CLOSED && !is_open(zone);
	struct zone *victim = NULL;

	if (!is_active(zone) && z->max_active && z->n_active >= z->max_active)
		return EMU_SPECIFIC(ZNS_TOO_MANY_ACTIVE);
	if (opens && z->max_open && z->n_open >= z->max_open) {
		victim = find_implicit(z, zone);
		if (!victim)
			return EMU_SPECIFIC(ZNS_TOO_MANY_OPENS);
		set_state(z, victim, NVME_ZNS_ZS_CLOSED);
	}
	set_state(z, zone, state);
	return EMU_SUCCESS;
}

static uint16_t open_zone(struct emu_ns *ns, struct zone *zone)
{
	switch (zone->state) {
	case NVME_ZNS_ZS_EMPTY:
	case NVME_ZNS_ZS_CLOSED:
	case NVME_ZNS_ZS_IMPL_OPEN:
	case NVME_ZNS_ZS_EXPL_OPEN: return activate(ns->zones, zone, NVME_ZNS_ZS_EXPL_OPEN);
	default: return EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
	}
}

static uint16_t close_zone(struct emu_ns *ns, struct zone *zone)
{
	if (!is_active(zone))
		return EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
	set_state(ns->zones, zone, NVME_ZNS_ZS_CLOSED);
	return EMU_SUCCESS;
}

static uint16_t finish_zone(struct emu_ns *ns, struct zone *zone)
{
	if (!is_active(zone) && zone->state != NVME_ZNS_ZS_EMPTY && zone->state != NVME_ZNS_ZS_FULL)
		return EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
	set_state(ns->zones, zone, NVME_ZNS_ZS_FULL);
	return EMU_SUCCESS;
}

static uint16_t reset_zone(struct emu_ns *ns, struct zone *zone)
{
	struct emu_zones *z = ns->zones;
	uint16_t status;

	if (zone->state == NVME_ZNS_ZS_EMPTY)
		return EMU_SUCCESS;
	if (!is_active(zone) && zone->state != NVME_ZNS_ZS_FULL)
		return EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
	status = emu_ns_deallocate(ns, start_of(z, zone), z->size);
	if (status)
		return status;
	set_state(z, zone, NVME_ZNS_ZS_EMPTY);
	zone->wp = start_of(z, zone);
	zone->attrs = 0;
	return EMU_SUCCESS;
}

static uint16_t offline_zone(struct emu_ns *ns, struct zone *zone)
{
	if (zone->state == NVME_ZNS_ZS_READ_ONLY)
		set_state(ns->zones, zone, NVME_ZNS_ZS_OFFLINE);
	return zone->state == NVME_ZNS_ZS_OFFLINE ? EMU_SUCCESS
						  : EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
}

/* ---- zones that change by themselves ---- */

int emu_zone_set(struct emu_ctrlr *ctrlr, const char *text, char *why, size_t why_size)
{
	unsigned nsid = 0, index = 0;
	int n = 0;
	char state[16] = "";
	struct emu_ns *ns;
	uint8_t to;

	if (sscanf(text, "nsid=%u index=%u state=%15s%n", &nsid, &index, state, &n) != 3 ||
	    text[n]) {
		snprintf(why, why_size, "must be nsid=N index=N state=readonly or state=offline");
		return -EINVAL;
	}
	ns = emu_ns_get(ctrlr, nsid);
	if (!ns || !ns->zones || index >= ns->zones->n) {
		snprintf(why, why_size, "there is no zone %u of a namespace %u", index, nsid);
		return -EINVAL;
	}
	to = strcmp(state, "offline") == 0 ? NVME_ZNS_ZS_OFFLINE : NVME_ZNS_ZS_READ_ONLY;
	if (to == NVME_ZNS_ZS_READ_ONLY && strcmp(state, "readonly") != 0) {
		snprintf(why, why_size, "state=%s: must be readonly or offline", state);
		return -EINVAL;
	}
	emu_zones_lock(ns);
	set_state(ns->zones, &ns->zones->zone[index], to);
	ns->zones->zone[index].changed = true;
	emu_zones_unlock(ns);
	if (ctrlr->features.async_event & NVME_CTRL_OAES_ZD)
		emu_event_raise_ns(ctrlr, NVME_AER_NOTICE, AER_NOTICE_ZONE,
				   NVME_LOG_LID_ZNS_CHANGED_ZONES, nsid);
	return 0;
}

uint32_t emu_zones_changed(struct emu_ns *ns, uint8_t *buf, bool clear)
{
	struct nvme_zns_changed_zone_log *log = (struct nvme_zns_changed_zone_log *)(void *)buf;
	struct emu_zones *z = ns->zones;
	uint32_t n = 0;

	emu_zones_lock(ns);
	for (uint64_t i = 0; i < z->n; i++) {
		if (!z->zone[i].changed)
			continue;
		if (n < ARRAY_SIZE(log->zid))
			log->zid[n] = cpu_to_le64(i * z->size);
		n++;
		if (clear)
			z->zone[i].changed = false;
	}
	emu_zones_unlock(ns);
	if (n > ARRAY_SIZE(log->zid)) { /* too many: all are to be looked at */
		memset(log, 0, sizeof(*log));
		n = UINT16_MAX;
	}
	log->nrzid = cpu_to_le16((uint16_t)n);
	return sizeof(*log);
}

/* ---- reads and writes ---- */

uint16_t emu_zones_check_read(const struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	const struct emu_zones *z = ns->zones;

	if (slba / z->size != (slba + n - 1) / z->size)
		return EMU_SPECIFIC(ZNS_BOUNDARY_ERROR);
	if (zone_at(z, slba)->state == NVME_ZNS_ZS_OFFLINE)
		return EMU_SPECIFIC(ZNS_OFFLINE);
	return EMU_SUCCESS;
}

static uint16_t check_state(const struct zone *zone)
{
	switch (zone->state) {
	case NVME_ZNS_ZS_FULL: return EMU_SPECIFIC(ZNS_FULL);
	case NVME_ZNS_ZS_READ_ONLY: return EMU_SPECIFIC(ZNS_READ_ONLY);
	case NVME_ZNS_ZS_OFFLINE: return EMU_SPECIFIC(ZNS_OFFLINE);
	default: return EMU_SUCCESS;
	}
}

uint16_t emu_zones_check_write(struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	struct emu_zones *z = ns->zones;
	struct zone *zone = zone_at(z, slba);
	uint16_t status = check_state(zone);

	if (status)
		return status;
	if (slba - start_of(z, zone) + n > z->cap)
		return EMU_SPECIFIC(ZNS_BOUNDARY_ERROR);
	if (slba != zone->wp)
		return EMU_SPECIFIC(ZNS_INVALID_WRITE);
	return is_open(zone) ? EMU_SUCCESS : activate(z, zone, NVME_ZNS_ZS_IMPL_OPEN);
}

uint16_t emu_zones_append_at(const struct emu_ns *ns, uint64_t zslba, uint64_t *ret_slba)
{
	const struct emu_zones *z = ns->zones;
	uint16_t status;

	if (zslba % z->size != 0)
		return EMU_GENERIC(INVALID_FIELD);
	status = check_state(zone_at(z, zslba));
	if (!status)
		*ret_slba = zone_at(z, zslba)->wp;
	return status;
}

void emu_zones_written(struct emu_ns *ns, uint64_t slba, uint64_t n)
{
	struct emu_zones *z = ns->zones;
	struct zone *zone = zone_at(z, slba);

	zone->wp = slba + n;
	if (zone->wp == start_of(z, zone) + z->cap)
		set_state(z, zone, NVME_ZNS_ZS_FULL);
}

/* ---- management ---- */

typedef uint16_t (*action_fn)(struct emu_ns *ns, struct zone *zone);

/* Which zones an action with Select All applies to: the others stay as they are. */
static bool selected(uint8_t action, const struct zone *zone)
{
	switch (action) {
	case NVME_ZNS_ZSA_OPEN: return zone->state == NVME_ZNS_ZS_CLOSED;
	case NVME_ZNS_ZSA_CLOSE: return is_open(zone);
	case NVME_ZNS_ZSA_FINISH: return is_active(zone);
	case NVME_ZNS_ZSA_RESET: return is_active(zone) || zone->state == NVME_ZNS_ZS_FULL;
	default: return zone->state == NVME_ZNS_ZS_READ_ONLY;
	}
}

static uint16_t send_all(struct emu_ns *ns, uint8_t action, action_fn act)
{
	struct emu_zones *z = ns->zones;
	uint16_t status = EMU_SUCCESS;

	/* All closed zones or none: implicitly open ones can give way. */
	if (action == NVME_ZNS_ZSA_OPEN && z->max_open) {
		uint32_t n = z->n_active;

		for (uint64_t i = 0; i < z->n; i++)
			n -= z->zone[i].state == NVME_ZNS_ZS_IMPL_OPEN;
		if (n > z->max_open)
			return EMU_SPECIFIC(ZNS_TOO_MANY_OPENS);
	}
	for (uint64_t i = 0; i < z->n && !status; i++) {
		if (selected(action, &z->zone[i]))
			status = act(ns, &z->zone[i]);
	}
	return status;
}

static action_fn find_action(uint8_t action)
{
	switch (action) {
	case NVME_ZNS_ZSA_CLOSE: return close_zone;
	case NVME_ZNS_ZSA_FINISH: return finish_zone;
	case NVME_ZNS_ZSA_OPEN: return open_zone;
	case NVME_ZNS_ZSA_RESET: return reset_zone;
	case NVME_ZNS_ZSA_OFFLINE: return offline_zone;
	default: return NULL;
	}
}

static uint16_t set_extension(struct emu_ns *ns, struct zone *zone, const uint8_t *data)
{
	struct emu_zones *z = ns->zones;
	uint16_t status;

	if (zone->state != NVME_ZNS_ZS_EMPTY)
		return EMU_SPECIFIC(ZNS_INVAL_TRANSITION);
	status = activate(z, zone, NVME_ZNS_ZS_CLOSED);
	if (status)
		return status;
	memcpy(z->ext[index_of(z, zone)], data, ZDE_BYTES);
	zone->attrs |= NVME_ZNS_ZA_ZDEV;
	return EMU_SUCCESS;
}

static uint16_t mgmt_send(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t cdw13 = emu_cdw(cmd->cdw13);
	uint8_t action = (uint8_t)cdw13, data[ZDE_BYTES];
	bool ext = action == NVME_ZNS_ZSA_SET_DESC_EXT, all = cdw13 & SEND_ALL;
	action_fn act = find_action(action);
	uint64_t slba = emu_slba(cmd);
	uint16_t status = EMU_SUCCESS;

	if ((!act && !ext) || (ext && all))
		return EMU_GENERIC(INVALID_FIELD);
	if (!all && slba >= ns->n_blocks)
		return EMU_GENERIC(LBA_RANGE);
	if (!all && slba % ns->zones->size != 0)
		return EMU_GENERIC(INVALID_FIELD);
	if (ext)
		status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, data, sizeof(data));
	if (status)
		return status;
	emu_zones_lock(ns);
	if (all)
		status = send_all(ns, action, act);
	else if (ext)
		status = set_extension(ns, zone_at(ns->zones, slba), data);
	else
		status = act(ns, zone_at(ns->zones, slba));
	emu_zones_unlock(ns);
	return status;
}

/* Zone Receive Action Specific: which zones are listed. */
static bool listed(const struct zone *zone, uint8_t which)
{
	static const uint8_t states[] = {
		[NVME_ZNS_ZRAS_REPORT_EMPTY] = NVME_ZNS_ZS_EMPTY,
		[NVME_ZNS_ZRAS_REPORT_IMPL_OPENED] = NVME_ZNS_ZS_IMPL_OPEN,
		[NVME_ZNS_ZRAS_REPORT_EXPL_OPENED] = NVME_ZNS_ZS_EXPL_OPEN,
		[NVME_ZNS_ZRAS_REPORT_CLOSED] = NVME_ZNS_ZS_CLOSED,
		[NVME_ZNS_ZRAS_REPORT_FULL] = NVME_ZNS_ZS_FULL,
		[NVME_ZNS_ZRAS_REPORT_READ_ONLY] = NVME_ZNS_ZS_READ_ONLY,
		[NVME_ZNS_ZRAS_REPORT_OFFLINE] = NVME_ZNS_ZS_OFFLINE,
	};

	return which == NVME_ZNS_ZRAS_REPORT_ALL || zone->state == states[which];
}

static void describe(const struct emu_zones *z, const struct zone *zone, struct nvme_zns_desc *d)
{
	bool has_wp = is_active(zone) || zone->state == NVME_ZNS_ZS_EMPTY;

	d->zt = ZT_SEQ_REQUIRED;
	d->zs = (uint8_t)(zone->state << 4);
	d->za = zone->attrs;
	d->zcap = cpu_to_le64(z->cap);
	d->zslba = cpu_to_le64(start_of(z, zone));
	d->wp = cpu_to_le64(has_wp ? zone->wp : WP_INVALID);
}

struct report {
	uint8_t which;
	bool extended;
	bool partial;
};

static void fill_report(const struct emu_zones *z, uint64_t first, const struct report *r,
			uint8_t *buf, uint64_t len)
{
	struct nvme_zone_report *head = (struct nvme_zone_report *)(void *)buf;
	uint64_t step = sizeof(struct nvme_zns_desc) + (r->extended ? ZDE_BYTES : 0);
	uint64_t at = sizeof(*head), n = 0;

	for (uint64_t i = first; i < z->n; i++) {
		const struct zone *zone = &z->zone[i];
		bool fits = len - at >= step;

		if (!listed(zone, r->which))
			continue;
		if (!fits && r->partial)
			break;
		n++;
		if (!fits)
			continue;
		describe(z, zone, (struct nvme_zns_desc *)(void *)(buf + at));
		if (r->extended && (zone->attrs & NVME_ZNS_ZA_ZDEV))
			memcpy(buf + at + sizeof(struct nvme_zns_desc), z->ext[i], ZDE_BYTES);
		at += step;
	}
	head->nr_zones = cpu_to_le64(n);
}

static uint16_t mgmt_receive(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t cdw13 = emu_cdw(cmd->cdw13), action = cdw13 & 0xff;
	uint64_t len = ((uint64_t)emu_cdw(cmd->cdw12) + 1) * 4, slba = emu_slba(cmd);
	const struct report r = {
		.which = (uint8_t)(cdw13 >> 8),
		.extended = action == NVME_ZNS_ZRA_EXTENDED_REPORT_ZONES,
		.partial = cdw13 & RECEIVE_PARTIAL,
	};
	uint16_t status;
	uint8_t *buf;

	if (action > NVME_ZNS_ZRA_EXTENDED_REPORT_ZONES || r.which > NVME_ZNS_ZRAS_REPORT_OFFLINE ||
	    len < sizeof(struct nvme_zone_report) || len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (slba >= ns->n_blocks)
		return EMU_GENERIC(LBA_RANGE);
	buf = calloc(1, len);
	if (!buf)
		return EMU_GENERIC(INTERNAL);
	emu_zones_lock(ns);
	fill_report(ns->zones, slba / ns->zones->size, &r, buf, len);
	emu_zones_unlock(ns);
	status = emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, len);
	free(buf);
	return status;
}

uint16_t emu_zones_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	return cmd->opc == nvme_zns_cmd_mgmt_send ? mgmt_send(sq, ns, cmd)
						  : mgmt_receive(sq, ns, cmd);
}

void emu_zones_identify(const struct emu_ns *ns, struct nvme_zns_id_ns *id)
{
	const struct emu_zones *z = ns->zones;

	/* 0's based; all ones: no limit */
	id->mar = cpu_to_le32(z->max_active ? z->max_active - 1 : NO_LIMIT);
	id->mor = cpu_to_le32(z->max_open ? z->max_open - 1 : NO_LIMIT);
	for (int i = 0; i < EMU_LBAFS; i++) {
		id->lbafe[i].zsze = cpu_to_le64((z->size << ns->shift) >> emu_lbafs[i].shift);
		id->lbafe[i].zdes = EMU_ZDES;
	}
}
