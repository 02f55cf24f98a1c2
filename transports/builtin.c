// SPDX-License-Identifier: BSD-3-Clause
/* The transports that this build of the library has. */
#include "libcore/transport.h"

const struct nvmux_transport *const nvmux_builtin_transports[] = {
	NULL,
};
