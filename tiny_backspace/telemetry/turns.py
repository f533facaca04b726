"""What `resume` goes on from: the task of a run, and its work after each completed turn.

Two private tables of the history. Other than the records they hold everything as it was, nothing
redacted or clipped: the conversation with its opaque parts, and the change as a patch; until the run
is done, or somebody has gone on with it to its end.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Generator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from tiny_backspace import transcript
from tiny_backspace.conversation import Message
from tiny_backspace.telemetry.database import (
    HistoryError,
    create_database,
    open_database,
    transaction,
    translated,
)

_SHA = re.compile(r"[0-9a-f]{40}")

# The run, the one that it resumes, the one that that one resumed …
_LINE = """
WITH RECURSIVE line (run_id) AS (
    SELECT ? UNION
    SELECT runs.resumes FROM runs JOIN line USING (run_id) WHERE runs.resumes IS NOT NULL
)
SELECT run_id FROM line
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What was asked for. `base` is the full sha once it is known; `flags` are those of the command line."""

    repo: str
    prompt: str
    base: str | None = None
    branch: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The work after a completed turn: `patch` leads from the base to `tree`. Both are empty if nothing was changed."""

    conversation: tuple[Message, ...]
    tree: str = ""
    patch: bytes = b""


class Turns:
    """The journal of one run. Every method raises `HistoryError` where SQLite or the disk fails."""

    def __init__(self, path: Path, run_id: str, task: Task) -> None:
        self._path = path
        self._run_id = run_id
        self._task = task
        self._turn = 0
        self._kept: tuple[Message, ...] = ()
        self._lock = threading.Lock()

    def begin(self, base: str, branch: str | None) -> None:
        """Keep the task; nothing is worth resuming before."""
        self._task = replace(self._task, base=base, branch=branch)
        with self._database() as db:
            db.execute(
                "INSERT OR REPLACE INTO tasks VALUES (?, ?)",
                (self._run_id, json.dumps(asdict(self._task))),
            )

    def keep(self, work: Checkpoint, *, changed: bool) -> None:
        """Keep the work after one more turn; the patch only if it is `changed`. Older patches go."""
        shared = _shared(self._kept, work.conversation)
        with self._lock, self._database() as db, transaction(db):
            self._turn += 1
            here = (self._run_id, self._turn)
            messages = transcript.dump(work.conversation[shared:])
            patch = (work.tree, work.patch) if changed else (None, None)
            db.execute(
                "INSERT INTO turns (run_id, turn, shared, messages, tree, patch) VALUES (?, ?, ?, ?, ?, ?)",
                (*here, shared, messages, *patch),
            )
            if changed:
                db.execute(
                    "UPDATE turns SET tree = NULL, patch = NULL WHERE run_id = ? AND turn < ?", here
                )
        self._kept = work.conversation

    def forget(self) -> None:
        """The run is done: what is kept of it, and of those it went on with, is overwritten."""
        with self._lock, self._database() as db, transaction(db):
            line = db.execute(_LINE, (self._run_id,)).fetchall()
            db.executemany("DELETE FROM turns WHERE run_id = ?", line)
            db.executemany("DELETE FROM tasks WHERE run_id = ?", line)

    @contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        with translated(self._path):
            if not self._path.exists():
                create_database(self._path)
            with closing(open_database(self._path)) as db:
                yield db


def _shared(before: tuple[Message, ...], now: tuple[Message, ...]) -> int:
    """How many messages both begin with: all of `before`, unless the conversation was folded."""
    count = 0
    for old, new in zip(before, now, strict=False):
        if old is not new:
            break
        count += 1
    return count


def resumable(path: Path, run_id: str) -> tuple[Task, Checkpoint] | None:
    """What the run was asked, and its work after the last turn that was completed; None if it never began.

    Raises:
        HistoryError: what was kept cannot be read.
    """
    if not path.exists():
        return None
    with translated(path), closing(open_database(path)) as db:
        task = db.execute("SELECT task FROM tasks WHERE run_id = ?", (run_id,)).fetchone()
        rows = db.execute(
            "SELECT shared, messages, tree, patch FROM turns WHERE run_id = ? ORDER BY turn",
            (run_id,),
        ).fetchall()
    if task is None:
        return None
    work = Checkpoint(())
    try:
        for shared, messages, tree, patch in rows:
            conversation = (*work.conversation[:shared], *transcript.load(messages))
            work = replace(work, conversation=conversation)
            if patch is not None:
                work = replace(work, tree=tree, patch=bytes(patch))
        return _task(json.loads(task[0])), work
    except (ValueError, TypeError) as error:
        raise HistoryError(f"what was kept of run {run_id} cannot be read: {error}") from error


def _task(fields: dict[str, Any]) -> Task:
    found = Task(**fields)
    if not isinstance(found.flags, dict) or not _SHA.fullmatch(str(found.base)):
        raise ValueError("its task is damaged")
    return found
