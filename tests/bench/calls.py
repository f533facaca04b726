"""Tool calls in a sandbox that is up, each beside a `docker exec` and a docker-py exec that do the same.

`bash` and `grep` are called as the model calls them, the other verbs as the file tools use them. Of `rg`
itself the time is taken inside: what it prints goes nowhere, and starting the exec is not counted.
"""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place, ignore
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall
from tiny_backspace.sandbox.container import AGENT_UID, WORKSPACE
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import connect

if TYPE_CHECKING:
    from docker import APIClient

_FILES = 10_000
_ROUNDS = 4  # times as many as elsewhere: they are cheap, and the slow ones count
_MAKE = f"""
import os, random
chance = random.Random(1)
lines = [" ".join(chance.choices("alpha beta gamma delta value token index".split(), k=8)) + "\\n" for _ in range(5000)]
for n in range({_FILES}):
    os.makedirs(f"many/{{n // 100}}", exist_ok=True)
    with open(f"many/{{n // 100}}/{{n}}.txt", "w") as file:
        file.writelines(chance.choices(lines, k=150))
with open("many/0/0.txt", "a") as file:
    file.write("the needle\\n")
for name, size in (("small", 2000), ("big", 1 << 20)):
    with open(name, "wb") as file:
        file.write(chance.randbytes(size))
"""
_RG = ("rg", "--hidden", "--line-number", "needle", "many")
_RG_ITSELF = f"""
import subprocess, time
start = time.perf_counter()
subprocess.run({_RG}, stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - start)
"""
_WRITTEN = b"x" * 2000
_USER = f"{AGENT_UID}:{AGENT_UID}"


@dataclass(frozen=True, slots=True)
class _Compared:
    """What we do, and the command that does the same; `target` is for the process `docker exec`."""

    name: str
    ours: Callable[[], object]
    argv: Sequence[str]
    target: float | None
    stdin: bytes = b""


def rows(place: Place) -> Iterator[Row]:
    with (
        place.sandbox() as (sandbox, container),
        closing(connect(place.environment.get("DOCKER_HOST")).api) as api,
    ):
        assert sandbox.call(["python3", "-c", _MAKE]).ok
        toolbox = Toolbox(sandbox, 60)
        for compared in _small(sandbox, toolbox):
            yield from _beside_execs(place, api, container, compared, place.rounds * _ROUNDS)
        grep = partial(_tool, toolbox, "grep", pattern="needle", path="many")
        search = _Compared(f"grep in {_FILES:,} files", grep, _RG, None)
        took = interleaved(
            place.rounds * 2,
            {
                "ours": partial(timed, grep),
                "itself": lambda: float(sandbox.call(["python3", "-c", _RG_ITSELF]).stdout),
            },
        )
        yield Row(search.name, "ms", took["ours"], 1.1, "rg itself, timed inside", took["itself"])
        yield from _beside_execs(place, api, container, search, place.rounds)


def _small(sandbox: DockerSandbox, toolbox: Toolbox) -> tuple[_Compared, ...]:
    bash = partial(_tool, toolbox, "bash", command="true")
    write = partial(sandbox.write, "new", _WRITTEN)
    cat = ("sh", "-c", "cat > new")
    return (
        _Compared("bash: true", bash, ("bash", "-c", "true"), 1.2),
        _Compared("call true", partial(sandbox.call, ["true"]), ("true",), 1 / 15),
        _Compared("read 2 kB", partial(sandbox.read, "small"), ("cat", "small"), 1 / 50),
        _Compared("read 1 MB", partial(sandbox.read, "big"), ("cat", "big"), 1 / 8),
        _Compared("write 2 kB", write, cat, 1 / 50, _WRITTEN),
    )


def _tool(toolbox: Toolbox, tool: str, **arguments: str) -> None:
    result = toolbox.call(ToolCall("c", tool, arguments), ignore)
    assert not result.is_error


def _beside_execs(
    place: Place, api: APIClient, container: str, compared: _Compared, rounds: int
) -> Iterator[Row]:
    docker = partial(_docker, place, container, compared.argv, compared.stdin)
    docker_py = partial(_docker_py, api, container, compared.argv, compared.stdin)
    took = interleaved(
        rounds,
        {
            "ours": partial(timed, compared.ours),
            "docker": partial(timed, docker),
            "docker-py": partial(timed, docker_py),
        },
    )
    name, ours = compared.name, took["ours"]
    yield Row(name, "ms", ours, compared.target, "docker exec", took["docker"])
    yield Row(name, "ms", ours, None, "docker-py exec", took["docker-py"])


def _docker(place: Place, container: str, argv: Sequence[str], stdin: bytes) -> None:
    """As the agent's user in the work tree, like our own calls."""
    flags = ("-i",) if stdin else ()
    subprocess.run(
        ["docker", "exec", *flags, "-u", _USER, "-w", WORKSPACE, container, *argv],
        input=stdin, stdout=subprocess.PIPE, check=True, timeout=60, env=place.environment,
    )  # fmt: skip


def _docker_py(api: APIClient, container: str, argv: Sequence[str], stdin: bytes) -> None:
    exec_id = api.exec_create(
        container, list(argv), stdin=bool(stdin), user=_USER, workdir=WORKSPACE
    )["Id"]
    if not stdin:
        api.exec_start(exec_id)
    else:
        stream: Any = api.exec_start(exec_id, socket=True)
        with (
            closing(stream),
            closing(stream._sock) as raw,
        ):  # there is no other way to end the input
            raw.sendall(stdin)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(1 << 16):
                pass
    assert api.exec_inspect(exec_id)["ExitCode"] == 0
