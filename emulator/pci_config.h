/* SPDX-License-Identifier: BSD-3-Clause */
/* The PCI configuration space of the emulated function. */
#ifndef NVMUX_EMU_PCI_CONFIG_H
#define NVMUX_EMU_PCI_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#define PCI_CONFIG_SIZE 4096u

struct pci_config {
	uint8_t bytes[PCI_CONFIG_SIZE];
	uint8_t writable[256]; /* a bit per bit; nothing is beyond */
};

/*
 * An NVMe function with one memory BAR of @bar_size bytes (a power of two), which holds the MSI-X
 * table and its pending bits.
 */
void pci_config_init(struct pci_config *pci, uint32_t bar_size, uint32_t n_vectors,
		     uint32_t table_offset, uint32_t pba_offset);
/* Change what is writable of [offset, offset + len), which lies inside. True: a function level
 * reset was asked for. */
bool pci_config_write(struct pci_config *pci, uint32_t offset, const uint8_t *data, uint32_t len);

#endif
