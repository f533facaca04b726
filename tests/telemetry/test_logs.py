"""The four logs: what stands in which, redacted, one line an event, packages and exceptions included."""

from __future__ import annotations

import gzip
import json
import logging
import threading
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import pytest

from tiny_backspace import events as ev
from tiny_backspace.events import Event, Known, Record, Step, StepStarted
from tiny_backspace.redact import redactor
from tiny_backspace.telemetry import logread
from tiny_backspace.telemetry.categories import KEPT, Category, categories, level
from tiny_backspace.telemetry.logs import Logs, folder

SECRET = "hunter2-canary-0000"
RUN = "0a1b2c3d"
BEGIN = StepStarted.at(Step.AI_PROCESSING, "go")
END = ev.RunSucceeded(message="done")


def record(event: Event, seq: int = 1) -> Record:
    return Record(seq=seq, at=datetime(2026, 11, 26, 12, tzinfo=UTC), run_id=RUN, event=event)


def logged(state: Path, *happened: Event) -> dict[str, list[dict[str, Any]]]:
    with Logs(state, RUN, redactor([SECRET])) as logs:
        for n, event in enumerate((*happened, END), 1):
            logs(record(event, n))
    return read(state)


def read(state: Path) -> dict[str, list[dict[str, Any]]]:
    found = {}
    for path in folder(state).glob("*.log"):
        found[path.stem] = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return found


def kinds(found: dict[str, list[dict[str, Any]]], name: str) -> list[str]:
    return [line["event"] for line in found.get(name, [])]


TURN = ev.ModelTurn(
    provider="p", model="m", turn=1, stop="end", input_tokens=1, output_tokens=1, cached_tokens=0,
    cost_usd=0.1, duration_ms=5,
)  # fmt: skip
CALL = ev.ToolCalled(id="1", tool="bash", arguments={"command": "ls"})
RESULT = ev.ToolFinished(
    id="1", tool="bash", ok=True, exit_code=0, duration_ms=1, size=2, excerpt="x"
)
SWAP = ev.ProviderReplaced(failed="a", next="b", reason="busy", turn=2)


def test_each_event_is_in_the_logs_of_its_kind(tmp_path: Path) -> None:
    found = logged(
        tmp_path, BEGIN, TURN, CALL, RESULT, SWAP, ev.Warned(message="careful"),
        ev.Timed(operation="fetch", duration_ms=2), ev.AgentThought(message="hm", step="planning"),
    )  # fmt: skip

    assert kinds(found, "app") == ["info", "provider_fallback", "warning", "success"]
    assert kinds(found, "errors") == ["provider_fallback", "warning"]
    assert kinds(found, "performance") == ["model_turn", "tool_result", "performance"]
    assert kinds(found, "agent_thinking") == [
        "tool_call", "tool_result", "provider_fallback", "agent_thinking",
    ]  # fmt: skip
    lines = [line for lines in found.values() for line in lines]
    assert {line["run_id"] for line in lines} == {RUN}
    assert list(lines[0])[:5] == ["at", "level", "category", "run_id", "event"]


def test_every_kind_of_event_has_a_log_and_a_level() -> None:
    for kind in get_args(Known):
        event = kind.model_construct(decision="flag", ok=True, on="change")
        assert set(categories(event)) <= set(KEPT)
        assert categories(event)
        assert level(event) in ("debug", "info", "warning", "error")
        assert ("errors" in categories(event)) == (level(event) in ("warning", "error"))


def test_what_is_secret_or_would_move_the_cursor_is_in_no_line(tmp_path: Path) -> None:
    odd = f"a\x1b[2Jb\u202ec{SECRET}\nsecond\u2028third"
    with Logs(tmp_path, RUN, redactor([SECRET])) as logs:
        logs(record(BEGIN))
        logs(record(ev.Warned(message=odd)))
        logging.getLogger("some.package").warning("said %s", odd)
        logs(record(END))
    raw = b"".join(path.read_bytes() for path in folder(tmp_path).glob("*.log")).decode()

    assert SECRET not in raw
    assert "\x1b" not in raw
    assert "\u202e" not in raw
    assert "\u2028" not in raw
    said = [line for line in read(tmp_path)["app"] if line["event"] == "log"]
    assert [(line["logger"], line["level"], line["run_id"]) for line in said] == [
        ("some.package", "warning", RUN)
    ]
    assert all(line["message"].count("\n") == 1 for line in said)


def test_an_exception_is_told_with_where_it_came_from_and_no_values(tmp_path: Path) -> None:
    def fails() -> None:
        held = f"{SECRET}-in-a-variable"  # noqa: F841 - it must not show up
        raise ValueError(f"with {SECRET}")

    with Logs(tmp_path, RUN, redactor([SECRET])) as logs:
        logs(record(BEGIN))
        try:
            try:
                fails()
            except ValueError as cause:
                raise RuntimeError("outer") from cause
        except RuntimeError as error:
            logs.raised(error)
        logs(record(END))
    (line,) = [line for line in read(tmp_path)["errors"] if line["event"] == "exception"]

    assert (line["kind"], line["level"]) == ("RuntimeError", "error")
    assert [part["exc_type"] for part in line["exception"]] == ["RuntimeError", "ValueError"]
    assert line["exception"][1]["frames"][-1]["name"] == "fails"
    assert SECRET not in json.dumps(line)
    assert "in-a-variable" not in json.dumps(line)


def test_packages_are_heard_only_while_a_run_goes_on(tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    logged(tmp_path, BEGIN)
    assert logging.getLogger().handlers == before


def test_a_run_that_never_began_leaves_no_log_and_no_thread(tmp_path: Path) -> None:
    with Logs(tmp_path, RUN, str):
        pass
    assert not folder(tmp_path).exists()
    assert not [thread for thread in threading.enumerate() if thread.name == "logs"]


def test_a_folder_that_cannot_be_written_refuses_the_next_record(tmp_path: Path) -> None:
    folder(tmp_path).write_text("a file")
    with Logs(tmp_path, RUN, str) as logs:
        logs(record(BEGIN))
        for thread in threading.enumerate():
            if thread.name == "logs":
                thread.join(10)
        with pytest.raises(OSError, match="not safe to use"):
            logs(record(END))


def test_lines_are_read_again_in_order_once_each_packed_ones_too(tmp_path: Path) -> None:
    place = tmp_path
    (place / "app.log").write_text('{"at": "3", "run_id": "r", "seq": 3}\nno json\n[1]\n')
    (place / "app.log.20260101T000000Z.gz").write_bytes(
        gzip.compress(b'{"at": "1", "run_id": "r", "seq": 1}\n')
    )
    (place / "app.log.20260102T000000Z").write_text('{"at": "2", "run_id": "r", "seq": 2}\n')
    (place / "errors.log").write_text(
        '{"at": "2", "run_id": "r", "seq": 2}\n{"at": "4", "run_id": "r"}\n'
    )
    both: list[Category] = ["app", "errors"]

    assert [line.at for line in logread.lines(place, ["app"])] == ["1", "2", "3"]
    assert [line.at for line in logread.lines(place, both)] == ["1", "2", "3", "4"]
    assert [line.at for line in logread.newest(logread.lines(place, both), 2)] == ["3", "4"]


def test_a_log_is_followed_beyond_its_being_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text('{"at": "0"}\n')

    def half() -> None:
        with log.open("a") as file:
            file.write('{"at": "1"}\n{"at": "2')

    def whole() -> None:
        with log.open("a") as file:
            file.write('"}\n')

    def aside() -> None:
        with log.open("a") as file:
            file.write('{"at": "3"}\n')
        log.rename(tmp_path / "app.log.x")
        log.write_text('{"at": "4"}\n')

    steps = iter((half, whole, aside))
    following = logread.follow(tmp_path, ["app"], wait=lambda _: next(steps)())

    assert [line.at for line in islice(following, 4)] == ["1", "2", "3", "4"]
