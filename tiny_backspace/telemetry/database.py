"""The history's SQLite file: how it is made, opened, brought up to date, and what its failures mean."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.statedir import claim_private, private_dir, temporary_file

_BUSY_S = 10.0

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """
        CREATE TABLE runs (
            run_id TEXT PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT,
            status TEXT NOT NULL, exit_code INTEGER,
            repo TEXT, prompt TEXT, branch TEXT, patch TEXT, pr_url TEXT,
            provider TEXT, model TEXT, cost_usd REAL DEFAULT 0.0,
            input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
            duration_ms REAL, files_changed INTEGER NOT NULL DEFAULT 0,
            last_step TEXT, last_message TEXT, version TEXT
        )
        """,
        "CREATE INDEX runs_by_time ON runs (started_at)",
        "CREATE INDEX runs_by_status ON runs (status, started_at)",
        "CREATE INDEX runs_by_repo ON runs (repo, started_at)",
        """
        CREATE TABLE records (
            run_id TEXT NOT NULL, seq INTEGER NOT NULL, type TEXT NOT NULL,
            at TEXT NOT NULL, line TEXT NOT NULL,
            PRIMARY KEY (run_id, seq)
        ) WITHOUT ROWID
        """,
    ),
    (
        "ALTER TABLE runs ADD COLUMN fallbacks INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE runs ADD COLUMN resumes TEXT",
        "CREATE TABLE tasks (run_id TEXT PRIMARY KEY, task TEXT NOT NULL)",
        """
        CREATE TABLE turns (
            run_id TEXT NOT NULL, turn INTEGER NOT NULL, shared INTEGER NOT NULL,
            messages TEXT NOT NULL, tree TEXT, patch BLOB,
            PRIMARY KEY (run_id, turn)
        )
        """,
    ),
    (
        "ALTER TABLE runs ADD COLUMN error TEXT",
        """
        CREATE TABLE timings (
            run_id TEXT NOT NULL, at TEXT NOT NULL, operation TEXT NOT NULL,
            duration_ms REAL NOT NULL, ok INTEGER NOT NULL
        )
        """,
        "CREATE INDEX timings_by_time ON timings (at)",
        "CREATE INDEX timings_by_run ON timings (run_id)",
    ),
    (
        """
        CREATE TABLE requests (
            run_id TEXT PRIMARY KEY, owner TEXT NOT NULL, at TEXT NOT NULL,
            key TEXT, asked TEXT NOT NULL, problem TEXT,
            UNIQUE (owner, key)
        )
        """,
    ),
)
"""The statements from each version to the next; never changed, only added to. `user_version` counts them."""


class HistoryError(TinyBackspaceError):
    """The history cannot be read or written."""

    exit_code = 2
    kind = "history"


def create_database(path: Path) -> None:
    """Make the file with its folder unless it is there, mode 0600; of several processes one wins.

    It gets its name only when it is complete: nobody ever meets half of a schema.
    """
    private_dir(path.parent)
    temporary = temporary_file(path)
    try:
        open_database(temporary).close()
        claim_private(path, temporary)
    finally:
        for suffix in ("", "-journal", "-wal", "-shm"):
            Path(f"{temporary}{suffix}").unlink(missing_ok=True)


def open_database(path: Path) -> sqlite3.Connection:
    """A connection to the existing file, at today's schema, in autocommit mode, for any thread.

    Raises:
        HistoryError: it is not ours, or of a newer version.
    """
    _check(path)
    uri = path.absolute().as_uri() + "?mode=rw"
    db = sqlite3.connect(
        uri, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    try:
        db.text_factory = lambda raw: raw.decode("utf-8", "replace")
        _migrate(db, path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA secure_delete = ON")  # what is forgotten is overwritten
    except BaseException:
        db.close()
        raise
    return db


def _check(path: Path) -> None:
    # Never by an open file: closing one would drop the locks SQLite holds on it in this process.
    private_dir(path.parent)
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.getuid():
        raise HistoryError(f"The history {path} is not a file of yours", hint="Move it away.")
    if found.st_mode & 0o077:
        path.chmod(0o600)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _migrate(db: sqlite3.Connection, path: Path) -> None:
    newest = len(MIGRATIONS)
    if (found := _version(db)) > newest:
        raise HistoryError(
            f"The history {path} was written by a newer version (its schema is {found}, ours {newest})",
            hint="Update tiny-backspace, or move the file away to start a new history.",
        )
    if found == newest:
        return
    with transaction(db):
        for statements in MIGRATIONS[_version(db) :]:  # another process may have been quicker
            for statement in statements:
                db.execute(statement)
        db.execute(f"PRAGMA user_version = {newest}")


@contextmanager
def transaction(db: sqlite3.Connection) -> Generator[None]:
    """All of it or nothing. Asks for the write lock first, so that it waits for it and never fails half-way."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # SQLite has rolled back by itself if the disk is full
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
        raise


@contextmanager
def translated(path: Path) -> Generator[None]:
    """SQLite's and the disk's failures, as what they mean for this file.

    Raises:
        HistoryError: instead of `sqlite3.Error` and `OSError`.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        raise HistoryError(f"The history {path} failed: {error}", hint=_hint(name, path)) from error
    except OSError as error:
        raise HistoryError(
            f"The history {path} cannot be used: {error.strerror}",
            hint=f"Is there room on its disk, and is {path.parent} yours?",
        ) from error


def _hint(name: str, path: Path) -> str:
    # Extended codes add a word to the primary one: SQLITE_IOERR_WRITE.
    match "_".join(name.split("_")[:2]):
        case "SQLITE_FULL" | "SQLITE_IOERR":
            return f"Make room on the disk of {path.parent}."
        case "SQLITE_BUSY" | "SQLITE_LOCKED":
            return "Another process is writing to it for long. Try again."
        case "SQLITE_READONLY" | "SQLITE_CANTOPEN" | "SQLITE_PERM":
            return f"Is {path.parent} yours, and may you write in it?"
        case "SQLITE_CONSTRAINT":
            return "The record is there already: a run is kept once."
        case _:
            return f"It is damaged. Move {path} away (with its -wal and -shm) to start a new one."
