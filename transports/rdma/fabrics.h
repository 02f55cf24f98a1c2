/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * NVMe over Fabrics as bytes: Connect, Property Get and Set, the RDMA transport's private data and
 * reject codes, data descriptors. Pure functions, no I/O, built also without libibverbs.
 *
 * Sources: base specification 2.0, sections 3.3.2, 6.3 to 6.6 (Fabrics commands); RDMA transport
 * specification 1.0.
 */
#ifndef NVMUX_FABRICS_H
#define NVMUX_FABRICS_H

#include "libcore/core.h"

/* Data of the Connect command, 1024 bytes. Base specification 2.0, figure 400. */
struct fabrics_connect_data {
	uint8_t hostid[16];
	__le16 cntlid;
	uint8_t rsvd18[238];
	char subnqn[256];
	char hostnqn[256];
	uint8_t rsvd768[256];
};
NVMUX_STATIC_ASSERT(sizeof(struct fabrics_connect_data) == 1024, "Connect data have 1024 bytes");

#define FABRICS_CNTLID_DYNAMIC 0xffffu
#define FABRICS_SQE_SIZE       64u
#define FABRICS_CQE_SIZE       16u

/* Connect for queue @qid of @sqsize (0's based) entries; @kato_ms counts for the admin queue. */
void fabrics_connect(struct nvmux_cmd *cmd, struct fabrics_connect_data *data, uint16_t qid,
		     uint16_t sqsize, uint32_t kato_ms, uint16_t cntlid, const char *subnqn,
		     const struct nvmux_ctrlr_opts *opts);
/*
 * What a Connect that failed means, in words that name the parameter: for Invalid Parameters the
 * completion says by offset and IATTR which. Return: a negative errno value (-EACCES invalid host,
 * -ENOENT no such subsystem, -EBUSY controller busy, -EINVAL, -EIO), @permanent: DNR was set.
 */
int fabrics_connect_error(const struct nvmux_cpl *cpl, const struct fabrics_connect_data *data,
			  char *why, size_t why_size, bool *permanent);

/* A status of a Fabrics command in words. */
const char *fabrics_status_string(uint16_t status);

/* The completion of a Connect that succeeded: the controller's identifier. -EACCES with the reason:
 * it wants authentication. */
int fabrics_connect_result(uint32_t dw0, uint16_t *ret_cntlid, char *why, size_t why_size);

void fabrics_property_get(struct nvmux_cmd *cmd, uint32_t offset, uint32_t size);
void fabrics_property_set(struct nvmux_cmd *cmd, uint32_t offset, uint32_t size, uint64_t value);
/* The value in the completion of Property Get. */
uint64_t fabrics_property_value(const struct nvmux_cpl *cpl, uint32_t size);

/* Private data of the RDMA connection. RDMA transport specification 1.0, section 3.2 */
struct fabrics_rdma_request {
	__le16 recfmt;
	__le16 qid;
	__le16 hrqsize; /* 1's based */
	__le16 hsqsize; /* 0's based */
	__le16 cntlid;
	uint8_t rsvd10[22];
};
NVMUX_STATIC_ASSERT(sizeof(struct fabrics_rdma_request) == 32, "the request has 32 bytes");

void fabrics_rdma_request(struct fabrics_rdma_request *req, uint16_t qid, uint16_t hrqsize,
			  uint16_t hsqsize, uint16_t cntlid);
/* crqsize (1's based) out of an accept's private data; 0 when it is absent (some targets send
 * none). -EPROTO: too short, or an unknown format. */
int fabrics_rdma_accept(const void *data, size_t len, uint16_t *ret_crqsize);
/*
 * Why a target rejected: the status of its private data, or what the connection manager says
 * (@reason, as in the event's status). Return: a negative errno value; @stale: trying again soon
 * helps (reason 10).
 */
int fabrics_rdma_reject(const void *data, size_t len, int reason, uint16_t qid,
			const struct fabrics_rdma_request *req, char *why, size_t why_size,
			bool *stale);

/* Data descriptors in the place of DPTR; also sets PSDT in @cmd->flags. Figure "SGL descriptor". */
void fabrics_sgl_keyed(struct nvmux_cmd *cmd, uint64_t addr, uint32_t len, uint32_t rkey);
void fabrics_sgl_in_capsule(struct nvmux_cmd *cmd, uint32_t offset, uint32_t len);

#endif
