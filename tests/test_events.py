"""The contract: every event there and back, and what a newer version may say."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import get_args

import pytest
from pydantic import ValidationError

from tests.fakes import ticking
from tiny_backspace import events as ev
from tiny_backspace.events import Event, Known, Record, Step, ThoughtDelta, Timed, Unknown, timed

AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)

EVERY: tuple[Event, ...] = (
    ev.StepStarted.at(Step.CLONE, "Cloning repository..."),
    ev.RunStarted(
        repo="r", prompt="p", base="main", agents=("dummy:d",), limits={"turns": 3}, version="1"
    ),
    ev.SandboxAttested(
        ok=False, problems=("open",), container="c", image="i", uid=1, capabilities="0",
        no_new_privs=True, seccomp=True, memory=None, cpus=1.5, pids=9, interfaces=("lo",),
        writable=("/tmp",),
    ),
    ev.RepositoryAnalysed(base="a" * 40, branch=None, files=2, languages={"Python": 2}),
    ev.AgentThought(message="m", step="planning"),
    ev.ModelTurn(
        provider="p", model="m", turn=1, stop="end_turn", input_tokens=1, output_tokens=2,
        cached_tokens=0, cost_usd=None, duration_ms=1.5,
    ),
    ev.Retry(provider="p", reason="busy", attempt=2, wait_s=0.5),
    ev.ProviderReplaced(failed="a", next="b", reason="gone", turn=12),
    ev.CacheHit(provider="p", model="m", key="0f"),
    ev.ContextFolded(turn=9, messages_before=9, messages_after=3, tokens_before=9, tokens_after=3),
    ev.Egress(host="files.example", port=443, decision="denied", reason="this host is not allowed"),
    ev.SetupFinished(cached=True, volume="v", size=9, duration_ms=1.5),
    ev.SyntaxChecked(ok=False, files=1, problems=("a.py:1: bad",), duration_ms=1.5),
    ev.ToolCalled(id="1", tool="bash", arguments={"command": "ls", "deep": [{"a": None}]}),
    ev.ToolFinished(id="1", tool="bash", ok=True, exit_code=None, duration_ms=1, size=0, excerpt=""),
    ev.FileEdited(filepath="a", operation="rename", old_path="b"),
    ev.Verified(command="c", attempt=1, ok=False, exit_code=1, duration_ms=2, output="o"),
    ev.PolicyDecided(rule="submodule", path="p", decision="refuse", message="m"),
    ev.GitOperation(command="git x", output="y", simulated=True),
    ev.PullRequestCreation(command="gh pr create", output="url"),
    ev.WorkSaved(branch="b", commit="c"),
    ev.HostCommand(argv=("git", "x"), exit_code=0, duration_ms=1),
    ev.Resources(memory=1, memory_peak=None, cpu_s=0.1, pids=2),
    ev.Timed(operation="o", duration_ms=1, ok=False),
    ev.Warned(message="é\u2028\U0001f600"),
    ev.RunSucceeded(message="done", providers=("dummy",)),
    ev.RunFailed(message="bad", error="agent", exit_code=6),
)  # fmt: skip

NEWER = Unknown.model_validate({"type": "teleported", "where": {"x": [1, 2.5, None]}})


def test_there_is_one_of_every_event_here() -> None:
    assert {type(event) for event in EVERY} == set(get_args(Known))


@pytest.mark.parametrize("event", EVERY, ids=lambda event: event.type)
def test_an_event_survives_the_journey_as_one_flat_line(event: Event) -> None:
    record = Record(seq=7, at=AT, run_id="0a1b2c3d", event=event)

    line = record.model_dump_json()
    back = Record.model_validate_json(line)

    assert back == record
    assert type(back.event) is type(event)
    assert "\n" not in line
    assert json.loads(line)["type"] == event.type
    assert json.loads(line)["at"] == "2026-01-02T03:04:05.678901+00:00"


@pytest.mark.parametrize("event", [*EVERY, NEWER], ids=lambda event: event.type)
def test_its_line_holds_the_same_in_the_same_order(event: Event) -> None:
    record = Record(seq=7, at=AT, run_id='0a"\n', event=event)

    assert json.loads(record.line(), object_pairs_hook=list) == json.loads(
        record.model_dump_json(), object_pairs_hook=list
    )


def test_no_event_holds_another_model_whose_texts_nobody_would_redact() -> None:
    for kind in (*get_args(Known), Unknown):
        for value in vars(next(e for e in (*EVERY, NEWER) if type(e) is kind)).values():
            assert _is_json_like(value), kind


def _is_json_like(value: object) -> bool:
    match value:
        case dict():
            return all(map(_is_json_like, (*value, *value.values())))
        case list() | tuple():
            return all(map(_is_json_like, value))
        case _:
            return value is None or isinstance(value, str | int | float)


def test_an_event_of_a_newer_version_is_kept_as_it_came() -> None:
    line = {"v": 2, "seq": 1, "at": AT.isoformat(timespec="microseconds"), "run_id": "r"}
    line |= {"type": "teleported", "where": {"x": [1, 2]}}

    back = Record.model_validate(line)

    assert isinstance(back.event, Unknown)
    assert back.model_dump() == line


def test_a_known_event_with_news_of_a_newer_version_is_still_that_event() -> None:
    line = {"v": 2, "seq": 1, "at": AT.isoformat(), "run_id": "r", "type": "warning"}

    back = Record.model_validate(line | {"message": "m", "severity": 3})

    assert back.event == ev.Warned(message="m")


def test_a_known_event_that_lacks_something_is_refused_and_not_taken_for_unknown() -> None:
    with pytest.raises(ValidationError):
        Record.model_validate({"seq": 1, "at": AT, "run_id": "r", "type": "warning"})


def test_events_and_records_cannot_be_changed() -> None:
    event = ev.Warned(message="m")
    with pytest.raises(ValidationError):
        event.message = "other"  # type: ignore[misc]  # that it is refused is the point


def test_the_progress_of_the_steps_is_that_of_the_specification() -> None:
    assert [step.progress for step in Step] == [10, 20, 30, 50, 70, 90, 100]


def test_a_block_that_fails_is_timed_too() -> None:
    said: list[Event | ThoughtDelta] = []
    clock = ticking()

    with pytest.raises(KeyError), timed("block", said.append, timer=lambda: clock().timestamp()):
        raise KeyError

    assert said == [Timed(operation="block", duration_ms=1000.0, ok=False)]
