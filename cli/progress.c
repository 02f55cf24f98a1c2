// SPDX-License-Identifier: BSD-3-Clause
/* A progress bar on standard error. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/progress.h"

#define WIDTH       30
#define INTERVAL_NS 100000000ull

void cli_progress_begin(struct cli_progress *progress, uint64_t total)
{
	*progress = (struct cli_progress){.on = isatty(STDERR_FILENO), .total = total};
	if (progress->on)
		progress->start_ns = progress->shown_ns = cli_now_ns();
}

void cli_progress_begin_percent(struct cli_progress *progress)
{
	cli_progress_begin(progress, 100);
	progress->percent = true;
}

bool cli_progress_due(const struct cli_progress *progress)
{
	return progress->on && cli_now_ns() - progress->shown_ns >= INTERVAL_NS;
}

static void show_amount(const struct cli_progress *progress, uint64_t done)
{
	uint64_t elapsed = progress->shown_ns - progress->start_ns;
	char amount[32], speed[32];

	if (progress->percent) {
		cli_format_duration(elapsed / 1000000, amount, sizeof(amount));
		fprintf(stderr, "%s\033[K", amount);
		return;
	}
	cli_format_size(done, amount, sizeof(amount));
	cli_format_size((uint64_t)((double)done * 1e9 / (double)elapsed), speed, sizeof(speed));
	fprintf(stderr, "%s, %s/s\033[K", amount, speed);
}

void cli_progress_update(struct cli_progress *progress, uint64_t done)
{
	static const char full[WIDTH + 1] = "##############################";
	int filled;

	if (!cli_progress_due(progress))
		return;
	progress->shown_ns = cli_now_ns();
	if (progress->total) {
		filled = (int)((double)done / (double)progress->total * WIDTH);
		fprintf(stderr, "\r[%-*.*s] %3.0f %%  ", WIDTH, filled, full,
			(double)done / (double)progress->total * 100);
	} else {
		fputc('\r', stderr);
	}
	show_amount(progress, done);
	fflush(stderr);
}

void cli_progress_end(struct cli_progress *progress)
{
	if (progress->on)
		fputs("\r\033[K", stderr);
	progress->on = false;
}
