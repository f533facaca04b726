"""Forgetting old runs: their records, their folders, their logs."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tiny_backspace.telemetry.categories import KEPT
from tiny_backspace.telemetry.database import open_database, transaction, translated
from tiny_backspace.telemetry.logfile import LogFile
from tiny_backspace.telemetry.logs import folder
from tiny_backspace.telemetry.upkeep import utc_text

_MANY = 100  # runs after which the file is made smaller, which reads all of it


@dataclass(frozen=True, slots=True)
class Pruned:
    """How many runs, and how many bytes of files; `kept` are those that stay for their work."""

    runs: int
    size: int
    kept: int = 0


def prune(
    state: Path, before: datetime, is_live: Callable[[str], bool], *, keep_work: bool, really: bool
) -> Pruned:
    """Forget the runs that began before that time, never one that is going on.

    With `keep_work` those stay whose change is nowhere but in their folder. Unless `really`, it is only counted.

    Raises:
        HistoryError: the history cannot be read or written; what is forgotten by then is.
        OSError: a file cannot be removed.
    """
    path = state / "history.db"
    if not path.exists():
        return Pruned(0, 0)
    with translated(path), closing(open_database(path)) as db:
        old = [run for run in _old(db, before, keep_work=keep_work) if not is_live(run)]
        kept = sum(not is_live(run) for run in _old(db, before, keep_work=False)) - len(old)
        files = [file for run in old for file in _files(state, run)]
        size = sum(_size(file) for file in files)
        if not really:
            return Pruned(len(old), size, kept)
        _forget(db, old)
        if len(old) >= _MANY:
            with suppress(sqlite3.OperationalError):  # somebody writes to it: another time
                db.execute("VACUUM")
    for file in files:
        if file.is_dir():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
    logs = folder(state)
    if logs.is_dir():
        for name, keeping in KEPT.items():
            LogFile(logs / f"{name}.log", keeping).tidy()
    return Pruned(len(old), size, kept)


def _old(db: sqlite3.Connection, before: datetime, *, keep_work: bool) -> list[str]:
    """A patch without branch and pull request is all there is of a change."""
    query = "SELECT run_id FROM runs WHERE started_at < ?"
    if keep_work:
        query += " AND (branch IS NOT NULL OR pr_url IS NOT NULL OR coalesce(patch, '') = '')"
    return [str(run) for (run,) in db.execute(query, (utc_text(before),))]


def _forget(db: sqlite3.Connection, runs: list[str]) -> None:
    """From every table that is about runs, those of later versions included."""
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    about = [
        table
        for table in tables
        if any(column[1] == "run_id" for column in db.execute(f'PRAGMA table_info("{table}")'))
    ]
    for run in runs:  # one by one: others may want to write meanwhile
        with transaction(db):
            for table in about:
                db.execute(f'DELETE FROM "{table}" WHERE run_id = ?', (run,))  # noqa: S608 - our own names


def _files(state: Path, run: str) -> list[Path]:
    return [path for path in (state / "runs" / run, state / f"crash-{run}.txt") if path.exists()]


def _size(path: Path) -> int:
    each = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in each if not file.is_dir())
