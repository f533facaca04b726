"""One task in a process of its own: here, or on a worker of a cluster, which imports nothing else of ours."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from tiny_backspace.child import Child

Tell: TypeAlias = Callable[[str, str], None]
"""Gets the key of a task and one line of its records."""

MACHINE = 4
"""The exit code of a run that its machine could not begin, or lost: the sandbox's."""
# A job's step is the batch's, not each run's.
_NOT_FOR_RUNS = frozenset(("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"))
_LONGEST = 500  # characters of a message


@dataclass(frozen=True, slots=True)
class Job:
    """A task as a command line has it; the prompt comes by standard input."""

    key: str
    words: tuple[str, ...]
    prompt: str


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended: what its run said at last, or why there was none (then there is no `run_id`)."""

    key: str
    exit_code: int
    run_id: str | None = None
    message: str = ""
    branch: str | None = None
    pr_url: str | None = None
    patch: str | None = None
    cost_usd: float | None = None
    duration_ms: float = 0

    @property
    def done(self) -> bool:
        return self.exit_code == 0


class Children:
    """The runs that a process has at work. Any thread may ask for one, or for the end of all."""

    def __init__(self) -> None:
        self._living: set[Child] = set()
        self._over = False
        self._lock = threading.Lock()

    def work(self, job: Job, tell: Tell, environment: Mapping[str, str]) -> Ended | None:
        """Carry it out; None if all was over before it began."""
        environment = {k: v for k, v in environment.items() if k not in _NOT_FOR_RUNS}
        with self._lock:
            if self._over:
                return None
            try:
                child = Child(job.words, job.prompt, environment)
            except OSError as error:
                return Ended(job.key, MACHINE, message=f"it cannot be started: {error.strerror}")
            self._living.add(child)
        try:
            with child:
                last = b""
                for line in child.lines():
                    tell(job.key, line.decode(errors="replace"))
                    last = line
                return _ended(job.key, child.wait(), last, child.complaint())
        finally:
            with self._lock:
                self._living.discard(child)

    def stop(self) -> None:
        """All of them are told to end, and none begins any more."""
        with self._lock:
            self._over = True
            for child in self._living:
                child.cancel()


def _ended(key: str, code: int, last: bytes, complaint: str) -> Ended:
    closing = _closing(last)
    if closing is None:
        lines = [line.strip("│╭╮╰╯─ ") for line in complaint.splitlines()]
        said = " ".join(line for line in lines if line and not line.startswith(("Usage:", "Try ")))
        return Ended(key, code or MACHINE, message=said[-_LONGEST:] or f"ended with {code}")
    return Ended(
        key=key,
        exit_code=code,
        run_id=closing["run_id"],
        message=closing["message"][:_LONGEST],
        branch=closing["branch"],
        pr_url=closing["pr_url"],
        patch=closing["patch"],
        cost_usd=closing["cost_usd"],
        duration_ms=closing["duration_ms"],
    )


def _closing(last: bytes) -> dict[str, Any] | None:
    """The closing record; None where the last line is none."""
    try:
        record: dict[str, Any] = json.loads(last)
    except ValueError:
        return None
    return record if record.get("type") in {"success", "error"} else None
