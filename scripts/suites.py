# SPDX-License-Identifier: BSD-3-Clause
"""The suites of scripts/test: build, run, count. Every result of every program counts.

A program speaks TAP. One that crashes, exceeds its time, breaks its plan or reports nothing counts
as a failure of its own. Logs are shown where something failed.
"""

import concurrent.futures
import difflib
import glob
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOG_LINES = 300
COMMENT_LINES = 60

PLAIN = ["--werror", "-Dtests=enabled"]
ASAN = PLAIN + ["-Db_sanitize=address,undefined"]
TSAN = PLAIN + ["-Db_sanitize=thread"]
MINIMAL = PLAIN + ["-Drdma=disabled", "-Dsystemd=disabled"]
SANITIZER_ENV = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=0:second_deadlock_stack=1:history_size=4",
}
ASAN_SLOWNESS = "2"
TSAN_SLOWNESS = "4"
SANITIZED_AT_ONCE = 2  # system tests: they wait more than they work, and their deadlines are wide

UNIT_SECONDS = 900
SYSTEM_SECONDS = 600
VM_SECONDS = 3600
BENCH_SECONDS = 600
BENCH_IOS = "50K,100K"  # enough: the figures are those of more, within 0.2 %
COPIES_IOS = ["2000", "4000"]
COPIES_SECONDS = 1200
CONFORMANCE_SECONDS = 1800
CONFORMANCE_GUESTS = ["conform_pcie", "conform_rdma", "nvmecli"]


def show(lines):
    for line in lines:
        print("    " + line)


def before(log, line):
    """The comments right before a line of a log, which may be too long to be shown whole."""
    lines = log.splitlines()
    end = start = lines.index(line)
    while start and end - start < COMMENT_LINES and lines[start - 1].startswith("#"):
        start -= 1
    return lines[start:end]


class Tally:
    """What passed, failed and was skipped so far."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0

    def fail(self, what, log=""):
        """A failure that no test reported itself."""
        self.failed += 1
        print(f"FAILED {what}")
        show(log.splitlines()[-LOG_LINES:])
        sys.stdout.flush()

    def tap(self, name, text, code, timed_out, errors="", seconds=None):
        """Count one program's TAP; show it if anything is wrong with it."""
        passed, failed, skipped, problem = read_tap(text)
        if timed_out:
            problem = "it took too long and was ended"
        elif code < 0:
            problem = f"it was ended by {signal.Signals(-code).name}"
        elif code != 0 and not failed:
            problem = problem or f"its exit code was {code}"
        self.passed += passed
        self.failed += len(failed)
        self.skipped += skipped
        counts = f"{passed} passed" + (f", {len(failed)} failed" if failed else "")
        counts += f", {skipped} skipped" if skipped else ""
        took = "" if seconds is None else f" ({seconds:.0f} s)"
        print(f"  {name}: {counts}{took}", flush=True)
        log = text + errors
        for line in failed:
            print(f"FAILED {name}: {line}")
            if len(log.splitlines()) > LOG_LINES:
                show(before(text, line))
        if problem:
            self.fail(f"{name}: {problem}", log)
        elif failed:
            show(log.splitlines()[-LOG_LINES:])
        sys.stdout.flush()


def read_tap(text):
    """Count TAP: (passed, [failed lines], skipped, what is wrong with the stream or None)."""
    passed = skipped = count = 0
    failed = []
    plan = problem = None
    for line in text.splitlines():
        if re.match(r"(not )?ok\b", line):
            count += 1
            if re.search(r"#\s*skip", line, re.IGNORECASE):
                skipped += 1
            elif line.startswith("ok"):
                passed += 1
            else:
                failed.append(line)
        elif re.match(r"1\.\.\d+", line):
            plan = (plan or 0) + int(re.match(r"1\.\.(\d+)", line).group(1))
        elif line.startswith("Bail out!"):
            problem = line
    if problem is None and count == 0:
        problem = "it reported no test"
    elif problem is None and plan is not None and plan != count:
        problem = f"it planned {plan} tests and reported {count}"
    return passed, failed, skipped, problem


def end_group(process):
    """What it started and left behind is in its session's process group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run_program(argv, seconds, env=None, started=None):
    """Run in a session of its own, with a deadline. Return (output, errors, code, timed out).
    What runs is in the list @started, for who may have to end it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                   cwd=TREE, env={**os.environ, **(env or {})},
                                   start_new_session=True)
        if started is not None:
            started.append(process)
        timed_out = False
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            if started is not None:
                started.remove(process)
            end_group(process)
            process.wait()
        out.seek(0)
        err.seek(0)
        return (out.read().decode(errors="replace"), err.read().decode(errors="replace"),
                process.returncode, timed_out)


def run_timed(argv, seconds, env=None, started=None):
    """run_program(), and the seconds it took."""
    start = time.monotonic()
    return *run_program(argv, seconds, env, started), time.monotonic() - start


def run_tap(tally, name, argv, seconds, env=None):
    """Run a program that speaks TAP and count it; its output is returned."""
    out, err, code, timed_out, took = run_timed(argv, seconds, env)
    tally.tap(name, out, code, timed_out, err, took)
    return out


def build(tally, directory, options):
    """Build; a failure counts, and what needs the build is not run."""
    start = time.monotonic()
    script = f". scripts/lib.sh && build_tree {directory} {shlex.join(options)}"
    done = subprocess.run(["bash", "-c", script], cwd=TREE, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        tally.fail(f"build of {directory}", done.stdout)
        return False
    print(f"  built {directory} in {time.monotonic() - start:.0f} s", flush=True)
    return True


def run_unit(tally, directory, label, wrapper=""):
    """meson test; its JSON log has each program's output."""
    base = os.path.join(TREE, directory, "meson-logs")
    # meson adds the wrapper's name
    log = os.path.join(base, f"{label}-{wrapper.split()[0]}.json" if wrapper else f"{label}.json")
    if os.path.exists(log):
        os.unlink(log)
    out, err, _, timed_out = run_program(
        ["meson", "test", "-C", directory, "--no-rebuild", "--logbase", label,
         "--timeout-multiplier", "4"] + ([f"--wrapper={wrapper}"] if wrapper else []),
        UNIT_SECONDS, SANITIZER_ENV)
    if not os.path.exists(log):
        tally.fail(f"{label}: meson test", out + err)
        return
    with open(log, encoding="utf-8") as file:
        tests = [json.loads(line) for line in file if line.strip()]
    if timed_out:
        tally.fail(f"{label}: meson test took too long", out)
    if not tests:
        tally.fail(f"{label}: there is no unit test")
    for test in tests:
        name = f"{label} {test['name']}"
        text = test.get("stdout", "") or ""
        if read_tap(text)[3] == "it reported no test" and test["result"] in ("OK", "SKIP"):
            # A test that speaks by its exit code only.
            text = "ok 1" + (" # SKIP" if test["result"] == "SKIP" else "")
        late = test["result"] == "TIMEOUT"
        tally.tap(name, text, test["returncode"], late, test.get("stderr", "") or "",
                  test.get("duration"))


def suite_check(tally):
    if build(tally, "build-test", PLAIN):
        run_tap(tally, "check", [sys.executable, "scripts/check.py", "build-test"], 600)


def suite_unit(tally):
    if build(tally, "build-test", PLAIN):
        run_unit(tally, "build-test", "unit")
    if build(tally, "build-asan", ASAN):
        run_unit(tally, "build-asan", "unit-asan")
    if build(tally, "build-tsan", TSAN):
        run_unit(tally, "build-tsan", "unit-tsan", fixed_addresses())


def run_system(tally, directory, label, env, names="*", at_once=1):
    """Programs of tests/system, @at_once of them side by side."""
    files = sorted(glob.glob(os.path.join(TREE, "tests", "system", f"test_{names}.py")))
    if not files:
        tally.fail(f"{label}: there is no test")
    env = {"NVMUX_BUILD": os.path.join(TREE, directory), "PYTHONDONTWRITEBYTECODE": "1",
           **SANITIZER_ENV, **env}
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        started = []
        jobs = {path: pool.submit(run_timed, [sys.executable, path], SYSTEM_SECONDS, env, started)
                for path in files}
        try:
            for path, job in jobs.items():
                name = f"{label} {os.path.basename(path)[5:-3]}"
                out, err, code, timed_out, took = job.result()
                tally.tap(name, out, code, timed_out, err, took)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in list(started):
                end_group(process)
            raise


def fixed_addresses():
    """A prefix for commands under ThreadSanitizer: the address layout of newer kernels leaves no
    room for gcc 12's shadow memory. Where the prefix isn't allowed, it has to work without."""
    prefix = ["setarch", "--addr-no-randomize"]
    works = subprocess.run(prefix + ["true"], stderr=subprocess.DEVNULL, check=False)
    return shlex.join(prefix) if works.returncode == 0 else ""


def suite_system(tally):
    if build(tally, "build-test", PLAIN):
        run_system(tally, "build-test", "system", {})
    if build(tally, "build-min", MINIMAL):
        run_system(tally, "build-min", "system-min", {}, "cli*")
        run_system(tally, "build-min", "system-min", {}, "fabrics")
    if build(tally, "build-asan", ASAN):
        run_system(tally, "build-asan", "system-asan", {"NVMUX_SLOWNESS": ASAN_SLOWNESS},
                   at_once=SANITIZED_AT_ONCE)
    if build(tally, "build-tsan", TSAN):
        run_system(tally, "build-tsan", "system-tsan",
                   {"NVMUX_WRAP": fixed_addresses(), "NVMUX_SLOWNESS": TSAN_SLOWNESS},
                   at_once=SANITIZED_AT_ONCE)


def suite_vm(tally):
    if build(tally, "build-test", PLAIN):
        run_tap(tally, "vm", [sys.executable, "tests/vm/run", "--build", "build-test"], VM_SECONDS)


def suite_bench(tally):
    run_tap(tally, "bench", [sys.executable, "scripts/bench_smoke.py"], BENCH_SECONDS)
    run_tap(tally, "instructions",
            [sys.executable, "tests/bench/instructions", "--check", "--ios", BENCH_IOS],
            BENCH_SECONDS, {"PYTHONDONTWRITEBYTECODE": "1"})
    run_tap(tally, "scale",
            [sys.executable, "tests/bench/scale", "--check", "--ios", "10000"],
            BENCH_SECONDS, {"PYTHONDONTWRITEBYTECODE": "1"})
    run_tap(tally, "copies",
            [sys.executable, "tests/bench/copies", "--check", "--ios", *COPIES_IOS],
            COPIES_SECONDS, {"PYTHONDONTWRITEBYTECODE": "1"})


def keep_results(guest, text, directory):
    """What guests report has no way out but their output: lines of JSON behind a word."""
    for number, line in enumerate(text.splitlines()):
        if line.startswith("# conformance: {"):
            with open(os.path.join(directory, f"{guest}-{number}.json"), "w",
                      encoding="utf-8") as file:
                file.write(line.split(": ", 1)[1])


def suite_conformance(tally):
    """Over the emulator here, over QEMU's controllers and the kernel's target in guests; the table
    of the documentation comes from what they found."""
    if not build(tally, "build-test", PLAIN):
        return
    with tempfile.TemporaryDirectory(prefix="nvmux-conformance.") as results:
        run_tap(tally, "conformance emulator",
                [sys.executable, "tests/conformance/run", "--out", results], CONFORMANCE_SECONDS,
                {"NVMUX_BUILD": os.path.join(TREE, "build-test"), "PYTHONDONTWRITEBYTECODE": "1"})
        for guest in CONFORMANCE_GUESTS:
            out = run_tap(tally, f"conformance {guest}",
                          [sys.executable, "tests/vm/run", "--build", "build-test", guest],
                          VM_SECONDS)
            keep_results(guest, out, results)
        compare_table(tally, results)


def compare_table(tally, results):
    """Whether docs/conformance.md is what a run found, which left these results."""
    done = subprocess.run([sys.executable, "scripts/conformance-doc", results], cwd=TREE,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        tally.fail("conformance: the table", done.stderr)
        return
    made = done.stdout
    kept = os.path.join(TREE, "docs", "conformance.md")
    new = os.path.join(TREE, "build-test", "conformance.md")
    with open(new, "w", encoding="utf-8") as file:
        file.write(made)
    text = ""
    if os.path.exists(kept):
        with open(kept, encoding="utf-8") as file:
            text = file.read()
    if text == made:
        tally.passed += 1
        return
    diff = difflib.unified_diff(text.splitlines(), made.splitlines(), "docs/conformance.md",
                                "build-test/conformance.md", lineterm="", n=0)
    tally.fail("conformance: docs/conformance.md isn't what this run makes: look at the "
               "difference, then copy build-test/conformance.md over it", "\n".join(diff))


SUITES = {"check": suite_check, "unit": suite_unit, "system": suite_system, "vm": suite_vm,
          "conformance": suite_conformance, "bench": suite_bench}


def main():
    tally = Tally()
    for name in sys.argv[1:]:
        start = time.monotonic()
        print(f"{name}:", flush=True)
        SUITES[name](tally)
        print(f"  {name} took {time.monotonic() - start:.0f} s", flush=True)
    skipped = f", {tally.skipped} skipped" if tally.skipped else ""
    print(f"{tally.passed} passed, {tally.failed} failed{skipped}")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
