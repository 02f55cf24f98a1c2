// SPDX-License-Identifier: BSD-3-Clause
/*
 * The PCI configuration space of the emulated function: class 010802h (NVM Express I/O controller),
 * a 64-bit memory BAR, and the capabilities that an NVMe function has: power management, MSI-X and
 * PCI Express with function level reset.
 */
#include <string.h>
#include <linux/pci_regs.h>
#include "emulator/pci_config.h"

#define VENDOR_ID   0x6e76 /* not assigned to anybody */
#define DEVICE_ID   0x6d78
#define CAP_PM      0x40
#define CAP_MSIX    0x50
#define CAP_EXPRESS 0x60
#define CLASS_NVME  0x010802u

/* Configuration space is little-endian. */
static void put16(struct pci_config *pci, uint32_t offset, uint16_t v)
{
	pci->bytes[offset] = (uint8_t)v;
	pci->bytes[offset + 1] = (uint8_t)(v >> 8);
}

static void put32(struct pci_config *pci, uint32_t offset, uint32_t v)
{
	put16(pci, offset, (uint16_t)v);
	put16(pci, offset + 2, (uint16_t)(v >> 16));
}

static void allow(struct pci_config *pci, uint32_t offset, uint32_t size, uint32_t mask)
{
	for (uint32_t i = 0; i < size; i++)
		pci->writable[offset + i] = (uint8_t)(mask >> 8 * i);
}

static void init_header(struct pci_config *pci, uint32_t bar_size)
{
	put16(pci, PCI_VENDOR_ID, VENDOR_ID);
	put16(pci, PCI_DEVICE_ID, DEVICE_ID);
	put16(pci, PCI_STATUS, PCI_STATUS_CAP_LIST);
	put32(pci, PCI_CLASS_REVISION, CLASS_NVME << 8 | 1);
	put32(pci, PCI_BASE_ADDRESS_0,
	      PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_TYPE_64);
	put16(pci, PCI_SUBSYSTEM_VENDOR_ID, VENDOR_ID);
	put16(pci, PCI_SUBSYSTEM_ID, DEVICE_ID);
	pci->bytes[PCI_CAPABILITY_LIST] = CAP_PM;
	allow(pci, PCI_COMMAND, 2,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_DISABLE);
	allow(pci, PCI_CACHE_LINE_SIZE, 1, 0xff);
	allow(pci, PCI_BASE_ADDRESS_0, 4, ~(bar_size - 1));
	allow(pci, PCI_BASE_ADDRESS_1, 4, UINT32_MAX);
	allow(pci, PCI_INTERRUPT_LINE, 1, 0xff);
}

void pci_config_init(struct pci_config *pci, uint32_t bar_size, uint32_t n_vectors,
		     uint32_t table_offset, uint32_t pba_offset)
{
	memset(pci, 0, sizeof(*pci));
	init_header(pci, bar_size);

	pci->bytes[CAP_PM] = PCI_CAP_ID_PM;
	pci->bytes[CAP_PM + PCI_CAP_LIST_NEXT] = CAP_MSIX;
	put16(pci, CAP_PM + PCI_PM_PMC, 3); /* version 1.2 */
	put16(pci, CAP_PM + PCI_PM_CTRL, PCI_PM_CTRL_NO_SOFT_RESET);
	allow(pci, CAP_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_STATE_MASK);

	pci->bytes[CAP_MSIX] = PCI_CAP_ID_MSIX;
	pci->bytes[CAP_MSIX + PCI_CAP_LIST_NEXT] = CAP_EXPRESS;
	put16(pci, CAP_MSIX + PCI_MSIX_FLAGS, (uint16_t)(n_vectors - 1));
	put32(pci, CAP_MSIX + PCI_MSIX_TABLE, table_offset); /* in BAR 0 */
	put32(pci, CAP_MSIX + PCI_MSIX_PBA, pba_offset);
	allow(pci, CAP_MSIX + PCI_MSIX_FLAGS, 2, PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);

	pci->bytes[CAP_EXPRESS] = PCI_CAP_ID_EXP;
	put16(pci, CAP_EXPRESS + PCI_EXP_FLAGS, PCI_EXP_TYPE_ENDPOINT << 4 | 2);
	put32(pci, CAP_EXPRESS + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR | PCI_EXP_DEVCAP_RBER);
	allow(pci, CAP_EXPRESS + PCI_EXP_DEVCTL, 2, 0x7fff);
}

bool pci_config_write(struct pci_config *pci, uint32_t offset, const uint8_t *data, uint32_t len)
{
	const uint32_t flr = CAP_EXPRESS + PCI_EXP_DEVCTL + 1; /* its upper byte */
	bool reset = false;

	for (uint32_t i = 0; i < len && offset + i < sizeof(pci->writable); i++) {
		uint8_t mask = pci->writable[offset + i];
		uint8_t *byte = &pci->bytes[offset + i];

		*byte = (uint8_t)((*byte & ~mask) | (data[i] & mask));
		/* This bit is never stored: it acts. */
		if (offset + i == flr && (data[i] & PCI_EXP_DEVCTL_BCR_FLR >> 8))
			reset = true;
	}
	return reset;
}
