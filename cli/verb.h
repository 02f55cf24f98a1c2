/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the commands that act share: their numbers from a table, data from files, results as text
 * or JSON.
 */
#ifndef NVMUX_CLI_VERB_H
#define NVMUX_CLI_VERB_H

#include "cli/confirm.h"
#include "cli/device.h"

/* An option that is a number; @value keeps what it has where the option isn't given. */
struct cli_value {
	const char *name; /* NULL ends a table */
	uint64_t *value;
	uint64_t min, max;
};

/* How usage lines begin; -t and -a are often taken. */
#define CLI_VERB_USAGE    "CTRL|--traddr ADDRESS"
#define CLI_VERB_NS_USAGE "CTRL[/NSID]|--traddr ADDRESS [-n NSID]"

/* Row of the namespace. */
#define CLI_NSID_OPTION                                           \
	{                                                         \
		"namespace-id", 'n', "NSID", CLI_DEVICE_NSID_HELP \
	}
#define CLI_TIMEOUT_OPTION                                                                       \
	{                                                                                        \
		"timeout", 't', "MS",                                                            \
			"give the command up when it isn't answered for so long (default: wait)" \
	}

/* All of a table. CLI_OK, or CLI_USAGE after a message. */
int cli_values(struct cli *cli, const struct cli_args *args, const struct cli_value *values);
/* The same of sizes in bytes, such as 1M. */
int cli_sizes(struct cli *cli, const struct cli_args *args, const struct cli_value *values);
/* Each of these options (ended by NULL) must be given. */
int cli_wanted(struct cli *cli, const struct cli_args *args, const char *const *names);
/* The value of an option that is a number of bytes must be whole dwords. */
int cli_check_dwords(struct cli *cli, const char *option, uint64_t len);
/* A list such as "1,0x10,32" of 64-bit numbers, at most @max_entries. *@count: 0 if not given. */
int cli_value_list(struct cli *cli, const struct cli_args *args, const char *name, uint64_t max,
		   uint64_t *list, unsigned max_entries, unsigned *count);

/* Bytes that a command moves. */
struct cli_data {
	uint8_t *bytes;
	size_t len;
};
void cli_data_free(struct cli_data *data);
#define CLI_DATA __attribute__((cleanup(cli_data_free))) struct cli_data
/* @len bytes of @fill. CLI_OK, or CLI_FAILED after a message. */
int cli_data_alloc(struct cli *cli, size_t len, uint8_t fill, struct cli_data *ret);
/* All of a file of at most @max bytes; @path NULL or "-": standard input. */
int cli_data_read(struct cli *cli, const char *path, size_t max, struct cli_data *ret);
/* Into the beginning of @data, which is @data->len bytes; a file with fewer bytes is refused, one
 * with more is read so far. */
int cli_data_fill(struct cli *cli, const char *path, struct cli_data *data);
/* Bytes as they are; @path NULL or "-": standard output. */
int cli_data_write(struct cli *cli, const char *path, const void *bytes, size_t len);
/* As nvme-cli shows them: 16 bytes a line, and as characters. */
void cli_data_show(const void *bytes, size_t len);

/*
 * What was done: "LABEL: text", or with -o json an object with target, namespace (if it has one)
 * and @more (stolen; may be NULL).
 */
int cli_report(struct cli_device *dev, json_t *more, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Command dwords of a 64-bit number. */
void cli_put_lba(struct nvmux_cmd *cmd, uint64_t lba);

/* Identify, 4096 bytes into @buf. */
int cli_identify(struct cli_device *dev, uint8_t cns, uint8_t csi, uint32_t nsid, void *buf);
/* Get Log Page from its beginning, @len bytes; @clear: the event that it belongs to. */
int cli_get_log(struct cli_device *dev, uint8_t lid, uint32_t nsid, bool clear, void *buf,
		uint32_t len);
/* Sleep, and let the library do what is due. False: a signal has come. */
bool cli_pause(struct cli_device *dev, int ms);

#endif
