# SPDX-License-Identifier: BSD-3-Clause
"""The release build that the benchmarks measure, with debug information: it says which file a
function is of, and changes nothing in the code."""

import json
import pathlib
import shlex
import subprocess
import sys

from common import Failed

TREE = pathlib.Path(__file__).resolve().parents[2]
DEFAULT = TREE / "build-bench"


def run(argv, **kwargs):
    """Run a program; its standard output."""
    argv = [str(a) for a in argv]
    try:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   text=True, **kwargs)
    except OSError as error:
        raise Failed(f"{argv[0]}: {error.strerror}") from None
    with process:
        try:
            out = process.communicate()[0]
        except BaseException:
            process.terminate()  # which ends what it has started, too
            raise
    if process.returncode:
        sys.stderr.write(out)
        raise Failed(f"{' '.join(argv)}: exit code {process.returncode}")
    return out


def introspect(directory, what):
    return json.loads(run(["meson", "introspect", f"--{what}", directory]))


def options(directory):
    return {o["name"]: o["value"] for o in introspect(directory, "buildoptions")}


def setup(directory):
    """Make sure that there is a build directory of the right kind."""
    if not (directory / "build.ninja").exists():
        run(["meson", "setup", "--buildtype=release", "-Dc_args=-g", directory, TREE],
            stderr=sys.stderr)
    have = options(directory)
    if have["buildtype"] != "release":
        raise Failed(f"{directory} isn't a release build; name another directory with --build")
    if "-g" not in have["c_args"]:
        args = ",".join(have["c_args"] + ["-g"])
        run(["meson", "configure", directory, f"-Dc_args={args}"])


def build(directory, targets):
    setup(directory)
    run(["ninja", "-C", directory, *targets])


def compiler(directory):
    """(name and version, flags of the hot path's files)"""
    with open(directory / "compile_commands.json", encoding="utf-8") as file:
        commands = [shlex.split(c["command"]) for c in json.load(file)
                    if c["file"].endswith("/libcore/io.c") and "nvmux-internal" in c["output"]]
    words = commands[0]
    flags = [w for w in words if w.startswith(("-O", "-f", "-m", "-std", "-g"))
             and not w.startswith("-fdiagnostics")]
    first = next(i for i, w in enumerate(words) if w.startswith("-"))
    version = run(words[:first] + ["--version"]).splitlines()[0]
    return version, " ".join(flags)
