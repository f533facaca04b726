"""Alerts: when, to whom, how often, and what happens when they cannot be told."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.health.told import BAD, VERDICT, WELL, asked, command, failed, heard, told
from tiny_backspace.health.alerts import AlertError, passed, raise_alerts
from tiny_backspace.health.rules import judge
from tiny_backspace.thresholds import AlertSettings

SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"error_rate": 0.4}, "error_rate"), ({"cost_per_day": 8.9}, "cost_per_day"),
        ({"provider_success": 0.6}, "provider_success"), ({"health_below": 90}, "health_below"),
    ],
)  # fmt: skip
def test_a_threshold_that_is_passed_is_said(settings: dict[str, Any], name: str) -> None:
    alerts = AlertSettings.model_validate(settings)
    assert list(passed(alerts, BAD, VERDICT)) == [name]
    assert passed(alerts, WELL, judge(WELL)) == {}
    assert passed(AlertSettings(), BAD, VERDICT) == {}


def test_each_reason_is_told_once_in_its_time_though_it_comes_and_goes(
    state: Path, tmp_path: Path
) -> None:
    alerts = AlertSettings(health_below=90, every=3600, command=command(tmp_path))
    found = passed(alerts, BAD, VERDICT)

    assert list(raise_alerts(alerts, found, VERDICT, state)) == ["health_below"]
    assert raise_alerts(alerts, found, VERDICT, state) == {}
    assert raise_alerts(alerts, {}, VERDICT, state) == {}  # it is well again …
    assert raise_alerts(alerts, found, VERDICT, state) == {}  # … and ill once more
    more = {**found, "error_rate": "50% failed"}
    assert list(raise_alerts(alerts, more, VERDICT, state)) == ["error_rate"]
    first, second = heard(tmp_path)
    assert first["health"] == VERDICT.score
    assert "is wanted" in first["alerts"]["health_below"]
    assert list(second["alerts"]) == ["error_rate"]
    assert (state / "alerts.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("seconds", [-3601, 3601])
def test_it_is_told_again_after_its_time_or_when_the_clock_was_put_back(
    state: Path, tmp_path: Path, seconds: int
) -> None:
    alerts = AlertSettings(health_below=90, every=3600, command=command(tmp_path))
    found = passed(alerts, BAD, VERDICT)
    raise_alerts(alerts, found, VERDICT, state)
    times = json.loads((state / "alerts.json").read_text())
    (state / "alerts.json").write_text(json.dumps({k: at + seconds for k, at in times.items()}))
    assert list(raise_alerts(alerts, found, VERDICT, state)) == ["health_below"]


@pytest.mark.parametrize("damage", ["", "[]", '{"health_below command": "x"}', '{"a": NaN}'])
def test_a_damaged_file_of_what_was_told_is_as_if_nothing_was(
    state: Path, tmp_path: Path, damage: str
) -> None:
    (state / "alerts.json").write_text(damage)
    alerts = AlertSettings(health_below=90, command=command(tmp_path))
    found = passed(alerts, BAD, VERDICT)
    assert list(raise_alerts(alerts, found, VERDICT, state)) == ["health_below"]


def test_where_it_cannot_be_kept_is_a_sentence(state: Path, tmp_path: Path) -> None:
    (state / "alerts.json").mkdir()
    alerts = AlertSettings(health_below=90, command=command(tmp_path))
    with pytest.raises(AlertError, match="cannot be kept: Is a directory"):
        raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state)


def test_while_somebody_tells_nobody_else_does(state: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    waits = (sys.executable, "-c", f"open({str(pipe)!r}).read()")
    alerts = AlertSettings(health_below=90, command=waits)
    telling = threading.Thread(target=_raise, args=(alerts, state))
    telling.start()
    with pipe.open("w"), (state / ".alerts.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it is being told
    telling.join()
    assert raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state) == {}


def _raise(alerts: AlertSettings, state: Path) -> None:
    raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state)


def test_of_many_processes_one_tells(state: Path, tmp_path: Path) -> None:
    alerts = AlertSettings(health_below=90, command=command(tmp_path))
    others = [SPAWN.Process(target=_raise, args=(alerts, state)) for _ in range(4)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0] * 4
    assert len(heard(tmp_path)) == 1


def test_from_the_command_line_it_fails_is_told_and_is_silent(state: Path, tmp_path: Path) -> None:
    told(state, "a", failed("provider"), ago=timedelta(hours=1))
    config = f"[alerts]\nerror_rate = 0.1\ncommand = {json.dumps(command(tmp_path, 3))}\n"
    refused = asked(state, "--alert", config=config)
    assert isinstance(refused.exception, AlertError)
    assert refused.exception.exit_code == 2
    assert "ended with exit code 3" in str(refused.exception)

    config = f"[alerts]\nerror_rate = 0.1\ncommand = {json.dumps(command(tmp_path))}\n"
    done = asked(state, "--alert", config=config)
    assert (done.exit_code, done.stdout) == (1, "error_rate: 100% of 1 runs failed; 10% may\n")
    again = asked(state, "--alert", config=config)
    assert (again.exit_code, again.stdout) == (0, "")


def test_with_nobody_named_it_is_printed_once(state: Path) -> None:
    told(state, "a", failed("provider"))
    config = "[alerts]\nhealth_below = 99\n"
    assert asked(state, "--alert", config=config).stdout == "health_below: the health is 95; 99 is wanted\n"  # fmt: skip
    assert (asked(state, "--alert", config=config).exit_code) == 0


def test_a_damaged_history_is_an_alert(state: Path, tmp_path: Path) -> None:
    (state / "history.db").write_bytes(b"no database" * 999)
    config = f"[alerts]\nhealth_below = 60\ncommand = {json.dumps(command(tmp_path))}\n"
    assert asked(state, "--alert", config=config).exit_code == 1
    assert heard(tmp_path)[0]["deductions"][0]["rule"] == "history"


def test_without_a_threshold_or_with_two_answers_it_is_refused(state: Path) -> None:
    refused = asked(state, "--alert", config='[alerts]\nevery = "2h"\n')
    assert "No threshold is set" in str(refused.exception)
    assert "different answers" in str(asked(state, "--alert", "--json").exception)


@pytest.mark.parametrize("program", ["/no/such/program", "/"])
def test_a_command_that_does_not_start_is_a_sentence(state: Path, program: str) -> None:
    alerts = AlertSettings(health_below=90, command=(program, "a-secret"))
    with pytest.raises(AlertError, match="did not start") as refused:
        raise_alerts(alerts, passed(alerts, BAD, VERDICT), VERDICT, state)
    assert "a-secret" not in str(refused.value)
