"""All runs of this machine as they go on, other processes' too: read from the history, a little at a time.

A record is read once. What is shown is a fold of the records (views/state.py) and of what the last hour held.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from tiny_backspace.events import ModelTurn, ProviderReplaced, Record, Retry, RunFailed
from tiny_backspace.telemetry.database import open_database, translated
from tiny_backspace.telemetry.upkeep import NO_MODELS, utc_text
from tiny_backspace.views.state import RunState, advance

WINDOW = timedelta(hours=1)
MINUTES = 30  # of the sparklines
_READ = 5000  # records at one look: who comes late to a long history catches up over several
_MOST = 200  # runs that are looked at
_ERRORS = 5  # of the newest that are shown


@dataclass(frozen=True, slots=True)
class Used:
    """One provider in the window: answers, and times that it failed (another try, or another provider)."""

    name: str
    turns: int
    failures: int


@dataclass(frozen=True, slots=True)
class Overview:
    """What the monitor shows. Times in milliseconds, `cpu` in processors; None where nothing is known."""

    now: datetime
    active: tuple[RunState, ...] = ()
    finished: int = 0
    failed: int = 0
    started_by_minute: tuple[int, ...] = ()
    failed_by_minute: tuple[int, ...] = ()
    response_mean: float | None = None
    response_p95: float | None = None
    providers: tuple[Used, ...] = ()
    cost_usd: float = 0.0
    cpu: float | None = None
    memory: int | None = None
    errors: tuple[tuple[datetime, str, str], ...] = ()


@dataclass(slots=True)
class _Followed:
    """One run, as far as it has been read."""

    state: RunState = field(default_factory=RunState)
    seq: int = 0
    before: tuple[datetime, float] | None = None  # when how many CPU seconds were used
    cpu: float | None = None


class Watching:
    """Call `look` as often as you like. Every method raises HistoryError where SQLite or the disk fails."""

    def __init__(self, path: Path, is_live: Callable[[str], bool]) -> None:
        self._path = path
        self._is_live = is_live
        self._db: sqlite3.Connection | None = None
        self._runs: dict[str, _Followed] = {}
        self._dead: set[str] = set()
        self._turns: list[tuple[datetime, str, float]] = []
        self._failures: list[tuple[datetime, str]] = []
        self._errors: list[tuple[datetime, str, str]] = []

    def close(self) -> None:
        if self._db is not None:
            self._db.close()

    def state(self, run_id: str) -> RunState | None:
        """The run as it was at the last look."""
        followed = self._runs.get(run_id)
        return followed.state if followed else None

    def look(self, now: datetime) -> Overview:
        with translated(self._path):
            if self._db is None and self._path.exists():
                self._db = open_database(self._path)
            if self._db is None:
                return Overview(now)
            rows = self._recent(self._db, now)
            self._read(self._db, [run for run, *_ in rows])
        self._forget(now - WINDOW)
        return self._overview(rows, now)

    def _forget(self, before: datetime) -> None:
        """What is left is in the order of time: one run is read after the other, and they went on side by side."""
        self._turns = sorted(each for each in self._turns if each[0] >= before)
        self._failures = sorted(each for each in self._failures if each[0] >= before)
        self._errors = sorted(each for each in self._errors if each[0] >= before)[-_MOST:]

    def _recent(
        self, db: sqlite3.Connection, now: datetime
    ) -> list[tuple[str, datetime, str, float]]:
        """(id, begun, status, cost) of what began in the window, and of what still goes on; the newest first."""
        query = (
            "SELECT run_id, started_at, status, cost_usd FROM runs WHERE started_at >= ?"
            " UNION SELECT run_id, started_at, status, cost_usd FROM runs WHERE status = 'running'"
            " ORDER BY started_at DESC LIMIT ?"
        )
        found = []
        with closing(db.execute(query, (utc_text(now - WINDOW), _MOST))) as rows:
            for run, begun, status, cost in rows:
                told = "crashed" if status == "running" and not self._lives(run) else status
                if told == "running" or datetime.fromisoformat(begun) >= now - WINDOW:
                    found.append(
                        (str(run), datetime.fromisoformat(begun), str(told), float(cost or 0))
                    )
        return found

    def _lives(self, run: str) -> bool:
        """One that is dead stays dead, and is not asked for again."""
        if run not in self._dead and not self._is_live(run):
            self._dead.add(run)
        return run not in self._dead

    def _read(self, db: sqlite3.Connection, runs: list[str]) -> None:
        self._runs = {run: self._runs.get(run) or _Followed() for run in runs}
        left = _READ
        query = "SELECT line FROM records WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        for run, followed in self._runs.items():
            if followed.state.outcome is not None or left <= 0:
                continue
            with closing(db.execute(query, (run, followed.seq, left))) as lines:
                for (line,) in lines:
                    left -= 1
                    self._hear(followed, line)

    def _hear(self, followed: _Followed, line: str) -> None:
        try:
            record = Record.model_validate_json(line)
        except ValidationError:
            followed.seq += 1
            return
        followed.seq = record.seq
        followed.state = advance(followed.state, record)
        match record.event:
            case ModelTurn() as turn:
                self._turns.append((record.at, turn.provider, turn.duration_ms))
            case Retry() as retry if retry.provider not in NO_MODELS:
                self._failures.append((record.at, retry.provider))
            case ProviderReplaced() as replaced:
                self._failures.append((record.at, replaced.failed))
            case RunFailed() as failed:
                self._errors.append((record.at, record.run_id, failed.message))
            case _:
                _measure(followed, record)

    def _overview(self, rows: list[tuple[str, datetime, str, float]], now: datetime) -> Overview:
        active = [self._runs[run] for run, _, status, _ in rows if status == "running"]
        fresh = [row for row in rows if row[1] >= now - WINDOW]
        times = sorted(duration for _, _, duration in self._turns)
        memory = [f.state.resources.memory for f in active if f.state.resources]
        cpus = [f.cpu for f in active if f.cpu is not None]
        return Overview(
            now=now,
            active=tuple(f.state for f in active),
            finished=sum(status in ("succeeded", "failed") for _, _, status, _ in fresh),
            failed=sum(status == "failed" for _, _, status, _ in fresh),
            started_by_minute=_by_minute([begun for _, begun, *_ in fresh], now),
            failed_by_minute=_by_minute([at for at, *_ in self._errors], now),
            response_mean=sum(times) / len(times) if times else None,
            response_p95=times[math.ceil(len(times) * 0.95) - 1] if times else None,
            providers=self._providers(),
            cost_usd=sum(cost for *_, cost in fresh),
            cpu=sum(cpus) if cpus else None,
            memory=sum(m for m in memory if m is not None) if memory else None,
            errors=tuple(reversed(self._errors))[:_ERRORS],
        )

    def _providers(self) -> tuple[Used, ...]:
        names = dict.fromkeys(
            [name for _, name, _ in self._turns] + [name for _, name in self._failures]
        )
        return tuple(
            Used(
                name,
                sum(told == name for _, told, _ in self._turns),
                sum(told == name for _, told in self._failures),
            )
            for name in names
        )


def _measure(followed: _Followed, record: Record) -> None:
    """How many processors the sandbox uses, from two samples of its CPU time."""
    used = followed.state.resources.cpu_s if followed.state.resources else None
    if used is None or (followed.before is not None and followed.before[1] == used):
        return
    if followed.before is not None:
        seconds = (record.at - followed.before[0]).total_seconds()
        if seconds > 0:
            followed.cpu = max(0.0, (used - followed.before[1]) / seconds)
    followed.before = (record.at, used)


def _by_minute(times: list[datetime], now: datetime) -> tuple[int, ...]:
    """How many in each of the last minutes, the present one last."""
    counts = [0] * MINUTES
    for at in times:
        ago = int((now - at).total_seconds() // 60)
        if 0 <= ago < MINUTES:
            counts[MINUTES - 1 - ago] += 1
    return tuple(counts)
