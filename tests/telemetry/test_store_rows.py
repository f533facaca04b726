"""The history's rows: a run as it is listed, found, and told from a crashed one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.telemetry.told import START, STARTED, alive, dead, records_of, tell, turn
from tiny_backspace.errors import UsageError
from tiny_backspace.events import (
    RunFailed,
    RunSucceeded,
    Step,
    StepStarted,
    Warned,
    WorkSaved,
)
from tiny_backspace.statedir import hold, is_live
from tiny_backspace.telemetry.store import History


def test_the_row_of_a_run_follows_its_records(tmp_path: Path) -> None:
    first, *rest = records_of(
        "0a1b2c3d",
        STARTED,
        StepStarted.at(Step.AI_PROCESSING, "Generating code improvements..."),
        turn(0.25),
        turn(0.5),
        WorkSaved(patch="/p/1.patch", files_changed=2),
        WorkSaved(branch="tiny-backspace/add-tests"),
    )
    with History(tmp_path / "s" / "history.db") as history:
        history(first)
        started = history.run("0a1b2c3d", is_live=alive)
        tell(history, rest)
        row = history.run("0a1b2c3d", is_live=alive)
    assert started is not None
    assert row is not None
    assert (started.status, started.repo, started.prompt, started.version) == (
        "running", STARTED.repo, "Add tests", "1.2.3",
    )  # fmt: skip
    assert started.started_at == START + timedelta(seconds=1)
    assert (row.provider, row.model, row.cost_usd) == ("claude", "c-1", 0.75)
    assert (row.input_tokens, row.output_tokens, row.files_changed) == (200, 20, 2)
    assert (row.patch, row.branch) == ("/p/1.patch", "tiny-backspace/add-tests")
    assert (row.last_step, row.last_message) == ("ai_processing", "Generating code improvements...")
    assert (row.exit_code, row.ended_at, row.duration_ms) == (None, None, None)


def test_the_closing_event_has_the_last_word_on_totals_and_keeps_where_the_work_is(
    tmp_path: Path,
) -> None:
    closing = RunFailed(
        exit_code=7, message="No", error="forge", cost_usd=1.5, input_tokens=7, output_tokens=8,
        duration_ms=90.5, files_changed=3, providers=("claude", "dummy"),
    )  # fmt: skip
    saved = WorkSaved(patch="/p/1.patch", branch="b")
    with History(tmp_path / "s" / "history.db") as history:
        tell(
            history, records_of("0a1b2c3d", STARTED, turn(0.25), saved, closing, Warned(message=""))
        )
        row = history.run("0a1b2c3d", is_live=alive)
    assert row is not None
    assert (row.status, row.exit_code, row.cost_usd, row.duration_ms) == ("failed", 7, 1.5, 90.5)
    assert (row.input_tokens, row.output_tokens, row.files_changed) == (7, 8, 3)
    assert (row.patch, row.branch, row.provider) == ("/p/1.patch", "b", "claude, dummy")
    assert row.ended_at == START + timedelta(seconds=4)


def test_the_cost_of_a_run_is_unknown_once_a_price_was(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        tell(history, records_of("0a1b2c3d", turn(0.25), turn(None), turn(0.25)))
        row = history.run("0a1b2c3d", is_live=alive)
    assert row is not None
    assert row.cost_usd is None
    assert row.input_tokens == 300


def test_an_unfinished_run_has_crashed_unless_its_process_lives(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with History(state / "history.db") as history, hold(state, "00000001"):
        tell(history, records_of("00000001", STARTED))
        tell(history, records_of("00000002", STARTED))
        tell(history, records_of("00000003", STARTED, RunSucceeded(message="")))

        def live(run_id: str) -> bool:
            return is_live(state, run_id)

        statuses = {row.run_id: row.status for row in history.runs(is_live=live)}
        assert statuses == {"00000001": "running", "00000002": "crashed", "00000003": "succeeded"}
        assert [row.run_id for row in history.runs(is_live=live, status="crashed")] == ["00000002"]
        assert [row.run_id for row in history.runs(is_live=live, status="running")] == ["00000001"]


def test_runs_are_listed_newest_first_and_by_what_is_asked(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        for n in range(6):
            closing = (
                RunSucceeded(message="") if n % 2 else RunFailed(exit_code=3, message="", error="x")
            )
            started = STARTED.model_copy(update={"repo": f"/home/me/Repo_{n}%"})
            # Some clocks are elsewhere; the order is that of the moments.
            zone = timezone(timedelta(hours=n - 3))
            start = (START + timedelta(days=n)).astimezone(zone)
            tell(history, records_of(f"{n:08x}", started, closing, start=start))

        def ids(**wanted: Any) -> list[int]:
            return [int(row.run_id, 16) for row in history.runs(is_live=dead, **wanted)]

        assert ids() == [5, 4, 3, 2, 1, 0]
        assert ids(limit=2) == [5, 4]
        assert ids(status="failed", limit=2) == [4, 2]
        assert ids(repo="rEPO_3") == [3]
        assert ids(repo="%") == [5, 4, 3, 2, 1, 0]
        assert ids(repo="o%3") == []
        assert ids(repo="\udcff") == []
        assert ids(since=START + timedelta(days=4)) == [5, 4]
        assert ids(since=START + timedelta(days=2), status="failed") == [4, 2]


def test_a_run_is_found_by_the_start_of_its_id(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        with pytest.raises(UsageError, match="no run yet"):
            history.find("last")
        for n, run_id in enumerate(("abc00001", "abc00002", "abd00000", "abc0")):
            tell(history, records_of(run_id, STARTED, start=START + timedelta(days=-n)))
        assert history.find("abd") == "abd00000"
        assert history.find("ABC00002") == "abc00002"
        assert history.find("abc0") == "abc0"
        assert history.find("last") == "abc00001"
        with pytest.raises(UsageError, match=r"any of these runs: .*abc00002"):
            history.find("abc00")
        for absent in ("f", "", "%", "_bc00001", "abc000011", "\udcff", "\U0010ffff"):
            with pytest.raises(UsageError, match="no run"):
                history.find(absent)


def test_runs_are_counted_as_they_are_listed(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        assert history.count(is_live=dead) == 0
        for n in range(7):
            events = (STARTED, RunSucceeded(message="")) if n % 2 else (STARTED,)
            tell(history, records_of(f"{n:08x}", *events, start=START + timedelta(days=n)))
        for wanted in (
            {}, {"status": "succeeded"}, {"status": "running"}, {"status": "crashed"}, {"repo": "api"}, {"repo": "x"},
            {"since": START + timedelta(days=3)}, {"since": START + timedelta(days=3), "status": "crashed"},
        ):  # fmt: skip
            for live in (dead, alive, lambda run: run > "00000002"):
                asked: dict[str, Any] = {"is_live": live, **wanted}
                assert history.count(**asked) == len(history.runs(**asked)), wanted


def test_a_damaged_row_is_none_and_the_others_are_there(tmp_path: Path) -> None:
    path = tmp_path / "s" / "history.db"
    with History(path) as history:
        for n in range(4):
            tell(history, records_of(f"{n:08x}", STARTED, RunSucceeded(message="")))
        with sqlite3.connect(path) as db:
            db.execute("UPDATE runs SET started_at = 'x' WHERE run_id = '00000001'")
            db.execute("UPDATE runs SET ended_at = X'ff' WHERE run_id = '00000002'")
        assert {row.run_id for row in history.runs(is_live=dead)} == {"00000000", "00000003"}
        assert history.skipped == 2
        assert history.run("00000001", is_live=dead) is None


def test_questions_use_the_index_that_fits_and_records_are_never_scanned(tmp_path: Path) -> None:
    with History(tmp_path / "s" / "history.db") as history:
        tell(history, records_of("0a1b2c3d", STARTED, turn(0.5)))
        asked: list[str] = []
        db = history._readable()
        assert db is not None

        def plan(ask: Callable[[], object]) -> str:
            asked.clear()
            db.set_trace_callback(asked.append)
            ask()
            db.set_trace_callback(None)
            steps = [row[3] for each in asked for row in db.execute(f"EXPLAIN QUERY PLAN {each}")]
            assert steps
            return "; ".join(steps)

        def runs(**wanted: Any) -> Callable[[], object]:
            return lambda: history.runs(is_live=dead, **wanted)

        failed = "SEARCH runs USING INDEX runs_by_status (status=?"
        by_time = "SCAN runs USING INDEX runs_by_time"  # in its order; it stops at the limit
        by_id = "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (run_id"
        assert plan(runs()) == by_time
        assert plan(runs(repo="api")) == by_time
        assert plan(runs(status="failed")) == f"{failed})"
        assert plan(runs(status="crashed", since=START)) == f"{failed} AND started_at>?)"
        assert plan(runs(since=START)) == "SEARCH runs USING INDEX runs_by_time (started_at>?)"
        assert plan(lambda: history.find("last")) == by_time
        assert plan(lambda: history.find("0a")).startswith(f"{by_id}>? AND run_id<?)")
        assert plan(lambda: history.run("0a1b2c3d", is_live=dead)) == f"{by_id}=?)"
        assert "COVERING INDEX" in plan(lambda: history.count(is_live=dead, status="failed"))
        lines = plan(lambda: list(history.lines("0a1b2c3d")))
        assert set(lines.split("; ")) == {"SEARCH records USING PRIMARY KEY (run_id=? AND seq>?)"}
