#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""No processor but the device's touches data: the device reads and writes the client's own pages.

nvmux-untouched has no access to its region during each I/O. nvmuxd loses its own while it runs. So
whoever looks at the data in one of the two is ended by a signal.
"""

import contextlib
import signal
import subprocess

import pages
from nvmux_test import (WRAP, Run, Skip, Suite, attach, daemon_trid, program, wait_until)

DEVICE = "mem,size=64M,bs=512"
# What nvmuxd reads and writes by system calls meanwhile, and how much the I/Os move.
CALLS_LIMIT = 64 << 10
EXTENTS, TOUCHED = 8, 297  # in nvmux-untouched; pages of its region that they lie in

suite = Suite()


class Client:
    """nvmux-untouched, which goes on when it is told to."""

    def __init__(self, run, trid):
        self.err = run.path("untouched.err")
        with open(self.err, "wb") as err:
            self.popen = subprocess.Popen(WRAP + [program("nvmux-untouched"), trid],
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=err, cwd=run.dir, text=True)
        self.pid = self.popen.pid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.popen.kill()
        self.popen.wait()
        self.popen.stdout.close()
        with contextlib.suppress(BrokenPipeError):
            self.popen.stdin.close()

    def says(self, word):
        """The words behind this one on its next line."""
        words = self.popen.stdout.readline().split()
        if words[:1] != [word]:
            self.popen.kill()
            raise AssertionError(f"exit code {self.popen.wait()} instead of '{word}': {self.log()}")
        return words[1:]

    def log(self):
        with open(self.err, encoding="utf-8", errors="replace") as file:
            return file.read()

    def region(self):
        """The mapping that it tells of."""
        address, size = (int(word, 0) for word in self.says("region"))
        (mapping,) = [m for m in pages.regions(self.pid) if m.start == address]
        assert mapping.end == address + size, mapping
        return mapping

    def go_on(self):
        self.popen.stdin.write("\n")
        self.popen.stdin.flush()

    def has_done(self):
        assert self.says("done") == [str(EXTENTS)]

    def end(self):
        self.go_on()
        assert self.popen.wait() == 0, self.log()


def need(reason):
    if reason:
        raise Skip(reason)


def of_inode(pid, inode):
    """A process's mappings of one memfd."""
    return [mapping for mapping in pages.regions(pid) if mapping.inode == inode]


def same_frames(client, emulator, inode):
    """The device has the client's frames, all those that it has at all, at the same places."""
    (ours,) = of_inode(client.pid, inode)
    frames = pages.frames(client.pid, ours)
    theirs = {}
    for mapping in of_inode(emulator.pid, inode):
        theirs.update(pages.frames(emulator.pid, mapping))
    assert len(theirs) >= TOUCHED, f"the device has touched {len(theirs)} pages of the region"
    if not any(frames.values()):
        raise Skip("page frames are shown to root only")
    different = [hex(at) for at, frame in theirs.items() if frames.get(at) != frame]
    assert not different, f"other frames at {different[:8]}"


@suite.test("in-process: the program's processor touches no data; the device has its very pages")
def inprocess():
    with Run() as run:
        emulator = run.emulator(DEVICE)
        with Client(run, f"trtype:VFIOUSER traddr:{emulator.dir}") as client:
            mapping = client.region()
            client.go_on()
            client.has_done()
            same_frames(client, emulator, mapping.inode)
            client.end()


@suite.test("through nvmuxd: nothing of a region ever gets into the daemon's page tables, and the "
            "device has the client's very pages")
def through_daemon():
    with Run() as run:
        emulator = run.emulator(DEVICE)
        daemon = run.daemon()
        name = attach(daemon, emulator)
        with Client(run, daemon_trid(daemon, name)) as client:
            mapping = client.region()
            before = pages.moved_by_calls(daemon.pid)
            client.go_on()
            client.has_done()
            moved = pages.moved_by_calls(daemon.pid) - before
            assert moved <= CALLS_LIMIT, f"nvmuxd has read and written {moved} bytes"
            for ours in of_inode(daemon.pid, mapping.inode):
                assert ours.rss_kb == 0, f"nvmuxd has {ours.rss_kb} KiB of the region: {ours}"
            same_frames(client, emulator, mapping.inode)
            client.end()


@suite.test("through nvmuxd that has no access to the regions: all data is right")
def sealed():
    need(pages.why_not())
    with Run() as run:
        emulator = run.emulator(DEVICE)
        daemon = run.daemon()
        name = attach(daemon, emulator)
        with Client(run, daemon_trid(daemon, name)) as client:
            client.region()
            assert pages.seal(daemon.pid, client.pid) >= 1
            client.go_on()
            client.has_done()
            client.end()


@suite.test("a device in the daemon itself copies, and is seen to: without access it ends by a "
            "signal")
def control():
    need(pages.why_not())
    with Run() as run:
        daemon = run.daemon(config=f"[controller soft]\ntrtype = LOOPBACK\ntraddr = {DEVICE}\n")
        with Client(run, daemon_trid(daemon, "soft")) as client:
            client.region()
            assert pages.seal(daemon.pid, client.pid) >= 1
            client.go_on()
            wait_until(lambda: not daemon.alive(), what="nvmuxd is ended")
            code = daemon.popen.returncode
            # Sanitizers have a handler, and exit codes of their own.
            assert code == -signal.SIGSEGV or (code > 0 and "SEGV" in daemon.err()), code
        daemon.kill()


if __name__ == "__main__":
    suite.main()
