// SPDX-License-Identifier: BSD-3-Clause
/* How to connect to a controller or a discovery service: options, and what fits together. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "conf/conf.h"
#include "libcore/util.h"

#define OPTION(name, min, max, fabrics, def, help) \
	{#name, min, max, offsetof(struct nvmux_ctrlr_opts, name), fabrics},
const struct conf_option conf_options[] = {CONF_OPTIONS(OPTION){NULL, 0, 0, 0, false}};

__attribute__((format(printf, 3, 4))) static int refuse(char *why, size_t why_size, const char *fmt,
							...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, why_size, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- options ---- */

void conf_controller_init(struct conf_controller *controller)
{
	memset(controller, 0, sizeof(*controller));
	nvmux_ctrlr_opts_init(&controller->opts, sizeof(controller->opts));
	controller->opts.io_timeout_ms = CONF_IO_TIMEOUT_MS;
	controller->opts.removal_timeout_ms = CONF_REMOVAL_TIMEOUT_MS;
}

const struct conf_option *conf_option_find(const char *name)
{
	for (const struct conf_option *option = conf_options; option->name; option++) {
		if (strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}

void conf_controller_set_option(struct conf_controller *controller,
				const struct conf_option *option, int64_t value)
{
	/* signed or not: the four bytes are the same */
	uint32_t word = (uint32_t)value;

	NVMUX_ASSERT(value >= option->min && value <= option->max);
	memcpy((char *)&controller->opts + option->offset, &word, sizeof(word));
	controller->given |= 1u << (option - conf_options);
	if (option->fabrics)
		controller->fabrics_key = option->name;
}

int64_t conf_controller_get_option(const struct conf_controller *controller,
				   const struct conf_option *option)
{
	int32_t word;

	memcpy(&word, (const char *)&controller->opts + option->offset, sizeof(word));
	return option->min < 0 ? word : (int64_t)(uint32_t)word;
}

bool conf_option_given(const struct conf_controller *controller, const char *name)
{
	const struct conf_option *option = conf_option_find(name);

	return option && controller->given >> (option - conf_options) & 1;
}

int conf_controller_set_hostnqn(struct conf_controller *controller, const char *value, char *why,
				size_t why_size)
{
	const char *rule = nvmux_nqn_check(value);

	if (rule)
		return refuse(why, why_size, "%s", rule);
	strcpy(controller->opts.hostnqn, value);
	controller->fabrics_key = "hostnqn";
	return 0;
}

/* The hyphens of a UUID may be left out. */
static int parse_hostid(const char *text, uint8_t ret[16])
{
	char copy[NVMUX_UUID_TEXT];

	if (strlen(text) != 32)
		return nvmux_hostid_parse(text, ret);
	snprintf(copy, sizeof(copy), "%.8s-%.4s-%.4s-%.4s-%.12s", text, text + 8, text + 12,
		 text + 16, text + 20);
	return nvmux_hostid_parse(copy, ret);
}

int conf_controller_set_hostid(struct conf_controller *controller, const char *value, char *why,
			       size_t why_size)
{
	if (parse_hostid(value, controller->opts.hostid))
		return refuse(why, why_size,
			      "a host identifier is a UUID such as "
			      "4f6f0a5e-5d2c-4c8e-9d3b-7a6c1e2f3b40, and not all zero");
	controller->fabrics_key = "hostid";
	return 0;
}

/* ---- what fits together ---- */

bool conf_is_fabrics(const struct nvmux_trid *trid)
{
	return trid->trtype == NVMUX_TRTYPE_RDMA;
}

static const char *fabrics_key_of(const struct conf_controller *controller)
{
	if (controller->trid.host_traddr[0])
		return "host_traddr";
	if (controller->trid.host_iface[0])
		return "host_iface";
	return controller->fabrics_key;
}

/* delay ≤ fast I/O fail ≤ loss, where these are times at all. */
static int check_order(const struct nvmux_ctrlr_opts *opts, char *why, size_t why_size)
{
	int32_t delay = opts->reconnect_delay_sec, fast = opts->fast_io_fail_timeout_sec;
	int32_t loss = opts->ctrlr_loss_timeout_sec;

	if (fast > 0 && fast < delay)
		return refuse(why, why_size,
			      "fast_io_fail_timeout_sec is %d; it must be at least "
			      "reconnect_delay_sec, which is %d",
			      fast, delay);
	if (loss > 0 && loss < delay)
		return refuse(why, why_size,
			      "ctrlr_loss_timeout_sec is %d; it must be at least "
			      "reconnect_delay_sec, which is %d",
			      loss, delay);
	if (fast > 0 && loss >= 0 && loss < fast)
		return refuse(why, why_size,
			      "ctrlr_loss_timeout_sec is %d; it must be at least "
			      "fast_io_fail_timeout_sec, which is %d",
			      loss, fast);
	return 0;
}

static int check_subnqn(const struct nvmux_trid *trid, char *why, size_t why_size)
{
	const char *rule = trid->subnqn[0] ? nvmux_nqn_check(trid->subnqn) : NULL;

	return rule ? refuse(why, why_size, "subnqn is '%.150s': %s", trid->subnqn, rule) : 0;
}

static int check_connection(struct conf_controller *controller, const struct nvmux_ctrlr_opts *opts,
			    char *why, size_t why_size)
{
	int err = nvmux_trid_check(&controller->trid, why, why_size);

	if (!err)
		err = check_subnqn(&controller->trid, why, why_size);
	return err ? err : check_order(opts, why, why_size);
}

int conf_probe_check(struct conf_controller *controller, char *why, size_t why_size)
{
	const char *key = fabrics_key_of(controller);

	if (!conf_is_fabrics(&controller->trid)) {
		if (key)
			return refuse(why, why_size,
				      "%s makes sense for fabrics (RDMA) only; trtype is %s", key,
				      nvmux_trtype_string(controller->trid.trtype));
		return 0;
	}
	return check_connection(controller, &controller->opts, why, why_size);
}

int conf_controller_check(struct conf_controller *controller, char *why, size_t why_size)
{
	if (controller->trid.trtype == NVMUX_TRTYPE_DAEMON)
		return refuse(why, why_size, "trtype DAEMON is for clients of nvmuxd");
	if (!controller->trid.traddr[0])
		return refuse(why, why_size, "traddr is missing: it names the controller");
	if (conf_is_fabrics(&controller->trid) && !controller->trid.subnqn[0])
		return refuse(why, why_size,
			      "subnqn is missing: it names the subsystem; a discovery service "
			      "reports those that there are");
	return conf_probe_check(controller, why, why_size);
}

int conf_discovery_check(struct conf_controller *discovery, char *why, size_t why_size)
{
	struct nvmux_ctrlr_opts opts = discovery->opts;

	if (!conf_is_fabrics(&discovery->trid))
		return refuse(why, why_size, "trtype is %s; a discovery service is reached by RDMA",
			      nvmux_trtype_string(discovery->trid.trtype));
	if (!discovery->trid.traddr[0])
		return refuse(why, why_size, "traddr is missing: it names the discovery service");
	if (!discovery->trid.subnqn[0])
		strcpy(discovery->trid.subnqn, NVMUX_DISCOVERY_NQN);
	/* what is attached has the default of controllers; the service itself isn't given up */
	if (!discovery->attach && !conf_option_given(discovery, "ctrlr_loss_timeout_sec"))
		opts.ctrlr_loss_timeout_sec = -1;
	return check_connection(discovery, &opts, why, why_size);
}
