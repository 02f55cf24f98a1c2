// SPDX-License-Identifier: BSD-3-Clause
/* Features in words: tables of their names and of the fields of their values. */
#include <inttypes.h>
#include <string.h>

#include "decode/feature_text.h"
#include "decode/fields.h"
#include "libcore/util.h"

#define PAGE 4096

static const struct {
	uint8_t fid;
	const char *name;
	uint16_t data_len;
} features[] = {
	{0x01, "Arbitration", 0},
	{0x02, "Power Management", 0},
	{0x03, "LBA Range Type", PAGE},
	{0x04, "Temperature Threshold", 0},
	{0x05, "Error Recovery", 0},
	{0x06, "Volatile Write Cache", 0},
	{0x07, "Number of Queues", 0},
	{0x08, "Interrupt Coalescing", 0},
	{0x09, "Interrupt Vector Configuration", 0},
	{0x0a, "Write Atomicity Normal", 0},
	{0x0b, "Async Event Configuration", 0},
	{0x0c, "Autonomous Power State Transition", 256},
	{0x0d, "Host Memory Buffer", PAGE},
	{0x0e, "Timestamp", 8},
	{0x0f, "Keep Alive Timer", 0},
	{0x10, "Host Controlled Thermal Management", 0},
	{0x11, "Non-Operational Power State Config", 0},
	{0x12, "Read Recovery Level", 0},
	{0x13, "Predictable Latency Mode Config", 512},
	{0x14, "Predictable Latency Mode Window", 0},
	{0x15, "LBA Status Interval", 0},
	{0x16, "Host Behavior", 512},
	{0x17, "Sanitize", 0},
	{0x18, "Endurance Event Group Configuration", 0},
	{0x19, "I/O Command Set Profile", 0},
	{0x1a, "Spinup Control", 0},
	{0x1d, "Flexible Direct Placement", 0},
	{0x1e, "Flexible Direct Placement Events", 0},
	{0x7d, "Enhanced Controller Metadata", PAGE},
	{0x7e, "Controller Metadata", PAGE},
	{0x7f, "Namespace Metadata", PAGE},
	{0x80, "Software Progress", 0},
	{0x81, "Host Identifier", 8},
	{0x82, "Reservation Notification Mask", 0},
	{0x83, "Reservation Persistence", 0},
	{0x84, "Namespace Write Protect", 0},
};

#define FID_TIMESTAMP 0x0e
#define FID_HMB       0x0d
#define FID_APST      0x0c
#define FID_LBA_RANGE 0x03
#define FID_BEHAVIOR  0x16
#define FID_HOST_ID   0x81

const char *feature_name(uint8_t fid)
{
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].fid == fid)
			return features[i].name;
	}
	return "Unknown";
}

const char *feature_select_name(unsigned sel)
{
	static const char *const names[] = {"Current", "Default", "Saved",
					    "Supported capabilities"};

	return sel < ARRAY_SIZE(names) ? names[sel] : "Reserved";
}

uint32_t feature_data_len(uint8_t fid, uint32_t cdw11, bool set)
{
	if (fid == FID_HOST_ID)
		return cdw11 & 1 ? 16 : 8;
	if (fid == FID_HMB && set)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		if (features[i].fid == fid)
			return features[i].data_len;
	}
	return 0;
}

/* How the bits of a field are shown. */
enum kind {
	NUMBER,
	PLUS_ONE, /* 0's based */
	POWER,    /* of two; 7: no limit */
	KELVIN,
	TENTHS,   /* of a second, in ms */
	MICROS,   /* hundreds of them */
	SWITCH,   /* "Enabled" */
	BOOLEAN,  /* "True" */
	NOTICE,   /* "Send async event" */
};

static const struct {
	uint8_t fid, shift, width;
	uint8_t kind;
	const char *text;
} fields[] = {
	{0x01, 24, 8, PLUS_ONE, "High Priority Weight (HPW)"},
	{0x01, 16, 8, PLUS_ONE, "Medium Priority Weight (MPW)"},
	{0x01, 8, 8, PLUS_ONE, "Low Priority Weight (LPW)"},
	{0x01, 0, 3, POWER, "Arbitration Burst (AB)"},
	{0x02, 5, 3, NUMBER, "Workload Hint (WH)"},
	{0x02, 0, 5, NUMBER, "Power State (PS)"},
	{0x03, 0, 6, PLUS_ONE, "Number of LBA Ranges (NUM)"},
	{0x04, 20, 2, NUMBER, "Threshold Type Select (THSEL)"},
	{0x04, 16, 4, NUMBER, "Threshold Temperature Select (TMPSEL)"},
	{0x04, 0, 16, KELVIN, "Temperature Threshold (TMPTH)"},
	{0x05, 16, 1, SWITCH, "Deallocated or Unwritten Logical Block Error Enable (DULBE)"},
	{0x05, 0, 16, TENTHS, "Time Limited Error Recovery (TLER)"},
	{0x06, 0, 1, SWITCH, "Volatile Write Cache Enable (WCE)"},
	{0x07, 16, 16, PLUS_ONE, "Number of IO Completion Queues Allocated (NCQA)"},
	{0x07, 0, 16, PLUS_ONE, "Number of IO Submission Queues Allocated (NSQA)"},
	{0x08, 8, 8, MICROS, "Aggregation Time (TIME)"},
	{0x08, 0, 8, PLUS_ONE, "Aggregation Threshold (THR)"},
	{0x09, 16, 1, BOOLEAN, "Coalescing Disable (CD)"},
	{0x09, 0, 16, NUMBER, "Interrupt Vector (IV)"},
	{0x0a, 0, 1, BOOLEAN, "Disable Normal (DN)"},
	{0x0b, 31, 1, NOTICE, "Discovery Log Page Change Notices"},
	{0x0b, 14, 1, NOTICE, "Endurance Group Event Aggregate Log Change Notices"},
	{0x0b, 13, 1, NOTICE, "LBA Status Information Notices"},
	{0x0b, 12, 1, NOTICE, "Predictable Latency Event Aggregate Log Change Notices"},
	{0x0b, 11, 1, NOTICE, "Asymmetric Namespace Access Change Notices"},
	{0x0b, 10, 1, NOTICE, "Telemetry Log Notices"},
	{0x0b, 9, 1, NOTICE, "Firmware Activation Notices"},
	{0x0b, 8, 1, NOTICE, "Namespace Attribute Notices"},
	{0x0b, 0, 8, NOTICE, "SMART / Health Critical Warnings"},
	{0x0c, 0, 1, SWITCH, "Autonomous Power State Transition Enable (APSTE)"},
	{0x0d, 0, 1, SWITCH, "Enable Host Memory (EHM)"},
	{0x0f, 0, 32, NUMBER, "Keep Alive Timeout (KATO) in milliseconds"},
	{0x10, 16, 16, KELVIN, "Thermal Management Temperature 1 (TMT1)"},
	{0x10, 0, 16, KELVIN, "Thermal Management Temperature 2 (TMT2)"},
	{0x11, 0, 1, BOOLEAN, "Non-Operational Power State Permissive Mode Enable (NOPPME)"},
	{0x12, 0, 4, NUMBER, "Read Recovery Level (RRL)"},
	{0x13, 0, 1, BOOLEAN, "Predictable Latency Window Enabled"},
	{0x14, 0, 3, NUMBER, "Window Select"},
	{0x15, 16, 16, TENTHS, "LBA Status Information Poll Interval (LSIPI)"},
	{0x15, 0, 16, TENTHS, "LBA Status Information Report Interval (LSIRI)"},
	{0x17, 0, 1, NUMBER, "No-Deallocate Response Mode (NODRM)"},
	{0x18, 0, 16, NUMBER, "Endurance Group Identifier (ENDGID)"},
	{0x18, 16, 8, NUMBER, "Endurance Group Critical Warnings"},
	{0x19, 0, 9, NUMBER, "I/O Command Set Combination Index"},
	{0x1a, 0, 1, SWITCH, "Spinup control feature"},
	{0x1d, 0, 1, BOOLEAN, "Flexible Direct Placement Enable (FDPE)"},
	{0x1d, 8, 8, NUMBER, "Flexible Direct Placement Configuration Index"},
	{0x80, 0, 8, NUMBER, "Pre-boot Software Load Count (PBSLC)"},
	{0x82, 3, 1, BOOLEAN, "Mask Reservation Preempted Notification (RESPRE)"},
	{0x82, 2, 1, BOOLEAN, "Mask Reservation Released Notification (RESREL)"},
	{0x82, 1, 1, BOOLEAN, "Mask Registration Preempted Notification (REGPRE)"},
	{0x83, 0, 1, BOOLEAN, "Persist Through Power Loss (PTPL)"},
	{0x84, 0, 3, NUMBER, "Namespace Write Protect"},
};

static void print_field(FILE *out, unsigned kind, uint32_t value)
{
	switch (kind) {
	case PLUS_ONE: fprintf(out, "%u\n", value + 1); break;
	case POWER: fprintf(out, value == 7 ? "No limit\n" : "%u\n", 1u << value); break;
	case KELVIN: fprintf(out, "%d C (%u K)\n", (int)value - 273, value); break;
	case TENTHS: fprintf(out, "%u ms\n", value * 100); break;
	case MICROS: fprintf(out, "%u usec\n", value * 100); break;
	case SWITCH: fputs(value ? "Enabled\n" : "Disabled\n", out); break;
	case BOOLEAN: fputs(value ? "True\n" : "False\n", out); break;
	case NOTICE: fputs(value ? "Send async event\n" : "Do not send async event\n", out); break;
	default: fprintf(out, "%u\n", value); break;
	}
}

/* A host's identifier is a number here, as nvme-cli shows it; an extended one is digits. */
static void print_host_id(FILE *out, const uint8_t *data, size_t len)
{
	if (len == 8) {
		fprintf(out, "\tHost Identifier (HOSTID): %" PRIu64 "\n", decode_uint(data, 8));
		return;
	}
	fputs("\tHost Identifier (HOSTID): ", out);
	for (size_t i = 0; i < len; i++)
		fprintf(out, "%02x", data[i]);
	fputc('\n', out);
}

static void print_timestamp(FILE *out, const uint8_t *data)
{
	fprintf(out, "\tTimestamp: %" PRIu64 " ms\n", decode_uint(data, 6));
	fprintf(out, "\tOrigin: %s\n", data[6] & 2 ? "a Set Features command" : "a reset, from 0");
	fprintf(out, "\tSynch: %s\n", data[6] & 1 ? "may have stopped counting at times"
						  : "counted without a break");
}

static void print_apst(FILE *out, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len / 8 && i < 32; i++) {
		uint64_t entry = decode_uint(data + 8 * i, 8);

		if (entry)
			fprintf(out, "\tEntry %zu: after %u ms to power state %u\n", i,
				(unsigned)(entry >> 8 & 0xffffff), (unsigned)(entry >> 3 & 31));
	}
}

static void print_ranges(FILE *out, unsigned count, const uint8_t *data, size_t len)
{
	for (unsigned i = 0; i < count && 64 * ((size_t)i + 1) <= len; i++) {
		const uint8_t *at = data + (size_t)64 * i;

		fprintf(out, "\tRange %u: type %#x, attributes %#x, slba %#" PRIx64
			", nlb %#" PRIx64 "\n",
			i, at[0], at[1], decode_uint(at + 16, 8), decode_uint(at + 24, 8));
	}
}

void feature_describe(FILE *out, uint8_t fid, uint32_t value, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		uint32_t mask = fields[i].width < 32 ? (1u << fields[i].width) - 1 : UINT32_MAX;

		if (fields[i].fid != fid)
			continue;
		fprintf(out, "\t%s: ", fields[i].text);
		print_field(out, fields[i].kind, value >> fields[i].shift & mask);
	}
	if (fid == FID_HOST_ID && len)
		print_host_id(out, data, len);
	else if (fid == FID_TIMESTAMP && len >= 8)
		print_timestamp(out, data);
	else if (fid == FID_APST)
		print_apst(out, data, len);
	else if (fid == FID_LBA_RANGE)
		print_ranges(out, (value & 63) + 1, data, len);
	else if (fid == FID_BEHAVIOR && len)
		fprintf(out, "\tHost Behavior Support: %s\n", data[0] & 1 ? "True" : "False");
	else if (fid == FID_HMB && len >= 16)
		fprintf(out, "\tHost Memory Buffer Size (HSIZE): %u\n",
			(unsigned)decode_uint(data, 4));
}

void feature_describe_capabilities(FILE *out, uint32_t value)
{
	if (value & 1)
		fputs("  Feature is saveable\n", out);
	if (value & 2)
		fputs("  Feature is per-namespace\n", out);
	if (value & 4)
		fputs("  Feature is changeable\n", out);
}
