"""A provider that is busy is asked again; when one fails the next goes on where it stopped. Both are said."""

from __future__ import annotations

import pytest

from tests.fakes import ScriptedProvider
from tiny_backspace.conversation import Assistant, Message, Text, ToolCall, ToolResult, User
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.events import Event, ProviderReplaced, Retry, ThoughtDelta
from tiny_backspace.providers.chain import Fallback, Retrying
from tiny_backspace.providers.dummy import Dummy
from tiny_backspace.providers.interface import ModelRequest

ASKED: tuple[Message, ...] = (User((Text("do it"),)),)
DONE = Assistant((Text("done"),))
Said = list[Event | ThoughtDelta]


def test_the_first_that_can_answers_and_nobody_else_is_asked() -> None:
    said: Said = []
    first, second = ScriptedProvider(DONE, name="a"), ScriptedProvider(DONE, name="b")

    reply = Fallback(first, second).reply(ModelRequest("", ASKED), said.append)

    assert (reply.provider, second.asked, said) == ("a", [], [])


def test_the_next_one_gets_the_same_conversation_and_the_change_is_told() -> None:
    said: Said = []
    first = ScriptedProvider(ProviderBusy("overloaded"), name="a")
    second = ScriptedProvider(ProviderError("no credit"), name="b")
    third = ScriptedProvider(DONE, name="c")
    chain = Fallback(first, second, third)

    reply = chain.reply(ModelRequest("", ASKED, turn=12), said.append)

    assert (reply.provider, chain.name, chain.model) == ("c", "c", "script-1")
    assert first.asked == second.asked == third.asked == [ASKED]
    assert said == [
        ProviderReplaced(failed="a", next="b", reason="overloaded", turn=12),
        ProviderReplaced(failed="b", next="c", reason="no credit", turn=12),
    ]


def test_one_that_has_failed_is_not_asked_again() -> None:
    first = ScriptedProvider(ProviderError("gone"), DONE, name="a")
    second = ScriptedProvider(DONE, DONE, name="b")
    chain = Fallback(first, second)

    answered = [chain.reply(ModelRequest("", ASKED), lambda _: None).provider for _ in range(2)]

    assert answered == ["b", "b"]


def test_the_failure_of_the_last_one_is_the_failure_of_all() -> None:
    said: Said = []
    chain = Fallback(
        ScriptedProvider(ProviderError("one"), name="a"),
        ScriptedProvider(ProviderError("two"), ProviderError("still"), name="b"),
    )

    with pytest.raises(ProviderError, match="two"):
        chain.reply(ModelRequest("", ASKED), said.append)
    with pytest.raises(ProviderError, match="still"):
        chain.reply(ModelRequest("", ASKED), said.append)

    assert len(said) == 1


def test_a_bug_in_a_provider_is_not_taken_for_its_failure() -> None:
    empty = ScriptedProvider(name="empty")  # has no script left: an IndexError

    with pytest.raises(IndexError):
        Fallback(empty, Dummy()).reply(ModelRequest("", ASKED), lambda _: None)


def test_the_dummy_that_takes_over_does_not_touch_what_another_began() -> None:
    edit = ToolCall("x1", "write", {"path": "a", "content": "b", "description": "c"})
    begun = (*ASKED, Assistant((edit,)), User((ToolResult("x1", "created a"),)))
    chain = Fallback(ScriptedProvider(ProviderError("gone"), name="a"), Dummy())

    reply = chain.reply(ModelRequest("", begun), lambda _: None)

    assert (reply.provider, reply.stop, reply.message.tool_calls) == ("dummy", "unfinished", ())
    assert "No model was used" in reply.message.said


def test_the_dummy_does_its_own_work_where_another_only_looked() -> None:
    asked = User((Text("delete a.txt"), Text("facts")))
    look = ToolCall("x1", "read", {"path": "a.txt"})
    begun = (asked, Assistant((look,)), User((ToolResult("x1", "1\ta"),)))

    reply = Dummy().reply(ModelRequest("", begun), lambda _: None)

    assert reply == Dummy().reply(ModelRequest("", (asked,)), lambda _: None)
    assert reply.stop == "tool_use"


def test_a_conversation_that_is_too_long_is_nobodys_failure() -> None:
    said: Said = []
    second = ScriptedProvider(DONE, name="b")
    chain = Fallback(ScriptedProvider(ContextOverflow("too long"), name="a"), second)

    with pytest.raises(ContextOverflow):
        chain.reply(ModelRequest("", ASKED), said.append)

    assert (chain.name, second.asked, said) == ("a", [], [])


def test_a_next_one_with_a_smaller_window_is_not_asked_what_it_cannot_take() -> None:
    second = ScriptedProvider(DONE, name="b")
    second.window = 1000
    chain = Fallback(ScriptedProvider(ProviderError("gone"), name="a"), second)

    with pytest.raises(ContextOverflow, match="too long for b"):
        chain.reply(ModelRequest("", ASKED, tokens=1001), lambda _: None)

    assert (second.asked, chain.name) == ([], "b")
    assert chain.reply(ModelRequest("", ASKED, tokens=999), lambda _: None).provider == "b"


def test_nobody_else_is_asked_when_the_time_is_over() -> None:
    second = ScriptedProvider(DONE, name="b")
    chain = Fallback(ScriptedProvider(ProviderError("late"), name="a"), second, clock=lambda: 5.0)

    with pytest.raises(ProviderError, match="late"):
        chain.reply(ModelRequest("", ASKED, until=5.0), lambda _: None)

    assert second.asked == []


def retrying(
    *script: Assistant | ProviderError, until: float = 1e9
) -> tuple[list[float], Said, str]:
    """The waits, the events, and what came of it in the end. A clock moves with the waits alone."""
    waits: list[float] = []
    said: Said = []
    provider = Retrying(
        ScriptedProvider(*script, name="a"),
        wait=waits.append,
        jitter=lambda: 1.0,
        clock=lambda: sum(waits),
    )
    try:
        end = provider.reply(ModelRequest("", ASKED, until=until), said.append).message.said
    except ProviderError as error:
        end = f"{type(error).__name__}: {error}"
    return waits, said, end


def test_a_busy_provider_is_asked_again_after_ever_longer_waits() -> None:
    busy = [ProviderBusy("overloaded") for _ in range(4)]

    waits, said, end = retrying(*busy, DONE)

    assert (waits, end) == ([1, 2, 4, 8], "done")
    assert said == [
        Retry(provider="a", reason="overloaded", attempt=n + 1, wait_s=wait)
        for n, wait in enumerate(waits)
    ]


def test_the_fifth_failure_is_the_last_and_is_no_longer_called_busy() -> None:
    waits, _, end = retrying(*(ProviderBusy("overloaded") for _ in range(9)))

    assert (len(waits), end) == (4, "ProviderError: overloaded (asked 5 times)")


def test_a_provider_that_says_when_is_waited_for_that_long() -> None:
    waits, _, end = retrying(ProviderBusy("slow down", retry_after=17.5), DONE)

    assert (waits, end) == ([17.5], "done")


def test_who_asks_for_too_long_a_wait_is_not_waited_for() -> None:
    waits, said, end = retrying(ProviderBusy("slow down", retry_after=3600), DONE)

    assert (waits, said) == ([], [])
    assert end == "ProviderError: slow down; it asks to wait 3600 s"


def test_all_waits_together_have_a_bound() -> None:
    waits, _, end = retrying(*(ProviderBusy("slow down", retry_after=110) for _ in range(9)))

    assert (waits, end) == ([110, 110], "ProviderError: slow down (asked 3 times)")


def test_nobody_waits_beyond_the_end_of_the_run() -> None:
    waits, _, end = retrying(ProviderBusy("busy"), ProviderBusy("busy"), DONE, until=2)

    assert (waits, end) == ([1], "ProviderError: busy (asked 2 times)")


def test_what_another_try_cannot_mend_is_not_tried_again() -> None:
    assert retrying(ProviderError("no credit"), DONE) == ([], [], "ProviderError: no credit")
    assert retrying(ContextOverflow("long"), DONE) == ([], [], "ContextOverflow: long")


def test_waits_differ_by_chance_between_half_and_all() -> None:
    def first_wait(chance: float) -> float:
        waits: list[float] = []
        provider = ScriptedProvider(ProviderBusy("busy"), DONE)
        Retrying(provider, wait=waits.append, jitter=lambda: chance, clock=lambda: 0.0).reply(
            ModelRequest("", ASKED), lambda _: None
        )
        return waits[0]

    assert (first_wait(0.0), first_wait(1.0)) == (0.5, 1.0)
