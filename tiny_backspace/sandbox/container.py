"""What a container is asked to be: the controls of docs/security.md, as the engine's arguments. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiny_backspace.errors import UsageError
from tiny_backspace.sandbox import seccomp

WORKSPACE = "/workspace"
TMP = "/tmp"  # noqa: S108 - the container's own
HOME = "/home/agent"
SETUP = "/opt/setup"  # where the volume of a setup is mounted
INIT_UID = 10000  # PID 1 and its deadline: out of reach of …
AGENT_UID = 10001  # … everything that is exec'd

MIB = 1 << 20
_MEMORY_CAP = 4 << 30
_MEMORY_FLOOR = 1 << 30
SHM = 64 * MIB
_INODES = 200_000
_CPU_CAP = 2.0
_FEW_CPUS = 2  # on so small a machine a share is left to whoever works on it
_FILES_SHARE = 0.6  # tmpfs is charged to the memory limit: a full one must leave room to run in

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",  # byte code in the work tree would be junk in the change
}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for. Bytes and seconds; None takes what fits the engine.

    `known` is the folder that says which images earlier runs have used.
    """

    image: str | None = None
    base: str | None = None
    memory: int | None = None
    disk: int | None = None
    cpus: float | None = None
    pids: int = 512
    seconds: float = 1800
    runtime: str | None = None
    known: Path | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of the engine, at `SETUP`; it has no limit of its own. Written to by a setup only."""

    name: str
    writable: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What the container gets. Sizes in bytes."""

    memory: int
    workspace: int
    tmp: int
    home: int
    cpus: float
    pids: int


def limits(wish: Wish, *, engine_memory: int, engine_cpus: int) -> Limits:
    """The wish, fitted to the engine.

    Raises:
        UsageError: too little memory to work in, or more files than the memory can hold.
    """
    memory = wish.memory or min(_MEMORY_CAP, engine_memory // 2)
    if memory < _MEMORY_FLOOR:
        raise UsageError(
            f"{memory // MIB} MiB of memory is too little for a sandbox, which needs 1 GiB",
            hint="Raise --memory, or give the Docker engine more memory.",
        )
    workspace = wish.disk or memory * 40 // 100
    tmp, home = memory * 8 // 100, memory * 4 // 100
    if workspace + tmp + home + SHM > memory * _FILES_SHARE:
        most = (int(memory * _FILES_SHARE) - tmp - home - SHM) // MIB
        raise UsageError(
            f"a work tree of {workspace // MIB} MiB does not fit {memory // MIB} MiB of memory, "
            "where the work tree is kept",
            hint=f"Raise --memory, or lower --disk to at most {most}m.",
        )
    few = engine_cpus <= _FEW_CPUS
    cpus = wish.cpus or (max(0.5, engine_cpus - 0.5) if few else _CPU_CAP)
    if cpus > engine_cpus:
        raise UsageError(f"--cpus {cpus:g} is more than the engine's {engine_cpus}")
    return Limits(memory, workspace, tmp, home, cpus, wish.pids)


def host_config(
    limits: Limits, *, runtime: str | None, volume: Volume | None = None
) -> dict[str, Any]:
    """Keyword arguments of docker-py's `create_host_config`."""
    from docker.types import LogConfig, Ulimit

    def tmpfs(size: int, mode: str, inodes: int = _INODES) -> str:
        return (
            f"rw,exec,nosuid,nodev,size={size},nr_inodes={inodes},mode={mode},"
            f"uid={AGENT_UID},gid={AGENT_UID}"
        )

    return {
        "network_mode": "none",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp.text()}"],
        "read_only": True,
        "tmpfs": {
            WORKSPACE: tmpfs(limits.workspace, "0700"),
            TMP: tmpfs(limits.tmp, "1777"),
            HOME: tmpfs(limits.home, "0700"),
        },
        "mem_limit": limits.memory,
        "memswap_limit": limits.memory,
        "nano_cpus": int(limits.cpus * 1e9),
        "cpu_shares": 512,
        "pids_limit": limits.pids,
        "ulimits": [
            Ulimit(name="nofile", soft=8192, hard=8192),
            Ulimit(name="fsize", soft=1 << 30, hard=1 << 30),
            Ulimit(name="core", soft=0, hard=0),
            Ulimit(name="memlock", soft=1 << 16, hard=1 << 16),
        ],
        "log_config": LogConfig(type=LogConfig.types.NONE),
        "ipc_mode": "private",
        "cgroupns": "private",
        "shm_size": SHM,
        "init": True,
        "auto_remove": True,
        "oom_score_adj": 500,
        "runtime": runtime,
        **({"mounts": [_mounted(volume)]} if volume else {}),
    }


def _mounted(volume: Volume) -> Any:  # noqa: ANN401 - docker-py's own, a dictionary
    from docker.types import Mount

    return Mount(SETUP, volume.name, type="volume", read_only=not volume.writable)


def container(image: str, seconds: float, labels: dict[str, str], name: str) -> dict[str, Any]:
    """The other keyword arguments of `create_container`. PID 1 sleeps until the deadline and ends everything."""
    return {
        "image": image,
        "command": ["sleep", str(int(seconds))],
        "entrypoint": [],
        "name": name,
        "hostname": "sandbox",
        "user": f"{INIT_UID}:{INIT_UID}",
        "working_dir": WORKSPACE,
        "environment": _ENVIRONMENT,
        "labels": labels,
        "network_disabled": True,  # besides network_mode: the engine then skips its network library
        "use_config_proxy": False,  # or the proxy credentials of ~/.docker/config.json go inside
        "healthcheck": {"test": ["NONE"]},  # one of a foreign image would run beside PID 1
        "stop_signal": "SIGKILL",
    }
