// SPDX-License-Identifier: BSD-3-Clause
/*
 * What certain functions need beyond the specification.
 *
 * Only what something here acts on is listed. Accesses of at most 4 bytes, which some functions
 * want, are what everybody gets.
 */
#include "pcie_int.h"

#define VENDOR_INTEL      0x8086
#define VENDOR_MEMBLAZE   0x1c5f
#define VENDOR_SAMSUNG    0x144d
#define VENDOR_VIRTUALBOX 0x80ee

struct pcie_quirk {
	uint16_t vendor;
	uint16_t device;
	uint32_t quirks;
};

static const struct pcie_quirk pcie_quirk_table[] = {
	{VENDOR_INTEL, 0x0953, PCIE_QUIRK_DELAY_BEFORE_INIT},
	{VENDOR_INTEL, 0x0a53, PCIE_QUIRK_DELAY_BEFORE_INIT},
	{VENDOR_INTEL, 0x0a54, PCIE_QUIRK_DELAY_BEFORE_INIT},
	{VENDOR_INTEL, 0x0a55, PCIE_QUIRK_DELAY_BEFORE_INIT},
	{VENDOR_INTEL, 0x0b60, PCIE_QUIRK_DELAY_BEFORE_INIT},
	{VENDOR_MEMBLAZE, 0x0540, PCIE_QUIRK_DELAY_BEFORE_RDY},
	{VENDOR_SAMSUNG, 0xa821, PCIE_QUIRK_DELAY_BEFORE_RDY},
	{VENDOR_SAMSUNG, 0xa822, PCIE_QUIRK_DELAY_BEFORE_RDY},
	{VENDOR_SAMSUNG, 0xa826, PCIE_QUIRK_DELAY_BEFORE_RDY},
	{VENDOR_VIRTUALBOX, 0x4e56, PCIE_QUIRK_DELAY_AFTER_QUEUE},
};

uint32_t pcie_quirks_of(uint16_t vendor, uint16_t device)
{
	for (size_t i = 0; i < ARRAY_SIZE(pcie_quirk_table); i++) {
		const struct pcie_quirk *quirk = &pcie_quirk_table[i];

		if (quirk->vendor == vendor && quirk->device == device)
			return quirk->quirks;
	}
	return 0;
}
