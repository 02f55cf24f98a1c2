#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The documentation against the programs."""

import json
import os
import re
import subprocess

from nvmux_test import BUILD, TREE, WRAP, Run, Skip, Suite, program

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


# Functions whose method has another name; "" where a program alone can do it.
METHODS = {
    "admin_raw": "admin_raw", "io_raw": "io_raw", "io_raw_with_md": "io_raw",
    "iov_raw_with_md": "io_raw", "zone_append": "zns_append", "zone_appendv": "zns_append",
    "report_zones": "zns_report_zones", "ext_report_zones": "zns_report_zones",
    "set_zone_desc_ext": "zns_mgmt_send", "abort": "", "abort_ext": "",
    "add_cmd_error_injection": "add_error_injection",
    "remove_cmd_error_injection": "remove_error_injection", "reset": "reset_controller",
    "get_data": "identify", "get_effects": "get_effects", "get_connection": "get_controllers",
    "reset_subsystem": "reset_subsystem", "update_firmware": "fw_download",
    "read_boot_partition": "", "write_boot_partition": "fw_commit",
}


@suite.test("every command of the API is a method too")
def commands_are_methods():
    text = "".join(read("libcore", "include", "nvmux", name) for name in
                   ("io.h", "zns.h", "admin.h", "fault.h"))
    functions = set(re.findall(r"\bnvmux_(?:ns_cmd|ctrlr_cmd|zns|ctrlr|qpair)_(\w+)\(", text))
    assert len(functions) > 60, functions
    with Run() as run:
        with run.daemon().rpc() as rpc:
            methods = {m["name"] for m in rpc.call("rpc.discover")["methods"]}
    for function in sorted(functions):
        if re.match(r"(ns|ctrlr)_get_|get_(max|num|flags|opts)|is_|process|register_", function):
            continue  # what a client knows from get_controllers, or is its own affair
        name = re.sub(r"^(read|write|compare)(v|v_iov|_with_md)$", r"\1", function)
        name = re.sub(r"^zone_append\w*$", "zns_append", name)
        name = re.sub(r"^(open|close|finish|reset|offline)_zone$", "zns_mgmt_send", name)
        method = METHODS.get(function, METHODS.get(name, name))
        assert method == "" or method in methods, f"{function}: no method {method}"


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


@suite.test("the table in docs/faults.md is the one that the tests go by")
def fault_table():
    table = output_of(os.path.join(BUILD, "tests", "unit", "test_fault_matrix"), "--table")
    assert table and table in read("docs", "faults.md"), \
        "docs/faults.md is out of date: test_fault_matrix --table"


@suite.test("links and files that the documentation names are there")
def links():
    for page in ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/missing.md",
                 "docs/performance.md", "docs/rdma.md"):
        folder = os.path.dirname(os.path.join(TREE, page))
        for target in re.findall(r"\]\(([^)#:]+)\)", read(page)):
            assert os.path.exists(os.path.join(folder, target)), f"{page}: {target}"


suite.main()
