/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Admin commands with a function of their own.
 *
 * Control thread. Functions named nvmux_ctrlr_cmd_… return 0 when @cb will be called exactly once
 * (from nvmux_process() or nvmux_ctrlr_process_admin_completions()), else a negative errno value:
 * -EINVAL (a parameter; the error text names it), -EOPNOTSUPP (the controller doesn't offer it),
 * -ENOMEM, -ENXIO (failed). Those without _cmd_ wait, and also return -EIO when the controller
 * refused (the error text has the status); within a callback they are -EDEADLK. Buffers may be any
 * memory, as with nvmux_ctrlr_cmd_admin_raw(), and stay the library's until the callback.
 *
 * Through the daemon they need the rights of the commands that they send: what others would notice
 * needs the admin right (the callback gets NVMUX_SC_ACCESS_DENIED).
 */
#ifndef NVMUX_ADMIN_H
#define NVMUX_ADMIN_H

#include <nvmux/ctrlr.h>
#include <nvmux/qpair.h>

#ifdef __cplusplus
extern "C" {
#endif

struct nvme_id_ns; /* <nvme/types.h> */

/* ---- reading ---- */

/** nvmux_ctrlr_cmd_identify() - Identify, any CNS. Base specification 2.0, section 5.17.
 * @buf: 4096 bytes. */
NVMUX_API int nvmux_ctrlr_cmd_identify(struct nvmux_ctrlr *ctrlr, uint8_t cns, uint32_t nsid,
				       uint16_t cntid, uint8_t csi, uint16_t cns_specific,
				       void *buf, nvmux_cmd_cb cb, void *arg);

/**
 * struct nvmux_log_opts - what Get Log Page can have beyond the page and the namespace.
 * @size: sizeof(struct nvmux_log_opts) of the caller.
 * @lsp, @lsi: log specific parameter and identifier. @csi: command set. @uuid_index.
 * @offset: bytes, a multiple of 4; with @offset_is_index an index (OT).
 * @clear: clear the event that the page belongs to (RAE=0); through the daemon it is ignored: only
 *	the daemon clears events.
 */
struct nvmux_log_opts {
	size_t size;
	uint8_t lsp;
	uint16_t lsi;
	uint8_t csi;
	uint8_t uuid_index;
	uint64_t offset;
	bool offset_is_index;
	bool clear;
};

/**
 * nvmux_ctrlr_cmd_get_log_page() - Get Log Page, section 5.16; any length.
 * @len: bytes, a multiple of 4; more than the transfer limit is read in several commands.
 * @opts: may be NULL.
 */
NVMUX_API int nvmux_ctrlr_cmd_get_log_page(struct nvmux_ctrlr *ctrlr, uint8_t lid, uint32_t nsid,
					   void *buf, uint32_t len,
					   const struct nvmux_log_opts *opts, nvmux_cmd_cb cb,
					   void *arg);

/** nvmux_ctrlr_is_log_page_supported() - by the log pages' own list (LID 0h), or by LPA and the
 * specification's mandatory ones. */
NVMUX_API bool nvmux_ctrlr_is_log_page_supported(const struct nvmux_ctrlr *ctrlr, uint8_t lid);
NVMUX_API bool nvmux_ctrlr_is_feature_supported(const struct nvmux_ctrlr *ctrlr, uint8_t fid);

/** enum nvmux_effects - of a command, as in the Commands Supported and Effects log, section
 * 5.16.1.6. */
enum nvmux_effects {
	NVMUX_EFFECT_SUPPORTED = 1 << 0,
	NVMUX_EFFECT_LBA_CONTENT = 1 << 1,   /* LBCC */
	NVMUX_EFFECT_NS_CAPABILITY = 1 << 2, /* NCC */
	NVMUX_EFFECT_NS_INVENTORY = 1 << 3,  /* NIC */
	NVMUX_EFFECT_CTRLR = 1 << 4,         /* CCC */
	/* CSE, bits 18:16: 1: no other command on the namespace meanwhile, 2: on any */
	NVMUX_EFFECT_CSE_SHIFT = 16,
};
/** nvmux_ctrlr_get_effects() - of an admin or I/O command: enum nvmux_effects; by the controller's
 * log where it has one, else by what the specification says of the command. */
NVMUX_API uint32_t nvmux_ctrlr_get_effects(const struct nvmux_ctrlr *ctrlr, bool io, uint8_t opc);

/* ---- features. Sections 5.15 and 5.27 ---- */

/** nvmux_ctrlr_cmd_get_feature() - @sel: 0 current, 1 default, 2 saved, 3 capabilities; the value
 * is the completion's dw0. @nsid: 0 where it isn't of a namespace. */
NVMUX_API int nvmux_ctrlr_cmd_get_feature(struct nvmux_ctrlr *ctrlr, uint8_t fid, uint8_t sel,
					  uint32_t nsid, uint32_t cdw11, void *buf, uint32_t len,
					  nvmux_cmd_cb cb, void *arg);
/** nvmux_ctrlr_cmd_set_feature() - those that the library needs for itself (number of queues,
 * interrupts, events, KATO, host memory buffer, host identifier) are -EBUSY. */
NVMUX_API int nvmux_ctrlr_cmd_set_feature(struct nvmux_ctrlr *ctrlr, uint8_t fid, bool save,
					  uint32_t nsid, uint32_t cdw11, uint32_t cdw12, void *buf,
					  uint32_t len, nvmux_cmd_cb cb, void *arg);

/* ---- abort. Section 5.1 ---- */

/** nvmux_ctrlr_cmd_abort() - ask for a command's end; bit 0 of dw0 clear: it was aborted. */
NVMUX_API int nvmux_ctrlr_cmd_abort(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
				    uint16_t cid, nvmux_cmd_cb cb, void *arg);
/**
 * nvmux_ctrlr_cmd_abort_ext() - the same for all commands of a queue pair (NULL: admin) that were
 * submitted with @cmd_arg; the queue pair must be this thread's. Of I/O that became several
 * commands those are meant that have been sent.
 * Return: 0; -ENOENT: none is with the controller.
 */
NVMUX_API int nvmux_ctrlr_cmd_abort_ext(struct nvmux_ctrlr *ctrlr, struct nvmux_qpair *qpair,
					const void *cmd_arg, nvmux_cmd_cb cb, void *arg);

/* ---- namespaces. Sections 5.14, 5.20, 5.21 ---- */

/** nvmux_ctrlr_create_ns() - @data: NSZE, NCAP, FLBAS, DPS, NMIC, …; @ret_nsid: the new one. */
NVMUX_API int nvmux_ctrlr_create_ns(struct nvmux_ctrlr *ctrlr, const struct nvme_id_ns *data,
				    uint8_t csi, uint32_t *ret_nsid);
NVMUX_API int nvmux_ctrlr_delete_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid);
/** nvmux_ctrlr_attach_ns() - to these controllers (of the subsystem); at most 2047. */
NVMUX_API int nvmux_ctrlr_attach_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid,
				    const uint16_t *cntids, uint32_t n_cntids);
NVMUX_API int nvmux_ctrlr_detach_ns(struct nvmux_ctrlr *ctrlr, uint32_t nsid,
				    const uint16_t *cntids, uint32_t n_cntids);

/** struct nvmux_format - Format NVM, section 5.14. */
struct nvmux_format {
	uint8_t lbaf;       /* index of the format, 0 to 63 */
	bool md_interleaved; /* MSET */
	uint8_t pi;         /* 0 to 3 */
	bool pi_first;      /* PIL */
	uint8_t ses;        /* secure erase: 0 none, 1 user data, 2 cryptographic */
};
/** nvmux_ctrlr_format() - @nsid FFFFFFFFh: all. Waits until it is done, however long, and until
 * the namespaces have been looked at anew; no I/O may be in flight on them. */
NVMUX_API int nvmux_ctrlr_format(struct nvmux_ctrlr *ctrlr, uint32_t nsid,
				 const struct nvmux_format *format);

/* ---- sanitize, self-test. Sections 5.24, 5.10 ---- */

enum nvmux_sanitize_action {
	NVMUX_SANITIZE_EXIT_FAILURE = 1,
	NVMUX_SANITIZE_BLOCK_ERASE = 2,
	NVMUX_SANITIZE_OVERWRITE = 3,
	NVMUX_SANITIZE_CRYPTO_ERASE = 4,
};
/** struct nvmux_sanitize - @ause: unrestricted failure exit; @owpass 0: 16 passes; @oipbp:
 * invert the pattern between passes; @no_dealloc: don't deallocate afterwards. */
struct nvmux_sanitize {
	enum nvmux_sanitize_action action;
	bool ause;
	uint8_t owpass;
	bool oipbp;
	bool no_dealloc;
	uint32_t pattern;
};
/** nvmux_ctrlr_cmd_sanitize() - begins it; how far it is says the Sanitize Status log (LID 81h). */
NVMUX_API int nvmux_ctrlr_cmd_sanitize(struct nvmux_ctrlr *ctrlr,
				       const struct nvmux_sanitize *sanitize, nvmux_cmd_cb cb,
				       void *arg);
/** nvmux_ctrlr_cmd_self_test() - @stc: 1 short, 2 extended, Eh vendor's, Fh abort. */
NVMUX_API int nvmux_ctrlr_cmd_self_test(struct nvmux_ctrlr *ctrlr, uint32_t nsid, uint8_t stc,
					nvmux_cmd_cb cb, void *arg);

/* ---- firmware. Sections 5.11, 5.12 ---- */

/** nvmux_ctrlr_cmd_fw_download() - one piece; @offset and @len in bytes, multiples of 4. */
NVMUX_API int nvmux_ctrlr_cmd_fw_download(struct nvmux_ctrlr *ctrlr, const void *buf, uint32_t len,
					  uint32_t offset, nvmux_cmd_cb cb, void *arg);
/** nvmux_ctrlr_cmd_fw_commit() - @slot: 0 to 7; @action: CA, 0 to 7; @bpid: boot partition. */
NVMUX_API int nvmux_ctrlr_cmd_fw_commit(struct nvmux_ctrlr *ctrlr, uint8_t slot, uint8_t action,
					bool bpid, nvmux_cmd_cb cb, void *arg);
/**
 * nvmux_ctrlr_update_firmware() - download a whole image in pieces of the controller's granularity
 * (FWUG) and commit it.
 * @ret_status: the commit's status: 0, or that a reset is needed, and of which kind; may be NULL.
 */
NVMUX_API int nvmux_ctrlr_update_firmware(struct nvmux_ctrlr *ctrlr, const void *image, size_t size,
					  uint8_t slot, uint8_t action, uint16_t *ret_status);

/* ---- security, directives. Sections 5.25, 5.26, 5.8, 5.9 ---- */

NVMUX_API int nvmux_ctrlr_cmd_security_receive(struct nvmux_ctrlr *ctrlr, uint8_t secp,
					       uint16_t spsp, uint8_t nssf, void *buf,
					       uint32_t len, nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ctrlr_cmd_security_send(struct nvmux_ctrlr *ctrlr, uint8_t secp, uint16_t spsp,
					    uint8_t nssf, const void *buf, uint32_t len,
					    nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ctrlr_cmd_directive_receive(struct nvmux_ctrlr *ctrlr, uint32_t nsid,
						uint8_t doper, uint8_t dtype, uint16_t dspec,
						void *buf, uint32_t len, uint32_t cdw12,
						nvmux_cmd_cb cb, void *arg);
NVMUX_API int nvmux_ctrlr_cmd_directive_send(struct nvmux_ctrlr *ctrlr, uint32_t nsid,
					     uint8_t doper, uint8_t dtype, uint16_t dspec,
					     const void *buf, uint32_t len, uint32_t cdw12,
					     nvmux_cmd_cb cb, void *arg);

/*
 * ---- boot partitions. Section 8.2. -EOPNOTSUPP: there are none (CAP.BPS); -EACCES: through the
 * daemon, or over a fabric: they are read by registers ----
 */

/**
 * nvmux_ctrlr_read_boot_partition() - @len bytes from @offset, both multiples of 4096, of partition
 * @bpid, 0 or 1.
 */
NVMUX_API int nvmux_ctrlr_read_boot_partition(struct nvmux_ctrlr *ctrlr, uint8_t bpid, void *buf,
					      uint32_t len, uint32_t offset);
/** nvmux_ctrlr_write_boot_partition() - download and commit (CA 6h), not activated. */
NVMUX_API int nvmux_ctrlr_write_boot_partition(struct nvmux_ctrlr *ctrlr, uint8_t bpid,
					       const void *image, uint32_t size);

#ifdef __cplusplus
}
#endif
#endif
