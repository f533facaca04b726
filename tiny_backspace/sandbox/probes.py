"""Tries every control of a container from inside. Run there as `python3 -c <this> <limits as JSON> [name …]`.

It imports nothing of ours. Each function is a control: its docstring says which, and it returns whether that
holds. On standard output comes one JSON object: `holds`, `open`, or why a probe could not tell.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMITS: dict[str, Any] = {}
"""memory, workspace, shm in bytes; cpus; pids; and `ipc`, the host's IPC namespace."""
MIB = 1 << 20
INODES = 200_000


def status() -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def mount_options(place: str) -> set[str]:
    """Of the mount point and of what is mounted there (proc(5), mountinfo); the last one counts."""
    options: set[str] = set()
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields = line.split()
        if fields[4] == place:
            options = {*fields[5].split(","), *fields[-1].split(",")}
    return options


def cgroup(old: str, new: str) -> str:
    """The first word of a limit's file, of cgroup v1 or v2."""
    root = Path("/sys/fs/cgroup")
    return next(
        (root / name).read_text().split()[0] for name in (old, new) if (root / name).exists()
    )


def refused(family: int, kind: int) -> bool:
    """By the filter, and not for want of it: another error is not ours."""
    try:
        socket.socket(family, kind).close()
    except OSError as error:
        return error.errno in (errno.EPERM, errno.ENOSYS)
    return False


def network() -> bool:
    """No network"""
    return [name for _, name in socket.if_nameindex()] == ["lo"]


def capabilities() -> bool:
    """No capabilities"""
    return all(int(mask, 16) == 0 for name, mask in status().items() if name.startswith("Cap"))


def privileges() -> bool:
    """No new privileges"""
    return status()["NoNewPrivs"] == "1"


def vsock() -> bool:
    """Our seccomp filter: no way to the hypervisor (vsock)"""
    return refused(40, socket.SOCK_STREAM)


def alg() -> bool:
    """Our seccomp filter: no kernel cryptography (AF_ALG)"""
    return refused(38, socket.SOCK_SEQPACKET)


def abi() -> bool:
    """No 32-bit system calls"""
    if os.uname().machine != "x86_64":
        return True  # there are none
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (i386's getpid); int 0x80; ret
    call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
    child = os.fork()
    if child == 0:
        call()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSYS


def root() -> bool:
    """A read-only root"""
    try:
        Path("/var/tmp/x").touch()  # noqa: S108 - that is what is tried
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def init() -> bool:
    """PID 1, and the deadline, are out of reach"""
    try:
        os.kill(1, 0)
    except PermissionError:
        return True
    return False


def memory() -> bool:
    """Memory"""
    chunks = LIMITS["memory"] // (16 * MIB) + 4
    hog = f"a = [bytearray(1 << 24) for _ in range({chunks})]"
    return subprocess.run([sys.executable, "-c", hog], check=False).returncode == -signal.SIGKILL


def swap() -> bool:
    """No swap"""
    limit = cgroup("memory/memory.memsw.limit_in_bytes", "memory.swap.max")
    return limit in (str(LIMITS["memory"]), "0")


def processes() -> bool:
    """Processes"""
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.extend(subprocess.Popen(["sleep", "60"]) for _ in range(LIMITS["pids"] + 8))
    except BlockingIOError:
        return True
    finally:
        for each in started:
            each.kill()
            each.wait()
    return False


def cpus() -> bool:
    """Processors"""
    return cgroup("cpu/cpu.cfs_quota_us", "cpu.max") == str(round(LIMITS["cpus"] * 100_000))


def shares() -> bool:
    """A share of the processors"""
    return cgroup("cpu/cpu.shares", "cpu.weight") in ("512", "20")


def room() -> bool:
    """Room in the work tree"""
    big = Path("/workspace/.probe")
    try:
        with big.open("wb") as file:
            for _ in range(LIMITS["workspace"] // MIB + 8):
                file.write(bytes(MIB))
    except OSError as error:
        return error.errno == errno.ENOSPC
    finally:
        big.unlink()
    return False


def files() -> bool:
    """Files in the work tree"""
    return os.statvfs("/workspace").f_files == INODES


def suid() -> bool:
    """No setuid in the work tree"""
    return "nosuid" in mount_options("/workspace")


def devices() -> bool:
    """No devices in the work tree"""
    return "nodev" in mount_options("/workspace")


def owner() -> bool:
    """The work tree is the agent's"""
    seen = Path("/workspace").stat()
    group = seen.st_gid == 10001 and seen.st_uid in (10000, 10001)  # noqa: PLR2004 - init's on Podman
    return group and not seen.st_mode & stat.S_IRWXO


def open_files() -> bool:
    """Open files"""
    return resource.getrlimit(resource.RLIMIT_NOFILE) == (8192, 8192)


def file_size() -> bool:
    """The size of a file"""
    grow = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('/tmp/.probe', 'wb').truncate((1 << 30) + 1)"
    try:
        done = subprocess.run([sys.executable, "-c", grow], check=False)
    finally:
        Path("/tmp/.probe").unlink(missing_ok=True)  # noqa: S108 - the container's own
    return done.returncode == -signal.SIGXFSZ


def core() -> bool:
    """No core dumps"""
    return resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)


def locked() -> bool:
    """Locked memory"""
    return resource.getrlimit(resource.RLIMIT_MEMLOCK) == (1 << 16, 1 << 16)


def ipc() -> bool:
    """An IPC namespace of its own"""
    return str(Path("/proc/self/ns/ipc").readlink()) != str(LIMITS["ipc"])


def cgroups() -> bool:
    """A cgroup namespace of its own"""
    return all(line.endswith(":/") for line in Path("/proc/self/cgroup").read_text().split())


def shm() -> bool:
    """Shared memory"""
    seen = os.statvfs("/dev/shm")  # noqa: S108 - that is what is looked at
    return seen.f_blocks * seen.f_frsize == int(LIMITS["shm"])


def masked() -> bool:
    """Masked kernel files"""
    return stat.S_ISCHR(Path("/proc/keys").stat().st_mode)


def read_only() -> bool:
    """Read-only kernel files"""
    return "ro" in mount_options("/proc/sys")


def orphans() -> bool:
    """Orphans are reaped"""
    subprocess.run(["sh", "-c", "sleep 0.1 & sleep 0.1 &"], check=True)
    time.sleep(0.3)
    until = time.monotonic() + 2
    while (left := _zombies()) and time.monotonic() < until:
        time.sleep(0.05)
    return not left


def _zombies() -> list[str]:
    """Dead children of PID 1 that nobody waited for."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (entry / "stat").exists():
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            found += [entry.name] * (state == "Z" and parent == "1")
    return found


def oom() -> bool:
    """The first to go when memory is short"""
    return Path("/proc/self/oom_score_adj").read_text().strip() == "500"


CONTROLS = (
    network, capabilities, privileges, vsock, alg, abi, root, init, memory, swap, processes, cpus, shares, room,
    files, suid, devices, owner, open_files, file_size, core, locked, ipc, cgroups, shm, masked, read_only, orphans, oom,
)  # fmt: skip


def main() -> None:
    LIMITS.update(json.loads(sys.argv[1]))
    told = {}
    for control in CONTROLS:
        if sys.argv[2:] and control.__name__ not in sys.argv[2:]:
            continue
        try:
            told[control.__name__] = "holds" if control() else "open"
        except Exception as error:  # noqa: BLE001 - whatever it is, the probe has not told
            told[control.__name__] = f"not known: {type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
