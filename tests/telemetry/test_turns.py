"""The journal of turns: what was kept comes back as it was, and only what was completed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tiny_backspace.conversation import (
    Assistant,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    User,
)
from tiny_backspace.events import Record, RunStarted
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.store import History
from tiny_backspace.telemetry.turns import Checkpoint, Task, Turns, resumable

RUN = "0a1b2c3d"
TASK = Task("/some/where", "sk-ant-" + "as it was written", flags={"verify": "make", "pids": 64})
ASKED = User((Text("do it"), Text("facts")))
CALL = ToolCall("c1", "bash", {"command": "ls \udcff"})
FIRST = Assistant(
    (Thinking("hm"), CALL), Opaque("claude:m", ({"type": "thinking", "signature": "x"},))
)
RESULT = User((ToolResult("c1", "exit 0\n\ud800", is_error=True),))
LAST = Assistant((Text("done"),))


def begun(folder: Path) -> Turns:
    turns = Turns(folder / "history.db", RUN, TASK)
    turns.begin("b" * 40, "main")
    return turns


def kept(folder: Path) -> Checkpoint:
    found = resumable(folder / "history.db", RUN)
    assert found is not None
    return found[1]


def test_what_was_kept_comes_back_as_it_was_after_each_turn(tmp_path: Path) -> None:
    turns, conversation = begun(tmp_path), (ASKED, FIRST, RESULT)

    turns.keep(Checkpoint(conversation, "t1", b"\0patch"), changed=True)
    assert kept(tmp_path) == Checkpoint(conversation, "t1", b"\0patch")

    turns.keep(Checkpoint((*conversation, LAST), "t1", b""), changed=False)
    assert kept(tmp_path) == Checkpoint((*conversation, LAST), "t1", b"\0patch")


def test_the_task_comes_back_with_the_base_it_was_found_to_have(tmp_path: Path) -> None:
    begun(tmp_path)

    found = resumable(tmp_path / "history.db", RUN)

    assert found == (
        Task(TASK.repo, TASK.prompt, "b" * 40, "main", TASK.flags),
        Checkpoint(()),
    )


def test_a_conversation_that_was_folded_takes_the_place_of_the_longer_one(tmp_path: Path) -> None:
    turns = begun(tmp_path)
    turns.keep(Checkpoint((ASKED, FIRST, RESULT)), changed=False)
    folded: tuple[Message, ...] = (User((Text("do it"), Text("in short"))), LAST)

    turns.keep(Checkpoint(folded), changed=False)

    assert kept(tmp_path).conversation == folded


def test_a_change_that_was_taken_back_leaves_no_patch(tmp_path: Path) -> None:
    turns = begun(tmp_path)
    turns.keep(Checkpoint((ASKED, FIRST), "t1", b"patch"), changed=True)

    turns.keep(Checkpoint((ASKED, FIRST, RESULT), "t0", b""), changed=True)

    assert (kept(tmp_path).tree, kept(tmp_path).patch) == ("t0", b"")


def test_only_the_newest_patch_takes_room(tmp_path: Path) -> None:
    turns = begun(tmp_path)
    for n in range(5):
        turns.keep(Checkpoint((ASKED, FIRST), f"t{n}", b"x" * 100), changed=True)

    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        patches = db.execute("SELECT patch FROM turns ORDER BY turn").fetchall()

    assert [patch for (patch,) in patches] == [None] * 4 + [b"x" * 100]


def test_a_run_that_never_began_and_one_that_nobody_knows_cannot_be_resumed(tmp_path: Path) -> None:
    path = tmp_path / "history.db"

    assert resumable(path, RUN) is None
    begun(tmp_path)
    assert resumable(path, "ffffffff") is None


@pytest.mark.parametrize("damage", ["", "[", '{"a": 1}', '[{"user": [{"is": "Rocket"}]}]'])
def test_a_damaged_turn_is_said_and_not_guessed_at(tmp_path: Path, damage: str) -> None:
    begun(tmp_path).keep(Checkpoint((ASKED,)), changed=False)
    with closing(sqlite3.connect(tmp_path / "history.db")) as db, db:
        db.execute("UPDATE turns SET messages = ?", (damage,))

    with pytest.raises(HistoryError, match=f"run {RUN} cannot be read"):
        resumable(tmp_path / "history.db", RUN)


def test_what_is_forgotten_is_nowhere_in_the_file(tmp_path: Path) -> None:
    turns = begun(tmp_path)
    turns.keep(Checkpoint((ASKED, FIRST, RESULT), "t1", b"patch-" + b"canary"), changed=True)

    turns.forget()

    assert resumable(tmp_path / "history.db", RUN) is None
    with closing(sqlite3.connect(tmp_path / "history.db")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("history.db*"))
    assert b"patch-canary" not in kept
    assert TASK.prompt.encode() not in kept


def test_with_a_run_those_that_it_went_on_with_are_forgotten_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    for run_id, resumes in (("1", None), ("2", "1"), ("3", "2"), ("4", "1")):
        with History(path) as history:
            started = RunStarted(
                repo="r", prompt="p", base="b", agents=(), limits={}, version="1", resumes=resumes
            )
            history(Record(seq=1, at=datetime.now(UTC), run_id=run_id, event=started))
        Turns(path, run_id, TASK).begin("b" * 40, None)

    Turns(path, "3", TASK).forget()

    assert [resumable(path, run_id) is None for run_id in "1234"] == [True, True, True, False]


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    begun(tmp_path)

    assert (tmp_path / "history.db").stat().st_mode & 0o077 == 0
