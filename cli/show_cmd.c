// SPDX-License-Identifier: BSD-3-Clause
/* The fields of a command. */
#include <endian.h>
#include <stdio.h>

#include "cli/show_cmd.h"

void cli_show_command(const struct nvmux_cmd *cmd, size_t data_len, size_t md_len,
		      uint64_t timeout_ms)
{
	const struct {
		const char *name;
		uint32_t value;
	} fields[] = {
		{"nsid", le32toh(cmd->nsid)},       {"cdw2", le32toh(cmd->cdw2)},
		{"cdw3", le32toh(cmd->cdw3)},       {"data_len", (uint32_t)data_len},
		{"metadata_len", (uint32_t)md_len}, {"cdw10", le32toh(cmd->cdw10)},
		{"cdw11", le32toh(cmd->cdw11)},     {"cdw12", le32toh(cmd->cdw12)},
		{"cdw13", le32toh(cmd->cdw13)},     {"cdw14", le32toh(cmd->cdw14)},
		{"cdw15", le32toh(cmd->cdw15)},     {"timeout_ms", (uint32_t)timeout_ms},
	};

	fprintf(stderr, "%-13s: %02x\n%-13s: %02x\n", "opcode", cmd->opc, "flags", cmd->flags);
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		fprintf(stderr, "%-13s: %08x\n", fields[i].name, fields[i].value);
}
