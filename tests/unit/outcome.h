/* SPDX-License-Identifier: BSD-3-Clause */
/* What became of a command, for a test that looks at it later. */
#ifndef TEST_OUTCOME_H
#define TEST_OUTCOME_H

#include <stdint.h>
#include <nvmux/cmd.h>

struct outcome {
	uint32_t calls;
	uint16_t status;
};

/* The callback; @arg: a struct outcome. */
static inline void done(void *arg, const struct nvmux_cpl *cpl)
{
	struct outcome *o = arg;

	o->calls++;
	o->status = nvmux_cpl_status(cpl);
}

#endif
