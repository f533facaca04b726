"""Every model speaks through a real socket to a server that refuses what its vendor would refuse."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from pydantic import SecretStr

from tests.providers.faults import CALLS, DIALECTS, QUICK, Row, cases
from tests.servers.models import KEY, Asked, Call, Fault, ModelServer, Say, serving
from tests.servers.script import Dialect
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Opaque,
    Reply,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from tiny_backspace.entries import Entry
from tiny_backspace.errors import ProviderBusy, ProviderError
from tiny_backspace.events import Event, ThoughtDelta
from tiny_backspace.providers.chat import Chat
from tiny_backspace.providers.claude import Claude
from tiny_backspace.providers.interface import ModelRequest, Provider
from tiny_backspace.providers.openai import OpenAI

MODELS = {"claude": "claude-sonnet-5-5", "openai": "gpt-6.2-sol", "chat": "qwen"}
TOOLS = tuple(
    ToolSpec(name, f"To {name}.", {"type": "object", "properties": {"path": {"type": "string"}}})
    for name in ("read", "write")
)
QUESTION = (User((Text("Improve it."), Text("It is a small repository."))),)


@pytest.fixture(scope="module", autouse=True)
def _imported() -> None:
    """So that no test's time goes into an import."""
    import anthropic  # noqa: F401
    import openai  # noqa: F401


def provider(
    server: ModelServer, dialect: Dialect, idle: float = 20, model: str | None = None
) -> Provider:
    return made(dialect, server.base_url(dialect), idle, model)


def made(dialect: Dialect, base_url: str, idle: float = 20, model: str | None = None) -> Provider:
    entry = Entry(
        name=f"my-{dialect}", dialect=dialect, model=model or MODELS[dialect], base_url=base_url,
        key=SecretStr(KEY), key_variable="MY_KEY", effort="low", idle_timeout=idle,
    )  # fmt: skip
    match dialect:
        case "claude":
            return Claude(entry)
        case "openai":
            return OpenAI(entry)
        case "chat":
            return Chat(entry)


def ask(
    who: Provider,
    conversation: Sequence[Message] = QUESTION,
    emit: Callable[[Event | ThoughtDelta], None] = lambda _: None,
    until: float = inf,
) -> Reply:
    request = ModelRequest("Be brief.", tuple(conversation), TOOLS, 1, until)
    return who.reply(request, emit)


def others() -> set[threading.Thread]:
    """The threads that are not the server's."""
    return {
        t for t in threading.enumerate() if t.name != "models" and "process_request" not in t.name
    }


@pytest.mark.parametrize(("row", "dialect"), cases())
def test_whatever_goes_wrong_has_one_outcome(row: Row, dialect: Dialect) -> None:
    answer = row.answer[dialect] if isinstance(row.answer, Mapping) else row.answer
    outcome = row.outcome[dialect] if isinstance(row.outcome, Mapping) else row.outcome
    before = others()
    with serving(lambda _: answer) as server:
        who = provider(server, dialect, row.idle)
        if isinstance(outcome, str):
            reply = ask(who)
            assert reply.stop == outcome
            assert (reply.provider, reply.model) == (who.name, who.model)
        else:
            with pytest.raises(ProviderError) as told:
                ask(who)
            assert type(told.value) is outcome
            explained(told.value, who)
        assert others() == before
    assert server.refused == []
    assert len(server.requests) == 1


def explained(error: ProviderError, who: Provider) -> None:
    """A line for the user: who, what, and no key."""
    message = str(error)
    assert message.startswith(who.name)
    assert message.isprintable()
    assert len(message) <= 300
    assert KEY not in f"{message}{error.hint}{error.__cause__}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_server_says_when_to_come_back(dialect: Dialect) -> None:
    fault = Fault("status", 429, {"retry-after": "7"})
    with serving(lambda _: fault) as server, pytest.raises(ProviderBusy) as told:
        ask(provider(server, dialect))
    assert told.value.retry_after == 7


@pytest.mark.parametrize("kind", ["silence", "stall", "drip"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_silence_is_called_silence(dialect: Dialect, kind: Any) -> None:
    said = r"said nothing for 0\.3 s"
    with serving(lambda _: Fault(kind)) as server, pytest.raises(ProviderBusy, match=said):
        ask(provider(server, dialect, QUICK))


@pytest.mark.parametrize("kind", ["silence", "stall", "drip"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_answer_that_nobody_waits_for_any_longer_is_ended(dialect: Dialect, kind: Any) -> None:
    with serving(lambda _: Fault(kind)) as server, pytest.raises(ProviderError) as told:
        ask(provider(server, dialect), until=monotonic() + 0.3)
    assert type(told.value) is ProviderError
    assert "took longer than" in str(told.value)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nobody_is_asked_when_the_time_is_over(dialect: Dialect) -> None:
    with serving(lambda _: Say("Hello.")) as server, pytest.raises(ProviderError):
        ask(provider(server, dialect), until=monotonic() - 1)
    assert server.raw == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_where_nobody_listens_another_try_may_help(dialect: Dialect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    who = made(dialect, f"http://127.0.0.1:{port}/v1")
    with pytest.raises(ProviderBusy) as told:
        ask(who)
    explained(told.value, who)


class Interrupted(BaseException):
    """As Ctrl-C, from within emit."""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thoughts_come_while_the_model_still_speaks_and_may_interrupt_it(dialect: Dialect) -> None:
    def answer(_: Asked) -> Fault | Say:
        return Say("Done.") if server.left.is_set() else Fault("stall", say=Say("Said.", "A" * 200))

    def interrupt(event: Event | ThoughtDelta) -> None:
        assert isinstance(event, ThoughtDelta)
        raise Interrupted

    before = others()
    with serving(answer) as server:
        who = provider(server, dialect)
        with pytest.raises(Interrupted):
            ask(who, emit=interrupt)
        assert server.left.wait(10)  # it is not left talking, at our cost
        assert others() == before
        assert ask(who).message.said == "Done."


@pytest.mark.parametrize("dialect", DIALECTS)
def test_text_and_thinking_are_told_piece_by_piece_and_once(dialect: Dialect) -> None:
    thoughts: list[str] = []

    def emit(event: Event | ThoughtDelta) -> None:
        assert isinstance(event, ThoughtDelta)
        thoughts.append(event.text)

    say = Say("This is what I say at length.", "This is what I think before that.", CALLS)
    with serving(lambda _: say) as server:
        reply = ask(provider(server, dialect), emit=emit)
    assert len(thoughts) > 4
    assert "".join(thoughts) == say.thinking + say.text
    assert reply.message.parts == (
        Thinking(say.thinking),
        Text(say.text),
        *(ToolCall(call.id, call.name, call.arguments) for call in CALLS),
    )
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (100, 20)
    assert reply.usage.cached_tokens == 25


def six_turns(asked: Asked) -> Say:
    """Five turns of parallel calls, of text or without, and an end."""
    turn = asked.turn
    if turn == 6:
        return Say("All is done.", "I look back.")
    calls = tuple(Call(f"call_{turn}_{n}", "read", {"path": f"{n}"}) for n in range(turn))
    return Say("I go on." if turn % 2 else "", "What next?" if turn != 3 else "", calls)


def answers(reply: Reply, *notes: str) -> User:
    """The results of a turn's calls, some of them errors."""
    results = (
        ToolResult(call.id, f"result of {call.id}" if n else "", is_error=n == 1)
        for n, call in enumerate(reply.message.tool_calls)
    )
    return User((*results, *map(Text, notes)))


def talk(who: Provider, conversation: tuple[Message, ...], turns: int) -> tuple[Message, ...]:
    for turn in range(turns):
        reply = ask(who, conversation)
        conversation = (*conversation, reply.message)
        notes = ("You repeat yourself.",) if turn % 2 or not reply.message.tool_calls else ()
        conversation = (*conversation, answers(reply, *notes))
    return conversation


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_conversation_is_only_ever_added_to(dialect: Dialect) -> None:
    with serving(six_turns) as server:
        talk(provider(server, dialect), QUESTION, 6)
    assert server.refused == []
    assert [asked.turn for asked in server.requests] == [1, 2, 3, 4, 5, 6]
    bodies = [dict(asked.body) for asked in server.requests]
    said = [json.dumps(body.pop("input" if dialect == "openai" else "messages")) for body in bodies]
    for earlier, later in pairwise(said):
        assert later.startswith(earlier[:-1])
    assert [json.dumps(body) for body in bodies] == [json.dumps(bodies[0])] * 6


@pytest.mark.parametrize("second", DIALECTS)
@pytest.mark.parametrize("first", DIALECTS)
def test_a_conversation_that_another_model_began_is_taken_over(
    first: Dialect, second: Dialect
) -> None:
    with serving(six_turns) as server:
        begun = talk(provider(server, first), QUESTION, 3)
        talk(provider(server, second, model="another-model"), begun, 3)
    assert server.refused == []
    assert [asked.turn for asked in server.requests] == [1, 2, 3, 4, 5, 6]


LONG = "call with spaces / and ü " * 10
STRANGE: tuple[Message, ...] = (
    *QUESTION,
    Assistant((Thinking("Hm."), Text(" \n"), ToolCall(f"{LONG}1", "read", {"path": "ü\u2028"}))),
    User((ToolResult(f"{LONG}1", "", is_error=True),)),
    Assistant((ToolCall(f"{LONG}1x", "read", {}), ToolCall(f"{LONG}2x", "gone tool", {}))),
    User((ToolResult(f"{LONG}1x", "one"), ToolResult(f"{LONG}2x", "two"), Text("Slower."))),
    Assistant((Thinking("Only thinking."),)),
    User((Text("Your answer was empty."),)),
    Assistant((Text("So far."),), Opaque("somebody:else", ({"type": "secret", "x": 1},))),
    User((Text("Go on."), Text(""))),
    Assistant((ToolCall("dummy-1", "write", {}, malformed='{"path": oops'),)),
    User((ToolResult("dummy-1", "write was not run.", is_error=True),)),
)  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_strange_conversation_is_told_in_a_form_that_is_accepted(dialect: Dialect) -> None:
    with serving(lambda _: Say("Done.")) as server:
        reply = ask(provider(server, dialect), STRANGE)
    assert server.refused == []
    assert reply.message.said == "Done."
    sent = json.dumps(server.requests[0].body, ensure_ascii=False)
    for words in ("Improve it.", "It is a small", "one", "two", "Slower.", "So far.", "Go on."):
        assert words in sent
    assert "Only thinking." not in sent
    assert "secret" not in sent


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_key_is_in_the_authorization_and_nowhere_else(dialect: Dialect) -> None:
    with serving(six_turns) as server:
        talk(provider(server, dialect), QUESTION, 2)
    assert len(server.raw) == 2
    for raw in server.raw:
        assert raw.count(KEY.encode()) == 1
        assert f"\nauthorization: bearer {KEY}".encode() in raw.lower()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_nothing_is_sent_to_where_a_server_points(dialect: Dialect) -> None:
    with serving(lambda _: Say("Hello.")) as elsewhere:
        to = {"location": f"{elsewhere.base_url(dialect)}/messages"}
        moved = Fault("status", 307, to)
        with serving(lambda _: moved) as server, pytest.raises(ProviderError):
            ask(provider(server, dialect))
    assert elsewhere.raw == []


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_environment_changes_neither_who_we_are_nor_whom_we_ask(
    dialect: Dialect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = "stranger" + "-in-the-environment"
    for vendor in ("ANTHROPIC", "OPENAI"):
        monkeypatch.setenv(f"{vendor}_BASE_URL", "http://127.0.0.1:9/v1")
        monkeypatch.setenv(
            f"{vendor}_CUSTOM_HEADERS", f"Authorization: Bearer {stranger}\nX-Stranger: {stranger}"
        )
        for name in ("API_KEY", "AUTH_TOKEN", "PROFILE", "ORG_ID", "PROJECT_ID", "ADMIN_KEY"):
            monkeypatch.setenv(f"{vendor}_{name}", stranger)
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(lambda _: Say("Hello.")) as server:
        assert ask(provider(server, dialect)).message.said == "Hello."
    assert stranger.encode() not in server.raw[0]
