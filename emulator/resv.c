// SPDX-License-Identifier: BSD-3-Clause
/*
 * Reservations: register, acquire, release, report. Base specification 2.0, section 8.19.
 *
 * A host is known by the Host Identifier feature; without one these commands are out of sequence.
 * Registrations outlive a reset of the controller, which forgets the identifier: the next host may
 * be another one. What they don't outlive is the emulator (CPTPL can't be set). There is one
 * controller, so a host that another one preempts is notified when it comes back (resv_notice.c);
 * notices that it had masked when it left aren't made.
 *
 * Each namespace has a lock for this; other commands look at it only while a reservation is held
 * (EMU_NS_RESERVED). A command that another queue executes at the very moment when a reservation
 * is acquired may still come before it.
 */
#include <errno.h>
#include <string.h>
#include "emulator/internal.h"

#define REGISTRANTS_MAX 64
#define IEKEY           (1u << 3)
#define NOT_HERE        0xffff
#define EDS             1u
#define CPTPL_NO_CHANGE 0
#define CPTPL_CLEAR     2
#define CONFLICT        EMU_GENERIC(RESERVATION_CONFLICT)

enum {
	REGISTER,
	UNREGISTER,
	REPLACE,
};

enum {
	ACQUIRE,
	PREEMPT,
	PREEMPT_AND_ABORT,
};

enum {
	RELEASE,
	CLEAR,
};

enum {
	TYPE_NONE,
	TYPE_WRITE_EXCLUSIVE,
	TYPE_EXCLUSIVE_ACCESS,
	TYPE_WRITE_EXCLUSIVE_RO, /* registrants only */
	TYPE_EXCLUSIVE_ACCESS_RO,
	TYPE_WRITE_EXCLUSIVE_AR, /* all registrants */
	TYPE_EXCLUSIVE_ACCESS_AR,
};

struct host_id {
	uint64_t v[2];
};

struct registrant {
	struct host_id host;
	uint64_t key;
	uint8_t mask; /* what it doesn't want to be notified of: a bit per type */
};

struct emu_resv {
	pthread_mutex_t lock;
	uint32_t generation;
	uint8_t type;
	uint8_t mask; /* of the host that is there */
	struct host_id holder; /* of the types that have a single one */
	uint32_t n;
	struct registrant r[REGISTRANTS_MAX];
};

int emu_resv_create(struct emu_ns *ns)
{
	ns->resv = calloc(1, sizeof(*ns->resv));
	if (!ns->resv)
		return -ENOMEM;
	pthread_mutex_init(&ns->resv->lock, NULL);
	return 0;
}

void emu_resv_destroy(struct emu_ns *ns)
{
	if (ns->resv)
		pthread_mutex_destroy(&ns->resv->lock);
	free(ns->resv);
	ns->resv = NULL;
}

/* ---- who ---- */

static uint64_t *id_words(struct emu_features *f)
{
	return (uint64_t *)(void *)f->host_id;
}

void emu_host_id_set(struct emu_features *f, const uint8_t id[16], bool is_long)
{
	struct host_id h;

	memcpy(&h, id, sizeof(h));
	__atomic_store_n(&id_words(f)[0], h.v[0], __ATOMIC_RELAXED);
	__atomic_store_n(&id_words(f)[1], h.v[1], __ATOMIC_RELAXED);
	__atomic_store_n(&f->host_id_long, is_long, __ATOMIC_RELAXED);
}

static struct host_id this_host(struct emu_ctrlr *ctrlr)
{
	const uint64_t *words = id_words(&ctrlr->features);

	return (struct host_id){{__atomic_load_n(&words[0], __ATOMIC_RELAXED),
				 __atomic_load_n(&words[1], __ATOMIC_RELAXED)}};
}

void emu_host_id(struct emu_ctrlr *ctrlr, uint64_t id[2])
{
	struct host_id host = this_host(ctrlr);

	memcpy(id, host.v, sizeof(host.v));
}

static bool same(const struct host_id *a, const struct host_id *b)
{
	return a->v[0] == b->v[0] && a->v[1] == b->v[1];
}

static struct registrant *find(struct emu_resv *resv, const struct host_id *host)
{
	for (uint32_t i = 0; i < resv->n; i++) {
		if (same(&resv->r[i].host, host))
			return &resv->r[i];
	}
	return NULL;
}

static bool all_registrants(uint8_t type)
{
	return type == TYPE_WRITE_EXCLUSIVE_AR || type == TYPE_EXCLUSIVE_ACCESS_AR;
}

static bool is_holder(struct emu_resv *resv, const struct host_id *host)
{
	if (all_registrants(resv->type))
		return find(resv, host) != NULL;
	return resv->type != TYPE_NONE && same(&resv->holder, host);
}

bool emu_resv_allows(struct emu_ctrlr *ctrlr, struct emu_ns *ns, bool write)
{
	struct emu_resv *resv = ns->resv;
	struct host_id host = this_host(ctrlr);
	bool ok = true;

	pthread_mutex_lock(&resv->lock);
	switch (resv->type) {
	case TYPE_NONE: break;
	case TYPE_WRITE_EXCLUSIVE: ok = !write || is_holder(resv, &host); break;
	case TYPE_EXCLUSIVE_ACCESS: ok = is_holder(resv, &host); break;
	case TYPE_WRITE_EXCLUSIVE_RO:
	case TYPE_WRITE_EXCLUSIVE_AR: ok = !write || find(resv, &host); break;
	default: ok = find(resv, &host); break;
	}
	pthread_mutex_unlock(&resv->lock);
	return ok;
}

/* ---- notification ---- */

/* Registrants other than @but, which did it. Under the lock. */
static void notify_others(struct emu_ctrlr *ctrlr, const struct emu_ns *ns,
			  const struct host_id *but, uint8_t type)
{
	const struct emu_resv *resv = ns->resv;

	for (uint32_t i = 0; i < resv->n; i++) {
		const struct registrant *r = &resv->r[i];

		if (!same(&r->host, but) && !(r->mask >> type & 1))
			emu_resv_notice_add(ctrlr, r->host.v, type, ns->id);
	}
}

void emu_resv_mask_set(struct emu_ctrlr *ctrlr, struct emu_ns *ns, uint8_t mask)
{
	struct host_id host = this_host(ctrlr);
	struct registrant *r;

	pthread_mutex_lock(&ns->resv->lock);
	ns->resv->mask = mask;
	r = find(ns->resv, &host);
	if (r)
		r->mask = mask;
	pthread_mutex_unlock(&ns->resv->lock);
}

uint8_t emu_resv_mask(struct emu_ns *ns)
{
	uint8_t mask;

	pthread_mutex_lock(&ns->resv->lock);
	mask = ns->resv->mask;
	pthread_mutex_unlock(&ns->resv->lock);
	return mask;
}

void emu_resv_host_set(struct emu_ctrlr *ctrlr)
{
	for (uint32_t i = 0; i < ctrlr->n_ns; i++) {
		if (ctrlr->ns[i].resv)
			emu_resv_mask_set(ctrlr, &ctrlr->ns[i], emu_resv_mask(&ctrlr->ns[i]));
	}
	emu_resv_notice_host(ctrlr);
}

/* ---- changes, under the lock ---- */

static void set_reservation(struct emu_ns *ns, uint8_t type, const struct host_id *holder)
{
	struct emu_resv *resv = ns->resv;

	resv->type = type;
	resv->holder = holder ? *holder : (struct host_id){{0, 0}};
	if (type)
		__atomic_fetch_or(&ns->special, EMU_NS_RESERVED, __ATOMIC_RELEASE);
	else
		__atomic_fetch_and(&ns->special, (uint8_t)~EMU_NS_RESERVED, __ATOMIC_RELEASE);
}

/* Of registrants only, or of all: to them it says something when such a reservation ends. */
static bool concerns_others(uint8_t type)
{
	return type >= TYPE_WRITE_EXCLUSIVE_RO;
}

static void remove_registrant(struct emu_ctrlr *ctrlr, struct emu_ns *ns, struct registrant *r,
			      bool preempted)
{
	struct emu_resv *resv = ns->resv;
	struct host_id host = r->host;
	bool held_alone = !all_registrants(resv->type) && is_holder(resv, &host);

	if (preempted && !(r->mask >> NVME_RESV_NOTIFY_RNLPT_REGISTRATION_PREEMPTED & 1))
		emu_resv_notice_add(ctrlr, host.v, NVME_RESV_NOTIFY_RNLPT_REGISTRATION_PREEMPTED,
				    ns->id);
	*r = resv->r[--resv->n];
	if (held_alone && !preempted && concerns_others(resv->type))
		notify_others(ctrlr, ns, &host, NVME_RESV_NOTIFY_RNLPT_RESERVATION_RELEASED);
	if (held_alone || (all_registrants(resv->type) && resv->n == 0))
		set_reservation(ns, TYPE_NONE, NULL);
}

/* All with this key (or all), but not @but; how many. */
static uint32_t remove_others(struct emu_ctrlr *ctrlr, struct emu_ns *ns,
			      const struct host_id *but, const uint64_t *key)
{
	struct emu_resv *resv = ns->resv;
	uint32_t n = 0;

	for (uint32_t i = 0; i < resv->n;) {
		struct registrant *r = &resv->r[i];

		if ((key && r->key != *key) || same(&r->host, but)) {
			i++;
			continue;
		}
		remove_registrant(ctrlr, ns, r, true);
		n++;
	}
	return n;
}

struct request {
	struct emu_ctrlr *ctrlr;
	struct emu_ns *ns;
	struct host_id host;
	uint8_t action;
	uint8_t type;
	bool iekey;
	uint64_t crkey;
	uint64_t other_key; /* new, or to be preempted */
};

static uint16_t add(const struct request *q, struct registrant *r)
{
	struct emu_resv *resv = q->ns->resv;

	if (q->other_key == 0)
		return EMU_GENERIC(INVALID_FIELD);
	if (r)
		return r->key == q->other_key ? EMU_SUCCESS : CONFLICT;
	if (resv->n == REGISTRANTS_MAX)
		return EMU_GENERIC(INTERNAL);
	resv->r[resv->n++] = (struct registrant){q->host, q->other_key, resv->mask};
	return EMU_SUCCESS;
}

static uint16_t do_register(const struct request *q)
{
	struct emu_resv *resv = q->ns->resv;
	struct registrant *r = find(resv, &q->host);
	uint16_t status = EMU_SUCCESS;

	if (q->action > REPLACE)
		return EMU_GENERIC(INVALID_FIELD);
	if (q->action == REGISTER) {
		status = add(q, r);
	} else if (!r || (!q->iekey && r->key != q->crkey)) {
		status = CONFLICT;
	} else if (q->action == UNREGISTER) {
		remove_registrant(q->ctrlr, q->ns, r, false);
	} else if (q->other_key == 0) {
		status = EMU_GENERIC(INVALID_FIELD);
	} else {
		r->key = q->other_key;
	}
	resv->generation += !status;
	return status;
}

static uint16_t acquire(const struct request *q)
{
	struct emu_resv *resv = q->ns->resv;

	if (resv->type == TYPE_NONE) {
		set_reservation(q->ns, q->type, &q->host);
		return EMU_SUCCESS;
	}
	return is_holder(resv, &q->host) && resv->type == q->type ? EMU_SUCCESS : CONFLICT;
}

static const struct registrant *holder_of(struct emu_resv *resv)
{
	return resv->type == TYPE_NONE || all_registrants(resv->type) ? NULL
								      : find(resv, &resv->holder);
}

static uint16_t preempt(const struct request *q)
{
	struct emu_resv *resv = q->ns->resv;
	const struct registrant *holder = holder_of(resv);
	bool takes = holder && holder->key == q->other_key;
	uint8_t before = resv->type;

	if (all_registrants(resv->type) && q->other_key == 0) {
		remove_others(q->ctrlr, q->ns, &q->host, NULL);
		takes = true;
	} else if (takes) {
		remove_others(q->ctrlr, q->ns, &q->host, &q->other_key);
	} else {
		if (q->other_key == 0)
			return EMU_GENERIC(INVALID_FIELD);
		if (remove_others(q->ctrlr, q->ns, &q->host, &q->other_key) == 0)
			return CONFLICT;
	}
	if (takes) {
		set_reservation(q->ns, q->type, &q->host);
		if (concerns_others(before) && before != q->type)
			notify_others(q->ctrlr, q->ns, &q->host,
				      NVME_RESV_NOTIFY_RNLPT_RESERVATION_RELEASED);
	}
	resv->generation++;
	return EMU_SUCCESS;
}

/* Commands end where they are fetched: Preempt and Abort finds none to abort. */
static uint16_t do_acquire(const struct request *q)
{
	const struct registrant *r = find(q->ns->resv, &q->host);

	if (q->iekey || q->action > PREEMPT_AND_ABORT || q->type == TYPE_NONE ||
	    q->type > TYPE_EXCLUSIVE_ACCESS_AR)
		return EMU_GENERIC(INVALID_FIELD);
	if (!r || r->key != q->crkey)
		return CONFLICT;
	return q->action == ACQUIRE ? acquire(q) : preempt(q);
}

static uint16_t do_release(const struct request *q)
{
	struct emu_resv *resv = q->ns->resv;
	const struct registrant *r = find(resv, &q->host);

	if (q->iekey || q->action > CLEAR)
		return EMU_GENERIC(INVALID_FIELD);
	if (!r || r->key != q->crkey)
		return CONFLICT;
	if (q->action == CLEAR) {
		notify_others(q->ctrlr, q->ns, &q->host,
			      NVME_RESV_NOTIFY_RNLPT_RESERVATION_PREEMPTED);
		resv->n = 0;
		set_reservation(q->ns, TYPE_NONE, NULL);
		resv->generation++;
		return EMU_SUCCESS;
	}
	if (!is_holder(resv, &q->host))
		return EMU_SUCCESS;
	if (resv->type != q->type)
		return EMU_GENERIC(INVALID_FIELD);
	if (concerns_others(resv->type))
		notify_others(q->ctrlr, q->ns, &q->host,
			      NVME_RESV_NOTIFY_RNLPT_RESERVATION_RELEASED);
	set_reservation(q->ns, TYPE_NONE, NULL);
	return EMU_SUCCESS;
}

/* ---- commands ---- */

static uint8_t *put_registrant(struct emu_resv *resv, const struct registrant *r,
			       const struct host_id *here, bool extended, uint8_t *p)
{
	uint16_t cntlid = htole16(same(&r->host, here) ? EMU_CNTLID : NOT_HERE);
	uint64_t key = htole64(r->key);

	memcpy(p, &cntlid, sizeof(cntlid));
	p[2] = is_holder(resv, &r->host);
	if (extended) {
		memcpy(p + 8, &key, 8);
		memcpy(p + 16, &r->host, 16);
		return p + sizeof(struct nvme_registered_ctrl_ext);
	}
	memcpy(p + 8, &r->host, 8);
	memcpy(p + 16, &key, 8);
	return p + sizeof(struct nvme_registered_ctrl);
}

static uint16_t report(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	struct emu_resv *resv = ns->resv;
	struct host_id here = this_host(sq->ctrlr);
	bool extended = emu_cdw(cmd->cdw11) & EDS;
	uint64_t len = ((uint64_t)emu_cdw(cmd->cdw10) + 1) * 4;
	_Alignas(8) uint8_t buf[64 + 64 * REGISTRANTS_MAX] = {0};
	uint8_t *p = buf + (extended ? 64 : 24);
	uint32_t generation;
	uint16_t n;

	if (extended != __atomic_load_n(&sq->ctrlr->features.host_id_long, __ATOMIC_RELAXED))
		return EMU_GENERIC(HOSTID_FORMAT);
	if (len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	pthread_mutex_lock(&resv->lock);
	generation = htole32(resv->generation);
	n = htole16((uint16_t)resv->n);
	memcpy(buf, &generation, sizeof(generation));
	buf[4] = resv->type;
	memcpy(buf + 5, &n, sizeof(n));
	for (uint32_t i = 0; i < resv->n; i++)
		p = put_registrant(resv, &resv->r[i], &here, extended, p);
	pthread_mutex_unlock(&resv->lock);
	/* What is asked for beyond the end is not written. */
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, MIN(len, (uint64_t)(p - buf)));
}

uint16_t emu_resv_execute(struct emu_sq *sq, struct emu_ns *ns, const struct nvmux_cmd *cmd)
{
	uint32_t cdw10 = emu_cdw(cmd->cdw10), cptpl = cdw10 >> 30;
	struct request q = {
		.ctrlr = sq->ctrlr,
		.ns = ns,
		.host = this_host(sq->ctrlr),
		.action = cdw10 & 7,
		.iekey = cdw10 & IEKEY,
		.type = (uint8_t)(cdw10 >> 8),
	};
	uint64_t keys[2] = {0, 0};
	uint16_t status;

	if (cmd->opc == nvme_cmd_resv_report)
		return report(sq, ns, cmd);
	if (!q.host.v[0] && !q.host.v[1])
		return EMU_GENERIC(CMD_SEQ_ERROR);
	if (cmd->opc == nvme_cmd_resv_register && cptpl != CPTPL_NO_CHANGE && cptpl != CPTPL_CLEAR)
		return EMU_GENERIC(INVALID_FIELD);
	status = emu_xfer(sq, cmd, EMU_XFER_FROM_HOST, (uint8_t *)keys,
			  cmd->opc == nvme_cmd_resv_release ? 8 : 16);
	if (status)
		return status;
	q.crkey = le64toh(keys[0]);
	q.other_key = le64toh(keys[1]);
	pthread_mutex_lock(&ns->resv->lock);
	if (cmd->opc == nvme_cmd_resv_register)
		status = do_register(&q);
	else if (cmd->opc == nvme_cmd_resv_acquire)
		status = do_acquire(&q);
	else
		status = do_release(&q);
	pthread_mutex_unlock(&ns->resv->lock);
	return status;
}
