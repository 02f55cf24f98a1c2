/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon's controllers as one more transport: the client's side of the shared-memory rings. */
#ifndef NVMUX_DAEMON_TRANSPORT_H
#define NVMUX_DAEMON_TRANSPORT_H

#include "libcore/transport.h"
#include "ring_client.h"

extern const struct nvmux_transport daemon_transport;

#endif
