// SPDX-License-Identifier: BSD-3-Clause
/*
 * SIGINT and SIGTERM as a flag. The flag is the one variable of the program that isn't somebody's
 * own: a signal handler can reach nothing else.
 *
 * System calls aren't restarted, so that one which waits for a slow reader ends with EINTR. A
 * second signal ends the program at once.
 */
#include <stddef.h>

#include "cli/cli.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = number;
}

void cli_interrupt_catch(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	/* A reader that has gone is an error of write(), not the end of the program. */
	signal(SIGPIPE, SIG_IGN);
}

void cli_interrupt_block(sigset_t *ret_before)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, ret_before);
}

void cli_interrupt_wait(struct pollfd *fd, const sigset_t *before)
{
	if (!cli_interrupted())
		ppoll(fd, 1, NULL, before);
}

void cli_interrupt_unblock(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

bool cli_interrupted(void)
{
	return interrupted;
}
