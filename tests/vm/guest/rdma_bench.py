# SPDX-License-Identifier: BSD-3-Clause
"""Compare random 4 KiB reads: rdma_bench.py DISK TRANSPORT-ID CTRL/NSID NVMUX SOCKET CORE.

By the kernel's driver and fio, by nvmux in-process, by nvmux through the daemon, whose reactor is
on processor CORE; once where the scheduler puts who reads, once on CORE. Prints a table for each
placement, then one line of JSON: IOPS of each round by placement, depth and way. Exit code 1 if the
daemon is too slow.
"""

import json
import os
import statistics
import subprocess
import sys

ROUNDS = int(os.environ.get("LAB_BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("LAB_BENCH_SECONDS", "1.2"))
WARMUP = 0.3
DEPTHS = [1, 32]
WAYS = ["kernel", "in-process", "nvmuxd"]
# As many times the rounds at most, while the machine is too busy to say. Whoever asks for a number
# of rounds gets it: rounds that are added because of what the others say would bias the figures.
SETS = 1 if "LAB_BENCH_ROUNDS" in os.environ else 3
# What the daemon must have of in-process at least. On different processors every read at depth 1
# wakes two more that idle, and how long an emulated one takes for that varies.
LEAST = {("any", 1): 0.4, ("any", 32): 0.5, ("one", 1): 0.5, ("one", 32): 0.5}
TITLES = {"any": "any processor", "one": "one processor for all of the host's side"}


def output(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True)
    return json.loads(done.stdout)


def fio(disk, core):
    """IOPS by depth, of one job in the kernel's driver."""
    argv = ["fio", "--output-format=json", "--ioengine=libaio", "--direct=1", "--rw=randread",
            "--bs=4k", "--norandommap", "--gtod_reduce=1", "--time_based", f"--filename={disk}",
            # It takes no fractions of a second.
            f"--runtime={SECONDS * 1000:.0f}ms", f"--ramp_time={WARMUP * 1000:.0f}ms"]
    argv += [f"--cpus_allowed={core}"] if core else []
    for depth in DEPTHS:
        argv += [f"--name=depth{depth}", f"--iodepth={depth}", "--stonewall"]
    jobs = output(argv)["jobs"]
    return {depth: job["read"]["iops"] for depth, job in zip(DEPTHS, jobs)}


def nvmux(argv, core):
    """The same by nvmux bench."""
    argv = argv + ["-o", "json", "--bs", "4K", "--pattern", "randread", "--depth",
                   ",".join(map(str, DEPTHS)), "--adaptive", "--time", str(SECONDS),
                   "--warmup", str(WARMUP)] + (["--core", core] if core else [])
    return {run["depth"]: run["iops"] for run in output(argv)["runs"]}


def measure(way, core):
    disk, trid, name, program, socket = sys.argv[1:6]
    if way == "kernel":
        return fio(disk, core)
    if way == "in-process":
        return nvmux([program, "bench", "-t", trid, "-n", "1"], core)
    return nvmux([program, "-S", socket, "bench", name], core)


def median(runs, way, depth):
    return statistics.median(run[depth] for run in runs[way])


def ratio(runs, depth):
    """The median of each round's own: what else the machine does slows neighbours alike."""
    return statistics.median(daemon[depth] / own[depth]
                             for daemon, own in zip(runs["nvmuxd"], runs["in-process"]))


def is_slow(runs, placement, margin):
    return any(ratio(runs, depth) < LEAST[placement, depth] + margin for depth in DEPTHS)


def rounds(placement, core):
    """Runs of each way, interleaved, forth and back; more of them where the machine was too busy to
    say."""
    runs = {way: [] for way in WAYS}
    for number in range(SETS * ROUNDS):
        if number and number % ROUNDS == 0 and not is_slow(runs, placement, 0.05):
            break
        for way in WAYS if number % 2 == 0 else reversed(WAYS):
            runs[way].append(measure(way, core))
    return runs


def show(runs, placement):
    print(f"4 KiB random reads, {TITLES[placement]}: IOPS, median of {len(runs['nvmuxd'])} "
          "(lowest to highest); last, the median of each round's ratio")
    print("depth".ljust(8) + "".join(way.rjust(26) for way in WAYS) + "nvmuxd/in-process".rjust(20))
    for depth in DEPTHS:
        line = str(depth).ljust(8)
        for way in WAYS:
            values = [run[depth] for run in runs[way]]
            line += (f"{median(runs, way, depth):.0f} ({min(values):.0f} to "
                     f"{max(values):.0f})").rjust(26)
        print(line + f"{ratio(runs, depth):.2f}".rjust(20))


def main():
    result = {}
    slow = False
    for placement, core in (("any", None), ("one", sys.argv[6])):
        runs = rounds(placement, core)
        show(runs, placement)
        result[placement] = {depth: {way: [round(run[depth], 1) for run in runs[way]]
                                     for way in WAYS} for depth in DEPTHS}
        slow |= is_slow(runs, placement, 0)
    print(json.dumps(result))
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
