/* SPDX-License-Identifier: BSD-3-Clause */
/* The function that a vfio-user client sees, and the messages by which it sees it. */
#ifndef NVMUX_EMU_VFIO_USER_DEVICE_H
#define NVMUX_EMU_VFIO_USER_DEVICE_H

#include "emulator/dma_table.h"
#include "emulator/model.h"
#include "emulator/pci_config.h"
#include "emulator/vfio_user_conn.h"

#define VUS_BAR_SIZE        0x10000u
#define VUS_DOORBELL_OFFSET 0x1000u
#define VUS_MSIX_OFFSET     0x4000u
#define VUS_MSIX_PBA_OFFSET 0x8000u

struct vus_device {
	struct emu_ctrlr *model;
	bool map_doorbells; /* offer the client to map them */
	uint32_t n_vectors;

	/* of the client there is */
	bool versioned;
	bool irq_blocked; /* an eventfd of the client's blocked us */
	struct dma_table dma;
	int *irqs;       /* n_vectors eventfds, -1: none; and, at their end, that for a request */
	int doorbell_fd; /* file of the BAR up to the end of the doorbells */
	uint8_t *doorbells;
	uint32_t doorbell_bytes;
	struct pci_config pci;
	uint8_t msix[VUS_MSIX_PBA_OFFSET - VUS_MSIX_OFFSET]; /* the table is only kept */
};

int vus_device_init(struct vus_device *dev, const struct emu_config *config, bool map_doorbells,
		    char *why, size_t why_size);
void vus_device_fini(struct vus_device *dev);
/* A client has come or gone. The doorbells are new with each, so that one that left can't ring. */
int vus_device_begin(struct vus_device *dev);
void vus_device_end(struct vus_device *dev);

/*
 * Deal with the message in conn->in and reply to it. 0; -ECONNRESET: the client has gone;
 * -EPROTO with the reason in @why: it isn't a client that one can talk to.
 */
int vus_device_message(struct vus_device *dev, struct vus_conn *conn, const char **why);

#endif
