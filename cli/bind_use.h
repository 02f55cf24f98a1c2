/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether the block devices of a controller are in use. */
#ifndef NVMUX_CLI_BIND_USE_H
#define NVMUX_CLI_BIND_USE_H

#include "cli/bind.h"

#define BIND_DISKS_MAX 1024

/* Disks held open exclusively, so that nobody can begin to use them. */
struct bind_claims {
	int fds[BIND_DISKS_MAX];
	unsigned n;
};

/*
 * Claim all block devices of the function at sysfs directory @device. 0; -EBUSY with who uses what
 * in @why; or what reading failed with. @claims is to be ended in any case.
 */
int bind_claim(const struct bind_env *env, const char *device, struct bind_claims *claims,
	       char why[BIND_WHY_MAX]);
void bind_claims_end(struct bind_claims *claims);

/* Set @why and return @err. */
__attribute__((format(printf, 3, 4))) int bind_why(char why[BIND_WHY_MAX], int err, const char *fmt,
						   ...);

#endif
