// SPDX-License-Identifier: BSD-3-Clause
/* Status values in words. Base specification 2.0, section 3.3.3.2.1, and NVM command set 1.0. */
#include <nvme/types.h>
#include <nvmux/cmd.h>
#include "util.h"

struct status_text {
	uint16_t status;
	const char *text;
};

/* Of each status code type a range of its own; the table is searched from the top. */
static const struct status_text texts[] = {
	{0x000, "success"},
	{0x001, "invalid command opcode"},
	{0x002, "invalid field in command"},
	{0x003, "command identifier conflict"},
	{0x004, "data transfer error"},
	{0x005, "commands aborted due to power loss notification"},
	{0x006, "internal error"},
	{0x007, "command abort requested"},
	{0x008, "command aborted due to submission queue deletion"},
	{0x009, "command aborted due to failed fused command"},
	{0x00a, "command aborted due to missing fused command"},
	{0x00b, "invalid namespace or format"},
	{0x00c, "command sequence error"},
	{0x00d, "invalid SGL segment descriptor"},
	{0x00e, "invalid number of SGL descriptors"},
	{0x00f, "data SGL length invalid"},
	{0x010, "metadata SGL length invalid"},
	{0x011, "SGL descriptor type invalid"},
	{0x012, "invalid use of controller memory buffer"},
	{0x013, "PRP offset invalid"},
	{0x014, "atomic write unit exceeded"},
	{0x015, "operation denied"},
	{0x016, "SGL offset invalid"},
	{0x018, "host identifier inconsistent format"},
	{0x019, "keep alive timer expired"},
	{0x01a, "keep alive timeout invalid"},
	{0x01b, "command aborted due to preempt and abort"},
	{0x01c, "sanitize failed"},
	{0x01d, "sanitize in progress"},
	{0x01e, "SGL data block granularity invalid"},
	{0x01f, "command not supported for queue in CMB"},
	{0x020, "namespace is write protected"},
	{0x021, "command interrupted"},
	{0x022, "transient transport error"},
	{0x023, "command prohibited by command and feature lockdown"},
	{0x024, "admin command media not ready"},
	{0x080, "LBA out of range"},
	{0x081, "capacity exceeded"},
	{0x082, "namespace not ready"},
	{0x083, "reservation conflict"},
	{0x084, "format in progress"},
	{0x085, "invalid value size"},
	{0x086, "invalid key size"},
	{0x087, "KV key does not exist"},
	{0x088, "unrecovered error"},
	{0x089, "key exists"},
	{0x100, "completion queue invalid"},
	{0x101, "invalid queue identifier"},
	{0x102, "invalid queue size"},
	{0x103, "abort command limit exceeded"},
	{0x105, "asynchronous event request limit exceeded"},
	{0x106, "invalid firmware slot"},
	{0x107, "invalid firmware image"},
	{0x108, "invalid interrupt vector"},
	{0x109, "invalid log page"},
	{0x10a, "invalid format"},
	{0x10b, "firmware activation requires conventional reset"},
	{0x10c, "invalid queue deletion"},
	{0x10d, "feature identifier not saveable"},
	{0x10e, "feature not changeable"},
	{0x10f, "feature not namespace specific"},
	{0x110, "firmware activation requires NVM subsystem reset"},
	{0x111, "firmware activation requires controller level reset"},
	{0x112, "firmware activation requires maximum time violation"},
	{0x113, "firmware activation prohibited"},
	{0x114, "overlapping range"},
	{0x115, "namespace insufficient capacity"},
	{0x116, "namespace identifier unavailable"},
	{0x118, "namespace already attached"},
	{0x119, "namespace is private"},
	{0x11a, "namespace not attached"},
	{0x11b, "thin provisioning not supported"},
	{0x11c, "controller list invalid"},
	{0x11d, "device self-test in progress"},
	{0x11e, "boot partition write prohibited"},
	{0x11f, "invalid controller identifier"},
	{0x120, "invalid secondary controller state"},
	{0x121, "invalid number of controller resources"},
	{0x122, "invalid resource identifier"},
	{0x123, "sanitize prohibited while persistent memory region is enabled"},
	{0x124, "ANA group identifier invalid"},
	{0x125, "ANA attach failed"},
	{0x126, "insufficient capacity"},
	{0x127, "namespace attachment limit exceeded"},
	{0x128, "prohibition of command execution not supported"},
	{0x129, "I/O command set not supported"},
	{0x12a, "I/O command set not enabled"},
	{0x12b, "I/O command set combination rejected"},
	{0x12c, "invalid I/O command set"},
	{0x12d, "identifier unavailable"},
	{0x180, "conflicting attributes"}, /* up to 183h: of I/O commands */
	{0x181, "invalid protection information"},
	{0x182, "attempted write to read only range"},
	{0x183, "command size limit exceeded"},
	{0x184, "connect invalid host"},
	{0x185, "invalid queue type"},
	{0x190, "discover restart"},
	{0x191, "authentication required"},
	{0x1b8, "zone boundary error"},
	{0x1b9, "zone is full"},
	{0x1ba, "zone is read only"},
	{0x1bb, "zone is offline"},
	{0x1bc, "zone invalid write"},
	{0x1bd, "too many active zones"},
	{0x1be, "too many open zones"},
	{0x1bf, "invalid zone state transition"},
	{0x280, "write fault"},
	{0x281, "unrecovered read error"},
	{0x282, "end-to-end guard check error"},
	{0x283, "end-to-end application tag check error"},
	{0x284, "end-to-end reference tag check error"},
	{0x285, "compare failure"},
	{0x286, "access denied"},
	{0x287, "deallocated or unwritten logical block"},
	{0x288, "end-to-end storage tag check error"},
	{0x300, "internal path error"},
	{0x301, "asymmetric access persistent loss"},
	{0x302, "asymmetric access inaccessible"},
	{0x303, "asymmetric access transition"},
	{0x360, "controller pathing error"},
	{0x370, "host pathing error"},
	{0x371, "command aborted by host"},
	{NVMUX_SC_REGION_UNKNOWN, "nvmux: no such region"},
	{NVMUX_SC_REGION_RANGE, "nvmux: range outside its region"},
	{NVMUX_SC_REGION_ALIGN, "nvmux: offset in region is not a multiple of 4"},
	{NVMUX_SC_LENGTH_MISMATCH, "nvmux: buffer shorter than what the command moves"},
	{NVMUX_SC_LENGTH_LIMIT, "nvmux: more than the transfer limit"},
	{NVMUX_SC_ACCESS_DENIED, "nvmux: no right to this command"},
	{NVMUX_SC_LIST_INVALID, "nvmux: invalid scatter list"},
	{NVMUX_SC_DEPTH_EXCEEDED, "nvmux: more commands in flight than the queue's depth"},
	{NVMUX_SC_OUTCOME_UNKNOWN, "nvmux: outcome unknown"},
	{NVMUX_SC_CTRLR_GONE, "nvmux: controller failed or removed"},
	{NVMUX_SC_OPCODE_REFUSED, "nvmux: command is reserved to the daemon"},
	{NVMUX_SC_INTERNAL, "nvmux: the daemon could not serve the command"},
};

const char *nvmux_status_string(uint16_t status)
{
	status &= NVMUX_STATUS_CODE_MASK;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "unknown status";
}

const char *nvmux_status_type_string(uint16_t status)
{
	static const char *const types[8] = {
		[0] = "generic",      [1] = "command specific", [2] = "media and data integrity",
		[3] = "path related", [4] = "reserved",         [5] = "reserved",
		[6] = "reserved",     [7] = "vendor specific",
	};

	return types[status >> 8 & 7];
}
