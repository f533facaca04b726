"""Who asked the service for which run: a table of the history beside the runs themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tiny_backspace.telemetry.database import (
    create_database,
    open_database,
    transaction,
    translated,
)
from tiny_backspace.telemetry.upkeep import utc_text


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that was asked for. `key` is the asker's Idempotency-Key, `asked` a hash of all that was asked.

    `problem` says why it has no record, if it never came to one.
    """

    run_id: str
    owner: str
    at: datetime
    key: str | None
    asked: str
    problem: str | None = None


_ROWS = "SELECT run_id, owner, at, key, asked, problem FROM requests"


class Requests:
    """Every method raises `HistoryError` where SQLite or the disk fails. Any thread may call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keep(self, wanted: Wanted) -> Wanted:
        """Keep it, unless its owner used the key before: then it is that one which is returned."""
        with self._database() as db, transaction(db):
            if wanted.key is not None:
                query = f"{_ROWS} WHERE owner = ? AND key = ?"
                if found := db.execute(query, (wanted.owner, wanted.key)).fetchone():
                    return _wanted(found)
            db.execute(
                "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?)",
                (
                    wanted.run_id, wanted.owner, utc_text(wanted.at), wanted.key, wanted.asked,
                    wanted.problem,
                ),
            )  # fmt: skip
        return wanted

    def find(self, run_id: str) -> Wanted | None:
        """The request that a run is for, by the run's whole id; None if nobody asked the service."""
        with self._database() as db:
            found = db.execute(f"{_ROWS} WHERE run_id = ?", (run_id,)).fetchone()
        return _wanted(found) if found else None

    def forget(self, run_id: str) -> None:
        """It was not taken on after all."""
        with self._database() as db:
            db.execute("DELETE FROM requests WHERE run_id = ?", (run_id,))

    def failed(self, run_id: str, problem: str) -> None:
        """There will be no record of it, for this reason."""
        with self._database() as db:
            db.execute("UPDATE requests SET problem = ? WHERE run_id = ?", (problem, run_id))

    def tidy(self, before: datetime) -> None:
        """Forget those of before that time that never came to a record; the others go with their runs."""
        with self._database() as db:
            db.execute(
                "DELETE FROM requests WHERE at < ? AND run_id NOT IN (SELECT run_id FROM runs)",
                (utc_text(before),),
            )

    @contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        with translated(self._path):
            if not self._path.exists():
                create_database(self._path)
            with closing(open_database(self._path)) as db:
                yield db


def _wanted(row: tuple[str, str, str, str | None, str, str | None]) -> Wanted:
    run_id, owner, at, key, asked, problem = row
    return Wanted(run_id, owner, datetime.fromisoformat(at), key, asked, problem)
