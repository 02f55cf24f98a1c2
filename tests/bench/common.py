# SPDX-License-Identifier: BSD-3-Clause
"""What the programs of this directory share: processes that end with them, nvmuxd with software
controllers, runs of nvmux bench and of the floor, statistics, and command lines."""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

NAMESPACE = "null,size=1T,bs=4096"  # moves no data
WAYS = ("in-process", "through nvmuxd")
DEADLINE_SEC = 300
GRACE_SEC = 30
LOG_LINES = 20
PR_SET_PDEATHSIG = 1
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# A bucket of a histogram with less than this of the fullest is noise between steps of the clock.
NOISE = 0.001


class Failed(Exception):
    """Why there are no figures."""


# ---- processes ----

class Process(subprocess.Popen):
    """A program with a log of what it says on standard error, and the signal that ends it when
    there is no time for more."""

    def __init__(self, argv, log, end, **kwargs):
        self.log, self.end = log, end
        with open(log, "ab") as err:
            super().__init__([str(a) for a in argv], stderr=err,
                             **{"stdin": subprocess.DEVNULL, **kwargs})

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-LOG_LINES:])

    def say_end(self):
        """How it ended."""
        how = f"was ended by {signal.Signals(-self.returncode).name}" if self.returncode < 0 \
            else f"ended with exit code {self.returncode}"
        return f"{' '.join(self.args)}\n{how}\n{self.tail()}".rstrip()


class Processes:
    """Everything that is started here ends here, and if this program is killed too."""

    def __init__(self):
        self.running = []

    def start(self, argv, log, core=None, nice=0, end=signal.SIGKILL, **kwargs):
        """Start a program, pinned to @core if there is one."""
        libc = ctypes.CDLL(None)

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, end)
            os.nice(nice)
            if core is not None:
                os.sched_setaffinity(0, {core})

        process = Process(argv, log, end, preexec_fn=prepare, **kwargs)
        self.running.append(process)
        return process

    def ended(self, process, codes):
        """A process has ended; was that as it should? If not, another one's end may be why."""
        self.running.remove(process)
        if process.returncode in codes:
            return
        why = [process.say_end()]
        why += [other.say_end() for other in self.running if other.poll() is not None]
        raise Failed("\n".join(why))

    def check(self):
        """That all of them still run."""
        for process in self.running:
            if process.poll() is not None:
                raise Failed(process.say_end())

    def expect(self, process, line):
        """This as the next line of its standard output."""
        said = process.stdout.readline()
        if not said:
            self.wait(process)  # its end is why
        if said != line:
            raise Failed(f"{' '.join(process.args)}\nsays {said!r} instead of {line!r}\n"
                         f"{process.tail()}".rstrip())

    def wait(self, process, seconds=DEADLINE_SEC, codes=(0,)):
        """To its end, with one of these exit codes. Its standard output, if that is a pipe."""
        try:
            out = process.communicate(timeout=seconds)[0]
        except subprocess.TimeoutExpired:
            raise Failed(f"{' '.join(process.args)}\ntakes longer than {seconds:g} s\n"
                         f"{process.tail()}".rstrip()) from None
        self.ended(process, codes)
        return out

    def output(self, argv, log, seconds=DEADLINE_SEC, **kwargs):
        """Run a program; its standard output."""
        process = self.start(argv, log, stdout=subprocess.PIPE, text=True, **kwargs)
        return self.wait(process, seconds)

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        self.wait(process)

    def end_all(self):
        """No signal interrupts this."""
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
        for process in self.running:
            process.send_signal(process.end)
        for process in self.running:
            try:
                process.wait(GRACE_SEC)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running = []


def tell(process, line):
    """A line for a process; if it has ended, what it says doesn't come, and tells why."""
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()


def until(what, process, condition, seconds=DEADLINE_SEC):
    """Wait for a condition while a process runs."""
    end = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Failed(f"{what}: {process.say_end()}")
        if time.monotonic() > end:
            raise Failed(f"{what} within {seconds:g} s: {' '.join(process.args)}\n"
                         f"{process.tail()}")
        time.sleep(0.002)


def on_signal(number, _):
    raise SystemExit(128 + number)


def catch_signals():
    for number in SIGNALS:
        signal.signal(number, on_signal)


@contextlib.contextmanager
def workplace():
    """Processes and a private directory, which end with the block, also by a signal."""
    processes = Processes()
    catch_signals()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="nvmux-bench."))
    try:
        yield processes, directory
    finally:
        processes.end_all()
        shutil.rmtree(directory)
        catch_signals()


@contextlib.contextmanager
def stopped(process):
    """A process that polls leaves its core to others for the block."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


# ---- nvmuxd and nvmux bench ----

def loopback(namespace=NAMESPACE):
    """A software controller in the daemon, as keys of its configuration."""
    return f"trtype = LOOPBACK\ntraddr = {namespace}"


def start_daemon(processes, programs, path, core, controllers, mode="busy", more="", prefix=(),
                 pinned=False, **kwargs):
    """nvmuxd with one reactor on @core; @pinned: with all other threads there, too. @controllers:
    {name: where, as keys of the configuration}; @more goes into that, too. Its files are @path and
    something behind it. The process and its socket."""
    conf, log, socket = (pathlib.Path(f"{path}.{end}") for end in ("conf", "log", "sock"))
    sections = "".join(f"[controller {name}]\n{keys}\n" for name, keys in controllers.items())
    conf.write_text(f"{more}\n[reactor]\ncores = {core}\nmode = {mode}\n{sections}",
                    encoding="utf-8")
    process = processes.start([*prefix, programs / "daemon/nvmuxd", "-c", conf, "-s", socket], log,
                              core if pinned else None, **kwargs)

    def is_ready():
        said = log.read_text(errors="replace")
        return all(f"{name}: attached" in said for name in controllers)

    until("nvmuxd isn't ready", process, is_ready)
    return process, socket


def start_emulator(processes, programs, path, *options, **kwargs):
    """nvmux-emulator with its socket in a directory @path."""
    process = processes.start([programs / "emulator/nvmux-emulator", "--socket-dir", path, "--ns",
                               NAMESPACE, *options], pathlib.Path(f"{path}.log"),
                              stdout=subprocess.PIPE, **kwargs)
    processes.expect(process, b"ready\n")
    return process


def bench_argv(programs, where, depth, *more, size="4K"):
    return [programs / "cli/nvmux", "-o", "json", "bench", *where, "--pattern", "randread", "--bs",
            size, "--depth", depth, *more]


class Bench:
    """Runs of nvmux bench on one core, and the floor between it and another."""

    def __init__(self, processes, programs, directory, cores, seconds):
        self.processes, self.programs, self.directory = processes, programs, directory
        self.cores, self.seconds = cores, seconds

    def output(self, argv, name, seconds=0):
        return self.processes.output(argv, self.directory / f"{name}.err", DEADLINE_SEC + seconds)

    def run(self, where, depth, size="4K"):
        """IOPS, p50 and p99 in nanoseconds."""
        # On a machine that is very busy a thread may not run at all in a short time.
        for seconds in (self.seconds, 4 * self.seconds, 16 * self.seconds):
            argv = bench_argv(self.programs, where, depth, "--core", self.cores[0], "--time",
                              seconds, "--warmup", "0.2", size=size)
            (result,) = json.loads(self.output(argv, "bench", seconds))["runs"]
            if result["commands"]:
                break
        else:
            raise Failed(f"{' '.join(map(str, argv))}\nno I/O has completed")
        return {"iops": result["iops"], "p50": median_ns(result["histogram_ns"]),
                "p99": result["latency_ns"]["p99"]}

    def floor(self):
        """Median, smallest and largest of the nanoseconds that a cache line takes from one core to
        the other and back."""
        out = self.output([self.programs / "tests/bench/pingpong", *self.cores], "pingpong")
        return dict(zip(("median", "min", "max"), map(float, out.split())))


# ---- statistics ----

def median_ns(histogram):
    """The median of what a histogram of nvmux bench has, [[low, high, count], …].

    The clock makes steps, of 10 ns for instance, which is much of what is measured: values lie in
    few buckets, with nothing between them. What is in one is taken to be spread evenly halfway to
    its neighbours, which finds the median of durations that begin anywhere between two steps within
    a tenth of a step."""
    least = NOISE * max(count for _, _, count in histogram)
    steps = [((low + high) / 2, count) for low, high, count in histogram if count >= least]
    middles = [(a + b) / 2 for (a, _), (b, _) in zip(steps, steps[1:])]
    lows = [histogram[0][0]] + middles
    highs = middles + [histogram[-1][1]]
    if len(steps) > 1:  # the outermost are as wide as their inner half says
        lows[0] = 2 * steps[0][0] - middles[0]
        highs[-1] = 2 * steps[-1][0] - middles[-1]
    left = sum(count for _, count in steps) / 2
    for low, high, (_, count) in zip(lows, highs, steps):
        if left <= count:
            return low + (high - low) * left / count
        left -= count
    return highs[-1]


def summarise(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def cell(value, scale=1, digits=2):
    """A summary for a table."""
    parts = [f"{value[key] / scale:.{digits}f}" for key in ("median", "min", "max")]
    return f"{parts[0]} ({parts[1]}–{parts[2]})"


def reached(aim, value):
    """Of an aim such as {"at_least": 0.95}."""
    (bound, limit), = aim.items()
    return {"at_least": value >= limit, "at_most": value <= limit, "below": value < limit}[bound]


def aim_text(aim):
    (bound, limit), = aim.items()
    return f"{ {'at_least': '≥', 'at_most': '≤', 'below': '<'}[bound]} {limit}"


def cpu_model():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return os.uname().machine


# ---- the programs ----

def numbers(low, high, kind=int):
    """The type of an option: a list of numbers, with commas between them, within these bounds."""
    def parse(text):
        try:
            values = [kind(part) for part in text.split(",")]
        except ValueError:
            values = []
        if not values or not all(low <= value <= high for value in values):  # NaN is nowhere
            raise argparse.ArgumentTypeError(f"'{text}' isn't from {low} to {high}")
        return values
    return parse


def number(low, high, kind=int):
    """The type of an option: one number within these bounds."""
    def parse(text):
        values = numbers(low, high, kind)(text)
        if len(values) > 1:
            raise argparse.ArgumentTypeError(f"'{text}' is more than one number")
        return values[0]
    return parse


ROUNDS = number(1, 100000)
SECONDS = number(0.1, 3600, float)


def make_parser(doc, build):
    """With the options that all have; @build: the default build directory."""
    parser = argparse.ArgumentParser(description=doc,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=build,
                        help=f"build directory, a release build (default: {build.name})")
    parser.add_argument("--table", action="store_true", help="print Markdown instead of JSON")
    add_core_options(parser)
    return parser


def parse_args(parser):
    """With "programs", where these are, and "cores", that of the client and that of the reactor."""
    args = parser.parse_args()
    args.programs = args.build.resolve()
    args.cores = cores_of(parser, args)
    return args


def show(report, args, print_table):
    if args.table:
        print_table(report)
    else:
        print(json.dumps(report, indent=2, ensure_ascii=False))


def main(name, parse, run):
    """A program: exit code 0 if there are figures, or why there are none."""
    catch_signals()
    args = parse()
    try:
        run(args)
        sys.stdout.flush()
    except (Failed, OSError) as error:
        sys.exit(f"tests/bench/{name}: {error}")


def add_core_options(parser):
    parser.add_argument("--client-core", type=int, default=0, help="default 0")
    parser.add_argument("--reactor-core", type=int, default=1, help="default 1")


def cores_of(parser, args):
    """(core of the client, core of the reactor)"""
    cores = args.client_core, args.reactor_core
    if cores[0] == cores[1] or not set(cores) <= os.sched_getaffinity(0):
        parser.error("the client and the reactor need a core each")
    return cores
