"""What can go wrong on the way to a git server and back, decided for each request."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection ends without an answer; `done` says whether the backend has done its work by then.

    Where it has not, `read` bytes of the request were taken in.
    """

    done: bool
    read: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """It is answered once `go_on` is set; `reached` says that it came. Never set, it is a stall."""

    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class Moved:
    """A redirect to the same path below `url`."""

    url: str


@dataclass(frozen=True, slots=True)
class Words:
    """An answer of a status and a text, as forges give."""

    status: int
    text: str = ""


Fault: TypeAlias = Cut | Held | Moved | Words
Decide: TypeAlias = Callable[[str, str], Fault | None]


def no_fault(_method: str, _path: str) -> Fault | None:
    return None


def on(method: str, service: str, *faults: Fault | None) -> Decide:
    """One fault after the other for the requests to this service (`git-receive-pack`); then none."""
    left = list(faults)

    def decide(asked: str, path: str) -> Fault | None:
        return left.pop(0) if left and asked == method and path.endswith(service) else None

    return decide


def either(*decides: Decide) -> Decide:
    """The fault of the first that has one. Each of them counts the requests it is asked about."""

    def decide(method: str, path: str) -> Fault | None:
        return next((fault for d in decides if (fault := d(method, path))), None)

    return decide


def hook(repository: Path, name: str, script: str) -> None:
    """Have a bare repository run a shell script, as forges have their rules."""
    path = repository / "hooks" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
