// SPDX-License-Identifier: BSD-3-Clause
/* The NVMe over RDMA target: connections, capsules, fabrics commands, I/O. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "fabrics_target.h"

#define CONNECT_INVALID_PARAM (EMU_STATUS(1, 0x82) | NVMUX_STATUS_DNR)
#define CONNECT_INVALID_HOST  (EMU_STATUS(1, 0x84) | NVMUX_STATUS_DNR)
#define CONNECT_INVALID_FMT   (EMU_STATUS(1, 0x80) | NVMUX_STATUS_DNR)
#define IATTR_DATA            (1u << 16)
#define SGL_INVALID           EMU_GENERIC(SGL_INVALID_DATA)

static struct target_conn *target_conn(struct fake_conn *conn)
{
	return conn->peer;
}

struct nvmux_cmd target_bounce_cmd(const struct nvmux_cmd *cmd, uint32_t len)
{
	struct nvmux_cmd out = *cmd;

	out.flags &= (uint8_t)~0xc0;
	out.dptr[0] = cpu_to_le64(TARGET_BOUNCE_IOVA);
	out.dptr[1] = cpu_to_le64(TARGET_BOUNCE_IOVA +
				  (len > 2 * EMU_PAGE_SIZE ? TARGET_BOUNCE_SIZE : EMU_PAGE_SIZE));
	return out;
}

/* ---- answers ---- */

void target_answer(struct target *t, struct target_conn *tc, uint16_t cid, uint16_t status,
		   uint32_t dw0, uint32_t dw1)
{
	struct nvmux_cpl cpl = {
		.dw0 = cpu_to_le32(dw0),
		.dw1 = cpu_to_le32(dw1),
		.sqhd = cpu_to_le16(tc->sq_head),
		.cid = cpu_to_le16(cid),
		.status = cpu_to_le16((uint16_t)(status << 1)),
	};

	/* An answer too many takes the place of others. */
	fake_conn_send(tc->conn, &cpl, sizeof(cpl), t->fault != TARGET_OK);
}

/* The fault that hits this command, or none. */
static enum target_fault fault_of(struct target *t, bool admin, uint8_t opc)
{
	if (!t->fault || t->fault_admin != admin || (t->fault_opc != 0xff && t->fault_opc != opc))
		return TARGET_OK;
	if (t->fault_nth > 1) {
		t->fault_nth--;
		return TARGET_OK;
	}
	if (!t->fault_times)
		return TARGET_OK;
	t->fault_times--;
	t->fault_hits++;
	return t->fault;
}

static void answer_with_fault(struct target *t, struct target_conn *tc, uint16_t cid,
			      uint16_t status, uint32_t dw0, enum target_fault fault)
{
	uint8_t junk[4096] = {0};
	struct nvmux_cpl cpl = {.cid = cpu_to_le16(cid)};

	switch (fault) {
	case TARGET_DROP: return;
	case TARGET_DISCONNECT: fake_conn_disconnect(tc->conn, false); return;
	case TARGET_UNKNOWN_CID: target_answer(t, tc, t->fault_cid, status, dw0, 0); return;
	case TARGET_SHORT:
		memcpy(junk, &cpl, sizeof(cpl));
		fake_conn_send(tc->conn, junk, t->fault_len, false);
		return;
	case TARGET_DUPLICATE:
		target_answer(t, tc, cid, status, dw0, 0);
		cpl.sqhd = cpu_to_le16(tc->sq_head);
		fake_conn_send(tc->conn, &cpl, sizeof(cpl), true);
		return;
	default: target_answer(t, tc, cid, status, dw0, 0); return;
	}
}

/* ---- data ---- */

/* What DPTR says; false: a violation, the command ends with an error. */
static bool data_of(struct target *t, const struct nvmux_cmd *cmd, const uint8_t *capsule,
		    size_t len, struct target_data *ret)
{
	const uint8_t *d = (const uint8_t *)cmd->dptr;
	uint8_t type = d[15];
	uint64_t addr = le64_to_cpu(cmd->dptr[0]);

	if ((cmd->flags & 0xc3) != 0x40) {
		fake_violation("opcode %02xh: flags %02xh, PSDT must be 01b", cmd->opc, cmd->flags);
		return false;
	}
	*ret = (struct target_data){0};
	if (type == 0x40 || type == 0x4f) {
		ret->addr = addr;
		ret->len = d[8] | (uint32_t)d[9] << 8 | (uint32_t)d[10] << 16;
		ret->rkey = d[11] | (uint32_t)d[12] << 8 | (uint32_t)d[13] << 16 |
			    (uint32_t)d[14] << 24;
		if (type == 0x4f)
			fake_violation("invalidate asked for on an ordinary key");
		if (len != FABRICS_SQE_SIZE)
			fake_violation("a capsule of %zu bytes with a keyed descriptor", len);
		return true;
	}
	if (type != 0x01) {
		fake_violation("opcode %02xh: data descriptor type %02xh", cmd->opc, type);
		return false;
	}
	ret->len = d[8] | (uint32_t)d[9] << 8 | (uint32_t)d[10] << 16 | (uint32_t)d[11] << 24;
	if (addr > len - FABRICS_SQE_SIZE || ret->len > len - FABRICS_SQE_SIZE - addr ||
	    addr != t->icdoff * 16u) {
		fake_violation("in-capsule data of %u bytes at %#jx in a capsule of %zu", ret->len,
			       (uintmax_t)addr, len);
		return false;
	}
	ret->capsule = capsule + FABRICS_SQE_SIZE + addr;
	return true;
}

uint16_t target_from_host(struct target *t, struct target_conn *tc, const struct target_data *data,
			  uint32_t len)
{
	if (len > TARGET_BOUNCE_SIZE)
		return EMU_GENERIC(INVALID_FIELD);
	if (data->len != len) {
		fake_violation("data of %u bytes, the command moves %u", data->len, len);
		return SGL_INVALID;
	}
	if (data->capsule)
		memcpy(t->bounce, data->capsule, len);
	else if (len && fake_conn_read(tc->conn, data->addr, data->rkey, t->bounce, len))
		return EMU_XFER_ERROR;
	return EMU_SUCCESS;
}

uint16_t target_to_host(struct target *t, struct target_conn *tc, const struct target_data *data,
			uint32_t len)
{
	if (data->capsule || data->len != len) {
		fake_violation("data of %u bytes, the command moves %u", data->len, len);
		return SGL_INVALID;
	}
	if (len && fake_conn_write(tc->conn, data->addr, data->rkey, t->bounce, len))
		return EMU_XFER_ERROR;
	return EMU_SUCCESS;
}

static void note(struct target *t, const struct target_conn *tc, const struct nvmux_cmd *cmd,
		 bool in_capsule)
{
	struct target_entry *e = &t->log[t->n_log % TARGET_LOG_MAX];

	*e = (struct target_entry){
		.at_ms = fake_now_ms(),
		.slba = emu_slba(cmd),
		.nlb = (emu_cdw(cmd->cdw12) & 0xffff) + 1,
		.nsid = emu_cdw(cmd->nsid),
		.qid = tc->qid,
		.cntlid = tc->ctrlr ? tc->ctrlr->cntlid : 0,
		.cid = le16_to_cpu(cmd->cid),
		.opc = cmd->opc,
		.fctype = (uint8_t)emu_cdw(cmd->nsid),
		.in_capsule = in_capsule,
	};
	t->n_log++;
}

/* ---- I/O ---- */

static uint32_t io_len(const struct target *t, const struct nvmux_cmd *cmd)
{
	const struct emu_ns *ns = emu_ns_get(t->emu, emu_cdw(cmd->nsid));
	uint64_t len;

	switch (cmd->opc) {
	case nvme_cmd_read:
	case nvme_cmd_write:
	case nvme_cmd_compare:
		len = ns ? (uint64_t)((emu_cdw(cmd->cdw12) & 0xffff) + 1) << ns->shift : 0;
		return len > TARGET_BOUNCE_SIZE ? TARGET_BOUNCE_SIZE + 1 : (uint32_t)len;
	case nvme_cmd_dsm: return ((emu_cdw(cmd->cdw10) & 0xff) + 1) * 16;
	default: return 0;
	}
}

static uint16_t ana_status(const struct target *t, uint32_t nsid)
{
	uint8_t state = t->ana_state[nsid % TARGET_ANA_MAX];

	if (!t->ana)
		return EMU_SUCCESS;
	switch (state) {
	case NVME_ANA_STATE_PERSISTENT_LOSS: return EMU_STATUS(3, 1) | NVMUX_STATUS_DNR;
	case NVME_ANA_STATE_INACCESSIBLE: return EMU_STATUS(3, 2);
	case NVME_ANA_STATE_CHANGE: return EMU_STATUS(3, 3);
	default: return EMU_SUCCESS;
	}
}

static uint16_t io_run(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
		       const struct target_data *data, const uint8_t *fetched)
{
	uint32_t len = io_len(t, cmd);
	struct nvmux_cmd own = target_bounce_cmd(cmd, len);
	bool from_host = (cmd->opc & 3) == 1 || cmd->opc == nvme_cmd_compare;
	uint16_t status = EMU_SUCCESS;

	if (fetched)
		memcpy(t->bounce, fetched, len);
	else if (from_host)
		status = target_from_host(t, tc, data, len);
	else if (data->len != len)
		fake_violation("opcode %02xh: data of %u bytes, the command moves %u", cmd->opc,
			       data->len, len);
	if (!status)
		status = emu_nvm_execute(&t->sq, &own);
	if (!status && cmd->opc == nvme_cmd_read)
		status = target_to_host(t, tc, data, len);
	return status;
}

static void execute_io(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
		       const struct target_data *data, const uint8_t *fetched)
{
	enum target_fault fault = fault_of(t, false, cmd->opc);
	uint16_t status = ana_status(t, emu_cdw(cmd->nsid));

	if (fault == TARGET_STATUS)
		status = t->fault_status;
	if (!status) {
		status = io_run(t, tc, cmd, data, fetched);
		note(t, tc, cmd, data->capsule != NULL);
	}
	if (fault == TARGET_STATUS_LATE)
		status = t->fault_status;
	answer_with_fault(t, tc, le16_to_cpu(cmd->cid), status, 0, fault);
}

static void hold(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
		 const struct target_data *data)
{
	uint32_t len = io_len(t, cmd);
	struct target_held *h = calloc(1, sizeof(*h) + (data->capsule ? data->len : 0));

	assert_non_null(h);
	h->tc = tc;
	h->cmd = *cmd;
	h->data = *data;
	if (data->capsule) {
		memcpy(h->capsule, data->capsule, data->len);
		h->data.capsule = h->capsule;
	}
	if (t->hold_fetch && (cmd->opc & 3) == 1 && len <= TARGET_BOUNCE_SIZE &&
	    !target_from_host(t, tc, data, len)) {
		h->fetched = malloc(MAX(len, 1u));
		assert_non_null(h->fetched);
		memcpy(h->fetched, t->bounce, len);
	}
	TAILQ_INSERT_TAIL(&t->held, h, link);
	t->n_held++;
}

static void drop_held(struct target *t, struct target_held *h)
{
	TAILQ_REMOVE(&t->held, h, link);
	t->n_held--;
	free(h->fetched);
	free(h);
}

void target_drop_held(struct target *t, const struct target_conn *tc)
{
	struct target_held *h, *next;

	for (h = TAILQ_FIRST(&t->held); h; h = next) {
		next = TAILQ_NEXT(h, link);
		if (!tc || h->tc == tc)
			drop_held(t, h);
	}
}

void target_release(struct target *t, unsigned n, bool shuffle)
{
	struct target_held *h;

	fake_lock();
	n = n ? MIN(n, t->n_held) : t->n_held;
	while (n-- > 0) {
		unsigned skip = shuffle ? (unsigned)random() % t->n_held : 0;

		h = TAILQ_FIRST(&t->held);
		while (skip-- > 0)
			h = TAILQ_NEXT(h, link);
		execute_io(t, h->tc, &h->cmd, &h->data, h->fetched);
		drop_held(t, h);
	}
	fake_unlock();
}

/* ---- fabrics commands ---- */

static uint64_t read_property(const struct target *t, const struct target_ctrlr *c, uint32_t offset)
{
	switch (offset) {
	case NVME_REG_CAP:
		return ((emu_reg_read(t->emu, NVME_REG_CAP, 8) & t->cap_and) | t->cap_or) &
		       (c->discovery ? ~0xffffull | 127 : ~0ull);
	case NVME_REG_VS: return emu_reg_read(t->emu, NVME_REG_VS, 4);
	case NVME_REG_CC: return c->cc;
	case NVME_REG_CSTS: return c->csts;
	default: return 0;
	}
}

static void shutdown_complete(void *arg)
{
	struct target_ctrlr *c = arg;

	c->csts |= NVME_CSTS_SHST_CMPLT << NVME_CSTS_SHST_SHIFT;
}

static void write_cc(struct target *t, struct target_ctrlr *c, uint32_t value)
{
	bool was = NVME_CC_EN(c->cc), is = NVME_CC_EN(value);
	const uint32_t cfs = NVME_CSTS_CFS_MASK << NVME_CSTS_CFS_SHIFT;

	c->cc = value;
	if (!was && is && !t->csts_never) {
		emu_features_reset(t->emu);
		c->csts |= 1;
	} else if (was && !is) {
		c->csts &= cfs;
		c->n_aers = 0;
	}
	if (NVME_CC_SHN(value)) {
		/* as Linux does: commands are refused from here on */
		c->cc &= ~(uint32_t)NVME_CC_EN_MASK;
		t->shutdowns++;
		if (t->shutdown_ms)
			fake_later(t->shutdown_ms, shutdown_complete, c);
		else
			shutdown_complete(c);
	}
}

static uint16_t property(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			 bool set, uint32_t *dw0, uint32_t *dw1)
{
	uint32_t offset = emu_cdw(cmd->cdw11);
	bool wide = (emu_cdw(cmd->cdw10) & 7) == 1;
	uint64_t v;

	if (tc->qid != 0)
		return EMU_GENERIC(INVALID_FIELD);
	if (wide != (offset == NVME_REG_CAP))
		fake_violation("property %xh by %u bytes", offset, wide ? 8 : 4);
	if (set) {
		if (offset != NVME_REG_CC)
			fake_violation("property %xh is set", offset);
		else
			write_cc(t, tc->ctrlr, emu_cdw(cmd->cdw12));
		return EMU_SUCCESS;
	}
	v = read_property(t, tc->ctrlr, offset);
	*dw0 = (uint32_t)v;
	*dw1 = (uint32_t)(v >> 32);
	return EMU_SUCCESS;
}

static void kill_ctrlr(struct target *t, struct target_ctrlr *c)
{
	c->alive = false;
	c->n_aers = 0;
	fake_not_later(target_kato_check, c);
	for (struct target_conn *tc = t->conns; tc; tc = tc->next) {
		if (tc->ctrlr == c)
			fake_conn_disconnect(tc->conn, false);
	}
}

void target_kato_check(void *arg)
{
	struct target_ctrlr *c = arg;
	uint64_t due = c->keep_alive_at + c->kato_ms, now = fake_now_ms();

	if (!c->alive)
		return;
	if (now < due) {
		fake_later((uint32_t)(due - now), target_kato_check, c);
		return;
	}
	c->target->kato_expired++;
	kill_ctrlr(c->target, c);
}

static struct target_ctrlr *make_ctrlr(struct target *t, struct target_conn *tc,
				       const struct nvmux_cmd *cmd,
				       const struct fabrics_connect_data *d)
{
	struct target_ctrlr *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->next = t->ctrlrs;
	c->target = t;
	t->ctrlrs = c;
	c->cntlid = ++t->next_cntlid;
	c->alive = true;
	c->discovery = strcmp(d->subnqn, "nqn.2014-08.org.nvmexpress.discovery") == 0;
	c->kato_ms = emu_cdw(cmd->cdw12);
	c->keep_alive_at = fake_now_ms();
	c->admin = tc->conn;
	memcpy(c->hostnqn, d->hostnqn, sizeof(c->hostnqn));
	memcpy(c->hostid, d->hostid, sizeof(c->hostid));
	t->n_ctrlrs++;
	if (t->enforce_kato && c->kato_ms)
		fake_later(c->kato_ms, target_kato_check, c);
	return c;
}

static struct target_ctrlr *find_ctrlr(struct target *t, uint16_t cntlid)
{
	for (struct target_ctrlr *c = t->ctrlrs; c; c = c->next) {
		if (c->alive && c->cntlid == cntlid)
			return c;
	}
	return NULL;
}

static uint16_t check_connect(struct target *t, const struct target_conn *tc,
			      const struct nvmux_cmd *cmd, const struct fabrics_connect_data *d,
			      uint32_t *dw0)
{
	static const uint8_t none[16];
	uint16_t recfmt = (uint16_t)emu_cdw(cmd->cdw10),
		 qid = (uint16_t)(emu_cdw(cmd->cdw10) >> 16);
	uint16_t sqsize = (uint16_t)emu_cdw(cmd->cdw11), cntlid = le16_to_cpu(d->cntlid);

	if (recfmt != 0)
		return CONNECT_INVALID_FMT;
	*dw0 = 44;
	if (qid != tc->qid)
		fake_violation("Connect for queue %u on the connection of %u", qid, tc->qid);
	if (sqsize == 0 || sqsize + 1u > tc->entries)
		fake_violation("Connect with SQSIZE %u on a connection of %u", sqsize, tc->entries);
	if (memcmp(d->hostid, none, 16) == 0) {
		*dw0 = IATTR_DATA | 0;
		return CONNECT_INVALID_PARAM;
	}
	*dw0 = IATTR_DATA | offsetof(struct fabrics_connect_data, subnqn);
	if (strcmp(d->subnqn, t->subnqn) != 0)
		return CONNECT_INVALID_PARAM;
	*dw0 = IATTR_DATA | offsetof(struct fabrics_connect_data, hostnqn);
	if (t->allowed_host && strcmp(d->hostnqn, t->allowed_host) != 0)
		return CONNECT_INVALID_HOST;
	*dw0 = IATTR_DATA | offsetof(struct fabrics_connect_data, cntlid);
	if (qid == 0 ? cntlid != 0xffff : !find_ctrlr(t, cntlid))
		return CONNECT_INVALID_PARAM;
	*dw0 = 0;
	return EMU_SUCCESS;
}

static uint16_t do_connect(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			   const struct target_data *data, uint32_t *dw0)
{
	struct fabrics_connect_data d;
	struct target_ctrlr *c;
	uint16_t status;

	if (tc->ctrlr)
		return EMU_GENERIC(CMD_SEQ_ERROR);
	status = target_from_host(t, tc, data, sizeof(d));
	if (status)
		return status;
	memcpy(&d, t->bounce, sizeof(d));
	if (t->connect_times && target_hits(t->connect_qid, tc->qid)) {
		t->connect_times--;
		*dw0 = t->connect_dw0;
		return t->connect_status;
	}
	status = check_connect(t, tc, cmd, &d, dw0);
	if (status)
		return status;
	c = tc->qid ? find_ctrlr(t, le16_to_cpu(d.cntlid)) : make_ctrlr(t, tc, cmd, &d);
	if (tc->qid && !(c->csts & 1)) {
		fake_violation("Connect of queue %u before the controller is ready", tc->qid);
		return EMU_GENERIC(CMD_SEQ_ERROR);
	}
	tc->ctrlr = c;
	*dw0 = c->cntlid;
	return EMU_SUCCESS;
}

static void fabrics_command(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			    const struct target_data *data)
{
	uint8_t fctype = (uint8_t)emu_cdw(cmd->nsid);
	uint16_t status = EMU_GENERIC(INVALID_FIELD), cid = le16_to_cpu(cmd->cid);
	uint32_t dw0 = 0, dw1 = 0;

	if (fctype == nvme_fabrics_type_connect && t->silent_connect &&
	    target_hits(t->connect_qid, tc->qid))
		return;
	if (fctype == nvme_fabrics_type_connect)
		status = do_connect(t, tc, cmd, data, &dw0);
	else if (!tc->ctrlr)
		status = EMU_GENERIC(CMD_SEQ_ERROR);
	else if (t->silent_admin)
		return;
	else if (fctype == nvme_fabrics_type_property_get)
		status = property(t, tc, cmd, false, &dw0, &dw1);
	else if (fctype == nvme_fabrics_type_property_set)
		status = property(t, tc, cmd, true, &dw0, &dw1);
	target_answer(t, tc, cid, status, dw0, dw1);
}

/* ---- capsules ---- */

static void admin_command(struct target *t, struct target_conn *tc, const struct nvmux_cmd *cmd,
			  const struct target_data *data)
{
	enum target_fault fault = fault_of(t, true, cmd->opc);
	uint32_t dw0 = 0;
	uint16_t status;

	if (t->silent_admin)
		return;
	if (fault == TARGET_STATUS)
		status = t->fault_status;
	else
		status = target_admin(t, tc, cmd, data, &dw0);
	if (status != EMU_NO_COMPLETION)
		answer_with_fault(t, tc, le16_to_cpu(cmd->cid), status, dw0, fault);
}

void target_on_message(void *arg, struct fake_conn *conn, const uint8_t *capsule, size_t len)
{
	struct target *t = arg;
	struct target_conn *tc = target_conn(conn);
	struct target_data data;
	struct nvmux_cmd cmd;
	/* None on the admin queue, as with targets in use. */
	uint32_t room = FABRICS_SQE_SIZE + (tc->qid ? t->in_capsule : 0);

	if (len < FABRICS_SQE_SIZE || len > room) {
		fake_violation("a capsule of %zu bytes, at most %u", len, room);
		fake_conn_disconnect(conn, false);
		return;
	}
	memcpy(&cmd, capsule, sizeof(cmd));
	tc->sq_head = (uint16_t)((tc->sq_head + 1) % tc->entries);
	if (!data_of(t, &cmd, capsule, len, &data)) {
		target_answer(t, tc, le16_to_cpu(cmd.cid), SGL_INVALID, 0, 0);
		return;
	}
	if (tc->qid == 0 || cmd.opc == nvme_admin_fabrics)
		note(t, tc, &cmd, data.capsule != NULL);
	if (cmd.opc == nvme_admin_fabrics)
		fabrics_command(t, tc, &cmd, &data);
	else if (!tc->ctrlr || !(tc->ctrlr->csts & 1))
		target_answer(t, tc, le16_to_cpu(cmd.cid), EMU_GENERIC(CMD_SEQ_ERROR), 0, 0);
	else if (tc->qid == 0)
		admin_command(t, tc, &cmd, &data);
	else if (t->hold)
		hold(t, tc, &cmd, &data);
	else
		execute_io(t, tc, &cmd, &data, NULL);
}
