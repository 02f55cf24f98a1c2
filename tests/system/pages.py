#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What page tables say of the regions of a process, and a way to take them away from it.

    pages.py seal PID CLIENT    take a process's access to the regions of another one away

A device, and the kernel's software for RDMA, reach pinned pages by other ways than the page tables
of the process that had them pinned. x86-64 only; by ptrace, which a parent or root may use.
"""

import collections
import ctypes
import os
import platform
import struct
import sys

REGION = "memfd:nvmux-region"
PAGE = 4096
PRESENT, PFN_MASK = 1 << 63, (1 << 55) - 1
PTRACE_SINGLESTEP, PTRACE_GETREGS, PTRACE_SETREGS, PTRACE_ATTACH, PTRACE_DETACH = 9, 12, 13, 16, 17
SYS_MPROTECT, PROT_NONE = 10, 0
WALL = 0x40000000
# struct user_regs_struct
REGISTERS = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp "
             "ss fs_base gs_base ds es fs gs").split()

Mapping = collections.namedtuple("Mapping", "start end access offset inode rss_kb")


def regions(pid):
    """Its mappings of regions: of memfds with that name. rss_kb: what its page tables have."""
    found = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        for line in file:
            words = line.split()
            if words[0] == "Rss:" and found and found[-1].rss_kb is None:
                found[-1] = found[-1]._replace(rss_kb=int(words[1]))
            elif len(words) > 5 and not words[0].endswith(":") and REGION in words[5]:
                start, end = (int(part, 16) for part in words[0].split("-"))
                found.append(Mapping(start, end, words[1], int(words[2], 16), int(words[4]), None))
    return found


def frames(pid, mapping):
    """{offset in the memfd: number of the page frame} of what is present. Without the right to know
    it they are 0."""
    found = {}
    with open(f"/proc/{pid}/pagemap", "rb", buffering=0) as file:
        size = (mapping.end - mapping.start) // PAGE * 8
        data = os.pread(file.fileno(), size, mapping.start // PAGE * 8)
    for index, (entry,) in enumerate(struct.iter_unpack("<Q", data)):
        if entry & PRESENT:
            found[mapping.offset + index * PAGE] = entry & PFN_MASK
    return found


def moved_by_calls(pid):
    """Bytes that it has read and written by system calls on descriptors."""
    with open(f"/proc/{pid}/io", encoding="utf-8") as file:
        values = dict(line.split(": ") for line in file)
    return int(values["rchar"]) + int(values["wchar"])


# ---- a system call in another process ----

def why_not():
    """Why seal() can't work here, or None."""
    return None if platform.machine() == "x86_64" else "it is written for x86-64"


def ptrace(request, pid, address=0, data=None):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(ctypes.c_long(request), ctypes.c_int(pid), ctypes.c_void_p(address), data) < 0:
        raise OSError(ctypes.get_errno(), f"ptrace {request} of process {pid}")


def stopped(pid):
    _, status = os.waitpid(pid, WALL)
    if not os.WIFSTOPPED(status):
        raise OSError(f"process {pid} has ended")


def syscall_instruction(pid):
    """Where the kernel's own page of code in the process has one."""
    with open(f"/proc/{pid}/maps", encoding="utf-8") as file:
        line = next(line for line in file if line.rstrip().endswith("[vdso]"))
    start, end = (int(part, 16) for part in line.split()[0].split("-"))
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        return start + os.pread(file.fileno(), end - start, start).index(b"\x0f\x05")


def call_in(pid, number, *arguments):
    """Have a stopped process make a system call."""
    saved = (ctypes.c_ulong * len(REGISTERS))()
    ptrace(PTRACE_GETREGS, pid, data=saved)
    registers = (ctypes.c_ulong * len(REGISTERS))(*saved)
    values = {"rip": syscall_instruction(pid), "rax": number, "orig_rax": (1 << 64) - 1,
              **dict(zip(("rdi", "rsi", "rdx"), arguments))}
    for name, value in values.items():
        registers[REGISTERS.index(name)] = value
    ptrace(PTRACE_SETREGS, pid, data=registers)
    ptrace(PTRACE_SINGLESTEP, pid)
    stopped(pid)
    ptrace(PTRACE_GETREGS, pid, data=registers)
    ptrace(PTRACE_SETREGS, pid, data=saved)
    result = ctypes.c_long(registers[REGISTERS.index("rax")]).value
    if result < 0:
        raise OSError(-result, f"system call {number} in process {pid}: {os.strerror(-result)}")


def shared(pid, client):
    """A process's mappings of another one's regions."""
    inodes = {mapping.inode for mapping in regions(client)}
    return [mapping for mapping in regions(pid) if mapping.inode in inodes]


def seal(pid, client):
    """Take a process's access to another one's regions away: how many there are."""
    ptrace(PTRACE_ATTACH, pid)
    try:
        stopped(pid)
        for mapping in shared(pid, client):
            call_in(pid, SYS_MPROTECT, mapping.start, mapping.end - mapping.start, PROT_NONE)
    finally:
        ptrace(PTRACE_DETACH, pid)
    found = shared(pid, client)
    open_ones = [mapping for mapping in found if not mapping.access.startswith("---")]
    if open_ones:
        raise OSError(f"process {pid} still has access to {open_ones}")
    return len(found)


def main():
    if len(sys.argv) != 4 or sys.argv[1] != "seal":
        sys.exit(__doc__)
    if why_not():
        sys.exit(why_not())
    number = seal(int(sys.argv[2]), int(sys.argv[3]))
    print(f"sealed: {number}")
    return 0 if number else "they share no region"


if __name__ == "__main__":
    sys.exit(main())
