// SPDX-License-Identifier: BSD-3-Clause
/*
 * Security Send and Security Receive. Base specification 2.0, sections 5.25 and 5.26; SPC-5,
 * sections 7.7.1 and 7.7.2.
 *
 * There is one protocol, 00h, which says that: the list of supported protocols, an empty
 * certificate, and compliance with nothing.
 */
#include <string.h>
#include "emulator/internal.h"

#define SECP_INFORMATION 0u
#define SPSP_PROTOCOLS   0u
#define SPSP_CERTIFICATE 1u
#define SPSP_COMPLIANCE  2u
#define INFORMATION_MAX  9u

static uint32_t information(uint32_t spsp, uint8_t buf[INFORMATION_MAX])
{
	memset(buf, 0, INFORMATION_MAX);
	switch (spsp) {
	case SPSP_PROTOCOLS:
		/* 6 reserved bytes, the list's length, big-endian, and the list: 00h */
		buf[7] = 1;
		return 9;
	case SPSP_CERTIFICATE: /* 2 reserved bytes, length 0 */
	case SPSP_COMPLIANCE: return 4;
	default: return 0;
	}
}

uint16_t emu_security_receive(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	uint32_t secp = emu_cdw(cmd->cdw10) >> 24, spsp = emu_cdw(cmd->cdw10) >> 8 & 0xffff;
	uint32_t len = emu_cdw(cmd->cdw11), n;
	uint8_t buf[INFORMATION_MAX];

	if (secp != SECP_INFORMATION)
		return EMU_GENERIC(INVALID_FIELD);
	n = information(spsp, buf);
	if (n == 0 || len > sq->ctrlr->max_transfer)
		return EMU_GENERIC(INVALID_FIELD);
	if (len == 0)
		return EMU_SUCCESS;
	/* What is asked for beyond the end isn't written. */
	return emu_xfer(sq, cmd, EMU_XFER_TO_HOST, buf, MIN(n, len));
}

uint16_t emu_security_send(struct emu_sq *sq, const struct nvmux_cmd *cmd)
{
	(void)sq;
	(void)cmd;
	/* The information protocol can't be sent anything, and there is no other. */
	return EMU_GENERIC(INVALID_FIELD);
}
