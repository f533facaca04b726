"""Runs inside a container: tries system calls, each in a child of its own. Standard library only.

argv[1] is {"calls": {label: {"x86_64": number, "aarch64": number, "arguments": [...]}}}; prints
{"machine": ..., "calls": {label: code}, "doors": {label: code}}, where code is 0 for success, an errno,
or minus the signal that ended the child.
"""

import ctypes
import json
import mmap
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
# mov eax, 20 (getpid of i386); int 0x80; ret
I386_GETPID = bytes.fromhex("b814000000cd80c3")
X32_GETPID = 0x40000000 | 39


def in_a_child(attempt: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        os._exit(attempt())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def system_call(number: int, *arguments: int | str) -> int:
    words = [a.encode() if isinstance(a, str) else ctypes.c_ulong(a) for a in arguments]
    result = LIBC.syscall(ctypes.c_long(number), *words)
    return 0 if result >= 0 else ctypes.get_errno()


def i386_door() -> int:
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(I386_GETPID)
    getpid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    return 0 if getpid() == os.getpid() else 1


def main() -> None:
    machine = os.uname().machine
    codes = {}
    for label, call in json.loads(sys.argv[1])["calls"].items():
        if call[machine] is not None:
            arguments = (call["arguments"] + [0] * 6)[:6]
            codes[label] = in_a_child(partial(system_call, call[machine], *arguments))
    doors = {}
    if machine == "x86_64":  # on aarch64 no instruction leads out of the 64-bit ABI
        doors = {"i386": in_a_child(i386_door), "x32": in_a_child(partial(system_call, X32_GETPID))}
    print(json.dumps({"machine": machine, "calls": codes, "doors": doors}))


main()
