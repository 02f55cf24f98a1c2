// SPDX-License-Identifier: BSD-3-Clause
/* Values as text, and members of JSON objects: pure functions. */
#include <string.h>

#include "cli/cli.h"

void cli_json_unref(json_t **value)
{
	json_decref(*value);
}

const char *cli_json_string(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int64_t cli_json_integer(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

const char *cli_format_size(uint64_t bytes, char *buf, size_t size)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double v = (double)bytes;
	unsigned unit = 0;

	while (v >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		unit++;
	}
	snprintf(buf, size, !unit || v == (double)(uint64_t)v ? "%.0f %s" : "%.2f %s", v,
		 units[unit]);
	return buf;
}

const char *cli_format_count(double count, char *buf, size_t size)
{
	static const char *const units[] = {"", " k", " M", " G", " T"};
	unsigned unit = 0;

	while (count >= 10000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		count /= 1000;
		unit++;
	}
	snprintf(buf, size, unit ? "%.1f%s" : "%.0f%s", count, units[unit]);
	return buf;
}

const char *cli_format_duration(uint64_t ms, char *buf, size_t size)
{
	unsigned long long sec = ms / 1000;

	if (sec >= 3600)
		snprintf(buf, size, "%llu h %llu min", sec / 3600, sec % 3600 / 60);
	else if (sec >= 60)
		snprintf(buf, size, "%llu min %llu s", sec / 60, sec % 60);
	else if (sec >= 10 || ms % 1000 < 50)
		snprintf(buf, size, "%llu s", sec);
	else
		snprintf(buf, size, "%.1f s", (double)ms / 1000);
	return buf;
}

const char *cli_printable(const char *text, char *buf, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++)
		buf[n++] = (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text;
	buf[n] = 0;
	return buf;
}
