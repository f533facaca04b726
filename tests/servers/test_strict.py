"""The model servers of the tests refuse what the vendors refuse, a changed history above all."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from tests.servers.clients import (
    QUESTION,
    SAY,
    chat,
    claude,
    gpt,
    messages,
    outputs,
    responses,
    results,
    said_by_claude,
)
from tests.servers.models import Asked, Say, serving


def answered(asked: Asked) -> Say:
    return SAY if asked.turn == 1 else Say("Done.", f"turn {asked.turn}")


def test_a_conversation_with_claude_goes_on_if_nothing_before_it_changes() -> None:
    with serving(answered) as server, claude(server) as client:
        first = messages(client)
        said = {"role": "assistant", "content": [block.to_dict() for block in first.content]}
        history = [*QUESTION, said, results("call_1", "call_2")]
        second = messages(client, messages=history)
        more = {"role": "assistant", "content": [block.to_dict() for block in second.content]}
        third = messages(client, messages=[*history, more, *QUESTION])
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=[{"role": "user", "content": "Changed."}, *history[1:]])
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=history, system="Something new.")
        with pytest.raises(anthropic.BadRequestError, match="Invalid `signature`"):
            messages(client, messages=history, tools=[])
    assert [asked.turn for asked in server.requests] == [1, 2, 3]
    assert isinstance(third.content[0], anthropic.types.ThinkingBlock)
    assert third.content[0].thinking == "turn 3"


def test_a_conversation_with_openai_goes_on_if_nothing_before_it_changes() -> None:
    with serving(answered) as server, gpt(server) as client:
        first = responses(client)
        said = [item.to_dict(mode="json") for item in first.output]
        history = [*QUESTION, *said, *outputs("call_1", "call_2")]
        responses(client, input=history)
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            responses(client, input=[{"role": "user", "content": "Changed."}, *history[1:]])
        with pytest.raises(openai.BadRequestError, match="could not be verified"):
            responses(client, input=history, instructions="Something new.")
    assert [asked.turn for asked in server.requests] == [1, 2]


BLOCK = {"type": "text", "text": "I look."}
USE = {"type": "tool_use", "id": "a", "name": "read", "input": {}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"extra_body": {"temperature": 1}}, "sampling"),
        ({"extra_body": {"novel": 1}}, "Extra inputs"),
        ({"tool_choice": {"type": "any"}}, "forced tool use"),
        ({"thinking": {"type": "disabled"}}, "adaptive"),
        ({"messages": [*QUESTION, said_by_claude(BLOCK)]}, "prefill"),
        ({"messages": [*QUESTION, said_by_claude(), *QUESTION]}, "non-empty"),
        ({"messages": [{"role": "user", "content": " "}]}, "non-whitespace"),
        ({"messages": [said_by_claude(BLOCK), *QUESTION]}, "first message"),
        ({"messages": [*QUESTION, said_by_claude(USE), *QUESTION]}, "without `tool_result`"),
        ({"messages": [*QUESTION, said_by_claude(BLOCK), results("a")]}, "unexpected"),
        ({"messages": [*QUESTION, said_by_claude(USE, USE), results("a", "a")]}, "unique"),
        (
            {"messages": [*QUESTION, said_by_claude(USE | {"id": "a.b"}), results("a.b")]},
            "should match pattern",
        ),
        (
            {
                "messages": [
                    *QUESTION,
                    said_by_claude(USE),
                    {"role": "user", "content": [BLOCK, *results("a")["content"]]},
                ]
            },
            "must come first",
        ),
    ],
)
def test_what_claude_refuses_is_refused(given: dict[str, Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        claude(server) as client,
        pytest.raises(anthropic.BadRequestError, match=words),
    ):
        messages(client, **given)
    assert len(server.refused) == 1
    assert server.requests == []


CALL = {"type": "function_call", "call_id": "a", "name": "read", "arguments": "{}"}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"store": True}, "store"),
        ({"temperature": 1}, "temperature"),
        ({"reasoning": {"effort": "none"}}, "reasoning.effort"),
        ({"input": [*QUESTION, CALL]}, "No tool output found"),
        ({"input": [*QUESTION, CALL, *QUESTION, *outputs("a")]}, "No tool output found"),
        ({"input": [*QUESTION, *outputs("a")]}, "No tool call found"),
        ({"input": [*QUESTION, CALL | {"call_id": "a" * 65}]}, "maximum length of 64"),
        ({"input": [*QUESTION, REASONING, CALL, *outputs("a")]}, "not found"),
        ({"input": [*QUESTION, CALL | {"parsed_arguments": {}}, *outputs("a")]}, "Extra inputs"),
        ({"input": []}, "Missing required parameter"),
    ],
)
def test_what_openai_refuses_is_refused(given: dict[str, Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        gpt(server) as client,
        pytest.raises(openai.BadRequestError, match=words),
    ):
        responses(client, **given)
    assert len(server.refused) == 1


FUNCTION = {"id": "a", "type": "function", "function": {"name": "read", "arguments": "{}"}}
ASKING = {"role": "assistant", "content": None, "tool_calls": [FUNCTION]}
TOLD = {"role": "tool", "tool_call_id": "a", "content": "1"}
HALF = FUNCTION | {"function": {"name": "read", "arguments": '{"pa'}}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([*QUESTION, ASKING, *QUESTION], "must be followed by tool messages"),
        ([*QUESTION, ASKING], "must not be the assistant's"),
        ([*QUESTION, TOLD], "preceding message"),
        ([*QUESTION, ASKING | {"tool_calls": [HALF]}, TOLD], "not a JSON object"),
        ([*QUESTION, ASKING | {"tool_calls": []}, *QUESTION], "empty array"),
        ([*QUESTION, {"role": "system", "content": "Late."}], "Invalid value"),
    ],
)
def test_what_chat_servers_refuse_is_refused(given: list[Any], words: str) -> None:
    with (
        serving(lambda _: SAY) as server,
        gpt(server) as client,
        pytest.raises(openai.BadRequestError, match=words),
    ):
        list(chat(client, messages=given))
    assert len(server.refused) == 1


def test_nobody_is_answered_without_the_key() -> None:
    with serving(lambda _: SAY) as server:
        with claude(server, "wrong") as c, pytest.raises(anthropic.AuthenticationError):
            messages(c)
        with gpt(server, "wrong") as g, pytest.raises(openai.AuthenticationError):
            responses(g)
    assert server.refused == ["invalid bearer token"] * 2
