// SPDX-License-Identifier: BSD-3-Clause
/* "Did you mean …?": the known name that is nearest to an unknown one. */
#include <string.h>
#include "libcore/util.h"
#include "rpc/codec.h"

#define SUGGEST_MAX 64 /* bytes of a name; nothing is suggested for longer ones */

/* Insertions, deletions, replacements, and swaps of neighbours that make @b out of @a. */
static size_t edit_distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	uint8_t rows[3][SUGGEST_MAX + 1];
	uint8_t *before = rows[0], *last = rows[1], *row = rows[2], *unused;

	for (size_t j = 0; j <= b_len; j++)
		last[j] = (uint8_t)j;
	for (size_t i = 1; i <= a_len; i++) {
		row[0] = (uint8_t)i;
		for (size_t j = 1; j <= b_len; j++) {
			uint8_t d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = MIN(d, MIN(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = MIN(d, before[j - 2] + 1);
			row[j] = d;
		}
		unused = before;
		before = last;
		last = row;
		row = unused;
	}
	return last[b_len];
}

const char *rpc_suggest(const char *name, const void *names, size_t stride, size_t n)
{
	size_t len = strlen(name), best = SIZE_MAX;
	const char *found = NULL;

	if (len == 0 || len > SUGGEST_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		const char *known;
		size_t known_len, distance;

		memcpy(&known, (const char *)names + i * stride, sizeof(known));
		known_len = strlen(known);
		if (known_len > SUGGEST_MAX)
			continue;
		distance = edit_distance(name, len, known, known_len);
		/* a third of the letters may be wrong */
		if (distance < best && distance * 3 <= MAX(len, known_len)) {
			best = distance;
			found = known;
		}
	}
	return found;
}
