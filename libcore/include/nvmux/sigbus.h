/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For programs: devices that are pulled out while their registers are mapped.
 *
 * An access to a register or doorbell of such a device raises SIGBUS. The library installs no
 * signal handler; a program that drives local controllers (PCIe, vfio-user) calls
 * nvmux_sigbus_install(), or calls nvmux_handle_sigbus() in a handler of its own. Through the
 * daemon neither is needed.
 */
#ifndef NVMUX_SIGBUS_H
#define NVMUX_SIGBUS_H

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <nvmux/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * nvmux_handle_sigbus() - part of a SIGBUS handler: is it a device that has gone?
 * @nvmux: the context.
 * @addr: si_addr of the signal.
 *
 * If @addr lies in registers or doorbells of one of the context's controllers, a page of ones takes
 * its place, the controller is lost (told by nvmux_process() of its thread), and the handler may
 * return. Async-signal-safe. Thread: any.
 *
 * Return: false: the fault has another reason.
 */
NVMUX_API bool nvmux_handle_sigbus(const struct nvmux *nvmux, const void *addr);

#ifdef SA_SIGINFO /* not in strictly standard C */

/* What nvmux_sigbus_install() keeps: of the program that includes this, not of the library. */
struct nvmux_sigbus {
	const struct nvmux *nvmux;
	struct sigaction before;
	void (*otherwise)(void); /* called first when the fault has another reason; or NULL */
};

static inline struct nvmux_sigbus *nvmux_sigbus_state(void)
{
	static struct nvmux_sigbus state;

	return &state;
}

/* Pass it on to whoever handled SIGBUS before. */
static inline void nvmux_sigbus_chain(int signo, siginfo_t *info, void *ucontext)
{
	struct nvmux_sigbus *state = nvmux_sigbus_state();

	if (state->otherwise)
		state->otherwise();
	if (state->before.sa_flags & SA_SIGINFO) {
		state->before.sa_sigaction(signo, info, ucontext);
	} else if (state->before.sa_handler != SIG_DFL && state->before.sa_handler != SIG_IGN) {
		state->before.sa_handler(signo);
	} else {
		signal(signo, SIG_DFL);
		raise(signo);
	}
}

static inline void nvmux_sigbus_handler(int signo, siginfo_t *info, void *ucontext)
{
	const struct nvmux *nvmux = nvmux_sigbus_state()->nvmux;

	if (!nvmux || !nvmux_handle_sigbus(nvmux, info->si_addr))
		nvmux_sigbus_chain(signo, info, ucontext);
}

/**
 * nvmux_sigbus_install() - handle SIGBUS for one context; other faults go to the handler before.
 * @nvmux: the context, or NULL: the handler before takes its place again.
 * @otherwise: async-signal-safe; called before a fault that isn't ours is passed on, or NULL.
 *
 * Return: 0 or what sigaction() failed with, as a negative errno value. Call it again with NULL
 * before the context is destroyed.
 */
static inline int nvmux_sigbus_install(const struct nvmux *nvmux, void (*otherwise)(void))
{
	struct nvmux_sigbus *state = nvmux_sigbus_state();
	struct sigaction action;
	bool installed = state->nvmux != NULL;

	if (!nvmux) {
		if (installed)
			sigaction(SIGBUS, &state->before, NULL);
		state->nvmux = NULL;
		return 0;
	}
	state->nvmux = nvmux;
	state->otherwise = otherwise;
	if (installed)
		return 0;
	sigemptyset(&action.sa_mask);
	action.sa_flags = SA_SIGINFO;
	action.sa_sigaction = nvmux_sigbus_handler;
	if (!sigaction(SIGBUS, &action, &state->before))
		return 0;
	state->nvmux = NULL;
	return -errno;
}

#endif

#ifdef __cplusplus
}
#endif
#endif
