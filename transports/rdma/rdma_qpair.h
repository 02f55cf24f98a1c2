/* SPDX-License-Identifier: BSD-3-Clause */
/* The structure of a queue pair over RDMA; see rdma_int.h, which includes this. */
#ifndef NVMUX_RDMA_QPAIR_H
#define NVMUX_RDMA_QPAIR_H

/* rdma_conn.c's part. */
struct rdma_conn {
	struct rdma_cm_id *id; /* NULL: none */
	uint8_t state;         /* rdma_conn.c's */
	uint8_t retries;       /* of a stale connection */
	struct rdma_call call; /* the connect or disconnect under way */
	struct nvmux_timer timer;
};

struct rdma_qpair {
	struct nvmux_qpair base;
	struct rdma_cq *cq;
	struct ibv_qp *qp;
	uint64_t wr_base;
	uint16_t hsqsize; /* as in the private data of the connect request */
	TAILQ_ENTRY(rdma_qpair) link; /* of the controller */
	struct rdma_conn conn;
};

static inline struct rdma_qpair *rdma_qpair(const struct nvmux_qpair *qpair)
{
	return container_of(qpair, struct rdma_qpair, base);
}

#endif
