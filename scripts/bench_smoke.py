# SPDX-License-Identifier: BSD-3-Clause
"""Short runs of the programs of tests/bench, to see that they work, say what went wrong and leave
nothing behind; most of their figures mean nothing. TAP."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TREE = pathlib.Path(__file__).resolve().parents[1]
BENCH = TREE / "tests" / "bench"
BUILD = ["--build", TREE / "build-bench"]
DEPTHS = ["1", "32"]
NATIVE = ["latency_added", "iops_depth_32", "iops_depth_128", "idle_qpairs", "reads_1m",
          "client_start"]
IN_VM = ["rdma", "rdma_one_processor"]
FIGURES = ["inprocess_submit", "inprocess_complete", "reactor", "client_submit", "client_complete"]
COUNTED_DEPTHS = ["1", "128"]
DEADLINE_SEC = 120

sys.path.insert(0, str(BENCH))
import common  # noqa: E402


class Results:
    """TAP."""

    def __init__(self):
        self.number = self.failed = 0
        self.shown = None

    def add(self, good, what, log=""):
        self.number += 1
        self.failed += not good
        if not good and log != self.shown:
            self.shown = log
            for line in log.splitlines()[-40:]:
                print("# " + line)
        print(f"{'ok' if good else 'not ok'} {self.number} - {what}", flush=True)


def start(name, *args, **kwargs):
    argv = [sys.executable, BENCH / name, *BUILD, *args]
    return subprocess.Popen([str(a) for a in argv], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs)


def read(name, *args):
    """The JSON that a program prints, {} if it doesn't; and all that it said."""
    process = start(name, *args)
    out, err = process.communicate()
    try:
        return json.loads(out) if process.returncode == 0 else {}, out + err
    except ValueError:
        return {}, out + err


def run_works(results):
    report, log = read("run", "--time", "0.3", "--repeat", "1", "--depth",
                       ",".join(DEPTHS))
    for way in common.WAYS:
        for depth in DEPTHS:
            try:
                iops = report["results"][way][depth]["iops"]["median"]
            except KeyError:
                iops = 0
            results.add(iops > 0, f"run: {way}, depth {depth}: {iops:.0f} IOPS", log)


def is_sane(member):
    """A member of compare's object, of two rounds."""
    return (all(isinstance(member[key], (int, float)) for key in ("median", "min", "max"))
            and member["min"] <= member["median"] <= member["max"]
            and member["repetitions"] == len(member["values"]) == 2
            and isinstance(member["reached"], bool) and len(member["aim"]) == 1
            and all(part["min"] > 0 for part in member["of"].values()))


def compare_works(results):
    report, log = read("compare", "--no-vm", "--rounds", "2", "--seconds", "0.1")
    for name in NATIVE:
        results.add(isinstance(report.get(name), dict) and is_sane(report[name]),
                    f"compare: {name} is measured", log)
    for name in IN_VM:
        results.add(name in report and report[name] is None
                    and list(report["left_out"]) == IN_VM, f"compare: {name} is left out", log)
    about = report.get("context", {})
    results.add(about.get("floor_ns", {}).get("min", 0) > 0 and "-O3" in about["flags"]
                and len(about["load_average"]["before"]) == 3, "compare: the context is there", log)


def idle_works(results):
    report, log = read("idle", "--clients", "4", "--seconds", "0.5", "--samples", "20", "--gap",
                       "3,5")
    for way in ("loopback", "vfio-user"):
        result = report.get("idle", {}).get(way, {})
        results.add(0 <= result.get("core_percent", -1) < 50 and len(result["threads"]) >= 2,
                    f"idle: {way} is measured", log)
    us = report.get("wake", {}).get("us", {})
    results.add(list(us) == ["sleep", "echo_sleep", "poll", "echo_poll", "added"]
                and all(0 < us[name]["p50"] <= us[name]["p99"] for name in list(us)[:4])
                and all(len(us["added"][name]["p99_range"]) == 2 for name in ("sleep", "poll")),
                "idle: the first I/O is measured", log)


def instructions_work(results):
    """The order and the names of its first members are what others read."""
    report, log = read("instructions", "--ios", "10K,20K")
    results.add(list(report)[:len(FIGURES)] == FIGURES,
                f"instructions: {', '.join(FIGURES)} come first", log)
    for name in FIGURES:
        figures = report.get(name, {})
        results.add(list(figures) == COUNTED_DEPTHS
                    and all(10 < figures[depth] < 5000 for depth in COUNTED_DEPTHS),
                    f"instructions: {name}, per I/O at depth 1 and 128", log)
    polls = report.get("ios_per_poll", {})
    results.add(sorted(polls) == ["client", "inprocess", "reactor"]
                and all(0.9 <= found["1"] <= 1.1 < 10 < found["128"] for found in polls.values()),
                f"instructions: how much a poll finds: {polls}", log)
    aims = report.get("aims", {}).values()
    results.add(len(aims) == 3 and all(
        aim["reached"] == (aim["instructions"] <= aim["aim"]["at_most"]) for aim in aims),
                "instructions: sums and their aims", log)


def scale_works(results):
    report, log = read("scale", "--case", "busy,0,1", "--ios", "1000")
    cases = report.get("cases", [])
    results.add(len(cases) == 1 and list(cases[0]["io"]) == COUNTED_DEPTHS
                and all(value > 10 for value in (cases[0]["turn"], *cases[0]["io"].values()))
                and cases[0]["ratio"] == {"turn": 1, "io": dict.fromkeys(COUNTED_DEPTHS, 1)},
                "scale: a case is counted", log)


def throughput_works(results):
    report, log = read("throughput", "--rounds", "1", "--seconds", "0.1")
    for size in ("128K", "1M"):
        for pattern in ("randread", "randwrite"):
            found = report.get(size, {}).get(pattern, {})
            results.add(len(found.get("ratio", {})) == 3
                        and all(value["min"] > 0 for part in ("bytes_per_sec", "ratio")
                                for value in found[part].values()),
                        f"throughput: {size} {pattern} is measured", log)


def processes_of(directory):
    """{process id: what it runs} of those that have something to do with a directory."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if entry.name.isdigit() and any(word.startswith(directory) for word in words):
            found[int(entry.name)] = os.path.basename(words[0])
    return found


def wait_for(condition):
    end = time.monotonic() + DEADLINE_SEC
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def disturbed(results, what, code, said, action):
    """compare, to which something happens during a run."""
    with tempfile.TemporaryDirectory(prefix="nvmux-smoke.") as directory:
        process = start("compare", "--only", "iops_depth_32", "--seconds", "30",
                        env={**os.environ, "TMPDIR": directory})

        def running():
            return list(processes_of(directory).values())

        wait_for(lambda: {"nvmuxd", "nvmux"} <= set(running()) or process.poll() is not None)
        action(process, processes_of(directory))
        try:
            out, err = process.communicate(timeout=DEADLINE_SEC)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        left = [*running(), *os.listdir(directory)]
        results.add(process.returncode == code and said in err and not left, what,
                    f"{out}{err}\nexit code {process.returncode}, left: {left}")


def kill(name, number):
    """Ends by a signal what has this name."""
    def action(_, processes):
        for pid, runs in processes.items():
            if runs == name:
                os.kill(pid, number)
    return action


def the_median_is_fine(results):
    """What always takes the same, by a clock that makes steps of 10 ns."""
    worst = 0
    for tenths in range(600, 700):
        counts = {}
        for phase in range(100):
            steps = (tenths + phase) // 100
            counts[steps] = counts.get(steps, 0) + 1
        histogram = [[10 * steps - 0.5, 10 * steps + 0.5, count]
                     for steps, count in sorted(counts.items())]
        worst = max(worst, abs(common.median_ns(histogram) - tenths / 10))
    results.add(worst <= 1, f"a median is found within 1 ns: {worst:.2f} ns")


def main():
    if len(os.sched_getaffinity(0)) < 2:
        print("ok 1 - the benchmarks # SKIP they need two cores\n1..1")
        return 0
    results = Results()
    run_works(results)
    compare_works(results)
    idle_works(results)
    throughput_works(results)
    if shutil.which("valgrind"):
        instructions_work(results)
        scale_works(results)
    disturbed(results, "compare says that nvmuxd was killed", 1,
              "nvmuxd.sock\nwas ended by SIGKILL", kill("nvmuxd", signal.SIGKILL))
    disturbed(results, "compare says that nvmux bench was killed", 1, "was ended by SIGKILL",
              kill("nvmux", signal.SIGKILL))
    disturbed(results, "compare ends at once when it is interrupted, with all it has started", 130,
              "", lambda process, _: process.send_signal(signal.SIGINT))
    the_median_is_fine(results)
    print(f"1..{results.number}")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
