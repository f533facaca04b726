"""The history: nothing that was told to it is lost, whoever else writes."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.telemetry.told import SPAWN, STARTED, dead, records_of, tell, turn
from tiny_backspace.events import (
    AgentThought,
    Event,
    Record,
    RunSucceeded,
    Step,
    StepStarted,
    ToolCalled,
    Unknown,
    Warned,
)
from tiny_backspace.telemetry.store import History

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
_events: st.SearchStrategy[Event] = st.one_of(
    st.builds(Warned, message=st.text()),
    st.builds(StepStarted.at, st.sampled_from(Step), st.text()),
    st.builds(AgentThought, message=st.text(), step=st.just("planning")),
    st.builds(ToolCalled, id=st.text(), tool=st.text(), arguments=st.dictionaries(st.text(), _json)),
    st.builds(turn, st.none() | st.floats(0, 10)),
    st.builds(lambda extra: Unknown(type="from_the_future", **{f"x_{k}": v for k, v in extra.items()}),
              st.dictionaries(st.text(), _json, max_size=3)),
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(_events, st.datetimes(timezones=st.just(UTC))), max_size=12))
def test_any_records_come_back_equal_in_order_and_their_lines_byte_for_byte(
    told: list[tuple[Event, datetime]],
) -> None:
    records = [
        Record(seq=n, at=at, run_id="0a1b2c3d", event=event)
        for n, (event, at) in enumerate(told, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state" / "history.db"
        with History(path) as history:
            tell(history, records)
        with History(path) as again:
            assert list(again.records("0a1b2c3d")) == records
            assert list(again.lines("0a1b2c3d")) == [each.line() for each in records]
            assert again.skipped == 0


def test_more_records_than_are_read_at_a_time_come_back_whole(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        tell(history, records_of("0a1b2c3d", *(Warned(message=str(n)) for n in range(1201))))
        assert [record.seq for record in history.records("0a1b2c3d")] == list(range(1, 1202))


def _write_run(path: Path, run_id: str) -> None:
    events: list[Event] = [
        STARTED,
        *(Warned(message=f"{run_id} {n}") for n in range(198)),
        RunSucceeded(message=""),
    ]
    with History(path) as history:
        tell(history, records_of(run_id, *events))


def test_eight_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    ids = [f"{n:08x}" for n in range(8)]
    writers = [SPAWN.Process(target=_write_run, args=(path, run_id)) for run_id in ids]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    with History(path) as history:
        assert [len(list(history.lines(run_id))) for run_id in ids] == [200] * 8
        rows = history.runs(is_live=dead)
    assert sorted(row.run_id for row in rows) == ids
    assert {row.status for row in rows} == {"succeeded"}
    assert [each.name for each in path.parent.iterdir()] == ["history.db"]


def test_threads_that_share_a_history_lose_nothing(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        runs = [
            records_of(f"{n:08x}", *(Warned(message="x") for _ in range(100))) for n in range(4)
        ]
        threads = [Thread(target=tell, args=(history, records)) for records in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [list(history.records(records[0].run_id)) for records in runs] == runs


def test_reading_never_makes_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as history:
        assert history.runs(is_live=dead) == []
        assert history.run("0a1b2c3d", is_live=dead) is None
        assert list(history.records("0a1b2c3d")) == []
    assert list(tmp_path.iterdir()) == []


def test_what_another_process_writes_is_seen_by_a_history_that_is_open(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    with History(path) as reader:
        assert reader.runs(is_live=dead) == []
        writer = SPAWN.Process(target=_write_run, args=(path, "0a1b2c3d"))
        writer.start()
        writer.join()
        assert len(list(reader.lines("0a1b2c3d"))) == 200
