// SPDX-License-Identifier: BSD-3-Clause
/*
 * Namespaces: the scan during start, and what their handles tell.
 *
 * Happy path: the list of active namespaces (CNS 02h), then for each its data (CNS 00h) and its
 * identification descriptors (CNS 03h). A handle, once given out, stays valid until the controller
 * is detached; a namespace that has gone is inactive. At a later scan, with or without I/O going
 * on, a namespace keeps what was known of it until all of it has been read anew; then it is
 * compared: is it another one, of another format or smaller than before, it has changed.
 *
 * Failure modes: controllers older than 1.1 have no list (every id up to NN is tried); a namespace
 * whose format can't be used is left out with a line in the log. All of it is the controller's word
 * and checked: order and number of ids, block size, capacity, descriptor lengths.
 */
#include <errno.h>
#include <string.h>

#include "recover.h"

#define VERSION(major, minor) ((uint32_t)(major) << 16 | (uint32_t)(minor) << 8)
#define LBA_SHIFT_MIN         9u
#define LBA_SHIFT_MAX         16u
#define HANDLES_MAX           (4u * NVMUX_NS_MAX) /* of namespaces that came and went */

/* What names a namespace, all of it or nothing. */
struct identity {
	uint8_t csi;
	bool has_uuid;
	bool has_nguid;
	uint8_t uuid[16];
	uint8_t nguid[16];
};

struct nvmux_ns_scan {
	uint32_t n;
	uint32_t index; /* being identified */
	uint32_t nsid[NVMUX_NS_MAX];
	struct nvmux_ns *ns;      /* its handle, */
	struct nvme_id_ns data;   /* what it says and */
	struct identity identity; /* what it is called, while descriptors are read */
	union {
		__le32 list[NVMUX_NS_MAX];
		struct nvme_id_ns id;
		uint8_t descs[4096];
	};
};

static void identify(struct nvmux_ctrlr *ctrlr, uint8_t cns, uint32_t nsid, nvmux_cmd_cb cb)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(cns),
	};
	int err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->scan->descs, sizeof(ctrlr->scan->descs), cb,
				    ctrlr);

	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

static bool has_ns_list(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->vs >= VERSION(1, 1);
}

void ctrlr_enter_active_ns(struct nvmux_ctrlr *ctrlr)
{
	if (!ctrlr->scan)
		ctrlr->scan = calloc(1, sizeof(*ctrlr->scan));
	if (!ctrlr->scan)
		ctrlr_step_done(ctrlr, -ENOMEM, 0);
	else if (has_ns_list(ctrlr))
		identify(ctrlr, NVME_IDENTIFY_CNS_NS_ACTIVE_LIST, 0, ctrlr_step_cpl);
	else
		ctrlr_step_done(ctrlr, 0, 0);
}

/* Ids come in ascending order and end with 0. Section 5.17.2.3. */
static int take_list(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	uint32_t prev = 0;

	for (scan->n = 0; scan->n < NVMUX_NS_MAX; scan->n++) {
		uint32_t nsid = le32_to_cpu(scan->list[scan->n]);

		if (!nsid)
			break;
		if (nsid <= prev || nsid >= NVME_NSID_ALL - 1)
			return nvmux_error(ctrlr->nvmux, -EPROTO,
					   "%s: active namespace list: id %#x follows %#x",
					   ctrlr->trid.traddr, nsid, prev);
		scan->nsid[scan->n] = nsid;
		prev = nsid;
	}
	return 0;
}

static void take_all_ids(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;

	scan->n = MIN(le32_to_cpu(ctrlr->id.nn), (uint32_t)NVMUX_NS_MAX);
	for (uint32_t i = 0; i < scan->n; i++)
		scan->nsid[i] = i + 1;
}

static int scan_next(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->scan->index < ctrlr->scan->n)
		return CTRLR_IDENTIFY_NS;
	free(ctrlr->scan);
	ctrlr->scan = NULL;
	return CTRLR_AER;
}

/* Its handle stays; every range is beyond its end now. */
static void ns_deactivate(struct nvmux_ns *ns)
{
	ns->active = false;
	ns->n_lbas = 0;
}

static bool is_listed(const struct nvmux_ns_scan *scan, uint32_t nsid)
{
	uint32_t low = 0, high = scan->n;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (scan->nsid[mid] == nsid)
			return true;
		if (scan->nsid[mid] < nsid)
			low = mid + 1;
		else
			high = mid;
	}
	return false;
}

int ctrlr_finish_active_ns(struct nvmux_ctrlr *ctrlr)
{
	int err = 0;

	if (has_ns_list(ctrlr))
		err = take_list(ctrlr);
	else
		take_all_ids(ctrlr);
	if (err)
		return err;
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		/* Compared with what was there before a loss, whatever attempts have seen. */
		if (!recover_active(ctrlr))
			ctrlr->ns[i]->changed = false;
		if (!is_listed(ctrlr->scan, ctrlr->ns[i]->id))
			ns_deactivate(ctrlr->ns[i]);
	}
	ctrlr->scan->index = 0;
	return scan_next(ctrlr);
}

void ctrlr_enter_identify_ns(struct nvmux_ctrlr *ctrlr)
{
	identify(ctrlr, NVME_IDENTIFY_CNS_NS, ctrlr->scan->nsid[ctrlr->scan->index],
		 ctrlr_step_cpl_any);
}

/* Index of the first namespace whose id is at least @nsid. */
static uint32_t ns_index(const struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	uint32_t low = 0, high = ctrlr->n_ns;

	while (low < high) {
		uint32_t mid = (low + high) / 2;

		if (ctrlr->ns[mid]->id < nsid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The handle of @nsid, made if there is none. */
static struct nvmux_ns *ns_get_or_make(struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	uint32_t i = ns_index(ctrlr, nsid);
	struct nvmux_ns **grown, *ns;

	if (i < ctrlr->n_ns && ctrlr->ns[i]->id == nsid)
		return ctrlr->ns[i];
	if (ctrlr->n_ns == HANDLES_MAX)
		return NULL;
	grown = reallocarray(ctrlr->ns, ctrlr->n_ns + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	ctrlr->ns = grown;
	ns = calloc(1, sizeof(*ns));
	if (!ns)
		return NULL;
	memmove(&grown[i + 1], &grown[i], (ctrlr->n_ns - i) * sizeof(*grown));
	grown[i] = ns;
	ctrlr->n_ns++;
	ns->ctrlr = ctrlr;
	ns->id = nsid;
	return ns;
}

static const struct nvme_lbaf *format_of(const struct nvme_id_ns *id)
{
	return &id->lbaf[(id->flbas & 0xf) | (id->nlbaf > 15 ? (id->flbas >> 5 & 3) << 4 : 0)];
}

/* Why it can't be used, or NULL. NVM command set 1.0, section 4.1.5.1. */
static const char *check_data(const struct nvmux_ctrlr *ctrlr, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = format_of(id);
	uint64_t n_lbas = le64_to_cpu(id->nsze);

	if (!n_lbas)
		return "it is not active";
	if (format->ds < LBA_SHIFT_MIN || format->ds > LBA_SHIFT_MAX)
		return "its block size is not 512 bytes to 64 KiB";
	if (n_lbas > UINT64_MAX >> format->ds)
		return "its size exceeds 64 bits of bytes";
	if (format->ms)
		return "formats with metadata aren't supported";
	if (ctrlr->max_transfer < 1u << format->ds)
		return "one block exceeds the transfer limit";
	return NULL;
}

/* Something that isn't there now and was before is a difference, too. */
static bool is_other(const struct nvmux_ns *ns, const struct nvme_id_ns *id,
		     const struct identity *identity)
{
	return identity->csi != ns->csi || identity->has_uuid != ns->has_uuid ||
	       identity->has_nguid != ns->has_nguid ||
	       memcmp(identity->uuid, ns->uuid, sizeof(ns->uuid)) ||
	       memcmp(identity->nguid, ns->nguid, sizeof(ns->nguid)) ||
	       memcmp(id->eui64, ns->data.eui64, sizeof(id->eui64));
}

static bool is_formatted_otherwise(const struct nvmux_ns *ns, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = format_of(id);

	return format->ds != ns->lba_shift || le16_to_cpu(format->ms) != ns->md_size;
}

static void take_format(struct nvmux_ns *ns, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = format_of(id);

	ns->lba_shift = format->ds;
	ns->md_size = le16_to_cpu(format->ms);
	ns->md_interleaved = ns->md_size && id->flbas & 0x10;
	ns->max_lbas = MIN(ns->ctrlr->max_transfer >> ns->lba_shift, 65536u);
	ns->boundary_lbas = le16_to_cpu(id->noiob);
}

static void take_identity(struct nvmux_ns *ns, const struct identity *identity)
{
	ns->csi = identity->csi;
	ns->has_uuid = identity->has_uuid;
	ns->has_nguid = identity->has_nguid;
	memcpy(ns->uuid, identity->uuid, sizeof(ns->uuid));
	memcpy(ns->nguid, identity->nguid, sizeof(ns->nguid));
}

/*
 * Everything has been read. Others may be sending I/O by what they find in @ns: what didn't change
 * isn't written, and while a format changes every range is beyond the end.
 */
static void ns_settle(struct nvmux_ns *ns, const struct nvme_id_ns *id,
		      const struct identity *identity)
{
	uint64_t n_lbas = le64_to_cpu(id->nsze);
	uint32_t max_lbas = MIN(ns->ctrlr->max_transfer >> format_of(id)->ds, 65536u);
	bool known = ns->known_lbas != 0, other = is_other(ns, id, identity);
	bool format = is_formatted_otherwise(ns, id);

	ns->changed |= known && (format || other || n_lbas < ns->known_lbas);
	if (format || max_lbas != ns->max_lbas || le16_to_cpu(id->noiob) != ns->boundary_lbas) {
		ns->n_lbas = 0;
		take_format(ns, id);
	}
	if (other)
		take_identity(ns, identity);
	ns->data = *id; /* of which I/O reads nothing */
	ns->ana_group = nvmux_ana_supported(ns->ctrlr) ? le32_to_cpu(id->anagrpid) : 0;
	if (!ns->ana_group)
		ns->ana_state = NVMUX_ANA_NONE;
	ns->known_lbas = n_lbas;
	if (ns->n_lbas != n_lbas)
		ns->n_lbas = n_lbas;
	if (!ns->active)
		ns->active = true;
}

static int settle_and_next(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;

	ns_settle(scan->ns, &scan->data, &scan->identity);
	scan->index++;
	return scan_next(ctrlr);
}

int ctrlr_finish_identify_ns(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	uint32_t nsid = scan->nsid[scan->index];
	struct nvmux_ns *ns = ns_get_or_make(ctrlr, nsid);
	const char *why;

	if (!ns)
		return -ENOMEM;
	why = ctrlr->step_status ? nvmux_status_string(ctrlr->step_status)
				 : check_data(ctrlr, &scan->id);
	if (why) {
		ns_deactivate(ns);
		nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
			  "%s: namespace %u is left out: %s", ctrlr->trid.traddr, nsid, why);
		scan->index++;
		return scan_next(ctrlr);
	}
	scan->ns = ns;
	scan->data = scan->id;
	scan->identity = (struct identity){0};
	memcpy(scan->identity.nguid, scan->id.nguid, sizeof(scan->identity.nguid));
	scan->identity.has_nguid = memcmp(scan->id.nguid, (uint8_t[16]){0}, 16) != 0;
	return ctrlr->vs >= VERSION(1, 3) ? CTRLR_NS_DESC : settle_and_next(ctrlr);
}

void ctrlr_enter_ns_desc(struct nvmux_ctrlr *ctrlr)
{
	identify(ctrlr, NVME_IDENTIFY_CNS_NS_DESC_LIST, ctrlr->scan->ns->id, ctrlr_step_cpl_any);
}

/* Type, length, 2 reserved bytes, value. Base specification 2.0, section 5.17.2.4. */
int ctrlr_finish_ns_desc(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	struct identity *identity = &scan->identity;
	size_t at = 0;

	/* There are controllers that refuse it, whatever their version says. */
	while (!ctrlr->step_status && at + 4 <= sizeof(scan->descs)) {
		uint8_t type = scan->descs[at], len = scan->descs[at + 1];
		const uint8_t *value = &scan->descs[at + 4];

		if (!len || len > sizeof(scan->descs) - at - 4)
			break;
		if (type == NVME_NIDT_UUID && len == 16) {
			memcpy(identity->uuid, value, 16);
			identity->has_uuid = true;
		} else if (type == NVME_NIDT_NGUID && len == 16) {
			memcpy(identity->nguid, value, 16);
			identity->has_nguid = true;
		} else if (type == NVME_NIDT_CSI && len == 1) {
			identity->csi = value[0];
		}
		at += 4u + len;
	}
	return settle_and_next(ctrlr);
}

void ctrlr_drop_scan(struct nvmux_ctrlr *ctrlr)
{
	free(ctrlr->scan);
	ctrlr->scan = NULL;
}

void ctrlr_free_namespaces(struct nvmux_ctrlr *ctrlr)
{
	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		free(ctrlr->ns[i]);
	free(ctrlr->ns);
	free(ctrlr->scan);
}

/* ---- the public view ---- */

struct nvmux_ns *nvmux_ctrlr_get_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	uint32_t i = ns_index(ctrlr, nsid);

	if (i == ctrlr->n_ns || ctrlr->ns[i]->id != nsid || !ctrlr->ns[i]->active)
		return NULL;
	return ctrlr->ns[i];
}

uint32_t nvmux_ctrlr_get_num_ns(const struct nvmux_ctrlr *ctrlr)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < ctrlr->n_ns; i++)
		n += ctrlr->ns[i]->active;
	return n;
}

bool nvmux_ctrlr_is_active_ns(const struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	uint32_t i = ns_index(ctrlr, nsid);

	return i < ctrlr->n_ns && ctrlr->ns[i]->id == nsid && ctrlr->ns[i]->active;
}

uint32_t nvmux_ctrlr_get_next_active_ns(const struct nvmux_ctrlr *ctrlr, uint32_t prev)
{
	if (prev == UINT32_MAX)
		return 0;
	for (uint32_t i = ns_index(ctrlr, prev + 1); i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i]->active)
			return ctrlr->ns[i]->id;
	}
	return 0;
}

uint32_t nvmux_ctrlr_get_first_active_ns(const struct nvmux_ctrlr *ctrlr)
{
	return nvmux_ctrlr_get_next_active_ns(ctrlr, 0);
}

const struct nvme_id_ns *nvmux_ns_get_data(const struct nvmux_ns *ns)
{
	return &ns->data;
}

uint32_t nvmux_ns_get_id(const struct nvmux_ns *ns)
{
	return ns->id;
}

struct nvmux_ctrlr *nvmux_ns_get_ctrlr(const struct nvmux_ns *ns)
{
	return ns->ctrlr;
}

uint32_t nvmux_ns_get_sector_size(const struct nvmux_ns *ns)
{
	return 1u << ns->lba_shift;
}

uint32_t nvmux_ns_get_extended_sector_size(const struct nvmux_ns *ns)
{
	return (1u << ns->lba_shift) + (ns->md_interleaved ? ns->md_size : 0u);
}

uint64_t nvmux_ns_get_num_sectors(const struct nvmux_ns *ns)
{
	return ns->n_lbas;
}

uint64_t nvmux_ns_get_size(const struct nvmux_ns *ns)
{
	return ns->n_lbas << ns->lba_shift;
}

uint32_t nvmux_ns_get_max_io_xfer_size(const struct nvmux_ns *ns)
{
	return ns->max_lbas << ns->lba_shift;
}

uint32_t nvmux_ns_get_md_size(const struct nvmux_ns *ns)
{
	return ns->md_size;
}

uint32_t nvmux_ns_get_optimal_io_boundary(const struct nvmux_ns *ns)
{
	return ns->boundary_lbas;
}

uint32_t nvmux_ns_get_format_index(const struct nvmux_ns *ns)
{
	return (ns->data.flbas & 0xfu) |
	       (ns->data.nlbaf > 15 ? (ns->data.flbas >> 5 & 3u) << 4 : 0);
}

const uint8_t *nvmux_ns_get_nguid(const struct nvmux_ns *ns)
{
	return ns->has_nguid ? ns->nguid : NULL;
}

const uint8_t *nvmux_ns_get_uuid(const struct nvmux_ns *ns)
{
	return ns->has_uuid ? ns->uuid : NULL;
}

uint8_t nvmux_ns_get_csi(const struct nvmux_ns *ns)
{
	return ns->csi;
}
