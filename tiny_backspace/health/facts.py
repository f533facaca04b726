"""What the history tells of a stretch of time, in numbers. Bounded, however long the history is."""

from __future__ import annotations

import math
import shutil
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from tiny_backspace.telemetry.database import HistoryError, open_database, translated
from tiny_backspace.telemetry.upkeep import utc_text

MOST = 100_000  # durations that are looked at, the newest: more would take longer than a second
RUNS = (
    "SELECT status, error, COUNT(*), TOTAL(fallbacks > 0), TOTAL(cost_usd) FROM runs"
    " WHERE started_at >= ? GROUP BY +status, error"  # the plus: by time, not a scan by status
)
UNFINISHED = "SELECT run_id FROM runs WHERE status = 'running' AND started_at >= ?"
TIMINGS = (  # the cast: in a damaged history a duration may be a text
    "SELECT operation, CAST(duration_ms AS REAL), ok FROM timings WHERE at >= ? ORDER BY at DESC LIMIT ?"
)
_MODEL, _FALLBACK = "model ", "fallback "


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of work: how often it was done, and failed; of what was done, milliseconds (0 if nothing was)."""

    name: str
    count: int
    failed: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


@dataclass(frozen=True, slots=True)
class Provider:
    """`failures` counts what was asked in vain, `replaced` those after which another provider went on."""

    name: str
    answers: int
    failures: int
    replaced: int = 0

    @property
    def success(self) -> float:
        """The share of questions that were answered at the first try."""
        return self.answers / (self.answers + self.failures)


@dataclass(frozen=True, slots=True)
class Facts:
    """`errors` counts failed runs by their kind (errors.py); `crashed` those that never said how they ended.

    `fallbacks` counts runs in which another provider went on. `disk_used` are the bytes of the history and the logs.
    `problem` says what is wrong with the history; the numbers are then of what could be read.
    """

    since: datetime
    until: datetime
    runs: int = 0
    succeeded: int = 0
    crashed: int = 0
    running: int = 0
    fallbacks: int = 0
    cost_usd: float = 0.0
    errors: Mapping[str, int] = field(default_factory=dict)
    operations: Sequence[Operation] = ()
    providers: Sequence[Provider] = ()
    response_ms: float | None = None
    disk_free: int | None = None
    disk_used: int = 0
    left_out: bool = False
    problem: str | None = None

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def measure(state: Path, since: datetime, until: datetime, is_live: Callable[[str], bool]) -> Facts:
    """A history that is damaged, or cannot be read, is a fact too."""
    free = shutil.disk_usage(state).free if state.is_dir() else None
    found = Facts(since, until, disk_free=free, disk_used=_used(state))
    path = state / "history.db"
    if not path.exists():
        return found
    try:
        with translated(path), closing(open_database(path)) as db:
            found = _with_runs(found, db, is_live)
            found = _with_timings(found, db)
    except HistoryError as error:
        found = replace(found, problem=f"{error}. {error.hint or ''}".strip())
    return found


def _used(state: Path) -> int:
    size = 0
    for file in (*state.glob("history.db*"), *(state / "logs").glob("*")):
        with suppress(OSError):  # it was set aside, or removed, meanwhile
            size += file.stat().st_size
    return size


def _with_runs(found: Facts, db: sqlite3.Connection, is_live: Callable[[str], bool]) -> Facts:
    errors: defaultdict[str, int] = defaultdict(int)
    runs = succeeded = fallbacks = 0
    cost = 0.0
    for status, error, count, fallen_back, paid in db.execute(RUNS, (utc_text(found.since),)):
        runs += count
        fallbacks += int(fallen_back)
        cost += paid
        if status == "succeeded":
            succeeded += count
        elif status == "failed":
            errors[str(error or "unknown")] += count
    unfinished = db.execute(UNFINISHED, (utc_text(found.since),)).fetchall()
    alive = sum(is_live(str(run)) for (run,) in unfinished)
    return replace(
        found, runs=runs, succeeded=succeeded, errors=dict(errors), running=alive,
        crashed=len(unfinished) - alive, fallbacks=fallbacks, cost_usd=cost,
    )  # fmt: skip


def _with_timings(found: Facts, db: sqlite3.Connection) -> Facts:
    told = db.execute(TIMINGS, (utc_text(found.since), MOST + 1)).fetchall()
    took: defaultdict[str, list[float]] = defaultdict(list)
    failures: defaultdict[str, int] = defaultdict(int)
    for name, duration, ok in told[:MOST]:
        if ok:
            took[str(name)].append(duration)
        else:
            failures[str(name)] += 1
    names = sorted({*took, *failures})
    providers = {name.partition(" ")[2] for name in names if name.startswith((_MODEL, _FALLBACK))}
    answers = [each for name, all_ in took.items() if name.startswith(_MODEL) for each in all_]
    return replace(
        found,
        operations=tuple(
            _operation(name, sorted(took.get(name, ())), failures[name])
            for name in names
            if not name.startswith(_FALLBACK)
        ),
        providers=tuple(
            _provider(name, len(took.get(_MODEL + name, ())), failures)
            for name in sorted(providers)
        ),
        response_ms=sum(answers) / len(answers) if answers else None,
        left_out=len(told) > MOST,
    )


def _operation(name: str, durations: Sequence[float], failed: int) -> Operation:
    def percentile(share: float) -> float:
        return durations[max(0, math.ceil(len(durations) * share) - 1)]

    if not durations:
        return Operation(name, 0, failed)
    mean = sum(durations) / len(durations)
    times = (mean, percentile(0.5), percentile(0.95), percentile(0.99))
    return Operation(name, len(durations), failed, *times)


def _provider(name: str, answers: int, failures: Mapping[str, int]) -> Provider:
    replaced = failures.get(_FALLBACK + name, 0)
    return Provider(name, answers, failures.get(_MODEL + name, 0) + replaced, replaced)
