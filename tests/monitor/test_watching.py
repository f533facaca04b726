"""What the history tells of all runs at once, read a little at a time."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tiny_backspace import events as ev
from tiny_backspace.events import Event
from tiny_backspace.monitor.watching import MINUTES, Used, Watching
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.database import HistoryError
from tiny_backspace.telemetry.store import History

NOW = datetime(2026, 11, 26, 12, 30, 30, tzinfo=UTC)


class Told:
    """Writes runs into a history, as other processes do; `live` are those that still go on."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.path = folder / "history.db"
        self.live: set[str] = set()
        self._seq: dict[str, Recorder] = {}
        self.at = NOW

    def __call__(self, run: str, *events: Event, ago: timedelta = timedelta(0)) -> None:
        self.at = NOW - ago
        if run not in self._seq:
            self._seq[run] = Recorder(run, [History(self.path)], clock=lambda: self.at, redact=str)
            begun = ev.RunStarted(
                repo=f"o/{run}", prompt="p", base="b", agents=(), limits={}, version="1"
            )
            self._seq[run](begun)
            self.live.add(run)
        for event in events:
            self._seq[run](event)

    def watching(self) -> Watching:
        return Watching(self.path, lambda run: run in self.live)


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def turn(provider: str, took: float, cost: float = 0.5) -> Event:
    return ev.ModelTurn(
        provider=provider, model="m", turn=1, stop="x", input_tokens=1, output_tokens=1,
        cached_tokens=0, cost_usd=cost, duration_ms=took,
    )  # fmt: skip


def used(cpu: float, memory: int) -> Event:
    return ev.Resources(memory=memory, memory_peak=None, cpu_s=cpu, pids=1)


def test_without_a_history_there_is_nothing_and_it_is_seen_once_it_is_there(told: Told) -> None:
    watching = told.watching()
    assert watching.look(NOW).active == ()
    told("a")
    assert [state.repo for state in watching.look(NOW).active] == ["o/a"]
    watching.close()


def test_what_goes_on_is_told_as_far_as_it_is(told: Told) -> None:
    watching = told.watching()
    told("a", turn("claude", 100))
    told("b", ago=timedelta(hours=3))
    first = {state.run_id: state.turns for state in watching.look(NOW).active}
    told("a", turn("claude", 100))
    told("a", ev.AgentThought(message="I see.", step="planning"))
    second = {state.run_id: state for state in watching.look(NOW).active}

    assert first == {"a": 1, "b": 0}
    assert second["a"].turns == 2
    assert second["a"].thoughts[-1].message == "I see."
    opened = watching.state("a")
    assert opened is not None
    assert opened.turns == 2
    assert watching.state("unheard-of") is None
    watching.close()


def test_one_that_was_killed_or_is_done_goes_on_no_more(told: Told) -> None:
    told("killed")
    told("done", ev.RunSucceeded(message="m"))
    told.live -= {"killed", "done"}
    seen = told.watching().look(NOW)

    assert seen.active == ()
    assert (seen.finished, seen.failed) == (1, 0)


def test_the_last_hour_is_counted_and_nothing_before(told: Told) -> None:
    told(
        "old",
        turn("claude", 9999),
        ev.RunFailed(error="x", message="old", exit_code=5),
        ago=timedelta(minutes=90),
    )
    told("a", turn("claude", 100), turn("openai", 300), ago=timedelta(minutes=3))
    told(
        "a",
        ev.ProviderReplaced(failed="openai", next="claude", reason="r"),
        ago=timedelta(minutes=2),
    )
    told("a", ev.RunFailed(error="x", message="no credit", exit_code=5), ago=timedelta(minutes=1))
    told("b", *(turn("claude", 200 + n) for n in range(18)))
    watching = told.watching()
    seen = watching.look(NOW)

    assert seen.response_mean == pytest.approx((100 + 300 + sum(200 + n for n in range(18))) / 20)
    assert seen.response_p95 == 217
    assert seen.providers == (Used("claude", 19, 0), Used("openai", 1, 1))
    assert [(run, message) for _, run, message in seen.errors] == [("a", "no credit")]
    assert seen.cost_usd == pytest.approx(0.0 + 18 * 0.5)
    assert (seen.started_by_minute[-1], seen.started_by_minute[-4]) == (1, 1)
    assert (sum(seen.failed_by_minute), seen.failed_by_minute[-2]) == (1, 1)
    assert len(seen.started_by_minute) == MINUTES

    later = watching.look(NOW + timedelta(hours=2))
    assert (later.errors, later.providers, later.response_mean) == ((), (), None)
    watching.close()


def test_the_newest_errors_come_first_however_late_the_monitor_is_started(told: Told) -> None:
    for n in range(7):
        ago = timedelta(minutes=10 - n)
        told(f"run{n}", ev.RunFailed(error="x", message=f"{n}", exit_code=5), ago=ago)
    told("failed-late", ago=timedelta(minutes=50))
    told("failed-late", ev.RunFailed(error="x", message="last", exit_code=5), ago=timedelta(0))
    watching = told.watching()

    assert [message for *_, message in watching.look(NOW).errors] == ["last", "6", "5", "4", "3"]
    later = watching.look(NOW + timedelta(minutes=56))
    assert [message for *_, message in later.errors] == ["last", "6"]
    watching.close()


def test_what_the_sandboxes_use_is_added_up(told: Told) -> None:
    for run in ("a", "b"):
        told(run, used(1.0, 100), ago=timedelta(seconds=4))
        told(run, used(3.0, 150), ago=timedelta(seconds=2))
    seen = told.watching().look(NOW)

    assert (seen.cpu, seen.memory) == (2.0, 300)


def test_lines_that_are_none_are_passed_over(told: Told) -> None:
    told("a", turn("claude", 1))
    with sqlite3.connect(told.path) as db:
        db.execute("UPDATE records SET line = 'no json' WHERE seq = 1")
    watching = told.watching()
    assert watching.look(NOW).active[0].turns == 1
    assert watching.look(NOW).active[0].turns == 1
    watching.close()


def test_a_damaged_history_is_a_sentence(told: Told) -> None:
    told.path.write_bytes(b"no database" * 1000)
    told.path.chmod(0o600)
    with pytest.raises(HistoryError, match="history"):
        told.watching().look(NOW)
