# SPDX-License-Identifier: BSD-3-Clause
"""Compare random 4 KiB reads: rdma_bench.py DISK TRANSPORT-ID CTRL/NSID NVMUX SOCKET.

Prints a table, then one line of JSON: medians of IOPS by depth and way.
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


def output(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                          check=True)
    return json.loads(done.stdout)


def fio(disk):
    """IOPS by depth, of one job in the kernel's driver."""
    argv = ["fio", "--output-format=json", "--ioengine=libaio", "--direct=1", "--rw=randread",
            "--bs=4k", "--norandommap", "--gtod_reduce=1", "--time_based", f"--runtime={SECONDS}s",
            f"--ramp_time={WARMUP}s", f"--filename={disk}"]
    for depth in DEPTHS:
        argv += [f"--name=depth{depth}", f"--iodepth={depth}", "--stonewall"]
    jobs = output(argv)["jobs"]
    return {depth: job["read"]["iops"] for depth, job in zip(DEPTHS, jobs)}


def nvmux(argv):
    """The same by nvmux bench."""
    runs = output(argv + ["-o", "json", "--bs", "4K", "--pattern", "randread", "--depth",
                          ",".join(map(str, DEPTHS)), "--adaptive", "--time", str(SECONDS),
                          "--warmup", str(WARMUP)])["runs"]
    return {run["depth"]: run["iops"] for run in runs}


def median(runs, way, depth):
    return statistics.median(run[depth] for run in runs[way])


def is_slow(runs):
    """Whether the daemon is near what the test doesn't accept any more."""
    return any(median(runs, "nvmuxd", depth) < least * median(runs, "in-process", depth)
               for depth, least in ((1, 0.45), (32, 0.65)))


def main():
    disk, trid, name, program, socket = sys.argv[1:]
    ways = {
        "kernel": lambda: fio(disk),
        "in-process": lambda: nvmux([program, "bench", "-t", trid, "-n", "1"]),
        "nvmuxd": lambda: nvmux([program, "-S", socket, "bench", name]),
    }
    runs = {way: [] for way in ways}
    more = ROUNDS
    while more:
        more -= 1
        for way, measure in ways.items():
            runs[way].append(measure())
        # once more as many where the machine was too busy to say
        if not more and len(runs["nvmuxd"]) == ROUNDS and is_slow(runs):
            more = ROUNDS
    print(f"4 KiB random reads, IOPS, median of {len(runs['nvmuxd'])} (lowest to highest)")
    print("depth".ljust(8) + "".join(way.rjust(26) for way in ways))
    result = {}
    for depth in DEPTHS:
        result[depth] = {}
        line = str(depth).ljust(8)
        for way in ways:
            values = [run[depth] for run in runs[way]]
            result[depth][way] = round(median(runs, way, depth), 1)
            line += f"{result[depth][way]:.0f} ({min(values):.0f} to {max(values):.0f})".rjust(26)
        print(line)
    print(json.dumps(result))


main()
