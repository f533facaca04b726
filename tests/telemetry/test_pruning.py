"""Old runs are forgotten whole; what goes on, is young, or would be lost with its patch stays."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.fakes import ticking
from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.recorder import Recorder
from tiny_backspace.statedir import hold
from tiny_backspace.telemetry.pruning import Pruned, prune
from tiny_backspace.telemetry.store import History
from tiny_backspace.telemetry.turns import Task, Turns

NOW = datetime.now(UTC)


def kept(state: Path, run: str, days: int, saved: ev.WorkSaved | None = None) -> None:
    with History(state / "history.db") as history:
        emit = Recorder(run, [history], clock=ticking(NOW - timedelta(days=days)), redact=str)
        emit(ev.RunStarted(repo="r", prompt="p", base="b", agents=(), limits={}, version="1"))
        if saved:
            emit(saved)
        emit(ev.RunFailed(error="x", message="m", exit_code=6))
    Turns(state / "history.db", run, Task("r", "p")).begin("0" * 40, None)
    folder = state / "runs" / run
    folder.mkdir(parents=True)
    (folder / "change.patch").write_bytes(b"x" * 100)
    (state / f"crash-{run}.txt").write_bytes(b"y" * 10)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "tiny-backspace"
    kept(state, "old", 100)
    kept(state, "young", 1)
    kept(state, "branch", 100, ev.WorkSaved(patch="p", branch="b"))
    kept(state, "patch", 100, ev.WorkSaved(patch="p"))
    kept(state, "live", 100)
    return state


def runs(state: Path) -> set[str]:
    with closing(sqlite3.connect(state / "history.db")) as db:
        tables = ("runs", "records", "tasks")
        found = [{run for (run,) in db.execute(f"SELECT DISTINCT run_id FROM {t}")} for t in tables]
    assert found[0] == found[1] == found[2]
    assert {path.name for path in (state / "runs").iterdir()} == found[0]
    assert {path.name for path in state.glob("crash-*")} == {f"crash-{run}.txt" for run in found[0]}
    return found[0]


@pytest.mark.parametrize(
    ("keep_work", "left"), [(True, {"young", "patch", "live"}), (False, {"young", "live"})]
)
def test_what_is_old_is_forgotten_whole(state: Path, keep_work: bool, left: set[str]) -> None:
    before = NOW - timedelta(days=90)

    def asked(*, really: bool) -> Pruned:
        return prune(state, before, lambda run: run == "live", keep_work=keep_work, really=really)

    counted = asked(really=False)
    assert len(runs(state)) == 5
    kept = len(left & {"patch"})
    assert asked(really=True) == counted == Pruned(5 - len(left), 110 * (5 - len(left)), kept)
    assert runs(state) == left
    assert asked(really=True) == Pruned(0, 0, kept)


def test_as_a_user_does_it(state: Path) -> None:
    env = {"XDG_STATE_HOME": str(state.parent)}
    with hold(state, "live"):
        asked = CliRunner().invoke(app, ["prune", "--dry-run"], env=env)
        done = CliRunner().invoke(app, ["prune"], env=env)

    assert asked.stdout == "Would forget 2 runs and 220 B of their files.\n"
    assert done.stdout == "Forgot 2 runs and 220 B of their files.\n"
    assert done.stderr.startswith("1 run left, where the change is nowhere but in its patch")
    assert runs(state) == {"young", "patch", "live"}


def test_without_a_history_there_is_nothing_to_forget(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["prune"], env={"XDG_STATE_HOME": str(tmp_path)})
    assert (done.exit_code, done.stdout) == (0, "Forgot 0 runs and 0 B of their files.\n")
    assert list(tmp_path.iterdir()) == []
