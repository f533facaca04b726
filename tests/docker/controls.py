"""The controls of the container, each with a probe that holds and what takes only this control away."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from docker.types import Ulimit

from tests.docker.conftest import OWNER
from tiny_backspace.sandbox import container, image
from tiny_backspace.sandbox.container import Limits
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import OWNER_LABEL, RUN_LABEL, Engine, remove

MIB = 1 << 20
LIMITS = Limits(
    memory=256 * MIB, workspace=64 * MIB, tmp=32 * MIB, home=16 * MIB, cpus=0.5, pids=64
)


@dataclass
class Asked:
    """What the engine is asked for: docker-py's arguments, and then the JSON that they become."""

    host: dict[str, Any]
    made: dict[str, Any]
    raw: dict[str, Any]


Mutant = Callable[[Asked], object]


@contextmanager
def opened(engine: Engine, mutant: Mutant | None = None) -> Generator[DockerSandbox]:
    asked = Asked(
        container.host_config(LIMITS, runtime=None),
        container.container(
            image.ensure(engine.api, emit=lambda _: None), 300,
            {OWNER_LABEL: OWNER, RUN_LABEL: token_hex(4)}, f"tiny-backspace-control-{token_hex(4)}",
        ),
        {},
    )  # fmt: skip
    if mutant is not None:
        mutant(asked)
    host = engine.api.create_host_config(**asked.host) | asked.raw
    made = engine.api.create_container(**asked.made, host_config=host)["Id"]
    try:
        engine.api.start(made)
        yield DockerSandbox(engine, made, lambda _: None)
    finally:
        remove(engine, made)


def set_host(**changes: Any) -> Mutant:
    return lambda asked: asked.host.update(changes)


def without(option: str) -> Mutant:
    return lambda asked: asked.host.pop(option)


def tmpfs(**changes: str) -> Mutant:
    """/workspace with these of its options changed; an empty value takes one away."""

    def change(asked: Asked) -> None:
        options = [
            o
            for o in asked.host["tmpfs"]["/workspace"].split(",")
            if o.partition("=")[0] not in changes
        ]
        asked.host["tmpfs"]["/workspace"] = ",".join(
            [*options, *(v for v in changes.values() if v)]
        )

    return change


def ulimit(name: str) -> Mutant:
    def change(asked: Asked) -> None:
        asked.host["ulimits"] = [u for u in asked.host["ulimits"] if u.name != name]

    return change


def seccomp(asked: Asked, profile: str) -> None:
    options = [o for o in asked.host["security_opt"] if not o.startswith("seccomp=")]
    asked.host["security_opt"] = [*options, *([f"seccomp={profile}"] if profile else [])]


def more_abis(asked: Asked) -> None:
    profile = json.loads(
        next(o for o in asked.host["security_opt"] if o.startswith("seccomp="))[8:]
    )
    profile["archMap"][0]["subArchitectures"] = ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]
    seccomp(asked, json.dumps(profile))


def one_user(asked: Asked) -> None:
    asked.made["user"] = f"{container.AGENT_UID}:{container.AGENT_UID}"


def networked(asked: Asked) -> None:
    asked.host["network_mode"] = "bridge"
    asked.made["network_disabled"] = False


# Whether a call is refused by the filter, and not for want of it: errno is EPERM or ENOSYS.
SOCKET = """
    import errno, socket
    try: socket.socket({}).close(); holds = False
    except OSError as error: holds = error.errno in (errno.EPERM, errno.ENOSYS)
"""
STATUS = """
    status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
"""
MOUNT = """
    line = next(l for l in open("/proc/self/mountinfo") if l.split()[4] == "/workspace")
    options = set(line.split()[5].split(",") + line.rsplit(" ", 1)[1].strip().split(","))
"""
CGROUP = """
    import os
    def limit(old, new):
        for path in (f"/sys/fs/cgroup/{old}", f"/sys/fs/cgroup/{new}"):
            if os.path.exists(path): return open(path).read().split()[0]
"""


@dataclass(frozen=True)
class Control:
    probe: str
    mutant: Mutant


CONTROLS: dict[str, Control] = {
    "no network": Control(
        "import socket; holds = [name for _, name in socket.if_nameindex()] == ['lo']", networked
    ),
    "no capabilities": Control(
        STATUS + "    holds = all(int(status[n], 16) == 0 for n in status if n.startswith('Cap'))",
        without("cap_drop"),
    ),
    "no new privileges": Control(
        STATUS + "    holds = status['NoNewPrivs'] == '1'",
        lambda asked: asked.host["security_opt"].remove("no-new-privileges"),
    ),
    "our seccomp filter, against the engine's own: vsock": Control(
        SOCKET.format("40, socket.SOCK_STREAM"), lambda asked: seccomp(asked, "")
    ),
    "our seccomp filter, against none: AF_ALG": Control(
        SOCKET.format("38, socket.SOCK_SEQPACKET"), lambda asked: seccomp(asked, "unconfined")
    ),
    "no 32-bit ABI": Control(
        """
        import ctypes, mmap, os, signal
        # mov eax, 20 (getpid of i386); int 0x80; ret
        code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        code.write(bytes.fromhex("b814000000cd80c3"))
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
        if (child := os.fork()) == 0:
            call(); os._exit(0)
        holds = os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSYS
        """,
        more_abis,
    ),
    "a read-only root": Control(
        """
        import errno
        try: open("/var/tmp/x", "w").close(); holds = False
        except OSError as error: holds = error.errno == errno.EROFS
        """,
        set_host(read_only=False),
    ),
    "PID 1 is another user": Control(
        """
        import os
        try: os.kill(1, 0); holds = False
        except PermissionError: holds = True
        """,
        one_user,
    ),
    "memory": Control(
        """
        import signal, subprocess, sys
        hog = "a = [bytearray(1 << 24) for _ in range(20)]"  # 320 MiB, every page of it written
        holds = subprocess.run([sys.executable, "-c", hog]).returncode == -signal.SIGKILL
        """,
        set_host(mem_limit=1024 * MIB, memswap_limit=1024 * MIB),
    ),
    "no swap": Control(
        CGROUP + f"    holds = limit('memory/memory.memsw.limit_in_bytes', 'memory.swap.max') in ('{256 * MIB}', '0')",
        set_host(memswap_limit=512 * MIB),
    ),
    "processes": Control(
        """
        import subprocess
        started, holds = [], False
        try: started += (subprocess.Popen(["sleep", "60"]) for _ in range(100))
        except BlockingIOError: holds = True
        for each in started: each.kill()
        """,
        set_host(pids_limit=256),
    ),
    "processors": Control(
        CGROUP + "    holds = limit('cpu/cpu.cfs_quota_us', 'cpu.max') == '50000'", without("nano_cpus")
    ),
    "a share of the processors": Control(
        CGROUP + "    holds = limit('cpu/cpu.shares', 'cpu.weight') in ('512', '20')", without("cpu_shares")
    ),
    "room in the work tree": Control(
        """
        import errno
        try:
            with open("/workspace/big", "wb") as file:
                for _ in range(100): file.write(bytes(1 << 20))
            holds = False
        except OSError as error: holds = error.errno == errno.ENOSPC
        """,
        tmpfs(size=f"size={128 * MIB}"),
    ),
    "files in the work tree": Control(
        "import os; holds = os.statvfs('/workspace').f_files == 200_000", tmpfs(nr_inodes="")
    ),
    "no setuid in the work tree": Control(MOUNT + "    holds = 'nosuid' in options", tmpfs(nosuid="suid")),
    "no devices in the work tree": Control(MOUNT + "    holds = 'nodev' in options", tmpfs(nodev="dev")),
    "the work tree is the agent's": Control(
        "import os; s = os.stat('/workspace'); holds = (s.st_uid, s.st_gid, s.st_mode & 0o777) == (10001, 10001, 0o700)",
        tmpfs(uid="", gid=""),
    ),
    "open files": Control(
        "import resource; holds = resource.getrlimit(resource.RLIMIT_NOFILE) == (8192, 8192)", ulimit("nofile")
    ),
    "the size of a file": Control(
        """
        import signal, subprocess
        done = subprocess.run(["python3", "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL); open('/tmp/f', 'wb').truncate((1 << 30) + 1)"])
        holds = done.returncode == -signal.SIGXFSZ
        """,
        ulimit("fsize"),
    ),
    "no core dumps": Control(
        "import resource; holds = resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)", ulimit("core")
    ),
    "locked memory": Control(
        "import resource; holds = resource.getrlimit(resource.RLIMIT_MEMLOCK) == (1 << 16, 1 << 16)",
        lambda asked: asked.host["ulimits"].append(Ulimit(name="memlock", soft=4096, hard=4096)),
    ),
    "an IPC namespace of its own": Control(
        f"import os; holds = os.readlink('/proc/self/ns/ipc') != '{Path('/proc/self/ns/ipc').readlink()}'",
        set_host(ipc_mode="host"),
    ),
    "a cgroup namespace of its own": Control(
        "holds = not any('docker' in line for line in open('/proc/self/cgroup'))", set_host(cgroupns="host")
    ),
    "shared memory": Control(
        "import os; s = os.statvfs('/dev/shm'); holds = s.f_blocks * s.f_frsize == 64 << 20",
        set_host(shm_size=128 * MIB),
    ),
    "masked kernel files": Control(
        "import os, stat; holds = stat.S_ISCHR(os.stat('/proc/keys').st_mode)",
        lambda asked: asked.raw.update(MaskedPaths=[]),
    ),
    "read-only kernel files": Control(
        """
        line = [l.split() for l in open("/proc/self/mountinfo") if l.split()[4] == "/proc/sys"]
        holds = bool(line) and "ro" in line[-1][5].split(",")
        """,
        lambda asked: asked.raw.update(ReadonlyPaths=[]),
    ),
    "orphans are reaped": Control(
        """
        import os, subprocess, time
        subprocess.run(["sh", "-c", "sleep 0.1 & sleep 0.1 &"])
        def children(): return [p for p in os.listdir("/proc") if p.isdigit() and open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[1] == "1"]
        def zombies(): return [p for p in children() if open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[0] == "Z"]
        until = time.monotonic() + 2
        time.sleep(0.3)
        while zombies() and time.monotonic() < until: time.sleep(0.05)
        holds = not zombies()
        """,
        set_host(init=False),
    ),
    "the first to go when memory is short": Control(
        "holds = int(open('/proc/self/oom_score_adj').read()) == 500", without("oom_score_adj")
    ),
}  # fmt: skip
