// SPDX-License-Identifier: BSD-3-Clause
/* Reservations. Base specification 2.0, sections 7.2 (acquire), 7.3 (register), 7.4 (release), 7.5
 * (report). */
#include "io_int.h"

#define IGNORE_KEY  (1u << 3) /* IEKEY */
#define TYPE_SHIFT  8         /* RTYPE */
#define CPTPL_SHIFT 30
#define EXTENDED    1u /* EDS */

static int resv_check(const struct nvmux_ns *ns, const struct nvmux_qpair *qpair, nvmux_cmd_cb cb)
{
	int err = io_check_oncs(ns->ctrlr, NVME_CTRL_ONCS_RESERVATIONS);

	if (!err)
		err = io_check(qpair, ns->ctrlr, 0, cb);
	return !err && !ns->active ? -EINVAL : err;
}

/* @n_keys: the commands carry one or two. */
static int resv_submit(struct nvmux_ns *ns, struct nvmux_qpair *qpair, uint8_t opc, uint32_t cdw10,
		       const struct nvmux_resv_keys *keys, uint32_t n_keys, nvmux_cmd_cb cb,
		       void *arg)
{
	const struct nvmux_cmd cmd = {
		.opc = opc,
		.nsid = cpu_to_le32(ns->id),
		.cdw10 = cpu_to_le32(cdw10),
	};
	__le64 data[2];

	if (!keys)
		return -EINVAL;
	data[0] = cpu_to_le64(keys->current);
	data[1] = cpu_to_le64(keys->other);
	return staging_submit(qpair, &cmd, data, n_keys * (uint32_t)sizeof(data[0]), cb, arg);
}

static bool is_type(enum nvmux_resv_type type)
{
	return type >= NVMUX_RESV_WRITE_EXCLUSIVE && type <= NVMUX_RESV_EXCLUSIVE_ACCESS_ALL_REGS;
}

int nvmux_ns_cmd_reservation_register(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				      const struct nvmux_resv_keys *keys, bool ignore_key,
				      enum nvmux_resv_register_action action,
				      enum nvmux_resv_cptpl cptpl, nvmux_cmd_cb cb, void *arg)
{
	uint32_t cdw10 = (uint32_t)action | (uint32_t)cptpl << CPTPL_SHIFT;
	int err = resv_check(ns, qpair, cb);

	if (err)
		return err;
	if ((uint32_t)action > NVMUX_RESV_REPLACE ||
	    (cptpl != NVMUX_RESV_CPTPL_NO_CHANGE && cptpl != NVMUX_RESV_CPTPL_CLEAR &&
	     cptpl != NVMUX_RESV_CPTPL_SET))
		return -EINVAL;
	if (ignore_key)
		cdw10 |= IGNORE_KEY;
	return resv_submit(ns, qpair, nvme_cmd_resv_register, cdw10, keys, 2, cb, arg);
}

int nvmux_ns_cmd_reservation_acquire(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				     const struct nvmux_resv_keys *keys, bool ignore_key,
				     enum nvmux_resv_acquire_action action,
				     enum nvmux_resv_type type, nvmux_cmd_cb cb, void *arg)
{
	uint32_t cdw10 = (uint32_t)action | (uint32_t)type << TYPE_SHIFT;
	int err = resv_check(ns, qpair, cb);

	if (err)
		return err;
	if ((uint32_t)action > NVMUX_RESV_PREEMPT_ABORT || !is_type(type))
		return -EINVAL;
	if (ignore_key)
		cdw10 |= IGNORE_KEY;
	return resv_submit(ns, qpair, nvme_cmd_resv_acquire, cdw10, keys, 2, cb, arg);
}

/* The type is of no meaning where all registrations are cleared. */
int nvmux_ns_cmd_reservation_release(struct nvmux_ns *ns, struct nvmux_qpair *qpair,
				     const struct nvmux_resv_keys *keys, bool ignore_key,
				     enum nvmux_resv_release_action action,
				     enum nvmux_resv_type type, nvmux_cmd_cb cb, void *arg)
{
	uint32_t cdw10 = (uint32_t)action | (uint32_t)type << TYPE_SHIFT;
	int err = resv_check(ns, qpair, cb);

	if (err)
		return err;
	if ((uint32_t)action > NVMUX_RESV_CLEAR ||
	    (!is_type(type) && (type || action != NVMUX_RESV_CLEAR)))
		return -EINVAL;
	if (ignore_key)
		cdw10 |= IGNORE_KEY;
	return resv_submit(ns, qpair, nvme_cmd_resv_release, cdw10, keys, 1, cb, arg);
}

int nvmux_ns_cmd_reservation_report(struct nvmux_ns *ns, struct nvmux_qpair *qpair, void *buf,
				    uint32_t len, bool extended, nvmux_cmd_cb cb, void *arg)
{
	const struct nvmux_cmd cmd = {
		.opc = nvme_cmd_resv_report,
		.nsid = cpu_to_le32(ns->id),
		.cdw10 = cpu_to_le32(len / 4 - 1), /* NUMD, 0's based */
		.cdw11 = cpu_to_le32(extended ? EXTENDED : 0),
	};
	int err = resv_check(ns, qpair, cb);

	if (!err && (!len || len & 3 || len > ns->ctrlr->max_transfer))
		err = -EINVAL;
	return err ? err : io_submit_buf(qpair, &cmd, buf, len, cb, arg);
}
