/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol from the device's side. Fields are in host byte order.
 *
 * The driver (transports/pcie/) has definitions of its own: with common ones, the two could be
 * wrong together.
 */
#ifndef NVMUX_EMU_VFIO_USER_H
#define NVMUX_EMU_VFIO_USER_H

#include <stdint.h>

#define VUS_MAJOR    0
#define VUS_MINOR    1      /* the greatest that is understood */
#define VUS_MSG_MAX  65536u /* bytes of a message, with its header */
#define VUS_FDS_MAX  253u   /* of a message; the kernel's own limit */
#define VUS_DATA_MAX 32768u /* bytes of a region access */
#define VUS_DMA_MAPS 65535u

enum vus_command {
	VUS_VERSION = 1,
	VUS_DMA_MAP = 2,
	VUS_DMA_UNMAP = 3,
	VUS_GET_INFO = 4,
	VUS_GET_REGION_INFO = 5,
	VUS_GET_REGION_IO_FDS = 6,
	VUS_GET_IRQ_INFO = 7,
	VUS_SET_IRQS = 8,
	VUS_REGION_READ = 9,
	VUS_REGION_WRITE = 10,
	VUS_DEVICE_RESET = 13,
};

#define VUS_TYPE_MASK     0xfu
#define VUS_TYPE_COMMAND  0u
#define VUS_TYPE_REPLY    1u
#define VUS_FLAG_NO_REPLY 0x10u
#define VUS_FLAG_ERROR    0x20u

struct vus_header {
	uint16_t id;
	uint16_t command;
	uint32_t size; /* with the header */
	uint32_t flags;
	uint32_t error;
};

struct vus_version {
	uint16_t major;
	uint16_t minor;
	/* JSON and a NUL may follow */
};

#define VUS_DMA_READ  1u
#define VUS_DMA_WRITE 2u

struct vus_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset;
	uint64_t addr;
	uint64_t size;
};

#define VUS_UNMAP_ALL 2u

struct vus_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t addr;
	uint64_t size;
};

struct vus_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t n_regions;
	uint32_t n_irqs;
};

struct vus_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count;
	/* data follows */
};

_Static_assert(sizeof(struct vus_header) == 16, "layout");
_Static_assert(sizeof(struct vus_dma_map) == 32, "layout");
_Static_assert(sizeof(struct vus_dma_unmap) == 24, "layout");
_Static_assert(sizeof(struct vus_device_info) == 16, "layout");
_Static_assert(sizeof(struct vus_region_access) == 16, "layout");

#endif
