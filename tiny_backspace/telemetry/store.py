"""The history: every record of every run as the line it was, and a row for each run.

One SQLite file (WAL, so that readers and writers of other processes do not wait for each other).
A record is written at once, in a transaction of its own: what a crash leaves behind is the run so far.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from pydantic import ValidationError

from tiny_backspace.errors import UsageError
from tiny_backspace.events import Record
from tiny_backspace.telemetry.database import (
    create_database,
    open_database,
    transaction,
    translated,
)
from tiny_backspace.telemetry.upkeep import change, first, timing, utc_text

Status: TypeAlias = Literal["running", "succeeded", "failed", "crashed"]
IsLive: TypeAlias = Callable[[str], bool]

_PAGE = 500


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is listed. Times are UTC; what is not known (yet) is None.

    `provider` is who answered last and, of a finished run, all who did, in order (`claude, openai`).
    `cost_usd` is None once a price was not known. `last_step` and `last_message` are of the last `info`.
    """

    run_id: str
    started_at: datetime
    ended_at: datetime | None
    status: Status
    exit_code: int | None
    repo: str | None
    prompt: str | None
    branch: str | None
    patch: str | None
    pr_url: str | None
    provider: str | None
    model: str | None
    cost_usd: float | None
    input_tokens: int
    output_tokens: int
    duration_ms: float | None
    files_changed: int
    last_step: str | None
    last_message: str | None
    version: str | None
    fallbacks: int
    resumes: str | None


class Line(NamedTuple):
    """A stored record: its number, its event's type, and the JSON line it was."""

    seq: int
    type: str
    text: str


LIKE = (  # a range, which the index of the ids has; nothing that stands in an id is beyond the last character
    "SELECT run_id FROM runs WHERE run_id >= ?1 AND run_id < ?1 || char(1114111)"
    " ORDER BY run_id = ?1 DESC, started_at DESC LIMIT 6"
)
_ROWS = f"SELECT {', '.join(RunRow.__slots__)} FROM runs"  # noqa: S608 - of our own field names


class History:
    """A recorder's subscriber, and what can be asked about the runs. Threads may share one.

    The file is opened at the first need, and made only by the first record.
    Every method raises `HistoryError` where SQLite or the disk fails.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skipped = 0  # lines, or runs, that the last reading left out
        self._opened: sqlite3.Connection | None = None
        self._known: set[str] = set()
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with self._lock, translated(self.path):
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    def __call__(self, record: Record) -> None:
        """Keep the record.

        Raises:
            HistoryError: it is not kept. What was kept before still is.
        """
        stored = (
            "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
            (
                record.run_id,
                record.seq,
                record.event.type,
                utc_text(record.at),
                record.line(),
            ),
        )
        row = None if record.run_id in self._known else first(record)
        told = (row, stored, change(record), timing(record))
        statements = [each for each in told if each is not None]
        with self._lock, translated(self.path):
            db = self._writable()
            if len(statements) == 1:
                db.execute(*stored)
            else:
                with transaction(db):
                    for statement, values in statements:
                        db.execute(statement, values)
            self._known.add(record.run_id)

    def runs(
        self,
        *,
        is_live: IsLive,
        limit: int = 20,
        status: Status | None = None,
        repo: str | None = None,
        since: datetime | None = None,
        owner: str | None = None,
    ) -> list[RunRow]:
        """The newest first. `repo` is a part of it in any case; `is_live` tells running from crashed.

        `owner` is who asked the service for it (telemetry/requests.py).

        Rows that are damaged are left out and counted in `skipped`.
        """
        where, wanted = conditions(status, repo, since, owner)
        query = f"{_ROWS}{where} ORDER BY started_at DESC, rowid DESC"
        found: list[RunRow] = []
        self.skipped = 0
        with self._lock, translated(self.path):
            db = self._readable()
            if db is None:
                return found
            with closing(db.execute(query, wanted)) as rows:
                while len(found) < limit and (values := rows.fetchone()) is not None:
                    row = _run_row(values, is_live)
                    if row is None:
                        self.skipped += 1
                    elif status in {None, row.status}:
                        found.append(row)
        return found

    def count(
        self,
        *,
        is_live: IsLive,
        status: Status | None = None,
        repo: str | None = None,
        since: datetime | None = None,
    ) -> int:
        """How many runs are like that."""
        where, wanted = conditions(status, repo, since)
        if status in {"running", "crashed"}:
            runs = self._ask(f"SELECT run_id FROM runs{where}", *wanted)  # noqa: S608 - our own words
            return sum(is_live(str(run)) == (status == "running") for (run,) in runs)
        return sum(count for (count,) in self._ask(f"SELECT COUNT(*) FROM runs{where}", *wanted))  # noqa: S608

    def run(self, run_id: str, *, is_live: IsLive) -> RunRow | None:
        """The row of one run, by its whole id."""
        found = self._ask(f"{_ROWS} WHERE run_id = ?", run_id)
        return _run_row(found[0], is_live) if found else None

    def find(self, prefix: str) -> str:
        """The id of the one run whose id starts like this; `last` is the newest.

        Raises:
            UsageError: no run is meant, or several are.
        """
        start = prefix.strip().lower()
        if start == "last":
            rows = self._ask("SELECT run_id FROM runs ORDER BY started_at DESC, rowid DESC LIMIT 1")
        else:
            rows = self._ask(LIKE, start) if start and start.isascii() else []
        ids = [str(run_id) for (run_id,) in rows]
        if ids and (len(ids) == 1 or ids[0] == start):
            return ids[0]
        listing = "`tiny-backspace runs` lists them."
        if not ids:
            missing = "There is no run yet" if start == "last" else f"There is no run {prefix!r}"
            raise UsageError(missing, hint=listing)
        some = ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")  # noqa: PLR2004 - one more was asked for
        raise UsageError(f"{prefix!r} could be any of these runs: {some}", hint=listing)

    def lines(self, run_id: str) -> Iterator[str]:
        """The run's lines in order, exactly as they were stored, without line ends."""
        # Pages, as a query left open would keep the write-ahead log from being emptied.
        after = -1
        while page := self.page(run_id, after):
            for each in page:
                after = each.seq
                yield each.text

    def page(self, run_id: str, after: int, most: int = _PAGE) -> list[Line]:
        """The next of the run's lines after the one of that number; none, if there is none yet."""
        query = (
            "SELECT seq, type, CAST(line AS TEXT) FROM records"
            " WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        )
        found = self._ask(query, run_id, after, most)
        return [Line(int(seq), str(type_), str(text)) for seq, type_, text in found]

    def records(self, run_id: str) -> Iterator[Record]:
        """The run's records in order; lines that are none are left out and counted in `skipped`."""
        self.skipped = 0
        for line in self.lines(run_id):
            try:
                yield Record.model_validate_json(line)
            except ValidationError:
                self.skipped += 1

    def _ask(self, query: str, *values: str | int) -> list[tuple[Any, ...]]:
        with self._lock, translated(self.path):
            db = self._readable()
            return db.execute(query, values).fetchall() if db is not None else []

    def _readable(self) -> sqlite3.Connection | None:
        if self._opened is None and self.path.exists():
            self._opened = open_database(self.path)
        return self._opened

    def _writable(self) -> sqlite3.Connection:
        if self._opened is None:
            if not self.path.exists():
                create_database(self.path)
            self._opened = open_database(self.path)
        return self._opened


def conditions(
    status: Status | None, repo: str | None, since: datetime | None, owner: str | None = None
) -> tuple[str, tuple[str, ...]]:
    """Only those that are asked for: SQLite takes the index that fits them."""
    wanted = {
        "status = ?": "running" if status == "crashed" else status,
        "instr(lower(repo), lower(?))": repo and repo.encode(errors="replace").decode(),
        "started_at >= ?": None if since is None else utc_text(since),
        "run_id IN (SELECT run_id FROM requests WHERE owner = ?)": owner,
    }
    given = {condition: value for condition, value in wanted.items() if value is not None}
    return (f" WHERE {' AND '.join(given)}" if given else "", tuple(given.values()))


def _run_row(values: tuple[Any, ...], is_live: IsLive) -> RunRow | None:
    """None: it is damaged."""
    fields = dict(zip(RunRow.__slots__, values, strict=True))
    try:
        fields["started_at"] = datetime.fromisoformat(fields["started_at"])
        if fields["ended_at"] is not None:
            fields["ended_at"] = datetime.fromisoformat(fields["ended_at"])
    except (ValueError, TypeError):
        return None
    if fields["status"] == "running" and not is_live(fields["run_id"]):
        fields["status"] = "crashed"
    return RunRow(**fields)
