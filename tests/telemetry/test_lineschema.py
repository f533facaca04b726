"""The JSON Schema of a line, held against lines of every type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias, get_args

import pytest

from tiny_backspace import events as ev
from tiny_backspace.events import Event, Record, Step
from tiny_backspace.telemetry.lineschema import line_schema

Fits: TypeAlias = Callable[[Any, Any], bool]
_SCHEMA = line_schema()


_KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "null": (type(None),),
}


def _is(value: Any, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _is_time(value: Any, form: str) -> bool:
    assert form == "date-time"
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


def _values_fit(value: Any, wanted: Any) -> bool:
    return wanted is True or all(_fits(each, wanted) for each in value.values())


# The words of JSON Schema that ours uses; another one in it fails the tests by a KeyError.
_RULES: dict[str, Fits] = {
    "$ref": lambda value, at: _fits(value, _SCHEMA["$defs"][at.removeprefix("#/$defs/")]),
    "type": _is,
    "const": lambda value, wanted: type(value) is type(wanted) and value == wanted,
    "enum": lambda value, wanted: value in wanted,
    "not": lambda value, wanted: not _fits(value, wanted),
    "pattern": lambda value, wanted: not isinstance(value, str) or bool(re.search(wanted, value)),
    "minimum": lambda value, wanted: value >= wanted,
    "required": lambda value, wanted: set(wanted) <= value.keys(),
    "properties": lambda value, wanted: all(
        _fits(value[name], wanted[name]) for name in wanted.keys() & value.keys()
    ),
    "additionalProperties": _values_fit,
    "items": lambda value, wanted: all(_fits(each, wanted) for each in value),
    "anyOf": lambda value, wanted: any(_fits(value, each) for each in wanted),
    "oneOf": lambda value, wanted: sum(_fits(value, each) for each in wanted) == 1,
    "format": _is_time,
}
_SILENT = {"$schema", "$defs", "title", "description"}


def _fits(value: Any, schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    if kind is not None and not _is(value, kind):
        return False
    return all(
        _RULES[word](value, wanted) for word, wanted in schema.items() if word not in _SILENT
    )


_SAMPLES: tuple[Event, ...] = (
    ev.RunStarted(repo="r", prompt="p", base="b", agents=("a:m",), limits={"x": 1}, version="1"),
    ev.StepStarted.at(Step.CLONE, "Cloning repository..."),
    ev.SandboxAttested(
        ok=True, container="c", image="i", uid=10001, capabilities="0", no_new_privs=True, seccomp=True,
        memory=None, cpus=1.5, pids=256, interfaces=("lo",), writable=("/workspace",),
    ),
    ev.RepositoryAnalysed(base="f" * 40, branch=None, files=3, languages={"Python": 3}),
    ev.AgentThought(message="Hm", step="planning"),
    ev.ModelTurn(
        provider="p", model="m", turn=1, stop="end_turn", input_tokens=1, output_tokens=1,
        cached_tokens=0, cost_usd=None, duration_ms=1.5,
    ),
    ev.Retry(provider="p", reason="r", attempt=1, wait_s=0.5),
    ev.CacheHit(provider="p", model="m", key="k"),
    ev.ContextFolded(turn=1, messages_before=9, messages_after=3, tokens_before=9, tokens_after=3),
    ev.SyntaxChecked(ok=False, files=1, problems=("a.py:1: bad",), duration_ms=1.0),
    ev.ProviderReplaced(failed="p", next="q", reason="r"),
    ev.Egress(host="pypi.example", port=443, decision="denied", reason="r"),
    ev.SetupFinished(cached=False, volume="v", size=1, duration_ms=1.5),
    ev.ToolCalled(id="1", tool="bash", arguments={"command": "ls", "deep": {"x": [1, None]}}),
    ev.ToolFinished(id="1", tool="bash", ok=True, exit_code=None, duration_ms=1, size=0, excerpt=""),
    ev.FileEdited(filepath="a", operation="rename", old_path="b"),
    ev.Verified(command="c", attempt=1, ok=False, exit_code=1, duration_ms=1, output=""),
    ev.PolicyDecided(rule="r", path="p", decision="flag", message="m"),
    ev.GitOperation(command="git push", output=""),
    ev.PullRequestCreation(command="gh pr create", output="", simulated=True),
    ev.WorkSaved(patch="p"),
    ev.HostCommand(argv=("git", "fetch"), exit_code=0, duration_ms=1),
    ev.Resources(memory=1, memory_peak=2, cpu_s=0.5, pids=None),
    ev.Timed(operation="o", duration_ms=1),
    ev.Warned(message="w"),
    ev.RunSucceeded(message="m", providers=("p",), pr_url="u"),
    ev.RunFailed(exit_code=70, message="m", error="bug"),
    ev.Unknown.model_validate({"type": "from_the_future", "x": 1}),
)  # fmt: skip


def _line(event: Event) -> dict[str, Any]:
    record = Record(seq=1, at=datetime.now(UTC), run_id="0a1b2c3d", event=event)
    line: dict[str, Any] = json.loads(record.model_dump_json())
    return line


@pytest.mark.parametrize("event", _SAMPLES, ids=lambda event: event.type)
def test_a_line_of_every_type_fits_the_schema(event: Event) -> None:
    assert _fits(_line(event), _SCHEMA)


@pytest.mark.parametrize("event", _SAMPLES[:-1], ids=lambda event: event.type)
def test_the_schema_names_exactly_the_fields_of_a_line_and_needs_them_all(event: Event) -> None:
    line = _line(event)
    (own,) = (each for each in _SCHEMA["oneOf"] if each["title"] == type(event).__name__)
    assert set(line) == {*_SCHEMA["properties"], *own["properties"]}
    for name in line:
        assert not _fits({key: value for key, value in line.items() if key != name}, _SCHEMA)


def test_the_samples_are_of_all_types_there_are() -> None:
    assert {type(event) for event in _SAMPLES} == {*get_args(ev.Known), ev.Unknown}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 2), ("seq", 0), ("seq", True), ("at", 5), ("at", "2026-01-01T00:00:00"),
        ("run_id", "xyz"), ("type", 1), ("type", "success"), ("progress", "10"), ("step", "lunch"),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_in_one_field_does_not_fit(field: str, value: object) -> None:
    assert not _fits(_line(_SAMPLES[1]) | {field: value}, _SCHEMA)
