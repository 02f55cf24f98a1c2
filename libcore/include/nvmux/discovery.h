/* SPDX-License-Identifier: BSD-3-Clause */
/* Discovery services: who offers which subsystems where. Base specification 2.0, section 5.16.1.23
 */
#ifndef NVMUX_DISCOVERY_H
#define NVMUX_DISCOVERY_H

#include <nvmux/ctrlr.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NVMUX_DISCOVERY_NQN "nqn.2014-08.org.nvmexpress.discovery"

enum nvmux_discovery_subtype {
	NVMUX_DISCOVERY_REFERRAL = 1, /* another discovery service */
	NVMUX_DISCOVERY_NVME = 2,     /* a subsystem with namespaces */
	NVMUX_DISCOVERY_CURRENT = 3,  /* the discovery service itself */
};

/**
 * struct nvmux_discovery_entry - one record of a discovery log page.
 * @trid: where to connect. trtype is NVMUX_TRTYPE_COUNT for a transport that isn't known here.
 * @trtype: as in the record (1 RDMA, 2 FC, 3 TCP, 254 loop).
 * @portid, @cntlid, @asqsz, @eflags, @treq: as in the record, host order.
 * @rdma_prtype: 1 not specified, 2 InfiniBand, 3 RoCE, 4 RoCEv2, 5 iWARP, of an RDMA record (TSAS,
 *	figure of the RDMA transport specification); also @rdma_qptype, @rdma_cms, @rdma_pkey.
 * @depth: 0: of the service that was asked; else the number of referrals on the way to it.
 */
struct nvmux_discovery_entry {
	struct nvmux_trid trid;
	enum nvmux_discovery_subtype subtype;
	uint8_t trtype;
	uint8_t adrfam;
	uint8_t treq;
	uint16_t portid;
	uint16_t cntlid;
	uint16_t asqsz;
	uint16_t eflags;
	uint8_t rdma_qptype;
	uint8_t rdma_prtype;
	uint8_t rdma_cms;
	uint8_t depth;
	uint16_t rdma_pkey;
};

/**
 * struct nvmux_discovery_log - what one or several services reported.
 * @genctr: generation counter of the service that was asked.
 * @n: entries.
 */
struct nvmux_discovery_log {
	uint64_t genctr;
	uint32_t n;
	struct nvmux_discovery_entry entries[];
};

/**
 * typedef nvmux_discovery_cb - the log, or why there is none.
 * @log: valid during the call only; NULL on failure.
 * @err: 0 or a negative errno value; nvmux_error_text() has it in words.
 */
typedef void (*nvmux_discovery_cb)(void *arg, const struct nvmux_discovery_log *log, int err);

/**
 * nvmux_ctrlr_get_discovery_log_async() - read the whole log page of an attached discovery
 * controller, once more when it changes meanwhile. Without referrals being followed.
 *
 * @cb is called once, from nvmux_process(). Return: 0, -EINVAL (not a discovery controller),
 * -ENOMEM, -ENXIO.
 */
NVMUX_API int nvmux_ctrlr_get_discovery_log_async(struct nvmux_ctrlr *ctrlr, nvmux_discovery_cb cb,
						  void *arg);

/**
 * nvmux_discover_async() - connect to a discovery service, read its log, follow its referrals (each
 * address once, at most 8 deep), disconnect.
 * @trid: its address; subnqn empty: the well-known NQN; RDMA without trsvcid: 4420.
 * @opts: of the discovery controllers, or NULL; keep_alive_timeout_ms is taken as 0.
 *
 * A referral that can't be reached is left out, with a line in the log. Records come in the order
 * in which they were found, those of the same transport id and subtype once.
 *
 * @cb is called once, from nvmux_process() or from here. Return: 0, or -EINVAL, -EPROTONOSUPPORT,
 * -ENOMEM, and @cb isn't called.
 */
NVMUX_API int nvmux_discover_async(struct nvmux *nvmux, const struct nvmux_trid *trid,
				   const struct nvmux_ctrlr_opts *opts, nvmux_discovery_cb cb,
				   void *arg);
/** nvmux_discover() - the same, waiting; *@ret is freed with free(). */
NVMUX_API int nvmux_discover(struct nvmux *nvmux, const struct nvmux_trid *trid,
			     const struct nvmux_ctrlr_opts *opts, struct nvmux_discovery_log **ret);

#ifdef __cplusplus
}
#endif
#endif
