# SPDX-License-Identifier: BSD-3-Clause
"""Small things that the guest's scripts about RDMA can't do in shell.

    rdma_tool.py events SOCKET      write the daemon's events, one line of JSON each, with the time
                                    "at" (CLOCK_MONOTONIC), until the daemon ends
    rdma_tool.py value PATH         one value of the JSON on standard input: PATH is 0.name
    rdma_tool.py holds FILE EXPR    whether a Python expression over the result of a load is true
"""

import json
import os
import sys
import time

TREE = os.environ["LAB_TREE"]
sys.path.insert(0, os.path.join(TREE, "tests", "system"))


def events(path):
    from nvmux_test import Rpc

    with Rpc(path, timeout=None) as rpc:
        rpc.call("subscribe_events")
        print(json.dumps({"type": "subscribed"}), flush=True)
        while True:
            message = rpc.notifications.pop(0) if rpc.notifications else rpc.receive()
            line = dict(message.get("params", {}), at=round(time.monotonic(), 3))
            print(json.dumps(line, sort_keys=True), flush=True)


def value(path):
    found = json.load(sys.stdin)
    for key in path.split("."):
        found = found[int(key)] if isinstance(found, list) else found[key]
    print(found if isinstance(found, str) else json.dumps(found))


def holds(name, expression):
    with open(name, encoding="utf-8") as file:
        line = file.read().splitlines()[-1]
    print(line, file=sys.stderr)
    if not eval(expression, {"__builtins__": {}}, json.loads(line)):  # our own scripts' text
        sys.exit(f"{expression}: it is not so")


def main():
    try:
        {"events": events, "value": value, "holds": holds}[sys.argv[1]](*sys.argv[2:])
    except (EOFError, KeyboardInterrupt):
        pass


main()
