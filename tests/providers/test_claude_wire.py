"""What Claude is sent: everything so far, in its own words where they are its own, and nothing it refuses."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.providers.claude_stream import (
    Json,
    call,
    claude,
    entry,
    start,
    stop,
    stream,
    text,
    thinking,
)
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from tiny_backspace.providers.claude import to_wire
from tiny_backspace.providers.interface import ModelRequest

OURS = "claude:claude-sonnet-5-5"
READ = ToolSpec("read", "Reads a file.", {"type": "object", "properties": {}})
EDIT = ToolSpec("edit", "Edits a file.", {"type": "object", "properties": {}})
ASKED = User((Text("do it"), Text("Files: a.py")))


def messages(*conversation: Message) -> list[Json]:
    found: list[Json] = to_wire(entry(), ModelRequest("", conversation))["messages"]
    return found


def test_a_request_is_this_and_nothing_more() -> None:
    provider, sent = claude(stream(start(), *text(0, "Hi"), *stop("end_turn")))

    provider.reply(ModelRequest("Be brief.", (ASKED,), (READ, EDIT)), lambda _: None)

    schema = {"type": "object", "properties": {}}
    assert sent.bodies == [
        {
            "model": "claude-sonnet-5-5",
            "max_tokens": 32_000,
            "stream": True,
            "system": "Be brief.",
            "tools": [
                {"name": "read", "description": "Reads a file.", "input_schema": schema},
                {"name": "edit", "description": "Edits a file.", "input_schema": schema},
            ],
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": "do it"},
                        {"type": "text", "text": "Files: a.py"},
                    ],
                }
            ],
            "cache_control": {"type": "ephemeral"},
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "medium"},
        }
    ]


@pytest.mark.parametrize("effort", [None, "none", "minimal"])
def test_an_effort_that_is_not_claudes_is_left_out(effort: str | None) -> None:
    assert "output_config" not in to_wire(entry(effort=effort), ModelRequest("", (ASKED,)))


def test_what_is_empty_is_left_out() -> None:
    assert not {"system", "tools"} & to_wire(entry(), ModelRequest("", (ASKED,))).keys()


def test_an_answer_may_not_take_more_than_the_window_leaves_for_it() -> None:
    small = to_wire(entry(window=20_000), ModelRequest("", (ASKED,)))
    assert small["max_tokens"] == 4000
    assert to_wire(entry(max_output_tokens=500), ModelRequest("", (ASKED,)))["max_tokens"] == 500


def test_each_request_begins_with_the_very_bytes_of_the_one_before_it() -> None:
    answers = [
        stream(
            start(),
            *thinking(0, f"Turn {n}.", signature=f"sig{n}"),
            *text(1, " \n" if n == 3 else f"I read {n}."),
            *call(2, f"toolu_{n}a", "read", f'{{"path": "a{n}", "b": [1, {{"c": null}}]}}'),
            *call(3, f"toolu_{n}b", "read", ""),
            *stop("tool_use"),
        )
        for n in range(6)
    ]
    provider, sent = claude(*answers)
    conversation: tuple[Message, ...] = (ASKED,)
    for n in range(6):
        reply = provider.reply(ModelRequest("s", conversation, (READ,)), lambda _: None)
        results = tuple(
            ToolResult(c.id, f"é {n}", is_error=n == 2) for c in reply.message.tool_calls
        )
        conversation = (*conversation, reply.message, User((*results, Text("Hurry."))))

    bodies = [request.content for request in sent.requests]
    beginnings = [body[: body.index(b'"messages"')] for body in bodies]
    told = [json.dumps(body["messages"]).removesuffix("]") for body in sent.bodies]

    assert len(set(beginnings)) == 1
    for before, after in pairwise(told):
        assert after.startswith(before)
    assert told[-1].count('"signature": "sig') == 5


def test_what_another_model_said_is_told_in_plain_words() -> None:
    theirs = Assistant(
        (
            Thinking("secret thoughts"),
            Text(" "),
            Text("I read."),
            ToolCall("call|1/ü", "functions.read", {"path": "a"}),
            ToolCall("x" * 65, "read", {}, malformed='{"pa'),
        ),
        Opaque("openai:gpt-6.2-sol", ({"type": "reasoning", "encrypted_content": "abc"},)),
    )
    answered = User(
        (Text("note"), ToolResult("call|1/ü", "A"), ToolResult("x" * 65, "", is_error=True))
    )

    _, said, heard = messages(ASKED, theirs, answered)

    words, first, second = said["content"]
    assert words == {"type": "text", "text": "I read."}
    assert (first["name"], first["input"]) == ("functions_read", {"path": "a"})
    assert (second["name"], second["input"]) == ("read", {})
    assert heard["content"] == [
        {"type": "tool_result", "tool_use_id": first["id"], "content": "A"},
        {
            "type": "tool_result",
            "tool_use_id": second["id"],
            "content": "(no output)",
            "is_error": True,
        },
        {"type": "text", "text": "note"},
    ]
    assert first["id"] != second["id"]


def test_what_the_same_entry_said_as_another_model_is_told_in_plain_words_too() -> None:
    before = Assistant((Text("I was Opus."),), Opaque("claude:claude-opus-5-5", ({"type": "x"},)))
    assert messages(ASKED, before)[1]["content"] == [{"type": "text", "text": "I was Opus."}]


def test_its_own_words_go_back_unchanged() -> None:
    items: tuple[Json, ...] = (
        {"type": "thinking", "thinking": "", "signature": "abc"},
        {"type": "novel_block", "novel": None},
        {"type": "tool_use", "id": "toolu_1", "name": "read", "input": {"b": 1, "a": 2}},
    )
    own = Assistant((ToolCall("toolu_1", "read", {"b": 1, "a": 2}),), Opaque(OURS, items))
    wire = messages(ASKED, own, User((ToolResult("toolu_1", "ok"),)))
    assert json.dumps(wire[1]["content"]) == json.dumps(list(items))


def test_an_id_that_is_used_again_is_told_apart_and_its_result_with_it() -> None:
    again = Assistant((ToolCall("call_0", "read", {}),))
    wire = messages(
        ASKED, again, User((ToolResult("call_0", "1"),)), again, User((ToolResult("call_0", "2"),))
    )
    first, second = wire[1]["content"][0]["id"], wire[3]["content"][0]["id"]
    assert first != second
    assert wire[2]["content"][0] == {"type": "tool_result", "tool_use_id": first, "content": "1"}
    assert wire[4]["content"][0] == {"type": "tool_result", "tool_use_id": second, "content": "2"}


def test_what_would_be_empty_is_not_sent_and_users_that_meet_are_one() -> None:
    wire = messages(ASKED, Assistant((Thinking("hm"), Text(" "))), User((Text("Go on."), Text(""))))
    assert [m["role"] for m in wire] == ["user"]
    assert [b["text"] for b in wire[0]["content"]] == ["do it", "Files: a.py", "Go on."]


def test_text_that_is_no_unicode_can_be_sent() -> None:
    assert messages(User((Text("a\udcffb"),)))[0]["content"][0]["text"] == "a?b"


IDS = st.sampled_from(["call_0", "toolu_1", "fc|1", "", "x" * 70, "ü"])
TEXTS = st.text(max_size=5).map(Text)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """Of many models, each call answered."""
    found: list[Message] = [User((Text("task"),))]
    for _ in range(draw(st.integers(0, 5))):
        ids = draw(st.lists(IDS, unique=True, max_size=3))
        calls = tuple(ToolCall(i, draw(st.text(max_size=3)), {}) for i in ids)
        found.append(Assistant((Thinking("hm"), *draw(st.lists(TEXTS, max_size=2)), *calls)))
        results = tuple(ToolResult(i, draw(st.text(max_size=3))) for i in ids)
        found.append(User((*draw(st.lists(TEXTS, max_size=1)), *results)))
    return tuple(found)


@given(conversations())
def test_whoever_said_it_the_api_takes_it(conversation: tuple[Message, ...]) -> None:
    wire = messages(*conversation)

    called: list[Any] = []
    used: list[str] = []
    for message in wire:
        kinds = [b["type"] for b in message["content"]]
        assert kinds
        assert all(b["text"].strip() for b in message["content"] if b["type"] == "text")
        results = [b["tool_use_id"] for b in message["content"] if b["type"] == "tool_result"]
        assert results == called
        assert kinds[: len(results)] == ["tool_result"] * len(results)
        calls = [b for b in message["content"] if b["type"] == "tool_use"]
        called = [b["id"] for b in calls]
        used += called
        assert all(re.fullmatch("[a-zA-Z0-9_-]{1,64}", b[k]) for b in calls for k in ("id", "name"))
    assert len(set(used)) == len(used)


@given(conversations(), conversations())
def test_what_comes_later_changes_nothing_of_what_came_before(
    before: tuple[Message, ...], after: tuple[Message, ...]
) -> None:
    first = json.dumps(messages(*before)).removesuffix("]}]")
    assert json.dumps(messages(*before, *after)).startswith(first)
