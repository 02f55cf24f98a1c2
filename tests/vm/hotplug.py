# SPDX-License-Identifier: BSD-3-Clause
"""The host's side of hot plug: a controller behind a root port, put in and taken out by QMP.

The guest writes a line on its third serial port and gets a line as the answer:

    device_add              ok
    device_del SECONDS      ok SECONDS: the guest has let go of the device (QMP DEVICE_DELETED)

and "error …" when that fails, or takes longer than SECONDS.
"""

import json
import os
import socket
import threading
import time

DISK_BYTES = 32 << 20
DEVICE = {"driver": "nvme", "id": "hot", "bus": "port0", "drive": "hotdisk", "serial": "HOT"}


class Closed(Exception):
    """The other side has gone."""


class Lines:
    """A Unix socket that speaks in lines."""

    def __init__(self, path, ended):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(0.2)
        self.ended = ended
        self.buffer = b""
        while True:
            try:
                self.socket.connect(path)
                return
            except OSError:
                if ended.wait(0.1):
                    raise Closed from None

    def read(self, seconds=None):
        """The next line; None: not in time."""
        end = None if seconds is None else time.monotonic() + seconds
        while b"\n" not in self.buffer:
            if self.ended.is_set():
                raise Closed
            if end is not None and time.monotonic() > end:
                return None
            try:
                data = self.socket.recv(4096)
            except TimeoutError:
                continue
            if not data:
                raise Closed
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line.decode(errors="replace").strip()

    def write(self, text):
        self.socket.sendall(text.encode() + b"\n")


class Qmp:
    """QEMU's monitor protocol, one command at a time."""

    def __init__(self, path, ended):
        self.lines = Lines(path, ended)
        self.events = []
        self.lines.read()  # the greeting
        self.call("qmp_capabilities")

    def next(self, seconds):
        line = self.lines.read(seconds)
        return None if line is None else json.loads(line)

    def call(self, command, **arguments):
        """Its error as text, or None."""
        self.lines.write(json.dumps({"execute": command, "arguments": arguments}))
        while True:
            value = self.next(60)
            if value is None:
                return f"{command}: no answer"
            if "event" in value:
                self.events.append(value)
            elif "error" in value:
                return value["error"]["desc"]
            else:
                return None

    def wait_deleted(self, device, seconds):
        """Whether the guest has let go of the device."""
        end = time.monotonic() + seconds
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["event"] == "DEVICE_DELETED" and event["data"].get("device") == device:
                    return True
            value = self.next(max(end - time.monotonic(), 0))
            if value is None:
                return False
            if "event" in value:
                self.events.append(value)


class Host(threading.Thread):
    """Serves one guest from before its boot until stop()."""

    def __init__(self, work):
        super().__init__(daemon=True)
        self.qmp_path = os.path.join(work, "qmp")
        self.port_path = os.path.join(work, "port")
        self.disk = os.path.join(work, "hot.img")
        self.ended = threading.Event()

    def argv(self):
        """QEMU's options: the third serial port, the monitor, the root port, the disk."""
        with open(self.disk, "wb") as file:
            file.truncate(DISK_BYTES)
        return ["-serial", f"unix:{self.port_path},server=on,wait=off",
                "-qmp", f"unix:{self.qmp_path},server=on,wait=off",
                "-device", "pcie-root-port,id=port0,chassis=1,slot=1,addr=6",
                "-blockdev", f"driver=raw,node-name=hotdisk,file.driver=file,"
                             f"file.filename={self.disk},cache.no-flush=on"]

    def obey(self, qmp, words):
        if words[0] == "device_add":
            error = qmp.call("device_add", **DEVICE)
            return f"error {error}" if error else "ok"
        if words[0] == "device_del" and len(words) == 2:
            began = time.monotonic()
            error = qmp.call("device_del", id=DEVICE["id"])
            if error:
                return f"error {error}"
            if not qmp.wait_deleted(DEVICE["id"], float(words[1])):
                return f"error the guest still has it after {words[1]} s"
            return f"ok {time.monotonic() - began:.2f}"
        return "error what?"

    def run(self):
        try:
            qmp = Qmp(self.qmp_path, self.ended)
            port = Lines(self.port_path, self.ended)
            while True:
                words = port.read().split()
                if words:
                    port.write(self.obey(qmp, words))
        except (Closed, OSError):
            return

    def stop(self):
        self.ended.set()
        if self.is_alive():
            self.join(10)
