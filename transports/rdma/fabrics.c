// SPDX-License-Identifier: BSD-3-Clause
/*
 * NVMe over Fabrics as bytes, without I/O. What comes from the other side is checked for its length
 * and its format here, and nothing of it is used before.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <nvme/types.h>

#include "fabrics.h"

/* Fabrics command types, in byte 4. Base specification 2.0, figure 378. */
#define FCTYPE_PROPERTY_SET 0x00
#define FCTYPE_CONNECT      0x01
#define FCTYPE_PROPERTY_GET 0x04

/* SGL descriptor types with their subtypes, in byte 15, and PSDT. Base specification 2.0, 4.1.2. */
#define SGL_KEYED_ADDRESS 0x40
#define SGL_DATA_OFFSET   0x01
#define PSDT_SGL          0x40
#define PSDT_MASK         0xc0
#define SGL_KEYED_LEN_MAX 0xffffffu

/* Where a parameter of Connect is: in the command (IATTR 0) or in its data (IATTR 1). */
#define CONNECT_SQE_RECFMT 40
#define CONNECT_SQE_QID    42
#define CONNECT_SQE_SQSIZE 44
#define CONNECT_SQE_CATTR  46
#define CONNECT_SQE_KATO   48
#define CONNECT_IATTR_DATA (1u << 16)
#define CONNECT_IPO_MASK   0xffffu
#define CONNECT_AUTHREQ    (3u << 17) /* ATR and ASCR of the completion's dword 0 */

/* Reasons of the InfiniBand connection manager; architecture specification, section 12.6.7.2. */
#define CM_NO_RESOURCES    3
#define CM_TIMEOUT         4
#define CM_INVALID_SERVICE 8
#define CM_STALE           10
#define CM_CONSUMER        28

/* Of the NVMe/RDMA transport, in the private data of a reject; section 3.2. */
struct fabrics_rdma_rej {
	__le16 recfmt;
	__le16 sts;
};

__attribute__((format(printf, 4, 5))) static int explain(int err, char *why, size_t size,
							 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, size, fmt, ap);
	va_end(ap);
	return err;
}

/* ---- commands ---- */

static void fabrics_command(struct nvmux_cmd *cmd, uint8_t fctype)
{
	*cmd = (struct nvmux_cmd){
		.opc = nvme_admin_fabrics,
		.nsid = cpu_to_le32(fctype),
	};
}

void fabrics_connect(struct nvmux_cmd *cmd, struct fabrics_connect_data *data, uint16_t qid,
		     uint16_t sqsize, uint32_t kato_ms, uint16_t cntlid, const char *subnqn,
		     const struct nvmux_ctrlr_opts *opts)
{
	fabrics_command(cmd, FCTYPE_CONNECT);
	/* RECFMT 0; QID; SQSIZE; CATTR 0: with flow control of the submission queue; KATO */
	cmd->cdw10 = cpu_to_le32((uint32_t)qid << 16);
	cmd->cdw11 = cpu_to_le32(sqsize);
	cmd->cdw12 = cpu_to_le32(qid ? 0 : kato_ms);

	memset(data, 0, sizeof(*data));
	memcpy(data->hostid, opts->hostid, sizeof(data->hostid));
	data->cntlid = cpu_to_le16(cntlid);
	snprintf(data->subnqn, sizeof(data->subnqn), "%.*s", NVMUX_NQN_MAX - 1, subnqn);
	snprintf(data->hostnqn, sizeof(data->hostnqn), "%.*s", NVMUX_NQN_MAX - 1, opts->hostnqn);
}

static void fabrics_property(struct nvmux_cmd *cmd, uint8_t fctype, uint32_t offset, uint32_t size)
{
	fabrics_command(cmd, fctype);
	cmd->cdw10 = cpu_to_le32(size == 8 ? 1 : 0);
	cmd->cdw11 = cpu_to_le32(offset);
}

void fabrics_property_get(struct nvmux_cmd *cmd, uint32_t offset, uint32_t size)
{
	fabrics_property(cmd, FCTYPE_PROPERTY_GET, offset, size);
}

void fabrics_property_set(struct nvmux_cmd *cmd, uint32_t offset, uint32_t size, uint64_t value)
{
	fabrics_property(cmd, FCTYPE_PROPERTY_SET, offset, size);
	cmd->cdw12 = cpu_to_le32((uint32_t)value);
	cmd->cdw13 = cpu_to_le32(size == 8 ? (uint32_t)(value >> 32) : 0);
}

uint64_t fabrics_property_value(const struct nvmux_cpl *cpl, uint32_t size)
{
	uint64_t value = le32_to_cpu(cpl->dw0);

	return size == 8 ? value | (uint64_t)le32_to_cpu(cpl->dw1) << 32 : value;
}

void fabrics_sgl_keyed(struct nvmux_cmd *cmd, uint64_t addr, uint32_t len, uint32_t rkey)
{
	NVMUX_ASSERT(len <= SGL_KEYED_LEN_MAX);
	cmd->flags = (uint8_t)((cmd->flags & ~PSDT_MASK) | PSDT_SGL);
	cmd->dptr[0] = cpu_to_le64(addr);
	/* Bytes 8 to 10 the length, 11 to 14 the key, 15 the type. */
	cmd->dptr[1] = cpu_to_le64(len | (uint64_t)rkey << 24 | (uint64_t)SGL_KEYED_ADDRESS << 56);
}

void fabrics_sgl_in_capsule(struct nvmux_cmd *cmd, uint32_t offset, uint32_t len)
{
	cmd->flags = (uint8_t)((cmd->flags & ~PSDT_MASK) | PSDT_SGL);
	cmd->dptr[0] = cpu_to_le64(offset);
	/* Bytes 8 to 11 the length, 15 the type. */
	cmd->dptr[1] = cpu_to_le64(len | (uint64_t)SGL_DATA_OFFSET << 56);
}

/* ---- what came of Connect ---- */

int fabrics_connect_result(uint32_t dw0, uint16_t *ret_cntlid, char *why, size_t why_size)
{
	if (dw0 & CONNECT_AUTHREQ)
		return explain(-EACCES, why, why_size,
			       "the subsystem requires authentication, which isn't offered here");
	*ret_cntlid = (uint16_t)dw0;
	return 0;
}

static int invalid_data(const struct fabrics_connect_data *data, uint32_t offset, char *why,
			size_t size)
{
	switch (offset) {
	case offsetof(struct fabrics_connect_data, subnqn):
		return explain(-ENOENT, why, size, "there is no subsystem %.223s at this address",
			       data->subnqn);
	case offsetof(struct fabrics_connect_data, hostnqn):
		return explain(-EINVAL, why, size, "the target finds the host NQN %.223s invalid",
			       data->hostnqn);
	case offsetof(struct fabrics_connect_data, hostid):
		return explain(-EINVAL, why, size, "the target finds the host identifier invalid");
	case offsetof(struct fabrics_connect_data, cntlid):
		return explain(-EINVAL, why, size,
			       "the target knows no controller %#x of this host",
			       le16_to_cpu(data->cntlid));
	default:
		return explain(-EINVAL, why, size,
			       "the target finds byte %u of the Connect data invalid", offset);
	}
}

static int invalid_sqe(uint32_t offset, char *why, size_t size)
{
	switch (offset) {
	case CONNECT_SQE_RECFMT:
		return explain(-EINVAL, why, size, "the target doesn't know Connect's format 0");
	case CONNECT_SQE_QID:
		return explain(-EINVAL, why, size, "the target finds the queue identifier invalid");
	case CONNECT_SQE_SQSIZE:
		return explain(-EINVAL, why, size,
			       "the target finds the queue's depth (SQSIZE) invalid");
	case CONNECT_SQE_CATTR:
		return explain(-EINVAL, why, size,
			       "the target finds the connect attributes invalid");
	case CONNECT_SQE_KATO:
		return explain(-EINVAL, why, size,
			       "the target finds the keep-alive time-out invalid");
	default:
		return explain(-EINVAL, why, size, "the target finds byte %u of Connect invalid",
			       offset);
	}
}

/* What the codes mean in answers to Fabrics commands, where I/O commands have others. */
const char *fabrics_status_string(uint16_t status)
{
	static const char *const connect[] = {"incompatible connect format",
					      "connect controller busy",
					      "connect invalid parameters",
					      "connect restart discovery"};
	unsigned code = status & NVMUX_STATUS_CODE_MASK;

	return code >= 0x180 && code <= 0x183 ? connect[code - 0x180]
					      : nvmux_status_string(status);
}

int fabrics_connect_error(const struct nvmux_cpl *cpl, const struct fabrics_connect_data *data,
			  char *why, size_t why_size, bool *permanent)
{
	uint16_t status = nvmux_cpl_status(cpl);
	uint32_t where = le32_to_cpu(cpl->dw0);

	*permanent = status & NVMUX_STATUS_DNR;
	switch (status & NVMUX_STATUS_CODE_MASK) {
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_CONNECT_INVALID_PARAM):
		if (where & CONNECT_IATTR_DATA)
			return invalid_data(data, where & CONNECT_IPO_MASK, why, why_size);
		return invalid_sqe(where & CONNECT_IPO_MASK, why, why_size);
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_CONNECT_INVALID_HOST):
		return explain(-EACCES, why, why_size,
			       "the subsystem %.223s doesn't allow this host, %.223s", data->subnqn,
			       data->hostnqn);
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_CONNECT_CTRL_BUSY):
		return explain(-EBUSY, why, why_size, "controller busy");
	case NVMUX_STATUS(NVME_SCT_GENERIC, NVME_SC_CMD_SEQ_ERROR):
		return explain(-EAGAIN, why, why_size,
			       "Connect out of sequence: the target has such a queue already");
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_CONNECT_FORMAT):
		return explain(-EINVAL, why, why_size,
			       "the target doesn't know Connect's format 0");
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_CONNECT_RESTART_DISC):
		return explain(-ESTALE, why, why_size,
			       "the target wants discovery to be done anew");
	case NVMUX_STATUS(NVME_SCT_CMD_SPECIFIC, NVME_SC_AUTH_REQUIRED):
		return explain(-EACCES, why, why_size,
			       "the subsystem requires authentication, which isn't offered here");
	default:
		return explain(-EIO, why, why_size, "Connect ended with status %03x (%s)",
			       status & NVMUX_STATUS_CODE_MASK, fabrics_status_string(status));
	}
}

/* ---- private data of RDMA connections ---- */

void fabrics_rdma_request(struct fabrics_rdma_request *req, uint16_t qid, uint16_t hrqsize,
			  uint16_t hsqsize, uint16_t cntlid)
{
	*req = (struct fabrics_rdma_request){
		.qid = cpu_to_le16(qid),
		.hrqsize = cpu_to_le16(hrqsize),
		.hsqsize = cpu_to_le16(hsqsize),
		.cntlid = cpu_to_le16(cntlid),
	};
}

int fabrics_rdma_accept(const void *data, size_t len, uint16_t *ret_crqsize)
{
	struct {
		__le16 recfmt;
		__le16 crqsize;
	} accept;

	if (!data || !len) {
		*ret_crqsize = 0;
		return 0;
	}
	if (len < sizeof(accept))
		return -EPROTO;
	memcpy(&accept, data, sizeof(accept));
	if (le16_to_cpu(accept.recfmt))
		return -EPROTO;
	*ret_crqsize = le16_to_cpu(accept.crqsize);
	return 0;
}

/* What a connection manager sends for those who listen elsewhere, or are on their way out. */
static int without_reason(char *why, size_t size)
{
	return explain(
		-ECONNREFUSED, why, size,
		"the target rejected the connection without a reason: perhaps nobody listens "
		"at this address");
}

static int rejected_by_target(uint16_t sts, uint16_t qid, const struct fabrics_rdma_request *req,
			      char *why, size_t size)
{
	unsigned depth = le16_to_cpu(req->hsqsize) + 1u;
	const char *what = qid ? "I/O queue" : "admin queue";

	switch (sts) {
	case 0: return without_reason(why, size);
	case 1: return explain(-EPROTO, why, size, "the target refuses the private data's length");
	case 2: return explain(-EPROTO, why, size, "the target refuses the private data's format");
	case 3:
		return explain(-EINVAL, why, size, "the target refuses the queue identifier %u",
			       qid);
	case 4:
		return explain(-EINVAL, why, size,
			       "the target refuses a depth of %u for the %s: it takes less (host "
			       "send queue size)",
			       depth, what);
	case 5:
		return explain(-EINVAL, why, size,
			       "the target refuses a depth of %u for the %s (host receive queue "
			       "size %u)",
			       depth, what, le16_to_cpu(req->hrqsize));
	case 6: return explain(-EBUSY, why, size, "the target has no resources for another queue");
	case 7:
		return explain(-EINVAL, why, size,
			       "the target refuses the number of inbound RDMA reads (IRD)");
	case 8:
		return explain(-EINVAL, why, size,
			       "the target refuses the number of outbound RDMA reads (ORD)");
	case 9:
		return explain(-EINVAL, why, size,
			       "the target refuses the controller identifier "
			       "%#x",
			       le16_to_cpu(req->cntlid));
	default:
		return explain(-EPROTO, why, size,
			       "the target rejected the connection with the unknown status %u",
			       sts);
	}
}

/* The private data of a reject that the target's NVMe part sent. */
static int rejected(const void *data, size_t len, uint16_t qid,
		    const struct fabrics_rdma_request *req, char *why, size_t size)
{
	struct fabrics_rdma_rej rej;

	if (!data || !len)
		return without_reason(why, size);
	if (len < sizeof(rej))
		return explain(-EPROTO, why, size,
			       "the target rejected the connection with %zu bytes of private data; "
			       "its reason has %zu",
			       len, sizeof(rej));
	memcpy(&rej, data, sizeof(rej));
	if (le16_to_cpu(rej.recfmt))
		return explain(-EPROTO, why, size,
			       "the target rejected the connection in the unknown format %u",
			       le16_to_cpu(rej.recfmt));
	return rejected_by_target(le16_to_cpu(rej.sts), qid, req, why, size);
}

int fabrics_rdma_reject(const void *data, size_t len, int reason, uint16_t qid,
			const struct fabrics_rdma_request *req, char *why, size_t why_size,
			bool *stale)
{
	*stale = reason == CM_STALE;
	switch (reason) {
	case CM_CONSUMER: return rejected(data, len, qid, req, why, why_size);
	case ECONNREFUSED:
	case -ECONNREFUSED:
		/* iWARP has no numbers: a target's private data, or nobody at all. */
		if (data && len)
			return rejected(data, len, qid, req, why, why_size);
		__attribute__((fallthrough));
	case CM_INVALID_SERVICE:
		return explain(-ECONNREFUSED, why, why_size, "nobody listens on this port");
	case CM_STALE:
		return explain(-ECONNRESET, why, why_size,
			       "the target still holds an earlier connection (stale connection)");
	case CM_NO_RESOURCES:
		return explain(-EBUSY, why, why_size,
			       "the target's connection manager has no resources");
	case CM_TIMEOUT:
		return explain(-ETIMEDOUT, why, why_size,
			       "the target's connection manager gave up waiting");
	default:
		return explain(-ECONNREFUSED, why, why_size,
			       "the connection manager rejected the connection with reason %d",
			       reason);
	}
}
