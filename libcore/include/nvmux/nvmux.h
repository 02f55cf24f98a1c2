/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libnvmux: a user-space NVMe driver. This header includes the whole public interface.
 *
 * Threads. A context, its controllers, their admin queues and all memory functions belong to one
 * thread at a time, the control thread (or are serialised by the caller). An I/O queue pair belongs
 * to the thread that submits to it and polls it, which may be another one; two queue pairs share
 * nothing on the I/O path. The library makes no threads, installs no signal handlers and keeps no
 * globals.
 *
 * Errors. Functions return 0 (or a count) or a negative errno value; ret_ parameters are written
 * on success only. nvmux_error_text() has the last failure of the control thread in words.
 */
#ifndef NVMUX_NVMUX_H
#define NVMUX_NVMUX_H

#include <nvmux/cmd.h>
#include <nvmux/trid.h>
#include <nvmux/context.h>
#include <nvmux/ctrlr.h>
#include <nvmux/memory.h>
#include <nvmux/ns.h>
#include <nvmux/qpair.h>
#include <nvmux/poll_group.h>
#include <nvmux/io.h>
#include <nvmux/zns.h>
#include <nvmux/pi.h>
#include <nvmux/admin.h>
#include <nvmux/fault.h>
#include <nvmux/discovery.h>

#endif
