# SPDX-License-Identifier: BSD-3-Clause
"""A short run of tests/bench/run, to see that it works; its figures mean nothing. TAP."""

import json
import os
import subprocess
import sys

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DEPTHS = ["1", "32"]


def main():
    if len(os.sched_getaffinity(0)) < 2:
        print("ok 1 - the benchmark # SKIP it needs two cores\n1..1")
        return 0
    done = subprocess.run([sys.executable, os.path.join(TREE, "tests", "bench", "run"), "--json",
                           "--time", "0.3", "--repeat", "1", "--depth", ",".join(DEPTHS),
                           "--build", os.path.join(TREE, "build-bench")],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False)
    number = failed = 0
    try:
        results = json.loads(done.stdout)["results"]
    except (ValueError, KeyError):
        print(f"# exit code {done.returncode}")
        for line in (done.stdout + done.stderr).splitlines()[-40:]:
            print("# " + line)
        results = {"in-process": {}, "through nvmuxd": {}}
    for way, depths in results.items():
        for depth in DEPTHS:
            iops = depths.get(depth, {}).get("iops", {}).get("median", 0)
            number += 1
            failed += not iops > 0
            print(f"{'ok' if iops > 0 else 'not ok'} {number} - {way}, depth {depth}: "
                  f"{iops:.0f} IOPS")
    print(f"1..{number}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
