// SPDX-License-Identifier: BSD-3-Clause
/* The transports that this build of the library has. */
#include "transports/pcie/pcie.h"
#include "transports/daemon/daemon_transport.h"
#ifdef NVMUX_HAVE_RDMA
#include "transports/rdma/rdma_int.h"
#endif

const struct nvmux_transport *const nvmux_builtin_transports[] = {
	&pcie_vfio_transport.base,
	&pcie_vfio_user_transport.base,
	&daemon_transport,
#ifdef NVMUX_HAVE_RDMA
	&rdma_transport,
#endif
	NULL,
};
