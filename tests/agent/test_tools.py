from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.agent.calling import Emitted, answered, refused, use
from tests.fakes import FakeSandbox
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import ToolCall
from tiny_backspace.errors import SandboxLost
from tiny_backspace.events import FileEdited, ToolCalled, ToolFinished
from tiny_backspace.redact import MASK, redactor
from tiny_backspace.sandbox.interface import ExecResult


def saying(
    result: ExecResult, seen: list[tuple[str, ...]] | None = None
) -> Callable[[Sequence[str], bytes], ExecResult]:
    def run(argv: Sequence[str], stdin: bytes) -> ExecResult:
        if seen is not None:
            seen.append(tuple(argv))
        return result

    return run


def test_each_tool_tells_the_model_its_arguments_and_allows_no_others() -> None:
    specs = {spec.name: spec for spec in Toolbox(FakeSandbox(), 60).specs}
    assert list(specs) == ["bash", "read", "write", "edit", "glob", "grep"]
    required = {name: spec.schema.get("required", []) for name, spec in specs.items()}
    assert required == {
        "bash": ["command"],
        "read": ["path"],
        "write": ["path", "content", "description"],
        "edit": ["path", "old", "new", "description"],
        "glob": ["pattern"],
        "grep": ["pattern"],
    }
    for spec in specs.values():
        assert spec.description
        assert spec.schema["additionalProperties"] is False
        assert all(field["description"] for field in spec.schema["properties"].values())


# bash


def test_bash_says_how_the_command_ended_and_what_it_wrote() -> None:
    sandbox = FakeSandbox(run=saying(ExecResult(3, b"out\xff", b"err\n")))
    events = Emitted()
    assert answered(use(sandbox, "bash", events, command="x")) == "exit 3\nout\ufffd\nerr\n"
    assert isinstance(events[-1], ToolFinished)
    assert (events[-1].ok, events[-1].exit_code) == (False, 3)


def test_bash_gives_the_command_to_bash_as_it_is() -> None:
    seen: list[tuple[str, ...]] = []
    use(FakeSandbox(run=saying(ExecResult(0), seen)), "bash", command="echo '$x' \"y\"\nls")
    assert seen == [("bash", "-c", "echo '$x' \"y\"\nls")]


def test_bash_never_runs_longer_than_the_run_allows() -> None:
    sandbox = FakeSandbox(run=saying(ExecResult(124, b"begun\n", timed_out=True, clipped=True)))
    result = Toolbox(sandbox, command_timeout=1.5).call(
        ToolCall("c", "bash", {"command": "x", "timeout": 600}), lambda _: None
    )
    assert answered(result) == "timed out after 1.5 s\nbegun\n\n[it wrote more than was kept]"


def test_a_long_output_is_cut_in_its_middle_and_its_size_is_told() -> None:
    sandbox = FakeSandbox(run=saying(ExecResult(0, b"a" * 100_000 + b"the end")))
    events = Emitted()
    text = answered(use(sandbox, "bash", events, command="x"))
    assert text.startswith("exit 0\naaa")
    assert text.endswith("the end")
    assert len(text.encode()) <= 64 << 10
    finished = events[-1]
    assert isinstance(finished, ToolFinished)
    assert finished.size == len("exit 0\n") + 100_007
    assert len(finished.excerpt) <= 1000


# what the events and the errors say


def test_a_call_is_told_with_its_arguments_clipped_and_then_its_end() -> None:
    events = Emitted()
    ticks = iter((5.0, 5.25))
    Toolbox(FakeSandbox(), 60, timer=lambda: next(ticks)).call(
        ToolCall("c7", "write", {"path": "a", "content": "x" * 5000, "description": "d"}),
        events.append,
    )
    called, edited, finished = events
    assert isinstance(called, ToolCalled)
    assert (called.id, called.tool, called.arguments["path"]) == ("c7", "write", "a")
    assert len(called.arguments["content"]) <= 2000
    assert isinstance(edited, FileEdited)
    assert finished == ToolFinished(
        id="c7",
        tool="write",
        ok=True,
        exit_code=None,
        duration_ms=250.0,
        size=len("created a"),
        excerpt="created a",
    )


@pytest.mark.parametrize("before", range(420, 520, 7))
def test_no_half_of_a_secret_is_told_where_a_text_is_cut(before: int) -> None:
    secret = "hunter2-canary-0123456789"
    text = "a" * before + secret + "b" * 5000
    events = Emitted()
    toolbox = Toolbox(
        FakeSandbox(run=saying(ExecResult(0, text.encode()))), 60, redact=redactor((secret,))
    )

    toolbox.call(ToolCall("c", "bash", {"command": text * 2}), events.append)
    toolbox.call(
        ToolCall("c", "write", {"path": "a", "content": text, "description": text}), events.append
    )

    told = "".join(event.model_dump_json() for event in events)
    assert not any(secret[:n] in told for n in range(6, len(secret)))
    assert MASK in told


def test_arguments_of_any_number_are_told_in_short() -> None:
    events = Emitted()

    Toolbox(FakeSandbox(), 60).call(ToolCall("c", "x", {"a": [*range(100_000)]}), events.append)

    (called, _) = events
    assert isinstance(called, ToolCalled)
    assert len(called.model_dump_json()) < 3000


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("delete", {}, "there is no tool 'delete'; use bash, read, write, edit, glob, grep"),
        ("edit", {"path": "a", "old": "x", "new": "y"}, "description: Field required"),
        ("read", {"path": "a", "lines": 3}, "It takes path, offset, limit"),
        ("read", {"path": "a", "offset": 0}, "offset: Input should be greater than or equal to 1"),
        ("bash", {"command": "x", "timeout": 601}, "timeout: Input should be less than"),
        ("write", {"path": "a", "content": "\ud800", "description": "d"}, "content: "),
        ("bash", {"command": "a\0b"}, "command: "),
        ("\ud800", {"\ud800": ["\ud800"]}, "there is no tool"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(
    tool: str, arguments: dict[str, Any], sentence: str
) -> None:
    events = Emitted()
    result = Toolbox(FakeSandbox(), 60).call(ToolCall("c", tool, arguments), events.append)
    assert sentence in refused(result)
    assert "http" not in result.content
    finished = events[-1]
    assert isinstance(finished, ToolFinished)
    assert not finished.ok


def test_a_lost_sandbox_ends_the_call() -> None:
    def gone(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("it has gone")

    with pytest.raises(SandboxLost):
        use(FakeSandbox(run=gone), "bash", command="x")
