"""Small tool calls in a sandbox that is up, each beside a `docker exec` that does the same."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from functools import partial

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place
from tiny_backspace.sandbox.docker import DockerSandbox

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
_RG_ITSELF = """
import subprocess, time
start = time.perf_counter()
subprocess.run(["rg", "needle", "many"], stdout=subprocess.DEVNULL, check=True)
print(time.perf_counter() - start)
"""
_RG = ("rg", "needle", "many")
_WRITTEN = b"x" * 2000


def rows(place: Place) -> Iterator[Row]:
    with place.sandbox() as (sandbox, container):
        assert sandbox.call(["python3", "-c", _MAKE]).ok
        docker = partial(_docker, place, container)
        pairs: dict[str, tuple[Callable[[], object], Callable[[], object], float]] = {
            "call true": (lambda: sandbox.call(["true"]), partial(docker, "true"), 1 / 15),
            "read 2 kB": (lambda: sandbox.read("small"), partial(docker, "cat", "small"), 1 / 50),
            "read 1 MB": (lambda: sandbox.read("big"), partial(docker, "cat", "big"), 1 / 8),
            "write 2 kB": (
                lambda: sandbox.write("new", _WRITTEN),
                partial(docker, "sh", "-c", "cat > new", stdin=_WRITTEN),
                1 / 50,
            ),
        }
        for name, (ours, theirs, target) in pairs.items():
            took = interleaved(
                place.rounds * _ROUNDS,
                {"ours": partial(timed, ours), "docker": partial(timed, theirs)},
            )
            yield Row(name, "ms", took["ours"], target, "docker exec", took["docker"])
        yield from _search(place, sandbox, docker)


def _search(place: Place, sandbox: DockerSandbox, docker: Callable[..., object]) -> Iterator[Row]:
    took = interleaved(
        place.rounds,
        {
            "ours": partial(timed, partial(sandbox.call, _RG)),
            "itself": lambda: float(sandbox.call(["python3", "-c", _RG_ITSELF]).stdout),
            "docker": partial(timed, partial(docker, *_RG)),
        },
    )
    what = "rg in 10,000 files"
    yield Row(what, "ms", took["ours"], 1.1, "rg itself, timed inside", took["itself"])
    yield Row(what, "ms", took["ours"], None, "docker exec", took["docker"])


def _docker(place: Place, container: str, *argv: str, stdin: bytes = b"") -> None:
    """As the agent's user in the work tree, like our own calls."""
    flags = ("-i",) if stdin else ()
    subprocess.run(
        ["docker", "exec", *flags, "-u", "10001:10001", "-w", "/workspace", container, *argv],
        input=stdin, stdout=subprocess.PIPE, check=True, timeout=60, env=place.environment,
    )  # fmt: skip
