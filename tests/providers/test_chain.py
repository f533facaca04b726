"""When one provider fails the next goes on where it stopped, and it is said."""

from __future__ import annotations

import pytest

from tests.fakes import ScriptedProvider
from tiny_backspace.conversation import Assistant, Message, Text, ToolCall, ToolResult, User
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.events import Event, ProviderReplaced, ThoughtDelta
from tiny_backspace.providers.chain import Fallback
from tiny_backspace.providers.dummy import Dummy

ASKED: tuple[Message, ...] = (User((Text("do it"),)),)
DONE = Assistant((Text("done"),))
Said = list[Event | ThoughtDelta]


def test_the_first_that_can_answers_and_nobody_else_is_asked() -> None:
    said: Said = []
    first, second = ScriptedProvider(DONE, name="a"), ScriptedProvider(DONE, name="b")

    reply = Fallback(first, second).reply("", ASKED, (), said.append)

    assert (reply.provider, second.asked, said) == ("a", [], [])


def test_the_next_one_gets_the_same_conversation_and_the_change_is_told() -> None:
    said: Said = []
    first = ScriptedProvider(ProviderBusy("overloaded"), name="a")
    second = ScriptedProvider(ProviderError("no credit"), name="b")
    third = ScriptedProvider(DONE, name="c")
    chain = Fallback(first, second, third)

    reply = chain.reply("", ASKED, (), said.append)

    assert (reply.provider, chain.name, chain.model) == ("c", "c", "script-1")
    assert first.asked == second.asked == third.asked == [ASKED]
    assert said == [
        ProviderReplaced(failed="a", next="b", reason="overloaded"),
        ProviderReplaced(failed="b", next="c", reason="no credit"),
    ]


def test_one_that_has_failed_is_not_asked_again() -> None:
    first = ScriptedProvider(ProviderError("gone"), DONE, name="a")
    second = ScriptedProvider(DONE, DONE, name="b")
    chain = Fallback(first, second)

    answered = [chain.reply("", ASKED, (), lambda _: None).provider for _ in range(2)]

    assert answered == ["b", "b"]


def test_the_failure_of_the_last_one_is_the_failure_of_all() -> None:
    said: Said = []
    chain = Fallback(
        ScriptedProvider(ProviderError("one"), name="a"),
        ScriptedProvider(ProviderError("two"), ProviderError("still"), name="b"),
    )

    with pytest.raises(ProviderError, match="two"):
        chain.reply("", ASKED, (), said.append)
    with pytest.raises(ProviderError, match="still"):
        chain.reply("", ASKED, (), said.append)

    assert len(said) == 1


def test_a_bug_in_a_provider_is_not_taken_for_its_failure() -> None:
    empty = ScriptedProvider(name="empty")  # has no script left: an IndexError

    with pytest.raises(IndexError):
        Fallback(empty, Dummy()).reply("", ASKED, (), lambda _: None)


def test_the_dummy_that_takes_over_does_not_touch_what_another_began() -> None:
    edit = ToolCall("x1", "write", {"path": "a", "content": "b", "description": "c"})
    begun = (*ASKED, Assistant((edit,)), User((ToolResult("x1", "created a"),)))
    chain = Fallback(ScriptedProvider(ProviderError("gone"), name="a"), Dummy())

    reply = chain.reply("", begun, (), lambda _: None)

    assert (reply.provider, reply.message.tool_calls) == ("dummy", ())
    assert "No model was used" in reply.message.said
