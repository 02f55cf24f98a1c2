/* SPDX-License-Identifier: BSD-3-Clause */
/* A device in another process, for vfio_user.c and vfio_user_open.c. */
#ifndef NVMUX_VFIO_USER_INT_H
#define NVMUX_VFIO_USER_INT_H

#include <limits.h>
#include "pcie_int.h"
#include "vfio_user_conn.h"

enum vu_state {
	VU_DEV_CLOSED,
	VU_DEV_OPENING,
	VU_DEV_OPEN,
	VU_DEV_LOST,    /* the connection failed; everything ended, close() is awaited */
	VU_DEV_CLOSING, /* DEVICE_RESET is under way */
};

struct vu_op;
TAILQ_HEAD(vu_op_list, vu_op);

struct vu_dev {
	struct pcie_dev base;
	char path[PATH_MAX];
	enum vu_state state;
	struct vu_conn *conn;
	uint32_t step; /* of open */
	struct nvmux_call open;
	struct nvmux_call close;
	struct vu_op_list unmaps; /* end when the connection does */
	bool can_reset;
	uint32_t max_fds;
	uint32_t max_maps;
	uint32_t n_maps;
	uint64_t bar0_size;
	uint16_t command; /* PCI command register */
	uint32_t n_irq_types;
	bool can_request; /* it can say that it wants the device back */
	int request_fd;   /* that is what this is for, -1: none */
	bool bar_lost;    /* atomic; the file behind the doorbells has shrunk */
	struct nvmux_watch request_watch;
};

/* ---- vfio_user_open.c ---- */

/* The connection has been made: go through the steps of open, which end @open. */
void vu_open_start(struct vu_dev *vd);
/* The eventfd by which the server wants the device back. */
void vu_close_request(struct vu_dev *vd);

/* Whether a reply speaks of the access that was asked for. */
bool vu_same_access(const void *payload, uint32_t region, uint64_t offset, uint32_t count);

/* Write the command register: the payload of that message, and whether a reply speaks of it. */
#define VU_COMMAND_BYTES (sizeof(struct vu_region_access) + sizeof(__le16))
void vu_put_command(const struct vu_dev *vd, uint8_t ret[VU_COMMAND_BYTES]);
bool vu_same_command(const void *payload);

#endif
