// SPDX-License-Identifier: BSD-3-Clause
/* Transport ids as text. Pure functions of their arguments. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include <nvmux/trid.h>
#include "util.h"

static const char *const trtype_names[NVMUX_TRTYPE_COUNT] = {
	[NVMUX_TRTYPE_PCIE] = "PCIE",         [NVMUX_TRTYPE_VFIOUSER] = "VFIOUSER",
	[NVMUX_TRTYPE_RDMA] = "RDMA",         [NVMUX_TRTYPE_DAEMON] = "DAEMON",
	[NVMUX_TRTYPE_LOOPBACK] = "LOOPBACK",
};

static const char *const adrfam_names[NVMUX_ADRFAM_COUNT] = {
	[NVMUX_ADRFAM_IPV4] = "IPv4",
	[NVMUX_ADRFAM_IPV6] = "IPv6",
	[NVMUX_ADRFAM_IB] = "IB",
};

const char *nvmux_trtype_string(enum nvmux_trtype trtype)
{
	return (unsigned)trtype < NVMUX_TRTYPE_COUNT ? trtype_names[trtype] : NULL;
}

const char *nvmux_adrfam_string(enum nvmux_adrfam adrfam)
{
	return (unsigned)adrfam < NVMUX_ADRFAM_COUNT ? adrfam_names[adrfam] : NULL;
}

int nvmux_trtype_parse(enum nvmux_trtype *ret, const char *text)
{
	if (!strcasecmp(text, "vfio-user"))
		text = "VFIOUSER";
	for (unsigned i = 0; i < NVMUX_TRTYPE_COUNT; i++) {
		if (!strcasecmp(text, trtype_names[i])) {
			*ret = (enum nvmux_trtype)i;
			return 0;
		}
	}
	return -EINVAL;
}

int nvmux_adrfam_parse(enum nvmux_adrfam *ret, const char *text)
{
	for (unsigned i = 0; i < NVMUX_ADRFAM_COUNT; i++) {
		if (adrfam_names[i] && !strcasecmp(text, adrfam_names[i])) {
			*ret = (enum nvmux_adrfam)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The text fields of a transport id, with the two names that each is known by. */
static const struct {
	const char *name;
	const char *other;
	size_t offset;
	size_t size;
} fields[] = {
#define FIELD(n, o, member)                                      \
	{                                                        \
		n, o, offsetof(struct nvmux_trid, member),       \
			sizeof(((struct nvmux_trid *)0)->member) \
	}
	FIELD("traddr", "traddr", traddr),
	FIELD("trsvcid", "trsvcid", trsvcid),
	FIELD("subnqn", "nqn", subnqn),
	FIELD("host_traddr", "hostaddr", host_traddr),
	FIELD("host_iface", "host-iface", host_iface),
#undef FIELD
};

struct reason {
	char *text;
	size_t size;
};

__attribute__((format(printf, 2, 3))) static int invalid(struct reason why, const char *fmt, ...)
{
	va_list ap;

	if (why.text && why.size) {
		va_start(ap, fmt);
		vsnprintf(why.text, why.size, fmt, ap);
		va_end(ap);
	}
	return -EINVAL;
}

static int set_field(struct nvmux_trid *trid, const char *key, const char *value, struct reason why)
{
	if (!strcasecmp(key, "trtype") || !strcasecmp(key, "transport")) {
		if (nvmux_trtype_parse(&trid->trtype, value))
			return invalid(why,
				       "%s is '%s'; known: PCIE, VFIOUSER, RDMA, DAEMON, "
				       "LOOPBACK",
				       key, value);
		return 0;
	}
	if (!strcasecmp(key, "adrfam")) {
		if (nvmux_adrfam_parse(&trid->adrfam, value))
			return invalid(why, "%s is '%s'; known: IPv4, IPv6", key, value);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (strcasecmp(key, fields[i].name) && strcasecmp(key, fields[i].other))
			continue;
		if (strlen(value) >= fields[i].size)
			return invalid(why, "%s has %zu bytes; at most %zu are allowed", key,
				       strlen(value), fields[i].size - 1);
		strcpy((char *)trid + fields[i].offset, value);
		return 0;
	}
	return invalid(why,
		       "unknown key '%s'; known: trtype, adrfam, traddr, trsvcid, subnqn, "
		       "host_traddr, host_iface",
		       key);
}

/*
 * One "key:value" or "key=value", in place. In the form with spaces a value may contain ':' and '='
 * but no space; in the form with semicolons it may contain spaces.
 */
static int parse_pair(struct nvmux_trid *trid, char *pair, struct reason why)
{
	char *sep = pair + strcspn(pair, ":=");

	if (!*sep)
		return invalid(why, "'%s' isn't of the form key:value or key=value", pair);
	*sep = '\0';
	return set_field(trid, pair, sep + 1, why);
}

/* ---- addresses of IP based fabrics ---- */

#define RDMA_PORT_DEFAULT 4420 /* NVMe over RDMA transport specification 1.0, section 2 */

struct ip_address {
	enum nvmux_adrfam family; /* NONE: it is none */
	uint8_t bytes[16];
	char scope[NVMUX_TRADDR_MAX]; /* the interface after '%' of an IPv6 address */
};

static void parse_ip(const char *text, struct ip_address *ret)
{
	const char *scope = strchr(text, '%');
	char copy[NVMUX_TRADDR_MAX];

	*ret = (struct ip_address){0};
	snprintf(copy, sizeof(copy), "%s", text);
	if (inet_pton(AF_INET, copy, ret->bytes) == 1) {
		ret->family = NVMUX_ADRFAM_IPV4;
		return;
	}
	if (scope) {
		copy[scope - text] = '\0';
		snprintf(ret->scope, sizeof(ret->scope), "%s", scope + 1);
		if (!ret->scope[0])
			return;
	}
	if (inet_pton(AF_INET6, copy, ret->bytes) == 1)
		ret->family = NVMUX_ADRFAM_IPV6;
}

/* A port number; -1: it is none. */
static long parse_port(const char *text)
{
	long port = 0;

	if (!*text)
		return RDMA_PORT_DEFAULT;
	if (strlen(text) > 5 || text[strspn(text, "0123456789")])
		return -1;
	port = strtol(text, NULL, 10);
	return port > 0 && port < 65536 ? port : -1;
}

static int check_ip(const struct nvmux_trid *trid, const char *key, const char *text,
		    enum nvmux_adrfam *family, struct reason why)
{
	struct ip_address ip;

	parse_ip(text, &ip);
	if (*family == NVMUX_ADRFAM_NONE)
		*family = ip.family;
	if (ip.family == NVMUX_ADRFAM_NONE)
		return invalid(why, "%s is '%s': not an IPv4 or IPv6 address", key, text);
	if (ip.family != *family)
		return invalid(why, "%s is '%s': not an %s address, which %s", key, text,
			       adrfam_names[*family], trid->adrfam ? "adrfam says" : "traddr is");
	return 0;
}

static int check_rdma(struct nvmux_trid *trid, struct reason why)
{
	enum nvmux_adrfam family = trid->adrfam;
	int err;

	if (!trid->traddr[0])
		return invalid(why, "traddr is missing: RDMA needs the target's address");
	if ((unsigned)family >= NVMUX_ADRFAM_COUNT)
		return invalid(why, "adrfam is %u; known: IPv4, IPv6", (unsigned)family);
	if (family == NVMUX_ADRFAM_IB)
		return invalid(why, "adrfam is IB, which isn't supported; known: IPv4, IPv6");
	if (parse_port(trid->trsvcid) < 0)
		return invalid(why, "trsvcid is '%s'; RDMA needs a port number, 1 to 65535",
			       trid->trsvcid);
	err = check_ip(trid, "traddr", trid->traddr, &family, why);
	if (!err && trid->host_traddr[0])
		err = check_ip(trid, "host_traddr", trid->host_traddr, &family, why);
	if (!err)
		trid->adrfam = family;
	return err;
}

int nvmux_trid_check(struct nvmux_trid *trid, char *why_text, size_t why_size)
{
	struct reason why = {why_text, why_size};

	return trid->trtype == NVMUX_TRTYPE_RDMA ? check_rdma(trid, why) : 0;
}

void nvmux_trid_take_source(struct nvmux_trid *trid, const struct nvmux_trid *from)
{
	if (trid->adrfam == from->adrfam)
		strcpy(trid->host_traddr, from->host_traddr);
	strcpy(trid->host_iface, from->host_iface);
}

int nvmux_trid_parse(struct nvmux_trid *ret, const char *text, char *why_text, size_t why_size)
{
	struct reason why = {why_text, why_size};
	struct nvmux_trid trid = {0};
	const char *separators;
	char copy[1024], *save = NULL;
	bool has_type = false;

	if (strlen(text) >= sizeof(copy))
		return invalid(why, "a transport id of %zu bytes; at most %zu are allowed",
			       strlen(text), sizeof(copy) - 1);
	strcpy(copy, text);
	/* "transport=" is how nvme-cli's form begins; anything else is separated by white space. */
	separators = strncasecmp(text + strspn(text, " \t\n"), "transport=", 10) ? " \t\r\n" : ";";
	for (char *pair = strtok_r(copy, separators, &save); pair;
	     pair = strtok_r(NULL, separators, &save)) {
		int err;

		pair += strspn(pair, " \t\n");
		has_type |= !strncasecmp(pair, "trtype", 6) || !strncasecmp(pair, "transport", 9);
		err = parse_pair(&trid, pair, why);
		if (err)
			return err;
	}
	if (!has_type)
		return invalid(why, "'%s' names no transport (trtype)", text);
	/* The address may still come from elsewhere. */
	if (trid.traddr[0]) {
		int err = nvmux_trid_check(&trid, why_text, why_size);

		if (err)
			return err;
	}
	*ret = trid;
	return 0;
}

int nvmux_trid_format(const struct nvmux_trid *trid, char *buf, size_t size)
{
	const char *trtype = nvmux_trtype_string(trid->trtype);
	const char *adrfam = nvmux_adrfam_string(trid->adrfam);
	int n = snprintf(buf, size, "trtype:%s%s%s", trtype ? trtype : "?",
			 adrfam ? " adrfam:" : "", adrfam ? adrfam : "");

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const char *value = (const char *)trid + fields[i].offset;

		if (n < 0 || (size_t)n >= size)
			return -ENOSPC;
		if (*value)
			n += snprintf(buf + n, size - (size_t)n, " %s:%s", fields[i].name, value);
	}
	return n < 0 || (size_t)n >= size ? -ENOSPC : 0;
}

/* "0000:00:04.0" and "00:04.0" are the same function; in full they have the order of their numbers.
 */
static int compare_traddr(const struct nvmux_trid *a, const struct nvmux_trid *b)
{
	char x[PCI_ADDRESS_SIZE], y[PCI_ADDRESS_SIZE];

	if (a->trtype == NVMUX_TRTYPE_PCIE && !pci_address_parse(a->traddr, x) &&
	    !pci_address_parse(b->traddr, y))
		return strcmp(x, y);
	return strcmp(a->traddr, b->traddr);
}

static int order(long a, long b)
{
	return (a > b) - (a < b);
}

/* Addresses as addresses, and before those that are none. */
static int compare_ip(const char *a, const char *b)
{
	struct ip_address x, y;
	int diff;

	parse_ip(a, &x);
	parse_ip(b, &y);
	diff = order(y.family, x.family);
	if (diff)
		return diff;
	if (x.family == NVMUX_ADRFAM_NONE)
		return strcmp(a, b);
	diff = memcmp(x.bytes, y.bytes, sizeof(x.bytes));
	return diff ? diff : strcmp(x.scope, y.scope);
}

static int compare_ports(const char *a, const char *b)
{
	long x = parse_port(a), y = parse_port(b);

	return x < 0 && y < 0 ? strcmp(a, b) : order(x, y);
}

/* The families are those of the addresses. Another way out of this host is another path. */
static int compare_rdma(const struct nvmux_trid *a, const struct nvmux_trid *b)
{
	int diff = order(a->adrfam == NVMUX_ADRFAM_IB, b->adrfam == NVMUX_ADRFAM_IB);

	if (!diff)
		diff = compare_ip(a->traddr, b->traddr);
	if (!diff)
		diff = compare_ports(a->trsvcid, b->trsvcid);
	if (!diff)
		diff = strcmp(a->subnqn, b->subnqn);
	if (!diff)
		diff = compare_ip(a->host_traddr, b->host_traddr);
	return diff ? diff : strcmp(a->host_iface, b->host_iface);
}

int nvmux_trid_compare(const struct nvmux_trid *a, const struct nvmux_trid *b)
{
	int diff;

	if (a->trtype != b->trtype)
		return a->trtype < b->trtype ? -1 : 1;
	if (a->trtype == NVMUX_TRTYPE_RDMA)
		return compare_rdma(a, b);
	diff = compare_traddr(a, b);
	if (diff || a->trtype == NVMUX_TRTYPE_PCIE)
		return diff;
	if (a->adrfam != b->adrfam)
		return a->adrfam < b->adrfam ? -1 : 1;
	diff = strcasecmp(a->trsvcid, b->trsvcid);
	return diff ? diff : strcmp(a->subnqn, b->subnqn);
}
