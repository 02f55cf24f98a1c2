// SPDX-License-Identifier: BSD-3-Clause
/* Contents of blocks for nvmux bench --verify. */
#include <string.h>

#include "cli/bench.h"

/* A word for each place of the namespace; splitmix64's finaliser. */
static inline uint64_t word_at(uint64_t byte)
{
	uint64_t x = byte + 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return x ^ x >> 31;
}

void bench_fill(uint8_t *buf, uint64_t lba, uint32_t blocks, uint32_t block_size)
{
	uint64_t at = lba * block_size;
	uint64_t size = (uint64_t)blocks * block_size;

	for (uint64_t i = 0; i < size; i += 8) {
		uint64_t word = word_at(at + i);

		memcpy(buf + i, &word, 8);
	}
}

bool bench_check(const uint8_t *buf, uint64_t lba, uint32_t blocks, uint32_t block_size,
		 uint64_t *bad)
{
	uint64_t at = lba * block_size;
	uint64_t size = (uint64_t)blocks * block_size;

	for (uint64_t i = 0; i < size; i += 8) {
		uint64_t word;

		memcpy(&word, buf + i, 8);
		if (word != word_at(at + i)) {
			*bad = lba + i / block_size;
			return false;
		}
	}
	return true;
}
