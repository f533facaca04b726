"""The history when something breaks: the file, the disk, a line, another version."""

from __future__ import annotations

import json
import resource
import sqlite3
import stat
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.fakes import ticking
from tests.telemetry.told import SPAWN, START, STARTED, dead, records_of, tell, turn
from tiny_backspace.errors import TinyBackspaceError
from tiny_backspace.events import (
    Record,
    RunSucceeded,
    Warned,
)
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.database import MIGRATIONS, HistoryError
from tiny_backspace.telemetry.store import History


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as history:
        tell(history, records_of("0a1b2c3d", STARTED))
        modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == dict.fromkeys(("history.db", "history.db-wal", "history.db-shm"), 0o600)
    path.chmod(0o644)
    with History(path) as again:
        assert len(list(again.lines("0a1b2c3d"))) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_in_place_of_the_history_is_refused(tmp_path: Path) -> None:
    with History(tmp_path / "theirs" / "history.db") as theirs:
        tell(theirs, records_of("0a1b2c3d", STARTED))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / "history.db").symlink_to(tmp_path / "theirs" / "history.db")
    with History(state / "history.db") as history:
        with pytest.raises(HistoryError, match="not a file of yours"):
            list(history.lines("0a1b2c3d"))
        with pytest.raises(HistoryError, match="not a file of yours"):
            history(records_of("0a1b2c3d", STARTED)[0])


def test_damaged_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "s" / "history.db"
    records = records_of("0a1b2c3d", *(Warned(message=str(n)) for n in range(5)))
    with History(path) as history:
        tell(history, records)
    db = sqlite3.connect(path)
    db.execute('UPDATE records SET line = \'{"seq": 2, "ru\' WHERE seq = 2')
    db.execute("UPDATE records SET line = X'ff00fe' WHERE seq = 3")
    db.execute("UPDATE records SET line = CAST(X'7bff7d' AS TEXT) WHERE seq = 4")
    db.commit()
    db.close()
    with History(path) as history:
        assert list(history.records("0a1b2c3d")) == [records[0], records[4]]
        assert history.skipped == 3
        assert len(list(history.lines("0a1b2c3d"))) == 5


@pytest.mark.parametrize(
    "damage", ["no database at all, but long enough " * 99, "SQLite format 3\0" * 99]
)
def test_a_damaged_file_is_an_error_that_says_what_to_move_away(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "history.db"
    tmp_path.chmod(0o700)
    path.write_text(damage)
    with History(path) as history:
        with pytest.raises(TinyBackspaceError) as reading:
            history.runs(is_live=dead)
        with pytest.raises(HistoryError):
            tell(history, records_of("0a1b2c3d", STARTED))
    assert str(path) in (reading.value.hint or "")
    assert path.read_text() == damage


def test_damage_inside_of_the_file_is_the_same_error(tmp_path: Path) -> None:
    path = tmp_path / "s" / "history.db"
    with History(path) as history:
        tell(history, records_of("0a1b2c3d", *(Warned(message="x" * 500) for _ in range(300))))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    with History(path) as history, pytest.raises(HistoryError) as error:
        list(history.lines("0a1b2c3d"))
    assert "Move" in (error.value.hint or "")


def test_a_history_of_a_newer_version_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "s" / "history.db"
    with History(path) as history:
        tell(history, records_of("0a1b2c3d", STARTED))
    db = sqlite3.connect(path)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    db.close()
    with History(path) as history, pytest.raises(HistoryError, match="newer version") as error:
        history.runs(is_live=dead)
    assert "Update" in (error.value.hint or "")


def test_an_empty_file_becomes_a_history(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "history.db").touch()
    with History(tmp_path / "history.db") as history:
        assert history.runs(is_live=dead) == []
        tell(history, records_of("0a1b2c3d", STARTED))
        assert len(history.runs(is_live=dead)) == 1


def test_a_record_that_is_there_already_is_refused_and_the_run_unchanged(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        tell(history, records_of("0a1b2c3d", STARTED, turn(0.5)))
        with pytest.raises(HistoryError):
            history(records_of("0a1b2c3d", STARTED, turn(0.25))[1])
        row = history.run("0a1b2c3d", is_live=dead)
        assert row is not None
        assert row.cost_usd == 0.5
        assert len(list(history.lines("0a1b2c3d"))) == 2


def test_a_history_that_fails_is_left_out_with_a_warning_and_the_run_goes_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "state").write_text("a file where the folder should be")
    seen: list[Record] = []
    history = History(tmp_path / "state" / "history.db")
    emit = Recorder("0a1b2c3d", [history, seen.append], clock=ticking(), redact=str)
    emit(STARTED)
    emit(RunSucceeded(message="done"))
    assert [record.event.type for record in seen] == ["run_started", "warning", "success"]


def _fill_up(path: Path, limit: int, answer: Connection) -> None:
    """Write until no file may grow any more, and tell how many records were kept."""
    history = History(path)
    records = records_of("0a1b2c3d", *(Warned(message="x" * 1000) for _ in range(5000)))
    tell(history, records[:1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    kept = 1
    try:
        for record in records[1:]:
            history(record)
            kept += 1
    except HistoryError as error:
        answer.send((kept, error.hint))
    else:
        answer.send((kept, None))


@pytest.mark.parametrize("limit", [100_000, 333_333, 1_000_000])
def test_a_disk_that_fills_up_costs_the_record_that_does_not_fit_and_no_other(
    tmp_path: Path, limit: int
) -> None:
    path = tmp_path / "state" / "history.db"
    receive, send = SPAWN.Pipe(duplex=False)
    writer = SPAWN.Process(target=_fill_up, args=(path, limit, send))
    writer.start()
    kept, hint = receive.recv()
    writer.join()
    assert "Make room" in hint
    db = sqlite3.connect(path)
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.close()
    with History(path) as history:
        assert [json.loads(line)["seq"] for line in history.lines("0a1b2c3d")] == list(
            range(1, kept + 1)
        )
        history(Record(seq=kept + 1, at=START, run_id="0a1b2c3d", event=Warned(message="")))
