# SPDX-License-Identifier: BSD-3-Clause
"""What an I/O costs in user space, by callgrind: runs, and costs taken from them.

One side of a path runs under callgrind, the other natively on another core. A cost is the
difference of two runs of different length by the difference of their numbers of I/Os, without the
polls that found nothing.
"""

import collections
import json
import os
import pathlib
import shutil
import signal
import sys

import callgrind
import common
import release
from common import Failed, until

WORKLOAD = ("--pattern", "randread", "--bs", "4K")
# Valgrind leaves a program 128 GiB of addresses, some of which it has itself.
WINDOW_BYTES = 1 << 30
WINDOW = f"{WINDOW_BYTES >> 30}G"
STALL_SEC = 0.5  # of processor time, in which the side under callgrind finds nothing
STALL_POLLS = 50000
STALL_TRIES = 5
# So that turns without work are of one kind while a client is there.
IDLE_TURNS = 4294967295
ALWAYS_POLLED = f"[reactor]\nidle_turns = {IDLE_TURNS}"
TARGETS = ["cli/nvmux", "daemon/nvmuxd", "emulator/nvmux-emulator"]

PROGRAM, DEVICE, LIBRARY = ("cli",), ("emulator",), ("libcore", "transports", "rpc")
JOB = ("job_main", "cli/bench_job.c")
REACTOR = ("reactor_main", "daemon/reactor.c")
# A reactor's turn; what it calls in other files, so that these calls can be seen.
TURN_FILES = ("daemon/reactor.c", "daemon/hwq.c")
TAKE, PUBLISH, LOOKS = "channel_poll", "channels_publish", ("channels_look", "channels_ready")
SUBMIT, REAP = "nvmux_ns_cmd_", "nvmux_qpair_process_completions"
PROGRAM_PARTS = ("submit", "complete", "other calls", "program", "C library", "device model")
REACTOR_PARTS = ("take and check", "submit", "reap", "completion", "publish", "turn",
                 "device model")


# ---- processes ----

def threads(process):
    try:
        return len(os.listdir(f"/proc/{process.pid}/task"))
    except OSError:
        return 0


def processor_sec(process):
    """What a process has used; without end if it is none any more."""
    try:
        stat = pathlib.Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return float("inf")
    user, system = stat.rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def let_spin(process):
    end = processor_sec(process) + STALL_SEC
    until("a process with nothing to do doesn't poll", process,
          lambda: processor_sec(process) >= end)


# ---- runs ----

class Run:
    """One run: costs of the thread in question, I/Os, polls without result by kind, and those with
    one."""

    def __init__(self, costs, ios, empty, full):
        self.costs, self.ios, self.empty, self.full = costs, ios, empty, full


class ReactorRun(Run):
    """The same of a reactor, whose turns are known, but not at first how many of those without work
    had a queue to look at: "attached", in contrast to "alone"."""

    def __init__(self, thread, ios, turns, idle):
        super().__init__(reactor_costs(thread), ios, {"attached": 0, "alone": idle}, turns - idle)
        self.turns, self.idle = turns, idle
        self.calls = collections.Counter()
        for (_, callee), count in thread.calls.items():
            self.calls[callee.file, callee.name] += count

    def attached(self, function):
        """Turns without work that called this function, which is called once in each turn."""
        return self.calls[function] - self.full

    def tell_apart(self, function):
        attached = self.attached(function)
        self.empty = {"attached": attached, "alone": self.idle - attached}


class Bench:
    """Programs of a build, in a private directory."""

    def __init__(self, processes, build, directory, cores, workload=WORKLOAD):
        self.processes, self.build, self.dir = processes, build, directory
        self.workload = list(workload)
        self.near, self.far = cores  # under callgrind; the other side
        self.number = 0

    def path(self, name):
        return self.dir / f"{self.number}.{name}"

    def valgrind(self):
        return ["valgrind", "--tool=callgrind", "--vgdb=no", "--separate-threads=yes",
                "--dump-instr=no", f"--callgrind-out-file={self.path('callgrind')}"]

    def bench(self, where, ios, depth):
        return [self.build / "cli/nvmux", "-o", "json", "bench", *where, *self.workload,
                "--depth", depth, "--count", ios, "--memory-window", WINDOW]

    def thread(self, entry):
        """What callgrind has of the thread with this function."""
        found = []
        for path in sorted(self.dir.glob(f"{self.number}.callgrind-*")):
            thread = callgrind.Thread(path, release.TREE)
            if thread.has(*entry):
                found.append(thread)
            path.unlink()
        if len(found) != 1:
            raise Failed(f"callgrind reports {len(found)} threads with {entry[0]}() of {entry[1]}")
        return found[0]

    def start_emulator(self, *options):
        socket_dir = self.path("emulator")
        process = common.start_emulator(self.processes, self.build, socket_dir, "--mode", "poll",
                                        *options, core=self.far)
        return process, ["-t", "vfio-user", "-a", socket_dir]

    def start_daemon(self, core, prefix=(), device=common.loopback(), more=""):
        """@device: where its controller is, as keys of the configuration; @more of that."""
        process, socket = common.start_daemon(
            self.processes, self.build, self.path("nvmuxd"), core, {"bench": device},
            more=f"[daemon]\nmemory_window = {WINDOW}\nlog_level = info reactor:debug\n{more}",
            prefix=prefix, pinned=True, nice=5 if prefix else 0)
        return process, ["bench", "-S", socket]

    def start_bench(self, where, ios, depth, core, prefix=()):
        """nvmux bench; its standard output goes to a file."""
        with open(self.path("json"), "wb") as file:
            return self.processes.start([*prefix, *self.bench(where, ios, depth)],
                                        self.path("bench.log"), core, 5 if prefix else 0,
                                        stdout=file)

    def run_program(self, start_other, ios, depth, stall=False):
        """nvmux bench under valgrind, the other side, if there is one, not. How many polls found
        nothing."""
        self.number += 1
        other, where = start_other()
        bench = self.start_bench(where, ios, depth, self.near, self.valgrind())
        if stall:
            self.stall(bench, bench, other)
        self.processes.wait(bench)
        if other:
            self.processes.stop(other)
        (run,) = json.loads(self.path("json").read_text())["runs"]
        if run["commands"] != ios:
            raise Failed(f"nvmux bench reports {run['commands']} I/Os instead of {ios}")
        return run["empty_polls"]

    def program(self, start_other, ios, depth, stall):
        empty = self.run_program(start_other, ios, depth, stall)
        thread = self.thread(JOB)
        polls = sum(count for (caller, callee), count in thread.calls.items()
                    if room(caller) in PROGRAM and callee.name == REAP)
        return Run(program_costs(thread), ios, {"poll": empty}, polls - empty)

    def inprocess(self, ios, depth, stall=False):
        return self.program(self.start_emulator, ios, depth, stall)

    def client(self, ios, depth, stall=False):
        return self.program(lambda: self.start_daemon(self.far), ios, depth, stall)

    @staticmethod
    def stall(bench, measured, other):
        """Stop the other side for a while once there are I/Os."""
        until("nvmux bench has no thread for I/Os", bench, lambda: threads(bench) > 1)
        other.send_signal(signal.SIGSTOP)
        let_spin(measured)
        other.send_signal(signal.SIGCONT)

    def run_reactor(self, ios, depth, stall=False):
        """nvmuxd under valgrind, the client not. Without I/Os: no client at all. Turns of the
        reactor, and those without work."""
        self.number += 1
        daemon, where = self.start_daemon(self.near, self.valgrind(), more=ALWAYS_POLLED)
        if ios:
            bench = self.start_bench(where, ios, depth, self.far)
            if stall:
                self.stall(bench, daemon, bench)
            self.processes.wait(bench)
        else:
            let_spin(daemon)
        self.processes.stop(daemon)
        log = daemon.log.read_text(errors="replace")
        words = log.split("reactor: reactor0: ")[-1].split()
        turns, idle = int(words[0]), int(words[2])
        if words[1] != "turns,":
            raise Failed(f"nvmuxd doesn't say what its reactor has done:\n{daemon.tail()}")
        return turns, idle

    def reactor(self, ios, depth, stall=False):
        turns, idle = self.run_reactor(ios, depth, stall)
        return ReactorRun(self.thread(REACTOR), ios, turns, idle)


# ---- costs: vectors, whose members are parts ----

def room(function):
    return function.file.split("/")[0] if "/" in function.file else ""


def crossing(thread, accept):
    """Inclusive cost of the calls that @accept(caller, callee) takes."""
    return sum(cost for edge, cost in thread.inclusive.items() if accept(*edge))


def functions(thread):
    """("function", room, name): its own cost."""
    costs = collections.Counter()
    for function, cost in thread.self_cost.items():
        where = function.file if room(function) in PROGRAM + DEVICE + LIBRARY + ("daemon",) \
            else function.object
        costs["function", where, function.name] += cost
    return costs


def program_costs(thread):
    """A thread of the program: what it does itself, and what it has the library do."""
    def entry(names):
        return crossing(thread, lambda a, b: room(a) not in LIBRARY + DEVICE
                        and room(b) in LIBRARY and b.name.startswith(names))

    costs = functions(thread)
    callbacks = crossing(thread, lambda a, b: room(a) in LIBRARY and room(b) in PROGRAM)
    device = crossing(thread, lambda a, b: room(a) in LIBRARY and room(b) in DEVICE)
    costs["submit"] = entry(SUBMIT)
    costs["complete"] = entry(REAP) - callbacks - device
    costs["other calls"] = entry("") - entry(SUBMIT) - entry(REAP)
    costs["device model"] = device
    costs["program"] = sum(c for f, c in thread.self_cost.items() if room(f) in PROGRAM)
    costs["C library"] = crossing(
        thread, lambda a, b: room(a) in PROGRAM and room(b) not in PROGRAM + LIBRARY + DEVICE)
    costs["thread"] = thread.total
    return costs


def reactor_costs(thread):
    """A reactor's thread: the stages of an I/O, each by calls from one file to another, which a
    compiler doesn't inline; and "turn", what the files of the turn have themselves and their looks
    at rings. What none of these has is missing in their sum."""
    costs = functions(thread)
    costs["device model"] = crossing(thread, lambda a, b: room(a) not in DEVICE
                                     and room(b) in DEVICE)
    costs["submit"] = crossing(thread, lambda a, b: room(a) == "daemon"
                               and a.file not in TURN_FILES and room(b) in LIBRARY)
    costs["take and check"] = crossing(thread, lambda a, b: a.file in TURN_FILES
                                       and b.name == TAKE) - costs["submit"]
    costs["completion"] = crossing(thread, lambda a, b: room(a) in LIBRARY
                                   and room(b) == "daemon")
    # The library rings the doorbell when it looks for completions.
    costs["reap"] = crossing(thread, lambda a, b: room(a) == "daemon" and b.name == REAP) \
        - costs["completion"] - costs["device model"]
    costs["publish"] = crossing(thread, lambda a, b: a.file in TURN_FILES and b.name == PUBLISH)
    costs["turn"] = crossing(thread, lambda a, b: a.file in TURN_FILES and b.name in LOOKS) \
        + sum(cost for f, cost in thread.self_cost.items() if f.file in TURN_FILES)
    costs["reactor"] = thread.total - costs["device model"]
    costs["thread"] = thread.total
    return costs


def plus(a, b, factor=1):
    return {key: a.get(key, 0) + factor * b.get(key, 0) for key in {**a, **b}}


def scaled(a, factor):
    return {key: value * factor for key, value in a.items()}


def without_empty(run, empty):
    """The costs of a run without its polls that found nothing; @empty: cost of one, by kind."""
    costs = run.costs
    for kind, cost in empty.items():
        costs = plus(costs, cost, -run.empty[kind])
    return costs


def tell_apart(alone, runs, stalled):
    """Which turns of a reactor without work had a queue to look at? Those that called what is
    called in each of them, never without a queue, and more often while the client is stopped."""
    def change(function):
        return abs(stalled.calls[function] - runs[0].calls[function])

    candidates = [f for f in stalled.calls if not alone.calls[f] and change(f) >= STALL_POLLS]
    for function in sorted(candidates, key=lambda f: (-change(f), f)):
        if all(-100 <= run.attached(function) <= run.idle + 100 for run in [*runs, stalled]):
            for run in [*runs, stalled]:
                run.tell_apart(function)
            return


def empty_cost(run, runs, kind, known, alone=None):
    """What one poll without result costs: of two runs that differ by them, other kinds being
    known. @run: makes a run of so many I/Os, with the other side stopped for a while."""
    plain = runs[0]
    for _ in range(STALL_TRIES):
        stalled = run(plain.ios)
        if alone:
            tell_apart(alone, runs, stalled)
        number = stalled.empty[kind] - plain.empty[kind]
        # On a busy machine there may be as many without stopping anything.
        if abs(number) >= STALL_POLLS:
            return scaled(plus(without_empty(stalled, known), without_empty(plain, known), -1),
                          1 / number)
    raise Failed(f"{plain.empty[kind]} and {stalled.empty[kind]} polls found nothing, without and "
                 "with the other side stopped for a while; is the machine very busy?")


def per_io(runs, empty):
    """Costs of one I/O, of the shorter and the longer run."""
    short, long = runs
    return scaled(plus(without_empty(long, empty), without_empty(short, empty), -1),
                  1 / (long.ios - short.ios))


# ---- programs ----

def main(name, what, needs, run_all, args):
    """A program of this directory, which counts @what: its exit code. With --check it skips where
    something is missing, and speaks TAP."""
    reason = None
    if not shutil.which(needs):
        reason = "it needs valgrind"
    elif len(os.sched_getaffinity(0)) < 2:
        reason = "it needs two cores"
    if reason and args.check:
        return skip(what, reason)
    try:
        if reason:
            raise Failed(reason)
        return run_all(args)
    except (Failed, OSError) as error:
        if args.check:
            print("\n".join("# " + line for line in str(error).splitlines()))
            print(f"not ok 1 - {what} can be counted\n1..1")
        else:
            print(f"tests/bench/{name}: {error}", file=sys.stderr)
        return 1


def skip(what, reason, needed=False):
    """@needed: it mustn't be left out."""
    print(f"1..1\nnot ok 1 - {what}: {reason}" if needed else
          f"1..1\nok 1 - {what} # SKIP {reason}")
    return int(needed)
