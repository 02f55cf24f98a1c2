// SPDX-License-Identifier: BSD-3-Clause
/*
 * Every fault of the emulator in every state of a controller's life (fault_matrix.h), each alone,
 * with a detach and with a reset during the step. Each cell ends as documented, within its
 * deadline, with one callback for each command, and leaves nothing behind.
 *
 * A row runs in a process of its own, so that most of the waiting is done at the same time. With
 * --table the program prints the table of docs/faults.md.
 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <nvmux/fault.h>
#include <nvmux/io.h>
#include <nvmux/sigbus.h>
#include "emulator/fault.h"
#include "emulator/loopback.h"
#include "fault_matrix.h"
#include "libcore/ctrlr_state.h"
#include "libcore/faults.h"

#define READY_MS 500
#define KINDS    3 /* of resets: controller, function, subsystem */
/* What docs/faults.md says: detection and two rungs of a queue pair, the wait for owners, a reset
 * with all of its kinds; and time to be scheduled. */
#define BOUND_MS(over) \
	(6 * (over)->io_ms + KINDS * (2 * READY_MS + 4 * (over)->admin_ms) + 1000)
#define DEVICE    "mem,size=4M,queues=4,ready=1"
#define CMDS      64
#define LOAD     24
#define IN_FLIGHT 4

enum disturb {
	ALONE,
	DETACHED,
	RESET,
	DISTURBS,
};

static const char *const disturbs[DISTURBS] = {"alone", "detached", "reset"};

struct cmd {
	uint32_t calls;
	uint16_t status;
};

/* A way to a device. Another process has to be waited for, and for its turn on the processor. */
struct over {
	const char *name;
	enum nvmux_trtype trtype;
	uint32_t io_ms;
	uint32_t admin_ms;
};

static const struct over loopback = {"loopback", NVMUX_TRTYPE_LOOPBACK, 60, 90};
/* Opening has a deadline of admin_ms, in which another process has to have its turn. */
static const struct over vfio_user = {"vfio-user", NVMUX_TRTYPE_VFIOUSER, 160, 600};

struct call {
	bool begun;
	uint32_t calls;
	int err;
};

struct lab {
	const struct over *over;
	const char *dir; /* of the emulator's sockets, over vfio-user */
	struct nvmux *nvmux;
	struct nvmux_ctrlr *ctrlr;
	struct nvmux_qpair *qpair;
	struct nvmux_mem *mem;
	struct cmd cmds[CMDS];
	uint32_t n_cmds;
	uint32_t removed;
	struct call attach, alloc, reset, detach;
	uint64_t begun_ms;
	char why[512];
};

#define FAIL(lab, ...) \
	((lab)->why[0] ? (void)0 : (void)snprintf((lab)->why, sizeof((lab)->why), __VA_ARGS__))

/* ---- ends ---- */

static void end_call(struct call *call, int err)
{
	call->calls++;
	call->err = err;
}

static void cmd_done(void *arg, const struct nvmux_cpl *cpl)
{
	struct cmd *cmd = arg;

	cmd->calls++;
	cmd->status = nvmux_cpl_status(cpl);
}

static void removed(void *arg, struct nvmux_ctrlr *ctrlr)
{
	((struct lab *)arg)->removed++;
}

static void attached(void *arg, const struct nvmux_trid *trid, struct nvmux_ctrlr *ctrlr, int err)
{
	struct lab *lab = arg;

	lab->ctrlr = ctrlr;
	if (ctrlr)
		nvmux_ctrlr_set_remove_cb(ctrlr, removed, lab);
	end_call(&lab->attach, err);
}

static void allocated(void *arg, struct nvmux_qpair *qpair, int err)
{
	struct lab *lab = arg;

	lab->qpair = err ? NULL : qpair;
	end_call(&lab->alloc, err);
}

static void was_reset(void *arg, int err, uint64_t value)
{
	end_call(&((struct lab *)arg)->reset, err);
}

static void was_detached(void *arg, int err)
{
	struct lab *lab = arg;

	lab->ctrlr = NULL;
	lab->qpair = NULL;
	end_call(&lab->detach, err);
}

/* ---- begins ---- */

static void connect_to(struct lab *lab, const char *faults)
{
	struct nvmux_trid trid = {.trtype = lab->over->trtype};
	struct nvmux_ctrlr_opts opts;

	if (lab->dir)
		snprintf(trid.traddr, sizeof(trid.traddr), "%s", lab->dir);
	else
		snprintf(trid.traddr, sizeof(trid.traddr), DEVICE "%s%s",
			 faults ? ",fault=" : "", faults ?: "");
	nvmux_ctrlr_opts_init(&opts, sizeof(opts));
	opts.io_timeout_ms = lab->over->io_ms;
	opts.admin_timeout_ms = lab->over->admin_ms;
	opts.use_shutdown_notification = true;
	lab->attach.begun = true;
	if (nvmux_connect_async(lab->nvmux, &trid, &opts, attached, lab))
		FAIL(lab, "attaching: %s", nvmux_error_text(lab->nvmux));
}

static void alloc(struct lab *lab)
{
	struct nvmux_io_qpair_opts opts;
	int err;

	nvmux_io_qpair_opts_init(lab->ctrlr, &opts, sizeof(opts));
	opts.io_queue_depth = 16;
	lab->alloc = (struct call){.begun = true};
	err = nvmux_ctrlr_alloc_io_qpair_async(lab->ctrlr, &opts, allocated, lab);
	if (err)
		end_call(&lab->alloc, err);
}

static void reset(struct lab *lab)
{
	lab->reset.begun = true;
	revive_async(lab->ctrlr, REVIVE_CTRLR, NULL, was_reset, lab);
}

static void detach(struct lab *lab)
{
	lab->detach.begun = true;
	nvmux_detach_async(lab->ctrlr, was_detached, lab);
}

static uint32_t n_open(const struct lab *lab)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < lab->n_cmds; i++)
		n += lab->cmds[i].calls == 0;
	return n;
}

static int read_one(struct lab *lab)
{
	struct nvmux_ns *ns = nvmux_ctrlr_get_ns(lab->ctrlr, 1);
	struct cmd *cmd = &lab->cmds[lab->n_cmds];
	int err;

	if (!ns)
		return -ENODEV;
	NVMUX_ASSERT(lab->n_cmds < CMDS);
	err = nvmux_ns_cmd_read(ns, lab->qpair, nvmux_mem_addr(lab->mem), 0, 1, 0, cmd_done, cmd);
	lab->n_cmds += !err;
	return err;
}

/* ---- time ---- */

static void turn(struct lab *lab)
{
	nvmux_process(lab->nvmux);
	if (lab->qpair && !lab->detach.begun)
		nvmux_qpair_process_completions(lab->qpair, 0);
	usleep(300);
}

static void run_ms(struct lab *lab, uint32_t ms)
{
	uint64_t until = nvmux_now_ms() + ms;

	while (nvmux_now_ms() < until)
		turn(lab);
}

static bool is_open(const struct call *call)
{
	return call->begun && !call->calls;
}

static bool is_settled(const struct lab *lab)
{
	if (is_open(&lab->attach) || is_open(&lab->alloc) || is_open(&lab->reset) ||
	    is_open(&lab->detach) || n_open(lab))
		return false;
	return !lab->ctrlr || (ctrlr_is_resting(lab->ctrlr) && !revive_active(lab->ctrlr));
}

/* Keep commands in flight until there were @total of them, and wait for all that is under way. */
static void settle(struct lab *lab, uint32_t total)
{
	uint64_t until = nvmux_now_ms() + BOUND_MS(lab->over);

	while (nvmux_now_ms() < until) {
		bool more = lab->n_cmds < total && lab->ctrlr && lab->qpair &&
			    !lab->detach.begun && !lab->ctrlr->failed;

		while (more && lab->n_cmds < total && n_open(lab) < IN_FLIGHT && !read_one(lab))
			;
		turn(lab);
		if (!more && is_settled(lab))
			return;
	}
	FAIL(lab, "not over after %u ms: %u of %u commands open, controller %s",
	     BOUND_MS(lab->over), n_open(lab), lab->n_cmds,
	     lab->ctrlr ? nvmux_ctrlr_get_state_string(lab->ctrlr) : "-");
}

/* ---- the states ---- */

/* A line to the emulator's control socket: it has been obeyed when this returns. */
static int tell(const char *dir, const char *line)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char answer[4096];
	ssize_t n = -1;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control", dir);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr)) &&
	    dprintf(fd, "%s\n", line) > 0)
		n = read(fd, answer, sizeof(answer));
	if (fd >= 0)
		close(fd);
	return n >= 2 && memcmp(answer, "ok", 2) == 0 ? 0 : -EIO;
}

static void clear_faults(struct lab *lab)
{
	if (!lab->dir)
		emu_fault_clear(emu_loopback_model(lab->ctrlr));
	else if (tell(lab->dir, "clear"))
		FAIL(lab, "clear: refused");
}

static void set_faults(struct lab *lab, const char *faults)
{
	char text[256], why[128] = "refused", *save = NULL;
	int err;

	snprintf(text, sizeof(text), "%s", faults ?: "");
	for (char *s = strtok_r(text, ";", &save); s; s = strtok_r(NULL, ";", &save)) {
		err = lab->dir ? tell(lab->dir, s)
			       : emu_fault_set(emu_loopback_model(lab->ctrlr), s, why, sizeof(why));
		if (err)
			FAIL(lab, "%s: %s", s, why);
	}
}

static void make_ready(struct lab *lab, bool qpair)
{
	connect_to(lab, NULL);
	settle(lab, 0);
	if (!lab->ctrlr) {
		FAIL(lab, "not attached: %s", nvmux_error_text(lab->nvmux));
		return;
	}
	if (nvmux_mem_alloc(lab->ctrlr, 2 << 20, 0, &lab->mem))
		FAIL(lab, "no memory");
	if (!qpair)
		return;
	alloc(lab);
	settle(lab, 0);
	if (!lab->qpair)
		FAIL(lab, "no queue pair");
}

/* Bring it to the state, with the fault. */
static void begin(struct lab *lab, enum matrix_state state, const char *faults)
{
	if (state <= AT_IDENTIFY) {
		if (lab->dir)
			set_faults(lab, faults);
		connect_to(lab, faults);
		return;
	}
	make_ready(lab, state != AT_QUEUES);
	if (lab->why[0])
		return;
	if (state == AT_DETACH) {
		set_faults(lab, "drop:qid=1:times=0");
		read_one(lab);
		read_one(lab);
		turn(lab);
	}
	if (state == AT_RESET) {
		read_one(lab);
		read_one(lab);
	}
	if (state == AT_ABORT) {
		set_faults(lab, "drop:opc=02");
		read_one(lab);
		turn(lab);
	}
	set_faults(lab, faults);
	switch (state) {
	case AT_QUEUES: alloc(lab); break;
	case AT_IDLE: turn(lab); break;
	case AT_RESET: reset(lab); break;
	case AT_DETACH: detach(lab); break;
	default: break;
	}
}

/* Into the step, then what disturbs it. */
static void disturb(struct lab *lab, enum matrix_state state, enum disturb disturb)
{
	uint32_t io_ms = lab->over->io_ms;
	const uint32_t into_ms[MATRIX_STATES] = {
		[AT_LOAD] = io_ms / 2, [AT_ABORT] = io_ms * 3 / 2, [AT_IDLE] = io_ms / 4};

	if (disturb == ALONE)
		return;
	if (state == AT_LOAD || state == AT_IDLE)
		read_one(lab);
	turn(lab);
	run_ms(lab, into_ms[state]);
	if (disturb == DETACHED && lab->ctrlr)
		detach(lab);
	else if (disturb == DETACHED && is_open(&lab->attach))
		nvmux_connect_cancel(lab->nvmux, lab, -ECANCELED);
	else if (disturb == RESET && lab->ctrlr && !lab->reset.begun)
		reset(lab);
}

/* ---- a device whose memory goes ---- */

static const struct nvmux *guarded; /* of this process, for the handler */

static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (!guarded || !nvmux_handle_sigbus(guarded, info->si_addr))
		abort();
}

static void guard_against_sigbus(void)
{
	const struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &action, NULL);
}

/* ---- what came of it ---- */

static void check_cmds(struct lab *lab, const struct matrix_cell *cell, bool disturbed)
{
	uint32_t n_hit = 0;

	for (uint32_t i = 0; i < lab->n_cmds; i++) {
		uint16_t status = lab->cmds[i].status & (NVMUX_STATUS_CODE_MASK | NVMUX_STATUS_DNR);
		bool gone = status == NVMUX_SC_CTRLR_GONE, deleted = status == NVME_SC_ABORT_QUEUE;
		bool hit = cell->outcome == STATUS && status == cell->value;

		if (lab->cmds[i].calls != 1)
			FAIL(lab, "command %u: %u callbacks", i, lab->cmds[i].calls);
		n_hit += hit;
		if (!status || hit || (lab->detach.begun && (gone || deleted)) ||
		    (gone && lab->removed))
			continue;
		FAIL(lab, "command %u: status %x", i, status);
	}
	if (cell->outcome == STATUS && !disturbed && !n_hit)
		FAIL(lab, "no command ended with %x", (unsigned)cell->value);
	if (disturbed || !lab->n_cmds)
		return;
	if (cell->outcome == ENDS_GONE && lab->cmds[0].status != NVMUX_SC_CTRLR_GONE &&
	    lab->cmds[0].status != NVME_SC_ABORT_QUEUE)
		FAIL(lab, "ends with %x", lab->cmds[0].status);
	if (cell->outcome == ENDS && lab->cmds[0].status != NVME_SC_ABORT_QUEUE)
		FAIL(lab, "ends with %x", lab->cmds[0].status);
}

/* It goes on working: a queue pair can be made, and used. */
static void check_works(struct lab *lab)
{
	uint32_t n = lab->n_cmds;

	clear_faults(lab);
	if (!lab->mem && nvmux_mem_alloc(lab->ctrlr, 2 << 20, 0, &lab->mem))
		FAIL(lab, "no memory afterwards");
	if (!lab->qpair) {
		alloc(lab);
		settle(lab, 0);
	}
	if (!lab->qpair) {
		FAIL(lab, "no queue pair afterwards: %d", lab->alloc.err);
		return;
	}
	settle(lab, n + 1);
	if (lab->n_cmds != n + 1 || lab->cmds[n].status)
		FAIL(lab, "no read afterwards: %x", lab->cmds[n].status);
}

static void check_alone(struct lab *lab, const struct matrix_cell *cell)
{
	int err = lab->attach.err ?: lab->alloc.err;

	if (cell->outcome == REFUSED && err != cell->value)
		FAIL(lab, "%d, not %d (%s)", err, cell->value, nvmux_error_text(lab->nvmux));
	if (cell->outcome == LOST && lab->removed != 1)
		FAIL(lab, "told %u times that it is lost", lab->removed);
	if (cell->outcome != LOST && lab->removed)
		FAIL(lab, "lost: %s", nvmux_error_text(lab->nvmux));
	if ((cell->outcome == WORKS || cell->outcome == STATUS) && (err || lab->reset.err))
		FAIL(lab, "%d, %d: %s", err, lab->reset.err, nvmux_error_text(lab->nvmux));
}

static void finish(struct lab *lab)
{
	if (lab->ctrlr) {
		detach(lab);
		settle(lab, 0);
	}
	if (lab->detach.begun && lab->detach.calls != 1)
		FAIL(lab, "detached: %u callbacks", lab->detach.calls);
	if (lab->removed > 1)
		FAIL(lab, "told %u times that it is lost", lab->removed);
	if (lab->mem)
		nvmux_mem_free(lab->mem);
	nvmux_destroy(lab->nvmux);
}

static bool run_cell(const struct over *over, const char *dir, const struct matrix_row *row,
		     enum matrix_state state, enum disturb how, FILE *out)
{
	const struct matrix_cell *cell = &row->cells[state];
	struct lab lab = {.over = over, .dir = dir};
	struct nvmux_opts opts;
	uint64_t took;

	if (dir && tell(dir, "clear"))
		FAIL(&lab, "the emulator has gone");
	nvmux_opts_init(&opts, sizeof(opts));
	opts.mem_window = 256 << 20;
	if (nvmux_create(&opts, &lab.nvmux) || emu_loopback_register(lab.nvmux))
		return false;
	guarded = lab.nvmux;
	begin(&lab, state, cell->faults);
	lab.begun_ms = nvmux_now_ms();
	if (!lab.why[0]) {
		disturb(&lab, state, how);
		settle(&lab, state == AT_LOAD || state == AT_RESET ? LOAD
			     : state == AT_IDLE || state == AT_ABORT ? lab.n_cmds + 1
								     : 0);
		if (state == AT_IDLE && lab.ctrlr)
			run_ms(&lab, over->io_ms / 2);
		settle(&lab, 0);
	}
	took = nvmux_now_ms() - lab.begun_ms;
	if (took > BOUND_MS(over))
		FAIL(&lab, "took %u ms", (unsigned)took);
	check_cmds(&lab, cell, how != ALONE);
	if (how == ALONE)
		check_alone(&lab, cell);
	if (lab.ctrlr && !lab.ctrlr->failed)
		check_works(&lab);
	finish(&lab);
	guarded = NULL;
	fprintf(out, "%s %s %s %s %u ms: %s\n", over->name, row->fault,
		matrix_states[state], disturbs[how],
		(unsigned)took, lab.why[0] ? lab.why : "ok");
	return !lab.why[0];
}

/* ---- the emulator as a process ---- */

static pid_t start_emulator(char *dir)
{
	char path[PATH_MAX] = "", line[16];
	int fds[2];
	pid_t pid;

	if (!mkdtemp(dir) || pipe2(fds, O_CLOEXEC) ||
	    readlink("/proc/self/exe", path, sizeof(path) - 1) < 0)
		return -1;
	for (int i = 0; i < 3; i++) /* from tests/unit/test_fault_matrix */
		*strrchr(path, '/') = '\0';
	strncat(path, "/emulator/nvmux-emulator", sizeof(path) - strlen(path) - 1);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		dup2(fds[1], STDOUT_FILENO);
		execl(path, path, "--socket-dir", dir, "--ns", DEVICE, NULL);
		_exit(127);
	}
	close(fds[1]);
	if (read(fds[0], line, sizeof(line)) <= 0) /* "ready" */
		pid = -1;
	close(fds[0]);
	return pid;
}

static bool stop_emulator(pid_t pid, const char *dir)
{
	int status = -1;

	if (pid > 0 && !kill(pid, SIGTERM))
		waitpid(pid, &status, 0);
	rmdir(dir);
	return status == 0;
}

/* ---- the rows, side by side ---- */

/* What there is nothing to do: a controller that isn't there yet can't be reset, one that is being
 * detached can't be detached. */
static bool is_cell(enum matrix_state state, enum disturb how)
{
	return !(state <= AT_IDENTIFY && how == RESET) && !(state == AT_DETACH && how == DETACHED);
}

static int run_row(const struct over *over, const struct matrix_row *row, FILE *out)
{
	char dir[] = "/tmp/nvmux-faults-XXXXXX";
	bool process = over->trtype == NVMUX_TRTYPE_VFIOUSER;
	pid_t emulator = 0;
	int failed = 0;

	if (process) {
		guard_against_sigbus();
		emulator = start_emulator(dir);
	}
	for (int state = 0; state < MATRIX_STATES && emulator >= 0; state++) {
		for (int how = 0; how < DISTURBS; how++) {
			if (is_cell(state, how))
				failed += !run_cell(over, process ? dir : NULL, row, state, how,
						    out);
		}
	}
	if (process && !stop_emulator(emulator, dir))
		failed += fprintf(out, "the emulator doesn't start, or ends with an error\n");
	fclose(out);
	return failed ? 1 : 0;
}

static void run_rows(const struct over *over)
{
	pid_t pids[ARRAY_SIZE(matrix)];
	FILE *outs[ARRAY_SIZE(matrix)];
	const char *only = getenv("FAULT_MATRIX_ROW");
	char line[1024];
	int failed = 0;

	fflush(NULL);
	for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
		outs[i] = tmpfile();
		assert_non_null(outs[i]);
		pids[i] = 0;
		if ((only && strcmp(only, matrix[i].fault) != 0) ||
		    (matrix[i].messages && over->trtype != NVMUX_TRTYPE_VFIOUSER))
			continue;
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (!pids[i])
			exit(run_row(over, &matrix[i], outs[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(matrix); i++) {
		int status = 0;

		if (pids[i])
			assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		failed += status != 0;
		rewind(outs[i]);
		while (fgets(line, sizeof(line), outs[i]))
			print_message("# %s", line);
		if (status)
			print_message("# %s: exit status %x\n", matrix[i].fault, (unsigned)status);
		fclose(outs[i]);
	}
	assert_int_equal(failed, 0);
}

static void over_loopback(void **state)
{
	run_rows(&loopback);
}

static void over_vfio_user(void **state)
{
	run_rows(&vfio_user);
}

/* ---- the table ---- */

static const char *words(const struct matrix_cell *cell, char text[64])
{
	static const char *const outcomes[] = {
		[WORKS] = "works", [STATUS] = "status", [REFUSED] = "", [LOST] = "lost",
		[ENDS] = "ends", [ENDS_GONE] = "ends, gone"};

	if (!cell->faults)
		return "–";
	if (cell->outcome == REFUSED)
		snprintf(text, 64, "%s", strerrorname_np(-cell->value));
	else if (cell->outcome == STATUS)
		snprintf(text, 64, "%s %04Xh", outcomes[STATUS], (unsigned)cell->value);
	else
		snprintf(text, 64, "%s", outcomes[cell->outcome]);
	return text;
}

static int print_table(void)
{
	char text[64];

	printf("| fault |");
	for (int i = 0; i < MATRIX_STATES; i++)
		printf(" %s |", matrix_states[i]);
	printf("\n|---|");
	for (int i = 0; i < MATRIX_STATES; i++)
		printf("---|");
	printf("\n");
	for (size_t r = 0; r < ARRAY_SIZE(matrix); r++) {
		printf("| %s |", matrix[r].fault);
		for (int i = 0; i < MATRIX_STATES; i++)
			printf(" %s |", words(&matrix[r].cells[i], text));
		printf("\n");
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_loopback),
		cmocka_unit_test(over_vfio_user),
	};

	if (argc > 1 && strcmp(argv[1], "--table") == 0)
		return print_table();
	return cmocka_run_group_tests_name("fault_matrix", tests, NULL, NULL);
}
