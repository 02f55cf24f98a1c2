/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Zoned namespaces. Zoned namespace command set specification 1.1.
 *
 * Rules of <nvmux/io.h> hold. On a namespace that isn't zoned every command is -EOPNOTSUPP, and the
 * numbers are 0.
 */
#ifndef NVMUX_ZNS_H
#define NVMUX_ZNS_H

#include <nvmux/io.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvme_zns_id_ns;   /* <nvme/types.h> */
struct nvme_zns_id_ctrl;

/** nvmux_zns_ns_get_data() - Identify data of the command set, or NULL. Section 4.1.5.1. */
NVMUX_API const struct nvme_zns_id_ns *nvmux_zns_ns_get_data(const struct nvmux_ns *ns);
/** nvmux_zns_ctrlr_get_data() - Identify data of the controller, or NULL. Section 4.1.5.2. */
NVMUX_API const struct nvme_zns_id_ctrl *nvmux_zns_ctrlr_get_data(const struct nvmux_ctrlr *ctrlr);
/** nvmux_zns_ns_get_zone_size_sectors() - blocks from one zone's start to the next. */
NVMUX_API uint64_t nvmux_zns_ns_get_zone_size_sectors(const struct nvmux_ns *ns);
/** nvmux_zns_ns_get_zone_size() - the same in bytes of data. */
NVMUX_API uint64_t nvmux_zns_ns_get_zone_size(const struct nvmux_ns *ns);
NVMUX_API uint64_t nvmux_zns_ns_get_num_zones(const struct nvmux_ns *ns);
/** nvmux_zns_ns_get_max_open_zones() - UINT32_MAX: no limit; likewise active zones. */
NVMUX_API uint32_t nvmux_zns_ns_get_max_open_zones(const struct nvmux_ns *ns);
NVMUX_API uint32_t nvmux_zns_ns_get_max_active_zones(const struct nvmux_ns *ns);
/** nvmux_zns_ctrlr_get_max_zone_append_size() - bytes of one append. */
NVMUX_API uint32_t nvmux_zns_ctrlr_get_max_zone_append_size(const struct nvmux_ctrlr *ctrlr);

/**
 * nvmux_zns_zone_append() - write at the zone's write pointer; never split (-E2BIG). Section 3.4.1.
 * @zslba: first block of the zone. The completion's dw0 and dw1 are the block that it begins at.
 */
NVMUX_API int nvmux_zns_zone_append(struct nvmux_ns *ns, struct nvmux_qpair *qpair, const void *buf,
				    uint64_t zslba, uint32_t lba_count, uint32_t flags,
				    nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_zone_append_with_md(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					    const void *buf, const void *md, uint64_t zslba,
					    uint32_t lba_count, uint32_t flags,
					    uint16_t apptag_mask, uint16_t apptag, nvmux_cmd_cb cb,
					    void *arg);
NVMUX_API int nvmux_zns_zone_appendv(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t zslba,
				     uint32_t lba_count, const struct nvmux_io_ext *ext,
				     nvmux_reset_sgl_cb reset_sgl, nvmux_next_sge_cb next_sge,
				     void *sgl_arg, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_zone_appendv_iov(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					 const struct iovec *iov, uint32_t iovcnt, uint64_t zslba,
					 uint32_t lba_count, const struct nvmux_io_ext *ext,
					 nvmux_cmd_cb cb, void *arg);

/* Zone Management Send, section 3.4.3. @select_all: all zones that it applies to; @slba is 0. */
NVMUX_API int nvmux_zns_close_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				   bool select_all, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_finish_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				    bool select_all, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_open_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				  bool select_all, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_reset_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				   bool select_all, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_offline_zone(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint64_t slba,
				     bool select_all, nvmux_cmd_cb cb, void *arg);
/** nvmux_zns_set_zone_desc_ext() - @buf: I/O memory of ZDES × 64 bytes (@len; others: -EINVAL).
 * -EOPNOTSUPP: the namespace isn't zoned, or its zones have no descriptor extension. */
NVMUX_API int nvmux_zns_set_zone_desc_ext(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
					  uint64_t slba, const void *buf, uint32_t len,
					  nvmux_cmd_cb cb, void *arg);

/**
 * nvmux_zns_report_zones() - Zone Management Receive, section 3.4.2.
 * @buf: I/O memory of @len bytes, a multiple of 4.
 * @slba: from this block's zone on.
 * @options: which states (enum nvme_zns_report_options).
 * @partial: the number of zones is that of those in @buf.
 */
NVMUX_API int nvmux_zns_report_zones(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
				     uint32_t len, uint64_t slba, uint8_t options, bool partial,
				     nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_zns_ext_report_zones(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
					 uint32_t len, uint64_t slba, uint8_t options, bool partial,
					 nvmux_cmd_cb cb, void *arg);

#ifdef __cplusplus
}
#endif
#endif
