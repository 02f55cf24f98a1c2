// SPDX-License-Identifier: BSD-3-Clause
/*
 * The addresses of a transport id: traddr and trsvcid of the target, host_traddr and host_iface of
 * this side. Only numeric addresses: to look up a name would block.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>

#include "rdma_int.h"

#define RDMA_PORT_DEFAULT "4420"

static const char *family_name(int family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

static int check_port(struct nvmux *nvmux, const char *port)
{
	char *end;
	unsigned long n = strtoul(port, &end, 10);

	if (*port < '0' || *port > '9' || *end || n < 1 || n > 65535)
		return nvmux_error(nvmux, -EINVAL, "trsvcid is '%s'; it must be a port, 1 to 65535",
				   port);
	return 0;
}

/* It may come: another error than that of an address that never can be right. */
static int no_interface(struct nvmux *nvmux, const char *key, const char *text, const char *name)
{
	return nvmux_error(nvmux, -ENODEV, "%s is '%s'; there is no interface %s", key, text, name);
}

/* The interface's name in "fe80::1%eth0", or NULL. */
static const char *scope_name(const char *text)
{
	const char *sep = strchr(text, '%');
	char copy[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (!sep || !sep[1] || !sep[1 + strspn(sep + 1, "0123456789")] ||
	    (size_t)(sep - text) >= sizeof(copy))
		return NULL;
	memcpy(copy, text, (size_t)(sep - text));
	copy[sep - text] = '\0';
	if (inet_pton(AF_INET6, copy, &addr) != 1 || !IN6_IS_ADDR_LINKLOCAL(&addr))
		return NULL;
	return sep + 1;
}

/* @family AF_UNSPEC: either of the two. */
static int parse_address(struct nvmux *nvmux, const char *key, const char *text, const char *port,
			 int family, struct sockaddr_storage *ret)
{
	struct addrinfo hints = {
		.ai_family = family,
		.ai_socktype = SOCK_STREAM,
		.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
	};
	const char *scope = family == AF_INET ? NULL : scope_name(text);
	struct addrinfo *info;

	if (scope && !if_nametoindex(scope))
		return no_interface(nvmux, key, text, scope);
	if (getaddrinfo(text, port, &hints, &info))
		return nvmux_error(nvmux, -EINVAL, "%s is '%s'; it must be a numeric %s address",
				   key, text,
				   family == AF_UNSPEC ? "IPv4 or IPv6" : family_name(family));
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, info->ai_addr, info->ai_addrlen);
	freeaddrinfo(info);
	return 0;
}

static int family_of(struct nvmux *nvmux, const struct nvmux_trid *trid, int *ret)
{
	switch (trid->adrfam) {
	case NVMUX_ADRFAM_NONE: *ret = AF_UNSPEC; return 0;
	case NVMUX_ADRFAM_IPV4: *ret = AF_INET; return 0;
	case NVMUX_ADRFAM_IPV6: *ret = AF_INET6; return 0;
	default:
		return nvmux_error(
			nvmux, -EINVAL,
			"adrfam is %s; RDMA targets are named by an IPv4 or IPv6 address",
			nvmux_adrfam_string(trid->adrfam) ?: "unknown");
	}
}

static bool is_link_local(const struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET6 &&
	       IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)addr)->sin6_addr);
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	if (a->ss_family == AF_INET)
		return !memcmp(&((const struct sockaddr_in *)a)->sin_addr,
			       &((const struct sockaddr_in *)b)->sin_addr, sizeof(struct in_addr));
	return !memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
		       &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr));
}

static void take_address(const struct ifaddrs *ifa, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, ifa->ifa_addr,
	       ifa->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
						    : sizeof(struct sockaddr_in));
}

/*
 * The interface's address of the target's family, for IPv6 one of the same scope; with an address
 * in @src already: whether the interface has that.
 */
static int find_interface(struct nvmux *nvmux, const char *name, const struct sockaddr_storage *dst,
			  struct sockaddr_storage *src)
{
	bool given = src->ss_family, exists = if_nametoindex(name), found = false;
	struct ifaddrs *list;

	if (!exists)
		return no_interface(nvmux, "host_iface", name, name);
	if (getifaddrs(&list) < 0)
		return nvmux_error(nvmux, -errno, "host_iface: the interface's addresses: %s",
				   strerror(errno));
	for (const struct ifaddrs *ifa = list; ifa && !found; ifa = ifa->ifa_next) {
		struct sockaddr_storage addr;

		if (!ifa->ifa_addr || strcmp(ifa->ifa_name, name) ||
		    ifa->ifa_addr->sa_family != dst->ss_family)
			continue;
		take_address(ifa, &addr);
		found = given ? same_address(&addr, src)
			      : is_link_local(&addr) == is_link_local(dst);
		if (found)
			*src = addr;
	}
	freeifaddrs(list);
	if (found)
		return 0;
	if (given)
		return nvmux_error(nvmux, -EADDRNOTAVAIL,
				   "host_traddr is no address of the interface %s", name);
	return nvmux_error(nvmux, -EADDRNOTAVAIL, "host_iface: %s has no %s%s address", name,
			   is_link_local(dst) ? "link-local " : "", family_name(dst->ss_family));
}

/* A link-local address says nothing without its interface. */
static int take_scope(struct nvmux *nvmux, const struct nvmux_trid *trid,
		      struct sockaddr_storage *dst)
{
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)dst;

	if (!is_link_local(dst) || in6->sin6_scope_id)
		return 0;
	if (!trid->host_iface[0])
		return nvmux_error(nvmux, -EINVAL,
				   "traddr is '%s'; a link-local address needs its interface: "
				   "%s%%eth0, or host_iface",
				   trid->traddr, trid->traddr);
	in6->sin6_scope_id = if_nametoindex(trid->host_iface);
	if (!in6->sin6_scope_id)
		return no_interface(nvmux, "host_iface", trid->host_iface, trid->host_iface);
	return 0;
}

int rdma_conn_addresses(struct nvmux *nvmux, const struct nvmux_trid *trid,
			struct sockaddr_storage *dst, struct sockaddr_storage *src)
{
	const char *port = trid->trsvcid[0] ? trid->trsvcid : RDMA_PORT_DEFAULT;
	int family = AF_UNSPEC, err;

	memset(src, 0, sizeof(*src));
	if (!trid->traddr[0])
		return nvmux_error(nvmux, -EINVAL,
				   "traddr is empty; it must be the address of an "
				   "RDMA target");
	err = family_of(nvmux, trid, &family);
	if (!err)
		err = check_port(nvmux, port);
	if (!err)
		err = parse_address(nvmux, "traddr", trid->traddr, port, family, dst);
	if (!err)
		err = take_scope(nvmux, trid, dst);
	if (!err && trid->host_traddr[0])
		err = parse_address(nvmux, "host_traddr", trid->host_traddr, NULL, dst->ss_family,
				    src);
	if (!err && trid->host_iface[0])
		err = find_interface(nvmux, trid->host_iface, dst, src);
	return err;
}
