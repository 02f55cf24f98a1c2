/* SPDX-License-Identifier: BSD-3-Clause */
/* The names of this host for fabrics, and the files that have them. */
#ifndef NVMUX_HOST_H
#define NVMUX_HOST_H

#include "core.h"

#define NVMUX_HOSTNQN_PATH "/etc/nvme/hostnqn"
#define NVMUX_HOSTID_PATH  "/etc/nvme/hostid"

/* nvmux_host_identity() with the files' names. */
int nvmux_host_identity_from(struct nvmux *nvmux, const char *nqn_path, const char *id_path,
			     struct nvmux_ctrlr_opts *opts);

#endif
