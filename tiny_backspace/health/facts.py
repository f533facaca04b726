"""What the history tells of a stretch of time, in numbers. Bounded, however long the history is."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tiny_backspace.telemetry.database import open_database, translated
from tiny_backspace.telemetry.upkeep import utc_text

MOST = 200_000  # durations that are looked at, the newest: more would take longer than a second
_MODEL = "model "


@dataclass(frozen=True, slots=True)
class Operation:
    """One kind of work: how often, and milliseconds."""

    name: str
    count: int
    mean: float
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Provider:
    name: str
    answers: int
    failures: int

    @property
    def success(self) -> float:
        """The share of questions that were answered at the first try."""
        return self.answers / (self.answers + self.failures)


@dataclass(frozen=True, slots=True)
class Facts:
    """`errors` counts failed runs by their kind (errors.py); `crashed` those that never said how they ended."""

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
    left_out: bool = False

    @property
    def failed(self) -> int:
        return sum(self.errors.values())


def measure(state: Path, since: datetime, until: datetime, is_live: Callable[[str], bool]) -> Facts:
    """Raises HistoryError: the history is damaged, or cannot be read."""
    free = shutil.disk_usage(state).free if state.is_dir() else None
    path = state / "history.db"
    if not path.exists():
        return Facts(since, until, disk_free=free)
    with translated(path), closing(open_database(path)) as db:
        runs = db.execute(
            "SELECT run_id, status, error, fallbacks, cost_usd FROM runs WHERE started_at >= ?",
            (utc_text(since),),
        ).fetchall()
        told = db.execute(
            "SELECT operation, duration_ms, ok FROM timings WHERE at >= ? ORDER BY at DESC LIMIT ?",
            (utc_text(since), MOST + 1),
        ).fetchall()
    errors: defaultdict[str, int] = defaultdict(int)
    alive = dead = 0
    for run, status, error, _, _ in runs:
        if status == "failed":
            errors[error or "unknown"] += 1
        elif status == "running":
            alive, dead = (alive + 1, dead) if is_live(str(run)) else (alive, dead + 1)
    operations, providers, response = _timings(
        [(str(o), float(d), bool(ok)) for o, d, ok in told[:MOST]]
    )
    return Facts(
        since=since,
        until=until,
        runs=len(runs),
        succeeded=sum(status == "succeeded" for _, status, *_ in runs),
        crashed=dead,
        running=alive,
        fallbacks=sum(fallbacks > 0 for *_, fallbacks, _ in runs),
        cost_usd=sum(cost or 0.0 for *_, cost in runs),
        errors=dict(errors),
        operations=operations,
        providers=providers,
        response_ms=response,
        disk_free=free,
        left_out=len(told) > MOST,
    )


def _timings(
    told: Sequence[tuple[str, float, bool]],
) -> tuple[tuple[Operation, ...], tuple[Provider, ...], float | None]:
    took: defaultdict[str, list[float]] = defaultdict(list)
    failures: defaultdict[str, int] = defaultdict(int)
    for name, duration, ok in told:
        if ok:
            took[name].append(duration)
        else:
            failures[name] += 1
    operations = tuple(
        _operation(name, sorted(durations)) for name, durations in sorted(took.items())
    )
    names = sorted({name for name in (*took, *failures) if name.startswith(_MODEL)})
    providers = tuple(
        Provider(name.removeprefix(_MODEL), len(took.get(name, ())), failures[name])
        for name in names
    )
    answers = [duration for name in names for duration in took.get(name, ())]
    return operations, providers, sum(answers) / len(answers) if answers else None


def _operation(name: str, durations: Sequence[float]) -> Operation:
    def percentile(share: float) -> float:
        return durations[max(0, math.ceil(len(durations) * share) - 1)]

    mean = sum(durations) / len(durations)
    return Operation(
        name, len(durations), mean, percentile(0.5), percentile(0.95), percentile(0.99)
    )
