"""What a run may use up, and what happens when it has."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
from typing_extensions import override

from tests.agent.working import (
    DONE,
    TASK,
    Answer,
    Notes,
    Said,
    Stopping,
    agent,
    results,
    says,
    work,
    write,
)
from tests.fakes import FakeSandbox, ScriptedProvider, ticking
from tiny_backspace.agent.budget import Budget, Limits
from tiny_backspace.agent.loop import solve
from tiny_backspace.agent.tools import Toolbox
from tiny_backspace.conversation import Reply, ToolCall
from tiny_backspace.errors import LimitReached, ProviderError
from tiny_backspace.events import Emit, Warned
from tiny_backspace.providers.interface import ModelRequest
from tiny_backspace.sandbox.interface import ExecResult, OnOutput, Stdin


def test_a_model_that_tells_no_tokens_is_taken_to_have_read_what_we_estimate() -> None:
    provider = ScriptedProvider(*(says("go", write(str(n))) for n in range(60)))
    provider.window = 128_000

    with pytest.raises(LimitReached, match="with 20000 tokens"):
        work(provider, FakeSandbox(), Limits(tokens=20_000))


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


@pytest.mark.parametrize(
    ("limits", "sentence", "hint"),
    [
        (Limits(cost_usd=0.5), r"for \$0.5: \$0.5000 are spent", "--max-cost"),
        (Limits(tokens=24), "with 24 tokens: 24 are used", "--max-tokens"),
    ],
)
def test_money_and_tokens_are_looked_at_before_the_next_question(
    limits: Limits, sentence: str, hint: str
) -> None:
    provider = Stopping([(says("go", write(f"{n}")), "tool_use") for n in range(9)])
    sandbox = FakeSandbox()

    with pytest.raises(LimitReached, match=sentence) as raised:
        work(provider, sandbox, limits)

    assert len(provider.asked) == 2  # a quarter of a dollar and twelve tokens each
    assert sorted(sandbox.files) == ["0", "1"]
    assert hint in str(raised.value.hint)


def test_an_unknown_price_is_warned_of_once_in_a_run() -> None:
    said: Said = []
    budget = Budget(Limits())
    script: list[Answer] = [(says("go", write("a")), "tool_use"), (DONE, "end_turn")]
    provider = Stopping([*script, *script], cost=None)

    for _ in range(2):
        solve(TASK, agent(provider, budget=budget), said.append)

    assert len(provider.asked) == 4
    warnings = [event.message for event in said if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "No price is known for m" in warnings[0]


def test_without_a_price_the_tokens_still_count() -> None:
    provider = Stopping([(says("go", write("a")), "tool_use")] * 9, cost=None)

    with pytest.raises(LimitReached, match="with 30 tokens"):
        work(provider, limits=Limits(cost_usd=0.1, tokens=30))


def test_no_turn_is_begun_when_the_time_is_over() -> None:
    clock = ticking()  # moves by a second each time it is looked at
    budget = Budget(Limits(seconds=3), clock=lambda: clock().timestamp())
    provider = ScriptedProvider(*(says("go", write(str(n))) for n in range(9)))
    sandbox = FakeSandbox()

    with pytest.raises(LimitReached, match="longer than 3 s"):
        solve(TASK, agent(provider, sandbox, budget), lambda _: None)

    assert len(provider.asked) == len(sandbox.files) == 1


def test_a_provider_that_gives_up_because_the_time_is_over_has_not_failed() -> None:
    class Slow(Stopping):
        @override
        def reply(self, request: ModelRequest, emit: Emit) -> Reply:
            now[0] = request.until
            return super().reply(request, emit)

    now = [0.0]
    budget = Budget(Limits(seconds=5), clock=lambda: now[0])

    with pytest.raises(LimitReached, match="longer than 5 s"):
        solve(TASK, agent(Slow([ProviderError("cut off")]), budget=budget), lambda _: None)


def test_one_budget_holds_for_a_second_conversation() -> None:
    budget = Budget(Limits(turns=2))
    provider = ScriptedProvider(DONE, DONE, DONE)
    for _ in range(2):
        solve(TASK, agent(provider, budget=budget), lambda _: None)

    with pytest.raises(LimitReached):
        solve(TASK, agent(provider, budget=budget), lambda _: None)

    assert budget.turn == 2


def test_what_a_turn_did_before_its_limit_is_kept_with_a_result_for_every_call() -> None:
    journal = Notes()
    asks = says("go", *(write(str(n), f"c{n}") for n in range(4)))

    with pytest.raises(LimitReached):
        work(ScriptedProvider(asks), limits=Limits(tool_calls=2), journal=journal)

    (kept,) = journal.kept
    answers = results(kept[-1])
    assert [(r.call_id, r.is_error) for r in answers] == [
        ("c0", False), ("c1", False), ("c2", True), ("c3", True)
    ]  # fmt: skip
    assert answers[-1].content.startswith("not run: ")


def test_no_command_outlives_the_run() -> None:
    asked: list[float] = []

    class Timed(FakeSandbox):
        @override
        def exec(
            self,
            argv: Sequence[str],
            *,
            timeout: float = 120,
            stdin: Stdin = b"",
            on_output: OnOutput | None = None,
        ) -> ExecResult:
            asked.append(timeout)
            return ExecResult(0)

    for left in (7.04, 0.0, 1000.0):
        toolbox = Toolbox(Timed(), 60, left=partial(float, left))
        toolbox.call(ToolCall("c", "bash", {"command": "sleep 99"}), lambda _: None)

    assert asked == [7.0, 1.0, 60.0]
