"""What became of the tasks of a batch, and its exit code. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tiny_backspace.batch.tasks import Task
from tiny_backspace.batch.working import MACHINE, Ended

Status: TypeAlias = Literal["done", "failed", "cancelled", "skipped", "not started"]
STATUSES: tuple[Status, ...] = ("done", "skipped", "failed", "cancelled", "not started")

# The worst first: what hits every task alike comes before what is one task's own.
_WORST = (70, MACHINE, 2, 5, 7, 3, 8, 6, 9)
LIMIT = 6
"""The exit code of a batch that nothing failed in, and whose money did not suffice for all of it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """`ended` is how it ended, now or (where it was skipped) before; None if it never began."""

    task: Task
    status: Status
    ended: Ended | None = None


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """That of the worst task: 0 if all are done. One that is none of ours, such as 137 of a killed run, is worse than any."""
    codes = {o.ended.exit_code for o in outcomes if o.status == "failed" and o.ended is not None}
    if not codes:
        return LIMIT if any(o.status in {"cancelled", "not started"} for o in outcomes) else 0
    strange = codes - set(_WORST)
    return max(strange) if strange else min(codes, key=_WORST.index)


def counts(outcomes: Iterable[Outcome]) -> dict[Status, int]:
    found = dict.fromkeys(STATUSES, 0)
    for outcome in outcomes:
        found[outcome.status] += 1
    return found
