// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who this host is for fabrics: its NQN and its identifier.
 *
 * Happy path: what a controller's options say, else what the context's say, else the files that all
 * NVMe tools of a host share; they are read once per context. Without a file for the identifier it
 * is the UUID in the host's NQN; what is missing still is made up, stays for the life of the
 * context, and is said in the log: a target that lets only certain hosts in won't know it.
 *
 * Failure modes: a file that can't be read, or whose content can't be: an error that names it.
 * Making something up instead would be another host to the target.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "host.h"

#define UUID_NQN_PREFIX "nqn.2014-08.org.nvmexpress:uuid:"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int nvmux_uuid_parse(const char *text, uint8_t ret[16])
{
	uint8_t uuid[16];

	if (strlen(text) != NVMUX_UUID_TEXT - 1)
		return -EINVAL;
	for (int i = 0; i < 16; i++) {
		int high, low;

		if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-')
			return -EINVAL;
		high = hex_digit(*text++);
		low = hex_digit(*text++);
		if (high < 0 || low < 0)
			return -EINVAL;
		uuid[i] = (uint8_t)(high << 4 | low);
	}
	memcpy(ret, uuid, sizeof(uuid));
	return 0;
}

void nvmux_uuid_format(const uint8_t uuid[16], char ret[NVMUX_UUID_TEXT])
{
	char *at = ret;

	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		at += sprintf(at, "%02x", uuid[i]);
	}
}

static bool is_zero(const uint8_t id[16])
{
	return !memcmp(id, (uint8_t[16]){0}, 16);
}

int nvmux_hostid_parse(const char *text, uint8_t ret[16])
{
	uint8_t id[16];

	if (nvmux_uuid_parse(text, id) || is_zero(id))
		return -EINVAL;
	memcpy(ret, id, sizeof(id));
	return 0;
}

const char *nvmux_nqn_check(const char *nqn)
{
	if (strnlen(nqn, NVMUX_NQN_MAX) >= NVMUX_NQN_MAX)
		return "an NQN has at most 223 bytes";
	if (strncmp(nqn, "nqn.", 4) || !nqn[4])
		return "an NQN begins with 'nqn.' and says more";
	for (const char *c = nqn; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return "an NQN has no spaces and no characters other than printable ASCII";
	}
	return NULL;
}

/*
 * The only line of a small file, without the white space around it. -ENOENT: there is no such file;
 * else -errno, with a text.
 */
static int read_line(struct nvmux *nvmux, const char *path, char *ret, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), err;
	char text[512], *start = text;
	ssize_t n;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return -ENOENT;
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	err = -errno;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return nvmux_error(nvmux, err, "%s can't be read: %s", path, strerror(-err));
	while (n && strchr(" \t\r\n", text[n - 1]))
		n--;
	text[n] = '\0';
	start += strspn(start, " \t\r\n");
	if (!*start)
		return nvmux_error(nvmux, -EINVAL, "%s is empty", path);
	if (strlen(start) >= size || start + strlen(start) != text + n)
		return nvmux_error(nvmux, -EINVAL,
				   "%s must have one line of at most %zu characters", path,
				   size - 1);
	strcpy(ret, start);
	return 0;
}

static int make_uuid(struct nvmux *nvmux, uint8_t ret[16])
{
	/* So few bytes come at once or not at all. */
	if (getrandom(ret, 16, 0) != 16)
		return nvmux_error(nvmux, -EIO, "getrandom: %s", strerror(errno));
	ret[6] = (uint8_t)((ret[6] & 0x0f) | 0x40); /* version 4: random */
	ret[8] = (uint8_t)((ret[8] & 0x3f) | 0x80); /* the variant of RFC 4122 */
	return 0;
}

/* ---- the context's own ---- */

static int look_up_nqn(struct nvmux *nvmux, const char *path)
{
	char nqn[NVMUX_NQN_MAX], uuid_text[NVMUX_UUID_TEXT];
	const char *wrong;
	uint8_t uuid[16];
	int err;

	if (nvmux->hostnqn[0])
		return 0;
	err = read_line(nvmux, path, nqn, sizeof(nqn));
	if (!err) {
		wrong = nvmux_nqn_check(nqn);
		if (wrong)
			return nvmux_error(nvmux, -EINVAL, "%s: %s", path, wrong);
		strcpy(nvmux->hostnqn, nqn);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	err = make_uuid(nvmux, uuid);
	if (err)
		return err;
	nvmux_uuid_format(uuid, uuid_text);
	snprintf(nvmux->hostnqn, sizeof(nvmux->hostnqn), UUID_NQN_PREFIX "%s", uuid_text);
	nvmux_log(nvmux, NVMUX_LOG_WARNING, "host", "there is no %s: this host is %s for now", path,
		  nvmux->hostnqn);
	return 0;
}

/* Without a file: out of the host's NQN, or made up. */
static int derive_id(struct nvmux *nvmux, const char *nqn_path, const char *id_path)
{
	char text[NVMUX_UUID_TEXT];
	int err = look_up_nqn(nvmux, nqn_path);

	if (err)
		return err;
	if (!strncmp(nvmux->hostnqn, UUID_NQN_PREFIX, strlen(UUID_NQN_PREFIX)) &&
	    !nvmux_hostid_parse(nvmux->hostnqn + strlen(UUID_NQN_PREFIX), nvmux->hostid))
		return 0;
	err = make_uuid(nvmux, nvmux->hostid);
	if (err)
		return err;
	nvmux_uuid_format(nvmux->hostid, text);
	nvmux_log(nvmux, NVMUX_LOG_WARNING, "host",
		  "there is no %s: the identifier of this host is %s for now", id_path, text);
	return 0;
}

static int look_up_id(struct nvmux *nvmux, const char *nqn_path, const char *id_path)
{
	char text[NVMUX_UUID_TEXT + 16]; /* room to see what is too long */
	int err;

	if (!is_zero(nvmux->hostid))
		return 0;
	err = read_line(nvmux, id_path, text, sizeof(text));
	if (err == -ENOENT)
		return derive_id(nvmux, nqn_path, id_path);
	if (!err && nvmux_hostid_parse(text, nvmux->hostid))
		err = nvmux_error(nvmux, -EINVAL,
				  "%s: '%s' is not a UUID (or all zero, which names nobody)",
				  id_path, text);
	return err;
}

int nvmux_host_identity_from(struct nvmux *nvmux, const char *nqn_path, const char *id_path,
			     struct nvmux_ctrlr_opts *opts)
{
	const char *wrong = NULL;
	int err = 0;

	opts->hostnqn[sizeof(opts->hostnqn) - 1] = '\0';
	if (opts->hostnqn[0])
		wrong = nvmux_nqn_check(opts->hostnqn);
	if (wrong)
		return nvmux_error(nvmux, -EINVAL, "hostnqn is '%s': %s", opts->hostnqn, wrong);
	if (!opts->hostnqn[0])
		err = look_up_nqn(nvmux, nqn_path);
	if (!err && is_zero(opts->hostid))
		err = look_up_id(nvmux, nqn_path, id_path);
	if (err)
		return err;
	if (!opts->hostnqn[0])
		strcpy(opts->hostnqn, nvmux->hostnqn);
	if (is_zero(opts->hostid))
		memcpy(opts->hostid, nvmux->hostid, sizeof(opts->hostid));
	return 0;
}

int nvmux_host_identity(struct nvmux *nvmux, struct nvmux_ctrlr_opts *opts)
{
	return nvmux_host_identity_from(nvmux, NVMUX_HOSTNQN_PATH, NVMUX_HOSTID_PATH, opts);
}
