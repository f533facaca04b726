"""Ask, act, tell, and stop: within limits, in order, for the reasons a model may give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.fakes import FakeSandbox, ScriptedProvider, ticking
from tiny_backspace.agent.loop import Budget, Limits, Solution, solve
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
    User,
)
from tiny_backspace.errors import AgentError, LimitReached, ProviderError, SandboxLost
from tiny_backspace.events import AgentThought, Emit, Event, ModelTurn, ThoughtDelta, ToolCalled
from tiny_backspace.providers.interface import Provider
from tiny_backspace.sandbox.interface import ExecResult

TASK: tuple[Message, ...] = (User((Text("do it"),)),)
Said = list[Event | ThoughtDelta]
USUAL = Limits()


def write(path: str, call: str = "c") -> ToolCall:
    return ToolCall(call, "write", {"path": path, "content": path, "description": "because"})


def says(text: str, *calls: ToolCall) -> Assistant:
    return Assistant((Text(text), *calls))


@dataclass
class Stopping:
    """Answers with these, each with its own reason to stop."""

    script: list[tuple[Assistant, Stop]]
    name: str = "stopping"
    model: str = "m"

    def reply(
        self, system: str, conversation: Sequence[Message], tools: Sequence[ToolSpec], emit: Emit
    ) -> Reply:
        message, stop = self.script.pop(0)
        return Reply(message, stop, self.name, self.model, Usage(10, 2, 5), cost_usd=0.25)


def work(
    provider: Provider,
    sandbox: FakeSandbox | None = None,
    limits: Limits = USUAL,
    said: Said | None = None,
) -> Solution:
    emit: Said = [] if said is None else said
    toolbox = Toolbox(sandbox or FakeSandbox(), 60)
    return solve(TASK, "system", provider, toolbox, Budget(limits), emit.append)


def test_calls_of_one_turn_are_done_in_the_order_the_model_gave() -> None:
    ran: list[str] = []

    def run(argv: Sequence[str], _: bytes) -> ExecResult:
        ran.append(argv[-1])
        return ExecResult(0, argv[-1].encode())

    calls = [ToolCall(f"c{n}", "bash", {"command": f"echo {n}"}) for n in range(4)]
    provider = ScriptedProvider(says("go", *calls), says("done"))

    solution = work(provider, FakeSandbox(run=run))

    assert ran == ["echo 0", "echo 1", "echo 2", "echo 3"]
    told = provider.asked[1][-1]
    assert [p.call_id for p in told.parts if isinstance(p, ToolResult)] == ["c0", "c1", "c2", "c3"]
    assert solution.summary == "done"
    assert solution.conversation == (*provider.asked[1], says("done"))


def test_a_call_that_fails_is_an_answer_and_the_work_goes_on() -> None:
    provider = ScriptedProvider(
        says("go", ToolCall("c", "fly", {}), ToolCall("d", "read", {"path": "../x"})), says("done")
    )

    work(provider)

    results = [p for p in provider.asked[1][-1].parts if isinstance(p, ToolResult)]
    assert [(r.call_id, r.is_error) for r in results] == [("c", True), ("d", True)]


def test_an_answer_that_was_cut_off_runs_nothing_and_is_asked_for_again() -> None:
    sandbox = FakeSandbox()
    provider = Stopping([(says("half", write("a")), "max_tokens"), (says("whole"), "end_turn")])

    solution = work(provider, sandbox)

    assert sandbox.files == {}
    assert solution.summary == "whole"
    assert all(not m.tool_calls for m in solution.conversation if isinstance(m, Assistant))


def test_calls_are_done_even_if_the_model_says_that_it_is_the_end() -> None:
    sandbox = FakeSandbox()

    work(Stopping([(says("bye", write("a")), "end_turn"), (says("done"), "end_turn")]), sandbox)

    assert sandbox.files == {"a": b"a"}


def test_a_refusal_ends_the_work_in_the_models_own_words() -> None:
    sandbox = FakeSandbox()

    with pytest.raises(AgentError, match="stopping declined the task: I will not"):
        work(Stopping([(says("I will not", write("a")), "refusal")]), sandbox)

    assert sandbox.files == {}


def test_the_last_turn_is_done_and_no_other_is_paid_for() -> None:
    sandbox = FakeSandbox()
    provider = ScriptedProvider(*(says("go", write(str(n))) for n in range(9)))

    with pytest.raises(LimitReached, match="in 3 turns") as raised:
        work(provider, sandbox, Limits(turns=3))

    assert sorted(sandbox.files) == ["0", "1", "2"]
    assert len(provider.asked) == 3
    assert raised.value.hint == "Raise --max-turns."


def test_tool_calls_are_counted_over_all_turns() -> None:
    sandbox = FakeSandbox()
    provider = ScriptedProvider(
        says("go", write("0"), write("1")), says("go", write("2"), write("3"))
    )

    with pytest.raises(LimitReached, match="in 3 tool calls"):
        work(provider, sandbox, Limits(tool_calls=3))

    assert sorted(sandbox.files) == ["0", "1", "2"]


def test_no_turn_is_begun_when_the_time_is_over() -> None:
    clock = ticking()  # moves by a second each time it is looked at
    budget = Budget(Limits(seconds=2), clock=lambda: clock().timestamp())
    provider = ScriptedProvider(*(says("go", write(str(n))) for n in range(9)))
    sandbox = FakeSandbox()

    with pytest.raises(LimitReached, match="longer than 2 s"):
        solve(TASK, "", provider, Toolbox(sandbox, 60), budget, lambda _: None)

    assert len(provider.asked) == len(sandbox.files) == 1


def test_one_budget_holds_for_a_second_conversation() -> None:
    budget = Budget(Limits(turns=2))
    provider = ScriptedProvider(says("done"), says("done"), says("done"))
    for _ in range(2):
        solve(TASK, "", provider, Toolbox(FakeSandbox(), 60), budget, lambda _: None)

    with pytest.raises(LimitReached):
        solve(TASK, "", provider, Toolbox(FakeSandbox(), 60), budget, lambda _: None)

    assert budget.turn == 2


def test_a_provider_that_fails_and_a_sandbox_that_is_lost_end_the_work() -> None:
    def lost(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    with pytest.raises(ProviderError, match="no"):
        work(ScriptedProvider(ProviderError("no")))
    with pytest.raises(SandboxLost):
        work(
            ScriptedProvider(says("go", ToolCall("c", "bash", {"command": "x"}))),
            FakeSandbox(run=lost),
        )


def test_a_turn_is_told_before_its_thoughts_and_those_before_its_calls() -> None:
    said: Said = []
    thought = Assistant((Thinking("hm"), Thinking("  "), Text("go"), write("a")))

    work(Stopping([(thought, "tool_use"), (says("done"), "end_turn")]), said=said)

    shown = [e for e in said if isinstance(e, ModelTurn | AgentThought | ToolCalled)]
    assert [type(e) for e in shown] == [
        ModelTurn, AgentThought, AgentThought, ToolCalled, ModelTurn, AgentThought
    ]  # fmt: skip
    turns = [e for e in shown if isinstance(e, ModelTurn)]
    assert [(t.turn, t.input_tokens, t.cached_tokens, t.cost_usd) for t in turns] == [
        (1, 10, 5, 0.25),
        (2, 10, 5, 0.25),
    ]
    steps = [(e.message, e.step) for e in shown if isinstance(e, AgentThought)]
    assert steps == [
        ("hm", "prompt_interpretation"),
        ("go", "prompt_interpretation"),
        ("done", "validation"),
    ]
