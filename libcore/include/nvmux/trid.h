/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Transport ids: the address of one controller, of a discovery service, or of everything that one
 * transport can enumerate.
 */
#ifndef NVMUX_TRID_H
#define NVMUX_TRID_H

#include <stdbool.h>
#include <stddef.h>
#include <nvmux/cmd.h>

#ifdef __cplusplus
extern "C" {
#endif

enum nvmux_trtype {
	NVMUX_TRTYPE_PCIE,     /* a local function, by kernel VFIO; traddr: PCI address or empty */
	NVMUX_TRTYPE_VFIOUSER, /* a device in another process; traddr: the directory of its socket
				*/
	NVMUX_TRTYPE_RDMA,     /* NVMe over RDMA */
	NVMUX_TRTYPE_DAEMON,   /* a controller of nvmuxd; traddr: its socket; trsvcid: name */
	NVMUX_TRTYPE_LOOPBACK, /* the emulator's model in this process; traddr: its description */
	NVMUX_TRTYPE_COUNT,
};

enum nvmux_adrfam {
	NVMUX_ADRFAM_NONE,
	NVMUX_ADRFAM_IPV4,
	NVMUX_ADRFAM_IPV6,
	NVMUX_ADRFAM_IB,
	NVMUX_ADRFAM_COUNT,
};

#define NVMUX_TRADDR_MAX  256 /* bytes, with the NUL; NVMe over Fabrics, discovery log entry */
#define NVMUX_TRSVCID_MAX 33
#define NVMUX_NQN_MAX     224 /* 223 bytes and the NUL; base specification 2.0, section 4.5 */

/**
 * struct nvmux_trid - a transport id.
 *
 * Plain data: copied by assignment, zero-initialised means "PCIe, all local functions".
 * For NVMUX_TRTYPE_DAEMON an empty @traddr means the system's daemon (NVMUX_DEFAULT_SOCKET), and
 * @trsvcid is the name that the daemon gave the controller (empty: every controller, for a probe).
 */
struct nvmux_trid {
	enum nvmux_trtype trtype;
	enum nvmux_adrfam adrfam;
	char traddr[NVMUX_TRADDR_MAX];
	char trsvcid[NVMUX_TRSVCID_MAX];
	char subnqn[NVMUX_NQN_MAX];
	char host_traddr[NVMUX_TRADDR_MAX];
	char host_iface[64];
};

#define NVMUX_DEFAULT_SOCKET "/run/nvmux/nvmux.sock"

/**
 * nvmux_trid_parse() - parse a transport id written in one of the two usual ways.
 * @ret: set on success only.
 * @text: "trtype:RDMA adrfam:IPv4 traddr:10.0.0.1 trsvcid:4420 subnqn:nqn.x" (also with '=' in
 *        place of ':'), or "transport=rdma;traddr=10.0.0.1;trsvcid=4420;nqn=nqn.x"; keys and the
 *        names of transports and families are matched without regard to case. Where traddr is
 *        given the rules of nvmux_trid_check() apply.
 * @why: where to put the reason of a failure, or NULL.
 * @why_size: size of @why in bytes.
 *
 * Return: 0, or -EINVAL with @why naming the key, the value and the rule. Thread: any.
 */
NVMUX_API int nvmux_trid_parse(struct nvmux_trid *ret, const char *text, char *why,
			       size_t why_size);

/**
 * nvmux_trid_check() - whether an address is complete for its transport.
 * @trid: for RDMA @adrfam is set where it isn't given: the address says which it is.
 * @why: where to put the reason of a failure, or NULL.
 * @why_size: size of @why in bytes.
 *
 * RDMA: traddr is there and an IPv4 or IPv6 address (names aren't looked up), that of adrfam if it
 * is given, host_traddr of the same family, trsvcid empty (4420) or a port number.
 * Others: no rules.
 *
 * Return: 0, or -EINVAL with @why naming the key, the value and the rule. Thread: any.
 */
NVMUX_API int nvmux_trid_check(struct nvmux_trid *trid, char *why, size_t why_size);

/**
 * nvmux_trid_take_source() - reach @trid from the place of this host that @from is reached from.
 *
 * host_iface is taken in any case; host_traddr if both are of one address family, since none can be
 * reached from an address of another. For what a discovery service at @from reports. Thread: any.
 */
NVMUX_API void nvmux_trid_take_source(struct nvmux_trid *trid, const struct nvmux_trid *from);

/**
 * nvmux_trid_format() - the inverse of nvmux_trid_parse(), in the first way of writing.
 *
 * Return: 0, or -ENOSPC when @size (bytes) doesn't hold it. Thread: any.
 */
NVMUX_API int nvmux_trid_format(const struct nvmux_trid *trid, char *buf, size_t size);

/**
 * nvmux_trid_compare() - order of two transport ids; 0 when they name the same thing.
 *
 * PCI and IP addresses are compared as numbers, families and types by value, NQNs by byte. For RDMA
 * no trsvcid is 4420, and another host_traddr or host_iface is another path. Thread: any.
 */
NVMUX_API int nvmux_trid_compare(const struct nvmux_trid *a, const struct nvmux_trid *b);

/**
 * nvmux_nqn_check() - whether an NVMe qualified name can be that of a host.
 *
 * It begins with "nqn.", says more, has at most 223 bytes, all of them printable ASCII without
 * spaces. Base specification 2.0, section 4.5.
 *
 * Return: NULL, or the rule that it breaks, for people. Thread: any.
 */
NVMUX_API const char *nvmux_nqn_check(const char *nqn);

/** nvmux_trtype_string() - "PCIE", "VFIOUSER", "RDMA", "DAEMON", "LOOPBACK"; NULL if unknown. */
NVMUX_API const char *nvmux_trtype_string(enum nvmux_trtype trtype);

/** nvmux_transport_available() - whether this build has it. */
NVMUX_API bool nvmux_transport_available(enum nvmux_trtype trtype);
/** nvmux_trtype_parse() - a transport's name, in any case ("vfio-user" too). 0 or -EINVAL. */
NVMUX_API int nvmux_trtype_parse(enum nvmux_trtype *ret, const char *text);

/** nvmux_adrfam_string() - "IPv4", "IPv6", "IB"; NULL if none. */
NVMUX_API const char *nvmux_adrfam_string(enum nvmux_adrfam adrfam);

/** nvmux_adrfam_parse() - an address family's name, in any case. 0 or -EINVAL. */
NVMUX_API int nvmux_adrfam_parse(enum nvmux_adrfam *ret, const char *text);

#ifdef __cplusplus
}
#endif
#endif
