from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from tests.providers.streaming import (
    ASKED,
    CANARY,
    Broken,
    Server,
    entry,
    nobody,
    request,
    streamed,
    thoughts,
)
from tiny_backspace.conversation import (
    Assistant,
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
from tiny_backspace.errors import ContextOverflow, ProviderBusy, ProviderError
from tiny_backspace.providers.chat import Chat, from_wire, to_wire

USAGE = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 60}}}  # fmt: skip
A = {"path": "a.py"}


def chunk(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def piece(arguments: object = None, name: str | None = None, **place: object) -> dict[str, Any]:
    """A chunk with one piece of a call; its index and its id stand in `place`, if they are there."""
    function = {"name": name} if name else {}
    return chunk(tool_calls=[{**place, "function": function | {"arguments": arguments}}])


def reply(*chunks: object) -> Reply:
    server = Server(streamed(*chunks, "[DONE]"))
    return Chat(entry("chat"), transport=server).reply(request(), nobody)


def called(*pieces: object) -> tuple[ToolCall, ...]:
    answer = reply(*pieces, chunk("tool_calls"))
    assert answer.stop == "tool_use"
    return answer.message.tool_calls


def test_an_answer_is_thought_aloud_and_told_in_its_parts() -> None:
    heard, emit = thoughts()
    server = Server(
        streamed(
            chunk(role="assistant", content=""),
            chunk(reasoning="Hm"), chunk(reasoning="m."),
            chunk(content="Look"), chunk(content="ing."),
            piece("", "read", index=0, id="a"), piece('{"path":', index=0),
            piece("{}", "read", index=1, id="b"), piece('"a.py"}', index=0),
            chunk("tool_calls"), USAGE, "[DONE]",
        )
    )  # fmt: skip
    answer = Chat(entry("chat"), transport=server).reply(request(), emit)
    assert heard == ["", "Hm", "m.", "Look", "ing."]  # the first: it has begun to answer
    assert answer.message == Assistant(
        (Thinking("Hmm."), Text("Looking."), ToolCall("a", "read", A), ToolCall("b", "read", {}))
    )
    assert (answer.stop, answer.provider, answer.model) == ("tool_use", "ollama", "qwen")
    assert answer.usage == Usage(100, 20, 60)


def test_a_server_on_this_machine_costs_nothing() -> None:
    local = entry("chat", base_url="http://127.0.0.1:11434/v1")
    server = Server(streamed(chunk("stop", content="Done."), USAGE))
    assert Chat(local, transport=server).reply(request(), nobody).cost_usd == 0


def test_the_request_says_what_every_server_understands() -> None:
    server = Server(streamed(chunk("stop", content="Done.")))
    Chat(entry("chat", max_output_tokens=500), transport=server).reply(request(), nobody)
    assert str(server.requests[0].url) == "http://model.test/v1/chat/completions"
    assert server.bodies == [
        {
            "model": "qwen",
            "messages": [
                {"role": "system", "content": "Be good."},
                {"role": "user", "content": "Fix it.\n\nFacts."},
            ],
            "tools": [
                {
                    "type": "function",
                    "function": {
                        "name": "read",
                        "description": "Reads a file.",
                        "parameters": {
                            "type": "object",
                            "properties": {"path": {"type": "string"}},
                        },
                    },
                }
            ],
            "max_tokens": 500,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert to_wire(entry("chat", effort="low"), request())["reasoning_effort"] == "low"


def test_each_turn_only_adds_to_the_one_before_and_thinking_is_not_sent_back() -> None:
    answers = [
        streamed(
            chunk(reasoning="Secretly."), chunk(content=f"Turn {n}."),
            piece(A, "read", id="same"), piece(A, "read"), chunk("stop"),
        )
        for n in range(6)
    ]  # fmt: skip
    server, conversation = Server(*answers), ASKED
    provider, ids = Chat(entry("chat"), transport=server), []
    for turn in range(6):
        answer = provider.reply(request(*conversation, turn=turn + 1), nobody)
        calls = answer.message.tool_calls
        ids += [call.id for call in calls]
        failed = ToolResult(calls[1].id, "no such file", is_error=True)
        results = User((ToolResult(calls[0].id, "text"), failed, Text("Go on.")))
        conversation = (*conversation, answer.message, results)
    assert len(set(ids)) == 12
    assert ids[:3] == ["same", "call_2", "call_3"]
    told = [body["messages"] for body in server.bodies]
    for n in range(5):
        assert told[n + 1][: len(told[n])] == told[n]
    read = {"name": "read", "arguments": '{"path": "a.py"}'}
    assert told[1][2:] == [
        {
            "role": "assistant",
            "content": "Turn 0.",
            "tool_calls": [
                {"id": "same", "type": "function", "function": read},
                {"id": "call_2", "type": "function", "function": read},
            ],
        },
        {"role": "tool", "tool_call_id": "same", "content": "text"},
        {"role": "tool", "tool_call_id": "call_2", "content": "ERROR: no such file"},
        {"role": "user", "content": "Go on."},
    ]
    assert "Secretly" not in json.dumps(told)


def test_what_others_said_is_rebuilt_from_its_parts_with_ids_that_fit() -> None:
    long = "functions.read:" + "0" * 80
    said = Assistant((ToolCall(long, "read", {}, "{oops"),), Opaque("openai:gpt", ({"x": 1},)))
    silent = Assistant((Thinking("hm"), Text(" ")))
    conversation = (*ASKED, said, User((ToolResult(long, "text"),)), silent)
    messages = to_wire(entry("chat"), request(*conversation))["messages"][2:]
    (made,) = messages[0]["tool_calls"]
    assert messages == [
        {"role": "assistant", "content": "", "tool_calls": [made]},
        {"role": "tool", "tool_call_id": made["id"], "content": "text"},
    ]
    assert made["function"] == {"name": "read", "arguments": "{}"}
    assert len(made["id"]) <= 64
    assert made["id"].replace("_", "").isalnum()


@pytest.mark.parametrize(
    ("finish", "stop", "said"),
    [
        ("stop", "end_turn", "Well"),
        ("length", "max_tokens", "Well"),
        ("content_filter", "refusal", "Well"),
        ("function_call", "unknown", "Well"),
        ("eos", "unknown", "Well"),
    ],
)
def test_each_reason_to_stop_has_its_word(finish: str, stop: Stop, said: str) -> None:
    answer = reply(chunk(content="Well"), chunk(finish))
    assert (answer.stop, answer.message.said, answer.message.opaque) == (stop, said, None)


def test_a_refusal_is_told_in_the_models_words_or_in_ours() -> None:
    refused = reply(chunk(refusal="I wo"), chunk("stop", refusal="n't."))
    assert (refused.stop, refused.message.said) == ("refusal", "I won't.")
    filtered = reply(chunk("content_filter"))
    assert (filtered.stop, filtered.message.said) == (
        "refusal",
        "its content filter stopped the answer",
    )


def test_calls_may_come_with_the_word_for_an_ordinary_end() -> None:
    assert reply(piece("{}", "read", index=0, id="a"), chunk("stop")).stop == "tool_use"


@pytest.mark.parametrize("pieces", [(), (piece("{}", index=0, id="a"),)])
def test_a_tool_that_is_wanted_and_not_named_is_asked_for_again(pieces: tuple[object, ...]) -> None:
    with pytest.raises(ProviderBusy, match="does not say which"):
        reply(*pieces, chunk("tool_calls"))


@pytest.mark.parametrize(
    "pieces",
    [
        # all at once, in one piece each
        (chunk(tool_calls=[{"index": n, "id": i, "function": {"name": "read", "arguments": '{"path":"a.py"}'}} for n, i in enumerate("ab")]),),
        # arguments that are an object already
        (piece(A, "read", index=0, id="a"), piece(A, "read", index=1, id="b")),
        # no index: by the id
        (piece('{"path":', "read", id="a"), piece('{"path":"a.py"}', "read", id="b"), piece('"a.py"}', id="a")),
        # no index, and the id only with the first piece
        (piece('{"path":', "read", id="a"), piece('"a.py"}'), piece("", "read", id="b"), piece('{"path":"a.py"}')),
        # one index for all
        (piece('{"path":', "read", index=0, id="a"), piece('"a.py"}', index=0), piece(A, "read", index=0, id="b")),
        # id and name with every piece
        (piece('{"path":', "read", index=0, id="a"), piece('"a.py"}', "read", index=0, id="a"), piece(A, "read", index=1, id="b")),
        # the id comes late, the name comes alone
        (piece(None, "read", index=0), piece(A, index=0, id="a"), piece(A, "read", index=1, id="b")),
        # noise
        (chunk(tool_calls=["noise", None]), chunk(tool_calls=None), piece(A, "read", index=0, id="a"), piece(A, "read", index=1, id="b")),
    ],
)  # fmt: skip
def test_calls_are_put_together_however_their_pieces_come(pieces: tuple[object, ...]) -> None:
    assert called(*pieces) == (ToolCall("a", "read", A), ToolCall("b", "read", A))


def test_calls_without_an_id_get_one_that_no_other_call_has() -> None:
    said = Assistant((ToolCall("call_1", "read", A), ToolCall("call_3", "read", A)))
    chunks = [piece(A, "read"), piece(A, "read"), piece(A, "read", id="call_1"), chunk("stop")]
    answer = from_wire(chunks, entry("chat"), (*ASKED, said))
    assert [call.id for call in answer.message.tool_calls] == ["call_4", "call_5", "call_6"]


@pytest.mark.parametrize(
    ("arguments", "parsed", "malformed"),
    [("", {}, ""), (None, {}, ""), ("{oops", {}, "{oops"), ("[1]", {}, "[1]"), ([1], {}, "[1]")],
)
def test_arguments_that_are_no_json_object_are_kept_as_they_came(
    arguments: object, parsed: dict[str, Any], malformed: str
) -> None:
    (call,) = called(piece(arguments, "read", index=0, id="a"))
    assert (call.arguments, call.malformed) == (parsed, malformed)


def test_reasoning_has_two_names_and_is_told_once() -> None:
    both = chunk(reasoning="Hm", reasoning_content="Hm")
    other = chunk(reasoning_content="m.")
    assert reply(both, other, chunk("stop", content="Done.")).message.parts[0] == Thinking("Hmm.")


def test_a_character_in_two_halves_is_one_again() -> None:
    assert (
        reply(chunk(content="\ud83d"), chunk(content="\ude00"), chunk("stop")).message.said == "😀"
    )


def test_no_usage_and_odd_usage_are_no_tokens() -> None:
    assert reply(chunk("stop", content="Done.")).usage == Usage()
    odd = {"choices": None, "usage": {"prompt_tokens": "many", "completion_tokens": None}}
    assert reply(chunk("stop", content="Done."), odd).usage == Usage()


def test_the_last_count_of_tokens_is_the_one() -> None:
    counts = [
        {**chunk(content="x"), "usage": {"prompt_tokens": 9, "completion_tokens": n}}
        for n in (1, 2)
    ]
    assert reply(*counts, chunk("stop")).usage == Usage(9, 2)


def test_what_breaks_after_the_reason_to_stop_does_not_take_the_answer_back() -> None:
    server = Server(httpx2.Response(200, stream=Broken(chunk("stop", content="Done."))))
    assert Chat(entry("chat"), transport=server).reply(request(), nobody).message.said == "Done."


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (streamed(), ProviderBusy),
        (streamed(chunk(content="Well")), ProviderBusy),
        (streamed(chunk(content="Well"), "[DONE]"), ProviderBusy),
        (streamed({"choices": [None]}, {"choices": "odd"}, {"choices": [{"delta": 1}]}, []), ProviderBusy),
        (streamed("{not json"), ProviderBusy),
        (streamed({"error": "model runner has unexpectedly stopped"}), ProviderBusy),
        (streamed({"error": {"message": "maximum context length", "code": 400}}), ContextOverflow),
        (httpx2.Response(200, stream=Broken(chunk(content="Well"))), ProviderBusy),
        (httpx2.Response(200, text="Ollama is running"), ProviderBusy),
        (httpx2.Response(404, json={"error": "model 'qwen' not found"}), ProviderError),
        (httpx2.Response(400, json={"error": {"message": "exceeds the available context size"}}), ContextOverflow),
        (httpx2.Response(422, json={"detail": [{"msg": "field required"}]}), ProviderError),
        (httpx2.Response(503, html="<title>Bad gateway</title>"), ProviderBusy),
        (httpx2.ConnectError("m"), ProviderBusy),
    ],
)  # fmt: skip
def test_each_fault_is_worth_another_try_or_is_not(
    answer: httpx2.Response | Exception, outcome: type[ProviderError]
) -> None:
    with pytest.raises(ProviderError, match=r"^ollama") as raised:
        Chat(entry("chat"), transport=Server(answer)).reply(request(), nobody)
    assert type(raised.value) is outcome


def test_a_server_that_answers_with_something_else_is_told_of() -> None:
    page = httpx2.Response(200, html="<title>Log in</title>")
    with pytest.raises(ProviderBusy, match="ollama: it answered with no stream: text/html"):
        Chat(entry("chat"), transport=Server(page)).reply(request(), nobody)


def test_a_server_that_is_not_there_is_named_with_its_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    closed = entry("chat", base_url="http://127.0.0.1:1/v1")
    with pytest.raises(
        ProviderBusy, match=r"^ollama: nobody answers at http://127\.0\.0\.1:1/v1$"
    ) as raised:
        Chat(closed).reply(request(), nobody)
    assert raised.value.hint == "Is the server running?"


def test_the_key_is_in_the_authorization_header_and_nowhere_else() -> None:
    server = Server(streamed(chunk("stop", content="Done.")))
    Chat(entry("chat", key=CANARY), transport=server).reply(request(), nobody)
    (sent,) = server.requests
    assert sent.headers["authorization"] == f"Bearer {CANARY}"
    assert CANARY not in str(sent.url) + sent.content.decode()
    assert [name for name, value in sent.headers.items() if CANARY in value] == ["authorization"]
