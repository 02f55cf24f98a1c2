# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the source itself; TAP on standard output.

    scripts/check.py BUILD-DIRECTORY
"""

import glob
import os
import re
import subprocess
import sys
import tempfile

TREE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LINE_COLUMNS = 100
FUNCTION_LINES = 80
TAB = 8

# What a folder may include of other folders of the project; a folder may always include itself.
# "public" is libcore/include. Tests may include everything. Single headers: the programs register
# the software controller and install the guard against SIGBUS, and both ends of a ring share its
# protocol of sleeping.
DEPENDENCIES = {
    "libcore": {"public"},
    "public": set(),
    "transports": {"public", "libcore", "transports/pcie", "transports/daemon",
                   "transports/rdma"},
    "transports/pcie": {"public", "libcore"},
    "transports/rdma": {"public", "libcore"},
    "transports/daemon": {"public", "libcore", "rpc"},
    "rpc": {"libcore/util.h"},
    "decode": {"libcore/util.h"},
    "conf": {"public", "libcore/host.h", "libcore/util.h"},
    "emulator": {"public", "libcore", "transports/pcie"},
    "daemon": {"public", "libcore", "rpc", "decode", "conf", "emulator/loopback.h",
               "transports/pcie/pcie.h", "transports/daemon/ring_client.h"},
    "cli": {"public", "libcore/util.h", "decode", "rpc/client.h", "rpc/schema.h",
            "emulator/loopback.h"},
    "plugins": {"public"},
}
# Headers of libraries that don't belong into a folder.
FORBIDDEN_HEADERS = {
    "libcore": r"event2?/|event\.h|jansson|pthread|systemd|libsmartcols|sys/sdt",
    "transports/pcie": r"event2?/|event\.h|pthread|systemd|libsmartcols",
    "rpc": r"libsmartcols|nvme/",
}


class Results:
    """TAP."""

    def __init__(self):
        self.count = self.failed = 0

    def report(self, what, problems):
        self.count += 1
        for problem in problems[:40]:
            print(f"# {problem}")
        if len(problems) > 40:
            print(f"# and {len(problems) - 40} more")
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.count} - {what}", flush=True)


def source_files():
    """The project's files by path relative to the tree, without build directories."""
    found = []
    for top, folders, names in os.walk(TREE):
        folders[:] = [f for f in folders if not f.startswith((".git", "build", "__pycache__"))]
        found += [os.path.relpath(os.path.join(top, name), TREE) for name in names]
    return sorted(found)


def read(path):
    with open(os.path.join(TREE, path), encoding="utf-8") as file:
        return file.read()


def is_script(path):
    """A program without an extension, which its first line says how to run."""
    if "." in os.path.basename(path):
        return False
    with open(os.path.join(TREE, path), "rb") as file:
        return file.read(2) == b"#!"


def room_of(path):
    if path.startswith("libcore/include/"):
        return "public"
    if path.startswith("transports/") and path.count("/") > 1:
        return "/".join(path.split("/")[:2])
    return path.split("/")[0]


def find_include(path, name):
    """The project's file that an #include in path means, or None for one of the system."""
    for folder in [os.path.dirname(path), "", "libcore/include"]:
        candidate = os.path.normpath(os.path.join(folder, name))
        if os.path.exists(os.path.join(TREE, candidate)):
            return candidate
    return None


def check_dependencies(files):
    problems = []
    for path in files:
        room = room_of(path)
        if not path.endswith((".c", ".h")) or room not in DEPENDENCIES:
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s*["<]([^">]+)[">]', line)
            if not match:
                continue
            target = find_include(path, match.group(1))
            allowed = DEPENDENCIES[room] | {room}
            if target is None:
                if re.match(FORBIDDEN_HEADERS.get(room, "$^"), match.group(1)):
                    problems.append(f"{path}:{number}: {room} doesn't use <{match.group(1)}>")
            elif room_of(target) not in allowed and target not in allowed:
                problems.append(f"{path}:{number}: {room} must not depend on {target}")
    return problems


def check_lines(files):
    problems = []
    for path in files:
        if not path.endswith((".c", ".h", ".py", ".sh", ".build")) and not is_script(path):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            columns = len(line.expandtabs(TAB))
            if columns > LINE_COLUMNS:
                problems.append(f"{path}:{number}: {columns} columns")
            if line != line.rstrip():
                problems.append(f"{path}:{number}: white space at the end")
    return problems


def check_functions(files):
    """Functions by the style: an opening and a closing brace in the first column."""
    problems = []
    for path in files:
        if not path.endswith(".c"):
            continue
        start = None
        for number, line in enumerate(read(path).splitlines(), 1):
            if line == "{":
                start = number
            elif line.startswith("}") and start:
                if number - start - 1 > FUNCTION_LINES:
                    problems.append(f"{path}:{start}: a function of {number - start - 1} lines")
                start = None
    return problems


def needs_licence(path):
    if path.endswith((".c", ".h", ".py", ".sh", "meson.build")):
        return True
    by_place = path.startswith(("scripts/", ".ci/", "tests/vm/")) and "." not in path.split("/")[-1]
    return by_place or is_script(path)


def check_licence(files):
    return [f"{path}: no SPDX line at its beginning" for path in files
            if needs_licence(path)
            and "SPDX-License-Identifier: BSD-3-Clause" not in "".join(
                read(path).splitlines(True)[:2])]


def check_words(files):
    """What a reader would take for unfinished work."""
    pattern = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b|not (yet )?imple" r"mented")
    problems = []
    for path in files:
        if path.endswith((".c", ".h", ".py", ".sh", ".md", ".build")) or is_script(path):
            for number, line in enumerate(read(path).splitlines(), 1):
                if pattern.search(line):
                    problems.append(f"{path}:{number}: {line.strip()}")
    return problems


def compile_alone(command, header):
    with tempfile.NamedTemporaryFile("w", suffix=".c", delete=False) as file:
        file.write(f"#include <{header}>\n#include <{header}>\nint main(void) {{ return 0; }}\n")
    try:
        done = subprocess.run(command + ["-Wall", "-Wextra", "-Werror", "-fsyntax-only",
                                         f"-I{TREE}/libcore/include", file.name],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False)
        return done.stdout.splitlines() if done.returncode else []
    finally:
        os.unlink(file.name)


def check_headers(results):
    for path in sorted(glob.glob(os.path.join(TREE, "libcore/include/nvmux/*.h"))):
        header = "nvmux/" + os.path.basename(path)
        results.report(f"<{header}> compiles alone in C",
                       compile_alone(["gcc", "-x", "c", "-std=c11"], header))
        results.report(f"<{header}> compiles alone in C++",
                       compile_alone(["g++", "-x", "c++", "-std=c++11"], header))


def check_private_headers(files):
    """Our own headers as well include what they use."""
    problems = []
    for path in files:
        if path.endswith(".h") and room_of(path) not in ("public", "tests"):
            problems += compile_alone(["gcc", "-x", "c", "-std=gnu17", "-D_GNU_SOURCE",
                                       "-Wno-unused-parameter", f"-I{TREE}"], path)
    return problems


def output_of(argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    return done.returncode, done.stdout, done.stderr


def check_programs(results, build):
    for program in ["daemon/nvmuxd", "cli/nvmux", "emulator/nvmux-emulator"]:
        code, out, err = output_of([os.path.join(build, program), "--help"])
        name = os.path.basename(program)
        results.report(f"{name} --help explains itself and succeeds",
                       [] if code == 0 and name in out and len(out) > 100
                       else [f"exit code {code}", *out.splitlines(), *err.splitlines()])
        code, out, err = output_of([os.path.join(build, program), "--no-such-option"])
        results.report(f"{name} refuses an unknown option",
                       [] if code not in (0, None) and code > 0 and "no-such-option" in out + err
                       else [f"exit code {code}", *out.splitlines(), *err.splitlines()])
    for sample in sorted(glob.glob(os.path.join(TREE, "conf", "*.conf"))):
        code, out, err = output_of([os.path.join(build, "daemon/nvmuxd"), "--check", "-c", sample])
        results.report(f"nvmuxd --check accepts conf/{os.path.basename(sample)}",
                       [] if code == 0 else [f"exit code {code}", *(out + err).splitlines()])


def check_scripts(files):
    problems = []
    for path in files:
        if path.startswith(("scripts/", "tests/", ".ci/")):
            first = read(path).split("\n", 1)[0] if not path.endswith((".o", ".bin")) else ""
            if path.endswith(".sh") or "bash" in first:
                code, _, err = output_of(["bash", "-n", os.path.join(TREE, path)])
                problems += err.splitlines() if code else []
            elif path.endswith(".py") or "python3" in first:
                try:
                    compile(read(path), path, "exec")
                except SyntaxError as error:
                    problems.append(f"{path}: {error}")
    return problems


def check_cppcheck(files):
    """What it suppresses are its false alarms about mmap() and the macros of <sys/queue.h>."""
    argv = ["cppcheck", "--enable=warning,portability", "--inline-suppr", "--quiet", "-j2",
            "--std=c11", "--library=posix", "--error-exitcode=1", "--max-configs=4",
            "--suppress=missingInclude", "--suppress=unknownMacro", "--suppress=*:/usr/include/*",
            "--suppress=internalAstError", "--suppress=invalidFunctionArg",
            "--suppress=leakReturnValNotUsed", "--suppress=uninitvar",
            "--suppress=readdirCalled", "--template={file}:{line}: {id}: {message}",
            "-D_GNU_SOURCE", "-D__x86_64__", "-D__GNUC__=12", "-DNVMUX_VERSION=\"0\"",
            f"-I{TREE}", f"-I{TREE}/libcore/include"]
    sources = [os.path.join(TREE, p) for p in files
               if p.endswith(".c") and not p.startswith("tests/")]
    code, out, err = 0, "", ""
    try:
        done = subprocess.run(argv + sources, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=300)
        code, out, err = done.returncode, done.stdout, done.stderr
    except subprocess.TimeoutExpired:
        return ["cppcheck took more than 300 s"]
    return (out + err).splitlines() if code else []


def check_api(results, build):
    """What is exported is documented, what is documented is exported, and the page is current."""
    tool = [sys.executable, os.path.join(TREE, "scripts/api-doc")]
    _, bare, _ = output_of(tool + ["--undocumented"])
    results.report("each public function has a comment",
                   [line for line in bare.splitlines() if line])
    _, names, _ = output_of(tool + ["--names"])
    documented = set(names.split())
    code, symbols, err = output_of(["nm", "-D", "--defined-only",
                                    os.path.join(build, "libnvmux.so")])
    exported = {line.split()[-1] for line in symbols.splitlines() if " T " in line}
    results.report("what the library exports is what is documented",
                   [f"exported, not documented: {name}" for name in sorted(exported - documented)]
                   + [f"documented, not exported: {name}" for name in sorted(documented - exported)]
                   + ([] if code == 0 and exported else [f"nm: {code} {err}"]))
    _, page, err = output_of(tool)
    results.report("docs/api.md is what scripts/api-doc makes",
                   [] if page and page == read("docs/api.md") else
                   ["run scripts/api-doc > docs/api.md", *err.splitlines()])
    spdk = re.findall(r"\b(nvmux_\w+)\(\)", read("docs/spdk.md"))
    results.report("docs/spdk.md names functions that are there",
                   [f"no such function: {name}" for name in sorted(set(spdk) - documented)])


def main():
    build = os.path.abspath(sys.argv[1])
    files = source_files()
    results = Results()
    check_headers(results)
    results.report("private headers compile alone", check_private_headers(files))
    results.report("dependencies go one way", check_dependencies(files))
    results.report(f"lines have at most {LINE_COLUMNS} columns", check_lines(files))
    results.report(f"functions have at most {FUNCTION_LINES} lines", check_functions(files))
    results.report("each source names its licence", check_licence(files))
    results.report("nothing is left unfinished", check_words(files))
    results.report("scripts parse", check_scripts(files))
    results.report("cppcheck finds nothing", check_cppcheck(files))
    check_programs(results, build)
    check_api(results, build)
    print(f"1..{results.count}")
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
