"""What is kept of a conversation comes back as it was, and nothing else is taken for one."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiny_backspace import transcript
from tiny_backspace.conversation import (
    Assistant,
    Message,
    Opaque,
    Reply,
    Stop,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    User,
)

# any text at all, bytes that are no UTF-8 included, as os.fsdecode gives them
WORDS = st.text(st.characters(exclude_categories=())).map(
    lambda text: text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
TEXTS = st.builds(Text, WORDS)
USERS = st.lists(TEXTS | st.builds(ToolResult, WORDS, WORDS, st.booleans()), max_size=3)
CALLS = st.builds(ToolCall, WORDS, WORDS, OBJECTS, WORDS)
PARTS = st.lists(TEXTS | st.builds(Thinking, WORDS) | CALLS, max_size=3).map(tuple)
OPAQUE = st.none() | st.builds(Opaque, WORDS, st.lists(OBJECTS, max_size=3).map(tuple))
ASSISTANTS = st.builds(Assistant, PARTS, OPAQUE)
MESSAGES: st.SearchStrategy[Message] = st.builds(User, USERS.map(tuple)) | ASSISTANTS
COUNTS = st.integers(0, 1 << 62)
REPLIES = st.builds(
    Reply,
    ASSISTANTS,
    st.sampled_from(get_args(Stop)),
    WORDS,
    WORDS,
    st.builds(Usage, COUNTS, COUNTS, COUNTS, COUNTS),
    st.none() | st.floats(0, allow_infinity=False),
)
REPLY = Reply(Assistant((Text("done"),)), "end_turn", "claude", "m", Usage(1, 2, 3, 4), 0.5)


@given(st.lists(MESSAGES, max_size=4).map(tuple))
def test_a_conversation_comes_back_as_it_was_from_one_line(messages: tuple[Message, ...]) -> None:
    text = transcript.dump(messages)

    assert transcript.load(text) == messages
    assert text.isascii()
    assert "\n" not in text


@given(REPLIES)
def test_a_reply_comes_back_as_it_was_from_one_line(reply: Reply) -> None:
    text = transcript.dump_reply(reply)

    assert transcript.load_reply(text) == reply
    assert text.isascii()
    assert "\n" not in text


@given(st.lists(MESSAGES, max_size=3), st.lists(MESSAGES, max_size=3))
def test_other_conversations_are_other_texts(one: list[Message], other: list[Message]) -> None:
    assert (transcript.dump(one) == transcript.dump(other)) == (_typed(one) == _typed(other))


def _typed(messages: list[Message]) -> str:
    """Equality where 1, 1.0 and True are three, and a dictionary has an order."""
    return repr(messages)


def test_bytes_that_are_no_text_come_back_as_those_bytes() -> None:
    name = b"caf\xe9 \xf0\x9f".decode("utf-8", "surrogateescape")

    (back,) = transcript.load(transcript.dump([User((Text(name),))]))

    (part,) = back.parts
    assert isinstance(part, Text)
    assert part.text.encode("utf-8", "surrogateescape") == b"caf\xe9 \xf0\x9f"


def test_the_two_halves_of_a_character_come_back_as_that_character() -> None:
    # JSON cannot tell them from it, and no decoder gives them
    (back,) = transcript.load(transcript.dump([User((Text("\ud83d\ude00"),))]))

    assert back == User((Text("😀"),))


def test_a_call_that_came_malformed_is_kept_with_what_came() -> None:
    call = ToolCall("1", "edit", {}, malformed='{"path": "a')

    assert transcript.load(transcript.dump([Assistant((call,))])) == (Assistant((call,)),)


def test_arguments_of_many_levels_are_kept() -> None:
    arguments: dict[str, Any] = {}
    for _ in range(700):
        arguments = {"a": arguments}
    said = Assistant((ToolCall("1", "x", arguments),), Opaque("a:b", (arguments,)))

    (back,) = transcript.load(transcript.dump([said]))
    reply = transcript.load_reply(transcript.dump_reply(replace(REPLY, message=said)))

    assert transcript.dump([back]) == transcript.dump([reply.message]) == transcript.dump([said])


@given(JSON)
def test_json_of_somebody_else_is_no_conversation_and_no_reply(value: object) -> None:
    for item in (value, [value]):
        text = json.dumps(item)
        if text != "[]":
            with pytest.raises(ValueError):
                transcript.load(text)
        with pytest.raises(ValueError):
            transcript.load_reply(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "{}", '""', "5", "null", '["user"]', "[[]]", "[" * 100_000, "[" * 3000 + "]" * 3000,
        '[{"user":"x"}]', '[{"user":[5]}]', '[{"user":[["Text"]]}]', '[{"user":[{}]}]',
        '[{"user":[{"is":"Nonsense"}]}]', '[{"user":[{"is":["Text"]}]}]', '[{"user":[{"is":"Text"}]}]',
        '[{"user":[{"is":"Text","text":5}]}]', '[{"user":[{"is":"Text","text":"a","more":"b"}]}]',
        '[{"user":[{"is":"Thinking","text":"a"}]}]', '[{"user":[],"more":1}]',
        '[{"user":[{"is":"ToolResult","call_id":"a","content":"b","is_error":"no"}]}]',
        '[{"assistant":[]}]', '[{"assistant":{},"opaque":null}]', '[{"assistant":[],"opaque":0}]',
        '[{"assistant":[],"opaque":{"owner":"a","items":"b"}}]',
        '[{"assistant":[],"opaque":{"owner":"a","items":["b"]}}]',
        '[{"assistant":[],"opaque":{"owner":1,"items":[]}}]',
        '[{"assistant":[{"is":"ToolResult","call_id":"a","content":"b"}],"opaque":null}]',
        '[{"assistant":[{"is":"ToolCall","id":"a","name":"b","arguments":[]}],"opaque":null}]',
    ],
)  # fmt: skip
def test_what_nearly_is_a_conversation_is_none(text: str) -> None:
    with pytest.raises(ValueError):
        transcript.load(text)


@pytest.mark.parametrize(
    "change",
    [
        {"message": {"user": []}}, {"message": None}, {"message": []}, {"stop": "tired"},
        {"stop": ["end_turn"]}, {"provider": None}, {"model": 5}, {"usage": None}, {"usage": [1]},
        {"usage": {"input_tokens": "5"}}, {"usage": {"input_tokens": 1.5}}, {"usage": {"tokens": 1}},
        {"cost_usd": "free"}, {"cost_usd": [0]}, {"more": 1},
    ],
)  # fmt: skip
def test_what_nearly_is_a_reply_is_none(change: dict[str, Any]) -> None:
    text = json.dumps(json.loads(transcript.dump_reply(REPLY)) | change)

    with pytest.raises(ValueError):
        transcript.load_reply(text)


@pytest.mark.parametrize("field", ["message", "stop", "provider", "model", "usage", "cost_usd"])
def test_a_reply_has_all_its_fields(field: str) -> None:
    fields = json.loads(transcript.dump_reply(REPLY))
    del fields[field]

    with pytest.raises(ValueError):
        transcript.load_reply(json.dumps(fields))
