# SPDX-License-Identifier: BSD-3-Clause
"""What a file of callgrind says of one thread: costs of functions and of calls.

The format: lines of costs ("position instructions") belong to the last fn=; a line calls= makes the
next one the inclusive cost of a call of the last cfn=. Names are written once, with a number that
stands for them afterwards; the number of a function stands for its file and object too. Inlined
lines (fi=, fe=) are part of the function they are in.
"""

import collections
import os
import re

from common import Failed

NAME = re.compile(r"\((\d+)\)(?: (.*))?")
Function = collections.namedtuple("Function", "name file object")


class Malformed(Failed):
    """What isn't as expected."""


class Thread:
    """Function: self cost; (caller, callee): calls and inclusive cost."""

    def __init__(self, path, tree):
        self.path = path
        self.tree = str(tree) + os.sep
        self.self_cost = collections.Counter()
        self.calls = collections.Counter()
        self.inclusive = collections.Counter()
        self.total = 0
        self._names = {"file": {}, "fn": {}, "ob": {}}
        self._functions = {}
        with open(path, encoding="utf-8", errors="replace") as file:
            self._read(file)
        if sum(self.self_cost.values()) != self.total:
            raise Malformed(f"{path}: functions have {sum(self.self_cost.values())} instructions, "
                            f"the thread has {self.total}")

    def _name(self, kind, text):
        match = NAME.fullmatch(text)
        if not match:
            return text, text
        number, name = match.groups()
        if name is not None:
            self._names[kind][number] = name
        return number, self._names[kind].get(number, "???")

    def _file(self, text):
        path = os.path.normpath(self._name("file", text)[1])
        return path[len(self.tree):] if path.startswith(self.tree) else path

    def _read(self, file):
        costs, calls, inclusive = collections.Counter(), [], None
        file_name = object_name = number = callee = ""
        for line in file:
            line = line.rstrip("\n")
            key, _, value = line.partition("=")
            if line[:1] in "0123456789+-*" and line:
                words = line.split()
                cost = int(words[1]) if len(words) > 1 else 0
                if inclusive is None:
                    costs[number] += cost
                else:
                    calls.append((number, callee, inclusive, cost))
                    inclusive = None
            elif key == "fl":
                file_name = self._file(value)
            elif key in ("fi", "fe", "cfi", "cfl"):
                self._file(value)
            elif key in ("ob", "cob"):
                name = self._name("ob", value)[1]
                object_name = name if key == "ob" else object_name
            elif key == "fn":
                number, name = self._name("fn", value)
                self._functions[number] = Function(name, file_name, os.path.basename(object_name))
            elif key == "cfn":
                callee = self._name("fn", value)[0]
            elif key == "calls":
                inclusive = int(value.split()[0])
            elif line.startswith(("summary: ", "totals: ")):
                self.total = int(line.split()[1])
        for number, cost in costs.items():
            self.self_cost[self._function(number)] += cost
        for number, callee, count, cost in calls:
            edge = self._function(number), self._function(callee)
            self.calls[edge] += count
            self.inclusive[edge] += cost

    def _function(self, number):
        """A function may have been called only, at no cost that was counted here."""
        return self._functions.get(number) or Function(
            self._names["fn"].get(number, "???"), "???", "???")

    def has(self, name, file):
        return any(f.name == name and f.file == file for f in self.self_cost)
