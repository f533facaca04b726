"""What a person sees of a batch: the table while it goes on, and the summary at its end."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tiny_backspace.batch.outcome import Outcome, Status
from tiny_backspace.batch.report import Report, as_json, as_markdown, as_table
from tiny_backspace.batch.standing import Standing, rows
from tiny_backspace.batch.tasks import Task
from tiny_backspace.batch.working import Ended
from tiny_backspace.events import Event, ModelTurn, Record, RunStarted, Step, StepStarted

NOW = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)


def task(number: int) -> Task:
    return Task(number, f"https://github.com/owner/name{number}.git", "p", None, {}, str(number), 5)


def record(run: str, event: Event) -> Record:
    return Record(seq=1, at=NOW, run_id=run, event=event)


def standing(running: int, ended: int) -> Standing:
    seen = Standing(running + ended + 7, 7, NOW, jobs=running)
    for number in range(running + ended):
        seen.started(task(number))
        start = RunStarted(repo="r", prompt="p", base="b", agents=("claude:m",), limits={}, version="1")  # fmt: skip
        turn = ModelTurn(provider="claude", model="m", turn=1, stop="end", input_tokens=1,
                         output_tokens=1, cached_tokens=0, cost_usd=0.25, duration_ms=1)  # fmt: skip
        for event in (StepStarted.at(Step.AI_PROCESSING, "Generating…"), start, turn):
            seen.record(task(number), record(f"run{number}", event))
    for number in range(ended):
        good = number % 2 == 0
        end = Ended(str(number), 0 if good else 9, "r", "it \x1b[31mfailed", "b" if good else None)
        seen.ended(Outcome(task(number), "done" if good else "failed", end))
    return seen


@pytest.mark.parametrize("size", [(80, 23), (40, 10), (200, 50), (80, 3)])
@pytest.mark.parametrize("numbers", [(0, 0), (2, 0), (0, 4), (64, 30)])
def test_it_fits_whatever_there_is_to_show(size: tuple[int, int], numbers: tuple[int, int]) -> None:
    drawn = rows(standing(*numbers), NOW + timedelta(seconds=75), *size)
    assert len(drawn) <= size[1]
    assert {text.cell_len for text in drawn} == {size[0]}
    assert not any("\x1b" in text.plain for text in drawn)


def test_more_at_work_than_there_are_lines_are_counted() -> None:
    drawn = [text.plain for text in rows(standing(64, 30), NOW + timedelta(seconds=75), 80, 23)]
    assert drawn[0].split() == ["tiny-backspace", "batch", "37/101", "$23.50", "1:15"]
    assert "15 done  15 failed  7 done before  64 jobs" in drawn[1]
    shown = [line for line in drawn if "solve" in line]
    (more,) = [line for line in drawn if " more" in line]
    assert f"and {64 - len(shown)} more" in more
    assert any("✘ exit 9" in line for line in drawn)
    assert "owner/name30" in shown[0]
    assert "claude" in shown[0]
    assert "$0.2500" in shown[0]


def test_a_run_that_is_begun_again_elsewhere_begins_at_nothing() -> None:
    seen = standing(1, 0)
    seen.record(task(0), record("other", StepStarted.at(Step.VALIDATION, "Validating…")))
    (line,) = [t.plain for t in rows(seen, NOW, 80, 23) if "owner/name0" in t.plain]
    assert "validate" in line
    assert "$0.25" not in line
    assert seen.cost == 0.25


def outcomes(number: int = 3) -> list[Outcome]:
    ends: dict[Status, Ended | None] = {
        "done": Ended("1", 0, "r1", "Pull request created successfully!", "b", "https://github.com/o/n/pull/1", cost_usd=0.5, duration_ms=12_000),
        "failed": Ended("2", 9, "r2", "<b>failed</b> | @all\x1b[31m", None, cost_usd=None),
        "not started": None,
    }  # fmt: skip
    return [Outcome(task(n), s, e) for n, (s, e) in enumerate(list(ends.items()) * number, 1)]


def report(number: int = 1) -> Report:
    return Report(outcomes(number), 1.5, timedelta(seconds=83), 9)


def test_the_table_has_what_failed_last() -> None:
    assert as_table(report()).splitlines() == [
        "owner/name1  done         $0.5000       12.0 s  https://github.com/o/n/pull/1",
        "owner/name3  not started",
        "owner/name2  exit 9       cost unknown  0 ms    <b>failed</b> | @all",
        "3 tasks: 1 done, 1 failed, 1 not started; $1.50, 1:23",
    ]


def test_of_very_many_the_most_telling_are_shown() -> None:
    told = as_table(report(100)).splitlines()
    assert len(told) == 202
    assert sum("exit 9" in line for line in told) == 100
    assert told[-2] == "… and 100 more tasks (--summary json has all of them)"


def test_json_has_all() -> None:
    told = json.loads(as_json(report(100)))
    assert len(told["tasks"]) == 300
    assert told["counts"]["failed"] == 100
    assert (told["exit_code"], told["cost_usd"], told["duration_s"]) == (9, 1.5, 83.0)
    assert told["tasks"][0]["pr_url"] == "https://github.com/o/n/pull/1"


def test_nobodys_text_is_more_than_text_in_markdown() -> None:
    told = as_markdown(report())
    assert "<https://github.com/o/n/pull/1>" in told
    assert "<b>" not in told
    assert "`@all`" in told  # a mention in code is none
    assert "\x1b" not in told
    assert all(line.count("|") - line.count("\\|") == 6 for line in told.splitlines()[2:])
