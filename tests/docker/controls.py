"""The controls of the container, each with a probe that holds and what takes only this control away."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
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


MUTANTS: dict[str, Mutant] = {
    "network": networked,
    "capabilities": without("cap_drop"),
    "privileges": lambda asked: asked.host["security_opt"].remove("no-new-privileges"),
    "vsock": lambda asked: seccomp(asked, ""),
    "alg": lambda asked: seccomp(asked, "unconfined"),
    "abi": more_abis,
    "root": set_host(read_only=False),
    "init": one_user,
    "memory": set_host(mem_limit=1024 * MIB, memswap_limit=1024 * MIB),
    "swap": set_host(memswap_limit=512 * MIB),
    "processes": set_host(pids_limit=256),
    "cpus": without("nano_cpus"),
    "shares": without("cpu_shares"),
    "room": tmpfs(size=f"size={128 * MIB}"),
    "files": tmpfs(nr_inodes=""),
    "suid": tmpfs(nosuid="suid"),
    "devices": tmpfs(nodev="dev"),
    "owner": tmpfs(uid="", gid=""),
    "open_files": ulimit("nofile"),
    "file_size": ulimit("fsize"),
    "core": ulimit("core"),
    "locked": lambda asked: asked.host["ulimits"].append(
        Ulimit(name="memlock", soft=4096, hard=4096)
    ),
    "ipc": set_host(ipc_mode="host"),
    "cgroups": set_host(cgroupns="host"),
    "shm": set_host(shm_size=128 * MIB),
    "masked": lambda asked: asked.raw.update(MaskedPaths=[]),
    "read_only": lambda asked: asked.raw.update(ReadonlyPaths=[]),
    "orphans": set_host(init=False),
    "oom": without("oom_score_adj"),
}
