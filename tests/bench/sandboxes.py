"""From nothing to a first command's result, and away again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from time import perf_counter

from tests.bench.measuring import Row, interleaved, timed
from tests.bench.place import Place
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.interface import ExecResult

_First = Callable[[DockerSandbox], ExecResult]


def rows(place: Place) -> Iterator[Row]:
    took = interleaved(
        place.rounds,
        {
            "call": partial(_ours, place, lambda sandbox: sandbox.call(["true"])),
            "exec": partial(_ours, place, lambda sandbox: sandbox.exec(["true"])),
            "docker": partial(_docker, place),
            "remove": partial(_our_removal, place),
            "docker rm": partial(_docker_removal, place),
        },
    )
    plain = "docker run -d; docker exec true"
    yield Row("sandbox to first call", "ms", took["call"], 0.75, plain, took["docker"])
    yield Row("sandbox to first exec", "ms", took["exec"], 0.75, plain, took["docker"])
    yield Row("sandbox removed", "ms", took["remove"], 0.7, "docker rm -f", took["docker rm"])


def _ours(place: Place, first: _First) -> float:
    """Seconds until the first result; the removal is not counted."""
    with ExitStack() as stack:
        start = perf_counter()
        sandbox, _ = stack.enter_context(place.sandbox())
        assert first(sandbox).ok
        return perf_counter() - start


def _docker(place: Place) -> float:
    start = perf_counter()
    container = place.docker_run()
    place.run("docker", "exec", container, "true")
    took = perf_counter() - start
    place.docker_remove(container)
    return took


def _our_removal(place: Place) -> float:
    stack = ExitStack()
    with stack:
        stack.enter_context(place.sandbox())
        return timed(stack.close)


def _docker_removal(place: Place) -> float:
    container = place.docker_run()
    return timed(partial(place.docker_remove, container))
