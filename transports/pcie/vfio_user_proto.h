/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vfio-user protocol as far as it is used here, version 0.0. All fields are in host byte order:
 * both sides are on one host. Structures that are the kernel's VFIO ones come from <linux/vfio.h>.
 */
#ifndef NVMUX_VFIO_USER_PROTO_H
#define NVMUX_VFIO_USER_PROTO_H

#include <linux/vfio.h>
#include "libcore/core.h"

#define VU_MAJOR 0
#define VU_MINOR 0

enum vu_command {
	VU_VERSION = 1,
	VU_DMA_MAP = 2,
	VU_DMA_UNMAP = 3,
	VU_DEVICE_GET_INFO = 4,
	VU_DEVICE_GET_REGION_INFO = 5,
	VU_DEVICE_GET_REGION_IO_FDS = 6,
	VU_DEVICE_GET_IRQ_INFO = 7,
	VU_DEVICE_SET_IRQS = 8,
	VU_REGION_READ = 9,
	VU_REGION_WRITE = 10,
	VU_DMA_READ = 11,
	VU_DMA_WRITE = 12,
	VU_DEVICE_RESET = 13,
};

#define VU_FLAG_TYPE_MASK 0xfu
#define VU_FLAG_COMMAND   0x0u
#define VU_FLAG_REPLY     0x1u
#define VU_FLAG_NO_REPLY  0x10u
#define VU_FLAG_ERROR     0x20u

struct vu_header {
	uint16_t id; /* the sender's, comes back in the reply */
	uint16_t command;
	uint32_t size; /* with the header */
	uint32_t flags;
	uint32_t error; /* errno of an error reply */
};

struct vu_version {
	uint16_t major;
	uint16_t minor;
	char data[]; /* JSON and a NUL, or nothing */
};

#define VU_DMA_READABLE  0x1u
#define VU_DMA_WRITEABLE 0x2u

struct vu_dma_map {
	uint32_t argsz;
	uint32_t flags;
	uint64_t offset; /* in the descriptor that comes with the message */
	uint64_t addr;
	uint64_t size;
};

struct vu_dma_unmap {
	uint32_t argsz;
	uint32_t flags;
	uint64_t addr;
	uint64_t size;
};

/* struct vfio_device_info without its capabilities, which the protocol doesn't have. */
struct vu_device_info {
	uint32_t argsz;
	uint32_t flags;
	uint32_t num_regions;
	uint32_t num_irqs;
};

struct vu_region_access {
	uint64_t offset;
	uint32_t region;
	uint32_t count; /* bytes that follow */
};

_Static_assert(sizeof(struct vu_header) == 16, "layout");
_Static_assert(sizeof(struct vu_dma_map) == 32, "layout");
_Static_assert(sizeof(struct vu_dma_unmap) == 24, "layout");
_Static_assert(sizeof(struct vu_region_access) == 16, "layout");
_Static_assert(sizeof(struct vfio_region_info) == 32, "layout");
_Static_assert(sizeof(struct vfio_irq_info) == 16, "layout");
_Static_assert(sizeof(struct vfio_irq_set) == 20, "layout");

#endif
