// SPDX-License-Identifier: BSD-3-Clause
/* See vectors.h. The calls that must produce them are in tests/unit/test_vectors.c. */
#include <ctype.h>
#include <string.h>
#include "vectors.h"

/* clang-format off: a line of bytes is a field of the figure */
const struct vector vectors[] = {
	/* blocks 54321h to 54340h */
	{"write_uncorrectable", "NVM 1.0, 3.2.7: opcode 04h; SLBA in CDW10/11, NLB in CDW12", false,
	 "04 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS "21 43 05 00 " V_ZERO
	 "1f 00 00 00 " V_ZERO V_ZERO V_ZERO,
	 ""},
	/* 16 blocks from 12345h on, LR and FUA */
	{"verify", "NVM 1.0, 3.2.5: opcode 0Ch; LR bit 31, FUA bit 30 of CDW12", false,
	 "0c 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS "45 23 01 00 " V_ZERO
	 "0f 00 00 c0 " V_ZERO V_ZERO V_ZERO,
	 ""},
	/* one block, 7Eh: compare with FUSE 01b, then write with FUSE 10b */
	{"compare_and_write, first", "base 2.0, 3.4.2, figure 87: FUSE bits 09:08 of CDW0", false,
	 "05 01 " V_CID "01 00 00 00 " V_RSVD V_PTRS "7e 00 00 00 " V_ZERO
	 "00 00 00 00 " V_ZERO V_ZERO V_ZERO,
	 "c1 c1 c1 c1"},
	{"compare_and_write, second", "base 2.0, 3.4.2", false,
	 "01 02 " V_CID "01 00 00 00 " V_RSVD V_PTRS "7e 00 00 00 " V_ZERO
	 "00 00 00 00 " V_ZERO V_ZERO V_ZERO,
	 "d2 d2 d2 d2"},
	/* RREGA 2, IEKEY, CPTPL 3; keys little-endian */
	{"reservation_register", "base 2.0, 7.3: opcode 0Dh; CPTPL 31:30, IEKEY 3, RREGA 2:0",
	 false,
	 "0d 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS
	 "0a 00 00 c0 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "88 77 66 55 44 33 22 11 00 ff ee dd cc bb aa 99"},
	/* RACQA 1 (preempt), RTYPE 4 */
	{"reservation_acquire", "base 2.0, 7.2: opcode 11h; RTYPE 15:08, IEKEY 3, RACQA 2:0", false,
	 "11 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS
	 "01 04 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "88 77 66 55 44 33 22 11 00 ff ee dd cc bb aa 99"},
	/* RRELA 0, RTYPE 6 */
	{"reservation_release", "base 2.0, 7.4: opcode 15h; RTYPE 15:08, IEKEY 3, RRELA 2:0", false,
	 "15 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS
	 "00 06 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "88 77 66 55 44 33 22 11"},
	/* 4096 bytes: NUMD 3FFh; EDS */
	{"reservation_report", "base 2.0, 7.5: opcode 0Eh; NUMD in CDW10, EDS bit 0 of CDW11",
	 false,
	 "0e 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS "ff 03 00 00 "
	 "01 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	/* MO 1, MOS 1234h, 256 bytes */
	{"io_mgmt_recv", "base 2.1, 7.3: opcode 12h; MOS 31:16, MO 07:00; NUMD in CDW11", false,
	 "12 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS "01 00 34 12 "
	 "3f 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	{"io_mgmt_send", "base 2.1, 7.4: opcode 1Dh; MOS 31:16, MO 07:00", false,
	 "1d 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS
	 "01 00 01 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "03 00 05 00"},
	/* SEL 0, CSI 0; NSZE 3000h, NCAP 2000h; FLBAS, DPS and NMIC further behind */
	{"create_ns", "base 2.0, 5.20: opcode 0Dh; SEL in CDW10, CSI 31:24 of CDW11", true,
	 "0d 00 " V_CID V_ZERO V_RSVD V_PTRS V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "00 30 00 00 00 00 00 00 00 20 00 00 00 00 00 00 00 00 00 00 00 00 00 00 "
	 "00 00 12 00 00 0b 01"},
	{"delete_ns", "base 2.0, 5.20: SEL 1", true,
	 "0d 00 " V_CID "03 00 00 00 " V_RSVD V_PTRS
	 "01 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	/* a controller list: how many, then their identifiers */
	{"attach_ns", "base 2.0, 5.21: opcode 15h, SEL 0; figure 275, controller list", true,
	 "15 00 " V_CID "03 00 00 00 " V_RSVD V_PTRS V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "02 00 01 00 34 12"},
	{"detach_ns", "base 2.0, 5.21: SEL 1", true,
	 "15 00 " V_CID "03 00 00 00 " V_RSVD V_PTRS
	 "01 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 "01 00 34 12"},
	/* overwrite, 5 passes, AUSE, OIPBP, NDAS, pattern DEADBEEFh */
	{"sanitize", "base 2.0, 5.24: NDAS 9, OIPBP 8, OWPASS 7:4, AUSE 3, SANACT 2:0", true,
	 "84 00 " V_CID V_ZERO V_RSVD V_PTRS "5b 03 00 00 "
	 "ef be ad de " V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	{"self_test", "base 2.0, 5.10: opcode 14h; STC 3:0", true,
	 "14 00 " V_CID "ff ff ff ff " V_RSVD V_PTRS
	 "02 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	/* DOPER 1, DTYPE 1, DSPEC ABCDh, 32 bytes, CDW12 4 */
	{"directive_receive", "base 2.0, 5.8: opcode 1Ah; DSPEC 31:16, DTYPE 15:08, DOPER 07:00",
	 true,
	 "1a 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS "07 00 00 00 "
	 "01 01 cd ab "
	 "04 00 00 00 " V_ZERO V_ZERO V_ZERO,
	 ""},
	/* enable streams: no data */
	{"directive_send", "base 2.0, 5.9: opcode 19h; Identify directive, enable: CDW12", true,
	 "19 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS ".. .. .. .. "
	 "01 00 00 00 "
	 "01 01 00 00 " V_ZERO V_ZERO V_ZERO,
	 ""},
	/* SECP EFh, SPSP 1234h, NSSF 56h, 512 bytes */
	{"security_receive", "base 2.0, 5.25: opcode 82h; SECP 31:24, SPSP 23:08, NSSF 07:00", true,
	 "82 00 " V_CID V_ZERO V_RSVD V_PTRS "56 34 12 ef "
	 "00 02 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	{"security_send", "base 2.0, 5.26: opcode 81h; TL in CDW11", true,
	 "81 00 " V_CID V_ZERO V_RSVD V_PTRS "56 34 12 ef "
	 "10 00 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO,
	 "5e c0 5e c0"},
	/* 4096 bytes at 8192: dwords */
	{"fw_download", "base 2.0, 5.12: opcode 11h; NUMD in CDW10, OFST in CDW11", true,
	 "11 00 " V_CID V_ZERO V_RSVD V_PTRS "ff 03 00 00 "
	 "00 08 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO,
	 "f0 0d f0 0d"},
	/* BPID, CA 3, FS 5 */
	{"fw_commit", "base 2.0, 5.11: opcode 10h; BPID 31, CA 5:3, FS 2:0", true,
	 "10 00 " V_CID V_ZERO V_RSVD V_PTRS "1d 00 00 80 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO, ""},
	/* format 12h: LBAFU 1, LBAFL 2; SES 1, PIL, PI 3, MSET */
	{"format", "base 2.0, 5.14: LBAFU 13:12, SES 11:09, PIL 8, PI 7:5, MSET 4, LBAFL 3:0", true,
	 "80 00 " V_CID "01 00 00 00 " V_RSVD V_PTRS
	 "72 13 00 00 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO,
	 ""},
	/* command 0123h of queue 1 */
	{"abort", "base 2.0, 5.1: opcode 08h; CID 31:16, SQID 15:00", true,
	 "08 00 " V_CID V_ZERO V_RSVD V_PTRS "01 00 23 01 " V_ZERO V_ZERO V_ZERO V_ZERO V_ZERO, ""},
};
/* clang-format on */

const unsigned vectors_count = sizeof(vectors) / sizeof(vectors[0]);

static int digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

bool vector_matches(const char *text, const uint8_t *bytes, uint32_t len, uint32_t *ret_at)
{
	uint32_t at = 0;

	for (; *text; text++) {
		if (*text == ' ')
			continue;
		if (at >= len ||
		    (*text != '.' && bytes[at] != digit(text[0]) * 16 + digit(text[1]))) {
			*ret_at = at;
			return false;
		}
		text++;
		at++;
	}
	return true;
}
