// SPDX-License-Identifier: BSD-3-Clause
/*
 * Namespaces: the scan during start, and what their handles tell.
 *
 * Happy path: the list of active namespaces (CNS 02h), then for each its data (CNS 00h), its
 * identification descriptors (CNS 03h), and, where it matters, its guard format (CNS 05h, NVM
 * command set) and its zones (CNS 05h and 06h, zoned command set). A handle, once given out, stays
 * valid until the controller is detached; a namespace that has gone is inactive. At a later scan,
 * with or without I/O going on, a namespace keeps what was known of it until all of it has been
 * read anew; then it is compared: is it another one, of another format or smaller than before, it
 * has changed. Threads that own queue pairs read the format while they make commands, and a
 * mixture of two formats could move more than a buffer holds: when nobody has asked for the look,
 * and there are queue pairs, another format isn't taken over but makes the namespace stale. Then
 * commands that name blocks are refused until somebody asks for a look, having stopped its I/O.
 *
 * Failure modes: controllers older than 1.1 have no list (every id up to NN is tried); a namespace
 * whose format or command set can't be used is left out with a line in the log. All of it is the
 * controller's word and checked: order and number of ids, block size, capacity, metadata, zones,
 * descriptor lengths.
 */
#include <errno.h>
#include <string.h>

#include "recover.h"

#define LBA_SHIFT_MIN 9u
#define LBA_SHIFT_MAX 16u
/* NVM command set 1.0, figure 97 */
#define FLBAS_INTERLEAVED 0x10
#define DPS_TYPE          7u
#define DPS_FIRST         8u
#define PI_SIZE           8u         /* of a 16-bit guard's protection information */
#define CTRATT_ELBAS      (1u << 15) /* there may be other guards, section 4.1.5.2 */
#define ELBAF_STS         0x7fu
#define ELBAF_PIF_SHIFT   7
#define HANDLES_MAX       (4u * NVMUX_NS_MAX) /* of namespaces that came and went */

/* What names a namespace, all of it or nothing. */
struct identity {
	uint8_t csi;
	bool has_uuid;
	bool has_nguid;
	uint8_t uuid[16];
	uint8_t nguid[16];
};

/* All that the lengths of its I/O follow from. */
struct format {
	uint8_t lba_shift;
	uint8_t pi_type;
	bool pi_first;
	bool md_interleaved;
	uint16_t md_size;
	uint32_t max_lbas;
	uint32_t boundary_lbas;
	uint32_t max_copy;
	uint16_t max_copy_range;
	uint16_t max_copy_ranges;
	uint64_t zone_lbas;
	uint64_t n_zones;
};

struct nvmux_ns_scan {
	uint32_t n;
	uint32_t index; /* being identified */
	uint32_t nsid[NVMUX_NS_MAX];
	struct nvmux_ns *ns;      /* its handle, */
	struct nvme_id_ns data;   /* what it says and */
	struct identity identity; /* what it is called, while descriptors are read */
	struct nvme_zns_id_ns zns;
	struct format format; /* how it is formatted */
	union {
		__le32 list[NVMUX_NS_MAX];
		struct nvme_id_ns id;
		struct nvme_nvm_id_ns nvm_ns;
		struct nvme_zns_id_ns zns_ns;
		struct nvme_zns_id_ctrl zns_ctrl;
		uint8_t descs[4096];
	};
};

static void identify_csi(struct nvmux_ctrlr *ctrlr, uint8_t cns, uint32_t nsid, uint8_t csi,
			 nvmux_cmd_cb cb)
{
	struct nvmux_cmd cmd = {
		.opc = nvme_admin_identify,
		.nsid = cpu_to_le32(nsid),
		.cdw10 = cpu_to_le32(cns),
		.cdw11 = cpu_to_le32((uint32_t)csi << 24),
	};
	int err = nvmux_ctrlr_admin(ctrlr, &cmd, ctrlr->scan->descs, sizeof(ctrlr->scan->descs), cb,
				    ctrlr);

	if (err)
		ctrlr_step_done(ctrlr, err, 0);
}

static void identify(struct nvmux_ctrlr *ctrlr, uint8_t cns, uint32_t nsid, nvmux_cmd_cb cb)
{
	identify_csi(ctrlr, cns, nsid, NVME_CSI_NVM, cb);
}

static bool has_ns_list(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->vs >= CTRLR_VERSION(1, 1);
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
	ctrlr_drop_scan(ctrlr);
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
	ns->read_word0 = nvmux_word0(nvme_cmd_read, 0, 0, nsid);
	ns->write_word0 = nvmux_word0(nvme_cmd_write, 0, 0, nsid);
	return ns;
}

static uint32_t format_index(const struct nvme_id_ns *id)
{
	return (id->flbas & 0xfu) | (id->nlbaf > 15 ? (id->flbas >> 5 & 3u) << 4 : 0);
}

static const struct nvme_lbaf *format_of(const struct nvme_id_ns *id)
{
	return &id->lbaf[format_index(id)];
}

/* Bytes of a block, with the metadata that is interleaved with its data. */
static uint32_t extended_size(const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = format_of(id);

	return (1u << format->ds) + (id->flbas & FLBAS_INTERLEAVED ? le16_to_cpu(format->ms) : 0u);
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
	if ((id->dps & DPS_TYPE) > NVMUX_PI_TYPE3)
		return "its type of protection information is unknown";
	if (id->dps & DPS_TYPE && le16_to_cpu(format->ms) < PI_SIZE)
		return "its metadata is too small for its protection information";
	if (ctrlr->max_transfer < extended_size(id))
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

/* What the data of its command sets says. MDTS counts interleaved metadata as well. */
static struct format read_format(const struct nvmux_ns *ns, const struct nvme_id_ns *id)
{
	const struct nvme_lbaf *format = format_of(id);
	uint16_t md_size = le16_to_cpu(format->ms);

	return (struct format){
		.lba_shift = format->ds,
		.pi_type = id->dps & DPS_TYPE,
		.pi_first = id->dps & DPS_TYPE && id->dps & DPS_FIRST,
		.md_interleaved = md_size && id->flbas & FLBAS_INTERLEAVED,
		.md_size = md_size,
		.max_lbas = MIN(ns->ctrlr->max_transfer / extended_size(id), 65536u),
		.boundary_lbas = le16_to_cpu(id->noiob),
		.max_copy = le32_to_cpu(id->mcl),
		.max_copy_range = le16_to_cpu(id->mssrl),
		.max_copy_ranges = (uint16_t)(id->msrc + 1),
	};
}

static struct format format_in_use(const struct nvmux_ns *ns)
{
	return (struct format){
		.lba_shift = ns->lba_shift,
		.pi_type = ns->pi_type,
		.pi_first = ns->pi_first,
		.md_interleaved = ns->md_interleaved,
		.md_size = ns->md_size,
		.max_lbas = ns->max_lbas,
		.boundary_lbas = ns->boundary_lbas,
		.max_copy = ns->max_copy,
		.max_copy_range = ns->max_copy_range,
		.max_copy_ranges = ns->max_copy_ranges,
		.zone_lbas = ns->zone_lbas,
		.n_zones = ns->n_zones,
	};
}

/* Blocks that aren't what they were; limits may change. */
static bool is_formatted_otherwise(const struct format *a, const struct format *b)
{
	return a->lba_shift != b->lba_shift || a->md_size != b->md_size ||
	       a->md_interleaved != b->md_interleaved || a->pi_type != b->pi_type ||
	       a->pi_first != b->pi_first || a->zone_lbas != b->zone_lbas;
}

static bool has_other_limits(const struct format *a, const struct format *b)
{
	return a->max_lbas != b->max_lbas || a->boundary_lbas != b->boundary_lbas ||
	       a->max_copy != b->max_copy || a->max_copy_range != b->max_copy_range ||
	       a->max_copy_ranges != b->max_copy_ranges || a->n_zones != b->n_zones;
}

/* What reads and writes of the usual kind are: without metadata, and a boundary that needs no
 * division. */
static void set_plain(struct nvmux_ns *ns)
{
	uint32_t boundary = ns->boundary_lbas;
	bool plain = !ns->md_size && !(boundary & (boundary - 1));

	ns->plain_lbas = plain ? ns->max_lbas : 0;
	ns->boundary = boundary ? ~(uint64_t)(boundary - 1) : 1ull << 63;
}

static void take_format(struct nvmux_ns *ns, const struct format *format)
{
	ns->lba_shift = format->lba_shift;
	ns->lba_bytes = 1u << format->lba_shift;
	ns->pi_type = format->pi_type;
	ns->pi_first = format->pi_first;
	ns->md_interleaved = format->md_interleaved;
	ns->md_size = format->md_size;
	ns->max_lbas = format->max_lbas;
	ns->boundary_lbas = format->boundary_lbas;
	set_plain(ns);
	ns->max_copy = format->max_copy;
	ns->max_copy_range = format->max_copy_range;
	ns->max_copy_ranges = format->max_copy_ranges;
	ns->zone_lbas = format->zone_lbas;
	ns->n_zones = format->n_zones;
	ns->zns = format->zone_lbas ? ns->zns_kept : NULL;
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
 * A look that nobody has asked for, by which owners of queue pairs would be surprised. With fabrics
 * keys carry a length, and a daemon has stopped its clients: there no harm is done.
 */
static bool is_surprise(const struct nvmux_ns *ns)
{
	const struct nvmux_ctrlr *ctrlr = ns->ctrlr;

	return ctrlr->scan_by_notice && ns->known_lbas && !TAILQ_EMPTY(&ctrlr->qpairs) &&
	       !(ctrlr->transport->flags & (NVMUX_TRANSPORT_FABRICS | NVMUX_TRANSPORT_MANAGED));
}

static void set_stale(struct nvmux_ns *ns, bool stale)
{
	__atomic_store_n(&ns->stale, stale, __ATOMIC_RELAXED);
}

/* It has another format, which isn't to be taken over now. True: all is as it was but its end. */
static bool ns_make_stale(struct nvmux_ns *ns, const struct format *format)
{
	struct format old = format_in_use(ns);

	if (!is_surprise(ns) || !is_formatted_otherwise(&old, format))
		return false;
	set_stale(ns, true);
	/* release: who finds it empty finds out why */
	__atomic_store_n(&ns->n_lbas, 0, __ATOMIC_RELEASE);
	ns->changed = true;
	ns->active = true;
	nvmux_log(ns->ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr",
		  "%s: namespace %u is formatted otherwise: no I/O before it is looked at anew",
		  ns->ctrlr->trid.traddr, ns->id);
	return true;
}

/*
 * Everything has been read. Others may be sending I/O by what they find in @ns: what didn't change
 * isn't written, and while a format changes every range is beyond the end.
 */
static void ns_settle(struct nvmux_ns *ns, const struct nvme_id_ns *id,
		      const struct identity *identity, const struct format *format)
{
	uint64_t n_lbas = le64_to_cpu(id->nsze);
	bool known = ns->known_lbas != 0, other = is_other(ns, id, identity);
	struct format old = format_in_use(ns);
	bool formatted = is_formatted_otherwise(&old, format);

	ns->changed |= known && (formatted || other || n_lbas < ns->known_lbas);
	if (formatted || has_other_limits(&old, format)) {
		ns->n_lbas = 0;
		take_format(ns, format);
	}
	if (other)
		take_identity(ns, identity);
	ns->data = *id; /* of which I/O reads nothing */
	ns->ana_group = nvmux_ana_supported(ns->ctrlr) ? le32_to_cpu(id->anagrpid) : 0;
	if (!ns->ana_group)
		ns->ana_state = NVMUX_ANA_NONE;
	ns->known_lbas = n_lbas;
	set_stale(ns, false);
	if (ns->n_lbas != n_lbas)
		ns->n_lbas = n_lbas;
	if (!ns->active)
		ns->active = true;
}

static int settle_and_next(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	struct nvmux_ns *ns = scan->ns;

	if (ns_make_stale(ns, &scan->format)) {
		scan->index++;
		return scan_next(ctrlr);
	}
	if (scan->format.zone_lbas) {
		if (!ns->zns_kept)
			ns->zns_kept = calloc(1, sizeof(*ns->zns_kept));
		if (!ns->zns_kept)
			return -ENOMEM;
		*ns->zns_kept = scan->zns;
	}
	ns_settle(ns, &scan->data, &scan->identity, &scan->format);
	scan->index++;
	return scan_next(ctrlr);
}

static int leave_out(struct nvmux_ctrlr *ctrlr, struct nvmux_ns *ns, const char *why)
{
	ns_deactivate(ns);
	nvmux_log(ctrlr->nvmux, NVMUX_LOG_WARNING, "ctrlr", "%s: namespace %u is left out: %s",
		  ctrlr->trid.traddr, ns->id, why);
	ctrlr->scan->index++;
	return scan_next(ctrlr);
}

/* Its guard may have more than 16 bits. Controllers that don't say so have no other. */
static bool wants_guard_format(const struct nvmux_ctrlr *ctrlr)
{
	return ctrlr->scan->format.pi_type && le32_to_cpu(ctrlr->id.ctratt) & CTRATT_ELBAS;
}

/* What its command set has to say. */
static int look_at_csi(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;

	if (scan->identity.csi == NVME_CSI_ZNS)
		return CTRLR_NS_ZNS;
	return settle_and_next(ctrlr);
}

static int identified(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;

	if (scan->identity.csi == NVME_CSI_KV)
		return leave_out(ctrlr, scan->ns, "the key value command set isn't supported");
	if (scan->identity.csi != NVME_CSI_NVM && scan->identity.csi != NVME_CSI_ZNS)
		return leave_out(ctrlr, scan->ns, "its command set is unknown");
	return wants_guard_format(ctrlr) ? CTRLR_NS_NVM : look_at_csi(ctrlr);
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
	if (why)
		return leave_out(ctrlr, ns, why);
	scan->ns = ns;
	scan->data = scan->id;
	scan->format = read_format(ns, &scan->id);
	scan->identity = (struct identity){0};
	memcpy(scan->identity.nguid, scan->id.nguid, sizeof(scan->identity.nguid));
	scan->identity.has_nguid = memcmp(scan->id.nguid, (uint8_t[16]){0}, 16) != 0;
	return ctrlr->vs >= CTRLR_VERSION(1, 3) ? CTRLR_NS_DESC : identified(ctrlr);
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
	return identified(ctrlr);
}

void ctrlr_enter_ns_nvm(struct nvmux_ctrlr *ctrlr)
{
	identify_csi(ctrlr, NVME_IDENTIFY_CNS_CSI_NS, ctrlr->scan->ns->id, NVME_CSI_NVM,
		     ctrlr_step_cpl_any);
}

/*
 * NVM command set 1.0, section 4.1.5.3: the protection information format and the size of a
 * storage tag. A controller that refuses to tell hasn't been asked to use any other than the
 * 16-bit guard (Host Behavior Support, LBAFEE).
 */
int ctrlr_finish_ns_nvm(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	uint32_t format = format_index(&scan->data);
	uint32_t elbaf = ctrlr->step_status ? 0 : le32_to_cpu(scan->nvm_ns.elbaf[format]);

	if (elbaf >> ELBAF_PIF_SHIFT & 3)
		return leave_out(ctrlr, scan->ns, "guards of more than 16 bits aren't supported");
	if (elbaf & ELBAF_STS)
		return leave_out(ctrlr, scan->ns, "storage tags aren't supported");
	return look_at_csi(ctrlr);
}

void ctrlr_enter_ns_zns(struct nvmux_ctrlr *ctrlr)
{
	identify_csi(ctrlr, NVME_IDENTIFY_CNS_CSI_NS, ctrlr->scan->ns->id, NVME_CSI_ZNS,
		     ctrlr_step_cpl_any);
}

/* Zoned namespace command set 1.1, section 4.1.5.1. */
int ctrlr_finish_ns_zns(struct nvmux_ctrlr *ctrlr)
{
	struct nvmux_ns_scan *scan = ctrlr->scan;
	uint32_t format = format_index(&scan->data);
	uint64_t n_lbas = le64_to_cpu(scan->data.nsze), zone_lbas;

	if (ctrlr->step_status)
		return leave_out(ctrlr, scan->ns, nvmux_status_string(ctrlr->step_status));
	zone_lbas = le64_to_cpu(scan->zns_ns.lbafe[format].zsze);
	if (!zone_lbas || zone_lbas > n_lbas)
		return leave_out(ctrlr, scan->ns, "its zones have no possible size");
	scan->zns = scan->zns_ns;
	scan->format.zone_lbas = zone_lbas;
	scan->format.n_zones = n_lbas / zone_lbas;
	return CTRLR_ZNS_CTRL;
}

void ctrlr_enter_zns_ctrl(struct nvmux_ctrlr *ctrlr)
{
	if (ctrlr->zns_id)
		ctrlr_step_done(ctrlr, 0, 0);
	else
		identify_csi(ctrlr, NVME_IDENTIFY_CNS_CSI_CTRL, 0, NVME_CSI_ZNS,
			     ctrlr_step_cpl_any);
}

/* Section 4.1.5.2: ZASL, a power of two of pages; 0: MDTS. Known from the first zoned one on. */
int ctrlr_finish_zns_ctrl(struct nvmux_ctrlr *ctrlr)
{
	if (!ctrlr->zns_id) {
		ctrlr->zns_id = calloc(1, sizeof(*ctrlr->zns_id));
		if (!ctrlr->zns_id)
			return -ENOMEM;
		if (!ctrlr->step_status)
			*ctrlr->zns_id = ctrlr->scan->zns_ctrl;
		ctrlr->max_append = ctrlr->max_transfer;
		if (ctrlr->zns_id->zasl && ctrlr->zns_id->zasl < 20)
			ctrlr->max_append = MIN(ctrlr->max_append,
						NVMUX_PAGE_SIZE << ctrlr->zns_id->zasl);
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
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		free(ctrlr->ns[i]->zns_kept);
		free(ctrlr->ns[i]);
	}
	free(ctrlr->ns);
	free(ctrlr->scan);
	free(ctrlr->zns_id);
}

/* ---- the public view ---- */

static struct nvmux_ns *find_active(const struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	uint32_t i = ns_index(ctrlr, nsid);

	if (i == ctrlr->n_ns || ctrlr->ns[i]->id != nsid || !ctrlr->ns[i]->active)
		return NULL;
	return ctrlr->ns[i];
}

struct nvmux_ns *nvmux_ctrlr_get_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid)
{
	return find_active(ctrlr, nsid);
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
	return find_active(ctrlr, nsid) != NULL;
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
	return format_index(&ns->data);
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

enum nvmux_pi_type nvmux_ns_get_pi_type(const struct nvmux_ns *ns)
{
	return (enum nvmux_pi_type)ns->pi_type;
}

bool nvmux_ns_supports_extended_lba(const struct nvmux_ns *ns)
{
	return ns->md_interleaved;
}

bool nvmux_ns_supports_compare(const struct nvmux_ns *ns)
{
	return nvmux_ns_get_flags(ns) & NVMUX_NS_COMPARE_SUPPORTED;
}

bool nvmux_ns_supports_write_uncorrectable(const struct nvmux_ns *ns)
{
	return nvmux_ns_get_flags(ns) & NVMUX_NS_WRITE_UNCORRECTABLE_SUPPORTED;
}

uint32_t nvmux_ns_get_flags(const struct nvmux_ns *ns)
{
	static const struct {
		uint16_t oncs;
		uint16_t flag;
	} commands[] = {
		{NVME_CTRL_ONCS_COMPARE, NVMUX_NS_COMPARE_SUPPORTED},
		{NVME_CTRL_ONCS_WRITE_UNCORRECTABLE, NVMUX_NS_WRITE_UNCORRECTABLE_SUPPORTED},
		{NVME_CTRL_ONCS_DSM, NVMUX_NS_DEALLOCATE_SUPPORTED},
		{NVME_CTRL_ONCS_WRITE_ZEROES, NVMUX_NS_WRITE_ZEROES_SUPPORTED},
		{NVME_CTRL_ONCS_VERIFY, NVMUX_NS_VERIFY_SUPPORTED},
		{NVME_CTRL_ONCS_COPY, NVMUX_NS_COPY_SUPPORTED},
	};
	const struct nvme_id_ctrl *id = &ns->ctrlr->id;
	uint16_t oncs = le16_to_cpu(id->oncs);
	uint32_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		flags |= oncs & commands[i].oncs ? commands[i].flag : 0;
	if (id->vwc & 1)
		flags |= NVMUX_NS_FLUSH_SUPPORTED;
	if (oncs & NVME_CTRL_ONCS_RESERVATIONS && ns->data.rescap)
		flags |= NVMUX_NS_RESERVATION_SUPPORTED;
	if (ns->pi_type)
		flags |= NVMUX_NS_DPS_PI_SUPPORTED;
	if (ns->md_interleaved)
		flags |= NVMUX_NS_EXTENDED_LBA_SUPPORTED;
	if (le16_to_cpu(id->fuses) & NVME_CTRL_FUSES_COMPARE_AND_WRITE)
		flags |= NVMUX_NS_COMPARE_AND_WRITE_SUPPORTED;
	if (ns->zone_lbas)
		flags |= NVMUX_NS_ZONED;
	if (__atomic_load_n(&ns->stale, __ATOMIC_RELAXED))
		flags |= NVMUX_NS_STALE;
	return flags;
}

/* DLFEAT, bits 2:0. NVM command set 1.0, section 4.1.5.1. */
enum nvmux_dealloc_value nvmux_ns_get_dealloc_logical_block_read_value(const struct nvmux_ns *ns)
{
	switch (ns->data.dlfeat & 7) {
	case 1: return NVMUX_DEALLOC_READ_00;
	case 2: return NVMUX_DEALLOC_READ_FF;
	default: return NVMUX_DEALLOC_NOT_REPORTED;
	}
}
