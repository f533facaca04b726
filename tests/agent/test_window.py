"""A conversation that comes near the model's window, or goes beyond it, is folded and asked again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from typing_extensions import override

from tests.agent.working import DONE, TASK, Answer, Notes, Said, Stopping, agent, read, says, work
from tests.fakes import FakeSandbox
from tiny_backspace.agent.folding import size
from tiny_backspace.agent.loop import solve
from tiny_backspace.conversation import Assistant, Message, Reply
from tiny_backspace.errors import ContextOverflow, ProviderError
from tiny_backspace.events import ContextFolded, Emit, Event, ThoughtDelta
from tiny_backspace.providers.interface import ModelRequest

FILES = FakeSandbox({f"{n}": "line\n" * 2000 for n in range(40)})  # about 8,000 tokens each as read
OVERFLOW = ContextOverflow("prompt is too long")


def reading(turns: int) -> list[Answer]:
    looks: list[Answer] = [(says("look", read(f"{n}")), "tool_use") for n in range(turns)]
    return [*looks, (DONE, "end_turn")]


def times(factor: float) -> Callable[[ModelRequest], int]:
    """A model that counts so many of its own tokens for one of ours."""

    def counted(request: ModelRequest) -> int:
        tools = "".join(f"{t.name} {t.description} {t.schema}" for t in request.tools)
        return int(factor * (size(request.conversation) + len(tools + request.system) // 3))

    return counted


def folds(said: Said) -> list[ContextFolded]:
    return [event for event in said if isinstance(event, ContextFolded)]


def in_full(conversation: tuple[Message, ...]) -> int:
    return sum(isinstance(message, Assistant) for message in conversation)


@pytest.mark.parametrize("factor", [0.7, 1, 2])
def test_near_the_window_the_conversation_is_folded_to_half_of_that(factor: float) -> None:
    said: Said = []
    counted = times(factor)
    provider = Stopping(reading(30), cost=0.0, window=60_000, counts=counted)

    solution = work(provider, FILES, said=said)

    assert solution.summary == "done"
    assert all(counted(request) <= 0.82 * 60_000 for request in provider.asked)
    assert len(folds(said)) >= 2
    for event in folds(said):
        assert 0.75 * 60_000 < event.tokens_before < 60_000 + 8_000 * factor
        assert 0 < event.tokens_after <= 0.42 * 60_000
        assert event.messages_after < event.messages_before
        request = provider.asked[event.turn - 1]
        assert len(request.conversation) == event.messages_after
        assert event.tokens_after == pytest.approx(counted(request), rel=0.05)


def test_where_the_window_is_no_matter_nothing_is_folded() -> None:
    said: Said = []
    provider = Stopping(reading(30), cost=0.0, window=None)

    work(provider, FILES, said=said)

    assert folds(said) == []
    assert in_full(provider.asked[-1].conversation) == 30


def test_a_first_answer_that_is_mostly_about_the_tools_does_not_make_the_rest_look_large() -> None:
    said: Said = []
    provider = Stopping(reading(3), window=60_000, counts=times(1))

    work(provider, FILES, said=said)

    assert folds(said) == []


def test_what_was_folded_is_what_goes_on_and_what_is_kept() -> None:
    journal, said = Notes(), list[Event | ThoughtDelta]()
    provider = Stopping(reading(30), cost=0.0, window=60_000, counts=times(1))

    solution = work(provider, FILES, said=said, journal=journal)

    folded = {event.turn for event in folds(said)}
    asked = {request.turn: request.conversation for request in provider.asked}
    for turn, kept in enumerate(journal.kept, 1):
        assert kept[: len(asked[turn])] == asked[turn]
        if turn < 31 and turn + 1 not in folded:
            assert asked[turn + 1] == kept
    assert solution.conversation == journal.kept[-1]
    assert solution.conversation[0].parts[:2] == TASK[0].parts
    assert len(solution.conversation[0].parts) == 3
    assert solution.acted


def test_a_conversation_that_the_model_finds_too_long_is_folded_once_and_asked_again() -> None:
    said: Said = []
    script = reading(4)
    provider = Stopping([*script[:4], OVERFLOW, *script[4:]], window=None)

    solution = work(provider, FILES, said=said)

    assert solution.summary == "done"
    assert [event.turn for event in folds(said)] == [5]
    before, after = (size(request.conversation) for request in provider.asked[4:])
    assert after <= before / 2
    assert provider.asked[4].turn == provider.asked[5].turn == 5


def test_a_window_smaller_than_the_settings_say_is_found_by_overflowing() -> None:
    class Small(Stopping):
        @override
        def reply(self, request: ModelRequest, emit: Emit) -> Reply:
            if times(1)(request) > 30_000:
                raise OVERFLOW
            return super().reply(request, emit)

    said: Said = []
    provider = Small(reading(20), cost=0.0, window=1_000_000, counts=times(1))

    solution = work(provider, FILES, said=said)

    assert solution.summary == "done"
    assert len(provider.asked) == 21
    assert len(folds(said)) > 2


def test_what_is_too_long_in_short_is_told_in_shorter_until_there_is_nothing_to_leave_out() -> None:
    provider = Stopping([*reading(4)[:4], *[OVERFLOW] * 20], window=100_000)

    with pytest.raises(
        ContextOverflow, match=r"even told in short, the work does not fit into .* window of m"
    ) as raised:
        work(provider, FILES)

    assert isinstance(raised.value, ProviderError)  # with which run.py offers what was done
    assert "larger window" in str(raised.value.hint)
    asked = [size(request.conversation) for request in provider.asked[4:]]
    assert 2 <= len(asked) < 20
    assert asked == sorted(set(asked), reverse=True)


def test_a_second_overflow_is_folded_again() -> None:
    said: Said = []
    provider = Stopping([*reading(9)[:9], OVERFLOW, OVERFLOW, (DONE, "end_turn")], window=100_000)

    work(provider, FILES, said=said)

    assert len(folds(said)) == 2


@pytest.mark.parametrize("window", [None, 100, 100_000])
def test_a_task_that_does_not_fit_by_itself_is_said_to_be_too_long(window: int | None) -> None:
    said: Said = []
    provider = Stopping([OVERFLOW], window=window)

    with pytest.raises(ContextOverflow, match="the task alone does not fit"):
        work(provider, said=said)

    assert folds(said) == []
    assert len(provider.asked) == 1


def test_a_repair_or_a_resumed_run_may_begin_too_long() -> None:
    said: Said = []
    long = work(Stopping(reading(30), cost=0.0), FILES).conversation
    provider = Stopping([(DONE, "end_turn")], window=60_000, counts=times(1))

    solve(long[:-1], agent(provider, FILES), said.append)

    assert [event.turn for event in folds(said)] == [1]
    assert size(provider.asked[0].conversation) <= 0.4 * 60_000
