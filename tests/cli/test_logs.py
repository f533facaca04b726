"""`logs` as a person calls it: what is shown of the four files, and how much of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tiny_backspace import events as ev
from tiny_backspace.cli import app
from tiny_backspace.errors import UsageError
from tiny_backspace.recorder import Recorder
from tiny_backspace.telemetry.logs import Logs
from tiny_backspace.telemetry.store import History

Ask = Callable[..., Result]


@pytest.fixture
def logs(tmp_path: Path) -> Ask:
    """`logs` with these arguments, where `0000aaaa` was yesterday and `0000bbbb` a moment ago."""
    state = tmp_path / "tiny-backspace"
    state.mkdir(mode=0o700)
    with History(state / "history.db") as history:
        for run, ago in (("0000aaaa", timedelta(days=1)), ("0000bbbb", timedelta(0))):
            with Logs(state, run, str) as kept:
                at = datetime.now(UTC) - ago
                _tell(Recorder(run, (history, kept), clock=partial(_same, at), redact=str))

    def ask(*args: str) -> Result:
        return CliRunner().invoke(app, ["logs", *args], env={"XDG_STATE_HOME": str(tmp_path)})

    return ask


def _same(at: datetime) -> datetime:
    return at


def _tell(emit: ev.Emit) -> None:
    emit(ev.RunStarted(repo="r", prompt="p", base="b", agents=("dummy:d",), limits={}, version="1"))
    emit(ev.StepStarted.at(ev.Step.AI_PROCESSING, "Generating..."))
    for n in range(60):
        emit(ev.HostCommand(argv=("git", str(n)), exit_code=0, duration_ms=1))
    emit(ev.Timed(operation="judge", duration_ms=2))
    emit(ev.RunFailed(error="agent", message="no\x1b[2J more", exit_code=6))


def test_what_a_person_follows_is_not_hidden_behind_every_program_that_ran(logs: Ask) -> None:
    shown = logs().stdout

    assert shown.count("run_started") == 2
    assert "host_command" not in shown
    assert logs("-v", "--run", "0000b").stdout.count("host_command") == 60
    assert logs("--json", "--run", "0000b").stdout.count("host_command") == 60


def test_a_run_is_named_by_the_start_of_its_id_or_as_the_last(logs: Ask) -> None:
    assert logs("--run", "0000B").stdout == logs("--run", "last").stdout
    assert "0000aaaa" not in logs("--run", "last").stdout
    assert isinstance(logs("--run", " ").exception, UsageError)


def test_a_category_a_time_and_a_number_choose_lines(logs: Ask) -> None:
    (timed,) = logs("--category", "performance", "--since", "1h").stdout.splitlines()
    assert "operation=judge" in timed
    assert logs("--category", "errors", "-n", "1").stdout.count("\n") == 1
    nothing = logs("--category", "agent_thinking")
    assert (nothing.stdout, nothing.exit_code) == ("", 0)
    assert "Nothing is logged" in nothing.stderr


def test_what_says_nothing_is_left_out_and_what_failed_is_not(logs: Ask) -> None:
    line = logs("--run", "last", "--category", "errors").stdout.rstrip()
    assert line.endswith("exit_code=6 message=no more error=agent")
    assert "exit_code=0" in logs("--run", "last", "-v", "-n", "2").stdout


def test_a_line_is_a_line_and_moves_no_cursor(logs: Ask) -> None:
    lines = logs("--category", "errors", "--json").stdout.splitlines()
    assert {json.loads(line)["run_id"] for line in lines} == {"0000aaaa", "0000bbbb"}
    assert "\x1b" not in logs("--category", "errors").stdout
