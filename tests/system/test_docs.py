#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation against the programs."""

import json
import os
import re
import subprocess

from nvmux_test import TREE, WRAP, Run, Skip, Suite, program

suite = Suite()


def read(*path):
    with open(os.path.join(TREE, *path), encoding="utf-8") as file:
        return file.read()


def output_of(*argv):
    return subprocess.run(WRAP + list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          text=True, timeout=60, check=True).stdout


@suite.test("docs/rpc.md is what scripts/rpc-doc makes of the daemon's method table")
def rpc_reference():
    with Run() as run:
        daemon = run.daemon()
        with daemon.rpc() as rpc:
            document = rpc.call("rpc.discover")
        made = subprocess.run([os.path.join(TREE, "scripts", "rpc-doc")], text=True,
                              input=json.dumps(document), stdout=subprocess.PIPE, timeout=60,
                              check=True).stdout
    assert made == read("docs", "rpc.md"), \
        "docs/rpc.md is out of date: nvmux rpc rpc.discover | scripts/rpc-doc > docs/rpc.md"


@suite.test("every command and option that the README and docs/rdma.md show exists")
def shown_commands():
    nvmux_help = output_of(program("nvmux"), "--help")
    shown = re.findall(r"^ {4}(?:build/cli/)?nvmux (?:-S \S+ )?(\w[\w-]*)(.*)$",
                       read("README.md") + read("docs", "rdma.md"), re.MULTILINE)
    assert len(shown) >= 16, shown
    for command, rest in shown:
        assert re.search(rf"^  {command}\s", nvmux_help, re.MULTILINE), f"no command {command}"
        text = output_of(program("nvmux"), command, "--help")
        for option in re.findall(r"(?<= )--?[a-z][a-z-]*", rest.split("|")[0]):
            assert re.search(rf"(^|[ ,]){option}\b", text, re.MULTILINE), f"{command}: {option}"
    for name, place in (("nvmux-emulator", "emulator"), ("nvmuxd", "daemon")):
        text = output_of(program(name), "--help")
        for line in re.findall(rf"build/{place}/{name} (.*)", read("README.md")):
            for option in re.findall(r"--[a-z-]+", line):
                assert option in text, f"{name}: {option}"


@suite.test("the options and defaults in docs/rdma.md are those of nvmux attach")
def rdma_options():
    text = " ".join(output_of(program("nvmux"), "attach", "--help").split())
    if "Refused, " in text:
        raise Skip("this build has no RDMA")
    page = read("docs", "rdma.md")
    rows = re.findall(r"^\| `(\w+)` \| (?:`(--\S+)`)?[^|]*\| (-?\d+) \|", page, re.MULTILINE)
    assert len(rows) == 7, rows
    for name, alias, default in rows:
        option = "--" + name.replace("_", "-")
        assert not alias or f"{alias} " in text.replace(")", " "), alias
        match = re.search(rf" {option} (.*?\(default:? [^)]*\))", text)
        assert match, option
        given = re.search(r"\(default:? ([^)]*)\)$", match.group(1)).group(1)
        assert given == default or (default == "0" and not given[0].isdigit()), (option, given)
    known = {"--version"}
    for command in ("attach", "discovery", "list"):
        text = output_of(program("nvmux"), command, "--help")
        known |= set(re.findall(r"(?<![\w-])--?\w[\w-]*", text))
    for option in re.findall(r"`(--?[A-Za-z][\w-]*)", page):
        assert option in known, option


@suite.test("links and files that the documentation names are there")
def links():
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/missing.md",
                 "docs/performance.md", "docs/rdma.md"):
        folder = os.path.dirname(os.path.join(TREE, page))
        for target in re.findall(r"\]\(([^)#:]+)\)", read(page)):
            assert os.path.exists(os.path.join(folder, target)), f"{page}: {target}"


suite.main()
