"""Ask, act, tell, and stop: in order, for the reasons a model may give."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import get_args

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
    bash,
    notes,
    read,
    results,
    says,
    work,
    write,
)
from tests.fakes import FakeSandbox, ScriptedProvider
from tiny_backspace.agent.budget import Budget, Limits
from tiny_backspace.agent.loop import solve
from tiny_backspace.conversation import Assistant, Opaque, Stop, Text, Thinking, ToolCall
from tiny_backspace.errors import (
    AgentError,
    ProviderError,
    Refused,
    Repetition,
    SandboxLost,
    TinyBackspaceError,
    Unfinished,
)
from tiny_backspace.events import AgentThought, ModelTurn, ToolCalled
from tiny_backspace.sandbox.interface import ExecResult

# Tools


def test_calls_of_one_turn_are_done_in_the_order_the_model_gave() -> None:
    ran: list[str] = []

    def run(argv: Sequence[str], _: bytes) -> ExecResult:
        ran.append(argv[-1])
        return ExecResult(0, argv[-1].encode())

    calls = [bash(f"echo {n}", f"c{n}") for n in range(4)]
    provider = ScriptedProvider(says("go", *calls), DONE)

    solution = work(provider, FakeSandbox(run=run))

    assert ran == ["echo 0", "echo 1", "echo 2", "echo 3"]
    assert [r.call_id for r in results(provider.asked[1][-1])] == ["c0", "c1", "c2", "c3"]
    assert (solution.summary, solution.acted) == ("done", True)
    assert solution.conversation == (*provider.asked[1], DONE)


def test_what_cannot_be_run_is_answered_and_the_work_goes_on() -> None:
    sandbox = FakeSandbox()
    malformed = ToolCall("m", "write", {"path": "a"}, malformed='{"path": "a", "cont')
    provider = ScriptedProvider(
        says("go", ToolCall("u", "fly", {}), read("../x"), malformed, write("b")), DONE
    )

    work(provider, sandbox)

    answers = results(provider.asked[1][-1])
    assert [(r.call_id, r.is_error) for r in answers] == [
        ("u", True), ("r", True), ("m", True), ("c", False)
    ]  # fmt: skip
    assert "there is no tool 'fly'; use bash, read" in answers[0].content
    assert "not a JSON object" in answers[2].content
    assert '{"path": "a", "cont' in answers[2].content
    assert sandbox.files == {"b": b"b"}


class Meeting(FakeSandbox):
    """Every read waits until as many as are expected are there."""

    def __init__(self, expected: int, files: Iterable[str]) -> None:
        super().__init__({name: name for name in files})
        self.barrier = threading.Barrier(expected, timeout=10)

    @override
    def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
        self.barrier.wait()
        return super().read(path, limit=limit)


def test_calls_that_only_read_are_done_at_once_and_answered_in_order() -> None:
    names = ["one", "two", "three", "four"]
    provider = ScriptedProvider(says("look", *(read(n, n) for n in names)), DONE)

    work(provider, Meeting(4, names))  # would wait for ever if they came one by one

    answers = results(provider.asked[1][-1])
    assert [(r.call_id, r.content.split()[1]) for r in answers] == [(n, n) for n in names]


def test_a_command_between_reads_waits_for_those_before_and_is_waited_for() -> None:
    class Changing(FakeSandbox):
        @override
        def read(self, path: str, *, limit: int = 16 << 20) -> bytes:
            return b"new" if ran else b"old"

    ran: list[str] = []

    def run(argv: Sequence[str], _: bytes) -> ExecResult:
        ran.append(argv[-1])
        return ExecResult(0)

    calls = [read("a", "1"), read("b", "2"), bash("x", "3"), read("a", "4"), read("b", "5")]
    provider = ScriptedProvider(says("go", *calls), DONE)

    work(provider, Changing(run=run))

    answers = results(provider.asked[1][-1])
    assert [r.call_id for r in answers] == ["1", "2", "3", "4", "5"]
    assert [r.content.split()[1] for r in answers if r.call_id != "3"] == [
        "old",
        "old",
        "new",
        "new",
    ]


def test_who_goes_round_in_circles_is_told_and_then_stopped() -> None:
    provider = ScriptedProvider(*(says("again", bash("make test")) for _ in range(9)))

    with pytest.raises(Repetition):
        work(provider)

    assert len(provider.asked) == 5
    assert [len(notes(asked[-1])) for asked in provider.asked[1:]] == [0, 0, 1, 0]
    assert "going round in circles" in notes(provider.asked[3][-1])[0]


# Stops

LAST: dict[Stop, type[TinyBackspaceError] | str] = {
    "end_turn": "words",
    "tool_use": "go on words",
    "max_tokens": "go on words",
    "pause": "words",
    "refusal": Refused,
    "unfinished": Unfinished,
    "unknown": "go on words",
}


@pytest.mark.parametrize("stop", get_args(Stop))
def test_every_reason_to_stop_has_its_outcome_for_words(stop: Stop) -> None:
    provider = Stopping([(says("words"), stop), (DONE, "end_turn")])
    expected = LAST[stop]

    if not isinstance(expected, str):
        with pytest.raises(expected, match="words"):
            work(provider)
        return
    solution = work(provider)
    between = solution.conversation[1:-1]
    if stop == "end_turn":
        assert (solution.summary, between) == ("words", ())
    elif stop == "pause":
        assert (solution.summary, between) == ("done", (says("words"),))
    else:
        assert (solution.summary, between[0]) == ("done", says("words"))
        assert "Go on" in notes(between[1])[0]


@pytest.mark.parametrize("stop", get_args(Stop))
def test_tools_are_run_only_if_the_answer_is_whole(stop: Stop) -> None:
    sandbox = FakeSandbox()
    provider = Stopping([(says("words", write("a")), stop), (DONE, "end_turn")])

    try:
        solution = work(provider, sandbox)
    except (Refused, Unfinished):
        solution = None

    assert bool(sandbox.files) is (stop in {"tool_use", "end_turn"})
    if solution is not None:
        assert solution.acted is bool(sandbox.files)
    if stop in {"max_tokens", "unknown"}:
        assert solution is not None
        assert all(not m.tool_calls for m in solution.conversation if isinstance(m, Assistant))


def test_an_answer_that_was_paused_goes_back_as_it_is() -> None:
    paused = Assistant((Text("wait"),), Opaque("stopping:m", ({"type": "text"},)))
    provider = Stopping([(paused, "pause"), (DONE, "end_turn")])

    work(provider)

    assert provider.asked[1].conversation == (*TASK, paused)


@pytest.mark.parametrize("empty", [(), (Text(" \n"),), (Thinking("hm"),)])
def test_an_empty_answer_is_asked_about_and_the_next_one_counts(
    empty: tuple[Text | Thinking, ...],
) -> None:
    provider = Stopping([(Assistant(empty), "end_turn"), (DONE, "end_turn")])

    solution = work(provider)

    assert solution.summary == "done"
    assert len(solution.conversation) == 3
    assert "empty" in notes(solution.conversation[1])[0]


@pytest.mark.parametrize("stop", ["end_turn", "max_tokens", "pause", "unknown"])
def test_four_answers_in_a_row_that_cannot_be_acted_on_end_the_work(stop: Stop) -> None:
    provider = Stopping([(Assistant(()), stop)] * 9)

    with pytest.raises(AgentError, match=f"stopping gave 4 answers in a row .*'{stop}'"):
        work(provider)

    assert len(provider.asked) == 4


def test_a_turn_that_acts_makes_good_for_odd_answers() -> None:
    odd: list[Answer] = [(Assistant(()), "unknown")] * 3
    acts: Answer = (says("go", write("a")), "tool_use")

    solution = work(Stopping([*odd, acts, *odd, acts, (DONE, "end_turn")]))

    assert solution.summary == "done"


def test_a_refusal_ends_the_work_in_the_models_own_words() -> None:
    with pytest.raises(Refused, match="stopping declined the task: I will not"):
        work(Stopping([(says("I will not", write("a")), "refusal")]))


def test_a_provider_that_fails_and_a_sandbox_that_is_lost_end_the_work() -> None:
    def lost(argv: Sequence[str], stdin: bytes) -> ExecResult:
        raise SandboxLost("gone")

    with pytest.raises(ProviderError, match="no"):
        work(ScriptedProvider(ProviderError("no")))
    with pytest.raises(SandboxLost):
        work(ScriptedProvider(says("go", bash("x"))), FakeSandbox(run=lost))


# What is kept and told


def test_the_journal_is_settled_before_anything_changes_and_told_of_each_turn() -> None:
    journal = Notes()

    def run(argv: Sequence[str], _: bytes) -> ExecResult:
        journal.log.append("ran")
        return ExecResult(0)

    provider = ScriptedProvider(
        says("look", read("a")), says("go", read("a"), bash("x"), bash("y")), DONE
    )

    solution = work(provider, FakeSandbox(run=run), journal=journal)

    assert journal.log == ["looked", "settled", "ran", "ran", "acted", "looked"]
    assert journal.kept == [*provider.asked[1:], solution.conversation]


def test_a_turn_is_told_before_its_thoughts_and_those_before_its_calls() -> None:
    said: Said = []
    thought = Assistant((Thinking("hm"), Thinking("  "), Text("go"), write("a")))

    work(Stopping([(thought, "tool_use"), (DONE, "end_turn")]), said=said)

    shown = [e for e in said if isinstance(e, ModelTurn | AgentThought | ToolCalled)]
    assert [type(e) for e in shown] == [
        ModelTurn, AgentThought, AgentThought, ToolCalled, ModelTurn, AgentThought
    ]  # fmt: skip
    turns = [e for e in shown if isinstance(e, ModelTurn)]
    assert [(t.turn, t.stop, t.input_tokens, t.cached_tokens, t.cost_usd) for t in turns] == [
        (1, "tool_use", 10, 5, 0.25),
        (2, "end_turn", 10, 5, 0.25),
    ]
    steps = [(e.message, e.step) for e in shown if isinstance(e, AgentThought)]
    assert steps == [
        ("hm", "prompt_interpretation"),
        ("go", "prompt_interpretation"),
        ("done", "validation"),
    ]


def test_a_request_says_who_asks_what_with_which_tools_and_until_when() -> None:
    provider = Stopping([(says("go", write("a")), "tool_use"), (DONE, "end_turn")])
    budget = Budget(Limits())

    solve(TASK, agent(provider, budget=budget), lambda _: None)

    first, second = provider.asked
    assert (first.system, first.turn, second.turn) == ("system", 1, 2)
    assert first.until == budget.until
    assert first.tools == second.tools
    assert second.conversation[: len(TASK)] == first.conversation
