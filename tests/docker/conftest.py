"""A real engine. Where none answers, these tests fail: a sandbox that was not tried is not known to hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from secrets import token_hex
from time import monotonic, sleep
from typing import TypeAlias

import pytest

from tiny_backspace.events import Event, ThoughtDelta
from tiny_backspace.sandbox.container import Wish
from tiny_backspace.sandbox.docker import DockerSandbox
from tiny_backspace.sandbox.engine import OWNER_LABEL, Engine, connect
from tiny_backspace.sandbox.opening import open_sandbox

OWNER = f"test-{token_hex(4)}"
SMALL = Wish(memory=1 << 30, seconds=600)

Opener: TypeAlias = Callable[
    [Wish, list[Event | ThoughtDelta]], AbstractContextManager[DockerSandbox]
]


def containers_of(engine: Engine, owner: str) -> list[str]:
    found = engine.api.containers(all=True, filters={"label": f"{OWNER_LABEL}={owner}"})
    return [str(container["Id"]) for container in found]


def running(sandbox: DockerSandbox) -> list[str]:
    """The programs of the agent's user, besides the shell that looks and the server that runs it."""
    look = 'for p in /proc/[0-9]*; do [ -O $p ] && tr "\\0" "\\n" <$p/cmdline | head -n 1; done'
    said = sandbox.call(["sh", "-c", f"{look}; :"])
    found = said.stdout.decode().split()
    for known in ("python3", "sh"):
        found.remove(known)
    return [name for name in found if name not in ("tr", "head")]


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    connected = connect(None)
    yield connected
    connected.api.close()


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left(engine: Engine) -> Iterator[None]:
    yield
    until = monotonic() + 10  # the engine may still be at one that removes itself
    while (left := containers_of(engine, OWNER)) and monotonic() < until:
        sleep(0.1)
    assert left == []


@pytest.fixture(scope="session")
def owner() -> str:
    return OWNER


@pytest.fixture(scope="session")
def opener(engine: Engine) -> Opener:
    """A sandbox of its own for a test that will spoil it, or has another wish; events go to the list."""

    def opened(
        wish: Wish, events: list[Event | ThoughtDelta]
    ) -> AbstractContextManager[DockerSandbox]:
        return open_sandbox(engine, wish, token_hex(4), OWNER, events.append)

    return opened


@pytest.fixture
def another(opener: Opener) -> Callable[[], AbstractContextManager[DockerSandbox]]:
    """A usual sandbox of its own, for a test that will spoil it."""
    return partial(opener, SMALL, [])


@pytest.fixture(scope="module")
def sandbox(opener: Opener) -> Iterator[DockerSandbox]:
    with opener(SMALL, []) as opened:
        yield opened
