// SPDX-License-Identifier: BSD-3-Clause
/* The context: options, transports, error text, log. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host.h"
#include "transport.h"

#define WINDOW_DEFAULT (64ull << 30)
#define WINDOW_MAX     (256ull << 30) /* 39 bits of IOVA, as small virtual IOMMUs have, hold it */
#define SLOT_SIZE      (1ull << NVMUX_SLOT_SHIFT)

const char *nvmux_version(void)
{
	return NVMUX_VERSION;
}

void nvmux_opts_init(struct nvmux_opts *opts, size_t size)
{
	struct nvmux_opts defaults = {
		.size = size,
		.mem_window = WINDOW_DEFAULT,
	};

	memset(opts, 0, size);
	memcpy(opts, &defaults, MIN(size, sizeof(defaults)));
}

int nvmux_transport_register(struct nvmux *nvmux, const struct nvmux_transport *transport)
{
	NVMUX_ASSERT(transport->trtype < NVMUX_TRTYPE_COUNT);
	if (nvmux->transports[transport->trtype])
		return nvmux_error(nvmux, -EEXIST, "transport %s is already registered",
				   nvmux_trtype_string(transport->trtype));
	nvmux->transports[transport->trtype] = transport;
	return 0;
}

/* The host's own, which the caller's memory needn't hold for longer than the call. */
static int take_identity(struct nvmux *nvmux)
{
	const char *nqn = nvmux->opts.hostnqn, *id = nvmux->opts.hostid;
	const char *wrong = nqn ? nvmux_nqn_check(nqn) : NULL;

	nvmux->opts.hostnqn = nvmux->opts.hostid = NULL;
	if (wrong)
		return nvmux_error(nvmux, -EINVAL, "hostnqn is '%.*s': %s", NVMUX_NQN_MAX, nqn,
				   wrong);
	if (nqn)
		strcpy(nvmux->hostnqn, nqn);
	if (id && nvmux_hostid_parse(id, nvmux->hostid))
		return nvmux_error(nvmux, -EINVAL,
				   "hostid is '%.64s'; it must be a UUID, not all zero", id);
	return 0;
}

static int take_opts(struct nvmux *nvmux, const struct nvmux_opts *opts)
{
	nvmux_opts_init(&nvmux->opts, sizeof(nvmux->opts));
	if (!opts)
		return 0;
	if (opts->size < sizeof(opts->size) || opts->size > 4096)
		return -EINVAL;
	memcpy(&nvmux->opts, opts, MIN(opts->size, sizeof(nvmux->opts)));
	if (nvmux->opts.mem_window < SLOT_SIZE || nvmux->opts.mem_window > WINDOW_MAX ||
	    nvmux->opts.mem_window % SLOT_SIZE)
		return nvmux_error(nvmux, -EINVAL,
				   "mem_window is %llu; it must be a multiple of 2 MiB, at most "
				   "256 GiB",
				   (unsigned long long)nvmux->opts.mem_window);
	return take_identity(nvmux);
}

/* Address space without memory, aligned so that slot boundaries are huge-page boundaries. */
static int reserve_window(struct nvmux *nvmux)
{
	uint64_t size = nvmux->opts.mem_window;
	uint8_t *raw = mmap(NULL, size + SLOT_SIZE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	uint8_t *start;

	if (raw == MAP_FAILED)
		return -ENOMEM;
	start = (uint8_t *)align_up((uint64_t)raw, SLOT_SIZE);
	if (start != raw)
		munmap(raw, (size_t)(start - raw));
	munmap(start + size, (size_t)(raw + SLOT_SIZE - start));
	nvmux->window = start;
	nvmux->window_size = size;
	nvmux->n_slots = (uint32_t)(size >> NVMUX_SLOT_SHIFT);
	nvmux->slot_mem = nvmux_table_new(nvmux->n_slots, sizeof(*nvmux->slot_mem));
	return nvmux->slot_mem ? 0 : -ENOMEM;
}

int nvmux_create(const struct nvmux_opts *opts, struct nvmux **ret)
{
	struct nvmux *nvmux = calloc(1, sizeof(*nvmux));
	int err;

	if (!nvmux)
		return -ENOMEM;
	nvmux->epoll_fd = -1;
	nvmux->timer_fd = -1;
	TAILQ_INIT(&nvmux->mems);
	err = nvmux_loop_init(nvmux);
	if (err)
		goto fail;
	err = take_opts(nvmux, opts);
	if (err)
		goto fail;
	err = reserve_window(nvmux);
	if (err)
		goto fail;
	for (const struct nvmux_transport *const *t = nvmux_builtin_transports; *t; t++)
		nvmux_transport_register(nvmux, *t);
	*ret = nvmux;
	return 0;
fail:
	/* The error text goes with the context. */
	if (nvmux->error[0])
		nvmux_log(nvmux, NVMUX_LOG_ERROR, "context", "%s", nvmux->error);
	nvmux_destroy(nvmux);
	return err;
}

void nvmux_destroy(struct nvmux *nvmux)
{
	if (!nvmux)
		return;
	NVMUX_ASSERT(!nvmux->processing);
	nvmux->ending = true;
	for (unsigned i = 0; i < NVMUX_CTRLRS_MAX; i++)
		nvmux_ctrlr_end(nvmux, i);
	for (unsigned i = 0; i < NVMUX_TRTYPE_COUNT; i++) {
		if (nvmux->transports[i] && nvmux->transports[i]->context_end)
			nvmux->transports[i]->context_end(nvmux);
	}
	while (!TAILQ_EMPTY(&nvmux->mems))
		nvmux_mem_release(TAILQ_FIRST(&nvmux->mems));
	nvmux_loop_fini(nvmux);
	if (nvmux->window)
		munmap(nvmux->window, nvmux->window_size);
	nvmux_table_free(nvmux->slot_mem, nvmux->n_slots, sizeof(*nvmux->slot_mem));
	free(nvmux);
}

const char *nvmux_error_text(const struct nvmux *nvmux)
{
	return nvmux->error;
}

int nvmux_error(struct nvmux *nvmux, int err, const char *fmt, ...)
{
	char text[sizeof(nvmux->error)]; /* the arguments may contain the text they replace */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	memcpy(nvmux->error, text, sizeof(text));
	return err;
}

void nvmux_log(struct nvmux *nvmux, enum nvmux_log_level level, const char *module, const char *fmt,
	       ...)
{
	char text[512];
	va_list ap;

	if (!nvmux->opts.log)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	nvmux->opts.log(nvmux->opts.log_arg, level, module, text);
}
